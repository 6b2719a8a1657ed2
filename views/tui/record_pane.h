/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Panes that show one record as its command does: the view's text, line by line. What a line is about is read from the
 * table's row, or from the addresses in its text.
 */
#ifndef KVMSCOPE_VIEWS_TUI_RECORD_PANE_H
#define KVMSCOPE_VIEWS_TUI_RECORD_PANE_H

#include "views/tui/pane.h"

/* The record's text as last drawn; what record_pane_…() work on. */
struct record_pane {
	struct out text;
	size_t *start; /* of each line */
	size_t n;
	unsigned generation, cols; /* that it was drawn from */
	bool drawn, ascii;
	bool table; /* line i is about items[i - header] of the record */
};

/* What all of them have in their struct pane_ops; .size is that of struct record_pane, or of what begins with one. */
#define RECORD_PANE_LINES .close = record_pane_close, .count = record_pane_count, .line = record_pane_line

/* Draw ops->seen by ops->view anew if the record is another one, or the width. */
void record_pane_update(struct pane *p, const struct scene *s);
/* The same for a text of several parts: where to draw them, or NULL if generation and width are those of last time; then
 * end. */
struct out *record_pane_begin(struct pane *p, const struct scene *s, unsigned generation);
void record_pane_end(struct pane *p);
/* The row of a table that a line is about; NULL: none, or the record is another one by now. */
const struct value *record_pane_row(const struct pane *p, const struct scene *s, size_t i);
void record_pane_close(struct pane *p);
size_t record_pane_count(const struct pane *p);
void record_pane_line(struct pane *p, const struct scene *s, size_t i, struct out *o);
bool record_pane_place(const struct pane *p, const struct scene *s, size_t i, struct place *out);
bool record_pane_find(const struct pane *p, const struct scene *s, size_t *i);
/* "torn", "live", or "". */
const char *seen_word(const struct seen *seen);
/* Why ops->seen cannot be seen, or its word. */
void record_pane_subtitle(const struct pane *p, const struct scene *s, struct out *o);

/* The place that a record is about: its gva, gpa, gfn or address; false: it has none. */
bool place_of_record(const struct value *row, struct place *out);
/* The one that a line of text names first: "gva 0x…", "gpa 0x…", "gfn 0x…", or a plain address, taken for a gva. Escape
 * sequences are passed over. */
bool place_of_text(const char *text, struct place *out);

#endif
