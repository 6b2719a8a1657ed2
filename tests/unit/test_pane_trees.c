/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The pane of page tables, drawn to a grid and compared with tests/golden/tui-trees-NAME.txt (KVMSCOPE_GOLDEN=write writes
 * them anew; look at them before they are committed), and its keys.
 */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/debug/tables.h"
#include "tests/support/demo.h"
#include "tests/support/golden.h"
#include "tests/support/tableguest.h"
#include "views/tui/pane.h"

struct screen {
	struct machine *m;
	struct pane *p;
	struct scene s;
	struct grid g;
	struct pane_reply reply;
};

static void look(struct screen *c)
{
	struct err e = {0};

	if (trees_look(&c->s.tables, c->m, 0, &e))
		fail_msg("%s: %s", e.what, e.why);
	c->s.seen[SEEN_TABLES].generation++;
	c->s.seen[SEEN_TABLES].at = 1;
}

static void open_screen(struct screen *c, struct machine *m, unsigned rows, unsigned cols)
{
	*c = (struct screen){.m = m, .p = pane_create(&pane_trees), .s.has_vm = m != NULL};
	assert_non_null(c->p);
	assert_int_equal(grid_resize(&c->g, rows, cols), 0);
	if (m)
		look(c);
}

static void close_screen(struct screen *c)
{
	pane_destroy(c->p);
	grid_deinit(&c->g);
	trees_destroy(c->s.tables);
}

/* The subtitle in the first row, as the title's line would have it; the pane below. */
static void draw(struct screen *c)
{
	struct area all = area_whole(&c->g);
	struct out o;

	grid_clear(&c->g);
	out_init(&o, true, c->g.cols);
	pane_draw(c->p, &c->s, area_part(all, 1, 0, all.rows - 1, all.cols), true);
	c->p->ops->subtitle(c->p, &c->s, &o);
	area_styled(all, 0, 0, o.text, o.len, 0);
	out_deinit(&o);
}

static void compare(struct screen *c, const char *name)
{
	char file[64];
	struct out o;

	draw(c);
	out_init(&o, false, 0);
	grid_text_tones(&c->g, &o);
	snprintf(file, sizeof(file), "tui-trees-%s", name);
	compare_golden(file, &o);
	out_deinit(&o);
}

/* A key as the loop does it: what is wanted is looked at, then all is drawn. */
static unsigned press(struct screen *c, int key)
{
	unsigned did = pane_key(c->p, &c->s, key, &c->reply);

	if (did & PANE_LOOK)
		look(c);
	draw(c);
	return did;
}

static struct trees_row row_under_cursor(struct screen *c)
{
	struct trees_row r = {0};

	assert_true(c->p->cursor >= 1 && trees_row(c->s.tables, c->p->cursor - 1, &r));
	return r;
}

static void run(struct machine *m)
{
	struct stop stop;

	if (machine_run(m, RUN_CONTINUE, 0, 1, &stop, NULL))
		fail_msg("it does not run");
}

/* ---- what it looks like */

static void tour(void **state)
{
	struct machine *m = demo_open("demo:tour");
	struct screen c;

	(void)state;
	open_screen(&c, m, 14, 72);
	compare(&c, "before");
	run(m);
	look(&c);
	compare(&c, "tour");
	assert_int_equal(grid_resize(&c.g, 14, 110), 0);
	compare(&c, "tour-wide");
	c.s.running = c.s.seen[SEEN_TABLES].live = true;
	assert_int_equal(grid_resize(&c.g, 9, 60), 0);
	compare(&c, "small-live");
	close_screen(&c);
	machine_destroy(m);
}

/* One line of each kind. */
static struct machine *all_marks(void)
{
	const uint64_t pte[] = {0x20000 | PTE_ALL,
				0x21000 | PTE_ALL,
				0,
				0x23000 | PTE_ALL,
				0x24000 | PTE_P | PTE_U | PTE_A,
				0x27000 | PTE_ALL,
				0x28000 | PTE_ALL | PTE_G,
				0x29000 | PTE_P | PTE_W | PTE_U,
				0xd0000000 | PTE_ALL,
				0x2b000 | PTE_ALL,
				0x200000 | PTE_ALL,
				0x300000 | PTE_ALL,
				0x2e000 | (PTE_ALL & ~PTE_D)};
	struct machine *m = tableguest_create(pte, ARRAY_LEN(pte));
	const unsigned ro = H_ALL & ~(unsigned)H_W;

	fake_add_slot(m, 3, 0x200000, 0x10000, SLOT_READONLY);
	fake_add_slot(m, 4, 0x300000, 0x10000, SLOT_LOG_DIRTY);
	tableguest_spte(m, 1, 0x11000, 0x21, H_ALL);
	tableguest_spte(m, 1, 0x12000, 0x22, H_ALL);
	tableguest_spte(m, 1, 0x13000, 0x33, H_ALL);
	tableguest_spte(m, 1, 0x14000, 0x24, H_RWX | H_A);
	tableguest_spte(m, 1, 0x15000, 0x27, H_ALL & ~(unsigned)H_X);
	tableguest_spte(m, 1, 0x16000, 0x28, H_RWX);
	tableguest_spte(m, 1, 0x17000, 0x29, H_ALL);
	for (unsigned k = 8; k < 10; k++) {
		struct spte_info *s = tableguest_spte(m, 1, 0x10000 + k * 0x1000, k == 8 ? 0xd0000 : 0x2b, 0);
		s->present = s->leaf = false;
		s->mmio = true;
	}
	tableguest_spte(m, 1, 0x1a000, 0x200, ro);
	tableguest_spte(m, 1, 0x1b000, 0x300, ro);
	tableguest_spte(m, 1, 0x1c000, 0x2e, ro & ~(unsigned)H_D);
	*tableguest_spte(m, 1, 0x1d000, 0, 0) =
	    (struct spte_info){.gva = 0x1d000, .gva_known = true, .level = 1, .host_own = true};
	longguest_poke_word(m, 0x3000 + 8, 0x40000000 | PTE_ALL | PTE_PS);
	longguest_poke_word(m, 0x3000 + 16, 0x7fff000 | PTE_ALL);
	longguest_poke_word(m, 0x3000 + 24, 0x40000007 | PTE_PS | 1ull << 13);
	longguest_poke_word(m, 0x1000 + 8 * 0x1ed, 0x1000 | PTE_ALL);
	tableguest_spte(m, 2, 0x200000, 0x40000, H_RWX | H_A);
	tableguest_spte(m, 1, 0x200000, 0x40000, H_ALL);
	return m;
}

static void marks(void **state)
{
	struct machine *m = all_marks();
	struct screen c;

	(void)state;
	open_screen(&c, m, 28, 126);
	compare(&c, "marks");
	c.s.ascii = true;
	for (size_t i = 0; i < fake_of(m)->sptes.n; i++)
		fake_of(m)->sptes.v[i].torn = true;
	look(&c);
	assert_int_equal(grid_resize(&c.g, 28, 94), 0);
	compare(&c, "ascii-torn");
	close_screen(&c);
	tableguest_destroy(m);
}

static void no_host(void **state)
{
	const uint64_t pte[] = {0x20000 | PTE_ALL};
	struct machine *m = tableguest_create(pte, 1);
	struct screen c;

	(void)state;
	fake_of(m)->no_cap[MACHINE_CAP_SHADOW] = true;
	open_screen(&c, m, 8, 100);
	compare(&c, "no-host");
	fake_of(m)->no_cap[MACHINE_CAP_SHADOW] = false;
	tableguest_spte(m, 1, 0x20000, 0x20, H_ALL);
	longguest_poke_word(m, 0x1000 + 8 * 511, 0x5000 | PTE_P); /* its address is longer than any gpa */
	for (size_t i = 0; i < fake_of(m)->sptes.n; i++)
		fake_of(m)->sptes.v[i].gva_known = false;
	look(&c);
	assert_int_equal(grid_resize(&c.g, 12, 124), 0);
	compare(&c, "tdp");
	fake_of(m)->regs[0].cr0 &= ~CR0_PG;
	spte_list_free(&fake_of(m)->sptes);
	look(&c);
	assert_int_equal(grid_resize(&c.g, 5, 80), 0);
	compare(&c, "no-paging");
	close_screen(&c);
	tableguest_destroy(m);
}

static void nothing(void **state)
{
	struct screen c;

	(void)state;
	open_screen(&c, NULL, 4, 40);
	compare(&c, "no-vm");
	press(&c, ' ');
	press(&c, 'd');
	press(&c, TUI_KEY_DOWN);
	close_screen(&c);
}

/* ---- keys */

static void opening_and_closing(void **state)
{
	const uint64_t pte[] = {0x20000 | PTE_ALL, 0x21000 | PTE_ALL};
	struct machine *m = tableguest_create(pte, 2);
	struct screen c;

	(void)state;
	open_screen(&c, m, 10, 100);
	draw(&c);
	assert_int_equal(c.p->cursor, 1);
	press(&c, TUI_KEY_END);
	assert_int_equal(row_under_cursor(&c).first, 0x11000);
	press(&c, TUI_KEY_LEFT);
	assert_int_equal(row_under_cursor(&c).guest_level, 2);
	assert_true(press(&c, ' ') & PANE_REDRAW);
	assert_false(row_under_cursor(&c).open);
	assert_int_equal(trees_count(c.s.tables), 4);
	assert_true(press(&c, TUI_KEY_RIGHT) & PANE_LOOK);
	assert_true(row_under_cursor(&c).open);
	assert_int_equal(trees_count(c.s.tables), 6);
	assert_false(press(&c, TUI_KEY_RIGHT) & PANE_LOOK);
	press(&c, TUI_KEY_DOWN);
	press(&c, '-');
	assert_int_equal(trees_count(c.s.tables), 2);
	assert_int_equal(row_under_cursor(&c).depth, 1);
	assert_true(press(&c, '*') & PANE_LOOK);
	assert_int_equal(trees_count(c.s.tables), 6);
	press(&c, TUI_KEY_HOME);
	press(&c, TUI_KEY_LEFT);
	assert_int_equal(trees_count(c.s.tables), 1);
	press(&c, TUI_KEY_LEFT);
	assert_int_equal(c.p->cursor, 1);
	close_screen(&c);
	tableguest_destroy(m);
}

static void next_that_disagrees(void **state)
{
	struct machine *m = all_marks();
	struct screen c;
	size_t at;

	(void)state;
	open_screen(&c, m, 10, 100);
	draw(&c);
	press(&c, 'd');
	assert_int_equal(row_under_cursor(&c).first, 0x12000);
	press(&c, 'd');
	assert_int_equal(row_under_cursor(&c).first, 0x13000);
	press(&c, 'D');
	assert_int_equal(row_under_cursor(&c).first, 0x12000);
	press(&c, 'D');
	assert_int_equal(row_under_cursor(&c).first, 0x12000);
	for (at = 0; at != c.p->cursor; press(&c, 'd'))
		at = c.p->cursor;
	assert_int_equal(row_under_cursor(&c).first, 0x1c000);
	close_screen(&c);
	tableguest_destroy(m);
}

static void selecting(void **state)
{
	struct machine *m = tableguest_large(true);
	struct screen c;

	(void)state;
	open_screen(&c, m, 20, 100);
	draw(&c);
	c.s.sel = (struct place){.has_gva = true, .gva = 0x40203123};
	c.s.sel_generation++;
	draw(&c);
	assert_int_equal(row_under_cursor(&c).guest_level, 3); /* as far as it is open */
	assert_true(trees_wants(c.s.tables));
	look(&c);
	draw(&c);
	assert_int_equal(row_under_cursor(&c).first, 0x40203000);
	assert_true(press(&c, TUI_KEY_ENTER) & PANE_SELECT);
	assert_true(c.reply.place.has_gva && c.reply.place.gva == 0x40203000);
	assert_true(c.reply.place.has_gpa && c.reply.place.gpa == 0x20000);
	press(&c, TUI_KEY_LEFT);
	assert_true(press(&c, TUI_KEY_ENTER) & PANE_SELECT);
	assert_true(c.reply.place.has_gva && !c.reply.place.has_gpa);
	c.s.sel = (struct place){.has_gva = true, .gva = 0x1234567800000000}; /* nowhere */
	c.s.sel_generation++;
	draw(&c);
	assert_int_equal(row_under_cursor(&c).first, 0x40200000);
	assert_false(trees_wants(c.s.tables));
	close_screen(&c);
	tableguest_destroy(m);
}

/* The selection was there before the first look. */
static void selected_before(void **state)
{
	struct machine *m = tableguest_large(false);
	struct screen c;

	(void)state;
	open_screen(&c, NULL, 20, 100);
	c.s.sel = (struct place){.has_gva = true, .gva = 0x40203123};
	c.s.sel_generation++;
	draw(&c);
	c.m = m;
	look(&c);
	draw(&c);
	look(&c);
	draw(&c);
	assert_int_equal(row_under_cursor(&c).first, 0x40203000);
	close_screen(&c);
	tableguest_destroy(m);
}

/* Rows come and go above the cursor: it stays at its address. */
static void cursor_stays(void **state)
{
	const uint64_t pte[] = {0x20000 | PTE_ALL, 0x21000 | PTE_ALL, 0x22000 | PTE_ALL};
	struct machine *m = tableguest_create(pte, 3);
	struct screen c;

	(void)state;
	open_screen(&c, m, 20, 100);
	draw(&c);
	press(&c, TUI_KEY_END);
	assert_int_equal(row_under_cursor(&c).first, 0x12000);
	longguest_set_pte(m, 0x11000, 0);
	longguest_set_pte(m, 0x10000, 0);
	look(&c);
	draw(&c);
	assert_int_equal(row_under_cursor(&c).first, 0x12000);
	longguest_set_pte(m, 0x12000, 0);
	look(&c);
	draw(&c);
	assert_int_equal(row_under_cursor(&c).guest_level, 2);
	close_screen(&c);
	tableguest_destroy(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(tour),
	    cmocka_unit_test(marks),
	    cmocka_unit_test(no_host),
	    cmocka_unit_test(nothing),
	    cmocka_unit_test(opening_and_closing),
	    cmocka_unit_test(next_that_disagrees),
	    cmocka_unit_test(selecting),
	    cmocka_unit_test(selected_before),
	    cmocka_unit_test(cursor_stays),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
