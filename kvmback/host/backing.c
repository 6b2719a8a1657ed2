/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Memory for slots. Fresh memory is a memfd, so that it can be mapped twice: dropping a page from the guest's mapping, or
 * watching it with userfaultfd, never touches the debugger's view. Nothing is touched here: a slot of a terabyte costs
 * address space only, and KVM's own tables, which are reckoned first because the kernel would rather kill somebody than
 * refuse them.
 */
#include "kvmback/host/backing.h"

#include "core/base/memory.h"
#include "kvmback/host/newkvm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#define KVM_BYTES_A_PAGE 11u	       /* reverse map 8, write tracking 2, large-page info and bitmaps */
#define KVM_TABLES_SMALL (64ull << 20) /* below this nobody need reckon */

struct backing {
	uint8_t *map[2]; /* guest view, alias: whole reservations */
	size_t len[2];
};

static int check_kernel_cost(const struct slot_spec *spec, struct err *e)
{
	uint64_t cost = (spec->size >> PAGE_SHIFT) * KVM_BYTES_A_PAGE, have;
	char pools[100];

	if (cost < KVM_TABLES_SMALL || spec->overcommit)
		return 0;
	have = memory_available();
	if (cost <= have / 2)
		return 0;
	return err_set(e, -ENOMEM,
		       "slot %u" WHY
		       "KVM's tables for %llu MiB of guest take about %llu MiB of kernel memory, %llu MiB is available%s" TRY
		       "a slot of %llu MiB, or slot add with -overcommit",
		       spec->id, (unsigned long long)spec->size >> 20, (unsigned long long)cost >> 20,
		       (unsigned long long)have >> 20, memory_pools_words(pools, sizeof(pools)),
		       (unsigned long long)(have / 4 / KVM_BYTES_A_PAGE) >> 8);
}

/* 2 MiB pages are made at once, so that what is missing would be taken from others, or end in somebody's being killed. */
static int check_huge_cost(const struct slot_spec *spec, struct err *e)
{
	char pools[100];
	uint64_t have;

	if (!spec->huge || spec->file || spec->overcommit)
		return 0;
	have = memory_available();
	if (spec->size <= have - have / 8)
		return 0;
	return err_set(e, -ENOMEM,
		       "slot %u" WHY "-huge takes its %llu MiB at once, %llu MiB is available on this host%s" TRY
		       "at most %llu MiB, a slot without -huge, or -overcommit",
		       spec->id, (unsigned long long)spec->size >> 20, (unsigned long long)have >> 20,
		       memory_pools_words(pools, sizeof(pools)), (unsigned long long)(have - have / 8) >> 21 << 1);
}

static int map_error(const struct slot_spec *spec, int errnum, struct err *e)
{
	if (errnum == ENOMEM)
		return err_set(e, -ENOMEM,
			       "slot %u" WHY "no room to map %#llx bytes (address space, or vm.max_map_count mappings)" TRY
			       "a smaller slot, or fewer",
			       spec->id, (unsigned long long)spec->size);
	if (errnum == EEXIST)
		return err_set(e, -EEXIST, "slot %u" WHY "hva %#llx is in use" TRY "no hva", spec->id,
			       (unsigned long long)spec->hva);
	return err_errno(e, errnum, "slot %u" WHY "mmap of %#llx bytes" TRY "a smaller slot", spec->id,
			 (unsigned long long)spec->size);
}

/* ---- where the bytes are */

static int memfd_open(const struct slot_spec *spec, uint64_t bytes, int *out, struct err *e)
{
	_cleanup_close_ int fd = -1;
	char name[32];

	snprintf(name, sizeof(name), "kvmscope-slot%u", spec->id);
	fd = memfd_create(name, MFD_CLOEXEC);
	if (fd < 0)
		return err_errno(e, errno, "slot %u" WHY "no memfd for its %#llx bytes" TRY "a smaller slot", spec->id,
				 (unsigned long long)bytes);
	if (ftruncate(fd, (off_t)bytes) < 0)
		return err_errno(e, errno, "slot %u" WHY "its memfd cannot have %#llx bytes" TRY "%s", spec->id,
				 (unsigned long long)bytes, errno == EFBIG ? "a higher ulimit -f" : "a smaller slot");
	*out = fd;
	fd = -1;
	return 0;
}

/* A file of the VM's: only its slots can have it, and it holds the VM. Shared with this process from the start, so that an
 * image can be loaded into it. */
static int guest_memfd_open(const struct kvm_vm *vm, const struct slot_spec *spec, int *out, struct err *e)
{
	struct newkvm_create_memfd make = {.size = spec->size, .flags = NEWKVM_MEMFD_MMAP | NEWKVM_MEMFD_INIT_SHARED};
	const char *why = kvm_memfd_why(vm->host);
	int fd = why ? -1 : ioctl(vm->fd, NEWKVM_CREATE_GUEST_MEMFD, &make);

	if (why)
		return err_set(e, -ENOTSUP, "slot %u" WHY "no guest_memfd here: %s" TRY "a slot without -guest-memfd",
			       spec->id, why);
	if (fd < 0)
		return err_errno(e, errno,
				 "slot %u" WHY "KVM_CREATE_GUEST_MEMFD of %#llx bytes" TRY "a slot without -guest-memfd",
				 spec->id, (unsigned long long)spec->size);
	(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	*out = fd;
	return 0;
}

static int memory_open(const struct kvm_vm *vm, const struct slot_spec *spec, uint64_t offset, int *fd, struct err *e)
{
	if (spec->guest_memfd)
		return guest_memfd_open(vm, spec, fd, e);
	return spec->file ? slot_file_open(spec, fd, e) : memfd_open(spec, offset + spec->size, fd, e);
}

/* ---- mapping */

/* Address space of len bytes for the guest's view, the first byte at *at: congruent to gpa where huge pages are asked for,
 * at spec->hva if that is given. */
static int reserve(const struct slot_spec *spec, struct backing *b, uint8_t **at, struct err *e)
{
	size_t slack = spec->huge ? HUGE_SIZE : 0;
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	void *p;

	if (spec->hva)
		p = mmap((void *)(uintptr_t)spec->hva, spec->size, PROT_NONE, flags | MAP_FIXED_NOREPLACE, -1, 0);
	else
		p = mmap(NULL, spec->size + slack, PROT_NONE, flags, -1, 0);
	if (p == MAP_FAILED)
		return map_error(spec, errno, e);
	b->map[0] = p;
	b->len[0] = spec->size + (spec->hva ? 0 : slack);
	*at = b->map[0];
	if (slack && !spec->hva)
		*at += (spec->gpa - (uintptr_t)p) & (HUGE_SIZE - 1);
	return 0;
}

static int map_both(const struct slot_spec *spec, int fd, uint64_t offset, struct backing *b, struct slot *s, struct err *e)
{
	int prot = spec->file ? PROT_READ : PROT_READ | PROT_WRITE;
	uint8_t *at = NULL;
	void *p;
	int rc = reserve(spec, b, &at, e);

	if (rc)
		return rc;
	if (mmap(at, spec->size, prot, MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd, (off_t)offset) == MAP_FAILED)
		return map_error(spec, errno, e);
	p = mmap(NULL, spec->size, prot, MAP_SHARED | MAP_NORESERVE, fd, (off_t)offset);
	if (p == MAP_FAILED)
		return map_error(spec, errno, e);
	b->map[1] = p;
	b->len[1] = spec->size;
	s->hva = (uintptr_t)at;
	s->alias = p;
	return 0;
}

/* Make every whole 2 MiB block one page now; say how many became one. Congruence is what lets KVM use them. The kernel
 * collapses no block that is empty altogether, and fallocate() fails where a touch would be a SIGBUS. */
static int collapse(const struct slot *s, const struct slot_spec *spec, int fd, uint64_t offset, struct slot_steps *steps,
		    struct err *e)
{
	uint64_t first = (s->hva + HUGE_SIZE - 1) & ~(HUGE_SIZE - 1), end = (s->hva + s->size) & ~(HUGE_SIZE - 1);
	unsigned long long got = 0, want = end > first ? (end - first) / HUGE_SIZE : 0;
	int failed = 0;

	if (want)
		(void)madvise((void *)(uintptr_t)first, end - first, MADV_HUGEPAGE);
	for (uint64_t at = first; at < end; at += HUGE_SIZE) {
		if (spec->poll && spec->poll(NULL))
			return err_set(e, -EINTR,
				       "slot %u" WHY
				       "interrupted after %llu of %llu blocks of 2 MiB; the slot is not there" TRY
				       "a smaller slot, or one without -huge",
				       s->id, (unsigned long long)(at - first) / HUGE_SIZE, want);
		if (!fallocate(fd, 0, (off_t)(offset + (at - s->hva)), PAGE_SIZE_4K) &&
		    !madvise((void *)(uintptr_t)at, HUGE_SIZE, MADV_COLLAPSE))
			got++;
		else
			failed = errno;
	}
	if (!want)
		slot_step_add(steps, "2 MiB pages: none, the slot holds no whole aligned block");
	else if (got == want)
		slot_step_add(steps, "2 MiB pages: all %llu blocks", want);
	else
		slot_step_add(steps, "2 MiB pages: %llu of %llu blocks, the others 4 KiB (%s)", got, want, strerror(failed));
	return 0;
}

static void unmap(struct backing *b)
{
	for (int i = 0; i < 2; i++)
		if (b->map[i])
			munmap(b->map[i], b->len[i]);
	free(b);
}

int backing_make(const struct kvm_vm *vm, struct slot *s, const struct slot_spec *spec, struct slot_steps *steps,
		 struct err *e)
{
	uint64_t offset = spec->huge && !spec->file ? spec->gpa & (HUGE_SIZE - 1) : 0;
	struct backing *b = calloc(1, sizeof(*b));
	struct slot made = *s;
	int fd = -1, rc = b ? check_kernel_cost(spec, e) : err_nomem(e, "slot");

	if (!rc)
		rc = check_huge_cost(spec, e);
	if (!rc)
		rc = memory_open(vm, spec, offset, &fd, e);
	if (!rc)
		rc = map_both(spec, fd, offset, b, &made, e);
	if (!rc && spec->huge && !spec->file)
		rc = collapse(&made, spec, fd, offset, steps, e);
	if (rc) {
		if (b)
			unmap(b);
		util_closep(&fd);
		return rc;
	}
	made.backing = b;
	made.file_backed = spec->file != NULL;
	made.fd = made.file_backed ? fd : -1;
	made.fd_offset = 0;
	made.memfd = spec->guest_memfd ? fd : -1;
	if (!spec->file && !spec->guest_memfd)
		close(fd); /* the mappings keep the memfd: thousands of slots need no descriptor each */
	*s = made;
	return 0;
}

void backing_free(struct slot *s)
{
	if (s->backing)
		unmap(s->backing);
	if (s->file_backed)
		util_closep(&s->fd);
	if (s->guest_memfd)
		util_closep(&s->memfd);
	s->memfd = -1;
	s->backing = NULL;
	s->alias = NULL;
	s->hva = 0;
	s->fd = -1;
}
