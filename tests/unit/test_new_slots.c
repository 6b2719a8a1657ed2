/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Slots as newer kernels have them, the same over the soft and the kvm backend where both have it: dirty pages by rings,
 * mapping ahead, guest_memfd. What this host's kernel lacks is refused in words, and that is tested too.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/soft/soft.h"
#include "kvmback/host/newkvm.h"
#include "kvmback/kvm.h"
#include "kvmback/kvmback.h"
#include "tests/support/guest.h"

static const struct machine_ops *backend;

static int setup(void **state)
{
	static struct guest g;

	guest_backend = backend;
	guest_dirty_ring = 0;
	*state = &g;
	memset(&g, 0, sizeof(g));
	return 0;
}

static bool on_kvm(void)
{
	return backend == &kvm_backend;
}

static void need_host(void)
{
	if (on_kvm() && !guest_possible())
		skip();
}

static struct guest *open_user(void **state)
{
	struct guest *g = *state;

	need_host();
	guest_open(g, GUEST_LONG, 3, false, 1);
	return g;
}

/* A VM with rings. Where the processor logs pages itself (Intel's PML) KVM keeps more entries than the smallest ring has. */
static struct guest *open_rings(void **state)
{
	struct machine_config cfg = {.vcpus = 1, .dirty_ring = DIRTY_RING_MIN};
	struct machine *m = NULL;
	struct err e = {0};

	need_host();
	int rc = machine_create(backend, &cfg, &m, &e);
	if (rc) {
		print_message("skip: %s: %s\n", e.what, e.why);
		assert_true(on_kvm() && (rc == -ENOTSUP || rc == -EINVAL) && *e.next);
		skip();
	}
	machine_destroy(m);
	guest_dirty_ring = DIRTY_RING_MIN;
	struct guest *g = open_user(state);
	assert_int_equal(machine_slot_flags(g->m, 0, SLOT_LOG_DIRTY, 0, 0, NULL, &g->e), 0);
	return g;
}

#define CODE(G, BYTES) guest_code(G, BYTES, sizeof(BYTES) - 1)

/* ---- rings */

static const char three_stores[] = "\xc6\x04\x25\x00\x30\x02\x00\x01" /* mov byte [0x23000], 1 */
				   "\xc6\x04\x25\x00\x50\x02\x00\x01" /* [0x25000] */
				   "\xc6\x04\x25\x00\x40\x02\x00\x01" /* [0x24000] */
				   "\xc6\x04\x25\x08\x30\x02\x00\x01" /* [0x23008]: writable by now */
				   "\x0f\x0b";

/* Of the pages 0x20 to 0x2f, as other pages are written too: the guest's tables have A bits. */
static size_t ring_of(struct guest *g, uint64_t gfn[16], bool given_back)
{
	struct dirty_entry_list l = {0};
	uint64_t last = 0;
	size_t n = 0;

	assert_int_equal(machine_slot_dirty_ring(g->m, 0, &l, &g->e), 0);
	assert_int_equal(l.entries, DIRTY_RING_MIN);
	assert_int_equal(l.lost, 0);
	for (size_t i = 0; i < l.n; i++) {
		assert_true(!i || l.v[i].n == last + 1);
		last = l.v[i].n;
		assert_int_equal(l.v[i].vcpu, 0);
		assert_int_equal(l.v[i].slot, 0);
		assert_int_equal(l.v[i].gfn, l.v[i].offset);
		assert_int_equal(l.v[i].given_back, given_back);
		if (l.v[i].gfn >= 0x20 && l.v[i].gfn < 0x30 && n < 16)
			gfn[n++] = l.v[i].gfn;
	}
	dirty_entry_list_free(&l);
	return n;
}

static void assert_three(struct guest *g)
{
	uint64_t gfn[16];

	assert_int_equal(ring_of(g, gfn, false), 3);
	assert_memory_equal(gfn, ((uint64_t[]){0x23, 0x25, 0x24}), 3 * sizeof(uint64_t));
}

static uint64_t dirty_bits(struct guest *g, bool clear)
{
	uint64_t *bits = NULL;
	size_t n = 0;

	assert_int_equal(machine_slot_dirty(g->m, 0, clear, &bits, &n, &g->e), 0);
	assert_true(n > 0);
	uint64_t word = bits[0];
	free(bits);
	return word;
}

static void run_stores(struct guest *g)
{
	guest_set_rip(g, 0, GUEST_CODE);
	assert_int_equal(guest_continue(g), STOP_EXCEPTION);
}

static void test_ring_has_pages_in_order(void **state)
{
	struct guest *g = open_rings(state);
	uint64_t gfn[16];

	CODE(g, three_stores);
	assert_int_equal(ring_of(g, gfn, false), 0);
	run_stores(g);
	assert_three(g);
	assert_three(g); /* looking changes nothing */
	assert_int_equal(dirty_bits(g, false) >> 0x20 & 0xffff, 0x38);
	/* Not given back: the pages stay writable, and further writes are no entries. */
	run_stores(g);
	assert_three(g);
	assert_int_equal(dirty_bits(g, true) >> 0x20 & 0xffff, 0x38);
	assert_int_equal(ring_of(g, gfn, false), 0);
	assert_int_equal(dirty_bits(g, false), 0);
	run_stores(g);
	assert_three(g);
	assert_int_equal(dirty_bits(g, false) >> 0x20 & 0xffff, 0x38);
	guest_close(g);
}

/* Deleting the slot takes nothing away that was read, and a slot that only comes to its number has none of it. */
static void test_ring_and_changes(void **state)
{
	struct guest *g = open_rings(state);
	struct dirty_entry_list l = {0};

	CODE(g, three_stores);
	run_stores(g);
	assert_int_equal(machine_slot_flags(g->m, 0, SLOT_READONLY, 0, 0, NULL, &g->e), 0);
	assert_three(g);
	assert_int_equal(dirty_bits(g, false) >> 0x20 & 0xffff, 0x38);
	assert_int_equal(machine_slot_flags(g->m, 0, 0, SLOT_READONLY | SLOT_LOG_DIRTY, 0, NULL, &g->e), 0);
	assert_int_equal(machine_slot_dirty_ring(g->m, 0, &l, &g->e), -ENOENT);
	assert_int_equal(machine_slot_flags(g->m, 0, SLOT_LOG_DIRTY, 0, 0, NULL, &g->e), 0);
	assert_int_equal(machine_slot_dirty_ring(g->m, 0, &l, &g->e), 0);
	assert_int_equal(l.n, 0);
	dirty_entry_list_free(&l);
	run_stores(g);
	assert_three(g);
	guest_close(g);
}

/* 224 pages: more than a ring of 256 has without those that are kept for the way out. */
static void test_full_ring(void **state)
{
	struct guest *g = open_rings(state);
	struct dirty_entry_list l = {0};
	uint64_t *bits = NULL, next = 0x20;
	size_t n = 0;

	CODE(g, "\xbf\x00\x00\x02\x00\xb9\xe0\x00\x00\x00"		 /* mov edi, 0x20000; mov ecx, 224 */
		"\xc6\x07\x01\x81\xc7\x00\x10\x00\x00\xe2\xf5\x0f\x0b"); /* mov byte [rdi], 1; add edi, 0x1000; loop; ud2 */
	run_stores(g);
	assert_int_equal(g->stop.rip, GUEST_CODE + 21);
	assert_int_equal(machine_slot_dirty_ring(g->m, 0, &l, &g->e), 0);
	assert_true(l.full > 0);
	assert_int_equal(l.lost, 0);
	for (size_t i = 0; i < l.n; i++)
		if (l.v[i].gfn == next) /* a page that was given back may come again */
			next++;
	assert_int_equal(next, 0x100);
	assert_true(l.n && l.v[0].given_back && !l.v[l.n - 1].given_back);
	dirty_entry_list_free(&l);
	assert_int_equal(machine_slot_dirty(g->m, 0, true, &bits, &n, &g->e), 0);
	assert_int_equal(n, 4);
	for (unsigned page = 0x20; page < 0x100; page++)
		assert_true(bits[page / 64] >> page % 64 & 1);
	free(bits);
	guest_close(g);
}

static void test_steps_with_rings(void **state)
{
	struct guest *g = open_rings(state);

	CODE(g, three_stores);
	for (unsigned i = 1; i <= 3; i++) {
		assert_int_equal(guest_step(g), STOP_STEP);
		assert_int_equal(g->stop.rip, GUEST_CODE + 8 * i);
	}
	assert_three(g);
	guest_close(g);
}

static void test_no_rings(void **state)
{
	struct guest *g = open_user(state);
	struct dirty_entry_list l = {0};

	assert_int_equal(machine_slot_dirty_ring(g->m, 0, &l, &g->e), -ENOENT);
	assert_int_equal(machine_slot_flags(g->m, 0, SLOT_LOG_DIRTY, 0, 0, NULL, &g->e), 0);
	assert_int_equal(machine_slot_dirty_ring(g->m, 0, &l, &g->e), -ENOTSUP);
	assert_non_null(strstr(g->e.next, "--dirty-ring"));
	guest_close(g);
}

static void test_ring_sizes(void **state)
{
	struct machine_config cfg = {.vcpus = 1, .dirty_ring = 300};
	struct machine *m = NULL;
	struct err e = {0};

	(void)state;
	need_host();
	assert_int_equal(machine_create(backend, &cfg, &m, &e), -EINVAL);
	assert_null(m);
}

/* ---- mapping ahead */

static void test_prefault_ranges(void **state)
{
	struct guest *g = open_user(state);
	struct prefault done = {.bytes = 77};

	assert_int_equal(machine_slot_prefault(g->m, 0, 5, 0, 0x1000, NULL, &done, &g->e), -ENOENT);
	assert_int_equal(machine_slot_prefault(g->m, 0, 0, 0x800, 0x1000, NULL, &done, &g->e), -EINVAL);
	assert_int_equal(machine_slot_prefault(g->m, 0, 0, 0, 0, NULL, &done, &g->e), -EINVAL);
	assert_int_equal(machine_slot_prefault(g->m, 0, 0, 0xff000, 0x2000, NULL, &done, &g->e), -EINVAL);
	assert_int_equal(machine_slot_prefault(g->m, 0, 0, 0x100000, 0x1000, NULL, &done, &g->e), -EINVAL);
	assert_int_equal(machine_slot_prefault(g->m, 0, 0, 0x1000, ~0xfffull, NULL, &done, &g->e), -EINVAL);
	assert_int_equal(machine_slot_prefault(g->m, 1, 0, 0, 0x1000, NULL, &done, &g->e), -EINVAL);
	assert_int_equal(done.bytes, 77);
	guest_close(g);
}

static int give_up(void *unused)
{
	(void)unused;
	return -EINTR;
}

static void test_prefault(void **state)
{
	struct guest *g = open_user(state);
	struct prefault done;

	CODE(g, three_stores);
	run_stores(g);
	int rc = machine_slot_prefault(g->m, 0, 0, 0x20000, 0x10000, NULL, &done, &g->e);
	if (rc) {
		assert_true(on_kvm());
		assert_int_equal(rc, -ENOTSUP);
		assert_non_null(strstr(g->e.why, "KVM_CAP_PRE_FAULT_MEMORY is 0"));
	} else {
		assert_int_equal(done.bytes, 0x10000);
		assert_int_equal(done.by_tables, !on_kvm());
		assert_true(on_kvm() ? done.calls > 0 : done.mapped >= 3);
		assert_int_equal(machine_slot_prefault(g->m, 0, 0, 0, 0x100000, give_up, &done, &g->e), -EINTR);
	}
	run_stores(g); /* and it goes on */
	guest_close(g);
}

/* An entry without A stays without, and unmapped. */
static void test_prefault_leaves_tables(void **state)
{
	struct guest *g = open_user(state);
	struct spte_list l = {0};
	struct prefault done;
	struct walk w;
	struct xlate_env env;

	if (on_kvm()) {
		guest_close(g);
		print_message("skip: by gpa\n");
		skip();
	}
	CODE(g, three_stores);
	run_stores(g);
	assert_int_equal(machine_slot_prefault(g->m, 0, 0, 0x30000, 0x10000, NULL, &done, &g->e), 0);
	assert_int_equal(done.mapped, 0);
	assert_int_equal(done.not_accessed, 16);
	assert_int_equal(machine_env(g->m, 0, &env, &g->e), 0);
	paging_walk(&env.pg, &env.mem, 0x30000, ACCESS_READ | ACCESS_USER, false, &w);
	assert_false(w.fault.present);
	assert_false(w.leaf & 0x20);
	assert_int_equal(machine_sptes(g->m, 0, 0x30000, 0x3ffff, &l, &g->e), 0);
	for (size_t i = 0; i < l.n; i++)
		assert_true(!l.v[i].leaf || !l.v[i].present);
	spte_list_free(&l);
	guest_close(g);
}

/* ---- guest_memfd */

static void test_guest_memfd_rules(void **state)
{
	struct guest *g = open_user(state);
	struct slot_spec spec = {.id = 9, .gpa = 0x400000, .size = 0x4000, .guest_memfd = true, .flags = SLOT_READONLY};

	assert_int_equal(machine_slot_add(g->m, &spec, NULL, &g->e), -EINVAL);
	spec.flags = SLOT_LOG_DIRTY;
	assert_int_equal(machine_slot_add(g->m, &spec, NULL, &g->e), -EINVAL);
	spec.flags = 0;
	spec.huge = true;
	assert_int_equal(machine_slot_add(g->m, &spec, NULL, &g->e), -EINVAL);
	assert_null(slot_by_id(machine_slots(g->m), 9));
	guest_close(g);
}

static bool can_memfd(struct guest *g)
{
	if (on_kvm() && !kvm_memfd_why(kvm_of(g->m)->host))
		return true;
	const struct slot_spec spec = {.id = 9, .gpa = 0x400000, .size = 0x4000, .guest_memfd = true};
	assert_int_equal(machine_slot_add(g->m, &spec, NULL, &g->e), -ENOTSUP);
	assert_null(slot_by_id(machine_slots(g->m), 9));
	assert_true(*g->e.next);
	print_message("skip: %s\n", g->e.why);
	guest_close(g);
	return false;
}

static void test_guest_memfd(void **state)
{
	struct guest *g = open_user(state);
	struct slot_spec spec = {.id = 9, .gpa = 0x400000, .size = 0x4000, .guest_memfd = true};
	struct slot_info info;
	struct spte_list l = {0};
	uint64_t v = 0x11;

	if (!can_memfd(g))
		skip();
	for (unsigned round = 0; round < 2; round++) {
		assert_int_equal(machine_slot_add(g->m, &spec, NULL, &g->e), 0);
		assert_int_equal(machine_slot_info(g->m, 9, &info, &g->e), 0);
		assert_true(info.guest_memfd && info.memfd > 2);
		guest_peek(g, 0x400ff8, &v, 8);
		assert_int_equal(v, 0);
		guest_poke(g, 0x400ff8, "\x01\x02\x03\x04\x05\x06\x07\x08", 8);
		/* KVM's rules, without asking it. */
		assert_int_equal(machine_slot_move(g->m, 9, 0x500000, NULL, &g->e), -EINVAL);
		assert_int_equal(machine_slot_flags(g->m, 9, SLOT_READONLY, 0, 0, NULL, &g->e), -EINVAL);
		assert_int_equal(machine_slot_flags(g->m, 9, SLOT_LOG_DIRTY, 0, 0, NULL, &g->e), -EINVAL);
		assert_int_equal(machine_slot_flags(g->m, 9, 0, 0, SLOT_VIS_SMM, NULL, &g->e), -EINVAL);
		assert_int_equal(kvm_slot_refresh(kvm_of(g->m), slot_by_id(machine_slots(g->m), 9), &g->e), 0);
		guest_peek(g, 0x400ff8, &v, 8);
		assert_int_equal(v, 0x0807060504030201);
		assert_int_equal(machine_slot_delete(g->m, 9, NULL, &g->e), 0);
	}
	spte_list_free(&l);
	guest_close(g);
}

/* The guest's page at linear 0x30000 is one of the slot. */
static void test_guest_memfd_runs(void **state)
{
	struct guest *g = open_user(state);
	struct slot_spec spec = {.id = 9, .gpa = 0x400000, .size = 0x4000, .guest_memfd = true};
	struct xlate_env env;
	struct walk w;
	uint64_t v = 0x401007;

	if (!can_memfd(g))
		skip();
	assert_int_equal(machine_slot_add(g->m, &spec, NULL, &g->e), 0);
	assert_int_equal(machine_env(g->m, 0, &env, &g->e), 0);
	paging_walk(&env.pg, &env.mem, 0x30000, ACCESS_READ | ACCESS_USER, false, &w);
	guest_poke(g, w.step[w.n - 1].gpa, &v, 8);
	guest_poke(g, 0x401000, "\x05\0\0\0\0\0\0\0", 8);
	CODE(g,
	     "\x48\xff\x04\x25\x00\x00\x03\x00\x48\x8b\x04\x25\x00\x00\x03\x00\x0f\x0b"); /* inc qword [0x30000]; mov rax, */
	run_stores(g);
	assert_int_equal(guest_reg(g, 0, 0), 6);
	guest_peek(g, 0x401000, &v, 8);
	assert_int_equal(v, 6);
	guest_close(g);
}

static int run_over(const struct machine_ops *b, const char *name)
{
#define TEST(F) cmocka_unit_test_setup(F, setup)
	const struct CMUnitTest tests[] = {
	    TEST(test_ring_has_pages_in_order), TEST(test_ring_and_changes), TEST(test_full_ring),
	    TEST(test_steps_with_rings),	TEST(test_no_rings),	     TEST(test_ring_sizes),
	    TEST(test_prefault_ranges),		TEST(test_prefault),	     TEST(test_prefault_leaves_tables),
	    TEST(test_guest_memfd_rules),	TEST(test_guest_memfd),	     TEST(test_guest_memfd_runs),
	};

	backend = b;
	return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
	return run_over(&soft_backend, "soft") + run_over(&kvm_backend, "kvm");
}
