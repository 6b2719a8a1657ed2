/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The machine's contract, second part: what looks at and changes a machine that stands still, the same over the fake, the
 * soft and the kvm backend; and over the two that run code, what stops it. The first part is test_soft_machine.c.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/debug/checkpoint.h"
#include "core/mem/paging.h"
#include "core/soft/soft.h"
#include "kvmback/kvmback.h"
#include "tests/support/fake.h"
#include "tests/support/guest.h"

static const struct machine_ops *backend;

static int setup(void **state)
{
	static struct guest g;

	guest_backend = backend;
	*state = &g;
	memset(&g, 0, sizeof(g));
	return 0;
}

static struct guest *open_user(void **state, bool idt)
{
	struct guest *g = *state;

	if (backend == &kvm_backend && !guest_possible())
		skip();
	guest_open(g, GUEST_LONG, 3, idt, 1);
	return g;
}

#define CODE(G, BYTES) guest_code(G, BYTES, sizeof(BYTES) - 1)

static void need(struct guest *g, enum machine_cap cap)
{
	const char *why;

	if (machine_can(g->m, cap, &why))
		return;
	printf("skip: %s\n", why);
	guest_close(g);
	skip();
}

/* ---- memop */

static int memop(struct guest *g, enum memop_kind kind, uint32_t flags, uint64_t at, void *buf, uint32_t size,
		 struct memop_result *r)
{
	const struct memop op = {.op = kind, .flags = flags, .gva = at, .size = size, .buf = buf, .old = buf};

	return machine_memop(g->m, 0, &op, r, &g->e);
}

static void test_memop_reads_and_writes(void **state)
{
	struct guest *g = open_user(state, false);
	struct memop_result r;
	char got[8] = "";

	assert_int_equal(memop(g, MEMOP_LOGICAL_WRITE, 0, 0x20ffc, (char[]){"abcdefgh"}, 8, &r), 0);
	assert_int_equal(r.status, 0);
	guest_peek(g, 0x20ffc, got, 8);
	assert_memory_equal(got, "abcdefgh", 8);
	memset(got, 0, 8);
	assert_int_equal(memop(g, MEMOP_LOGICAL_READ, 0, 0x20ffc, got, 8, &r), 0);
	assert_memory_equal(got, "abcdefgh", 8);
	assert_int_equal(memop(g, MEMOP_LOGICAL_READ, MEMOP_CHECK_ONLY, 0x20ffc, NULL, 8, &r), 0);
	assert_int_equal(memop(g, MEMOP_ABSOLUTE_READ, 0, 0x20ffc, got, 4, &r), 0);
	assert_memory_equal(got, "abcd", 4);
	assert_int_equal(memop(g, MEMOP_LOGICAL_WRITE, 0, GUEST_ROM, got, 4, &r), -EFAULT);
	assert_int_equal(memop(g, MEMOP_LOGICAL_READ, 0, GUEST_DEVICE, got, 4, &r), -EFAULT);
	assert_int_equal(memop(g, MEMOP_LOGICAL_READ, 0, 0x20000, got, 0, &r), -EINVAL);
	assert_int_equal(memop(g, MEMOP_LOGICAL_READ, 0, 0x20000, NULL, 4, &r), -EFAULT);
	guest_close(g);
}

static void test_memop_faults(void **state)
{
	struct guest *g = open_user(state, false);
	struct memop_result r;
	char got[8] = "";

	guest_poke(g, 0xffffc, "zzzz", 4);
	assert_int_equal(memop(g, MEMOP_LOGICAL_WRITE, 0, 0xffffc, (char[]){"abcdefgh"}, 8, &r), 0);
	assert_int_equal(r.status, 14);
	assert_int_equal(r.fault.error_code, PFERR_WRITE | PFERR_USER);
	assert_true(r.fault.address == 0x100000);
	guest_peek(g, 0xffffc, got, 4);
	assert_memory_equal(got, "zzzz", 4);
	assert_int_equal(guest_regs(g, 0).exception_pending, false);
	assert_int_equal(storage_key_set(machine_keys(g->m), 0x20000, 0x38, &g->e), 0);
	const struct memop keyed = {
	    .op = MEMOP_LOGICAL_READ, .flags = MEMOP_SKEY, .gva = 0x20000, .size = 4, .buf = got, .key = 5};
	assert_int_equal(machine_memop(g->m, 0, &keyed, &r, &g->e), 0);
	assert_true(r.protection);
	guest_close(g);
}

static void test_memop_exchanges(void **state)
{
	struct guest *g = open_user(state, false);
	uint32_t old = 5, buf = 7;
	struct memop op = {.op = MEMOP_ABSOLUTE_CMPXCHG, .gva = 0x20000, .size = 4, .buf = &buf, .old = &old};
	struct memop_result r;

	guest_poke(g, 0x20000, "\x05\0\0\0", 4);
	assert_int_equal(machine_memop(g->m, 0, &op, &r, &g->e), 0);
	assert_true(r.exchanged);
	assert_int_equal(buf, 5);
	buf = 9;
	assert_int_equal(machine_memop(g->m, 0, &op, &r, &g->e), 0);
	assert_false(r.exchanged);
	assert_int_equal(buf, 7);
	guest_close(g);
}

/* ---- the pipeline's environment */

static void test_xlate(void **state)
{
	struct guest *g = open_user(state, false);
	struct xlate_env env;
	struct xlate_tlb tlb;
	struct xlate_iolist io;

	assert_int_equal(machine_env(g->m, 0, &env, &g->e), 0);
	assert_int_equal(gva_to_tlb(&env, 0x20ffc, 8, ACCESS_READ | ACCESS_USER, false, &tlb, &g->e), 0);
	assert_int_equal(tlb.n, 2);
	assert_int_equal(tlb.entry[0].gpa, 0x20ffc);
	assert_int_equal(tlb.entry[1].gpa, 0x21000);
	assert_int_equal(tlb_to_io(&env, &tlb, ACCESS_READ, false, &io, &g->e), 0);
	assert_int_equal(io.n, 2);
	assert_int_equal(io.io[0].kind, IO_RAM);
	assert_int_equal(io.io[0].slot->id, 0);
	assert_int_equal(gva_to_tlb(&env, GUEST_ROM, 4, ACCESS_WRITE | ACCESS_USER, false, &tlb, &g->e), 0);
	assert_int_equal(tlb_to_io(&env, &tlb, ACCESS_WRITE, false, &io, &g->e), 0);
	assert_int_equal(io.io[0].kind, IO_ROM);
	assert_int_equal(io.io[0].slot->id, GUEST_ROM_SLOT);
	assert_int_equal(gva_to_tlb(&env, GUEST_DEVICE, 4, ACCESS_READ | ACCESS_USER, false, &tlb, &g->e), 0);
	assert_int_equal(tlb_to_io(&env, &tlb, ACCESS_READ, false, &io, &g->e), 0);
	assert_int_equal(io.io[0].kind, IO_DEVICE);
	assert_int_equal(gva_to_tlb(&env, 0xffffc, 8, ACCESS_READ | ACCESS_USER, false, &tlb, &g->e), 0);
	assert_int_equal(tlb.n, 0);
	assert_int_equal(tlb.fault.vector, 14);
	guest_close(g);
}

/* ---- slots, memory, registers */

static void test_slots(void **state)
{
	const struct slot_spec spec = {.id = 9, .gpa = 0x400000, .size = 0x3000, .flags = SLOT_LOG_DIRTY},
			       overlapping = {.id = 10, .gpa = 0x402000, .size = 0x1000};
	struct guest *g = open_user(state, false);
	struct slot_info_list list = {0};
	struct slot_info info;
	uint64_t hva;
	size_t n;

	assert_int_equal(machine_slot_add(g->m, &spec, NULL, &g->e), 0);
	assert_int_equal(machine_slot_add(g->m, &overlapping, NULL, &g->e), -EEXIST);
	guest_poke(g, 0x402ff8, "slotslot", 8);
	assert_memory_equal(machine_peek(g->m, 0x402ff8, false, &n), "slotslot", 8);
	assert_int_equal(n, 8);
	assert_int_equal(machine_hva(g->m, 0x401000, false, &hva, &g->e), 0);
	assert_true(hva == slot_by_id(machine_slots(g->m), 9)->hva + 0x1000);
	assert_int_equal(machine_slot_move(g->m, 9, 0x500000, NULL, &g->e), 0);
	assert_memory_equal(machine_peek(g->m, 0x502ff8, false, &n), "slotslot", 8);
	assert_null(machine_peek(g->m, 0x402ff8, false, &n));
	assert_int_equal(machine_slot_flags(g->m, 9, SLOT_READONLY, SLOT_LOG_DIRTY, 0, NULL, &g->e), 0);
	assert_memory_equal(machine_peek(g->m, 0x502ff8, false, &n), "slotslot", 8);
	assert_int_equal(machine_slot_info(g->m, 9, &info, &g->e), 0);
	assert_int_equal(info.flags, SLOT_READONLY);
	assert_int_equal(machine_slot_list(g->m, &list, &g->e), 0);
	bool seen = false;
	for (size_t i = 0; i < list.n; i++)
		seen |= list.v[i].id == 9 && list.v[i].gpa == 0x500000 && list.v[i].size == 0x3000;
	assert_true(seen);
	slot_info_list_free(&list);
	assert_int_equal(machine_slot_delete(g->m, 9, NULL, &g->e), 0);
	assert_int_equal(machine_slot_delete(g->m, 9, NULL, &g->e), -EINVAL); /* as KVM's ioctl */
	assert_int_equal(machine_slot_info(g->m, 9, &info, &g->e), -ENOENT);
	guest_close(g);
}

static void test_no_such_gfn(void **state)
{
	struct guest *g = open_user(state, false);
	struct rmap_list l = {0};

	need(g, MACHINE_CAP_RMAP);
	/* Neither one that no slot covers, nor one whose address would wrap around to one that is covered. */
	assert_int_equal(machine_rmap(g->m, 0x40000, &l, &g->e), 0);
	assert_int_equal(l.n, 0);
	rmap_list_free(&l);
	assert_int_equal(machine_rmap(g->m, 0x10000000000020ull, &l, &g->e), 0);
	assert_int_equal(l.n, 0);
	rmap_list_free(&l);
	guest_close(g);
}

/* ---- checkpoints */

static void test_checkpoint(void **state)
{
	const struct slot_spec extra = {.id = 9, .gpa = 0x400000, .size = 0x3000};
	struct guest *g = open_user(state, false);
	struct page_store *store;
	struct checkpoint *c;
	char got[4];

	guest_poke(g, 0x20000, "then", 4);
	guest_set(g, 0, RBX, 0x1234);
	assert_int_equal(page_store_create(&store, &g->e), 0);
	assert_int_equal(checkpoint_take(store, g->m, NULL, &c, &g->e), 0);
	assert_true(checkpoint_rip(c, 0) == GUEST_CODE);
	guest_poke(g, 0x20000, "now!", 4);
	guest_set(g, 0, RBX, 0x5678);
	guest_set_rip(g, 0, GUEST_CODE + 7);
	assert_int_equal(machine_slot_add(g->m, &extra, NULL, &g->e), 0);
	assert_int_equal(machine_slot_flags(g->m, GUEST_ROM_SLOT, 0, SLOT_READONLY, 0, NULL, &g->e), 0);
	assert_int_equal(checkpoint_restore(g->m, c, &g->e), 0);
	guest_peek(g, 0x20000, got, 4);
	assert_memory_equal(got, "then", 4);
	assert_true(guest_reg(g, 0, RBX) == 0x1234);
	assert_true(guest_regs(g, 0).rip == GUEST_CODE);
	assert_null(slot_by_id(machine_slots(g->m), 9));
	assert_int_equal(slot_by_id(machine_slots(g->m), GUEST_ROM_SLOT)->flags, SLOT_READONLY);
	checkpoint_drop(c);
	page_store_destroy(store);
	guest_close(g);
}

/* ---- what stops code */

static void test_watch(void **state)
{
	struct guest *g = open_user(state, false);
	struct plant p = {.id = 4, .kind = PLANT_WRITE, .addr = 0x20004, .len = 4};

	need(g, MACHINE_CAP_WATCH);
	CODE(g, "\xb8\x44\x33\x22\x11\x89\x04\x25\x00\x00\x02\x00\x89\x04\x25\x04\x00\x02\x00\x0f\x0b");
	assert_int_equal(machine_plant(g->m, &p, &g->e), 0);
	assert_int_equal(guest_continue(g), STOP_WATCHPOINT);
	assert_int_equal(g->stop.breakpoint, 4);
	assert_true(g->stop.write);
	assert_int_equal(g->stop.gva, 0x20004);
	assert_memory_equal(g->stop.data, "\x44\x33\x22\x11", 4);
	assert_true(g->stop.has_old);
	assert_memory_equal(g->stop.old_data, "\0\0\0\0", 4);
	assert_int_equal(machine_unplant(g->m, 4, &g->e), 0);
	assert_int_equal(guest_continue(g), STOP_EXCEPTION);
	assert_int_equal(g->stop.vector, 6);
	guest_close(g);
}

static void test_catch_exception(void **state)
{
	struct guest *g = open_user(state, true);

	CODE(g, "\x8b\x04\x25\x00\x00\x15\x00"); /* mov eax, [0x150000]: not mapped */
	if (machine_catch(g->m, CATCH_EXCEPTION, &g->e)) {
		assert_int_equal(g->e.code, -ENOTSUP);
		printf("skip: %s\n", g->e.why);
		guest_close(g);
		skip();
	}
	assert_int_equal(guest_continue(g), STOP_EXCEPTION);
	assert_int_equal(g->stop.vector, 14);
	assert_int_equal(g->stop.error_code, PFERR_USER);
	assert_int_equal(g->stop.cr2, 0x150000);
	assert_int_equal(machine_catch(g->m, 0, &g->e), 0);
	assert_int_equal(guest_continue(g), STOP_HLT);
	assert_int_equal(machine_board(g->m)->post, 14);
	guest_close(g);
}

static void test_fault_stages(void **state)
{
	const struct fault_filter filter = {.gva = true, .first = 0x20000, .last = 0x20fff};
	struct fault_stage_list stages = {0};
	struct guest *g = open_user(state, false);
	unsigned vcpu, n = 0;
	uint8_t b = 1;

	need(g, MACHINE_CAP_FAULT_STEP);
	CODE(g, "\xb0\x55\x88\x04\x25\x00\x00\x02\x00\x0f\x0b");
	assert_int_equal(machine_fault_catch(g->m, &filter, 1, &g->e), 0);
	assert_int_equal(guest_continue(g), STOP_FAULT_STAGE);
	assert_true(machine_parked(g->m, &vcpu));
	assert_true(guest_regs(g, 0).rip == GUEST_CODE + 2);
	guest_peek(g, 0x20000, &b, 1);
	assert_int_equal(b, 0);
	/* What would change something is refused, and nobody is let go by that. */
	assert_int_equal(machine_slot_delete(g->m, GUEST_ROM_SLOT, NULL, &g->e), -EBUSY);
	while (g->stop.reason == STOP_FAULT_STAGE && n++ < 40)
		assert_int_equal(machine_fault_step(g->m, &g->stop, &g->e), 0);
	assert_int_equal(g->stop.reason, STOP_EXCEPTION);
	assert_int_equal(g->stop.vector, 6);
	guest_peek(g, 0x20000, &b, 1);
	assert_int_equal(b, 0x55);
	assert_int_equal(machine_fault_stages(g->m, &stages, &g->e), 0);
	assert_true(stages.n > 0);
	fault_stage_list_free(&stages);
	assert_int_equal(machine_fault_catch(g->m, NULL, 0, &g->e), 0);
	guest_close(g);
}

static void test_checkpoint_of_a_run(void **state)
{
	struct guest *g = open_user(state, false);
	struct page_store *store;
	struct checkpoint *c;
	uint32_t v;

	CODE(g, "\xff\x04\x25\x00\x00\x02\x00\xff\x04\x25\x00\x00\x02\x00\x0f\x0b"); /* inc dword [0x20000], twice; ud2 */
	assert_int_equal(guest_step(g), STOP_STEP);
	assert_int_equal(page_store_create(&store, &g->e), 0);
	assert_int_equal(checkpoint_take(store, g->m, NULL, &c, &g->e), 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(guest_continue(g), STOP_EXCEPTION);
		assert_int_equal(g->stop.rip, GUEST_CODE + 14);
		guest_peek(g, 0x20000, &v, 4);
		assert_int_equal(v, 2);
		assert_int_equal(checkpoint_restore(g->m, c, &g->e), 0);
		guest_peek(g, 0x20000, &v, 4);
		assert_int_equal(v, 1);
	}
	checkpoint_drop(c);
	page_store_destroy(store);
	guest_close(g);
}

static int run_over(const struct machine_ops *b, const char *name, bool runs)
{
#define TEST(F) cmocka_unit_test_setup(F, setup)
	const struct CMUnitTest still[] = {
	    TEST(test_memop_reads_and_writes),
	    TEST(test_memop_faults),
	    TEST(test_memop_exchanges),
	    TEST(test_xlate),
	    TEST(test_slots),
	    TEST(test_no_such_gfn),
	    TEST(test_checkpoint),
	};
	const struct CMUnitTest running[] = {
	    TEST(test_watch),
	    TEST(test_catch_exception),
	    TEST(test_fault_stages),
	    TEST(test_checkpoint_of_a_run),
	};

	backend = b;
	int failed = cmocka_run_group_tests_name(name, still, NULL, NULL);
	return runs ? failed + cmocka_run_group_tests_name(name, running, NULL, NULL) : failed;
}

int main(void)
{
	return run_over(&fake_ops, "fake", false) + run_over(&soft_backend, "soft", true) +
	       run_over(&kvm_backend, "kvm", true);
}
