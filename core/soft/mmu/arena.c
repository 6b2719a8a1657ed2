/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The arena: blocks out of chunks, nodes out of blocks, free ones chained through their first word.
 */
#include "core/soft/mmu/arena.h"

#include <string.h>
#include <sys/mman.h>

#define CHUNK_BLOCKS 16u
#define CHUNK_SIZE ((size_t)CHUNK_BLOCKS * ARENA_BLOCK)

static void *pop(void **list)
{
	void *at = *list;

	if (at)
		memcpy(list, at, sizeof(*list));
	return at;
}

static void push(void **list, void *at)
{
	memcpy(at, list, sizeof(*list));
	*list = at;
}

static int chunk_add(struct arena *a)
{
	void *at;

	if (a->n == a->cap) {
		size_t cap = a->cap ? a->cap * 2 : 16;
		void **grown = realloc(a->chunk, cap * sizeof(*grown));
		if (!grown)
			return -1;
		a->chunk = grown;
		a->cap = cap;
	}
	at = mmap(NULL, CHUNK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		return -1;
	a->chunk[a->n++] = at;
	return 0;
}

static void *block_raw(struct arena *a, struct arena_mark *m)
{
	void *at = pop(&m->free_block);

	if (at)
		return at;
	if (m->blocks / CHUNK_BLOCKS == a->n && chunk_add(a))
		return NULL;
	at = (char *)a->chunk[m->blocks / CHUNK_BLOCKS] + m->blocks % CHUNK_BLOCKS * ARENA_BLOCK;
	m->blocks++;
	return at;
}

void *arena_block(struct arena *a, struct arena_mark *m)
{
	void *at = block_raw(a, m);

	return at ? memset(at, 0, ARENA_BLOCK) : NULL;
}

void *arena_node(struct arena *a, struct arena_mark *m)
{
	if (!m->free_node) {
		char *block = block_raw(a, m);
		if (!block)
			return NULL;
		for (size_t i = ARENA_BLOCK / ARENA_NODE; i--;)
			push(&m->free_node, block + i * ARENA_NODE);
	}
	return memset(pop(&m->free_node), 0, ARENA_NODE);
}

void arena_block_free(struct arena_mark *m, void *block)
{
	push(&m->free_block, block);
}

void arena_node_free(struct arena_mark *m, void *node)
{
	push(&m->free_node, node);
}

void arena_deinit(struct arena *a)
{
	for (size_t i = 0; i < a->n; i++)
		munmap(a->chunk[i], CHUNK_SIZE);
	free(a->chunk);
	memset(a, 0, sizeof(*a));
}

int arena_each(const struct arena *a, const struct arena_mark *m, int (*fn)(void *ctx, void *at, size_t len), void *ctx)
{
	size_t used = (m->blocks + CHUNK_BLOCKS - 1) / CHUNK_BLOCKS;
	int rc = 0;

	for (size_t i = 0; !rc && i < used && i < a->n; i++)
		rc = fn(ctx, a->chunk[i], CHUNK_SIZE);
	return rc;
}
