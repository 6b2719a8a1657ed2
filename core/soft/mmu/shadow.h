/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The shadow MMU: tables that map gva straight to the host, made on demand from the guest's own tables. One struct shadow a
 * machine, shared by its vCPUs; it owns shadow pages (by (gfn, role) in a hash), their sptes, the reverse maps (beside the
 * slots, by slot and gfn), and decides what is write-protected, unsync, zapped.
 *
 * Source: Linux Documentation/virt/kvm/x86/mmu.rst; arch/x86/kvm/mmu of Linux 6.
 *
 * spte bits, as current KVM's legacy format: 0 P, 1 W, 2 U, 5 A, 6 D, 7 large, 9 host-writable, 10 MMU-writable, 11
 * MMU-present, 12-51 pfn, 63 NX. The pfn is that of the debugger's own mapping (alias address >> 12): the model's host
 * memory. Not present is 1 << 63, as on the development host.
 */
#ifndef KVMSCOPE_CORE_SOFT_MMU_SHADOW_H
#define KVMSCOPE_CORE_SOFT_MMU_SHADOW_H

#include "core/soft/mmu/mmio.h"
#include "core/mem/paging.h"
#include "core/soft/mmu/rmap.h"
#include "core/run/stop.h"

#define SPTE_P (1ull << 0)
#define SPTE_W (1ull << 1)
#define SPTE_U (1ull << 2)
#define SPTE_A (1ull << 5)
#define SPTE_D (1ull << 6)
#define SPTE_HOST_WRITABLE (1ull << 9)
#define SPTE_MMU_WRITABLE (1ull << 10)
#define SPTE_MMU_PRESENT (1ull << 11)
#define SPTE_NX (1ull << 63)
#define SPTE_EMPTY (1ull << 63)
#define SPTE_PFN_MASK 0x000ffffffffff000ull

/* What tells two shadow pages of one gfn apart. */
struct shadow_role {
	uint8_t level;	    /* 1 to 5 */
	bool direct, gpte4; /* gpte4: the guest's entries are 4 bytes */
	uint8_t quadrant;
	uint8_t access; /* 1 exec, 2 write, 4 user: rights of the levels above */
	bool nx, wp, smep_not_wp, smap_not_wp, smm;
};

/* Stages of a fault, each given to a hook; the hook may stop the fault there by returning non-zero (then shadow_access()
 * gives -EINTR, with nothing half-done that a new fault would not finish). */
struct shadow_stage {
	enum stage stage;
	uint64_t gfn;
	bool gfn_known;
	unsigned level;
	char detail[160];
	/* of the access that faulted */
	uint64_t gva;
	unsigned access;
	uint64_t fault; /* counts this vCPU's faults */
};
typedef int shadow_stage_fn(void *ctx, const struct shadow_stage *st);

struct shadow;
struct shadow_config {
	struct slot_table *slots;
	bool mmio_sptes;
	bool rmap_host_page;	 /* heads by host page instead of slot and gfn, as in KVM's first reverse map */
	bool rmap_writable_only; /* only writable sptes are in it, as in KVM's first reverse map */
	size_t max_pages;	 /* shadow pages before the oldest are recycled; 0: 65536 */
	/* Called when sptes that a TLB may hold went away or lost rights: flush every vCPU's TLB (gva_page all ones), or one
	 * page. */
	void (*flush)(void *ctx, uint64_t gva_page);
	void *flush_ctx;
	/* Called with each zap, unsync, sync and present leaf spte as it happens (vcpu and time are left 0). NULL: nobody
	 * asks.
	 */
	void (*event)(void *ctx, const struct mmu_event *ev);
	void *event_ctx;
};
int shadow_create(const struct shadow_config *cfg, struct shadow **out, struct err *e) MUST_USE;
void shadow_destroy(struct shadow *s);

/* Per vCPU. */
struct shadow_vcpu {
	void *root; /* current root page, NULL: none yet */
	void *prev_root[3];
	struct mmio_cache mmio;
	uint64_t faults;	/* taken so far */
	shadow_stage_fn *stage; /* NULL: nobody watches */
	void *stage_ctx;
};

/* What an access comes to. */
enum shadow_result_kind {
	SHADOW_MAPPED,	    /* an spte allows it now: host, rights */
	SHADOW_GUEST_FAULT, /* fault is to be delivered */
	SHADOW_MMIO,	    /* no slot, or a write to READONLY memory: emulate it as an access of gpa */
	SHADOW_EMULATE,	    /* memory, but it may not be mapped writable (a shadowed guest table, or a user's page that a
			       supervisor writes with WP clear under SMAP): do the access through the pipeline, then
			       shadow_wrote() */
};
struct shadow_result {
	enum shadow_result_kind kind;
	uint64_t gpa;
	uint8_t *host;	/* of the page (4 KiB) */
	uint8_t rights; /* of the spte: ACCESS_WRITE, ACCESS_FETCH, ACCESS_USER */
	uint64_t spte;
	struct guest_fault fault;
	bool readonly;	 /* MMIO because the slot is READONLY */
	bool from_cache; /* MMIO answered by the cache or an MMIO spte, without a walk */
	struct slot *slot;
};

/* Does the MMIO cache answer for this access (enum access)? Its rights, and SMAP. */
bool shadow_mmio_match(const struct mmio_cache *c, const struct paging *pg, uint64_t gva, unsigned access,
		       uint64_t generation);

/* As the MMU does on a TLB miss: look in the shadow tables, and only if they do not allow it take the fault: guest walk
 * (A/D bits set through mem), slot, shadow pages, spte, rmap, MMIO cache. emulator: the access begins in the emulator, which
 * asks the MMIO cache before it walks. */
int shadow_access(struct shadow *s, struct shadow_vcpu *v, const struct paging *pg, const struct paging_mem *mem,
		  uint64_t gva, unsigned access, bool smm, bool emulator, struct shadow_result *out, struct err *e) MUST_USE;

/* A vCPU's roots taken and given up. */
void shadow_vcpu_init(struct shadow_vcpu *v);
void shadow_vcpu_deinit(struct shadow *s, struct shadow_vcpu *v);

/* Events that change what the tables may say. */
/* A CR3 load, or a change of mode or role bits: clears the MMIO cache, takes the root, syncs what is unsync below it. The
 * caller flushes its TLB. */
void shadow_load_cr3(struct shadow *s, struct shadow_vcpu *v, const struct paging *pg, const struct paging_mem *mem,
		     bool smm);
void shadow_invlpg(struct shadow *s, struct shadow_vcpu *v, const struct paging *pg, const struct paging_mem *mem,
		   uint64_t gva);
/* Guest memory [gpa, gpa+len) was written by other means than an spte: zap or sync what shadows it. */
void shadow_wrote(struct shadow *s, uint64_t gpa, uint64_t len, bool smm);
/* The same for one write of an emulated instruction, within a page. A table that is written across its entries, or above the
 * leaves three times without a fault that used it, is taken for data: its pages are zapped. */
void shadow_emulated_write(struct shadow *s, uint64_t gpa, uint64_t len);
void shadow_zap_slot(struct shadow *s, struct slot *slot);			      /* deleted or moved: everything */
int shadow_slot_created(struct shadow *s, struct slot *slot, struct err *e) MUST_USE; /* its rmap array */
void shadow_slot_gone(struct shadow *s, struct slot *slot);			      /* frees its rmap array */
void shadow_write_protect_slot(struct shadow *s, struct slot *slot); /* dirty logging turned on or cleared */
unsigned shadow_write_protect_gfn(struct shadow *s, struct slot *slot, uint64_t gfn); /* sptes that lost W */
void shadow_zap_all(struct shadow *s);
/* Every spte that maps gfn, and every shadow page of it as a guest table: how many sptes went. */
uint64_t shadow_zap_gfn(struct shadow *s, struct slot *slot, uint64_t gfn);
/* Every range of host memory that the tables are made of: their bytes copied away and back later, at the same addresses and
 * with the same slots, are the tables as they were then (not with cfg.rmap_host_page). fn's first non-zero. */
int shadow_each_range(struct shadow *s, int (*fn)(void *ctx, void *at, size_t len), void *ctx);

/* Inspection, for the machine ops of the same names. */
int shadow_pages_list(struct shadow *s, unsigned flags, struct shadow_page_list *out, struct err *e) MUST_USE;
int shadow_sptes_list(struct shadow *s, const struct shadow_vcpu *v, uint64_t first, uint64_t last, struct spte_list *out,
		      struct err *e) MUST_USE;
int shadow_rmap(struct shadow *s, uint64_t gfn, struct rmap_list *out, struct err *e) MUST_USE;
int shadow_rmap_all(struct shadow *s, struct rmap_list *out, struct err *e) MUST_USE;
int shadow_rmap_histogram(struct shadow *s, struct rmap_histogram_list *out, struct err *e) MUST_USE;
int shadow_roots(struct shadow *s, const struct shadow_vcpu *const *v, unsigned n, struct root_list *out,
		 struct err *e) MUST_USE;
/* Every MMIO spte of the machine. */
int shadow_mmio_sptes(struct shadow *s, struct spte_info **out, size_t *n, struct err *e) MUST_USE;

#endif
