/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A cache of one gfn's slot, checked by the memslot generation: what code that touches the same guest page again and again
 * keeps beside it (memop does). A slot that only SMM sees never enters: whether it is there depends on the vCPU's mode,
 * which the generation says nothing about, so every access to SMRAM goes the slow way.
 */
#ifndef KVMSCOPE_CORE_MEM_GFNCACHE_H
#define KVMSCOPE_CORE_MEM_GFNCACHE_H

#include "core/mem/memslot.h"

struct gfn_cache {
	struct slot *slot; /* NULL: nothing cached */
	uint64_t gfn, generation;
	uint64_t hits, misses;
};

/* The slot that covers gpa as seen from (smm), as slot_lookup() gives it. Fills the cache if the slot is seen from both
 * sides; not while a slot update is under way. */
struct slot *gfn_cache_slot(struct gfn_cache *c, struct slot_table *t, uint64_t gpa, bool smm);

#endif
