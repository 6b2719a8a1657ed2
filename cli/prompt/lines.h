/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Lines that were entered, by whatever way: put together until a command is complete, then carried out.
 */
#ifndef KVMSCOPE_CLI_LINES_H
#define KVMSCOPE_CLI_LINES_H

#include "cli/session/client.h"

struct lines {
	struct client *c;
	char *pending; /* of a command that is not complete; NULL for none */
};

/* One line of input; a command that is complete is run. An empty one repeats the last that may be. */
void lines_take(struct lines *l, const char *line);
void lines_drop(struct lines *l);

#endif
