/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A file that a command writes: beside its name and then renamed over it, so that a failure leaves what was there; straight
 * into what is no regular file (a pipe, /dev/null). A file that is replaced keeps its permissions, and owner and group as
 * far as they may be given; a symbolic link stays one, and what it leads to is replaced.
 */
#ifndef KVMSCOPE_CLI_SINK_H
#define KVMSCOPE_CLI_SINK_H

#include <limits.h>
#include <sys/stat.h>

#include "core/base/err.h"

struct sink {
	const char *who, *path; /* the command, in errors; the file as it was named */
	char target[PATH_MAX];	/* where it is, behind all links */
	char temp[PATH_MAX];	/* "" if it is written straight into path */
	bool replaces,
	    made; /* there was a file, whose state old is; there is an empty one now, made for a link to nothing */
	struct stat old;
	int fd;
};

/* who and path live as long as the sink. Errors name both: -EACCES for a file that may not be written, -EISDIR, -ENXIO for a
 * pipe that nobody reads. After a successful open, close is called once. */
int sink_open(struct sink *k, const char *who, const char *path, struct err *e) MUST_USE;
int sink_write(struct sink *k, const void *bytes, size_t n, struct err *e) MUST_USE;
/* rc: of what was written into it; negative: it is dropped, and rc is the answer. */
int sink_close(struct sink *k, int rc, struct err *e) MUST_USE;

#endif
