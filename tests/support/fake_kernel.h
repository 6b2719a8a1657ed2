/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A kernel's memory made of nothing, for tests of the kernel view: sparse pages at kernel addresses, BTF built for the
 * layouts of several versions, and builders for slots, shadow pages, sptes and reverse maps in whichever layout it is.
 */
#ifndef KVMSCOPE_TESTS_FAKE_KERNEL_H
#define KVMSCOPE_TESTS_FAKE_KERNEL_H

#include "kvmback/kernel/kview_impl.h"

enum fk_version { FK_5_10, FK_6_1, FK_6_12, FK_6_18, FK_7 };

#define FK_BASE 0xffff888000000000ull /* direct map */
#define FK_VM_FD 5
#define FK_VCPU_FD 6
#define FK_SLOTS_MAX 64

struct fk_slot {
	uint64_t at, base_gfn, npages, rmap[3];
	unsigned as;
};

struct fk_sp {
	uint64_t at, spt, translation;
	unsigned level;
};

struct fake_kernel {
	struct kmem m;
	struct klayout l;
	struct khost host;
	enum fk_version version;
	struct fk_mem *page; /* hash of pages */
	size_t pages, mask;
	uint64_t next; /* physical address of the next allocation */
	uint64_t kvm, vcpu[2], set[2], files;
	struct fk_slot slot[FK_SLOTS_MAX];
	unsigned slots;
	/* Called before each read with its number, when set. */
	void (*on_read)(struct fake_kernel *f, uint64_t n, uint64_t addr);
	uint64_t n_reads;
	void *arg;
};

/* The raw BTF of a version's layout; free() it. missing: what to leave out, "struct.member", "struct" or
 * the enum "kvm_reg"; or NULL. split: a second
 * object with KVM's types on top of the first with the others. */
void *fk_btf(enum fk_version v, const char *missing, size_t *len, void **split, size_t *split_len);

void fk_init(struct fake_kernel *f, enum fk_version v, bool tdp);
void fk_free(struct fake_kernel *f);
/* Opens on a VM with one vCPU; asserts that it works. */
struct kview *fk_open(struct fake_kernel *f);

uint64_t fk_alloc(struct fake_kernel *f, size_t size); /* zeroed, 64-byte aligned */
uint64_t fk_alloc_page(struct fake_kernel *f);
void fk_put(struct fake_kernel *f, uint64_t addr, const void *buf, size_t len);
void fk_put64(struct fake_kernel *f, uint64_t addr, uint64_t v);
uint64_t fk_get64(struct fake_kernel *f, uint64_t addr);
void fk_unmap(struct fake_kernel *f, uint64_t addr); /* its page becomes unreadable */
/* A field of a struct at addr, 1 to 8 bytes or a bitfield. */
void fk_set(struct fake_kernel *f, uint64_t addr, const struct kfield *field, uint64_t v);

/* Slots: add, then fk_slots_done() builds the tree or array. */
struct fk_slot *fk_add_slot(struct fake_kernel *f, unsigned as, uint32_t id, uint64_t base_gfn, uint64_t npages,
			    uint32_t flags);
void fk_slots_done(struct fake_kernel *f);
uint64_t fk_rmap_at(const struct fk_slot *s, uint64_t gfn, unsigned level);

/* A shadow page at the end of the active list. */
struct fk_sp fk_add_sp(struct fake_kernel *f, unsigned level, uint64_t gfn, bool direct);
/* A TDP MMU page: a root goes to the list of roots, others to the list of pages where there is one. */
struct fk_sp fk_add_tdp(struct fake_kernel *f, unsigned level, uint64_t gfn, bool root);
/* The page stands in place of a huge one. */
void fk_split(struct fake_kernel *f, const struct fk_sp *sp);
void fk_role(struct fake_kernel *f, const struct fk_sp *sp, const struct kfield *field, uint64_t v);
/* Entry i of a page. */
void fk_entry(struct fake_kernel *f, const struct fk_sp *sp, unsigned i, uint64_t spte);
/* Entry i points to child, and child names it as its only parent. */
void fk_link(struct fake_kernel *f, const struct fk_sp *sp, unsigned i, const struct fk_sp *child);
/* Entry i maps gfn to pfn writable; gives the spte's address. Sets the translation where the page has one. */
uint64_t fk_leaf(struct fake_kernel *f, const struct fk_sp *sp, unsigned i, uint64_t gfn, uint64_t pfn);
/* Non-leaf bits of this version. */
uint64_t fk_table_bits(const struct fake_kernel *f);
/* The vCPU runs on this root. */
void fk_root(struct fake_kernel *f, uint64_t hpa, uint64_t pgd, unsigned level);

/* A chain as KVM would have it: 0, the pointer, or descriptors. Gives the head. */
uint64_t fk_chain(struct fake_kernel *f, const uint64_t *sptes, size_t n);
/* One descriptor as given. */
uint64_t fk_desc(struct fake_kernel *f, const uint64_t *sptes, size_t n, uint64_t count, uint64_t tail, uint64_t more);

#endif
