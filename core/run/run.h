/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Running: what a machine is asked to run. One struct run_job is one request to a backend; who waits for it, and on which
 * thread it is made, is not the backend's business.
 */
#ifndef KVMSCOPE_CORE_RUN_RUN_H
#define KVMSCOPE_CORE_RUN_RUN_H

#include "core/run/stop.h"

/* RUN_STEP executes exactly one instruction (an instruction with a REP prefix: one iteration, as hardware) on vcpu, count
 * times, the others standing still, and stops early for anything but a step. RUN_CONTINUE lets all vCPUs go until one stops.
 */
enum run_kind { RUN_CONTINUE, RUN_STEP };

struct run_job {
	enum run_kind kind;
	unsigned vcpu;
	uint64_t count; /* RUN_STEP */
	/* A bit for each vCPU whose execution plants at its present address have been asked already, so that it runs over
	 * them; without it a plant there is reported before the vCPU executes anything. On return the bits of those that
	 * executed something are clear. */
	uint64_t passed;
};
#define RUN_PASSED_ALL UINT64_MAX

#endif
