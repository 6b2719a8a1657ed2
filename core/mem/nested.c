/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Nested tables. AMD's are tables like any other, read as the host of L2 would read its own, with each access a user's; EPT
 * has a format of its own (Intel SDM vol. 3C, 29.3.2).
 */
#include "core/mem/nested.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define EPT_READ (1ull << 0)
#define EPT_WRITE (1ull << 1)
#define EPT_EXEC (1ull << 2)
#define EPT_RIGHTS (EPT_READ | EPT_WRITE | EPT_EXEC)
#define EPT_ADDRESS 0x000ffffffffff000ull

void nested_mem_init(struct nested_mem *n, const struct paging_mem *under, const struct nested_guest *g, unsigned maxphyaddr)
{
	*n = (struct nested_mem){.under = *under, .guest = *g, .maxphyaddr = maxphyaddr};
}

/* As L1's registers have it: its paging mode, and whether NX means anything. */
static void npt_walk(const struct nested_mem *n, uint64_t l2_gpa, unsigned access, struct walk *out)
{
	const struct nested_guest *g = &n->guest;
	const struct regs l1 = {
	    .cr0 = g->l1_cr0 | CR0_PG | CR0_WP, .cr3 = g->root, .cr4 = g->l1_cr4 & (CR4_PAE | CR4_LA57), .efer = g->l1_efer};
	struct paging pg;

	paging_from_regs(&pg, &l1);
	if (n->maxphyaddr)
		pg.maxphyaddr = n->maxphyaddr;
	paging_walk(&pg, &n->under, l2_gpa, access | ACCESS_USER, false, out);
}

static void ept_refuse(struct walk *out, const struct walk_step *s, uint64_t l2_gpa, const char *what)
{
	out->fault = (struct guest_fault){.present = true, .vector = 14, .address = l2_gpa};
	snprintf(out->why, sizeof(out->why), "level %u entry %#llx at gpa %#llx %s", s->level, (unsigned long long)s->entry,
		 (unsigned long long)s->gpa, what);
}

static uint64_t ept_needs(unsigned access)
{
	return access & ACCESS_WRITE ? EPT_WRITE : access & ACCESS_FETCH ? EPT_EXEC : EPT_READ;
}

static void ept_walk(const struct nested_mem *n, uint64_t l2_gpa, unsigned access, struct walk *out)
{
	uint64_t table = n->guest.root & EPT_ADDRESS, rights = EPT_RIGHTS;

	memset(out, 0, sizeof(*out));
	for (unsigned level = n->guest.levels; level; level--) {
		struct walk_step *s = &out->step[out->n++];
		unsigned shift = PAGE_SHIFT + 9 * (level - 1);

		*s = (struct walk_step){.level = level, .size = 8, .gpa = table + (l2_gpa >> shift & 511) * 8};
		if (n->under.read(n->under.ctx, s->gpa, 8, &s->entry)) {
			out->unreadable = true;
			return ept_refuse(out, s, l2_gpa, "cannot be read");
		}
		rights &= s->entry;
		if (!(s->entry & EPT_RIGHTS))
			return ept_refuse(out, s, l2_gpa, "is not present");
		if (!(rights & ept_needs(access)))
			return ept_refuse(out, s, l2_gpa, "does not allow the access");
		if (level > 1 && !(s->entry & PTE_PS)) {
			table = s->entry & EPT_ADDRESS;
			continue;
		}
		out->leaf = s->entry;
		out->page_size = 1ull << shift;
		out->gpa = (s->entry & EPT_ADDRESS & ~(out->page_size - 1)) | (l2_gpa & (out->page_size - 1));
		out->rights = (uint8_t)(ACCESS_USER | (rights & EPT_WRITE ? ACCESS_WRITE : 0) |
					(rights & EPT_EXEC ? ACCESS_FETCH : 0));
		return;
	}
}

void nested_walk(const struct nested_mem *n, uint64_t l2_gpa, unsigned access, struct walk *out)
{
	if (n->guest.kind == NESTED_SVM)
		npt_walk(n, l2_gpa, access, out);
	else
		ept_walk(n, l2_gpa, access, out);
}

/* ---- L2's tables */

static int find_table(const struct nested_mem *n, uint64_t l2_gpa, uint64_t *gpa)
{
	struct walk w;

	nested_walk(n, l2_gpa, ACCESS_READ, &w);
	*gpa = w.gpa;
	return !w.fault.present ? 0 : w.unreadable ? -ENODATA : -EFAULT;
}

static int read_table(void *ctx, uint64_t l2_gpa, unsigned size, uint64_t *entry)
{
	const struct nested_mem *n = ctx;
	uint64_t gpa;

	/* What L1 does not map is no bus without a device: L2 leaves for L1, and nothing is read. */
	return find_table(n, l2_gpa, &gpa) ? -ENODATA : n->under.read(n->under.ctx, gpa, size, entry);
}

static const void *map_table(void *ctx, uint64_t l2_gpa, size_t len)
{
	const struct nested_mem *n = ctx;
	uint64_t gpa;

	return !n->under.map || find_table(n, l2_gpa, &gpa) ? NULL : n->under.map(n->under.ctx, gpa, len);
}

static void walk_on(void *ctx, uint64_t l2_gpa, unsigned access, struct walk *out)
{
	nested_walk(ctx, l2_gpa, access, out);
}

struct paging_mem nested_mem(struct nested_mem *n)
{
	return (struct paging_mem){.ctx = n, .read = read_table, .map = map_table, .nested = walk_on};
}
