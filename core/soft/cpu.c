/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A vCPU: made, reset, its registers in and out. While it runs, general registers, rip and flags stand in struct soft_cpu's
 * hot part; struct regs is what everybody else sees.
 */
#include "core/cpu/smm.h"
#include "core/soft/exec.h"
#include "core/soft/soft_impl.h"

void soft_cpu_reset(struct soft_cpu *c)
{
	regs_reset(&c->r, c->index == 0);
	memcpy(c->gpr, c->r.gpr, sizeof(c->gpr));
	c->rip = c->r.rip;
	c->eflags = c->r.rflags;
	c->lazy.op = FLAGS_READY;
	c->smbase = SMM_DEFAULT_SMBASE;
	c->smi_pending = c->nmi_blocked = false;
	c->halted = c->inhibit = false;
	soft_devices_forget(c);
	c->event = EVENT_NONE;
	c->icount = 0;
	memset(&c->pg, 0xff, sizeof(c->pg.mode)); /* differs from anything: everything is loaded anew */
	soft_mode_changed(c, true);
	soft_debug_changed(c);
}

int soft_cpu_create(struct soft_machine *m, unsigned i, struct err *e)
{
	struct soft_cpu *c = calloc(1, sizeof(*c));

	if (!c)
		return err_nomem(e, "create a soft CPU");
	c->m = m;
	c->index = i;
	c->blocks = m->blocks;
	c->decoder = m->decoder;
	shadow_vcpu_init(&c->shadow);
	soft_tlb_init(c);
	m->cpu[i] = c;
	soft_cpu_reset(c);
	return 0;
}

void soft_regs_out(struct soft_cpu *c, struct regs *out)
{
	flags_settle(c);
	*out = c->r;
	memcpy(out->gpr, c->gpr, sizeof(out->gpr));
	out->rip = c->rip;
	out->rflags = c->eflags;
	out->msr.tsc = c->r.msr.tsc + c->icount;
	out->halted = c->halted;
	out->mov_ss_shadow = soft_ss_shadow(c);
	out->sti_shadow = c->inhibit && c->inhibit_rip == c->rip && !c->inhibit_ss;
	out->nmi_masked = c->nmi_blocked;
	out->exception_pending = false;
	out->valid = REGS_ALL;
}

static void take_sys(struct soft_cpu *c, const struct regs *in)
{
	memcpy(c->r.seg, in->seg, sizeof(in->seg));
	c->r.tr = in->tr;
	c->r.ldt = in->ldt;
	c->r.gdt = in->gdt;
	c->r.idt = in->idt;
	c->r.cr0 = in->cr0;
	c->r.cr2 = in->cr2;
	c->r.cr3 = in->cr3;
	c->r.cr4 = in->cr4;
	c->r.cr8 = in->cr8;
	c->r.efer = in->efer;
	c->r.pdpte_valid = in->pdpte_valid;
	memcpy(c->r.pdpte, in->pdpte, sizeof(c->r.pdpte));
	c->r.smm = in->smm;
}

void soft_regs_in(struct soft_cpu *c, uint32_t parts, const struct regs *in)
{
	bool smm = c->r.smm;

	flags_settle(c);
	if (parts & REGS_SYS)
		take_sys(c, in);
	if (parts & REGS_GPR) {
		memcpy(c->gpr, in->gpr, sizeof(c->gpr));
		c->rip = in->rip;
		c->eflags = in->rflags | RFLAGS_FIXED;
		c->inhibit = c->rep_emulated = c->caught = c->int_told = false;
		soft_devices_forget(c);
	}
	if (parts & REGS_DEBUG)
		memcpy(c->r.dr, in->dr, sizeof(c->r.dr));
	if (parts & REGS_MSR) {
		c->r.msr = in->msr;
		c->r.msr.tsc = in->msr.tsc - c->icount;
	}
	if (parts & REGS_FPU)
		c->r.fpu = in->fpu;
	if (parts & REGS_EVENTS) {
		c->halted = in->halted;
		c->nmi_blocked = in->nmi_masked;
		c->inhibit = in->sti_shadow || in->mov_ss_shadow;
		c->inhibit_ss = in->mov_ss_shadow;
		c->inhibit_rip = c->rip;
	}
	soft_mode_changed(c, smm != c->r.smm);
	soft_debug_changed(c);
}
