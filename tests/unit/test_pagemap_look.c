/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The map of guest physical space, of the soft and the fake machine: what a look finds, that it leaves no trace, parts that
 * fail.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/board/board.h"
#include "tests/support/demo.h"
#include "tests/support/fake.h"
#include "tests/support/mapworld.h"
#include "tests/support/softguest.h"

static void look(struct pagemap **map, struct machine *m)
{
	struct err e = {0};

	if (pagemap_look(map, m, &e))
		fail_msg("%s: %s", e.what, e.why);
}

static void the_tour(void **state)
{
	struct machine *m = demo_run("demo:tour");
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
	assert_int_equal(mapworld_page(map, 0, 0x40).sptes, 2);
	assert_true(mapworld_page(map, 0, 0x40).bits & MAP_DIRTY);
	assert_true(mapworld_page(map, 0, 0x13).bits & MAP_TABLE);
	assert_int_equal(mapworld_region_of(map, 1)->first, 0x80000);
	assert_int_equal(mapworld_region_of(map, 1)->flags, SLOT_READONLY);
	assert_true(mapworld_page(map, 1, 0x80).bits & MAP_MAPPED);
	assert_false(mapworld_page(map, 1, 0x80).bits & MAP_WRITABLE);
	assert_true(mapworld_page(map, 1, 0x81).bits & MAP_MAPPED);
	assert_int_equal(mapworld_page(map, 1, 0x82).bits, 0);
	const struct gpa_region *dev = mapworld_region(map, pagemap_region_at(map, 0xd0000000));
	assert_int_equal(dev->kind, GPA_DEVICE);
	/* Sptes of all pages are the reverse maps of all gfns. */
	assert_int_equal(machine_rmap_all(m, &rmaps, NULL), 0);
	for (size_t i = 0; i < rmaps.n; i++)
		assert_int_equal(mapworld_page(map, rmaps.v[i].slot, rmaps.v[i].gfn).sptes, rmaps.v[i].n_sptes);
	mapped += pagemap_cell(map, mapworld_region_of(map, 0), 0, UINT64_MAX).mapped;
	mapped += pagemap_cell(map, mapworld_region_of(map, 1), 0, UINT64_MAX).mapped;
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
	struct machine *m = demo_run("demo:tour");
	struct shadow_page_list before, after;
	struct pagemap *map = NULL;

	(void)state;
	assert_int_equal(machine_slot_flags(m, 0, SLOT_LOG_DIRTY, 0, 0, NULL, NULL), 0);
	assert_int_equal(machine_shadow_pages(m, SHADOW_WITH_ENTRIES, &before, NULL), 0);
	for (int i = 0; i < 3; i++) {
		look(&map, m);
		assert_int_equal(mapworld_log_state(map, 0), MAP_LOG_KNOWN);
		for (uint64_t gfn = 0; gfn < 0x80; gfn++)
			assert_false(mapworld_page(map, 0, gfn).bits & MAP_CHANGED);
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
	assert_int_equal(mapworld_page(map, 0, 4).bits, MAP_MAPPED);
	fake_guest_write(m, 0x4008, &byte, 1);
	leaf.writable = leaf.dirty = true;
	look(&map, m);
	assert_int_equal(mapworld_page(map, 0, 4).bits, MAP_MAPPED | MAP_WRITABLE | MAP_DIRTY | MAP_LOGGED | MAP_CHANGED);
	assert_int_equal(mapworld_page(map, 0, 5).bits, 0);
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
	assert_false(mapworld_page(map, 0, 0x3f).bits & MAP_MAPPED);
	cpu_ok(machine_start(c.m, &job, RUN_RUNNER, &e), &e);
	do {
		look(&map, c.m);
		assert_true(pagemap_about(map).live && !pagemap_about(map).torn);
		assert_null(pagemap_about(map).why[MAP_PART_SPTES]);
	} while (!(mapworld_page(map, 0, 0x3f).bits & MAP_DIRTY));
	assert_int_equal(mapworld_log_state(map, 0), MAP_LOG_OLD);
	assert_int_equal(pagemap_cell(map, mapworld_region_of(map, 0), 0x20000, 0x3ffff).logged, 32);
	machine_interrupt(c.m);
	cpu_ok(machine_wait(c.m, &c.stop, &e), &e);
	look(&map, c.m);
	assert_int_equal(mapworld_log_state(map, 0), MAP_LOG_KNOWN);
	assert_int_equal(pagemap_cell(map, mapworld_region_of(map, 0), 0x20000, 0x3ffff).logged, 32);
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
		assert_int_equal(mapworld_page(map, 0, 4).bits, c[i].part == MAP_PART_SPTES ? MAP_UNKNOWN : 0);
		assert_int_equal(mapworld_log_state(map, 0), c[i].part == MAP_PART_LOG ? MAP_LOG_UNKNOWN : MAP_LOG_KNOWN);
	}
	fake_of(m)->fail_op = NULL;
	fake_of(m)->no_cap[MACHINE_CAP_SHADOW] = true;
	look(&map, m);
	assert_non_null(strstr(pagemap_about(map).why[MAP_PART_SPTES], "not supported by this backend"));
	assert_int_equal(mapworld_page(map, 0, 4).bits, MAP_UNKNOWN);
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
	assert_int_equal(mapworld_page(w.map, 0, 0x40).bits, MAP_UNKNOWN);
	assert_string_equal(pagemap_about(w.map).why[MAP_PART_SPTES], "the guest runs");
	w.seen.why[MAP_PART_SPTES][0] = '\0';
	mapworld_leaf(&w, 0x40, 0, 1);
	mapworld_look(&w);
	assert_int_equal(mapworld_page(w.map, 0, 0x40).bits, MAP_MAPPED);
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
	struct machine *m = demo_run("demo:tour");
	struct plant gva = {.id = 1, .kind = PLANT_WRITE, .addr = 0x240ffc, .len = 8};
	struct plant gpa = {.id = 2, .kind = PLANT_ACCESS, .addr = 0x60ff8, .len = 16, .phys = true};
	struct pagemap *map = NULL;

	(void)state;
	assert_int_equal(machine_plant(m, &gva, NULL), 0);
	assert_int_equal(machine_plant(m, &gpa, NULL), 0);
	look(&map, m);
	for (uint64_t gfn = 0; gfn < 0x80; gfn++)
		assert_int_equal(!(mapworld_page(map, 0, gfn).bits & MAP_ARMED), gfn != 0x40 && gfn != 0x60 && gfn != 0x61);
	assert_int_equal(machine_unplant(m, 1, NULL), 0);
	look(&map, m);
	assert_false(mapworld_page(map, 0, 0x40).bits & MAP_ARMED);
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
		assert_int_equal(mapworld_page(map, 0, gfn).bits, gfn == 4 || gfn == 5 ? MAP_ARMED : 0);
	const struct gpa_region *dev = mapworld_region(map, pagemap_region_at(map, 0xd0000000));
	assert_int_equal(dev->kind, GPA_DEVICE);
	assert_string_equal(dev->name, "scratch");
	assert_int_equal(pagemap_cell(map, dev, dev->first, dev->last).bits, MAP_MMIO);
	cache.valid = false;
	look(&map, m);
	dev = mapworld_region(map, pagemap_region_at(map, 0xd0000000));
	assert_int_equal(pagemap_cell(map, dev, dev->first, dev->last).mmio, 0);
	pagemap_destroy(map);
	machine_destroy(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_tour),		cmocka_unit_test(looks_leave_no_trace),
	    cmocka_unit_test(a_write_is_seen),	cmocka_unit_test(while_the_guest_runs),
	    cmocka_unit_test(parts_that_fail),	cmocka_unit_test(no_change_behind_a_failure),
	    cmocka_unit_test(torn_lists),	cmocka_unit_test(watched_pages),
	    cmocka_unit_test(armed_and_cached),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
