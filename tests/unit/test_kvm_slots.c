/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Slots on /dev/kvm: the rules against the kernel's own answers, what flips, moves and refreshes keep, files, 2 MiB pages,
 * the two sides of SMM, dirty logs, and failures that leave nothing behind.
 */
#include "tests/support/kvmtest.h"
#include "kvmback/kvmback.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <cmocka.h>

static struct machine *m;

static int setup(void **state)
{
	(void)state;
	m = kvmtest_create(1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	machine_destroy(m);
	m = NULL;
	return 0;
}

#define NEED_KVM()                                                                                                          \
	do {                                                                                                                \
		(void)state;                                                                                                \
		if (!m)                                                                                                     \
			skip();                                                                                             \
	} while (0)

#define SIZE 0x10000ull

/* ---- rules: test_slot_kernel.c compares them all; here what the backend tells them of this host */

static int raw_slot(uint32_t id, uint64_t gpa)
{
	struct kvm_userspace_memory_region k = {.slot = id, .guest_phys_addr = gpa, .memory_size = 0x1000};

	k.userspace_addr = slot_by_id(machine_slots(m), 0)->hva;
	return ioctl(kvm_of(m)->fd, KVM_SET_USER_MEMORY_REGION, &k) < 0 ? -errno : 0;
}

static void test_limits(void **state)
{
	const struct slot_limits *l;
	struct err e = {0};

	NEED_KVM();
	kvmtest_slot(m, 0, 0, 0x1000, 0, 0);
	l = &machine_slots(m)->limits;
	kvmtest_slot(m, l->max_slots - 1, l->gpa_limit - 0x1000, 0x1000, 0, 0);
	assert_int_equal(
	    machine_slot_add(m, &(struct slot_spec){.id = l->max_slots, .gpa = 0x5000, .size = 0x1000}, NULL, &e), -EINVAL);
	assert_int_equal(raw_slot(l->max_slots, 0x5000), -EINVAL);
	assert_int_equal(machine_slot_add(m, &(struct slot_spec){.id = 5, .gpa = l->gpa_limit, .size = 0x1000}, NULL, &e),
			 -EINVAL);
	assert_int_equal(raw_slot(5, l->gpa_limit), -EINVAL);
}

/* A kernel that refuses what the rules allow is reported as just that. */
static void test_disagreement(void **state)
{
	struct err e = {0};

	NEED_KVM();
	machine_slots(m)->limits.gpa_limit = 1ull << 60;
	assert_int_equal(machine_slot_add(m, &(struct slot_spec){.id = 5, .gpa = 1ull << 59, .size = 0x1000}, NULL, &e),
			 -EPROTO);
	assert_string_equal(e.what, "slot add 5");
	assert_string_equal(
	    e.why,
	    "KVM answered EINVAL when asked to set id 5, gpa 0x800000000000000, size 0x1000, flags 0, which the slot rules "
	    "allow");
	assert_null(slot_by_id(machine_slots(m), 5));
}

/* Memory that is in KVM and not in the table, as its TSS and the trap page are on other hosts. */
static void test_memory_in_the_way(void **state)
{
	struct kvm_userspace_memory_region k = {.slot = 7, .guest_phys_addr = 0x500000, .memory_size = 0x1000};
	const struct slot_spec spec = {.id = 8, .gpa = 0x500000, .size = 0x1000};
	struct err e = {0};

	NEED_KVM();
	kvmtest_slot(m, 1, 0x100000, SIZE, 0, 0);
	k.userspace_addr = slot_by_id(machine_slots(m), 1)->hva;
	assert_int_equal(ioctl(kvm_of(m)->fd, KVM_SET_USER_MEMORY_REGION, &k), 0); /* behind the table's back */
	assert_int_equal(machine_slot_add(m, &spec, NULL, &e), -EEXIST);
	assert_string_equal(e.what, "slot add 8");
	assert_string_equal(e.why,
			    "KVM answered EEXIST: gpa 0x500000 to 0x500fff meets memory that it or the debugger keeps for "
			    "itself, in a slot that is none of yours");
	assert_non_null(strstr(e.next, "info slots -all"));
	assert_null(slot_by_id(machine_slots(m), 8));
}

/* ---- what changes keep */

static void test_two_views_of_one_memory(void **state)
{
	struct slot *s;

	NEED_KVM();
	kvmtest_slot(m, 0, 0, 0x80000, 0, 0);
	s = slot_by_id(machine_slots(m), 0);
	assert_true((uintptr_t)s->alias != s->hva);
	s->alias[0x1234] = 0x77;
	assert_int_equal(*(volatile uint8_t *)(uintptr_t)(s->hva + 0x1234), 0x77);
}

static void test_flip_keeps_bytes(void **state)
{
	struct slot_steps steps;
	struct err e = {0};
	struct slot *s;

	NEED_KVM();
	kvmtest_slot(m, 1, 0x100000, SIZE, 0, 0);
	for (uint64_t i = 0; i < SIZE; i++)
		kvmtest_mem(m, 0x100000, false)[i] = (uint8_t)(i * 7);
	assert_int_equal(machine_slot_flags(m, 1, SLOT_READONLY, 0, 0, &steps, &e), 0);
	unsigned spaces = kvm_of(m)->host->address_spaces > 1 ? 2 : 1; /* it is seen in each */
	assert_int_equal(steps.n, 2 * spaces);
	assert_string_equal(steps.step[0], "KVM_SET_USER_MEMORY_REGION slot 1: delete");
	assert_string_equal(steps.step[spaces], "KVM_SET_USER_MEMORY_REGION slot 1: create at 0x100000 readonly");
	s = slot_by_id(machine_slots(m), 1);
	assert_int_equal(s->flags, SLOT_READONLY);
	for (uint64_t i = 0; i < SIZE; i++)
		assert_int_equal(((volatile uint8_t *)(uintptr_t)s->hva)[i], (uint8_t)(i * 7));
	assert_int_equal(machine_slot_flags(m, 1, 0, SLOT_READONLY, 0, &steps, &e), 0);
	assert_int_equal(slot_by_id(machine_slots(m), 1)->flags, 0);
	assert_int_equal(kvmtest_mem(m, 0x100000, false)[9], 63);
}

static void test_move(void **state)
{
	struct slot_steps steps;
	struct err e = {0};

	NEED_KVM();
	kvmtest_slot(m, 1, 0x100000, SIZE, 0, 0);
	kvmtest_mem(m, 0x100000, false)[5] = 0x42;
	assert_int_equal(machine_slot_move(m, 1, 0x700000, &steps, &e), 0);
	assert_string_equal(steps.step[0], "KVM_SET_USER_MEMORY_REGION slot 1: move to 0x700000");
	assert_int_equal(kvmtest_mem(m, 0x700000, false)[5], 0x42);
	assert_null(slot_lookup(machine_slots(m), 0x100000, false, NULL));
	kvmtest_slot(m, 2, 0x100000, SIZE, 0, 0); /* its old place is free in KVM too */
}

/* ---- the guest and its tables */

/* The end of each guest: mov [0x2ff000], eax, a device's page. */
#define END_GPA 0xd0000000
#define END 0x89, 0x04, 0x25, 0x00, 0xf0, 0x2f, 0x00

/* mov eax, [0x240000] */
static const uint8_t read_240000[] = {0x8b, 0x04, 0x25, 0x00, 0x00, 0x24, 0x00, END};
/* mov [0x240000], eax */
static const uint8_t write_240000[] = {0x89, 0x04, 0x25, 0x00, 0x00, 0x24, 0x00, END};

static void run_to_end(void)
{
	assert_int_equal(kvmtest_run(m, 0), KVM_EXIT_MMIO);
	assert_int_equal(kvm_of(m)->vcpu[0].run->mmio.phys_addr, END_GPA);
	kvmtest_complete(m, 0);
}

static void restart(uint64_t rax)
{
	struct regs r = kvmtest_regs(m, 0, REGS_GPR | REGS_EVENTS);

	r.rip = 0x200000;
	r.gpr[RAX] = rax;
	r.exception_pending = false;
	kvmtest_set_regs(m, 0, REGS_GPR | REGS_EVENTS, &r);
}

static uint32_t guest_reads(void)
{
	restart(0);
	run_to_end();
	return (uint32_t)kvmtest_regs(m, 0, REGS_GPR).gpr[RAX];
}

static void guest_writes(uint32_t value)
{
	restart(value);
	run_to_end();
}

static void user_guest(const uint8_t *code, size_t len)
{
	if (!slot_by_id(machine_slots(m), 0))
		kvmtest_slot(m, 0, 0, 0x80000, 0, 0);
	kvmtest_long_user(m, code, len);
	kvmtest_map(m, 0x240000, 0x40007);
	kvmtest_map(m, 0x2ff000, END_GPA | 7);
}

/* KVM does not see what the debugger writes into a guest table: the slot must be taken out and put back. */
static void test_live_pte(void **state)
{
	const uint64_t pte[2] = {0x41007, 0x40007};
	struct err e = {0};

	NEED_KVM();
	user_guest(read_240000, sizeof(read_240000));
	memcpy(kvmtest_mem(m, 0x40000, false), "\xaa\xaa\x00\x00", 4);
	memcpy(kvmtest_mem(m, 0x41000, false), "\xbb\xbb\x00\x00", 4);
	assert_int_equal(guest_reads(), 0xaaaa);
	assert_int_equal(machine_write(m, 0x13200, false, &pte[0], 8, &e), 0);
	assert_int_equal(guest_reads(), 0xbbbb);
	assert_int_equal(machine_write_gva(m, 0, 0x240000, "\xcc\xcc", 2, &e), 0);
	assert_int_equal(guest_reads(), 0xcccc);
	/* A burst: the whole table at once. */
	assert_int_equal(machine_write(m, 0x13200, false, &pte[1], 8, &e), 0);
	assert_int_equal(guest_reads(), 0xaaaa);
}

/* A burst over more pages than are asked about one by one, a live table among them. */
static void test_live_pte_in_a_burst(void **state)
{
	static uint8_t all[0x40000];
	const uint64_t pte = 0x41007;
	struct err e = {0};

	NEED_KVM();
	user_guest(read_240000, sizeof(read_240000));
	memcpy(kvmtest_mem(m, 0x41000, false), "\xbb\xbb\x00\x00", 4);
	assert_int_equal(guest_reads(), 0);
	assert_int_equal(machine_read(m, 0, false, all, sizeof(all), &e), 0);
	memcpy(all + 0x13200, &pte, sizeof(pte));
	assert_int_equal(machine_write(m, 0, false, all, sizeof(all), &e), 0);
	assert_int_equal(guest_reads(), 0xbbbb);
}

/* Where the kernel can be asked, a write to plain data costs the guest nothing that it has mapped. */
static void test_data_write_keeps_sptes(void **state)
{
	struct shadow_page_list before = {0}, after = {0};
	struct err e = {0};

	NEED_KVM();
	if (kvm_view_open(kvm_of(m), &e) || kvm_view_tdp(kvm_of(m), true)) {
		printf("skip: %s\n", e.why[0] ? e.why : "this host uses TDP, which shadows no guest table");
		skip();
	}
	user_guest(read_240000, sizeof(read_240000));
	assert_int_equal(guest_reads(), 0);
	assert_int_equal(machine_shadow_pages(m, 0, &before, &e), 0);
	assert_int_equal(before.n, 4);
	assert_int_equal(machine_write(m, 0x40000, false, "\x99", 1, &e), 0);
	assert_int_equal(machine_shadow_pages(m, 0, &after, &e), 0);
	assert_int_equal(after.n, 4);
	for (size_t i = 0; i < 4; i++)
		assert_true(after.v[i].address == before.v[i].address);
	shadow_page_list_free(&before);
	shadow_page_list_free(&after);
	/* And a table's write drops them. */
	assert_int_equal(machine_write(m, 0x13200, false, "\x07", 1, &e), 0);
	assert_int_equal(machine_shadow_pages(m, 0, &after, &e), 0);
	assert_int_equal(after.n, 0);
	shadow_page_list_free(&after);
	assert_int_equal(guest_reads(), 0x99);
}

static void test_flip_under_the_guest(void **state)
{
	struct kvm_run *run;
	struct err e = {0};

	NEED_KVM();
	kvmtest_slot(m, 0, 0, 0x40000, 0, 0);
	kvmtest_slot(m, 1, 0x40000, SIZE, 0, 0);
	user_guest(write_240000, sizeof(write_240000));
	guest_writes(0x1111);
	assert_int_equal(kvmtest_mem(m, 0x40000, false)[0], 0x11);
	assert_int_equal(machine_slot_flags(m, 1, SLOT_READONLY, 0, 0, NULL, &e), 0);
	restart(0x2222);
	assert_int_equal(kvmtest_run(m, 0), KVM_EXIT_MMIO);
	run = kvm_of(m)->vcpu[0].run;
	assert_int_equal(run->mmio.phys_addr, 0x40000);
	assert_true(run->mmio.is_write);
	assert_int_equal(kvmtest_mem(m, 0x40000, false)[0], 0x11);
	assert_int_equal(machine_slot_flags(m, 1, 0, SLOT_READONLY, 0, NULL, &e), 0);
	run_to_end(); /* that write is complete */
	guest_writes(0x3333);
	assert_int_equal(kvmtest_mem(m, 0x40000, false)[0], 0x33);
}

/* ---- files */

static void make_file(char *path, size_t len)
{
	uint8_t byte = 0x5a;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)len), 0);
	assert_int_equal(pwrite(fd, &byte, 1, 0x123), 1);
	close(fd);
}

static void test_file(void **state)
{
	char path[] = "/tmp/kvmscope-test-XXXXXX";
	struct slot_spec spec = {.id = 5, .gpa = 0x100000, .size = 0x2000, .flags = SLOT_READONLY, .file = path};
	struct err e = {0};
	uint8_t byte = 0;

	NEED_KVM();
	make_file(path, 0x1800); /* the last page is half there */
	user_guest(read_240000, sizeof(read_240000));
	kvmtest_map(m, 0x240000, 0x100007);
	assert_int_equal(machine_slot_add(m, &spec, NULL, &e), 0);
	assert_int_equal(machine_read(m, 0x100123, false, &byte, 1, &e), 0);
	assert_int_equal(byte, 0x5a);
	assert_int_equal(machine_write(m, 0x100123, false, &byte, 1, &e), -EROFS);
	kvmtest_mem(m, 0x1003, false)[0] = 0x23; /* mov eax, [0x240123] */
	kvmtest_mem(m, 0x1003, false)[1] = 0x01;
	assert_int_equal(guest_reads(), 0x5a);
	/* Writable over memory that is PROT_READ: allowed, and KVM_RUN fails at the guest's write. */
	assert_int_equal(machine_slot_flags(m, 5, 0, SLOT_READONLY, 0, NULL, &e), 0);
	memcpy(kvmtest_mem(m, 0x1000, false), write_240000, sizeof(write_240000));
	restart(1);
	assert_int_equal(kvmtest_run(m, 0), -EFAULT);
	assert_int_equal(machine_slot_delete(m, 5, NULL, &e), 0);
	unlink(path);
}

static void test_file_refused(void **state)
{
	char path[] = "/tmp/kvmscope-test-XXXXXX";
	struct slot_spec spec = {.id = 5, .gpa = 0x100000, .size = 0x3000, .file = path};
	struct err e = {0};

	NEED_KVM();
	make_file(path, 0x1800);
	assert_int_equal(machine_slot_add(m, &spec, NULL, &e), -EINVAL);
	assert_non_null(strstr(e.why, "0x1800 bytes"));
	assert_string_equal(e.next, "size 0x2000");
	unlink(path);
	assert_int_equal(machine_slot_add(m, &spec, NULL, &e), -ENOENT);
	spec.file = "/tmp";
	assert_int_equal(machine_slot_add(m, &spec, NULL, &e), -EINVAL);
	assert_non_null(strstr(e.why, "not a regular file"));
	assert_int_equal(machine_slots(m)->n, 0);
}

/* ---- 2 MiB pages */

static void test_huge(void **state)
{
	struct slot_spec spec = {.id = 6, .gpa = 0x500000, .size = 0x600000, .huge = true};
	struct slot_steps steps;
	struct err e = {0};
	struct slot *s;

	NEED_KVM();
	assert_int_equal(machine_slot_add(m, &spec, &steps, &e), 0);
	s = slot_by_id(machine_slots(m), 6);
	unsigned spaces = kvm_of(m)->host->address_spaces > 1 ? 2 : 1;
	assert_int_equal((s->hva ^ s->gpa) & 0x1fffff, 0);
	assert_int_equal(steps.n, 1 + spaces);
	assert_non_null(strstr(steps.step[0], "2 MiB pages: "));
	s->alias[0x5fffff] = 0x66;
	assert_int_equal(*(volatile uint8_t *)(uintptr_t)(s->hva + 0x5fffff), 0x66);
	if (!strstr(steps.step[0], "all 2 blocks")) {
		printf("skip: this host gives no 2 MiB pages to a memfd: %s\n", steps.step[0]);
		skip();
	}
	/* Moved where it is not congruent: said so. */
	assert_int_equal(machine_slot_move(m, 6, 0x1001000, &steps, &e), 0);
	assert_int_equal(steps.n, spaces + 1);
	assert_non_null(strstr(steps.step[spaces], "no longer congruent"));
}

/* A guest's 2 MiB page over such a block is one spte of level 2, and one rmap entry at that level where there are rmaps. */
static void test_huge_spte(void **state)
{
	/* mov [0x401000], eax */
	static const uint8_t code[] = {0x89, 0x04, 0x25, 0x00, 0x10, 0x40, 0x00, END};
	const struct slot_spec spec = {.id = 6, .gpa = 0x400000, .size = 0x400000, .huge = true};
	const uint64_t pde = 0x400087;
	struct slot_steps steps;
	struct spte_list sptes = {0};
	struct rmap_list rmaps = {0};
	struct err e = {0};
	unsigned leaves = 0, mapped = 0;

	NEED_KVM();
	if (kvm_view_open(kvm_of(m), &e)) {
		printf("skip: %s\n", e.why);
		skip();
	}
	user_guest(code, sizeof(code));
	assert_int_equal(machine_slot_add(m, &spec, &steps, &e), 0);
	if (!strstr(steps.step[0], "all 2 blocks")) {
		printf("skip: this host gives no 2 MiB pages to a memfd: %s\n", steps.step[0]);
		skip();
	}
	memcpy(kvmtest_mem(m, 0x12010, false), &pde, sizeof(pde));
	run_to_end();
	assert_int_equal(machine_sptes(m, 0, 0x401000, 0x401fff, &sptes, &e), 0);
	for (size_t i = 0; i < sptes.n; i++)
		if (sptes.v[i].leaf && sptes.v[i].level == 2 && sptes.v[i].gva == 0x400000 && sptes.v[i].writable)
			leaves++;
	assert_int_equal(leaves, 1);
	assert_int_equal(machine_rmap(m, 0x401, &rmaps, &e), 0);
	for (size_t i = 0; i < rmaps.n; i++)
		if (rmaps.v[i].level == 2 && rmaps.v[i].slot == 6)
			mapped += (unsigned)rmaps.v[i].n_sptes;
	assert_int_equal(mapped, sptes.by_gpa ? 0 : 1); /* TDP keeps none */
	spte_list_free(&sptes);
	rmap_list_free(&rmaps);
}

static int blocks_before_the_interrupt;

static int third_block(void *unused)
{
	(void)unused;
	return ++blocks_before_the_interrupt > 2 ? -EINTR : 0;
}

/* Given up between two blocks: nothing of it stays, in the table, in KVM or in this process. */
static void test_huge_interrupted(void **state)
{
	struct slot_spec spec = {.id = 6, .gpa = 0x400000, .size = 0x1000000, .huge = true, .poll = third_block};
	struct err e = {0};

	NEED_KVM();
	size_t slots = machine_slots(m)->n;
	blocks_before_the_interrupt = 0;
	assert_int_equal(machine_slot_add(m, &spec, NULL, &e), -EINTR);
	assert_non_null(strstr(e.why, "interrupted after 2 of 8 blocks"));
	assert_int_equal(machine_slots(m)->n, slots);
	assert_null(slot_by_id(machine_slots(m), 6));
	spec.poll = NULL;
	assert_int_equal(machine_slot_add(m, &spec, NULL, &e), 0);
}

static void test_huge_without_whole_block(void **state)
{
	struct slot_spec spec = {.id = 6, .gpa = 0x501000, .size = 0x200000, .huge = true};
	struct slot_steps steps;
	struct err e = {0};

	NEED_KVM();
	assert_int_equal(machine_slot_add(m, &spec, &steps, &e), 0);
	assert_string_equal(steps.step[0], "2 MiB pages: none, the slot holds no whole aligned block");
}

/* ---- the two sides of SMM, on one address space */

static void test_visibility(void **state)
{
	struct err e = {0};

	NEED_KVM();
	if (kvm_of(m)->host->address_spaces > 1) {
		printf("skip: this host has a second address space\n");
		skip();
	}
	user_guest(read_240000, sizeof(read_240000));
	kvmtest_map(m, 0x240000, 0x100007);
	kvmtest_slot(m, 2, 0x100000, 0x1000, 0, SLOT_VIS_SMM);
	kvmtest_slot(m, 3, 0x100000, 0x1000, 0, SLOT_VIS_NONSMM);
	kvmtest_mem(m, 0x100000, true)[0] = 0x22;
	kvmtest_mem(m, 0x100000, false)[0] = 0x33;
	assert_int_equal(guest_reads(), 0x33);
	assert_int_equal(kvm_smm_switch(kvm_of(m), 0, true, &e), 0);
	assert_int_equal(guest_reads(), 0x22);
	/* Changes while the other view is in: slot 3 comes back as it is then. */
	assert_int_equal(machine_slot_flags(m, 3, SLOT_LOG_DIRTY, 0, 0, NULL, &e), 0);
	assert_int_equal(kvm_smm_switch(kvm_of(m), 0, false, &e), 0);
	assert_int_equal(guest_reads(), 0x33);
	/* Seen on no side that is in now: nothing there. */
	assert_int_equal(machine_slot_delete(m, 3, NULL, &e), 0);
	restart(0);
	assert_int_equal(kvmtest_run(m, 0), KVM_EXIT_MMIO);
}

static void test_visibility_change(void **state)
{
	struct slot_steps steps;
	struct err e = {0};

	NEED_KVM();
	if (kvm_of(m)->host->address_spaces > 1) {
		printf("skip: this host has a second address space\n");
		skip();
	}
	kvmtest_slot(m, 2, 0x100000, 0x1000, 0, SLOT_VIS_BOTH);
	kvmtest_mem(m, 0x100000, false)[7] = 0x17;
	assert_int_equal(machine_slot_flags(m, 2, 0, 0, SLOT_VIS_SMM, &steps, &e), 0);
	assert_string_equal(steps.step[0], "KVM_SET_USER_MEMORY_REGION slot 2: delete");
	assert_int_equal(machine_slot_flags(m, 2, 0, 0, SLOT_VIS_BOTH, &steps, &e), 0);
	assert_string_equal(steps.step[0], "KVM_SET_USER_MEMORY_REGION slot 2: create at 0x100000");
	assert_int_equal(kvmtest_mem(m, 0x100000, false)[7], 0x17);
}

/* ---- dirty log */

static uint64_t dirty_word(uint32_t id, unsigned word, bool clear)
{
	_cleanup_free_ uint64_t *bits = NULL;
	struct err e = {0};
	size_t n;

	assert_int_equal(machine_slot_dirty(m, id, clear, &bits, &n, &e), 0);
	assert_true(word < n);
	return bits[word];
}

/* The kernel's own bitmap, fetched behind the backend's back. */
static uint64_t raw_dirty_word(uint32_t id, unsigned word)
{
	uint64_t bits[64] = {0};
	struct kvm_dirty_log get = {.slot = id, .dirty_bitmap = bits};

	assert_int_equal(ioctl(kvm_of(m)->fd, KVM_GET_DIRTY_LOG, &get), 0);
	return bits[word];
}

/* Guest writes gfn 0x40: bit 0 of word 1 of slot 0. */
static void test_dirty(void **state)
{
	struct err e = {0};
	uint64_t *bits;
	size_t n;

	NEED_KVM();
	user_guest(write_240000, sizeof(write_240000));
	assert_int_equal(machine_slot_dirty(m, 0, false, &bits, &n, &e), -ENOENT);
	assert_int_equal(machine_slot_flags(m, 0, SLOT_LOG_DIRTY, 0, 0, NULL, &e), 0);
	assert_int_equal(dirty_word(0, 1, false), 0);
	guest_writes(1);
	assert_int_equal(dirty_word(0, 1, false), 1);
	assert_int_equal(dirty_word(0, 1, false), 1); /* looking does not clear, here or in the kernel */
	if (kvm_of(m)->host->manual_dirty)
		assert_int_equal(raw_dirty_word(0, 1), 1);
	assert_int_equal(dirty_word(0, 1, true), 1);
	assert_int_equal(dirty_word(0, 1, false), 0);
	guest_writes(2);
	assert_int_equal(dirty_word(0, 1, true), 1);
	/* The debugger's own write is no write of the guest's. */
	assert_int_equal(machine_write(m, 0x41000, false, "x", 1, &e), 0);
	assert_int_equal(dirty_word(0, 1, false), 0);
}

/* Deleting a slot drops KVM's bitmap; what was in it is not lost. */
static void test_dirty_survives(void **state)
{
	struct err e = {0};

	NEED_KVM();
	kvmtest_slot(m, 0, 0, 0x40000, 0, 0);
	kvmtest_slot(m, 1, 0x40000, SIZE, SLOT_LOG_DIRTY, 0);
	user_guest(write_240000, sizeof(write_240000));
	guest_writes(1);
	assert_int_equal(machine_slot_flags(m, 1, SLOT_READONLY, 0, 0, NULL, &e), 0);
	assert_int_equal(dirty_word(1, 0, false), 1);
	assert_int_equal(machine_slot_flags(m, 1, 0, SLOT_READONLY, 0, NULL, &e), 0);
	assert_int_equal(dirty_word(1, 0, true), 1);
	guest_writes(2);
	assert_int_equal(kvm_slot_refresh(kvm_of(m), slot_by_id(machine_slots(m), 1), &e), 0);
	assert_int_equal(dirty_word(1, 0, true), 1);
	guest_writes(3);
	assert_int_equal(machine_slot_move(m, 1, 0x300000, NULL, &e), 0);
	assert_int_equal(dirty_word(1, 0, false), 1);
}

static void test_dirty_by_side(void **state)
{
	struct err e = {0};
	struct slot *s;

	NEED_KVM();
	if (kvm_of(m)->host->address_spaces > 1) {
		printf("skip: this host has a second address space\n");
		skip();
	}
	kvmtest_slot(m, 0, 0, 0x80000, SLOT_LOG_DIRTY, 0);
	user_guest(write_240000, sizeof(write_240000));
	guest_writes(1);
	assert_int_equal(kvm_smm_switch(kvm_of(m), 0, true, &e), 0);
	kvmtest_map(m, 0x240000, 0x41007);
	assert_int_equal(kvm_slot_refresh(kvm_of(m), slot_by_id(machine_slots(m), 0), &e), 0);
	guest_writes(2);
	assert_int_equal(kvm_smm_switch(kvm_of(m), 0, false, &e), 0);
	s = slot_by_id(machine_slots(m), 0);
	assert_int_equal(s->dirty[0][1], 1);
	assert_int_equal(s->dirty[1][1], 2);
	assert_int_equal(dirty_word(0, 1, false), 3);
}

/* Two address spaces, told of a kernel that has one: the second region fails, and the first is taken back. */
static void test_second_space_refused(void **state)
{
	struct kvm_host two;
	struct kvm_vm *vm;
	struct err e = {0};

	NEED_KVM();
	vm = kvm_of(m);
	if (vm->host->address_spaces > 1) {
		printf("skip: this host has a second address space\n");
		skip();
	}
	two = *vm->host;
	two.address_spaces = 2;
	kvmtest_slot(m, 0, 0, 0x1000, 0, 0);
	vm->host = &two;
	assert_int_equal(machine_slot_add(m, &(struct slot_spec){.id = 1, .gpa = 0x100000, .size = 0x1000}, NULL, &e),
			 -EPROTO);
	assert_null(slot_by_id(machine_slots(m), 1));
	assert_int_equal(raw_slot(7, 0x100000), 0); /* free in the kernel too */
	kvmtest_slot(m, 2, 0x200000, 0x1000, 0, SLOT_VIS_NONSMM);
	assert_int_equal(raw_slot(8, 0x200000), -EEXIST);
	assert_int_equal(machine_slot_flags(m, 2, 0, 0, SLOT_VIS_SMM, NULL, &e), -EPROTO);
	assert_int_equal(slot_by_id(machine_slots(m), 2)->vis, SLOT_VIS_NONSMM);
	assert_int_equal(raw_slot(8, 0x200000), -EEXIST);
}

/* ---- failures */

static unsigned open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* Every number of descriptors too few: an error in words, and none left open. */
static void test_no_descriptors(void **state)
{
	const struct machine_config cfg = {.vcpus = 4};
	struct rlimit was, low;
	unsigned before, failures = 0;
	int rc;

	NEED_KVM();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	before = open_fds();
	low = was;
	low.rlim_cur = 0;
	do {
		struct machine *x = NULL;
		struct err e = {0};

		assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
		rc = machine_create(&kvm_backend, &cfg, &x, &e);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
		if (rc) {
			assert_int_equal(rc, -EMFILE);
			assert_non_null(strstr(e.next, "ulimit -n"));
			assert_null(x);
			failures++;
		}
		machine_destroy(x);
		assert_int_equal(open_fds(), before);
	} while (rc && low.rlim_cur++ < 1000);
	assert_int_equal(rc, 0);
	assert_true(failures >= 5); /* the VM and each vCPU at least once */
}

static void test_no_address_space(void **state)
{
	struct slot_spec spec = {.id = 1, .gpa = 0x100000000, .size = 4ull << 30};
	struct rlimit was, low;
	struct err e = {0};
	unsigned before;
	int rc;

	NEED_KVM();
	before = open_fds();
	assert_int_equal(getrlimit(RLIMIT_AS, &was), 0);
	low = was;
	low.rlim_cur = 6ull << 30; /* room for one of the two mappings */
	assert_int_equal(setrlimit(RLIMIT_AS, &low), 0);
	rc = machine_slot_add(m, &spec, NULL, &e);
	assert_int_equal(setrlimit(RLIMIT_AS, &was), 0);
	assert_int_equal(rc, -ENOMEM);
	assert_non_null(strstr(e.why, "address space"));
	assert_int_equal(machine_slots(m)->n, 0);
	assert_int_equal(open_fds(), before);
	assert_int_equal(machine_slot_add(m, &spec, NULL, &e), 0);
}

static void test_absurd_size(void **state)
{
	struct slot_spec spec = {.id = 1, .gpa = 0x100000000, .size = 0x7fffffffull << 12};
	struct err e = {0};

	NEED_KVM();
	if ((uint64_t)sysconf(_SC_PHYS_PAGES) * 4096 > 40ull << 30) {
		printf("skip: this host could give KVM that much memory\n");
		skip();
	}
	if (machine_slots(m)->limits.gpa_limit < spec.gpa + spec.size) {
		printf("skip: guests have no such addresses here\n");
		skip();
	}
	assert_int_equal(machine_slot_add(m, &spec, NULL, &e), -ENOMEM);
	assert_non_null(strstr(e.why, "KVM's tables"));
}

static void test_no_device(void **state)
{
	struct kvm_host h;
	struct err e = {0};

	(void)state;
	assert_int_equal(kvm_host_open("/nonexistent/kvm", &h, &e), -ENOENT);
	assert_non_null(strstr(e.next, "-b soft"));
	assert_int_equal(kvm_host_open("/dev/null", &h, &e), -ENODEV);
	assert_non_null(strstr(e.why, "no KVM device"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_limits),
	    T(test_disagreement),
	    T(test_memory_in_the_way),
	    T(test_two_views_of_one_memory),
	    T(test_flip_keeps_bytes),
	    T(test_move),
	    T(test_live_pte),
	    T(test_live_pte_in_a_burst),
	    T(test_data_write_keeps_sptes),
	    T(test_flip_under_the_guest),
	    T(test_file),
	    T(test_file_refused),
	    T(test_huge),
	    T(test_huge_spte),
	    T(test_huge_interrupted),
	    T(test_huge_without_whole_block),
	    T(test_visibility),
	    T(test_visibility_change),
	    T(test_dirty),
	    T(test_dirty_survives),
	    T(test_dirty_by_side),
	    T(test_second_space_refused),
	    T(test_no_descriptors),
	    T(test_no_address_space),
	    T(test_absurd_size),
	    cmocka_unit_test(test_no_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
