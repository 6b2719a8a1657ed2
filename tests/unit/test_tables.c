/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Both sides' page tables as one tree of rows: what is open at first, each kind of disagreement by a guest that makes it,
 * all paging modes, hostile tables, refreshing, and 100,000 rows.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/debug/tables.h"
#include "tests/support/softguest.h"
#include "tests/support/tableguest.h"

static void ok(int rc, const struct err *e)
{
	if (rc)
		fail_msg("%s: %s", e->what, e->why);
}

/* ---- rows as text: depth by indentation, levels, address, the guest's, the host's, marks */

static const char *mark_words(const struct trees_row *r, char *buf, size_t size)
{
	static const char *const word[] = {"guest-only", "stale",    "not-writable", "narrower", "wider",
					   "a-guest",	 "a-host",   "d-guest",	     "d-host",	 "level",
					   "mmio",	 "host-own", "reserved",     "loop"};
	static const char *const why[] = {"", ":readonly", ":file", ":table", ":log", ":clean"};
	size_t n = 0;

	buf[0] = '\0';
	for (unsigned i = 0; i < ARRAY_LEN(word) && n < size; i++)
		if (r->marks & 1u << i)
			n += (size_t)snprintf(buf + n, size - n, " %s%s", word[i],
					      1u << i == TREES_NOT_WRITABLE ? why[r->why] : "");
	return buf;
}

static size_t row_text(const struct trees_row *r, char *buf, size_t size)
{
	static const char *const table[] = {"", " (empty)", " (no memory)", " (unreadable)"};
	char marks[200];
	size_t n = 0;
#define ADD(...) n += (size_t)snprintf(buf + n, size - n, __VA_ARGS__)

	ADD("%*s%c%llx", 2 * (int)r->depth, "", !r->foldable ? ' ' : r->open ? '-' : '+', (unsigned long long)r->first);
	if (!r->depth)
		ADD(" root%s", r->by_gpa ? " gpa" : "");
	else
		ADD(" %u/%u", r->guest_level, r->host_level);
	if (r->has_guest)
		ADD(" %llx%s%s%s", (unsigned long long)r->gpa, r->entry_rights & ACCESS_WRITE ? "w" : "",
		    r->entry_rights & ACCESS_USER ? "u" : "", r->entry_rights & ACCESS_FETCH ? "x" : "");
	if (r->spte)
		ADD(" | %llx%s%s%s", (unsigned long long)r->spte->gfn, r->spte->writable ? "w" : "",
		    r->spte->user ? "u" : "", r->spte->exec ? "x" : "");
	ADD("%s%s\n", mark_words(r, marks, sizeof(marks)), table[r->table]);
#undef ADD
	return n;
}

static void expect_text(const struct table_trees *t, const char *text)
{
	static char got[1 << 16];
	struct trees_row r;
	size_t n = 0;

	got[0] = '\0';
	for (size_t i = 0; trees_row(t, i, &r) && n + 300 < sizeof(got); i++)
		n += row_text(&r, got + n, sizeof(got) - n);
	if (strcmp(got, text))
		fail_msg("rows are\n%sinstead of\n%s", got, text);
}

static struct table_trees *look_at(struct machine *m)
{
	struct table_trees *t = NULL;
	struct err e = {0};

	ok(trees_look(&t, m, 0, &e), &e);
	return t;
}

static void look_again(struct table_trees **t, struct machine *m)
{
	struct err e = {0};

	ok(trees_look(t, m, 0, &e), &e);
}

static size_t find(const struct table_trees *t, uint64_t addr)
{
	size_t i = 0;

	assert_true(trees_find(t, false, addr, &i, NULL));
	return i;
}

static struct trees_row row_at(const struct table_trees *t, uint64_t addr)
{
	struct trees_row r;

	assert_true(trees_row(t, find(t, addr), &r));
	return r;
}

/* Whatever was done to it: numbers, parents and searches agree with each other. */
static void check_numbers(const struct table_trees *t)
{
	size_t n = trees_count(t), i, found, disagree = 0;
	uint64_t before = 0;
	struct trees_row r, p;

	assert_false(trees_row(t, n, &r));
	for (i = 0; i < n; i++) {
		assert_true(trees_row(t, i, &r));
		assert_int_equal(trees_parent(t, i, &found), r.depth > 0);
		if (!r.depth)
			continue;
		assert_true(r.first >= before);
		before = r.first;
		assert_true(trees_row(t, found, &p));
		assert_true(found < i && p.open && p.depth == r.depth - 1);
		assert_true(p.first <= r.first && r.last <= p.last);
		disagree += (r.marks & TREES_DISAGREE) != 0;
		if (!r.open && !r.by_gpa) {
			assert_true(trees_find(t, false, r.first, &found, NULL));
			assert_true(found == i || (found > i && r.open));
		}
	}
	for (found = 0; trees_next(t, found, false, TREES_DISAGREE, &i); found = i)
		disagree--;
	assert_int_equal(disagree, 0);
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
	struct machine *m = tableguest_demo("demo:tour");
	struct table_trees *t = look_at(m);

	(void)state;
	expect_text(t, "-0 root 10000\n"
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
	look_again(&t, m);
	expect_text(t, "-0 root 10000\n"
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
	check_numbers(t);
	trees_destroy(t);
	machine_destroy(m);
}

/* Its tables are more than a screen: the way to the instruction is open, and nothing else. */
static void way_to_the_instruction(void **state)
{
	struct machine *m = tableguest_demo("demo:rmap");
	struct table_trees *t;
	struct trees_row r;

	(void)state;
	run(m);
	t = look_at(m);
	for (size_t i = 0; trees_row(t, i, &r); i++)
		if (r.open && r.depth)
			assert_true(r.first <= 0x200000 && r.last >= 0x200000);
	assert_int_equal(row_at(t, 0x200000).depth, 4);
	check_numbers(t);
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
		t = look_at(c.m);
		assert_int_equal(trees_about(t)->mode, pae ? PAGING_PAE : PAGING_32BIT);
		assert_true(trees_about(t)->has_root);
		assert_int_equal(trees_about(t)->root_gfn, TOP >> PAGE_SHIFT);
		trees_open_all(t, 0);
		look_again(&t, c.m);
		for (size_t i = 0; trees_row(t, i, &r); i++)
			assert_false(r.marks & (TREES_STALE | TREES_WIDER | TREES_NARROWER | TREES_RESERVED));
		r = row_at(t, 0x30000);
		assert_true(r.spte && r.spte->gfn == 0x30 && !r.marks);
		assert_int_equal(row_at(t, CODE).why, TREES_WHY_CLEAN);
		r = row_at(t, pae ? SECOND : TOP);
		assert_true((r.marks & TREES_NOT_WRITABLE) && r.why == TREES_WHY_TABLE);
		r = row_at(t, 0x401000);
		assert_true(r.spte && r.spte->gfn == 1 && r.guest_leaf && !r.has_guest);
		check_numbers(t);
		trees_destroy(t);
		cpu_close(&c);
	}
}

/* ---- one disagreement each, on the fake machine: gva = gpa below 2 MiB, and whatever sptes the test says */

static void close_fake(struct machine *m, struct table_trees *t)
{
	if (t)
		check_numbers(t);
	trees_destroy(t);
	tableguest_destroy(m);
}

static uint32_t marks_at(const struct table_trees *t, unsigned page)
{
	return row_at(t, 0x10000 + (page << PAGE_SHIFT)).marks;
}

static void disagreements(void **state)
{
	const uint64_t pte[] = {
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
	struct table_trees *t;
	size_t i;

	(void)state;
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
	t = look_at(m);
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
	assert_int_equal(row_at(t, 0x1d000).why, TREES_WHY_UNKNOWN);
	assert_int_equal(marks_at(t, 14), TREES_HOST_OWN);
	/* The search for those that disagree goes by them, and round neither end. */
	assert_true(trees_next(t, 0, false, TREES_DISAGREE, &i));
	assert_int_equal(i, find(t, 0x12000));
	assert_true(trees_next(t, i, false, TREES_DISAGREE, &i));
	assert_int_equal(i, find(t, 0x13000));
	assert_true(trees_next(t, i, true, TREES_DISAGREE, &i));
	assert_int_equal(i, find(t, 0x12000));
	assert_false(trees_next(t, i, true, TREES_DISAGREE, &i));
	assert_int_equal(i, find(t, 0x12000));
	i = find(t, 0x1d000);
	assert_false(trees_next(t, i, false, TREES_DISAGREE, &i));
	assert_true(trees_next(t, 0, false, TREES_MMIO, &i));
	assert_int_equal(i, find(t, 0x1a000));
	assert_true(trees_next(t, trees_count(t), true, TREES_HOST_OWN, &i));
	assert_int_equal(i, find(t, 0x1e000));
	close_fake(m, t);
}

/* A supervisor with CR0.WP clear writes what its tables forbid: then the spte is its own, without U. */
static void write_protect_off(void **state)
{
	const uint64_t pte[] = {0x20000 | PTE_P | PTE_U | PTE_A | PTE_D};
	struct machine *m = tableguest_create(pte, 1);
	struct table_trees *t;

	(void)state;
	tableguest_spte(m, 1, 0x10000, 0x20, H_ALL & ~(unsigned)H_U);
	t = look_at(m);
	assert_int_equal(marks_at(t, 0), TREES_WIDER | TREES_NARROWER);
	fake_of(m)->regs[0].cr0 &= ~CR0_WP;
	look_again(&t, m);
	assert_int_equal(marks_at(t, 0), 0);
	close_fake(m, t);
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
	t = look_at(m);
	for (unsigned i = 0; i < ARRAY_LEN(pte); i++) {
		struct trees_row r = row_at(t, 0x10000 + i * 0x1000);
		assert_int_equal(r.marks, TREES_NOT_WRITABLE);
		assert_int_equal(r.why, why[i]);
		assert_int_equal(r.slot, i < 2 ? 3 + i : 0);
	}
	close_fake(m, t);
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
	t = look_at(m);
	expect_text(t, "-0 root 1000\n"
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
	close_fake(m, t);
}

/* Slots that the machine has beside the debugger's table, as KVM's own are and the page that takes exceptions. */
static int with_own_slot(struct machine *m, struct slot_info_list *out, struct err *e)
{
	(void)m;
	out->v = calloc(2, sizeof(*out->v));
	if (!out->v)
		return err_nomem(e, "list slots");
	out->v[0] = (struct slot_info){.id = 0, .size = 2 << 20};
	out->v[1] = (struct slot_info){.id = 32763, .gpa = 0xfef00000, .size = 0x8000, .own = true};
	out->n = 2;
	return 0;
}

/* Sptes of such memory that the guest's tables have no longer, and an entry of the guest's that leads there. */
static void memory_of_the_hosts_own(void **state)
{
	const uint64_t pte[] = {0x20000 | PTE_ALL, 0x21000 | PTE_ALL};
	struct machine *m = tableguest_create(pte, 2);
	struct machine_ops ops = *m->ops;
	struct table_trees *t;

	(void)state;
	ops.slot_list = with_own_slot;
	m->ops = &ops;
	tableguest_spte(m, 1, 0x10000, 0xfef00, H_ALL); /* the guest maps memory of its own there: that is stale */
	tableguest_spte(m, 1, 0x11000, 0x21, H_ALL);
	tableguest_spte(m, 1, 0x12000, 0x22, H_ALL);
	tableguest_spte(m, 2, 0x400000, 0xfef05, H_RWX | H_A);
	tableguest_spte(m, 1, 0x400000, 0xfef00, H_X | H_A);
	tableguest_spte(m, 1, 0x401000, 0xfef08, H_X | H_A); /* behind the slot */
	longguest_poke_word(m, 0x3000 + 24, 0xfef03000 | PTE_ALL);
	longguest_poke_word(m, 0x3000 + 32, 0xfef08000 | PTE_ALL);
	t = look_at(m);
	expect_text(t, "-0 root 1000\n"
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
	close_fake(m, t);
}

/* What is no disagreement of leaves: upper entries that point elsewhere than the shadow pages are of. */
static void stale_tables(void **state)
{
	const uint64_t pte[] = {0x20000 | PTE_ALL};
	struct machine *m = tableguest_create(pte, 1);
	struct table_trees *t = look_at(m);

	(void)state;
	assert_int_equal(row_at(t, 0x10000).depth, 4);
	fake_of(m)->sptes.v[2].gfn = 0x99;
	look_again(&t, m);
	expect_text(t, "-0 root 1000\n"
		       "  -0 4/4 2000wux | 2wux\n"
		       "    -0 3/3 3000wux | 3wux\n"
		       "      -0 2/2 4000wux | 99wux stale\n"
		       "         10000 1/1 20000wux guest-only\n");
	longguest_poke_word(m, 0x3000, 0);
	look_again(&t, m);
	expect_text(t, "-0 root 1000\n"
		       "  -0 4/4 2000wux | 2wux\n"
		       "    -0 3/3 3000wux | 3wux\n"
		       "      -0 2/2 | 99wux stale (empty)\n");
	close_fake(m, t);
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
	t = look_at(m);
	expect_text(t, "-0 root 100000\n"
		       "  -c0000000 2/0 101000wux guest-only\n"
		       "     c0000000 1/0 20000wux guest-only\n"
		       "     c0200000 1/0 21000wux guest-only\n"
		       "   c0400000 2/0 800000wux guest-only\n");
	trees_close_all(t);
	assert_true(trees_open_path(t, false, 0xc0000000));
	look_again(&t, m);
	tableguest_spte(m, 3, 0xc0000000, 0x100, H_RWX | H_A);
	tableguest_spte(m, 2, 0xc0000000, 0x101, H_RWX | H_A);
	tableguest_spte(m, 1, 0xc0000000, 0x20, H_ALL);
	tableguest_spte(m, 2, 0xc0200000, 0x101, H_RWX | H_A);
	tableguest_spte(m, 1, 0xc0200000, 0x21, H_ALL);
	tableguest_spte(m, 2, 0xc0600000, 0xa00, H_RWX | H_A);
	tableguest_spte(m, 1, 0xc0601000, 0xa01, H_ALL);
	look_again(&t, m);
	expect_text(t, "-0 root 100000\n"
		       "  -c0000000 0/3 | 100wux\n"
		       "    -c0000000 2/0 101000wux\n"
		       "      -c0000000 0/2 | 101wux\n"
		       "         c0000000 1/1 20000wux | 20wux\n"
		       "      -c0200000 0/2 | 101wux\n"
		       "         c0200000 1/1 21000wux | 21wux\n"
		       "    +c0400000 2/0 800000wux\n"); /* other levels now, and what was open still is */
	assert_int_equal(row_at(t, 0xc0200000).depth, 4);
	assert_true(trees_open_path(t, false, 0xc0601000));
	look_again(&t, m);
	expect_text(t, "-0 root 100000\n"
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
	look_again(&t, m);
	assert_int_equal(row_at(t, 0xc0601000).marks, TREES_STALE);
	close_fake(m, t);
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
	t = look_at(m);
	expect_text(t, "-0 root 100020\n"
		       "  -c0000000 3/0 101000wux\n"
		       "    -c0000000 2/2 102000wux | 102wux\n"
		       "       c0000000 1/1 20000wux | 20wux\n"
		       "       c0001000 1/1 21000wu reserved\n"
		       "     c0200000 2/2 600000wux guest-only\n");
	assert_false(trees_about(t)->has_root);
	close_fake(m, t);
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
	t = look_at(m);
	expect_text(t, "-0 root 100000\n"
		       "  -ffff000000000000 5/0 101000wux guest-only\n"
		       "    -ffffff8000000000 4/0 102000wux guest-only\n"
		       "       ffffffff80000000 3/0 40000000wux guest-only\n");
	assert_true(trees_find(t, false, 0xffffffff80123456, &i, NULL));
	assert_int_equal(i, 3);
	assert_false(trees_find(t, false, 0x00ffffff80123456, &i, NULL) && i == 3);
	assert_false(trees_find(t, false, 0x01ffffff80123456, &i, NULL)); /* not canonical */
	close_fake(m, t);
}

static void paging_off(void **state)
{
	struct machine *m = mode_guest(0, 0, 0);
	struct table_trees *t = look_at(m);
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
	look_again(&t, m);
	expect_text(t, "-0 root 0\n"
		       "  -0 0/3 | 0wux\n"
		       "     0 0/2 | 0wux\n"
		       "    -400000 0/2 | 400wux\n"
		       "       400000 0/1 | 400ux not-writable:readonly\n"
		       "       401000 0/1 | 999wux stale\n");
	close_fake(m, t);
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
	ops.slot_list = with_own_slot;
	m->ops = &ops;
	tableguest_spte(m, 1, 0x20000, 0x20, H_ALL);
	tableguest_spte(m, 3, 0xc0000000, 0xc0000, H_ALL);
	tableguest_spte(m, 2, 0xfee00000, 0xfee00, H_ALL);
	tableguest_spte(m, 1, 0xfef00000, 0xfef00, H_ALL);
	for (i = 0; i < fake_of(m)->sptes.n; i++)
		fake_of(m)->sptes.v[i].gva_known = false;
	t = look_at(m);
	assert_true(trees_about(t)->tdp);
	expect_text(t, "-0 root 1000\n"
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
	look_again(&t, m);
	assert_int_equal(trees_count(t), 8);
	m->ops = &fake_ops;
	close_fake(m, t);
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
	t = look_at(m);
	assert_false(trees_about(t)->host_known);
	assert_true(trees_about(t)->why[0]);
	assert_int_equal(row_at(t, 0x10000).marks, 0); /* not said to be missing there */
	fake_of(m)->fail_op = "get_regs";
	fake_of(m)->fail_code = -EIO;
	assert_int_equal(trees_look(&t, m, 0, &e), -EIO);
	assert_int_equal(row_at(t, 0x10000).depth, 4); /* as it was */
	fake_of(m)->fail_op = NULL;
	close_fake(m, t);
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
	t = look_at(m);
	expect_text(t, "-0 root 1000\n"
		       "  -0 4/0 2000wux guest-only\n"
		       "    -0 3/0 3000wux guest-only\n"
		       "      -0 2/0 4000wux guest-only (empty)\n"
		       "      -200000 2/0 7fff000wux guest-only (no memory)\n"
		       "      -400000 2/0 1fd000wux guest-only (unreadable)\n"
		       "       600000 2/0 40000000wux reserved\n"
		       "    -40000000 3/0 ffffffffff000wu guest-only (no memory)\n");
	close_fake(m, t);
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
	t = look_at(m);
	assert_int_equal(row_at(t, 0x10000).spte->gfn, 0x20);
	assert_int_equal(row_at(t, 0x11000).spte->gfn, 0x21);
	close_fake(m, t);
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
	t = look_at(m);
	expect_text(t, "-0 root 1000\n"
		       "  -0 4/4 2000wux | 2wux\n"
		       "    -0 3/3 3000wux | 3wux\n"
		       "      -0 2/2 4000wux | 4wux\n"
		       "         10000 1/1 20000wux guest-only\n"
		       "  +fffff68000000000 4/4 1000wux guest-only loop\n");
	assert_true(trees_open_path(t, false, self));
	look_again(&t, m);
	assert_int_equal(row_at(t, self).depth, 4);
	assert_int_equal(row_at(t, self).gpa, 0x1000);
	assert_true(trees_open_all(t, 0));
	look_again(&t, m);
	assert_false(trees_about(t)->cut);
	assert_true(trees_count(t) < 200);
	close_fake(m, t);
}

/* ---- opening, closing, looking again */

static void many_rows(void **state)
{
	struct machine *m = tableguest_large(true);
	struct table_trees *t = look_at(m);
	size_t n, i;

	(void)state;
	assert_true(trees_count(t) < TREES_SMALL);
	assert_true(trees_open_all(t, 0));
	assert_true(trees_wants(t));
	look_again(&t, m);
	assert_false(trees_wants(t) || trees_about(t)->cut);
	n = trees_count(t);
	assert_true(n > TABLEGUEST_MANY * 512);
	assert_true(trees_next(t, find(t, 0x40000000), false, TREES_DISAGREE, &i));
	assert_int_equal(i, find(t, 0x40000000 + 150 * 0x200000ull + 0x7000));
	trees_close(t, find(t, 0x40000000 + 100 * 0x200000ull) - 1);
	assert_int_equal(trees_count(t), n - 512);
	look_again(&t, m); /* as it was left */
	assert_int_equal(trees_count(t), n - 512);
	assert_true(trees_open(t, find(t, 0x40000000 + 100 * 0x200000ull)));
	look_again(&t, m);
	assert_int_equal(trees_count(t), n);
	check_numbers(t);
	trees_close_all(t);
	assert_int_equal(trees_count(t), 2);
	close_fake(m, t);
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
	t = look_at(m);
	assert_true(trees_open_all(t, 0));
	look_again(&t, m);
	assert_true(trees_about(t)->cut);
	n = trees_count(t);
	assert_true(n > TREES_ALL_ROWS - 1024 && n < TREES_ALL_ROWS + 100);
	assert_true(trees_open_all(t, 0));
	look_again(&t, m);
	assert_true(trees_count(t) > n + TREES_ALL_ROWS - 1024);
	look_again(&t, m);
	assert_true(trees_open_all(t, 0));
	look_again(&t, m);
	assert_false(trees_about(t)->cut);
	assert_int_equal(trees_count(t), 512 * 512 + 512 + 6);
	close_fake(m, t);
}

/* One table more, while nothing has run: only that is read, and the host is not asked again. */
static void reads_what_is_wanted(void **state)
{
	struct machine *m = tableguest_large(true);
	struct table_trees *t = look_at(m);
	size_t n, asked;

	(void)state;
	assert_true(trees_open_path(t, false, 0x40001000));
	fake_of(m)->fail_op = "sptes";
	fake_of(m)->fail_code = -EIO;
	look_again(&t, m);
	assert_true(trees_about(t)->host_known);
	assert_int_equal(row_at(t, 0x40001000).spte->gfn, 0x20);
	n = trees_count(t);
	asked = find(t, 0x40200000);
	assert_true(trees_open(t, asked));
	assert_true(trees_open(t, asked));
	look_again(&t, m);
	assert_int_equal(trees_count(t), n + 512);
	assert_false(trees_open(t, asked));
	assert_true(trees_open(t, find(t, 0x40400000)));
	longguest_poke_word(m, 0x100008, 0x30000 | PTE_ALL);
	look_again(&t, m); /* something has changed: all of it */
	assert_false(trees_about(t)->host_known);
	assert_int_equal(trees_count(t), n + 1024);
	assert_int_equal(row_at(t, 0x40001000).gpa, 0x30000);
	fake_of(m)->fail_op = NULL;
	close_fake(m, t);
}

/* The guest changes a mapping: what is open stays open, the rows are new. */
static void stays_open(void **state)
{
	struct machine *m = tableguest_large(false);
	struct table_trees *t = look_at(m);

	(void)state;
	trees_close_all(t);
	assert_true(trees_open_path(t, false, 0x40001000));
	look_again(&t, m);
	assert_int_equal(row_at(t, 0x40001000).depth, 4);
	assert_int_equal(row_at(t, 0x10000).depth, 2);
	longguest_poke_word(m, 0x100008, 0x30000 | PTE_ALL);
	longguest_poke_word(m, 0x100010, 0);
	longguest_poke_word(m, 0x1000 + 8 * 256, 0x2000 | PTE_ALL);
	look_again(&t, m);
	assert_int_equal(row_at(t, 0x40001000).gpa, 0x30000);
	assert_int_equal(row_at(t, 0x40002000).depth, 3); /* the table, without such an entry */
	assert_int_equal(row_at(t, 0xffff800000000000).depth, 1);
	longguest_poke_word(m, 0x2008, 0);
	look_again(&t, m);
	assert_int_equal(row_at(t, 0x40001000).depth, 1);
	close_fake(m, t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(tour),
	    cmocka_unit_test(way_to_the_instruction),
	    cmocka_unit_test(soft_32bit),
	    cmocka_unit_test(disagreements),
	    cmocka_unit_test(write_protect_off),
	    cmocka_unit_test(why_not_writable),
	    cmocka_unit_test(levels_differ),
	    cmocka_unit_test(memory_of_the_hosts_own),
	    cmocka_unit_test(stale_tables),
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
