/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a session keeps of the past: the user's checkpoints, and on a machine that can replay (soft) the record from which
 * reverse-stepi and reverse-continue go back.
 *
 * The record is a row of checkpoints that are taken by themselves while the guest runs: the first at the first run, then
 * every so often that taking them costs a fiftieth of the time, thinned out the older they are. To go back is to restore the
 * last one before the wanted position and to replay from there. A change that the debugger makes (memory, registers, slots)
 * is no part of a replay: a checkpoint is taken behind it, and nothing is replayed across it.
 */
#ifndef KVMSCOPE_CORE_DEBUG_HISTORY_H
#define KVMSCOPE_CORE_DEBUG_HISTORY_H

#include "core/debug/checkpoint.h"

struct debugger;

struct user_checkpoint {
	int id; /* from 1, never reused within a VM's life */
	struct checkpoint *c;
	struct stop stop; /* the last one before it was taken */
	uint64_t passed;  /* the judge's */
	bool has_run;
	unsigned vcpu;
};

struct record_point {
	struct checkpoint *c;
	bool segment; /* behind a change by the debugger: cannot be reached from the points before */
};

struct record {
	struct record_point *v; /* by ascending position */
	size_t n, cap;
	uint64_t changes, resets; /* the machine's, when the record was last in step with it */
	uint64_t interval;	  /* positions between two points */
	uint64_t last_cpu_ns;	  /* when the last point was taken, in the process's CPU time */
	char off_why[120];	  /* "" where it was the user, or is on */
};

struct history {
	struct page_store *store; /* NULL until the first checkpoint */
	struct user_checkpoint *v;
	size_t n;
	int last_id;
	struct machine *m;	   /* that the record is of */
	struct checkpoint *before; /* while a plan goes back: where it began; else NULL */
	struct record record;
	bool off;
	uint64_t limit;	     /* positions that are kept at least; 0: as many as memory allows */
	uint64_t max_memory; /* bytes; 0: RECORD_MEMORY */
	uint64_t spacing;    /* positions between two points; 0: as many as make their cost small */
	/* How far a replay is, several times a second; NULL for none. */
	void (*progress)(void *ctx, uint64_t done, uint64_t total);
	void *progress_ctx;
};
#define RECORD_MEMORY (256ull << 20)

/* Neither touches the machine, which may be gone; if it is not, it must not run any more. */
void history_deinit(struct history *h);
void history_clear(struct history *h); /* the machine is another one from now on; settings stay */

/* The user's checkpoints. restart: d->stop and has_run as they were; the record begins anew. -ENOENT. */
int history_checkpoint(struct debugger *d, unsigned vcpu, int *id, struct err *e) MUST_USE;
int history_restart(struct debugger *d, int id, unsigned *vcpu, struct err *e) MUST_USE;
int history_delete(struct history *h, int id, struct err *e) MUST_USE;

/* ---- the record (record.c) */
/* Before the guest runs. What fails turns the record off, with the reason in off_why; the run is not hindered. */
void record_before_run(struct history *h, struct machine *m);
void record_clear(struct history *h); /* a new one begins with the next run */
/* Apply off, limit, max_memory after they were changed. */
void record_settings(struct history *h);
uint64_t record_start(const struct history *h); /* first position that can be reached; UINT64_MAX: none */
/* The last point at or before position; -1 for none. */
int record_point_at(const struct history *h, uint64_t position);
/* Keep a point of the machine as it is now, standing at position on a replay. */
void record_keep_point(struct history *h, struct machine *m);
/* The machine stands at position now and nothing after it has happened. */
void record_cut(struct history *h, struct machine *m);

#endif
