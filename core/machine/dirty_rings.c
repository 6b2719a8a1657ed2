/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What was read of the vCPUs' rings of dirty pages: each entry marks its page in the slot's bitmap, so that `slot dirty` is
 * the same with rings and without, and is kept in its order until the slot's next clear, or until there are too many.
 */
#include "core/machine/check.h"

#include <string.h>

static void keep(struct dirty_rings *r, const struct dirty_entry *entry)
{
	if (r->n == r->cap && r->cap < DIRTY_ENTRIES_MAX) {
		size_t cap = r->cap ? r->cap * 2 : 256;
		struct dirty_entry *grown = realloc(r->v, cap * sizeof(*grown));

		if (grown) {
			r->v = grown;
			r->cap = cap;
		}
	}
	if (r->n < r->cap)
		r->v[r->n++] = *entry;
	else
		r->lost++;
}

void machine_ring_entry(struct machine *m, unsigned vcpu, uint64_t n, const struct dirty_gfn *g, bool smm)
{
	struct slot *s = slot_by_id(&m->slots, g->slot & 0xffff);
	struct dirty_entry entry = {
	    .vcpu = vcpu, .n = n, .slot = g->slot & 0xffff, .as = g->slot >> 16, .offset = g->offset};

	lock_assert_held(&m->rings.lock);
	/* One that is gone, or has become another of this number with fewer pages. */
	if (!s || g->offset >= s->size >> PAGE_SHIFT)
		return;
	entry.serial = s->serial;
	entry.gfn = (s->gpa >> PAGE_SHIFT) + g->offset;
	slot_mark_dirty(s, s->gpa + (g->offset << PAGE_SHIFT), PAGE_SIZE_4K, smm);
	keep(&m->rings, &entry);
}

void machine_rings_drop(struct machine *m, const struct slot *s)
{
	struct dirty_rings *r = &m->rings;
	size_t kept = 0;

	if (!r->entries)
		return;
	LOCK_SCOPE(&r->lock);
	for (size_t i = 0; s && i < r->n; i++)
		if (r->v[i].serial != s->serial)
			r->v[kept++] = r->v[i];
	r->n = kept;
	if (!kept)
		r->lost = r->full = 0;
}

static size_t count_of(const struct dirty_rings *r, const struct slot *s)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n; i++)
		n += r->v[i].serial == s->serial;
	return n;
}

int machine_ring_list(struct machine *m, const struct slot *s, struct dirty_entry_list *out, struct err *e)
{
	struct dirty_rings *r = &m->rings;
	struct dirty_entry_list l = {.entries = r->entries, .full = r->full, .lost = r->lost};
	LOCK_SCOPE(&r->lock);
	size_t n = count_of(r, s);

	l.v = calloc(n ? n : 1, sizeof(*l.v));
	if (!l.v)
		return err_nomem(e, "slot dirty -ring");
	for (size_t i = 0; i < r->n; i++) {
		if (r->v[i].serial != s->serial)
			continue;
		l.v[l.n] = r->v[i];
		l.v[l.n].given_back = r->v[i].n < r->given[r->v[i].vcpu];
		l.n++;
	}
	*out = l;
	return 0;
}
