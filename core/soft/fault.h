/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Fault stepping of the soft backend: the machine ops, and what run.c asks.
 */
#ifndef KVMSCOPE_CORE_SOFT_FAULT_H
#define KVMSCOPE_CORE_SOFT_FAULT_H

#include "core/machine/machine.h"

struct soft_machine;

int soft_fault_catch(struct machine *m, const struct fault_filter *v, size_t n, struct err *e);
int soft_fault_stages(struct machine *m, struct fault_stage_list *out, struct err *e);

/* struct run_ops' (core/run/run.h); ctx is the struct machine. */
bool soft_may_park(void *ctx, const struct run_job *job);
bool soft_park_near(void *ctx);
void soft_faults_run_begin(struct soft_machine *m, const struct run_job *job); /* is this run watched? */
void soft_faults_rearm(struct soft_machine *m);				       /* vCPUs' hooks as what is armed says */
void soft_faults_destroy(struct soft_machine *m);

#endif
