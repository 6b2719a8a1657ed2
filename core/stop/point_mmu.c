/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Catchpoints of what the MMU does to its tables. Several things may have happened before the vCPU came out; a catchpoint
 * asks for the first of them that its filter lets through, and is asked once a stop.
 */
#include <errno.h>

#include "core/stop/point_impl.h"
#include "core/stop/why_impl.h"

static struct match match(const struct stop_point *p, const struct scene *sc)
{
	const struct mmu_event *v = sc->events.n ? sc->events.v : &sc->s->mmu;
	size_t n = sc->events.n ? sc->events.n : 1;

	for (size_t i = 0; scene_has(sc, STOP_MMU) && i < n; i++)
		if (mmu_filter_matches(&p->mmu, 1, &v[i]))
			return (struct match){.reason = STOP_MMU, .mmu = &v[i]};
	return (struct match){.reason = STOP_NONE};
}

int mmu_apply(const struct point_table *t, struct machine *m, struct err *e)
{
	struct mmu_filter v[MMU_FILTERS_MAX];
	size_t n = 0;

	for (size_t i = 0; i < t->n; i++) {
		const struct stop_point *p = t->v[i];
		if (p->kind != POINT_CATCH || !p->enabled || p->event != CATCH_MMU)
			continue;
		if (n == MMU_FILTERS_MAX)
			return err_set(e, -ENOSPC, "catch mmu" WHY "at most %u can be enabled" TRY "a wider range of gfns",
				       MMU_FILTERS_MAX);
		v[n++] = p->mmu;
	}
	return machine_mmu_catch(m, v, n, e);
}

const struct point_ops point_mmu = {
    .name = "Catchpoint", .arm = point_catch, .disarm = point_catch, .match = match, .tell = why_point, .rank = 2};
