/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Going back by a client that polls, as `reverse-continue &` does: the stops of the way there, in the other order; what may
 * be asked of the machine meanwhile; and plans that are interrupted, fail or are left in the middle, behind which everything
 * is as before.
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
#include "core/soft/soft_impl.h"
#include "tests/support/guest.h"

/* mov edx, ROUNDS; outer: mov ecx, PASSES; inner: inc qword [COUNTER]; dec ecx; jnz inner; dec edx; jnz outer; hlt */
#define CODE "\xba\x04\x00\x00\x00\xb9\xa0\x86\x01\x00\x48\xff\x04\x25\x00\x00\x04\x00\xff\xc9\x75\xf4\xff\xca\x75\xeb\xf4"
#define OUTER (GUEST_CODE + 5)
#define INNER (GUEST_CODE + 10)
#define ROUND_END (GUEST_CODE + 22)
#define COUNTER 0x40000
#define ROUNDS 4
#define PASSES 100000u
#define OF_ROUND (3 * PASSES + 3) /* instructions */

static struct guest g;
static struct debugger d;

static void ok(int rc)
{
	if (rc)
		fail_msg("%s: %s", g.e.what, g.e.why);
}

static void open_guest(unsigned vcpus)
{
	guest_backend = &soft_backend;
	guest_open(&g, GUEST_LONG, 0, false, vcpus);
	guest_poke(&g, GUEST_CODE, CODE, sizeof(CODE) - 1);
	ok(debugger_init(&d, &g.e));
	d.m = g.m;
	d.history.spacing = OF_ROUND / 3;
}

static void close_guest(void)
{
	debugger_deinit(&d);
	guest_close(&g);
	guest_backend = NULL;
}

static int add_break(uint64_t addr)
{
	struct stop_point spec = {.kind = POINT_BREAK, .addr = addr, .len = 1}, *p;

	ok(point_add(&d.points, g.m, &spec, &p, &g.e));
	return p->id;
}

/* ---- polling */

static void start(struct plan p)
{
	if (debug_start(&d, &p, RUN_RUNNER, &g.e) != 1)
		fail_msg("%s: %s", g.e.what, g.e.why);
}

static int poll_to_the_end(void)
{
	struct pollfd p = {.fd = machine_run_fd(g.m), .events = POLLIN};
	int rc;

	while (!(rc = debug_poll(&d, &g.e)))
		if (!poll(&p, 1, 60000))
			fail_msg("nothing came of the plan in a minute");
	assert_null(d.history.before);
	return rc;
}

static enum stop_reason go(struct plan p)
{
	start(p);
	assert_int_equal(poll_to_the_end(), 1);
	return d.stop.reason;
}

/* ---- where it stands */

struct place {
	uint64_t position, counter;
	unsigned vcpu;
	struct regs r[2];
};

static struct place here(void)
{
	struct place at;

	memset(&at, 0, sizeof(at));
	at.position = machine_position(g.m);
	at.vcpu = d.stop.vcpu;
	guest_peek(&g, COUNTER, &at.counter, sizeof(at.counter));
	for (unsigned i = 0; i < machine_vcpus(g.m); i++)
		at.r[i] = guest_regs(&g, i);
	return at;
}

static void expect(const struct place *p)
{
	struct place at = here();

	assert_int_equal(at.position, p->position);
	assert_int_equal(at.counter, p->counter);
	assert_int_equal(at.vcpu, p->vcpu);
	for (unsigned i = 0; i < machine_vcpus(g.m); i++) {
		assert_int_equal(at.r[i].rip, p->r[i].rip);
		assert_memory_equal(at.r[i].gpr, p->r[i].gpr, sizeof(at.r[i].gpr));
	}
}

/* ---- there and back */

static void there_and_back(unsigned vcpus)
{
	struct place at[2 * ROUNDS], end;
	unsigned n = 0;

	open_guest(vcpus);
	int id = add_break(OUTER);
	for (; go(plan_continue(0)) == STOP_BREAKPOINT; n++)
		at[n] = here();
	assert_int_equal(n, vcpus * ROUNDS);
	assert_int_equal(d.stop.reason, STOP_HLT);
	end = here();
	assert_int_equal(end.counter, vcpus * ROUNDS * PASSES);
	uint64_t hits = point_find(&d.points, id)->hits;
	while (n--) {
		assert_int_equal(go(plan_reverse_continue()), STOP_BREAKPOINT);
		assert_int_equal(d.stop.breakpoint, id);
		expect(&at[n]);
	}
	assert_int_equal(point_find(&d.points, id)->hits, hits);
	assert_int_equal(go(plan_reverse_continue()), STOP_STEP);
	assert_non_null(strstr(d.stop.note, "record begins"));
	assert_int_equal(machine_position(g.m), 0);
	/* And once more the same. */
	for (n = 0; go(plan_continue(0)) == STOP_BREAKPOINT; n++)
		expect(&at[n]);
	expect(&end);
	close_guest();
}

static void on_one_vcpu(void **state)
{
	(void)state;
	there_and_back(1);
}

static void on_two_vcpus(void **state)
{
	(void)state;
	there_and_back(2);
}

static void steps(void **state)
{
	(void)state;
	open_guest(1);
	assert_int_equal(go(plan_continue(0)), STOP_HLT);
	struct place end = here();
	assert_int_equal(go(plan_reverse_step(0, 5)), STOP_STEP);
	assert_int_equal(machine_position(g.m), end.position - 5);
	assert_string_equal(d.stop.note, "");
	assert_int_equal(go(plan_reverse_step(0, 2 * OF_ROUND)), STOP_STEP);
	assert_int_equal(machine_position(g.m), end.position - 5 - 2 * OF_ROUND);
	/* To where a point is: nothing has to be run for it. Then it is there already. */
	for (unsigned i = 0; i < 2; i++) {
		struct plan all = plan_reverse_step(0, 1ull << 40);
		assert_int_equal(debug_start(&d, &all, RUN_RUNNER, &g.e), 0);
		assert_int_equal(d.stop.reason, STOP_STEP);
		assert_non_null(strstr(d.stop.note, "record begins"));
		assert_int_equal(machine_position(g.m), 0);
		assert_null(d.history.before);
	}
	assert_int_equal(go(plan_continue(0)), STOP_HLT);
	expect(&end);
	close_guest();
}

/* ---- meanwhile */

/* The phase decides, as for any run. */
static void what_may_be_asked(void **state)
{
	struct run_job job = {.kind = RUN_CONTINUE};
	struct regs r;

	(void)state;
	open_guest(1);
	assert_int_equal(go(plan_continue(0)), STOP_HLT);
	start(plan_reverse_step(0, 2 * OF_ROUND));
	assert_int_equal(machine_phase(g.m), RUN_GOING);
	assert_int_equal(machine_check_idle(g.m, "x", &g.e), -EBUSY);
	assert_string_equal(g.e.why, "the guest is running");
	assert_int_equal(machine_start(g.m, &job, RUN_RUNNER, &g.e), -EBUSY);
	ok(machine_get_regs(g.m, 0, REGS_GPR, &r, &g.e));
	assert_true(r.rip >= GUEST_CODE && r.rip < GUEST_CODE + sizeof(CODE));
	assert_int_equal(poll_to_the_end(), 1);
	close_guest();
}

static void inside_a_fault(void **state)
{
	const struct fault_filter filter = {.first = COUNTER >> 12, .last = COUNTER >> 12};
	struct run_job job = {.kind = RUN_REPLAY};
	struct plan back = plan_reverse_continue();

	(void)state;
	open_guest(1);
	ok(machine_fault_catch(g.m, &filter, 1, &g.e));
	assert_int_equal(go(plan_continue(0)), STOP_FAULT_STAGE);
	assert_int_equal(debug_start(&d, &back, RUN_RUNNER, &g.e), -EBUSY);
	assert_non_null(strstr(g.e.why, "stands inside a fault"));
	assert_int_equal(machine_start(g.m, &job, RUN_RUNNER, &g.e), -EBUSY);
	assert_true(machine_parked(g.m, NULL));
	assert_int_equal(d.stop.reason, STOP_FAULT_STAGE);
	close_guest();
}

/* ---- in the middle */

/* What is to happen when progress is told for the n-th time, between two replays. */
static unsigned due;
static void (*event)(void);
static bool asked;

static void on_progress(void *ctx, uint64_t done, uint64_t total)
{
	(void)ctx;
	assert_true(done > 0 && total > 0);
	if (due && !--due)
		event();
}

static void on_progress_number(unsigned n, void (*fn)(void))
{
	due = n;
	event = fn;
	d.history.progress = on_progress;
}

static bool is_asked(void)
{
	return asked;
}

static void ask(void)
{
	asked = true;
}

static void interrupt(void)
{
	machine_interrupt(g.m);
}

static void lose_the_record(void)
{
	soft_of(g.m)->log.failed = true;
}

/* Breakpoints at the begin and the end of each round, and all have been told but for the last. */
static struct place run_to_last_round(unsigned vcpus)
{
	open_guest(vcpus);
	add_break(OUTER);
	add_break(ROUND_END);
	for (unsigned i = 1; i < vcpus * ROUNDS * 2; i++)
		assert_int_equal(go(plan_continue(0)), STOP_BREAKPOINT);
	return here();
}

/* The breakpoint where it stands has been told already. */
static void expect_another_stop(const struct place *at)
{
	assert_int_equal(go(plan_continue(0)), STOP_BREAKPOINT);
	assert_true(machine_position(g.m) > at->position);
	assert_int_equal(go(plan_continue(0)), STOP_HLT);
}

static void expect_given_up(const struct place *at)
{
	assert_int_equal(d.stop.reason, STOP_INTERRUPTED);
	assert_non_null(strstr(d.stop.note, "the VM is where it was"));
	assert_int_equal(d.stop.rip, at->r[at->vcpu].rip);
	expect(at);
	expect_another_stop(at);
}

/* While a replay runs, and between two of them by either way that there is. */
static void interrupted(void **state)
{
	static void (*const how[])(void) = {interrupt, ask};

	(void)state;
	for (unsigned vcpus = 1; vcpus <= 2; vcpus++) {
		struct place at = run_to_last_round(vcpus);
		start(plan_reverse_continue());
		/* Both, as the replay may have ended, and not been polled. */
		interrupt();
		d.interrupted = is_asked;
		asked = true;
		assert_int_equal(poll_to_the_end(), 1);
		asked = false;
		expect_given_up(&at);
		close_guest();
		for (unsigned i = 0; i < ARRAY_LEN(how); i++) {
			at = run_to_last_round(vcpus);
			asked = false;
			d.interrupted = is_asked;
			on_progress_number(2, how[i]);
			assert_int_equal(go(plan_reverse_continue()), STOP_INTERRUPTED);
			assert_int_equal(due, 0);
			asked = false;
			expect_given_up(&at);
			close_guest();
		}
	}
}

static int interrupted_condition(void *ctx, const struct stop_point *p, const struct stop *s, struct err *e)
{
	(void)ctx, (void)p, (void)s;
	return err_set(e, -EINTR, "condition" WHY "interrupted" TRY "c");
}

/* Nobody knows whether the stop would have been told. */
static void in_a_condition(void **state)
{
	(void)state;
	struct place at = run_to_last_round(1);
	ok(point_set_condition(d.points.v[1], "1", &g.e));
	d.judge.condition = interrupted_condition;
	assert_int_equal(go(plan_reverse_continue()), STOP_INTERRUPTED);
	d.judge.condition = NULL;
	for (unsigned i = 0; i < d.points.n; i++)
		assert_int_equal(d.points.v[i]->hits, d.points.v[i]->addr == OUTER ? ROUNDS : ROUNDS - 1);
	expect_given_up(&at);
	close_guest();
}

static void fails(void **state)
{
	(void)state;
	for (unsigned vcpus = 1; vcpus <= 2; vcpus++) {
		struct place at = run_to_last_round(vcpus);
		on_progress_number(2, lose_the_record);
		start(plan_reverse_continue());
		assert_int_equal(poll_to_the_end(), -ENODATA);
		assert_string_equal(g.e.why, "memory for the record was out");
		assert_int_equal(due, 0);
		assert_int_equal(d.stop.reason, STOP_BREAKPOINT);
		expect(&at);
		expect_another_stop(&at);
		close_guest();
	}
}

/* What was changed before it began is no part of the record before: it is there again, and stays so for who goes back to it.
 */
static void a_change_before_it(void **state)
{
	const uint64_t changed = 1ull << 32;
	uint64_t now;

	(void)state;
	struct place at = run_to_last_round(1);
	guest_poke(&g, COUNTER, &changed, sizeof(changed));
	at = here();
	on_progress_number(1, interrupt);
	assert_int_equal(go(plan_reverse_continue()), STOP_INTERRUPTED);
	expect(&at);
	d.history.progress = NULL;
	assert_int_equal(go(plan_step(0, 5)), STOP_STEP);
	assert_int_equal(go(plan_reverse_step(0, 4)), STOP_STEP);
	guest_peek(&g, COUNTER, &now, sizeof(now));
	assert_int_equal(now, changed);
	close_guest();
}

/* Registers that were changed before it began: the place where the vCPU stands has not been asked. */
static void a_move_before_it(void **state)
{
	(void)state;
	open_guest(1);
	int id = add_break(OUTER);
	add_break(INNER);
	assert_int_equal(go(plan_continue(0)), STOP_BREAKPOINT);
	assert_int_equal(go(plan_step(0, 1)), STOP_BREAKPOINT);
	assert_int_equal(go(plan_step(0, 1)), STOP_STEP);
	guest_set_rip(&g, 0, INNER);
	interrupt(); /* the next run */
	assert_int_equal(go(plan_reverse_step(0, 1)), STOP_INTERRUPTED);
	assert_int_equal(go(plan_continue(0)), STOP_BREAKPOINT);
	assert_int_equal(d.stop.breakpoint, id + 1);
	assert_int_equal(guest_reg(&g, 0, RCX), PASSES);
	close_guest();
}

/* Nothing is left of one that nobody waits for any more. */
static void left_in_the_middle(void **state)
{
	struct plan back = plan_reverse_continue();

	(void)state;
	run_to_last_round(1);
	assert_int_equal(debug_start(&d, &back, RUN_LENT, &g.e), 1);
	close_guest();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(on_one_vcpu),
	    cmocka_unit_test(on_two_vcpus),
	    cmocka_unit_test(steps),
	    cmocka_unit_test(what_may_be_asked),
	    cmocka_unit_test(inside_a_fault),
	    cmocka_unit_test(interrupted),
	    cmocka_unit_test(in_a_condition),
	    cmocka_unit_test(fails),
	    cmocka_unit_test(a_change_before_it),
	    cmocka_unit_test(a_move_before_it),
	    cmocka_unit_test(left_in_the_middle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
