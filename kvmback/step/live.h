/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Looking at a VM while its vCPUs are in the guest, or one stands inside a fault: no ioctl can ask such a vCPU, and int3
 * bytes stand in memory.
 */
#ifndef KVMSCOPE_KVMBACK_STEP_LIVE_H
#define KVMSCOPE_KVMBACK_STEP_LIVE_H

#include "kvmback/kvm.h"

/* Before a run whose client looks on: the registers of all vCPUs, none of which runs. */
int live_remember(struct kvm_vm *vm, struct err *e) MUST_USE;
/* As live_remember() saw them. */
const struct regs *live_remembered(const struct kvm_vm *vm, unsigned vcpu);
/* Is the guest run by another thread, so that a vCPU must not be asked by ioctl? */
bool live_elsewhere(const struct kvm_vm *vm);
/* What the kernel's memory has of a vCPU, as of its last exit; the rest is as of live_remember(), and named so in out->old.
 * What a step or the trap page has put in place of the guest's own is taken out again. */
void live_regs(struct kvm_vm *vm, unsigned vcpu, struct regs *out);
/* machine_ops.hide_plants: in what was read of memory, int3 bytes of ours become what is under them. */
void live_hide_int3(struct machine *m, uint64_t gpa, void *buf, size_t len);

#endif
