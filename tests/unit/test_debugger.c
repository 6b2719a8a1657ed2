/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Run control over a scripted machine: which stops are told, how hits count, single steps.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/blocking.h"
#include "tests/support/scripted.h"

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

#define T(name) cmocka_unit_test_setup_teardown(name, scripted_setup, scripted_teardown)

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
	};
	return cmocka_run_group_tests_name("debugger", tests, NULL, NULL);
}
