/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What all panes of lines share: cursor, paging, scrollbar, columns, search, mouse, selecting, yanking, following the
 * selection; and the panes of text that grows.
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
#include "views/tui/pane.h"
#include "views/tui/scrollback.h"

#define BASE 0x1000u

/* ---- a pane of as many lines as a test wants: line i is about gva 0x1000 + i, but for every fifth */

struct lines {
	size_t n;
	unsigned drawn; /* calls of line() */
	int last_key;	/* that came before pane.c's own */
};
static bool closed;

static struct lines *own(const struct pane *p)
{
	return p->own;
}

static size_t count(const struct pane *p)
{
	return own(p)->n;
}

static void line(struct pane *p, const struct scene *s, size_t i, struct out *o)
{
	own(p)->drawn++;
	out_textf(o, "%s %zu ", s->ascii ? "line" : "Line", i);
	out_styled(o, STYLE_ADDR, "0x%zx", BASE + i);
	out_text(o, i == 7 ? " Seven" : "");
}

static bool place(const struct pane *p, const struct scene *s, size_t i, struct place *out)
{
	(void)p;
	(void)s;
	*out = (struct place){.has_gva = i % 5 != 0, .gva = BASE + i};
	return true;
}

static bool find(const struct pane *p, const struct scene *s, size_t *i)
{
	if (!s->sel.has_gva || s->sel.gva < BASE || s->sel.gva >= BASE + own(p)->n)
		return false;
	*i = (size_t)(s->sel.gva - BASE);
	return true;
}

static unsigned key(struct pane *p, const struct scene *s, int k, struct pane_reply *r)
{
	(void)s;
	(void)r;
	own(p)->last_key = k;
	return k == 'k' ? PANE_HANDLED : PANE_IGNORED; /* its own meaning of k */
}

static void on_close(struct pane *p)
{
	(void)p;
	closed = true;
}

static const struct pane_ops plain = {
    .name = "plain", .size = sizeof(struct lines), .count = count, .line = line, .place = place, .find = find};
static const struct pane_ops headed = {.name = "headed",
				       .size = sizeof(struct lines),
				       .count = count,
				       .line = line,
				       .place = place,
				       .find = find,
				       .key = key,
				       .close = on_close,
				       .header = 1};

static struct scene s;
static struct grid g;
static struct pane *p;
static struct pane_reply reply;

static int setup(void **state)
{
	(void)state;
	s = (struct scene){.has_vm = true};
	memset(&g, 0, sizeof(g));
	p = NULL;
	closed = false;
	return grid_resize(&g, 5, 30);
}

static int teardown(void **state)
{
	(void)state;
	pane_destroy(p);
	grid_deinit(&g);
	return 0;
}

static void draw(void)
{
	grid_clear(&g);
	pane_draw(p, &s, area_whole(&g), true);
}

static void open_pane(const struct pane_ops *ops, size_t n)
{
	p = pane_create(ops);
	assert_non_null(p);
	own(p)->n = n;
	draw();
}

static unsigned press(int k)
{
	reply = (struct pane_reply){.line = ""};
	unsigned did = pane_key(p, &s, k, &reply);

	draw();
	return did;
}

static unsigned click(enum mouse_button button, unsigned row)
{
	struct mouse m = {.button = button, .row = row, .col = 3};

	reply = (struct pane_reply){.line = ""};
	unsigned did = pane_mouse(p, &s, &m, &reply);
	draw();
	return did;
}

/* Cell text of a row, without the scrollbar's column. */
static const char *row(unsigned i)
{
	static char buf[256];
	size_t n = 0;

	for (unsigned col = 0; col + 1 < g.cols; col++)
		buf[n++] = g.cells[i * g.cols + col].ch < 0x80 ? (char)g.cells[i * g.cols + col].ch : '#';
	while (n && buf[n - 1] == ' ')
		n--;
	buf[n] = '\0';
	return buf;
}

/* The row that is reversed, -1 for none. */
static int reversed_row(void)
{
	int found = -1;

	for (unsigned i = 0; i < g.rows; i++)
		if (g.cells[i * g.cols].flags & CELL_REVERSE) {
			assert_int_equal(found, -1);
			found = (int)i;
		}
	return found;
}

/* Rows of the scrollbar: the first and how many; {-1, 0} for none. */
static int bar_from(unsigned *length)
{
	int from = -1;

	*length = 0;
	for (unsigned i = 0; i < g.rows; i++)
		if (g.cells[i * g.cols + g.cols - 1].ch != ' ') {
			from = from < 0 ? (int)i : from;
			(*length)++;
		}
	return from;
}

/* ---- cursor */

static void an_empty_pane(void **state)
{
	unsigned length;

	(void)state;
	open_pane(&headed, 0);
	for (const char *k = "jGky"; *k; k++)
		assert_true(press(*k) & PANE_HANDLED);
	press(TUI_KEY_PAGE_DOWN);
	press(TUI_KEY_UP);
	assert_int_equal(press(TUI_KEY_ENTER), PANE_HANDLED);
	assert_int_equal(reversed_row(), -1);
	assert_int_equal(bar_from(&length), -1);
	click(MOUSE_WHEEL_DOWN, 2);
	click(MOUSE_DOUBLE, 0);
	assert_false(pane_search(p, &s, "line", false));
	own(p)->n = 1; /* the header alone */
	press(TUI_KEY_DOWN);
	assert_string_equal(row(0), "Line 0 0x1000");
	assert_int_equal(reversed_row(), -1);
	assert_int_equal(press(TUI_KEY_ENTER), PANE_HANDLED);
}

static void the_cursor_moves_and_lines_scroll(void **state)
{
	(void)state;
	open_pane(&plain, 12);
	assert_int_equal(reversed_row(), 0);
	press(TUI_KEY_UP);
	assert_int_equal(p->cursor, 0);
	press(TUI_KEY_DOWN);
	press('j');
	assert_int_equal(p->cursor, 2);
	press('k');
	assert_int_equal(p->cursor, 1);
	assert_int_equal(reversed_row(), 1);
	assert_string_equal(row(0), "Line 0 0x1000");
	for (int i = 0; i < 4; i++)
		press(TUI_KEY_DOWN);
	assert_int_equal(p->cursor, 5);
	assert_string_equal(row(0), "Line 1 0x1001");
	assert_int_equal(reversed_row(), 4);
	press('G');
	assert_int_equal(p->cursor, 11);
	assert_string_equal(row(4), "Line 11 0x100b");
	press(TUI_KEY_DOWN);
	assert_int_equal(p->cursor, 11);
	press(TUI_KEY_HOME);
	assert_int_equal(p->cursor, 0);
	press(TUI_KEY_END);
	assert_int_equal(p->cursor, 11);
}

static void pages_are_what_is_shown(void **state)
{
	(void)state;
	open_pane(&headed, 20); /* 4 rows below the header */
	assert_int_equal(p->cursor, 1);
	press(TUI_KEY_PAGE_DOWN);
	assert_int_equal(p->cursor, 5);
	assert_string_equal(row(0), "Line 0 0x1000");
	assert_string_equal(row(4), "Line 5 0x1005");
	press(TUI_KEY_PAGE_DOWN);
	assert_int_equal(p->cursor, 9);
	press(TUI_KEY_PAGE_UP);
	press(TUI_KEY_PAGE_UP);
	assert_int_equal(p->cursor, 1);
	press(TUI_KEY_PAGE_UP);
	assert_int_equal(p->cursor, 1); /* never the header */
	press(TUI_KEY_HOME);
	assert_int_equal(p->cursor, 1);
	press(TUI_KEY_END);
	press(TUI_KEY_PAGE_DOWN);
	assert_int_equal(p->cursor, 19);
}

static void fewer_lines_than_before(void **state)
{
	(void)state;
	open_pane(&headed, 20);
	press(TUI_KEY_END);
	own(p)->n = 6;
	draw();
	assert_int_equal(p->cursor, 5);
	assert_string_equal(row(1), "Line 2 0x1002");
	assert_string_equal(row(4), "Line 5 0x1005");
	own(p)->n = 3; /* all fit: the first is at the top */
	draw();
	assert_string_equal(row(1), "Line 1 0x1001");
	assert_int_equal(reversed_row(), 2);
}

static void a_pane_that_grows_shows_more(void **state)
{
	(void)state;
	open_pane(&plain, 20);
	press(TUI_KEY_END);
	assert_int_equal(grid_resize(&g, 15, 30), 0);
	draw();
	assert_string_equal(row(0), "Line 5 0x1005");
	assert_string_equal(row(14), "Line 19 0x1013");
	assert_int_equal(grid_resize(&g, 1, 30), 0);
	draw();
	assert_string_equal(row(0), "Line 19 0x1013");
}

static void without_focus_no_cursor_is_shown(void **state)
{
	(void)state;
	open_pane(&plain, 3);
	grid_clear(&g);
	pane_draw(p, &s, area_whole(&g), false);
	assert_int_equal(reversed_row(), -1);
	assert_string_equal(row(2), "Line 2 0x1002");
}

static void only_what_is_on_the_screen_is_drawn(void **state)
{
	(void)state;
	open_pane(&headed, 100000);
	own(p)->drawn = 0;
	press(TUI_KEY_END);
	assert_in_range(own(p)->drawn, 5, 6);
	assert_string_equal(row(4), "Line 99999 0x1969f");
}

static void columns_scroll(void **state)
{
	(void)state;
	open_pane(&plain, 3);
	press(TUI_KEY_LEFT);
	assert_string_equal(row(1), "Line 1 0x1001");
	press(TUI_KEY_RIGHT);
	assert_string_equal(row(1), "x1001");
	assert_int_equal(g.cells[g.cols].tone, TONE_ADDR);
	press(TUI_KEY_RIGHT);
	assert_string_equal(row(1), "");
	press(TUI_KEY_LEFT);
	press(TUI_KEY_LEFT);
	press(TUI_KEY_LEFT);
	assert_string_equal(row(1), "Line 1 0x1001");
}

static void keys_of_its_own_come_first(void **state)
{
	(void)state;
	open_pane(&headed, 10);
	press(TUI_KEY_DOWN);
	assert_int_equal(own(p)->last_key, TUI_KEY_DOWN);
	assert_int_equal(p->cursor, 2);
	assert_int_equal(press('k'), PANE_HANDLED);
	assert_int_equal(p->cursor, 2);
	assert_int_equal(press('Q'), PANE_IGNORED);
	assert_int_equal(press(TUI_KEY_F1), PANE_IGNORED);
	pane_destroy(p);
	p = NULL;
	assert_true(closed);
}

/* ---- scrollbar */

static void the_scrollbar_says_where(void **state)
{
	unsigned length;

	(void)state;
	open_pane(&plain, 5); /* all are there: none */
	assert_int_equal(bar_from(&length), -1);
	own(p)->n = 10;
	draw();
	assert_int_equal(bar_from(&length), 0);
	assert_int_equal(length, 2);
	assert_int_equal(g.cells[g.cols - 1].ch, 0x2590);
	press(TUI_KEY_END);
	assert_int_equal(bar_from(&length), 3);
	assert_int_equal(length, 2);
	s.ascii = true;
	draw();
	assert_int_equal(g.cells[4 * g.cols + g.cols - 1].ch, '|');
	own(p)->n = 1000000;
	press(TUI_KEY_END);
	assert_int_equal(bar_from(&length), 4);
	assert_int_equal(length, 1);
	press(TUI_KEY_HOME);
	assert_int_equal(bar_from(&length), 0);
}

static void the_scrollbar_is_below_the_header(void **state)
{
	unsigned length;

	(void)state;
	open_pane(&headed, 9);
	assert_int_equal(bar_from(&length), 1);
	assert_int_equal(length, 2);
	press(TUI_KEY_END);
	assert_int_equal(bar_from(&length), 3);
	assert_int_equal(grid_resize(&g, 5, 7), 0); /* too narrow for one */
	draw();
	assert_int_equal(bar_from(&length), -1);
}

/* Words are wrapped beside the scrollbar, not below it. */
static void no_word_ends_below_the_scrollbar(void **state)
{
	struct pool *pool = pool_create();
	struct value write = v_dict(pool, 2);

	(void)state;
	v_put(pool, &write, "verdict", v_lit("refused"));
	v_put(pool, &write, "why",
	      v_lit("aaaa bbbb cccc dddd eeee ffff gggg hhhh iiii jjjj kkkk llll mmmm nnnn oooo pppp qqqq "
		    "rrrr ssss tttt uuuu vvvv wwww xxxx yyyy zzzz aaaa bbbb cccc dddd eeee ffff"));
	s.sel = (struct place){.has_gva = true, .gva = BASE};
	s.seen[SEEN_WRITE].v = write;
	p = pane_create(&pane_selected);
	assert_non_null(p);
	for (unsigned cols = 24; cols < 34; cols++) {
		unsigned length;
		assert_int_equal(grid_resize(&g, 5, cols), 0);
		draw();
		assert_int_not_equal(bar_from(&length), -1);
		for (unsigned i = 1; i < 5; i++) {
			size_t n = strlen(row(i));
			assert_true(n >= 5 && row(i)[n - 1] == row(i)[n - 4] && row(i)[n - 5] == ' ');
		}
	}
	pool_destroy(pool);
}

/* ---- search */

static void search_goes_on_and_round(void **state)
{
	(void)state;
	open_pane(&headed, 12);
	assert_true(pane_search(p, &s, "line 1", false)); /* 1, 10, 11; the cursor is at 1 */
	assert_int_equal(p->cursor, 10);
	assert_true(pane_search(p, &s, "line 1", false));
	assert_int_equal(p->cursor, 11);
	assert_true(pane_search(p, &s, p->pattern, false));
	assert_int_equal(p->cursor, 1);
	assert_true(pane_search(p, &s, "line 1", true));
	assert_int_equal(p->cursor, 11);
	assert_true(pane_search(p, &s, "line 1", true));
	assert_int_equal(p->cursor, 10);
	draw();
	assert_int_equal(reversed_row(), 3);
	assert_true(pane_search(p, &s, "line 10", true)); /* the only one: where the cursor is */
	assert_int_equal(p->cursor, 10);
	assert_false(pane_search(p, &s, "nowhere", false));
	assert_int_equal(p->cursor, 10);
	assert_string_equal(p->pattern, "nowhere");
	assert_false(pane_search(p, &s, "", false));
}

static void the_header_is_not_found(void **state)
{
	(void)state;
	open_pane(&headed, 3);
	assert_false(pane_search(p, &s, "0x1000", false));
	assert_true(pane_search(p, &s, "0x1002", false));
}

static void case_matters_if_the_text_has_any(void **state)
{
	(void)state;
	open_pane(&plain, 12);
	assert_true(pane_search(p, &s, "seven", false));
	assert_int_equal(p->cursor, 7);
	press(TUI_KEY_HOME);
	assert_true(pane_search(p, &s, "Seven", false));
	assert_int_equal(p->cursor, 7);
	press(TUI_KEY_HOME);
	assert_false(pane_search(p, &s, "SEVEN", false));
	assert_int_equal(p->cursor, 0);
}

static void a_long_pattern(void **state)
{
	char longer[200];

	(void)state;
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	open_pane(&plain, 3);
	assert_false(pane_search(p, &s, longer, false));
	assert_int_equal(strlen(p->pattern), sizeof(p->pattern) - 1);
}

/* ---- selecting */

static void enter_selects_the_line(void **state)
{
	(void)state;
	open_pane(&plain, 12);
	assert_int_equal(press(TUI_KEY_ENTER), PANE_HANDLED); /* line 0 is about nothing */
	press(TUI_KEY_DOWN);
	assert_true(press(TUI_KEY_ENTER) & PANE_SELECT);
	assert_true(reply.place.has_gva);
	assert_int_equal(reply.place.gva, 0x1001);
}

static void y_puts_the_address_into_the_command_line(void **state)
{
	(void)state;
	open_pane(&plain, 12);
	assert_int_equal(press('y'), PANE_HANDLED);
	press(TUI_KEY_DOWN);
	assert_true(press('y') & PANE_EDIT);
	assert_string_equal(reply.line, "0x1001");
}

static void the_cursor_follows_the_selection(void **state)
{
	(void)state;
	open_pane(&plain, 100);
	s.sel = (struct place){.has_gva = true, .gva = BASE + 60};
	s.sel_generation++;
	draw();
	assert_int_equal(p->cursor, 60);
	assert_true(reversed_row() >= 0);
	press(TUI_KEY_UP); /* the same selection does not hold it */
	assert_int_equal(p->cursor, 59);
	s.sel_generation++;
	draw();
	assert_int_equal(p->cursor, 60);
	s.sel.gva = 1; /* not in this pane */
	s.sel_generation++;
	draw();
	assert_int_equal(p->cursor, 60);
}

/* ---- mouse */

static void the_mouse_moves_and_selects(void **state)
{
	(void)state;
	open_pane(&headed, 20);
	assert_true(click(MOUSE_PRESS, 3) & PANE_HANDLED);
	assert_int_equal(p->cursor, 3);
	click(MOUSE_PRESS, 0); /* the header */
	assert_int_equal(p->cursor, 3);
	assert_true(click(MOUSE_DOUBLE, 2) & PANE_SELECT);
	assert_int_equal(reply.place.gva, 0x1002);
	click(MOUSE_WHEEL_DOWN, 4);
	assert_int_equal(p->cursor, 5);
	click(MOUSE_WHEEL_UP, 4);
	assert_int_equal(p->cursor, 2);
	click(MOUSE_WHEEL_UP, 4);
	assert_int_equal(p->cursor, 1);
	press(TUI_KEY_END);
	click(MOUSE_PRESS, 1);
	assert_int_equal(p->cursor, 16);
	own(p)->n = 3;
	draw();
	click(MOUSE_PRESS, 4); /* below the last line */
	assert_int_equal(p->cursor, 2);
	click(MOUSE_DOUBLE, 4000000000u);
	assert_int_equal(p->cursor, 2);
}

/* ---- text that grows */

static struct scrollback text;

static int text_setup(void **state)
{
	int ret = setup(state);

	s.text[TEXT_OUTPUT] = &text;
	return ret ? ret : scrollback_init(&text, 50);
}

static int text_teardown(void **state)
{
	scrollback_deinit(&text);
	return teardown(state);
}

static void add(unsigned from, unsigned to)
{
	char l[32];

	for (unsigned i = from; i <= to; i++) {
		int n = snprintf(l, sizeof(l), "text %u at 0x%x\n", i, i * 16);
		scrollback_add(&text, l, (size_t)n, false);
	}
}

static void open_text(void)
{
	p = pane_create(&pane_output);
	assert_non_null(p);
	draw();
}

static void it_goes_along_with_new_lines(void **state)
{
	(void)state;
	open_text();
	assert_string_equal(row(0), "");
	add(1, 3);
	draw();
	assert_string_equal(row(0), "text 1 at 0x10");
	assert_int_equal(reversed_row(), 2);
	add(4, 20);
	draw();
	assert_string_equal(row(4), "text 20 at 0x140");
	assert_int_equal(p->cursor, 19);
	add(21, 21);
	draw();
	assert_string_equal(row(4), "text 21 at 0x150");
}

static void it_stays_when_the_user_has_moved_up(void **state)
{
	(void)state;
	open_text();
	add(1, 20);
	draw();
	press(TUI_KEY_UP);
	press(TUI_KEY_PAGE_UP);
	char before[32];
	snprintf(before, sizeof(before), "%s", row(0));
	size_t at = p->cursor;
	add(21, 30);
	draw();
	assert_int_equal(p->cursor, at);
	assert_string_equal(row(0), before);
	press(TUI_KEY_END); /* along again */
	add(31, 31);
	draw();
	assert_string_equal(row(4), "text 31 at 0x1f0");
}

static void what_is_read_stays_where_it_is(void **state)
{
	(void)state;
	open_text();
	add(1, 50);
	draw();
	press(TUI_KEY_PAGE_UP);
	press(TUI_KEY_PAGE_UP);
	press(TUI_KEY_DOWN);
	press(TUI_KEY_DOWN);
	char before[32];
	int at = reversed_row();
	snprintf(before, sizeof(before), "%s", row(0));
	for (unsigned i = 51; i < 80; i++) { /* the oldest are forgotten meanwhile */
		add(i, i);
		draw();
		assert_string_equal(row(0), before);
		assert_int_equal(reversed_row(), at);
	}
	add(80, 120); /* and now the line itself */
	draw();
	assert_string_equal(row(0), "text 71 at 0x470");
	assert_int_equal(p->cursor, 0);
}

static void what_is_long_is_shown_from_its_beginning(void **state)
{
	(void)state;
	open_text();
	add(1, 10);
	draw();
	scrollback_mark(&text);
	add(11, 30); /* more than fits */
	draw();
	assert_string_equal(row(0), "text 11 at 0xb0");
	assert_int_equal(reversed_row(), 0);
	scrollback_mark(&text);
	add(31, 33);
	draw();
	assert_string_equal(row(4), "text 33 at 0x210");
}

/* What is longer than all that is kept has no beginning any more. */
static void what_is_very_long_is_shown_at_its_end(void **state)
{
	(void)state;
	open_text();
	scrollback_mark(&text);
	add(1, 200);
	draw();
	assert_string_equal(row(4), "text 200 at 0xc80");
	add(201, 300);
	draw();
	assert_string_equal(row(4), "text 300 at 0x12c0");
}

static void a_line_without_end_is_shown(void **state)
{
	(void)state;
	open_text();
	add(1, 3);
	draw();
	scrollback_add(&text, "login: ", 7, false);
	draw();
	assert_string_equal(row(3), "login:");
	scrollback_add(&text, "root", 4, false);
	draw();
	assert_string_equal(row(3), "login: root");
}

static void addresses_in_text_can_be_selected(void **state)
{
	(void)state;
	open_text();
	add(3, 3);
	scrollback_add(&text, "gfn 0x40 is mapped\nnothing\n", 27, false);
	draw();
	press(TUI_KEY_HOME);
	assert_true(press(TUI_KEY_ENTER) & PANE_SELECT);
	assert_true(reply.place.has_gva && reply.place.gva == 0x30);
	press(TUI_KEY_DOWN);
	assert_true(press(TUI_KEY_ENTER) & PANE_SELECT);
	assert_true(reply.place.has_gpa && reply.place.gpa == 0x40000 && !reply.place.has_gva);
	press('y');
	assert_string_equal(reply.line, "0x40000");
	press(TUI_KEY_DOWN);
	assert_int_equal(press(TUI_KEY_ENTER), PANE_HANDLED);
}

static void clearing_under_a_pane(void **state)
{
	(void)state;
	open_text();
	add(1, 30);
	draw();
	scrollback_clear(&text);
	draw();
	assert_string_equal(row(0), "");
	add(31, 32);
	draw();
	assert_string_equal(row(1), "text 32 at 0x200");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define TEXT(f) cmocka_unit_test_setup_teardown(f, text_setup, text_teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(an_empty_pane),
	    TEST(the_cursor_moves_and_lines_scroll),
	    TEST(pages_are_what_is_shown),
	    TEST(fewer_lines_than_before),
	    TEST(a_pane_that_grows_shows_more),
	    TEST(without_focus_no_cursor_is_shown),
	    TEST(only_what_is_on_the_screen_is_drawn),
	    TEST(columns_scroll),
	    TEST(keys_of_its_own_come_first),
	    TEST(the_scrollbar_says_where),
	    TEST(the_scrollbar_is_below_the_header),
	    TEST(no_word_ends_below_the_scrollbar),
	    TEST(search_goes_on_and_round),
	    TEST(the_header_is_not_found),
	    TEST(case_matters_if_the_text_has_any),
	    TEST(a_long_pattern),
	    TEST(enter_selects_the_line),
	    TEST(y_puts_the_address_into_the_command_line),
	    TEST(the_cursor_follows_the_selection),
	    TEST(the_mouse_moves_and_selects),
	    TEXT(it_goes_along_with_new_lines),
	    TEXT(it_stays_when_the_user_has_moved_up),
	    TEXT(what_is_read_stays_where_it_is),
	    TEXT(what_is_long_is_shown_from_its_beginning),
	    TEXT(what_is_very_long_is_shown_at_its_end),
	    TEXT(a_line_without_end_is_shown),
	    TEXT(addresses_in_text_can_be_selected),
	    TEXT(clearing_under_a_pane),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
