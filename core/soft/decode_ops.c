/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * String instructions, ports, flags and what belongs to no family; the choice among the families.
 */
#include "core/soft/decode_impl.h"

static bool take_string(struct decoding *d, enum soft_op op, uint8_t size)
{
	int seg = SEG_DS;

	for (unsigned i = 0; i < d->x->op_count; i++)
		if (decode_is_mem(d, i) && insn_segment(d->x->operands[i].mem.segment) >= 0 &&
		    d->x->operands[i].mem.segment != X86_REG_ES)
			seg = insn_segment(d->x->operands[i].mem.segment);
	/* An ES override of the source cannot be told apart from the destination's own ES by operands: look at the prefixes.
	 */
	if (d->x->prefix[1] == X86_PREFIX_ES)
		seg = SEG_ES;
	d->u->seg = (uint8_t)seg;
	d->u->opsize = size;
	d->u->rep = d->rep;
	d->u->op = op;
	return true;
}

static bool take_port(struct decoding *d, enum soft_op op, unsigned port, unsigned data)
{
	d->u->opsize = (uint8_t)decode_size(d, data);
	d->u->cond = decode_is_reg(d, port);
	d->u->imm = decode_is_imm(d, port) ? (uint64_t)d->x->operands[port].imm : 0;
	d->u->op = op;
	d->u->last = op == OP_out;
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

/* ---- the choice */

/* mov, add, … with lock: those whose destination may be locked. */
bool decode_lock_ok(const struct decoding *d)
{
	if (!decode_is_mem(d, 0))
		return d->id == X86_INS_XCHG && decode_is_mem(d, 1);
	return insn_lockable(d->id);
}

/* By opcode, because capstone gives two string instructions and two SSE ones the same names. */
static bool by_string(struct decoding *d)
{
	uint8_t b0 = d->x->opcode[0], size = b0 & 1 ? decode_data_size(d) : 1;

	switch (b0 & 0xfe) {
	case 0xa4:
		return take_string(d, OP_movs, size);
	case 0xa6:
		return take_string(d, OP_cmps, size);
	case 0xaa:
		return take_string(d, OP_stos, size);
	case 0xac:
		return take_string(d, OP_lods, size);
	case 0xae:
		return take_string(d, OP_scas, size);
	case 0x6c:
		return take_string(d, OP_ins, size > 4 ? 4 : size);
	case 0x6e:
		return take_string(d, OP_outs, size > 4 ? 4 : size);
	default:
		return false;
	}
}

static bool by_flags_and_digits(struct decoding *d)
{
	switch (d->id) {
	case X86_INS_LAHF:
		return decode_plain(d, OP_lahf, false);
	case X86_INS_SAHF:
		return decode_plain(d, OP_sahf, false);
	case X86_INS_CLC:
		return decode_with_cond(d, OP_flagop, 0);
	case X86_INS_STC:
		return decode_with_cond(d, OP_flagop, 1);
	case X86_INS_CMC:
		return decode_with_cond(d, OP_flagop, 2);
	case X86_INS_CLD:
		return decode_with_cond(d, OP_flagop, 3);
	case X86_INS_STD:
		return decode_with_cond(d, OP_flagop, 4);
	case X86_INS_SALC:
		return decode_plain(d, OP_salc, false);
	case X86_INS_DAA:
		return decode_with_cond(d, OP_bcd, 0);
	case X86_INS_DAS:
		return decode_with_cond(d, OP_bcd, 1);
	case X86_INS_AAA:
		return decode_with_cond(d, OP_bcd, 2);
	case X86_INS_AAS:
		return decode_with_cond(d, OP_bcd, 3);
	case X86_INS_AAM:
	case X86_INS_AAD:
		d->u->imm = decode_is_imm(d, 0) ? (uint64_t)d->x->operands[0].imm : 10;
		return decode_with_cond(d, OP_bcd, d->id == X86_INS_AAM ? 4 : 5);
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
		return decode_plain(d, OP_nop, false);
	case X86_INS_PREFETCHNTA:
	case X86_INS_PREFETCHT0:
	case X86_INS_PREFETCHT1:
	case X86_INS_PREFETCHT2:
	case X86_INS_PREFETCHW:
	case X86_INS_PREFETCH:
		return decode_plain(d, OP_prefetch, false);
	case X86_INS_CLFLUSH:
		decode_mem(d, 0);
		d->u->mem_src = true;
		return decode_plain(d, OP_clflush, false);
	case X86_INS_CWD:
	case X86_INS_CDQ:
	case X86_INS_CQO:
		return decode_plain(d, OP_cwd, false);
	case X86_INS_CBW:
	case X86_INS_CWDE:
	case X86_INS_CDQE:
		return decode_plain(d, OP_cbw, false);
	case X86_INS_XLATB:
		d->u->seg = xlat_seg(d);
		return decode_plain(d, OP_xlat, false);
	case X86_INS_IN:
		return take_port(d, OP_in, 1, 0);
	case X86_INS_OUT:
		return take_port(d, OP_out, 0, 1);
	default:
		return false;
	}
}

bool decode_by_id(struct decoding *d)
{
	return decode_arithmetic(d) || decode_bits_and_moves(d) || decode_conditional(d) || decode_flow(d) ||
	       decode_stack(d) || by_string(d) || by_flags_and_digits(d) || by_odds(d) || decode_system(d) || decode_sse(d);
}
