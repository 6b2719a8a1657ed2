/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The kernel view against a VM of this test's own: the tour guest is run to its end, then every fact about its slots, shadow
 * pages, sptes, reverse maps and MMIO cache is known exactly.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "core/cpu/regs.h"
#include "kvmback/kernel/kview_impl.h"

#define RAM_SIZE (1u << 20)

/* What nasm makes of the tour: two aliases of one page, a device page, a READONLY slot, a fault at 0x300000. */
static const uint8_t tour[] = {
    0x48, 0xb8, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0xbb, 0x00, 0x00, 0x24, 0x00, 0x48, 0x89, 0x03, 0xbb, 0x00,
    0x00, 0x25, 0x00, 0x48, 0x8b, 0x0b, 0x48, 0x83, 0xc1, 0x01, 0x48, 0x89, 0x0b, 0xbb, 0x00, 0x00, 0x26, 0x00, 0x89, 0x03,
    0x8b, 0x53, 0x04, 0x89, 0x53, 0x08, 0xb9, 0x80, 0x96, 0x98, 0x00, 0xff, 0xc9, 0x75, 0xfc, 0xbb, 0x00, 0x00, 0x28, 0x00,
    0x89, 0x03, 0x8b, 0x03, 0xbb, 0x00, 0x00, 0x29, 0x00, 0x8b, 0x03, 0x8b, 0x04, 0x25, 0x00, 0x00, 0x30, 0x00, 0xf4,
};

struct vm {
	int kvm, fd, vcpu;
	struct kvm_run *run;
	uint8_t *ram;
	size_t size;
	struct kview *k;
};

static struct vm tour_vm;
static const char *skip_why;

static void *vm_at(struct vm *v, uint64_t gpa)
{
	return v->ram + gpa;
}

static int vm_make(struct vm *v, size_t size)
{
	v->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (v->kvm < 0)
		return -errno;
	v->fd = ioctl(v->kvm, KVM_CREATE_VM, 0);
	v->size = size;
	v->ram = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	v->vcpu = v->fd < 0 ? -1 : ioctl(v->fd, KVM_CREATE_VCPU, 0);
	if (v->vcpu < 0 || v->ram == MAP_FAILED)
		return -errno;
	v->run =
	    mmap(NULL, (size_t)ioctl(v->kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE, MAP_SHARED, v->vcpu, 0);
	return v->run == MAP_FAILED ? -errno : 0;
}

static int vm_slot(struct vm *v, uint32_t id, uint64_t gpa, uint64_t size, uint32_t flags)
{
	struct kvm_userspace_memory_region r = {id, flags, gpa, size, (uintptr_t)v->ram + gpa};

	return ioctl(v->fd, KVM_SET_USER_MEMORY_REGION, &r) < 0 ? -errno : 0;
}

static void vm_cpuid(struct vm *v)
{
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + 256 * sizeof(c->entries[0]));

	c->nent = 256;
	assert_int_equal(ioctl(v->kvm, KVM_GET_SUPPORTED_CPUID, c), 0);
	assert_int_equal(ioctl(v->vcpu, KVM_SET_CPUID2, c), 0);
	free(c);
}

/* Long mode at CPL 3, tables at 0x10000. */
static void vm_user(struct vm *v, uint64_t rip)
{
	struct kvm_segment cs = {0, 0xffffffff, 0x23, 11, 1, 3, 0, 1, 1, 1, 0, 0, 0};
	struct kvm_segment ds = {0, 0xffffffff, 0x1b, 3, 1, 3, 1, 1, 0, 1, 0, 0, 0};
	struct kvm_regs r = {.rip = rip, .rflags = 2};
	struct kvm_sregs s;

	vm_cpuid(v);
	assert_int_equal(ioctl(v->vcpu, KVM_GET_SREGS, &s), 0);
	s.cr3 = 0x10000;
	s.cr4 = 0x20;
	s.cr0 = 0x80010033;
	s.efer = 0xd01;
	s.gdt.base = 0x500;
	s.gdt.limit = 39;
	s.idt.limit = 0;
	s.cs = cs;
	s.ds = s.es = s.ss = s.fs = s.gs = ds;
	assert_int_equal(ioctl(v->vcpu, KVM_SET_SREGS, &s), 0);
	assert_int_equal(ioctl(v->vcpu, KVM_SET_REGS, &r), 0);
}

static void vm_gdt(struct vm *v)
{
	uint64_t *gdt = vm_at(v, 0x500);

	gdt[1] = 0x00209a0000000000;
	gdt[2] = 0x0000920000000000;
	gdt[3] = 0x0000f20000000000;
	gdt[4] = 0x0020fa0000000000;
}

static void tour_tables(struct vm *v)
{
	uint64_t *p4 = vm_at(v, 0x10000), *p3 = vm_at(v, 0x11000), *p2 = vm_at(v, 0x12000), *p1 = vm_at(v, 0x13000);

	p4[0] = 0x11007;
	p3[0] = 0x12007;
	p2[1] = 0x13007;
	p1[0] = 0x1007;
	p1[0x40] = p1[0x50] = 0x40007;
	p1[0x60] = 0xd0000007;
	p1[0x80] = 0x80007;
	p1[0x90] = 0x81007;
}

/* Runs until something else than MMIO. */
static uint32_t vm_run(struct vm *v)
{
	do {
		if (ioctl(v->vcpu, KVM_RUN, 0) < 0 && errno != EINTR)
			return ~0u;
	} while (v->run->exit_reason == KVM_EXIT_MMIO);
	return v->run->exit_reason;
}

static void vm_end(struct vm *v)
{
	kview_close(v->k);
	if (v->vcpu >= 0)
		close(v->vcpu);
	close(v->fd);
	close(v->kvm);
	munmap(v->ram, v->size);
}

static uint64_t pfn_of(const void *p)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;

	assert_int_equal(pread(fd, &entry, 8, (off_t)((uintptr_t)p >> 12) * 8), 8);
	close(fd);
	return entry >> 63 ? entry & ((1ull << 55) - 1) : 0;
}

static int setup(void **state)
{
	static char why[1024];
	struct err e = {0};
	int rc = vm_make(&tour_vm, RAM_SIZE);

	*state = &tour_vm;
	if (rc < 0) {
		skip_why = "no /dev/kvm";
		return 0;
	}
	memcpy(vm_at(&tour_vm, 0x1000), tour, sizeof(tour));
	vm_gdt(&tour_vm);
	tour_tables(&tour_vm);
	assert_int_equal(vm_slot(&tour_vm, 0, 0, 0x80000, 0), 0);
	assert_int_equal(vm_slot(&tour_vm, 1, 0x80000, 0x10000, KVM_MEM_READONLY), 0);
	vm_user(&tour_vm, 0x200000);
	assert_int_equal(vm_run(&tour_vm), KVM_EXIT_SHUTDOWN);
	rc = kview_open(tour_vm.fd, &tour_vm.vcpu, 1, &tour_vm.k, &e);
	if (rc < 0) {
		err_format(&e, why, sizeof(why));
		skip_why = why;
	} else if (kview_tdp(tour_vm.k)) {
		skip_why = "this host uses TDP: the tour's shadow tables are not made";
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (tour_vm.kvm >= 0)
		vm_end(&tour_vm);
	return 0;
}

static struct kview *need(void **state)
{
	struct vm *v = *state;

	if (skip_why) {
		printf("skip: %s\n", skip_why);
		skip();
	}
	return v->k;
}

static void slots_are_the_two(void **state)
{
	struct kview *k = need(state);
	struct slot_info_list l;
	struct err e = {0};

	assert_int_equal(kview_slots(k, &l, &e), 0);
	assert_int_equal(l.n, 2);
	assert_int_equal(l.v[0].id, 0);
	assert_int_equal(l.v[0].gpa, 0);
	assert_int_equal(l.v[0].size, 0x80000);
	assert_int_equal(l.v[0].hva, (uintptr_t)tour_vm.ram);
	assert_int_equal(l.v[0].flags, 0);
	assert_int_equal(l.v[1].id, 1);
	assert_int_equal(l.v[1].gpa, 0x80000);
	assert_int_equal(l.v[1].size, 0x10000);
	assert_int_equal(l.v[1].flags, SLOT_READONLY);
	assert_int_equal(l.v[1].generation, 2);
	assert_int_equal(l.v[1].source, SOURCE_KERNEL);
	assert_false(l.v[0].torn || l.v[1].torn);
	slot_info_list_free(&l);
}

static void shadow_pages_are_the_four(void **state)
{
	struct kview *k = need(state);
	struct shadow_page_list l;
	struct err e = {0};
	unsigned seen = 0;

	assert_int_equal(kview_shadow_pages(k, SHADOW_WITH_ENTRIES | SHADOW_WITH_PARENTS, &l, &e), 0);
	assert_false(l.torn);
	for (size_t i = 0; i < l.n; i++) {
		const struct shadow_page *p = &l.v[i];

		if (p->gfn < 0x10 || p->gfn > 0x13 || p->direct)
			continue;
		assert_int_equal(p->level, 4 - (p->gfn - 0x10));
		assert_int_equal(p->access, 7);
		assert_false(p->tdp || p->smm || p->torn || p->invalid);
		assert_int_equal(p->sptes, p->level == 1 ? 5 : 1);
		assert_int_equal(p->n_parents, p->level == 4 ? 0 : 1);
		assert_true(p->level != 4 || p->roots >= 1);
		assert_non_null(p->entries);
		seen |= 1u << p->level;
	}
	assert_int_equal(seen, 0x1e);
	shadow_page_list_free(&l);
}

static void rmaps_have_the_aliases(void **state)
{
	struct kview *k = need(state);
	struct rmap_list l;
	struct err e = {0};
	uint64_t gvas;

	assert_int_equal(kview_rmap(k, 0x40, &l, &e), 0);
	assert_int_equal(l.n, 1);
	assert_int_equal(l.v[0].kind, RMAP_MANY);
	assert_int_equal(l.v[0].level, 1);
	assert_int_equal(l.v[0].slot, 0);
	assert_string_equal(l.v[0].corrupt, "");
	assert_false(l.v[0].torn);
	assert_int_equal(l.v[0].n_desc, 1);
	assert_int_equal(l.v[0].desc[0].used, 2);
	assert_int_equal(l.v[0].n_sptes, 2);
	gvas = l.v[0].sptes[0].gva ^ l.v[0].sptes[1].gva;
	assert_int_equal(gvas, 0x240000 ^ 0x250000);
	assert_true(l.v[0].sptes[0].gva == 0x240000 || l.v[0].sptes[0].gva == 0x250000);
	for (int i = 0; i < 2; i++) {
		const struct spte_info *s = &l.v[0].sptes[i];

		assert_true(s->gva_known && s->present && s->leaf && s->writable && s->dirty && s->user);
		assert_int_equal(s->page_gfn, 0x13);
		assert_int_equal(s->gfn, 0x40);
		assert_int_equal(s->index, (s->gva >> 12) & 511);
		assert_int_equal(s->pfn, pfn_of(vm_at(&tour_vm, 0x40000)));
		assert_int_equal(s->sptep >> 47, 0x1ffff);
	}
	rmap_list_free(&l);
	assert_int_equal(kview_rmap(k, 0x80, &l, &e), 0);
	assert_int_equal(l.n, 1);
	assert_int_equal(l.v[0].kind, RMAP_ONE);
	assert_int_equal(l.v[0].slot, 1);
	assert_int_equal(l.v[0].n_sptes, 1);
	assert_int_equal(l.v[0].sptes[0].gva, 0x280000);
	assert_false(l.v[0].sptes[0].writable || l.v[0].sptes[0].host_writable);
	rmap_list_free(&l);
	assert_int_equal(kview_rmap(k, 0x41, &l, &e), 0);
	assert_int_equal(l.n, 1);
	assert_int_equal(l.v[0].kind, RMAP_EMPTY);
	assert_int_equal(l.v[0].n_sptes, 0);
	rmap_list_free(&l);
	assert_int_equal(kview_rmap(k, 0xd0000, &l, &e), 0);
	assert_int_equal(l.n, 0);
	rmap_list_free(&l);
}

static void all_rmaps_agree(void **state)
{
	struct kview *k = need(state);
	static const uint64_t gfn[] = {0x1, 0x40, 0x80, 0x81};
	struct rmap_list l;
	struct err e = {0};

	assert_int_equal(kview_rmap_all(k, &l, &e), 0);
	assert_int_equal(l.n, 4);
	for (size_t i = 0; i < l.n; i++) {
		assert_int_equal(l.v[i].gfn, gfn[i]);
		assert_int_equal(l.v[i].n_sptes, gfn[i] == 0x40 ? 2 : 1);
		assert_string_equal(l.v[i].corrupt, "");
		assert_false(l.v[i].torn || l.v[i].sptes[0].torn);
		assert_int_equal(l.v[i].sptes[0].pfn, pfn_of(vm_at(&tour_vm, gfn[i] << 12)));
	}
	rmap_list_free(&l);
}

/* A row at a time: by slot and level, in no order of gfns. */
static int check_row(void *arg, const struct rmap_info *row)
{
	unsigned *seen = arg;

	assert_int_equal(row->n_sptes, row->gfn == 0x40 ? 2 : 1);
	assert_int_equal(row->kind, row->gfn == 0x40 ? RMAP_MANY : RMAP_ONE);
	for (size_t i = 0; i < row->n_sptes; i++)
		assert_true(row->sptes[i].sptep >> 63);
	*seen |= row->gfn == 0x1 ? 1u : row->gfn == 0x40 ? 2u : row->gfn == 0x80 ? 4u : row->gfn == 0x81 ? 8u : 16u;
	return row->gfn == 0xffffffff;
}

static int refuse_row(void *arg, const struct rmap_info *row)
{
	(void)arg, (void)row;
	return -ECANCELED;
}

static void rmaps_come_one_by_one(void **state)
{
	struct kview *k = need(state);
	struct err e = {0};
	unsigned seen = 0;

	assert_int_equal(kview_rmap_each(k, check_row, &seen, &e), 0);
	assert_int_equal(seen, 15);
	assert_int_equal(kview_rmap_each(k, refuse_row, NULL, &e), -ECANCELED);
}

/* Held pages are read once; let go, they are read anew. */
static void held_pages_are_read_once(void **state)
{
	struct kview *k = need(state);
	struct shadow_page_list a, b;
	uint64_t before, first, second;
	struct err e = {0};

	kview_hold(k, true);
	before = k->mem->reads;
	assert_int_equal(kview_shadow_pages(k, SHADOW_WITH_ENTRIES, &a, &e), 0);
	first = k->mem->reads;
	assert_int_equal(kview_shadow_pages(k, SHADOW_WITH_ENTRIES, &b, &e), 0);
	second = k->mem->reads;
	kview_hold(k, false);
	assert_true(first > before);
	assert_int_equal(second, first);
	assert_int_equal(a.n, b.n);
	for (size_t i = 0; i < a.n; i++)
		assert_memory_equal(a.v[i].entries, b.v[i].entries, 4096);
	shadow_page_list_free(&b);
	assert_int_equal(kview_shadow_pages(k, 0, &b, &e), 0);
	first = k->mem->reads;
	assert_true(first > second);
	shadow_page_list_free(&a);
	shadow_page_list_free(&b);
}

static void histogram_counts_them(void **state)
{
	struct kview *k = need(state);
	struct rmap_histogram_list l;
	struct err e = {0};

	assert_int_equal(kview_rmap_histogram(k, &l, &e), 0);
	assert_int_equal(l.n, 6); /* two slots, three levels */
	assert_int_equal(l.v[0].level, 1);
	assert_int_equal(l.v[0].counts[0], 0x80 - 2);
	assert_int_equal(l.v[0].counts[1], 1);
	assert_int_equal(l.v[0].counts[2], 1);
	assert_int_equal(l.v[0].longest, 2);
	assert_int_equal(l.v[0].longest_gfn, 0x40);
	assert_int_equal(l.v[3].slot, 1);
	assert_int_equal(l.v[3].counts[0], 0x10 - 2);
	assert_int_equal(l.v[3].counts[1], 2);
	assert_int_equal(l.v[1].counts[0], 1);
	rmap_histogram_list_free(&l);
}

static void sptes_of_a_range(void **state)
{
	struct kview *k = need(state);
	static const uint64_t gva[] = {0x200000, 0x240000, 0x250000, 0x280000, 0x290000};
	static const uint64_t gfn[] = {0x1, 0x40, 0x40, 0x80, 0x81};
	struct spte_list l;
	struct err e = {0};
	size_t leafs = 0;

	assert_int_equal(kview_sptes(k, 0, 0x200000, 0x2fffff, &l, &e), 0);
	for (size_t i = 0; i < l.n; i++) {
		const struct spte_info *s = &l.v[i];

		assert_false(s->torn || s->mmio || s->host_own);
		assert_true(s->gva_known && s->gfn_known && s->present);
		if (!s->leaf) {
			assert_int_equal(s->gfn, 0x10 + 5 - s->level);
			continue;
		}
		assert_int_equal(s->gva, gva[leafs]);
		assert_int_equal(s->gfn, gfn[leafs]);
		assert_int_equal(s->level, 1);
		assert_int_equal(s->writable, s->gfn == 0x40);
		assert_int_equal(s->pfn, pfn_of(vm_at(&tour_vm, s->gfn << 12)));
		leafs++;
	}
	assert_int_equal(leafs, 5);
	assert_int_equal(l.n, 8);
	spte_list_free(&l);
	assert_int_equal(kview_sptes(k, 0, 0x241000, 0x24ffff, &l, &e), 0);
	assert_int_equal(l.n, 3); /* the three above it, no leaf */
	spte_list_free(&l);
}

/* The whole address space: as the range, and on PVM the hypervisor's own root entry, named as such and not followed. */
static void all_sptes_mark_the_hosts_own(void **state)
{
	struct kview *k = need(state);
	struct spte_list l;
	struct err e = {0};
	size_t own = 0;

	assert_int_equal(kview_sptes(k, 0, 0, ~0ull, &l, &e), 0);
	for (size_t i = 0; i < l.n; i++) {
		own += l.v[i].host_own;
		assert_true(!l.v[i].host_own || (l.v[i].level == 4 && !l.v[i].present));
		assert_true(l.v[i].host_own || l.v[i].gva < 0x400000);
	}
	assert_int_equal(l.n, 8 + own);
	spte_list_free(&l);
}

static void roots_name_their_page(void **state)
{
	struct kview *k = need(state);
	struct root_list l;
	struct err e = {0};
	unsigned current = 0;

	assert_int_equal(kview_roots(k, &l, &e), 0);
	for (size_t i = 0; i < l.n; i++) {
		if (!l.v[i].current)
			continue;
		current++;
		assert_int_equal(l.v[i].cr3, 0x10000);
		assert_int_equal(l.v[i].level, 4);
		assert_int_not_equal(l.v[i].page, 0);
		assert_false(l.v[i].guest_mode);
	}
	assert_int_equal(current, 1);
	root_list_free(&l);
}

static void mmio_cache_has_the_device(void **state)
{
	struct kview *k = need(state);
	struct mmio_info_list l;
	struct err e = {0};

	assert_int_equal(kview_mmio(k, &l, &e), 0);
	assert_int_equal(l.n, 1);
	assert_int_equal(l.v[0].gva, 0x260000);
	assert_int_equal(l.v[0].gfn, 0xd0000);
	assert_int_equal(l.v[0].access, 6);
	assert_int_equal(l.v[0].generation, 2);
	assert_int_equal(l.v[0].current_generation, 2);
	assert_true(l.v[0].valid);
	assert_false(l.v[0].torn);
	mmio_info_list_free(&l);
}

static void tables_are_known(void **state)
{
	struct kview *k = need(state);
	struct err e = {0};
	bool table;

	for (uint64_t gfn = 0; gfn < 0x90; gfn++) {
		assert_int_equal(kview_is_table(k, gfn, &table, &e), 0);
		assert_int_equal(table, gfn >= 0x10 && gfn <= 0x13);
	}
}

static void registers_without_an_ioctl(void **state)
{
	struct kview *k = need(state);
	struct kvm_regs r;
	struct kvm_sregs s;
	struct regs mine = {0};
	struct err e = {0};
	int rc = kview_regs(k, 0, &mine, &e);

	if (rc == -ENODATA) { /* not PVM: the processor has them */
		assert_int_equal(mine.valid, 0);
		return;
	}
	assert_int_equal(rc, 0);
	assert_int_equal(ioctl(tour_vm.vcpu, KVM_GET_REGS, &r), 0);
	assert_int_equal(mine.rip, r.rip);
	assert_int_equal(mine.gpr[RAX], r.rax);
	assert_int_equal(mine.gpr[RBX], r.rbx);
	assert_int_equal(mine.gpr[RCX], r.rcx);
	assert_int_equal(mine.gpr[RDX], r.rdx);
	assert_int_equal(mine.rflags, r.rflags);
	if (!(mine.valid & REGS_SYS))
		return;
	assert_int_equal(ioctl(tour_vm.vcpu, KVM_GET_SREGS, &s), 0);
	assert_int_equal(mine.cr0, s.cr0);
	assert_int_equal(mine.cr2, s.cr2);
	assert_int_equal(mine.cr2, 0x300000);
	assert_int_equal(mine.cr3, s.cr3);
	assert_int_equal(mine.cr4, s.cr4);
	assert_int_equal(mine.efer, s.efer);
	assert_int_equal(mine.gdt.base, s.gdt.base);
	assert_int_equal(mine.gdt.limit, s.gdt.limit);
	assert_int_equal(mine.idt.base, s.idt.base);
	assert_int_equal(mine.seg[SEG_CS].selector, 0x23);
	assert_int_equal(mine.seg[SEG_CS].dpl, 3);
	assert_true(mine.seg[SEG_CS].l && mine.seg[SEG_CS].present);
	assert_int_equal(mine.seg[SEG_SS].selector, s.ss.selector);
	assert_int_equal(mine.tr.selector, s.tr.selector);
}

static void looking_changes_nothing(void **state)
{
	struct kview *k = need(state);
	struct shadow_page_list a, b;
	struct rmap_list r;
	struct spte_list s;
	struct mmio_info_list m;
	struct err e = {0};

	assert_int_equal(kview_shadow_pages(k, SHADOW_WITH_ENTRIES, &a, &e), 0);
	assert_int_equal(kview_rmap_all(k, &r, &e), 0);
	assert_int_equal(kview_sptes(k, 0, 0, ~0ull, &s, &e), 0);
	assert_int_equal(kview_mmio(k, &m, &e), 0);
	assert_int_equal(kview_shadow_pages(k, SHADOW_WITH_ENTRIES, &b, &e), 0);
	assert_int_equal(a.n, b.n);
	for (size_t i = 0; i < a.n; i++) {
		assert_int_equal(a.v[i].address, b.v[i].address);
		assert_memory_equal(a.v[i].entries, b.v[i].entries, 4096);
	}
	shadow_page_list_free(&a);
	shadow_page_list_free(&b);
	rmap_list_free(&r);
	spte_list_free(&s);
	mmio_info_list_free(&m);
}

static void wrong_descriptors_are_refused(void **state)
{
	struct vm *v = *state;
	struct kview *k;
	struct err e = {0};
	int bad = 1000000;

	need(state);
	assert_int_equal(kview_open(bad, &v->vcpu, 1, &k, &e), -EBADF);
	assert_non_null(strstr(e.why, "this thread's table has"));
	assert_int_equal(kview_open(v->fd, &v->fd, 1, &k, &e), -EINVAL);
	assert_non_null(strstr(e.why, "is no vCPU of the VM"));
}

/* Kernels before 5.14 have no programs of type SYSCALL. */
static void the_older_program_type_reads_the_same(void **state)
{
	struct kview *k = need(state), *old;
	struct shadow_page_list a, b;
	const struct klayout *l;
	struct khost host;
	struct kmem *mem;
	struct err e = {0};

	assert_int_equal(kmem_bpf_open(KMEM_BPF_RAW_TRACEPOINT, &mem, &e), 0);
	assert_int_equal(klayout_get(&l, &e), 0);
	khost_get(&host);
	assert_int_equal(kview_open_on(mem, l, &host, tour_vm.fd, &tour_vm.vcpu, 1, &old, &e), 0);
	assert_int_equal(kview_shadow_pages(k, SHADOW_WITH_ENTRIES, &a, &e), 0);
	assert_int_equal(kview_shadow_pages(old, SHADOW_WITH_ENTRIES, &b, &e), 0);
	assert_int_equal(a.n, b.n);
	for (size_t i = 0; i < a.n; i++)
		assert_memory_equal(a.v[i].entries, b.v[i].entries, 4096);
	shadow_page_list_free(&a);
	shadow_page_list_free(&b);
	kview_close(old);
}

/* Places that cannot be read are told apart from those that can, in one batch, at any place in it. */
static void holes_in_a_batch(void **state)
{
	struct kview *k = need(state);
	uint64_t addr[3 * KMEM_GATHER], got[3 * KMEM_GATHER], owner = 0;
	bool ok[3 * KMEM_GATHER];
	struct err e = {0};

	for (size_t i = 0; i < ARRAY_LEN(addr); i++)
		addr[i] = i % 7 == 3 ? 0xffffa00000000000 : i % 7 == 5 ? 0x1000 : k->vcpu[0] + (uint64_t)k->l->vcpu_kvm.off;
	assert_int_equal(kmem_gather(k->mem, addr, ARRAY_LEN(addr), 8, got, ok, &e), 0);
	for (size_t i = 0; i < ARRAY_LEN(addr); i++) {
		assert_int_equal(ok[i], i % 7 != 3 && i % 7 != 5);
		assert_int_equal(got[i], ok[i] ? k->kvm : 0);
	}
	assert_int_equal(kmem_u64(k->mem, 0x1000, &owner, &e), -EFAULT);
	assert_int_equal(kmem_u64(k->mem, 0xffffa00000000000, &owner, &e), -EFAULT);
	assert_int_equal(e.addr, 0xffffa00000000000);
	assert_int_equal(kmem_read(k->mem, 0xfffffffffffffff0, got, 64, &e), -EFAULT);
	assert_int_equal(kmem_gather(k->mem, addr, 1, KMEM_ITEM_MAX + 1, got, ok, &e), -EINVAL);
}

static void without_rights_it_says_so(void **state)
{
	int status;
	pid_t child;

	need(state);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		struct kview *k;
		struct err e = {0};

		if (setresuid(65534, 65534, 65534) < 0)
			_exit(2);
		_exit(kview_open(tour_vm.fd, &tour_vm.vcpu, 1, &k, &e) == -EPERM && strstr(e.why, "CAP_BPF") &&
			      strstr(e.next, "setcap")
			  ? 0
			  : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* Slots change under an open view. */
static void new_slots_are_seen(void **state)
{
	struct kview *k = need(state);
	struct slot_info_list l;
	struct err e = {0};
	uint64_t before, after;

	assert_int_equal(kview_generation(k, 0, &before, &e), 0);
	assert_int_equal(vm_slot(&tour_vm, 9, 0xa0000, 0x3000, KVM_MEM_LOG_DIRTY_PAGES), 0);
	assert_int_equal(kview_generation(k, 0, &after, &e), 0);
	assert_true(after > before);
	assert_int_equal(kview_slots(k, &l, &e), 0);
	assert_int_equal(l.n, 3);
	assert_int_equal(l.v[2].id, 9);
	assert_int_equal(l.v[2].flags, SLOT_LOG_DIRTY);
	slot_info_list_free(&l);
	assert_int_equal(kview_dirty(k, 9, 0, &before, 1, &e), 0);
	assert_int_equal(before, 0);
	assert_int_equal(kview_dirty(k, 0, 0, &before, 1, &e), -ENOENT);
	assert_int_equal(vm_slot(&tour_vm, 9, 0xa0000, 0, 0), 0);
	assert_int_equal(kview_slots(k, &l, &e), 0);
	assert_int_equal(l.n, 2);
	slot_info_list_free(&l);
}

/* ---- many pages */

#define BIG_SIZE (1ull << 30)
#define BIG_PAGES 50000u
#define BIG_GVA 0x40000000ull
#define BIG_FIRST_GFN 0x1000ull /* what BIG_GVA maps */

/* mov edi, BIG_GVA; mov ecx, BIG_PAGES; again: mov [rdi], eax; add rdi, 4096; dec ecx; jnz again; ud2 */
static const uint8_t toucher[] = {0xbf, 0x00, 0x00, 0x00, 0x40, 0xb9, 0x50, 0xc3, 0x00, 0x00, 0x89, 0x07, 0x48,
				  0x81, 0xc7, 0x00, 0x10, 0x00, 0x00, 0xff, 0xc9, 0x75, 0xf3, 0x0f, 0x0b};

static void big_tables(struct vm *v)
{
	uint64_t *p4 = vm_at(v, 0x10000), *p3 = vm_at(v, 0x11000), *p2 = vm_at(v, 0x12000), *high = vm_at(v, 0x14000);

	p4[0] = 0x11007;
	p3[0] = 0x12007;
	p3[1] = 0x14007;
	p2[1] = 0x13007;
	*(uint64_t *)vm_at(v, 0x13000) = 0x1007;
	for (unsigned i = 0; i < (BIG_PAGES + 511) / 512; i++)
		high[i] = (0x100000 + i * 0x1000u) | 7;
	for (uint64_t i = 0; i < BIG_PAGES; i++)
		*(uint64_t *)vm_at(v, 0x100000 + i * 8) = (BIG_FIRST_GFN + i) << 12 | 7;
}

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

struct snapshot {
	struct slot_info_list slots;
	struct shadow_page_list pages;
	struct rmap_list rmaps;
	struct mmio_info_list mmio;
	double ms;
	uint64_t reads, bytes;
};

static void take_snapshot(struct kview *k, struct snapshot *s)
{
	struct err e = {0};
	uint64_t reads = k->mem->reads, bytes = k->mem->bytes;
	double start = now_ms();

	assert_int_equal(kview_slots(k, &s->slots, &e), 0);
	assert_int_equal(kview_shadow_pages(k, SHADOW_WITH_ENTRIES, &s->pages, &e), 0);
	assert_int_equal(kview_rmap_all(k, &s->rmaps, &e), 0);
	assert_int_equal(kview_mmio(k, &s->mmio, &e), 0);
	s->ms = now_ms() - start;
	s->reads = k->mem->reads - reads;
	s->bytes = k->mem->bytes - bytes;
}

static void free_snapshot(struct snapshot *s)
{
	slot_info_list_free(&s->slots);
	shadow_page_list_free(&s->pages);
	rmap_list_free(&s->rmaps);
	mmio_info_list_free(&s->mmio);
}

/* Exact rows, and no more kernel memory read than twice what there is to show. */
static void a_large_vm_is_read_whole(void **state)
{
	struct vm v;
	struct snapshot s;
	struct err e = {0};
	uint64_t needed;

	need(state);
	assert_int_equal(vm_make(&v, BIG_SIZE), 0);
	memcpy(vm_at(&v, 0x1000), toucher, sizeof(toucher));
	vm_gdt(&v);
	big_tables(&v);
	assert_int_equal(vm_slot(&v, 0, 0, BIG_SIZE, 0), 0);
	vm_user(&v, 0x200000);
	assert_int_equal(vm_run(&v), KVM_EXIT_SHUTDOWN);
	assert_int_equal(kview_open(v.fd, &v.vcpu, 1, &v.k, &e), 0);
	take_snapshot(v.k, &s);
	free_snapshot(&s);
	take_snapshot(v.k, &s);
	assert_int_equal(s.rmaps.n, BIG_PAGES + 1);
	for (size_t i = 1; i < s.rmaps.n; i++) {
		assert_int_equal(s.rmaps.v[i].gfn, BIG_FIRST_GFN + i - 1);
		assert_int_equal(s.rmaps.v[i].n_sptes, 1);
		assert_true(s.rmaps.v[i].sptes[0].present);
	}
	assert_true(s.pages.n >= (BIG_PAGES + 511) / 512 + 4);
	needed = (BIG_SIZE >> 12) * 8 + s.pages.n * 4096;
	printf("snapshot: %zu shadow pages, %zu rmaps in %.1f ms; %llu reads, %llu bytes of %llu needed\n", s.pages.n,
	       s.rmaps.n, s.ms, (unsigned long long)s.reads, (unsigned long long)s.bytes, (unsigned long long)needed);
	assert_true(s.bytes < 2 * needed);
	assert_true(s.reads < 4 * s.pages.n + 200);
	free_snapshot(&s);
	vm_end(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(slots_are_the_two),
	    cmocka_unit_test(shadow_pages_are_the_four),
	    cmocka_unit_test(rmaps_have_the_aliases),
	    cmocka_unit_test(all_rmaps_agree),
	    cmocka_unit_test(rmaps_come_one_by_one),
	    cmocka_unit_test(held_pages_are_read_once),
	    cmocka_unit_test(histogram_counts_them),
	    cmocka_unit_test(sptes_of_a_range),
	    cmocka_unit_test(all_sptes_mark_the_hosts_own),
	    cmocka_unit_test(roots_name_their_page),
	    cmocka_unit_test(mmio_cache_has_the_device),
	    cmocka_unit_test(tables_are_known),
	    cmocka_unit_test(registers_without_an_ioctl),
	    cmocka_unit_test(looking_changes_nothing),
	    cmocka_unit_test(wrong_descriptors_are_refused),
	    cmocka_unit_test(the_older_program_type_reads_the_same),
	    cmocka_unit_test(holes_in_a_batch),
	    cmocka_unit_test(without_rights_it_says_so),
	    cmocka_unit_test(new_slots_are_seen),
	    cmocka_unit_test(a_large_vm_is_read_whole),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
