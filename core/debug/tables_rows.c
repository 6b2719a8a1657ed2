/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Rows of the trees as they are seen. Each node knows how many rows there are in it and below, each entry how many of its
 * node come before it: so a row is found by its number, or by its address, in a few binary searches, and opening or closing
 * a table costs what the tables on the way to it have of entries, however much is open.
 */
#include "core/debug/tables_impl.h"

#include <string.h>

void node_destroy(struct table_node *n)
{
	if (!n)
		return;
	for (unsigned i = 0; i < n->n; i++)
		node_destroy(n->v[i].child);
	free(n->v);
	free(n);
}

void node_count(struct table_node *n)
{
	n->rows = n->disagreeing = 0;
	for (unsigned i = 0; i < n->n; i++) {
		struct table_entry *v = &n->v[i];

		v->at = (uint32_t)n->rows;
		n->rows += 1 + (v->child ? v->child->rows : 0);
		n->disagreeing += ((v->marks & TREES_DISAGREE) != 0) + (v->child ? v->child->disagreeing : 0);
	}
}

void node_count_up(struct table_node *n)
{
	for (; n; n = n->parent)
		node_count(n);
}

uint64_t tree_linear(const struct table_tree *tree, uint64_t addr)
{
	return tree->bits && tree->bits < 64 ? addr & ((1ull << tree->bits) - 1) : addr;
}

uint64_t tree_address(const struct table_tree *tree, uint64_t addr)
{
	if (tree->by_gpa || tree->bits < 48 || tree->bits > 63)
		return addr;
	return addr >> (tree->bits - 1) & 1 ? addr | ~0ull << tree->bits : addr;
}

struct table_entry *node_find(const struct table_trees *t, const struct table_node *n, uint64_t addr)
{
	uint64_t index = (addr - n->base) >> node_tier(t, n)->shift;
	unsigned low = 0, high = n->n;

	while (low < high) {
		unsigned mid = low + (high - low) / 2;

		if (n->v[mid].index < index)
			low = mid + 1;
		else
			high = mid;
	}
	return low < n->n && n->v[low].index == index ? &n->v[low] : NULL;
}

/* ---- by number */

struct position {
	struct table_node *n;
	struct table_entry *v;
	unsigned depth;
};

/* The last entry of n at or before row i of it. */
static struct table_entry *entry_before(const struct table_node *n, size_t i)
{
	unsigned low = 0, high = n->n;

	while (high - low > 1) {
		unsigned mid = low + (high - low) / 2;

		if (n->v[mid].at <= i)
			low = mid;
		else
			high = mid;
	}
	return &n->v[low];
}

static bool position_of(const struct table_trees *t, size_t i, struct position *out)
{
	struct table_node *n = t->top;

	if (i >= n->rows)
		return false;
	for (out->depth = 0;; out->depth++) {
		struct table_entry *v = entry_before(n, i);

		*out = (struct position){n, v, out->depth};
		if (v->at == i)
			return true;
		i -= v->at + 1u;
		n = v->child;
	}
}

static size_t number_of(const struct table_node *n, const struct table_entry *v)
{
	size_t i = v->at;

	for (; n->parent; n = n->parent)
		i += n->parent->v[n->parent_entry].at + 1u;
	return i;
}

size_t trees_count(const struct table_trees *t)
{
	return t->top->rows;
}

bool trees_parent(const struct table_trees *t, size_t i, size_t *parent)
{
	struct position p;

	if (!position_of(t, i, &p) || is_root(p.n))
		return false;
	*parent = number_of(p.n->parent, &p.n->parent->v[p.n->parent_entry]);
	return true;
}

static void root_row(const struct table_trees *t, unsigned tree, struct trees_row *out)
{
	const struct table_tree *tr = &t->tree[tree];

	out->by_gpa = tr->by_gpa;
	out->has_guest = !tr->by_gpa;
	out->entry = t->about.cr3;
	out->gpa = tr->guest.gpa;
	out->guest_level = tr->guest.kind == GUEST_TABLE ? tr->tier[tr->guest.tier].guest : 0;
	out->last = !tr->by_gpa && (!tr->bits || tr->bits >= 48) ? UINT64_MAX : (1ull << tr->bits) - 1;
}

static void entry_row(const struct table_trees *t, const struct table_node *n, const struct table_entry *v,
		      struct trees_row *out)
{
	const struct table_tree *tree = &t->tree[n->tree];
	const struct tier *st = node_tier(t, n);
	struct guest_at g = guest_of_entry(t, n, v);

	out->by_gpa = tree->by_gpa;
	out->first = tree_address(tree, entry_address(t, n, v));
	out->last = out->first + ((1ull << st->shift) - 1);
	out->guest_level = st->guest;
	out->host_level = st->host;
	out->has_guest = v->present;
	out->guest_leaf = g.kind == GUEST_PAGE;
	out->entry = v->entry;
	out->gpa = v->present ? guest_entry_gpa(t, n, v) : 0;
	out->entry_rights = v->present ? guest_entry_rights(t, n, v) : 0;
	out->rights = v->present ? g.rights : 0;
	out->spte = v->spte == NO_SPTE ? NULL : &t->sptes.v[v->spte];
}

bool trees_row(const struct table_trees *t, size_t i, struct trees_row *out)
{
	struct position p;

	if (!position_of(t, i, &p))
		return false;
	*out = (struct trees_row){.depth = p.depth,
				  .foldable = p.v->foldable,
				  .open = p.v->child != NULL,
				  .table = p.v->child ? p.v->child->table : TREES_READ,
				  .marks = p.v->marks,
				  .why = p.v->why,
				  .slot = p.v->slot};
	if (is_root(p.n))
		root_row(t, p.v->index, out);
	else
		entry_row(t, p.n, p.v, out);
	return true;
}

/* ---- by address */

static int tree_of(const struct table_trees *t, bool by_gpa)
{
	for (unsigned i = 0; i < t->top->n; i++)
		if (t->tree[i].by_gpa == by_gpa && t->tree[i].n_tiers)
			return (int)i;
	return -1;
}

bool trees_find(const struct table_trees *t, bool by_gpa, uint64_t addr, size_t *i, bool *exact)
{
	int which = tree_of(t, by_gpa);
	const struct table_node *n = t->top;
	const struct table_entry *v, *next;
	uint64_t linear;

	if (which < 0)
		return false;
	linear = tree_linear(&t->tree[which], addr);
	if (tree_address(&t->tree[which], linear) != addr)
		return false;
	for (v = &n->v[which]; v->child && (next = node_find(t, v->child, linear)); v = next)
		n = v->child;
	*i = number_of(n, v);
	if (exact)
		*exact = !v->foldable || v->child;
	return true;
}

/* ---- by mark */

/* The first row of n with one of the marks whose number in n is from or more. A node without any that disagree is not looked
 * into for those. */
static bool next_in(const struct table_node *n, size_t from, uint32_t marks, size_t *next)
{
	if (!n->n || (!(marks & ~(uint32_t)TREES_DISAGREE) && !n->disagreeing))
		return false;
	for (const struct table_entry *v = entry_before(n, from); v < n->v + n->n; v++) {
		size_t below = from > v->at + 1u ? from - v->at - 1 : 0;

		*next = v->at;
		if (v->at >= from && (v->marks & marks))
			return true;
		if (v->child && below < v->child->rows && next_in(v->child, below, marks, next)) {
			*next += v->at + 1u;
			return true;
		}
	}
	return false;
}

/* The last one whose number is less than to. */
static bool last_in(const struct table_node *n, size_t to, uint32_t marks, size_t *next)
{
	if (!n->n || !to || (!(marks & ~(uint32_t)TREES_DISAGREE) && !n->disagreeing))
		return false;
	for (const struct table_entry *v = entry_before(n, to - 1);; v--) {
		if (v->child && to > v->at + 1u && last_in(v->child, to - v->at - 1, marks, next)) {
			*next += v->at + 1u;
			return true;
		}
		*next = v->at;
		if (v->at < to && (v->marks & marks))
			return true;
		if (v == n->v)
			return false;
	}
}

bool trees_next(const struct table_trees *t, size_t i, bool backwards, uint32_t marks, size_t *next)
{
	size_t found;
	bool is = backwards ? last_in(t->top, i, marks, &found) : next_in(t->top, i + 1, marks, &found);

	if (is)
		*next = found;
	return is;
}

/* ---- opening and closing */

static bool want(struct table_trees *t, const struct want *w)
{
	t->touched = true;
	for (unsigned i = 0; i < t->n_wants; i++)
		if (!memcmp(&t->want[i], w, sizeof(*w)))
			return true;
	if (t->n_wants == WANTS_MAX)
		return false;
	t->want[t->n_wants++] = *w;
	return true;
}

static struct want want_of(const struct table_trees *t, const struct position *p, bool all)
{
	struct want w;

	memset(&w, 0, sizeof(w)); /* compared as bytes */
	w.all = all;
	w.tree = is_root(p->n) ? (uint8_t)p->v->index : p->n->tree;
	w.shift = is_root(p->n) ? UINT8_MAX : node_tier(t, p->n)->shift;
	w.addr = is_root(p->n) ? 0 : entry_address(t, p->n, p->v);
	return w;
}

bool trees_open(struct table_trees *t, size_t i)
{
	struct position p;
	struct want w;

	if (!position_of(t, i, &p) || !p.v->foldable || p.v->child)
		return false;
	w = want_of(t, &p, false);
	return want(t, &w);
}

bool trees_open_all(struct table_trees *t, size_t i)
{
	struct position p;
	struct want w;

	if (!position_of(t, i, &p) || !p.v->foldable)
		return false;
	w = want_of(t, &p, true);
	return want(t, &w);
}

bool trees_open_path(struct table_trees *t, bool by_gpa, uint64_t addr)
{
	int which = tree_of(t, by_gpa);
	bool exact;
	size_t i;
	struct want w;

	if (!trees_find(t, by_gpa, addr, &i, &exact) || exact)
		return false;
	memset(&w, 0, sizeof(w));
	w.tree = (uint8_t)which;
	w.addr = tree_linear(&t->tree[which], addr);
	return want(t, &w);
}

bool trees_wants(const struct table_trees *t)
{
	return t->n_wants > 0;
}

static void close_entry(struct table_entry *v)
{
	node_destroy(v->child);
	v->child = NULL;
}

void trees_close(struct table_trees *t, size_t i)
{
	struct position p;

	if (!position_of(t, i, &p) || !p.v->child)
		return;
	close_entry(p.v);
	node_count_up(p.n);
	t->touched = true;
	t->about.cut = false;
}

void trees_close_all(struct table_trees *t)
{
	for (unsigned i = 0; i < t->top->n; i++) {
		struct table_node *n = t->top->v[i].child;

		for (unsigned k = 0; n && k < n->n; k++)
			close_entry(&n->v[k]);
		if (n)
			node_count(n);
	}
	node_count(t->top);
	t->touched = true;
	t->about.cut = false;
}
