/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Storage keys: one byte a 4 KiB frame. x86 has none, so they are a model's: kept in chunks of 512 frames, sorted by
 * address, made when a key other than 0 is first set there.
 */
#include "core/mem/memop.h"

#include <errno.h>
#include <string.h>

#define CHUNK_FRAMES 512u

struct chunk {
	uint64_t number; /* gfn / CHUNK_FRAMES */
	uint8_t key[CHUNK_FRAMES];
};

struct storage_keys {
	struct chunk **v;
	size_t n, cap;
};

struct storage_keys *storage_keys_create(void)
{
	return calloc(1, sizeof(struct storage_keys));
}

void storage_keys_destroy(struct storage_keys *k)
{
	if (!k)
		return;
	for (size_t i = 0; i < k->n; i++)
		free(k->v[i]);
	free(k->v);
	free(k);
}

/* Where the chunk of this number is or would be. */
static size_t find_range(const struct storage_keys *k, uint64_t number)
{
	size_t lo = 0, hi = k->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (k->v[mid]->number < number)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct chunk *add_chunk(struct storage_keys *k, size_t at, uint64_t number)
{
	struct chunk *c;

	if (k->n == k->cap) {
		size_t cap = k->cap ? k->cap * 2 : 8;
		struct chunk **v = realloc(k->v, cap * sizeof(struct chunk *));

		if (!v)
			return NULL;
		k->v = v;
		k->cap = cap;
	}
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->number = number;
	memmove(k->v + at + 1, k->v + at, (k->n - at) * sizeof(*k->v));
	k->v[at] = c;
	k->n++;
	return c;
}

int storage_key_set(struct storage_keys *k, uint64_t gpa, uint8_t key, struct err *e)
{
	uint64_t gfn = gpa >> PAGE_SHIFT;
	size_t at = find_range(k, gfn / CHUNK_FRAMES);
	struct chunk *c = at < k->n && k->v[at]->number == gfn / CHUNK_FRAMES ? k->v[at] : NULL;

	if (key & 7)
		return err_set_at(e, -EINVAL, ERR_SPACE_GPA, gpa,
				  "set the storage key of gpa %#llx" WHY "%#x: bits 2:0 mean nothing here" TRY
				  "the key in bits 7:4, fetch protection in bit 3",
				  (unsigned long long)gpa, key);
	if (!c && !key)
		return 0;
	if (!c)
		c = add_chunk(k, at, gfn / CHUNK_FRAMES);
	if (!c)
		return err_nomem(e, "set a storage key");
	c->key[gfn % CHUNK_FRAMES] = key;
	return 0;
}

uint8_t storage_key_get(const struct storage_keys *k, uint64_t gpa)
{
	uint64_t gfn = gpa >> PAGE_SHIFT;
	size_t at = find_range(k, gfn / CHUNK_FRAMES);

	return at < k->n && k->v[at]->number == gfn / CHUNK_FRAMES ? k->v[at]->key[gfn % CHUNK_FRAMES] : 0;
}
