/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Decoded instructions, between the decoder and who carries them out. What an instruction does is a number: the decoder
 * chooses it, exec_handler() gives the function that does it.
 */
#ifndef KVMSCOPE_CORE_SOFT_UOP_H
#define KVMSCOPE_CORE_SOFT_UOP_H

#include "core/base/util.h"

struct soft_cpu;
struct uop;

/* The formatter would pack this list until nobody can read it. */
/* clang-format off */
#define SOFT_OPS(X) \
	X(nop) X(load_address) X(movzx) X(movsx) X(xchg) X(xadd) X(cmpxchg) X(cmpxchg8b) X(shift) X(shiftd) X(mul) \
	X(imul1) X(imul2) X(div) X(idiv) X(bit) X(bsf) X(bsr) X(popcnt) X(tzcnt) X(lzcnt) X(cmov) X(setcc) X(bswap) \
	X(movbe) X(cwd) X(cbw) X(lahf) X(sahf) X(flagop) X(salc) X(xlat) X(bcd) X(push) X(pop) X(pusha) X(popa) X(pushf) \
	X(popf) X(enter) X(leave) X(jmp) X(jmp_indirect) X(call) X(call_indirect) X(ret) X(loop) X(jcxz) X(movs) X(stos) \
	X(lods) X(scas) X(cmps) X(ins) X(outs) X(in) X(out) X(hlt) X(cli) X(sti) X(int_n) X(int3) X(into) X(int1) X(bound) \
	X(iret) X(retf) X(call_far) X(jmp_far) X(mov_from_seg) X(mov_to_seg) X(push_seg) X(pop_seg) X(load_far) X(lgdt) \
	X(sgdt) X(lldt) X(sldt) X(ltr) X(str) X(lmsw) X(smsw) X(clts) X(mov_cr) X(mov_dr) X(rdmsr) X(wrmsr) X(rdtsc) \
	X(cpuid) X(invlpg) X(invd) X(syscall) X(sysret) X(sysenter) X(sysexit) X(swapgs) X(rsm) X(ud) X(arpl) X(lar) \
	X(lsl) X(verr) X(fxsave) X(fxrstor) X(ldmxcsr) X(stmxcsr) X(fninit) X(fnstcw) X(fldcw) X(fnstsw) X(fwait) \
	X(rdfsbase) X(xgetbv) X(prefetch) X(clflush) X(stac) X(sse) X(sse_load) X(sse_store) X(sse_gpr) X(movmsk) \
	X(movnti) X(unsupported)
/* clang-format on */

/* Families of handlers that differ by size and by form. A form says which operands an operation has: register-register,
 * register-immediate, register-memory, memory-register, memory-immediate. */
enum exec_form { FORM_RR, FORM_RI, FORM_RM, FORM_MR, FORM_MI, FORM_COUNT };
enum alu_op { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP, ALU_TEST, ALU_MOV, ALU_COUNT };
enum unary_op { UNARY_INC, UNARY_DEC, UNARY_NEG, UNARY_NOT, UNARY_COUNT };
#define OP_SIZES 4 /* 1, 2, 4, 8 bytes, by their log2 */

enum soft_op {
#define X(name) OP_##name,
	SOFT_OPS(X)
#undef X
	    OP_ALU,
	OP_UNARY = OP_ALU + ALU_COUNT * OP_SIZES * FORM_COUNT,
	OP_JCC = OP_UNARY + UNARY_COUNT * OP_SIZES * 2,
	OP_COUNT = OP_JCC + 16,
};

static inline enum soft_op op_of_alu(enum alu_op op, unsigned log2_size, enum exec_form form)
{
	return (enum soft_op)(OP_ALU + (op * OP_SIZES + log2_size) * FORM_COUNT + form);
}

static inline enum soft_op op_of_unary(enum unary_op op, unsigned log2_size, unsigned memory)
{
	return (enum soft_op)(OP_UNARY + (op * OP_SIZES + log2_size) * 2 + memory);
}

static inline enum soft_op op_of_jcc(unsigned condition)
{
	return (enum soft_op)(OP_JCC + condition);
}

/* Carries out one instruction and gives the next one of the block; NULL ends the block (a jump was taken, an event raised:
 * see cpu->event). On entry cpu->rip is not kept up to date: the instruction's own address is uop_rip(). */
typedef const struct uop *uop_fn(struct soft_cpu *c, const struct uop *u);

#define UOP_NO_REG 0xff

/* A decoded instruction. Register operands are byte offsets into soft_cpu.gpr: 8 * number, plus 1 for AH, CH, DH, BH. */
struct uop {
	uop_fn *fn;	  /* exec_handler(op), put in by who builds a block */
	uint64_t imm;	  /* immediate (sign-extended), branch target (linear rip, already masked), or moffs address */
	int64_t disp;	  /* of the memory operand, sign-extended */
	uint16_t op;	  /* enum soft_op */
	uint16_t insn;	  /* capstone's id, for stops that name the instruction */
	uint8_t len;	  /* bytes */
	uint8_t off;	  /* from the block's first byte (blocks are at most 255 bytes long) */
	uint8_t opsize;	  /* of the operation: 1, 2, 4, 8, 16 */
	uint8_t addrsize; /* 2, 4, 8 */
	uint8_t dst, src; /* register operands; UOP_NO_REG. xmm and st operands: their number */
	uint8_t base, index, scale,
	    seg;      /* memory operand: byte offsets of registers, seg: enum seg_index; base may be UOP_RIP */
	uint8_t cond; /* condition code 0 to 15, or another sub-operation */
	uint8_t rep;  /* 0, 0xf3 (rep, repe), 0xf2 (repne) */
	bool lock, mem_dst, mem_src, last; /* last: ends the block */
	uint8_t done;			   /* instructions of the block completed when it ends behind this one */
};
#define UOP_RIP 0xfe

static inline uint64_t size_mask(unsigned size)
{
	return size == 8 ? ~0ull : (1ull << 8 * size) - 1;
}

#endif
