/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The guest's own page tables: one walk, every step recorded, every rule of the architecture, no side effect unless A/D
 * updates are asked for. Follows Intel SDM vol. 3A chapter 4 (paging) and section 4.6 (access rights), 4.7 (error code),
 * 4.8 (accessed and dirty flags); AMD APM vol. 2 chapter 5.
 */
#ifndef KVMSCOPE_CORE_MEM_PAGING_H
#define KVMSCOPE_CORE_MEM_PAGING_H

#include "core/cpu/regs.h"

enum paging_mode { PAGING_NONE, PAGING_32BIT, PAGING_PAE, PAGING_4LEVEL, PAGING_5LEVEL };

enum access {
	ACCESS_READ = 1 << 0,
	ACCESS_WRITE = 1 << 1,
	ACCESS_FETCH = 1 << 2,
	ACCESS_USER = 1 << 3,	  /* by CPL 3 */
	ACCESS_IMPLICIT = 1 << 4, /* an implicit supervisor access (descriptor tables, …): SMAP ignores EFLAGS.AC */
};

/* Bits of a page fault's error code (SDM vol. 3A 4.7). */
enum {
	PFERR_PRESENT = 1 << 0,
	PFERR_WRITE = 1 << 1,
	PFERR_USER = 1 << 2,
	PFERR_RSVD = 1 << 3,
	PFERR_FETCH = 1 << 4,
	PFERR_PK = 1 << 5,
};

#define PTE_P (1ull << 0)
#define PTE_W (1ull << 1)
#define PTE_U (1ull << 2)
#define PTE_PWT (1ull << 3)
#define PTE_PCD (1ull << 4)
#define PTE_A (1ull << 5)
#define PTE_D (1ull << 6)
#define PTE_PS (1ull << 7)
#define PTE_G (1ull << 8)
#define PTE_NX (1ull << 63)

/* What the walk depends on. */
struct paging {
	enum paging_mode mode;
	uint64_t cr0, cr3, cr4, efer;
	bool ac;	     /* EFLAGS.AC */
	unsigned maxphyaddr; /* 36 to 52 */
	uint32_t pkru;	     /* used if CR4.PKE */
	bool pdpte_valid;    /* PAE: pdpte[] holds the registers that the CR3 load read; else they are read by the walk */
	uint64_t pdpte[4];
	bool gbpages; /* 1 GiB pages exist (CPUID); else PS in a PDPTE is reserved */
};

/* Fill from registers (REGS_GPR and REGS_SYS, the PDPTEs among them); maxphyaddr 52, gbpages true, pkru 0 until the caller
 * knows better. */
void paging_from_regs(struct paging *pg, const struct regs *r);
const char *paging_mode_name(enum paging_mode m); /* "none", "32-bit", "PAE", "4-level", "5-level" */

/* Guest physical memory as a table walk sees it. Both give 0 or -EFAULT (nothing there: the walk then reads all ones, as a
 * bus without a device gives, and says so); read also -ENODATA (something is there that cannot be read now: the walk ends).
 * size is 4 or 8. update is a compare-and-swap of one entry: *old is what is expected; 1 if it was different (the walk
 * starts over), -EROFS if the memory is readonly. NULL: never sets A/D. */
struct walk;
struct paging_mem {
	void *ctx;
	int (*read)(void *ctx, uint64_t gpa, unsigned size, uint64_t *entry);
	int (*update)(void *ctx, uint64_t gpa, unsigned size, uint64_t old, uint64_t new_entry);
	/* Optional: the len bytes at gpa (a table, within a page) to look at directly; NULL: use read. */
	const void *(*map)(void *ctx, uint64_t gpa, size_t len);
	/* Of a nested guest's walk, NULL else (core/mem/nested.h): where its address leads. */
	void (*nested)(void *ctx, uint64_t gpa, unsigned access, struct walk *out);
};

struct guest_fault {
	bool present;	/* false: no fault, the rest is meaningless */
	uint8_t vector; /* 14, or 13 (non-canonical), 12 (through SS) */
	bool has_error;
	uint32_t error_code; /* PFERR_… for vector 14 */
	uint64_t address;    /* the linear address at fault (CR2 for 14) */
};

struct walk_step {
	unsigned level; /* 5 … 1 */
	uint64_t gpa;	/* of the entry */
	uint64_t entry;
	unsigned size;	   /* 4 or 8 bytes */
	bool no_memory;	   /* nothing at gpa */
	bool is_register;  /* PAE's top table: entry is what the processor has loaded, memory at gpa may differ by now */
	bool set_a, set_d; /* this walk set them */
};

struct walk {
	unsigned n;
	struct walk_step step[5];
	struct guest_fault fault;
	bool unreadable; /* fault is none of the guest's: the last step's entry cannot be read now, so nothing is known */
	char why[160];	 /* in words, the layer that refused; "" without a fault */
	bool nested;	 /* l2_gpa is what the tables gave, and gpa what L1's nested ones have made of that */
	uint64_t l2_gpa;
	uint64_t gpa;	    /* without a fault */
	uint64_t page_size; /* 4 KiB, 2 or 4 MiB, 1 GiB; 0 with a fault */
	uint8_t rights;	    /* ACCESS_WRITE, ACCESS_FETCH, ACCESS_USER the tables allow in all */
	bool global;
	uint64_t leaf; /* the last entry */
};

/* Translate gva for access; access names READ, WRITE or FETCH and USER as applies. set_ad: set accessed and dirty bits by
 * mem->update. A fault of the guest's is a result (out->fault.present), not an error; errors are bugs of callers. */
void paging_walk(const struct paging *pg, const struct paging_mem *mem, uint64_t gva, unsigned access, bool set_ad,
		 struct walk *out);
bool paging_canonical(const struct paging *pg, uint64_t gva);

/* One present guest mapping, for `info tlb` and `info mem`. Of a nested guest in parts, as L1's tables map what its own do.
 */
struct guest_mapping {
	uint64_t gva, gpa, page_size, entry;
	uint8_t rights; /* as struct walk */
	bool accessed, dirty, global;
};
/* Call fn for each present leaf whose range meets [first, last], ascending, without touching anything; fn returns non-zero
 * to stop. A table that the same walk has open already (self-reference) is followed as the hardware would. Returns fn's
 * value, 0 at the end, -ENODATA if a table cannot be read now. poll, if not NULL, is asked now and then and a non-zero
 * answer ends the enumeration with it. */
int paging_enumerate(const struct paging *pg, const struct paging_mem *mem, uint64_t first, uint64_t last,
		     int (*fn)(void *arg, const struct guest_mapping *m), void *arg, int (*poll)(void *arg));
/* The same, but the first address of the range that is not mapped ends it too, with 1. */
int paging_enumerate_unbroken(const struct paging *pg, const struct paging_mem *mem, uint64_t first, uint64_t last,
			      int (*fn)(void *arg, const struct guest_mapping *m), void *arg);

/* n entries of one table, neighbours, that point to one table which is not gone through again: what a table maps follows
 * from its address, its level and the rights that the entries above leave it. */
enum guest_span_kind {
	SPAN_REPEATED,	/* it was gone through with the same rights at the same level */
	SPAN_RECURSIVE, /* it leads here: it is the table that the entries stand in, or one on the way to it */
	SPAN_FOLDED,	/* as SPAN_REPEATED, and all of it is mapped with the same rights */
};
struct guest_span {
	enum guest_span_kind kind;
	uint64_t gva, last;
	uint8_t rights;		/* of FOLDED all entries; else what those down to these leave */
	unsigned level;		/* of the entries */
	uint64_t holder, table; /* gpas: the table that they stand in, and the one that they point to */
	bool in_root, to_root;	/* one of these is the root */
	unsigned index, n;
	uint64_t same_as; /* REPEATED, FOLDED: the gva at which the table was gone through */
};

/* A listing of all mappings that is as long as the guest's tables, not as what they map: KASAN's zero shadow is 16 TiB out
 * of three tables, and a table that points to itself has no end. What meets [first, last] comes ascending, pages one by one,
 * and spans; only a table that lies in the range with all that it maps is left out for a span. */
struct paging_listing {
	uint64_t first, last;
	/* Non-zero ends the listing with it. */
	int (*page)(void *arg, const struct guest_mapping *m);
	int (*span)(void *arg, const struct guest_span *s);
	void *arg;
	int (*poll)(void *arg); /* as above */
	bool fold; /* of tables gone through before only FOLDED ones are left out: a listing by rights needs each address */
	bool follow; /* tables that lead here too: each is still gone through once at a level */
};
/* 0 at the end, what a callback gave, -ENODATA as above, -ENOMEM. Takes a fixed amount of memory: tables beyond what it
 * remembers are gone through again. */
int paging_list(const struct paging *pg, const struct paging_mem *mem, const struct paging_listing *l);

#endif
