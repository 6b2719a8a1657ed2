/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The guest physical space as a column from 0 up to the end, with a label for each region; two columns where inside SMM
 * something else is seen than outside.
 */
#include "views/axis.h"
#include "views/html/draw.h"

#include <string.h>

#define REGIONS_MAX 200
#define LABEL 30 /* height of one */
#define TOP 18
#define BY_SIZE 220
#define BAR_WIDTH 84
#define TEXT_AT 112

static bool views_differ(const struct value *rows)
{
	for (uint32_t i = 0; i < rows->n; i++)
		if (strcmp(get_str(&rows->items[i], "visible"), "both") != 0)
			return true;
	return false;
}

static const char *class_of(const struct value *row)
{
	static const char *const kinds[] = {"ram", "rom", "device"};
	const char *kind = get_str(row, "kind");

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (!strcmp(kinds[i], kind))
			return kinds[i];
	return "hole";
}

/* Where the region stands across: all of the column, or its view's half. */
static void bar_of(const struct value *row, bool two, unsigned *x, unsigned *width)
{
	const char *visible = get_str(row, "visible");

	*x = two && !strcmp(visible, "smm") ? 4 + BAR_WIDTH / 2 : 4;
	*width = two && strcmp(visible, "both") != 0 ? BAR_WIDTH / 2 : BAR_WIDTH;
}

static void draw_bar(struct out *o, const struct axis *a, const struct value *row, bool two, unsigned *top, unsigned *end)
{
	unsigned x, width;

	axis_span(a, row, top, end);
	bar_of(row, two, &x, &width);
	out_textf(o, "<rect class=\"%s%s\" x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\"/>\n", class_of(row),
		  axis_is_cut(a, row) ? " cut" : "", x, *top + TOP, width, *end - *top);
}

static void draw_label(struct out *o, const struct axis *a, const struct value *row, unsigned top, unsigned y)
{
	char size[32];
	struct out words;

	if (strcmp(get_str(row, "kind"), "hole") != 0)
		format_size(size, get_num(row, "size"));
	else
		format_about(size, sizeof(size), get_num(row, "size"));
	out_textf(o, "<path class=\"leader\" d=\"M%u %uL%u %uH%u\"/>", 4 + BAR_WIDTH, top + TOP, TEXT_AT - 14, y + TOP + 8,
		  TEXT_AT - 4);
	out_textf(o, "<text x=\"%u\" y=\"%u\"><tspan class=\"b\">", TEXT_AT, y + TOP + 11);
	out_hex(o, get_num(row, "gpa"));
	out_textf(o, "</tspan> %s</text>", size);
	out_init(&words, false, 0);
	region_words(&words, a, row);
	out_textf(o, "<text class=\"dim\" x=\"%u\" y=\"%u\">", TEXT_AT, y + TOP + 23);
	html_bytes(o, words.text, words.len);
	out_text(o, "</text>\n");
	o->failed |= words.failed;
	out_deinit(&words);
}

/* Labels stand where their regions begin, or below the label before; gives where the last one ends. */
static unsigned draw_regions(struct out *o, const struct axis *a, const struct value *rows, bool two)
{
	unsigned label = 0, top, end;

	for (uint32_t i = 0; i < rows->n && !o->failed; i++) {
		draw_bar(o, a, &rows->items[i], two, &top, &end);
		if (label < top)
			label = top;
		draw_label(o, a, &rows->items[i], top, label);
		label += LABEL;
	}
	return label;
}

/* Room for a label in each interval (regions that overlap have up to two), and some more to be shared by size. */
static unsigned height_of(const struct value *rows)
{
	unsigned labels = 0;

	for (uint32_t i = 0; i < rows->n; i++)
		labels += strcmp(get_str(&rows->items[i], "visible"), "both") != 0 ? 2 * LABEL : LABEL;
	return labels + BY_SIZE;
}

void html_map(struct out *o, const struct value *regions)
{
	struct value rows = *regions;
	bool two = views_differ(regions);
	struct axis a;
	struct out body;

	rows.n = rows.n > REGIONS_MAX ? REGIONS_MAX : rows.n;
	unsigned height = height_of(&rows);
	if (!axis_init(&a, &rows, height, LABEL)) {
		o->failed = true;
		return;
	}
	out_init(&body, false, 0);
	unsigned labels = draw_regions(&body, &a, &rows, two);
	out_textf(o, "<svg class=\"map\" viewBox=\"0 0 380 %u\" role=\"img\" aria-label=\"guest physical memory\">\n",
		  TOP + (labels > height ? labels : height) + 4);
	if (two)
		out_textf(o,
			  "<text class=\"dim small\" x=\"4\" y=\"11\">outside</text><text class=\"dim small\" x=\"%u\" "
			  "y=\"11\">in SMM</text>\n",
			  6 + BAR_WIDTH / 2);
	out_bytes(o, body.text, body.len);
	out_text(o, "</svg>\n");
	o->failed |= body.failed;
	out_deinit(&body);
	axis_deinit(&a);
	html_left_out(o, regions->n - rows.n, "regions at higher addresses are left out");
}
