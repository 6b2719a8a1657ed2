/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The panes that show what a command shows, and the list of all panes.
 */
#include <stdio.h>
#include <string.h>

#include "views/draw.h"
#include "views/tui/record_pane.h"
#include "views/tui/scrollback.h"

/* A pane of one record and nothing more. */
#define RECORD_PANE(ID, VIEW)                                                                                               \
	RECORD_PANE_LINES, .size = sizeof(struct record_pane), .needs = SEES(ID), .seen = SEEN_##ID, .view = VIEW,          \
			   .subtitle = record_pane_subtitle, .update = record_pane_update, .place = record_pane_place

const struct pane_ops pane_slots = {
    RECORD_PANE(SLOTS, "slots"),
    .name = "slots",
    .title = "Slots",
    .about = "Memory slots, as `info slots` has them.",
    .header = 1,
    .find = record_pane_find,
};
const struct pane_ops pane_mmio = {
    RECORD_PANE(MMIO, "mmio"),
    .name = "mmio",
    .title = "MMIO caches",
    .about = "What each vCPU keeps of its last MMIO access: valid, or stale.",
    .header = 1,
    .find = record_pane_find,
};
const struct pane_ops pane_vcpus = {
    RECORD_PANE(VCPUS, "vcpus"),
    .name = "vcpus",
    .title = "vCPUs",
    .about = "Every vCPU, where it is and in which mode.",
    .header = 1,
};
const struct pane_ops pane_displays = {
    RECORD_PANE(DISPLAYS, "displays"),
    .name = "displays",
    .title = "Displays",
    .about = "What `display` shows at every stop.",
};
const struct pane_ops pane_stack = {
    RECORD_PANE(STACK, "telescope"),
    .name = "stack",
    .title = "Stack",
    .about = "The stack, and what its words point to.",
};

/* ---- code: the cursor goes along with the vCPU */

struct code_pane {
	struct record_pane record;
	unsigned generation; /* that the cursor was put by */
};

static void code_update(struct pane *p, const struct scene *s)
{
	struct code_pane *c = p->own;
	const struct record_pane *r = &c->record;

	record_pane_update(p, s);
	if (c->generation == r->generation)
		return;
	c->generation = r->generation;
	for (size_t i = 0; i < r->n; i++) {
		const char *line = r->text.text + r->start[i];
		if (memmem(line, strcspn(line, "\n"), "=> ", 3))
			p->cursor = i;
	}
}

const struct pane_ops pane_code = {
    RECORD_PANE_LINES,
    .name = "code",
    .title = "Code",
    .about = "Instructions where the vCPU stands, or at the selection.",
    .size = sizeof(struct code_pane),
    .needs = SEES(CODE),
    .seen = SEEN_CODE,
    .view = "disas",
    .subtitle = record_pane_subtitle,
    .update = code_update,
    .place = record_pane_place,
    .find = record_pane_find,
};

/* ---- breakpoints: one key turns one on and off */

static unsigned breakpoint_key(struct pane *p, const struct scene *s, int key, struct pane_reply *r)
{
	const struct value *b = record_pane_row(p, s, p->cursor);

	if (!b || (key != ' ' && key != 'd'))
		return PANE_IGNORED;
	snprintf(r->line, sizeof(r->line), "%s %llu",
		 key == 'd'		   ? "delete"
		 : get_truth(b, "enabled") ? "disable"
					   : "enable",
		 (unsigned long long)get_num(b, "id"));
	return PANE_HANDLED | PANE_COMMAND;
}

static const struct key_row breakpoint_keys[] = {
    {' ', 0, "turn this one off, or on"},
    {'d', 0, "delete this one"},
    {0, 0, NULL},
};

const struct pane_ops pane_breakpoints = {
    RECORD_PANE(BREAKPOINTS, "breakpoints"),
    .name = "breakpoints",
    .title = "Breakpoints",
    .about = "Breakpoints, watchpoints and catchpoints, with their hits.",
    .keys = breakpoint_keys,
    .find = record_pane_find,
    .header = 1,
    .key = breakpoint_key,
};

/* ---- text that grows: the pane goes along until the cursor has been moved */

struct text_pane {
	const struct scrollback *text;
	uint64_t end;	  /* lines ever, when it was last drawn */
	uint64_t dropped; /* of them */
	size_t put;	  /* where the cursor was put then */
};

static uint64_t lines_ever(const struct scrollback *b)
{
	return b->dropped + b->n;
}

/* To the end; if what came last is longer than the pane, to its beginning, as far as that is still there. */
static void go_along(struct pane *p, const struct scrollback *b)
{
	p->cursor = b->n ? b->n - 1 : 0;
	if (b->mark < b->dropped || b->mark >= lines_ever(b) || lines_ever(b) - b->mark <= p->rows)
		return;
	p->cursor = p->top = (size_t)(b->mark - b->dropped);
}

static size_t index_of(const struct scrollback *b, uint64_t line)
{
	return line > b->dropped ? (size_t)(line - b->dropped) : 0;
}

static void text_update(struct pane *p, const struct scene *s)
{
	struct text_pane *t = p->own;
	const struct scrollback *b = s->text[p->ops->text];

	t->text = b;
	if (!b || lines_ever(b) == t->end)
		return;
	uint64_t line = t->dropped + p->cursor;
	if (p->cursor == t->put || line + 1 >= t->end) {
		go_along(p, b);
		t->put = p->cursor;
	} else {
		p->top = index_of(b, t->dropped + p->top);
		p->cursor = index_of(b, line);
		t->put = SIZE_MAX; /* no line: the user reads */
	}
	t->end = lines_ever(b);
	t->dropped = b->dropped;
}

static size_t text_count(const struct pane *p)
{
	const struct text_pane *t = p->own;

	return t->text ? t->text->n : 0;
}

static void text_line(struct pane *p, const struct scene *s, size_t i, struct out *o)
{
	(void)s;
	out_text(o, scrollback_line(((struct text_pane *)p->own)->text, i));
}

static bool text_place(const struct pane *p, const struct scene *s, size_t i, struct place *out)
{
	(void)s;
	return place_of_text(scrollback_line(((const struct text_pane *)p->own)->text, i), out);
}

#define TEXT_PANE(ID)                                                                                                       \
	.size = sizeof(struct text_pane), .text = TEXT_##ID, .update = text_update, .count = text_count, .line = text_line, \
	.place = text_place

const struct pane_ops pane_output = {
    TEXT_PANE(OUTPUT),
    .name = "output",
    .title = "Output",
    .about = "What commands have shown, the oldest first.",
};
const struct pane_ops pane_log = {
    TEXT_PANE(LOG),
    .name = "log",
    .title = "Log",
    .about = "Every stop, with why.",
};
const struct pane_ops pane_console = {
    TEXT_PANE(CONSOLE),
    .name = "console",
    .title = "Console",
    .about = "What the guest prints.",
};
