/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Locks with their checks: taken out of order, twice, given out of order, or missing where a function needs one ends the
 * program. Each is tried in a process of its own.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* With checks in any build; the library's own lock.o is not needed then, and not linked. */
#ifndef KVMSCOPE_CHECKS
#define KVMSCOPE_CHECKS
#include "core/base/lock.c"
#else
#include "core/base/lock.h"
#endif

static struct lock outer = LOCK_INIT(LOCK_BOARD), inner = LOCK_INIT(LOCK_PAGES), other = LOCK_INIT(LOCK_PAGES);

static bool aborts(void (*fn)(void))
{
	int status;
	pid_t child = fork();

	if (!child) {
		if (!freopen("/dev/null", "w", stderr))
			_exit(1);
		signal(SIGABRT, SIG_DFL);
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void in_order(void)
{
	LOCK_SCOPE(&outer);
	LOCK_SCOPE(&inner);
	lock_assert_held(&outer);
	lock_assert_held(&inner);
}

static void out_of_order(void)
{
	LOCK_SCOPE(&inner);
	LOCK_SCOPE(&outer);
}

static void two_of_a_rank(void)
{
	LOCK_SCOPE(&inner);
	LOCK_SCOPE(&other);
}

static void given_out_of_order(void)
{
	lock_take(&outer);
	lock_take(&inner);
	lock_give(&outer);
}

static void not_held(void)
{
	LOCK_SCOPE(&inner);
	lock_assert_held(&other);
}

static void held_where_none_may_be(void)
{
	LOCK_SCOPE(&inner);
	lock_assert_none();
}

static void *take_outer(void *arg)
{
	(void)arg;
	LOCK_SCOPE(&outer);
	return NULL;
}

/* What one thread holds is nothing to the order of another's. */
static void each_thread_its_own(void)
{
	pthread_t t;
	LOCK_SCOPE(&inner);

	if (!pthread_create(&t, NULL, take_outer, NULL))
		pthread_join(t, NULL);
}

static void test_checks(void **state)
{
	(void)state;
	assert_false(aborts(in_order));
	assert_false(aborts(each_thread_its_own));
	assert_true(aborts(out_of_order));
	assert_true(aborts(two_of_a_rank));
	assert_true(aborts(given_out_of_order));
	assert_true(aborts(not_held));
	assert_true(aborts(held_where_none_may_be));
}

/* A scope that ends gives back, whoever asks for it next. */
static void test_scopes(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		LOCK_SCOPE(&outer);
		LOCK_SCOPE(&inner);
		assert_int_not_equal(pthread_mutex_trylock(&inner.mutex), 0);
	}
	assert_int_equal(pthread_mutex_trylock(&outer.mutex), 0);
	assert_int_equal(pthread_mutex_trylock(&inner.mutex), 0);
	pthread_mutex_unlock(&inner.mutex);
	pthread_mutex_unlock(&outer.mutex);
	(void)other;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_checks), cmocka_unit_test(test_scopes)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
