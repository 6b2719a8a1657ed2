/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Jumps, calls, returns, what depends on a condition, and the stack.
 */
#include "core/soft/decode_impl.h"

static uint64_t branch_target(const struct decoding *d, unsigned i)
{
	uint64_t to = (uint64_t)d->x->operands[i].imm;

	return decode_branch_size(d) == 8 ? to : decode_branch_size(d) == 4 ? (uint32_t)to : (uint16_t)to;
}

static bool take_branch(struct decoding *d, enum soft_op op)
{
	d->u->imm = branch_target(d, 0);
	d->u->opsize = decode_branch_size(d);
	d->u->op = op;
	d->u->last = true;
	return true;
}

static bool take_jump(struct decoding *d, enum soft_op direct, enum soft_op indirect)
{
	if (decode_is_imm(d, 0))
		return take_branch(d, direct);
	d->u->last = true;
	return decode_one_src(d, indirect, decode_branch_size(d));
}

/* Far jumps and calls: selector in cond's place is too small, so disp holds it for the direct forms. */
static bool take_far(struct decoding *d, enum soft_op op)
{
	d->u->opsize = decode_data_size(d);
	d->u->last = true;
	d->u->op = op;
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

static bool take_push(struct decoding *d)
{
	if (decode_is_reg(d, 0) && insn_segment(d->x->operands[0].reg) >= 0) {
		d->u->cond = (uint8_t)insn_segment(d->x->operands[0].reg);
		d->u->op = OP_push_seg;
		d->u->opsize = decode_stack_size(d);
		return true;
	}
	return decode_one_src(d, OP_push, decode_stack_size(d));
}

static bool take_pop(struct decoding *d)
{
	d->u->opsize = decode_stack_size(d);
	if (decode_is_reg(d, 0) && insn_segment(d->x->operands[0].reg) >= 0) {
		d->u->cond = (uint8_t)insn_segment(d->x->operands[0].reg);
		d->u->op = OP_pop_seg;
		d->u->last = true;
		return true;
	}
	decode_dst(d, 0);
	d->u->op = OP_pop;
	return true;
}

/* Condition of Jcc, SETcc, CMOVcc from the opcode's low four bits. */
static uint8_t condition(const struct decoding *d)
{
	return (d->x->opcode[0] == 0x0f ? d->x->opcode[1] : d->x->opcode[0]) & 15;
}

/* Two-byte opcodes whose low four bits are a condition, and Jcc's one-byte form. */
bool decode_conditional(struct decoding *d)
{
	uint8_t b0 = d->x->opcode[0], b1 = d->x->opcode[1];

	if (b0 >= 0x70 && b0 <= 0x7f)
		return take_branch(d, op_of_jcc(condition(d)));
	if (b0 != 0x0f)
		return false;
	if (b1 >= 0x80 && b1 <= 0x8f)
		return take_branch(d, op_of_jcc(condition(d)));
	if (b1 >= 0x90 && b1 <= 0x9f) {
		decode_dst(d, 0);
		d->u->cond = condition(d);
		d->u->opsize = 1;
		d->u->op = OP_setcc;
		return true;
	}
	if (b1 < 0x40 || b1 > 0x4f)
		return false;
	d->u->cond = condition(d);
	return decode_two(d, OP_cmov);
}

static bool by_branch(struct decoding *d)
{
	switch (d->id) {
	case X86_INS_JMP:
		return take_jump(d, OP_jmp, OP_jmp_indirect);
	case X86_INS_CALL:
		return take_jump(d, OP_call, OP_call_indirect);
	case X86_INS_RET:
		d->u->imm = decode_is_imm(d, 0) ? (uint64_t)d->x->operands[0].imm : 0;
		d->u->opsize = decode_branch_size(d);
		d->u->op = OP_ret;
		return d->u->last = true;
	case X86_INS_RETF:
	case X86_INS_RETFQ:
		d->u->imm = decode_is_imm(d, 0) ? (uint64_t)d->x->operands[0].imm : 0;
		return decode_plain(d, OP_retf, true);
	case X86_INS_LOOPNE:
	case X86_INS_LOOPE:
	case X86_INS_LOOP:
		d->u->cond = d->id == X86_INS_LOOPNE ? 0 : d->id == X86_INS_LOOPE ? 1 : 2;
		return take_branch(d, OP_loop);
	case X86_INS_JCXZ:
	case X86_INS_JECXZ:
	case X86_INS_JRCXZ:
		/* With an operand-size prefix too, capstone names the wrong one of them. */
		d->u->addrsize = d->bits == 64				     ? (d->x->prefix[3] ? 4 : 8)
				 : (d->bits == 32) != (d->x->prefix[3] != 0) ? 4
									     : 2;
		return take_branch(d, OP_jcxz);
	case X86_INS_LCALL:
		return take_far(d, OP_call_far);
	case X86_INS_LJMP:
		return take_far(d, OP_jmp_far);
	default:
		return false;
	}
}

/* Into another handler or ring, and back. */
static bool by_gate(struct decoding *d)
{
	switch (d->id) {
	case X86_INS_IRET:
	case X86_INS_IRETD:
	case X86_INS_IRETQ:
		return decode_plain(d, OP_iret, true);
	case X86_INS_INT:
		d->u->imm = (uint64_t)d->x->operands[0].imm & 0xff;
		return decode_plain(d, OP_int_n, true);
	case X86_INS_INT3:
		return decode_plain(d, OP_int3, true);
	case X86_INS_INT1:
		return decode_plain(d, OP_int1, true);
	case X86_INS_INTO:
		return decode_plain(d, OP_into, true);
	case X86_INS_BOUND:
		d->u->dst = decode_gpr(d, 0);
		decode_mem(d, 1);
		return decode_plain(d, OP_bound, false);
	case X86_INS_SYSCALL:
		return decode_plain(d, OP_syscall, true);
	case X86_INS_SYSRET:
		return decode_plain(d, OP_sysret, true);
	case X86_INS_SYSENTER:
		return decode_plain(d, OP_sysenter, true);
	case X86_INS_SYSEXIT:
		return decode_plain(d, OP_sysexit, true);
	case X86_INS_UD2:
	case X86_INS_UD2B:
	case X86_INS_UD0:
		return decode_plain(d, OP_ud, true);
	default:
		return false;
	}
}

bool decode_flow(struct decoding *d)
{
	return by_branch(d) || by_gate(d);
}

bool decode_stack(struct decoding *d)
{
	switch (d->id) {
	case X86_INS_PUSH:
		return take_push(d);
	case X86_INS_POP:
		return take_pop(d);
	case X86_INS_PUSHAW:
	case X86_INS_PUSHAL:
		return decode_plain(d, OP_pusha, false);
	case X86_INS_POPAW:
	case X86_INS_POPAL:
		return decode_plain(d, OP_popa, false);
	case X86_INS_PUSHF:
	case X86_INS_PUSHFD:
	case X86_INS_PUSHFQ:
		d->u->opsize = decode_stack_size(d);
		d->u->op = OP_pushf;
		return true;
	case X86_INS_POPF:
	case X86_INS_POPFD:
	case X86_INS_POPFQ:
		d->u->opsize = decode_stack_size(d);
		d->u->op = OP_popf;
		return d->u->last = true;
	case X86_INS_ENTER:
		d->u->imm = (uint64_t)d->x->operands[0].imm & 0xffff;
		d->u->cond = (uint8_t)d->x->operands[1].imm;
		d->u->opsize = decode_stack_size(d);
		d->u->op = OP_enter;
		return true;
	case X86_INS_LEAVE:
		d->u->opsize = decode_stack_size(d);
		d->u->op = OP_leave;
		return true;
	default:
		return false;
	}
}
