/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a line means: a debugger's command or Tcl. The rules are those of docs/kvmscope.1, "The line"; this file only
 * decides and substitutes, who runs it is in struct line_ops.
 */
#ifndef KVMSCOPE_CLI_LINE_H
#define KVMSCOPE_CLI_LINE_H

#include "cli/session/command.h"

struct Tcl_Interp;

struct line_ops {
	struct Tcl_Interp *interp;
	void *ctx;
	const struct command_table *commands;
	bool (*is_register)(void *ctx, const char *name); /* without '$' */
	bool (*is_tcl)(void *ctx, const char *name);	  /* a Tcl command or proc, not one of the debugger's */
	/* Around substitutions of Tcl's in its words. */
	void (*begin)(void *ctx);
	void (*end)(void *ctx);
	/* One debugger's command; argv are its words, substituted, typed the same as they were typed (of a word in braces
	 * what is in them). last: the text has no other behind it. */
	int (*command)(void *ctx, const struct command *cmd, const char *format, int argc, const char *const *argv,
		       const char *const *typed, bool last, struct err *e);
	/* One Tcl command as typed. */
	int (*script)(void *ctx, const char *text, int len, struct err *e);
	/* Turns the interpreter's error about this text into e; returns its code. */
	int (*script_error)(void *ctx, const char *text, int len, struct err *e);
};

/* Run each command of the text (they are separated as in Tcl, by newlines and semicolons) until one fails. 0, or what the
 * failing one returned; -EINVAL if the text is no Tcl list of words. A text without commands does nothing. */
int line_run(const struct line_ops *ops, const char *text, struct err *e) MUST_USE;
/* False if a brace, bracket or quote is open: more lines belong to it. */
bool line_complete(const char *text);

#endif
