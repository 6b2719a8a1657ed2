/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a vCPU does for a job, in its own thread: run freely, step, look at an armed page that was touched, forget an access.
 * And what all of kvmback does around its KVM_RUN.
 */
#include "kvmback/run.h"

#include <sched.h>
#include <stdio.h>

#include "kvmback/fault/fault.h"
#include "kvmback/step/step.h"
#include "kvmback/trace/mmucatch.h"
#include "kvmback/trace/nestwake.h"
#include "kvmback/trace/rootwake.h"
#include "kvmback/watch/armed.h"

/* Off the breakpoint that the run begins on, with no second handover: once, or through all rounds of a REP instruction. */
static bool step_off(struct kvcpu *v)
{
	struct run_plan was = {0};

	do {
		if (vcpu_kicked(v))
			return vcpu_out(v, OUT_KICKED);
		if (!step_checked(v, &was) || !exit_arrived(v))
			return false;
	} while (v->control->passed);
	plant_relay(v);
	return true;
}

/* Does the run begin on a plant? One at rip while an access was caught is arrived at by the access, or was asked before. */
static bool steps_off(struct kvcpu *v)
{
	return (v->control->passed || io_caught(v)) && plant_exec_at(v->vm->rs, vcpu_linear_rip(v));
}

/* CPL3 runs freely: what it went through before this exit cannot be seen, where it is now can. */
static bool look_at_mode(struct kvcpu *v, const struct run_plan *before)
{
	if (vcpu_look_at_mode(v, before))
		return true;
	snprintf(v->control->stop.note, sizeof(v->control->stop.note),
		 "code of CPL%u ran freely; the change is seen at the first exit behind it", before->cpl);
	return io_finish(v) && vcpu_stop(v, STOP_MODE);
}

/* An access that was shown. A step that it came in made one round of a REP, and is ended as such. */
static bool end_access(struct kvcpu *v)
{
	struct run_plan was = {0};

	if (!io_caught(v))
		return true;
	return v->control->own.rep == REP_NONE ? io_resume(v) : step_checked(v, &was);
}

/* Something comes before the next instruction, or in its place. */
static bool has_first(const struct kvcpu *v)
{
	const struct vcpu_control *t = v->control;

	return (t->db_due || t->int_told.on) && !io_caught(v);
}

static bool do_first(struct kvcpu *v)
{
	bool on = step_one(v) && exit_arrived(v);

	if (on)
		plant_relay(v);
	return on;
}

/* An SMI that waited has led to its handler; *on: nobody asked, and the run goes on there. */
static bool took_smi(struct kvcpu *v, bool *on)
{
	uint32_t wanted = v->vm->rs->catch;
	struct run_plan was = {0};

	if (!smi_waits(v))
		return false;
	vcpu_remember_mode(v, &was);
	if (!smi_take(v))
		return false;
	*on = !(wanted & CATCH_SMI) || vcpu_stop(v, STOP_SMI);
	if (wanted & CATCH_MODE && !*on)
		vcpu_also_mode(v, &was);
	else if (wanted & CATCH_MODE)
		*on = vcpu_look_at_mode(v, &was);
	if (*on)
		plant_relay(v);
	*on = *on && exit_arrived(v);
	return true;
}

static void free_run(struct kvcpu *v)
{
	struct vcpu_control *t = v->control;
	struct run_plan was = {0};

	armed_rearm(v);
	bool on = has_first(v) ? do_first(v) : steps_off(v) ? step_off(v) : end_access(v);

	while (on) {
		stall_look(v);
		if (vcpu_touched(v)) {
			on = vcpu_runs_here(v) ? step_touched(v) : io_finish(v) && vcpu_out(v, OUT_TOUCH);
			if (on && v->vm->mmu)
				on = mmu_look(v);
			continue;
		}
		/* By itself: what it touches of armed pages is this instruction's, and so are its next accesses. */
		if (t->io == IO_DONE && (plant_watching(v->vm->rs) || v->vm->rs->catch & (CATCH_MMIO | CATCH_PIO))) {
			on = io_finish(v) && (!v->vm->mmu || mmu_look(v));
			continue;
		}
		if (t->plan.stale) {
			on = vcpu_runs_here(v) || vcpu_out(v, OUT_TOUCH);
			plant_relay(v);
			continue;
		}
		if (vcpu_kicked(v)) {
			if (io_finish(v))
				vcpu_out(v, OUT_KICKED);
			return;
		}
		if (took_smi(v, &on))
			continue;
		if (t->plan.slow_why) {
			on = step_slow(v);
			continue;
		}
		v->run->kvm_valid_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
		/* Looked at whenever a signal brings the vCPU out, which is how it comes out of an armed page. */
		if (plant_watching(v->vm->rs))
			v->run->kvm_valid_regs |= KVM_SYNC_X86_EVENTS;
		vcpu_remember_mode(v, &was);
		t->passed = false;
		guestdbg_forget(v);
		t->ss_shadow = ~0ull;
		t->own.tf = TF_GUEST; /* whoever sees one: no step has set it */
		on = vcpu_debug(v, &t->plan.dbg) && exit_free(v, vcpu_enter(v));
		if (on && v->vm->rs->catch & CATCH_MODE)
			on = look_at_mode(v, &was);
		if (on && v->vm->mmu)
			on = mmu_look(v);
	}
}

/* ---- what a vCPU's thread asks */

static void begin(struct kvcpu *v)
{
	kvm_faults_thread(v);
}

static void do_job(struct kvcpu *v, enum job job)
{
	if (v->vm->mmu)
		mmu_job_begin(v);
	v->control->over_byte &= job == JOB_TOUCH;
	/* What another stop came before is told first. */
	if (job == JOB_RUN && mmu_pending(v->vm))
		mmu_tell_late(v);
	else if (job == JOB_RUN)
		free_run(v);
	else if (job == JOB_STEP)
		step_run(v, v->control->count);
	else if (job == JOB_TOUCH)
		(void)step_touched(v);
	else if (job == JOB_FORGET)
		io_forget(v);
	if (v->vm->mmu)
		mmu_job_end(v);
}

static bool may_enter(struct kvcpu *v)
{
	if (v->vm->armed)
		atomic_store_explicit(&v->control->cpu, sched_getcpu(), memory_order_relaxed);
	if (!v->control->completing && armed_gave_up(v->vm)) {
		vcpu_kick(v, KICK_GIVE_UP);
		return false;
	}
	return !armed_left_open(v);
}

static void enter(struct kvcpu *v)
{
	if (v->vm->rs->trap)
		trap_page_in(v);
	rootwake_enter(v);
	nestwake_enter(v);
	kvm_faults_enter(v);
}

static int leave(struct kvcpu *v, int rc)
{
	return v->control->trap.state == TRAP_IN ? trap_page_out(v, rc) : rc;
}

const struct vcpu_ops kvm_vcpu_ops = {
    .begin = begin,
    .job = do_job,
    .may_enter = may_enter,
    .enter = enter,
    .leave = leave,
};
