/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Run control above the machine: continue, step, next, until, finish, with breakpoints' conditions, ignore counts and
 * temporary stops. One struct debugger is what cli's session drives, by plans (core/debug/plan.h).
 *
 * A plan runs until a stop worth telling and stores it in struct debugger's stop. A breakpoint's hit counts once its
 * condition is true, also while it is ignored; a condition that fails to evaluate stops, with the reason in stop.note. A
 * step that ends where a breakpoint is reports the breakpoint, as gdb does. next, until and finish that arrive are
 * STOP_STEP.
 */
#ifndef KVMSCOPE_CORE_DEBUG_DEBUGGER_H
#define KVMSCOPE_CORE_DEBUG_DEBUGGER_H

#include "core/debug/history.h"
#include "core/debug/plan.h"
#include "core/stop/judge.h"
#include "core/stop/why.h"

struct debugger {
	struct machine *m;
	struct point_table points;
	struct judge judge; /* of stops; its condition hook is the caller's */
	struct symbols syms;
	struct disas *disas;
	struct stop stop; /* the last one; reason STOP_NONE before the first */
	/* Has the user asked for an end? Looked at between the rounds of what takes many. NULL: never. */
	bool (*interrupted)(void);
	bool has_run;	  /* a vCPU has executed since the image was loaded */
	uint64_t changes; /* machine_changes() when the guest ran last */
	struct history history;
	struct plan plan;     /* under way, or the last one */
	enum run_where where; /* it is run */
};

int debugger_init(struct debugger *d, struct err *e) MUST_USE;
void debugger_deinit(struct debugger *d); /* not the machine */

/* A stop in words (core/stop/why.h); "has not run yet" for STOP_NONE. */
void debug_why(struct debugger *d, const struct stop *s, char *buf, size_t size);
/* The same of a run that makes no progress; while it runs. */
void debug_why_stall(struct debugger *d, const struct stall *s, char *buf, size_t size);

#endif
