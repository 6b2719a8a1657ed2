/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Lines of text that only grow at the end, the oldest forgotten: what commands showed, the log of stops, the guest's
 * console. Lines are styled as views draw them; what a guest or a program wrote is made safe when it comes in.
 */
#ifndef KVMSCOPE_VIEWS_TUI_SCROLLBACK_H
#define KVMSCOPE_VIEWS_TUI_SCROLLBACK_H

#include "core/base/util.h"

struct scrollback {
	char **line; /* a ring of max */
	size_t max, first, n;
	uint64_t dropped; /* lines forgotten so far: numbers the first */
	uint64_t mark;	  /* the number of the line where what came last begins; UINT64_MAX: nobody has said */
	bool open;	  /* the last line has no newline yet */
	bool returned;	  /* the last byte of plain text was "\r": a "\n" behind it is the same end */
	bool own_styles;  /* plain text may have the views' own escape sequences, as a script's `draw -color` gives them */
	char part[8];	  /* of a character or sequence of plain text whose other bytes have not come yet */
	unsigned n_part;
	bool full; /* memory ran out; what came then is lost */
};

int scrollback_init(struct scrollback *b, size_t max) MUST_USE; /* -ENOMEM */
void scrollback_deinit(struct scrollback *b);
/* Text with newlines; the last line may go on by the next call. styled: it comes from a view, its escape sequences stay;
 * else control characters but newline and tab are made visible (own_styles: and those sequences stay). */
void scrollback_add(struct scrollback *b, const char *text, size_t n, bool styled);
const char *scrollback_line(const struct scrollback *b, size_t i); /* i < n, the oldest is 0 */
/* What comes next is one thing: if it is longer than a pane its beginning is shown, not its end. */
void scrollback_mark(struct scrollback *b);
void scrollback_clear(struct scrollback *b);

#endif
