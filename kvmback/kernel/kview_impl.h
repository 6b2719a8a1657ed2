/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Inside the kernel view: the opened VM, and the pieces that its operations are made of. A memory read that fails because a
 * structure went away is told apart (-EFAULT) from a reader that does not work; operations then try again, and say "torn"
 * in the end.
 */
#ifndef KVMSCOPE_KVMBACK_KERNEL_KVIEW_IMPL_H
#define KVMSCOPE_KVMBACK_KERNEL_KVIEW_IMPL_H

#include "core/cpu/regs.h"
#include "kvmback/kernel/klayout.h"
#include "kvmback/kernel/kmem.h"
#include "kvmback/kernel/kspte.h"
#include "kvmback/kernel/kview.h"

#define KVIEW_TRIES 4	       /* how often a moving structure is read again */
#define KVIEW_PAGES_MAX 262144 /* shadow pages: 1 GiB of tables */
#define KVIEW_CHAIN_MAX 65536  /* sptes of one chain */
#define KVIEW_SLOTS_MAX 65536

/* Whose structs the vCPUs are: struct vcpu_vmx, vcpu_svm or vcpu_pvm. */
enum kvendor { KVENDOR_VMX, KVENDOR_SVM, KVENDOR_PVM };

/* What the host says of itself outside struct kvm; tests make one up. */
struct khost {
	bool tdp; /* ept or npt is on */
	bool ept; /* sptes have the EPT format */
	enum kvendor vendor;
	int mmio_caching; /* 1 on, 0 off, -1 not known */
	int tdp_mmu;	  /* the same of kvm.tdp_mmu */
	bool ad, pml;	  /* of TDP's entries: the processor sets A and D bits; it logs what it makes dirty */
	char nx_huge_pages[12];
	unsigned maxphyaddr;
	int l1tf; /* the processor has that fault, and MMIO sptes their guard: 1, 0, -1 not known */
};
int khost_get(struct khost *h); /* 0, or a negative errno that passes */

/* One memslot of the kernel's. */
struct kslot {
	uint64_t at; /* of struct kvm_memory_slot */
	uint64_t base_gfn, npages, hva, dirty;
	uint64_t rmap[4];
	uint32_t flags, id;
	unsigned as;
};
struct kslots {
	struct kslot *v; /* by address space, then gfn */
	size_t n;
	uint64_t set[2], generation[2]; /* per address space: struct kvm_memslots and its generation */
	bool torn;
};

/* One shadow or TDP MMU page. */
struct kpage {
	uint64_t at; /* of struct kvm_mmu_page; 0: not known, found by walking down */
	uint64_t spt, gfn;
	uint64_t translation; /* shadowed_translation or gfns, 0 for none */
	uint64_t parents;     /* parent_ptes; for TDP pages the parent's spte address */
	uint32_t role, roots;
	uint8_t level, access, quadrant;
	bool direct, invalid, smm, guest_mode, small_gpte, passthrough, unsync, tdp, obsolete;
	bool nx, wp, no_ad, mirror; /* of the role, too */
	bool tdp_root;		    /* in the TDP MMU's list of roots */
	bool nx_split;		    /* instead of a huge page, because of its code */
	uint64_t *entries;	    /* 512, NULL if not read */
};
struct kpages {
	struct kpage *v;
	size_t n;
	uint32_t *index; /* by spt: open addressing, position + 1 */
	size_t mask;
	struct kblock *blocks; /* what the entries stand in */
	uint64_t base;	       /* of the kernel's direct map: spt virtual = base + physical; 0: not known */
	uint64_t nx_possible;  /* pages that KVM would make a huge page of again */
	bool torn;
	bool borrowed; /* the view's own, held: v, index and blocks are not this copy's */
};

/* One chain of sptes behind a tagged head: an rmap or a page's parents. */
struct kchain {
	uint64_t head;
	uint64_t *sptes; /* their addresses; NULL and n 1: `one` */
	uint64_t one;
	size_t n, cap;
	struct rmap_desc *desc;
	size_t n_desc, cap_desc;
	/* By kchain_settle(). What the sptes are, 0 for one that cannot be read; NULL and n 1: `value`. torn: they kept
	 * changing. */
	uint64_t *values;
	uint64_t value;
	bool torn;
	char corrupt[128]; /* what is wrong with it; "" where it is torn */
	/* while it is read */
	uint64_t next, check;
};

struct kroot { /* where a walk begins */
	uint64_t hpa, pgd;
	unsigned level;
	uint32_t role;
	uint64_t pae_root; /* of the mmu that it is of */
	bool current, previous, guest_mode;
};
struct kroots {
	struct kroot v[12];
	size_t n;
};

struct kview {
	struct kmem *mem;
	const struct klayout *l;
	struct khost host;
	struct kspte_bits bits;
	bool bits_sure;
	uint64_t kvm;
	uint64_t vcpu[64];
	unsigned vcpus;
	uint64_t task;
	struct kslots slots;	  /* as of the last look; valid while set and generation are the same */
	uint64_t known_set[2][2]; /* sets that were active, by address space; 0: not yet two */
	uint64_t base;		  /* of the direct map, once known */
	bool hold, has_held;	  /* kview_hold() */
	struct kpages held;
	char files_of[24];
};

/* kview.c. Takes mem over, also on failure. */
int kview_open_on(struct kmem *mem, const struct klayout *l, const struct khost *host, int vm_fd, const int *vcpu_fds,
		  unsigned n, struct kview **out, struct err *e) MUST_USE;

/* kslots.c */
int kslots_get(struct kview *k, const struct kslots **out, struct err *e) MUST_USE;
void kslots_free(struct kslots *s);
/* Read one slot's arch.rmap again: the arrays may come later than the slot. */
int kslots_rmap(struct kview *k, const struct kslot *s, uint64_t rmap[4], struct err *e) MUST_USE;

/* kpages.c. The list of pages is read anew at each call: shadow pages come and go without a generation. */
enum { KPAGES_ENTRIES = 1 };
int kpages_get(struct kview *k, unsigned flags, struct kpages *out, struct err *e) MUST_USE;
void kpages_free(struct kpages *p);
/* Read a page's entries if they are not there yet. */
int kpages_entries(struct kview *k, struct kpages *p, struct kpage *page, struct err *e) MUST_USE;
struct kpage *kpages_by_spt(const struct kpages *p, uint64_t spt);
/* The page that a non-leaf spte points to, NULL if it is not among them. */
struct kpage *kpages_child(const struct kpages *p, uint64_t spte);
struct kpage *kpages_by_hpa(const struct kpages *p, uint64_t hpa);

/* ktdp.c. Which tables this VM has. */
enum tdp_kind ktdp_kind(struct kview *k);

/* ksegs.c. Base of the direct map by a VMCB, of which KVM keeps both addresses. False: no VMCB, or it does not say. */
bool ksegs_vmcb_base(struct kview *k, unsigned vcpu, uint64_t *base);

/* kregs.c. A number of up to 8 bytes at a field of a struct at `at`: false if there is no such field or it cannot be
 * read. */
bool kregs_num(struct kview *k, uint64_t at, const struct kfield *f, uint64_t *out);
/* Does arch.regs_avail say that memory has it? */
bool kregs_avail(const struct kview *k, uint64_t avail, enum kavail what);
/* What has been read is of now. */
static inline void kregs_fresh(struct regs *r, unsigned bit)
{
	r->old &= ~(1ull << bit);
}

/* ksegs.c: rflags, segments and descriptor tables of a vCPU as its vendor keeps them; what memory does not have, or cannot
 * be read, stays as it is. avail: arch.regs_avail. */
void ksegs_read(struct kview *k, unsigned vcpu, uint64_t avail, struct regs *r);

/* kchain.c: read n chains at once. Errors only if the reader itself fails; what is wrong with a chain is in it. */
int kchain_read(struct kview *k, struct kchain *v, size_t n, struct err *e) MUST_USE;
void kchain_free(struct kchain *c);
/* The same for chains that may change meanwhile, with what their sptes are: what differs when it is looked at again, or maps
 * no page at this level, is read anew from its head on, KVIEW_TRIES times at most. at: where the heads stand; each v[i] has
 * the head that was found there. level 0: the sptes are not read. */
int kchain_settle(struct kview *k, const uint64_t *at, struct kchain *v, size_t n, unsigned level, struct err *e) MUST_USE;
static inline uint64_t kchain_value(const struct kchain *c, size_t i)
{
	return c->values ? c->values[i] : c->value;
}
static inline uint64_t kchain_spte(const struct kchain *c, size_t i)
{
	return c->sptes ? c->sptes[i] : c->one;
}

/* knested.c: is a page one of those that shadow L1's nested tables, and under which of L1's roots? */
struct knested {
	bool is;
	uint64_t l1_root; /* gpa */
};
bool knested_may_be(const struct kview *k, const struct kpage *page);
struct knested knested_of(struct kview *k, const struct kpages *p, const struct kpage *page);
/* Into rows of pages whose parents are in them; rows[i] is of p->v[i]. */
void knested_rows(const struct kview *k, const struct kpages *p, struct shadow_page *rows);
/* r->nested by the MMU that the vCPU is on now. was: all registers as of the last stop, from which what memory does not have
 * is taken: L1's control registers. */
void knested_regs(struct kview *k, unsigned vcpu, const struct regs *was, struct regs *r);

/* kwalk.c */
int kroots_get(struct kview *k, unsigned vcpu, struct kroots *out, struct err *e) MUST_USE;
/* First gva that entry index of a page maps, by the page's parents. How many different ones there are: 0, 1 or 2 (more). */
struct kgva {
	uint64_t gva;
	unsigned n;
};
int kwalk_gva(struct kview *k, struct kpages *p, const struct kpage *page, unsigned index, struct kgva *out,
	      struct err *e) MUST_USE;
/* gfn that a leaf of a page maps where the page alone says it; false for shadowed tables. */
bool kwalk_leaf_gfn(const struct kpage *page, unsigned index, uint64_t *gfn);
/* The leaf and MMIO sptes of a page whose entries have been read, by index, with their gfns; row->sptes and row->mmio_sptes
 * say how many there may be. */
int kwalk_leaves(struct kview *k, const struct kpages *p, const struct kpage *page, struct shadow_page *row,
		 struct err *e) MUST_USE;

#endif
