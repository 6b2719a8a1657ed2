/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The soft CPU's frames and segments where they are unusual: virtual-8086 mode, IST, expand-down segments, nested ENTER,
 * string instructions that fault midway, call gates, 16-bit addresses. Intel SDM vol. 3A chapters 3, 5, 6, vol. 3B
 * chapter 20.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/softguest.h"

/* In by IRET, out by an exception, with nine words each way. */
static void test_virtual_8086(void **state)
{
	struct cpu c;

	(void)state;
	cpu_open(&c, PROT, 0);
	static const uint32_t frame[] = {0x10, 0x700, RFLAGS_FIXED | RFLAGS_VM, 0x4000, 0x300, 0x500, 0x600, 0x610, 0x620};
	cpu_poke(&c, KSTACK - 0x100, frame, sizeof(frame));
	c.r.gpr[RSP] = KSTACK - 0x100;
	cpu_set(&c, REGS_GPR);
	CODE_AT(&c, CODE, "\xcf");
	CODE_AT(&c, 0x7010, "\x8c\xd8\xfa"); /* mov ax, ds; cli, which IOPL 0 forbids */
	cpu_run(&c, RUN_STEP, 2);
	assert_int_equal(c.r.rip, 0x12);
	assert_int_equal(c.r.gpr[RAX], 0x600);
	assert_int_equal(regs_cpl(&c.r), 3);
	assert_int_equal(c.r.seg[SEG_SS].base, 0x3000);
	cpu_run(&c, RUN_CONTINUE, 1);
	assert_int_equal(cpu_handler(&c), 13);
	static const uint32_t want[] = {0,     0x12,  0x700, RFLAGS_FIXED | RFLAGS_VM | RFLAGS_RF, 0x4000, 0x300, 0x500,
					0x600, 0x610, 0x620};
	for (unsigned i = 0; i < ARRAY_LEN(want); i++)
		assert_int_equal(cpu_peek(&c, KSTACK - 40 + 4 * i, 4), want[i]);
	assert_int_equal(c.r.gpr[RSP], KSTACK - 40);
	assert_int_equal(c.r.seg[SEG_DS].selector, 0);
	assert_true(c.r.seg[SEG_DS].unusable);
	assert_int_equal(c.r.rflags & RFLAGS_VM, 0);
	cpu_close(&c);
}

static void test_interrupt_stack_table(void **state)
{
	struct cpu c;

	(void)state;
	cpu_open(&c, LONG, 0);
	cpu_poke64(&c, TSS + 36 + 8 * 2, 0xc008); /* ist3, which is aligned down */
	cpu_poke64(&c, IDT + 6 * 16, (HANDLERS + 6 * 16) | 8 << 16 | 0x8e03ull << 32);
	CODE_AT(&c, CODE, "\x0f\x0b");
	cpu_run(&c, RUN_CONTINUE, 1);
	assert_int_equal(cpu_handler(&c), 6);
	assert_int_equal(c.r.gpr[RSP], 0xc000 - 40);
	assert_int_equal(cpu_peek(&c, 0xc000 - 8, 8), 0x10);
	assert_int_equal(cpu_peek(&c, 0xc000 - 16, 8), KSTACK);
	cpu_close(&c);
}

static int expand_down(uint32_t offset)
{
	struct cpu c;
	int v;

	cpu_open(&c, PROT, 0);
	cpu_poke64(&c, GDT + 0x50, 0x0040960000000fff); /* limit 0xfff, expand-down, writable, B */
	c.r.gpr[RSI] = offset;
	c.r.gpr[RAX] = 0x50;
	cpu_set(&c, REGS_GPR);
	RUN(&c, "\x8e\xd8\x8b\x1e");
	v = cpu_handler(&c);
	cpu_close(&c);
	return v;
}

static void test_expand_down(void **state)
{
	(void)state;
	assert_int_equal(expand_down(0xfff), 13);
	assert_int_equal(expand_down(0x1000), -1);
	assert_int_equal(expand_down(0xfffffffe), 13);
}

static void test_enter(void **state)
{
	struct cpu c;

	(void)state;
	cpu_open(&c, LONG, 0);
	cpu_poke64(&c, 0xc000 - 8, 0x1111);
	cpu_poke64(&c, 0xc000 - 16, 0x2222);
	c.r.gpr[RBP] = 0xc000;
	cpu_set(&c, REGS_GPR);
	assert_int_equal(RUN(&c, "\xc8\x20\x00\x03"), STOP_HLT); /* enter 32, 3 */
	assert_int_equal(c.r.gpr[RBP], KSTACK - 8);
	assert_int_equal(c.r.gpr[RSP], KSTACK - 8 - 24 - 32);
	assert_int_equal(cpu_peek(&c, KSTACK - 8, 8), 0xc000);
	assert_int_equal(cpu_peek(&c, KSTACK - 16, 8), 0x1111);
	assert_int_equal(cpu_peek(&c, KSTACK - 24, 8), 0x2222);
	assert_int_equal(cpu_peek(&c, KSTACK - 32, 8), KSTACK - 8);
	cpu_close(&c);
}

/* What a REP had done stays done; the registers say how far it came. */
static void rep_fault(uint64_t flags, uint64_t rdi, uint64_t hole, uint64_t done, const char *code, size_t n)
{
	struct cpu c;

	cpu_open(&c, LONG, 0);
	cpu_poke64(&c, CR3 + 0x3000 + (hole >> 12) * 8, 0);
	c.r.gpr[RCX] = 0x1000;
	c.r.gpr[RSI] = 0x40000;
	c.r.gpr[RDI] = rdi;
	c.r.gpr[RAX] = 0x5a;
	c.r.rflags |= flags;
	cpu_set(&c, REGS_GPR);
	cpu_poke(&c, CODE, code, n);
	cpu_run(&c, RUN_CONTINUE, 1);
	assert_int_equal(cpu_handler(&c), 14);
	assert_int_equal(c.r.gpr[RCX], 0x1000 - done);
	assert_int_equal(c.r.gpr[RDI], flags & RFLAGS_DF ? rdi - done : rdi + done);
	assert_int_equal(cpu_peek(&c, c.r.gpr[RSP] + 8, 8), CODE);
	assert_int_equal(c.r.cr2, flags & RFLAGS_DF ? rdi - done : rdi + done);
	cpu_close(&c);
}

static void test_rep_faults_midway(void **state)
{
	(void)state;
	rep_fault(0, 0x50f00, 0x51000, 0x100, "\xf3\xaa", 2);
	rep_fault(RFLAGS_DF, 0x5007f, 0x4f000, 0x80, "\xf3\xaa", 2);
	rep_fault(0, 0x50f80, 0x51000, 0x80, "\xf3\xa4", 2);
}

/* With 16-bit addresses SI and DI go round within 64 KiB. */
static void test_sixteen_bit_addresses_wrap(void **state)
{
	struct cpu c;

	(void)state;
	cpu_open(&c, PROT, 0);
	c.r.seg[SEG_ES].base = 0x20ff0;
	c.r.gpr[RCX] = 0x30;
	c.r.gpr[RDI] = 0xfff0;
	c.r.gpr[RAX] = 0x77;
	cpu_set(&c, REGS_GPR | REGS_SYS);
	assert_int_equal(RUN(&c, "\x67\xf3\xaa"), STOP_HLT);
	assert_int_equal(c.r.gpr[RDI], 0x20);
	assert_int_equal(cpu_peek(&c, 0x20ff0 + 0x1f, 1), 0x77);
	assert_int_equal(cpu_peek(&c, 0x20ff0 + 0xffff, 1), 0x77);
	assert_int_equal(cpu_peek(&c, 0x20ff0 + 0x10000, 1), 0);
	cpu_close(&c);
}

/* Call gates are lacking: a stop that says so, not a #GP. */
static void test_call_gate_is_lacking(void **state)
{
	struct cpu c;

	(void)state;
	cpu_open(&c, PROT, 0);
	cpu_poke64(&c, GDT + 0x50, 0x00008c0000389000);
	CODE_AT(&c, CODE, "\x9a\x00\x00\x00\x00\x50\x00");
	assert_int_equal(cpu_run(&c, RUN_CONTINUE, 1), STOP_ERROR);
	assert_non_null(strstr(c.stop.error, "lcall"));
	assert_int_equal(c.r.gpr[RSP], KSTACK);
	cpu_close(&c);
}

/* A far call beyond the new segment's end leaves the stack as it was. */
static void test_far_call_out_of_reach(void **state)
{
	struct cpu c;

	(void)state;
	cpu_open(&c, REAL, 0);
	c.r.gpr[RSP] = 0xd000;
	cpu_set(&c, REGS_GPR);
	CODE_AT(&c, CODE, "\x66\x9a\x00\x00\x01\x00\x00\x00");
	cpu_run(&c, RUN_CONTINUE, 1);
	assert_int_equal(cpu_handler(&c), 13);
	assert_int_equal(c.r.gpr[RSP], 0xd000 - 6);
	assert_int_equal(cpu_peek(&c, 0xd000 - 6, 2), CODE);
	cpu_close(&c);
}

/* A far return and IRET to an outer ring take data segments away that it may not use. */
static void test_outer_ring_loses_inner_segments(void **state)
{
	struct cpu c;

	(void)state;
	cpu_open(&c, PROT, 0);
	static const uint32_t frame[] = {CODE + 0x100, 0x43, STACK, 0x1b};
	cpu_poke(&c, KSTACK - 0x100, frame, sizeof(frame));
	c.r.gpr[RSP] = KSTACK - 0x100;
	c.r.seg[SEG_ES] = cpu_segment(0x1b, 3, 3, false);
	cpu_set(&c, REGS_GPR | REGS_SYS);
	CODE_AT(&c, CODE, "\xcb");
	cpu_run(&c, RUN_STEP, 1);
	assert_int_equal(c.r.rip, CODE + 0x100);
	assert_int_equal(regs_cpl(&c.r), 3);
	assert_int_equal(c.r.gpr[RSP], STACK);
	assert_int_equal(c.r.seg[SEG_ES].selector, 0x1b);
	assert_int_equal(c.r.seg[SEG_DS].selector, 0);
	cpu_close(&c);
}

/* The TSS's permission map decides below IOPL. */
static void test_permission_map(void **state)
{
	struct cpu c;

	(void)state;
	for (unsigned port = 0x80; port <= 0x81; port++) {
		cpu_open(&c, PROT, 3);
		c.r.tr.limit = 0x67 + 0x20;
		cpu_set(&c, REGS_SYS);
		cpu_poke64(&c, TSS + 0x66, 0x68);
		uint8_t map[0x21] = {[0x80 / 8] = 2};
		cpu_poke(&c, TSS + 0x68, map, sizeof(map));
		uint8_t code[] = {0xe4, (uint8_t)port, 0x0f, 0x0b};
		cpu_poke(&c, CODE, code, sizeof(code));
		cpu_run(&c, RUN_CONTINUE, 1);
		assert_int_equal(cpu_handler(&c), port == 0x80 ? 6 : 13);
		cpu_close(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_virtual_8086),
	    cmocka_unit_test(test_interrupt_stack_table),
	    cmocka_unit_test(test_expand_down),
	    cmocka_unit_test(test_enter),
	    cmocka_unit_test(test_rep_faults_midway),
	    cmocka_unit_test(test_sixteen_bit_addresses_wrap),
	    cmocka_unit_test(test_call_gate_is_lacking),
	    cmocka_unit_test(test_far_call_out_of_reach),
	    cmocka_unit_test(test_outer_ring_loses_inner_segments),
	    cmocka_unit_test(test_permission_map),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
