/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Entry state of a vCPU in each mode: registers, descriptors, task state segments.
 */
#include "core/load/entry.h"

#include <string.h>

/* Descriptors with the accessed bit set: setting it would be a write to the GDT at the first segment load. */
#define DESC_CODE32 0x00cf9b000000ffffull
#define DESC_DATA 0x00cf93000000ffffull
#define DESC_USER_DATA 0x00cff3000000ffffull
#define DESC_USER_CODE32 0x00cffb000000ffffull
#define DESC_CODE64 0x00af9b000000ffffull
#define DESC_USER_CODE64 0x00affb000000ffffull

static bool has_paging(enum entry_mode mode)
{
	return mode == ENTRY_LONG || mode == ENTRY_USER;
}

static struct seg flat_seg(uint16_t selector, uint8_t type, unsigned dpl)
{
	return (struct seg){
	    .limit = 0xffffffff,
	    .selector = selector,
	    .type = type,
	    .s = true,
	    .present = true,
	    .g = true,
	    .db = true,
	    .dpl = (uint8_t)dpl,
	};
}

static void real_segments(const struct entry *en, struct regs *r)
{
	struct seg data = {.limit = 0xffff, .type = 3, .s = true, .present = true};

	for (int i = 0; i < SEG_COUNT; i++)
		r->seg[i] = data;
	/* Offsets are 16 bits: what is above stands in the segment. */
	r->seg[SEG_CS].selector = en->rip >> 4 & 0xf000;
	r->seg[SEG_CS].base = en->rip & 0xf0000;
	r->seg[SEG_CS].type = 11;
	r->rip = en->rip & 0xffff;
	r->cr0 = CR0_ET;
	r->cr4 = 0;
	r->efer = 0;
	r->gdt = (struct desc_table){0, 0};
	r->idt = (struct desc_table){0, 0x3ff};
}

static void flat_segments(const struct entry *en, struct regs *r)
{
	bool user = en->mode == ENTRY_USER, wide = has_paging(en->mode);

	for (int i = 0; i < SEG_COUNT; i++)
		r->seg[i] = flat_seg(user ? ENTRY_USER_DS : ENTRY_DS, 3, user ? 3 : 0);
	r->seg[SEG_CS] = flat_seg(user ? ENTRY_USER_CS : ENTRY_CS, 11, user ? 3 : 0);
	r->seg[SEG_CS].l = wide;
	r->seg[SEG_CS].db = !wide;
	r->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE;
	r->cr4 = 0;
	r->efer = 0;
	r->gdt.base = en->gdt;
	r->gdt.limit = (uint16_t)((wide ? ENTRY_GDT_SIZE(en->vcpus) : ENTRY_TSS) - 1);
	r->idt = (struct desc_table){0, 0};
	if (!wide)
		return;
	r->cr0 |= CR0_WP | CR0_PG;
	r->cr3 = en->cr3;
	r->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
	r->efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
	r->tr = (struct seg){
	    .base = en->tss + en->vcpu * ENTRY_TSS_SIZE,
	    .limit = 0x67,
	    .selector = (uint16_t)(ENTRY_TSS + 16 * en->vcpu),
	    .type = 11,
	    .present = true,
	};
}

void entry_regs(const struct entry *en, struct regs *r)
{
	memset(r->gpr, 0, sizeof(r->gpr));
	r->gpr[RSP] = en->rsp;
	r->gpr[RDI] = en->vcpu;
	r->rip = en->rip;
	r->rflags = RFLAGS_FIXED;
	r->cr2 = r->cr3 = 0;
	r->smm = false;
	r->halted = false;
	if (en->mode == ENTRY_REAL)
		real_segments(en, r);
	else
		flat_segments(en, r);
}

static void put_tss_descriptor(uint64_t base, uint8_t *at)
{
	uint64_t d[2] = {0x67 | (base & 0xffffff) << 16 | 0x8bull << 40 | (base >> 24 & 0xff) << 56, base >> 32};

	memcpy(at, d, sizeof(d));
}

void entry_gdt(const struct entry *en, uint8_t *buf)
{
	bool wide = has_paging(en->mode);
	uint64_t d[5] = {0, wide ? DESC_CODE64 : DESC_CODE32, DESC_DATA, DESC_USER_DATA,
			 wide ? DESC_USER_CODE64 : DESC_USER_CODE32};

	memset(buf, 0, ENTRY_GDT_SIZE(en->vcpus));
	memcpy(buf, d, sizeof(d));
	for (unsigned i = 0; wide && i < en->vcpus; i++)
		put_tss_descriptor(en->tss + i * ENTRY_TSS_SIZE, buf + ENTRY_TSS + 16 * i);
}

void entry_tss(uint64_t rsp0, uint8_t buf[ENTRY_TSS_SIZE])
{
	uint16_t iomap = 0x68; /* past the limit: no port at CPL 3 */

	memset(buf, 0, ENTRY_TSS_SIZE);
	memcpy(buf + 4, &rsp0, sizeof(rsp0));
	memcpy(buf + 0x66, &iomap, sizeof(iomap));
}
