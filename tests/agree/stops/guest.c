/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A guest from a seed: one of eleven modes, tables of two roots, descriptors, handlers, registers.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/machine/machine_impl.h"
#include "core/mem/paging_bits.h"
#include "tests/agree/stops/stops.h"

extern const uint8_t stops_handlers[];

const struct s_mode s_modes[] = {
    {"real16", 16, 16, 0, S_FLAT, true},      {"prot16-0", 16, 32, 0, S_PAGE32, false},
    {"prot16-3", 16, 32, 3, S_PAGE32, false}, {"flat32-0", 32, 32, 0, S_FLAT, false},
    {"page32-0", 32, 32, 0, S_PAGE32, false}, {"page32-3", 32, 32, 3, S_PAGE32, false},
    {"pae32-0", 32, 32, 0, S_PAE, false},     {"pae32-3", 32, 32, 3, S_PAE, false},
    {"compat-3", 32, 64, 3, S_LONG, false},   {"long64-0", 64, 64, 0, S_LONG, false},
    {"long64-3", 64, 64, 3, S_LONG, false},
};
const unsigned s_n_modes = ARRAY_LEN(s_modes);

const char *s_class_name(unsigned bit)
{
	static const char *const name[S_CLASSES] = {"memory",  "string",  "stack",  "bits",   "sse",
						    "service", "calls",	  "faults", "traps",  "tf",
						    "dr",      "selfmod", "ports",  "device", "middle"};

	return bit < S_CLASSES ? name[bit] : "?";
}

bool s_paged(const struct s_guest *g)
{
	return g->mode->paging != S_FLAT;
}

unsigned s_entry_size(const struct s_guest *g)
{
	return g->mode->paging == S_PAGE32 ? 4 : 8;
}

uint64_t s_root(const struct s_guest *g, unsigned which)
{
	unsigned level = g->mode->paging == S_PAGE32 ? 0 : g->mode->paging == S_PAE ? 1 : 2;

	return S_ROOTS + 0x1000ull * (2 * level + which);
}

/* ---- memory */

static void put(struct s_guest *g, uint64_t at, uint64_t v, unsigned n)
{
	memcpy(g->ram + at, &v, n);
}

static void put_entry(struct s_guest *g, uint64_t table, unsigned index, uint64_t v)
{
	put(g, table + (uint64_t)index * s_entry_size(g), v, s_entry_size(g));
}

static void map(struct s_guest *g, unsigned which, uint64_t gva, uint64_t gpa, uint64_t rights)
{
	put_entry(g, which ? S_PT2 : S_PT1, (unsigned)(gva >> 12), gpa | rights);
}

static void pages(struct s_guest *g, unsigned which)
{
	const uint64_t all = PTE_P | PTE_W | PTE_U;

	for (uint64_t at = 0; at < S_RAM; at += 0x1000)
		map(g, which, at, at, at < 0x6000 || at >= S_PT1 ? PTE_P | PTE_W : all);
	for (uint64_t at = 0; at < 0x8000; at += 0x1000) {
		map(g, which, S_ALIAS_CODE + at, S_CODE + at, all);
		map(g, which, S_ALIAS_DATA + at, S_DATA + at, all);
	}
	for (unsigned i = 0; i < 4; i++) {
		map(g, which, S_LATE + i * 0x1000, S_LATE_FRAMES + i * 0x1000, 0);
		if (i < 2)
			map(g, which, S_SWITCH + i * 0x1000, S_SWITCH_FRAMES + which * 0x2000 + i * 0x1000, all);
	}
	for (uint64_t at = 0; at < S_MMIO_SIZE; at += 0x1000)
		map(g, which, S_MMIO + at, S_MMIO + at, all);
}

static void tables(struct s_guest *g)
{
	const uint64_t all = PTE_P | PTE_W | PTE_U;

	for (unsigned which = 0; s_paged(g) && which < 2; which++) {
		pages(g, which);
		put_entry(g, S_ROOTS + which * 0x1000, 0, (which ? S_PT2 : S_PT1) | all);
		if (g->mode->paging == S_PAE)
			put(g, s_root(g, which), (S_ROOTS + which * 0x1000) | PTE_P, 8);
		if (g->mode->paging != S_LONG)
			continue;
		put(g, S_ROOTS + 0x2000 + which * 0x1000, (S_ROOTS + which * 0x1000) | all, 8);
		put(g, s_root(g, which), (S_ROOTS + 0x2000 + which * 0x1000) | all, 8);
	}
}

/* ---- descriptors */

enum {
	CODE32 = 0x08,
	FLAT = 0x10,
	CODE64 = 0x18,
	USER32 = 0x20,
	USER_FLAT = 0x28,
	USER64 = 0x30,
	USER16 = 0x38,
	CODE16 = 0x40,
	USER_STACK16 = 0x48,
	STACK16 = 0x50,
	TSS = 0x58,
	USER_HIGH = 0x68,
	HIGH = 0x70,
	USER_DEVICE = 0x78,
	DEVICE = 0x80,
};

static struct seg segment(uint16_t selector, uint64_t base, uint8_t type, unsigned dpl, unsigned bits)
{
	return (struct seg){.base = base,
			    .limit = 0xffffffff,
			    .selector = (uint16_t)(selector | dpl),
			    .type = type,
			    .s = true,
			    .present = true,
			    .l = bits == 64,
			    .db = bits == 32,
			    .g = true,
			    .dpl = (uint8_t)dpl};
}

static void describe(struct s_guest *g, const struct seg *s)
{
	uint64_t v = 0xffff | (s->base & 0xffffff) << 16 | (uint64_t)(0x90 | s->type | s->dpl << 5) << 40 | 0xfull << 48 |
		     (uint64_t)(0x8 | s->db << 2 | s->l << 1) << 52 | (s->base >> 24) << 56;

	put(g, S_GDT + (s->selector & ~7u), v, 8);
}

static void descriptors(struct s_guest *g)
{
	static const struct {
		uint16_t selector;
		uint8_t type, dpl, bits;
		uint32_t base;
	} v[] = {{CODE32, 11, 0, 32, 0},	  {FLAT, 3, 0, 32, 0},		 {CODE64, 11, 0, 64, 0},
		 {USER32, 11, 3, 32, 0},	  {USER_FLAT, 3, 3, 32, 0},	 {USER64, 11, 3, 64, 0},
		 {USER16, 11, 3, 16, 0},	  {CODE16, 11, 0, 16, 0},	 {USER_STACK16, 3, 3, 16, 0},
		 {STACK16, 3, 0, 16, 0},	  {USER_HIGH, 3, 3, 32, S_DATA}, {HIGH, 3, 0, 32, S_DATA},
		 {USER_DEVICE, 3, 3, 32, S_MMIO}, {DEVICE, 3, 0, 32, S_MMIO}};

	for (unsigned i = 0; i < ARRAY_LEN(v); i++) {
		struct seg s = segment(v[i].selector, v[i].base, v[i].type, v[i].dpl, v[i].bits);
		describe(g, &s);
	}
	put(g, S_GDT + TSS, 0x0000890000000067ull | (uint64_t)S_TSS << 16, 8);
	put(g, S_TSS + 4, S_SYS_STACK, 8);
	if (g->mode->handler_bits == 32)
		put(g, S_TSS + 8, FLAT, 4);
	put(g, S_TSS + 0x66, 0x67, 2);
}

static void vectors(struct s_guest *g)
{
	for (unsigned v = 0; v < 32; v++) {
		uint64_t at = S_HANDLERS + v * 16, gate = (at & 0xffff) |
							  (g->mode->handler_bits == 64 ? CODE64 : CODE32) << 16 |
							  (v < 5 ? 0xeeull : 0x8eull) << 40;
		if (g->mode->real)
			put(g, v * 4, at, 4);
		else
			put(g, S_IDT + v * (g->mode->handler_bits == 64 ? 16u : 8u), gate, 8);
	}
	unsigned which = g->mode->handler_bits == 16 ? 0 : g->mode->handler_bits == 32 ? 1 : 2;
	memcpy(g->ram + S_HANDLERS, stops_handlers + which * 0x400, 0x400);
}

/* ---- registers */

static void segments(struct s_guest *g)
{
	struct regs *r = &g->r;
	unsigned bits = g->mode->bits, cpl = g->mode->cpl;
	bool u = cpl == 3;
	uint16_t code = bits == 64 ? (u ? USER64 : CODE64) : bits == 32 ? (u ? USER32 : CODE32) : u ? USER16 : CODE16;

	if (g->mode->real) {
		static const uint16_t base[SEG_COUNT] = {S_DATA >> 4, 0, 0, S_DATA >> 4, S_MMIO >> 4, S_DATA >> 4};
		for (unsigned i = 0; i < SEG_COUNT; i++) {
			r->seg[i].selector = base[i];
			r->seg[i].base = (uint64_t)base[i] << 4;
		}
		if (rng_percent(&g->rng, 40)) {
			r->seg[SEG_CS].selector = 0x80;
			r->seg[SEG_CS].base = 0x800;
		}
		return;
	}
	r->seg[SEG_CS] = segment(code, 0, 11, cpl, bits);
	r->seg[SEG_SS] =
	    bits == 16 ? segment(u ? USER_STACK16 : STACK16, 0, 3, cpl, 16) : segment(u ? USER_FLAT : FLAT, 0, 3, cpl, 32);
	struct seg flat = segment(u ? USER_FLAT : FLAT, 0, 3, cpl, 32),
		   high = segment(u ? USER_HIGH : HIGH, S_DATA, 3, cpl, 32),
		   device = segment(u ? USER_DEVICE : DEVICE, S_MMIO, 3, cpl, 32);
	r->seg[SEG_DS] = r->seg[SEG_ES] = bits == 16 ? high : flat;
	r->seg[SEG_FS] = bits != 64 || rng_percent(&g->rng, 50) ? device : flat;
	r->seg[SEG_GS] = high;
}

static void control(struct s_guest *g)
{
	struct regs *r = &g->r;

	r->cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT;
	if (g->mode->real) {
		r->idt = (struct desc_table){0, 0x3ff};
		return;
	}
	r->gdt = (struct desc_table){S_GDT, 0x87};
	r->idt = (struct desc_table){S_IDT, (uint16_t)(32 * (g->mode->handler_bits == 64 ? 16 : 8) - 1)};
	r->tr = (struct seg){.base = S_TSS, .limit = 0x67, .selector = TSS, .type = 11, .present = true};
	r->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | (s_paged(g) ? CR0_PG | CR0_WP : 0);
	if (s_paged(g))
		r->cr3 = s_root(g, 0);
	if (g->mode->paging == S_PAE || g->mode->paging == S_LONG)
		r->cr4 |= CR4_PAE;
	if (g->mode->paging == S_LONG)
		r->efer = EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE;
}

static void registers(struct s_guest *g)
{
	struct regs *r = &g->r;

	regs_reset(r, true);
	segments(g);
	control(g);
	for (unsigned i = 0; i < (g->mode->bits == 64 ? 16u : 8u); i++)
		r->gpr[i] = g->mode->bits == 64 ? rng_value(&g->rng) : (uint32_t)rng_value(&g->rng);
	r->gpr[RSP] = S_STACK;
	r->gpr[RBP] = 0;
	r->rflags = RFLAGS_FIXED | (g->mode->cpl == 3 ? RFLAGS_IOPL | RFLAGS_IF : 0);
	r->rip = S_CODE - r->seg[SEG_CS].base;
}

static void contents(struct s_guest *g)
{
	for (uint64_t at = S_DATA; at < S_LOOPS - 0xf00; at += 8)
		put(g, at, rng_next(&g->rng), 8);
	for (uint64_t at = S_LATE_FRAMES; at < S_PT1; at += 8)
		put(g, at, rng_next(&g->rng), 8);
}

int s_guest_make(struct s_guest *g, uint64_t seed, int mode, uint32_t without, bool for_kvm)
{
	*g = (struct s_guest){.seed = seed, .rng = {seed * 0x9fb21c651e98df25ull + 7}};
	g->mode = &s_modes[mode >= 0 ? (unsigned)mode : (unsigned)(seed % s_n_modes)];
	g->ram = calloc(1, S_RAM);
	if (!g->ram)
		return -ENOMEM;
	g->for_kvm = for_kvm;
	g->one_round = for_kvm && !g->mode->cpl;
	if (for_kvm && S_WAITS_KVM_OWN)
		without |= S_TF | S_DR | S_TRAPS;
	/* Half of the classes a guest: what goes wrong only without something else is seen too. */
	g->classes = S_MEMORY | (uint32_t)rng_next(&g->rng) | (uint32_t)(rng_percent(&g->rng, 30) ? ~0u : 0);
	if (rng_percent(&g->rng, 50))
		g->classes &= ~(uint32_t)S_TF;
	g->classes &= ~without & ((1u << S_CLASSES) - 1);
	contents(g);
	tables(g);
	registers(g);
	if (!g->mode->real)
		descriptors(g);
	vectors(g);
	s_code_make(g);
	s_points_make(g);
	return 0;
}

void s_guest_free(struct s_guest *g)
{
	free(g->ram);
	g->ram = NULL;
}

/* ---- in a machine */

/* What a read gives follows from the address. */
static void device(struct board *b, struct board_window *w, uint64_t offset, unsigned len, void *data, bool write)
{
	uint64_t v = ((w->gpa + offset) * 0x9e3779b97f4a7c15ull) >> 5;

	(void)b;
	if (!write)
		memcpy(data, &v, len);
}

int s_guest_open(const struct s_guest *g, const struct machine_ops *backend, unsigned maxphyaddr, struct machine **m,
		 struct err *e)
{
	struct machine_config cfg = {.vcpus = 1};
	struct board_window w = {.name = "device", .gpa = S_MMIO, .size = S_MMIO_SIZE, .access = device};
	struct slot_spec spec = {.id = 0, .gpa = 0, .size = S_RAM};
	int rc = machine_create(backend, &cfg, m, e);

	if (!rc && maxphyaddr)
		(*m)->maxphyaddr = maxphyaddr;
	if (!rc)
		rc = board_add_window(machine_board(*m), &w, e);
	if (!rc)
		rc = machine_slot_add(*m, &spec, NULL, e);
	if (!rc)
		rc = machine_write(*m, 0, false, g->ram, S_RAM, e);
	if (!rc)
		rc = machine_set_regs(*m, 0, REGS_GPR | REGS_SYS, &g->r, e);
	return rc;
}
