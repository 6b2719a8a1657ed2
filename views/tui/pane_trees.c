/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The guest's page tables and the host's side by side, folded and opened like a directory tree; what they disagree about at
 * the end of each line. Rows come from the model (core/debug/tables.h), which reads tables when they are opened.
 */
#include "views/tui/pane.h"

#include <stdio.h>
#include <string.h>

#include "core/debug/tables.h"
#include "views/draw.h"
#include "views/tui/record_pane.h"

#define HEADER 1u
/* Columns from which there is more: numbers of levels and sizes, whole words, host frames. */
#define WITH_LEVELS 90u
#define WITH_WORDS 106u
#define WITH_PFN 122u

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

static uint32_t needs(const struct pane *p)
{
	(void)p;
	return SEES(TABLES);
}

static void subtitle(const struct pane *p, const struct scene *s, struct out *o)
{
	const struct trees_about *about;

	(void)p;
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
	record_pane_subtitle(s, SEEN_TABLES, o);
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
	size_t n = trees_count(trees);
	struct trees_row r;

	return n && trees_row(trees, n - 1, &r) ? hex_width(r.first) : 0;
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

/* ---- a line */

/* Where its parts begin. */
struct columns {
	unsigned indent; /* a level's */
	size_t guest, bar, host, mark;
	bool levels, words, pfn;
};

static struct columns columns_of(const struct pane *p, const struct scene *s)
{
	const struct trees_pane *t = p->own;
	struct columns c = {.levels = p->cols >= WITH_LEVELS, .words = p->cols >= WITH_WORDS, .pfn = p->cols >= WITH_PFN};

	c.indent = c.levels ? 2 : 1;
	c.guest = c.indent * trees_about(s->tables)->depth + 2 + t->width_address + 1;
	c.bar = c.guest + (c.levels ? 26 : 20);
	c.host = c.bar + 2;
	c.mark = c.host + (c.levels ? 24 : 18) + (c.pfn ? 12 : 0);
	return c;
}

/* Blanks up to a column, one at least. */
static void pad_to(struct out *o, size_t column)
{
	size_t at = out_column(o);

	out_fill(o, ' ', at < column ? column - at : 1);
}

static void out_bar(struct out *o, const struct columns *c)
{
	pad_to(o, c->bar);
	out_styled(o, STYLE_DIM, o->ascii ? "| " : "│ ");
}

static void out_rights(struct out *o, bool w, bool x, bool u)
{
	out_textf(o, " r%c%c%c ", w ? 'w' : '-', x ? 'x' : '-', u ? 'u' : '-');
}

static const char *size_word(const struct trees_row *r, const struct columns *c)
{
	uint64_t size = r->last - r->first + 1;

	if (!c->levels)
		return "";
	return size == 1ull << 21 ? " 2M" : size == 1ull << 22 ? " 4M" : size == 1ull << 30 ? " 1G" : "";
}

static void out_guest(struct out *o, const struct trees_row *r, const struct columns *c)
{
	bool leaf = r->guest_leaf;

	if (!r->has_guest)
		return;
	if (c->levels)
		out_styled(o, STYLE_DIM, "L%u ", r->guest_level);
	out_textf(o, "0x%-8llx", (unsigned long long)r->gpa);
	out_rights(o, r->entry_rights & ACCESS_WRITE, r->entry_rights & ACCESS_FETCH, r->entry_rights & ACCESS_USER);
	out_textf(o, "%c%c%c%s", r->entry & PTE_A ? 'A' : ' ', leaf && (r->entry & PTE_D) ? 'D' : ' ',
		  leaf && (r->entry & PTE_G) ? 'G' : ' ', leaf ? size_word(r, c) : "");
}

static void out_host(struct out *o, const struct trees_row *r, const struct columns *c)
{
	const struct spte_info *s = r->spte;

	if (!s)
		return;
	if (c->levels)
		out_styled(o, STYLE_DIM, "L%u ", s->level);
	if (s->gfn_known)
		out_textf(o, "0x%-7llx", (unsigned long long)s->gfn);
	else
		out_textf(o, "%-9s", "-");
	if (!s->present)
		return;
	if (c->pfn)
		out_textf(o, " 0x%-9llx", (unsigned long long)s->pfn);
	out_rights(o, s->writable, s->exec, s->user);
	out_textf(o, "%c%c%s", s->accessed ? 'A' : ' ', s->leaf && s->dirty ? 'D' : ' ', s->leaf ? size_word(r, c) : "");
}

/* ---- marks */

/* Words so far, and whether there is room for the long ones. */
struct marking {
	struct out *o;
	bool any, words;
};

static void out_mark(struct marking *k, enum style st, const char *text, const char *brief)
{
	if (k->any)
		out_text(k->o, ", ");
	k->any = true;
	out_styled(k->o, st, "%s", k->words ? text : brief);
}

static void mark_stale(struct marking *k, const struct trees_row *r)
{
	bool maps = r->has_guest || r->guest_leaf;

	out_mark(k, STYLE_BAD,
		 r->marks & TREES_MMIO ? "stale: mmio no more"
		 : maps		       ? "stale: another gfn"
				       : "stale: not mapped",
		 "stale");
}

static void mark_not_writable(struct marking *k, const struct trees_row *r)
{
	static const struct {
		const char *text, *brief;
	} why[] = {[TREES_WHY_UNKNOWN] = {"not writable", "ro"},
		   [TREES_WHY_READONLY] = {"not writable: readonly slot", "ro: slot"},
		   [TREES_WHY_FILE] = {"not writable: file of slot", "ro: file"},
		   [TREES_WHY_TABLE] = {"not writable: a guest table", "ro: table"},
		   [TREES_WHY_LOG] = {"not writable: dirty log of slot", "ro: log"},
		   [TREES_WHY_CLEAN] = {"not writable: guest's D clear", "ro: D clear"}};

	out_mark(k, STYLE_WARN, why[r->why].text, why[r->why].brief);
	if (r->why == TREES_WHY_READONLY || r->why == TREES_WHY_FILE || r->why == TREES_WHY_LOG)
		out_styled(k->o, STYLE_WARN, " %u", r->slot);
}

/* a, d: which of them one side has alone. */
static void mark_accessed_dirty(struct marking *k, bool a, bool d, const char *side)
{
	const char *bits = a && d ? "A D" : a ? "A" : "D";
	char text[32], brief[32];

	if (!a && !d)
		return;
	snprintf(text, sizeof(text), "%s only in %s", bits, side);
	snprintf(brief, sizeof(brief), "%s %s", bits, side);
	out_mark(k, STYLE_WARN, text, brief);
}

static void mark_disagreements(struct marking *k, const struct trees_row *r)
{
	uint32_t m = r->marks;

	if (m & TREES_STALE)
		mark_stale(k, r);
	if (m & TREES_WIDER)
		out_mark(k, STYLE_BAD, "wider than the guest's", "wider");
	if (m & TREES_NOT_WRITABLE)
		mark_not_writable(k, r);
	if (m & TREES_NARROWER)
		out_mark(k, STYLE_WARN, r->spte && r->spte->exec ? "not for users" : "not executable",
			 r->spte && r->spte->exec ? "no user" : "no exec");
	mark_accessed_dirty(k, m & TREES_A_GUEST, m & TREES_D_GUEST, "guest");
	mark_accessed_dirty(k, m & TREES_A_HOST, m & TREES_D_HOST, "host");
}

/* How things are, which is no disagreement. */
static const struct {
	uint32_t mark;
	enum style style;
	const char *text, *brief;
} other_marks[] = {
    {TREES_RESERVED, STYLE_BAD, "reserved bits", "reserved"},
    {TREES_LOOP, STYLE_DIM, "maps tables above", "loop"},
    {TREES_HOST_OWN, STYLE_DIM, "the hypervisor's own", "host's own"},
    {TREES_GUEST_ONLY, STYLE_DIM, "not in host", "not in host"},
};

static void out_marks(struct out *o, const struct trees_row *r, bool words)
{
	struct marking k = {.o = o, .words = words};

	mark_disagreements(&k, r);
	if (r->table == TREES_EMPTY)
		out_mark(&k, STYLE_DIM, "empty", "empty");
	else if (r->table == TREES_NO_MEMORY)
		out_mark(&k, STYLE_WARN, "no memory there", "no memory");
	else if (r->table == TREES_UNREADABLE)
		out_mark(&k, STYLE_WARN, "cannot be read now", "unreadable");
	if (r->marks & TREES_LEVEL)
		out_mark(&k, STYLE_DIM, r->guest_leaf ? "split by the host" : "one page of the host's",
			 r->guest_leaf ? "split" : "whole");
	if ((r->marks & TREES_MMIO) && !(r->marks & TREES_STALE))
		out_mark(&k, STYLE_DIM, "mmio", "mmio");
	for (size_t i = 0; i < ARRAY_LEN(other_marks); i++)
		if (r->marks & other_marks[i].mark)
			out_mark(&k, other_marks[i].style, other_marks[i].text, other_marks[i].brief);
}

/* ---- lines of roots, and of what is above them all */

static void guest_root(struct out *o, const struct trees_about *about, const struct trees_row *r)
{
	if (about->mode == PAGING_NONE)
		out_styled(o, STYLE_HEAD, "no paging");
	else
		out_styled(o, STYLE_HEAD, "cr3 0x%llx", (unsigned long long)r->entry);
}

static void host_root(struct out *o, const struct trees_about *about, const struct trees_row *r)
{
	if (about->tdp && !r->by_gpa)
		out_styled(o, STYLE_DIM, "TDP: by gpa, below");
	else if (!about->host_known)
		out_styled(o, STYLE_WARN, "%s", about->why);
	else if (!about->sptes)
		out_styled(o, STYLE_DIM, "nothing yet");
	else if (about->has_root)
		out_styled(o, STYLE_HEAD, "root gfn 0x%llx", (unsigned long long)about->root_gfn);
	else
		out_styled(o, STYLE_HEAD, "%zu sptes", about->sptes);
}

static void root_line(const struct scene *s, const struct trees_row *r, const struct columns *c, struct out *o)
{
	const struct trees_about *about = trees_about(s->tables);

	if (r->by_gpa)
		out_styled(o, STYLE_HEAD, "host's, by gpa");
	else
		guest_root(o, about, r);
	pad_to(o, c->guest);
	if (!r->by_gpa)
		out_text(o, about->mode == PAGING_NONE ? "gva is gpa" : paging_mode_name(about->mode));
	out_bar(o, c);
	host_root(o, about, r);
	if (r->table == TREES_READ)
		return;
	out_text(o, "  ");
	out_marks(o, r, c->words);
}

static void header_line(const struct scene *s, const struct columns *c, struct out *o)
{
	const char *indent = c->levels ? "   " : "";

	out_styled(o, STYLE_HEAD, trees_about(s->tables)->tdp ? "  address" : "  gva");
	pad_to(o, c->guest);
	out_styled(o, STYLE_HEAD, "%sguest: gpa", indent);
	out_bar(o, c);
	out_styled(o, STYLE_HEAD, "%shost: gfn%s", indent, c->pfn ? "  pfn" : "");
}

static void entry_line(const struct trees_row *r, const struct columns *c, struct out *o)
{
	out_styled(o, r->marks & TREES_GUEST_ONLY ? STYLE_DIM : STYLE_ADDR, "0x%llx", (unsigned long long)r->first);
	pad_to(o, c->guest);
	out_guest(o, r, c);
	out_bar(o, c);
	out_host(o, r, c);
	if (!r->marks && r->table == TREES_READ)
		return;
	pad_to(o, c->mark);
	out_marks(o, r, c->words);
}

static void line(struct pane *p, const struct scene *s, size_t i, struct out *o)
{
	struct columns c;
	struct trees_row r;

	if (!s->tables) {
		if (i >= HEADER)
			out_styled(o, STYLE_DIM, "%s", s->has_vm ? "not looked at yet" : "no VM");
		return;
	}
	c = columns_of(p, s);
	if (i < HEADER) {
		header_line(s, &c, o);
		return;
	}
	if (!trees_row(s->tables, i - HEADER, &r))
		return;
	out_fill(o, ' ', (size_t)c.indent * r.depth);
	out_text(o, !r.foldable ? "  " : r.open ? (o->ascii ? "- " : "▾ ") : (o->ascii ? "+ " : "▸ "));
	if (r.depth)
		entry_line(&r, &c, o);
	else
		root_line(s, &r, &c, o);
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
    .needs = needs,
    .subtitle = subtitle,
    .update = update,
    .count = count,
    .line = line,
    .place = place,
    .find = find,
    .header = HEADER,
    .key = key,
};
