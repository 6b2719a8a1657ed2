/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The queue between whoever executes guest code and the client's thread, internal to core/run: console bytes, a call that
 * waits to be made, the end of a run. The descriptor is readable while there is something.
 */
#ifndef KVMSCOPE_CORE_RUN_QUEUE_H
#define KVMSCOPE_CORE_RUN_QUEUE_H

#include "core/run/run.h"

/* As much console output as waits for a client that does not come. */
#define RUN_CONSOLE_MAX (1u << 16)

int queue_init(struct run_queue *q, struct err *e) MUST_USE;
void queue_deinit(struct run_queue *q);
void queue_close(struct run_queue *q); /* nobody waits in it from now on */
void queue_tell(struct run_queue *q);  /* with q->lock: make the descriptor readable */
void queue_end(struct run_queue *q);   /* the run is over; from the runner's thread */
bool queue_take_end(struct run_queue *q);

#endif
