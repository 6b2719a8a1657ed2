/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A vCPU's thread (a lone vCPU's is the debugger's): the only place where KVM_RUN is called, the jobs that it does, and how
 * it is fetched out of the guest.
 *
 * No kick is lost: the kicker sets `kick`, then immediate_exit, then sends the signal; the vCPU's thread clears
 * immediate_exit before it looks at `kick`, so either it sees the flag or KVM_RUN sees immediate_exit or the signal.
 */
#include "kvmback/fault/fault.h"
#include "kvmback/trace/mmucatch.h"
#include "kvmback/watch/pages.h"
#include "kvmback/trace/rootwake.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

/* ---- a vCPU's own thread */

/* Kicked after an exception had no handler and before the shutdown exit was made: KVM would make it at the next KVM_RUN, for
 * whatever the vCPU is then. Take it now. */
static bool take_shutdown(struct kvcpu *v)
{
	struct kvm_vcpu_events ev;

	vcpu_events(v, &ev);
	if (!(ev.flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT) || !ev.triple_fault.pending)
		return false;
	ev.triple_fault.pending = 0;
	if (ioctl(v->fd, KVM_SET_VCPU_EVENTS, &ev) < 0)
		return false;
	v->run->s.regs.events = ev;
	v->sync_fresh |= KVM_SYNC_X86_EVENTS;
	v->run->exit_reason = KVM_EXIT_SHUTDOWN;
	return true;
}

/* Into KVM_RUN, or out of it: not while it is held. */
static void cross(struct kvcpu *v)
{
	unsigned entry = vcpu_entry(v), next = (entry + 1) & ~ENTRIES_HELD;

	while (!atomic_compare_exchange_strong(&v->thread->entries, &(unsigned){entry}, next))
		sched_yield();
}

static int enter(struct kvcpu *v)
{
	struct kvcpu_run *t = v->thread;

	/* What regs.c stored by ioctl since is newer than the run area. */
	v->run->kvm_dirty_regs &= v->sync_fresh;
	v->halted = false;
	if (!__atomic_load_n(&v->run->immediate_exit, __ATOMIC_RELAXED))
		t->io = IO_NONE;
	atomic_store_explicit(&v->vm->ran, true, memory_order_relaxed);
	bool trap = v->vm->rs->trap && trap_page_in(v);
	rootwake_enter(v);
	kvm_faults_enter(v);
	int rc = ioctl(v->fd, KVM_RUN, 0) < 0 ? -errno : 0;
	cross(v);
	v->sync_fresh = (uint32_t)v->run->kvm_valid_regs;
	if (rc == -EINTR && take_shutdown(v))
		rc = 0;
	return trap ? trap_page_out(v, rc) : rc;
}

int vcpu_enter(struct kvcpu *v)
{
	if (v->vm->pages)
		atomic_store_explicit(&v->thread->cpu, sched_getcpu(), memory_order_relaxed);
	cross(v);
	if (!pages_left_open(v))
		return enter(v);
	cross(v);
	return -EINTR;
}

int vcpu_load(struct kvcpu *v, struct err *e)
{
	if (!(v->sync_fresh & KVM_SYNC_X86_REGS) && ioctl(v->fd, KVM_GET_REGS, vcpu_regs(v)) < 0)
		return err_errno(e, errno, "run vCPU %u" WHY "KVM_GET_REGS" TRY "load", v->index);
	if (!(v->sync_fresh & KVM_SYNC_X86_SREGS) && ioctl(v->fd, KVM_GET_SREGS, vcpu_sregs(v)) < 0)
		return err_errno(e, errno, "run vCPU %u" WHY "KVM_GET_SREGS" TRY "load", v->index);
	/* Old dirty bits stand for a run area that a store by ioctl has made old. */
	v->run->kvm_dirty_regs &= v->sync_fresh;
	v->sync_fresh |= KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
	return 0;
}

bool vcpu_debug(struct kvcpu *v, const struct kvm_guest_debug *d)
{
	struct kvcpu_run *t = v->thread;
	struct kvm_regs before = *vcpu_regs(v);
	uint32_t fresh = v->sync_fresh;

	if (!memcmp(&t->dbg, d, sizeof(*d)))
		return true;
	if (ioctl(v->fd, KVM_SET_GUEST_DEBUG, d) < 0)
		return vcpu_error(v, "KVM_SET_GUEST_DEBUG, control %#x: %s", d->control, strerror(errno));
	t->dbg = *d;
	*vcpu_regs(v) = before;
	v->sync_fresh = fresh;
	return true;
}

bool vcpu_kicked(const struct kvcpu *v)
{
	return atomic_load(&v->thread->kick);
}

bool vcpu_out(struct kvcpu *v, enum outcome out)
{
	v->thread->out = out;
	return false;
}

bool vcpu_stop(struct kvcpu *v, enum stop_reason reason)
{
	struct stop *s = &v->thread->stop;

	s->reason = reason;
	s->vcpu = v->index;
	s->rip = vcpu_regs(v)->rip;
	return vcpu_out(v, OUT_STOP);
}

bool vcpu_error(struct kvcpu *v, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(v->thread->stop.error, sizeof(v->thread->stop.error), fmt, ap);
	va_end(ap);
	return vcpu_stop(v, STOP_ERROR);
}

/* Off the breakpoint that the run begins on, with no second handover. */
static bool step_off(struct kvcpu *v)
{
	if (!step_one(v))
		return false;
	v->thread->step_first = false;
	int id = plant_exec_at(v->vm->rs, vcpu_linear_rip(v));
	if (id)
		return exit_breakpoint(v, id);
	plant_relay(v);
	return true;
}

/* CPL3 runs freely: what it went through before this exit cannot be seen, where it is now can. */
static bool look_at_mode(struct kvcpu *v, const struct run_plan *before)
{
	if (vcpu_look_at_mode(v, before))
		return true;
	snprintf(v->thread->stop.note, sizeof(v->thread->stop.note),
		 "code of CPL%u ran freely; the change is seen at the first exit behind it", before->cpl);
	return io_finish(v) && vcpu_stop(v, STOP_MODE);
}

static void free_run(struct kvcpu *v)
{
	struct kvcpu_run *t = v->thread;
	struct run_plan was = {0};

	pages_rearm(v);
	bool on = t->step_first ? step_off(v) : t->io != IO_CAUGHT || io_resume(v);

	t->step_first = false;

	while (on) {
		if (atomic_load_explicit(&t->touched, memory_order_relaxed)) {
			on = vcpu_runs_here(v) ? watch_touched(v) : vcpu_out(v, OUT_TOUCH);
			if (on && v->vm->mmu)
				on = mmu_look(v);
			continue;
		}
		if (t->moved) {
			on = vcpu_runs_here(v) || vcpu_out(v, OUT_TOUCH);
			plant_relay(v);
			continue;
		}
		if (vcpu_kicked(v)) {
			if (io_finish(v))
				vcpu_out(v, OUT_KICKED);
			return;
		}
		if (t->plan.slow_why) {
			on = step_slow(v);
			continue;
		}
		v->run->kvm_valid_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
		/* Looked at whenever a signal brings the vCPU out, which is how it comes out of an armed page. */
		if (plant_watching(v->vm->rs))
			v->run->kvm_valid_regs |= KVM_SYNC_X86_EVENTS;
		vcpu_remember_mode(v, &was);
		on = vcpu_debug(v, &t->plan.dbg) && exit_free(v, vcpu_enter(v));
		if (on && v->vm->rs->catch & CATCH_MODE)
			on = look_at_mode(v, &was);
		if (on && v->vm->mmu)
			on = mmu_look(v);
	}
}

static void forget_io(struct kvcpu *v)
{
	struct kvm_regs before = *vcpu_regs(v);
	struct kvm_sregs sregs = *vcpu_sregs(v);

	if (v->thread->io == IO_CAUGHT)
		v->thread->io = IO_DONE;
	if (!io_finish(v))
		v->thread->io = IO_NONE;
	*vcpu_regs(v) = before;
	*vcpu_sregs(v) = sregs;
	vcpu_dirty(v, KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS);
}

static pid_t own_tid(void)
{
	static __thread pid_t tid;

	if (!tid)
		tid = gettid();
	return tid;
}

static void do_job(struct kvcpu *v, enum job job)
{
	struct kvcpu_run *t = v->thread;

	t->stop = (struct stop){.slot = -1};
	t->out = OUT_KICKED;
	t->tid = own_tid();
	vcpu_immediate_exit(v, false);
	if (v->vm->mmu)
		mmu_job_begin(v);
	/* What another stop came before is told first. */
	if (job == JOB_RUN && mmu_pending(v->vm))
		mmu_tell_late(v);
	else if (job == JOB_RUN)
		free_run(v);
	else if (job == JOB_STEP)
		step_run(v, t->count);
	else if (job == JOB_TOUCH)
		(void)watch_touched(v);
	else if (job == JOB_FORGET)
		forget_io(v);
	if (v->vm->mmu)
		mmu_job_end(v);
}

static void *vcpu_main(void *arg)
{
	struct kvcpu *v = arg;
	struct kvcpu_run *t = v->thread;
	unsigned seen = 0;

	run_kick_unblock();
	kvm_faults_thread(v);
	for (;;) {
		gate_wait(&t->go, seen, 0);
		seen = atomic_load(&t->go.value);
		enum job job = (enum job)atomic_load(&t->job);
		if (job == JOB_QUIT)
			return NULL;
		do_job(v, job);
		atomic_store(&t->busy, false);
		gate_post(&v->vm->rs->done);
	}
}

/* ---- the debugger's side: jobs and kicks */

int vcpu_start(struct kvcpu *v, struct err *e)
{
	sigset_t old, all;

	if (vcpu_runs_here(v))
		return watch_start(v->vm, e);
	if (v->thread->started)
		return 0;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	int rc = pthread_create(&v->thread->thread, NULL, vcpu_main, v);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc)
		return err_errno(e, rc, "run vCPU %u" WHY "no thread for it" TRY "fewer vCPUs (-n)", v->index);
	atomic_store(&v->thread->started, true);
	return 0;
}

static void do_job_here(struct kvcpu *v, enum job job)
{
	struct kvcpu_run *t = v->thread;

	if (job == JOB_STEP)
		watch_begin(v->vm);
	/* One that came before the job was there found nobody to kick. */
	if (run_asked(&v->vm->m.run))
		atomic_store(&t->kick, true);
	do_job(v, job);
	atomic_store(&t->busy, false);
}

void vcpu_give(struct kvcpu *v, enum job job, uint64_t count)
{
	struct kvcpu_run *t = v->thread;
	bool here = vcpu_runs_here(v);

	atomic_store(&t->job, (int)job);
	t->count = count;
	atomic_store(&t->kick, false);
	atomic_store(&t->stuck, false);
	atomic_store(&t->steps, 0);
	if (here)
		t->thread = pthread_self();
	atomic_store(&t->busy, true);
	if (here)
		do_job_here(v, job);
	else
		gate_post(&t->go);
}

void vcpu_kick(struct kvcpu *v)
{
	struct kvcpu_run *t = v->thread;

	atomic_store(&t->kick, true);
	vcpu_immediate_exit(v, true);
	pthread_kill(t->thread, KICK_SIGNAL);
}

bool vcpu_busy(const struct kvcpu *v)
{
	return atomic_load(&v->thread->busy);
}

void run_kick_all(struct kvm_vm *vm)
{
	for (unsigned i = 0; i < vm->m.vcpus; i++)
		if (vcpu_busy(&vm->vcpu[i]))
			vcpu_kick(&vm->vcpu[i]);
}

void run_wait_all(struct kvm_vm *vm)
{
	for (unsigned i = 0; i < vm->m.vcpus; i++)
		for (;;) {
			unsigned seen = atomic_load(&vm->rs->done.value);

			if (!vcpu_busy(&vm->vcpu[i]))
				break;
			gate_wait(&vm->rs->done, seen, 0);
			run_serve_waiting(vm);
		}
}
