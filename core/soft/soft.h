/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The soft backend: a machine whose CPUs are interpreted over the shadow MMU in core/soft/mmu. Runs anywhere, without
 * privileges.
 */
#ifndef KVMSCOPE_CORE_SOFT_SOFT_H
#define KVMSCOPE_CORE_SOFT_SOFT_H

#include <stdbool.h>

struct machine;
struct machine_ops;
extern const struct machine_ops soft_backend;

/* What the manuals leave open and processors do one way or the other. A new machine has none of them set, which is what
 * Intel's did in all that was compared with one; whoever compares it with a processor tells it what that one does. */
struct soft_habits {
	bool shiftd_source; /* SHLD and SHRD of 16 bits by more than 16: behind the source's bits come the source's once more
			     * (AMD Zen 4), not the destination's */
	bool cmpsb_source;  /* REPE CMPSB reads DS:SI before ES:DI (AMD Zen 4); all other CMPS read ES:DI first */
	bool outer_early;   /* RETF to another privilege and IRET read SS and the stack pointer before they look at CS, also
			     * if it is refused (AMD Zen 4; 64-bit code); SDM vol. 2 has them read last */
	bool pops_down; /* RETF reads CS, RIP, then SS, RSP, and IRET flags, CS, RIP, then SS, RSP (AMD Zen 4; 64-bit code),
			 * not upwards: which of two missing words a fault is at */
	bool call_target_first; /* a near CALL looks at where it goes before it knows that it can push (SDM vol. 2), not
				 * behind it (APM vol. 3, AMD Zen 3 and Zen 5) */
};
void soft_set_habits(struct machine *m, struct soft_habits habits);

#endif
