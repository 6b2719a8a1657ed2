/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The wrapper's looks at the MMU: one function for each row of looks.h, all alike but for what look_arguments() and
 * look_finish() know.
 */
#include "core/machine/check.h"

#include <errno.h>
#include <string.h>

#define SHADOW_FLAGS (unsigned)(SHADOW_WITH_ENTRIES | SHADOW_WITH_PARENTS | SHADOW_WITH_LEAVES)

static int check_arguments(const struct machine *m, enum machine_call call, const struct look_args *a, struct err *e)
{
	const char *words = machine_call_row(call)->words;
	int rc = a->has_vcpu ? machine_check_vcpu(m, a->vcpu, words, e) : 0;

	if (!rc && a->has_range)
		rc = machine_check_range(a->first, a->last, words, e);
	if (!rc && a->flags & ~SHADOW_FLAGS)
		rc = err_set(e, -EINVAL, "%s" WHY "flags %#x" TRY "entries, parents and leaves are all there is", words,
			     a->flags);
	return rc;
}

/* A gfn beyond physical addresses has no rows; its address would be another page's. */
static bool beyond_memory(const struct look_args *a)
{
	return a->has_gfn && a->first > UINT64_MAX >> PAGE_SHIFT;
}

/* What of a list is the wrapper's to fill in. */
static void fill_in_list(struct machine *m, enum machine_call call, void *list)
{
	if (call == CALL_mmio)
		machine_mmio_compare(m, list);
}

#define LOOK(name, words, needs, list, shape)                                                                               \
	int machine_##name(struct machine *m, LOOK_PARAMS_##shape struct list *out, struct err *e)                          \
	{                                                                                                                   \
		const struct look_args a = LOOK_ARGS_##shape;                                                               \
		_cleanup_hold_ struct machine_hold hold = {NULL};                                                           \
		struct list l = {0};                                                                                        \
		int rc = check_arguments(m, CALL_##name, &a, e);                                                            \
                                                                                                                            \
		if (!rc)                                                                                                    \
			rc = machine_begin(m, CALL_##name, &hold, e);                                                       \
		if (!rc && !beyond_memory(&a))                                                                              \
			rc = m->ops->looks->name(m, LOOK_HAND_ON_##shape & l, e);                                           \
		if (rc)                                                                                                     \
			return rc;                                                                                          \
		fill_in_list(m, CALL_##name, &l);                                                                           \
		*out = l;                                                                                                   \
		return 0;                                                                                                   \
	}
MACHINE_LOOK_LIST(LOOK)
#undef LOOK

int machine_rmap_each(struct machine *m, rmap_fn *fn, void *arg, struct err *e)
{
	_cleanup_hold_ struct machine_hold hold = {NULL};
	struct rmap_list l = {0};
	int rc = m->ops->rmap_each ? machine_begin(m, CALL_rmap_each, &hold, e) : machine_rmap_all(m, &l, e);

	if (!rc && m->ops->rmap_each)
		return m->ops->rmap_each(m, fn, arg, e);
	for (size_t i = 0; !rc && i < l.n; i++)
		rc = fn(arg, &l.v[i]);
	rmap_list_free(&l);
	return rc;
}

void machine_share_reads(struct machine *m, bool on)
{
	if (m->ops->share_reads)
		m->ops->share_reads(m, on);
}
