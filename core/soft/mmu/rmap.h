/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The reverse map: from a guest frame to every spte that maps it, in the encoding that KVM's legacy MMU has had since
 * its first reverse map. One word a frame: 0 is empty; bit 0 clear is the address of the only spte; bit 0 set is a
 * descriptor's address | 1. A descriptor holds four spte slots and `more`.
 *
 * Transitions: add 0 → 1 stores the pointer; 1 → many makes a descriptor with the old one at [0] and the new at [1]; many →
 * many goes into the last descriptor, appending one if it is full. Remove moves the descriptor's last used entry into the
 * hole; an emptied descriptor is unlinked (the head becomes 0 or the next one, the predecessor's `more` what the
 * descriptor's was). So entries are a contiguous prefix, none is empty, a middle one may be non-full, and "many" with one
 * entry is legal.
 *
 * KVM at first walked to the last descriptor to add, and searched the chain to remove. Here both are O(1): the first
 * descriptor remembers the last one and the count, descriptors are linked backwards too, and the owner of an spte has one
 * word that names the descriptor it stands in (rmap_env.owner). The encoding that a reader sees is the same.
 */
#ifndef KVMSCOPE_CORE_SOFT_MMU_RMAP_H
#define KVMSCOPE_CORE_SOFT_MMU_RMAP_H

#include "core/machine/inspect.h"

#define RMAP_DESC_ENTRIES 4

struct rmap_node {
	uint64_t *sptep[RMAP_DESC_ENTRIES];
	struct rmap_node *more;
	/* beside KVM's layout: */
	struct rmap_node *prev;
	struct rmap_node *last; /* of the first descriptor only */
	uint64_t count;		/* sptes in the chain; of the first descriptor only */
};

/* owner() maps an sptep to the caller's one word for it: NULL while it is the only one of its head, else its descriptor. */
struct rmap_env {
	struct rmap_node **(*owner)(void *ctx, uint64_t *sptep);
	void *ctx;
	/* Where descriptors come from, zeroed; both NULL: the heap. */
	struct rmap_node *(*alloc)(void *ctx);
	void (*release)(void *ctx, struct rmap_node *n);
};

/* 0, or -ENOMEM with nothing changed. */
int rmap_add(const struct rmap_env *env, uint64_t *head, uint64_t *sptep, struct err *e) MUST_USE;
/* -EUCLEAN: an empty head, another single, or not in the chain: corruption, reported and never ignored. */
int rmap_remove(const struct rmap_env *env, uint64_t *head, uint64_t *sptep, struct err *e) MUST_USE;
uint64_t rmap_count(uint64_t head);
enum rmap_kind rmap_kind_of(uint64_t head);
/* Call fn for each spte in chain order; fn may not add or remove. Returns fn's first non-zero. -EUCLEAN for a chain that
 * breaks the invariants or is longer than limit. */
int rmap_each(uint64_t head, uint64_t limit, int (*fn)(void *arg, uint64_t *sptep), void *arg);
/* Fill head, kind, desc and n_desc of *out (sptes are the caller's); -ENOMEM. */
int rmap_describe(uint64_t head, struct rmap_info *out, struct err *e) MUST_USE;

#endif
