/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Exceptions and the guest's own descriptor tables: where a vector's handler begins, delivering an exception so that the
 * vCPU stands at that handler's first instruction, and the reverse, undoing a delivery that one of our int3 caused. Frames:
 * Intel SDM vol. 3A 6.12 (protected mode), 6.14 (64-bit), 20.1.4 (real mode).
 */
#include "kvmback/step/insn.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

static bool real_mode(struct kvcpu *v)
{
	return !(vcpu_sregs(v)->cr0 & CR0_PE);
}

static const struct kvm_dtable *guest_idt(const struct kvcpu *v)
{
	return v->control->own.idt_empty ? &v->control->own.idt : &v->run->s.regs.sregs.idt;
}

bool idt_own(const struct kvcpu *v)
{
	return !(v->run->s.regs.sregs.cr0 & CR0_PE) || guest_idt(v)->limit;
}

static bool read_descriptor(struct kvcpu *v, uint16_t selector, uint64_t *d)
{
	const struct kvm_sregs *s = vcpu_sregs(v);
	uint64_t base = selector & 4 ? s->ldt.base : s->gdt.base;
	uint32_t limit = selector & 4 ? s->ldt.limit : s->gdt.limit, at = selector & ~7u;

	return selector & ~3u && at + 7 <= limit && gmem_read(v, base + at, d, sizeof(*d)) == sizeof(*d);
}

bool trap_segment(struct kvcpu *v, uint16_t selector, struct kvm_segment *out)
{
	uint64_t d;

	if (!read_descriptor(v, selector, &d))
		return false;
	*out = (struct kvm_segment){
	    .base = (d >> 16 & 0xffffff) | (d >> 56) << 24,
	    .limit = (uint32_t)((d & 0xffff) | (d >> 32 & 0xf0000)),
	    .selector = selector,
	    .type = d >> 40 & 15,
	    .s = d >> 44 & 1,
	    .dpl = d >> 45 & 3,
	    .present = d >> 47 & 1,
	    .avl = d >> 52 & 1,
	    .l = d >> 53 & 1,
	    .db = d >> 54 & 1,
	    .g = d >> 55 & 1,
	};
	if (out->g)
		out->limit = out->limit << 12 | 0xfff;
	out->type |= out->s; /* loading it sets the accessed bit */
	return true;
}

/* ---- gates */

static bool real_handler(struct kvcpu *v, unsigned vector, uint64_t *linear)
{
	uint16_t ivt[2];

	if (gmem_read(v, guest_idt(v)->base + vector * 4, ivt, sizeof(ivt)) != sizeof(ivt))
		return false;
	*linear = ivt[1] * 16u + ivt[0];
	return true;
}

static bool is_gate(unsigned type, bool in_long)
{
	return type == 14 || type == 15 || (!in_long && (type == 6 || type == 7));
}

bool idt_handler(struct kvcpu *v, unsigned vector, uint64_t *linear, unsigned *dpl)
{
	bool in_long = vcpu_sregs(v)->efer & EFER_LMA;
	unsigned size = in_long ? 16 : 8;
	const struct kvm_dtable *idt = guest_idt(v);
	uint64_t gate[2] = {0};
	struct kvm_segment cs;

	*dpl = 3;
	if (real_mode(v))
		return real_handler(v, vector, linear);
	if (vector * size + size - 1 > idt->limit || gmem_read(v, idt->base + vector * size, gate, size) != size)
		return false;
	unsigned type = gate[0] >> 40 & 15;
	if (!(gate[0] >> 47 & 1) || !is_gate(type, in_long))
		return false;
	*dpl = gate[0] >> 45 & 3;
	*linear = (gate[0] & 0xffff) | (type >= 14 ? gate[0] >> 48 << 16 : 0);
	if (in_long) {
		*linear |= gate[1] << 32;
		return true;
	}
	if (!trap_segment(v, (uint16_t)(gate[0] >> 16), &cs))
		return false;
	*linear = (uint32_t)(*linear + cs.base);
	return true;
}

/* ---- delivery */

static bool has_error_code(unsigned vector)
{
	return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
}

/* An instruction breakpoint of ours in register i? */
static bool guards(const struct kvm_guest_debug *d, unsigned i)
{
	return d->arch.debugreg[7] & 2ull << (2 * i) && !(d->arch.debugreg[7] >> (16 + 4 * i) & 15);
}

static bool is_guarded(const struct kvm_guest_debug *d, uint64_t at)
{
	for (unsigned i = 0; i < DR_COUNT; i++)
		if (guards(d, i) && d->arch.debugreg[i] == at)
			return true;
	return false;
}

/* In the first that is free; left out if none is. */
static void guard(struct kvm_guest_debug *d, uint64_t at)
{
	for (unsigned i = 0; i < DR_COUNT; i++) {
		if (d->arch.debugreg[7] & 3ull << (2 * i))
			continue;
		d->arch.debugreg[i] = at;
		d->arch.debugreg[7] |= 2ull << (2 * i);
		return;
	}
}

/* Debug registers on the handlers of these vectors, the first ones first; the guest's own for data stay. */
static void guard_handlers(struct kvcpu *v, const uint8_t *vectors, size_t n, struct kvm_guest_debug *d)
{
	uint64_t here = vcpu_linear_rip(v);

	*d = (struct kvm_guest_debug){.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP};
	d->arch.debugreg[7] = 0x600;
	guestdbg_keep_data(v, d);
	for (size_t i = 0; i < n; i++) {
		uint64_t at;
		unsigned dpl;

		if (idt_handler(v, vectors[i], &at, &dpl) && at != here && !is_guarded(d, at))
			guard(d, at);
	}
}

/* Real mode: of this instruction, the likeliest first. Handlers are often one for several. */
static size_t likely_vectors(const struct step *st, uint8_t out[6])
{
	uint8_t op = st->op[0], reg = st->op[1] >> 3 & 7;
	size_t n = 0;

	if ((op == 0xf6 || op == 0xf7) && reg >= 6)
		out[n++] = 0;
	else if (op == 0xd4)
		out[n++] = 0;
	else if (op == 0x62)
		out[n++] = 5;
	else if ((op & 0xf8) == 0xd8 || op == 0x9b || op == 0x0f)
		out[n++] = 7;
	out[n++] = 6;
	out[n++] = 13;
	out[n++] = 12;
	out[n++] = 0;
	return n;
}

void trap_guard(struct kvcpu *v, const struct step *st, struct kvm_guest_debug *d)
{
	static const uint8_t vectors[] = {6, 13, 14, 0};
	uint8_t in_real[6];
	uint64_t dr7;

	if (real_mode(v))
		guard_handlers(v, in_real, likely_vectors(st, in_real), d);
	else
		guard_handlers(v, vectors, sizeof(vectors), d);
	dr7 = d->arch.debugreg[7];
	d->control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | (dr7 & 0xff ? KVM_GUESTDBG_USE_HW_BP : 0);
	if (!(dr7 & 0xff))
		memset(&d->arch, 0, sizeof(d->arch));
}

bool trap_at_guard(struct kvcpu *v)
{
	const struct kvm_guest_debug *d = &v->control->dbg;

	return d->control & KVM_GUESTDBG_USE_HW_BP && is_guarded(d, vcpu_linear_rip(v));
}

/* Run until a guarded handler's first instruction. */
static bool run_to_guard(struct kvcpu *v)
{
	for (;;) {
		int rc = vcpu_enter(v);

		if (rc == -EINTR || rc == -EAGAIN) {
			if (vcpu_kicked(v))
				return vcpu_out(v, OUT_KICKED);
			continue;
		}
		if (!rc && v->run->exit_reason == KVM_EXIT_DEBUG)
			return true;
		if (!rc && v->run->exit_reason == KVM_EXIT_SHUTDOWN)
			return exit_shutdown(v, "a triple fault: an exception could not be delivered");
		return exit_failed(v, rc);
	}
}

/* KVM delivers what ev has injected, and the vCPU runs to the first instruction of a handler of one of these vectors. */
static bool inject(struct kvcpu *v, const struct kvm_vcpu_events *ev, const uint8_t *vectors, unsigned n)
{
	struct kvm_guest_debug d;

	guard_handlers(v, vectors, n, &d);
	if (!vcpu_debug(v, &d))
		return false;
	v->run->s.regs.events = *ev;
	v->sync_fresh |= KVM_SYNC_X86_EVENTS;
	vcpu_dirty(v, KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS);
	return run_to_guard(v);
}

bool trap_deliver(struct kvcpu *v, unsigned vector, bool has_error, uint32_t error)
{
	const uint8_t vectors[] = {(uint8_t)vector, 8, 13, 14};
	struct kvm_vcpu_events ev;

	if (real_mode(v))
		return real_deliver(v, vector, vcpu_regs(v)->rip);
	vcpu_events(v, &ev);
	ev.flags = 0;
	ev.exception.injected = 1;
	ev.exception.pending = 0;
	ev.exception.nr = (uint8_t)vector;
	ev.exception.has_error_code = has_error;
	ev.exception.error_code = error;
	vcpu_regs(v)->rflags &= ~RFLAGS_RF;
	return inject(v, &ev, vectors, vector == 13 || vector == 14 ? 3 + (vector == 13) : 4);
}

/* An interrupt by instruction, rip behind it. KVM delivers vectors of exceptions as such, others as software interrupts. */
static bool inject_software(struct kvcpu *v, unsigned vector)
{
	const uint8_t vectors[] = {(uint8_t)vector, 8, 13, 11};
	struct kvm_vcpu_events ev;

	if (vector == 1 || vector == 3 || vector == 4)
		return trap_deliver(v, vector, false, 0);
	vcpu_events(v, &ev);
	ev.flags = 0;
	ev.interrupt.injected = ev.interrupt.soft = 1;
	ev.interrupt.nr = (uint8_t)vector;
	return inject(v, &ev, vectors, sizeof(vectors));
}

bool trap_complete(struct kvcpu *v, unsigned vector, unsigned len)
{
	uint64_t at;
	unsigned dpl;

	if (real_empty(v, vector))
		return exit_software(v, vector, len, HANDLER_EMPTY);
	if (!idt_own(v))
		return exit_software(v, vector, len, HANDLER_BEYOND_IDT);
	if (real_mode(v))
		return real_deliver(v, vector, vcpu_regs(v)->rip + len);
	if (!idt_handler(v, vector, &at, &dpl) || (dpl < vcpu_cpl(v) && vector != 1))
		return trap_deliver(v, 13, true, vector * 8 + 2);
	vcpu_regs(v)->rip += len;
	return inject_software(v, vector);
}

/* INT n, INT3, INT1, INTO with an IDT to go through. */
bool trap_software(struct kvcpu *v, unsigned vector, unsigned len)
{
	const uint8_t vectors[] = {(uint8_t)vector, 6, 13, 11};
	struct kvm_guest_debug d;

	if (real_mode(v))
		return trap_complete(v, vector, len);
	uint64_t from = vcpu_regs(v)->rip;
	guard_handlers(v, vectors, 4, &d);
	if (!vcpu_debug(v, &d))
		return false;
	int rc;
	do
		rc = vcpu_enter(v);
	while ((rc == -EINTR || rc == -EAGAIN) && !vcpu_kicked(v));
	if (!rc && v->run->exit_reason == KVM_EXIT_DEBUG)
		return vcpu_regs(v)->rip == from && insn_int1_left(v, &len) ? trap_complete(v, vector, len) : true;
	return rc == -EINTR && vcpu_kicked(v) ? vcpu_out(v, OUT_KICKED) : exit_failed(v, rc);
}

/* ---- undoing a delivery */

struct frame {
	uint64_t ip, flags, sp;
	uint16_t cs, ss;
	bool outer;	/* sp and ss were pushed */
	uint64_t below; /* rsp above the frame, where they were not */
};

static bool read_frame(struct kvcpu *v, unsigned vector, struct frame *f)
{
	const struct kvm_sregs *s = vcpu_sregs(v);
	bool in_long = s->efer & EFER_LMA;
	unsigned width = in_long ? 8 : real_mode(v) ? 2 : 4;
	uint64_t rsp = vcpu_regs(v)->rsp, at;
	uint64_t w[5] = {0};

	if (!in_long && !s->ss.db)
		rsp &= 0xffff;
	if (has_error_code(vector) && !real_mode(v))
		rsp += width;
	at = in_long ? rsp : (uint32_t)(s->ss.base + rsp);
	for (unsigned i = 0; i < (in_long ? 5u : real_mode(v) ? 3u : 5u); i++)
		if (gmem_read(v, at + i * width, &w[i], width) != width)
			return false;
	*f = (struct frame){.ip = w[0], .cs = (uint16_t)w[1], .flags = w[2], .sp = w[3], .ss = (uint16_t)w[4]};
	f->outer = in_long || (!real_mode(v) && (f->cs & 3) > vcpu_cpl(v));
	f->below = rsp + 3 * width;
	return true;
}

/* Where cs:ip of the frame is, linearly, and the segment as it was. */
static bool frame_code(struct kvcpu *v, const struct frame *f, struct kvm_segment *cs, uint64_t *linear)
{
	*cs = vcpu_sregs(v)->cs;
	if (real_mode(v)) {
		cs->selector = f->cs;
		cs->base = f->cs * 16u;
	} else if (!trap_segment(v, f->cs, cs)) {
		return false;
	}
	*linear = cs->l ? f->ip : (uint32_t)(cs->base + f->ip);
	return true;
}

static void apply_frame(struct kvcpu *v, const struct frame *f, const struct kvm_segment *cs)
{
	struct kvm_regs *r = vcpu_regs(v);
	struct kvm_sregs *s = vcpu_sregs(v);

	s->cs = *cs;
	if (f->outer) {
		struct kvm_segment ss;

		if (!trap_segment(v, f->ss, &ss))
			ss = (struct kvm_segment){.selector = f->ss, .dpl = f->ss & 3, .unusable = 1};
		s->ss = ss;
		r->rsp = f->sp;
	} else {
		r->rsp = s->ss.db ? f->below : (r->rsp & ~0xffffull) | (f->below & 0xffff);
	}
	r->rip = f->ip;
	r->rflags = (real_mode(v) ? (r->rflags & ~0xffffull) | f->flags : f->flags) & ~RFLAGS_RF;
	vcpu_dirty(v, KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS);
}

bool trap_unwind(struct kvcpu *v, unsigned vector, int *id)
{
	struct frame f;
	struct kvm_segment cs;
	uint64_t at;

	if (!read_frame(v, vector, &f) || !frame_code(v, &f, &cs, &at))
		return false;
	/* A double fault in place of an int3 whose gate is missing: this side of it or that, by host. */
	uint64_t back = vector == 3 || (vector == 8 && plant_int3_at(v, at - 1));
	struct int3_met met;
	if (plant_int3_of(v, at - back, &met) == INT3_GUESTS)
		return false;
	*id = met.id;
	f.ip -= back + met.prefixes;
	apply_frame(v, &f, &cs);
	return true;
}

/* ---- real mode: who went through the vector table? */

int trap_real_fault(struct kvcpu *v, uint64_t from, uint64_t sp)
{
	static const uint8_t faults[] = {6, 0, 13, 12, 7, 5, 16, 1, 17, 19};
	struct kvm_vcpu_events ev;
	struct frame f;
	uint64_t at;
	unsigned dpl;

	if (!read_frame(v, 3, &f) || ((sp - vcpu_regs(v)->rsp) & 0xffff) != 6 || f.ip != (from & 0xffff))
		return -1;
	/* What KVM raised last, if it leads here; where the processor did, and one handler is there for several, a guess. */
	vcpu_events(v, &ev);
	if (ev.exception.nr < 32 && idt_handler(v, ev.exception.nr, &at, &dpl) && at == vcpu_linear_rip(v) &&
	    memchr(faults, ev.exception.nr, sizeof(faults)))
		return ev.exception.nr;
	for (size_t i = 0; i < sizeof(faults); i++)
		if (idt_handler(v, faults[i], &at, &dpl) && at == vcpu_linear_rip(v))
			return faults[i];
	return -1;
}

void trap_frame_tf(struct kvcpu *v, bool tf)
{
	const struct kvm_sregs *s = vcpu_sregs(v);
	struct frame f;
	uint64_t sp = vcpu_regs(v)->rsp & (s->ss.db ? 0xffffffff : 0xffff);
	uint16_t flags;

	if (!real_mode(v) || !read_frame(v, 3, &f))
		return;
	flags = (uint16_t)((f.flags & ~RFLAGS_TF) | (tf ? RFLAGS_TF : 0));
	(void)gmem_write(v, (uint32_t)(s->ss.base + sp + 4), &flags, sizeof(flags));
}

bool trap_undo(struct kvcpu *v)
{
	struct frame f;
	struct kvm_segment cs;
	uint64_t at;

	if (!read_frame(v, 3, &f) || !frame_code(v, &f, &cs, &at))
		return false;
	apply_frame(v, &f, &cs);
	return true;
}

int trap_certain(struct kvcpu *v, const uint8_t *code)
{
	uint64_t a = vcpu_regs(v)->rax, d = vcpu_regs(v)->rdx;
	uint8_t op = code[0], modrm = code[1];

	if (op == 0x0f && (modrm == 0x0b || modrm == 0xb9 || modrm == 0xff))
		return 6;
	if (op == 0xd4 && !modrm)
		return 0;
	if ((op != 0xf6 && op != 0xf7) || (modrm >> 3 & 7) < 6 || modrm < 0xc0)
		return -1;
	uint64_t gpr[16], rip;
	vcpu_gprs(v, gpr, &rip);
	bool byte = op == 0xf6, is_signed = (modrm >> 3 & 7) == 7;
	unsigned r = modrm & 7;
	uint64_t by = byte ? (r < 4 ? gpr[r] : gpr[r - 4] >> 8) & 0xff : gpr[r] & 0xffff;
	uint64_t of = byte ? a & 0xffff : (d & 0xffff) << 16 | (a & 0xffff);
	if (!by)
		return 0;
	/* A signed quotient is not worked out. */
	return !is_signed && of / by > (byte ? 0xffu : 0xffffu) ? 0 : -1;
}

/* What pushed the frame that rip was just taken back by: a fault at rip, or an instruction before it. */
static int empty_vector(struct kvcpu *v, unsigned *len)
{
	struct kvm_vcpu_events ev;
	uint64_t at = vcpu_linear_rip(v);
	uint8_t code[4] = {0};
	int fault;

	*len = 0;
	if (gmem_read(v, at - 2, code, 2) != 2)
		return -1;
	(void)gmem_read(v, at, code + 2, 2);
	fault = trap_certain(v, code + 2);
	if (fault >= 0 && real_empty(v, (unsigned)fault))
		return fault;
	*len = code[0] == 0xcd ? 2 : 1;
	if (code[0] == 0xcd && real_empty(v, code[1]) && v->control->int_told.over != vcpu_regs(v)->rip - 2)
		return code[1];
	if (code[1] == 0xcc || code[1] == 0xce || code[1] == 0xf1) {
		unsigned vector = code[1] == 0xcc ? 3 : code[1] == 0xce ? 4 : 1;
		if (real_empty(v, vector))
			return (int)vector;
	}
	*len = 0;
	vcpu_events(v, &ev);
	if (ev.exception.nr < 32 && real_empty(v, ev.exception.nr))
		return ev.exception.nr;
	return real_empty(v, 0) && (code[2] == 0xf6 || code[2] == 0xf7) && (code[3] >> 3 & 7) >= 6 ? 0
	       : real_empty(v, 6)								   ? 6
	       : real_empty(v, 13)								   ? 13
												   : -1;
}

bool trap_no_handler(struct kvcpu *v)
{
	struct kvm_regs here = *vcpu_regs(v);
	struct kvm_sregs there = *vcpu_sregs(v);
	struct frame f;
	unsigned len = 0;
	/* Flags as a processor pushes them: bit 1 set, 3, 5 and 15 clear. */
	bool frame = real_mode(v) && read_frame(v, 3, &f) && (f.flags & 0x802a) == RFLAGS_FIXED && trap_undo(v);
	int vector = frame ? empty_vector(v, &len) : -1;

	if (vector < 0) {
		*vcpu_regs(v) = here;
		*vcpu_sregs(v) = there;
		return true;
	}
	vcpu_regs(v)->rip = (vcpu_regs(v)->rip - len) & 0xffff;
	if (len)
		return exit_software(v, (unsigned)vector, len, HANDLER_EMPTY);
	struct kvm_vcpu_events ev = {.exception.nr = (uint8_t)vector};
	(void)exit_exception(v, &ev);
	v->control->stop.handler = HANDLER_EMPTY;
	return false;
}
