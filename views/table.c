/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Aligned tables of records. One pass over the rows finds each column's width, a second writes; a cell costs a few
 * nanoseconds in both, because `info tlb` may have 100,000 rows. Numbers stand to the right, text to the left, and the last
 * column is never padded.
 *
 * In parts, what is chosen by all rows is chosen by those of the first one: which columns all rows agree in (the source of
 * records, which a listing has one of). No column is left out for being empty there.
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
	bool complex[COLUMNS_MAX]; /* some cell is more than a number */
	size_t n;
	/* Where all columns but the last are plain numbers: a row with blanks for them, and where each ends (or begins). */
	char blank[1024];
	size_t n_blank, edge[COLUMNS_MAX];
	const char *reason[REASONS_MAX], *reason_of[REASONS_MAX];
	size_t n_reasons;
	bool keeps_reasons; /* they outlive their rows: owned */
	struct out scratch; /* to measure cells that are drawn by functions */
};

static const char *title_of(const struct column *col)
{
	return col->title ? col->title : col->key;
}

static inline const struct value *cell_of(const struct layout *l, size_t c, const struct value *row)
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

#define SIMPLE_MAX 40

static bool is_simple(const struct column *col, const struct value *v)
{
	if (col->kind >= COL_CELL || col->kind == COL_FLAG)
		return false;
	return !v || v->type == VALUE_NULL || v->type == VALUE_HEX || v->type == VALUE_INT || v->type == VALUE_NA;
}

/* The text of a cell that needs no styles and no escapes, without a buffer's bookkeeping; 0 if it is no such cell. */
static size_t simple_cell(char *buf, const struct column *col, const struct value *v)
{
	if (!is_simple(col, v))
		return 0;
	if (!v || v->type == VALUE_NULL) {
		buf[0] = '-';
		return 1;
	}
	switch ((enum value_type)v->type) {
	case VALUE_HEX:
		return format_hex(buf, v->hex);
	case VALUE_INT:
		return col->kind == COL_SIZE ? format_size(buf, v->hex) : format_dec(buf, v->num);
	case VALUE_NA:
		memcpy(buf, "n/a", 3);
		return 3;
	default:
		return 0;
	}
}

static void draw_cell(struct out *o, const struct column *col, const struct value *row, const struct value *v);

static size_t cell_width(struct layout *l, size_t c, const struct value *row, const struct value *v)
{
	const struct column *col = l->col[c];
	char buf[SIMPLE_MAX];

	if (v && v->type == VALUE_HEX && col->kind != COL_CELL)
		return hex_width(v->hex);
	size_t n = simple_cell(buf, col, v);
	if (n)
		return n;
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
	const char *reason = l->keeps_reasons ? strdup(v->str) : v->str;
	if (!reason)
		return;
	l->reason_of[l->n_reasons] = title;
	l->reason[l->n_reasons++] = reason;
}

static void draw_cell(struct out *o, const struct column *col, const struct value *row, const struct value *v)
{
	char buf[SIMPLE_MAX];
	size_t n = simple_cell(buf, col, v);

	if (n)
		out_bytes(o, buf, n);
	else if (col->kind == COL_CELL)
		col->cell(o, row);
	else if (col->kind != COL_FLAG)
		out_inline(o, v);
	else if (v && v->type == VALUE_BOOL && v->truth)
		out_text(o, title_of(col));
}

static uint32_t field_index(const struct value *row, const char *key)
{
	for (uint32_t i = 0; key && row->type == VALUE_DICT && i < row->n; i++)
		if (!strcmp(row->fields[i].key, key))
			return i;
	return UINT32_MAX;
}

/* The row's value of a key that another row has at `at`: mostly it is there in this one too. */
static const struct value *value_near(const struct value *row, uint32_t at, const char *key)
{
	if (row->type == VALUE_DICT && at < row->n && row->fields[at].key == key)
		return &row->fields[at].value;
	return v_get(row, key);
}

/* The value that all rows have in this column, or NULL. */
static const struct value *shared_value(const struct column *col, const struct value *rows)
{
	const struct value *first = rows->n ? v_get(&rows->items[0], col->key) : NULL;
	uint32_t at = first ? field_index(&rows->items[0], col->key) : 0;
	const char *key = first ? rows->items[0].fields[at].key : NULL;

	for (uint32_t i = 1; first && i < rows->n; i++) {
		const struct value *v = value_near(&rows->items[i], at, key);
		if (!v || (v->str != first->str && !v_equal(v, first)))
			return NULL;
	}
	return first;
}

static bool column_is_shown(const struct column *col, const struct value *rows, bool in_parts)
{
	if (col->kind == COL_SHARED && (rows->n <= 1 || shared_value(col, rows)))
		return false;
	if (col->kind == COL_SHARED && !col->optional)
		return true;
	if (!col->optional && col->kind != COL_FLAG)
		return true;
	if (in_parts && col->kind != COL_SHARED)
		return rows->n && v_get(&rows->items[0], col->key);
	for (uint32_t i = 0; i < rows->n; i++)
		if (says_something(v_get(&rows->items[i], col->key)))
			return true;
	return false;
}

static void choose_columns(struct layout *l, const struct column *cols, size_t n, const struct value *rows)
{
	for (size_t c = 0; c < n && l->n < COLUMNS_MAX; c++) {
		if (!column_is_shown(&cols[c], rows, l->keeps_reasons))
			continue;
		const char *title = title_of(&cols[c]);
		l->col[l->n] = &cols[c];
		l->at[l->n] = rows->n ? field_index(&rows->items[0], cols[c].key) : UINT32_MAX;
		l->width[l->n++] = text_width(title, strlen(title));
	}
}

static void widen_column(struct layout *l, size_t c, size_t w)
{
	if (w > l->width[c])
		l->width[c] = w;
}

static void measure_cell(struct layout *l, size_t c, const struct value *row, const struct value *v)
{
	const struct column *col = l->col[c];

	if (v && v->type == VALUE_NA)
		note_reason(l, title_of(col), v);
	if (v && v->type == VALUE_INT)
		l->right[c] = !col->left;
	if (!is_simple(col, v)) {
		l->complex[c] = true;
		if (c + 1 == l->n && !l->right[c])
			return;
	}
	widen_column(l, c, cell_width(l, c, row, v));
}

/* Widths of all columns, which stand to the right, and the reasons of what is not known. Addresses are most of all cells:
 * their digits follow from all of them or'ed. */
static void measure_columns(struct layout *l, const struct value *rows)
{
	uint64_t all[COLUMNS_MAX] = {0}, seen[COLUMNS_MAX];
	bool hex[COLUMNS_MAX] = {false};

	memset(seen, 0xff, sizeof(seen));
	for (uint32_t i = 0; i < rows->n; i++) {
		const struct value *row = &rows->items[i];
		for (size_t c = 0; c < l->n; c++) {
			const struct value *v = cell_of(l, c, row);
			if (v && v->type == VALUE_HEX && is_simple(l->col[c], v)) {
				hex[c] = true;
				all[c] |= v->hex;
			} else if (!v || v->type != VALUE_INT || v->hex != seen[c]) {
				measure_cell(l, c, row, v);
				seen[c] = v && v->type == VALUE_INT ? v->hex : UINT64_MAX;
			}
		}
	}
	for (size_t c = 0; c < l->n; c++) {
		if (!hex[c])
			continue;
		l->right[c] = !l->col[c]->left;
		widen_column(l, c, hex_width(all[c]));
	}
}

static void add_blank(struct layout *l, const char *s, size_t n)
{
	if (s)
		memcpy(l->blank + l->n_blank, s, n);
	else
		memset(l->blank + l->n_blank, ' ', n);
	l->n_blank += n;
}

/* The row that numbers are written into; n_blank 0 if the columns are not of that kind, or too wide. */
static void make_blank(struct layout *l, bool color)
{
	size_t room = 0;

	for (size_t c = 0; c < l->n; c++) {
		room += l->width[c] + 2 + 2 * STYLE_CODE_MAX;
		if (l->complex[c] && c + 1 < l->n)
			return;
	}
	if (room > sizeof(l->blank))
		return;
	for (size_t c = 0; c < l->n; c++) {
		const char *code = color ? style_code_of(l->col[c]->style) : "";
		if (c)
			add_blank(l, NULL, 2);
		if (l->complex[c])
			return;
		add_blank(l, code, strlen(code));
		l->edge[c] = l->n_blank + (l->right[c] ? l->width[c] : 0);
		add_blank(l, NULL, l->width[c]);
		if (code[0])
			add_blank(l, STYLE_CODE_END, strlen(STYLE_CODE_END));
	}
}

static void pad_column(struct out *o, const struct layout *l, size_t c, size_t width)
{
	if (l->width[c] > width)
		out_fill(o, ' ', l->width[c] - width);
}

static void draw_padded(struct out *o, struct layout *l, size_t c, const struct value *row)
{
	const struct value *v = cell_of(l, c, row);
	bool last = c + 1 == l->n;
	size_t width = last && !l->right[c] ? 0 : cell_width(l, c, row, v);

	out_begin(o, l->col[c]->style);
	if (l->right[c])
		pad_column(o, l, c, width);
	draw_cell(o, l->col[c], row, v);
	if (!l->right[c] && !last)
		pad_column(o, l, c, width);
	out_end(o, l->col[c]->style);
}

/* A number that ends before `end`. */
static void write_hex(char *end, uint64_t x)
{
	do
		*--end = "0123456789abcdef"[x & 15];
	while (x >>= 4);
	*--end = 'x';
	*--end = '0';
}

/* All numbers of a row into a copy of the blank one. */
static void draw_numbers(struct out *o, struct layout *l, const struct value *row)
{
	char text[SIMPLE_MAX], *at = out_room(o, l->n_blank);

	if (!at)
		return;
	memcpy(at, l->blank, l->n_blank);
	for (size_t c = 0; c < l->n && !l->complex[c]; c++) {
		const struct value *v = cell_of(l, c, row);
		if (v && v->type == VALUE_HEX && l->right[c]) {
			write_hex(at + l->edge[c], v->hex);
			continue;
		}
		size_t n = simple_cell(text, l->col[c], v);
		memcpy(at + l->edge[c] - (l->right[c] ? n : 0), text, n);
	}
	o->len += l->n_blank;
}

static void draw_row(struct out *o, struct layout *l, const struct value *row)
{
	size_t c = 0;

	if (l->n_blank) {
		draw_numbers(o, l, row);
		c = l->complex[l->n - 1] ? l->n - 1 : l->n;
	}
	for (; c < l->n; c++) {
		if (c && !l->n_blank)
			out_bytes(o, "  ", 2);
		draw_padded(o, l, c, row);
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
			pad_column(o, l, c, width);
		out_text(o, title);
		if (!l->right[c] && c + 1 < l->n)
			pad_column(o, l, c, width);
	}
	out_end(o, STYLE_HEAD);
	out_bytes(o, "\n", 1);
}

/* "generation 4, source kernel" */
static void draw_shared(struct out *o, const struct column *cols, size_t n, const struct value *rows)
{
	bool drawn = false;

	for (size_t c = 0; c < n; c++) {
		const struct value *v = cols[c].kind == COL_SHARED ? shared_value(&cols[c], rows) : NULL;
		if (!says_something(v))
			continue;
		out_begin(o, STYLE_DIM);
		out_textf(o, "%s%s ", drawn ? ", " : "", title_of(&cols[c]));
		out_inline(o, v);
		out_end(o, STYLE_DIM);
		drawn = true;
	}
	if (drawn)
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

static void draw_rows(struct out *o, struct layout *l, const struct value *rows)
{
	/* One allocation instead of twenty; more is got if that is not enough. */
	out_room(o, (l->n_blank + 24) * (size_t)rows->n);
	for (uint32_t i = 0; i < rows->n && !o->failed; i++)
		draw_row(o, l, &rows->items[i]);
}

static void draw_whole(struct out *o, const struct column *cols, size_t n, const struct value *rows)
{
	struct layout l = {0};

	out_init(&l.scratch, false, 0);
	choose_columns(&l, cols, n, rows);
	measure_columns(&l, rows);
	make_blank(&l, o->color);
	draw_head(o, &l);
	draw_rows(o, &l, rows);
	draw_shared(o, cols, n, rows);
	draw_reasons(o, &l);
	out_deinit(&l.scratch);
}

/* ---- in parts */

#define ADDRESS_WIDTH 18  /* a linear one: those of the kernel come last */
#define PHYSICAL_WIDTH 15 /* of 52 bits */
#define BYTES_WIDTH 8	  /* "1020 KiB" */

/* Room for what further rows may have. */
static void widen_columns(struct layout *l, const struct value *rows)
{
	for (size_t c = 0; c < l->n; c++) {
		const struct value *v = cell_of(l, c, &rows->items[0]);

		if (l->col[c]->kind == COL_SIZE)
			widen_column(l, c, BYTES_WIDTH);
		else if (l->col[c]->kind == COL_VALUE && v && v->type == VALUE_HEX)
			widen_column(l, c, l->col[c]->style == STYLE_ADDR ? ADDRESS_WIDTH : PHYSICAL_WIDTH);
	}
}

static struct layout *begin_parts(const struct column *cols, size_t n, const struct value *rows)
{
	struct layout *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	out_init(&l->scratch, false, 0);
	l->keeps_reasons = true;
	choose_columns(l, cols, n, rows);
	widen_columns(l, rows);
	return l;
}

static void draw_part(struct out *o, const struct column *cols, size_t n, const struct value *rows)
{
	struct table_parts *p = o->parts;
	bool first = !p->layout;

	if (first)
		p->layout = begin_parts(cols, n, rows);
	if (!p->layout) {
		o->failed = true;
		return;
	}
	measure_columns(p->layout, rows);
	p->layout->n_blank = 0;
	make_blank(p->layout, o->color);
	if (first)
		draw_head(o, p->layout);
	draw_rows(o, p->layout, rows);
	if (!p->last)
		return;
	draw_shared(o, cols, n, rows);
	draw_reasons(o, p->layout);
}

void table_parts_end(struct table_parts *p)
{
	struct layout *l = p->layout;

	if (!l)
		return;
	for (size_t i = 0; i < l->n_reasons; i++)
		free((void *)(uintptr_t)l->reason[i]);
	out_deinit(&l->scratch);
	free(l);
	p->layout = NULL;
}

void table_draw(struct out *o, const struct column *cols, size_t n, const struct value *rows)
{
	if (!rows->n)
		return;
	if (o->parts)
		draw_part(o, cols, n, rows);
	else
		draw_whole(o, cols, n, rows);
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
