/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a signal interrupts. Signals belong to the process and say nothing of sessions, so this is the one thing in cli that
 * is of the process too: flags, and a list of what can be interrupted now. The handlers are in cli/prompt/signals.c; a
 * process without them is never interrupted.
 */
#ifndef KVMSCOPE_CLI_INTERRUPT_H
#define KVMSCOPE_CLI_INTERRUPT_H

#include "core/base/util.h"

struct pollfd;
struct timespec;

/* Something under way on the thread that takes signals: a script, a guest that a command waits for. Lives on the stack of
 * who waits, from enter to leave; they nest. */
struct interruptible {
	void (*interrupt)(struct interruptible *i); /* async-signal-safe */
	struct interruptible *outer;
};
void interrupt_enter(struct interruptible *i);
void interrupt_leave(struct interruptible *i);

/* From a signal's handler: note it, and interrupt everything that is under way. end: the number of a signal that ends the
 * program, else 0. */
void interrupt_raise(int end);
/* True if Ctrl-C was pressed since the line began; long loops ask it and end with -EINTR. */
bool interrupt_asked(void);
/* The same as a callback of core's long loops: -EINTR, or 0. */
int interrupt_poll(void *unused);
/* The terminal went away, or somebody asked the program to end: the number of the signal, else 0. */
int interrupt_end_asked(void);
/* Around each line: forgets a Ctrl-C from before. Nests. */
void interrupt_line_begin(void);
void interrupt_line_end(void);
void interrupt_forget(void);

/* poll(), letting signals in only here; most NULL: for ever. How many are ready; 0 when the time is over or after a signal
 * that asks for nothing; -1 if one asks to stop, or did since the line began. */
int interrupt_wait(struct pollfd *p, size_t n, const struct timespec *most);
/* Wait until fd can be read. 1, or 0 if a signal came. */
int interrupt_wait_readable(int fd);

#endif
