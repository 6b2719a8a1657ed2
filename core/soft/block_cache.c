/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Which blocks there are. When a page with code is written, each of its instructions is turned into OP_refetch, so that even
 * a block that overwrites itself goes on with the new bytes at the next instruction. TLB entries of such pages never allow
 * direct writes, so no write is missed.
 */
#include "core/soft/block_impl.h"

struct block_cache *block_cache_create(void)
{
	return calloc(1, sizeof(struct block_cache));
}

static const uint8_t *page_start(const uint8_t *host)
{
	return (const uint8_t *)((uintptr_t)host & ~(uintptr_t)PAGE_OFFSET_MASK);
}

static struct code_page **page_bucket(const struct block_cache *b, const uint8_t *page)
{
	return (struct code_page **)&b->page[((uintptr_t)page >> PAGE_SHIFT) & (PAGE_BUCKETS - 1)];
}

static struct code_page *page_find(const struct block_cache *b, const uint8_t *page)
{
	struct code_page *p = *page_bucket(b, page);

	while (p && p->host != page)
		p = p->next;
	return p;
}

bool block_page_has_code(const struct block_cache *b, const uint8_t *host_page)
{
	return page_find(b, host_page) != NULL;
}

const struct uop *op_end(struct soft_cpu *c, const struct uop *u)
{
	c->rip = u->imm;
	return NULL;
}

const struct uop *op_refetch(struct soft_cpu *c, const struct uop *u)
{
	c->rip = uop_rip(c, u);
	c->refetched = true;
	return NULL;
}

static void block_kill(struct block_cache *b, struct block *k)
{
	struct block **at = &b->slot[block_slot(k->rip, k->bits)];

	if (*at == k)
		*at = NULL;
	for (unsigned i = 0; i <= k->n; i++) {
		k->uop[i].fn = op_refetch;
		k->uop[i].done = (uint8_t)i;
	}
	k->dead = true;
	k->page_next = b->dead;
	b->dead = k;
	b->n_blocks--;
}

void block_cache_free_dead(struct block_cache *b)
{
	for (struct block *k = b->dead, *next; k; k = next) {
		next = k->page_next;
		free(k);
	}
	b->dead = NULL;
}

static void page_drop(struct block_cache *b, struct code_page *p)
{
	struct code_page **at = page_bucket(b, p->host);

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	for (struct block *k = p->blocks, *next; k; k = next) {
		next = k->page_next;
		block_kill(b, k);
	}
	free(p);
}

void block_cache_written(struct block_cache *b, const uint8_t *host_page)
{
	struct code_page *p = page_find(b, page_start(host_page));

	if (p)
		page_drop(b, p);
}

/* A translation has gone that the rest of the block may have been fetched by: step by step it would be fetched anew. */
void block_cut(struct soft_cpu *c)
{
	struct block *k = c->running, **at;

	if (!k || k->dead)
		return;
	at = &page_find(c->blocks, page_start(k->host))->blocks;
	while (*at != k)
		at = &(*at)->page_next;
	*at = k->page_next;
	block_kill(c->blocks, k);
}

void block_cache_flush(struct block_cache *b)
{
	for (unsigned i = 0; i < PAGE_BUCKETS; i++)
		while (b->page[i])
			page_drop(b, b->page[i]);
}

void block_cache_destroy(struct block_cache *b)
{
	if (!b)
		return;
	block_cache_flush(b);
	block_cache_free_dead(b);
	free(b);
}

struct code_page *block_cache_page(struct block_cache *b, const uint8_t *host, bool *fresh)
{
	const uint8_t *page = page_start(host);
	struct code_page *p = page_find(b, page), **bucket = page_bucket(b, page);

	*fresh = !p;
	if (p)
		return p;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->host = page;
	p->next = *bucket;
	*bucket = p;
	return p;
}

void block_cache_add(struct block_cache *b, struct code_page *p, struct block *k)
{
	k->page_next = p->blocks;
	p->blocks = k;
	b->n_blocks++;
	b->slot[block_slot(k->rip, k->bits)] = k;
}
