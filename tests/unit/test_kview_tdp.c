/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The tables by gpa as a whole in fake kernel memory, in every layout: roots with their users, counts of what is below, NX
 * splits, roots that nobody is on, and memory that is not what it should be.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/fake_shadow.h"

static struct tdp_root_list look(struct kview *k)
{
	struct tdp_root_list l;
	struct err e = {0};

	if (kview_tdp_roots(k, &l, &e) < 0)
		fail_msg("%s: %s", e.what, e.why);
	return l;
}

static void a_root_and_what_is_below(void **state)
{
	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++) {
		struct fk_world w;
		struct tdp_root_list l;

		fk_make_tdp(&w, v);
		fk_role(&w.f, &w.sp[0], &w.f.l.role_nx, 1);
		fk_role(&w.f, &w.sp[0], &w.f.l.role_no_ad, 1);
		l = look(w.k);
		assert_int_equal(l.kind, TDP_MMU);
		assert_true(l.ept && !l.torn && l.rmaps[0] && !l.next[0]);
		assert_int_equal(l.n, 1);
		assert_int_equal(l.v[0].hpa, w.sp[0].spt - FK_BASE);
		assert_int_equal(l.v[0].address, w.sp[0].at);
		assert_int_equal(l.v[0].level, 4);
		assert_int_equal(l.v[0].references, 1);
		assert_int_equal(l.v[0].vcpus, 1);
		assert_int_equal(l.v[0].previous, 0);
		assert_true(l.v[0].nx && l.v[0].no_ad && l.v[0].walked && !l.v[0].wp && !l.v[0].invalid && !l.v[0].torn);
		for (unsigned i = 0; i < 4; i++)
			assert_int_equal(l.v[0].below[i].tables, 1);
		assert_int_equal(l.v[0].below[0].leaves, 1);
		assert_int_equal(l.v[0].below[0].writable, 1);
		assert_int_equal(l.v[0].below[0].host_writable, 1);
		assert_int_equal(l.v[0].below[0].mmu_writable, 1);
		assert_int_equal(l.v[0].below[0].frozen, 1);
		assert_int_equal(l.v[0].below[0].mmio, 1);
		assert_int_equal(l.v[0].below[1].leaves, 1);
		assert_int_equal(l.v[0].below[2].leaves, 0);
		tdp_root_list_free(&l);
		fk_unmake(&w);
	}
}

/* SMM's space, and one that is being removed, which nobody is on. */
static void roots_in_use_and_not(void **state)
{
	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++) {
		struct fk_world w;
		struct tdp_root_list l;

		fk_make_tdp(&w, v);
		w.sp[4] = fk_add_tdp(&w.f, 4, 0, true);
		fk_role(&w.f, &w.sp[4], &w.f.l.role_smm, 1);
		w.sp[5] = fk_add_tdp(&w.f, 4, 0, true);
		fk_role(&w.f, &w.sp[5], &w.f.l.role_invalid, 1);
		l = look(w.k);
		assert_int_equal(l.n, 3);
		assert_int_equal(l.v[0].as, 0);
		assert_int_equal(l.v[1].as, 1);
		assert_int_equal(l.v[1].vcpus, 0);
		assert_true(l.v[2].invalid && !l.v[1].invalid);
		tdp_root_list_free(&l);
		fk_unmake(&w);
	}
}

/* KVM's list of them is the only one that has the struct of a table below a root. */
static void splits_of_huge_pages(void **state)
{
	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++) {
		struct fk_world w;
		struct tdp_root_list l;
		struct shadow_page_list p;
		unsigned marked = 0;

		fk_make_tdp(&w, v);
		l = look(w.k);
		assert_true(l.nx_splits_known && !l.nx_splits);
		tdp_root_list_free(&l);
		fk_split(&w.f, &w.sp[3]);
		l = look(w.k);
		assert_int_equal(l.nx_splits, 1);
		assert_int_equal(l.v[0].below[0].nx_splits, 1);
		assert_int_equal(l.v[0].below[1].nx_splits, 0);
		assert_false(l.torn);
		tdp_root_list_free(&l);
		p = fk_pages(w.k, 0);
		for (size_t i = 0; i < p.n; i++) {
			marked += p.v[i].nx_split;
			assert_true(!p.v[i].nx_split || p.v[i].address == w.sp[3].at);
			assert_true(v == FK_5_10 || p.v[i].nx_split || p.v[i].level == 4 || !p.v[i].address);
		}
		assert_int_equal(marked, 1);
		shadow_page_list_free(&p);
		fk_unmake(&w);
	}
}

/* A shutdown under SVM resets the vCPU, and its root stays behind: the VMCB's two addresses lead below it. */
static void a_root_without_a_vcpu(void **state)
{
	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++)
		for (unsigned known = 0; known < 2; known++) {
			struct fk_world w;
			struct tdp_root_list l;
			struct shadow_page_list p;
			uint64_t svm, vmcb;

			fk_make_tdp(&w, v);
			fk_root(&w.f, ~0ull, 0, 4);
			if (w.f.l.tdp_list) /* its tables are in a list, with their parents' addresses */
				fk_set(&w.f, w.sp[3].at, &w.f.l.sp_parents, 0);
			w.f.host.vendor = KVENDOR_SVM;
			w.k->host.vendor = KVENDOR_SVM;
			vmcb = fk_alloc_page(&w.f);
			svm = w.f.vcpu[0] - (uint64_t)w.f.l.svm_vcpu.off;
			if (known)
				fk_set(&w.f, svm, &w.f.l.svm_vmcb_pa, (vmcb - FK_BASE) | 1ull << 47); /* encrypted */
			fk_set(&w.f, svm, w.f.l.svm_vmcb01.off >= 0 ? &w.f.l.svm_vmcb01 : &w.f.l.svm_vmcb, vmcb);
			p = fk_pages(w.k, 0);
			assert_int_equal(p.n, known || w.f.l.tdp_list ? 4 : 1);
			shadow_page_list_free(&p);
			l = look(w.k);
			assert_int_equal(l.n, 1);
			assert_int_equal(l.v[0].vcpus, 0);
			assert_int_equal(l.v[0].walked, known || w.f.l.tdp_list);
			assert_int_equal(l.v[0].below[0].leaves, known || w.f.l.tdp_list);
			tdp_root_list_free(&l);
			fk_unmake(&w);
		}
}

/* Who has the TDP MMU: the VM says so, or the module's parameter does. */
static void without_the_tdp_mmu(void **state)
{
	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++) {
		struct fk_world w = {0};
		struct tdp_root_list l;

		fk_init(&w.f, v, true);
		fk_set(&w.f, w.f.kvm, &w.f.l.kvm_tdp_enabled, 0);
		w.f.host.tdp_mmu = 0;
		w.sp[0] = fk_add_sp(&w.f, 4, 0, true);
		w.sp[1] = fk_add_sp(&w.f, 3, 0, true);
		fk_set(&w.f, w.sp[0].at, &w.f.l.sp_root_count, 1);
		fk_link(&w.f, &w.sp[0], 0, &w.sp[1]);
		fk_root(&w.f, w.sp[0].spt - FK_BASE, 0, 4);
		w.k = fk_open(&w.f);
		l = look(w.k);
		assert_int_equal(l.kind, TDP_SHADOW_PAGES);
		assert_non_null(strstr(l.why, "kvm.tdp_mmu=0"));
		assert_string_equal(l.next, "info shadow");
		assert_string_equal(l.rmaps, "");
		assert_int_equal(l.n, 1);
		assert_int_equal(l.v[0].vcpus, 1);
		assert_int_equal(l.v[0].below[2].tables, 1);
		tdp_root_list_free(&l);
		fk_unmake(&w);
	}
}

static void shadow_hosts_say_why(void **state)
{
	static const struct {
		enum kvendor vendor;
		const char *why;
	} hosts[] = {{KVENDOR_PVM, "kvm_pvm"}, {KVENDOR_SVM, "kvm_amd.npt"}, {KVENDOR_VMX, "kvm_intel.ept"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
		struct fk_world w;
		struct tdp_root_list l;

		fk_make_shadow(&w, FK_6_12);
		w.k->host.vendor = hosts[i].vendor;
		l = look(w.k);
		assert_int_equal(l.kind, TDP_NONE);
		assert_int_equal(l.n, 0);
		assert_non_null(strstr(l.why, hosts[i].why));
		assert_string_equal(l.next, "info shadow");
		tdp_root_list_free(&l);
		fk_unmake(&w);
	}
}

/* ---- memory that is not what it should be */

/* Every entry of each table leads to one table: the count ends, and says that it is not whole. Where the tables are found by
 * walking down already that ends. */
static void shared_tables_end(void **state)
{
	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++) {
		struct fk_world w;
		struct tdp_root_list l;
		int rc;

		fk_make_tdp(&w, v);
		for (unsigned i = 0; i < 3; i++)
			for (unsigned j = 0; j < 512; j++)
				fk_entry(&w.f, &w.sp[i], j, (w.sp[i + 1].spt - FK_BASE) | fk_table_bits(&w.f));
		rc = kview_tdp_roots(w.k, &l, NULL);
		assert_int_equal(rc, w.f.l.tdp_list ? 0 : -E2BIG);
		assert_true(rc || l.v[0].torn);
		if (!rc)
			tdp_root_list_free(&l);
		fk_unmake(&w);
	}
}

static void a_table_that_goes_away(void **state)
{
	struct fk_world w;
	struct tdp_root_list l;

	(void)state;
	fk_make_tdp(&w, FK_6_12);
	fk_unmap(&w.f, w.sp[3].spt);
	l = look(w.k);
	assert_true(l.torn && l.v[0].torn);
	assert_int_equal(l.v[0].below[1].tables, 1);
	assert_int_equal(l.v[0].below[0].leaves, 0);
	tdp_root_list_free(&l);
	fk_unmake(&w);
}

/* A list of splits that does not come back to its head, or whose nodes do not name each other. */
static void a_broken_list_of_splits(void **state)
{
	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++) {
		struct fk_world w;
		struct tdp_root_list l;
		uint64_t node;

		fk_make_tdp(&w, v);
		fk_split(&w.f, &w.sp[3]);
		node = w.sp[3].at + (uint64_t)w.f.l.sp_nx_link.off;
		fk_put64(&w.f, node, node); /* to itself */
		l = look(w.k);
		assert_true(l.torn);
		tdp_root_list_free(&l);
		fk_put64(&w.f, node, 0x1000);
		l = look(w.k);
		assert_true(l.torn);
		tdp_root_list_free(&l);
		fk_unmake(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_root_and_what_is_below), cmocka_unit_test(roots_in_use_and_not),
	    cmocka_unit_test(splits_of_huge_pages),	cmocka_unit_test(a_root_without_a_vcpu),
	    cmocka_unit_test(without_the_tdp_mmu),	cmocka_unit_test(shadow_hosts_say_why),
	    cmocka_unit_test(shared_tables_end),	cmocka_unit_test(a_table_that_goes_away),
	    cmocka_unit_test(a_broken_list_of_splits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
