/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The stages of faults as they were seen, the last few thousand of them: what both backends keep for machine_fault_stages().
 */
#ifndef KVMSCOPE_CORE_FAULT_LOG_H
#define KVMSCOPE_CORE_FAULT_LOG_H

#include "core/machine/inspect.h"

#define FAULT_LOG_KEPT 4096

struct fault_log {
	struct fault_stage *stage; /* n of them, oldest first */
	size_t n;
	unsigned fault, stages; /* number of the fault at hand, and how many stages of it were seen */
};

int fault_log_init(struct fault_log *l, struct err *e) MUST_USE;
void fault_log_deinit(struct fault_log *l);
/* The stages that follow belong to a new fault. */
void fault_log_next(struct fault_log *l);
/* Append a stage of the fault at hand. The result is valid until the next call, for its detail. */
struct fault_stage *fault_log_add(struct fault_log *l, unsigned vcpu, enum stage stage, bool live);
/* A copy of all; l may be NULL (nothing was caught yet). */
int fault_log_list(const struct fault_log *l, struct fault_stage_list *out, struct err *e) MUST_USE;

#endif
