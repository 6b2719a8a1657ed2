/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Signals. Handlers run in the debugger's thread (others pass them on), so that what they break into is what it waits in.
 */
#include "cli/prompt/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

#include "cli/session/interrupt.h"

static pthread_t main_thread;
static int null = -1;

/* ---- the end that was asked for must come */

#define PATIENCE 3 /* seconds until the program ends wherever it is */

/* Whoever does not read what we write, or does not any more, must not hold us up. */
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
		_exit(128 + interrupt_end_asked());
	give_up_writing(STDOUT_FILENO);
	give_up_writing(STDERR_FILENO);
	alarm(1);
}

static void on_alarm(int number)
{
	int saved = errno;

	if (!pthread_equal(pthread_self(), main_thread))
		pthread_kill(main_thread, number);
	else if (interrupt_end_asked())
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
		bool first = number != SIGINT && !interrupt_end_asked();
		interrupt_raise(number == SIGINT ? 0 : number);
		if (first)
			see_to_the_end();
	}
	errno = saved;
}

static void (*volatile before_crash)(void);

static void on_crash(int number)
{
	if (before_crash)
		before_crash();
	signal(number, SIG_DFL);
	raise(number); /* when the handler has returned */
}

static volatile sig_atomic_t went_on;

static void on_continue(int number)
{
	(void)number;
	went_on = 1;
}

bool signals_went_on(void)
{
	bool was = went_on;

	went_on = 0;
	return was;
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

void signals_init(void)
{
	main_thread = pthread_self();
	null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	install(SIGALRM, on_alarm);
	install(SIGCONT, on_continue);
	install_unless_ignored(SIGINT, on_signal);
	install_unless_ignored(SIGHUP, on_signal);
	install_unless_ignored(SIGTERM, on_signal);
	/* Not SIG_IGN (Tcl has done that for SIGPIPE), which every child would begin with: a handler is forgotten by exec.
	 */
	install(SIGPIPE, on_error);
	install(SIGXFSZ, on_error); /* ulimit -f: an error of the command, a slot's memfd or a dump, no end */
}

void signals_on_crash(void (*rescue)(void))
{
	static const int crashes[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGQUIT};

	before_crash = rescue;
	for (size_t i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++)
		install(crashes[i], rescue ? on_crash : SIG_DFL);
}
