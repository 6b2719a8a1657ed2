/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The mode that a vCPU is in, and whether it is another than before: `catch mode`, and plans that depend on it.
 */
#include "kvmback/vcpu/vcpu.h"

/* The width of code, which a far transfer changes without a control register. */
uint8_t vcpu_code_width(struct kvcpu *v)
{
	const struct kvm_sregs *s = vcpu_sregs(v);

	if (!(s->cr0 & CR0_PE))
		return 0;
	if (vcpu_regs(v)->rflags & RFLAGS_VM)
		return 1;
	return s->efer & EFER_LMA && s->cs.l ? 8 : s->cs.db ? 4 : 2;
}

/* ---- a job of steps, and a free run by steps */

bool vcpu_mode_changed(struct kvcpu *v, const struct run_plan *before)
{
	const struct kvm_sregs *s = vcpu_sregs(v);

	return ((before->cr0 ^ s->cr0) & (CR0_PE | CR0_PG)) || ((before->efer ^ s->efer) & EFER_LMA) ||
	       (s->cr0 & CR0_PG && (before->cr4 ^ s->cr4) & (CR4_PAE | CR4_LA57)) || before->width != vcpu_code_width(v);
}

void vcpu_remember_mode(struct kvcpu *v, struct run_plan *p)
{
	const struct kvm_sregs *s = &v->run->s.regs.sregs;

	p->cr0 = s->cr0;
	p->cr3 = s->cr3;
	p->cr4 = s->cr4;
	p->efer = s->efer;
	p->cpl = vcpu_cpl(v);
	p->width = vcpu_code_width(v);
}

bool vcpu_look_at_mode(struct kvcpu *v, const struct run_plan *before)
{
	bool mode = vcpu_mode_changed(v, before);

	if (!mode && vcpu_cpl(v) == before->cpl)
		return true;
	v->control->stop.cpl_only = !mode;
	v->control->stop.old_cpl = (uint8_t)before->cpl;
	return vcpu_stop(v, STOP_MODE);
}

void vcpu_also_mode(struct kvcpu *v, const struct run_plan *before)
{
	struct stop *s = &v->control->stop;
	bool mode = vcpu_mode_changed(v, before);

	if (!mode && vcpu_cpl(v) == before->cpl)
		return;
	s->cpl_only = !mode;
	s->old_cpl = (uint8_t)before->cpl;
	stop_add_cause(s, STOP_MODE, 0);
}
