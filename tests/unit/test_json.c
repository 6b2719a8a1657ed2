/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * JSON output parses back, whatever the bytes: exact texts for each kind of value, then random trees read by jansson and
 * compared with what was written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>

#include "views/json.h"

static void assert_json(const struct value *v, const char *want)
{
	struct out o;

	out_init(&o, false, 0);
	json_write(&o, v);
	assert_string_equal(o.text, want);
	out_deinit(&o);
}

static struct value str_n(const char *s, size_t n)
{
	return (struct value){.type = VALUE_STR, .n = (uint32_t)n, .str = s};
}

static void test_scalars(void **state)
{
	(void)state;
	assert_json(&(struct value){0}, "null");
	assert_json(&(struct value){.type = VALUE_BOOL, .truth = true}, "true");
	assert_json(&(struct value){.type = VALUE_BOOL}, "false");
	assert_json(&(struct value){.type = VALUE_INT, .num = INT64_MIN}, "-9223372036854775808");
	assert_json(&(struct value){.type = VALUE_INT, .num = INT64_MAX}, "9223372036854775807");
	assert_json(&(struct value){.type = VALUE_HEX, .hex = 0}, "\"0x0\"");
	assert_json(&(struct value){.type = VALUE_HEX, .hex = UINT64_MAX}, "\"0xffffffffffffffff\"");
	assert_json(&(struct value){.type = VALUE_HEX, .hex = 0x240000}, "\"0x240000\"");
	assert_json(&(struct value){.type = VALUE_REAL, .n = 7, .str = "1.5e+20"}, "1.5e+20");
	struct value na = {.type = VALUE_NA, .n = 6, .str = "no BTF"};
	assert_json(&na, "\"n/a (no BTF)\"");
}

static void test_strings(void **state)
{
	struct value v = v_lit("say \"hi\" \\ \n\t\r\b\f\x01\x7f");

	(void)state;
	assert_json(&v, "\"say \\\"hi\\\" \\\\ \\n\\t\\r\\b\\f\\u0001\\u007f\"");
	v = str_n("a\0b", 3);
	assert_json(&v, "\"a\\u0000b\"");
	v = v_lit("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
	assert_json(&v, "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"");
}

static void test_broken_utf8(void **state)
{
	static const struct {
		const char *in, *want;
	} t[] = {
	    {"\xff", "\"\xef\xbf\xbd\""},						    /* never a byte of UTF-8 */
	    {"\xc0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\""},				    /* overlong */
	    {"\xe2\x82", "\"\xef\xbf\xbd\xef\xbf\xbd\""},				    /* cut off */
	    {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},		    /* surrogate */
	    {"\xf4\x90\x80\x80x", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx\""}, /* beyond U+10FFFF */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct value v = v_lit(t[i].in);
		assert_json(&v, t[i].want);
	}
}

static void test_containers(void **state)
{
	_cleanup_pool_ struct pool *p = pool_create();
	struct value d = v_dict(p, 0), l = v_list(p, 0);

	(void)state;
	assert_json(&d, "{}");
	assert_json(&l, "[]");
	v_push(p, &l, v_int(1));
	v_push(p, &l, v_hex(0x10));
	v_put(p, &d, "a", l);
	v_put(p, &d, "b", v_null());
	assert_json(&d, "{\"a\":[1,\"0x10\"],\"b\":null}");
}

static void test_too_deep_is_cut_in_words(void **state)
{
	_cleanup_pool_ struct pool *p = pool_create();
	struct value v = v_int(1);
	struct out o;
	json_error_t error;

	(void)state;
	for (int i = 0; i < 100000; i++) {
		struct value l = v_list(p, 1);
		v_push(p, &l, v);
		v = l;
	}
	out_init(&o, false, 0);
	json_write(&o, &v);
	assert_non_null(strstr(o.text, "n/a (nested too deep)"));
	json_t *j = json_loads(o.text, 0, &error);
	assert_non_null(j);
	json_decref(j);
	out_deinit(&o);
}

static uint64_t seed = 1;

static uint64_t rnd(uint64_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % n;
}

static struct value random_string(struct pool *p)
{
	size_t n = rnd(20);
	char *s = pool_alloc(p, n + 1);

	for (size_t i = 0; i < n; i++)
		s[i] = (char)rnd(256);
	return str_n(s, n);
}

static struct value random_value(struct pool *p, unsigned depth)
{
	static const char *const keys[] = {"a", "key", "\"", "\xff", "long key with spaces", "\n", "k6", "k7"};
	struct value v;

	switch (rnd(depth ? 8 : 6)) {
	case 0:
		return v_null();
	case 1:
		return v_bool(rnd(2));
	case 2:
		return v_int((int64_t)(rnd(UINT64_MAX) >> rnd(64)));
	case 3:
		return v_hex(rnd(UINT64_MAX) >> rnd(64));
	case 4:
		return random_string(p);
	case 5:
		v = random_string(p);
		v.type = VALUE_NA;
		return v;
	case 6:
		v = v_list(p, 0);
		for (uint64_t n = rnd(6); n; n--)
			v_push(p, &v, random_value(p, depth - 1));
		return v;
	default:
		v = v_dict(p, 0);
		for (uint64_t n = rnd(6); n; n--)
			v_put(p, &v, keys[n - 1], random_value(p, depth - 1));
		return v;
	}
}

static void assert_same(const struct value *v, const json_t *j);

static void assert_same_dict(const struct value *v, const json_t *j)
{
	static const char *const repaired = "\xef\xbf\xbd";

	assert_true(json_is_object(j));
	assert_int_equal(json_object_size(j), v->n);
	for (uint32_t i = 0; i < v->n; i++) {
		const char *key = v->fields[i].key;
		assert_same(&v->fields[i].value, json_object_get(j, strcmp(key, "\xff") ? key : repaired));
	}
}

static void assert_same(const struct value *v, const json_t *j)
{
	char text[32];

	assert_non_null(j);
	switch ((enum value_type)v->type) {
	case VALUE_NULL:
		assert_true(json_is_null(j));
		return;
	case VALUE_BOOL:
		assert_int_equal(json_is_true(j), v->truth);
		assert_true(json_is_boolean(j));
		return;
	case VALUE_INT:
		assert_int_equal(json_integer_value(j), v->num);
		return;
	case VALUE_HEX:
		snprintf(text, sizeof(text), "0x%llx", (unsigned long long)v->hex);
		assert_string_equal(json_string_value(j), text);
		return;
	case VALUE_REAL:
		assert_true(json_is_real(j));
		return;
	case VALUE_STR:
		assert_true(json_is_string(j));
		assert_true(json_string_length(j) >= v->n);
		return;
	case VALUE_NA:
		assert_memory_equal(json_string_value(j), "n/a", 3);
		return;
	case VALUE_LIST:
		assert_int_equal(json_array_size(j), v->n);
		for (uint32_t i = 0; i < v->n; i++)
			assert_same(&v->items[i], json_array_get(j, i));
		return;
	case VALUE_DICT:
		assert_same_dict(v, j);
		return;
	}
}

static void test_random_trees(void **state)
{
	(void)state;
	for (int i = 0; i < 3000; i++) {
		_cleanup_pool_ struct pool *p = pool_create();
		struct value v = random_value(p, 5);
		struct out o;
		json_error_t error;

		out_init(&o, false, 0);
		json_write(&o, &v);
		assert_null(strchr(o.text, '\n'));
		json_t *j = json_loads(o.text, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);
		if (!j)
			fail_msg("%s at %d in %s", error.text, error.position, o.text);
		assert_same(&v, j);
		json_decref(j);
		out_deinit(&o);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_scalars),	 cmocka_unit_test(test_strings),
	    cmocka_unit_test(test_broken_utf8),	 cmocka_unit_test(test_containers),
	    cmocka_unit_test(test_random_trees), cmocka_unit_test(test_too_deep_is_cut_in_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
