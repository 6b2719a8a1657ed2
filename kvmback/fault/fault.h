/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Fault stepping of the kvm backend: standing still inside the kernel's fault handler. The machine ops, and what the rest of
 * kvmback asks while a vCPU is parked, when none of its ioctls may be called.
 */
#ifndef KVMSCOPE_KVMBACK_FAULT_H
#define KVMSCOPE_KVMBACK_FAULT_H

#include "kvmback/kvm.h"

int kvm_fault_catch(struct machine *m, const struct fault_filter *v, size_t n, struct err *e);
int kvm_fault_stages(struct machine *m, struct fault_stage_list *out, struct err *e);
/* NULL if userfaultfd can do it here; else why not. */
const char *kvm_faults_why(void);
/* True if not each fault is caught here, but a page once after it was armed: *why has the reason, and what to do. */
bool kvm_fault_limit(struct machine *m, struct err *why);

/* struct run_ops' (core/run/run.h); ctx is the struct machine. */
bool kvm_may_park(void *ctx, const struct run_job *job);
bool kvm_park_near(void *ctx);
int kvm_park_begin(void *ctx, const struct run_job *job, struct err *e) MUST_USE;
void kvm_park_end(void *ctx, const struct stop *stop);
int kvm_park_fd(void *ctx);
bool kvm_park_look(void *ctx, struct stop *out);
void kvm_park_release(void *ctx, enum run_release how);
bool kvm_park_abandoned_late(void *ctx, const struct run_job *next, struct stop *stop);

/* When a vCPU's thread begins, in it; when a run of a lone vCPU begins, on its thread; before each KVM_RUN. */
void kvm_faults_thread(struct kvcpu *v);
void kvm_faults_run_begin(struct kvm_vm *vm);
void kvm_faults_enter(struct kvcpu *v);
/* Drop [first, last], whole pages of a slot with memory of its own, from the guest's view: the next access parks. */
int kvm_faults_arm(struct kvm_vm *vm, struct slot *s, uint64_t first, uint64_t last, struct err *e) MUST_USE;
void kvm_faults_destroy(struct kvm_vm *vm); /* lets a parked vCPU go */

#endif
