/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Plans driven by a client that polls: the same stops as by the calls that block, on both backends; what is passed over on
 * the way; one that is interrupted.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/debug/debugger.h"
#include "core/soft/soft.h"
#include "tests/support/guest.h"

/* call f; nop; jmp . and f at + 0x10: nop; nop; ret */
#define CALLS "\xe8\x0b\x00\x00\x00\x90\xeb\xfe"
#define FUNCTION "\x90\x90\xc3"
#define FUNCTION_AT (GUEST_CODE + 0x10)

static const struct machine_ops *const backends[] = {NULL, &soft_backend};

struct both {
	struct guest g;
	struct debugger d;
};

static bool open_on(struct both *b, unsigned i)
{
	guest_backend = backends[i];
	if (!backends[i] && !guest_possible())
		return false;
	guest_open(&b->g, GUEST_LONG, 0, false, 1);
	guest_poke(&b->g, GUEST_CODE, CALLS, sizeof(CALLS) - 1);
	guest_poke(&b->g, FUNCTION_AT, FUNCTION, sizeof(FUNCTION) - 1);
	assert_int_equal(debugger_init(&b->d, NULL), 0);
	b->d.m = b->g.m;
	return true;
}

static void close_both(struct both *b)
{
	debugger_deinit(&b->d);
	guest_close(&b->g);
	guest_backend = NULL;
}

static void start(struct both *b, struct plan p)
{
	if (debug_start(&b->d, &p, RUN_RUNNER, &b->g.e) != 1)
		fail_msg("%s: %s", b->g.e.what, b->g.e.why);
}

static void poll_to_the_end(struct both *b)
{
	struct pollfd p = {.fd = machine_run_fd(b->g.m), .events = POLLIN};
	int rc;

	while (!(rc = debug_poll(&b->d, &b->g.e)))
		if (!poll(&p, 1, 20000))
			fail_msg("nothing came of the plan in 20 s");
	assert_int_equal(rc, 1);
}

static void expect(struct both *b, enum stop_reason reason, uint64_t rip)
{
	assert_int_equal(b->d.stop.reason, reason);
	assert_int_equal(b->d.stop.rip, rip);
	assert_int_equal(guest_regs(&b->g, 0).rip, rip);
}

static void each_kind_of_plan(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct both b;

		if (!open_on(&b, i))
			continue;
		start(&b, plan_step(0, 2));
		poll_to_the_end(&b);
		expect(&b, STOP_STEP, FUNCTION_AT + 1);
		start(&b, plan_finish(0));
		poll_to_the_end(&b);
		expect(&b, STOP_STEP, GUEST_CODE + 5);
		assert_non_null(strstr(b.d.stop.note, "`finish` returned from"));
		guest_set_rip(&b.g, 0, GUEST_CODE);
		start(&b, plan_next(0, 2));
		poll_to_the_end(&b);
		expect(&b, STOP_STEP, GUEST_CODE + 6);
		guest_set_rip(&b.g, 0, GUEST_CODE);
		start(&b, plan_until(0, FUNCTION_AT + 2));
		poll_to_the_end(&b);
		expect(&b, STOP_STEP, FUNCTION_AT + 2);
		assert_non_null(strstr(b.d.stop.note, "`until` arrived at"));
		close_both(&b);
	}
}

/* A breakpoint is asked once where a step begins, and the step is made all the same. */
static int no(void *ctx, const struct stop_point *p, const struct stop *s, struct err *e)
{
	(void)s, (void)e;
	++*(unsigned *)ctx;
	return !p->condition;
}

static void step_from_a_false_breakpoint(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct stop_point spec = {.kind = POINT_BREAK, .addr = FUNCTION_AT, .condition = (char *)(uintptr_t) "0"};
		unsigned asked = 0;
		struct both b;

		if (!open_on(&b, i))
			continue;
		b.d.judge.condition = no;
		b.d.judge.condition_ctx = &asked;
		start(&b, plan_step(0, 1));
		poll_to_the_end(&b);
		assert_int_equal(point_add(&b.d.points, b.g.m, &spec, NULL, &b.g.e), 0);
		guest_set_rip(&b.g, 0, GUEST_CODE + 5);
		start(&b, plan_step(0, 1));
		poll_to_the_end(&b);
		guest_set_rip(&b.g, 0, FUNCTION_AT);
		start(&b, plan_step(0, 1));
		poll_to_the_end(&b);
		expect(&b, STOP_STEP, FUNCTION_AT + 1);
		assert_int_equal(asked, 1);
		close_both(&b);
	}
}

/* A handler that repairs what a fault was about and returns: the instruction runs on, which is no new hit. What comes to it
 * anew is one. */
static void back_behind_a_fault(void **state)
{
	static const char program[] = "\xf3\xaa"		/* rep stosb, over the end of a page */
				      "\x89\x06"		/* mov [rsi], eax */
				      "\xff\xcb\x75\xf8\xf4",	/* dec ebx; jnz to the rep, with no rounds left; hlt */
	    handler[] = "\x80\x0d\x00\x00\x00\x00\x07"		/* or byte [PTE], 7: filled in below */
			"\x0f\x01\x3e\x48\x83\xc4\x08\x48\xcf"; /* invlpg [rsi]; add rsp, 8; iretq */
	const uint64_t pte = GUEST_CR3 + 0x3000 + 6 * 8, at = GUEST_HANDLERS + 14 * 16;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct both b;
		uint8_t off = 0, code[sizeof(handler)];

		guest_backend = &soft_backend;
		guest_open(&b.g, GUEST_LONG, 0, true, 1);
		guest_poke(&b.g, GUEST_CODE, program, sizeof(program) - 1);
		memcpy(code, handler, sizeof(handler));
		int32_t disp = (int32_t)(pte - (at + 7));
		memcpy(code + 2, &disp, sizeof(disp));
		guest_poke(&b.g, at, code, sizeof(handler) - 1);
		guest_poke(&b.g, pte, &off, 1);
		assert_int_equal(debugger_init(&b.d, NULL), 0);
		b.d.m = b.g.m;
		guest_set(&b.g, 0, RDI, 0x5ffc);
		guest_set(&b.g, 0, RSI, 0x6000);
		guest_set(&b.g, 0, RCX, 8);
		guest_set(&b.g, 0, RBX, 3);
		struct stop_point rep = {.kind = POINT_BREAK, .addr = GUEST_CODE, .ignore = 100},
				  mov = {.kind = POINT_BREAK, .addr = GUEST_CODE + 2, .ignore = 100},
				  mode = {.kind = POINT_CATCH, .event = CATCH_MODE, .ignore = 100}, *r, *m;
		assert_int_equal(point_add(&b.d.points, b.g.m, &rep, &r, &b.g.e), 0);
		assert_int_equal(point_add(&b.d.points, b.g.m, &mov, &m, &b.g.e), 0);
		if (i)
			assert_int_equal(point_add(&b.d.points, b.g.m, &mode, NULL, &b.g.e), 0);
		/* The place where it begins has not been asked. */
		b.d.has_run = true;
		start(&b, plan_continue(0));
		poll_to_the_end(&b);
		expect(&b, STOP_HLT, GUEST_CODE + sizeof(program) - 1);
		assert_int_equal(r->hits, 3);
		assert_int_equal(m->hits, 3);
		close_both(&b);
	}
}

static int never(void *ctx, const struct stop_point *p, const struct stop *s, struct err *e)
{
	(void)s, (void)e;
	++*(unsigned *)ctx;
	return p->condition == NULL;
}

/* Conditions are asked on the client's thread, in debug_poll(); a point behind one that is passed over is told. */
static void passes_over(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct stop_point spec = {.kind = POINT_BREAK, .addr = FUNCTION_AT, .len = 1, .condition = (char *)"0"};
		struct stop_point *p;
		unsigned asked = 0;
		struct both b;

		if (!open_on(&b, i))
			continue;
		b.d.judge.condition = never;
		b.d.judge.condition_ctx = &asked;
		assert_int_equal(point_add(&b.d.points, b.g.m, &spec, &p, &b.g.e), 0);
		spec = (struct stop_point){.kind = POINT_BREAK, .addr = FUNCTION_AT + 1, .len = 1};
		assert_int_equal(point_add(&b.d.points, b.g.m, &spec, &p, &b.g.e), 0);
		start(&b, plan_continue(0));
		poll_to_the_end(&b);
		expect(&b, STOP_BREAKPOINT, FUNCTION_AT + 1);
		assert_int_equal(b.d.stop.breakpoint, 2);
		assert_true(asked >= 1);
		close_both(&b);
	}
}

static void interrupted(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct both b;

		if (!open_on(&b, i))
			continue;
		start(&b, plan_until(0, 0x123456));
		assert_int_equal(debug_poll(&b.d, &b.g.e), 0);
		machine_interrupt(b.g.m);
		poll_to_the_end(&b);
		assert_int_equal(b.d.stop.reason, STOP_INTERRUPTED);
		/* The temporary stop is gone. */
		assert_false(b.d.points.internal.enabled);
		assert_false(b.d.points.internal_left);
		close_both(&b);
	}
}

static void nothing_to_do(void **state)
{
	struct plan none = plan_step(0, 0);
	struct both b;

	(void)state;
	open_on(&b, 1);
	assert_int_equal(debug_start(&b.d, &none, RUN_RUNNER, &b.g.e), 0);
	assert_int_equal(machine_phase(b.g.m), RUN_STOPPED);
	none = plan_stage();
	assert_int_equal(debug_start(&b.d, &none, RUN_RUNNER, &b.g.e), -EINVAL);
	close_both(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(step_from_a_false_breakpoint),
	    cmocka_unit_test(back_behind_a_fault),
	    cmocka_unit_test(each_kind_of_plan),
	    cmocka_unit_test(passes_over),
	    cmocka_unit_test(interrupted),
	    cmocka_unit_test(nothing_to_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
