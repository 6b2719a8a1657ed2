/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The selected address on the soft machine: its other side, found both ways, and what was selected before.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "core/debug/selection.h"
#include "tests/support/demo.h"
#include "tests/support/softguest.h"

static struct selection sel;

static int setup(void **state)
{
	(void)state;
	sel = (struct selection){0};
	return 0;
}

static void choose_gva(struct machine *m, uint64_t gva)
{
	selection_choose(&sel, m, 0, &(struct place){.has_gva = true, .gva = gva});
}

static void choose_gpa(struct machine *m, uint64_t gpa)
{
	selection_choose(&sel, m, 0, &(struct place){.has_gpa = true, .gpa = gpa});
}

static void is(bool has_gva, uint64_t gva, bool has_gpa, uint64_t gpa)
{
	assert_int_equal(sel.at.has_gva, has_gva);
	assert_int_equal(sel.at.has_gpa, has_gpa);
	if (has_gva)
		assert_int_equal(sel.at.gva, gva);
	if (has_gpa)
		assert_int_equal(sel.at.gpa, gpa);
}

/* ---- the other side */

static void both_sides_on_the_tour(void **state)
{
	struct machine *m = demo_run("demo:tour");

	(void)state;
	choose_gva(m, 0x240123);
	is(true, 0x240123, true, 0x40123);
	choose_gva(m, 0x250008); /* the alias */
	is(true, 0x250008, true, 0x40008);
	choose_gva(m, 0x300000); /* not mapped */
	is(true, 0x300000, false, 0);
	choose_gva(m, 0x8000000000000000); /* not canonical */
	is(true, 0x8000000000000000, false, 0);
	choose_gpa(m, 0x40456); /* two gvas: one of them, at the same offset */
	assert_true(sel.at.has_gva && (sel.at.gva == 0x240456 || sel.at.gva == 0x250456));
	assert_int_equal(sel.at.gpa, 0x40456);
	choose_gpa(m, 0x7f000); /* nobody maps it */
	is(false, 0, true, 0x7f000);
	choose_gpa(m, 0xd0000); /* no slot */
	assert_true(sel.at.has_gpa && sel.at.gpa == 0xd0000);
	choose_gpa(m, UINT64_MAX);
	is(false, 0, true, UINT64_MAX);
	machine_destroy(m);
}

static void both_told_are_both_kept(void **state)
{
	struct machine *m = demo_run("demo:tour");

	(void)state;
	selection_choose(&sel, m, 0, &(struct place){.has_gva = true, .has_gpa = true, .gva = 0x240000, .gpa = 0x12345});
	is(true, 0x240000, true, 0x12345); /* a row of both sides says what it says */
	machine_destroy(m);
}

static void without_a_machine_nothing_is_found(void **state)
{
	(void)state;
	choose_gva(NULL, 0x240000);
	is(true, 0x240000, false, 0);
	choose_gpa(NULL, 0x40000);
	is(false, 0, true, 0x40000);
	assert_true(selection_step(&sel, NULL, 0, -1));
	is(true, 0x240000, false, 0);
	selection_refresh(&sel, NULL, 0);
	is(true, 0x240000, false, 0);
}

static void a_vcpu_that_is_not_there(void **state)
{
	struct machine *m = demo_run("demo:tour");

	(void)state;
	selection_choose(&sel, m, 99, &(struct place){.has_gva = true, .gva = 0x240000});
	is(true, 0x240000, false, 0);
	machine_destroy(m);
}

/* ---- found anew */

enum { PT = CR3 + 0x3000 };

static void tables_that_changed(void **state)
{
	struct cpu c;
	unsigned generation;

	(void)state;
	cpu_open(&c, LONG, 0);
	choose_gva(c.m, 0x5123);
	is(true, 0x5123, true, 0x5123);
	generation = sel.generation;
	cpu_poke64(&c, PT + 5 * 8, 0x9000 | 7);
	is(true, 0x5123, true, 0x5123); /* nobody has looked */
	selection_refresh(&sel, c.m, 0);
	is(true, 0x5123, true, 0x9123);
	assert_int_not_equal(sel.generation, generation);
	cpu_poke64(&c, PT + 5 * 8, 0);
	selection_refresh(&sel, c.m, 0);
	is(true, 0x5123, false, 0);
	cpu_poke64(&c, PT + 5 * 8, 0x6000 | 7);
	selection_refresh(&sel, c.m, 0);
	is(true, 0x5123, true, 0x6123);
	assert_int_equal(sel.n_past, 1); /* not chosen again */
	cpu_close(&c);
}

/* What was told stays what it is, only its other side is another one. */
static void a_gpa_whose_gva_changed(void **state)
{
	struct cpu c;

	(void)state;
	cpu_open(&c, LONG, 0);
	/* mov al, [0x6010]; hlt */
	assert_int_equal(RUN(&c, "\x8a\x04\x25\x10\x60\x00\x00"), STOP_HLT);
	choose_gpa(c.m, 0x6010);
	is(true, 0x6010, true, 0x6010);
	cpu_poke64(&c, PT + 6 * 8, 0x3000 | 7);
	cpu_poke64(&c, PT + 7 * 8, 0x6000 | 7);
	c.r.rip = CODE;
	cpu_set(&c, REGS_GPR);
	/* invlpg [0x6000]; mov al, [0x7010]; hlt */
	assert_int_equal(RUN(&c, "\x0f\x01\x3c\x25\x00\x60\x00\x00\x8a\x04\x25\x10\x70\x00\x00"), STOP_HLT);
	selection_refresh(&sel, c.m, 0);
	is(true, 0x7010, true, 0x6010);
	cpu_close(&c);
}

static void nothing_selected_stays_nothing(void **state)
{
	struct machine *m = demo_run("demo:tour");

	(void)state;
	selection_refresh(&sel, m, 0);
	is(false, 0, false, 0);
	assert_int_equal(sel.generation, 0);
	assert_false(selection_step(&sel, m, 0, -1));
	assert_false(selection_step(&sel, m, 0, 1));
	machine_destroy(m);
}

/* ---- back and forward */

static void back_and_forward(void **state)
{
	struct machine *m = demo_run("demo:tour");
	unsigned generation;

	(void)state;
	choose_gva(m, 0x240000);
	choose_gva(m, 0x300000);
	choose_gpa(m, 0x80000);
	assert_false(selection_step(&sel, m, 0, 1));
	generation = sel.generation;
	assert_true(selection_step(&sel, m, 0, -1));
	assert_int_not_equal(sel.generation, generation);
	is(true, 0x300000, false, 0);
	assert_true(selection_step(&sel, m, 0, -1));
	is(true, 0x240000, true, 0x40000);
	generation = sel.generation;
	assert_false(selection_step(&sel, m, 0, -1));
	assert_int_equal(sel.generation, generation);
	assert_true(selection_step(&sel, m, 0, 1));
	assert_true(selection_step(&sel, m, 0, 1));
	assert_int_equal(sel.at.gpa, 0x80000);
	machine_destroy(m);
}

static void choosing_forgets_what_was_ahead(void **state)
{
	(void)state;
	choose_gva(NULL, 1);
	choose_gva(NULL, 2);
	choose_gva(NULL, 3);
	selection_step(&sel, NULL, 0, -1);
	selection_step(&sel, NULL, 0, -1);
	choose_gva(NULL, 4);
	assert_false(selection_step(&sel, NULL, 0, 1));
	assert_true(selection_step(&sel, NULL, 0, -1));
	is(true, 1, false, 0);
}

static void the_same_again_is_no_other(void **state)
{
	unsigned generation;

	(void)state;
	choose_gva(NULL, 1);
	choose_gva(NULL, 2);
	generation = sel.generation;
	choose_gva(NULL, 2);
	assert_int_equal(sel.n_past, 2);
	assert_int_not_equal(sel.generation, generation); /* looked at anew all the same */
	choose_gpa(NULL, 2);
	assert_int_equal(sel.n_past, 3);
}

static void a_ring_of_64(void **state)
{
	(void)state;
	for (uint64_t i = 1; i <= 200; i++) {
		choose_gva(NULL, i);
		is(true, i, false, 0);
	}
	assert_int_equal(sel.n_past, SELECTIONS_KEPT);
	for (unsigned i = 1; i < SELECTIONS_KEPT; i++)
		assert_true(selection_step(&sel, NULL, 0, -1));
	is(true, 137, false, 0);
	assert_false(selection_step(&sel, NULL, 0, -1));
	choose_gva(NULL, 1000); /* in the middle of a full one */
	assert_int_equal(sel.n_past, 2);
	assert_true(selection_step(&sel, NULL, 0, -1));
	is(true, 137, false, 0);
}

#define TEST(f) cmocka_unit_test_setup(f, setup)
int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(both_sides_on_the_tour),
	    TEST(both_told_are_both_kept),
	    TEST(without_a_machine_nothing_is_found),
	    TEST(a_vcpu_that_is_not_there),
	    TEST(tables_that_changed),
	    TEST(a_gpa_whose_gva_changed),
	    TEST(nothing_selected_stays_nothing),
	    TEST(back_and_forward),
	    TEST(choosing_forgets_what_was_ahead),
	    TEST(the_same_again_is_no_other),
	    TEST(a_ring_of_64),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
