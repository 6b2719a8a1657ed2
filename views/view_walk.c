/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Everything on one address, as a tree: the guest's tables, what they give, the slot, the host's addresses, the sptes, the
 * MMIO cache, and the verdict that the layer which decides has spoken. Below it the pipeline's view of the same.
 */
#include "views/draw.h"

#include <string.h>

static enum style verdict_style(const char *verdict)
{
	if (!strcmp(verdict, "ok"))
		return STYLE_GOOD;
	return strcmp(verdict, "exception") ? STYLE_WARN : STYLE_BAD;
}

/* The widest of a column of entries, so that what follows stands in line. */
static size_t widest_field(const struct value *rows, const char *key)
{
	size_t w = 0;

	for (uint32_t i = 0; i < rows->n; i++)
		if (has_num(&rows->items[i], key) && hex_width(get_num(&rows->items[i], key)) > w)
			w = hex_width(get_num(&rows->items[i], key));
	return w;
}

/* Where an spte is writable, what allows it to be goes without saying. */
static void draw_flags(struct out *o, const struct value *flags)
{
	bool writable = has_word(flags, "writable"), drawn = false;

	for (uint32_t i = 0; i < flags->n; i++) {
		const struct value *f = &flags->items[i];
		if (f->type == VALUE_STR && writable &&
		    (!strcmp(f->str, "host-writable") || !strcmp(f->str, "mmu-writable")))
			continue;
		out_text(o, drawn ? " " : "");
		out_inline(o, f);
		drawn = true;
	}
	if (!drawn)
		out_text(o, "not present");
}

static void draw_entry(struct out *o, const struct value *row, const char *key, size_t width)
{
	out_text(o, "  ");
	if (has_num(row, key))
		out_fill(o, ' ', width - hex_width(get_num(row, key)));
	out_field(o, row, key);
	out_text(o, "  ");
	draw_flags(o, get_list(row, "flags"));
	out_text(o, "\n");
}

static void draw_guest(struct out *o, struct tree *t, const struct value *v)
{
	const struct value *steps = get_list(v, "guest");

	tree_branch(o, t, 1, false);
	out_styled(o, STYLE_BOLD, "guest tables");
	if (steps->n) {
		out_textf(o, "  %s paging, cr3 ", get_str(v, "mode"));
		out_field(o, v, "cr3");
	} else if (!strcmp(get_str(v, "mode"), "none")) {
		out_text(o, "  none: paging is off");
	} else {
		/* not canonical */
		out_textf(o, "  %s paging, none of them is read", get_str(v, "mode"));
	}
	out_text(o, "\n");
	for (uint32_t i = 0; i < steps->n; i++) {
		const struct value *s = &steps->items[i];
		tree_branch(o, t, 2, i + 1 == steps->n);
		out_textf(o, "L%u at ", (unsigned)get_num(s, "level"));
		out_styled_hex(o, STYLE_ADDR, get_num(s, "gpa"));
		draw_entry(o, s, "entry", widest_field(steps, "entry"));
	}
}

/* "name  value" */
static void draw_line(struct out *o, struct tree *t, const struct value *v, const char *key, const char *name)
{
	tree_branch(o, t, 1, false);
	out_styled(o, STYLE_BOLD, "%-4s", name);
	out_text(o, "  ");
	if (!strcmp(key, "slot") && !has_num(v, key))
		out_text(o, "none");
	else
		out_field(o, v, key);
	if (!strcmp(key, "gpa") && get_num(v, "page_size")) {
		out_text(o, "  in a page of ");
		out_size(o, get_num(v, "page_size"));
	}
	if (!strcmp(key, "slot") && get_list(v, "slot_flags")->n) {
		out_text(o, "  ");
		out_words(o, get_list(v, "slot_flags"), "");
	}
	out_text(o, "\n");
}

static void draw_sptes(struct out *o, struct tree *t, const struct value *v)
{
	const struct value *sptes = v_get(v, "sptes");

	tree_branch(o, t, 1, false);
	out_styled(o, STYLE_BOLD, "sptes");
	if (!sptes || sptes->type != VALUE_LIST) {
		out_text(o, " ");
		out_field(o, v, "sptes");
	} else if (!sptes->n) {
		out_text(o, " none");
	}
	out_text(o, "\n");
	for (uint32_t i = 0; sptes && sptes->type == VALUE_LIST && i < sptes->n; i++) {
		const struct value *s = &sptes->items[i];
		tree_branch(o, t, 2, i + 1 == sptes->n);
		out_textf(o, "L%u of gfn ", (unsigned)get_num(s, "level"));
		out_styled_hex(o, STYLE_ADDR, get_num(s, "page"));
		draw_entry(o, s, "spte", widest_field(sptes, "spte"));
	}
}

static void draw_mmio(struct out *o, struct tree *t, const struct value *v)
{
	const struct value *m = v_get(v, "mmio");

	tree_branch(o, t, 1, false);
	out_styled(o, STYLE_BOLD, "mmio cache");
	out_text(o, "  ");
	if (m && m->type == VALUE_DICT) {
		out_text(o, !get_truth(m, "hit") ? "no hit" : get_truth(m, "stale") ? "hit, stale" : "hit");
		if (get_truth(m, "hit")) {
			out_text(o, ": gfn ");
			out_field(o, m, "gfn");
		}
	} else {
		out_field(o, v, "mmio");
	}
	out_text(o, "\n");
}

void view_walk(struct out *o, const struct value *v)
{
	const char *verdict = get_str(v, "verdict"), *why = get_str(v, "why");
	struct tree t = {0};

	out_styled(o, STYLE_BOLD, "gva 0x%llx", (unsigned long long)get_num(v, "gva"));
	out_textf(o, "  %s, %s\n", get_str(v, "access"), get_truth(v, "user") ? "user" : "supervisor");
	draw_guest(o, &t, v);
	draw_line(o, &t, v, "gpa", "gpa");
	draw_line(o, &t, v, "slot", "slot");
	draw_line(o, &t, v, "hva", "hva");
	draw_line(o, &t, v, "hpa", "hpa");
	draw_sptes(o, &t, v);
	draw_mmio(o, &t, v);
	tree_branch(o, &t, 1, true);
	out_styled(o, verdict_style(verdict), "%s", verdict);
	out_text(o, ": ");
	out_wrapped(o, why, 3);
}
