/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a snapshot keeps, inside core/debug: sorted arrays of plain numbers, so that taking one costs little more than
 * reading the machine and a diff is one merge a part.
 */
#ifndef KVMSCOPE_CORE_DEBUG_SNAP_IMPL_H
#define KVMSCOPE_CORE_DEBUG_SNAP_IMPL_H

#include "core/base/value.h"
#include "core/debug/snap.h"

#define DIFF_PARTS (DIFF_MEMORY + 1)

/* By level descending, gfn, address: the order in which a walk meets them. */
struct snap_page {
	uint64_t gfn, address, spt;
	unsigned level, roots, sptes, mmio_sptes;
	uint8_t access;
	bool direct, smm, unsync, invalid, tdp;
};

/* Of the page with this index, in its order. */
struct snap_spte {
	uint32_t page;
	uint16_t index;
	bool mmio;
	uint64_t spte;
};

/* By address space, slot, level, gfn. */
struct snap_rmap {
	uint64_t gfn;
	uint32_t slot;
	uint16_t as, level;
	uint32_t first, n; /* in sptep */
};

struct snap_mem {
	uint64_t gfn, hash;
	bool smm;
};

struct snap {
	struct pool *pool;	 /* pages, sptes, rmaps, sptep live here */
	struct slot_info *slots; /* by address space and id, without the debugger's own */
	size_t n_slots;
	struct slot_info *own; /* those, each once */
	size_t n_own;
	struct snap_page *pages;
	size_t n_pages;
	struct snap_spte *sptes;
	size_t n_sptes;
	struct snap_rmap *rmaps;
	size_t n_rmaps, rmap_room;
	uint64_t *sptep;
	size_t n_sptep;
	struct mmio_info *mmio; /* by vCPU; their sptes are not kept */
	size_t n_mmio;
	struct regs *regs; /* by vCPU */
	size_t n_regs;
	struct snap_mem *mem; /* by gfn */
	size_t n_mem;
	bool torn;
	char missing[DIFF_PARTS][200]; /* "" where the part is there */
};

#endif
