/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Handing over between two threads: a number that one raises and another waits for.
 */
#ifndef KVMSCOPE_KVMBACK_GATE_H
#define KVMSCOPE_KVMBACK_GATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct gate {
	atomic_uint value, sleeping;
	_Atomic uint64_t posted_ns; /* when a sleeper was last posted to */
	unsigned spin_ns;	    /* how long the waiter polls: adapts */
};
void gate_post(struct gate *g);
/* Until value is not `seen` any more, or for timeout_ns (0: for ever). False at the timeout. */
bool gate_wait(struct gate *g, unsigned seen, uint64_t timeout_ns);

#endif
