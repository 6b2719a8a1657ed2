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
	struct slot *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->id = spec->id;
	s->vis = spec->vis ? spec->vis : spec->flags & SLOT_SMRAM ? SLOT_VIS_SMM : SLOT_VIS_BOTH;
	s->gpa = spec->gpa;
	s->size = spec->size;
	s->flags = spec->flags;
	s->own = spec->own;
	s->huge = spec->huge;
	s->fd = -1;
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
	free(t->view[0].by_gfn);
	free(t->view[1].by_gfn);
	memset(t, 0, sizeof(*t));
}

static int grow_one(struct slot ***array, size_t cap)
{
	struct slot **bigger = realloc(*array, cap * sizeof(struct slot *));

	if (!bigger)
		return -ENOMEM;
	*array = bigger;
	return 0;
}

/* Room for one more in all four arrays, so that nothing fails after the first is changed. */
static int make_room(struct slot_table *t, struct err *e)
{
	size_t cap = t->cap ? t->cap * 2 : 16;

	if (t->n < t->cap)
		return 0;
	if (grow_one(&t->by_gfn, cap) || grow_one(&t->by_id, cap) || grow_one(&t->view[0].by_gfn, cap) ||
	    grow_one(&t->view[1].by_gfn, cap))
		return err_nomem(e, "add a slot to the table");
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

static void put(struct slot **v, size_t *n, struct slot *s, bool (*before)(const struct slot *, const struct slot *))
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
}

/* By identity, not by order: the slot's address may have changed already. */
static bool drop(struct slot **v, size_t *n, const struct slot *s)
{
	for (size_t i = 0; i < *n; i++) {
		if (v[i] != s)
			continue;
		memmove(v + i, v + i + 1, (*n - i - 1) * sizeof(*v));
		(*n)--;
		return true;
	}
	return false;
}

static void put_all(struct slot_table *t, struct slot *s)
{
	size_t n_id = t->n;

	put(t->by_id, &n_id, s, id_before);
	put(t->by_gfn, &t->n, s, gfn_before);
	for (int smm = 0; smm < 2; smm++)
		if (slot_visible(s, smm))
			put(t->view[smm].by_gfn, &t->view[smm].n, s, gfn_before);
	t->view[0].last_hit = t->view[1].last_hit = 0;
}

static bool drop_all(struct slot_table *t, const struct slot *s)
{
	size_t n_id = t->n;

	if (!drop(t->by_id, &n_id, s))
		return false;
	drop(t->by_gfn, &t->n, s);
	for (int smm = 0; smm < 2; smm++)
		drop(t->view[smm].by_gfn, &t->view[smm].n, s);
	t->view[0].last_hit = t->view[1].last_hit = 0;
	return true;
}

int slot_table_insert(struct slot_table *t, struct slot *s, struct err *e)
{
	int rc = make_room(t, e);

	if (!rc)
		put_all(t, s);
	return rc;
}

struct slot *slot_table_remove(struct slot_table *t, struct slot *s)
{
	return drop_all(t, s) ? s : NULL;
}

static bool in_order(const struct slot_table *t)
{
	for (size_t i = 1; i < t->n; i++)
		if (!gfn_before(t->by_gfn[i - 1], t->by_gfn[i]))
			return false;
	return true;
}

static bool views_match(const struct slot_table *t)
{
	size_t n[2] = {0, 0};

	for (size_t i = 0; i < t->n; i++)
		for (int smm = 0; smm < 2; smm++)
			if (slot_visible(t->by_gfn[i], smm) &&
			    (n[smm] >= t->view[smm].n || t->view[smm].by_gfn[n[smm]++] != t->by_gfn[i]))
				return false;
	return n[0] == t->view[0].n && n[1] == t->view[1].n;
}

void slot_table_resort(struct slot_table *t)
{
	size_t n = t->n;

	if (in_order(t) && views_match(t))
		return;
	t->n = t->view[0].n = t->view[1].n = 0;
	/* by_id keeps its order while the others are rebuilt from it. */
	for (size_t i = 0; i < n; i++) {
		struct slot *s = t->by_id[i];

		put(t->by_gfn, &t->n, s, gfn_before);
		for (int smm = 0; smm < 2; smm++)
			if (slot_visible(s, smm))
				put(t->view[smm].by_gfn, &t->view[smm].n, s, gfn_before);
	}
	t->view[0].last_hit = t->view[1].last_hit = 0;
}

void slot_table_begin(struct slot_table *t)
{
	t->generation |= SLOT_GENERATION_UPDATE;
}

void slot_table_end(struct slot_table *t, unsigned bumps)
{
	t->generation = (t->generation & ~SLOT_GENERATION_UPDATE) + (uint64_t)bumps * t->limits.address_spaces;
}

static struct slot *view_lookup(struct slot_view *v, uint64_t gpa)
{
	size_t lo = 0, hi = v->n;

	if (v->last_hit < v->n && slot_contains(v->by_gfn[v->last_hit], gpa))
		return v->by_gfn[v->last_hit];
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (v->by_gfn[mid]->gpa <= gpa)
			hi = mid;
		else
			lo = mid + 1;
	}
	if (lo == v->n || !slot_contains(v->by_gfn[lo], gpa))
		return NULL;
	v->last_hit = lo;
	return v->by_gfn[lo];
}

struct slot *slot_lookup(struct slot_table *t, uint64_t gpa, bool smm, struct slot **found)
{
	struct slot *s = view_lookup(&t->view[smm], gpa);

	if (found)
		*found = s ? s : view_lookup(&t->view[!smm], gpa);
	return s;
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
