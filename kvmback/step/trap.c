/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Exceptions and the guest's own descriptor tables: where a vector's handler begins, delivering an exception so that the
 * vCPU stands at that handler's first instruction, and the reverse, undoing a delivery that one of our int3 caused. Frames:
 * Intel SDM vol. 3A 6.12 (protected mode), 6.14 (64-bit), 20.1.4 (real mode).
 */
#include "kvmback/step/step.h"

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

/* Debug registers on the handlers of these vectors. */
static void guard_handlers(struct kvcpu *v, const uint8_t *vectors, size_t n, struct kvm_guest_debug *d)
{
	uint64_t here = vcpu_linear_rip(v);

	*d = (struct kvm_guest_debug){.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP};
	d->arch.debugreg[7] = 0x600;
	for (size_t i = 0; i < n && i < DR_COUNT; i++) {
		uint64_t at;
		unsigned dpl;

		if (!idt_handler(v, vectors[i], &at, &dpl) || at == here)
			continue;
		d->arch.debugreg[i] = at;
		d->arch.debugreg[7] |= 2ull << (2 * i);
	}
}

void trap_guard(struct kvcpu *v, struct kvm_guest_debug *d)
{
	static const uint8_t vectors[] = {6, 13, 14, 0}, in_real[] = {6, 13, 0};
	uint64_t dr7;

	if (real_mode(v))
		guard_handlers(v, in_real, sizeof(in_real), d);
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
	uint64_t here = vcpu_linear_rip(v);

	for (unsigned i = 0; d->control & KVM_GUESTDBG_USE_HW_BP && i < DR_COUNT; i++)
		if (d->arch.debugreg[7] & 2ull << (2 * i) && d->arch.debugreg[i] == here)
			return true;
	return false;
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
		if (!rc && v->run->exit_reason == KVM_EXIT_SHUTDOWN) {
			snprintf(v->control->stop.note, sizeof(v->control->stop.note),
				 "a triple fault: an exception could not be delivered");
			return vcpu_stop(v, STOP_SHUTDOWN);
		}
		return exit_failed(v, rc);
	}
}

bool trap_deliver(struct kvcpu *v, unsigned vector, bool has_error, uint32_t error)
{
	const uint8_t vectors[] = {(uint8_t)vector, 8, 13, 14};
	struct kvm_guest_debug d;
	struct kvm_vcpu_events ev;

	vcpu_events(v, &ev);
	ev.flags = 0;
	ev.exception.injected = 1;
	ev.exception.pending = 0;
	ev.exception.nr = (uint8_t)vector;
	ev.exception.has_error_code = has_error;
	ev.exception.error_code = error;
	vcpu_regs(v)->rflags &= ~RFLAGS_RF;
	guard_handlers(v, vectors, vector == 13 || vector == 14 ? 3 + (vector == 13) : 4, &d);
	if (!vcpu_debug(v, &d))
		return false;
	v->run->s.regs.events = ev;
	v->sync_fresh |= KVM_SYNC_X86_EVENTS;
	vcpu_dirty(v, KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS);
	return run_to_guard(v);
}

/* INT n, INT3, INT1, INTO with an IDT to go through. */
bool trap_software(struct kvcpu *v, unsigned vector)
{
	const uint8_t vectors[] = {(uint8_t)vector, 6, 13, 11};
	struct kvm_guest_debug d;

	guard_handlers(v, vectors, 4, &d);
	if (!vcpu_debug(v, &d))
		return false;
	int rc;
	do
		rc = vcpu_enter(v);
	while ((rc == -EINTR || rc == -EAGAIN) && !vcpu_kicked(v));
	if (!rc && v->run->exit_reason == KVM_EXIT_DEBUG)
		return true;
	if (!rc && v->run->exit_reason == KVM_EXIT_INTERNAL_ERROR && vector == 3) {
		/* An emulator without INT3. */
		vcpu_regs(v)->rip++;
		return trap_deliver(v, 3, false, 0);
	}
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
	if (!plant_int3_at(v, at - back))
		return false;
	*id = plant_exec_at(v->vm->rs, at - back);
	f.ip -= back;
	if (*id)
		apply_frame(v, &f, &cs);
	return *id != 0;
}

void trap_frame_without_tf(struct kvcpu *v, uint64_t from)
{
	const struct kvm_sregs *s = vcpu_sregs(v);
	struct frame f;
	uint64_t sp = vcpu_regs(v)->rsp & (s->ss.db ? 0xffffffff : 0xffff);
	uint16_t flags;

	/* An INT of two bytes, INT3, or a fault. */
	if (!real_mode(v) || !read_frame(v, 3, &f) || f.ip - from > 2)
		return;
	flags = (uint16_t)(f.flags & ~RFLAGS_TF);
	(void)gmem_write(v, (uint32_t)(s->ss.base + sp + 4), &flags, sizeof(flags));
}

void trap_frame_with_rf(struct kvcpu *v, unsigned vector, uint64_t from)
{
	const struct kvm_sregs *s = vcpu_sregs(v);
	bool in_long = s->efer & EFER_LMA, is_trap = vector == 1 || vector == 3 || vector == 4;
	unsigned width = in_long ? 8 : 4, below = has_error_code(vector) ? 3 : 2;
	uint64_t sp = vcpu_regs(v)->rsp & (in_long ? ~0ull : s->ss.db ? 0xffffffff : 0xffff);
	struct frame f;
	uint32_t flags;

	if (real_mode(v) || is_trap || !read_frame(v, vector, &f) || f.ip != from)
		return;
	flags = (uint32_t)f.flags | RFLAGS_RF;
	(void)gmem_write(v, (in_long ? sp : (uint32_t)(s->ss.base + sp)) + below * width, &flags, sizeof(flags));
}

bool trap_no_handler(struct kvcpu *v)
{
	struct kvm_vcpu_events ev;
	struct frame f;
	struct kvm_segment cs;
	uint64_t at;

	vcpu_events(v, &ev);
	if (!real_mode(v) || !read_frame(v, ev.exception.nr, &f) || !frame_code(v, &f, &cs, &at))
		return vcpu_stop(v, STOP_SHUTDOWN);
	apply_frame(v, &f, &cs);
	ev.exception.has_error_code = 0;
	snprintf(v->control->stop.note, sizeof(v->control->stop.note), "its entry in the vector table is 0000:0000");
	return exit_exception(v, &ev);
}
