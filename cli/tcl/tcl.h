/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The Tcl interpreter of a session: its commands as dbg::NAME (and NAME, where Tcl has none of that name), registers as
 * variables, `info` with the debugger's subcommands, conditions as expressions.
 */
#ifndef KVMSCOPE_CLI_TCL_H
#define KVMSCOPE_CLI_TCL_H

#include "cli/tcl/line.h"
#include "cli/session/session.h"

int tcl_init(struct session *s, struct err *e) MUST_USE;
void tcl_deinit(struct session *s);
/* Run a script; its result is the interpreter's. On failure e has it in the debugger's words. */
int tcl_eval(struct session *s, const char *text, int len, struct err *e) MUST_USE;
int tcl_file(struct session *s, const char *path, struct err *e) MUST_USE;
/* Around whatever may run Tcl by other ways than those two, so that Ctrl-C ends it; they nest. after_stop: a Ctrl-C that
 * came before is not meant, it has stopped the guest already. end: true if what ran was interrupted. */
void tcl_begin(struct session *s);
void tcl_begin_after_stop(struct session *s);
bool tcl_end(struct session *s);
/* The interpreter's error, raised by this text, as an error of ours. */
int tcl_error(struct session *s, const char *text, int len, struct err *e);
/* If it was one of our commands that failed, its error. */
bool tcl_our_error(struct session *s, struct err *e);
/* The last result as a value. */
struct value tcl_result(struct session *s, struct pool *p);
/* True where Tcl itself (or a proc of the user's) has this name. */
bool tcl_has(struct session *s, const char *name);
/* Write out what puts has buffered. */
void tcl_flush(void);
/* End every script that is under way, whatever it catches. */
void tcl_unwind(struct session *s);
/* Async-signal-safe: end the script that runs now, if one does. */
void tcl_interrupt(void);
/* Another image: conditions look their symbols up anew. */
void tcl_symbols_changed(void);
/* debugger.condition: is b's condition, a Tcl expression, true? */
int tcl_condition(void *session, const struct stop_point *b, const struct stop *st, struct err *e);

#endif
