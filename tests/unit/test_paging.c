/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Guest paging: every mode and page size, every rule of the architecture with its exact error code, accessed and dirty bits
 * with races and readonly tables, tables that point to themselves or outside memory. Rights are held against a second
 * statement of the SDM's rules over all combinations.
 */
#include "tests/unit/paging_guest.h"

static void expect_gpa(struct guest *g, uint64_t gva, uint64_t gpa, uint64_t page_size)
{
	struct walk w = walk(g, gva, ACCESS_READ);

	if (w.fault.present)
		fail_msg("gva %#llx: %s", (unsigned long long)gva, w.why);
	assert_int_equal(w.gpa, gpa);
	assert_int_equal(w.page_size, page_size);
	assert_string_equal(w.why, "");
}

static void expect_fault(struct guest *g, uint64_t gva, unsigned access, uint32_t code)
{
	struct walk w = walk(g, gva, access);

	assert_true(w.fault.present);
	assert_int_equal(w.fault.vector, 14);
	assert_true(w.fault.has_error);
	assert_int_equal(w.fault.error_code, code);
	assert_int_equal(w.fault.address, gva);
	assert_int_equal(w.page_size, 0);
	assert_string_not_equal(w.why, "");
}

static void test_from_regs(void **state)
{
	struct regs r = {.cr0 = CR0_PE, .cr3 = 0x5000, .rflags = RFLAGS_AC};
	struct paging pg;

	(void)state;
	paging_from_regs(&pg, &r);
	assert_int_equal(pg.mode, PAGING_NONE);
	assert_true(pg.ac && pg.gbpages);
	assert_int_equal(pg.maxphyaddr, 52);
	assert_int_equal(pg.cr3, 0x5000);
	r.cr0 |= CR0_PG;
	paging_from_regs(&pg, &r);
	assert_int_equal(pg.mode, PAGING_32BIT);
	r.cr4 = CR4_PAE;
	paging_from_regs(&pg, &r);
	assert_int_equal(pg.mode, PAGING_PAE);
	r.efer = EFER_LME | EFER_LMA;
	paging_from_regs(&pg, &r);
	assert_int_equal(pg.mode, PAGING_4LEVEL);
	r.cr4 |= CR4_LA57;
	paging_from_regs(&pg, &r);
	assert_int_equal(pg.mode, PAGING_5LEVEL);
	assert_string_equal(paging_mode_name(PAGING_5LEVEL), "5-level");
	assert_string_equal(paging_mode_name(PAGING_NONE), "none");
}

static void test_none(void **state)
{
	struct guest *g = new_guest(PAGING_NONE);
	struct walk w = walk(g, 0x12345, ACCESS_WRITE | ACCESS_USER);

	(void)state;
	assert_false(w.fault.present);
	assert_int_equal(w.gpa, 0x12345);
	assert_int_equal(w.page_size, 0x1000);
	assert_int_equal(w.rights, ACCESS_WRITE | ACCESS_FETCH | ACCESS_USER);
	assert_int_equal(w.n, 0);
	w = walk(g, 0x100000000, ACCESS_READ);
	assert_true(w.fault.present);
	assert_int_equal(w.fault.vector, 13);
	assert_int_equal(g->reads, 0);
	free(g);
}

static void test_32bit(void **state)
{
	struct guest *g = new_guest(PAGING_32BIT);

	(void)state;
	put4(g, 0x1000 + 4 * 0x3ff, 0x2000 | P | W);
	put4(g, 0x2000 + 4 * 0x123, 0xabcde000 | P | W | PTE_G);
	expect_gpa(g, 0xffd23456, 0xabcde456, 0x1000);
	g->pg.cr4 = CR4_PGE;
	assert_true(walk(g, 0xffd23456, ACCESS_READ).global);
	struct walk w = walk(g, 0xffd23456, ACCESS_READ);
	assert_int_equal(w.n, 2);
	assert_int_equal(w.step[0].level, 2);
	assert_int_equal(w.step[0].gpa, 0x1000 + 4 * 0x3ff);
	assert_int_equal(w.step[0].size, 4);
	assert_int_equal(w.step[1].entry, 0xabcde103);
	assert_int_equal(w.leaf, 0xabcde103);
	assert_int_equal(w.rights, ACCESS_WRITE | ACCESS_FETCH); /* there is no NX */
	expect_fault(g, 0x00400000, ACCESS_WRITE, PFERR_WRITE);
	expect_fault(g, 0xffd24000, ACCESS_READ, 0);
	g->pg.cr3 = 0x1fff; /* low bits are not address */
	expect_gpa(g, 0xffd23456, 0xabcde456, 0x1000);
	free(g);
}

static void test_pse(void **state)
{
	struct guest *g = new_guest(PAGING_32BIT);

	(void)state;
	put4(g, 0x1000 + 4 * 5, 0x12400000 | P | W | PS);
	/* Without CR4.PSE the PS bit means nothing: the entry points to a table, here outside memory. */
	struct walk w = walk(g, 0x01400000, ACCESS_READ);
	assert_int_equal(w.n, 2);
	assert_true(w.step[1].no_memory);
	g->pg.cr4 = CR4_PSE;
	expect_gpa(g, 0x01523456, 0x12523456, 0x400000);
	/* PSE-36: bits 20:13 are address bits 39:32. */
	put4(g, 0x1000 + 4 * 5, 0x12400000 | 0xab << 13 | P | PS);
	expect_gpa(g, 0x01523456, 0xab12523456, 0x400000);
	put4(g, 0x1000 + 4 * 5, 0x12400000 | 1 << 21 | P | PS);
	expect_fault(g, 0x01523456, ACCESS_READ, PFERR_PRESENT | PFERR_RSVD);
	put4(g, 0x1000 + 4 * 5, 0x12400000 | 1 << 12 | P | PS); /* bit 12 is PAT */
	expect_gpa(g, 0x01523456, 0x12523456, 0x400000);
	for (unsigned bit = 13; bit <= 21; bit++) { /* 36 bits: 16:13 are address, the rest is reserved */
		g->pg.maxphyaddr = 36;
		put4(g, 0x1000 + 4 * 5, 0x12400000 | 1u << bit | P | PS);
		assert_int_equal(walk(g, 0x01400000, ACCESS_READ).fault.present, bit > 16);
	}
	free(g);
}

static void test_pae(void **state)
{
	struct guest *g = pae_guest();

	(void)state;
	expect_gpa(g, 0xfff00abc, 0x123456abc, 0x1000);
	struct walk w = walk(g, 0xfff00abc, ACCESS_READ);
	assert_int_equal(w.n, 3);
	assert_int_equal(w.step[0].level, 3);
	assert_int_equal(w.step[0].gpa, 0x1018);
	assert_int_equal(w.rights, ACCESS_WRITE | ACCESS_FETCH | ACCESS_USER); /* the pointer has no rights to take away */
	expect_fault(g, 0x00000000, ACCESS_READ | ACCESS_USER, PFERR_USER);
	/* CR3 names a 32-byte table. */
	memcpy(g->ram + 0x7fe0, g->ram + 0x1000, 32);
	g->pg.cr3 = 0x7fe0 | 0x1f;
	expect_gpa(g, 0xfff00abc, 0x123456abc, 0x1000);
	/* 2 MiB */
	put8(g, 0x5000 + 8, 0x987600000 | P | PS);
	expect_gpa(g, 0xc03fffff, 0x9877fffff, 0x200000);
	free(g);
}

static void test_pae_registers(void **state)
{
	struct guest *g = pae_guest();

	(void)state;
	g->pg.pdpte_valid = true;
	memcpy(g->pg.pdpte, g->ram + 0x1000, 32);
	memset(g->ram + 0x1000, 0, 32); /* the guest changed memory, but not CR3 */
	expect_gpa(g, 0xfff00abc, 0x123456abc, 0x1000);
	g->pg.pdpte[3] = 0;
	expect_fault(g, 0xfff00abc, ACCESS_READ, 0);
	free(g);
}

static void test_pae_reserved(void **state)
{
	struct guest *g = pae_guest();

	(void)state;
	g->pg.maxphyaddr = 40;
	for (unsigned bit = 1; bit < 64; bit++) {
		bool rsvd = bit == 1 || bit == 2 || (bit >= 5 && bit <= 8) || bit >= 40;

		put8(g, 0x1018, 0x5000 | P | 1ull << bit);
		if (bit < 12 || rsvd)
			assert_int_equal(walk(g, 0xfff00abc, ACCESS_READ).fault.error_code,
					 rsvd ? PFERR_PRESENT | PFERR_RSVD : 0);
	}
	put8(g, 0x1018, 0x5000 | P);
	for (unsigned bit = 40; bit < 64; bit++) { /* 62:52 are reserved too, unlike in long mode */
		put8(g, 0x6800, 0x6000 | P | 1ull << bit);
		assert_int_equal(walk(g, 0xfff00abc, ACCESS_READ).fault.present, bit != 63);
	}
	put8(g, 0x6800, 0x6000 | P | NX);
	g->pg.efer = 0;
	expect_fault(g, 0xfff00abc, ACCESS_READ, PFERR_PRESENT | PFERR_RSVD);
	expect_fault(g, 0xfff00abc, ACCESS_FETCH, PFERR_PRESENT | PFERR_RSVD); /* no I/D bit without NXE */
	free(g);
}

static void test_4level(void **state)
{
	struct guest *g = long_guest();

	(void)state;
	expect_gpa(g, 0x200abc, 0x5abc, 0x1000);
	struct walk w = walk(g, 0x200abc, ACCESS_READ);
	assert_int_equal(w.n, 4);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(w.step[i].level, 4 - i);
		assert_int_equal(w.step[i].size, 8);
		assert_false(w.step[i].no_memory || w.step[i].set_a || w.step[i].set_d);
	}
	assert_int_equal(w.step[2].gpa, 0x3008);
	assert_int_equal(w.step[3].entry, 0x5007);
	/* CR3's PCID and top bits are not address. */
	g->pg.cr3 = 0x1fff | 1ull << 63;
	expect_gpa(g, 0x200abc, 0x5abc, 0x1000);
	/* The upper half */
	put8(g, 0x1000 + 8 * 511, 0x2000 | P | W);
	expect_gpa(g, 0xffffff8000200abc, 0x5abc, 0x1000);
	free(g);
}

static void test_large_pages(void **state)
{
	struct guest *g = long_guest();

	(void)state;
	put8(g, 0x3010, 0x12345000000000 % (1ull << 50) | P | W | PS); /* 2 MiB at index 2 */
	expect_gpa(g, 0x4abcde, (0x12345000000000 % (1ull << 50)) | 0xabcde, 0x200000);
	for (unsigned bit = 13; bit <= 20; bit++) {
		put8(g, 0x3010, 0x40000000 | P | PS | 1ull << bit);
		expect_fault(g, 0x400000, ACCESS_READ, PFERR_PRESENT | PFERR_RSVD);
	}
	put8(g, 0x3010, 0x40000000 | P | PS | 1ull << 12); /* PAT */
	expect_gpa(g, 0x400000, 0x40000000, 0x200000);
	put8(g, 0x2018, 0x1c0000000 | P | PS); /* 1 GiB at index 3 */
	expect_gpa(g, 0xffffffff, 0x1ffffffff, 0x40000000);
	for (unsigned bit = 13; bit <= 29; bit++) {
		put8(g, 0x2018, 0x1c0000000 | P | PS | 1ull << bit);
		expect_fault(g, 0xc0000000, ACCESS_READ, PFERR_PRESENT | PFERR_RSVD);
	}
	put8(g, 0x2018, 0x1c0000000 | P | PS);
	g->pg.gbpages = false;
	expect_fault(g, 0xc0000000, ACCESS_WRITE | ACCESS_USER, PFERR_PRESENT | PFERR_RSVD | PFERR_WRITE | PFERR_USER);
	put8(g, 0x1010, 0x2000 | P | PS); /* PS in a level 4 entry */
	expect_fault(g, 2ull << 39, ACCESS_READ, PFERR_PRESENT | PFERR_RSVD);
	free(g);
}

static void test_5level(void **state)
{
	struct guest *g = new_guest(PAGING_5LEVEL);

	(void)state;
	g->pg.cr4 |= CR4_LA57;
	put8(g, 0x1000 + 8 * 0x1ff, 0x2000 | P | W);
	put8(g, 0x2000 + 8 * 3, 0x3000 | P | W);
	put8(g, 0x3000 + 8 * 4, 0x4000 | P | W);
	put8(g, 0x4000 + 8 * 5, 0x5000 | P | W);
	put8(g, 0x5000 + 8 * 6, 0x6000 | P | W);
	uint64_t gva = ~0ull << 57 | 0x1ffull << 48 | 3ull << 39 | 4ull << 30 | 5ull << 21 | 6ull << 12 | 0x789;
	expect_gpa(g, gva, 0x6789, 0x1000);
	assert_int_equal(walk(g, gva, ACCESS_READ).n, 5);
	put8(g, 0x1000 + 8 * 0x1ff, 0x2000 | P | W | PS);
	expect_fault(g, gva, ACCESS_READ, PFERR_PRESENT | PFERR_RSVD);
	put8(g, 0x1000, 0x2000 | P | W);
	expect_gpa(g, 3ull << 39 | 4ull << 30 | 5ull << 21 | 6ull << 12, 0x6000, 0x1000);
	free(g);
}

static void expect_gp(struct guest *g, uint64_t gva, bool fault)
{
	struct walk w = walk(g, gva, ACCESS_WRITE);

	if (!fault) {
		assert_false(w.fault.present && w.fault.vector == 13);
		return;
	}
	assert_true(w.fault.present);
	assert_int_equal(w.fault.vector, 13);
	assert_true(w.fault.has_error);
	assert_int_equal(w.fault.error_code, 0);
	assert_int_equal(w.n, 0);
	assert_int_equal(g->reads, 0);
	assert_string_not_equal(w.why, "");
}

static void test_canonical(void **state)
{
	struct guest *g = long_guest();

	(void)state;
	expect_gp(g, 0x0000800000000000, true);
	expect_gp(g, 0xffff7fffffffffff, true);
	expect_gp(g, 0x8000000000000000, true);
	expect_gp(g, 0x0001000000200000, true);
	expect_gp(g, 0x00007fffffffffff, false);
	expect_gp(g, 0xffff800000000000, false);
	g->reads = 0;
	g->pg.mode = PAGING_5LEVEL;
	expect_gp(g, 0x0100000000000000, true);
	expect_gp(g, 0xfeffffffffffffff, true);
	expect_gp(g, 0x00ffffffffffffff, false);
	assert_true(paging_canonical(&g->pg, 0xff00000000000000));
	g->reads = 0;
	g->pg.mode = PAGING_PAE;
	expect_gp(g, 0x100000000, true);
	free(g);
}

static void test_reserved_physical_bits(void **state)
{
	struct guest *g = long_guest();

	(void)state;
	for (unsigned max = 36; max <= 52; max++)
		for (unsigned bit = 30; bit < 63; bit++)
			for (unsigned level = 1; level <= 4; level++) {
				static const uint64_t entry_at[] = {0, 0x4000, 0x3008, 0x2000, 0x1000};
				uint64_t old = at8(g, entry_at[level]);
				bool rsvd = bit >= max && bit < 52;

				g->pg.maxphyaddr = max;
				put8(g, entry_at[level], old | 1ull << bit);
				struct walk w = walk(g, 0x200000, ACCESS_WRITE);
				if (rsvd) {
					assert_int_equal(w.fault.error_code, PFERR_PRESENT | PFERR_RSVD | PFERR_WRITE);
					assert_int_equal(w.n, 5 - level);
				} else if (level == 1 || bit >= 52) {
					assert_false(w.fault.present);
				}
				put8(g, entry_at[level], old);
			}
	g->pg.maxphyaddr = 52;
	g->pg.efer &= ~EFER_NXE;
	put8(g, 0x2000, at8(g, 0x2000) | NX);
	expect_fault(g, 0x200000, ACCESS_READ, PFERR_PRESENT | PFERR_RSVD);
	free(g);
}

/* A reserved bit and a missing right: the bit is met first. A missing table below hides the rights above. */
static void test_which_fault_wins(void **state)
{
	struct guest *g = long_guest();

	(void)state;
	g->pg.maxphyaddr = 40;
	put8(g, 0x4000, 0x5000 | P | 1ull << 45); /* supervisor, readonly, reserved */
	expect_fault(g, 0x200000, ACCESS_WRITE | ACCESS_USER, PFERR_PRESENT | PFERR_RSVD | PFERR_WRITE | PFERR_USER);
	put8(g, 0x4000, 1ull << 45); /* not present: nothing else is looked at */
	expect_fault(g, 0x200000, ACCESS_WRITE | ACCESS_USER, PFERR_WRITE | PFERR_USER);
	put8(g, 0x2000, 0x3000 | P); /* no U, no W above */
	expect_fault(g, 0x200000, ACCESS_WRITE | ACCESS_USER, PFERR_WRITE | PFERR_USER);
	put8(g, 0x4000, 0x5000 | P | W | U);
	expect_fault(g, 0x200000, ACCESS_WRITE | ACCESS_USER, PFERR_PRESENT | PFERR_WRITE | PFERR_USER);
	assert_non_null(strstr(walk(g, 0x200000, ACCESS_WRITE | ACCESS_USER).why, "level 3 entry 0x3001"));
	free(g);
}

static void test_fetch_bit_of_the_error_code(void **state)
{
	struct guest *g = long_guest();

	(void)state;
	expect_fault(g, 0x201000, ACCESS_FETCH, PFERR_FETCH);
	g->pg.efer &= ~EFER_NXE;
	expect_fault(g, 0x201000, ACCESS_FETCH, 0);
	g->pg.cr4 |= CR4_SMEP;
	expect_fault(g, 0x201000, ACCESS_FETCH, PFERR_FETCH);
	free(g);
	g = new_guest(PAGING_32BIT);
	expect_fault(g, 0x1000, ACCESS_FETCH | ACCESS_USER, PFERR_USER);
	g->pg.efer = EFER_NXE; /* means nothing without PAE */
	expect_fault(g, 0x1000, ACCESS_FETCH | ACCESS_USER, PFERR_USER);
	g->pg.cr4 = CR4_SMEP;
	expect_fault(g, 0x1000, ACCESS_FETCH | ACCESS_USER, PFERR_USER | PFERR_FETCH);
	free(g);
}

/* What SDM 4.6.1 says of one access, put as the manual puts it: by kind of access, then by kind of page. */
static bool manual_allows(const struct paging *pg, bool user_page, bool writable, bool nx, unsigned access)
{
	bool wp = pg->cr0 & CR0_WP, smap = pg->cr4 & CR4_SMAP, smep = pg->cr4 & CR4_SMEP;
	bool nxe = pg->mode != PAGING_32BIT && (pg->efer & EFER_NXE);
	bool smap_open = !smap || (pg->ac && !(access & ACCESS_IMPLICIT));

	switch (access & (ACCESS_READ | ACCESS_WRITE | ACCESS_FETCH | ACCESS_USER)) {
	case ACCESS_READ:
		return !user_page || smap_open;
	case ACCESS_WRITE:
		if (!user_page)
			return writable || !wp;
		return smap_open && (writable || !wp);
	case ACCESS_FETCH:
		if (!user_page)
			return !nxe || !nx;
		return !smep && (!nxe || !nx);
	case ACCESS_READ | ACCESS_USER:
		return user_page;
	case ACCESS_WRITE | ACCESS_USER:
		return user_page && writable;
	case ACCESS_FETCH | ACCESS_USER:
		return user_page && (!nxe || !nx);
	default:
		fail_msg("no such access %#x", access);
		return false;
	}
}

static uint32_t code_of(const struct paging *pg, unsigned access)
{
	uint32_t code = PFERR_PRESENT;

	if (access & ACCESS_WRITE)
		code |= PFERR_WRITE;
	if (access & ACCESS_USER)
		code |= PFERR_USER;
	if ((access & ACCESS_FETCH) && ((pg->cr4 & CR4_SMEP) || (pg->efer & EFER_NXE)))
		code |= PFERR_FETCH;
	return code;
}

static const unsigned all_access[] = {ACCESS_READ,
				      ACCESS_WRITE,
				      ACCESS_FETCH,
				      ACCESS_READ | ACCESS_USER,
				      ACCESS_WRITE | ACCESS_USER,
				      ACCESS_FETCH | ACCESS_USER,
				      ACCESS_READ | ACCESS_IMPLICIT,
				      ACCESS_WRITE | ACCESS_IMPLICIT};

static void one_combination(struct guest *g, unsigned entries, unsigned bits)
{
	bool u = true, w = true, nx = false;
	bool nxe = bits & 32;

	g->pg.cr0 = CR0_PE | CR0_PG | (bits & 1 ? CR0_WP : 0);
	g->pg.cr4 = CR4_PAE | (bits & 2 ? CR4_SMEP : 0) | (bits & 4 ? CR4_SMAP : 0);
	g->pg.ac = bits & 8;
	g->pg.efer = EFER_LME | EFER_LMA | (nxe ? EFER_NXE : 0);
	/* Rights of the leaf and of an entry above it; NX only where it is not reserved. */
	for (unsigned level = 0; level < 2; level++) {
		unsigned e = entries >> (3 * level) & 7;
		uint64_t rights = P | (e & 1 ? W : 0) | (e & 2 ? U : 0) | (nxe && (e & 4) ? NX : 0);

		put8(g, level ? 0x3008 : 0x4000, (level ? 0x4000 : 0x5000) | rights);
		w = w && (e & 1);
		u = u && (e & 2);
		nx = nx || (nxe && (e & 4));
	}
	for (size_t i = 0; i < ARRAY_LEN(all_access); i++) {
		bool allowed = manual_allows(&g->pg, u, w, nx, all_access[i]);
		struct walk r = walk(g, 0x200123, all_access[i]);

		if (r.fault.present == allowed || (!allowed && r.fault.error_code != code_of(&g->pg, all_access[i])))
			fail_msg("entries %#x bits %#x access %#x: fault %d code %#x, allowed %d, %s", entries, bits,
				 all_access[i], r.fault.present, r.fault.error_code, allowed, r.why);
		if (allowed)
			assert_int_equal(r.rights, (w ? ACCESS_WRITE : 0) | (u ? ACCESS_USER : 0) | (nx ? 0 : ACCESS_FETCH));
	}
}

static void test_rights_in_all_combinations(void **state)
{
	struct guest *g = long_guest();

	(void)state;
	for (unsigned entries = 0; entries < 64; entries++)
		for (unsigned bits = 0; bits < 64; bits++)
			if (!(bits & 16))
				one_combination(g, entries, bits);
	free(g);
}

static void test_rights_name_the_layer(void **state)
{
	struct guest *g = long_guest();

	(void)state;
	put8(g, 0x3008, 0x4000 | P | U);
	struct walk w = walk(g, 0x200000, ACCESS_WRITE);
	assert_non_null(strstr(w.why, "level 2 entry 0x4005 at gpa 0x3008 is not writable"));
	put8(g, 0x3008, 0x4000 | P | W | U | NX);
	w = walk(g, 0x200000, ACCESS_FETCH);
	assert_non_null(strstr(w.why, "level 2"));
	assert_non_null(strstr(w.why, "NX is set"));
	put8(g, 0x3008, 0x4000 | P | W | U);
	g->pg.cr4 |= CR4_SMAP;
	w = walk(g, 0x200000, ACCESS_READ);
	assert_non_null(strstr(w.why, "SMAP"));
	g->pg.cr4 |= CR4_SMEP;
	w = walk(g, 0x200000, ACCESS_FETCH);
	assert_non_null(strstr(w.why, "SMEP"));
	w = walk(g, 0x201000, ACCESS_READ);
	assert_non_null(strstr(w.why, "level 1 entry 0 at gpa 0x4008 is not present"));
	free(g);
}

/* SDM 4.6.2: user pages, data accesses; AD refuses all, WD writes (a supervisor's only with CR0.WP). */
static void test_protection_keys(void **state)
{
	struct guest *g = long_guest();

	(void)state;
	for (unsigned bits = 0; bits < 32; bits++)
		for (unsigned rights = 0; rights < 4; rights++)
			for (size_t i = 0; i < ARRAY_LEN(all_access); i++) {
				unsigned access = all_access[i];
				bool user_page = bits & 1, wp = bits & 2, pke = bits & 4, user = access & ACCESS_USER;
				bool write = access & ACCESS_WRITE;
				unsigned key = bits & 8 ? 13 : 0;
				bool other = bits & 16; /* another key's bits say nothing */

				g->pg.cr0 = CR0_PE | CR0_PG | (wp ? CR0_WP : 0);
				g->pg.cr4 = CR4_PAE | (pke ? CR4_PKE : 0);
				g->pg.pkru = rights << (2 * key) | (other ? 3u << 14 : 0);
				put8(g, 0x4000, 0x5000 | P | W | (user_page ? U : 0) | (uint64_t)key << 59);
				bool key_no = pke && user_page && !(access & ACCESS_FETCH) &&
					      ((rights & 1) || ((rights & 2) && write && (user || wp)));
				bool right_no = user && !user_page;
				struct walk w = walk(g, 0x200000, access);
				assert_int_equal(w.fault.present, key_no || right_no);
				if (key_no || right_no)
					assert_int_equal(w.fault.error_code,
							 code_of(&g->pg, access) | (key_no ? PFERR_PK : 0));
			}
	/* A right refused as well: both are told. */
	g->pg.cr4 = CR4_PAE | CR4_PKE;
	g->pg.pkru = 1;
	g->pg.cr0 |= CR0_WP;
	put8(g, 0x4000, 0x5000 | P | U);
	expect_fault(g, 0x200000, ACCESS_WRITE | ACCESS_USER, PFERR_PRESENT | PFERR_WRITE | PFERR_USER | PFERR_PK);
	/* No keys below long mode. */
	free(g);
	g = pae_guest();
	g->pg.cr4 |= CR4_PKE;
	g->pg.pkru = ~0u;
	expect_gpa(g, 0xfff00abc, 0x123456abc, 0x1000);
	free(g);
}

static void walk_ad(struct guest *g, uint64_t gva, unsigned access, struct walk *w)
{
	paging_walk(&g->pg, &g->mem, gva, access, true, w);
}

static void test_accessed_and_dirty(void **state)
{
	struct guest *g = long_guest();
	struct walk w;

	(void)state;
	walk_ad(g, 0x200000, ACCESS_READ, &w);
	assert_int_equal(g->updates, 4);
	assert_int_equal(at8(g, 0x1000), 0x2000 | P | W | U | PTE_A);
	assert_int_equal(at8(g, 0x4000), 0x5000 | P | W | U | PTE_A);
	for (unsigned i = 0; i < 4; i++)
		assert_true(w.step[i].set_a && !w.step[i].set_d);
	assert_int_equal(w.leaf, at8(g, 0x4000));
	walk_ad(g, 0x200000, ACCESS_READ, &w);
	assert_int_equal(g->updates, 4); /* nothing left to set */
	assert_false(w.step[3].set_a);
	walk_ad(g, 0x200000, ACCESS_WRITE, &w);
	assert_int_equal(g->updates, 5);
	assert_int_equal(at8(g, 0x4000), 0x5000 | P | W | U | PTE_A | PTE_D);
	assert_int_equal(at8(g, 0x3008) & PTE_D, 0); /* D in the leaf only */
	assert_true(w.step[3].set_d && !w.step[3].set_a);
	/* A large page's D is in its entry. */
	put8(g, 0x3010, 0x400000 | P | W | PS);
	walk_ad(g, 0x400000, ACCESS_WRITE, &w);
	assert_int_equal(at8(g, 0x3010), 0x400000 | P | W | PS | PTE_A | PTE_D);
	free(g);
}

static void test_a_fault_sets_nothing(void **state)
{
	struct guest *g = long_guest();
	struct walk w;

	(void)state;
	walk_ad(g, 0x201000, ACCESS_READ, &w);
	assert_true(w.fault.present);
	put8(g, 0x4000, 0x5000 | P);
	walk_ad(g, 0x200000, ACCESS_WRITE, &w);
	assert_true(w.fault.present);
	assert_int_equal(g->updates, 0);
	/* Without the wish, or without a way, nothing either. */
	put8(g, 0x4000, 0x5000 | P | W);
	walk(g, 0x200000, ACCESS_WRITE);
	g->mem.update = NULL;
	walk_ad(g, 0x200000, ACCESS_WRITE, &w);
	assert_false(w.fault.present);
	assert_int_equal(at8(g, 0x4000), 0x5000 | P | W);
	free(g);
}

static void test_accessed_in_pae_pointers_is_not_set(void **state)
{
	struct guest *g = pae_guest();
	struct walk w;

	(void)state;
	walk_ad(g, 0xfff00abc, ACCESS_WRITE, &w);
	assert_int_equal(g->updates, 2);
	assert_int_equal(at8(g, 0x1018), 0x5000 | P);
	assert_int_equal(at8(g, 0x6800), 0x123456000 | P | W | U | PTE_A | PTE_D);
	free(g);
}

static void test_race_starts_over(void **state)
{
	struct guest *g = long_guest();
	struct walk w;

	(void)state;
	g->races = 1; /* another vCPU flips a software bit of the first entry */
	walk_ad(g, 0x200000, ACCESS_READ, &w);
	assert_false(w.fault.present);
	assert_int_equal(at8(g, 0x1000), 0x2000 | P | W | U | PTE_A | 1ull << 9);
	assert_int_equal(w.n, 4);
	/* It takes the entry away instead: the access faults. */
	put8(g, 0x1000, 0x2000 | P | W | U);
	g->races = 1;
	g->race_clears = true;
	walk_ad(g, 0x200000, ACCESS_READ, &w);
	assert_true(w.fault.present);
	assert_int_equal(w.fault.error_code, 0);
	assert_int_equal(w.n, 1);
	free(g);
}

static void test_endless_races_end(void **state)
{
	struct guest *g = long_guest();
	struct walk w;

	(void)state;
	g->races = 1000000;
	walk_ad(g, 0x200000, ACCESS_READ, &w);
	assert_false(w.fault.present);
	assert_int_equal(w.gpa, 0x5000);
	assert_true(g->updates < 1000);
	free(g);
}

static void test_readonly_tables_keep_their_bits(void **state)
{
	struct guest *g = long_guest();
	struct walk w;

	(void)state;
	g->update_rc = -EROFS;
	walk_ad(g, 0x200000, ACCESS_WRITE, &w);
	assert_false(w.fault.present);
	assert_int_equal(w.gpa, 0x5000);
	for (unsigned i = 0; i < 4; i++)
		assert_false(w.step[i].set_a || w.step[i].set_d);
	assert_int_equal(g->updates, 4);
	free(g);
}

static void test_tables_outside_memory(void **state)
{
	struct guest *g = long_guest();

	(void)state;
	put8(g, 0x2000, 0x7000000 | P | W | U);
	expect_fault(g, 0x200000, ACCESS_READ, PFERR_PRESENT | PFERR_RSVD); /* all ones have reserved bits */
	struct walk w = walk(g, 0x200000, ACCESS_READ);
	assert_true(w.step[2].no_memory);
	assert_int_equal(w.step[2].entry, ~0ull);
	assert_non_null(strstr(w.why, "no memory there"));
	g->pg.cr3 = 0xfffffff000;
	expect_fault(g, 0x200000, ACCESS_READ, PFERR_PRESENT | PFERR_RSVD);
	free(g);
	g = new_guest(PAGING_32BIT); /* here all ones are a present page at the top of 4 GiB */
	put4(g, 0x1000, 0x8000000 | P | W | U);
	expect_gpa(g, 0x123, 0xfffff123, 0x1000);
	free(g);
}

static void test_self_reference(void **state)
{
	struct guest *g = long_guest();

	(void)state;
	put8(g, 0x1000 + 8 * 0x1ed, 0x1000 | P | W); /* the root maps itself */
	uint64_t gva = ~0ull << 48 | 0x1edull << 39 | 0x1edull << 30 | 0x1edull << 21 | 0x1edull << 12;
	expect_gpa(g, gva, 0x1000, 0x1000);
	expect_gpa(g, ~0ull << 48 | 0x1edull << 39 | 0x1edull << 30 | 0x1edull << 21, 0x2000, 0x1000);
	expect_gpa(g, (~0ull << 48 | 0x1edull << 39) + 0x1000 + 8, 0x4000 + 8, 0x1000); /* a leaf table through it */
	free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_from_regs),
	    cmocka_unit_test(test_none),
	    cmocka_unit_test(test_32bit),
	    cmocka_unit_test(test_pse),
	    cmocka_unit_test(test_pae),
	    cmocka_unit_test(test_pae_registers),
	    cmocka_unit_test(test_pae_reserved),
	    cmocka_unit_test(test_4level),
	    cmocka_unit_test(test_large_pages),
	    cmocka_unit_test(test_5level),
	    cmocka_unit_test(test_canonical),
	    cmocka_unit_test(test_reserved_physical_bits),
	    cmocka_unit_test(test_which_fault_wins),
	    cmocka_unit_test(test_fetch_bit_of_the_error_code),
	    cmocka_unit_test(test_rights_in_all_combinations),
	    cmocka_unit_test(test_rights_name_the_layer),
	    cmocka_unit_test(test_protection_keys),
	    cmocka_unit_test(test_accessed_and_dirty),
	    cmocka_unit_test(test_a_fault_sets_nothing),
	    cmocka_unit_test(test_accessed_in_pae_pointers_is_not_set),
	    cmocka_unit_test(test_race_starts_over),
	    cmocka_unit_test(test_endless_races_end),
	    cmocka_unit_test(test_readonly_tables_keep_their_bits),
	    cmocka_unit_test(test_tables_outside_memory),
	    cmocka_unit_test(test_self_reference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
