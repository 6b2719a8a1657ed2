/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The tables by gpa of VMs of this test's own, on hosts that have such tables. What they must be is known without them: the
 * host pages by pagemap, how many leaves there are of each size by KVM's own statistics, the rest by what the guest did.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "kvmback/kernel/kview.h"
#include "tests/support/kvmtest.h"

/* mov [0x240000], eax; mov eax, [0x280000]; mov [0x280000], eax; mov [0x260000], eax; jmp to the first */
static const uint8_t code[] = {0x89, 0x04, 0x25, 0x00, 0x00, 0x24, 0x00, 0x8b, 0x04, 0x25, 0x00, 0x00, 0x28, 0x00, 0x89,
			       0x04, 0x25, 0x00, 0x00, 0x28, 0x00, 0x89, 0x04, 0x25, 0x00, 0x00, 0x26, 0x00, 0xeb, 0xe2};

static struct machine *m;

static int teardown(void **state)
{
	(void)state;
	if (m)
		machine_destroy(m);
	m = NULL;
	return 0;
}

static void skip_for(const char *why)
{
	printf("skip: %s\n", why);
	skip();
}

/* A machine of this host's on tables by gpa, made by the TDP MMU or not. */
static void need_tdp(void)
{
	struct err e = {0};

	m = kvmtest_create(1);
	if (!m)
		skip();
	if (kvm_view_open(kvm_of(m), &e))
		skip_for(e.why);
	if (!kvm_view_tdp(kvm_of(m), false))
		skip_for("this host has no tables by gpa: neither EPT nor NPT is on");
}

/* With the guest above: gfn 0x40 written, 0x80 in READONLY slot 1 read; it stands at its write there, which left. */
static void need_guest(void)
{
	need_tdp();
	kvmtest_slot(m, 0, 0, 0x80000, 0, SLOT_VIS_BOTH);
	kvmtest_slot(m, 1, 0x80000, 0x10000, SLOT_READONLY, SLOT_VIS_BOTH);
	kvmtest_long_user(m, code, sizeof(code));
	kvmtest_map(m, 0x240000, 0x40007);
	kvmtest_map(m, 0x260000, 0xd0000007);
	kvmtest_map(m, 0x280000, 0x80007);
	assert_int_equal(kvmtest_run(m, 0), KVM_EXIT_MMIO);
	assert_int_equal(kvm_of(m)->vcpu[0].run->mmio.phys_addr, 0x80000);
}

static struct tdp_root_list look(void)
{
	struct tdp_root_list l = {0};
	struct err e = {0};

	if (machine_tdp_roots(m, &l, &e))
		fail_msg("%s: %s", e.what, e.why);
	assert_false(l.torn);
	return l;
}

/* The spte that maps a gfn for the vCPU now; not present where there is none. */
static struct spte_info leaf_of(uint64_t gfn)
{
	struct spte_list l = {0};
	struct spte_info found = {0};
	struct err e = {0};

	if (machine_sptes(m, 0, gfn << PAGE_SHIFT, gfn << PAGE_SHIFT | PAGE_OFFSET_MASK, &l, &e))
		fail_msg("%s: %s", e.what, e.why);
	for (size_t i = 0; i < l.n; i++)
		if (l.v[i].leaf || l.v[i].mmio)
			found = l.v[i];
	spte_list_free(&l);
	return found;
}

static uint64_t pfn_of(const void *at)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = *(const volatile uint8_t *)at; /* there for us, too */

	assert_int_equal(pread(fd, &entry, 8, (off_t)((uintptr_t)at >> 12) * 8), 8);
	close(fd);
	return entry >> 63 ? entry & ((1ull << 55) - 1) : 0;
}

/* One of KVM's counters of this VM. False: this kernel has no such file, or not that counter. */
static bool statistic(const char *name, uint64_t *value)
{
	struct kvm_stats_header h;
	char raw[sizeof(struct kvm_stats_desc) + 256];
	struct kvm_stats_desc *d = (struct kvm_stats_desc *)raw;
	int fd = ioctl(kvm_of(m)->fd, KVM_GET_STATS_FD, NULL);
	bool found = false;

	if (fd < 0)
		return false;
	assert_int_equal(pread(fd, &h, sizeof(h), 0), sizeof(h));
	for (uint32_t i = 0; i < h.num_desc && !found; i++) {
		size_t size = sizeof(*d) + h.name_size;

		assert_true(size <= sizeof(raw));
		assert_int_equal(pread(fd, raw, size, (off_t)(h.desc_offset + i * size)), size);
		found = !strcmp(d->name, name) && pread(fd, value, 8, (off_t)(h.data_offset + d->offset)) == 8;
	}
	close(fd);
	return found;
}

static uint64_t leaves(const struct tdp_root_list *l, unsigned level)
{
	uint64_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		n += l->v[i].below[level - 1].leaves;
	return n;
}

/* ---- */

static void the_root_is_the_vcpus(void **state)
{
	struct tdp_root_list l;
	struct root_list roots;
	struct err e = {0};

	(void)state;
	need_guest();
	l = look();
	assert_int_equal(l.n, 1);
	assert_int_equal(l.v[0].vcpus, 1);
	assert_int_equal(l.v[0].as, 0);
	assert_true(l.v[0].references >= 1 && l.v[0].walked && !l.v[0].invalid && !l.v[0].guest_mode);
	assert_true(l.v[0].level == 4 || l.v[0].level == 5);
	assert_int_equal(l.v[0].access, 7);
	assert_int_equal(machine_roots(m, &roots, &e), 0);
	assert_true(roots.n >= 1 && roots.v[0].current);
	assert_int_equal(roots.v[0].hpa & ~PAGE_OFFSET_MASK, l.v[0].hpa);
	assert_int_equal(roots.v[0].page, l.v[0].address);
	root_list_free(&roots);
	tdp_root_list_free(&l);
}

static void counts_are_kvms(void **state)
{
	static const char *const name[] = {"pages_4k", "pages_2m", "pages_1g"};
	struct tdp_root_list l;
	uint64_t n;

	(void)state;
	need_guest();
	l = look();
	for (unsigned level = 1; level <= 3; level++) {
		if (!statistic(name[level - 1], &n)) {
			tdp_root_list_free(&l);
			skip_for("this kernel gives no statistics of the VM");
		}
		assert_int_equal(leaves(&l, level), n);
	}
	assert_true(leaves(&l, 1) >= 7); /* code, four tables, gfns 0x40 and 0x80 */
	if (l.tables_known) {
		for (unsigned level = n = 0; level < TDP_LEVELS; level++)
			n += l.v[0].below[level].tables;
		assert_int_equal(l.tables, n - 1);
	}
	if (statistic("nx_lpage_splits", &n) && l.nx_splits_known)
		assert_int_equal(l.nx_splits, n);
	tdp_root_list_free(&l);
}

static void each_leaf_maps_the_page_behind_it(void **state)
{
	struct shadow_page_list l;
	struct err e = {0};
	size_t n = 0;

	(void)state;
	need_guest();
	assert_int_equal(machine_shadow_pages(m, SHADOW_WITH_LEAVES, &l, &e), 0);
	for (size_t i = 0; i < l.n; i++)
		for (size_t j = 0; j < l.v[i].n_leaves; j++) {
			const struct spte_info *s = &l.v[i].leaves[j];

			if (!s->present || s->gfn >= 0x90)
				continue;
			assert_true(s->gfn_known && s->level == 1 && s->accessed);
			assert_int_equal(s->pfn, pfn_of(kvmtest_mem(m, s->gfn << PAGE_SHIFT, false)));
			n++;
		}
	assert_true(n >= 7);
	shadow_page_list_free(&l);
}

static void readonly_is_in_the_spte(void **state)
{
	struct spte_info s;
	struct err e = {0};

	(void)state;
	need_guest();
	s = leaf_of(0x40);
	assert_true(s.present && s.by_gpa && s.writable && s.host_writable && s.mmu_writable && s.dirty);
	assert_int_equal(s.gfn, 0x40);
	assert_int_equal(s.gva, 0x40000);
	s = leaf_of(0x80);
	assert_true(s.present && !s.writable && !s.host_writable);
	assert_int_equal(machine_slot_flags(m, 1, 0, SLOT_READONLY, 0, NULL, &e), 0);
	assert_int_equal(kvmtest_run(m, 0), KVM_EXIT_MMIO); /* the next one: the device's */
	assert_int_equal(kvmtest_run(m, 0), KVM_EXIT_MMIO);
	assert_int_equal(kvm_of(m)->vcpu[0].run->mmio.phys_addr, 0xd0000000);
	s = leaf_of(0x80);
	assert_true(s.present && s.writable && s.host_writable && s.dirty);
}

/* Nothing of a slot stays mapped. Where KVM drops all tables for that, the root is invalid until the vCPU takes a new one.
 */
static void a_deleted_slot_is_gone(void **state)
{
	struct tdp_root_list l;
	struct err e = {0};

	(void)state;
	need_guest();
	assert_int_equal(machine_slot_delete(m, 1, NULL, &e), 0);
	assert_false(leaf_of(0x80).present);
	l = look();
	assert_true(l.n >= 1 || l.kind == TDP_SHADOW_PAGES);
	for (size_t i = 0; i < l.n; i++)
		assert_true(!l.v[i].invalid || !l.v[i].below[0].leaves);
	tdp_root_list_free(&l);
	assert_int_equal(kvmtest_run(m, 0), KVM_EXIT_MMIO);
	l = look();
	assert_int_equal(l.n, 1);
	assert_false(l.v[0].invalid);
	assert_int_equal(l.v[0].vcpus, 1);
	tdp_root_list_free(&l);
}

/* To see the next write the right to write is taken away, or the dirty bit where the processor keeps a log. */
static void dirty_logging(void **state)
{
	struct tdp_root_list l;
	struct spte_info s;
	struct err e = {0};
	uint64_t *bits;
	size_t n;

	(void)state;
	need_guest();
	assert_int_equal(machine_slot_flags(m, 0, SLOT_LOG_DIRTY, 0, 0, NULL, &e), 0);
	kvmtest_run(m, 0);
	kvmtest_run(m, 0);
	assert_int_equal(machine_slot_dirty(m, 0, true, &bits, &n, &e), 0);
	assert_true(n >= 2 && bits[1] & 1);
	free(bits);
	l = look();
	s = leaf_of(0x40);
	assert_true(s.present && s.mmu_writable);
	assert_false(l.pml ? s.dirty : s.writable);
	tdp_root_list_free(&l);
	kvmtest_run(m, 0);
	kvmtest_run(m, 0);
	s = leaf_of(0x40);
	assert_true(s.writable && s.dirty);
	assert_int_equal(machine_slot_dirty(m, 0, false, &bits, &n, &e), 0);
	assert_true(bits[1] & 1);
	free(bits);
}

static void an_mmio_spte_has_its_generation(void **state)
{
	struct mmio_info_list l;
	struct tdp_root_list t;
	struct err e = {0};
	size_t found = 0;

	(void)state;
	need_guest();
	assert_int_equal(kvmtest_run(m, 0), KVM_EXIT_MMIO);
	assert_int_equal(kvm_of(m)->vcpu[0].run->mmio.phys_addr, 0xd0000000);
	assert_int_equal(machine_mmio(m, &l, &e), 0);
	if (l.v[0].sptes_off) {
		mmio_info_list_free(&l);
		skip_for("this host makes no MMIO sptes: kvm.mmio_caching is off");
	}
	for (size_t i = 0; i < l.v[0].n_sptes; i++) {
		const struct spte_info *s = &l.v[0].sptes[i];

		if (s->gfn != 0xd0000)
			continue;
		found++;
		assert_true(s->mmio && s->gfn_known && !s->present);
		assert_int_equal(s->mmio_gen, l.v[0].current_generation & 0x3ffff);
	}
	assert_int_equal(found, 1);
	t = look();
	assert_int_equal(t.v[0].below[0].mmio, l.v[0].n_sptes);
	tdp_root_list_free(&t);
	mmio_info_list_free(&l);
}

/* In SMM the vCPU is on a root of the other address space; the TDP MMU keeps both. */
static void smm_has_a_root_of_its_own(void **state)
{
	static const uint8_t out[] = {0xe6, 0x80, 0xeb, 0xfc}; /* out 0x80, al; again */
	struct tdp_root_list l;
	unsigned spaces = 0;

	(void)state;
	need_guest();
	if (kvm_of(m)->host->address_spaces < 2)
		skip_for("this host has one address space: no SMM");
	memcpy(kvmtest_mem(m, 0x38000, true), out, sizeof(out));
	assert_int_equal(ioctl(kvm_of(m)->vcpu[0].fd, KVM_SMI), 0);
	assert_int_equal(kvmtest_run(m, 0), KVM_EXIT_IO);
	l = look();
	assert_int_equal(l.n, l.kind == TDP_MMU ? 2 : 1);
	for (size_t i = 0; i < l.n; i++) {
		spaces |= 1u << l.v[i].as;
		assert_int_equal(l.v[i].vcpus, l.v[i].as == 1);
	}
	assert_int_equal(spaces, l.kind == TDP_MMU ? 3 : 2);
	tdp_root_list_free(&l);
	assert_int_equal(leaf_of(0x38).pfn, pfn_of(kvmtest_mem(m, 0x38000, true)));
}

/* The guest with its data at gpa 0x412000, and 0x600000 where there is a huge page too. */
static void need_huge_pages(void)
{
	const struct slot_spec huge = {.id = 2, .gpa = 0x400000, .size = 0x400000, .huge = true};
	struct err e = {0};

	need_tdp();
	kvmtest_slot(m, 0, 0, 0x80000, 0, SLOT_VIS_BOTH);
	if (machine_slot_add(m, &huge, NULL, &e))
		skip_for(e.why);
	memset(kvmtest_mem(m, 0x400000, false), 1, 0x400000);
	kvmtest_long_user(m, code, sizeof(code));
	kvmtest_map(m, 0x240000, 0x412007);
	kvmtest_map(m, 0x280000, 0x413007);
	kvmtest_map(m, 0x260000, 0xd0000007);
}

#define NO_HUGE "this host has no huge page for the slot (/sys/kernel/mm/transparent_hugepage/shmem_enabled)"

/* One entry for 2 MiB where the host has such a page. */
static void a_huge_page_is_one_leaf(void **state)
{
	struct tdp_root_list l;
	struct spte_info s;

	(void)state;
	need_huge_pages();
	assert_int_equal(kvmtest_run(m, 0), KVM_EXIT_MMIO);
	s = leaf_of(0x412);
	if (s.level == 1)
		skip_for(NO_HUGE);
	assert_int_equal(s.level, 2);
	assert_int_equal(s.gfn, 0x400);
	assert_int_equal(s.pfn, pfn_of(kvmtest_mem(m, 0x400000, false)));
	l = look();
	assert_int_equal(leaves(&l, 2), 1);
	tdp_root_list_free(&l);
}

/* Its code is executed: a table of small pages stands in its place, which KVM has on a list. */
static void a_huge_page_with_code_is_split(void **state)
{
	struct shadow_page_list pages;
	struct tdp_root_list l;
	struct err e = {0};
	unsigned marked = 0;

	(void)state;
	need_huge_pages();
	memcpy(kvmtest_mem(m, 0x600000, false), code, sizeof(code));
	kvmtest_map(m, 0x200000, 0x600007);
	assert_int_equal(kvmtest_run(m, 0), KVM_EXIT_MMIO);
	l = look();
	if (leaf_of(0x412).level == 1)
		skip_for(NO_HUGE);
	if (l.nx_huge_pages[0] != 'Y' || l.nx_off)
		skip_for("kvm.nx_huge_pages is off on this host");
	assert_int_equal(leaf_of(0x600).level, 1);
	assert_true(leaf_of(0x600).exec && !leaf_of(0x412).exec);
	assert_int_equal(l.nx_splits, 1);
	assert_int_equal(l.v[0].below[0].nx_splits, 1);
	assert_int_equal(machine_shadow_pages(m, 0, &pages, &e), 0);
	for (size_t i = 0; i < pages.n; i++) {
		marked += pages.v[i].nx_split;
		assert_true(!pages.v[i].nx_split ||
			    (pages.v[i].address && pages.v[i].level == 1 && pages.v[i].gfn == 0x600));
	}
	assert_int_equal(marked, 1);
	shadow_page_list_free(&pages);
	tdp_root_list_free(&l);
}

/* Whether it resets the vCPU, as SVM's does, or not: what the tables hold is found without a root of the vCPU's. */
static void a_shutdown_leaves_the_tables(void **state)
{
	static const uint8_t ud2[] = {0x0f, 0x0b};
	struct tdp_root_list l;

	(void)state;
	need_tdp();
	kvmtest_slot(m, 0, 0, 0x80000, 0, SLOT_VIS_BOTH);
	kvmtest_long_user(m, ud2, sizeof(ud2));
	assert_int_equal(kvmtest_run(m, 0), KVM_EXIT_SHUTDOWN);
	l = look();
	if (!l.n) { /* a TDP MMU that holds no reference of its own */
		tdp_root_list_free(&l);
		skip_for("this kernel drops a root with its last vCPU");
	}
	for (size_t i = 0; i < l.n; i++)
		assert_true(l.v[i].walked && l.v[i].hpa_known);
	assert_true(leaves(&l, 1) >= 5); /* code and four tables */
	tdp_root_list_free(&l);
}

static void there_are_no_reverse_maps(void **state)
{
	struct tdp_root_list l;
	struct rmap_list r;
	struct err e = {0};

	(void)state;
	need_guest();
	l = look();
	assert_int_equal(machine_rmap_all(m, &r, &e), 0);
	assert_int_equal(r.n == 0, l.kind == TDP_MMU);
	assert_int_equal(l.rmaps[0] != 0, l.kind == TDP_MMU);
	rmap_list_free(&r);
	tdp_root_list_free(&l);
}

static void looking_changes_nothing(void **state)
{
	struct shadow_page_list a, b;
	struct tdp_root_list l;
	struct err e = {0};

	(void)state;
	need_guest();
	assert_int_equal(machine_shadow_pages(m, SHADOW_WITH_ENTRIES, &a, &e), 0);
	l = look();
	tdp_root_list_free(&l);
	assert_int_equal(machine_shadow_pages(m, SHADOW_WITH_ENTRIES, &b, &e), 0);
	assert_int_equal(a.n, b.n);
	for (size_t i = 0; i < a.n; i++)
		assert_memory_equal(a.v[i].entries, b.v[i].entries, 4096);
	shadow_page_list_free(&a);
	shadow_page_list_free(&b);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, NULL, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(the_root_is_the_vcpus),
	    T(counts_are_kvms),
	    T(each_leaf_maps_the_page_behind_it),
	    T(readonly_is_in_the_spte),
	    T(a_deleted_slot_is_gone),
	    T(dirty_logging),
	    T(an_mmio_spte_has_its_generation),
	    T(smm_has_a_root_of_its_own),
	    T(a_huge_page_is_one_leaf),
	    T(a_huge_page_with_code_is_split),
	    T(a_shutdown_leaves_the_tables),
	    T(there_are_no_reverse_maps),
	    T(looking_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
