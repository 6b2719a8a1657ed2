/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One rmap chain: the head word at the top, its descriptors below each other, the sptes of each to the right of it.
 */
#include "views/html/draw.h"

#define SPTES_MAX 48
#define ROW 38
#define WIDTH 380
#define DESC_X 8
#define DESC_WIDTH 128
#define SPTE_X 164

static void box(struct out *o, const char *class, unsigned x, unsigned y, unsigned width)
{
	out_textf(o, "<rect class=\"%s\" x=\"%u\" y=\"%u\" width=\"%u\" height=\"32\" rx=\"4\"/>", class, x, y, width);
}

static void line_begin(struct out *o, const char *class, unsigned x, unsigned y)
{
	out_textf(o, "<text class=\"%s\" x=\"%u\" y=\"%u\">", class, x + 6, y);
}

static void labelled_hex(struct out *o, const char *what, uint64_t x)
{
	out_text(o, what);
	out_hex(o, x);
}

static void draw_head(struct out *o, const struct value *r)
{
	box(o, "box head", DESC_X, 4, WIDTH - 2 * DESC_X);
	line_begin(o, "b", DESC_X, 17);
	labelled_hex(o, "gfn ", get_num(r, "gfn"));
	out_textf(o, " slot %u%s level %u: ", (unsigned)get_num(r, "slot"), space_words(r), (unsigned)get_num(r, "level"));
	out_plural(o, get_list(r, "sptes")->n, "spte", "sptes");
	out_text(o, "</text>");
	line_begin(o, "dim", DESC_X, 30);
	labelled_hex(o, "head ", get_num(r, "head"));
	out_text(o, "</text>\n");
}

static void draw_descriptor(struct out *o, const struct value *d, unsigned from, unsigned y)
{
	out_textf(o, "<path class=\"arrow\" d=\"M%u %uV%um-4 -5l4 5l4 -5\"/>", DESC_X + 16, from, y);
	box(o, "box desc", DESC_X, y, DESC_WIDTH);
	line_begin(o, "", DESC_X, y + 13);
	out_plural(o, get_num(d, "used"), "entry", "entries");
	out_text(o, "</text>");
	line_begin(o, "dim small", DESC_X, y + 26);
	out_hex(o, get_num(d, "address"));
	out_text(o, "</text>\n");
}

static void draw_spte(struct out *o, const struct value *s, unsigned from_x, unsigned from_y, unsigned y)
{
	out_textf(o, "<path class=\"arrow\" d=\"M%u %uL%u %uH%um-5 -4l5 4l-5 4\"/>", from_x, from_y, SPTE_X - 10, y + 16,
		  SPTE_X);
	box(o, "box", SPTE_X, y, WIDTH - DESC_X - SPTE_X);
	line_begin(o, "b", SPTE_X, y + 13);
	if (has_num(s, "gva"))
		labelled_hex(o, "gva ", get_num(s, "gva"));
	else
		out_text(o, "gva n/a");
	out_text(o, get_truth(s, "writable") ? " rw</text>" : " ro</text>");
	line_begin(o, "dim", SPTE_X, y + 26);
	labelled_hex(o, "in gfn ", get_num(s, "page_gfn"));
	out_textf(o, "[%u]</text>\n", (unsigned)get_num(s, "index"));
}

static uint32_t draw_descriptors(struct out *o, const struct value *desc, const struct value *sptes, uint32_t most,
				 unsigned *y)
{
	unsigned from = 36;
	uint32_t next = 0;

	for (uint32_t i = 0; i < desc->n && next < most; i++) {
		unsigned at = *y;
		uint32_t first = next;
		draw_descriptor(o, &desc->items[i], from, at);
		for (uint64_t k = 0; k < get_num(&desc->items[i], "used") && next < most; k++, next++, *y += ROW)
			draw_spte(o, &sptes->items[next], DESC_X + DESC_WIDTH, at + 16, *y);
		*y += next == first ? ROW : 0;
		from = at + 32;
	}
	return next;
}

static unsigned rows_of(const struct value *desc, uint32_t sptes)
{
	unsigned empty = 0;

	for (uint32_t i = 0; i < desc->n; i++)
		empty += !get_num(&desc->items[i], "used");
	return sptes + (empty < SPTES_MAX ? empty : SPTES_MAX);
}

void html_chain(struct out *o, const struct value *r)
{
	const struct value *desc = get_list(r, "descriptors"), *sptes = get_list(r, "sptes");
	uint32_t most = sptes->n < SPTES_MAX ? sptes->n : SPTES_MAX;
	unsigned y = 48;

	out_textf(o, "<svg class=\"chain\" viewBox=\"0 0 %u %u\" role=\"img\" aria-label=\"rmap chain of gfn ", WIDTH,
		  y + ROW * rows_of(desc, most));
	out_hex(o, get_num(r, "gfn"));
	out_text(o, "\">\n");
	draw_head(o, r);
	uint32_t next = draw_descriptors(o, desc, sptes, most, &y);
	for (; next < most; next++, y += ROW)
		draw_spte(o, &sptes->items[next], DESC_X + 16, 36, y);
	out_text(o, "</svg>\n");
	html_left_out(o, sptes->n - next, "sptes of this chain are left out");
	if (!get_str(r, "corrupt")[0])
		return;
	out_text(o, "<p class=\"bad\">corrupt: ");
	html_text(o, get_str(r, "corrupt"));
	out_text(o, "</p>\n");
}
