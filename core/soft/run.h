/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Running the soft machine: the machine ops of run.c, watch.c and smi.c.
 */
#ifndef KVMSCOPE_CORE_SOFT_RUN_H
#define KVMSCOPE_CORE_SOFT_RUN_H

#include "core/machine/machine.h"

struct soft_cpu;
struct soft_machine;

/* struct run_job's passed, to the vCPUs and from them. */
void soft_set_passed(struct soft_machine *m, uint64_t passed);
uint64_t soft_passed(struct soft_machine *m);
/* Of struct run_ops (core/run/run.h): any job but RUN_REPLAY, on the thread that runs the guest; ctx is the struct machine.
 */
void soft_run(struct soft_machine *m, struct run_job *job, struct stop *out);
void soft_kick(void *ctx);
int soft_set_catch(struct machine *m, uint32_t events, struct err *e);

/* watch.c */
/* Pages with a watched byte, as the vCPUs' tables are now. */
void soft_armed(struct machine *m, armed_fn *fn, void *arg);
int soft_plant(struct machine *m, struct plant *p, struct err *e);
int soft_unplant(struct machine *m, int id, struct err *e);

/* smi.c. enter: the next instruction is the handler's first. */
int soft_smi(struct machine *m, unsigned vcpu, struct err *e);
int soft_smbase(struct machine *m, unsigned vcpu, uint32_t *smbase, struct err *e);
int soft_enter_smm(struct soft_cpu *c, struct err *e) MUST_USE;

#endif
