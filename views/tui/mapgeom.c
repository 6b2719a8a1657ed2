/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Lines of a map and its cells: which is where.
 */
#include "views/tui/mapgeom.h"

#include <errno.h>

static uint64_t cells_of(const struct gpa_region *r, unsigned shift)
{
	return r->kind == GPA_HOLE ? 1 : (((r->last >> PAGE_SHIFT) - (r->first >> PAGE_SHIFT)) >> shift) + 1;
}

static uint64_t lines_of(const struct gpa_region *r, unsigned cells, unsigned shift)
{
	return r->kind == GPA_HOLE ? 1 : 1 + (cells_of(r, shift) - 1) / cells + 1;
}

uint64_t mapgeom_lines_with(const struct gpa_region *r, size_t n, unsigned cells, unsigned shift)
{
	uint64_t lines = 0;

	for (size_t i = 0; i < n; i++)
		lines += lines_of(&r[i], cells, shift);
	return lines;
}

int mapgeom_make(struct mapgeom *g, const struct gpa_region *r, size_t n, unsigned cells, unsigned shift)
{
	if (g->cap < n + 1) {
		uint64_t *line = realloc(g->line, (n + 1) * 2 * sizeof(*line));

		if (!line)
			return -ENOMEM;
		g->line = line;
		g->cap = (n + 1) * 2;
	}
	g->r = r;
	g->n = n;
	g->cells = cells;
	g->shift = shift;
	g->line[0] = 0;
	for (size_t i = 0; i < n; i++)
		g->line[i + 1] = g->line[i] + lines_of(&r[i], cells, shift);
	return 0;
}

void mapgeom_deinit(struct mapgeom *g)
{
	free(g->line);
	*g = (struct mapgeom){0};
}

uint64_t mapgeom_cells(const struct mapgeom *g, size_t region)
{
	return cells_of(&g->r[region], g->shift);
}

struct mappos mapgeom_at(const struct mapgeom *g, uint64_t line, bool *heading)
{
	size_t lo = 0, hi = g->n;

	while (hi - lo > 1) {
		size_t mid = (lo + hi) / 2;

		if (g->line[mid] <= line)
			lo = mid;
		else
			hi = mid;
	}
	line -= g->line[lo];
	*heading = !line && g->r[lo].kind != GPA_HOLE;
	return (struct mappos){lo, line ? (line - 1) * g->cells : 0};
}

uint64_t mapgeom_line_of(const struct mapgeom *g, struct mappos at)
{
	return g->line[at.region] + (g->r[at.region].kind == GPA_HOLE ? 0 : 1 + at.cell / g->cells);
}

struct mappos mapgeom_pos_of(const struct mapgeom *g, size_t region, uint64_t gpa)
{
	const struct gpa_region *r = &g->r[region];

	if (r->kind == GPA_HOLE || gpa < r->first)
		return (struct mappos){region, 0};
	gpa = MIN(gpa, r->last);
	return (struct mappos){region, ((gpa >> PAGE_SHIFT) - (r->first >> PAGE_SHIFT)) >> g->shift};
}

uint64_t mapgeom_first(const struct mapgeom *g, struct mappos at)
{
	return g->r[at.region].first + (at.cell << g->shift << PAGE_SHIFT);
}

uint64_t mapgeom_last(const struct mapgeom *g, struct mappos at)
{
	if (at.cell + 1 >= mapgeom_cells(g, at.region))
		return g->r[at.region].last;
	at.cell++;
	return mapgeom_first(g, at) - 1;
}

struct mappos mapgeom_step(const struct mapgeom *g, struct mappos at, bool back)
{
	if (back && at.cell)
		return (struct mappos){at.region, at.cell - 1};
	if (!back && at.cell + 1 < mapgeom_cells(g, at.region))
		return (struct mappos){at.region, at.cell + 1};
	if (back && at.region)
		return (struct mappos){at.region - 1, mapgeom_cells(g, at.region - 1) - 1};
	if (!back && at.region + 1 < g->n)
		return (struct mappos){at.region + 1, 0};
	return at;
}

struct mappos mapgeom_move(const struct mapgeom *g, struct mappos at, int64_t lines)
{
	uint64_t column = at.cell % g->cells, from = mapgeom_line_of(g, at), end = mapgeom_lines(g) - 1, to;
	bool heading;

	if (lines < 0)
		to = from > (uint64_t)-lines ? from - (uint64_t)-lines : 0;
	else
		to = MIN(end - from, (uint64_t)lines) + from;
	at = mapgeom_at(g, to, &heading);
	if (heading && lines < 0 && to)
		at = mapgeom_at(g, to - 1, &heading);
	at.cell = MIN(at.cell + column, mapgeom_cells(g, at.region) - 1);
	return at;
}
