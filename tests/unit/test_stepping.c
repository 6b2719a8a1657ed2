/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * next, until and finish over a scripted machine: that they plant and take out what they need.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/blocking.h"
#include "tests/support/scripted.h"

#define TEMP (-1)

/* ---- next */

static void code(uint64_t at, const void *bytes, size_t n)
{
	longguest_poke(d.m, at, bytes, n);
}

static uint64_t sp_then;

static void set_sp(struct machine *m, void *arg)
{
	fake_of(m)->regs[(uintptr_t)arg].gpr[RSP] = sp_then;
}

static void push_temp(unsigned vcpu, uint64_t rip)
{
	struct fake_event ev = {
	    .stop = {.reason = STOP_BREAKPOINT, .breakpoint = TEMP, .vcpu = vcpu, .rip = rip, .slot = -1},
	    .fn = set_sp,
	    .arg = (void *)(uintptr_t)vcpu};

	fake_push_event(d.m, &ev);
}

/* Looks at the plant while the guest runs. */
static uint64_t planted_at;
static void note_plant(struct machine *m, void *arg)
{
	const struct plant *p = fake_plant(m, TEMP);

	(void)arg;
	planted_at = p ? p->addr : 0;
}

static void test_next_steps_plain_code(void **state)
{
	(void)state;
	code(0x10000, "\x90\x90", 2);
	assert_int_equal(debug_next(&d, 0, 1, NULL), 0);
	expect_stop(STOP_STEP, 0, 0x10001);
	assert_int_equal(fake_of(d.m)->last_kind, RUN_STEP);
}

static void test_next_over_call(void **state)
{
	struct fake_event look = {.stop = {.reason = STOP_BREAKPOINT, .breakpoint = TEMP, .rip = 0x10005}, .fn = note_plant};

	(void)state;
	code(0x10000, "\xe8\x00\x01\x00\x00", 5);
	regs(0)->gpr[RSP] = 0x80000;
	fake_push_event(d.m, &look);
	assert_int_equal(debug_next(&d, 0, 1, NULL), 0);
	assert_int_equal(planted_at, 0x10005);
	expect_stop(STOP_STEP, 0, 0x10005);
	assert_null(fake_plant(d.m, TEMP));
	assert_int_equal(d.points.n, 0);
}

/* The same instruction deeper in a recursion, or on another vCPU, is not where next ends. */
static void test_next_over_recursion(void **state)
{
	(void)state;
	code(0x10000, "\xe8\x00\x01\x00\x00", 5);
	regs(0)->gpr[RSP] = 0x80000;
	sp_then = 0x7fff0;
	push_temp(0, 0x10005);
	fake_push_stop(d.m, &(struct stop){.reason = STOP_BREAKPOINT, .breakpoint = TEMP, .vcpu = 1, .rip = 0x10005});
	fake_push_event(d.m, &(struct fake_event){.stop = {.reason = STOP_HLT, .rip = 0x10100}});
	assert_int_equal(debug_next(&d, 0, 1, NULL), 0);
	expect_stop(STOP_HLT, 0, 0x10100);
	assert_null(fake_plant(d.m, TEMP));
}

static void test_next_over_rep_and_int(void **state)
{
	(void)state;
	code(0x10000, "\xf3\xa4\xcd\x80", 4);
	sp_then = regs(0)->gpr[RSP];
	push_temp(0, 0x10002);
	push_temp(0, 0x10004);
	assert_int_equal(debug_next(&d, 0, 2, NULL), 0);
	expect_stop(STOP_STEP, 0, 0x10004);
}

static void test_next_meets_breakpoint(void **state)
{
	struct stop_point *b = breakpoint(0x10100, NULL);

	(void)state;
	code(0x10000, "\xe8\xfb\x00\x00\x00", 5);
	push_bp(1, 0x10100);
	assert_int_equal(debug_next(&d, 0, 3, NULL), 0);
	expect_stop(STOP_BREAKPOINT, 1, 0x10100);
	assert_int_equal(b->hits, 1);
	assert_null(fake_plant(d.m, TEMP));
}

/* A user's breakpoint right behind the call is told by its number, whichever plant the machine names. */
static void test_next_lands_on_breakpoint(void **state)
{
	struct stop_point *b = breakpoint(0x10005, NULL);

	(void)state;
	code(0x10000, "\xe8\x00\x01\x00\x00", 5);
	regs(0)->gpr[RSP] = sp_then = 0x80000;
	push_temp(0, 0x10005);
	assert_int_equal(debug_next(&d, 0, 1, NULL), 0);
	expect_stop(STOP_BREAKPOINT, 1, 0x10005);
	assert_int_equal(b->hits, 1);
}

/* Taken out later where the machine cannot do it now, and no stop meanwhile. */
static void test_temp_left_behind(void **state)
{
	(void)state;
	code(0x10000, "\xe8\x00\x01\x00\x00", 5);
	fake_of(d.m)->fail_op = "unplant";
	fake_of(d.m)->fail_code = -EBUSY;
	fake_push_stop(d.m, &(struct stop){.reason = STOP_FAULT_STAGE, .stage = STAGE_WALK, .rip = 0x10100});
	assert_int_equal(debug_next(&d, 0, 1, NULL), 0);
	assert_int_equal(d.stop.reason, STOP_FAULT_STAGE);
	assert_non_null(fake_plant(d.m, TEMP));
	push_bp(TEMP, 0x10005);
	fake_push_stop(d.m, &(struct stop){.reason = STOP_HLT, .rip = 0x10100});
	assert_int_equal(debug_continue(&d, 0, NULL), 0);
	expect_stop(STOP_HLT, 0, 0x10100);
	fake_of(d.m)->fail_op = NULL;
	assert_int_equal(debug_continue(&d, 0, NULL), 0);
	assert_null(fake_plant(d.m, TEMP));
}

/* ---- until, finish */

static void test_until(void **state)
{
	(void)state;
	push_temp(0, 0x10040);
	assert_int_equal(debug_until(&d, 0, 0x10040, NULL), 0);
	expect_stop(STOP_STEP, 0, 0x10040);
	assert_string_equal(d.stop.note, "`until` arrived at 0x10040");
}

static void unpark(struct machine *m, void *arg)
{
	assert_int_equal(fake_of(m)->last_kind, RUN_STEP);
	assert_null(fake_plant(m, TEMP));
	(void)arg;
}

static void push_unpark(enum stop_reason reason, uint64_t rip)
{
	struct fake_event ev = {.stop = {.reason = reason, .rip = rip, .slot = -1}, .fn = unpark};

	fake_park(d.m, 0);
	fake_push_event(d.m, &ev);
}

/* Inside a fault nothing can be planted: the instruction is stepped first, and may have arrived by that. */
static void test_until_from_inside_a_fault(void **state)
{
	(void)state;
	push_unpark(STOP_STEP, 0x10003);
	push_temp(0, 0x10040);
	assert_int_equal(debug_until(&d, 0, 0x10040, NULL), 0);
	expect_stop(STOP_STEP, 0, 0x10040);
	push_unpark(STOP_STEP, 0x10044);
	assert_int_equal(debug_until(&d, 0, 0x10044, NULL), 0);
	expect_stop(STOP_STEP, 0, 0x10044);
	assert_string_equal(d.stop.note, "`until` arrived at 0x10044");
	push_unpark(STOP_MMIO, 0x10044);
	assert_int_equal(debug_until(&d, 0, 0x10050, NULL), 0);
	expect_stop(STOP_MMIO, 0, 0x10044);
	assert_null(fake_plant(d.m, TEMP));
}

/* At a function's first instruction the return address is on top of the stack. */
static void test_finish_at_entry(void **state)
{
	(void)state;
	code(0x10000, "\xe8\xfb\x00\x00\x00", 5);
	regs(0)->rip = 0x10100;
	regs(0)->gpr[RSP] = 0x80000;
	longguest_poke_word(d.m, 0x80000, 0x10005);
	sp_then = 0x80008;
	push_temp(0, 0x10005);
	assert_int_equal(debug_finish(&d, 0, NULL), 0);
	expect_stop(STOP_STEP, 0, 0x10005);
	assert_string_equal(d.stop.note, "`finish` returned from 0x10100");
	assert_int_equal(fake_of(d.m)->last_kind, RUN_CONTINUE);
}

static void symbol(const char *name, uint64_t addr, uint64_t size)
{
	assert_int_equal(symbols_add(&d.syms, name, addr, size, NULL), 0);
	assert_int_equal(symbols_sort(&d.syms, NULL), 0);
}

/* In its body the frame pointer leads to it. */
static void test_finish_by_frame_pointer(void **state)
{
	(void)state;
	symbol("f", 0x10100, 0x40);
	code(0x10000, "\xe8\xfb\x00\x00\x00", 5);
	regs(0)->rip = 0x10120;
	regs(0)->gpr[RSP] = 0x7ff00;
	regs(0)->gpr[RBP] = 0x80000;
	longguest_poke_word(d.m, 0x80008, 0x10005);
	sp_then = 0x80010;
	push_temp(0, 0x10005);
	assert_int_equal(debug_finish(&d, 0, NULL), 0);
	expect_stop(STOP_STEP, 0, 0x10005);
	assert_string_equal(d.stop.note, "`finish` returned from 0x10120 (f+0x20)");
}

/* The plant only counts above the frame: a recursive call that returns to the same place is inside it. */
static void test_finish_in_recursion(void **state)
{
	(void)state;
	symbol("f", 0x10100, 0x40);
	code(0x10000, "\xe8\xfb\x00\x00\x00", 5);
	regs(0)->rip = 0x10100;
	regs(0)->gpr[RSP] = 0x80000;
	longguest_poke_word(d.m, 0x80000, 0x10005);
	sp_then = 0x80000;
	push_temp(0, 0x10005);
	fake_push_stop(d.m, &(struct stop){.reason = STOP_HLT, .rip = 0x10200});
	assert_int_equal(debug_finish(&d, 0, NULL), 0);
	expect_stop(STOP_HLT, 0, 0x10200);
}

/* Without a believable return address: step, over calls, until a return at this depth. */
static void test_finish_by_steps(void **state)
{
	(void)state;
	code(0x10000, "\xe8\xfb\x05\x00\x00", 5); /* to elsewhere */
	code(0x10100, "\x90\xe8\x10\x00\x00\x00\xc3", 7);
	longguest_poke_word(d.m, 0x80008, 0x10005);
	regs(0)->rip = 0x10100;
	regs(0)->gpr[RSP] = sp_then = 0x80000;
	fake_push_step(d.m, 0, 0x10101);
	push_temp(0, 0x10106);
	fake_push_step(d.m, 0, 0x10005);
	assert_int_equal(debug_finish(&d, 0, NULL), 0);
	expect_stop(STOP_STEP, 0, 0x10005);
}

/* Nothing on the stack could lead anywhere: nothing runs. */
static void test_finish_without_caller(void **state)
{
	struct err e;

	(void)state;
	regs(0)->rip = 0x10100;
	regs(0)->gpr[RSP] = 0x80000;
	assert_int_equal(debug_finish(&d, 0, &e), -ENOENT);
	assert_string_equal(e.what, "finish");
	assert_non_null(strstr(e.why, "no caller"));
	assert_string_equal(e.next, "until ADDR");
	regs(0)->gpr[RSP] = 0x7fffffff0000;
	assert_int_equal(debug_finish(&d, 0, &e), -ENOENT);
	assert_non_null(strstr(e.why, "cannot be read"));
}

static int asks_left;
static bool asked_to_end(void)
{
	return --asks_left == 0;
}

/* Ctrl-C between two steps is seen, whichever loop it is. */
static void test_loops_end_when_asked(void **state)
{
	(void)state;
	test_finish_by_steps(state);
	d.interrupted = asked_to_end;
	asks_left = 1;
	fake_push_step(d.m, 0, 0x10101);
	regs(0)->rip = 0x10100;
	regs(0)->gpr[RSP] = 0x80000;
	assert_int_equal(debug_finish(&d, 0, NULL), 0);
	expect_stop(STOP_INTERRUPTED, 0, 0x10101);
	regs(0)->rip = 0x10100;
	asks_left = 1;
	fake_push_step(d.m, 0, 0x10101);
	assert_int_equal(debug_next(&d, 0, 5, NULL), 0);
	expect_stop(STOP_INTERRUPTED, 0, 0x10101);
	breakpoint(0x99999, NULL);
	asks_left = 2;
	fake_push_step(d.m, 0, 0x10101);
	fake_push_step(d.m, 0, 0x10102);
	assert_int_equal(debug_step(&d, 0, 5, NULL), 0);
	expect_stop(STOP_INTERRUPTED, 0, 0x10102);
}

/* What a temporary breakpoint leaves behind for who runs commands. */
static void test_commands_of_a_temporary(void **state)
{
	struct stop_point spec = {.kind = POINT_BREAK, .addr = 0x10100, .temporary = true}, *b = NULL;

	(void)state;
	assert_int_equal(point_add(&d.points, d.m, &spec, &b, NULL), 0);
	assert_int_equal(point_set_commands(b, "puts hello", NULL), 0);
	int id = b->id;
	push_bp(id, 0x10100);
	assert_int_equal(debug_continue(&d, 0, NULL), 0);
	expect_stop(STOP_BREAKPOINT, id, 0x10100);
	assert_null(point_find(&d.points, id));
	char *commands = judge_commands(&d.judge, id);
	assert_string_equal(commands, "puts hello");
	free(commands);
}

/* 16-bit code: near calls push two bytes, and addresses are CS base plus offset. */
static void test_finish_in_16_bit(void **state)
{
	struct regs *r = regs(0);

	(void)state;
	r->cr0 = CR0_ET;
	r->efer = 0;
	r->rflags = RFLAGS_FIXED;
	r->seg[SEG_CS] =
	    (struct seg){.base = 0x30000, .selector = 0x3000, .limit = 0xffff, .type = 11, .s = true, .present = true};
	r->seg[SEG_SS] =
	    (struct seg){.base = 0x40000, .selector = 0x4000, .limit = 0xffff, .type = 3, .s = true, .present = true};
	code(0x38000, "\xe8\x0d\x00", 3);
	r->rip = 0x8010;
	r->gpr[RSP] = 0xffff1000; /* the upper half is not the stack pointer's */
	code(0x41000, "\x03\x80", 2);
	sp_then = 0x1002;
	push_temp(0, 0x8003);
	assert_int_equal(debug_finish(&d, 0, NULL), 0);
	expect_stop(STOP_STEP, 0, 0x8003);
}

#define T(name) cmocka_unit_test_setup_teardown(name, scripted_setup, scripted_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_next_steps_plain_code),     T(test_next_over_call),
	    T(test_next_over_recursion),       T(test_next_over_rep_and_int),
	    T(test_next_meets_breakpoint),     T(test_next_lands_on_breakpoint),
	    T(test_temp_left_behind),	       T(test_until),
	    T(test_until_from_inside_a_fault), T(test_finish_at_entry),
	    T(test_finish_by_frame_pointer),   T(test_finish_in_recursion),
	    T(test_finish_by_steps),	       T(test_finish_without_caller),
	    T(test_loops_end_when_asked),      T(test_commands_of_a_temporary),
	    T(test_finish_in_16_bit),
	};
	return cmocka_run_group_tests_name("stepping", tests, NULL, NULL);
}
