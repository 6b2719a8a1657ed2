/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One instruction under way: shared by step.c, which runs it, and insn.c, which knows what it is.
 */
#ifndef KVMSCOPE_KVMBACK_INSN_H
#define KVMSCOPE_KVMBACK_INSN_H

#include "core/cpu/disas.h"
#include "kvmback/step/step.h"

/* What is known of the instruction at rip, and what the step has changed for itself. */
struct step {
	enum insn_kind kind;
	uint8_t code[15];
	const uint8_t *op; /* past the prefixes */
	unsigned n;	   /* bytes that could be read */
	unsigned bits;
	bool rep, repne, opsize, addrsize;
	unsigned cpl;
	enum step_how how;
	uint64_t from;	 /* rip */
	bool nested;	 /* an instruction of L2's */
	uint64_t sp;	 /* rsp before it */
	bool aimed;	 /* target is known, and something stands there */
	uint64_t target; /* linear, of iret or syscall; with an int3 there */
	uint8_t *int3;	 /* that int3, and the byte under it */
	uint8_t under;
	bool popped_tf;
	bool delivered;	      /* it raised an exception, and the vCPU stands at the handler: nothing traps behind it */
	uint64_t dr6;	      /* of the debug exit that ended it; 0: another exit did */
	unsigned early_traps; /* debug exits before it was executed */
};

void insn_decode(struct kvcpu *v, struct step *s);
/* inside.c: where the instruction begins in whose middle this address is; 0: it is not known to be in any. */
uint64_t insn_begin_of(struct kvcpu *v, uint64_t linear);
/* Is a byte of ours in what would be fetched at rip? */
bool insn_meets_int3(struct kvcpu *v);
/* How many prefix bytes stand at this address before anything else. */
unsigned insn_count_prefixes(struct kvcpu *v, uint64_t linear);
bool insn_touches_idtr(const struct step *s); /* SIDT, LIDT: they look at the IDT register itself */
/* Vector of INT n and its like; -1 if it is none, or conditional and not taken. */
int insn_software_vector(struct kvcpu *v, const struct step *s);
/* REP: set the count to one; afterwards count and rip as one iteration leaves them (executed), or as they were. */
void insn_rep_begin(struct kvcpu *v, const struct step *s);
void insn_rep_end(struct kvcpu *v, bool executed);
uint64_t insn_behind_ss(const struct step *s); /* rip behind a load of SS */
/* Real mode, where nothing can be put behind it that stops: the load is done here. False: it is not one of these. */
bool insn_load_ss(struct kvcpu *v, const struct step *s);
/* Put something at the target of iret, sysret, syscall, behind a load of SS, that stops there. False: no such target; step
 * it as any other. */
bool insn_target_arm(struct kvcpu *v, struct step *s);
void insn_target_disarm(struct step *s);
/* A debug exit by INT1, on which rip stands: VT-x has it so as soon as #DB is intercepted. */
bool insn_int1_left(struct kvcpu *v, unsigned *len);
bool insn_moves_dr(const struct step *s); /* MOV to or from a debug register */
/* The trap of a step came and nothing was executed: some nested hosts keep it pending where the processor's own walk of EPT,
 * or a page fault that is the host's, comes first. Each such page once. A jump to itself looks the same, and is over.
 * before: the registers. */
bool insn_trapped_early(struct kvcpu *v, struct step *s, const struct kvm_regs *before);
/* TF in flags that popf or iret will load; in those that pushf has stored it is made the guest's own. */
void insn_note_popf(struct kvcpu *v, struct step *s);
void insn_fix_pushf(struct kvcpu *v, const struct step *s);

#endif
