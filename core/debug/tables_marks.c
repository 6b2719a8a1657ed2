/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the guest's entry and the host's say about the same addresses, held against each other. Rights are compared where
 * both map a page: shadow tables above the leaves allow everything, the leaf has what all of the guest's entries leave.
 */
#include "core/debug/tables_impl.h"

#include <errno.h>
#include <string.h>

#include "core/mem/paging_bits.h"

/* Does the guest have an entry of its own of this size here? */
static bool has_own_entry(const struct table_node *n)
{
	return n->guest.kind == GUEST_TABLE && n->guest.tier == n->tier;
}

unsigned next_guest_tier(const struct table_tree *tree, unsigned from)
{
	while (from < tree->n_tiers && !tree->tier[from].guest)
		from++;
	return from;
}

static bool has_reserved_bits(const struct table_trees *t, const struct table_node *n, const struct table_entry *v)
{
	unsigned level = node_tier(t, n)->guest;

	return v->present && (v->entry & paging_reserved(&t->pg, level, paging_is_leaf(&t->pg, level, v->entry)));
}

uint64_t guest_entry_gpa(const struct table_trees *t, const struct table_node *n, const struct table_entry *v)
{
	unsigned level = node_tier(t, n)->guest;

	if (paging_is_leaf(&t->pg, level, v->entry))
		return paging_leaf_address(&t->pg, level, v->entry);
	return v->entry & (t->pg.mode == PAGING_32BIT ? 0xfffff000 : PTE_ADDRESS);
}

uint8_t guest_entry_rights(const struct table_trees *t, const struct table_node *n, const struct table_entry *v)
{
	return paging_rights(&t->pg, node_tier(t, n)->guest, v->entry);
}

struct guest_at guest_of_entry(const struct table_trees *t, const struct table_node *n, const struct table_entry *v)
{
	const struct table_tree *tree = &t->tree[n->tree];
	unsigned level = node_tier(t, n)->guest;
	bool leaf;

	if (!has_own_entry(n))
		return n->guest;
	if (!v->present || has_reserved_bits(t, n, v))
		return (struct guest_at){.kind = GUEST_NOTHING};
	leaf = paging_is_leaf(&t->pg, level, v->entry);
	return (struct guest_at){.kind = leaf ? GUEST_PAGE : GUEST_TABLE,
				 .tier = (uint8_t)next_guest_tier(tree, n->tier + 1u),
				 .rights = n->guest.rights & guest_entry_rights(t, n, v),
				 .gpa = guest_entry_gpa(t, n, v),
				 .base = entry_address(t, n, v),
				 .entry = v->entry};
}

/* ---- why an spte is not writable */

static int compare_gfns(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Not knowing them is no failure of the look: the reason is then not told. */
static int read_shadowed(struct tables_look *k, struct err *e)
{
	struct shadow_page_list l = {0};
	int rc = machine_shadow_pages(k->m, 0, &l, e);

	k->has_shadowed = true;
	if (rc)
		return rc == -ENOMEM ? rc : 0;
	k->shadowed = calloc(l.n + 1, sizeof(*k->shadowed));
	for (size_t i = 0; k->shadowed && i < l.n; i++)
		if (!l.v[i].direct && !l.v[i].tdp && !l.v[i].invalid && !l.v[i].unsync &&
		    (l.v[i].level < 3 || paging_long(&k->t->pg))) /* PAE's top table is registers */
			k->shadowed[k->n_shadowed++] = l.v[i].gfn;
	if (k->n_shadowed)
		qsort(k->shadowed, k->n_shadowed, sizeof(*k->shadowed), compare_gfns);
	shadow_page_list_free(&l);
	return k->shadowed ? 0 : err_nomem(e, "list shadowed tables");
}

static bool is_shadowed(const struct tables_look *k, uint64_t gfn)
{
	return k->n_shadowed && bsearch(&gfn, k->shadowed, k->n_shadowed, sizeof(gfn), compare_gfns);
}

static int find_why(struct tables_look *k, struct table_entry *v, uint64_t gpa, const struct guest_at *g, struct err *e)
{
	struct slot *slot = slot_lookup(k->env.slots, gpa, k->env.smm, NULL);
	int rc = k->has_shadowed ? 0 : read_shadowed(k, e);

	v->slot = slot ? slot->id : 0;
	if (slot && (slot->flags & SLOT_READONLY))
		v->why = TREES_WHY_READONLY;
	else if (slot && slot->file_backed)
		v->why = TREES_WHY_FILE;
	else if (is_shadowed(k, gpa >> PAGE_SHIFT))
		v->why = TREES_WHY_TABLE;
	else if (!g->identity && !(g->entry & PTE_D))
		v->why = TREES_WHY_CLEAN;
	else if (slot && (slot->flags & SLOT_LOG_DIRTY))
		v->why = TREES_WHY_LOG;
	else
		v->why = TREES_WHY_UNKNOWN;
	return rc;
}

/* ---- what is no memory of the guest's */

static int read_slots(struct tables_look *k, struct err *e)
{
	int rc = machine_slot_list(k->m, &k->slots, e);

	k->has_slots = true;
	return rc == -ENOMEM ? rc : 0;
}

static bool is_own(const struct tables_look *k, uint64_t gpa)
{
	for (size_t i = 0; i < k->slots.n; i++)
		if (k->slots.v[i].own && gpa - k->slots.v[i].gpa < k->slots.v[i].size)
			return true;
	return false;
}

/* A slot that the hypervisor or the debugger keeps for itself is in the shadow tables where the guest maps nothing, or the
 * debugger has put it into the guest's tables while the guest runs. */
static int mark_own(struct tables_look *k, const struct table_node *n, struct table_entry *v, const struct guest_at *g,
		    struct err *e)
{
	const struct spte_info *s = v->spte == NO_SPTE ? NULL : &k->t->sptes.v[v->spte];
	bool host = (g->kind == GUEST_NOTHING || g->identity) && s && s->present && s->gfn_known;
	bool guest = g->kind != GUEST_NOTHING && v->present && has_own_entry(n) &&
		     !slot_lookup(k->env.slots, g->gpa, k->env.smm, NULL);
	int rc = k->has_slots || !(host || guest) ? 0 : read_slots(k, e);

	if (rc || !((host && is_own(k, s->gfn << PAGE_SHIFT)) || (guest && is_own(k, g->gpa))))
		return rc;
	v->marks |= TREES_HOST_OWN;
	v->marks &= (uint16_t)~TREES_STALE;
	return 0;
}

/* ---- comparing */

static uint64_t spte_gfn_at(const struct spte_info *s, uint64_t addr)
{
	return s->gfn + ((addr - s->gva) >> PAGE_SHIFT);
}

static uint32_t compare_rights(const struct paging *pg, const struct guest_at *g, const struct spte_info *s)
{
	uint8_t host = (s->writable ? ACCESS_WRITE : 0) | (s->exec ? ACCESS_FETCH : 0) | (s->user ? ACCESS_USER : 0);
	uint8_t wider = host & (uint8_t)~g->rights, narrower = g->rights & (uint8_t)~host;
	uint32_t marks = 0;

	if (!(pg->cr0 & CR0_WP) && !s->user) /* a supervisor that WP does not stop has its own kind of spte */
		wider &= (uint8_t)~ACCESS_WRITE, narrower &= (uint8_t)~ACCESS_USER;
	if (wider)
		marks |= TREES_WIDER;
	if (narrower & ACCESS_WRITE)
		marks |= TREES_NOT_WRITABLE;
	if (narrower & (ACCESS_FETCH | ACCESS_USER))
		marks |= TREES_NARROWER;
	return marks;
}

/* Only where one entry stands for one spte. */
static uint32_t compare_accessed_dirty(uint64_t entry, const struct spte_info *s)
{
	bool a = entry & PTE_A, d = entry & PTE_D;
	uint32_t marks = 0;

	if (a != s->accessed)
		marks |= a ? TREES_A_GUEST : TREES_A_HOST;
	if (d != s->dirty)
		marks |= d ? TREES_D_GUEST : TREES_D_HOST;
	return marks;
}

static int compare_pages(struct tables_look *k, const struct table_node *n, struct table_entry *v, const struct guest_at *g,
			 const struct spte_info *s, struct err *e)
{
	uint64_t addr = entry_address(k->t, n, v), gpa = g->gpa + (addr - g->base);
	uint32_t marks;
	int rc = 0;

	if (s->gfn_known && spte_gfn_at(s, addr) != gpa >> PAGE_SHIFT) {
		v->marks |= TREES_STALE;
		return 0;
	}
	marks = compare_rights(&k->t->pg, g, s);
	if (g->identity)
		marks &= TREES_NOT_WRITABLE;
	if (v->present && v->spte != NO_SPTE)
		marks |= compare_accessed_dirty(v->entry, s);
	if (marks & TREES_NOT_WRITABLE)
		rc = find_why(k, v, gpa, g, e);
	if (g->identity && v->why == TREES_WHY_UNKNOWN) /* nobody said that it is to be writable */
		marks &= ~(uint32_t)TREES_NOT_WRITABLE;
	v->marks |= (uint16_t)marks;
	return rc;
}

static void compare_mmio(struct tables_look *k, const struct table_node *n, struct table_entry *v, const struct guest_at *g,
			 const struct spte_info *s)
{
	uint64_t gpa = g->gpa + (entry_address(k->t, n, v) - g->base);

	v->marks |= TREES_MMIO;
	if (g->kind != GUEST_PAGE || (s->gfn_known && s->gfn != gpa >> PAGE_SHIFT) ||
	    slot_lookup(k->env.slots, gpa, k->env.smm, NULL))
		v->marks |= TREES_STALE;
}

/* The host has a table below: is it the one that shadows what the guest has there? */
static void compare_tables(struct tables_look *k, const struct table_node *n, struct table_entry *v,
			   const struct guest_at *g, const struct spte_info *s)
{
	uint64_t gpa = g->kind == GUEST_PAGE ? g->gpa + (entry_address(k->t, n, v) - g->base) : g->gpa;

	if (g->kind == GUEST_NOTHING) {
		v->marks |= TREES_STALE;
		return;
	}
	if (g->kind == GUEST_PAGE && v->present)
		v->marks |= TREES_LEVEL;
	if (s->gfn_known && !g->identity && s->gfn != gpa >> PAGE_SHIFT)
		v->marks |= TREES_STALE;
}

static int compare_spte(struct tables_look *k, const struct table_node *n, struct table_entry *v, const struct guest_at *g,
			const struct spte_info *s, struct err *e)
{
	if (s->host_own) {
		v->marks |= TREES_HOST_OWN;
		return 0;
	}
	if (s->mmio) {
		compare_mmio(k, n, v, g, s);
		return 0;
	}
	if (!s->present)
		return 0;
	if (!s->leaf) {
		compare_tables(k, n, v, g, s);
		return 0;
	}
	if (g->kind == GUEST_PAGE)
		return compare_pages(k, n, v, g, s, e);
	v->marks |= g->kind == GUEST_TABLE ? TREES_LEVEL : TREES_STALE;
	return 0;
}

/* Does this entry of the guest's point to a table on the way to it? */
static bool is_loop(const struct table_node *n, const struct guest_at *g)
{
	if (g->kind != GUEST_TABLE || !has_own_entry(n))
		return false;
	for (; n->parent; n = n->parent)
		if (has_own_entry(n) && n->guest.gpa == g->gpa)
			return true;
	return false;
}

static int compare(struct tables_look *k, const struct table_node *n, struct table_entry *v, const struct guest_at *g,
		   struct err *e)
{
	const struct spte_list *l = &k->t->sptes;

	if (v->spte != NO_SPTE)
		return compare_spte(k, n, v, g, &l->v[v->spte], e);
	if (n->host_page != NO_SPTE && g->kind == GUEST_PAGE)
		return compare_pages(k, n, v, g, &l->v[n->host_page], e);
	if (n->host_page == NO_SPTE && (node_tier(k->t, n)->host || !l->n) && k->t->about.host_known &&
	    g->kind != GUEST_NOTHING)
		v->marks |= TREES_GUEST_ONLY;
	return 0;
}

int entry_compare(struct tables_look *k, const struct table_node *n, struct table_entry *v, struct err *e)
{
	struct guest_at g = guest_of_entry(k->t, n, v);
	int rc;

	if (has_own_entry(n) && has_reserved_bits(k->t, n, v))
		v->marks |= TREES_RESERVED;
	if (is_loop(n, &g))
		v->marks |= TREES_LOOP;
	rc = compare(k, n, v, &g, e);
	return rc ? rc : mark_own(k, n, v, &g, e);
}
