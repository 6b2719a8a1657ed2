/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One instruction, exactly. Where KVM_GUESTDBG_SINGLESTEP works it is used; elsewhere TF is set by hand and the IDT emptied
 * for the step, so that the #DB is a shutdown exit with everything in place. An empty IDT also shows exceptions before the
 * guest's handler runs: they are then delivered, and the step ends at the handler's first instruction.
 *
 * The guest never sees TF: the image that pushf stores is corrected, popf's is noticed as the guest's own TF, and iret and
 * syscall, which lose the trap, are run to an int3 at their target. A REP string instruction is run with a count of one. hlt
 * and RSM are recognised before they run.
 */
#include "kvmback/run.h"

#include "core/debug/disas.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#define MSR_LSTAR 0xc0000082u
#define MSR_SYSENTER_EIP 0x176u

/* What is known of the instruction at rip, and what the step has changed for itself. */
struct step {
	enum insn_kind kind;
	uint8_t code[15];
	const uint8_t *op; /* past the prefixes */
	unsigned n;	   /* bytes that could be read */
	unsigned bits;
	bool rep, repne, opsize, addrsize;
	unsigned cpl;
	enum step_how how;
	bool tf;	 /* TF set by us */
	uint64_t from;	 /* rip */
	bool aimed;	 /* target is known, and something stands there */
	uint64_t target; /* linear, of iret or syscall; with an int3 there */
	uint8_t *laid;	 /* that int3, and the byte under it */
	uint8_t under;
	bool popped_tf;
};

/* ---- decoding */

static void decode(struct kvcpu *v, struct step *s)
{
	unsigned i = 0;

	s->from = vcpu_regs(v)->rip;
	s->cpl = vcpu_cpl(v);
	s->bits = vcpu_bits(v);
	s->n = (unsigned)gmem_read(v, vcpu_linear_rip(v), s->code, sizeof(s->code));
	s->kind = disas_kind(s->bits, s->code, s->n);
	for (; i < s->n; i++) {
		uint8_t b = s->code[i];

		s->rep |= b == 0xf3;
		s->repne |= b == 0xf2;
		s->opsize |= b == 0x66;
		s->addrsize |= b == 0x67;
		if (b != 0xf3 && b != 0xf2 && b != 0x66 && b != 0x67 && b != 0xf0 && b != 0x26 && b != 0x2e && b != 0x36 &&
		    b != 0x3e && b != 0x64 && b != 0x65)
			break;
	}
	if (s->bits == 64 && i < s->n && (s->code[i] & 0xf0) == 0x40)
		i++;
	s->op = s->code + i;
}

static unsigned op_left(const struct step *s)
{
	return s->n - (unsigned)(s->op - s->code);
}

/* SIDT and LIDT look at the IDT register itself. */
static bool touches_idtr(const struct step *s)
{
	return op_left(s) >= 3 && s->op[0] == 0x0f && s->op[1] == 0x01 && s->op[2] < 0xc0 &&
	       ((s->op[2] >> 3 & 7) == 1 || (s->op[2] >> 3 & 7) == 3);
}

/* Vector of INT n and its like; -1 where it is none, or conditional and not taken. */
static int software_vector(struct kvcpu *v, const struct step *s)
{
	if (s->kind != INSN_INT || !op_left(s))
		return -1;
	switch (s->op[0]) {
	case 0xcc:
		return 3;
	case 0xcd:
		return op_left(s) > 1 ? s->op[1] : -1;
	case 0xce:
		return vcpu_regs(v)->rflags & RFLAGS_OF ? 4 : -1;
	default:
		return 1;
	}
}

static unsigned stack_width(const struct step *s)
{
	if (s->bits == 64)
		return s->opsize ? 2 : 8;
	return (s->bits == 32) != s->opsize ? 4 : 2;
}

static uint64_t stack_linear(struct kvcpu *v, uint64_t offset)
{
	const struct kvm_segment *ss = &vcpu_sregs(v)->ss;
	uint64_t rsp = vcpu_regs(v)->rsp + offset;

	if (vcpu_bits(v) == 64)
		return rsp;
	return (uint32_t)(ss->base + (ss->db ? (uint32_t)rsp : (uint16_t)rsp));
}

/* ---- REP: one iteration */

static uint64_t count_mask(const struct step *s)
{
	if (s->bits == 64)
		return s->addrsize ? 0xffffffff : ~0ull;
	return (s->bits == 32) != s->addrsize ? 0xffffffff : 0xffff;
}

static void rep_begin(struct kvcpu *v, const struct step *s)
{
	struct kvcpu_run *t = v->thread;
	struct kvm_regs *r = vcpu_regs(v);

	t->rep = false;
	if (s->kind != INSN_REP)
		return;
	t->rep_mask = count_mask(s);
	t->rep_count = r->rcx & t->rep_mask;
	t->rep_rip = s->from;
	t->rep_next = s->from + (uint64_t)(s->op - s->code) + 1;
	t->rep_repne = s->repne;
	t->rep_compares = (s->op[0] & 0xf6) == 0xa6; /* CMPS, SCAS */
	if (!t->rep_count)
		return;
	t->rep = true;
	r->rcx = (r->rcx & ~t->rep_mask) | 1;
	vcpu_dirty(v, KVM_SYNC_X86_REGS);
}

static void rep_end(struct kvcpu *v, bool executed)
{
	struct kvcpu_run *t = v->thread;
	struct kvm_regs *r = vcpu_regs(v);
	bool zf = r->rflags & RFLAGS_ZF;

	if (!t->rep)
		return;
	t->rep = false;
	r->rcx = (r->rcx & ~t->rep_mask) | (t->rep_count - executed);
	/* An emulator that is done with the last iteration may say so with rip still on it. */
	if (executed) {
		bool on = t->rep_count > 1 && (!t->rep_compares || zf != t->rep_repne);

		r->rip = on ? t->rep_rip : t->rep_next;
		r->rflags &= ~RFLAGS_RF;
	}
	vcpu_dirty(v, KVM_SYNC_X86_REGS);
}

/* ---- the IDT and TF, for the step */

static void idt_empty(struct kvcpu *v)
{
	struct kvcpu_run *t = v->thread;
	struct kvm_sregs *s = vcpu_sregs(v);

	if (t->idt_saved || !s->idt.limit)
		return;
	t->idt = s->idt;
	t->idt_saved = true;
	s->idt.limit = 0;
	vcpu_dirty(v, KVM_SYNC_X86_SREGS);
}

static void idt_restore(struct kvcpu *v)
{
	struct kvcpu_run *t = v->thread;

	if (!t->idt_saved)
		return;
	t->idt_saved = false;
	vcpu_sregs(v)->idt = t->idt;
	vcpu_dirty(v, KVM_SYNC_X86_SREGS);
}

static void tf_strip(struct kvcpu *v, struct step *s)
{
	struct kvm_regs *r = vcpu_regs(v);

	if (!s->tf)
		return;
	s->tf = false;
	r->rflags = (r->rflags & ~RFLAGS_TF) | (v->thread->guest_tf ? RFLAGS_TF : 0);
	vcpu_dirty(v, KVM_SYNC_X86_REGS);
}

static void target_lift(struct step *s)
{
	if (s->laid && *(volatile uint8_t *)s->laid == 0xcc)
		*s->laid = s->under;
	s->laid = NULL;
}

/* Put everything back that the step set up for itself. */
static void undo(struct kvcpu *v, struct step *s, bool executed)
{
	target_lift(s);
	idt_restore(v);
	tf_strip(v, s);
	rep_end(v, executed);
}

/* ---- targets of iret and syscall */

static bool read_msr(struct kvcpu *v, uint32_t index, uint64_t *value)
{
	/* struct kvm_msrs with one entry, without its flexible array. */
	struct {
		uint32_t n, pad;
		struct kvm_msr_entry entry;
	} one = {.n = 1, .entry = {.index = index}};

	if (ioctl(v->fd, KVM_GET_MSRS, &one) != 1)
		return false;
	*value = one.entry.data;
	return true;
}

static bool wide(const struct step *s)
{
	return s->bits == 64 && s->op > s->code && (s->op[-1] & 0xf8) == 0x48;
}

static bool iret_target(struct kvcpu *v, const struct step *s, uint64_t *linear)
{
	unsigned width = wide(s) ? 8 : s->bits == 64 ? (s->opsize ? 2 : 4) : stack_width(s);
	uint64_t ip = 0, cs = 0;
	struct kvm_segment seg;

	if (gmem_read(v, stack_linear(v, 0), &ip, width) != width || gmem_read(v, stack_linear(v, width), &cs, 2) != 2 ||
	    !trap_segment(v, (uint16_t)cs, &seg))
		return false;
	*linear = seg.l ? ip : (uint32_t)(seg.base + ip);
	return true;
}

static bool find_target(struct kvcpu *v, const struct step *s, uint64_t *linear)
{
	const struct kvm_regs *r = vcpu_regs(v);

	if (s->op[0] == 0xcf)
		return iret_target(v, s, linear);
	if (s->op[0] != 0x0f || op_left(s) < 2)
		return false;
	switch (s->op[1]) {
	case 0x05:
		return read_msr(v, MSR_LSTAR, linear);
	case 0x34:
		return read_msr(v, MSR_SYSENTER_EIP, linear);
	case 0x07:
		*linear = wide(s) ? r->rcx : (uint32_t)r->rcx;
		return true;
	default:
		*linear = wide(s) ? r->rdx : (uint32_t)r->rdx;
		return true;
	}
}

/* An int3 and a debug register there: which of them hits is up to the CPL at the target. */
static bool target_lay(struct kvcpu *v, struct step *s)
{
	struct kvm_guest_debug d = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP | KVM_GUESTDBG_USE_HW_BP};
	uint64_t gpa;
	uint8_t rights;

	if (!(vcpu_sregs(v)->cr0 & CR0_PE) || !find_target(v, s, &s->target))
		return false;
	s->aimed = true;
	d.arch.debugreg[0] = s->target;
	d.arch.debugreg[7] = 0x602;
	s->laid = gmem_translate(v, s->target, &gpa, &rights) ? gmem_byte(v, gpa, true) : NULL;
	if (s->laid) {
		s->under = *s->laid;
		*(volatile uint8_t *)s->laid = 0xcc;
	}
	return vcpu_debug(v, &d);
}

/* ---- pushf and popf */

static void note_popf(struct kvcpu *v, struct step *s)
{
	uint8_t flags[2] = {0};

	if (s->kind == INSN_POPF && gmem_read(v, stack_linear(v, 0), flags, 2) == 2)
		s->popped_tf = flags[1] & 1;
}

static void fix_pushf(struct kvcpu *v, const struct step *s)
{
	uint64_t at = stack_linear(v, 1);
	uint8_t flags;

	if (s->kind != INSN_PUSHF || v->thread->guest_tf || gmem_read(v, at, &flags, 1) != 1 || !(flags & 1))
		return;
	flags &= (uint8_t)~1;
	(void)gmem_write(v, at, &flags, 1);
}

/* ---- running it */

static bool begin(struct kvcpu *v, struct step *s)
{
	struct kvcpu_run *t = v->thread;
	const struct strategy *st = v->vm->rs->st;
	struct kvm_guest_debug d = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP};
	bool protected = vcpu_sregs(v)->cr0 & CR0_PE;

	s->how = st->step[vcpu_mode(v)][s->cpl == 3];
	t->guest_tf = vcpu_regs(v)->rflags & RFLAGS_TF;
	note_popf(v, s);
	rep_begin(v, s);
	if (s->how != STEP_GUESTDBG && s->how != STEP_EMPTY_IDT)
		return vcpu_error(v, "this host has no way to step in this mode; see info kvm");
	if (protected && st->shutdown_keeps_state && idt_own(v) && !touches_idtr(s))
		idt_empty(v);
	else if (s->how == STEP_GUESTDBG && idt_own(v))
		trap_guard(v, &d);
	v->run->kvm_valid_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
	if ((s->kind == INSN_IRET || s->kind == INSN_SYSCALL) && target_lay(v, s))
		return true;
	if (s->how == STEP_GUESTDBG)
		return vcpu_debug(v, &d);
	v->run->kvm_valid_regs |= KVM_SYNC_X86_EVENTS;
	s->tf = true;
	vcpu_regs(v)->rflags |= RFLAGS_TF;
	vcpu_dirty(v, KVM_SYNC_X86_REGS);
	return true;
}

/* An exception of the guest's own making, in a step. */
static bool step_exception(struct kvcpu *v, struct step *s, const struct kvm_vcpu_events *ev)
{
	struct kvcpu_run *t = v->thread;
	bool told = t->exc_shown && t->exc_rip == s->from && t->exc_vector == ev->exception.nr;

	undo(v, s, false);
	if (idt_own(v) && (told || !(v->vm->rs->catch & CATCH_EXCEPTION))) {
		t->exc_shown = false;
		return trap_deliver(v, ev->exception.nr, ev->exception.has_error_code, ev->exception.error_code);
	}
	t->exc_shown = true;
	t->exc_rip = s->from;
	t->exc_vector = ev->exception.nr;
	return exit_exception(v, ev);
}

static bool step_shutdown(struct kvcpu *v, struct step *s)
{
	struct kvm_vcpu_events ev;

	if (!v->vm->rs->st->shutdown_keeps_state) {
		undo(v, s, false);
		return exit_free(v, 0);
	}
	vcpu_events(v, &ev);
	if (s->tf && ev.exception.nr == 1)
		return true;
	/* With GUESTDBG the #DB of a step that ended at CPL3 comes out here as well. */
	if (s->how == STEP_GUESTDBG && ev.exception.nr == 1 && vcpu_regs(v)->rip != s->from)
		return true;
	if (s->laid && ev.exception.nr == 3 && vcpu_linear_rip(v) - 1 == s->target) {
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

/* True where KVM_RUN must be called again. */
static bool again(struct kvcpu *v, struct step *s, int rc)
{
	static const struct kvm_guest_debug only_step = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP};

	if ((rc == -EINTR || rc == -EAGAIN) && !vcpu_kicked(v) && vcpu_regs(v)->rip == s->from)
		return true;
	if (rc)
		return false;
	/* A breakpoint register that stands at rip itself, left from a free run. */
	if (v->run->exit_reason == KVM_EXIT_DEBUG && vcpu_regs(v)->rip == s->from && v->run->debug.arch.dr6 & 15 &&
	    !(v->run->debug.arch.dr6 & 1 << 14))
		return vcpu_debug(v, &only_step);
	return v->run->exit_reason == KVM_EXIT_INTR || v->run->exit_reason == KVM_EXIT_IRQ_WINDOW_OPEN;
}

/* After KVM_RUN: true where the instruction has been executed. */
static bool came_back(struct kvcpu *v, struct step *s, int rc)
{
	if (rc == -EINTR || rc == -EAGAIN) {
		/* Kicked between the instruction and its #DB. */
		if (s->tf)
			vcpu_drop_db(v);
		if (vcpu_regs(v)->rip != s->from)
			return true;
		undo(v, s, false);
		return vcpu_out(v, OUT_KICKED);
	}
	if (!rc && (v->run->exit_reason == KVM_EXIT_MMIO || v->run->exit_reason == KVM_EXIT_IO))
		return exit_io(v) && io_finish(v);
	if (!rc && v->run->exit_reason == KVM_EXIT_DEBUG)
		return true;
	if (!rc && v->run->exit_reason == KVM_EXIT_SHUTDOWN)
		return step_shutdown(v, s);
	if (!rc && v->run->exit_reason == KVM_EXIT_HLT)
		return exit_halt(v);
	if (!rc && v->run->exit_reason == KVM_EXIT_INTERNAL_ERROR && s->laid && vcpu_linear_rip(v) == s->target)
		return true;
	undo(v, s, false);
	return exit_failed(v, rc);
}

/* The instruction is over: what it did that depended on being stepped. */
static bool settle(struct kvcpu *v, struct step *s)
{
	struct kvcpu_run *t = v->thread;
	bool trap = t->guest_tf && vcpu_regs(v)->rip != s->from;

	fix_pushf(v, s);
	undo(v, s, true);
	if (vcpu_sregs(v)->cr0 & CR0_PE ? false : trap_at_guard(v) && vcpu_linear_rip(v) == 0)
		return trap_no_handler(v);
	if (s->kind == INSN_POPF && s->popped_tf) {
		vcpu_regs(v)->rflags |= RFLAGS_TF;
		vcpu_dirty(v, KVM_SYNC_X86_REGS);
	}
	if (!trap || s->how == STEP_GUESTDBG)
		return true;
	/* The guest's own single step. */
	if (idt_own(v))
		return trap_deliver(v, 1, false, 0);
	struct kvm_vcpu_events ev = {.exception.nr = 1};
	return exit_exception(v, &ev);
}

/* hlt and RSM must not be run into. False: dealt with, or the caller stops. */
static bool special(struct kvcpu *v, const struct step *s)
{
	if (s->kind == INSN_HLT && s->cpl == 0) {
		vcpu_regs(v)->rip += (unsigned)(s->op - s->code) + 1;
		vcpu_dirty(v, KVM_SYNC_X86_REGS);
		return exit_halt(v);
	}
	return s->kind == INSN_RSM && v->in_smm ? vcpu_out(v, OUT_RSM) : true;
}

bool step_one(struct kvcpu *v)
{
	struct kvcpu_run *t = v->thread;
	struct step s = {0};

	decode(v, &s);
	if (t->io == IO_CAUGHT) {
		bool ok = io_resume(v) && io_finish(v);

		rep_end(v, true);
		return ok;
	}
	if (!special(v, &s))
		return false;
	int vector = idt_own(v) && vcpu_sregs(v)->cr0 & CR0_PE ? software_vector(v, &s) : -1;
	if (vector >= 0)
		return trap_software(v, (unsigned)vector);
	if (!begin(v, &s)) {
		undo(v, &s, false);
		return false;
	}
	int rc;
	do
		rc = vcpu_enter(v);
	while (again(v, &s, rc));
	if (came_back(v, &s, rc))
		return settle(v, &s);
	/* A caught access is still to come: rcx is one until it is done, and shown as it will be. */
	bool rep = t->rep;

	t->io_tf = s.tf && t->io == IO_CAUGHT;
	undo(v, &s, t->out == OUT_SMI || v->halted || (t->out == OUT_STOP && t->stop.reason == STOP_EXIT));
	if (t->io != IO_CAUGHT)
		return false;
	/* What is shown is not stored: registers that are set now would make the emulator forget the result of the access.
	 */
	t->rep = rep;
	vcpu_regs(v)->rflags &= ~RFLAGS_RF;
	v->run->kvm_dirty_regs &= ~(uint64_t)KVM_SYNC_X86_REGS;
	return false;
}

/* ---- a job of steps, and a free run by steps */

static bool mode_changed(struct kvcpu *v, const struct run_plan *before)
{
	const struct kvm_sregs *s = vcpu_sregs(v);

	return ((before->cr0 ^ s->cr0) & (CR0_PE | CR0_PG)) || ((before->efer ^ s->efer) & EFER_LMA) ||
	       ((before->cr4 ^ s->cr4) & (CR4_PAE | CR4_LA57));
}

static void remember_mode(const struct kvcpu *v, struct run_plan *p)
{
	const struct kvm_sregs *s = &v->run->s.regs.sregs;

	p->cr0 = s->cr0;
	p->cr3 = s->cr3;
	p->cr4 = s->cr4;
	p->efer = s->efer;
}

/* What may stop after a step besides a breakpoint. */
static bool check_after(struct kvcpu *v, const struct run_plan *before)
{
	const struct run_state *rs = v->vm->rs;

	if (plant_watching(rs) && !plant_watch(v))
		return false;
	return rs->catch & CATCH_MODE && mode_changed(v, before) ? vcpu_stop(v, STOP_MODE) : true;
}

static void end_steps(struct kvcpu *v, const struct kvm_regs *before)
{
	struct stop *s = &v->thread->stop;

	vcpu_stop(v, STOP_STEP);
	if (memcmp(before, vcpu_regs(v), sizeof(*before)))
		return;
	s->no_progress = true;
	snprintf(s->note, sizeof(s->note), "neither rip nor any general register moved");
}

void step_run(struct kvcpu *v, uint64_t count)
{
	struct kvcpu_run *t = v->thread;
	struct kvm_regs before;
	struct run_plan was = {0};

	for (uint64_t i = 0; i < count; i++) {
		if (vcpu_kicked(v)) {
			vcpu_out(v, OUT_KICKED);
			return;
		}
		before = *vcpu_regs(v);
		remember_mode(v, &was);
		bool ok = step_one(v);
		if (ok || t->out == OUT_SMI)
			atomic_fetch_add_explicit(&t->steps, 1, memory_order_relaxed);
		if (!ok || !check_after(v, &was))
			return;
		int id = i + 1 < count && v->vm->rs->n_exec ? plant_exec_at(v->vm->rs, vcpu_linear_rip(v)) : 0;
		if (id) {
			exit_breakpoint(v, id);
			return;
		}
	}
	end_steps(v, &before);
}

bool step_slow(struct kvcpu *v)
{
	struct run_plan was = {0};
	unsigned cpl = vcpu_cpl(v);
	int id = plant_exec_at(v->vm->rs, vcpu_linear_rip(v));

	if (id)
		return exit_breakpoint(v, id);
	remember_mode(v, &was);
	if (!step_one(v) || !check_after(v, &was))
		return false;
	/* Another privilege or other tables may be run freely, or have to be stepped from here on. */
	if (vcpu_cpl(v) != cpl || mode_changed(v, &was) || was.cr3 != vcpu_sregs(v)->cr3)
		plant_relay(v);
	return true;
}
