/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Escaped text and tables.
 */
#include "views/html/draw.h"

#include <string.h>

static const char *entity_of(char c)
{
	switch (c) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	case '\'':
		return "&#39;";
	default:
		return NULL;
	}
}

/* What out_safe() has let through. */
static void escape(struct out *o, const char *s, size_t n)
{
	for (size_t i = 0; i < n;) {
		size_t run = i;
		while (run < n && !entity_of(s[run]))
			run++;
		out_bytes(o, s + i, run - i);
		if (run < n)
			out_text(o, entity_of(s[run++]));
		i = run;
	}
}

void html_bytes(struct out *o, const char *s, size_t n)
{
	struct out safe;

	out_init(&safe, false, 0);
	out_safe(&safe, s, n, true);
	escape(o, safe.text, safe.len);
	o->failed |= safe.failed;
	out_deinit(&safe);
}

void html_text(struct out *o, const char *s)
{
	html_bytes(o, s, strlen(s));
}

void html_value(struct out *o, const struct value *v)
{
	struct out text;

	out_init(&text, false, 0);
	out_inline(&text, v);
	if (v->type == VALUE_NA)
		out_text(o, "<span class=\"dim\">");
	escape(o, text.text, text.len);
	if (v->type == VALUE_NA)
		out_text(o, "</span>");
	o->failed |= text.failed;
	out_deinit(&text);
}

void html_na(struct out *o, const struct value *v)
{
	out_text(o, "<p class=\"dim\">");
	html_value(o, v);
	out_text(o, "</p>\n");
}

void html_left_out(struct out *o, uint64_t n, const char *what)
{
	if (!n)
		return;
	out_textf(o, "<p class=\"dim\">%llu more ", (unsigned long long)n);
	html_text(o, what);
	out_text(o, "</p>\n");
}

/* ---- tables */

static bool says_something(const struct value *v)
{
	bool number = v && (v->type == VALUE_BOOL || v->type == VALUE_INT || v->type == VALUE_HEX);

	return v &&
	       !(v->type == VALUE_NULL || (number && !v->hex) || ((v->type == VALUE_STR || v->type == VALUE_LIST) && !v->n));
}

static bool is_shown(const struct html_column *c, const struct value *rows)
{
	for (uint32_t i = 0; c->optional && i < rows->n; i++)
		if (says_something(v_get(&rows->items[i], c->key)))
			return true;
	return !c->optional;
}

static void draw_cell(struct out *o, const struct html_column *c, const struct value *row)
{
	const struct value *v = v_get(row, c->key);
	bool number = v && (v->type == VALUE_INT || v->type == VALUE_HEX);

	out_text(o, number ? "<td class=\"n\">" : c->kind == HTML_LINES ? "<td class=\"lines\">" : "<td>");
	if (number && c->kind == HTML_SIZE)
		out_size(o, v->hex);
	else if (v && !(v->type == VALUE_BOOL && !v->truth))
		html_value(o, v);
	out_text(o, "</td>");
}

static void draw_head(struct out *o, const struct html_column *cols, const bool *shown, size_t n)
{
	out_text(o, "<div class=\"wide\"><table>\n<thead><tr>");
	for (size_t i = 0; i < n; i++) {
		if (!shown[i])
			continue;
		out_text(o, "<th>");
		html_text(o, cols[i].title ? cols[i].title : cols[i].key);
		out_text(o, "</th>");
	}
	out_text(o, "</tr></thead>\n<tbody>\n");
}

#define COLUMNS_MAX 24

void html_table(struct out *o, const struct html_column *cols, size_t n, const struct value *rows, uint32_t most)
{
	bool shown[COLUMNS_MAX] = {false};

	if (!rows->n) {
		out_text(o, "<p class=\"dim\">none</p>\n");
		return;
	}
	n = n > COLUMNS_MAX ? COLUMNS_MAX : n;
	for (size_t i = 0; i < n; i++)
		shown[i] = is_shown(&cols[i], rows);
	draw_head(o, cols, shown, n);
	for (uint32_t r = 0; r < rows->n && r < most && !o->failed; r++) {
		out_text(o, "<tr>");
		for (size_t i = 0; i < n; i++)
			if (shown[i])
				draw_cell(o, &cols[i], &rows->items[r]);
		out_text(o, "</tr>\n");
	}
	out_text(o, "</tbody></table></div>\n");
	html_left_out(o, rows->n > most ? rows->n - most : 0, "rows are left out");
}

#define LONG_TEXT 24
static bool has_sentences(const struct value *rows, const char *key)
{
	for (uint32_t i = 0; i < rows->n; i++) {
		const struct value *v = v_get(&rows->items[i], key);
		if (v && (v->type == VALUE_STR || v->type == VALUE_NA) && v->n > LONG_TEXT)
			return true;
	}
	return false;
}

void html_table_by_shape(struct out *o, const struct value *rows, uint32_t most)
{
	struct html_column cols[COLUMNS_MAX];
	const struct value *first = rows->n ? &rows->items[0] : NULL;
	size_t n = 0;

	for (uint32_t i = 0; first && first->type == VALUE_DICT && i < first->n && n < COLUMNS_MAX; i++) {
		const char *key = first->fields[i].key;
		if (first->fields[i].value.type != VALUE_DICT)
			cols[n++] =
			    (struct html_column){.key = key, .kind = has_sentences(rows, key) ? HTML_LINES : HTML_VALUE};
	}
	html_table(o, cols, n, rows, most);
}

void html_lengths(struct out *o, const struct value *counts, uint32_t from)
{
	for (uint32_t i = from; i < counts->n && i < 64; i++) {
		uint64_t first = i ? 1ull << (i - 1) : 0, last = i ? (1ull << i) - 1 : 0;
		if (!counts->items[i].hex)
			continue;
		out_textf(o, "<span class=\"count\"><span class=\"dim\">%llu", (unsigned long long)first);
		if (i + 1 == counts->n)
			out_text(o, "+");
		else if (last > first)
			out_textf(o, "-%llu", (unsigned long long)last);
		out_textf(o, ":</span> %llu</span> ", (unsigned long long)counts->items[i].hex);
	}
}
