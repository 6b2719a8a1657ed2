/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The preconditions of every call of machine.h, in one place: capability, run state, operation by the call's row in calls.h;
 * arguments by the functions below. Each gives 0, or a negative errno with words that name what was tried. Only the
 * wrapper's files include this.
 */
#ifndef KVMSCOPE_CORE_MACHINE_CHECK_H
#define KVMSCOPE_CORE_MACHINE_CHECK_H

#include "core/machine/calls.h"
#include "core/machine/machine_impl.h"

struct machine_call_row {
	const char *name;  /* machine_… */
	const char *words; /* "write registers" */
	uint32_t needs;	   /* bits of enum machine_cap */
	enum machine_ask ask;
};
const struct machine_call_row *machine_call_row(enum machine_call call);

/* May this be asked of the machine as it stands? -ENOTSUP: a capability is missing, or the operation although the capability
 * is there; -EBUSY: the guest runs, or a vCPU is parked. words NULL: the row's. */
int machine_check(const struct machine *m, enum machine_call call, const char *words, struct err *e) MUST_USE;

/* The same, and then what is looked at stands still until the hold ends: while the guest runs, under the backend's walk
 * lock, unless this thread holds it already (it is inside the run). */
int machine_begin(struct machine *m, enum machine_call call, struct machine_hold *h, struct err *e) MUST_USE;
/* Take the walk lock in any run state, for what must not be torn by another thread's look. */
void machine_hold(struct machine *m, struct machine_hold *h);

int machine_check_vcpu(const struct machine *m, unsigned vcpu, const char *what, struct err *e) MUST_USE; /* -EINVAL */
int machine_check_range(uint64_t first, uint64_t last, const char *what, struct err *e) MUST_USE;	  /* -EINVAL */

/* memory.c: fill in what the guest's tables say now of each vCPU's cached MMIO address. */
void machine_mmio_compare(struct machine *m, struct mmio_info_list *l);

/* dirty_rings.c: what is kept of a slot's entries. */
int machine_ring_list(struct machine *m, const struct slot *s, struct dirty_entry_list *out, struct err *e) MUST_USE;

#endif
