/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The walk lock, by tickets.
 */
#include "core/mem/walklock.h"

void walk_lock_init(struct walk_lock *l)
{
	lock_init(&l->mutex, LOCK_WALK);
	pthread_cond_init(&l->turn, NULL);
	atomic_init(&l->next, 0);
	atomic_init(&l->owner, 0);
	l->serving = 0;
}

void walk_lock_deinit(struct walk_lock *l)
{
	pthread_cond_destroy(&l->turn);
	lock_destroy(&l->mutex);
}

/* Another one in each thread. */
static uintptr_t this_thread(void)
{
	static _Thread_local char self;

	return (uintptr_t)&self;
}

bool walk_lock_is_mine(const struct walk_lock *l)
{
	return atomic_load_explicit(&l->owner, memory_order_relaxed) == this_thread();
}

void walk_lock_take(struct walk_lock *l)
{
	LOCK_SCOPE(&l->mutex);
	unsigned ticket = atomic_fetch_add_explicit(&l->next, 1, memory_order_relaxed);
	while (l->serving != ticket)
		lock_wait(&l->turn, &l->mutex);
	atomic_store_explicit(&l->owner, this_thread(), memory_order_relaxed);
}

void walk_lock_give(struct walk_lock *l)
{
	LOCK_SCOPE(&l->mutex);
	atomic_store_explicit(&l->owner, 0, memory_order_relaxed);
	l->serving++;
	pthread_cond_broadcast(&l->turn);
}
