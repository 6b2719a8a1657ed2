/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Empty tables for groups of commands that are not in this build yet.
 */
#include "cli/command.h"

#define NOT_YET(table) __attribute__((weak)) const struct command table[] = {{.name = NULL}}

NOT_YET(commands_fault);
