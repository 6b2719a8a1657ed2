/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Which handler an instruction gets, and which of its words go where. Families first, then the choice by capstone's id.
 */
#include "core/soft/decode_impl.h"
#include "core/soft/exec.h"

static unsigned log2_size(unsigned size)
{
	return size == 8 ? 3 : size == 4 ? 2 : size - 1;
}

/* ---- families of instructions; each gives false where the operands are none that it knows */

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
	d->u->fn = exec_alu[op][log2_size(size)][form];
	return true;
}

static bool take_unary(struct decoding *d, enum unary_op op)
{
	decode_dst(d, 0);
	d->u->opsize = (uint8_t)decode_size(d, 0);
	d->u->fn = exec_unary[op][log2_size(decode_size(d, 0))][d->u->mem_dst];
	return true;
}

/* Destination and source of any kind, size of the first. */
bool decode_two(struct decoding *d, uop_fn *fn)
{
	decode_dst(d, 0);
	if (d->x->op_count > 1)
		decode_src(d, 1);
	d->u->opsize = (uint8_t)decode_size(d, 0);
	d->u->fn = fn;
	return true;
}

static bool take_one_src(struct decoding *d, uop_fn *fn, uint8_t size)
{
	decode_src(d, 0);
	d->u->opsize = size ? size : (uint8_t)decode_size(d, 0);
	d->u->fn = fn;
	return true;
}

static bool take_extend(struct decoding *d, uop_fn *fn)
{
	d->u->cond = (uint8_t)decode_size(d, 1);
	return decode_two(d, fn);
}

/* Without REX.W it is a plain move of 32 or 16 bits. */
static bool take_movsxd(struct decoding *d)
{
	uint8_t size = decode_data_size(d);

	take_extend(d, size == 8 ? op_movsx : op_movzx);
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
	d->u->fn = op_shift;
	return true;
}

static bool take_shiftd(struct decoding *d, uint8_t how)
{
	decode_two(d, op_shiftd);
	d->u->cond = how;
	d->u->rep = decode_is_reg(d, 2);
	d->u->imm = decode_is_imm(d, 2) ? (uint64_t)d->x->operands[2].imm : 0;
	return true;
}

static bool take_imul(struct decoding *d)
{
	if (d->x->op_count == 1)
		return take_one_src(d, op_imul1, 0);
	decode_dst(d, 0);
	decode_src(d, 1);
	d->u->opsize = (uint8_t)decode_size(d, 0);
	if (d->x->op_count == 3) {
		d->u->imm = (uint64_t)d->x->operands[2].imm;
		d->u->cond = 1;
	}
	d->u->fn = op_imul2;
	return true;
}

static bool take_bit(struct decoding *d, uint8_t how)
{
	d->u->cond = how;
	return decode_two(d, op_bit);
}

static uint64_t branch_target(const struct decoding *d, unsigned i)
{
	uint64_t to = (uint64_t)d->x->operands[i].imm;

	return decode_branch_size(d) == 8 ? to : decode_branch_size(d) == 4 ? (uint32_t)to : (uint16_t)to;
}

static bool take_branch(struct decoding *d, uop_fn *fn)
{
	d->u->imm = branch_target(d, 0);
	d->u->opsize = decode_branch_size(d);
	d->u->fn = fn;
	d->u->last = true;
	return true;
}

static bool take_jump(struct decoding *d, uop_fn *direct, uop_fn *indirect)
{
	if (decode_is_imm(d, 0))
		return take_branch(d, direct);
	d->u->last = true;
	return take_one_src(d, indirect, decode_branch_size(d));
}

static bool take_string(struct decoding *d, uop_fn *fn, uint8_t size)
{
	int seg = SEG_DS;

	for (unsigned i = 0; i < d->x->op_count; i++)
		if (decode_is_mem(d, i) && decode_seg(d->x->operands[i].mem.segment) >= 0 &&
		    d->x->operands[i].mem.segment != X86_REG_ES)
			seg = decode_seg(d->x->operands[i].mem.segment);
	/* An ES override of the source cannot be told from the destination's own ES by operands: look at the prefixes. */
	if (d->x->prefix[1] == X86_PREFIX_ES)
		seg = SEG_ES;
	d->u->seg = (uint8_t)seg;
	d->u->opsize = size;
	d->u->rep = d->rep;
	d->u->fn = fn;
	return true;
}

static bool take_port(struct decoding *d, uop_fn *fn, unsigned port, unsigned data)
{
	d->u->opsize = (uint8_t)decode_size(d, data);
	d->u->cond = decode_is_reg(d, port);
	d->u->imm = decode_is_imm(d, port) ? (uint64_t)d->x->operands[port].imm : 0;
	d->u->fn = fn;
	d->u->last = fn == op_out;
	return true;
}

/* XLAT: capstone gives no operand that would name the segment. 64-bit code heeds FS and GS, and SS for the kind of fault. */
static uint8_t xlat_seg(const struct decoding *d)
{
	switch (d->x->prefix[1]) {
	case X86_PREFIX_FS:
		return SEG_FS;
	case X86_PREFIX_GS:
		return SEG_GS;
	case X86_PREFIX_ES:
		return d->bits == 64 ? SEG_DS : SEG_ES;
	case X86_PREFIX_CS:
		return d->bits == 64 ? SEG_DS : SEG_CS;
	case X86_PREFIX_SS:
		return SEG_SS;
	default:
		return SEG_DS;
	}
}

/* ends: what may change the mode, privilege or mapping ends the block. */
bool decode_plain(struct decoding *d, uop_fn *fn, bool ends)
{
	d->u->fn = fn;
	d->u->opsize = decode_data_size(d);
	d->u->last = ends;
	return true;
}

bool decode_with_cond(struct decoding *d, uop_fn *fn, uint8_t cond)
{
	d->u->cond = cond;
	return decode_plain(d, fn, false);
}

static bool take_mov(struct decoding *d)
{
	x86_reg r0 = decode_is_reg(d, 0) ? d->x->operands[0].reg : X86_REG_INVALID,
		r1 = decode_is_reg(d, 1) ? d->x->operands[1].reg : X86_REG_INVALID;
	uint8_t wide = d->bits == 64 ? 8 : 4;

	if (decode_seg(r0) >= 0) {
		d->u->cond = (uint8_t)decode_seg(r0);
		d->u->last = true;
		d->u->opsize = 2;
		d->u->fn = op_mov_to_seg;
		decode_src(d, 1);
		return true;
	}
	if (decode_seg(r1) >= 0) {
		decode_dst(d, 0);
		d->u->cond = (uint8_t)decode_seg(r1);
		d->u->opsize = d->u->mem_dst ? 2 : decode_data_size(d);
		d->u->fn = op_mov_from_seg;
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
		d->u->fn = cr0 || cr1 ? op_mov_cr : op_mov_dr;
		d->u->last = true;
		return true;
	}
	return take_alu(d, ALU_MOV);
}

static bool take_push(struct decoding *d)
{
	if (decode_is_reg(d, 0) && decode_seg(d->x->operands[0].reg) >= 0) {
		d->u->cond = (uint8_t)decode_seg(d->x->operands[0].reg);
		d->u->fn = op_push_seg;
		d->u->opsize = decode_stack_size(d);
		return true;
	}
	return take_one_src(d, op_push, decode_stack_size(d));
}

static bool take_pop(struct decoding *d)
{
	d->u->opsize = decode_stack_size(d);
	if (decode_is_reg(d, 0) && decode_seg(d->x->operands[0].reg) >= 0) {
		d->u->cond = (uint8_t)decode_seg(d->x->operands[0].reg);
		d->u->fn = op_pop_seg;
		d->u->last = true;
		return true;
	}
	decode_dst(d, 0);
	d->u->fn = op_pop;
	return true;
}

/* Far jumps and calls: selector in cond's place is too small, so disp holds it for the direct forms. */
static bool take_far(struct decoding *d, uop_fn *fn)
{
	d->u->opsize = decode_data_size(d);
	d->u->last = true;
	d->u->fn = fn;
	if (decode_is_mem(d, 0)) {
		decode_mem(d, 0);
		d->u->mem_src = true;
		return true;
	}
	if (!decode_is_imm(d, 0) || !decode_is_imm(d, 1))
		return false;
	d->u->disp = d->x->operands[0].imm & 0xffff;
	d->u->imm = (uint64_t)d->x->operands[1].imm & size_mask(d->u->opsize);
	return true;
}

/* ---- the choice */

/* mov, add, … with lock: those whose destination may be locked. */
bool decode_lock_ok(const struct decoding *d)
{
	if (!decode_is_mem(d, 0))
		return d->id == X86_INS_XCHG && decode_is_mem(d, 1);
	switch (d->id) {
	case X86_INS_ADD:
	case X86_INS_ADC:
	case X86_INS_AND:
	case X86_INS_BTC:
	case X86_INS_BTR:
	case X86_INS_BTS:
	case X86_INS_CMPXCHG:
	case X86_INS_CMPXCHG8B:
	case X86_INS_CMPXCHG16B:
	case X86_INS_DEC:
	case X86_INS_INC:
	case X86_INS_NEG:
	case X86_INS_NOT:
	case X86_INS_OR:
	case X86_INS_SBB:
	case X86_INS_SUB:
	case X86_INS_XOR:
	case X86_INS_XADD:
	case X86_INS_XCHG:
		return true;
	default:
		return false;
	}
}

/* Condition of Jcc, SETcc, CMOVcc from the opcode's low four bits. */
static uint8_t condition(const struct decoding *d)
{
	return (d->x->opcode[0] == 0x0f ? d->x->opcode[1] : d->x->opcode[0]) & 15;
}

/* XCHG with memory: the memory operand becomes the destination. */
static bool take_xchg(struct decoding *d)
{
	bool swap = decode_is_mem(d, 1);

	decode_dst(d, swap);
	d->u->src = decode_gpr(d, !swap);
	d->u->opsize = (uint8_t)decode_size(d, 0);
	d->u->fn = op_xchg;
	return true;
}

static bool take_movbe(struct decoding *d)
{
	return decode_two(d, op_movbe);
}

static bool by_arithmetic(struct decoding *d)
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
		return take_one_src(d, op_mul, 0);
	case X86_INS_IMUL:
		return take_imul(d);
	case X86_INS_DIV:
		return take_one_src(d, op_div, 0);
	case X86_INS_IDIV:
		return take_one_src(d, op_idiv, 0);
	default:
		return false;
	}
}

static bool by_bits_and_moves(struct decoding *d)
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
		return decode_two(d, op_bsf);
	case X86_INS_BSR:
		return decode_two(d, op_bsr);
	case X86_INS_POPCNT:
		return decode_two(d, op_popcnt);
	case X86_INS_LEA:
		decode_mem(d, 1);
		d->u->dst = decode_gpr(d, 0);
		d->u->opsize = (uint8_t)decode_size(d, 0);
		d->u->fn = op_load_address;
		return true;
	case X86_INS_MOVZX:
		return take_extend(d, op_movzx);
	case X86_INS_MOVSX:
		return take_extend(d, op_movsx);
	case X86_INS_MOVSXD:
		return take_movsxd(d);
	case X86_INS_XCHG:
		return take_xchg(d);
	case X86_INS_XADD:
		return decode_two(d, op_xadd);
	case X86_INS_CMPXCHG:
		return decode_two(d, op_cmpxchg);
	case X86_INS_CMPXCHG8B:
	case X86_INS_CMPXCHG16B:
		decode_dst(d, 0);
		d->u->opsize = d->id == X86_INS_CMPXCHG8B ? 4 : 8;
		d->u->fn = op_cmpxchg8b;
		return true;
	case X86_INS_BSWAP:
		return decode_two(d, op_bswap);
	case X86_INS_MOVBE:
		return take_movbe(d);
	case X86_INS_TZCNT:
		return decode_two(d, op_tzcnt);
	case X86_INS_LZCNT:
		return decode_two(d, op_lzcnt);
	default:
		return false;
	}
}

/* Two-byte opcodes whose low four bits are a condition, and Jcc's one-byte form. */
static bool by_condition(struct decoding *d)
{
	uint8_t b0 = d->x->opcode[0], b1 = d->x->opcode[1];

	if (b0 >= 0x70 && b0 <= 0x7f)
		return take_branch(d, exec_jcc[condition(d)]);
	if (b0 != 0x0f)
		return false;
	if (b1 >= 0x80 && b1 <= 0x8f)
		return take_branch(d, exec_jcc[condition(d)]);
	if (b1 >= 0x90 && b1 <= 0x9f) {
		decode_dst(d, 0);
		d->u->cond = condition(d);
		d->u->opsize = 1;
		d->u->fn = op_setcc;
		return true;
	}
	if (b1 < 0x40 || b1 > 0x4f)
		return false;
	d->u->cond = condition(d);
	return decode_two(d, op_cmov);
}

static bool by_flow(struct decoding *d)
{
	switch (d->id) {
	case X86_INS_JMP:
		return take_jump(d, op_jmp, op_jmp_indirect);
	case X86_INS_CALL:
		return take_jump(d, op_call, op_call_indirect);
	case X86_INS_RET:
		d->u->imm = decode_is_imm(d, 0) ? (uint64_t)d->x->operands[0].imm : 0;
		d->u->opsize = decode_branch_size(d);
		d->u->fn = op_ret;
		return d->u->last = true;
	case X86_INS_RETF:
	case X86_INS_RETFQ:
		d->u->imm = decode_is_imm(d, 0) ? (uint64_t)d->x->operands[0].imm : 0;
		return decode_plain(d, op_retf, true);
	case X86_INS_LOOPNE:
	case X86_INS_LOOPE:
	case X86_INS_LOOP:
		d->u->cond = d->id == X86_INS_LOOPNE ? 0 : d->id == X86_INS_LOOPE ? 1 : 2;
		return take_branch(d, op_loop);
	case X86_INS_JCXZ:
	case X86_INS_JECXZ:
	case X86_INS_JRCXZ:
		/* With an operand-size prefix too, capstone names the wrong one of them. */
		d->u->addrsize = d->bits == 64				     ? (d->x->prefix[3] ? 4 : 8)
				 : (d->bits == 32) != (d->x->prefix[3] != 0) ? 4
									     : 2;
		return take_branch(d, op_jcxz);
	case X86_INS_LCALL:
		return take_far(d, op_call_far);
	case X86_INS_LJMP:
		return take_far(d, op_jmp_far);
	case X86_INS_IRET:
	case X86_INS_IRETD:
	case X86_INS_IRETQ:
		return decode_plain(d, op_iret, true);
	case X86_INS_INT:
		d->u->imm = (uint64_t)d->x->operands[0].imm & 0xff;
		return decode_plain(d, op_int_n, true);
	case X86_INS_INT3:
		return decode_plain(d, op_int3, true);
	case X86_INS_INT1:
		return decode_plain(d, op_int1, true);
	case X86_INS_INTO:
		return decode_plain(d, op_into, true);
	case X86_INS_BOUND:
		d->u->dst = decode_gpr(d, 0);
		decode_mem(d, 1);
		return decode_plain(d, op_bound, false);
	case X86_INS_SYSCALL:
		return decode_plain(d, op_syscall, true);
	case X86_INS_SYSRET:
		return decode_plain(d, op_sysret, true);
	case X86_INS_SYSENTER:
		return decode_plain(d, op_sysenter, true);
	case X86_INS_SYSEXIT:
		return decode_plain(d, op_sysexit, true);
	case X86_INS_UD2:
	case X86_INS_UD2B:
	case X86_INS_UD0:
		return decode_plain(d, op_ud, true);
	default:
		return false;
	}
}

static bool by_stack(struct decoding *d)
{
	switch (d->id) {
	case X86_INS_PUSH:
		return take_push(d);
	case X86_INS_POP:
		return take_pop(d);
	case X86_INS_PUSHAW:
	case X86_INS_PUSHAL:
		return decode_plain(d, op_pusha, false);
	case X86_INS_POPAW:
	case X86_INS_POPAL:
		return decode_plain(d, op_popa, false);
	case X86_INS_PUSHF:
	case X86_INS_PUSHFD:
	case X86_INS_PUSHFQ:
		d->u->opsize = decode_stack_size(d);
		d->u->fn = op_pushf;
		return true;
	case X86_INS_POPF:
	case X86_INS_POPFD:
	case X86_INS_POPFQ:
		d->u->opsize = decode_stack_size(d);
		d->u->fn = op_popf;
		return d->u->last = true;
	case X86_INS_ENTER:
		d->u->imm = (uint64_t)d->x->operands[0].imm & 0xffff;
		d->u->cond = (uint8_t)d->x->operands[1].imm;
		d->u->opsize = decode_stack_size(d);
		d->u->fn = op_enter;
		return true;
	case X86_INS_LEAVE:
		d->u->opsize = decode_stack_size(d);
		d->u->fn = op_leave;
		return true;
	default:
		return false;
	}
}

/* By opcode, because capstone gives two string instructions and two SSE ones the same names. */
static bool by_string(struct decoding *d)
{
	uint8_t b0 = d->x->opcode[0], size = b0 & 1 ? decode_data_size(d) : 1;

	switch (b0 & 0xfe) {
	case 0xa4:
		return take_string(d, op_movs, size);
	case 0xa6:
		return take_string(d, op_cmps, size);
	case 0xaa:
		return take_string(d, op_stos, size);
	case 0xac:
		return take_string(d, op_lods, size);
	case 0xae:
		return take_string(d, op_scas, size);
	case 0x6c:
		return take_string(d, op_ins, size > 4 ? 4 : size);
	case 0x6e:
		return take_string(d, op_outs, size > 4 ? 4 : size);
	default:
		return false;
	}
}

static bool by_odds(struct decoding *d)
{
	switch (d->id) {
	case X86_INS_NOP:
	case X86_INS_PAUSE:
	case X86_INS_ENDBR32:
	case X86_INS_ENDBR64:
	case X86_INS_LFENCE:
	case X86_INS_MFENCE:
	case X86_INS_SFENCE:
		return decode_plain(d, op_nop, false);
	case X86_INS_PREFETCHNTA:
	case X86_INS_PREFETCHT0:
	case X86_INS_PREFETCHT1:
	case X86_INS_PREFETCHT2:
	case X86_INS_PREFETCHW:
	case X86_INS_PREFETCH:
		return decode_plain(d, op_prefetch, false);
	case X86_INS_CLFLUSH:
		decode_mem(d, 0);
		d->u->mem_src = true;
		return decode_plain(d, op_clflush, false);
	case X86_INS_CWD:
	case X86_INS_CDQ:
	case X86_INS_CQO:
		return decode_plain(d, op_cwd, false);
	case X86_INS_CBW:
	case X86_INS_CWDE:
	case X86_INS_CDQE:
		return decode_plain(d, op_cbw, false);
	case X86_INS_LAHF:
		return decode_plain(d, op_lahf, false);
	case X86_INS_SAHF:
		return decode_plain(d, op_sahf, false);
	case X86_INS_CLC:
		return decode_with_cond(d, op_flagop, 0);
	case X86_INS_STC:
		return decode_with_cond(d, op_flagop, 1);
	case X86_INS_CMC:
		return decode_with_cond(d, op_flagop, 2);
	case X86_INS_CLD:
		return decode_with_cond(d, op_flagop, 3);
	case X86_INS_STD:
		return decode_with_cond(d, op_flagop, 4);
	case X86_INS_SALC:
		return decode_plain(d, op_salc, false);
	case X86_INS_XLATB:
		d->u->seg = xlat_seg(d);
		return decode_plain(d, op_xlat, false);
	case X86_INS_DAA:
		return decode_with_cond(d, op_bcd, 0);
	case X86_INS_DAS:
		return decode_with_cond(d, op_bcd, 1);
	case X86_INS_AAA:
		return decode_with_cond(d, op_bcd, 2);
	case X86_INS_AAS:
		return decode_with_cond(d, op_bcd, 3);
	case X86_INS_AAM:
	case X86_INS_AAD:
		d->u->imm = decode_is_imm(d, 0) ? (uint64_t)d->x->operands[0].imm : 10;
		return decode_with_cond(d, op_bcd, d->id == X86_INS_AAM ? 4 : 5);
	case X86_INS_IN:
		return take_port(d, op_in, 1, 0);
	case X86_INS_OUT:
		return take_port(d, op_out, 0, 1);
	default:
		return false;
	}
}

bool decode_by_id(struct decoding *d)
{
	return by_arithmetic(d) || by_bits_and_moves(d) || by_condition(d) || by_flow(d) || by_stack(d) || by_string(d) ||
	       by_odds(d) || decode_system(d) || decode_sse(d);
}
