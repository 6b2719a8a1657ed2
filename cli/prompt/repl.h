/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The prompt: lines from a terminal through readline, with history and completion, or plainly from a pipe.
 */
#ifndef KVMSCOPE_CLI_REPL_H
#define KVMSCOPE_CLI_REPL_H

#include "cli/prompt/console.h"

/* Until quit, end of input, or a signal that ends. Returns the exit status. */
int repl_run(struct console *c);

#endif
