/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Snapshots of a machine whose inspection is scripted: what a diff names, in which order, and what is left out.
 */
#include "core/debug/snap.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/longguest.h"

static struct machine *m;
static struct snap *before;
static struct diff_list rows;

static int setup(void **state)
{
	(void)state;
	m = longguest_create(1, 0);
	before = NULL;
	return 0;
}

static int teardown(void **state)
{
	struct fake *f = fake_of(m);

	(void)state;
	diff_list_free(&rows);
	snap_destroy(before);
	f->shadow_pages = (struct shadow_page_list){0};
	f->rmap = (struct rmap_list){0};
	f->mmio = (struct mmio_info_list){0};
	machine_destroy(m);
	return 0;
}

static void remember(bool memory)
{
	assert_int_equal(snap_take(m, memory, &before, NULL), 0);
}

static void compare(bool memory)
{
	struct snap *after;

	assert_int_equal(snap_take(m, memory, &after, NULL), 0);
	diff_list_free(&rows);
	assert_int_equal(snap_diff(before, after, &rows, NULL), 0);
	snap_destroy(after);
}

static void expect_row(size_t i, enum diff_part p, enum diff_kind k, const char *what, const char *from, const char *to)
{
	assert_in_range(i + 1, 1, rows.n);
	assert_string_equal(rows.v[i].what, what);
	assert_int_equal(rows.v[i].part, p);
	assert_int_equal(rows.v[i].kind, k);
	assert_string_equal(rows.v[i].before, from);
	assert_string_equal(rows.v[i].after, to);
}

static void test_nothing_changed(void **state)
{
	(void)state;
	remember(true);
	compare(true);
	assert_int_equal(rows.n, 0);
}

/* ---- slots */

static void test_slots(void **state)
{
	(void)state;
	fake_add_slot(m, 5, 0x900000, 0x2000, 0);
	remember(false);
	assert_int_equal(snap_count(before, DIFF_SLOT), 2);
	assert_int_equal(machine_slot_flags(m, 5, SLOT_LOG_DIRTY, 0, 0, NULL, NULL), 0);
	fake_add_slot(m, 3, 0xa00000, 0x1000, 0);
	compare(false);
	assert_int_equal(rows.n, 2);
	expect_row(0, DIFF_SLOT, DIFF_ADDED, "slot 3", "", "gpa 0xa00000 size 0x1000 flags 0x0, visible both");
	expect_row(1, DIFF_SLOT, DIFF_CHANGED, "slot 5 flags", "0x0", "0x1");
	assert_int_equal(machine_slot_delete(m, 5, NULL, NULL), 0);
	compare(false);
	expect_row(1, DIFF_SLOT, DIFF_REMOVED, "slot 5", "gpa 0x900000 size 0x2000 flags 0x0, visible both", "");
}

/* ---- shadow pages and sptes */

static uint64_t leaf[512], root[512];
static struct shadow_page pages[2];

/* Listed leaf first: the snapshot sorts. */
static void script_pages(void)
{
	memset(leaf, 0, sizeof(leaf));
	memset(root, 0, sizeof(root));
	root[0] = 0x7000027;
	leaf[64] = 0x1234e67;
	pages[0] =
	    (struct shadow_page){.gfn = 0x13, .level = 1, .access = 7, .sptes = 1, .address = 0xff01, .entries = leaf};
	pages[1] = (struct shadow_page){
	    .gfn = 0x10, .level = 4, .access = 7, .sptes = 1, .roots = 1, .address = 0xff02, .entries = root};
	fake_of(m)->shadow_pages = (struct shadow_page_list){pages, 2, false};
}

static void test_sptes(void **state)
{
	(void)state;
	script_pages();
	remember(false);
	assert_int_equal(snap_count(before, DIFF_SHADOW), 2);
	assert_int_equal(snap_count(before, DIFF_SPTE), 2);
	leaf[64] = 0x1234a25;
	leaf[3] = 0x5678e67;
	root[0] = 0;
	pages[0].sptes = 2;
	pages[0].unsync = true;
	compare(false);
	assert_int_equal(rows.n, 4);
	expect_row(0, DIFF_SHADOW, DIFF_CHANGED, "gfn 0x13 level 1", "1 spte, 0 mmio, access uwx, roots 0",
		   "2 sptes, 0 mmio, access uwx, roots 0, unsync");
	expect_row(1, DIFF_SPTE, DIFF_REMOVED, "gfn 0x10 level 4 index 0", "0x7000027 (pfn 0x7000)", "");
	expect_row(2, DIFF_SPTE, DIFF_ADDED, "gfn 0x13 level 1 index 3", "", "0x5678e67 (pfn 0x5678)");
	expect_row(3, DIFF_SPTE, DIFF_CHANGED, "gfn 0x13 level 1 index 64", "0x1234e67 (pfn 0x1234)",
		   "0x1234a25 (pfn 0x1234)");
}

/* Zapped and made anew: another page at the same gfn and level, not a changed one. */
static void test_page_made_anew(void **state)
{
	(void)state;
	script_pages();
	remember(false);
	pages[0].address = 0xff03;
	pages[0].direct = true;
	pages[0].access = 5;
	compare(false);
	assert_int_equal(rows.n, 4);
	expect_row(0, DIFF_SHADOW, DIFF_REMOVED, "gfn 0x13 level 1", "1 spte, 0 mmio, access uwx, roots 0", "");
	expect_row(1, DIFF_SHADOW, DIFF_ADDED, "gfn 0x13 level 1 direct", "", "1 spte, 0 mmio, access u-x, roots 0");
	expect_row(2, DIFF_SPTE, DIFF_REMOVED, "gfn 0x13 level 1 index 64", "0x1234e67 (pfn 0x1234)", "");
	expect_row(3, DIFF_SPTE, DIFF_ADDED, "gfn 0x13 level 1 direct index 64", "", "0x1234e67 (pfn 0x1234)");
}

/* Kernels since 6.12 fill empty entries with bit 63: no spte. */
static void test_empty_entries_with_suppress_ve(void **state)
{
	(void)state;
	script_pages();
	for (int i = 0; i < 512; i++)
		leaf[i] |= 1ull << 63;
	remember(false);
	assert_int_equal(snap_count(before, DIFF_SPTE), 2);
}

/* ---- reverse maps */

static struct spte_info chain[5];
static struct rmap_info maps[2];

static void script_rmaps(void)
{
	for (unsigned i = 0; i < 5; i++)
		chain[i] = (struct spte_info){.sptep = 0x1000 + 8 * i};
	maps[0] = (struct rmap_info){.gfn = 0x41, .slot = 0, .level = 1, .kind = RMAP_ONE, .sptes = &chain[4], .n_sptes = 1};
	maps[1] = (struct rmap_info){.gfn = 0x40, .slot = 0, .level = 1, .kind = RMAP_MANY, .sptes = chain, .n_sptes = 2};
	fake_of(m)->rmap = (struct rmap_list){maps, 2};
}

static void test_rmaps(void **state)
{
	(void)state;
	script_rmaps();
	remember(false);
	assert_int_equal(snap_count(before, DIFF_RMAP), 2);
	compare(false);
	assert_int_equal(rows.n, 0);
	maps[1].n_sptes = 4;
	fake_of(m)->rmap.n = 2;
	maps[0].kind = RMAP_EMPTY;
	maps[0].n_sptes = 0;
	compare(false);
	assert_int_equal(rows.n, 2);
	expect_row(0, DIFF_RMAP, DIFF_CHANGED, "gfn 0x40 level 1 slot 0", "2 sptes: 0x1000 0x1008",
		   "4 sptes: 0x1000 0x1008 0x1010 …");
	expect_row(1, DIFF_RMAP, DIFF_REMOVED, "gfn 0x41 level 1 slot 0", "1 spte: 0x1020", "");
}

/* The same number of sptes, but not the same ones. */
static void test_rmap_other_spte(void **state)
{
	(void)state;
	script_rmaps();
	remember(false);
	maps[0].sptes = &chain[3];
	compare(false);
	assert_int_equal(rows.n, 1);
	expect_row(0, DIFF_RMAP, DIFF_CHANGED, "gfn 0x41 level 1 slot 0", "1 spte: 0x1020", "1 spte: 0x1018");
}

/* ---- MMIO caches */

static void test_mmio(void **state)
{
	struct mmio_info info = {.vcpu = 0,
				 .gva = 0x60000,
				 .gfn = 0xd0000,
				 .access = 6,
				 .generation = 12,
				 .current_generation = 12,
				 .valid = true};

	(void)state;
	longguest_set_pte(m, 0x60000, 0xd0000000 | PTE_P | PTE_W | PTE_U);
	fake_of(m)->mmio = (struct mmio_info_list){&info, 1};
	remember(false);
	info.current_generation = 14;
	info.valid = false;
	info.gva = 0x70000;
	compare(false);
	assert_int_equal(rows.n, 3);
	expect_row(0, DIFF_MMIO, DIFF_CHANGED, "vcpu 0 gva", "0x60000", "0x70000");
	expect_row(1, DIFF_MMIO, DIFF_CHANGED, "vcpu 0 current_generation", "0xc", "0xe");
	expect_row(2, DIFF_MMIO, DIFF_CHANGED, "vcpu 0 valid", "0x1", "0x0");
}

/* Its address bits are the guest's gpa, not a pfn. */
static void test_mmio_sptes(void **state)
{
	struct spte_info mmio = {.level = 1, .page_gfn = 0x13, .index = 96, .sptep = 0xffff888001000300, .mmio = true};
	struct mmio_info info = {.sptes = &mmio, .n_sptes = 1};

	(void)state;
	script_pages();
	pages[0].spt = 0xffff888001000000;
	remember(false);
	leaf[96] = 0x80000d0000037;
	leaf[97] = 0x1234e67;
	fake_of(m)->mmio = (struct mmio_info_list){&info, 1};
	compare(false);
	assert_int_equal(rows.n, 2);
	expect_row(0, DIFF_SPTE, DIFF_ADDED, "gfn 0x13 level 1 index 96", "", "0x80000d0000037 (MMIO)");
	expect_row(1, DIFF_SPTE, DIFF_ADDED, "gfn 0x13 level 1 index 97", "", "0x1234e67 (pfn 0x1234)");
}

/* What the debugger's own slots bring about is told from the guest's doing. */
static void test_own_pages(void **state)
{
	const struct slot_spec own = {.id = 9, .gpa = 0xfef00000, .size = 0x8000, .own = true};

	(void)state;
	assert_int_equal(machine_slot_add(m, &own, NULL, NULL), 0);
	script_pages();
	pages[0] = (struct shadow_page){
	    .gfn = 0xfee00, .level = 1, .direct = true, .tdp = true, .access = 7, .sptes = 1, .entries = leaf};
	pages[1].gfn = 0xfef03;
	remember(false);
	leaf[0x101] = 0x6fd5e67;
	leaf[0x20] = 0x6fd5e67;
	root[1] = 0x7001027;
	compare(false);
	assert_int_equal(rows.n, 3);
	expect_row(0, DIFF_SPTE, DIFF_ADDED, "gfn 0xfef03 level 4 index 1, the debugger's own", "",
		   "0x7001027 (pfn 0x7001)");
	expect_row(1, DIFF_SPTE, DIFF_ADDED, "gfn 0xfee00 level 1 tdp index 32", "", "0x6fd5e67 (pfn 0x6fd5)");
	expect_row(2, DIFF_SPTE, DIFF_ADDED, "gfn 0xfee00 level 1 tdp index 257, the debugger's own", "",
		   "0x6fd5e67 (pfn 0x6fd5)");
}

/* ---- registers */

static void test_registers(void **state)
{
	struct regs *r = &fake_of(m)->regs[0];

	(void)state;
	remember(false);
	r->gpr[RAX] = 5;
	r->rip++;
	r->msr.tsc += 1000;
	r->fpu.xmm[3][15] = 0xab;
	r->halted = true;
	compare(false);
	assert_int_equal(rows.n, 4);
	expect_row(0, DIFF_REG, DIFF_CHANGED, "vcpu 0 rax", "0x0", "0x5");
	expect_row(1, DIFF_REG, DIFF_CHANGED, "vcpu 0 rip", "0x10000", "0x10001");
	expect_row(2, DIFF_REG, DIFF_CHANGED, "vcpu 0 xmm3", "0x00000000000000000000000000000000",
		   "0xab000000000000000000000000000000");
	expect_row(3, DIFF_REG, DIFF_CHANGED, "vcpu 0 halted", "0x0", "0x1");
}

/* ---- memory */

static void test_memory(void **state)
{
	(void)state;
	longguest_poke_word(m, 0x40010, 7); /* so that the page exists */
	remember(true);
	longguest_poke_word(m, 0x40010, 1);
	compare(true);
	assert_int_equal(rows.n, 1);
	assert_int_equal(rows.v[0].part, DIFF_MEMORY);
	assert_int_equal(rows.v[0].kind, DIFF_CHANGED);
	assert_string_equal(rows.v[0].what, "gfn 0x40");
	compare(false);
	assert_int_equal(rows.n, 0);
}

/* A page that is read for the first time comes to exist, all zeroes: not a change. */
static void test_zero_pages_are_none(void **state)
{
	uint64_t word;

	(void)state;
	remember(true);
	assert_int_equal(machine_read(m, 0x1f0000, false, &word, sizeof(word), NULL), 0);
	longguest_poke_word(m, 0x1e0000, 0);
	compare(true);
	assert_int_equal(rows.n, 0);
	longguest_poke_word(m, 0x1e0000, 1);
	compare(true);
	assert_int_equal(rows.n, 1);
	assert_int_equal(rows.v[0].kind, DIFF_ADDED);
}

/* Two words of a page exchanged: a hash that only added them up would not see it. */
static void test_memory_order_matters(void **state)
{
	(void)state;
	longguest_poke_word(m, 0x40000, 1);
	longguest_poke_word(m, 0x40020, 2);
	remember(true);
	longguest_poke_word(m, 0x40000, 2);
	longguest_poke_word(m, 0x40020, 1);
	compare(true);
	assert_int_equal(rows.n, 1);
}

/* ---- what cannot be had */

static void test_missing_parts(void **state)
{
	(void)state;
	script_pages();
	script_rmaps();
	fake_of(m)->no_cap[MACHINE_CAP_RMAP] = true;
	fake_of(m)->fail_op = "shadow_pages";
	fake_of(m)->fail_code = -EPERM;
	remember(false);
	assert_string_equal(snap_missing(before, DIFF_SHADOW), "the test makes it fail");
	assert_string_equal(snap_missing(before, DIFF_SPTE), "the test makes it fail");
	assert_non_null(strstr(snap_missing(before, DIFF_RMAP), "the fake machine was told not to"));
	assert_null(snap_missing(before, DIFF_REG));
	assert_string_equal(snap_missing(before, DIFF_MEMORY), "taken without -memory");
	fake_of(m)->no_cap[MACHINE_CAP_RMAP] = false;
	fake_of(m)->fail_op = NULL;
	compare(false);
	assert_int_equal(rows.n, 0);
}

static void test_errors(void **state)
{
	struct snap *s = NULL;
	struct err e = {0};

	(void)state;
	fake_of(m)->fail_op = "shadow_pages";
	fake_of(m)->fail_code = -ENOMEM;
	assert_int_equal(snap_take(m, false, &s, &e), -ENOMEM);
	assert_int_equal(e.code, -ENOMEM);
	assert_null(s);
}

static void test_torn(void **state)
{
	(void)state;
	script_rmaps();
	remember(false);
	assert_false(snap_torn(before));
	snap_destroy(before);
	maps[0].torn = true;
	remember(false);
	assert_true(snap_torn(before));
}

/* ---- many */

#define MANY 5000

/* Every spte of ten full pages and as many rmaps, listed in descending order, half of them gone afterwards. */
static void test_many(void **state)
{
	static uint64_t entries[10][512];
	static struct shadow_page many[10];
	static struct rmap_info many_maps[MANY];

	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		for (unsigned j = 0; j < 512; j++)
			entries[i][j] = ((uint64_t)(i * 512 + j) << PAGE_SHIFT) | 0xe67;
		many[i] =
		    (struct shadow_page){.gfn = 100 - i, .level = 1, .sptes = 512, .address = i + 1, .entries = entries[i]};
	}
	for (unsigned i = 0; i < MANY; i++)
		many_maps[i] =
		    (struct rmap_info){.gfn = MANY - i, .level = 1, .kind = RMAP_ONE, .sptes = chain, .n_sptes = 1};
	fake_of(m)->shadow_pages = (struct shadow_page_list){many, 10, false};
	fake_of(m)->rmap = (struct rmap_list){many_maps, MANY};
	remember(false);
	assert_int_equal(snap_count(before, DIFF_SPTE), 5120);
	assert_int_equal(snap_count(before, DIFF_RMAP), MANY);
	fake_of(m)->shadow_pages.n = 5;
	fake_of(m)->rmap.n = MANY / 2;
	compare(false);
	assert_int_equal(rows.n, 5 + 5 * 512 + MANY / 2);
	assert_string_equal(rows.v[0].what, "gfn 0x5b level 1");
	assert_string_equal(rows.v[5].what, "gfn 0x5b level 1 index 0");
	assert_string_equal(rows.v[5 + 5 * 512].what, "gfn 0x1 level 1 slot 0");
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(diff_part_name(DIFF_SHADOW), "shadow-page");
	assert_string_equal(diff_part_name(DIFF_REG), "register");
	assert_string_equal(diff_part_name(DIFF_MEMORY), "memory");
	assert_string_equal(diff_kind_name(DIFF_ADDED), "added");
	assert_string_equal(diff_kind_name(DIFF_CHANGED), "changed");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_nothing_changed),
	    T(test_slots),
	    T(test_sptes),
	    T(test_page_made_anew),
	    T(test_empty_entries_with_suppress_ve),
	    T(test_rmaps),
	    T(test_rmap_other_spte),
	    T(test_mmio),
	    T(test_mmio_sptes),
	    T(test_own_pages),
	    T(test_registers),
	    T(test_memory),
	    T(test_memory_order_matters),
	    T(test_zero_pages_are_none),
	    T(test_missing_parts),
	    T(test_errors),
	    T(test_torn),
	    T(test_many),
	    T(test_names),
	};
	return cmocka_run_group_tests_name("snap", tests, NULL, NULL);
}
