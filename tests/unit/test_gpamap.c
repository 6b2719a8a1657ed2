/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The guest physical space as a list: nothing is left out, nothing is there twice; windows behind slots; both views.
 * And its picture: every region has a bar, in order, however many there are, in any terminal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "core/machine/gpamap.h"
#include "views/axis.h"
#include "views/record.h"
#include "views/view.h"

#define LIMIT (1ull << 40)

static struct gpa_map build(const struct slot_info *v, size_t n, const struct board *b, bool own)
{
	struct slot_info_list list = {.v = (struct slot_info *)(uintptr_t)v, .n = n};
	struct gpa_map map;

	assert_int_equal(gpa_map_build(&list, b, LIMIT, own, &map, NULL), 0);
	return map;
}

static void assert_region(const struct gpa_map *map, size_t i, enum gpa_kind kind, uint64_t gpa, uint64_t size,
			  enum slot_vis vis)
{
	assert_true(i < map->n);
	const struct gpa_region *r = &map->v[i];
	if (r->kind != kind || r->first != gpa || r->last - r->first + 1 != size || r->vis != vis)
		fail_msg("region %zu: %s 0x%llx+0x%llx %s", i, gpa_kind_name(r->kind), (unsigned long long)r->first,
			 (unsigned long long)(r->last - r->first + 1), slot_vis_name(r->vis));
}

static void test_empty(void **state)
{
	struct gpa_map map = build(NULL, 0, NULL, false);

	(void)state;
	assert_int_equal(map.n, 1);
	assert_region(&map, 0, GPA_HOLE, 0, LIMIT, SLOT_VIS_BOTH);
	gpa_map_free(&map);
}

static void test_slots_windows_holes(void **state)
{
	const struct slot_info v[] = {{.id = 7, .vis = SLOT_VIS_BOTH, .gpa = 0x2000, .size = 0x1000, .flags = SLOT_READONLY},
				      {.id = 3, .vis = SLOT_VIS_BOTH, .gpa = 0, .size = 0x1000},
				      {.id = 9, .vis = SLOT_VIS_BOTH, .gpa = 0x9000, .size = 0x1000, .own = true}};
	struct board b;

	(void)state;
	board_init(&b);
	struct gpa_map map = build(v, 3, &b, false);
	assert_int_equal(map.n, 6);
	assert_region(&map, 0, GPA_RAM, 0, 0x1000, SLOT_VIS_BOTH);
	assert_region(&map, 1, GPA_HOLE, 0x1000, 0x1000, SLOT_VIS_BOTH);
	assert_region(&map, 2, GPA_ROM, 0x2000, 0x1000, SLOT_VIS_BOTH);
	assert_int_equal(map.v[2].slot, 7);
	assert_region(&map, 3, GPA_HOLE, 0x3000, 0xd0000000 - 0x3000, SLOT_VIS_BOTH);
	assert_region(&map, 4, GPA_DEVICE, 0xd0000000, 0x1000, SLOT_VIS_BOTH);
	assert_string_equal(map.v[4].name, "scratch");
	assert_region(&map, 5, GPA_HOLE, 0xd0001000, LIMIT - 0xd0001000, SLOT_VIS_BOTH);
	gpa_map_free(&map);
	map = build(v, 3, &b, true);
	assert_int_equal(map.n, 8);
	assert_true(map.v[4].own);
	gpa_map_free(&map);
}

/* A slot that only SMM sees hides the middle of a window there, and nothing of it outside. */
static void test_views_of_a_window(void **state)
{
	const struct slot_info v[] = {{.id = 1, .vis = SLOT_VIS_SMM, .gpa = 0x11000, .size = 0x1000}};
	struct board b;

	(void)state;
	board_init(&b);
	b.n_windows = 1;
	b.window[0] = (struct board_window){.name = "w", .gpa = 0x10000, .size = 0x3000};
	struct gpa_map map = build(v, 1, &b, false);
	assert_int_equal(map.n, 6);
	assert_region(&map, 0, GPA_HOLE, 0, 0x10000, SLOT_VIS_BOTH);
	assert_region(&map, 1, GPA_DEVICE, 0x10000, 0x3000, SLOT_VIS_NONSMM);
	assert_region(&map, 2, GPA_DEVICE, 0x10000, 0x1000, SLOT_VIS_SMM);
	assert_region(&map, 3, GPA_RAM, 0x11000, 0x1000, SLOT_VIS_SMM);
	assert_region(&map, 4, GPA_DEVICE, 0x12000, 0x1000, SLOT_VIS_SMM);
	assert_region(&map, 5, GPA_HOLE, 0x13000, LIMIT - 0x13000, SLOT_VIS_BOTH);
	gpa_map_free(&map);
}

/* A kernel's list may have a slot once for each address space; what is hostile may wrap, or be seen from nowhere. */
static void test_twice_and_wrapping(void **state)
{
	const struct slot_info v[] = {
	    {.id = 1, .as = 0, .vis = SLOT_VIS_NONSMM, .gpa = 0x1000, .size = 0x1000},
	    {.id = 1, .as = 1, .vis = SLOT_VIS_SMM, .gpa = 0x1000, .size = 0x1000},
	    {.id = 2, .vis = SLOT_VIS_BOTH, .gpa = 0xfffffffffffff000, .size = 0x100000},
	    {.id = 3, .vis = SLOT_VIS_BOTH, .gpa = 0x5000, .size = 0},
	    {.id = 4, .gpa = 0x7000, .size = 0x1000},
	};
	struct gpa_map map = build(v, 5, NULL, false);

	(void)state;
	assert_int_equal(map.n, 6);
	assert_region(&map, 1, GPA_RAM, 0x1000, 0x1000, SLOT_VIS_BOTH);
	assert_region(&map, 2, GPA_HOLE, 0x2000, 0x5000, SLOT_VIS_BOTH);
	assert_region(&map, 3, GPA_RAM, 0x7000, 0x1000, SLOT_VIS_BOTH);
	assert_region(&map, 4, GPA_HOLE, 0x8000, 0xfffffffffffff000 - 0x8000, SLOT_VIS_BOTH);
	assert_region(&map, 5, GPA_RAM, 0xfffffffffffff000, 0x1000, SLOT_VIS_BOTH);
	gpa_map_free(&map);
}

/* n slots of one page, two pages apart. */
static struct value many_rows(struct pool *p, unsigned n)
{
	struct slot_info *v = calloc(n, sizeof(*v));
	struct value rows = v_list(p, n);
	struct board b;

	assert_non_null(v);
	for (unsigned i = 0; i < n; i++)
		v[i] = (struct slot_info){.id = i, .vis = SLOT_VIS_BOTH, .gpa = 0x3000ull * i, .size = 0x1000};
	board_init(&b);
	struct gpa_map map = build(v, n, &b, false);
	for (size_t i = 0; i < map.n; i++)
		v_push(p, &rows, record_region(p, &map.v[i]));
	gpa_map_free(&map);
	free(v);
	return rows;
}

/* As long as there is room every interval has columns of its own; without room bars share columns, but are there. */
static void assert_spans(const struct value *rows, unsigned columns, bool room)
{
	unsigned before = 0;
	struct axis a;

	assert_true(axis_init(&a, rows, columns, 1));
	for (uint32_t i = 0; i < rows->n; i++) {
		unsigned first, end;
		axis_span(&a, &rows->items[i], &first, &end);
		assert_true(first < end && end <= columns);
		assert_true(room ? first == before : first + 1 >= before);
		before = end;
	}
	assert_int_equal(before, columns);
	axis_deinit(&a);
}

static void test_nothing_vanishes(void **state)
{
	_cleanup_pool_ struct pool *p = pool_create();
	struct value few = many_rows(p, 10), many = many_rows(p, 1000);

	(void)state;
	assert_spans(&few, 64, true);
	assert_spans(&few, 23, true);
	assert_spans(&many, 64, false);
	assert_spans(&many, 8, false);
}

/* No line is wider than the terminal, and each region has its line. */
static void test_width(void **state)
{
	_cleanup_pool_ struct pool *p = pool_create();
	struct value many = many_rows(p, 1000);

	(void)state;
	for (unsigned width = 60; width <= 200; width += 20) {
		unsigned lines = 0;
		struct out o;
		out_init(&o, false, width);
		o.ascii = true;
		view_draw(&o, "map", &many);
		assert_false(o.failed);
		for (const char *s = o.text, *nl; (nl = strchr(s, '\n')); s = nl + 1, lines++)
			if ((size_t)(nl - s) > width)
				fail_msg("width %u: '%.*s'", width, (int)(nl - s), s);
		assert_true(lines >= many.n + 2);
		out_deinit(&o);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_empty),
	    cmocka_unit_test(test_slots_windows_holes),
	    cmocka_unit_test(test_views_of_a_window),
	    cmocka_unit_test(test_twice_and_wrapping),
	    cmocka_unit_test(test_nothing_vanishes),
	    cmocka_unit_test(test_width),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
