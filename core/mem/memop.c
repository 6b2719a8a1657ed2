/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * MEMOP. The request is checked in the order of the s390 ioctl; then, under the walk lock, every page is translated, every
 * page is found to be memory and its storage key asked, and only then do bytes move. Memory that would leave for user space
 * (no slot, a device, a write to a readonly slot) is -EFAULT, as an ioctl that finds no host page gives.
 */
#include "core/mem/memop.h"

#include <errno.h>
#include <string.h>

typedef unsigned long long ull;

#define PARTS_MAX (MEMOP_MAX_SIZE / 0x1000u + 1)

/* One page's share of the operation. */
struct part {
	struct xlate_iolist io;
	uint64_t gva;
};

struct work {
	struct memop_env *env;
	const struct memop *op;
	bool write, absolute, cmpxchg;
	unsigned access;
	unsigned n;
	struct part part[PARTS_MAX];
	uint8_t data[]; /* op->size bytes */
};

static bool is_absolute(enum memop_kind op)
{
	return op == MEMOP_ABSOLUTE_READ || op == MEMOP_ABSOLUTE_WRITE || op == MEMOP_ABSOLUTE_CMPXCHG;
}

static bool is_write(enum memop_kind op)
{
	return op == MEMOP_LOGICAL_WRITE || op == MEMOP_ABSOLUTE_WRITE || op == MEMOP_ABSOLUTE_CMPXCHG;
}

/* An absolute operation has no vCPU to inject into, and an exchange cannot only be checked. */
static uint32_t flags_of(enum memop_kind op)
{
	switch (op) {
	case MEMOP_LOGICAL_READ:
	case MEMOP_LOGICAL_WRITE:
		return MEMOP_CHECK_ONLY | MEMOP_INJECT | MEMOP_SKEY;
	case MEMOP_ABSOLUTE_CMPXCHG:
		return MEMOP_SKEY;
	default:
		return MEMOP_CHECK_ONLY | MEMOP_SKEY;
	}
}

static int check_cmpxchg(const struct memop *op, struct err *e)
{
	if (op->size > 16 || (op->size & (op->size - 1)))
		return err_set(e, -EINVAL, "memop cmpxchg" WHY "%u bytes cannot be exchanged at once" TRY "1, 2, 4, 8 or 16",
			       op->size);
	if (op->gva & (op->size - 1))
		return err_set_at(e, -EINVAL, ERR_SPACE_GPA, op->gva,
				  "memop cmpxchg" WHY "gpa %#llx is not a multiple of %u" TRY "an aligned address",
				  (ull)op->gva, op->size);
	return 0;
}

static int check_memop(const struct memop *op, struct err *e)
{
	uint32_t unknown;

	if (op->op == MEMOP_SIDA_READ || op->op == MEMOP_SIDA_WRITE)
		return err_set(e, -EINVAL, "memop" WHY "operation %d is for protected s390 guests only" TRY "read or write",
			       op->op);
	if ((unsigned)op->op > MEMOP_ABSOLUTE_CMPXCHG)
		return err_set(e, -EINVAL, "memop" WHY "there is no operation %d" TRY "read or write", op->op);
	unknown = op->flags & ~flags_of(op->op);
	if (unknown)
		return err_set(e, -EINVAL, "memop" WHY "flags %#x: %#x cannot be given with operation %d" TRY "without them",
			       op->flags, unknown, op->op);
	if (!op->size)
		return err_set(e, -EINVAL, "memop" WHY "its size is 0" TRY "1 to %u bytes", MEMOP_MAX_SIZE);
	if (op->size > MEMOP_MAX_SIZE)
		return err_set(e, -E2BIG, "memop" WHY "%u bytes are too many" TRY "at most %u at once", op->size,
			       MEMOP_MAX_SIZE);
	if ((op->flags & MEMOP_SKEY) && op->key > 15)
		return err_set(e, -EINVAL, "memop" WHY "storage key %u has more than 4 bits" TRY "0 to 15", op->key);
	if (op->access_register > 15)
		return err_set(e, -EINVAL, "memop" WHY "there is no access register %u" TRY "0 to 15", op->access_register);
	if (range_wraps(op->gva, op->size))
		return err_set_at(e, -EINVAL, ERR_SPACE_GVA, op->gva,
				  "memop" WHY "%u bytes from %#llx run past 2^64" TRY "a lower address", op->size,
				  (ull)op->gva);
	return op->op == MEMOP_ABSOLUTE_CMPXCHG ? check_cmpxchg(op, e) : 0;
}

static int no_buffer(const struct memop *op, struct err *e)
{
	return err_set(e, -EFAULT, "memop" WHY "there is no buffer for %u bytes" TRY "a buffer, or only to check", op->size);
}

/* Does the access key refuse this page? Key 0 matches all; a page without fetch protection can be read with any. */
static bool key_refuses(const struct work *w, uint64_t gpa)
{
	uint8_t stored;

	if (!(w->op->flags & MEMOP_SKEY) || !w->op->key || !w->env->keys)
		return false;
	stored = storage_key_get(w->env->keys, gpa);
	return stored >> 4 != w->op->key && (w->write || (stored & 8));
}

static void protection_fault(const struct work *w, uint64_t address, struct memop_result *r)
{
	uint32_t code = PFERR_PRESENT | PFERR_PK;

	if (w->write)
		code |= PFERR_WRITE;
	if (w->access & ACCESS_USER)
		code |= PFERR_USER;
	r->protection = true;
	r->fault =
	    (struct guest_fault){.present = true, .vector = 14, .has_error = true, .error_code = code, .address = address};
	r->status = 14;
}

static int not_memory(const struct work *w, const struct xlate_io *io, struct err *e)
{
	return err_set_at(e, -EFAULT, ERR_SPACE_GPA, io->gpa, "memop %s gpa %#llx" WHY "%s" TRY "an address in %s memory",
			  w->write ? "write" : "read", (ull)io->gpa,
			  io->kind == IO_ROM ? "its slot is readonly" : "no slot covers it",
			  w->write ? "writable" : "a slot's");
}

/* Translate one page's part. 1: the guest's exception, in r. */
static int translate_part(struct work *w, uint64_t gva, uint32_t len, struct memop_result *r, struct err *e)
{
	struct part *p = &w->part[w->n];
	struct xlate_tlb tlb;
	int rc = gva_to_tlb(&w->env->x, gva, len, w->access, w->absolute, &tlb, e);

	if (rc)
		return rc;
	if (tlb.fault.present) {
		r->fault = tlb.fault;
		r->status = tlb.fault.vector;
		return 1;
	}
	rc = tlb_to_io(&w->env->x, &tlb, w->access, false, &p->io, e);
	if (rc)
		return rc;
	if (p->io.io[0].kind != IO_RAM || (w->write && !slot_in_place(p->io.io[0].slot, p->io.io[0].gpa)))
		return not_memory(w, &p->io.io[0], e);
	if (key_refuses(w, p->io.io[0].gpa)) {
		protection_fault(w, gva, r);
		return 1;
	}
	p->gva = gva;
	w->n++;
	return 0;
}

static int translate_all(struct work *w, struct memop_result *r, struct err *e)
{
	uint64_t gva = w->op->gva;
	uint32_t left = w->op->size;

	while (left) {
		uint32_t room = (uint32_t)(PAGE_SIZE_4K - (gva & PAGE_OFFSET_MASK));
		uint32_t len = left < room ? left : room;
		int rc = translate_part(w, gva, len, r, e);

		if (rc)
			return rc;
		gva += len;
		left -= len;
	}
	return 0;
}

#define EXCHANGE(type, at, old, new)                                                                                        \
	__atomic_compare_exchange_n((type *)(at), (type *)(old), *(const type *)(new), false, __ATOMIC_SEQ_CST,             \
				    __ATOMIC_SEQ_CST)

/* Old becomes what was found. 16 bytes rely on the walk lock alone. */
static bool compare_exchange(void *at, void *old, const void *new_value, unsigned size)
{
	switch (size) {
	case 1:
		return EXCHANGE(uint8_t, at, old, new_value);
	case 2:
		return EXCHANGE(uint16_t, at, old, new_value);
	case 4:
		return EXCHANGE(uint32_t, at, old, new_value);
	case 8:
		return EXCHANGE(uint64_t, at, old, new_value);
	default:
		break;
	}
	if (!memcmp(at, old, size)) {
		memcpy(at, new_value, size);
		return true;
	}
	memcpy(old, at, size);
	return false;
}

static void do_cmpxchg(struct work *w, struct memop_result *r)
{
	const struct xlate_io *io = &w->part[0].io.io[0];
	_Alignas(16) uint8_t old[16], fresh[16];

	memcpy(old, w->op->old, w->op->size);
	memcpy(fresh, w->op->buf, w->op->size);
	r->exchanged = compare_exchange(slot_in_place(io->slot, io->gpa), old, fresh, w->op->size);
	if (r->exchanged)
		slot_mark_dirty(io->slot, io->gpa, io->len, w->env->x.smm);
	memcpy(w->op->buf, old, w->op->size);
}

/* Tell the backend of what was written, in runs of guest physical memory. */
static int tell_written(const struct work *w, struct err *e)
{
	int rc = 0;

	for (unsigned i = 0; i < w->n && !rc && w->env->wrote;) {
		uint64_t gpa = w->part[i].io.io[0].gpa, len = 0;

		for (; i < w->n && w->part[i].io.io[0].gpa == gpa + len; i++)
			len += w->part[i].io.io[0].len;
		rc = w->env->wrote(w->env->ctx, gpa, len, e);
	}
	return rc;
}

static int move_bytes(struct work *w, struct memop_result *r, struct err *e)
{
	uint8_t *at = w->data;

	if (w->cmpxchg) {
		do_cmpxchg(w, r);
		return r->exchanged ? tell_written(w, e) : 0;
	}
	for (unsigned i = 0; i < w->n; i++) {
		const struct xlate_io *io = &w->part[i].io.io[0];
		int rc = run_iolist(&w->env->x, &w->part[i].io, at, e);

		if (rc)
			return rc;
		if (w->write)
			slot_mark_dirty(io->slot, io->gpa, io->len, w->env->x.smm);
		at += io->len;
	}
	if (!w->write)
		memcpy(w->op->buf, w->data, w->op->size);
	return w->write ? tell_written(w, e) : 0;
}

static int run_locked(struct work *w, struct memop_result *r, struct err *e)
{
	bool check_only = w->op->flags & MEMOP_CHECK_ONLY;
	int rc;

	if (w->env->lock)
		w->env->lock(w->env->ctx);
	rc = translate_all(w, r, e);
	if (!rc && !check_only && !w->op->buf)
		rc = no_buffer(w->op, e); /* a read notices when it copies out, after the guest's own faults */
	if (!rc && !check_only)
		rc = move_bytes(w, r, e);
	if (w->env->unlock)
		w->env->unlock(w->env->ctx);
	return rc;
}

static struct work *work_create(struct memop_env *env, const struct memop *op, unsigned cpl, struct err *e)
{
	struct work *w = calloc(1, sizeof(*w) + op->size);

	if (!w) {
		(void)err_nomem(e, "memop");
		return NULL;
	}
	w->env = env;
	w->op = op;
	w->write = is_write(op->op);
	w->absolute = is_absolute(op->op);
	w->cmpxchg = op->op == MEMOP_ABSOLUTE_CMPXCHG;
	w->access = w->write ? ACCESS_WRITE : ACCESS_READ;
	if (cpl == 3 && !w->absolute)
		w->access |= ACCESS_USER;
	return w;
}

int memop_run(struct memop_env *env, const struct memop *op, unsigned cpl, struct memop_result *out, struct err *e)
{
	struct memop_result r = {0};
	_cleanup_free_ struct work *w = NULL;
	int rc = check_memop(op, e);

	if (rc)
		return rc;
	w = work_create(env, op, cpl, e);
	if (!w)
		return -ENOMEM;
	if (w->write && !(op->flags & MEMOP_CHECK_ONLY)) {
		if (!op->buf || (w->cmpxchg && !op->old))
			return no_buffer(op, e);
		memcpy(w->data, op->buf, op->size);
	}
	rc = run_locked(w, &r, e);
	if (rc == 1 && (op->flags & MEMOP_INJECT) && env->inject)
		rc = env->inject(env->ctx, &r.fault, e);
	if (rc < 0)
		return rc;
	*out = r;
	return 0;
}
