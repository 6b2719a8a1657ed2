/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Both sides' page tables as one tree of rows: what is open at first, all paging modes, hostile tables, refreshing, and
 * 100,000 rows.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/demo.h"
#include "tests/support/softguest.h"
#include "tests/support/tableguest.h"
#include "tests/support/tablerows.h"

static void ok(int rc, const struct err *e)
{
	if (rc)
		fail_msg("%s: %s", e->what, e->why);
}

/* ---- demo:tour on the soft machine */

static void run(struct machine *m)
{
	struct stop stop;
	struct err e = {0};

	ok(machine_run(m, RUN_CONTINUE, 0, 1, &stop, &e), &e);
}

/* All of it is little: it is open without anybody's doing. */
static void tour(void **state)
{
	struct machine *m = demo_open("demo:tour");
	struct table_trees *t = rows_look(m);

	(void)state;
	rows_expect(t, "-0 root 10000\n"
		       "  -0 4/0 11000wux guest-only\n"
		       "    -0 3/0 12000wux guest-only\n"
		       "      -200000 2/0 13000wux guest-only\n"
		       "         200000 1/0 1000wux guest-only\n"
		       "         240000 1/0 40000wux guest-only\n"
		       "         250000 1/0 40000wux guest-only\n"
		       "         260000 1/0 d0000000wux guest-only\n"
		       "         280000 1/0 80000wux guest-only\n"
		       "         290000 1/0 81000wux guest-only\n");
	assert_int_equal(trees_about(t)->sptes, 0);
	run(m);
	rows_look_again(&t, m);
	rows_expect(t, "-0 root 10000\n"
		       "  -0 4/4 11000wux | 11wux\n"
		       "    -0 3/3 12000wux | 12wux\n"
		       "      -200000 2/2 13000wux | 13wux\n"
		       "         200000 1/1 1000wux | 1ux not-writable:clean\n"
		       "         240000 1/1 40000wux | 40wux\n"
		       "         250000 1/1 40000wux | 40wux\n"
		       "         260000 1/1 d0000000wux guest-only\n"
		       "         280000 1/1 80000wux | 80ux not-writable:readonly d-guest\n"
		       "         290000 1/1 81000wux | 81ux not-writable:readonly\n");
	assert_true(trees_about(t)->has_root);
	assert_int_equal(trees_about(t)->root_gfn, 0x10);
	rows_check_numbers(t);
	trees_destroy(t);
	machine_destroy(m);
}

/* Its tables are more than a screen: the way to the instruction is open, and nothing else. */
static void way_to_the_instruction(void **state)
{
	struct machine *m = demo_open("demo:rmap");
	struct table_trees *t;
	struct trees_row r;

	(void)state;
	run(m);
	t = rows_look(m);
	for (size_t i = 0; trees_row(t, i, &r); i++)
		if (r.open && r.depth)
			assert_true(r.first <= 0x200000 && r.last >= 0x200000);
	assert_int_equal(rows_at(t, 0x200000).depth, 4);
	rows_check_numbers(t);
	trees_destroy(t);
	machine_destroy(m);
}

/* ---- 32-bit tables on the soft machine, whose own have other levels */

enum { TOP = 0x20000, LEAVES = 0x21000, SECOND = 0x22000 };

/* Pages below 1 MiB where they are, a large page from 0x400000 on that maps gpa 0. */
static void poke_tables(struct cpu *c, bool pae)
{
	unsigned size = pae ? 8 : 4;

	for (uint64_t i = 0; i < MiB >> PAGE_SHIFT; i++)
		cpu_poke(c, LEAVES + i * size, &(uint64_t){i << PAGE_SHIFT | 7}, size);
	cpu_poke(c, TOP, &(uint64_t){pae ? SECOND | 1 : LEAVES | 7}, size);
	cpu_poke(c, pae ? SECOND : TOP, &(uint64_t){LEAVES | 7}, size);
	cpu_poke(c, pae ? SECOND + 16 : TOP + 4, &(uint64_t){0x87}, size);
}

/* It writes a page, reads a table of its own (its top one) and the second page of the large one. */
static void run_paged(struct cpu *c, bool pae)
{
	cpu_open(c, PROT, 0);
	poke_tables(c, pae);
	c->r.cr3 = TOP;
	c->r.cr0 |= CR0_PG;
	c->r.cr4 |= pae ? CR4_PAE : CR4_PSE;
	c->r.gpr[RBX] = 0x30000;
	c->r.gpr[RSI] = 0x401000;
	c->r.gpr[RDI] = pae ? SECOND : TOP;
	cpu_set(c, REGS_GPR | REGS_SYS);
	assert_int_equal(RUN(c, "\x89\x03\x8b\x0e\x8b\x17"), STOP_HLT);
}

static void soft_32bit(void **state)
{
	(void)state;
	for (int pae = 0; pae < 2; pae++) {
		struct table_trees *t;
		struct trees_row r;
		struct cpu c;

		run_paged(&c, pae);
		t = rows_look(c.m);
		assert_int_equal(trees_about(t)->mode, pae ? PAGING_PAE : PAGING_32BIT);
		assert_true(trees_about(t)->has_root);
		assert_int_equal(trees_about(t)->root_gfn, TOP >> PAGE_SHIFT);
		trees_open_all(t, 0);
		rows_look_again(&t, c.m);
		for (size_t i = 0; trees_row(t, i, &r); i++)
			assert_false(r.marks & (TREES_STALE | TREES_WIDER | TREES_NARROWER | TREES_RESERVED));
		r = rows_at(t, 0x30000);
		assert_true(r.spte && r.spte->gfn == 0x30 && !r.marks);
		assert_int_equal(rows_at(t, CODE).why, TREES_WHY_CLEAN);
		r = rows_at(t, pae ? SECOND : TOP);
		assert_true((r.marks & TREES_NOT_WRITABLE) && r.why == TREES_WHY_TABLE);
		r = rows_at(t, 0x401000);
		assert_true(r.spte && r.spte->gfn == 1 && r.guest_leaf && !r.has_guest);
		rows_check_numbers(t);
		trees_destroy(t);
		cpu_close(&c);
	}
}

/* ---- modes */

static struct machine *mode_guest(uint64_t cr0, uint64_t cr4, uint64_t efer)
{
	struct machine *m = longguest_create(1, 0);
	struct regs *r = &fake_of(m)->regs[0];

	r->cr0 = cr0 | CR0_PE;
	r->cr4 = cr4;
	r->efer = efer;
	r->cr3 = 0x100000;
	return m;
}

static void poke32(struct machine *m, uint64_t gpa, uint32_t v)
{
	longguest_poke(m, gpa, &v, 4);
}

/* Entries of 4 MiB and 4 KiB beside sptes of 1 GiB, 2 MiB and 4 KiB. */
static void paging_32bit(void **state)
{
	struct machine *m = mode_guest(CR0_PG | CR0_WP, CR4_PSE, 0);
	struct table_trees *t;

	(void)state;
	poke32(m, 0x100000 + 4 * 0x300, 0x101000 | 0x67);
	poke32(m, 0x100000 + 4 * 0x301, 0x800000 | 0xe7);
	poke32(m, 0x101000, 0x20067);
	poke32(m, 0x101000 + 4 * 0x200, 0x21067);
	t = rows_look(m);
	rows_expect(t, "-0 root 100000\n"
		       "  -c0000000 2/0 101000wux guest-only\n"
		       "     c0000000 1/0 20000wux guest-only\n"
		       "     c0200000 1/0 21000wux guest-only\n"
		       "   c0400000 2/0 800000wux guest-only\n");
	trees_close_all(t);
	assert_true(trees_open_path(t, false, 0xc0000000));
	rows_look_again(&t, m);
	tableguest_spte(m, 3, 0xc0000000, 0x100, H_RWX | H_A);
	tableguest_spte(m, 2, 0xc0000000, 0x101, H_RWX | H_A);
	tableguest_spte(m, 1, 0xc0000000, 0x20, H_ALL);
	tableguest_spte(m, 2, 0xc0200000, 0x101, H_RWX | H_A);
	tableguest_spte(m, 1, 0xc0200000, 0x21, H_ALL);
	tableguest_spte(m, 2, 0xc0600000, 0xa00, H_RWX | H_A);
	tableguest_spte(m, 1, 0xc0601000, 0xa01, H_ALL);
	rows_look_again(&t, m);
	rows_expect(t, "-0 root 100000\n"
		       "  -c0000000 0/3 | 100wux\n"
		       "    -c0000000 2/0 101000wux\n"
		       "      -c0000000 0/2 | 101wux\n"
		       "         c0000000 1/1 20000wux | 20wux\n"
		       "      -c0200000 0/2 | 101wux\n"
		       "         c0200000 1/1 21000wux | 21wux\n"
		       "    +c0400000 2/0 800000wux\n"); /* other levels now, and what was open still is */
	assert_int_equal(rows_at(t, 0xc0200000).depth, 4);
	assert_true(trees_open_path(t, false, 0xc0601000));
	rows_look_again(&t, m);
	rows_expect(t, "-0 root 100000\n"
		       "  -c0000000 0/3 | 100wux\n"
		       "    -c0000000 2/0 101000wux\n"
		       "      -c0000000 0/2 | 101wux\n"
		       "         c0000000 1/1 20000wux | 20wux\n"
		       "      -c0200000 0/2 | 101wux\n"
		       "         c0200000 1/1 21000wux | 21wux\n"
		       "    -c0400000 2/0 800000wux\n"
		       "      -c0600000 0/2 | a00wux\n"
		       "         c0601000 1/1 | a01wux\n");
	poke32(m, 0x100000 + 4 * 0x301, 0); /* what the host still has of it is there */
	rows_look_again(&t, m);
	assert_int_equal(rows_at(t, 0xc0601000).marks, TREES_STALE);
	rows_close(m, t);
}

/* A kernel's PAE root of four entries is no shadow page: nothing of the host's beside the guest's top level. */
static void paging_pae(void **state)
{
	struct machine *m = mode_guest(CR0_PG | CR0_WP, CR4_PAE, 0);
	struct table_trees *t;

	(void)state;
	fake_of(m)->regs[0].cr3 = 0x100020;
	longguest_poke_word(m, 0x100038, 0x101001);
	longguest_poke_word(m, 0x101000, 0x102067);
	longguest_poke_word(m, 0x101008, 0x6000e7);
	longguest_poke_word(m, 0x102000, 0x20067);
	longguest_poke_word(m, 0x102008, 0x8000000000021067); /* NX is reserved without EFER.NXE */
	tableguest_spte(m, 2, 0xc0000000, 0x102, H_RWX | H_A);
	tableguest_spte(m, 1, 0xc0000000, 0x20, H_ALL);
	t = rows_look(m);
	rows_expect(t, "-0 root 100020\n"
		       "  -c0000000 3/0 101000wux\n"
		       "    -c0000000 2/2 102000wux | 102wux\n"
		       "       c0000000 1/1 20000wux | 20wux\n"
		       "       c0001000 1/1 21000wu reserved\n"
		       "     c0200000 2/2 600000wux guest-only\n");
	assert_false(trees_about(t)->has_root);
	rows_close(m, t);
}

static void paging_5level(void **state)
{
	struct machine *m = mode_guest(CR0_PG | CR0_WP, CR4_PAE | CR4_LA57, EFER_LME | EFER_LMA | EFER_NXE);
	struct table_trees *t;
	size_t i;

	(void)state;
	longguest_poke_word(m, 0x100000 + 8 * 511, 0x101067);
	longguest_poke_word(m, 0x101000 + 8 * 511, 0x102067);
	longguest_poke_word(m, 0x102000 + 8 * 510, 0x400000e7); /* 1 GiB */
	t = rows_look(m);
	rows_expect(t, "-0 root 100000\n"
		       "  -ffff000000000000 5/0 101000wux guest-only\n"
		       "    -ffffff8000000000 4/0 102000wux guest-only\n"
		       "       ffffffff80000000 3/0 40000000wux guest-only\n");
	assert_true(trees_find(t, false, 0xffffffff80123456, &i, NULL));
	assert_int_equal(i, 3);
	assert_false(trees_find(t, false, 0x00ffffff80123456, &i, NULL) && i == 3);
	assert_false(trees_find(t, false, 0x01ffffff80123456, &i, NULL)); /* not canonical */
	rows_close(m, t);
}

static void paging_off(void **state)
{
	struct machine *m = mode_guest(0, 0, 0);
	struct table_trees *t = rows_look(m);
	struct trees_row r;

	(void)state;
	assert_int_equal(trees_count(t), 1);
	assert_true(trees_row(t, 0, &r));
	assert_false(r.foldable);
	assert_int_equal(trees_about(t)->mode, PAGING_NONE);
	fake_add_slot(m, 9, 0x400000, 0x1000, SLOT_READONLY);
	tableguest_spte(m, 3, 0, 0, H_RWX | H_A);
	tableguest_spte(m, 2, 0, 0, H_ALL)->leaf = true;
	tableguest_spte(m, 2, 0x400000, 0x400, H_RWX | H_A);
	tableguest_spte(m, 1, 0x400000, 0x400, H_U | H_X | H_A);
	tableguest_spte(m, 1, 0x401000, 0x999, H_ALL);
	rows_look_again(&t, m);
	rows_expect(t, "-0 root 0\n"
		       "  -0 0/3 | 0wux\n"
		       "     0 0/2 | 0wux\n"
		       "    -400000 0/2 | 400wux\n"
		       "       400000 0/1 | 400ux not-writable:readonly\n"
		       "       401000 0/1 | 999wux stale\n");
	rows_close(m, t);
}

/* Under TDP what the host has is by gpa: a tree of its own behind the guest's. */
static void two_trees(void **state)
{
	const uint64_t pte[] = {0x20000 | PTE_ALL};
	struct machine *m = tableguest_create(pte, 1);
	struct machine_ops ops = *m->ops;
	struct table_trees *t;
	size_t i;

	(void)state;
	ops.slot_list = tableguest_slots_with_own;
	m->ops = &ops;
	tableguest_spte(m, 1, 0x20000, 0x20, H_ALL);
	tableguest_spte(m, 3, 0xc0000000, 0xc0000, H_ALL);
	tableguest_spte(m, 2, 0xfee00000, 0xfee00, H_ALL);
	tableguest_spte(m, 1, 0xfef00000, 0xfef00, H_ALL);
	for (i = 0; i < fake_of(m)->sptes.n; i++)
		fake_of(m)->sptes.v[i].gva_known = false;
	t = rows_look(m);
	assert_true(trees_about(t)->tdp);
	rows_expect(t, "-0 root 1000\n"
		       "  -0 4/0 2000wux\n"
		       "    -0 3/0 3000wux\n"
		       "      -0 2/0 4000wux\n"
		       "         10000 1/0 20000wux\n"
		       "-0 root gpa\n"
		       "  -0 0/4 | 2wux\n"
		       "    -0 0/3 | 3wux\n"
		       "      -0 0/2 | 4wux\n"
		       "         20000 0/1 | 20wux\n"
		       "    -c0000000 0/3 | c0000wux\n"
		       "      -fee00000 0/2 | fee00wux\n"
		       "         fef00000 0/1 | fef00wux host-own\n");
	assert_true(trees_find(t, true, 0x20123, &i, NULL));
	assert_int_equal(i, 9);
	trees_close_all(t);
	assert_int_equal(trees_count(t), 4);
	assert_true(trees_open_path(t, true, 0x20000));
	rows_look_again(&t, m);
	assert_int_equal(trees_count(t), 8);
	m->ops = &fake_ops;
	rows_close(m, t);
}

/* ---- what cannot be seen */

static void no_host(void **state)
{
	const uint64_t pte[] = {0x20000 | PTE_ALL};
	struct machine *m = tableguest_create(pte, 1);
	struct table_trees *t;
	struct err e = {0};

	(void)state;
	fake_of(m)->no_cap[MACHINE_CAP_SHADOW] = true;
	t = rows_look(m);
	assert_false(trees_about(t)->host_known);
	assert_true(trees_about(t)->why[0]);
	assert_int_equal(rows_at(t, 0x10000).marks, 0); /* not said to be missing there */
	fake_of(m)->fail_op = "get_regs";
	fake_of(m)->fail_code = -EIO;
	assert_int_equal(trees_look(&t, m, 0, &e), -EIO);
	assert_int_equal(rows_at(t, 0x10000).depth, 4); /* as it was */
	fake_of(m)->fail_op = NULL;
	rows_close(m, t);
}

/* ---- hostile tables */

static void tables_that_lead_nowhere(void **state)
{
	struct machine *m = tableguest_create(NULL, 0);
	struct table_trees *t;

	(void)state;
	spte_list_free(&fake_of(m)->sptes);
	longguest_poke_word(m, 0x3000 + 8, 0x7fff000 | PTE_ALL);
	longguest_poke_word(m, 0x3000 + 16, 0x1fd000 | PTE_ALL);
	longguest_poke_word(m, 0x3000 + 24, 0x40000007 | 1ull << 52 | 1ull << 13 | PTE_PS);
	longguest_poke_word(m, 0x2000 + 8, 0xfffffffffffff007);
	fake_of(m)->hole = 0x1fd000;
	fake_of(m)->hole_len = 0x1000;
	fake_unmap(m, 0);
	t = rows_look(m);
	rows_expect(t, "-0 root 1000\n"
		       "  -0 4/0 2000wux guest-only\n"
		       "    -0 3/0 3000wux guest-only\n"
		       "      -0 2/0 4000wux guest-only (empty)\n"
		       "      -200000 2/0 7fff000wux guest-only (no memory)\n"
		       "      -400000 2/0 1fd000wux guest-only (unreadable)\n"
		       "       600000 2/0 40000000wux reserved\n"
		       "    -40000000 3/0 ffffffffff000wu guest-only (no memory)\n");
	rows_close(m, t);
}

/* A list that changed while it was read: entries at addresses that their levels cannot have, and twice. */
static void sptes_that_cannot_be(void **state)
{
	const uint64_t pte[] = {0x20000 | PTE_ALL, 0x21000 | PTE_ALL};
	struct machine *m = tableguest_create(pte, 2);
	struct table_trees *t;

	(void)state;
	tableguest_spte(m, 1, 0x10000, 0x20, H_ALL);
	tableguest_spte(m, 1, 0x10000, 0x99, H_ALL);
	tableguest_spte(m, 3, 0x12800, 0x98, H_ALL);
	tableguest_spte(m, 4, 0x11000, 0x97, H_ALL);
	tableguest_spte(m, 9, 0x11000, 0x96, H_ALL);
	tableguest_spte(m, 1, 0x11000, 0x21, H_ALL);
	tableguest_spte(m, 1, 0xffff123456789000, 0x95, H_ALL);
	t = rows_look(m);
	assert_int_equal(rows_at(t, 0x10000).spte->gfn, 0x20);
	assert_int_equal(rows_at(t, 0x11000).spte->gfn, 0x21);
	rows_close(m, t);
}

/* A guest that maps its own tables: their entry is followed by hand alone, and ends where the levels end. */
static void self_map(void **state)
{
	const uint64_t pte[] = {0x20000 | PTE_ALL};
	struct machine *m = tableguest_create(pte, 1);
	struct table_trees *t;
	const uint64_t self = 0xfffff6fb7dbedf68;

	(void)state;
	longguest_poke_word(m, 0x1000 + 8 * 0x1ed, 0x1000 | PTE_ALL);
	t = rows_look(m);
	rows_expect(t, "-0 root 1000\n"
		       "  -0 4/4 2000wux | 2wux\n"
		       "    -0 3/3 3000wux | 3wux\n"
		       "      -0 2/2 4000wux | 4wux\n"
		       "         10000 1/1 20000wux guest-only\n"
		       "  +fffff68000000000 4/4 1000wux guest-only loop\n");
	assert_true(trees_open_path(t, false, self));
	rows_look_again(&t, m);
	assert_int_equal(rows_at(t, self).depth, 4);
	assert_int_equal(rows_at(t, self).gpa, 0x1000);
	assert_true(trees_open_all(t, 0));
	rows_look_again(&t, m);
	assert_false(trees_about(t)->cut);
	assert_true(trees_count(t) < 200);
	rows_close(m, t);
}

/* ---- opening, closing, looking again */

static void many_rows(void **state)
{
	struct machine *m = tableguest_large(true);
	struct table_trees *t = rows_look(m);
	size_t n, i;

	(void)state;
	assert_true(trees_count(t) < TREES_SMALL);
	assert_true(trees_open_all(t, 0));
	assert_true(trees_wants(t));
	rows_look_again(&t, m);
	assert_false(trees_wants(t) || trees_about(t)->cut);
	n = trees_count(t);
	assert_true(n > TABLEGUEST_MANY * 512);
	assert_true(trees_next(t, rows_find(t, 0x40000000), false, TREES_DISAGREE, &i));
	assert_int_equal(i, rows_find(t, 0x40000000 + 150 * 0x200000ull + 0x7000));
	trees_close(t, rows_find(t, 0x40000000 + 100 * 0x200000ull) - 1);
	assert_int_equal(trees_count(t), n - 512);
	rows_look_again(&t, m); /* as it was left */
	assert_int_equal(trees_count(t), n - 512);
	assert_true(trees_open(t, rows_find(t, 0x40000000 + 100 * 0x200000ull)));
	rows_look_again(&t, m);
	assert_int_equal(trees_count(t), n);
	rows_check_numbers(t);
	trees_close_all(t);
	assert_int_equal(trees_count(t), 2);
	rows_close(m, t);
}

/* More than there is room for: told, and the next call goes on. */
static void too_many_rows(void **state)
{
	struct machine *m = tableguest_large(false);
	struct table_trees *t;
	size_t n;

	(void)state;
	for (unsigned i = 0; i < 512; i++)
		longguest_poke_word(m, 0x6000 + 8 * i, 0x100000 | PTE_ALL);
	t = rows_look(m);
	assert_true(trees_open_all(t, 0));
	rows_look_again(&t, m);
	assert_true(trees_about(t)->cut);
	n = trees_count(t);
	assert_true(n > TREES_ALL_ROWS - 1024 && n < TREES_ALL_ROWS + 100);
	assert_true(trees_open_all(t, 0));
	rows_look_again(&t, m);
	assert_true(trees_count(t) > n + TREES_ALL_ROWS - 1024);
	rows_look_again(&t, m);
	assert_true(trees_open_all(t, 0));
	rows_look_again(&t, m);
	assert_false(trees_about(t)->cut);
	assert_int_equal(trees_count(t), 512 * 512 + 512 + 6);
	rows_close(m, t);
}

/* One table more, while nothing has run: only that is read, and the host is not asked again. */
static void reads_what_is_wanted(void **state)
{
	struct machine *m = tableguest_large(true);
	struct table_trees *t = rows_look(m);
	size_t n, asked;

	(void)state;
	assert_true(trees_open_path(t, false, 0x40001000));
	fake_of(m)->fail_op = "sptes";
	fake_of(m)->fail_code = -EIO;
	rows_look_again(&t, m);
	assert_true(trees_about(t)->host_known);
	assert_int_equal(rows_at(t, 0x40001000).spte->gfn, 0x20);
	n = trees_count(t);
	asked = rows_find(t, 0x40200000);
	assert_true(trees_open(t, asked));
	assert_true(trees_open(t, asked));
	rows_look_again(&t, m);
	assert_int_equal(trees_count(t), n + 512);
	assert_false(trees_open(t, asked));
	assert_true(trees_open(t, rows_find(t, 0x40400000)));
	longguest_poke_word(m, 0x100008, 0x30000 | PTE_ALL);
	rows_look_again(&t, m); /* something has changed: all of it */
	assert_false(trees_about(t)->host_known);
	assert_int_equal(trees_count(t), n + 1024);
	assert_int_equal(rows_at(t, 0x40001000).gpa, 0x30000);
	fake_of(m)->fail_op = NULL;
	rows_close(m, t);
}

/* The guest changes a mapping: what is open stays open, the rows are new. */
static void stays_open(void **state)
{
	struct machine *m = tableguest_large(false);
	struct table_trees *t = rows_look(m);

	(void)state;
	trees_close_all(t);
	assert_true(trees_open_path(t, false, 0x40001000));
	rows_look_again(&t, m);
	assert_int_equal(rows_at(t, 0x40001000).depth, 4);
	assert_int_equal(rows_at(t, 0x10000).depth, 2);
	longguest_poke_word(m, 0x100008, 0x30000 | PTE_ALL);
	longguest_poke_word(m, 0x100010, 0);
	longguest_poke_word(m, 0x1000 + 8 * 256, 0x2000 | PTE_ALL);
	rows_look_again(&t, m);
	assert_int_equal(rows_at(t, 0x40001000).gpa, 0x30000);
	assert_int_equal(rows_at(t, 0x40002000).depth, 3); /* the table, without such an entry */
	assert_int_equal(rows_at(t, 0xffff800000000000).depth, 1);
	longguest_poke_word(m, 0x2008, 0);
	rows_look_again(&t, m);
	assert_int_equal(rows_at(t, 0x40001000).depth, 1);
	rows_close(m, t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(tour),
	    cmocka_unit_test(way_to_the_instruction),
	    cmocka_unit_test(soft_32bit),
	    cmocka_unit_test(paging_32bit),
	    cmocka_unit_test(paging_pae),
	    cmocka_unit_test(paging_5level),
	    cmocka_unit_test(paging_off),
	    cmocka_unit_test(two_trees),
	    cmocka_unit_test(no_host),
	    cmocka_unit_test(tables_that_lead_nowhere),
	    cmocka_unit_test(sptes_that_cannot_be),
	    cmocka_unit_test(self_map),
	    cmocka_unit_test(many_rows),
	    cmocka_unit_test(too_many_rows),
	    cmocka_unit_test(reads_what_is_wanted),
	    cmocka_unit_test(stays_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
