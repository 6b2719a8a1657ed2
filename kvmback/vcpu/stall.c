/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Whether the vCPUs of a run make progress. A guest that jumps to itself never leaves KVM_RUN, so somebody else says when to
 * look (the watchdog of a lone vCPU, the thread that waits for several), and a signal brings the vCPU out. Its own thread
 * looks, and tells the client when none of those that run gets anywhere.
 */
#include "kvmback/vcpu/vcpu.h"

#include <string.h>

static uint64_t state_of(struct kvcpu *v)
{
	uint64_t gpr[16], rip;

	vcpu_gprs(v, gpr, &rip);
	return progress_state(gpr);
}

void stall_begin(struct kvm_vm *vm)
{
	for (unsigned i = 0; i < vm->m.vcpus; i++) {
		struct vcpu_control *t = vm->vcpu[i].control;

		progress_forget(&t->progress);
		atomic_store(&t->look_due, false);
		atomic_store(&t->stalled, false);
	}
}

/* Where pages are armed, a signal means that one was touched; one that stands inside a fault is to stay there; and a step is
 * over soon. */
static bool may_fetch_out(const struct kvcpu *v)
{
	return !v->vm->armed && !v->vm->rs->turns && !kvm_is_parked(v->vm) && !atomic_load(&v->control->stepping);
}

void stall_due(struct kvm_vm *vm)
{
	for (unsigned i = 0; i < vm->m.vcpus; i++) {
		struct kvcpu *v = &vm->vcpu[i];

		if (atomic_load(&v->control->job) != JOB_RUN)
			continue;
		atomic_store(&v->control->look_due, true);
		if (may_fetch_out(v))
			vcpu_kick(v, KICK_LOOK);
	}
}

void stall_access(struct kvcpu *v)
{
	const struct kvm_run *r = v->run;
	bool port = r->exit_reason == KVM_EXIT_IO;
	uint64_t address = port ? r->io.port : r->mmio.phys_addr;
	unsigned len = port ? r->io.size : r->mmio.len;
	bool write = port ? r->io.direction == KVM_EXIT_IO_OUT : r->mmio.is_write;

	progress_access(&v->control->progress, vcpu_linear_rip(v), port, address, len, write, state_of(v));
}

static bool others_stalled(const struct kvcpu *v)
{
	for (unsigned i = 0; i < v->vm->m.vcpus; i++) {
		const struct kvcpu *other = &v->vm->vcpu[i];

		if (other != v && vcpu_busy(other) && !atomic_load(&other->control->stalled))
			return false;
	}
	return true;
}

static void tell(struct kvcpu *v)
{
	struct stall s;

	if (!others_stalled(v) || !progress_tell(&v->control->progress, &s))
		return;
	s.vcpu = v->index;
	/* KVM has moved rip on when it exits for a write. */
	if (s.kind != STALL_ACCESS || !s.write) {
		s.code_bits = (uint8_t)vcpu_bits(v);
		s.n_insn = (uint8_t)gmem_read(v, s.first, s.insn, sizeof(s.insn));
	}
	run_stalled(&v->vm->m.run, &s);
}

void stall_look(struct kvcpu *v)
{
	struct vcpu_control *t = v->control;
	bool stalled;

	if (!atomic_load_explicit(&t->look_due, memory_order_relaxed))
		return;
	atomic_store(&t->look_due, false);
	stalled = progress_look(&t->progress, clock_now_ns(), vcpu_linear_rip(v), state_of(v));
	atomic_store(&t->stalled, stalled);
	if (stalled)
		tell(v);
}
