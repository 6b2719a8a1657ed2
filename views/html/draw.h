/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the parts of a page share. Only views/html includes this.
 */
#ifndef KVMSCOPE_VIEWS_HTML_DRAW_H
#define KVMSCOPE_VIEWS_HTML_DRAW_H

#include "views/draw.h"

extern const char html_style[]; /* the page's CSS */

/* Text, escaped; n bytes or up to the NUL. */
void html_bytes(struct out *o, const char *s, size_t n);
void html_text(struct out *o, const char *s);
/* A value as out_inline() has it, escaped; n/a is dim. */
void html_value(struct out *o, const struct value *v);
void html_na(struct out *o, const struct value *v); /* a paragraph: why this part is not there */
/* A line about what is not on the page; nothing for n 0. */
void html_left_out(struct out *o, uint64_t n, const char *what);

struct html_column {
	const char *key, *title;			 /* title NULL: the key */
	enum { HTML_VALUE, HTML_SIZE, HTML_LINES } kind; /* LINES: words of a sentence, which may break */
	bool optional;					 /* left out if no row has it, or all have it empty, false or 0 */
};
/* At most `most` rows; the rest is counted. */
void html_table(struct out *o, const struct html_column *cols, size_t n, const struct value *rows, uint32_t most);
/* Columns from the first row's own plain keys. */
void html_table_by_shape(struct out *o, const struct value *rows, uint32_t most);

/* "1: 126 2-3: 1": how many chains have which length, by buckets, from that bucket on; empty ones are not said. */
void html_lengths(struct out *o, const struct value *counts, uint32_t from);

/* Parts of the page: pictures and trees. */
void html_map(struct out *o, const struct value *regions);
void html_chain(struct out *o, const struct value *rmap);
void html_trace(struct out *o, const struct value *stops);
/* rows in tree order; line draws n of them from the one given on, a run of leaves, as one line. */
typedef void html_line_fn(struct out *o, const struct value *row, uint32_t n);
void html_tree(struct out *o, const struct value *rows, html_line_fn *line);

#endif
