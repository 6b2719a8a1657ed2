/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Catchpoints of faults: a vCPU stands still inside one.
 */
#include <errno.h>

#include "core/stop/point_impl.h"
#include "core/stop/why_impl.h"

/* Does the walk of the fault's address read a table that was asked for, or come to a page that was? A walk begins long
 * before its stages are those. Rights are not asked: what reads as a user is not refused by SMAP. */
static bool walk_meets(struct machine *m, const struct fault_filter *f, const struct stop *s)
{
	static const unsigned access[] = {ACCESS_READ | ACCESS_USER, ACCESS_READ};
	struct xlate_env env;
	struct walk w;

	if (!s->gva || machine_env(m, s->vcpu, &env, NULL))
		return false;
	for (unsigned k = 0; k < ARRAY_LEN(access); k++) {
		paging_walk(&env.pg, &env.mem, s->gva, access[k], false, &w);
		for (unsigned i = 0; i < w.n; i++)
			if (w.step[i].gpa >> PAGE_SHIFT >= f->first && w.step[i].gpa >> PAGE_SHIFT <= f->last)
				return true;
		if (!w.fault.present)
			return w.gpa >> PAGE_SHIFT >= f->first && w.gpa >> PAGE_SHIFT <= f->last;
	}
	return false;
}

static bool in_range(const struct fault_filter *f, uint64_t page)
{
	return page >= f->first && page <= f->last;
}

static bool filter_matches(struct machine *m, const struct fault_filter *f, const struct stop *s)
{
	uint64_t page = (f->gva ? s->gva : s->gpa) >> PAGE_SHIFT;

	if (f->all)
		return true;
	if (f->gva)
		return page >= f->first >> PAGE_SHIFT && page <= f->last >> PAGE_SHIFT;
	return in_range(f, page) || (s->has_fault_gfn && in_range(f, s->fault_gfn)) || walk_meets(m, f, s);
}

static bool wanted(const struct stop_point *p)
{
	return p->kind == POINT_CATCH && p->enabled && !p->event;
}

/* Is there no other catchpoint of faults that the machine could have meant? */
static bool is_lone(const struct stop_point *p, const struct point_table *t)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->v[i] != p && wanted(t->v[i]))
			return false;
	return true;
}

static struct match match(const struct stop_point *p, const struct scene *sc)
{
	bool hit = scene_has(sc, STOP_FAULT_STAGE) && (is_lone(p, sc->points) || filter_matches(sc->m, &p->fault, sc->s));

	return (struct match){.reason = hit ? STOP_FAULT_STAGE : STOP_NONE};
}

static bool same(const struct fault_filter *a, const struct fault_filter *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (a[i].all != b[i].all || a[i].gva != b[i].gva || a[i].first != b[i].first || a[i].last != b[i].last)
			return false;
	return true;
}

int fault_apply(const struct point_table *t, struct machine *m, struct err *e)
{
	struct fault_filter v[FAULT_FILTERS_MAX];
	size_t n = 0, n_now;

	for (size_t i = 0; i < t->n; i++) {
		/* Its slot may have gone since. */
		if (!wanted(t->v[i]) || point_fault_place(m, &t->v[i]->fault, NULL))
			continue;
		if (n == FAULT_FILTERS_MAX)
			return err_set(e, -ENOSPC, "catch fault" WHY "at most %u can be enabled" TRY "a wider range",
				       FAULT_FILTERS_MAX);
		v[n++] = t->v[i]->fault;
	}
	/* Arming zaps: what is armed as it should be is left alone when some other stop point changes. */
	const struct fault_filter *now = machine_fault_caught(m, &n_now);
	return n == n_now && same(v, now, n) ? 0 : machine_fault_catch(m, v, n, e);
}

int point_fault_place(struct machine *m, const struct fault_filter *f, struct err *e)
{
	const struct slot_table *t = machine_slots(m);
	bool own = false;

	if (f->all || f->gva)
		return 0;
	for (size_t i = 0; i < t->n; i++) {
		const struct slot *s = t->by_gfn[i];
		uint64_t first = s->gpa >> PAGE_SHIFT, last = first + (s->size >> PAGE_SHIFT) - 1;

		if (first > f->last || last < f->first)
			continue;
		if (!s->own)
			return 0;
		own = true;
	}
	if (own)
		return err_set(e, -EPERM, "catch fault %#llx" WHY "the debugger itself built that page" TRY "info slots",
			       (unsigned long long)f->first);
	return err_set(e, -EFAULT,
		       "catch fault %#llx" WHY "no slot has that gfn" TRY "info slots (a gfn is an address >> 12)",
		       (unsigned long long)f->first);
}

const struct point_ops point_fault = {
    .name = "Catchpoint", .arm = point_catch, .disarm = point_catch, .match = match, .tell = why_point, .rank = 2};
