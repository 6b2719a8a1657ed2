/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A pane: one rectangle that shows one thing. It is one file and one const struct pane_ops.
 *
 * Most panes are lines: they say how many and draw one at a time, and get the cursor, scrolling, search, mouse, selection
 * and yank from pane.c. One that is no list of lines (the map) draws itself. Panes ask nobody: what they draw is in the
 * scene. A key's answer says what has to be done; the loop decides what that costs.
 */
#ifndef KVMSCOPE_VIEWS_TUI_PANE_H
#define KVMSCOPE_VIEWS_TUI_PANE_H

#include "views/tui/grid.h"
#include "views/tui/key.h"
#include "views/tui/scene.h"

struct pane;

/* What came of a key. */
enum pane_did {
	PANE_IGNORED = 0,
	PANE_HANDLED = 1,
	PANE_REDRAW = 2,
	PANE_SELECT = 4,  /* reply.place is to be selected, in all panes */
	PANE_COMMAND = 8, /* reply.line is to be carried out as if typed */
	PANE_EDIT = 16,	  /* reply.line is to be put into the command line, to be finished by the user */
	PANE_LOOK = 32,	  /* it needs something else now */
};
struct pane_reply {
	struct place place;
	char line[160];
};

struct pane_ops {
	const char *name;	       /* "map", as layouts and the state file have it */
	const char *title;	       /* "Memory map" */
	const char *about;	       /* one sentence for `?` */
	size_t size;		       /* of its own data, zeroed at first */
	const struct key_row *keys;    /* its own, ends with key 0; NULL for none */
	void (*close)(struct pane *p); /* frees what its own data owns; NULL: nothing */

	uint32_t needs; /* SEES(…) */
	/* What a pane of record_pane.h is of, and the view that draws it; and one of a text that grows. */
	enum seen_id seen;
	const char *view;
	enum text_id text;

	/* What follows the title: "(kernel, 3 ms ago)", a mode; NULL: nothing. */
	void (*subtitle)(const struct pane *p, const struct scene *s, struct out *o);

	/* A pane of lines. Called before the others when the scene or the pane's size has changed. */
	void (*update)(struct pane *p, const struct scene *s);
	size_t (*count)(const struct pane *p);
	void (*line)(struct pane *p, const struct scene *s, size_t i, struct out *o); /* styled, without newline */
	bool (*place)(const struct pane *p, const struct scene *s, size_t i, struct place *out);
	/* The line that is about the selection; false: none. NULL: the pane does not follow it. */
	bool (*find)(const struct pane *p, const struct scene *s, size_t *i);
	unsigned header; /* this many lines stay at the top */

	/* Another one draws itself; cursor, search and mouse are its own then too. */
	void (*draw)(struct pane *p, const struct scene *s, struct area a);
	unsigned (*mouse)(struct pane *p, const struct scene *s, const struct mouse *m, struct pane_reply *r);
	bool (*search)(struct pane *p, const struct scene *s, const char *text, bool backwards);

	/* Before pane.c's own keys. enum pane_did. */
	unsigned (*key)(struct pane *p, const struct scene *s, int key, struct pane_reply *r);
};

struct pane {
	const struct pane_ops *ops;
	void *own;	     /* ops->size bytes */
	unsigned rows, cols; /* as last drawn, without title */
	size_t top, cursor;  /* lines */
	unsigned left;	     /* columns scrolled out */
	char pattern[64];    /* of the last search */
	unsigned shown;	     /* the selection that the cursor has followed: scene.sel_generation */
};

struct pane *pane_create(const struct pane_ops *ops); /* NULL: memory */
void pane_destroy(struct pane *p);
/* How many of a pane's columns lines can have: the last one is the scrollbar's, if the pane is not too narrow for one. */
unsigned pane_text_cols(unsigned cols);
/* Draw it into a (title row not included). focus: it gets the keys. */
void pane_draw(struct pane *p, const struct scene *s, struct area a, bool focus);
/* The keys of every pane of lines: arrows, page, home, end, Enter (select), y (yank), left and right. */
unsigned pane_key(struct pane *p, const struct scene *s, int key, struct pane_reply *r);
extern const struct key_row pane_line_keys[];
/* m's row and column count from the area's corner. */
unsigned pane_mouse(struct pane *p, const struct scene *s, const struct mouse *m, struct pane_reply *r);
/* The next (or last) line with the text, case ignored if the text has none; wraps round. */
bool pane_search(struct pane *p, const struct scene *s, const char *text, bool backwards);

/* ---- panes */
extern const struct pane_ops pane_map, pane_selected, pane_trees, pane_registers, pane_code, pane_stack, pane_displays,
    pane_memory, pane_slots, pane_mmio, pane_breakpoints, pane_fault, pane_vcpus, pane_log, pane_console, pane_output;
/* All of them, ends with NULL. */
extern const struct pane_ops *const pane_list[];

#endif
