/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A guest of a quarter of a MiB for the paging tests: bytes, the callbacks that a walk reads and updates them by, counts
 * of those, and other vCPUs' interference on demand.
 */
#ifndef KVMSCOPE_TESTS_UNIT_PAGING_GUEST_H
#define KVMSCOPE_TESTS_UNIT_PAGING_GUEST_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "core/mem/paging.h"

#define MEM_SIZE 0x40000u
#define P PTE_P
#define W PTE_W
#define U PTE_U
#define NX PTE_NX
#define PS PTE_PS

struct guest {
	struct paging pg;
	struct paging_mem mem;
	uint8_t ram[MEM_SIZE];
	unsigned reads, updates, maps;
	int update_rc;	  /* given instead of updating, where not 0 */
	unsigned races;	  /* updates that find the entry changed */
	bool race_clears; /* … and a race takes P away */
};

static inline int ram_read(void *ctx, uint64_t gpa, unsigned size, uint64_t *entry)
{
	struct guest *g = ctx;

	g->reads++;
	assert_int_equal(gpa % size, 0);
	if (gpa > MEM_SIZE - size)
		return -EFAULT;
	*entry = 0;
	memcpy(entry, g->ram + gpa, size);
	return 0;
}

static inline const void *ram_map(void *ctx, uint64_t gpa, size_t len)
{
	struct guest *g = ctx;

	g->maps++;
	assert_true((gpa & 0xfff) + len <= 0x1000);
	return gpa <= MEM_SIZE - len ? g->ram + gpa : NULL;
}

static inline int ram_update(void *ctx, uint64_t gpa, unsigned size, uint64_t old, uint64_t new_entry)
{
	struct guest *g = ctx;
	uint64_t now = 0;

	g->updates++;
	if (g->update_rc)
		return g->update_rc;
	memcpy(&now, g->ram + gpa, size);
	if (g->races) {
		g->races--;
		now ^= g->race_clears ? P : 1ull << 9;
		memcpy(g->ram + gpa, &now, size);
	}
	if (now != old)
		return 1;
	memcpy(g->ram + gpa, &new_entry, size);
	return 0;
}

static inline void put8(struct guest *g, uint64_t gpa, uint64_t entry)
{
	memcpy(g->ram + gpa, &entry, 8);
}

static inline void put4(struct guest *g, uint64_t gpa, uint32_t entry)
{
	memcpy(g->ram + gpa, &entry, 4);
}

static inline uint64_t at8(const struct guest *g, uint64_t gpa)
{
	uint64_t v;

	memcpy(&v, g->ram + gpa, 8);
	return v;
}

static inline struct guest *new_guest(enum paging_mode mode)
{
	struct guest *g = calloc(1, sizeof(*g));

	assert_non_null(g);
	g->mem = (struct paging_mem){.ctx = g, .read = ram_read, .update = ram_update};
	g->pg = (struct paging){.mode = mode, .cr0 = CR0_PE | CR0_PG | CR0_WP, .maxphyaddr = 52, .gbpages = true};
	if (mode != PAGING_32BIT)
		g->pg.cr4 = CR4_PAE;
	if (mode == PAGING_4LEVEL || mode == PAGING_5LEVEL)
		g->pg.efer = EFER_LME | EFER_LMA;
	g->pg.efer |= mode == PAGING_32BIT ? 0 : EFER_NXE;
	g->pg.cr3 = 0x1000;
	return g;
}

/* 4-level: 0x1000 → 0x2000 → 0x3000 → 0x4000; gva 0x200000 + n * 4K is entry n of the last. */
static inline struct guest *long_guest(void)
{
	struct guest *g = new_guest(PAGING_4LEVEL);

	put8(g, 0x1000, 0x2000 | P | W | U);
	put8(g, 0x2000, 0x3000 | P | W | U);
	put8(g, 0x3000 + 8, 0x4000 | P | W | U);
	put8(g, 0x4000, 0x5000 | P | W | U);
	return g;
}

/* PAE: pointers at 0x1000, directories 0x2000 to 0x5000. */
static inline struct guest *pae_guest(void)
{
	struct guest *g = new_guest(PAGING_PAE);

	put8(g, 0x1000 + 8 * 3, 0x5000 | P);
	put8(g, 0x5000 + 8 * 0x1ff, 0x6000 | P | W | U);
	put8(g, 0x6000 + 8 * 0x100, 0x123456000 | P | W | U);
	return g;
}

static inline struct walk walk(struct guest *g, uint64_t gva, unsigned access)
{
	struct walk w;

	memset(&w, 0xa5, sizeof(w));
	paging_walk(&g->pg, &g->mem, gva, access, false, &w);
	return w;
}

#endif
