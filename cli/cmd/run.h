/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the commands that run the guest share.
 */
#ifndef KVMSCOPE_CLI_RUN_H
#define KVMSCOPE_CLI_RUN_H

#include "cli/session/command.h"

/* The end of every command that ran the guest: the stop becomes the value, its vCPU the current one. */
int cmd_stopped(struct call *c, struct err *e) MUST_USE;
/* For people, into a stop's record: cs and pc (linear), where the current vCPU's rip alone is no address. Nothing if it no
 * longer stands at the stop. */
void stop_put_segment(struct call *c, struct value *stop);
/* At such an end: keep what `diff` compares a fault's stage with. */
void snap_keep_stage(struct session *s);
/* At such an end: a row in the session's log of stops, if one is kept (report.c). */
void report_note_stop(struct session *s);

#endif
