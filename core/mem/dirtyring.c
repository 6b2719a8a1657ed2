/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Rings of dirty pages. Both sides agree by an entry's flags alone: who changes them to what the other side waits for does
 * so last, and who looks at them looks first.
 */
#include "core/mem/dirtyring.h"

#include <errno.h>

int dirty_ring_check(uint64_t entries, struct err *e)
{
	uint64_t near = DIRTY_RING_MIN;

	if (entries >= DIRTY_RING_MIN && entries <= DIRTY_RING_MAX && !(entries & (entries - 1)))
		return 0;
	while (near < entries && near < DIRTY_RING_MAX)
		near *= 2;
	return err_set(e, -EINVAL,
		       "dirty ring of %llu entries" WHY "a ring has a power of two of them, from %u to %u" TRY "%llu",
		       (unsigned long long)entries, DIRTY_RING_MIN, DIRTY_RING_MAX, (unsigned long long)near);
}

static struct dirty_gfn *entry_of(const struct dirty_ring *r, uint64_t n)
{
	return &r->v[n & (r->size - 1)];
}

void dirty_ring_read(struct dirty_ring *r, void (*fn)(void *ctx, uint64_t n, const struct dirty_gfn *entry), void *ctx)
{
	/* All entries may be pushed and none given back: the next one is then one that was read before. */
	while (r->v && r->seen - r->given < r->size) {
		struct dirty_gfn *at = entry_of(r, r->seen);

		if (__atomic_load_n(&at->flags, __ATOMIC_ACQUIRE) != DIRTY_GFN_DIRTY)
			return;
		const struct dirty_gfn copy = {.flags = DIRTY_GFN_DIRTY, .slot = at->slot, .offset = at->offset};
		fn(ctx, r->seen++, &copy);
	}
}

uint64_t dirty_ring_give_back(struct dirty_ring *r)
{
	uint64_t n = r->seen - r->given;

	for (; r->given < r->seen; r->given++)
		__atomic_store_n(&entry_of(r, r->given)->flags, DIRTY_GFN_RESET, __ATOMIC_RELEASE);
	return n;
}

bool dirty_ring_push(struct dirty_ring *r, struct dirty_source *s, uint32_t slot, uint64_t offset)
{
	struct dirty_gfn *at = entry_of(r, s->pushed);

	if (s->pushed - s->taken >= r->size)
		return false;
	at->slot = slot;
	at->offset = offset;
	__atomic_store_n(&at->flags, DIRTY_GFN_DIRTY, __ATOMIC_RELEASE);
	s->pushed++;
	return true;
}

bool dirty_ring_soft_full(const struct dirty_ring *r, const struct dirty_source *s)
{
	return s->pushed - s->taken >= r->size - DIRTY_RING_RESERVED;
}

void dirty_ring_take(struct dirty_ring *r, struct dirty_source *s, void (*fn)(void *ctx, uint32_t slot, uint64_t offset),
		     void *ctx)
{
	while (s->taken < s->pushed) {
		struct dirty_gfn *at = entry_of(r, s->taken);

		if (__atomic_load_n(&at->flags, __ATOMIC_ACQUIRE) != DIRTY_GFN_RESET)
			return;
		at->flags = 0;
		s->taken++;
		fn(ctx, at->slot, at->offset);
	}
}
