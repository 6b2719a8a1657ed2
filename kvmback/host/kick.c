/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The signal that gets a vCPU out of KVM_RUN.
 */
#include "kvmback/host/kick.h"

#include <pthread.h>

/* ---- the kick */

static void on_kick(int sig)
{
	(void)sig; /* being delivered is enough: KVM_RUN returns -EINTR */
}

static void install_kick(void)
{
	struct sigaction sa = {.sa_handler = on_kick};

	sigemptyset(&sa.sa_mask);
	sigaction(KICK_SIGNAL, &sa, NULL);
	sigaction(SIGIO, &sa, NULL); /* a tracepoint's: mmucatch.c, faultwalk.c */
}

static void unblock_kick(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, KICK_SIGNAL);
	sigaddset(&set, SIGIO);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

void kick_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, install_kick);
	unblock_kick();
}

void kick_unblock(void)
{
	sigset_t all;

	/* Ctrl-C and the rest belong to the debugger's thread. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	unblock_kick();
}
