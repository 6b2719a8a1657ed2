/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A mutex that is given back when the scope ends, so that no return leaves it taken:
 *
 *	LOCK_SCOPE(&p->lock);
 *	return p->n > 0;
 *
 * A value that is returned is computed before the mutex is given. A critical section that ends before its function does gets
 * a block or a function of its own. pthread_cond_wait() may be called inside.
 */
#ifndef KVMSCOPE_CORE_BASE_LOCK_H
#define KVMSCOPE_CORE_BASE_LOCK_H

#include <pthread.h>

#include "core/base/util.h"

static inline pthread_mutex_t *lock_take(pthread_mutex_t *mutex)
{
	pthread_mutex_lock(mutex);
	return mutex;
}

static inline void lock_givep(pthread_mutex_t **mutex)
{
	pthread_mutex_unlock(*mutex);
}

#define LOCK_SCOPE_NAME_(line) lock_scope_##line
#define LOCK_SCOPE_NAME(line) LOCK_SCOPE_NAME_(line)
#define LOCK_SCOPE(mutex)                                                                                                   \
	_cleanup_(lock_givep) pthread_mutex_t *LOCK_SCOPE_NAME(__LINE__) __attribute__((unused)) = lock_take(mutex)

#endif
