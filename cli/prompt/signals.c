/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Signals. Handlers run in the debugger's thread (others pass them on), so that what they break into is what it waits in.
 */
#include "cli/prompt/signals.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>

#include "cli/tcl/tcl.h"

static struct session *session;
static pthread_t main_thread;
static volatile sig_atomic_t interrupted, ending, busy;

static void break_in(void)
{
	struct machine *m = session ? session->d.m : NULL;

	tcl_interrupt();
	if (m && machine_running(m))
		machine_interrupt(m);
}

static void on_signal(int number)
{
	int saved = errno;

	if (!pthread_equal(pthread_self(), main_thread)) {
		pthread_kill(main_thread, number);
	} else {
		if (number != SIGINT)
			ending = number;
		if (number != SIGINT || !interrupted) {
			interrupted = 1;
			if (busy)
				break_in();
		} else if (busy && session && session->d.m && machine_running(session->d.m)) {
			machine_interrupt(session->d.m);
		}
	}
	errno = saved;
}

void signals_init(struct session *s)
{
	struct sigaction sa = {.sa_handler = on_signal};

	session = s;
	main_thread = pthread_self();
	sigemptyset(&sa.sa_mask);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sa.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &sa, NULL);
	sigaction(SIGXFSZ, &sa, NULL); /* ulimit -f: an error of the command, a slot's memfd or a dump, and not the end */
}

void signals_begin(void)
{
	if (!busy)
		interrupted = ending != 0;
	busy++;
}

void signals_end(void)
{
	busy--;
}

void signals_forget(void)
{
	interrupted = ending != 0;
}

bool session_interrupted(void)
{
	return interrupted;
}

int signals_end_asked(void)
{
	return ending;
}

int signals_wait(struct pollfd *p, size_t n, const struct timespec *most)
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

int signals_wait_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return signals_wait(&p, 1, NULL) > 0;
}
