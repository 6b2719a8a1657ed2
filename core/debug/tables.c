/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Looking at both sides' tables: the host's sptes in one list, the guest's tables one by one as somebody opens them. A look
 * makes a new tree along what was open in the old one, so that a look that fails leaves the old one as it is.
 *
 * The guest's tables are hostile. A tree has as many levels as the vCPU's paging mode, so tables that point to themselves
 * end there; a table outside of memory has no entries; opening everything has limits.
 */
#include "core/debug/tables_impl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/mem/paging_bits.h"
#include "core/stop/where.h"

#define SHIFT_ROOT UINT8_MAX /* of a want: the root alone */

/* ---- the shape of a tree */

static unsigned highest_level(const struct spte_list *l)
{
	unsigned level = 0;

	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].level > level && l->v[i].level <= 5)
			level = l->v[i].level;
	return level;
}

static unsigned guest_level_of(const struct paging *pg, unsigned shift)
{
	for (unsigned level = 1; level <= paging_top(pg); level++)
		if (paging_shift(pg, level) == shift)
			return level;
	return 0;
}

static unsigned host_level_of(unsigned top, unsigned shift)
{
	for (unsigned level = 1; level <= top; level++)
		if (PAGE_SHIFT + 9 * (level - 1) == shift)
			return level;
	return 0;
}

static void make_tiers(struct table_tree *tree, const struct paging *pg, unsigned host_top)
{
	static const uint8_t shifts[] = {48, 39, 30, 22, 21, 12};
	unsigned host_bits = host_top ? PAGE_SHIFT + 9 * host_top : 0;

	tree->bits = pg->mode == PAGING_NONE ? 0 : paging_linear_bits(pg);
	if (host_bits > tree->bits)
		tree->bits = host_bits;
	for (unsigned i = 0; i < ARRAY_LEN(shifts); i++) {
		struct tier s = {shifts[i], (uint8_t)guest_level_of(pg, shifts[i]),
				 (uint8_t)host_level_of(host_top, shifts[i])};
		if (s.guest || s.host)
			tree->tier[tree->n_tiers++] = s;
	}
}

/* Where no table of the guest's has a say: addresses are gpas. */
static struct guest_at identity(void)
{
	return (struct guest_at){.kind = GUEST_PAGE, .rights = RIGHTS_ALL, .identity = true};
}

static void make_trees(struct table_trees *t, unsigned host_top)
{
	const struct paging none = {.mode = PAGING_NONE};
	struct table_tree *tree = &t->tree[0];

	make_tiers(tree, &t->pg, t->about.tdp ? 0 : host_top);
	if (t->pg.mode == PAGING_NONE)
		tree->guest = identity();
	else
		tree->guest = (struct guest_at){.kind = GUEST_TABLE,
						.tier = (uint8_t)next_guest_tier(tree, 0),
						.rights = RIGHTS_ALL,
						.gpa = paging_root(&t->pg)};
	if (!t->about.tdp)
		return;
	tree = &t->tree[1];
	tree->by_gpa = true;
	make_tiers(tree, &none, host_top);
	tree->guest = identity();
}

static bool same_tiers(const struct table_tree *a, const struct table_tree *b)
{
	bool same = a->n_tiers == b->n_tiers && a->bits == b->bits;

	for (unsigned i = 0; same && i < a->n_tiers; i++)
		same = a->tier[i].shift == b->tier[i].shift;
	return same;
}

/* ---- many tables */

/* *n and *v: the last entry on the way that could be opened. */
static int open_path(struct tables_look *k, unsigned tree, uint64_t addr, unsigned shift, struct table_node **n,
		     struct table_entry **v, struct err *e)
{
	struct table_entry *next;
	int rc;

	*n = k->t->top;
	*v = &k->t->top->v[tree];
	while (!(rc = entry_open(k, *n, *v, e)) && (*v)->child) {
		node_count_up((*v)->child);
		if (node_tier(k->t, (*v)->child)->shift < shift)
			break;
		next = node_find(k->t, (*v)->child, addr);
		if (!next)
			break;
		*n = (*v)->child;
		*v = next;
	}
	return rc;
}

/* True: it went within the limits. */
static bool stay_in_limits(struct tables_look *k, struct table_entry *v)
{
	if (k->tables_left && v->child->n <= k->rows_left) {
		k->tables_left--;
		k->rows_left -= v->child->n;
		return true;
	}
	k->t->about.cut = true;
	node_destroy(v->child);
	v->child = NULL;
	return false;
}

static int open_below(struct tables_look *k, struct table_node *n, struct table_entry *v, struct err *e)
{
	bool was_open = v->child;
	int rc = k->t->about.cut || (v->marks & TREES_LOOP) ? 0 : entry_open(k, n, v, e);

	if (rc || !v->child || k->t->about.cut || (!was_open && !stay_in_limits(k, v)))
		return rc;
	for (unsigned i = 0; !rc && i < v->child->n; i++)
		rc = open_below(k, v->child, &v->child->v[i], e);
	node_count(v->child);
	return rc;
}

static int open_all(struct tables_look *k, struct table_node *n, struct table_entry *v, size_t rows, struct err *e)
{
	int rc;

	k->t->about.cut = false;
	k->rows_left = rows;
	k->tables_left = TREES_ALL_TABLES;
	rc = open_below(k, n, v, e);
	node_count_up(n);
	return rc;
}

/* Nobody has opened anything yet: all there is if it is little, else the way to the instruction. */
static int open_default(struct tables_look *k, unsigned vcpu, struct err *e)
{
	struct table_trees *t = k->t;
	struct table_node *n;
	struct table_entry *v;
	struct where w;
	int rc = 0;

	for (unsigned i = 0; !rc && i < t->top->n; i++) {
		rc = open_all(k, t->top, &t->top->v[i], TREES_SMALL, e);
		if (!rc && t->about.cut) {
			trees_close_all(t);
			rc = i || where_get(k->m, vcpu, &w, NULL)
				 ? open_path(k, i, 0, SHIFT_ROOT, &n, &v, e)
				 : open_path(k, i, tree_linear(&t->tree[i], w.pc), 0, &n, &v, e);
		}
	}
	t->about.cut = false;
	t->touched = false;
	return rc;
}

/* Open in n what was open in old, a node of the same place. */
static int reopen(struct tables_look *k, struct table_node *n, const struct table_node *old, struct err *e)
{
	int rc = 0;

	for (unsigned i = 0, j = 0; !rc && i < n->n; i++) {
		while (j < old->n && old->v[j].index < n->v[i].index)
			j++;
		if (j == old->n || old->v[j].index != n->v[i].index || !old->v[j].child)
			continue;
		rc = entry_open(k, n, &n->v[i], e);
		if (!rc && n->v[i].child)
			rc = reopen(k, n->v[i].child, old->v[j].child, e);
	}
	node_count(n);
	return rc;
}

/* The same where the levels are others now: by addresses. An entry of 4 MiB has become two of 2 MiB, or the other way. */
static int reopen_paths(struct tables_look *k, const struct table_trees *from, const struct table_node *old, struct err *e)
{
	unsigned shift = is_root(old) ? SHIFT_ROOT : node_tier(from, old)->shift;
	bool deepest = true;
	struct table_node *n;
	struct table_entry *v;
	int rc = 0;

	for (unsigned i = 0; !rc && i < old->n; i++)
		if (old->v[i].child) {
			deepest = false;
			rc = reopen_paths(k, from, old->v[i].child, e);
		}
	if (rc || !deepest || is_root(old) || old->tree >= k->t->top->n)
		return rc;
	for (unsigned half = 0; !rc && half < 2; half++) {
		uint64_t addr = old->base + (half ? ((uint64_t)node_room(from, old) << shift) / 2 : 0);
		rc = open_path(k, old->tree, tree_linear(&k->t->tree[old->tree], addr), shift + 1, &n, &v, e);
	}
	return rc;
}

static int reopen_all(struct tables_look *k, const struct table_trees *old, struct err *e)
{
	bool same = k->t->top->n == old->top->n;

	for (unsigned i = 0; same && i < old->top->n; i++)
		same = same_tiers(&k->t->tree[i], &old->tree[i]);
	return same ? reopen(k, k->t->top, old->top, e) : reopen_paths(k, old, old->top, e);
}

static int fulfil_wants(struct tables_look *k, struct err *e)
{
	struct table_trees *t = k->t;
	struct table_node *n;
	struct table_entry *v;
	int rc = 0;

	for (unsigned i = 0; !rc && i < t->n_wants; i++) {
		const struct want *w = &t->want[i];
		if (w->tree >= t->top->n)
			continue;
		rc = open_path(k, w->tree, w->addr, w->shift, &n, &v, e);
		if (!rc && w->all)
			rc = open_all(k, n, v, TREES_ALL_ROWS, e);
	}
	if (!rc)
		t->n_wants = 0;
	return rc;
}

/* ---- a look */

static int look_at_host(struct tables_look *k, unsigned vcpu, struct err *e)
{
	struct table_trees *t = k->t;
	struct err why = {0};
	int rc = machine_sptes(k->m, vcpu, 0, UINT64_MAX, &t->sptes, &why);

	if (rc == -ENOMEM) {
		if (e)
			*e = why;
		return rc;
	}
	t->about.host_known = !rc;
	t->about.tdp = t->sptes.n > 0;
	for (size_t i = 0; i < t->sptes.n; i++) {
		t->about.torn |= t->sptes.v[i].torn;
		t->about.tdp &= !t->sptes.v[i].gva_known;
	}
	t->about.sptes = t->sptes.n;
	if (rc)
		snprintf(t->about.why, sizeof(t->about.why), "%.159s", err_reason(&why));
	return 0;
}

/* Positions in the tree's own addresses, and the gfn that the host's root stands for. */
static void arrange_sptes(struct table_trees *t, unsigned host_top)
{
	const struct table_tree *tree = &t->tree[t->about.tdp];

	for (size_t i = 0; i < t->sptes.n; i++)
		t->sptes.v[i].gva = tree_linear(tree, t->sptes.v[i].gva);
	sptes_sort(&t->sptes);
	for (size_t i = 0; i < t->sptes.n && !t->about.has_root; i++)
		if (t->sptes.v[i].level == host_top && host_top >= paging_top(&t->pg) && !t->about.tdp) {
			t->about.has_root = true;
			t->about.root_gfn = t->sptes.v[i].page_gfn;
		}
}

static int make_top(struct table_trees *t, struct err *e)
{
	unsigned n = t->about.tdp ? 2 : 1;

	t->top = calloc(1, sizeof(*t->top));
	if (t->top)
		t->top->v = calloc(n, sizeof(*t->top->v));
	if (!t->top || !t->top->v)
		return err_nomem(e, "look at the tables");
	t->top->n = n;
	for (unsigned i = 0; i < n; i++)
		t->top->v[i] =
		    (struct table_entry){.index = (uint16_t)i, .spte = NO_SPTE, .foldable = t->tree[i].n_tiers > 0};
	node_count(t->top);
	return 0;
}

static void note_moment(struct table_trees *t, struct machine *m, unsigned vcpu)
{
	t->machine = m;
	t->changes = machine_changes(m);
	t->resets = machine_resets(m);
	t->runs = machine_runs(m);
	t->about.vcpu = vcpu;
	t->about.vcpus = machine_vcpus(m);
	t->about.mode = t->pg.mode;
	t->about.cr3 = t->pg.cr3;
}

static bool same_moment(const struct table_trees *t, const struct machine *m, unsigned vcpu)
{
	return t->machine == m && t->about.vcpu == vcpu && !machine_running(m) && t->changes == machine_changes(m) &&
	       t->resets == machine_resets(m) && t->runs == machine_runs(m);
}

static int look_anew(struct tables_look *k, const struct table_trees *old, unsigned vcpu, struct err *e)
{
	struct table_trees *t = k->t;
	unsigned host_top;
	int rc;

	t->pg = k->env.pg;
	note_moment(t, k->m, vcpu);
	if ((rc = look_at_host(k, vcpu, e)))
		return rc;
	host_top = highest_level(&t->sptes);
	make_trees(t, host_top);
	arrange_sptes(t, host_top);
	t->about.depth = MAX(t->tree[0].n_tiers, t->tree[1].n_tiers);
	if ((rc = make_top(t, e)))
		return rc;
	if (!old || !old->touched)
		rc = open_default(k, vcpu, e);
	else if (!(rc = reopen_all(k, old, e)))
		t->touched = true;
	if (!rc && old) {
		memcpy(t->want, old->want, sizeof(t->want));
		t->n_wants = old->n_wants;
		t->about.cut = old->about.cut;
		rc = fulfil_wants(k, e);
	}
	return rc;
}

static void deinit(struct table_trees *t)
{
	node_destroy(t->top);
	spte_list_free(&t->sptes);
}

static int look(struct tables_look *k, struct table_trees **t, unsigned vcpu, struct err *e)
{
	struct table_trees *made = calloc(1, sizeof(*made));
	int rc = made ? 0 : err_nomem(e, "look at the tables");

	k->t = made;
	machine_share_reads(k->m, true);
	if (!rc)
		rc = look_anew(k, *t, vcpu, e);
	machine_share_reads(k->m, false);
	if (rc) {
		trees_destroy(made);
		return rc;
	}
	if (!*t) {
		*t = made;
		return 0;
	}
	deinit(*t);
	**t = *made;
	free(made);
	return 0;
}

int trees_look(struct table_trees **t, struct machine *m, unsigned vcpu, struct err *e)
{
	_cleanup_hold_ struct machine_hold hold = {NULL};
	_cleanup_free_ struct tables_look *k = calloc(1, sizeof(*k));
	int rc = k ? machine_look_begin(m, &hold, e) : err_nomem(e, "look at the tables");

	if (!rc)
		rc = machine_env(m, vcpu, &k->env, e);
	if (rc)
		return rc;
	k->m = m;
	k->t = *t;
	rc = *t && (*t)->n_wants && same_moment(*t, m, vcpu) ? fulfil_wants(k, e) : look(k, t, vcpu, e);
	free(k->shadowed);
	slot_info_list_free(&k->slots);
	return rc;
}

void trees_destroy(struct table_trees *t)
{
	if (!t)
		return;
	deinit(t);
	free(t);
}

const struct trees_about *trees_about(const struct table_trees *t)
{
	return &t->about;
}
