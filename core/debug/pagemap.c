/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The map's entries: one for each gfn that anything is known of, made from what a look has seen, and compared with those of
 * the look before.
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
	const struct gpa_region *r = map_slot_at(map, gfn, smm);

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

/* ---- the whole map */

static int run_cmp(const void *x, const void *y)
{
	const struct map_run *a = x, *b = y;

	return a->first < b->first ? -1 : a->first > b->first;
}

static int keep_armed(struct pagemap *map, const struct map_seen *seen)
{
	struct map_run *v = calloc(seen->n_armed + 1, sizeof(*v));
	size_t n = 0;

	map->armed = v;
	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < seen->n_armed; i++) {
		const struct map_range *a = &seen->armed[i];

		if (a->size && !range_wraps(a->gpa, a->size))
			v[n++] = (struct map_run){a->gpa >> PAGE_SHIFT, (a->gpa + (a->size - 1)) >> PAGE_SHIFT};
	}
	qsort(v, n, sizeof(*v), run_cmp);
	for (size_t i = 0; i < n; i++) {
		struct map_run *last = map->n_armed ? &v[map->n_armed - 1] : NULL;

		if (last && v[i].first <= last->last + 1)
			last->last = MAX(last->last, v[i].last);
		else
			v[map->n_armed++] = v[i];
	}
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
		rc = map_sums_make(map);
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
	for (size_t i = 0; map->log && i < map->regions.n; i++)
		free(map->log[i].v);
	free(map->log);
	free(map->armed);
	free(map->reach);
	gpa_map_free(&map->regions);
	free(map);
}
