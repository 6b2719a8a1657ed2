/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The debugger's commands and registers inside the interpreter. For the tcl*.c files only.
 */
#ifndef KVMSCOPE_CLI_TCLCMD_H
#define KVMSCOPE_CLI_TCLCMD_H

#include "cli/session/session.h"

struct Tcl_Obj;

/* Commands, `info`'s subcommands, `unknown`, `exit`, registers. */
int tclcmd_init(struct session *s, struct err *e) MUST_USE;
void tclcmd_deinit(void); /* before the interpreter goes */
/* True where name is a command of Tcl's or the user's, not of ours. */
bool tclcmd_is_tcl(struct Tcl_Interp *interp, const char *name);
/* tclexpr.c: a condition as an object that keeps its compiled form from one evaluation to the next; symbols' names in it are
 * their addresses. They are forgotten when symbols change. */
struct Tcl_Obj *tclexpr_condition(struct session *s, const char *text);
void tclexpr_forget(void);
/* tclreg.c: every register as a variable that reads and writes the current vCPU's. */
int tclreg_init(struct session *s, struct err *e) MUST_USE;

#endif
