/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The map's regions: which one a page is of.
 */
#include "core/debug/pagemap_impl.h"

#define SPACE_LIMIT (1ull << 52)

static int note_reach(struct pagemap *map, struct err *e)
{
	uint64_t reach = 0;

	map->reach = calloc(map->regions.n + 1, sizeof(*map->reach));
	if (!map->reach)
		return err_nomem(e, "map of memory");
	for (size_t i = 0; i < map->regions.n; i++) {
		if (map->regions.v[i].last > reach)
			reach = map->regions.v[i].last;
		map->reach[i] = reach;
	}
	return 0;
}

int map_regions_make(struct pagemap *map, const struct map_seen *seen, struct err *e)
{
	int rc;

	map->about.limit = seen->limit ? seen->limit : SPACE_LIMIT;
	rc = gpa_map_build(&seen->slots, seen->board, map->about.limit, true, &map->regions, e);
	return rc ? rc : note_reach(map, e);
}

const struct gpa_region *pagemap_regions(const struct pagemap *map, size_t *n)
{
	*n = map->regions.n;
	return map->regions.v;
}

/* How many regions begin at gpa or before. */
static size_t regions_to(const struct pagemap *map, uint64_t gpa)
{
	size_t lo = 0, hi = map->regions.n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (map->regions.v[mid].first <= gpa)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Of those that begin before, the nearest that reaches gpa: regions overlap only where visibilities differ or a slot lies
 * over a device. */
static const struct gpa_region *back_to(const struct pagemap *map, uint64_t gpa, bool slot, unsigned vis)
{
	for (size_t i = regions_to(map, gpa); i-- > 0 && map->reach[i] >= gpa;) {
		const struct gpa_region *r = &map->regions.v[i];

		if (r->last >= gpa && r->vis & vis && (!slot || gpa_is_slot(r)))
			return r;
	}
	return NULL;
}

size_t pagemap_region_at(const struct pagemap *map, uint64_t gpa)
{
	const struct gpa_region *r = back_to(map, gpa, false, SLOT_VIS_NONSMM);

	if (!r)
		r = back_to(map, gpa, false, SLOT_VIS_BOTH);
	return r ? (size_t)(r - map->regions.v) : map->regions.n - 1;
}

const struct gpa_region *map_slot_at(const struct pagemap *map, uint64_t gfn, bool smm)
{
	return back_to(map, gfn << PAGE_SHIFT, true, smm ? SLOT_VIS_SMM : SLOT_VIS_NONSMM);
}
