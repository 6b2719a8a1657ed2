/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the soft CPU lacks is a stop that names the instruction, with nothing changed: x87 arithmetic and MMX in every
 * encoding, call gates, task gates, task switches and the return from a task. Runs anywhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/softguest.h"

enum outcome { EXECUTED, NAMED, REFUSED, WRONG };

/* One step from CODE: executed, a stop that names it with all as before, #UD, or something else. */
static enum outcome outcome_of(struct cpu *c)
{
	struct regs before;

	c->r.rip = CODE;
	c->r.gpr[RBX] = c->r.gpr[RSI] = c->r.gpr[RDI] = c->r.gpr[RAX] = c->r.gpr[RCX] = c->r.gpr[RDX] = 0x20000;
	c->r.gpr[RSP] = c->r.gpr[RBP] = 0xb000;
	c->r.rflags = RFLAGS_FIXED;
	cpu_set(c, REGS_GPR);
	cpu_get(c);
	before = c->r;
	enum stop_reason why = cpu_run(c, RUN_STEP, 1);
	if (why == STOP_STEP && c->r.rip == HANDLERS + 6 * 16)
		return REFUSED;
	if (why == STOP_STEP)
		return EXECUTED;
	bool same = !memcmp(c->r.gpr, before.gpr, sizeof(before.gpr)) && c->r.rip == before.rip &&
		    c->r.rflags == before.rflags && !memcmp(&c->r.fpu, &before.fpu, sizeof(before.fpu));
	return why == STOP_ERROR && same && c->stop.suberror == 1 && strstr(c->stop.error, "does not execute `") &&
		       c->stop.n_insn >= 2
		   ? NAMED
		   : WRONG;
}

/* What there is of x87: its state's loads and stores. */
static bool x87_executed(unsigned op, unsigned modrm)
{
	unsigned reg = modrm >> 3 & 7;

	if (modrm >= 0xc0)
		return (op == 0xdb && modrm == 0xe3) || (op == 0xdf && modrm == 0xe0);
	return (op == 0xd9 && (reg == 5 || reg == 7)) || (op == 0xdd && reg == 7);
}

static void test_x87(void **state)
{
	unsigned named = 0;
	struct cpu c;

	(void)state;
	for (enum mode mode = PROT; mode <= LONG; mode++) {
		cpu_open(&c, mode, 0);
		for (unsigned op = 0xd8; op <= 0xdf; op++)
			for (unsigned modrm = 0; modrm < 256; modrm++) {
				uint8_t code[8] = {(uint8_t)op, (uint8_t)modrm};
				cpu_poke(&c, CODE, code, sizeof(code));
				enum outcome got = outcome_of(&c);
				bool executed = x87_executed(op, modrm);
				named += got == NAMED;
				if (got == WRONG || (got == EXECUTED) != executed)
					fail_msg("mode %d %02x %02x: outcome %d, %s %s", mode, op, modrm, got,
						 stop_reason_name(c.stop.reason), c.stop.error);
			}
		cpu_close(&c);
	}
	assert_in_range(named, 3000, 4096);
}

/* 0F 60 to 0F 7F and 0F D0 to 0F FF without a prefix work on MMX registers. 77 is EMMS; FF is UD0. */
static void test_mmx(void **state)
{
	static const uint8_t odd[] = {0xd0, 0xd6, 0xe6, 0xf0, 0xff, 0x6c, 0x6d, 0x78, 0x79, 0x7a, 0x7b, 0x7c, 0x7d};
	unsigned named = 0;
	struct cpu c;

	(void)state;
	cpu_open(&c, LONG, 0);
	for (unsigned op = 0x60; op <= 0xff; op += op == 0x7f ? 0x51 : 1)
		for (unsigned k = 0; k < 2; k++) {
			uint8_t code[8] = {0x0f, (uint8_t)op, k ? 0xca : 0x0b, 1};
			cpu_poke(&c, CODE, code, sizeof(code));
			enum outcome got = outcome_of(&c);
			named += got == NAMED;
			if (got == WRONG || got == EXECUTED ||
			    (got == REFUSED && op < 0xd0 && !memchr(odd, (int)op, sizeof(odd)) && op != 0x71 && op != 0x72 &&
			     op != 0x73))
				fail_msg("0f %02x %02x: outcome %d, %s %s", op, code[2], got,
					 stop_reason_name(c.stop.reason), c.stop.error);
		}
	cpu_close(&c);
	assert_in_range(named, 80, 160);
}

/* A far jump and a far call to each kind of system descriptor there is something to do with. */
static void test_gates(void **state)
{
	static const uint8_t type[] = {1, 4, 5, 9, 12};

	(void)state;
	for (unsigned i = 0; i < sizeof(type); i++)
		for (unsigned call = 0; call < 2; call++) {
			uint8_t code[8] = {call ? 0x9a : 0xea, 0, 0x80, 0, 0, 0x30, 0};
			struct cpu c;
			cpu_open(&c, PROT, 0);
			cpu_poke64(&c, GDT + 0x30, 0x8000 | 0x38ull << 16 | (uint64_t)(0x80 | type[i]) << 40);
			cpu_poke(&c, CODE, code, sizeof(code));
			assert_int_equal(outcome_of(&c), NAMED);
			assert_non_null(strstr(c.stop.error, call ? "call" : "jmp"));
			assert_int_equal(cpu_peek(&c, GDT + 0x35, 1), 0x80 | type[i]);
			cpu_close(&c);
		}
}

/* IRET with NT set returns from a task; a task gate in the IDT enters one. */
static void test_tasks(void **state)
{
	struct cpu c;

	(void)state;
	cpu_open(&c, PROT, 0);
	CODE_AT(&c, CODE, "\xcf");
	c.r.rflags |= RFLAGS_NT;
	cpu_set(&c, REGS_GPR);
	assert_int_equal(cpu_run(&c, RUN_STEP, 1), STOP_ERROR);
	assert_non_null(strstr(c.stop.error, "iret"));
	assert_int_equal(c.r.rip, CODE);
	cpu_close(&c);

	cpu_open(&c, PROT, 0);
	cpu_poke64(&c, IDT + 6 * 8, 0x28ull << 16 | 0x85ull << 40);
	CODE_AT(&c, CODE, "\x0f\x0b");
	assert_int_equal(cpu_run(&c, RUN_STEP, 1), STOP_ERROR);
	assert_non_null(strstr(c.stop.error, "task gate"));
	assert_int_equal(c.r.rip, CODE);
	cpu_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_x87),
	    cmocka_unit_test(test_mmx),
	    cmocka_unit_test(test_gates),
	    cmocka_unit_test(test_tasks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
