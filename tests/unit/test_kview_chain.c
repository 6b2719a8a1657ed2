/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Reverse maps in fake kernel memory, in every layout: chains of all lengths, many at once, and each way in which a chain
 * can be broken or can move while it is read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/fake_kernel.h"

#define GFNS 64
#define SPTES 1100

struct world {
	struct fake_kernel f;
	struct kview *k;
	struct fk_slot *slot;
	uint64_t spte[SPTES]; /* addresses of leafs that all map pfn 0x777 */
};

/* One slot, and enough leaf pages for a long chain. */
static void make(struct world *w, enum fk_version v)
{
	struct fk_sp root, l3, l2;

	memset(w, 0, sizeof(*w));
	fk_init(&w->f, v, false);
	w->slot = fk_add_slot(&w->f, 0, 3, 0x100, GFNS, 0);
	fk_slots_done(&w->f);
	root = fk_add_sp(&w->f, 4, 0x10, false);
	l3 = fk_add_sp(&w->f, 3, 0x11, false);
	l2 = fk_add_sp(&w->f, 2, 0x12, false);
	fk_link(&w->f, &root, 1, &l3);
	fk_link(&w->f, &l3, 2, &l2);
	fk_set(&w->f, root.at, &w->f.l.sp_root_count, 1);
	for (unsigned i = 0; i < SPTES; i += 500) {
		struct fk_sp leaf = fk_add_sp(&w->f, 1, 0x20 + i, false);

		fk_link(&w->f, &l2, i / 500, &leaf);
		for (unsigned j = 0; j < 500 && i + j < SPTES; j++)
			w->spte[i + j] = fk_leaf(&w->f, &leaf, j, 0x100, 0x777);
	}
	fk_root(&w->f, root.spt - FK_BASE, 0x10000, 4);
	w->k = fk_open(&w->f);
}

static void unmake(struct world *w)
{
	kview_close(w->k);
	fk_free(&w->f);
}

static void set_head(struct world *w, uint64_t gfn, uint64_t head)
{
	fk_put64(&w->f, fk_rmap_at(w->slot, gfn, 1), head);
}

static struct rmap_info one(struct world *w, uint64_t gfn)
{
	struct rmap_list l;
	struct rmap_info row;
	struct err e = {0};

	if (kview_rmap(w->k, gfn, &l, &e) < 0)
		fail_msg("%s: %s", e.what, e.why);
	assert_int_equal(l.n, 1);
	row = l.v[0];
	free(l.v);
	return row;
}

static void drop(struct rmap_info *r)
{
	free(r->desc);
	free(r->sptes);
}

static void expect_broken(struct world *w, uint64_t head, const char *words)
{
	struct rmap_list all;
	struct rmap_info r;
	struct err e = {0};

	set_head(w, 0x101, head);
	r = one(w, 0x101);
	if (!strstr(r.corrupt, words))
		fail_msg("'%s' is not in '%s'", words, r.corrupt);
	assert_false(r.torn);
	drop(&r);
	assert_int_equal(kview_rmap_all(w->k, &all, &e), 0);
	assert_int_equal(all.n, 1);
	assert_non_null(strstr(all.v[0].corrupt, words));
	rmap_list_free(&all);
	set_head(w, 0x101, 0);
}

static const size_t lengths[] = {0, 1, 2, 3, 4, 14, 15, 28, 29, 40, 1001};

static void check_length(struct world *w, const struct rmap_info *r, size_t n)
{
	size_t each = w->f.l.desc_entries;

	assert_string_equal(r->corrupt, "");
	assert_false(r->torn);
	assert_int_equal(r->slot, 3);
	assert_int_equal(r->kind, n == 0 ? RMAP_EMPTY : n == 1 ? RMAP_ONE : RMAP_MANY);
	assert_int_equal(r->n_sptes, n);
	assert_int_equal(r->n_desc, n < 2 ? 0 : (n + each - 1) / each);
	for (size_t i = 0; i < n; i++) {
		assert_true(r->sptes[i].present && r->sptes[i].leaf && r->sptes[i].writable);
		assert_int_equal(r->sptes[i].pfn, 0x777);
		assert_int_equal(r->sptes[i].gfn, r->gfn);
		assert_int_equal(r->sptes[i].index, r->sptes[i].sptep >> 3 & 511);
	}
}

/* Every spte once, whatever the order. */
static void check_all_there(struct world *w, const struct rmap_info *r)
{
	for (size_t want = 0; want < r->n_sptes; want++) {
		size_t seen = 0;

		for (size_t i = 0; i < r->n_sptes; i++)
			seen += r->sptes[i].sptep == w->spte[want];
		assert_int_equal(seen, 1);
	}
}

static void all_lengths_in_all_layouts(void **state)
{
	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++) {
		struct world w;

		make(&w, v);
		for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
			struct rmap_info r;

			set_head(&w, 0x100, fk_chain(&w.f, w.spte, lengths[i]));
			r = one(&w, 0x100);
			check_length(&w, &r, lengths[i]);
			check_all_there(&w, &r);
			drop(&r);
		}
		unmake(&w);
	}
}

static void all_at_once(void **state)
{
	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++) {
		struct world w;
		struct rmap_list l;
		struct rmap_histogram_list h;
		struct err e = {0};

		make(&w, v);
		for (size_t i = 0; i < ARRAY_LEN(lengths); i++)
			set_head(&w, 0x110 + i, fk_chain(&w.f, w.spte, lengths[i]));
		assert_int_equal(kview_rmap_all(w.k, &l, &e), 0);
		assert_int_equal(l.n, ARRAY_LEN(lengths) - 1);
		for (size_t i = 0; i < l.n; i++) {
			assert_int_equal(l.v[i].gfn, 0x111 + i);
			check_length(&w, &l.v[i], lengths[i + 1]);
		}
		rmap_list_free(&l);
		assert_int_equal(kview_rmap_histogram(w.k, &h, &e), 0);
		assert_int_equal(h.n, 3);
		assert_int_equal(h.v[0].counts[0], GFNS - (ARRAY_LEN(lengths) - 1));
		assert_int_equal(h.v[0].counts[1], 1);
		assert_int_equal(h.v[0].counts[rmap_bucket(2)], 2);
		assert_int_equal(h.v[0].counts[rmap_bucket(14)], 2);
		assert_int_equal(h.v[0].counts[rmap_bucket(28)], 2);
		assert_int_equal(h.v[0].counts[rmap_bucket(1001)], 1);
		assert_int_equal(h.v[0].longest, 1001);
		assert_int_equal(h.v[0].longest_gfn, 0x110 + ARRAY_LEN(lengths) - 1);
		assert_int_equal(h.v[1].counts[0], 1);
		rmap_histogram_list_free(&h);
		unmake(&w);
	}
}

static void gvas_follow_the_tables(void **state)
{
	struct world w;
	struct rmap_info r;

	(void)state;
	make(&w, FK_6_18);
	set_head(&w, 0x100, fk_chain(&w.f, w.spte + 499, 2));
	r = one(&w, 0x100);
	assert_true(r.sptes[0].gva_known && r.sptes[1].gva_known);
	assert_int_equal(r.sptes[0].gva, (1ull << 39) + (2ull << 30) + (499ull << 12));
	assert_int_equal(r.sptes[1].gva, (1ull << 39) + (2ull << 30) + (1ull << 21));
	assert_int_equal(r.sptes[0].page_gfn, 0x20);
	assert_int_equal(r.sptes[1].page_gfn, 0x20 + 500);
	drop(&r);
	unmake(&w);
}

static void many_with_one_entry_is_legal(void **state)
{
	struct world w;
	struct rmap_info r;

	(void)state;
	make(&w, FK_6_12);
	set_head(&w, 0x100, fk_desc(&w.f, w.spte, 1, 1, 0, 0) | 1);
	r = one(&w, 0x100);
	assert_int_equal(r.kind, RMAP_MANY);
	assert_int_equal(r.n_sptes, 1);
	assert_string_equal(r.corrupt, "");
	drop(&r);
	unmake(&w);
}

/* In layouts without tail counts a middle descriptor may have room. */
static void a_middle_one_may_have_room(void **state)
{
	(void)state;
	for (unsigned v = FK_5_10; v <= FK_6_1; v++) {
		struct world w;
		struct rmap_info r;
		uint64_t last;

		make(&w, v);
		last = fk_desc(&w.f, w.spte + 2, 2, 2, 0, 0);
		set_head(&w, 0x100, fk_desc(&w.f, w.spte, 2, 2, 0, last) | 1);
		r = one(&w, 0x100);
		assert_int_equal(r.n_sptes, 4);
		assert_int_equal(r.desc[0].used, 2);
		assert_int_equal(r.desc[0].more, last);
		assert_string_equal(r.corrupt, "");
		drop(&r);
		unmake(&w);
	}
}

static void broken_heads(void **state)
{
	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++) {
		struct world w;

		make(&w, v);
		expect_broken(&w, 0x1234567890abc000, "no spte's address");
		expect_broken(&w, FK_BASE + 0x204, "no spte's address");
		expect_broken(&w, 0x1234567890abc001, "points to no descriptor");
		expect_broken(&w, FK_BASE + 0x205, "points to no descriptor");
		expect_broken(&w, 1, "points to no descriptor");
		expect_broken(&w, (FK_BASE + 0x3f00000000) | 1, "cannot be read");
		unmake(&w);
	}
}

static void broken_descriptors(void **state)
{
	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++) {
		struct world w;
		uint64_t wild[2], self, two;
		unsigned each;

		make(&w, v);
		each = w.f.l.desc_entries;
		expect_broken(&w, fk_desc(&w.f, NULL, 0, 0, 0, 0) | 1, "is empty");
		wild[0] = w.spte[0];
		wild[1] = 0xdead000000000100;
		expect_broken(&w, fk_desc(&w.f, wild, 2, 2, 0, 0) | 1, "no spte's address");
		expect_broken(&w, fk_desc(&w.f, w.spte, each, each, 0, 0xdead000000000100) | 1,
			      "goes on at 0xdead000000000100");
		expect_broken(&w, fk_desc(&w.f, w.spte, each, each, 0, FK_BASE + 0x3f00000000) | 1, "cannot be read");
		self = fk_desc(&w.f, w.spte, each, each, each, 0);
		fk_set(&w.f, self, &w.f.l.desc_more, self);
		expect_broken(&w, self | 1, "a second time");
		two = fk_desc(&w.f, w.spte, each, each, each, self);
		fk_set(&w.f, self, &w.f.l.desc_more, two);
		expect_broken(&w, self | 1, "a second time");
		if (v != FK_5_10) {
			expect_broken(&w, fk_desc(&w.f, w.spte, 14, 15, 0, 0) | 1, "claims 15 sptes of at most 14");
			expect_broken(&w, fk_desc(&w.f, w.spte, 14, 0xffffffff, 0, 0) | 1, "claims 4294967295");
			expect_broken(&w, fk_desc(&w.f, w.spte, 2, 3, 0, 0) | 1, "is 0, no spte's address");
		}
		unmake(&w);
	}
}

/* A ring of many descriptors is noticed in time linear in its length. */
static void a_long_ring_ends(void **state)
{
	struct world w;
	uint64_t first, at, next;

	(void)state;
	make(&w, FK_5_10);
	first = at = fk_desc(&w.f, w.spte, 3, 3, 0, 0);
	for (int i = 0; i < 300; i++, at = next) {
		next = fk_desc(&w.f, w.spte, 3, 3, 0, 0);
		fk_set(&w.f, at, &w.f.l.desc_more, next);
	}
	fk_set(&w.f, at, &w.f.l.desc_more, first);
	w.f.n_reads = 0;
	expect_broken(&w, first | 1, "the chain is a loop");
	assert_true(w.f.n_reads < 301 * 40);
	unmake(&w);
}

static void broken_tails(void **state)
{
	(void)state;
	for (unsigned v = FK_6_12; v <= FK_7; v++) {
		struct world w;
		uint64_t tail;

		make(&w, v);
		tail = fk_desc(&w.f, w.spte, 13, 13, 0, 0);
		expect_broken(&w, fk_desc(&w.f, w.spte + 14, 2, 2, 13, tail) | 1, "has 13 sptes of 14");
		tail = fk_desc(&w.f, w.spte, 14, 14, 0, 0);
		expect_broken(&w, fk_desc(&w.f, w.spte + 14, 2, 2, 99, tail) | 1, "tail_count is 99, 14 sptes follow");
		unmake(&w);
	}
}

static void sptes_that_map_nothing(void **state)
{
	struct world w;

	(void)state;
	make(&w, FK_6_18);
	fk_put64(&w.f, w.spte[7], 1ull << 63);
	expect_broken(&w, w.spte[7], "it maps no page");
	fk_put64(&w.f, w.spte[7], 0x5a0);
	expect_broken(&w, fk_chain(&w.f, w.spte + 6, 3), "it maps no page");
	unmake(&w);
}

/* The head moves at each look: torn, and no talk of corruption. */
static void flip_head(struct fake_kernel *f, uint64_t n, uint64_t addr)
{
	uint64_t at = *(uint64_t *)f->arg;

	(void)n;
	if (addr == at)
		fk_put64(f, at, fk_get64(f, at) ^ 8);
}

static void a_moving_head_is_torn(void **state)
{
	struct world w;
	struct rmap_info r;
	uint64_t at;

	(void)state;
	make(&w, FK_6_18);
	at = fk_rmap_at(w.slot, 0x100, 1);
	set_head(&w, 0x100, w.spte[0]);
	w.f.arg = &at;
	w.f.on_read = flip_head;
	r = one(&w, 0x100);
	assert_true(r.torn);
	assert_string_equal(r.corrupt, "");
	drop(&r);
	w.f.on_read = NULL;
	set_head(&w, 0x100, w.spte[0]);
	r = one(&w, 0x100);
	assert_false(r.torn);
	drop(&r);
	unmake(&w);
}

/* Moves once: read again, and then whole. */
static void flip_once(struct fake_kernel *f, uint64_t n, uint64_t addr)
{
	uint64_t *arg = f->arg;

	(void)n;
	if (addr != arg[0] || arg[1]++ != 1)
		return;
	fk_put64(f, addr, arg[2]);
}

static void one_move_is_read_again(void **state)
{
	struct world w;
	struct rmap_info r;
	uint64_t arg[3];

	(void)state;
	make(&w, FK_6_12);
	set_head(&w, 0x100, w.spte[0]);
	arg[0] = fk_rmap_at(w.slot, 0x100, 1);
	arg[1] = 0;
	arg[2] = fk_chain(&w.f, w.spte, 3);
	w.f.arg = arg;
	w.f.on_read = flip_once;
	r = one(&w, 0x100);
	assert_false(r.torn);
	assert_int_equal(r.n_sptes, 3);
	drop(&r);
	unmake(&w);
}

static void a_locked_head_is_torn(void **state)
{
	struct world w;
	struct rmap_info r;

	(void)state;
	make(&w, FK_6_18);
	set_head(&w, 0x100, fk_chain(&w.f, w.spte, 5) | 2);
	r = one(&w, 0x100);
	assert_true(r.torn);
	assert_int_equal(r.n_sptes, 5);
	drop(&r);
	unmake(&w);
}

/* ---- all of them while the kernel goes on */

#define MOVERS 24
#define PFN_OF(gfn) (0x40000 + (gfn))

/* Takes an spte from one gfn to another as KVM does, a part of it before a read: cleared, out of its chain, set, into the
 * other chain. What an spte maps tells whose it is. */
struct mover {
	struct world *w;
	uint64_t in[GFNS][MOVERS]; /* in: which sptes, by gfn */
	size_t n[GFNS];
	unsigned part, turn, changes;
	unsigned most, every; /* how many changes there are, 0: no end; and how many reads lie between two */
};

static void lay(struct mover *m, unsigned g)
{
	set_head(m->w, 0x100 + g, fk_chain(&m->w->f, m->in[g], m->n[g]));
}

static void put_in(struct mover *m, unsigned g, uint64_t spte)
{
	m->in[g][m->n[g]++] = spte;
	lay(m, g);
}

static void take_out(struct mover *m, unsigned g, uint64_t spte)
{
	size_t i = 0;

	while (m->in[g][i] != spte)
		i++;
	m->in[g][i] = m->in[g][--m->n[g]];
	lay(m, g);
}

static void set_spte(struct mover *m, uint64_t spte, unsigned g)
{
	uint64_t old = fk_get64(&m->w->f, m->w->spte[SPTES - 1]);

	fk_put64(&m->w->f, spte, (old & ~KSPTE_PFN_MASK) | PFN_OF((uint64_t)g) << PAGE_SHIFT);
}

static void move_on(struct fake_kernel *f, uint64_t n, uint64_t addr)
{
	struct mover *m = f->arg;
	unsigned i = m->turn % MOVERS, from = m->turn / MOVERS % 2 ? i + MOVERS : i, to = from == i ? i + MOVERS : i;
	uint64_t spte = m->w->spte[i];

	(void)addr;
	if (n % m->every || (m->most && m->changes == m->most))
		return;
	m->changes++;
	if (m->part == 0)
		fk_put64(f, spte, 0);
	else if (m->part == 1)
		take_out(m, from, spte);
	else if (m->part == 2)
		set_spte(m, spte, to);
	else
		put_in(m, to, spte);
	m->turn += m->part == 3;
	m->part = (m->part + 1) % 4;
}

/* Each of the first gfns has an spte that moves, and all have some that stay. */
static void ready_mover(struct world *w, struct mover *m, unsigned most, unsigned every)
{
	memset(m, 0, sizeof(*m));
	m->w = w;
	m->most = most;
	m->every = every;
	for (unsigned g = 0; g < GFNS; g++) {
		for (unsigned i = 0; i < g % 5 + (g >= 2 * MOVERS); i++) {
			uint64_t spte = w->spte[100 + g * 8 + i];

			set_spte(m, spte, g);
			m->in[g][m->n[g]++] = spte;
		}
		if (g < MOVERS) {
			set_spte(m, w->spte[g], g);
			m->in[g][m->n[g]++] = w->spte[g];
		}
		lay(m, g);
	}
	w->f.arg = m;
	w->f.on_read = move_on;
}

static void check_moving_row(const struct rmap_info *r, unsigned *torn)
{
	assert_string_equal(r->corrupt, "");
	*torn += r->torn;
	for (size_t i = 0; !r->torn && i < r->n_sptes; i++) {
		assert_true(r->sptes[i].present && r->sptes[i].leaf);
		assert_int_equal(r->sptes[i].pfn, PFN_OF(r->gfn - 0x100));
	}
	assert_true(r->torn || r->n_sptes);
}

/* Gives how many rows were torn. */
static unsigned all_while_moving(unsigned v, unsigned most, unsigned every, bool *ended)
{
	struct world w;
	struct mover m;
	struct rmap_list l;
	struct err e = {0};
	unsigned torn = 0;

	make(&w, v);
	ready_mover(&w, &m, most, every);
	assert_int_equal(kview_rmap_all(w.k, &l, &e), 0);
	w.f.on_read = NULL;
	*ended = m.changes == most;
	for (size_t i = 0; i < l.n; i++)
		check_moving_row(&l.v[i], &torn);
	for (size_t i = 1; i < l.n; i++)
		assert_true(l.v[i].gfn > l.v[i - 1].gfn);
	assert_true(l.n >= GFNS - 2 * MOVERS);
	rmap_list_free(&l);
	unmake(&w);
	return torn;
}

/* Whatever moves, nothing is broken, and no row has another's sptes; what has come to rest is whole. */
static void nothing_is_broken_that_moves(void **state)
{
	bool ended;

	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++)
		for (unsigned every = 1; every <= 4; every++) {
			assert_in_range(all_while_moving(v, 0, every, &ended), 0, 2 * MOVERS);
			for (unsigned most = 4; most < 400; most += 4) {
				unsigned torn = all_while_moving(v, most, every, &ended);

				assert_true(!ended || torn <= 1);
			}
		}
}

/* Large pages: heads at level 2 are indexed by their own frame number. */
static void large_pages_have_heads_of_their_own(void **state)
{
	struct fake_kernel f;
	struct fk_slot *s;
	struct fk_sp l2;
	struct kview *k;
	struct rmap_list l;
	struct err e = {0};
	uint64_t spte;

	(void)state;
	fk_init(&f, FK_6_18, false);
	s = fk_add_slot(&f, 0, 0, 0x300, 0x800, 0);
	fk_slots_done(&f);
	l2 = fk_add_sp(&f, 2, 0x12, false);
	spte = fk_leaf(&f, &l2, 5, 0x600, 0x40600);
	fk_put64(&f, fk_rmap_at(s, 0x600, 2), spte);
	k = fk_open(&f);
	assert_int_equal(kview_rmap(k, 0x6ab, &l, &e), 0);
	assert_int_equal(l.n, 2);
	assert_int_equal(l.v[0].level, 1);
	assert_int_equal(l.v[0].kind, RMAP_EMPTY);
	assert_int_equal(l.v[1].level, 2);
	assert_int_equal(l.v[1].n_sptes, 1);
	assert_int_equal(l.v[1].sptes[0].gfn, 0x600);
	assert_int_equal(l.v[1].sptes[0].pfn, 0x40600);
	assert_string_equal(l.v[1].corrupt, "");
	rmap_list_free(&l);
	assert_int_equal(kview_rmap_all(k, &l, &e), 0);
	assert_int_equal(l.n, 1);
	assert_int_equal(l.v[0].gfn, 0x600);
	assert_int_equal(l.v[0].level, 2);
	rmap_list_free(&l);
	kview_close(k);
	fk_free(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(all_lengths_in_all_layouts),
	    cmocka_unit_test(all_at_once),
	    cmocka_unit_test(gvas_follow_the_tables),
	    cmocka_unit_test(many_with_one_entry_is_legal),
	    cmocka_unit_test(a_middle_one_may_have_room),
	    cmocka_unit_test(broken_heads),
	    cmocka_unit_test(broken_descriptors),
	    cmocka_unit_test(a_long_ring_ends),
	    cmocka_unit_test(broken_tails),
	    cmocka_unit_test(sptes_that_map_nothing),
	    cmocka_unit_test(a_moving_head_is_torn),
	    cmocka_unit_test(one_move_is_read_again),
	    cmocka_unit_test(a_locked_head_is_torn),
	    cmocka_unit_test(nothing_is_broken_that_moves),
	    cmocka_unit_test(large_pages_have_heads_of_their_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
