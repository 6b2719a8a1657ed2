/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Fault stepping's own header: fault.c (running, parking, telling), faultarm.c (what a filter arms) and faultstop.c
 * (all-stop while a vCPU stands in a fault).
 */
#ifndef KVMSCOPE_KVMBACK_FAULT_IMPL_H
#define KVMSCOPE_KVMBACK_FAULT_IMPL_H

#include "core/fault_log.h"
#include "kvmback/fault.h"
#include "kvmback/gvarange.h"
#include "kvmback/pages.h"

enum state { IDLE, GOING, PARKED };

struct kvm_faults {
	struct kvm_vm *vm;
	struct fault_filter filter;
	bool armed;
	enum state state;
	/* the runner */
	pthread_t thread;
	bool has_thread;
	struct gate go;
	int done; /* eventfd: the run is over */
	enum run_kind kind;
	unsigned vcpu;
	uint64_t count;
	bool quit;
	int rc;
	struct stop stop;
	struct err err;
	/* where the parked vCPU stands */
	unsigned who;
	uint64_t page; /* hva */
	struct regs regs[KVM_MAX_VCPUS_HERE];
	uint64_t last_rip;
	uint64_t gva; /* of the fault at hand, as its walk began */
	bool emulating;
	bool in_fault, fresh; /* fresh: the tracepoints began this fault, no live stage has been in it yet */
	struct trace *trace;
	struct uffd_fault kept[KVM_MAX_VCPUS_HERE]; /* others that stand in faults of their own */
	unsigned n_kept;
	bool waits[KVM_MAX_VCPUS_HERE];
	bool leaving[KVM_MAX_VCPUS_HERE]; /* kicked, and waits for the page that the parked one stands at */
	struct gva_range *range;	  /* a filter by gva that follows the guest's tables */
	struct fault_log log;
};

/* The vCPU whose thread this is. */
unsigned faults_vcpu_of(const struct kvm_faults *f, pid_t tid);
/* Registers of all vCPUs, none of which is parked. */
int faults_remember_regs(struct kvm_faults *f, struct err *e) MUST_USE;
/* The page is there again for whoever waits. */
void faults_continue(struct kvm_faults *f, uint64_t hva);

/* faultarm.c: what f->filter is about; and before a run the tables under roots that are new. */
int faults_arm(struct kvm_faults *f, struct err *e) MUST_USE;
int faults_arm_roots(struct kvm_faults *f, struct err *e) MUST_USE;

/* faultstop.c: f->who has parked, the others come out or stand in a fault themselves; and the next message, first those of
 * such. */
void faults_others_out(struct kvm_faults *f);
bool faults_next(struct kvm_faults *f, struct uffd_fault *out);
/* Whoever was leaving and is out runs on. True while any is on its way. */
bool faults_leavers(struct kvm_faults *f, bool run);

#endif
