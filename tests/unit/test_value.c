/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The value tree: types, growth, equality, the arena and its poisoning.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "core/base/value.h"

static int setup(void **state)
{
	*state = pool_create();
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	pool_destroy(*state);
	return 0;
}

static void test_scalars(void **state)
{
	struct pool *p = *state;

	assert_int_equal(sizeof(struct value), 16);
	assert_int_equal(v_null().type, VALUE_NULL);
	assert_true(v_bool(true).truth);
	assert_int_equal(v_int(-3).num, -3);
	assert_int_equal(v_hex(~0ull).hex, ~0ull);
	assert_string_equal(v_str(p, "abc").str, "abc");
	assert_int_equal(v_str(p, "abc").n, 3);
	assert_int_equal(v_str(p, NULL).type, VALUE_NULL);
	assert_string_equal(v_strf(p, "%d-%s", 7, "x").str, "7-x");
	assert_int_equal(v_na(p, "no BTF").type, VALUE_NA);
	assert_string_equal(v_na(p, "no BTF").str, "no BTF");
}

static void test_str_is_copied(void **state)
{
	char s[] = "before";
	struct value v = v_str(*state, s);

	s[0] = 'X';
	assert_string_equal(v.str, "before");
}

static void test_bytes(void **state)
{
	const uint8_t b[] = {0xde, 0xad, 0x00, 0x0f};
	struct value v = v_bytes(*state, b, sizeof(b));

	assert_int_equal(v.type, VALUE_STR);
	assert_string_equal(v.str, "dead000f");
	assert_int_equal(v.n, 8);
	assert_string_equal(v_bytes(*state, b, 0).str, "");
}

static void test_list_grows(void **state)
{
	struct pool *p = *state;
	struct value l = v_list(p, 0);

	for (int i = 0; i < 10000; i++)
		v_push(p, &l, v_int(i));
	assert_int_equal(l.n, 10000);
	for (int i = 0; i < 10000; i++)
		assert_int_equal(l.items[i].num, i);
}

static void test_dict(void **state)
{
	struct pool *p = *state;
	struct value d = v_dict(p, 1);
	char key[] = "gpa";

	v_put(p, &d, "gva", v_hex(1));
	v_put(p, &d, "gpa", v_hex(2));
	v_put(p, &d, "hva", v_hex(3));
	v_put(p, &d, "hpa", v_hex(4));
	v_put(p, &d, "gfn", v_hex(5));
	assert_int_equal(d.n, 5);
	assert_int_equal(v_get(&d, key)->hex, 2); /* by content, not by pointer */
	assert_null(v_get(&d, "pfn"));
	assert_string_equal(d.fields[4].key, "gfn");
	struct value l = v_list(p, 0);
	assert_null(v_get(&l, "gva"));
}

static void test_equal(void **state)
{
	struct pool *p = *state;
	struct value a = v_dict(p, 2), b = v_dict(p, 2);

	assert_true(v_equal(&a, &b));
	v_put(p, &a, "x", v_int(1));
	assert_false(v_equal(&a, &b));
	v_put(p, &b, "x", v_int(1));
	assert_true(v_equal(&a, &b));
	struct value la = v_list(p, 0), lb = v_list(p, 0);
	v_push(p, &la, v_str(p, "s"));
	v_push(p, &lb, v_str(p, "s"));
	v_put(p, &a, "l", la);
	v_put(p, &b, "l", lb);
	assert_true(v_equal(&a, &b));
	b.fields[1].value.items[0] = v_na(p, "s");
	assert_false(v_equal(&a, &b));
	assert_false(v_equal(&(struct value){.type = VALUE_INT, .hex = 1}, &(struct value){.type = VALUE_HEX, .hex = 1}));
}

static void test_pool_alignment_and_size(void **state)
{
	struct pool *p = *state;

	for (size_t i = 1; i < 5000; i += 7) {
		uint8_t *at = pool_alloc(p, i);

		assert_non_null(at);
		assert_int_equal((uintptr_t)at % 16, 0);
		for (size_t k = 0; k < i; k++)
			assert_int_equal(at[k], 0);
		memset(at, 0xff, i);
	}
	assert_non_null(pool_alloc(p, 16 << 20));
	assert_false(pool_failed(p));
}

static void test_poison(void **state)
{
	struct pool *p = *state;
	struct value l = v_list(p, 0);

	v_push(p, &l, v_int(1));
	assert_null(pool_alloc(p, SIZE_MAX));
	assert_true(pool_failed(p));
	assert_null(pool_alloc(p, 1));
	assert_string_equal(pool_strdup(p, "x"), "");
	assert_string_equal(v_strf(p, "%d", 1).str, "");
	for (int i = 0; i < 100; i++)
		v_push(p, &l, v_int(i)); /* does nothing once room is out, crashes never */
	assert_in_range(l.n, 1, 4);
	pool_destroy(NULL);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_scalars), T(test_str_is_copied),	      T(test_bytes),  T(test_list_grows), T(test_dict),
	    T(test_equal),   T(test_pool_alignment_and_size), T(test_poison),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
