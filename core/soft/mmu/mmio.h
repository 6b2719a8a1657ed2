/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The per-vCPU MMIO information cache: (gva page, gfn, access, generation), filled on the fault path when no slot is there
 * or from a valid MMIO spte, matched before a walk, cleared by INVLPG of the same page, a CR3 load, an MMU reset; a new
 * memslot generation makes it invalid without touching it. And the MMIO spte, which carries access, gfn and generation.
 *
 * Source: Linux Documentation/virt/kvm/x86/mmu.rst, "Fast invalidation of MMIO sptes".
 */
#ifndef KVMSCOPE_CORE_SOFT_MMU_MMIO_H
#define KVMSCOPE_CORE_SOFT_MMU_MMIO_H

#include "core/base/util.h"

/* Access bits as in a guest PTE: 1 exec, 2 write, 4 user. */
struct mmio_cache {
	uint64_t gva; /* page; 0: nothing (and for direct maps) */
	uint64_t gfn;
	uint8_t access;
	uint64_t generation;
};

/* Remember; not while a memslot update is under way (bit 63 of generation). */
void mmio_cache_fill(struct mmio_cache *c, uint64_t gva, uint64_t gfn, uint8_t access, uint64_t generation);
/* Does the cache answer for this gva now? user, write: the access. */
bool mmio_cache_match_gva(const struct mmio_cache *c, uint64_t gva, bool user, bool write, uint64_t generation);
void mmio_cache_clear(struct mmio_cache *c);
void mmio_cache_invlpg(struct mmio_cache *c, uint64_t gva);

/* MMIO sptes: MMU-present clear, the tag bits set, generation in two fields (low 3-10, high 52-62: 19 bits). */
#define MMIO_SPTE_TAG 0x6ull
#define MMIO_SPTE_TAG_MASK 0x807ull
#define MMIO_GEN_BITS 19
uint64_t mmio_spte_make(uint64_t gfn, uint8_t access, uint64_t generation);
bool mmio_spte_is(uint64_t spte);
bool mmio_spte_current(uint64_t spte, uint64_t generation);
uint64_t mmio_spte_gfn(uint64_t spte);
uint8_t mmio_spte_access(uint64_t spte);
uint64_t mmio_spte_generation(uint64_t spte); /* the stored low bits */

#endif
