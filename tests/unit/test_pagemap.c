/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The map of guest physical space: regions, what each page is, sums over ranges, changes and heat, dirty logs while the
 * guest stands and runs, looks at the soft and the fake machine, parts that fail.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/board/board.h"
#include "tests/support/fake.h"
#include "tests/support/mapworld.h"
#include "tests/support/softguest.h"

#define GiB 0x40000000ull
#define TiB 0x10000000000ull

static const struct map_region *region(const struct pagemap *map, size_t i)
{
	size_t n;
	const struct map_region *r = pagemap_regions(map, &n);

	assert_true(i < n);
	return &r[i];
}

static const struct map_region *slot_region(const struct pagemap *map, uint32_t id)
{
	size_t n;
	const struct map_region *r = pagemap_regions(map, &n);

	for (size_t i = 0; i < n; i++)
		if (r[i].kind == MAP_SLOT && r[i].slot == id)
			return &r[i];
	fail_msg("no slot %u", id);
	return NULL;
}

static struct map_cell page(const struct pagemap *map, uint32_t slot, uint64_t gfn)
{
	return pagemap_cell(map, slot_region(map, slot), gfn << PAGE_SHIFT, (gfn << PAGE_SHIFT) + PAGE_OFFSET_MASK);
}

static uint32_t state_of(const struct pagemap *map, uint32_t slot, uint64_t gfn)
{
	return page(map, slot, gfn).bits & ~(uint32_t)MAP_CHANGED;
}

/* ---- regions */

static void check_region(const struct pagemap *map, size_t i, enum map_region_kind kind, uint64_t first, uint64_t last)
{
	const struct map_region *r = region(map, i);

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
	check_region(w.map, 0, MAP_HOLE, 0, 0xfff);
	check_region(w.map, 1, MAP_SLOT, 0x1000, 0x1fff);
	check_region(w.map, 2, MAP_HOLE, 0x2000, 0x7ffff);
	check_region(w.map, 3, MAP_SLOT, 0x80000, 0x8ffff);
	check_region(w.map, 4, MAP_HOLE, 0x90000, 0xcfffffff);
	check_region(w.map, 5, MAP_DEVICE, 0xd0000000, 0xd0000fff);
	check_region(w.map, 6, MAP_HOLE, 0xd0001000, (1ull << 52) - 1);
	assert_string_equal(region(w.map, 5)->name, "scratch");
	assert_int_equal(region(w.map, 3)->flags, SLOT_READONLY);
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
	check_region(w.map, 0, MAP_HOLE, 0, (1ull << 40) - 1);
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
	assert_int_equal(n, 2);
	check_region(w.map, 0, MAP_HOLE, 0, 0xffffffffffffefff);
	check_region(w.map, 1, MAP_SLOT, 0xfffffffffffff000, UINT64_MAX);
	assert_int_equal(pagemap_region_at(w.map, UINT64_MAX), 1);
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
	mapworld_slot(&w, 2, 0xa0000, 0x1000, SLOT_SMRAM, SLOT_VIS_SMM);
	mapworld_leaf(&w, 0x10, MAP_ACCESSED, 1);
	mapworld_leaf(&w, 0xa0, MAP_MMIO, 1);
	mapworld_table(&w, 0x11, false, true);
	mapworld_leaf(&w, 0x10, MAP_WRITABLE | MAP_DIRTY, 1);
	mapworld_leaf(&w, 0xa0, MAP_WRITABLE, 1);
	mapworld_look(&w);
	pagemap_regions(w.map, &n);
	assert_int_equal(n, 6);
	check_region(w.map, 0, MAP_SLOT, 0, 0x1ffff);
	check_region(w.map, 1, MAP_SLOT, 0x10000, 0x13fff);
	assert_int_equal(pagemap_region_at(w.map, 0x10000), 0);
	assert_int_equal(region(w.map, pagemap_region_at(w.map, 0xa0000))->kind, MAP_DEVICE);
	assert_int_equal(state_of(w.map, 0, 0x10), MAP_MAPPED | MAP_ACCESSED);
	assert_int_equal(state_of(w.map, 1, 0x10), MAP_MAPPED | MAP_WRITABLE | MAP_DIRTY);
	assert_int_equal(state_of(w.map, 1, 0x11), MAP_TABLE);
	assert_int_equal(state_of(w.map, 0, 0x11), 0);
	assert_int_equal(state_of(w.map, 2, 0xa0), MAP_MAPPED | MAP_WRITABLE);
	const struct map_region *vga = region(w.map, pagemap_region_at(w.map, 0xa0000));
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
	check_region(w.map, 1, MAP_SLOT, 0x1000, 0x2fff);
	assert_int_equal(region(w.map, 1)->vis, SLOT_VIS_BOTH);
	check_region(w.map, 3, MAP_SLOT, 0x8000, 0x8fff);
	check_region(w.map, 4, MAP_SLOT, 0x8000, 0x8fff);
	check_region(w.map, 6, MAP_SLOT, 0xfef00000, 0xfef01fff);
	assert_int_equal(pagemap_cell(w.map, region(w.map, 6), 0xfef00000, 0xfef01fff).mapped, 1);
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
	c = page(w.map, 0, 0x40);
	assert_int_equal(c.bits, MAP_MAPPED | MAP_WRITABLE | MAP_DIRTY | MAP_ACCESSED);
	assert_int_equal(c.sptes, 2);
	assert_int_equal(c.mapped, 1);
	assert_int_equal(state_of(w.map, 0, 0x41), MAP_MAPPED);
	assert_int_equal(state_of(w.map, 0, 0x42), MAP_MMIO);
	assert_int_equal(state_of(w.map, 0, 0x43), 0);
	assert_int_equal(state_of(w.map, 0, 0x13), MAP_TABLE);
	assert_int_equal(state_of(w.map, 0, 0x14), MAP_TABLE | MAP_UNSYNC);
	assert_int_equal(state_of(w.map, 0, 0x4f), 0);
	assert_int_equal(state_of(w.map, 0, 0x50), MAP_ARMED);
	assert_int_equal(state_of(w.map, 0, 0x51), MAP_ARMED);
	assert_int_equal(state_of(w.map, 0, 0x52), 0);
	assert_int_equal(state_of(w.map, 0, 0x60), MAP_ARMED);
	assert_int_equal(state_of(w.map, 0, 0x64), MAP_ARMED);
	assert_int_equal(state_of(w.map, 0, 0x65), 0);
	assert_int_equal(state_of(w.map, 0, 0x1ff), 0);
	assert_int_equal(state_of(w.map, 0, 0x200), MAP_MAPPED | MAP_WRITABLE | MAP_HUGE);
	assert_int_equal(state_of(w.map, 0, 0x3ff), MAP_MAPPED | MAP_WRITABLE | MAP_HUGE);
	assert_int_equal(state_of(w.map, 0, 0x400), 0);
	c = pagemap_cell(w.map, slot_region(w.map, 0), 0, UINT64_MAX);
	assert_int_equal(c.pages, 2048);
	assert_int_equal(c.mapped, 2 + 512);
	assert_int_equal(c.huge, 512);
	assert_int_equal(c.tables, 2);
	assert_int_equal(c.mmio, 1);
	assert_int_equal(c.sptes, 2);
	c = pagemap_cell(w.map, slot_region(w.map, 0), 0x3f8000, 0x407fff);
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
	assert_int_equal(page(w.map, 0, 0x41).bits, 0);
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
		each[gfn] = page(w.map, 0, gfn);
	for (uint64_t first = 0; first < 512; first += 13)
		for (uint64_t last = first; last < 512; last += 29) {
			struct map_cell c = pagemap_cell(w.map, slot_region(w.map, 0), first << 12, (last << 12) + 1);
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
			const struct map_region *r = slot_region(w.map, slot);
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
	assert_int_equal(page(w.map, 0, 0x40).bits, MAP_MAPPED); /* nothing to compare with */
	mapworld_look(&w);
	assert_int_equal(page(w.map, 0, 0x40).bits, MAP_MAPPED);
	assert_int_equal(page(w.map, 0, 0x40).heat, 0);

	mapworld_forget(&w); /* 0x40 is written, 0x41 unmapped, 0x42 mapped */
	mapworld_leaf(&w, 0x40, MAP_WRITABLE | MAP_DIRTY, 1);
	mapworld_leaf(&w, 0x42, 0, 1);
	mapworld_look(&w);
	assert_int_equal(page(w.map, 0, 0x40).bits, MAP_MAPPED | MAP_WRITABLE | MAP_DIRTY | MAP_CHANGED);
	assert_int_equal(page(w.map, 0, 0x41).bits, MAP_CHANGED);
	assert_int_equal(page(w.map, 0, 0x42).bits, MAP_MAPPED | MAP_CHANGED);
	assert_int_equal(page(w.map, 0, 0x43).bits, 0);
	assert_int_equal(page(w.map, 0, 0x40).heat, 2);
	assert_int_equal(page(w.map, 0, 0x41).heat, 2);

	mapworld_look(&w);
	assert_int_equal(page(w.map, 0, 0x40).bits, MAP_MAPPED | MAP_WRITABLE | MAP_DIRTY);
	assert_int_equal(page(w.map, 0, 0x41).bits, 0);
	assert_int_equal(page(w.map, 0, 0x41).heat, 1);
	assert_int_equal(pagemap_about(w.map).entries, 3);
	mapworld_look(&w);
	assert_int_equal(page(w.map, 0, 0x41).heat, 0);
	assert_int_equal(pagemap_about(w.map).entries, 2); /* nothing is kept of what is gone and cold */

	for (int i = 0; i < 9; i++) { /* as hot as can be */
		mapworld_leaf(&w, 0x42, 0, 1);
		mapworld_look(&w);
	}
	assert_int_equal(page(w.map, 0, 0x42).heat, MAP_HEAT_MAX);
	assert_int_equal(page(w.map, 0, 0x42).sptes, 10);
	assert_int_equal(pagemap_about(w.map).looks, 14);
	mapworld_close(&w);
}

/* ---- dirty logs */

static uint64_t logged(const struct pagemap *map, uint64_t first, uint64_t last)
{
	return pagemap_cell(map, slot_region(map, 3), 0x100000 + first * 0x1000, 0x100000 + last * 0x1000 + 0xfff).logged;
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
	assert_int_equal(slot_region(w.map, 3)->log, MAP_LOG_KNOWN);
	assert_int_equal(slot_region(w.map, 4)->log, MAP_LOG_NONE);
	for (size_t i = 0; i < ARRAY_LEN(set); i++) {
		assert_int_equal(logged(w.map, set[i], set[i]), 1);
		assert_int_equal(logged(w.map, 0, set[i]), i + 1);
		assert_int_equal(logged(w.map, set[i], 9999), ARRAY_LEN(set) - i);
	}
	assert_int_equal(logged(w.map, 2, 62), 0);
	assert_int_equal(logged(w.map, 513, 4999), 0);
	assert_int_equal(page(w.map, 3, 0x100).bits, MAP_LOGGED);
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
	assert_int_equal(slot_region(w.map, 3)->log, MAP_LOG_UNKNOWN);
	w.seen.live = false;
	mapworld_log(&w, 3, 2000, set, ARRAY_LEN(set));
	mapworld_look(&w);
	assert_int_equal(slot_region(w.map, 3)->log, MAP_LOG_KNOWN);
	mapworld_unlog(&w);
	w.seen.live = true;
	mapworld_leaf(&w, 0x102, MAP_WRITABLE | MAP_DIRTY, 1);
	mapworld_leaf(&w, 0x103, MAP_WRITABLE, 1);
	mapworld_leaf(&w, 0x100 + 1999, MAP_WRITABLE | MAP_DIRTY, 1);
	mapworld_leaf(&w, 0x100 + 2000, MAP_WRITABLE | MAP_DIRTY, 1);
	mapworld_look(&w);
	assert_int_equal(slot_region(w.map, 3)->log, MAP_LOG_OLD);
	assert_int_equal(logged(w.map, 0, 1999), 4);
	for (uint64_t i = 0; i < 4; i++)
		assert_int_equal(logged(w.map, i, i), i == 1 || i == 2);
	assert_int_equal(logged(w.map, 600, 600), 1);
	mapworld_forget(&w);
	mapworld_look(&w); /* they stay in it when their sptes are gone */
	assert_int_equal(logged(w.map, 0, 1999), 4);
	w.seen.live = false;
	mapworld_look(&w);
	assert_int_equal(slot_region(w.map, 3)->log, MAP_LOG_UNKNOWN);
	mapworld_close(&w);
}

/* ---- machines */

static void look(struct pagemap **map, struct machine *m)
{
	struct err e = {0};

	if (pagemap_look(map, m, &e))
		fail_msg("%s: %s", e.what, e.why);
}

static void the_tour(void **state)
{
	struct machine *m = mapworld_tour();
	struct rmap_list rmaps = {0};
	struct pagemap *map = NULL;
	size_t mapped = 0;

	(void)state;
	look(&map, m);
	struct map_about about = pagemap_about(map);
	assert_false(about.live || about.torn);
	assert_int_equal(about.source, SOURCE_SOFT);
	for (unsigned i = 0; i < MAP_PARTS; i++)
		assert_null(about.why[i]);
	assert_int_equal(page(map, 0, 0x40).sptes, 2);
	assert_true(page(map, 0, 0x40).bits & MAP_DIRTY);
	assert_true(page(map, 0, 0x13).bits & MAP_TABLE);
	assert_int_equal(slot_region(map, 1)->first, 0x80000);
	assert_int_equal(slot_region(map, 1)->flags, SLOT_READONLY);
	assert_true(page(map, 1, 0x80).bits & MAP_MAPPED);
	assert_false(page(map, 1, 0x80).bits & MAP_WRITABLE);
	assert_true(page(map, 1, 0x81).bits & MAP_MAPPED);
	assert_int_equal(page(map, 1, 0x82).bits, 0);
	const struct map_region *dev = region(map, pagemap_region_at(map, 0xd0000000));
	assert_int_equal(dev->kind, MAP_DEVICE);
	/* Sptes of all pages are the reverse maps of all gfns. */
	assert_int_equal(machine_rmap_all(m, &rmaps, NULL), 0);
	for (size_t i = 0; i < rmaps.n; i++)
		assert_int_equal(page(map, rmaps.v[i].slot, rmaps.v[i].gfn).sptes, rmaps.v[i].n_sptes);
	mapped += pagemap_cell(map, slot_region(map, 0), 0, UINT64_MAX).mapped;
	mapped += pagemap_cell(map, slot_region(map, 1), 0, UINT64_MAX).mapped;
	assert_int_equal(mapped, rmaps.n);
	rmap_list_free(&rmaps);
	pagemap_destroy(map);
	machine_destroy(m);
}

static void same_sptes(const struct shadow_page_list *a, const struct shadow_page_list *b)
{
	assert_int_equal(a->n, b->n);
	for (size_t i = 0; i < a->n; i++)
		assert_memory_equal(a->v[i].entries, b->v[i].entries, 512 * sizeof(uint64_t));
}

/* A look changes nothing: no spte, no log, and so nothing that the next one would see. */
static void looks_leave_no_trace(void **state)
{
	struct machine *m = mapworld_tour();
	struct shadow_page_list before, after;
	struct pagemap *map = NULL;

	(void)state;
	assert_int_equal(machine_slot_flags(m, 0, SLOT_LOG_DIRTY, 0, 0, NULL, NULL), 0);
	assert_int_equal(machine_shadow_pages(m, SHADOW_WITH_ENTRIES, &before, NULL), 0);
	for (int i = 0; i < 3; i++) {
		look(&map, m);
		assert_int_equal(slot_region(map, 0)->log, MAP_LOG_KNOWN);
		for (uint64_t gfn = 0; gfn < 0x80; gfn++)
			assert_false(page(map, 0, gfn).bits & MAP_CHANGED);
	}
	assert_int_equal(machine_shadow_pages(m, SHADOW_WITH_ENTRIES, &after, NULL), 0);
	same_sptes(&before, &after);
	shadow_page_list_free(&before);
	shadow_page_list_free(&after);
	pagemap_destroy(map);
	machine_destroy(m);
}

/* The store that the guest makes between two looks is a change of its page, and in the log. */
static void a_write_is_seen(void **state)
{
	struct machine *m = fake_create(1);
	struct spte_info leaf = {.gfn = 4, .gfn_known = true, .level = 1, .present = true, .leaf = true};
	struct shadow_page sp = {.level = 1, .direct = true, .leaves = &leaf, .n_leaves = 1};
	struct pagemap *map = NULL;
	const uint8_t byte = 1;

	(void)state;
	fake_add_slot(m, 0, 0, 0x10000, SLOT_LOG_DIRTY);
	fake_of(m)->shadow_pages = (struct shadow_page_list){.v = &sp, .n = 1};
	look(&map, m);
	assert_int_equal(page(map, 0, 4).bits, MAP_MAPPED);
	fake_guest_write(m, 0x4008, &byte, 1);
	leaf.writable = leaf.dirty = true;
	look(&map, m);
	assert_int_equal(page(map, 0, 4).bits, MAP_MAPPED | MAP_WRITABLE | MAP_DIRTY | MAP_LOGGED | MAP_CHANGED);
	assert_int_equal(page(map, 0, 5).bits, 0);
	pagemap_destroy(map);
	machine_destroy(m);
}

/* A guest that writes page after page, looked at while it does: all of one moment, in the log by what sptes show. */
static void while_the_guest_runs(void **state)
{
	/* mov edi, 0x20000; l: mov [rdi], rdi; add rdi, 0x1000; cmp rdi, 0x40000; jne l; jmp $ */
	static const uint8_t code[] = {0xbf, 0x00, 0x00, 0x02, 0x00, 0x48, 0x89, 0x3f, 0x48, 0x81, 0xc7, 0x00, 0x10,
				       0x00, 0x00, 0x48, 0x81, 0xff, 0x00, 0x00, 0x04, 0x00, 0x75, 0xed, 0xeb, 0xfe};
	const struct run_job job = {.kind = RUN_CONTINUE, .passed = RUN_PASSED_ALL};
	struct pagemap *map = NULL;
	struct err e = {0};
	struct cpu c;

	(void)state;
	cpu_open(&c, LONG, 0);
	cpu_poke(&c, CODE, code, sizeof(code));
	cpu_ok(machine_slot_flags(c.m, 0, SLOT_LOG_DIRTY, 0, 0, NULL, &e), &e);
	look(&map, c.m);
	assert_false(page(map, 0, 0x3f).bits & MAP_MAPPED);
	cpu_ok(machine_start(c.m, &job, RUN_RUNNER, &e), &e);
	do {
		look(&map, c.m);
		assert_true(pagemap_about(map).live && !pagemap_about(map).torn);
		assert_null(pagemap_about(map).why[MAP_PART_SPTES]);
	} while (!(page(map, 0, 0x3f).bits & MAP_DIRTY));
	assert_int_equal(slot_region(map, 0)->log, MAP_LOG_OLD);
	assert_int_equal(pagemap_cell(map, slot_region(map, 0), 0x20000, 0x3ffff).logged, 32);
	machine_interrupt(c.m);
	cpu_ok(machine_wait(c.m, &c.stop, &e), &e);
	look(&map, c.m);
	assert_int_equal(slot_region(map, 0)->log, MAP_LOG_KNOWN);
	assert_int_equal(pagemap_cell(map, slot_region(map, 0), 0x20000, 0x3ffff).logged, 32);
	pagemap_destroy(map);
	cpu_close(&c);
}

static void parts_that_fail(void **state)
{
	static const struct {
		const char *op;
		enum map_part part;
	} c[] = {{"shadow_pages", MAP_PART_SPTES}, {"mmio", MAP_PART_MMIO}, {"slot_dirty", MAP_PART_LOG}};
	struct machine *m = fake_create(1);
	struct pagemap *map = NULL;

	(void)state;
	fake_add_slot(m, 0, 0, 0x10000, SLOT_LOG_DIRTY);
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		fake_of(m)->fail_op = c[i].op;
		fake_of(m)->fail_code = -EIO;
		look(&map, m);
		for (unsigned k = 0; k < MAP_PARTS; k++)
			assert_int_equal(pagemap_about(map).why[k] != NULL, k == c[i].part);
		assert_int_equal(page(map, 0, 4).bits, c[i].part == MAP_PART_SPTES ? MAP_UNKNOWN : 0);
		assert_int_equal(slot_region(map, 0)->log, c[i].part == MAP_PART_LOG ? MAP_LOG_UNKNOWN : MAP_LOG_KNOWN);
	}
	fake_of(m)->fail_op = NULL;
	fake_of(m)->no_cap[MACHINE_CAP_SHADOW] = true;
	look(&map, m);
	assert_non_null(strstr(pagemap_about(map).why[MAP_PART_SPTES], "not supported by this backend"));
	assert_int_equal(page(map, 0, 4).bits, MAP_UNKNOWN);
	pagemap_destroy(map);
	machine_destroy(m);
}

/* What comes back after a look that failed is not taken for changed. */
static void no_change_behind_a_failure(void **state)
{
	struct mapworld w = {0};

	(void)state;
	mapworld_slot(&w, 0, 0, MiB, 0, SLOT_VIS_BOTH);
	mapworld_leaf(&w, 0x40, 0, 1);
	mapworld_look(&w);
	mapworld_forget(&w);
	strcpy(w.seen.why[MAP_PART_SPTES], "the guest runs");
	mapworld_look(&w);
	assert_int_equal(page(w.map, 0, 0x40).bits, MAP_UNKNOWN);
	assert_string_equal(pagemap_about(w.map).why[MAP_PART_SPTES], "the guest runs");
	w.seen.why[MAP_PART_SPTES][0] = '\0';
	mapworld_leaf(&w, 0x40, 0, 1);
	mapworld_look(&w);
	assert_int_equal(page(w.map, 0, 0x40).bits, MAP_MAPPED);
	mapworld_close(&w);
}

static void torn_lists(void **state)
{
	struct mapworld w = {0};

	(void)state;
	mapworld_slot(&w, 0, 0, MiB, 0, SLOT_VIS_BOTH);
	mapworld_look(&w);
	assert_false(pagemap_about(w.map).torn);
	w.seen.pages.torn = true;
	mapworld_look(&w);
	assert_true(pagemap_about(w.map).torn);
	w.seen.pages.torn = false;
	w.seen.slots.v[0].torn = true;
	mapworld_look(&w);
	assert_true(pagemap_about(w.map).torn);
	mapworld_close(&w);
}

/* Pages of watchpoints, by what the tables say of a virtual address: gva 0x240000 is gpa 0x40000. */
static void watched_pages(void **state)
{
	struct machine *m = mapworld_tour();
	struct plant gva = {.id = 1, .kind = PLANT_WRITE, .addr = 0x240ffc, .len = 8};
	struct plant gpa = {.id = 2, .kind = PLANT_ACCESS, .addr = 0x60ff8, .len = 16, .phys = true};
	struct pagemap *map = NULL;

	(void)state;
	assert_int_equal(machine_plant(m, &gva, NULL), 0);
	assert_int_equal(machine_plant(m, &gpa, NULL), 0);
	look(&map, m);
	for (uint64_t gfn = 0; gfn < 0x80; gfn++)
		assert_int_equal(!(page(map, 0, gfn).bits & MAP_ARMED), gfn != 0x40 && gfn != 0x60 && gfn != 0x61);
	assert_int_equal(machine_unplant(m, 1, NULL), 0);
	look(&map, m);
	assert_false(page(map, 0, 0x40).bits & MAP_ARMED);
	pagemap_destroy(map);
	machine_destroy(m);
}

/* Pages on which faults are caught, and the page that a vCPU's MMIO cache has. */
static void armed_and_cached(void **state)
{
	struct machine *m = fake_create(1);
	const struct fault_filter f[] = {{.first = 4, .last = 5}, {.gva = true, .first = 7, .last = 7}};
	struct mmio_info cache = {.gva = 0x260000, .gfn = 0xd0000, .valid = true};
	struct pagemap *map = NULL;
	struct err e = {0};

	(void)state;
	fake_add_slot(m, 0, 0, 0x10000, 0);
	fake_of(m)->mmio = (struct mmio_info_list){.v = &cache, .n = 1};
	assert_int_equal(machine_fault_catch(m, f, 2, &e), 0);
	look(&map, m);
	for (uint64_t gfn = 0; gfn < 8; gfn++)
		assert_int_equal(page(map, 0, gfn).bits, gfn == 4 || gfn == 5 ? MAP_ARMED : 0);
	const struct map_region *dev = region(map, pagemap_region_at(map, 0xd0000000));
	assert_int_equal(dev->kind, MAP_DEVICE);
	assert_string_equal(dev->name, "scratch");
	assert_int_equal(pagemap_cell(map, dev, dev->first, dev->last).bits, MAP_MMIO);
	cache.valid = false;
	look(&map, m);
	dev = region(map, pagemap_region_at(map, 0xd0000000));
	assert_int_equal(pagemap_cell(map, dev, dev->first, dev->last).mmio, 0);
	pagemap_destroy(map);
	machine_destroy(m);
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
	    cmocka_unit_test(the_tour),
	    cmocka_unit_test(looks_leave_no_trace),
	    cmocka_unit_test(a_write_is_seen),
	    cmocka_unit_test(while_the_guest_runs),
	    cmocka_unit_test(parts_that_fail),
	    cmocka_unit_test(no_change_behind_a_failure),
	    cmocka_unit_test(torn_lists),
	    cmocka_unit_test(watched_pages),
	    cmocka_unit_test(armed_and_cached),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
