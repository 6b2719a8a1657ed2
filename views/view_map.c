/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The guest physical space as a picture: one line a region with its bar in its place on a common axis, and all of them on
 * one line below, outside SMM and inside where these differ.
 */
#include "views/axis.h"
#include "views/draw.h"

#include <string.h>

#define BAR_LEAST 8
#define BAR_MOST 64
#define WORDS_ROOM 24 /* "slot 1  rom  readonly" */

static const struct pattern {
	const char *kind, *block, *ascii;
	enum style style;
} patterns[] = {
    {"ram", "█", "#", STYLE_GOOD}, {"rom", "▒", "=", STYLE_WARN}, {"device", "▚", "d", STYLE_ADDR},
    {"hole", "·", ".", STYLE_DIM}, {"cut", "╌", "~", STYLE_DIM},  {"", " ", " ", STYLE_PLAIN},
};
enum { PATTERN_HOLE = 3, PATTERN_CUT, PATTERN_NONE };

static uint8_t pattern_of(const struct axis *a, const struct value *row)
{
	const char *kind = get_str(row, "kind");
	uint8_t i = 0;

	while (i < PATTERN_HOLE && strcmp(patterns[i].kind, kind) != 0)
		i++;
	return i == PATTERN_HOLE && axis_is_cut(a, row) ? PATTERN_CUT : i;
}

static void draw_cells(struct out *o, const uint8_t *cell, unsigned n)
{
	unsigned end = n;

	while (end && cell[end - 1] == PATTERN_NONE)
		end--;
	for (unsigned i = 0, j; i < end; i = j) {
		const struct pattern *p = &patterns[cell[i]];
		out_begin(o, p->style);
		for (j = i; j < end && cell[j] == cell[i]; j++)
			out_text(o, o->ascii ? p->ascii : p->block);
		out_end(o, p->style);
	}
}

struct picture {
	const struct value *rows;
	struct axis axis;
	unsigned gpa_width, bar, bar_at;
	uint8_t *cell;
};

static void draw_region(struct out *o, struct picture *p, const struct value *row)
{
	char size[32], gpa[32];
	unsigned first, end;
	struct out words;

	memset(p->cell, PATTERN_NONE, p->bar);
	axis_span(&p->axis, row, &first, &end);
	for (unsigned i = first; i < end && i < p->bar; i++)
		p->cell[i] = pattern_of(&p->axis, row);
	format_hex(gpa, get_num(row, "gpa"));
	if (strcmp(get_str(row, "kind"), "hole") != 0)
		format_size(size, get_num(row, "size"));
	else
		format_about(size, sizeof(size), get_num(row, "size"));
	out_styled(o, STYLE_ADDR, "%*s", (int)p->gpa_width, gpa);
	out_textf(o, "  %8s  ", size);
	draw_cells(o, p->cell, p->bar);
	out_init(&words, false, 0);
	region_words(&words, &p->axis, row);
	size_t column = out_column(o), at = p->bar_at + p->bar + 2;
	out_fill(o, ' ', at > column ? at - column : 1);
	out_wrapped(o, words.text, (unsigned)at);
	o->failed |= words.failed;
	out_deinit(&words);
}

/* Larger regions first, so that small ones are not hidden where they share a column. */
static void fill_view(struct picture *p, bool smm)
{
	const char *hidden = smm ? "non-smm" : "smm";

	memset(p->cell, PATTERN_NONE, p->bar);
	for (int pass = 0; pass < 2; pass++)
		for (uint32_t i = 0; i < p->rows->n; i++) {
			const struct value *row = &p->rows->items[i];
			unsigned first, end;
			if (!strcmp(get_str(row, "visible"), hidden))
				continue;
			axis_span(&p->axis, row, &first, &end);
			for (unsigned c = first; (end - first == 1) == pass && c < end && c < p->bar; c++)
				if (!pass || p->cell[c] == PATTERN_NONE || pattern_of(&p->axis, row) < PATTERN_HOLE)
					p->cell[c] = pattern_of(&p->axis, row);
		}
}

static bool views_differ(const struct value *rows)
{
	for (uint32_t i = 0; i < rows->n; i++)
		if (strcmp(get_str(&rows->items[i], "visible"), "both") != 0)
			return true;
	return false;
}

static void draw_view(struct out *o, struct picture *p, const char *title, bool smm)
{
	fill_view(p, smm);
	out_styled(o, STYLE_HEAD, "%*s", (int)p->bar_at - 2, title);
	out_text(o, "  ");
	draw_cells(o, p->cell, p->bar);
	out_text(o, "\n");
}

static void draw_scale(struct out *o, const struct picture *p)
{
	char size[32];
	bool cut = false;

	for (uint32_t i = 0; i < p->rows->n; i++)
		cut |= axis_is_cut(&p->axis, &p->rows->items[i]);
	format_about(size, sizeof(size), (uint64_t)p->axis.per_column);
	out_styled(o, STYLE_DIM, "a column is about %s%s", size, cut ? "; " : "");
	if (cut)
		out_styled(o, STYLE_DIM, "%s: holes that are not to scale", o->ascii ? "~" : "╌");
	out_text(o, "\n");
}

static void measure(struct picture *p, unsigned width)
{
	p->gpa_width = 3;
	for (uint32_t i = 0; i < p->rows->n; i++) {
		unsigned w = hex_width(get_num(&p->rows->items[i], "gpa"));
		p->gpa_width = w > p->gpa_width ? w : p->gpa_width;
	}
	p->bar_at = p->gpa_width + 2 + 8 + 2;
	unsigned room = width ? width : 100, used = p->bar_at + 2 + WORDS_ROOM;
	p->bar = room > used + BAR_LEAST ? room - used : BAR_LEAST;
	p->bar = p->bar > BAR_MOST ? BAR_MOST : p->bar;
}

void view_map(struct out *o, const struct value *v)
{
	struct picture p = {.rows = v};

	if (!v->n) {
		out_nothing(o, "nothing in the guest physical space");
		return;
	}
	measure(&p, o->width);
	_cleanup_free_ uint8_t *cell = calloc(1, p.bar);
	p.cell = cell;
	if (!cell || !axis_init(&p.axis, v, p.bar, 1)) {
		o->failed = true;
		return;
	}
	for (uint32_t i = 0; i < v->n && !o->failed; i++)
		draw_region(o, &p, &v->items[i]);
	draw_view(o, &p, views_differ(v) ? "outside SMM" : "all", false);
	if (views_differ(v))
		draw_view(o, &p, "inside SMM", true);
	draw_scale(o, &p);
	axis_deinit(&p.axis);
}
