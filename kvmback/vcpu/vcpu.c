/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A vCPU's KVM_RUN, the only place where it is called, and what its thread notes of why it came back.
 */
#include "kvmback/vcpu/nested.h"
#include "kvmback/vcpu/vcpu.h"

#include "core/base/tsan.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

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

void vcpu_fetch_pdptes(struct kvcpu *v, const struct kvm_sregs *s)
{
	struct kvm_sregs2 two;

	v->pdpte_valid = v->vm->host->pdptes && s->cr0 & CR0_PG && s->cr4 & CR4_PAE && !(s->efer & EFER_LMA) &&
			 ioctl(v->fd, KVM_GET_SREGS2, &two) == 0 && two.flags & KVM_SREGS2_FLAGS_PDPTRS_VALID;
	if (v->pdpte_valid)
		memcpy(v->pdpte, two.pdptrs, sizeof(v->pdpte));
}

int vcpu_enter(struct kvcpu *v)
{
	const struct vcpu_ops *ops = v->vm->rs->ops;

	lock_assert_none();
	vcpu_go_in(v);
	if (!ops->may_enter(v)) {
		vcpu_go_out(v);
		return -EINTR;
	}
	/* What regs.c stored by ioctl since is newer than the run area. */
	v->run->kvm_dirty_regs &= v->sync_fresh;
	v->halted = false;
	/* KVM completes an access first of all, with immediate_exit as well: a kick on the way in makes no difference. */
	v->control->io = IO_NONE;
	v->control->entered = vcpu_regs(v)->rip;
	atomic_store_explicit(&v->vm->ran, true, memory_order_relaxed);
	ops->enter(v);
	/* userfaultfd hands the message of a fault in there to whoever reads it behind vcpu_entry(). */
	TSAN_RELEASE(&v->control->where);
	int rc = ioctl(v->fd, KVM_RUN, 0) < 0 ? -errno : 0;
	vcpu_go_out(v);
	v->sync_fresh = (uint32_t)v->run->kvm_valid_regs;
	if (v->sync_fresh & KVM_SYNC_X86_SREGS) {
		vcpu_fetch_pdptes(v, vcpu_sregs(v));
		nested_fetch(v, vcpu_sregs(v));
	}
	if (rc == -EINTR && take_shutdown(v))
		rc = 0;
	/* KVM has not entered the guest again: as a signal that ends nothing. */
	if (!rc && v->run->exit_reason == KVM_EXIT_DIRTY_RING_FULL && v->ring.v)
		rc = kvm_ring_full(v) ?: -EINTR;
	return ops->leave(v, rc);
}

int vcpu_load(struct kvcpu *v, struct err *e)
{
	if (!(v->sync_fresh & KVM_SYNC_X86_REGS) && ioctl(v->fd, KVM_GET_REGS, vcpu_regs(v)) < 0)
		return err_errno(e, errno, "run vCPU %u" WHY "KVM_GET_REGS" TRY "load", v->index);
	if (!(v->sync_fresh & KVM_SYNC_X86_SREGS) && ioctl(v->fd, KVM_GET_SREGS, vcpu_sregs(v)) < 0)
		return err_errno(e, errno, "run vCPU %u" WHY "KVM_GET_SREGS" TRY "load", v->index);
	vcpu_fetch_pdptes(v, vcpu_sregs(v));
	nested_fetch(v, vcpu_sregs(v));
	/* Old dirty bits stand for a run area that a store by ioctl has made old. */
	v->run->kvm_dirty_regs &= v->sync_fresh;
	v->sync_fresh |= KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
	return 0;
}

void vcpu_gprs(struct kvcpu *v, uint64_t gpr[16], uint64_t *rip)
{
	const struct kvm_regs *k = vcpu_regs(v);
	const uint64_t in[16] = {k->rax, k->rcx, k->rdx, k->rbx, k->rsp, k->rbp, k->rsi, k->rdi,
				 k->r8,	 k->r9,	 k->r10, k->r11, k->r12, k->r13, k->r14, k->r15};

	memcpy(gpr, in, sizeof(in));
	*rip = k->rip;
}

/* What the run area has for the next KVM_RUN, now. */
static int store_dirty(struct kvcpu *v)
{
	uint64_t dirty = v->run->kvm_dirty_regs & v->sync_fresh;

	if ((dirty & KVM_SYNC_X86_REGS && ioctl(v->fd, KVM_SET_REGS, vcpu_regs(v)) < 0) ||
	    (dirty & KVM_SYNC_X86_SREGS && ioctl(v->fd, KVM_SET_SREGS, vcpu_sregs(v)) < 0))
		return -errno;
	v->run->kvm_dirty_regs &= ~(uint64_t)(KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS);
	return 0;
}

bool vcpu_debug(struct kvcpu *v, const struct kvm_guest_debug *d)
{
	struct vcpu_control *t = v->control;
	struct kvm_regs before = *vcpu_regs(v);
	uint32_t fresh = v->sync_fresh;
	bool anew = d->control & KVM_GUESTDBG_SINGLESTEP && v->vm->rs->st->step_is_for_one_rip;

	/* With rip in place. */
	if (!anew && t->dbg_nested == v->nested.in && !memcmp(&t->dbg, d, sizeof(*d)))
		return true;
	int rc = anew ? store_dirty(v) : 0;
	if (rc)
		return vcpu_error(v, "registers for a step: %s", strerror(-rc));
	if (ioctl(v->fd, KVM_SET_GUEST_DEBUG, d) < 0)
		return vcpu_error(v, "KVM_SET_GUEST_DEBUG, control %#x: %s", d->control, strerror(errno));
	t->dbg = *d;
	t->dbg_nested = v->nested.in;
	*vcpu_regs(v) = before;
	v->sync_fresh = fresh;
	return true;
}

bool vcpu_out(struct kvcpu *v, enum outcome out)
{
	v->control->out = out;
	return false;
}

bool vcpu_stop(struct kvcpu *v, enum stop_reason reason)
{
	struct stop *s = &v->control->stop;

	s->reason = reason;
	s->vcpu = v->index;
	s->rip = vcpu_regs(v)->rip;
	s->nested = v->nested.in;
	s->code_bits = (uint8_t)vcpu_bits(v);
	s->code_base = s->code_bits == 64 ? 0 : vcpu_sregs(v)->cs.base;
	return vcpu_out(v, OUT_STOP);
}

bool vcpu_error(struct kvcpu *v, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(v->control->stop.error, sizeof(v->control->stop.error), fmt, ap);
	va_end(ap);
	return vcpu_stop(v, STOP_ERROR);
}
