/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Cells, and drawing text into them. Everything is cut off at an area's border; text that is not UTF-8, or not one column
 * wide, is drawn as '?', so that column n of the grid is column n of the terminal.
 */
#include "views/tui/grid.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include "views/draw.h"
#include "views/utf8.h"

int grid_resize(struct grid *g, unsigned rows, unsigned cols)
{
	struct cell *cells = calloc((size_t)rows * cols + 1, sizeof(*cells));

	if (!cells)
		return -ENOMEM;
	free(g->cells);
	*g = (struct grid){.cells = cells, .rows = rows, .cols = cols};
	grid_clear(g);
	return 0;
}

void grid_deinit(struct grid *g)
{
	free(g->cells);
	*g = (struct grid){0};
}

void grid_clear(struct grid *g)
{
	for (size_t i = 0; i < (size_t)g->rows * g->cols; i++)
		g->cells[i] = (struct cell){.ch = ' '};
	g->cursor_shown = false;
}

static void append_code_point(struct out *o, uint32_t ch)
{
	char bytes[4];

	out_bytes(o, bytes, utf8_encode(ch, bytes));
}

static unsigned used_columns(const struct cell *row, unsigned cols)
{
	while (cols && row[cols - 1].ch == ' ')
		cols--;
	return cols;
}

static void row_text(const struct grid *g, unsigned row, struct out *o)
{
	const struct cell *cells = g->cells + (size_t)row * g->cols;
	unsigned n = used_columns(cells, g->cols);

	for (unsigned col = 0; col < n; col++)
		append_code_point(o, cells[col].ch);
	out_text(o, "\n");
}

void grid_text(const struct grid *g, struct out *o)
{
	for (unsigned row = 0; row < g->rows; row++)
		row_text(g, row, o);
}

char tone_letter(enum tone t)
{
	static const char letters[] = " hagwbdortfslkHURWDSGTNAMVX12345";

	_Static_assert(sizeof(letters) == TONE_COUNT + 1, "a letter for each tone");
	return letters[t];
}

static char look_letter(const struct cell *c)
{
	char letter = tone_letter(c->tone);

	if (c->flags & CELL_REVERSE)
		return letter == ' ' ? '#' : letter;
	if (c->flags & CELL_BOLD)
		return letter == ' ' ? '*' : letter;
	return letter;
}

static void row_tones(const struct grid *g, unsigned row, struct out *o)
{
	const struct cell *cells = g->cells + (size_t)row * g->cols;
	size_t from = o->len;

	out_text(o, "~");
	for (unsigned col = 0; col < g->cols; col++) {
		char letter = look_letter(&cells[col]);
		out_bytes(o, &letter, 1);
	}
	while (o->len > from + 1 && o->text[o->len - 1] == ' ')
		o->len--;
	if (o->len == from + 1)
		o->len = from;
	out_text(o, o->len == from ? "" : "\n"); /* also ends the text where it now ends */
}

void grid_text_tones(const struct grid *g, struct out *o)
{
	for (unsigned row = 0; row < g->rows; row++) {
		row_text(g, row, o);
		row_tones(g, row, o);
	}
}

/* ---- areas */

struct area area_whole(struct grid *g)
{
	return (struct area){g, 0, 0, g->rows, g->cols};
}

struct area area_part(struct area a, unsigned row, unsigned col, unsigned rows, unsigned cols)
{
	if (row > a.rows)
		row = a.rows;
	if (col > a.cols)
		col = a.cols;
	return (struct area){a.grid, a.row + row, a.col + col, MIN(rows, a.rows - row), MIN(cols, a.cols - col)};
}

static struct cell *cell_at(struct area a, unsigned row, unsigned col)
{
	return a.grid->cells + (size_t)(a.row + row) * a.grid->cols + a.col + col;
}

void area_clear(struct area a)
{
	for (unsigned row = 0; row < a.rows; row++)
		for (unsigned col = 0; col < a.cols; col++)
			*cell_at(a, row, col) = (struct cell){.ch = ' '};
}

void area_cell(struct area a, unsigned row, unsigned col, uint32_t ch, enum tone t, unsigned flags)
{
	if (row < a.rows && col < a.cols)
		*cell_at(a, row, col) = (struct cell){.ch = ch, .tone = t, .flags = flags};
}

/* The next character of s, as it is drawn; its bytes in *n. */
static uint32_t next_character(const char *s, size_t left, size_t *n)
{
	uint32_t ch;

	*n = utf8_decode(s, left, &ch);
	if (!*n) {
		*n = 1;
		return '?';
	}
	return ch < ' ' || wcwidth((wchar_t)ch) != 1 ? '?' : ch;
}

unsigned area_text(struct area a, unsigned row, unsigned col, enum tone t, const char *text)
{
	size_t left = strlen(text), n;

	for (; left; text += n, left -= n)
		area_cell(a, row, col++, next_character(text, left, &n), t, 0);
	return col;
}

unsigned area_textf(struct area a, unsigned row, unsigned col, enum tone t, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return area_text(a, row, col, t, text);
}

/* The tone that an escape sequence of the views begins; plain for its end and for any other. */
static enum tone tone_of_sequence(const char *s, size_t n)
{
	for (enum style st = STYLE_PLAIN + 1; st < STYLE_COUNT; st++) {
		const char *code = style_code_of(st);
		if (strlen(code) == n && !memcmp(code, s, n))
			return (enum tone)st;
	}
	return TONE_PLAIN;
}

static size_t sequence_length(const char *s, size_t left)
{
	size_t n = 2;

	if (left < 2 || s[0] != '\033' || s[1] != '[')
		return 0;
	while (n < left && (s[n] < '@' || s[n] > '~'))
		n++;
	return n < left ? n + 1 : 0;
}

void text_strip(char *text)
{
	char *to = text;

	for (size_t left = strlen(text), n; left; text += n, left -= n) {
		n = sequence_length(text, left);
		if (n)
			continue;
		n = 1;
		*to++ = *text;
	}
	*to = '\0';
}

#define TAB_STOP 8
void area_styled(struct area a, unsigned row, unsigned col, const char *text, size_t left, unsigned skip)
{
	unsigned column = 0;
	enum tone t = TONE_PLAIN;
	size_t n;

	for (; left && (column < skip || column - skip + col < a.cols); text += n, left -= n) {
		n = sequence_length(text, left);
		if (n) {
			t = tone_of_sequence(text, n);
			continue;
		}
		if (*text == '\t') {
			n = 1;
			column += TAB_STOP - column % TAB_STOP;
			continue;
		}
		uint32_t ch = next_character(text, left, &n);
		if (column >= skip)
			area_cell(a, row, col + column - skip, ch, t, 0);
		column++;
	}
}

void area_row_flags(struct area a, unsigned row, unsigned flags)
{
	for (unsigned col = 0; row < a.rows && col < a.cols; col++)
		cell_at(a, row, col)->flags |= flags;
}
