/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A vCPU whose guest enters a guest of its own, or leaves it, comes out of KVM_RUN before anything runs there: KVM's
 * tracepoints of both signal the very thread. Debug registers need that, as KVM puts the debugger's only into the guest that
 * the vCPU is in when it is asked to, and so does a step, which would go on to the end otherwise.
 */
#ifndef KVMSCOPE_KVMBACK_NESTWAKE_H
#define KVMSCOPE_KVMBACK_NESTWAKE_H

#include "kvmback/vcpu/vcpu.h"

/* Before a run, while all vCPUs are out: on if anything is planted, or if instructions are stepped of a guest that has SVM
 * or VMX switched on. stepped: behind one that may have done that, all others being out. */
void nestwake_set(struct kvm_vm *vm, bool step);
void nestwake_stepped(struct kvcpu *v);
int nestwake_check(struct err *e) MUST_USE; /* can it be? Errors are trace_open_some()'s */
bool nestwake_on(const struct kvm_vm *vm);
/* Why it is not, after it was wanted. */
const char *nestwake_why(const struct kvm_vm *vm);
/* Before KVM_RUN, in the vCPU's thread. */
void nestwake_enter(struct kvcpu *v);
void nestwake_destroy(struct kvm_vm *vm);

#endif
