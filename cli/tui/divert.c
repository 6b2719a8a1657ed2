/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A memfd in place of standard output and standard error: a pipe would fill up while a command writes and nobody reads.
 */
#include "cli/tui/divert.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

static void give_back(struct divert *d)
{
	for (int i = 0; i < 2; i++) {
		if (d->saved[i] < 0)
			continue;
		dup2(d->saved[i], STDOUT_FILENO + i);
		close(d->saved[i]);
		d->saved[i] = -1;
	}
}

static int put_in_place(struct divert *d)
{
	for (int i = 0; i < 2; i++) {
		d->saved[i] = fcntl(STDOUT_FILENO + i, F_DUPFD_CLOEXEC, 3);
		if (d->saved[i] < 0 || dup2(d->file, STDOUT_FILENO + i) < 0)
			return -errno;
	}
	return 0;
}

int divert_begin(struct divert *d, struct err *e)
{
	*d = (struct divert){.file = memfd_create("kvmscope-output", MFD_CLOEXEC), .saved = {-1, -1}};
	int ret = d->file < 0 || fcntl(d->file, F_SETFL, O_APPEND) < 0 ? -errno : 0;

	fflush(stdout);
	fflush(stderr);
	if (!ret)
		ret = put_in_place(d);
	if (!ret)
		return 0;
	divert_end(d);
	return err_errno(e, -ret, "screens" WHY "standard output cannot be set aside" TRY "the prompt");
}

void divert_end(struct divert *d)
{
	fflush(stdout);
	fflush(stderr);
	give_back(d);
	if (d->file >= 0)
		close(d->file);
	d->file = -1;
}

void divert_pause(struct divert *d)
{
	fflush(stdout);
	fflush(stderr);
	give_back(d);
}

int divert_go_on(struct divert *d)
{
	int ret = put_in_place(d);

	if (ret)
		give_back(d);
	return ret;
}

#define KEEP_BYTES (1u << 20)
void divert_take(struct divert *d, void (*fn)(void *arg, const char *text, size_t n), void *arg)
{
	char buf[4096];
	ssize_t n;

	if (d->file < 0)
		return;
	fflush(stdout);
	fflush(stderr);
	while ((n = pread(d->file, buf, sizeof(buf), (off_t)d->taken)) > 0) {
		d->taken += (uint64_t)n;
		fn(arg, buf, (size_t)n);
	}
	/* What has been read can go; what is written meanwhile stays where it is. */
	if (d->taken - d->gone > KEEP_BYTES &&
	    !fallocate(d->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)d->gone, (off_t)(d->taken - d->gone)))
		d->gone = d->taken;
}
