/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The per-vCPU MMIO information cache, and the packing of MMIO sptes.
 */
#include "core/soft/mmu/mmio.h"

#include <string.h>

#define UPDATE_UNDER_WAY (1ull << 63)
/* What is remembered of a page's rights; whether code may be fetched from a device is of no use. */
#define ACCESS_BITS 6u
#define ACC_WRITE 2u
#define ACC_USER 4u

/* An MMIO spte: tag in bits 0-2 (and 11 clear), access in bits 12-14 beside the gfn's own field, generation in 3-10 and
 * 52-62. The gfn takes bits 15-51, so 37 bits: 49 bits of guest physical address, more than any slot here reaches. */
#define GEN_LOW_BITS 8
#define GEN_LOW_SHIFT 3
#define GEN_HIGH_SHIFT 52
#define GEN_MASK ((1ull << MMIO_GEN_BITS) - 1)
#define GFN_SHIFT 15
#define GFN_MASK ((1ull << 37) - 1)
#define SPTE_ACCESS_SHIFT 12

void mmio_cache_fill(struct mmio_cache *c, uint64_t gva, uint64_t gfn, uint8_t access, uint64_t generation)
{
	if (generation & UPDATE_UNDER_WAY)
		return;
	c->gva = gva & ~PAGE_OFFSET_MASK;
	c->gfn = gfn;
	c->access = access & ACCESS_BITS;
	c->generation = generation;
}

bool mmio_cache_match_gva(const struct mmio_cache *c, uint64_t gva, bool user, bool write, uint64_t generation)
{
	if (c->generation != generation || !c->gva || c->gva != (gva & ~PAGE_OFFSET_MASK))
		return false;
	if (user && !(c->access & ACC_USER))
		return false;
	return !write || (c->access & ACC_WRITE);
}

void mmio_cache_clear(struct mmio_cache *c)
{
	c->gva = 0;
}

void mmio_cache_invlpg(struct mmio_cache *c, uint64_t gva)
{
	if (c->gva == (gva & ~PAGE_OFFSET_MASK))
		mmio_cache_clear(c);
}

uint64_t mmio_spte_make(uint64_t gfn, uint8_t access, uint64_t generation)
{
	uint64_t gen = generation & GEN_MASK;
	uint64_t low = gen & ((1u << GEN_LOW_BITS) - 1), high = gen >> GEN_LOW_BITS;

	return MMIO_SPTE_TAG | low << GEN_LOW_SHIFT | (uint64_t)(access & ACCESS_BITS) << SPTE_ACCESS_SHIFT |
	       (gfn & GFN_MASK) << GFN_SHIFT | high << GEN_HIGH_SHIFT;
}

bool mmio_spte_is(uint64_t spte)
{
	return (spte & MMIO_SPTE_TAG_MASK) == MMIO_SPTE_TAG;
}

uint64_t mmio_spte_generation(uint64_t spte)
{
	uint64_t low = spte >> GEN_LOW_SHIFT & ((1u << GEN_LOW_BITS) - 1);
	uint64_t high = spte >> GEN_HIGH_SHIFT & (GEN_MASK >> GEN_LOW_BITS);

	return high << GEN_LOW_BITS | low;
}

bool mmio_spte_current(uint64_t spte, uint64_t generation)
{
	return mmio_spte_generation(spte) == (generation & GEN_MASK);
}

uint64_t mmio_spte_gfn(uint64_t spte)
{
	return spte >> GFN_SHIFT & GFN_MASK;
}

uint8_t mmio_spte_access(uint64_t spte)
{
	return spte >> SPTE_ACCESS_SHIFT & ACCESS_BITS;
}
