/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The memory map drawn: 1 TiB of slots with 100,000 pages mapped against 1 MiB with all of its 256, in a screen of 40 rows
 * and 120 columns; and what making the map of such a look costs.
 */
#include <stdio.h>
#include <string.h>

#include "core/debug/pagemap.h"
#include "tests/bench/bench.h"
#include "views/tui/map.h"

#define DRAWINGS 20
#define SLOTS 4u

struct drawing {
	struct map_seen seen;
	struct shadow_page page;
	struct slot_info slot[SLOTS];
	struct pagemap *map;
	struct pane *pane;
	struct grid grid;
};

/* Evenly over the slots. */
static bool spread(struct drawing *d, uint64_t size, size_t mapped)
{
	for (uint32_t i = 0; i < SLOTS; i++)
		d->slot[i] = (struct slot_info){
		    .id = i, .gpa = i * (size / SLOTS), .size = size / SLOTS, .vis = SLOT_VIS_BOTH, .source = SOURCE_SOFT};
	d->page = (struct shadow_page){.level = 1, .direct = true, .source = SOURCE_SOFT, .n_leaves = mapped};
	d->page.leaves = calloc(mapped, sizeof(*d->page.leaves));
	for (size_t i = 0; d->page.leaves && i < mapped; i++)
		d->page.leaves[i] = (struct spte_info){.gfn = i * ((size >> PAGE_SHIFT) / mapped),
						       .gfn_known = true,
						       .level = 1,
						       .present = true,
						       .leaf = true,
						       .writable = i % 3};
	d->seen.slots = (struct slot_info_list){d->slot, SLOTS};
	d->seen.pages = (struct shadow_page_list){.v = &d->page, .n = 1};
	return d->page.leaves;
}

static bool open_drawing(struct drawing *d, uint64_t size, size_t mapped)
{
	memset(d, 0, sizeof(*d));
	d->pane = pane_create(&pane_map);
	return d->pane && spread(d, size, mapped) && !grid_resize(&d->grid, 40, 120) &&
	       !pagemap_make(&d->map, &d->seen, NULL);
}

static void close_drawing(struct drawing *d)
{
	free(d->page.leaves);
	pagemap_destroy(d->map);
	pane_destroy(d->pane);
	grid_deinit(&d->grid);
}

static double draw(void *arg)
{
	struct drawing *d = arg;
	struct scene s = {.map = d->map};
	double t = bench_now();

	for (int i = 0; i < DRAWINGS; i++)
		pane_draw(d->pane, &s, area_whole(&d->grid), true);
	return bench_now() - t;
}

/* The same for one cell of the screen: 1 MiB has fewer of them than it has room for. */
static double draw_cell(void *arg)
{
	const struct drawing *d = arg;
	double t = draw(arg);
	uint64_t cells = 0;

	for (size_t i = 0; i < ((const struct map_pane *)d->pane->own)->geom.n; i++)
		cells += mapgeom_cells(&((const struct map_pane *)d->pane->own)->geom, i);
	return t / (double)cells;
}

static double look(void *arg)
{
	struct drawing *d = arg;
	double t = bench_now();

	if (pagemap_make(&d->map, &d->seen, NULL))
		return bench_fail("no memory");
	return bench_now() - t;
}

void bench_pagemap(void)
{
	struct drawing large, small;
	const struct figure f[] = {
	    {"map drawn, 1 TiB, 100,000 pages mapped", draw, NULL, &large, NULL, 21, DRAWINGS, "ms", 0, 2},
	    {"a cell of it (floor: of 1 MiB)", draw_cell, draw_cell, &large, &small, 21, DRAWINGS, "us", 0, 0},
	    {"map made of 100,000 sptes", look, NULL, &large, NULL, 11, 1, "ms", 0, 20},
	};

	if (!open_drawing(&large, 1ull << 40, 100000) || !open_drawing(&small, 1 << 20, 256))
		bench_skip("map", "no memory");
	else
		for (size_t i = 0; i < ARRAY_LEN(f); i++)
			bench_figure(&f[i]);
	close_drawing(&large);
	close_drawing(&small);
}
