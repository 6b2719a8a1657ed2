/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The fake machine's looks: copies of scripted lists, so that callers may free what they get. A look gives its whole list
 * unless it has a filter here. Running out of memory here ends the test.
 */
#include "tests/support/fake_inspect.h"

#include <errno.h>
#include <string.h>

static void drop_entries(struct machine *m, const struct look_args *a, void *list)
{
	struct shadow_page_list *l = list;

	(void)m;
	for (size_t i = 0; i < l->n; i++) {
		if (!(a->flags & SHADOW_WITH_PARENTS)) {
			free(l->v[i].parents);
			l->v[i].parents = NULL;
			l->v[i].n_parents = 0;
		}
		if (!(a->flags & SHADOW_WITH_ENTRIES)) {
			free(l->v[i].entries);
			l->v[i].entries = NULL;
		}
		if (!(a->flags & SHADOW_WITH_LEAVES)) {
			free(l->v[i].leaves);
			l->v[i].leaves = NULL;
			l->v[i].n_leaves = 0;
		}
	}
}

static uint64_t spte_last(const struct spte_info *s)
{
	unsigned shift = PAGE_SHIFT + 9 * ((s->level ? s->level : 1) - 1);

	return shift < 64 ? s->gva + (1ull << shift) - 1 : UINT64_MAX; /* a level that cannot be */
}

static void sptes_in_range(struct machine *m, const struct look_args *a, void *list)
{
	struct spte_list *l = list;
	size_t n = 0;

	(void)m;
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].gva <= a->last && spte_last(&l->v[i]) >= a->first)
			l->v[n++] = l->v[i];
	l->n = n;
}

/* Those that are wanted stay, in place of the list. */
static void keep_rmaps(struct rmap_list *l, bool (*wanted)(const struct rmap_info *r, uint64_t gfn), uint64_t gfn)
{
	struct rmap_list rest = {.v = calloc(l->n + 1, sizeof(*l->v))}, kept = {.v = calloc(l->n + 1, sizeof(*l->v))};

	if (!rest.v || !kept.v)
		abort();
	for (size_t i = 0; i < l->n; i++) {
		struct rmap_list *to = wanted(&l->v[i], gfn) ? &kept : &rest;
		to->v[to->n++] = l->v[i];
	}
	rmap_list_free(&rest);
	free(l->v);
	*l = kept;
}

static bool rmap_is_of(const struct rmap_info *r, uint64_t gfn)
{
	return r->gfn == gfn;
}

static bool rmap_is_filled(const struct rmap_info *r, uint64_t gfn)
{
	(void)gfn;
	return r->kind != RMAP_EMPTY;
}

/* One empty row if a slot covers the gfn and none was scripted. */
static void rmaps_of_gfn(struct machine *m, const struct look_args *a, void *list)
{
	struct slot *s = slot_lookup(&m->slots, a->first << PAGE_SHIFT, false, NULL);
	struct rmap_list *l = list;

	keep_rmaps(l, rmap_is_of, a->first);
	if (!l->n && s)
		l->v[l->n++] = (struct rmap_info){.gfn = a->first, .slot = s->id, .level = 1, .source = SOURCE_SOFT};
}

static void all_filled_rmaps(struct machine *m, const struct look_args *a, void *list)
{
	struct rmap_list all;

	if (rmap_list_copy(&fake_of(m)->rmap, &all, NULL))
		abort();
	keep_rmaps(&all, rmap_is_filled, a->first);
	rmap_list_free(list);
	*(struct rmap_list *)list = all;
}

static void (*const filter[MACHINE_CALL_COUNT])(struct machine *m, const struct look_args *a, void *list) = {
    [CALL_shadow_pages] = drop_entries,
    [CALL_sptes] = sptes_in_range,
    [CALL_rmap] = rmaps_of_gfn,
    [CALL_rmap_all] = all_filled_rmaps,
};

#define LOOK(name, words, needs, list, shape)                                                                               \
	static int look_##name(struct machine *m, LOOK_PARAMS_##shape struct list *out, struct err *e)                      \
	{                                                                                                                   \
		const struct look_args a = LOOK_ARGS_##shape;                                                               \
		int rc = fake_failing(m, #name, e);                                                                         \
                                                                                                                            \
		if (rc)                                                                                                     \
			return rc;                                                                                          \
		if (list##_copy(&fake_of(m)->name, out, e))                                                                 \
			abort();                                                                                            \
		if (filter[CALL_##name])                                                                                    \
			filter[CALL_##name](m, &a, out);                                                                    \
		return 0;                                                                                                   \
	}
MACHINE_LOOK_LIST(LOOK)
#undef LOOK

const struct machine_looks fake_looks = {
#define LOOK_OP(name, words, needs, list, shape) .name = look_##name,
    MACHINE_LOOK_LIST(LOOK_OP)
#undef LOOK_OP
};

int fake_fault_stages(struct machine *m, struct fault_stage_list *out, struct err *e)
{
	int rc = fake_failing(m, "fault_stages", e);

	return rc ? rc : fault_stage_list_copy(&fake_of(m)->stages, out, e);
}
