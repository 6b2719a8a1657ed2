/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The two translations of a nested guest: L2's tables, each of which L1's lead to, then the address at their end; NPT and
 * EPT, and what either refuses.
 */
#include "core/mem/xlate.h"
#include "tests/unit/paging_guest.h"

#define NPT 0x10000u /* L1's tables, a page a level */
#define L2 0x20000u  /* L2's memory from its gpa 0 on */
#define L2_CR3 0x1000u
#define GVA 0x400000ull

static struct guest g;
static struct nested_mem n;
static struct paging_mem mem;
static struct paging pg;

static void put(uint64_t at, uint64_t value)
{
	memcpy(g.ram + at, &value, sizeof(value));
}

/* L1's entry for a page of L2's. */
static void map(uint64_t l2_gpa, uint64_t entry)
{
	put(NPT + 0x3000 + (l2_gpa >> 12) * 8, entry);
}

/* L2 gpas 0 to 0x4fff are at L2, 0x8000 and 0x9000 are 0x30000; L2 maps GVA and on to its gpas from 0 on. */
static int setup(void **state)
{
	const struct regs l2 = {
	    .cr0 = CR0_PE | CR0_PG | CR0_WP, .cr3 = L2_CR3, .cr4 = CR4_PAE, .efer = EFER_LME | EFER_LMA | EFER_SVME};
	const struct nested_guest guest = {.in = true,
					   .kind = NESTED_SVM,
					   .paging = true,
					   .root = NPT,
					   .levels = 4,
					   .l1_cr0 = CR0_PE | CR0_PG,
					   .l1_cr4 = CR4_PAE,
					   .l1_efer = EFER_LME | EFER_LMA | EFER_SVME | EFER_NXE};
	const struct paging_mem ram = {.ctx = &g, .read = ram_read, .map = ram_map};

	(void)state;
	memset(&g, 0, sizeof(g));
	for (unsigned i = 0; i < 3; i++)
		put(NPT + i * 0x1000, (NPT + 0x1000 + i * 0x1000) | P | W | U);
	for (unsigned i = 0; i < 5; i++)
		map(i * 0x1000, (L2 + i * 0x1000) | P | W | U);
	map(0x8000, 0x30000 | P | W | U);
	map(0x9000, 0x30000 | P | U);
	put(L2 + 0x1000, 0x2000 | P | W | U);
	put(L2 + 0x2000, 0x3000 | P | W | U);
	put(L2 + 0x3010, 0x4000 | P | W | U);
	for (unsigned i = 0; i < 16; i++)
		put(L2 + 0x4000 + i * 8, i * 0x1000 | P | W | U);
	paging_from_regs(&pg, &l2);
	nested_mem_init(&n, &ram, &guest, 40);
	mem = nested_mem(&n);
	return 0;
}

static struct walk through(uint64_t gva, unsigned access)
{
	struct walk w;

	paging_walk(&pg, &mem, gva, access, false, &w);
	return w;
}

static void both_translations(void **state)
{
	struct walk w = through(GVA + 0x8123, ACCESS_WRITE);

	(void)state;
	assert_false(w.fault.present);
	assert_true(w.nested);
	assert_int_equal(w.n, 4);
	assert_int_equal(w.step[0].gpa, L2_CR3);
	assert_int_equal(w.l2_gpa, 0x8123);
	assert_int_equal(w.gpa, 0x30123);
	assert_int_equal(w.page_size, 0x1000);
	assert_true(w.rights & ACCESS_WRITE);
	w = through(GVA + 0x9000, ACCESS_READ);
	assert_int_equal(w.gpa, 0x30000);
	assert_false(w.rights & ACCESS_WRITE);
}

static void refused(struct walk w, const char *words)
{
	assert_true(w.fault.present && w.unreadable);
	assert_int_equal(w.gpa, 0);
	if (!strstr(w.why, words))
		fail_msg("'%s' is not in '%s'", words, w.why);
}

/* L1 refuses: none of L2's faults. What L2's own tables refuse is. */
static void refusals(void **state)
{
	struct walk w = through(GVA + 0xb000, ACCESS_READ);

	(void)state;
	refused(w, "L1's nested tables refuse L2 gpa 0xb000: level 1 entry 0 at gpa 0x13058 is not present");
	assert_int_equal(w.l2_gpa, 0xb000);
	refused(through(GVA + 0x9000, ACCESS_WRITE), "W is clear");
	map(0x8000, 0x30000 | P | W); /* a nested access is a user's */
	refused(through(GVA + 0x8000, ACCESS_READ), "U is clear");
	map(0x4000, 0);
	refused(through(GVA, ACCESS_READ), "the level 1 entry at gpa 0x4000 cannot be read now");
	w = through(0x800000, ACCESS_READ);
	assert_true(w.fault.present && !w.unreadable && w.fault.vector == 14);
}

static void without_paging_in_l2(void **state)
{
	struct walk w;

	(void)state;
	pg.mode = PAGING_NONE;
	w = through(0x8010, ACCESS_READ);
	assert_int_equal(w.gpa, 0x30010);
	assert_int_equal(w.l2_gpa, 0x8010);
	refused(through(0xb000, ACCESS_READ), "L2 gpa 0xb000");
}

/* L1's large page, of which L2 maps 4 KiB each, and the other way round. */
static void sizes_differ(void **state)
{
	struct walk w;

	(void)state;
	put(NPT + 0x2008, 0 | P | W | U | PS); /* L2 gpas from 2 MiB on are L1's from 0 on */
	put(L2 + 0x4000, 0x230000 | P | W | U);
	w = through(GVA + 8, ACCESS_READ);
	assert_int_equal(w.gpa, 0x30008);
	assert_int_equal(w.page_size, 0x1000);
	put(L2 + 0x3010, 0 | P | W | U | PS);
	w = through(GVA + 0x8008, ACCESS_READ);
	assert_int_equal(w.gpa, 0x30008);
	assert_int_equal(w.page_size, 0x1000);
}

static void ept(void **state)
{
	struct walk w;

	(void)state;
	n.guest.kind = NESTED_VMX;
	for (unsigned i = 0; i < 3; i++)
		put(NPT + i * 0x1000, (NPT + 0x1000 + i * 0x1000) | 7);
	for (unsigned i = 0; i < 5; i++)
		map(i * 0x1000, (L2 + i * 0x1000) | 7);
	map(0x8000, 0x30000 | 1);
	map(0x9000, 0x30000 | 6);
	w = through(GVA + 0x8000, ACCESS_READ);
	assert_int_equal(w.gpa, 0x30000);
	assert_int_equal(w.rights & (ACCESS_WRITE | ACCESS_FETCH), 0);
	refused(through(GVA + 0x8000, ACCESS_WRITE), "does not allow the access");
	refused(through(GVA + 0x9000, ACCESS_READ), "does not allow the access");
	refused(through(GVA + 0xb000, ACCESS_READ), "is not present");
	n.guest.root = 0x10000000;
	refused(through(GVA, ACCESS_READ), "cannot be read");
}

static struct guest_mapping seen[16];
static unsigned n_seen;

static int note(void *arg, const struct guest_mapping *m)
{
	(void)arg;
	assert_true(n_seen < 16);
	seen[n_seen++] = *m;
	return 0;
}

/* A large page of L2's that L1 has in small ones, some of them. */
static void listings_follow_both(void **state)
{
	(void)state;
	put(L2 + 0x3010, 0 | P | W | U | PS);
	n_seen = 0;
	assert_int_equal(paging_enumerate(&pg, &mem, GVA + 0x4000, GVA + 0x9fff, note, NULL, NULL), 0);
	assert_int_equal(n_seen, 3);
	assert_int_equal(seen[0].gva, GVA + 0x4000);
	assert_int_equal(seen[0].gpa, L2 + 0x4000);
	assert_int_equal(seen[1].gva, GVA + 0x8000);
	assert_int_equal(seen[1].gpa, 0x30000);
	assert_int_equal(seen[1].page_size, 0x1000);
	assert_true(seen[1].rights & ACCESS_WRITE);
	assert_int_equal(seen[2].gpa, 0x30000);
	assert_false(seen[2].rights & ACCESS_WRITE);
}

static void runs_follow_both(void **state)
{
	struct xlate_env env = {.pg = pg, .mem = mem};
	struct xlate_runs r = {0};
	struct err e = {0};

	(void)state;
	map(0xa000, 0x31000 | P | W | U);
	assert_int_equal(xlate_runs(&env, GVA + 0x8800, 0x2000, false, &r, &e), 0);
	assert_int_equal(r.n, 2);
	assert_int_equal(r.v[0].gpa, 0x30800);
	assert_int_equal(r.v[0].len, 0x800);
	assert_int_equal(r.v[1].gpa, 0x30000);
	assert_int_equal(r.v[1].len, 0x1800);
	xlate_runs_free(&r);
	assert_int_equal(xlate_runs(&env, GVA + 0xa800, 0x1000, false, &r, &e), -ENODATA);
	assert_non_null(strstr(e.why, "L2 gpa 0xb000"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(both_translations, setup),
	    cmocka_unit_test_setup(refusals, setup),
	    cmocka_unit_test_setup(without_paging_in_l2, setup),
	    cmocka_unit_test_setup(sizes_differ, setup),
	    cmocka_unit_test_setup(ept, setup),
	    cmocka_unit_test_setup(runs_follow_both, setup),
	    cmocka_unit_test_setup(listings_follow_both, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
