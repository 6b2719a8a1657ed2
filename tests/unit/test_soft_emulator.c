/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Where the soft CPU does as KVM does and not only as the manual says: instructions that its emulator executes, because of
 * the privilege or of an operand, faults, and what either leaves in the MMU. Each was a difference between both backends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/softguest.h"

#define PTE(GVA) (CR3 + 0x3000 + ((GVA) >> 12) * 8)
#define PDE(GVA) (CR3 + 0x2000 + ((GVA) >> 21) * 8)
#define U_RW (PTE_P | PTE_W | PTE_U)

static const struct machine_config emulated = {.vcpus = 1, .emulated_kernel = true};

static void expect_fault(struct cpu *c, uint64_t error, uint64_t cr2)
{
	struct err e = {0};

	assert_int_equal(cpu_handler(c), 14);
	assert_int_equal(cpu_peek(c, c->r.gpr[RSP], 8), error);
	cpu_ok(machine_get_regs(c->m, 0, REGS_ALL, &c->r, &e), &e);
	assert_int_equal(c->r.cr2, cr2);
}

/* A write that reaches into a page that is not there writes nothing, whoever executes it. */
static void write_across_pages(void **state)
{
	struct cpu c;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		cpu_open_as(&c, LONG, i == 2 ? 3 : 0, i ? &emulated : &(const struct machine_config){.vcpus = 1});
		cpu_poke64(&c, PTE(0x41000), 0);
		cpu_poke64(&c, 0x40ff8, 0x1122334455667788);
		RUN(&c, "\x48\x89\x04\x25\xfc\x0f\x04\x00"); /* mov [0x40ffc], rax */
		expect_fault(&c, PFERR_WRITE | (i == 2 ? PFERR_USER : 0), 0x41000);
		assert_true(cpu_peek(&c, 0x40ff8, 8) == 0x1122334455667788);
		cpu_close(&c);
	}
}

/* A processor looks at the whole of ENTER's frame, the emulator only at what it pushes. */
static void enter_frame(void **state)
{
	struct cpu c;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		cpu_open_as(&c, LONG, 0, i ? &emulated : &(const struct machine_config){.vcpus = 1});
		cpu_poke64(&c, PTE(0x3f000), 0);
		c.r.gpr[RSP] = 0x40010;
		cpu_set(&c, REGS_GPR);
		CODE_AT(&c, CODE, "\xc8\x00\x01\x00");
		assert_int_equal(cpu_run(&c, RUN_STEP, 1) == STOP_STEP && c.r.rip == CODE + 4, i);
		cpu_close(&c);
	}
}

/* Read-modify-write of a page that is readable only by its rights: the processor asks for the write first. The emulator
 * reads, so the second page is marked as accessed before the write faults; and an error of its read says write. */
static void read_modify_write(void **state)
{
	const struct slot_spec rom = {.id = 1, .gpa = 0x200000, .size = 0x1000, .flags = SLOT_READONLY};
	struct err e = {0};
	struct cpu c;

	(void)state;
	for (unsigned in_rom = 0; in_rom < 2; in_rom++) {
		cpu_open(&c, LONG, 3);
		cpu_ok(machine_slot_add(c.m, &rom, NULL, &e), &e);
		cpu_poke64(&c, PTE(0x40000), (in_rom ? 0x200000 : 0x40000) | U_RW);
		cpu_poke64(&c, PTE(0x41000), 0x41000 | PTE_P | PTE_U);
		RUN(&c, "\xff\x04\x25\xfe\x0f\x04\x00"); /* inc dword [0x40ffe] */
		expect_fault(&c, PFERR_PRESENT | PFERR_WRITE | PFERR_USER, 0x41000);
		assert_int_equal(cpu_peek(&c, PTE(0x41000), 8) & PTE_A, in_rom ? PTE_A : 0);
		cpu_close(&c);
	}
	cpu_open_as(&c, LONG, 0, &emulated);
	cpu_poke64(&c, PTE(0x40000), 0);
	RUN(&c, "\xff\x04\x25\x00\x00\x04\x00");
	expect_fault(&c, PFERR_WRITE, 0x40000);
	cpu_close(&c);
}

static bool mmio_cached(struct cpu *c)
{
	struct mmio_info_list l;
	struct err e = {0};

	cpu_ok(machine_mmio(c->m, &l, &e), &e);
	bool valid = l.v[0].valid;
	mmio_info_list_free(&l);
	return valid;
}

/* A fault at the page that the MMIO cache remembers clears it, whether memory is there now or nothing. */
static void fault_clears_the_mmio_cache(void **state)
{
	static const uint64_t now[] = {0x50000 | U_RW, 0};
	struct cpu c;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		cpu_open(&c, LONG, 3);
		cpu_poke64(&c, PTE(0x40000), 0xd0000000 | U_RW);
		CODE_AT(&c, CODE, "\x8a\x04\x25\x00\x00\x04\x00\x8a\x04\x25\x10\x00\x04\x00");
		cpu_run(&c, RUN_STEP, 1);
		assert_true(mmio_cached(&c));
		cpu_poke64(&c, PTE(0x40000), now[i]);
		assert_true(mmio_cached(&c));
		cpu_run(&c, RUN_STEP, 1);
		assert_false(mmio_cached(&c));
		cpu_close(&c);
	}
}

static bool is_mapped(struct cpu *c, uint64_t gva)
{
	struct spte_list l;
	struct err e = {0};
	bool leaf = false;

	cpu_ok(machine_sptes(c->m, 0, gva, gva, &l, &e), &e);
	for (size_t i = 0; i < l.n; i++)
		leaf |= l.v[i].leaf && l.v[i].present;
	spte_list_free(&l);
	return leaf;
}

/* A table that went unsync, an entry of it that lost its W: the stale mapping lets one more write through; a page fault at
 * the address (of code that may not be fetched) invalidates it. */
static void page_fault_invalidates(void **state)
{
	struct cpu c;

	(void)state;
	cpu_open(&c, LONG, 3);
	cpu_poke64(&c, PTE(0x60000), (CR3 + 0x3000) | U_RW); /* the leaf table as data */
	cpu_poke64(&c, PTE(0x40000), 0x40000 | U_RW | PTE_NX);
	/* mov [0x40000], al; and byte [0x60000 + 8 * 0x40], ~W; mov [0x40000], al; jmp 0x40000 */
	CODE_AT(&c, CODE,
		"\x88\x04\x25\x00\x00\x04\x00\x80\x24\x25\x00\x02\x06\x00\xfd\x88\x04\x25\x00\x00\x04\x00"
		"\xb8\x00\x00\x04\x00\xff\xe0");
	cpu_run(&c, RUN_STEP, 3);
	assert_int_equal(c.stop.reason, STOP_STEP);
	assert_int_equal(c.r.rip, CODE + 22);
	cpu_run(&c, RUN_CONTINUE, 1);
	expect_fault(&c, PFERR_PRESENT | PFERR_USER | PFERR_FETCH, 0x40000);
	cpu_close(&c);
	/* The same without the jump and with a second write behind the fault: it faults now. */
	cpu_open(&c, LONG, 3);
	cpu_poke64(&c, PTE(0x60000), (CR3 + 0x3000) | U_RW);
	cpu_poke64(&c, PTE(0x40000), 0x40000 | U_RW | PTE_NX);
	c.r.idt = (struct desc_table){0, 0};
	cpu_set(&c, REGS_SYS);
	CODE_AT(&c, CODE, "\x88\x04\x25\x00\x00\x04\x00\x80\x24\x25\x00\x02\x06\x00\xfd\xb8\x00\x00\x04\x00\xff\xe0");
	assert_int_equal(cpu_run(&c, RUN_CONTINUE, 1), STOP_EXCEPTION);
	c.r.rip = CODE;
	cpu_set(&c, REGS_GPR);
	assert_int_equal(cpu_run(&c, RUN_STEP, 1), STOP_EXCEPTION);
	assert_int_equal(c.stop.error_code, PFERR_PRESENT | PFERR_WRITE | PFERR_USER);
	cpu_close(&c);
}

/* MOVS within a large page that is clean: its write makes new tables for the page, and the instruction starts again. */
static void movs_within_a_clean_page(void **state)
{
	struct cpu c;

	(void)state;
	cpu_open(&c, LONG, 3);
	cpu_poke64(&c, PDE(0x200000), U_RW | PTE_PS);
	c.r.gpr[RSI] = 0x240000;
	c.r.gpr[RDI] = 0x250000;
	cpu_set(&c, REGS_GPR);
	CODE_AT(&c, CODE, "\xa4");
	assert_int_equal(cpu_run(&c, RUN_STEP, 1), STOP_STEP);
	assert_true(is_mapped(&c, 0x250000));
	assert_true(is_mapped(&c, 0x240000));
	cpu_close(&c);
}

/* A write over two entries of the directory drops all that it maps, the code too: the next instruction is fetched anew, and
 * so mapped, also where both were decoded as one block. */
static void code_behind_a_directory_write(void **state)
{
	struct cpu c;

	(void)state;
	for (unsigned steps = 0; steps < 2; steps++) {
		cpu_open(&c, LONG, 3);
		c.r.gpr[RBX] = PDE(0x600000) + 2;
		c.r.idt = (struct desc_table){0}; /* a handler would bring the table of its page back, which is the code's */
		cpu_set(&c, REGS_GPR | REGS_SYS);
		CODE_AT(&c, CODE, "\x48\x89\x03\x90\xf4"); /* mov [rbx], rax; nop; hlt, which is #GP */
		if (steps)
			assert_int_equal(cpu_run(&c, RUN_STEP, 1), STOP_STEP);
		assert_false(is_mapped(&c, CODE));
		assert_int_equal(cpu_run(&c, RUN_CONTINUE, 1), STOP_EXCEPTION);
		assert_int_equal(c.r.rip, CODE + 4);
		assert_true(is_mapped(&c, CODE));
		cpu_close(&c);
	}
}

/* FXSAVE and FXRSTOR touch their last byte first, as processors do: a missing page is reported by that address. */
static void image_faults_at_its_end(void **state)
{
	struct cpu c;

	(void)state;
	for (unsigned load = 0; load < 2; load++) {
		cpu_open(&c, LONG, 3);
		cpu_poke64(&c, PTE(0x40000), 0);
		c.r.gpr[RBX] = 0x40a90;
		cpu_set(&c, REGS_GPR);
		if (load)
			CODE_AT(&c, CODE, "\x0f\xae\x0b\xf4"); /* fxrstor [rbx] */
		else
			CODE_AT(&c, CODE, "\x0f\xae\x03\xf4");
		assert_int_equal(cpu_run(&c, RUN_CONTINUE, 1), STOP_HLT);
		expect_fault(&c, PFERR_USER | (load ? 0 : PFERR_WRITE), 0x40c8f);
		cpu_close(&c);
	}
}

/* What processors do each in their own way: soft's own, and the other that it can be told to take. */
static void shift_beyond_the_operand(void **state)
{
	struct cpu c;

	(void)state;
	for (unsigned source = 0; source < 2; source++) {
		cpu_open(&c, LONG, 0);
		soft_set_habits(c.m, (struct soft_habits){.shiftd_source = source});
		c.r.gpr[RAX] = c.r.gpr[RCX] = c.r.gpr[RSI] = c.r.gpr[RDI] = 0x55551234;
		c.r.gpr[RDX] = 0xabcd;
		cpu_set(&c, REGS_GPR);
		RUN(&c, "\x66\x0f\xa4\xd0\x34" /* shld ax, dx, 52, which is by 20 */
			"\x66\x0f\xac\xd1\x14" /* shrd cx, dx, 20 */
			"\x66\x0f\xa4\xd6\x10" /* shld si, dx, 16 */
			"\x0f\xac\xd7\x14");   /* shrd edi, edx, 20 */
		assert_int_equal(c.r.gpr[RAX], source ? 0x5555bcda : 0x5555bcd1);
		assert_int_equal(c.r.gpr[RCX], source ? 0x5555dabc : 0x55554abc);
		assert_int_equal(c.r.gpr[RSI], 0x5555abcd);
		assert_int_equal(c.r.gpr[RDI], 0x0abcd555);
		cpu_close(&c);
	}
}

/* Both operands are missing: the address of the fault is the one that was read first. */
static uint64_t first_of_cmps(const char *code, size_t n, bool habit)
{
	struct cpu c;
	struct err e = {0};

	cpu_open(&c, LONG, 3);
	soft_set_habits(c.m, (struct soft_habits){.cmpsb_source = habit});
	cpu_poke64(&c, PTE(0x40000), 0);
	cpu_poke64(&c, PTE(0x41000), 0);
	c.r.gpr[RSI] = 0x40000;
	c.r.gpr[RDI] = 0x41000;
	c.r.gpr[RCX] = 2;
	cpu_set(&c, REGS_GPR);
	cpu_poke(&c, CODE, code, n);
	cpu_run(&c, RUN_CONTINUE, 1);
	assert_int_equal(cpu_handler(&c), 14);
	cpu_ok(machine_get_regs(c.m, 0, REGS_ALL, &c.r, &e), &e);
	cpu_close(&c);
	return c.r.cr2;
}

static void cmps_reads_its_destination_first(void **state)
{
	(void)state;
	for (unsigned habit = 0; habit < 2; habit++) {
		assert_int_equal(first_of_cmps("\xf3\xa6", 2, habit), habit ? 0x40000 : 0x41000);
		assert_int_equal(first_of_cmps("\xf2\xa6", 2, habit), 0x41000);
		assert_int_equal(first_of_cmps("\xf3\xa7", 2, habit), 0x41000);
		assert_int_equal(first_of_cmps("\xa6", 1, habit), 0x41000);
	}
}

/* A source that is no memory has the emulator read the other operand too, which leaves nothing in the MMU. */
static void repe_cmpsb_of_a_device(void **state)
{
	struct cpu c;

	(void)state;
	for (unsigned habit = 0; habit < 2; habit++) {
		cpu_open(&c, LONG, 3);
		soft_set_habits(c.m, (struct soft_habits){.cmpsb_source = habit});
		cpu_poke64(&c, PTE(0x40000), 0xd0000000 | U_RW);
		c.r.gpr[RSI] = 0x40000;
		c.r.gpr[RDI] = 0x41000;
		c.r.gpr[RCX] = 1;
		cpu_set(&c, REGS_GPR);
		CODE_AT(&c, CODE, "\xf3\xa6");
		assert_int_equal(cpu_run(&c, RUN_STEP, 1), STOP_STEP);
		assert_int_equal(is_mapped(&c, 0x41000), !habit);
		assert_true(cpu_peek(&c, PTE(0x41000), 8) & PTE_A);
		cpu_close(&c);
	}
}

/* A far return at CPL 3 whose frame ends at a page's end after so many words; the page before or the one behind is missing.
 * The fault's address, or 0 for the #GP of its CS. */
static uint64_t far_return(const char *code, size_t n, struct soft_habits habits, unsigned words, uint64_t absent)
{
	const uint64_t frame[] = {CODE, 8, RFLAGS_FIXED, 0x50000, 0x23};
	struct cpu c;
	struct err e = {0};

	cpu_open(&c, LONG, 3);
	soft_set_habits(c.m, habits);
	c.r.gpr[RSP] = 0x41000 - 8 * words;
	for (unsigned i = 0; i < ARRAY_LEN(frame); i++)
		cpu_poke64(&c, c.r.gpr[RSP] + 8 * i, frame[i]);
	cpu_poke64(&c, PTE(absent), 0);
	cpu_set(&c, REGS_GPR);
	cpu_poke(&c, CODE, code, n);
	cpu_run(&c, RUN_CONTINUE, 1);
	int vector = cpu_handler(&c);
	assert_true(vector == 13 || vector == 14);
	cpu_ok(machine_get_regs(c.m, 0, REGS_ALL, &c.r, &e), &e);
	cpu_close(&c);
	return vector == 14 ? c.r.cr2 : 0;
}

static uint64_t retf(struct soft_habits habits, unsigned words, uint64_t absent)
{
	return far_return("\x48\xcb", 2, habits, words, absent);
}

static uint64_t iret(struct soft_habits habits, unsigned words, uint64_t absent)
{
	return far_return("\x48\xcf", 2, habits, words, absent);
}

static const struct soft_habits own, early = {.outer_early = true}, down = {.pops_down = true},
				     both = {.outer_early = true, .pops_down = true};

/* Its CS is an inner privilege's, which is refused: before or after the outer stack is read. */
static void refused_far_returns(void **state)
{
	(void)state;
	assert_int_equal(retf(own, 2, 0x41000), 0);
	assert_int_equal(iret(own, 3, 0x41000), 0);
	assert_int_equal(retf(early, 2, 0x41000), 0x41000);
	assert_int_equal(iret(early, 3, 0x41000), 0x41000);
	assert_int_equal(retf(early, 4, 0x41000), 0);
	assert_int_equal(far_return("\x48\xca\x00\x20", 4, early, 4, 0x42000), 0x42ff0); /* retfq 0x2000 */
}

static void far_returns_downwards(void **state)
{
	(void)state;
	assert_int_equal(retf(own, 0, 0x41000), 0x41000);
	assert_int_equal(retf(down, 0, 0x41000), 0x41008);
	assert_int_equal(retf(down, 1, 0x40000), 0x40ff8);
	assert_int_equal(retf(both, 2, 0x41000), 0x41008);
	assert_int_equal(iret(own, 0, 0x41000), 0x41000);
	assert_int_equal(iret(down, 0, 0x41000), 0x41010);
	assert_int_equal(iret(down, 2, 0x40000), 0x40ff8);
	assert_int_equal(iret(both, 3, 0x41000), 0x41008);
}

/* CALL [RBX] to no canonical address, and what its return address would be pushed to is missing. The fault's address; 0:
 * #GP. */
static uint64_t call_nowhere(struct soft_habits habits, uint64_t sp, unsigned cpl)
{
	struct cpu c;
	struct err e = {0};

	cpu_open(&c, LONG, cpl);
	soft_set_habits(c.m, habits);
	c.r.gpr[RSP] = sp;
	c.r.gpr[RBX] = 0x50000;
	cpu_poke64(&c, 0x50000, 1ull << 63);
	cpu_poke64(&c, PTE(0x41000), 0);
	cpu_set(&c, REGS_GPR);
	cpu_poke(&c, CODE, "\xff\x13", 2);
	cpu_run(&c, RUN_CONTINUE, 1);
	int vector = cpu_handler(&c);
	assert_true(vector == 13 || vector == 14);
	cpu_ok(machine_get_regs(c.m, 0, REGS_ALL, &c.r, &e), &e);
	cpu_close(&c);
	return vector == 14 ? c.r.cr2 : 0;
}

static void call_that_cannot_push(void **state)
{
	(void)state;
	assert_int_equal(call_nowhere(own, 0, 3), 0xfffffffffffffff8);
	assert_int_equal(call_nowhere(own, 0x42000, 3), 0x41ff8);
	assert_int_equal(call_nowhere(own, 0x43000, 3), 0);
	assert_int_equal(call_nowhere((struct soft_habits){.call_target_first = true}, 0x42000, 3), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(write_across_pages),
	    cmocka_unit_test(enter_frame),
	    cmocka_unit_test(read_modify_write),
	    cmocka_unit_test(fault_clears_the_mmio_cache),
	    cmocka_unit_test(page_fault_invalidates),
	    cmocka_unit_test(movs_within_a_clean_page),
	    cmocka_unit_test(code_behind_a_directory_write),
	    cmocka_unit_test(image_faults_at_its_end),
	    cmocka_unit_test(shift_beyond_the_operand),
	    cmocka_unit_test(cmps_reads_its_destination_first),
	    cmocka_unit_test(repe_cmpsb_of_a_device),
	    cmocka_unit_test(refused_far_returns),
	    cmocka_unit_test(far_returns_downwards),
	    cmocka_unit_test(call_that_cannot_push),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
