/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Preconditions that the wrapper's files (machine*.c) share. Each gives 0, or a negative errno with words that name what
 * was tried. Nobody else includes this.
 */
#ifndef KVMSCOPE_CORE_MACHINE_CHECK_H
#define KVMSCOPE_CORE_MACHINE_CHECK_H

#include "core/machine/machine_impl.h"

int machine_check_vcpu(const struct machine *m, unsigned vcpu, const char *what, struct err *e) MUST_USE; /* -EINVAL */
/* Standing still, and no vCPU inside a fault: what every change needs. -EBUSY. */
int machine_check_idle(const struct machine *m, const char *what, struct err *e) MUST_USE;
/* -ENOTSUP where the capability is missing, or the operation although the capability is there (has_op false). */
int machine_check_cap(const struct machine *m, enum machine_cap cap, bool has_op, const char *what, struct err *e) MUST_USE;
int machine_check_range(uint64_t first, uint64_t last, const char *what, struct err *e) MUST_USE; /* -EINVAL */

/* machine_mem.c: fill in what the guest's tables say now of each vCPU's cached MMIO address. */
void machine_mmio_compare(struct machine *m, struct mmio_info_list *l);

#endif
