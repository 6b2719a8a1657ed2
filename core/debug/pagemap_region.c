/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The regions of guest physical space: slots and device windows, sorted, and holes between them.
 */
#include "core/debug/pagemap_impl.h"

#include <stdio.h>
#include <string.h>

#define SPACE_LIMIT (1ull << 52)

static struct map_region of_slot(const struct slot_info *s)
{
	return (struct map_region){.kind = MAP_SLOT,
				   .first = s->gpa,
				   .last = s->gpa + (s->size - 1),
				   .slot = s->id,
				   .flags = s->flags,
				   .vis = s->vis & SLOT_VIS_BOTH ? s->vis & SLOT_VIS_BOTH : SLOT_VIS_BOTH,
				   .own = s->own};
}

static struct map_region of_device(const struct map_range *d)
{
	struct map_region r = {.kind = MAP_DEVICE, .first = d->gpa, .last = d->gpa + (d->size - 1), .vis = SLOT_VIS_BOTH};

	snprintf(r.name, sizeof(r.name), "%s", d->name ? d->name : "");
	return r;
}

static int region_cmp(const void *x, const void *y)
{
	const struct map_region *a = x, *b = y;

	if (a->first != b->first)
		return a->first < b->first ? -1 : 1;
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->vis != b->vis)
		return a->vis < b->vis ? -1 : 1;
	return a->slot < b->slot ? -1 : a->slot > b->slot;
}

/* What a machine gives of the kernel's memory may be anything. */
static bool is_range(uint64_t gpa, uint64_t size)
{
	return size && !range_wraps(gpa, size);
}

/* What is the same seen from outside SMM and inside it is one region. Sorted, the two stand behind each other: nothing but
 * their views differs. */
static size_t join_views(struct map_region *v, size_t n)
{
	size_t to = 0;

	for (size_t i = 0; i < n; i++) {
		struct map_region *before = to ? &v[to - 1] : NULL;

		if (before && before->kind == MAP_SLOT && v[i].kind == MAP_SLOT && before->first == v[i].first &&
		    before->last == v[i].last && before->slot == v[i].slot && before->flags == v[i].flags &&
		    before->own == v[i].own)
			before->vis |= v[i].vis;
		else
			v[to++] = v[i];
	}
	return to;
}

static size_t add_taken(struct map_region *v, const struct map_seen *seen)
{
	size_t n = 0;

	for (size_t i = 0; i < seen->slots.n; i++)
		if (is_range(seen->slots.v[i].gpa, seen->slots.v[i].size))
			v[n++] = of_slot(&seen->slots.v[i]);
	for (size_t i = 0; i < seen->n_device; i++)
		if (is_range(seen->device[i].gpa, seen->device[i].size))
			v[n++] = of_device(&seen->device[i]);
	qsort(v, n, sizeof(*v), region_cmp);
	return join_views(v, n);
}

static struct map_region hole(uint64_t first, uint64_t last)
{
	return (struct map_region){.kind = MAP_HOLE, .first = first, .last = last, .vis = SLOT_VIS_BOTH};
}

static int note_reach(struct pagemap *map, struct err *e)
{
	uint64_t reach = 0;

	map->reach = calloc(map->n_regions + 1, sizeof(*map->reach));
	if (!map->reach)
		return err_nomem(e, "map of memory");
	for (size_t i = 0; i < map->n_regions; i++) {
		if (map->region[i].last > reach)
			reach = map->region[i].last;
		map->reach[i] = reach;
	}
	return 0;
}

int map_regions_make(struct pagemap *map, const struct map_seen *seen, struct err *e)
{
	size_t room = seen->slots.n + seen->n_device + 1, taken;
	_cleanup_free_ struct map_region *v = calloc(room, sizeof(*v));
	struct map_region *out = calloc(2 * room, sizeof(*out));
	uint64_t next = 0; /* the first gpa that nothing before reaches */
	bool full = false; /* up to the last one there is */

	map->region = out;
	if (!v || !out)
		return err_nomem(e, "map of memory");
	taken = add_taken(v, seen);
	map->about.limit = seen->limit ? seen->limit : SPACE_LIMIT;
	for (size_t i = 0; i < taken; i++) {
		if (!full && v[i].first > next)
			out[map->n_regions++] = hole(next, v[i].first - 1);
		out[map->n_regions++] = v[i];
		full |= v[i].last == UINT64_MAX;
		if (v[i].last >= next)
			next = v[i].last + 1;
	}
	if (!full && next < map->about.limit)
		out[map->n_regions++] = hole(next, map->about.limit - 1);
	return note_reach(map, e);
}

const struct map_region *pagemap_regions(const struct pagemap *map, size_t *n)
{
	*n = map->n_regions;
	return map->region;
}

/* How many regions begin at gpa or before. */
static size_t regions_to(const struct pagemap *map, uint64_t gpa)
{
	size_t lo = 0, hi = map->n_regions;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (map->region[mid].first <= gpa)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Of those that begin before, the nearest that reaches gpa: regions overlap only where visibilities differ or a slot lies
 * over a device. */
static const struct map_region *back_to(const struct pagemap *map, uint64_t gpa, bool slot, unsigned vis)
{
	for (size_t i = regions_to(map, gpa); i-- > 0 && map->reach[i] >= gpa;) {
		const struct map_region *r = &map->region[i];

		if (r->last >= gpa && r->vis & vis && (!slot || r->kind == MAP_SLOT))
			return r;
	}
	return NULL;
}

size_t pagemap_region_at(const struct pagemap *map, uint64_t gpa)
{
	const struct map_region *r = back_to(map, gpa, false, SLOT_VIS_NONSMM);

	if (!r)
		r = back_to(map, gpa, false, SLOT_VIS_BOTH);
	return r ? (size_t)(r - map->region) : map->n_regions - 1;
}

const struct map_region *map_slot_at(const struct pagemap *map, uint64_t gfn, bool smm)
{
	return back_to(map, gfn << PAGE_SHIFT, true, smm ? SLOT_VIS_SMM : SLOT_VIS_NONSMM);
}
