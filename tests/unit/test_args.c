/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Taking words apart: options anywhere, expressions over several words, hex, sizes, and what is left over.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "cli/cmd/args.h"
#include "cli/session/client.h"

static const struct command cmd = {.name = "walk", .usage = "GVA [-phys]"};
static struct session session;
static struct client client = {.s = &session};
static struct pool *pool;

/* The words of a line without quoting, up to 16. */
static struct args words(const char *line)
{
	static char text[300];
	static const char *argv[16];
	static struct call c;
	struct args a;

	c = (struct call){.s = &session, .client = &client, .cmd = &cmd, .argv = argv, .pool = pool};
	strcpy(text, line);
	for (char *p = strtok(text, " "); p; p = strtok(NULL, " "))
		argv[c.argc++] = p;
	assert_int_equal(args_init(&a, &c, NULL), 0);
	return a;
}

static int setup(void **state)
{
	(void)state;
	pool = pool_create();
	symbols_init(&session.d.syms);
	return symbols_add(&session.d.syms, "main", 0x1000, 16, NULL) || symbols_sort(&session.d.syms, NULL);
}

static int teardown(void **state)
{
	(void)state;
	symbols_deinit(&session.d.syms);
	pool_destroy(pool);
	return 0;
}

static void options_stand_anywhere(void **state)
{
	struct args a = words("-phys 0x40 -file f 8 -x");
	const char *file = NULL;
	uint64_t v;

	(void)state;
	assert_true(args_flag(&a, "-phys"));
	assert_false(args_flag(&a, "-phys"));
	assert_int_equal(args_option(&a, "-file", &file, NULL), 1);
	assert_string_equal(file, "f");
	assert_int_equal(args_option(&a, "-file", &file, NULL), 0);
	assert_true(args_flag(&a, "-x"));
	assert_int_equal(args_addr(&a, "GVA", &v, NULL), 0);
	assert_int_equal(v, 0x40);
	assert_int_equal(args_number(&a, "LEN", 1, 8, &v, NULL), 0);
	assert_int_equal(v, 8);
	assert_int_equal(args_end(&a, NULL), 0);
}

static void expressions_over_several_words(void **state)
{
	static const struct {
		const char *line;
		uint64_t value;
		const char *rest; /* the word after it */
	} cases[] = {
	    {"0x1000 + 8 w", 0x1008, "w"}, {"main", 0x1000, NULL},
	    {"main+4 8", 0x1004, "8"},	   {"( main + 1 ) * 2 r", 0x2002, "r"},
	    {"main+ 4 8", 0x1004, "8"},	   {"main - 1 -phys", 0xfff, "-phys"},
	    {"0x10 16", 0x10, "16"},	   {"1 << 4 2", 16, "2"},
	    {"*0x10", 0x10, NULL},	   {"18446744073709551615", UINT64_MAX, NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct args a = words(cases[i].line);
		uint64_t v = 0;
		struct err e;
		if (args_addr(&a, "GVA", &v, &e))
			fail_msg("%s: %s: %s", cases[i].line, e.what, e.why);
		if (v != cases[i].value)
			fail_msg("%s gives %#llx", cases[i].line, (unsigned long long)v);
		const char *rest = args_peek(&a);
		if (!!rest != !!cases[i].rest || (rest && strcmp(rest, cases[i].rest)))
			fail_msg("%s leaves %s", cases[i].line, rest ? rest : "nothing");
	}
}

static void what_is_wrong_is_said(void **state)
{
	struct args a = words("1 2");
	const char *w;
	uint64_t v;
	struct err e;

	(void)state;
	assert_int_equal(args_number(&a, "LEN", 4, 8, &v, &e), -ERANGE);
	assert_string_equal(e.what, "walk");
	assert_string_equal(e.why, "LEN is 1, outside 4..8");
	assert_int_equal(args_end(&a, &e), -EINVAL);
	assert_string_equal(e.why, "'2' is one word too many");
	assert_string_equal(e.next, "walk GVA [-phys]");
	a = words("-frob");
	assert_int_equal(args_end(&a, &e), -EINVAL);
	assert_string_equal(e.why, "it has no option -frob");
	a = words("");
	assert_int_equal(args_word(&a, "GVA", &w, &e), -EINVAL);
	assert_string_equal(e.why, "GVA is missing");
	assert_int_equal(args_addr(&a, "GVA", &v, &e), -EINVAL);
	assert_int_equal(args_rest(&a, "EXPR", &w, &e), -EINVAL);
	a = words("nosuchsymbol");
	assert_true(args_addr(&a, "GVA", &v, &e) < 0);
	assert_true(!strncmp(e.what, "walk", 4));
	a = words("1 -file");
	assert_int_equal(args_option(&a, "-file", &w, &e), -EINVAL);
	assert_string_equal(e.why, "-file needs a value");
}

static void hex_words(void **state)
{
	static const struct {
		const char *word;
		int ret;
		const char *bytes;
		size_t len;
	} cases[] = {
	    {"deadBEEF", 0, "\xde\xad\xbe\xef", 4},
	    {"0x01ff", 0, "\x01\xff", 2},
	    {"abc", -EINVAL, NULL, 0},
	    {"0x", -EINVAL, NULL, 0},
	    {"12g4", -EINVAL, NULL, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct args a = words(cases[i].word);
		uint8_t *bytes = NULL;
		size_t len = 99;
		struct err e;
		assert_int_equal(args_hex(&a, "HEX", &bytes, &len, &e), cases[i].ret);
		if (!cases[i].ret) {
			assert_int_equal(len, cases[i].len);
			assert_memory_equal(bytes, cases[i].bytes, len);
		} else {
			assert_null(bytes);
			assert_int_equal(len, 99); /* outputs untouched on failure */
		}
		free(bytes);
	}
}

static void the_rest_is_joined(void **state)
{
	struct args a = words("1 $rax == 5");
	const char *text;
	uint64_t id;

	(void)state;
	assert_int_equal(args_number(&a, "N", 1, 9, &id, NULL), 0);
	assert_int_equal(args_rest(&a, "EXPR", &text, NULL), 0);
	assert_string_equal(text, "$rax == 5");
	assert_int_equal(args_end(&a, NULL), 0);
}

static void sizes(void **state)
{
	static const struct {
		const char *text;
		int ret;
		uint64_t value;
	} cases[] = {
	    {"64M", 0, 64ull << 20}, {"4k", 0, 4096},		{"0x1000", 0, 4096},  {"2G", 0, 2ull << 30},
	    {"1T", 0, 1ull << 40},   {"16777216T", -ERANGE, 0}, {"64MB", -EINVAL, 0}, {"", -EINVAL, 0},
	    {"-1", -EINVAL, 0},	     {"M", -EINVAL, 0},		{"12q", -EINVAL, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t v = 7;
		struct err e;
		if (parse_size(cases[i].text, &v, &e) != cases[i].ret || v != (cases[i].ret ? 7 : cases[i].value))
			fail_msg("%s gives %llu", cases[i].text, (unsigned long long)v);
	}
}

static void too_many_words(void **state)
{
	static const char *argv[ARGS_MAX + 1];
	struct call c = {.s = &session, .client = &client, .cmd = &cmd, .argc = ARGS_MAX + 1, .argv = argv, .pool = pool};
	struct args a;
	struct err e;

	(void)state;
	assert_int_equal(args_init(&a, &c, &e), -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(options_stand_anywhere), cmocka_unit_test(expressions_over_several_words),
	    cmocka_unit_test(what_is_wrong_is_said),  cmocka_unit_test(hex_words),
	    cmocka_unit_test(the_rest_is_joined),     cmocka_unit_test(sizes),
	    cmocka_unit_test(too_many_words),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
