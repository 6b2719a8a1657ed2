/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What all panes of lines share: drawing the lines that are on the screen, the cursor, scrolling, search, mouse, selecting
 * and yanking. Lines are drawn when they are looked at, so a pane of 100,000 costs what its rows on the screen cost.
 */
#include "views/tui/pane.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "views/draw.h"

struct pane *pane_create(const struct pane_ops *ops)
{
	struct pane *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->ops = ops;
	p->own = ops->size ? calloc(1, ops->size) : NULL;
	if (ops->size && !p->own) {
		free(p);
		return NULL;
	}
	return p;
}

void pane_destroy(struct pane *p)
{
	if (!p)
		return;
	if (p->ops->close)
		p->ops->close(p);
	free(p->own);
	free(p);
}

static size_t count_lines(const struct pane *p)
{
	return p->ops->count ? p->ops->count(p) : 0;
}

/* Rows of the area for lines that scroll. */
static unsigned body_rows(const struct pane *p)
{
	return p->rows > p->ops->header ? p->rows - p->ops->header : 1;
}

/* Lines that scroll: the first is ops->header. */
static void keep_cursor_visible(struct pane *p)
{
	size_t n = count_lines(p), header = p->ops->header, rows = body_rows(p);

	if (p->cursor >= n)
		p->cursor = n ? n - 1 : 0;
	p->cursor = MAX(p->cursor, header);
	p->top = MAX(p->top, header);
	if (p->cursor < p->top)
		p->top = p->cursor;
	if (p->cursor >= p->top + rows)
		p->top = p->cursor - rows + 1;
	if (p->top + rows > n)
		p->top = n > header + rows ? n - rows : header;
}

/* When another address has been selected the cursor goes to its line. */
static void follow_selection(struct pane *p, const struct scene *s)
{
	size_t i;

	if (!p->ops->find || p->shown == s->sel_generation)
		return;
	p->shown = s->sel_generation;
	if (p->ops->find(p, s, &i))
		p->cursor = i;
}

static void draw_line(struct pane *p, const struct scene *s, size_t i, struct area a, unsigned row)
{
	struct out o;

	out_init(&o, true, a.cols + p->left);
	o.ascii = s->ascii;
	p->ops->line(p, s, i, &o);
	area_styled(a, row, 0, o.text, strcspn(o.text, "\n"), p->left);
	out_deinit(&o);
}

#define SCROLLBAR_LEAST_COLS 8
unsigned pane_text_cols(unsigned cols)
{
	return cols < SCROLLBAR_LEAST_COLS ? cols : cols - 1;
}

/* At the right border, where in the whole the rows stand. */
static void draw_scrollbar(const struct pane *p, const struct scene *s, struct area a)
{
	size_t n = count_lines(p) - p->ops->header, rows = body_rows(p);

	size_t length = MAX((size_t)1, rows * rows / n);
	size_t from = (p->top - p->ops->header) * (rows - length) / (n - rows);
	for (size_t i = 0; i < length; i++)
		area_cell(a, p->ops->header + (unsigned)(from + i), a.cols - 1, s->ascii ? '|' : 0x2590, TONE_DIM, 0);
}

static void draw_lines(struct pane *p, const struct scene *s, struct area whole, bool focus)
{
	size_t n = count_lines(p), header = MIN((size_t)p->ops->header, n);
	bool scrolls = n - header > body_rows(p) && whole.cols >= SCROLLBAR_LEAST_COLS;
	struct area a = area_part(whole, 0, 0, whole.rows, scrolls ? pane_text_cols(whole.cols) : whole.cols);

	follow_selection(p, s);
	keep_cursor_visible(p);
	for (unsigned i = 0; i < header; i++)
		draw_line(p, s, i, a, i);
	for (size_t i = p->top; i < n && i - p->top + header < a.rows; i++) {
		unsigned row = (unsigned)(i - p->top + header);
		draw_line(p, s, i, a, row);
		if (i == p->cursor && focus)
			area_row_flags(a, row, CELL_REVERSE);
	}
	if (scrolls)
		draw_scrollbar(p, s, whole);
}

void pane_draw(struct pane *p, const struct scene *s, struct area a, bool focus)
{
	p->rows = a.rows;
	p->cols = a.cols;
	if (p->ops->update)
		p->ops->update(p, s);
	if (p->ops->draw)
		p->ops->draw(p, s, a);
	else
		draw_lines(p, s, a, focus);
}

/* ---- keys */

const struct key_row pane_line_keys[] = {
    {TUI_KEY_UP, 'k', "the line above"},
    {TUI_KEY_DOWN, 'j', "the line below"},
    {TUI_KEY_PAGE_UP, 0, "a page up"},
    {TUI_KEY_PAGE_DOWN, 0, "a page down"},
    {TUI_KEY_HOME, 0, "the first line"},
    {TUI_KEY_END, 'G', "the last line"},
    {TUI_KEY_LEFT, 0, "scroll to the left"},
    {TUI_KEY_RIGHT, 0, "scroll to the right"},
    {TUI_KEY_ENTER, 0, "select this address, in all panes"},
    {'y', 0, "put this address into the command line"},
    {0, 0, NULL},
};

static unsigned move_cursor(struct pane *p, int64_t by)
{
	int64_t n = (int64_t)count_lines(p), to = (int64_t)p->cursor + by;

	p->cursor = to < 0 || !n ? 0 : (size_t)MIN(to, n - 1);
	keep_cursor_visible(p);
	return PANE_HANDLED | PANE_REDRAW;
}

static unsigned scroll_columns(struct pane *p, int by)
{
	p->left = by < 0 ? (p->left > (unsigned)-by ? p->left + (unsigned)by : 0) : p->left + (unsigned)by;
	return PANE_HANDLED | PANE_REDRAW;
}

static bool place_at_cursor(const struct pane *p, const struct scene *s, struct place *out)
{
	*out = (struct place){0};
	return p->ops->place && p->cursor < count_lines(p) && p->ops->place(p, s, p->cursor, out) &&
	       (out->has_gva || out->has_gpa);
}

static unsigned select_line(struct pane *p, const struct scene *s, struct pane_reply *r)
{
	return PANE_HANDLED | (place_at_cursor(p, s, &r->place) ? PANE_SELECT | PANE_REDRAW : 0);
}

static unsigned yank_line(struct pane *p, const struct scene *s, struct pane_reply *r)
{
	struct place at;

	if (!place_at_cursor(p, s, &at))
		return PANE_HANDLED;
	snprintf(r->line, sizeof(r->line), "0x%llx", (unsigned long long)(at.has_gva ? at.gva : at.gpa));
	return PANE_HANDLED | PANE_EDIT;
}

static unsigned line_key(struct pane *p, const struct scene *s, int key, struct pane_reply *r)
{
	int64_t rows = body_rows(p);

	switch (key) {
	case TUI_KEY_UP:
	case 'k':
		return move_cursor(p, -1);
	case TUI_KEY_DOWN:
	case 'j':
		return move_cursor(p, 1);
	case TUI_KEY_PAGE_UP:
		return move_cursor(p, -rows);
	case TUI_KEY_PAGE_DOWN:
		return move_cursor(p, rows);
	case TUI_KEY_HOME:
		return move_cursor(p, -(int64_t)p->cursor);
	case TUI_KEY_END:
	case 'G':
		return move_cursor(p, (int64_t)count_lines(p));
	case TUI_KEY_LEFT:
		return scroll_columns(p, -8);
	case TUI_KEY_RIGHT:
		return scroll_columns(p, 8);
	case TUI_KEY_ENTER:
		return select_line(p, s, r);
	case 'y':
		return yank_line(p, s, r);
	default:
		return PANE_IGNORED;
	}
}

unsigned pane_key(struct pane *p, const struct scene *s, int key, struct pane_reply *r)
{
	unsigned did = p->ops->key ? p->ops->key(p, s, key, r) : PANE_IGNORED;

	return did == PANE_IGNORED && p->ops->count ? line_key(p, s, key, r) : did;
}

/* ---- mouse */

#define WHEEL_LINES 3
static unsigned line_mouse(struct pane *p, const struct scene *s, const struct mouse *m, struct pane_reply *r)
{
	size_t header = p->ops->header;

	if (m->button == MOUSE_WHEEL_UP)
		return move_cursor(p, -WHEEL_LINES);
	if (m->button == MOUSE_WHEEL_DOWN)
		return move_cursor(p, WHEEL_LINES);
	if (m->row < header || p->top + m->row - header >= count_lines(p))
		return PANE_HANDLED;
	p->cursor = p->top + m->row - header;
	if (m->button == MOUSE_DOUBLE)
		return select_line(p, s, r) | PANE_REDRAW;
	return PANE_HANDLED | PANE_REDRAW;
}

unsigned pane_mouse(struct pane *p, const struct scene *s, const struct mouse *m, struct pane_reply *r)
{
	if (p->ops->mouse)
		return p->ops->mouse(p, s, m, r);
	return p->ops->count ? line_mouse(p, s, m, r) : PANE_IGNORED;
}

/* ---- search */

static bool has_upper(const char *text)
{
	for (; *text; text++)
		if (isupper((unsigned char)*text))
			return true;
	return false;
}

static bool line_has(struct pane *p, const struct scene *s, size_t i, const char *text, bool exact)
{
	struct out o;

	out_init(&o, false, 0);
	o.ascii = s->ascii;
	p->ops->line(p, s, i, &o);
	if (o.len)
		text_strip(o.text);
	bool found = (exact ? strstr(o.text, text) : strcasestr(o.text, text)) != NULL;
	out_deinit(&o);
	return found;
}

static bool search_lines(struct pane *p, const struct scene *s, const char *text, bool backwards)
{
	size_t n = count_lines(p), i = p->cursor;
	bool exact = has_upper(text);

	for (size_t left = n; left; left--) {
		i = backwards ? (i ? i - 1 : n - 1) : (i + 1 < n ? i + 1 : 0);
		if (i >= p->ops->header && line_has(p, s, i, text, exact)) {
			p->cursor = i;
			keep_cursor_visible(p);
			return true;
		}
	}
	return false;
}

bool pane_search(struct pane *p, const struct scene *s, const char *text, bool backwards)
{
	if (text != p->pattern) /* else: search on */
		snprintf(p->pattern, sizeof(p->pattern), "%s", text);
	if (!p->pattern[0])
		return false;
	if (p->ops->search)
		return p->ops->search(p, s, p->pattern, backwards);
	return p->ops->count && search_lines(p, s, p->pattern, backwards);
}
