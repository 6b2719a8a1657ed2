/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Chains of sptes: a head word that is 0, the address of the only spte, or a descriptor with bit 0 set. Many chains are
 * read together: round r brings the r-th descriptor of each that has one, in batches. What is wrong with a chain is noted in
 * it and ends it: wild pointers, impossible counts, empty descriptors, loops. KVM changes them meanwhile: what has moved
 * while it was read is read again, and a chain is wrong only if it stays so.
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
	free(c->values);
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

/* ---- while they change */

/* Words that are read together: by one call of the reader, in this order, if there are no more than KMEM_GATHER. */
struct words {
	uint64_t addr[KMEM_GATHER], got[KMEM_GATHER], *to[KMEM_GATHER];
	bool ok[KMEM_GATHER];
	size_t n;
};

static int gather(struct kview *k, struct words *w, struct err *e)
{
	int rc = w->n ? kmem_gather(k->mem, w->addr, w->n, 8, w->got, w->ok, e) : 0;

	for (size_t i = 0; !rc && i < w->n; i++)
		*w->to[i] = w->ok[i] ? w->got[i] : 0;
	w->n = 0;
	return rc;
}

static int add_word(struct kview *k, struct words *w, uint64_t addr, uint64_t *to, struct err *e)
{
	w->addr[w->n] = addr;
	w->to[w->n++] = to;
	return w->n == KMEM_GATHER ? gather(k, w, e) : 0;
}

static bool is_many(const struct kchain *c)
{
	return c->head & TAG_MANY;
}

static int add_values(struct kview *k, struct words *w, struct kchain *c, struct err *e)
{
	int rc = 0;

	c->values = c->sptes ? calloc(c->n + 1, sizeof(*c->values)) : NULL;
	if (c->sptes && !c->values)
		return err_nomem(e, "reverse map");
	for (size_t i = 0; !rc && i < c->n; i++)
		rc = add_word(k, w, kchain_spte(c, i), c->values ? &c->values[i] : &c->value, e);
	return rc;
}

/* The sptes of each chain. Right behind a lone one its head, which says whose it is; of others the heads behind all. */
static int read_values(struct kview *k, const uint64_t *at, struct kchain *v, struct kchain *after, size_t n, bool values,
		       struct err *e)
{
	struct words w = {.n = 0};
	int rc = 0;

	for (size_t i = 0; !rc && i < n; i++) {
		if (values)
			rc = add_values(k, &w, &v[i], e);
		if (!rc && !is_many(&v[i]))
			rc = add_word(k, &w, at[i], &after[i].head, e);
	}
	if (!rc)
		rc = gather(k, &w, e);
	for (size_t i = 0; !rc && i < n; i++)
		if (is_many(&v[i]))
			rc = add_word(k, &w, at[i], &after[i].head, e);
	return rc ? rc : gather(k, &w, e);
}

/* Of those with descriptors once more: with them alone it cannot be seen that an spte was elsewhere in between. */
static int read_values_again(struct kview *k, struct kchain *after, size_t n, struct err *e)
{
	struct words w = {.n = 0};
	int rc = 0;

	for (size_t i = 0; !rc && i < n; i++)
		if (is_many(&after[i]) && !after[i].corrupt[0])
			rc = add_values(k, &w, &after[i], e);
	return rc ? rc : gather(k, &w, e);
}

static bool same_chain(const struct kchain *a, const struct kchain *b)
{
	if (a->head != b->head || a->n != b->n || a->n_desc != b->n_desc || strcmp(a->corrupt, b->corrupt) != 0)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (kchain_spte(a, i) != kchain_spte(b, i) || (b->values && kchain_value(a, i) != kchain_value(b, i)))
			return false;
	return true;
}

/* Chains that have been read: torn says of each whether it was another when it was looked at again. */
static int look_again(struct kview *k, const uint64_t *at, struct kchain *v, size_t n, bool values, struct err *e)
{
	_cleanup_free_ struct kchain *after = calloc(n, sizeof(*after));
	int rc = after ? read_values(k, at, v, after, n, values, e) : err_nomem(e, "reverse map");

	if (!rc)
		rc = kchain_read(k, after, n, e);
	if (!rc && values)
		rc = read_values_again(k, after, n, e);
	for (size_t i = 0; after && i < n; i++) {
		v[i].torn = !same_chain(&v[i], &after[i]) || v[i].head & TAG_LOCK;
		kchain_free(&after[i]);
	}
	return rc;
}

/* KVM takes an spte out of its chain behind clearing it, so one that maps nothing may be on its way. */
static bool maps_pages(const struct kview *k, const struct kchain *c, unsigned level)
{
	for (size_t i = 0; level && !c->corrupt[0] && i < c->n; i++)
		if (kspte_classify(&k->bits, kchain_value(c, i), level) != KSPTE_PRESENT ||
		    !kspte_leaf(kchain_value(c, i), level))
			return false;
	return true;
}

static int settle(struct kview *k, uint64_t at, struct kchain *c, unsigned level, struct err *e)
{
	bool moved = c->torn;
	int rc = 0;

	for (int try = 1; !rc && try < KVIEW_TRIES && (c->torn || !maps_pages(k, c, level)); try++) {
		uint64_t head = c->head;

		kchain_free(c);
		rc = kmem_u64(k->mem, at, &c->head, e);
		if (!rc)
			rc = kchain_read(k, c, 1, e);
		if (!rc)
			rc = look_again(k, &at, c, 1, level, e);
		moved |= c->torn || c->head != head;
	}
	c->torn |= moved && !maps_pages(k, c, level);
	if (c->torn)
		c->corrupt[0] = '\0'; /* moving, not broken */
	return rc;
}

int kchain_settle(struct kview *k, const uint64_t *at, struct kchain *v, size_t n, unsigned level, struct err *e)
{
	int rc = kchain_read(k, v, n, e);

	/* Few together, so that what is compared was read within some microseconds. */
	for (size_t from = 0, to, words; !rc && from < n; from = to) {
		for (to = from, words = 0; to < n && (to == from || words + v[to].n < KMEM_GATHER); to++)
			words += v[to].n + !is_many(&v[to]);
		rc = look_again(k, at + from, v + from, to - from, level, e);
	}
	for (size_t i = 0; !rc && i < n; i++)
		rc = settle(k, at[i], &v[i], level, e);
	return rc;
}
