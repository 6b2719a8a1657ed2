/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the commands that run the guest share.
 */
#ifndef KVMSCOPE_CLI_RUN_H
#define KVMSCOPE_CLI_RUN_H

#include "cli/session/command.h"

/* The end of every command that ran the guest: the stop becomes the value, its vCPU the current one. */
int cmd_stopped(struct call *c, struct err *e) MUST_USE;
/* At such an end: keep what `diff` compares a fault's stage with. */
void snap_keep_stage(struct session *s);
/* At such an end: a row in the session's log of stops, if one is kept (report.c). */
void report_note_stop(struct session *s);

#endif
