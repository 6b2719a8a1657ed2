/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * All-stop run control: a thread for each vCPU, jobs handed to them, everybody out of the guest again before machine_run()
 * returns. The first that comes back with something to tell decides the stop; what another has to tell at the same time is
 * either found again when it runs on (a breakpoint) or stays pending.
 */
#include "kvmback/run.h"

#include "kvmback/fault/fault.h"
#include "kvmback/step/step.h"
#include "kvmback/trace/mmucatch.h"
#include "kvmback/trace/nestwake.h"
#include "kvmback/trace/rootwake.h"
#include "kvmback/watch/armed.h"
#include "kvmback/watch/watchpoint.h"

#include "core/cpu/access.h"
#include "core/cpu/disas.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#define SYNC_NEEDED (KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS)

void kvm_kick(void *ctx)
{
	struct kvm_vm *vm = kvm_of(ctx);

	if (vm->rs)
		vcpu_kick_busy(vm, KICK_INTERRUPT);
}

void kvm_nudge(void *ctx)
{
	gate_post(&kvm_of(ctx)->rs->done);
}

void kvm_thread_begin(void *ctx)
{
	(void)ctx;
	kick_unblock();
}

/* ---- one step job */

static void tell(struct kvcpu *v, const struct stop *s, struct stop *out)
{
	*out = *s;
	v->control->pending = false;
}

/* What this vCPU may have to tell besides stays pending. */
static void tell_interrupted(struct kvcpu *v, struct stop *out)
{
	*out = (struct stop){
	    .reason = STOP_INTERRUPTED, .vcpu = v->index, .rip = vcpu_regs(v)->rip, .nested = v->nested.in, .slot = -1};
}

/* Wait for the step job; an instruction that does not come back is fetched out, and false. */
static bool wait_step(struct kvcpu *v)
{
	struct run_state *rs = v->vm->rs;
	unsigned long before = 0;

	if (vcpu_runs_here(v))
		return !vcpu_kicked_for(v, KICK_STUCK) || v->control->out != OUT_KICKED;
	/* One that came before the job was given found nobody to kick. */
	if (run_asked(&v->vm->m.run))
		vcpu_kick(v, KICK_INTERRUPT);
	for (;;) {
		unsigned seen = atomic_load(&rs->done.value);

		if (!vcpu_busy(v))
			return true;
		if (gate_wait(&rs->done, seen, STUCK_NS)) {
			vcpu_serve_client(v->vm);
			continue;
		}
		unsigned long steps = atomic_load(&v->control->steps);
		if (steps == before && vcpu_busy(v)) {
			vcpu_kick(v, KICK_STUCK);
			vcpu_wait_all(v->vm);
			return v->control->out != OUT_KICKED;
		}
		before = steps;
	}
}

static void step_stuck(struct kvcpu *v, struct stop *out)
{
	struct vcpu_control *t = v->control;

	if (run_asked(&v->vm->m.run)) {
		tell_interrupted(v, out);
		return;
	}

	vcpu_stop(v, STOP_STEP);
	t->stop.no_progress = true;
	snprintf(t->stop.note, sizeof(t->stop.note),
		 "the instruction did not come back from KVM_RUN within a second; "
		 "set rip past it to go on");
	tell(v, &t->stop, out);
}

/* An armed page was touched while several ran: now that the others are out, the instruction. 1: go on. */
static int service_touch(struct kvcpu *v, struct stop *out)
{
	struct vcpu_control *t = v->control;

	t->pending = false;
	vcpu_give(v, JOB_TOUCH, 0);
	if (!wait_step(v)) {
		step_stuck(v, out);
		return 0;
	}
	if (t->out == OUT_STOP) {
		tell(v, &t->stop, out);
		return 0;
	}
	t->pending = t->out == OUT_SMI || t->out == OUT_RSM;
	return 1;
}

/* Into SMM or out of it: with all reasons that there are. False: nobody asked. */
static bool stops_in_smm(struct kvcpu *v, bool in, const struct run_plan *was)
{
	struct vcpu_control *t = v->control;
	bool stop = true;

	if (v->vm->rs->catch & CATCH_SMI)
		vcpu_stop(v, in ? STOP_SMI : STOP_RSM);
	else if (machine_slot_stop(&v->vm->m, v->index, vcpu_regs(v)->rip, &t->stop))
		vcpu_out(v, OUT_STOP);
	else
		stop = false;
	if (!(v->vm->rs->catch & CATCH_MODE))
		return stop;
	if (stop)
		vcpu_also_mode(v, was);
	return stop || !vcpu_look_at_mode(v, was);
}

/* Did KVM do the access to an armed page that this vCPU came out with? Then it is looked at, and true if that was a hit.
 * With all vCPUs out, and no int3 of ours in the code that is decoded. What else the vCPU has to tell stays as it is. */
static bool take_hit(struct kvcpu *v, struct stop *hit, bool *done)
{
	struct vcpu_control *t = v->control;
	enum outcome out = t->out;
	struct stop was = t->stop;
	bool on = true;

	t->stop = (struct stop){.slot = -1};
	*done = vcpu_touched(v) && watch_done_by_kvm(v, &on);
	if (*done)
		vcpu_looked_at(v);
	*hit = t->stop;
	t->stop = was;
	t->out = out;
	return !on;
}

/* The vCPU came back for something that the debugger's thread does: an SMI, an RSM. 1: it went into or out of SMM and may
 * run on. 0: *out is the stop. */
static int service(struct kvcpu *v, struct stop *out, struct err *e)
{
	struct vcpu_control *t = v->control;
	struct stop hit;
	bool done;

	if (t->out == OUT_TOUCH)
		return service_touch(v, out);
	/* Of the access that raised the SMI, which is taken behind it. */
	if (take_hit(v, &hit, &done)) {
		*out = hit;
		t->pending = true;
		return 0;
	}

	bool in = t->out == OUT_SMI, native = v->vm->host->x86_smm;
	struct run_plan was = {0};

	vcpu_remember_mode(v, &was);
	int rc = !in ? kvm_smm_leave(v->vm, v->index, e) : native ? smi_raise(v, e) : kvm_smm_enter(v->vm, v->index, e);

	t->pending = false;
	t->stop = (struct stop){.slot = -1};
	if (rc == -EINVAL && !in) {
		vcpu_stop(v, STOP_SHUTDOWN);
		snprintf(t->stop.note, sizeof(t->stop.note), "RSM: %.140s", e ? e->why : "the saved state is bad");
		err_clear(e);
		tell(v, &t->stop, out);
		return 0;
	}
	if (rc)
		return rc;
	rc = vcpu_load(v, e);
	if (rc)
		return rc;
	/* Not taken yet: it comes with the next KVM_RUN. */
	if (native && !vcpu_native_smm(v))
		return 1;
	machine_slot_note_smm(&v->vm->m, in);
	t->passed = false;
	if (!stops_in_smm(v, in, &was))
		return 1;
	tell(v, &t->stop, out);
	return 0;
}

static void finish_step(struct kvcpu *v, struct stop *out)
{
	if (v->control->out == OUT_HALT)
		vcpu_stop(v, STOP_HLT);
	tell(v, &v->control->stop, out);
}

static int run_step(struct kvcpu *v, uint64_t count, struct stop *out, struct err *e)
{
	struct vcpu_control *t = v->control;

	if (t->out == OUT_TOUCH)
		t->pending = false;
	while (count) {
		bool waited = t->pending;

		atomic_store(&t->steps, 0);
		if (!waited)
			vcpu_give(v, JOB_STEP, count);
		if (!waited && !wait_step(v)) {
			step_stuck(v, out);
			return 0;
		}
		count -= atomic_load(&t->steps);
		if (t->out == OUT_KICKED) {
			tell_interrupted(v, out);
			return armed_error(v->vm, e);
		}
		if (t->out != OUT_SMI && t->out != OUT_RSM) {
			finish_step(v, out);
			out->before = waited;
			return 0;
		}
		count -= t->out == OUT_RSM;
		int rc = service(v, out, e);
		if (rc <= 0)
			return rc;
		vcpu_stop(v, STOP_STEP);
	}
	tell(v, &t->stop, out);
	return 0;
}

static bool at_breakpoint(struct kvcpu *v)
{
	return plant_exec_at(v->vm->rs, vcpu_linear_rip(v)) != 0;
}

/* Has it come to a breakpoint that it was not told of? While an access is half done it has not come anywhere. */
static bool tell_arrived(struct kvcpu *v, struct stop *out)
{
	struct vcpu_control *t = v->control;

	if (t->pending || io_caught(v) || !vcpu_may_run(v) || !at_breakpoint(v) || exit_returned(v))
		return false;
	t->stop = (struct stop){.slot = -1};
	exit_arrived(v);
	tell(v, &t->stop, out);
	out->before = true;
	return true;
}

/* One vCPU off the breakpoint that it stands on: once, or through all rounds of a REP instruction. As step_over(). */
static int step_over_one(struct kvcpu *v, struct stop *out, struct err *e)
{
	struct vcpu_control *t = v->control;

	do {
		int rc = run_step(v, 1, out, e);
		if (rc)
			return rc;
		if (out->reason != STOP_STEP || tell_arrived(v, out))
			return 0;
	} while (t->passed && at_breakpoint(v));
	return 1;
}

/* Step every vCPU off a breakpoint that it has been told of, while the others stand still. 1: go on; 0: *out is a stop that
 * came on the way. A lone one does so itself: free_run(). */
static int step_over(struct kvm_vm *vm, struct stop *out, struct err *e)
{
	for (unsigned i = 0; vm->m.vcpus > 1 && i < vm->m.vcpus; i++) {
		struct kvcpu *v = &vm->vcpu[i];
		bool passes = v->control->passed || io_caught(v);
		int rc = passes && vcpu_may_run(v) && at_breakpoint(v) ? step_over_one(v, out, e) : 1;

		if (rc != 1)
			return rc;
	}
	return 1;
}

static bool all_halted(const struct kvm_vm *vm)
{
	for (unsigned i = 0; i < vm->m.vcpus; i++)
		if (vcpu_busy(&vm->vcpu[i]) || vcpu_may_run(&vm->vcpu[i]))
			return false;
	return true;
}

/* Halted all of them, and told to go on: there is nothing to wake them but the debugger. */
static void wake(struct kvm_vm *vm, unsigned vcpu)
{
	bool all = all_halted(vm);

	for (unsigned i = 0; i < vm->m.vcpus; i++)
		if (all || i == vcpu)
			vm->vcpu[i].halted = false;
}

static void start_all(struct kvm_vm *vm)
{
	atomic_store(&vm->rs->giving, true);
	for (unsigned i = 0; i < vm->m.vcpus; i++)
		if (vcpu_may_run(&vm->vcpu[i]))
			vcpu_give(&vm->vcpu[i], JOB_RUN, 0);
	atomic_store(&vm->rs->giving, false);
}

/* One vCPU at a time, from this one on: until one of them has news. NULL as in wait_news(). */
static struct kvcpu *take_turns(struct kvm_vm *vm, unsigned vcpu)
{
	struct gate *done = &vm->rs->done;
	struct kvcpu *v;

	do {
		for (unsigned i = 0; i < vm->m.vcpus && !vcpu_may_run(&vm->vcpu[vcpu]); i++)
			vcpu = (vcpu + 1) % vm->m.vcpus;
		v = &vm->vcpu[vcpu];
		if (!vcpu_may_run(v))
			return NULL;
		vcpu_give(v, JOB_RUN, 0);
		/* One that came before the job was given found nobody to kick. */
		if (run_asked(&vm->m.run))
			vcpu_kick(v, KICK_INTERRUPT);
		for (unsigned seen = atomic_load(&done->value); vcpu_busy(v); seen = atomic_load(&done->value)) {
			gate_wait(done, seen, 0);
			vcpu_serve_client(vm);
		}
		if (v->control->out != OUT_KICKED && v->control->out != OUT_HALT)
			return v;
		vcpu = (vcpu + 1) % vm->m.vcpus;
	} while (!run_asked(&vm->m.run) && !armed_gave_up(vm));
	return NULL;
}

/* Has somebody come back with something to tell, or can nobody go on? */
static struct kvcpu *find_news(struct kvm_vm *vm)
{
	for (unsigned i = 0; i < vm->m.vcpus; i++) {
		struct kvcpu *v = &vm->vcpu[i];

		if (!vcpu_busy(v) && v->control->out != OUT_KICKED && v->control->out != OUT_HALT)
			return v;
	}
	return NULL;
}

/* Until there is news; then everybody comes out. NULL: interrupted, or all halted. */
static struct kvcpu *wait_news(struct kvm_vm *vm)
{
	struct kvcpu *v;

	for (;;) {
		unsigned seen = atomic_load(&vm->rs->done.value);

		v = find_news(vm);
		if (v || all_halted(vm) || run_asked(&vm->m.run) || armed_gave_up(vm))
			break;
		if (!gate_wait(&vm->rs->done, seen, PROGRESS_LOOK_NS))
			stall_due(vm);
		vcpu_serve_client(vm);
	}
	vcpu_kick_busy(vm, v ? KICK_OTHER_STOPPED : KICK_INTERRUPT);
	vcpu_wait_all(vm);
	return v;
}

/* A breakpoint is found again: its place has not been asked. So is what an instruction failed with. */
static bool must_keep(const struct vcpu_control *t)
{
	enum stop_reason r = t->stop.reason;

	return t->out == OUT_SMI || t->out == OUT_TOUCH || (t->out == OUT_STOP && r != STOP_BREAKPOINT && r != STOP_ERROR);
}

static void keep_pending(struct kvm_vm *vm, const struct kvcpu *stopped)
{
	for (unsigned i = 0; i < vm->m.vcpus; i++) {
		struct kvcpu *v = &vm->vcpu[i];
		struct vcpu_control *t = v->control;

		if (v != stopped && must_keep(t))
			t->pending = true;
	}
}

/* A hit is news of the vCPU's, first of all that it has. One whose access is shown is told when it is done, and so is
 * what comes with an SMI: service(). */
static bool settle(struct kvcpu *v)
{
	struct vcpu_control *t = v->control;
	struct stop hit;
	bool done, told;

	if (io_caught(v) || t->out == OUT_SMI)
		return false;
	told = take_hit(v, &hit, &done);
	if (told && t->out == OUT_STOP)
		stop_put_first(&t->stop, &hit);
	else if (told)
		t->stop = hit;
	if (told)
		t->out = OUT_STOP;
	else if (done && t->out == OUT_TOUCH)
		t->out = OUT_KICKED;
	return done;
}

static void settle_all(struct kvm_vm *vm)
{
	bool any = false;

	for (unsigned i = 0; i < vm->m.vcpus; i++)
		any |= settle(&vm->vcpu[i]);
	if (any)
		armed_rearm(&vm->vcpu[0]);
}

/* One round: plant, let go, wait, lift. 1: what came up was dealt with, once more. */
static int round_of(struct kvm_vm *vm, unsigned vcpu, struct stop *out, struct err *e)
{
	struct kvcpu *v;
	int rc = plant_lay(vm, e);

	if (rc)
		return rc;
	for (unsigned i = 0; i < vm->m.vcpus; i++)
		vm->vcpu[i].control->out = OUT_KICKED;
	if (vm->rs->turns) {
		v = take_turns(vm, vcpu);
	} else {
		start_all(vm);
		v = wait_news(vm);
	}
	plant_lift(vm);
	settle_all(vm);
	if (!v && !run_asked(&vm->m.run))
		v = find_news(vm);
	keep_pending(vm, v);
	rc = v ? 0 : armed_error(vm, e);
	if (rc)
		return rc;
	if (!v && run_asked(&vm->m.run)) {
		tell_interrupted(&vm->vcpu[vcpu], out);
		return 0;
	}
	if (!v) {
		v = &vm->vcpu[vcpu];
		vcpu_stop(v, STOP_HLT);
	}
	if (v->control->out == OUT_KICKED)
		return 1;
	if (v->control->out != OUT_STOP)
		return service(v, out, e);
	/* Back behind a fault, on a breakpoint that was told before it: once more, off it. */
	if (v->control->stop.reason == STOP_BREAKPOINT && exit_returned(v))
		return 1;
	tell(v, &v->control->stop, out);
	return 0;
}

static struct kvcpu *find_pending(struct kvm_vm *vm)
{
	for (unsigned i = 0; i < vm->m.vcpus; i++)
		if (vm->vcpu[i].control->pending)
			return &vm->vcpu[i];
	return NULL;
}

/* What another stop came before, until there is none. 1: go on. */
static int tell_pending(struct kvm_vm *vm, struct stop *out, struct err *e)
{
	struct kvcpu *v;
	int rc = 1;

	while (rc == 1 && (v = find_pending(vm))) {
		if (v->control->out != OUT_STOP) {
			rc = service(v, out, e);
			continue;
		}
		tell(v, &v->control->stop, out);
		rc = 0;
	}
	return rc;
}

static bool any_arrived(struct kvm_vm *vm, unsigned vcpu, struct stop *out)
{
	for (unsigned i = 0; i < vm->m.vcpus; i++)
		if (tell_arrived(&vm->vcpu[(vcpu + i) % vm->m.vcpus], out))
			return true;
	return false;
}

static int run_continue(struct kvm_vm *vm, unsigned vcpu, struct stop *out, struct err *e)
{
	int rc = tell_pending(vm, out, e);

	if (rc == 1)
		wake(vm, vcpu);
	while (rc == 1) {
		rc = tell_pending(vm, out, e);
		if (rc == 1 && any_arrived(vm, vcpu, out))
			rc = 0;
		/* Also in later rounds: one that stood while another was in SMM stands on its breakpoint yet. */
		if (rc == 1)
			rc = step_over(vm, out, e);
		if (rc == 1)
			rc = round_of(vm, vcpu, out, e);
	}
	return rc;
}

static void set_passed(struct kvm_vm *vm, uint64_t passed)
{
	/* One whose access was shown knows better itself: rip may have been moved on before the access is done. */
	for (unsigned i = 0; i < vm->m.vcpus; i++)
		if (!io_caught(&vm->vcpu[i]))
			vm->vcpu[i].control->passed = passed >> i & 1;
}

static uint64_t get_passed(struct kvm_vm *vm)
{
	uint64_t passed = 0;

	for (unsigned i = 0; i < vm->m.vcpus; i++)
		passed |= (uint64_t)exit_returned(&vm->vcpu[i]) << i;
	return passed;
}

static int ready(struct kvm_vm *vm, struct err *e)
{
	int rc = vm->rs->st ? 0 : kvm_strategy_get(&vm->rs->st, e);

	if (!rc && !vm->rs->st->shutdown_keeps_state)
		rc = trap_page_make(vm, e);
	for (unsigned i = 0; !rc && i < vm->m.vcpus; i++) {
		rc = vcpu_start(&vm->vcpu[i], e);
		if (!rc)
			rc = vcpu_load(&vm->vcpu[i], e);
	}
	return rc;
}

int kvm_enter(void *ctx, struct run_job *job, struct stop *out, struct err *e)
{
	struct kvm_vm *vm = kvm_of(ctx);
	unsigned vcpu = job->vcpu;
	struct stop s = {.slot = -1};
	int rc = ready(vm, e);

	if (!rc && job->kind == RUN_STEP && !vm->vcpu[vcpu].in_smm && vcpu_any_in_smm(vm))
		rc = err_set(e, -EBUSY,
			     "step vCPU %u" WHY "another vCPU is in (emulated) SMM, and memory is as SMM sees it" TRY
			     "c, or vcpu N for the one in SMM",
			     vcpu);
	if (!rc)
		rc = armed_recover(vm, e);
	if (rc)
		return rc;
	kvm_faults_run_begin(vm);
	mmu_run_begin(vm);
	set_passed(vm, job->passed);
	nestwake_set(vm, job->kind == RUN_STEP);
	if (job->kind != RUN_STEP)
		stall_begin(vm);
	if (run_asked(&vm->m.run))
		tell_interrupted(&vm->vcpu[vcpu], &s);
	else if (job->kind != RUN_STEP)
		rc = run_continue(vm, vcpu, &s, e);
	else if (!tell_arrived(&vm->vcpu[vcpu], &s))
		rc = run_step(&vm->vcpu[vcpu], job->count, &s, e);
	if (rc)
		return rc;
	job->passed = get_passed(vm);
	mmu_run_end(vm, &s);
	*out = s;
	return 0;
}

/* ---- life */

int kvm_run_init(struct kvm_vm *vm, struct err *e)
{
	struct kvm_enable_cap triple = {.cap = KVM_CAP_X86_TRIPLE_FAULT_EVENT, .args = {1}};

	if ((vm->host->sync_regs & SYNC_NEEDED) != SYNC_NEEDED || !vm->host->immediate_exit || !vm->host->guest_debug)
		return err_set(e, -ENOTSUP,
			       "run a VM" WHY "this host's KVM lacks KVM_CAP_SYNC_REGS, KVM_CAP_IMMEDIATE_EXIT or "
			       "KVM_CAP_SET_GUEST_DEBUG" TRY "Linux 4.18 or newer, or -b soft");
	/* If it exists (Linux 6.0): a shutdown that a kick came before can be seen, and taken. */
	(void)ioctl(vm->fd, KVM_ENABLE_CAP, &triple);
	kick_init();
	vm->rs = calloc(1, sizeof(*vm->rs));
	if (!vm->rs)
		return err_nomem(e, "run control");
	vm->rs->ops = &kvm_vcpu_ops;
	lock_init(&vm->rs->board_lock, LOCK_BOARD);
	lock_init(&vm->rs->plant_lock, LOCK_PLANTS);
	lock_init(&vm->rs->byte_lock, LOCK_BYTES);
	for (unsigned i = 0; i < vm->m.vcpus; i++) {
		struct kvcpu *v = &vm->vcpu[i];

		v->control = calloc(1, sizeof(*v->control));
		if (!v->control) {
			kvm_run_deinit(vm);
			return err_nomem(e, "run control");
		}
		v->run->kvm_valid_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
	}
	return 0;
}

void kvm_run_deinit(struct kvm_vm *vm)
{
	if (!vm->rs)
		return;
	/* First, as it looks at the vCPUs. Nobody runs any more: run_close() came before. */
	watchdog_end(vm);
	kvm_faults_destroy(vm);
	/* Its thread may be at the end of an answer yet, with a vCPU at hand. */
	armed_destroy(vm);
	for (unsigned i = 0; i < vm->m.vcpus; i++) {
		struct kvcpu *v = &vm->vcpu[i];

		if (v->control)
			vcpu_join(v);
		access_decoder_destroy(v->control ? v->control->accesses : NULL);
		disas_destroy(v->control ? v->control->disas : NULL);
		free(v->control);
		v->control = NULL;
	}
	kvm_mmu_destroy(vm);
	rootwake_destroy(vm);
	nestwake_destroy(vm);
	plant_free(vm->rs);
	trap_page_free(vm->rs);
	lock_destroy(&vm->rs->board_lock);
	lock_destroy(&vm->rs->plant_lock);
	free(vm->rs);
	vm->rs = NULL;
}
