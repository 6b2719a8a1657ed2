/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What numbers point to: pointers, strings, code, loops, chains without end, memory that is not there; in 64, 32 and 16
 * bits.
 */
#include "core/debug/deref.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem/paging.h"
#include "tests/support/longguest.h"

static struct machine *m;
static struct symbols syms;
static struct disas *disas;
static struct deref d;
static struct deref_chain chain;

static int setup(void **state)
{
	(void)state;
	m = longguest_create(1, 0);
	symbols_init(&syms);
	assert_int_equal(disas_create(&disas, NULL), 0);
	assert_int_equal(symbols_add(&syms, "f", 0x10100, 0, NULL), 0);
	assert_int_equal(symbols_sort(&syms, NULL), 0);
	fake_of(m)->regs[0].rip = 0x10104;
	fake_of(m)->regs[0].gpr[RSP] = 0x80000;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	machine_destroy(m);
	symbols_deinit(&syms);
	disas_destroy(disas);
	return 0;
}

static void begin(void)
{
	assert_int_equal(deref_init(&d, m, 0, &syms, disas, NULL), 0);
}

static void follow(uint64_t value)
{
	begin();
	deref_word(&d, value, &chain);
}

static void check_values(enum deref_end end, unsigned n, const uint64_t *values)
{
	assert_int_equal(chain.end, end);
	assert_int_equal(chain.n, n);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(chain.value[i], values[i]);
}
#define CHECK(end, ...) check_values(end, sizeof((uint64_t[]){__VA_ARGS__}) / 8, (const uint64_t[]){__VA_ARGS__})

static void test_numbers(void **state)
{
	(void)state;
	follow(0);
	CHECK(DEREF_NUMBER, 0);
	follow(0xfff); /* mapped, and yet no address */
	CHECK(DEREF_NUMBER, 0xfff);
	assert_false(chain.is_address[0]);
	follow(0x800000000000); /* not canonical */
	CHECK(DEREF_NUMBER, 0x800000000000);
	follow(~0ull);
	CHECK(DEREF_NUMBER, ~0ull);
	follow(0x40000000); /* not mapped */
	CHECK(DEREF_NUMBER, 0x40000000);
}

static void test_pointers(void **state)
{
	(void)state;
	longguest_poke_word(m, 0x20000, 0x30000);
	longguest_poke_word(m, 0x30000, 5);
	follow(0x20000);
	CHECK(DEREF_NUMBER, 0x20000, 0x30000, 5);
	assert_true(chain.is_address[0] && chain.is_address[1]);
	assert_false(chain.is_address[2]);
	assert_int_equal(chain.linear[1], 0x30000);
}

static void test_strings(void **state)
{
	char text[100];

	(void)state;
	longguest_poke(m, 0x30000, "hello\n", 7);
	longguest_poke_word(m, 0x20000, 0x30000);
	follow(0x20000);
	CHECK(DEREF_STRING, 0x20000, 0x30000);
	assert_string_equal(chain.string, "hello\n");
	assert_false(chain.string_cut);
	longguest_poke(m, 0x31000, "abc", 4); /* too short to be told from a number */
	follow(0x31000);
	CHECK(DEREF_NUMBER, 0x31000, 0x636261);
	memset(text, 'x', sizeof(text));
	longguest_poke(m, 0x32000, text, sizeof(text));
	follow(0x32000);
	assert_int_equal(strlen(chain.string), DEREF_STRING_MAX);
	assert_true(chain.string_cut);
	longguest_poke(m, 0x33000, "four\x01", 5); /* not to its end */
	follow(0x33000);
	assert_int_equal(chain.end, DEREF_NUMBER);
}

/* At the end of what can be read. */
static void test_page_end(void **state)
{
	(void)state;
	longguest_set_pte(m, 0x21000, 0);
	longguest_poke(m, 0x20ffa, "last!!", 6);
	follow(0x20ffa);
	CHECK(DEREF_STRING, 0x20ffa);
	assert_string_equal(chain.string, "last!!");
	longguest_poke(m, 0x20ffa, "\1\2\3\4\5\6", 6);
	follow(0x20ffa);
	CHECK(DEREF_NUMBER, 0x20ffa);
	assert_true(chain.is_address[0]);
	follow(0x21000);
	CHECK(DEREF_NUMBER, 0x21000);
	assert_false(chain.is_address[0]);
}

static void test_loops(void **state)
{
	(void)state;
	longguest_poke_word(m, 0x20000, 0x20000);
	follow(0x20000);
	CHECK(DEREF_LOOP, 0x20000, 0x20000);
	longguest_poke_word(m, 0x20000, 0x30000);
	longguest_poke_word(m, 0x30000, 0x20000);
	follow(0x20000);
	CHECK(DEREF_LOOP, 0x20000, 0x30000, 0x20000);
}

static void test_too_long(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 10; i++)
		longguest_poke_word(m, 0x20000 + 0x100 * i, 0x20100 + 0x100 * i);
	follow(0x20000);
	CHECK(DEREF_MORE, 0x20000, 0x20100, 0x20200, 0x20300, 0x20400, 0x20500);
	longguest_poke_word(m, 0x20500, 7); /* one number more is no chain */
	follow(0x20000);
	assert_int_equal(chain.end, DEREF_NUMBER);
	assert_int_equal(chain.n, DEREF_LINKS);
}

static void test_code(void **state)
{
	(void)state;
	longguest_poke(m, 0x10110, "\x90\xc3", 2);
	longguest_poke_word(m, 0x20000, 0x10110);
	follow(0x20000);
	CHECK(DEREF_CODE, 0x20000, 0x10110);
	assert_string_equal(chain.insn.mnemonic, "nop");
	/* Data in the code's page. */
	longguest_poke(m, 0x10140, "\x00text", 6);
	follow(0x10140);
	assert_int_equal(chain.end, DEREF_NUMBER);
	follow(0x10141);
	CHECK(DEREF_STRING, 0x10141);
	/* Elsewhere writable pages are data, also where they may be executed. */
	longguest_poke(m, 0x50000, "\xc3\x01", 2);
	follow(0x50000);
	CHECK(DEREF_NUMBER, 0x50000, 0x1c3);
	longguest_set_pte(m, 0x50000, 0x50000 | PTE_P | PTE_U);
	follow(0x50000);
	CHECK(DEREF_CODE, 0x50000);
	assert_string_equal(chain.insn.mnemonic, "ret");
	longguest_set_pte(m, 0x50000, 0x50000 | PTE_P | PTE_U | PTE_NX);
	fake_of(m)->regs[0].efer |= EFER_NXE;
	follow(0x50000);
	assert_int_equal(chain.end, DEREF_NUMBER);
}

static void test_registers(void **state)
{
	struct regs *r = &fake_of(m)->regs[0];

	(void)state;
	longguest_poke(m, 0x10104, "\xf4", 1);
	longguest_poke(m, 0x10100, "\x90", 1);
	longguest_poke_word(m, 0x80000, 0x10100);
	r->gpr[RAX] = 5;
	begin();
	deref_register(&d, DEREF_RIP, &chain);
	CHECK(DEREF_CODE, 0x10104);
	assert_string_equal(chain.insn.mnemonic, "hlt");
	deref_register(&d, RSP, &chain);
	CHECK(DEREF_CODE, 0x80000, 0x10100);
	deref_register(&d, RAX, &chain);
	CHECK(DEREF_NUMBER, 5);
	assert_false(deref_register_points(&d, RAX));
	assert_true(deref_register_points(&d, RSP));
}

/* The stack is no code, though it lies in its page. */
static void test_stack_beside_code(void **state)
{
	(void)state;
	fake_of(m)->regs[0].gpr[RSP] = 0x10800;
	longguest_poke_word(m, 0x10800, 9);
	begin();
	deref_register(&d, RSP, &chain);
	CHECK(DEREF_NUMBER, 0x10800, 9);
}

/* A device is not read: whoever looks changes nothing. */
static void test_device(void **state)
{
	(void)state;
	longguest_set_pte(m, 0x60000, 0xd0000000 | PTE_P | PTE_W);
	follow(0x60000);
	CHECK(DEREF_NUMBER, 0x60000);
	assert_false(chain.is_address[0]);
}

/* Tables that point into themselves and out of memory. */
static void test_hostile_tables(void **state)
{
	(void)state;
	longguest_set_pte(m, 0x60000, LONG_PT | PTE_P | PTE_W);
	longguest_set_pte(m, 0x61000, 0xffffffffff000 | PTE_P);
	follow(0x60000);
	assert_true(chain.n <= DEREF_LINKS);
	follow(0x61000);
	CHECK(DEREF_NUMBER, 0x61000);
	longguest_poke_word(m, 0x1000, 0x1000 | PTE_P | PTE_W);
	follow(0x20000);
	assert_true(chain.n >= 1 && chain.n <= DEREF_LINKS);
}

static void code16(unsigned cs_base, unsigned ss_base)
{
	struct regs *r = &fake_of(m)->regs[0];

	r->cr0 = 0;
	r->efer = 0;
	r->rflags = RFLAGS_FIXED;
	for (int i = 0; i < SEG_COUNT; i++)
		r->seg[i] = (struct seg){.s = true, .present = true, .limit = 0xffff, .type = 3};
	r->seg[SEG_CS].base = cs_base;
	r->seg[SEG_SS].base = ss_base;
	r->rip = 0x104;
	r->gpr[RSP] = 0xabcd0800;
}

/* Offsets of segments: the stack is SS's, and only what is near a symbol in CS is an address among its words. */
static void test_real_mode(void **state)
{
	(void)state;
	code16(0x10000, 0x20000);
	longguest_poke(m, 0x20800, "\x10\x01", 2);
	longguest_poke(m, 0x10110, "\xf4", 1);
	begin();
	assert_int_equal(d.w.word, 2);
	deref_register(&d, RSP, &chain);
	CHECK(DEREF_CODE, 0xabcd0800, 0x110);
	assert_int_equal(chain.linear[0], 0x20800);
	assert_int_equal(chain.linear[1], 0x10110);
	assert_string_equal(chain.insn.mnemonic, "hlt");
	deref_word(&d, 0x900, &chain);
	CHECK(DEREF_NUMBER, 0x900);
	deref_register(&d, RAX, &chain);
	assert_int_equal(chain.n, 1);
}

static void test_protected_mode(void **state)
{
	struct regs *r = &fake_of(m)->regs[0];

	(void)state;
	code16(0, 0);
	r->cr0 = CR0_PE;
	for (int i = 0; i < SEG_COUNT; i++)
		r->seg[i].db = true;
	r->seg[SEG_DS].base = 0x1000;
	r->rip = 0x10104;
	longguest_poke(m, 0x21000, "\x00\x00\x03\x00\x05\x00\x00\x00", 8);
	longguest_poke(m, 0x31000, "data", 5);
	follow(0x20000);
	CHECK(DEREF_STRING, 0x20000, 0x30000);
	assert_string_equal(chain.string, "data");
	assert_int_equal(chain.linear[0], 0x21000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_numbers, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_pointers, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_strings, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_page_end, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_loops, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_too_long, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_code, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_registers, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_stack_beside_code, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_device, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_hostile_tables, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_real_mode, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_protected_mode, setup, teardown),
	};
	return cmocka_run_group_tests_name("deref", tests, NULL, NULL);
}
