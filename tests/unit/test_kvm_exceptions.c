/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What an instruction raises is told by its own vector, error code and address where nobody takes it, and goes to the
 * guest's own handler of that vector where one does: in every mode and at both CPLs, whatever of it KVM intercepts.
 */
#include "tests/support/guest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/board/board.h"
#include "kvmback/kvm.h"

#define NOTHING 0x180000u

/* Each stands behind a NOP, with AX 0x1f8 and EBX 0. */
struct raise {
	const char *code;
	unsigned len, vector;
	int error; /* without the bit of CPL 3; -1: none is pushed */
	bool only_long, not_real;
};
static const struct raise raises[] = {
    {"\x0f\x0b", 2, 6, -1, false, false},		       /* ud2 */
    {"\xf7\xf3", 2, 0, -1, false, false},		       /* div ebx */
    {"\xcc", 1, 3, -1, false, false},			       /* int3 */
    {"\x8e\xd8", 2, 13, 0x1f8, false, true},		       /* mov ds, ax, beyond the GDT */
    {"\x8a\x04\x25\x00\x00\x18\x00", 7, 14, 0, true, true},    /* mov al, [NOTHING] */
    {"\x88\x04\x25\x00\x00\x18\x00", 7, 14, 2, true, true},    /* mov [NOTHING], al */
    {"\xff\x24\x25\x08\xf0\x00\x00", 7, 14, 0x10, true, true}, /* jmp [0xf008], which leads to NOTHING */
};
#define N_RAISES (sizeof(raises) / sizeof(raises[0]))

/* 32 bits at CPL 3 last: it is what fewest hosts run. */
static const struct {
	enum guest_mode mode;
	unsigned cpl;
} modes[] = {{GUEST_REAL, 0}, {GUEST_LONG, 0}, {GUEST_LONG, 3}, {GUEST_PROT, 0}, {GUEST_PROT, 3}};
#define N_MODES (sizeof(modes) / sizeof(modes[0]))

static bool possible(const struct raise *r, enum guest_mode mode)
{
	return (mode == GUEST_LONG || !r->only_long) && (mode != GUEST_REAL || !r->not_real);
}

static void begin(struct guest *g, const struct raise *r, size_t mode, bool idt)
{
	uint64_t nothing = NOTHING;

	guest_open(g, modes[mode].mode, modes[mode].cpl, idt, 1);
	guest_poke(g, 0xf008, &nothing, sizeof(nothing));
	guest_code(g, "\x90\x90\x90\x90\x90\x90\x90\x90", 8);
	guest_poke(g, GUEST_CODE + 1, r->code, r->len);
	guest_set(g, 0, RAX, 0x1f8);
	guest_set(g, 0, RBX, 0);
}

/* Where a fetch faults, the jump is over. */
static bool fetches(const struct raise *r)
{
	return r->vector == 14 && r->error == 0x10;
}

static void assert_told(struct guest *g, const struct raise *r, unsigned cpl)
{
	uint64_t at = fetches(r) ? NOTHING : GUEST_CODE + 1 + (r->vector == 3);

	assert_int_equal(g->stop.reason, STOP_EXCEPTION);
	assert_int_equal(g->stop.vector, r->vector);
	assert_int_equal(g->stop.rip, at);
	assert_int_equal(g->stop.software, r->vector == 3);
	assert_int_equal(g->stop.has_error, r->error >= 0);
	if (r->vector == 14) {
		assert_int_equal(g->stop.cr2, NOTHING);
		/* Only with NX, or SMEP, the fetch has its bit. */
		assert_int_equal(g->stop.error_code, (unsigned)r->error | (cpl ? 4 : 0));
	} else if (r->error >= 0) {
		assert_int_equal(g->stop.error_code, r->error);
	}
}

#define NEED_KVM()                                                                                                          \
	do {                                                                                                                \
		(void)state;                                                                                                \
		if (!guest_possible())                                                                                      \
			skip();                                                                                             \
	} while (0)

/* A step ends at a handler by a debug register there; in real mode the debugger goes through the table. */
static bool handlers_are_met(enum guest_mode mode)
{
	static const enum run_mode as_run[] = {[GUEST_REAL] = RUN_REAL, [GUEST_PROT] = RUN_PROT, [GUEST_LONG] = RUN_LONG};
	const struct strategy *st;

	assert_int_equal(kvm_strategy_get(&st, NULL), 0);
	if (mode == GUEST_REAL || st->hw[as_run[mode]][0])
		return true;
	printf("skip: debug registers do not hit at CPL 0 in mode %d of this host\n", (int)mode);
	return false;
}

/* Told as often as it comes; a trap once. */
static void without_an_idt(void **state)
{
	NEED_KVM();
	for (size_t mode = 1; mode < N_MODES; mode++)
		for (size_t i = 0; i < N_RAISES; i++)
			for (int run = RUN_CONTINUE; run <= RUN_STEP && possible(&raises[i], modes[mode].mode); run++) {
				struct guest g;

				begin(&g, &raises[i], mode, false);
				assert_int_equal(guest_step(&g), STOP_STEP);
				if (fetches(&raises[i]) && run == RUN_STEP)
					assert_int_equal(guest_step(&g), STOP_STEP);
				for (int n = 0; n <= (raises[i].vector != 3); n++) {
					(void)guest_run(&g, (enum run_kind)run, 0, 1);
					assert_told(&g, &raises[i], modes[mode].cpl);
					assert_int_equal(g.stop.handler, HANDLER_BEYOND_IDT);
				}
				guest_close(&g);
			}
}

static void to_the_guests_handler(void **state)
{
	NEED_KVM();
	for (size_t mode = 0; mode < N_MODES; mode++)
		for (size_t i = 0; i < N_RAISES; i++) {
			struct guest g;

			if (!possible(&raises[i], modes[mode].mode))
				continue;
			begin(&g, &raises[i], mode, true);
			assert_int_equal(guest_continue(&g), STOP_HLT);
			assert_int_equal(machine_board(g.m)->post, raises[i].vector);
			guest_close(&g);
		}
}

static void to_the_guests_handler_by_steps(void **state)
{
	NEED_KVM();
	for (size_t mode = 0; mode < N_MODES && handlers_are_met(modes[mode].mode); mode++)
		for (size_t i = 0; i < N_RAISES; i++) {
			struct guest g;

			if (!possible(&raises[i], modes[mode].mode))
				continue;
			begin(&g, &raises[i], mode, true);
			assert_int_equal(guest_run(&g, RUN_STEP, 0, 2 + fetches(&raises[i])), STOP_STEP);
			assert_int_equal(g.stop.rip, GUEST_HANDLERS + raises[i].vector * 16);
			if (raises[i].vector == 14)
				assert_int_equal(guest_regs(&g, 0).cr2, NOTHING);
			assert_int_equal(guest_continue(&g), STOP_HLT);
			assert_int_equal(machine_board(g.m)->post, raises[i].vector);
			guest_close(&g);
		}
}

/* Real mode, with an entry of 0000:0000. */
static void through_an_empty_vector(void **state)
{
	NEED_KVM();
	for (size_t i = 0; i < N_RAISES; i++)
		for (int run = RUN_CONTINUE; run <= RUN_STEP && possible(&raises[i], GUEST_REAL); run++) {
			struct guest g;

			begin(&g, &raises[i], 0, true);
			guest_poke(&g, raises[i].vector * 4, "\0\0\0\0", 4);
			assert_int_equal(guest_step(&g), STOP_STEP);
			(void)guest_run(&g, (enum run_kind)run, 0, 1);
			assert_told(&g, &raises[i], 0);
			assert_int_equal(g.stop.handler, HANDLER_EMPTY);
			guest_close(&g);
		}
}

/* Under 32-bit paging, where nothing of the debugger's can stand in for the IDT: the step ends at the guest's handler. */
static void under_32_bit_paging(void **state)
{
	static const struct raise all[] = {{"\x0f\x0b", 2, 6, -1, false, false},
					   {"\xf7\xf3", 2, 0, -1, false, false},
					   {"\xa0\x00\x00\x40\x00", 5, 14, 0, false, false}}; /* mov al, [0x400000] */
	const uint32_t page = 0x83;							      /* 4 MiB at 0 */

	NEED_KVM();
	if (!handlers_are_met(GUEST_PROT))
		skip();
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct guest g;
		struct regs r;

		begin(&g, &all[i], 3, true);
		guest_poke(&g, 0x18000, &page, sizeof(page));
		r = guest_regs(&g, 0);
		r.cr3 = 0x18000;
		r.cr4 = CR4_PSE;
		r.cr0 |= CR0_PG;
		assert_int_equal(machine_set_regs(g.m, 0, REGS_SYS, &r, &g.e), 0);
		assert_int_equal(guest_step(&g), STOP_STEP);
		assert_int_equal(g.stop.rip, GUEST_CODE + 1);
		assert_int_equal(guest_step(&g), STOP_STEP);
		assert_int_equal(g.stop.rip, GUEST_HANDLERS + all[i].vector * 16);
		assert_int_equal(guest_continue(&g), STOP_HLT);
		assert_int_equal(machine_board(g.m)->post, all[i].vector);
		guest_close(&g);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(through_an_empty_vector),
	    cmocka_unit_test(without_an_idt),
	    cmocka_unit_test(under_32_bit_paging),
	    cmocka_unit_test(to_the_guests_handler),
	    cmocka_unit_test(to_the_guests_handler_by_steps),
	};

	(void)argc;
	return guest_once_more(argv, cmocka_run_group_tests(tests, NULL, NULL));
}
