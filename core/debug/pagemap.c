/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The map's entries: one for each gfn that anything is known of, made from what a look has seen, compared with those of the
 * look before, and summed up for a range.
 */
#include "core/debug/pagemap_impl.h"

#include <errno.h>
#include <string.h>

/* ---- collecting */

static int add_entry(struct pagemap *map, unsigned layer, unsigned level, const struct map_entry *en)
{
	struct map_level *l = &map->level[layer][level];

	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		struct map_entry *v = realloc(l->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n++] = *en;
	return 0;
}

/* A gfn of guest memory as seen from one side. A slot that only the other side sees will do: where the host has one view
 * only, slots come and go with SMM. */
static unsigned layer_of(const struct pagemap *map, uint64_t gfn, bool smm, bool memory)
{
	const struct map_region *r = map_slot_at(map, gfn, smm);

	if (!r && memory)
		r = map_slot_at(map, gfn, !smm);
	return r ? map_layer(r) : 0;
}

static bool is_gfn(uint64_t gfn)
{
	return gfn <= UINT64_MAX >> PAGE_SHIFT;
}

static int add_leaf(struct pagemap *map, const struct spte_info *s, bool smm)
{
	unsigned level = s->level > 1 && s->level <= MAP_LEVELS ? s->level - 1 : 0;
	struct map_entry en = {.gfn = s->gfn & ~(map_level_pages(level) - 1)};

	map->about.torn |= s->torn;
	if (!s->gfn_known || !is_gfn(s->gfn)) {
		map->about.torn |= !s->mmio;
		return 0;
	}
	if (s->mmio) {
		en.bits = MAP_MMIO;
		return add_entry(map, layer_of(map, en.gfn, smm, false), 0, &en);
	}
	en.sptes = 1;
	en.bits = MAP_MAPPED;
	en.bits |= s->writable ? MAP_WRITABLE : 0;
	en.bits |= s->accessed ? MAP_ACCESSED : 0;
	en.bits |= s->dirty ? MAP_DIRTY : 0;
	en.bits |= level ? MAP_HUGE : 0;
	return add_entry(map, layer_of(map, en.gfn, smm, true), level, &en);
}

static int add_page(struct pagemap *map, const struct shadow_page *p)
{
	struct map_entry table = {.gfn = p->gfn, .bits = MAP_TABLE};
	int rc = 0;

	map->about.torn |= p->torn;
	if (p->invalid)
		return 0;
	for (size_t i = 0; !rc && i < p->n_leaves; i++)
		rc = add_leaf(map, &p->leaves[i], p->smm);
	if (rc || p->direct || p->tdp || !is_gfn(p->gfn))
		return rc;
	table.bits |= p->unsync ? MAP_UNSYNC : 0;
	return add_entry(map, layer_of(map, p->gfn, p->smm, true), 0, &table);
}

static int add_pages(struct pagemap *map, const struct map_seen *seen)
{
	int rc = 0;

	map->about.torn |= seen->pages.torn;
	for (size_t i = 0; !rc && i < seen->pages.n; i++)
		rc = add_page(map, &seen->pages.v[i]);
	return rc;
}

static int add_mmio(struct pagemap *map, const struct map_seen *seen)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < seen->mmio.n; i++) {
		const struct mmio_info *m = &seen->mmio.v[i];
		struct map_entry en = {.gfn = m->gfn, .bits = MAP_MMIO};

		map->about.torn |= m->torn;
		if (m->valid && is_gfn(m->gfn))
			rc = add_entry(map, layer_of(map, m->gfn, false, false), 0, &en);
	}
	return rc;
}

/* ---- one entry a gfn */

static int entry_cmp(const void *x, const void *y)
{
	const struct map_entry *a = x, *b = y;

	return a->gfn < b->gfn ? -1 : a->gfn > b->gfn;
}

static void unite(struct map_level *l)
{
	bool sorted = true;
	size_t n = 0;

	for (size_t i = 1; i < l->n && sorted; i++)
		sorted = l->v[i - 1].gfn <= l->v[i].gfn;
	if (!sorted)
		qsort(l->v, l->n, sizeof(*l->v), entry_cmp);
	for (size_t i = 0; i < l->n; i++) {
		if (n && l->v[n - 1].gfn == l->v[i].gfn) {
			l->v[n - 1].bits |= l->v[i].bits;
			l->v[n - 1].sptes += l->v[i].sptes;
		} else {
			l->v[n++] = l->v[i];
		}
	}
	l->n = n;
}

/* ---- against the look before */

static bool differs(const struct map_entry *now, const struct map_entry *was)
{
	return (now->bits ^ was->bits) & MAP_STATE || now->sptes != was->sptes;
}

static uint8_t heat_after(uint8_t heat, bool changed)
{
	heat -= heat > 0;
	if (changed)
		heat = (uint8_t)(heat + 2 < MAP_HEAT_MAX ? heat + 2 : MAP_HEAT_MAX);
	return heat;
}

/* The entry of a gfn after this look; false: nothing is left to say of it. */
static bool follow(const struct map_entry *now, const struct map_entry *was, struct map_entry *out)
{
	const struct map_entry none = {.gfn = now ? now->gfn : was->gfn};
	bool changed;

	now = now ? now : &none;
	was = was ? was : &none;
	changed = differs(now, was);
	*out = *now;
	out->bits = (uint16_t)((now->bits & MAP_STATE) | (changed ? MAP_CHANGED : 0));
	out->heat = heat_after(was->heat, changed);
	return out->bits || out->heat;
}

static int follow_level(struct map_level *l, const struct map_level *was)
{
	struct map_entry *v = calloc(l->n + was->n + 1, sizeof(*v));
	size_t n = 0, i = 0, j = 0;

	if (!v)
		return -ENOMEM;
	while (i < l->n || j < was->n) {
		bool has = i < l->n && (j == was->n || l->v[i].gfn <= was->v[j].gfn);
		bool had = j < was->n && (i == l->n || was->v[j].gfn <= l->v[i].gfn);

		n += follow(has ? &l->v[i] : NULL, had ? &was->v[j] : NULL, &v[n]);
		i += has;
		j += had;
	}
	free(l->v);
	l->v = v;
	l->cap = l->n + was->n + 1;
	l->n = n;
	return 0;
}

static bool knows(const struct pagemap *map)
{
	return map && !map->why[MAP_PART_SPTES][0];
}

static int finish_levels(struct pagemap *map, const struct pagemap *old)
{
	bool compare = knows(map) && knows(old);
	int rc = 0;

	for (unsigned i = 0; i < MAP_LAYERS * MAP_LEVELS && !rc; i++) {
		struct map_level *l = &map->level[i / MAP_LEVELS][i % MAP_LEVELS];

		unite(l);
		if (compare)
			rc = follow_level(l, &old->level[i / MAP_LEVELS][i % MAP_LEVELS]);
		map->about.entries += l->n;
	}
	return rc;
}

/* ---- sums */

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

static int make_blocks(struct pagemap *map)
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

static bool any_armed(const struct pagemap *map, uint64_t first, uint64_t last)
{
	for (size_t i = 0; i < map->n_armed; i++)
		if (map->armed[i].first <= last && map->armed[i].last >= first)
			return true;
	return false;
}

/* A page that a large and a small spte map was counted twice. */
static void no_more_than_pages(struct map_cell *c)
{
	uint64_t *const count[] = {&c->mapped, &c->writable, &c->dirty, &c->huge, &c->tables, &c->mmio};

	for (size_t i = 0; i < ARRAY_LEN(count); i++)
		if (*count[i] > c->pages)
			*count[i] = c->pages;
}

static void count_log(const struct pagemap *map, const struct map_region *r, uint64_t first, uint64_t last,
		      struct map_cell *c)
{
	uint64_t base = r->first >> PAGE_SHIFT;

	if (r->log != MAP_LOG_KNOWN && r->log != MAP_LOG_OLD)
		return;
	c->logged = map_log_count(&map->log[r - map->region], first - base, last - base);
	c->bits |= c->logged ? MAP_LOGGED : 0;
}

struct map_cell pagemap_cell(const struct pagemap *map, const struct map_region *r, uint64_t first, uint64_t last)
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

/* ---- the whole map */

static int keep_armed(struct pagemap *map, const struct map_seen *seen)
{
	map->armed = calloc(seen->n_armed + 1, sizeof(*map->armed));
	if (!map->armed)
		return -ENOMEM;
	for (size_t i = 0; i < seen->n_armed; i++)
		if (seen->armed[i].size)
			map->armed[map->n_armed++] =
			    (struct map_run){seen->armed[i].gpa >> PAGE_SHIFT,
					     (seen->armed[i].gpa + (seen->armed[i].size - 1)) >> PAGE_SHIFT};
	return 0;
}

static void note_about(struct pagemap *map, const struct pagemap *old, const struct map_seen *seen)
{
	memcpy(map->why, seen->why, sizeof(map->why));
	map->about.live = seen->live;
	map->about.looks = old ? old->about.looks + 1 : 1;
	map->about.source = SOURCE_SOFT;
	for (size_t i = 0; i < seen->slots.n; i++)
		map->about.torn |= seen->slots.v[i].torn;
	if (seen->slots.n)
		map->about.source = seen->slots.v[0].source;
	if (seen->pages.n)
		map->about.source = seen->pages.v[0].source;
}

struct map_about pagemap_about(const struct pagemap *map)
{
	struct map_about a = map->about;

	for (unsigned i = 0; i < MAP_PARTS; i++)
		a.why[i] = map->why[i][0] ? map->why[i] : NULL;
	return a;
}

static int fill(struct pagemap *map, const struct pagemap *old, const struct map_seen *seen, struct err *e)
{
	int rc = map_regions_make(map, seen, e);

	if (rc)
		return rc;
	note_about(map, old, seen);
	rc = add_pages(map, seen);
	if (!rc)
		rc = add_mmio(map, seen);
	if (!rc)
		rc = finish_levels(map, old);
	if (!rc)
		rc = make_blocks(map);
	if (!rc)
		rc = keep_armed(map, seen);
	return rc ? err_nomem(e, "map of memory") : map_logs_make(map, old, seen, e);
}

int pagemap_make(struct pagemap **map, const struct map_seen *seen, struct err *e)
{
	struct pagemap *now = calloc(1, sizeof(*now));
	int rc = now ? fill(now, *map, seen, e) : err_nomem(e, "map of memory");

	if (rc) {
		pagemap_destroy(now);
		return rc;
	}
	pagemap_destroy(*map);
	*map = now;
	return 0;
}

void pagemap_destroy(struct pagemap *map)
{
	if (!map)
		return;
	for (unsigned i = 0; i < MAP_LAYERS * MAP_LEVELS; i++) {
		struct map_level *l = &map->level[i / MAP_LEVELS][i % MAP_LEVELS];

		for (unsigned step = 0; step < MAP_BLOCK_STEPS; step++)
			free(l->block[step]);
		free(l->v);
	}
	for (size_t i = 0; map->log && i < map->n_regions; i++)
		free(map->log[i].v);
	free(map->log);
	free(map->armed);
	free(map->reach);
	free(map->region);
	free(map);
}
