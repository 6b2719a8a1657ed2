/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Chains of sptes: a head word that is 0, the address of the only spte, or a descriptor with bit 0 set. Many chains are
 * read together: round r brings the r-th descriptor of each that has one, in batches. What is wrong with a chain is noted in
 * it and ends it: wild pointers, impossible counts, empty descriptors, loops.
 */
#include "kvmback/kernel/kview_impl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TAG_MANY 1ull
#define TAG_LOCK 2ull /* 6.18: the head is being changed */

static void corrupt(struct kchain *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void corrupt(struct kchain *c, const char *fmt, ...)
{
	va_list ap;

	c->next = 0;
	if (c->corrupt[0])
		return;
	va_start(ap, fmt);
	vsnprintf(c->corrupt, sizeof(c->corrupt), fmt, ap);
	va_end(ap);
}

void kchain_free(struct kchain *c)
{
	free(c->sptes);
	free(c->desc);
	memset(c, 0, sizeof(*c));
}

static void start(struct kchain *c)
{
	c->next = c->n = 0;
	if (!(c->head & ~TAG_LOCK))
		return;
	if (c->head & TAG_MANY) {
		c->next = c->head & ~(TAG_MANY | TAG_LOCK);
		if (!kmem_pointer(c->next))
			corrupt(c, "head %#llx points to no descriptor", (unsigned long long)c->head);
		return;
	}
	c->one = c->head & ~TAG_LOCK;
	if (!kmem_pointer(c->one)) {
		corrupt(c, "head %#llx is no spte's address", (unsigned long long)c->head);
		return;
	}
	c->n = 1;
}

static int room(struct kchain *c, size_t more, struct err *e)
{
	size_t cap = c->cap ? c->cap * 2 : 4;
	uint64_t *v;
	struct rmap_desc *d;

	while (cap < c->n + more)
		cap *= 2;
	if (c->cap < c->n + more) {
		v = realloc(c->sptes, cap * sizeof(*v));
		if (!v)
			return err_nomem(e, "reverse map");
		c->sptes = v;
		c->cap = cap;
	}
	if (c->n_desc < c->cap_desc)
		return 0;
	cap = c->cap_desc ? c->cap_desc * 2 : 1;
	d = realloc(c->desc, cap * sizeof(*d));
	if (!d)
		return err_nomem(e, "reverse map");
	c->desc = d;
	c->cap_desc = cap;
	return 0;
}

/* How many entries a descriptor says that it has. */
static uint64_t entries_used(const struct klayout *l, const void *raw)
{
	uint64_t n = 0, entry;

	if (l->desc != KDESC_SCAN)
		return klayout_num(&l->desc_count, raw);
	for (; n < l->desc_entries; n++) {
		memcpy(&entry, (const char *)raw + l->desc_sptes.off + n * 8, 8);
		if (!entry)
			break;
	}
	return n;
}

/* A loop is met where the descriptor noted at the last power of two comes again. */
static bool looped(struct kchain *c, uint64_t at)
{
	if (c->n_desc && at == c->check)
		return true;
	if (!(c->n_desc & (c->n_desc - 1)))
		c->check = at;
	return false;
}

static int take(struct kview *k, struct kchain *c, const char *raw, struct err *e)
{
	const struct klayout *l = k->l;
	uint64_t at = c->next, more = klayout_num(&l->desc_more, raw), used = entries_used(l, raw);
	unsigned long long where = at;
	uint32_t tail = (uint32_t)klayout_num(&l->desc_tail, raw);

	c->next = 0;
	if (used > l->desc_entries)
		return corrupt(c, "descriptor %#llx claims %llu sptes of at most %u", where, (unsigned long long)used,
			       l->desc_entries),
		       0;
	if (room(c, l->desc_entries, e) < 0)
		return -ENOMEM;
	if (looped(c, at))
		return corrupt(c, "descriptor %#llx comes a second time: the chain is a loop", where), 0;
	c->desc[c->n_desc++] = (struct rmap_desc){at, more, (unsigned)used, tail};
	if (!used)
		return corrupt(c, "descriptor %#llx is empty", where), 0;
	for (uint64_t i = 0; i < used; i++) {
		memcpy(&c->sptes[c->n], raw + l->desc_sptes.off + i * 8, 8);
		if (!kmem_pointer(c->sptes[c->n]))
			return corrupt(c, "entry %llu of descriptor %#llx is %#llx, no spte's address",
				       (unsigned long long)i, where, (unsigned long long)c->sptes[c->n]),
			       0;
		c->n++;
	}
	if (c->n > KVIEW_CHAIN_MAX)
		return corrupt(c, "more than %u sptes", KVIEW_CHAIN_MAX), 0;
	if (more && !kmem_pointer(more))
		return corrupt(c, "descriptor %#llx goes on at %#llx", where, (unsigned long long)more), 0;
	c->next = more;
	return 0;
}

/* With tail counts: the head's is what follows it, and every descriptor after the head is full. */
static void check_tail(const struct klayout *l, struct kchain *c)
{
	size_t after;

	if (l->desc != KDESC_HEAD || !c->n_desc || c->corrupt[0])
		return;
	after = c->n - c->desc[0].used;
	if (c->desc[0].tail_count != after)
		corrupt(c, "the head's tail_count is %u, %zu sptes follow", c->desc[0].tail_count, after);
	for (size_t i = 1; i < c->n_desc; i++)
		if (c->desc[i].used != l->desc_entries)
			corrupt(c, "descriptor %#llx after the head has %u sptes of %u",
				(unsigned long long)c->desc[i].address, c->desc[i].used, l->desc_entries);
}

struct round {
	struct kchain **chain;
	uint64_t *addr;
	char *raw;
	bool *ok;
};

static int one_round(struct kview *k, struct round *r, size_t n, struct err *e)
{
	int rc;

	for (size_t i = 0; i < n; i++)
		r->addr[i] = r->chain[i]->next;
	rc = kmem_gather(k->mem, r->addr, n, k->l->desc_size, r->raw, r->ok, e);
	for (size_t i = 0; !rc && i < n; i++)
		if (!r->ok[i])
			corrupt(r->chain[i], "descriptor %#llx cannot be read", (unsigned long long)r->addr[i]);
		else
			rc = take(k, r->chain[i], r->raw + i * k->l->desc_size, e);
	return rc;
}

/* Up to KMEM_GATHER chains to their ends. */
static int follow(struct kview *k, struct round *r, size_t n, struct err *e)
{
	int rc = 0;

	while (!rc && n) {
		size_t left = 0;

		rc = one_round(k, r, n, e);
		for (size_t i = 0; i < n; i++)
			if (r->chain[i]->next)
				r->chain[left++] = r->chain[i];
		n = left;
	}
	return rc;
}

int kchain_read(struct kview *k, struct kchain *v, size_t n, struct err *e)
{
	_cleanup_free_ char *raw = NULL;
	struct kchain *chain[KMEM_GATHER];
	uint64_t addr[KMEM_GATHER];
	bool ok[KMEM_GATHER];
	struct round r = {chain, addr, NULL, ok};
	size_t batch = 0;
	int rc = 0;

	for (size_t i = 0; !rc && i < n; i++) {
		start(&v[i]);
		if (v[i].next)
			chain[batch++] = &v[i];
		if (!batch || (batch < KMEM_GATHER && i + 1 < n))
			continue;
		if (!raw)
			raw = r.raw = malloc((size_t)KMEM_GATHER * k->l->desc_size);
		rc = raw ? follow(k, &r, batch, e) : err_nomem(e, "reverse map");
		batch = 0;
	}
	for (size_t i = 0; !rc && i < n; i++)
		check_tail(k->l, &v[i]);
	return rc;
}
