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
/* Wait until fd can be read, letting signals in only here. 1, or 0 where a signal came. */
int signals_wait_readable(int fd);

#endif
