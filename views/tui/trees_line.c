/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Address, the guest's entry, the host's, and in words what they disagree about; less of it where the pane is narrow.
 */
#include "views/tui/trees_line.h"

#include <stdio.h>

#include "views/draw.h"

/* Columns from which there is more: numbers of levels and sizes, whole words, host frames. */
#define WITH_LEVELS 90u
#define WITH_WORDS 106u
#define WITH_PFN 122u

/* Where its parts begin. */
struct columns {
	unsigned indent; /* a level's */
	size_t guest, bar, host, mark;
	bool levels, words, pfn;
};

static struct columns columns_of(const struct table_trees *t, unsigned cols, unsigned width_address)
{
	struct columns c = {.levels = cols >= WITH_LEVELS, .words = cols >= WITH_WORDS, .pfn = cols >= WITH_PFN};

	c.indent = c.levels ? 2 : 1;
	c.guest = c.indent * trees_about(t)->depth + 2 + width_address + 1;
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
    {TREES_HOST_OWN, STYLE_DIM, "the host's own", "host's own"},
    {TREES_GUEST_ONLY, STYLE_DIM, "not in host", "not in host"},
};

static void out_marks(struct out *o, const struct trees_row *r, bool words)
{
	struct marking k = {.o = o, .words = words};

	mark_disagreements(&k, r);
	if (r->table == TREES_EMPTY)
		out_mark(&k, STYLE_DIM, "empty", "empty");
	else if (r->table == TREES_NO_MEMORY && !(r->marks & TREES_HOST_OWN))
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

static void root_line(const struct table_trees *t, const struct trees_row *r, const struct columns *c, struct out *o)
{
	const struct trees_about *about = trees_about(t);

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

static void header_line(const struct table_trees *t, const struct columns *c, struct out *o)
{
	const char *indent = c->levels ? "   " : "";

	out_styled(o, STYLE_HEAD, trees_about(t)->tdp ? "  address" : "  gva");
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

void trees_line(const struct table_trees *t, const struct trees_row *r, unsigned cols, unsigned width_address, struct out *o)
{
	const struct columns c = columns_of(t, cols, width_address);

	if (!r) {
		header_line(t, &c, o);
		return;
	}
	out_fill(o, ' ', (size_t)c.indent * r->depth);
	out_text(o, !r->foldable ? "  " : r->open ? (o->ascii ? "- " : "▾ ") : (o->ascii ? "+ " : "▸ "));
	if (r->depth)
		entry_line(r, &c, o);
	else
		root_line(t, r, &c, o);
}
