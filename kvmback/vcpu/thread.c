/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A vCPU's thread: the jobs that it is given, and how it is fetched out of the guest. A lone vCPU's jobs are done by the
 * thread that gives them.
 *
 * No kick is lost: the kicker notes it, then sets immediate_exit, then sends the signal; the vCPU's thread clears
 * immediate_exit before it looks at the note, so either it sees that or KVM_RUN sees immediate_exit or the signal.
 */
#include "kvmback/vcpu/vcpu.h"

#include "core/base/tsan.h"

#include <errno.h>

/* ---- in it */

static pid_t own_tid(void)
{
	static __thread pid_t tid;

	if (!tid)
		tid = gettid();
	return tid;
}

static void do_job(struct kvcpu *v, enum job job)
{
	struct vcpu_control *t = v->control;

	t->stop = (struct stop){.slot = -1};
	t->out = OUT_KICKED;
	atomic_store(&t->tid, own_tid());
	vcpu_immediate_exit(v, false);
	v->vm->rs->ops->job(v, job);
	atomic_store(&t->job, JOB_NONE);
}

static void *vcpu_main(void *arg)
{
	struct kvcpu *v = arg;
	struct vcpu_control *t = v->control;
	unsigned seen = 0;

	kick_unblock();
	v->vm->rs->ops->begin(v);
	for (;;) {
		gate_wait(&t->go, seen, 0);
		seen = atomic_load(&t->go.value);
		enum job job = (enum job)atomic_load(&t->job);
		if (job == JOB_QUIT)
			return NULL;
		do_job(v, job);
		gate_post(&v->vm->rs->done);
	}
}

/* ---- its life */

int vcpu_start(struct kvcpu *v, struct err *e)
{
	sigset_t old, all;
	pthread_t thread;

	if (vcpu_runs_here(v))
		return watchdog_start(v->vm, e);
	if (v->control->started)
		return 0;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	int rc = pthread_create(&thread, NULL, vcpu_main, v);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc)
		return err_errno(e, rc, "run vCPU %u" WHY "no thread for it" TRY "fewer vCPUs (-n)", v->index);
	atomic_store(&v->control->thread, thread);
	v->control->started = true;
	return 0;
}

void vcpu_join(struct kvcpu *v)
{
	if (!v->control->started)
		return;
	atomic_store(&v->control->job, JOB_QUIT);
	gate_post(&v->control->go);
	pthread_join(atomic_load(&v->control->thread), NULL);
	v->control->started = false;
}

/* ---- jobs */

static void do_job_here(struct kvcpu *v, enum job job)
{
	if (job == JOB_STEP || job == JOB_RUN)
		watchdog_begin(v->vm);
	/* One that came before the job was there found nobody to kick. */
	if (run_asked(&v->vm->m.run))
		atomic_fetch_or(&v->control->kicks, 1u << KICK_INTERRUPT);
	do_job(v, job);
}

void vcpu_give(struct kvcpu *v, enum job job, uint64_t count)
{
	struct vcpu_control *t = v->control;
	bool here = vcpu_runs_here(v);

	t->count = count;
	atomic_store(&t->kicks, 0);
	atomic_store(&t->steps, 0);
	if (here)
		atomic_store(&t->thread, pthread_self());
	atomic_store(&t->job, (int)job);
	if (here)
		do_job_here(v, job);
	else
		gate_post(&t->go);
}

bool vcpu_busy(const struct kvcpu *v)
{
	return atomic_load(&v->control->job) != JOB_NONE;
}

void vcpu_wait_all(struct kvm_vm *vm)
{
	for (unsigned i = 0; i < vm->m.vcpus; i++)
		for (;;) {
			unsigned seen = atomic_load(&vm->rs->done.value);

			if (!vcpu_busy(&vm->vcpu[i]))
				break;
			gate_wait(&vm->rs->done, seen, 0);
			vcpu_serve_client(vm);
		}
}

void kvm_run_forget(struct kvm_vm *vm, unsigned vcpu)
{
	struct kvcpu *v = &vm->vcpu[vcpu];
	struct vcpu_control *t = v->control;

	if (!t)
		return;
	if (t->io != IO_NONE && !vcpu_load(v, NULL)) {
		vcpu_give(v, JOB_FORGET, 0);
		vcpu_wait_all(vm);
	}
	t->pending = t->exc.shown = t->int_told.on = t->drs.known = false;
	t->db_due = 0;
	t->ss_shadow = ~0ull;
	t->own.rep = REP_NONE;
	/* An access to an armed page that is yet to be done began with other registers than these. */
	vcpu_looked_at(v);
}

/* ---- kicks */

static const struct {
	bool ends_job, stays_out; /* stays_out: the next KVM_RUN does not enter the guest either */
} kicks[KICK_REASONS] = {
    [KICK_INTERRUPT] = {true, true},   [KICK_OTHER_STOPPED] = {true, true}, [KICK_OTHER_TOUCHED] = {true, true},
    [KICK_TURN_OVER] = {true, true},   [KICK_STUCK] = {true, true},	    [KICK_GIVE_UP] = {true, true},
    [KICK_ARMED_PAGE] = {false, true}, [KICK_ROOT_OPEN] = {false, false},   [KICK_LOOK] = {false, false},
};

void vcpu_kick(struct kvcpu *v, enum kick_reason reason)
{
	struct vcpu_control *t = v->control;

	if (kicks[reason].ends_job)
		atomic_fetch_or(&t->kicks, 1u << reason);
	if (kicks[reason].stays_out)
		vcpu_immediate_exit(v, true);
	/* A signal brings it out of KVM_RUN, and so by vcpu_go_out(): what its kicker did comes before that. */
	TSAN_RELEASE(&t->where);
	pthread_kill(atomic_load(&t->thread), KICK_SIGNAL);
}

bool vcpu_kicked(const struct kvcpu *v)
{
	return atomic_load(&v->control->kicks);
}

bool vcpu_kicked_for(const struct kvcpu *v, enum kick_reason reason)
{
	return atomic_load(&v->control->kicks) & 1u << reason;
}

void vcpu_kick_busy(struct kvm_vm *vm, enum kick_reason reason)
{
	for (unsigned i = 0; i < vm->m.vcpus; i++)
		if (vcpu_busy(&vm->vcpu[i]))
			vcpu_kick(&vm->vcpu[i], reason);
}

/* ---- who may run */

/* Emulated SMM is one view of the slots for the whole VM: while a vCPU is in it, nobody outside runs. */
bool vcpu_any_in_smm(const struct kvm_vm *vm)
{
	for (unsigned i = 0; i < vm->m.vcpus; i++)
		if (vm->vcpu[i].in_smm)
			return true;
	return false;
}

bool vcpu_may_run(const struct kvcpu *v)
{
	return !v->halted && (v->in_smm || !vcpu_any_in_smm(v->vm));
}

void vcpu_end_turn(struct kvm_vm *vm)
{
	struct kvcpu *running = NULL;
	bool other = false;

	for (unsigned i = 0; i < vm->m.vcpus; i++) {
		if (vcpu_busy(&vm->vcpu[i]))
			running = &vm->vcpu[i];
		else
			other |= vcpu_may_run(&vm->vcpu[i]);
	}
	if (running && other)
		vcpu_kick(running, KICK_TURN_OVER);
}
