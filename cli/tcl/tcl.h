/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A client's Tcl interpreter: the session's commands as dbg::NAME (and NAME, if Tcl has none of that name), registers as
 * variables, `info` with the debugger's subcommands, conditions as expressions. Each client has its own.
 */
#ifndef KVMSCOPE_CLI_TCL_H
#define KVMSCOPE_CLI_TCL_H

#include "cli/session/client.h"

/* The client's language from now on. close undoes it; nothing if there is none. */
int tcl_open(struct client *c, struct err *e) MUST_USE;
void tcl_close(struct client *c);
/* Write out what puts has buffered. */
void tcl_flush(void);

#endif
