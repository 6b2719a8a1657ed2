/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The two tables of phases: which follows which, and what is allowed in each.
 */
#include "core/run/phase.h"

#include <errno.h>

#define BIT(p) (1u << (p))

static const unsigned follows[RUN_PHASES] = {
    [RUN_STOPPED] = BIT(RUN_GOING) | BIT(RUN_GONE),
    [RUN_GOING] = BIT(RUN_STOPPED) | BIT(RUN_STOPPING) | BIT(RUN_PARKED),
    [RUN_STOPPING] = BIT(RUN_STOPPED) | BIT(RUN_PARKED),
    [RUN_PARKED] = BIT(RUN_GOING),
    [RUN_GONE] = 0,
};

enum answer { NO, YES, IF_LIVE };

static const uint8_t allowed[RUN_PHASES][RUN_ASKS] = {
    /*		       ALWAYS LIVE	STOPPED IDLE */
    [RUN_STOPPED] = {YES, YES, YES, YES}, [RUN_GOING] = {YES, IF_LIVE, NO, NO}, [RUN_STOPPING] = {YES, IF_LIVE, NO, NO},
    [RUN_PARKED] = {YES, YES, YES, NO},	  [RUN_GONE] = {NO, NO, NO, NO},
};

bool run_phase_may_follow(enum run_phase from, enum run_phase to)
{
	return from < RUN_PHASES && to < RUN_PHASES && follows[from] & BIT(to);
}

bool run_phase_allows(enum run_phase p, enum run_ask ask, bool live)
{
	uint8_t answer = allowed[p][ask];

	return answer == YES || (answer == IF_LIVE && live);
}

int run_phase_check(enum run_phase p, enum run_ask ask, bool live, unsigned vcpu, const char *what, struct err *e)
{
	if (run_phase_allows(p, ask, live))
		return 0;
	if (p == RUN_GONE)
		return err_set(e, -ENODEV, "%s" WHY "this VM is being taken down" TRY "load", what);
	if (p == RUN_PARKED)
		return err_set(e, -EBUSY,
			       "%s" WHY "vCPU %u stands inside a fault" TRY
			       "fault continue, or si to leave the fault and take its instruction once more",
			       what, vcpu);
	return err_set(e, -EBUSY, "%s" WHY "the guest is running" TRY "interrupt first", what);
}
