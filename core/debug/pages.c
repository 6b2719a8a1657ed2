/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The store of shared pages: a hash table by content, each page counted. Which pages of a range exist is asked of mincore();
 * it does not tell a page in swap from none, so where the host has something in swap every page is read.
 */
#include "core/debug/pages.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>

#define BUCKETS_MIN 1024
#define WINDOW 65536u /* pages asked for at once */

struct stored_page {
	struct stored_page *next;
	uint64_t hash;
	uint64_t refs;
	uint8_t bytes[PAGE_SIZE_4K];
};

struct page_store {
	struct stored_page **bucket;
	size_t buckets, n;
};

int page_store_create(struct page_store **out, struct err *e)
{
	struct page_store *s = calloc(1, sizeof(*s));

	if (s)
		s->bucket = calloc(BUCKETS_MIN, sizeof(struct stored_page *));
	if (!s || !s->bucket) {
		free(s);
		return err_nomem(e, "store of pages");
	}
	s->buckets = BUCKETS_MIN;
	*out = s;
	return 0;
}

void page_store_destroy(struct page_store *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->buckets; i++)
		for (struct stored_page *p = s->bucket[i], *next; p; p = next) {
			next = p->next;
			free(p);
		}
	free(s->bucket);
	free(s);
}

size_t page_store_bytes(const struct page_store *s)
{
	return s->n * sizeof(struct stored_page) + s->buckets * sizeof(struct stored_page *);
}

static uint64_t hash_bytes(const uint8_t *page)
{
	uint64_t lane[4] = {1, 2, 3, 4}, word[4];

	for (size_t i = 0; i < PAGE_SIZE_4K; i += sizeof(word)) {
		memcpy(word, page + i, sizeof(word));
		for (int j = 0; j < 4; j++) {
			lane[j] = (lane[j] ^ word[j]) * 0x9e3779b97f4a7c15ull;
			lane[j] ^= lane[j] >> 32;
		}
	}
	return lane[0] ^ lane[1] << 1 ^ lane[2] << 2 ^ lane[3] << 3;
}

/* A table that stays small only makes chains longer. */
static void grow(struct page_store *s)
{
	size_t buckets = s->buckets * 4;
	struct stored_page **bigger = calloc(buckets, sizeof(struct stored_page *));

	if (!bigger)
		return;
	for (size_t i = 0; i < s->buckets; i++)
		for (struct stored_page *p = s->bucket[i], *next; p; p = next) {
			next = p->next;
			p->next = bigger[p->hash & (buckets - 1)];
			bigger[p->hash & (buckets - 1)] = p;
		}
	free(s->bucket);
	s->bucket = bigger;
	s->buckets = buckets;
}

static struct stored_page *store_page(struct page_store *s, const uint8_t *bytes)
{
	uint64_t hash = hash_bytes(bytes);
	struct stored_page *p;

	for (p = s->bucket[hash & (s->buckets - 1)]; p; p = p->next)
		if (p->hash == hash && !memcmp(p->bytes, bytes, PAGE_SIZE_4K)) {
			p->refs++;
			return p;
		}
	p = malloc(sizeof(*p));
	if (!p)
		return NULL;
	if (s->n >= s->buckets * 2)
		grow(s);
	p->hash = hash;
	p->refs = 1;
	memcpy(p->bytes, bytes, PAGE_SIZE_4K);
	p->next = s->bucket[hash & (s->buckets - 1)];
	s->bucket[hash & (s->buckets - 1)] = p;
	s->n++;
	return p;
}

static void drop(struct page_store *s, struct stored_page *p)
{
	struct stored_page **at = &s->bucket[p->hash & (s->buckets - 1)];

	if (--p->refs)
		return;
	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	free(p);
	s->n--;
}

/* ---- which pages exist */

static bool swapping(void)
{
	struct sysinfo i;

	return sysinfo(&i) || i.totalswap != i.freeswap;
}

/* One byte a page of the window that begins at this page: bit 0 set if it may hold something. */
static void window_present(const uint8_t *at, size_t first, size_t n, bool ask, unsigned char *present)
{
	if (!ask || mincore((void *)(uintptr_t)(at + first * PAGE_SIZE_4K), n * PAGE_SIZE_4K, present))
		memset(present, 1, n);
}

static bool can_ask(const uint8_t *at, size_t len)
{
	return !((uintptr_t)at & PAGE_OFFSET_MASK) && len >= 4 * PAGE_SIZE_4K && !swapping();
}

static bool is_zero(const uint8_t *page)
{
	return !page[0] && !memcmp(page, page + 1, PAGE_SIZE_4K - 1);
}

/* A page of the range; the last one padded in buf. */
static const uint8_t *page_at(const uint8_t *at, size_t len, size_t index, uint8_t buf[PAGE_SIZE_4K])
{
	size_t from = index * PAGE_SIZE_4K;

	if (len - from >= PAGE_SIZE_4K)
		return at + from;
	memset(buf, 0, PAGE_SIZE_4K);
	return memcpy(buf, at + from, len - from);
}

/* Walk the pages that may not be zero now, and those that were not in c (which may be NULL): fn gets the page's bytes now
 * (NULL: none exists) and the kept one (NULL: none). */
typedef int visit_fn(void *ctx, size_t index, const uint8_t *now, struct stored_page *was);

static int visit_window(const uint8_t *at, size_t len, size_t first, size_t n, const unsigned char *present,
			const struct memory_copy *c, size_t *k, visit_fn *fn, void *ctx)
{
	uint8_t buf[PAGE_SIZE_4K];
	int rc = 0;

	for (size_t i = first; !rc && i < first + n; i++) {
		struct stored_page *was = c && *k < c->n && c->index[*k] == i ? c->page[(*k)++] : NULL;
		if (was || present[i - first] & 1)
			rc = fn(ctx, i, present[i - first] & 1 ? page_at(at, len, i, buf) : NULL, was);
	}
	return rc;
}

static int visit(const uint8_t *at, size_t len, const struct memory_copy *c, visit_fn *fn, void *ctx, struct err *e)
{
	size_t pages = (len + PAGE_OFFSET_MASK) / PAGE_SIZE_4K, window = pages < WINDOW ? pages : WINDOW, k = 0;
	_cleanup_free_ unsigned char *present = malloc(window + 1);
	bool ask = can_ask(at, len);
	int rc = present ? 0 : err_nomem(e, "copy of memory");

	for (size_t first = 0; !rc && first < pages; first += window) {
		size_t n = pages - first < window ? pages - first : window;
		window_present(at, first, n, ask, present);
		rc = visit_window(at, len, first, n, present, c, &k, fn, ctx);
	}
	return rc;
}

/* ---- taking */

struct taking {
	struct page_store *store;
	struct memory_copy *out;
	size_t cap;
};

static int take_room(struct taking *t)
{
	size_t cap = t->cap ? t->cap * 2 : 16;
	uint32_t *index;
	struct stored_page **page;

	if (t->out->n < t->cap)
		return 0;
	index = realloc(t->out->index, cap * sizeof(*index));
	if (index)
		t->out->index = index;
	page = realloc(t->out->page, cap * sizeof(*page));
	if (page)
		t->out->page = page;
	if (!index || !page)
		return -ENOMEM;
	t->cap = cap;
	return 0;
}

static int take_page(void *ctx, size_t index, const uint8_t *now, struct stored_page *was)
{
	struct taking *t = ctx;
	struct stored_page *p = was;

	if (!now || (!(was && !memcmp(was->bytes, now, PAGE_SIZE_4K)) && is_zero(now)))
		return 0;
	if (take_room(t))
		return -ENOMEM;
	if (was && !memcmp(was->bytes, now, PAGE_SIZE_4K))
		p->refs++;
	else
		p = store_page(t->store, now);
	if (!p)
		return -ENOMEM;
	t->out->index[t->out->n] = (uint32_t)index;
	t->out->page[t->out->n++] = p;
	return 0;
}

int memory_copy_take(struct page_store *s, const void *at, size_t len, const struct memory_copy *base,
		     struct memory_copy *out, struct err *e)
{
	struct memory_copy c = {.len = len};
	struct taking t = {.store = s, .out = &c};
	int rc = visit(at, len, base && base->len == len ? base : NULL, take_page, &t, e);

	if (rc) {
		memory_copy_drop(s, &c);
		return err_nomem(e, "copy of memory");
	}
	*out = c;
	return 0;
}

void memory_copy_drop(struct page_store *s, struct memory_copy *c)
{
	for (size_t i = 0; i < c->n; i++)
		drop(s, c->page[i]);
	free(c->index);
	free(c->page);
	memset(c, 0, sizeof(*c));
}

/* ---- putting back */

struct differing {
	int (*fn)(void *ctx, uint64_t index, const uint8_t *bytes);
	void *ctx;
};

static int differ(void *ctx, size_t index, const uint8_t *now, struct stored_page *was)
{
	const struct differing *d = ctx;

	if (was ? now && !memcmp(now, was->bytes, PAGE_SIZE_4K) : is_zero(now))
		return 0;
	return d->fn(d->ctx, index, was ? was->bytes : NULL);
}

int memory_copy_differences(const struct memory_copy *c, const void *at,
			    int (*fn)(void *ctx, uint64_t index, const uint8_t *bytes), void *ctx, struct err *e)
{
	struct differing d = {fn, ctx};

	return visit(at, c->len, c, differ, &d, e);
}

struct putting {
	uint8_t *at;
	size_t len;
};

static int put_page(void *ctx, uint64_t index, const uint8_t *bytes)
{
	const struct putting *p = ctx;
	size_t from = index * PAGE_SIZE_4K, n = p->len - from < PAGE_SIZE_4K ? p->len - from : PAGE_SIZE_4K;

	if (bytes)
		memcpy(p->at + from, bytes, n);
	else
		memset(p->at + from, 0, n);
	return 0;
}

int memory_copy_put(const struct memory_copy *c, void *at, struct err *e)
{
	struct putting p = {at, c->len};

	return memory_copy_differences(c, at, put_page, &p, e);
}
