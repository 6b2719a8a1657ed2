/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A record's view as lines, and the addresses in them.
 */
#include "views/tui/record_pane.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "views/draw.h"

/* ---- places */

bool place_of_record(const struct value *row, struct place *out)
{
	*out = (struct place){.has_gva = has_num(row, "gva"), .gva = get_num(row, "gva")};
	if (has_num(row, "address") && get_truth(row, "phys")) {
		out->has_gpa = true;
		out->gpa = get_num(row, "address");
	} else if (!out->has_gva && has_num(row, "address")) {
		out->has_gva = true;
		out->gva = get_num(row, "address");
	}
	if (has_num(row, "gpa")) {
		out->has_gpa = true;
		out->gpa = get_num(row, "gpa");
	} else if (has_num(row, "gfn")) {
		out->has_gpa = true;
		out->gpa = get_num(row, "gfn") << PAGE_SHIFT;
	}
	return out->has_gva || out->has_gpa;
}

/* The word before p, up to a blank. */
static bool word_before_is(const char *text, const char *p, const char *word)
{
	size_t n = strlen(word);

	while (p > text && p[-1] == ' ')
		p--;
	return (size_t)(p - text) >= n && !memcmp(p - n, word, n) &&
	       (p - n == text || !isalnum((unsigned char)p[-(ptrdiff_t)n - 1]));
}

bool place_of_text(const char *styled, struct place *out)
{
	char text[512];
	const char *hex;

	snprintf(text, sizeof(text), "%s", styled);
	text_strip(text);
	hex = strstr(text, "0x");
	if (!hex)
		return false;
	uint64_t x = strtoull(hex, NULL, 16);
	*out = (struct place){0};
	if (word_before_is(text, hex, "gfn") || word_before_is(text, hex, "gpa")) {
		out->has_gpa = true;
		out->gpa = word_before_is(text, hex, "gfn") ? x << PAGE_SHIFT : x;
	} else {
		out->has_gva = true;
		out->gva = x;
	}
	return true;
}

/* ---- lines */

static void find_lines(struct record_pane *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->text.len; i++)
		n += r->text.text[i] == '\n';
	free(r->start);
	r->start = calloc(n + 1, sizeof(*r->start));
	r->n = 0;
	for (size_t i = 0; r->start && i < r->text.len && r->n < n; r->n++) {
		r->start[r->n] = i;
		i += strcspn(r->text.text + i, "\n") + 1;
	}
}

struct out *record_pane_begin(struct pane *p, const struct scene *s, unsigned generation)
{
	struct record_pane *r = p->own;

	if (r->drawn && r->generation == generation && r->cols == p->cols && r->ascii == s->ascii)
		return NULL;
	if (r->drawn)
		out_deinit(&r->text);
	out_init(&r->text, true, pane_text_cols(p->cols));
	r->text.ascii = s->ascii;
	r->drawn = true;
	r->generation = generation;
	r->cols = p->cols;
	r->ascii = s->ascii;
	return &r->text;
}

void record_pane_end(struct pane *p)
{
	find_lines(p->own);
}

void record_pane_update(struct pane *p, const struct scene *s)
{
	const struct seen *seen = &s->seen[p->ops->seen];
	struct record_pane *r = p->own;
	struct out *o = record_pane_begin(p, s, seen->generation);

	if (!o)
		return;
	r->table = p->ops->header && seen->v.type == VALUE_LIST;
	if (seen->v.type != VALUE_NULL)
		view_draw(o, p->ops->view, &seen->v);
	record_pane_end(p);
}

const struct value *record_pane_row(const struct pane *p, const struct scene *s, size_t i)
{
	const struct record_pane *r = p->own;
	const struct seen *seen = &s->seen[p->ops->seen];
	size_t header = p->ops->header;

	if (!r->table || r->generation != seen->generation || i < header || i - header >= seen->v.n)
		return NULL;
	return &seen->v.items[i - header];
}

void record_pane_close(struct pane *p)
{
	struct record_pane *r = p->own;

	if (r->drawn)
		out_deinit(&r->text);
	free(r->start);
}

size_t record_pane_count(const struct pane *p)
{
	return ((const struct record_pane *)p->own)->n;
}

static const char *line_text(const struct record_pane *r, size_t i, size_t *len)
{
	const char *line = r->text.text + r->start[i];

	*len = strcspn(line, "\n");
	return line;
}

void record_pane_line(struct pane *p, const struct scene *s, size_t i, struct out *o)
{
	size_t len;
	const char *line = line_text(p->own, i, &len);

	(void)s;
	out_bytes(o, line, len);
}

bool record_pane_place(const struct pane *p, const struct scene *s, size_t i, struct place *out)
{
	const struct record_pane *r = p->own;
	char text[512];
	size_t len;

	if (r->table) {
		const struct value *row = record_pane_row(p, s, i);
		return row && place_of_record(row, out);
	}
	const char *line = line_text(r, i, &len);
	len = MIN(len, sizeof(text) - 1);
	memcpy(text, line, len);
	text[len] = '\0';
	return place_of_text(text, out);
}

static bool is_about(const struct place *at, const struct place *sel)
{
	return (at->has_gva && sel->has_gva && at->gva == sel->gva) ||
	       (at->has_gpa && sel->has_gpa && at->gpa >> PAGE_SHIFT == sel->gpa >> PAGE_SHIFT);
}

bool record_pane_find(const struct pane *p, const struct scene *s, size_t *i)
{
	struct place at;

	for (size_t line = p->ops->header; line < record_pane_count(p); line++)
		if (record_pane_place(p, s, line, &at) && is_about(&at, &s->sel)) {
			*i = line;
			return true;
		}
	return false;
}

const char *seen_word(const struct seen *seen)
{
	return seen->torn ? "torn" : seen->live ? "live" : "";
}

void record_pane_subtitle(const struct pane *p, const struct scene *s, struct out *o)
{
	const struct seen *seen = &s->seen[p->ops->seen];
	const char *text = seen->error[0] ? seen->error : seen_word(seen);

	if (text[0])
		out_styled(o, STYLE_WARN, "%s", text);
}
