/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Rings of dirty pages on the soft machine. A push happens in the middle of an instruction, with an spte half made, so that
 * a full ring is dealt with behind it: KVM as well leaves the guest on its next way in, and keeps some entries for what
 * comes until then.
 */
#include "core/soft/rings.h"

struct soft_ring {
	struct dirty_ring ring;
	struct dirty_source source;
};

struct soft_rings {
	struct soft_machine *m;
	struct soft_cpu *running;
	bool full, by_spte;
	unsigned n;
	struct soft_ring v[];
};

int soft_rings_create(struct soft_machine *m, unsigned vcpus, unsigned entries, struct err *e)
{
	struct soft_rings *r = calloc(1, sizeof(*r) + vcpus * sizeof(r->v[0]));

	m->rings = r;
	if (!r)
		return err_nomem(e, "create a soft VM");
	r->m = m;
	r->n = vcpus;
	for (unsigned i = 0; i < vcpus; i++) {
		r->v[i].ring.v = calloc(entries, sizeof(struct dirty_gfn));
		r->v[i].ring.size = entries;
		if (!r->v[i].ring.v)
			return err_nomem(e, "create a soft VM");
	}
	return 0;
}

void soft_rings_destroy(struct soft_machine *m)
{
	for (unsigned i = 0; m->rings && i < m->rings->n; i++)
		free(m->rings->v[i].ring.v);
	free(m->rings);
}

/* ---- the producer */

static void push(void *ctx, const struct slot *s, uint64_t page, bool smm)
{
	struct soft_rings *r = ctx;
	struct soft_ring *to = r->running ? &r->v[r->running->index] : NULL;

	if (!to || r->by_spte)
		return;
	if (!dirty_ring_push(&to->ring, &to->source, s->id | (uint32_t)smm << 16, page))
		r->m->m.rings.lost++;
	if (!dirty_ring_soft_full(&to->ring, &to->source))
		return;
	r->full = true;
	r->running->stop_soon = true;
}

void soft_rings_log(struct soft_machine *m, struct slot *s)
{
	if (!m->rings)
		return;
	s->dirtied = push;
	s->dirtied_ctx = m->rings;
}

void soft_rings_run(struct soft_machine *m, struct soft_cpu *c)
{
	if (m->rings)
		m->rings->running = c;
}

void soft_rings_by_spte(struct soft_machine *m, bool on)
{
	if (m->rings)
		m->rings->by_spte = on;
}

static void protect(void *ctx, uint32_t number, uint64_t offset)
{
	struct soft_machine *m = ctx;
	struct slot *s = slot_by_id(&m->m.slots, number & 0xffff);

	if (!s || offset >= s->size >> PAGE_SHIFT || !(s->flags & SLOT_LOG_DIRTY))
		return;
	if (shadow_write_protect_gfn(m->shadow, s, (s->gpa >> PAGE_SHIFT) + offset))
		for (unsigned i = 0; i < m->m.vcpus; i++)
			soft_tlb_flush(m->cpu[i]);
}

/* ---- the consumer */

struct reading {
	struct soft_machine *m;
	unsigned vcpu;
};

static void read_entry(void *ctx, uint64_t n, const struct dirty_gfn *g)
{
	const struct reading *r = ctx;

	machine_ring_entry(&r->m->m, r->vcpu, n, g, g->slot >> 16);
}

/* Marking a page that was read is no write. */
void soft_rings_read(struct soft_machine *m)
{
	struct soft_rings *r = m->rings;
	LOCK_SCOPE(&m->m.rings.lock);
	struct soft_cpu *running = r->running;

	r->running = NULL;
	for (unsigned i = 0; i < r->n; i++) {
		struct reading to = {m, i};

		dirty_ring_read(&r->v[i].ring, read_entry, &to);
	}
	r->running = running;
}

void soft_rings_give_back(struct soft_machine *m)
{
	struct soft_rings *r = m->rings;
	LOCK_SCOPE(&m->m.rings.lock);

	for (unsigned i = 0; i < r->n; i++) {
		dirty_ring_give_back(&r->v[i].ring);
		m->m.rings.given[i] = r->v[i].ring.given;
		dirty_ring_take(&r->v[i].ring, &r->v[i].source, protect, m);
	}
}

void soft_rings_full(struct soft_machine *m)
{
	if (!m->rings || !m->rings->full)
		return;
	m->rings->full = false;
	m->m.rings.full++;
	soft_rings_read(m);
	soft_rings_give_back(m);
}
