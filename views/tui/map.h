/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The memory map's own: what pane_map.c (keys, moving about) and map_draw.c (drawing) share.
 */
#ifndef KVMSCOPE_VIEWS_TUI_MAP_H
#define KVMSCOPE_VIEWS_TUI_MAP_H

#include "views/tui/mapgeom.h"
#include "views/tui/pane.h"

/* What a cell's letter and colour mean. */
enum map_mode { MAP_MODE_MAPPING, MAP_MODE_DIRTY, MAP_MODE_RMAP, MAP_MODE_HEAT, MAP_MODES };

struct map_pane {
	struct mapgeom geom;
	const struct pagemap *map; /* that geom is of */
	uint64_t looks;		   /* and the look */
	bool zoomed;		   /* by the user; else as much is shown as fits */
	unsigned shift;		   /* see struct mapgeom */
	enum map_mode mode;
	bool no_legend;
	uint64_t top;	  /* the first line that is drawn */
	struct mappos at; /* the cursor's cell */
	/* The cursor's place, which outlives a layout. */
	uint64_t gpa;
	enum slot_vis vis;
	/* as last drawn: rows of lines, columns of addresses */
	unsigned body, margin;
};

const char *map_mode_name(enum map_mode m);
/* "slot 1 0x80000-0x8ffff 64 KiB readonly", plain text. */
void map_heading(const struct gpa_region *r, struct out *o);
/* "4 KiB", of a cell of so many pages. */
void map_cell_size(struct out *o, unsigned shift);
/* The first line is of cells whose heading is above the screen: it is drawn in their place. */
bool map_heading_stays(const struct map_pane *m);
/* Columns that addresses take in front of cells, and how many rows the lines below the cells take. */
unsigned map_margin(const struct gpa_region *r, size_t n);
unsigned map_footer_rows(const struct map_pane *m, struct area a);
/* Everything; the pane has been laid out and its cursor is visible. */
void map_draw(const struct map_pane *m, const struct scene *s, struct area a);

#endif
