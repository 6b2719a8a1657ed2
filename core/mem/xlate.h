/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The translation pipeline, one step at a time:
 *
 *     gva_to_tlb(gva, len, access)  →  at most two (gpa, len), or a guest fault
 *     tlb_to_io(tlb, atomic)        →  at most two I/O entries: slot memory, a ROM write, a device, an MMIO exit
 *     run_iolist(list, data)        →  the bytes move
 *
 * Each stage is whole before the next begins, so an access that faults on its second page has done nothing at all. Every
 * read, write, fetch, memop and debugger access of the soft backend goes through here; nothing else translates. Reads and
 * writes of READONLY slots differ: a read is memory, a write leaves as an MMIO exit.
 */
#ifndef KVMSCOPE_CORE_MEM_XLATE_H
#define KVMSCOPE_CORE_MEM_XLATE_H

#include "core/mem/memslot.h"
#include "core/mem/nested.h"

struct board;
struct gfn_cache;

/* Where an access is made: everything the pipeline needs, nothing else. */
struct xlate_env {
	struct paging pg;
	struct paging_mem mem;
	struct nested_mem nested; /* what mem is made of for a vCPU in L2 under nested tables: mem.ctx points to it */
	struct slot_table *slots;
	struct gfn_cache *cache; /* of the last page's slot, NULL: none is kept */
	bool smm;		 /* the vCPU is in system management mode */
	bool side_effects;	 /* set A/D bits, log dirty pages; false for the debugger */
	struct board *board;	 /* MMIO windows of devices; NULL: none */
	/* An access that leaves for user space (len 1 to 8, within a page). 0, or a negative errno that run_iolist hands on.
	 * NULL: reads give all ones, writes are dropped. */
	int (*mmio)(void *ctx, uint64_t gpa, unsigned len, void *data, bool write);
	void *mmio_ctx;
};

/* An environment over a slot table with these registers: mem reads and updates through the slots. It points to itself
 * (mem.ctx), so it is not to be copied. */
void xlate_env_init(struct xlate_env *env, struct slot_table *slots, const struct regs *r);

struct tlb_entry {
	uint64_t gpa;
	uint32_t len;
};

struct xlate_tlb {
	unsigned n;
	struct tlb_entry entry[2];
	struct guest_fault fault;
	struct walk walk; /* of the page that decided: the faulting one, else the last */
};

enum io_kind { IO_RAM, IO_ROM, IO_DEVICE, IO_MMIO };

struct xlate_io {
	enum io_kind kind;
	struct slot *slot; /* RAM and ROM; NULL for the others */
	uint64_t gpa;
	uint64_t page;	      /* page index in the slot; the gfn if there is none */
	uint32_t offset, len; /* within that page */
	const char *device;   /* name of the device's window, IO_DEVICE */
	int (*fn)(const struct xlate_env *env, const struct xlate_io *io, void *data, bool write);
};

struct xlate_iolist {
	unsigned n;
	struct xlate_io io[2];
	bool write;
};

/* phys: gva is a guest physical address already. 0 also with a guest fault. -EINVAL: len 0, over two pages, or wrapping
 * past the address space; -ENODATA: a table cannot be read now. */
int gva_to_tlb(const struct xlate_env *env, uint64_t gva, uint32_t len, unsigned access, bool phys, struct xlate_tlb *out,
	       struct err *e) MUST_USE;
/* atomic: refuse what would sleep or leave for user space (-EAGAIN, naming it). tlb must be without a fault. */
int tlb_to_io(const struct xlate_env *env, const struct xlate_tlb *tlb, unsigned access, bool atomic,
	      struct xlate_iolist *out, struct err *e) MUST_USE;
int run_iolist(const struct xlate_env *env, const struct xlate_iolist *list, void *data, struct err *e) MUST_USE;

/* Paging as the debugger's own accesses see it: as a supervisor whom neither SMAP nor protection keys stop. */
struct paging xlate_debug_paging(const struct xlate_env *env);

/* A range of guest virtual memory as runs that are contiguous in guest physical memory, for the debugger's own accesses:
 * rights do not matter, A/D bits stay. The sum of lengths is len. -EFAULT names the first address that does not translate,
 * -ENODATA the first table that cannot be read now; -EINVAL: the range wraps. */
struct xlate_run {
	uint64_t gva, gpa;
	size_t len;
};
struct xlate_runs {
	struct xlate_run *v;
	size_t n, cap;
};
int xlate_runs(const struct xlate_env *env, uint64_t gva, size_t len, bool write, struct xlate_runs *out,
	       struct err *e) MUST_USE;
void xlate_runs_free(struct xlate_runs *r);

const char *io_kind_name(enum io_kind k); /* "ram", "rom", "device", "mmio" */

#endif
