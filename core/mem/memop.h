/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * MEMOP: read and write guest memory by guest virtual or absolute address, as the s390 ioctl of the same name does, under a
 * walk lock so that no vCPU changes or flushes a mapping between the walk and the copy. Order of checks and errnos: kernel
 * document virt/kvm/api.rst, KVM_S390_MEM_OP; a positive status is the guest's exception, on x86 a page fault.
 */
#ifndef KVMSCOPE_CORE_MEM_MEMOP_H
#define KVMSCOPE_CORE_MEM_MEMOP_H

#include "core/mem/xlate.h"

enum memop_kind {
	MEMOP_LOGICAL_READ = 0,
	MEMOP_LOGICAL_WRITE = 1,
	MEMOP_SIDA_READ = 2, /* refused: -EINVAL here */
	MEMOP_SIDA_WRITE = 3,
	MEMOP_ABSOLUTE_READ = 4,
	MEMOP_ABSOLUTE_WRITE = 5,
	MEMOP_ABSOLUTE_CMPXCHG = 6,
};
enum memop_flag { MEMOP_CHECK_ONLY = 1, MEMOP_INJECT = 2, MEMOP_SKEY = 4 };
#define MEMOP_MAX_SIZE 65536u

struct memop {
	enum memop_kind op;
	uint32_t flags;
	uint64_t gva; /* or gpa for absolute ops */
	uint32_t size;
	void *buf;		 /* in or out; may be NULL with CHECK_ONLY */
	const void *old;	 /* cmpxchg: expected; the found value is written to buf */
	uint8_t key;		 /* storage key, with MEMOP_SKEY */
	uint8_t access_register; /* 0 to 15; nothing on x86, checked all the same */
};

struct memop_result {
	int status; /* 0, or the guest's exception vector */
	struct guest_fault fault;
	bool protection; /* the storage key refused */
	bool exchanged;	 /* cmpxchg */
};

/* Storage keys: one byte a 4 KiB frame, bits 7:4 the key, bit 3 fetch protection; kept beside the slots. */
struct storage_keys;
struct storage_keys *storage_keys_create(void);
void storage_keys_destroy(struct storage_keys *k);
int storage_key_set(struct storage_keys *k, uint64_t gpa, uint8_t key, struct err *e) MUST_USE;
uint8_t storage_key_get(const struct storage_keys *k, uint64_t gpa);

/* What memop stands on. lock and unlock are the walk lock (no-ops if all vCPUs are out of guest mode); inject queues an
 * exception; wrote tells the backend of a change that was made behind the guest's back. Any of them may be NULL. */
struct memop_env {
	struct xlate_env x;
	struct storage_keys *keys;
	void *ctx;
	void (*lock)(void *ctx);
	void (*unlock)(void *ctx);
	int (*inject)(void *ctx, const struct guest_fault *f, struct err *e);
	int (*wrote)(void *ctx, uint64_t gpa, uint64_t len, struct err *e);
};

/* Logical ops translate as the vCPU's current privilege. All pages are translated before a byte moves, so a fault changes
 * nothing. 0 with out->status; or a negative errno: -EINVAL, -E2BIG, -EFAULT (no buffer), -ENOMEM. */
int memop_run(struct memop_env *env, const struct memop *op, unsigned cpl, struct memop_result *out, struct err *e) MUST_USE;

#endif
