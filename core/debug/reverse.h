/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * How far a plan is that goes back along the record (plan_reverse_step(), plan_reverse_continue() in core/debug/plan.h).
 *
 * To go back is to restore the last point of the record before the place that is looked for, and to replay from there: a
 * stretch at a time, each in slices, between which progress is told and an interruption is seen. Where it began is kept in
 * struct history's `before` until it is over. Then either the machine stands at an earlier position and what was ahead is
 * forgotten: going on from there runs the guest anew, which on one vCPU is the same run. Or it was interrupted or failed,
 * and everything is as before.
 */
#ifndef KVMSCOPE_CORE_DEBUG_REVERSE_H
#define KVMSCOPE_CORE_DEBUG_REVERSE_H

#include <stdbool.h>
#include <stdint.h>

/* What the stretch under way is for. */
enum reverse_stretch {
	REVERSE_TO,   /* to a position, passing over all stops; a few points are left close to where it ends */
	REVERSE_SCAN, /* from a point of the record to the next one, noting the last stop that the user would be told */
	REVERSE_FIND, /* to the stop that a scan has noted */
};

/* A stop on the way: of those that the user would be told at this position since its stretch began, the n-th. n 0: none. */
struct reverse_stop {
	uint64_t position;
	unsigned n;
};

struct reversal {
	/* Where it began: the position, the judge's passed, and whether nobody had changed the machine since it ran. */
	uint64_t position, passed;
	bool unchanged;
	/* The stretch: from `at`, where the machine stands, to `end`. The replay under way ends at `until` at the latest. */
	enum reverse_stretch stretch;
	uint64_t at, end, until;
	bool stops;
	uint64_t to;   /* REVERSE_TO: the position, */
	unsigned leap; /* by leaps that end ever closer before it */
	uint64_t from; /* REVERSE_SCAN: the point */
	struct reverse_stop met, wanted;
	uint64_t done, total; /* of what is to be replayed; total is a guess */
	bool begins_here;     /* what is asked for lies before the record, which begins there */
	bool found, arrived;
};

#endif
