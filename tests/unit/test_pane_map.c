/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The memory map's pane: drawn to a grid and compared with golden text, with all of its keys, the mouse, search, the
 * selection; maps of many sizes into grids of many sizes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/machine/machine.h"
#include "tests/support/demo.h"
#include "tests/support/golden.h"
#include "tests/support/mapworld.h"
#include "views/tui/map.h"

#define MiB 0x100000ull
#define GiB 0x40000000ull
#define TiB 0x10000000000ull

struct screen {
	struct mapworld w;
	struct scene s;
	struct grid g;
	struct pane *p;
	struct pane_reply reply;
};

static void draw(struct screen *t)
{
	t->s.map = t->w.map;
	pane_draw(t->p, &t->s, area_whole(&t->g), true);
}

static void open_screen(struct screen *t, unsigned rows, unsigned cols)
{
	t->p = pane_create(&pane_map);
	assert_non_null(t->p);
	assert_int_equal(grid_resize(&t->g, rows, cols), 0);
	if (t->w.seen.slots.n)
		mapworld_look(&t->w);
	draw(t);
}

static void close_screen(struct screen *t)
{
	pane_destroy(t->p);
	grid_deinit(&t->g);
	mapworld_close(&t->w);
}

static unsigned press(struct screen *t, int key)
{
	unsigned did = pane_key(t->p, &t->s, key, &t->reply);

	draw(t);
	return did;
}

static void press_all(struct screen *t, const char *keys)
{
	for (; *keys; keys++)
		press(t, *keys);
}

static const struct map_pane *own(const struct screen *t)
{
	return t->p->own;
}

/* What is on the screen, and what follows the title. */
static void compare(struct screen *t, const char *name)
{
	struct out o;

	out_init(&o, false, 0);
	out_text(&o, "(");
	pane_map.subtitle(t->p, &t->s, &o);
	out_text(&o, ")\n");
	grid_text_tones(&t->g, &o);
	assert_false(o.failed);
	compare_golden(name, &o);
	out_deinit(&o);
}

static bool shows(const struct screen *t, const char *text)
{
	struct out o;

	out_init(&o, false, 0);
	grid_text(&t->g, &o);
	bool has = strstr(o.text, text) != NULL;
	out_deinit(&o);
	return has;
}

static const struct cell *cursor_cell(const struct screen *t)
{
	const struct cell *found = NULL;

	for (unsigned i = 0; i < t->g.rows * t->g.cols; i++)
		if (t->g.cells[i].flags & CELL_REVERSE) {
			assert_true(!found || found + 1 == &t->g.cells[i] ||
				    own(t)->geom.r[own(t)->at.region].kind == GPA_HOLE);
			found = found ? found : &t->g.cells[i];
		}
	assert_non_null(found);
	return found;
}

/* What demo:tour leaves, and one page of every other kind. */
static void every_kind(struct mapworld *w)
{
	mapworld_slot(w, 0, 0, 0x80000, SLOT_LOG_DIRTY, SLOT_VIS_BOTH);
	mapworld_slot(w, 1, 0x80000, 0x10000, SLOT_READONLY, SLOT_VIS_BOTH);
	mapworld_slot(w, 2, 0xa0000, 0x4000, SLOT_SMRAM, SLOT_VIS_SMM);
	mapworld_slot(w, 3, 0x400000, 4 * MiB, 0, SLOT_VIS_NONSMM);
	mapworld_device(w, "scratch", 0xd0000000, 0x1000);
	mapworld_armed(w, 0x50000, 0x2000);
	mapworld_leaf(w, 0xd0000, MAP_MMIO, 1);
	mapworld_leaf(w, 1, MAP_ACCESSED, 1);
	mapworld_leaf(w, 2, MAP_WRITABLE, 1);
	mapworld_leaf(w, 3, MAP_WRITABLE | MAP_DIRTY, 1);
	for (int i = 0; i < 12; i++) {
		mapworld_leaf(w, 0x43, MAP_WRITABLE | MAP_DIRTY, 1);
		if (i < 2)
			mapworld_leaf(w, 0x40, MAP_WRITABLE | MAP_DIRTY, 1);
		if (i < 4)
			mapworld_leaf(w, 0x41, MAP_ACCESSED, 1);
		if (i < 9)
			mapworld_leaf(w, 0x42, MAP_ACCESSED, 1);
	}
	mapworld_leaf(w, 0x80, 0, 1);
	mapworld_leaf(w, 0x81, 0, 1);
	mapworld_leaf(w, 0x600, MAP_WRITABLE | MAP_ACCESSED, 2);
	for (uint64_t gfn = 0x10; gfn < 0x14; gfn++)
		mapworld_table(w, gfn, gfn == 0x13, false);
}

static void log_of_it(struct mapworld *w)
{
	static const uint64_t set[] = {3, 0x40, 0x43};

	mapworld_log(w, 0, 0x80, set, ARRAY_LEN(set));
}

static void open_every_kind(struct screen *t, unsigned rows, unsigned cols)
{
	memset(t, 0, sizeof(*t));
	every_kind(&t->w);
	log_of_it(&t->w);
	open_screen(t, rows, cols);
}

/* ---- golden */

static void in_several_sizes(void **state)
{
	static const struct {
		unsigned rows, cols;
		const char *name;
	} c[] = {{24, 80, "tui-map"}, {12, 40, "tui-map-small"}, {40, 120, "tui-map-large"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		struct screen t;

		open_every_kind(&t, c[i].rows, c[i].cols);
		compare(&t, c[i].name);
		close_screen(&t);
	}
}

static void the_tour(void **state)
{
	struct machine *m = demo_run("demo:tour");
	struct screen t = {0};

	(void)state;
	assert_int_equal(pagemap_look(&t.w.map, m, NULL), 0);
	open_screen(&t, 24, 80);
	assert_true(shows(&t, "readonly"));
	assert_true(shows(&t, "0x80000"));
	compare(&t, "tui-map-tour");
	close_screen(&t);
	machine_destroy(m);
}

static void modes(void **state)
{
	static const char *const name[] = {"tui-map-dirty", "tui-map-rmap", "tui-map-heat"};
	struct screen t;

	(void)state;
	open_every_kind(&t, 24, 80);
	mapworld_forget(&t.w); /* one page is written, one more is mapped, the rest is gone */
	mapworld_leaf(&t.w, 2, MAP_WRITABLE | MAP_DIRTY, 1);
	mapworld_leaf(&t.w, 0x20, MAP_WRITABLE, 1);
	mapworld_leaf(&t.w, 0x20, MAP_WRITABLE, 1);
	mapworld_look(&t.w);
	for (size_t i = 0; i < ARRAY_LEN(name); i++) {
		assert_int_equal(press(&t, 'm'), PANE_HANDLED | PANE_REDRAW);
		compare(&t, name[i]);
	}
	press(&t, 'm');
	assert_int_equal(own(&t)->mode, MAP_MODE_MAPPING);
	close_screen(&t);
}

static void zooms(void **state)
{
	struct screen t;

	(void)state;
	open_every_kind(&t, 24, 80);
	assert_true(pane_search(t.p, &t.s, "slot 3", false));
	draw(&t);
	press_all(&t, "+=");
	compare(&t, "tui-map-in");
	press_all(&t, "+++++");
	assert_int_equal(own(&t)->shift, 0);
	assert_int_equal(press(&t, '+'), PANE_HANDLED);
	press_all(&t, "-_--");
	compare(&t, "tui-map-out");
	press_all(&t, "-------------------");
	assert_int_equal(own(&t)->shift, 10); /* 4 MiB in one cell */
	press(&t, '0');
	assert_false(own(&t)->zoomed);
	close_screen(&t);
}

static void in_ascii(void **state)
{
	struct screen t;

	(void)state;
	open_every_kind(&t, 24, 80);
	t.s.ascii = true;
	draw(&t);
	for (unsigned i = 0; i < t.g.rows * t.g.cols; i++)
		assert_in_range(t.g.cells[i].ch, ' ', '~');
	compare(&t, "tui-map");
	close_screen(&t);
}

static void not_known(void **state)
{
	struct screen t = {0};

	(void)state;
	mapworld_slot(&t.w, 0, 0, 0x20000, SLOT_LOG_DIRTY, SLOT_VIS_BOTH);
	mapworld_armed(&t.w, 0x5000, 0x1000);
	strcpy(t.w.seen.why[MAP_PART_SPTES], "the guest runs, and this host's kernel cannot be read");
	strcpy(t.w.seen.why[MAP_PART_LOG], "the guest runs");
	t.w.seen.live = true;
	t.w.seen.pages.torn = true;
	t.s.now = 5000000000;
	t.s.seen[SEEN_MAP].at = 4997000000;
	open_screen(&t, 12, 80);
	compare(&t, "tui-map-unknown");
	strcpy(t.w.seen.why[MAP_PART_SPTES], "");
	t.s.now += 60000000000;
	press(&t, 'm');
	mapworld_look(&t.w);
	draw(&t);
	compare(&t, "tui-map-unknown-log");
	close_screen(&t);
}

static void no_map_yet(void **state)
{
	struct screen t = {0};

	(void)state;
	open_screen(&t, 5, 40);
	assert_true(shows(&t, "not looked at yet"));
	assert_int_equal(press(&t, TUI_KEY_DOWN), PANE_IGNORED);
	assert_int_equal(press(&t, '+'), PANE_IGNORED);
	assert_false(pane_search(t.p, &t.s, "0x1000", false));
	strcpy(t.s.seen[SEEN_MAP].error, "out of memory");
	draw(&t);
	assert_true(shows(&t, "out of memory"));
	close_screen(&t);
}

static void no_slot(void **state)
{
	struct screen t = {0};

	(void)state;
	mapworld_look(&t.w);
	open_screen(&t, 6, 60);
	compare(&t, "tui-map-no-slot");
	press(&t, TUI_KEY_RIGHT);
	press(&t, ']');
	assert_int_equal(own(&t)->at.region, 0);
	close_screen(&t);
}

static void a_thousand_slots(void **state)
{
	struct screen t = {0};

	(void)state;
	for (uint32_t i = 0; i < 1000; i++)
		mapworld_slot(&t.w, i, i * 0x20000ull, 0x10000, i % 7 ? 0 : SLOT_READONLY, SLOT_VIS_BOTH);
	mapworld_leaf(&t.w, 999 * 0x20, MAP_WRITABLE, 1);
	open_screen(&t, 24, 80);
	assert_true(pane_search(t.p, &t.s, "slot 999", false));
	draw(&t);
	compare(&t, "tui-map-slots");
	press(&t, TUI_KEY_END);
	press(&t, TUI_KEY_HOME);
	assert_int_equal(own(&t)->top, 0);
	for (int i = 0; i < 3000; i++)
		press(&t, ']');
	assert_int_equal(own(&t)->at.region, own(&t)->geom.n - 1);
	for (int i = 0; i < 3000; i++)
		press(&t, '[');
	assert_int_equal(own(&t)->at.region, 0);
	close_screen(&t);
}

/* The legend goes first where there is little room; nothing is drawn outside. */
static void any_size(void **state)
{
	static const unsigned sizes[] = {1, 2, 3, 5, 9, 16, 17, 24, 40, 80, 120, 400};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		for (size_t j = 0; j < ARRAY_LEN(sizes); j++) {
			struct screen t;

			open_every_kind(&t, sizes[i] > 120 ? 120 : sizes[i], sizes[j]);
			for (const char *key = "+++]]]]-m-m-m-ml"; *key; key++)
				press(&t, *key);
			press(&t, TUI_KEY_PAGE_DOWN);
			press(&t, TUI_KEY_END);
			press(&t, TUI_KEY_PAGE_UP);
			close_screen(&t);
		}
}

/* ---- moving about */

static void the_cursor(void **state)
{
	struct screen t;

	(void)state;
	open_every_kind(&t, 24, 80); /* at 4 KiB a cell, 64 in a line */
	for (int i = 0; i < 8; i++)
		press(&t, '+');
	assert_int_equal(own(&t)->geom.cells, 64);
	assert_int_equal(own(&t)->gpa, 0);
	press(&t, TUI_KEY_LEFT);
	assert_int_equal(own(&t)->gpa, 0);
	press(&t, TUI_KEY_RIGHT);
	assert_int_equal(own(&t)->gpa, 0x1000);
	assert_int_equal(cursor_cell(&t)->ch, 'r');
	press(&t, TUI_KEY_DOWN);
	assert_int_equal(own(&t)->gpa, 0x41000);
	assert_int_equal(cursor_cell(&t)->ch, '4');
	assert_true(shows(&t, "0x41000 gfn 0x41 slot 0, 4 sptes, read-only, accessed"));
	press(&t, TUI_KEY_DOWN); /* over the heading of slot 1, which has one line of 16 cells */
	assert_int_equal(own(&t)->gpa, 0x81000);
	press(&t, TUI_KEY_UP);
	assert_int_equal(own(&t)->gpa, 0x41000);
	press(&t, TUI_KEY_UP);
	press(&t, TUI_KEY_UP);
	assert_int_equal(own(&t)->gpa, 0x1000);
	press(&t, ']');
	assert_int_equal(own(&t)->gpa, 0x80000);
	press(&t, TUI_KEY_LEFT);
	assert_int_equal(own(&t)->gpa, 0x7f000);
	press(&t, '[');
	assert_int_equal(own(&t)->gpa, 0);
	press(&t, TUI_KEY_END);
	assert_int_equal(own(&t)->at.region, own(&t)->geom.n - 1);
	press(&t, TUI_KEY_HOME);
	assert_int_equal(own(&t)->gpa, 0);
	press(&t, TUI_KEY_PAGE_DOWN);
	assert_true(own(&t)->gpa >= 0x400000);
	press(&t, TUI_KEY_PAGE_UP);
	assert_int_equal(own(&t)->gpa, 0);
	close_screen(&t);
}

static void keys_that_tell_others(void **state)
{
	struct screen t;

	(void)state;
	open_every_kind(&t, 24, 80);
	assert_true(pane_search(t.p, &t.s, "0x81000", false));
	draw(&t);
	assert_int_equal(press(&t, TUI_KEY_ENTER), PANE_HANDLED | PANE_SELECT | PANE_REDRAW);
	assert_true(t.reply.place.has_gpa && !t.reply.place.has_gva);
	assert_int_equal(t.reply.place.gpa, 0x80000); /* 8 KiB a cell */
	assert_true(press(&t, 'y') & PANE_EDIT);
	assert_string_equal(t.reply.line, "0x80000");
	assert_int_equal(press(&t, 'Q'), PANE_IGNORED);
	close_screen(&t);
}

/* The heading of lines whose own is above the screen stays in the first row. */
static void the_heading_stays(void **state)
{
	struct mouse m = {MOUSE_PRESS, 0, 40};
	struct screen t;

	(void)state;
	open_every_kind(&t, 24, 80);
	press_all(&t, "++++++++");
	assert_true(pane_search(t.p, &t.s, "0x700000", false));
	draw(&t);
	assert_true(map_heading_stays(own(&t)));
	assert_true(shows(&t, "slot 3 0x400000-0x7fffff"));
	assert_true(cursor_cell(&t) >= t.g.cells + t.g.cols);
	pane_mouse(t.p, &t.s, &m, &t.reply); /* no cell is there: the first of the line behind it */
	draw(&t);
	assert_int_equal(own(&t)->at.cell % own(&t)->geom.cells, 0);
	close_screen(&t);
}

static void search(void **state)
{
	static const struct {
		const char *text;
		bool backwards, found;
		uint64_t gpa;
	} c[] = {{"readonly", false, true, 0x80000},	{"SMRAM", false, true, 0xa0000},
		 {"slot 1", false, true, 0x80000},	{"0x401000", false, true, 0x401000},
		 {"scratch", false, true, 0xd0000000},	{"81000", false, true, 0x81000},
		 {"log-dirty", false, true, 0},		{"hole", true, true, 0xd0001000},
		 {"nowhere", false, false, 0xd0001000}, {"slot 77", false, false, 0xd0001000},
		 {"non-smm", true, true, 0x400000}};
	struct screen t;

	(void)state;
	open_every_kind(&t, 24, 80);
	for (int i = 0; i < 8; i++)
		press(&t, '+');
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		assert_int_equal(pane_search(t.p, &t.s, c[i].text, c[i].backwards), c[i].found);
		draw(&t);
		assert_int_equal(own(&t)->gpa, c[i].gpa);
		cursor_cell(&t);
	}
	close_screen(&t);
}

static void the_selection(void **state)
{
	struct screen t;

	(void)state;
	open_every_kind(&t, 24, 80);
	for (int i = 0; i < 8; i++)
		press(&t, '+');
	t.s.sel = (struct place){.has_gpa = true, .gpa = 0x41234};
	t.s.sel_generation++;
	draw(&t);
	assert_int_equal(own(&t)->gpa, 0x41234);
	assert_int_equal(cursor_cell(&t)->ch, '4');
	assert_true(cursor_cell(&t)->flags & CELL_UNDERLINE);
	press(&t, TUI_KEY_RIGHT); /* followed once, not held there */
	assert_int_equal(own(&t)->gpa, 0x42000);
	assert_false(cursor_cell(&t)->flags & CELL_UNDERLINE);
	t.s.sel = (struct place){.has_gva = true, .gva = 0x1000};
	t.s.sel_generation++;
	draw(&t);
	assert_int_equal(own(&t)->gpa, 0x42000);
	close_screen(&t);
}

static void mouse(void **state)
{
	struct screen t;
	struct mouse m = {MOUSE_PRESS, 2, 7 + 0};

	(void)state;
	open_every_kind(&t, 24, 80);
	for (int i = 0; i < 8; i++)
		press(&t, '+');
	m.row = 2;
	m.col = own(&t)->margin + 3;
	assert_true(pane_mouse(t.p, &t.s, &m, &t.reply) & PANE_SELECT);
	assert_int_equal(t.reply.place.gpa, 0x43000);
	draw(&t);
	m.button = MOUSE_WHEEL_DOWN;
	pane_mouse(t.p, &t.s, &m, &t.reply);
	assert_true(own(&t)->gpa > 0x43000);
	m.button = MOUSE_WHEEL_UP;
	pane_mouse(t.p, &t.s, &m, &t.reply);
	press_all(&t, "---");
	m = (struct mouse){MOUSE_DOUBLE, 1, own(&t)->margin};
	assert_int_equal(own(&t)->shift, 3);
	pane_mouse(t.p, &t.s, &m, &t.reply);
	assert_int_equal(own(&t)->shift, 2);
	m = (struct mouse){MOUSE_PRESS, 23, 0}; /* the legend */
	assert_int_equal(pane_mouse(t.p, &t.s, &m, &t.reply), PANE_HANDLED);
	m = (struct mouse){MOUSE_PRESS, 1, 79}; /* behind the last cell: the last one */
	pane_mouse(t.p, &t.s, &m, &t.reply);
	draw(&t);
	cursor_cell(&t);
	close_screen(&t);
}

/* ---- while it changes */

/* A write is a change of its cell, shown by its letter and for one look in bold. */
static void a_write_moves_a_cell(void **state)
{
	struct screen t = {0};

	(void)state;
	mapworld_slot(&t.w, 0, 0, 0x10000, 0, SLOT_VIS_BOTH);
	mapworld_leaf(&t.w, 0, 0, 1);
	open_screen(&t, 10, 60);
	assert_int_equal(cursor_cell(&t)->ch, 'r');
	assert_false(cursor_cell(&t)->flags & CELL_BOLD);
	t.w.seen.pages.v[0].leaves[0].writable = true;
	t.w.seen.pages.v[0].leaves[0].dirty = true;
	mapworld_look(&t.w);
	draw(&t);
	assert_int_equal(cursor_cell(&t)->ch, 'd');
	assert_true(cursor_cell(&t)->flags & CELL_BOLD);
	mapworld_look(&t.w);
	draw(&t);
	assert_int_equal(cursor_cell(&t)->ch, 'd');
	assert_false(cursor_cell(&t)->flags & CELL_BOLD);
	close_screen(&t);
}

/* The cursor's region may go, and keys may come between a look and its drawing. */
static void slots_come_and_go(void **state)
{
	struct screen t;

	(void)state;
	open_every_kind(&t, 24, 80);
	assert_true(pane_search(t.p, &t.s, "slot 2", false)); /* SMRAM */
	draw(&t);
	assert_int_equal(own(&t)->vis, SLOT_VIS_SMM);
	mapworld_slot(&t.w, 9, 0xa0000, 0x1000, 0, SLOT_VIS_NONSMM);
	mapworld_look(&t.w);
	t.s.map = t.w.map;
	assert_int_equal(pane_key(t.p, &t.s, TUI_KEY_RIGHT, &t.reply), PANE_IGNORED);
	draw(&t);
	assert_int_equal(own(&t)->geom.r[own(&t)->at.region].slot, 2);
	t.w.seen.slots.n = 1; /* slot 0 alone */
	mapworld_look(&t.w);
	draw(&t);
	assert_int_equal(own(&t)->geom.r[own(&t)->at.region].kind, GPA_HOLE);
	cursor_cell(&t);
	close_screen(&t);
}

static void one_tib(void **state)
{
	struct screen t = {0};

	(void)state;
	mapworld_spread(&t.w, TiB, 100000);
	open_screen(&t, 40, 120);
	compare(&t, "tui-map-tib");
	for (int i = 0; i < 40; i++)
		press(&t, '+');
	assert_int_equal(own(&t)->shift, 0);
	assert_true(pane_search(t.p, &t.s, "0xfffffff000", false));
	draw(&t);
	assert_int_equal(own(&t)->gpa, TiB - 0x1000);
	cursor_cell(&t);
	close_screen(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(in_several_sizes),
	    cmocka_unit_test(the_tour),
	    cmocka_unit_test(modes),
	    cmocka_unit_test(zooms),
	    cmocka_unit_test(in_ascii),
	    cmocka_unit_test(not_known),
	    cmocka_unit_test(no_map_yet),
	    cmocka_unit_test(no_slot),
	    cmocka_unit_test(a_thousand_slots),
	    cmocka_unit_test(any_size),
	    cmocka_unit_test(the_cursor),
	    cmocka_unit_test(keys_that_tell_others),
	    cmocka_unit_test(the_heading_stays),
	    cmocka_unit_test(search),
	    cmocka_unit_test(the_selection),
	    cmocka_unit_test(mouse),
	    cmocka_unit_test(a_write_moves_a_cell),
	    cmocka_unit_test(slots_come_and_go),
	    cmocka_unit_test(one_tib),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
