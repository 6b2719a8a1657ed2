/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Shadow pages of a nested guest in fake kernel memory, in every layout: which they are, under which of L1's roots, and that
 * their sptes are by L2's physical addresses, in lists and in reverse maps.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/fake_shadow.h"

#define L1_ROOT 0x42000
#define L2_CR3 0x9000

struct world {
	struct fake_kernel f;
	struct kview *k;
	struct fk_slot *slot;
	struct fk_sp tdp, sp[4];
	uint64_t guest_mmu, root_mmu;
};

/* The vCPU is in L2 under its own MMU, or back in L1, which leaves that one as it is. */
static void be_in(struct world *w, bool l2)
{
	uint64_t mmu = l2 ? w->guest_mmu : w->root_mmu;

	fk_put64(&w->f, w->f.vcpu[0] + (uint64_t)w->f.l.vcpu_mmu.off, mmu);
}

/* L1's memory by a TDP root; L1's nested tables, gfns 0x42 to 0x45, shadowed: L2 gpas 0x8000 and 0x9000 are gfn 0x60. */
static void make(struct world *w, enum fk_version v, bool tdp)
{
	uint64_t sptes[2];

	memset(w, 0, sizeof(*w));
	fk_init(&w->f, v, tdp);
	w->f.host.vendor = KVENDOR_SVM;
	w->slot = fk_add_slot(&w->f, 0, 0, 0, 0x80, 0);
	fk_slots_done(&w->f);
	w->tdp = tdp ? fk_add_tdp(&w->f, 4, 0, true) : fk_add_sp(&w->f, 4, 0x10, false);
	for (unsigned i = 0; i < 4; i++) {
		w->sp[i] = fk_add_sp(&w->f, 4 - i, 0x42 + i, false);
		fk_role(&w->f, &w->sp[i], &w->f.l.role_guest_mode, 1);
		if (i)
			fk_link(&w->f, &w->sp[i - 1], 0, &w->sp[i]);
	}
	fk_set(&w->f, w->sp[0].at, &w->f.l.sp_root_count, 1);
	sptes[0] = fk_leaf(&w->f, &w->sp[3], 8, 0x60, 0x1234);
	sptes[1] = fk_leaf(&w->f, &w->sp[3], 9, 0x60, 0x1234);
	fk_put64(&w->f, fk_rmap_at(w->slot, 0x60, 1), fk_chain(&w->f, sptes, 2));
	fk_root(&w->f, w->tdp.spt - FK_BASE, 0, 4);
	w->root_mmu = w->f.vcpu[0] + (uint64_t)w->f.l.vcpu_root_mmu.off;
	w->guest_mmu = w->f.vcpu[0] + (uint64_t)w->f.l.vcpu_guest_mmu.off;
	fk_set(&w->f, w->guest_mmu, &w->f.l.mmu_root_hpa, w->sp[0].spt - FK_BASE);
	fk_set(&w->f, w->guest_mmu, &w->f.l.mmu_root_pgd, L1_ROOT);
	fk_set(&w->f, w->guest_mmu + (uint64_t)w->f.l.mmu_role.off, &w->f.l.role_level, 4);
	fk_set(&w->f, w->guest_mmu + (uint64_t)w->f.l.mmu_role.off, &w->f.l.role_guest_mode, 1);
	be_in(w, true);
	w->k = fk_open(&w->f);
}

static void unmake(struct world *w)
{
	kview_close(w->k);
	fk_free(&w->f);
}

static void pages_are_under_l1s_root(void **state)
{
	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++) {
		struct shadow_page_list l;
		struct world w;
		size_t nested = 0;

		make(&w, v, true);
		l = fk_pages(w.k, SHADOW_WITH_PARENTS);
		for (size_t i = 0; i < l.n; i++) {
			assert_int_equal(l.v[i].nested, l.v[i].guest_mode);
			assert_int_equal(l.v[i].l1_root, l.v[i].nested ? L1_ROOT : 0);
			nested += l.v[i].nested;
		}
		assert_int_equal(nested, 4);
		shadow_page_list_free(&l);
		unmake(&w);
	}
}

/* Under a direct root L2's physical addresses are L1's; without TDP the pages shadow L2's own tables. */
static void others_with_guest_mode_are_not(void **state)
{
	(void)state;
	for (unsigned tdp = 0; tdp < 2; tdp++) {
		struct shadow_page_list l;
		struct spte_list s;
		struct world w;

		make(&w, FK_6_12, tdp);
		for (unsigned i = 0; tdp && i < 4; i++)
			fk_role(&w.f, &w.sp[i], &w.f.l.role_direct, 1);
		l = fk_pages(w.k, SHADOW_WITH_PARENTS);
		for (size_t i = 0; i < l.n; i++)
			assert_false(l.v[i].nested || l.v[i].l1_root);
		shadow_page_list_free(&l);
		s = fk_sptes(w.k, 0, UINT64_MAX);
		assert_int_equal(s.n, 5);
		for (size_t i = 0; i < s.n; i++) {
			assert_false(s.v[i].nested);
			assert_int_equal(s.v[i].gva_known, !tdp);
		}
		spte_list_free(&s);
		unmake(&w);
	}
}

static void sptes_are_by_l2_gpa(void **state)
{
	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++) {
		struct spte_list l;
		struct world w;

		make(&w, v, true);
		l = fk_sptes(w.k, 0x8000, 0x9fff);
		assert_int_equal(l.n, 5);
		for (size_t i = 0; i < l.n; i++) {
			assert_true(l.v[i].nested && l.v[i].by_gpa && !l.v[i].gva_known);
			assert_int_equal(l.v[i].l1_root, L1_ROOT);
		}
		assert_int_equal(l.v[3].gva, 0x8000);
		assert_int_equal(l.v[3].gfn, 0x60);
		assert_int_equal(l.v[4].gva, 0x9000);
		spte_list_free(&l);
		be_in(&w, false);
		l = fk_sptes(w.k, 0, UINT64_MAX);
		for (size_t i = 0; i < l.n; i++)
			assert_false(l.v[i].nested);
		spte_list_free(&l);
		unmake(&w);
	}
}

static void chain_has_nested_entries(void **state)
{
	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++)
		for (unsigned l2 = 0; l2 < 2; l2++) {
			struct rmap_list l;
			struct err e = {0};
			struct world w;

			make(&w, v, true);
			be_in(&w, l2);
			assert_int_equal(kview_rmap(w.k, 0x60, &l, &e), 0);
			assert_int_equal(l.n, 1);
			assert_int_equal(l.v[0].n_sptes, 2);
			for (unsigned i = 0; i < 2; i++) {
				const struct spte_info *s = &l.v[0].sptes[i];

				assert_true(s->nested && s->by_gpa && s->guest_mode && !s->gva_known);
				assert_int_equal(s->gva, 0x8000 + i * 0x1000);
				assert_int_equal(s->l1_root, L1_ROOT);
			}
			rmap_list_free(&l);
			unmake(&w);
		}
}

/* Parents that lead nowhere, or round in a circle: no root is made up, and nothing hangs. */
static void broken_parents_give_no_root(void **state)
{
	(void)state;
	for (unsigned how = 0; how < 2; how++) {
		struct shadow_page_list l;
		struct rmap_list r;
		struct world w;

		make(&w, FK_6_12, true);
		fk_set(&w.f, w.sp[2].at, &w.f.l.sp_parents, how ? w.sp[3].spt : 0xffff888000fff000);
		l = fk_pages(w.k, SHADOW_WITH_PARENTS);
		for (size_t i = 0; i < l.n; i++)
			assert_int_equal(l.v[i].nested, l.v[i].guest_mode && l.v[i].level > 2);
		shadow_page_list_free(&l);
		assert_int_equal(kview_rmap(w.k, 0x60, &r, NULL), 0);
		assert_false(r.v[0].sptes[0].nested);
		rmap_list_free(&r);
		unmake(&w);
	}
}

static void registers_know_where_they_are(void **state)
{
	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++) {
		const struct regs l1 = {
		    .cr0 = CR0_PE | CR0_PG, .cr3 = 0x10000, .cr4 = CR4_PAE, .efer = EFER_SVME | EFER_LMA};
		struct regs l2 = l1, r = l1;
		struct world w;

		make(&w, v, true);
		knested_regs(w.k, 0, &l1, &r);
		assert_true(r.nested.in && r.nested.paging && r.nested.control_old && !r.nested.l1_known);
		assert_int_equal(r.nested.kind, NESTED_SVM);
		assert_int_equal(r.nested.root, L1_ROOT);
		assert_int_equal(r.nested.l1_cr3, 0x10000);
		assert_int_equal(r.nested.l1_efer, EFER_SVME | EFER_LMA);
		/* Stopped in L2 before: L1's are those of then. */
		l2.nested = (struct nested_guest){.in = true, .control = 0x40000, .l1_known = true, .l1_cr3 = 0x11000};
		l2.cr3 = L2_CR3;
		r = l2;
		knested_regs(w.k, 0, &l2, &r);
		assert_true(r.nested.in && r.nested.l1_known && !r.nested.control_old);
		assert_int_equal(r.nested.l1_cr3, 0x11000);
		assert_int_equal(r.nested.root, L1_ROOT);
		be_in(&w, false);
		knested_regs(w.k, 0, &l2, &r);
		assert_false(r.nested.in || r.nested.paging || r.nested.root);
		unmake(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(pages_are_under_l1s_root),	   cmocka_unit_test(others_with_guest_mode_are_not),
	    cmocka_unit_test(sptes_are_by_l2_gpa),	   cmocka_unit_test(chain_has_nested_entries),
	    cmocka_unit_test(broken_parents_give_no_root), cmocka_unit_test(registers_know_where_they_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
