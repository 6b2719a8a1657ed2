/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A vCPU whose guest runs a guest (core/cpu/nested.h): whether it is in L2, what KVM keeps of L1 meanwhile, and that as part
 * of a checkpoint. KVM_GET_NESTED_STATE, in Documentation/virt/kvm/api.rst 4.114.
 *
 * While a vCPU is in L2 its ioctls are about L2. What stands in place of L1's own (a stepping TF, the IDT and GDT of the
 * trap page) when L1 enters L2 goes into the state that L1 comes back with, and can be taken back there only.
 */
#ifndef KVMSCOPE_KVMBACK_NESTED_H
#define KVMSCOPE_KVMBACK_NESTED_H

#include "kvmback/kvm.h"

/* Can its guests run guests with SVM? NULL, or why not. */
const char *nested_svm_why(const struct kvm_host *h);
bool nested_possible(const struct kvm_host *h); /* with SVM or VMX, and KVM tells where a vCPU is */
/* v->nested, s being what the vCPU has. Costs an ioctl only where the guest has SVM or VMX switched on. */
void nested_fetch(struct kvcpu *v, const struct kvm_sregs *s);

/* Of L1, which the vCPU has left for L2: what it comes back with. False: it cannot be. */
struct nested_l1 {
	const struct kvm_dtable *idt, *gdt; /* NULL: as they are */
	bool clear_tf;
};
bool nested_put_l1(struct kvcpu *v, const struct nested_l1 *l1);

/* For a checkpoint: all that registers do not have. *len 0: nothing. restore comes in two parts: out of L2 before registers
 * are set, into the state of then behind that. */
int kvm_nested_take(struct machine *m, unsigned vcpu, void **state, size_t *len, struct err *e);
int kvm_nested_leave(struct machine *m, unsigned vcpu, struct err *e);
int kvm_nested_put(struct machine *m, unsigned vcpu, const void *state, size_t len, struct err *e);

#endif
