/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Catching what the shadow MMU does to its tables on the soft backend. The model tells of every zap, unsync, sync and spte;
 * what a filter asks for is kept, and the instruction that made it is the last one before the stop. What the debugger does
 * itself while the guest stands (slots, memory, arming) is not the guest's doing and not told.
 */
#include "core/soft/mmucatch.h"

#include <errno.h>
#include <stdio.h>

#include "core/soft/exec.h"
#include "core/soft/soft_impl.h"

#define KEPT_MAX 4096

struct soft_mmu {
	struct mmu_filter filter[MMU_FILTERS_MAX];
	size_t n_filters;
	struct mmu_event *kept;
	size_t n, cap;
	uint64_t lost;
	bool told; /* a stop was about those kept: they go when the guest runs on */
	bool silent;
};

static void keep(struct soft_mmu *k, const struct mmu_event *ev)
{
	if (k->n == k->cap) {
		size_t cap = k->cap ? 2 * k->cap : 16;
		struct mmu_event *v = cap <= KEPT_MAX ? realloc(k->kept, cap * sizeof(*v)) : NULL;
		if (!v) {
			k->lost++;
			return;
		}
		k->kept = v;
		k->cap = cap;
	}
	k->kept[k->n++] = *ev;
}

void soft_mmu_event(void *ctx, const struct mmu_event *what)
{
	struct soft_machine *m = ctx;
	struct soft_mmu *k = m->mmu;
	struct mmu_event ev = *what;

	if (!k || k->silent || !m->m.running || !mmu_filter_matches(k->filter, k->n_filters, what))
		return;
	struct soft_cpu *c = m->cpu[m->sched.turn];
	ev.vcpu = c->index;
	ev.time = m->sched.position;
	keep(k, &ev);
	c->stop_soon = true;
	block_cache_flush(c->blocks); /* the block under way ends behind this instruction */
}

bool soft_mmu_pending(const struct soft_machine *m)
{
	return m->mmu && m->mmu->n && !m->mmu->told;
}

bool soft_mmu_stop(struct soft_cpu *c, struct stop *out)
{
	struct soft_mmu *k = c->m->mmu;

	if (!soft_mmu_pending(c->m))
		return false;
	k->told = true;
	*out = (struct stop){.reason = STOP_MMU, .vcpu = c->index, .rip = c->rip, .mmu = k->kept[0], .slot = -1};
	return true;
}

void soft_mmu_go(struct soft_machine *m)
{
	if (m->mmu && m->mmu->told) {
		m->mmu->n = 0;
		m->mmu->lost = 0;
		m->mmu->told = false;
	}
}

bool soft_mmu_silence(struct soft_machine *m, bool on)
{
	bool was = m->mmu && m->mmu->silent;

	if (m->mmu)
		m->mmu->silent = on;
	return was;
}

int soft_mmu_catch(struct machine *base, const struct mmu_filter *v, size_t n, struct err *e)
{
	struct soft_machine *m = soft_of(base);

	if (!m->mmu && !n)
		return 0;
	if (!m->mmu)
		m->mmu = calloc(1, sizeof(*m->mmu));
	if (!m->mmu)
		return err_nomem(e, "catch mmu");
	m->mmu->n_filters = n;
	if (n)
		memcpy(m->mmu->filter, v, n * sizeof(*v));
	m->mmu->n = 0;
	m->mmu->told = false;
	return 0;
}

int soft_mmu_events(struct machine *base, struct mmu_event_list *out, struct err *e)
{
	const struct soft_mmu *k = soft_of(base)->mmu;
	size_t n = k && k->told ? k->n : 0;
	struct mmu_event *v = n ? malloc(n * sizeof(*v)) : NULL;

	if (n && !v)
		return err_nomem(e, "catch mmu");
	if (n)
		memcpy(v, k->kept, n * sizeof(*v));
	*out = (struct mmu_event_list){.v = v, .n = n, .lost = n ? k->lost : 0};
	return 0;
}

void soft_mmu_destroy(struct soft_machine *m)
{
	if (m->mmu)
		free(m->mmu->kept);
	free(m->mmu);
	m->mmu = NULL;
}
