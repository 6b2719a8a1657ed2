/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What panes draw: what was seen of the machine at one moment or another. A pane says what it needs; the collector
 * (cli/tui/collect.h) asks for it at most ten times a second, for all panes together, and says how old it is, whether the
 * guest ran meanwhile, and what it cost.
 *
 * What is seen is records, the ones that text, JSON and Tcl get from the command in the table; what would be too much as
 * records (a row for each of 100,000 pages) is a model of core: the page map, both trees.
 */
#ifndef KVMSCOPE_VIEWS_TUI_SCENE_H
#define KVMSCOPE_VIEWS_TUI_SCENE_H

#include "core/base/value.h"
#include "core/debug/selection.h"

/* X(id, command, about): the command whose value it is; about: which address of the selection follows its words. */
#define SEEN_LIST(X)                                                                                                        \
	X(SLOTS, "info slots", NOTHING)                                                                                     \
	X(MMIO, "info mmio", NOTHING)                                                                                       \
	X(BREAKPOINTS, "info breakpoints", NOTHING)                                                                         \
	X(STAGES, "fault list", NOTHING)                                                                                    \
	X(CHANGES, "diff", FAULT) /* what the last stage of a fault changed */                                              \
	X(VCPUS, "info vcpus", NOTHING)                                                                                     \
	X(CONTEXT, "context regs", NOTHING) /* general registers: what changed, what they point to */                       \
	X(REGISTERS, "info registers", NOTHING)                                                                             \
	X(DISPLAYS, "display", NOTHING)                                                                                     \
	X(STOP, NULL, NOTHING) /* the last stop, as running commands give it */                                             \
	X(RMAP, "info rmap", GFN)                                                                                           \
	X(WALK, "walk", GVA)                                                                                                \
	X(WRITE, "walk", WRITE) /* the same for a write */                                                                  \
	X(CODE, "disas", CODE)	/* around the place where the vCPU stands, or the selection */                              \
	X(STACK, "telescope", NOTHING)                                                                                      \
	X(MEMORY, "mem read", MEMORY) /* a few KiB around the selection, by gva if it has one, else by gpa */

enum seen_about { ABOUT_NOTHING, ABOUT_FAULT, ABOUT_GFN, ABOUT_GVA, ABOUT_WRITE, ABOUT_CODE, ABOUT_MEMORY };
enum seen_id {
#define SEEN_ID(id, command, about) SEEN_##id,
	SEEN_LIST(SEEN_ID) SEEN_RECORDS,
#undef SEEN_ID
	SEEN_MAP = SEEN_RECORDS, /* scene.map */
	SEEN_TABLES,		 /* scene.tables */
	SEEN_COUNT
};
#define SEES(id) (1u << SEEN_##id)

struct seen {
	struct value v;	     /* null before the first look, and after one that failed */
	char error[160];     /* why it cannot be seen; "" if it can */
	bool live;	     /* the guest ran meanwhile: true of some moment, perhaps not of this one */
	bool torn;	     /* it changed under the look */
	uint64_t at;	     /* clock_now_ns() when the look ended; 0: never */
	uint64_t cost;	     /* ns that it took */
	unsigned generation; /* counts looks */
};

/* Text that only grows: what commands showed, the log of stops, the guest's console (views/tui/scrollback.h). */
enum text_id { TEXT_OUTPUT, TEXT_LOG, TEXT_CONSOLE, TEXT_COUNT };

struct pagemap;
struct table_trees;
struct scrollback;

struct scene {
	struct seen seen[SEEN_COUNT];
	struct pagemap *map;	    /* core/debug/pagemap.h; NULL before the first look */
	struct table_trees *tables; /* core/debug/tables.h; NULL before the first look */
	struct scrollback *text[TEXT_COUNT];
	struct place sel;	 /* what is selected, for all panes */
	unsigned sel_generation; /* another number: it was chosen anew */
	bool has_vm, running, parked;
	unsigned vcpu, vcpus;
	bool ascii; /* no line drawing, no blocks: the locale or the terminal has none */
	bool color;
	uint64_t now; /* clock_now_ns() */
};

#endif
