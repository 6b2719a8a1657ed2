/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * An SMI as a stop and as a step, the same whether KVM does SMM or the debugger: the vCPU stands at the handler's first
 * instruction and has executed none of it, the state that was saved is the guest's own, and registers that put a vCPU into
 * SMM are no SMI.
 */
#include "core/cpu/smm.h"
#include "tests/support/guest.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MARK 0x7000u
#define AREA (SMM_DEFAULT_SMBASE + SMM_SAVE_OFFSET)

static const struct {
	enum guest_mode mode;
	unsigned cpl;
	bool idt;
} modes[] = {{GUEST_REAL, 0, true},  {GUEST_PROT, 0, false}, {GUEST_PROT, 0, true},
	     {GUEST_LONG, 0, false}, {GUEST_LONG, 0, true},  {GUEST_LONG, 3, false}};
#define N_MODES (sizeof(modes) / sizeof(modes[0]))

/* In the guest: an SMI, and an invalid opcode behind it. In the handler: a mark, and RSM. */
static void begin(struct guest *g, size_t mode)
{
	guest_open(g, modes[mode].mode, modes[mode].cpl, modes[mode].idt, 1);
	guest_code(g, "\x90\xe6\xb2\x90\x0f\x0b", 6);
	guest_poke(g, SMM_DEFAULT_SMBASE + SMM_ENTRY_OFFSET, "\xc6\x06\x00\x70\x5a\x0f\xaa", 7);
	if (modes[mode].cpl) {
		struct regs r = guest_regs(g, 0);

		r.rflags |= RFLAGS_IOPL;
		assert_int_equal(machine_set_regs(g->m, 0, REGS_GPR, &r, &g->e), 0);
	}
}

static uint8_t mark(struct guest *g)
{
	uint8_t now;

	guest_peek(g, MARK, &now, 1);
	return now;
}

static uint64_t saved(struct guest *g, unsigned offset, unsigned size)
{
	uint64_t x = 0;

	guest_peek(g, AREA + offset, &x, size);
	return x;
}

static void assert_at_handler(struct guest *g)
{
	struct regs r = guest_regs(g, 0);

	assert_true(r.smm);
	assert_int_equal(r.rip, SMM_ENTRY_OFFSET);
	assert_int_equal(r.seg[SEG_CS].base, SMM_DEFAULT_SMBASE);
	assert_int_equal(mark(g), 0);
}

static void assert_outside(struct guest *g, uint64_t rip)
{
	assert_false(guest_regs(g, 0).smm);
	assert_int_equal(guest_regs(g, 0).rip, rip);
	assert_int_equal(mark(g), 0x5a);
}

#define NEED_KVM()                                                                                                          \
	do {                                                                                                                \
		(void)state;                                                                                                \
		if (!guest_possible())                                                                                      \
			skip();                                                                                             \
	} while (0)

static void by_steps(void **state)
{
	NEED_KVM();
	for (size_t i = 0; i < N_MODES; i++) {
		struct guest g;

		begin(&g, i);
		assert_int_equal(guest_step(&g), STOP_STEP);
		assert_int_equal(guest_step(&g), STOP_STEP);
		assert_at_handler(&g);
		assert_int_equal(guest_step(&g), STOP_STEP);
		assert_int_equal(g.stop.rip, SMM_ENTRY_OFFSET + 5);
		assert_int_equal(mark(&g), 0x5a);
		assert_int_equal(guest_step(&g), STOP_STEP);
		assert_outside(&g, GUEST_CODE + 3);
		guest_close(&g);
	}
}

static void caught(void **state)
{
	NEED_KVM();
	for (size_t i = 0; i < N_MODES; i++) {
		struct guest g;

		begin(&g, i);
		assert_int_equal(machine_catch(g.m, CATCH_SMI, &g.e), 0);
		assert_int_equal(guest_continue(&g), STOP_SMI);
		assert_at_handler(&g);
		assert_int_equal(guest_continue(&g), STOP_RSM);
		assert_outside(&g, GUEST_CODE + 3);
		guest_close(&g);
	}
}

/* Nothing of what stands in for the guest's own while it runs: the IDT, the GDT, TR, TF. */
static void saves_the_guests_own(void **state)
{
	NEED_KVM();
	for (size_t i = 0; i < N_MODES; i++) {
		struct guest g;
		struct regs was;

		begin(&g, i);
		was = guest_regs(&g, 0);
		assert_int_equal(machine_catch(g.m, CATCH_SMI, &g.e), 0);
		assert_int_equal(guest_continue(&g), STOP_SMI);
		assert_int_equal(saved(&g, 0x178, 8), GUEST_CODE + 3);
		assert_int_equal(saved(&g, 0x084, 2), was.idt.limit);
		assert_int_equal(saved(&g, 0x088, 8), was.idt.base);
		assert_int_equal(saved(&g, 0x064, 2), was.gdt.limit);
		assert_int_equal(saved(&g, 0x068, 8), was.gdt.base);
		assert_int_equal(saved(&g, 0x090, 2), was.tr.selector);
		assert_int_equal(saved(&g, 0x170, 8) & RFLAGS_TF, 0);
		guest_close(&g);
	}
}

/* Without an IDT of the guest's, what it raises behind an SMI is told as ever. */
static void exceptions_behind_it(void **state)
{
	NEED_KVM();
	for (size_t i = 0; i < N_MODES; i++) {
		struct guest g;

		if (modes[i].idt)
			continue;
		begin(&g, i);
		assert_int_equal(guest_continue(&g), STOP_EXCEPTION);
		assert_int_equal(g.stop.vector, 6);
		assert_outside(&g, GUEST_CODE + 4);
		assert_int_equal(guest_regs(&g, 0).idt.limit, 0);
		guest_close(&g);
	}
}

static void by_a_person(void **state)
{
	struct guest g;

	NEED_KVM();
	begin(&g, 1);
	assert_int_equal(machine_smi(g.m, 0, &g.e), 0);
	assert_at_handler(&g);
	assert_int_equal(machine_smi(g.m, 0, &g.e), -EBUSY);
	assert_non_null(strstr(g.e.why, "in SMM already"));
	assert_int_equal(guest_step(&g), STOP_STEP);
	assert_int_equal(g.stop.rip, SMM_ENTRY_OFFSET + 5);
	assert_int_equal(guest_step(&g), STOP_STEP);
	assert_outside(&g, GUEST_CODE);
	guest_close(&g);
}

/* KVM would give the VM up. */
static void nowhere_to_save(void **state)
{
	struct guest g;

	NEED_KVM();
	begin(&g, 1);
	assert_int_equal(machine_set_smbase(g.m, 0, 0x600000, &g.e), 0);
	assert_int_equal(machine_smi(g.m, 0, &g.e), -EFAULT);
	assert_non_null(strstr(g.e.what, "SMI to vCPU 0"));
	assert_false(guest_regs(&g, 0).smm);
	assert_int_equal(guest_step(&g), STOP_STEP);
	assert_int_equal(g.stop.rip, GUEST_CODE + 1);
	guest_close(&g);
}

/* As a checkpoint does it. */
static void put_back_into_smm(void **state)
{
	struct guest g;
	struct regs inside;

	NEED_KVM();
	begin(&g, 1);
	assert_int_equal(machine_catch(g.m, CATCH_SMI, &g.e), 0);
	assert_int_equal(guest_continue(&g), STOP_SMI);
	inside = guest_regs(&g, 0);
	assert_int_equal(guest_continue(&g), STOP_RSM);
	assert_int_equal(machine_set_regs(g.m, 0, REGS_GPR | REGS_SYS | REGS_EVENTS, &inside, &g.e), 0);
	assert_int_equal(guest_continue(&g), STOP_RSM);
	assert_outside(&g, GUEST_CODE + 3);
	guest_close(&g);
}

/* What begins again in SMM is out of it. */
static void reset_out_of_smm(void **state)
{
	struct guest g;
	uint8_t seen = 0;

	NEED_KVM();
	begin(&g, 0);
	assert_int_equal(machine_smi(g.m, 0, &g.e), 0);
	assert_at_handler(&g);
	assert_int_equal(machine_reset(g.m, &g.e), 0);
	assert_false(guest_regs(&g, 0).smm);
	assert_int_equal(machine_catch(g.m, CATCH_SMI, &g.e), 0);
	guest_set_rip(&g, 0, GUEST_CODE);
	struct regs r = guest_regs(&g, 0);
	r.seg[SEG_CS].base = r.seg[SEG_CS].selector = 0;
	assert_int_equal(machine_set_regs(g.m, 0, REGS_SYS, &r, &g.e), 0);
	assert_int_equal(guest_step(&g), STOP_STEP);
	assert_int_equal(g.stop.rip, GUEST_CODE + 1);
	guest_peek(&g, GUEST_CODE, &seen, 1);
	assert_int_equal(seen, 0x90);
	guest_close(&g);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(by_steps),
	    cmocka_unit_test(caught),
	    cmocka_unit_test(saves_the_guests_own),
	    cmocka_unit_test(exceptions_behind_it),
	    cmocka_unit_test(by_a_person),
	    cmocka_unit_test(nowhere_to_save),
	    cmocka_unit_test(put_back_into_smm),
	    cmocka_unit_test(reset_out_of_smm),
	};

	(void)argc;
	return guest_once_more(argv, cmocka_run_group_tests(tests, NULL, NULL));
}
