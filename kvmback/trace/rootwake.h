/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A vCPU that loads another root of guest tables comes out of KVM_RUN before the guest executes anything under it: KVM's
 * look-up of the root's shadow page is a tracepoint that signals the very thread. Catching faults needs that, and watching
 * virtual addresses.
 *
 * Not seen is a CR3 load by which KVM goes back to one of the roots that it keeps (the current one and three more): whoever
 * asks must know those before, by kview_roots() or as they came. Nor, with EPT or NPT, is any.
 */
#ifndef KVMSCOPE_KVMBACK_ROOTWAKE_H
#define KVMSCOPE_KVMBACK_ROOTWAKE_H

#include "kvmback/vcpu/vcpu.h"

/* What wants it; it is on as long as anything does. While all vCPUs are out. Errors are trace_open_some()'s. */
#define ROOTWAKE_FAULTS 1u
#define ROOTWAKE_WATCHES 2u
int rootwake_set(struct kvm_vm *vm, unsigned what, bool on, struct err *e) MUST_USE;
/* Before KVM_RUN, in the vCPU's thread. */
void rootwake_enter(struct kvcpu *v);
void rootwake_destroy(struct kvm_vm *vm);

#endif
