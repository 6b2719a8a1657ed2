/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * build/gen writes the shell completions and the manual out of the program's own tables: cli/cmd/options.c, the list of
 * commands and the built-in guests. `make completions manual` runs it; tests/checks/generated.sh fails if the files are
 * old.
 */
#ifndef KVMSCOPE_COMPLETIONS_GEN_H
#define KVMSCOPE_COMPLETIONS_GEN_H

#include <stdio.h>

void gen_bash(FILE *to);
void gen_zsh(FILE *to);
void gen_fish(FILE *to);
/* Copies the template, with a line @OPTIONS@, @GUESTS@ or @COMMANDS@ replaced by what it names. -1: it cannot be read. */
int gen_manual(FILE *to, const char *template);

#endif
