/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The machine's contract: the same tests over the soft and over the kvm backend.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem/paging.h"
#include "core/soft/soft.h"
#include "kvmback/kvmback.h"
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

static void test_step(void **state)
{
	struct guest *g = open_user(state, false);

	CODE(g, "\xb8\x05\x00\x00\x00\x83\xc0\x02\x90"); /* mov eax, 5; add eax, 2; nop */
	assert_int_equal(guest_step(g), STOP_STEP);
	assert_int_equal(guest_reg(g, 0, RAX), 5);
	assert_int_equal(g->stop.rip, GUEST_CODE + 5);
	assert_int_equal(guest_run(g, RUN_STEP, 0, 2), STOP_STEP);
	assert_int_equal(guest_reg(g, 0, RAX), 7);
	assert_int_equal(guest_regs(g, 0).rip, GUEST_CODE + 9);
	guest_close(g);
}

static void test_registers(void **state)
{
	struct guest *g = open_user(state, false);

	for (unsigned i = 0; i < 16; i++)
		guest_set(g, 0, i, 0x1111111111111111ull * i);
	CODE(g, "\x48\x01\xc8");
	guest_step(g);
	for (unsigned i = 1; i < 16; i++)
		assert_true(guest_reg(g, 0, i) == 0x1111111111111111ull * i);
	assert_true(guest_reg(g, 0, RAX) == 0x1111111111111111ull);
	guest_close(g);
}

static void test_exception(void **state)
{
	struct guest *g = open_user(state, false);

	CODE(g, "\x88\x04\x25\x00\x00\x15\x00"); /* mov [0x150000], al: not mapped */
	assert_int_equal(guest_continue(g), STOP_EXCEPTION);
	assert_int_equal(g->stop.vector, 14);
	assert_int_equal(g->stop.error_code, PFERR_WRITE | PFERR_USER);
	assert_int_equal(g->stop.cr2, 0x150000);
	assert_int_equal(g->stop.rip, GUEST_CODE);
	guest_close(g);
}

static void test_handler(void **state)
{
	struct guest *g = open_user(state, true);

	CODE(g, "\x0f\x0b");
	assert_int_equal(guest_step(g), STOP_STEP);
	assert_int_equal(g->stop.rip, GUEST_HANDLERS + 6 * 16);
	assert_int_equal(regs_cpl(&(struct regs[]){guest_regs(g, 0)}[0]), 0);
	assert_int_equal(guest_continue(g), STOP_HLT);
	assert_int_equal(machine_board(g->m)->post, 6);
	guest_close(g);
}

static void test_breakpoint(void **state)
{
	struct guest *g = open_user(state, false);

	CODE(g, "\x90\xff\xc0\xeb\xfb"); /* nop; inc eax; jmp to the nop */
	guest_set(g, 0, RAX, 0);
	guest_break(g, 3, GUEST_CODE + 1);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(guest_continue(g), STOP_BREAKPOINT);
		assert_int_equal(g->stop.breakpoint, 3);
		assert_int_equal(g->stop.rip, GUEST_CODE + 1);
		assert_int_equal(guest_reg(g, 0, RAX), i);
	}
	assert_int_equal(machine_unplant(g->m, 3, &g->e), 0);
	assert_true(machine_unplant(g->m, 3, &g->e) < 0);
	guest_close(g);
}

static void test_interrupt(void **state)
{
	struct guest *g = open_user(state, false);

	CODE(g, "\xeb\xfe");
	machine_interrupt(g->m); /* before it starts counts as well */
	assert_int_equal(guest_continue(g), STOP_INTERRUPTED);
	assert_int_equal(g->stop.rip, GUEST_CODE);
	guest_close(g);
}

static void test_catch_mmio(void **state)
{
	struct guest *g = open_user(state, false);

	CODE(g, "\xb8\x44\x33\x22\x11\x89\x04\x25\x10\x00\x1d\x00\x8b\x1c\x25\x10\x00\x1d\x00\x0f\x0b");
	assert_int_equal(machine_catch(g->m, CATCH_MMIO, &g->e), 0);
	assert_int_equal(guest_continue(g), STOP_MMIO);
	assert_int_equal(g->stop.gpa, 0xd0000010);
	assert_true(g->stop.write);
	assert_int_equal(g->stop.len, 4);
	assert_memory_equal(g->stop.data, "\x44\x33\x22\x11", 4);
	assert_int_equal(guest_continue(g), STOP_MMIO);
	assert_false(g->stop.write);
	assert_int_equal(guest_continue(g), STOP_EXCEPTION);
	assert_int_equal(guest_reg(g, 0, RBX), 0x11223344);
	guest_close(g);
}

/* The guest's write is dropped, the debugger's is not. */
static bool is_mapped(struct guest *g, uint64_t gva)
{
	struct spte_list l;
	bool leaf = false;

	assert_int_equal(machine_sptes(g->m, 0, gva, gva, &l, &g->e), 0);
	for (size_t i = 0; i < l.n; i++)
		leaf |= l.v[i].leaf && l.v[i].present;
	spte_list_free(&l);
	return leaf;
}

static bool by_gpa(struct machine *m)
{
	struct tdp_root_list l = {0};
	bool found = !machine_tdp_roots(m, &l, NULL) && l.kind != TDP_NONE;

	tdp_root_list_free(&l);
	return found;
}

/* A REP whose one iteration hits a device is the emulator's from there on: what its other iterations read is not mapped. */
static void test_rep_behind_a_device(void **state)
{
	struct guest *g = open_user(state, false);
	uint64_t entry = 0x50000 | PTE_P | PTE_W | PTE_U;
	const char *why = NULL;

	if (!machine_can(g->m, MACHINE_CAP_SHADOW, &why) || by_gpa(g->m)) {
		printf("skip: %s\n", why ? why : "the host's tables are by gpa, so they do not say which gva was touched");
		guest_close(g);
		skip();
	}
	guest_poke(g, GUEST_CR3 + 0x3000 + 8 * ((GUEST_DEVICE >> PAGE_SHIFT) + 1), &entry, 8);
	CODE(g,
	     "\xbe\xff\x0f\x1d\x00\xb9\x03\x00\x00\x00\xf3\xac\x0f\x0b"); /* rsi at its last byte, rcx 3; rep lodsb; ud2 */
	assert_int_equal(guest_continue(g), STOP_EXCEPTION);
	assert_int_equal(g->stop.vector, 6);
	assert_true(guest_reg(g, 0, RSI) == GUEST_DEVICE + 0x1002);
	assert_false(is_mapped(g, GUEST_DEVICE + 0x1000));
	guest_peek(g, GUEST_CR3 + 0x3000 + 8 * ((GUEST_DEVICE >> PAGE_SHIFT) + 1), &entry, 8);
	assert_true(entry & PTE_A);
	/* The next instruction is nobody's emulator's. */
	CODE(g, "\x8a\x04\x25\x00\x10\x1d\x00\x0f\x0b");
	guest_set_rip(g, 0, GUEST_CODE);
	assert_int_equal(guest_continue(g), STOP_EXCEPTION);
	assert_true(is_mapped(g, GUEST_DEVICE + 0x1000));
	guest_close(g);
}

static void test_readonly(void **state)
{
	struct guest *g = open_user(state, false);
	uint8_t b;

	guest_poke(g, GUEST_ROM_GPA, "\x55", 1);
	CODE(g, "\xc6\x04\x25\x00\x00\x1e\x00\x99\x8a\x04\x25\x00\x00\x1e\x00\x0f\x0b");
	assert_int_equal(guest_continue(g), STOP_EXCEPTION);
	assert_int_equal(g->stop.vector, 6);
	assert_int_equal(guest_reg(g, 0, RAX) & 0xff, 0x55);
	guest_peek(g, GUEST_ROM_GPA, &b, 1);
	assert_int_equal(b, 0x55);
	guest_close(g);
}

static void test_memory(void **state)
{
	struct guest *g = open_user(state, false);
	char got[8];

	assert_int_equal(machine_write_gva(g->m, 0, 0x7ffc, "abcdefgh", 8, &g->e), 0);
	guest_peek(g, 0x7ffc, got, 8);
	assert_memory_equal(got, "abcdefgh", 8);
	assert_int_equal(machine_read_gva(g->m, 0, 0xffffc, got, 8, &g->e), -EFAULT);
	assert_true(machine_read(g->m, 0xffffc, false, got, 8, &g->e) < 0);
	guest_close(g);
}

static void test_inject(void **state)
{
	struct guest *g = open_user(state, true);
	struct guest_fault f = {.present = true, .vector = 14, .has_error = true, .error_code = 6, .address = 0x123456};

	CODE(g, "\x90");
	assert_int_equal(machine_inject(g->m, 0, &f, &g->e), 0);
	assert_int_equal(guest_continue(g), STOP_HLT);
	assert_int_equal(machine_board(g->m)->post, 14);
	assert_int_equal(guest_regs(g, 0).cr2, 0x123456);
	guest_close(g);
}

static void test_dirty(void **state)
{
	struct guest *g = open_user(state, false);
	uint64_t *bits = NULL;
	size_t n = 0;

	assert_int_equal(machine_slot_flags(g->m, 0, SLOT_LOG_DIRTY, 0, 0, NULL, &g->e), 0);
	CODE(g, "\xc6\x04\x25\x00\x30\x02\x00\x01\x0f\x0b"); /* mov byte [0x23000], 1 */
	assert_int_equal(machine_slot_dirty(g->m, 0, true, &bits, &n, &g->e), 0);
	free(bits);
	assert_int_equal(guest_continue(g), STOP_EXCEPTION);
	assert_int_equal(machine_slot_dirty(g->m, 0, true, &bits, &n, &g->e), 0);
	assert_true(n > 0);
	assert_true(bits[0] >> 0x23 & 1);
	assert_false(bits[0] >> 0x24 & 1);
	free(bits);
	assert_int_equal(machine_slot_dirty(g->m, 0, true, &bits, &n, &g->e), 0);
	assert_false(bits[0] >> 0x23 & 1);
	free(bits);
	guest_close(g);
}

/* Of KVM's guests the frame numbers of /proc/self/pagemap, which not everybody may read; soft has none. */
static void test_host_physical(void **state)
{
	struct guest *g = open_user(state, false);
	uint64_t hpa = 0x77, hva = 0;
	const char *why = NULL;

	CODE(g, "\xc6\x04\x25\x00\x30\x02\x00\x01\x0f\x0b"); /* mov byte [0x23000], 1 */
	assert_int_equal(guest_continue(g), STOP_EXCEPTION);
	assert_int_equal(machine_hva(g->m, 0x23010, false, &hva, &g->e), 0);
	int rc = machine_hpa(g->m, 0x23010, false, &hpa, &g->e);
	assert_int_equal(machine_can(g->m, MACHINE_CAP_HPA, &why), backend != &soft_backend);
	if (backend == &soft_backend) {
		assert_int_equal(rc, -ENOTSUP);
		assert_non_null(strstr(why, "host virtual"));
	}
	if (rc)
		assert_int_equal(hpa, 0x77);
	else
		assert_true(hpa != hva && (hpa & 0xfff) == 0x10);
	guest_close(g);
}

/* Sptes are by gva or by gpa, and the look at the tables by gpa says which, and why there are none. */
static void test_tables_by_gpa(void **state)
{
	struct guest *g = open_user(state, false);
	struct tdp_root_list l;
	struct spte_list s;

	CODE(g, "\xc6\x04\x25\x00\x30\x02\x00\x01\x0f\x0b"); /* mov byte [0x23000], 1 */
	assert_int_equal(guest_continue(g), STOP_EXCEPTION);
	if (!machine_can(g->m, MACHINE_CAP_SHADOW, NULL)) {
		guest_close(g);
		skip();
	}
	assert_int_equal(machine_tdp_roots(g->m, &l, &g->e), 0);
	assert_true(l.why[0]);
	assert_true(backend != &soft_backend || l.kind == TDP_NONE);
	assert_true(l.kind != TDP_NONE || (!l.n && !l.rmaps[0] && !strcmp(l.next, "info shadow")));
	assert_int_equal(machine_sptes(g->m, 0, 0, UINT64_MAX, &s, &g->e), 0);
	assert_true(s.n > 0);
	for (size_t i = 0; i < s.n; i++)
		assert_int_equal(s.v[i].by_gpa, l.kind != TDP_NONE);
	spte_list_free(&s);
	tdp_root_list_free(&l);
	guest_close(g);
}

static int run_over(const struct machine_ops *b, const char *name)
{
#define TEST(F) cmocka_unit_test_setup(F, setup)
	const struct CMUnitTest tests[] = {
	    TEST(test_step),	      TEST(test_registers),	TEST(test_exception),  TEST(test_handler),
	    TEST(test_breakpoint),    TEST(test_interrupt),	TEST(test_catch_mmio), TEST(test_rep_behind_a_device),
	    TEST(test_readonly),      TEST(test_memory),	TEST(test_inject),     TEST(test_dirty),
	    TEST(test_host_physical), TEST(test_tables_by_gpa),
	};

	backend = b;
	return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
	return run_over(&soft_backend, "soft") + run_over(&kvm_backend, "kvm");
}
