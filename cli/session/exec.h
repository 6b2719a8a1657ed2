/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Carrying out lines: run, draw what came out (view, JSON or nothing), report what failed, then what a stop brings with it
 * (a breakpoint's commands, displays).
 */
#ifndef KVMSCOPE_CLI_EXEC_H
#define KVMSCOPE_CLI_EXEC_H

#include "cli/session/command.h"
#include "cli/session/session.h"

/* One line by the rules of cli/tcl/line.h. Prints its value, or its error to standard error; 0 or the error's code. */
int exec_line(struct session *s, const char *text);
/* A script file, as -x does; errors as exec_line(). */
int exec_file(struct session *s, const char *path);
/* command_run() and what belongs to every command wherever it came from. */
int exec_command(struct call *c, struct err *e) MUST_USE;
/* Run the commands of the stop points that the last stop was told of, if nobody has yet. */
void exec_pending(struct session *s);
/* Say this error to people: one line on standard error; kept for `why`. */
void exec_report(struct session *s, const struct err *e);
/* Text for people, through the pager where it is long. False where standard output is gone. */
bool exec_show(struct session *s, const char *text, size_t len);
/* Columns to stay within; 0: no limit, output is no terminal. */
unsigned exec_width(const struct session *s);
/* What an empty line repeats: NULL for nothing. */
const char *exec_repeat(const struct session *s);

#endif
