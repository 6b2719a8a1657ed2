/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Plans: what a command has the guest do (continue, step, next, until, finish, a fault's stage), as a small state machine
 * that says what to run next and is asked again when that has stopped. Nothing in a plan waits, so that the same plan is
 * driven by a client that lends its thread (debug_wait()) and by one that polls (debug_poll()).
 *
 *	         next(): a move              machine stops, all points are judged
 *	begin ------------------> under way ------------------------------------> nobody is to be told: the move again
 *	                             ^                                            |
 *	                             |  next(): another move                      v
 *	                             +------------------------------------- the move is over ---> next(): none: the end
 *
 * A move that ends in anything but a step ends the plan.
 */
#ifndef KVMSCOPE_CORE_DEBUG_PLAN_H
#define KVMSCOPE_CORE_DEBUG_PLAN_H

#include "core/run/run.h"

struct debugger;
struct plan;

enum plan_move {
	MOVE_STEP,   /* count instructions of vcpu, judged at the end */
	MOVE_RESUME, /* all vCPUs, until a stop worth telling or the temporary stop */
	MOVE_STAGE,  /* the fault that a vCPU stands in, to its next stage */
};

/* Stop at addr once the plan's vCPU arrives there with a stack pointer of at least min_sp. */
struct temp_stop {
	uint64_t addr, min_sp;
};

struct plan_ops {
	/* Set the next move: 1; 0: the plan is done. Called first before anything has run, then whenever a move has ended in
	 * a step. Negative: it cannot go on. */
	int (*next)(struct debugger *d, struct plan *p, struct err *e);
	void (*arrived)(struct debugger *d, const struct plan *p); /* O: it is done, and d->stop a step: a note in it */
};

struct plan {
	const struct plan_ops *ops;
	unsigned vcpu;
	uint64_t n;    /* step, next: instructions yet; until: the address */
	unsigned made; /* moves so far */
	/* The move under way. */
	enum plan_move move;
	uint64_t count;
	bool has_temp, leaving; /* leaving: out of a fault by a step first, as nothing can be planted inside one */
	struct temp_stop temp;
	/* finish: where it began, and stepping through the function if no return address is found. */
	uint64_t pc, sp;
	bool by_steps, returns;
};

struct plan plan_continue(unsigned vcpu);
struct plan plan_step(unsigned vcpu, uint64_t n);
bool plan_is_short(const struct plan *p); /* a few steps: over before anybody could do something else */
/* Steps over calls (and REP, INT): a temporary stop behind the instruction that only counts at the same or a higher stack.
 */
struct plan plan_next(unsigned vcpu, uint64_t n);
struct plan plan_until(unsigned vcpu, uint64_t addr);
/* Until the current function has returned: return address by frame pointer if it looks like one, else by stepping at call
 * depth (an iret at that depth counts as the return). */
struct plan plan_finish(unsigned vcpu);
/* One stage of the fault that a vCPU stands in, or on to the next fault that is caught. */
struct plan plan_stage(void);

/* Begin: 1, it goes; 0: there was nothing to do (0 steps), d->stop is as before. An error: nothing ran. */
int debug_start(struct debugger *d, const struct plan *p, enum run_where where, struct err *e) MUST_USE;
/* After machine_run_fd() was readable. 1: it is over, d->stop says how; 0: it goes on; negative: it failed, d->stop is as of
 * the last stop. */
int debug_poll(struct debugger *d, struct err *e) MUST_USE;
/* Until it is over: 0, or what debug_poll() fails with. */
int debug_wait(struct debugger *d, struct err *e) MUST_USE;

#endif
