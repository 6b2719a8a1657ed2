/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Device accesses, in a vCPU's own thread: shown first if they are caught, handed to the board, and completed with
 * immediate_exit before anybody stops, so that no access is ever half done.
 */
#include "kvmback/vcpu/vcpu.h"

#include "core/base/lock.h"

#include <errno.h>
#include <string.h>

/* ---- device accesses */

static bool is_mmio(const struct kvcpu *v)
{
	return v->run->exit_reason == KVM_EXIT_MMIO;
}

static uint8_t *pio_data(struct kvcpu *v)
{
	return (uint8_t *)v->run + v->run->io.data_offset;
}

static enum board_effect ask_board(struct kvcpu *v)
{
	struct board *b = &v->vm->m.board;
	struct kvm_run *r = v->run;
	enum board_effect effect = BOARD_NONE;

	if (is_mmio(v)) {
		/* With a slot there it is a write to READONLY memory: dropped, as a ROM does. */
		if (gmem_slot(v, r->mmio.phys_addr) && r->mmio.is_write)
			return BOARD_NONE;
		return board_mmio(b, r->mmio.phys_addr, r->mmio.len, r->mmio.data, r->mmio.is_write);
	}
	for (uint32_t i = 0; i < r->io.count && effect == BOARD_NONE; i++)
		effect = board_pio(b, r->io.port, r->io.size, pio_data(v) + (size_t)i * r->io.size,
				   r->io.direction == KVM_EXIT_IO_OUT);
	return effect;
}

/* What it asks of the board comes when the instruction is done. */
static void answer(struct kvcpu *v)
{
	struct vcpu_control *t = v->control;

	LOCK_SCOPE(&v->vm->rs->board_lock);
	stall_access(v);
	enum board_effect effect = ask_board(v);

	if (t->effect == BOARD_NONE)
		t->effect = (uint8_t)effect;
	t->io = IO_DONE;
}

/* One KVM_RUN for the rest of an instruction: what it has touched of armed pages so far stays its own. */
static int complete(struct kvcpu *v)
{
	struct vcpu_control *t = v->control;
	unsigned entry = vcpu_entry(v);

	if (vcpu_touched(v) && t->access.entry == entry)
		t->access.entry = vcpu_entry_behind(vcpu_entry_behind(entry));
	t->completing = true;
	vcpu_immediate_exit(v, true);
	int rc = vcpu_enter(v);
	vcpu_immediate_exit(v, false);
	t->completing = false;
	return rc;
}

/* ---- shown first */

static bool is_caught(const struct kvcpu *v)
{
	return v->vm->rs->catch & (is_mmio(v) ? CATCH_MMIO : CATCH_PIO);
}

static void tell_mmio(struct kvcpu *v, struct stop *s)
{
	const struct kvm_run *r = v->run;
	const struct slot *slot = gmem_slot(v, r->mmio.phys_addr);

	s->gpa = r->mmio.phys_addr;
	s->len = r->mmio.len;
	s->write = r->mmio.is_write;
	if (s->write)
		memcpy(s->data, r->mmio.data, sizeof(s->data));
	s->slot = slot ? (int)slot->id : -1;
}

static void tell_pio(struct kvcpu *v, struct stop *s)
{
	const struct kvm_run *r = v->run;

	s->port = r->io.port;
	s->len = r->io.size;
	s->count = r->io.count;
	s->write = r->io.direction == KVM_EXIT_IO_OUT;
	if (s->write)
		memcpy(s->data, pio_data(v), r->io.size <= sizeof(s->data) ? r->io.size : sizeof(s->data));
}

static bool catch_io(struct kvcpu *v)
{
	struct vcpu_control *t = v->control;
	struct stop *s = &t->stop;

	t->io = IO_CAUGHT;
	if (!t->by_known)
		t->by_known = accessor_find(v, &t->by);
	s->by = t->by;
	s->has_by = t->by_known;
	if (is_mmio(v))
		tell_mmio(v, s);
	else
		tell_pio(v, s);
	return vcpu_stop(v, is_mmio(v) ? STOP_MMIO : STOP_PIO);
}

/* The first access of an instruction: by which one, as far as that is plain to see. */
static void note_instruction(struct kvcpu *v)
{
	struct vcpu_control *t = v->control;
	bool stepped = atomic_load_explicit(&t->stepping, memory_order_relaxed);
	bool reads = is_mmio(v) ? !v->run->mmio.is_write : v->run->io.direction == KVM_EXIT_IO_IN;

	t->by_known = stepped || reads;
	t->by = stepped ? t->from : vcpu_regs(v)->rip;
}

/* ---- the rest of the instruction */

/* What the accesses asked of the board. */
static bool act(struct kvcpu *v)
{
	struct vcpu_control *t = v->control;
	enum board_effect effect = t->effect;

	t->effect = BOARD_NONE;
	if (effect == BOARD_NONE)
		return true;
	if (effect == BOARD_SMI)
		return vcpu_out(v, OUT_SMI);
	t->stop.exit_code = v->vm->m.board.exit_code;
	return vcpu_stop(v, STOP_EXIT);
}

/* An access that crosses a page, or is wider than 8 bytes, comes in parts, and one instruction may make several. */
static bool next_access(struct kvcpu *v)
{
	if (is_caught(v))
		return catch_io(v);
	answer(v);
	return true;
}

bool io_finish(struct kvcpu *v)
{
	bool any = v->control->io == IO_DONE;

	while (v->control->io == IO_DONE) {
		int rc = complete(v);

		if (!rc && (is_mmio(v) || v->run->exit_reason == KVM_EXIT_IO)) {
			if (!next_access(v))
				return false;
		} else if (rc && rc != -EINTR && rc != -EAGAIN) {
			return vcpu_failed(v, rc);
		} else if (!rc && v->run->exit_reason == KVM_EXIT_INTERNAL_ERROR) {
			return vcpu_failed(v, 0);
		}
	}
	/* A single step that ended in the access leaves its #DB waiting, if TF stepped it. */
	if (vcpu_regs(v)->rflags & RFLAGS_TF && v->control->own.tf != TF_GUEST)
		vcpu_drop(v, 1);
	return !any || act(v);
}

/* The device has been asked. */
static bool answered(struct kvcpu *v)
{
	answer(v);
	return v->control->effect == BOARD_NONE || io_finish(v);
}

bool io_resume(struct kvcpu *v)
{
	struct vcpu_control *t = v->control;
	bool tf = t->io == IO_CAUGHT_TF, on = answered(v);

	if (!tf)
		return on;
	/* The emulator kept the flags that the step began with. */
	on = on && io_finish(v);
	if (io_caught(v)) {
		t->io = IO_CAUGHT_TF;
		return false;
	}
	vcpu_regs(v)->rflags &= ~RFLAGS_TF;
	vcpu_dirty(v, KVM_SYNC_X86_REGS);
	return on;
}

bool exit_io(struct kvcpu *v)
{
	if (v->vm->rs->catch & (CATCH_MMIO | CATCH_PIO))
		note_instruction(v);
	return is_caught(v) ? catch_io(v) : answered(v);
}

/* Its other accesses come to no device. */
void io_forget(struct kvcpu *v)
{
	struct kvm_regs before = *vcpu_regs(v);
	struct kvm_sregs sregs = *vcpu_sregs(v);
	int rc = 0;

	for (bool more = v->control->io != IO_NONE; more; more = !rc && (is_mmio(v) || v->run->exit_reason == KVM_EXIT_IO)) {
		v->control->io = IO_DONE;
		rc = complete(v);
	}
	v->control->io = IO_NONE;
	v->control->effect = BOARD_NONE;
	*vcpu_regs(v) = before;
	*vcpu_sregs(v) = sregs;
	vcpu_dirty(v, KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS);
}
