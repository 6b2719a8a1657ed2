/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * BTF and what follows from it: each version's layout is told apart by its members, what is missing is named, broken BTF is
 * refused wherever it is cut or changed.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <bpf/btf.h>
#include <cmocka.h>

#include "tests/support/fake_kernel.h"

static int open_layout(enum fk_version v, const char *missing, struct klayout *l, struct err *e)
{
	size_t len, n;
	void *raw = fk_btf(v, missing, &len, NULL, NULL);
	const char *const *names = klayout_names(&n);
	struct kbtf *b = NULL;
	int rc = kbtf_open(raw, len, NULL, 0, names, n, &b, e);

	if (!rc)
		rc = klayout_fill(b, l, e);
	kbtf_close(b);
	free(raw);
	return rc;
}

static void each_version_is_told_apart(void **state)
{
	static const struct {
		enum kslots_how slots;
		enum kdesc_how desc;
		enum kgfn_how gfn;
		unsigned entries;
		bool tdp_list, mmu_present;
	} want[] = {
	    [FK_5_10] = {KSLOTS_ARRAY, KDESC_SCAN, KGFN_GFNS, 3, true, false},
	    [FK_6_1] = {KSLOTS_TREE, KDESC_COUNT, KGFN_TRANSLATION, 14, false, true},
	    [FK_6_12] = {KSLOTS_TREE, KDESC_HEAD, KGFN_TRANSLATION, 14, false, true},
	    [FK_6_18] = {KSLOTS_TREE, KDESC_HEAD, KGFN_TRANSLATION, 14, false, true},
	    [FK_7] = {KSLOTS_TREE, KDESC_HEAD, KGFN_TRANSLATION, 14, false, true},
	};
	struct err e = {0};

	(void)state;
	for (unsigned v = 0; v < ARRAY_LEN(want); v++) {
		struct klayout l;

		assert_int_equal(open_layout(v, NULL, &l, &e), 0);
		assert_int_equal(l.slots, want[v].slots);
		assert_int_equal(l.desc, want[v].desc);
		assert_int_equal(l.gfn, want[v].gfn);
		assert_int_equal(l.desc_entries, want[v].entries);
		assert_int_equal(l.tdp_list, want[v].tdp_list);
		assert_int_equal(l.mmu_present, want[v].mmu_present);
		assert_int_equal(l.as_count, 2);
		assert_int_equal(l.role_access.bits, v == FK_7 ? 4 : 3);
		assert_int_equal(l.role_level.bits, 4);
		assert_int_equal(l.slot_rmap.count, 3);
		assert_int_equal(l.role_smm.off * 8 + l.role_smm.bit, v == FK_5_10   ? 16
								      : v == FK_7    ? 19
								      : v == FK_6_18 ? 18
										     : 17);
	}
}

/* The offsets themselves, as libbpf sees them. */
static void offsets_agree_with_libbpf(void **state)
{
	size_t len, n;
	void *raw = fk_btf(FK_6_18, NULL, &len, NULL, NULL);
	struct btf *theirs = btf__new(raw, (uint32_t)len);
	const char *const *names = klayout_names(&n);
	const struct btf_type *t;
	struct kbtf *mine;
	struct err e = {0};
	struct kfield f;

	(void)state;
	assert_int_equal(kbtf_open(raw, len, NULL, 0, names, n, &mine, &e), 0);
	t = btf__type_by_id(theirs, (uint32_t)btf__find_by_name_kind(theirs, "kvm_mmu_page", BTF_KIND_STRUCT));
	for (uint32_t i = 0; i < btf_vlen(t); i++) {
		const char *name = btf__name_by_offset(theirs, btf_members(t)[i].name_off);

		if (!*name)
			continue;
		assert_true(kbtf_field(mine, "kvm_mmu_page", name, &f));
		assert_int_equal(f.off * 8, btf_member_bit_offset(t, i));
	}
	assert_int_equal(kbtf_size(mine, "kvm_mmu_page"), t->size);
	assert_true(kbtf_field(mine, "kvm_mmu_page", "tdp_mmu_root_count", &f)); /* in an unnamed union */
	assert_int_equal(f.size, 4);
	assert_false(kbtf_field(mine, "kvm_mmu_page", "nothing", &f));
	assert_int_equal(f.off, -1);
	assert_false(kbtf_field(mine, "kvm_mmu_page", "gfn.deeper", &f));
	assert_false(kbtf_field(mine, "no_such_struct", "gfn", &f));
	assert_false(kbtf_field(mine, "kvm_reg", "VCPU_EXREG_CR0", &f));
	kbtf_close(mine);
	btf__free(theirs);
	free(raw);
}

static void a_missing_member_is_named(void **state)
{
	static const struct {
		enum fk_version v;
		const char *missing, *of, *why;
	} c[] = {
	    {FK_6_1, "kvm_arch.active_mmu_pages", "struct kvm", "no member arch.active_mmu_pages"},
	    {FK_6_18, "kvm_mmu_page.shadowed_translation", "struct kvm_mmu_page", "neither shadowed_translation nor gfns"},
	    {FK_6_12, "kvm_memslots.gfn_tree", "struct kvm_memslots", "neither gfn_tree"},
	    {FK_5_10, "kvm_memslots.used_slots", "struct kvm_memslots", "neither gfn_tree"},
	    {FK_5_10, "kvm_mmu.root_hpa", "struct kvm_mmu", "root.hpa|root_hpa"},
	    {FK_6_1, "?role.quadrant", "struct kvm_mmu_page_role", "no member quadrant"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		struct klayout l = {.as_count = 77};
		struct err e = {0};

		assert_int_equal(open_layout(c[i].v, c[i].missing, &l, &e), -ENOTSUP);
		assert_int_equal(l.as_count, 77);
		assert_non_null(strstr(e.what, c[i].of));
		assert_non_null(strstr(e.why, c[i].why));
	}
}

static void assert_same_field(const char *name, const struct kfield *a, const struct kfield *b)
{
	if (a->off != b->off || a->size != b->size || a->count != b->count || a->elem != b->elem || a->bit != b->bit ||
	    a->bits != b->bits)
		fail_msg("%s: offset %d and %d, size %u and %u", name, a->off, b->off, a->size, b->size);
}

static void assert_same_layout(const struct klayout *a, const struct klayout *b)
{
#define SAME_FIELD(name, type, path, must) assert_same_field(#name, &a->name, &b->name);
	KLAYOUT_FIELDS(SAME_FIELD)
	KLAYOUT_VENDOR_FIELDS(SAME_FIELD)
#undef SAME_FIELD
	assert_memory_equal(a->avail, b->avail, sizeof(a->avail));
	assert_int_equal(a->rb_size, b->rb_size);
	assert_int_equal(a->slot_size, b->slot_size);
	assert_int_equal(a->sp_size, b->sp_size);
	assert_int_equal(a->desc_size, b->desc_size);
	assert_int_equal(a->root_info_size, b->root_info_size);
	assert_int_equal(a->mmu_size, b->mmu_size);
	assert_int_equal(a->slots, b->slots);
	assert_int_equal(a->desc, b->desc);
	assert_int_equal(a->gfn, b->gfn);
	assert_int_equal(a->as_count, b->as_count);
	assert_int_equal(a->desc_entries, b->desc_entries);
	assert_int_equal(a->tdp_list, b->tdp_list);
	assert_int_equal(a->mmu_present, b->mmu_present);
	assert_int_equal(a->split, b->split);
	assert_string_equal(a->where, b->where);
}

/* KVM as a module: its types are in a second object whose ids and strings go on where the first's end. */
static void a_module_has_split_btf(void **state)
{
	size_t len, split_len, n;
	void *split, *raw = fk_btf(FK_6_12, NULL, &len, &split, &split_len);
	const char *const *names = klayout_names(&n);
	struct klayout one, two;
	struct kbtf *b;
	struct err e = {0};

	(void)state;
	assert_int_equal(open_layout(FK_6_12, NULL, &one, &e), 0);
	assert_int_equal(kbtf_open(raw, len, split, split_len, names, n, &b, &e), 0);
	assert_int_equal(klayout_fill(b, &two, &e), 0);
	assert_same_layout(&one, &two);
	kbtf_close(b);
	assert_int_equal(kbtf_open(raw, len, NULL, 0, names, n, &b, &e), 0);
	assert_int_equal(klayout_fill(b, &two, &e), -ENOENT);
	assert_non_null(strstr(e.next, "modprobe kvm"));
	kbtf_close(b);
	free(raw);
	free(split);
}

static bool enumerator(enum fk_version v, const char *missing, const char *name, int64_t *out)
{
	size_t len, n;
	void *raw = fk_btf(v, missing, &len, NULL, NULL);
	const char *const *names = klayout_names(&n);
	struct kbtf *b;
	struct err e = {0};
	bool found;

	assert_int_equal(kbtf_open(raw, len, NULL, 0, names, n, &b, &e), 0);
	found = kbtf_enumerator(b, "kvm_reg", name, out);
	kbtf_close(b);
	free(raw);
	return found;
}

/* Which bit of regs_avail is whose is read, not known. */
static void bits_of_registers_are_read(void **state)
{
	struct err e = {0};
	struct klayout l;
	int64_t n = 99;

	(void)state;
	assert_true(enumerator(FK_6_18, NULL, "VCPU_EXREG_CR3", &n));
	assert_int_equal(n, 19);
	assert_false(enumerator(FK_6_18, NULL, "VCPU_EXREG_CR9", &n));
	assert_false(enumerator(FK_6_18, "kvm_reg", "VCPU_EXREG_CR3", &n));
	assert_int_equal(n, 19);
	for (unsigned v = FK_5_10; v <= FK_7; v++) {
		assert_int_equal(open_layout(v, NULL, &l, &e), 0);
		for (int i = 0; i < KAVAIL_COUNT; i++)
			assert_int_equal(l.avail[i], (v == FK_7 ? 19 : 18) + i);
		assert_int_equal(open_layout(v, "kvm_reg", &l, &e), 0);
		for (int i = 0; i < KAVAIL_COUNT; i++)
			assert_int_equal(l.avail[i], -1);
	}
}

/* kvm_amd and kvm_intel are modules with BTF of their own: what they have is added, what they do not have stays. */
static void a_vendors_module_adds_its_own(void **state)
{
	size_t len, n;
	void *raw = fk_btf(FK_6_12, "vcpu_vmx", &len, NULL, NULL);
	const char *const *names = klayout_names(&n);
	struct klayout before, after, whole;
	struct kbtf *b;
	struct err e = {0};

	(void)state;
	assert_int_equal(open_layout(FK_6_12, NULL, &whole, &e), 0);
	assert_int_equal(open_layout(FK_6_12, "vcpu_svm", &before, &e), 0);
	assert_int_equal(before.svm_vmcb.off, -1);
	assert_true(before.vmx_rflags.off > 0 && before.vmcb_cs.off > 0);
	assert_int_equal(kbtf_open(raw, len, NULL, 0, names, n, &b, &e), 0);
	after = before;
	klayout_fill_vendor(b, &after);
	kbtf_close(b);
	free(raw);
	assert_same_layout(&after, &whole);
}

/* Cut anywhere, or any byte changed: an error or a layout, never a bad access (run under a sanitizer). */
static void broken_btf_is_survived(void **state)
{
	size_t len, n, refused = 0;
	uint8_t *raw = fk_btf(FK_6_1, NULL, &len, NULL, NULL);
	const char *const *names = klayout_names(&n);
	struct klayout l;
	struct kbtf *b;

	(void)state;
	for (size_t cut = 0; cut < len; cut += cut < 64 ? 1 : 37) {
		uint8_t *part = malloc(cut + 1);

		memcpy(part, raw, cut);
		assert_int_equal(kbtf_open(part, cut, NULL, 0, names, n, &b, NULL), -EINVAL);
		free(part);
	}
	for (size_t at = 0; at < len; at++) {
		uint8_t *part = malloc(len);

		memcpy(part, raw, len);
		part[at] ^= 0x80 >> at % 8;
		if (kbtf_open(part, len, NULL, 0, names, n, &b, NULL) < 0) {
			refused++;
		} else {
			(void)!klayout_fill(b, &l, NULL);
			kbtf_close(b);
		}
		free(part);
	}
	assert_true(refused > 20);
	free(raw);
}

static void the_running_kernels_is_kept(void **state)
{
	const struct klayout *a, *b;
	struct err e = {0}, again = {0};
	int rc = klayout_get(&a, &e);

	(void)state;
	assert_int_equal(klayout_get(&b, &again), rc);
	if (rc < 0) {
		assert_string_equal(e.why, again.why);
		printf("skip: %s\n", e.why);
		skip();
	}
	assert_ptr_equal(a, b);
	assert_true(a->sp_size > 64 && a->desc_entries >= 3);
}

static void a_bitfield_is_cut_out(void **state)
{
	struct kfield f = {.off = 1, .size = 4, .elem = 4, .count = 1, .bit = 3, .bits = 7};
	const uint8_t raw[4] = {0xff, 0x58, 0x03, 0xff}; /* bits 3..9 of 0x0358 */

	(void)state;
	assert_int_equal(klayout_num(&f, raw), 0x358 >> 3 & 0x7f);
	f = (struct kfield){.off = 2, .size = 2, .elem = 2, .count = 1};
	assert_int_equal(klayout_num(&f, raw), 0xff03);
	f.off = -1;
	assert_int_equal(klayout_num(&f, raw), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_version_is_told_apart), cmocka_unit_test(offsets_agree_with_libbpf),
	    cmocka_unit_test(a_missing_member_is_named),  cmocka_unit_test(a_module_has_split_btf),
	    cmocka_unit_test(bits_of_registers_are_read), cmocka_unit_test(a_vendors_module_adds_its_own),
	    cmocka_unit_test(broken_btf_is_survived),	  cmocka_unit_test(the_running_kernels_is_kept),
	    cmocka_unit_test(a_bitfield_is_cut_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
