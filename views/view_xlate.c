/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The translation pipeline's stages in their order, and what a memop gave.
 */
#include "views/draw.h"

#include <string.h>

static void draw_tlb(struct out *o, const struct value *tlb)
{
	out_styled(o, STYLE_BOLD, "tlb");
	if (!tlb->n)
		out_text(o, "    nothing: the access does not translate\n");
	for (uint32_t i = 0; i < tlb->n; i++) {
		out_text(o, i ? "       gpa " : "    gpa ");
		out_styled_hex(o, STYLE_ADDR, get_num(&tlb->items[i], "gpa"));
		out_text(o, "  ");
		out_plural(o, get_num(&tlb->items[i], "len"), "byte", "bytes");
		out_text(o, "\n");
	}
}

static void draw_exception(struct out *o, const struct value *f)
{
	out_textf(o, "vector %u", (unsigned)get_num(f, "vector"));
	if (has_num(f, "error_code")) {
		out_text(o, "  error code ");
		out_hex(o, get_num(f, "error_code"));
	}
	out_text(o, "  address ");
	out_styled_hex(o, STYLE_ADDR, get_num(f, "address"));
	out_text(o, "\n");
}

static void draw_fault(struct out *o, const struct value *f)
{
	const char *why;

	out_styled(o, STYLE_BOLD, "fault");
	if (!f || f->type != VALUE_DICT) {
		out_text(o, "  none\n");
		return;
	}
	out_text(o, "  ");
	draw_exception(o, f);
	why = get_str(f, "why");
	if (why[0]) {
		out_text(o, "       ");
		out_wrapped(o, why, 7);
	}
}

static enum style io_style(const char *kind)
{
	return !strcmp(kind, "ram") ? STYLE_GOOD : STYLE_WARN;
}

static void draw_io(struct out *o, const struct value *io)
{
	out_styled(o, STYLE_BOLD, "io");
	if (!io->n)
		out_text(o, "     nothing is performed\n");
	for (uint32_t i = 0; i < io->n; i++) {
		const struct value *e = &io->items[i];
		const char *kind = get_str(e, "kind"), *device = get_str(e, "device");
		out_text(o, i ? "       " : "     ");
		out_styled(o, io_style(kind), "%-6s", kind);
		if (has_num(e, "slot"))
			out_textf(o, "  slot %u", (unsigned)get_num(e, "slot"));
		if (device[0])
			out_textf(o, "  %s", device);
		out_textf(o, has_num(e, "slot") ? "  page " : "  gfn ");
		out_hex(o, get_num(e, "page"));
		out_text(o, "  offset ");
		out_hex(o, get_num(e, "offset"));
		out_text(o, "  ");
		out_plural(o, get_num(e, "len"), "byte", "bytes");
		out_text(o, "\n");
	}
}

void view_xlate(struct out *o, const struct value *v)
{
	draw_tlb(o, get_list(v, "tlb"));
	draw_fault(o, v_get(v, "fault"));
	draw_io(o, get_list(v, "io"));
}

void view_memop(struct out *o, const struct value *v)
{
	const struct value *data = v_get(v, "data");

	if (!get_num(v, "status")) {
		out_styled(o, STYLE_GOOD, "ok");
		out_text(o, "  ");
		out_plural(o, get_num(v, "len"), "byte", "bytes");
		out_text(o, data && data->type == VALUE_STR ? "\n" : ", only checked\n");
		if (data && data->type == VALUE_STR)
			out_hex_bytes(o, get_num(v, "at"), data->str, false);
		return;
	}
	out_styled(o, STYLE_BAD, "exception");
	out_text(o, "  ");
	draw_exception(o, v);
	if (get_truth(v, "protection"))
		out_text(o, "the storage key refuses it\n");
}
