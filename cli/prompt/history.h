/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The lines that were typed at the prompt, this time and earlier ones. readline keeps one list for the process.
 */
#ifndef KVMSCOPE_CLI_HISTORY_H
#define KVMSCOPE_CLI_HISTORY_H

#include "core/base/util.h"

/* The folder for what is kept from one session to the next, made if it is not there; false: there is no place for it. */
bool state_folder(char *path, size_t size);

void history_open(void); /* reads the file, if there is one; once */
void history_add(const char *line);
void history_close(void);
/* Call fn for each line, oldest first; n counts from 1. */
void history_each(void (*fn)(void *arg, int n, const char *line), void *arg);

#endif
