/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Standing still inside a guest fault of the real kernel.
 *
 * An armed page is dropped from the guest's view of its memfd, which is registered with userfaultfd (minor mode); the
 * debugger's alias keeps it. The next access to it by KVM's fault handler (a table that the walk reads, then the page
 * itself) parks the vCPU's thread in the kernel until the debugger continues the page. Dropping zaps the sptes of the page
 * through the MMU notifier, which is why the access faults at all; a page that was continued is mapped again. So that each
 * fault is caught, not only the first of a page, faults are told by their walks if that can be (faultwalk.c).
 *
 * While anything is armed, runs are made by the runner (core/run/run.h), so that the debugger's thread can wait for faults.
 * A parked vCPU holds its mutex and SRCU: no ioctl of it, of slots or of dirty logs may be made, they would wait for ever.
 * Between two live stages the tracepoints of the vCPU's thread tell what happened (trace.c).
 *
 * Nothing stays behind: closing the userfaultfd, which the kernel does for a killed process, lets everybody go.
 */
#include "kvmback/step/live.h"
#include "kvmback/fault/fault_impl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/timerfd.h>

#include "core/base/lock.h"
#include "kvmback/kernel/kview.h"
#include "kvmback/step/step.h"
#include "kvmback/trace/trace.h"
#include "kvmback/vcpu/bytes.h"

#define TABLES_MAX 4096 /* guest tables looked through for a page that a walk reads */

/* ---- where a fault is */

/* The level at which gfn is a table of this vCPU's guest; 0 if it is none. Breadth first, at most TABLES_MAX tables. */
static unsigned table_level(struct kvm_faults *f, uint64_t gfn)
{
	const struct regs *r = live_remembered(f->vm, f->vcpu);
	bool wide = r->efer & EFER_LMA;
	unsigned level = !(r->cr0 & CR0_PG) ? 0 : wide ? (r->cr4 & CR4_LA57 ? 5 : 4) : 0;
	_cleanup_free_ uint64_t *queue = level ? malloc(TABLES_MAX * sizeof(*queue)) : NULL;
	size_t n = 0, at = 0;

	if (!queue)
		return 0;
	queue[n++] = r->cr3 >> PAGE_SHIFT & 0xffffffffffull;
	for (; level; level--)
		for (size_t end = n; at < end; at++) {
			size_t len;
			if (queue[at] == gfn)
				return level;
			const uint64_t *t = (const void *)machine_peek(&f->vm->m, queue[at] << PAGE_SHIFT, false, &len);
			for (unsigned i = 0; t && len >= PAGE_SIZE_4K && level > 1 && i < 512 && n < TABLES_MAX; i++)
				if ((t[i] & PTE_P) && !(t[i] & PTE_PS))
					queue[n++] = t[i] >> PAGE_SHIFT & 0xffffffffffull;
		}
	return 0;
}

/* ---- userfaultfd */

const char *kvm_faults_why(void)
{
	return uffd_why();
}

/* The page is there again for whoever waits. */
static void continue_page(struct kvm_faults *f, uint64_t hva)
{
	struct armed *p = f->vm->armed;

	vcpu_continued(f->vm);
	if (f->walk)
		fault_walk_continue(f->walk, hva);
	else
		uffd_continue(armed_uffd(p), hva, armed_protected(p, hva & ~PAGE_OFFSET_MASK));
}

/* ---- parking */

static void park(struct kvm_faults *f, uint64_t hva, pid_t tid)
{
	f->page = hva;
	f->vcpu = fault_vcpu_of(f, tid);
}

/* old: the best there is, as it was let go. */
static uint64_t parked_rip(struct kvm_faults *f, bool *old)
{
	uint64_t rip = live_remembered(f->vm, f->vcpu)->rip;

	*old = kvm_view_rip(f->vm, f->vcpu, &rip, NULL) != 0;
	return rip;
}

/* The level of the table that is wanted, 0 for a page. With EPT and NPT KVM's error code says which of both it is. */
static unsigned stage_level(struct kvm_faults *f, uint64_t gfn, bool in_slot, uint64_t *gva)
{
	if (f->walk)
		return fault_walk_stage(f->walk, f->vcpu, f->page, gva);
	if (f->format != FAULT_SHADOW && f->fresh && !fault_code_is_walk(f->format, f->error))
		return 0;
	return in_slot ? table_level(f, gfn) : 0;
}

static const char *stage_words(const struct kvm_faults *f, unsigned level)
{
	if (!level)
		return "the host page";
	return f->format == FAULT_SHADOW ? "the walk reads the table" : "the processor's walk reads the table";
}

/* Fill f->stop for the live stage at hand, and write it down. */
static void tell_stage(struct kvm_faults *f)
{
	struct slot *s = slot_by_hva(&f->vm->m.slots, f->page);
	uint64_t gpa = s ? s->gpa + (f->page - s->hva) : 0, gfn;
	unsigned level;
	uint64_t rip;
	bool old;

	gfn = gpa >> PAGE_SHIFT;
	fault_take_trace(f);
	uint64_t gva = 0;
	level = stage_level(f, gfn, s, &gva);
	rip = parked_rip(f, &old);
	if (!f->in_fault || (rip != f->last_rip && !f->fresh))
		fault_begin(f);
	f->fresh = false;
	f->last_rip = rip;
	struct fault_stage *st = fault_note(f, level ? STAGE_WALK : STAGE_PAGE, gfn, s, level, true);
	snprintf(st->detail, sizeof(st->detail), "%s %s gpa %#llx", stage_words(f, level), level ? "at" : "behind",
		 (unsigned long long)(gpa & ~PAGE_OFFSET_MASK));
	if (!level)
		f->in_fault = true;
	f->asked = true;
	f->stop = (struct stop){.reason = STOP_FAULT_STAGE,
				.vcpu = f->vcpu,
				.rip = rip,
				.rip_old = old,
				.stage = st->stage,
				.fault = f->log.fault,
				.gva = gva,
				.gpa = gpa & ~PAGE_OFFSET_MASK,
				.has_fault_gfn = !level && s,
				.fault_gfn = gfn,
				.slot = s ? (int)s->id : -1};
	snprintf(f->stop.note, sizeof(f->stop.note), "%s", st->detail);
}

/* ---- whose turn it is (several vCPUs: one at a time is in the guest) */

#define TURN_NS 1000000ull

/* Nobody stands still at the moment. Who is kicked may come to an armed page all the same, see is_leaving(). */
static void end_turn(struct kvm_faults *f)
{
	uint64_t ticks;

	if (f->tick < 0 || read(f->tick, &ticks, sizeof(ticks)) != sizeof(ticks) || f->job.kind == RUN_STEP ||
	    clock_now_ns() - f->turn_ns < TURN_NS)
		return;
	vcpu_end_turn(f->vm);
	f->turn_ns = clock_now_ns();
}

/* The clock of turns ticks while somebody may have to give way. */
static void tick_every(struct kvm_faults *f, uint64_t ns)
{
	struct itimerspec every = {.it_value.tv_nsec = (long)ns, .it_interval.tv_nsec = (long)ns};

	if (f->tick >= 0)
		(void)timerfd_settime(f->tick, 0, &every, NULL);
}

/* Kicked, a vCPU does not stand still: waiting for its page it gives the fault up, and comes back to it when it runs again;
 * in a walk it asks again and again until it is given the table. So that one is told, should it concern us, and the page is
 * not: it is given, as KVM's emulator may need it to come out, and taken again when somebody runs. */
static bool is_leaving(struct kvm_faults *f, unsigned vcpu)
{
	return vcpu_kicked(&f->vm->vcpu[vcpu]) && (run_asked(&f->vm->m.run) || !f->walk || !fault_walk_reads(f->walk, vcpu));
}

static void note_given(struct kvm_faults *f, uint64_t hva)
{
	LOCK_SCOPE(&f->lock);
	if (f->n_unarmed < ARRAY_LEN(f->unarmed))
		f->unarmed[f->n_unarmed++] = hva;
}

static void continue_leaving(struct kvm_faults *f, unsigned vcpu, uint64_t hva)
{
	bool page = !f->walk || !fault_walk_reads(f->walk, vcpu);

	if (!page) {
		fault_walk_pass(f->walk, vcpu, hva);
		return;
	}
	note_given(f, hva);
	continue_page(f, hva);
}

static void rearm_pages(struct kvm_faults *f)
{
	LOCK_SCOPE(&f->lock);
	while (f->n_unarmed)
		(void)!madvise((void *)(uintptr_t)f->unarmed[--f->n_unarmed], PAGE_SIZE_4K, MADV_DONTNEED);
}

/* ---- waiting */

/* A page is also missing where an int3 byte stood in it, and for no fault that is asked for. */
static bool asks_for_page(const struct kvm_faults *f, uint64_t hva)
{
	const struct slot *s = slot_by_hva(&f->vm->m.slots, hva);

	return !s || fault_asks_for_gpa(f, s->gpa + (hva - s->hva));
}

/* A fault that is not asked for goes on at once. */
static bool is_asked_for(struct kvm_faults *f, const struct uffd_fault *at)
{
	unsigned vcpu = fault_vcpu_of(f, at->tid);

	if (f->walk && fault_walk_stale(f->walk, vcpu, at->hva)) {
		uffd_wake(armed_uffd(f->vm->armed), at->hva);
		return false;
	}
	fault_take_trace(f);
	if (f->walk && !fault_walk_wants(f->walk, vcpu, at->hva)) {
		fault_walk_pass(f->walk, vcpu, at->hva);
		return false;
	}
	if (!f->walk && !asks_for_page(f, at->hva)) {
		continue_page(f, at->hva);
		return false;
	}
	if (!is_leaving(f, vcpu))
		return true;
	continue_leaving(f, vcpu, at->hva);
	return false;
}

static struct kvm_vm *vm_of(void *ctx)
{
	return kvm_of(ctx);
}

static bool is_passing(const struct kvm_faults *f)
{
	return f->passing && f->log.fault == f->passing;
}

static void end_stage(struct kvm_faults *f)
{
	if (f->walk && !f->quiet)
		fault_walk_end_stage(f->walk, f->vcpu, f->page);
	continue_page(f, f->page);
}

bool kvm_park_look(void *ctx, struct stop *out)
{
	struct kvm_faults *f = vm_of(ctx)->faults;
	struct uffd_fault at;

	while (armed_next_fault(f->vm, &at)) {
		if (f->quiet) {
			continue_page(f, at.hva);
			continue;
		}
		if (!is_asked_for(f, &at))
			continue;
		park(f, at.hva, at.tid);
		tell_stage(f);
		if (is_passing(f)) {
			end_stage(f);
			continue;
		}
		f->passing = 0;
		tick_every(f, 0);
		*out = f->stop;
		bytes_lift(f->vm->rs, LIFT_FOR_PARK);
		return true;
	}
	end_turn(f);
	return false;
}

/* ---- letting it go */

/* Did a register that was known then change? */
static bool moved(const struct regs *before, const struct regs *after)
{
	bool rip = !(before->old >> REGS_OLD_RIP & 1) && before->rip != after->rip;

	for (unsigned i = 0; !rip && i < ARRAY_LEN(before->gpr); i++)
		rip = !(before->old >> (REGS_OLD_GPR + i) & 1) && before->gpr[i] != after->gpr[i];
	return rip;
}

/* An instruction that KVM emulates may have run to its end before the signal was looked at, or have left as an access to a
 * device: then that was the step. */
bool kvm_park_abandoned_late(void *ctx, const struct run_job *next, struct stop *stop)
{
	struct kvm_faults *f = vm_of(ctx)->faults;
	struct regs after = {0};

	if (f->abandoned != next->vcpu || kvm_get_regs(&f->vm->m, f->abandoned, REGS_GPR, &after, NULL) ||
	    !moved(&f->abandoned_regs, &after))
		return false;
	stop->reason = STOP_STEP;
	return true;
}

void kvm_park_release(void *ctx, enum run_release how)
{
	struct kvm_faults *f = vm_of(ctx)->faults;

	f->passing = how == RUN_RELEASE_FAULT ? f->log.fault : 0;
	if (how == RUN_RELEASE_ABANDON) {
		f->abandoned = f->vcpu;
		live_regs(f->vm, f->vcpu, &f->abandoned_regs);
		f->quiet = true;
		/* The signal is taken once the pages that are still missing are there. */
		vcpu_kick(&f->vm->vcpu[f->vcpu], KICK_GIVE_UP);
	}
	tick_every(f, f->quiet ? 0 : TURN_NS);
	bytes_lay_again(f->vm->rs, LIFT_FOR_PARK);
	end_stage(f);
}

/* ---- around a run */

bool kvm_may_park(void *ctx, const struct run_job *job)
{
	const struct kvm_vm *vm = vm_of(ctx);

	(void)job; /* a quiet one needs its pages given as well */
	return vm->faults && vm->faults->armed;
}

/* With a lone vCPU one thread is always waiting for the other. */
bool kvm_park_near(void *ctx)
{
	return vm_of(ctx)->m.vcpus == 1;
}

int kvm_park_begin(void *ctx, const struct run_job *job, struct err *e)
{
	struct kvm_faults *f = vm_of(ctx)->faults;
	int rc = 0;

	/* The runner's tracepoints are to tell of this VM, not of the scratch ones that a first run tries things on. */
	if (!f->vm->rs->st)
		rc = kvm_strategy_get(&f->vm->rs->st, e);
	if (!rc && f->walk)
		rc = fault_walk_roots(f->walk, live_remembered(f->vm, 0), e);
	if (rc)
		return rc;
	for (unsigned i = 0; f->trace && f->vm->m.vcpus > 1 && i < f->vm->m.vcpus; i++)
		if (f->vm->vcpu[i].control->tid)
			trace_thread(f->trace, f->vm->vcpu[i].control->tid);
	f->job = *job;
	f->vcpu = job->vcpu;
	f->quiet = job->quiet;
	f->passing = 0;
	f->vm->rs->turns = f->vm->m.vcpus > 1;
	f->turn_ns = clock_now_ns();
	tick_every(f, f->quiet ? 0 : TURN_NS);
	armed_direct(f->vm->armed, true);
	return 0;
}

void kvm_park_end(void *ctx, const struct stop *stop)
{
	struct kvm_faults *f = vm_of(ctx)->faults;

	tick_every(f, 0);
	f->vm->rs->turns = false;
	f->vcpu = stop->vcpu;
	f->quiet = false;
	fault_take_trace(f);
	f->in_fault = false;
	armed_direct(f->vm->armed, false);
}

/* With several vCPUs the clock of their turns is waited for as well. */
int kvm_park_fd(void *ctx)
{
	struct kvm_faults *f = vm_of(ctx)->faults;
	struct epoll_event ev = {.events = EPOLLIN};
	int fd = f && f->armed && f->vm->armed ? armed_uffd(f->vm->armed)->fd : -1;

	if (fd < 0 || f->epoll < 0)
		return fd;
	/* Refused if it is in there; one that was closed has left by itself. */
	(void)epoll_ctl(f->epoll, EPOLL_CTL_ADD, fd, &ev);
	return f->epoll;
}

int kvm_fault_stages(struct machine *m, struct fault_stage_list *out, struct err *e)
{
	const struct kvm_faults *f = kvm_of(m)->faults;

	return fault_log_list(f ? &f->log : NULL, out, e);
}

/* ---- arming and leaving */

/* Several vCPUs: the clock of their turns, and what waits for it and for faults together. */
static int open_clock(struct kvm_faults *f, struct err *e)
{
	struct epoll_event ev = {.events = EPOLLIN};

	f->tick = f->epoll = -1;
	if (f->vm->m.vcpus == 1)
		return 0;
	f->tick = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	f->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (f->tick >= 0 && f->epoll >= 0 && !epoll_ctl(f->epoll, EPOLL_CTL_ADD, f->tick, &ev))
		return 0;
	int why = errno;
	util_closep(&f->tick);
	util_closep(&f->epoll);
	return err_errno(e, why, "catch fault" WHY "timerfd or epoll" TRY "a higher ulimit -n");
}

static int faults_create(struct kvm_vm *vm, struct err *e)
{
	struct kvm_faults *f = calloc(1, sizeof(*f));
	int rc = f ? fault_log_init(&f->log, e) : err_nomem(e, "catch fault");

	if (rc) {
		free(f);
		return rc;
	}
	f->vm = vm;
	lock_init(&f->lock, LOCK_UNARMED);
	rc = open_clock(f, e);
	if (rc) {
		fault_log_deinit(&f->log);
		free(f);
		return rc;
	}
	vm->faults = f;
	return 0;
}

/* Closing the descriptor ends every registration and lets every waiter go. */
static void disarm(struct kvm_faults *f)
{
	if (f->armed && f->vm->armed)
		armed_close(f->vm->armed);
	f->armed = false;
	f->n_unarmed = f->n_armed = 0;
	fault_walk_destroy(f->walk);
	f->walk = NULL;
}

void kvm_faults_thread(struct kvcpu *v)
{
	if (v->vm->faults && v->vm->faults->trace)
		trace_thread(v->vm->faults->trace, gettid());
}

void kvm_faults_run_begin(struct kvm_vm *vm)
{
	if (vm->faults && vm->faults->armed && vm->faults->trace && vm->m.vcpus == 1)
		trace_thread(vm->faults->trace, gettid());
}

void kvm_faults_enter(struct kvcpu *v)
{
	struct kvm_faults *f = v->vm->faults;

	if (!f || !f->armed)
		return;
	rearm_pages(f);
	if (f->walk)
		fault_walk_rearm(f->walk, v);
}

static void note_armed(struct kvm_faults *f)
{
	for (size_t i = 0; i < f->n_filters; i++) {
		bool page = !f->filter[i].gva && !f->filter[i].all;
		struct fault_stage *s = fault_note(f, STAGE_ZAP, page ? f->filter[i].first : 0, page, 0, false);

		snprintf(s->detail, sizeof(s->detail), "armed pages dropped from the guest's view: their sptes are zapped");
	}
}

int kvm_fault_catch(struct machine *m, const struct fault_filter *v, size_t n, struct err *e)
{
	struct kvm_vm *vm = kvm_of(m);
	int rc;

	if (!vm->faults && !n)
		return 0;
	rc = vm->faults ? 0 : faults_create(vm, e);
	if (rc)
		return rc;
	disarm(vm->faults);
	if (!n)
		return 0;
	if (!vm->faults->trace) /* what was in the way may be gone */
		faults_open_stages(vm->faults);
	vm->faults->n_filters = n;
	memcpy(vm->faults->filter, v, n * sizeof(*v));
	rc = armed_get(vm, "catch fault", &(struct armed *){NULL}, e);
	vm->faults->armed = !rc;
	if (!rc)
		rc = faults_arm(vm->faults, e);
	if (rc) {
		disarm(vm->faults);
		return rc;
	}
	note_armed(vm->faults);
	return 0;
}

void kvm_faults_destroy(struct kvm_vm *vm)
{
	struct kvm_faults *f = vm->faults;

	if (!f)
		return;
	disarm(f);
	trace_close(f->trace);
	util_closep(&f->tick);
	util_closep(&f->epoll);
	fault_log_deinit(&f->log);
	free(f->armed_gfns);
	lock_destroy(&f->lock);
	free(f);
	vm->faults = NULL;
}
