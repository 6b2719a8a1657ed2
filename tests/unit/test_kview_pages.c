/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Shadow pages, roots, sptes and MMIO in fake kernel memory: every layout, shadow and TDP, 32-bit guests under a PAE root,
 * lists that move or are broken.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "core/cpu/regs.h"
#include "tests/support/fake_kernel.h"

struct world {
	struct fake_kernel f;
	struct kview *k;
	struct fk_sp sp[8];
};

static void unmake(struct world *w)
{
	kview_close(w->k);
	fk_free(&w->f);
}

/* Four levels down to gva 0x240000 and 0x250000, both gfn 0x40. */
static void make_shadow(struct world *w, enum fk_version v)
{
	memset(w, 0, sizeof(*w));
	fk_init(&w->f, v, false);
	fk_add_slot(&w->f, 0, 0, 0, 0x80, 0);
	fk_slots_done(&w->f);
	for (unsigned i = 0; i < 4; i++) {
		w->sp[i] = fk_add_sp(&w->f, 4 - i, 0x10 + i, false);
		for (unsigned j = 0; j < 512; j++)
			fk_entry(&w->f, &w->sp[i], j, v >= FK_6_12 ? 1ull << 63 : 0);
	}
	fk_link(&w->f, &w->sp[0], 0, &w->sp[1]);
	fk_link(&w->f, &w->sp[1], 0, &w->sp[2]);
	fk_link(&w->f, &w->sp[2], 1, &w->sp[3]);
	fk_leaf(&w->f, &w->sp[3], 0x40, 0x40, 0x1234);
	fk_leaf(&w->f, &w->sp[3], 0x50, 0x40, 0x1234);
	if (v != FK_5_10) /* the host's own */
		fk_entry(&w->f, &w->sp[0], 256, 0x100dd4063);
	fk_set(&w->f, w->sp[0].at, &w->f.l.sp_root_count, 1);
	fk_set(&w->f, w->f.kvm, &w->f.l.kvm_n_used, 4);
	fk_root(&w->f, w->sp[0].spt - FK_BASE, 0x10000, 4);
	w->k = fk_open(&w->f);
}

static struct shadow_page_list pages_of(struct kview *k, unsigned flags)
{
	struct shadow_page_list l;
	struct err e = {0};

	if (kview_shadow_pages(k, flags, &l, &e) < 0)
		fail_msg("%s: %s", e.what, e.why);
	return l;
}

static struct spte_list sptes_of(struct kview *k, uint64_t first, uint64_t last)
{
	struct spte_list l;
	struct err e = {0};

	if (kview_sptes(k, 0, first, last, &l, &e) < 0)
		fail_msg("%s: %s", e.what, e.why);
	return l;
}

static void shadow_pages_in_all_layouts(void **state)
{
	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++) {
		struct world w;
		struct shadow_page_list l;

		make_shadow(&w, v);
		fk_role(&w.f, &w.sp[3], &w.f.l.role_access, 5);
		fk_role(&w.f, &w.sp[3], &w.f.l.role_smm, 1);
		fk_role(&w.f, &w.sp[3], &w.f.l.role_guest_mode, 1);
		fk_set(&w.f, w.sp[3].at, &w.f.l.sp_unsync, 1);
		l = pages_of(w.k, SHADOW_WITH_ENTRIES | SHADOW_WITH_PARENTS);
		assert_int_equal(l.n, 4);
		assert_false(l.torn);
		for (unsigned i = 0; i < 4; i++) {
			const struct shadow_page *p = &l.v[i];

			assert_int_equal(p->gfn, 0x10 + i);
			assert_int_equal(p->level, 4 - i);
			assert_int_equal(p->address, w.sp[i].at);
			assert_int_equal(p->spt, w.sp[i].spt);
			assert_int_equal(p->sptes, i == 3 ? 2 : 1);
			assert_int_equal(p->mmio_sptes, 0);
			assert_int_equal(p->roots, i == 0);
			assert_int_equal(p->n_parents, i ? 1 : 0);
			assert_true(!i || p->parents[0] == w.sp[i - 1].spt + (i == 3 ? 8 : 0));
			assert_int_equal(p->entries[3], v >= FK_6_12 ? 1ull << 63 : 0);
			assert_int_equal(p->access, i == 3 ? 5 : 7);
			assert_int_equal(p->smm, i == 3);
			assert_int_equal(p->guest_mode, i == 3);
			assert_int_equal(p->unsync, i == 3);
			assert_false(p->direct || p->tdp || p->invalid || p->torn);
		}
		shadow_page_list_free(&l);
		unmake(&w);
	}
}

static void sptes_in_all_layouts(void **state)
{
	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++) {
		struct world w;
		struct spte_list l;
		size_t own = 0, leafs = 0;

		make_shadow(&w, v);
		l = sptes_of(w.k, 0, ~0ull);
		for (size_t i = 0; i < l.n; i++) {
			const struct spte_info *s = &l.v[i];

			if (s->host_own) {
				own++;
				assert_int_equal(s->gva, 0xffff800000000000);
				assert_false(s->present || s->leaf || s->mmio);
				continue;
			}
			assert_true(s->present && s->gva_known && s->gfn_known);
			if (!s->leaf)
				continue;
			assert_int_equal(s->gva, leafs++ ? 0x250000 : 0x240000);
			assert_int_equal(s->gfn, 0x40);
			assert_int_equal(s->pfn, 0x1234);
			assert_true(s->writable && s->user && s->exec && s->accessed && s->dirty);
			assert_true(s->host_writable && s->mmu_writable);
		}
		assert_int_equal(leafs, 2);
		assert_int_equal(own, v == FK_5_10 ? 0 : 1);
		assert_int_equal(l.n, 5 + own);
		spte_list_free(&l);
		unmake(&w);
	}
}

static void ranges_are_inclusive(void **state)
{
	static const struct {
		uint64_t first, last;
		size_t n;
	} c[] = {{0x240000, 0x240000, 4},     {0x240fff, 0x240fff, 4},	     {0x241000, 0x24ffff, 3},
		 {0x24ffff, 0x250000, 4},     {0x200000, 0x3fffff, 5},	     {0x400000, 0x7fffff, 2},
		 {1ull << 39, 2ull << 39, 0}, {0xffff800000000000, ~0ull, 1}};
	struct world w;

	(void)state;
	make_shadow(&w, FK_6_18);
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		struct spte_list l = sptes_of(w.k, c[i].first, c[i].last);

		assert_int_equal(l.n, c[i].n);
		spte_list_free(&l);
	}
	unmake(&w);
}

static void roots_of_all_kinds(void **state)
{
	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++) {
		struct world w;
		struct root_list l;
		struct err e = {0};
		uint64_t mmu, prev;

		make_shadow(&w, v);
		mmu = w.f.vcpu[0] + (uint64_t)w.f.l.vcpu_root_mmu.off;
		prev = mmu + (uint64_t)w.f.l.mmu_prev.off + w.f.l.root_info_size;
		fk_set(&w.f, prev, &w.f.l.root_hpa, w.sp[1].spt - FK_BASE);
		fk_set(&w.f, prev, &w.f.l.root_pgd, 0x77000);
		assert_int_equal(kview_roots(w.k, &l, &e), 0);
		assert_int_equal(l.n, 2);
		assert_true(l.v[0].current && !l.v[0].previous);
		assert_int_equal(l.v[0].cr3, 0x10000);
		assert_int_equal(l.v[0].level, 4);
		assert_int_equal(l.v[0].page, w.sp[0].at);
		assert_true(l.v[1].previous && !l.v[1].current);
		assert_int_equal(l.v[1].cr3, 0x77000);
		assert_int_equal(l.v[1].page, w.sp[1].at);
		root_list_free(&l);
		unmake(&w);
	}
}

static void a_lone_root_gives_the_direct_map(void **state)
{
	struct world w = {0};
	struct spte_list l;

	(void)state;
	fk_init(&w.f, FK_6_12, false);
	w.sp[0] = fk_add_sp(&w.f, 4, 0x10, false);
	fk_set(&w.f, w.sp[0].at, &w.f.l.sp_root_count, 1);
	fk_entry(&w.f, &w.sp[0], 256, 0x100dd4063);
	fk_root(&w.f, w.sp[0].spt - FK_BASE, 0x10000, 4);
	w.k = fk_open(&w.f);
	l = sptes_of(w.k, 0, ~0ull);
	assert_int_equal(l.n, 1);
	assert_true(l.v[0].host_own);
	spte_list_free(&l);
	unmake(&w);
}

static void a_vm_without_pages(void **state)
{
	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++) {
		struct world w = {0};
		struct shadow_page_list p;
		struct spte_list s;
		struct root_list r;
		struct rmap_list m;
		struct err e = {0};

		fk_init(&w.f, v, false);
		w.k = fk_open(&w.f);
		p = pages_of(w.k, SHADOW_WITH_ENTRIES | SHADOW_WITH_PARENTS);
		assert_int_equal(p.n, 0);
		assert_false(p.torn);
		shadow_page_list_free(&p);
		s = sptes_of(w.k, 0, ~0ull);
		assert_int_equal(s.n, 0);
		spte_list_free(&s);
		assert_int_equal(kview_roots(w.k, &r, &e), 0);
		assert_int_equal(r.n, 0);
		root_list_free(&r);
		assert_int_equal(kview_rmap_all(w.k, &m, &e), 0);
		assert_int_equal(m.n, 0);
		rmap_list_free(&m);
		unmake(&w);
	}
}

/* ---- 32-bit guests: four quarters under a PAE root that is no shadow page */

static void make_pae(struct world *w, enum fk_version v, bool small)
{
	uint64_t mmu, four[4] = {0};

	memset(w, 0, sizeof(*w));
	fk_init(&w->f, v, false);
	mmu = w->f.vcpu[0] + (uint64_t)w->f.l.vcpu_root_mmu.off;
	w->sp[7].spt = fk_alloc_page(&w->f);
	fk_add_slot(&w->f, 0, 0, 0, 0x80, 0);
	fk_slots_done(&w->f);
	w->sp[0] = fk_add_sp(&w->f, 2, 0x10, false);
	w->sp[1] = fk_add_sp(&w->f, 1, 0x11, false);
	for (int i = 0; i < 2; i++) {
		fk_role(&w->f, &w->sp[i], &w->f.l.role_small, small);
		fk_role(&w->f, &w->sp[i], &w->f.l.role_wide, !small);
	}
	fk_role(&w->f, &w->sp[0], &w->f.l.role_quadrant, small ? 3 : 0);
	fk_role(&w->f, &w->sp[1], &w->f.l.role_quadrant, small ? 1 : 0);
	fk_set(&w->f, w->sp[0].at, &w->f.l.sp_root_count, 1);
	fk_link(&w->f, &w->sp[0], 5, &w->sp[1]);
	fk_put64(&w->f, fk_rmap_at(&w->f.slot[0], 0x44, 1), fk_leaf(&w->f, &w->sp[1], 9, 0x44, 0x999));
	four[3] = (w->sp[0].spt - FK_BASE) | 1;
	fk_put(&w->f, w->sp[7].spt, four, sizeof(four));
	fk_root(&w->f, w->sp[7].spt - FK_BASE, 0x10000, 3);
	fk_set(&w->f, mmu, &w->f.l.mmu_pae_root, w->sp[7].spt);
	w->k = fk_open(&w->f);
}

static void guests_of_32_bits(void **state)
{
	const uint64_t gva = (3ull << 30) + (5ull << 21) + (9ull << 12);

	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++)
		for (int small = 0; small < 2; small++) {
			struct world w;
			struct spte_list l;
			struct rmap_list r;
			struct err e = {0};

			make_pae(&w, v, small);
			l = sptes_of(w.k, 0, 0xffffffff);
			assert_int_equal(l.n, 2);
			assert_int_equal(l.v[0].level, 2);
			assert_int_equal(l.v[0].gva, (3ull << 30) + (5ull << 21));
			assert_int_equal(l.v[1].gva, gva);
			assert_int_equal(l.v[1].gfn, 0x44);
			spte_list_free(&l);
			assert_int_equal(kview_rmap(w.k, 0x44, &r, &e), 0);
			assert_int_equal(r.v[0].n_sptes, 1);
			assert_true(r.v[0].sptes[0].gva_known);
			assert_int_equal(r.v[0].sptes[0].gva, gva);
			rmap_list_free(&r);
			unmake(&w);
		}
}

/* A table that two entries point to maps two gvas: the first is given and none is "the" gva. */
static void two_parents_make_the_gva_unknown(void **state)
{
	struct world w;
	struct rmap_list r;
	struct err e = {0};
	uint64_t parents[2];

	(void)state;
	make_shadow(&w, FK_6_18);
	fk_put64(&w.f, fk_rmap_at(&w.f.slot[0], 0x40, 1), w.sp[3].spt + 0x40 * 8);
	fk_entry(&w.f, &w.sp[2], 7, fk_get64(&w.f, w.sp[2].spt + 8));
	parents[0] = w.sp[2].spt + 8;
	parents[1] = w.sp[2].spt + 7 * 8;
	fk_set(&w.f, w.sp[3].at, &w.f.l.sp_parents, fk_chain(&w.f, parents, 2));
	assert_int_equal(kview_rmap(w.k, 0x40, &r, &e), 0);
	assert_int_equal(r.v[0].sptes[0].gva, 0x240000);
	assert_false(r.v[0].sptes[0].gva_known);
	rmap_list_free(&r);
	unmake(&w);
}

/* Two roots with the table at the same place: one gva all the same. */
static void two_paths_to_one_gva(void **state)
{
	struct world w;
	struct rmap_list r;
	struct err e = {0};
	uint64_t parents[2];

	(void)state;
	make_shadow(&w, FK_6_1);
	fk_put64(&w.f, fk_rmap_at(&w.f.slot[0], 0x40, 1), w.sp[3].spt + 0x40 * 8);
	w.sp[4] = fk_add_sp(&w.f, 4, 0x30, false);
	fk_set(&w.f, w.sp[4].at, &w.f.l.sp_root_count, 1);
	fk_entry(&w.f, &w.sp[4], 0, fk_get64(&w.f, w.sp[0].spt));
	parents[0] = w.sp[0].spt;
	parents[1] = w.sp[4].spt;
	fk_set(&w.f, w.sp[1].at, &w.f.l.sp_parents, fk_chain(&w.f, parents, 2));
	assert_int_equal(kview_rmap(w.k, 0x40, &r, &e), 0);
	assert_true(r.v[0].sptes[0].gva_known);
	assert_int_equal(r.v[0].sptes[0].gva, 0x240000);
	rmap_list_free(&r);
	unmake(&w);
}

static void is_table_by_role(void **state)
{
	struct world w;
	struct err e = {0};
	bool table;

	(void)state;
	make_shadow(&w, FK_6_18);
	w.sp[4] = fk_add_sp(&w.f, 1, 0x50, true);
	w.sp[5] = fk_add_sp(&w.f, 1, 0x60, false);
	fk_role(&w.f, &w.sp[5], &w.f.l.role_invalid, 1);
	w.sp[6] = fk_add_sp(&w.f, 1, 0x61, false);
	fk_set(&w.f, w.sp[6].at, &w.f.l.sp_valid_gen, 1);
	for (uint64_t gfn = 0; gfn < 0x80; gfn++) {
		assert_int_equal(kview_is_table(w.k, gfn, &table, &e), 0);
		assert_int_equal(table, gfn >= 0x10 && gfn <= 0x13);
	}
	unmake(&w);
}

static void direct_pages_count_from_their_gfn(void **state)
{
	struct world w;
	struct spte_list l;

	(void)state;
	make_shadow(&w, FK_6_12);
	w.sp[4] = fk_add_sp(&w.f, 1, 0x200, true);
	fk_link(&w.f, &w.sp[2], 2, &w.sp[4]);
	fk_leaf(&w.f, &w.sp[4], 17, 0, 0x4321);
	l = sptes_of(w.k, 0x400000, 0x5fffff);
	assert_int_equal(l.n, 4);
	assert_int_equal(l.v[3].gfn, 0x211);
	assert_int_equal(l.v[3].gva, 0x411000);
	spte_list_free(&l);
	unmake(&w);
}

/* ---- MMIO */

static void the_cache_and_its_generation(void **state)
{
	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++) {
		struct world w;
		struct mmio_info_list l;
		struct err e = {0};
		uint64_t vcpu;

		make_shadow(&w, v);
		vcpu = w.f.vcpu[0];
		fk_set(&w.f, vcpu, &w.f.l.vcpu_mmio_gva, 0x260000);
		fk_set(&w.f, vcpu, &w.f.l.vcpu_mmio_gfn, 0xd0000);
		fk_set(&w.f, vcpu, &w.f.l.vcpu_mmio_access, 6);
		fk_set(&w.f, vcpu, &w.f.l.vcpu_mmio_gen, 2);
		assert_int_equal(kview_mmio(w.k, &l, &e), 0);
		assert_int_equal(l.n, 1);
		assert_true(l.v[0].valid);
		assert_int_equal(l.v[0].gva, 0x260000);
		assert_int_equal(l.v[0].gfn, 0xd0000);
		assert_int_equal(l.v[0].access, 6);
		assert_int_equal(l.v[0].generation, 2);
		assert_int_equal(l.v[0].current_generation, 2);
		mmio_info_list_free(&l);
		fk_set(&w.f, w.f.set[0], &w.f.l.slots_generation, 4);
		assert_int_equal(kview_mmio(w.k, &l, &e), 0);
		assert_false(l.v[0].valid);
		assert_int_equal(l.v[0].current_generation, 4);
		mmio_info_list_free(&l);
		/* in SMM the other space's generation counts */
		fk_set(&w.f, vcpu, &w.f.l.vcpu_mmio_gen, 3);
		fk_role(&w.f,
			&(struct fk_sp){.at = vcpu + (uint64_t)w.f.l.vcpu_root_mmu.off + (uint64_t)w.f.l.mmu_role.off -
					      (uint64_t)w.f.l.sp_role.off},
			&w.f.l.role_smm, 1);
		assert_int_equal(kview_mmio(w.k, &l, &e), 0);
		assert_int_equal(l.v[0].current_generation, 3);
		assert_true(l.v[0].valid);
		mmio_info_list_free(&l);
		unmake(&w);
	}
}

static uint64_t mmio_spte(const struct kspte_bits *b, uint64_t value, uint64_t gfn, uint64_t gen)
{
	uint64_t low = gen & ((1ull << b->gen_low_bits) - 1), high = gen >> b->gen_low_bits;

	return value | gfn << 12 | low << b->gen_low | high << b->gen_high;
}

static void mmio_sptes_are_told_apart(void **state)
{
	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++) {
		struct world w;
		struct mmio_info_list l;
		struct shadow_page_list p;
		struct err e = {0};
		uint64_t value = 1ull << 51 | 7 | (v == FK_5_10 ? 3ull << 52 : 0), gen = 0x155aa;

		make_shadow(&w, v);
		if (w.f.l.kvm_mmio_value.off >= 0) {
			fk_set(&w.f, w.f.kvm, &w.f.l.kvm_mmio_value, 1ull << 51 | 1);
			kview_close(w.k);
			w.k = fk_open(&w.f);
		}
		fk_entry(&w.f, &w.sp[3], 0x60, mmio_spte(&w.k->bits, value, 0xd0000, gen));
		fk_entry(&w.f, &w.sp[3], 0x61, v == FK_5_10 ? 1ull << 59 : v == FK_7 ? 0x1a0 : 0x5a0); /* frozen */
		assert_int_equal(kview_mmio(w.k, &l, &e), 0);
		assert_false(l.v[0].sptes_off);
		assert_int_equal(l.v[0].n_sptes, 1);
		assert_int_equal(l.v[0].sptes[0].gva, 0x260000);
		assert_true(l.v[0].sptes[0].gva_known && l.v[0].sptes[0].mmio && l.v[0].sptes[0].gfn_known);
		assert_false(l.v[0].sptes[0].present);
		assert_int_equal(l.v[0].sptes[0].gfn, 0xd0000);
		assert_int_equal(l.v[0].sptes[0].mmio_gen, gen);
		mmio_info_list_free(&l);
		p = pages_of(w.k, 0);
		assert_int_equal(p.v[3].sptes, 2);
		assert_int_equal(p.v[3].mmio_sptes, 1);
		shadow_page_list_free(&p);
		unmake(&w);
	}
}

static void without_caching_there_are_none(void **state)
{
	struct world w;
	struct mmio_info_list l;
	struct err e = {0};

	(void)state;
	make_shadow(&w, FK_6_18);
	kview_close(w.k);
	w.f.host.mmio_caching = 0;
	w.k = fk_open(&w.f);
	fk_entry(&w.f, &w.sp[3], 0x60, 1ull << 51 | 7);
	assert_int_equal(kview_mmio(w.k, &l, &e), 0);
	assert_true(l.v[0].sptes_off);
	assert_int_equal(l.v[0].n_sptes, 0);
	mmio_info_list_free(&l);
	unmake(&w);
}

/* The five highest address bits set: the L1TF guard has moved the gfn's own bits away. */
static void a_guarded_mmio_gfn_is_unknown(void **state)
{
	struct kspte_bits b;
	struct spte_info s = {0};

	(void)state;
	kspte_bits_init(&b, KSPTE_PRESENT_BIT, false);
	b.mmio = KMMIO_SHAPE;
	b.maxphyaddr = 46;
	kspte_decode(&b, 1ull << 51 | 7 | 31ull << 41 | 0xd0000ull << 12, 1, &s);
	assert_true(s.mmio);
	assert_false(s.gfn_known);
}

/* ---- TDP */

static void make_tdp(struct world *w, enum fk_version v)
{
	memset(w, 0, sizeof(*w));
	fk_init(&w->f, v, true);
	fk_add_slot(&w->f, 0, 0, 0, 0x80000, 0);
	fk_slots_done(&w->f);
	for (unsigned level = 0; level < 3; level++) /* a TDP MMU keeps no rmaps until something is shadowed */
		fk_put64(&w->f, w->f.slot[0].at + (uint64_t)w->f.l.slot_rmap.off + level * 8, 0);
	w->sp[0] = fk_add_tdp(&w->f, 4, 0, true);
	w->sp[1] = fk_add_tdp(&w->f, 3, 0, false);
	w->sp[2] = fk_add_tdp(&w->f, 2, 0, false);
	w->sp[3] = fk_add_tdp(&w->f, 1, 0x200, false);
	fk_link(&w->f, &w->sp[0], 0, &w->sp[1]);
	fk_link(&w->f, &w->sp[1], 0, &w->sp[2]);
	fk_link(&w->f, &w->sp[2], 1, &w->sp[3]);
	fk_leaf(&w->f, &w->sp[3], 4, 0, 0x5555);
	fk_leaf(&w->f, &w->sp[2], 8, 0, 0x40000);
	fk_entry(&w->f, &w->sp[3], 5,
		 v == FK_5_10 ? 1ull << 59 : (v == FK_7 ? 0x1a0 : 0x5a0) | (v >= FK_6_12 ? 1ull << 63 : 0));
	fk_entry(&w->f, &w->sp[3], 6, (v == FK_5_10 ? 3ull << 52 : 0) | 6 | 0x206ull << 12);
	fk_root(&w->f, w->sp[0].spt - FK_BASE, 0, 4);
	w->k = fk_open(&w->f);
}

static void tdp_trees_in_all_layouts(void **state)
{
	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++) {
		struct world w;
		struct shadow_page_list l;
		unsigned seen = 0;

		make_tdp(&w, v);
		assert_true(kview_tdp(w.k));
		l = pages_of(w.k, SHADOW_WITH_ENTRIES | SHADOW_WITH_PARENTS);
		assert_int_equal(l.n, 4);
		assert_false(l.torn);
		for (size_t i = 0; i < l.n; i++) {
			const struct shadow_page *p = &l.v[i];
			unsigned at = 4 - p->level;

			assert_true(p->tdp && p->direct);
			assert_int_equal(p->spt, w.sp[at].spt);
			assert_int_equal(p->gfn, p->level == 1 ? 0x200 : 0);
			assert_int_equal(p->sptes, p->level == 2 ? 2 : 1);
			assert_int_equal(p->mmio_sptes, p->level == 1 ? 1 : 0);
			assert_int_equal(p->n_parents, p->level == 4 ? 0 : 1);
			assert_int_equal(p->roots, p->level == 4 ? 1 : 0);
			assert_non_null(p->entries);
			seen |= 1u << p->level;
		}
		assert_int_equal(seen, 0x1e);
		shadow_page_list_free(&l);
		unmake(&w);
	}
}

static void tdp_sptes_in_all_layouts(void **state)
{
	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++) {
		struct world w;
		struct spte_list l;
		struct rmap_list r;
		struct err e = {0};

		make_tdp(&w, v);
		l = sptes_of(w.k, 0, ~0ull);
		assert_int_equal(l.n, 6);
		assert_int_equal(l.v[3].gfn, 0x204);
		assert_int_equal(l.v[3].gva, 0x204000);
		assert_false(l.v[3].gva_known);
		assert_int_equal(l.v[3].pfn, 0x5555);
		assert_true(l.v[3].leaf && l.v[3].writable && l.v[3].exec && l.v[3].host_writable && l.v[3].mmu_writable);
		assert_true(l.v[4].mmio && l.v[4].gfn_known);
		assert_int_equal(l.v[4].gfn, 0x206);
		assert_true(l.v[5].leaf);
		assert_int_equal(l.v[5].level, 2);
		assert_int_equal(l.v[5].gfn, 0x1000);
		assert_int_equal(l.v[5].pfn, 0x40000);
		spte_list_free(&l);
		assert_int_equal(kview_rmap(w.k, 0x204, &r, &e), 0);
		assert_int_equal(r.n, 1);
		assert_int_equal(r.v[0].kind, RMAP_EMPTY);
		rmap_list_free(&r);
		assert_int_equal(kview_rmap_all(w.k, &r, &e), 0);
		assert_int_equal(r.n, 0);
		rmap_list_free(&r);
		unmake(&w);
	}
}

/* ---- lists that are broken or move */

static void broken_lists_are_torn(void **state)
{
	struct {
		unsigned sp;
		uint64_t next, prev, spt;
	} c[] = {{1, 0xdead000000000100, 0, 0},
		 {1, FK_BASE + 0x3f00000000, 0, 0},
		 {1, 0, 0, 0},
		 {2, 0, 0xdead000000000122, 0},
		 {2, 0, 0, 0x1234},
		 {2, 0, 0, 0xdead000000000000}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		struct world w;
		struct shadow_page_list l;
		uint64_t link;

		make_shadow(&w, FK_6_18);
		link = w.sp[c[i].sp].at + (uint64_t)w.f.l.sp_link.off;
		if (c[i].spt)
			fk_set(&w.f, w.sp[c[i].sp].at, &w.f.l.sp_spt, c[i].spt);
		else if (c[i].prev)
			fk_put64(&w.f, link + 8, c[i].prev);
		else
			fk_put64(&w.f, link, c[i].next);
		l = pages_of(w.k, 0);
		assert_true(l.torn);
		assert_int_equal(l.n, 2);
		assert_int_equal(l.v[1].address, w.sp[1].at);
		assert_true(l.v[0].torn);
		shadow_page_list_free(&l);
		unmake(&w);
	}
}

static void a_list_in_a_ring_ends(void **state)
{
	struct world w;
	struct shadow_page_list l;

	(void)state;
	make_shadow(&w, FK_6_18);
	fk_put64(&w.f, w.sp[2].at + (uint64_t)w.f.l.sp_link.off, w.sp[1].at + (uint64_t)w.f.l.sp_link.off);
	l = pages_of(w.k, 0);
	assert_true(l.torn);
	assert_int_equal(l.n, 3);
	shadow_page_list_free(&l);
	unmake(&w);
}

/* A page is zapped and moved to another list at the third read; the second try sees the list without it. */
static void zap_one(struct fake_kernel *f, uint64_t n, uint64_t addr)
{
	struct world *w = CONTAINER_OF(f, struct world, f);
	uint64_t off = (uint64_t)f->l.sp_link.off, head = f->kvm + (uint64_t)f->l.kvm_active.off;

	(void)n;
	if (addr != w->sp[2].at)
		return;
	f->on_read = NULL;
	fk_put64(f, w->sp[2].at + off, FK_BASE + 0x3f00000000);
	fk_put64(f, w->sp[2].at + off + 8, FK_BASE + 0x3f00000000);
	fk_put64(f, w->sp[1].at + off, w->sp[3].at + off);
	fk_put64(f, w->sp[3].at + off + 8, w->sp[1].at + off);
	(void)head;
}

static void a_moved_page_is_read_again(void **state)
{
	struct world w;
	struct shadow_page_list l;

	(void)state;
	make_shadow(&w, FK_6_12);
	w.f.on_read = zap_one;
	l = pages_of(w.k, 0);
	assert_false(l.torn);
	assert_int_equal(l.n, 3);
	assert_int_equal(l.v[2].address, w.sp[3].at);
	shadow_page_list_free(&l);
	unmake(&w);
}

/* Something changes at every look. */
static void never_still(struct fake_kernel *f, uint64_t n, uint64_t addr)
{
	(void)addr;
	fk_set(f, f->kvm, &f->l.kvm_n_used, n);
}

static void what_never_stands_still_is_torn(void **state)
{
	struct world w;
	struct shadow_page_list l;

	(void)state;
	make_shadow(&w, FK_6_18);
	w.f.on_read = never_still;
	l = pages_of(w.k, 0);
	assert_true(l.torn);
	assert_int_equal(l.n, 4);
	shadow_page_list_free(&l);
	unmake(&w);
}

static void a_table_that_went_is_torn(void **state)
{
	struct world w;
	struct shadow_page_list l;
	struct spte_list s;

	(void)state;
	make_shadow(&w, FK_6_18);
	fk_unmap(&w.f, w.sp[3].spt);
	l = pages_of(w.k, SHADOW_WITH_ENTRIES);
	assert_int_equal(l.n, 4);
	assert_true(l.v[3].torn);
	assert_null(l.v[3].entries);
	shadow_page_list_free(&l);
	s = sptes_of(w.k, 0x200000, 0x2fffff);
	assert_int_equal(s.n, 3);
	assert_true(s.v[0].torn);
	spte_list_free(&s);
	unmake(&w);
}

/* A table entry that leads upwards or to itself is not followed. */
static void loops_in_tables_end(void **state)
{
	struct world w;
	struct spte_list s;

	(void)state;
	make_shadow(&w, FK_6_18);
	fk_entry(&w.f, &w.sp[2], 3, (w.sp[0].spt - FK_BASE) | fk_table_bits(&w.f));
	fk_entry(&w.f, &w.sp[2], 4, (w.sp[2].spt - FK_BASE) | fk_table_bits(&w.f));
	fk_entry(&w.f, &w.sp[2], 5, 0x3ffffff000 | fk_table_bits(&w.f));
	s = sptes_of(w.k, 0, 0x7fffffffffff);
	assert_int_equal(s.n, 8);
	assert_true(s.v[7].torn); /* its table is not among the pages */
	assert_false(s.v[0].torn);
	spte_list_free(&s);
	unmake(&w);
}

/* ---- opening */

static void what_is_not_a_vm_is_refused(void **state)
{
	struct fake_kernel f;
	const int other = FK_VCPU_FD + 1, closed = 20, beyond = 64, negative = -1;
	struct kview *k;
	struct err e = {0};

	(void)state;
	fk_init(&f, FK_6_18, false);
	assert_int_equal(kview_open_on(&f.m, &f.l, &f.host, closed, &other, 1, &k, &e), -EBADF);
	assert_int_equal(kview_open_on(&f.m, &f.l, &f.host, beyond, &other, 1, &k, &e), -EBADF);
	assert_int_equal(kview_open_on(&f.m, &f.l, &f.host, negative, &other, 1, &k, &e), -EBADF);
	fk_set(&f, f.vcpu[1], &f.l.vcpu_kvm, f.kvm + 64);
	assert_int_equal(kview_open_on(&f.m, &f.l, &f.host, FK_VM_FD, &other, 1, &k, &e), -EINVAL);
	fk_put64(&f, f.files + (uint64_t)f.l.task_files.off, 0x1000);
	assert_int_equal(kview_open_on(&f.m, &f.l, &f.host, FK_VM_FD, &other, 1, &k, &e), -EFAULT);
	assert_int_equal(e.space, ERR_SPACE_KERNEL);
	fk_free(&f);
}

static int count_fact(void *arg, const char *what, const char *value, const char *why)
{
	assert_true(what[0] && value[0] && why);
	return ++*(int *)arg < 0;
}

static void facts_are_said(void **state)
{
	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++)
		for (int tdp = 0; tdp < 2; tdp++) {
			struct fake_kernel f;
			struct kview *k;
			struct err e = {0};
			struct regs r = {0};
			int n = 0;

			fk_init(&f, v, tdp);
			k = fk_open(&f);
			assert_int_equal(kview_facts(k, count_fact, &n, &e), 0);
			assert_true(n >= 6);
			assert_int_equal(kview_regs(k, 0, &r, &e), -ENODATA);
			assert_int_equal(r.valid, 0);
			kview_close(k);
			fk_free(&f);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(shadow_pages_in_all_layouts),
	    cmocka_unit_test(sptes_in_all_layouts),
	    cmocka_unit_test(ranges_are_inclusive),
	    cmocka_unit_test(roots_of_all_kinds),
	    cmocka_unit_test(a_lone_root_gives_the_direct_map),
	    cmocka_unit_test(a_vm_without_pages),
	    cmocka_unit_test(guests_of_32_bits),
	    cmocka_unit_test(two_parents_make_the_gva_unknown),
	    cmocka_unit_test(two_paths_to_one_gva),
	    cmocka_unit_test(is_table_by_role),
	    cmocka_unit_test(direct_pages_count_from_their_gfn),
	    cmocka_unit_test(the_cache_and_its_generation),
	    cmocka_unit_test(mmio_sptes_are_told_apart),
	    cmocka_unit_test(without_caching_there_are_none),
	    cmocka_unit_test(a_guarded_mmio_gfn_is_unknown),
	    cmocka_unit_test(tdp_trees_in_all_layouts),
	    cmocka_unit_test(tdp_sptes_in_all_layouts),
	    cmocka_unit_test(broken_lists_are_torn),
	    cmocka_unit_test(a_list_in_a_ring_ends),
	    cmocka_unit_test(a_moved_page_is_read_again),
	    cmocka_unit_test(what_never_stands_still_is_torn),
	    cmocka_unit_test(a_table_that_went_is_torn),
	    cmocka_unit_test(loops_in_tables_end),
	    cmocka_unit_test(what_is_not_a_vm_is_refused),
	    cmocka_unit_test(facts_are_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
