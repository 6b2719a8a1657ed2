/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Every command of the debugger. Each file of handlers has one table, ended by an entry without a name.
 */
#ifndef KVMSCOPE_CLI_TABLE_H
#define KVMSCOPE_CLI_TABLE_H

#include "cli/session/command.h"

extern const struct command commands_run[], commands_break[], commands_data[], commands_slots[], commands_mmu[],
    commands_memop[], commands_fault[], commands_session[], commands_support[], commands_history[], commands_screens[],
    commands_report[], commands_look[], commands_tdp[];

/* All of them; made at the first call, the same ever after. Empty if memory is out. */
const struct command_table *command_table(void);

#endif
