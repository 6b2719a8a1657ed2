/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The terminal that a grid is put to, and where keys come from: the only file that knows ncurses. One at a time.
 */
#ifndef KVMSCOPE_VIEWS_TUI_TERMINAL_H
#define KVMSCOPE_VIEWS_TUI_TERMINAL_H

#include "core/base/err.h"
#include "views/tui/grid.h"
#include "views/tui/key.h"

#define TERMINAL_LEAST_ROWS 12
#define TERMINAL_LEAST_COLS 60

struct terminal {
	unsigned rows, cols; /* of the terminal, now */
	bool ascii;	     /* it has neither box-drawing characters nor blocks */
	bool color;
};

/* Take the terminal on descriptors in and out. color: if it has any. -ENOTTY: it is none; -ENOTSUP: TERM is unset, dumb, or
 * not known. The descriptors stay the caller's. */
int terminal_open(struct terminal *t, int in, int out, bool color, struct err *e) MUST_USE;
void terminal_close(struct terminal *t);
/* Show it, as far as it differs from what is shown; -ENOMEM is shown next time. */
void terminal_put(struct terminal *t, const struct grid *g);
/* t->rows and t->cols as they are now. */
void terminal_follow_size(struct terminal *t);
/* The next key that has come, TUI_KEY_NONE if none has. */
int terminal_key(struct terminal *t, struct mouse *m);
/* Give the terminal back for a while (SIGTSTP, a shell), and take it again: everything is drawn anew. */
void terminal_suspend(struct terminal *t);
void terminal_resume(struct terminal *t);
/* From a handler of a signal that ends the program: leave a usable terminal behind. */
void terminal_rescue(void);

#endif
