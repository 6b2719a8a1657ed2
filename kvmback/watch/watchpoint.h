/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Does an instruction touch watched bytes?
 */
#ifndef KVMSCOPE_KVMBACK_WATCHPOINT_H
#define KVMSCOPE_KVMBACK_WATCHPOINT_H

#include "kvmback/vcpu/vcpu.h"

/* look: what the instruction at rip will touch of what is watched. judge: it has been executed; false if that was a hit. */
struct watch_touch {
	uint64_t linear, gpa;
	unsigned len; /* 0: none */
	bool read, write;
	uint8_t old[8];
};
struct watch_look {
	int id;	     /* 0: nothing that is watched */
	int also[8]; /* other plants that it will touch */
	unsigned n_also;
	bool known;
	struct watch_touch first, then; /* of its accesses to watched bytes, in their order */
	uint64_t rip, rsp, rcx;		/* before it */
	bool cs_known;
	uint64_t linear; /* cs_known: of rip */
	uint16_t cs;
};
void watch_look(struct kvcpu *v, struct watch_look *l);
void watch_tell_then(struct kvcpu *v, const struct watch_touch *t); /* into the stop */
bool watch_judge(struct kvcpu *v, struct watch_look *l);
/* An armed page was touched in a free run. Gives whether KVM has done the instruction; then *on is false if that was a hit,
 * which is the vCPU's stop. What was opened is to be armed again behind it.
 */
bool watch_done_by_kvm(struct kvcpu *v, bool *on);
/* Code as the guest has it: how many bytes of it there are. */
size_t watch_code(struct kvcpu *v, uint64_t rip, uint8_t *code, size_t n);
struct access_decoder *watch_decoder(struct kvcpu *v); /* NULL: no memory */
/* drhit.c. A debug register has hit behind an instruction: what of its len bytes at linear was touched and how, by the
 * instruction that ends at rip, as far as that is beyond doubt. t: all of them, with old and the register's own word on read
 * and write; then: its next access to some of them. *by: 0 if unknown. */
void watch_refine(struct kvcpu *v, struct watch_touch *t, struct watch_touch *then, uint64_t *by);

#endif
