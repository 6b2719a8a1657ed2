/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Files that commands write.
 */
#include "cli/cmd/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/session/interrupt.h"

static int cannot(const struct sink *k, const char *what, int errnum, struct err *e)
{
	const char *next = "another file";

	if (errnum == ENXIO)
		next = "a reader of that pipe first";
	else if (errnum == ENOSPC || errnum == EDQUOT)
		next = "another file system, or room on this one";
	return err_errno(e, errnum, "%s %.100s" WHY "it cannot be %s" TRY "%s", k->who, k->path, what, next);
}

/* Nobody waits for a pipe's other end, or gets a terminal by it. */
static int open_special(struct sink *k)
{
	int fd = open(k->path, O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd >= 0)
		(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	return fd;
}

/* Where the name leads; a link to nothing gets the file that it names. */
static int find_target(struct sink *k, bool there)
{
	struct stat link;
	int fd;

	if (!there && !lstat(k->path, &link)) {
		fd = open(k->path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666);
		if (fd < 0)
			return -errno;
		close(fd);
		there = k->made = true;
	}
	if (there)
		return realpath(k->path, k->target) ? 0 : -errno;
	return snprintf(k->target, sizeof(k->target), "%s", k->path) < (int)sizeof(k->target) ? 0 : -ENAMETOOLONG;
}

static int open_beside(struct sink *k, bool there)
{
	int rc = find_target(k, there), n;

	if (rc)
		return rc;
	k->replaces = there;
	/* Renaming asks the folder; a file that is kept from being written is kept from that too. */
	if (there && faccessat(AT_FDCWD, k->target, W_OK, AT_EACCESS))
		return -errno;
	n = snprintf(k->temp, sizeof(k->temp), "%s.XXXXXX", k->target);
	if (n < 0 || (size_t)n >= sizeof(k->temp))
		return -ENAMETOOLONG;
	k->fd = mkostemp(k->temp, O_CLOEXEC);
	return k->fd < 0 ? -errno : 0;
}

int sink_open(struct sink *k, const char *who, const char *path, struct err *e)
{
	bool there;
	int rc = 0;

	*k = (struct sink){.who = who, .path = path, .fd = -1};
	there = !stat(path, &k->old);
	if (there && S_ISDIR(k->old.st_mode))
		return cannot(k, "written", EISDIR, e);
	if (there && !S_ISREG(k->old.st_mode)) {
		k->fd = open_special(k);
		rc = k->fd < 0 ? -errno : 0;
	} else {
		rc = open_beside(k, there);
	}
	if (rc && k->made)
		unlink(k->target);
	return rc ? cannot(k, there ? "written" : "created", -rc, e) : 0;
}

int sink_write(struct sink *k, const void *bytes, size_t n, struct err *e)
{
	const uint8_t *at = bytes;

	while (n) {
		ssize_t got = write(k->fd, at, n);
		if (got < 0 && errno == EINTR && !interrupt_asked())
			continue;
		if (got < 0)
			return cannot(k, "written", errno, e);
		at += got;
		n -= (size_t)got;
	}
	return 0;
}

/* Whose group cannot be given gets no more than everybody had. */
static void take_over(const struct sink *k)
{
	mode_t mode = k->old.st_mode & 0777;

	if (fchown(k->fd, (uid_t)-1, k->old.st_gid))
		mode = (mode & ~070u) | (mode & 070 & (mode & 07) << 3);
	(void)!fchmod(k->fd, mode);
	if (k->old.st_uid != geteuid())
		(void)!fchown(k->fd, k->old.st_uid, (gid_t)-1);
}

static void set_mode(const struct sink *k)
{
	mode_t mask = umask(0);

	umask(mask);
	if (k->replaces)
		take_over(k);
	else
		(void)!fchmod(k->fd, 0666 & ~mask);
}

int sink_close(struct sink *k, int rc, struct err *e)
{
	if (k->temp[0] && !rc)
		set_mode(k);
	if (close(k->fd) && !rc)
		rc = cannot(k, "written", errno, e);
	if (k->temp[0] && !rc && rename(k->temp, k->target))
		rc = cannot(k, "created", errno, e);
	if (k->temp[0] && rc)
		unlink(k->temp);
	if (k->made && rc)
		unlink(k->target);
	return rc;
}
