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
 * While anything is armed, runs are made by a thread of their own (the runner), so that the debugger's thread can wait for
 * faults. A parked vCPU holds its mutex and SRCU: no ioctl of it, of slots or of dirty logs may be made, they would wait for
 * ever. Between two live stages the tracepoints of the vCPU's thread tell what happened (trace.c).
 *
 * Nothing stays behind: closing the userfaultfd, which the kernel does for a killed process, lets everybody go.
 */
#include "kvmback/fault/fault_impl.h"

#include "core/base/lock.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>

#include "kvmback/kernel/kview.h"
#include "kvmback/step/step.h"
#include "kvmback/trace/trace.h"

#define TABLES_MAX 4096 /* guest tables looked through for a page that a walk reads */

/* ---- what was seen */

static struct fault_stage *note(struct kvm_faults *f, enum stage stage, uint64_t gfn, bool known, unsigned level, bool live)
{
	struct fault_stage *s = fault_log_add(&f->log, f->who, stage, live);

	s->gfn = gfn;
	s->gfn_known = known;
	s->level = level;
	return s;
}

static void new_fault(struct kvm_faults *f)
{
	fault_log_next(&f->log);
	f->in_fault = true;
}

unsigned faults_vcpu_of(const struct kvm_faults *f, pid_t tid)
{
	for (unsigned i = 0; i < f->vm->m.vcpus; i++)
		if (f->vm->vcpu[i].control && f->vm->vcpu[i].control->tid == tid)
			return i;
	return f->job.vcpu;
}

/* Zaps and syncs come with CR3 loads and the debugger's own doing as well: outside of a fault they are told with fault 0.
 * What else comes late (a prefetched spte, a device's answer) belongs to the fault before. */
static bool of_no_fault(const struct trace_event *t)
{
	return t->stage == STAGE_ZAP || t->stage == STAGE_SYNC || t->stage == STAGE_UNSYNC;
}

/* The emulator's fetch of the instruction is part of the fault that it emulates, and so is its own walk to the address. */
static bool of_same_fault(const struct kvm_faults *f, const struct trace_event *t)
{
	return f->in_fault && (f->log.stages <= 1 || (f->emulating ? !t->fetch && t->gva == f->gva : t->fetch));
}

/* One event of the vCPU's thread between two live stages. */
static void on_trace(void *arg, const struct trace_event *t)
{
	struct kvm_faults *f = arg;
	unsigned fault = f->log.fault;

	if (f->walk && !fault_walk_event(f->walk, faults_vcpu_of(f, t->tid), t))
		return;
	if (t->begins && !of_same_fault(f, t)) {
		new_fault(f);
		f->gva = t->gva;
		f->fresh = true;
		fault = f->log.fault;
	} else if (!f->in_fault && of_no_fault(t)) {
		fault = 0;
	}
	struct fault_stage *s = note(f, t->stage, t->gfn, t->gfn_known, t->level, false);
	s->fault = fault;
	snprintf(s->detail, sizeof(s->detail), "%s", t->detail);
	f->emulating = t->stage == STAGE_EMULATE || (f->emulating && !t->ends);
	if (t->ends)
		f->in_fault = false;
}

static void take_trace(struct kvm_faults *f)
{
	if (f->trace)
		trace_read(f->trace, on_trace, f);
}

/* ---- where a fault is */

static struct slot *slot_of_hva(struct kvm_vm *vm, uint64_t hva, uint64_t *gpa)
{
	for (size_t i = 0; i < vm->m.slots.n; i++) {
		struct slot *s = vm->m.slots.by_gfn[i];
		if (hva - s->hva < s->size) {
			*gpa = s->gpa + (hva - s->hva);
			return s;
		}
	}
	return NULL;
}

/* The level at which gfn is a table of this vCPU's guest; 0 if it is none. Breadth first, at most TABLES_MAX tables. */
static unsigned table_level(struct kvm_faults *f, uint64_t gfn)
{
	const struct regs *r = &f->regs[f->who];
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

void faults_continue(struct kvm_faults *f, uint64_t hva)
{
	struct armed *p = f->vm->armed;

	vcpu_continued(f->vm);
	if (f->walk)
		fault_walk_continue(f->walk, hva);
	else
		uffd_continue(armed_uffd(p), hva, armed_protected(p, hva & ~PAGE_OFFSET_MASK));
}

/* ---- the runner */

int faults_remember_regs(struct kvm_faults *f, struct err *e)
{
	for (unsigned i = 0; i < f->vm->m.vcpus; i++) {
		int rc = kvm_get_regs(&f->vm->m, i, REGS_ALL, &f->regs[i], e);
		if (rc)
			return rc;
	}
	return 0;
}

static void *runner(void *arg)
{
	struct kvm_faults *f = arg;
	uint64_t one = 1;
	unsigned seen = 0;

	kick_unblock();
	if (f->trace)
		trace_thread(f->trace, gettid());
	for (;;) {
		gate_wait(&f->go, seen, 0);
		seen = atomic_load(&f->go.value);
		if (f->quit)
			return NULL;
		f->stop = (struct stop){.slot = -1};
		f->rc = f->vm->rs->ops->run(f->vm, &f->job, &f->stop, &f->err);
		if (write(f->done, &one, sizeof(one)) < 0)
			continue; /* an eventfd takes eight bytes as long as it is open */
	}
}

/* A lone vCPU and the debugger's thread take turns at every stage. Waking a CPU that sleeps takes longer than all the rest
 * of one, so the runner is kept where this thread is, whose CPUs are the process's own. */
static void keep_near(struct kvm_faults *f)
{
	int cpu = sched_getcpu();
	cpu_set_t set;

	if (cpu == f->cpu || cpu < 0 || cpu >= CPU_SETSIZE || f->vm->m.vcpus > 1)
		return;
	CPU_ZERO(&set);
	CPU_SET((unsigned)cpu, &set);
	if (!pthread_setaffinity_np(f->thread, sizeof(set), &set))
		f->cpu = cpu;
}

static int runner_start(struct kvm_faults *f, struct err *e)
{
	sigset_t all, old;

	if (f->has_thread)
		return 0;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	int rc = pthread_create(&f->thread, NULL, runner, f);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc)
		return err_errno(e, rc, "catch fault" WHY "no thread to run the guest" TRY "fewer processes");
	f->has_thread = true;
	f->cpu = -1;
	return 0;
}

/* ---- parking */

static void park(struct kvm_faults *f, uint64_t hva, pid_t tid)
{
	f->page = hva;
	f->who = faults_vcpu_of(f, tid);
	f->state = PARKED;
	atomic_store(&f->vm->parked, (int)f->who);
}

/* old: the best there is, as it was let go. */
static uint64_t parked_rip(struct kvm_faults *f, bool *old)
{
	uint64_t rip = f->regs[f->who].rip;
	struct kview *k;

	*old = kvm_kview(f->vm, &k, NULL) || kview_rip(k, f->who, &rip, NULL);
	return rip;
}

/* Fill f->stop for the live stage at hand, and write it down. */

static void tell_stage(struct kvm_faults *f)
{
	uint64_t gpa = 0, gfn;
	struct slot *s = slot_of_hva(f->vm, f->page, &gpa);
	unsigned level;
	uint64_t rip;
	bool old;

	gfn = gpa >> PAGE_SHIFT;
	take_trace(f);
	uint64_t gva = 0;
	if (f->walk)
		level = fault_walk_stage(f->walk, f->who, f->page, &gva);
	else
		level = s ? table_level(f, gfn) : 0;
	rip = parked_rip(f, &old);
	if (!f->in_fault || (rip != f->last_rip && !f->fresh))
		new_fault(f);
	f->fresh = false;
	f->last_rip = rip;
	struct fault_stage *st = note(f, level ? STAGE_WALK : STAGE_PAGE, gfn, s, level, true);
	snprintf(st->detail, sizeof(st->detail),
		 level ? "the walk reads the table at gpa %#llx" : "the host page behind gpa %#llx",
		 (unsigned long long)(gpa & ~PAGE_OFFSET_MASK));
	if (!level)
		f->in_fault = true;
	f->stop = (struct stop){.reason = STOP_FAULT_STAGE,
				.vcpu = f->who,
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

static bool run_is_over(struct kvm_faults *f)
{
	uint64_t n;

	return read(f->done, &n, sizeof(n)) == sizeof(n);
}

/* ---- whose turn it is (several vCPUs: one at a time is in the guest) */

#define TURN_NS 1000000ull

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

/* Nothing parks at the moment. Who is kicked may come to an armed page all the same, see is_leaving(). */
static void end_turn(struct kvm_faults *f)
{
	if (f->job.kind != RUN_CONTINUE || f->vm->m.vcpus == 1 || now_ns() - f->turn_ns < TURN_NS)
		return;
	vcpu_end_turn(f->vm);
	f->turn_ns = now_ns();
}

/* Kicked, a vCPU does not stand still: waiting for its page it gives the fault up, and comes back to it when it runs again;
 * in a walk it asks again and again until it is given the table. So that one is told, should it concern us, and the page is
 * not: it is given, as KVM's emulator may need it to come out, and taken again when somebody runs. */
static bool is_leaving(struct kvm_faults *f, unsigned who)
{
	return vcpu_kicked(&f->vm->vcpu[who]) &&
	       (atomic_load(&f->vm->rs->interrupt) || !f->walk || !fault_walk_reads(f->walk, who));
}

static void note_given(struct kvm_faults *f, uint64_t hva)
{
	LOCK_SCOPE(&f->lock);
	if (f->n_unarmed < ARRAY_LEN(f->unarmed))
		f->unarmed[f->n_unarmed++] = hva;
}

static void continue_leaving(struct kvm_faults *f, unsigned who, uint64_t hva)
{
	bool page = !f->walk || !fault_walk_reads(f->walk, who);

	if (!page) {
		fault_walk_pass(f->walk, who, hva);
		return;
	}
	note_given(f, hva);
	faults_continue(f, hva);
}

static void rearm_pages(struct kvm_faults *f)
{
	LOCK_SCOPE(&f->lock);
	while (f->n_unarmed)
		(void)!madvise((void *)(uintptr_t)f->unarmed[--f->n_unarmed], PAGE_SIZE_4K, MADV_DONTNEED);
}

/* ---- waiting */

/* A fault that is not asked for goes on at once. */
static bool is_asked_for(struct kvm_faults *f, const struct uffd_fault *at)
{
	unsigned who = faults_vcpu_of(f, at->tid);

	if (f->walk && fault_walk_stale(f->walk, who, at->hva)) {
		uffd_wake(armed_uffd(f->vm->armed), at->hva);
		return false;
	}
	take_trace(f);
	if (f->walk && !fault_walk_wants(f->walk, who, at->hva)) {
		fault_walk_pass(f->walk, who, at->hva);
		return false;
	}
	if (!is_leaving(f, who))
		return true;
	continue_leaving(f, who, at->hva);
	return false;
}

/* Read the faults that are there. True: a vCPU parks at one. pass: nobody is to park, every page is continued at once. */
static bool take_faults(struct kvm_faults *f, bool pass)
{
	struct uffd_fault at;

	while (armed_next_fault(f->vm, &at)) {
		if (pass) {
			faults_continue(f, at.hva);
		} else if (is_asked_for(f, &at)) {
			park(f, at.hva, at.tid);
			tell_stage(f);
			return true;
		}
	}
	return false;
}

/* Until there may be a fault, or the run may be over. */
static int wait_for_news(struct kvm_faults *f)
{
	struct pollfd p[2] = {{.fd = armed_uffd(f->vm->armed)->fd, .events = POLLIN}, {.fd = f->done, .events = POLLIN}};

	return poll(p, 2, f->vm->m.vcpus > 1 ? 1 : -1) < 0 && errno != EINTR ? -errno : 0;
}

static void end_run(struct kvm_faults *f)
{
	f->state = IDLE;
	f->vm->rs->turns = false;
	f->who = f->stop.vcpu;
	take_trace(f);
	f->in_fault = false;
	armed_direct(f->vm->armed, false);
}

/* Nobody can wait for the guest: out with it, and with nobody parked on the way. Unless it came to a stop of its own before,
 * or out because somebody else had asked for it, that is the run's error. */
static void fetch_out(struct kvm_faults *f, int error)
{
	const struct timespec ms = {.tv_nsec = 1000000};
	bool asked = atomic_load(&f->vm->rs->interrupt);

	kvm_interrupt(&f->vm->m);
	while (!run_is_over(f)) {
		(void)take_faults(f, true);
		nanosleep(&ms, NULL); /* what tells of news has just failed */
	}
	/* A run takes its interrupt with it: this one was over before, and the next one is not to have it. */
	bool late = atomic_exchange(&f->vm->rs->interrupt, false);
	end_run(f);
	if (!asked && !late && !f->rc && f->stop.reason == STOP_INTERRUPTED)
		f->rc = err_errno(&f->err, -error,
				  "run" WHY "poll, for the guest, which was therefore stopped" TRY
				  "c, which goes on from there, or catch fault off");
}

/* Wait until a vCPU parks or the run is over. */
static void wait_for_guest(struct kvm_faults *f, bool pass)
{
	int rc = 0;

	f->state = GOING;
	atomic_store(&f->vm->parked, -1);
	while (!rc) {
		if (take_faults(f, pass))
			return;
		if (run_is_over(f)) {
			end_run(f);
			return;
		}
		end_turn(f);
		rc = wait_for_news(f);
	}
	fetch_out(f, rc);
}

static void release(struct kvm_faults *f, bool pass)
{
	if (f->walk && !pass)
		fault_walk_end_stage(f->walk, f->who, f->page);
	keep_near(f);
	faults_continue(f, f->page);
	wait_for_guest(f, pass);
}

/* Out of the fault without the instruction: the signal is taken once the pages that are still missing are there. */
static void give_up(struct kvm_faults *f)
{
	atomic_store(&f->vm->rs->interrupt, true);
	vcpu_kick(&f->vm->vcpu[f->who], KICK_GIVE_UP);
	release(f, true);
	atomic_store(&f->vm->rs->interrupt, false);
}

/* Did a register that was known then change? */
static bool moved(const struct regs *before, const struct regs *after)
{
	bool rip = !(before->old >> REGS_OLD_RIP & 1) && before->rip != after->rip;

	for (unsigned i = 0; !rip && i < ARRAY_LEN(before->gpr); i++)
		rip = !(before->old >> (REGS_OLD_GPR + i) & 1) && before->gpr[i] != after->gpr[i];
	return rip;
}

/* The same before a step. An instruction that KVM emulates may have run to its end before the signal was looked at, or have
 * left as an access to a device: then that was the step, and f->stop says so. */
static bool give_up_unless_done(struct kvm_faults *f, unsigned vcpu)
{
	struct regs before, after = {0};
	unsigned who = f->who;
	bool known = kvm_faults_regs(f->vm, who, &before);

	give_up(f);
	if (f->rc || f->stop.reason != STOP_INTERRUPTED)
		return true;
	if (who != vcpu || !known || kvm_get_regs(&f->vm->m, who, REGS_GPR, &after, NULL) || !moved(&before, &after))
		return false;
	f->stop.reason = STOP_STEP;
	return true;
}

static int start(struct kvm_faults *f, const struct run_job *job, bool pass, struct err *e)
{
	int rc = faults_remember_regs(f, e);

	/* The runner's tracepoints are to tell of this VM, not of the scratch ones that a first run tries things on. */
	if (!rc && !f->vm->rs->st)
		rc = kvm_strategy_get(&f->vm->rs->st, e);
	if (!rc)
		rc = runner_start(f, e);
	if (!rc && f->walk)
		rc = fault_walk_roots(f->walk, f->regs, e);
	if (rc)
		return rc;
	for (unsigned i = 0; f->trace && f->vm->m.vcpus > 1 && i < f->vm->m.vcpus; i++)
		if (f->vm->vcpu[i].control->tid)
			trace_thread(f->trace, f->vm->vcpu[i].control->tid);
	f->job = *job;
	f->who = job->vcpu;
	err_clear(&f->err);
	f->vm->rs->turns = f->vm->m.vcpus > 1;
	f->turn_ns = now_ns();
	armed_direct(f->vm->armed, true);
	keep_near(f);
	gate_post(&f->go);
	wait_for_guest(f, pass);
	return 0;
}

static int result(struct kvm_faults *f, struct stop *out, struct err *e)
{
	if (f->state == IDLE && f->rc) {
		if (e)
			*e = f->err;
		return f->rc;
	}
	*out = f->stop;
	return 0;
}

bool kvm_faults_take_run(const struct kvm_vm *vm)
{
	return vm->faults && (vm->faults->armed || vm->faults->state == PARKED);
}

int kvm_faults_run(struct kvm_vm *vm, struct run_job *job, struct stop *out, struct err *e)
{
	struct kvm_faults *f = vm->faults;
	bool step_first = f->state == PARKED && job->kind == RUN_STEP;
	int rc = 0;

	if (step_first && give_up_unless_done(f, job->vcpu))
		return result(f, out, e);
	if (f->state == PARKED) {
		/* Finish this fault, then go on. */
		unsigned parked_fault = f->log.fault;
		do
			release(f, false);
		while (f->state == PARKED && f->log.fault == parked_fault);
		if (f->state == IDLE && !f->rc && f->stop.reason == STOP_STEP)
			rc = start(f, job, false, e);
	} else {
		rc = start(f, job, step_first, e);
	}
	return rc ? rc : result(f, out, e);
}

int kvm_fault_step(struct machine *m, struct stop *out, struct err *e)
{
	struct kvm_faults *f = kvm_of(m)->faults;

	if (!f || !f->armed)
		return err_set(e, -EINVAL, "fault step" WHY "no faults are caught" TRY "catch fault");
	if (f->state != PARKED)
		return kvm_faults_run(kvm_of(m),
				      &(struct run_job){.kind = RUN_CONTINUE, .vcpu = f->job.vcpu, .passed = RUN_PASSED_ALL},
				      out, e);
	release(f, false);
	return result(f, out, e);
}

bool kvm_parked(const struct machine *m, unsigned *vcpu)
{
	if (!kvm_is_parked(kvm_of(m)))
		return false;
	*vcpu = (unsigned)atomic_load(&kvm_of(m)->parked);
	return true;
}

bool kvm_faults_regs(struct kvm_vm *vm, unsigned vcpu, struct regs *out)
{
	struct kvm_faults *f = vm->faults;
	struct kview *k;
	struct regs now;

	/* The others are out of KVM_RUN, and are asked as ever. */
	if (!f || f->state != PARKED || vcpu != f->who)
		return false;
	now = f->regs[vcpu];
	now.old = REGS_OLD_ALL;
	/* If there is no SMM in KVM it is the debugger's own doing. */
	if (!vm->host->x86_smm)
		now.old &= ~(1ull << REGS_OLD_SMM);
	*out = now;
	if (kvm_kview(vm, &k, NULL) || kview_regs(k, vcpu, &now, NULL))
		return true;
	/* The trap page came last. */
	trap_page_hide(&vm->vcpu[vcpu], &now);
	step_hide(&vm->vcpu[vcpu], &now);
	*out = now;
	return true;
}

int kvm_fault_stages(struct machine *m, struct fault_stage_list *out, struct err *e)
{
	const struct kvm_faults *f = kvm_of(m)->faults;

	return fault_log_list(f ? &f->log : NULL, out, e);
}

/* ---- arming and leaving */

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
	f->done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (f->done < 0) {
		fault_log_deinit(&f->log);
		free(f);
		return err_errno(e, errno, "catch fault" WHY "eventfd" TRY "a higher ulimit -n");
	}
	/* Without tracepoints there are live stages only; `info kvm` says why. */
	if (trace_open(&f->trace, NULL))
		f->trace = NULL;
	vm->faults = f;
	return 0;
}

/* Closing the descriptor ends every registration and lets every waiter go. */
static void disarm(struct kvm_faults *f)
{
	if (f->state == PARKED)
		give_up(f);
	if (f->armed && f->vm->armed)
		armed_close(f->vm->armed);
	f->armed = false;
	f->n_unarmed = 0;
	fault_walk_destroy(f->walk);
	f->walk = NULL;
}

void kvm_faults_thread(struct kvcpu *v)
{
	if (v->vm->faults && v->vm->faults->trace)
		trace_thread(v->vm->faults->trace, gettid());
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

int kvm_fault_catch(struct machine *m, const struct fault_filter *filter, struct err *e)
{
	struct kvm_vm *vm = kvm_of(m);
	int rc;

	if (!vm->faults && !filter)
		return 0;
	rc = vm->faults ? 0 : faults_create(vm, e);
	if (rc)
		return rc;
	disarm(vm->faults);
	if (!filter)
		return 0;
	vm->faults->filter = *filter;
	rc = armed_get(vm, "catch fault", &(struct armed *){NULL}, e);
	vm->faults->armed = !rc;
	if (!rc)
		rc = faults_arm(vm->faults, e);
	if (rc) {
		disarm(vm->faults);
		return rc;
	}
	struct fault_stage *s = note(vm->faults, STAGE_ZAP, filter->gva || filter->all ? 0 : filter->first,
				     !filter->gva && !filter->all, 0, false);
	snprintf(s->detail, sizeof(s->detail), "armed pages dropped from the guest's view: their sptes are zapped");
	return 0;
}

void kvm_faults_destroy(struct kvm_vm *vm)
{
	struct kvm_faults *f = vm->faults;

	if (!f)
		return;
	disarm(f);
	if (f->has_thread) {
		f->quit = true;
		gate_post(&f->go);
		pthread_join(f->thread, NULL);
	}
	trace_close(f->trace);
	util_closep(&f->done);
	fault_log_deinit(&f->log);
	lock_destroy(&f->lock);
	free(f);
	vm->faults = NULL;
}
