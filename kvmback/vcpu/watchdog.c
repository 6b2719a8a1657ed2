/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Looking after the jobs of a lone vCPU, which the debugger's thread does itself: some instructions never come back from
 * KVM_RUN, and then nobody is left who could notice. A thread looks once a second while there are steps, more often while
 * the vCPU runs freely (stall.c), and sleeps for good while there is neither, so that a job costs no system call for it.
 */
#include "kvmback/vcpu/vcpu.h"

/* True if the vCPU was in a job of steps all the time and none was made. */
static bool no_progress(struct kvcpu *v, unsigned job, unsigned long steps, bool busy)
{
	struct watchdog *w = &v->vm->rs->watchdog;

	if (w->on_look)
		w->on_look(v->vm);
	/* One that stands inside a fault is not stuck: the debugger looks at it. */
	if (kvm_is_parked(v->vm))
		return false;
	return busy && atomic_load(&v->control->job) == JOB_STEP && atomic_load(&w->jobs) == job &&
	       atomic_load(&v->control->steps) == steps;
}

/* One look. False if there was nothing to look at since the last one. */
static bool look(struct kvcpu *v)
{
	struct watchdog *w = &v->vm->rs->watchdog;
	unsigned seen = atomic_load(&w->go.value);
	unsigned job = atomic_load(&w->jobs);
	unsigned long steps = atomic_load(&v->control->steps);
	bool busy = vcpu_busy(v);

	if (atomic_load(&w->quit))
		return false;
	bool runs = busy && atomic_load(&v->control->job) == JOB_RUN;
	bool over = !gate_wait(&w->go, seen, runs ? PROGRESS_LOOK_NS : STUCK_NS);
	if (over && runs)
		stall_due(v->vm);
	else if (over && no_progress(v, job, steps, busy))
		vcpu_kick(v, KICK_STUCK);
	return busy || vcpu_busy(v) || atomic_load(&w->jobs) != job;
}

static void *watchdog_main(void *arg)
{
	struct kvcpu *v = arg;
	struct watchdog *w = &v->vm->rs->watchdog;

	while (!atomic_load(&w->quit)) {
		unsigned seen = atomic_load(&w->go.value);

		atomic_store(&w->awake, false);
		/* A job that began before awake was false did not raise the gate. */
		if (!vcpu_busy(v) && !atomic_load(&w->quit))
			gate_wait(&w->go, seen, 0);
		atomic_store(&w->awake, true);
		while (look(v))
			;
	}
	return NULL;
}

int watchdog_start(struct kvm_vm *vm, struct err *e)
{
	struct watchdog *w = &vm->rs->watchdog;
	sigset_t old, all;

	if (w->started)
		return 0;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	int rc = pthread_create(&w->thread, NULL, watchdog_main, &vm->vcpu[0]);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc)
		return err_errno(e, rc, "run the vCPU" WHY "no thread to look after it" TRY "fewer processes");
	w->started = true;
	return 0;
}

void watchdog_begin(struct kvm_vm *vm)
{
	struct watchdog *w = &vm->rs->watchdog;

	atomic_fetch_add(&w->jobs, 1);
	if (!atomic_load(&w->awake))
		gate_post(&w->go);
}

void watchdog_end(struct kvm_vm *vm)
{
	struct watchdog *w = &vm->rs->watchdog;

	if (!w->started)
		return;
	atomic_store(&w->quit, true);
	gate_post(&w->go);
	pthread_join(w->thread, NULL);
	w->started = false;
}
