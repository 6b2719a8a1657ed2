/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Long output on a terminal, through $PAGER or less.
 */
#ifndef KVMSCOPE_CLI_PAGER_H
#define KVMSCOPE_CLI_PAGER_H

#include <stdio.h>

#include "core/base/util.h"

/* Show the text by a pager if it is longer than the screen. False if it was not shown: it fits, there is no terminal,
 * PAGER is empty or "cat", or the pager did not start. */
bool pager_show(const char *text, size_t len);

/* The same for text that comes in parts, of which this is the first: NULL where it is not to be shown by a pager. What it is
 * given is written by output_put(). */
FILE *pager_open(const char *text, size_t len);
/* Waits until it has been left. */
void pager_close(FILE *pager);

#endif
