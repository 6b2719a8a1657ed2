/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The guest physical space as records.
 */
#ifndef KVMSCOPE_CLI_MAP_H
#define KVMSCOPE_CLI_MAP_H

#include "cli/session/command.h"

/* A list of record_region. own: with the slots that the debugger keeps for itself. */
int map_regions(struct call *c, bool own, struct value *out, struct err *e) MUST_USE;

#endif
