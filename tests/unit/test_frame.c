/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The frame around the panes, drawn without a terminal: titles, lines, the command line, the status line, the keys; compared
 * with tests/golden/tui-frame-NAME.txt (KVMSCOPE_GOLDEN=write writes them anew).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "cli/cmd/table.h"
#include "cli/tui/tui_impl.h"
#include "tests/support/golden.h"

static struct session s;
static struct console console; /* whose client it is */
static struct tui t;
static const struct client_ops silent;

/* What cannot differ from one run to the next: no host address, no time. */
static void use_layout(const char *text)
{
	struct err e = {0};

	if (layout_parse(&t.preset[0], text, pane_list, &e))
		fail_msg("%s", e.why);
}

static void size(unsigned rows, unsigned cols)
{
	t.term.rows = rows;
	t.term.cols = cols;
	assert_int_equal(grid_resize(&t.grid, rows, cols), 0);
}

static int setup(void **state)
{
	const struct session_options opt = {.backend = BACKEND_SOFT};

	(void)state;
	if (session_init(&s, &opt, command_table(), NULL) ||
	    session_load(&s, &(struct image_options){.name = "demo:tour"}, NULL))
		return -1;
	client_init(&console.client, &s, &silent);
	memset(&t, 0, sizeof(t));
	t.console = &console;
	t.client = &console.client;
	console.tui = &t;
	collect_init(&t.looks, t.client);
	for (int i = 0; i < TEXT_COUNT; i++) {
		if (scrollback_init(&t.text[i], 100))
			return -1;
		t.looks.scene.text[i] = &t.text[i];
	}
	use_layout("((registers:3 | breakpoints:2):3 / output:1)");
	size(24, 100);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t.pane); i++)
		pane_destroy(t.pane[i]);
	for (int i = 0; i < TEXT_COUNT; i++)
		scrollback_deinit(&t.text[i]);
	grid_deinit(&t.grid);
	collect_deinit(&t.looks);
	client_deinit(&console.client);
	session_deinit(&s);
	return 0;
}

static void look(void)
{
	tui_place(&t);
	collect(&t.looks, tui_needs(&t));
}

static void compare(const char *name)
{
	struct out o;

	tui_place(&t);
	tui_draw(&t);
	out_init(&o, false, 0);
	grid_text_tones(&t.grid, &o);
	assert_false(o.failed);
	compare_golden(name, &o);
	out_deinit(&o);
}

static void print(const char *text)
{
	scrollback_add(&t.text[TEXT_OUTPUT], text, strlen(text), true);
}

static void a_whole_frame(void **state)
{
	(void)state;
	look();
	print("\033[1m(kvmscope) \033[0minfo slots\nid  gpa\n");
	compare("tui-frame");
	layout_focus_next(&t.preset[0], 1);
	snprintf(t.note, sizeof(t.note), "not found: nothing");
	size(14, 60);
	compare("tui-frame-small");
	t.preset[0].zoomed = true;
	t.note[0] = '\0';
	t.term.ascii = t.looks.scene.ascii = true;
	compare("tui-frame-zoomed-ascii");
}

static void too_small(void **state)
{
	(void)state;
	assert_int_not_equal(tui_needs(&t), 0);
	size(11, 60);
	look();
	assert_int_equal(tui_needs(&t), 0);
	compare("tui-frame-too-small");
	size(1, 1);
	compare("tui-frame-one-cell");
}

static void what_the_status_line_says(void **state)
{
	(void)state;
	use_layout("(output / registers:3)");
	size(12, 120);
	look();
	t.looks.scene.seen[SEEN_REGISTERS].live = t.looks.scene.running = true;
	scrollback_add(&t.text[TEXT_CONSOLE], "hello\n", 6, false);
	compare("tui-frame-running");
	t.looks.scene.running = false;
	t.looks.scene.vcpus = 4;
	t.looks.scene.vcpu = 2;
	snprintf(t.progress, sizeof(t.progress), "12.5 %%");
	compare("tui-frame-progress");
}

static void while_a_line_is_typed(void **state)
{
	(void)state;
	size(12, 60);
	look();
	t.editing = true;
	compare("tui-frame-editing");
	assert_true(t.grid.cursor_shown);
	assert_int_equal(t.grid.cursor_row, 10);
	assert_int_equal(t.grid.cursor_col, 1);
	t.editing = false;
	compare("tui-frame-editing-over");
	assert_false(t.grid.cursor_shown);
}

static void the_keys(void **state)
{
	(void)state;
	look();
	t.help = true;
	layout_focus_next(&t.preset[0], 1);
	tui_draw(&t);
	t.help_top = 1000; /* no further than the last one */
	tui_draw(&t);
	assert_true(t.help_top > 0 && t.help_top < 100);
	size(200, 100);
	tui_draw(&t);
	assert_int_equal(t.help_top, 0);
}

/* Every preset in every size: nothing is drawn outside of the grid, which a sanitizer would see. */
static void every_preset_in_every_size(void **state)
{
	static const unsigned sizes[][2] = {{12, 60},  {13, 61},   {17, 97},  {24, 80},
					    {40, 120}, {120, 400}, {12, 400}, {120, 60}};

	(void)state;
	for (int preset = 0; preset < PRESETS; preset++) {
		use_layout(tui_presets[preset].layout);
		for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
			size(sizes[i][0], sizes[i][1]);
			look();
			tui_draw(&t);
		}
	}
}

static void no_vm(void **state)
{
	struct session none;

	(void)state;
	assert_int_equal(session_init(&none, &(struct session_options){.backend = BACKEND_SOFT}, command_table(), NULL), 0);
	t.client->s = &none;
	size(12, 80);
	look();
	compare("tui-frame-no-vm");
	t.client->s = &s;
	session_deinit(&none);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_whole_frame),
	    TEST(too_small),
	    TEST(what_the_status_line_says),
	    TEST(while_a_line_is_typed),
	    TEST(the_keys),
	    TEST(every_preset_in_every_size),
	    TEST(no_vm),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
