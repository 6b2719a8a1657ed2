/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Operands and sizes: from capstone's words to byte offsets, segments and widths.
 */
#include "core/soft/decode_impl.h"

/* Byte offset of a general register in soft_cpu.gpr, or UOP_NO_REG. */
static uint8_t reg_offset(x86_reg r)
{
	static const struct {
		uint16_t reg;
		uint8_t off;
	} table[] = {
	    {X86_REG_AL, 0},   {X86_REG_CL, 8},	  {X86_REG_DL, 16},  {X86_REG_BL, 24},	{X86_REG_AH, 1},   {X86_REG_CH, 9},
	    {X86_REG_DH, 17},  {X86_REG_BH, 25},  {X86_REG_SPL, 32}, {X86_REG_BPL, 40}, {X86_REG_SIL, 48}, {X86_REG_DIL, 56},
	    {X86_REG_AX, 0},   {X86_REG_CX, 8},	  {X86_REG_DX, 16},  {X86_REG_BX, 24},	{X86_REG_SP, 32},  {X86_REG_BP, 40},
	    {X86_REG_SI, 48},  {X86_REG_DI, 56},  {X86_REG_EAX, 0},  {X86_REG_ECX, 8},	{X86_REG_EDX, 16}, {X86_REG_EBX, 24},
	    {X86_REG_ESP, 32}, {X86_REG_EBP, 40}, {X86_REG_ESI, 48}, {X86_REG_EDI, 56}, {X86_REG_RAX, 0},  {X86_REG_RCX, 8},
	    {X86_REG_RDX, 16}, {X86_REG_RBX, 24}, {X86_REG_RSP, 32}, {X86_REG_RBP, 40}, {X86_REG_RSI, 48}, {X86_REG_RDI, 56},
	};

	for (unsigned i = 0; i < ARRAY_LEN(table); i++)
		if (table[i].reg == r)
			return table[i].off;
	static const uint16_t first[] = {X86_REG_R8, X86_REG_R8D, X86_REG_R8W, X86_REG_R8B};
	for (unsigned i = 0; i < ARRAY_LEN(first); i++)
		if (r >= first[i] && r < (unsigned)first[i] + 8)
			return (uint8_t)(64 + 8 * (r - first[i]));
	return UOP_NO_REG;
}

bool decode_is_reg(const struct decoding *d, unsigned i)
{
	return i < d->x->op_count && d->x->operands[i].type == X86_OP_REG;
}
bool decode_is_mem(const struct decoding *d, unsigned i)
{
	return i < d->x->op_count && d->x->operands[i].type == X86_OP_MEM;
}
bool decode_is_imm(const struct decoding *d, unsigned i)
{
	return i < d->x->op_count && d->x->operands[i].type == X86_OP_IMM;
}
uint8_t decode_gpr(const struct decoding *d, unsigned i)
{
	return decode_is_reg(d, i) ? reg_offset(d->x->operands[i].reg) : UOP_NO_REG;
}
unsigned decode_size(const struct decoding *d, unsigned i)
{
	return d->x->operands[i].size;
}

static bool base_is_stack(x86_reg r)
{
	return r == X86_REG_SP || r == X86_REG_ESP || r == X86_REG_RSP || r == X86_REG_BP || r == X86_REG_EBP ||
	       r == X86_REG_RBP;
}

void decode_mem(struct decoding *d, unsigned i)
{
	const x86_op_mem *m = &d->x->operands[i].mem;
	struct uop *u = d->u;
	int seg = insn_segment(m->segment);

	/* 64-bit code heeds no such override, not even for which of #GP and #SS an address raises. */
	if (d->bits == 64 && (seg == SEG_ES || seg == SEG_CS || seg == SEG_DS))
		seg = -1;
	u->base = m->base == X86_REG_RIP || m->base == X86_REG_EIP ? UOP_RIP : reg_offset(m->base);
	u->index = reg_offset(m->index);
	u->scale = (uint8_t)(m->scale > 1 ? __builtin_ctz((unsigned)m->scale) : 0);
	u->disp = m->disp;
	u->seg = (uint8_t)(seg >= 0 ? seg : base_is_stack(m->base) ? SEG_SS : SEG_DS);
}

/* dst and src by kind of operand: register, memory, immediate. */
void decode_dst(struct decoding *d, unsigned i)
{
	d->u->mem_dst = decode_is_mem(d, i);
	if (d->u->mem_dst)
		decode_mem(d, i);
	else
		d->u->dst = decode_gpr(d, i);
}

void decode_src(struct decoding *d, unsigned i)
{
	d->u->mem_src = decode_is_mem(d, i);
	if (d->u->mem_src)
		decode_mem(d, i);
	else if (decode_is_imm(d, i))
		d->u->imm = (uint64_t)d->x->operands[i].imm;
	else
		d->u->src = decode_gpr(d, i);
}

/* ---- operand sizes that do not follow from an operand */

uint8_t decode_data_size(const struct decoding *d)
{
	if (d->bits == 64 && (d->rex & 8))
		return 8;
	return (d->bits == 16) != d->prefix16 ? 2 : 4;
}

/* Of the stack, and of near branches: 64 bit by default in 64-bit code. */
uint8_t decode_stack_size(const struct decoding *d)
{
	if (d->bits == 64)
		return d->prefix16 ? 2 : 8;
	return decode_data_size(d);
}

/* Near branches in 64-bit code: always 64 bit (the prefix is ignored, as Intel's processors do). */
uint8_t decode_branch_size(const struct decoding *d)
{
	return d->bits == 64 ? 8 : decode_data_size(d);
}

/* ---- whole operand lists */

bool decode_two(struct decoding *d, enum soft_op op)
{
	decode_dst(d, 0);
	if (d->x->op_count > 1)
		decode_src(d, 1);
	d->u->opsize = (uint8_t)decode_size(d, 0);
	d->u->op = op;
	return true;
}

bool decode_one_src(struct decoding *d, enum soft_op op, uint8_t size)
{
	decode_src(d, 0);
	d->u->opsize = size ? size : (uint8_t)decode_size(d, 0);
	d->u->op = op;
	return true;
}

bool decode_plain(struct decoding *d, enum soft_op op, bool ends)
{
	d->u->op = op;
	d->u->opsize = decode_data_size(d);
	d->u->last = ends;
	return true;
}

bool decode_with_cond(struct decoding *d, enum soft_op op, uint8_t cond)
{
	d->u->cond = cond;
	return decode_plain(d, op, false);
}
