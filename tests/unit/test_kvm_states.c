/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The state machines of the kvm backend by themselves: where a vCPU is (vcpu/phase.c), and how far its walk
 * (fault/walker.c).
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "kvmback/fault/faultcode.h"
#include "kvmback/fault/walker.h"
#include "kvmback/vcpu/vcpu.h"

/* ---- a vCPU's phase */

static void goes_in_and_out(void **state)
{
	struct vcpu_control t = {0};
	struct kvcpu v = {.control = &t};

	(void)state;
	assert_int_equal(vcpu_phase(&v), VCPU_OUT);
	unsigned before = vcpu_entry(&v);
	assert_int_equal(before & 1, 0);
	vcpu_go_in(&v);
	assert_int_equal(vcpu_phase(&v), VCPU_IN_GUEST);
	assert_int_equal(vcpu_entry(&v), before + 1);
	assert_int_equal(vcpu_entry_behind(vcpu_entry(&v)), before + 2);
	vcpu_go_out(&v);
	assert_int_equal(vcpu_phase(&v), VCPU_OUT);
	assert_int_equal(vcpu_entry(&v), before + 2);
}

/* A message of another entry holds nobody, nor does a second one while it is held. */
static void is_held_in_its_entry_only(void **state)
{
	struct vcpu_control t = {0};
	struct kvcpu v = {.control = &t};
	enum vcpu_phase was;

	(void)state;
	vcpu_go_in(&v);
	unsigned entry = vcpu_entry(&v);
	assert_false(vcpu_hold(&v, entry - 1, &was));
	assert_false(vcpu_hold(&v, entry + 1, &was));
	assert_true(vcpu_hold(&v, entry, &was));
	assert_int_equal(was, VCPU_IN_GUEST);
	assert_int_equal(vcpu_phase(&v), VCPU_HELD_IN);
	assert_false(vcpu_hold(&v, entry, &was));
	vcpu_release(&v, VCPU_AT_PAGE);
	assert_true(vcpu_hold(&v, entry, &was));
	assert_int_equal(was, VCPU_AT_PAGE);
	vcpu_release(&v, was);
	vcpu_go_out(&v);
	assert_false(vcpu_hold(&v, entry, &was));
}

/* An access that is not looked at stays, also over another entry. */
static void a_touched_page_is_looked_at_once(void **state)
{
	struct vcpu_control t = {0};
	struct kvcpu v = {.control = &t};
	enum vcpu_phase was;

	(void)state;
	vcpu_go_in(&v);
	assert_true(vcpu_hold(&v, vcpu_entry(&v), &was));
	vcpu_release(&v, VCPU_AT_PAGE);
	vcpu_go_out(&v);
	assert_true(vcpu_touched(&v));
	vcpu_go_in(&v);
	assert_int_equal(vcpu_phase(&v), VCPU_AT_PAGE);
	vcpu_go_out(&v);
	assert_true(vcpu_hold(&v, vcpu_entry(&v), &was));
	assert_int_equal(vcpu_phase(&v), VCPU_HELD_OUT);
	vcpu_release(&v, was);
	assert_true(vcpu_touched(&v));
	vcpu_looked_at(&v);
	assert_false(vcpu_touched(&v));
	assert_int_equal(vcpu_phase(&v), VCPU_OUT);
	vcpu_looked_at(&v);
	assert_int_equal(vcpu_phase(&v), VCPU_OUT);
}

static void *leave(void *arg)
{
	vcpu_go_out(arg);
	return NULL;
}

/* Whoever holds it is done before it comes out. */
static void waits_while_it_is_held(void **state)
{
	struct vcpu_control t = {0};
	struct kvcpu v = {.control = &t};
	enum vcpu_phase was;
	pthread_t thread;

	(void)state;
	vcpu_go_in(&v);
	unsigned entry = vcpu_entry(&v);
	assert_true(vcpu_hold(&v, entry, &was));
	assert_int_equal(pthread_create(&thread, NULL, leave, &v), 0);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(vcpu_entry(&v), entry);
	vcpu_release(&v, VCPU_AT_PAGE);
	pthread_join(thread, NULL);
	assert_int_equal(vcpu_phase(&v), VCPU_TOUCHED);
}

/* The count of entries wraps; what comes behind the last is what comes. */
static void the_count_wraps(void **state)
{
	struct vcpu_control t = {0};
	struct kvcpu v = {.control = &t};

	(void)state;
	atomic_store(&t.where, ~7u | VCPU_IN_GUEST);
	unsigned behind = vcpu_entry_behind(vcpu_entry(&v));
	vcpu_go_out(&v);
	assert_int_equal(vcpu_entry(&v), behind);
	assert_int_equal(vcpu_phase(&v), VCPU_OUT);
}

/* ---- a walk */

#define USER_WRITE 6u
static const struct trace_event begins = {.stage = STAGE_WALK, .gva_known = true, .gva = 0x1000, .error = USER_WRITE};

static void reads(struct walker *w, unsigned level, uint64_t pte)
{
	walker_reads(w, &(struct trace_event){.stage = STAGE_WALK, .element = true, .level = level, .pte = pte});
}

static void walk_down(struct walker *w)
{
	reads(w, 4, 0x2007);
	reads(w, 3, 0x3007);
	reads(w, 2, 0x4007);
	reads(w, 1, 0x5007);
}

static void walks_from_root_to_page(void **state)
{
	struct walker w = {0};

	(void)state;
	walker_tables(&w, 0x1000, 4);
	assert_false(walker_known(&w));
	/* Recording began in the middle of a walk: nothing is known of it. */
	reads(&w, 2, 0x4007);
	walker_ends(&w);
	assert_int_equal(w.place, WALK_NONE);
	walker_begins(&w, &begins, true);
	assert_int_equal(w.place, WALK_AT_ROOT);
	assert_int_equal(w.level, 4);
	reads(&w, 4, 0x2007);
	assert_int_equal(w.place, WALK_AT_TABLE);
	assert_true(walker_in_tables(&w));
	reads(&w, 3, 0x3007);
	reads(&w, 2, 0x4007);
	reads(&w, 1, 0x5007);
	assert_int_equal(w.place, WALK_AT_PAGE);
	assert_false(walker_in_tables(&w));
	walker_ends(&w);
	assert_int_equal(w.place, WALK_ENDED);
	walker_tables(&w, 0x9000, 4);
	assert_int_equal(w.place, WALK_NONE);
}

static void a_large_page_or_nothing_is_the_end(void **state)
{
	struct walker w = {0};

	(void)state;
	walker_tables(&w, 0x1000, 4);
	walker_begins(&w, &begins, true);
	reads(&w, 4, 0x2007);
	reads(&w, 3, 0x3087);
	assert_int_equal(w.place, WALK_AT_PAGE);
	walker_begins(&w, &begins, true);
	reads(&w, 4, 0);
	assert_int_equal(w.place, WALK_AT_PAGE);
}

/* The same fault that begins again before it has ended was told; once it has ended the next one is another. */
static void is_told_once(void **state)
{
	struct walker w = {0};

	(void)state;
	walker_tables(&w, 0x1000, 4);
	walker_begins(&w, &begins, true);
	assert_int_equal(w.report, WALK_UNREPORTED);
	walker_stage(&w);
	walk_down(&w);
	walker_begins(&w, &begins, true);
	assert_int_equal(w.report, WALK_REPEATED);
	walk_down(&w);
	walker_ends(&w);
	walker_begins(&w, &begins, true);
	assert_int_equal(w.report, WALK_UNREPORTED);
	/* Another access is another fault. */
	walker_stage(&w);
	struct trace_event read = begins;
	read.error = 4;
	walker_begins(&w, &read, true);
	assert_int_equal(w.report, WALK_UNREPORTED);
}

static void tells_emulator_from_fault(void **state)
{
	struct trace_event kernel = begins;
	struct walker w = {0};

	(void)state;
	kernel.error = 2;
	walker_tables(&w, 0x1000, 4);
	walker_begins(&w, &begins, true);
	assert_int_equal(w.by, WALK_BY_FAULT); /* the emulator has no user's rights */
	walker_begins(&w, &kernel, true);
	assert_int_equal(w.by, WALK_BY_EMULATOR);
	w.fault_seen = true;
	walker_begins(&w, &kernel, true);
	assert_int_equal(w.by, WALK_BY_FAULT);
	/* Its root was armed again, and it begins again: a fault after all. */
	walker_begins(&w, &kernel, true);
	w.by = WALK_BY_EMULATOR_REARMED;
	walker_begins(&w, &kernel, true);
	assert_int_equal(w.by, WALK_BY_FAULT);
}

/* Where KVM tells of the fault itself, its walk is not another one, whatever it fetches; begun again both are repeated. */
static void a_fault_and_its_walk_are_one(void **state)
{
	const struct trace_event fault = {.stage = STAGE_FAULT, .address = 0x200000, .error = 0x14};
	const struct trace_event walk = {
	    .stage = STAGE_WALK, .gva = 0x200000, .gva_known = true, .error = 0x14, .fetch = true};
	const struct trace_event other = {.stage = STAGE_FAULT, .address = 0x300000, .error = 0x6};
	struct walker w = {0};

	(void)state;
	walker_tables(&w, 0x1000, 4);
	walker_faults(&w, &fault, true);
	assert_int_equal(w.place, WALK_AT_ROOT);
	assert_int_equal(w.asked, WALK_ASKED);
	assert_true(w.gva == 0x200000 && w.by == WALK_BY_FAULT);
	walker_begins(&w, &walk, true);
	assert_true(w.asked == WALK_ASKED && w.report == WALK_UNREPORTED && w.by == WALK_BY_FAULT);
	walker_stage(&w);
	walker_faults(&w, &fault, true);
	assert_int_equal(w.report, WALK_REPEATED);
	walker_begins(&w, &walk, true);
	assert_int_equal(w.report, WALK_REPEATED);
	/* The next one, that nobody asks for, is not the story of this one. */
	walker_faults(&w, &other, false);
	assert_true(w.asked == WALK_UNASKED && w.report == WALK_UNREPORTED);
}

static void expect_code(enum fault_format f, uint64_t code, const char *want, bool walk)
{
	char words[96];

	fault_code_words(f, code, words, sizeof(words));
	assert_string_equal(words, want);
	assert_true(fault_code_is_walk(f, code) == walk);
}

/* As seen on SVM, and as the manuals have them. */
static void error_codes_in_words(void **state)
{
	(void)state;
	expect_code(FAULT_SHADOW, 0x6, "write, user, not mapped", false);
	expect_code(FAULT_SHADOW, 0x11, "fetch, supervisor, mapped without that right", false);
	expect_code(FAULT_NPT, 0x200000006, "write, user, not mapped, for a table of the walk", true);
	expect_code(FAULT_NPT, 0x100000014, "fetch, user, not mapped, for the page itself", false);
	expect_code(FAULT_NPT, 0x100000007, "write, user, mapped without that right, for the page itself", false);
	expect_code(FAULT_NPT, 0x10000000e, "write, user, a reserved bit is set, for the page itself", false);
	expect_code(FAULT_EPT, 0x181, "read, not mapped, for the page itself", false);
	expect_code(FAULT_EPT, 0x1aa, "write, mapped r-x, for the page itself", false);
	expect_code(FAULT_EPT, 0x83, "read and write, not mapped, for a table of the walk", true);
	expect_code(FAULT_EPT, 0x4, "fetch, not mapped", false);
}

static void a_fetch_is_part_of_what_it_emulates(void **state)
{
	struct trace_event fetch = begins;
	struct walker w = {0};

	(void)state;
	fetch.fetch = true;
	fetch.gva = 0x8000;
	walker_tables(&w, 0x1000, 4);
	walker_begins(&w, &begins, true);
	assert_int_equal(w.asked, WALK_ASKED);
	walker_begins(&w, &fetch, false);
	assert_int_equal(w.asked, WALK_PART);
	walker_begins(&w, &begins, false);
	assert_int_equal(w.asked, WALK_UNASKED);
	walker_begins(&w, &fetch, false);
	assert_int_equal(w.asked, WALK_UNASKED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(goes_in_and_out),
	    cmocka_unit_test(is_held_in_its_entry_only),
	    cmocka_unit_test(a_touched_page_is_looked_at_once),
	    cmocka_unit_test(waits_while_it_is_held),
	    cmocka_unit_test(the_count_wraps),
	    cmocka_unit_test(walks_from_root_to_page),
	    cmocka_unit_test(a_large_page_or_nothing_is_the_end),
	    cmocka_unit_test(is_told_once),
	    cmocka_unit_test(tells_emulator_from_fault),
	    cmocka_unit_test(a_fetch_is_part_of_what_it_emulates),
	    cmocka_unit_test(a_fault_and_its_walk_are_one),
	    cmocka_unit_test(error_codes_in_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
