/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Stopping after KVM has zapped, unsynced, synced or set something for a gfn: tracepoints of the vCPUs' threads.
 *
 * A tracepoint cannot stop a vCPU where it stands. The kernel filters by gfn, so that nothing is recorded, and nothing costs
 * anything, but for what is asked for; what is recorded sends SIGIO to the very thread that made it. KVM looks for signals
 * before it enters a guest, so KVM_RUN comes back before the guest executes anything more: the fault or the exit at hand is
 * finished, and that is how late the stop is. The records in the ring by then are reported in order.
 */
#include "kvmback/trace/mmucatch.h"

#include "core/base/lock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/machine/check.h"
#include "core/machine/mmu_events.h"
#include "kvmback/kernel/kview.h"
#include "kvmback/vcpu/vcpu.h"
#include "kvmback/trace/trace.h"

struct kvm_mmu {
	struct mmu_filter filter[MMU_FILTERS_MAX];
	size_t n_filters;
	enum stage stages[5];
	size_t n_stages;
	struct trace *trace; /* NULL: nothing is caught now */
	struct recorded *ring[KVM_MAX_VCPUS_HERE];
	pid_t tid[KVM_MAX_VCPUS_HERE]; /* whose that ring is */
	struct lock lock;	       /* of events */
	struct mmu_events events;
};

/* ---- reading the rings */

/* What is told of the MMU, as stages. */
static const struct {
	enum mmu_kind kind;
	enum stage stage;
} told_stages[] = {{MMU_ZAP, STAGE_ZAP},
		   {MMU_UNSYNC, STAGE_UNSYNC},
		   {MMU_SYNC, STAGE_SYNC},
		   {MMU_SPTE, STAGE_SPTE},
		   {MMU_TDP, STAGE_TDP_SPTE}};

static enum mmu_kind kind_of(enum stage stage)
{
	for (size_t i = 0; i < ARRAY_LEN(told_stages); i++)
		if (told_stages[i].stage == stage)
			return told_stages[i].kind;
	return 0;
}

struct ring_reader {
	struct kvm_mmu *k;
	unsigned vcpu;
};

/* The kernel filtered by the hull of all kinds; which kind wants which gfn is decided here. */
static void on_event(void *arg, const struct trace_event *t)
{
	const struct ring_reader *w = arg;
	struct mmu_event ev = {.kind = kind_of(t->stage),
			       .vcpu = w->vcpu,
			       .gfn = t->gfn,
			       .level = t->level,
			       .role = t->role,
			       .spte = t->spte,
			       .sptep = t->sptep,
			       .old_spte = t->old_spte,
			       .as = t->as,
			       .time = t->time};

	if (ev.kind && mmu_filter_matches(w->k->filter, w->k->n_filters, &ev))
		mmu_events_add(&w->k->events, &ev);
}

static void read_ring(struct kvcpu *v)
{
	struct kvm_mmu *k = v->vm->mmu;
	struct ring_reader w = {k, v->index};

	LOCK_SCOPE(&k->lock);
	trace_read_ring(k->trace, k->ring[v->index], on_event, &w);
}

/* With lock held: the first event of this vCPU's that no stop has reported. late: or of one that will not run to report it.
 */
static const struct mmu_event *first_pending(const struct kvm_mmu *k, const struct kvcpu *v, bool late)
{
	const struct mmu_events *l = &k->events;

	lock_assert_held(&k->lock);
	for (size_t i = 0; i < l->n && !l->reported; i++)
		if (l->v[i].vcpu == v->index || (late && !vcpu_may_run(&v->vm->vcpu[l->v[i].vcpu])))
			return &l->v[i];
	return NULL;
}

bool mmu_pending(struct kvm_vm *vm)
{
	struct kvm_mmu *k = vm->mmu;

	if (!k)
		return false;
	LOCK_SCOPE(&k->lock);
	return mmu_events_pending(&k->events);
}

/* ---- around KVM_RUN */

static void attach(struct kvcpu *v)
{
	struct kvm_mmu *k = v->vm->mmu;
	pid_t tid = gettid();

	if (k->tid[v->index] == tid)
		return;
	k->ring[v->index] = trace_ring(k->trace, tid, NULL);
	k->tid[v->index] = tid;
}

void mmu_job_begin(struct kvcpu *v)
{
	struct kvm_mmu *k = v->vm->mmu;

	if (!k->trace)
		return;
	attach(v);
	if (k->ring[v->index])
		trace_read_ring(k->trace, k->ring[v->index], NULL, NULL);
}

void mmu_job_end(struct kvcpu *v)
{
	struct kvm_mmu *k = v->vm->mmu;

	if (k->trace && k->ring[v->index] && trace_news(k->ring[v->index]))
		read_ring(v);
}

static bool copy_first(const struct kvcpu *v, bool late, struct mmu_event *out)
{
	struct kvm_mmu *k = v->vm->mmu;

	LOCK_SCOPE(&k->lock);
	const struct mmu_event *first = first_pending(k, v, late);

	if (first)
		*out = *first;
	return first;
}

/* False if this vCPU has an event to report: it stops with that. Another's is reported by that one, which brings this one
 * out.
 */
static bool report_first(struct kvcpu *v, bool late)
{
	struct mmu_event ev;

	if (!copy_first(v, late, &ev))
		return true;
	if (!io_finish(v))
		return false;
	v->control->stop.mmu = ev;
	return vcpu_stop(v, STOP_MMU);
}

bool mmu_look(struct kvcpu *v)
{
	struct kvm_mmu *k = v->vm->mmu;
	struct stop *s = &v->control->stop;

	if (k->trace && k->ring[v->index] && trace_news(k->ring[v->index]))
		read_ring(v);
	if (report_first(v, false))
		return true;
	if (s->reason == STOP_MMU)
		snprintf(
		    s->note, sizeof(s->note),
		    "a tracepoint cannot stop a vCPU: a signal fetched it out of KVM_RUN %llu us later, before the guest "
		    "executed anything more",
		    (unsigned long long)((clock_now_ns() - s->mmu.time) / 1000));
	return false;
}

void mmu_tell_late(struct kvcpu *v)
{
	struct stop *s = &v->control->stop;

	if (!report_first(v, true) && s->reason == STOP_MMU)
		snprintf(s->note, sizeof(s->note), "it happened before the last stop, which was told first");
}

/* ---- from the debugger's thread */

void mmu_run_begin(struct kvm_vm *vm)
{
	struct kvm_mmu *k = vm->mmu;

	if (k)
		mmu_events_resume(&k->events);
}

void mmu_run_end(struct kvm_vm *vm, const struct stop *s)
{
	if (vm->mmu && s->reason == STOP_MMU)
		mmu_events_report(&vm->mmu->events);
}

static int by_time(const void *a, const void *b)
{
	const struct mmu_event *x = a, *y = b;

	return x->time < y->time ? -1 : x->time > y->time;
}

int kvm_mmu_events(struct machine *m, struct mmu_event_list *out, struct err *e)
{
	static const struct mmu_events none;
	const struct kvm_mmu *k = kvm_of(m)->mmu;
	int rc = mmu_events_list(k ? &k->events : &none, out, e);

	if (rc || !out->n)
		return rc;
	/* One thread's events are in order already; equal times must keep it. */
	if (m->vcpus > 1)
		qsort(out->v, out->n, sizeof(*out->v), by_time);
	out->lost += k->trace ? trace_lost(k->trace) : 0;
	return 0;
}

/* ---- catching */

static void forget(struct kvm_mmu *k)
{
	trace_close(k->trace);
	k->trace = NULL;
	memset(k->ring, 0, sizeof(k->ring));
	memset(k->tid, 0, sizeof(k->tid));
	k->n_stages = k->n_filters = 0;
	mmu_events_clear(&k->events);
}

static struct kvm_mmu *mmu_create(struct kvm_vm *vm, struct err *e)
{
	struct kvm_mmu *k = calloc(1, sizeof(*k));

	if (!k) {
		(void)err_nomem(e, "catch mmu");
		return NULL;
	}
	lock_init(&k->lock, LOCK_MMU_EVENTS);
	vm->mmu = k;
	return k;
}

static int open_trace(struct kvm_mmu *k, struct err *e)
{
	char filter[MMU_FILTERS_MAX * 64], *at = filter;
	uint32_t kinds = 0;
	bool all = false;
	int why;

	for (size_t i = 0; i < k->n_filters; i++) {
		const struct mmu_filter *f = &k->filter[i];
		kinds |= f->kinds;
		all |= !f->first && f->last == ~0ull;
		at += sprintf(at, "%s(gfn >= %#llx && gfn <= %#llx)", i ? " || " : "", (unsigned long long)f->first,
			      (unsigned long long)f->last);
	}
	for (size_t i = 0; i < ARRAY_LEN(told_stages); i++)
		if (kinds & told_stages[i].kind)
			k->stages[k->n_stages++] = told_stages[i].stage;
	int rc = trace_open_some(&k->trace, k->stages, k->n_stages, all ? NULL : filter, true, e);
	if (rc)
		k->trace = NULL;
	else
		rc = trace_may_record(k->trace, e);
	if (rc)
		err_prefix(e, "catch mmu: ");
	if (rc || trace_ring(k->trace, gettid(), &why))
		return rc;
	return err_errno(e, why, "catch mmu" WHY "the ring of KVM's tracepoints" TRY "a larger kernel.perf_event_mlock_kb");
}

/* A two-dimensional MMU has no shadow pages of guest tables that could be zapped, unsynced or synced (with tdp_mmu off it
 * has pages of its own that can); only the TDP MMU tells of its entries. */
uint32_t kvm_mmu_kinds(struct kvm_vm *vm)
{
	if (kvm_view_tdp_mmu(vm, kvm_host_tdp()))
		return MMU_SPTE | MMU_TDP;
	return kvm_view_tdp(vm, kvm_host_tdp()) ? MMU_SPTE | MMU_ZAP : MMU_ALL & ~MMU_TDP;
}

static int check_kinds(struct kvm_vm *vm, const struct mmu_filter *v, size_t n, struct err *e)
{
	uint32_t possible = kvm_mmu_kinds(vm);

	for (size_t i = 0; i < n; i++) {
		if (v[i].kinds & possible)
			continue;
		if (v[i].kinds == MMU_TDP)
			return err_set(
			    e, -ENOTSUP, "catch mmu tdp" WHY "guests have no TDP MMU here, but %s" TRY "catch mmu spte",
			    possible & MMU_SYNC ? "shadow tables" : "TDP's tables of shadow pages (tdp_mmu is off)");
		return err_set(e, -ENOTSUP,
			       "catch mmu" WHY
			       "this host uses EPT or NPT: no guest table is shadowed, so none is zapped or unsynced" TRY
			       "catch mmu spte%s, or -b soft",
			       possible & MMU_TDP ? " or tdp" : "");
	}
	return 0;
}

int kvm_mmu_catch_check(struct kvm_vm *vm, struct err *e)
{
	const enum stage stages[] = {STAGE_SPTE};
	struct trace *t = NULL;
	int rc = machine_check_caps(&vm->m, machine_call_row(CALL_mmu_catch)->needs, "catch mmu", e);

	if (!rc)
		rc = trace_open_some(&t, stages, 1, NULL, true, e);
	if (!rc) {
		rc = trace_may_record(t, e);
		trace_close(t);
	}
	return rc;
}

int kvm_mmu_catch(struct machine *m, const struct mmu_filter *v, size_t n, struct err *e)
{
	struct kvm_vm *vm = kvm_of(m);
	struct kvm_mmu *k = vm->mmu;
	int rc;

	if (!k && !n)
		return 0;
	rc = check_kinds(vm, v, n, e);
	if (rc)
		return rc;
	if (!k)
		k = mmu_create(vm, e);
	if (!k)
		return -ENOMEM;
	forget(k);
	if (!n)
		return 0;
	memcpy(k->filter, v, n * sizeof(*v));
	k->n_filters = n;
	rc = open_trace(k, e);
	if (rc) {
		forget(k);
		return rc;
	}
	/* A vCPU that stands inside a fault is recorded from now on, not from its next job. */
	for (unsigned i = 0; vm->rs && i < m->vcpus; i++) {
		pid_t tid = vm->vcpu[i].control->tid;
		if (tid && vcpu_busy(&vm->vcpu[i])) {
			k->ring[i] = trace_ring(k->trace, tid, NULL);
			k->tid[i] = tid;
		}
	}
	return 0;
}

void kvm_mmu_destroy(struct kvm_vm *vm)
{
	struct kvm_mmu *k = vm->mmu;

	if (!k)
		return;
	forget(k);
	mmu_events_deinit(&k->events);
	lock_destroy(&k->lock);
	free(k);
	vm->mmu = NULL;
}
