/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a load does to breakpoints. For cli/session/session.c.
 */
#ifndef KVMSCOPE_CLI_RELOAD_H
#define KVMSCOPE_CLI_RELOAD_H

#include "cli/session/session.h"

/* Those at symbols move to where the new symbols have them, or are disabled with a notice; all are planted in the new
 * machine. On failure they are as before. */
int reload_breakpoints(struct session *s, struct err *e) MUST_USE;

#endif
