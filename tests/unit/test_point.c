/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The breakpoint table: ids, planting and taking out, what stays as it was when the machine refuses.
 */
#include "core/stop/point.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/fake.h"

struct fixture {
	struct machine *m;
	struct point_table t;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->m = fake_create(1);
	point_table_init(&f->t);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	point_table_deinit(&f->t);
	machine_destroy(f->m);
	free(f);
	return 0;
}

static struct stop_point *add(struct fixture *f, enum point_kind kind, uint64_t addr)
{
	struct stop_point spec = {.kind = kind, .addr = addr, .len = 4, .at = "here"}, *b = NULL;

	assert_int_equal(point_add(&f->t, f->m, &spec, &b, NULL), 0);
	return b;
}

static void test_add_plants(void **state)
{
	struct fixture *f = *state;
	struct stop_point *b = add(f, POINT_BREAK, 0x1000), *w = add(f, POINT_WATCH, 0x2000),
			  *h = add(f, POINT_HBREAK, 0x3000);

	assert_int_equal(b->id, 1);
	assert_int_equal(w->id, 2);
	assert_int_equal(h->id, 3);
	assert_true(b->enabled);
	assert_int_equal(fake_plant(f->m, 1)->kind, PLANT_EXEC);
	assert_int_equal(fake_plant(f->m, 1)->addr, 0x1000);
	assert_int_equal(fake_plant(f->m, 2)->kind, PLANT_WRITE);
	assert_int_equal(fake_plant(f->m, 2)->len, 4);
	assert_int_equal(fake_plant(f->m, 3)->kind, PLANT_EXEC_HW);
	assert_string_equal(b->how, "soft");
	assert_string_equal(h->how, "hw");
	assert_string_equal(b->at, "here");
}

static void test_kinds(void **state)
{
	struct fixture *f = *state;

	add(f, POINT_RWATCH, 0x1000);
	add(f, POINT_AWATCH, 0x1000);
	add(f, POINT_CATCH, 0);
	assert_int_equal(fake_plant(f->m, 1)->kind, PLANT_READ);
	assert_int_equal(fake_plant(f->m, 2)->kind, PLANT_ACCESS);
	assert_null(fake_plant(f->m, 3));
	assert_string_equal(point_kind_name(POINT_BREAK), "breakpoint");
	assert_string_equal(point_kind_name(POINT_HBREAK), "hw-breakpoint");
	assert_string_equal(point_kind_name(POINT_CATCH), "catch");
}

static void test_ids_are_not_reused(void **state)
{
	struct fixture *f = *state;

	add(f, POINT_BREAK, 1);
	add(f, POINT_BREAK, 2);
	assert_int_equal(point_delete(&f->t, f->m, 2, NULL), 0);
	assert_null(fake_plant(f->m, 2));
	assert_int_equal(add(f, POINT_BREAK, 3)->id, 3);
	assert_int_equal(f->t.n, 2);
	assert_int_equal(f->t.v[1]->id, 3);
}

static void test_refused_plant_changes_nothing(void **state)
{
	struct fixture *f = *state;
	struct stop_point spec = {.kind = POINT_BREAK}, *b = NULL;
	struct err e = {0};

	fake_of(f->m)->fail_op = "plant";
	fake_of(f->m)->fail_code = -ENOSPC;
	assert_int_equal(point_add(&f->t, f->m, &spec, &b, &e), -ENOSPC);
	assert_int_equal(e.code, -ENOSPC);
	assert_null(b);
	assert_int_equal(f->t.n, 0);
	fake_of(f->m)->fail_op = NULL;
	assert_int_equal(add(f, POINT_BREAK, 1)->id, 1);
}

static void test_refused_unplant_keeps_it(void **state)
{
	struct fixture *f = *state;

	add(f, POINT_BREAK, 1);
	fake_of(f->m)->fail_op = "unplant";
	fake_of(f->m)->fail_code = -EBUSY;
	assert_int_equal(point_delete(&f->t, f->m, 1, NULL), -EBUSY);
	assert_int_equal(point_enable(&f->t, f->m, 1, false, NULL), -EBUSY);
	assert_true(point_find(&f->t, 1)->enabled);
	fake_of(f->m)->fail_op = NULL;
	assert_int_equal(point_delete(&f->t, f->m, 1, NULL), 0);
}

static void test_disable_takes_out(void **state)
{
	struct fixture *f = *state;
	struct stop_point *b = add(f, POINT_BREAK, 0x40);

	assert_int_equal(point_enable(&f->t, f->m, 1, false, NULL), 0);
	assert_null(fake_plant(f->m, 1));
	assert_false(b->enabled);
	assert_int_equal(point_enable(&f->t, f->m, 1, false, NULL), 0);
	assert_int_equal(point_enable(&f->t, f->m, 1, true, NULL), 0);
	assert_int_equal(fake_plant(f->m, 1)->addr, 0x40);
	assert_int_equal(point_enable(&f->t, f->m, 1, false, NULL), 0);
	assert_int_equal(point_delete(&f->t, f->m, 1, NULL), 0);
}

static void test_unknown_ids(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};

	assert_int_equal(point_delete(&f->t, f->m, 1, &e), -ENOENT);
	assert_string_equal(e.why, "there are no breakpoints");
	add(f, POINT_BREAK, 1);
	assert_int_equal(point_enable(&f->t, f->m, 7, true, &e), -ENOENT);
	assert_string_equal(e.why, "no breakpoint has that number");
	assert_null(point_find(&f->t, 0));
}

static void test_texts(void **state)
{
	struct fixture *f = *state;
	char cond[] = "$rax == 1";
	struct stop_point spec = {.kind = POINT_BREAK, .condition = cond}, *b;

	assert_int_equal(point_add(&f->t, f->m, &spec, &b, NULL), 0);
	cond[0] = 'x';
	assert_string_equal(b->condition, "$rax == 1");
	assert_int_equal(point_set_condition(b, "1", NULL), 0);
	assert_string_equal(b->condition, "1");
	assert_int_equal(point_set_condition(b, "", NULL), 0);
	assert_null(b->condition);
	assert_int_equal(point_set_commands(b, "c", NULL), 0);
	assert_string_equal(b->commands, "c");
	assert_int_equal(point_set_commands(b, NULL, NULL), 0);
	assert_null(b->commands);
}

static void test_replant(void **state)
{
	struct fixture *f = *state;
	struct stop_point spec = {.kind = POINT_BREAK, .addr = 0x10};
	struct err e = {0};

	assert_int_equal(point_add(&f->t, NULL, &spec, NULL, NULL), 0);
	assert_int_equal(point_add(&f->t, NULL, &spec, NULL, NULL), 0);
	assert_int_equal(point_enable(&f->t, NULL, 2, false, NULL), 0);
	assert_int_equal(points_arm(&f->t, f->m, NULL), 0);
	assert_non_null(fake_plant(f->m, 1));
	assert_null(fake_plant(f->m, 2));
	assert_string_equal(point_find(&f->t, 1)->how, "soft");
	fake_of(f->m)->fail_op = "plant";
	fake_of(f->m)->fail_code = -ENOSPC;
	assert_int_equal(points_arm(&f->t, f->m, &e), -ENOSPC);
	assert_ptr_equal(strstr(e.what, "breakpoint 1: "), e.what);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_add_plants, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_kinds, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_ids_are_not_reused, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_refused_plant_changes_nothing, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_refused_unplant_keeps_it, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_disable_takes_out, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_unknown_ids, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_texts, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_replant, setup, teardown),
	};
	return cmocka_run_group_tests_name("breakpoint", tests, NULL, NULL);
}
