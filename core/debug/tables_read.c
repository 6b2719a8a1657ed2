/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One table: the guest's entries read from its memory, the host's found in the list of sptes, a row for each place at which
 * either has something.
 */
#include "core/debug/tables_impl.h"

#include <errno.h>
#include <string.h>

#include "core/mem/paging_bits.h"

/* ---- the host's sptes, of one list */

/* An entry before those of the table that it points to. */
static int compare_sptes(const void *a, const void *b)
{
	const struct spte_info *x = a, *y = b;

	if (x->gva != y->gva)
		return x->gva < y->gva ? -1 : 1;
	return (x->level < y->level) - (x->level > y->level);
}

void sptes_sort(struct spte_list *l)
{
	size_t i = 1;

	while (i < l->n && compare_sptes(&l->v[i - 1], &l->v[i]) <= 0)
		i++;
	if (i < l->n)
		qsort(l->v, l->n, sizeof(*l->v), compare_sptes);
}

/* The first at or behind addr whose level is no higher. */
static size_t first_spte(const struct spte_list *l, uint64_t addr, unsigned level)
{
	const struct spte_info key = {.gva = addr, .level = level};
	size_t low = 0, high = l->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (compare_sptes(&l->v[mid], &key) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* ---- one table */

unsigned node_room(const struct table_trees *t, const struct table_node *n)
{
	const struct table_tree *tree = &t->tree[n->tree];
	unsigned above = n->tier ? tree->tier[n->tier - 1].shift : tree->bits;
	unsigned count = 1u << (above - tree->tier[n->tier].shift);

	return count < ENTRIES_MAX ? count : ENTRIES_MAX;
}

/* Entries of the guest's table at n->guest into buf: how many, 0 where it cannot be read. */
static unsigned read_guest_table(struct tables_look *k, struct table_node *n, void *buf)
{
	const struct paging *pg = &k->t->pg;
	unsigned level = k->t->tree[n->tree].tier[n->guest.tier].guest, count = paging_entries(pg, level);
	int rc;

	if (paging_is_pdpte(pg, level) && pg->pdpte_valid) {
		memcpy(buf, pg->pdpte, sizeof(pg->pdpte));
		return count;
	}
	rc = machine_read(k->m, n->guest.gpa, k->env.smm, buf, (size_t)count * paging_entry_size(pg), NULL);
	if (!rc)
		return count;
	n->table = rc == -EFAULT ? TREES_NO_MEMORY : TREES_UNREADABLE;
	return 0;
}

static void guest_entries(struct tables_look *k, struct table_node *n, unsigned count)
{
	unsigned shift = node_tier(k->t, n)->shift, table_shift;
	bool narrow = k->t->pg.mode == PAGING_32BIT;
	union {
		uint32_t narrow[1024];
		uint64_t wide[512];
	} buf;

	memset(k->any, 0, sizeof(k->any[0]) * count);
	memset(k->own, 0, sizeof(k->own[0]) * count);
	if (n->guest.kind != GUEST_TABLE)
		return;
	table_shift = k->t->tree[n->tree].tier[n->guest.tier].shift;
	for (unsigned i = 0, have = read_guest_table(k, n, &buf); i < have; i++) {
		uint64_t entry = narrow ? buf.narrow[i] : buf.wide[i];
		uint64_t index = (n->guest.base + ((uint64_t)i << table_shift) - n->base) >> shift;
		if (!(entry & PTE_P) || index >= count)
			continue;
		k->any[index] = true;
		if (n->guest.tier == n->tier)
			k->own[index] = entry;
	}
}

/* Of this size. */
static void host_sptes(struct tables_look *k, uint64_t base, uint64_t last, const struct tier *tier)
{
	const struct spte_list *l = &k->t->sptes;
	size_t at = first_spte(l, base, tier->host);

	while (at < l->n && l->v[at].gva <= last) {
		uint64_t index = (l->v[at].gva - base) >> tier->shift;
		if (l->v[at].level == tier->host && k->spte[index] == NO_SPTE)
			k->spte[index] = (uint32_t)at;
		size_t next = first_spte(l, base + ((index + (l->v[at].level <= tier->host)) << tier->shift), tier->host);
		at = MAX(next, at + 1); /* an address that its level cannot have is passed over */
	}
}

/* Of the next smaller size that the host has. */
static void host_sptes_below(struct tables_look *k, uint64_t base, uint64_t last, const struct tier *tier)
{
	const struct spte_list *l = &k->t->sptes;
	unsigned level = (tier->shift - PAGE_SHIFT + 8u) / 9;
	size_t at = first_spte(l, base, level);

	while (at < l->n && l->v[at].gva <= last) {
		uint64_t index = (l->v[at].gva - base) >> tier->shift;
		k->below[index] = true;
		at = first_spte(l, base + ((index + 1) << tier->shift), level);
	}
}

static void host_entries(struct tables_look *k, const struct table_node *n, unsigned count)
{
	const struct tier *tier = node_tier(k->t, n);
	uint64_t last = n->base + ((uint64_t)count << tier->shift) - 1;

	for (unsigned i = 0; i < count; i++) {
		k->spte[i] = NO_SPTE;
		k->below[i] = false;
	}
	if (k->t->tree[n->tree].by_gpa != k->t->about.tdp)
		return;
	if (tier->host)
		host_sptes(k, n->base, last, tier);
	else
		host_sptes_below(k, n->base, last, tier);
}

static bool entry_foldable(const struct tables_look *k, const struct table_node *n, const struct table_entry *v)
{
	const struct spte_info *s = v->spte == NO_SPTE ? NULL : &k->t->sptes.v[v->spte];

	if (n->tier + 1u >= k->t->tree[n->tree].n_tiers)
		return false;
	return guest_of_entry(k->t, n, v).kind == GUEST_TABLE || k->below[v->index] || (s && s->present && !s->leaf);
}

static bool is_row(const struct tables_look *k, unsigned i)
{
	return k->any[i] || k->spte[i] != NO_SPTE || k->below[i];
}

static int fill_node(struct tables_look *k, struct table_node *n, struct err *e)
{
	unsigned count = node_room(k->t, n), rows = 0;
	int rc = 0;

	guest_entries(k, n, count);
	host_entries(k, n, count);
	for (unsigned i = 0; i < count; i++)
		rows += is_row(k, i);
	n->v = calloc(rows ? rows : 1, sizeof(*n->v));
	if (!n->v)
		return err_nomem(e, "open a table");
	if (!rows && n->table == TREES_READ)
		n->table = TREES_EMPTY;
	for (unsigned i = 0; !rc && i < count; i++) {
		struct table_entry *v = &n->v[n->n];
		if (!is_row(k, i))
			continue;
		*v = (struct table_entry){
		    .entry = k->own[i], .present = k->own[i] & PTE_P, .spte = k->spte[i], .index = (uint16_t)i};
		v->foldable = entry_foldable(k, n, v);
		n->n++;
		rc = entry_compare(k, n, v, e);
	}
	node_count(n);
	return rc;
}

/* Below an entry of a tree, or of `top`, which has the trees. */
static struct table_node *new_child(const struct table_trees *t, struct table_node *n, struct table_entry *v)
{
	struct table_node *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->parent = n;
	c->parent_entry = (unsigned)(v - n->v);
	c->host_page = NO_SPTE;
	if (is_root(n)) {
		c->tree = (uint8_t)v->index;
		c->guest = t->tree[v->index].guest;
		return c;
	}
	c->tree = n->tree;
	c->tier = n->tier + 1;
	c->base = entry_address(t, n, v);
	c->guest = guest_of_entry(t, n, v);
	c->host_page = v->spte != NO_SPTE && t->sptes.v[v->spte].leaf ? v->spte : n->host_page;
	return c;
}

int entry_open(struct tables_look *k, struct table_node *n, struct table_entry *v, struct err *e)
{
	struct table_node *c;
	int rc;

	if (v->child || !v->foldable)
		return 0;
	c = new_child(k->t, n, v);
	if (!c)
		return err_nomem(e, "open a table");
	rc = fill_node(k, c, e);
	if (rc)
		node_destroy(c);
	else
		v->child = c;
	return rc;
}
