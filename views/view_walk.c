/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Everything on one address, as a tree: the guest's tables, what they give, the slot, the host's addresses, the sptes, the
 * MMIO cache, and the verdict that the layer which decides has spoken. Below it the pipeline's view of the same.
 */
#include "views/draw.h"

#include <stdio.h>
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

/* ---- both dimensions */

/* The way of one gpa through the host's tables: its entries, then what they come to. */
static void draw_way(struct out *o, const struct value *row, const struct value *sptes, size_t width)
{
	const struct value *leaf = sptes->n ? &sptes->items[sptes->n - 1] : NULL;

	for (uint32_t i = 0; i < sptes->n; i++) {
		uint64_t spte = get_num(&sptes->items[i], "spte");
		out_fill(o, ' ', 1 + width - hex_width(spte));
		out_hex(o, spte);
	}
	out_text(o, " → ");
	if (leaf && has_word(get_list(leaf, "flags"), "mmio")) {
		out_text(o, "MMIO");
	} else if (!has_num(row, "hpa")) {
		out_text(o, "not mapped");
	} else {
		out_styled_hex(o, STYLE_ADDR, get_num(row, "hpa"));
		out_text(o, " ");
		out_size(o, get_num(row, "page_size"));
		out_text(o, " ");
		out_access(o, has_word(get_list(leaf, "flags"), "writable"), has_word(get_list(leaf, "flags"), "exec"),
			   false);
	}
}

/* What several rows have in common is said once. */
static void draw_why(struct out *o, const struct value *row, const char **said)
{
	const char *why = get_str(row, "why");

	if (why[0] && strcmp(why, *said) != 0)
		out_between(o, ": ", why, "");
	*said = why[0] ? why : *said;
	out_text(o, "\n");
}

static size_t widest_of_both(const struct value *v)
{
	const struct value *steps = get_list(v, "guest");
	size_t width = widest_field(get_list(v, "sptes"), "spte");

	for (uint32_t i = 0; i < steps->n; i++) {
		size_t w = widest_field(get_list(&steps->items[i], "tdp"), "spte");
		width = w > width ? w : width;
	}
	return width;
}

static void draw_gpa(struct out *o, struct tree *t, bool last, const char *name, uint64_t gpa, size_t width)
{
	tree_branch(o, t, 2, last);
	out_textf(o, "%-5s", name);
	out_fill(o, ' ', width - hex_width(gpa));
	out_styled_hex(o, STYLE_ADDR, gpa);
	out_text(o, ":");
}

/* Of the page itself the row is made here: its sptes are the walk's. */
static struct value page_row(struct field f[3], const struct value *v)
{
	const struct value *leaf = leaf_spte(v), *sptes = get_list(v, "sptes");
	uint64_t gpa = get_num(v, "gpa"), size = leaf ? 1ull << (12 + 9 * (get_num(leaf, "level") - 1)) : 0;
	bool mapped = leaf && has_num(leaf, "pfn");

	f[0] = (struct field){"tdp", *sptes};
	f[1] = (struct field){"hpa", mapped ? v_hex((get_num(leaf, "pfn") << 12) + (gpa & (size - 1))) : v_null()};
	f[2] = (struct field){"page_size", v_int((int64_t)size)};
	return (struct value){.type = VALUE_DICT, .n = 3, .fields = f};
}

static void draw_ways(struct out *o, struct tree *t, const struct value *v, const struct value *tdp)
{
	const struct value *steps = get_list(v, "guest");
	size_t width = widest_of_both(v), gpa_width = hex_width(has_num(v, "gpa") ? get_num(v, "gpa") : 0);
	const char *said = "";
	struct field f[3];
	struct value page = page_row(f, v);
	char name[8];

	for (uint32_t i = 0; i < steps->n; i++)
		if (hex_width(get_num(&steps->items[i], "gpa")) > gpa_width)
			gpa_width = hex_width(get_num(&steps->items[i], "gpa"));
	tree_branch(o, t, 1, false);
	out_styled(o, STYLE_BOLD, "through %s", get_str(tdp, "format"));
	out_textf(o, steps->n ? "  each table and the page, %u entries in all\n" : "  one dimension, %u entries\n",
		  (unsigned)get_num(tdp, "reads"));
	for (uint32_t i = 0; i < steps->n; i++) {
		const struct value *s = &steps->items[i];
		snprintf(name, sizeof(name), "L%u", (unsigned)get_num(s, "level"));
		draw_gpa(o, t, i + 1 == steps->n && !has_num(v, "gpa"), name, get_num(s, "gpa"), gpa_width);
		if (v_get(s, "tdp"))
			draw_way(o, s, get_list(s, "tdp"), width);
		else
			out_text(o, " in a register, nothing is read");
		draw_why(o, s, &said);
	}
	if (has_num(v, "gpa")) {
		draw_gpa(o, t, true, "page", get_num(v, "gpa"), gpa_width);
		draw_way(o, &page, get_list(v, "sptes"), width);
		out_text(o, "\n");
	}
}

/* Which dimension lets which access pass. */
static void draw_dimensions(struct out *o, struct tree *t, const struct value *v, const struct value *tdp)
{
	const struct value *rows = get_list(v, "dimensions");

	tree_branch(o, t, 1, false);
	out_styled(o, STYLE_BOLD, "rights\n");
	for (uint32_t i = 0; i < rows->n; i++) {
		const struct value *r = &rows->items[i], *host = v_get(r, "tdp");
		tree_branch(o, t, 2, i + 1 == rows->n);
		out_textf(o, "%-5s  guest %-3s  %s %s", get_str(r, "access"), get_truth(r, "guest") ? "yes" : "no",
			  get_str(tdp, "format"),
			  host && host->type == VALUE_NULL ? "-"
			  : get_truth(r, "tdp")		   ? "yes"
							   : "no");
		if (get_str(r, "why")[0])
			out_between(o, ": ", get_str(r, "why"), "");
		out_text(o, "\n");
	}
}

static void draw_tdp(struct out *o, struct tree *t, const struct value *v)
{
	const struct value *tdp = v_get(v, "tdp");

	if (!tdp || tdp->type != VALUE_DICT)
		return;
	draw_ways(o, t, v, tdp);
	draw_dimensions(o, t, v, tdp);
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
		out_fill(o, ' ', widest_field(sptes, "page") - hex_width(get_num(s, "page")));
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
	if (v_get(v, "nested"))
		draw_nested_walk(o, &t, v_get(v, "nested"));
	draw_line(o, &t, v, "gpa", "gpa");
	draw_line(o, &t, v, "slot", "slot");
	draw_line(o, &t, v, "hva", "hva");
	draw_line(o, &t, v, "hpa", "hpa");
	draw_sptes(o, &t, v);
	draw_tdp(o, &t, v);
	draw_mmio(o, &t, v);
	tree_branch(o, &t, 1, true);
	out_styled(o, verdict_style(verdict), "%s", verdict);
	out_text(o, ": ");
	out_wrapped(o, why, 3);
}
