/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Which registers a run has changed: of every vCPU, the general registers, rip and rflags as they were at the last two
 * stops. Kept at every stop, since afterwards nobody can ask for them: 144 bytes and one call a vCPU, some 50 ns
 * on soft beside the 1.5 us of a step in a script's loop.
 */
#ifndef KVMSCOPE_CLI_CHANGED_H
#define KVMSCOPE_CLI_CHANGED_H

#include "core/base/err.h"

struct session;

/* Another machine is loaded: from its registers as they are now on. */
void changed_begin(struct session *s);
/* The guest has run, and stands. Once a stop. */
void changed_stopped(struct session *s);
void changed_free(struct session *s);

/* The registers that differ now from what they were at the stop before the last one (after the first stop: from the entry):
 * bits REGS_OLD_GPR to REGS_OLD_RFLAGS of enum regs_old. What cannot be known inside a fault has not changed. */
int session_changed_regs(struct session *s, unsigned vcpu, uint64_t *mask, struct err *e) MUST_USE;

#endif
