/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Errors as values: parts, prefixes, formatting, truncation, NULL receivers.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "core/base/err.h"

static void test_three_parts(void **state)
{
	struct err e;
	char text[512];

	(void)state;
	assert_int_equal(err_set(&e, -EINVAL, "slot add %u" WHY "gpa %#x is odd" TRY "%#x", 5, 0x1, 0x1000), -EINVAL);
	assert_int_equal(e.code, -EINVAL);
	assert_int_equal(e.space, ERR_SPACE_NONE);
	assert_string_equal(e.what, "slot add 5");
	assert_string_equal(e.why, "gpa 0x1 is odd");
	assert_string_equal(e.next, "0x1000");
	err_format(&e, text, sizeof(text));
	assert_string_equal(text, "error: slot add 5: gpa 0x1 is odd; try 0x1000");
}

static void test_missing_parts_get_words(void **state)
{
	struct err e;
	char text[512];

	(void)state;
	assert_int_equal(err_set(&e, -ENOENT, "open x"), -ENOENT);
	err_format(&e, text, sizeof(text));
	assert_string_equal(text, "error: open x: No such file or directory; try help");
	assert_int_equal(err_set(&e, -ENOENT, "open x" TRY "y"), -ENOENT);
	assert_string_equal(e.why, "");
	assert_string_equal(e.next, "y");
	assert_string_equal(err_reason(&e), "open x");
	assert_int_equal(err_set(&e, -EPERM, WHY "because"), -EPERM);
	err_format(&e, text, sizeof(text));
	assert_string_equal(text, "error: command: because; try help");
	assert_string_equal(err_reason(&e), "because");
}

/* Whoever fails for want of a descriptor has not thought of that. */
static void test_no_descriptor_is_left(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(err_errno(&e, EMFILE, "open x" WHY "no permission" TRY "usermod"), -EMFILE);
	assert_non_null(strstr(e.next, "ulimit -n"));
	assert_null(strstr(e.next, "usermod"));
	assert_int_equal(err_errno(&e, ENFILE, "open x" TRY "usermod"), -ENFILE);
	assert_non_null(strstr(e.next, "file-max"));
	assert_int_equal(err_errno(&e, EACCES, "open x" TRY "usermod"), -EACCES);
	assert_string_equal(e.next, "usermod");
}

static void test_address(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(err_set_at(&e, -EFAULT, ERR_SPACE_GPA, 0xdead000, "read" WHY "no"), -EFAULT);
	assert_int_equal(e.space, ERR_SPACE_GPA);
	assert_int_equal(e.addr, 0xdead000);
	assert_int_equal(err_set(&e, -EINVAL, "again"), -EINVAL);
	assert_int_equal(e.space, ERR_SPACE_NONE);
	assert_int_equal(e.addr, 0);
}

static void test_null_receiver(void **state)
{
	(void)state;
	assert_int_equal(err_set(NULL, -EINVAL, "%s", "x"), -EINVAL);
	assert_int_equal(err_set_at(NULL, -EFAULT, ERR_SPACE_GVA, 1, "x"), -EFAULT);
	assert_int_equal(err_errno(NULL, ENOENT, "x"), -ENOENT);
	assert_int_equal(err_nomem(NULL, "x"), -ENOMEM);
	err_prefix(NULL, "x");
	err_clear(NULL);
}

static void test_errno_text(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(err_errno(&e, EACCES, "open /dev/kvm"), -EACCES);
	assert_string_equal(e.why, "Permission denied");
	assert_int_equal(err_errno(&e, EACCES, "open" WHY "/dev/kvm" TRY "root"), -EACCES);
	assert_string_equal(e.why, "/dev/kvm: Permission denied");
	assert_string_equal(e.next, "root");
}

static void test_prefix(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(err_set(&e, -EINVAL, "read it" WHY "w" TRY "n"), -EINVAL);
	err_prefix(&e, "load %s: ", "x");
	assert_string_equal(e.what, "load x: read it");
	assert_string_equal(e.why, "w");
	assert_string_equal(e.next, "n");
}

static void test_long_parts_are_cut(void **state)
{
	struct err e;
	char big[2000], text[64];

	(void)state;
	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	assert_int_equal(err_set(&e, -EINVAL, "%s" WHY "w", big), -EINVAL);
	assert_int_equal(strlen(e.what), sizeof(e.what) - 1);
	err_prefix(&e, "%s", big);
	assert_true(strlen(e.what) < sizeof(e.what));
	assert_int_equal(err_set(&e, -EINVAL, "x" WHY "%s", big), -EINVAL);
	assert_int_equal(strlen(e.why), sizeof(e.why) - 1);
	err_format(&e, text, sizeof(text));
	assert_int_equal(strlen(text), sizeof(text) - 1);
}

static void test_clear(void **state)
{
	struct err e;

	(void)state;
	memset(&e, 0xaa, sizeof(e));
	err_clear(&e);
	assert_int_equal(e.code, 0);
	assert_string_equal(e.what, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_three_parts),
	    cmocka_unit_test(test_missing_parts_get_words),
	    cmocka_unit_test(test_no_descriptor_is_left),
	    cmocka_unit_test(test_address),
	    cmocka_unit_test(test_null_receiver),
	    cmocka_unit_test(test_errno_text),
	    cmocka_unit_test(test_prefix),
	    cmocka_unit_test(test_long_parts_are_cut),
	    cmocka_unit_test(test_clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
