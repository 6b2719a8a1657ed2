/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The phases of a machine, and what may be asked in each.
 *
 *     from      to        by
 *     STOPPED   GOING     a start
 *     GOING     STOPPED   a stop
 *     GOING     STOPPING  an interrupt
 *     GOING     PARKED    a vCPU that stands still inside a fault
 *     STOPPING  STOPPED   a stop
 *     STOPPING  PARKED    a vCPU that stood still before the interrupt came to it
 *     PARKED    GOING     a release
 *     STOPPED   GONE      the end of the machine
 *
 * GOING and STOPPING: somebody executes guest code, or is on the way out of it. PARKED: one vCPU stands still inside a
 * fault, all others are out of the guest. A machine that is GOING, STOPPING or PARKED is stopped before it goes.
 */
#ifndef KVMSCOPE_CORE_RUN_PHASE_H
#define KVMSCOPE_CORE_RUN_PHASE_H

#include "core/base/err.h"

enum run_phase { RUN_STOPPED, RUN_GOING, RUN_STOPPING, RUN_PARKED, RUN_GONE, RUN_PHASES };

/* Is this a row of the table above? */
bool run_phase_may_follow(enum run_phase from, enum run_phase to);

/* What an operation needs of the phase. */
enum run_ask {
	RUN_ASK_ALWAYS,	 /* nothing: settings of the debugger's own */
	RUN_ASK_LIVE,	 /* may be answered while the guest runs by a machine that can (then the answer is live) */
	RUN_ASK_STOPPED, /* no guest code is executed; a vCPU may stand inside a fault */
	RUN_ASK_IDLE,	 /* nor does a vCPU stand inside a fault */
	RUN_ASKS
};
/* live: the machine can answer while it runs. */
bool run_phase_allows(enum run_phase p, enum run_ask ask, bool live);
/* 0, or -EBUSY with the phase's words: what was tried, why not in this phase, what to do. vcpu: the parked one. */
int run_phase_check(enum run_phase p, enum run_ask ask, bool live, unsigned vcpu, const char *what, struct err *e) MUST_USE;

#endif
