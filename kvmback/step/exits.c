/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What KVM_RUN came back for, in a vCPU's own thread: device accesses go to the board (and are completed with
 * immediate_exit before anybody stops, so that no access is ever half done), exceptions of a guest without an IDT, int3 and
 * debug registers, and everything that ends a run.
 */
#include "kvmback/step/insn.h"
#include "kvmback/watch/watchpoint.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

/* Other tables than those that breakpoints and watchpoints were put in by? */
static bool tables_moved(const struct kvcpu *v)
{
	const struct run_plan *p = &v->control->plan;
	const struct kvm_sregs *s = &v->run->s.regs.sregs;

	return p->cr3 != s->cr3 || p->cr0 != s->cr0 || p->cr4 != s->cr4 || p->efer != s->efer || p->nested != v->nested.in ||
	       p->idt.base != s->idt.base || p->idt.limit != s->idt.limit;
}

static bool must_replan(const struct kvcpu *v)
{
	const struct run_plan *p = &v->control->plan;

	return v->vm->rs->n_plants && (p->unresolved || p->at_exits || tables_moved(v));
}

/* The tables may have changed since breakpoints were put in: exits are when it is seen. So is another mode, where it is to
 * be told: CPL3 runs freely, and what CPL0 did meanwhile shows here. False: stopped. */
static bool replan(struct kvcpu *v)
{
	const struct run_state *rs = v->vm->rs;
	const struct run_plan *p = &v->control->plan;
	bool catch_mode = rs->catch & CATCH_MODE;

	if (catch_mode && vcpu_mode_changed(v, p))
		return io_finish(v) && vcpu_stop(v, STOP_MODE);
	if (must_replan(v))
		plant_relay(v);
	else if (catch_mode && vcpu_cpl(v) == 0)
		plant_relay(v);
	return true;
}

/* ---- exceptions */

static bool stop_at_point(struct kvcpu *v, int id)
{
	v->control->stop.breakpoint = id;
	return vcpu_stop(v, STOP_BREAKPOINT);
}

void exit_begun(struct kvcpu *v)
{
	uint64_t at = vcpu_linear_rip(v);

	if (v->control->passed && plant_exec_at(v->vm->rs, at))
		begun_add(&v->control->begun, at);
}

bool exit_returned(struct kvcpu *v)
{
	struct vcpu_control *t = v->control;
	uint64_t at = vcpu_linear_rip(v);

	if (!t->passed && t->begun.n && plant_exec_at(v->vm->rs, at))
		t->passed = begun_take(&t->begun, at, vcpu_regs(v)->rflags);
	return t->passed;
}

bool exit_arrived(struct kvcpu *v)
{
	int id = v->vm->rs->n_exec && !exit_returned(v) ? plant_exec_at(v->vm->rs, vcpu_linear_rip(v)) : 0;

	return id ? stop_at_point(v, id) : true;
}

/* The length of the INT n, INT3, INTO or INT1 that raised this where no IDT takes it, and with it what was raised: as a
 * trap, as the #GP that the IDT's end makes of it, as #UD where the host does not know it. rip is put back on it. 0: none
 * did. */
static unsigned own_software(struct kvcpu *v, unsigned nr, uint32_t error, unsigned *vector)
{
	static const uint8_t one[] = {[1] = 0xf1, [3] = 0xcc, [4] = 0xce};
	struct kvm_regs *r = vcpu_regs(v);
	uint64_t at = vcpu_linear_rip(v);
	uint8_t code[4] = {0};
	unsigned len = 0;

	/* Two bytes before rip, two at it. */
	if (gmem_read(v, at - 2, code, 2) != 2)
		code[0] = code[1] = 0;
	(void)gmem_read(v, at, code + 2, 2);
	*vector = nr;
	if (nr == 13 || nr == 6) {
		*vector = code[2] == 0xcd ? code[3] : code[2] == 0xf1 ? 1 : code[2] == 0xcc ? 3 : 0;
		len = code[2] == 0xcd ? 2 : *vector ? 1 : 0;
		if (len && (nr == 6 || error == *vector * 8u + 2))
			return len;
		*vector = nr;
	}
	if (nr < ARRAY_LEN(one) && one[nr] && code[1] == one[nr] && !(nr == 1 && r->rflags & RFLAGS_TF))
		len = 1;
	else if (code[0] == 0xcd && code[1] == nr && v->control->int_told.over != r->rip - 2)
		len = 2;
	else
		return 0;
	r->rip -= len;
	return len;
}

static bool stop_exception(struct kvcpu *v, unsigned vector)
{
	v->control->stop.vector = (uint8_t)vector;
	/* RF is in the flags that would have been pushed, not in the guest's. */
	vcpu_regs(v)->rflags &= ~RFLAGS_RF;
	vcpu_dirty(v, KVM_SYNC_X86_REGS);
	return vcpu_stop(v, STOP_EXCEPTION);
}

/* INT with a number at rip is an interrupt, whatever the number. */
static bool is_int_n(struct kvcpu *v, unsigned len)
{
	uint8_t op = 0;

	return len > 1 && gmem_read(v, vcpu_linear_rip(v) + len - 2, &op, 1) == 1 && op == 0xcd;
}

bool exit_software(struct kvcpu *v, unsigned vector, unsigned len, enum exception_handler handler)
{
	struct vcpu_control *t = v->control;
	struct stop *s = &t->stop;
	struct kvm_regs *r = vcpu_regs(v);

	s->handler = handler;
	s->software = true;
	s->has_by = (vector == 1 || vector == 3 || vector == 4) && !is_int_n(v, len);
	s->by = r->rip;
	if (s->has_by)
		r->rip += len;
	else
		t->int_told = (struct int_told){.on = true, .rip = r->rip};
	return stop_exception(v, vector);
}

bool exit_exception(struct kvcpu *v, const struct kvm_vcpu_events *ev)
{
	struct stop *s = &v->control->stop;
	unsigned vector, len = idt_own(v) ? 0 : own_software(v, ev->exception.nr, ev->exception.error_code, &vector);

	if (len)
		return exit_software(v, vector, len, HANDLER_BEYOND_IDT);
	s->handler = idt_own(v) ? HANDLER_OWN : HANDLER_BEYOND_IDT;
	s->has_error = ev->exception.has_error_code;
	s->error_code = s->has_error ? ev->exception.error_code : 0;
	s->cr2 = ev->exception.nr == 14 ? vcpu_sregs(v)->cr2 : 0;
	return stop_exception(v, ev->exception.nr);
}

bool exit_caught(struct kvcpu *v, unsigned vector, bool has_error, uint32_t error, bool software)
{
	struct vcpu_control *t = v->control;
	uint64_t rip = vcpu_regs(v)->rip;
	bool shown = t->exc.shown && t->exc.rip == rip && t->exc.vector == vector;

	t->exc.shown = false;
	if (shown || !(v->vm->rs->catch & CATCH_EXCEPTION) || !idt_own(v) || real_empty(v, vector))
		return true;
	t->exc = (struct exc_shown){.shown = true, .vector = (uint8_t)vector, .rip = rip};
	t->stop.has_error = has_error;
	t->stop.error_code = has_error ? error : 0;
	t->stop.cr2 = vector == 14 ? vcpu_sregs(v)->cr2 : 0;
	t->stop.software = software;
	snprintf(t->stop.note, sizeof(t->stop.note), "caught before it is delivered");
	return stop_exception(v, vector);
}

/* A byte of ours at another address of its frame: the guest's own instruction, while nobody else is in the guest. */
static bool step_over_byte(struct kvcpu *v)
{
	/* Then it is stepped for that, if it is not behind it already. */
	if (vcpu_touched(v))
		return true;
	if (vcpu_runs_here(v))
		return step_one(v) && exit_arrived(v);
	v->control->over_byte = true;
	return vcpu_out(v, OUT_TOUCH);
}

/* An int3 that was executed at rip, or behind prefixes there. */
static enum int3_of int3_of(struct kvcpu *v, uint64_t at, struct int3_met *met)
{
	enum int3_of whose = plant_int3_of(v, at, met);
	unsigned prefixes = whose == INT3_GUESTS ? insn_count_prefixes(v, at) : 0;

	if (!prefixes)
		return whose;
	/* A breakpoint in the middle of an instruction is not at it. */
	whose = plant_int3_of(v, at + prefixes, met);
	*met = (struct int3_met){0};
	return whose == INT3_POINT ? INT3_ELSEWHERE : whose;
}

static void go_back(struct kvcpu *v, uint64_t bytes)
{
	vcpu_regs(v)->rip -= bytes;
	vcpu_regs(v)->rflags &= ~RFLAGS_RF;
	vcpu_dirty(v, KVM_SYNC_X86_REGS);
}

/* An int3 of ours that ended as an exception: rip back on it. */
static enum int3_of own_int3(struct kvcpu *v, unsigned vector, int *id)
{
	struct int3_met met;
	uint64_t here = vcpu_linear_rip(v), back = vector == 3 || (vector == 8 && plant_int3_at(v, here - 1)),
		 at = here - back;
	/* With a gate that is missing, or not for CPL3, what is told may be the exception that came of that. */
	bool instead = idt_own(v) && (vector == 8 || vector == 11 || vector == 13);

	if (vector != 3 && !instead && vector != v->vm->rs->st->int3_vector[vcpu_mode(v)][vcpu_cpl(v) == 3])
		return INT3_GUESTS;
	enum int3_of whose = plant_int3_of(v, at, &met);
	*id = met.id;
	if (whose != INT3_GUESTS)
		go_back(v, back + met.prefixes);
	return whose;
}

/* Kicked after an int3 of ours and before its #BP went anywhere: the breakpoint was hit, or the byte is come to again. */
static bool after_kick(struct kvcpu *v)
{
	int id;

	if (!vcpu_waiting(v, 3) || own_int3(v, 3, &id) == INT3_GUESTS)
		return true;
	vcpu_drop(v, 3);
	return id ? stop_at_point(v, id) : true;
}

/* As behind INIT or power-on (Intel SDM vol. 3A 10.1.4), and it has run before. */
static bool is_reset(struct kvcpu *v)
{
	const struct kvm_sregs *s = vcpu_sregs(v);

	return !(s->cr0 & CR0_PE) && s->cs.base == 0xffff0000 && vcpu_regs(v)->rip == 0xfff0;
}

bool exit_shutdown(struct kvcpu *v, const char *note)
{
	struct vcpu_control *t = v->control;

	t->stop.state_lost = is_reset(v);
	t->stop.has_by = t->stop.state_lost && atomic_load_explicit(&t->stepping, memory_order_relaxed);
	t->stop.by = t->stop.has_by ? t->from : 0;
	if (!t->stop.state_lost)
		snprintf(t->stop.note, sizeof(t->stop.note), "%s", note);
	return vcpu_stop(v, STOP_SHUTDOWN);
}

static bool after_shutdown(struct kvcpu *v)
{
	struct kvm_vcpu_events ev;
	char note[80];

	if (is_reset(v))
		return exit_shutdown(v, "");
	vcpu_events(v, &ev);
	/* The guest may have loaded an IDT since int3 bytes were laid, one that has no gate for them. */
	int id;
	if (vcpu_exception_known(v) && own_int3(v, ev.exception.nr, &id) != INT3_GUESTS)
		return id ? stop_at_point(v, id) : step_over_byte(v);
	if (idt_own(v)) {
		snprintf(note, sizeof(note),
			 vcpu_exception_known(v) ? "a triple fault; the last exception was %u" : "a triple fault",
			 ev.exception.nr);
		return exit_shutdown(v, note);
	}
	if (!vcpu_exception_known(v))
		return exit_shutdown(v, "an exception with no IDT; this host does not tell which");
	return exit_exception(v, &ev);
}

/* A DEBUG exit by an int3 that is the guest's own. */
static bool guest_int3(struct kvcpu *v)
{
	struct kvm_vcpu_events ev;

	if (!idt_own(v) || !(vcpu_sregs(v)->cr0 & CR0_PE))
		return trap_complete(v, 3, 1);
	vcpu_events(v, &ev);
	ev.exception.nr = 3;
	ev.exception.has_error_code = 0;
	ev.exception.injected = 1;
	ev.exception.pending = 0;
	ev.flags = 0;
	v->run->s.regs.events = ev;
	v->sync_fresh |= KVM_SYNC_X86_EVENTS;
	vcpu_dirty(v, KVM_SYNC_X86_EVENTS);
	return true;
}

/* The vCPU stands at an int3 that it came to. skip: KVM leaves the guest's own to us. */
static bool int3_executed(struct kvcpu *v, uint64_t at, bool skip)
{
	struct int3_met met;

	switch (int3_of(v, at, &met)) {
	case INT3_POINT:
		return stop_at_point(v, met.id);
	case INT3_ELSEWHERE:
		if (met.prefixes)
			go_back(v, met.prefixes);
		return step_over_byte(v);
	default:
		return skip ? trap_complete(v, 3, 1) : guest_int3(v);
	}
}

/* ---- debug exits */

/* The first instruction of a handler that int3 leads to. */
static bool at_handler(struct kvcpu *v, unsigned vector)
{
	int id = 0;

	if (trap_unwind(v, vector, &id))
		return id ? stop_at_point(v, id) : step_over_byte(v);
	id = plant_exec_at(v->vm->rs, vcpu_linear_rip(v));
	if (id)
		return stop_at_point(v, id);
	return vcpu_touched(v) || step_one(v);
}

/* The instruction is done, and rip stands behind it. Where it cannot be found, a value that is another is a write's. */
static void watch_hit(struct kvcpu *v, unsigned dr)
{
	struct stop *s = &v->control->stop;
	const struct run_plan *p = &v->control->plan;
	struct watch_touch t = {.linear = p->dbg.arch.debugreg[dr], .len = p->dr_old_len[dr]}, then = {0};
	const struct slot *slot;
	uint8_t rights, now[8] = {0};

	if (!gmem_translate(v, t.linear, &t.gpa, &rights))
		t.gpa = t.linear;
	memcpy(t.old, p->dr_old[dr], sizeof(t.old));
	(void)gmem_read(v, t.linear, now, t.len);
	watch_refine(v, &t, &then, &s->by);
	if (!t.read && !t.write)
		t.write = (p->dbg.arch.debugreg[7] >> (16 + 4 * dr) & 3) == 1 || memcmp(now, t.old, t.len) != 0;
	slot = gmem_slot(v, t.gpa);
	s->breakpoint = p->dr_id[dr];
	s->gva = t.linear;
	s->gpa = t.gpa;
	s->slot = slot ? (int)slot->id : -1;
	s->len = t.len;
	s->read = t.read;
	s->write = t.write;
	s->has_by = s->by;
	s->has_old = t.len;
	watch_tell_then(v, &then);
	(void)gmem_read(v, t.linear, s->data, t.len);
	/* What is only read was there before. */
	memcpy(s->old_data, t.write ? t.old : s->data, sizeof(s->old_data));
	vcpu_stop(v, STOP_WATCHPOINT);
}

/* The first says what happened. */
static bool watches_hit(struct kvcpu *v, uint64_t dr6)
{
	const struct run_plan *p = &v->control->plan;
	bool any = false;

	for (unsigned i = 0; i < DR_COUNT; i++) {
		if (p->dr[i] != DR_WATCH || !(dr6 & 1ull << i))
			continue;
		if (any)
			stop_add_cause(&v->control->stop, STOP_WATCHPOINT, p->dr_id[i]);
		else
			watch_hit(v, i);
		any = true;
	}
	return any;
}

/* A #DB of the guest's own beside a watch that was hit: it is delivered, and the stop says where that leads. */
static bool watch_and_trap(struct kvcpu *v, uint64_t bits)
{
	struct stop hit = v->control->stop;

	if (bits && guestdbg_raise(v, bits)) {
		v->control->stop = hit;
		vcpu_stop(v, STOP_WATCHPOINT);
	} else if (bits) {
		stop_put_first(&v->control->stop, &hit);
	}
	return false;
}

static bool after_debug(struct kvcpu *v)
{
	const struct run_plan *p = &v->control->plan;
	const struct kvm_debug_exit_arch *d = &v->run->debug.arch;
	uint64_t at = vcpu_linear_rip(v);
	unsigned len;

	if (d->exception == 3)
		return int3_executed(v, at, false);
	uint64_t own = guestdbg_exit(v, d->dr6);
	if (watches_hit(v, d->dr6))
		return watch_and_trap(v, own);
	uint64_t trap = guestdbg_data(v, own) | (own & (DR6_BS | DR6_BD));
	if (trap)
		return guestdbg_raise(v, trap);
	/* Its breakpoint at rip comes behind ours there; the step knows whether it goes on with RF. */
	if (own)
		return exit_arrived(v) && step_one(v);
	/* A handler first: a breakpoint may stand there as well. */
	for (unsigned i = 0; i < DR_COUNT; i++)
		if (p->dr[i] == DR_HANDLER && p->dbg.arch.debugreg[i] == at)
			return at_handler(v, (unsigned)p->dr_id[i]);
	for (unsigned i = 0; i < DR_COUNT; i++) {
		if (p->dr[i] == DR_FREE || p->dr[i] == DR_GUEST || p->dbg.arch.debugreg[i] != at)
			continue;
		if (p->dr[i] == DR_SMI)
			return vcpu_stop(v, STOP_SMI);
		/* Code of the guest's own at 0 is stepped. */
		return p->dr[i] == DR_NO_HANDLER ? trap_no_handler(v) && step_one(v) : stop_at_point(v, p->dr_id[i]);
	}
	return insn_int1_left(v, &len) ? trap_complete(v, 1, len) : true;
}

/* ---- the end of a run */

/* What KVM's emulator does not have of these: their length, and the vector. 0: none of them. */
static unsigned software_insn(const struct stop *s, unsigned *vector)
{
	if (s->n_insn > 1 && s->insn[0] == 0xcd) {
		*vector = s->insn[1];
		return 2;
	}
	*vector = s->n_insn && s->insn[0] == 0xf1 ? 1 : 3;
	return s->n_insn && (s->insn[0] == 0xf1 || s->insn[0] == 0xcc);
}

/* KVM could not emulate what stands at rip. An int3 that its emulator does not have is a breakpoint all the same, and what
 * the guest raises by an instruction is done for it. */
static bool no_emulation(struct kvcpu *v)
{
	struct stop *s = &v->control->stop;
	uint64_t at = vcpu_linear_rip(v);
	unsigned vector, len = software_insn(s, &vector);

	if (!len)
		return false;

	s->kvm_exit = s->suberror = s->n_insn = 0;
	s->error[0] = '\0';
	s->next[0] = '\0';
	return s->insn[0] == 0xcc ? int3_executed(v, at, true) : trap_complete(v, vector, len);
}

bool exit_failed(struct kvcpu *v, int rc)
{
	(void)vcpu_failed(v, rc);
	return !rc && v->run->exit_reason == KVM_EXIT_INTERNAL_ERROR &&
	       v->control->stop.suberror == KVM_INTERNAL_ERROR_EMULATION && no_emulation(v);
}

bool exit_halt(struct kvcpu *v)
{
	v->halted = true;
	return vcpu_regs(v)->rflags & RFLAGS_IF ? vcpu_out(v, OUT_HALT) : vcpu_stop(v, STOP_HLT);
}

/* By a signal: a kick, or that of a root that was loaded. An armed page that was touched is dealt with first. */
static bool after_signal(struct kvcpu *v)
{
	if (!after_kick(v))
		return false;
	if (!vcpu_touched(v) && must_replan(v))
		plant_relay(v);
	return true;
}

bool exit_free(struct kvcpu *v, int rc)
{
	if (rc == -EINTR || rc == -EAGAIN)
		return after_signal(v);
	if (rc)
		return exit_failed(v, rc);
	switch (v->run->exit_reason) {
	case KVM_EXIT_MMIO:
	case KVM_EXIT_IO:
		return exit_io(v) && replan(v);
	case KVM_EXIT_HLT:
		return exit_halt(v);
	case KVM_EXIT_DEBUG:
		return after_debug(v);
	case KVM_EXIT_SHUTDOWN:
		return after_shutdown(v);
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		return true;
	default:
		return exit_failed(v, 0);
	}
}
