/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * `catch mmu` of the kvm backend: the machine ops, and what run control asks around KVM_RUN.
 */
#ifndef KVMSCOPE_KVMBACK_MMUCATCH_H
#define KVMSCOPE_KVMBACK_MMUCATCH_H

#include "kvmback/kvm.h"

struct kvcpu;

int kvm_mmu_catch(struct machine *m, const struct mmu_filter *v, size_t n, struct err *e);
/* Could it catch anything, as things are? -ENOTSUP, -EPERM, -EACCES, -ENOENT. */
uint32_t kvm_mmu_kinds(struct kvm_vm *vm); /* which kinds can happen here: enum mmu_kind */
int kvm_mmu_catch_check(struct kvm_vm *vm, struct err *e) MUST_USE;
int kvm_mmu_events(struct machine *m, struct mmu_event_list *out, struct err *e);
void kvm_mmu_destroy(struct kvm_vm *vm);

/* From the debugger's thread: a run begins (what the last stop reported is over), a run has ended in a stop. */
void mmu_run_begin(struct kvm_vm *vm);
void mmu_run_end(struct kvm_vm *vm, const struct stop *s);
/* From the thread that does the vCPU's job, for vm->mmu not NULL. begin: what the thread did since its last job is not the
 * guest's doing. end: what is in the ring is for the next stop to report. */
void mmu_job_begin(struct kvcpu *v);
void mmu_job_end(struct kvcpu *v);
/* After an exit or a step: true if nothing was caught; else the vCPU's stop is filled, and false. */
bool mmu_look(struct kvcpu *v);
/* The stop of what happened before another stop, which was reported first. */
void mmu_tell_late(struct kvcpu *v);
/* Has something happened that no stop has reported? */
bool mmu_pending(struct kvm_vm *vm);

#endif
