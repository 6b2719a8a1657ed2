/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A row for each stop: counts, what changed since the row before, bounds, and what a machine cannot show.
 */
#include "core/debug/stoplog.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/longguest.h"

static struct machine *m;
static struct stop_log stops;
static const struct stop step = {.reason = STOP_STEP, .rip = 0x200000};

static int setup(void **state)
{
	(void)state;
	m = longguest_create(1, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	stop_log_clear(&stops);
	fake_of(m)->shadow_pages = (struct shadow_page_list){0};
	fake_of(m)->rmap_histogram = (struct rmap_histogram_list){0};
	machine_destroy(m);
	return 0;
}

static void add(const char *why)
{
	assert_int_equal(stop_log_add(&stops, m, &step, why, NULL), 0);
}

static void test_rows(void **state)
{
	struct shadow_page page = {.gfn = 0x13, .level = 1, .address = 0x1000};
	struct rmap_histogram h[] = {{.level = 1, .counts = {10, 2, 1}, .longest = 3, .longest_gfn = 0x40},
				     {.slot = 1, .level = 1, .counts = {5, 1}, .longest = 1, .longest_gfn = 0x80},
				     {.level = 2, .counts = {1, 1}, .longest = 4, .longest_gfn = 0x200}};

	(void)state;
	add("first");
	fake_of(m)->shadow_pages = (struct shadow_page_list){.v = &page, .n = 1};
	fake_of(m)->rmap_histogram = (struct rmap_histogram_list){.v = h, .n = 3};
	add("second");
	assert_int_equal(stops.n, 2);
	assert_string_equal(stops.v[0].why, "first");
	assert_int_equal(stops.v[0].n_changes, 0);
	assert_int_equal(stops.v[0].longest, 0);
	assert_true(stops.v[1].counts_known && stops.v[1].chains_known);
	assert_int_equal(stops.v[1].rip, 0x200000);
	assert_int_equal(stops.v[1].shadow_pages, 1);
	assert_int_equal(stops.v[1].chains[0], 15);
	assert_int_equal(stops.v[1].chains[1], 3);
	assert_int_equal(stops.v[1].longest, 4);
	assert_int_equal(stops.v[1].longest_gfn, 0x200);
	assert_int_equal(stops.v[1].n_changes, 1);
	assert_int_equal(stops.v[1].changes.v[0].part, DIFF_SHADOW);
}

/* Of many changes the first are kept, and all are counted. */
static void test_many_changes(void **state)
{
	static struct shadow_page pages[100];

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(pages); i++)
		pages[i] = (struct shadow_page){.gfn = i, .level = 1, .address = 0x1000 * (i + 1ull)};
	add("first");
	fake_of(m)->shadow_pages = (struct shadow_page_list){.v = pages, .n = ARRAY_LEN(pages)};
	add("second");
	assert_int_equal(stops.v[1].n_changes, 100);
	assert_int_equal(stops.v[1].changes.n, STOP_CHANGES_MAX);
}

static void test_full(void **state)
{
	(void)state;
	for (unsigned i = 0; i < STOP_LOG_MAX + 3; i++)
		add("again");
	assert_int_equal(stops.n, STOP_LOG_MAX);
	assert_int_equal(stops.lost, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_rows, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_many_changes, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_full, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
