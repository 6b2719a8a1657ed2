/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The guest's own debugging, while the debugger has the processor's for itself. KVM strips TF from the flags as long as it
 * single-steps, puts the debugger's debug registers in place of the guest's, and gives every #DB to the debugger. So what
 * the guest would have seen is worked out here and raised for it, with DR6 as the processor leaves it (Intel SDM vol.
 * 3B 17.2.3, 17.3.1): instruction breakpoints and general detect before the instruction, TF and data breakpoints behind it.
 *
 * What the guest writes to its debug registers in a free run is seen at the next exit.
 */
#include "kvmback/step/step.h"

#include <string.h>
#include <sys/ioctl.h>

#define DR7_GD (1ull << 13)
#define SHADOW_MOV_SS 1 /* of struct kvm_vcpu_events' interrupt.shadow */

static const struct guest_drs *look(struct kvcpu *v)
{
	struct guest_drs *g = &v->control->drs;
	struct kvm_debugregs k;

	/* Inside a fault, where KVM_RUN has not come back, the ioctl would wait for it: what was read last stands until
	 * then. */
	if (g->known || !v->vm->host->debugregs || kvm_is_parked(v->vm))
		return g;
	*g = (struct guest_drs){.known = true};
	if (ioctl(v->fd, KVM_GET_DEBUGREGS, &k) < 0)
		return g;
	memcpy(g->db, k.db, sizeof(g->db));
	g->dr7 = k.dr7;
	return g;
}

static bool enabled(const struct guest_drs *g, unsigned i)
{
	return g->dr7 >> (2 * i) & 3;
}

/* R/W and LEN: 0 for an instruction breakpoint. */
static unsigned kind(const struct guest_drs *g, unsigned i)
{
	return g->dr7 >> (16 + 4 * i) & 15;
}

/* Behind a load of SS, stepped or not. */
static bool held_back(struct kvcpu *v)
{
	struct kvm_vcpu_events ev;

	vcpu_events(v, &ev);
	return ev.interrupt.shadow & SHADOW_MOV_SS || v->control->ss_shadow == vcpu_linear_rip(v);
}

uint64_t guestdbg_before(struct kvcpu *v, bool moves_dr)
{
	const struct guest_drs *g = look(v);
	uint64_t at = vcpu_linear_rip(v), bits = 0;

	if (moves_dr && g->dr7 & DR7_GD && vcpu_cpl(v) == 0)
		return DR6_BD;
	if (!(g->dr7 & 0xff) || vcpu_regs(v)->rflags & RFLAGS_RF)
		return 0;
	for (unsigned i = 0; i < DR_COUNT; i++)
		if (enabled(g, i) && !kind(g, i) && g->db[i] == at)
			bits |= 1ull << i;
	return bits && !held_back(v) ? bits : 0;
}

uint64_t guestdbg_data(struct kvcpu *v, uint64_t dr6)
{
	const struct guest_drs *g = look(v);
	uint64_t bits = 0;

	for (unsigned i = 0; i < DR_COUNT; i++)
		if (dr6 >> i & 1 && enabled(g, i) && kind(g, i))
			bits |= 1ull << i;
	return bits;
}

/* Outside of steps nobody but the guest sets TF. Where ours are in the registers the plan knows which of them the guest's
 * are.
 */
uint64_t guestdbg_exit(struct kvcpu *v, uint64_t dr6)
{
	const struct run_plan *p = &v->control->plan;
	uint64_t bits = dr6 & DR6_BS;

	guestdbg_forget(v);
	for (unsigned i = 0; i < DR_COUNT; i++)
		if (p->dr[i] == DR_GUEST && dr6 >> i & 1)
			bits |= 1ull << i;
	return bits | (look(v)->dr7 & DR7_GD ? dr6 & DR6_BD : 0);
}

void guestdbg_plan(struct kvcpu *v)
{
	struct run_plan *p = &v->control->plan;
	const struct guest_drs *g;

	guestdbg_forget(v);
	g = look(v);
	for (unsigned i = 0; i < DR_COUNT; i++)
		if (enabled(g, i)) {
			p->dr[i] = DR_GUEST;
			p->dbg.arch.debugreg[i] = g->db[i];
			p->dbg.arch.debugreg[7] |= 0x600 | 2ull << (2 * i) | (uint64_t)kind(g, i) << (16 + 4 * i);
		}
}

void guestdbg_keep_data(struct kvcpu *v, struct kvm_guest_debug *d)
{
	const struct guest_drs *g = look(v);

	for (unsigned i = 0; i < DR_COUNT; i++)
		if (enabled(g, i) && kind(g, i)) {
			d->arch.debugreg[i] = g->db[i];
			d->arch.debugreg[7] |= 2ull << (2 * i) | (uint64_t)kind(g, i) << (16 + 4 * i);
		}
}

/* ---- #DB */

/* As KVM does when it delivers one: the last one's breakpoints go, and so does general detect. */
static void set_dr6(struct kvcpu *v, uint64_t bits)
{
	struct kvm_debugregs k;

	if (!v->vm->host->debugregs || ioctl(v->fd, KVM_GET_DEBUGREGS, &k) < 0)
		return;
	k.dr6 = (k.dr6 & ~15ull) | bits;
	k.dr7 &= ~DR7_GD;
	(void)!ioctl(v->fd, KVM_SET_DEBUGREGS, &k);
	guestdbg_forget(v);
}

static bool deliver(struct kvcpu *v, uint64_t bits)
{
	struct kvm_vcpu_events ev = {.exception.nr = 1};

	set_dr6(v, bits);
	if (idt_own(v))
		return trap_deliver(v, 1, false, 0);
	(void)exit_exception(v, &ev);
	/* Nobody sets RF for what goes on at its breakpoint. */
	if (!(bits & DR6_BS))
		vcpu_regs(v)->rflags |= RFLAGS_RF;
	return false;
}

bool guestdbg_raise(struct kvcpu *v, uint64_t bits)
{
	if (exit_caught(v, 1, false, 0, false))
		return deliver(v, bits);
	v->control->db_due = bits;
	return false;
}

bool guestdbg_due(struct kvcpu *v)
{
	uint64_t bits = v->control->db_due;

	v->control->db_due = 0;
	v->control->exc.shown = false;
	return deliver(v, bits);
}
