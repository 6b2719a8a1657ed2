/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Out of memory: each operation is tried with its first, second, third … allocation failing until it passes; every failure
 * is -ENOMEM and leaves slots, keys and guest memory as they were.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "core/debug/pagemap.h"
#include "core/debug/tables.h"
#include "core/machine/gpamap.h"
#include "tests/support/longguest.h"

static long fail_at = -1; /* the allocation that fails, counted down; negative: none */

static bool fails_now(void)
{
	return fail_at >= 0 && fail_at-- == 0;
}

/* The linker puts these in the place of calloc and realloc (the Makefile's --wrap for this test), so that memcheck and the
 * sanitizers keep their own beneath. */
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);

void *__wrap_calloc(size_t n, size_t size)
{
	return fails_now() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return fails_now() ? NULL : __real_realloc(p, size);
}

static struct err e;

/* Try op with every allocation failing in turn; how many there were. unchanged() is asked after each failure. */
static unsigned exhaust(struct machine *m, int (*op)(struct machine *m), void (*unchanged)(struct machine *m))
{
	for (unsigned n = 0; n < 100; n++) {
		int rc;

		fail_at = n;
		rc = op(m);
		bool reached = fail_at < 0;
		fail_at = -1;
		if (!reached) {
			assert_int_equal(rc, 0);
			return n;
		}
		assert_int_equal(rc, -ENOMEM);
		assert_int_equal(e.code, -ENOMEM);
		unchanged(m);
	}
	fail_msg("never passes");
	return 0;
}

static int add(struct machine *m)
{
	struct slot_spec spec = {.id = 20, .gpa = 0x100000, .size = 0x2000, .flags = SLOT_LOG_DIRTY};

	return machine_slot_add(m, &spec, NULL, &e);
}

static void not_added(struct machine *m)
{
	assert_string_equal(e.what, "slot add 20");
	assert_null(slot_by_id(machine_slots(m), 20));
	assert_null(slot_lookup(machine_slots(m), 0x100000, false, NULL));
	assert_int_equal(machine_slots(m)->generation, 16);
}

static int log_on(struct machine *m)
{
	return machine_slot_flags(m, 0, SLOT_LOG_DIRTY | SLOT_READONLY, 0, 0, NULL, &e);
}

static void not_logged(struct machine *m)
{
	struct slot *s = slot_by_id(machine_slots(m), 0);

	assert_int_equal(s->flags, 0);
	assert_true(!s->dirty[0] && !s->dirty[1]);
}

static int key(struct machine *m)
{
	return storage_key_set(machine_keys(m), 0x5000, 0x30, &e);
}

static void no_key(struct machine *m)
{
	assert_int_equal(storage_key_get(machine_keys(m), 0x5000), 0);
}

static int memop(struct machine *m)
{
	uint64_t v = 7;
	struct memop op = {.op = MEMOP_ABSOLUTE_WRITE, .gva = 0x10, .size = 8, .buf = &v};
	struct memop_result r;

	return machine_memop(m, 0, &op, &r, &e);
}

static int write_gva(struct machine *m)
{
	uint64_t v = 7;

	return machine_write_gva(m, 0, 0x10, &v, 8, &e);
}

static void not_written(struct machine *m)
{
	uint64_t v = 1;

	assert_int_equal(machine_read(m, 0x10, false, &v, 8, &e), 0);
	assert_int_equal(v, 0);
	e.code = -ENOMEM; /* was the failure's */
}

static int dirty(struct machine *m)
{
	uint64_t *bits = NULL;
	size_t n;
	int rc = machine_slot_dirty(m, 1, true, &bits, &n, &e);

	if (rc)
		return rc;
	assert_int_equal(bits[0], 2);
	free(bits);
	return 0;
}

static void still_dirty(struct machine *m)
{
	assert_int_equal(slot_by_id(machine_slots(m), 1)->dirty[0][0], 2);
}

static void nothing(struct machine *m)
{
	(void)m;
}

static int create(struct machine *m)
{
	struct machine_config cfg = {.vcpus = 1};
	struct machine *fresh = NULL;
	int rc = machine_create(&fake_ops, &cfg, &fresh, &e);

	(void)m;
	assert_true(!rc == (fresh != NULL));
	machine_destroy(fresh);
	return rc;
}

static int gpa_map(struct machine *m)
{
	struct slot_info v[40] = {{.size = 0}};
	struct slot_info_list slots = {.v = v, .n = ARRAY_LEN(v)};
	struct gpa_map map = {.n = 0};
	int rc;

	(void)m;
	for (unsigned i = 0; i < ARRAY_LEN(v); i++)
		v[i] = (struct slot_info){.id = i, .vis = SLOT_VIS_BOTH, .gpa = 0x2000ull * i, .size = 0x1000};
	rc = gpa_map_build(&slots, machine_board(m), 1ull << 40, false, &map, &e);
	assert_true(!rc == (map.v != NULL));
	gpa_map_free(&map);
	return rc;
}

static struct pagemap *map;

static int look(struct machine *m)
{
	return pagemap_look(&map, m, &e);
}

/* Of mappings of all sizes, a guest table, a log. */
static int map_of_some(struct machine *m)
{
	struct slot_info slot = {.size = 1 << 20, .flags = SLOT_LOG_DIRTY, .vis = SLOT_VIS_BOTH};
	struct spte_info leaf[40] = {{.level = 2}, {.level = 3}};
	struct shadow_page table = {.gfn = 3, .leaves = leaf, .n_leaves = ARRAY_LEN(leaf)};
	struct map_range armed = {0x1000, 0x1000};
	uint64_t bits[4] = {1};
	struct map_log_seen log = {.bits = bits, .n_words = ARRAY_LEN(bits)};
	const struct map_seen seen = {
	    .slots = {&slot, 1}, .pages = {.v = &table, .n = 1}, .armed = &armed, .n_armed = 1, .log = &log, .n_log = 1};

	(void)m;
	for (size_t i = 0; i < ARRAY_LEN(leaf); i++) {
		leaf[i].gfn = i;
		leaf[i].gfn_known = leaf[i].present = leaf[i].leaf = true;
	}
	return pagemap_make(&map, &seen, &e);
}

static void old_map(struct machine *m)
{
	(void)m;
	assert_true(!map || pagemap_about(map).looks == 1 || pagemap_about(map).looks == 2);
	e.code = -ENOMEM;
}

static void test_maps(void **state)
{
	struct machine *m = fake_create(1);

	(void)state;
	fake_add_slot(m, 0, 0, 0x10000, SLOT_LOG_DIRTY);
	assert_true(exhaust(m, look, old_map) >= 6);
	assert_int_equal(pagemap_about(map).looks, 1);
	assert_true(exhaust(m, map_of_some, old_map) >= 10);
	assert_int_equal(pagemap_about(map).looks, 2);
	pagemap_destroy(map);
	machine_destroy(m);
}

static struct table_trees *trees;

static int look_at_tables(struct machine *m)
{
	return trees_look(&trees, m, 0, &e);
}

/* Some of what is wanted may be open; every row is there. */
static void whole_rows(struct machine *m)
{
	struct trees_row r;

	(void)m;
	for (size_t i = 0; trees && i < trees_count(trees); i++)
		assert_true(trees_row(trees, i, &r));
	e.code = -ENOMEM;
}

static void test_tables(void **state)
{
	struct machine *m = longguest_create(1, 0);
	size_t n;

	(void)state;
	assert_true(exhaust(m, look_at_tables, whole_rows) >= 10);
	n = trees_count(trees);
	trees_close_all(trees);
	assert_true(trees_open_all(trees, 0));
	assert_true(exhaust(m, look_at_tables, whole_rows) >= 4);
	assert_int_equal(trees_count(trees), n);
	assert_true(exhaust(m, look_at_tables, whole_rows) >= 10);
	assert_int_equal(trees_count(trees), n);
	trees_destroy(trees);
	machine_destroy(m);
}

static void test_out_of_memory(void **state)
{
	struct machine *m;

	(void)state;
	m = fake_create(1);
	for (uint32_t id = 0; id < 16; id++) /* the arrays are full: the next one makes them grow */
		fake_add_slot(m, id, id * 0x2000ull, 0x1000, id == 1 ? SLOT_LOG_DIRTY : 0);
	assert_true(exhaust(m, add, not_added) >= 8); /* slot, two bitmaps, the table's arrays, memory */
	assert_true(exhaust(m, memop, not_written) >= 1);
	assert_int_equal(machine_write(m, 0x10, false, "\0\0\0\0\0\0\0\0", 8, &e), 0);
	assert_true(exhaust(m, write_gva, not_written) >= 1);
	assert_true(exhaust(m, log_on, not_logged) >= 2);
	assert_true(exhaust(m, key, no_key) >= 2);
	slot_by_id(machine_slots(m), 1)->dirty[0][0] = 2;
	assert_true(exhaust(m, dirty, still_dirty) >= 1);
	assert_true(exhaust(m, create, nothing) >= 2);
	assert_true(exhaust(m, gpa_map, nothing) >= 2);
	machine_destroy(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_out_of_memory), cmocka_unit_test(test_maps),
					   cmocka_unit_test(test_tables)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
