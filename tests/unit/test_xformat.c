/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The /NFU parser: what gdb makes of each, and what it refuses.
 */
#include "cli/session/xformat.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void expect(struct xsticky *s, const char *text, uint64_t count, char format, unsigned unit)
{
	struct xformat f = {0};

	assert_int_equal(xformat_parse(text, 8, s, &f, NULL), 0);
	assert_int_equal(f.count, count);
	assert_int_equal(f.format, format);
	assert_int_equal(f.unit, unit);
}

static void test_first_defaults(void **state)
{
	struct xsticky s = {0};

	(void)state;
	expect(&s, NULL, 1, 'x', 4);
	expect(&s, "", 1, 'x', 4);
}

static void test_all_parts_in_any_order(void **state)
{
	struct xsticky s = {0};

	(void)state;
	expect(&s, "8gx", 8, 'x', 8);
	expect(&s, "8xg", 8, 'x', 8);
	expect(&s, "16bu", 16, 'u', 1);
	expect(&s, "hd", 1, 'd', 2);
	expect(&s, "wo", 1, 'o', 4);
	expect(&s, "t", 1, 't', 4);
}

static void test_sticky(void **state)
{
	struct xsticky s = {0};

	(void)state;
	expect(&s, "4gd", 4, 'd', 8);
	expect(&s, NULL, 1, 'd', 8);
	expect(&s, "2", 2, 'd', 8);
	expect(&s, "x", 1, 'x', 8);
	expect(&s, "h", 1, 'x', 2);
	expect(&s, "i", 1, 'i', 2);
	expect(&s, "3", 3, 'i', 2);
	expect(&s, "x", 1, 'x', 2);
	expect(&s, "s", 1, 's', 2);
}

static void test_char_and_address_units(void **state)
{
	struct xsticky s = {0};
	struct xformat f;

	(void)state;
	expect(&s, "gx", 1, 'x', 8);
	expect(&s, "c", 1, 'c', 1);
	expect(&s, "wc", 1, 'c', 4);
	expect(&s, "a", 1, 'a', 8);
	assert_int_equal(xformat_parse("a", 4, &s, &f, NULL), 0);
	assert_int_equal(f.unit, 4);
}

static void refuse(const char *text, int code)
{
	struct xsticky s = {'d', 2};
	struct xformat f = {.count = 77};
	struct err e = {0};

	assert_int_equal(xformat_parse(text, 8, &s, &f, &e), code);
	assert_int_equal(e.code, code);
	assert_int_equal(f.count, 77);
	assert_int_equal(s.format, 'd');
	assert_int_equal(s.unit, 2);
}

static void test_refusals(void **state)
{
	(void)state;
	refuse("q", -EINVAL);
	refuse("gw", -EINVAL);
	refuse("gg", -EINVAL);
	refuse("xd", -EINVAL);
	refuse("8g8", -EINVAL);
	refuse("-8x", -EINVAL);
	refuse("0x", -ERANGE);
	refuse("99999999999999999999999x", -ERANGE);
	refuse("2097153x", -ERANGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_first_defaults), cmocka_unit_test(test_all_parts_in_any_order),
	    cmocka_unit_test(test_sticky),	   cmocka_unit_test(test_char_and_address_units),
	    cmocka_unit_test(test_refusals),
	};
	return cmocka_run_group_tests_name("xformat", tests, NULL, NULL);
}
