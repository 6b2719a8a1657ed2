/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Inside core/debug/tables*.c: nodes are open tables, entries their rows.
 */
#ifndef KVMSCOPE_CORE_DEBUG_TABLES_IMPL_H
#define KVMSCOPE_CORE_DEBUG_TABLES_IMPL_H

#include "core/debug/tables.h"
#include "core/mem/xlate.h"

#define TIERS_MAX 8
#define ENTRIES_MAX 1024
#define NO_SPTE UINT32_MAX
#define WANTS_MAX 16

/* One size of entries that either side has; a tree has them in descending order. */
struct tier {
	uint8_t shift, guest, host; /* levels, 0: that side has none of this size */
};

/* What the guest's tables say of a range: nothing; a table of entries of a tier (this one or a later one); a page. */
enum guest_kind { GUEST_NOTHING, GUEST_TABLE, GUEST_PAGE };
struct guest_at {
	enum guest_kind kind;
	uint8_t tier;	/* of the table's entries */
	uint8_t rights; /* of all entries so far */
	bool identity;	/* no entry says so: paging is off, or the addresses are gpas */
	uint64_t gpa, base, entry;
};

struct table_entry {
	uint64_t entry; /* the guest's, if present */
	struct table_node *child;
	uint32_t at;   /* rows of its node that are before it */
	uint32_t spte; /* in sptes.v, or NO_SPTE */
	uint32_t slot;
	uint16_t marks, index;
	uint8_t why; /* enum trees_why */
	bool present, foldable;
};

struct table_node {
	struct table_node *parent;
	unsigned parent_entry;
	uint8_t tree, tier; /* of its entries */
	enum trees_table table;
	uint64_t base; /* linear, not sign-extended, as all addresses in here */
	struct guest_at guest;
	uint32_t host_page; /* the leaf spte above that maps all of it, or NO_SPTE */
	unsigned n;
	struct table_entry *v;
	size_t rows, disagreeing; /* in it and below */
};

struct table_tree {
	bool by_gpa;
	unsigned bits, n_tiers;
	struct tier tier[TIERS_MAX];
	struct guest_at guest;
};

struct want {
	uint64_t addr;
	uint8_t tree, shift; /* tables whose entry is this large or larger are opened */
	bool all;	     /* and what is below */
};

struct table_trees {
	struct trees_about about;
	struct spte_list sptes; /* by gva, higher levels first; the host's own and what has no address too */
	struct table_tree tree[2];
	struct table_node *top; /* an entry for each tree */
	struct want want[WANTS_MAX];
	unsigned n_wants;
	bool touched; /* somebody opened or closed something */
	/* What it is a picture of. */
	const struct machine *machine;
	uint64_t changes, resets, runs;
	struct paging pg;
};

/* A look that is under way. */
struct tables_look {
	struct machine *m;
	struct table_trees *t;
	struct xlate_env env;
	uint64_t *shadowed; /* gfns of shadowed guest tables, sorted, from the first time that they are asked for */
	size_t n_shadowed;
	bool has_shadowed;
	struct slot_info_list slots; /* what machine_slot_list() gives, from the first time that it is asked for */
	bool has_slots;
	/* How many more trees_open_all() may open. */
	size_t rows_left, tables_left;
	/* The table being read. */
	bool any[ENTRIES_MAX]; /* the guest has something in the range of this entry */
	uint64_t own[ENTRIES_MAX];
	uint32_t spte[ENTRIES_MAX];
	bool below[ENTRIES_MAX]; /* the host has no entries of this size, but smaller ones in its range */
};

static inline const struct tier *node_tier(const struct table_trees *t, const struct table_node *n)
{
	return &t->tree[n->tree].tier[n->tier];
}
static inline uint64_t entry_address(const struct table_trees *t, const struct table_node *n, const struct table_entry *v)
{
	return n->base + ((uint64_t)v->index << node_tier(t, n)->shift);
}
static inline bool is_root(const struct table_node *n)
{
	return !n->parent;
}

/* tables_read.c */
/* By address, higher levels first: an entry before those of its table. Backends give them so but for what stands twice. */
void sptes_sort(struct spte_list *l);
unsigned node_room(const struct table_trees *t, const struct table_node *n); /* entries that its table has */
/* Read the table below an entry of n, which is in the tree then. Its own rows are counted. */
int entry_open(struct tables_look *k, struct table_node *n, struct table_entry *v, struct err *e) MUST_USE;

/* tables_rows.c */
void node_destroy(struct table_node *n);
/* Rows of n, those below it being counted; then of all that it is in. */
void node_count(struct table_node *n);
void node_count_up(struct table_node *n);
struct table_entry *node_find(const struct table_trees *t, const struct table_node *n, uint64_t addr);
uint64_t tree_linear(const struct table_tree *tree, uint64_t addr);  /* its bits only */
uint64_t tree_address(const struct table_tree *tree, uint64_t addr); /* sign-extended */

/* tables_marks.c */
/* What the guest says of an entry's range. */
struct guest_at guest_of_entry(const struct table_trees *t, const struct table_node *n, const struct table_entry *v);
/* Of an entry that the guest has: where it points to, and what it alone allows. */
uint64_t guest_entry_gpa(const struct table_trees *t, const struct table_node *n, const struct table_entry *v);
uint8_t guest_entry_rights(const struct table_trees *t, const struct table_node *n, const struct table_entry *v);
/* The first tier from `from` on at which the guest has entries. */
unsigned next_guest_tier(const struct table_tree *tree, unsigned from);
/* Fills marks, why and slot. -ENOMEM. */
int entry_compare(struct tables_look *k, const struct table_node *n, struct table_entry *v, struct err *e) MUST_USE;

#endif
