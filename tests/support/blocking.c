/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Carrying plans out.
 */
#include "tests/support/blocking.h"

static int carry_out(struct debugger *d, struct plan p, struct err *e)
{
	int rc = debug_start(d, &p, RUN_LENT, e);

	return rc == 1 ? debug_wait(d, e) : rc;
}

int debug_continue(struct debugger *d, unsigned vcpu, struct err *e)
{
	return carry_out(d, plan_continue(vcpu), e);
}

int debug_step(struct debugger *d, unsigned vcpu, uint64_t n, struct err *e)
{
	return carry_out(d, plan_step(vcpu, n), e);
}

int debug_next(struct debugger *d, unsigned vcpu, uint64_t n, struct err *e)
{
	return carry_out(d, plan_next(vcpu, n), e);
}

int debug_until(struct debugger *d, unsigned vcpu, uint64_t addr, struct err *e)
{
	return carry_out(d, plan_until(vcpu, addr), e);
}

int debug_finish(struct debugger *d, unsigned vcpu, struct err *e)
{
	return carry_out(d, plan_finish(vcpu), e);
}

int debug_reverse_step(struct debugger *d, unsigned vcpu, uint64_t n, struct err *e)
{
	return carry_out(d, plan_reverse_step(vcpu, n), e);
}

int debug_reverse_continue(struct debugger *d, struct err *e)
{
	return carry_out(d, plan_reverse_continue(), e);
}
