/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Every present mapping of the guest's tables within a range, in ascending order. Whole tables are looked at in place
 * if the memory can offer that; an entry is loaded once, since a running guest may change it. Depth is bounded by the
 * number of levels, whatever the tables point to.
 *
 * An enumeration gives each page, as often as the tables lead to it. A listing remembers which tables it has been through:
 * a table at its level with the rights that reach it always maps the same, so the second time one span stands for it. Where
 * tables are shared or lead to themselves that is the difference between some thousand entries and 2^36.
 */
#include "core/mem/paging_bits.h"
#include "core/mem/paging_seen.h"

#include <errno.h>
#include <stdlib.h>

struct enumeration {
	const struct paging *pg;
	const struct paging_mem *mem;
	uint64_t first, last; /* linear, without sign extension */
	int (*fn)(void *arg, const struct guest_mapping *m);
	void *arg;
	int (*poll)(void *arg);
	bool unbroken;		 /* the first address that is not mapped ends it */
	uint64_t reserved[6][2]; /* by level and leaf */
	/* Of a listing; else NULL. */
	const struct paging_listing *listing;
	struct tables_seen *seen;
	uint64_t path[6]; /* by level: the table that is being gone through */
};

/* A table under way. */
struct open_table {
	unsigned level;
	uint64_t gpa, base;
	uint8_t rights;
	bool whole; /* all that it maps is in the range */
	struct seen_sum sum;
	struct guest_span pending; /* n 0: none */
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

/* L1's pages may be smaller than L2's, or not be there: what is mapped is their parts. */
static int report_nested(const struct enumeration *en, const struct guest_mapping *whole, uint64_t linear)
{
	int rc = 0;

	for (uint64_t at = 0, part; !rc && at < whole->page_size; at += part) {
		uint64_t l2_gpa = whole->gpa + at;
		struct guest_mapping m = *whole;
		struct walk w;

		en->mem->nested(en->mem->ctx, l2_gpa, ACCESS_READ, &w);
		part = PAGE_SIZE_4K;
		if (w.fault.present)
			continue;
		part = MIN(w.page_size - (l2_gpa & (w.page_size - 1)), whole->page_size - at);
		if (linear + at > en->last || linear + at + (part - 1) < en->first)
			continue;
		m.gva += at;
		m.gpa = w.gpa;
		m.page_size = part;
		m.rights &= w.rights | ACCESS_USER;
		rc = en->fn(en->arg, &m);
	}
	return rc;
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

	return en->mem->nested ? report_nested(en, &m, linear) : en->fn(en->arg, &m);
}

/* ---- spans, of a listing */

static int end_span(const struct enumeration *en, struct open_table *t)
{
	struct guest_span s = t->pending;

	t->pending.n = 0;
	return s.n ? en->listing->span(en->arg, &s) : 0;
}

static bool goes_on(const struct guest_span *a, const struct guest_span *b)
{
	return a->n && a->kind == b->kind && a->table == b->table && a->rights == b->rights && a->index + a->n == b->index;
}

static int add_span(const struct enumeration *en, struct open_table *t, struct guest_span *s)
{
	int rc = 0;

	if (goes_on(&t->pending, s)) {
		t->pending.n++;
		t->pending.last = s->last;
		return 0;
	}
	rc = end_span(en, t);
	t->pending = *s;
	return rc;
}

static bool is_on_the_way(const struct enumeration *en, unsigned level, uint64_t table)
{
	for (unsigned i = level; i <= paging_top(en->pg); i++)
		if ((en->path[i] & ~PAGE_OFFSET_MASK) == table)
			return true;
	return false;
}

static bool in_range(const struct enumeration *en, uint64_t base, uint64_t size)
{
	return base >= en->first && base + (size - 1) <= en->last;
}

/* Does a span stand for the table that entry i of t points to? Then it has been added, and *sum says what it maps. */
static int try_span(const struct enumeration *en, struct open_table *t, unsigned i, uint64_t table, uint8_t rights,
		    struct seen_sum *sum, bool *done)
{
	const struct paging_listing *l = en->listing;
	uint64_t size = 1ull << paging_shift(en->pg, t->level), linear = t->base + i * size, root = paging_root(en->pg);
	struct guest_span s = {.gva = paging_sign_extend(en->pg, linear),
			       .rights = rights,
			       .level = t->level,
			       .holder = t->gpa,
			       .table = table,
			       .in_root = t->gpa == root,
			       .to_root = table == (root & ~PAGE_OFFSET_MASK),
			       .index = i,
			       .n = 1};
	const struct seen_table *before;

	*done = false;
	if (!l || !in_range(en, linear, size))
		return 0;
	s.last = s.gva + (size - 1);
	if (!l->follow && is_on_the_way(en, t->level, table)) {
		s.kind = SPAN_RECURSIVE;
		*sum = (struct seen_sum){.kind = SUM_MIXED};
		*done = true;
		return add_span(en, t, &s);
	}
	before = tables_seen_find(en->seen, table, t->level - 1, rights);
	if (!before || (l->fold && before->sum.kind == SUM_MIXED))
		return 0;
	*sum = before->sum;
	*done = true;
	if (sum->kind == SUM_NOTHING)
		return 0;
	s.kind = l->fold ? SPAN_FOLDED : SPAN_REPEATED;
	s.same_as = before->gva;
	if (l->fold)
		s.rights = sum->rights;
	return add_span(en, t, &s);
}

/* ---- tables */

static int enumerate_table(struct enumeration *en, unsigned level, uint64_t gpa, uint64_t base, uint8_t rights,
			   struct seen_sum *sum);

static int enumerate_entry(struct enumeration *en, struct open_table *t, unsigned i, uint64_t entry)
{
	bool leaf = paging_is_leaf(en->pg, t->level, entry), done = false;
	uint64_t linear = t->base + ((uint64_t)i << paging_shift(en->pg, t->level)), table;
	uint8_t left = t->rights & paging_rights(en->pg, t->level, entry);
	struct seen_sum sum = {.kind = SUM_ALL, .rights = left};
	int rc = 0;

	if (!(entry & PTE_P) || (entry & en->reserved[t->level][leaf])) {
		sum.kind = SUM_NOTHING;
		rc = en->unbroken;
	} else if (leaf) {
		rc = end_span(en, t);
		rc = rc ? rc : report_leaf(en, t->level, linear, entry, left);
	} else {
		table = entry & (en->pg->mode == PAGING_32BIT ? 0xfffff000 : PTE_ADDRESS);
		rc = try_span(en, t, i, table, left, &sum, &done);
		if (!rc && !done)
			rc = end_span(en, t);
		if (!rc && !done)
			rc = enumerate_table(en, t->level - 1, table, linear, left, &sum);
	}
	seen_sum_add(&t->sum, &sum);
	return rc;
}

/* One table whose first entry maps linear address base; rights are what the tables above leave. *sum: what it maps. */
static int enumerate_table(struct enumeration *en, unsigned level, uint64_t gpa, uint64_t base, uint8_t rights,
			   struct seen_sum *sum)
{
	unsigned shift = paging_shift(en->pg, level), n = paging_entries(en->pg, level);
	bool registers = paging_is_pdpte(en->pg, level) && en->pg->pdpte_valid;
	const void *table = registers	   ? en->pg->pdpte
			    : en->mem->map ? en->mem->map(en->mem->ctx, gpa, (size_t)n * paging_entry_size(en->pg))
					   : NULL;
	uint64_t i = en->first > base ? (en->first - base) >> shift : 0;
	uint64_t end = (en->last - base) >> shift;
	struct open_table t = {.level = level, .gpa = gpa, .base = base, .rights = rights};
	int rc = en->poll ? en->poll(en->arg) : 0;

	t.whole = in_range(en, base, (uint64_t)n << shift);
	en->path[level] = gpa;
	for (; !rc && i < n && i <= end; i++) {
		uint64_t entry;

		rc = load_entry(en, table, gpa, (unsigned)i, &entry);
		if (!rc)
			rc = enumerate_entry(en, &t, (unsigned)i, entry);
	}
	if (!rc)
		rc = end_span(en, &t);
	if (en->seen && !rc && t.whole)
		tables_seen_add(en->seen, gpa, level, rights, paging_sign_extend(en->pg, base), &t.sum);
	*sum = t.sum;
	return rc;
}

static int enumerate_part(struct enumeration *en, uint64_t first, uint64_t last)
{
	uint64_t mask = bits_mask(paging_linear_bits(en->pg) - 1, 0);
	struct seen_sum sum;

	en->first = first & mask;
	en->last = last & mask;
	return enumerate_table(en, paging_top(en->pg), paging_root(en->pg), 0, RIGHTS_ALL, &sum);
}

static int enumerate(struct enumeration *en, uint64_t first, uint64_t last)
{
	const struct paging *pg = en->pg;
	/* The two canonical halves; below long mode only the first 4 GiB. */
	uint64_t low_end = bits_mask(paging_long(pg) ? paging_linear_bits(pg) - 2 : 31, 0);
	int rc = 0;

	if (pg->mode == PAGING_NONE || first > last)
		return 0;
	for (unsigned level = 1; level <= paging_top(pg); level++)
		for (int leaf = 0; leaf < 2; leaf++)
			en->reserved[level][leaf] = paging_reserved(pg, level, leaf);
	if (first <= low_end)
		rc = enumerate_part(en, first, last < low_end ? last : low_end);
	if (!rc && paging_long(pg) && last >= ~low_end)
		rc = enumerate_part(en, first > ~low_end ? first : ~low_end, last);
	return rc;
}

int paging_enumerate(const struct paging *pg, const struct paging_mem *mem, uint64_t first, uint64_t last,
		     int (*fn)(void *arg, const struct guest_mapping *m), void *arg, int (*poll)(void *arg))
{
	struct enumeration en = {.pg = pg, .mem = mem, .fn = fn, .arg = arg, .poll = poll};

	return enumerate(&en, first, last);
}

int paging_enumerate_unbroken(const struct paging *pg, const struct paging_mem *mem, uint64_t first, uint64_t last,
			      int (*fn)(void *arg, const struct guest_mapping *m), void *arg)
{
	struct enumeration en = {.pg = pg, .mem = mem, .fn = fn, .arg = arg, .unbroken = true};

	return enumerate(&en, first, last);
}

int paging_list(const struct paging *pg, const struct paging_mem *mem, const struct paging_listing *l)
{
	struct enumeration en = {
	    .pg = pg, .mem = mem, .fn = l->page, .arg = l->arg, .poll = l->poll, .listing = l, .seen = tables_seen_create()};
	int rc = en.seen ? enumerate(&en, l->first, l->last) : -ENOMEM;

	free(en.seen);
	return rc;
}
