/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The screens: a console's client on the whole terminal. The session, its commands, history, completion and Tcl are those of
 * the prompt; while the screens are open what is shown goes to panes.
 */
#ifndef KVMSCOPE_CLI_TUI_H
#define KVMSCOPE_CLI_TUI_H

#include "cli/prompt/console.h"

/* Take the terminal. On failure (no terminal, one that can only print lines) everything stays with the prompt. */
int tui_open(struct console *c, struct err *e) MUST_USE;
/* Until the user goes back to the prompt or ends. */
void tui_run(struct console *c);
/* Give the terminal back. */
void tui_close(struct console *c);

#endif
