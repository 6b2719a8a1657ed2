/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * `catch mmu` of the soft backend: the machine ops, what the shadow MMU calls, and what run.c asks.
 */
#ifndef KVMSCOPE_CORE_SOFT_MMUCATCH_H
#define KVMSCOPE_CORE_SOFT_MMUCATCH_H

#include "core/machine/machine.h"

struct soft_machine;
struct soft_cpu;

int soft_mmu_catch(struct machine *m, const struct mmu_filter *v, size_t n, struct err *e);
int soft_mmu_events(struct machine *m, struct mmu_event_list *out, struct err *e);

void soft_mmu_event(void *ctx, const struct mmu_event *what); /* struct shadow_config's hook; ctx is the machine */
void soft_mmu_go(struct soft_machine *m);		      /* a run begins: what a stop reported is over */
bool soft_mmu_pending(const struct soft_machine *m);	      /* something happened that no stop has reported */
bool soft_mmu_stop(struct soft_cpu *c, struct stop *out);     /* true, and *out filled, if that is so */
bool soft_mmu_silence(struct soft_machine *m, bool on);	      /* nothing is listed meanwhile; gives what it was */
void soft_mmu_destroy(struct soft_machine *m);

#endif
