/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Signals. Handlers run in the debugger's thread (others pass them on), so that what they break into is what it waits in.
 */
#include "cli/prompt/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>

#include "cli/tcl/tcl.h"

static struct session *session;
static pthread_t main_thread;
static volatile sig_atomic_t interrupted, ending, busy;
static int null = -1;

static void break_in(void)
{
	struct machine *m = session ? session->d.m : NULL;

	tcl_interrupt();
	if (m && machine_running(m))
		machine_interrupt(m);
}

/* ---- the end that was asked for must come */

#define PATIENCE 3 /* seconds until the program ends wherever it is */

/* Whoever does not read what we write, or does not any more, must not keep us. */
static void give_up_writing(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	if (!poll(&p, 1, 0) && null >= 0)
		dup2(null, fd); /* the write under way ends by the signal, and is made again */
}

/* Once a second: a write that began after the signal may wait too, and so may what no flag reaches (a script's `exec`). */
static void see_to_the_end(void)
{
	static volatile sig_atomic_t seconds;

	if (seconds++ >= PATIENCE)
		_exit(128 + ending);
	give_up_writing(STDOUT_FILENO);
	give_up_writing(STDERR_FILENO);
	alarm(1);
}

static void on_alarm(int number)
{
	int saved = errno;

	if (!pthread_equal(pthread_self(), main_thread))
		pthread_kill(main_thread, number);
	else if (ending)
		see_to_the_end();
	errno = saved;
}

/* ---- handlers */

static void on_error(int number)
{
	(void)number; /* the call that raised it fails, and says why */
}

static void on_signal(int number)
{
	int saved = errno;

	if (!pthread_equal(pthread_self(), main_thread)) {
		pthread_kill(main_thread, number);
	} else {
		if (number != SIGINT && !ending) {
			ending = number;
			see_to_the_end();
		}
		interrupted = 1;
		if (busy)
			break_in();
	}
	errno = saved;
}

static void install(int number, void (*handler)(int))
{
	struct sigaction sa = {.sa_handler = handler};

	sigemptyset(&sa.sa_mask);
	sigaction(number, &sa, NULL);
}

/* Whoever started us may have asked for that: nohup, a shell that puts us in the background. */
static void install_unless_ignored(int number, void (*handler)(int))
{
	struct sigaction was;

	if (sigaction(number, NULL, &was) || was.sa_handler != SIG_IGN)
		install(number, handler);
}

void signals_init(struct session *s)
{
	session = s;
	main_thread = pthread_self();
	null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	install(SIGALRM, on_alarm);
	install_unless_ignored(SIGINT, on_signal);
	install_unless_ignored(SIGHUP, on_signal);
	install_unless_ignored(SIGTERM, on_signal);
	/* Not SIG_IGN (Tcl has done that for SIGPIPE), which every child would begin with: a handler is forgotten by exec.
	 */
	install(SIGPIPE, on_error);
	install(SIGXFSZ, on_error); /* ulimit -f: an error of the command, a slot's memfd or a dump, no end */
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
