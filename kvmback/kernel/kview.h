/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The running kernel's own copy of a VM's memory virtualization, read while it is there: memslots, shadow and TDP MMU pages,
 * roots, sptes, reverse maps, the MMIO cache. Every read is bounded, retried where the structure moved, and labelled torn
 * where it still did. Kernel memory is hostile input: no loop without a limit, no pointer followed without a check.
 *
 * Layers: kmem (bytes at a kernel address: the BPF reader, or a test's array) → kbtf (offsets by BTF) → klayout (which
 * variant of each structure this kernel has, by field existence) → kview.
 */
#ifndef KVMSCOPE_KVMBACK_KERNEL_KVIEW_H
#define KVMSCOPE_KVMBACK_KERNEL_KVIEW_H

#include "core/machine/looks.h"

struct kview;

/* Open on a VM by its descriptors in this process. -EPERM (no CAP_BPF), -ENOENT (no BTF, or none of KVM's types), -ENOTSUP
 * (a layout that is not known, naming the field): each says how to get it. */
int kview_open(int vm_fd, const int *vcpu_fds, unsigned n_vcpus, struct kview **out, struct err *e) MUST_USE;
void kview_close(struct kview *k);

/* Is this a TDP MMU? and whether MMIO sptes are made. */
bool kview_tdp(const struct kview *k);
bool kview_ept(const struct kview *k);	   /* and in EPT's format? */
bool kview_tdp_mmu(const struct kview *k); /* and is it the TDP MMU that keeps them (parameter tdp_mmu of kvm)? */
int kview_slots(struct kview *k, struct slot_info_list *out, struct err *e) MUST_USE;
int kview_generation(struct kview *k, unsigned as, uint64_t *out, struct err *e) MUST_USE;
/* The looks of core/machine/looks.h: kview_roots(k, out, e) and its like. With TDP the tables of kview_sptes() are walked by
 * gpa: first, last and the sptes' gva are guest physical, and gva_known is false. Of kview_mmio() stale and stale_why are
 * left to the caller, who knows the guest's tables. */
#define KVIEW_LOOK(name, words, needs, list, shape)                                                                         \
	int kview_##name(struct kview *k, LOOK_PARAMS_##shape struct list *out, struct err *e) MUST_USE;
MACHINE_LOOK_LIST(KVIEW_LOOK)
#undef KVIEW_LOOK
/* kview_rmap_all() a row at a time, of the sptes only sptep; *row lives during the call only. */
int kview_rmap_each(struct kview *k, int (*fn)(void *arg, const struct rmap_info *row), void *arg, struct err *e) MUST_USE;
/* While on: the shadow pages are read once, by the first call that needs them. */
void kview_hold(struct kview *k, bool on);
/* Registers of a vCPU straight from the kernel's memory, for one that is parked in it. *out comes with the parts of the last
 * stop (all but smm are looked for); what memory has now is put over them and the rest marked in out->old. A part that is
 * not in out->valid joins it where all of it was read. -ENODATA where memory has none of the general registers, or some of
 * them nobody; -EAGAIN where they would not stand still. */
struct regs;
int kview_regs(struct kview *k, unsigned vcpu, struct regs *out, struct err *e) MUST_USE;
/* Its rip alone, by one read: -ENODATA where this KVM keeps it in the processor. */
int kview_rip(struct kview *k, unsigned vcpu, uint64_t *rip, struct err *e) MUST_USE;
/* The sixteen general registers and rip alone, in one read, as kview_regs() has them. */
int kview_gprs(struct kview *k, unsigned vcpu, uint64_t gpr[16], uint64_t *rip) MUST_USE;
/* The kernel's dirty bitmap of a slot as it is (no log ioctl): n words of 64 pages. */
int kview_dirty(struct kview *k, uint32_t slot, unsigned as, uint64_t *bits, size_t n, struct err *e) MUST_USE;
/* True if gfn is shadowed as a guest table now (some non-direct shadow page has it). */
int kview_is_table(struct kview *k, uint64_t gfn, bool *out, struct err *e) MUST_USE;
/* Rows for `info kvm`: reader, BTF, layout variants chosen, spte bit table chosen. */
int kview_facts(struct kview *k, int (*fn)(void *arg, const char *what, const char *value, const char *why), void *arg,
		struct err *e) MUST_USE;

#endif
