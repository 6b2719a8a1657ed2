/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A file that a command writes: beside its name and then renamed over it, so that a failure leaves what was there; straight
 * into what is no regular file (a pipe, /dev/null).
 */
#ifndef KVMSCOPE_CLI_SINK_H
#define KVMSCOPE_CLI_SINK_H

#include "core/base/err.h"

struct sink {
	const char *who, *path; /* the command, in errors; the file */
	char temp[4096];	/* "" if it is written straight into path */
	int fd;
};

/* who and path live as long as the sink. Errors name both. After a successful open, close is called once. */
int sink_open(struct sink *k, const char *who, const char *path, struct err *e) MUST_USE;
int sink_write(struct sink *k, const void *bytes, size_t n, struct err *e) MUST_USE;
/* rc: of what was written into it; negative: it is dropped, and rc is the answer. */
int sink_close(struct sink *k, int rc, struct err *e) MUST_USE;

#endif
