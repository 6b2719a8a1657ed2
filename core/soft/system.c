/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Instructions on the system's own registers: control and debug registers, MSRs, descriptor-table registers, CPUID, time,
 * INVLPG, interrupt flag, HLT, ports, RSM. Intel SDM vol. 2 for each, vol. 3A chapter 2 for the registers' reserved bits.
 */
#include "core/mem/paging_bits.h"
#include "core/soft/segment.h"

#include "core/soft/soft_impl.h"

/* ---- control registers */

#define CR0_DEFINED (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG)
#define CR4_DEFINED                                                                                                         \
	(CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_UMIP |      \
	 CR4_LA57 | CR4_FSGSBASE | CR4_SMEP | CR4_SMAP)

static bool load_cr0(struct soft_cpu *c, uint64_t v)
{
	bool pg_on = (v & CR0_PG) && !(c->r.cr0 & CR0_PG), pg_off = !(v & CR0_PG) && (c->r.cr0 & CR0_PG);

	if (v >> 32 || ((v & CR0_PG) && !(v & CR0_PE)) || ((v & CR0_NW) && !(v & CR0_CD)))
		return false;
	if (pg_on && (c->r.efer & EFER_LME) && (!(c->r.cr4 & CR4_PAE) || c->r.seg[SEG_CS].l))
		return false;
	if (pg_off && c->code_bits == 64)
		return false;
	if (pg_on && (c->r.efer & EFER_LME))
		c->r.efer |= EFER_LMA;
	if (pg_off)
		c->r.efer &= ~EFER_LMA;
	c->r.cr0 = (v & CR0_DEFINED) | CR0_ET;
	return true;
}

static bool load_cr4(struct soft_cpu *c, uint64_t v)
{
	if (v & ~CR4_DEFINED)
		return false;
	if (c->long_mode && (!(v & CR4_PAE) || ((v ^ c->r.cr4) & CR4_LA57)))
		return false;
	c->r.cr4 = v;
	return true;
}

static bool load_cr(struct soft_cpu *c, unsigned cr, uint64_t v, bool *flush)
{
	uint64_t old0 = c->r.cr0, old4 = c->r.cr4;

	switch (cr) {
	case 0:
		if (!load_cr0(c, v))
			return false;
		*flush = (old0 ^ c->r.cr0) & (CR0_PG | CR0_WP | CR0_PE);
		return true;
	case 2:
		c->r.cr2 = v;
		return true;
	case 3:
		if (c->long_mode && v >> c->pg.maxphyaddr)
			return false;
		c->r.cr3 = v;
		return *flush = true;
	case 4:
		if (!load_cr4(c, v))
			return false;
		*flush = (old4 ^ c->r.cr4) & (CR4_PSE | CR4_PAE | CR4_PGE | CR4_LA57 | CR4_SMEP | CR4_SMAP);
		return true;
	default:
		if (v & ~15ull)
			return false;
		c->r.cr8 = v;
		return true;
	}
}

static uint64_t read_cr(const struct soft_cpu *c, unsigned cr)
{
	return cr == 0 ? c->r.cr0 : cr == 2 ? c->r.cr2 : cr == 3 ? c->r.cr3 : cr == 4 ? c->r.cr4 : c->r.cr8;
}

/* Does this change load the registers of PAE's top table? SDM vol. 3A 4.4.1. */
static bool loads_pdptes(const struct soft_cpu *c, unsigned cr, uint64_t old0, uint64_t old4)
{
	if (!(c->r.cr0 & CR0_PG) || !(c->r.cr4 & CR4_PAE) || (c->r.efer & EFER_LMA))
		return false;
	return cr == 3 || (cr == 0 && ((old0 ^ c->r.cr0) & (CR0_PG | CR0_CD | CR0_NW))) ||
	       (cr == 4 && ((old4 ^ c->r.cr4) & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)));
}

/* One that is present and has a reserved bit set makes the whole load a #GP. */
static bool pdptes_wrong(struct soft_cpu *c)
{
	uint64_t pdpte[4], reserved = bits_mask(63, paging_maxphyaddr(&c->pg)) | bits_mask(8, 5) | bits_mask(2, 1);
	bool wrong = false;

	soft_read_pdptes(c, pdpte);
	for (unsigned i = 0; i < 4; i++)
		wrong |= (pdpte[i] & PTE_P) && (pdpte[i] & reserved);
	return wrong;
}

const struct uop *op_mov_cr(struct soft_cpu *c, const struct uop *u)
{
	uint64_t old0 = c->r.cr0, old3 = c->r.cr3, old4 = c->r.cr4, efer = c->r.efer;
	bool flush = false;

	if (u->cond == 1 || (u->cond > 4 && u->cond != 8) || (u->cond == 8 && c->code_bits != 64))
		return soft_raise(c, VEC_UD);
	if (!exec_privileged(c))
		return NULL;
	if (u->rep) {
		reg_write(c, u->src, u->opsize, read_cr(c, u->cond));
		return u + 1;
	}
	if (!load_cr(c, u->cond, reg_read(c, u->src, u->opsize), &flush))
		return exec_gp0(c);
	if (loads_pdptes(c, u->cond, old0, old4)) {
		if (pdptes_wrong(c)) {
			c->r.cr0 = old0, c->r.cr3 = old3, c->r.cr4 = old4, c->r.efer = efer;
			return exec_gp0(c);
		}
		c->r.pdpte_valid = false;
		flush = true;
	}
	soft_mode_changed(c, flush);
	return exec_jump_next(c, u);
}

const struct uop *op_clts(struct soft_cpu *c, const struct uop *u)
{
	if (!exec_privileged(c))
		return NULL;
	c->r.cr0 &= ~CR0_TS;
	return exec_jump_next(c, u);
}

const struct uop *op_smsw(struct soft_cpu *c, const struct uop *u)
{
	if (c->cpl && (c->r.cr4 & CR4_UMIP))
		return exec_gp0(c);
	return dst_write(c, u, u->mem_dst ? 2 : u->opsize, false, c->r.cr0) ? NULL : u + 1;
}

/* LMSW can set PE but not clear it. */
const struct uop *op_lmsw(struct soft_cpu *c, const struct uop *u)
{
	uint64_t v;

	if (!exec_privileged(c) || src_read(c, u, 2, &v))
		return NULL;
	c->r.cr0 = (c->r.cr0 & ~(CR0_MP | CR0_EM | CR0_TS)) | (v & 15);
	soft_mode_changed(c, false);
	return exec_jump_next(c, u);
}

/* ---- debug registers */

const struct uop *op_mov_dr(struct soft_cpu *c, const struct uop *u)
{
	unsigned n = u->cond;

	if ((n == 4 || n == 5) && !(c->r.cr4 & CR4_DE))
		n += 2;
	if (n > 7 || n == 4 || n == 5)
		return soft_raise(c, VEC_UD);
	if (!exec_privileged(c))
		return NULL;
	if (c->r.dr[7] & (1u << 13)) { /* general detect */
		c->r.dr[6] |= 1u << 13;
		return soft_raise(c, VEC_DB);
	}
	if (u->rep) {
		reg_write(c, u->src, u->opsize, c->r.dr[n]);
		return u + 1;
	}
	uint64_t v = reg_read(c, u->src, u->opsize);
	if (n >= 6 && v >> 32)
		return exec_gp0(c);
	c->r.dr[n] = n == 6 ? (v & 0xe00f) | 0xffff0ff0 : n == 7 ? (v & 0xffff23ff) | 0x400 : v;
	soft_debug_changed(c);
	return exec_jump_next(c, u);
}

/* ---- MSRs */

static uint64_t *msr_word(struct soft_cpu *c, uint32_t msr)
{
	switch (msr) {
	case 0x174:
		return &c->r.msr.sysenter_cs;
	case 0x175:
		return &c->r.msr.sysenter_esp;
	case 0x176:
		return &c->r.msr.sysenter_eip;
	case 0x1a0:
		return &c->r.msr.misc_enable;
	case 0x277:
		return &c->r.msr.pat;
	case 0x1b:
		return &c->r.msr.apic_base;
	case 0xc0000080:
		return &c->r.efer;
	case 0xc0000081:
		return &c->r.msr.star;
	case 0xc0000082:
		return &c->r.msr.lstar;
	case 0xc0000083:
		return &c->r.msr.cstar;
	case 0xc0000084:
		return &c->r.msr.sfmask;
	case 0xc0000100:
		return &c->r.seg[SEG_FS].base;
	case 0xc0000101:
		return &c->r.seg[SEG_GS].base;
	case 0xc0000102:
		return &c->r.msr.kernel_gs_base;
	case 0xc0000103:
		return &c->r.msr.tsc_aux;
	default:
		return NULL;
	}
}

static uint64_t time_now(const struct soft_cpu *c)
{
	return c->r.msr.tsc + c->icount;
}

const struct uop *op_rdmsr(struct soft_cpu *c, const struct uop *u)
{
	uint32_t msr = (uint32_t)c->gpr[RCX];
	uint64_t *at = msr_word(c, msr), v;

	if (!exec_privileged(c))
		return NULL;
	if (!at && msr != 0x10)
		return exec_gp0(c);
	v = at ? *at : time_now(c);
	c->gpr[RAX] = (uint32_t)v;
	c->gpr[RDX] = v >> 32;
	return u + 1;
}

static bool address_msr(uint32_t msr)
{
	return msr == 0x175 || msr == 0x176 || msr == 0xc0000082 || msr == 0xc0000083 ||
	       (msr >= 0xc0000100 && msr <= 0xc0000102);
}

/* Each byte of the PAT is a memory type; 2, 3 and what is above 7 are none. */
static bool pat_ok(uint64_t v)
{
	for (; v; v >>= 8)
		if ((v & 0xff) > 7 || (v & 0xfe) == 2)
			return false;
	return true;
}

static bool efer_ok(struct soft_cpu *c, uint64_t *v)
{
	if (*v & ~(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE))
		return false;
	if ((c->r.cr0 & CR0_PG) && ((*v ^ c->r.efer) & EFER_LME))
		return false;
	*v = (*v & ~EFER_LMA) | (c->r.efer & EFER_LMA);
	return true;
}

const struct uop *op_wrmsr(struct soft_cpu *c, const struct uop *u)
{
	uint32_t msr = (uint32_t)c->gpr[RCX];
	uint64_t v = c->gpr[RDX] << 32 | (uint32_t)c->gpr[RAX], *at = msr_word(c, msr);

	if (!exec_privileged(c))
		return NULL;
	if (msr == 0x10) {
		c->r.msr.tsc = v - c->icount;
		return exec_jump_next(c, u);
	}
	if (!at || (address_msr(msr) && !paging_canonical(&c->pg, v)) || (msr == 0xc0000080 && !efer_ok(c, &v)) ||
	    (msr == 0x277 && !pat_ok(v)) || (msr == 0xc0000103 && v >> 32))
		return exec_gp0(c);
	*at = v;
	soft_mode_changed(c, false);
	return exec_jump_next(c, u);
}

const struct uop *op_rdtsc(struct soft_cpu *c, const struct uop *u)
{
	uint64_t t = time_now(c);

	if (c->cpl && (c->r.cr4 & CR4_TSD))
		return exec_gp0(c);
	c->gpr[RAX] = (uint32_t)t;
	c->gpr[RDX] = t >> 32;
	if (u->cond)
		c->gpr[RCX] = (uint32_t)c->r.msr.tsc_aux;
	return u + 1;
}

/* ---- mapping, caches, bases */

const struct uop *op_invlpg(struct soft_cpu *c, const struct uop *u)
{
	uint64_t lin = c->seg_base[u->seg] + exec_offset(c, u);
	struct paging_mem mem;

	if (!exec_privileged(c))
		return NULL;
	soft_mem_init(c, &mem);
	shadow_invlpg(c->m->shadow, &c->shadow, &c->pg, &mem, c->code_bits == 64 ? lin : (uint32_t)lin);
	soft_tlb_flush_page(c, lin & ~PAGE_OFFSET_MASK);
	return exec_jump_next(c, u);
}

const struct uop *op_invd(struct soft_cpu *c, const struct uop *u)
{
	return exec_privileged(c) ? u + 1 : NULL;
}

const struct uop *op_swapgs(struct soft_cpu *c, const struct uop *u)
{
	uint64_t gs = c->r.seg[SEG_GS].base;

	if (c->code_bits != 64)
		return soft_raise(c, VEC_UD);
	if (!exec_privileged(c))
		return NULL;
	c->r.seg[SEG_GS].base = c->r.msr.kernel_gs_base;
	c->r.msr.kernel_gs_base = gs;
	soft_segs_changed(c);
	return exec_jump_next(c, u);
}

const struct uop *op_rdfsbase(struct soft_cpu *c, const struct uop *u)
{
	uint64_t v;

	if (!(c->r.cr4 & CR4_FSGSBASE) || c->code_bits != 64)
		return soft_raise(c, VEC_UD);
	if (!u->rep) {
		reg_write(c, u->dst, u->opsize, c->r.seg[u->cond].base);
		return exec_jump_next(c, u);
	}
	v = reg_read(c, u->src, u->opsize);
	if (!paging_canonical(&c->pg, v))
		return exec_gp0(c);
	c->r.seg[u->cond].base = v;
	soft_segs_changed(c);
	return exec_jump_next(c, u);
}

/* OSXSAVE is never set, so there is no XCR0 to read. */
const struct uop *op_xgetbv(struct soft_cpu *c, const struct uop *u)
{
	(void)u;
	return soft_raise(c, VEC_UD);
}

/* ---- interrupts and halting */

static bool may_change_if(struct soft_cpu *c)
{
	if (c->cpl <= (c->eflags & RFLAGS_IOPL) >> 12 &&
	    (!(c->eflags & RFLAGS_VM) || (c->eflags & RFLAGS_IOPL) == RFLAGS_IOPL))
		return true;
	exec_gp0(c);
	return false;
}

const struct uop *op_cli(struct soft_cpu *c, const struct uop *u)
{
	if (!may_change_if(c))
		return NULL;
	c->eflags &= ~RFLAGS_IF;
	return exec_jump_next(c, u);
}

const struct uop *op_sti(struct soft_cpu *c, const struct uop *u)
{
	if (!may_change_if(c))
		return NULL;
	if (!(c->eflags & RFLAGS_IF)) { /* its effect waits for the next instruction */
		c->inhibit = true;
		c->inhibit_ss = false;
		c->inhibit_rip = exec_next_rip(c, u);
	}
	c->eflags |= RFLAGS_IF;
	return exec_jump_next(c, u);
}

/* Any CPL but 0, and real mode, is #UD and not #GP. */
const struct uop *op_stac(struct soft_cpu *c, const struct uop *u)
{
	if (c->cpl)
		return soft_raise(c, VEC_UD);
	c->eflags = u->cond ? c->eflags | RFLAGS_AC : c->eflags & ~RFLAGS_AC;
	return u + 1;
}

const struct uop *op_hlt(struct soft_cpu *c, const struct uop *u)
{
	if (!exec_privileged(c))
		return NULL;
	c->halted = true;
	c->event = EVENT_YIELD;
	return exec_jump_next(c, u);
}

const struct uop *op_rsm(struct soft_cpu *c, const struct uop *u)
{
	(void)u;
	if (!c->r.smm)
		return soft_raise(c, VEC_UD);
	soft_leave_smm(c);
	return NULL;
}
