/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The value tree and its arena: blocks of doubling size, bump allocation, one free.
 */
#include "core/base/value.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define BLOCK_MAX ((size_t)4 << 20)
#define BLOCK_MAPPED ((size_t)2 << 20) /* from here on blocks are mappings, a multiple of this long */

struct block {
	struct block *next;
	size_t used, size;
	bool mapped;
	_Alignas(16) char bytes[];
};

struct pool {
	struct block *blocks;
	bool failed;
};

/* The exponent of the power of two that holds n entries, at least 4. */
static uint8_t room(size_t n)
{
	uint8_t log2 = 2;

	while (((size_t)1 << log2) < n)
		log2++;
	return log2;
}

struct pool *pool_create(void)
{
	return calloc(1, sizeof(struct pool));
}

static void free_block(struct block *b)
{
	if (b->mapped)
		munmap(b, sizeof(*b) + b->size);
	else
		free(b);
}

void pool_destroy(struct pool *p)
{
	if (!p)
		return;
	for (struct block *b = p->blocks, *next; b; b = next) {
		next = b->next;
		free_block(b);
	}
	free(p);
}

void pool_reset(struct pool *p)
{
	struct block *b = p->blocks;

	p->failed = false;
	if (!b)
		return;
	while (b->next) {
		struct block *next = b->next;
		free_block(b);
		b = next;
	}
	memset(b->bytes, 0, b->used);
	b->used = 0;
	p->blocks = b;
}

bool pool_failed(const struct pool *p)
{
	return p->failed;
}

/* A list of 100,000 rows takes tens of MiB once: most of the time would go into a page fault for every 4 KiB of them. */
static struct block *map_block(size_t total)
{
	struct block *b = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (b == MAP_FAILED)
		return NULL;
	madvise(b, total, MADV_HUGEPAGE);
	b->mapped = true;
	return b;
}

static struct block *new_block(struct pool *p, size_t need)
{
	size_t total = p->blocks ? (sizeof(struct block) + p->blocks->size) * 2 : 4096;

	if (total > BLOCK_MAX)
		total = BLOCK_MAX;
	if (total < sizeof(struct block) + need)
		total = sizeof(struct block) + need;
	if (total >= BLOCK_MAPPED)
		total = (total + BLOCK_MAPPED - 1) & ~(BLOCK_MAPPED - 1);
	struct block *b = total >= BLOCK_MAPPED ? map_block(total) : calloc(1, total);
	if (!b) {
		p->failed = true;
		return NULL;
	}
	b->size = total - sizeof(*b);
	b->next = p->blocks;
	p->blocks = b;
	return b;
}

struct pool *pool_create_sized(size_t size)
{
	struct pool *p = pool_create();

	if (p && !new_block(p, size)) {
		pool_destroy(p);
		return NULL;
	}
	return p;
}

void *pool_alloc(struct pool *p, size_t size)
{
	struct block *b = p->blocks;

	if (p->failed || size > SIZE_MAX / 2) {
		p->failed = true;
		return NULL;
	}
	size = (size + 15) & ~(size_t)15;
	if (!b || b->size - b->used < size)
		b = new_block(p, size);
	if (!b)
		return NULL;
	void *at = b->bytes + b->used;
	b->used += size;
	return at;
}

const char *pool_strdup(struct pool *p, const char *s)
{
	size_t len = strlen(s) + 1;
	char *copy = pool_alloc(p, len);

	return copy ? memcpy(copy, s, len) : "";
}

struct value v_lit(const char *s)
{
	return (struct value){.type = VALUE_STR, .n = (uint32_t)strlen(s), .str = s};
}

struct value v_str(struct pool *p, const char *s)
{
	return s ? v_lit(pool_strdup(p, s)) : v_null();
}

struct value v_strf(struct pool *p, const char *fmt, ...)
{
	va_list ap, again;

	va_start(ap, fmt);
	va_copy(again, ap);
	int len = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	char *s = len < 0 ? NULL : pool_alloc(p, (size_t)len + 1);
	if (s)
		vsnprintf(s, (size_t)len + 1, fmt, again);
	va_end(again);
	return v_lit(s ? s : "");
}

struct value v_bytes(struct pool *p, const void *bytes, size_t len)
{
	static const char digit[] = "0123456789abcdef";
	const uint8_t *in = bytes;
	char *s = pool_alloc(p, 2 * len + 1);

	if (!s)
		return v_null();
	for (size_t i = 0; i < len; i++) {
		s[2 * i] = digit[in[i] >> 4];
		s[2 * i + 1] = digit[in[i] & 15];
	}
	return (struct value){.type = VALUE_STR, .n = (uint32_t)(2 * len), .str = s};
}

struct value v_na(struct pool *p, const char *reason)
{
	struct value v = v_str(p, reason);

	v.type = VALUE_NA;
	return v;
}

static struct value container(struct pool *p, enum value_type type, size_t cap, size_t entry)
{
	struct value v = {.type = (uint8_t)type};

	if (cap) {
		v.cap_log2 = room(cap);
		v.items = pool_alloc(p, entry << v.cap_log2);
	}
	return v;
}

struct value v_list(struct pool *p, size_t cap)
{
	return container(p, VALUE_LIST, cap, sizeof(struct value));
}

struct value v_dict(struct pool *p, size_t cap)
{
	return container(p, VALUE_DICT, cap, sizeof(struct field));
}

struct value v_dict_of(struct pool *p, const struct field *fields, uint32_t n)
{
	struct value v = {.type = VALUE_DICT};

	v.fields = n ? pool_alloc(p, n * sizeof(*fields)) : NULL;
	if (!v.fields)
		return v;
	memcpy(v.fields, fields, n * sizeof(*fields));
	v.n = n;
	/* The power of two at or below n: one more entry finds no room and moves. */
	v.cap_log2 = (uint8_t)(31 - __builtin_clz(n));
	return v;
}

/* Makes room for one more entry of a container; false if memory is out. */
static bool make_room(struct pool *p, struct value *v, size_t entry)
{
	if (v->items && v->n < ((uint32_t)1 << v->cap_log2))
		return true;
	uint8_t log2 = room((size_t)v->n + 1);
	void *at = pool_alloc(p, entry << log2);
	if (!at)
		return false;
	if (v->n)
		memcpy(at, v->items, v->n * entry);
	v->items = at;
	v->cap_log2 = log2;
	return true;
}

void v_push(struct pool *p, struct value *list, struct value item)
{
	if (make_room(p, list, sizeof(item)))
		list->items[list->n++] = item;
}

void v_put(struct pool *p, struct value *dict, const char *key, struct value item)
{
	if (make_room(p, dict, sizeof(struct field)))
		dict->fields[dict->n++] = (struct field){key, item};
}

const struct value *v_get(const struct value *dict, const char *key)
{
	if (dict->type != VALUE_DICT)
		return NULL;
	for (uint32_t i = 0; i < dict->n; i++)
		if (!strcmp(dict->fields[i].key, key))
			return &dict->fields[i].value;
	return NULL;
}

static bool list_equal(const struct value *a, const struct value *b)
{
	for (uint32_t i = 0; i < a->n; i++)
		if (!v_equal(&a->items[i], &b->items[i]))
			return false;
	return true;
}

static bool dict_equal(const struct value *a, const struct value *b)
{
	for (uint32_t i = 0; i < a->n; i++)
		if (strcmp(a->fields[i].key, b->fields[i].key) || !v_equal(&a->fields[i].value, &b->fields[i].value))
			return false;
	return true;
}

bool v_equal(const struct value *a, const struct value *b)
{
	if (a->type != b->type)
		return false;
	switch ((enum value_type)a->type) {
	case VALUE_NULL:
		return true;
	case VALUE_BOOL:
	case VALUE_INT:
	case VALUE_HEX:
		return a->hex == b->hex;
	case VALUE_STR:
	case VALUE_REAL:
	case VALUE_NA:
		return a->n == b->n && !memcmp(a->str, b->str, a->n);
	case VALUE_LIST:
		return a->n == b->n && list_equal(a, b);
	case VALUE_DICT:
		return a->n == b->n && dict_equal(a, b);
	}
	return false;
}
