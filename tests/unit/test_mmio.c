/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The MMIO cache's fill, match and clear rules, and the packing of MMIO sptes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/soft/mmu/mmio.h"

static void match_rules(void **state)
{
	struct mmio_cache c = {0};
	(void)state;

	assert_false(mmio_cache_match_gva(&c, 0, false, false, 0));
	mmio_cache_fill(&c, 0x260123, 0xd0000, 6, 4);
	assert_int_equal(c.gva, 0x260000);
	assert_true(mmio_cache_match_gva(&c, 0x260ffc, true, true, 4));
	assert_false(mmio_cache_match_gva(&c, 0x261000, true, true, 4));
	assert_false(mmio_cache_match_gva(&c, 0x260000, true, true, 5));
	mmio_cache_fill(&c, 0x260000, 0xd0000, 4, 4);
	assert_false(mmio_cache_match_gva(&c, 0x260000, true, true, 4));
	assert_true(mmio_cache_match_gva(&c, 0x260000, true, false, 4));
	mmio_cache_fill(&c, 0x260000, 0xd0000, 2, 4);
	assert_false(mmio_cache_match_gva(&c, 0x260000, true, false, 4));
	assert_true(mmio_cache_match_gva(&c, 0x260000, false, true, 4));
}

static void clear_rules(void **state)
{
	struct mmio_cache c = {0};
	(void)state;

	mmio_cache_fill(&c, 0x260000, 0xd0000, 6, 4);
	mmio_cache_fill(&c, 0x270000, 0xd0001, 6, 5 | 1ull << 63);
	assert_int_equal(c.gva, 0x260000);
	mmio_cache_invlpg(&c, 0x261000);
	assert_int_equal(c.gva, 0x260000);
	mmio_cache_invlpg(&c, 0x260abc);
	assert_false(mmio_cache_match_gva(&c, 0x260000, false, false, 4));
	mmio_cache_fill(&c, 0x260000, 0xd0000, 6, 4);
	mmio_cache_clear(&c);
	assert_int_equal(c.gva, 0);
}

static void packing(void **state)
{
	(void)state;
	for (uint64_t gen = 1; gen < 1u << 22; gen = gen * 3 + 1) {
		uint64_t s = mmio_spte_make(0x1234567ff, 6, gen);
		assert_true(mmio_spte_is(s));
		assert_false(s >> 11 & 1);
		assert_int_equal(mmio_spte_gfn(s), 0x1234567ff);
		assert_int_equal(mmio_spte_access(s), 6);
		assert_int_equal(mmio_spte_generation(s), gen & 0x7ffff);
		assert_true(mmio_spte_current(s, gen));
		assert_false(mmio_spte_current(s, gen + 1));
	}
	assert_false(mmio_spte_is(0x8000000000000000ull));
	assert_false(mmio_spte_is(0x16a3f2e67ull));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(match_rules),
	    cmocka_unit_test(clear_rules),
	    cmocka_unit_test(packing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
