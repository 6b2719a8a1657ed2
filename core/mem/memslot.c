/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The slot table: four arrays of the same slots, by address, by id, and by address for what is seen outside and inside
 * SMM. Changes are rare and move memory; lookups are a hint and a binary search. The rules for changes are in slotcheck.c,
 * bytes and bitmaps in slotmem.c.
 */
#include "core/mem/memslot.h"

#include <errno.h>
#include <string.h>

void slot_limits_default(struct slot_limits *l)
{
	if (!l->max_slots)
		l->max_slots = 32764;
	if (!l->max_pages)
		l->max_pages = SLOT_MAX_PAGES;
	if (!l->gpa_limit)
		l->gpa_limit = 1ull << 52;
	if (!l->address_spaces)
		l->address_spaces = 1;
	if (!l->hva_limit)
		l->hva_limit = 0x7ffffffff000ull;
}

void slot_table_init(struct slot_table *t)
{
	memset(t, 0, sizeof(*t));
	slot_limits_default(&t->limits);
}

struct slot *slot_new(const struct slot_spec *spec)
{
	static uint64_t serial;
	struct slot *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->id = spec->id;
	s->serial = ++serial;
	s->vis = spec->vis ? spec->vis : spec->flags & SLOT_SMRAM ? SLOT_VIS_SMM : SLOT_VIS_BOTH;
	s->gpa = spec->gpa;
	s->size = spec->size;
	s->flags = spec->flags;
	s->own = spec->own;
	s->huge = spec->huge;
	s->guest_memfd = spec->guest_memfd;
	s->fd = s->memfd = -1;
	return s;
}

void slot_free(struct slot *s)
{
	if (!s)
		return;
	slot_log_stop(s);
	free(s);
}

void slot_table_deinit(struct slot_table *t)
{
	for (size_t i = 0; i < t->n; i++)
		slot_free(t->by_gfn[i]);
	free(t->by_gfn);
	free(t->by_id);
	for (int smm = 0; smm < 2; smm++) {
		free(t->view[smm].by_gfn);
		free(t->view[smm].base);
		free(t->view[smm].size);
		free(t->view[smm].hint);
	}
	memset(t, 0, sizeof(*t));
}

static bool grow_slots(struct slot ***array, size_t cap)
{
	struct slot **bigger = realloc(*array, cap * sizeof(struct slot *));

	if (bigger)
		*array = bigger;
	return bigger;
}

static bool grow_words(uint64_t **array, size_t cap)
{
	uint64_t *bigger = realloc(*array, cap * sizeof(uint64_t));

	if (bigger)
		*array = bigger;
	return bigger;
}

static bool grow_view(struct slot_view *v, size_t cap)
{
	return grow_words(&v->base, cap) && grow_words(&v->size, cap) && grow_slots(&v->by_gfn, cap);
}

/* Room for one more in every array, so that nothing fails after the first is changed. */
static int make_room(struct slot_table *t, uint32_t id, struct err *e)
{
	size_t cap = t->cap ? t->cap * 2 : 16;

	if (t->n < t->cap)
		return 0;
	if (!grow_slots(&t->by_gfn, cap) || !grow_slots(&t->by_id, cap) || !grow_view(&t->view[0], cap) ||
	    !grow_view(&t->view[1], cap))
		return err_set(e, -ENOMEM,
			       "slot %u" WHY "no memory for the slot table, which has %zu slots" TRY
			       "slot del of one that is not needed",
			       id, t->n);
	t->cap = cap;
	return 0;
}

static bool gfn_before(const struct slot *a, const struct slot *b)
{
	if (a->gpa != b->gpa)
		return a->gpa > b->gpa;
	return a->vis != b->vis ? a->vis == SLOT_VIS_NONSMM : a->id < b->id;
}

static bool id_before(const struct slot *a, const struct slot *b)
{
	return a->id < b->id;
}

/* Where it went. */
static size_t array_insert(struct slot **v, size_t *n, struct slot *s,
			   bool (*before)(const struct slot *, const struct slot *))
{
	size_t lo = 0, hi = *n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (before(v[mid], s))
			lo = mid + 1;
		else
			hi = mid;
	}
	memmove(v + lo + 1, v + lo, (*n - lo) * sizeof(*v));
	v[lo] = s;
	(*n)++;
	return lo;
}

/* By identity, not by order: the slot's address may have changed already. Where it was; *n for nowhere. */
static size_t array_remove(struct slot **v, size_t *n, const struct slot *s)
{
	size_t i = 0;

	while (i < *n && v[i] != s)
		i++;
	if (i == *n)
		return i;
	memmove(v + i, v + i + 1, (*n - i - 1) * sizeof(*v));
	(*n)--;
	return i;
}

static void view_put(struct slot_view *v, struct slot *s)
{
	size_t n = v->n, at = array_insert(v->by_gfn, &v->n, s, gfn_before);

	memmove(v->base + at + 1, v->base + at, (n - at) * sizeof(*v->base));
	memmove(v->size + at + 1, v->size + at, (n - at) * sizeof(*v->size));
	v->base[at] = s->gpa;
	v->size[at] = s->size;
	v->last_hit = 0;
	v->hint_stale = true;
}

static void view_drop(struct slot_view *v, const struct slot *s)
{
	size_t n = v->n, at = array_remove(v->by_gfn, &v->n, s);

	if (v->n == n)
		return;
	memmove(v->base + at, v->base + at + 1, (n - at - 1) * sizeof(*v->base));
	memmove(v->size + at, v->size + at + 1, (n - at - 1) * sizeof(*v->size));
	v->last_hit = 0;
	v->hint_stale = true;
}

static void put_by_gfn(struct slot_table *t, struct slot *s)
{
	array_insert(t->by_gfn, &t->n, s, gfn_before);
	for (int smm = 0; smm < 2; smm++)
		if (slot_visible(s, smm))
			view_put(&t->view[smm], s);
}

int slot_table_insert(struct slot_table *t, struct slot *s, struct err *e)
{
	size_t n = t->n;
	int rc = make_room(t, s->id, e);

	if (rc)
		return rc;
	array_insert(t->by_id, &n, s, id_before);
	put_by_gfn(t, s);
	return 0;
}

struct slot *slot_table_remove(struct slot_table *t, struct slot *s)
{
	size_t n = t->n;

	array_remove(t->by_id, &n, s);
	if (n == t->n)
		return NULL;
	array_remove(t->by_gfn, &t->n, s);
	view_drop(&t->view[0], s);
	view_drop(&t->view[1], s);
	return s;
}

static bool in_order(const struct slot_table *t)
{
	size_t n[2] = {0, 0};

	for (size_t i = 0; i < t->n; i++) {
		const struct slot *s = t->by_gfn[i];

		if (i && !gfn_before(t->by_gfn[i - 1], s))
			return false;
		for (int smm = 0; smm < 2; smm++) {
			const struct slot_view *v = &t->view[smm];

			if (!slot_visible(s, smm))
				continue;
			if (n[smm] >= v->n || v->by_gfn[n[smm]] != s || v->base[n[smm]] != s->gpa)
				return false;
			n[smm]++;
		}
	}
	return n[0] == t->view[0].n && n[1] == t->view[1].n;
}

void slot_table_resort(struct slot_table *t)
{
	size_t n = t->n;

	if (in_order(t))
		return;
	t->n = t->view[0].n = t->view[1].n = 0;
	for (size_t i = 0; i < n; i++) /* by_id keeps its order while the others are made anew from it */
		put_by_gfn(t, t->by_id[i]);
	t->view[0].last_hit = t->view[1].last_hit = 0;
	t->view[0].hint_stale = t->view[1].hint_stale = true;
}

void slot_table_begin(struct slot_table *t)
{
	t->generation |= SLOT_GENERATION_UPDATE;
}

void slot_table_end(struct slot_table *t, unsigned bumps)
{
	t->generation = (t->generation & ~SLOT_GENERATION_UPDATE) + (uint64_t)bumps * t->limits.address_spaces;
}

/* The first slot at or behind `at`, of the n there, that begins at or below gpa: half of the rest is skipped without a
 * branch to mispredict. */
static size_t search_from(const struct slot_view *v, size_t at, size_t n, uint64_t gpa)
{
	while (n > 1) {
		size_t half = n / 2;

		at += half & -(size_t)(v->base[at + half - 1] > gpa);
		n -= half;
	}
	return at + (n && v->base[at] > gpa);
}

/* Parts of the range up to the highest slot's begin. Without memory for them searches do without. */
static void make_hints(struct slot_view *v)
{
	size_t parts = (size_t)1 << SLOT_HINT_BITS;
	unsigned bits = 64 - (unsigned)__builtin_clzll(v->base[0] | 1);

	v->hint_stale = false;
	if (!v->hint)
		v->hint = malloc((parts + 1) * sizeof(*v->hint));
	if (!v->hint)
		return;
	v->hint_shift = bits > SLOT_HINT_BITS ? bits - SLOT_HINT_BITS : 0;
	for (size_t p = 0, at = v->n; p <= parts; p++) {
		uint64_t end =
		    p << v->hint_shift; /* first address of part p; the last word is for what lies above all slots */
		while (at && v->base[at - 1] < end)
			at--;
		v->hint[p] = (uint32_t)at;
	}
}

/* hint[p] is how many slots begin at or above part p, so those of part p itself are hint[p + 1] … hint[p] - 1. */
static size_t view_search(struct slot_view *v, uint64_t gpa)
{
	uint64_t part;

	if (v->n < SLOT_HINT_FROM)
		return search_from(v, 0, v->n, gpa);
	if (v->hint_stale)
		make_hints(v);
	part = gpa >> v->hint_shift;
	if (!v->hint || part >> SLOT_HINT_BITS)
		return search_from(v, 0, v->n, gpa);
	size_t first = v->hint[part + 1], end = v->hint[part];
	return search_from(v, first, end - first + (end < v->n), gpa);
}

static struct slot *view_lookup(struct slot_view *v, uint64_t gpa)
{
	size_t at = v->last_hit;

	if (at < v->n && gpa - v->base[at] < v->size[at])
		return v->by_gfn[at];
	at = view_search(v, gpa);
	if (at == v->n || gpa - v->base[at] >= v->size[at])
		return NULL;
	v->last_hit = at;
	return v->by_gfn[at];
}

struct slot *slot_lookup(struct slot_table *t, uint64_t gpa, bool smm, struct slot **found)
{
	struct slot *s = view_lookup(&t->view[smm], gpa);

	if (found)
		*found = s ? s : view_lookup(&t->view[!smm], gpa);
	return s;
}

struct slot *slot_by_hva(const struct slot_table *t, uint64_t hva)
{
	for (size_t i = 0; i < t->n; i++)
		if (hva - t->by_gfn[i]->hva < t->by_gfn[i]->size)
			return t->by_gfn[i];
	return NULL;
}

struct slot *slot_by_id(const struct slot_table *t, uint32_t id)
{
	size_t lo = 0, hi = t->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (t->by_id[mid]->id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < t->n && t->by_id[lo]->id == id ? t->by_id[lo] : NULL;
}
