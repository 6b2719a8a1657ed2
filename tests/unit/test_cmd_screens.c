/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Commands about the screens, where there are none: select, tui.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "core/mem/paging.h"
#include "tests/support/handlers.h"

static void is(const char *line, const char *json)
{
	assert_string_equal(run_line(line), json);
}

static void an_address_and_its_other_side(void **state)
{
	(void)state;
	is("select", "{\"gva\":null,\"gpa\":null,\"gfn\":null}");
	assert_false(handlers_session.sel_chosen);
	is("select 0x5010", "{\"gva\":\"0x5010\",\"gpa\":\"0x5010\",\"gfn\":\"0x5\"}");
	assert_true(handlers_session.sel_chosen);
	is("select 0x7000 -phys", "{\"gva\":null,\"gpa\":\"0x7000\",\"gfn\":\"0x7\"}");
	is("select 0x40000000", "{\"gva\":\"0x40000000\",\"gpa\":null,\"gfn\":null}");
}

static void asked_again_it_is_found_anew(void **state)
{
	(void)state;
	run_line("select 0x5010");
	longguest_set_pte(handlers_session.d.m, 0x5000, 0x9000 | PTE_P | PTE_U | PTE_W);
	is("select", "{\"gva\":\"0x5010\",\"gpa\":\"0x9010\",\"gfn\":\"0x9\"}");
	longguest_set_pte(handlers_session.d.m, 0x5000, 0);
	is("select", "{\"gva\":\"0x5010\",\"gpa\":null,\"gfn\":null}");
}

static void back_and_forward(void **state)
{
	(void)state;
	assert_int_equal(refused_line("select -back"), -ENOENT);
	run_line("select 0x1000");
	run_line("select 0x2000");
	is("select -back", "{\"gva\":\"0x1000\",\"gpa\":\"0x1000\",\"gfn\":\"0x1\"}");
	assert_int_equal(refused_line("select -back"), -ENOENT);
	is("select -forward", "{\"gva\":\"0x2000\",\"gpa\":\"0x2000\",\"gfn\":\"0x2\"}");
	assert_int_equal(refused_line("select -forward"), -ENOENT);
	run_line("select -stops");
	assert_false(handlers_session.sel_chosen);
}

static void other_words_are_refused(void **state)
{
	(void)state;
	run_line("select 0x1000");
	refused_line("select nobody");
	refused_line("select 0x1000 0x2000");
	refused_line("select -back 0x1000");
	refused_line("select -stops now");
	is("select", "{\"gva\":\"0x1000\",\"gpa\":\"0x1000\",\"gfn\":\"0x1\"}");
	assert_true(handlers_session.sel_chosen);
}

static void no_screens_without_a_terminal(void **state)
{
	(void)state;
	assert_int_equal(refused_line("tui"), -ENOTSUP);
	assert_non_null(strstr(handlers_err.why, "no terminal"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, handlers_setup, handlers_teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(an_address_and_its_other_side), TEST(asked_again_it_is_found_anew),  TEST(back_and_forward),
	    TEST(other_words_are_refused),	 TEST(no_screens_without_a_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
