/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Segment registers and descriptors: loading with every check, bases and limits of accesses, the state that follows from CS,
 * SS and the control registers.
 */
#include "core/soft/segment.h"

#include "core/soft/soft_impl.h"

/* ---- what follows from the registers */

static bool seg_flat(const struct soft_cpu *c, const struct seg *s, bool write)
{
	if (s->unusable ||
	    (!(c->eflags & RFLAGS_VM) && (c->r.cr0 & CR0_PE) && (write ? !desc_is_writable(s) : !desc_is_readable(s))))
		return false;
	return s->limit == ~0u && (s->type & 12) != 4;
}

void soft_segs_changed(struct soft_cpu *c)
{
	const struct seg *cs = &c->r.seg[SEG_CS];
	bool vm = c->eflags & RFLAGS_VM, pe = c->r.cr0 & CR0_PE;

	c->long_mode = c->r.efer & EFER_LMA;
	unsigned cpl = vm ? 3 : pe ? c->r.seg[SEG_SS].dpl : 0;
	if (c->m->catches & CATCH_MODE)
		c->stop_soon =
		    true; /* soft_go() looks: privilege, width and paging come through here, each change by itself */
	c->cpl = (uint8_t)cpl;
	c->code_bits = c->long_mode && cs->l ? 64 : pe && !vm && cs->db ? 32 : 16;
	if (!pe && cs->db)
		c->code_bits = 32; /* big real mode, as SMM entry and some firmware leave it */
	c->stack32 = c->r.seg[SEG_SS].db;
	c->flat_read = c->flat_write = 0;
	for (unsigned i = 0; i < SEG_COUNT; i++) {
		bool wide = c->code_bits == 64;
		c->seg_base[i] = wide && i != SEG_FS && i != SEG_GS ? 0 : c->r.seg[i].base;
		c->flat_read |= (uint8_t)((wide || seg_flat(c, &c->r.seg[i], false)) << i);
		c->flat_write |= (uint8_t)((wide || seg_flat(c, &c->r.seg[i], true)) << i);
	}
	c->tlb = c->tlb_of[c->cpl == 3];
	soft_ac_changed(c);
}

/* While alignment is checked the TLB of CPL 3 allows no data access, so that each comes by soft_read_slow() and its like. */
void soft_ac_changed(struct soft_cpu *c)
{
	bool now = (c->eflags & RFLAGS_AC) && (c->r.cr0 & CR0_AM);

	if (c->cpl != 3 || now == c->checks_alignment)
		return;
	c->checks_alignment = now;
	soft_tlb_flush(c);
}

/* Does the shadow role or the meaning of the tables differ? */
static bool paging_differs(const struct paging *a, const struct paging *b)
{
	const uint64_t cr4 = CR4_PSE | CR4_PAE | CR4_LA57 | CR4_SMEP | CR4_SMAP | CR4_PKE;

	return a->mode != b->mode || a->cr3 != b->cr3 || ((a->cr4 ^ b->cr4) & cr4) || ((a->cr0 ^ b->cr0) & CR0_WP) ||
	       ((a->efer ^ b->efer) & EFER_NXE) || (b->pdpte_valid && memcmp(a->pdpte, b->pdpte, sizeof(a->pdpte)) != 0);
}

void soft_read_pdptes(struct soft_cpu *c, uint64_t pdpte[4])
{
	struct paging_mem mem;

	soft_mem_init(c, &mem);
	for (unsigned i = 0; i < 4; i++)
		if (mem.read(mem.ctx, (c->r.cr3 & 0xffffffe0ull) + 8 * i, 8, &pdpte[i]))
			pdpte[i] = ~0ull;
}

/* PAE: the four registers, if they are not loaded yet. */
static void load_pdptes(struct soft_cpu *c)
{
	if (c->pg.mode == PAGING_PAE && !c->pg.pdpte_valid) {
		soft_read_pdptes(c, c->pg.pdpte);
		memcpy(c->r.pdpte, c->pg.pdpte, sizeof(c->r.pdpte));
	}
	c->r.pdpte_valid = c->pg.pdpte_valid = c->pg.mode == PAGING_PAE;
}

void soft_mode_changed(struct soft_cpu *c, bool flush)
{
	struct paging old = c->pg;
	struct paging_mem mem;

	soft_segs_changed(c);
	c->r.rflags = c->eflags;
	paging_from_regs(&c->pg, &c->r);
	c->pg.maxphyaddr = c->m->m.maxphyaddr ? c->m->m.maxphyaddr : 40;
	load_pdptes(c);
	if (!flush && !paging_differs(&old, &c->pg))
		return;
	soft_mem_init(c, &mem);
	shadow_load_cr3(c->m->shadow, &c->shadow, &c->pg, &mem, c->r.smm);
	soft_tlb_flush(c);
}

/* ---- addresses */

static int seg_fault(struct soft_cpu *c, enum seg_index seg)
{
	soft_raise_error(c, seg == SEG_SS ? VEC_SS : VEC_GP, 0);
	return -1;
}

static bool beyond_limit(const struct seg *s, uint64_t offset, unsigned size)
{
	uint64_t last = offset + size - 1;

	if ((s->type & 12) == 4 && s->s) /* expand-down: valid above the limit */
		return offset <= s->limit || last > (s->db ? 0xffffffffull : 0xffffull);
	return last > s->limit;
}

int soft_seg_linear(struct soft_cpu *c, enum seg_index seg, uint64_t offset, unsigned size, bool write, uint64_t *lin)
{
	const struct seg *s = &c->r.seg[seg];

	if (c->code_bits == 64) {
		*lin = c->seg_base[seg] + offset;
		return paging_canonical(&c->pg, *lin) ? 0 : seg_fault(c, seg);
	}
	if (soft_protected(c) && (s->unusable || (write ? !desc_is_writable(s) : !desc_is_readable(s))))
		return seg_fault(c, seg);
	if (beyond_limit(s, offset, size))
		return seg_fault(c, seg);
	*lin = (uint32_t)(s->base + offset);
	return 0;
}

/* ---- descriptors */

static void desc_unpack(struct descriptor *d, uint16_t selector, bool wide)
{
	uint64_t raw = d->raw;
	uint32_t limit = (uint32_t)((raw & 0xffff) | (raw >> 32 & 0xf0000));

	d->seg = (struct seg){.base = (raw >> 16 & 0xffffff) | (raw >> 32 & 0xff000000),
			      .selector = selector,
			      .type = raw >> 40 & 15,
			      .s = raw >> 44 & 1,
			      .dpl = raw >> 45 & 3,
			      .present = raw >> 47 & 1,
			      .avl = raw >> 52 & 1,
			      .l = raw >> 53 & 1,
			      .db = raw >> 54 & 1,
			      .g = raw >> 55 & 1};
	d->seg.limit = d->seg.g ? limit << 12 | 0xfff : limit;
	if (wide)
		d->seg.base |= d->raw_high << 32;
}

int desc_peek(struct soft_cpu *c, uint16_t selector, bool wide, struct descriptor *out)
{
	bool local = selector & 4;
	uint64_t base = local ? c->r.ldt.base : c->r.gdt.base, index = selector & 0xfff8u;
	uint32_t limit = local ? c->r.ldt.limit : c->r.gdt.limit;

	if ((local && (c->r.ldt.unusable || !c->r.ldt.present)) || index + (wide ? 15 : 7) > limit)
		return 1;
	out->at = base + index;
	out->raw_high = 0;
	if (!c->long_mode)
		out->at = (uint32_t)out->at;
	if (soft_read_sys(c, out->at, 8, &out->raw) || (wide && soft_read_sys(c, out->at + 8, 8, &out->raw_high)))
		return -1;
	desc_unpack(out, selector, wide);
	return 0;
}

int desc_read(struct soft_cpu *c, uint16_t selector, uint8_t vector, bool wide, struct descriptor *out)
{
	int rc = desc_peek(c, selector, wide, out);

	if (rc > 0)
		soft_raise_error(c, vector, selector & 0xfffcu);
	return rc ? -1 : 0;
}

int desc_mark_accessed(struct soft_cpu *c, struct descriptor *d)
{
	uint8_t type;

	if (d->seg.type & 1)
		return 0;
	d->seg.type |= 1;
	type = (uint8_t)(d->raw >> 40) | 1;
	return soft_write_sys(c, d->at + 5, 1, &type);
}

static int raise_selector(struct soft_cpu *c, uint8_t vector, uint16_t selector)
{
	soft_raise_error(c, vector, selector & 0xfffcu);
	return -1;
}

int desc_check_stack(struct soft_cpu *c, uint16_t selector, unsigned cpl, uint8_t vector, struct descriptor *out)
{
	if (!(selector & 0xfffc))
		return raise_selector(c, vector, 0);
	if (desc_read(c, selector, vector, false, out))
		return -1;
	if ((selector & 3u) != cpl || out->seg.dpl != cpl || !desc_is_writable(&out->seg))
		return raise_selector(c, vector, selector);
	if (!out->seg.present)
		return raise_selector(c, VEC_SS, selector);
	return 0;
}

/* ---- loading */

void seg_set_real(struct soft_cpu *c, enum seg_index seg, uint16_t selector)
{
	struct seg *s = &c->r.seg[seg];

	s->selector = selector;
	s->base = (uint64_t)selector << 4;
	s->unusable = false;
	if (c->eflags & RFLAGS_VM)
		*s = (struct seg){
		    .base = s->base, .limit = 0xffff, .selector = selector, .type = 3, .s = true, .present = true, .dpl = 3};
	else if (seg != SEG_CS)
		s->type = 3, s->s = s->present = true;
}

void seg_set_code(struct soft_cpu *c, const struct descriptor *d, uint16_t selector, unsigned cpl)
{
	c->r.seg[SEG_CS] = d->seg;
	c->r.seg[SEG_CS].selector = (uint16_t)((selector & 0xfffcu) | cpl);
	c->r.seg[SEG_CS].unusable = false;
}

static void seg_set_null(struct soft_cpu *c, enum seg_index seg, uint16_t selector)
{
	c->r.seg[seg] = (struct seg){.selector = selector, .unusable = true, .dpl = seg == SEG_SS ? c->cpl : 0};
}

static int load_data(struct soft_cpu *c, enum seg_index seg, uint16_t selector)
{
	struct descriptor d;
	unsigned rpl = selector & 3;

	if (desc_read(c, selector, VEC_GP, false, &d))
		return -1;
	bool conforming_code = desc_is_code(&d.seg) && desc_conforming(&d.seg);
	if (!desc_is_readable(&d.seg) || (!conforming_code && (rpl > d.seg.dpl || c->cpl > d.seg.dpl)))
		return raise_selector(c, VEC_GP, selector);
	if (!d.seg.present)
		return raise_selector(c, VEC_NP, selector);
	if (desc_mark_accessed(c, &d))
		return -1;
	c->r.seg[seg] = d.seg;
	return 0;
}

static int load_stack(struct soft_cpu *c, uint16_t selector)
{
	struct descriptor d;

	if (!(selector & 0xfffc)) {
		if (c->code_bits != 64 || c->cpl == 3 || (selector & 3u) != c->cpl)
			return raise_selector(c, VEC_GP, 0);
		seg_set_null(c, SEG_SS, selector);
		return 0;
	}
	if (desc_check_stack(c, selector, c->cpl, VEC_GP, &d) || desc_mark_accessed(c, &d))
		return -1;
	c->r.seg[SEG_SS] = d.seg;
	return 0;
}

int soft_load_seg(struct soft_cpu *c, enum seg_index seg, uint16_t selector)
{
	int rc = 0;

	if (!soft_protected(c))
		seg_set_real(c, seg, selector);
	else if (seg == SEG_SS)
		rc = load_stack(c, selector);
	else if (!(selector & 0xfffc))
		seg_set_null(c, seg, selector);
	else
		rc = load_data(c, seg, selector);
	if (!rc)
		soft_segs_changed(c);
	return rc;
}

void seg_drop_inner(struct soft_cpu *c)
{
	static const enum seg_index data[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};

	for (unsigned i = 0; i < ARRAY_LEN(data); i++) {
		const struct seg *s = &c->r.seg[data[i]];
		bool conforming = desc_is_code(s) && desc_conforming(s);
		if (!s->unusable && !conforming && s->dpl < c->cpl)
			seg_set_null(c, data[i], 0);
	}
}

/* ---- the TSS */

int tss_stack(struct soft_cpu *c, unsigned cpl, unsigned ist, uint64_t *sp, uint16_t *ss)
{
	const struct seg *tr = &c->r.tr;
	bool tss16 = !c->long_mode && (tr->type & 0xd) == 1;
	uint32_t at = c->long_mode ? (ist ? 36 + 8 * (ist - 1) : 4 + 8 * cpl) : tss16 ? 2 + 4 * cpl : 4 + 8 * cpl;
	unsigned size = c->long_mode ? 8 : tss16 ? 2 : 4;

	*sp = 0;
	*ss = 0;
	if (tr->unusable || at + (c->long_mode ? 8 : 2 * size) - 1 > tr->limit)
		return raise_selector(c, VEC_TS, tr->selector);
	if (soft_read_sys(c, tr->base + at, size, sp))
		return -1;
	if (c->long_mode) {
		if (paging_canonical(&c->pg, *sp))
			return 0;
		return raise_selector(c, VEC_SS, 0);
	}
	return soft_read_sys(c, tr->base + at + size, 2, ss);
}
