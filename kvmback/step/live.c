/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Registers and memory of a VM that does not stand still. A vCPU is held on its side of KVM_RUN while its registers are put
 * together, so that what its thread has set up for a step, and the kernel's copy, are of one moment.
 */
#include "kvmback/step/live.h"

#include <sched.h>
#include <string.h>

#include "core/base/lock.h"
#include "kvmback/step/step.h"
#include "kvmback/vcpu/bytes.h"

int live_remember(struct kvm_vm *vm, struct err *e)
{
	if (!vm->remembered)
		vm->remembered = calloc(vm->m.vcpus, sizeof(*vm->remembered));
	if (!vm->remembered)
		return err_nomem(e, "run");
	for (unsigned i = 0; i < vm->m.vcpus; i++) {
		int rc = kvm_get_regs(&vm->m, i, REGS_ALL, &vm->remembered[i], e);
		if (rc)
			return rc;
	}
	return 0;
}

const struct regs *live_remembered(const struct kvm_vm *vm, unsigned vcpu)
{
	return &vm->remembered[vcpu];
}

bool live_elsewhere(const struct kvm_vm *vm)
{
	return run_is_going(&vm->m.run) && vm->m.run.on_runner && vm->remembered && run_on_client(&vm->m.run);
}

static void read_regs(struct kvm_vm *vm, unsigned vcpu, struct regs *out)
{
	struct regs now = *out;

	if (kvm_view_regs(vm, vcpu, &now, NULL))
		return;
	/* The trap page came last. */
	trap_page_hide(&vm->vcpu[vcpu], &now);
	step_hide(&vm->vcpu[vcpu], &now);
	now.pdpte_valid &= now.cr3 == out->cr3 && now.cr4 == out->cr4 && now.cr0 == out->cr0;
	*out = now;
}

void live_regs(struct kvm_vm *vm, unsigned vcpu, struct regs *out)
{
	struct kvcpu *v = &vm->vcpu[vcpu];
	enum vcpu_phase was;

	*out = vm->remembered[vcpu];
	out->old = REGS_OLD_ALL;
	/* If there is no SMM in KVM it is the debugger's own doing. */
	if (!vm->host->x86_smm)
		out->old &= ~(1ull << REGS_OLD_SMM);
	while (!vcpu_hold(v, vcpu_entry(v), &was))
		sched_yield();
	read_regs(vm, vcpu, out);
	vcpu_release(v, was);
}

/* ---- memory */

struct just_read {
	const struct machine *m;
	uint64_t gpa;
	uint8_t *buf;
	size_t len;
};

static void hide_byte(void *arg, const uint8_t *byte, uint8_t under)
{
	const struct just_read *r = arg;

	for (size_t i = 0; i < r->m->slots.n; i++) {
		const struct slot *s = r->m->slots.by_gfn[i];
		uint64_t offset = (uint64_t)(byte - s->alias), at = s->gpa + offset;

		if (s->alias && offset < s->size && at >= r->gpa && at - r->gpa < r->len && r->buf[at - r->gpa] == INT3)
			r->buf[at - r->gpa] = under;
	}
}

void live_hide_int3(struct machine *m, uint64_t gpa, void *buf, size_t len)
{
	struct run_state *rs = kvm_of(m)->rs;

	if (run_phase(&m->run) == RUN_STOPPED || !rs)
		return;
	struct just_read r = {m, gpa, buf, len};
	bytes_each(rs, hide_byte, &r);
}
