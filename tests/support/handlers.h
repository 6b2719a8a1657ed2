/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Commands' handlers without a prompt: a session over the fake machine's identity-mapped guest, and lines split at blanks
 * ({…} is one word). Tcl is not there, so nothing is substituted.
 */
#ifndef KVMSCOPE_TESTS_SUPPORT_HANDLERS_H
#define KVMSCOPE_TESTS_SUPPORT_HANDLERS_H

#include "cli/session/client.h"
#include "tests/support/longguest.h"

extern struct session handlers_session;
extern struct client handlers_client; /* shows nothing */
extern struct err handlers_err;	      /* of the last refused() */

int handlers_setup(void **state);
int handlers_teardown(void **state);
/* The value as JSON, until the next call. Fails the test where the command fails. */
const char *run_line(const char *line);
/* The command must fail; its code. */
int refused_line(const char *line);

#endif
