/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The judge over a scripted machine: every point is asked at every stop, told or not, and counts once.
 */
#include "core/stop/judge.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/debug/debugger.h"
#include "tests/support/blocking.h"
#include "tests/support/longguest.h"

#define AT 0x10010ull

static struct debugger d;

/* "0", "1", or an error. */
static int condition(void *ctx, const struct stop_point *p, const struct stop *s, struct err *e)
{
	(void)ctx;
	(void)s;
	if (*p->condition == '?')
		return err_set(e, -EINVAL, "condition" WHY "no such variable" TRY "another");
	return *p->condition == '1';
}

static int setup(void **state)
{
	(void)state;
	assert_int_equal(debugger_init(&d, NULL), 0);
	d.m = longguest_create(2, 0);
	d.judge.condition = condition;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	machine_destroy(d.m);
	debugger_deinit(&d);
	return 0;
}

static struct stop_point *add(struct stop_point spec, const char *cond)
{
	struct stop_point *p = NULL;

	spec.condition = (char *)(uintptr_t)cond;
	assert_int_equal(point_add(&d.points, d.m, &spec, &p, NULL), 0);
	return p;
}

static struct stop_point *breakpoint(uint64_t addr, const char *cond)
{
	return add((struct stop_point){.kind = POINT_BREAK, .addr = addr}, cond);
}

static struct stop_point *watchpoint(const char *cond)
{
	return add((struct stop_point){.kind = POINT_WATCH, .addr = 0x20000, .len = 8}, cond);
}

static struct stop_point *catchpoint(uint32_t event, const char *cond)
{
	return add((struct stop_point){.kind = POINT_CATCH, .event = event}, cond);
}

static void push(enum stop_reason reason, int id, uint64_t rip)
{
	fake_push_stop(d.m, &(struct stop){.reason = reason, .breakpoint = id, .rip = rip, .slot = -1});
}

static void go(void)
{
	assert_int_equal(debug_continue(&d, 0, NULL), 0);
}

/* "watchpoint 1, breakpoint 2" */
static const char *told(void)
{
	static char text[400];
	size_t len = 0;
	unsigned n = d.stop.n_causes;

	text[0] = '\0';
	if (!n)
		snprintf(text, sizeof(text), "%s %d", stop_reason_name(d.stop.reason), d.stop.breakpoint);
	for (unsigned i = 0; i < n; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s %d", i ? ", " : "",
					stop_reason_name(d.stop.cause[i].reason), d.stop.cause[i].id);
	return text;
}

/* A breakpoint where a stop that is not told leaves the vCPU. */
static void behind_an_untold_stop(void **state)
{
	static const enum stop_reason events[] = {STOP_SMI, STOP_RSM, STOP_MODE};
	struct stop_point *w = watchpoint("0"), *b = breakpoint(AT, NULL), *smi = catchpoint(CATCH_SMI, NULL),
			  *mode = catchpoint(CATCH_MODE, "0");

	(void)state;
	smi->ignore = 100;
	push(STOP_WATCHPOINT, w->id, AT);
	go();
	assert_string_equal(told(), "breakpoint 2");
	assert_int_equal(d.stop.rip, AT);
	for (size_t i = 0; i < ARRAY_LEN(events); i++) {
		push(events[i], 0, AT);
		go();
		assert_string_equal(told(), "breakpoint 2");
	}
	assert_int_equal(b->hits, 4);
	assert_int_equal(w->hits + mode->hits, 0);
	assert_int_equal(smi->hits, 2);
	assert_int_equal(fake_queued(d.m), 0);
}

/* Told though the only catchpoint asks for another vector, and though the IDT has room for it. A breakpoint behind a trap is
 * met.
 */
static void no_handler_of_the_guests(void **state)
{
	struct stop s = {.reason = STOP_EXCEPTION, .vector = 6, .handler = HANDLER_EMPTY, .rip = AT, .slot = -1};
	struct regs r;

	(void)state;
	assert_int_equal(machine_get_regs(d.m, 0, REGS_SYS, &r, NULL), 0);
	r.idt.limit = 0xfff;
	assert_int_equal(machine_set_regs(d.m, 0, REGS_SYS, &r, NULL), 0);
	add(
	    (struct stop_point){
		.kind = POINT_CATCH, .event = CATCH_EXCEPTION, .has_arg = true, .arg_first = 14, .arg_last = 14},
	    NULL);
	fake_push_stop(d.m, &s);
	go();
	assert_int_equal(d.stop.reason, STOP_EXCEPTION);
	assert_int_equal(d.stop.vector, 6);
	struct stop_point *b = breakpoint(AT, NULL);
	s.vector = 3;
	fake_push_stop(d.m, &s);
	go();
	assert_int_equal(b->hits, 1);
}

static void both_are_told(void **state)
{
	struct stop_point *b = breakpoint(AT, NULL), *c = breakpoint(AT, "1"), *w = watchpoint(NULL);
	char why[1000];

	(void)state;
	push(STOP_WATCHPOINT, w->id, AT);
	go();
	assert_string_equal(told(), "watchpoint 3, breakpoint 1, breakpoint 2");
	assert_int_equal(d.stop.breakpoint, 3);
	assert_int_equal(b->hits + c->hits + w->hits, 3);
	debug_why(&d, &d.stop, why, sizeof(why));
	assert_non_null(strstr(why, "Watchpoint 3, hit 1 time"));
	assert_non_null(strstr(why, " Breakpoint 1, hit 1 time: vCPU 0 is about to execute 0x10010"));
	assert_non_null(strstr(why, " Breakpoint 2, hit 1 time, its condition 1 is true, too."));
}

/* What the machine stops for by itself comes first; a step is nothing beside a breakpoint. */
static void own_reasons(void **state)
{
	(void)state;
	breakpoint(AT, NULL);
	push(STOP_HLT, 0, AT);
	go();
	assert_string_equal(told(), "hlt 0, breakpoint 1");
	push(STOP_STEP, 0, AT);
	assert_int_equal(debug_step(&d, 0, 1, NULL), 0);
	assert_string_equal(told(), "breakpoint 1");
	push(STOP_ERROR, 0, AT);
	go();
	assert_string_equal(told(), "error 0");
}

/* Several reasons of the machine's own in one stop. */
static void machines_causes(void **state)
{
	struct stop s = {.reason = STOP_WATCHPOINT, .breakpoint = 1, .rip = AT, .slot = -1};
	struct stop_point *w = watchpoint(NULL),
			  *r = add((struct stop_point){.kind = POINT_RWATCH, .addr = 0x30000, .len = 8}, NULL),
			  *mode = catchpoint(CATCH_MODE, NULL);

	(void)state;
	stop_add_cause(&s, STOP_WATCHPOINT, r->id);
	stop_add_cause(&s, STOP_MODE, 0);
	fake_push_stop(d.m, &s);
	go();
	assert_string_equal(told(), "watchpoint 1, watchpoint 2, mode 3");
	assert_int_equal(w->hits + r->hits + mode->hits, 3);
	assert_int_equal(point_set_condition(w, "0", NULL), 0);
	assert_int_equal(point_set_condition(r, "0", NULL), 0);
	fake_push_stop(d.m, &s);
	go();
	assert_string_equal(told(), "mode 3");
}

/* An access that was shown is still to come, and its instruction has begun: what stands there was asked before it did. */
static void inside_an_instruction(void **state)
{
	struct stop_point *b = breakpoint(AT, NULL), *c = catchpoint(CATCH_MMIO, NULL);
	struct fake_event access = {.stop = {.reason = STOP_MMIO, .gpa = 0xd0000000, .len = 4, .rip = AT, .slot = -1},
				    .keep_rip = true};

	(void)state;
	push(STOP_BREAKPOINT, b->id, AT);
	go();
	assert_string_equal(told(), "breakpoint 1");
	fake_push_event(d.m, &access);
	go();
	assert_string_equal(told(), "mmio 2");
	push(STOP_HLT, 0, AT + 2);
	go();
	assert_string_equal(told(), "hlt 0");
	assert_int_equal(b->hits, 1);
	assert_int_equal(c->hits, 1);
}

/* Another vCPU stands where it was not asked: it is told before anything runs, and once. */
static void another_vcpu(void **state)
{
	struct stop_point *b = breakpoint(AT, NULL);

	(void)state;
	fake_of(d.m)->regs[1].rip = AT;
	go();
	assert_string_equal(told(), "breakpoint 1");
	assert_int_equal(d.stop.vcpu, 1);
	push(STOP_HLT, 0, 0x10020);
	go();
	assert_string_equal(told(), "hlt 0");
	assert_int_equal(b->hits, 1);
	/* Nothing executed there since. */
	push(STOP_HLT, 0, 0x10024);
	go();
	assert_string_equal(told(), "hlt 0");
	assert_int_equal(b->hits, 1);
}

/* A breakpoint that is set where a vCPU stands is not news; one where the debugger has put it is. */
static void moved_by_hand(void **state)
{
	struct regs r;
	struct stop_point *b;

	(void)state;
	push(STOP_HLT, 0, AT);
	go();
	b = breakpoint(AT, NULL);
	push(STOP_HLT, 0, AT + 8);
	go();
	assert_string_equal(told(), "hlt 0");
	assert_int_equal(machine_get_regs(d.m, 0, REGS_GPR, &r, NULL), 0);
	r.rip = AT;
	assert_int_equal(machine_set_regs(d.m, 0, REGS_GPR, &r, NULL), 0);
	go();
	assert_string_equal(told(), "breakpoint 1");
	assert_int_equal(b->hits, 1);
}

static void broken_condition(void **state)
{
	(void)state;
	struct stop_point *w = watchpoint("0");
	breakpoint(AT, "?");
	push(STOP_WATCHPOINT, w->id, AT);
	go();
	assert_string_equal(told(), "breakpoint 2");
	assert_true(d.stop.bad_condition);
	assert_string_equal(d.stop.note, "the condition of breakpoint 2 could not be evaluated: no such variable");
}

/* Commands of all that were told, also of those that their hit has deleted. */
static void commands_of_all(void **state)
{
	struct stop_point *a = add((struct stop_point){.kind = POINT_BREAK, .addr = AT, .temporary = true}, NULL),
			  *b = breakpoint(AT, NULL);
	char *first, *second;

	(void)state;
	assert_int_equal(point_set_commands(a, "one", NULL), 0);
	assert_int_equal(point_set_commands(b, "two", NULL), 0);
	push(STOP_BREAKPOINT, b->id, AT);
	go();
	assert_string_equal(told(), "breakpoint 1, breakpoint 2");
	assert_null(point_find(&d.points, 1));
	first = judge_commands(&d.judge, 1);
	second = judge_commands(&d.judge, 2);
	assert_string_equal(first, "one");
	assert_string_equal(second, "two");
	free(first);
	free(second);
}

/* The internal point of until counts at its vCPU and depth alone, and does not count as a hit. */
static void internal(void **state)
{
	struct stop_point *b = breakpoint(AT, "0");

	(void)state;
	fake_push_stop(d.m, &(struct stop){.reason = STOP_BREAKPOINT, .breakpoint = POINT_INTERNAL, .vcpu = 1, .rip = AT});
	push(STOP_BREAKPOINT, b->id, AT);
	assert_int_equal(debug_until(&d, 0, AT, NULL), 0);
	assert_string_equal(told(), "step 0");
	assert_int_equal(d.stop.vcpu, 0);
	assert_int_equal(b->hits, 0);
	assert_null(fake_plant(d.m, POINT_INTERNAL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(F) cmocka_unit_test_setup_teardown(F, setup, teardown)
	    T(no_handler_of_the_guests), T(behind_an_untold_stop), T(both_are_told), T(own_reasons),
	    T(machines_causes),		 T(inside_an_instruction), T(another_vcpu),  T(moved_by_hand),
	    T(broken_condition),	 T(commands_of_all),	   T(internal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
