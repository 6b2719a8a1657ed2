/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Which variant of each of KVM's structures this kernel has. Decided by which members exist, never by a version number:
 * distributions backport. Filled once for the process from the kernel's BTF; tests fill it from BTF that they build.
 */
#ifndef KVMSCOPE_KVMBACK_KERNEL_KLAYOUT_H
#define KVMSCOPE_KVMBACK_KERNEL_KLAYOUT_H

#include "kvmback/kernel/kbtf.h"

/* F(name in struct klayout, struct, alternatives of the path separated by '|', whether there must be one) */
#define KLAYOUT_FIELDS(F)                                                                                                   \
	F(task_files, "task_struct", "files", 1)                                                                            \
	F(files_fdt, "files_struct", "fdt", 1)                                                                              \
	F(fdt_max, "fdtable", "max_fds", 1)                                                                                 \
	F(fdt_fd, "fdtable", "fd", 1)                                                                                       \
	F(file_private, "file", "private_data", 1)                                                                          \
	F(rb_left, "rb_node", "rb_left", 1)                                                                                 \
	F(rb_right, "rb_node", "rb_right", 1)                                                                               \
	F(kvm_memslots, "kvm", "memslots", 1)                                                                               \
	F(kvm_active, "kvm", "arch.active_mmu_pages", 1)                                                                    \
	F(kvm_n_used, "kvm", "arch.n_used_mmu_pages", 0)                                                                    \
	F(kvm_hash, "kvm", "arch.mmu_page_hash", 0)                                                                         \
	F(kvm_valid_gen, "kvm", "arch.mmu_valid_gen", 0)                                                                    \
	F(kvm_mmio_value, "kvm", "arch.shadow_mmio_value", 0)                                                               \
	F(kvm_tdp_roots, "kvm", "arch.tdp_mmu_roots", 0)                                                                    \
	F(kvm_tdp_pages, "kvm", "arch.tdp_mmu_pages", 0)                                                                    \
	F(kvm_tdp_enabled, "kvm", "arch.tdp_mmu_enabled", 0)                                                                \
	F(kvm_seq, "kvm", "mmu_invalidate_seq|mmu_notifier_seq", 0)                                                         \
	F(kvm_nx_pages, "kvm", "arch.possible_nx_huge_pages|arch.lpage_disallowed_mmu_pages", 0)                            \
	F(kvm_nx_off, "kvm", "arch.disable_nx_huge_pages", 0)                                                               \
	F(slots_generation, "kvm_memslots", "generation", 1)                                                                \
	F(slots_tree, "kvm_memslots", "gfn_tree.rb_node", 0)                                                                \
	F(slots_node_idx, "kvm_memslots", "node_idx", 0)                                                                    \
	F(slots_used, "kvm_memslots", "used_slots", 0)                                                                      \
	F(slots_array, "kvm_memslots", "memslots", 0)                                                                       \
	F(slots_last, "kvm_memslots", "last_used_slot|lru_slot", 0)                                                         \
	F(slots_lru, "kvm_memslots", "lru_slot", 0)                                                                         \
	F(slot_gfn_node, "kvm_memory_slot", "gfn_node", 0)                                                                  \
	F(slot_base_gfn, "kvm_memory_slot", "base_gfn", 1)                                                                  \
	F(slot_npages, "kvm_memory_slot", "npages", 1)                                                                      \
	F(slot_dirty, "kvm_memory_slot", "dirty_bitmap", 1)                                                                 \
	F(slot_rmap, "kvm_memory_slot", "arch.rmap", 1)                                                                     \
	F(slot_hva, "kvm_memory_slot", "userspace_addr", 1)                                                                 \
	F(slot_flags, "kvm_memory_slot", "flags", 1)                                                                        \
	F(slot_id, "kvm_memory_slot", "id", 1)                                                                              \
	F(vcpu_kvm, "kvm_vcpu", "kvm", 1)                                                                                   \
	F(vcpu_regs, "kvm_vcpu", "arch.regs", 1)                                                                            \
	F(vcpu_regs_avail, "kvm_vcpu", "arch.regs_avail", 0)                                                                \
	F(vcpu_mmu, "kvm_vcpu", "arch.mmu", 1)                                                                              \
	F(vcpu_root_mmu, "kvm_vcpu", "arch.root_mmu", 0)                                                                    \
	F(vcpu_guest_mmu, "kvm_vcpu", "arch.guest_mmu", 0)                                                                  \
	F(vcpu_mmio_gva, "kvm_vcpu", "arch.mmio_gva", 1)                                                                    \
	F(vcpu_mmio_access, "kvm_vcpu", "arch.mmio_access", 1)                                                              \
	F(vcpu_mmio_gfn, "kvm_vcpu", "arch.mmio_gfn", 1)                                                                    \
	F(vcpu_mmio_gen, "kvm_vcpu", "arch.mmio_gen", 1)                                                                    \
	F(vcpu_cr0, "kvm_vcpu", "arch.cr0", 0)                                                                              \
	F(vcpu_cr2, "kvm_vcpu", "arch.cr2", 0)                                                                              \
	F(vcpu_cr3, "kvm_vcpu", "arch.cr3", 0)                                                                              \
	F(vcpu_cr4, "kvm_vcpu", "arch.cr4", 0)                                                                              \
	F(vcpu_cr8, "kvm_vcpu", "arch.cr8", 0)                                                                              \
	F(vcpu_efer, "kvm_vcpu", "arch.efer", 0)                                                                            \
	F(vcpu_xcr0, "kvm_vcpu", "arch.xcr0", 0)                                                                            \
	F(vcpu_cr0_owned, "kvm_vcpu", "arch.cr0_guest_owned_bits", 0)                                                       \
	F(vcpu_cr4_owned, "kvm_vcpu", "arch.cr4_guest_owned_bits", 0)                                                       \
	F(vcpu_apic, "kvm_vcpu", "arch.apic", 0)                                                                            \
	F(vcpu_db, "kvm_vcpu", "arch.db", 0)                                                                                \
	F(vcpu_dr6, "kvm_vcpu", "arch.dr6", 0)                                                                              \
	F(vcpu_dr7, "kvm_vcpu", "arch.dr7", 0)                                                                              \
	F(vcpu_guest_debug, "kvm_vcpu", "guest_debug", 0)                                                                   \
	F(mmu_root_hpa, "kvm_mmu", "root.hpa|root_hpa", 1)                                                                  \
	F(mmu_root_pgd, "kvm_mmu", "root.pgd|root_pgd|root_cr3", 1)                                                         \
	F(mmu_role, "kvm_mmu", "root_role|mmu_role.base", 1)                                                                \
	F(mmu_prev, "kvm_mmu", "prev_roots", 0)                                                                             \
	F(mmu_pae_root, "kvm_mmu", "pae_root", 0)                                                                           \
	F(root_pgd, "kvm_mmu_root_info", "pgd|cr3", 0)                                                                      \
	F(root_hpa, "kvm_mmu_root_info", "hpa", 0)                                                                          \
	F(sp_link, "kvm_mmu_page", "link", 1)                                                                               \
	F(sp_tdp, "kvm_mmu_page", "tdp_mmu_page", 0)                                                                        \
	F(sp_unsync, "kvm_mmu_page", "unsync", 1)                                                                           \
	F(sp_valid_gen, "kvm_mmu_page", "mmu_valid_gen", 0)                                                                 \
	F(sp_role, "kvm_mmu_page", "role", 1)                                                                               \
	F(sp_gfn, "kvm_mmu_page", "gfn", 1)                                                                                 \
	F(sp_spt, "kvm_mmu_page", "spt", 1)                                                                                 \
	F(sp_translation, "kvm_mmu_page", "shadowed_translation", 0)                                                        \
	F(sp_gfns, "kvm_mmu_page", "gfns", 0)                                                                               \
	F(sp_root_count, "kvm_mmu_page", "root_count", 1)                                                                   \
	F(sp_tdp_root_count, "kvm_mmu_page", "tdp_mmu_root_count", 0)                                                       \
	F(sp_nx_split, "kvm_mmu_page", "nx_huge_page_disallowed|lpage_disallowed", 0)                                       \
	F(sp_nx_link, "kvm_mmu_page", "possible_nx_huge_page_link|lpage_disallowed_link", 0)                                \
	F(sp_parents, "kvm_mmu_page", "parent_ptes", 1)                                                                     \
	F(role_level, "kvm_mmu_page_role", "level", 1)                                                                      \
	F(role_small, "kvm_mmu_page_role", "has_4_byte_gpte", 0)                                                            \
	F(role_wide, "kvm_mmu_page_role", "gpte_is_8_bytes", 0)                                                             \
	F(role_quadrant, "kvm_mmu_page_role", "quadrant", 1)                                                                \
	F(role_direct, "kvm_mmu_page_role", "direct", 1)                                                                    \
	F(role_access, "kvm_mmu_page_role", "access", 1)                                                                    \
	F(role_invalid, "kvm_mmu_page_role", "invalid", 1)                                                                  \
	F(role_guest_mode, "kvm_mmu_page_role", "guest_mode", 0)                                                            \
	F(role_passthrough, "kvm_mmu_page_role", "passthrough", 0)                                                          \
	F(role_nx, "kvm_mmu_page_role", "efer_nx|nxe", 0)                                                                   \
	F(role_wp, "kvm_mmu_page_role", "cr0_wp", 0)                                                                        \
	F(role_no_ad, "kvm_mmu_page_role", "ad_disabled", 0)                                                                \
	F(role_mirror, "kvm_mmu_page_role", "is_mirror", 0)                                                                 \
	F(role_smm, "kvm_mmu_page_role", "smm", 0)                                                                          \
	F(desc_sptes, "pte_list_desc", "sptes", 1)                                                                          \
	F(desc_more, "pte_list_desc", "more", 1)                                                                            \
	F(desc_count, "pte_list_desc", "spte_count", 0)                                                                     \
	F(desc_tail, "pte_list_desc", "tail_count", 0)

/* Structs of kvm_pvm, kvm_intel and kvm_amd, which may be modules with BTF of their own. None must be there. */
#define KLAYOUT_VENDOR_FIELDS(F)                                                                                            \
	F(pvm_vcpu, "vcpu_pvm", "vcpu", 0)                                                                                  \
	F(pvm_rflags, "vcpu_pvm", "rflags", 0)                                                                              \
	F(pvm_seg, "vcpu_pvm", "seg", 0)                                                                                    \
	F(pvm_gdt, "vcpu_pvm", "gdt|gdt_ptr", 0)                                                                            \
	F(pvm_idt, "vcpu_pvm", "idt|idt_ptr", 0)                                                                            \
	F(vmx_vcpu, "vcpu_vmx", "vcpu", 0)                                                                                  \
	F(vmx_rflags, "vcpu_vmx", "rflags", 0)                                                                              \
	F(vmx_vm86, "vcpu_vmx", "rmode.vm86_active", 0)                                                                     \
	F(vmx_cached, "vcpu_vmx", "segment_cache.bitmask", 0)                                                               \
	F(vmx_seg, "vcpu_vmx", "segment_cache.seg", 0)                                                                      \
	F(vmx_seg_selector, "vcpu_vmx", "segment_cache.seg.selector", 0)                                                    \
	F(vmx_seg_base, "vcpu_vmx", "segment_cache.seg.base", 0)                                                            \
	F(vmx_seg_limit, "vcpu_vmx", "segment_cache.seg.limit", 0)                                                          \
	F(vmx_seg_ar, "vcpu_vmx", "segment_cache.seg.ar", 0)                                                                \
	F(svm_vcpu, "vcpu_svm", "vcpu", 0)                                                                                  \
	F(svm_vmcb, "vcpu_svm", "vmcb", 0)                                                                                  \
	F(svm_vmcb01, "vcpu_svm", "vmcb01.ptr", 0)                                                                          \
	F(svm_vmcb_pa, "vcpu_svm", "vmcb01.pa|vmcb_pa", 0)                                                                  \
	F(vmcb_es, "vmcb", "save.es", 0)                                                                                    \
	F(vmcb_cs, "vmcb", "save.cs", 0)                                                                                    \
	F(vmcb_ss, "vmcb", "save.ss", 0)                                                                                    \
	F(vmcb_ds, "vmcb", "save.ds", 0)                                                                                    \
	F(vmcb_fs, "vmcb", "save.fs", 0)                                                                                    \
	F(vmcb_gs, "vmcb", "save.gs", 0)                                                                                    \
	F(vmcb_tr, "vmcb", "save.tr", 0)                                                                                    \
	F(vmcb_ldtr, "vmcb", "save.ldtr", 0)                                                                                \
	F(vmcb_gdtr, "vmcb", "save.gdtr", 0)                                                                                \
	F(vmcb_idtr, "vmcb", "save.idtr", 0)                                                                                \
	F(vmcb_cpl, "vmcb", "save.cpl", 0)                                                                                  \
	F(vmcb_rflags, "vmcb", "save.rflags", 0)                                                                            \
	F(vmcb_seg_selector, "vmcb_seg", "selector", 0)                                                                     \
	F(vmcb_seg_attrib, "vmcb_seg", "attrib", 0)                                                                         \
	F(vmcb_seg_limit, "vmcb_seg", "limit", 0)                                                                           \
	F(vmcb_seg_base, "vmcb_seg", "base", 0)

enum kslots_how { KSLOTS_TREE, KSLOTS_ARRAY };
enum kdesc_how {
	KDESC_SCAN,  /* entries up to the first NULL; the chain's end is open */
	KDESC_COUNT, /* spte_count in each descriptor */
	KDESC_HEAD,  /* the same, and tail_count; the newest descriptor is head, those after it are full */
};
enum kgfn_how { KGFN_TRANSLATION, KGFN_GFNS }; /* spte to gfn in shadowed guest tables: gfn << 12 | access, or gfn */

/* Bits of arch.regs_avail beyond the general registers and rip: which other registers are in memory now. */
enum kavail { KAVAIL_CR0, KAVAIL_CR3, KAVAIL_CR4, KAVAIL_RFLAGS, KAVAIL_SEGMENTS, KAVAIL_COUNT };

struct klayout {
#define KLAYOUT_MEMBER(name, type, path, must) struct kfield name;
	KLAYOUT_FIELDS(KLAYOUT_MEMBER)
	KLAYOUT_VENDOR_FIELDS(KLAYOUT_MEMBER)
#undef KLAYOUT_MEMBER
	int8_t avail[KAVAIL_COUNT]; /* enum kvm_reg's number, -1 if it has none */
	uint32_t rb_size, slot_size, sp_size, desc_size, root_info_size, mmu_size;
	enum kslots_how slots;
	enum kdesc_how desc;
	enum kgfn_how gfn;
	unsigned as_count, desc_entries;
	bool tdp_list;	  /* tdp_mmu_pages is a list of pages (early kernels), not a counter */
	bool mmu_present; /* sptes of this era have an MMU-present bit; false: look at sptes to find out */
	bool split;	  /* KVM's types come from a module's BTF */
	char where[64];	  /* which BTF */
};

/* From BTF that is open already, with klayout_names() as its names. -ENOENT: KVM's types are not in it. -ENOTSUP: a member
 * that is needed is not there, naming it. */
int klayout_fill(const struct kbtf *b, struct klayout *out, struct err *e) MUST_USE;
const char *const *klayout_names(size_t *n);
/* The vendor's fields again out of a module's BTF, opened like that; those that it does not have stay as they are. */
void klayout_fill_vendor(const struct kbtf *b, struct klayout *l);

/* The running kernel's: /sys/kernel/btf/vmlinux, and /sys/kernel/btf/kvm on top where KVM is a module. Parsed at the first
 * call; the answer, or the error, is kept for the process. The vendor's fields also come from its own module. */
int klayout_get(const struct klayout **out, struct err *e) MUST_USE;

/* A number at a field of a struct whose bytes are at p: 1, 2, 4 or 8 bytes, or a bitfield. 0 if there is no field. */
uint64_t klayout_num(const struct kfield *f, const void *p);

#endif
