/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Ctrl-C, a terminal that goes away, pipes that close. Handlers only set flags and break into what is running.
 * session_interrupted() (cli/session/session.h) is answered here.
 */
#ifndef KVMSCOPE_CLI_SIGNALS_H
#define KVMSCOPE_CLI_SIGNALS_H

#include <signal.h>

#include "cli/session/session.h"

void signals_init(struct session *s);
/* Around each line: forgets a Ctrl-C from before; outside of it nothing is broken into. Nests. */
void signals_begin(void);
void signals_end(void);
void signals_forget(void);
/* The terminal went away, or somebody asked us to end: the number of the signal, else 0. */
int signals_end_asked(void);
struct pollfd;
struct timespec;
/* poll(), letting signals in only here; most NULL: for ever. How many are ready; 0 when the time is over or after a signal
 * that asks for nothing; -1 if one asks to stop, or did since the command began. */
int signals_wait(struct pollfd *p, size_t n, const struct timespec *most);
/* Wait until fd can be read. 1, or 0 where a signal came. */
int signals_wait_readable(int fd);

#endif
