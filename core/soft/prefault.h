/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * machine_slot_prefault() of the soft machine.
 */
#ifndef KVMSCOPE_CORE_SOFT_PREFAULT_H
#define KVMSCOPE_CORE_SOFT_PREFAULT_H

#include "core/machine/machine.h"

int soft_prefault(struct machine *base, unsigned vcpu, const struct slot *s, uint64_t gpa, uint64_t size,
		  int (*poll)(void *unused), struct prefault *out, struct err *e);

#endif
