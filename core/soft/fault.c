/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Standing still inside a fault on the soft backend. While faults are caught the guest runs on a thread of its own; each
 * stage that core/soft/mmu/shadow_fault.c tells of parks that thread before the stage takes effect, and the debugger looks
 * around meanwhile. Only one of the two threads ever runs, so nothing else needs a lock but what a third thread may ask for.
 *
 * Going on by a continue finishes the fault without further stops; a step gives the fault up (nothing of the stage at hand
 * has happened yet) and takes the instruction again with nobody watching.
 */
#include "core/soft/fault.h"

#include <errno.h>
#include <stdio.h>

#include "core/base/lock.h"
#include "core/machine/fault_log.h"
#include "core/soft/exec.h"
#include "core/soft/run.h"
#include "core/soft/soft_impl.h"

enum state { IDLE, GOING, PARKED, DONE };

struct soft_faults {
	struct soft_machine *m;
	struct fault_filter filter;
	bool armed, quiet; /* quiet: this run is not watched */
	struct lock lock;
	pthread_cond_t changed;
	pthread_t thread;
	enum state state;
	/* the run under way on the thread */
	struct run_job job;
	struct stop stop;
	/* the fault at hand */
	struct soft_cpu *cpu;
	uint64_t of_cpu; /* its number on that vCPU */
	bool matches, passing, abandon;
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

/* By gfn: the page that the access comes to, or a table that its walk reads; looked up without side effects. */
static bool fault_matches(struct soft_faults *f, struct soft_cpu *c, const struct shadow_stage *st)
{
	struct paging_mem mem;
	struct walk w;

	soft_mem_init(c, &mem);
	mem.update = NULL;
	paging_walk(&c->pg, &mem, st->gva, st->access, false, &w);
	f->target_known = !w.fault.present;
	f->target = w.gpa >> PAGE_SHIFT;
	if (f->filter.all)
		return true;
	if (f->filter.gva)
		return in_range(&f->filter, st->gva);
	for (unsigned i = 0; i < w.n; i++)
		if (in_range(&f->filter, w.step[i].gpa >> PAGE_SHIFT)) {
			f->target = w.step[i].gpa >> PAGE_SHIFT; /* what was asked for is this table */
			return f->target_known = true;
		}
	return f->target_known && in_range(&f->filter, f->target);
}

/* ---- the guest's thread */

static void wait_parked(struct soft_faults *f)
{
	LOCK_SCOPE(&f->lock);
	f->state = PARKED;
	pthread_cond_broadcast(&f->changed);
	while (f->state == PARKED)
		lock_wait(&f->changed, &f->lock);
}

static void park(struct soft_faults *f, struct soft_cpu *c, const struct shadow_stage *st)
{
	f->stop = (struct stop){.reason = STOP_FAULT_STAGE,
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
	snprintf(f->stop.note, sizeof(f->stop.note), "%s", st->detail);
	struct slot *s = st->gfn_known ? slot_lookup(&f->m->m.slots, st->gfn << PAGE_SHIFT, c->r.smm, NULL) : NULL;
	if (s)
		f->stop.slot = (int)s->id;
	/* Of soft_run_here(): handed over while parked, as the tables are whole and the debugger may want to walk them. */
	walk_lock_give(&f->m->walk);
	wait_parked(f);
	walk_lock_take(&f->m->walk);
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
	if (!f->passing)
		park(f, c, st);
	return f->abandon;
}

static void *guest(void *arg)
{
	struct soft_faults *f = arg;
	struct stop stop = {.slot = -1};

	soft_run_here(f->m, &f->job, &stop);
	LOCK_SCOPE(&f->lock);
	f->stop = stop;
	f->state = DONE;
	pthread_cond_broadcast(&f->changed);
	return NULL;
}

/* ---- the debugger's side */

static enum state wait_while_going(struct soft_faults *f)
{
	LOCK_SCOPE(&f->lock);
	while (f->state == GOING)
		lock_wait(&f->changed, &f->lock);
	return f->state;
}

/* Until the guest parks or is done; when done its thread is gone. */
static void wait_for_guest(struct soft_faults *f)
{
	if (wait_while_going(f) == DONE) {
		pthread_join(f->thread, NULL);
		f->state = IDLE;
	}
}

static void unpark(struct soft_faults *f)
{
	LOCK_SCOPE(&f->lock);
	f->state = GOING;
	pthread_cond_broadcast(&f->changed);
}

static void release(struct soft_faults *f)
{
	unpark(f);
	wait_for_guest(f);
}

static int start(struct soft_faults *f, const struct run_job *job, struct err *e)
{
	int rc;

	f->job = *job;
	f->state = GOING;
	rc = pthread_create(&f->thread, NULL, guest, f);
	if (rc) {
		f->state = IDLE;
		return err_errno(e, rc,
				 "run" WHY "a thread for the guest cannot be made" TRY "catch fault off, or free resources");
	}
	wait_for_guest(f);
	return 0;
}

/* Nothing of the stage at hand has happened: the instruction is as before it began. */
static void give_up(struct soft_faults *f)
{
	f->abandon = true;
	atomic_store(&f->m->interrupted, true);
	release(f);
	f->abandon = false;
	atomic_store(&f->m->interrupted, false);
}

bool soft_faults_take_run(struct soft_machine *m)
{
	return m->faults && (m->faults->armed || m->faults->state == PARKED);
}

int soft_faults_run(struct soft_machine *m, struct run_job *job, struct stop *out, struct err *e)
{
	struct soft_faults *f = m->faults;
	int rc;

	if (f->state == PARKED && job->kind == RUN_STEP) {
		give_up(f);
		f->quiet = true;
		soft_run_here(m, job, out);
		f->quiet = false;
		return 0;
	}
	if (f->state == PARKED) {
		f->passing = true;
		release(f);
		/* What was under way was a step: it is done, and going on is what was asked for. */
		if (f->state == IDLE && f->stop.reason == STOP_STEP) {
			rc = start(f, job, e);
			if (rc)
				return rc;
		}
	} else {
		rc = start(f, job, e);
		if (rc)
			return rc;
	}
	*out = f->stop;
	return 0;
}

int soft_fault_step(struct machine *base, struct stop *out, struct err *e)
{
	struct soft_machine *m = soft_of(base);
	struct soft_faults *f = m->faults;

	if (!f || !f->armed)
		return err_set(e, -EINVAL, "fault step" WHY "no faults are caught" TRY "catch fault");
	if (f->state != PARKED)
		return soft_faults_run(m, &(struct run_job){.kind = RUN_CONTINUE, .passed = RUN_PASSED_ALL}, out, e);
	release(f);
	*out = f->stop;
	return 0;
}

bool soft_parked(const struct machine *base, unsigned *vcpu)
{
	struct soft_faults *f = soft_of(base)->faults;

	if (!f)
		return false;
	LOCK_SCOPE(&f->lock);
	if (f->state != PARKED)
		return false;
	*vcpu = f->cpu->index;
	return true;
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
	lock_init(&f->lock, LOCK_SOFT_FAULTS);
	pthread_cond_init(&f->changed, NULL);
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
static void zap_armed(struct soft_faults *f)
{
	struct soft_machine *m = f->m;
	struct shadow_stage st = {.stage = STAGE_ZAP};
	uint64_t zapped = 0;

	if (f->filter.all || f->filter.gva) {
		shadow_zap_all(m->shadow);
		snprintf(st.detail, sizeof(st.detail), "every shadow page, so that the next access faults");
		note(f, m->cpu[0], &st, false);
		return;
	}
	for (size_t i = 0; i < m->m.slots.n; i++) {
		struct slot *s = m->m.slots.by_gfn[i];
		uint64_t first = s->gpa >> PAGE_SHIFT, last = first + (s->size >> PAGE_SHIFT) - 1;
		first = first > f->filter.first ? first : f->filter.first;
		last = last < f->filter.last ? last : f->filter.last;
		for (uint64_t gfn = first; gfn <= last && first <= last; gfn++)
			zapped += shadow_zap_gfn(m->shadow, s, gfn);
	}
	st.gfn = f->filter.first;
	st.gfn_known = true;
	snprintf(st.detail, sizeof(st.detail), "%llu spte%s of the armed pages, so that the next access faults",
		 (unsigned long long)zapped, zapped == 1 ? "" : "s");
	note(f, m->cpu[0], &st, false);
}

/* Is there memory of a slot that a filter by gfn is about? */
static bool any_memory(const struct slot_table *t, const struct fault_filter *f)
{
	for (size_t i = 0; i < t->n; i++) {
		uint64_t first = t->by_gfn[i]->gpa >> PAGE_SHIFT, last = first + (t->by_gfn[i]->size >> PAGE_SHIFT) - 1;

		if (first <= f->last && last >= f->first)
			return true;
	}
	return false;
}

int soft_fault_catch(struct machine *base, const struct fault_filter *filter, struct err *e)
{
	struct soft_machine *m = soft_of(base);

	if (filter && !filter->all && !filter->gva && !any_memory(&m->m.slots, filter))
		return err_set(e, -EFAULT, "catch fault %#llx" WHY "no slot of plain memory is there" TRY "info slots",
			       (unsigned long long)filter->first);
	if (!m->faults) {
		int rc = filter ? faults_create(m, e) : 0;
		if (rc || !filter)
			return rc;
	}
	if (m->faults->state == PARKED)
		give_up(m->faults);
	m->faults->armed = filter;
	watch_stages(m, filter);
	if (!filter)
		return 0;
	m->faults->filter = *filter;
	zap_armed(m->faults);
	return 0;
}

void soft_faults_destroy(struct soft_machine *m)
{
	struct soft_faults *f = m->faults;

	if (!f)
		return;
	if (f->state == PARKED)
		give_up(f);
	lock_destroy(&f->lock);
	pthread_cond_destroy(&f->changed);
	fault_log_deinit(&f->log);
	free(f);
	m->faults = NULL;
}
