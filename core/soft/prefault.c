/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Mapping ahead on the soft machine. Its shadow tables are by gva, so that what leads to a gpa is looked for in the guest's
 * tables: each page of the range that they map gets its sptes, as if it had been read. Nothing of the guest's changes: an
 * entry whose A bit is clear is left out, as KVM leaves it out where it fetches entries ahead, because behind an spte nobody
 * would set it.
 */
#include "core/soft/prefault.h"

#include <errno.h>

#include "core/soft/soft_impl.h"

struct ahead {
	struct soft_machine *m;
	struct soft_cpu *c;
	struct paging_mem mem;
	uint64_t gpa, size;
	struct prefault *out;
	int (*poll)(void *unused);
	struct err *e;
};

static int table_stays(void *ctx, uint64_t gpa, unsigned size, uint64_t old, uint64_t new_entry)
{
	(void)ctx, (void)gpa, (void)size, (void)old, (void)new_entry;
	return 0;
}

static int map_one(struct ahead *a, uint64_t gva, bool user)
{
	struct shadow_vcpu *v = &a->c->shadow;
	shadow_stage_fn *stage = v->stage;
	uint64_t faults = v->faults;
	struct shadow_result r;

	/* No fault of the guest's. */
	v->stage = NULL;
	int rc = shadow_access(a->m->shadow, v, &a->c->pg, &a->mem, gva, ACCESS_READ | (user ? ACCESS_USER : 0), a->c->r.smm,
			       false, &r, a->e);
	v->stage = stage;
	v->faults = faults;
	if (!rc && r.kind == SHADOW_MAPPED)
		a->out->mapped++;
	return rc;
}

/* Pages of 4 KiB of a mapping that lie in the range. */
static int map_part(void *arg, const struct guest_mapping *g)
{
	struct ahead *a = arg;
	uint64_t first = g->gpa > a->gpa ? g->gpa : a->gpa;
	uint64_t end = g->gpa + g->page_size < a->gpa + a->size ? g->gpa + g->page_size : a->gpa + a->size;
	bool user = g->rights & ACCESS_USER;

	/* What an emulated kernel's CPL 0 touches has no sptes. */
	if (first >= end || (a->m->emulated_kernel && !user))
		return 0;
	if (!g->accessed) {
		a->out->not_accessed += (end - first) >> PAGE_SHIFT;
		return 0;
	}
	for (uint64_t at = first; at < end; at += PAGE_SIZE_4K) {
		int rc = map_one(a, g->gva + (at - g->gpa), user);

		if (rc)
			return rc;
	}
	return a->poll ? a->poll(NULL) : 0;
}

static int poll_range(void *arg)
{
	const struct ahead *a = arg;

	return a->poll ? a->poll(NULL) : 0;
}

static int without_paging(struct ahead *a)
{
	const struct guest_mapping all = {.gva = a->gpa,
					  .gpa = a->gpa,
					  .page_size = a->size,
					  .rights = ACCESS_WRITE | ACCESS_FETCH | ACCESS_USER,
					  .accessed = true};

	return a->gpa >> 32 ? 0 : map_part(a, &all);
}

int soft_prefault(struct machine *base, unsigned vcpu, const struct slot *s, uint64_t gpa, uint64_t size,
		  int (*poll)(void *unused), struct prefault *out, struct err *e)
{
	struct soft_machine *m = soft_of(base);
	struct ahead a = {.m = m, .c = m->cpu[vcpu], .gpa = gpa, .size = size, .out = out, .poll = poll, .e = e};
	const struct paging_listing l = {.last = ~0ull, .page = map_part, .arg = &a, .poll = poll_range, .follow = true};

	soft_mem_init(a.c, &a.mem);
	a.mem.update = table_stays;
	out->by_tables = true;
	out->bytes = size;
	int rc = a.c->pg.mode == PAGING_NONE ? without_paging(&a) : paging_list(&a.c->pg, &a.mem, &l);
	if (rc == -EINTR && e && !e->code)
		err_set(e, rc, "slot prefault %u" WHY "interrupted; what is mapped stays so" TRY "it again", s->id);
	else if (rc == -ENODATA)
		err_set(e, rc, "slot prefault %u" WHY "a table of the guest's cannot be read now" TRY "info slots", s->id);
	return rc;
}
