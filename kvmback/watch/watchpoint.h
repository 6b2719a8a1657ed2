/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Does an instruction touch watched bytes?
 */
#ifndef KVMSCOPE_KVMBACK_WATCHPOINT_H
#define KVMSCOPE_KVMBACK_WATCHPOINT_H

#include "kvmback/vcpu/vcpu.h"

/* watchpoint.c. look: what the instruction at rip will touch of what is watched. judge: it has been executed; false if
 * that was a hit. */
struct watch_look {
	int id;	     /* 0: nothing that is watched */
	int also[8]; /* other plants that it will touch */
	unsigned n_also;
	bool known, rep, write;
	uint64_t rip, linear, gpa;
	unsigned len;
	uint8_t old[8];
};
void watch_look(struct kvcpu *v, struct watch_look *l);
bool watch_judge(struct kvcpu *v, struct watch_look *l);
/* An armed page was touched in a free run. Gives whether KVM has done the instruction; then *on is false if that was a hit,
 * which is the vCPU's stop. What was opened is to be armed again behind it.
 */
bool watch_done_by_kvm(struct kvcpu *v, bool *on);

#endif
