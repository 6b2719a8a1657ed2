/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The prompt: lines from a terminal through readline, with history and completion, or plainly from a pipe.
 */
#ifndef KVMSCOPE_CLI_REPL_H
#define KVMSCOPE_CLI_REPL_H

#include "cli/session/session.h"

/* Until quit, end of input, or a signal that ends. Returns the exit status. */
int repl_run(struct session *s);
/* Call fn for each line of the history, oldest first; n counts from 1. */
void repl_history(void (*fn)(void *arg, int n, const char *line), void *arg);

#endif
