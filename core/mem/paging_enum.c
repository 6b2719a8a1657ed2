/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Every present mapping of the guest's tables within a range, in ascending order. Whole tables are looked at in place
 * if the memory can offer that; an entry is loaded once, since a running guest may change it. Depth is bounded by the
 * number of levels, whatever the tables point to.
 */
#include "core/mem/paging_bits.h"

#include <errno.h>

struct enumeration {
	const struct paging *pg;
	const struct paging_mem *mem;
	uint64_t first, last; /* linear, without sign extension */
	int (*fn)(void *arg, const struct guest_mapping *m);
	void *arg;
	int (*poll)(void *arg);
	uint64_t reserved[6][2]; /* by level and leaf */
};

/* 0, or -ENODATA if it cannot be read now. All ones if no memory is there. */
static int load_entry(const struct enumeration *en, const void *table, uint64_t gpa, unsigned index, uint64_t *entry)
{
	bool narrow = en->pg->mode == PAGING_32BIT;
	unsigned size = narrow ? 4 : 8;
	int rc;

	if (table) {
		*entry = narrow ? __atomic_load_n((const uint32_t *)table + index, __ATOMIC_RELAXED)
				: __atomic_load_n((const uint64_t *)table + index, __ATOMIC_RELAXED);
		return 0;
	}
	*entry = 0;
	rc = en->mem->read(en->mem->ctx, gpa + (uint64_t)size * index, size, entry);
	if (rc)
		*entry = narrow ? 0xffffffff : ~0ull;
	return rc == -ENODATA ? rc : 0;
}

static int report_leaf(const struct enumeration *en, unsigned level, uint64_t linear, uint64_t entry, uint8_t rights)
{
	struct guest_mapping m = {
	    .gva = paging_sign_extend(en->pg, linear),
	    .gpa = paging_leaf_address(en->pg, level, entry),
	    .page_size = 1ull << paging_shift(en->pg, level),
	    .entry = entry,
	    .rights = rights,
	    .accessed = (entry & PTE_A) != 0,
	    .dirty = (entry & PTE_D) != 0,
	    .global = (entry & PTE_G) && (en->pg->cr4 & CR4_PGE),
	};

	return en->fn(en->arg, &m);
}

/* One table whose first entry maps linear address base; rights are what the tables above leave. */
static int enumerate_table(const struct enumeration *en, unsigned level, uint64_t gpa, uint64_t base, uint8_t rights)
{
	unsigned shift = paging_shift(en->pg, level), n = paging_entries(en->pg, level);
	bool registers = paging_is_pdpte(en->pg, level) && en->pg->pdpte_valid;
	const void *table = registers	   ? en->pg->pdpte
			    : en->mem->map ? en->mem->map(en->mem->ctx, gpa, (size_t)n * paging_entry_size(en->pg))
					   : NULL;
	uint64_t i = en->first > base ? (en->first - base) >> shift : 0;
	uint64_t end = (en->last - base) >> shift;
	int rc = en->poll ? en->poll(en->arg) : 0;

	for (; !rc && i < n && i <= end; i++) {
		uint64_t linear = base + (i << shift), entry;

		rc = load_entry(en, table, gpa, (unsigned)i, &entry);
		if (rc || !(entry & PTE_P))
			continue;
		bool leaf = paging_is_leaf(en->pg, level, entry);
		uint8_t left = rights & paging_rights(en->pg, level, entry);
		if (entry & en->reserved[level][leaf])
			continue;
		if (leaf)
			rc = report_leaf(en, level, linear, entry, left);
		else
			rc = enumerate_table(
			    en, level - 1, entry & (en->pg->mode == PAGING_32BIT ? 0xfffff000 : PTE_ADDRESS), linear, left);
	}
	return rc;
}

static int enumerate_part(struct enumeration *en, uint64_t first, uint64_t last)
{
	uint64_t mask = bits_mask(paging_linear_bits(en->pg) - 1, 0);

	en->first = first & mask;
	en->last = last & mask;
	return enumerate_table(en, paging_top(en->pg), paging_root(en->pg), 0, RIGHTS_ALL);
}

int paging_enumerate(const struct paging *pg, const struct paging_mem *mem, uint64_t first, uint64_t last,
		     int (*fn)(void *arg, const struct guest_mapping *m), void *arg, int (*poll)(void *arg))
{
	struct enumeration en = {.pg = pg, .mem = mem, .fn = fn, .arg = arg, .poll = poll};
	/* The two canonical halves; below long mode only the first 4 GiB. */
	uint64_t low_end = bits_mask(paging_long(pg) ? paging_linear_bits(pg) - 2 : 31, 0);
	int rc = 0;

	if (pg->mode == PAGING_NONE || first > last)
		return 0;
	for (unsigned level = 1; level <= paging_top(pg); level++)
		for (int leaf = 0; leaf < 2; leaf++)
			en.reserved[level][leaf] = paging_reserved(pg, level, leaf);
	if (first <= low_end)
		rc = enumerate_part(&en, first, last < low_end ? last : low_end);
	if (!rc && paging_long(pg) && last >= ~low_end)
		rc = enumerate_part(&en, first > ~low_end ? first : ~low_end, last);
	return rc;
}
