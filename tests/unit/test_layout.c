/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Dividing the screen: layouts as text, weights, least sizes, the focus, and every size of a screen without overlap or gap.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "views/tui/layout.h"

static const struct pane_ops a = {.name = "a"}, b = {.name = "b"}, c = {.name = "c"}, d = {.name = "d-d"};
static const struct pane_ops *const panes[] = {&a, &b, &c, &d, NULL};

static struct layout parsed(const char *text)
{
	struct layout l;
	struct err e = {0};

	if (layout_parse(&l, text, panes, &e))
		fail_msg("%s: %s", text, e.why);
	return l;
}

static const char *formatted(const struct layout *l)
{
	static char buf[2048];
	struct out o;

	out_init(&o, false, 0);
	layout_format(l, &o);
	assert_true(o.len < sizeof(buf));
	strcpy(buf, o.text);
	out_deinit(&o);
	return buf;
}

static const struct layout_node *node_of(const struct layout *l, const struct pane_ops *ops)
{
	int i = layout_find(l, ops);

	assert_true(i >= 0);
	return &l->node[i];
}

static const char *focused(const struct layout *l)
{
	return l->node[l->focus].ops->name;
}

/* ---- text */

static void texts_survive_the_round_trip(void **state)
{
	static const char *const texts[] = {
	    "a",
	    "a:7",
	    "(a | b)",
	    "(a / b / c)",
	    "((a:5 | b:3):4 / c)",
	    "(a!:2 | b)",
	    "(((a | b) / c:10000):2 | d-d!)",
	    "((((((((a))))))))",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct layout l = parsed(texts[i]);
		assert_string_equal(formatted(&l), texts[i]);
	}
}

static void blanks_and_ones_do_not_matter(void **state)
{
	struct layout l = parsed("  ( a:1|b :3 ):1  ");

	(void)state;
	assert_string_equal(formatted(&l), "(a | b:3)");
	l = parsed("(a|b|a)"); /* the same one twice is two places */
	assert_string_equal(formatted(&l), "(a | b | a)");
}

static void other_texts_are_refused(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
	    {"", "a pane's name"},
	    {" ", "a pane's name"},
	    {"nobody", "a pane's name"},
	    {"(a", "| or /"},
	    {"(a | ", "a pane's name"},
	    {"(a | b / c)", "| or / throughout"},
	    {"a b", "the end"},
	    {"a)", "the end"},
	    {"(a | b))", "the end"},
	    {"()", "a pane's name"},
	    {"(|)", "a pane's name"},
	    {"a:", "a weight"},
	    {"a:0", "a weight"},
	    {"a:-1", "a weight"},
	    {"a:10001", "a weight"},
	    {"a:99999999999999999999", "a weight"},
	    {"a!", "not hidden"},
	    {"(a! | b!)", "not hidden"},
	    {"(((((((((a)))))))))", "fewer brackets"},
	    {"\xff\x1b[2J", "a pane's name"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct layout l = parsed("(c / b)"), before = l;
		struct err e = {0};
		assert_int_equal(layout_parse(&l, cases[i].text, panes, &e), -EINVAL);
		if (!strstr(e.why, cases[i].why))
			fail_msg("'%s': %s", cases[i].text, e.why);
		assert_memory_equal(&l, &before, sizeof(l));
		assert_int_equal(layout_parse(&l, cases[i].text, panes, NULL), -EINVAL);
	}
}

static void as_many_panes_as_there_is_room_for(void **state)
{
	char text[1024] = "(a";
	struct layout l;

	(void)state;
	for (int i = 2; i < LAYOUT_NODES; i++)
		strcat(text, "|b");
	strcat(text, ")");
	l = parsed(text);
	assert_int_equal(l.n, LAYOUT_NODES);
	layout_place(&l, 20, 1000);
	assert_true(l.node[LAYOUT_NODES - 1].placed);
	text[strlen(text) - 1] = '\0';
	strcat(text, "|c)");
	assert_int_equal(layout_parse(&l, text, panes, NULL), -EINVAL);
}

/* ---- places */

static void assert_place(const struct layout_node *n, unsigned row, unsigned col, unsigned rows, unsigned cols)
{
	assert_true(n->placed);
	assert_int_equal(n->row, row);
	assert_int_equal(n->col, col);
	assert_int_equal(n->rows, rows);
	assert_int_equal(n->cols, cols);
}

static void rooms_are_by_weight(void **state)
{
	struct layout l = parsed("((a:3 | b:1):3 / c:1)");

	(void)state;
	layout_place(&l, 40, 80);
	assert_place(node_of(&l, &a), 0, 0, 30, 59); /* and a line between */
	assert_place(node_of(&l, &b), 0, 60, 30, 20);
	assert_place(node_of(&l, &c), 30, 0, 10, 80);
}

static void nobody_gets_less_than_the_least(void **state)
{
	struct layout l = parsed("(a:1000 | b)");

	(void)state;
	layout_place(&l, 10, 40);
	assert_place(node_of(&l, &b), 0, 28, 10, 12);
	l = parsed("(a:1000 / b / c)");
	layout_place(&l, 12, 60);
	assert_place(node_of(&l, &a), 0, 0, 6, 60);
	assert_place(node_of(&l, &b), 6, 0, 3, 60);
	assert_place(node_of(&l, &c), 9, 0, 3, 60);
}

static void where_there_is_no_room_neighbours_get_it(void **state)
{
	struct layout l = parsed("(a / b / c)");

	(void)state;
	layout_place(&l, 8, 60);
	assert_place(node_of(&l, &a), 0, 0, 4, 60);
	assert_place(node_of(&l, &b), 4, 0, 4, 60);
	assert_false(node_of(&l, &c)->placed);
	layout_place(&l, 9, 60);
	assert_place(node_of(&l, &c), 6, 0, 3, 60);
	layout_place(&l, 1, 1);
	assert_place(node_of(&l, &a), 0, 0, 1, 1);
	layout_place(&l, 0, 0);
	assert_false(node_of(&l, &a)->placed);
}

static void the_focus_leaves_a_pane_without_room(void **state)
{
	struct layout l = parsed("(a / b / c)");

	(void)state;
	l.focus = layout_find(&l, &c);
	layout_place(&l, 20, 60);
	assert_string_equal(focused(&l), "c");
	layout_place(&l, 7, 60);
	assert_true(l.node[l.focus].placed);
	assert_string_equal(focused(&l), "a");
}

static void what_is_where(void **state)
{
	struct layout l = parsed("((a:3 | b:1):3 / c:1)");

	(void)state;
	assert_int_equal(layout_at(&l, 0, 0), -1); /* not placed yet */
	layout_place(&l, 40, 80);
	assert_int_equal(layout_at(&l, 0, 0), layout_find(&l, &a));
	assert_int_equal(layout_at(&l, 29, 58), layout_find(&l, &a));
	assert_int_equal(layout_at(&l, 29, 59), -1); /* the line */
	assert_int_equal(layout_at(&l, 29, 60), layout_find(&l, &b));
	assert_int_equal(layout_at(&l, 30, 59), layout_find(&l, &c));
	assert_int_equal(layout_at(&l, 40, 0), -1);
	assert_int_equal(layout_at(&l, 0, 80), -1);
	assert_int_equal(layout_at(&l, UINT32_MAX, UINT32_MAX), -1);
	assert_int_equal(layout_find(&l, &d), -1);
}

/* ---- focus */

static void the_focus_goes_round(void **state)
{
	struct layout l = parsed("((a | b) / c!  / d-d)");

	(void)state;
	layout_place(&l, 40, 80);
	assert_string_equal(focused(&l), "a");
	layout_focus_next(&l, 1);
	assert_string_equal(focused(&l), "b");
	layout_focus_next(&l, 1);
	assert_string_equal(focused(&l), "d-d");
	layout_focus_next(&l, 1);
	assert_string_equal(focused(&l), "a");
	layout_focus_next(&l, -1);
	assert_string_equal(focused(&l), "d-d");
	layout_focus_next(&l, -1);
	assert_string_equal(focused(&l), "b");
}

static void the_first_focus_is_no_hidden_pane(void **state)
{
	struct layout l = parsed("(a! | b)");

	(void)state;
	assert_string_equal(focused(&l), "b");
}

/* ---- hiding, zooming */

static void hiding_and_showing_again(void **state)
{
	struct layout l = parsed("((a | b) / c)");

	(void)state;
	layout_place(&l, 40, 80);
	assert_true(layout_hide(&l));
	assert_string_equal(focused(&l), "b");
	layout_place(&l, 40, 80);
	assert_false(node_of(&l, &a)->placed);
	assert_place(node_of(&l, &b), 0, 0, 20, 80);
	assert_true(layout_hide(&l));
	layout_place(&l, 40, 80);
	assert_place(node_of(&l, &c), 0, 0, 40, 80);
	assert_false(layout_hide(&l)); /* the last one stays */
	assert_false(node_of(&l, &c)->hidden);
	assert_string_equal(formatted(&l), "((a! | b!) / c)");
	layout_show_all(&l);
	layout_place(&l, 40, 80);
	assert_place(node_of(&l, &b), 0, 40, 20, 40);
	assert_string_equal(focused(&l), "c");
}

static void zoomed_is_alone(void **state)
{
	struct layout l = parsed("((a | b) / c)");

	(void)state;
	layout_place(&l, 40, 80);
	layout_focus_next(&l, 1);
	l.zoomed = true;
	layout_place(&l, 40, 80);
	assert_place(node_of(&l, &b), 0, 0, 40, 80);
	assert_false(node_of(&l, &a)->placed);
	assert_int_equal(layout_at(&l, 39, 79), layout_find(&l, &b));
	layout_focus_next(&l, 1);
	layout_place(&l, 40, 80);
	assert_place(node_of(&l, &c), 0, 0, 40, 80);
	l.zoomed = false;
	layout_place(&l, 40, 80);
	assert_place(node_of(&l, &c), 20, 0, 20, 80);
	assert_true(node_of(&l, &a)->placed);
}

/* The next key may come before the screen is divided again: it goes to no pane that is hidden. */
static void hiding_what_is_zoomed(void **state)
{
	struct layout l = parsed("((a | b) / c)");

	(void)state;
	layout_place(&l, 40, 80);
	l.zoomed = true;
	layout_place(&l, 40, 80);
	assert_true(layout_hide(&l));
	assert_false(l.zoomed);
	assert_string_equal(focused(&l), "b");
	layout_place(&l, 40, 80);
	assert_false(node_of(&l, &a)->placed);
	assert_true(node_of(&l, &b)->placed && node_of(&l, &c)->placed);
}

/* ---- growing */

static void growing_by_hundredths(void **state)
{
	struct layout l = parsed("((a:2 | b:2) / c)");

	(void)state;
	assert_true(layout_grow(&l, true, 5));
	assert_string_equal(formatted(&l), "((a:550 | b:450) / c)");
	assert_true(layout_grow(&l, true, -5));
	layout_place(&l, 40, 100);
	assert_in_range(node_of(&l, &a)->cols, 48, 50);
	assert_true(layout_grow(&l, false, 10)); /* rows: a and b together */
	layout_place(&l, 40, 100);
	assert_int_equal(node_of(&l, &a)->rows, 24);
	assert_int_equal(node_of(&l, &a)->rows, node_of(&l, &b)->rows);
}

static void growing_ends_at_both_ends(void **state)
{
	struct layout l = parsed("(a | b)");

	(void)state;
	for (int i = 0; i < 500; i++)
		assert_true(layout_grow(&l, true, 5));
	layout_place(&l, 20, 100);
	assert_int_equal(node_of(&l, &b)->cols, 12);
	for (int i = 0; i < 500; i++)
		assert_true(layout_grow(&l, true, -5));
	layout_place(&l, 20, 100);
	assert_int_equal(node_of(&l, &a)->cols, 11);
	l = parsed(formatted(&l)); /* and it is still a layout */
}

static void a_hidden_pane_keeps_its_share(void **state)
{
	struct layout l = parsed("(a:2 / b:2 / c!:2)");

	(void)state;
	assert_true(layout_grow(&l, false, 10));
	assert_string_equal(formatted(&l), "(a:600 / b:400 / c!:400)");
	l = parsed("(a:10000 / b / c!:10000)");
	assert_true(layout_grow(&l, false, -100));
	l = parsed(formatted(&l));
}

static void nothing_to_grow_into(void **state)
{
	struct layout l = parsed("(a | b)");

	(void)state;
	assert_false(layout_grow(&l, false, 5));
	assert_string_equal(formatted(&l), "(a | b)");
	l = parsed("a");
	assert_false(layout_grow(&l, true, 5));
	l = parsed("(a)");
	assert_false(layout_grow(&l, true, 5));
	assert_false(layout_grow(&l, false, 5));
	l = parsed("(a / b!)"); /* what is hidden is not beside it */
	assert_false(layout_grow(&l, false, 5));
	assert_string_equal(formatted(&l), "(a / b!)");
}

/* ---- every size */

enum { LEAST_ROWS = 10, LEAST_COLS = 60, MOST_ROWS = 118, MOST_COLS = 400 };
static uint8_t owner[MOST_ROWS][MOST_COLS];

static void fill(const struct layout_node *n, unsigned rows, unsigned cols, uint8_t id)
{
	assert_true(n->rows && n->cols && n->row + n->rows <= rows && n->col + n->cols <= cols);
	for (unsigned row = n->row; row < n->row + n->rows; row++)
		for (unsigned col = n->col; col < n->col + n->cols; col++) {
			if (owner[row][col])
				fail_msg("%ux%u: two panes at %u,%u", cols, rows, row, col);
			owner[row][col] = id;
		}
}

/* Between two panes beside each other is one column that is nobody's; there is no other gap. */
static void no_gaps(unsigned rows, unsigned cols)
{
	for (unsigned row = 0; row < rows; row++)
		for (unsigned col = 0; col < cols; col++) {
			if (owner[row][col])
				continue;
			if (!col || col + 1 == cols || !owner[row][col - 1] || !owner[row][col + 1] ||
			    owner[row][col - 1] == owner[row][col + 1])
				fail_msg("%ux%u: a gap at %u,%u", cols, rows, row, col);
		}
}

static void check_size(struct layout *l, unsigned rows, unsigned cols)
{
	layout_place(l, rows, cols);
	for (unsigned row = 0; row < rows; row++)
		memset(owner[row], 0, cols);
	for (int i = 0; i < l->n; i++)
		if (l->node[i].placed)
			fill(&l->node[i], rows, cols, (uint8_t)(i + 1));
	no_gaps(rows, cols);
	assert_true(l->node[l->focus].placed);
}

static void every_size_is_divided(void **state)
{
	static const char *const texts[] = {
	    "((a:3|b:2):3/c:2)",
	    "((a:3|(b:2/c:2):2):3/(a:1|d-d:1):1)",
	    "(((a:3/b:2):1|(c:3/d-d:2):1):4/(a:3|(b:1/c:2):2):2)",
	    "((a:2|b:3|c:2):2/(d-d:1|a:1|(b:2/c:2/d-d:2):1):2/(a:2|b:1):1)",
	    "(a:10000 | b | (c / d-d:10000))",
	    "(a / (b! | c!) / d-d)",
	    "(a|b|c|d-d|a|b|c|d-d|a|b)",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct layout l = parsed(texts[i]);
		for (unsigned rows = LEAST_ROWS; rows <= MOST_ROWS; rows += rows < 40 ? 1 : 13)
			for (unsigned cols = LEAST_COLS; cols <= MOST_COLS; cols += cols < 140 ? 1 : 13)
				check_size(&l, rows, cols);
		check_size(&l, MOST_ROWS, MOST_COLS);
		for (int k = 0; k < l.n; k++)
			assert_true(l.node[k].kind != NODE_PANE || l.node[k].hidden || l.node[k].placed);
	}
}

/* Three and more siblings: each its share of the whole, not of what is left. */
static void shares_of_the_whole(void **state)
{
	struct layout l = parsed("(a | b | c | d-d)");

	(void)state;
	layout_place(&l, 20, 400);
	for (int i = 1; i < l.n; i++)
		assert_int_equal(l.node[i].col, (i - 1) * 100);
	l = parsed("(a:1 / b:2 / c:3)");
	layout_place(&l, 60, 40);
	assert_int_equal(l.node[1].rows, 10);
	assert_int_equal(l.node[2].rows, 20);
	assert_int_equal(l.node[3].rows, 30);
}

/* Whatever weights there are. */
static void any_weights(void **state)
{
	unsigned seed = 4711;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		struct layout l = parsed("((a | b | (c / d-d)) / (a | (b / c / d-d)))");
		for (int i = 0; i < l.n; i++)
			l.node[i].weight = 1 + (unsigned)rand_r(&seed) % 10000;
		check_size(&l, LEAST_ROWS + (unsigned)rand_r(&seed) % 60, LEAST_COLS + (unsigned)rand_r(&seed) % 200);
		l.focus = layout_find(&l, &d);
		for (int k = 0; k < 20; k++)
			layout_grow(&l, rand_r(&seed) & 1, rand_r(&seed) % 31 - 15);
		check_size(&l, LEAST_ROWS + (unsigned)rand_r(&seed) % 60, LEAST_COLS + (unsigned)rand_r(&seed) % 200);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(texts_survive_the_round_trip),
	    cmocka_unit_test(blanks_and_ones_do_not_matter),
	    cmocka_unit_test(other_texts_are_refused),
	    cmocka_unit_test(as_many_panes_as_there_is_room_for),
	    cmocka_unit_test(rooms_are_by_weight),
	    cmocka_unit_test(nobody_gets_less_than_the_least),
	    cmocka_unit_test(where_there_is_no_room_neighbours_get_it),
	    cmocka_unit_test(the_focus_leaves_a_pane_without_room),
	    cmocka_unit_test(what_is_where),
	    cmocka_unit_test(the_focus_goes_round),
	    cmocka_unit_test(the_first_focus_is_no_hidden_pane),
	    cmocka_unit_test(hiding_and_showing_again),
	    cmocka_unit_test(zoomed_is_alone),
	    cmocka_unit_test(hiding_what_is_zoomed),
	    cmocka_unit_test(growing_by_hundredths),
	    cmocka_unit_test(growing_ends_at_both_ends),
	    cmocka_unit_test(a_hidden_pane_keeps_its_share),
	    cmocka_unit_test(nothing_to_grow_into),
	    cmocka_unit_test(every_size_is_divided),
	    cmocka_unit_test(shares_of_the_whole),
	    cmocka_unit_test(any_weights),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
