/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Flags that handlers set, and the list of what they interrupt.
 */
#include "cli/session/interrupt.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>

static volatile sig_atomic_t interrupted, ending, lines;
static _Atomic(struct interruptible *) innermost;

void interrupt_enter(struct interruptible *i)
{
	i->outer = atomic_load_explicit(&innermost, memory_order_relaxed);
	atomic_store_explicit(&innermost, i, memory_order_release);
}

void interrupt_leave(struct interruptible *i)
{
	atomic_store_explicit(&innermost, i->outer, memory_order_release);
}

void interrupt_raise(int end)
{
	if (end && !ending)
		ending = end;
	interrupted = 1;
	for (struct interruptible *i = atomic_load(&innermost); i; i = i->outer)
		i->interrupt(i);
}

bool interrupt_asked(void)
{
	return interrupted;
}

int interrupt_poll(void *unused)
{
	(void)unused;
	return interrupted ? -EINTR : 0;
}

int interrupt_end_asked(void)
{
	return ending;
}

void interrupt_forget(void)
{
	interrupted = ending != 0;
}

void interrupt_line_begin(void)
{
	if (!lines)
		interrupt_forget();
	lines++;
}

void interrupt_line_end(void)
{
	lines--;
}

int interrupt_wait(struct pollfd *p, size_t n, const struct timespec *most)
{
	sigset_t block, old;
	int ready;

	/* Blocked while the flags are looked at, so that no signal falls between the look and the wait. */
	sigemptyset(&block);
	sigaddset(&block, SIGINT);
	sigaddset(&block, SIGHUP);
	sigaddset(&block, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &block, &old);
	if (ending || interrupted) {
		pthread_sigmask(SIG_SETMASK, &old, NULL);
		return -1;
	}
	ready = ppoll(p, n, most, &old);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (ready < 0)
		return ending || interrupted ? -1 : 0;
	return ready;
}

int interrupt_wait_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return interrupt_wait(&p, 1, NULL) > 0;
}
