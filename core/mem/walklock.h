/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The walk lock: who translates a guest address and then uses what came of it holds it over both, and so does a vCPU while
 * it runs guest code that may change or flush a mapping. One holder at a time, in the order in which they came, so that
 * neither a guest that never stops nor a stream of memops keeps the other out.
 *
 * Rules: a vCPU lets go between two instructions only, or where it stands still inside a fault (nothing of the stage at hand
 * has happened). What is not guest memory but found by a walk (slot lookups, the gfn cache, dirty logs) is under it too.
 */
#ifndef KVMSCOPE_CORE_MEM_WALKLOCK_H
#define KVMSCOPE_CORE_MEM_WALKLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/base/lock.h"

struct walk_lock {
	struct lock mutex;
	pthread_cond_t turn;
	atomic_uint next;	/* ticket of who comes next */
	unsigned serving;	/* of who holds it; if it is next, nobody does */
	atomic_uintptr_t owner; /* of the thread that holds it, 0 for none */
};

void walk_lock_init(struct walk_lock *l);
void walk_lock_deinit(struct walk_lock *l);
void walk_lock_take(struct walk_lock *l);
void walk_lock_give(struct walk_lock *l);
bool walk_lock_is_mine(const struct walk_lock *l); /* this thread holds it */

static inline struct walk_lock *walk_lock_taken(struct walk_lock *l)
{
	walk_lock_take(l);
	return l;
}

static inline void walk_lock_givep(struct walk_lock **l)
{
	walk_lock_give(*l);
}

/* Holds the lock until the scope ends, as LOCK_SCOPE() does a mutex. */
#define WALK_LOCK_SCOPE(l)                                                                                                  \
	_cleanup_(walk_lock_givep) struct walk_lock *LOCK_SCOPE_NAME(__LINE__) __attribute__((unused)) = walk_lock_taken(l)

/* The holder's, between two instructions: let those go first who wait by now. Taken again before it returns. */
static inline void walk_lock_yield(struct walk_lock *l)
{
	if (__builtin_expect(atomic_load_explicit(&l->next, memory_order_relaxed) == l->serving + 1, 1))
		return;
	walk_lock_give(l);
	walk_lock_take(l);
}

#endif
