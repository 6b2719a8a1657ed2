/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A guest from a seed: page tables full of aliases, rights and holes, random memory and registers, and code over them.
 */
#include "tests/agree/agree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem/paging.h"

const char *class_name(unsigned bit)
{
	static const char *const name[CLASS_COUNT] = {"alu",  "shift",	"muldiv", "bit",     "string", "stack", "flow",
						      "move", "atomic", "sse",	  "segment", "tables", "raw"};

	return bit < CLASS_COUNT ? name[bit] : "?";
}

const char *feature_name(unsigned bit)
{
	static const char *const name[FEATURE_COUNT] = {"aliases",
							"pages of fewer rights",
							"entries not present",
							"reserved bits",
							"large pages",
							"READONLY pages",
							"MMIO pages",
							"a table in READONLY memory",
							"a table where no memory is",
							"a table that maps itself",
							"writes to its own tables",
							"INVLPG and CR3 loads",
							"an MMIO access",
							"a fault by its tables",
							"a table gone unsync",
							"a table synced",
							"a shadow page zapped",
							"leaves fetched ahead"};

	return bit < FEATURE_COUNT ? name[bit] : "?";
}

/* ---- tables */

static void put64(struct plan *p, uint64_t gpa, uint64_t v)
{
	memcpy(gpa >= GPA_ROM ? p->rom + (gpa - GPA_ROM) : p->ram + gpa, &v, sizeof(v));
}

static uint64_t random_rights(struct plan *p, unsigned user, unsigned write, unsigned nx)
{
	struct rng *r = &p->rng;

	return (rng_percent(r, user) ? PTE_U : 0) | (rng_percent(r, write) ? PTE_W : 0) | (rng_percent(r, nx) ? PTE_NX : 0) |
	       (rng_percent(r, 50) ? PTE_A : 0) | (rng_percent(r, 50) ? PTE_D : 0) | (rng_percent(r, 10) ? PTE_G : 0) |
	       (rng_percent(r, 5) ? 0x600 : 0);
}

static uint64_t random_page(struct plan *p)
{
	struct rng *r = &p->rng;
	unsigned k = rng_below(r, 100);

	if (k < 76)
		return GPA_DATA + (uint64_t)rng_below(r, DATA_PAGES) * 0x1000;
	if (k < 84)
		return GPA_BIG + (uint64_t)rng_below(r, 16) * 0x1000;
	if (k < 91)
		return GPA_ROM + (uint64_t)rng_below(r, ROM_SIZE >> 12) * 0x1000;
	if (k < 97)
		return GPA_LOG + (uint64_t)rng_below(r, LOG_SIZE >> 12) * 0x1000;
	return k < 99 ? 0xd0000000 : GPA_HOLE;
}

uint64_t plan_entry(struct plan *p)
{
	uint64_t e = random_page(p) | random_rights(p, 92, 80, 30) | PTE_P;

	if (rng_percent(&p->rng, 6))
		e &= ~PTE_P;
	return rng_percent(&p->rng, 1) ? e | 1ull << 51 : e;
}

static void note_entry(struct plan *p, uint64_t e, uint8_t seen[DATA_PAGES])
{
	uint64_t page = e & 0xfffff000;

	if (!(e & PTE_P)) {
		p->features |= HAS_ABSENT;
		return;
	}
	p->features |= e >> 51 & 1 ? HAS_RESERVED : 0;
	p->features |= (e & (PTE_W | PTE_U)) != (PTE_W | PTE_U) || e & PTE_NX ? HAS_RIGHTS : 0;
	p->features |= page >= GPA_LOG ? HAS_MMIO : page >= GPA_ROM && page < GPA_BIG ? HAS_READONLY : 0;
	if (page >= GPA_DATA && page < RAM_SIZE && seen[(page - GPA_DATA) >> 12]++)
		p->features |= HAS_ALIASES;
}

static void random_table(struct plan *p, uint64_t table)
{
	uint8_t seen[DATA_PAGES] = {0};

	for (unsigned i = 0; i < 512; i++) {
		uint64_t e = plan_entry(p), page = e & 0xfffff000;
		put64(p, table + i * 8, e);
		note_entry(p, e, seen);
		if (table != GPA_PT_A || !(e & PTE_P) || (!(e & PTE_U) && !p->cpl0) || e >> 51 & 1)
			continue;
		p->readable[p->n_readable++] = (uint16_t)i;
		if (e & PTE_W && page >= GPA_DATA && page < RAM_SIZE)
			p->writable[p->n_writable++] = (uint16_t)i;
	}
}

/* Directory entries of any kind. */
uint64_t plan_directory_entry(struct plan *p)
{
	static const uint64_t tables[] = {GPA_PT_A, GPA_PT_B, GPA_PT_C};
	struct rng *r = &p->rng;
	uint64_t rights = PTE_P | (random_rights(p, 95, 75, 20) & ~PTE_D);

	switch (rng_below(r, 14)) {
	case 0:
		p->features |= HAS_ABSENT;
		return rights & ~PTE_P;
	case 1:
	case 2:
		p->features |= HAS_LARGE;
		return GPA_BIG | PTE_P | PTE_PS | random_rights(p, 95, 60, 30);
	case 3: /* all of RAM and what is behind it, for reading */
		p->features |= HAS_LARGE | HAS_ALIASES;
		return PTE_P | PTE_PS | (random_rights(p, 95, 0, 30) & ~PTE_W);
	case 4:
		p->features |= HAS_LARGE | HAS_RESERVED;
		return GPA_BIG | 0x2000ull << rng_below(r, 8) | PTE_P | PTE_PS | random_rights(p, 95, 50, 30);
	case 5:
		p->features |= HAS_TABLE_ROM;
		return GPA_PT_ROM | rights;
	case 6:
		p->features |= HAS_TABLE_NOWHERE;
		return (rng_percent(r, 50) ? 0x3000000 : GPA_LOG) | rights;
	case 7: /* reads of what the directory names: tables */
		p->features |= HAS_SELF;
		return GPA_PD | (rights & ~PTE_W);
	case 8:
		p->features |= HAS_RESERVED;
		return GPA_PT_A | rights | 1ull << 51;
	default:
		p->features |= HAS_ALIASES | HAS_RIGHTS;
		return tables[rng_below(r, 3)] | rights;
	}
}

/* Leaves for the tables themselves, where CLASS_TABLES writes them. */
static void tables_as_data(struct plan *p)
{
	const uint64_t all = PTE_P | PTE_U | PTE_W;

	put64(p, GPA_PD + (GVA_GAP >> 21 & 511) * 8, GPA_PT_GAP | all);
	put64(p, GPA_PT_GAP, GPA_PT_A | all);
	put64(p, GPA_PT_GAP + 8, GPA_PT_B | all | (rng_percent(&p->rng, 50) ? PTE_A | PTE_D : 0));
	put64(p, GPA_PT_GAP + 16, GPA_PD | all);
	p->features |= HAS_TABLE_WRITES;
}

static void fixed_tables(struct plan *p)
{
	struct rng *r = &p->rng;
	const uint64_t all = PTE_P | PTE_W | PTE_U;

	put64(p, GPA_PML4, GPA_PDPT | all);
	put64(p, GPA_PML4_2, GPA_PDPT | all);
	put64(p, GPA_PDPT, GPA_PD | all);
	put64(p, GPA_PDPT + 8, GPA_PD | PTE_P | random_rights(p, 95, 80, 20));
	put64(p, GPA_PD + (GVA_CODE >> 21) * 8, GPA_PT_CODE | all);
	put64(p, GPA_PD + (GVA_STACK >> 21) * 8, GPA_PT_STACK | all);
	for (unsigned i = 0; i < 4; i++) {
		put64(p, GPA_PT_CODE + i * 8, (GPA_CODE + i * 0x1000) | PTE_P | PTE_U | (rng_percent(r, 50) ? PTE_W : 0));
		put64(p, GPA_PT_CODE + 64 + i * 8, (GPA_SYS + i * 0x1000) | PTE_P | PTE_W | PTE_A | PTE_D);
	}
	for (unsigned i = 0; i < 2; i++)
		put64(p, GPA_PT_STACK + i * 8, (GPA_STACK + i * 0x1000) | all);
	put64(p, GPA_PD + (GVA_A >> 21 & 511) * 8, GPA_PT_A | all);
}

static void tables(struct plan *p)
{
	fixed_tables(p);
	put64(p, GPA_PD + (GVA_A2 >> 21 & 511) * 8, GPA_PT_A | PTE_P | (random_rights(p, 95, 70, 20) & ~PTE_D));
	put64(p, GPA_PD + (GVA_BIG >> 21 & 511) * 8,
	      GPA_BIG | PTE_P | PTE_W | PTE_U | PTE_PS | (random_rights(p, 100, 100, 30)));
	put64(p, GPA_PD + (GVA_BIG2 >> 21 & 511) * 8, GPA_BIG | PTE_P | PTE_PS | random_rights(p, 95, 50, 30));
	p->features |= HAS_LARGE;
	put64(p, GPA_PD + (GVA_B >> 21 & 511) * 8, GPA_PT_B | PTE_P | (random_rights(p, 90, 70, 30) & ~PTE_D));
	for (unsigned i = 0; i < C_REGIONS; i++)
		put64(p, GPA_PD + ((GVA_C >> 21 & 511) + i) * 8, plan_directory_entry(p));
	random_table(p, GPA_PT_A);
	random_table(p, GPA_PT_B);
	random_table(p, GPA_PT_C);
	if (p->classes & CLASS_TABLES)
		tables_as_data(p);
}

/* ---- what exceptions go to */

static void gate(struct plan *p, unsigned vector, uint64_t at)
{
	put64(p, GPA_SYS + 0x1000 + vector * 16, (at & 0xffff) | 8ull << 16 | 0x8eull << 40 | (at >> 16 & 0xffff) << 48);
	put64(p, GPA_SYS + 0x1008 + vector * 16, at >> 32);
}

/* An exception ends in a hlt of its own, #PF with CR2 in rax. Behind ud2 stands what is asked for: 1 INVLPG of rdi, 2 a CR3
 * load of the same value, 3 of the other PML4's; anything else is the end. */
static void system_page(struct plan *p)
{
	static const uint64_t gdt[] = {0, 0x00209b0000000000, 0x00cf93000000ffff, 0,
				       0, 0x00cff3000000ffff, 0x0020fb0000000000};
	static const uint8_t handler[] =
	    "\x50\x48\x8b\x44\x24\x08\x8a\x40\x02"		   /* push rax; mov rax, [rsp+8]; mov al, [rax+2] */
	    "\x3c\x01\x74\x09\x3c\x02\x74\x0a\x3c\x03\x74\x0e\xf4" /* cmp al, 1 … je …; hlt */
	    "\x0f\x01\x3f\xeb\x14"				   /* invlpg [rdi] */
	    "\x0f\x20\xd8\x0f\x22\xd8\xeb\x0c"			   /* mov rax, cr3; mov cr3, rax */
	    "\x0f\x20\xd8\x48\x35\x00\x80\x00\x00\x0f\x22\xd8"	   /* xor of both PML4s between */
	    "\x48\x83\x44\x24\x08\x03\x58\x48\xcf";		   /* add qword [rsp+8], 3; pop rax; iretq */
	_Static_assert((GPA_PML4 ^ GPA_PML4_2) == 0x8000, "the handler's constant");

	memcpy(p->ram + GPA_SYS, gdt, sizeof(gdt));
	put64(p, GPA_SYS + 0x104, GVA_SYS + 0x3000);
	for (unsigned v = 0; v < 32; v++) {
		gate(p, v, v == 6 ? GVA_UD_HANDLER : GVA_SYS + 0x3000 + v * 16);
		memcpy(p->ram + GPA_SYS + 0x3000 + v * 16, v == 14 ? "\x0f\x20\xd0\xf4" : "\xf4\xf4\xf4\xf4", 4);
	}
	memcpy(p->ram + GPA_SYS + 0x3300, handler, sizeof(handler));
}

uint64_t plan_target(struct plan *p, unsigned size, bool write, bool aligned)
{
	struct rng *r = &p->rng;
	unsigned k = rng_below(r, 100);
	uint64_t off = rng_below(r, 0x1000), page;

	if (k < 82)
		page = GVA_A + 0x1000ull * (write ? p->writable[rng_below(r, p->n_writable)]
						  : p->readable[rng_below(r, p->n_readable)]);
	else if (k < 88)
		page = GVA_BIG + 0x1000ull * rng_below(r, 16);
	else if (k < 92)
		page = GVA_STACK + 0x1000ull * rng_below(r, 2);
	else if (k < 94)
		page = GVA_A2 + 0x1000ull * rng_below(r, 512);
	else if (k < 95)
		page = GVA_BIG2 + 0x1000ull * rng_below(r, 16);
	else if (k < 97)
		page = GVA_A + 0x1000ull * p->readable[rng_below(r, p->n_readable)];
	else if (k < 98)
		page = (rng_percent(r, 50) ? GVA_A : GVA_B) + 0x1000ull * rng_below(r, 512);
	else if (k < 99)
		page = GVA_HIGH + GVA_A + 0x1000ull * p->readable[rng_below(r, p->n_readable)];
	else
		page = GVA_C + 0x1000ull * rng_below(r, 512 * C_REGIONS);
	if (rng_percent(r, 6)) /* across the page's end */
		off = 0x1000 - 1 - rng_below(r, size > 1 ? size - 1 : 1);
	else if (off + size > 0x1000)
		off = 0x1000 - size;
	if (aligned && rng_percent(r, 96))
		off &= ~15ull;
	return page + off;
}

/* ---- registers */

static struct seg segment(uint16_t selector, uint8_t type, uint8_t dpl, bool l)
{
	return (struct seg){.limit = 0xffffffff,
			    .selector = selector,
			    .type = type,
			    .s = true,
			    .present = true,
			    .l = l,
			    .db = !l,
			    .g = true,
			    .dpl = dpl};
}

static void registers(struct plan *p)
{
	struct rng *r = &p->rng;
	struct regs *g = &p->r;

	regs_reset(g, true);
	for (unsigned i = 0; i < 16; i++)
		g->gpr[i] = rng_value(r);
	g->gpr[RBX] = GVA_A + 0x1000ull * p->writable[0] + rng_below(r, 0x800);
	g->gpr[RBP] = GVA_STACK + 0x1000 + rng_below(r, 0x100) * 8;
	g->gpr[RSP] = GVA_STACK + 0x1000 + rng_below(r, 0x40) * 8;
	g->gpr[R12] = GVA_A + 0x80000 + rng_below(r, 0x10000);
	g->gpr[R13] = GVA_BIG + rng_below(r, 0x10000);
	g->gpr[R14] = rng_below(r, 16);
	/* IF too: CPL3 runs with it set, and PUSHF shows it. */
	g->rflags = RFLAGS_FIXED | RFLAGS_IF |
		    (rng_next(r) & (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF));
	g->rip = p->start;
	/* A pagetable-based KVM runs CPL3 with the host's own user selectors, and MOV from a segment register shows them. */
	g->seg[SEG_CS] = segment(p->cpl0 ? 8 : 0x33, 11, p->cpl0 ? 0 : 3, true);
	g->seg[SEG_SS] = segment(p->cpl0 ? 0x10 : 0x2b, 3, p->cpl0 ? 0 : 3, false);
	g->seg[SEG_DS] = g->seg[SEG_ES] = g->seg[SEG_FS] = g->seg[SEG_GS] = segment(0, 3, p->cpl0 ? 0 : 3, false);
	if (p->classes & CLASS_SEGMENT)
		p->fs_base = rng_below(r, 0x10000);
	g->seg[SEG_FS].base = p->fs_base;
	g->tr = (struct seg){.base = GVA_SYS + 0x100, .limit = 0x67, .selector = 0x18, .type = 11, .present = true};
	g->gdt = (struct desc_table){GVA_SYS, 0x37};
	g->idt = p->handlers ? (struct desc_table){GVA_SYS + 0x1000, 32 * 16 - 1} : (struct desc_table){0, 0};
	g->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_PG | (!p->cpl0 || rng_percent(r, 70) ? CR0_WP : 0);
	g->cr3 = GPA_PML4;
	g->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
	g->efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
	for (unsigned i = 0; i < 16; i++)
		for (unsigned k = 0; k < 16; k += 8) {
			uint64_t v = rng_value(r);
			memcpy(&g->fpu.xmm[i][k], &v, 8);
		}
}

static void contents(struct plan *p)
{
	for (uint64_t at = GPA_DATA; at < RAM_SIZE; at += 8)
		put64(p, at, rng_next(&p->rng));
	for (uint64_t at = 0; at < 0x10000; at += 8) {
		uint64_t v = rng_next(&p->rng);
		memcpy(p->big + at, &v, 8);
		v = rng_next(&p->rng);
		memcpy(p->rom + at, &v, 8);
	}
	random_table(p, GPA_PT_ROM);
}

static void code(struct plan *p)
{
	unsigned pieces = 20 + rng_below(&p->rng, 40);

	for (unsigned i = 0; i < pieces && p->len < PLAN_CODE_MAX; i++) {
		emit_piece(p);
		if (!p->stepping) /* nobody can pass over undefined flags: they are written before anything reads them */
			emit_bytes(p, "\x4d\x39\xf7", 3);
	}
	emit_bytes(p, "\x0f\x0b\x0f\x0b", 4);
	memcpy(p->ram + GPA_CODE + (p->start - GVA_CODE), p->code, p->len);
}

int plan_make(struct plan *p, uint64_t seed, uint32_t classes, bool cpl0, bool stepping)
{
	memset(p, 0, sizeof(*p));
	p->seed = seed;
	p->rng.s = seed * 0x2545f4914f6cdd1dull + 1;
	p->classes = classes;
	p->cpl0 = cpl0;
	p->stepping = stepping;
	p->ram = calloc(1, RAM_SIZE);
	p->rom = calloc(1, ROM_SIZE);
	p->big = calloc(1, BIG_SIZE);
	if (!p->ram || !p->rom || !p->big)
		return -ENOMEM;
	/* Sometimes the code crosses into its next page at once. */
	p->handlers = p->classes & CLASS_TABLES && !p->cpl0 && rng_percent(&p->rng, 50);
	p->same_cr3 = rng_percent(&p->rng, 10);
	p->start = GVA_CODE + (rng_percent(&p->rng, 40) ? 0x1000 - rng_below(&p->rng, 200) : rng_below(&p->rng, 0x200));
	tables(p);
	if (!p->n_writable || !p->n_readable)
		return -EINVAL;
	registers(p);
	system_page(p);
	contents(p);
	code(p);
	return 0;
}

void plan_free(struct plan *p)
{
	free(p->ram);
	free(p->rom);
	free(p->big);
}
