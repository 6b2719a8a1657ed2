/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * userfaultfd's ioctls, with what they need on shared memory.
 */
#include "kvmback/host/uffd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#define PAGE 4096ull

/* Newer than some installed headers. */
#ifndef UFFD_FEATURE_WP_HUGETLBFS_SHMEM
#define UFFD_FEATURE_WP_HUGETLBFS_SHMEM (1 << 12)
#endif
#define FEATURES                                                                                                            \
	(UFFD_FEATURE_MINOR_SHMEM | UFFD_FEATURE_THREAD_ID | UFFD_FEATURE_PAGEFAULT_FLAG_WP |                               \
	 UFFD_FEATURE_WP_HUGETLBFS_SHMEM)

void uffd_init(struct uffd *u)
{
	*u = (struct uffd){.fd = -1};
}

static int try_open(int *out)
{
	struct uffdio_api api = {.api = UFFD_API, .features = FEATURES};
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -errno;
	if (ioctl(fd, UFFDIO_API, &api)) {
		close(fd);
		return -EINVAL;
	}
	*out = fd;
	return 0;
}

static void why_text(int rc, char *buf, size_t size)
{
	if (rc == -EINVAL)
		snprintf(buf, size,
			 "this kernel's userfaultfd has no minor faults or no write protection on shared memory (Linux 5.19 "
			 "has both)");
	else
		snprintf(buf, size, "userfaultfd: %s (it takes root, CAP_SYS_PTRACE or vm.unprivileged_userfaultfd=1)",
			 strerror(-rc));
}

/* Tried once: a capability is not lost while the program runs. Out of descriptors is no verdict on the host. */
const char *uffd_why(void)
{
	static char why[160];
	static bool tried, works;
	int fd = -1, rc;

	if (tried)
		return works ? NULL : why;
	rc = try_open(&fd);
	works = !rc;
	tried = rc != -EMFILE && rc != -ENFILE;
	if (rc)
		why_text(rc, why, sizeof(why));
	util_closep(&fd);
	return works ? NULL : why;
}

int uffd_open(struct uffd *u, const char *what, struct err *e)
{
	char why[160];
	int rc = u->fd >= 0 ? 0 : try_open(&u->fd);

	if (!rc)
		return 0;
	why_text(rc, why, sizeof(why));
	return err_set(e, rc, "%s" WHY "%s" TRY "info kvm", what, why);
}

void uffd_close(struct uffd *u)
{
	if (u->fd < 0)
		return;
	util_closep(&u->fd);
	u->fd = -1;
	u->gen++;
}

int uffd_register(struct uffd *u, uint64_t hva, uint64_t len, unsigned modes)
{
	struct uffdio_register reg = {.range = {.start = hva, .len = len},
				      .mode = (modes & UFFD_PROTECT ? UFFDIO_REGISTER_MODE_WP : 0) |
					      (modes & UFFD_MINOR ? UFFDIO_REGISTER_MODE_MINOR : 0)};

	return ioctl(u->fd, UFFDIO_REGISTER, &reg) ? -errno : 0;
}

int uffd_protect(struct uffd *u, uint64_t hva, uint64_t len, bool on)
{
	struct uffdio_writeprotect wp = {.range = {.start = hva, .len = len}, .mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0};
	int rc;

	/* -EAGAIN: the mappings change under it. */
	do
		rc = ioctl(u->fd, UFFDIO_WRITEPROTECT, &wp);
	while (rc && errno == EAGAIN);
	return rc ? -errno : 0;
}

void uffd_continue(struct uffd *u, uint64_t hva, bool protect)
{
	struct uffdio_continue c = {.range = {.start = hva & ~(PAGE - 1), .len = PAGE},
				    .mode = protect ? UFFDIO_CONTINUE_MODE_DONTWAKE : 0};
	struct uffdio_range r = c.range;
	bool there = ioctl(u->fd, UFFDIO_CONTINUE, &c) && errno == EEXIST;

	if (protect)
		(void)!uffd_protect(u, r.start, r.len, true);
	/* Mapped meanwhile by another: nobody has woken this one yet. */
	if (there || protect)
		(void)ioctl(u->fd, UFFDIO_WAKE, &r);
}

void uffd_wake(struct uffd *u, uint64_t hva)
{
	struct uffdio_range r = {.start = hva & ~(PAGE - 1), .len = PAGE};

	(void)ioctl(u->fd, UFFDIO_WAKE, &r);
}

bool uffd_next(struct uffd *u, struct uffd_fault *out)
{
	struct uffd_msg m;

	while (u->fd >= 0 && read(u->fd, &m, sizeof(m)) == sizeof(m)) {
		if (m.event != UFFD_EVENT_PAGEFAULT)
			continue;
		*out = (struct uffd_fault){.hva = m.arg.pagefault.address & ~(PAGE - 1),
					   .tid = (pid_t)m.arg.pagefault.feat.ptid,
					   .protect = m.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP};
		return true;
	}
	return false;
}
