/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Far transfers: JMP, CALL, RET and IRET between segments and privileges, SYSCALL and SYSENTER with their returns. Call
 * gates, task gates and task switches are none of this CPU's: they stop and name the instruction.
 */
#include "core/soft/segment.h"

#include "core/soft/soft_impl.h"

static const struct uop *raise_gp(struct soft_cpu *c, uint16_t selector)
{
	return soft_raise_error(c, VEC_GP, selector & 0xfffcu);
}

static bool far_target_ok(const struct soft_cpu *c, const struct seg *cs, uint64_t rip)
{
	return c->long_mode && cs->l ? paging_canonical(&c->pg, rip) : rip <= cs->limit;
}

static int far_pointer(struct soft_cpu *c, const struct uop *u, uint16_t *selector, uint64_t *offset)
{
	uint64_t lin, sel = 0;

	*selector = (uint16_t)u->disp;
	*offset = u->imm;
	if (!u->mem_src)
		return 0;
	*offset = 0;
	if (exec_lea(c, u, u->opsize + 2u, false, &lin) || soft_read(c, lin, u->opsize, offset) ||
	    soft_read(c, lin + u->opsize, 2, &sel))
		return -1;
	*selector = (uint16_t)sel;
	return 0;
}

/* Of the system descriptors only these are something to jump to; in long mode call gates alone. */
static bool far_gate(const struct soft_cpu *c, const struct seg *d)
{
	if (c->long_mode)
		return d->type == DESC_CALL;
	return d->type == DESC_CALL || d->type == DESC_CALL16 || d->type == DESC_TASK || d->type == DESC_TSS ||
	       d->type == DESC_TSS16;
}

/* The code descriptor of a direct far jump or call. 1: a gate or a task, which is not handled here. */
static int far_code(struct soft_cpu *c, uint16_t selector, struct descriptor *d)
{
	if (!(selector & 0xfffc))
		return raise_gp(c, 0), -1;
	if (desc_read(c, selector, VEC_GP, false, d))
		return -1;
	if (!d->seg.s)
		return far_gate(c, &d->seg) ? 1 : (raise_gp(c, selector), -1);
	bool conforming = desc_conforming(&d->seg), wrong = c->long_mode && d->seg.l && d->seg.db;
	if (!desc_is_code(&d->seg) || wrong ||
	    (conforming ? d->seg.dpl > c->cpl : (selector & 3u) > c->cpl || d->seg.dpl != c->cpl))
		return raise_gp(c, selector), -1;
	if (!d->seg.present)
		return soft_raise_error(c, VEC_NP, selector & 0xfffcu), -1;
	return 0;
}

static const struct uop *real_far(struct soft_cpu *c, uint16_t selector, uint64_t offset)
{
	if (offset > c->r.seg[SEG_CS].limit)
		return soft_raise_error(c, VEC_GP, 0);
	seg_set_real(c, SEG_CS, selector);
	soft_segs_changed(c);
	return exec_jump(c, offset);
}

const struct uop *op_jmp_far(struct soft_cpu *c, const struct uop *u)
{
	struct descriptor d;
	uint16_t selector;
	uint64_t to;

	if (far_pointer(c, u, &selector, &to))
		return NULL;
	if (!soft_protected(c))
		return real_far(c, selector, to);
	int rc = far_code(c, selector, &d);
	if (rc)
		return rc > 0 ? op_unsupported(c, u) : NULL;
	if (!far_target_ok(c, &d.seg, to))
		return soft_raise_error(c, VEC_GP, 0);
	if (desc_mark_accessed(c, &d))
		return NULL;
	seg_set_code(c, &d, selector, c->cpl);
	soft_mode_changed(c, false);
	return exec_jump(c, to);
}

const struct uop *op_call_far(struct soft_cpu *c, const struct uop *u)
{
	uint64_t frame[2] = {c->r.seg[SEG_CS].selector, exec_next_rip(c, u)}, to;
	struct descriptor d;
	uint16_t selector;

	if (far_pointer(c, u, &selector, &to))
		return NULL;
	if (!soft_protected(c)) {
		if (to > c->r.seg[SEG_CS].limit)
			return soft_raise_error(c, VEC_GP, 0);
		return exec_push_n(c, u->opsize, frame, 2) ? NULL : real_far(c, selector, to);
	}
	int rc = far_code(c, selector, &d);
	if (rc)
		return rc > 0 ? op_unsupported(c, u) : NULL;
	if (!far_target_ok(c, &d.seg, to))
		return soft_raise_error(c, VEC_GP, 0);
	if (desc_mark_accessed(c, &d) || exec_push_n(c, u->opsize, frame, 2))
		return NULL;
	seg_set_code(c, &d, selector, c->cpl);
	soft_mode_changed(c, false);
	return exec_jump(c, to);
}

/* ---- returns */

struct ret {
	unsigned size;
	uint64_t rip, cs, flags, rsp, ss;
	uint64_t skip;	/* bytes of arguments (RETF n) */
	uint64_t depth; /* bytes popped so far */
	bool iret;
};

/* CS of a return to the same or an outer privilege. */
static int ret_code(struct soft_cpu *c, const struct ret *r, struct descriptor *cs)
{
	uint16_t selector = (uint16_t)r->cs;
	unsigned rpl = selector & 3;

	if (!(selector & 0xfffc))
		return raise_gp(c, 0), -1;
	if (desc_read(c, selector, VEC_GP, false, cs))
		return -1;
	bool conforming = desc_conforming(&cs->seg), wrong = c->long_mode && cs->seg.l && cs->seg.db;
	if (!desc_is_code(&cs->seg) || rpl < c->cpl || wrong || (conforming ? cs->seg.dpl > rpl : cs->seg.dpl != rpl))
		return raise_gp(c, selector), -1;
	if (!cs->seg.present)
		return soft_raise_error(c, VEC_NP, selector & 0xfffcu), -1;
	if (!far_target_ok(c, &cs->seg, r->rip))
		return soft_raise_error(c, VEC_GP, 0), -1;
	return 0;
}

static int ret_stack(struct soft_cpu *c, const struct ret *r, const struct descriptor *cs, struct descriptor *ss)
{
	uint16_t selector = (uint16_t)r->ss;
	unsigned rpl = r->cs & 3;

	if (!(selector & 0xfffc) && c->long_mode && cs->seg.l && rpl != 3 && (selector & 3u) == rpl) {
		*ss = (struct descriptor){.seg = {.selector = selector, .unusable = true, .dpl = (uint8_t)rpl, .type = 1}};
		return 0;
	}
	return desc_check_stack(c, selector, rpl, VEC_GP, ss);
}

static uint64_t iret_mask(const struct soft_cpu *c, unsigned size)
{
	uint64_t mask = FLAGS_ARITH | RFLAGS_TF | RFLAGS_DF | RFLAGS_NT;

	if (size > 2)
		mask |= RFLAGS_RF | RFLAGS_AC | RFLAGS_ID;
	if (!c->cpl)
		mask |= RFLAGS_IOPL | (size > 2 ? RFLAGS_VIF | RFLAGS_VIP : 0);
	if (c->cpl <= (c->eflags & RFLAGS_IOPL) >> 12)
		mask |= RFLAGS_IF;
	return mask;
}

static const struct uop *ret_outer(struct soft_cpu *c, const struct ret *r, struct descriptor *cs)
{
	struct descriptor ss;
	unsigned cpl = r->cs & 3;

	if (ret_stack(c, r, cs, &ss) || desc_mark_accessed(c, cs) || (!ss.seg.unusable && desc_mark_accessed(c, &ss)))
		return NULL;
	if (r->iret)
		flags_write(c, iret_mask(c, r->size), r->flags);
	seg_set_code(c, cs, (uint16_t)r->cs, cpl);
	c->r.seg[SEG_SS] = ss.seg;
	c->r.seg[SEG_SS].dpl = (uint8_t)cpl;
	soft_mode_changed(c, false);
	reg_write(c, 8 * RSP, c->code_bits == 64 ? 8 : c->stack32 ? 4 : 2, r->rsp + r->skip);
	seg_drop_inner(c);
	soft_segs_changed(c);
	return exec_jump(c, r->rip);
}

static const struct uop *ret_same(struct soft_cpu *c, const struct ret *r, struct descriptor *cs)
{
	if (desc_mark_accessed(c, cs))
		return NULL;
	exec_stack_add(c, (int64_t)(r->depth + r->skip));
	if (r->iret)
		flags_write(c, iret_mask(c, r->size), r->flags);
	seg_set_code(c, cs, (uint16_t)r->cs, c->cpl);
	soft_mode_changed(c, false);
	return exec_jump(c, r->rip);
}

/* A processor's habits are not those of an emulator that stands in for it below CPL 3. */
static bool has_habits(const struct soft_cpu *c)
{
	return c->code_bits == 64 && !(c->m->emulated_kernel && c->cpl != 3);
}

static int pop_words(struct soft_cpu *c, struct ret *r, uint64_t *const *to, unsigned n)
{
	bool down = c->m->habits.pops_down && has_habits(c);

	for (unsigned i = 0; i < n; i++) {
		unsigned at = down ? n - 1 - i : i;
		if (exec_pop_at(c, r->size, r->depth + (uint64_t)at * r->size, to[at]))
			return -1;
	}
	r->depth += (uint64_t)n * r->size;
	return 0;
}

const struct uop *op_retf(struct soft_cpu *c, const struct uop *u)
{
	struct ret r = {.size = u->opsize, .skip = u->imm & 0xffff};
	uint64_t *const first[] = {&r.rip, &r.cs}, *const outer[] = {&r.rsp, &r.ss};
	struct descriptor cs;

	if (pop_words(c, &r, first, 2))
		return NULL;
	if (!soft_protected(c)) {
		if (r.rip > c->r.seg[SEG_CS].limit)
			return soft_raise_error(c, VEC_GP, 0);
		exec_stack_add(c, (int64_t)(r.depth + r.skip));
		return real_far(c, (uint16_t)r.cs, r.rip);
	}
	bool same = (r.cs & 3) == c->cpl, early = !same && c->m->habits.outer_early && has_habits(c);
	r.depth += same ? 0 : r.skip;
	if ((early && pop_words(c, &r, outer, 2)) || ret_code(c, &r, &cs))
		return NULL;
	if (same)
		return ret_same(c, &r, &cs);
	return !early && pop_words(c, &r, outer, 2) ? NULL : ret_outer(c, &r, &cs);
}

static const struct uop *iret_real(struct soft_cpu *c, struct ret *r)
{
	uint64_t mask = FLAGS_ARITH | RFLAGS_TF | RFLAGS_IF | RFLAGS_DF | RFLAGS_NT |
			(r->size > 2 ? RFLAGS_RF | RFLAGS_AC | RFLAGS_ID : 0);
	bool vm = c->eflags & RFLAGS_VM;

	if (vm && (c->eflags & RFLAGS_IOPL) != RFLAGS_IOPL)
		return soft_raise_error(c, VEC_GP, 0);
	if (r->rip > c->r.seg[SEG_CS].limit)
		return soft_raise_error(c, VEC_GP, 0);
	exec_stack_add(c, (int64_t)r->depth);
	flags_write(c, mask | (vm ? 0 : RFLAGS_IOPL), r->flags);
	return real_far(c, (uint16_t)r->cs, r->rip);
}

/* To virtual-8086 mode: nine doublewords on the stack. */
static const struct uop *iret_vm86(struct soft_cpu *c, struct ret *r)
{
	static const enum seg_index order[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};
	uint64_t v[6];
	uint64_t *const to[] = {&v[0], &v[1], &v[2], &v[3], &v[4], &v[5]};

	if (pop_words(c, r, to, 6))
		return NULL;
	flags_write(c, ~0ull & 0x3f7fd5 & ~RFLAGS_FIXED, r->flags);
	c->eflags |= RFLAGS_VM | RFLAGS_FIXED;
	seg_set_real(c, SEG_CS, (uint16_t)r->cs);
	seg_set_real(c, SEG_SS, (uint16_t)v[1]);
	for (unsigned i = 0; i < ARRAY_LEN(order); i++)
		seg_set_real(c, order[i], (uint16_t)v[2 + i]);
	c->gpr[RSP] = (uint32_t)v[0];
	soft_mode_changed(c, false);
	return exec_jump(c, r->rip & 0xffff);
}

const struct uop *op_iret(struct soft_cpu *c, const struct uop *u)
{
	struct ret r = {.size = u->opsize, .iret = true};
	uint64_t *const first[] = {&r.rip, &r.cs, &r.flags}, *const outer[] = {&r.rsp, &r.ss};
	struct descriptor cs;

	c->nmi_blocked = false;
	if (soft_protected(c) && (c->eflags & RFLAGS_NT))
		return c->long_mode ? soft_raise_error(c, VEC_GP, 0) : op_unsupported(c, u);
	if (pop_words(c, &r, first, 3))
		return NULL;
	if (!soft_protected(c))
		return iret_real(c, &r);
	if (!c->long_mode && !c->cpl && r.size == 4 && (r.flags & RFLAGS_VM))
		return iret_vm86(c, &r);
	bool early = c->m->habits.outer_early && has_habits(c);
	if ((early && pop_words(c, &r, outer, 2)) || ret_code(c, &r, &cs))
		return NULL;
	/* In 64-bit code the stack is popped in any case. */
	if ((r.cs & 3) == c->cpl && c->code_bits != 64)
		return ret_same(c, &r, &cs);
	return !early && pop_words(c, &r, outer, 2) ? NULL : ret_outer(c, &r, &cs);
}

/* ---- SYSCALL, SYSENTER */

static void flat_seg(struct seg *s, uint16_t selector, bool code, unsigned dpl, bool l)
{
	*s = (struct seg){.limit = ~0u,
			  .selector = selector,
			  .type = code ? 11 : 3,
			  .s = true,
			  .present = true,
			  .dpl = (uint8_t)dpl,
			  .l = code && l,
			  .db = !(code && l),
			  .g = true};
}

const struct uop *op_syscall(struct soft_cpu *c, const struct uop *u)
{
	uint16_t sel = (uint16_t)(c->r.msr.star >> 32);
	bool from64 = c->code_bits == 64;

	if (!(c->r.efer & EFER_SCE) || !(c->r.cr0 & CR0_PE))
		return soft_raise(c, VEC_UD);
	flags_settle(c);
	uint64_t next = exec_next_rip(c, u), to;
	if (c->long_mode) {
		c->gpr[RCX] = next;
		c->gpr[R11] = c->eflags & ~RFLAGS_RF;
		to = from64 ? c->r.msr.lstar : c->r.msr.cstar;
		c->eflags &= ~(c->r.msr.sfmask | RFLAGS_RF);
	} else {
		c->gpr[RCX] = (uint32_t)next;
		to = (uint32_t)c->r.msr.star;
		c->eflags &= ~(RFLAGS_IF | RFLAGS_RF | RFLAGS_VM);
	}
	c->eflags |= RFLAGS_FIXED;
	flat_seg(&c->r.seg[SEG_CS], sel & 0xfffc, true, 0, c->long_mode);
	flat_seg(&c->r.seg[SEG_SS], (sel & 0xfffc) + 8, false, 0, false);
	soft_mode_changed(c, false);
	return exec_jump(c, to);
}

const struct uop *op_sysret(struct soft_cpu *c, const struct uop *u)
{
	uint16_t sel = (uint16_t)(c->r.msr.star >> 48);
	bool to64 = u->opsize == 8;

	if (!(c->r.efer & EFER_SCE) || !(c->r.cr0 & CR0_PE))
		return soft_raise(c, VEC_UD);
	if (c->cpl || (to64 && !paging_canonical(&c->pg, c->gpr[RCX])))
		return soft_raise_error(c, VEC_GP, 0);
	if (c->long_mode) {
		flags_settle(c);
		c->eflags = (c->gpr[R11] & 0x3c7fd7) | RFLAGS_FIXED;
	} else {
		c->eflags |= RFLAGS_IF;
	}
	flat_seg(&c->r.seg[SEG_CS], (uint16_t)((sel + (to64 ? 16 : 0)) | 3), true, 3, to64);
	flat_seg(&c->r.seg[SEG_SS], (uint16_t)((sel + 8) | 3), false, 3, false);
	soft_mode_changed(c, false);
	return exec_jump(c, to64 ? c->gpr[RCX] : (uint32_t)c->gpr[RCX]);
}

const struct uop *op_sysenter(struct soft_cpu *c, const struct uop *u)
{
	uint16_t sel = (uint16_t)(c->r.msr.sysenter_cs & 0xfffc);

	(void)u;
	if (!(c->r.cr0 & CR0_PE) || !sel)
		return soft_raise_error(c, VEC_GP, 0);
	c->eflags &= ~(RFLAGS_VM | RFLAGS_IF);
	flat_seg(&c->r.seg[SEG_CS], sel, true, 0, c->long_mode);
	flat_seg(&c->r.seg[SEG_SS], sel + 8, false, 0, false);
	c->gpr[RSP] = c->long_mode ? c->r.msr.sysenter_esp : (uint32_t)c->r.msr.sysenter_esp;
	soft_mode_changed(c, false);
	return exec_jump(c, c->long_mode ? c->r.msr.sysenter_eip : (uint32_t)c->r.msr.sysenter_eip);
}

const struct uop *op_sysexit(struct soft_cpu *c, const struct uop *u)
{
	uint16_t sel = (uint16_t)(c->r.msr.sysenter_cs & 0xfffc);
	bool to64 = u->opsize == 8;

	if (!(c->r.cr0 & CR0_PE) || !sel || c->cpl)
		return soft_raise_error(c, VEC_GP, 0);
	if (to64 && !(paging_canonical(&c->pg, c->gpr[RCX]) && paging_canonical(&c->pg, c->gpr[RDX])))
		return soft_raise_error(c, VEC_GP, 0);
	flat_seg(&c->r.seg[SEG_CS], (uint16_t)((sel + (to64 ? 32 : 16)) | 3), true, 3, to64);
	flat_seg(&c->r.seg[SEG_SS], (uint16_t)((sel + (to64 ? 40 : 24)) | 3), false, 3, false);
	c->gpr[RSP] = to64 ? c->gpr[RCX] : (uint32_t)c->gpr[RCX];
	soft_mode_changed(c, false);
	return exec_jump(c, to64 ? c->gpr[RDX] : (uint32_t)c->gpr[RDX]);
}
