/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The AMD64 state-save map and the two transitions. One table says where each register stands in the 512 bytes; saving,
 * restoring and `info smm` all walk it. What the map leaves out (CR2, DR0-3, MSRs, FPU) belongs to the handler to keep.
 */
#include "core/cpu/smm.h"

#include <errno.h>
#include <string.h>

#define AT(field) offsetof(struct regs, field)

/* Offsets are from SMBASE + 0xfe00. size: in the area; reg_size: of the member. */
static const struct {
	uint16_t at, field;
	uint8_t size, reg_size;
} plain[] = {
    {0x064, AT(gdt.limit), 2, 2}, {0x068, AT(gdt.base), 8, 8}, {0x084, AT(idt.limit), 2, 2}, {0x088, AT(idt.base), 8, 8},
    {0x0d0, AT(efer), 8, 8},	  {0x148, AT(cr4), 8, 8},      {0x150, AT(cr3), 8, 8},	     {0x158, AT(cr0), 8, 8},
    {0x160, AT(dr[7]), 8, 8},	  {0x168, AT(dr[6]), 8, 8},    {0x170, AT(rflags), 8, 8},    {0x178, AT(rip), 8, 8},
};

/* Selector, attributes, limit, base: 2, 2, 4, 8 bytes. */
static const struct {
	uint16_t at, field;
} segments[] = {
    {0x000, AT(seg[SEG_ES])}, {0x010, AT(seg[SEG_CS])}, {0x020, AT(seg[SEG_SS])}, {0x030, AT(seg[SEG_DS])},
    {0x040, AT(seg[SEG_FS])}, {0x050, AT(seg[SEG_GS])}, {0x070, AT(ldt)},	  {0x090, AT(tr)},
};

enum {
	OFF_AUTO_HALT = 0x0c9,
	OFF_NMI_MASK = 0x0ca,
	OFF_INT_SHADOW = 0x0cb,
	OFF_REVISION = 0x0fc,
	OFF_SMBASE = 0x100,
	OFF_GPR_LAST = 0x1f8, /* RAX; the others below it in encoding order */
};
#define SHADOW_MOV_SS 1u
#define SHADOW_STI 2u

#define SEG_FIELDS(off, name)                                                                                               \
	{name ".selector", off, 2}, {name ".attributes", off + 2, 2}, {name ".limit", off + 4, 4},                          \
	{                                                                                                                   \
		name ".base", off + 8, 8                                                                                    \
	}

static const struct smm_field fields[] = {
    SEG_FIELDS(0x000, "es"),
    SEG_FIELDS(0x010, "cs"),
    SEG_FIELDS(0x020, "ss"),
    SEG_FIELDS(0x030, "ds"),
    SEG_FIELDS(0x040, "fs"),
    SEG_FIELDS(0x050, "gs"),
    {"gdtr.limit", 0x064, 2},
    {"gdtr.base", 0x068, 8},
    SEG_FIELDS(0x070, "ldtr"),
    {"idtr.limit", 0x084, 2},
    {"idtr.base", 0x088, 8},
    SEG_FIELDS(0x090, "tr"),
    {"io_restart_rip", 0x0a0, 8},
    {"io_restart_rcx", 0x0a8, 8},
    {"io_restart_rsi", 0x0b0, 8},
    {"io_restart_rdi", 0x0b8, 8},
    {"io_restart", 0x0c0, 4},
    {"io_instruction_restart", 0x0c8, 1},
    {"auto_halt_restart", OFF_AUTO_HALT, 1},
    {"nmi_mask", OFF_NMI_MASK, 1},
    {"interrupt_shadow", OFF_INT_SHADOW, 1},
    {"efer", 0x0d0, 8},
    {"revision", OFF_REVISION, 4},
    {"smbase", OFF_SMBASE, 4},
    {"cr4", 0x148, 8},
    {"cr3", 0x150, 8},
    {"cr0", 0x158, 8},
    {"dr7", 0x160, 8},
    {"dr6", 0x168, 8},
    {"rflags", 0x170, 8},
    {"rip", 0x178, 8},
    {"r15", 0x180, 8},
    {"r14", 0x188, 8},
    {"r13", 0x190, 8},
    {"r12", 0x198, 8},
    {"r11", 0x1a0, 8},
    {"r10", 0x1a8, 8},
    {"r9", 0x1b0, 8},
    {"r8", 0x1b8, 8},
    {"rdi", 0x1c0, 8},
    {"rsi", 0x1c8, 8},
    {"rbp", 0x1d0, 8},
    {"rsp", 0x1d8, 8},
    {"rbx", 0x1e0, 8},
    {"rdx", 0x1e8, 8},
    {"rcx", 0x1f0, 8},
    {"rax", 0x1f8, 8},
};

/* KVM's, for a guest without long mode: Intel's P6 map. */
#define SEG_FIELDS_32(off, selector, name)                                                                                  \
	{name ".selector", selector, 2}, {name ".flags", off, 4}, {name ".limit", off + 4, 4},                              \
	{                                                                                                                   \
		name ".base", off + 8, 4                                                                                    \
	}

static const struct smm_field fields_32[] = {
    {"smbase", 0x0f8, 4},
    {"revision", OFF_REVISION, 4},
    {"io_instruction_restart", 0x100, 2},
    {"auto_halt_restart", 0x102, 2},
    {"io_restart_rdi", 0x104, 4},
    {"io_restart_rcx", 0x108, 4},
    {"io_restart_rsi", 0x10c, 4},
    {"io_restart_rip", 0x110, 4},
    {"cr4", 0x114, 4},
    SEG_FIELDS_32(0x184, 0x1a8, "es"),
    SEG_FIELDS_32(0x190, 0x1ac, "cs"),
    SEG_FIELDS_32(0x19c, 0x1b0, "ss"),
    SEG_FIELDS_32(0x12c, 0x1b4, "ds"),
    SEG_FIELDS_32(0x138, 0x1b8, "fs"),
    SEG_FIELDS_32(0x144, 0x1bc, "gs"),
    {"gdtr.limit", 0x170, 4},
    {"gdtr.base", 0x174, 4},
    SEG_FIELDS_32(0x178, 0x1c0, "ldtr"),
    {"idtr.limit", 0x154, 4},
    {"idtr.base", 0x158, 4},
    SEG_FIELDS_32(0x15c, 0x1c4, "tr"),
    {"dr7", 0x1c8, 4},
    {"dr6", 0x1cc, 4},
    {"rax", 0x1d0, 4},
    {"rcx", 0x1d4, 4},
    {"rdx", 0x1d8, 4},
    {"rbx", 0x1dc, 4},
    {"rsp", 0x1e0, 4},
    {"rbp", 0x1e4, 4},
    {"rsi", 0x1e8, 4},
    {"rdi", 0x1ec, 4},
    {"rip", 0x1f0, 4},
    {"rflags", 0x1f4, 4},
    {"cr3", 0x1f8, 4},
    {"cr0", 0x1fc, 4},
};

const struct smm_field *smm_fields(const uint8_t area[SMM_SAVE_SIZE], size_t *n)
{
	uint32_t revision;

	memcpy(&revision, area + OFF_REVISION, sizeof(revision));
	switch (revision) {
	case SMM_REVISION:
	case SMM_REVISION_KVM:
		*n = ARRAY_LEN(fields);
		return fields;
	case SMM_REVISION_KVM_32:
		*n = ARRAY_LEN(fields_32);
		return fields_32;
	default:
		*n = 0;
		return NULL;
	}
}

/* ---- bytes */

static void smram_put(uint8_t *area, unsigned at, const void *value, size_t len)
{
	memcpy(area + at, value, len);
}

static uint64_t get(const uint8_t *area, unsigned at, size_t len)
{
	uint64_t x = 0;

	memcpy(&x, area + at, len);
	return x;
}

/* Descriptor bits 8 to 23 with the limit's nibble left out. */
static uint16_t seg_attributes(const struct seg *s)
{
	bool present = s->present && !s->unusable;

	return (uint16_t)(s->type | s->s << 4 | s->dpl << 5 | present << 7 | s->avl << 12 | s->l << 13 | s->db << 14 |
			  s->g << 15);
}

static void seg_save(uint8_t *to, const struct seg *s)
{
	uint16_t attr = seg_attributes(s);

	smram_put(to, 0, &s->selector, 2);
	smram_put(to, 2, &attr, 2);
	smram_put(to, 4, &s->limit, 4);
	smram_put(to, 8, &s->base, 8);
}

static void seg_restore(struct seg *s, const uint8_t *from)
{
	unsigned a = (unsigned)get(from, 2, 2);

	*s = (struct seg){
	    .selector = (uint16_t)get(from, 0, 2),
	    .limit = (uint32_t)get(from, 4, 4),
	    .base = get(from, 8, 8),
	    .type = a & 15,
	    .s = a >> 4 & 1,
	    .dpl = a >> 5 & 3,
	    .present = a >> 7 & 1,
	    .avl = a >> 12 & 1,
	    .l = a >> 13 & 1,
	    .db = a >> 14 & 1,
	    .g = a >> 15 & 1,
	    .unusable = !(a >> 7 & 1),
	};
}

void smm_save(const struct regs *r, uint32_t smbase, uint8_t area[SMM_SAVE_SIZE])
{
	const char *base = (const char *)r;
	const uint32_t revision = SMM_REVISION;

	memset(area, 0, SMM_SAVE_SIZE);
	for (unsigned i = 0; i < ARRAY_LEN(plain); i++)
		smram_put(area, plain[i].at, base + plain[i].field, plain[i].size);
	for (unsigned i = 0; i < ARRAY_LEN(segments); i++)
		seg_save(area + segments[i].at, (const struct seg *)(const void *)(base + segments[i].field));
	for (unsigned i = 0; i < 16; i++)
		smram_put(area, OFF_GPR_LAST - 8 * i, &r->gpr[i], 8);
	area[OFF_AUTO_HALT] = r->halted;
	area[OFF_NMI_MASK] = r->nmi_masked;
	area[OFF_INT_SHADOW] = (uint8_t)((r->mov_ss_shadow ? SHADOW_MOV_SS : 0) | (r->sti_shadow ? SHADOW_STI : 0));
	smram_put(area, OFF_REVISION, &revision, 4);
	smram_put(area, OFF_SMBASE, &smbase, 4);
}

/* ---- what RSM refuses */

#define CR0_KNOWN (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG)
/* VME to UMIP, LA57, VMXE, SMXE, FSGSBASE, PCIDE, OSXSAVE, KL, SMEP, SMAP, PKE, CET, PKS. */
#define CR4_KNOWN 0x1ff7fffull
#define EFER_KNOWN (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE | 0xfull << 12) /* SVME, LMSLE, FFXSR, TCE */

struct bad_state {
	bool bad;
	const char *why;
};

static int refuse(const struct regs *r, const char *why, struct err *e)
{
	return err_set(
	    e, -EINVAL,
	    "RSM" WHY
	    "the saved state has %s (CR0 %#llx, CR4 %#llx, EFER %#llx), which a processor answers with shutdown" TRY
	    "info smm, and what wrote to the state-save area",
	    why, (unsigned long long)r->cr0, (unsigned long long)r->cr4, (unsigned long long)r->efer);
}

static int check_state(const struct regs *r, struct err *e)
{
	bool pg = r->cr0 & CR0_PG, lme = r->efer & EFER_LME, lma = r->efer & EFER_LMA;
	const struct seg *cs = &r->seg[SEG_CS];
	const struct bad_state rules[] = {
	    {r->cr0 >> 32, "bits 63:32 of CR0 set"},
	    {pg && !(r->cr0 & CR0_PE), "paging without protected mode"},
	    {(r->cr0 & CR0_NW) && !(r->cr0 & CR0_CD), "CR0.NW without CR0.CD"},
	    {r->cr4 & ~CR4_KNOWN, "reserved bits of CR4 set"},
	    {r->efer & ~EFER_KNOWN, "reserved bits of EFER set"},
	    {lma != (lme && pg), "EFER.LMA that does not follow from LME and PG"},
	    {lma && !(r->cr4 & CR4_PAE), "long mode without PAE"},
	    {lma && cs->l && cs->db, "a code segment with L and D both set"},
	    {(r->cr4 & CR4_PCIDE) && !lma, "CR4.PCIDE outside long mode"},
	    {lma && r->rflags & RFLAGS_VM, "virtual-8086 mode inside long mode"},
	    {r->dr[6] >> 32 || r->dr[7] >> 32, "bits 63:32 of DR6 or DR7 set"},
	};

	for (unsigned i = 0; i < ARRAY_LEN(rules); i++)
		if (rules[i].bad)
			return refuse(r, rules[i].why, e);
	return 0;
}

int smm_restore(struct regs *r, uint32_t *smbase, const uint8_t area[SMM_SAVE_SIZE], struct err *e)
{
	struct regs n = *r;
	char *base = (char *)&n;
	int rc;

	for (unsigned i = 0; i < ARRAY_LEN(plain); i++) {
		uint64_t x = get(area, plain[i].at, plain[i].size);

		memcpy(base + plain[i].field, &x, plain[i].reg_size);
	}
	for (unsigned i = 0; i < ARRAY_LEN(segments); i++)
		seg_restore((struct seg *)(void *)(base + segments[i].field), area + segments[i].at);
	for (unsigned i = 0; i < 16; i++)
		n.gpr[i] = get(area, OFF_GPR_LAST - 8 * i, 8);
	n.cr0 &= CR0_KNOWN | ~0ull << 32; /* undefined low bits are ignored, as MOV does */
	n.rflags = (n.rflags & 0x3f7fd7) | RFLAGS_FIXED;
	n.halted = area[OFF_AUTO_HALT] & 1;
	n.nmi_masked = area[OFF_NMI_MASK] & 1;
	n.mov_ss_shadow = area[OFF_INT_SHADOW] & SHADOW_MOV_SS;
	n.sti_shadow = area[OFF_INT_SHADOW] & SHADOW_STI;
	n.exception_pending = false;
	n.smm = false;
	rc = check_state(&n, e);
	if (rc)
		return rc;
	*r = n;
	*smbase = (uint32_t)get(area, OFF_SMBASE, 4);
	return 0;
}

void smm_enter(struct regs *r, uint32_t smbase)
{
	const struct seg flat = {.limit = 0xffffffff, .type = 3, .s = true, .present = true, .g = true};

	for (unsigned i = 0; i < SEG_COUNT; i++)
		r->seg[i] = flat;
	r->seg[SEG_CS].base = smbase;
	r->seg[SEG_CS].selector = (uint16_t)(smbase >> 4);
	r->seg[SEG_CS].type = 11;
	r->rip = SMM_ENTRY_OFFSET;
	r->rflags = RFLAGS_FIXED;
	r->cr0 &= ~(CR0_PE | CR0_EM | CR0_TS | CR0_PG);
	r->cr4 = 0;
	r->efer = 0;
	r->dr[7] = 0x400;
	/* No handler of the interrupted system may run here: an exception before the SMI handler loads a table is a
	 * shutdown. */
	r->idt = (struct desc_table){0, 0};
	r->smm = true;
	r->halted = r->sti_shadow = r->mov_ss_shadow = r->exception_pending = false;
	r->nmi_masked = true;
}
