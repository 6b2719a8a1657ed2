/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Inside the shadow MMU.   shadow.c: pages, roots, zapping   shadow_root.c: roots   shadow_fault.c: one access
 *			    shadow_sync.c: unsync tables, writes to tables, INVLPG   shadow_view.c: inspection
 *
 * A shadow page is one aligned allocation that begins with its table, so an spte's address names its page, and an upper
 * spte's pfn field is the address of the page below. The `shadowed` word of a leaf is gfn << 12 | access, as the kernel has
 * it.
 */
#ifndef KVMSCOPE_CORE_SOFT_MMU_SHADOW_IMPL_H
#define KVMSCOPE_CORE_SOFT_MMU_SHADOW_IMPL_H

#include "core/soft/mmu/arena.h"
#include "core/soft/mmu/shadow.h"

#define SPT_ENTRIES 512
#define SHADOW_HASH_BITS 12
#define SHADOW_HASH_SIZE (1u << SHADOW_HASH_BITS)
#define SHADOW_MAX_PAGES 16384
#define RMAP_RECYCLE_THRESHOLD 1000 /* as KVM: sptes of one frame before one more makes it zap them all */
#define ACC_EXEC 1u
#define ACC_WRITE 2u
#define ACC_USER 4u
#define ACC_ALL 7u

/* A shadow page (the kernel's struct kvm_mmu_page). */
struct mmu_page {
	uint64_t spt[SPT_ENTRIES];
	uint64_t shadowed[SPT_ENTRIES];
	struct rmap_node *desc_of[SPT_ENTRIES]; /* descriptor of each spte: in its gfn's rmap, or in its child's parents */
	struct mmu_page *hash_next;
	struct mmu_page *older, *newer; /* in order of creation */
	struct mmu_page *unsync_next;
	uint64_t gfn;
	struct shadow_role role;
	uint64_t parents; /* an rmap head over the upper sptes that point here */
	unsigned roots;
	unsigned writes; /* emulated ones to this table above the leaves, since a fault last went through it */
	bool unsync, invalid, pae_root;
};

/* Reverse-map heads of one slot. */
struct slot_mmu {
	uint64_t *rmap; /* one word a page */
	uint64_t pages;
};

/* Reverse-map heads by host page, for cfg.rmap_host_page. */
struct host_head {
	struct host_head *next;
	uint64_t host_page, head;
};

struct shadow {
	struct shadow_config cfg;
	struct mmu_page *hash[SHADOW_HASH_SIZE];
	struct mmu_page *oldest, *newest;
	struct mmu_page *unsync;       /* list of unsync pages */
	struct mmu_page *zapped_roots; /* invalid roots, freed when the last reference goes */
	size_t n_pages;
	struct arena_mark mark;
	struct arena *arena; /* of shadow pages and descriptors */
	struct host_head *host_hash[SHADOW_HASH_SIZE];
	struct rmap_env env;
};

/* shadow_event.c: report what happens to a shadow page, and an spte that was set. */
void mmu_page_event(const struct shadow *s, const struct mmu_page *sp, enum mmu_kind kind);
void spte_event(const struct shadow *s, const struct mmu_page *sp, const uint64_t *sptep, uint64_t gfn);
static inline struct mmu_page *mmu_page_of(const uint64_t *sptep)
{
	return (struct mmu_page *)((uintptr_t)sptep & ~(uintptr_t)PAGE_OFFSET_MASK);
}
static inline struct mmu_page *mmu_page_child(uint64_t spte)
{
	return (struct mmu_page *)(uintptr_t)(spte & SPTE_PFN_MASK);
}
static inline bool spte_present(uint64_t spte)
{
	return spte & SPTE_MMU_PRESENT;
}
static inline unsigned spt_index(uint64_t gva, unsigned level)
{
	return gva >> (PAGE_SHIFT + 9 * (level - 1)) & (SPT_ENTRIES - 1);
}
static inline unsigned mmu_page_hash(uint64_t gfn)
{
	return (unsigned)(gfn * 0x9e3779b97f4a7c15ull >> (64 - SHADOW_HASH_BITS));
}
bool role_equal(const struct shadow_role *a, const struct shadow_role *b);

/* shadow.c */
/* Find or make the page; a found unsync one is synced by the caller. *made: it is new. NULL if memory is out. */
struct mmu_page *mmu_page_get(struct shadow *s, uint64_t gfn, const struct shadow_role *role, bool pae_root, bool *made,
			      struct err *e);
void mmu_page_zap(struct shadow *s, struct mmu_page *sp);
int spte_link(struct shadow *s, struct mmu_page *sp, unsigned index, struct mmu_page *child, struct err *e) MUST_USE;
/* Replace a leaf or empty spte; keeps the reverse map right. new_spte SPTE_EMPTY drops. gfn and access are what it shadows.
 */
int spte_set(struct shadow *s, struct mmu_page *sp, unsigned index, uint64_t new_spte, uint64_t gfn, unsigned access,
	     struct err *e) MUST_USE;
void spte_drop(struct shadow *s, struct mmu_page *sp, unsigned index); /* leaf, link or MMIO */
uint64_t rmap_zap(struct shadow *s, const uint64_t *head);	       /* every spte of the chain; how many. shadow_sync.c */
uint64_t *rmap_head(struct shadow *s, uint64_t gfn, bool smm, uint64_t host_page, bool create);
void shadow_flush(struct shadow *s, uint64_t gva_page);
struct mmu_page *shadow_root(struct shadow *s, struct shadow_vcpu *v, const struct paging *pg, bool smm,
			     const struct paging_mem *mem, struct err *e);
unsigned root_level(const struct paging *pg);

/* shadow_sync.c */
/* The leaf spte of gfn; *protected: access asks for W, and gfn is a guest table that may not go unsync. */
uint64_t spte_make(struct shadow *s, const struct slot *slot, uint64_t gfn, unsigned access, bool may_unsync,
		   bool *protected);
/* Bring every unsync page at or below sp up to date. */
void shadow_sync_below(struct shadow *s, struct mmu_page *sp, const struct paging *pg, const struct paging_mem *mem);
/* A page that was there is about to be linked: a processor must not find what its guest table no longer says. An unsync leaf
 * table itself stays unsync and writable, until a flush by the guest. */
void shadow_refresh(struct shadow *s, struct mmu_page *sp, const struct paging *pg, const struct paging_mem *mem);
void mmu_page_unsync_remove(struct shadow *s, struct mmu_page *sp);
uint64_t mmu_page_gpte_gpa(const struct mmu_page *sp, unsigned index);
unsigned gpte_access(const struct paging *pg, uint64_t gpte, bool gpte4);

#endif
