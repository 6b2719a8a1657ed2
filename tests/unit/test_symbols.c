/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Symbols: both orders, sizes and reach, completion, hostile names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/load/symbols.h"

static void add(struct symbols *s, const char *name, uint64_t addr, uint64_t size)
{
	assert_int_equal(symbols_add(s, name, addr, size, NULL), 0);
}

static void sample(struct symbols *s)
{
	symbols_init(s);
	add(s, "main", 0x1000, 0x40);
	add(s, "loop", 0x1010, 0x8);
	add(s, "bare", 0x2000, 0);
	add(s, "alias", 0x1000, 0x40);
	add(s, "", 0x1, 1); /* has no name to ask for */
	add(s, "main2", 0xffffffffffffff00, 0);
	assert_int_equal(symbols_sort(s, NULL), 0);
}

static void by_name_finds_exactly(void **state)
{
	struct symbols s;

	(void)state;
	sample(&s);
	assert_int_equal(s.n, 5);
	assert_int_equal(symbols_by_name(&s, "main")->addr, 0x1000);
	assert_int_equal(symbols_by_name(&s, "loop")->size, 8);
	assert_null(symbols_by_name(&s, "mai"));
	assert_null(symbols_by_name(&s, "zzz"));
	assert_null(symbols_by_name(&s, ""));
	symbols_deinit(&s);
}

static void by_addr_takes_the_nearest_that_covers(void **state)
{
	struct symbols s;

	(void)state;
	sample(&s);
	assert_string_equal(symbols_by_addr(&s, 0x1000)->name, "alias"); /* first by name at one address */
	assert_string_equal(symbols_by_addr(&s, 0x1017)->name, "loop");
	assert_string_equal(symbols_by_addr(&s, 0x1018)->name, "alias"); /* past loop, still in the one around it */
	assert_null(symbols_by_addr(&s, 0x1040));
	assert_null(symbols_by_addr(&s, 0xfff));
	assert_string_equal(symbols_by_addr(&s, 0x11fff)->name, "bare");
	assert_null(symbols_by_addr(&s, 0x12000));
	assert_string_equal(symbols_by_addr(&s, ~0ull)->name, "main2");
	symbols_deinit(&s);
}

static void format(void **state)
{
	struct symbols s;
	char buf[32], tiny[4];

	(void)state;
	sample(&s);
	assert_string_equal(symbols_format(&s, 0x1010, buf, sizeof(buf)), "loop");
	assert_string_equal(symbols_format(&s, 0x1012, buf, sizeof(buf)), "loop+0x2");
	assert_string_equal(symbols_format(&s, 0x10, buf, sizeof(buf)), "");
	assert_string_equal(symbols_format(&s, 0x1012, tiny, sizeof(tiny)), "loo");
	symbols_deinit(&s);
}

static void collect(void *arg, const char *name)
{
	strcat(arg, name);
	strcat(arg, " ");
}

static void complete(void **state)
{
	struct symbols s;
	char all[128] = "";

	(void)state;
	sample(&s);
	symbols_complete(&s, "ma", collect, all);
	assert_string_equal(all, "main main2 ");
	all[0] = '\0';
	symbols_complete(&s, "", collect, all);
	assert_string_equal(all, "alias bare loop main main2 ");
	all[0] = '\0';
	add(&s, "main", 0x5000, 0);
	symbols_complete(&s, "ma", collect, all);
	assert_string_equal(all, ""); /* not sorted again yet */
	assert_null(symbols_by_name(&s, "main"));
	assert_int_equal(symbols_sort(&s, NULL), 0);
	symbols_complete(&s, "ma", collect, all);
	assert_string_equal(all, "main main2 ");
	symbols_deinit(&s);
}

static void many(void **state)
{
	struct symbols s;
	char name[16];

	(void)state;
	symbols_init(&s);
	assert_int_equal(symbols_sort(&s, NULL), 0); /* empty */
	assert_null(symbols_by_addr(&s, 0));
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "s%04u", (i * 2731) % 5000);
		add(&s, name, (i * 2731) % 5000 * 16, 16);
	}
	assert_int_equal(symbols_sort(&s, NULL), 0);
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "s%04u", i);
		assert_int_equal(symbols_by_name(&s, name)->addr, i * 16);
		assert_string_equal(symbols_by_addr(&s, i * 16 + 15)->name, name);
	}
	symbols_deinit(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(by_name_finds_exactly),
	    cmocka_unit_test(by_addr_takes_the_nearest_that_covers),
	    cmocka_unit_test(format),
	    cmocka_unit_test(complete),
	    cmocka_unit_test(many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
