/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * MMIO caches, MMIO sptes and TDP trees in fake kernel memory, in every layout.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/fake_shadow.h"

/* ---- MMIO */

/* A bit of the role of vCPU 0's MMU. */
static void set_role(struct fk_world *w, const struct kfield *field, uint64_t v)
{
	const struct klayout *l = &w->f.l;
	const struct fk_sp mmu = {.at = w->f.vcpu[0] + (uint64_t)l->vcpu_root_mmu.off + (uint64_t)l->mmu_role.off -
					(uint64_t)l->sp_role.off};

	fk_role(&w->f, &mmu, field, v);
}

static void the_cache_and_its_generation(void **state)
{
	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++) {
		struct fk_world w;
		struct mmio_info_list l;
		struct err e = {0};
		uint64_t vcpu;

		fk_make_shadow(&w, v);
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
		/* In SMM too it is compared with the first space's, not with its own, which is 3. */
		set_role(&w, &w.f.l.role_smm, 1);
		fk_set(&w.f, vcpu, &w.f.l.vcpu_mmio_gen, 3);
		assert_int_equal(kview_mmio(w.k, &l, &e), 0);
		assert_int_equal(l.v[0].current_generation, 4);
		assert_false(l.v[0].valid || l.v[0].by_gfn);
		mmio_info_list_free(&l);
		fk_unmake(&w);
	}
}

/* A direct MMU's cache has no gva: KVM asks it by gfn. */
static void a_direct_cache_is_by_gfn(void **state)
{
	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++) {
		struct fk_world w;
		struct mmio_info_list l;
		struct err e = {0};
		uint64_t vcpu;

		fk_make_tdp(&w, v);
		vcpu = w.f.vcpu[0];
		set_role(&w, &w.f.l.role_direct, 1);
		fk_set(&w.f, vcpu, &w.f.l.vcpu_mmio_gva, 0);
		fk_set(&w.f, vcpu, &w.f.l.vcpu_mmio_gfn, 0xd0000);
		fk_set(&w.f, vcpu, &w.f.l.vcpu_mmio_gen, 2);
		assert_int_equal(kview_mmio(w.k, &l, &e), 0);
		assert_true(l.v[0].by_gfn && l.v[0].valid);
		assert_int_equal(l.v[0].n_sptes, 1);
		assert_true(l.v[0].sptes[0].by_gpa && !l.v[0].sptes[0].gva_known);
		assert_int_equal(l.v[0].sptes[0].gva, 0x206000);
		mmio_info_list_free(&l);
		fk_set(&w.f, vcpu, &w.f.l.vcpu_mmio_gfn, 0);
		assert_int_equal(kview_mmio(w.k, &l, &e), 0);
		assert_false(l.v[0].valid);
		mmio_info_list_free(&l);
		fk_set(&w.f, vcpu, &w.f.l.vcpu_mmio_gfn, 0xd0000);
		fk_set(&w.f, w.f.set[0], &w.f.l.slots_generation, 4);
		assert_int_equal(kview_mmio(w.k, &l, &e), 0);
		assert_false(l.v[0].valid);
		mmio_info_list_free(&l);
		fk_unmake(&w);
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
		struct fk_world w;
		struct mmio_info_list l;
		struct shadow_page_list p;
		struct err e = {0};
		uint64_t value = 1ull << 51 | 7 | (v == FK_5_10 ? 3ull << 52 : 0), gen = 0x155aa;

		fk_make_shadow(&w, v);
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
		p = fk_pages(w.k, 0);
		assert_int_equal(p.v[3].sptes, 2);
		assert_int_equal(p.v[3].mmio_sptes, 1);
		shadow_page_list_free(&p);
		fk_unmake(&w);
	}
}

static void without_caching_there_are_none(void **state)
{
	struct fk_world w;
	struct mmio_info_list l;
	struct err e = {0};

	(void)state;
	fk_make_shadow(&w, FK_6_18);
	kview_close(w.k);
	w.f.host.mmio_caching = 0;
	w.k = fk_open(&w.f);
	fk_entry(&w.f, &w.sp[3], 0x60, 1ull << 51 | 7);
	assert_int_equal(kview_mmio(w.k, &l, &e), 0);
	assert_true(l.v[0].sptes_off);
	assert_int_equal(l.v[0].n_sptes, 0);
	mmio_info_list_free(&l);
	fk_unmake(&w);
}

/* Five address bits set: the L1TF guard, which has the gpa's own bits above it. It is below the highest physical bit, or
 * below bit 44 where there are fewer. */
static void a_guarded_mmio_gfn(void **state)
{
	static const struct {
		unsigned maxphyaddr, top;
		int l1tf;
		uint64_t gpa;
		bool known;
	} all[] = {{46, 46, 1, 0xd0000000, true},    {46, 46, 1, 0x2a1234567000, true}, {40, 44, 1, 0xd0000000, true},
		   {40, 44, 1, 0x80d0000000, true},  {39, 39, 1, 0x7000345000, true},	{52, 0, 1, 0xfe0d00000000, true},
		   {46, 46, -1, 0xd0000000, false},  {46, 0, 1, 0xd0000000, true},	{46, 0, -1, 0xd0000000, true},
		   {46, 0, 0, 0x3e0000000000, true}, {52, 0, 0, 0xf80d0000000, true}};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		uint64_t guard = all[i].top ? 31ull << (all[i].top - 5) : 0, gpa = all[i].gpa;
		uint64_t spte = 1ull << 51 | 7 | (gpa & ~guard) | guard | (gpa & guard) << 5;
		struct kspte_bits b;
		struct spte_info s = {0};

		kspte_bits_init(&b, KSPTE_PRESENT_BIT, false);
		b.mmio = KMMIO_SHAPE;
		b.maxphyaddr = all[i].maxphyaddr;
		b.l1tf = all[i].l1tf;
		kspte_decode(&b, spte, 1, &s);
		assert_true(s.mmio);
		assert_int_equal(s.gfn_known, all[i].known);
		if (s.gfn_known)
			assert_int_equal(s.gfn, gpa >> 12);
	}
}

/* As the host says. */
static void guarded_mmio_sptes_are_listed(void **state)
{
	struct fk_world w;
	struct mmio_info_list l;
	struct err e = {0};

	(void)state;
	fk_make_shadow(&w, FK_6_18);
	kview_close(w.k);
	w.f.host.maxphyaddr = 40;
	w.f.host.l1tf = 1;
	w.k = fk_open(&w.f);
	fk_entry(&w.f, &w.sp[3], 0x60, 1ull << 51 | 7 | 0xf80d0000000);
	assert_int_equal(kview_mmio(w.k, &l, &e), 0);
	assert_int_equal(l.v[0].n_sptes, 1);
	assert_true(l.v[0].sptes[0].gfn_known);
	assert_int_equal(l.v[0].sptes[0].gfn, 0xd0000);
	mmio_info_list_free(&l);
	fk_unmake(&w);
}

/* The page with the MMIO spte goes away: what was found is torn. */
static void mmio_sptes_can_be_torn(void **state)
{
	struct fk_world w;
	struct mmio_info_list l;
	struct err e = {0};

	(void)state;
	fk_make_shadow(&w, FK_6_1);
	fk_unmap(&w.f, w.sp[3].spt);
	assert_int_equal(kview_mmio(w.k, &l, &e), 0);
	assert_true(l.v[0].torn);
	mmio_info_list_free(&l);
	fk_unmake(&w);
}

/* ---- TDP */

static void tdp_trees_in_all_layouts(void **state)
{
	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++) {
		struct fk_world w;
		struct shadow_page_list l;
		unsigned seen = 0;

		fk_make_tdp(&w, v);
		assert_true(kview_tdp(w.k));
		l = fk_pages(w.k, SHADOW_WITH_ENTRIES | SHADOW_WITH_PARENTS);
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
		fk_unmake(&w);
	}
}

/* What rmaps do not know under TDP the pages' leaves do, of all levels. */
static void tdp_leaves_in_all_layouts(void **state)
{
	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++) {
		struct fk_world w;
		struct shadow_page_list l;
		unsigned found = 0;

		fk_make_tdp(&w, v);
		l = fk_pages(w.k, SHADOW_WITH_LEAVES);
		for (size_t i = 0; i < l.n; i++)
			for (size_t j = 0; j < l.v[i].n_leaves; j++) {
				const struct spte_info *s = &l.v[i].leaves[j];

				assert_true(s->gfn_known && s->level == l.v[i].level);
				found |= s->mmio ? (s->gfn == 0x206) << 0 : (s->gfn == 0x204 && s->writable) << 1;
				found |= (s->leaf && s->level == 2 && s->gfn == 0x1000) << 2;
			}
		assert_int_equal(found, 7);
		shadow_page_list_free(&l);
		fk_unmake(&w);
	}
}

static void tdp_sptes_in_all_layouts(void **state)
{
	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++) {
		struct fk_world w;
		struct spte_list l;
		struct rmap_list r;
		struct err e = {0};

		fk_make_tdp(&w, v);
		l = fk_sptes(w.k, 0, ~0ull);
		assert_int_equal(l.n, 6);
		assert_int_equal(l.v[3].gfn, 0x204);
		assert_int_equal(l.v[3].gva, 0x204000);
		assert_true(l.v[3].by_gpa && !l.v[3].gva_known);
		assert_true(l.by_gpa && l.ept);
		assert_int_equal(l.levels, 4);
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
		fk_unmake(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_direct_cache_is_by_gfn),	 cmocka_unit_test(the_cache_and_its_generation),
	    cmocka_unit_test(mmio_sptes_are_told_apart), cmocka_unit_test(without_caching_there_are_none),
	    cmocka_unit_test(a_guarded_mmio_gfn),	 cmocka_unit_test(guarded_mmio_sptes_are_listed),
	    cmocka_unit_test(mmio_sptes_can_be_torn),	 cmocka_unit_test(tdp_trees_in_all_layouts),
	    cmocka_unit_test(tdp_sptes_in_all_layouts),	 cmocka_unit_test(tdp_leaves_in_all_layouts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
