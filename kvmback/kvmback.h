/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The kvm backend: a machine whose vCPUs the host's KVM runs. The only header of kvmback that others include.
 */
#ifndef KVMSCOPE_KVMBACK_KVMBACK_H
#define KVMSCOPE_KVMBACK_KVMBACK_H

#include "core/base/err.h"

struct machine_ops;
extern const struct machine_ops kvm_backend;

/* 0 if /dev/kvm opens and speaks API 12; else why not and what to do (-ENOENT, -EACCES, …). */
int kvmback_available(struct err *e) MUST_USE;

#endif
