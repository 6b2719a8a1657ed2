/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the files of the breakpoint commands share.
 */
#ifndef KVMSCOPE_CLI_BREAKS_H
#define KVMSCOPE_CLI_BREAKS_H

#include "cli/cmd/data.h"

/* Cut the words at "if": what is behind it becomes *condition (NULL for none). It is as typed (CMD_RAW_IF), so
 * that its registers are those of each hit. */
int break_split_if(struct args *a, const char **condition, struct err *e) MUST_USE;
/* Words from..to as the user typed them, where that is known. */
void break_text(const struct args *a, int from, int to, char *buf, size_t size);

/* Puts what else there is to say of a breakpoint into its record. */
void break_note(struct call *c, const struct stop_point *b, struct value *v);

int cmd_break(struct call *c, struct err *e);
int cmd_tbreak(struct call *c, struct err *e);
int cmd_hbreak(struct call *c, struct err *e);
int cmd_watch(struct call *c, struct err *e);
int cmd_rwatch(struct call *c, struct err *e);
int cmd_awatch(struct call *c, struct err *e);
int cmd_catch(struct call *c, struct err *e);
/* fault.c: a note to the clients if this host does not let each fault be caught. */
void fault_tell_limit(struct call *c);
int cmd_delete(struct call *c, struct err *e);
int cmd_enable(struct call *c, struct err *e);
int cmd_disable(struct call *c, struct err *e);
int cmd_condition(struct call *c, struct err *e);
int cmd_ignore(struct call *c, struct err *e);
int cmd_commands(struct call *c, struct err *e);
int cmd_info_breakpoints(struct call *c, struct err *e);

#endif
