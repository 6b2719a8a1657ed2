/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Ctrl-C, a terminal that goes away, pipes that close. Handlers take a note and interrupt what is under way, by
 * cli/session/interrupt.h.
 */
#ifndef KVMSCOPE_CLI_SIGNALS_H
#define KVMSCOPE_CLI_SIGNALS_H

#include "core/base/util.h"

/* From now on; the calling thread is the one that takes them. */
void signals_init(void);
/* True once after the process was stopped and went on: whoever has the terminal draws anew. */
bool signals_went_on(void);
/* What a crash is to do first, in the handler: async-signal-safe. NULL: nothing, as at first. */
void signals_on_crash(void (*rescue)(void));

#endif
