/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Between the files of the decoder: one instruction being decoded, its operands and sizes.
 */
#ifndef KVMSCOPE_CORE_SOFT_DECODE_IMPL_H
#define KVMSCOPE_CORE_SOFT_DECODE_IMPL_H

#include <capstone/capstone.h>

#include "core/cpu/insn_ids.h"
#include "core/cpu/regs.h"
#include "core/soft/uop.h"

struct decoding {
	const cs_x86 *x;
	const uint8_t *code;
	unsigned id, bits;
	uint8_t rex;
	bool prefix16; /* operand size prefix */
	uint8_t rep;   /* the last of F2 and F3, 0 for none: capstone does not tell it of every instruction */
	struct uop *u;
};

/* decode_operand.c */
bool decode_is_reg(const struct decoding *d, unsigned i);
bool decode_is_mem(const struct decoding *d, unsigned i);
bool decode_is_imm(const struct decoding *d, unsigned i);
uint8_t decode_gpr(const struct decoding *d, unsigned i); /* byte offset, or UOP_NO_REG */
unsigned decode_size(const struct decoding *d, unsigned i);
void decode_mem(struct decoding *d, unsigned i);
void decode_dst(struct decoding *d, unsigned i); /* register or memory operand i is the destination */
void decode_src(struct decoding *d, unsigned i); /* register, memory or immediate operand i is the source */
uint8_t decode_data_size(const struct decoding *d);
uint8_t decode_stack_size(const struct decoding *d);
uint8_t decode_branch_size(const struct decoding *d);

/* Whole operand lists. two: destination and source of any kind, size of the first. one_src: a source, its own size if size
 * is 0. plain: no operands; ends: what may change the mode, privilege or mapping ends the block. with_cond: the same with a
 * word for the handler. All give true. */
bool decode_two(struct decoding *d, enum soft_op op);
bool decode_one_src(struct decoding *d, enum soft_op op, uint8_t size);
bool decode_plain(struct decoding *d, enum soft_op op, bool ends);
bool decode_with_cond(struct decoding *d, enum soft_op op, uint8_t cond);

/* Families of instructions: false if this one is not of the family, or has operands that the CPU does not know. */
bool decode_arithmetic(struct decoding *d); /* decode_arith.c */
bool decode_bits_and_moves(struct decoding *d);
bool decode_conditional(struct decoding *d); /* decode_flow.c */
bool decode_flow(struct decoding *d);
bool decode_stack(struct decoding *d);
bool decode_system(struct decoding *d); /* decode_system.c */
bool decode_sse(struct decoding *d);	/* decode_sse.c */
/* decode_ops.c: choose the operation; false if the CPU has none. */
bool decode_by_id(struct decoding *d);
/* LOCK is for memory destinations of the instructions that the manual lists; anything else is #UD. */
bool decode_lock_ok(const struct decoding *d);

#endif
