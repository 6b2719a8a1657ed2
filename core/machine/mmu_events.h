/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the MMU did that a catch asked for: events are added while the guest runs, a stop reports all there are, and they go
 * when the guest runs on. Bounded: what comes when it is full, or when memory is out, is counted as lost. Not locked.
 */
#ifndef KVMSCOPE_CORE_MACHINE_MMU_EVENTS_H
#define KVMSCOPE_CORE_MACHINE_MMU_EVENTS_H

#include "core/machine/inspect.h"

#define MMU_EVENTS_MAX 4096

/* All zero: empty. */
struct mmu_events {
	struct mmu_event *v; /* n of them, oldest first */
	size_t n, cap;
	uint64_t lost;
	bool reported; /* by a stop */
};

void mmu_events_add(struct mmu_events *l, const struct mmu_event *ev);
/* Is there one that no stop has reported? */
bool mmu_events_pending(const struct mmu_events *l);
/* A stop is about them. */
void mmu_events_report(struct mmu_events *l);
/* A run begins: those that were reported go. */
void mmu_events_resume(struct mmu_events *l);
void mmu_events_clear(struct mmu_events *l);
/* A copy of what the last stop reported; an empty list if that is over, or if no stop has reported them yet. -ENOMEM. */
int mmu_events_list(const struct mmu_events *l, struct mmu_event_list *out, struct err *e) MUST_USE;
void mmu_events_deinit(struct mmu_events *l);

#endif
