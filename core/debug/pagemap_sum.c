/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Ranges of the map summed up. Both ends are found by binary search; of what is between, most is in sums made beforehand: of
 * 16 entries, of 256, and so on.
 */
#include "core/debug/pagemap_impl.h"

#include <errno.h>

size_t map_level_find(const struct map_level *l, unsigned level, uint64_t gfn)
{
	uint64_t reach = map_level_pages(level) - 1;
	size_t lo = 0, hi = l->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (l->v[mid].gfn + reach < gfn)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Of an entry, `pages` of its pages. */
static void count_entry(struct map_cell *c, const struct map_entry *en, uint64_t pages)
{
	c->bits |= en->bits;
	if (en->heat > c->heat)
		c->heat = en->heat;
	if (en->sptes > c->sptes)
		c->sptes = en->sptes;
	c->mapped += en->bits & MAP_MAPPED ? pages : 0;
	c->writable += en->bits & MAP_WRITABLE ? pages : 0;
	c->dirty += en->bits & MAP_DIRTY ? pages : 0;
	c->huge += en->bits & MAP_HUGE ? pages : 0;
	c->tables += en->bits & MAP_TABLE ? pages : 0;
	c->mmio += en->bits & MAP_MMIO ? pages : 0;
}

static void count_cell(struct map_cell *c, const struct map_cell *more)
{
	c->bits |= more->bits;
	if (more->heat > c->heat)
		c->heat = more->heat;
	if (more->sptes > c->sptes)
		c->sptes = more->sptes;
	c->mapped += more->mapped;
	c->writable += more->writable;
	c->dirty += more->dirty;
	c->huge += more->huge;
	c->tables += more->tables;
	c->mmio += more->mmio;
}

static int make_step(struct map_level *l, unsigned level, unsigned step)
{
	const size_t each = 1u << MAP_BLOCK_BITS, n = l->n >> MAP_BLOCK_BITS * (step + 1);
	struct map_cell *block = n ? calloc(n, sizeof(*block)) : NULL;

	if (n && !block)
		return -ENOMEM;
	for (size_t i = 0; i < n * each; i++) {
		if (step)
			count_cell(&block[i / each], &l->block[step - 1][i]);
		else
			count_entry(&block[i / each], &l->v[i], map_level_pages(level));
	}
	l->block[step] = block;
	return 0;
}

int map_sums_make(struct pagemap *map)
{
	int rc = 0;

	for (unsigned i = 0; i < MAP_LAYERS * MAP_LEVELS; i++)
		for (unsigned step = 0; step < MAP_BLOCK_STEPS && !rc; step++)
			rc = make_step(&map->level[i / MAP_LEVELS][i % MAP_LEVELS], i % MAP_LEVELS, step);
	return rc;
}

/* Pages of an entry that are in first..last. */
static uint64_t shared_pages(const struct map_entry *en, unsigned level, uint64_t first, uint64_t last)
{
	uint64_t end = en->gfn + (map_level_pages(level) - 1);

	first = MAX(en->gfn, first);
	last = MIN(end, last);
	return last - first + 1;
}

/* Entries from..end - 1, all of their pages. */
static void count_whole(const struct map_level *l, unsigned level, size_t from, size_t end, struct map_cell *c)
{
	while (from < end) {
		unsigned step = 0, bits = 0;

		while (step < MAP_BLOCK_STEPS && !(from >> bits & 15) && end - from >= 16ull << bits) {
			bits += MAP_BLOCK_BITS;
			step++;
		}
		if (step)
			count_cell(c, &l->block[step - 1][from >> bits]);
		else
			count_entry(c, &l->v[from], map_level_pages(level));
		from += (size_t)1 << bits;
	}
}

static void count_level(const struct map_level *l, unsigned level, uint64_t first, uint64_t last, struct map_cell *c)
{
	size_t from = map_level_find(l, level, first), end = map_level_find(l, 0, last + 1);

	/* At both ends a mapping may reach out of the range. */
	if (from < end && l->v[from].gfn < first) {
		count_entry(c, &l->v[from], shared_pages(&l->v[from], level, first, last));
		from++;
	}
	if (from < end && l->v[end - 1].gfn + (map_level_pages(level) - 1) > last) {
		end--;
		count_entry(c, &l->v[end], shared_pages(&l->v[end], level, first, last));
	}
	count_whole(l, level, from, end, c);
}

/* Runs neither overlap nor touch. */
static bool any_armed(const struct pagemap *map, uint64_t first, uint64_t last)
{
	size_t lo = 0, hi = map->n_armed;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (map->armed[mid].last < first)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < map->n_armed && map->armed[lo].first <= last;
}

/* A page that a large and a small spte map was counted twice. */
static void no_more_than_pages(struct map_cell *c)
{
	uint64_t *const count[] = {&c->mapped, &c->writable, &c->dirty, &c->huge, &c->tables, &c->mmio};

	for (size_t i = 0; i < ARRAY_LEN(count); i++)
		if (*count[i] > c->pages)
			*count[i] = c->pages;
}

static void count_log(const struct pagemap *map, const struct gpa_region *r, uint64_t first, uint64_t last,
		      struct map_cell *c)
{
	uint64_t base = r->first >> PAGE_SHIFT;

	c->logged = map_log_count(&map->log[r - map->regions.v], first - base, last - base);
	c->bits |= c->logged ? MAP_LOGGED : 0;
}

struct map_cell pagemap_cell(const struct pagemap *map, const struct gpa_region *r, uint64_t first, uint64_t last)
{
	struct map_cell c = {.bits = map->why[MAP_PART_SPTES][0] ? MAP_UNKNOWN : 0};

	first = (first < r->first ? r->first : first) >> PAGE_SHIFT;
	last = (last > r->last ? r->last : last) >> PAGE_SHIFT;
	if (first > last)
		return c;
	c.pages = last - first + 1;
	for (unsigned level = 0; level < MAP_LEVELS; level++)
		count_level(&map->level[map_layer(r)][level], level, first, last, &c);
	no_more_than_pages(&c);
	if (any_armed(map, first, last))
		c.bits |= MAP_ARMED;
	count_log(map, r, first, last, &c);
	return c;
}
