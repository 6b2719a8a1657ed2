/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Plans: what a command has the guest do (continue, step, next, until, finish, a fault's stage, going back), as a small
 *state machine that says what to run next and is asked again when that has stopped. Nothing in a plan waits, so that the
 *same plan is driven by a client that lends its thread (debug_wait()) and by one that polls (debug_poll()).
 *
 *	         next(): a move              machine stops, all points are judged
 *	begin ------------------> under way ------------------------------------> nobody is to be told: the move again
 *	                             ^                                            |
 *	                             |  next(): another move                      v
 *	                             +------------------------------------- the move is over ---> next(): none: the end
 *
 * A move that ends in anything but a step ends the plan. But for a replay: what it meets is the past, and the plan's own
 * business, so that only an interruption ends it.
 */
#ifndef KVMSCOPE_CORE_DEBUG_PLAN_H
#define KVMSCOPE_CORE_DEBUG_PLAN_H

#include "core/debug/reverse.h"
#include "core/run/run.h"

struct debugger;
struct plan;

enum plan_move {
	MOVE_STEP,   /* count instructions of vcpu, judged at the end */
	MOVE_RESUME, /* all vCPUs, until a stop worth telling or the temporary stop */
	MOVE_STAGE,  /* the fault that a vCPU stands in, to its next stage */
	MOVE_REPLAY, /* what has run before, up to back.until; with back.stops to what it meets */
};

/* Stop at addr once the plan's vCPU arrives there with a stack pointer of at least min_sp. */
struct temp_stop {
	uint64_t addr, min_sp;
};

struct plan_ops {
	/* Set the next move: 1; 0: the plan is done. Called first before anything has run, then whenever a move has ended in
	 * a step, or a replay has ended. Negative: it cannot go on. */
	int (*next)(struct debugger *d, struct plan *p, struct err *e);
	void (*arrived)(struct debugger *d, const struct plan *p); /* O: it is done, and d->stop a step: a note in it */
	/* With MOVE_REPLAY: it has stopped for this. False: that ends the plan as an interruption does. */
	bool (*met)(struct debugger *d, struct plan *p, const struct stop *s);
	/* O: nothing follows, because it is done, interrupted (rc 0 or 1) or has failed (negative): d->stop and the machine
	 * are made what they are to be. Gives rc, or what that fails with. */
	int (*over)(struct debugger *d, struct plan *p, int rc, struct err *e);
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
	struct reversal back; /* of plans that go back */
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
/* Before the vCPU's last n instructions (what other vCPUs did since is undone too). The stop is a step; its note says where
 * the record begins if that is as far as it goes. -ENODATA: nothing is recorded. Interrupted: everything is as before, and
 * the stop says so. */
struct plan plan_reverse_step(unsigned vcpu, uint64_t n);
/* To the last earlier stop by one of the user's breakpoints, watchpoints or catchpoints, conditions asked, hits and ignore
 * counts untouched; the stop is the one that going forward gave. Else to the start of the record, as plan_reverse_step(). */
struct plan plan_reverse_continue(void);

/* Begin: 1, it goes; 0: it is over already (0 steps: d->stop is as before). An error: nothing ran. */
int debug_start(struct debugger *d, const struct plan *p, enum run_where where, struct err *e) MUST_USE;
/* After machine_run_fd() was readable. 1: it is over, d->stop says how; 0: it goes on; negative: it failed, d->stop is as of
 * the last stop. */
int debug_poll(struct debugger *d, struct err *e) MUST_USE;
/* Until it is over: 0, or what debug_poll() fails with. */
int debug_wait(struct debugger *d, struct err *e) MUST_USE;

#endif
