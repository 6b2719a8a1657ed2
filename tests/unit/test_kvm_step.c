/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Exactly one instruction: in each mode and at each CPL, over what is awkward (device accesses, flags on the stack, REP,
 * HLT, exceptions with and without an IDT), with the rip after each step.
 */
#include "tests/support/guest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define OPEN(g, mode, cpl, idt)                                                                                             \
	struct guest g;                                                                                                     \
	if (!guest_possible())                                                                                              \
		skip();                                                                                                     \
	guest_open(&g, mode, cpl, idt, 1)
#define CODE(g, s) guest_code(g, s, sizeof(s) - 1)

/* One step that ends as a step at GUEST_CODE + offset. */
static void step_to(struct guest *g, uint64_t offset)
{
	assert_int_equal(guest_step(g), STOP_STEP);
	assert_int_equal(g->stop.rip, GUEST_CODE + offset);
	assert_int_equal(guest_regs(g, 0).rip, GUEST_CODE + offset);
	assert_false(guest_regs(g, 0).rflags & RFLAGS_TF);
}

static const struct {
	enum guest_mode mode;
	unsigned cpl;
	bool idt;
} all_modes[] = {{GUEST_REAL, 0, true},	 {GUEST_PROT, 0, false}, {GUEST_PROT, 0, true},
		 {GUEST_PROT, 3, false}, {GUEST_PROT, 3, true},	 {GUEST_LONG, 0, false},
		 {GUEST_LONG, 0, true},	 {GUEST_LONG, 3, false}, {GUEST_LONG, 3, true}};

static void plain(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(all_modes) / sizeof(all_modes[0]); i++) {
		OPEN(g, all_modes[i].mode, all_modes[i].cpl, all_modes[i].idt);
		/* nop; mov al, 5; jmp +2; (2 bytes); nop; nop */
		CODE(&g, "\x90\xb0\x05\xeb\x02\xcc\xcc\x90\x90");
		step_to(&g, 1);
		step_to(&g, 3);
		assert_int_equal(guest_reg(&g, 0, RAX) & 0xff, 5);
		step_to(&g, 7);
		step_to(&g, 8);
		assert_int_equal(guest_regs(&g, 0).idt.limit, all_modes[i].mode == GUEST_REAL ? 0x3ff
							      : all_modes[i].idt	      ? 0x1ff
											      : 0);
		guest_close(&g);
	}
}

static void counted(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(all_modes) / sizeof(all_modes[0]); i++) {
		OPEN(g, all_modes[i].mode, all_modes[i].cpl, all_modes[i].idt);
		CODE(&g, "\x90\x90\x90\xeb\xfb"); /* three nops and back to the first */
		assert_int_equal(guest_run(&g, RUN_STEP, 0, 402), STOP_STEP);
		assert_int_equal(g.stop.rip, GUEST_CODE + 2);
		assert_int_equal(guest_break(&g, 7, GUEST_CODE + 1)[0] != 0, 1);
		assert_int_equal(guest_run(&g, RUN_STEP, 0, 100), STOP_BREAKPOINT);
		assert_int_equal(g.stop.breakpoint, 7);
		assert_int_equal(g.stop.rip, GUEST_CODE + 1);
		guest_close(&g);
	}
}

/* In long mode, where the device is at GUEST_DEVICE. */
static void device_accesses(void **state)
{
	(void)state;
	for (unsigned cpl = 0; cpl <= 3; cpl += 3)
		for (int idt = 0; idt <= 1; idt++) {
			uint32_t word = 0;
			OPEN(g, GUEST_LONG, cpl, idt);
			/* mov eax, 0x11223344; mov [dev], eax; mov ebx, [dev]; mov [rom], eax; nop; nop */
			CODE(&g, "\xb8\x44\x33\x22\x11\x89\x04\x25\x00\x00\x1d\x00\x8b\x1c\x25\x00\x00\x1d\x00"
				 "\x89\x04\x25\x00\x00\x1e\x00\x90\x90");
			step_to(&g, 5);
			step_to(&g, 12);
			memcpy(&word, machine_board(g.m)->scratch, 4);
			assert_int_equal(word, 0x11223344);
			step_to(&g, 19);
			assert_int_equal(guest_reg(&g, 0, RBX), 0x11223344);
			step_to(&g, 26);
			guest_peek(&g, GUEST_ROM_GPA, &word, 4);
			assert_int_equal(word, 0);
			step_to(&g, 27);
			step_to(&g, 28);
			guest_close(&g);
		}
}

static void ports(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(all_modes) / sizeof(all_modes[0]); i++) {
		if (all_modes[i].cpl) /* IOPL is 0 */
			continue;
		OPEN(g, all_modes[i].mode, all_modes[i].cpl, all_modes[i].idt);
		/* mov al, 0x77; out 0xb3, al; mov al, 0; in al, 0xb3; nop */
		CODE(&g, "\xb0\x77\xe6\xb3\xb0\x00\xe4\xb3\x90");
		step_to(&g, 2);
		step_to(&g, 4);
		step_to(&g, 6);
		step_to(&g, 8);
		assert_int_equal(guest_reg(&g, 0, RAX) & 0xff, 0x77);
		step_to(&g, 9);
		guest_close(&g);
	}
}

static void flags_on_the_stack(void **state)
{
	(void)state;
	for (unsigned cpl = 0; cpl <= 3; cpl += 3)
		for (int idt = 0; idt <= 1; idt++) {
			OPEN(g, GUEST_LONG, cpl, idt);
			/* stc; pushf; pop rax; push rax; popf; pushf; nop */
			CODE(&g, "\xf9\x9c\x58\x50\x9d\x9c\x90");
			step_to(&g, 1);
			step_to(&g, 2);
			step_to(&g, 3);
			assert_int_equal(guest_reg(&g, 0, RAX) & (RFLAGS_TF | RFLAGS_CF), RFLAGS_CF);
			step_to(&g, 4);
			step_to(&g, 5);
			step_to(&g, 6);
			uint64_t image = 0;
			guest_peek(&g, guest_reg(&g, 0, RSP), &image, 8);
			assert_int_equal(image & (RFLAGS_TF | RFLAGS_CF), RFLAGS_CF);
			step_to(&g, 7);
			guest_close(&g);
		}
}

static void iret_same_privilege(void **state)
{
	(void)state;
	for (unsigned cpl = 0; cpl <= 3; cpl += 3)
		for (int idt = 0; idt <= 1; idt++) {
			OPEN(g, GUEST_LONG, cpl, idt);
			uint64_t sp = guest_reg(&g, 0, RSP);
			uint64_t frame[5] = {GUEST_CODE + 0x20, cpl ? 0x23 : 8, RFLAGS_FIXED | RFLAGS_CF, sp,
					     cpl ? 0x1b : 0x10};
			guest_poke(&g, sp - 40, frame, sizeof(frame));
			guest_poke(&g, GUEST_CODE + 0x20, "\x90\x90\x90", 3);
			CODE(&g, "\x48\xcf");
			guest_set(&g, 0, RSP, sp - 40);
			step_to(&g, 0x20);
			assert_int_equal(guest_reg(&g, 0, RSP), sp);
			assert_true(guest_regs(&g, 0).rflags & RFLAGS_CF);
			step_to(&g, 0x21);
			guest_close(&g);
		}
}

static void iret_to_user(void **state)
{
	OPEN(g, GUEST_LONG, 0, false);
	uint64_t frame[5] = {GUEST_CODE + 0x20, 0x23, RFLAGS_FIXED, GUEST_STACK, 0x1b};

	(void)state;
	guest_poke(&g, GUEST_KSTACK - 40, frame, sizeof(frame));
	guest_poke(&g, GUEST_CODE + 0x20, "\x90\x90\x90", 3);
	CODE(&g, "\x48\xcf");
	guest_set(&g, 0, RSP, GUEST_KSTACK - 40);
	step_to(&g, 0x20);
	assert_int_equal(regs_cpl(&(struct regs){.seg[SEG_SS] = guest_regs(&g, 0).seg[SEG_SS], .cr0 = CR0_PE}), 3);
	step_to(&g, 0x21);
	step_to(&g, 0x22);
	guest_close(&g);
}

static void rep(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(all_modes) / sizeof(all_modes[0]); i++) {
		char from[5] = "abcd", to[5] = "";
		OPEN(g, all_modes[i].mode, all_modes[i].cpl, all_modes[i].idt);
		guest_poke(&g, 0x5000, from, 5);
		guest_set(&g, 0, RSI, 0x5000);
		guest_set(&g, 0, RDI, 0x5100);
		guest_set(&g, 0, RCX, 3);
		CODE(&g, "\xf3\xa4\x90"); /* rep movsb; nop */
		for (unsigned left = 2; left; left--) {
			step_to(&g, 0);
			assert_int_equal(guest_reg(&g, 0, RCX), left);
			assert_int_equal(guest_reg(&g, 0, RSI), 0x5003 - left);
		}
		step_to(&g, 2);
		assert_int_equal(guest_reg(&g, 0, RCX), 0);
		guest_peek(&g, 0x5100, to, 5);
		assert_string_equal(to, "abc");
		step_to(&g, 3);
		guest_close(&g);
	}
}

/* repe scasb ends at the first difference, with a count left; an empty count does nothing. */
static void rep_conditional(void **state)
{
	(void)state;
	for (unsigned cpl = 0; cpl <= 3; cpl += 3) {
		OPEN(g, GUEST_LONG, cpl, false);
		guest_poke(&g, 0x5000, "aab", 3);
		guest_set(&g, 0, RDI, 0x5000);
		guest_set(&g, 0, RCX, 10);
		guest_set(&g, 0, RAX, 'a');
		CODE(&g, "\xf3\xae\x31\xc9\xf3\xa4\x90"); /* repe scasb; xor ecx, ecx; rep movsb; nop */
		step_to(&g, 0);
		step_to(&g, 0);
		step_to(&g, 2);
		assert_int_equal(guest_reg(&g, 0, RCX), 7);
		step_to(&g, 4);
		step_to(&g, 6);
		step_to(&g, 7);
		guest_close(&g);
	}
}

static void rep_to_device(void **state)
{
	(void)state;
	for (unsigned cpl = 0; cpl <= 3; cpl += 3) {
		OPEN(g, GUEST_LONG, cpl, false);
		guest_poke(&g, 0x5000, "xyz", 3);
		guest_set(&g, 0, RSI, 0x5000);
		guest_set(&g, 0, RDI, GUEST_DEVICE);
		guest_set(&g, 0, RCX, 3);
		CODE(&g, "\xf3\xa4\x90");
		step_to(&g, 0);
		assert_int_equal(guest_reg(&g, 0, RCX), 2);
		assert_memory_equal(machine_board(g.m)->scratch, "x\0", 2);
		step_to(&g, 0);
		step_to(&g, 2);
		assert_memory_equal(machine_board(g.m)->scratch, "xyz", 3);
		step_to(&g, 3);
		guest_close(&g);
	}
}

static void halt(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(all_modes) / sizeof(all_modes[0]); i++) {
		if (all_modes[i].cpl)
			continue;
		OPEN(g, all_modes[i].mode, 0, all_modes[i].idt);
		CODE(&g, "\x90\xf4\x90\xf4\x90");
		step_to(&g, 1);
		assert_int_equal(guest_step(&g), STOP_HLT);
		assert_int_equal(g.stop.rip, GUEST_CODE + 2);
		step_to(&g, 3);
		assert_int_equal(guest_continue(&g), STOP_HLT);
		assert_int_equal(g.stop.rip, GUEST_CODE + 4);
		step_to(&g, 5);
		guest_close(&g);
	}
}

/* Each step is one whatever came before it: what KVM's emulator has done, or registers that were written. */
static void behind_what_writes_registers(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(all_modes) / sizeof(all_modes[0]); i++) {
		bool user = all_modes[i].cpl;
		OPEN(g, all_modes[i].mode, all_modes[i].cpl, all_modes[i].idt);

		/* nop; hlt or nop; nop; hlt or nop; out 0x80, al or two nops; nop; nop */
		if (user)
			CODE(&g, "\x90\x90\x90\x90\x90\x90\x90\x90");
		else
			CODE(&g, "\x90\xf4\x90\xf4\xe6\x80\x90\x90");
		for (uint64_t at = 1; at <= 8; at += !user && at == 4 ? 2 : 1) {
			assert_int_equal(guest_step(&g), !user && (at == 2 || at == 4) ? STOP_HLT : STOP_STEP);
			assert_int_equal(g.stop.rip, GUEST_CODE + at);
			if (at & 1)
				guest_set(&g, 0, RBX, at);
		}
		guest_close(&g);
	}
}

static void exception_without_idt(void **state)
{
	(void)state;
	for (int mode = GUEST_PROT; mode <= GUEST_LONG; mode++)
		for (unsigned cpl = 0; cpl <= 3; cpl += 3)
			for (int run = RUN_CONTINUE; run <= RUN_STEP; run++) {
				OPEN(g, (enum guest_mode)mode, cpl, false);
				CODE(&g, "\x90\x0f\x0b");
				step_to(&g, 1);
				assert_int_equal(guest_run(&g, (enum run_kind)run, 0, 1), STOP_EXCEPTION);
				assert_int_equal(g.stop.vector, 6);
				assert_false(g.stop.has_error);
				assert_int_equal(g.stop.rip, GUEST_CODE + 1);
				assert_int_equal(guest_regs(&g, 0).rflags, RFLAGS_FIXED);
				/* and the same again */
				assert_int_equal(guest_step(&g), STOP_EXCEPTION);
				assert_int_equal(g.stop.rip, GUEST_CODE + 1);
				guest_close(&g);
			}
}

static void page_fault_without_idt(void **state)
{
	(void)state;
	for (unsigned cpl = 0; cpl <= 3; cpl += 3)
		for (int run = RUN_CONTINUE; run <= RUN_STEP; run++) {
			OPEN(g, GUEST_LONG, cpl, false);
			CODE(&g, "\x90\x89\x04\x25\x10\x00\x1f\x00"); /* nop; mov [0x1f0010], eax */
			step_to(&g, 1);
			assert_int_equal(guest_run(&g, (enum run_kind)run, 0, 1), STOP_EXCEPTION);
			assert_int_equal(g.stop.vector, 14);
			assert_true(g.stop.has_error);
			assert_int_equal(g.stop.error_code, cpl ? 6 : 2);
			assert_int_equal(g.stop.cr2, 0x1f0010);
			assert_int_equal(g.stop.rip, GUEST_CODE + 1);
			guest_close(&g);
		}
}

static void exception_with_idt(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(all_modes) / sizeof(all_modes[0]); i++) {
		if (!all_modes[i].idt)
			continue;
		OPEN(g, all_modes[i].mode, all_modes[i].cpl, true);
		CODE(&g, "\x90\x0f\x0b");
		step_to(&g, 1);
		assert_int_equal(guest_step(&g), STOP_STEP);
		assert_int_equal(g.stop.rip, GUEST_HANDLERS + 6 * 16);
		if (g.mode == GUEST_LONG) {
			uint64_t frame[5] = {0};
			guest_peek(&g, guest_reg(&g, 0, RSP), frame, sizeof(frame));
			assert_int_equal(frame[0], GUEST_CODE + 1);
			assert_int_equal(frame[1], all_modes[i].cpl ? 0x23 : 8);
			assert_int_equal(frame[2] & RFLAGS_TF, 0);
			assert_int_equal(frame[3], all_modes[i].cpl ? GUEST_STACK : GUEST_KSTACK);
		} else if (g.mode == GUEST_REAL) {
			uint16_t frame[3] = {0};
			guest_peek(&g, guest_reg(&g, 0, RSP), frame, sizeof(frame));
			assert_int_equal(frame[0], GUEST_CODE + 1);
			assert_int_equal(frame[2] & RFLAGS_TF, 0);
		}
		assert_int_equal(guest_step(&g), STOP_STEP);
		assert_int_equal(g.stop.rip, GUEST_HANDLERS + 6 * 16 + 1);
		guest_close(&g);
	}
}

static void page_fault_with_idt(void **state)
{
	(void)state;
	for (unsigned cpl = 0; cpl <= 3; cpl += 3) {
		uint64_t frame[6] = {0};
		OPEN(g, GUEST_LONG, cpl, true);
		CODE(&g, "\x89\x04\x25\x10\x00\x1f\x00");
		assert_int_equal(guest_step(&g), STOP_STEP);
		assert_int_equal(g.stop.rip, GUEST_HANDLERS + 14 * 16);
		assert_int_equal(guest_regs(&g, 0).cr2, 0x1f0010);
		guest_peek(&g, guest_reg(&g, 0, RSP), frame, sizeof(frame));
		assert_int_equal(frame[0], cpl ? 6 : 2);
		assert_int_equal(frame[1], GUEST_CODE);
		guest_close(&g);
	}
}

static void software_interrupts(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(all_modes) / sizeof(all_modes[0]); i++) {
		if (!all_modes[i].idt ||
		    (all_modes[i].mode == GUEST_PROT && all_modes[i].cpl)) /* int3 is not emulated there */
			continue;
		OPEN(g, all_modes[i].mode, all_modes[i].cpl, true);
		CODE(&g, "\x90\xcc\x90");
		step_to(&g, 1);
		assert_int_equal(guest_step(&g), STOP_STEP);
		assert_int_equal(g.stop.rip, GUEST_HANDLERS + 3 * 16);
		guest_close(&g);
	}
}

static void caught_exception(void **state)
{
	(void)state;
	for (unsigned cpl = 0; cpl <= 3; cpl += 3) {
		OPEN(g, GUEST_LONG, cpl, true);
		CODE(&g, "\x90\x0f\x0b");
		assert_int_equal(machine_catch(g.m, CATCH_EXCEPTION, &g.e), 0);
		assert_int_equal(guest_continue(&g), STOP_EXCEPTION);
		assert_int_equal(g.stop.vector, 6);
		assert_int_equal(g.stop.rip, GUEST_CODE + 1);
		/* told once, then delivered */
		assert_int_equal(guest_step(&g), STOP_STEP);
		assert_int_equal(g.stop.rip, GUEST_HANDLERS + 6 * 16);
		guest_close(&g);
	}
}

static void caught_accesses(void **state)
{
	(void)state;
	for (unsigned cpl = 0; cpl <= 3; cpl += 3) {
		OPEN(g, GUEST_LONG, cpl, false);
		/* mov [dev], eax; mov ebx, [dev]; mov [rom], eax; nop */
		CODE(&g, "\x89\x04\x25\x00\x00\x1d\x00\x8b\x1c\x25\x00\x00\x1d\x00\x89\x04\x25\x00\x00\x1e\x00\x90");
		guest_set(&g, 0, RAX, 0x55);
		assert_int_equal(machine_catch(g.m, CATCH_MMIO, &g.e), 0);
		assert_int_equal(guest_continue(&g), STOP_MMIO);
		assert_int_equal(g.stop.gpa, 0xd0000000);
		assert_true(g.stop.write);
		assert_int_equal(g.stop.data[0], 0x55);
		assert_int_equal(g.stop.slot, -1);
		assert_int_equal(machine_board(g.m)->scratch[0], 0); /* the device has not seen it */
		step_to(&g, 7);
		assert_int_equal(machine_board(g.m)->scratch[0], 0x55);
		assert_int_equal(guest_step(&g), STOP_MMIO);
		assert_false(g.stop.write);
		step_to(&g, 14);
		assert_int_equal(guest_reg(&g, 0, RBX), 0x55);
		assert_int_equal(guest_continue(&g), STOP_MMIO);
		assert_int_equal(g.stop.slot, GUEST_ROM_SLOT);
		/* registers set here are what the vCPU goes on with */
		guest_set_rip(&g, 0, GUEST_CODE);
		assert_int_equal(machine_catch(g.m, 0, &g.e), 0);
		step_to(&g, 7);
		guest_close(&g);
	}
}

static void caught_ports(void **state)
{
	(void)state;
	for (int mode = GUEST_REAL; mode <= GUEST_LONG; mode++) {
		OPEN(g, (enum guest_mode)mode, 0, true);
		/* mov al, 0x77; out 0xb3, al; mov al, 0; in al, 0xb3; nop */
		CODE(&g, "\xb0\x77\xe6\xb3\xb0\x00\xe4\xb3\x90");
		assert_int_equal(machine_catch(g.m, CATCH_PIO, &g.e), 0);
		assert_int_equal(guest_continue(&g), STOP_PIO);
		assert_int_equal(g.stop.port, 0xb3);
		assert_int_equal(g.stop.len, 1);
		assert_true(g.stop.write);
		assert_int_equal(g.stop.data[0], 0x77);
		assert_int_equal(machine_board(g.m)->apm[1], 0);
		assert_int_equal(guest_continue(&g), STOP_PIO);
		assert_int_equal(machine_board(g.m)->apm[1], 0x77);
		assert_false(g.stop.write);
		step_to(&g, 8);
		assert_int_equal(guest_reg(&g, 0, RAX) & 0xff, 0x77);
		step_to(&g, 9);
		guest_close(&g);
	}
}

static void set_msrs(struct guest *g, uint64_t lstar, uint64_t sfmask)
{
	struct regs r = {0};

	assert_int_equal(machine_get_regs(g->m, 0, REGS_ALL, &r, &g->e), 0);
	r.msr.star = 0x10ull << 48 | 8ull << 32;
	r.msr.lstar = lstar;
	r.msr.sfmask = sfmask;
	assert_int_equal(machine_set_regs(g->m, 0, REGS_MSR, &r, &g->e), 0);
}

/* To the first instruction at LSTAR, whether or not SFMASK would drop TF; the saved flags have none. */
static void syscall_by_steps(void **state)
{
	(void)state;
	for (int idt = 0; idt <= 1; idt++)
		for (int mask = 0; mask <= 1; mask++) {
			OPEN(g, GUEST_LONG, 3, idt);
			set_msrs(&g, GUEST_CODE + 0x100, mask ? 0x300 : 0);
			guest_poke(&g, GUEST_CODE + 0x100, "\x90\x90", 2);
			CODE(&g, "\x90\x0f\x05\x90");
			step_to(&g, 1);
			step_to(&g, 0x100);
			assert_int_equal(guest_reg(&g, 0, RCX), GUEST_CODE + 3);
			assert_int_equal(guest_reg(&g, 0, R11) & RFLAGS_TF, 0);
			step_to(&g, 0x101);
			guest_close(&g);
		}
}

static void sysret_by_steps(void **state)
{
	OPEN(g, GUEST_LONG, 0, false);

	(void)state;
	set_msrs(&g, GUEST_CODE + 0x100, 0);
	guest_poke(&g, GUEST_CODE + 0x80, "\x90\x90", 2);
	CODE(&g, "\x90\x48\x0f\x07");
	guest_set(&g, 0, RCX, GUEST_CODE + 0x80);
	guest_set(&g, 0, R11, RFLAGS_FIXED);
	step_to(&g, 1);
	step_to(&g, 0x80);
	struct regs r = guest_regs(&g, 0);
	assert_int_equal(regs_cpl(&r), 3);
	step_to(&g, 0x81);
	guest_close(&g);
}

/* TF that the guest sets itself traps into its own handler after the next instruction, stepped or not. */
static void the_guests_own_tf(void **state)
{
	(void)state;
	for (int run = RUN_CONTINUE; run <= RUN_STEP; run++) {
		OPEN(g, GUEST_LONG, 3, true);
		uint64_t flags = RFLAGS_FIXED | RFLAGS_TF, sp = GUEST_STACK - 8, frame[5] = {0};
		guest_poke(&g, sp, &flags, 8);
		guest_set(&g, 0, RSP, sp);
		CODE(&g, "\x9d\x90\x90"); /* popf; nop; nop */
		guest_break(&g, 1, GUEST_HANDLERS + 16);
		if (run == RUN_CONTINUE) {
			assert_int_equal(guest_continue(&g), STOP_BREAKPOINT);
		} else {
			assert_int_equal(guest_step(&g), STOP_STEP);
			assert_int_equal(g.stop.rip, GUEST_CODE + 1);
			assert_true(guest_regs(&g, 0).rflags & RFLAGS_TF);
			assert_int_equal(guest_step(&g), STOP_STEP);
		}
		assert_int_equal(g.stop.rip, GUEST_HANDLERS + 16);
		guest_peek(&g, guest_reg(&g, 0, RSP), frame, sizeof(frame));
		assert_int_equal(frame[0], GUEST_CODE + 2);
		assert_true(frame[2] & RFLAGS_TF);
		guest_close(&g);
	}
}

/* An exception that the debugger queues is delivered by the next step: to the handler, or told. */
static void injected(void **state)
{
	(void)state;
	for (unsigned cpl = 0; cpl <= 3; cpl += 3)
		for (int idt = 0; idt <= 1; idt++) {
			struct guest_fault f = {
			    .present = true, .vector = 14, .has_error = true, .error_code = 4, .address = 0x123000};
			OPEN(g, GUEST_LONG, cpl, idt);
			CODE(&g, "\x90\x90");
			assert_int_equal(machine_inject(g.m, 0, &f, &g.e), 0);
			if (idt) {
				assert_int_equal(guest_step(&g), STOP_STEP);
				assert_int_equal(g.stop.rip, GUEST_HANDLERS + 14 * 16);
				assert_int_equal(guest_regs(&g, 0).cr2, 0x123000);
			} else {
				assert_int_equal(guest_step(&g), STOP_EXCEPTION);
				assert_int_equal(g.stop.vector, 14);
				assert_int_equal(g.stop.error_code, 4);
				assert_int_equal(g.stop.cr2, 0x123000);
				assert_int_equal(g.stop.rip, GUEST_CODE);
				step_to(&g, 1);
			}
			guest_close(&g);
		}
}

static void no_progress(void **state)
{
	(void)state;
	for (unsigned cpl = 0; cpl <= 3; cpl += 3) {
		OPEN(g, GUEST_LONG, cpl, false);
		CODE(&g, "\xeb\xfe");
		assert_int_equal(guest_step(&g), STOP_STEP);
		assert_true(g.stop.no_progress);
		assert_int_equal(g.stop.rip, GUEST_CODE);
		guest_close(&g);
	}
}

static void unsupported_instruction(void **state)
{
	OPEN(g, GUEST_LONG, 0, false);

	(void)state;
	CODE(&g, "\x90\x0f\xae\xf0\xc5\xf8\x77\x90"); /* nop; mfence; vzeroupper */
	enum stop_reason r = guest_run(&g, RUN_STEP, 0, 3);
	/* Where CPL0 runs on hardware, both run (or #UD); where it is emulated, the emulator knows no VEX. */
	if (r == STOP_ERROR) {
		assert_int_equal(g.stop.kvm_exit, 17);
		assert_int_equal(g.stop.suberror, 1);
		assert_int_equal(g.stop.rip, GUEST_CODE + 4);
		assert_memory_equal(g.stop.insn, "\xc5\xf8\x77", 3);
	} else {
		assert_true(r == STOP_EXCEPTION || r == STOP_STEP);
	}
	guest_close(&g);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(plain),
	    cmocka_unit_test(counted),
	    cmocka_unit_test(device_accesses),
	    cmocka_unit_test(ports),
	    cmocka_unit_test(flags_on_the_stack),
	    cmocka_unit_test(iret_same_privilege),
	    cmocka_unit_test(iret_to_user),
	    cmocka_unit_test(rep),
	    cmocka_unit_test(rep_conditional),
	    cmocka_unit_test(rep_to_device),
	    cmocka_unit_test(halt),
	    cmocka_unit_test(behind_what_writes_registers),
	    cmocka_unit_test(exception_without_idt),
	    cmocka_unit_test(page_fault_without_idt),
	    cmocka_unit_test(exception_with_idt),
	    cmocka_unit_test(page_fault_with_idt),
	    cmocka_unit_test(software_interrupts),
	    cmocka_unit_test(caught_exception),
	    cmocka_unit_test(caught_accesses),
	    cmocka_unit_test(caught_ports),
	    cmocka_unit_test(syscall_by_steps),
	    cmocka_unit_test(sysret_by_steps),
	    cmocka_unit_test(the_guests_own_tf),
	    cmocka_unit_test(injected),
	    cmocka_unit_test(no_progress),
	    cmocka_unit_test(unsupported_instruction),
	};

	(void)argc;
	return guest_once_more(argv, cmocka_run_group_tests(tests, NULL, NULL));
}
