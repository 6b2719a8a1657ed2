/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Long output on a terminal, through $PAGER or less.
 */
#ifndef KVMSCOPE_CLI_PAGER_H
#define KVMSCOPE_CLI_PAGER_H

#include "core/base/util.h"

/* Show the text by a pager if it is longer than the screen. False if it was not shown: it fits, there is no terminal,
 * PAGER is empty or "cat", or the pager did not start. */
bool pager_show(const char *text, size_t len);

#endif
