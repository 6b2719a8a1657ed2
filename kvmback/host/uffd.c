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
#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
#endif
#define FEATURES                                                                                                            \
	(UFFD_FEATURE_MINOR_SHMEM | UFFD_FEATURE_THREAD_ID | UFFD_FEATURE_PAGEFAULT_FLAG_WP |                               \
	 UFFD_FEATURE_WP_HUGETLBFS_SHMEM)

void uffd_init(struct uffd *u)
{
	*u = (struct uffd){.fd = -1};
}

/* Faults that KVM takes on the guest's behalf are the kernel's: UFFD_USER_MODE_ONLY, which anybody may have, does not see
 * them. The device (Linux 6.1) gives them to whom its permissions let. */
static int open_kernel_mode(void)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK), why = errno;

	if (fd >= 0 || why != EPERM)
		return fd >= 0 ? fd : -why;
	_cleanup_close_ int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
	if (device < 0)
		return errno == EMFILE || errno == ENFILE ? -errno : -why;
	fd = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
	return fd >= 0 ? fd : -errno;
}

static int try_open(int *out)
{
	struct uffdio_api api = {.api = UFFD_API, .features = FEATURES};
	int fd = open_kernel_mode();

	if (fd < 0)
		return fd;
	if (ioctl(fd, UFFDIO_API, &api)) {
		close(fd);
		return -EINVAL;
	}
	*out = fd;
	return 0;
}

static int refused(int rc, const char *what, struct err *e)
{
	if (rc == -EINVAL)
		return err_set(e, rc,
			       "%s" WHY "this kernel's userfaultfd has no minor faults or no write protection on shared "
			       "memory" TRY "Linux 5.19, which has both",
			       what);
	if (rc == -EPERM)
		return err_errno(
		    e, EPERM,
		    "%s" WHY "userfaultfd for faults in the kernel, where KVM takes the guest's" TRY
		    "sudo (CAP_SYS_PTRACE), vm.unprivileged_userfaultfd=1, or /dev/userfaultfd made yours to open",
		    what);
	return err_errno(e, -rc, "%s" WHY "userfaultfd" TRY "a kernel with CONFIG_USERFAULTFD", what);
}

static struct err why;

/* Tried once: a capability is not lost while the program runs. Out of descriptors or memory is no verdict on the host. */
const char *uffd_why(void)
{
	static bool tried;
	int fd = -1, rc;

	if (!tried) {
		rc = try_open(&fd);
		tried = rc != -EMFILE && rc != -ENFILE && rc != -ENOMEM;
		err_clear(&why);
		if (rc)
			(void)refused(rc, "userfaultfd", &why);
		util_closep(&fd);
	}
	return why.code ? why.why : NULL;
}

const char *uffd_next_step(void)
{
	return why.next;
}

int uffd_open(struct uffd *u, const char *what, struct err *e)
{
	int rc = u->fd >= 0 ? 0 : try_open(&u->fd);

	return rc ? refused(rc, what, e) : 0;
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
