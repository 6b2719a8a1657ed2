/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Building 4-level page tables in a buffer.
 */
#include <string.h>

#include "core/load/entry.h"
#include "core/mem/paging.h"

#define ENTRIES 512u
#define LARGE 0x200000ull
#define ADDRESS_MASK 0x000ffffffffff000ull

void tables_init(struct tables *t, uint64_t gpa, uint64_t upper)
{
	*t = (struct tables){.gpa = gpa, .upper = upper};
}

void tables_deinit(struct tables *t)
{
	free(t->entry);
	t->entry = NULL;
	t->n = t->cap = 0;
}

/* Index of a new empty table, -1 if there is no memory. */
static long new_table(struct tables *t)
{
	if (t->n == t->cap) {
		unsigned cap = t->cap ? t->cap * 2 : 8;
		uint64_t *v = realloc(t->entry, (size_t)cap * ENTRIES * sizeof(*v));

		if (!v)
			return -1;
		t->entry = v;
		t->cap = cap;
	}
	memset(&t->entry[(size_t)t->n * ENTRIES], 0, ENTRIES * sizeof(*t->entry));
	return t->n++;
}

static unsigned index_at(uint64_t gva, unsigned level)
{
	return gva >> (PAGE_SHIFT + 9 * (level - 1)) & (ENTRIES - 1);
}

/* Put a table of 4 KiB pages in the place of a large page. */
static void split_large(struct tables *t, unsigned table, uint64_t large)
{
	uint64_t *e = &t->entry[(size_t)table * ENTRIES];

	for (unsigned i = 0; i < ENTRIES; i++)
		e[i] = (large & ~PTE_PS) + i * PAGE_SIZE_4K;
}

/* The table of that level which covers gva, made if it is missing; -1 if there is no memory. */
static long table_for(struct tables *t, uint64_t gva, unsigned level)
{
	long table = 0;

	if (!t->n && new_table(t) < 0)
		return -1;
	for (unsigned l = 4; l > level; l--) {
		size_t at = (size_t)table * ENTRIES + index_at(gva, l);
		uint64_t old = t->entry[at];

		if (old & PTE_P && !(old & PTE_PS)) {
			table = (long)(((old & ADDRESS_MASK) - t->gpa) >> PAGE_SHIFT);
			continue;
		}
		table = new_table(t);
		if (table < 0)
			return -1;
		if (old & PTE_P)
			split_large(t, (unsigned)table, old);
		t->entry[at] = (t->gpa + ((uint64_t)table << PAGE_SHIFT)) | t->upper;
	}
	return table;
}

int tables_map(struct tables *t, uint64_t gva, uint64_t gpa, uint64_t size, uint64_t rights, bool large, struct err *e)
{
	uint64_t left = (size + (gva & PAGE_OFFSET_MASK) + PAGE_OFFSET_MASK) & ~PAGE_OFFSET_MASK;
	uint64_t step;

	gva &= ~PAGE_OFFSET_MASK;
	gpa &= ~PAGE_OFFSET_MASK;
	for (; left; left -= step, gva += step, gpa += step) {
		bool big = large && left >= LARGE && !((gva | gpa) & (LARGE - 1));
		long table = table_for(t, gva, big ? 2 : 1);

		if (table < 0)
			return err_nomem(e, "build page tables");
		step = big ? LARGE : PAGE_SIZE_4K;
		t->entry[(size_t)table * ENTRIES + index_at(gva, big ? 2 : 1)] =
		    rights ? gpa | rights | (big ? PTE_PS : 0) : 0;
	}
	return 0;
}
