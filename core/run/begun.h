/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Instructions that have begun: their breakpoints have been asked, and then they raised a fault, which the guest handles.
 * Its handler returns to the same instruction (a page that was missing, the rest of a REP): that is no new arrival. It shows
 * by RF, which a processor sets in the flags that a fault pushes, so that its own instruction breakpoints do not hit twice
 * (Intel SDM vol. 3B, instruction-breakpoint exception condition). RF alone is not enough: a breakpoint may have been set
 * meanwhile. A frame of real mode has no RF: there it is an arrival.
 */
#ifndef KVMSCOPE_CORE_RUN_BEGUN_H
#define KVMSCOPE_CORE_RUN_BEGUN_H

#include <stdbool.h>
#include <stdint.h>

/* Of one vCPU: linear addresses, the newest last. One that is not returned to is forgotten when as many others have come. */
#define BEGUN_MAX 8
struct begun {
	uint64_t pc[BEGUN_MAX];
	unsigned n;
};
void begun_add(struct begun *b, uint64_t pc);
/* The vCPU has come to pc. True if that is a return, and then pc is forgotten. */
bool begun_take(struct begun *b, uint64_t pc, uint64_t rflags);

#endif
