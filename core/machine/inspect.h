/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What an inspection of a machine gives: plain structs that both backends fill and that views and scripts only ever see.
 * Lists own their arrays; every X_list has X_list_free()
 * and X_list_copy(), by its row in INSPECT_LISTS. What cannot be known is said by a flag or a reason, never by 0.
 */
#ifndef KVMSCOPE_CORE_INSPECT_H
#define KVMSCOPE_CORE_INSPECT_H

#include "core/base/err.h"
#include "core/mem/memslot.h"
#include "core/mem/paging.h"
#include "core/run/stop.h"

/* Where a value came from. */
enum source { SOURCE_KVM, SOURCE_KERNEL, SOURCE_SOFT };
const char *source_name(enum source s, bool torn); /* "kvm", "kernel", "soft"; "kernel torn" if torn */

/* A slot as the machine has it: the kernel's own copy if it can be read, else the debugger's record. */
struct slot_info {
	uint32_t id;
	unsigned as;
	enum slot_vis vis;
	uint64_t gpa, size, hva;
	uint32_t flags;
	bool own;
	const char *owner; /* of an own one: whose, in words; NULL: the debugger's */
	bool guest_memfd;  /* memfd: its descriptor here, the slot's first byte at memfd_offset */
	int memfd;
	uint64_t memfd_offset;
	uint64_t generation;
	enum source source;
	bool torn;
};
/* The debugger's own row of a slot: as 0, not torn. */
struct slot_info slot_info_of(const struct slot *s, uint64_t generation, enum source source);
struct slot_info_list {
	struct slot_info *v;
	size_t n;
};
/* Whose the slot with this gfn is, where it is not the guest's: "kvmscope's trap page". NULL: the guest's, or none has it.
 */
const char *slot_info_owner(const struct slot_info_list *l, uint64_t gfn);

/* Meaning of one spte, decoded; raw bits in .spte. */
struct spte_info {
	uint64_t gva; /* first gva that it maps; gva_known says whether it follows from the tables */
	bool gva_known;
	bool by_gpa; /* TDP's tables are by gpa: gva is the first gpa that it maps, and not known as a gva */
	/* With by_gpa, of a table that a nested guest's L1 has made: gva is L2's physical address, and l1_root the gpa of
	 * L1's topmost table. */
	bool nested;
	uint64_t l1_root;
	bool guest_mode; /* of an rmap's: it stands in a page that is of a nested guest, nested or of its own tables */
	uint64_t gfn;	 /* of the guest page it maps; gfn_known */
	bool gfn_known;
	unsigned level;
	uint64_t spte;
	uint64_t sptep; /* its own address (kernel virtual; soft: the model's) */
	uint64_t pfn;
	uint64_t page_gfn; /* gfn of the shadow page that it stands in */
	unsigned index;	   /* in that page */
	bool present, leaf, writable, user, exec, accessed, dirty, host_writable, mmu_writable, mmio, host_own;
	uint64_t mmio_gen; /* if mmio */
	enum source source;
	bool torn;
};
struct spte_list {
	struct spte_info *v;
	size_t n;
	/* Of the tables that were looked through, also where nothing was found: TDP's, in EPT's format, the root's level; 0:
	 * the vCPU has no root now. */
	bool by_gpa, ept;
	unsigned levels;
};
/* Shadow pages are shared where the guest shares its tables: the sptes of one are listed at each address that it maps. A
 * list ends, in tree order, when it has so many; then it is not whole. */
#define SPTES_MAX (1u << 20)

struct shadow_page {
	uint64_t gfn;
	unsigned level;
	bool direct, smm, unsync, invalid, guest_mode, tdp;
	/* With SHADOW_WITH_PARENTS: it shadows one of L1's nested tables, of which the topmost is at l1_root. */
	bool nested;
	uint64_t l1_root;
	uint8_t access; /* role.access: bit 0 exec, 1 write, 2 user */
	unsigned roots; /* references as a root */
	unsigned sptes; /* present ones, the host's own not counted */
	unsigned mmio_sptes;
	uint64_t *parents; /* addresses of the sptes that point to it */
	size_t n_parents;
	uint64_t address;  /* of struct kvm_mmu_page, 0 if no list has it; soft: of the model's */
	uint64_t spt;	   /* address of the table */
	uint64_t *entries; /* its 512 raw sptes if asked for (SHADOW_WITH_ENTRIES), else NULL */
	/* Its leaf and MMIO sptes, without gvas, by index, if asked for (SHADOW_WITH_LEAVES): under all pages that are not
	 * invalid they are what maps guest memory, whether the host keeps reverse maps or not. */
	struct spte_info *leaves;
	size_t n_leaves;
	uint32_t role; /* raw */
	bool nx_split; /* in place of a huge page, because of its code */
	enum source source;
	bool torn;
};
struct shadow_page_list {
	struct shadow_page *v;
	size_t n;
	bool torn;
};
enum { SHADOW_WITH_ENTRIES = 1, SHADOW_WITH_PARENTS = 2, SHADOW_WITH_LEAVES = 4 };

/* A root that a vCPU may run on now. */
struct root_info {
	unsigned vcpu;
	uint64_t hpa, cr3; /* cr3: the guest's, root.pgd */
	uint64_t page;	   /* address of its shadow page, 0 for none (PAE roots) */
	bool current, previous, guest_mode;
	unsigned level;
};
struct root_list {
	struct root_info *v;
	size_t n;
};

/* How the host gets from gpas to its own memory. */
enum tdp_kind {
	TDP_NONE,	  /* the guest's own tables are shadowed; the processor knows no gpas */
	TDP_MMU,	  /* tables by gpa, made by KVM's TDP MMU */
	TDP_SHADOW_PAGES, /* tables by gpa out of direct shadow pages: the TDP MMU is off (kvm.tdp_mmu=0) */
};
const char *tdp_kind_name(enum tdp_kind k); /* "shadow", "tdp", "shadow-pages" */

/* What the tables of one level under a root have. Leaves map a page of the level's size. */
struct tdp_level {
	uint64_t tables, leaves, writable, accessed, dirty, host_writable, mmu_writable;
	uint64_t mmio;
	uint64_t frozen;    /* being changed at this moment */
	uint64_t nx_splits; /* tables that stand in place of a huge page because its code may be executed */
};
#define TDP_LEVELS 5

/* A root of the host's tables by gpa, in use or not, and what is below it. */
struct tdp_root {
	uint64_t hpa;	  /* of its table; hpa_known */
	uint64_t address; /* of struct kvm_mmu_page */
	uint64_t spt;	  /* its table */
	unsigned level, as;
	uint8_t access;				/* as struct shadow_page's */
	bool nx, wp, no_ad, guest_mode, mirror; /* of its role; no_ad: sptes without accessed and dirty bits */
	bool invalid;				/* no vCPU may enter the guest on it again */
	bool hpa_known, walked;			/* walked: below says what it has */
	unsigned references;
	uint64_t vcpus, previous;	    /* bit n: vCPU n runs on it, or keeps it for later */
	uint32_t role;			    /* raw */
	struct tdp_level below[TDP_LEVELS]; /* by level - 1 */
	enum source source;
	bool torn;
};
struct tdp_root_list {
	struct tdp_root *v;
	size_t n;
	enum tdp_kind kind;
	char why[200], next[120]; /* kind, in words; what to look at instead or how to have the others, "" for nothing */
	char rmaps[240];	  /* why there are no reverse maps, and how to get some; "" where they are kept */
	bool ept;		  /* entries have EPT's format, else that of the processor's own tables */
	bool ad;		  /* the processor sets A and D bits in them */
	bool pml;		  /* it logs what it makes dirty; else dirty logging takes away the right to write */
	char nx_huge_pages[12];	  /* the module's parameter, "" if it cannot be read */
	bool nx_off;		  /* this VM has asked to be left out of it */
	uint64_t nx_splits;	  /* tables that KVM would make a huge page of again; nx_splits_known */
	bool nx_splits_known;
	uint64_t tables; /* KVM's own count of tables that are not roots; tables_known */
	bool tables_known, torn;
};

enum rmap_kind { RMAP_EMPTY, RMAP_ONE, RMAP_MANY };
const char *rmap_kind_name(enum rmap_kind k); /* "empty", "one", "many" */

/* The reverse map of one gfn at one level: its head word and its chain. */
struct rmap_desc {
	uint64_t address, more;
	unsigned used;	     /* entries in use */
	unsigned tail_count; /* if the kernel keeps one, else 0 */
};
struct rmap_info {
	uint64_t gfn;
	uint32_t slot;
	unsigned as, level;
	uint64_t head;
	enum rmap_kind kind;
	struct rmap_desc *desc;
	size_t n_desc;
	struct spte_info *sptes;
	size_t n_sptes;
	enum source source;
	bool torn;
	char corrupt[128]; /* what is wrong with the chain, "" if nothing is */
};
struct rmap_list {
	struct rmap_info *v;
	size_t n;
};

#define RMAP_BUCKETS 12 /* 0, 1, 2-3, 4-7, …, 1024 and more */
struct rmap_histogram {
	uint32_t slot;
	unsigned as, level;
	uint64_t counts[RMAP_BUCKETS];
	uint64_t longest, longest_gfn;
	enum source source;
	bool torn;
};
struct rmap_histogram_list {
	struct rmap_histogram *v;
	size_t n;
};
unsigned rmap_bucket(uint64_t sptes); /* which of counts[] */

/* One vCPU's MMIO cache, and the MMIO sptes of the VM. */
struct mmio_info {
	unsigned vcpu;
	uint64_t gva, gfn;
	uint8_t access; /* PTE-style: 1 exec, 2 write, 4 user */
	uint64_t generation, current_generation;
	bool by_gfn; /* a direct MMU's: it is asked by gfn, whatever the access; gva is 0 where KVM was told of none (TDP) */
	bool valid;  /* gva non-zero (by_gfn: gfn) and generation current */
	bool stale;  /* valid, yet the guest's tables now say otherwise */
	char stale_why[160];
	struct spte_info *sptes; /* MMIO sptes; those of the whole VM, given with vCPU 0 only */
	size_t n_sptes;
	bool sptes_off; /* the host makes none (mmio_caching off) */
	enum source source;
	bool torn;
};
struct mmio_info_list {
	struct mmio_info *v;
	size_t n;
};

/* One stage of a guest fault. */
struct fault_stage {
	unsigned n, fault;
	enum stage stage;
	uint64_t gfn;
	bool gfn_known;
	unsigned level; /* 0 if it has none */
	char detail[160];
	bool live;
	unsigned vcpu;
};
struct fault_stage_list {
	struct fault_stage *v;
	size_t n;
};

/* A page that was pushed onto a vCPU's ring of dirty pages (core/mem/dirtyring.h). */
struct dirty_entry {
	unsigned vcpu;
	uint64_t n; /* its number in that ring, from 0 */
	uint32_t slot;
	unsigned as;
	uint64_t serial;      /* of the slot: another one may have its number later */
	uint64_t gfn, offset; /* offset: in pages, from the slot's first */
	bool given_back;      /* its next write is an entry again */
};
/* Of one slot, in the order in which they were read: each ring's own is right, that between two rings is not known. */
struct dirty_entry_list {
	struct dirty_entry *v;
	size_t n;
	unsigned entries; /* that a ring has */
	uint64_t full;	  /* how often a vCPU came out because its ring was full enough */
	uint64_t lost;	  /* entries of the VM that nobody could keep; the bitmap has their pages all the same */
};

struct mmu_event_list {
	struct mmu_event *v;
	size_t n;
	uint64_t lost; /* more came than could be kept */
};

/* X(name, element, owned): struct name_list has elements of struct element. owned: their arrays, OWNS(element, member, how
 * many), OWNS_TABLE for the 512 entries of a page table. All lists begin with v and n. */
#define INSPECT_LISTS(X)                                                                                                    \
	X(mmu_event, mmu_event, )                                                                                           \
	X(dirty_entry, dirty_entry, )                                                                                       \
	X(slot_info, slot_info, )                                                                                           \
	X(spte, spte_info, )                                                                                                \
	X(shadow_page, shadow_page,                                                                                         \
	  OWNS(shadow_page, parents, n_parents) OWNS_TABLE(shadow_page, entries) OWNS(shadow_page, leaves, n_leaves))       \
	X(root, root_info, )                                                                                                \
	X(tdp_root, tdp_root, )                                                                                             \
	X(rmap, rmap_info, OWNS(rmap_info, desc, n_desc) OWNS(rmap_info, sptes, n_sptes))                                   \
	X(rmap_histogram, rmap_histogram, )                                                                                 \
	X(mmio_info, mmio_info, OWNS(mmio_info, sptes, n_sptes))                                                            \
	X(fault_stage, fault_stage, )

/* free: what the list owns; it is empty then. copy: a list of its own, arrays too; -ENOMEM. */
#define LIST_FUNCTIONS(name, element, owned)                                                                                \
	void name##_list_free(struct name##_list *l);                                                                       \
	int name##_list_copy(const struct name##_list *from, struct name##_list *to, struct err *e) MUST_USE;
INSPECT_LISTS(LIST_FUNCTIONS)
#undef LIST_FUNCTIONS

#endif
