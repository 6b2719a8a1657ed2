/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The kernel's memslots in fake kernel memory: trees and arrays, two address spaces, what is read again and what is not, and
 * sets that are broken or change while they are read.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/fake_kernel.h"

struct world {
	struct fake_kernel f;
	struct kview *k;
};

/* n slots of 16 pages with gaps, and one in the second address space. */
static void make(struct world *w, enum fk_version v, unsigned n)
{
	memset(w, 0, sizeof(*w));
	fk_init(&w->f, v, false);
	for (unsigned i = 0; i < n; i++)
		fk_add_slot(&w->f, 0, 100 + i, 0x100 + i * 0x20, 0x10, i % 4);
	if (v != FK_5_10) { /* in the array layout both spaces' slots would share their places here */
		fk_add_slot(&w->f, 1, 7, 0xa0, 0x20, 0);
	}
	fk_slots_done(&w->f);
	w->k = fk_open(&w->f);
}

static void unmake(struct world *w)
{
	kview_close(w->k);
	fk_free(&w->f);
}

static struct slot_info_list list(struct world *w)
{
	struct slot_info_list l;
	struct err e = {0};

	if (kview_slots(w->k, &l, &e) < 0)
		fail_msg("%s: %s", e.what, e.why);
	return l;
}

static void slots_in_all_layouts(void **state)
{
	static const unsigned counts[] = {0, 1, 2, 3, 7, 40};

	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++)
		for (size_t c = 0; c < ARRAY_LEN(counts); c++) {
			unsigned n = counts[c], smm = v != FK_5_10;
			struct world w;
			struct slot_info_list l;

			make(&w, v, n);
			l = list(&w);
			assert_int_equal(l.n, n + smm);
			for (unsigned i = 0; i < n; i++) {
				assert_int_equal(l.v[i].id, 100 + i);
				assert_int_equal(l.v[i].as, 0);
				assert_int_equal(l.v[i].gpa, (0x100 + i * 0x20) << 12);
				assert_int_equal(l.v[i].size, 0x10000);
				assert_int_equal(l.v[i].flags, i % 4);
				assert_int_equal(l.v[i].hva, 0x7f0000000000 + l.v[i].gpa);
				assert_int_equal(l.v[i].generation, 2);
				assert_int_equal(l.v[i].source, SOURCE_KERNEL);
				assert_false(l.v[i].torn);
			}
			if (smm) {
				assert_int_equal(l.v[n].id, 7);
				assert_int_equal(l.v[n].as, 1);
				assert_int_equal(l.v[n].generation, 3);
			}
			slot_info_list_free(&l);
			unmake(&w);
		}
}

static void an_unchanged_set_is_not_read_again(void **state)
{
	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++) {
		struct world w;
		struct slot_info_list l;
		uint64_t before;

		make(&w, v, 20);
		l = list(&w);
		slot_info_list_free(&l);
		before = w.f.n_reads;
		l = list(&w);
		assert_int_equal(l.n, v == FK_5_10 ? 20 : 21);
		slot_info_list_free(&l);
		assert_int_equal(w.f.n_reads - before, 3); /* the pointers to the sets, and two generations */
		fk_set(&w.f, w.f.slot[4].at, &w.f.l.slot_flags, 2);
		fk_set(&w.f, w.f.set[0], &w.f.l.slots_generation, 4);
		l = list(&w);
		assert_int_equal(l.v[4].flags, 2);
		assert_int_equal(l.v[4].generation, 4);
		slot_info_list_free(&l);
		unmake(&w);
	}
}

/* Between the two halves of an update the generation says so, in bit 63; the set itself is whole. */
static void an_update_under_way_is_shown(void **state)
{
	struct world w;
	struct slot_info_list l;
	struct err e = {0};
	uint64_t gen;

	(void)state;
	make(&w, FK_6_18, 3);
	fk_set(&w.f, w.f.set[0], &w.f.l.slots_generation, 1ull << 63 | 2);
	l = list(&w);
	assert_int_equal(l.v[0].generation, 1ull << 63 | 2);
	assert_false(l.v[0].torn);
	slot_info_list_free(&l);
	assert_int_equal(kview_generation(w.k, 0, &gen, &e), 0);
	assert_int_equal(gen, 1ull << 63 | 2);
	assert_int_equal(kview_generation(w.k, 1, &gen, &e), 0);
	assert_int_equal(gen, 3);
	assert_int_equal(kview_generation(w.k, 2, &gen, &e), -EINVAL);
	unmake(&w);
}

static void bump_once(struct fake_kernel *f, uint64_t n, uint64_t addr)
{
	(void)n;
	if (addr != f->slot[1].at)
		return;
	f->on_read = NULL;
	fk_set(f, f->set[0], &f->l.slots_generation, 6);
	fk_set(f, f->slot[0].at, &f->l.slot_flags, 3);
}

static void a_change_meanwhile_is_read_again(void **state)
{
	struct world w;
	struct slot_info_list l;

	(void)state;
	make(&w, FK_6_12, 3);
	w.f.on_read = bump_once;
	l = list(&w);
	assert_int_equal(l.n, 4);
	assert_int_equal(l.v[0].flags, 3);
	assert_int_equal(l.v[0].generation, 6);
	assert_false(l.v[0].torn);
	slot_info_list_free(&l);
	unmake(&w);
}

static void bump_always(struct fake_kernel *f, uint64_t n, uint64_t addr)
{
	(void)addr;
	fk_set(f, f->set[0], &f->l.slots_generation, 100 + n);
}

static void what_never_stands_still_is_torn(void **state)
{
	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++) {
		struct world w;
		struct slot_info_list l;

		make(&w, v, 3);
		w.f.on_read = bump_always;
		l = list(&w);
		assert_true(l.v[0].torn && l.v[2].torn);
		slot_info_list_free(&l);
		w.f.on_read = NULL;
		l = list(&w);
		assert_false(l.v[0].torn);
		slot_info_list_free(&l);
		unmake(&w);
	}
}

static uint64_t node_of(struct world *w, unsigned i)
{
	return w->f.slot[i].at + (uint64_t)w->f.l.slot_gfn_node.off;
}

static void broken_trees_are_torn(void **state)
{
	static const uint64_t wild[] = {0x1234, 0xdead000000000100, FK_BASE + 0x3f00000000, FK_BASE + 0x201};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wild) + 2; i++) {
		struct world w;
		struct slot_info_list l;
		struct slot_info_list l2;
		unsigned leaf = 0;

		make(&w, FK_6_18, 7);
		if (i < ARRAY_LEN(wild))
			fk_set(&w.f, node_of(&w, leaf), &w.f.l.rb_left, wild[i]);
		else if (i == ARRAY_LEN(wild)) /* a loop to the root */
			fk_set(&w.f, node_of(&w, leaf), &w.f.l.rb_left, node_of(&w, 3));
		else /* both sides to itself: doubles at each level */
			fk_set(&w.f, node_of(&w, leaf), &w.f.l.rb_left, node_of(&w, leaf)),
			    fk_set(&w.f, node_of(&w, leaf), &w.f.l.rb_right, node_of(&w, leaf));
		if (i == ARRAY_LEN(wild) + 1) {
			struct err e = {0};

			assert_int_equal(kview_slots(w.k, &l2, &e), -EFAULT);
		} else {
			l = list(&w);
			assert_true(l.n >= 8);
			assert_true(l.v[0].torn);
			slot_info_list_free(&l);
		}
		unmake(&w);
	}
}

static void senseless_slots_are_torn(void **state)
{
	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++)
		for (int i = 0; i < 3; i++) {
			struct world w;
			struct slot_info_list l;

			make(&w, v, 3);
			fk_set(&w.f, w.f.slot[1].at, &w.f.l.slot_npages, i == 0 ? 0 : i == 1 ? 0x30 : ~0ull);
			l = list(&w);
			assert_true(l.v[0].torn);
			slot_info_list_free(&l);
			unmake(&w);
		}
}

static void a_wild_set_is_an_error(void **state)
{
	static const uint64_t wild[] = {0, 0x1000, 0xdead000000000000, FK_BASE + 0x3f00000000};
	struct world w;
	struct slot_info_list l;

	(void)state;
	make(&w, FK_6_1, 3);
	for (size_t i = 0; i < ARRAY_LEN(wild); i++) {
		struct err e = {0};

		fk_put64(&w.f, w.f.kvm + (uint64_t)w.f.l.kvm_memslots.off, wild[i]);
		assert_int_equal(kview_slots(w.k, &l, &e), -EFAULT);
		assert_int_equal(e.space, ERR_SPACE_KERNEL);
	}
	unmake(&w);
}

static void a_huge_used_count_is_refused(void **state)
{
	struct world w;
	struct slot_info_list l;
	struct err e = {0};

	(void)state;
	make(&w, FK_5_10, 3);
	fk_set(&w.f, w.f.set[0], &w.f.l.slots_used, 0xffffffff);
	assert_int_equal(kview_slots(w.k, &l, &e), -EFAULT);
	unmake(&w);
}

static void dirty_bits_as_they_are(void **state)
{
	struct world w;
	struct err e = {0};
	uint64_t bitmap, bits[2] = {0};

	(void)state;
	make(&w, FK_6_18, 2);
	bitmap = fk_alloc(&w.f, 16);
	fk_put64(&w.f, bitmap, 0x8001);
	fk_set(&w.f, w.f.slot[1].at, &w.f.l.slot_dirty, bitmap);
	assert_int_equal(kview_dirty(w.k, 101, 0, bits, 1, &e), 0);
	assert_int_equal(bits[0], 0x8001);
	assert_int_equal(kview_dirty(w.k, 101, 0, bits, 2, &e), -EINVAL);
	assert_int_equal(kview_dirty(w.k, 100, 0, bits, 1, &e), -ENOENT);
	assert_int_equal(kview_dirty(w.k, 101, 1, bits, 1, &e), -ENOENT);
	assert_int_equal(kview_dirty(w.k, 555, 0, bits, 1, &e), -ENOENT);
	unmake(&w);
}

/* With TDP the arrays of heads come when something is shadowed first, and no generation says so. */
static void late_rmap_arrays_are_found(void **state)
{
	struct world w;
	struct rmap_list l;
	struct err e = {0};
	struct fk_sp leaf;
	uint64_t at, array;

	(void)state;
	make(&w, FK_6_12, 2);
	leaf = fk_add_sp(&w.f, 1, 0x50, false);
	at = w.f.slot[0].at + (uint64_t)w.f.l.slot_rmap.off;
	array = fk_get64(&w.f, at);
	fk_put64(&w.f, at, 0);
	assert_int_equal(kview_rmap_all(w.k, &l, &e), 0);
	assert_int_equal(l.n, 0);
	rmap_list_free(&l);
	fk_put64(&w.f, at, array);
	fk_put64(&w.f, fk_rmap_at(&w.f.slot[0], 0x104, 1), fk_leaf(&w.f, &leaf, 0, 0x104, 0x99));
	assert_int_equal(kview_rmap_all(w.k, &l, &e), 0);
	assert_int_equal(l.n, 1);
	assert_int_equal(l.v[0].gfn, 0x104);
	rmap_list_free(&l);
	unmake(&w);
}

/* Memory that is visible in both spaces has a reverse map in each. */
static void both_spaces_have_their_row(void **state)
{
	struct fake_kernel f;
	struct kview *k;
	struct rmap_list l;
	struct err e = {0};

	(void)state;
	fk_init(&f, FK_6_18, false);
	fk_add_slot(&f, 0, 1, 0xa0, 0x10, 0);
	fk_add_slot(&f, 1, 2, 0xa0, 0x10, 0);
	fk_slots_done(&f);
	k = fk_open(&f);
	assert_int_equal(kview_rmap(k, 0xa3, &l, &e), 0);
	assert_int_equal(l.n, 2);
	assert_int_equal(l.v[0].as, 0);
	assert_int_equal(l.v[0].slot, 1);
	assert_int_equal(l.v[1].as, 1);
	assert_int_equal(l.v[1].slot, 2);
	rmap_list_free(&l);
	assert_int_equal(kview_rmap(k, 0xb0, &l, &e), 0);
	assert_int_equal(l.n, 0);
	rmap_list_free(&l);
	kview_close(k);
	fk_free(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(slots_in_all_layouts),
	    cmocka_unit_test(an_unchanged_set_is_not_read_again),
	    cmocka_unit_test(an_update_under_way_is_shown),
	    cmocka_unit_test(a_change_meanwhile_is_read_again),
	    cmocka_unit_test(what_never_stands_still_is_torn),
	    cmocka_unit_test(broken_trees_are_torn),
	    cmocka_unit_test(senseless_slots_are_torn),
	    cmocka_unit_test(a_wild_set_is_an_error),
	    cmocka_unit_test(a_huge_used_count_is_refused),
	    cmocka_unit_test(dirty_bits_as_they_are),
	    cmocka_unit_test(late_rmap_arrays_are_found),
	    cmocka_unit_test(both_spaces_have_their_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
