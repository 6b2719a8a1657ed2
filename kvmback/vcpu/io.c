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

static enum board_effect answer(struct kvcpu *v)
{
	LOCK_SCOPE(&v->vm->rs->board_lock);
	enum board_effect effect = ask_board(v);

	if (effect == BOARD_EXIT)
		v->control->stop.exit_code = v->vm->m.board.exit_code;
	v->control->io = IO_DONE;
	return effect;
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

bool io_finish(struct kvcpu *v)
{
	while (v->control->io == IO_DONE) {
		int rc = complete(v);

		/* An access that crosses a page, or is wider than 8 bytes, comes in parts. */
		if (!rc && (is_mmio(v) || v->run->exit_reason == KVM_EXIT_IO))
			(void)answer(v);
		else if (rc && rc != -EINTR && rc != -EAGAIN)
			return vcpu_failed(v, rc);
		else if (!rc && v->run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
			return vcpu_failed(v, 0);
	}
	/* A single step that ended in the access leaves its #DB waiting, if TF stepped it. */
	if (vcpu_regs(v)->rflags & RFLAGS_TF)
		vcpu_drop(v, 1);
	return true;
}

static bool catch_io(struct kvcpu *v)
{
	struct stop *s = &v->control->stop;
	const struct kvm_run *r = v->run;

	v->control->io = IO_CAUGHT;
	if (is_mmio(v)) {
		const struct slot *slot = gmem_slot(v, r->mmio.phys_addr);

		s->gpa = r->mmio.phys_addr;
		s->len = r->mmio.len;
		s->write = r->mmio.is_write;
		if (s->write)
			memcpy(s->data, r->mmio.data, sizeof(s->data));
		s->slot = slot ? (int)slot->id : -1;
		return vcpu_stop(v, STOP_MMIO);
	}
	s->port = r->io.port;
	s->len = r->io.size;
	s->count = r->io.count;
	s->write = r->io.direction == KVM_EXIT_IO_OUT;
	if (s->write)
		memcpy(s->data, pio_data(v), r->io.size <= sizeof(s->data) ? r->io.size : sizeof(s->data));
	return vcpu_stop(v, STOP_PIO);
}

static bool effect_out(struct kvcpu *v, enum board_effect effect)
{
	if (effect == BOARD_NONE)
		return true;
	if (!io_finish(v))
		return false;
	return effect == BOARD_SMI ? vcpu_out(v, OUT_SMI) : vcpu_stop(v, STOP_EXIT);
}

bool io_resume(struct kvcpu *v)
{
	bool tf = v->control->io == IO_CAUGHT_TF, on = effect_out(v, answer(v));

	if (!tf)
		return on;
	/* The emulator kept the flags that the step began with. */
	on = on && io_finish(v);
	vcpu_regs(v)->rflags &= ~RFLAGS_TF;
	vcpu_dirty(v, KVM_SYNC_X86_REGS);
	return on;
}

bool exit_io(struct kvcpu *v)
{
	if (v->vm->rs->catch & (is_mmio(v) ? CATCH_MMIO : CATCH_PIO))
		return catch_io(v);
	return io_resume(v);
}

void io_forget(struct kvcpu *v)
{
	struct kvm_regs before = *vcpu_regs(v);
	struct kvm_sregs sregs = *vcpu_sregs(v);

	if (io_caught(v))
		v->control->io = IO_DONE;
	if (!io_finish(v))
		v->control->io = IO_NONE;
	*vcpu_regs(v) = before;
	*vcpu_sregs(v) = sregs;
	vcpu_dirty(v, KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS);
}
