/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The guest's page tables and the host's side by side, folded and opened like a directory tree; what they disagree about at
 * the end of each line. Rows come from the model (core/debug/tables.h), which reads tables when they are opened.
 */
#include "views/tui/pane.h"

#include "views/draw.h"
#include "views/tui/record_pane.h"
#include "views/tui/trees_line.h"

#define HEADER 1u
/* Where the cursor stands, to be found again when rows have new numbers. */
struct cursor {
	bool valid, by_gpa;
	uint64_t first;
	unsigned depth;
	size_t line;
};

struct trees_pane {
	size_t rows;
	unsigned width_address;
	unsigned generation;
	struct cursor cursor;
	bool follow; /* the selection's tables are not all open yet */
	bool follow_gpa;
	uint64_t follow_address;
};

static void subtitle(const struct pane *p, const struct scene *s, struct out *o)
{
	const struct trees_about *about;

	if (s->tables) {
		about = trees_about(s->tables);
		out_textf(o, "vCPU %u, %s", about->vcpu,
			  about->mode == PAGING_NONE ? "paging is off" : paging_mode_name(about->mode));
		if (about->tdp)
			out_text(o, ", TDP: the host's are by gpa");
		if (trees_wants(s->tables))
			out_styled(o, STYLE_DIM, "  opening");
		if (about->cut)
			out_styled(o, STYLE_WARN, "  not all of it: * goes on");
		if (about->torn && !s->seen[SEEN_TABLES].torn)
			out_styled(o, STYLE_WARN, "  torn");
		out_text(o, "  ");
	}
	record_pane_subtitle(p, s, o);
}

/* ---- the cursor and what is followed */

static void remember_cursor(struct pane *p, const struct scene *s)
{
	struct trees_pane *t = p->own;
	struct trees_row r;

	t->cursor.valid = p->cursor >= HEADER && trees_row(s->tables, p->cursor - HEADER, &r);
	if (t->cursor.valid)
		t->cursor = (struct cursor){true, r.by_gpa, r.first, r.depth, p->cursor};
}

/* Rows have new numbers: to the one of before, or the nearest that is open above it. */
static void restore_cursor(struct pane *p, const struct scene *s)
{
	const struct cursor *c = &((struct trees_pane *)p->own)->cursor;
	struct trees_row r;
	size_t i;

	if (!c->valid || p->cursor != c->line || !trees_find(s->tables, c->by_gpa, c->first, &i, NULL))
		return;
	while (trees_row(s->tables, i, &r) && r.depth > c->depth && trees_parent(s->tables, i, &i))
		;
	p->cursor = i + HEADER;
}

static void follow(struct pane *p, const struct scene *s)
{
	struct trees_pane *t = p->own;
	bool exact = true;
	size_t i;

	if (!t->follow)
		return;
	if (trees_find(s->tables, t->follow_gpa, t->follow_address, &i, &exact))
		p->cursor = i + HEADER;
	t->follow = !exact && trees_open_path(s->tables, t->follow_gpa, t->follow_address);
}

static unsigned address_width(const struct table_trees *trees)
{
	size_t n = trees_count(trees), lo = 0, hi = n;
	unsigned width = 0;
	struct trees_row r;

	while (lo < hi) { /* the first row of the host's own tree, behind the guest's */
		size_t mid = (lo + hi) / 2;

		if (trees_row(trees, mid, &r) && !r.by_gpa)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo && trees_row(trees, lo - 1, &r))
		width = hex_width(r.first);
	if (n > lo && trees_row(trees, n - 1, &r))
		width = MAX(width, hex_width(r.first));
	return width;
}

static void update(struct pane *p, const struct scene *s)
{
	struct trees_pane *t = p->own;
	const struct seen *seen = &s->seen[SEEN_TABLES];

	t->rows = s->tables ? trees_count(s->tables) : 0;
	if (!s->tables)
		return;
	if (seen->generation != t->generation)
		restore_cursor(p, s);
	t->generation = seen->generation;
	follow(p, s);
	t->width_address = MAX(address_width(s->tables), 10u);
	remember_cursor(p, s);
}

static size_t count(const struct pane *p)
{
	const struct trees_pane *t = p->own;

	return HEADER + (t->rows ? t->rows : 1);
}

static bool find(const struct pane *p, const struct scene *s, size_t *i)
{
	struct trees_pane *t = p->own;
	bool tdp = s->tables && trees_about(s->tables)->tdp;

	t->follow = s->sel.has_gva || (s->sel.has_gpa && tdp);
	t->follow_gpa = !s->sel.has_gva;
	t->follow_address = t->follow_gpa ? s->sel.gpa : s->sel.gva;
	if (!t->follow || !s->tables || !trees_find(s->tables, t->follow_gpa, t->follow_address, i, NULL))
		return false;
	trees_open_path(s->tables, t->follow_gpa, t->follow_address);
	*i += HEADER;
	return true;
}

static bool place(const struct pane *p, const struct scene *s, size_t i, struct place *out)
{
	struct trees_row r;

	(void)p;
	if (i < HEADER || !s->tables || !trees_row(s->tables, i - HEADER, &r))
		return false;
	*out =
	    (struct place){.has_gva = !r.by_gpa && r.depth, .has_gpa = r.by_gpa && r.depth, .gva = r.first, .gpa = r.first};
	if (r.by_gpa || !r.depth)
		return r.depth > 0;
	if (r.has_guest && r.guest_leaf) {
		out->has_gpa = true;
		out->gpa = r.gpa;
	} else if (r.spte && r.spte->leaf && r.spte->gfn_known) {
		out->has_gpa = true;
		out->gpa = r.spte->gfn << PAGE_SHIFT;
	}
	return true;
}

static void line(struct pane *p, const struct scene *s, size_t i, struct out *o)
{
	const struct trees_pane *t = p->own;
	struct trees_row r;

	if (s->tables && (i < HEADER || trees_row(s->tables, i - HEADER, &r)))
		trees_line(s->tables, i < HEADER ? NULL : &r, p->cols, t->width_address, o);
	else if (!s->tables && i >= HEADER)
		out_styled(o, STYLE_DIM, "%s", s->has_vm ? "not looked at yet" : "no VM");
}

/* ---- keys */

static const struct key_row keys[] = {
    {' ', 0, "open or close this table"},
    {TUI_KEY_RIGHT, 0, "open this table"},
    {TUI_KEY_LEFT, 0, "close it, or go to the table above"},
    {'*', 0, "open all tables below, as far as there is room"},
    {'-', 0, "close all"},
    {'d', 0, "the next entry that the two sides disagree about"},
    {'D', 0, "the one before"},
    {0, 0, NULL},
};

static unsigned after_change(struct pane *p, const struct scene *s, size_t row)
{
	struct trees_pane *t = p->own;

	t->rows = trees_count(s->tables);
	t->follow = false;
	p->cursor = row + HEADER;
	remember_cursor(p, s);
	return PANE_HANDLED | PANE_REDRAW;
}

static unsigned open_row(struct pane *p, const struct scene *s, size_t i, bool all)
{
	bool wanted = all ? trees_open_all(s->tables, i) : trees_open(s->tables, i);

	((struct trees_pane *)p->own)->follow = false;
	return PANE_HANDLED | (wanted ? PANE_LOOK | PANE_REDRAW : 0);
}

static unsigned close_row(struct pane *p, const struct scene *s, size_t i, bool open)
{
	if (open)
		trees_close(s->tables, i);
	else if (!trees_parent(s->tables, i, &i))
		return PANE_HANDLED;
	return after_change(p, s, i);
}

static unsigned close_everything(struct pane *p, const struct scene *s, size_t i)
{
	size_t up = i;
	struct trees_row r;

	while (trees_row(s->tables, i, &r) && r.depth > 1 && trees_parent(s->tables, i, &up))
		i = up;
	trees_close_all(s->tables);
	if (!trees_find(s->tables, r.by_gpa, r.first, &i, NULL))
		i = 0;
	return after_change(p, s, i);
}

static unsigned go_to_mark(struct pane *p, const struct scene *s, size_t i, bool backwards)
{
	return trees_next(s->tables, i, backwards, TREES_DISAGREE, &i) ? after_change(p, s, i) : PANE_HANDLED;
}

static unsigned key(struct pane *p, const struct scene *s, int k, struct pane_reply *reply)
{
	size_t i = p->cursor >= HEADER ? p->cursor - HEADER : 0;
	struct trees_row r;

	(void)reply;
	if (!s->tables || !trees_row(s->tables, i, &r))
		return PANE_IGNORED;
	switch (k) {
	case ' ':
		return r.open ? close_row(p, s, i, true) : open_row(p, s, i, false);
	case TUI_KEY_RIGHT:
		return open_row(p, s, i, false);
	case TUI_KEY_LEFT:
		return close_row(p, s, i, r.open);
	case '*':
		return open_row(p, s, i, true);
	case '-':
		return close_everything(p, s, i);
	case 'd':
	case 'D':
		return go_to_mark(p, s, i, k == 'D');
	default:
		return PANE_IGNORED;
	}
}

const struct pane_ops pane_trees = {
    .name = "trees",
    .title = "Page tables",
    .about = "The guest's own page tables and the host's side by side, by address; what they disagree about is at the end.",
    .size = sizeof(struct trees_pane),
    .keys = keys,
    .needs = SEES(TABLES),
    .seen = SEEN_TABLES,
    .subtitle = subtitle,
    .update = update,
    .count = count,
    .line = line,
    .place = place,
    .find = find,
    .header = HEADER,
    .key = key,
};
