/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Names and buckets of the inspection types, freeing lists, names of stop reasons.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "core/machine/inspect.h"
#include "core/run/stop.h"

static void test_buckets(void **state)
{
	static const struct {
		uint64_t sptes;
		unsigned bucket;
	} all[] = {{0, 0},  {1, 1},   {2, 2},	 {3, 2},     {4, 3},	 {7, 3},     {8, 4},	 {15, 4},
		   {16, 5}, {511, 9}, {512, 10}, {1023, 10}, {1024, 11}, {1025, 11}, {2048, 11}, {~0ull, 11}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		assert_int_equal(rmap_bucket(all[i].sptes), all[i].bucket);
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(source_name(SOURCE_KVM, false), "kvm");
	assert_string_equal(source_name(SOURCE_KERNEL, false), "kernel");
	assert_string_equal(source_name(SOURCE_KERNEL, true), "kernel torn");
	assert_string_equal(source_name(SOURCE_SOFT, false), "soft");
	assert_string_equal(rmap_kind_name(RMAP_EMPTY), "empty");
	assert_string_equal(rmap_kind_name(RMAP_ONE), "one");
	assert_string_equal(rmap_kind_name(RMAP_MANY), "many");
}

static void test_stop_reasons(void **state)
{
	static const char *const name[] = {"none", "step", "breakpoint", "watchpoint",	"fault-stage", "exception",
					   "mmio", "pio",  "hlt",	 "shutdown",	"smi",	       "rsm",
					   "mode", "slot", "mmu",	 "interrupted", "exit",	       "error"};

	(void)state;
	for (int r = STOP_NONE; r <= STOP_ERROR; r++)
		assert_string_equal(stop_reason_name((enum stop_reason)r), name[r]);
	assert_string_equal(stop_reason_name((enum stop_reason)99), "error");
}

/* Leaks and double frees show under valgrind and ASan. */
static void test_lists_are_freed(void **state)
{
	struct shadow_page_list pages = {.v = calloc(2, sizeof(*pages.v)), .n = 2};
	struct rmap_list rmaps = {.v = calloc(1, sizeof(*rmaps.v)), .n = 1};
	struct mmio_info_list mmio = {.v = calloc(2, sizeof(*mmio.v)), .n = 2};
	struct slot_info_list slots = {.v = calloc(1, sizeof(*slots.v)), .n = 1};

	(void)state;
	pages.v[0].parents = calloc(3, 8);
	pages.v[1].entries = calloc(512, 8);
	rmaps.v[0].desc = calloc(1, sizeof(struct rmap_desc));
	rmaps.v[0].sptes = calloc(1, sizeof(struct spte_info));
	mmio.v[0].sptes = calloc(1, sizeof(struct spte_info));
	for (int twice = 0; twice < 2; twice++) { /* freed lists are empty lists */
		shadow_page_list_free(&pages);
		rmap_list_free(&rmaps);
		mmio_info_list_free(&mmio);
		slot_info_list_free(&slots);
		spte_list_free(&(struct spte_list){0});
		root_list_free(&(struct root_list){0});
		rmap_histogram_list_free(&(struct rmap_histogram_list){0});
		fault_stage_list_free(&(struct fault_stage_list){0});
		assert_null(pages.v);
		assert_int_equal(pages.n + rmaps.n + mmio.n + slots.n, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_buckets),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_stop_reasons),
	    cmocka_unit_test(test_lists_are_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
