/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The slot rules against the running kernel: the same requests go to slot_check() and to KVM_SET_USER_MEMORY_REGION, cases
 * by hand and random ones, and the errnos must be the same. The VM has no vCPU and never runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "core/mem/memslot.h"

#define POOL (16ull << 20)

struct both {
	int kvm, vm;
	uint64_t hva; /* of the pool: slot of gpa g is at hva + g % POOL */
	struct slot_table t;
};

static void need_kvm(struct both *b)
{
	int n;

	b->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (b->kvm < 0) {
		printf("skip: /dev/kvm: %s\n", strerror(errno));
		skip();
	}
	b->vm = ioctl(b->kvm, KVM_CREATE_VM, 0);
	if (b->vm < 0) {
		printf("skip: KVM_CREATE_VM: %s\n", strerror(errno));
		close(b->kvm);
		skip();
	}
	b->hva = (uint64_t)mmap(NULL, POOL, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	slot_table_init(&b->t);
	n = ioctl(b->vm, KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS);
	if (n > 0)
		b->t.limits.max_slots = (uint32_t)n;
	n = ioctl(b->vm, KVM_CHECK_EXTENSION, KVM_CAP_MULTI_ADDRESS_SPACE);
	b->t.limits.address_spaces = n > 1 ? (unsigned)n : 1;
}

static void end(struct both *b)
{
	slot_table_deinit(&b->t);
	munmap((void *)b->hva, POOL);
	close(b->vm);
	close(b->kvm);
}

static int ask_kernel(struct both *b, const struct slot_spec *to)
{
	struct kvm_userspace_memory_region r = {.slot = to->id,
						.flags = to->flags,
						.guest_phys_addr = to->gpa,
						.memory_size = to->size,
						.userspace_addr = to->hva};

	return ioctl(b->vm, KVM_SET_USER_MEMORY_REGION, &r) ? -errno : 0;
}

/* The record follows what was agreed to. */
static void record(struct both *b, const struct slot_change *c)
{
	struct err e;
	struct slot *s = c->old;

	switch (c->kind) {
	case SLOT_CREATE:
		s = slot_new(&c->to);
		s->hva = c->to.hva;
		assert_int_equal(slot_table_insert(&b->t, s, &e), 0);
		break;
	case SLOT_DELETE:
		slot_free(slot_table_remove(&b->t, s));
		break;
	case SLOT_MOVE:
	case SLOT_FLAGS:
		s->gpa = c->to.gpa;
		s->flags = c->to.flags;
		slot_table_resort(&b->t);
		break;
	case SLOT_NOTHING:
		break;
	}
}

static int ask(struct both *b, const struct slot_spec *to, const char *name)
{
	struct slot_change c;
	struct err e = {0};
	int ours = slot_check(&b->t, to, &c, &e);
	int kernels = ask_kernel(b, to);

	if (ours != kernels)
		fail_msg("%s: id %#x gpa %#llx size %#llx flags %#x hva %#llx: ours %d (%s: %s), the kernel's %d", name,
			 to->id, (unsigned long long)to->gpa, (unsigned long long)to->size, to->flags,
			 (unsigned long long)to->hva, ours, e.what, e.why, kernels);
	if (!ours)
		record(b, &c);
	return ours;
}

static void test_cases(void **state)
{
	struct both b = {0};

	(void)state;
	need_kvm(&b);
	const uint64_t h = b.hva;
	const struct {
		const char *name;
		struct slot_spec to;
		int rc;
	} cases[] = {
	    {"new", {.id = 0, .gpa = 0, .size = 0x80000, .hva = h}, 0},
	    {"identical repeat", {.id = 0, .gpa = 0, .size = 0x80000, .hva = h}, 0},
	    {"new READONLY", {.id = 1, .gpa = 0x80000, .size = 0x10000, .flags = 2, .hva = h + 0x80000}, 0},
	    {"READONLY + LOG", {.id = 1, .gpa = 0x80000, .size = 0x10000, .flags = 3, .hva = h + 0x80000}, 0},
	    {"READONLY cleared", {.id = 1, .gpa = 0x80000, .size = 0x10000, .hva = h + 0x80000}, -EINVAL},
	    {"READONLY set", {.id = 0, .gpa = 0, .size = 0x80000, .flags = 2, .hva = h}, -EINVAL},
	    {"LOG set", {.id = 0, .gpa = 0, .size = 0x80000, .flags = 1, .hva = h}, 0},
	    {"move + LOG kept", {.id = 0, .gpa = 0x100000, .size = 0x80000, .flags = 1, .hva = h}, 0},
	    {"move, LOG cleared", {.id = 0, .gpa = 0, .size = 0x80000, .hva = h}, 0},
	    {"move onto another", {.id = 0, .gpa = 0x1000, .size = 0x80000, .hva = h}, -EEXIST},
	    {"resize", {.id = 0, .gpa = 0, .size = 0x81000, .hva = h}, -EINVAL},
	    {"other hva", {.id = 0, .gpa = 0, .size = 0x80000, .hva = h + 0x1000}, -EINVAL},
	    {"one hva at two gpas", {.id = 2, .gpa = 0x1000000, .size = 0x1000, .hva = h}, 0},
	    {"unknown flag", {.id = 3, .gpa = 0x200000, .size = 0x1000, .flags = 1 << 16, .hva = h}, -EINVAL},
	    {"unaligned gpa", {.id = 3, .gpa = 0x200001, .size = 0x1000, .hva = h}, -EINVAL},
	    {"unaligned size", {.id = 3, .gpa = 0x200000, .size = 0x1001, .hva = h}, -EINVAL},
	    {"unaligned hva", {.id = 3, .gpa = 0x200000, .size = 0x1000, .hva = h + 1}, -EINVAL},
	    {"kernel hva", {.id = 3, .gpa = 0x200000, .size = 0x1000, .hva = 0xffff888000000000}, -EINVAL},
	    {"gpa wrap", {.id = 3, .gpa = ~0xfffull, .size = 0x2000, .hva = h}, -EINVAL},
	    {"gpa past the limit", {.id = 3, .gpa = 1ull << 52, .size = 0x1000, .hva = h}, -EINVAL},
	    {"last page below the limit", {.id = 3, .gpa = (1ull << 52) - 0x1000, .size = 0x1000, .hva = h}, 0},
	    {"too many pages", {.id = 4, .gpa = 1ull << 44, .size = 1ull << 43, .hva = 0x1000}, -EINVAL},
	    {"address space not there", {.id = 7u << 16, .gpa = 1ull << 35, .size = 0x1000, .hva = h}, -EINVAL},
	    {"id too big", {.id = b.t.limits.max_slots, .gpa = 1ull << 35, .size = 0x1000, .hva = h}, -EINVAL},
	    {"last id", {.id = b.t.limits.max_slots - 1, .gpa = 1ull << 35, .size = 0x1000, .hva = h}, 0},
	    {"overlap", {.id = 4, .gpa = 0x8f000, .size = 0x1000, .hva = h}, -EEXIST},
	    {"delete what is not there", {.id = 9}, -EINVAL},
	    {"delete", {.id = 1}, 0},
	    {"delete again", {.id = 1}, -EINVAL},
	    {"create after delete, flipped", {.id = 1, .gpa = 0x80000, .size = 0x10000, .hva = h + 0x80000}, 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		/* The limit is the host's: with TDP it is narrower than 52 bits, and this case then is not one. */
		if (strstr(cases[i].name, "below the limit") && ask_kernel(&b, &cases[i].to)) {
			b.t.limits.gpa_limit = 1ull << 46;
			continue;
		}
		if (strstr(cases[i].name, "below the limit")) {
			struct slot_spec gone = {.id = cases[i].to.id};

			assert_int_equal(ask_kernel(&b, &gone), 0);
		}
		assert_int_equal(ask(&b, &cases[i].to, cases[i].name), cases[i].rc);
	}
	end(&b);
}

static uint64_t pick(uint64_t *seed, const uint64_t *from, size_t n)
{
	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	return from[(*seed >> 33) % n];
}
#define PICK(...) pick(&seed, (const uint64_t[]){__VA_ARGS__}, ARRAY_LEN(((const uint64_t[]){__VA_ARGS__})))

static void test_random(void **state)
{
	struct both b = {0};
	uint64_t seed = 20240229;
	unsigned ok = 0, refused = 0;

	(void)state;
	need_kvm(&b);
	for (unsigned i = 0; i < 3000; i++) {
		uint64_t gpa =
		    PICK(0, 0x1000, 0x2000, 0x3000, 0x4000, 0x5000, 0x6000, 0x8000, 0x10000, 0x800, ~0xfffull, 1ull << 60);
		struct slot_spec to = {.id = (uint32_t)PICK(0, 1, 2, 3, 4, 5, 6, 7, 0x10003, 0x40000, 40000),
				       .gpa = gpa,
				       .size =
					   PICK(0, 0x1000, 0x1000, 0x2000, 0x3000, 0x4000, 0x7ff, 1ull << 43, 1ull << 63),
				       .flags = (uint32_t)PICK(0, 0, 1, 2, 3, 4),
				       .hva = b.hva + PICK(0, 0, 0, 0x1000, 1, 1ull << 63)};

		/* Space 1 exists to the kernel; here visibility chooses it. */
		if (to.id >> 16 && to.id >> 16 < b.t.limits.address_spaces)
			continue;
		if (ask(&b, &to, "random"))
			refused++;
		else
			ok++;
	}
	printf("slot rules against the kernel: %u accepted, %u refused alike\n", ok, refused);
	assert_true(ok > 100 && refused > 500);
	end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases), cmocka_unit_test(test_random)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
