/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The generation-checked cache of a gfn's slot.
 */
#include "core/mem/gfncache.h"

struct slot *gfn_cache_slot(struct gfn_cache *c, struct slot_table *t, uint64_t gpa, bool smm)
{
	uint64_t gfn = gpa >> PAGE_SHIFT;
	struct slot *s;

	if (c->slot && c->gfn == gfn && c->generation == t->generation) {
		c->hits++;
		return c->slot;
	}
	c->misses++;
	s = slot_lookup(t, gpa, smm, NULL);
	if (!s || s->vis != SLOT_VIS_BOTH || (t->generation & SLOT_GENERATION_UPDATE))
		return s;
	c->slot = s;
	c->gfn = gfn;
	c->generation = t->generation;
	return s;
}
