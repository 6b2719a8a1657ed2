/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Going back on the soft machine: the machine ops of replay.c (see core/machine/machine_impl.h for what they do).
 */
#ifndef KVMSCOPE_CORE_SOFT_REPLAY_H
#define KVMSCOPE_CORE_SOFT_REPLAY_H

#include "core/machine/machine.h"

struct soft_machine;

uint64_t soft_position(const struct machine *m);
bool soft_position_before(const struct machine *m, unsigned vcpu, uint64_t *position);
/* A RUN_REPLAY job, on whichever thread runs the guest. */
int soft_replay(struct soft_machine *m, struct run_job *job, struct stop *out, struct err *e);
void soft_log_cut(struct machine *m, uint64_t first, uint64_t last);
void soft_mark(struct machine *m, uint64_t position, void (*fn)(void *ctx), void *ctx);
int soft_hidden(struct machine *m, int (*fn)(void *ctx, void *at, size_t len, bool maps), void *ctx);
void soft_hidden_drop(struct machine *m);
void soft_hidden_restored(struct machine *m, bool maps);
void soft_log_free(struct soft_machine *m);

#endif
