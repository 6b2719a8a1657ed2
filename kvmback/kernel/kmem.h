/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Bytes at kernel addresses. Lowest layer of the kernel reader: one struct with three ways to read, behind it the BPF reader
 * (kmem_bpf.c) or a test's own memory. Calls cost about 2 µs each whatever their size up to KMEM_CHUNK, so callers batch:
 * gather for many places that are known, chase for a linked list.
 */
#ifndef KVMSCOPE_KVMBACK_KERNEL_KMEM_H
#define KVMSCOPE_KVMBACK_KERNEL_KMEM_H

#include <errno.h>

#include "core/base/err.h"

#define KMEM_CHUNK (1u << 20)	 /* most bytes that one call brings */
#define KMEM_GATHER 64u		 /* most places that one call reads */
#define KMEM_ITEM_MAX (1u << 12) /* largest item of gather and chase */

struct kmem;

/* A linked list in memory: at `first` stands a node inside an item of `size` bytes, `node` bytes after its start; the next
 * node's address is the word `next` bytes after the item's start. The list ends at node address `stop`, or at 0. */
struct kmem_list {
	uint64_t first, stop;
	uint32_t size, node, next;
};

struct kmem_ops {
	/* len is 1 to KMEM_CHUNK. 0; -EFAULT: nothing is mapped there; anything else, here and below: the reader failed. */
	int (*read)(struct kmem *m, uint64_t addr, void *buf, size_t len);
	/* n (1 to KMEM_GATHER) items of len bytes, n * len at most KMEM_CHUNK. ok[i] says whether item i could be read.
	 * NULL: read() is called for each. */
	int (*gather)(struct kmem *m, const uint64_t *addr, size_t n, size_t len, void *buf, bool *ok);
	/* Up to max items of a list from l->first on. *n of them were read, *end is the node address after the last of them
	 * (the stop, 0, one that could not be read, or where to go on after max). NULL: read() is called for each. */
	int (*chase)(struct kmem *m, const struct kmem_list *l, size_t max, void *buf, size_t *n, uint64_t *end);
	int (*task)(struct kmem *m, uint64_t *task); /* struct task_struct of the calling thread */
	void (*close)(struct kmem *m);
};

struct kmem {
	const struct kmem_ops *ops;
	uint64_t reads, bytes; /* asked of ops so far: gather and chase count their items */
	uint64_t calls;
};

/* The BPF reader: needs CAP_BPF and CAP_PERFMON, and a kernel from 5.10 that is not locked down for confidentiality. -EPERM,
 * -ENOSYS, -ENOTSUP say which. Costs about 4 ms, most of it the verifier, and 2 MiB. */
enum kmem_bpf_type { KMEM_BPF_ANY, KMEM_BPF_SYSCALL, KMEM_BPF_RAW_TRACEPOINT }; /* ANY: the first of the two that loads */
int kmem_bpf_open(enum kmem_bpf_type type, struct kmem **out, struct err *e) MUST_USE;
/* Open some readers ahead: kmem_bpf_open(KMEM_BPF_ANY) hands them out, and they come back when they are closed. */
void kmem_bpf_prepare(void);
/* Is the kernel locked down for confidentiality (kernel_lockdown(7))? It then shows nobody its memory nor its tracepoints.
 */
bool kmem_locked_down(void);
/* False if one that was prepared cannot be run. */
bool kmem_bpf_runs(void);
void kmem_close(struct kmem *m);

/* Is a failure about this moment (descriptors, memory, a signal), so that it is to be tried again? */
static inline bool kmem_passing(int rc)
{
	return rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM || rc == -EAGAIN || rc == -EINTR;
}

/* A pointer that can be followed: in the kernel's half with 4- or 5-level paging, aligned to 8. */
static inline bool kmem_pointer(uint64_t addr)
{
	return addr >= 0xff00000000000000ull && addr < 0xfffffffffffff000ull && !(addr & 7);
}

/* All fail with -EFAULT and the address in *e where addr is not a kernel address or nothing is mapped there, and with what
 * BPF_PROG_RUN gave where that failed. Any len. */
int kmem_read(struct kmem *m, uint64_t addr, void *buf, size_t len, struct err *e) MUST_USE;
int kmem_u64(struct kmem *m, uint64_t addr, uint64_t *out, struct err *e) MUST_USE;
/* n items of len bytes (at most KMEM_ITEM_MAX) into buf at i * len; those that cannot be read are zero and ok[i] is false.
 */
int kmem_gather(struct kmem *m, const uint64_t *addr, size_t n, size_t len, void *buf, bool *ok, struct err *e) MUST_USE;
/* Items of a list, at most max of them, into buf at i * size. *end == l->stop says that it was read whole. */
int kmem_chase(struct kmem *m, const struct kmem_list *l, size_t max, void *buf, size_t *n, uint64_t *end,
	       struct err *e) MUST_USE;
int kmem_task(struct kmem *m, uint64_t *task, struct err *e) MUST_USE;

#endif
