/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * BTF for the layouts of several kernels, as a table of members: which struct, which name, what kind, and in which versions.
 * Offsets are made up (each version starts its structs with other padding); what exists, and how large, is as it was.
 */
#include "tests/support/fake_kernel.h"

#include <bpf/btf.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum kind { U8, U16, U32, U64, PTR, LIST, BITS, SUB, ARRAY_PTR, ARRAY_U16, ARRAY_U64, ARRAY_SUB, FLEX_SUB };

#define V510 (1 << FK_5_10)
#define V61 (1 << FK_6_1)
#define V612 (1 << FK_6_12)
#define V618 (1 << FK_6_18)
#define V7 (1 << FK_7)
#define TREE (V61 | V612 | V618 | V7)
#define ALL (V510 | TREE)

struct member {
	const char *of, *name;
	enum kind kind;
	unsigned versions;
	const char *type; /* SUB and arrays of structs */
	unsigned n;	  /* elements, or bits */
};

/* Structs in an order in which those used come first. Members of "?x" are an unnamed struct or union. */
static const struct member core_members[] = {
    {"list_head", "next", PTR, ALL, NULL, 0},
    {"list_head", "prev", PTR, ALL, NULL, 0},
    {"rb_node", "__rb_parent_color", U64, ALL, NULL, 0},
    {"rb_node", "rb_right", PTR, ALL, NULL, 0},
    {"rb_node", "rb_left", PTR, ALL, NULL, 0},
    {"rb_root", "rb_node", PTR, ALL, NULL, 0},
    {"files_struct", "count", U64, ALL, NULL, 0},
    {"files_struct", "fdt", PTR, ALL, NULL, 0},
    {"fdtable", "max_fds", U32, ALL, NULL, 0},
    {"fdtable", "fd", PTR, ALL, NULL, 0},
    {"file", "f_op", PTR, ALL, NULL, 0},
    {"file", "private_data", PTR, ALL, NULL, 0},
    {"task_struct", "state", U64, ALL, NULL, 0},
    {"task_struct", "files", PTR, ALL, NULL, 0},
};

static const struct member kvm_members[] = {
    {"kvm_rmap_head", "val", U64, ALL, NULL, 0},
    {"?role", "level", BITS, ALL, NULL, 4},
    {"?role", "gpte_is_8_bytes", BITS, V510, NULL, 1},
    {"?role", "has_4_byte_gpte", BITS, TREE, NULL, 1},
    {"?role", "quadrant", BITS, ALL, NULL, 2},
    {"?role", "direct", BITS, ALL, NULL, 1},
    {"?role", "access", BITS, ALL & ~V7, NULL, 3},
    {"?role", "access", BITS, V7, NULL, 4},
    {"?role", "invalid", BITS, ALL, NULL, 1},
    {"?role", "nxe", BITS, V510, NULL, 1},
    {"?role", "efer_nx", BITS, TREE, NULL, 1},
    {"?role", "cr0_wp", BITS, ALL, NULL, 1},
    {"?role", "ad_disabled", BITS, ALL, NULL, 1},
    {"?role", "guest_mode", BITS, ALL, NULL, 1},
    {"?role", "passthrough", BITS, TREE, NULL, 1},
    {"?role", "is_mirror", BITS, V618 | V7, NULL, 1},
    {"?role", "smm", BITS, ALL, NULL, 8},
    {"|kvm_mmu_page_role", "word", U32, ALL, NULL, 0},
    {"|kvm_mmu_page_role", "", SUB, ALL, "?role", 0},
    {"|kvm_mmu_role", "as_u64", U64, V510, NULL, 0},
    {"|kvm_mmu_role", "base", SUB, V510, "|kvm_mmu_page_role", 0},
    {"kvm_mmu_root_info", "pgd", U64, ALL, NULL, 0},
    {"kvm_mmu_root_info", "hpa", U64, ALL, NULL, 0},
    {"kvm_mmu", "get_guest_pgd", PTR, ALL, NULL, 0},
    {"kvm_mmu", "root_hpa", U64, V510, NULL, 0},
    {"kvm_mmu", "root_pgd", U64, V510, NULL, 0},
    {"kvm_mmu", "mmu_role", SUB, V510, "|kvm_mmu_role", 0},
    {"kvm_mmu", "root", SUB, TREE, "kvm_mmu_root_info", 0},
    {"kvm_mmu", "mirror_root_hpa", U64, V618 | V7, NULL, 0},
    {"kvm_mmu", "root_role", SUB, TREE, "|kvm_mmu_page_role", 0},
    {"kvm_mmu", "prev_roots", ARRAY_SUB, ALL, "kvm_mmu_root_info", 3},
    {"kvm_mmu", "pae_root", PTR, ALL, NULL, 0},
    {"kvm_mmu", "lm_root", PTR, V510, NULL, 0},
    {"kvm_mmu", "pml4_root", PTR, TREE, NULL, 0},
    {"|roots", "root_count", U32, ALL, NULL, 0},
    {"|roots", "tdp_mmu_root_count", U32, TREE, NULL, 0},
    {"|parents", "parent_ptes", SUB, ALL, "kvm_rmap_head", 0},
    {"|parents", "ptep", PTR, TREE, NULL, 0},
    {"kvm_mmu_page", "link", LIST, ALL, NULL, 0},
    {"kvm_mmu_page", "hash_link", LIST, ALL, NULL, 0},
    {"kvm_mmu_page", "tdp_mmu_page", U8, ALL, NULL, 0},
    {"kvm_mmu_page", "unsync", U8, ALL, NULL, 0},
    {"kvm_mmu_page", "mmu_valid_gen", U8, ALL, NULL, 0},
    {"kvm_mmu_page", "lpage_disallowed", U8, V510 | V61, NULL, 0},
    {"kvm_mmu_page", "nx_huge_page_disallowed", U8, V612 | V618 | V7, NULL, 0},
    {"kvm_mmu_page", "role", SUB, ALL, "|kvm_mmu_page_role", 0},
    {"kvm_mmu_page", "gfn", U64, ALL, NULL, 0},
    {"kvm_mmu_page", "spt", PTR, ALL, NULL, 0},
    {"kvm_mmu_page", "gfns", PTR, V510, NULL, 0},
    {"kvm_mmu_page", "shadowed_translation", PTR, TREE, NULL, 0},
    {"kvm_mmu_page", "", SUB, ALL, "|roots", 0},
    {"kvm_mmu_page", "", SUB, ALL, "|parents", 0},
    {"kvm_mmu_page", "lpage_disallowed_link", LIST, V510 | V61, NULL, 0},
    {"kvm_mmu_page", "possible_nx_huge_page_link", LIST, V612 | V618 | V7, NULL, 0},
    {"pte_list_desc", "sptes", ARRAY_PTR, V510, NULL, 3},
    {"pte_list_desc", "more", PTR, V510, NULL, 0},
    {"pte_list_desc", "more", PTR, TREE, NULL, 0},
    {"pte_list_desc", "spte_count", U64, V61, NULL, 0},
    {"pte_list_desc", "spte_count", U32, V612 | V618 | V7, NULL, 0},
    {"pte_list_desc", "tail_count", U32, V612 | V618 | V7, NULL, 0},
    {"pte_list_desc", "sptes", ARRAY_PTR, TREE, NULL, 14},
    {"kvm_arch_memory_slot", "rmap", ARRAY_PTR, ALL, NULL, 3},
    {"kvm_arch_memory_slot", "lpage_info", ARRAY_PTR, ALL, NULL, 2},
    {"kvm_memory_slot", "gfn_node", ARRAY_SUB, TREE, "rb_node", 2},
    {"kvm_memory_slot", "base_gfn", U64, ALL, NULL, 0},
    {"kvm_memory_slot", "npages", U64, ALL, NULL, 0},
    {"kvm_memory_slot", "dirty_bitmap", PTR, ALL, NULL, 0},
    {"kvm_memory_slot", "arch", SUB, ALL, "kvm_arch_memory_slot", 0},
    {"kvm_memory_slot", "userspace_addr", U64, ALL, NULL, 0},
    {"kvm_memory_slot", "flags", U32, ALL, NULL, 0},
    {"kvm_memory_slot", "id", U16, ALL, NULL, 0},
    {"kvm_memory_slot", "as_id", U16, ALL, NULL, 0},
    {"kvm_memslots", "generation", U64, ALL, NULL, 0},
    {"kvm_memslots", "lru_slot", U32, V510, NULL, 0},
    {"kvm_memslots", "used_slots", U32, V510, NULL, 0},
    {"kvm_memslots", "memslots", FLEX_SUB, V510, "kvm_memory_slot", 0},
    {"kvm_memslots", "last_used_slot", U64, TREE, NULL, 0},
    {"kvm_memslots", "gfn_tree", SUB, TREE, "rb_root", 0},
    {"kvm_memslots", "node_idx", U32, TREE, NULL, 0},
    {"kvm_possible_nx_huge_pages", "pages", LIST, V7, NULL, 0},
    {"kvm_possible_nx_huge_pages", "nr_pages", U64, V7, NULL, 0},
    {"kvm_arch", "n_used_mmu_pages", U64, ALL, NULL, 0},
    {"kvm_arch", "mmu_valid_gen", U8, ALL, NULL, 0},
    {"kvm_arch", "active_mmu_pages", LIST, ALL, NULL, 0},
    {"kvm_arch", "tdp_mmu_roots", LIST, ALL, NULL, 0},
    {"kvm_arch", "tdp_mmu_pages", LIST, V510, NULL, 0},
    {"kvm_arch", "tdp_mmu_pages", U64, V61, NULL, 0},
    {"kvm_arch", "tdp_mmu_pages", U64, V612 | V618, NULL, 0},
    {"kvm_arch", "tdp_mmu_enabled", U8, V510 | V61, NULL, 0},
    {"kvm_arch", "lpage_disallowed_mmu_pages", LIST, V510 | V61, NULL, 0},
    {"kvm_arch", "possible_nx_huge_pages", LIST, V612 | V618, NULL, 0},
    {"kvm_arch", "possible_nx_huge_pages", ARRAY_SUB, V7, "kvm_possible_nx_huge_pages", 2},
    {"kvm_arch", "disable_nx_huge_pages", U8, TREE, NULL, 0},
    {"kvm_arch", "shadow_mmio_value", U64, V612 | V618 | V7, NULL, 0},
    {"kvm_arch", "mmu_page_hash", PTR, V618 | V7, NULL, 0},
    {"kvm", "mm", PTR, ALL, NULL, 0},
    {"kvm", "memslots", ARRAY_PTR, ALL, NULL, 2},
    {"kvm", "arch", SUB, ALL, "kvm_arch", 0},
    {"kvm", "mmu_invalidate_seq", U64, TREE, NULL, 0},
    {"kvm_vcpu_arch", "regs", ARRAY_U64, ALL, NULL, 17},
    {"kvm_vcpu_arch", "regs_avail", U32, ALL & ~V7, NULL, 0},
    {"kvm_vcpu_arch", "regs_avail", U64, V7, NULL, 0},
    {"kvm_vcpu_arch", "cr0", U64, ALL, NULL, 0},
    {"kvm_vcpu_arch", "cr0_guest_owned_bits", U64, ALL, NULL, 0},
    {"kvm_vcpu_arch", "cr2", U64, ALL, NULL, 0},
    {"kvm_vcpu_arch", "cr3", U64, ALL, NULL, 0},
    {"kvm_vcpu_arch", "cr4", U64, ALL, NULL, 0},
    {"kvm_vcpu_arch", "cr4_guest_owned_bits", U64, ALL, NULL, 0},
    {"kvm_vcpu_arch", "cr8", U64, ALL, NULL, 0},
    {"kvm_vcpu_arch", "efer", U64, ALL, NULL, 0},
    {"kvm_vcpu_arch", "apic", PTR, ALL, NULL, 0},
    {"kvm_vcpu_arch", "xcr0", U64, ALL, NULL, 0},
    {"kvm_vcpu_arch", "db", ARRAY_U64, ALL, NULL, 4},
    {"kvm_vcpu_arch", "dr6", U64, ALL, NULL, 0},
    {"kvm_vcpu_arch", "dr7", U64, ALL, NULL, 0},
    {"kvm_vcpu_arch", "mmu", PTR, ALL, NULL, 0},
    {"kvm_vcpu_arch", "root_mmu", SUB, ALL, "kvm_mmu", 0},
    {"kvm_vcpu_arch", "guest_mmu", SUB, ALL, "kvm_mmu", 0},
    {"kvm_vcpu_arch", "mmio_gva", U64, ALL, NULL, 0},
    {"kvm_vcpu_arch", "mmio_access", U32, ALL, NULL, 0},
    {"kvm_vcpu_arch", "mmio_gfn", U64, ALL, NULL, 0},
    {"kvm_vcpu_arch", "mmio_gen", U64, ALL, NULL, 0},
    {"kvm_vcpu", "kvm", PTR, ALL, NULL, 0},
    {"kvm_vcpu", "guest_debug", U32, ALL, NULL, 0},
    {"kvm_vcpu", "arch", SUB, ALL, "kvm_vcpu_arch", 0},
    {"kvm_segment", "base", U64, ALL, NULL, 0},
    {"kvm_segment", "rest", U64, ALL, NULL, 0},
    {"kvm_segment", "flags", U64, ALL, NULL, 0},
    {"vcpu_pvm", "vcpu", SUB, ALL, "kvm_vcpu", 0},
    {"vcpu_pvm", "rflags", U64, ALL, NULL, 0},
    {"vcpu_pvm", "seg", ARRAY_SUB, ALL & ~V7, "kvm_segment", 8},
    {"vcpu_pvm", "segments", ARRAY_SUB, V7, "kvm_segment", 8},
    {"vcpu_pvm", "gdt", ARRAY_U16, ALL & ~V7, NULL, 5},
    {"vcpu_pvm", "idt", ARRAY_U16, ALL & ~V7, NULL, 5},
    {"vcpu_pvm", "gdt_ptr", ARRAY_U16, V7, NULL, 5},
    {"vcpu_pvm", "idt_ptr", ARRAY_U16, V7, NULL, 5},
    {"kvm_save_segment", "selector", U16, ALL, NULL, 0},
    {"kvm_save_segment", "base", U64, ALL, NULL, 0},
    {"kvm_save_segment", "limit", U32, ALL, NULL, 0},
    {"kvm_save_segment", "ar", U32, ALL, NULL, 0},
    {"vmx_rmode", "vm86_active", U32, ALL, NULL, 0},
    {"vmx_cache", "bitmask", U32, ALL, NULL, 0},
    {"vmx_cache", "seg", ARRAY_SUB, ALL, "kvm_save_segment", 8},
    {"vcpu_vmx", "vcpu", SUB, ALL, "kvm_vcpu", 0},
    {"vcpu_vmx", "rflags", U64, ALL, NULL, 0},
    {"vcpu_vmx", "rmode", SUB, ALL, "vmx_rmode", 0},
    {"vcpu_vmx", "segment_cache", SUB, ALL, "vmx_cache", 0},
    {"vmcb_seg", "selector", U16, ALL, NULL, 0},
    {"vmcb_seg", "attrib", U16, ALL, NULL, 0},
    {"vmcb_seg", "limit", U32, ALL, NULL, 0},
    {"vmcb_seg", "base", U64, ALL, NULL, 0},
    {"vmcb_save_area", "es", SUB, ALL, "vmcb_seg", 0},
    {"vmcb_save_area", "cs", SUB, ALL, "vmcb_seg", 0},
    {"vmcb_save_area", "ss", SUB, ALL, "vmcb_seg", 0},
    {"vmcb_save_area", "ds", SUB, ALL, "vmcb_seg", 0},
    {"vmcb_save_area", "fs", SUB, ALL, "vmcb_seg", 0},
    {"vmcb_save_area", "gs", SUB, ALL, "vmcb_seg", 0},
    {"vmcb_save_area", "gdtr", SUB, ALL, "vmcb_seg", 0},
    {"vmcb_save_area", "ldtr", SUB, ALL, "vmcb_seg", 0},
    {"vmcb_save_area", "idtr", SUB, ALL, "vmcb_seg", 0},
    {"vmcb_save_area", "tr", SUB, ALL, "vmcb_seg", 0},
    {"vmcb_save_area", "cpl", U8, ALL, NULL, 0},
    {"vmcb_save_area", "rflags", U64, ALL, NULL, 0},
    {"vmcb", "control", ARRAY_U64, ALL, NULL, 128},
    {"vmcb", "save", SUB, ALL, "vmcb_save_area", 0},
    {"kvm_vmcb_info", "ptr", PTR, TREE, NULL, 0},
    {"kvm_vmcb_info", "pa", U64, TREE, NULL, 0},
    {"vcpu_svm", "vcpu", SUB, ALL, "kvm_vcpu", 0},
    {"vcpu_svm", "vmcb", PTR, ALL, NULL, 0},
    {"vcpu_svm", "vmcb_pa", U64, V510, NULL, 0},
    {"vcpu_svm", "vmcb01", SUB, TREE, "kvm_vmcb_info", 0},
};

/* Which registers arch.regs_avail is about, after the seventeen. The last version has other names and one more. */
static const char *const old_regs[] = {"VCPU_EXREG_PDPTR", "VCPU_EXREG_CR0",	"VCPU_EXREG_CR3",
				       "VCPU_EXREG_CR4",   "VCPU_EXREG_RFLAGS", "VCPU_EXREG_SEGMENTS"};
static const char *const new_regs[] = {"VCPU_REG_PDPTR", "VCPU_REG_OTHER",  "VCPU_REG_CR0",	"VCPU_REG_CR3",
				       "VCPU_REG_CR4",	 "VCPU_REG_RFLAGS", "VCPU_REG_SEGMENTS"};

struct builder {
	struct btf *btf;
	int u8, u16, u32, u64, ptr;
	int id[64]; /* of types made so far */
	uint32_t size[64];
	const char *name[64];
	unsigned n;
};

static unsigned find(const struct builder *b, const char *name)
{
	for (unsigned i = 0; i < b->n; i++)
		if (!strcmp(b->name[i], name))
			return i;
	fail_msg("no type %s yet", name);
	return 0;
}

static void sizes(struct builder *b, const struct member *m, int *type, uint32_t *size, uint32_t *align)
{
	static const uint32_t plain[] = {1, 2, 4, 8, 8};
	const int id[] = {b->u8, b->u16, b->u32, b->u64, b->ptr};
	unsigned sub = m->type ? find(b, m->type) : m->kind == LIST ? find(b, "list_head") : 0;

	*align = 8;
	switch (m->kind) {
	case SUB:
	case LIST:
		*type = b->id[sub];
		*size = b->size[sub];
		*align = *size < 8 ? *size : 8;
		break;
	case ARRAY_SUB:
	case FLEX_SUB:
		*type = b->id[sub];
		*size = b->size[sub] * m->n;
		break;
	case ARRAY_PTR:
	case ARRAY_U64:
		*type = m->kind == ARRAY_PTR ? b->ptr : b->u64;
		*size = 8 * m->n;
		break;
	case ARRAY_U16:
		*type = b->u16;
		*size = 2 * m->n;
		*align = 2;
		break;
	case BITS:
		*type = b->u32;
		*size = 4;
		*align = 4;
		break;
	default:
		*type = id[m->kind];
		*size = *align = plain[m->kind];
	}
}

static bool is_array(enum kind k)
{
	return k == ARRAY_PTR || k == ARRAY_U16 || k == ARRAY_U64 || k == ARRAY_SUB || k == FLEX_SUB;
}

static bool wanted(const struct member *m, enum fk_version v, const char *missing)
{
	char path[80];

	snprintf(path, sizeof(path), "%s.%s", m->of, m->name);
	return (m->versions & 1u << v) && !(missing && (!strcmp(path, missing) || !strcmp(m->of, missing)));
}

/* A struct from members [from, to). */
static void add_struct(struct builder *b, const struct member *m, unsigned n, enum fk_version v, const char *missing)
{
	bool is_union = m->of[0] == '|', unnamed = m->of[0] == '?' || !strcmp(m->of, "|roots") || !strcmp(m->of, "|parents");
	const char *name = unnamed ? NULL : m->of + is_union;
	uint32_t at = 0, max = 0, off[40], size, align;
	int type[40], id;

	if (!is_union && !unnamed && strcmp(m->of, "list_head") && strcmp(m->of, "rb_node") && strcmp(m->of, "rb_root") &&
	    strcmp(m->of, "kvm_rmap_head") && strcmp(m->of, "kvm_mmu_root_info") && strcmp(m->of, "kvm_segment"))
		at = 64u * (v + 1u); /* in bits: members stand elsewhere in each version */
	for (unsigned i = 0; i < n; i++) {
		if (!wanted(&m[i], v, missing))
			continue;
		sizes(b, &m[i], &type[i], &size, &align);
		if (m[i].kind != BITS && !is_union)
			at = (at + align * 8 - 1) / (align * 8) * (align * 8);
		if (is_array(m[i].kind))
			type[i] = btf__add_array(b->btf, b->u32, type[i], m[i].n);
		off[i] = is_union ? 0 : at;
		at += m[i].kind == BITS ? m[i].n : is_union ? 0 : size * 8;
		max = size > max ? size : max;
	}
	size = is_union ? max : unnamed ? 4 : (at + 63) / 64 * 8;
	id = is_union ? btf__add_union(b->btf, name, size) : btf__add_struct(b->btf, name, size);
	for (unsigned i = 0; i < n; i++)
		if (wanted(&m[i], v, missing))
			assert_int_equal(
			    btf__add_field(b->btf, m[i].name, type[i], off[i], m[i].kind == BITS ? (int)m[i].n : 0), 0);
	b->id[b->n] = id;
	b->size[b->n] = size;
	b->name[b->n++] = m->of;
}

static void add_structs(struct builder *b, const struct member *m, size_t n, enum fk_version v, const char *missing)
{
	size_t to;

	for (size_t from = 0; from < n; from = to) {
		bool any = false;

		for (to = from; to < n && !strcmp(m[to].of, m[from].of); to++)
			any |= wanted(&m[to], v, missing);
		if (any)
			add_struct(b, m + from, (unsigned)(to - from), v, missing);
	}
}

static void add_registers(struct builder *b, enum fk_version v, const char *missing)
{
	const char *const *name = v == FK_7 ? new_regs : old_regs;

	if (missing && !strcmp(missing, "kvm_reg"))
		return;
	assert_true(btf__add_enum(b->btf, "kvm_reg", 4) > 0);
	for (unsigned i = 0; i < (v == FK_7 ? ARRAY_LEN(new_regs) : ARRAY_LEN(old_regs)); i++)
		assert_int_equal(btf__add_enum_value(b->btf, name[i], 17 + i), 0);
}

static void *raw_of(struct btf *btf, size_t *len)
{
	uint32_t size;
	const void *raw = btf__raw_data(btf, &size);
	void *copy = malloc(size);

	memcpy(copy, raw, size);
	*len = size;
	return copy;
}

void *fk_btf(enum fk_version v, const char *missing, size_t *len, void **split, size_t *split_len)
{
	struct builder b = {.btf = btf__new_empty()};
	struct btf *base = b.btf;
	void *raw;

	b.u8 = btf__add_int(b.btf, "u8", 1, 0);
	b.u16 = btf__add_int(b.btf, "u16", 2, 0);
	b.u32 = btf__add_int(b.btf, "u32", 4, 0);
	b.u64 = btf__add_typedef(b.btf, "gfn_t", btf__add_const(b.btf, btf__add_int(b.btf, "u64", 8, 0)));
	b.ptr = btf__add_ptr(b.btf, 0);
	add_structs(&b, core_members, ARRAY_LEN(core_members), v, missing);
	if (split) {
		btf__add_fwd(b.btf, "kvm", BTF_FWD_STRUCT);
		b.btf = btf__new_empty_split(base);
	}
	add_structs(&b, kvm_members, ARRAY_LEN(kvm_members), v, missing);
	add_registers(&b, v, missing);
	raw = raw_of(base, len);
	if (split) {
		*split = raw_of(b.btf, split_len);
		btf__free(b.btf);
	}
	btf__free(base);
	return raw;
}
