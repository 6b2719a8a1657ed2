/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Inspection through the machine on the kvm backend: the operations reach the kernel's structures, slots carry both what the
 * debugger and what the kernel knows, a host physical address is looked up without touching the page, and a view that
 * cannot be opened says why each time.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/lock.h"
#include "kvmback/kernel/kview.h"
#include "kvmback/kvm.h"
#include "tests/support/kvmtest.h"

/* mov [0x240000], eax; mov ecx, [0x250000]; mov [0x260000], eax; mov eax, [0x280000]; mov [0x260008], eax: the end */
static const uint8_t code[] = {0x89, 0x04, 0x25, 0x00, 0x00, 0x24, 0x00, 0x8b, 0x0c, 0x25, 0x00, 0x00,
			       0x25, 0x00, 0x89, 0x04, 0x25, 0x00, 0x00, 0x26, 0x00, 0x8b, 0x04, 0x25,
			       0x00, 0x00, 0x28, 0x00, 0x89, 0x04, 0x25, 0x08, 0x00, 0x26, 0x00};
#define DEVICE_GPA 0xd0000000
#define END_GPA 0xd0000008

/* A machine that ran the code, or NULL after a skip line. */
static struct machine *make(void)
{
	struct machine *m = kvmtest_create(1);
	const char *why;

	if (!m)
		return NULL;
	if (!machine_can(m, MACHINE_CAP_RMAP, &why)) {
		printf("skip: %s\n", why);
		machine_destroy(m);
		return NULL;
	}
	kvmtest_slot(m, 0, 0, 0x80000, 0, SLOT_VIS_BOTH);
	kvmtest_slot(m, 5, 0x80000, 0x10000, SLOT_READONLY, SLOT_VIS_BOTH);
	kvmtest_long_user(m, code, sizeof(code));
	kvmtest_map(m, 0x240000, 0x40007);
	kvmtest_map(m, 0x250000, 0x40007);
	kvmtest_map(m, 0x260000, DEVICE_GPA | 7);
	kvmtest_map(m, 0x280000, 0x80007);
	do
		assert_int_equal(kvmtest_run(m, 0), KVM_EXIT_MMIO);
	while (kvm_of(m)->vcpu[0].run->mmio.phys_addr != END_GPA);
	kvmtest_complete(m, 0);
	return m;
}

static void slots_carry_the_kernels_facts(void **state)
{
	struct machine *m = make();
	struct slot_info_list l;
	struct err e = {0};

	(void)state;
	if (!m)
		skip();
	assert_int_equal(machine_slot_list(m, &l, &e), 0);
	assert_int_equal(l.n, 2);
	assert_int_equal(l.v[0].id, 0);
	assert_int_equal(l.v[0].source, SOURCE_KERNEL);
	assert_int_equal(l.v[0].hva, slot_by_id(machine_slots(m), 0)->hva);
	assert_int_equal(l.v[0].vis, SLOT_VIS_BOTH);
	assert_int_equal(l.v[1].id, 5);
	assert_int_equal(l.v[1].flags, SLOT_READONLY);
	assert_int_equal(l.v[1].generation, l.v[0].generation);
	slot_info_list_free(&l);
	machine_destroy(m);
}

/* One slot at a time: the kernel's own generation, over more changes than there are sets to know. */
static void one_slot_follows_the_kernels_generation(void **state)
{
	struct machine *m = make();
	struct slot_info_list l;
	struct slot_info one;
	struct err e = {0};

	(void)state;
	if (!m)
		skip();
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(
		    machine_slot_flags(m, 0, i % 2 ? 0 : SLOT_LOG_DIRTY, i % 2 ? SLOT_LOG_DIRTY : 0, 0, NULL, &e), 0);
		assert_int_equal(machine_slot_info(m, 0, &one, &e), 0);
		assert_int_equal(machine_slot_list(m, &l, &e), 0);
		assert_int_equal(one.generation, l.v[0].generation);
		assert_int_equal(one.flags, i % 2 ? 0 : SLOT_LOG_DIRTY);
		assert_int_equal(one.hva, l.v[0].hva);
		assert_int_equal(one.source, SOURCE_KVM);
		slot_info_list_free(&l);
	}
	assert_int_equal(machine_slot_info(m, 77, &one, &e), -ENOENT);
	machine_destroy(m);
}

/* Memory that only SMM sees is in the table, though the kernel has it only while SMM lasts. */
static void smram_is_listed(void **state)
{
	struct machine *m = make();
	struct slot_info_list l;
	struct err e = {0};

	(void)state;
	if (!m)
		skip();
	kvmtest_slot(m, 2, 0xa0000, 0x10000, SLOT_SMRAM, SLOT_VIS_SMM);
	assert_int_equal(machine_slot_list(m, &l, &e), 0);
	assert_int_equal(l.n, 3);
	assert_int_equal(l.v[1].id, 2);
	assert_int_equal(l.v[1].flags, SLOT_SMRAM);
	assert_int_equal(l.v[1].vis, SLOT_VIS_SMM);
	assert_int_equal(l.v[1].source, kvm_of(m)->host->address_spaces > 1 ? SOURCE_KERNEL : SOURCE_KVM);
	slot_info_list_free(&l);
	machine_destroy(m);
}

/* Both aliases of gfn 0x40 where tables are by gva, each in its own spte; with TDP one spte by gpa, and no rmap. */
static void look_at_rmaps(struct machine *m, bool tdp)
{
	unsigned spaces = kvm_of(m)->host->address_spaces > 1 ? 2 : 1;
	struct rmap_histogram_list h;
	struct rmap_list r;
	struct err e = {0};
	uint64_t hpa;

	assert_int_equal(machine_rmap(m, 0x40, &r, &e), 0);
	assert_int_equal(r.n, spaces);
	for (size_t i = 0; i < r.n; i++)
		assert_int_equal(r.v[i].n_sptes, tdp || r.v[i].as ? 0 : 2);
	if (!tdp) {
		assert_int_equal(machine_hpa(m, 0x40123, false, &hpa, &e), 0);
		assert_int_equal(hpa, r.v[0].sptes[0].pfn << 12 | 0x123);
	}
	rmap_list_free(&r);
	assert_int_equal(machine_rmap_all(m, &r, &e), 0);
	assert_int_equal(r.n, tdp ? 0 : 3);
	rmap_list_free(&r);
	assert_int_equal(machine_rmap_histogram(m, &h, &e), 0);
	assert_true(tdp || h.v[0].longest == 2);
	rmap_histogram_list_free(&h);
}

static void operations_reach_the_kernel(void **state)
{
	struct machine *m = make();
	struct shadow_page_list p;
	struct spte_list s;
	struct root_list roots;
	struct mmio_info_list mmio;
	struct err e = {0};
	uint64_t hpa;

	(void)state;
	if (!m)
		skip();
	bool tdp = kvmtest_tdp(m);
	look_at_rmaps(m, tdp);
	assert_int_equal(machine_shadow_pages(m, SHADOW_WITH_PARENTS, &p, &e), 0);
	assert_true(p.n >= 4);
	shadow_page_list_free(&p);
	uint64_t at = tdp ? 0x80000 : 0x280000;
	assert_int_equal(machine_sptes(m, 0, at, at | 0xfff, &s, &e), 0);
	assert_int_equal(s.n, 4);
	assert_int_equal(s.levels, 4);
	assert_int_equal(s.v[3].gfn, 0x80);
	assert_true(s.v[3].by_gpa == tdp && s.v[3].gva_known != tdp && s.v[3].gva == at);
	assert_int_equal(machine_hpa(m, 0x80123, false, &hpa, &e), 0);
	assert_int_equal(hpa, s.v[3].pfn << 12 | 0x123);
	spte_list_free(&s);
	assert_int_equal(machine_roots(m, &roots, &e), 0);
	assert_true(roots.n >= 1 && roots.v[0].current);
	root_list_free(&roots);
	assert_int_equal(machine_mmio(m, &mmio, &e), 0);
	assert_true(mmio.v[0].valid && mmio.v[0].by_gfn == tdp);
	assert_int_equal(mmio.v[0].gva, tdp ? 0 : 0x260000);
	assert_int_equal(mmio.v[0].gfn, 0xd0000);
	mmio_info_list_free(&mmio);
	machine_destroy(m);
}

static void a_reason_is_kept(void **state)
{
	struct kvm_vm vm = {.fd = -1, .m = {.vcpus = 1}};
	struct kview *k;
	struct err first = {0}, second = {0};
	int rc;

	(void)state;
	vm.vcpu[0].fd = -1;
	lock_init(&vm.kview_lock, LOCK_KVIEW);
	LOCK_SCOPE(&vm.kview_lock);
	rc = kvm_kview(&vm, &k, &first);
	assert_true(rc < 0);
	assert_null(vm.kview);
	assert_true(first.why[0]);
	assert_int_equal(kvm_kview(&vm, &k, &second), rc);
	assert_string_equal(first.why, second.why);
	assert_int_equal(kvm_kview(&vm, &k, NULL), rc);
	assert_int_equal(kvm_kview(&vm, &k, &vm.kview_err), rc);
	assert_string_equal(vm.kview_err.why, first.why);
}

/* ---- host physical addresses, of memory that is no VM's */

static struct slot plain_slot(size_t pages)
{
	void *p = mmap(NULL, pages * 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return (struct slot){.gpa = 0x100000, .size = pages * 4096, .hva = (uintptr_t)p};
}

static unsigned char resident(const struct slot *s, unsigned page)
{
	unsigned char in = 0xff;

	assert_int_equal(mincore((void *)(uintptr_t)(s->hva + page * 4096ull), 4096, &in), 0);
	return in & 1;
}

static bool pagemap_is_there(void)
{
	if (!access("/proc/self/pagemap", R_OK))
		return true;
	printf("skip: /proc/self/pagemap cannot be read: %s\n", strerror(errno));
	return false;
}

static void a_page_is_looked_up_and_not_touched(void **state)
{
	struct slot s = plain_slot(4);
	uint64_t hpa = 0x77, again;
	struct err e = {0};
	int rc;

	(void)state;
	if (!pagemap_is_there())
		skip();
	assert_int_equal(kvm_hpa(NULL, &s, 0x101000, &hpa, &e), -ENODATA);
	assert_int_equal(hpa, 0x77);
	assert_int_equal(e.space, ERR_SPACE_GPA);
	assert_int_equal(e.addr, 0x101000);
	assert_int_equal(resident(&s, 1), 0);
	*(volatile char *)(uintptr_t)(s.hva + 0x1000) = 1;
	rc = kvm_hpa(NULL, &s, 0x101abc, &hpa, &e);
	if (rc == -EPERM) {
		printf("skip: %s\n", e.why);
		skip();
	}
	assert_int_equal(rc, 0);
	assert_int_equal(hpa & 0xfff, 0xabc);
	assert_true(hpa >> 12);
	assert_int_equal(kvm_hpa(NULL, &s, 0x101000, &again, &e), 0);
	assert_int_equal(again, hpa & ~0xfffull);
	assert_int_equal(resident(&s, 2), 0);
	munmap((void *)(uintptr_t)s.hva, s.size);
}

/* The guest's mapping was dropped, the debugger's still has the page: it is the same one. */
static void the_alias_knows_it_too(void **state)
{
	struct slot s = plain_slot(2), alias;
	uint64_t hpa;
	struct err e = {0};
	int rc;

	(void)state;
	if (!pagemap_is_there())
		skip();
	alias = plain_slot(2);
	s.alias = (uint8_t *)(uintptr_t)alias.hva;
	s.alias[0x1000] = 1;
	rc = kvm_hpa(NULL, &s, 0x101000, &hpa, &e);
	if (rc == -EPERM) {
		printf("skip: %s\n", e.why);
		skip();
	}
	assert_int_equal(rc, 0);
	assert_int_equal(kvm_hpa(NULL, &s, 0x100000, &hpa, &e), -ENODATA);
	munmap((void *)(uintptr_t)s.hva, s.size);
	munmap(s.alias, s.size);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(slots_carry_the_kernels_facts),
	    cmocka_unit_test(one_slot_follows_the_kernels_generation),
	    cmocka_unit_test(smram_is_listed),
	    cmocka_unit_test(operations_reach_the_kernel),
	    cmocka_unit_test(a_reason_is_kept),
	    cmocka_unit_test(a_page_is_looked_up_and_not_touched),
	    cmocka_unit_test(the_alias_knows_it_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
