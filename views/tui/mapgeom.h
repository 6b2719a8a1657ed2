/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Where a map's regions stand when they are drawn as lines of cells: a line for each hole, for any other region a heading
 * and its cells below. Costs by regions, never by cells.
 */
#ifndef KVMSCOPE_VIEWS_TUI_MAPGEOM_H
#define KVMSCOPE_VIEWS_TUI_MAPGEOM_H

#include "core/debug/pagemap.h"

struct mapgeom {
	const struct gpa_region *r; /* the map's own */
	size_t n;
	uint64_t *line; /* n + 1: the first line of each region, and how many lines there are */
	size_t cap;
	unsigned cells; /* in a line, 1 or more */
	unsigned shift; /* a cell is 1 << shift pages; cells are counted from a region's first page */
};

/* One cell; of a hole there is one only. */
struct mappos {
	size_t region;
	uint64_t cell;
};

/* Lay regions out anew. -ENOMEM: as it was. */
int mapgeom_make(struct mapgeom *g, const struct gpa_region *r, size_t n, unsigned cells, unsigned shift) MUST_USE;
void mapgeom_deinit(struct mapgeom *g);
/* How many lines that would be. */
uint64_t mapgeom_lines_with(const struct gpa_region *r, size_t n, unsigned cells, unsigned shift);
static inline uint64_t mapgeom_lines(const struct mapgeom *g)
{
	return g->n ? g->line[g->n] : 0;
}

uint64_t mapgeom_cells(const struct mapgeom *g, size_t region);
/* Region and what a line shows of it: its heading, or cells from .cell on. line < mapgeom_lines(). */
struct mappos mapgeom_at(const struct mapgeom *g, uint64_t line, bool *heading);
uint64_t mapgeom_line_of(const struct mapgeom *g, struct mappos at);
struct mappos mapgeom_pos_of(const struct mapgeom *g, size_t region, uint64_t gpa);
uint64_t mapgeom_first(const struct mapgeom *g, struct mappos at); /* gpas of a cell */
uint64_t mapgeom_last(const struct mapgeom *g, struct mappos at);

/* One cell on or back, into the next region where one ends; it stays at both ends of the map. */
struct mappos mapgeom_step(const struct mapgeom *g, struct mappos at, bool back);
/* Lines on or back, in the same column as far as there are cells; never on a heading. */
struct mappos mapgeom_move(const struct mapgeom *g, struct mappos at, int64_t lines);

#endif
