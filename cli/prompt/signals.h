/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Ctrl-C, a terminal that goes away, pipes that close. Handlers take a note and interrupt what is under way, by
 * cli/session/interrupt.h.
 */
#ifndef KVMSCOPE_CLI_SIGNALS_H
#define KVMSCOPE_CLI_SIGNALS_H

/* From now on; the calling thread is the one that takes them. */
void signals_init(void);
/* What a crash is to do first, in the handler: async-signal-safe. NULL: nothing, as at first. */
void signals_on_crash(void (*rescue)(void));

#endif
