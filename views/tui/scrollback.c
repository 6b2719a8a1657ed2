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
	*b = (struct scrollback){.line = calloc(max, sizeof(*b->line)), .max = max};
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
	b->open = false;
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

/* "\r\n" is one newline; any other control character is made visible. */
static void make_safe(struct out *o, const char *text, size_t n)
{
	while (n) {
		const char *end = memchr(text, '\r', n);
		size_t piece = end ? (size_t)(end - text) : n;

		out_safe(o, text, piece, true);
		if (end && !(piece + 1 < n && end[1] == '\n'))
			out_text(o, "\n");
		piece += end ? 1 : 0;
		text += piece;
		n -= piece;
	}
}

void scrollback_add(struct scrollback *b, const char *text, size_t n, bool styled)
{
	struct out safe;

	if (styled) {
		add_lines(b, text, n);
		return;
	}
	out_init(&safe, false, 0);
	make_safe(&safe, text, n);
	b->full |= safe.failed;
	add_lines(b, safe.text, safe.len);
	out_deinit(&safe);
}

void scrollback_mark(struct scrollback *b)
{
	b->mark = b->dropped + b->n;
}

const char *scrollback_line(const struct scrollback *b, size_t i)
{
	return i < b->n ? *line_at(b, i) : "";
}
