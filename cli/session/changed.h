/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Which registers a run has changed: of every vCPU, the general registers, rip and rflags as they were at the last two stops
 * that somebody saw. Afterwards nobody can ask for them, so they are kept at each stop that is shown; at one that only a
 * script got, when that asks for what has changed. A script that steps by the million and does not ask pays nothing.
 */
#ifndef KVMSCOPE_CLI_CHANGED_H
#define KVMSCOPE_CLI_CHANGED_H

#include "core/base/err.h"

struct session;

/* Another machine is loaded: from its registers as they are now on. */
void changed_begin(struct session *s);
/* The guest has run, and stands; once a stop. seen: by more than a script. */
void changed_stopped(struct session *s, bool seen);
void changed_free(struct session *s);

/* The registers that differ now from what they were at the stop before this one that somebody saw, or at the entry: bits
 * REGS_OLD_GPR to REGS_OLD_RFLAGS of enum regs_old. What cannot be known inside a fault has not changed. Asking makes this
 * stop one that was seen. */
int session_changed_regs(struct session *s, unsigned vcpu, uint64_t *mask, struct err *e) MUST_USE;

#endif
