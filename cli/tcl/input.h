/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Standard input if no line is edited: the lines of a pipe, and what a script reads of it in between.
 */
#ifndef KVMSCOPE_CLI_INPUT_H
#define KVMSCOPE_CLI_INPUT_H

#include "core/base/util.h"

/* The next line without its newline, for the caller to free; *out NULL at the end of input. What stands behind the last
 * newline is a line too. -EINTR if a signal came before the line was complete: what is there of it stays. -EILSEQ: it has
 * a NUL, which no line can hold, and is gone. -ENOMEM. */
int input_line(char **out);
/* True if input_line() would not wait. input_fill() takes what has come, waiting for it: 0, also at the end; -EINTR,
 * -ENOMEM. */
bool input_has_line(void);
int input_fill(void);
/* Up to n bytes, never beyond a newline, so that the next line is whoever's that asks next. 0 at the end; -EINTR as above.
 */
ssize_t input_read(void *to, size_t n);
/* True if input_read() would not wait, without asking the descriptor. */
bool input_buffered(void);

#endif
