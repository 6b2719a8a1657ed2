/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Enumeration of guest mappings: order, ranges, what is left out, tables read in place and entry by entry, bombs, and
 * agreement with walks on random tables.
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
