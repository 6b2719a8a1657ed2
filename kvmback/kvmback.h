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

/* Open now what reading the kernel takes capabilities for, so that it can be done when they have been given up; where it
 * cannot be opened the first command that wants it says why. */
void kvmback_prepare(void);
/* Can what was prepared be used as things are, or is there nothing prepared? */
bool kvmback_still_reads(void);

#endif
