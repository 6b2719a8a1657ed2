/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Standing still inside a fault on the soft backend. While faults are caught the runner (core/run/run.h) executes the guest;
 * each stage that the shadow MMU tells of stands still in run_park() before it takes effect, and the debugger looks around
 * meanwhile.
 *
 * Going on by a continue finishes the fault without further stops; a step gives the fault up (nothing of the stage at hand
 * has happened yet) and takes the instruction again with nobody watching.
 */
#include "core/soft/fault.h"

#include <errno.h>
#include <stdio.h>

#include "core/machine/fault_log.h"
#include "core/soft/exec.h"
#include "core/soft/run.h"
#include "core/soft/soft_impl.h"

struct soft_faults {
	struct soft_machine *m;
	struct fault_filter filter[FAULT_FILTERS_MAX];
	size_t n_filters;
	bool armed;
	bool quiet; /* this run is not watched */
	/* the fault at hand */
	struct soft_cpu *cpu;
	uint64_t of_cpu; /* its number on that vCPU */
	bool matches, passing;
	bool target_known; /* the page that this fault is about */
	uint64_t target;
	struct fault_log log;
};

static void note(struct soft_faults *f, const struct soft_cpu *c, const struct shadow_stage *st, bool live)
{
	struct fault_stage *s = fault_log_add(&f->log, c->index, st->stage, live);

	s->gfn = st->gfn;
	s->gfn_known = st->gfn_known;
	s->level = st->level;
	memcpy(s->detail, st->detail, sizeof(s->detail));
}

/* ---- does a fault concern us? */

static bool in_range(const struct fault_filter *f, uint64_t x)
{
	return x >= f->first && x <= f->last;
}

/* By gfn: the page that the access comes to, or a table that its walk reads. */
static bool filter_matches(struct soft_faults *f, const struct fault_filter *filter, const struct walk *w, uint64_t gva)
{
	if (filter->all)
		return true;
	if (filter->gva)
		return in_range(filter, gva);
	for (unsigned i = 0; i < w->n; i++)
		if (in_range(filter, w->step[i].gpa >> PAGE_SHIFT)) {
			f->target = w->step[i].gpa >> PAGE_SHIFT; /* what was asked for is this table */
			return f->target_known = true;
		}
	return f->target_known && in_range(filter, f->target);
}

/* Looked up without side effects. */
static bool fault_matches(struct soft_faults *f, struct soft_cpu *c, const struct shadow_stage *st)
{
	struct paging_mem mem;
	struct walk w;

	soft_mem_init(c, &mem);
	mem.update = NULL;
	paging_walk(&c->pg, &mem, st->gva, st->access, false, &w);
	f->target_known = !w.fault.present;
	f->target = w.gpa >> PAGE_SHIFT;
	for (size_t i = 0; i < f->n_filters; i++)
		if (filter_matches(f, &f->filter[i], &w, st->gva))
			return true;
	return false;
}

/* ---- the guest's thread */

static enum run_release park(struct soft_faults *f, struct soft_cpu *c, const struct shadow_stage *st)
{
	struct stop stop = {.reason = STOP_FAULT_STAGE,
			    .vcpu = c->index,
			    .rip = c->rip,
			    .stage = st->stage,
			    .fault = f->log.fault,
			    .has_fault_gfn = f->target_known,
			    .fault_gfn = f->target,
			    .gva = st->gva,
			    .gpa = st->gfn << PAGE_SHIFT,
			    .write = st->access & ACCESS_WRITE,
			    .slot = -1};
	snprintf(stop.note, sizeof(stop.note), "%s", st->detail);
	struct slot *s = st->gfn_known ? slot_lookup(&f->m->m.slots, st->gfn << PAGE_SHIFT, c->r.smm, NULL) : NULL;
	if (s)
		stop.slot = (int)s->id;
	/* The lock of carry_out() in run.c: handed over while it stands still, as the tables are whole and the debugger may
	 * walk them. */
	walk_lock_give(&f->m->walk);
	enum run_release how = run_park(&f->m->m.run, &stop);
	walk_lock_take(&f->m->walk);
	return how;
}

static int on_stage(void *ctx, const struct shadow_stage *st)
{
	struct soft_cpu *c = ctx;
	struct soft_faults *f = c->m->faults;

	if (f->quiet)
		return 0;
	if (f->cpu != c || f->of_cpu != st->fault) {
		f->cpu = c;
		f->of_cpu = st->fault;
		f->passing = false;
		f->matches = fault_matches(f, c, st);
		if (f->matches)
			fault_log_next(&f->log);
	}
	if (!f->matches)
		return 0;
	note(f, c, st, !f->passing);
	if (f->passing)
		return 0;
	enum run_release how = park(f, c, st);
	f->passing = how == RUN_RELEASE_FAULT;
	return how == RUN_RELEASE_ABANDON;
}

/* ---- around a run */

bool soft_may_park(void *ctx, const struct run_job *job)
{
	const struct soft_faults *f = soft_of(ctx)->faults;

	return f && f->armed && !job->quiet && job->kind != RUN_REPLAY;
}

bool soft_park_near(void *ctx)
{
	(void)ctx;
	return true; /* one of the two threads always waits for the other */
}

void soft_faults_run_begin(struct soft_machine *m, const struct run_job *job)
{
	if (m->faults)
		m->faults->quiet = job->quiet;
}

int soft_fault_stages(struct machine *base, struct fault_stage_list *out, struct err *e)
{
	const struct soft_faults *f = soft_of(base)->faults;

	return fault_log_list(f ? &f->log : NULL, out, e);
}

/* ---- arming */

static int faults_create(struct soft_machine *m, struct err *e)
{
	struct soft_faults *f = calloc(1, sizeof(*f));
	int rc = f ? fault_log_init(&f->log, e) : err_nomem(e, "catch fault");

	if (rc) {
		free(f);
		return rc;
	}
	f->m = m;
	m->faults = f;
	return 0;
}

static void watch_stages(struct soft_machine *m, bool on)
{
	for (unsigned i = 0; i < m->m.vcpus; i++) {
		m->cpu[i]->shadow.stage = on ? on_stage : NULL;
		m->cpu[i]->shadow.stage_ctx = m->cpu[i];
	}
}

void soft_faults_rearm(struct soft_machine *m)
{
	watch_stages(m, m->faults && m->faults->armed);
}

/* What is mapped already would not fault: its sptes go, and that is shown too. */
static void zap_armed(struct soft_faults *f, const struct fault_filter *filter)
{
	struct soft_machine *m = f->m;
	struct shadow_stage st = {.stage = STAGE_ZAP};
	uint64_t zapped = 0;

	if (filter->all || filter->gva) {
		shadow_zap_all(m->shadow);
		snprintf(st.detail, sizeof(st.detail), "every shadow page, so that the next access faults");
		note(f, m->cpu[0], &st, false);
		return;
	}
	for (size_t i = 0; i < m->m.slots.n; i++) {
		struct slot *s = m->m.slots.by_gfn[i];
		uint64_t first = s->gpa >> PAGE_SHIFT, last = first + (s->size >> PAGE_SHIFT) - 1;
		first = first > filter->first ? first : filter->first;
		last = last < filter->last ? last : filter->last;
		for (uint64_t gfn = first; gfn <= last && first <= last; gfn++)
			zapped += shadow_zap_gfn(m->shadow, s, gfn);
	}
	st.gfn = filter->first;
	st.gfn_known = true;
	snprintf(st.detail, sizeof(st.detail), "%llu spte%s of the armed pages, so that the next access faults",
		 (unsigned long long)zapped, zapped == 1 ? "" : "s");
	note(f, m->cpu[0], &st, false);
}

/* Is there memory of a slot that a filter is about? */
static bool any_memory(const struct slot_table *t, const struct fault_filter *f)
{
	for (size_t i = 0; i < t->n; i++) {
		uint64_t first = t->by_gfn[i]->gpa >> PAGE_SHIFT, last = first + (t->by_gfn[i]->size >> PAGE_SHIFT) - 1;

		if (first <= f->last && last >= f->first)
			return true;
	}
	return f->all || f->gva;
}

int soft_fault_catch(struct machine *base, const struct fault_filter *v, size_t n, struct err *e)
{
	struct soft_machine *m = soft_of(base);

	for (size_t i = 0; i < n; i++)
		if (!any_memory(&m->m.slots, &v[i]))
			return err_set(e, -EFAULT,
				       "catch fault %#llx" WHY "no slot of plain memory is there" TRY "info slots",
				       (unsigned long long)v[i].first);
	if (!m->faults) {
		int rc = n ? faults_create(m, e) : 0;
		if (rc || !n)
			return rc;
	}
	m->faults->armed = n;
	watch_stages(m, n);
	m->faults->n_filters = n;
	for (size_t i = 0; i < n; i++) {
		m->faults->filter[i] = v[i];
		zap_armed(m->faults, &v[i]);
	}
	return 0;
}

void soft_faults_destroy(struct soft_machine *m)
{
	struct soft_faults *f = m->faults;

	if (!f)
		return;
	fault_log_deinit(&f->log);
	free(f);
	m->faults = NULL;
}
