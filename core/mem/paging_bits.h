/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The shape of page tables in each mode: shifts, entry sizes, which entries are leaves, which bits are reserved, where an
 * entry points. Shared by the walk and the enumeration. Intel SDM vol. 3A, 4.3 to 4.5.
 */
#ifndef KVMSCOPE_CORE_MEM_PAGING_BITS_H
#define KVMSCOPE_CORE_MEM_PAGING_BITS_H

#include "core/mem/paging.h"

#define PTE_ADDRESS 0x000ffffffffff000ull
#define RIGHTS_ALL (ACCESS_WRITE | ACCESS_FETCH | ACCESS_USER)

/* Bits hi to lo, inclusive; 0 if hi < lo. */
static inline uint64_t bits_mask(unsigned hi, unsigned lo)
{
	return hi < lo ? 0 : (hi == 63 ? ~0ull : (1ull << (hi + 1)) - 1) & ~((1ull << lo) - 1);
}

static inline bool paging_long(const struct paging *pg)
{
	return pg->mode == PAGING_4LEVEL || pg->mode == PAGING_5LEVEL;
}

static inline unsigned paging_top(const struct paging *pg)
{
	static const uint8_t top[] = {
	    [PAGING_NONE] = 0, [PAGING_32BIT] = 2, [PAGING_PAE] = 3, [PAGING_4LEVEL] = 4, [PAGING_5LEVEL] = 5};

	return top[pg->mode];
}

static inline unsigned paging_linear_bits(const struct paging *pg)
{
	return pg->mode == PAGING_5LEVEL ? 57 : pg->mode == PAGING_4LEVEL ? 48 : 32;
}

static inline unsigned paging_entry_size(const struct paging *pg)
{
	return pg->mode == PAGING_32BIT ? 4 : 8;
}

static inline unsigned paging_shift(const struct paging *pg, unsigned level)
{
	return PAGE_SHIFT + (pg->mode == PAGING_32BIT ? 10 : 9) * (level - 1);
}

/* Entries of a table. */
static inline unsigned paging_entries(const struct paging *pg, unsigned level)
{
	return pg->mode == PAGING_32BIT ? 1024 : pg->mode == PAGING_PAE && level == 3 ? 4 : 512;
}

/* The registers that PAE loads from its top table have neither rights nor an accessed bit. */
static inline bool paging_is_pdpte(const struct paging *pg, unsigned level)
{
	return pg->mode == PAGING_PAE && level == 3;
}

static inline unsigned paging_maxphyaddr(const struct paging *pg)
{
	return pg->maxphyaddr < 32 ? 32 : pg->maxphyaddr > 52 ? 52 : pg->maxphyaddr;
}

static inline uint64_t paging_root(const struct paging *pg)
{
	if (pg->mode == PAGING_32BIT)
		return pg->cr3 & 0xfffff000;
	if (pg->mode == PAGING_PAE)
		return pg->cr3 & 0xffffffe0;
	return pg->cr3 & bits_mask(paging_maxphyaddr(pg) - 1, 12);
}

static inline bool paging_is_leaf(const struct paging *pg, unsigned level, uint64_t entry)
{
	if (level == 1)
		return true;
	if (!(entry & PTE_PS) || paging_is_pdpte(pg, level))
		return false;
	if (pg->mode == PAGING_32BIT)
		return (pg->cr4 & CR4_PSE) != 0;
	return level == 2 || (level == 3 && pg->gbpages);
}

static inline uint64_t paging_reserved(const struct paging *pg, unsigned level, bool leaf)
{
	unsigned max = paging_maxphyaddr(pg);
	uint64_t mask;

	if (pg->mode == PAGING_32BIT) /* PSE-36: bits 20:13 are address bits 39:32, as far as there are so many */
		return leaf && level == 2 ? bits_mask(21, (max > 40 ? 40 : max) - 19) : 0;
	if (paging_is_pdpte(pg, level))
		return bits_mask(63, max) | bits_mask(8, 5) | bits_mask(2, 1);
	mask = bits_mask(pg->mode == PAGING_PAE ? 62 : 51, max);
	if (!(pg->efer & EFER_NXE))
		mask |= PTE_NX;
	if (leaf && level > 1)
		mask |= bits_mask(paging_shift(pg, level) - 1, 13);
	if (!leaf && (level > 3 || (level == 3 && !pg->gbpages)))
		mask |= PTE_PS;
	return mask;
}

/* First address of the page that a leaf maps. */
static inline uint64_t paging_leaf_address(const struct paging *pg, unsigned level, uint64_t entry)
{
	if (pg->mode == PAGING_32BIT && level == 2)
		return (entry & 0xffc00000) | (entry >> 13 & 0xff) << 32;
	return entry & PTE_ADDRESS & ~((1ull << paging_shift(pg, level)) - 1);
}

/* What an entry allows, as ACCESS_ bits. */
static inline uint8_t paging_rights(const struct paging *pg, unsigned level, uint64_t entry)
{
	uint8_t rights = ACCESS_FETCH;

	if (paging_is_pdpte(pg, level))
		return RIGHTS_ALL;
	if (entry & PTE_W)
		rights |= ACCESS_WRITE;
	if (entry & PTE_U)
		rights |= ACCESS_USER;
	if (pg->mode != PAGING_32BIT && (entry & PTE_NX))
		rights &= (uint8_t)~ACCESS_FETCH;
	return rights;
}

/* A linear address of this mode as a 64-bit one. */
static inline uint64_t paging_sign_extend(const struct paging *pg, uint64_t linear)
{
	unsigned bits = paging_linear_bits(pg);

	return bits == 32 ? linear & 0xffffffff : (uint64_t)((int64_t)(linear << (64 - bits)) >> (64 - bits));
}

#endif
