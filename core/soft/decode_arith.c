/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Arithmetic, shifts, bits and moves: which operation an instruction is, and which of its words go where.
 */
#include "core/soft/decode_impl.h"

static unsigned log2_size(unsigned size)
{
	return size == 8 ? 3 : size == 4 ? 2 : size - 1;
}

static bool take_alu(struct decoding *d, enum alu_op op)
{
	unsigned size = decode_size(d, 0);
	enum exec_form form;

	if (d->x->op_count < 2 || !(size == 1 || size == 2 || size == 4 || size == 8))
		return false;
	/* TEST may be written with its memory operand second: the two are alike. */
	bool swap = op == ALU_TEST && decode_is_reg(d, 0) && decode_is_mem(d, 1);
	decode_dst(d, swap);
	decode_src(d, !swap);
	if (!d->u->mem_dst && d->u->dst == UOP_NO_REG)
		return false;
	if (!d->u->mem_src && d->u->src == UOP_NO_REG && !decode_is_imm(d, !swap))
		return false;
	form = d->u->mem_dst	     ? (decode_is_imm(d, !swap) ? FORM_MI : FORM_MR)
	       : d->u->mem_src	     ? FORM_RM
	       : decode_is_imm(d, 1) ? FORM_RI
				     : FORM_RR;
	d->u->opsize = (uint8_t)size;
	d->u->op = op_of_alu(op, log2_size(size), form);
	return true;
}

static bool take_unary(struct decoding *d, enum unary_op op)
{
	decode_dst(d, 0);
	d->u->opsize = (uint8_t)decode_size(d, 0);
	d->u->op = op_of_unary(op, log2_size(decode_size(d, 0)), d->u->mem_dst);
	return true;
}

static bool take_extend(struct decoding *d, enum soft_op op)
{
	d->u->cond = (uint8_t)decode_size(d, 1);
	return decode_two(d, op);
}

/* Without REX.W it is a plain move of 32 or 16 bits. */
static bool take_movsxd(struct decoding *d)
{
	uint8_t size = decode_data_size(d);

	take_extend(d, size == 8 ? OP_movsx : OP_movzx);
	d->u->cond = size == 8 ? 4 : size;
	d->u->opsize = size;
	return true;
}

static bool take_shift(struct decoding *d, uint8_t how)
{
	decode_dst(d, 0);
	d->u->opsize = (uint8_t)decode_size(d, 0);
	d->u->cond = how;
	d->u->src = decode_is_reg(d, 1) ? 8 : UOP_NO_REG;
	d->u->imm = decode_is_imm(d, 1) ? (uint64_t)d->x->operands[1].imm : 1;
	d->u->op = OP_shift;
	return true;
}

static bool take_shiftd(struct decoding *d, uint8_t how)
{
	decode_two(d, OP_shiftd);
	d->u->cond = how;
	d->u->rep = decode_is_reg(d, 2);
	d->u->imm = decode_is_imm(d, 2) ? (uint64_t)d->x->operands[2].imm : 0;
	return true;
}

static bool take_imul(struct decoding *d)
{
	if (d->x->op_count == 1)
		return decode_one_src(d, OP_imul1, 0);
	decode_dst(d, 0);
	decode_src(d, 1);
	d->u->opsize = (uint8_t)decode_size(d, 0);
	if (d->x->op_count == 3) {
		d->u->imm = (uint64_t)d->x->operands[2].imm;
		d->u->cond = 1;
	}
	d->u->op = OP_imul2;
	return true;
}

static bool take_bit(struct decoding *d, uint8_t how)
{
	d->u->cond = how;
	return decode_two(d, OP_bit);
}

static bool take_mov(struct decoding *d)
{
	x86_reg r0 = decode_is_reg(d, 0) ? d->x->operands[0].reg : X86_REG_INVALID,
		r1 = decode_is_reg(d, 1) ? d->x->operands[1].reg : X86_REG_INVALID;
	uint8_t wide = d->bits == 64 ? 8 : 4;

	if (insn_segment(r0) >= 0) {
		d->u->cond = (uint8_t)insn_segment(r0);
		d->u->last = true;
		d->u->opsize = 2;
		d->u->op = OP_mov_to_seg;
		decode_src(d, 1);
		return true;
	}
	if (insn_segment(r1) >= 0) {
		decode_dst(d, 0);
		d->u->cond = (uint8_t)insn_segment(r1);
		d->u->opsize = d->u->mem_dst ? 2 : decode_data_size(d);
		d->u->op = OP_mov_from_seg;
		return true;
	}
	bool cr0 = r0 >= X86_REG_CR0 && r0 <= X86_REG_CR15, cr1 = r1 >= X86_REG_CR0 && r1 <= X86_REG_CR15;
	bool dr0 = r0 >= X86_REG_DR0 && r0 <= X86_REG_DR15, dr1 = r1 >= X86_REG_DR0 && r1 <= X86_REG_DR15;
	if (cr0 || cr1 || dr0 || dr1) {
		/* rep 1: a read of the special register; cond: which one; src: the general register. */
		x86_reg special = cr0 || dr0 ? r0 : r1;
		d->u->rep = cr1 || dr1;
		d->u->cond = (uint8_t)(special - (cr0 || cr1 ? X86_REG_CR0 : X86_REG_DR0));
		d->u->src = decode_gpr(d, cr0 || dr0 ? 1 : 0);
		d->u->opsize = wide;
		d->u->op = cr0 || cr1 ? OP_mov_cr : OP_mov_dr;
		d->u->last = true;
		return true;
	}
	return take_alu(d, ALU_MOV);
}

/* XCHG with memory: the memory operand becomes the destination. */
static bool take_xchg(struct decoding *d)
{
	bool swap = decode_is_mem(d, 1);

	decode_dst(d, swap);
	d->u->src = decode_gpr(d, !swap);
	d->u->opsize = (uint8_t)decode_size(d, 0);
	d->u->op = OP_xchg;
	return true;
}

bool decode_arithmetic(struct decoding *d)
{
	switch (d->id) {
	case X86_INS_ADD:
		return take_alu(d, ALU_ADD);
	case X86_INS_OR:
		return take_alu(d, ALU_OR);
	case X86_INS_ADC:
		return take_alu(d, ALU_ADC);
	case X86_INS_SBB:
		return take_alu(d, ALU_SBB);
	case X86_INS_AND:
		return take_alu(d, ALU_AND);
	case X86_INS_SUB:
		return take_alu(d, ALU_SUB);
	case X86_INS_XOR:
		return take_alu(d, ALU_XOR);
	case X86_INS_CMP:
		return take_alu(d, ALU_CMP);
	case X86_INS_TEST:
		return take_alu(d, ALU_TEST);
	case X86_INS_MOV:
	case X86_INS_MOVABS:
		return take_mov(d);
	case X86_INS_INC:
		return take_unary(d, UNARY_INC);
	case X86_INS_DEC:
		return take_unary(d, UNARY_DEC);
	case X86_INS_NEG:
		return take_unary(d, UNARY_NEG);
	case X86_INS_NOT:
		return take_unary(d, UNARY_NOT);
	case X86_INS_ROL:
		return take_shift(d, 0);
	case X86_INS_ROR:
		return take_shift(d, 1);
	case X86_INS_RCL:
		return take_shift(d, 2);
	case X86_INS_RCR:
		return take_shift(d, 3);
	case X86_INS_SHL:
	case X86_INS_SAL:
		return take_shift(d, 4);
	case X86_INS_SHR:
		return take_shift(d, 5);
	case X86_INS_SAR:
		return take_shift(d, 7);
	case X86_INS_SHLD:
		return take_shiftd(d, 0);
	case X86_INS_SHRD:
		return take_shiftd(d, 1);
	case X86_INS_MUL:
		return decode_one_src(d, OP_mul, 0);
	case X86_INS_IMUL:
		return take_imul(d);
	case X86_INS_DIV:
		return decode_one_src(d, OP_div, 0);
	case X86_INS_IDIV:
		return decode_one_src(d, OP_idiv, 0);
	default:
		return false;
	}
}

bool decode_bits_and_moves(struct decoding *d)
{
	switch (d->id) {
	case X86_INS_BT:
		return take_bit(d, 0);
	case X86_INS_BTS:
		return take_bit(d, 1);
	case X86_INS_BTR:
		return take_bit(d, 2);
	case X86_INS_BTC:
		return take_bit(d, 3);
	case X86_INS_BSF:
		return decode_two(d, OP_bsf);
	case X86_INS_BSR:
		return decode_two(d, OP_bsr);
	case X86_INS_POPCNT:
		return decode_two(d, OP_popcnt);
	case X86_INS_LEA:
		decode_mem(d, 1);
		d->u->dst = decode_gpr(d, 0);
		d->u->opsize = (uint8_t)decode_size(d, 0);
		d->u->op = OP_load_address;
		return true;
	case X86_INS_MOVZX:
		return take_extend(d, OP_movzx);
	case X86_INS_MOVSX:
		return take_extend(d, OP_movsx);
	case X86_INS_MOVSXD:
		return take_movsxd(d);
	case X86_INS_XCHG:
		return take_xchg(d);
	case X86_INS_XADD:
		return decode_two(d, OP_xadd);
	case X86_INS_CMPXCHG:
		return decode_two(d, OP_cmpxchg);
	case X86_INS_CMPXCHG8B:
	case X86_INS_CMPXCHG16B:
		decode_dst(d, 0);
		d->u->opsize = d->id == X86_INS_CMPXCHG8B ? 4 : 8;
		d->u->op = OP_cmpxchg8b;
		return true;
	case X86_INS_BSWAP:
		return decode_two(d, OP_bswap);
	case X86_INS_MOVBE:
		return decode_two(d, OP_movbe);
	case X86_INS_TZCNT:
		return decode_two(d, OP_tzcnt);
	case X86_INS_LZCNT:
		return decode_two(d, OP_lzcnt);
	default:
		return false;
	}
}
