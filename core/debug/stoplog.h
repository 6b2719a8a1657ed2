/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * How the machine's MMU grows over a run, stop by stop: counts at each stop, and what has changed since the one before.
 */
#ifndef KVMSCOPE_CORE_DEBUG_STOPLOG_H
#define KVMSCOPE_CORE_DEBUG_STOPLOG_H

#include "core/debug/snap.h"

#define STOP_LOG_MAX 1000
#define STOP_CHANGES_MAX 24

struct stop_row {
	enum stop_reason reason; /* STOP_NONE: the moment at which the log began, if nothing had run */
	unsigned vcpu;
	uint64_t rip;
	char *why;
	size_t shadow_pages, sptes, rmaps; /* rmaps that are not empty; meaningless if counts_known is false */
	bool counts_known;
	char missing[160];	       /* why they are not known */
	uint64_t chains[RMAP_BUCKETS]; /* of level 1, all slots */
	uint64_t longest, longest_gfn; /* of any level */
	bool chains_known;
	size_t n_changes; /* since the row before, of which the first are in changes */
	struct diff_list changes;
};
struct stop_log {
	struct stop_row *v;
	size_t n;
	uint64_t lost; /* stops that came when it was full, or when memory was out */
	struct snap *last;
};

/* A row for this stop. Nothing that it looks at changes; what the machine cannot show now is said in the row. -ENOMEM. */
int stop_log_add(struct stop_log *l, struct machine *m, const struct stop *s, const char *why, struct err *e) MUST_USE;
void stop_log_clear(struct stop_log *l);

#endif
