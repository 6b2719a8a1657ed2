/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Guests with a good start: descriptor tables, an IDT with handlers, page tables and a loop of instructions that all decode,
 * of which a seed then spoils some (entries that lead to devices, READONLY memory, themselves or nowhere; gates that fault;
 * code that is overwritten, runs off its slot or is 16 bytes long). Between short runs the debugger does what debuggers do:
 * slots come and go, tables change behind the guest's back, SMIs, injected faults, checkpoints, caught stages, watches.
 * After each run the shadow MMU must still keep its word (tests/support/shadow_check.h).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/debug/checkpoint.h"
#include "core/machine/machine.h"
#include "core/mem/paging.h"
#include "core/soft/soft.h"
#include "tests/fuzz/rng.h"
#include "tests/support/shadow_check.h"

enum {
	RAM = 0x80000,
	GDT = 0x500,
	TSS = 0x600,
	IDT = 0x1000,
	HANDLERS = 0x4000, /* 16 bytes a vector */
	CODE = 0x8000,
	STACK = 0xb000,
	KSTACK = 0xd000,
	TABLES = 0x10000, /* page n of them is page n of the tree below */
	DATA = 0x20000,
	SMM_CODE = 0x38000,
	ROM_GPA = 0x100000,
	HIGH_GPA = 0x200000,
	SMRAM_GPA = 0xa0000,
	DEVICE = 0xd0000000,
	ROUNDS = 24,
};
enum mode { REAL, PROT, PAGE32, PAE, LONG, FIVE, MODES };

struct fuzz {
	struct rng r;
	struct machine *m;
	enum mode mode;
	unsigned cpl, vcpus;
	struct page_store *store;
	struct checkpoint *saved;
	uint64_t started; /* position of the last beginning */
	uint8_t *code;	  /* being written */
	size_t n;
};

static unsigned pick(struct fuzz *f, unsigned n)
{
	return rng_below(&f->r, n);
}

static void put(struct fuzz *f, uint64_t gpa, const void *bytes, size_t n)
{
	struct err e;

	if (machine_write(f->m, gpa, false, bytes, n, &e))
		return; /* its slot has gone */
}

static void put64(struct fuzz *f, uint64_t gpa, uint64_t v)
{
	put(f, gpa, &v, 8);
}

static void die(const struct fuzz *f, const char *what)
{
	struct regs r = {0};

	(void)!machine_get_regs(f->m, 0, REGS_ALL, &r, NULL);
	fprintf(stderr, "fuzz machine: %s; mode %d, vCPU 0 at %#llx, position %llu\n", what, f->mode,
		(unsigned long long)r.rip, (unsigned long long)machine_position(f->m));
	abort();
}

/* ---- descriptor tables and handlers */

static void make_gdt(struct fuzz *f)
{
	static const uint64_t gdt[] = {0,
				       0x00209a0000000000,
				       0x00cf92000000ffff,
				       0x00cff2000000ffff,
				       0x0020fa0000000000,
				       0x67 | (uint64_t)TSS << 16 | 0x8bull << 40,
				       0,
				       0x00cf9a000000ffff,
				       0x00cffa000000ffff,
				       0x00cf12000000ffff,
				       0x0040920000000fff,
				       0x00009a000000ffff};
	uint16_t ss0 = 0x10;

	put(f, GDT, gdt, sizeof(gdt));
	put64(f, TSS + 4, KSTACK);
	if (f->mode < LONG)
		put(f, TSS + 8, &ss0, 2);
}

/* Handlers that give way: skip a byte or two of what faulted where there is no error code, drop it where there is; or end.
 */
static void make_handler(struct fuzz *f, unsigned v)
{
	static const char *const plain[] = {"\x48\x83\x04\x24\x02\x48\xcf",
					    "\x48\xcf",
					    "\xf4",
					    "\x0f\x0b",
					    "\x0f\x20\xd8\x0f\x22\xd8\x48\xcf",
					    "\x48\x83\x44\x24\x08\x03\x48\x83\xc4\x08\x48\xcf"};
	static const char *const narrow[] = {"\x83\x04\x24\x02\xcf", "\xcf", "\xf4", "\x83\x44\x24\x04\x02\x83\xc4\x04\xcf"};
	const char *code = f->mode >= LONG ? plain[pick(f, 8) ? (v == 8 || (v >= 10 && v <= 14) ? 5 : 0) : pick(f, 6)]
					   : narrow[pick(f, 8) ? (v == 8 || (v >= 10 && v <= 14) ? 3 : 0) : pick(f, 4)];
	uint8_t bytes[16] = {0};

	memcpy(bytes, code, strlen(code)); /* none of them has a zero inside */
	put(f, HANDLERS + v * 16, bytes, sizeof(bytes));
}

static void make_idt(struct fuzz *f)
{
	bool wide = f->mode >= LONG;

	for (unsigned v = 0; v < 64; v++) {
		uint64_t at = HANDLERS + v * 16, sel = wide ? 8 : 0x38, access = v == 3 || v >= 32 ? 0xee : 0x8e;
		uint16_t real[2] = {(uint16_t)at, 0};
		make_handler(f, v);
		if (!pick(f, 24))
			access = pick(f, 256);
		if (!pick(f, 32))
			at = pick(f, 2) ? 0x7f000 : 0x500000;
		if (f->mode == REAL)
			put(f, v * 4, real, 4);
		else
			put64(f, IDT + v * (wide ? 16 : 8), (at & 0xffff) | sel << 16 | access << 40 | (at >> 16) << 48);
	}
}

/* ---- page tables */

/* Levels from the top: TABLES, + 0x1000, …; the leaf tables map the first 4 MiB one to one, with aliases, the device, ROM.
 */
static uint64_t leaf(struct fuzz *f, uint64_t page)
{
	static const uint64_t far[] = {ROM_GPA, HIGH_GPA, DEVICE, SMRAM_GPA, 0x7000000000, DATA, TABLES, CODE};
	uint64_t flags = 7 | (pick(f, 2) ? PTE_A | PTE_D : 0);

	if (page >= RAM >> PAGE_SHIFT || !pick(f, 40))
		page = (far[pick(f, 8)] >> PAGE_SHIFT) + pick(f, 4);
	if (!pick(f, 24))
		flags = rng_next(&f->r) & 0x1ff;
	return page << PAGE_SHIFT | flags;
}

static void put_entry(struct fuzz *f, uint64_t table, unsigned i, uint64_t entry)
{
	put(f, table + (f->mode == PAGE32 ? 4 : 8) * i, &entry, f->mode == PAGE32 ? 4 : 8);
}

static void make_tables(struct fuzz *f)
{
	uint64_t at = TABLES, top = f->mode == FIVE ? 5 : f->mode == LONG ? 4 : f->mode == PAE ? 3 : 2;
	unsigned per = f->mode == PAGE32 ? 1024 : 512;

	for (uint64_t level = top; level > 2; level--, at += 0x1000)
		put_entry(f, at, 0, (at + 0x1000) | (f->mode == PAE && level == 3 ? 1 : 7));
	for (unsigned t = 0; t < 3; t++) {
		bool large = !pick(f, 6);
		put_entry(f, at, t, large ? (uint64_t)pick(f, 2) * HIGH_GPA | 0x87 : (at + 0x1000 * (t + 1)) | 7);
		for (unsigned i = 0; i < per; i++)
			put_entry(f, at + 0x1000 * (t + 1), i, leaf(f, (uint64_t)t * per + i));
	}
}

/* One entry of one table, anything: itself, a device, READONLY memory, beyond all slots, reserved bits. */
static void spoil_table(struct fuzz *f)
{
	static const uint64_t to[] = {TABLES,  TABLES + 0x1000, TABLES + 0x2000, TABLES + 0x3000,
				      ROM_GPA, DEVICE,		0x7fff000,	 0};
	uint64_t table = TABLES + 0x1000ull * pick(f, 7);
	unsigned i = pick(f, 3) ? pick(f, 4) : pick(f, 512);
	uint64_t entry = to[pick(f, 8)] | (pick(f, 4) ? 7 : pick(f, 256)) | (pick(f, 6) ? 0 : PTE_PS);

	if (!pick(f, 8))
		entry |= 1ull << (40 + pick(f, 24));
	put_entry(f, table, i, entry);
}

/* ---- code */

#define OPS(F, TEXT) emit(F, TEXT, sizeof(TEXT) - 1)

static void emit(struct fuzz *f, const char *bytes, size_t n)
{
	memcpy(f->code + f->n, bytes, n);
	f->n += n;
}

static void emit32(struct fuzz *f, uint32_t v)
{
	memcpy(f->code + f->n, &v, 4);
	f->n += 4;
}

static uint32_t address(struct fuzz *f)
{
	static const uint32_t at[] = {DATA,
				      DATA + 0xffc,
				      DATA + 0x1ff9,
				      CODE,
				      CODE + 0x1000,
				      TABLES,
				      TABLES + 0x1000,
				      TABLES + 0x2000,
				      TABLES + 0x3000,
				      TABLES + 0x4000,
				      0x100000,
				      0x1ff000,
				      IDT,
				      GDT,
				      STACK - 64,
				      0x7fffc,
				      0x300000,
				      0x3ff000,
				      0x400000,
				      0xa0000};

	return at[pick(f, ARRAY_LEN(at))] + (pick(f, 3) ? pick(f, 64) * 8 : pick(f, 0x2000));
}

/* mov or add between a register (not rsp) and [disp32], or an immediate into it. */
static void emit_access(struct fuzz *f)
{
	static const uint8_t op[] = {0x8b, 0x89, 0x01, 0x03, 0x87, 0x31, 0x39, 0x88, 0x8a, 0x29, 0x8b, 0x89};
	unsigned reg = pick(f, 8);

	if (!pick(f, 4) && f->mode >= LONG)
		OPS(f, "\x48");
	else if (!pick(f, 8))
		OPS(f, "\x66");
	f->code[f->n++] = op[pick(f, sizeof(op))];
	f->code[f->n++] = (uint8_t)(0x04 | (reg == RSP ? 0 : reg) << 3);
	OPS(f, "\x25");
	emit32(f, address(f));
}

/* rdi, rsi or rcx for what comes. */
static void emit_load(struct fuzz *f)
{
	f->code[f->n++] = (uint8_t)(0xb8 + "\x01\x06\x07\x00\x03"[pick(f, 5)]);
	emit32(f, pick(f, 3) ? address(f) : pick(f, 200));
}

static void emit_table_write(struct fuzz *f)
{
	uint64_t page = pick(f, 4) ? pick(f, RAM >> 12) : pick(f, 2) ? ROM_GPA >> 12 : HIGH_GPA >> 12;

	OPS(f, "\xc7\x04\x25");
	emit32(f, (uint32_t)(TABLES + 0x1000 * pick(f, 7) + 8 * (pick(f, 2) ? pick(f, 4) : pick(f, 512))));
	emit32(f, (uint32_t)(page << 12 | (pick(f, 5) ? 7 : pick(f, 256))));
}

static void emit_string(struct fuzz *f)
{
	static const char op[] = "\xa4\xa5\xaa\xab\xac\xad\xae\xa6\x6c\x6e";

	OPS(f, "\xb9");
	emit32(f, pick(f, 40));
	emit_load(f);
	if (pick(f, 2))
		f->code[f->n++] = pick(f, 2) ? 0xf3 : 0xf2;
	f->code[f->n++] = (uint8_t)op[pick(f, 10)];
}

static void emit_plain(struct fuzz *f)
{
	static const char *const op[] = {
	    "\x50",	    "\x58",	    "\x53\x5b", "\x9c\x9d",	"\xf9",		"\x0f\xa2",
	    "\x90",	    "\x99",	    "\xff\xc0", "\xff\xc9",	"\xc1\xe0\x05", "\xd1\xf8",
	    "\x0f\xaf\xc3", "\xf7\xe3",	    "\xf7\xf3", "\x0f\xb6\xc0", "\x0f\xbc\xc3", "\x0f\xc8",
	    "\x0f\x94\xc0", "\x0f\x44\xc3", "\x87\xd8", "\x0f\xc1\xd8", "\x0f\xb1\xd8", "\xc8\x10\x20\x01\xc9",
	    "\x0f\x01\xe0", "\xf3\x90",	    "\x0f\x31", "\xcd\x20",	"\xcc",		"\x0f\x05",
	    "\x0f\x34",	    "\x0f\x0b"};
	const char *o = op[pick(f, 8) ? pick(f, 27) : pick(f, ARRAY_LEN(op))];

	emit(f, o, strlen(o));
}

/* Mostly for CPL 0: control registers, INVLPG, ports (an SMI and the end of the run among them), interrupts' flag, LIDT. */
static void emit_system(struct fuzz *f)
{
	static const char *const op[] = {"\x0f\x20\xd8\x0f\x22\xd8",
					 "\x0f\x01\x38",
					 "\x0f\x01\x3f",
					 "\x0f\x06",
					 "\xfb\x90",
					 "\xfa",
					 "\xe6\xb2",
					 "\xe4\x60",
					 "\xe6\xe9",
					 "\x0f\x20\xc0\x0f\x22\xc0",
					 "\x0f\x20\xe0\x35\x80\x01\x01\x01\x25\xb0\x07\x30\x01\x0f\x22\xe0",
					 "\x0f\x01\x18",
					 "\x0f\x32",
					 "\x0f\x21\xf8\x0f\x23\xf8",
					 "\x0f\xaa",
					 "\x0f\x09",
					 "\xf4"};
	const char *o = op[pick(f, 6) ? pick(f, 10) : pick(f, ARRAY_LEN(op))];

	emit(f, o, strlen(o));
}

static void emit_sse(struct fuzz *f)
{
	static const char *const op[] = {"\x0f\x10\x04\x25",	 "\x0f\x11\x04\x25", "\x66\x0f\x6f\x04\x25",
					 "\x66\x0f\x7f\x04\x25", "\x0f\xae\x04\x25", "\x0f\xae\x0c\x25",
					 "\x66\x0f\xef\x04\x25"};
	const char *o = op[pick(f, 7)];

	emit(f, o, strlen(o));
	emit32(f, address(f));
}

static void emit_odd(struct fuzz *f)
{
	switch (pick(f, 6)) {
	case 0: /* 16 bytes */
		for (unsigned i = 0; i < 15; i++)
			OPS(f, "\x66");
		OPS(f, "\x90");
		return;
	case 1: /* whatever */
		for (unsigned i = pick(f, 6); i--;)
			f->code[f->n++] = (uint8_t)rng_next(&f->r);
		return;
	case 2: /* its own next bytes: mov byte [rip], imm (or an address, outside 64-bit mode) */
		OPS(f, "\xc6\x05\x02\x00\x00\x00");
		f->code[f->n++] = (uint8_t)rng_next(&f->r);
		return;
	case 3: /* off the slot: jmp to its last bytes */
		OPS(f, "\x68");
		emit32(f, RAM - 1 - pick(f, 24));
		OPS(f, "\xc3");
		return;
	case 4: /* lock */
		OPS(f, "\xf0");
		emit_access(f);
		return;
	default: /* a short loop */
		OPS(f, "\xb9");
		emit32(f, 1 + pick(f, 30));
		OPS(f, "\xff\xc9\x75\xfc");
		return;
	}
}

static void emit_one(struct fuzz *f)
{
	static void (*const by_chance[])(struct fuzz *) = {
	    emit_access, emit_access, emit_access, emit_access, emit_access,	  emit_plain, emit_plain,
	    emit_plain,	 emit_load,   emit_load,   emit_string, emit_table_write, emit_sse};
	size_t from = f->n;
	unsigned what = pick(f, 32);

	if (!pick(f, 6)) { /* jump over what comes */
		f->code[f->n++] = (uint8_t)(0x70 | pick(f, 16));
		f->n++;
	}
	if (what == 0)
		emit_odd(f);
	else if (what < 4 && f->cpl == 0)
		emit_system(f);
	else
		by_chance[pick(f, ARRAY_LEN(by_chance))](f);
	if (f->code[from] >> 4 == 7 && f->n > from + 2 && f->n - from < 100)
		f->code[from + 1] = (uint8_t)(f->n - from - 2);
}

static void make_code(struct fuzz *f)
{
	uint8_t code[0x1200] = {0};
	size_t want = 200 + pick(f, 2000);

	f->code = code;
	f->n = 0;
	while (f->n < want)
		emit_one(f);
	OPS(f, "\xbc"); /* mov esp, STACK: what was pushed and never popped is forgotten */
	emit32(f, f->cpl ? STACK : KSTACK);
	OPS(f, "\xe9");
	emit32(f, (uint32_t)(0 - (f->n + 4)));
	put(f, CODE, code, f->n);
	put(f, SMM_CODE, "\x66\x40\x0f\xaa", 4);
	f->code = NULL;
}

/* ---- entering */

static struct seg segment(uint16_t selector, uint8_t type, uint8_t dpl, bool l)
{
	return (struct seg){.limit = ~0u,
			    .selector = selector,
			    .type = type,
			    .s = true,
			    .present = true,
			    .l = l,
			    .db = !l,
			    .g = true,
			    .dpl = dpl};
}

static void enter_protected(struct fuzz *f, struct regs *r)
{
	bool l = f->mode >= LONG;
	uint8_t dpl = (uint8_t)f->cpl;

	r->seg[SEG_CS] = segment(l ? (dpl ? 0x23 : 8) : (dpl ? 0x43 : 0x38), 11, dpl, l);
	for (unsigned i = 0; i < SEG_COUNT; i++)
		if (i != SEG_CS)
			r->seg[i] = segment(dpl ? 0x1b : 0x10, 3, dpl, false);
	r->tr = (struct seg){.base = TSS, .limit = 0x67, .selector = 0x28, .type = 11, .present = true};
	r->gdt = (struct desc_table){GDT, 0x5f};
	r->idt = (struct desc_table){IDT, pick(f, 12) ? 0x3ff : pick(f, 0x100)};
	r->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | (f->mode >= PAGE32 ? CR0_PG : 0) | (pick(f, 2) ? CR0_WP : 0);
	r->cr3 = f->mode >= PAGE32 ? TABLES : 0;
	r->cr4 = CR4_OSFXSR | CR4_PSE | (f->mode >= PAE ? CR4_PAE : 0) | (f->mode == FIVE ? CR4_LA57 : 0);
	r->efer = EFER_SCE | (f->mode >= PAE ? EFER_NXE : 0) | (l ? EFER_LME | EFER_LMA : 0);
}

static void enter(struct fuzz *f, unsigned vcpu)
{
	struct regs r;
	struct err e;

	if (machine_get_regs(f->m, vcpu, REGS_ALL, &r, &e))
		return;
	memset(r.gpr, 0, sizeof(r.gpr));
	for (unsigned i = 0; i < 8; i++)
		r.gpr[i] = address(f);
	r.gpr[RSP] = f->cpl ? STACK : KSTACK;
	r.rip = CODE;
	r.rflags = RFLAGS_FIXED | (pick(f, 16) ? 0 : RFLAGS_TF);
	r.halted = false;
	r.msr.lstar = HANDLERS + 6 * 16;
	r.msr.star = 0x0013000800000000ull;
	if (f->mode != REAL) {
		enter_protected(f, &r);
	} else {
		for (unsigned i = 0; i < SEG_COUNT; i++)
			r.seg[i].base = r.seg[i].selector = 0;
		r.idt = (struct desc_table){0, 0x3ff};
	}
	(void)!machine_set_regs(f->m, vcpu, REGS_ALL & ~REGS_EVENTS, &r, &e);
}

static void begin_again(struct fuzz *f)
{
	struct err e;

	if (machine_parked(f->m, NULL) || machine_reset(f->m, &e))
		return;
	if (!pick(f, 3))
		make_code(f);
	if (!pick(f, 3) || machine_position(f->m) < f->started + 20) { /* nothing much can come of these tables */
		make_idt(f);
		if (f->mode >= PAGE32)
			make_tables(f);
	}
	f->started = machine_position(f->m);
	for (unsigned i = 0; i < f->vcpus; i++)
		enter(f, i);
}

/* ---- what a debugger does in between */

static void change_slots(struct fuzz *f)
{
	static const struct slot_spec specs[] = {{.id = 1, .gpa = ROM_GPA, .size = 0x4000, .flags = SLOT_READONLY},
						 {.id = 2, .gpa = HIGH_GPA, .size = 0x210000, .flags = SLOT_LOG_DIRTY},
						 {.id = 3, .gpa = SMRAM_GPA, .size = 0x2000, .flags = SLOT_SMRAM},
						 {.id = 4, .gpa = HIGH_GPA, .size = 0x200000, .huge = true},
						 {.id = 0, .gpa = 0, .size = RAM}};
	uint32_t id = pick(f, 5);
	uint64_t *bits = NULL;
	size_t words;
	struct err e;

	switch (pick(f, 6)) {
	case 0:
		(void)!machine_slot_delete(f->m, pick(f, 8) ? 1 + pick(f, 4) : 0, NULL, &e);
		break;
	case 1:
		(void)!machine_slot_move(f->m, id, pick(f, 2) ? 0x400000 + 0x1000ull * pick(f, 16) : ROM_GPA, NULL, &e);
		break;
	case 2:
		(void)!machine_slot_flags(f->m, id, pick(f, 4), pick(f, 4), 0, NULL, &e);
		break;
	case 3:
		if (!machine_slot_dirty(f->m, id, pick(f, 2), &bits, &words, &e))
			free(bits);
		break;
	default:
		(void)!machine_slot_add(f->m, &specs[pick(f, ARRAY_LEN(specs))], NULL, &e);
		break;
	}
}

static void use_memory(struct fuzz *f)
{
	uint8_t buf[256];
	struct memop op = {.op = pick(f, 8),
			   .flags = pick(f, 8),
			   .gva = address(f),
			   .size = 1 + pick(f, sizeof(buf)),
			   .buf = buf,
			   .old = buf,
			   .key = (uint8_t)pick(f, 17)};
	struct memop_result r;
	struct err e;

	memset(buf, (int)pick(f, 256), sizeof(buf));
	switch (pick(f, 4)) {
	case 0:
		(void)!machine_memop(f->m, pick(f, f->vcpus), &op, &r, &e);
		break;
	case 1:
		(void)!machine_write_gva(f->m, 0, address(f), buf, pick(f, sizeof(buf)), &e);
		break;
	case 2:
		(void)!machine_read_gva(f->m, 0, address(f), buf, pick(f, sizeof(buf)), &e);
		break;
	default:
		spoil_table(f);
		break;
	}
}

static void save_or_restore(struct fuzz *f)
{
	struct checkpoint *c = NULL;
	struct err e;

	if (!f->store && page_store_create(&f->store, &e))
		return;
	if (f->saved && pick(f, 2)) {
		if (checkpoint_restore(f->m, f->saved, &e) && e.code != -EBUSY)
			die(f, e.why);
		return;
	}
	if (checkpoint_take(f->store, f->m, f->saved, &c, &e))
		return;
	checkpoint_drop(f->saved);
	f->saved = c;
}

static void look_around(struct fuzz *f)
{
	struct shadow_page_list pages = {0};
	struct spte_list sptes = {0};
	struct rmap_list rmaps = {0};
	struct mmio_info_list mmio = {0};
	struct root_list roots = {0};
	struct err e;

	(void)!machine_shadow_pages(f->m, 0, &pages, &e);
	(void)!machine_sptes(f->m, pick(f, f->vcpus), 0, 0x7fffff, &sptes, &e);
	(void)!machine_rmap_all(f->m, &rmaps, &e);
	(void)!machine_mmio(f->m, &mmio, &e);
	(void)!machine_roots(f->m, &roots, &e);
	shadow_page_list_free(&pages);
	spte_list_free(&sptes);
	rmap_list_free(&rmaps);
	mmio_info_list_free(&mmio);
	root_list_free(&roots);
}

static void stop_at_things(struct fuzz *f)
{
	struct plant p = {
	    .id = 1 + (int)pick(f, 3), .kind = (enum plant_kind)pick(f, 5), .addr = address(f), .len = 1 + pick(f, 16)};
	struct fault_filter filter = {.all = !pick(f, 3), .gva = pick(f, 2), .first = address(f) >> 12, .last = 0x400};
	struct err e;

	if (p.kind == PLANT_EXEC)
		p.addr = CODE + pick(f, 0x400);
	switch (pick(f, 4)) {
	case 0:
		(void)!machine_unplant(f->m, p.id, &e);
		(void)!machine_plant(f->m, &p, &e);
		break;
	case 1:
		(void)!machine_unplant(f->m, p.id, &e);
		break;
	case 2:
		(void)!machine_catch(f->m, pick(f, 3) ? 0 : pick(f, 32), &e);
		break;
	default:
		(void)!machine_fault_catch(f->m, &filter, !pick(f, 3), &e);
		break;
	}
}

static void interrupt_it(struct fuzz *f)
{
	const struct guest_fault fault = {.present = true,
					  .vector = pick(f, 32),
					  .has_error = pick(f, 2),
					  .error_code = pick(f, 32),
					  .address = address(f)};
	struct err e;

	if (pick(f, 2))
		(void)!machine_smi(f->m, pick(f, f->vcpus), &e);
	else
		(void)!machine_inject(f->m, pick(f, f->vcpus), &fault, &e);
}

static void meddle(struct fuzz *f)
{
	static void (*const by_chance[])(struct fuzz *) = {change_slots, use_memory,   use_memory,    save_or_restore,
							   look_around,	 interrupt_it, stop_at_things};

	by_chance[pick(f, ARRAY_LEN(by_chance))](f);
}

/* ---- running */

static void stop_now(void *ctx)
{
	machine_interrupt(ctx);
}

/* One run, up to a few hundred instructions. */
static void run(struct fuzz *f)
{
	struct stop stop = {.reason = STOP_NONE};
	struct err e = {0};
	int rc;

	if (pick(f, 5) == 0 && machine_parked(f->m, NULL)) {
		rc = machine_fault_step(f->m, &stop, &e);
	} else if (pick(f, 8)) {
		rc = machine_run(f->m, RUN_STEP, pick(f, f->vcpus), 1 + pick(f, 300), &stop, &e);
	} else {
		machine_mark(f->m, machine_position(f->m) + 50 + pick(f, 600), stop_now, f->m);
		rc = machine_run(f->m, RUN_CONTINUE, 0, 1, &stop, &e);
		machine_mark(f->m, 0, NULL, NULL);
	}
	if (fuzz_verbose)
		fprintf(stderr, "  %d %s at %#llx, position %llu %s\n", rc, stop_reason_name(stop.reason),
			(unsigned long long)stop.rip, (unsigned long long)machine_position(f->m), stop.error);
	if (stop.reason == STOP_SHUTDOWN || stop.reason == STOP_ERROR || stop.reason == STOP_HLT ||
	    stop.reason == STOP_EXIT || (stop.reason == STOP_EXCEPTION && pick(f, 2)))
		begin_again(f);
}

static void open_machine(struct fuzz *f)
{
	static const struct slot_spec ram = {.size = RAM},
				      rom = {.id = 1, .gpa = ROM_GPA, .size = 0x4000, .flags = SLOT_READONLY},
				      high = {.id = 2, .gpa = HIGH_GPA, .size = 0x210000, .flags = SLOT_LOG_DIRTY};
	struct machine_config cfg = {
	    .vcpus = pick(f, 3) ? 1 : 1 + pick(f, 3), .mmio_sptes = pick(f, 2), .emulated_kernel = !pick(f, 4)};
	struct err e;

	f->vcpus = cfg.vcpus;
	f->mode = (enum mode)pick(f, MODES);
	if (pick(f, 3) == 0)
		f->mode = LONG;
	f->cpl = f->mode != REAL && pick(f, 2) ? 3 : 0;
	if (machine_create(&soft_backend, &cfg, &f->m, &e) || machine_slot_add(f->m, &ram, NULL, &e) ||
	    machine_slot_add(f->m, &rom, NULL, &e) || machine_slot_add(f->m, &high, NULL, &e))
		abort();
}

uint64_t fuzz_machine(uint64_t seed)
{
	struct fuzz f = {.r = rng_of(seed)};
	uint64_t done = 0;
	const char *wrong;

	open_machine(&f);
	make_gdt(&f);
	make_idt(&f);
	make_tables(&f);
	for (unsigned i = pick(&f, 3) ? 0 : 1 + pick(&f, 6); i--;)
		spoil_table(&f);
	make_code(&f);
	begin_again(&f);
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t before = machine_position(f.m);
		run(&f);
		done += machine_position(f.m) - before;
		wrong = soft_check(f.m);
		if (wrong)
			die(&f, wrong);
		if (pick(&f, 2))
			meddle(&f);
		wrong = soft_check(f.m);
		if (wrong)
			die(&f, wrong);
	}
	checkpoint_drop(f.saved);
	machine_destroy(f.m);
	page_store_destroy(f.store);
	return done;
}
