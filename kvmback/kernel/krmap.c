/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The view's reverse maps: of one gfn, of all, and how long the chains are. Arrays of heads are read whole, in large pieces;
 * the chains and sptes behind them a batch at a time, each looked at twice (kchain_settle()).
 */
#include "kvmback/kernel/kview_impl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HEADS_PER_READ 16384u /* 128 KiB: little enough to stay in the cache, and few page faults in a fresh buffer */

static uint64_t index_of(const struct kslot *s, uint64_t gfn, unsigned level)
{
	unsigned shift = 9 * (level - 1);

	return (gfn >> shift) - (s->base_gfn >> shift);
}

static uint64_t gfn_of(const struct kslot *s, uint64_t index, unsigned level)
{
	unsigned shift = 9 * (level - 1);
	uint64_t gfn = ((s->base_gfn >> shift) + index) << shift;

	return gfn < s->base_gfn ? s->base_gfn : gfn;
}

static void fill_spte(struct kview *k, const struct kpages *p, uint64_t sptep, uint64_t spte, unsigned level, uint64_t gfn,
		      struct spte_info *out)
{
	const struct kpage *page = kpages_by_spt(p, sptep & ~PAGE_OFFSET_MASK);

	memset(out, 0, sizeof(*out));
	kspte_decode(&k->bits, spte, level, out);
	out->gfn = gfn & ~((1ull << 9 * (level - 1)) - 1);
	out->gfn_known = true;
	out->sptep = sptep;
	out->index = sptep >> 3 & 511;
	out->source = SOURCE_KERNEL;
	out->page_gfn = page ? page->gfn : 0;
	out->torn = p->torn || !page || page->level != level;
}

/* Give the chain's pieces to a row; the chain is empty afterwards. */
static int into_row(struct kview *k, const struct kpages *p, struct kchain *c, struct rmap_info *row, struct err *e)
{
	row->head = c->head;
	row->kind = !c->head ? RMAP_EMPTY : c->head & 1 ? RMAP_MANY : RMAP_ONE;
	row->source = SOURCE_KERNEL;
	row->torn |= p->torn || c->torn;
	memcpy(row->corrupt, c->corrupt, strlen(c->corrupt) + 1);
	row->sptes = c->n ? malloc(c->n * sizeof(*row->sptes)) : NULL;
	if (c->n && !row->sptes)
		return err_nomem(e, "reverse map");
	row->n_sptes = c->n;
	for (size_t i = 0; i < c->n; i++) {
		fill_spte(k, p, kchain_spte(c, i), kchain_value(c, i), row->level, row->gfn, &row->sptes[i]);
		if ((!row->sptes[i].present || !row->sptes[i].leaf) && !row->corrupt[0] && !c->torn)
			snprintf(row->corrupt, sizeof(row->corrupt), "the spte at %#llx is %#llx: it maps no page",
				 (unsigned long long)row->sptes[i].sptep, (unsigned long long)kchain_value(c, i));
	}
	row->desc = c->desc;
	row->n_desc = c->n_desc;
	c->desc = NULL;
	return 0;
}

/* ---- one gfn */

static int add_gvas(struct kview *k, struct kpages *p, struct rmap_info *row, struct err *e)
{
	for (size_t i = 0; i < row->n_sptes; i++) {
		struct spte_info *s = &row->sptes[i];
		const struct kpage *page = kpages_by_spt(p, s->sptep & ~PAGE_OFFSET_MASK);
		struct kgva gva;
		int rc;

		if (!page)
			continue;
		struct knested nested = knested_of(k, p, page);
		s->guest_mode = page->guest_mode;
		if (k->host.tdp && !nested.is)
			continue;
		s->by_gpa = s->nested = nested.is;
		s->l1_root = nested.l1_root;
		rc = kwalk_gva(k, p, page, s->index, &gva, e);
		if (rc == -EFAULT)
			continue;
		if (rc)
			return rc;
		s->gva = gva.gva;
		s->gva_known = gva.n == 1 && !nested.is;
		s->nested &= gva.n == 1;
	}
	return 0;
}

static int read_row(struct kview *k, struct kpages *p, uint64_t at, struct rmap_info *row, struct err *e)
{
	struct kchain c = {0};
	int rc;

	if (!at) /* no array yet: a TDP MMU that shadows nothing */
		return row->source = SOURCE_KERNEL, 0;
	rc = kmem_u64(k->mem, at, &c.head, e);
	if (!rc)
		rc = kchain_settle(k, &at, &c, 1, row->level, e);
	if (!rc)
		rc = into_row(k, p, &c, row, e);
	kchain_free(&c);
	return rc ? rc : add_gvas(k, p, row, e);
}

static int rows_of_slot(struct kview *k, struct kpages *p, const struct kslot *s, uint64_t gfn, struct rmap_list *out,
			struct err *e)
{
	uint64_t rmap[4] = {0};
	int rc = kslots_rmap(k, s, rmap, e);

	for (unsigned level = 1; !rc && level <= k->l->slot_rmap.count; level++) {
		struct rmap_info *row = &out->v[out->n];
		uint64_t array = rmap[level - 1];

		memset(row, 0, sizeof(*row));
		row->gfn = gfn;
		row->slot = s->id;
		row->as = s->as;
		row->level = level;
		rc = read_row(k, p, kmem_pointer(array) ? array + index_of(s, gfn, level) * 8 : 0, row, e);
		if (level == 1 || row->kind != RMAP_EMPTY || rc)
			out->n++;
	}
	return rc;
}

int kview_rmap(struct kview *k, uint64_t gfn, struct rmap_list *out, struct err *e)
{
	const struct kslots *s;
	struct kpages p = {0};
	struct rmap_list list = {0};
	int rc = kslots_get(k, &s, e);

	if (!rc)
		rc = kpages_get(k, 0, &p, e);
	if (!rc) {
		list.v = calloc(2 * 4, sizeof(*list.v));
		rc = list.v ? 0 : err_nomem(e, "reverse map");
	}
	for (size_t i = 0; !rc && i < s->n; i++)
		if (gfn - s->v[i].base_gfn < s->v[i].npages && list.n + 4 <= 8)
			rc = rows_of_slot(k, &p, &s->v[i], gfn, &list, e);
	for (size_t i = 0; i < list.n; i++)
		list.v[i].torn |= (!rc && s->torn);
	kpages_free(&p);
	if (rc) {
		rmap_list_free(&list);
		return rc;
	}
	*out = list;
	return 0;
}

/* ---- all of them */

/* Some of the non-zero heads of one slot and level: chains are followed and turned into rows a batch at a time, so that
 * what is in between stays small. */
#define BATCH 1024u

struct heads {
	struct kchain chain[BATCH];
	uint64_t index[BATCH], at[BATCH]; /* in the array, and where that is */
	size_t n;
	uint64_t word[HEADS_PER_READ];
};

typedef int batch_fn(struct kview *k, const struct kslot *s, unsigned level, struct heads *h, bool torn, void *arg,
		     struct err *e);
struct each {
	/* Before the first batch of each slot and level that has pages: total is the number of its heads. NULL: not called.
	 */
	int (*begin)(const struct kslot *s, unsigned level, uint64_t total, bool torn, void *arg, struct err *e);
	batch_fn *batch;
	/* A head that is the address of its only spte, not kept for a batch. NULL: like all others. */
	int (*single)(const struct kslot *s, unsigned level, uint64_t index, uint64_t head, bool torn, void *arg);
	void *arg;
	bool values; /* of the sptes, too */
	bool torn;
};

static int flush(struct kview *k, const struct kslot *s, unsigned level, struct heads *h, const struct each *each,
		 struct err *e)
{
	int rc = kchain_settle(k, h->at, h->chain, h->n, each->values ? level : 0, e);

	if (!rc)
		rc = each->batch(k, s, level, h, each->torn, each->arg, e);
	for (size_t i = 0; i < h->n; i++)
		if (h->chain[i].sptes || h->chain[i].desc)
			kchain_free(&h->chain[i]);
	h->n = 0;
	return rc;
}

static int one_array(struct kview *k, const struct kslot *s, uint64_t array, unsigned level, struct heads *h,
		     const struct each *each, struct err *e)
{
	uint64_t total = index_of(s, s->base_gfn + s->npages - 1, level) + 1;
	int rc = each->begin ? each->begin(s, level, total, each->torn, each->arg, e) : 0;

	if (rc || !kmem_pointer(array))
		return rc;
	for (uint64_t at = 0; !rc && at < total; at += HEADS_PER_READ) {
		size_t n = total - at < HEADS_PER_READ ? total - at : HEADS_PER_READ;

		rc = kmem_read(k->mem, array + at * 8, h->word, n * 8, e);
		for (size_t i = 0; !rc && i < n; i++) {
			if (!h->word[i])
				continue;
			if (each->single && kmem_pointer(h->word[i])) {
				rc = each->single(s, level, at + i, h->word[i], each->torn, each->arg);
				continue;
			}
			h->chain[h->n] = (struct kchain){.head = h->word[i]};
			h->at[h->n] = array + (at + i) * 8;
			h->index[h->n++] = at + i;
			if (h->n == BATCH)
				rc = flush(k, s, level, h, each, e);
		}
	}
	return rc || !h->n ? rc : flush(k, s, level, h, each, e);
}

/* For each slot and level with pages: its heads, all chains followed. */
static int each_array(struct kview *k, const struct kslots *s, const struct each *each, struct err *e)
{
	_cleanup_free_ struct heads *h = malloc(sizeof(*h));
	int rc = h ? 0 : err_nomem(e, "reverse maps");

	if (h)
		h->n = 0;
	for (size_t i = 0; !rc && i < s->n; i++) {
		uint64_t rmap[4] = {0};

		rc = kslots_rmap(k, &s->v[i], rmap, e);
		for (unsigned level = 1; !rc && level <= k->l->slot_rmap.count; level++)
			rc = one_array(k, &s->v[i], rmap[level - 1], level, h, each, e);
	}
	return rc;
}

struct all {
	struct rmap_list list;
	size_t room;
	struct kpages pages;
};

/* Nothing maps it any more. */
static bool is_gone(const struct kchain *c)
{
	return !c->head && !c->torn;
}

static int add_rows(struct kview *k, const struct kslot *s, unsigned level, struct heads *h, bool torn, void *arg,
		    struct err *e)
{
	struct all *a = arg;
	int rc = 0;

	if (a->list.n + h->n > a->room) {
		size_t room = (a->list.n + h->n) * 2;
		struct rmap_info *v = realloc(a->list.v, room * sizeof(*v));

		if (!v)
			return err_nomem(e, "reverse maps");
		a->list.v = v;
		a->room = room;
	}
	for (size_t i = 0; !rc && i < h->n; i++) {
		if (is_gone(&h->chain[i]))
			continue;
		struct rmap_info *row = &a->list.v[a->list.n++];

		memset(row, 0, offsetof(struct rmap_info, corrupt) + 1);
		row->gfn = gfn_of(s, h->index[i], level);
		row->slot = s->id;
		row->as = s->as;
		row->level = level;
		row->torn = torn;
		rc = into_row(k, &a->pages, &h->chain[i], row, e);
	}
	return rc;
}

int kview_rmap_all(struct kview *k, struct rmap_list *out, struct err *e)
{
	const struct kslots *s;
	struct all a = {0};
	int rc = kslots_get(k, &s, e);

	if (!rc)
		rc = kpages_get(k, 0, &a.pages, e);
	if (!rc)
		rc = each_array(k, s, &(struct each){.batch = add_rows, .arg = &a, .values = true, .torn = s->torn}, e);
	kpages_free(&a.pages);
	if (rc) {
		rmap_list_free(&a.list);
		return rc;
	}
	*out = a.list;
	return 0;
}

struct visit {
	struct spte_info *sptes; /* of the row that is shown */
	size_t cap;
	struct rmap_info single; /* what rows of a single spte have in common is filled in already */
	int (*fn)(void *arg, const struct rmap_info *row);
	void *arg;
};

static int show_row(struct visit *v, const struct kslot *s, unsigned level, uint64_t index, const struct kchain *c,
		    bool torn)
{
	struct rmap_info row;

	memset(&row, 0, offsetof(struct rmap_info, corrupt) + 1);
	row.gfn = gfn_of(s, index, level);
	row.slot = s->id;
	row.as = s->as;
	row.level = level;
	row.head = c->head;
	row.kind = c->head & 1 ? RMAP_MANY : RMAP_ONE;
	row.source = SOURCE_KERNEL;
	row.torn = torn;
	row.sptes = v->sptes;
	row.n_sptes = c->n;
	for (size_t i = 0; i < c->n; i++)
		v->sptes[i].sptep = kchain_spte(c, i);
	return v->fn(v->arg, &row);
}

static int room_for(struct visit *v, size_t n, struct err *e)
{
	struct spte_info *more;

	if (n <= v->cap)
		return 0;
	more = calloc(n * 2, sizeof(*more));
	if (!more)
		return err_nomem(e, "reverse maps");
	free(v->sptes);
	v->sptes = more;
	v->cap = n * 2;
	return 0;
}

static int visit_rows(struct kview *k, const struct kslot *s, unsigned level, struct heads *h, bool torn, void *arg,
		      struct err *e)
{
	struct visit *v = arg;
	int rc = 0;

	(void)k;
	for (size_t i = 0; !rc && i < h->n; i++) {
		if (is_gone(&h->chain[i]))
			continue;
		rc = room_for(v, h->chain[i].n, e);
		if (!rc)
			rc = show_row(v, s, level, h->index[i], &h->chain[i], torn || h->chain[i].torn);
	}
	return rc;
}

/* Most heads are the address of their only spte: nothing has to be read for those. */
static int visit_single(const struct kslot *s, unsigned level, uint64_t index, uint64_t head, bool torn, void *arg)
{
	struct visit *v = arg;
	struct rmap_info *row = &v->single;

	row->gfn = gfn_of(s, index, level);
	row->slot = s->id;
	row->as = s->as;
	row->level = level;
	row->head = head;
	row->torn = torn;
	row->sptes = v->sptes;
	v->sptes[0].sptep = head;
	return v->fn(v->arg, row);
}

int kview_rmap_each(struct kview *k, int (*fn)(void *arg, const struct rmap_info *row), void *arg, struct err *e)
{
	const struct kslots *s;
	struct visit v = {.single = {.kind = RMAP_ONE, .n_sptes = 1, .source = SOURCE_KERNEL}, .fn = fn, .arg = arg};
	int rc = kslots_get(k, &s, e);

	if (!rc)
		rc = room_for(&v, 64, e);
	if (!rc)
		rc = each_array(k, s,
				&(struct each){.batch = visit_rows, .single = visit_single, .arg = &v, .torn = s->torn}, e);
	free(v.sptes);
	return rc;
}

static int begin_histogram(const struct kslot *s, unsigned level, uint64_t total, bool torn, void *arg, struct err *e)
{
	struct rmap_histogram_list *list = arg;
	struct rmap_histogram *v = realloc(list->v, (list->n + 1) * sizeof(*v));

	if (!v)
		return err_nomem(e, "reverse maps");
	list->v = v;
	v[list->n] =
	    (struct rmap_histogram){.slot = s->id, .as = s->as, .level = level, .source = SOURCE_KERNEL, .torn = torn};
	v[list->n++].counts[rmap_bucket(0)] = total;
	return 0;
}

static int add_histogram(struct kview *k, const struct kslot *s, unsigned level, struct heads *h, bool torn, void *arg,
			 struct err *e)
{
	struct rmap_histogram_list *list = arg;
	struct rmap_histogram *row = &list->v[list->n - 1];

	(void)k, (void)e;
	row->torn |= torn;
	row->counts[rmap_bucket(0)] -= h->n;
	for (size_t i = 0; i < h->n; i++) {
		row->counts[rmap_bucket(h->chain[i].n)]++;
		if (h->chain[i].n <= row->longest)
			continue;
		row->longest = h->chain[i].n;
		row->longest_gfn = gfn_of(s, h->index[i], level);
	}
	return 0;
}

int kview_rmap_histogram(struct kview *k, struct rmap_histogram_list *out, struct err *e)
{
	const struct kslots *s;
	struct rmap_histogram_list list = {0};
	int rc = kslots_get(k, &s, e);

	if (!rc)
		rc = each_array(
		    k, s, &(struct each){.begin = begin_histogram, .batch = add_histogram, .arg = &list, .torn = s->torn},
		    e);
	if (rc) {
		rmap_histogram_list_free(&list);
		return rc;
	}
	*out = list;
	return 0;
}
