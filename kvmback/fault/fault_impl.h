/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Fault stepping's own header: fault.c (running, parking, telling) and faultarm.c (what a filter arms).
 */
#ifndef KVMSCOPE_KVMBACK_FAULT_IMPL_H
#define KVMSCOPE_KVMBACK_FAULT_IMPL_H

#include "core/base/lock.h"
#include "core/machine/fault_log.h"
#include "kvmback/fault/fault.h"
#include "kvmback/fault/faultcode.h"
#include "kvmback/fault/faultwalk.h"
#include "kvmback/watch/armed.h"

struct kvm_faults {
	struct kvm_vm *vm;
	struct fault_filter filter[FAULT_FILTERS_MAX];
	size_t n_filters;
	bool armed;
	bool quiet;	  /* this run: every page is given at once */
	unsigned passing; /* the fault that is let through without standing still at its stages; 0 for none */
	int tick, epoll;  /* several vCPUs: the clock of their turns, and what waits for it and for faults; else -1 */
	struct run_job job;
	struct stop stop;
	/* An abandoned vCPU, and its registers when it was let go. */
	unsigned abandoned;
	struct regs abandoned_regs;
	/* The parked vCPU, and where it stands. */
	unsigned vcpu;
	uint64_t page; /* hva */
	uint64_t last_rip;
	/* Of the fault at hand: its address, as its walk began or KVM was told of it (with EPT and NPT a gpa), KVM's error
	 * code, 0 where it has told none; whether it is over, though nothing said so. */
	uint64_t gva, error;
	bool over;
	bool emulating;
	bool in_fault, fresh; /* fresh: the tracepoints began this fault, no live stage has been in it yet */
	struct trace *trace;  /* NULL: trace_err says why */
	struct err trace_err;
	struct fault_walk *walk; /* NULL if faults are not told by their walks here */
	/* Without walks faults are told by gpa: those that the filters by gva have armed, and whether the one at hand is
	 * asked for. */
	enum fault_format format;
	bool asked;
	uint64_t *armed_gfns;
	size_t n_armed, cap_armed;
	uint64_t turn_ns; /* when the vCPU that is in the guest got its turn */
	struct lock lock; /* of what follows: pages that were given to a vCPU on its way out, armed again */
	uint64_t unarmed[KVM_MAX_VCPUS_HERE];
	size_t n_unarmed;
	struct fault_log log;
};

/* faultevents.c. A stage of the fault at hand, written down; the next fault begins; the vCPU whose thread this is; what the
 * tracepoints have told since the last call. */
struct fault_stage *fault_note(struct kvm_faults *f, enum stage stage, uint64_t gfn, bool known, unsigned level, bool live);
void fault_begin(struct kvm_faults *f);
unsigned fault_vcpu_of(const struct kvm_faults *f, pid_t tid);
void fault_take_trace(struct kvm_faults *f);
/* Is a fault at this gpa one that the filters ask for? For hosts on which no walk is followed. */
bool fault_asks_for_gpa(const struct kvm_faults *f, uint64_t gpa);

/* faultarm.c: what the filters are about. */
int faults_arm(struct kvm_faults *f, struct err *e) MUST_USE;
/* Open the tracepoints, or note in trace_err why not: then there are live stages only, one an arming of a page. */
void faults_open_stages(struct kvm_faults *f);

#endif
