/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * An interpreter with what the debugger keeps beside it. For the files of cli/tcl only.
 */
#ifndef KVMSCOPE_CLI_INTERP_H
#define KVMSCOPE_CLI_INTERP_H

#include <signal.h>
#include <tcl.h>

#include "cli/session/client.h"
#include "cli/session/interrupt.h"

/* The last few conditions with their compiled forms. */
#define CONDITIONS 16
struct conditions {
	struct {
		char *text;
		Tcl_Obj *obj;
	} v[CONDITIONS];
	size_t next; /* to be replaced */
};

struct tcl {
	Tcl_Interp *interp;
	struct client *client;
	/* Ctrl-C: the mark that a signal's handler sets, scripts under way, and whether they are being ended. */
	Tcl_AsyncHandler mark;
	struct interruptible scripts;
	unsigned depth;
	bool unwinding;
	struct pool *spare; /* one pool for all commands of scripts, but for commands inside commands */
	Tcl_Obj *last_dict; /* that a command gave; NULL for none */
	struct conditions conditions;
	bool library_asked, library_there; /* Tcl's own library: read when something of it is asked for */
	struct register_variable *registers;
	char complaint[600]; /* what a register's trace says must outlive it */
};

/* From here on Ctrl-C ends what runs. after_stop: one that came before is not meant, it has stopped the guest already. end:
 * true if what ran was interrupted. They nest. */
void interp_begin(struct tcl *t);
void interp_begin_after_stop(struct tcl *t);
bool interp_end(struct tcl *t);
/* End every script that is under way, whatever it catches. */
void interp_unwind(struct tcl *t);
/* The interpreter's error, raised by this text, as an error of ours; our_error: if it was one of our commands that failed.
 */
int interp_error(struct tcl *t, const char *text, int len, struct err *e);
bool interp_our_error(struct tcl *t, struct err *e);

/* Run a script; its result is the interpreter's. On failure e has it in the debugger's words. */
int interp_eval(struct tcl *t, const char *text, int len, struct err *e) MUST_USE;
int interp_file(struct tcl *t, const char *path, struct err *e) MUST_USE;

/* tclcmd.c: commands, `info`'s subcommands, `unknown`, `exit`. */
int tclcmd_init(struct tcl *t, struct err *e) MUST_USE;
void tclcmd_forget_result(struct tcl *t);
/* True if name is a command of Tcl's or the user's, not of ours. */
bool tclcmd_is_tcl(Tcl_Interp *interp, const char *name);
/* tclreg.c: every register as a variable that reads and writes the current vCPU's. */
int tclreg_init(struct tcl *t, struct err *e) MUST_USE;
/* tclset.c: settings as global variables: one of its values written there changes the setting. */
int tclset_init(struct tcl *t, struct err *e) MUST_USE;
/* tclexpr.c: conditions are Tcl expressions over registers, variables and the guest's symbols, whose names in them stand for
 * their addresses: forgotten when symbols change. */
int tclexpr_truth(struct client *c, const char *text, struct err *e);
int tclexpr_eval(struct client *c, const char *text, uint64_t *out, struct err *e);
void tclexpr_forget(struct client *c);

#endif
