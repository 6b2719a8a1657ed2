/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Looking whether a run makes progress (core/run/progress.h), between the turns of its vCPUs.
 */
#ifndef KVMSCOPE_CORE_SOFT_STALL_H
#define KVMSCOPE_CORE_SOFT_STALL_H

#include "core/soft/soft_impl.h"

/* A run up to a stop begins. */
void soft_stall_begin(struct soft_machine *m);
/* Between two turns. Costs next to nothing, but for a look a few times a second. Tells the client, and changes nothing. */
void soft_stall_turn(struct soft_machine *m);
/* The instruction under way is about to access a device. */
void soft_stall_access(struct soft_cpu *c, bool port, uint64_t address, unsigned len, bool write);
/* An exception is about to go to its handler. */
void soft_stall_exception(struct soft_cpu *c);

#endif
