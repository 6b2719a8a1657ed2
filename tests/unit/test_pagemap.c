/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The map of guest physical space: regions, what each page is, sums over ranges, changes and heat, dirty logs while the
 * guest stands and runs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/mapworld.h"

#define MiB 0x100000ull
#define GiB 0x40000000ull
#define TiB 0x10000000000ull

/* ---- regions */

static void check_region(const struct pagemap *map, size_t i, enum gpa_kind kind, uint64_t first, uint64_t last)
{
	const struct gpa_region *r = mapworld_region(map, i);

	assert_int_equal(r->kind, kind);
	assert_int_equal(r->first, first);
	assert_int_equal(r->last, last);
}

static void regions_and_holes(void **state)
{
	struct mapworld w = {0};
	size_t n;

	(void)state;
	mapworld_slot(&w, 1, 0x80000, 0x10000, SLOT_READONLY, SLOT_VIS_BOTH);
	mapworld_slot(&w, 0, 0x1000, 0x1000, 0, SLOT_VIS_BOTH);
	mapworld_device(&w, "scratch", 0xd0000000, 0x1000);
	mapworld_look(&w);
	pagemap_regions(w.map, &n);
	assert_int_equal(n, 7);
	check_region(w.map, 0, GPA_HOLE, 0, 0xfff);
	check_region(w.map, 1, GPA_RAM, 0x1000, 0x1fff);
	check_region(w.map, 2, GPA_HOLE, 0x2000, 0x7ffff);
	check_region(w.map, 3, GPA_ROM, 0x80000, 0x8ffff);
	check_region(w.map, 4, GPA_HOLE, 0x90000, 0xcfffffff);
	check_region(w.map, 5, GPA_DEVICE, 0xd0000000, 0xd0000fff);
	check_region(w.map, 6, GPA_HOLE, 0xd0001000, (1ull << 52) - 1);
	assert_string_equal(mapworld_region(w.map, 5)->name, "scratch");
	assert_int_equal(mapworld_region(w.map, 3)->flags, SLOT_READONLY);
	assert_int_equal(pagemap_region_at(w.map, 0), 0);
	assert_int_equal(pagemap_region_at(w.map, 0x8ffff), 3);
	assert_int_equal(pagemap_region_at(w.map, 0x90000), 4);
	assert_int_equal(pagemap_region_at(w.map, UINT64_MAX), 6);
	mapworld_close(&w);
}

static void nothing_is_one_hole(void **state)
{
	struct mapworld w = {0};
	size_t n;

	(void)state;
	w.seen.limit = 1ull << 40;
	mapworld_look(&w);
	pagemap_regions(w.map, &n);
	assert_int_equal(n, 1);
	check_region(w.map, 0, GPA_HOLE, 0, (1ull << 40) - 1);
	mapworld_close(&w);
}

/* To the end of 64 bits, and ranges that a broken kernel structure may have. */
static void odd_slots(void **state)
{
	struct mapworld w = {0};
	size_t n;

	(void)state;
	mapworld_slot(&w, 0, 0xfffffffffffff000, 0x1000, 0, SLOT_VIS_BOTH);
	mapworld_slot(&w, 1, 0xfffffffffffff000, 0x2000, 0, SLOT_VIS_BOTH);
	mapworld_slot(&w, 2, 0x1000, 0, 0, SLOT_VIS_BOTH);
	mapworld_leaf(&w, UINT64_MAX, MAP_WRITABLE, 1);
	mapworld_look(&w);
	pagemap_regions(w.map, &n);
	assert_int_equal(n, 3);
	check_region(w.map, 0, GPA_HOLE, 0, 0xffffffffffffefff);
	check_region(w.map, 1, GPA_RAM, 0xfffffffffffff000, UINT64_MAX);
	check_region(w.map, 2, GPA_RAM, 0xfffffffffffff000, UINT64_MAX);
	assert_int_equal(mapworld_region(w.map, 2)->slot, 1);
	assert_true(gpa_is_slot(mapworld_region(w.map, pagemap_region_at(w.map, UINT64_MAX))));
	assert_true(pagemap_about(w.map).torn);
	mapworld_close(&w);
}

/* SMRAM over a device and over memory that only code outside sees: each is a region, with its own pages. */
static void views_that_overlap(void **state)
{
	struct mapworld w = {0};
	size_t n;

	(void)state;
	mapworld_slot(&w, 0, 0, 0x20000, 0, SLOT_VIS_NONSMM);
	mapworld_slot(&w, 1, 0x10000, 0x4000, SLOT_SMRAM, SLOT_VIS_SMM);
	mapworld_device(&w, "vga", 0xa0000, 0x1000);
	mapworld_device(&w, "hidden", 0x12000, 0x1000); /* by a slot on each side */
	mapworld_slot(&w, 2, 0xa0000, 0x1000, SLOT_SMRAM, SLOT_VIS_SMM);
	mapworld_leaf(&w, 0x10, MAP_ACCESSED, 1);
	mapworld_leaf(&w, 0xa0, MAP_MMIO, 1);
	mapworld_table(&w, 0x11, false, true);
	mapworld_leaf(&w, 0x10, MAP_WRITABLE | MAP_DIRTY, 1);
	mapworld_leaf(&w, 0xa0, MAP_WRITABLE, 1);
	mapworld_look(&w);
	pagemap_regions(w.map, &n);
	assert_int_equal(n, 6);
	check_region(w.map, 0, GPA_RAM, 0, 0x1ffff);
	check_region(w.map, 1, GPA_RAM, 0x10000, 0x13fff);
	assert_int_equal(pagemap_region_at(w.map, 0x10000), 0);
	assert_int_equal(mapworld_region(w.map, pagemap_region_at(w.map, 0xa0000))->kind, GPA_DEVICE);
	assert_int_equal(mapworld_state(w.map, 0, 0x10), MAP_MAPPED | MAP_ACCESSED);
	assert_int_equal(mapworld_state(w.map, 1, 0x10), MAP_MAPPED | MAP_WRITABLE | MAP_DIRTY);
	assert_int_equal(mapworld_state(w.map, 1, 0x11), MAP_TABLE);
	assert_int_equal(mapworld_state(w.map, 0, 0x11), 0);
	assert_int_equal(mapworld_state(w.map, 2, 0xa0), MAP_MAPPED | MAP_WRITABLE);
	const struct gpa_region *vga = mapworld_region(w.map, pagemap_region_at(w.map, 0xa0000));
	assert_int_equal(pagemap_cell(w.map, vga, 0xa0000, 0xa0fff).bits, MAP_MMIO);
	mapworld_close(&w);
}

/* The kernel lists a slot of its own for each address space. */
static void the_same_in_both_views(void **state)
{
	struct mapworld w = {0};
	size_t n;

	(void)state;
	mapworld_slot(&w, 7, 0x1000, 0x2000, 0, SLOT_VIS_NONSMM);
	mapworld_slot(&w, 9, 0xfef00000, 0x2000, 0, SLOT_VIS_BOTH);
	mapworld_slot(&w, 9, 0xfef00000, 0x2000, 0, SLOT_VIS_BOTH);
	mapworld_slot(&w, 7, 0x1000, 0x2000, 0, SLOT_VIS_SMM);
	mapworld_slot(&w, 3, 0x8000, 0x1000, 0, SLOT_VIS_NONSMM);
	mapworld_slot(&w, 4, 0x8000, 0x1000, 0, SLOT_VIS_SMM);
	mapworld_leaf(&w, 0xfef01, MAP_WRITABLE, 1);
	mapworld_look(&w);
	pagemap_regions(w.map, &n);
	assert_int_equal(n, 8);
	check_region(w.map, 1, GPA_RAM, 0x1000, 0x2fff);
	assert_int_equal(mapworld_region(w.map, 1)->vis, SLOT_VIS_BOTH);
	check_region(w.map, 3, GPA_RAM, 0x8000, 0x8fff);
	check_region(w.map, 4, GPA_RAM, 0x8000, 0x8fff);
	check_region(w.map, 6, GPA_RAM, 0xfef00000, 0xfef01fff);
	assert_int_equal(pagemap_cell(w.map, mapworld_region(w.map, 6), 0xfef00000, 0xfef01fff).mapped, 1);
	mapworld_close(&w);
}

/* ---- pages */

static void what_a_page_is(void **state)
{
	struct mapworld w = {0};
	struct map_cell c;

	(void)state;
	mapworld_slot(&w, 0, 0, 8 * MiB, 0, SLOT_VIS_BOTH);
	mapworld_leaf(&w, 0x40, MAP_WRITABLE | MAP_DIRTY, 1);
	mapworld_leaf(&w, 0x41, 0, 1);
	mapworld_leaf(&w, 0x40, MAP_ACCESSED, 1);
	mapworld_leaf(&w, 0x200, MAP_WRITABLE, 2);
	mapworld_leaf(&w, 0x42, MAP_MMIO, 1);
	mapworld_table(&w, 0x13, false, false);
	mapworld_table(&w, 0x14, true, false);
	mapworld_armed(&w, 0x60000, 0x4800); /* in no order, and some twice */
	mapworld_armed(&w, 0x51000, 0x1000);
	mapworld_armed(&w, 0x50000, 0x1000);
	mapworld_armed(&w, 0x61000, 0x1000);
	mapworld_look(&w);
	c = mapworld_page(w.map, 0, 0x40);
	assert_int_equal(c.bits, MAP_MAPPED | MAP_WRITABLE | MAP_DIRTY | MAP_ACCESSED);
	assert_int_equal(c.sptes, 2);
	assert_int_equal(c.mapped, 1);
	assert_int_equal(mapworld_state(w.map, 0, 0x41), MAP_MAPPED);
	assert_int_equal(mapworld_state(w.map, 0, 0x42), MAP_MMIO);
	assert_int_equal(mapworld_state(w.map, 0, 0x43), 0);
	assert_int_equal(mapworld_state(w.map, 0, 0x13), MAP_TABLE);
	assert_int_equal(mapworld_state(w.map, 0, 0x14), MAP_TABLE | MAP_UNSYNC);
	assert_int_equal(mapworld_state(w.map, 0, 0x4f), 0);
	assert_int_equal(mapworld_state(w.map, 0, 0x50), MAP_ARMED);
	assert_int_equal(mapworld_state(w.map, 0, 0x51), MAP_ARMED);
	assert_int_equal(mapworld_state(w.map, 0, 0x52), 0);
	assert_int_equal(mapworld_state(w.map, 0, 0x60), MAP_ARMED);
	assert_int_equal(mapworld_state(w.map, 0, 0x64), MAP_ARMED);
	assert_int_equal(mapworld_state(w.map, 0, 0x65), 0);
	assert_int_equal(mapworld_state(w.map, 0, 0x1ff), 0);
	assert_int_equal(mapworld_state(w.map, 0, 0x200), MAP_MAPPED | MAP_WRITABLE | MAP_HUGE);
	assert_int_equal(mapworld_state(w.map, 0, 0x3ff), MAP_MAPPED | MAP_WRITABLE | MAP_HUGE);
	assert_int_equal(mapworld_state(w.map, 0, 0x400), 0);
	c = pagemap_cell(w.map, mapworld_region_of(w.map, 0), 0, UINT64_MAX);
	assert_int_equal(c.pages, 2048);
	assert_int_equal(c.mapped, 2 + 512);
	assert_int_equal(c.huge, 512);
	assert_int_equal(c.tables, 2);
	assert_int_equal(c.mmio, 1);
	assert_int_equal(c.sptes, 2);
	c = pagemap_cell(w.map, mapworld_region_of(w.map, 0), 0x3f8000, 0x407fff);
	assert_int_equal(c.pages, 16);
	assert_int_equal(c.mapped, 8);
	mapworld_close(&w);
}

/* Zapped pages and leaves whose gfn is not known map nothing that could be drawn. */
static void what_is_left_out(void **state)
{
	struct mapworld w = {0};

	(void)state;
	mapworld_slot(&w, 0, 0, MiB, 0, SLOT_VIS_BOTH);
	mapworld_table(&w, 0x13, false, false)->invalid = true;
	mapworld_leaf(&w, 0x40, MAP_WRITABLE, 1);
	mapworld_look(&w);
	assert_int_equal(pagemap_about(w.map).entries, 0);
	assert_false(pagemap_about(w.map).torn);
	mapworld_table(&w, 0x14, false, false);
	mapworld_leaf(&w, 0x41, MAP_WRITABLE, 1)->gfn_known = false;
	mapworld_look(&w);
	assert_int_equal(mapworld_page(w.map, 0, 0x41).bits, 0);
	assert_true(pagemap_about(w.map).torn);
	mapworld_close(&w);
}

/* Sums by blocks are the sums of the pages, wherever a range begins and ends. */
static void sums_agree(void **state)
{
	struct mapworld w = {0};
	struct map_cell each[512];

	(void)state;
	mapworld_slot(&w, 0, 0, 2 * MiB, 0, SLOT_VIS_BOTH);
	for (uint64_t gfn = 0; gfn < 512; gfn++)
		for (uint64_t k = 0; k < gfn * 7919 % 5; k++)
			mapworld_leaf(&w, gfn, k & 1 ? MAP_WRITABLE : MAP_DIRTY, 1);
	mapworld_look(&w);
	for (uint64_t gfn = 0; gfn < 512; gfn++)
		each[gfn] = mapworld_page(w.map, 0, gfn);
	for (uint64_t first = 0; first < 512; first += 13)
		for (uint64_t last = first; last < 512; last += 29) {
			struct map_cell c = pagemap_cell(w.map, mapworld_region_of(w.map, 0), first << 12, (last << 12) + 1);
			struct map_cell sum = {.bits = 0};

			for (uint64_t i = first; i <= last; i++) {
				sum.bits |= each[i].bits;
				sum.mapped += each[i].mapped;
				sum.writable += each[i].writable;
				sum.dirty += each[i].dirty;
				sum.sptes = MAX(sum.sptes, each[i].sptes);
			}
			assert_int_equal(c.pages, last - first + 1);
			assert_int_equal(c.bits, sum.bits);
			assert_int_equal(c.mapped, sum.mapped);
			assert_int_equal(c.writable, sum.writable);
			assert_int_equal(c.dirty, sum.dirty);
			assert_int_equal(c.sptes, sum.sptes);
		}
	mapworld_close(&w);
}

/* What is kept goes by what is mapped; a whole screen of cells finds every page. */
static void one_tib_of_slots(void **state)
{
	struct mapworld w = {0};
	uint64_t mapped = 0;
	const size_t n = 100000;

	(void)state;
	mapworld_spread(&w, TiB, n);
	mapworld_look(&w);
	assert_int_equal(pagemap_about(w.map).entries, n);
	for (uint32_t slot = 0; slot < 4; slot++)
		for (uint64_t at = 0; at < 1200; at++) {
			const struct gpa_region *r = mapworld_region_of(w.map, slot);
			uint64_t span = (TiB / 4 / 1200) & ~PAGE_OFFSET_MASK, first = r->first + at * span;

			mapped += pagemap_cell(w.map, r, first, at == 1199 ? r->last : first + span - 1).mapped;
		}
	assert_int_equal(mapped, n);
	mapworld_close(&w);
}

/* ---- changes */

static void changes_and_heat(void **state)
{
	struct mapworld w = {0};

	(void)state;
	mapworld_slot(&w, 0, 0, MiB, 0, SLOT_VIS_BOTH);
	mapworld_leaf(&w, 0x40, 0, 1);
	mapworld_leaf(&w, 0x41, 0, 1);
	mapworld_look(&w);
	assert_int_equal(mapworld_page(w.map, 0, 0x40).bits, MAP_MAPPED); /* nothing to compare with */
	mapworld_look(&w);
	assert_int_equal(mapworld_page(w.map, 0, 0x40).bits, MAP_MAPPED);
	assert_int_equal(mapworld_page(w.map, 0, 0x40).heat, 0);

	mapworld_forget(&w); /* 0x40 is written, 0x41 unmapped, 0x42 mapped */
	mapworld_leaf(&w, 0x40, MAP_WRITABLE | MAP_DIRTY, 1);
	mapworld_leaf(&w, 0x42, 0, 1);
	mapworld_look(&w);
	assert_int_equal(mapworld_page(w.map, 0, 0x40).bits, MAP_MAPPED | MAP_WRITABLE | MAP_DIRTY | MAP_CHANGED);
	assert_int_equal(mapworld_page(w.map, 0, 0x41).bits, MAP_CHANGED);
	assert_int_equal(mapworld_page(w.map, 0, 0x42).bits, MAP_MAPPED | MAP_CHANGED);
	assert_int_equal(mapworld_page(w.map, 0, 0x43).bits, 0);
	assert_int_equal(mapworld_page(w.map, 0, 0x40).heat, 2);
	assert_int_equal(mapworld_page(w.map, 0, 0x41).heat, 2);

	mapworld_look(&w);
	assert_int_equal(mapworld_page(w.map, 0, 0x40).bits, MAP_MAPPED | MAP_WRITABLE | MAP_DIRTY);
	assert_int_equal(mapworld_page(w.map, 0, 0x41).bits, 0);
	assert_int_equal(mapworld_page(w.map, 0, 0x41).heat, 1);
	assert_int_equal(pagemap_about(w.map).entries, 3);
	mapworld_look(&w);
	assert_int_equal(mapworld_page(w.map, 0, 0x41).heat, 0);
	assert_int_equal(pagemap_about(w.map).entries, 2); /* nothing is kept of what is gone and cold */

	for (int i = 0; i < 9; i++) { /* as hot as can be */
		mapworld_leaf(&w, 0x42, 0, 1);
		mapworld_look(&w);
	}
	assert_int_equal(mapworld_page(w.map, 0, 0x42).heat, MAP_HEAT_MAX);
	assert_int_equal(mapworld_page(w.map, 0, 0x42).sptes, 10);
	assert_int_equal(pagemap_about(w.map).looks, 14);
	mapworld_close(&w);
}

/* ---- dirty logs */

static uint64_t logged(const struct pagemap *map, uint64_t first, uint64_t last)
{
	return pagemap_cell(map, mapworld_region_of(map, 3), 0x100000 + first * 0x1000, 0x100000 + last * 0x1000 + 0xfff)
	    .logged;
}

static void dirty_logs(void **state)
{
	static const uint64_t set[] = {0, 1, 63, 64, 511, 512, 5000, 9999};
	struct mapworld w = {0};

	(void)state;
	mapworld_slot(&w, 3, 0x100000, 10000 * 0x1000, SLOT_LOG_DIRTY, SLOT_VIS_BOTH);
	mapworld_slot(&w, 4, 0x10000000, 0x1000, 0, SLOT_VIS_BOTH);
	mapworld_log(&w, 3, 10000, set, ARRAY_LEN(set));
	mapworld_look(&w);
	assert_int_equal(mapworld_log_state(w.map, 3), MAP_LOG_KNOWN);
	assert_int_equal(mapworld_log_state(w.map, 4), MAP_LOG_NONE);
	for (size_t i = 0; i < ARRAY_LEN(set); i++) {
		assert_int_equal(logged(w.map, set[i], set[i]), 1);
		assert_int_equal(logged(w.map, 0, set[i]), i + 1);
		assert_int_equal(logged(w.map, set[i], 9999), ARRAY_LEN(set) - i);
	}
	assert_int_equal(logged(w.map, 2, 62), 0);
	assert_int_equal(logged(w.map, 513, 4999), 0);
	assert_int_equal(mapworld_page(w.map, 3, 0x100).bits, MAP_LOGGED);
	mapworld_close(&w);
}

/* While the guest runs the log is not told: what was in it stays, and what sptes show as written is in it too. */
static void logs_while_it_runs(void **state)
{
	static const uint64_t set[] = {1, 600};
	struct mapworld w = {0};

	(void)state;
	mapworld_slot(&w, 3, 0x100000, 2000 * 0x1000, SLOT_LOG_DIRTY, SLOT_VIS_BOTH);
	w.seen.live = true;
	mapworld_look(&w);
	assert_int_equal(mapworld_log_state(w.map, 3), MAP_LOG_UNKNOWN);
	w.seen.live = false;
	mapworld_log(&w, 3, 2000, set, ARRAY_LEN(set));
	mapworld_look(&w);
	assert_int_equal(mapworld_log_state(w.map, 3), MAP_LOG_KNOWN);
	mapworld_unlog(&w);
	w.seen.live = true;
	mapworld_leaf(&w, 0x102, MAP_WRITABLE | MAP_DIRTY, 1);
	mapworld_leaf(&w, 0x103, MAP_WRITABLE, 1);
	mapworld_leaf(&w, 0x100 + 1999, MAP_WRITABLE | MAP_DIRTY, 1);
	mapworld_leaf(&w, 0x100 + 2000, MAP_WRITABLE | MAP_DIRTY, 1);
	mapworld_look(&w);
	assert_int_equal(mapworld_log_state(w.map, 3), MAP_LOG_OLD);
	assert_int_equal(logged(w.map, 0, 1999), 4);
	for (uint64_t i = 0; i < 4; i++)
		assert_int_equal(logged(w.map, i, i), i == 1 || i == 2);
	assert_int_equal(logged(w.map, 600, 600), 1);
	mapworld_forget(&w);
	mapworld_look(&w); /* they stay in it when their sptes are gone */
	assert_int_equal(logged(w.map, 0, 1999), 4);
	w.seen.live = false;
	mapworld_look(&w);
	assert_int_equal(mapworld_log_state(w.map, 3), MAP_LOG_UNKNOWN);
	mapworld_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(regions_and_holes),
	    cmocka_unit_test(nothing_is_one_hole),
	    cmocka_unit_test(odd_slots),
	    cmocka_unit_test(views_that_overlap),
	    cmocka_unit_test(the_same_in_both_views),
	    cmocka_unit_test(what_a_page_is),
	    cmocka_unit_test(what_is_left_out),
	    cmocka_unit_test(sums_agree),
	    cmocka_unit_test(one_tib_of_slots),
	    cmocka_unit_test(changes_and_heat),
	    cmocka_unit_test(dirty_logs),
	    cmocka_unit_test(logs_while_it_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
