/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Walking stacks: with and without frame pointers, in 64 and 16 bits, and stacks that lie.
 */
#include "core/debug/backtrace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/longguest.h"

static struct debugger d;
static struct backtrace bt;

/* Three functions; each call rax (2 bytes) ends at one of these. */
enum { F = 0x10100, G = 0x10200, H = 0x10300, IN_F = F + 0x12, IN_G = G + 0x12 };
/* Frames of h, called by g, called by f. */
enum { BP_H = 0x80000, BP_G = 0x80100, BP_F = 0x80200 };

static int setup(void **state)
{
	(void)state;
	assert_int_equal(debugger_init(&d, NULL), 0);
	d.m = longguest_create(1, 0);
	longguest_poke(d.m, IN_F - 2, "\xff\xd0", 2);
	longguest_poke(d.m, IN_G - 2, "\xff\xd0", 2);
	assert_int_equal(symbols_add(&d.syms, "h", H, 0x80, NULL), 0);
	assert_int_equal(symbols_sort(&d.syms, NULL), 0);
	longguest_poke_word(d.m, BP_H, BP_G);
	longguest_poke_word(d.m, BP_H + 8, IN_G);
	longguest_poke_word(d.m, BP_G, BP_F);
	longguest_poke_word(d.m, BP_G + 8, IN_F);
	struct regs *r = &fake_of(d.m)->regs[0];
	r->rip = H + 0x20;
	r->gpr[RSP] = BP_H - 0x40;
	r->gpr[RBP] = BP_H;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	backtrace_free(&bt);
	machine_destroy(d.m);
	debugger_deinit(&d);
	return 0;
}

static void walk(size_t max)
{
	struct err e = {0};

	if (debug_backtrace(&d, 0, max, &bt, &e))
		fail_msg("%s: %s", e.what, e.why);
}

static void expect_frame(size_t i, uint64_t pc, uint64_t frame)
{
	assert_true(i < bt.n);
	assert_int_equal(bt.v[i].pc, pc);
	assert_int_equal(bt.v[i].has_frame, frame != 0);
	if (frame)
		assert_int_equal(bt.v[i].frame, frame);
}

static void chain(void **state)
{
	(void)state;
	walk(64);
	assert_int_equal(bt.n, 3);
	expect_frame(0, H + 0x20, BP_H);
	expect_frame(1, IN_G, BP_G);
	expect_frame(2, IN_F, 0);
	assert_string_equal(bt.end, "0, above the frame pointer at 0x80200, is no address behind a call");
}

static void outermost(void **state)
{
	(void)state;
	longguest_poke_word(d.m, BP_G, 0);
	walk(64);
	assert_int_equal(bt.n, 3);
	expect_frame(1, IN_G, BP_G);
	assert_string_equal(bt.end, "the frame pointer is 0, as in the outermost frame");
}

/* At the first instruction the return address is on top of the stack, and rbp is the caller's. */
static void before_the_prologue(void **state)
{
	struct regs *r = &fake_of(d.m)->regs[0];

	(void)state;
	r->rip = H;
	r->gpr[RSP] = BP_H + 8;
	r->gpr[RBP] = BP_G;
	walk(64);
	assert_int_equal(bt.n, 3);
	expect_frame(0, H, 0);
	expect_frame(1, IN_G, BP_G);
	expect_frame(2, IN_F, 0);
}

/* Behind push rbp, before mov rbp, rsp. */
static void inside_the_prologue(void **state)
{
	struct regs *r = &fake_of(d.m)->regs[0];

	(void)state;
	longguest_poke(d.m, H, "\x55\x48\x89\xe5", 4);
	r->rip = H + 1;
	r->gpr[RSP] = BP_H;
	r->gpr[RBP] = BP_G;
	walk(64);
	assert_int_equal(bt.n, 3);
	expect_frame(0, H + 1, 0);
	expect_frame(1, IN_G, BP_G);
}

static void only_so_many(void **state)
{
	(void)state;
	walk(1);
	assert_int_equal(bt.n, 1);
	expect_frame(0, H + 0x20, 0);
	assert_string_equal(bt.end, "");
	backtrace_free(&bt);
	walk(2);
	assert_int_equal(bt.n, 2);
	assert_string_equal(bt.end, "");
}

/* Each way in which a stack may lie ends the walk, with what was right before it. */
static void loops(void **state)
{
	(void)state;
	longguest_poke_word(d.m, BP_G, BP_H);
	walk(BACKTRACE_MAX);
	assert_int_equal(bt.n, 3);
	assert_string_equal(bt.end, "the frame pointer 0x80000 is below 0x80110, where the frames so far end");
	backtrace_free(&bt);
	longguest_poke_word(d.m, BP_H, BP_H);
	walk(BACKTRACE_MAX);
	assert_int_equal(bt.n, 2);
	assert_string_equal(bt.end, "the frame pointer 0x80000 is below 0x80010, where the frames so far end");
}

static void unaligned(void **state)
{
	(void)state;
	longguest_poke_word(d.m, BP_H, BP_G + 4);
	walk(64);
	assert_int_equal(bt.n, 2);
	assert_string_equal(bt.end, "the frame pointer 0x80104 is not aligned to 8 bytes");
}

static void far_away(void **state)
{
	(void)state;
	longguest_poke_word(d.m, BP_H, ~0ull << 12);
	walk(64);
	assert_int_equal(bt.n, 2);
	assert_string_equal(bt.end,
			    "the frame pointer 0xfffffffffffff000 is more than 1 MiB above 0x80010, where the frames so "
			    "far end");
}

static void unreadable(void **state)
{
	(void)state;
	longguest_poke_word(d.m, BP_H, 0x90000);
	longguest_set_pte(d.m, 0x90000, 0);
	walk(64);
	assert_int_equal(bt.n, 2);
	assert_string_equal(bt.end, "the stack at 0x90000 cannot be read");
}

/* A stack in which every frame is sound may be as long as it likes: the limit holds. */
static void long_chain(void **state)
{
	(void)state;
	for (uint64_t at = BP_H; at < BP_H + 16ull * 5000; at += 16) {
		longguest_poke_word(d.m, at, at + 16);
		longguest_poke_word(d.m, at + 8, IN_F);
	}
	walk(BACKTRACE_MAX);
	assert_int_equal(bt.n, BACKTRACE_MAX);
	assert_string_equal(bt.end, "");
}

static void in_16_bits(void **state)
{
	struct regs *r = &fake_of(d.m)->regs[0];
	uint16_t stack[] = {0x1100, 0x8003, 0, 0};

	(void)state;
	r->cr0 = CR0_ET;
	r->efer = 0;
	r->rflags = RFLAGS_FIXED;
	r->seg[SEG_CS] =
	    (struct seg){.base = 0x30000, .selector = 0x3000, .limit = 0xffff, .type = 11, .s = true, .present = true};
	r->seg[SEG_SS] =
	    (struct seg){.base = 0x40000, .selector = 0x4000, .limit = 0xffff, .type = 3, .s = true, .present = true};
	longguest_poke(d.m, 0x38000, "\xe8\x0d\x00", 3);
	r->rip = 0x8012;
	r->gpr[RSP] = 0xff0;
	r->gpr[RBP] = 0xabcd1000;
	longguest_poke(d.m, 0x41000, stack, sizeof(stack));
	walk(64);
	assert_int_equal(bt.n, 2);
	expect_frame(0, 0x38012, 0x41000);
	expect_frame(1, 0x38003, 0);
	assert_string_equal(bt.end, "0x30000, above the frame pointer at 0x41100, is no address behind a call");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(chain),	  T(outermost), T(before_the_prologue), T(inside_the_prologue), T(only_so_many), T(loops),
	    T(unaligned), T(far_away),	T(unreadable),		T(long_chain),		T(in_16_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
