/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Building the list: slots as they are, windows less the slots that hide them, then holes where a sweep finds nothing.
 */
#include "core/machine/gpamap.h"

#include <stdio.h>
#include <string.h>

struct builder {
	struct gpa_map map;
	size_t cap;
	bool failed;
};

const char *gpa_kind_name(enum gpa_kind k)
{
	static const char *const names[] = {"ram", "rom", "device", "hole"};

	return names[k];
}

void gpa_map_free(struct gpa_map *map)
{
	free(map->v);
	*map = (struct gpa_map){.v = NULL};
}

static void add(struct builder *b, const struct gpa_region *r)
{
	if (b->map.n == b->cap) {
		size_t cap = b->cap ? b->cap * 2 : 32;
		struct gpa_region *v = realloc(b->map.v, cap * sizeof(*v));
		if (!v) {
			b->failed = true;
			return;
		}
		b->map.v = v;
		b->cap = cap;
	}
	b->map.v[b->map.n++] = *r;
}

/* What a machine gives of the kernel's memory may be anything: a slot may wrap, or be seen from nowhere. */
static void add_slot(struct builder *b, const struct slot_info *s)
{
	struct gpa_region r = {.first = s->gpa,
			       .last = range_wraps(s->gpa, s->size) ? UINT64_MAX : s->gpa + (s->size - 1),
			       .kind = s->flags & SLOT_READONLY ? GPA_ROM : GPA_RAM,
			       .vis = s->vis & SLOT_VIS_BOTH ? s->vis & SLOT_VIS_BOTH : SLOT_VIS_BOTH,
			       .slot = s->id,
			       .flags = s->flags,
			       .own = s->own};

	if (s->size)
		add(b, &r);
}

/* Windows go behind the slots, so that the first n_slots regions are those. */
static int by_address(const void *a, const void *b)
{
	const struct gpa_region *x = a, *y = b;

	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	if (x->kind != y->kind)
		return (x->kind > y->kind) - (x->kind < y->kind);
	return x->vis != y->vis ? (x->vis > y->vis) - (x->vis < y->vis) : (x->slot > y->slot) - (x->slot < y->slot);
}

/* What of a window is seen in one view: the pieces between the slots there, which are sorted. */
static void add_window(struct builder *b, size_t n_slots, const struct board_window *w, enum slot_vis view)
{
	struct gpa_region piece = {.first = w->gpa, .kind = GPA_DEVICE, .vis = view};
	uint64_t last = w->gpa + (w->size - 1);

	snprintf(piece.name, sizeof(piece.name), "%s", w->name);
	for (size_t i = 0; i < n_slots; i++) {
		const struct gpa_region s = b->map.v[i];
		if (!(s.vis & view) || s.last < piece.first || s.first > last)
			continue;
		piece.last = s.first - 1;
		if (s.first > piece.first)
			add(b, &piece);
		if (s.last >= last)
			return;
		piece.first = s.last + 1;
	}
	piece.last = last;
	add(b, &piece);
}

/* A piece that both views see is one region. */
static void join_views(struct gpa_map *map)
{
	size_t to = 0;

	for (size_t i = 0; i < map->n; i++) {
		struct gpa_region *r = &map->v[i], *before = to ? &map->v[to - 1] : NULL;
		if (before && r->kind == before->kind && r->first == before->first && r->last == before->last &&
		    r->slot == before->slot && !strcmp(r->name, before->name))
			before->vis |= r->vis;
		else
			map->v[to++] = *r;
	}
	map->n = to;
}

static void add_hole(struct builder *b, uint64_t first, uint64_t end)
{
	if (first < end)
		add(b, &(struct gpa_region){.first = first, .last = end - 1, .kind = GPA_HOLE, .vis = SLOT_VIS_BOTH});
}

static void add_holes(struct builder *b, uint64_t limit)
{
	size_t n = b->map.n;
	uint64_t next = 0;
	bool full = false;

	for (size_t i = 0; i < n && !full; i++) {
		uint64_t last = b->map.v[i].last;
		add_hole(b, next, b->map.v[i].first);
		full = last == UINT64_MAX;
		if (last >= next && !full)
			next = last + 1;
	}
	if (!full)
		add_hole(b, next, limit);
}

static void sort(struct builder *b)
{
	if (b->map.n)
		qsort(b->map.v, b->map.n, sizeof(*b->map.v), by_address);
}

int gpa_map_build(const struct slot_info_list *slots, const struct board *board, uint64_t limit, bool own,
		  struct gpa_map *out, struct err *e)
{
	struct builder b = {.cap = 0};

	for (size_t i = 0; i < slots->n; i++)
		if (own || !slots->v[i].own)
			add_slot(&b, &slots->v[i]);
	sort(&b);
	size_t n_slots = b.map.n;
	for (unsigned i = 0; board && i < board->n_windows; i++) {
		add_window(&b, n_slots, &board->window[i], SLOT_VIS_NONSMM);
		add_window(&b, n_slots, &board->window[i], SLOT_VIS_SMM);
	}
	sort(&b);
	join_views(&b.map);
	add_holes(&b, limit);
	sort(&b);
	if (b.failed) {
		gpa_map_free(&b.map);
		return err_nomem(e, "map of guest physical memory");
	}
	*out = b.map;
	return 0;
}
