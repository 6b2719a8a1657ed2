/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A ring of lines.
 */
#include "views/tui/scrollback.h"

#include <errno.h>
#include <string.h>

#include "views/draw.h"

#define LINE_MAX_BYTES 65536 /* a line without end is cut into several */

int scrollback_init(struct scrollback *b, size_t max)
{
	*b = (struct scrollback){.line = calloc(max, sizeof(*b->line)), .max = max, .mark = UINT64_MAX};
	return b->line ? 0 : -ENOMEM;
}

static char **line_at(const struct scrollback *b, size_t i)
{
	return &b->line[(b->first + i) % b->max];
}

void scrollback_clear(struct scrollback *b)
{
	for (size_t i = 0; i < b->n; i++) {
		free(*line_at(b, i));
		*line_at(b, i) = NULL;
	}
	b->dropped += b->n;
	b->n = 0;
	b->n_part = 0;
	b->open = b->returned = false;
}

void scrollback_deinit(struct scrollback *b)
{
	if (b->line)
		scrollback_clear(b);
	free(b->line);
	*b = (struct scrollback){0};
}

static void drop_oldest(struct scrollback *b)
{
	free(*line_at(b, 0));
	*line_at(b, 0) = NULL;
	b->first = (b->first + 1) % b->max;
	b->n--;
	b->dropped++;
}

static void new_line(struct scrollback *b, const char *text, size_t n)
{
	char *line = malloc(n + 1);

	if (!line) {
		b->full = true;
		return;
	}
	memcpy(line, text, n);
	line[n] = '\0';
	if (b->n == b->max)
		drop_oldest(b);
	*line_at(b, b->n++) = line;
}

static void go_on_with_line(struct scrollback *b, const char *text, size_t n)
{
	char **last = line_at(b, b->n - 1);
	size_t old = strlen(*last);
	char *line = realloc(*last, old + n + 1);

	if (!line) {
		b->full = true;
		return;
	}
	memcpy(line + old, text, n);
	line[old + n] = '\0';
	*last = line;
}

static void add_piece(struct scrollback *b, const char *text, size_t n)
{
	if (b->open && b->n && strlen(*line_at(b, b->n - 1)) < LINE_MAX_BYTES)
		go_on_with_line(b, text, n);
	else
		new_line(b, text, n);
}

static void add_lines(struct scrollback *b, const char *text, size_t n)
{
	while (n) {
		const char *newline = memchr(text, '\n', n);
		size_t piece = newline ? (size_t)(newline - text) : MIN(n, (size_t)LINE_MAX_BYTES);

		add_piece(b, text, piece);
		b->open = !newline;
		piece += newline ? 1 : 0;
		text += piece;
		n -= piece;
	}
}

/* Bytes of an escape sequence that a view would have written; 0: none stands there. */
static size_t own_style(const char *text, size_t n)
{
	for (enum style st = STYLE_PLAIN; st < STYLE_COUNT; st++) {
		const char *code = st == STYLE_PLAIN ? STYLE_CODE_END : style_code_of(st);
		size_t len = strlen(code);
		if (len <= n && !memcmp(text, code, len))
			return len;
	}
	return 0;
}

/* The next piece of plain text, made visible; how many bytes. "\r\n" is one newline, also if it comes in two pieces. */
static size_t add_safe(struct scrollback *b, struct out *o, const char *text, size_t n)
{
	size_t piece = 0, style = b->own_styles ? own_style(text, n) : 0;
	bool behind_return = b->returned;

	b->returned = *text == '\r';
	if (style) {
		out_bytes(o, text, style);
		return style;
	}
	if (b->returned || (behind_return && *text == '\n')) {
		out_text(o, b->returned ? "\n" : "");
		return 1;
	}
	do
		piece++;
	while (piece < n && text[piece] != '\r' && text[piece] != '\033');
	out_safe(o, text, piece, true);
	return piece;
}

/* A sequence that may be one of the views' when the rest of it has come. */
static bool is_begun_style(const char *text, size_t n)
{
	return n < STYLE_CODE_MAX && text[0] == '\033' && (n == 1 || text[1] == '[') &&
	       strspn(text + 1, "[0123456789;") == n - 1;
}

/* How many bytes at the end begin a character, or a sequence, that is not there as a whole. */
static size_t cut_off(const struct scrollback *b, const char *text, size_t n)
{
	bool character = true;

	for (size_t back = 1; back <= MIN(n, sizeof(b->part)); back++) {
		unsigned char c = (unsigned char)text[n - back];
		if (c >= 0xc0)
			return character && back < (c < 0xe0 ? 2u : c < 0xf0 ? 3u : 4u) ? back : 0;
		if (c == '\033')
			return b->own_styles && is_begun_style(text + n - back, back) ? back : 0;
		character &= c >= 0x80;
	}
	return 0;
}

/* What was cut off last time stands before this; what is cut off now waits. */
static void add_plain(struct scrollback *b, const char *text, size_t n, bool more)
{
	struct out whole, safe;

	out_init(&whole, false, 0);
	out_init(&safe, false, 0);
	out_bytes(&whole, b->part, b->n_part);
	out_bytes(&whole, text, n);
	b->n_part = more ? (unsigned)cut_off(b, whole.text, whole.len) : 0;
	memcpy(b->part, whole.text + whole.len - b->n_part, b->n_part);
	for (size_t i = 0, end = whole.len - b->n_part; i < end;)
		i += add_safe(b, &safe, whole.text + i, end - i);
	b->full |= whole.failed || safe.failed;
	add_lines(b, safe.text, safe.len);
	out_deinit(&safe);
	out_deinit(&whole);
}

void scrollback_add(struct scrollback *b, const char *text, size_t n, bool styled)
{
	if (!styled) {
		add_plain(b, text, n, true);
		return;
	}
	if (b->n_part)
		add_plain(b, "", 0, false);
	b->returned = false;
	add_lines(b, text, n);
}

void scrollback_mark(struct scrollback *b)
{
	b->mark = b->dropped + b->n;
}

const char *scrollback_line(const struct scrollback *b, size_t i)
{
	return i < b->n ? *line_at(b, i) : "";
}
