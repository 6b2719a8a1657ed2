/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Instructions on descriptors: the tables' registers, LDT and TSS, and those that look at a descriptor and set ZF if a
 * selector may be used so. Intel SDM vol. 3A chapters 2, 3 and 5.
 */
#include "core/soft/segment.h"

/* ---- tables and the TSS */

/* cond: 0 GDT, 1 IDT. A 16-bit operand loads 24 bits of base. */
const struct uop *op_lgdt(struct soft_cpu *c, const struct uop *u)
{
	unsigned size = c->code_bits == 64 ? 8 : 4;
	uint64_t lin, base = 0, limit = 0;

	if (!u->mem_src)
		return soft_raise(c, VEC_UD);
	if (!exec_privileged(c) || exec_lea(c, u, 2 + size, false, &lin) || soft_read(c, lin, 2, &limit) ||
	    soft_read(c, lin + 2, size, &base))
		return NULL;
	if (size == 8 && !paging_canonical(&c->pg, base))
		return exec_gp0(c);
	if (size == 4 && u->opsize == 2)
		base &= 0xffffff;
	*(u->cond ? &c->r.idt : &c->r.gdt) = (struct desc_table){.base = base, .limit = (uint16_t)limit};
	return exec_jump_next(c, u);
}

const struct uop *op_sgdt(struct soft_cpu *c, const struct uop *u)
{
	const struct desc_table *t = u->cond ? &c->r.idt : &c->r.gdt;
	unsigned size = c->code_bits == 64 ? 8 : 4;
	uint64_t lin, limit = t->limit;

	if (!u->mem_dst)
		return soft_raise(c, VEC_UD);
	if (c->cpl && (c->r.cr4 & CR4_UMIP))
		return exec_gp0(c);
	if (exec_lea(c, u, 2 + size, true, &lin) || soft_probe_write(c, lin, 2) || soft_write(c, lin + 2, size, &t->base) ||
	    soft_write(c, lin, 2, &limit))
		return NULL;
	return u + 1;
}

static const struct uop *store_selector(struct soft_cpu *c, const struct uop *u, uint16_t selector)
{
	if (!soft_protected(c))
		return soft_raise(c, VEC_UD);
	if (c->cpl && (c->r.cr4 & CR4_UMIP))
		return exec_gp0(c);
	return dst_write(c, u, u->mem_dst ? 2 : u->opsize, false, selector) ? NULL : u + 1;
}

const struct uop *op_sldt(struct soft_cpu *c, const struct uop *u)
{
	return store_selector(c, u, c->r.ldt.selector);
}

const struct uop *op_str(struct soft_cpu *c, const struct uop *u)
{
	return store_selector(c, u, c->r.tr.selector);
}

static int system_descriptor(struct soft_cpu *c, const struct uop *u, uint16_t *selector, struct descriptor *d)
{
	uint64_t v;

	if (!soft_protected(c))
		return soft_raise(c, VEC_UD), -1;
	if (!exec_privileged(c) || src_read(c, u, 2, &v))
		return -1;
	*selector = (uint16_t)v;
	if (!(v & 0xfffc))
		return 0;
	if (v & 4)
		return soft_raise_error(c, VEC_GP, v & 0xfffcu), -1;
	return desc_read(c, *selector, VEC_GP, c->long_mode, d);
}

const struct uop *op_lldt(struct soft_cpu *c, const struct uop *u)
{
	struct descriptor d;
	uint16_t selector;

	if (system_descriptor(c, u, &selector, &d))
		return NULL;
	if (!(selector & 0xfffc)) {
		c->r.ldt = (struct seg){.selector = selector, .unusable = true};
		return exec_jump_next(c, u);
	}
	if (d.seg.s || d.seg.type != DESC_LDT)
		return soft_raise_error(c, VEC_GP, selector & 0xfffcu);
	if (!d.seg.present)
		return soft_raise_error(c, VEC_NP, selector & 0xfffcu);
	c->r.ldt = d.seg;
	return exec_jump_next(c, u);
}

const struct uop *op_ltr(struct soft_cpu *c, const struct uop *u)
{
	struct descriptor d;
	uint16_t selector;
	uint8_t busy;

	if (system_descriptor(c, u, &selector, &d))
		return NULL;
	if (!(selector & 0xfffc))
		return exec_gp0(c);
	if (d.seg.s || (d.seg.type != DESC_TSS && (c->long_mode || d.seg.type != DESC_TSS16)))
		return soft_raise_error(c, VEC_GP, selector & 0xfffcu);
	if (!d.seg.present)
		return soft_raise_error(c, VEC_NP, selector & 0xfffcu);
	busy = (uint8_t)(d.raw >> 40) | 2;
	if (soft_write_sys(c, d.at + 5, 1, &busy))
		return NULL;
	c->r.tr = d.seg;
	c->r.tr.type |= 2;
	return exec_jump_next(c, u);
}

/* ---- looking at descriptors: LAR, LSL, VERR, VERW, ARPL set ZF if the selector may be used so */

static int desc_of_operand(struct soft_cpu *c, const struct uop *u, uint16_t *selector, struct descriptor *d)
{
	uint64_t v;

	if (!soft_protected(c))
		return soft_raise(c, VEC_UD), -1;
	if (src_read(c, u, 2, &v))
		return -1;
	*selector = (uint16_t)v;
	return v & 0xfffc ? desc_peek(c, *selector, false, d) : 1;
}

static bool desc_reachable(const struct soft_cpu *c, const struct descriptor *d, uint16_t selector)
{
	return (desc_is_code(&d->seg) && desc_conforming(&d->seg)) ||
	       (c->cpl <= d->seg.dpl && (selector & 3u) <= d->seg.dpl);
}

static bool lar_type(const struct soft_cpu *c, const struct seg *s, bool limit)
{
	uint32_t ok = c->long_mode
			  ? 1u << DESC_LDT | 1u << DESC_TSS | 1u << DESC_TSS_BUSY
			  : 1u << DESC_TSS16 | 1u << DESC_LDT | 1u << DESC_TSS16_BUSY | 1u << DESC_TSS | 1u << DESC_TSS_BUSY;

	if (!limit)
		ok |= 1u << DESC_CALL | (c->long_mode ? 0 : 1u << DESC_CALL16 | 1u << DESC_TASK);
	return s->s || (ok >> s->type & 1);
}

static const struct uop *look_up(struct soft_cpu *c, const struct uop *u, bool limit)
{
	struct descriptor d;
	uint16_t selector;
	int rc = desc_of_operand(c, u, &selector, &d);

	if (rc < 0)
		return NULL;
	bool good = !rc && lar_type(c, &d.seg, limit) && desc_reachable(c, &d, selector);
	if (good)
		reg_write(c, u->dst, u->opsize, limit ? d.seg.limit : d.raw >> 32 & 0xf0ff00);
	flags_write(c, RFLAGS_ZF, good ? RFLAGS_ZF : 0);
	return u + 1;
}

const struct uop *op_lar(struct soft_cpu *c, const struct uop *u)
{
	return look_up(c, u, false);
}

const struct uop *op_lsl(struct soft_cpu *c, const struct uop *u)
{
	return look_up(c, u, true);
}

const struct uop *op_verr(struct soft_cpu *c, const struct uop *u)
{
	struct descriptor d;
	uint16_t selector;
	int rc = desc_of_operand(c, u, &selector, &d);

	if (rc < 0)
		return NULL;
	bool good =
	    !rc && (u->cond ? desc_is_writable(&d.seg) : desc_is_readable(&d.seg)) && desc_reachable(c, &d, selector);
	flags_write(c, RFLAGS_ZF, good ? RFLAGS_ZF : 0);
	return u + 1;
}

const struct uop *op_arpl(struct soft_cpu *c, const struct uop *u)
{
	uint64_t a, b = reg_read(c, u->src, 2);

	if (!soft_protected(c))
		return soft_raise(c, VEC_UD);
	if (dst_read(c, u, 2, true, &a))
		return NULL;
	bool raise = (a & 3) < (b & 3);
	if (raise && dst_write(c, u, 2, true, (a & ~3ull) | (b & 3)))
		return NULL;
	flags_write(c, RFLAGS_ZF, raise ? RFLAGS_ZF : 0);
	return u + 1;
}
