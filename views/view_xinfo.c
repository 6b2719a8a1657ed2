/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One address in about five lines: guest, host, sptes, who else maps it, and what a read of it does.
 */
#include "views/draw.h"

#include <string.h>

#define ALIASES_SHOWN 6

static void draw_title(struct out *o, const char *title)
{
	out_styled(o, STYLE_BOLD, "%-7s", title);
}

static void draw_rights(struct out *o, const struct value *flags)
{
	out_access(o, has_word(flags, "writable"), has_word(flags, "exec"), has_word(flags, "user"));
	if (!has_word(flags, "user"))
		out_text(o, " supervisor");
}

/* A and D as the last table of the walk has them. */
static void draw_marks(struct out *o, const struct value *flags)
{
	static const char *const marks[] = {"accessed", "dirty", "large", "global"};

	for (size_t i = 0; i < ARRAY_LEN(marks); i++)
		if (has_word(flags, marks[i]))
			out_textf(o, " %s", marks[i]);
}

static void draw_first(struct out *o, const struct value *v)
{
	const char *symbol = get_str(v, "symbol"), *device = get_str(v, "device");

	out_styled_hex(o, STYLE_ADDR, get_num(v, "gva"));
	if (symbol[0])
		out_between(o, " <", symbol, ">");
	if (device[0])
		out_between(o, "  device ", device, "");
	if (get_list(v, "part_of")->n) {
		out_text(o, "  in the page of: ");
		out_words(o, get_list(v, "part_of"), "");
	}
	out_text(o, "\n");
}

static void draw_guest(struct out *o, const struct value *v)
{
	const struct value *steps = get_list(v, "guest");

	draw_title(o, "guest");
	if (!has_num(v, "gpa")) {
		out_text(o, "not mapped\n");
		return;
	}
	draw_rights(o, get_list(v, "rights"));
	if (steps->n)
		draw_marks(o, get_list(&steps->items[steps->n - 1], "flags"));
	out_text(o, "  gpa ");
	out_styled_hex(o, STYLE_ADDR, get_num(v, "gpa"));
	if (get_num(v, "page_size")) {
		out_text(o, " in a page of ");
		out_size(o, get_num(v, "page_size"));
	}
	out_text(o, "\n");
}

static void draw_host(struct out *o, const struct value *v)
{
	const struct value *dirty = v_get(v, "dirty");

	draw_title(o, "host");
	if (!has_num(v, "slot")) {
		out_text(o, "no slot\n");
		return;
	}
	out_text(o, "slot ");
	out_field(o, v, "slot");
	if (get_list(v, "slot_flags")->n) {
		out_text(o, " ");
		out_words(o, get_list(v, "slot_flags"), "");
	}
	if (dirty && dirty->type == VALUE_BOOL)
		out_text(o, dirty->truth ? " (written)" : " (not written)");
	out_text(o, "  hva ");
	out_field(o, v, "hva");
	out_text(o, "  hpa ");
	out_field(o, v, "hpa");
	out_text(o, "\n");
}

static void draw_leaf(struct out *o, const struct value *s)
{
	const struct value *flags = get_list(s, "flags");

	out_textf(o, "level %u ", (unsigned)get_num(s, "level"));
	out_field(o, s, "spte");
	out_text(o, " ");
	if (has_word(flags, "present"))
		draw_rights(o, flags);
	else
		out_text(o, has_word(flags, "mmio") ? "mmio" : "not present");
	draw_marks(o, flags);
}

/* The lowest spte decides, if it maps a page. */
static void draw_sptes(struct out *o, const struct value *v)
{
	const struct value *sptes = v_get(v, "sptes"), *last;

	draw_title(o, "sptes");
	last = sptes && sptes->type == VALUE_LIST && sptes->n ? &sptes->items[sptes->n - 1] : NULL;
	if (last && last == leaf_spte(v))
		draw_leaf(o, last);
	else if (last)
		out_textf(o, "none below level %u", (unsigned)get_num(last, "level"));
	else if (sptes && sptes->type != VALUE_LIST)
		out_inline(o, sptes);
	else
		out_text(o, "none");
	out_text(o, "\n");
}

static void draw_rmap(struct out *o, const struct value *v)
{
	const struct value *rmap = v_get(v, "rmap"), *aliases = get_list(v, "aliases");

	if (!rmap)
		return;
	draw_title(o, "rmap");
	if (rmap->type != VALUE_DICT) {
		out_inline(o, rmap);
		out_text(o, "\n");
		return;
	}
	out_text(o, "gfn ");
	out_field(o, rmap, "gfn");
	out_text(o, ": ");
	out_plural(o, get_num(rmap, "sptes"), "spte", "sptes");
	for (uint32_t i = 0; i < aliases->n && i < ALIASES_SHOWN; i++) {
		out_text(o, i ? " " : "; also at ");
		out_inline(o, &aliases->items[i]);
	}
	if (aliases->n > ALIASES_SHOWN)
		out_textf(o, " and %u more", aliases->n - ALIASES_SHOWN);
	out_text(o, "\n");
}

void view_xinfo(struct out *o, const struct value *v)
{
	const struct value *mmio = v_get(v, "mmio");
	const char *verdict = get_str(v, "verdict");

	draw_first(o, v);
	draw_guest(o, v);
	if (has_num(v, "gpa"))
		draw_host(o, v);
	draw_sptes(o, v);
	draw_rmap(o, v);
	if (mmio && mmio->type == VALUE_DICT && get_truth(mmio, "hit")) {
		draw_title(o, "mmio");
		out_text(o, get_truth(mmio, "stale") ? "the cache has it, stale: gfn " : "the cache has it: gfn ");
		out_field(o, mmio, "gfn");
		out_text(o, "\n");
	}
	draw_title(o, "read");
	out_styled(o, !strcmp(verdict, "ok") ? STYLE_GOOD : STYLE_WARN, "%s", verdict);
	out_text(o, ": ");
	out_wrapped(o, get_str(v, "why"), 7);
}
