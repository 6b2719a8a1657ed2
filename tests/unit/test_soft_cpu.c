/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The soft CPU by instruction: bytes, state before, state after, in 16, 32 and 64 bit; exceptions through the guest's own
 * tables; single steps, breakpoints, code that changes itself or crosses pages, SMM. Runs anywhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/machine.h"
#include "core/mem/paging.h"
#include "core/soft/soft.h"

#define MiB 0x100000ull
enum {
	GDT = 0x500,
	TSS = 0x600,
	IDT = 0x4000,
	CODE = 0x8000,
	HANDLERS = 0x9000, /* 16 bytes a vector: hlt */
	STACK = 0xb000,
	KSTACK = 0xd000,
	CR3 = 0x10000,
};
enum mode { REAL, PROT, LONG };

struct cpu {
	struct machine *m;
	enum mode mode;
	struct stop stop;
	struct regs r;
};

static void ok(int rc, const struct err *e)
{
	if (rc)
		fail_msg("%s: %s", e->what, e->why);
}

static void poke(struct cpu *c, uint64_t gpa, const void *bytes, size_t n)
{
	struct err e = {0};

	ok(machine_write(c->m, gpa, false, bytes, n, &e), &e);
}

static void poke64(struct cpu *c, uint64_t gpa, uint64_t v)
{
	poke(c, gpa, &v, 8);
}

static uint64_t peek(struct cpu *c, uint64_t gpa, unsigned n)
{
	struct err e = {0};
	uint64_t v = 0;

	ok(machine_read(c->m, gpa, false, &v, n, &e), &e);
	return v;
}

static void get(struct cpu *c)
{
	struct err e = {0};

	ok(machine_get_regs(c->m, 0, REGS_ALL, &c->r, &e), &e);
}

static void set(struct cpu *c, uint32_t parts)
{
	struct err e = {0};

	ok(machine_set_regs(c->m, 0, parts, &c->r, &e), &e);
}

static enum stop_reason run(struct cpu *c, enum run_kind kind, uint64_t n)
{
	struct err e = {0};

	ok(machine_run(c->m, kind, 0, n, &c->stop, &e), &e);
	get(c);
	return c->stop.reason;
}

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

/* 8, 0x10: 64-bit code, data; 0x1b, 0x23: user data, code; 0x28 TSS; 0x38, 0x43: 32-bit code; 0x48: not present data;
 * 0x50: data of 4 KiB. */
static void tables(struct cpu *c)
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
				       0x0040920000000fff};
	uint16_t ss0 = 0x10;

	poke(c, GDT, gdt, sizeof(gdt));
	poke64(c, TSS + 4, KSTACK);
	if (c->mode == PROT)
		poke(c, TSS + 8, &ss0, 2);
	poke64(c, CR3, (CR3 + 0x1000) | 7);
	poke64(c, CR3 + 0x1000, (CR3 + 0x2000) | 7);
	poke64(c, CR3 + 0x2000, (CR3 + 0x3000) | 7);
	for (uint64_t i = 0; i < MiB >> 12; i++)
		poke64(c, CR3 + 0x3000 + i * 8, i << 12 | 7);
}

static void gate(struct cpu *c, unsigned v, uint64_t at)
{
	uint64_t access = v == 3 || v == 0x40 ? 0xee : 0x8e;

	poke(c, at, "\xf4", 1);
	if (c->mode == REAL) {
		uint16_t entry[2] = {(uint16_t)at, 0};
		poke(c, v * 4, entry, 4);
	} else {
		uint64_t sel = c->mode == LONG ? 8 : 0x38;
		poke64(c, IDT + v * (c->mode == LONG ? 16 : 8), (at & 0xffff) | sel << 16 | access << 40 | (at >> 16) << 48);
	}
}

static void enter(struct cpu *c, unsigned cpl)
{
	get(c);
	c->r.rip = CODE;
	c->r.rflags = RFLAGS_FIXED;
	c->r.gpr[RSP] = cpl ? STACK : KSTACK;
	c->r.idt = c->mode == REAL ? (struct desc_table){0, 0x3ff} : (struct desc_table){IDT, 0x7ff};
	if (c->mode == REAL) {
		c->r.seg[SEG_CS].base = c->r.seg[SEG_CS].selector = 0;
	} else {
		bool l = c->mode == LONG;
		c->r.seg[SEG_CS] = segment(l ? (cpl ? 0x23 : 8) : (cpl ? 0x43 : 0x38), 11, (uint8_t)cpl, l);
		c->r.seg[SEG_SS] = segment(cpl ? 0x1b : 0x10, 3, (uint8_t)cpl, false);
		c->r.seg[SEG_DS] = c->r.seg[SEG_ES] = c->r.seg[SEG_FS] = c->r.seg[SEG_GS] = c->r.seg[SEG_SS];
		c->r.tr = (struct seg){.base = TSS, .limit = 0x67, .selector = 0x28, .type = 11, .present = true};
		c->r.gdt = (struct desc_table){GDT, 0x57};
		c->r.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | (l ? CR0_PG : 0);
		c->r.cr3 = l ? CR3 : 0;
		c->r.cr4 = CR4_OSFXSR | (l ? CR4_PAE : 0);
		c->r.efer = l ? EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE : 0;
	}
	set(c, REGS_GPR | REGS_SYS);
}

static void open_cpu(struct cpu *c, enum mode mode, unsigned cpl)
{
	const struct machine_config cfg = {.vcpus = 1};
	const struct slot_spec ram = {.size = MiB};
	struct err e = {0};

	memset(c, 0, sizeof(*c));
	c->mode = mode;
	ok(machine_create(&soft_backend, &cfg, &c->m, &e), &e);
	ok(machine_slot_add(c->m, &ram, NULL, &e), &e);
	tables(c);
	for (unsigned v = 0; v < 32; v++)
		gate(c, v, HANDLERS + v * 16);
	gate(c, 0x40, HANDLERS + 0x400);
	enter(c, cpl);
}

static void close_cpu(struct cpu *c)
{
	machine_destroy(c->m);
}

#define CODE_AT(C, AT, BYTES) poke(C, AT, BYTES, sizeof(BYTES) - 1)
#define RUN(C, BYTES) (CODE_AT(C, CODE, BYTES "\xf4"), run(C, RUN_CONTINUE, 1))

/* ---- the table: one instruction, rax rcx rdx and flags before and after */

#define C_ RFLAGS_CF
#define P_ RFLAGS_PF
#define A_ RFLAGS_AF
#define Z_ RFLAGS_ZF
#define S_ RFLAGS_SF
#define O_ RFLAGS_OF
#define ARITH (C_ | P_ | A_ | Z_ | S_ | O_)

static const struct {
	enum mode mode;
	const char *what, *bytes;
	unsigned n;
	uint64_t rax, rcx, rdx, flags;
	uint64_t rax2, rcx2, rdx2, flags2, mask;
} table[] = {
#define I(MODE, WHAT, BYTES, A, C, D, F, A2, C2, D2, F2, MASK)                                                              \
	{                                                                                                                   \
		MODE, WHAT, BYTES, sizeof(BYTES) - 1, A, C, D, F, A2, C2, D2, F2, MASK                                      \
	}
    I(LONG, "add al, cl", "\x00\xc8", 0x7f, 1, 0, 0, 0x80, 1, 0, A_ | S_ | O_, ARITH),
    I(LONG, "add eax, ecx clears the upper half", "\x01\xc8", ~0ull, 1, 0, 0, 0, 1, 0, C_ | P_ | A_ | Z_, ARITH),
    I(LONG, "add ax, cx keeps the upper half", "\x66\x01\xc8", 0xabcdffff, 1, 0, 0, 0xabcd0000, 1, 0, C_ | P_ | A_ | Z_,
      ARITH),
    I(LONG, "adc rax, rcx with carry at the edge", "\x48\x11\xc8", 0, ~0ull, 0, C_, 0, ~0ull, 0, C_ | P_ | A_ | Z_, ARITH),
    I(LONG, "sbb ah, ch", "\x18\xec", 0x0000, 0x0100, 0, C_, 0xfe00, 0x100, 0, C_ | A_ | S_, ARITH),
    I(LONG, "inc keeps CF", "\xff\xc0", 0x7fffffff, 0, 0, C_, 0x80000000, 0, 0, C_ | P_ | A_ | S_ | O_, ARITH),
    I(LONG, "neg 0", "\xf7\xd8", 0, 0, 0, C_, 0, 0, 0, P_ | Z_, ARITH),
    I(LONG, "movsxd eax, ecx extends nothing", "\x63\xc1", ~0ull, 0x80000000, 0, 0, 0x80000000, 0x80000000, 0, 0, ARITH),
    I(LONG, "movsxd rax, ecx", "\x48\x63\xc1", 0, 0x80000000, 0, 0, 0xffffffff80000000, 0x80000000, 0, 0, ARITH),
    I(LONG, "shl eax, cl by 33 is by 1", "\xd3\xe0", 0x80000001, 33, 0, 0, 2, 33, 0, C_ | O_, C_ | Z_ | S_ | O_ | P_),
    I(LONG, "shl al, cl by 9", "\xd2\xe0", 0xff, 9, 0, 0, 0, 9, 0, Z_ | P_, Z_ | S_ | P_),
    I(LONG, "shift by 0 keeps flags", "\xd3\xe0", 5, 32, 0, ARITH, 5, 32, 0, ARITH, ARITH),
    I(LONG, "rcl al, cl by 9 is by 0", "\xd2\xd0", 0xa5, 9, 0, C_, 0xa5, 9, 0, C_, C_),
    I(LONG, "ror rax, 1", "\x48\xd1\xc8", 1, 0, 0, 0, 1ull << 63, 0, 0, C_ | O_, C_ | O_),
    I(LONG, "sar by 63", "\x48\xc1\xf8\x3f", 1ull << 63, 0, 0, 0, ~0ull, 0, 0, S_ | P_, C_ | S_ | Z_ | P_),
    I(LONG, "shld ax, dx, 16 gives dx", "\x66\x0f\xa4\xd0\x10", 0x1234, 0, 0x8765, 0, 0x8765, 0, 0x8765, S_ | P_,
      S_ | Z_ | P_),
    I(LONG, "shrd eax, edx, 4", "\x0f\xac\xd0\x04", 0x12345678, 0, 0xf, 0, 0xf1234567, 0, 0xf, C_ | S_, C_ | S_ | Z_),
    I(LONG, "mul ecx", "\xf7\xe1", 0xffffffff, 0xffffffff, 7, 0, 1, 0xffffffff, 0xfffffffe, C_ | O_, C_ | O_),
    I(LONG, "imul eax, ecx, -1", "\x6b\xc1\xff", 0, 0x80000000, 0, 0, 0x80000000, 0x80000000, 0, C_ | O_, C_ | O_),
    I(LONG, "idiv cl: -128 / 1", "\xf6\xf9", 0xff80, 1, 0, 0, 0x0080, 1, 0, 0, 0),
    I(LONG, "div rcx", "\x48\xf7\xf1", 1, 2, 1, 0, 1ull << 63, 2, 1, 0, 0),
    I(LONG, "bsf of 0 keeps the destination", "\x0f\xbc\xc1", 0x77, 0, 0, 0, 0x77, 0, 0, Z_, Z_),
    I(LONG, "tzcnt of 0", "\xf3\x0f\xbc\xc1", 0x77, 0, 0, 0, 32, 0, 0, C_, C_ | Z_),
    I(LONG, "lzcnt", "\xf3\x48\x0f\xbd\xc1", 0, 1, 0, 0, 63, 1, 0, 0, C_ | Z_),
    I(LONG, "popcnt", "\xf3\x0f\xb8\xc1", 0, 0xf0f0, 0, ARITH, 8, 0xf0f0, 0, 0, ARITH),
    I(LONG, "bt eax, ecx takes the index by size", "\x0f\xa3\xc8", 2, 33, 0, 0, 2, 33, 0, C_, C_),
    I(LONG, "btc ax, 15", "\x66\x0f\xba\xf8\x0f", 0, 0, 0, 0, 0x8000, 0, 0, 0, C_),
    I(LONG, "xadd al, cl", "\x0f\xc0\xc8", 5, 7, 0, 0, 12, 5, 0, P_, ARITH),
    I(LONG, "cmpxchg, unequal", "\x0f\xb1\xca", 1, 9, 3, 0, 3, 9, 3, C_ | A_ | S_, C_ | Z_ | S_),
    I(LONG, "cmpxchg, equal", "\x0f\xb1\xca", 3, 9, 3, 0, 3, 9, 9, Z_ | P_, C_ | Z_ | S_),
    I(LONG, "bswap eax", "\x0f\xc8", 0xffffffff12345678, 0, 0, 0, 0x78563412, 0, 0, 0, 0),
    I(LONG, "cmovz not taken clears the upper half", "\x0f\x44\xc1", ~0ull, 1, 0, 0, 0xffffffff, 1, 0, 0, 0),
    I(LONG, "setc", "\x0f\x92\xc0", 0xff00, 0, 0, C_, 0xff01, 0, 0, C_, C_),
    I(LONG, "lahf", "\x9f", 0, 0, 0, C_ | Z_, 0x4300, 0, 0, C_ | Z_, ARITH),
    I(LONG, "sahf", "\x9e", 0xff00, 0, 0, 0, 0xff00, 0, 0, C_ | P_ | A_ | Z_ | S_, ARITH),
    I(LONG, "cdqe", "\x48\x98", 0x80000000, 0, 0, 0, 0xffffffff80000000, 0, 0, 0, 0),
    I(LONG, "cqo", "\x48\x99", 1ull << 63, 0, 5, 0, 1ull << 63, 0, ~0ull, 0, 0),
    I(LONG, "xchg al, ah", "\x86\xc4", 0x1234, 0, 0, 0, 0x3412, 0, 0, 0, 0),
    I(LONG, "long nop with a register", "\x49\x0f\x1f\xc1", 1, 2, 3, 0, 1, 2, 3, 0, 0),
    I(LONG, "endbr64", "\xf3\x0f\x1e\xfa", 1, 2, 3, 0, 1, 2, 3, 0, 0),
    I(LONG, "lea with a 32-bit address", "\x67\x48\x8d\x44\x08\x01", 0xffffffff, 1, 0, 0, 1, 1, 0, 0, 0),
    I(PROT, "add eax, ecx", "\x01\xc8", 0xffffffff, 2, 0, 0, 1, 2, 0, C_ | A_, ARITH),
    I(PROT, "dec ecx, one byte", "\x49", 0, 1, 0, 0, 0, 0, 0, P_ | Z_, ARITH),
    I(PROT, "daa", "\x27", 0x9c, 0, 0, 0, 0x02, 0, 0, C_ | A_, C_ | A_ | Z_ | S_),
    I(PROT, "aam", "\xd4\x0a", 63, 0, 0, 0, 0x0603, 0, 0, P_, Z_ | S_ | P_),
    I(PROT, "aad", "\xd5\x0a", 0x0603, 0, 0, 0, 63, 0, 0, P_, Z_ | S_ | P_),
    I(REAL, "add ax, cx", "\x01\xc8", 0xffff, 2, 0, 0, 1, 2, 0, C_ | A_, ARITH),
    I(REAL, "add eax, ecx", "\x66\x01\xc8", 0xffff, 2, 0, 0, 0x10001, 2, 0, A_, ARITH),
    I(REAL, "loop by cx", "\xe2\x00", 0, 0x10001, 0, 0, 0, 0x10000, 0, 0, 0),
    I(REAL, "aaa", "\x37", 0x0b, 0, 0, 0, 0x0101, 0, 0, C_ | A_, C_ | A_),
    I(REAL, "imul cx", "\xf7\xe9", 0xffff, 2, 0, 0, 0xfffe, 2, 0xffff, 0, C_ | O_),
};

static void one(unsigned i)
{
	struct cpu c;

	open_cpu(&c, table[i].mode, 0);
	poke(&c, CODE, table[i].bytes, table[i].n);
	c.r.gpr[RAX] = table[i].rax;
	c.r.gpr[RCX] = table[i].rcx;
	c.r.gpr[RDX] = table[i].rdx;
	c.r.rflags |= table[i].flags;
	set(&c, REGS_GPR);
	enum stop_reason why = run(&c, RUN_STEP, 1);
	if (why != STOP_STEP || c.r.gpr[RAX] != table[i].rax2 || c.r.gpr[RCX] != table[i].rcx2 ||
	    c.r.gpr[RDX] != table[i].rdx2 || (c.r.rflags & table[i].mask) != (table[i].flags2 & table[i].mask) ||
	    c.r.rip != CODE + table[i].n)
		fail_msg("%s: %s, rax %#llx rcx %#llx rdx %#llx flags %#llx rip %#llx", table[i].what, stop_reason_name(why),
			 (unsigned long long)c.r.gpr[RAX], (unsigned long long)c.r.gpr[RCX],
			 (unsigned long long)c.r.gpr[RDX], (unsigned long long)c.r.rflags, (unsigned long long)c.r.rip);
	close_cpu(&c);
}

static void test_table(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(table); i++)
		one(i);
}

/* ---- exceptions */

/* In the handler of which vector did it halt? */
static int handler(const struct cpu *c)
{
	uint64_t at = c->r.rip - 1;

	if (c->stop.reason != STOP_HLT || at < HANDLERS || at >= HANDLERS + 0x200)
		return -1;
	return (int)((at - HANDLERS) / 16);
}

static void expect_vector(enum mode mode, unsigned cpl, const char *bytes, size_t n, int vector, int64_t error)
{
	struct cpu c;

	open_cpu(&c, mode, cpl);
	poke(&c, CODE, bytes, n);
	run(&c, RUN_CONTINUE, 1);
	if (handler(&c) != vector)
		fail_msg("mode %d cpl %u %02x %02x: handler %d, not %d (%s at %#llx)", mode, cpl, (uint8_t)bytes[0],
			 (uint8_t)bytes[1], handler(&c), vector, stop_reason_name(c.stop.reason),
			 (unsigned long long)c.r.rip);
	if (error >= 0)
		assert_int_equal(peek(&c, c.r.gpr[RSP], 4), error);
	/* The pushed rip is the faulting instruction's. */
	unsigned word = mode == LONG ? 8 : mode == PROT ? 4 : 2;
	assert_int_equal(peek(&c, c.r.gpr[RSP] + (error >= 0 ? word : 0), word), CODE);
	close_cpu(&c);
}
#define VECTOR(MODE, CPL, BYTES, V, E) expect_vector(MODE, CPL, BYTES, sizeof(BYTES) - 1, V, E)

static void test_exceptions(void **state)
{
	(void)state;
	VECTOR(REAL, 0, "\x0f\x0b", 6, -1);
	VECTOR(REAL, 0, "\xf7\xf2", 0, -1);		     /* div dx of 0 */
	VECTOR(REAL, 0, "\x67\xa1\x00\x00\x01\x00", 13, -1); /* beyond the segment */
	VECTOR(PROT, 0, "\x0f\x0b", 6, -1);
	VECTOR(PROT, 3, "\x0f\x0b", 6, -1);
	VECTOR(PROT, 3, "\xf4", 13, 0); /* hlt */
	VECTOR(PROT, 3, "\xfa", 13, 0); /* cli */
	VECTOR(LONG, 0, "\x0f\x0b", 6, -1);
	VECTOR(LONG, 3, "\x0f\x0b", 6, -1);
	VECTOR(LONG, 3, "\x0f\x01\x38", 13, 0);				/* invlpg */
	VECTOR(LONG, 3, "\xa1\x00\x00\x20\x00\x00\x00\x00\x00", 14, 4); /* not present, by a user */
	VECTOR(LONG, 3, "\xa3\x00\x00\x20\x00\x00\x00\x00\x00", 14, 6);
	VECTOR(LONG, 0, "\xa3\x00\x00\x20\x00\x00\x00\x00\x00", 14, 2);
	VECTOR(LONG, 0, "\xa1\x00\x00\x00\x00\x00\x00\x00\x80", 13, 0); /* not canonical */
	VECTOR(LONG, 0, "\xcd\x50", 13, 0x50 * 8 + 2);			/* beyond what is present: no gate there */
	VECTOR(LONG, 3, "\xcd\x06", 13, 6 * 8 + 2);			/* the gate's DPL */
	VECTOR(LONG, 0, "\x0f\xff\xc0", 6, -1);				/* ud0 */
	VECTOR(LONG, 0, "\xd6", 6, -1);					/* salc is none in 64-bit code */
	VECTOR(LONG, 0, "\xf0\x90", 6, -1);				/* lock nop */
}

static void load_ds(enum mode mode, unsigned cpl, uint16_t selector, int vector, int64_t error)
{
	struct cpu c;

	open_cpu(&c, mode, cpl);
	CODE_AT(&c, CODE, "\x8e\xd8");
	c.r.gpr[RAX] = selector;
	set(&c, REGS_GPR);
	run(&c, vector < 0 ? RUN_STEP : RUN_CONTINUE, 1);
	if (vector < 0) {
		assert_int_equal(c.stop.reason, STOP_STEP);
		assert_int_equal(c.r.seg[SEG_DS].selector, selector);
	} else {
		assert_int_equal(handler(&c), vector);
		assert_int_equal(peek(&c, c.r.gpr[RSP], 4), error);
	}
	close_cpu(&c);
}

static void test_segment_loads(void **state)
{
	(void)state;
	load_ds(PROT, 0, 0x10, -1, 0);
	load_ds(PROT, 0, 0x50, -1, 0);
	load_ds(PROT, 0, 0, -1, 0); /* null is allowed, using it is not */
	load_ds(PROT, 0, 0x48, 11, 0x48);
	load_ds(PROT, 0, 0x58, 13, 0x58); /* beyond the table */
	load_ds(PROT, 0, 0x28, 13, 0x28); /* a TSS */
	load_ds(PROT, 3, 0x10, 13, 0x10); /* too privileged */
	load_ds(PROT, 3, 0x1b, -1, 0);
	load_ds(LONG, 0, 0x48, 11, 0x48);
}

static void test_limit(void **state)
{
	struct cpu c;

	(void)state;
	open_cpu(&c, PROT, 0);
	/* mov ax, 0x50; mov ds, ax; mov eax, [0xffc]; mov eax, [0xffd] */
	CODE_AT(&c, CODE, "\x66\xb8\x50\x00\x8e\xd8\xa1\xfc\x0f\x00\x00\xa1\xfd\x0f\x00\x00");
	run(&c, RUN_CONTINUE, 1);
	assert_int_equal(handler(&c), 13);
	assert_int_equal(peek(&c, c.r.gpr[RSP] + 4, 4), CODE + 11);
	close_cpu(&c);
}

static void test_double_fault(void **state)
{
	struct cpu c;

	(void)state;
	open_cpu(&c, LONG, 0);
	poke64(&c, IDT + 14 * 16, 0); /* #PF has no gate: #NP? no, a type that is none is #GP, and #PF then #GP is #DF */
	CODE_AT(&c, CODE, "\xa1\x00\x00\x20\x00\x00\x00\x00\x00");
	run(&c, RUN_CONTINUE, 1);
	assert_int_equal(handler(&c), 8);
	assert_int_equal(peek(&c, c.r.gpr[RSP], 8), 0);
	close_cpu(&c);
	open_cpu(&c, LONG, 0);
	poke64(&c, IDT + 14 * 16, 0);
	poke64(&c, IDT + 8 * 16, 0);
	CODE_AT(&c, CODE, "\xa1\x00\x00\x20\x00\x00\x00\x00\x00");
	assert_int_equal(run(&c, RUN_CONTINUE, 1), STOP_SHUTDOWN);
	assert_int_equal(c.r.rip, CODE);
	assert_int_equal(c.r.cr2, 0x200000);
	close_cpu(&c);
}

static void test_empty_idt(void **state)
{
	struct cpu c;

	(void)state;
	open_cpu(&c, LONG, 3);
	c.r.idt.limit = 0;
	set(&c, REGS_SYS);
	CODE_AT(&c, CODE, "\x48\x89\x04\x25\x78\x56\x34\x00"); /* mov [0x345678], rax */
	assert_int_equal(run(&c, RUN_CONTINUE, 1), STOP_EXCEPTION);
	assert_int_equal(c.stop.vector, 14);
	assert_int_equal(c.stop.error_code, 6);
	assert_int_equal(c.stop.cr2, 0x345678);
	assert_int_equal(c.r.rip, CODE);
	close_cpu(&c);
}

/* ---- frames there and back */

static void test_int_and_iret(void **state)
{
	static const enum mode modes[] = {REAL, PROT, LONG};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct cpu c;
		open_cpu(&c, modes[i], 0);
		CODE_AT(&c, HANDLERS + 0x400, "\x41\x48\xcf"); /* inc cx, dec ax, iret; in 64 bit: rex.b rex.w iretq */
		if (modes[i] == LONG)
			CODE_AT(&c, HANDLERS + 0x400, "\xff\xc1\x48\xcf");
		CODE_AT(&c, CODE, "\xcd\x40\xf4");
		uint64_t sp = c.r.gpr[RSP];
		assert_int_equal(run(&c, RUN_CONTINUE, 1), STOP_HLT);
		assert_int_equal(c.r.rip, CODE + 3);
		assert_int_equal(c.r.gpr[RSP], sp);
		assert_int_equal(c.r.gpr[RCX], 1);
		close_cpu(&c);
	}
}

static void test_inner_and_outer(void **state)
{
	static const enum mode modes[] = {PROT, LONG};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct cpu c;
		open_cpu(&c, modes[i], 3);
		CODE_AT(&c, HANDLERS + 0x400, "\x90\x48\xcf");
		if (modes[i] == PROT)
			CODE_AT(&c, HANDLERS + 0x400, "\x90\x90\xcf");
		CODE_AT(&c, CODE, "\xcd\x40\x0f\x0b");
		run(&c, RUN_STEP, 1);
		assert_int_equal(regs_cpl(&c.r), 0);
		assert_int_equal(c.r.rip, HANDLERS + 0x400);
		unsigned word = modes[i] == LONG ? 8 : 4;
		assert_int_equal(c.r.gpr[RSP], KSTACK - 5 * word);
		assert_int_equal(peek(&c, KSTACK - word, word), 0x1b);
		assert_int_equal(peek(&c, KSTACK - 2 * word, word), STACK);
		run(&c, RUN_STEP, modes[i] == LONG ? 2 : 3);
		assert_int_equal(regs_cpl(&c.r), 3);
		assert_int_equal(c.r.rip, CODE + 2);
		assert_int_equal(c.r.gpr[RSP], STACK);
		assert_int_equal(c.r.seg[SEG_SS].selector, 0x1b);
		close_cpu(&c);
	}
}

static void test_syscall(void **state)
{
	struct cpu c;

	(void)state;
	open_cpu(&c, LONG, 3);
	c.r.msr.star = 0x0010000800000000ull | 0x0010ull << 48; /* SYSCALL 8, 0x10; SYSRET 0x10 + 16 = 0x20, SS 0x18 */
	c.r.msr.lstar = HANDLERS + 0x500;
	c.r.msr.sfmask = RFLAGS_CF;
	c.r.rflags |= RFLAGS_CF | RFLAGS_ZF;
	set(&c, REGS_MSR | REGS_GPR);
	CODE_AT(&c, CODE, "\x0f\x05\x90");
	CODE_AT(&c, HANDLERS + 0x500, "\x48\x0f\x07");
	run(&c, RUN_STEP, 1);
	assert_int_equal(c.r.rip, HANDLERS + 0x500);
	assert_int_equal(regs_cpl(&c.r), 0);
	assert_int_equal(c.r.gpr[RCX], CODE + 2);
	assert_int_equal(c.r.gpr[R11] & (RFLAGS_CF | RFLAGS_ZF), RFLAGS_CF | RFLAGS_ZF);
	assert_int_equal(c.r.rflags & (RFLAGS_CF | RFLAGS_ZF), RFLAGS_ZF);
	run(&c, RUN_STEP, 1);
	assert_int_equal(c.r.rip, CODE + 2);
	assert_int_equal(regs_cpl(&c.r), 3);
	assert_int_equal(c.r.seg[SEG_CS].selector, 0x23);
	assert_int_equal(c.r.rflags & RFLAGS_CF, RFLAGS_CF);
	close_cpu(&c);
}

/* ---- traps */

static void test_trap_flag(void **state)
{
	struct cpu c;

	(void)state;
	open_cpu(&c, LONG, 0);
	c.r.rflags |= RFLAGS_TF;
	set(&c, REGS_GPR);
	assert_int_equal(RUN(&c, "\x90\x90"), STOP_HLT);
	assert_int_equal(handler(&c), 1);
	assert_int_equal(peek(&c, c.r.gpr[RSP], 8), CODE + 1);
	assert_true(c.r.dr[6] >> 14 & 1);
	close_cpu(&c);
}

static void test_mov_ss_shadow(void **state)
{
	struct cpu c;

	(void)state;
	open_cpu(&c, PROT, 0);
	c.r.rflags |= RFLAGS_TF;
	c.r.gpr[RAX] = 0x10;
	set(&c, REGS_GPR);
	assert_int_equal(RUN(&c, "\x8e\xd0\x90\x90"), STOP_HLT); /* mov ss, eax; nop; nop */
	assert_int_equal(handler(&c), 1);
	assert_int_equal(peek(&c, c.r.gpr[RSP], 4), CODE + 3);
	close_cpu(&c);
}

static void test_sti_shadow(void **state)
{
	struct cpu c;

	(void)state;
	open_cpu(&c, LONG, 0);
	CODE_AT(&c, CODE, "\xfb\x90\xf4");
	run(&c, RUN_STEP, 1);
	assert_true(c.r.sti_shadow);
	assert_true(c.r.rflags & RFLAGS_IF);
	run(&c, RUN_STEP, 1);
	assert_false(c.r.sti_shadow);
	close_cpu(&c);
}

static void test_debug_registers(void **state)
{
	struct cpu c;

	(void)state;
	open_cpu(&c, LONG, 0);
	c.r.dr[0] = CODE + 2;
	c.r.dr[7] = 0x401; /* execute */
	set(&c, REGS_DEBUG);
	assert_int_equal(RUN(&c, "\x90\x90\x90"), STOP_HLT);
	assert_int_equal(handler(&c), 1);
	assert_int_equal(peek(&c, c.r.gpr[RSP], 8), CODE + 2);
	assert_true(c.r.dr[6] & 1);
	close_cpu(&c);
	open_cpu(&c, LONG, 0);
	c.r.dr[1] = 0x5000;
	c.r.dr[7] = 0x400 | 4 | 1u << 20 | 3u << 22; /* write of 4 bytes */
	set(&c, REGS_DEBUG);
	/* mov eax, [0x5000]; mov [0x5002], al; nop */
	assert_int_equal(RUN(&c, "\x8b\x04\x25\x00\x50\x00\x00\x88\x04\x25\x02\x50\x00\x00\x90"), STOP_HLT);
	assert_int_equal(handler(&c), 1);
	assert_int_equal(peek(&c, c.r.gpr[RSP], 8), CODE + 14);
	assert_true(c.r.dr[6] & 2);
	close_cpu(&c);
}

/* ---- code */

static void test_self_modifying(void **state)
{
	struct cpu c;

	(void)state;
	open_cpu(&c, LONG, 0);
	/* mov byte [rip+1], 0xc3: the next instruction, mov al, 1, becomes mov bl-ish; here its immediate changes */
	assert_int_equal(RUN(&c, "\xc6\x05\x01\x00\x00\x00\x55\xb0\x01"), STOP_HLT);
	assert_int_equal(c.r.gpr[RAX] & 0xff, 0x55);
	close_cpu(&c);
}

static void test_code_across_pages(void **state)
{
	struct cpu c;

	(void)state;
	open_cpu(&c, LONG, 0);
	CODE_AT(&c, 0x8ffd, "\x48\xb8\x88\x77\x66\x55\x44\x33\x22\x11\xf4"); /* mov rax, imm64 */
	c.r.rip = 0x8ffd;
	set(&c, REGS_GPR);
	assert_int_equal(run(&c, RUN_CONTINUE, 1), STOP_HLT);
	assert_true(c.r.gpr[RAX] == 0x1122334455667788);
	close_cpu(&c);
	/* The page behind is missing: its fault, with the address of the page's first byte. */
	open_cpu(&c, LONG, 0);
	CODE_AT(&c, 0xe000 - 3, "\x48\xb8\x88");
	poke64(&c, CR3 + 0x3000 + 0xe * 8, 0);
	c.r.rip = 0xe000 - 3;
	set(&c, REGS_GPR);
	run(&c, RUN_CONTINUE, 1);
	assert_int_equal(handler(&c), 14);
	assert_int_equal(c.r.cr2, 0xe000);
	close_cpu(&c);
	/* What is no instruction whatever follows does not need the page behind. */
	open_cpu(&c, LONG, 0);
	CODE_AT(&c, 0xe000 - 2, "\x0f\x0b");
	poke64(&c, CR3 + 0x3000 + 0xe * 8, 0);
	c.r.rip = 0xe000 - 2;
	set(&c, REGS_GPR);
	run(&c, RUN_CONTINUE, 1);
	assert_int_equal(handler(&c), 6);
	close_cpu(&c);
}

static void test_long_instructions(void **state)
{
	struct cpu c;

	(void)state;
	/* 15 bytes are one, 16 are #GP. */
	open_cpu(&c, LONG, 0);
	CODE_AT(&c, CODE, "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90\xf4");
	assert_int_equal(run(&c, RUN_CONTINUE, 1), STOP_HLT);
	assert_int_equal(c.r.rip, CODE + 16);
	close_cpu(&c);
	open_cpu(&c, LONG, 0);
	CODE_AT(&c, CODE, "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90\xf4");
	run(&c, RUN_CONTINUE, 1);
	assert_int_equal(handler(&c), 13);
	close_cpu(&c);
}

/* A CR3 load lets go of every translation, however many were in use: the last page of n is another one behind it. */
static void flushed_behind(uint64_t n)
{
	const uint64_t last = 0x20 + n - 1;
	struct cpu c;

	open_cpu(&c, LONG, 0);
	poke64(&c, last << 12, 0x1111);
	poke64(&c, 0xf0000, 0x2222);
	c.r.gpr[RSI] = 0x20000;
	c.r.gpr[RCX] = n;
	c.r.gpr[RDI] = CR3 + 0x3000 + last * 8;
	c.r.gpr[RDX] = 0xf0000 | 7;
	set(&c, REGS_GPR);
	/* again: mov rbx, [rsi]; add rsi, 0x1000; dec ecx; jnz again; mov [rdi], rdx; mov rax, cr3; mov cr3, rax;
	 * mov rax, [rsi - 0x1000] */
	assert_int_equal(RUN(&c, "\x48\x8b\x1e\x48\x81\xc6\x00\x10\x00\x00\xff\xc9\x75\xf2\x48\x89\x17\x0f\x20\xd8"
				 "\x0f\x22\xd8\x48\x8b\x86\x00\xf0\xff\xff"),
			 STOP_HLT);
	assert_int_equal(c.r.gpr[RBX], 0x1111);
	assert_int_equal(c.r.gpr[RAX], 0x2222);
	close_cpu(&c);
}

static void test_flush(void **state)
{
	(void)state;
	for (uint64_t n = 1; n < 150; n += n < 56 || n > 70 ? 11 : 1)
		flushed_behind(n);
}

/* A burst of REP MOVS must not read on in host memory where the guest's next page is another one. */
static void test_rep_across_pages(void **state)
{
	struct cpu c;

	(void)state;
	open_cpu(&c, LONG, 0);
	poke64(&c, CR3 + 0x3000 + 0x31 * 8, 0x50000 | 7);
	poke64(&c, 0x30ff8, 0x1111111111111111);
	poke64(&c, 0x31000, 0x2222222222222222);
	poke64(&c, 0x50000, 0x3333333333333333);
	c.r.gpr[RSI] = 0x30ffc;
	c.r.gpr[RDI] = 0x40000;
	c.r.gpr[RCX] = 1;
	set(&c, REGS_GPR);
	assert_int_equal(RUN(&c, "\xf3\x48\xa5"), STOP_HLT);
	assert_true(peek(&c, 0x40000, 8) == 0x3333333311111111);
	close_cpu(&c);
	/* F2 counts too, and a count of 0 does nothing. */
	open_cpu(&c, LONG, 0);
	c.r.gpr[RSI] = 0x30000;
	c.r.gpr[RDI] = 0x40000;
	set(&c, REGS_GPR);
	assert_int_equal(RUN(&c, "\xf2\xa5"), STOP_HLT);
	assert_int_equal(c.r.gpr[RSI], 0x30000);
	close_cpu(&c);
}

static void test_stack_not_canonical(void **state)
{
	struct cpu c;

	(void)state;
	open_cpu(&c, LONG, 0);
	c.r.idt.limit = 0;
	c.r.gpr[RBP] = 1ull << 63;
	set(&c, REGS_GPR | REGS_SYS);
	CODE_AT(&c, CODE, "\x8b\x45\x00"); /* mov eax, [rbp] */
	assert_int_equal(run(&c, RUN_CONTINUE, 1), STOP_EXCEPTION);
	assert_int_equal(c.stop.vector, 12);
	close_cpu(&c);
}

static void test_lacking(void **state)
{
	struct cpu c;

	(void)state;
	open_cpu(&c, LONG, 0);
	CODE_AT(&c, CODE, "\xd8\xc1"); /* fadd */
	assert_int_equal(run(&c, RUN_CONTINUE, 1), STOP_ERROR);
	assert_non_null(strstr(c.stop.error, "fadd"));
	assert_int_equal(c.r.rip, CODE);
	assert_int_equal(c.stop.n_insn, 2);
	close_cpu(&c);
}

static void test_smm(void **state)
{
	struct cpu c;
	struct err e = {0};

	(void)state;
	open_cpu(&c, LONG, 3);
	CODE_AT(&c, 0x38000, "\x0f\xaa"); /* rsm, at SMBASE + 0x8000 */
	CODE_AT(&c, CODE, "\x90\x90");
	c.r.gpr[RAX] = 0x1234567890abcdef;
	set(&c, REGS_GPR);
	ok(machine_smi(c.m, 0, &e), &e);
	get(&c);
	assert_true(c.r.smm);
	assert_int_equal(c.r.rip, 0x8000);
	assert_int_equal(machine_smi(c.m, 0, &e) < 0, 1);
	run(&c, RUN_STEP, 1);
	assert_false(c.r.smm);
	assert_int_equal(c.r.rip, CODE);
	assert_int_equal(regs_cpl(&c.r), 3);
	assert_true(c.r.gpr[RAX] == 0x1234567890abcdef);
	close_cpu(&c);
	/* Outside SMM it is #UD. */
	VECTOR(LONG, 0, "\x0f\xaa", 6, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_table),
	    cmocka_unit_test(test_exceptions),
	    cmocka_unit_test(test_segment_loads),
	    cmocka_unit_test(test_limit),
	    cmocka_unit_test(test_double_fault),
	    cmocka_unit_test(test_empty_idt),
	    cmocka_unit_test(test_int_and_iret),
	    cmocka_unit_test(test_inner_and_outer),
	    cmocka_unit_test(test_syscall),
	    cmocka_unit_test(test_trap_flag),
	    cmocka_unit_test(test_mov_ss_shadow),
	    cmocka_unit_test(test_sti_shadow),
	    cmocka_unit_test(test_debug_registers),
	    cmocka_unit_test(test_self_modifying),
	    cmocka_unit_test(test_code_across_pages),
	    cmocka_unit_test(test_long_instructions),
	    cmocka_unit_test(test_flush),
	    cmocka_unit_test(test_rep_across_pages),
	    cmocka_unit_test(test_stack_not_canonical),
	    cmocka_unit_test(test_lacking),
	    cmocka_unit_test(test_smm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
