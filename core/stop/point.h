/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Stop points: what the user asked to stop at (breakpoints, watchpoints, catchpoints of events, of the MMU, of faults), with
 * their conditions and counts, and the one of a command under way (next, until, finish). Each kind is one const struct
 * point_ops in a file of its own; whether a stop is theirs is asked by the judge (judge.h).
 */
#ifndef KVMSCOPE_CORE_STOP_POINT_H
#define KVMSCOPE_CORE_STOP_POINT_H

#include "core/machine/machine.h"

#define CATCH_MODE_CPL 256 /* catch mode cpl: in place of an enum cpu_mode */
enum point_kind { POINT_BREAK, POINT_HBREAK, POINT_WATCH, POINT_RWATCH, POINT_AWATCH, POINT_CATCH };
const char *point_kind_name(enum point_kind k); /* "breakpoint", "hw-breakpoint", "watch", "rwatch", "awatch", "catch" */

struct point_ops;
struct stop_point {
	int id;
	enum point_kind kind;
	const struct point_ops *ops; /* by kind and event; filled by point_add() */
	uint64_t addr, len;
	bool phys;
	char at[256];		      /* as the user said it: "*0x200033", "main+4", "$cs:$ip+3", "mmio" */
	uint32_t event;		      /* POINT_CATCH: one enum catch_event bit, or 0 for fault */
	uint64_t arg_first, arg_last; /* POINT_CATCH: a filter (port, gpa, vector range); has_arg */
	bool has_arg;
	struct fault_filter fault; /* POINT_CATCH of faults */
	struct mmu_filter mmu;	   /* POINT_CATCH of what the MMU does */
	bool enabled, temporary;
	uint64_t hits, ignore;
	char *condition; /* text, evaluated by the judge's hook; NULL for none */
	char *commands;	 /* script to run on a stop; NULL for none */
	const char *how; /* mechanism chosen by the machine */
	const char *why; /* what keeps it from more than steps, or from being as it should; NULL: nothing */
	/* POINT_BREAK of a command under way: on this vCPU alone, with a stack pointer of at least min_sp. */
	bool internal;
	unsigned vcpu;
	uint64_t min_sp;
};

/* Id of the one internal point; users' ids start at 1. */
#define POINT_INTERNAL (-1)

struct point_table {
	struct stop_point **v; /* ascending id */
	size_t n;
	int next_id;		    /* ids start at 1 and are never reused within a session */
	struct stop_point internal; /* enabled: a command under way has planted it */
	bool internal_left;	    /* it could not be taken out yet: a vCPU was parked inside a fault */
	const char *only_look;	    /* "a condition": as long as it is set none is added, deleted, enabled or disabled */
};

void point_table_init(struct point_table *t);
void point_table_deinit(struct point_table *t);
struct stop_point *point_find(const struct point_table *t, int id);
/* Is an execution breakpoint, the internal one too, enabled? */
bool points_any_exec(const struct point_table *t);
bool points_any_enabled(const struct point_table *t); /* of the user's */
/* Add (enabled, armed) or remove; on failure nothing changed. spec's strings are copied. m may be NULL: armed later by
 * points_arm(). */
int point_add(struct point_table *t, struct machine *m, const struct stop_point *spec, struct stop_point **out,
	      struct err *e) MUST_USE;
int point_delete(struct point_table *t, struct machine *m, int id, struct err *e) MUST_USE;
int point_enable(struct point_table *t, struct machine *m, int id, bool on, struct err *e) MUST_USE;
/* Ask the machine again how each is done, as the guest stands now. Left as it was where that cannot be asked. */
void points_look(struct point_table *t, struct machine *m);
/* Arm every enabled one in a machine that is new. */
int points_arm(struct point_table *t, struct machine *m, struct err *e) MUST_USE;
/* Tell the machine which events, MMU changes and faults are wanted now: all catchpoints share one call of it each. */
int points_catch(struct point_table *t, struct machine *m, struct err *e) MUST_USE;
int point_set_condition(struct stop_point *b, const char *text, struct err *e) MUST_USE; /* NULL or "" clears */
int point_set_commands(struct stop_point *b, const char *script, struct err *e) MUST_USE;

/* The internal point: addr once vcpu arrives there with a stack pointer of at least min_sp. */
int point_set_internal(struct point_table *t, struct machine *m, uint64_t addr, unsigned vcpu, uint64_t min_sp,
		       struct err *e) MUST_USE;
/* Ended; what cannot be taken out of the machine yet is tried again at the next call. */
void point_end_internal(struct point_table *t, struct machine *m);

/* Does a filter by gfn name memory of the guest's? -EFAULT if no slot has it, -EPERM if it is the debugger's own. */
int point_fault_place(struct machine *m, const struct fault_filter *f, struct err *e) MUST_USE;

#endif
