/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The guest's own page tables and the host's (shadow tables, or TDP's) as one tree: a row has an entry of each side for the
 * same addresses, and what the two disagree about. Tables are read when somebody opens them; what is open stays open when
 * the machine is looked at again. Rows are numbered as they are seen, so a client may show any few of 100,000.
 *
 * The two sides need not have the same levels (a 32-bit guest has two with entries of 4 MiB and 4 KiB, its host three or
 * four): a row whose level a side does not have shows what the level above it says. Under TDP the host's tables are by gpa,
 * so nothing of them stands beside a gva: they are a tree of their own, behind the guest's.
 *
 * Who draws asks nobody: trees_open() and its like only note what is wanted, and the next trees_look() reads it.
 */
#ifndef KVMSCOPE_CORE_DEBUG_TABLES_H
#define KVMSCOPE_CORE_DEBUG_TABLES_H

#include "core/machine/machine.h"

struct table_trees;

/* What of a row's two entries is to be told. A leaf is compared by the rights that all tables above leave it. */
enum trees_mark {
	TREES_GUEST_ONLY = 1 << 0,   /* not in the host's tables yet: they are filled by faults */
	TREES_STALE = 1 << 1,	     /* an spte where the guest maps nothing, another gfn, or a slot by now: not flushed */
	TREES_NOT_WRITABLE = 1 << 2, /* the guest allows writing and the spte does not; enum trees_why */
	TREES_NARROWER = 1 << 3,     /* the guest allows execution or users and the spte does not */
	TREES_WIDER = 1 << 4,	     /* the spte allows what the guest forbids */
	TREES_A_GUEST = 1 << 5,	     /* accessed by the guest's entry alone, … */
	TREES_A_HOST = 1 << 6,	     /* … by the spte alone */
	TREES_D_GUEST = 1 << 7,	     /* dirty */
	TREES_D_HOST = 1 << 8,
	TREES_LEVEL = 1 << 9,	  /* one side maps in one piece what the other has a table for */
	TREES_MMIO = 1 << 10,	  /* an MMIO spte */
	TREES_HOST_OWN = 1 << 11, /* the hypervisor's own or the debugger's, nothing of the guest's */
	TREES_RESERVED = 1 << 12, /* the guest's entry has reserved bits set: a walk ends in a page fault */
	TREES_LOOP = 1 << 13,	  /* the guest's entry points to a table that leads here */
};
/* Those that the two sides disagree about; the others are how things are. */
#define TREES_DISAGREE                                                                                                      \
	(TREES_STALE | TREES_NOT_WRITABLE | TREES_NARROWER | TREES_WIDER | TREES_A_GUEST | TREES_A_HOST | TREES_D_GUEST |   \
	 TREES_D_HOST)

/* Why an spte is not writable, as far as that can be told. */
enum trees_why {
	TREES_WHY_UNKNOWN,
	TREES_WHY_READONLY, /* its slot is READONLY */
	TREES_WHY_FILE,	    /* its slot maps a file */
	TREES_WHY_TABLE,    /* its gfn is a guest table that is shadowed, so writes must be seen */
	TREES_WHY_LOG,	    /* its slot logs dirty pages: the first write is to be seen */
	TREES_WHY_CLEAN,    /* the guest's D is clear: the first write is to set it */
};

/* What became of the guest's table that a row points to, when it was opened. */
enum trees_table { TREES_READ, TREES_EMPTY, TREES_NO_MEMORY, TREES_UNREADABLE };

struct trees_row {
	unsigned depth;	     /* 0: the root of a tree */
	bool by_gpa;	     /* of the host's own tree: first and last are gpas */
	bool foldable, open; /* has a table below; that is open */
	enum trees_table table;
	uint64_t first, last; /* addresses that it is about */
	/* The guest's side; of a root: entry is CR3. */
	unsigned guest_level; /* 0: it has no such level */
	bool has_guest;
	bool guest_leaf;	      /* it maps a page; else it points to a table */
	uint64_t entry;		      /* raw */
	uint64_t gpa;		      /* of that page, or table */
	uint8_t entry_rights;	      /* what this entry allows, as ACCESS_WRITE, ACCESS_FETCH, ACCESS_USER */
	uint8_t rights;		      /* what all entries from the root on allow */
	unsigned host_level;	      /* 0: it has no such level */
	const struct spte_info *spte; /* NULL: none. Lives until the next look */
	uint32_t marks;		      /* enum trees_mark */
	enum trees_why why;	      /* TREES_NOT_WRITABLE */
	uint32_t slot;		      /* that why is about */
};

struct trees_about {
	enum paging_mode mode;
	uint64_t cr3;
	unsigned vcpu, vcpus;
	bool tdp;	 /* the host's tables are by gpa */
	bool host_known; /* else why says why they cannot be seen */
	char why[160];
	bool torn;     /* the kernel changed them under the look */
	bool has_root; /* gfn of the root table that the host's root shadows */
	uint64_t root_gfn;
	size_t sptes;	/* under the vCPU's root, open or not */
	unsigned depth; /* of the deepest rows that there may be */
	bool cut;	/* trees_open_all() came to its limit: call it again to go on */
};

/* Look at the vCPU's tables. *t NULL: make it, and open what there is if that is no more than TREES_SMALL rows, else the
 * path to the instruction; that goes on until somebody opens, closes or follows anything. What was open stays open, by
 * address. If something is wanted and nothing has run or changed since the last look, only that is read. On failure *t is as
 * it was, or some of what is wanted is open: errors of machine_env(), -ENOMEM. The pointer stays the same until
 * trees_destroy(); rows get new numbers. */
#define TREES_SMALL 60
int trees_look(struct table_trees **t, struct machine *m, unsigned vcpu, struct err *e) MUST_USE;
void trees_destroy(struct table_trees *t); /* NULL is fine */
const struct trees_about *trees_about(const struct table_trees *t);

/* Rows: the roots, and what is in open tables, ascending. */
size_t trees_count(const struct table_trees *t);
bool trees_row(const struct table_trees *t, size_t i, struct trees_row *out); /* false: there is no such row */
/* The lowest open row that has addr. exact (may be NULL): nothing below it is left to open for addr. False: no row has it.
 */
bool trees_find(const struct table_trees *t, bool by_gpa, uint64_t addr, size_t *i, bool *exact);
bool trees_parent(const struct table_trees *t, size_t i, size_t *parent); /* false: a root */
/* The next row behind i (before it, if backwards) with one of these marks. */
bool trees_next(const struct table_trees *t, size_t i, bool backwards, uint32_t marks, size_t *next);

/* Wanted from the next look. False: nothing to be read, or too much is wanted already. */
bool trees_open(struct table_trees *t, size_t i);
bool trees_open_path(struct table_trees *t, bool by_gpa, uint64_t addr); /* all tables on the way to addr */
/* All tables below row i, up to TREES_ALL_ROWS more rows from TREES_ALL_TABLES tables; not those that TREES_LOOP marks. */
#define TREES_ALL_ROWS (1u << 17)
#define TREES_ALL_TABLES 4096u
bool trees_open_all(struct table_trees *t, size_t i);
bool trees_wants(const struct table_trees *t);
/* At once. */
void trees_close(struct table_trees *t, size_t i);
void trees_close_all(struct table_trees *t); /* all but the roots */

#endif
