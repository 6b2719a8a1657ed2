/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One judge asks all enabled stop points at every stop of the machine, also at one that is passed over: whose it is, and
 * whether conditions, ignore counts and filters let it through. Each point is asked once a stop and counts once; a stop
 * carries all that were let through.
 *
 * Breakpoints are asked of the place where the vCPU stands, whatever it stopped for. So that none is asked twice, and none
 * is run over that was not asked, the judge keeps for each vCPU whether its place has been asked (struct run_job's passed).
 */
#ifndef KVMSCOPE_CORE_STOP_JUDGE_H
#define KVMSCOPE_CORE_STOP_JUDGE_H

#include "core/run/run.h"
#include "core/stop/point.h"

/* A temporary point that its hit has deleted. */
struct retired_point {
	int id;
	char *commands; /* owned; NULL for none */
};

struct judge {
	struct point_table *points;
	/* Is p's condition true at this stop? 1, 0, or negative with e filled (then it stops, and says so). NULL: always. */
	int (*condition)(void *ctx, const struct stop_point *p, const struct stop *s, struct err *e);
	void *condition_ctx;
	bool rehearsal;		       /* on a replay: nothing is counted or deleted */
	uint64_t passed;	       /* of struct run_job: for the next one, and as the last one left it */
	uint64_t rip[64];	       /* of each vCPU when its place was asked */
	bool arrived;		       /* at the internal point, by the stop judged last */
	bool interrupted;	       /* a condition of the stop judged last was, and so it stops (-EINTR) */
	struct retired_point *retired; /* of the last stop that was told */
	size_t n_retired;
};

void judge_init(struct judge *j, struct point_table *points);
void judge_deinit(struct judge *j);
/* The machine's state is another one (loaded, restored): only this vCPU's place has been seen. */
void judge_begin(struct judge *j, unsigned vcpu, uint64_t rip);
/* The debugger has changed registers, perhaps: who stands elsewhere now has a place that was not asked. */
void judge_moved(struct judge *j, struct machine *m);
/* Is the stop worth telling? By whom is then in s: reason and breakpoint are those of the first, all are in cause if
 * there are several. In this order: what the machine stops for by itself (but a step), watchpoints, events, breakpoints; in
 * each by ascending id. A stop that is not told may have been an arrival at the internal point: then s is a step. */
bool judge_stop(struct judge *j, struct machine *m, struct stop *s);
/* The commands that a point of the last stop leaves to be run: a copy the caller frees, or NULL. */
char *judge_commands(const struct judge *j, int id);

#endif
