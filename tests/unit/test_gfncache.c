/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The gfn cache: hits, generations, and that SMRAM never enters it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "core/mem/gfncache.h"

static struct slot *add(struct slot_table *t, uint32_t id, uint64_t gpa, enum slot_vis vis)
{
	struct slot_spec spec = {.id = id, .gpa = gpa, .size = 0x2000, .vis = vis};
	struct slot *s = slot_new(&spec);

	assert_non_null(s);
	assert_int_equal(slot_table_insert(t, s, NULL), 0);
	return s;
}

static void change(struct slot_table *t)
{
	slot_table_begin(t);
	slot_table_end(t, 1);
}

static void hits_until_the_generation_moves(void **state)
{
	struct slot_table t;
	struct gfn_cache c = {0};
	(void)state;

	slot_table_init(&t);
	struct slot *s = add(&t, 0, 0x1000, SLOT_VIS_BOTH);
	assert_ptr_equal(gfn_cache_slot(&c, &t, 0x1008, false), s);
	assert_ptr_equal(gfn_cache_slot(&c, &t, 0x1ff8, true), s);
	assert_int_equal(c.hits, 1);
	assert_ptr_equal(gfn_cache_slot(&c, &t, 0x2000, false), s);
	assert_int_equal(c.hits, 1);
	/* Another slot in its place: the old one must not answer. */
	slot_free(slot_table_remove(&t, s));
	change(&t);
	assert_null(gfn_cache_slot(&c, &t, 0x2000, false));
	slot_table_deinit(&t);
}

static void smram_never_enters(void **state)
{
	static const enum slot_vis one_side[] = {SLOT_VIS_SMM, SLOT_VIS_NONSMM};
	(void)state;

	for (unsigned i = 0; i < ARRAY_LEN(one_side); i++) {
		bool inside = one_side[i] == SLOT_VIS_SMM;
		struct gfn_cache c = {0};
		struct slot_table t;

		slot_table_init(&t);
		struct slot *s = add(&t, 0, 0x1000, one_side[i]);
		assert_ptr_equal(gfn_cache_slot(&c, &t, 0x1000, inside), s);
		assert_null(c.slot);
		assert_null(gfn_cache_slot(&c, &t, 0x1000, !inside));
		assert_int_equal(c.hits, 0);
		assert_int_equal(c.misses, 2);
		slot_table_deinit(&t);
	}
}

static void not_during_an_update(void **state)
{
	struct slot_table t;
	struct gfn_cache c = {0};
	(void)state;

	slot_table_init(&t);
	struct slot *s = add(&t, 0, 0x1000, SLOT_VIS_BOTH);
	slot_table_begin(&t);
	assert_ptr_equal(gfn_cache_slot(&c, &t, 0x1000, false), s);
	assert_null(c.slot);
	slot_table_end(&t, 1);
	slot_table_deinit(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(hits_until_the_generation_moves),
	    cmocka_unit_test(smram_never_enters),
	    cmocka_unit_test(not_during_an_update),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
