/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Between the files of the decoder: one instruction on its way, its operands and sizes.
 */
#ifndef KVMSCOPE_CORE_SOFT_DECODE_IMPL_H
#define KVMSCOPE_CORE_SOFT_DECODE_IMPL_H

#include <capstone/capstone.h>

#include "core/soft/cpu.h"

struct decoding {
	const struct soft_cpu *c;
	const cs_x86 *x;
	const uint8_t *code;
	unsigned id, bits;
	uint8_t rex;
	bool prefix16; /* operand size prefix */
	uint8_t rep;   /* the last of F2 and F3, 0 for none: capstone does not tell it of every instruction */
	struct uop *u;
};

/* decode_operand.c */
int decode_seg(x86_reg r); /* enum seg_index, -1 for no segment register */
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

/* decode_ops.c. two: destination and source of any kind, size of the first. plain: no operands; ends: what may change the
 * mode, privilege or mapping ends the block. with_cond: the same with a word for the handler. */
bool decode_two(struct decoding *d, uop_fn *fn);
bool decode_plain(struct decoding *d, uop_fn *fn, bool ends);
bool decode_with_cond(struct decoding *d, uop_fn *fn, uint8_t cond);
bool decode_system(struct decoding *d); /* decode_system.c */
/* decode_ops.c: choose the handler; false where the CPU has none. */
bool decode_by_id(struct decoding *d);
/* exec_sse.c: the SSE2 moves and integer operations. */
bool decode_sse(struct decoding *d);
/* LOCK is for memory destinations of the instructions that the manual lists; anything else is #UD. */
bool decode_lock_ok(const struct decoding *d);

#endif
