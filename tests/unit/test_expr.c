/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Address expressions: C's precedence on unsigned 64 bits, registers and symbols, and every way to get one wrong.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "core/debug/expr.h"
#include "core/load/symbols.h"
#include "tests/support/fake.h"

struct world {
	struct machine *m;
	struct symbols syms;
	struct expr_env env;
};

static int up(void **state)
{
	static struct world w;

	w.m = fake_create(2);
	symbols_init(&w.syms);
	assert_int_equal(symbols_add(&w.syms, "main", 0x401000, 0, NULL), 0);
	assert_int_equal(symbols_add(&w.syms, "user.loop", 0x401010, 0, NULL), 0);
	assert_int_equal(symbols_add(&w.syms, "rax", 0x5, 0, NULL), 0);
	uint32_t a, b;
	assert_int_equal(symbols_add_file(&w.syms, "src/a.c", &a, NULL), 0);
	assert_int_equal(symbols_add_file(&w.syms, "b.c", &b, NULL), 0);
	assert_int_equal(symbols_add_local(&w.syms, b, "helper", 0x2000, 0x10, NULL), 0);
	assert_int_equal(symbols_add_local(&w.syms, a, "helper", 0x1000, 0x10, NULL), 0);
	assert_int_equal(symbols_add_local(&w.syms, a, "only", 0x1100, 0x10, NULL), 0);
	assert_int_equal(symbols_sort(&w.syms, NULL), 0);
	fake_of(w.m)->regs[0].rip = 0x200000;
	fake_of(w.m)->regs[0].seg[SEG_CS].limit = 0xffffffff; /* kept from protected mode; the others have 64 KiB */
	fake_of(w.m)->regs[0].gpr[RAX] = 0xffffffff12345678;
	fake_of(w.m)->regs[1].rip = 0x300000;
	w.env = (struct expr_env){w.m, 0, &w.syms};
	*state = &w;
	return 0;
}

static int down(void **state)
{
	struct world *w = *state;

	symbols_deinit(&w->syms);
	machine_destroy(w->m);
	return 0;
}

static void values(void **state)
{
	static const struct {
		const char *text;
		uint64_t want;
	} cases[] = {
	    {"0", 0},
	    {"42", 42},
	    {"0x2A", 42},
	    {"0o52", 42},
	    {"0b101010", 42},
	    {"010", 10}, /* no octal by a bare zero */
	    {"0xffffffffffffffff", ~0ull},
	    {"18446744073709551615", ~0ull},
	    {" 1 + 2 * 3 ", 7},
	    {"(1 + 2) * 3", 9},
	    {"10 - 3 - 2", 5},
	    {"100 / 7 % 4", 2},
	    {"1 << 4 | 1", 17},
	    {"1 | 2 ^ 3 & 6", 1},
	    {"2 + 3 << 1", 10},
	    {"0xf0 >> 4 & 3", 3},
	    {"1 << 64", 0},
	    {"1 << 63", 1ull << 63},
	    {"-1", ~0ull},
	    {"~0 - -1", 0},
	    {"0 - 1", ~0ull},
	    {"- - 5", 5},
	    {"+5", 5},
	    {"*0x200028", 0x200028},
	    {"*(0x10 + 1)", 0x11},
	    {"$rip", 0x200000},
	    {"*$rip+4", 0x200004},
	    {"$eax", 0x12345678},
	    {"$ax & 0xff", 0x78},
	    {"$rip - $pc", 0x10000}, /* the register, and linear: from 0xffff0000 on, wrapped */
	    {"$cs.base", 0xffff0000},
	    {"main", 0x401000},
	    {"main+0x10*2", 0x401020},
	    {"user.loop", 0x401010},
	    {"rax", 5}, /* the symbol; the register has a $ */
	    {"main&~0xfff", 0x401000},
	    {"0x7c0:0x10", 0x7c10},
	    {"*0x7c0:0x10+1", 0x7c11},
	    {"-0x7c0:0", 0ull - 0x7c00},
	    {"0xffff:0xffff", 0x10ffef},
	    {"0x10:(1 + 2)*2", 0x206},
	    {"$cs:$ip", 0xffff0000}, /* what CS has loaded, which is no selector * 16 after a reset */
	    {"$cs:$pc", 0x1f0000},   /* the register, behind a segment */
	    {"$ax:8", 0x56788},
	    {"a.c:helper", 0x1000},
	    {"b.c:helper+4", 0x2004},
	    {"helper@1", 0x1000},
	    {"helper@2 - helper@1", 0x1000},
	    {"a.c:only", 0x1100},
	};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t v = 0xdead;
		struct err e = {0};

		if (expr_eval(&w->env, cases[i].text, &v, &e) < 0)
			fail_msg("'%s': %s", cases[i].text, e.why);
		if (v != cases[i].want)
			fail_msg("'%s' is %#llx", cases[i].text, (unsigned long long)v);
	}
}

static void errors(void **state)
{
	static const struct {
		const char *text;
		int code;
		const char *why;
	} cases[] = {
	    {"", -EINVAL, "it ends where a number, $register, symbol or ( should be"},
	    {"*", -EINVAL, "it ends"},
	    {"1 +", -EINVAL, "it ends"},
	    {"1 2", -EINVAL, "'2' stands at column 3 where an operator should be"},
	    {"(1", -EINVAL, "it ends where an operator or ) should be"},
	    {"1)", -EINVAL, "')' stands at column 2"},
	    {"12ab", -EINVAL, "hexadecimal numbers begin with 0x"},
	    {"0x", -EINVAL, "a digit"},
	    {"0xg", -EINVAL, "'g' stands at column 3 where a digit"},
	    {"0b12", -EINVAL, "'2' stands at column 4"},
	    {"0x10000000000000000", -ERANGE, "0x10000000000000000 is beyond 64 bits"},
	    {"18446744073709551616", -ERANGE, "beyond 64 bits"},
	    {"nosuch", -EINVAL, "there is no symbol 'nosuch'"},
	    {"$nosuch", -EINVAL, "there is no register $nosuch"},
	    {"$", -EINVAL, "it ends where a register's name should be"},
	    {"1 / 0", -EDOM, "divides by zero"},
	    {"5 % (3 - 3)", -EDOM, "divides by zero"},
	    {"1 < 2", -EINVAL, "'< 2' stands at column 3"},
	    {"**1", -EINVAL, "stands at column 2"},
	    {"1 = 1", -EINVAL, "an operator"},
	    {"0x7c0: 0x10", -EINVAL, "':"},
	    {"0x7c0 :0x10", -EINVAL, "':"},
	    {"0x10000:0", -EINVAL, "a selector has 16 bits"},
	    {"0x7c0:0x100000000", -ERANGE, "an offset has 32 bits"},
	    {"0x7c0:0x10000", -ERANGE, "in real mode an offset has 16 bits"},
	    {"$ds:0x10000", -ERANGE, "in real mode an offset has 16 bits"},
	    {"0x7c0:main", -ERANGE, "in real mode an offset has 16 bits"},
	    {"1:2:3", -EINVAL, "':3' stands at column 4"},
	    {"nofile.c:helper", -EINVAL, "'nofile.c' is no file that has symbols"},
	    {"a.c:nosuch", -EINVAL, "there is no symbol 'a.c:nosuch'"},
	    {"helper", -ENOTUNIQ, "'helper' is several symbols: a.c:helper (0x1000), b.c:helper (0x2000)"},
	    {"helper@3", -EINVAL, "there are 2 of that name, so 'helper@3' is none of them"},
	    {"helper@0", -EINVAL, "there are 2 of that name"},
	    {"a.c:helper@2", -EINVAL, "there is 1 of that name"},
	    {"nosuch@2", -EINVAL, "there is no symbol 'nosuch@2'"},
	};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t v = 0xdead;
		struct err e = {0};
		int rc = expr_eval(&w->env, cases[i].text, &v, &e);

		if (rc != cases[i].code || !strstr(e.why, cases[i].why) || !e.next[0])
			fail_msg("'%s': %d, '%s'", cases[i].text, rc, e.why);
		assert_int_equal(v, 0xdead);
	}
}

/* Selectors of protected mode, by a GDT at 0x3000 and an LDT at 0x4000. */
static void descriptors(void **state)
{
	static const uint64_t gdt[] = {
	    0,			/* null */
	    0x00cf9b000000ffff, /* 8: code, base 0 */
	    0x12cf93345678ffff, /* 0x10: data, base 0x12345678 */
	    0x0000890050000067, /* 0x18: a TSS */
	    0x00cf1b000000ffff, /* 0x20: code, not present */
	    0x00af9b111111ffff, /* 0x28: 64-bit code */
	    0x0040fb600000ffff, /* 0x30: code of 32 bits, base 0x600000 */
	};
	static const uint64_t ldt[] = {0x00cf93700000ffff};
	static const struct {
		const char *text, *why; /* why: of an error */
		uint64_t want;
	} cases[] = {
	    {"8:0x1234", NULL, 0x1234},
	    {"0x10:0x8", NULL, 0x12345680},
	    {"0x13:0x8", NULL, 0x12345680}, /* the RPL is no part of it */
	    {"0x33:4", NULL, 0x600004},
	    {"4:0x10", NULL, 0x700010}, /* LDT */
	    {"$cs:4", NULL, 0x40004},	/* not by the descriptor */
	    {"$ss:$esp", "has nothing loaded", 0},
	    {"0:5", "it is the null selector", 0},
	    {"3:5", "it is the null selector", 0},
	    {"0x18:0", "of the system type 9", 0},
	    {"0x20:0", "not present", 0},
	    {"0x38:0", "beyond the end of the GDT, whose limit is 0x37", 0},
	    {"0xc:0", "beyond the end of the LDT", 0},
	};
	struct world *w = *state;
	struct regs *r = &fake_of(w->m)->regs[0], kept = *r;

	fake_add_slot(w->m, 0, 0, 0x10000, 0);
	assert_int_equal(machine_write_gva(w->m, 0, 0x3000, gdt, sizeof(gdt), NULL), 0);
	assert_int_equal(machine_write_gva(w->m, 0, 0x4000, ldt, sizeof(ldt), NULL), 0);
	r->cr0 |= CR0_PE;
	r->gdt = (struct desc_table){0x3000, sizeof(gdt) - 1};
	r->ldt = (struct seg){.base = 0x4000, .limit = sizeof(ldt) - 1, .present = true};
	r->seg[SEG_CS] = (struct seg){.base = 0x40000, .limit = 0xffffffff, .selector = 8, .db = true, .present = true};
	r->seg[SEG_SS] = (struct seg){.unusable = true};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t v = 0xdead;
		struct err e = {0};
		int rc = expr_eval(&w->env, cases[i].text, &v, &e);

		if (cases[i].why ? rc != -EINVAL || !strstr(e.why, cases[i].why) || !e.next[0] : rc || v != cases[i].want)
			fail_msg("'%s': %d, %#llx, '%s'", cases[i].text, rc, (unsigned long long)v, e.why);
	}
	/* 64-bit code: the bases of descriptors count for code of 32 bits alone. */
	r->efer |= EFER_LMA;
	r->seg[SEG_CS] = (struct seg){.l = true, .present = true, .selector = 0x28};
	r->seg[SEG_FS].base = 0xffff888000000000;
	static const struct {
		const char *text;
		uint64_t want;
	} wide[] = {{"0x28:0xffffffff81000000", 0xffffffff81000000},
		    {"0x10:0xffff888000000000", 0xffff888000000000},
		    {"0x33:4", 0x600004},
		    {"$fs:0x28", 0xffff888000000028},
		    {"$ds:0x28", 0x28}};
	for (size_t i = 0; i < ARRAY_LEN(wide); i++) {
		uint64_t v = 0;

		assert_int_equal(expr_eval(&w->env, wide[i].text, &v, NULL), 0);
		if (v != wide[i].want)
			fail_msg("'%s' is %#llx", wide[i].text, (unsigned long long)v);
	}
	*r = kept;
}

static void depth_is_bounded(void **state)
{
	struct world *w = *state;
	char text[4096];
	struct err e = {0};
	uint64_t v = 0;

	memset(text, '(', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(expr_eval(&w->env, text, &v, &e), -EINVAL);
	assert_string_equal(e.why, "it is nested more than 200 deep");
	memset(text, '-', sizeof(text) - 1);
	assert_int_equal(expr_eval(&w->env, text, &v, &e), -EINVAL);
	memset(text, 'a', sizeof(text) - 1);
	assert_int_equal(expr_eval(&w->env, text, &v, &e), -EINVAL);
	for (size_t i = 0; i + 1 < sizeof(text); i++)
		text[i] = i % 2 ? '+' : '1';
	text[sizeof(text) - 3] = '\0';
	assert_int_equal(expr_eval(&w->env, text, &v, &e), 0); /* long is fine */
	assert_int_equal(v, sizeof(text) / 2 - 1);
}

static void environments(void **state)
{
	struct world *w = *state;
	struct expr_env second = w->env, bare = {0};
	struct err e = {0};
	uint64_t v = 0;

	second.vcpu = 1;
	assert_int_equal(expr_eval(&second, "$rip", &v, &e), 0);
	assert_int_equal(v, 0x300000);
	second.vcpu = 2;
	assert_int_equal(expr_eval(&second, "$rip", &v, &e), -EINVAL);
	assert_int_equal(expr_eval(&bare, "1+1", &v, &e), 0);
	assert_int_equal(expr_eval(&bare, "$rip", &v, &e), -EINVAL);
	assert_string_equal(e.why, "there is no machine to read $rip from");
	assert_int_equal(expr_eval(&bare, "main", &v, &e), -EINVAL);
	assert_int_equal(expr_eval(&bare, "rbx", &v, &e), -EINVAL);
	assert_string_equal(e.next, "$rbx for the register");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(values, up, down),
	    cmocka_unit_test_setup_teardown(errors, up, down),
	    cmocka_unit_test_setup_teardown(descriptors, up, down),
	    cmocka_unit_test_setup_teardown(depth_is_bounded, up, down),
	    cmocka_unit_test_setup_teardown(environments, up, down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
