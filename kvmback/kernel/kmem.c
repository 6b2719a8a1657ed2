/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What every way of reading kernel memory has in common: pointers are checked before they are followed, long reads are cut
 * into chunks, and readers that have no batched calls get them from plain reads.
 */
#include "kvmback/kernel/kmem.h"

#include <errno.h>
#include <string.h>

#define MIN_OF(a, b) ((a) < (b) ? (a) : (b))

void kmem_close(struct kmem *m)
{
	if (m)
		m->ops->close(m);
}

static bool range_ok(uint64_t addr, size_t len)
{
	return addr >= 0xff00000000000000ull && addr + len > addr;
}

/* Nothing was read because the reader itself did not work, which says nothing about the address. */
static int run_failed(int rc, struct err *e)
{
	const char *next = rc == -EPERM || rc == -EACCES ? "sudo: this kernel lets only CAP_BPF run programs"
			   : rc == -ENOMEM		 ? "the same with memory freed on this host"
							 : "again, and info kvm for what this host can do";

	return err_errno(e, -rc, "read kernel memory" WHY "BPF_PROG_RUN" TRY "%s", next);
}

int kmem_read(struct kmem *m, uint64_t addr, void *buf, size_t len, struct err *e)
{
	size_t done, part;

	if (!len)
		return 0;
	if (!range_ok(addr, len))
		return err_set_at(e, -EFAULT, ERR_SPACE_KERNEL, addr,
				  "read %zu bytes of kernel memory" WHY "%#llx is not a kernel address" TRY
				  "again while the machine stands still",
				  len, (unsigned long long)addr);
	for (done = 0; done < len; done += part) {
		part = MIN_OF(len - done, (size_t)KMEM_CHUNK);
		m->reads++, m->calls++;
		m->bytes += part;
		int rc = m->ops->read(m, addr + done, (char *)buf + done, part);
		if (rc < 0 && rc != -EFAULT)
			return run_failed(rc, e);
		if (rc < 0)
			return err_set_at(e, -EFAULT, ERR_SPACE_KERNEL, addr + done,
					  "read %zu bytes of kernel memory" WHY "nothing is mapped at %#llx" TRY
					  "again while the machine stands still",
					  part, (unsigned long long)(addr + done));
	}
	return 0;
}

int kmem_u64(struct kmem *m, uint64_t addr, uint64_t *out, struct err *e)
{
	return kmem_read(m, addr, out, sizeof(*out), e);
}

static int gather_plain(struct kmem *m, const uint64_t *addr, size_t n, size_t len, char *buf, bool *ok)
{
	for (size_t i = 0; i < n; i++) {
		int rc = range_ok(addr[i], len) ? m->ops->read(m, addr[i], buf + i * len, len) : -EFAULT;

		m->calls++;
		if (rc < 0 && rc != -EFAULT)
			return rc;
		ok[i] = !rc;
		if (rc)
			memset(buf + i * len, 0, len);
	}
	return 0;
}

static int gather_part(struct kmem *m, const uint64_t *addr, size_t n, size_t len, char *buf, bool *ok)
{
	if (!m->ops->gather)
		return gather_plain(m, addr, n, len, buf, ok);
	m->calls++;
	return m->ops->gather(m, addr, n, len, buf, ok);
}

int kmem_gather(struct kmem *m, const uint64_t *addr, size_t n, size_t len, void *buf, bool *ok, struct err *e)
{
	size_t done, part, most = len ? MIN_OF((size_t)KMEM_GATHER, KMEM_CHUNK / len) : 0;

	if (!len || len > KMEM_ITEM_MAX)
		return err_set(e, -EINVAL, "gather %zu items" WHY "%zu bytes each, 1 to %u are possible", n, len,
			       KMEM_ITEM_MAX);
	for (done = 0; done < n; done += part) {
		part = MIN_OF(n - done, most);
		m->reads += part;
		m->bytes += part * len;
		int rc = gather_part(m, addr + done, part, len, (char *)buf + done * len, ok + done);
		if (rc < 0)
			return run_failed(rc, e);
		for (size_t i = done; i < done + part; i++)
			ok[i] &= range_ok(addr[i], len);
	}
	return 0;
}

static int chase_plain(struct kmem *m, const struct kmem_list *l, size_t max, char *buf, size_t *n, uint64_t *end)
{
	uint64_t node = l->first;

	for (*n = 0; *n < max && node != l->stop && node; (*n)++) {
		char *item = buf + *n * l->size;
		int rc = range_ok(node - l->node, l->size) ? m->ops->read(m, node - l->node, item, l->size) : -EFAULT;

		m->calls++;
		if (rc < 0 && rc != -EFAULT)
			return rc;
		if (rc)
			break;
		memcpy(&node, item + l->next, sizeof(node));
	}
	*end = node;
	return 0;
}

static int chase_part(struct kmem *m, const struct kmem_list *l, size_t max, char *buf, size_t *n, uint64_t *end)
{
	if (m->ops->chase) {
		m->calls++;
		return m->ops->chase(m, l, max, buf, n, end);
	}
	return chase_plain(m, l, max, buf, n, end);
}

int kmem_chase(struct kmem *m, const struct kmem_list *l, size_t max, void *buf, size_t *n, uint64_t *end, struct err *e)
{
	struct kmem_list at = *l;
	size_t done = 0, got = 0, part;

	if (!l->size || l->size > KMEM_ITEM_MAX || l->next + 8 > l->size || l->node > l->size)
		return err_set(e, -EINVAL, "follow a list" WHY "items of %u bytes with their link at %u", l->size, l->next);
	while (done < max && at.first != l->stop && at.first) {
		part = MIN_OF(MIN_OF(max - done, (size_t)KMEM_GATHER), KMEM_CHUNK / l->size);
		int rc = chase_part(m, &at, part, (char *)buf + done * l->size, &got, &at.first);
		if (rc < 0)
			return run_failed(rc, e);
		done += got;
		m->reads += got;
		m->bytes += got * l->size;
		if (got < part)
			break;
	}
	*n = done;
	*end = at.first;
	return 0;
}

int kmem_task(struct kmem *m, uint64_t *task, struct err *e)
{
	int rc = m->ops->task(m, task);

	m->calls++;
	if (rc < 0)
		return run_failed(rc, e);
	if (!kmem_pointer(*task))
		return err_set(e, -EIO,
			       "find this process in the kernel" WHY "the BPF reader gave no task pointer" TRY "info kvm");
	return 0;
}
