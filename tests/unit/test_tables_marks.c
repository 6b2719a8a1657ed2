/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What both sides' page tables disagree about: each kind by a guest on the fake machine that makes it, gva = gpa below
 * 2 MiB, and whatever sptes the test says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/tableguest.h"
#include "tests/support/tablerows.h"

static uint32_t marks_at(const struct table_trees *t, unsigned page)
{
	return rows_at(t, 0x10000 + (page << PAGE_SHIFT)).marks;
}

static struct machine *of_every_kind(void)
{
	static const uint64_t pte[] = {
	    0x20000 | PTE_ALL,		     /* 0: nothing in the host */
	    0x21000 | PTE_ALL,		     /* 1: the same */
	    0,				     /* 2: an spte where nothing is mapped */
	    0x23000 | PTE_ALL,		     /* 3: of another gfn */
	    0x24000 | PTE_P | PTE_U | PTE_A, /* 4: wider: W */
	    0x25000 | (PTE_ALL & ~PTE_U),    /* 5: wider: U */
	    0x26000 | PTE_ALL | PTE_NX,	     /* 6: wider: X */
	    0x27000 | PTE_ALL,		     /* 7: narrower: X */
	    0x28000 | PTE_ALL,		     /* 8: A and D in the guest */
	    0x29000 | PTE_P | PTE_W | PTE_U, /* 9: A and D in the host */
	    0xd0000000 | PTE_ALL,	     /* 10: mmio */
	    0x2b000 | PTE_ALL,		     /* 11: mmio, and memory by now */
	    0xd0001000 | PTE_ALL,	     /* 12: mmio of another gfn */
	    0x2d000 | PTE_ALL,		     /* 13: not writable, nobody knows why */
	};
	struct machine *m = tableguest_create(pte, ARRAY_LEN(pte));

	tableguest_spte(m, 1, 0x11000, 0x21, H_ALL);
	tableguest_spte(m, 1, 0x12000, 0x22, H_ALL);
	tableguest_spte(m, 1, 0x13000, 0x33, H_ALL);
	tableguest_spte(m, 1, 0x14000, 0x24, H_RWX | H_A);
	tableguest_spte(m, 1, 0x15000, 0x25, H_ALL);
	tableguest_spte(m, 1, 0x16000, 0x26, H_ALL);
	tableguest_spte(m, 1, 0x17000, 0x27, H_ALL & ~(unsigned)H_X);
	tableguest_spte(m, 1, 0x18000, 0x28, H_RWX);
	tableguest_spte(m, 1, 0x19000, 0x29, H_ALL);
	for (unsigned k = 10; k < 13; k++) {
		struct spte_info *s = tableguest_spte(m, 1, 0x10000 + k * 0x1000, k == 11 ? 0x2b : 0xd0000, 0);
		s->present = s->leaf = false;
		s->mmio = true;
	}
	tableguest_spte(m, 1, 0x1d000, 0x2d, H_ALL & ~(unsigned)H_W);
	tableguest_spte(m, 1, 0x1e000, 0, 0)->host_own = true;
	return m;
}

static void disagreements(void **state)
{
	struct machine *m = of_every_kind();
	struct table_trees *t = rows_look(m);

	(void)state;
	assert_int_equal(marks_at(t, 0), TREES_GUEST_ONLY);
	assert_int_equal(marks_at(t, 1), 0);
	assert_int_equal(marks_at(t, 2), TREES_STALE);
	assert_int_equal(marks_at(t, 3), TREES_STALE);
	assert_int_equal(marks_at(t, 4), TREES_WIDER);
	assert_int_equal(marks_at(t, 5), TREES_WIDER);
	assert_int_equal(marks_at(t, 6), TREES_WIDER);
	assert_int_equal(marks_at(t, 7), TREES_NARROWER);
	assert_int_equal(marks_at(t, 8), TREES_A_GUEST | TREES_D_GUEST);
	assert_int_equal(marks_at(t, 9), TREES_A_HOST | TREES_D_HOST);
	assert_int_equal(marks_at(t, 10), TREES_MMIO);
	assert_int_equal(marks_at(t, 11), TREES_MMIO | TREES_STALE);
	assert_int_equal(marks_at(t, 12), TREES_MMIO | TREES_STALE);
	assert_int_equal(marks_at(t, 13), TREES_NOT_WRITABLE);
	assert_int_equal(rows_at(t, 0x1d000).why, TREES_WHY_UNKNOWN);
	assert_int_equal(marks_at(t, 14), TREES_HOST_OWN);
	rows_close(m, t);
}

/* The search for those that disagree goes by them, and round neither end. */
static void next_that_disagrees(void **state)
{
	struct machine *m = of_every_kind();
	struct table_trees *t = rows_look(m);
	size_t i;

	(void)state;
	assert_true(trees_next(t, 0, false, TREES_DISAGREE, &i));
	assert_int_equal(i, rows_find(t, 0x12000));
	assert_true(trees_next(t, i, false, TREES_DISAGREE, &i));
	assert_int_equal(i, rows_find(t, 0x13000));
	assert_true(trees_next(t, i, true, TREES_DISAGREE, &i));
	assert_int_equal(i, rows_find(t, 0x12000));
	assert_false(trees_next(t, i, true, TREES_DISAGREE, &i));
	assert_int_equal(i, rows_find(t, 0x12000));
	i = rows_find(t, 0x1d000);
	assert_false(trees_next(t, i, false, TREES_DISAGREE, &i));
	assert_true(trees_next(t, 0, false, TREES_MMIO, &i));
	assert_int_equal(i, rows_find(t, 0x1a000));
	assert_true(trees_next(t, trees_count(t), true, TREES_HOST_OWN, &i));
	assert_int_equal(i, rows_find(t, 0x1e000));
	rows_close(m, t);
}

/* A supervisor with CR0.WP clear writes what its tables forbid: then the spte is its own, without U. */
static void write_protect_off(void **state)
{
	const uint64_t pte[] = {0x20000 | PTE_P | PTE_U | PTE_A | PTE_D};
	struct machine *m = tableguest_create(pte, 1);
	struct table_trees *t;

	(void)state;
	tableguest_spte(m, 1, 0x10000, 0x20, H_ALL & ~(unsigned)H_U);
	t = rows_look(m);
	assert_int_equal(marks_at(t, 0), TREES_WIDER | TREES_NARROWER);
	fake_of(m)->regs[0].cr0 &= ~CR0_WP;
	rows_look_again(&t, m);
	assert_int_equal(marks_at(t, 0), 0);
	rows_close(m, t);
}

static void why_not_writable(void **state)
{
	const uint64_t pte[] = {0x200000 | PTE_ALL, 0x300000 | PTE_ALL, 0x4000 | PTE_ALL, 0x24000 | (PTE_ALL & ~PTE_D),
				0x25000 | PTE_ALL};
	static const enum trees_why why[] = {TREES_WHY_READONLY, TREES_WHY_LOG, TREES_WHY_TABLE, TREES_WHY_CLEAN,
					     TREES_WHY_UNKNOWN};
	struct machine *m = tableguest_create(pte, ARRAY_LEN(pte));
	struct table_trees *t;

	(void)state;
	fake_add_slot(m, 3, 0x200000, 0x10000, SLOT_READONLY);
	fake_add_slot(m, 4, 0x300000, 0x10000, SLOT_LOG_DIRTY);
	fake_of(m)->shadow_pages = (struct shadow_page_list){.v = calloc(2, sizeof(struct shadow_page)), .n = 2};
	assert_non_null(fake_of(m)->shadow_pages.v);
	fake_of(m)->shadow_pages.v[0] = (struct shadow_page){.gfn = 4, .level = 1};
	fake_of(m)->shadow_pages.v[1] = (struct shadow_page){.gfn = 0x25, .level = 1, .direct = true};
	for (unsigned i = 0; i < ARRAY_LEN(pte); i++)
		tableguest_spte(m, 1, 0x10000 + i * 0x1000, pte[i] >> PAGE_SHIFT & 0xfffff,
				H_RWX | H_A | (pte[i] & PTE_D ? (unsigned)H_D : 0))
		    ->writable = false;
	t = rows_look(m);
	for (unsigned i = 0; i < ARRAY_LEN(pte); i++) {
		struct trees_row r = rows_at(t, 0x10000 + i * 0x1000);
		assert_int_equal(r.marks, TREES_NOT_WRITABLE);
		assert_int_equal(r.why, why[i]);
		assert_int_equal(r.slot, i < 2 ? 3 + i : 0);
	}
	rows_close(m, t);
}

/* The guest's large page in small pieces, and two small pages of the guest's in one of the host's. */
static void levels_differ(void **state)
{
	struct machine *m = tableguest_create(NULL, 0);
	struct table_trees *t;
	uint64_t large = 0x40000000 | PTE_ALL | PTE_PS;

	(void)state;
	longguest_poke_word(m, 0x3000 + 8, large);
	longguest_poke_word(m, 0x3000 + 16, 0x5000 | PTE_ALL);
	longguest_poke_word(m, 0x5000, 0x600000 | PTE_ALL);
	longguest_poke_word(m, 0x5000 + 8, 0x601000 | (PTE_ALL & ~PTE_W));
	longguest_poke_word(m, 0x5000 + 16, 0x777000 | PTE_ALL);
	tableguest_spte(m, 2, 0x200000, 0x40000, H_RWX | H_A);
	tableguest_spte(m, 1, 0x200000, 0x40000, H_ALL);
	tableguest_spte(m, 1, 0x201000, 0x40001, H_RWX | H_A);
	tableguest_spte(m, 1, 0x202000, 0x40007, H_ALL);
	tableguest_spte(m, 2, 0x400000, 0x600, H_ALL)->leaf = true;
	t = rows_look(m);
	rows_expect(t, "-0 root 1000\n"
		       "  -0 4/4 2000wux | 2wux\n"
		       "    -0 3/3 3000wux | 3wux\n"
		       "      -0 2/2 4000wux | 4wux (empty)\n"
		       "      -200000 2/2 40000000wux | 40000wux level\n"
		       "         200000 1/1 | 40000wux\n"
		       "         201000 1/1 | 40001wux\n"
		       "         202000 1/1 | 40007wux stale\n"
		       "      -400000 2/2 5000wux | 600wux level\n"
		       "         400000 1/1 600000wux\n"
		       "         401000 1/1 601000ux wider\n"
		       "         402000 1/1 777000wux stale\n");
	rows_close(m, t);
}

/* Sptes of memory of the debugger's own that the guest's tables have no longer, and an entry of the guest's that leads
 * there. */
static void memory_of_the_hosts_own(void **state)
{
	const uint64_t pte[] = {0x20000 | PTE_ALL, 0x21000 | PTE_ALL};
	struct machine *m = tableguest_create(pte, 2);
	struct machine_ops ops = *m->ops;
	struct table_trees *t;

	(void)state;
	ops.slot_list = tableguest_slots_with_own;
	m->ops = &ops;
	tableguest_spte(m, 1, 0x10000, 0xfef00, H_ALL); /* the guest maps memory of its own there: that is stale */
	tableguest_spte(m, 1, 0x11000, 0x21, H_ALL);
	tableguest_spte(m, 1, 0x12000, 0x22, H_ALL);
	tableguest_spte(m, 2, 0x400000, 0xfef05, H_RWX | H_A);
	tableguest_spte(m, 1, 0x400000, 0xfef00, H_X | H_A);
	tableguest_spte(m, 1, 0x401000, 0xfef08, H_X | H_A); /* behind the slot */
	longguest_poke_word(m, 0x3000 + 24, 0xfef03000 | PTE_ALL);
	longguest_poke_word(m, 0x3000 + 32, 0xfef08000 | PTE_ALL);
	t = rows_look(m);
	rows_expect(t, "-0 root 1000\n"
		       "  -0 4/4 2000wux | 2wux\n"
		       "    -0 3/3 3000wux | 3wux\n"
		       "      -0 2/2 4000wux | 4wux\n"
		       "         10000 1/1 20000wux | fef00wux stale\n"
		       "         11000 1/1 21000wux | 21wux\n"
		       "         12000 1/1 | 22wux stale\n"
		       "      -400000 2/2 | fef05wux host-own\n"
		       "         400000 1/1 | fef00x host-own\n"
		       "         401000 1/1 | fef08x stale\n"
		       "      -600000 2/2 fef03000wux guest-only host-own (no memory)\n"
		       "      -800000 2/2 fef08000wux guest-only (no memory)\n");
	m->ops = &fake_ops;
	rows_close(m, t);
}

/* What is no disagreement of leaves: upper entries that point elsewhere than the shadow pages are of. */
static void stale_tables(void **state)
{
	const uint64_t pte[] = {0x20000 | PTE_ALL};
	struct machine *m = tableguest_create(pte, 1);
	struct table_trees *t = rows_look(m);

	(void)state;
	assert_int_equal(rows_at(t, 0x10000).depth, 4);
	fake_of(m)->sptes.v[2].gfn = 0x99;
	rows_look_again(&t, m);
	rows_expect(t, "-0 root 1000\n"
		       "  -0 4/4 2000wux | 2wux\n"
		       "    -0 3/3 3000wux | 3wux\n"
		       "      -0 2/2 4000wux | 99wux stale\n"
		       "         10000 1/1 20000wux guest-only\n");
	longguest_poke_word(m, 0x3000, 0);
	rows_look_again(&t, m);
	rows_expect(t, "-0 root 1000\n"
		       "  -0 4/4 2000wux | 2wux\n"
		       "    -0 3/3 3000wux | 3wux\n"
		       "      -0 2/2 | 99wux stale (empty)\n");
	rows_close(m, t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(disagreements),	       cmocka_unit_test(next_that_disagrees),
	    cmocka_unit_test(write_protect_off),       cmocka_unit_test(why_not_writable),
	    cmocka_unit_test(levels_differ),	       cmocka_unit_test(stale_tables),
	    cmocka_unit_test(memory_of_the_hosts_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
