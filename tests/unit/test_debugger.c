/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Run control over a scripted machine: which stops are told, how hits count, and that next, until and finish plant and take
 * out what they need.
 */
#include "core/debug/debugger.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/blocking.h"
#include "tests/support/longguest.h"

#define TEMP (-1)

static struct debugger d;
static int condition_says; /* what the hook answers */
static unsigned condition_asked;

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

static int setup(void **state)
{
	(void)state;
	assert_int_equal(debugger_init(&d, NULL), 0);
	d.m = longguest_create(2, 0);
	d.judge.condition = condition;
	condition_says = 1;
	condition_asked = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	machine_destroy(d.m);
	debugger_deinit(&d);
	return 0;
}

static struct stop_point *breakpoint(uint64_t addr, const char *cond)
{
	struct stop_point spec = {.kind = POINT_BREAK, .addr = addr, .condition = (char *)(uintptr_t)cond}, *b = NULL;

	assert_int_equal(point_add(&d.points, d.m, &spec, &b, NULL), 0);
	return b;
}

static struct stop_point *catchpoint(uint32_t event, bool has_arg, uint64_t arg)
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

static void push_bp(int id, uint64_t rip)
{
	fake_push_stop(d.m, &(struct stop){.reason = STOP_BREAKPOINT, .breakpoint = id, .rip = rip, .slot = -1});
}

static void expect_stop(enum stop_reason reason, int id, uint64_t rip)
{
	assert_int_equal(d.stop.reason, reason);
	assert_int_equal(d.stop.breakpoint, id);
	assert_int_equal(d.stop.rip, rip);
	assert_int_equal(fake_queued(d.m), 0);
}

static struct regs *regs(unsigned vcpu)
{
	return &fake_of(d.m)->regs[vcpu];
}

/* ---- continue and conditions */

static void test_continue_to_breakpoint(void **state)
{
	struct stop_point *b = breakpoint(0x10010, NULL);

	(void)state;
	assert_false(d.has_run);
	push_bp(1, 0x10010);
	assert_int_equal(debug_continue(&d, 0, NULL), 0);
	expect_stop(STOP_BREAKPOINT, 1, 0x10010);
	assert_int_equal(b->hits, 1);
	assert_true(d.has_run);
	assert_int_equal(condition_asked, 0);
}

static void test_false_condition_goes_on(void **state)
{
	struct stop_point *b = breakpoint(0x10010, "0");

	(void)state;
	condition_says = 0;
	push_bp(1, 0x10010);
	push_bp(1, 0x10010);
	fake_push_stop(d.m, &(struct stop){.reason = STOP_HLT, .rip = 0x10020});
	assert_int_equal(debug_continue(&d, 0, NULL), 0);
	expect_stop(STOP_HLT, 0, 0x10020);
	assert_int_equal(condition_asked, 2);
	assert_int_equal(b->hits, 0);
}

static void test_broken_condition_stops(void **state)
{
	(void)state;
	breakpoint(0x10010, "$nosuch");
	condition_says = -EINVAL;
	push_bp(1, 0x10010);
	assert_int_equal(debug_continue(&d, 0, NULL), 0);
	expect_stop(STOP_BREAKPOINT, 1, 0x10010);
	assert_string_equal(d.stop.note, "the condition of breakpoint 1 could not be evaluated: no such variable");
}

static void test_ignore_counts_hits(void **state)
{
	struct stop_point *b = breakpoint(0x10010, NULL);

	(void)state;
	b->ignore = 2;
	for (int i = 0; i < 3; i++)
		push_bp(1, 0x10010);
	assert_int_equal(debug_continue(&d, 0, NULL), 0);
	expect_stop(STOP_BREAKPOINT, 1, 0x10010);
	assert_int_equal(b->hits, 3);
	assert_int_equal(b->ignore, 0);
}

static void test_temporary_goes_at_its_stop(void **state)
{
	struct stop_point *b = breakpoint(0x10010, NULL);

	(void)state;
	b->temporary = true;
	push_bp(1, 0x10010);
	assert_int_equal(debug_continue(&d, 0, NULL), 0);
	expect_stop(STOP_BREAKPOINT, 1, 0x10010);
	assert_int_equal(d.points.n, 0);
	assert_null(fake_plant(d.m, 1));
}

static void test_two_at_one_address(void **state)
{
	struct stop_point *a = breakpoint(0x10010, NULL), *b = breakpoint(0x10010, NULL);

	(void)state;
	push_bp(2, 0x10010);
	assert_int_equal(debug_continue(&d, 0, NULL), 0);
	expect_stop(STOP_BREAKPOINT, 1, 0x10010);
	assert_int_equal(a->hits, 1);
	assert_int_equal(b->hits, 1);
}

static void test_run_error_keeps_last_stop(void **state)
{
	struct err e = {0};

	(void)state;
	d.stop = (struct stop){.reason = STOP_STEP, .rip = 77};
	fake_of(d.m)->fail_op = "run";
	fake_of(d.m)->fail_code = -EBUSY;
	assert_int_equal(debug_continue(&d, 0, &e), -EBUSY);
	assert_int_equal(d.stop.rip, 77);
	assert_false(d.has_run);
}

/* ---- catchpoints */

static void push_mmio(uint64_t gpa)
{
	fake_push_stop(d.m, &(struct stop){.reason = STOP_MMIO, .gpa = gpa, .len = 4, .rip = 0x10005, .slot = -1});
}

static void test_catch_filter(void **state)
{
	struct stop_point *b = catchpoint(CATCH_MMIO, true, 0xd0000008);

	(void)state;
	push_mmio(0xd0000000);
	push_mmio(0xd0000006);
	assert_int_equal(debug_continue(&d, 0, NULL), 0);
	expect_stop(STOP_MMIO, 1, 0x10005);
	assert_int_equal(d.stop.gpa, 0xd0000006);
	assert_int_equal(b->hits, 1);
}

static struct stop_point *mmu_catchpoint(uint32_t kinds, uint64_t first, uint64_t last)
{
	struct stop_point spec = {.kind = POINT_CATCH, .event = CATCH_MMU, .mmu = {kinds, first, last}}, *b = NULL;

	assert_int_equal(point_add(&d.points, d.m, &spec, &b, NULL), 0);
	return b;
}

/* Several things happened before the vCPU stood: each catchpoint is asked once, and shows the first that it asked for. */
static void test_mmu_events(void **state)
{
	struct mmu_event ev[] = {{.kind = MMU_SPTE, .gfn = 0x41},
				 {.kind = MMU_ZAP, .gfn = 0x13},
				 {.kind = MMU_ZAP, .gfn = 0x12},
				 {.kind = MMU_ZAP, .gfn = 0x12}};
	struct stop s = {.reason = STOP_MMU, .rip = 0x10005, .slot = -1, .mmu = ev[0]};
	struct stop_point *late = mmu_catchpoint(MMU_ZAP, 0x12, 0x12),
			  *early = mmu_catchpoint(MMU_ZAP | MMU_UNSYNC, 0x13, 0x13),
			  *none = mmu_catchpoint(MMU_SPTE, 0x50, 0x60);

	(void)state;
	assert_int_equal(points_catch(&d.points, d.m, NULL), 0);
	assert_int_equal(fake_of(d.m)->n_mmu, 3);
	assert_int_equal(fake_of(d.m)->mmu[1].kinds, MMU_ZAP | MMU_UNSYNC);
	assert_int_equal(fake_of(d.m)->catch_events, 0);
	fake_of(d.m)->mmu_events = (struct mmu_event_list){.v = ev, .n = 4};
	fake_push_stop(d.m, &s);
	assert_int_equal(debug_continue(&d, 0, NULL), 0);
	expect_stop(STOP_MMU, 1, 0x10005);
	assert_int_equal(d.stop.mmu.gfn, 0x12);
	assert_int_equal(d.stop.n_causes, 2);
	assert_int_equal(d.stop.cause[1].id, 2);
	assert_int_equal(early->hits, 1);
	assert_int_equal(late->hits, 1);
	assert_int_equal(none->hits, 0);
	late->ignore = 1;
	fake_push_stop(d.m, &s);
	assert_int_equal(debug_continue(&d, 0, NULL), 0);
	expect_stop(STOP_MMU, 2, 0x10005);
	assert_int_equal(d.stop.mmu.gfn, 0x13);
	assert_int_equal(late->hits, 2);
	assert_int_equal(early->hits, 2);
	/* Nobody's: the guest goes on. */
	late->enabled = early->enabled = false;
	assert_int_equal(points_catch(&d.points, d.m, NULL), 0);
	assert_int_equal(fake_of(d.m)->n_mmu, 1);
	fake_push_stop(d.m, &s);
	fake_push_stop(d.m, &(struct stop){.reason = STOP_HLT, .rip = 0x10020});
	assert_int_equal(debug_continue(&d, 0, NULL), 0);
	expect_stop(STOP_HLT, 0, 0x10020);
	fake_of(d.m)->mmu_events = (struct mmu_event_list){.v = NULL};
}

/* `catch mode MODE` is not about privilege, `catch mode cpl` about nothing else. */
static void test_mode_or_privilege(void **state)
{
	struct stop s = {.reason = STOP_MODE, .rip = 0x10005, .slot = -1};

	(void)state;
	catchpoint(CATCH_MODE, true, CATCH_MODE_CPL);
	fake_push_stop(d.m, &s);
	s.cpl_only = true;
	s.rip = 0x10006;
	fake_push_stop(d.m, &s);
	assert_int_equal(debug_continue(&d, 0, NULL), 0);
	expect_stop(STOP_MODE, 1, 0x10006);
	catchpoint(CATCH_MODE, true, CPU_LONG64);
	d.points.v[0]->enabled = false;
	fake_push_stop(d.m, &s);
	s.cpl_only = false;
	s.rip = 0x10007;
	fake_push_stop(d.m, &s);
	assert_int_equal(debug_continue(&d, 0, NULL), 0);
	expect_stop(STOP_MODE, 2, 0x10007);
}

/* A slot's change comes before the step, not instead of it. */
static void test_step_past_an_unwanted_slot(void **state)
{
	(void)state;
	catchpoint(CATCH_SLOT, true, 7);
	fake_push_stop(d.m, &(struct stop){.reason = STOP_SLOT, .rip = 0x10000, .slot = 3, .before = true});
	fake_push_step(d.m, 0, 0x10003);
	assert_int_equal(debug_step(&d, 0, 1, NULL), 0);
	expect_stop(STOP_STEP, 0, 0x10003);
}

/* So does a breakpoint where it begins that nobody has been asked about, and what another vCPU's stop came before. */
static void test_step_past_an_unwanted_breakpoint(void **state)
{
	struct stop_point *b = breakpoint(0x10000, "0");

	(void)state;
	condition_says = 0;
	fake_push_stop(d.m, &(struct stop){.reason = STOP_BREAKPOINT, .breakpoint = b->id, .rip = 0x10000, .before = true});
	fake_push_step(d.m, 0, 0x10003);
	assert_int_equal(debug_step(&d, 0, 1, NULL), 0);
	expect_stop(STOP_STEP, 0, 0x10003);
	assert_int_equal(fake_queued(d.m), 0);
}

static void test_event_without_catchpoint_stops(void **state)
{
	(void)state;
	push_mmio(0xd0000000);
	assert_int_equal(debug_continue(&d, 0, NULL), 0);
	expect_stop(STOP_MMIO, 0, 0x10005);
}

static void push_exception(uint8_t vector)
{
	fake_push_stop(d.m, &(struct stop){.reason = STOP_EXCEPTION, .vector = vector, .rip = 0x10005, .slot = -1});
}

/* One that nobody asked for stops where the guest has no handler for it, and passes where it has. */
static void test_other_exception(void **state)
{
	(void)state;
	catchpoint(CATCH_EXCEPTION, true, 13);
	regs(0)->idt.limit = 0;
	push_exception(14);
	assert_int_equal(debug_continue(&d, 0, NULL), 0);
	expect_stop(STOP_EXCEPTION, 0, 0x10005);
	regs(0)->idt.limit = 0xfff;
	push_exception(14);
	push_exception(13);
	assert_int_equal(debug_continue(&d, 0, NULL), 0);
	expect_stop(STOP_EXCEPTION, 1, 0x10005);
	assert_int_equal(d.stop.vector, 13);
}

static void test_apply_catches(void **state)
{
	struct stop_point *f;

	(void)state;
	catchpoint(CATCH_PIO, false, 0);
	catchpoint(CATCH_SMI, false, 0)->enabled = false;
	assert_int_equal(points_catch(&d.points, d.m, NULL), 0);
	assert_int_equal(fake_of(d.m)->catch_events, CATCH_PIO);
	assert_false(fake_of(d.m)->filter_set);
	f = catchpoint(0, false, 0);
	f->fault = (struct fault_filter){.first = 0x40, .last = 0x40};
	assert_int_equal(points_catch(&d.points, d.m, NULL), 0);
	assert_true(fake_of(d.m)->filter_set);
	assert_int_equal(fake_of(d.m)->filter[0].first, 0x40);
	catchpoint(0, false, 0)->fault = (struct fault_filter){.first = 0x50, .last = 0x60};
	assert_int_equal(points_catch(&d.points, d.m, NULL), 0);
	/* Two filters, not what lies between them. */
	assert_int_equal(fake_of(d.m)->n_filters, 2);
	assert_int_equal(fake_of(d.m)->filter[0].last, 0x40);
	assert_int_equal(fake_of(d.m)->filter[1].first, 0x50);
	assert_int_equal(fake_of(d.m)->filter[1].last, 0x60);
	/* Arming anew would zap what is armed: the machine is not asked for the same again. */
	fake_of(d.m)->fail_op = "fault_catch";
	fake_of(d.m)->fail_code = -EIO;
	assert_int_equal(points_catch(&d.points, d.m, NULL), 0);
	struct stop_point gva = {.kind = POINT_CATCH, .fault = {.gva = true, .first = 0, .last = 1}};
	assert_int_equal(point_add(&d.points, d.m, &gva, NULL, NULL), -EIO);
	assert_int_equal(points_catch(&d.points, d.m, NULL), 0);
	fake_of(d.m)->fail_op = NULL;
	assert_int_equal(point_add(&d.points, d.m, &gva, NULL, NULL), 0);
	assert_int_equal(fake_of(d.m)->n_filters, 3);
	assert_true(fake_of(d.m)->filter[2].gva);
}

/* A stage that neither of two filters asks for is nobody's. */
static void test_fault_between_filters(void **state)
{
	(void)state;
	catchpoint(0, false, 0)->fault = (struct fault_filter){.first = 0x40, .last = 0x40};
	catchpoint(0, false, 0)->fault = (struct fault_filter){.first = 0x60, .last = 0x60};
	fake_push_stop(d.m, &(struct stop){.reason = STOP_FAULT_STAGE, .gpa = 0x50000, .stage = STAGE_PAGE});
	fake_push_stop(d.m, &(struct stop){.reason = STOP_FAULT_STAGE, .gpa = 0x60123, .stage = STAGE_PAGE});
	assert_int_equal(debug_continue(&d, 0, NULL), 0);
	assert_int_equal(d.stop.breakpoint, 2);
	assert_int_equal(d.stop.gpa, 0x60123);
}

/* ---- steps */

static void test_step_n_in_one_call(void **state)
{
	(void)state;
	assert_int_equal(debug_step(&d, 0, 5000, NULL), 0);
	expect_stop(STOP_STEP, 0, 0x10000 + 5000);
	assert_int_equal(fake_of(d.m)->runs, 1);
}

static void test_step_onto_breakpoint(void **state)
{
	struct stop_point *b = breakpoint(0x10002, NULL);

	(void)state;
	assert_int_equal(debug_step(&d, 0, 10, NULL), 0);
	expect_stop(STOP_BREAKPOINT, 1, 0x10002);
	assert_int_equal(b->hits, 1);
}

static void test_step_onto_false_breakpoint(void **state)
{
	(void)state;
	breakpoint(0x10002, "0");
	condition_says = 0;
	assert_int_equal(debug_step(&d, 0, 4, NULL), 0);
	expect_stop(STOP_STEP, 0, 0x10004);
}

static void test_step_ends_early(void **state)
{
	(void)state;
	fake_push_step(d.m, 0, 0x10003);
	fake_push_stop(d.m, &(struct stop){.reason = STOP_HLT, .rip = 0x10004});
	assert_int_equal(debug_step(&d, 0, 100, NULL), 0);
	expect_stop(STOP_HLT, 0, 0x10004);
}

/* An unwanted access is repeated until the instruction has run; an unwanted watchpoint is a step that is over. */
static void test_step_past_unwanted_events(void **state)
{
	struct stop_point w = {.kind = POINT_WATCH, .addr = 0x20000, .len = 8, .condition = (char *)(uintptr_t) "0"};

	(void)state;
	catchpoint(CATCH_MMIO, true, 0xe0000000);
	push_mmio(0xd0000000);
	fake_push_step(d.m, 0, 0x10007);
	assert_int_equal(debug_step(&d, 0, 1, NULL), 0);
	expect_stop(STOP_STEP, 0, 0x10007);
	assert_int_equal(point_add(&d.points, d.m, &w, NULL, NULL), 0);
	condition_says = 0;
	fake_push_stop(d.m, &(struct stop){.reason = STOP_WATCHPOINT, .breakpoint = 2, .rip = 0x10009});
	assert_int_equal(debug_step(&d, 0, 1, NULL), 0);
	expect_stop(STOP_STEP, 0, 0x10009);
}

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

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_continue_to_breakpoint),
	    T(test_false_condition_goes_on),
	    T(test_broken_condition_stops),
	    T(test_ignore_counts_hits),
	    T(test_temporary_goes_at_its_stop),
	    T(test_two_at_one_address),
	    T(test_run_error_keeps_last_stop),
	    T(test_catch_filter),
	    T(test_mmu_events),
	    T(test_mode_or_privilege),
	    T(test_step_past_an_unwanted_slot),
	    T(test_step_past_an_unwanted_breakpoint),
	    T(test_event_without_catchpoint_stops),
	    T(test_other_exception),
	    T(test_apply_catches),
	    T(test_fault_between_filters),
	    T(test_step_n_in_one_call),
	    T(test_step_onto_breakpoint),
	    T(test_step_onto_false_breakpoint),
	    T(test_step_ends_early),
	    T(test_step_past_unwanted_events),
	    T(test_next_steps_plain_code),
	    T(test_next_over_call),
	    T(test_next_over_recursion),
	    T(test_next_over_rep_and_int),
	    T(test_next_meets_breakpoint),
	    T(test_next_lands_on_breakpoint),
	    T(test_temp_left_behind),
	    T(test_until),
	    T(test_until_from_inside_a_fault),
	    T(test_finish_at_entry),
	    T(test_finish_by_frame_pointer),
	    T(test_finish_in_recursion),
	    T(test_finish_by_steps),
	    T(test_finish_without_caller),
	    T(test_loops_end_when_asked),
	    T(test_commands_of_a_temporary),
	    T(test_finish_in_16_bit),
	};
	return cmocka_run_group_tests_name("debugger", tests, NULL, NULL);
}
