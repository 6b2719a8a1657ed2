/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Catching what the shadow MMU does to its tables on the soft backend. The model tells of every zap, unsync, sync and spte;
 * what a filter asks for is listed, and the instruction that made it is the last one before the stop. What the debugger does
 * itself while the guest stands (slots, memory, arming) is not the guest's doing and not listed.
 */
#include "core/soft/mmucatch.h"

#include <errno.h>
#include <stdio.h>

#include "core/machine/mmu_events.h"
#include "core/soft/exec.h"
#include "core/soft/soft_impl.h"

struct soft_mmu {
	struct mmu_filter filter[MMU_FILTERS_MAX];
	size_t n_filters;
	struct mmu_events events;
	bool silent;
};

void soft_mmu_event(void *ctx, const struct mmu_event *what)
{
	struct soft_machine *m = ctx;
	struct soft_mmu *k = m->mmu;
	struct mmu_event ev = *what;

	if (!k || k->silent || !run_is_going(&m->m.run) || !mmu_filter_matches(k->filter, k->n_filters, what))
		return;
	struct soft_cpu *c = m->cpu[m->sched.turn];
	ev.vcpu = c->index;
	ev.time = m->sched.position;
	mmu_events_add(&k->events, &ev);
	c->stop_soon = true;
	block_cache_flush(c->blocks); /* the block under way ends behind this instruction */
}

bool soft_mmu_pending(const struct soft_machine *m)
{
	return m->mmu && mmu_events_pending(&m->mmu->events);
}

bool soft_mmu_stop(struct soft_cpu *c, struct stop *out)
{
	struct soft_mmu *k = c->m->mmu;

	if (!soft_mmu_pending(c->m))
		return false;
	mmu_events_report(&k->events);
	*out = (struct stop){.reason = STOP_MMU, .vcpu = c->index, .rip = c->rip, .mmu = k->events.v[0], .slot = -1};
	return true;
}

void soft_mmu_go(struct soft_machine *m)
{
	if (m->mmu)
		mmu_events_resume(&m->mmu->events);
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

	for (size_t i = 0; i < n; i++)
		if (v[i].kinds == MMU_TDP)
			return err_set(e, -ENOTSUP,
				       "catch mmu tdp" WHY "the soft CPU has shadow tables, no TDP MMU" TRY
				       "catch mmu spte");
	if (!m->mmu && !n)
		return 0;
	if (!m->mmu)
		m->mmu = calloc(1, sizeof(*m->mmu));
	if (!m->mmu)
		return err_nomem(e, "catch mmu");
	m->mmu->n_filters = n;
	if (n)
		memcpy(m->mmu->filter, v, n * sizeof(*v));
	mmu_events_clear(&m->mmu->events);
	return 0;
}

int soft_mmu_events(struct machine *base, struct mmu_event_list *out, struct err *e)
{
	static const struct mmu_events none;
	const struct soft_mmu *k = soft_of(base)->mmu;

	return mmu_events_list(k ? &k->events : &none, out, e);
}

void soft_mmu_destroy(struct soft_machine *m)
{
	if (m->mmu)
		mmu_events_deinit(&m->mmu->events);
	free(m->mmu);
	m->mmu = NULL;
}
