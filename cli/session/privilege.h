/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The program as a file with capabilities (setcap), or set-uid: then it may do more than its user. What that is for is done
 * first, opening the kernel reader, and all of it is given up before anything of the user's is read. What was opened stays,
 * so code of the user's choosing is not loaded into the process, nor what his environment names read, until it ends.
 * Source: capabilities(7), getauxval(3) AT_SECURE.
 */
#ifndef KVMSCOPE_CLI_PRIVILEGE_H
#define KVMSCOPE_CLI_PRIVILEGE_H

#include "core/base/err.h"

/* First thing in main(). On failure the program must end: it could not give up what it has. */
int privilege_give_up(struct err *e) MUST_USE;
/* Does the program have, or has it opened, more than its user may? */
bool privilege_elevated(void);
/* $name; NULL if the program has more than its user. */
const char *privilege_getenv(const char *name);
/* The user's folder: $HOME, or what the system's list of users says if the program has more than its user. NULL: none. */
const char *privilege_home(void);

#endif
