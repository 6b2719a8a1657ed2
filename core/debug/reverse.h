/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Going back along the record (core/debug/history.h). What was ahead is forgotten: going on from there runs the guest anew,
 * which on one vCPU is the same run.
 */
#ifndef KVMSCOPE_CORE_DEBUG_REVERSE_H
#define KVMSCOPE_CORE_DEBUG_REVERSE_H

#include "core/debug/debugger.h"

/* Before the vCPU's last n instructions (what other vCPUs did since is undone too). d->stop is a step; its note says where
 * the record begins when that is as far as it goes. -ENODATA: nothing is recorded. */
int debug_reverse_step(struct debugger *d, unsigned vcpu, uint64_t n, struct err *e) MUST_USE;
/* To the last earlier stop by one of the user's breakpoints, watchpoints or catchpoints, conditions asked, hits and ignore
 * counts untouched; the stop is the one that going forward gave. Else to the start of the record. Interrupted: everything is
 * as before, and d->stop says so. */
int debug_reverse_continue(struct debugger *d, struct err *e) MUST_USE;

#endif
