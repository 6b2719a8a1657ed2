/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Enumeration of guest mappings: order, ranges, what is left out, tables read in place and entry by entry, bombs, and
 * agreement with walks on random tables. Listings: tables that are shared or lead to themselves are gone through once, and
 * what a listing gives is what an enumeration gives, once its spans are followed.
 */
#include "tests/unit/paging_guest.h"

struct seen {
	struct guest_mapping m[64];
	unsigned n, stop_after;
};

static int see(void *arg, const struct guest_mapping *m)
{
	struct seen *s = arg;

	if (s->n)
		assert_true(s->n > 64 || m->gva > s->m[s->n - 1].gva);
	if (s->n < ARRAY_LEN(s->m))
		s->m[s->n] = *m;
	return ++s->n == s->stop_after ? 99 : 0;
}

static struct seen enumerate(struct guest *g, uint64_t first, uint64_t last)
{
	struct seen s = {0};

	assert_int_equal(paging_enumerate(&g->pg, &g->mem, first, last, see, &s, NULL), 0);
	return s;
}

static void test_enumerate(void **state)
{
	struct guest *g = long_guest();

	(void)state;
	put8(g, 0x4010, 0x8000 | P | U | NX | PTE_A | PTE_D);
	put8(g, 0x3010, 0x400000 | P | W | PS | PTE_G);
	put8(g, 0x2018, 0x1c0000000 | P | PS);
	put8(g, 0x1000 + 8 * 511, 0x2000 | P);
	g->pg.cr4 |= CR4_PGE;
	for (int with_map = 0; with_map < 2; with_map++) {
		g->mem.map = with_map ? ram_map : NULL;
		struct seen s = enumerate(g, 0, ~0ull);
		assert_int_equal(s.n, 8);
		assert_int_equal(s.m[0].gva, 0x200000);
		assert_int_equal(s.m[0].gpa, 0x5000);
		assert_int_equal(s.m[0].rights, ACCESS_WRITE | ACCESS_USER | ACCESS_FETCH);
		assert_int_equal(s.m[1].gva, 0x202000);
		assert_int_equal(s.m[1].rights, ACCESS_USER);
		assert_true(s.m[1].accessed && s.m[1].dirty && !s.m[1].global);
		assert_int_equal(s.m[2].gva, 0x400000);
		assert_int_equal(s.m[2].page_size, 0x200000);
		assert_int_equal(s.m[2].rights, ACCESS_WRITE | ACCESS_FETCH);
		assert_true(s.m[2].global);
		assert_int_equal(s.m[3].gva, 0xc0000000);
		assert_int_equal(s.m[3].page_size, 0x40000000);
		assert_int_equal(s.m[4].gva, 0xffffff8000200000);
		assert_int_equal(s.m[4].rights, ACCESS_FETCH); /* the root's entry takes W and U away */
		assert_int_equal(s.m[7].gva, 0xffffff80c0000000);
	}
	assert_true(g->maps > 0);
	assert_int_equal(g->updates, 0);
	free(g);
}

static void test_enumerate_ranges(void **state)
{
	struct guest *g = long_guest();

	(void)state;
	for (unsigned i = 0; i < 16; i++)
		put8(g, 0x4000 + 8 * i, (0x5000 + 0x1000 * i) | P | W | U);
	put8(g, 0x3010, 0x400000 | P | PS);
	assert_int_equal(enumerate(g, 0x203000, 0x205fff).n, 3);
	assert_int_equal(enumerate(g, 0x203fff, 0x204000).n, 2);
	assert_int_equal(enumerate(g, 0x203123, 0x203123).n, 1);
	assert_int_equal(enumerate(g, 0x5ff000, 0x5fffff).m[0].gva, 0x400000); /* the tail of a large page */
	assert_int_equal(enumerate(g, 0x600000, ~0ull).n, 0);
	assert_int_equal(enumerate(g, 0x20f000, 0x1ff000).n, 0);
	assert_int_equal(enumerate(g, 0x0000800000000000, 0xffff7fffffffffff).n, 0); /* the hole */
	assert_int_equal(enumerate(g, 0, 0x1fffff).n, 0);
	g->pg.mode = PAGING_NONE;
	assert_int_equal(enumerate(g, 0, ~0ull).n, 0);
	free(g);
}

static void test_enumerate_skips_what_would_fault(void **state)
{
	struct guest *g = long_guest();

	(void)state;
	g->pg.maxphyaddr = 40;
	put8(g, 0x4008, 0x6000 | P | 1ull << 45);
	put8(g, 0x3010, 0x400000 | P | PS | 1 << 13);
	put8(g, 0x1008, 0x2000 | P | PS);
	put8(g, 0x1010, 0x7000000 | P); /* outside memory: all ones, reserved */
	assert_int_equal(enumerate(g, 0, ~0ull).n, 1);
	free(g);
}

static void test_enumerate_32bit_and_pae(void **state)
{
	struct guest *g = new_guest(PAGING_32BIT);

	(void)state;
	g->pg.cr4 = CR4_PSE;
	put4(g, 0x1000 + 4 * 1023, 0x2000 | P | W);
	put4(g, 0x2000 + 4 * 1023, 0x3000 | P);
	put4(g, 0x1000 + 4 * 2, 0x12400000 | 1 << 13 | P | PS | U);
	struct seen s = enumerate(g, 0, ~0ull);
	assert_int_equal(s.n, 2);
	assert_int_equal(s.m[0].gva, 0x800000);
	assert_int_equal(s.m[0].gpa, 0x112400000);
	assert_int_equal(s.m[0].page_size, 0x400000);
	assert_int_equal(s.m[1].gva, 0xfffff000);
	assert_int_equal(s.m[1].rights, ACCESS_FETCH);
	g->mem.map = ram_map;
	assert_int_equal(enumerate(g, 0xfffff000, 0xffffffff).n, 1);
	free(g);

	g = pae_guest();
	for (int i = 0; i < 3; i++) {
		g->mem.map = i ? ram_map : NULL;
		if (i == 2) {
			memcpy(g->pg.pdpte, g->ram + 0x1000, 32);
			g->pg.pdpte_valid = true;
			memset(g->ram + 0x1000, 0, 32);
		}
		s = enumerate(g, 0, ~0ull);
		assert_int_equal(s.n, 1);
		assert_int_equal(s.m[0].gva, 0xfff00000);
		assert_int_equal(s.m[0].gpa, 0x123456000);
	}
	free(g);
}

static void test_enumerate_stops(void **state)
{
	struct guest *g = long_guest();
	struct seen s = {.stop_after = 2};

	(void)state;
	for (unsigned i = 0; i < 16; i++)
		put8(g, 0x4000 + 8 * i, 0x5000 | P);
	assert_int_equal(paging_enumerate(&g->pg, &g->mem, 0, ~0ull, see, &s, NULL), 99);
	assert_int_equal(s.n, 2);
	free(g);
}

static int polls_left(void *arg)
{
	(void)arg;
	static int left = 50;

	return left-- ? 0 : -EINTR;
}

static int count(void *arg, const struct guest_mapping *m)
{
	(void)m;
	++*(uint64_t *)arg;
	return 0;
}

/* 512 entries that all point to the table itself are 2^36 mappings: Ctrl-C must end it. */
static void test_enumerate_a_bomb(void **state)
{
	struct guest *g = new_guest(PAGING_4LEVEL);
	uint64_t n = 0;

	(void)state;
	for (unsigned i = 0; i < 512; i++)
		put8(g, 0x1000 + 8 * i, 0x1000 | P | W);
	g->mem.map = ram_map;
	assert_int_equal(paging_enumerate(&g->pg, &g->mem, 0, ~0ull, count, &n, polls_left), -EINTR);
	assert_true(n > 512 && n < 100 * 512);
	free(g);
}

/* Every address of random tables: the walk and the enumeration agree. */
static void test_enumeration_agrees_with_walks(void **state)
{
	struct guest *g = new_guest(PAGING_4LEVEL);
	uint64_t seed = 99;

	(void)state;
	for (unsigned round = 0; round < 40; round++) {
		memset(g->ram, 0, 0x8000);
		for (unsigned i = 0; i < 200; i++) {
			seed = seed * 6364136223846793005ull + 1442695040888963407ull;
			uint64_t at = 0x1000 * (1 + (seed >> 60) % 7) + 8 * (seed >> 40 & 3);

			put8(g, at, (seed >> 8 & 0x8000000000000fffull) | 0x1000 * (1 + (seed >> 33) % 7) | P);
		}
		struct seen *s = calloc(1, sizeof(*s));
		uint64_t hits = 0, n = 0;
		(void)paging_enumerate(&g->pg, &g->mem, 0, ~0ull, count, &n, NULL);
		for (unsigned i = 0; i < 256; i++) {
			uint64_t gva = (uint64_t)(i >> 6) << 39 | (uint64_t)(i >> 4 & 3) << 30 |
				       (uint64_t)(i >> 2 & 3) << 21 | (uint64_t)(i & 3) << 12;
			struct walk w = walk(g, gva, ACCESS_READ);

			s->n = 0;
			assert_int_equal(paging_enumerate(&g->pg, &g->mem, gva, gva, see, s, NULL), 0);
			assert_int_equal(s->n, !w.fault.present);
			if (s->n) {
				assert_int_equal(s->m[0].gpa + (gva - s->m[0].gva), w.gpa);
				assert_int_equal(s->m[0].rights, w.rights);
				assert_int_equal(s->m[0].page_size, w.page_size);
				hits += s->m[0].gva == gva;
			}
		}
		assert_int_equal(n, hits);
		free(s);
	}
	free(g);
}

/* ---- listings */

struct listed {
	struct guest_span span[64];
	unsigned n_spans, n_pages;
	uint64_t last; /* end of what was told so far */
	uint64_t stop_after;
};

static int list_page(void *arg, const struct guest_mapping *m)
{
	struct listed *l = arg;

	if (l->n_pages + l->n_spans)
		assert_true(m->gva > l->last);
	l->last = m->gva + (m->page_size - 1);
	return ++l->n_pages == l->stop_after ? 7 : 0;
}

static int list_span(void *arg, const struct guest_span *s)
{
	struct listed *l = arg;

	if (l->n_pages + l->n_spans)
		assert_true(s->gva > l->last);
	l->last = s->last;
	if (l->n_spans < ARRAY_LEN(l->span))
		l->span[l->n_spans] = *s;
	return ++l->n_spans == l->stop_after ? 7 : 0;
}

static struct listed list_of(struct guest *g, struct paging_listing how)
{
	struct listed l = {.stop_after = 100000};

	how.page = list_page;
	how.span = list_span;
	how.arg = &l;
	how.last = how.last ? how.last : ~0ull;
	g->mem.map = ram_map;
	g->maps = 0;
	assert_int_equal(paging_list(&g->pg, &g->mem, &how) % 7, 0);
	return l;
}

static void fill8(struct guest *g, uint64_t table, unsigned first, unsigned n, uint64_t entry)
{
	for (unsigned i = first; i < first + n; i++)
		put8(g, table + 8 * i, entry);
}

/* 16 entries of the root lead to one table of each level and one page: 8 TiB, of 1536 entries. */
static void test_list_shared_tables(void **state)
{
	for (int five = 0; five < 2; five++) {
		struct guest *g = new_guest(five ? PAGING_5LEVEL : PAGING_4LEVEL);
		uint64_t root = five ? 0x9000 : 0x1000;

		(void)state;
		put8(g, 0x9000, 0x1000 | P | W | U); /* with 5 levels */
		g->pg.cr3 = root;
		fill8(g, 0x1000, 0x10, 16, 0x2000 | P | W);
		fill8(g, 0x2000, 0, 512, 0x3000 | P | W);
		fill8(g, 0x3000, 0, 512, 0x4000 | P | W);
		fill8(g, 0x4000, 0, 512, 0x5000 | P);
		struct listed l = list_of(g, (struct paging_listing){.fold = false});
		assert_int_equal(g->maps, 5 + five); /* the root for each half of the addresses */
		assert_int_equal(l.n_pages, 512);
		assert_int_equal(l.n_spans, 3);
		assert_int_equal(l.span[0].kind, SPAN_REPEATED);
		assert_int_equal(l.span[0].index, 1);
		assert_int_equal(l.span[0].n, 511);
		assert_int_equal(l.span[0].holder, 0x3000);
		assert_int_equal(l.span[0].table, 0x4000);
		assert_int_equal(l.span[0].same_as, 0x10ull << 39);
		assert_int_equal(l.span[2].in_root, !five);
		assert_int_equal(l.span[2].n, 15);
		assert_int_equal(l.last, (0x20ull << 39) - 1);
		l = list_of(g, (struct paging_listing){.fold = true});
		assert_int_equal(g->maps, 5 + five);
		assert_int_equal(l.n_spans, 3);
		assert_int_equal(l.span[1].kind, SPAN_FOLDED);
		assert_int_equal(l.span[1].rights, ACCESS_FETCH);
		/* Other rights above: the same table maps something else. */
		put8(g, 0x1000 + 8 * 0x1f, 0x2000 | P | W | NX);
		l = list_of(g, (struct paging_listing){.fold = false});
		assert_int_equal(l.n_pages, 1024);
		free(g);
	}
}

static void test_list_a_table_that_leads_to_itself(void **state)
{
	struct guest *g = long_guest();

	(void)state;
	put8(g, 0x1000 + 8 * 0x1ed, 0x1000 | P | W);
	struct listed l = list_of(g, (struct paging_listing){.fold = false});
	assert_int_equal(l.n_pages, 1);
	assert_int_equal(l.n_spans, 1);
	assert_int_equal(l.span[0].kind, SPAN_RECURSIVE);
	assert_int_equal(l.span[0].index, 0x1ed);
	assert_true(l.span[0].in_root && l.span[0].to_root);
	assert_int_equal(l.span[0].gva, 0xfffff68000000000);
	assert_int_equal(l.span[0].last, 0xfffff6ffffffffff);
	/* A range inside of it is followed: the page that the first table is seen at. */
	l = list_of(g, (struct paging_listing){.first = 0xfffff68000001000, .last = 0xfffff68000001fff});
	assert_int_equal(l.n_pages, 1);
	assert_int_equal(l.n_spans, 0);
	/* Or all of it, on request: tables as pages, each once. */
	l = list_of(g, (struct paging_listing){.follow = true});
	assert_true(l.n_pages > 4 && g->maps < 20);
	/* Two tables that lead to each other. */
	put8(g, 0x1000 + 8 * 0x1ed, 0);
	put8(g, 0x3000 + 8 * 2, 0x2000 | P);
	l = list_of(g, (struct paging_listing){.fold = true});
	assert_int_equal(l.n_spans, 1);
	assert_int_equal(l.span[0].kind, SPAN_RECURSIVE);
	assert_int_equal(l.span[0].holder, 0x3000);
	assert_int_equal(l.span[0].table, 0x2000);
	assert_false(l.span[0].in_root || l.span[0].to_root);
	free(g);
}

/* All entries of a table; those of PAE's first have neither rights nor more than 4. */
static void fill_table(struct guest *g, uint64_t table, uint64_t to)
{
	for (unsigned i = 0; i < (g->pg.mode == PAGING_32BIT ? 1024 : 512); i++)
		if (g->pg.mode == PAGING_32BIT)
			put4(g, table + 4 * i, (uint32_t)to | P | W | U);
		else
			put8(g, table + 8 * i, to | P | (g->pg.mode == PAGING_PAE && table == 0x1000 ? 0 : W | U));
}

static const enum paging_mode all_modes[] = {PAGING_4LEVEL, PAGING_5LEVEL, PAGING_PAE, PAGING_32BIT};

/* Whatever all entries of all tables point to, the number of tables gone through is that of tables, levels and rights; or,
 * where each address is needed by its rights, no more than rows come of it. */
static void test_list_bombs(void **state)
{
	(void)state;
	for (size_t m = 0; m < ARRAY_LEN(all_modes); m++)
		for (int how = 0; how < 4; how++) {
			struct guest *g = new_guest(all_modes[m]);

			/* The root, and two tables: all entries of each lead to the others in turn. */
			for (uint64_t t = 0x1000; t <= 0x3000; t += 0x1000) {
				fill_table(g, t, 0x1000 + t % 0x3000);
				for (unsigned i = 0; i < 2048; i += 16)
					g->ram[t + i + 1] = (uint8_t)(0x10 + (t + 0x1000) % 0x3000 / 0x100);
			}
			struct listed l = list_of(g, (struct paging_listing){.fold = how & 1, .follow = how & 2});
			assert_true(g->maps < 200 + (how & 1 ? l.n_pages + l.n_spans : 0));
			free(g);
		}
}

/* Tables that lead nowhere, 512 times at each level. */
static void test_list_tables_without_pages(void **state)
{
	(void)state;
	for (size_t m = 0; m < ARRAY_LEN(all_modes); m++)
		for (int how = 0; how < 4; how++) {
			struct guest *g = new_guest(all_modes[m]);
			static const unsigned levels[] = {4, 5, 3, 2};

			for (unsigned i = 1; i < levels[m]; i++)
				fill_table(g, 0x1000 * i, 0x1000 * (i + 1));
			struct listed l = list_of(g, (struct paging_listing){.fold = how & 1, .follow = how & 2});
			assert_int_equal(l.n_pages + l.n_spans, 0);
			assert_true(g->maps <= 2 * levels[m]);
			free(g);
		}
}

static void test_list_ends(void **state)
{
	struct guest *g = long_guest();
	struct listed l = {.stop_after = 3};
	struct paging_listing how = {.last = ~0ull, .page = list_page, .span = list_span, .arg = &l};

	(void)state;
	fill8(g, 0x4000, 0, 16, 0x5000 | P);
	assert_int_equal(paging_list(&g->pg, &g->mem, &how), 7);
	assert_int_equal(l.n_pages, 3);
	free(g);
}

/* Rights of each page of a small address space: 4 tables of 4 entries used, as above. */
#define SMALL 256
struct small {
	struct guest *g;
	uint8_t rights[SMALL];
};
static unsigned small_index(uint64_t gva)
{
	return (gva >> 39 & 3) << 6 | (gva >> 30 & 3) << 4 | (gva >> 21 & 3) << 2 | (gva >> 12 & 3);
}
static int small_page(void *arg, const struct guest_mapping *m)
{
	((struct small *)arg)->rights[small_index(m->gva)] = 0x80 | m->rights;
	return 0;
}
/* All used addresses of a span with the same rights, or what the walk says of each. */
static int small_span(void *arg, const struct guest_span *s)
{
	struct small *t = arg;

	for (unsigned i = 0; i < SMALL; i++) {
		uint64_t gva = (uint64_t)(i >> 6) << 39 | (uint64_t)(i >> 4 & 3) << 30 | (uint64_t)(i >> 2 & 3) << 21 |
			       (uint64_t)(i & 3) << 12;
		if (gva < s->gva || gva > s->last)
			continue;
		uint64_t at =
		    s->kind == SPAN_RECURSIVE ? gva : s->same_as + (gva - s->gva) % (1ull << (12 + 9 * (s->level - 1)));
		struct walk w = walk(t->g, at, ACCESS_READ), own = walk(t->g, gva, ACCESS_READ);
		assert_int_equal(w.fault.present, own.fault.present);
		if (!w.fault.present) {
			assert_int_equal(w.rights, own.rights);
			assert_int_equal(w.gpa, own.gpa);
			t->rights[i] = 0x80 | w.rights;
		}
	}
	return 0;
}

/* Of random tables: pages and spans together are what walks say of every address. */
static void test_listing_agrees_with_walks(void **state)
{
	uint64_t seed = 7;

	(void)state;
	for (unsigned round = 0; round < 200; round++) {
		struct guest *g = new_guest(PAGING_4LEVEL);
		struct small t = {.g = g};
		struct paging_listing how = {
		    .last = ~0ull, .page = small_page, .span = small_span, .arg = &t, .follow = round & 1};

		g->mem.map = ram_map;
		for (unsigned i = 0; i < 200; i++) {
			seed = seed * 6364136223846793005ull + 1442695040888963407ull;
			uint64_t at = 0x1000 * (1 + (seed >> 60) % 7) + 8 * (seed >> 40 & 3);

			put8(g, at, (seed >> 8 & 0x8000000000000066ull) | 0x1000 * (1 + (seed >> 33) % 7) | P);
		}
		assert_int_equal(paging_list(&g->pg, &g->mem, &how), 0);
		for (unsigned i = 0; i < SMALL; i++) {
			uint64_t gva = (uint64_t)(i >> 6) << 39 | (uint64_t)(i >> 4 & 3) << 30 |
				       (uint64_t)(i >> 2 & 3) << 21 | (uint64_t)(i & 3) << 12;
			struct walk w = walk(g, gva, ACCESS_READ);
			assert_int_equal(t.rights[i], w.fault.present ? 0 : 0x80 | w.rights);
		}
		free(g);
	}
}

/* The first hole ends it: what lies behind is not looked for, however many tables lead nowhere. */
static void test_enumerate_unbroken(void **state)
{
	struct guest *g = long_guest();
	struct seen s = {0};

	(void)state;
	fill8(g, 0x4000, 0, 3, 0x5000 | P);
	fill8(g, 0x3000, 2, 510, 0x8000 | P);
	fill8(g, 0x2000, 1, 511, 0x3000 | P);
	fill8(g, 0x1000, 1, 255, 0x2000 | P);
	g->mem.map = ram_map;
	assert_int_equal(paging_enumerate_unbroken(&g->pg, &g->mem, 0x200000, 0x7fffffffffff, see, &s), 1);
	assert_int_equal(s.n, 3);
	assert_int_equal(g->maps, 4);
	free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_enumerate),
	    cmocka_unit_test(test_enumerate_ranges),
	    cmocka_unit_test(test_enumerate_skips_what_would_fault),
	    cmocka_unit_test(test_enumerate_32bit_and_pae),
	    cmocka_unit_test(test_enumerate_stops),
	    cmocka_unit_test(test_enumerate_a_bomb),
	    cmocka_unit_test(test_enumeration_agrees_with_walks),
	    cmocka_unit_test(test_list_shared_tables),
	    cmocka_unit_test(test_list_a_table_that_leads_to_itself),
	    cmocka_unit_test(test_list_bombs),
	    cmocka_unit_test(test_list_tables_without_pages),
	    cmocka_unit_test(test_list_ends),
	    cmocka_unit_test(test_listing_agrees_with_walks),
	    cmocka_unit_test(test_enumerate_unbroken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
