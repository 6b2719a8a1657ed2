/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a command has the guest do, and who waits for it.
 *
 * A command that lets the guest run does not block: it answers CMD_WAIT with a plan (core/debug/plan.h) and a function that
 * makes the value of the stop. In the foreground command_run() lends the client's thread until the stop (go_here()). With
 * `&` behind the command's words the run goes on by itself (go_background()): the command's value is null, the client polls
 * go_fd() beside its own descriptors and calls go_poll(), which delivers what happened in between, on the client's thread:
 * console bytes, and at last the stop, to every client of the session by client_ops.event.
 *
 * While a run is in the background what needs a stopped guest is refused in the machine's words; what the machine can answer
 * while it runs is answered, and says so (`live`).
 */
#ifndef KVMSCOPE_CLI_GO_H
#define KVMSCOPE_CLI_GO_H

#include "cli/session/command.h"

/* Answer CMD_WAIT: the guest is to do this; finish then leaves the value. */
int go_wait(struct call *c, struct plan plan, int (*finish)(struct call *c, struct err *e));

/* Carry out c->plan on this thread, then c->finish. */
int go_here(struct call *c, struct err *e) MUST_USE;
/* Begin it and return. */
int go_background(struct call *c, struct err *e) MUST_USE;

/* Is a run in the background under way? */
bool go_is_under_way(const struct session *s);
/* Does a command wait for it, so that nobody types meanwhile? */
bool go_is_waited_for(const struct session *s);
/* Readable when go_poll() has something to do; -1 if no run is in the background. One that stopped before anything ran
 * says nothing there: go_is_due(). */
int go_fd(const struct session *s);
bool go_is_due(const struct session *s);
void go_poll(struct session *s);
/* Until the run in the background stops; the stop is then c's value, and an event for the other clients. ms < 0: for ever.
 * -EINTR: Ctrl-C, it goes on; -ETIMEDOUT: the same. */
int go_join(struct call *c, int64_t ms, struct err *e) MUST_USE;
/* Have it stop soon. Nothing if the guest stands. */
void go_interrupt(struct session *s);
/* Interrupt it, wait, and tell nobody. -EBUSY from inside of it (a condition). Nothing if none is under way. */
int go_give_up(struct session *s, struct err *e) MUST_USE;
/* The same if this client began it. */
void go_client_gone(struct client *c);

#endif
