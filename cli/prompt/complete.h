/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What TAB offers: commands, subcommands, registers, slot and breakpoint ids, symbols, files, by the command's table entry.
 */
#ifndef KVMSCOPE_CLI_COMPLETE_H
#define KVMSCOPE_CLI_COMPLETE_H

#include "cli/session/session.h"

/* Call fn for everything that the word from `start` to the end of `line` may become. False if file names are wanted
 * (readline knows how). */
bool complete_word(struct session *s, const char *line, size_t start, void (*fn)(void *arg, const char *text), void *arg);
/* Hang it into readline. */
void complete_init(void);
/* Call readline's read(), completing from this session. */
void complete_for(struct session *s, void (*read)(void));

#endif
