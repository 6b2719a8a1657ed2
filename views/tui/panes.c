/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The panes that show what a command shows, and the list of all panes.
 */
#include <stdio.h>
#include <string.h>

#include "views/draw.h"
#include "views/tui/record_pane.h"
#include "views/tui/scrollback.h"

/* One pane of a record: NAME needs SEEN_ID, drawn by VIEW; HEADER lines stay at the top. */
#define RECORD_PANE(ident, ID, VIEW, HEADER, NAME, TITLE, ABOUT, ...)                                                       \
	static uint32_t ident##_needs(const struct pane *p)                                                                 \
	{                                                                                                                   \
		(void)p;                                                                                                    \
		return SEES(ID);                                                                                            \
	}                                                                                                                   \
	static void ident##_update(struct pane *p, const struct scene *s)                                                   \
	{                                                                                                                   \
		record_pane_update(p, s, SEEN_##ID, VIEW);                                                                  \
	}                                                                                                                   \
	static void ident##_subtitle(const struct pane *p, const struct scene *s, struct out *o)                            \
	{                                                                                                                   \
		(void)p;                                                                                                    \
		record_pane_subtitle(s, SEEN_##ID, o);                                                                      \
	}                                                                                                                   \
	const struct pane_ops pane_##ident = {.name = NAME,                                                                 \
					      .title = TITLE,                                                               \
					      .about = ABOUT,                                                               \
					      .size = sizeof(struct record_pane),                                           \
					      .close = record_pane_close,                                                   \
					      .needs = ident##_needs,                                                       \
					      .subtitle = ident##_subtitle,                                                 \
					      .update = ident##_update,                                                     \
					      .count = record_pane_count,                                                   \
					      .line = record_pane_line,                                                     \
					      .place = record_pane_place,                                                   \
					      .header = HEADER,                                                             \
					      __VA_ARGS__}

RECORD_PANE(slots, SLOTS, "slots", 1, "slots", "Slots", "Memory slots, as `info slots` has them.", .find = record_pane_find);
RECORD_PANE(mmio, MMIO, "mmio", 1, "mmio", "MMIO caches", "What each vCPU keeps of its last MMIO access: valid, or stale.",
	    .find = record_pane_find);
RECORD_PANE(vcpus, VCPUS, "vcpus", 1, "vcpus", "vCPUs", "Every vCPU, where it is and in which mode.", );
RECORD_PANE(displays, DISPLAYS, "displays", 0, "displays", "Displays", "What `display` shows at every stop.", );
RECORD_PANE(stack, STACK, "telescope", 0, "stack", "Stack", "The stack, and what its words point to.", );

/* ---- code: the cursor goes along with the vCPU */

struct code_pane {
	struct record_pane record;
	unsigned generation; /* that the cursor was put by */
};

static void code_update(struct pane *p, const struct scene *s)
{
	struct code_pane *c = p->own;
	const struct record_pane *r = &c->record;

	record_pane_update(p, s, SEEN_CODE, "disas");
	if (c->generation == r->generation)
		return;
	c->generation = r->generation;
	for (size_t i = 0; i < r->n; i++) {
		const char *line = r->text.text + r->start[i];
		if (memmem(line, strcspn(line, "\n"), "=> ", 3))
			p->cursor = i;
	}
}

static uint32_t code_needs(const struct pane *p)
{
	(void)p;
	return SEES(CODE);
}

static void code_subtitle(const struct pane *p, const struct scene *s, struct out *o)
{
	(void)p;
	record_pane_subtitle(s, SEEN_CODE, o);
}

const struct pane_ops pane_code = {
    .name = "code",
    .title = "Code",
    .about = "Instructions where the vCPU stands, or at the selection.",
    .size = sizeof(struct code_pane),
    .close = record_pane_close,
    .needs = code_needs,
    .subtitle = code_subtitle,
    .update = code_update,
    .count = record_pane_count,
    .line = record_pane_line,
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

RECORD_PANE(breakpoints, BREAKPOINTS, "breakpoints", 1, "breakpoints", "Breakpoints",
	    "Breakpoints, watchpoints and catchpoints, with their hits.", .find = record_pane_find, .keys = breakpoint_keys,
	    .key = breakpoint_key);

/* ---- text that grows: the pane goes along until the cursor has been moved */

struct text_pane {
	enum text_id id;
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

static void text_update(struct pane *p, const struct scene *s, enum text_id id)
{
	struct text_pane *t = p->own;
	const struct scrollback *b = s->text[id];

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

static uint32_t needs_nothing(const struct pane *p)
{
	(void)p;
	return 0;
}

#define TEXT_PANE(ident, ID, NAME, TITLE, ABOUT)                                                                            \
	static void ident##_update(struct pane *p, const struct scene *s)                                                   \
	{                                                                                                                   \
		text_update(p, s, ID);                                                                                      \
	}                                                                                                                   \
	const struct pane_ops pane_##ident = {.name = NAME,                                                                 \
					      .title = TITLE,                                                               \
					      .about = ABOUT,                                                               \
					      .size = sizeof(struct text_pane),                                             \
					      .needs = needs_nothing,                                                       \
					      .update = ident##_update,                                                     \
					      .count = text_count,                                                          \
					      .line = text_line,                                                            \
					      .place = text_place}

TEXT_PANE(output, TEXT_OUTPUT, "output", "Output", "What commands have shown, the oldest first.");
TEXT_PANE(log, TEXT_LOG, "log", "Log", "Every stop, with why.");
TEXT_PANE(console, TEXT_CONSOLE, "console", "Console", "What the guest prints.");
