/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Text that grows: lines put together of pieces, the ring, what a guest or a program may write, and where what came last
 * begins.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "views/tui/scrollback.h"

static struct scrollback b;

static int make(void **state)
{
	(void)state;
	return scrollback_init(&b, 4);
}

static int unmake(void **state)
{
	(void)state;
	scrollback_deinit(&b);
	return 0;
}

static void add(const char *text)
{
	scrollback_add(&b, text, strlen(text), false);
}

static void add_styled(const char *text)
{
	scrollback_add(&b, text, strlen(text), true);
}

/* All lines, '|' between them; '+' behind the last if it has no end yet. */
static void has(const char *want)
{
	char got[1024] = "";

	for (size_t i = 0; i < b.n; i++) {
		strcat(got, i ? "|" : "");
		strcat(got, scrollback_line(&b, i));
	}
	strcat(got, b.open ? "+" : "");
	assert_string_equal(got, want);
}

static void lines_and_pieces(void **state)
{
	(void)state;
	has("");
	add("one\ntwo\n");
	has("one|two");
	add("thr");
	has("one|two|thr+");
	add("ee");
	has("one|two|three+");
	add("\n");
	has("one|two|three");
	add("\n");
	has("one|two|three|");
	assert_string_equal(scrollback_line(&b, 4), "");
	assert_string_equal(scrollback_line(&b, SIZE_MAX), "");
	add("");
	assert_int_equal(b.n, 4);
}

static void the_oldest_are_forgotten(void **state)
{
	(void)state;
	add("1\n2\n3\n4\n5\n");
	has("2|3|4|5");
	assert_int_equal(b.dropped, 1);
	add("6");
	has("3|4|5|6+");
	add("6\n7\n8\n9\n10\n11\n");
	has("8|9|10|11");
	assert_int_equal(b.dropped, 7);
	assert_false(b.full);
}

static void a_ring_of_one(void **state)
{
	struct scrollback one;

	(void)state;
	assert_int_equal(scrollback_init(&one, 1), 0);
	scrollback_add(&one, "a\nb\nc", 5, false);
	assert_int_equal(one.n, 1);
	assert_int_equal(one.dropped, 2);
	assert_string_equal(scrollback_line(&one, 0), "c");
	scrollback_deinit(&one);
	scrollback_deinit(&one); /* twice is once */
}

static void clearing_counts_as_forgetting(void **state)
{
	(void)state;
	add("1\n2\n3");
	scrollback_clear(&b);
	has("");
	assert_int_equal(b.dropped, 3);
	add("4\n");
	has("4");
	assert_int_equal(b.dropped + b.n, 4);
}

static void carriage_returns_end_lines(void **state)
{
	(void)state;
	add("a\r\nb\rc\r\n");
	has("a|b|c");
	add("d\r\r\n"); /* as some programs send it to a terminal that adds one */
	has("b|c|d|");
}

/* A guest writes byte by byte: the two of a newline come one by one. */
static void carriage_return_and_newline_apart(void **state)
{
	(void)state;
	for (const char *s = "ab\r\ncd\r\n\r\n"; *s; s++)
		scrollback_add(&b, s, 1, false);
	has("ab|cd|");
	add("x\r");
	add("y\n");
	has("cd||x|y");
}

static void plain_text_is_made_safe(void **state)
{
	(void)state;
	scrollback_add(&b, "\0a\033[2J\b\x7f\xc2\x9b\xff\n", 12, false);
	has("\\x00a\\x1b[2J\\x08\\x7f???"); /* newlines and tabs stay, nothing else does */
	add("a\tb\n\xc3\xa4\xe2\x94\x80\n");
	assert_string_equal(scrollback_line(&b, 1), "a\tb");
	assert_string_equal(scrollback_line(&b, 2), "\xc3\xa4\xe2\x94\x80");
}

static void a_character_in_two_pieces(void **state)
{
	(void)state;
	add("\xe2");
	add("\x94");
	add("\x80 \xc3");
	add("\xa4\n");
	has("\xe2\x94\x80 \xc3\xa4");
	add("\xc3");
	add("x\xe2\x94");
	add_styled("y\n");
	assert_string_equal(scrollback_line(&b, 1), "?x??y");
}

static void styled_text_keeps_its_styles(void **state)
{
	(void)state;
	add_styled("\033[1mbold\033[0m\nplain");
	has("\033[1mbold\033[0m|plain+");
	add(" and \033[1m\n");
	has("\033[1mbold\033[0m|plain and \\x1b[1m");
}

/* What a script has drawn with colours comes as plain text. */
static void styles_that_a_script_prints(void **state)
{
	static const char text[] = "\033[1mb\033[0m \033[36m0x40\033[0m \033[2J\033[33m\033";

	(void)state;
	add("\033[1mguest\n");
	has("\\x1b[1mguest");
	b.own_styles = true;
	add(text);
	add("\n");
	assert_string_equal(scrollback_line(&b, 1), "\033[1mb\033[0m \033[36m0x40\033[0m \\x1b[2J\033[33m\\x1b");
	for (const char *s = text; *s; s++)
		scrollback_add(&b, s, 1, false);
	add("[4Hx\n");
	assert_string_equal(scrollback_line(&b, 2), "\033[1mb\033[0m \033[36m0x40\033[0m \\x1b[2J\033[33m\\x1b[4Hx");
	add("\033[");
	add_styled("y\n");
	assert_string_equal(scrollback_line(&b, 3), "\\x1b[y");
}

/* One line of 1 MiB is cut into several; nothing of it is lost. */
static void a_long_line(void **state)
{
	const size_t size = 1 << 20;
	char *text = malloc(size);
	struct scrollback l;

	(void)state;
	assert_non_null(text);
	for (int styled = 0; styled < 2; styled++) {
		size_t sum = 0, checked = 0;
		assert_int_equal(scrollback_init(&l, 100), 0);
		for (size_t i = 0; i < size; i++)
			text[i] = (char)('a' + i % 26);
		scrollback_add(&l, text, size, styled);
		scrollback_add(&l, "\nend\n", 5, styled);
		assert_in_range(l.n, 3, 100);
		for (size_t i = 0; i + 1 < l.n; i++)
			for (const char *s = scrollback_line(&l, i); *s; s++, sum++)
				checked += *s == (char)('a' + sum % 26);
		assert_int_equal(sum, size);
		assert_int_equal(checked, size);
		assert_string_equal(scrollback_line(&l, l.n - 1), "end");
		scrollback_deinit(&l);
	}
	free(text);
}

/* The same, as it comes from a guest that never ends its line: in small pieces. */
static void a_long_line_in_pieces(void **state)
{
	char piece[100];

	(void)state;
	memset(piece, 'x', sizeof(piece));
	for (int i = 0; i < 10486; i++)
		scrollback_add(&b, piece, sizeof(piece), false);
	assert_int_equal(b.n, 4);
	assert_true(b.dropped > 4);
	assert_true(b.open);
	for (size_t i = 0; i < b.n; i++)
		assert_true(strlen(scrollback_line(&b, i)) <= 2 << 16);
}

static void the_mark_is_the_next_line(void **state)
{
	(void)state;
	scrollback_mark(&b);
	assert_int_equal(b.mark, 0);
	add("1\n2\n");
	scrollback_mark(&b);
	assert_int_equal(b.mark, 2);
	add("3\n4\n5\n6\n7\n");
	assert_int_equal(b.mark, 2); /* forgotten by now: dropped is 3 */
	scrollback_mark(&b);
	assert_int_equal(b.mark, b.dropped + b.n);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make, unmake)
int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(lines_and_pieces),
	    TEST(the_oldest_are_forgotten),
	    TEST(a_ring_of_one),
	    TEST(clearing_counts_as_forgetting),
	    TEST(carriage_returns_end_lines),
	    TEST(carriage_return_and_newline_apart),
	    TEST(plain_text_is_made_safe),
	    TEST(a_character_in_two_pieces),
	    TEST(styled_text_keeps_its_styles),
	    TEST(styles_that_a_script_prints),
	    TEST(a_long_line),
	    TEST(a_long_line_in_pieces),
	    TEST(the_mark_is_the_next_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
