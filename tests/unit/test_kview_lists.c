/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Structures that are broken or move while they are read, and descriptors that are no VM's.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "core/cpu/regs.h"
#include "tests/support/fake_shadow.h"

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
		struct fk_world w;
		struct shadow_page_list l;
		uint64_t link;

		fk_make_shadow(&w, FK_6_18);
		link = w.sp[c[i].sp].at + (uint64_t)w.f.l.sp_link.off;
		if (c[i].spt)
			fk_set(&w.f, w.sp[c[i].sp].at, &w.f.l.sp_spt, c[i].spt);
		else if (c[i].prev)
			fk_put64(&w.f, link + 8, c[i].prev);
		else
			fk_put64(&w.f, link, c[i].next);
		l = fk_pages(w.k, 0);
		assert_true(l.torn);
		assert_int_equal(l.n, 2);
		assert_int_equal(l.v[1].address, w.sp[1].at);
		assert_true(l.v[0].torn);
		shadow_page_list_free(&l);
		fk_unmake(&w);
	}
}

static void a_list_in_a_ring_ends(void **state)
{
	struct fk_world w;
	struct shadow_page_list l;

	(void)state;
	fk_make_shadow(&w, FK_6_18);
	fk_put64(&w.f, w.sp[2].at + (uint64_t)w.f.l.sp_link.off, w.sp[1].at + (uint64_t)w.f.l.sp_link.off);
	l = fk_pages(w.k, 0);
	assert_true(l.torn);
	assert_int_equal(l.n, 3);
	shadow_page_list_free(&l);
	fk_unmake(&w);
}

/* A page is zapped and moved to another list at the third read; the second try sees the list without it. */
static void zap_one(struct fake_kernel *f, uint64_t n, uint64_t addr)
{
	struct fk_world *w = CONTAINER_OF(f, struct fk_world, f);
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
	struct fk_world w;
	struct shadow_page_list l;

	(void)state;
	fk_make_shadow(&w, FK_6_12);
	w.f.on_read = zap_one;
	l = fk_pages(w.k, 0);
	assert_false(l.torn);
	assert_int_equal(l.n, 3);
	assert_int_equal(l.v[2].address, w.sp[3].at);
	shadow_page_list_free(&l);
	fk_unmake(&w);
}

/* Something changes at every look. */
static void never_still(struct fake_kernel *f, uint64_t n, uint64_t addr)
{
	(void)addr;
	fk_set(f, f->kvm, &f->l.kvm_n_used, n);
}

static void what_never_stands_still_is_torn(void **state)
{
	struct fk_world w;
	struct shadow_page_list l;

	(void)state;
	fk_make_shadow(&w, FK_6_18);
	w.f.on_read = never_still;
	l = fk_pages(w.k, 0);
	assert_true(l.torn);
	assert_int_equal(l.n, 4);
	shadow_page_list_free(&l);
	fk_unmake(&w);
}

static void a_table_that_went_is_torn(void **state)
{
	struct fk_world w;
	struct shadow_page_list l;
	struct spte_list s;

	(void)state;
	fk_make_shadow(&w, FK_6_18);
	fk_unmap(&w.f, w.sp[3].spt);
	l = fk_pages(w.k, SHADOW_WITH_ENTRIES);
	assert_int_equal(l.n, 4);
	assert_true(l.v[3].torn);
	assert_null(l.v[3].entries);
	shadow_page_list_free(&l);
	s = fk_sptes(w.k, 0x200000, 0x2fffff);
	assert_int_equal(s.n, 3);
	assert_true(s.v[0].torn);
	spte_list_free(&s);
	fk_unmake(&w);
}

/* A table entry that leads upwards or to itself is not followed. */
static void loops_in_tables_end(void **state)
{
	struct fk_world w;
	struct spte_list s;

	(void)state;
	fk_make_shadow(&w, FK_6_18);
	fk_entry(&w.f, &w.sp[2], 3, (w.sp[0].spt - FK_BASE) | fk_table_bits(&w.f));
	fk_entry(&w.f, &w.sp[2], 4, (w.sp[2].spt - FK_BASE) | fk_table_bits(&w.f));
	fk_entry(&w.f, &w.sp[2], 5, 0x3ffffff000 | fk_table_bits(&w.f));
	s = fk_sptes(w.k, 0, 0x7fffffffffff);
	assert_int_equal(s.n, 8);
	assert_true(s.v[7].torn); /* its table is not among the pages */
	assert_false(s.v[0].torn);
	spte_list_free(&s);
	fk_unmake(&w);
}

/* 512 entries of each of two tables lead to one table of 512 leaves: 134 million positions. The list ends, in order, and is
 * no less true for that. */
static void shared_tables_end_at_a_number(void **state)
{
	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v += FK_7 - FK_5_10) {
		struct fk_world w;
		struct spte_list s;

		fk_make_shadow(&w, v);
		for (unsigned i = 0; i < 512; i++) {
			fk_entry(&w.f, &w.sp[1], i, (w.sp[2].spt - FK_BASE) | fk_table_bits(&w.f));
			fk_entry(&w.f, &w.sp[2], i, (w.sp[3].spt - FK_BASE) | fk_table_bits(&w.f));
			fk_leaf(&w.f, &w.sp[3], i, 0x40, 0x1234);
		}
		s = fk_sptes(w.k, 0, 0x7fffffffffff);
		assert_int_equal(s.n, SPTES_MAX);
		assert_false(s.v[0].torn);
		for (size_t i = 1; i < s.n; i++)
			assert_true(s.v[i].gva >= s.v[i - 1].gva);
		spte_list_free(&s);
		s = fk_sptes(w.k, 0x40000000, 0x401fffff); /* a part of it is whole */
		assert_int_equal(s.n, 1 + 1 + 1 + 512);
		spte_list_free(&s);
		fk_unmake(&w);
	}
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
	    cmocka_unit_test(broken_lists_are_torn),
	    cmocka_unit_test(a_list_in_a_ring_ends),
	    cmocka_unit_test(a_moved_page_is_read_again),
	    cmocka_unit_test(what_never_stands_still_is_torn),
	    cmocka_unit_test(a_table_that_went_is_torn),
	    cmocka_unit_test(loops_in_tables_end),
	    cmocka_unit_test(shared_tables_end_at_a_number),
	    cmocka_unit_test(what_is_not_a_vm_is_refused),
	    cmocka_unit_test(facts_are_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
