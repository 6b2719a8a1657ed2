/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * How the MMU grew over a run: a line chart for each count, and a table of the stops with what changed at each.
 */
#include "views/html/draw.h"

#define WIDTH 360
#define HEIGHT 110
#define LEFT 40
#define TOP 22
#define PLOT_WIDTH (WIDTH - LEFT - 8)
#define PLOT_HEIGHT (HEIGHT - TOP - 18)

static uint64_t highest(const struct value *stops, const char *key)
{
	uint64_t most = 1;

	for (uint32_t i = 0; i < stops->n; i++)
		if (get_num(&stops->items[i], key) > most)
			most = get_num(&stops->items[i], key);
	return most;
}

static double x_of(const struct value *stops, uint32_t i)
{
	return LEFT + (stops->n > 1 ? (double)i * PLOT_WIDTH / (stops->n - 1) : PLOT_WIDTH / 2.0);
}

/* What is not known interrupts the line. */
static void draw_line(struct out *o, const struct value *stops, const char *key, uint64_t most)
{
	bool drawing = false;

	out_text(o, "<path class=\"plot\" d=\"");
	for (uint32_t i = 0; i < stops->n; i++) {
		if (!has_num(&stops->items[i], key)) {
			drawing = false;
			continue;
		}
		double y = TOP + PLOT_HEIGHT * (1 - (double)get_num(&stops->items[i], key) / (double)most);
		out_textf(o, "%s%.1f %.1f", drawing ? "L" : "M", x_of(stops, i), y);
		if (!drawing)
			out_text(o, "h.01"); /* a lone point is a dot */
		drawing = true;
	}
	out_text(o, "\"/>\n");
}

static void draw_chart(struct out *o, const struct value *stops, const char *key, const char *title)
{
	uint64_t most = highest(stops, key);

	out_textf(o, "<svg class=\"chart\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s at each stop\">\n", WIDTH,
		  HEIGHT, title);
	out_textf(o, "<text class=\"b\" x=\"%d\" y=\"13\">%s</text>\n", LEFT, title);
	out_textf(o, "<path class=\"axis\" d=\"M%d %dV%dH%d\"/>\n", LEFT, TOP, TOP + PLOT_HEIGHT, LEFT + PLOT_WIDTH);
	out_textf(
	    o, "<text class=\"dim end\" x=\"%d\" y=\"%d\">%llu</text><text class=\"dim end\" x=\"%d\" y=\"%d\">0</text>\n",
	    LEFT - 5, TOP + 8, (unsigned long long)most, LEFT - 5, TOP + PLOT_HEIGHT);
	out_textf(o,
		  "<text class=\"dim\" x=\"%d\" y=\"%d\">0</text><text class=\"dim end\" x=\"%d\" y=\"%d\">stop %u</text>\n",
		  LEFT, HEIGHT - 4, LEFT + PLOT_WIDTH, HEIGHT - 4, stops->n ? stops->n - 1 : 0);
	draw_line(o, stops, key, most);
	out_text(o, "</svg>\n");
}

static bool is_there(const struct value *v)
{
	return v && v->type != VALUE_NULL;
}

/* ": before → after", as far as there are any. */
static void draw_sides(struct out *o, const struct value *before, const struct value *after)
{
	if (is_there(before) || is_there(after))
		out_text(o, ": ");
	if (is_there(before))
		html_value(o, before);
	if (is_there(before) && is_there(after))
		out_text(o, " → ");
	if (is_there(after))
		html_value(o, after);
}

static void draw_change(struct out *o, const struct value *c)
{
	out_text(o, "<p>");
	html_text(o, get_str(c, "kind"));
	out_text(o, " ");
	html_text(o, get_str(c, "part"));
	out_text(o, " ");
	html_text(o, get_str(c, "what"));
	draw_sides(o, v_get(c, "before"), v_get(c, "after"));
	out_text(o, "</p>\n");
}

/* Of all stops, each to unfold. */
static void draw_changes(struct out *o, const struct value *stops)
{
	out_text(o, "<h3>What changed</h3>\n<div class=\"tree\">\n");
	for (uint32_t i = 0; i < stops->n && !o->failed; i++) {
		const struct value *changes = get_list(&stops->items[i], "changes");
		uint64_t n = get_num(&stops->items[i], "changed");
		if (!changes->n)
			continue;
		out_textf(o, "<details><summary>before stop %u: ", (unsigned)i);
		out_plural(o, n, "change", "changes");
		out_text(o, "</summary>\n");
		for (uint32_t k = 0; k < changes->n; k++)
			draw_change(o, &changes->items[k]);
		html_left_out(o, n > changes->n ? n - changes->n : 0, "changes are left out");
		out_text(o, "</details>\n");
	}
	out_text(o, "</div>\n");
}

static void cell(struct out *o, const struct value *stop, const char *key)
{
	const struct value *v = v_get(stop, key);

	out_text(o, "<td class=\"n\">");
	if (v)
		html_value(o, v);
	out_text(o, "</td>");
}

static void draw_stop(struct out *o, const struct value *stop, uint32_t n)
{
	static const char *const counts[] = {"rip", "shadow_pages", "sptes", "rmaps", "longest", "changed"};

	out_textf(o, "<tr><td class=\"n\">%u</td><td class=\"lines\"><b>", n);
	html_text(o, get_str(stop, "reason"));
	out_text(o, "</b> ");
	html_text(o, get_str(stop, "why"));
	out_text(o, "</td>");
	for (size_t i = 0; i < ARRAY_LEN(counts); i++)
		cell(o, stop, counts[i]);
	out_text(o, "<td>");
	html_lengths(o, get_list(stop, "chains"), 1);
	out_text(o, "</td></tr>\n");
}

void html_trace(struct out *o, const struct value *stops)
{
	out_text(o, "<div class=\"charts\">\n");
	draw_chart(o, stops, "shadow_pages", "shadow pages");
	draw_chart(o, stops, "sptes", "sptes");
	draw_chart(o, stops, "longest", "longest rmap chain");
	out_text(o,
		 "</div>\n<div class=\"wide\"><table>\n<thead><tr><th>stop</th><th>why</th><th>rip</th><th>shadow pages</th>"
		 "<th>sptes</th><th>rmaps</th><th>longest chain</th><th>changes</th><th>chains by length</th></tr></thead>\n"
		 "<tbody>\n");
	for (uint32_t i = 0; i < stops->n && !o->failed; i++)
		draw_stop(o, &stops->items[i], i);
	out_text(o, "</tbody></table></div>\n");
	draw_changes(o, stops);
}
