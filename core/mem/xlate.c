/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The pipeline: addresses become guest physical pages (gva_to_tlb), those become things that can take the access
 * (tlb_to_io), and only then do bytes move (run_iolist). A stage never looks back and never does part of the next, which
 * is why an access that faults on its second page, or that may not sleep, has done nothing at all when that is found out.
 *
 * The environment's guest memory for table walks is the slot table: tables may lie in any slot that the vCPU sees;
 * accessed and dirty bits are set by compare-and-swap and are themselves writes that a dirty log sees.
 */
#include "core/mem/xlate.h"

#include "core/board/board.h"
#include "core/mem/gfncache.h"

#include <errno.h>
#include <string.h>

typedef unsigned long long ull;

/* ---- guest memory for walks */

static int table_read(void *ctx, uint64_t gpa, unsigned size, uint64_t *entry)
{
	struct xlate_env *env = ctx;
	struct slot *s = slot_lookup(env->slots, gpa, env->smm, NULL);

	const void *at = s ? slot_in_place(s, gpa) : NULL;
	int rc = s ? 0 : -EFAULT;

	if (!at) {
		*entry = 0;
		if (!rc)
			rc = slots_read(env->slots, gpa, env->smm, entry, size, NULL);
		return rc && rc != -ENODATA ? -EFAULT : rc;
	}
	*entry = size == 4 ? __atomic_load_n((const uint32_t *)at, __ATOMIC_RELAXED)
			   : __atomic_load_n((const uint64_t *)at, __ATOMIC_RELAXED);
	return 0;
}

static const void *table_map(void *ctx, uint64_t gpa, size_t len)
{
	struct xlate_env *env = ctx;
	struct slot *s = slot_lookup(env->slots, gpa, env->smm, NULL);

	return s && len <= s->size - (gpa - s->gpa) ? slot_in_place(s, gpa) : NULL;
}

static int table_update(void *ctx, uint64_t gpa, unsigned size, uint64_t old, uint64_t new_entry)
{
	struct xlate_env *env = ctx;
	struct slot *s = slot_lookup(env->slots, gpa, env->smm, NULL);
	uint32_t old32 = (uint32_t)old;
	bool same;

	if (!s)
		return -EFAULT;
	void *at = slot_in_place(s, gpa);
	if (!at || (s->flags & SLOT_READONLY))
		return -EROFS;
	if (size == 4)
		same = __atomic_compare_exchange_n((uint32_t *)at, &old32, (uint32_t)new_entry, false, __ATOMIC_SEQ_CST,
						   __ATOMIC_RELAXED);
	else
		same =
		    __atomic_compare_exchange_n((uint64_t *)at, &old, new_entry, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	if (same)
		slot_mark_dirty(s, gpa, size, env->smm);
	return same ? 0 : 1;
}

void xlate_env_init(struct xlate_env *env, struct slot_table *slots, const struct regs *r)
{
	memset(env, 0, sizeof(*env));
	paging_from_regs(&env->pg, r);
	env->mem = (struct paging_mem){.ctx = env, .read = table_read, .update = table_update, .map = table_map};
	env->slots = slots;
	env->smm = r->smm;
	if (!r->nested.in || !r->nested.paging)
		return;
	nested_mem_init(&env->nested, &env->mem, &r->nested, 0);
	env->mem = nested_mem(&env->nested);
}

/* ---- gva to tlb */

static int check_length(uint64_t gva, uint32_t len, bool phys, struct err *e)
{
	enum err_space space = phys ? ERR_SPACE_GPA : ERR_SPACE_GVA;

	if (!len)
		return err_set_at(e, -EINVAL, space, gva,
				  "translate %#llx" WHY "its length is 0" TRY "a length of 1 or more", (ull)gva);
	if (range_wraps(gva, len))
		return err_set_at(e, -EINVAL, space, gva,
				  "translate %u bytes at %#llx" WHY "the range runs past the end of the address space" TRY
				  "at most %llu bytes there",
				  len, (ull)gva, (ull)(0 - gva));
	if ((gva & PAGE_OFFSET_MASK) + len > 2 * PAGE_SIZE_4K)
		return err_set_at(e, -EINVAL, space, gva,
				  "translate %u bytes at %#llx" WHY "one access touches at most two pages" TRY
				  "at most %llu bytes there",
				  len, (ull)gva, (ull)(2 * PAGE_SIZE_4K - (gva & PAGE_OFFSET_MASK)));
	return 0;
}

static bool translate_page(const struct xlate_env *env, uint64_t gva, unsigned access, bool phys, struct xlate_tlb *t,
			   uint64_t *gpa)
{
	if (phys) {
		*gpa = gva;
		return true;
	}
	paging_walk(&env->pg, &env->mem, gva, access, env->side_effects, &t->walk);
	*gpa = t->walk.gpa;
	return !t->walk.fault.present;
}

/* The second page, before anything of the first takes effect: its walk must not fault after the first has set A and D. */
static bool pages_translate(const struct xlate_env *env, uint64_t gva, uint64_t second, unsigned access, struct xlate_tlb *t)
{
	struct walk w;

	if (!env->side_effects)
		return true;
	paging_walk(&env->pg, &env->mem, gva, access, false, &w);
	if (!w.fault.present)
		paging_walk(&env->pg, &env->mem, second, access, false, &w);
	if (!w.fault.present)
		return true;
	t->walk = w;
	t->fault = w.fault;
	return false;
}

/* Not the guest's fault: what its tables say there is not known. */
static int table_unreadable(uint64_t gva, const struct walk *w, struct err *e)
{
	return err_set_at(e, -ENODATA, ERR_SPACE_GPA, w->nested || !w->n ? w->l2_gpa : w->step[w->n - 1].gpa,
			  "translate %#llx" WHY "%s" TRY "walk %#llx", (ull)gva, w->why, (ull)gva);
}

int gva_to_tlb(const struct xlate_env *env, uint64_t gva, uint32_t len, unsigned access, bool phys, struct xlate_tlb *out,
	       struct err *e)
{
	uint64_t room = PAGE_SIZE_4K - (gva & PAGE_OFFSET_MASK);
	struct xlate_tlb t = {0};
	int rc = check_length(gva, len, phys, e);

	if (rc)
		return rc;
	if (len > room && !phys && !pages_translate(env, gva, gva + room, access, &t)) {
		if (t.walk.unreadable)
			return table_unreadable(gva, &t.walk, e);
		*out = t;
		return 0;
	}
	while (len) {
		uint32_t part = len < room ? len : (uint32_t)room;
		uint64_t gpa;

		if (!translate_page(env, gva, access, phys, &t, &gpa)) {
			if (t.walk.unreadable)
				return table_unreadable(gva, &t.walk, e);
			t.n = 0;
			t.fault = t.walk.fault;
			break;
		}
		t.entry[t.n++] = (struct tlb_entry){.gpa = gpa, .len = part};
		gva += part;
		len -= part;
		room = PAGE_SIZE_4K;
	}
	*out = t;
	return 0;
}

/* ---- tlb to I/O */

static int io_ram(const struct xlate_env *env, const struct xlate_io *io, void *data, bool write)
{
	uint8_t *at = slot_in_place(io->slot, io->gpa);

	if (!at)
		return write ? -EROFS : slots_read(env->slots, io->gpa, env->smm, data, io->len, NULL);
	if (!write) {
		memcpy(data, at, io->len);
		return 0;
	}
	memcpy(at, data, io->len);
	if (env->side_effects)
		slot_mark_dirty(io->slot, io->gpa, io->len, env->smm);
	return 0;
}

/* What leaves for user space does so in pieces of at most 8 bytes. */
static int io_exit(const struct xlate_env *env, const struct xlate_io *io, void *data, bool write)
{
	uint8_t *at = data;
	uint32_t left = io->len;
	uint64_t gpa = io->gpa;
	int rc = 0;

	while (left && !rc) {
		unsigned chunk = left < 8 ? left : 8;

		if (env->mmio)
			rc = env->mmio(env->mmio_ctx, gpa, chunk, at, write);
		else if (!write)
			memset(at, 0xff, chunk);
		at += chunk;
		gpa += chunk;
		left -= chunk;
	}
	return rc;
}

/* Without somebody to take the exit, a device answers only if side effects are wanted. */
static int io_device(const struct xlate_env *env, const struct xlate_io *io, void *data, bool write)
{
	uint8_t *at = data;

	if (env->mmio || !env->side_effects)
		return io_exit(env, io, data, write);
	for (uint32_t done = 0; done < io->len;) {
		unsigned chunk = io->len - done < 8 ? io->len - done : 8;

		(void)board_mmio(env->board, io->gpa + done, chunk, at + done, write);
		done += chunk;
	}
	return 0;
}

static void classify_target(const struct xlate_env *env, const struct tlb_entry *t, bool write, struct xlate_io *io)
{
	struct slot *s = env->cache ? gfn_cache_slot(env->cache, env->slots, t->gpa, env->smm)
				    : slot_lookup(env->slots, t->gpa, env->smm, NULL);
	struct board_window *w;

	io->gpa = t->gpa;
	io->offset = t->gpa & PAGE_OFFSET_MASK;
	io->len = t->len;
	if (s) {
		bool rom = write && (s->flags & SLOT_READONLY);

		io->slot = s;
		io->page = (t->gpa - s->gpa) >> PAGE_SHIFT;
		io->kind = rom ? IO_ROM : IO_RAM;
		io->fn = rom ? io_exit : io_ram;
		return;
	}
	w = env->board ? board_window_at(env->board, t->gpa) : NULL;
	io->page = t->gpa >> PAGE_SHIFT;
	io->kind = w ? IO_DEVICE : IO_MMIO;
	io->device = w ? w->name : NULL;
	io->fn = w ? io_device : io_exit;
}

static int check_atomic(const struct xlate_io *io, struct err *e)
{
	if (io->kind == IO_ROM)
		return err_set_at(e, -EAGAIN, ERR_SPACE_GPA, io->gpa,
				  "atomic access to gpa %#llx" WHY "a write to readonly slot %u leaves for user space" TRY
				  "it without -atomic",
				  (ull)io->gpa, io->slot->id);
	if (io->kind != IO_RAM)
		return err_set_at(e, -EAGAIN, ERR_SPACE_GPA, io->gpa,
				  "atomic access to gpa %#llx" WHY "no slot covers it: %s%s leaves for user space" TRY
				  "it without -atomic",
				  (ull)io->gpa, io->device ? "device " : "MMIO", io->device ? io->device : "");
	if (!slot_in_place(io->slot, io->gpa))
		return err_set_at(e, -EAGAIN, ERR_SPACE_GPA, io->gpa,
				  "atomic access to gpa %#llx" WHY "slot %u is %s, which may sleep" TRY "it without -atomic",
				  (ull)io->gpa, io->slot->id, io->slot->file_backed ? "a file" : "read by a callback");
	return 0;
}

int tlb_to_io(const struct xlate_env *env, const struct xlate_tlb *tlb, unsigned access, bool atomic,
	      struct xlate_iolist *out, struct err *e)
{
	struct xlate_iolist list = {.write = (access & ACCESS_WRITE) != 0};

	if (tlb->fault.present || !tlb->n || tlb->n > 2)
		return err_set(e, -EINVAL, "make an I/O list" WHY "the translation has %s" TRY "only what translates",
			       tlb->fault.present ? "a guest fault" : "no entries");
	for (unsigned i = 0; i < tlb->n; i++) {
		struct xlate_io *io = &list.io[list.n++];
		int rc;

		classify_target(env, &tlb->entry[i], list.write, io);
		rc = atomic ? check_atomic(io, e) : 0;
		if (rc)
			return rc;
	}
	*out = list;
	return 0;
}

int run_iolist(const struct xlate_env *env, const struct xlate_iolist *list, void *data, struct err *e)
{
	uint8_t *at = data;

	for (unsigned i = 0; i < list->n; i++)
		if (list->write && list->io[i].kind == IO_RAM && !slot_in_place(list->io[i].slot, list->io[i].gpa))
			return err_set_at(e, -EFAULT, ERR_SPACE_GPA, list->io[i].gpa,
					  "write gpa %#llx" WHY "slot %u is %s, yet not readonly" TRY
					  "slot flags %u +readonly",
					  (ull)list->io[i].gpa, list->io[i].slot->id,
					  list->io[i].slot->file_backed ? "a file mapped for reading only"
									: "memory that can only be read",
					  list->io[i].slot->id);
	for (unsigned i = 0; i < list->n; i++) {
		const struct xlate_io *io = &list->io[i];
		int rc = io->fn(env, io, at, list->write);

		if (rc == -ENODATA && io->kind == IO_RAM)
			return slot_read(io->slot, io->gpa, at, io->len, e); /* once more, for its words */
		if (rc == -EIO && io->kind == IO_RAM && io->slot->file_backed)
			return err_set_at(e, rc, ERR_SPACE_GPA, io->gpa,
					  "read gpa %#llx" WHY "slot %u is a file that has been cut short before there" TRY
					  "slot del %u, then slot add with a file that is long enough",
					  (ull)io->gpa, io->slot->id, io->slot->id);
		if (rc)
			return err_set_at(
			    e, rc, ERR_SPACE_GPA, io->gpa, "%s gpa %#llx" WHY "the %s access ended with %s" TRY "info slots",
			    list->write ? "write" : "read", (ull)io->gpa, io_kind_name(io->kind), strerror(-rc));
		at += io->len;
	}
	return 0;
}

const char *io_kind_name(enum io_kind k)
{
	static const char *const name[] = {[IO_RAM] = "ram", [IO_ROM] = "rom", [IO_DEVICE] = "device", [IO_MMIO] = "mmio"};

	return (size_t)k < ARRAY_LEN(name) ? name[k] : "unknown";
}
