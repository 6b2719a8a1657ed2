/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The SSE2 moves and packed integer operations that the CPU has.
 */
#include "core/soft/decode_impl.h"
#include "core/soft/sse.h"

static const uint16_t packed[] = {
#define X(insn, name) X86_INS_##insn,
    SSE_PACKED(X)
#undef X
};

static int xmm_of(const struct decoding *d, unsigned i)
{
	if (!decode_is_reg(d, i))
		return -1;
	x86_reg r = d->x->operands[i].reg;
	return r >= X86_REG_XMM0 && r <= X86_REG_XMM15 ? (int)(r - X86_REG_XMM0) : -1;
}

static bool take_packed(struct decoding *d, unsigned op)
{
	int dst = xmm_of(d, 0), src = xmm_of(d, 1);

	if (dst < 0)
		return false; /* an MMX register */
	d->u->dst = (uint8_t)dst;
	d->u->src = (uint8_t)src;
	d->u->rep = decode_is_imm(d, 1);
	d->u->mem_src = decode_is_mem(d, 1);
	if (d->u->mem_src)
		decode_mem(d, 1);
	for (unsigned i = 1; i < d->x->op_count; i++)
		if (decode_is_imm(d, i))
			d->u->imm = (uint64_t)d->x->operands[i].imm & 0xff;
	d->u->cond = (uint8_t)op;
	d->u->op = OP_sse;
	return src >= 0 || d->u->rep || d->u->mem_src;
}

static bool take_move(struct decoding *d, unsigned size, enum sse_move how, bool must_align)
{
	int dst = xmm_of(d, 0), src = xmm_of(d, 1);

	d->u->opsize = (uint8_t)size;
	d->u->lock = must_align;
	d->u->cond = (uint8_t)how;
	if (dst >= 0 && (src >= 0 || decode_is_mem(d, 1))) {
		/* Between registers the scalar forms keep what is above. */
		if (src >= 0 && how == MOVE_LOW_ZERO)
			d->u->cond = MOVE_LOW_KEEP;
		d->u->dst = (uint8_t)dst;
		d->u->src = (uint8_t)src;
		d->u->mem_src = src < 0;
		if (src < 0)
			decode_mem(d, 1);
		d->u->op = OP_sse_load;
		return true;
	}
	if (src < 0 || !decode_is_mem(d, 0))
		return false;
	d->u->src = (uint8_t)src;
	decode_mem(d, 0);
	d->u->op = OP_sse_store;
	return true;
}

/* MOVD, MOVQ: xmm with a general register or memory; MOVQ between xmm and memory or xmm moves 8 bytes and clears the rest.
 */
static bool take_gpr(struct decoding *d, unsigned size)
{
	int dst = xmm_of(d, 0), src = xmm_of(d, 1);

	if (dst >= 0 && src >= 0) {
		take_move(d, 8, MOVE_ALL, false);
		d->u->cond = MOVE_LOW_ZERO;
		return true;
	}
	d->u->opsize = (uint8_t)size;
	d->u->op = OP_sse_gpr;
	if (dst >= 0) {
		decode_src(d, 1);
		d->u->dst = (uint8_t)dst;
		return d->u->mem_src || d->u->src != UOP_NO_REG;
	}
	if (src < 0)
		return false;
	d->u->rep = 1;
	decode_dst(d, 0);
	d->u->src = (uint8_t)src;
	return d->u->mem_dst || d->u->dst != UOP_NO_REG;
}

static bool take_mask(struct decoding *d, unsigned lane)
{
	int src = xmm_of(d, 1);

	d->u->dst = decode_gpr(d, 0);
	d->u->src = (uint8_t)src;
	d->u->cond = (uint8_t)lane;
	d->u->op = OP_movmsk;
	return src >= 0 && d->u->dst != UOP_NO_REG;
}

static bool by_move(struct decoding *d)
{
	bool regs = xmm_of(d, 0) >= 0 && xmm_of(d, 1) >= 0;

	switch (d->id) {
	case X86_INS_MOVAPS:
	case X86_INS_MOVAPD:
	case X86_INS_MOVDQA:
	case X86_INS_MOVNTDQ:
	case X86_INS_MOVNTPS:
	case X86_INS_MOVNTPD:
		return take_move(d, 16, MOVE_ALL, true);
	case X86_INS_MOVUPS:
	case X86_INS_MOVUPD:
	case X86_INS_MOVDQU:
	case X86_INS_LDDQU:
		return take_move(d, 16, MOVE_ALL, false);
	case X86_INS_MOVSS:
		return take_move(d, 4, MOVE_LOW_ZERO, false);
	case X86_INS_MOVSD:
		return take_move(d, 8, MOVE_LOW_ZERO, false);
	case X86_INS_MOVLPS:
	case X86_INS_MOVLPD:
		return !regs && take_move(d, 8, MOVE_LOW_KEEP, false);
	case X86_INS_MOVHPS:
	case X86_INS_MOVHPD:
		return !regs && take_move(d, 8, MOVE_HIGH, false);
	case X86_INS_MOVHLPS:
		return regs && take_move(d, 8, MOVE_HIGH_TO_LOW, false);
	case X86_INS_MOVLHPS:
		return regs && take_move(d, 8, MOVE_HIGH, false);
	case X86_INS_MOVD:
		return take_gpr(d, 4);
	case X86_INS_MOVQ:
		return take_gpr(d, 8);
	case X86_INS_PMOVMSKB:
		return take_mask(d, 1);
	case X86_INS_MOVMSKPS:
		return take_mask(d, 4);
	case X86_INS_MOVMSKPD:
		return take_mask(d, 8);
	case X86_INS_MOVNTI:
		decode_mem(d, 0);
		d->u->src = decode_gpr(d, 1);
		d->u->opsize = (uint8_t)decode_size(d, 1);
		d->u->op = OP_movnti;
		return true;
	default:
		return false;
	}
}

bool decode_sse(struct decoding *d)
{
	if (by_move(d))
		return true;
	for (unsigned i = 0; i < ARRAY_LEN(packed); i++)
		if (packed[i] == d->id)
			return take_packed(d, i);
	return false;
}
