/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Writing to standard output and standard error so that a signal tears nothing apart.
 */
#ifndef KVMSCOPE_CLI_OUTPUT_H
#define KVMSCOPE_CLI_OUTPUT_H

#include <stdio.h>

#include "core/base/util.h"

/* All of it, behind what the stream has buffered; Ctrl-C only interrupts the wait. 0, or the errno, negative. */
int output_put(FILE *to, const char *bytes, size_t n);

#endif
