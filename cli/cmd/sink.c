/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Files that commands write.
 */
#include "cli/cmd/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "cli/session/interrupt.h"

int sink_open(struct sink *k, const char *who, const char *path, struct err *e)
{
	struct stat st;
	bool special = !stat(path, &st) && !S_ISREG(st.st_mode);

	k->who = who;
	k->path = path;
	k->temp[0] = 0;
	if (special) {
		k->fd = open(path, O_WRONLY | O_CLOEXEC);
	} else {
		int n = snprintf(k->temp, sizeof(k->temp), "%s.XXXXXX", path);
		if (n < 0 || (size_t)n >= sizeof(k->temp))
			return err_set(e, -ENAMETOOLONG, "%s" WHY "the file's name is too long" TRY "a shorter one", who);
		k->fd = mkostemp(k->temp, O_CLOEXEC);
	}
	if (k->fd < 0)
		return err_errno(e, errno, "%s %.100s" WHY "it cannot be created" TRY "another file", who, path);
	return 0;
}

int sink_write(struct sink *k, const void *bytes, size_t n, struct err *e)
{
	const uint8_t *at = bytes;

	while (n) {
		ssize_t got = write(k->fd, at, n);
		if (got < 0 && errno == EINTR && !interrupt_asked())
			continue;
		if (got < 0)
			return err_errno(e, errno, "%s %.100s" WHY "it cannot be written" TRY "another file", k->who,
					 k->path);
		at += got;
		n -= (size_t)got;
	}
	return 0;
}

int sink_close(struct sink *k, int rc, struct err *e)
{
	mode_t mask = umask(0);

	umask(mask);
	if (k->temp[0] && !rc)
		(void)!fchmod(k->fd, 0666 & ~mask);
	if (close(k->fd) && !rc)
		rc = err_errno(e, errno, "%s %.100s" WHY "it cannot be written" TRY "another file", k->who, k->path);
	if (k->temp[0] && !rc && rename(k->temp, k->path))
		rc = err_errno(e, errno, "%s %.100s" WHY "it cannot be created" TRY "another file", k->who, k->path);
	if (k->temp[0] && rc)
		unlink(k->temp);
	return rc;
}
