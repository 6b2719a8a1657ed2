/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A debugger over a scripted machine.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/support/scripted.h"

struct debugger d;
int condition_says;
unsigned condition_asked;

static int condition(void *ctx, const struct stop_point *b, const struct stop *s, struct err *e)
{
	(void)ctx;
	(void)b;
	(void)s;
	condition_asked++;
	if (condition_says < 0)
		err_set(e, condition_says, "condition" WHY "no such variable" TRY "another");
	return condition_says;
}

int scripted_setup(void **state)
{
	(void)state;
	assert_int_equal(debugger_init(&d, NULL), 0);
	d.m = longguest_create(2, 0);
	d.judge.condition = condition;
	condition_says = 1;
	condition_asked = 0;
	return 0;
}

int scripted_teardown(void **state)
{
	(void)state;
	machine_destroy(d.m);
	debugger_deinit(&d);
	return 0;
}

struct stop_point *breakpoint(uint64_t addr, const char *cond)
{
	struct stop_point spec = {.kind = POINT_BREAK, .addr = addr, .condition = (char *)(uintptr_t)cond}, *b = NULL;

	assert_int_equal(point_add(&d.points, d.m, &spec, &b, NULL), 0);
	return b;
}

struct stop_point *catchpoint(uint32_t event, bool has_arg, uint64_t arg)
{
	struct stop_point spec = {.kind = POINT_CATCH,
				  .event = event,
				  .has_arg = has_arg,
				  .arg_first = arg,
				  .arg_last = arg},
			  *b = NULL;

	assert_int_equal(point_add(&d.points, d.m, &spec, &b, NULL), 0);
	return b;
}

void push_bp(int id, uint64_t rip)
{
	fake_push_stop(d.m, &(struct stop){.reason = STOP_BREAKPOINT, .breakpoint = id, .rip = rip, .slot = -1});
}

void expect_stop(enum stop_reason reason, int id, uint64_t rip)
{
	assert_int_equal(d.stop.reason, reason);
	assert_int_equal(d.stop.breakpoint, id);
	assert_int_equal(d.stop.rip, rip);
	assert_int_equal(fake_queued(d.m), 0);
}

struct regs *regs(unsigned vcpu)
{
	return &fake_of(d.m)->regs[vcpu];
}
