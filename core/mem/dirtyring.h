/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A ring of dirty pages, one for each vCPU: KVM's other way to log them, in place of a bitmap for each slot. The producer
 * (KVM, or the soft CPU) pushes an entry whenever it marks a page dirty; the consumer reads entries in their order and gives
 * them back, and only then is the page write-protected again, so that its next write is an entry again. An entry's state is
 * in its flags:
 *
 *	0 (free) -> DIRTY (pushed) -> RESET (the consumer has done with it) -> 0 (the producer has taken it back)
 *
 * Source: Linux Documentation/virt/kvm/api.rst, "KVM_CAP_DIRTY_LOG_RING/KVM_CAP_DIRTY_LOG_RING_ACQ_REL"; struct dirty_gfn is
 * its struct kvm_dirty_gfn.
 */
#ifndef KVMSCOPE_CORE_MEM_DIRTYRING_H
#define KVMSCOPE_CORE_MEM_DIRTYRING_H

#include "core/base/err.h"

#define DIRTY_GFN_DIRTY 1u
#define DIRTY_GFN_RESET 2u

struct dirty_gfn {
	uint32_t flags;
	uint32_t slot;	 /* its id in 15:0, the address space in 31:16 */
	uint64_t offset; /* in pages, from the slot's first */
};

#define DIRTY_RING_MIN 256u	/* entries: a page of them */
#define DIRTY_RING_MAX 65536u	/* KVM's own limit */
#define DIRTY_RING_RESERVED 64u /* between "full enough to leave the guest" and full */

/* How many entries may be asked for: a power of two from DIRTY_RING_MIN to DIRTY_RING_MAX. -EINVAL in words. */
int dirty_ring_check(uint64_t entries, struct err *e) MUST_USE;

/* ---- the consumer's side: v is shared with the producer */

struct dirty_ring {
	struct dirty_gfn *v; /* NULL: there is no ring */
	uint32_t size;	     /* entries */
	uint64_t seen;	     /* entries read so far, since the ring was made */
	uint64_t given;	     /* of these, given back */
};

/* Call fn with each entry that was pushed since the last call, in order. n counts from 0, since the ring was made. Nothing
 * is given back: reading changes nothing for the producer. */
void dirty_ring_read(struct dirty_ring *r, void (*fn)(void *ctx, uint64_t n, const struct dirty_gfn *entry), void *ctx);
/* All that was read is given back: the producer may take it. How many entries that were. */
uint64_t dirty_ring_give_back(struct dirty_ring *r);

/* ---- the producer's side, for the soft CPU */

struct dirty_source {
	uint64_t pushed, taken; /* entries, since the ring was made */
};

/* False: there is no room at all, and the entry is lost. */
bool dirty_ring_push(struct dirty_ring *r, struct dirty_source *s, uint32_t slot, uint64_t offset);
/* So few are free that the guest must be left for the consumer. */
bool dirty_ring_soft_full(const struct dirty_ring *r, const struct dirty_source *s);
/* Take back what was given back, in order: fn with each page, to be write-protected anew. */
void dirty_ring_take(struct dirty_ring *r, struct dirty_source *s, void (*fn)(void *ctx, uint32_t slot, uint64_t offset),
		     void *ctx);

#endif
