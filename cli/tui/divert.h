/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * While the screens are open nothing but the grid may come to the terminal: what this process and its children write to
 * standard output and standard error goes to a file in memory, to be read for the output pane.
 */
#ifndef KVMSCOPE_CLI_TUI_DIVERT_H
#define KVMSCOPE_CLI_TUI_DIVERT_H

#include "core/base/err.h"

struct divert {
	int file;	/* -1: not diverted */
	int saved[2];	/* what descriptors 1 and 2 were */
	uint64_t taken; /* bytes that have been read */
	uint64_t gone;	/* of them, those whose memory has been given back */
};

int divert_begin(struct divert *d, struct err *e) MUST_USE;
void divert_end(struct divert *d);
/* Both descriptors are for a while what they were before; and diverted again: -errno, then they stay so. */
void divert_pause(struct divert *d);
int divert_go_on(struct divert *d) MUST_USE;
/* Hand over what has been written since. */
void divert_take(struct divert *d, void (*fn)(void *arg, const char *text, size_t n), void *arg);

#endif
