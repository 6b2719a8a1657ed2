/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * System management mode on the soft CPU: entry through the save area, RSM, a second SMI held back until then.
 */
#include "core/cpu/smm.h"

#include <errno.h>
#include <stdio.h>

#include "core/soft/exec.h"
#include "core/soft/run.h"
#include "core/soft/soft_impl.h"

int soft_enter_smm(struct soft_cpu *c, struct err *e)
{
	uint64_t at = (uint64_t)c->smbase + SMM_SAVE_OFFSET;
	uint8_t area[SMM_SAVE_SIZE];
	struct regs r;
	int rc;

	soft_regs_out(c, &r);
	smm_save(&r, c->smbase, area);
	rc = slots_write(&c->m->m.slots, at, true, area, sizeof(area), e);
	if (rc) {
		err_prefix(e, "SMI: state-save area at %#llx: ", (unsigned long long)at);
		return rc;
	}
	struct slot *s = slot_lookup(&c->m->m.slots, at, true, NULL);
	if (s)
		soft_memory_written(c->m, s, at, sizeof(area));
	smm_enter(&r, c->smbase);
	c->smi_pending = false;
	soft_regs_in(c, REGS_ALL, &r);
	return 0;
}

void soft_leave_smm(struct soft_cpu *c)
{
	uint64_t at = (uint64_t)c->smbase + SMM_SAVE_OFFSET;
	uint8_t area[SMM_SAVE_SIZE];
	struct err e = {0};
	struct regs r;
	uint32_t smbase = c->smbase;

	soft_regs_out(c, &r);
	if (slots_read(&c->m->m.slots, at, true, area, sizeof(area), &e) || smm_restore(&r, &smbase, area, &e)) {
		c->event = EVENT_SHUTDOWN;
		return;
	}
	r.smm = false;
	c->smbase = smbase;
	soft_regs_in(c, REGS_ALL & ~REGS_FPU, &r);
	c->left_smm = true;
	c->event = EVENT_YIELD;
}

int soft_smi(struct machine *m, unsigned vcpu, struct err *e)
{
	struct soft_cpu *c = soft_of(m)->cpu[vcpu];

	if (c->r.smm)
		return err_set(e, -EBUSY,
			       "smi %u" WHY "vCPU %u is in SMM already, which blocks SMIs until RSM" TRY
			       "finish the handler first",
			       vcpu, vcpu);
	return soft_enter_smm(c, e);
}

int soft_smbase(struct machine *m, unsigned vcpu, uint32_t *smbase, struct err *e)
{
	(void)e;
	*smbase = soft_of(m)->cpu[vcpu]->smbase;
	return 0;
}
