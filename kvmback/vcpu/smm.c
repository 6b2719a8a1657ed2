/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * SMM. A host with KVM_CAP_X86_SMM does it itself: kvmback/step/smi.c, and RSM is the guest's. Elsewhere the debugger is the
 * processor: it writes the state-save area through the slots as SMM sees them, swaps which slots are set, loads the
 * registers of the handler's first instruction, and undoes all of it where an RSM stands at rip. KVM raises #UD for RSM, so
 * run.c steps a vCPU that is in_smm and looks before each step.
 */
#include "kvmback/kvm.h"
#include "core/cpu/smm.h"
#include "kvmback/vcpu/vcpu.h"

#include <errno.h>

#define MSR_SMBASE 0x9eu
/* What SMI and RSM change; the rest of the registers is the handler's to keep. */
#define SMM_PARTS (REGS_GPR | REGS_SYS | REGS_DEBUG | REGS_EVENTS)

static uint64_t save_area(const struct kvcpu *v)
{
	return (uint64_t)v->smbase + SMM_SAVE_OFFSET;
}

/* The view is one for the whole VM: it is SMM's as long as any vCPU is in it, and run.c runs no other then. */
int kvm_smm_switch(struct kvm_vm *vm, unsigned vcpu, bool smm, struct err *e)
{
	bool any = smm;
	int rc;

	for (unsigned i = 0; i < vm->m.vcpus; i++)
		any |= i != vcpu && vm->vcpu[i].in_smm;
	rc = kvm_slots_view(vm, any, e);
	if (!rc)
		vm->vcpu[vcpu].in_smm = smm;
	return rc;
}

static int write_save_area(struct kvm_vm *vm, const struct kvcpu *v, const struct regs *r, struct err *e)
{
	uint8_t area[SMM_SAVE_SIZE];
	uint64_t at = save_area(v), gpa = at;
	int rc;

	smm_save(r, v->smbase, area);
	rc = slots_write(&vm->m.slots, at, true, area, sizeof(area), e);
	if (rc) {
		err_prefix(e, "SMI to vCPU %u: ", v->index);
		return rc;
	}
	while (!rc && gpa < at + sizeof(area)) {
		struct slot *s = slot_lookup(&vm->m.slots, gpa, true, NULL);
		uint64_t end = s ? s->gpa + s->size : at + sizeof(area);

		if (end > at + sizeof(area))
			end = at + sizeof(area);
		rc = s ? kvm_wrote(&vm->m, s, gpa, end - gpa, e) : 0;
		gpa = end;
	}
	return rc;
}

int kvm_smm_enter(struct kvm_vm *vm, unsigned vcpu, struct err *e)
{
	struct kvcpu *v = &vm->vcpu[vcpu];
	struct regs r = {0};
	int rc;

	if (v->in_smm) {
		v->smi_latched = true;
		return 0;
	}
	rc = kvm_get_regs(&vm->m, vcpu, SMM_PARTS, &r, e);
	if (!rc)
		rc = write_save_area(vm, v, &r, e);
	if (rc)
		return rc;
	smm_enter(&r, v->smbase);
	return kvm_set_regs(&vm->m, vcpu, SMM_PARTS, &r, e);
}

int kvm_smm_leave(struct kvm_vm *vm, unsigned vcpu, struct err *e)
{
	struct kvcpu *v = &vm->vcpu[vcpu];
	uint8_t area[SMM_SAVE_SIZE];
	uint32_t smbase = v->smbase;
	struct regs r = {0};
	int rc;

	if (!v->in_smm)
		return err_set(e, -EINVAL,
			       "RSM on vCPU %u" WHY "it is not in SMM, where RSM is an invalid opcode" TRY "smi %u first",
			       vcpu, vcpu);
	rc = slots_read(&vm->m.slots, save_area(v), true, area, sizeof(area), e);
	if (!rc)
		rc = kvm_get_regs(&vm->m, vcpu, SMM_PARTS, &r, e);
	if (!rc)
		rc = smm_restore(&r, &smbase, area, e);
	if (!rc)
		rc = kvm_set_regs(&vm->m, vcpu, SMM_PARTS, &r, e);
	if (rc)
		return rc;
	v->smbase = smbase;
	if (!v->smi_latched)
		return 0;
	v->smi_latched = false;
	return kvm_smm_enter(vm, vcpu, e);
}

void kvm_smm_reset(struct kvcpu *v)
{
	v->smi_latched = false;
	v->smbase = SMM_DEFAULT_SMBASE;
	/* A host that does SMM but keeps SMBASE to itself resets it with the vCPU only: nothing more can be done. */
	if (v->vm->host->x86_smm)
		(void)vcpu_write_msr(v, MSR_SMBASE, SMM_DEFAULT_SMBASE);
}

int kvm_smbase(struct machine *m, unsigned vcpu, uint32_t *smbase, struct err *e)
{
	struct kvcpu *v = &kvm_of(m)->vcpu[vcpu];
	uint64_t value;

	if (!v->vm->host->x86_smm) {
		*smbase = v->smbase;
		return 0;
	}
	if (!vcpu_read_msr(v, MSR_SMBASE, &value))
		return err_set(e, -ENODATA,
			       "read SMBASE of vCPU %u" WHY "this host's KVM does not tell IA32_SMBASE" TRY
			       "the default, %#x",
			       vcpu, SMM_DEFAULT_SMBASE);
	*smbase = (uint32_t)value;
	return 0;
}

int kvm_set_smbase(struct machine *m, unsigned vcpu, uint32_t smbase, struct err *e)
{
	struct kvcpu *v = &kvm_of(m)->vcpu[vcpu];

	v->smi_latched = false;
	if (v->vm->host->x86_smm && !vcpu_write_msr(v, MSR_SMBASE, smbase))
		return err_errno(e, errno, "set SMBASE of vCPU %u" WHY "KVM_SET_MSRS" TRY "run", vcpu);
	v->smbase = smbase;
	return 0;
}
