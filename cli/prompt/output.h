/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Writing to standard output and standard error so that a signal tears nothing apart that somebody reads.
 */
#ifndef KVMSCOPE_CLI_OUTPUT_H
#define KVMSCOPE_CLI_OUTPUT_H

#include <stdio.h>

#include "core/base/util.h"

/* All of it, behind what the stream has buffered. 0, or the errno, negative; -EINTR: nobody has taken any of it for some
 * time, and Ctrl-C was pressed, so the rest is dropped. A reader that only is slow gets all. */
int output_put(FILE *to, const char *bytes, size_t n);

#endif
