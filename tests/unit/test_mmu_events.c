/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The list of caught MMU events: order, the stop that reports them, the run that ends them, the bound.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "core/machine/mmu_events.h"

static void add(struct mmu_events *l, uint64_t gfn)
{
	mmu_events_add(l, &(struct mmu_event){.kind = MMU_ZAP, .gfn = gfn});
}

static struct mmu_event_list list(const struct mmu_events *l)
{
	struct mmu_event_list out = {.n = 99};
	struct err e = {0};

	assert_int_equal(mmu_events_list(l, &out, &e), 0);
	return out;
}

static void from_event_to_stop_to_run(void **state)
{
	struct mmu_events l = {.v = NULL};
	struct mmu_event_list out = list(&l);

	(void)state;
	assert_int_equal(out.n, 0);
	assert_false(mmu_events_pending(&l));
	for (uint64_t gfn = 0; gfn < 40; gfn++)
		add(&l, gfn);
	assert_true(mmu_events_pending(&l));
	assert_int_equal(list(&l).n, 0); /* no stop has reported them */
	mmu_events_resume(&l);
	assert_true(mmu_events_pending(&l)); /* a run ends only what was reported */

	mmu_events_report(&l);
	assert_false(mmu_events_pending(&l));
	out = list(&l);
	assert_int_equal(out.n, 40);
	for (uint64_t gfn = 0; gfn < 40; gfn++)
		assert_int_equal(out.v[gfn].gfn, gfn);
	mmu_event_list_free(&out);

	mmu_events_resume(&l);
	assert_int_equal(list(&l).n, 0);
	add(&l, 7);
	assert_true(mmu_events_pending(&l));
	mmu_events_report(&l);
	out = list(&l);
	assert_int_equal(out.n, 1);
	assert_int_equal(out.v[0].gfn, 7);
	mmu_event_list_free(&out);
	mmu_events_deinit(&l);
}

static void what_is_too_much_is_counted(void **state)
{
	struct mmu_events l = {.v = NULL};
	struct mmu_event_list out;

	(void)state;
	for (uint64_t gfn = 0; gfn < MMU_EVENTS_MAX + 3; gfn++)
		add(&l, gfn);
	mmu_events_report(&l);
	out = list(&l);
	assert_int_equal(out.n, MMU_EVENTS_MAX);
	assert_int_equal(out.lost, 3);
	assert_int_equal(out.v[MMU_EVENTS_MAX - 1].gfn, MMU_EVENTS_MAX - 1);
	mmu_event_list_free(&out);

	mmu_events_clear(&l); /* the losses are not those of what comes next */
	add(&l, 1);
	mmu_events_report(&l);
	out = list(&l);
	assert_int_equal(out.n, 1);
	assert_int_equal(out.lost, 0);
	mmu_event_list_free(&out);
	mmu_events_deinit(&l);
	assert_false(mmu_events_pending(&l));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(from_event_to_stop_to_run),
	    cmocka_unit_test(what_is_too_much_is_counted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
