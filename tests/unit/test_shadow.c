/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The shadow MMU on a small guest memory with 4-level tables: what is mapped, with which spte bits, what write-protection,
 * unsync, sync, INVLPG, CR3 loads and zapping do to it, and that reverse maps and sptes agree after every one of 30,000
 * random steps.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "core/soft/mmu/shadow.h"
#include "core/mem/xlate.h"

#define RAM (1u << 20)
#define GVA 0x200000ull
#define U_RW (PTE_P | PTE_W | PTE_U)

struct env {
	struct slot_table slots;
	struct slot *ram, *rom;
	uint8_t *bytes;
	struct shadow *s;
	struct shadow_vcpu v;
	struct xlate_env x;
	unsigned flushes;
	struct shadow_stage stages[32];
	unsigned n_stages, stop_at;
};

static void flushed(void *ctx, uint64_t page)
{
	struct env *t = ctx;

	(void)page;
	t->flushes++;
}

static struct slot *add_slot(struct env *t, uint32_t id, uint64_t gpa, uint64_t size, uint32_t flags)
{
	struct slot_spec spec = {.id = id, .gpa = gpa, .size = size, .flags = flags, .vis = SLOT_VIS_BOTH};
	struct slot *s = slot_new(&spec);

	assert_non_null(s);
	s->alias = t->bytes + gpa;
	s->hva = (uintptr_t)s->alias;
	assert_int_equal(slot_table_insert(&t->slots, s, NULL), 0);
	if (t->s)
		assert_int_equal(shadow_slot_created(t->s, s, NULL), 0);
	return s;
}

static uint64_t *table(struct env *t, uint64_t gpa)
{
	return (uint64_t *)(void *)(t->bytes + gpa);
}

static void setup(struct env *t, const struct shadow_config *extra)
{
	struct shadow_config cfg = extra ? *extra : (struct shadow_config){0};
	struct regs r = {
	    .cr0 = CR0_PE | CR0_PG | CR0_WP, .cr4 = CR4_PAE, .cr3 = 0x10000, .efer = EFER_LME | EFER_LMA | EFER_NXE};

	memset(t, 0, sizeof(*t));
	t->bytes = aligned_alloc(4096, RAM);
	memset(t->bytes, 0, RAM);
	slot_table_init(&t->slots);
	cfg.slots = &t->slots;
	cfg.flush = flushed;
	cfg.flush_ctx = t;
	assert_int_equal(shadow_create(&cfg, &t->s, NULL), 0);
	t->ram = add_slot(t, 0, 0, 0x80000, 0);
	t->rom = add_slot(t, 1, 0x80000, 0x10000, SLOT_READONLY);
	table(t, 0x10000)[0] = 0x11000 | U_RW;
	table(t, 0x11000)[0] = 0x12000 | U_RW;
	table(t, 0x12000)[1] = 0x13000 | U_RW;
	table(t, 0x13000)[0x40] = 0x40000 | U_RW;
	table(t, 0x13000)[0x50] = 0x40000 | U_RW;
	table(t, 0x13000)[0x60] = 0xd0000000 | U_RW;
	table(t, 0x13000)[0x80] = 0x80000 | U_RW;
	r.seg[SEG_CS].l = true;
	r.seg[SEG_SS].dpl = 3;
	xlate_env_init(&t->x, &t->slots, &r);
	t->x.side_effects = true;
	shadow_vcpu_init(&t->v);
}

static void teardown(struct env *t)
{
	shadow_vcpu_deinit(t->s, &t->v);
	shadow_destroy(t->s);
	slot_table_deinit(&t->slots);
	free(t->bytes);
}

static struct shadow_result access_gva(struct env *t, uint64_t gva, unsigned access)
{
	struct shadow_result r;
	struct err e = {0};

	assert_int_equal(shadow_access(t->s, &t->v, &t->x.pg, &t->x.mem, gva, access | ACCESS_USER, false, false, &r, &e),
			 0);
	return r;
}

static uint64_t count_rmap(struct env *t, uint64_t gfn)
{
	struct rmap_list l;
	uint64_t n;

	assert_int_equal(shadow_rmap(t->s, gfn, &l, NULL), 0);
	assert_int_equal(l.n, 1);
	n = l.v[0].n_sptes;
	for (size_t i = 0; i < n; i++)
		assert_int_equal(l.v[0].sptes[i].gfn, gfn);
	rmap_list_free(&l);
	return n;
}

static uint64_t spte_at(struct env *t, uint64_t gva)
{
	struct spte_list l;
	uint64_t spte = 0;

	assert_int_equal(shadow_sptes_list(t->s, &t->v, gva, gva, &l, NULL), 0);
	for (size_t i = 0; i < l.n; i++)
		if (l.v[i].level == 1)
			spte = l.v[i].spte;
	spte_list_free(&l);
	return spte;
}

/* 512 entries of each table lead to one table: three shadow pages, whose sptes are there at 2^27 addresses. */
static void shared_tables(void **state)
{
	struct env t;
	struct spte_list l;
	(void)state;

	setup(&t, NULL);
	table(&t, 0x10000)[1] = 0x20000 | U_RW;
	for (unsigned i = 0; i < 512; i++) {
		table(&t, 0x20000)[i] = 0x21000 | U_RW;
		table(&t, 0x21000)[i] = 0x22000 | U_RW;
		table(&t, 0x22000)[i] = 0x40000 | U_RW;
	}
	for (uint64_t i = 0; i < 512; i++)
		for (unsigned level = 1; level <= 3; level++)
			access_gva(&t, 1ull << 39 | i << (3 + 9 * level), ACCESS_READ);
	assert_int_equal(shadow_sptes_list(t.s, &t.v, 0, ~0ull, &l, NULL), 0);
	assert_int_equal(l.n, SPTES_MAX);
	for (size_t i = 1; i < l.n; i++)
		assert_true(l.v[i].gva > l.v[i - 1].gva ||
			    (l.v[i].gva == l.v[i - 1].gva && l.v[i].level < l.v[i - 1].level));
	spte_list_free(&l);
	teardown(&t);
}

static void reads_and_writes(void **state)
{
	struct env t;
	(void)state;

	setup(&t, NULL);
	struct shadow_result r = access_gva(&t, GVA + 0x40004, ACCESS_READ);
	assert_int_equal(r.kind, SHADOW_MAPPED);
	assert_ptr_equal(r.host, t.bytes + 0x40000);
	assert_int_equal(r.gpa, 0x40004);
	assert_int_equal(r.spte & 0xfff, 0xa25);
	assert_int_equal(table(&t, 0x13000)[0x40], 0x40000 | U_RW | PTE_A);
	assert_int_equal(count_rmap(&t, 0x40), 1);

	r = access_gva(&t, GVA + 0x40000, ACCESS_WRITE);
	assert_int_equal(r.spte & 0xfff, 0xe67);
	assert_int_equal(table(&t, 0x13000)[0x40], 0x40000 | U_RW | PTE_A | PTE_D);
	r = access_gva(&t, GVA + 0x50000, ACCESS_WRITE);
	assert_int_equal(r.spte & 0xfff, 0xe67);
	assert_int_equal(count_rmap(&t, 0x40), 2);

	r = access_gva(&t, GVA + 0x80000, ACCESS_READ);
	assert_int_equal(r.spte & 0xfff, 0x825);
	r = access_gva(&t, GVA + 0x80000, ACCESS_WRITE);
	assert_int_equal(r.kind, SHADOW_MMIO);
	assert_true(r.readonly);
	assert_int_equal(t.v.mmio.gva, 0);

	r = access_gva(&t, GVA + 0x100000, ACCESS_READ);
	assert_int_equal(r.kind, SHADOW_GUEST_FAULT);
	assert_int_equal(r.fault.vector, 14);
	assert_int_equal(r.fault.error_code, PFERR_USER);
	teardown(&t);
}

static void pages_made(void **state)
{
	struct env t;
	struct shadow_page_list l;
	(void)state;

	setup(&t, NULL);
	access_gva(&t, GVA + 0x40000, ACCESS_READ);
	assert_int_equal(shadow_pages_list(t.s, SHADOW_WITH_PARENTS, &l, NULL), 0);
	assert_int_equal(l.n, 4);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(l.v[i].gfn, 0x13 - i);
		assert_int_equal(l.v[i].level, i + 1);
		assert_int_equal(l.v[i].sptes, 1);
		assert_int_equal(l.v[i].roots, i == 3);
		assert_int_equal(l.v[i].n_parents, i == 3 ? 0 : 1);
	}
	shadow_page_list_free(&l);
	teardown(&t);
}

static void mmio_and_its_cache(void **state)
{
	struct env t;
	struct shadow_result r;
	(void)state;

	setup(&t, NULL);
	r = access_gva(&t, GVA + 0x60008, ACCESS_WRITE);
	assert_int_equal(r.kind, SHADOW_MMIO);
	assert_int_equal(r.gpa, 0xd0000008);
	assert_false(r.from_cache);
	assert_int_equal(t.v.mmio.gva, GVA + 0x60000);
	assert_int_equal(t.v.mmio.gfn, 0xd0000);
	assert_int_equal(t.v.mmio.access & 6, 6);
	/* Remapped without a flush: an access that begins in the emulator hits stale; one that faults walks and refills. */
	table(&t, 0x13000)[0x60] = 0xd0001000 | U_RW;
	assert_int_equal(shadow_access(t.s, &t.v, &t.x.pg, &t.x.mem, GVA + 0x60000, ACCESS_READ, false, true, &r, NULL), 0);
	assert_true(r.from_cache);
	assert_int_equal(r.gpa, 0xd0000000);
	shadow_invlpg(t.s, &t.v, &t.x.pg, &t.x.mem, GVA + 0x60000);
	assert_int_equal(shadow_access(t.s, &t.v, &t.x.pg, &t.x.mem, GVA + 0x60000, ACCESS_READ, false, true, &r, NULL), 0);
	assert_false(r.from_cache);
	assert_int_equal(r.gpa, 0xd0001000);
	shadow_load_cr3(t.s, &t.v, &t.x.pg, &t.x.mem, false);
	assert_int_equal(t.v.mmio.gva, 0);
	teardown(&t);
}

static void mmio_sptes(void **state)
{
	struct shadow_config cfg = {.mmio_sptes = true};
	struct env t;
	struct shadow_result r;
	(void)state;

	setup(&t, &cfg);
	r = access_gva(&t, GVA + 0x60000, ACCESS_READ);
	assert_false(r.from_cache);
	assert_true(mmio_spte_is(spte_at(&t, GVA + 0x60000)));
	t.v.mmio.gva = 0;
	r = access_gva(&t, GVA + 0x60000, ACCESS_READ);
	assert_true(r.from_cache);
	assert_int_equal(t.v.mmio.gva, GVA + 0x60000);
	/* A new generation makes it worthless; the next access walks and makes another. */
	slot_table_begin(&t.slots);
	slot_table_end(&t.slots, 1);
	r = access_gva(&t, GVA + 0x60000, ACCESS_READ);
	assert_false(r.from_cache);
	assert_int_equal(r.gpa, 0xd0000000);
	teardown(&t);
}

/* A write to a guest table through a mapping: an upper table is never mapped writable, a leaf table goes unsync and its
 * sptes stay stale until a flush. */
static void tables_written(void **state)
{
	struct env t;
	struct shadow_result r;
	(void)state;

	setup(&t, NULL);
	table(&t, 0x13000)[0xa0] = 0x13000 | U_RW;
	table(&t, 0x13000)[0xb0] = 0x12000 | U_RW;
	access_gva(&t, GVA + 0x40000, ACCESS_READ);
	r = access_gva(&t, GVA + 0xb0000, ACCESS_WRITE);
	assert_int_equal(r.kind, SHADOW_EMULATE);
	assert_int_equal(spte_at(&t, GVA + 0xb0000) & SPTE_W, 0);
	r = access_gva(&t, GVA + 0xa0000, ACCESS_WRITE);
	assert_int_equal(r.kind, SHADOW_MAPPED);
	table(&t, 0x13000)[0x40] = 0x41000 | U_RW | PTE_A;
	r = access_gva(&t, GVA + 0x40000, ACCESS_READ);
	assert_ptr_equal(r.host, t.bytes + 0x40000);
	shadow_invlpg(t.s, &t.v, &t.x.pg, &t.x.mem, GVA + 0x40000);
	r = access_gva(&t, GVA + 0x40000, ACCESS_READ);
	assert_ptr_equal(r.host, t.bytes + 0x41000);
	table(&t, 0x13000)[0x40] = 0x42000 | U_RW | PTE_A;
	t.flushes = 0;
	shadow_load_cr3(t.s, &t.v, &t.x.pg, &t.x.mem, false);
	assert_true(t.flushes > 0);
	assert_int_equal(spte_at(&t, GVA + 0xa0000) & SPTE_W, 0);
	r = access_gva(&t, GVA + 0x40000, ACCESS_READ);
	assert_ptr_equal(r.host, t.bytes + 0x42000);
	/* A write by other means drops the spte at once. */
	table(&t, 0x13000)[0x40] = 0;
	shadow_wrote(t.s, 0x13000 + 8 * 0x40, 8, false);
	assert_int_equal(count_rmap(&t, 0x42), 0);
	assert_int_equal(access_gva(&t, GVA + 0x40000, ACCESS_READ).kind, SHADOW_GUEST_FAULT);
	teardown(&t);
}

/* The leaves of all pages are the reverse maps the other way round. */
static void leaves_are_what_is_mapped(void **state)
{
	struct shadow_page_list l;
	unsigned n = 0, writable = 0;
	struct env t;
	(void)state;

	setup(&t, NULL);
	access_gva(&t, GVA + 0x40000, ACCESS_WRITE);
	access_gva(&t, GVA + 0x50000, ACCESS_READ);
	assert_int_equal(shadow_pages_list(t.s, SHADOW_WITH_LEAVES, &l, NULL), 0);
	for (size_t i = 0; i < l.n; i++)
		for (size_t j = 0; j < l.v[i].n_leaves; j++) {
			const struct spte_info *s = &l.v[i].leaves[j];

			assert_true(s->present && s->leaf && s->gfn_known && s->level == 1);
			assert_int_equal(s->sptep & ~PAGE_OFFSET_MASK, l.v[i].spt);
			n += s->gfn == 0x40;
			writable += s->writable;
		}
	assert_int_equal(n, count_rmap(&t, 0x40));
	assert_int_equal(writable, 1);
	shadow_page_list_free(&l);
	teardown(&t);
}

static bool page_is_unsync(struct env *t, uint64_t gfn)
{
	struct shadow_page_list l;
	bool unsync = false;

	assert_int_equal(shadow_pages_list(t->s, 0, &l, NULL), 0);
	for (size_t i = 0; i < l.n; i++)
		unsync |= l.v[i].gfn == gfn && l.v[i].unsync;
	shadow_page_list_free(&l);
	return unsync;
}

/* An unsync table that gets another parent is brought up to date, and stays unsync and writable: its guest has flushed
 * nothing. A flush protects it. */
static void unsync_linked_again(void **state)
{
	struct env t;
	struct shadow_result r;
	(void)state;

	setup(&t, NULL);
	table(&t, 0x13000)[0xa0] = 0x13000 | U_RW;
	table(&t, 0x12000)[3] = 0x13000 | U_RW;
	access_gva(&t, GVA + 0x40000, ACCESS_READ);
	access_gva(&t, GVA + 0xa0000, ACCESS_WRITE);
	assert_true(page_is_unsync(&t, 0x13));
	table(&t, 0x13000)[0x40] = 0x41000 | U_RW | PTE_A;
	r = access_gva(&t, 0x600000 + 0x50000, ACCESS_READ);
	assert_int_equal(r.kind, SHADOW_MAPPED);
	assert_true(page_is_unsync(&t, 0x13));
	assert_true(spte_at(&t, GVA + 0xa0000) & SPTE_W);
	assert_int_equal(spte_at(&t, GVA + 0x40000), 0);
	assert_int_equal(count_rmap(&t, 0x40), 1); /* of entry 0x50, by either gva */
	shadow_load_cr3(t.s, &t.v, &t.x.pg, &t.x.mem, false);
	assert_false(page_is_unsync(&t, 0x13));
	assert_int_equal(spte_at(&t, GVA + 0xa0000) & SPTE_W, 0);
	teardown(&t);
}

/* A read of a leaf table through an entry that is writable and dirty makes it unsync as a write would; a sync does not. */
static void unsync_by_a_read(void **state)
{
	struct env t;
	(void)state;

	setup(&t, NULL);
	table(&t, 0x13000)[0xa0] = 0x13000 | U_RW | PTE_D;
	access_gva(&t, GVA + 0x40000, ACCESS_READ);
	access_gva(&t, GVA + 0xa0000, ACCESS_READ);
	assert_true(page_is_unsync(&t, 0x13));
	assert_int_equal(spte_at(&t, GVA + 0xa0000) & 0xfff, 0xe67);
	/* Synced while it is a table: without W; its rights changed, so its spte is made anew. */
	shadow_load_cr3(t.s, &t.v, &t.x.pg, &t.x.mem, false);
	assert_int_equal(spte_at(&t, GVA + 0xa0000) & SPTE_W, 0);
	access_gva(&t, GVA + 0x50000, ACCESS_WRITE);
	access_gva(&t, GVA + 0xa0000, ACCESS_WRITE);
	assert_true(page_is_unsync(&t, 0x13));
	table(&t, 0x13000)[0xa0] &= ~PTE_D;
	shadow_invlpg(t.s, &t.v, &t.x.pg, &t.x.mem, GVA + 0xa0000);
	assert_int_equal(spte_at(&t, GVA + 0xa0000) & SPTE_W, 0);
	table(&t, 0x13000)[0xa0] |= PTE_D;
	shadow_invlpg(t.s, &t.v, &t.x.pg, &t.x.mem, GVA + 0xa0000);
	assert_int_equal(spte_at(&t, GVA + 0xa0000) & SPTE_W, 0);
	teardown(&t);
}

/* An entry that got reserved bits translates no more after a flush. */
static void unsync_reserved_bits(void **state)
{
	struct env t;
	(void)state;

	setup(&t, NULL);
	t.x.pg.efer &= ~EFER_NXE;
	shadow_load_cr3(t.s, &t.v, &t.x.pg, &t.x.mem, false);
	table(&t, 0x13000)[0xa0] = 0x13000 | U_RW;
	access_gva(&t, GVA + 0x40000, ACCESS_READ);
	access_gva(&t, GVA + 0xa0000, ACCESS_WRITE);
	table(&t, 0x13000)[0x40] |= PTE_NX;
	shadow_invlpg(t.s, &t.v, &t.x.pg, &t.x.mem, GVA + 0x40000);
	assert_int_equal(count_rmap(&t, 0x40), 0);
	teardown(&t);
}

/* A leaf table that becomes a directory too may not be written unseen any more: its unsync pages go. */
static void unsync_becomes_a_directory(void **state)
{
	struct env t;
	struct shadow_result r;
	(void)state;

	setup(&t, NULL);
	table(&t, 0x13000)[0xa0] = 0x13000 | U_RW;
	access_gva(&t, GVA + 0x40000, ACCESS_READ);
	access_gva(&t, GVA + 0xa0000, ACCESS_WRITE);
	assert_true(page_is_unsync(&t, 0x13));
	table(&t, 0x13000)[0] = 0x14000 | U_RW;
	table(&t, 0x14000)[1] = 0x42000 | U_RW;
	table(&t, 0x11000)[1] = 0x13000 | U_RW;
	r = access_gva(&t, 0x40001000, ACCESS_READ);
	assert_ptr_equal(r.host, t.bytes + 0x42000);
	assert_false(page_is_unsync(&t, 0x13));
	assert_int_equal(count_rmap(&t, 0x40), 0);
	assert_int_equal(access_gva(&t, GVA + 0xa0000, ACCESS_WRITE).kind, SHADOW_EMULATE);
	teardown(&t);
}

static unsigned pages_of(struct env *t, uint64_t gfn)
{
	struct shadow_page_list l;
	unsigned n = 0;

	assert_int_equal(shadow_pages_list(t->s, 0, &l, NULL), 0);
	for (size_t i = 0; i < l.n; i++)
		n += l.v[i].gfn == gfn && !l.v[i].direct;
	shadow_page_list_free(&l);
	return n;
}

/* Emulated writes drop the entries they hit. What does not look like a write of an entry, and the third one to a directory
 * that nobody faults through, zaps the page. */
static void emulated_writes(void **state)
{
	struct env t;
	(void)state;

	setup(&t, NULL);
	access_gva(&t, GVA + 0x40000, ACCESS_READ);
	access_gva(&t, GVA + 0x50000, ACCESS_READ);
	shadow_emulated_write(t.s, 0x13000 + 8 * 0x40, 8);
	assert_int_equal(count_rmap(&t, 0x40), 1);
	for (unsigned i = 0; i < 5; i++) /* a leaf table may be written as often as one likes */
		shadow_emulated_write(t.s, 0x13000 + 8 * 0x40 + 4, 4);
	shadow_emulated_write(t.s, 0x13000 + 8 * 0x40, 1);
	assert_int_equal(pages_of(&t, 0x13), 1);
	shadow_emulated_write(t.s, 0x13000 + 8 * 0x40 + 1, 1);
	assert_int_equal(pages_of(&t, 0x13), 0);
	assert_int_equal(count_rmap(&t, 0x40), 0);
	access_gva(&t, GVA + 0x40000, ACCESS_READ);
	shadow_emulated_write(t.s, 0x13000 + 8 * 0x40 + 4, 8); /* across two entries */
	assert_int_equal(pages_of(&t, 0x13), 0);
	shadow_emulated_write(t.s, 0x12000 + 8 * 9, 8);
	shadow_emulated_write(t.s, 0x12000 + 8 * 9, 8);
	access_gva(&t, GVA + 0x40000, ACCESS_READ); /* the count starts anew */
	shadow_emulated_write(t.s, 0x12000 + 8 * 9, 8);
	shadow_emulated_write(t.s, 0x12000 + 8 * 9, 8);
	assert_int_equal(pages_of(&t, 0x12), 1);
	shadow_emulated_write(t.s, 0x12000 + 8 * 9, 8);
	assert_int_equal(pages_of(&t, 0x12), 0);
	assert_int_equal(access_gva(&t, GVA + 0x40000, ACCESS_READ).kind, SHADOW_MAPPED);
	teardown(&t);
}

static void large_pages_and_no_paging(void **state)
{
	struct env t;
	struct shadow_result r;
	struct shadow_page_list l;
	(void)state;

	setup(&t, NULL);
	table(&t, 0x12000)[2] = 0 | U_RW | PTE_PS;
	r = access_gva(&t, 0x400000 + 0x41234, ACCESS_READ);
	assert_ptr_equal(r.host, t.bytes + 0x41000);
	assert_int_equal(shadow_pages_list(t.s, 0, &l, NULL), 0);
	assert_true(l.v[0].direct);
	assert_int_equal(l.v[0].level, 1);
	assert_int_equal(l.v[0].gfn, 0);
	shadow_page_list_free(&l);
	t.x.pg.mode = PAGING_NONE;
	t.x.pg.cr0 = CR0_PE;
	shadow_load_cr3(t.s, &t.v, &t.x.pg, &t.x.mem, false);
	r = access_gva(&t, 0x41234, ACCESS_WRITE);
	assert_ptr_equal(r.host, t.bytes + 0x41000);
	assert_int_equal(count_rmap(&t, 0x41), 2);
	assert_int_equal(access_gva(&t, 0xd0000000, ACCESS_READ).kind, SHADOW_MMIO);
	teardown(&t);
}

static void slots_come_and_go(void **state)
{
	struct env t;
	struct shadow_page_list l;
	(void)state;

	setup(&t, NULL);
	access_gva(&t, GVA + 0x40000, ACCESS_WRITE);
	assert_int_equal(slot_log_start(t.ram, NULL), 0);
	t.ram->flags |= SLOT_LOG_DIRTY;
	shadow_write_protect_slot(t.s, t.ram);
	assert_int_equal(spte_at(&t, GVA + 0x40000) & SPTE_W, 0);
	access_gva(&t, GVA + 0x40000, ACCESS_WRITE);
	assert_true(t.ram->dirty[0][1] & 1);
	shadow_zap_slot(t.s, t.ram);
	assert_int_equal(count_rmap(&t, 0x40), 0);
	assert_int_equal(shadow_pages_list(t.s, 0, &l, NULL), 0);
	assert_int_equal(l.n, 0);
	shadow_page_list_free(&l);
	assert_int_equal(access_gva(&t, GVA + 0x40000, ACCESS_READ).kind, SHADOW_MAPPED);
	teardown(&t);
}

static int on_stage(void *ctx, const struct shadow_stage *st)
{
	struct env *t = ctx;

	if (t->n_stages < 32)
		t->stages[t->n_stages] = *st;
	return ++t->n_stages == t->stop_at;
}

static void stages_in_order(void **state)
{
	struct env t;
	struct shadow_result r;
	unsigned seen[8] = {0};
	(void)state;

	setup(&t, NULL);
	t.v.stage = on_stage;
	t.v.stage_ctx = &t;
	access_gva(&t, GVA + 0x40000, ACCESS_WRITE);
	/* Which of accessed and dirty is told, and when, is the walk's business: count them, and hold the order of the rest.
	 */
	unsigned k = 0;
	static const enum stage rest[] = {STAGE_WALK,	     STAGE_WALK, STAGE_WALK,	    STAGE_WALK,
					  STAGE_SLOT,	     STAGE_PAGE, STAGE_SHADOW_PAGE, STAGE_SHADOW_PAGE,
					  STAGE_SHADOW_PAGE, STAGE_SPTE, STAGE_RMAP};
	for (unsigned i = 0; i < t.n_stages; i++) {
		if (t.stages[i].stage == STAGE_ACCESSED || t.stages[i].stage == STAGE_DIRTY) {
			seen[t.stages[i].stage == STAGE_DIRTY]++;
			continue;
		}
		assert_true(k < ARRAY_LEN(rest));
		assert_int_equal(t.stages[i].stage, rest[k++]);
	}
	assert_int_equal(k, ARRAY_LEN(rest));
	assert_true(seen[0] >= 3);
	assert_int_equal(seen[1], 1);
	teardown(&t);
	/* Stopped at any stage, the fault taken again comes to the same end. */
	for (unsigned at = 1; at <= 15; at++) {
		setup(&t, NULL);
		t.v.stage = on_stage;
		t.v.stage_ctx = &t;
		t.stop_at = at;
		int rc = shadow_access(t.s, &t.v, &t.x.pg, &t.x.mem, GVA + 0x40000, ACCESS_WRITE | ACCESS_USER, false, false,
				       &r, NULL);
		assert_int_equal(rc, -EINTR);
		t.v.stage = NULL;
		r = access_gva(&t, GVA + 0x40000, ACCESS_WRITE);
		assert_int_equal(r.kind, SHADOW_MAPPED);
		assert_int_equal(r.spte & 0xfff, 0xe67);
		assert_int_equal(count_rmap(&t, 0x40), 1);
		teardown(&t);
	}
}

/* Every present leaf is in its gfn's chain exactly once, and nothing else is. */
static void check_agreement(struct env *t)
{
	struct shadow_page_list pages;
	struct rmap_list maps;
	uint64_t leaves = 0, mapped = 0;

	assert_int_equal(shadow_pages_list(t->s, 0, &pages, NULL), 0);
	for (size_t i = 0; i < pages.n; i++)
		leaves += pages.v[i].level == 1 ? pages.v[i].sptes : 0;
	assert_int_equal(shadow_rmap_all(t->s, &maps, NULL), 0);
	for (size_t i = 0; i < maps.n; i++) {
		assert_string_equal(maps.v[i].corrupt, "");
		for (size_t k = 0; k < maps.v[i].n_sptes; k++)
			assert_true(maps.v[i].sptes[k].present && maps.v[i].sptes[k].gfn == maps.v[i].gfn);
		mapped += maps.v[i].n_sptes;
	}
	assert_int_equal(leaves, mapped);
	shadow_page_list_free(&pages);
	rmap_list_free(&maps);
}

static void random_steps(void **state)
{
	struct env t;
	uint64_t seed = 0x9e3779b97f4a7c15ull;
	struct shadow_config cfg = {.mmio_sptes = true, .max_pages = 64};
	(void)state;

	setup(&t, &cfg);
	for (unsigned step = 0; step < 30000; step++) {
		seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
		uint64_t i = seed >> 8 & 511, gva = GVA + (i << 12);
		uint64_t *pte = &table(&t, 0x13000)[i];
		struct shadow_result r;
		switch (seed & 15) {
		case 0:
			*pte = (seed >> 20 & 0x9f) << 12 | (seed >> 40 & 0x67);
			shadow_wrote(t.s, 0x13000 + 8 * i, 8, false);
			break;
		case 1:
			*pte = (seed >> 20 & 0x9f) << 12 | (seed >> 40 & 0x67);
			shadow_invlpg(t.s, &t.v, &t.x.pg, &t.x.mem, gva);
			break;
		case 2:
			shadow_load_cr3(t.s, &t.v, &t.x.pg, &t.x.mem, false);
			break;
		case 3:
			t.x.pg.cr3 = t.x.pg.cr3 == 0x10000 ? 0x20000 : 0x10000;
			memcpy(t.bytes + 0x20000, t.bytes + 0x10000, 4096);
			shadow_load_cr3(t.s, &t.v, &t.x.pg, &t.x.mem, false);
			break;
		case 4:
			shadow_write_protect_gfn(t.s, t.ram, 0x40);
			break;
		default:
			assert_int_equal(
			    shadow_access(t.s, &t.v, &t.x.pg, &t.x.mem, gva,
					  (seed & 16 ? ACCESS_WRITE : ACCESS_READ) | (seed & 32 ? ACCESS_USER : 0), false,
					  seed & 64, &r, NULL),
			    0);
		}
		if (step % 53 == 0)
			check_agreement(&t);
	}
	check_agreement(&t);
	teardown(&t);
}

/* The seed's two rules, switched on: heads by host page, writable sptes only. */
static void seed_rules(void **state)
{
	struct shadow_config cfg = {.rmap_host_page = true, .rmap_writable_only = true};
	struct env t;
	(void)state;

	setup(&t, &cfg);
	access_gva(&t, GVA + 0x40000, ACCESS_READ);
	assert_int_equal(count_rmap(&t, 0x40), 0);
	access_gva(&t, GVA + 0x40000, ACCESS_WRITE);
	access_gva(&t, GVA + 0x50000, ACCESS_WRITE);
	assert_int_equal(count_rmap(&t, 0x40), 2);
	assert_int_equal(shadow_write_protect_gfn(t.s, t.ram, 0x40), 2);
	assert_int_equal(count_rmap(&t, 0x40), 0);
	teardown(&t);
}

/* Two gfns on one host page: one chain by the seed's key, one each by slot and gfn. */
static void one_host_page_twice(void **state)
{
	(void)state;
	for (unsigned seed = 0; seed < 2; seed++) {
		struct shadow_config cfg = {.rmap_host_page = seed};
		struct env t;

		setup(&t, &cfg);
		struct slot *again = add_slot(&t, 2, 0xa0000, 0x1000, 0);
		again->alias = t.ram->alias + 0x40000;
		table(&t, 0x13000)[0xa0] = 0xa0000 | U_RW;
		access_gva(&t, GVA + 0x40000, ACCESS_READ);
		access_gva(&t, GVA + 0xa0000, ACCESS_READ);
		struct rmap_list l;
		assert_int_equal(shadow_rmap(t.s, 0x40, &l, NULL), 0);
		assert_int_equal(l.v[0].n_sptes, seed ? 2 : 1);
		rmap_list_free(&l);
		assert_int_equal(shadow_write_protect_gfn(t.s, again, 0xa0), 0); /* both are clean, so not writable */
		access_gva(&t, GVA + 0x40000, ACCESS_WRITE);
		access_gva(&t, GVA + 0xa0000, ACCESS_WRITE);
		assert_int_equal(shadow_write_protect_gfn(t.s, again, 0xa0), seed ? 2 : 1);
		teardown(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reads_and_writes),
	    cmocka_unit_test(shared_tables),
	    cmocka_unit_test(pages_made),
	    cmocka_unit_test(mmio_and_its_cache),
	    cmocka_unit_test(mmio_sptes),
	    cmocka_unit_test(tables_written),
	    cmocka_unit_test(large_pages_and_no_paging),
	    cmocka_unit_test(slots_come_and_go),
	    cmocka_unit_test(stages_in_order),
	    cmocka_unit_test(random_steps),
	    cmocka_unit_test(seed_rules),
	    cmocka_unit_test(leaves_are_what_is_mapped),
	    cmocka_unit_test(unsync_linked_again),
	    cmocka_unit_test(unsync_by_a_read),
	    cmocka_unit_test(unsync_reserved_bits),
	    cmocka_unit_test(unsync_becomes_a_directory),
	    cmocka_unit_test(emulated_writes),
	    cmocka_unit_test(one_host_page_twice),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
