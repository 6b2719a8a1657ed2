/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Inside the shadow MMU.   shadow.c: pages, roots, zapping   shadow_fault.c: the way of one access
 *			    shadow_sync.c: unsync tables, writes to tables, INVLPG   shadow_view.c: inspection
 *
 * A shadow page is one aligned allocation that begins with its table, so an spte's address names its page, and an upper
 *spte's pfn field is the address of the page below. The `shadowed` word of a leaf is gfn << 12 | access, as the kernel keeps
 *it.
 */
#ifndef KVMSCOPE_CORE_MEM_SHADOW_IMPL_H
#define KVMSCOPE_CORE_MEM_SHADOW_IMPL_H

#include "core/soft/mmu/arena.h"
#include "core/soft/mmu/shadow.h"

#define SPT_ENTRIES 512
#define SHADOW_HASH_BITS 12
#define SHADOW_HASH_SIZE (1u << SHADOW_HASH_BITS)
#define SHADOW_MAX_PAGES 16384
#define ACC_EXEC 1u
#define ACC_WRITE 2u
#define ACC_USER 4u
#define ACC_ALL 7u

struct spage {
	uint64_t spt[SPT_ENTRIES];
	uint64_t shadowed[SPT_ENTRIES];
	struct rmap_node *where[SPT_ENTRIES]; /* descriptor of each spte: in its gfn's rmap, or in its child's parents */
	struct spage *hash_next;
	struct spage *older, *newer; /* in order of creation */
	struct spage *unsync_next;
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

/* The seed's key: heads by host page. */
struct host_head {
	struct host_head *next;
	uint64_t host_page, head;
};

struct shadow {
	struct shadow_config cfg;
	struct spage *hash[SHADOW_HASH_SIZE];
	struct spage *oldest, *newest;
	struct spage *unsync; /* list of unsync pages */
	struct spage *doomed; /* invalid roots, freed when the last reference goes */
	size_t n_pages;
	struct arena_mark mark;
	struct arena *arena; /* of shadow pages and descriptors */
	struct host_head *host_hash[SHADOW_HASH_SIZE];
	struct rmap_env env;
};

/* shadow_event.c: tell of what happens to a shadow page, and of an spte that was set. */
void spage_event(const struct shadow *s, const struct spage *sp, enum mmu_kind kind);
void spte_event(const struct shadow *s, const struct spage *sp, const uint64_t *sptep, uint64_t gfn);
static inline struct spage *spage_of(const uint64_t *sptep)
{
	return (struct spage *)((uintptr_t)sptep & ~(uintptr_t)PAGE_OFFSET_MASK);
}
static inline struct spage *spage_child(uint64_t spte)
{
	return (struct spage *)(uintptr_t)(spte & SPTE_PFN_MASK);
}
static inline bool spte_present(uint64_t spte)
{
	return spte & SPTE_MMU_PRESENT;
}
static inline unsigned spt_index(uint64_t gva, unsigned level)
{
	return gva >> (PAGE_SHIFT + 9 * (level - 1)) & (SPT_ENTRIES - 1);
}
static inline unsigned spage_hash(uint64_t gfn)
{
	return (unsigned)(gfn * 0x9e3779b97f4a7c15ull >> (64 - SHADOW_HASH_BITS));
}
bool role_equal(const struct shadow_role *a, const struct shadow_role *b);

/* shadow.c */
/* Find or make the page; a found unsync one is synced by the caller. *made tells. NULL where memory is out. */
struct spage *spage_get(struct shadow *s, uint64_t gfn, const struct shadow_role *role, bool pae_root, bool *made,
			struct err *e);
void spage_zap(struct shadow *s, struct spage *sp);
int spte_link(struct shadow *s, struct spage *sp, unsigned index, struct spage *child, struct err *e) MUST_USE;
/* Replace a leaf or empty spte; keeps the reverse map right. new_spte SPTE_EMPTY drops. gfn and access are what it shadows.
 */
int spte_set(struct shadow *s, struct spage *sp, unsigned index, uint64_t new_spte, uint64_t gfn, unsigned access,
	     struct err *e) MUST_USE;
void spte_drop(struct shadow *s, struct spage *sp, unsigned index); /* leaf, link or MMIO */
uint64_t *rmap_head(struct shadow *s, uint64_t gfn, bool smm, uint64_t host_page, bool create);
void shadow_flush(struct shadow *s, uint64_t gva_page);
struct spage *shadow_root(struct shadow *s, struct shadow_vcpu *v, const struct paging *pg, bool smm,
			  const struct paging_mem *mem, struct err *e);
unsigned root_level(const struct paging *pg);

/* shadow_fault.c */
uint64_t spte_make(struct shadow *s, const struct slot *slot, uint64_t gfn, unsigned access, bool may_unsync,
		   bool *protected);

/* shadow_sync.c */
/* True where gfn may be mapped writable: no table, or, with may_unsync, only leaf tables, which become unsync. */
bool shadow_try_unsync(struct shadow *s, uint64_t gfn, bool may_unsync);
/* Bring every unsync page at or below sp up to date. */
void shadow_sync_below(struct shadow *s, struct spage *sp, const struct paging *pg, const struct paging_mem *mem);
/* A page that was there is about to be linked: a processor must not find what its guest table no longer says. An unsync leaf
 * table itself stays unsync and writable, until a flush by the guest. */
void shadow_refresh(struct shadow *s, struct spage *sp, const struct paging *pg, const struct paging_mem *mem);
void spage_unsync_remove(struct shadow *s, struct spage *sp);
uint64_t spage_gpte_gpa(const struct spage *sp, unsigned index);
unsigned gpte_access(const struct paging *pg, uint64_t gpte, bool gpte4);

#endif
