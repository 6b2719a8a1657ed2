/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Fault stepping of the soft backend: the machine ops, and what run.c asks.
 */
#ifndef KVMSCOPE_CORE_SOFT_FAULT_H
#define KVMSCOPE_CORE_SOFT_FAULT_H

#include "core/machine/machine.h"

struct soft_machine;

bool soft_parked(const struct machine *m, unsigned *vcpu);
int soft_fault_catch(struct machine *m, const struct fault_filter *f, struct err *e);
int soft_fault_step(struct machine *m, struct stop *out, struct err *e);
int soft_fault_stages(struct machine *m, struct fault_stage_list *out, struct err *e);

/* True while a run has to go by way of soft_faults_run(). */
bool soft_faults_take_run(struct soft_machine *m);
int soft_faults_run(struct soft_machine *m, struct run_job *job, struct stop *out, struct err *e) MUST_USE;
void soft_faults_rearm(struct soft_machine *m);	  /* vCPUs' hooks as what is armed says */
void soft_faults_destroy(struct soft_machine *m); /* a parked vCPU is let go first */

#endif
