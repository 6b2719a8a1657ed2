/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Values to Tcl and back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <tcl.h>

#include "cli/tcl/tclvalue.h"

static Tcl_Interp *interp;
static struct pool *pool;

static int setup(void **state)
{
	(void)state;
	interp = Tcl_CreateInterp();
	pool = pool_create();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	Tcl_DeleteInterp(interp);
	pool_destroy(pool);
	tclvalue_forget_keys();
	return 0;
}

/* What a script makes of v, put into the variable v. */
static const char *script(struct value v, const char *text)
{
	Tcl_SetVar2Ex(interp, "v", NULL, tcl_from_value(&v), TCL_GLOBAL_ONLY);
	if (Tcl_EvalEx(interp, text, -1, 0) != TCL_OK)
		fail_msg("%s: %s", text, Tcl_GetStringResult(interp));
	return Tcl_GetStringResult(interp);
}

static void scalars(void **state)
{
	(void)state;
	assert_string_equal(script(v_null(), "set v"), "");
	assert_string_equal(script(v_bool(true), "expr {$v + 1}"), "2");
	assert_string_equal(script(v_bool(false), "set v"), "0");
	assert_string_equal(script(v_int(-5), "set v"), "-5");
	assert_string_equal(script(v_hex(0x1234), "expr {$v + 1}"), "4661");
	assert_string_equal(script(v_hex(UINT64_MAX), "set v"), "18446744073709551615");
	assert_string_equal(script(v_hex(UINT64_MAX), "format 0x%llx [expr {$v - 1}]"), "0xfffffffffffffffe");
	assert_string_equal(script(v_hex(1ull << 63), "expr {$v > 0}"), "1");
	assert_string_equal(script(v_lit("a b"), "llength $v"), "2");
	assert_string_equal(script(v_na(pool, "no BTF"), "set v"), "n/a (no BTF)");
}

static void containers(void **state)
{
	struct value row = v_dict(pool, 2), list = v_list(pool, 0);

	(void)state;
	v_put(pool, &row, "id", v_int(3));
	v_put(pool, &row, "flags", v_list(pool, 0));
	v_push(pool, &list, row);
	v_push(pool, &list, v_hex(7));
	assert_string_equal(script(row, "dict get $v id"), "3");
	assert_string_equal(script(row, "dict keys $v"), "id flags");
	assert_string_equal(script(list, "llength $v"), "2");
	assert_string_equal(script(list, "dict get [lindex $v 0] id"), "3");
	assert_string_equal(script(v_list(pool, 0), "llength $v"), "0");
	assert_string_equal(script(v_dict(pool, 0), "dict size $v"), "0");
}

/* A pool may hand out an address again for another key: the content counts. */
static void keys_by_content(void **state)
{
	char key[] = "first";
	struct value v = v_dict(pool, 1);

	(void)state;
	v_put(pool, &v, key, v_int(1));
	assert_string_equal(script(v, "dict keys $v"), "first");
	strcpy(key, "other");
	assert_string_equal(script(v, "dict keys $v"), "other");
}

/* Objects are kept for some of them only. */
static void more_keys_than_are_kept(void **state)
{
	static char key[3000][8];
	struct value v = v_dict(pool, ARRAY_LEN(key));

	(void)state;
	for (int i = 0; i < (int)ARRAY_LEN(key); i++) {
		snprintf(key[i], sizeof(key[i]), "k%d", i);
		v_put(pool, &v, key[i], v_int(i));
	}
	for (int again = 0; again < 2; again++) {
		assert_string_equal(script(v, "dict size $v"), "3000");
		assert_string_equal(script(v, "set n 0; dict for {k i} $v {incr n [expr {$k eq \"k$i\"}]}; set n"), "3000");
	}
}

static struct value place(const char *first, struct value a, const char *second, struct value b)
{
	struct value v = v_dict(pool, 2);

	v_put(pool, &v, first, a);
	v_put(pool, &v, second, b);
	return v;
}

static void refilled(void **state)
{
	struct value before = place("reason", v_lit("step"), "rip", v_hex(16)),
		     after = place("reason", v_lit("mmio"), "rip", v_hex(19)),
		     other_order = place("rip", v_hex(1), "reason", v_lit("hlt")),
		     other_key = place("reason", v_lit("hlt"), "port", v_hex(1)), longer = after, shorter = v_dict(pool, 1);
	Tcl_Obj *dict = tcl_from_value(&before);

	(void)state;
	v_put(pool, &longer, "note", v_null());
	v_put(pool, &shorter, "reason", v_lit("hlt"));
	Tcl_IncrRefCount(dict);
	assert_string_equal(Tcl_GetString(dict), "reason step rip 16");
	assert_false(tcl_refill_dict(dict, &other_order));
	assert_false(tcl_refill_dict(dict, &other_key));
	assert_false(tcl_refill_dict(dict, &longer));
	assert_false(tcl_refill_dict(dict, &shorter));
	assert_false(tcl_refill_dict(dict, &before.fields[0].value));
	assert_string_equal(Tcl_GetString(dict), "reason step rip 16");
	assert_true(tcl_refill_dict(dict, &after));
	assert_string_equal(Tcl_GetString(dict), "reason mmio rip 19");
	Tcl_IncrRefCount(dict); /* a script's variable */
	assert_false(tcl_refill_dict(dict, &before));
	assert_string_equal(Tcl_GetString(dict), "reason mmio rip 19");
	Tcl_DecrRefCount(dict);
	Tcl_DecrRefCount(dict);
}

static struct value result_of(const char *text)
{
	if (Tcl_EvalEx(interp, text, -1, 0) != TCL_OK)
		fail_msg("%s: %s", text, Tcl_GetStringResult(interp));
	return value_from_tcl(pool, Tcl_GetObjResult(interp));
}

static void back_from_tcl(void **state)
{
	struct value v = result_of("set two 2; list 1 [dict create a $two] {}");

	(void)state;
	assert_int_equal(v.type, VALUE_LIST);
	assert_int_equal(v.n, 3);
	assert_int_equal(v.items[0].num, 1);
	assert_int_equal(v_get(&v.items[1], "a")->num, 2);
	assert_int_equal(v.items[2].type, VALUE_NULL);
	v = result_of("expr {1 + 1}");
	assert_int_equal(v.type, VALUE_INT);
	assert_int_equal(v.num, 2);
	v = result_of("set x -9223372036854775808");
	assert_int_equal(v.type, VALUE_INT);
	assert_true(v.num == INT64_MIN);
	v = result_of("set x 0xffffffffffffffff");
	assert_int_equal(v.type, VALUE_HEX);
	assert_true(v.hex == UINT64_MAX);
	assert_int_equal(result_of("set x").type, VALUE_HEX);
	assert_int_equal(result_of("string cat").type, VALUE_NULL);
	assert_int_equal(result_of("string cat 12 ab").type, VALUE_STR);
	assert_int_equal(result_of("string cat 1 { }").type, VALUE_STR);
	assert_int_equal(result_of("string cat 0 7").type, VALUE_STR); /* no octal surprises */
	assert_int_equal(result_of("string cat - {}").type, VALUE_STR);
	assert_int_equal(result_of("string cat a b").type, VALUE_STR);
}

static void expect_real(const char *expression, const char *text)
{
	struct value v = result_of(expression);

	assert_int_equal(v.type, VALUE_REAL);
	assert_string_equal(v.str, text);
	assert_string_equal(script(v, "set v"), text);
}

/* What looks like a number to JSON is one; hex of memory, versions and what JSON has no word for stay text. */
static void reals_from_tcl(void **state)
{
	(void)state;
	expect_real("expr {1 / 4.0}", "0.25");
	expect_real("expr {0 - 2.0 ** 70 * 8}", "-9.44473296573929e+21");
	expect_real("expr {1e20}", "1e+20");
	expect_real("string cat 2 .50", "2.50");
	assert_int_equal(result_of("list 0.5 a").items[0].type, VALUE_REAL);
	assert_int_equal(result_of("expr {Inf}").type, VALUE_STR);
	assert_int_equal(result_of("expr {-Inf}").type, VALUE_STR);
	assert_int_equal(result_of("string cat 12 e4").type, VALUE_STR);
	assert_int_equal(result_of("string cat 00. 5").type, VALUE_STR);
	assert_int_equal(result_of("string cat .5 {}").type, VALUE_STR);
	assert_int_equal(result_of("string cat 5 .").type, VALUE_STR);
	assert_int_equal(result_of("string cat 8.6 .13").type, VALUE_STR);
	assert_int_equal(result_of("string cat 1.5e {}").type, VALUE_STR);
}

static void there_and_back(void **state)
{
	struct value row = v_dict(pool, 2), list = v_list(pool, 1);

	(void)state;
	v_put(pool, &row, "rip", v_int(0x200000));
	v_put(pool, &row, "why", v_lit("a step"));
	v_push(pool, &list, row);
	Tcl_Obj *o = tcl_from_value(&list);
	Tcl_IncrRefCount(o);
	struct value again = value_from_tcl(pool, o);
	assert_true(v_equal(&list, &again));
	Tcl_DecrRefCount(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(scalars),	       cmocka_unit_test(containers),
	    cmocka_unit_test(keys_by_content), cmocka_unit_test(more_keys_than_are_kept),
	    cmocka_unit_test(refilled),	       cmocka_unit_test(back_from_tcl),
	    cmocka_unit_test(there_and_back),  cmocka_unit_test(reals_from_tcl),
	};

	Tcl_FindExecutable("test_tclvalue");
	return cmocka_run_group_tests(tests, setup, teardown);
}
