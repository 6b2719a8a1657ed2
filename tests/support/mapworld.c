/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Maps for tests. Running out of memory here ends the test.
 */
#include "tests/support/mapworld.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A zeroed element at the end of an array, whose room is the next power of two. */
static void *push(void *array, size_t *n, size_t size)
{
	void **at = array;
	size_t k = (*n)++;

	if (!(k & (k - 1)))
		*at = realloc(*at, (k ? k * 2 : 1) * size);
	if (!*at)
		abort();
	return memset((char *)*at + k * size, 0, size);
}

void mapworld_slot(struct mapworld *w, uint32_t id, uint64_t gpa, uint64_t size, uint32_t flags, enum slot_vis vis)
{
	struct slot_info *s = push(&w->seen.slots.v, &w->seen.slots.n, sizeof(*s));

	*s = (struct slot_info){.id = id, .gpa = gpa, .size = size, .flags = flags, .vis = vis, .source = SOURCE_SOFT};
}

void mapworld_device(struct mapworld *w, const char *name, uint64_t gpa, uint64_t size)
{
	w->board.window[w->board.n_windows++] = board_scratch_window(name, gpa, size);
}

void mapworld_armed(struct mapworld *w, uint64_t gpa, uint64_t size)
{
	struct map_range *a = push(&w->seen.armed, &w->seen.n_armed, sizeof(*a));

	*a = (struct map_range){gpa, size};
}

static struct shadow_page *add_page(struct mapworld *w)
{
	struct shadow_page *p = push(&w->seen.pages.v, &w->seen.pages.n, sizeof(*p));

	p->level = 1;
	p->source = SOURCE_SOFT;
	return p;
}

struct shadow_page *mapworld_table(struct mapworld *w, uint64_t gfn, bool unsync, bool smm)
{
	struct shadow_page *p = add_page(w);

	p->gfn = gfn;
	p->unsync = unsync;
	p->smm = smm;
	return p;
}

struct spte_info *mapworld_leaf(struct mapworld *w, uint64_t gfn, uint32_t bits, unsigned level)
{
	struct shadow_page *p = w->seen.pages.n ? &w->seen.pages.v[w->seen.pages.n - 1] : add_page(w);
	struct spte_info *s = push(&p->leaves, &p->n_leaves, sizeof(*s));

	if (w->seen.pages.n == 1 && !p->gfn)
		p->direct = true;
	*s = (struct spte_info){.gfn = gfn,
				.gfn_known = true,
				.level = level,
				.mmio = bits & MAP_MMIO,
				.present = !(bits & MAP_MMIO),
				.leaf = true,
				.writable = bits & MAP_WRITABLE,
				.accessed = bits & MAP_ACCESSED,
				.dirty = bits & MAP_DIRTY,
				.source = SOURCE_SOFT};
	return s;
}

void mapworld_log(struct mapworld *w, uint32_t slot, uint64_t pages, const uint64_t *set, size_t n)
{
	struct map_log_seen *l = push(&w->seen.log, &w->seen.n_log, sizeof(*l));

	*l = (struct map_log_seen){.slot = slot, .n_words = (pages + 63) / 64};
	l->bits = calloc(l->n_words, sizeof(*l->bits));
	if (!l->bits)
		abort();
	for (size_t i = 0; i < n; i++)
		l->bits[set[i] / 64] |= 1ull << set[i] % 64;
}

void mapworld_unlog(struct mapworld *w)
{
	for (size_t i = 0; i < w->seen.n_log; i++)
		free(w->seen.log[i].bits);
	free(w->seen.log);
	w->seen.log = NULL;
	w->seen.n_log = 0;
}

void mapworld_look(struct mapworld *w)
{
	w->seen.board = &w->board;
	if (pagemap_make(&w->map, &w->seen, NULL))
		abort();
}

void mapworld_forget(struct mapworld *w)
{
	shadow_page_list_free(&w->seen.pages);
}

void mapworld_close(struct mapworld *w)
{
	mapworld_unlog(w);
	mapworld_forget(w);
	slot_info_list_free(&w->seen.slots);
	mmio_info_list_free(&w->seen.mmio);
	free(w->seen.armed);
	pagemap_destroy(w->map);
	*w = (struct mapworld){0};
}

#define SPREAD_SLOTS 4
void mapworld_spread(struct mapworld *w, uint64_t size, size_t n)
{
	uint64_t pages = size >> PAGE_SHIFT;

	for (uint32_t i = 0; i < SPREAD_SLOTS; i++)
		mapworld_slot(w, i, i * (size / SPREAD_SLOTS), size / SPREAD_SLOTS, 0, SLOT_VIS_BOTH);
	for (size_t i = 0; i < n; i++)
		mapworld_leaf(w, (uint64_t)i * (pages / n), MAP_ACCESSED | (i % 3 ? MAP_WRITABLE : 0), 1);
}

const struct gpa_region *mapworld_region(const struct pagemap *map, size_t i)
{
	size_t n;
	const struct gpa_region *r = pagemap_regions(map, &n);

	assert_true(i < n);
	return &r[i];
}

const struct gpa_region *mapworld_region_of(const struct pagemap *map, uint32_t id)
{
	size_t n;
	const struct gpa_region *r = pagemap_regions(map, &n);

	for (size_t i = 0; i < n; i++)
		if (gpa_is_slot(&r[i]) && r[i].slot == id)
			return &r[i];
	fail_msg("no slot %u", id);
	return NULL;
}

enum map_log_state mapworld_log_state(const struct pagemap *map, uint32_t slot)
{
	return pagemap_log_state(map, mapworld_region_of(map, slot));
}

struct map_cell mapworld_page(const struct pagemap *map, uint32_t slot, uint64_t gfn)
{
	return pagemap_cell(map, mapworld_region_of(map, slot), gfn << PAGE_SHIFT, (gfn << PAGE_SHIFT) + PAGE_OFFSET_MASK);
}

uint32_t mapworld_state(const struct pagemap *map, uint32_t slot, uint64_t gfn)
{
	return mapworld_page(map, slot, gfn).bits & ~(uint32_t)MAP_CHANGED;
}
