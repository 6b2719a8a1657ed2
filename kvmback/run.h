/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Between run.c (all vCPUs) and job.c (one of them).
 */
#ifndef KVMSCOPE_KVMBACK_RUN_H
#define KVMSCOPE_KVMBACK_RUN_H

#include "kvmback/vcpu/vcpu.h"

/* What all of kvmback does for a vCPU's jobs and around its KVM_RUN. */
extern const struct vcpu_ops kvm_vcpu_ops;

#endif
