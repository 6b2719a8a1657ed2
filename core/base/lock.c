/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Locks, and in builds with checks the list of those that each thread holds.
 */
#include "core/base/lock.h"

#include "core/base/check.h"

void lock_init(struct lock *l, enum lock_rank rank)
{
	pthread_mutex_init(&l->mutex, NULL);
	l->rank = rank;
}

void lock_destroy(struct lock *l)
{
	pthread_mutex_destroy(&l->mutex);
}

#ifdef KVMSCOPE_CHECKS
static __thread const struct lock *held[LOCK_RANKS];
static __thread unsigned n_held;

static void note_taken(const struct lock *l)
{
	CHECK(!n_held || held[n_held - 1]->rank < l->rank);
	held[n_held++] = l;
}

/* Scopes end in the reverse order of their beginning. */
static void note_given(const struct lock *l)
{
	CHECK(n_held && held[n_held - 1] == l);
	n_held--;
}

void lock_assert_held(const struct lock *l)
{
	unsigned i = 0;

	while (i < n_held && held[i] != l)
		i++;
	CHECK(i < n_held);
}

void lock_assert_none(void)
{
	CHECK(n_held == 0);
}
#else
static void note_taken(const struct lock *l)
{
	(void)l;
}

static void note_given(const struct lock *l)
{
	(void)l;
}
#endif

/* Handed over to whoever called, as is what lock_give() takes back. */
struct lock *lock_take(struct lock *l)
{
	note_taken(l);
	pthread_mutex_lock(&l->mutex);
	return l;
}

void lock_give(struct lock *l)
{
	note_given(l);
	/* What lock_take() handed over. */
	pthread_mutex_unlock(&l->mutex);
}

void lock_wait(pthread_cond_t *c, struct lock *l)
{
	lock_assert_held(l);
	pthread_cond_wait(c, &l->mutex);
}
