/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What TAB offers: commands, subcommands, registers, slot and breakpoint ids, symbols, files, by the command's table entry.
 */
#ifndef KVMSCOPE_CLI_COMPLETE_H
#define KVMSCOPE_CLI_COMPLETE_H

#include "cli/session/session.h"

/* Hang it into readline. */
void complete_init(void);
/* Call readline's read(), completing from this session. */
void complete_for(struct session *s, void (*read)(void));

#endif
