/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Inside the cache of decoded blocks.   block_cache.c: which blocks there are   block_build.c: decoding new ones
 *					 block.c: running them
 *
 * A block is a straight run of instructions on one page, known by where it stands in host memory, by its rip (branch targets
 * are worked out at decoding) and by its width.
 */
#ifndef KVMSCOPE_CORE_SOFT_BLOCK_IMPL_H
#define KVMSCOPE_CORE_SOFT_BLOCK_IMPL_H

#include "core/soft/cpu.h"

#define BLOCK_SLOTS 8192
#define BLOCK_MAX_UOPS 48
#define BLOCK_MAX_BYTES 240
#define BLOCKS_MAX 32768
#define PAGE_BUCKETS 4096

struct block {
	const uint8_t *host; /* of its first byte */
	uint64_t rip;
	struct block *page_next; /* blocks of the same host page */
	uint16_t n;		 /* instructions */
	uint16_t bytes;
	uint8_t bits;
	bool dead;
	struct uop uop[]; /* n of them, and the end */
};

struct code_page {
	const uint8_t *host;
	struct block *blocks;
	struct code_page *next;
};

struct block_cache {
	struct block *slot[BLOCK_SLOTS];
	struct code_page *page[PAGE_BUCKETS];
	struct block *dead; /* they may still be running */
	unsigned n_blocks;
};

static inline unsigned block_slot(uint64_t rip, unsigned bits)
{
	return (unsigned)((rip ^ rip >> 13 ^ bits) & (BLOCK_SLOTS - 1));
}

/* 32-bit code wraps; 16-bit code runs into CS's limit at 64 KiB, where only jumps are cut to their operand size. */
static inline uint64_t block_wrap_rip(const struct soft_cpu *c, uint64_t rip)
{
	return c->code_bits == 64 ? rip : (uint32_t)rip;
}

/* ---- block_cache.c */
/* The page's blocks; NULL if memory is out. *fresh: there were none: from now on its writes have to be seen. */
struct code_page *block_cache_page(struct block_cache *b, const uint8_t *host, bool *fresh);
void block_cache_add(struct block_cache *b, struct code_page *p, struct block *k);
void block_cache_free_dead(struct block_cache *b); /* none of them runs */
/* Pseudo-instructions: behind a block's last (imm is where to go on); in place of each one of a block that is dead. */
uop_fn op_end, op_refetch;

/* ---- block_build.c: decode from c->rip and put it into the cache; NULL with an event raised. */
struct block *block_build(struct soft_cpu *c);

#endif
