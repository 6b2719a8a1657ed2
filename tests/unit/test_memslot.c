/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The slot table: rules and errnos case by case, in KVM's order of checks; lookups with hints and three visibilities;
 * generations; dirty bitmaps; copies across slots. test_slot_kernel holds the same rules against the running kernel.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "core/mem/memslot.h"

#define RO SLOT_READONLY
#define LOG SLOT_LOG_DIRTY

/* A slot with heap memory behind it, in the table. */
static struct slot *put(struct slot_table *t, uint32_t id, uint64_t gpa, uint64_t size, uint32_t flags, enum slot_vis vis)
{
	struct slot_spec spec = {.id = id, .gpa = gpa, .size = size, .flags = flags, .vis = vis};
	struct slot *s = slot_new(&spec);
	struct err e;

	assert_non_null(s);
	s->alias = calloc(1, size);
	s->backing = s->alias;
	s->hva = 0x7f0000000000ull + gpa;
	assert_int_equal(slot_table_insert(t, s, &e), 0);
	return s;
}

static void drop(struct slot_table *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->by_gfn[i]->backing);
	slot_table_deinit(t);
}

struct rule {
	const char *name;
	struct slot_spec to;
	int rc;
	enum slot_change_kind kind;
	const char *why; /* part of the reason; NULL: not looked at */
};

/* Slots 0: 0-512K; 1: 0x80000 64K READONLY; 2: 1M, 64K, logged. */
#define AT0 .id = 0, .gpa = 0, .size = 0x80000
#define AT1 .id = 1, .gpa = 0x80000, .size = 0x10000
#define AT2 .id = 2, .gpa = 0x100000, .size = 0x10000
#define NEW .id = 5, .gpa = 0x200000, .size = 0x1000
#define HVA0 0x7f0000000000ull

static const struct rule rules[] = {
    {"identical repeat", {AT0}, 0, SLOT_NOTHING, NULL},
    {"identical repeat, readonly", {AT1, .flags = RO}, 0, SLOT_NOTHING, NULL},
    {"identical repeat with its hva", {AT0, .hva = HVA0}, 0, SLOT_NOTHING, NULL},
    {"LOG set", {AT0, .flags = LOG}, 0, SLOT_FLAGS, NULL},
    {"LOG cleared", {AT2}, 0, SLOT_FLAGS, NULL},
    {"LOG set on readonly", {AT1, .flags = RO | LOG}, 0, SLOT_FLAGS, NULL},
    {"move", {.id = 0, .gpa = 0x400000, .size = 0x80000}, 0, SLOT_MOVE, NULL},
    {"move and LOG", {.id = 0, .gpa = 0x400000, .size = 0x80000, .flags = LOG}, 0, SLOT_MOVE, NULL},
    {"move onto part of itself", {.id = 2, .gpa = 0x108000, .size = 0x10000, .flags = LOG}, 0, SLOT_MOVE, NULL},
    {"new", {NEW}, 0, SLOT_CREATE, NULL},
    {"new READONLY", {NEW, .flags = RO}, 0, SLOT_CREATE, NULL},
    {"new READONLY and LOG", {NEW, .flags = RO | LOG}, 0, SLOT_CREATE, NULL},
    {"new right between", {.id = 5, .gpa = 0x90000, .size = 0x70000}, 0, SLOT_CREATE, NULL},
    {"new up to the limit", {.id = 5, .gpa = 0xffffffffff000, .size = 0x1000}, 0, SLOT_CREATE, NULL},
    {"last id", {.id = 32763, .gpa = 0x200000, .size = 0x1000}, 0, SLOT_CREATE, NULL},
    {"delete", {.id = 0}, 0, SLOT_DELETE, NULL},
    {"delete, whatever the gpa", {.id = 1, .gpa = 0x5000}, 0, SLOT_DELETE, NULL},

    {"READONLY set in place", {AT0, .flags = RO}, -EINVAL, 0, "readonly cannot be set"},
    {"READONLY cleared in place", {AT1}, -EINVAL, 0, "readonly cannot be cleared"},
    {"READONLY set with a move", {.id = 0, .gpa = 0x400000, .size = 0x80000, .flags = RO}, -EINVAL, 0, "readonly"},
    {"grow", {.id = 1, .gpa = 0x80000, .size = 0x11000, .flags = RO}, -EINVAL, 0, "cannot become 0x11000"},
    {"shrink", {.id = 0, .gpa = 0, .size = 0x1000}, -EINVAL, 0, "cannot become 0x1000"},
    {"other hva", {AT0, .hva = HVA0 + 0x1000}, -EINVAL, 0, "cannot be given another"},
    {"unknown flag", {NEW, .flags = 1 << 2}, -EINVAL, 0, "0x4 is no flag"},
    {"unknown flag 1<<16", {NEW, .flags = 1 << 16}, -EINVAL, 0, "0x10000 is no flag"},
    {"unknown among known", {NEW, .flags = RO | 1u << 31}, -EINVAL, 0, "0x80000000 is no flag"},
    {"no such visibility", {NEW, .vis = 4}, -EINVAL, 0, "visibility 4"},
    {"smram yet outside", {NEW, .vis = SLOT_VIS_NONSMM, .flags = SLOT_SMRAM}, -EINVAL, 0, "smram"},
    {"unaligned gpa", {.id = 5, .gpa = 0x200001, .size = 0x1000}, -EINVAL, 0, "gpa 0x200001 is not a multiple"},
    {"unaligned size", {.id = 5, .gpa = 0x200000, .size = 0x1800}, -EINVAL, 0, "size 0x1800 is not a multiple"},
    {"unaligned hva", {NEW, .hva = 0x7fff00000800}, -EINVAL, 0, "hva 0x7fff00000800 is not a multiple"},
    {"kernel hva", {NEW, .hva = 0xffff888000000000}, -EINVAL, 0, "is not user memory"},
    {"hva running into the kernel", {.id = 5, .gpa = 0x200000, .size = 0x2000, .hva = 0x7fffffffe000}, -EINVAL, 0, "user"},
    {"hva range wraps", {NEW, .hva = 0xfffffffffffff000}, -EINVAL, 0, "user"},
    {"address space 1", {.id = 0x10000, .gpa = 0x200000, .size = 0x1000}, -EINVAL, 0, "address space 1 is not there"},
    {"id too big", {.id = 32764, .gpa = 0x200000, .size = 0x1000}, -EINVAL, 0, "ids end at 32763"},
    {"gpa wraps", {.id = 5, .gpa = 0xfffffffffffff000, .size = 0x2000}, -EINVAL, 0, "run past 2^64"},
    {"gpa ends at 2^64", {.id = 5, .gpa = 0xfffffffffffff000, .size = 0x1000}, -EINVAL, 0, "run past 2^64"},
    {"gpa past the limit", {.id = 5, .gpa = 0x10000000000000, .size = 0x1000}, -EINVAL, 0, "past the end of physical"},
    {"end past the limit", {.id = 5, .gpa = 0xffffffffff000, .size = 0x2000}, -EINVAL, 0, "past the end of physical"},
    {"too many pages", {.id = 5, .gpa = 0x200000, .size = 0x80000000000}, -EINVAL, 0, "0x80000000 pages"},
    {"overlap first page", {.id = 5, .gpa = 0, .size = 0x1000}, -EEXIST, 0, "overlaps slot 0"},
    {"overlap last page", {.id = 5, .gpa = 0x8f000, .size = 0x2000}, -EEXIST, 0, "overlaps slot 1"},
    {"overlap around", {.id = 5, .gpa = 0xf0000, .size = 0x100000}, -EEXIST, 0, "overlaps slot 2"},
    {"move onto another", {.id = 2, .gpa = 0x7f000, .size = 0x10000}, -EEXIST, 0, "overlaps slot 1"},
    {"move down, past itself, onto another", {.id = 1, .gpa = 0x78000, .size = 0x10000, .flags = RO}, -EEXIST, 0, "slot 0"},
    {"delete what is not there", {.id = 7}, -EINVAL, 0, "there is no slot 7"},

    /* Two rules broken: the one that KVM asks first answers. */
    {"flags before alignment", {.id = 5, .gpa = 1, .size = 0x1000, .flags = 4}, -EINVAL, 0, "no flag"},
    {"size before gpa", {.id = 5, .gpa = 1, .size = 1}, -EINVAL, 0, "size 0x1 "},
    {"gpa before hva", {.id = 5, .gpa = 1, .size = 0x1000, .hva = 1}, -EINVAL, 0, "gpa 0x1 "},
    {"hva before id", {.id = 99999, .gpa = 0, .size = 0x1000, .hva = 1ull << 63}, -EINVAL, 0, "is not user memory"},
    {"id before wrap", {.id = 32764, .gpa = 0xfffffffffffff000, .size = 0x2000}, -EINVAL, 0, "ids end at"},
    {"space before id", {.id = 0x17ffc, .gpa = 0, .size = 0x1000}, -EINVAL, 0, "address space 1"},
    {"wrap before page count", {.id = 5, .gpa = 0xfffffffffffff000, .size = 1ull << 60}, -EINVAL, 0, "run past 2^64"},
    {"page count before overlap", {.id = 5, .gpa = 0, .size = 1ull << 50}, -EINVAL, 0, "too many"},
    {"resize before overlap", {.id = 2, .gpa = 0, .size = 0x1000, .flags = LOG}, -EINVAL, 0, "cannot become"},
    {"flip before overlap", {.id = 2, .gpa = 0, .size = 0x10000, .flags = LOG | RO}, -EINVAL, 0, "readonly"},
    {"deletion after the range", {.id = 7, .gpa = 1}, -EINVAL, 0, "gpa 0x1 "},
    {"flags even of a deletion", {.id = 0, .flags = 4}, -EINVAL, 0, "no flag"},
};

static void fill(struct slot_table *t)
{
	slot_table_init(t);
	put(t, 0, 0, 0x80000, 0, SLOT_VIS_BOTH);
	put(t, 1, 0x80000, 0x10000, RO, SLOT_VIS_BOTH);
	put(t, 2, 0x100000, 0x10000, LOG, SLOT_VIS_BOTH);
}

static void test_rules(void **state)
{
	struct slot_table t;

	(void)state;
	fill(&t);
	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		const struct rule *r = &rules[i];
		struct slot_change c = {.kind = (enum slot_change_kind)77};
		struct err e = {0};
		int rc = slot_check(&t, &r->to, &c, &e);

		if (rc != r->rc || (!rc && c.kind != r->kind) || (rc && r->why && !strstr(e.why, r->why)))
			fail_msg("%s: rc %d, kind %d, why '%s'; wanted %d, %d, '%s'", r->name, rc, (int)c.kind, e.why, r->rc,
				 (int)r->kind, r->why ? r->why : "");
		if (rc) {
			assert_int_equal(c.kind, 77); /* untouched */
			assert_int_equal(e.code, rc);
			assert_true(e.what[0] && e.why[0] && e.next[0]);
		} else if (r->kind == SLOT_CREATE) {
			assert_null(c.old);
		} else {
			assert_ptr_equal(c.old, slot_by_id(&t, r->to.id));
		}
	}
	assert_int_equal(t.n, 3); /* checking changes nothing */
	assert_int_equal(t.generation, 0);
	drop(&t);
}

/* A gpa past physical memory is an architecture's check, which KVM asks after overlaps. */
static void test_limit_comes_after_overlap(void **state)
{
	struct slot_table t;
	struct slot_change c;
	struct err e;

	(void)state;
	slot_table_init(&t);
	put(&t, 0, (1ull << 46) - 0x1000, 0x1000, 0, SLOT_VIS_BOTH);
	t.limits.gpa_limit = 1ull << 46;
	const struct slot_spec to = {.id = 1, .gpa = (1ull << 46) - 0x1000, .size = 0x2000};
	assert_int_equal(slot_check(&t, &to, &c, &e), -EEXIST);
	const struct slot_spec past = {.id = 1, .gpa = 1ull << 46, .size = 0x1000};
	assert_int_equal(slot_check(&t, &past, &c, &e), -EINVAL);
	drop(&t);
}

static void test_two_address_spaces(void **state)
{
	struct slot_table t;
	struct slot_change c;
	struct err e;

	(void)state;
	slot_table_init(&t);
	t.limits.address_spaces = 2;
	const struct slot_spec one = {.id = 0x10001, .gpa = 0, .size = 0x1000},
			       two = {.id = 0x20001, .gpa = 0, .size = 0x1000};
	assert_int_equal(slot_check(&t, &one, &c, &e), -EINVAL);
	assert_non_null(strstr(e.why, "chosen by visibility"));
	assert_int_equal(slot_check(&t, &two, &c, &e), -EINVAL);
	assert_non_null(strstr(
	    e.why, "address space 2 is not there: number 0x20001 names it in bits 31:16, and the last on this host is 1"));
	drop(&t);
}

struct vis_case {
	enum slot_vis there, wanted;
	int rc;
};

static void test_visibilities_conflict_where_they_meet(void **state)
{
	static const struct vis_case cases[] = {
	    {SLOT_VIS_NONSMM, SLOT_VIS_SMM, 0},	     {SLOT_VIS_SMM, SLOT_VIS_NONSMM, 0},
	    {SLOT_VIS_BOTH, SLOT_VIS_SMM, -EEXIST},  {SLOT_VIS_BOTH, SLOT_VIS_NONSMM, -EEXIST},
	    {SLOT_VIS_SMM, SLOT_VIS_BOTH, -EEXIST},  {SLOT_VIS_NONSMM, SLOT_VIS_BOTH, -EEXIST},
	    {SLOT_VIS_SMM, SLOT_VIS_SMM, -EEXIST},   {SLOT_VIS_NONSMM, SLOT_VIS_NONSMM, -EEXIST},
	    {SLOT_VIS_BOTH, SLOT_VIS_BOTH, -EEXIST},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct slot_spec to = {.id = 4, .gpa = 0xa0000, .size = 0x20000, .vis = cases[i].wanted};
		struct slot_table t;
		struct slot_change c;
		struct err e;

		slot_table_init(&t);
		put(&t, 0, 0x80000, 0x30000, 0, cases[i].there);
		assert_int_equal(slot_check(&t, &to, &c, &e), cases[i].rc);
		drop(&t);
	}
}

static void test_smram_is_a_visibility(void **state)
{
	struct slot_table t;
	struct slot_change c;
	struct err e;

	(void)state;
	slot_table_init(&t);
	struct slot_spec to = {.id = 4, .gpa = 0, .size = 0x1000, .flags = SLOT_SMRAM};
	assert_int_equal(slot_check(&t, &to, &c, &e), 0);
	assert_int_equal(c.to.vis, SLOT_VIS_SMM);
	to = (struct slot_spec){.id = 4, .gpa = 0, .size = 0x1000, .vis = SLOT_VIS_SMM};
	assert_int_equal(slot_check(&t, &to, &c, &e), 0);
	assert_int_equal(c.to.flags, SLOT_SMRAM);
	to.vis = 0;
	assert_int_equal(slot_check(&t, &to, &c, &e), 0);
	assert_int_equal(c.to.vis, SLOT_VIS_BOTH);
	drop(&t);
}

/* Widening what sees a slot is a create in the other space: it can conflict. */
static void test_widening_can_overlap(void **state)
{
	struct slot_table t;
	struct slot_change c;
	struct err e;

	(void)state;
	slot_table_init(&t);
	put(&t, 0, 0xa0000, 0x20000, 0, SLOT_VIS_NONSMM);
	put(&t, 1, 0xb0000, 0x1000, SLOT_SMRAM, SLOT_VIS_SMM);
	const struct slot_spec wide = {.id = 1, .gpa = 0xb0000, .size = 0x1000, .vis = SLOT_VIS_BOTH};
	assert_int_equal(slot_check(&t, &wide, &c, &e), -EEXIST);
	const struct slot_spec keep = {.id = 1, .gpa = 0xb0000, .size = 0x1000};
	assert_int_equal(slot_check(&t, &keep, &c, &e), 0);
	assert_int_equal(c.kind, SLOT_NOTHING); /* visibility 0 keeps it */
	const struct slot_spec nowhere = {.id = 1, .gpa = 0xd0000, .size = 0x1000, .vis = SLOT_VIS_BOTH};
	assert_int_equal(slot_check(&t, &nowhere, &c, &e), 0);
	assert_int_equal(c.kind, SLOT_MOVE);
	drop(&t);
}

static void test_flip_needed(void **state)
{
	struct slot s = {.flags = LOG};

	(void)state;
	assert_false(slot_flip_needed(&s, 0));
	assert_false(slot_flip_needed(&s, LOG | SLOT_SMRAM));
	assert_true(slot_flip_needed(&s, RO));
	s.flags = RO;
	assert_false(slot_flip_needed(&s, RO | LOG));
	assert_true(slot_flip_needed(&s, LOG));
}

static void test_lookup(void **state)
{
	struct slot_table t;

	(void)state;
	fill(&t);
	assert_int_equal(slot_lookup(&t, 0, false, NULL)->id, 0);
	assert_int_equal(slot_lookup(&t, 0x7ffff, false, NULL)->id, 0);
	assert_int_equal(slot_lookup(&t, 0x80000, false, NULL)->id, 1);
	assert_int_equal(slot_lookup(&t, 0x8ffff, false, NULL)->id, 1);
	assert_null(slot_lookup(&t, 0x90000, false, NULL));
	assert_null(slot_lookup(&t, 0xfffff, false, NULL));
	assert_int_equal(slot_lookup(&t, 0x100000, false, NULL)->id, 2);
	assert_null(slot_lookup(&t, 0x110000, false, NULL));
	assert_null(slot_lookup(&t, ~0ull, false, NULL));
	assert_int_equal(slot_by_id(&t, 2)->gpa, 0x100000);
	assert_null(slot_by_id(&t, 3));
	drop(&t);
}

static void test_hint_moves_on_success_only(void **state)
{
	struct slot_table t;
	size_t hint;

	(void)state;
	fill(&t);
	assert_int_equal(slot_lookup(&t, 0x85000, false, NULL)->id, 1);
	hint = t.view[0].last_hit;
	assert_int_equal(t.view[0].by_gfn[hint]->id, 1);
	assert_null(slot_lookup(&t, 0x95000, false, NULL));
	assert_int_equal(t.view[0].last_hit, hint);
	assert_int_equal(slot_lookup(&t, 0x5000, false, NULL)->id, 0);
	assert_int_not_equal(t.view[0].last_hit, hint);
	drop(&t);
}

static void test_found_apart_from_visible(void **state)
{
	struct slot_table t;
	struct slot *found, *ram, *smram;

	(void)state;
	slot_table_init(&t);
	ram = put(&t, 0, 0x80000, 0x40000, 0, SLOT_VIS_NONSMM);
	smram = put(&t, 1, 0xa0000, 0x10000, SLOT_SMRAM, SLOT_VIS_SMM);
	assert_ptr_equal(slot_lookup(&t, 0xa8000, false, &found), ram);
	assert_ptr_equal(found, ram);
	assert_ptr_equal(slot_lookup(&t, 0xa8000, true, &found), smram);
	assert_ptr_equal(found, smram);
	assert_null(slot_lookup(&t, 0x90000, true, &found));
	assert_ptr_equal(found, ram); /* covers it, but is not visible there */
	assert_null(slot_lookup(&t, 0xc0000, true, &found));
	assert_null(found);
	drop(&t);
}

static void test_order(void **state)
{
	struct slot_table t;

	(void)state;
	slot_table_init(&t);
	put(&t, 9, 0x10000, 0x1000, SLOT_SMRAM, SLOT_VIS_SMM);
	put(&t, 3, 0x10000, 0x1000, 0, SLOT_VIS_NONSMM);
	put(&t, 5, 0x30000, 0x1000, 0, SLOT_VIS_BOTH);
	put(&t, 1, 0x0, 0x1000, 0, SLOT_VIS_BOTH);
	const uint32_t gfn_order[] = {5, 3, 9, 1}, id_order[] = {1, 3, 5, 9};
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(t.by_gfn[i]->id, gfn_order[i]);
		assert_int_equal(t.by_id[i]->id, id_order[i]);
	}
	assert_int_equal(t.view[0].n, 3);
	assert_int_equal(t.view[1].n, 3);
	drop(&t);
}

static void test_resort_after_move_and_visibility(void **state)
{
	struct slot_table t;
	struct slot *s;

	(void)state;
	fill(&t);
	s = slot_by_id(&t, 0);
	assert_ptr_equal(slot_lookup(&t, 0x1000, false, NULL), s);
	s->gpa = 0x400000;
	slot_table_resort(&t);
	assert_null(slot_lookup(&t, 0x1000, false, NULL));
	assert_ptr_equal(slot_lookup(&t, 0x401000, false, NULL), s);
	assert_ptr_equal(t.by_gfn[0], s);
	s->vis = SLOT_VIS_SMM;
	slot_table_resort(&t);
	assert_null(slot_lookup(&t, 0x401000, false, NULL));
	assert_ptr_equal(slot_lookup(&t, 0x401000, true, NULL), s);
	assert_int_equal(t.n, 3);
	drop(&t);
}

static void test_remove(void **state)
{
	struct slot_table t;
	struct slot *s;

	(void)state;
	fill(&t);
	s = slot_by_id(&t, 1);
	assert_ptr_equal(slot_table_remove(&t, s), s);
	assert_null(slot_by_id(&t, 1));
	assert_null(slot_lookup(&t, 0x80000, false, NULL));
	assert_null(slot_table_remove(&t, s));
	assert_int_equal(t.n, 2);
	assert_int_equal(t.view[0].n, 2);
	free(s->backing);
	slot_free(s);
	drop(&t);
}

static void test_generation(void **state)
{
	struct slot_table t;

	(void)state;
	slot_table_init(&t);
	assert_int_equal(t.generation, 0);
	slot_table_begin(&t);
	assert_int_equal(t.generation, 1ull << 63);
	slot_table_end(&t, 1);
	assert_int_equal(t.generation, 1);
	t.limits.address_spaces = 2;
	slot_table_begin(&t);
	assert_int_equal(t.generation, (1ull << 63) + 1);
	slot_table_end(&t, 2); /* delete and move bump twice */
	assert_int_equal(t.generation, 5);
	slot_table_begin(&t);
	slot_table_end(&t, 0);
	assert_int_equal(t.generation, 5);
	slot_table_deinit(&t);
}

static bool dirty(const struct slot *s, bool smm, uint64_t page)
{
	return s->dirty[smm][page / 64] >> (page % 64) & 1;
}

static void test_dirty_bitmaps(void **state)
{
	struct slot_table t;
	struct slot *s;
	struct err e;

	(void)state;
	slot_table_init(&t);
	s = put(&t, 0, 0x100000, 200 * 0x1000, LOG, SLOT_VIS_BOTH);
	slot_mark_dirty(s, 0x100000, 1, false); /* not logged yet: nothing happens */
	assert_int_equal(slot_log_start(s, &e), 0);
	assert_non_null(s->dirty[0]);
	assert_non_null(s->dirty[1]);
	for (unsigned page = 0; page < 200; page++)
		assert_false(dirty(s, false, page));
	slot_mark_dirty(s, 0x100fff, 2, false); /* across a page boundary */
	assert_true(dirty(s, false, 0) && dirty(s, false, 1) && !dirty(s, false, 2));
	assert_false(dirty(s, true, 0));
	slot_mark_dirty(s, 0x100000 + 199 * 0x1000, 0x10000, true); /* past the end: cut */
	assert_true(dirty(s, true, 199));
	slot_mark_dirty(s, 0x100000 + 64 * 0x1000, 0x1000, true);
	assert_true(!dirty(s, true, 63) && dirty(s, true, 64) && !dirty(s, true, 65));
	slot_mark_dirty(s, 0xff000, 0x1000, false); /* outside */
	slot_mark_dirty(s, 0x105000, 0, false);
	assert_false(dirty(s, false, 5));
	assert_int_equal(slot_log_start(s, &e), 0); /* again: kept */
	assert_true(dirty(s, false, 0));
	slot_log_stop(s);
	assert_null(s->dirty[0]);
	assert_null(s->dirty[1]);
	drop(&t);
}

static void test_dirty_bitmap_for_each_visibility(void **state)
{
	struct slot_table t;
	struct slot *in, *out;
	struct err e;

	(void)state;
	slot_table_init(&t);
	in = put(&t, 0, 0, 0x1000, LOG | SLOT_SMRAM, SLOT_VIS_SMM);
	out = put(&t, 1, 0, 0x1000, LOG, SLOT_VIS_NONSMM);
	assert_int_equal(slot_log_start(in, &e), 0);
	assert_int_equal(slot_log_start(out, &e), 0);
	assert_true(!in->dirty[0] && in->dirty[1]);
	assert_true(out->dirty[0] && !out->dirty[1]);
	slot_mark_dirty(in, 0, 1, false); /* it has no bitmap for that side */
	assert_false(dirty(in, true, 0));
	drop(&t);
}

static void test_copies_cross_slots(void **state)
{
	struct slot_table t;
	uint8_t buf[0x4000], back[0x4000];
	struct err e;

	(void)state;
	fill(&t);
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i * 7 + i / 256);
	assert_int_equal(slots_write(&t, 0x7e123, false, buf, sizeof(buf), &e), 0); /* into the readonly slot too */
	assert_int_equal(slots_read(&t, 0x7e123, false, back, sizeof(back), &e), 0);
	assert_memory_equal(buf, back, sizeof(buf));
	assert_memory_equal(slot_by_id(&t, 1)->alias, buf + 0x1edd, 0x100);
	assert_int_equal(slots_read(&t, 0, false, back, 0, &e), 0);
	drop(&t);
}

static void test_copies_are_all_or_nothing(void **state)
{
	struct slot_table t;
	uint8_t buf[0x3000];
	struct err e;

	(void)state;
	fill(&t);
	memset(buf, 0x55, sizeof(buf));
	assert_int_equal(slots_write(&t, 0x8e000, false, buf, sizeof(buf), &e), -EFAULT);
	assert_int_equal(e.addr, 0x90000);
	assert_int_equal(e.space, ERR_SPACE_GPA);
	assert_int_equal(slot_by_id(&t, 1)->alias[0xe000], 0); /* nothing was written */
	assert_int_equal(slots_read(&t, 0x8e000, false, buf, sizeof(buf), &e), -EFAULT);
	assert_int_equal(buf[0], 0x55);
	assert_int_equal(slots_read(&t, ~0ull - 1, false, buf, 16, &e), -EFAULT);
	slot_by_id(&t, 0)->file_backed = true;
	assert_int_equal(slots_write(&t, 0x7f000, false, buf, 16, &e), -EROFS);
	assert_int_equal(slots_probe(&t, 0x7f000, false, 0x2000, false, &e), 0);
	assert_int_equal(slots_probe(&t, 0x7f000, false, 0x2000, true, &e), -EROFS);
	drop(&t);
}

static void test_copies_see_by_visibility(void **state)
{
	struct slot_table t;
	uint8_t b = 0x77;
	struct err e;

	(void)state;
	slot_table_init(&t);
	put(&t, 0, 0, 0x2000, 0, SLOT_VIS_NONSMM);
	put(&t, 1, 0x1000, 0x1000, SLOT_SMRAM, SLOT_VIS_SMM);
	assert_int_equal(slots_write(&t, 0x1800, true, &b, 1, &e), 0);
	b = 1;
	assert_int_equal(slots_read(&t, 0x1800, false, &b, 1, &e), 0);
	assert_int_equal(b, 0);
	assert_int_equal(slots_read(&t, 0x1800, true, &b, 1, &e), 0);
	assert_int_equal(b, 0x77);
	assert_int_equal(slots_read(&t, 0x800, true, &b, 1, &e), -EFAULT);
	assert_non_null(strstr(e.why, "visible outside SMM only"));
	drop(&t);
}

/* A file cut short under its mapping must end in an error, not in a SIGBUS. */
static void test_file_cut_short(void **state)
{
	struct slot_table t;
	struct slot *s;
	struct err e;
	char buf[0x3000];
	FILE *f = tmpfile();

	(void)state;
	assert_non_null(f);
	for (int i = 0; i < 0x4000; i++)
		fputc(i / 0x1000, f);
	fflush(f);
	slot_table_init(&t);
	s = put(&t, 0, 0x10000, 0x3000, RO, SLOT_VIS_BOTH);
	s->file_backed = true;
	s->fd = fileno(f);
	s->fd_offset = 0x1000;
	assert_int_equal(slots_read(&t, 0x10000, false, buf, sizeof(buf), &e), 0);
	assert_int_equal(buf[0], 1);
	assert_int_equal(buf[0x2fff], 3);
	assert_int_equal(ftruncate(fileno(f), 0x2800), 0);
	assert_int_equal(slots_read(&t, 0x10000, false, buf, 0x1800, &e), 0);
	assert_int_equal(slots_read(&t, 0x11000, false, buf, 0x1000, &e), -EIO);
	assert_non_null(strstr(e.why, "cut short"));
	drop(&t);
	fclose(f);
}

static void test_names(void **state)
{
	enum slot_vis v;
	uint32_t f;
	struct err e;

	(void)state;
	assert_string_equal(slot_vis_name(SLOT_VIS_SMM), "smm");
	assert_string_equal(slot_vis_name(SLOT_VIS_NONSMM), "non-smm");
	assert_string_equal(slot_vis_name(SLOT_VIS_BOTH), "both");
	assert_int_equal(slot_vis_parse("NON-SMM", &v, &e), 0);
	assert_int_equal(v, SLOT_VIS_NONSMM);
	assert_int_equal(slot_vis_parse("outside", &v, &e), -EINVAL);
	assert_int_equal(slot_flag_parse("readonly", &f, &e), 0);
	assert_int_equal(f, SLOT_READONLY);
	assert_int_equal(slot_flag_parse("log", &f, &e), 0);
	assert_int_equal(f, SLOT_LOG_DIRTY);
	assert_int_equal(slot_flag_parse("log-dirty", &f, &e), 0);
	assert_int_equal(f, SLOT_LOG_DIRTY);
	assert_int_equal(slot_flag_parse("smram", &f, &e), 0);
	assert_int_equal(f, SLOT_SMRAM);
	assert_int_equal(slot_flag_parse("nonsense", &f, &e), -EINVAL);
	assert_non_null(strstr(e.what, "nonsense"));
}

/* Against a model: an array of ids by page, over many random changes. */
#define MODEL_PAGES 256

static void test_random_against_model(void **state)
{
	int owner[2][MODEL_PAGES];
	struct slot_table t;
	uint32_t seed = 12345;

	(void)state;
	memset(owner, -1, sizeof(owner));
	slot_table_init(&t);
	for (int round = 0; round < 20000; round++) {
		seed = seed * 1664525 + 1013904223;
		uint32_t id = seed >> 8 & 31, page = seed >> 13 & 255, n = (seed >> 21 & 15) + 1;
		enum slot_vis vis = (seed >> 25) % 3 + 1;
		struct slot *s = slot_by_id(&t, id);
		struct slot_spec to = {.id = id, .gpa = page * 0x1000ull, .size = n * 0x1000ull, .vis = vis};
		struct slot_change c;
		struct err e;

		if (s) {
			for (unsigned smm = 0; smm < 2; smm++)
				for (unsigned p = 0; p < MODEL_PAGES; p++)
					if (owner[smm][p] == (int)id)
						owner[smm][p] = -1;
			free(slot_table_remove(&t, s)->backing);
			slot_free(s);
		} else {
			int want = page + n > MODEL_PAGES ? 1 : 0;

			for (unsigned smm = 0; smm < 2 && want != 1; smm++)
				for (unsigned p = page; p < page + n; p++)
					if ((vis & (smm ? SLOT_VIS_SMM : SLOT_VIS_NONSMM)) && owner[smm][p] >= 0)
						want = -EEXIST;
			if (want == 1)
				continue;
			assert_int_equal(slot_check(&t, &to, &c, &e), want);
			if (want)
				continue;
			put(&t, id, to.gpa, to.size, c.to.flags, vis);
			for (unsigned smm = 0; smm < 2; smm++)
				for (unsigned p = page; p < page + n; p++)
					if (vis & (smm ? SLOT_VIS_SMM : SLOT_VIS_NONSMM))
						owner[smm][p] = (int)id;
		}
		for (unsigned smm = 0; smm < 2; smm++)
			for (unsigned k = 0; k < 8; k++) {
				unsigned p = (seed >> k) & 255;
				struct slot *found, *hit = slot_lookup(&t, p * 0x1000ull + 5, smm, &found);
				int other = owner[smm][p] >= 0 ? owner[smm][p] : owner[!smm][p];

				assert_int_equal(hit ? (int)hit->id : -1, owner[smm][p]);
				assert_int_equal(found ? (int)found->id : -1, other);
			}
	}
	drop(&t);
}

/* Hundreds of slots of many sizes, coming and going: a search finds what looking at each in turn finds. */
static void many_slots_against_a_scan(void **state)
{
	struct slot_table t;
	struct slot *have[400] = {NULL};
	uint64_t seed = 88172645463325252ull;
	(void)state;

	slot_table_init(&t);
	for (unsigned step = 0; step < 4000; step++) {
		seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
		unsigned i = (unsigned)(seed % ARRAY_LEN(have));
		if (have[i]) {
			slot_free(slot_table_remove(&t, have[i]));
			have[i] = NULL;
		} else {
			/* Each has a place of 1 MiB; some reach over it into several parts of the range. */
			struct slot_spec spec = {.id = i,
						 .gpa = (uint64_t)i << 20,
						 .size = ((seed >> 20 & 0xff) + 1) << 12,
						 .vis = SLOT_VIS_BOTH};
			have[i] = slot_new(&spec);
			assert_non_null(have[i]);
			assert_int_equal(slot_table_insert(&t, have[i], NULL), 0);
		}
		for (unsigned k = 0; k < 8; k++) {
			seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
			uint64_t gpa = seed % (410ull << 20);
			struct slot *want = NULL;
			for (unsigned j = 0; j < ARRAY_LEN(have); j++)
				if (have[j] && slot_contains(have[j], gpa))
					want = have[j];
			assert_ptr_equal(slot_lookup(&t, gpa, k & 1, NULL), want);
		}
	}
	slot_table_deinit(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(many_slots_against_a_scan),
	    cmocka_unit_test(test_rules),
	    cmocka_unit_test(test_limit_comes_after_overlap),
	    cmocka_unit_test(test_two_address_spaces),
	    cmocka_unit_test(test_visibilities_conflict_where_they_meet),
	    cmocka_unit_test(test_smram_is_a_visibility),
	    cmocka_unit_test(test_widening_can_overlap),
	    cmocka_unit_test(test_flip_needed),
	    cmocka_unit_test(test_lookup),
	    cmocka_unit_test(test_hint_moves_on_success_only),
	    cmocka_unit_test(test_found_apart_from_visible),
	    cmocka_unit_test(test_order),
	    cmocka_unit_test(test_resort_after_move_and_visibility),
	    cmocka_unit_test(test_remove),
	    cmocka_unit_test(test_generation),
	    cmocka_unit_test(test_dirty_bitmaps),
	    cmocka_unit_test(test_dirty_bitmap_for_each_visibility),
	    cmocka_unit_test(test_copies_cross_slots),
	    cmocka_unit_test(test_copies_are_all_or_nothing),
	    cmocka_unit_test(test_copies_see_by_visibility),
	    cmocka_unit_test(test_file_cut_short),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_random_against_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
