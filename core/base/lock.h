/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A mutex with a place in the one order in which locks are taken, that is given back when the scope ends, so that no return
 * leaves it taken:
 *
 *	LOCK_SCOPE(&p->lock);
 *	return p->n > 0;
 *
 * A value that is returned is computed before the lock is given. A critical section that ends before its function does gets
 *a block or a function of its own. lock_wait() may be called inside. Builds with checks (check.h) end the program where a
 *lock is taken out of order, or where lock_assert_held() does not hold. docs/LOCKING.md says what each lock guards.
 */
#ifndef KVMSCOPE_CORE_BASE_LOCK_H
#define KVMSCOPE_CORE_BASE_LOCK_H

#include <pthread.h>

#include "core/base/util.h"

/* A thread that holds one takes only those further down. */
enum lock_rank {
	LOCK_STRATEGY,	 /* kvmback/host/probe.c */
	LOCK_WALK,	 /* core/mem/walklock.c: of the tickets, not of the guest's tables */
	LOCK_BOARD,	 /* run_state.board_lock */
	LOCK_PLANTS,	 /* run_state.plant_lock */
	LOCK_READER,	 /* pages.reader */
	LOCK_WALKERS,	 /* fault_walk.walkers */
	LOCK_ROOTS,	 /* fault_walk.roots */
	LOCK_PAGES,	 /* pages.lock */
	LOCK_BYTES,	 /* run_state.byte_lock */
	LOCK_UNARMED,	 /* kvm_faults.lock */
	LOCK_MMU_EVENTS, /* kvm_mmu.lock */
	LOCK_TRACE,	 /* trace.lock */
	LOCK_KVIEW,	 /* kvm_vm.kview_lock */
	LOCK_DIRTY,	 /* machine.rings */
	LOCK_RUN_QUEUE,	 /* run_queue.lock */
	LOCK_RANKS,
};

struct lock {
	pthread_mutex_t mutex;
	enum lock_rank rank;
};
#define LOCK_INIT(r)                                                                                                        \
	{                                                                                                                   \
		.mutex = PTHREAD_MUTEX_INITIALIZER, .rank = (r)                                                             \
	}

void lock_init(struct lock *l, enum lock_rank rank);
void lock_destroy(struct lock *l);
struct lock *lock_take(struct lock *l);
void lock_give(struct lock *l);
/* As pthread_cond_wait(). */
void lock_wait(pthread_cond_t *c, struct lock *l);

#ifdef KVMSCOPE_CHECKS
void lock_assert_held(const struct lock *l);
void lock_assert_none(void); /* this thread holds no lock at all */
#else
static inline void lock_assert_held(const struct lock *l)
{
	(void)l;
}
static inline void lock_assert_none(void)
{
}
#endif

static inline void lock_givep(struct lock **l)
{
	lock_give(*l);
}

#define LOCK_SCOPE_NAME_(line) lock_scope_##line
#define LOCK_SCOPE_NAME(line) LOCK_SCOPE_NAME_(line)
#define LOCK_SCOPE(l) _cleanup_(lock_givep) struct lock *LOCK_SCOPE_NAME(__LINE__) __attribute__((unused)) = lock_take(l)

#endif
