/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Aligned tables of records. One pass over the rows finds each column's width, a second writes; a cell costs a few
 * nanoseconds in both, because `info tlb` may have 100,000 rows. Numbers stand to the right, text to the left, and the last
 * column is never padded.
 */
#include "views/draw.h"

#include <string.h>

#define COLUMNS_MAX 24
#define REASONS_MAX 4

struct layout {
	const struct column *col[COLUMNS_MAX];
	size_t width[COLUMNS_MAX];
	uint32_t at[COLUMNS_MAX]; /* where the first row has the field: mostly right for all rows */
	bool right[COLUMNS_MAX];
	size_t n;
	const char *reason[REASONS_MAX], *reason_of[REASONS_MAX];
	size_t n_reasons;
	struct out scratch; /* to measure cells that are drawn by functions */
};

static const char *title_of(const struct column *col)
{
	return col->title ? col->title : col->key;
}

static const struct value *field(const struct layout *l, size_t c, const struct value *row)
{
	const char *key = l->col[c]->key;
	uint32_t i = l->at[c];

	if (!key || row->type != VALUE_DICT)
		return NULL;
	if (i < row->n && row->fields[i].key == key)
		return &row->fields[i].value;
	return v_get(row, key);
}

static bool says_something(const struct value *v)
{
	if (!v || v->type == VALUE_NULL)
		return false;
	if (v->type == VALUE_BOOL || v->type == VALUE_INT)
		return v->hex != 0;
	return v->type == VALUE_HEX || v->n;
}

static size_t dec_width(int64_t n)
{
	char buf[24];

	return n >= 0 && n < 10 ? 1 : format_dec(buf, n);
}

static void draw_cell(struct out *o, const struct column *col, const struct value *row, const struct value *v);

static size_t cell_width(struct layout *l, size_t c, const struct value *row, const struct value *v)
{
	const struct column *col = l->col[c];

	if (col->kind == COL_VALUE || col->kind == COL_SHARED) {
		if (!v || v->type == VALUE_NULL)
			return 1;
		if (v->type == VALUE_HEX)
			return hex_width(v->hex);
		if (v->type == VALUE_INT)
			return dec_width(v->num);
		if (v->type == VALUE_NA || v->type == VALUE_BOOL)
			return 3;
	}
	l->scratch.len = 0;
	draw_cell(&l->scratch, col, row, v);
	return text_width(l->scratch.text, l->scratch.len);
}

static void note_reason(struct layout *l, const char *title, const struct value *v)
{
	for (size_t i = 0; i < l->n_reasons; i++)
		if (l->reason[i] == v->str || !strcmp(l->reason[i], v->str))
			return;
	if (l->n_reasons == REASONS_MAX || !v->n)
		return;
	l->reason_of[l->n_reasons] = title;
	l->reason[l->n_reasons++] = v->str;
}

static void draw_cell(struct out *o, const struct column *col, const struct value *row, const struct value *v)
{
	if (col->kind == COL_CELL) {
		col->cell(o, row);
		return;
	}
	if (col->kind == COL_FLAG) {
		if (v && v->type == VALUE_BOOL && v->truth)
			out_text(o, title_of(col));
		return;
	}
	if (!v || v->type == VALUE_NULL) {
		out_bytes(o, "-", 1);
	} else if (v->type == VALUE_NA) {
		out_bytes(o, "n/a", 3);
	} else if (v->type == VALUE_HEX) {
		out_hex(o, v->hex);
	} else if (col->kind == COL_SIZE && v->type == VALUE_INT) {
		out_size(o, v->hex);
	} else {
		out_inline(o, v);
	}
}

/* The value that all rows have in this column, or NULL. */
static const struct value *shared(const struct column *col, const struct value *rows)
{
	const struct value *first = rows->n ? v_get(&rows->items[0], col->key) : NULL;

	for (uint32_t i = 1; first && i < rows->n; i++) {
		const struct value *v = v_get(&rows->items[i], col->key);
		if (!v || (v->str != first->str && !v_equal(v, first)))
			return NULL;
	}
	return first;
}

static bool wanted(const struct column *col, const struct value *rows)
{
	if (col->kind == COL_SHARED)
		return rows->n > 1 && !shared(col, rows);
	if (!col->optional && col->kind != COL_FLAG)
		return true;
	for (uint32_t i = 0; i < rows->n; i++)
		if (says_something(v_get(&rows->items[i], col->key)))
			return true;
	return false;
}

static uint32_t field_index(const struct value *row, const char *key)
{
	for (uint32_t i = 0; key && row->type == VALUE_DICT && i < row->n; i++)
		if (!strcmp(row->fields[i].key, key))
			return i;
	return UINT32_MAX;
}

static void choose_columns(struct layout *l, const struct column *cols, size_t n, const struct value *rows)
{
	for (size_t c = 0; c < n && l->n < COLUMNS_MAX; c++) {
		if (!wanted(&cols[c], rows))
			continue;
		const char *title = title_of(&cols[c]);
		l->col[l->n] = &cols[c];
		l->at[l->n] = rows->n ? field_index(&rows->items[0], cols[c].key) : UINT32_MAX;
		l->width[l->n++] = text_width(title, strlen(title));
	}
}

/* Widths of all columns, which stand to the right, and the reasons of what is not known. */
static void measure(struct layout *l, const struct value *rows)
{
	for (uint32_t i = 0; i < rows->n; i++) {
		for (size_t c = 0; c < l->n; c++) {
			const struct value *v = field(l, c, &rows->items[i]);
			if (v && v->type == VALUE_NA)
				note_reason(l, title_of(l->col[c]), v);
			if (v && (v->type == VALUE_HEX || v->type == VALUE_INT))
				l->right[c] = !l->col[c]->left;
			if (c + 1 == l->n && !l->right[c])
				continue;
			size_t w = cell_width(l, c, &rows->items[i], v);
			if (w > l->width[c])
				l->width[c] = w;
		}
	}
}

static void pad(struct out *o, const struct layout *l, size_t c, size_t width)
{
	if (l->width[c] > width)
		out_fill(o, ' ', l->width[c] - width);
}

static void draw_row(struct out *o, struct layout *l, const struct value *row)
{
	for (size_t c = 0; c < l->n; c++) {
		const struct column *col = l->col[c];
		const struct value *v = field(l, c, row);
		bool last = c + 1 == l->n;
		size_t width = last && !l->right[c] ? 0 : cell_width(l, c, row, v);

		if (c)
			out_bytes(o, "  ", 2);
		if (l->right[c])
			pad(o, l, c, width);
		out_begin(o, col->style);
		draw_cell(o, col, row, v);
		out_end(o, col->style);
		if (!l->right[c] && !last)
			pad(o, l, c, width);
	}
	while (o->len && o->text[o->len - 1] == ' ')
		o->len--;
	out_bytes(o, "\n", 1);
}

static void draw_head(struct out *o, const struct layout *l)
{
	out_begin(o, STYLE_HEAD);
	for (size_t c = 0; c < l->n; c++) {
		const char *title = title_of(l->col[c]);
		size_t width = text_width(title, strlen(title));
		if (c)
			out_bytes(o, "  ", 2);
		if (l->right[c])
			pad(o, l, c, width);
		out_text(o, title);
		if (!l->right[c] && c + 1 < l->n)
			pad(o, l, c, width);
	}
	out_end(o, STYLE_HEAD);
	out_bytes(o, "\n", 1);
}

/* "generation 4, source kernel" */
static void draw_shared(struct out *o, const struct column *cols, size_t n, const struct value *rows)
{
	bool any = false;

	for (size_t c = 0; c < n; c++) {
		const struct value *v = cols[c].kind == COL_SHARED ? shared(&cols[c], rows) : NULL;
		if (!says_something(v))
			continue;
		out_begin(o, STYLE_DIM);
		out_textf(o, "%s%s ", any ? ", " : "", title_of(&cols[c]));
		out_inline(o, v);
		out_end(o, STYLE_DIM);
		any = true;
	}
	if (any)
		out_bytes(o, "\n", 1);
}

static void draw_reasons(struct out *o, const struct layout *l)
{
	for (size_t i = 0; i < l->n_reasons; i++) {
		out_begin(o, STYLE_DIM);
		out_textf(o, "%s n/a: ", l->reason_of[i]);
		out_safe(o, l->reason[i], strlen(l->reason[i]), false);
		out_end(o, STYLE_DIM);
		out_bytes(o, "\n", 1);
	}
}

void table_draw(struct out *o, const struct column *cols, size_t n, const struct value *rows)
{
	struct layout l = {0};

	if (!rows->n)
		return;
	out_init(&l.scratch, false, 0);
	choose_columns(&l, cols, n, rows);
	measure(&l, rows);
	draw_head(o, &l);
	for (uint32_t i = 0; i < rows->n && !o->failed; i++)
		draw_row(o, &l, &rows->items[i]);
	draw_shared(o, cols, n, rows);
	draw_reasons(o, &l);
	out_deinit(&l.scratch);
}

static bool have_column(const struct column *cols, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(cols[i].key, key))
			return true;
	return false;
}

void table_by_shape(struct out *o, const struct value *rows)
{
	struct column cols[COLUMNS_MAX] = {0};
	size_t n = 0;

	for (uint32_t i = 0; i < rows->n && i < 100; i++) {
		const struct value *row = &rows->items[i];
		for (uint32_t f = 0; row->type == VALUE_DICT && f < row->n && n < COLUMNS_MAX; f++)
			if (!have_column(cols, n, row->fields[f].key))
				cols[n++].key = row->fields[f].key;
	}
	table_draw(o, cols, n, rows);
}
