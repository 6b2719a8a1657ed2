/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One instruction, exactly. Where KVM_GUESTDBG_SINGLESTEP works it is used; elsewhere TF is set by hand and the IDT emptied
 * for the step, so that the #DB is a shutdown exit with everything in place. An empty IDT also shows exceptions before the
 * guest's handler runs: they are then delivered, and the step ends at the handler's first instruction.
 *
 * The guest never sees TF: the image that pushf stores is corrected, popf's is noticed as the guest's own TF, and iret,
 * syscall and loads of SS, which lose the trap, are run to an int3 at their target. A REP string instruction is run with a
 * count of one. hlt and RSM are recognised before they run.
 */
#include "kvmback/step/insn.h"
#include "kvmback/trace/mmucatch.h"
#include "kvmback/trace/nestwake.h"
#include "kvmback/vcpu/bytes.h"
#include "kvmback/vcpu/nested.h"
#include "kvmback/watch/armed.h"
#include "kvmback/watch/watchpoint.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

static void idt_empty(struct kvcpu *v)
{
	struct step_own *own = &v->control->own;
	struct kvm_sregs *s = vcpu_sregs(v);

	if (own->idt_empty || !s->idt.limit)
		return;
	own->idt = s->idt;
	own->idt_empty = true;
	s->idt.limit = 0;
	vcpu_dirty(v, KVM_SYNC_X86_SREGS);
}

static void idt_restore(struct kvcpu *v)
{
	struct step_own *own = &v->control->own;

	if (!own->idt_empty)
		return;
	own->idt_empty = false;
	vcpu_sregs(v)->idt = own->idt;
	vcpu_dirty(v, KVM_SYNC_X86_SREGS);
}

/* TF, by whether we set it and whether the guest has. */
static bool tf_ours(const struct step_own *own)
{
	return own->tf == TF_OURS || own->tf == TF_OURS_AND_GUEST;
}

static bool tf_guest(const struct step_own *own)
{
	return own->tf == TF_GUEST || own->tf == TF_OURS_AND_GUEST;
}

static void tf_set(struct kvcpu *v)
{
	struct step_own *own = &v->control->own;

	own->tf = tf_guest(own) ? TF_OURS_AND_GUEST : TF_OURS;
	vcpu_regs(v)->rflags |= RFLAGS_TF;
	vcpu_dirty(v, KVM_SYNC_X86_REGS);
}

static void tf_strip(struct kvcpu *v)
{
	struct step_own *own = &v->control->own;
	struct kvm_regs *r = vcpu_regs(v);

	if (!tf_ours(own))
		return;
	own->tf = tf_guest(own) ? TF_GUEST : TF_CLEAR;
	r->rflags = (r->rflags & ~RFLAGS_TF) | (tf_guest(own) ? RFLAGS_TF : 0);
	vcpu_dirty(v, KVM_SYNC_X86_REGS);
}

/* KVM tells no TF while it single-steps. */
static bool tf_untold(const struct kvcpu *v)
{
	return v->control->dbg.control & KVM_GUESTDBG_SINGLESTEP;
}

static void tf_put(struct kvcpu *v, bool on)
{
	struct kvm_regs *r = vcpu_regs(v);

	if (!!(r->rflags & RFLAGS_TF) == on)
		return;
	r->rflags ^= RFLAGS_TF;
	vcpu_dirty(v, KVM_SYNC_X86_REGS);
}

/* Put everything back that the step set up for itself. */
static void take_back(struct kvcpu *v, struct step *s, bool executed)
{
	insn_target_disarm(s);
	idt_restore(v);
	tf_strip(v);
	if (tf_untold(v))
		tf_put(v, tf_guest(&v->control->own));
	insn_rep_end(v, executed);
}

static bool is_of_now(const struct regs *r, unsigned bit)
{
	return !(r->old >> bit & 1);
}

void step_hide(const struct kvcpu *v, struct regs *r)
{
	const struct step_own *own = &v->control->own;

	if ((tf_ours(own) || v->control->io == IO_CAUGHT_TF) && is_of_now(r, REGS_OLD_RFLAGS))
		r->rflags = (r->rflags & ~RFLAGS_TF) | (tf_guest(own) ? RFLAGS_TF : 0);
	if (own->idt_empty && is_of_now(r, REGS_OLD_IDT) && r->idt.base == own->idt.base && !r->idt.limit)
		r->idt.limit = own->idt.limit;
	/* Before its iteration is done. */
	if (own->rep != REP_NONE && is_of_now(r, REGS_OLD_GPR + RCX) && is_of_now(r, REGS_OLD_RIP) &&
	    r->rip == own->rep_rip && (r->gpr[RCX] & own->rep_mask) == 1)
		r->gpr[RCX] = (r->gpr[RCX] & ~own->rep_mask) | own->rep_count;
}

/* ---- running it */

static bool begin(struct kvcpu *v, struct step *s)
{
	const struct strategy *st = v->vm->rs->st;
	struct kvm_guest_debug d = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP};
	bool protected = vcpu_sregs(v)->cr0 & CR0_PE;

	s->how = st->step[vcpu_mode(v)][s->cpl == 3];
	s->nested = v->nested.in;
	v->control->own.tf = vcpu_regs(v)->rflags & RFLAGS_TF ? TF_GUEST : TF_CLEAR;
	insn_note_popf(v, s);
	insn_rep_begin(v, s);
	if (s->how == STEP_NONE)
		return vcpu_error(v, "this host has no way to step in this mode; see info kvm");
	if (s->nested && !nestwake_on(v->vm))
		return vcpu_error(v,
				  "a step in a nested guest needs KVM's tracepoints, or it would not end where L2 does: %s",
				  nestwake_why(v->vm));
	/* Where a shutdown exit loses what happened, and nothing can stand in, exceptions are met at the guest's handlers.
	 */
	bool to_handlers = !protected || (v->vm->rs->trap && !trap_page_covers(v) && idt_own(v));
	/* An empty IDT of L2's would be L1's to see. */
	if (s->nested)
		;
	else if (protected && !to_handlers && idt_own(v) && !insn_touches_idtr(s))
		idt_empty(v);
	else if (s->how == STEP_GUESTDBG && to_handlers)
		trap_guard(v, s, &d);
	v->run->kvm_valid_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
	if ((s->kind == INSN_IRET || s->kind == INSN_SYSCALL || s->kind == INSN_MOV_SS) && insn_target_arm(v, s))
		return true;
	if (s->how == STEP_GUESTDBG)
		return vcpu_debug(v, &d);
	v->run->kvm_valid_regs |= KVM_SYNC_X86_EVENTS;
	tf_set(v);
	return true;
}

/* An exception of the guest's own making, in a step. */
static bool step_exception(struct kvcpu *v, struct step *s, const struct kvm_vcpu_events *ev)
{
	take_back(v, s, false);
	if (!idt_own(v))
		return exit_exception(v, ev);
	if (!exit_caught(v, ev->exception.nr, ev->exception.has_error_code, ev->exception.error_code, false))
		return false;
	exit_begun(v);
	s->delivered = trap_deliver(v, ev->exception.nr, ev->exception.has_error_code, ev->exception.error_code);
	return s->delivered;
}

static bool step_shutdown(struct kvcpu *v, struct step *s)
{
	struct kvm_vcpu_events ev;

	if (!vcpu_exception_known(v)) {
		take_back(v, s, false);
		return exit_free(v, 0);
	}
	vcpu_events(v, &ev);
	if (s->kind == INSN_INT && s->op[0] == 0xf1) /* INT1's #DB is none of the step's */
		return step_exception(v, s, &ev);
	if (tf_ours(&v->control->own) && ev.exception.nr == 1)
		return true;
	/* With GUESTDBG the #DB of a step that ended at CPL3 comes out here as well. */
	if (s->how == STEP_GUESTDBG && ev.exception.nr == 1 && vcpu_regs(v)->rip != s->from)
		return true;
	if (s->int3 && ev.exception.nr == 3 && vcpu_linear_rip(v) - 1 == s->target) {
		vcpu_regs(v)->rip--;
		vcpu_dirty(v, KVM_SYNC_X86_REGS);
		return true;
	}
	/* The jump is done. What went wrong is the int3 (emulated without one) or the fetch there, which will fail again. */
	if (s->aimed && vcpu_linear_rip(v) == s->target && vcpu_regs(v)->rip != s->from) {
		vcpu_regs(v)->rflags &= ~RFLAGS_RF;
		vcpu_dirty(v, KVM_SYNC_X86_REGS);
		return true;
	}
	return step_exception(v, s, &ev);
}

/* The instruction has taken the vCPU into L2 or out of it. */
static bool crossed(const struct kvcpu *v, const struct step *s)
{
	return v->nested.in != s->nested;
}

static bool is_elsewhere(struct kvcpu *v, const struct step *s)
{
	return vcpu_regs(v)->rip != s->from || crossed(v, s);
}

/* What the step has put in place of L1's own went away with L1, and is taken back there. Out of L2, KVM takes the step for
 * one of L1's over VMRUN, and has a #DB for it. */
static bool settle_crossing(struct kvcpu *v, const struct step *s)
{
	struct step_own *own = &v->control->own;
	struct nested_l1 l1 = {.clear_tf = !tf_guest(own), .idt = own->idt_empty ? &own->idt : NULL};

	if (!crossed(v, s))
		return true;
	own->idt_empty = false;
	if (s->nested)
		vcpu_drop(v, 1);
	own->tf = TF_CLEAR;
	return s->nested || nested_put_l1(v, &l1) || vcpu_error(v, "KVM_SET_NESTED_STATE: %s", strerror(errno));
}

/* True if KVM_RUN must be called again. */
static bool must_reenter(struct kvcpu *v, struct step *s, int rc, const struct kvm_regs *before)
{
	static const struct kvm_guest_debug only_step = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP};

	if ((rc == -EINTR || rc == -EAGAIN) && !vcpu_kicked(v) && !is_elsewhere(v, s))
		return true;
	if (rc)
		return false;
	/* A breakpoint register that stands at rip itself, left from a free run. */
	if (v->run->exit_reason == KVM_EXIT_DEBUG && vcpu_regs(v)->rip == s->from && v->run->debug.arch.dr6 & 15 &&
	    !(v->run->debug.arch.dr6 & 1 << 14))
		return vcpu_debug(v, &only_step);
	if (insn_trapped_early(v, s, before))
		return true;
	return v->run->exit_reason == KVM_EXIT_INTR || v->run->exit_reason == KVM_EXIT_IRQ_WINDOW_OPEN;
}

/* The access is done, yet the instruction may have raised something behind it (its other operand faults, it is none that the
 * emulator has): that waits in the vCPU's events, where it would pass for a step that went nowhere. */
static bool completed(struct kvcpu *v, struct step *s)
{
	struct kvm_vcpu_events ev;

	if (vcpu_regs(v)->rip != s->from)
		return true;
	vcpu_events(v, &ev);
	if (!(ev.exception.pending || ev.exception.injected) || ev.exception.nr == 1)
		return true;
	struct kvm_vcpu_events none = ev;
	none.exception.pending = none.exception.injected = 0;
	ioctl(v->fd, KVM_SET_VCPU_EVENTS, &none);
	v->sync_fresh &= ~(uint32_t)KVM_SYNC_X86_EVENTS;
	return step_exception(v, s, &ev);
}

/* After KVM_RUN: true if the instruction has been executed. */
static bool is_executed(struct kvcpu *v, struct step *s, int rc)
{
	if (rc == -EINTR || rc == -EAGAIN) {
		/* Kicked between the instruction and its #DB. */
		if (tf_ours(&v->control->own))
			vcpu_drop(v, 1);
		if (s->int3 && vcpu_linear_rip(v) - 1 == s->target && vcpu_regs(v)->rip != s->from) {
			vcpu_drop(v, 3);
			vcpu_regs(v)->rip--;
			vcpu_dirty(v, KVM_SYNC_X86_REGS);
		}
		if (is_elsewhere(v, s))
			return true;
		take_back(v, s, false);
		return vcpu_out(v, OUT_KICKED);
	}
	if (!rc && (v->run->exit_reason == KVM_EXIT_MMIO || v->run->exit_reason == KVM_EXIT_IO))
		return exit_io(v) && io_finish(v) && completed(v, s);
	if (!rc && v->run->exit_reason == KVM_EXIT_DEBUG) {
		s->dr6 = v->run->debug.arch.dr6;
		return true;
	}
	if (!rc && v->run->exit_reason == KVM_EXIT_SHUTDOWN)
		return step_shutdown(v, s);
	if (!rc && v->run->exit_reason == KVM_EXIT_HLT)
		return exit_halt(v);
	if (!rc && v->run->exit_reason == KVM_EXIT_INTERNAL_ERROR && s->int3 && vcpu_linear_rip(v) == s->target)
		return true;
	take_back(v, s, false);
	return exit_failed(v, rc);
}

/* Real mode keeps its vector table in a step: the instruction has faulted, and the vCPU stands at the handler. What is told
 * comes before the delivery. */
static bool finish_fault(struct kvcpu *v, const struct step *s, unsigned vector)
{
	struct kvm_regs here = *vcpu_regs(v);
	struct kvm_sregs there = *vcpu_sregs(v);
	struct kvm_vcpu_events ev = {.exception.nr = (uint8_t)vector};

	trap_frame_tf(v, tf_guest(&v->control->own));
	if (!trap_undo(v))
		return true;
	vcpu_regs(v)->rip = s->from;
	if (real_empty(v, vector)) {
		(void)exit_exception(v, &ev);
		v->control->stop.handler = HANDLER_EMPTY;
		return false;
	}
	if (!exit_caught(v, vector, false, 0, false))
		return false;
	*vcpu_regs(v) = here;
	*vcpu_sregs(v) = there;
	tf_put(v, false);
	return true;
}

/* TF as the instruction has left it. */
static bool tf_after(struct kvcpu *v, const struct step *s)
{
	if (s->kind == INSN_POPF || (s->kind == INSN_IRET && !s->aimed))
		return s->popped_tf;
	return tf_untold(v) ? tf_guest(&v->control->own) : vcpu_regs(v)->rflags & RFLAGS_TF;
}

/* Bits of DR6 for what the guest has set up to trap behind this instruction. TF counts as it was before, of SYSCALL and
 * SYSRET as they leave it; a load of SS holds it back, unless the next instruction was done with it. */
static uint64_t trap_bits(struct kvcpu *v, const struct step *s, bool before, bool after)
{
	bool sys = s->kind == INSN_SYSCALL || (s->kind == INSN_IRET && s->op[0] == 0x0f), tf = sys ? after : before;

	if (s->kind == INSN_MOV_SS && vcpu_regs(v)->rip == insn_behind_ss(s)) {
		v->control->ss_shadow = vcpu_linear_rip(v);
		tf = false;
	}
	return (tf ? DR6_BS : 0) | (s->dr6 & 15 ? guestdbg_data(v, s->dr6) : 0);
}

/* The instruction is over: what it did that depended on being stepped. */
static bool finish(struct kvcpu *v, struct step *s)
{
	bool before = tf_guest(&v->control->own), after;
	uint64_t bits;
	int vector;

	if (!settle_crossing(v, s))
		return false;
	if (crossed(v, s)) {
		take_back(v, s, true);
		return true;
	}
	if (!s->delivered)
		insn_fix_pushf(v, s);
	take_back(v, s, !s->delivered);
	if (insn_moves_dr(s))
		guestdbg_forget(v);
	if (s->kind == INSN_INT || s->delivered)
		return true;
	vector = !(vcpu_sregs(v)->cr0 & CR0_PE) && trap_at_guard(v) ? trap_real_fault(v, s->from, s->sp) : -1;
	if (vector >= 0)
		return finish_fault(v, s, (unsigned)vector);
	after = tf_after(v, s);
	tf_put(v, after);
	bits = trap_bits(v, s, before, after);
	return bits ? guestdbg_raise(v, bits) : true;
}

/* hlt and RSM must not be run into, but for L2's, which is L1's to take. False: dealt with, or the caller stops. */
static bool is_special(struct kvcpu *v, const struct step *s)
{
	if (s->kind == INSN_HLT && s->cpl == 0 && !v->nested.in) {
		vcpu_regs(v)->rip += (unsigned)(s->op - s->code) + 1;
		vcpu_dirty(v, KVM_SYNC_X86_REGS);
		return exit_halt(v);
	}
	return s->kind == INSN_RSM && v->in_smm ? vcpu_out(v, OUT_RSM) : true;
}

/* An access that was shown is done, and its instruction with it unless that makes another one that is to be shown. */
static bool finish_access(struct kvcpu *v)
{
	bool ok = io_resume(v) && io_finish(v), tf = tf_untold(v) && tf_guest(&v->control->own);

	if (io_caught(v))
		return ok;
	insn_rep_end(v, true);
	if (tf)
		tf_put(v, true);
	return ok && tf ? guestdbg_raise(v, DR6_BS) : ok;
}

/* INT n, INT3, INTO, INT1 through the guest's table. INT n is no exception. */
static bool software(struct kvcpu *v, const struct step *s, unsigned vector)
{
	bool int_n = s->op[0] == 0xcd;

	if (!int_n && !exit_caught(v, vector, false, 0, true))
		return false;
	return trap_software(v, vector, (unsigned)(s->op - s->code) + 1 + int_n);
}

/* INT n that was told to lead nowhere, and still does, is passed over. */
static bool passes_int(struct kvcpu *v, const struct step *s)
{
	struct int_told *t = &v->control->int_told;
	bool here = t->on && t->rip == s->from && s->kind == INSN_INT && s->op[0] == 0xcd;

	t->on = false;
	if (!here || (idt_own(v) && !real_empty(v, s->op[1])))
		return false;
	t->over = s->from;
	vcpu_regs(v)->rip += (unsigned)(s->op - s->code) + 2;
	if (s->bits == 16)
		vcpu_regs(v)->rip &= 0xffff;
	vcpu_dirty(v, KVM_SYNC_X86_REGS);
	return true;
}

/* *kind: what stood at rip. */
static bool execute(struct kvcpu *v, enum insn_kind *kind)
{
	struct vcpu_control *t = v->control;
	struct step s = {0};
	uint64_t bits;

	insn_decode(v, &s);
	*kind = s.kind;
	if (io_caught(v))
		return finish_access(v);
	/* Before anything of the guest's, and a step by itself. */
	if (smi_take(v))
		return true;
	if (t->db_due)
		return guestdbg_due(v);
	if (passes_int(v, &s))
		return true;
	bits = guestdbg_before(v, insn_moves_dr(&s));
	if (bits)
		return guestdbg_raise(v, bits);
	v->control->ss_shadow = ~0ull;
	if (!is_special(v, &s))
		return false;
	if (s.kind == INSN_MOV_SS && insn_load_ss(v, &s)) {
		v->control->ss_shadow = vcpu_linear_rip(v);
		return true;
	}
	int vector = idt_own(v) ? insn_software_vector(v, &s) : -1;
	if (vector >= 0)
		return software(v, &s, (unsigned)vector);
	/* VT-x leaves on it for a step, and it would seem to have gone nowhere. */
	if (!idt_own(v) && !s.nested && s.kind == INSN_INT && s.op[0] == 0xf1)
		return exit_software(v, 1, (unsigned)(s.op - s.code) + 1, HANDLER_BEYOND_IDT);
	vector = real_fault_due(v, s.op);
	if (vector >= 0)
		return real_raise(v, (unsigned)vector);
	if (!begin(v, &s)) {
		take_back(v, &s, false);
		return false;
	}
	const struct kvm_regs before = *vcpu_regs(v);
	int rc;
	do
		rc = vcpu_enter(v);
	while (must_reenter(v, &s, rc, &before));
	if (is_executed(v, &s, rc))
		return finish(v, &s);
	/* A caught access is still to come: rcx is one until it is done, and shown as it will be. */
	enum rep_state rep = t->own.rep;

	if (t->io == IO_CAUGHT && tf_ours(&t->own))
		t->io = IO_CAUGHT_TF;
	take_back(v, &s, t->out == OUT_SMI || v->halted || (t->out == OUT_STOP && t->stop.reason == STOP_EXIT));
	if (!io_caught(v))
		return false;
	/* What is shown is not stored: registers that are set now would make the emulator forget the result of the access.
	 */
	t->own.rep = rep;
	vcpu_regs(v)->rflags &= ~RFLAGS_RF;
	v->run->kvm_dirty_regs &= ~(uint64_t)KVM_SYNC_X86_REGS;
	return false;
}

/* KVM has read memory for a device that is shown what comes to it, and moved rip on: what was touched is looked at when the
 * device has had it. */
static void note_read(struct kvcpu *v, const struct kvm_regs *before)
{
	struct armed_access *a = &v->control->access;
	struct kvm_regs now = *vcpu_regs(v);

	if (!io_caught(v) || now.rip == before->rip)
		return;
	*vcpu_regs(v) = *before;
	vcpu_gprs(v, a->gpr, &a->rip);
	*vcpu_regs(v) = now;
	a->regs_known = true;
	a->entry = vcpu_entry(v);
	vcpu_touch(v);
}

static bool judge_done(struct kvcpu *v)
{
	bool on = true;

	vcpu_looked_at(v);
	(void)watch_done_by_kvm(v, &on);
	return on;
}

/* Others that run meanwhile are not to get past them: whoever stands on one comes out with all. */
static bool others_may_run(struct kvcpu *v)
{
	return !vcpu_runs_here(v);
}

bool step_one(struct kvcpu *v)
{
	/* An access that was shown: the instruction began before. */
	bool begun = io_caught(v) && vcpu_touched(v), watching = plant_watching(v->vm->rs) && !begun, ok;
	struct kvm_regs before = *vcpu_regs(v);
	enum insn_kind kind;
	uint64_t from = before.rip;
	struct watch_look l;

	if (!others_may_run(v))
		bytes_lift(v->vm->rs, LIFT_FOR_INSN);
	if (watching)
		watch_look(v, &l);
	/* What brought the vCPU out before this instruction is looked at with it. */
	if (!begun)
		vcpu_looked_at(v);
	v->control->from = from;
	/* Pages may be armed still for a watch that is gone. */
	atomic_store_explicit(&v->control->stepping, true, memory_order_relaxed);
	ok = execute(v, &kind);
	atomic_store_explicit(&v->control->stepping, false, memory_order_relaxed);
	/* Later rounds of a REP instruction are no new arrival at it. */
	if (vcpu_regs(v)->rip != from || (ok && kind != INSN_REP))
		v->control->passed = false;
	if (!ok && watching && l.id)
		note_read(v, &before);
	ok = ok && (!begun || judge_done(v)) && (!watching || watch_judge(v, &l));
	armed_rearm(v);
	return ok;
}

/* What may stop after a step besides a breakpoint. */
static bool check_after(struct kvcpu *v, const struct run_plan *before, bool was_smm)
{
	const struct run_state *rs = v->vm->rs;
	bool on = true;

	if (rs->catch & CATCH_SMI && was_smm != vcpu_native_smm(v))
		on = vcpu_stop(v, was_smm ? STOP_RSM : STOP_SMI);
	if (rs->catch & CATCH_MODE && !on)
		vcpu_also_mode(v, before);
	else if (rs->catch & CATCH_MODE && !vcpu_look_at_mode(v, before))
		on = false;
	return on && v->vm->mmu ? mmu_look(v) : on;
}

/* The same behind an instruction that has hit a watchpoint. */
static void check_beside(struct kvcpu *v, const struct run_plan *before, bool was_smm)
{
	const struct vcpu_control *t = v->control;

	if (t->out != OUT_STOP || t->stop.reason != STOP_WATCHPOINT)
		return;
	if (v->vm->rs->catch & CATCH_SMI && was_smm != vcpu_native_smm(v))
		stop_add_cause(&v->control->stop, was_smm ? STOP_RSM : STOP_SMI, 0);
	if (v->vm->rs->catch & CATCH_MODE)
		vcpu_also_mode(v, before);
}

/* access: the last one finished an access, whose write may have left rip behind its instruction already. */
static void end_steps(struct kvcpu *v, const struct kvm_regs *before, bool access)
{
	struct stop *s = &v->control->stop;

	vcpu_stop(v, STOP_STEP);
	if (access || memcmp(before, vcpu_regs(v), sizeof(*before)))
		return;
	s->no_progress = true;
	snprintf(s->note, sizeof(s->note), "neither rip nor any general register moved");
}

void step_run(struct kvcpu *v, uint64_t count)
{
	struct vcpu_control *t = v->control;
	struct kvm_regs before;
	struct run_plan was = {0};
	bool access = false;

	for (uint64_t i = 0; i < count; i++) {
		if (vcpu_kicked(v)) {
			vcpu_out(v, OUT_KICKED);
			return;
		}
		before = *vcpu_regs(v);
		access = io_caught(v);
		vcpu_remember_mode(v, &was);
		bool was_smm = vcpu_native_smm(v), ok = step_one(v);
		if (ok || t->out == OUT_SMI)
			atomic_fetch_add_explicit(&t->steps, 1, memory_order_relaxed);
		nestwake_stepped(v);
		if (!ok)
			check_beside(v, &was, was_smm);
		if (!ok || !check_after(v, &was, was_smm))
			return;
		if (i + 1 < count && !exit_arrived(v))
			return;
	}
	end_steps(v, &before, access);
}

bool step_checked(struct kvcpu *v, struct run_plan *was)
{
	bool was_smm = vcpu_native_smm(v);

	vcpu_remember_mode(v, was);
	if (step_one(v))
		return check_after(v, was, was_smm);
	check_beside(v, was, was_smm);
	return false;
}

bool step_slow(struct kvcpu *v)
{
	struct run_plan was = {0};
	unsigned cpl = vcpu_cpl(v);

	if (!exit_arrived(v))
		return false;
	if (others_may_run(v) && insn_meets_int3(v)) {
		v->control->over_byte = true;
		return vcpu_out(v, OUT_TOUCH);
	}
	if (!step_checked(v, &was))
		return false;
	/* Another privilege or other tables may be run freely, or have to be stepped from here on. */
	if (v->control->plan.unresolved || vcpu_cpl(v) != cpl || vcpu_mode_changed(v, &was) || was.cr3 != vcpu_sregs(v)->cr3)
		plant_relay(v);
	return true;
}

bool step_touched(struct kvcpu *v)
{
	bool on;

	if (!io_finish(v))
		return false;
	vcpu_looked_at(v);
	/* A kick that comes meanwhile is seen by its note. */
	vcpu_immediate_exit(v, false);
	if (vcpu_kicked(v))
		vcpu_immediate_exit(v, true);
	bool over_byte = v->control->over_byte;
	v->control->over_byte = false;
	if (!over_byte && watch_done_by_kvm(v, &on))
		armed_rearm(v);
	else
		/* An access of a device that was done above has left rip behind its instruction, where nothing was asked. */
		on = exit_arrived(v) && step_one(v);
	return on && exit_arrived(v);
}
