/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * How the screen is divided among panes: splits in rows or columns, with weights. A layout has a text form, which presets
 * and the state file are written in:
 *
 *   ((map:5 | selected:3):4 / output:1)     map and selected side by side, output below; numbers are weights, 1 if left out
 *
 * A pane that is too small to be of use gives its room to its neighbours until there is more.
 */
#ifndef KVMSCOPE_VIEWS_TUI_LAYOUT_H
#define KVMSCOPE_VIEWS_TUI_LAYOUT_H

#include "core/base/err.h"
#include "views/tui/pane.h"

#define LAYOUT_NODES 32
#define LAYOUT_DEPTH 8

enum node_kind { NODE_PANE, NODE_COLUMNS, NODE_ROWS };
struct layout_node {
	enum node_kind kind;
	int parent;	 /* -1: the root */
	unsigned weight; /* among its siblings */
	const struct pane_ops *ops;
	bool hidden;
	/* After layout_place(), of panes that are drawn: the first row is the title's. */
	bool placed;
	unsigned row, col, rows, cols;
};

struct layout {
	struct layout_node node[LAYOUT_NODES]; /* a node before what is in it; siblings in their order */
	int n;
	int focus;   /* the pane that gets the keys: an index */
	bool zoomed; /* it alone is drawn */
};

/* panes: the list of what may stand in it, ends with NULL. -EINVAL: not such a text, and where; out is as it was. */
int layout_parse(struct layout *out, const char *text, const struct pane_ops *const *panes, struct err *e) MUST_USE;
void layout_format(const struct layout *l, struct out *o);
/* Give every pane its place in rows and columns; lines between columns take one. */
void layout_place(struct layout *l, unsigned rows, unsigned cols);
/* The placed pane there, or -1. */
int layout_at(const struct layout *l, unsigned row, unsigned col);
/* The one that shows this, or -1. */
int layout_find(const struct layout *l, const struct pane_ops *ops);
/* The focus to the next placed pane, by their order; by -1: to the one before. */
void layout_focus_next(struct layout *l, int by);
/* The pane in focus gets wider or higher by this many hundredths of its split. False: there is nothing beside it. */
bool layout_grow(struct layout *l, bool columns, int by);
/* Hide the pane in focus (not the last one); show all again. */
bool layout_hide(struct layout *l);
void layout_show_all(struct layout *l);

#endif
