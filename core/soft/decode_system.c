/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Which handler the system's own instructions get (segments, descriptor tables, control registers, MSRs), and those on the
 * state of x87 and SSE.
 */
#include "core/soft/decode_impl.h"

static bool take_load_far(struct decoding *d, enum seg_index seg)
{
	d->u->dst = decode_gpr(d, 0);
	decode_mem(d, 1);
	d->u->mem_src = true;
	d->u->cond = (uint8_t)seg;
	d->u->opsize = (uint8_t)decode_size(d, 0);
	d->u->op = OP_load_far;
	d->u->last = true;
	return true;
}

/* One memory or register operand for a system instruction; which of its kind in cond. */
static bool take_system(struct decoding *d, enum soft_op op, uint8_t which, bool ends)
{
	decode_dst(d, 0);
	d->u->mem_src = d->u->mem_dst;
	d->u->src = d->u->dst;
	d->u->cond = which;
	d->u->opsize = decode_is_reg(d, 0) ? (uint8_t)decode_size(d, 0) : decode_data_size(d);
	d->u->op = op;
	d->u->last = ends;
	return true;
}

static bool by_segment(struct decoding *d)
{
	switch (d->id) {
	case X86_INS_LDS:
		return take_load_far(d, SEG_DS);
	case X86_INS_LES:
		return take_load_far(d, SEG_ES);
	case X86_INS_LSS:
		return take_load_far(d, SEG_SS);
	case X86_INS_LFS:
		return take_load_far(d, SEG_FS);
	case X86_INS_LGS:
		return take_load_far(d, SEG_GS);
	case X86_INS_LGDT:
	case X86_INS_LIDT:
		return take_system(d, OP_lgdt, d->id == X86_INS_LIDT, true);
	case X86_INS_SGDT:
	case X86_INS_SIDT:
		return take_system(d, OP_sgdt, d->id == X86_INS_SIDT, false);
	case X86_INS_LLDT:
		return take_system(d, OP_lldt, 0, true);
	case X86_INS_SLDT:
		return take_system(d, OP_sldt, 0, false);
	case X86_INS_LTR:
		return take_system(d, OP_ltr, 0, true);
	case X86_INS_STR:
		return take_system(d, OP_str, 0, false);
	case X86_INS_LMSW:
		return take_system(d, OP_lmsw, 0, true);
	case X86_INS_SMSW:
		return take_system(d, OP_smsw, 0, false);
	case X86_INS_VERR:
	case X86_INS_VERW:
		return take_system(d, OP_verr, d->id == X86_INS_VERW, false);
	case X86_INS_LAR:
		return decode_two(d, OP_lar);
	case X86_INS_LSL:
		return decode_two(d, OP_lsl);
	case X86_INS_ARPL:
		return decode_two(d, OP_arpl);
	default:
		return false;
	}
}

static bool by_system(struct decoding *d)
{
	switch (d->id) {
	case X86_INS_HLT:
		return decode_plain(d, OP_hlt, true);
	case X86_INS_CLI:
		return decode_plain(d, OP_cli, true);
	case X86_INS_STI:
		return decode_plain(d, OP_sti, true);
	case X86_INS_STAC:
	case X86_INS_CLAC:
		return decode_with_cond(d, OP_stac, d->id == X86_INS_STAC);
	case X86_INS_CLTS:
		return decode_plain(d, OP_clts, true);
	case X86_INS_RDMSR:
		return decode_plain(d, OP_rdmsr, false);
	case X86_INS_WRMSR:
		return decode_plain(d, OP_wrmsr, true);
	case X86_INS_RDTSC:
	case X86_INS_RDTSCP:
		d->u->cond = d->id == X86_INS_RDTSCP;
		return decode_plain(d, OP_rdtsc, false);
	case X86_INS_CPUID:
		return decode_plain(d, OP_cpuid, false);
	case X86_INS_INVLPG:
		decode_mem(d, 0);
		return decode_plain(d, OP_invlpg, true);
	case X86_INS_INVD:
	case X86_INS_WBINVD:
		return decode_plain(d, OP_invd, false);
	case X86_INS_SWAPGS:
		return decode_plain(d, OP_swapgs, true);
	case X86_INS_RSM:
		return decode_plain(d, OP_rsm, true);
	case X86_INS_XGETBV:
		return decode_plain(d, OP_xgetbv, false);
	case X86_INS_RDFSBASE:
	case X86_INS_RDGSBASE:
	case X86_INS_WRFSBASE:
	case X86_INS_WRGSBASE:
		/* rep 1: a write; cond: the segment */
		d->u->rep = d->id == X86_INS_WRFSBASE || d->id == X86_INS_WRGSBASE;
		d->u->cond = d->id == X86_INS_RDFSBASE || d->id == X86_INS_WRFSBASE ? SEG_FS : SEG_GS;
		d->u->src = d->u->dst = decode_gpr(d, 0);
		d->u->op = OP_rdfsbase;
		d->u->opsize = (uint8_t)decode_size(d, 0);
		return d->u->last = true;
	default:
		return false;
	}
}

/* FXSAVE and what little of the x87 a kernel's start needs. */
static bool by_fpu(struct decoding *d)
{
	switch (d->id) {
	case X86_INS_FXSAVE:
	case X86_INS_FXSAVE64:
		return take_system(d, OP_fxsave, d->id == X86_INS_FXSAVE64, false);
	case X86_INS_FXRSTOR:
	case X86_INS_FXRSTOR64:
		return take_system(d, OP_fxrstor, d->id == X86_INS_FXRSTOR64, false);
	case X86_INS_LDMXCSR:
		return take_system(d, OP_ldmxcsr, 0, false);
	case X86_INS_STMXCSR:
		return take_system(d, OP_stmxcsr, 0, false);
	case X86_INS_FNINIT:
		return decode_plain(d, OP_fninit, false);
	case X86_INS_FNSTCW:
		return take_system(d, OP_fnstcw, 0, false);
	case X86_INS_FLDCW:
		return take_system(d, OP_fldcw, 0, false);
	case X86_INS_FNSTSW:
		return take_system(d, OP_fnstsw, 0, false);
	case X86_INS_WAIT:
		return decode_plain(d, OP_fwait, false);
	default:
		return false;
	}
}

bool decode_system(struct decoding *d)
{
	return by_segment(d) || by_system(d) || by_fpu(d);
}
