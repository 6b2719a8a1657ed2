/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Memory for the shadow MMU's pages and reverse-map descriptors that can be saved and put back byte for byte, at the same
 * addresses: chunks that are never given back before the end, with all bookkeeping inside the saved bytes or in a struct
 * arena_mark that is saved with them.
 */
#ifndef KVMSCOPE_CORE_SOFT_MMU_ARENA_H
#define KVMSCOPE_CORE_SOFT_MMU_ARENA_H

#include "core/base/util.h"

#define ARENA_BLOCK 16384u /* bytes of one block, aligned to 4 KiB */
#define ARENA_NODE 64u	   /* bytes of one node */

/* What is in use; a copy of it and of the chunks' bytes is the whole state. */
struct arena_mark {
	size_t blocks; /* taken from chunks so far */
	void *free_block, *free_node;
};

struct arena {
	void **chunk;
	size_t n, cap; /* chunks that exist, whether in use or not */
};

/* Zeroed memory, NULL if there is none. */
void *arena_block(struct arena *a, struct arena_mark *m);
void *arena_node(struct arena *a, struct arena_mark *m);
void arena_block_free(struct arena_mark *m, void *block);
void arena_node_free(struct arena_mark *m, void *node);
void arena_deinit(struct arena *a); /* every chunk goes */
/* Each chunk that m says is in use; fn's first non-zero. */
int arena_each(const struct arena *a, const struct arena_mark *m, int (*fn)(void *ctx, void *at, size_t len), void *ctx);

#endif
