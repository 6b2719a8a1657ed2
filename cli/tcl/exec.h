/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Carrying out a client's lines by the rules of cli/tcl/line.h: run, show what came out, report what failed, then what a
 * stop brings with it (a breakpoint's commands).
 */
#ifndef KVMSCOPE_CLI_EXEC_H
#define KVMSCOPE_CLI_EXEC_H

#include "cli/session/client.h"

/* One line, or several. Its value, or its error, goes to the client's ops; 0 or the error's code. */
int exec_line(struct client *c, const char *text);
/* A script file, as -x does; errors as exec_line(). */
int exec_file(struct client *c, const char *path);
/* Lines as part of something else: the caller has the error. With -j their values are not shown. */
int exec_lines(struct client *c, const char *text, struct err *e) MUST_USE;

#endif
