/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A machine for unit tests: slots are plain heap memory, registers are plain structs, and running plays a script. Nothing
 * executes: machine_run() takes the next stop that the test queued, puts that vCPU's rip where the stop says and returns it.
 *
 *     struct machine *m = fake_create(1);
 *     fake_push_step(m, 0, 0x1003);
 *     fake_push_stop(m, &(struct stop){.reason = STOP_HLT, .rip = 0x1004});
 *     …
 *     machine_destroy(m);
 *
 * With nothing queued a step adds one to rip, and a continue ends in STOP_HLT where it stands. What the debugger planted,
 * caught, injected and wrote is recorded in struct fake for the test to look at. Inspection gives deep copies of the lists
 * that the test put into struct fake.
 */
#ifndef KVMSCOPE_TESTS_SUPPORT_FAKE_H
#define KVMSCOPE_TESTS_SUPPORT_FAKE_H

#include "core/machine/calls.h"
#include "core/machine/machine_impl.h"

#define FAKE_VCPUS_MAX 64
#define FAKE_QUEUE_MAX 256
#define FAKE_PLANTS_MAX 256

/* What a queued stop does besides being returned: fn (may be NULL) runs first, with the machine and arg. */
struct fake_event {
	struct stop stop;
	bool keep_rip; /* do not move rip to stop.rip */
	void (*fn)(struct machine *m, void *arg);
	void *arg;
};

struct fake {
	struct machine m; /* first, as every backend */
	struct regs regs[FAKE_VCPUS_MAX];

	struct fake_event queue[FAKE_QUEUE_MAX];
	unsigned q_head, q_tail;
	/* What machine_run() was called with, and how often. */
	unsigned runs, steps;
	enum run_kind last_kind;
	unsigned last_vcpu;
	uint64_t last_count;
	unsigned kicks;

	struct plant plants[FAKE_PLANTS_MAX];
	unsigned n_plants;
	uint32_t catch_events;
	struct guest_fault injected[FAKE_VCPUS_MAX]; /* .present says whether one is queued */
	unsigned smis, resets, slot_changes, locks, unlocks;
	uint32_t smbase;
	unsigned wrotes; /* calls of wrote(), and the last one's range */
	uint64_t wrote_gpa, wrote_len;

	bool no_cap[MACHINE_CAP_COUNT]; /* set: machine_can() is false, the operations give -ENOTSUP */
	uint64_t hole, hole_len;	/* gpas that fake_unmap()'s callback cannot read */
	unsigned fills;
	bool look_only;	     /* none of RUN, WRITE, SLOTS, CONTROL */
	const char *fail_op; /* name of an operation (as in struct machine_ops) that fails with fail_code … */
	int fail_code;	     /* … negative errno */
	unsigned fail_after; /* … after this many successes */

	/* Scripted looks; owned by the test, copied out. */
#define FAKE_LIST(name, words, needs, list, shape) struct list name;
	MACHINE_LOOK_LIST(
	    FAKE_LIST) /* sptes: those that meet the range are given; rmap_all gives rmap's that are not empty */
#undef FAKE_LIST
	struct fault_stage_list stages;
	uint64_t hpa_base; /* hpa = hpa_base + gpa */

	struct mmu_filter mmu[MMU_FILTERS_MAX]; /* as machine_mmu_catch() was told */
	size_t n_mmu;
	struct mmu_event_list mmu_events; /* the test's own, copied out */

	struct fault_filter filter[FAULT_FILTERS_MAX];
	size_t n_filters;
	uint64_t passed; /* struct run_job's, of the run under way */
	bool filter_set;
};

extern const struct machine_ops fake_ops;

/* A machine of n vCPUs at reset; fails the test where that does not work. */
struct machine *fake_create(unsigned vcpus);
/* Put a vCPU of a machine that stands still inside a fault, and out of it without a run. */
void fake_park(struct machine *m, unsigned vcpu);
void fake_unpark(struct machine *m);
static inline struct fake *fake_of(struct machine *m)
{
	return (struct fake *)m;
}

/* A RAM slot by machine_slot_add(), visible to both, flags as given; fails the test where that does not work. */
void fake_add_slot(struct machine *m, uint32_t id, uint64_t gpa, uint64_t size, uint32_t flags);
/* Take a slot's alias away: from now on its bytes come by a callback, as memory of another process would. */
void fake_unmap(struct machine *m, uint32_t id);
/* Write as the guest would: through the slots, marking pages dirty. Fails the test outside memory. */
void fake_guest_write(struct machine *m, uint64_t gpa, const void *buf, size_t len);

void fake_push_stop(struct machine *m, const struct stop *s);
void fake_push_event(struct machine *m, const struct fake_event *ev);
void fake_push_step(struct machine *m, unsigned vcpu, uint64_t rip);
unsigned fake_queued(struct machine *m); /* stops not yet played */
/* The plant with this id, NULL for none. */
const struct plant *fake_plant(struct machine *m, int id);

/* Put a vCPU into flat 64-bit mode at CPL cpl: paging on with this cr3, selectors as the debugger's GDT has them. */
void fake_enter_long(struct machine *m, unsigned vcpu, unsigned cpl, uint64_t cr3, uint64_t rip);

#endif
