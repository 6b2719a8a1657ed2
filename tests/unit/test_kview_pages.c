/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Shadow pages, roots and sptes in fake kernel memory: every layout, 32-bit guests under a PAE root, gvas by a page's
 * parents.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/fake_shadow.h"

static void shadow_pages_in_all_layouts(void **state)
{
	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++) {
		struct fk_world w;
		struct shadow_page_list l;

		fk_make_shadow(&w, v);
		fk_role(&w.f, &w.sp[3], &w.f.l.role_access, 5);
		fk_role(&w.f, &w.sp[3], &w.f.l.role_smm, 1);
		fk_role(&w.f, &w.sp[3], &w.f.l.role_guest_mode, 1);
		fk_set(&w.f, w.sp[3].at, &w.f.l.sp_unsync, 1);
		l = fk_pages(w.k, SHADOW_WITH_ENTRIES | SHADOW_WITH_PARENTS);
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
		fk_unmake(&w);
	}
}

static void sptes_in_all_layouts(void **state)
{
	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++) {
		struct fk_world w;
		struct spte_list l;
		size_t own = 0, leafs = 0;

		fk_make_shadow(&w, v);
		l = fk_sptes(w.k, 0, ~0ull);
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
		fk_unmake(&w);
	}
}

static void leaves_in_all_layouts(void **state)
{
	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++) {
		struct fk_world w;
		struct shadow_page_list l;

		fk_make_shadow(&w, v);
		l = fk_pages(w.k, SHADOW_WITH_LEAVES);
		assert_int_equal(l.n, 4);
		for (unsigned i = 0; i < 4; i++) {
			assert_null(l.v[i].entries);
			assert_int_equal(l.v[i].n_leaves, i == 3 ? 2 : 0);
		}
		for (unsigned i = 0; i < 2; i++) {
			const struct spte_info *s = &l.v[3].leaves[i];

			assert_true(s->present && s->leaf && s->gfn_known && s->writable && s->dirty && !s->gva_known);
			assert_int_equal(s->gfn, 0x40);
			assert_int_equal(s->level, 1);
			assert_int_equal(s->sptep & ~PAGE_OFFSET_MASK, w.sp[3].spt);
			assert_int_equal(s->page_gfn, 0x13);
		}
		shadow_page_list_free(&l);
		fk_unmake(&w);
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
	struct fk_world w;

	(void)state;
	fk_make_shadow(&w, FK_6_18);
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		struct spte_list l = fk_sptes(w.k, c[i].first, c[i].last);

		assert_int_equal(l.n, c[i].n);
		spte_list_free(&l);
	}
	fk_unmake(&w);
}

static void roots_of_all_kinds(void **state)
{
	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++) {
		struct fk_world w;
		struct root_list l;
		struct err e = {0};
		uint64_t mmu, prev;

		fk_make_shadow(&w, v);
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
		fk_unmake(&w);
	}
}

static void a_lone_root_gives_the_direct_map(void **state)
{
	struct fk_world w = {0};
	struct spte_list l;

	(void)state;
	fk_init(&w.f, FK_6_12, false);
	w.sp[0] = fk_add_sp(&w.f, 4, 0x10, false);
	fk_set(&w.f, w.sp[0].at, &w.f.l.sp_root_count, 1);
	fk_entry(&w.f, &w.sp[0], 256, 0x100dd4063);
	fk_root(&w.f, w.sp[0].spt - FK_BASE, 0x10000, 4);
	w.k = fk_open(&w.f);
	l = fk_sptes(w.k, 0, ~0ull);
	assert_int_equal(l.n, 1);
	assert_true(l.v[0].host_own);
	spte_list_free(&l);
	fk_unmake(&w);
}

static void a_vm_without_pages(void **state)
{
	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++) {
		struct fk_world w = {0};
		struct shadow_page_list p;
		struct spte_list s;
		struct root_list r;
		struct rmap_list m;
		struct err e = {0};

		fk_init(&w.f, v, false);
		w.k = fk_open(&w.f);
		p = fk_pages(w.k, SHADOW_WITH_ENTRIES | SHADOW_WITH_PARENTS);
		assert_int_equal(p.n, 0);
		assert_false(p.torn);
		shadow_page_list_free(&p);
		s = fk_sptes(w.k, 0, ~0ull);
		assert_int_equal(s.n, 0);
		spte_list_free(&s);
		assert_int_equal(kview_roots(w.k, &r, &e), 0);
		assert_int_equal(r.n, 0);
		root_list_free(&r);
		assert_int_equal(kview_rmap_all(w.k, &m, &e), 0);
		assert_int_equal(m.n, 0);
		rmap_list_free(&m);
		fk_unmake(&w);
	}
}

/* ---- 32-bit guests: four quarters under a PAE root that is no shadow page */

static void make_pae(struct fk_world *w, enum fk_version v, bool small)
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
			struct fk_world w;
			struct spte_list l;
			struct rmap_list r;
			struct err e = {0};

			make_pae(&w, v, small);
			l = fk_sptes(w.k, 0, 0xffffffff);
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
			fk_unmake(&w);
		}
}

/* A table that two entries point to maps two gvas: the first is given and none is "the" gva. */
static void two_parents_make_the_gva_unknown(void **state)
{
	struct fk_world w;
	struct rmap_list r;
	struct err e = {0};
	uint64_t parents[2];

	(void)state;
	fk_make_shadow(&w, FK_6_18);
	fk_put64(&w.f, fk_rmap_at(&w.f.slot[0], 0x40, 1), w.sp[3].spt + 0x40 * 8);
	fk_entry(&w.f, &w.sp[2], 7, fk_get64(&w.f, w.sp[2].spt + 8));
	parents[0] = w.sp[2].spt + 8;
	parents[1] = w.sp[2].spt + 7 * 8;
	fk_set(&w.f, w.sp[3].at, &w.f.l.sp_parents, fk_chain(&w.f, parents, 2));
	assert_int_equal(kview_rmap(w.k, 0x40, &r, &e), 0);
	assert_int_equal(r.v[0].sptes[0].gva, 0x240000);
	assert_false(r.v[0].sptes[0].gva_known);
	rmap_list_free(&r);
	fk_unmake(&w);
}

/* Two roots with the table at the same place: one gva all the same. */
static void two_paths_to_one_gva(void **state)
{
	struct fk_world w;
	struct rmap_list r;
	struct err e = {0};
	uint64_t parents[2];

	(void)state;
	fk_make_shadow(&w, FK_6_1);
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
	fk_unmake(&w);
}

static void is_table_by_role(void **state)
{
	struct fk_world w;
	struct err e = {0};
	bool table;

	(void)state;
	fk_make_shadow(&w, FK_6_18);
	w.sp[4] = fk_add_sp(&w.f, 1, 0x50, true);
	w.sp[5] = fk_add_sp(&w.f, 1, 0x60, false);
	fk_role(&w.f, &w.sp[5], &w.f.l.role_invalid, 1);
	w.sp[6] = fk_add_sp(&w.f, 1, 0x61, false);
	fk_set(&w.f, w.sp[6].at, &w.f.l.sp_valid_gen, 1);
	for (uint64_t gfn = 0; gfn < 0x80; gfn++) {
		assert_int_equal(kview_is_table(w.k, gfn, &table, &e), 0);
		assert_int_equal(table, gfn >= 0x10 && gfn <= 0x13);
	}
	fk_unmake(&w);
}

static void direct_pages_count_from_their_gfn(void **state)
{
	struct fk_world w;
	struct spte_list l;

	(void)state;
	fk_make_shadow(&w, FK_6_12);
	w.sp[4] = fk_add_sp(&w.f, 1, 0x200, true);
	fk_link(&w.f, &w.sp[2], 2, &w.sp[4]);
	fk_leaf(&w.f, &w.sp[4], 17, 0, 0x4321);
	l = fk_sptes(w.k, 0x400000, 0x5fffff);
	assert_int_equal(l.n, 4);
	assert_int_equal(l.v[3].gfn, 0x211);
	assert_int_equal(l.v[3].gva, 0x411000);
	spte_list_free(&l);
	fk_unmake(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(shadow_pages_in_all_layouts),
	    cmocka_unit_test(sptes_in_all_layouts),
	    cmocka_unit_test(leaves_in_all_layouts),
	    cmocka_unit_test(ranges_are_inclusive),
	    cmocka_unit_test(roots_of_all_kinds),
	    cmocka_unit_test(a_lone_root_gives_the_direct_map),
	    cmocka_unit_test(a_vm_without_pages),
	    cmocka_unit_test(guests_of_32_bits),
	    cmocka_unit_test(two_parents_make_the_gva_unknown),
	    cmocka_unit_test(two_paths_to_one_gva),
	    cmocka_unit_test(is_table_by_role),
	    cmocka_unit_test(direct_pages_count_from_their_gfn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
