/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Fault stepping of the kvm backend: standing still inside the kernel's fault handler. The machine ops, and what the rest of
 * kvmback asks while a vCPU is parked, when none of its ioctls may be called.
 */
#ifndef KVMSCOPE_KVMBACK_FAULT_H
#define KVMSCOPE_KVMBACK_FAULT_H

#include "kvmback/kvm.h"

bool kvm_parked(const struct machine *m, unsigned *vcpu);
int kvm_fault_catch(struct machine *m, const struct fault_filter *f, struct err *e);
int kvm_fault_step(struct machine *m, struct stop *out, struct err *e);
int kvm_fault_stages(struct machine *m, struct fault_stage_list *out, struct err *e);
/* NULL if userfaultfd can do it here; else why not. */
const char *kvm_faults_why(void);

/* True while a run has to go by way of kvm_faults_run(). */
bool kvm_faults_take_run(const struct kvm_vm *vm);
int kvm_faults_run(struct kvm_vm *vm, struct run_job *job, struct stop *out, struct err *e) MUST_USE;
/* The registers of the vCPU that is parked: what kernel memory has, the others as they were when it was let go and named so.
 * False: it is not parked, ask it. */
bool kvm_faults_regs(struct kvm_vm *vm, unsigned vcpu, struct regs *out);
/* When a vCPU's thread begins, in it; and before each KVM_RUN. */
void kvm_faults_thread(struct kvcpu *v);
void kvm_faults_enter(struct kvcpu *v);
/* Drop [first, last], whole pages of a slot with memory of its own, from the guest's view: the next access parks. */
int kvm_faults_arm(struct kvm_vm *vm, struct slot *s, uint64_t first, uint64_t last, struct err *e) MUST_USE;
void kvm_faults_destroy(struct kvm_vm *vm); /* lets a parked vCPU go */

#endif
