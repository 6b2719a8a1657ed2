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

#include "tests/support/softguest.h"

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
    I(LONG, "cmpxchg ecx, edx, unequal, keeps the upper half", "\x0f\xb1\xd1", 1, 0xffffffff00000009, 3, 0, 9,
      0xffffffff00000009, 3, C_ | A_ | S_, C_ | Z_ | S_),
    I(LONG, "mov ax, ds: REX before another prefix is ignored", "\x4b\x66\x8c\xd8", ~0ull, 0, 0, 0, 0xffffffffffff0010, 0, 0,
      0, 0),
    I(LONG, "adc ax, imm16 behind a repeat prefix that means nothing", "\x66\xf2\x15\x4d\x39", 0x8000ffff, 0, 0, 0,
      0x8000394c, 0, 0, C_, C_ | Z_ | S_ | O_),
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

	cpu_open(&c, table[i].mode, 0);
	cpu_poke(&c, CODE, table[i].bytes, table[i].n);
	c.r.gpr[RAX] = table[i].rax;
	c.r.gpr[RCX] = table[i].rcx;
	c.r.gpr[RDX] = table[i].rdx;
	c.r.rflags |= table[i].flags;
	cpu_set(&c, REGS_GPR);
	enum stop_reason why = cpu_run(&c, RUN_STEP, 1);
	if (why != STOP_STEP || c.r.gpr[RAX] != table[i].rax2 || c.r.gpr[RCX] != table[i].rcx2 ||
	    c.r.gpr[RDX] != table[i].rdx2 || (c.r.rflags & table[i].mask) != (table[i].flags2 & table[i].mask) ||
	    c.r.rip != CODE + table[i].n)
		fail_msg("%s: %s, rax %#llx rcx %#llx rdx %#llx flags %#llx rip %#llx", table[i].what, stop_reason_name(why),
			 (unsigned long long)c.r.gpr[RAX], (unsigned long long)c.r.gpr[RCX],
			 (unsigned long long)c.r.gpr[RDX], (unsigned long long)c.r.rflags, (unsigned long long)c.r.rip);
	cpu_close(&c);
}

static void test_table(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(table); i++)
		one(i);
}

/* Prefixes that capstone does not hand on in an operand. */
static void test_prefixes(void **state)
{
	struct cpu c;

	(void)state;
	cpu_open(&c, REAL, 0);
	c.r.gpr[RCX] = 0x10000;
	c.r.gpr[RAX] = 0;
	cpu_set(&c, REGS_GPR);
	RUN(&c, "\x67\x66\xe3\x01\x40"); /* jecxz over inc ax */
	assert_int_equal(c.r.gpr[RAX], 1);
	c.r.rip = CODE;
	cpu_set(&c, REGS_GPR);
	RUN(&c, "\x66\xe3\x01\x40"); /* jcxz */
	assert_int_equal(c.r.gpr[RAX], 1);
	CODE_AT(&c, 0x6010, "\x11");
	CODE_AT(&c, 0x7010, "\x22");
	CODE_AT(&c, 0x5010, "\x33");
	c.r.seg[SEG_SS].base = 0x5000, c.r.seg[SEG_DS].base = 0x6000, c.r.seg[SEG_ES].base = 0x7000;
	cpu_set(&c, REGS_SYS);
	static const struct {
		const char *bytes;
		uint8_t al;
	} xlat[] = {{"\x90\xd7\xf4", 0x11}, {"\x26\xd7\xf4", 0x22}, {"\x36\xd7\xf4", 0x33}, {"\x3e\xd7\xf4", 0x11}};
	for (unsigned i = 0; i < ARRAY_LEN(xlat); i++) {
		cpu_poke(&c, CODE, xlat[i].bytes, 3);
		c.r.rip = CODE;
		c.r.gpr[RBX] = 8, c.r.gpr[RAX] = 8;
		cpu_set(&c, REGS_GPR);
		cpu_run(&c, RUN_CONTINUE, 1);
		assert_int_equal(c.r.gpr[RAX], xlat[i].al);
	}
	cpu_close(&c);
}

/* ---- exceptions */

static void expect_vector(enum mode mode, unsigned cpl, const char *bytes, size_t n, int vector, int64_t error)
{
	struct cpu c;

	cpu_open(&c, mode, cpl);
	cpu_poke(&c, CODE, bytes, n);
	cpu_run(&c, RUN_CONTINUE, 1);
	if (cpu_handler(&c) != vector)
		fail_msg("mode %d cpl %u %02x %02x: handler %d, not %d (%s at %#llx)", mode, cpl, (uint8_t)bytes[0],
			 (uint8_t)bytes[1], cpu_handler(&c), vector, stop_reason_name(c.stop.reason),
			 (unsigned long long)c.r.rip);
	if (error >= 0)
		assert_int_equal(cpu_peek(&c, c.r.gpr[RSP], 4), error);
	/* The pushed rip is the faulting instruction's. */
	unsigned word = mode == LONG ? 8 : mode == PROT ? 4 : 2;
	assert_int_equal(cpu_peek(&c, c.r.gpr[RSP] + (error >= 0 ? word : 0), word), CODE);
	cpu_close(&c);
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
	/* INT n that the gate's DPL refuses is no double fault, whichever exception has that vector. */
	VECTOR(LONG, 3, "\xcd\x0e", 13, 14 * 8 + 2);
	VECTOR(PROT, 3, "\xcd\x0b", 13, 11 * 8 + 2);
	VECTOR(PROT, 3, "\xcd\x08", 13, 8 * 8 + 2);
	VECTOR(PROT, 0, "\xea\x00\x80\x00\x00\x30\x00", 13, 0x30); /* a descriptor that is nothing to jump to */
	VECTOR(LONG, 0, "\x0f\xff\xc0", 6, -1);			   /* ud0 */
	VECTOR(LONG, 0, "\xd6", 6, -1);				   /* salc is none in 64-bit code */
	VECTOR(LONG, 0, "\xf0\x90", 6, -1);			   /* lock nop */
}

static void load_ds(enum mode mode, unsigned cpl, uint16_t selector, int vector, int64_t error)
{
	struct cpu c;

	cpu_open(&c, mode, cpl);
	CODE_AT(&c, CODE, "\x8e\xd8");
	c.r.gpr[RAX] = selector;
	cpu_set(&c, REGS_GPR);
	cpu_run(&c, vector < 0 ? RUN_STEP : RUN_CONTINUE, 1);
	if (vector < 0) {
		assert_int_equal(c.stop.reason, STOP_STEP);
		assert_int_equal(c.r.seg[SEG_DS].selector, selector);
	} else {
		assert_int_equal(cpu_handler(&c), vector);
		assert_int_equal(cpu_peek(&c, c.r.gpr[RSP], 4), error);
	}
	cpu_close(&c);
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
	cpu_open(&c, PROT, 0);
	/* mov ax, 0x50; mov ds, ax; mov eax, [0xffc]; mov eax, [0xffd] */
	CODE_AT(&c, CODE, "\x66\xb8\x50\x00\x8e\xd8\xa1\xfc\x0f\x00\x00\xa1\xfd\x0f\x00\x00");
	cpu_run(&c, RUN_CONTINUE, 1);
	assert_int_equal(cpu_handler(&c), 13);
	assert_int_equal(cpu_peek(&c, c.r.gpr[RSP] + 4, 4), CODE + 11);
	cpu_close(&c);
}

static void test_double_fault(void **state)
{
	struct cpu c;

	(void)state;
	cpu_open(&c, LONG, 0);
	cpu_poke64(&c, IDT + 14 * 16, 0); /* #PF has no gate: #NP? no, a type that is none is #GP, and #PF then #GP is #DF */
	CODE_AT(&c, CODE, "\xa1\x00\x00\x20\x00\x00\x00\x00\x00");
	cpu_run(&c, RUN_CONTINUE, 1);
	assert_int_equal(cpu_handler(&c), 8);
	assert_int_equal(cpu_peek(&c, c.r.gpr[RSP], 8), 0);
	cpu_close(&c);
	cpu_open(&c, LONG, 0);
	cpu_poke64(&c, IDT + 14 * 16, 0);
	cpu_poke64(&c, IDT + 8 * 16, 0);
	CODE_AT(&c, CODE, "\xa1\x00\x00\x20\x00\x00\x00\x00\x00");
	assert_int_equal(cpu_run(&c, RUN_CONTINUE, 1), STOP_SHUTDOWN);
	assert_int_equal(c.r.rip, CODE);
	assert_int_equal(c.r.cr2, 0x200000);
	cpu_close(&c);
}

static void test_empty_idt(void **state)
{
	struct cpu c;

	(void)state;
	cpu_open(&c, LONG, 3);
	c.r.idt.limit = 0;
	cpu_set(&c, REGS_SYS);
	CODE_AT(&c, CODE, "\x48\x89\x04\x25\x78\x56\x34\x00"); /* mov [0x345678], rax */
	assert_int_equal(cpu_run(&c, RUN_CONTINUE, 1), STOP_EXCEPTION);
	assert_int_equal(c.stop.vector, 14);
	assert_int_equal(c.stop.error_code, 6);
	assert_int_equal(c.stop.cr2, 0x345678);
	assert_int_equal(c.r.rip, CODE);
	cpu_close(&c);
}

/* ---- frames there and back */

static void test_int_and_iret(void **state)
{
	static const enum mode modes[] = {REAL, PROT, LONG};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct cpu c;
		cpu_open(&c, modes[i], 0);
		CODE_AT(&c, HANDLERS + 0x400, "\x41\x48\xcf"); /* inc cx, dec ax, iret; in 64 bit: rex.b rex.w iretq */
		if (modes[i] == LONG)
			CODE_AT(&c, HANDLERS + 0x400, "\xff\xc1\x48\xcf");
		CODE_AT(&c, CODE, "\xcd\x40\xf4");
		uint64_t sp = c.r.gpr[RSP];
		assert_int_equal(cpu_run(&c, RUN_CONTINUE, 1), STOP_HLT);
		assert_int_equal(c.r.rip, CODE + 3);
		assert_int_equal(c.r.gpr[RSP], sp);
		assert_int_equal(c.r.gpr[RCX], 1);
		cpu_close(&c);
	}
}

static void test_inner_and_outer(void **state)
{
	static const enum mode modes[] = {PROT, LONG};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct cpu c;
		cpu_open(&c, modes[i], 3);
		CODE_AT(&c, HANDLERS + 0x400, "\x90\x48\xcf");
		if (modes[i] == PROT)
			CODE_AT(&c, HANDLERS + 0x400, "\x90\x90\xcf");
		CODE_AT(&c, CODE, "\xcd\x40\x0f\x0b");
		cpu_run(&c, RUN_STEP, 1);
		assert_int_equal(regs_cpl(&c.r), 0);
		assert_int_equal(c.r.rip, HANDLERS + 0x400);
		unsigned word = modes[i] == LONG ? 8 : 4;
		assert_int_equal(c.r.gpr[RSP], KSTACK - 5 * word);
		assert_int_equal(cpu_peek(&c, KSTACK - word, word), 0x1b);
		assert_int_equal(cpu_peek(&c, KSTACK - 2 * word, word), STACK);
		cpu_run(&c, RUN_STEP, modes[i] == LONG ? 2 : 3);
		assert_int_equal(regs_cpl(&c.r), 3);
		assert_int_equal(c.r.rip, CODE + 2);
		assert_int_equal(c.r.gpr[RSP], STACK);
		assert_int_equal(c.r.seg[SEG_SS].selector, 0x1b);
		cpu_close(&c);
	}
}

static void test_syscall(void **state)
{
	struct cpu c;

	(void)state;
	cpu_open(&c, LONG, 3);
	c.r.msr.star = 0x0010000800000000ull | 0x0010ull << 48; /* SYSCALL 8, 0x10; SYSRET 0x10 + 16 = 0x20, SS 0x18 */
	c.r.msr.lstar = HANDLERS + 0x500;
	c.r.msr.sfmask = RFLAGS_CF;
	c.r.rflags |= RFLAGS_CF | RFLAGS_ZF;
	cpu_set(&c, REGS_MSR | REGS_GPR);
	CODE_AT(&c, CODE, "\x0f\x05\x90");
	CODE_AT(&c, HANDLERS + 0x500, "\x48\x0f\x07");
	cpu_run(&c, RUN_STEP, 1);
	assert_int_equal(c.r.rip, HANDLERS + 0x500);
	assert_int_equal(regs_cpl(&c.r), 0);
	assert_int_equal(c.r.gpr[RCX], CODE + 2);
	assert_int_equal(c.r.gpr[R11] & (RFLAGS_CF | RFLAGS_ZF), RFLAGS_CF | RFLAGS_ZF);
	assert_int_equal(c.r.rflags & (RFLAGS_CF | RFLAGS_ZF), RFLAGS_ZF);
	cpu_run(&c, RUN_STEP, 1);
	assert_int_equal(c.r.rip, CODE + 2);
	assert_int_equal(regs_cpl(&c.r), 3);
	assert_int_equal(c.r.seg[SEG_CS].selector, 0x23);
	assert_int_equal(c.r.rflags & RFLAGS_CF, RFLAGS_CF);
	cpu_close(&c);
}

/* ---- traps */

static void test_trap_flag(void **state)
{
	struct cpu c;

	(void)state;
	cpu_open(&c, LONG, 0);
	c.r.rflags |= RFLAGS_TF;
	cpu_set(&c, REGS_GPR);
	assert_int_equal(RUN(&c, "\x90\x90"), STOP_HLT);
	assert_int_equal(cpu_handler(&c), 1);
	assert_int_equal(cpu_peek(&c, c.r.gpr[RSP], 8), CODE + 1);
	assert_true(c.r.dr[6] >> 14 & 1);
	cpu_close(&c);
}

static void test_mov_ss_shadow(void **state)
{
	struct cpu c;

	(void)state;
	cpu_open(&c, PROT, 0);
	c.r.rflags |= RFLAGS_TF;
	c.r.gpr[RAX] = 0x10;
	cpu_set(&c, REGS_GPR);
	assert_int_equal(RUN(&c, "\x8e\xd0\x90\x90"), STOP_HLT); /* mov ss, eax; nop; nop */
	assert_int_equal(cpu_handler(&c), 1);
	assert_int_equal(cpu_peek(&c, c.r.gpr[RSP], 4), CODE + 3);
	cpu_close(&c);
}

static void test_sti_shadow(void **state)
{
	struct cpu c;

	(void)state;
	cpu_open(&c, LONG, 0);
	CODE_AT(&c, CODE, "\xfb\x90\xf4");
	cpu_run(&c, RUN_STEP, 1);
	assert_true(c.r.sti_shadow);
	assert_true(c.r.rflags & RFLAGS_IF);
	cpu_run(&c, RUN_STEP, 1);
	assert_false(c.r.sti_shadow);
	cpu_close(&c);
}

static void test_debug_registers(void **state)
{
	struct cpu c;

	(void)state;
	cpu_open(&c, LONG, 0);
	c.r.dr[0] = CODE + 2;
	c.r.dr[7] = 0x401; /* execute */
	cpu_set(&c, REGS_DEBUG);
	assert_int_equal(RUN(&c, "\x90\x90\x90"), STOP_HLT);
	assert_int_equal(cpu_handler(&c), 1);
	assert_int_equal(cpu_peek(&c, c.r.gpr[RSP], 8), CODE + 2);
	assert_true(c.r.dr[6] & 1);
	cpu_close(&c);
	cpu_open(&c, LONG, 0);
	c.r.dr[1] = 0x5000;
	c.r.dr[7] = 0x400 | 4 | 1u << 20 | 3u << 22; /* write of 4 bytes */
	cpu_set(&c, REGS_DEBUG);
	/* mov eax, [0x5000]; mov [0x5002], al; nop */
	assert_int_equal(RUN(&c, "\x8b\x04\x25\x00\x50\x00\x00\x88\x04\x25\x02\x50\x00\x00\x90"), STOP_HLT);
	assert_int_equal(cpu_handler(&c), 1);
	assert_int_equal(cpu_peek(&c, c.r.gpr[RSP], 8), CODE + 14);
	assert_true(c.r.dr[6] & 2);
	cpu_close(&c);
}

/* ---- code */

static void test_self_modifying(void **state)
{
	struct cpu c;

	(void)state;
	cpu_open(&c, LONG, 0);
	/* mov byte [rip+1], 0xc3: the next instruction, mov al, 1, becomes mov bl-ish; here its immediate changes */
	assert_int_equal(RUN(&c, "\xc6\x05\x01\x00\x00\x00\x55\xb0\x01"), STOP_HLT);
	assert_int_equal(c.r.gpr[RAX] & 0xff, 0x55);
	cpu_close(&c);
}

/* A CALL whose return address goes onto the page of its own code counts once, as it does in steps. */
static void test_call_onto_its_own_page(void **state)
{
	struct cpu c;

	(void)state;
	cpu_open(&c, LONG, 0);
	c.r.gpr[RSP] = CODE + 0x800;
	cpu_set(&c, REGS_GPR);
	assert_int_equal(RUN(&c, "\x90\xe8\x00\x00\x00\x00\x90"), STOP_HLT); /* nop; call $+5; nop; hlt */
	assert_int_equal(cpu_peek(&c, CODE + 0x7f8, 8), CODE + 6);
	assert_int_equal(machine_position(c.m), 4);
	cpu_close(&c);
}

static void test_code_across_pages(void **state)
{
	struct cpu c;

	(void)state;
	cpu_open(&c, LONG, 0);
	CODE_AT(&c, 0x8ffd, "\x48\xb8\x88\x77\x66\x55\x44\x33\x22\x11\xf4"); /* mov rax, imm64 */
	c.r.rip = 0x8ffd;
	cpu_set(&c, REGS_GPR);
	assert_int_equal(cpu_run(&c, RUN_CONTINUE, 1), STOP_HLT);
	assert_true(c.r.gpr[RAX] == 0x1122334455667788);
	cpu_close(&c);
	/* The page behind is missing: its fault, with the address of the page's first byte. */
	cpu_open(&c, LONG, 0);
	CODE_AT(&c, 0xe000 - 3, "\x48\xb8\x88");
	cpu_poke64(&c, CR3 + 0x3000 + 0xe * 8, 0);
	c.r.rip = 0xe000 - 3;
	cpu_set(&c, REGS_GPR);
	cpu_run(&c, RUN_CONTINUE, 1);
	assert_int_equal(cpu_handler(&c), 14);
	assert_int_equal(c.r.cr2, 0xe000);
	cpu_close(&c);
	/* What is no instruction whatever follows does not need the page behind. */
	cpu_open(&c, LONG, 0);
	CODE_AT(&c, 0xe000 - 2, "\x0f\x0b");
	cpu_poke64(&c, CR3 + 0x3000 + 0xe * 8, 0);
	c.r.rip = 0xe000 - 2;
	cpu_set(&c, REGS_GPR);
	cpu_run(&c, RUN_CONTINUE, 1);
	assert_int_equal(cpu_handler(&c), 6);
	cpu_close(&c);
}

static void test_long_instructions(void **state)
{
	struct cpu c;

	(void)state;
	/* 15 bytes are one, 16 are #GP. */
	cpu_open(&c, LONG, 0);
	CODE_AT(&c, CODE, "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90\xf4");
	assert_int_equal(cpu_run(&c, RUN_CONTINUE, 1), STOP_HLT);
	assert_int_equal(c.r.rip, CODE + 16);
	cpu_close(&c);
	cpu_open(&c, LONG, 0);
	CODE_AT(&c, CODE, "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90\xf4");
	cpu_run(&c, RUN_CONTINUE, 1);
	assert_int_equal(cpu_handler(&c), 13);
	cpu_close(&c);
}

/* A CR3 load lets go of every translation, however many were in use: the last page of n is another one behind it. */
static void flushed_behind(uint64_t n)
{
	const uint64_t last = 0x20 + n - 1;
	struct cpu c;

	cpu_open(&c, LONG, 0);
	cpu_poke64(&c, last << 12, 0x1111);
	cpu_poke64(&c, 0xf0000, 0x2222);
	c.r.gpr[RSI] = 0x20000;
	c.r.gpr[RCX] = n;
	c.r.gpr[RDI] = CR3 + 0x3000 + last * 8;
	c.r.gpr[RDX] = 0xf0000 | 7;
	cpu_set(&c, REGS_GPR);
	/* again: mov rbx, [rsi]; add rsi, 0x1000; dec ecx; jnz again; mov [rdi], rdx; mov rax, cr3; mov cr3, rax;
	 * mov rax, [rsi - 0x1000] */
	assert_int_equal(RUN(&c, "\x48\x8b\x1e\x48\x81\xc6\x00\x10\x00\x00\xff\xc9\x75\xf2\x48\x89\x17\x0f\x20\xd8"
				 "\x0f\x22\xd8\x48\x8b\x86\x00\xf0\xff\xff"),
			 STOP_HLT);
	assert_int_equal(c.r.gpr[RBX], 0x1111);
	assert_int_equal(c.r.gpr[RAX], 0x2222);
	cpu_close(&c);
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
	cpu_open(&c, LONG, 0);
	cpu_poke64(&c, CR3 + 0x3000 + 0x31 * 8, 0x50000 | 7);
	cpu_poke64(&c, 0x30ff8, 0x1111111111111111);
	cpu_poke64(&c, 0x31000, 0x2222222222222222);
	cpu_poke64(&c, 0x50000, 0x3333333333333333);
	c.r.gpr[RSI] = 0x30ffc;
	c.r.gpr[RDI] = 0x40000;
	c.r.gpr[RCX] = 1;
	cpu_set(&c, REGS_GPR);
	assert_int_equal(RUN(&c, "\xf3\x48\xa5"), STOP_HLT);
	assert_true(cpu_peek(&c, 0x40000, 8) == 0x3333333311111111);
	cpu_close(&c);
	/* F2 counts too, and a count of 0 does nothing. */
	cpu_open(&c, LONG, 0);
	c.r.gpr[RSI] = 0x30000;
	c.r.gpr[RDI] = 0x40000;
	cpu_set(&c, REGS_GPR);
	assert_int_equal(RUN(&c, "\xf2\xa5"), STOP_HLT);
	assert_int_equal(c.r.gpr[RSI], 0x30000);
	cpu_close(&c);
}

static void test_stack_not_canonical(void **state)
{
	struct cpu c;

	(void)state;
	cpu_open(&c, LONG, 0);
	c.r.idt.limit = 0;
	c.r.gpr[RBP] = 1ull << 63;
	cpu_set(&c, REGS_GPR | REGS_SYS);
	CODE_AT(&c, CODE, "\x8b\x45\x00"); /* mov eax, [rbp] */
	assert_int_equal(cpu_run(&c, RUN_CONTINUE, 1), STOP_EXCEPTION);
	assert_int_equal(c.stop.vector, 12);
	cpu_close(&c);
}

static void test_lacking(void **state)
{
	struct cpu c;

	(void)state;
	cpu_open(&c, LONG, 0);
	CODE_AT(&c, CODE, "\xd8\xc1"); /* fadd */
	assert_int_equal(cpu_run(&c, RUN_CONTINUE, 1), STOP_ERROR);
	assert_non_null(strstr(c.stop.error, "fadd"));
	assert_int_equal(c.r.rip, CODE);
	assert_int_equal(c.stop.n_insn, 2);
	cpu_close(&c);
}

static void test_smm(void **state)
{
	struct cpu c;
	struct err e = {0};

	(void)state;
	cpu_open(&c, LONG, 3);
	CODE_AT(&c, 0x38000, "\x0f\xaa"); /* rsm, at SMBASE + 0x8000 */
	CODE_AT(&c, CODE, "\x90\x90");
	c.r.gpr[RAX] = 0x1234567890abcdef;
	cpu_set(&c, REGS_GPR);
	cpu_ok(machine_smi(c.m, 0, &e), &e);
	cpu_get(&c);
	assert_true(c.r.smm);
	assert_int_equal(c.r.rip, 0x8000);
	assert_int_equal(machine_smi(c.m, 0, &e) < 0, 1);
	cpu_run(&c, RUN_STEP, 1);
	assert_false(c.r.smm);
	assert_int_equal(c.r.rip, CODE);
	assert_int_equal(regs_cpl(&c.r), 3);
	assert_true(c.r.gpr[RAX] == 0x1234567890abcdef);
	cpu_close(&c);
	/* Outside SMM it is #UD. */
	VECTOR(LONG, 0, "\x0f\xaa", 6, -1);
}

/* By the stack's pointers, or with its override, an address that is not canonical is #SS; other overrides change nothing,
 * and an operand that is not aligned besides has this fault first. */
static void test_which_fault_of_an_address(void **state)
{
	static const struct {
		const char *bytes;
		unsigned n;
		int vector;
	} cases[] = {
	    {"\x89\x45\x00", 3, 12},	 /* mov [rbp], eax */
	    {"\x3e\x89\x45\x00", 4, 12}, /* mov ds:[rbp], eax */
	    {"\x89\x00", 2, 13},	 /* mov [rax], eax */
	    {"\x36\x89\x00", 3, 12},	 /* mov ss:[rax], eax */
	    {"\x0f\x11\x45\x00", 4, 12}, /* movups [rbp], xmm0 */
	    {"\x0f\x13\x45\x00", 4, 12}, /* movlps [rbp], xmm0 */
	    {"\x0f\x29\x45\x01", 4, 12}, /* movaps [rbp + 1], xmm0 */
	    {"\x0f\x29\x40\x01", 4, 13}, /* movaps [rax + 1], xmm0 */
	    {"\xd7", 1, 13},		 /* xlat */
	    {"\x36\xd7", 2, 12},	 /* xlat by ss */
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		struct cpu c;

		cpu_open(&c, LONG, 0);
		cpu_poke(&c, CODE, cases[i].bytes, cases[i].n);
		c.r.gpr[RAX] = c.r.gpr[RBX] = c.r.gpr[RBP] = 0xcdf465344be4cdb0;
		c.r.cr4 |= 0x200; /* OSFXSR */
		cpu_set(&c, REGS_GPR | REGS_SYS);
		cpu_run(&c, RUN_CONTINUE, 1);
		if (cpu_handler(&c) != cases[i].vector)
			fail_msg("case %u: handler %d, not %d", i, cpu_handler(&c), cases[i].vector);
		cpu_close(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_table),
	    cmocka_unit_test(test_prefixes),
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
	    cmocka_unit_test(test_call_onto_its_own_page),
	    cmocka_unit_test(test_code_across_pages),
	    cmocka_unit_test(test_long_instructions),
	    cmocka_unit_test(test_flush),
	    cmocka_unit_test(test_rep_across_pages),
	    cmocka_unit_test(test_stack_not_canonical),
	    cmocka_unit_test(test_which_fault_of_an_address),
	    cmocka_unit_test(test_lacking),
	    cmocka_unit_test(test_smm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
