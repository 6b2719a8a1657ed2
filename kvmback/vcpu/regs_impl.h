/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Between regs.c and xregs.c: one getter and one setter for each part of struct regs.
 */
#ifndef KVMSCOPE_KVMBACK_REGS_IMPL_H
#define KVMSCOPE_KVMBACK_REGS_IMPL_H

#include "kvmback/kvm.h"

/* err_errno() with errno as it is, about a vCPU: "VERB of vCPU n: IOCTL: text". */
int kvm_vcpu_error(const struct kvcpu *v, const char *verb, const char *ioctl_name, struct err *e);
int kvm_fetch_sregs(struct kvcpu *v, struct kvm_sregs *k, struct err *e) MUST_USE;

int kvm_get_debug(struct kvcpu *v, struct regs *r, struct err *e) MUST_USE;
int kvm_set_debug(struct kvcpu *v, const struct regs *r, struct err *e) MUST_USE;
int kvm_get_msr(struct kvcpu *v, struct regs *r, struct err *e) MUST_USE;
int kvm_set_msr(struct kvcpu *v, const struct regs *r, struct err *e) MUST_USE;
int kvm_get_fpu(struct kvcpu *v, struct regs *r, struct err *e) MUST_USE;
int kvm_set_fpu(struct kvcpu *v, const struct regs *r, struct err *e) MUST_USE;

#endif
