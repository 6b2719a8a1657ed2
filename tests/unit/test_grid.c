/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The grid that the screens draw into: clipping, characters that are not one column wide, styled text, the two text forms
 * for golden files, and bytes that nobody should have sent.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "views/draw.h"
#include "views/tui/grid.h"

static struct grid g;

static int make(void **state)
{
	(void)state;
	memset(&g, 0, sizeof(g));
	return grid_resize(&g, 4, 10);
}

static int unmake(void **state)
{
	(void)state;
	grid_deinit(&g);
	return 0;
}

static struct area whole(void)
{
	return area_whole(&g);
}

/* The grid's text until the next call. */
static const char *text(void)
{
	static char buf[4096];
	struct out o;

	out_init(&o, false, 0);
	grid_text(&g, &o);
	assert_false(o.failed);
	assert_true(o.len < sizeof(buf));
	strcpy(buf, o.text);
	out_deinit(&o);
	return buf;
}

static const char *tones(void)
{
	static char buf[4096];
	struct out o;

	out_init(&o, false, 0);
	grid_text_tones(&g, &o);
	assert_false(o.failed);
	assert_true(o.len < sizeof(buf));
	strcpy(buf, o.text);
	out_deinit(&o);
	return buf;
}

static const struct cell *at(unsigned row, unsigned col)
{
	return &g.cells[row * g.cols + col];
}

/* ---- grid */

static void a_fresh_grid_is_blank(void **state)
{
	(void)state;
	assert_string_equal(text(), "\n\n\n\n");
	assert_string_equal(tones(), "\n\n\n\n");
	assert_int_equal(at(3, 9)->ch, ' ');
	assert_int_equal(at(3, 9)->tone, TONE_PLAIN);
}

static void resizing_and_clearing(void **state)
{
	(void)state;
	area_text(whole(), 0, 0, TONE_BAD, "gone");
	g.cursor_shown = true;
	assert_int_equal(grid_resize(&g, 2, 3), 0);
	assert_int_equal(g.rows, 2);
	assert_int_equal(g.cols, 3);
	assert_false(g.cursor_shown);
	assert_string_equal(text(), "\n\n");
	area_text(whole(), 1, 0, TONE_BAD, "abcdef");
	assert_string_equal(text(), "\nabc\n");
	g.cursor_shown = true;
	grid_clear(&g);
	assert_string_equal(tones(), "\n\n");
	assert_false(g.cursor_shown);
	assert_int_equal(grid_resize(&g, 0, 0), 0);
	assert_string_equal(text(), "");
	area_clear(whole());
	area_text(whole(), 0, 0, TONE_PLAIN, "nowhere");
	area_row_flags(whole(), 0, CELL_REVERSE);
}

/* ---- areas */

static void parts_are_cut_off_where_they_leave(void **state)
{
	struct area part = area_part(whole(), 1, 2, 2, 4), inner, none;

	(void)state;
	area_text(part, 0, 0, TONE_PLAIN, "abcdefgh");
	area_text(part, 1, 3, TONE_PLAIN, "xyz");
	area_text(part, 2, 0, TONE_PLAIN, "below");
	assert_string_equal(text(), "\n  abcd\n     x\n\n");
	inner = area_part(part, 1, 1, 100, 100);
	assert_int_equal(inner.rows, 1);
	assert_int_equal(inner.cols, 3);
	assert_int_equal(inner.row, 2);
	assert_int_equal(inner.col, 3);
	none = area_part(part, 50, 60, 5, 5);
	assert_int_equal(none.rows, 0);
	assert_int_equal(none.cols, 0);
	area_text(none, 0, 0, TONE_PLAIN, "nothing");
	none = area_part(whole(), 3, 9, UINT32_MAX, UINT32_MAX);
	assert_int_equal(none.rows, 1);
	assert_int_equal(none.cols, 1);
	area_clear(part);
	assert_string_equal(text(), "\n\n\n\n");
}

static void cells_outside_are_not_drawn(void **state)
{
	struct area part = area_part(whole(), 1, 1, 2, 2);

	(void)state;
	area_cell(part, 2, 0, 'r', TONE_PLAIN, 0);
	area_cell(part, 0, 2, 'c', TONE_PLAIN, 0);
	area_cell(part, UINT32_MAX, UINT32_MAX, 'm', TONE_PLAIN, 0);
	assert_string_equal(text(), "\n\n\n\n");
	area_cell(part, 1, 1, 0x2588, TONE_GOOD, CELL_BOLD | CELL_UNDERLINE);
	assert_string_equal(text(), "\n\n  \xe2\x96\x88\n\n");
	assert_int_equal(at(2, 2)->tone, TONE_GOOD);
	assert_int_equal(at(2, 2)->flags, CELL_BOLD | CELL_UNDERLINE);
}

static void clearing_leaves_what_is_around(void **state)
{
	(void)state;
	for (unsigned row = 0; row < 4; row++)
		area_text(whole(), row, 0, TONE_WARN, "0123456789");
	area_clear(area_part(whole(), 1, 2, 2, 3));
	assert_string_equal(text(), "0123456789\n01   56789\n01   56789\n0123456789\n");
	assert_int_equal(at(1, 2)->tone, TONE_PLAIN);
	assert_int_equal(at(1, 1)->tone, TONE_WARN);
}

static void row_flags_are_added_to_a_whole_row(void **state)
{
	struct area part = area_part(whole(), 0, 2, 4, 3);

	(void)state;
	area_cell(part, 1, 0, 'a', TONE_PLAIN, CELL_BOLD);
	area_row_flags(part, 1, CELL_REVERSE);
	area_row_flags(part, 4, CELL_REVERSE);
	assert_int_equal(at(1, 2)->flags, CELL_BOLD | CELL_REVERSE);
	assert_int_equal(at(1, 4)->flags, CELL_REVERSE);
	assert_int_equal(at(1, 5)->flags, 0);
	assert_int_equal(at(1, 1)->flags, 0);
	assert_int_equal(at(2, 2)->flags, 0);
}

/* ---- text */

static void text_gives_the_column_behind_it(void **state)
{
	(void)state;
	assert_int_equal(area_text(whole(), 0, 2, TONE_PLAIN, "abc"), 5);
	assert_int_equal(area_text(whole(), 0, 8, TONE_PLAIN, "long text"), 17);
	assert_int_equal(area_text(whole(), 9, 0, TONE_PLAIN, "ab"), 2);
	assert_int_equal(area_text(whole(), 1, 3, TONE_PLAIN, ""), 3);
	assert_int_equal(area_textf(whole(), 1, 0, TONE_HEAD, "%d of 0x%x", 3, 16), 9);
	assert_int_equal(area_text(whole(), 2, 0, TONE_PLAIN, "\xc3\xa4\xe2\x94\x80"), 2);
	assert_string_equal(text(), "  abc   lo\n3 of 0x10\n\xc3\xa4\xe2\x94\x80\n\n");
}

/* What is not one column wide would move everything behind it. */
static void other_widths_are_question_marks(void **state)
{
	static const struct {
		const char *bytes, *drawn;
	} cases[] = {
	    {"\xe4\xb8\xad", "?"},     /* two columns: CJK */
	    {"\xf0\x9f\x98\x80", "?"}, /* two columns: emoji */
	    {"e\xcc\x81", "e?"},       /* none: a combining accent */
	    {"\xe2\x80\x8b", "?"},     /* none: zero-width space */
	    {"\xef\xbb\xbf", "?"},     /* none: BOM */
	    {"\x01\x1f\x7f\n\r\b", "??????"},
	    {"\xc2\x85\xc2\x9b", "??"}, /* C1: newline, CSI */
	    {"\xff\xfe", "??"},		/* no UTF-8 */
	    {"\xc3", "?"},		/* cut off */
	    {"\xc3"
	     "a",
	     "?a"},
	    {"\xe2\x96", "??"},
	    {"\xc0\xaf", "??"},		  /* overlong */
	    {"\xed\xa0\x80", "???"},	  /* a surrogate */
	    {"\xf4\x90\x80\x80", "????"}, /* behind the last code point */
	    {"\xe2\x94\x80", "\xe2\x94\x80"},
	    {"\033[31m", "?[31m"}, /* a plain text has no styles */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char want[64] = "";
		grid_clear(&g);
		area_text(whole(), 0, 0, TONE_PLAIN, cases[i].bytes);
		strcat(want, cases[i].drawn);
		strcat(want, "\n\n\n\n");
		assert_string_equal(text(), want);
	}
}

static void a_format_longer_than_its_buffer(void **state)
{
	char longer[2000];

	(void)state;
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	area_textf(whole(), 0, 0, TONE_PLAIN, "%s", longer);
	assert_string_equal(text(), "xxxxxxxxxx\n\n\n\n");
}

/* ---- styled text */

static void styled(unsigned row, unsigned col, const char *s, unsigned skip)
{
	area_styled(whole(), row, col, s, strlen(s), skip);
}

static void every_style_becomes_its_tone(void **state)
{
	(void)state;
	for (enum style st = STYLE_PLAIN; st < STYLE_COUNT; st++) {
		struct out o;
		out_init(&o, true, 0);
		out_styled(&o, st, "ab");
		out_text(&o, "c");
		grid_clear(&g);
		area_styled(whole(), 0, 0, o.text, o.len, 0);
		assert_string_equal(text(), "abc\n\n\n\n");
		assert_int_equal(at(0, 0)->tone, st);
		assert_int_equal(at(0, 1)->tone, st);
		assert_int_equal(at(0, 2)->tone, TONE_PLAIN);
		out_deinit(&o);
	}
}

static void skipped_columns_keep_the_tone(void **state)
{
	char s[64];

	(void)state;
	snprintf(s, sizeof(s), "ab%scd" STYLE_CODE_END "ef", style_code_of(STYLE_BAD));
	styled(0, 0, s, 3);
	assert_string_equal(text(), "def\n\n\n\n");
	assert_int_equal(at(0, 0)->tone, TONE_BAD);
	assert_int_equal(at(0, 1)->tone, TONE_PLAIN);
	styled(1, 4, s, 5);
	styled(2, 0, s, 6);
	styled(3, 0, s, 4000000000u);
	assert_string_equal(text(), "def\n    f\n\n\n");
}

static void styled_text_is_cut_off(void **state)
{
	struct area part = area_part(whole(), 1, 2, 1, 4);

	(void)state;
	area_styled(part, 0, 1, "abcdefgh", 8, 0);
	area_styled(part, 1, 0, "below", 5, 0);
	area_styled(part, 0, 90, "beside", 6, 0);
	assert_string_equal(text(), "\n   abc\n\n\n");
	grid_clear(&g);
	area_styled(whole(), 0, 0, "abcdef", 3, 0);
	assert_string_equal(text(), "abc\n\n\n\n");
}

static void tabs_go_to_the_next_stop(void **state)
{
	(void)state;
	assert_int_equal(grid_resize(&g, 4, 30), 0);
	styled(0, 0, "a\tb\t\tc", 0);
	styled(1, 0, "12345678\tx", 0);
	styled(2, 0, "a\tb", 4); /* in the middle of one */
	styled(3, 5, "\tb", 0);	 /* stops count from the text's beginning */
	assert_string_equal(text(), "a       b               c\n12345678        x\n    b\n             b\n");
}

static void other_sequences_are_dropped(void **state)
{
	(void)state;
	styled(0, 0, "a\033[2Jb\033[999;999Hc\033[?25ld", 0);
	styled(1, 0, "\033[31mred\033[0m", 0); /* none of the views' */
	assert_string_equal(text(), "abcd\nred\n\n\n");
	assert_int_equal(at(1, 0)->tone, TONE_PLAIN);
}

static void broken_sequences_do_no_harm(void **state)
{
	(void)state;
	styled(0, 0, "a\033", 0);
	styled(1, 0, "b\033[", 0);
	styled(2, 0, "c\033[1;2", 0);
	styled(3, 0, "d\033]0;x\a", 0); /* a title: no CSI */
	assert_string_equal(text(), "a?\nb?[\nc?[1;2\nd?]0;x?\n");
}

static void text_without_its_sequences(void **state)
{
	char s[] = "a\033[1;2mb\033[0m\033[2Jc\xc3\xa4\033[", none[] = "";

	(void)state;
	text_strip(s);
	assert_string_equal(s, "abc\xc3\xa4\033[");
	text_strip(none);
	assert_string_equal(none, "");
}

/* Whatever comes in, every cell has one printable character, and nothing outside is touched. */
static void hostile_bytes(void **state)
{
	unsigned seed = 12345;

	(void)state;
	assert_int_equal(grid_resize(&g, 6, 40), 0);
	for (int round = 0; round < 3000; round++) {
		char bytes[64];
		size_t n = (size_t)(rand_r(&seed) % 64);
		for (size_t i = 0; i < n; i++)
			bytes[i] = (char)(rand_r(&seed) % 5 ? rand_r(&seed) : "\033[m\t\xe2"[rand_r(&seed) % 5]);
		struct area part = area_part(whole(), 1, 4, 4, (unsigned)rand_r(&seed) % 34);
		area_styled(part, (unsigned)rand_r(&seed) % 6, (unsigned)rand_r(&seed) % 40, bytes, n,
			    (unsigned)rand_r(&seed) % 20);
	}
	for (unsigned row = 0; row < g.rows; row++)
		for (unsigned col = 0; col < g.cols; col++) {
			const struct cell *c = at(row, col);
			bool inside = row >= 1 && row < 5 && col >= 4 && col < 37;
			assert_true(c->ch >= ' ' && c->ch != 0x7f && !(c->ch >= 0x80 && c->ch < 0xa0));
			assert_true(inside || c->ch == ' ');
		}
}

/* ---- for golden text */

static void trailing_blanks_are_left_out(void **state)
{
	(void)state;
	area_text(whole(), 0, 0, TONE_PLAIN, "a  b   ");
	area_text(whole(), 1, 9, TONE_PLAIN, "z");
	assert_string_equal(text(), "a  b\n         z\n\n\n");
	g.cells[2 * 10].ch = 0x10ffff; /* 4 bytes */
	assert_string_equal(text(), "a  b\n         z\n\xf4\x8f\xbf\xbf\n\n");
}

static void tones_stand_below_their_row(void **state)
{
	(void)state;
	area_text(whole(), 0, 0, TONE_PLAIN, "plain");
	area_text(whole(), 1, 0, TONE_BAD, "bad");
	area_text(whole(), 1, 4, TONE_GOOD, "good");
	area_row_flags(area_part(whole(), 2, 2, 1, 2), 0, CELL_REVERSE);
	area_cell(whole(), 3, 1, 'x', TONE_PLAIN, CELL_BOLD);
	assert_string_equal(tones(), "plain\nbad good\n~bbb gggg\n\n~  ##\n x\n~ *\n");
}

static void every_tone_has_its_own_letter(void **state)
{
	(void)state;
	assert_int_equal(tone_letter(TONE_PLAIN), ' ');
	for (unsigned t = 0; t < TONE_COUNT; t++)
		for (unsigned u = 0; u < t; u++)
			assert_int_not_equal(tone_letter(t), tone_letter(u));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make, unmake)
int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_fresh_grid_is_blank),
	    TEST(resizing_and_clearing),
	    TEST(parts_are_cut_off_where_they_leave),
	    TEST(cells_outside_are_not_drawn),
	    TEST(clearing_leaves_what_is_around),
	    TEST(row_flags_are_added_to_a_whole_row),
	    TEST(text_gives_the_column_behind_it),
	    TEST(other_widths_are_question_marks),
	    TEST(a_format_longer_than_its_buffer),
	    TEST(every_style_becomes_its_tone),
	    TEST(skipped_columns_keep_the_tone),
	    TEST(styled_text_is_cut_off),
	    TEST(tabs_go_to_the_next_stop),
	    TEST(other_sequences_are_dropped),
	    TEST(broken_sequences_do_no_harm),
	    TEST(text_without_its_sequences),
	    TEST(hostile_bytes),
	    TEST(trailing_blanks_are_left_out),
	    TEST(tones_stand_below_their_row),
	    TEST(every_tone_has_its_own_letter),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
