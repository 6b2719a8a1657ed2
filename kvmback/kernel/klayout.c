/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Layout of KVM's structures by BTF: the table of members in klayout.h is looked up, then variants follow from what is
 * there.
 */
#include "kvmback/kernel/klayout.h"

#include "kvmback/kernel/kmem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const names[] = {
    "task_struct",     "files_struct",	"fdtable",  "file",	"rb_node",	     "kvm",	     "kvm_memslots",
    "kvm_memory_slot", "kvm_vcpu",	"vcpu_pvm", "kvm_mmu",	"kvm_mmu_root_info", "kvm_mmu_page", "kvm_mmu_page_role",
    "kvm_rmap_head",   "pte_list_desc", "kvm_reg",  "vcpu_vmx", "vcpu_svm",	     "vmcb",	     "vmcb_seg",
};

const char *const *klayout_names(size_t *n)
{
	*n = ARRAY_LEN(names);
	return names;
}

static bool lookup(const struct kbtf *b, const char *type, const char *paths, struct kfield *out)
{
	char path[64];

	for (;; paths++) {
		size_t len = strcspn(paths, "|");

		snprintf(path, sizeof(path), "%.*s", (int)len, paths);
		if (kbtf_field(b, type, path, out))
			return true;
		paths += len;
		if (!*paths)
			return false;
	}
}

/* A member must lie inside its struct: structs are read whole and members taken out of the copy. */
static bool inside(const struct kbtf *b, const char *type, const struct kfield *f)
{
	uint64_t len = f->bits ? (f->bit + f->bits + 7u) / 8 : f->size;

	return f->off >= 0 && (uint64_t)f->off + len <= kbtf_size(b, type);
}

static int fill_fields(const struct kbtf *b, struct klayout *l, struct err *e)
{
#define KLAYOUT_LOOKUP(name, type, path, must)                                                                              \
	if (!lookup(b, type, path, &l->name) && (must))                                                                     \
		return err_set(e, -ENOTSUP,                                                                                 \
			       "find the layout of struct %s" WHY "this kernel's has no member %s" TRY                      \
			       "a newer kvmscope, or the soft backend (-b soft)",                                           \
			       type, path);                                                                                 \
	if (l->name.off != -1 && !inside(b, type, &l->name))                                                                \
		return err_set(e, -ENOTSUP,                                                                                 \
			       "find the layout of struct %s" WHY "BTF says that %s is at %d, outside of it" TRY            \
			       "the soft backend (-b soft)",                                                                \
			       type, path, l->name.off);
	KLAYOUT_FIELDS(KLAYOUT_LOOKUP)
#undef KLAYOUT_LOOKUP
	return 0;
}

void klayout_fill_vendor(const struct kbtf *b, struct klayout *l)
{
	struct kfield f;

#define KLAYOUT_LOOKUP(name, type, path, must)                                                                              \
	if (lookup(b, type, path, &f) && inside(b, type, &f))                                                               \
		l->name = f;
	KLAYOUT_VENDOR_FIELDS(KLAYOUT_LOOKUP)
#undef KLAYOUT_LOOKUP
}

/* The names have changed once, without the EX. */
static void fill_avail(const struct kbtf *b, struct klayout *l)
{
	static const char *const reg[KAVAIL_COUNT] = {"CR0", "CR3", "CR4", "RFLAGS", "SEGMENTS"};
	char name[32];
	int64_t v;

	for (unsigned i = 0; i < KAVAIL_COUNT; i++) {
		l->avail[i] = -1;
		for (unsigned ex = 0; ex < 2; ex++) {
			snprintf(name, sizeof(name), "VCPU_%sREG_%s", ex ? "EX" : "", reg[i]);
			if (kbtf_enumerator(b, "kvm_reg", name, &v) && v >= 0 && v < 64)
				l->avail[i] = (int8_t)v;
		}
	}
}

static int unknown(struct err *e, const char *what, uint64_t value)
{
	return err_set(e, -ENOTSUP,
		       "find the layout of KVM's structures" WHY "%s is %llu, which is not known" TRY
		       "a newer kvmscope, or the soft backend (-b soft)",
		       what, (unsigned long long)value);
}

static int choose(struct klayout *l, struct err *e)
{
	if (l->slots_tree.off >= 0 && l->slots_node_idx.off >= 0 && l->slot_gfn_node.off >= 0)
		l->slots = KSLOTS_TREE;
	else if (l->slots_array.off >= 0 && l->slots_used.off >= 0)
		l->slots = KSLOTS_ARRAY;
	else
		return err_set(e, -ENOTSUP,
			       "find the layout of struct kvm_memslots" WHY
			       "neither gfn_tree and node_idx nor memslots and used_slots are members" TRY
			       "a newer kvmscope, or the soft backend (-b soft)");
	if (l->sp_translation.off < 0 && l->sp_gfns.off < 0)
		return err_set(e, -ENOTSUP,
			       "find the layout of struct kvm_mmu_page" WHY
			       "neither shadowed_translation nor gfns is a member" TRY
			       "a newer kvmscope, or the soft backend (-b soft)");
	l->gfn = l->sp_translation.off >= 0 ? KGFN_TRANSLATION : KGFN_GFNS;
	l->desc = l->desc_tail.off >= 0 ? KDESC_HEAD : l->desc_count.off >= 0 ? KDESC_COUNT : KDESC_SCAN;
	l->desc_entries = l->desc_sptes.count;
	l->as_count = l->kvm_memslots.count;
	l->tdp_list = l->kvm_tdp_pages.off >= 0 && l->kvm_tdp_pages.size >= 16;
	l->mmu_present = l->slots_tree.off >= 0 || (l->slots_last.off >= 0 && l->slots_lru.off < 0);
	if (l->desc_entries < 1 || l->desc_entries > 64)
		return unknown(e, "number of sptes in struct pte_list_desc", l->desc_entries);
	if (l->as_count < 1 || l->as_count > 2)
		return unknown(e, "number of address spaces", l->as_count);
	if (l->sp_role.size != 4)
		return unknown(e, "size of union kvm_mmu_page_role", l->sp_role.size);
	if (l->slot_rmap.count < 1 || l->slot_rmap.count > 4)
		return unknown(e, "number of rmap levels", l->slot_rmap.count);
	return 0;
}

int klayout_fill(const struct kbtf *b, struct klayout *out, struct err *e)
{
	struct klayout l;
	int rc;

	memset(&l, 0, sizeof(l));
	if (!kbtf_size(b, "kvm") || !kbtf_size(b, "kvm_mmu_page"))
		return err_set(e, -ENOENT,
			       "find KVM's structures" WHY "BTF has no struct kvm and struct kvm_mmu_page" TRY
			       "modprobe kvm, or a kernel with CONFIG_DEBUG_INFO_BTF_MODULES");
	rc = fill_fields(b, &l, e);
	if (!rc)
		rc = choose(&l, e);
	if (rc)
		return rc;
#define KLAYOUT_NONE(name, type, path, must) l.name.off = -1;
	KLAYOUT_VENDOR_FIELDS(KLAYOUT_NONE)
#undef KLAYOUT_NONE
	klayout_fill_vendor(b, &l);
	fill_avail(b, &l);
	l.rb_size = kbtf_size(b, "rb_node");
	l.slot_size = kbtf_size(b, "kvm_memory_slot");
	l.sp_size = kbtf_size(b, "kvm_mmu_page");
	l.desc_size = kbtf_size(b, "pte_list_desc");
	l.root_info_size = kbtf_size(b, "kvm_mmu_root_info");
	l.mmu_size = kbtf_size(b, "kvm_mmu");
	if (l.sp_size > 4096 || l.desc_size > 4096 || l.slot_size > 4096 || l.mmu_size > 4096)
		return unknown(e, "size of one of KVM's structures", l.slot_size);
	*out = l;
	return 0;
}

/* vmlinux's BTF with a module's on top (NULL for none): fn looks things up in it. */
static int with_btf(const char *module, int (*fn)(const struct kbtf *b, struct klayout *out, struct err *e),
		    struct klayout *out, struct err *e)
{
	struct kbtf_file base = {0}, split = {0};
	struct kbtf *b = NULL;
	char path[64];
	size_t n;
	const char *const *wanted = klayout_names(&n);
	int rc = kbtf_file_open("/sys/kernel/btf/vmlinux", &base, e);

	if (!rc && module) {
		snprintf(path, sizeof(path), "/sys/kernel/btf/%s", module);
		rc = kbtf_file_open(path, &split, e);
	}
	if (!rc)
		rc = kbtf_open(base.at, base.len, split.at, split.len, wanted, n, &b, e);
	if (!rc)
		rc = fn(b, out, e);
	kbtf_close(b);
	kbtf_file_close(&split);
	kbtf_file_close(&base);
	return rc;
}

static int try_btf(const char *module, struct klayout *out, struct err *e)
{
	int rc = with_btf(module, klayout_fill, out, e);

	if (!rc) {
		out->split = module != NULL;
		snprintf(out->where, sizeof(out->where), "/sys/kernel/btf/vmlinux%s%s", module ? " and " : "",
			 module ? module : "");
	}
	return rc;
}

static int add_vendor(const struct kbtf *b, struct klayout *out, struct err *e)
{
	(void)e;
	klayout_fill_vendor(b, out);
	return 0;
}

/* Registers of a parked vCPU alone need these, so nothing fails where they cannot be read. */
static void add_vendors(struct klayout *out)
{
	static const char *const module[] = {"kvm_intel", "kvm_amd", "kvm_pvm"};
	char path[64];

	for (size_t i = 0; i < ARRAY_LEN(module); i++) {
		snprintf(path, sizeof(path), "/sys/kernel/btf/%s", module[i]);
		if (access(path, R_OK) == 0)
			(void)!with_btf(module[i], add_vendor, out, NULL);
	}
}

static int find_layout(struct klayout *out, struct err *e)
{
	bool module = access("/sys/kernel/btf/kvm", R_OK) == 0;
	int rc;

	if (access("/sys/kernel/btf/vmlinux", R_OK) < 0)
		return err_set(e, -ENOENT,
			       "find KVM's structures" WHY "/sys/kernel/btf/vmlinux is not there" TRY
			       "a kernel with CONFIG_DEBUG_INFO_BTF, or the soft backend (-b soft)");
	rc = try_btf(module ? "kvm" : NULL, out, e);
	if (!rc)
		add_vendors(out);
	if (rc == -ENOENT)
		return err_set(e, -ENOENT,
			       "find KVM's structures" WHY
			       "they are neither in /sys/kernel/btf/vmlinux nor in a module's (%s)" TRY
			       "modprobe kvm, or a kernel with CONFIG_DEBUG_INFO_BTF_MODULES",
			       module ? "/sys/kernel/btf/kvm has none" : "there is no /sys/kernel/btf/kvm");
	return rc;
}

int klayout_get(const struct klayout **out, struct err *e)
{
	static struct klayout layout;
	static struct err error;
	static int state; /* 0 not tried, 1 there, negative: the error */

	if (!state || kmem_passing(state)) {
		err_clear(&error);
		state = find_layout(&layout, &error);
		if (!state)
			state = 1;
	}
	if (state < 0) {
		if (e)
			*e = error;
		return state;
	}
	*out = &layout;
	return 0;
}

uint64_t klayout_num(const struct kfield *f, const void *p)
{
	uint64_t v = 0;
	uint32_t size = f->elem && f->elem < 8 ? f->elem : 8;

	if (f->off < 0)
		return 0;
	if (f->bits) {
		/* A bitfield: bit counts from byte off, and may reach into further bytes of its unit. */
		memcpy(&v, (const char *)p + f->off, (f->bit + f->bits + 7u) / 8);
		return (v >> f->bit) & (f->bits < 64 ? (1ull << f->bits) - 1 : ~0ull);
	}
	memcpy(&v, (const char *)p + f->off, size);
	return v;
}
