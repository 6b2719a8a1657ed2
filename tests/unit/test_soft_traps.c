/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Where exceptions and traps of the soft CPU come and what they leave: RF, the trap flag, debug registers, INT1, escalation,
 * descriptor tables that end early, halting, what control registers and MSRs refuse. Intel SDM vol. 3A chapters 4, 6, 17
 * (vol. 3B).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/softguest.h"

#define IRETQ "\x48\xcf"
#define DR7_EXEC0 0x402u

/* ---- debug registers */

/* An instruction breakpoint's handler returns with RF set; RF lasts for one instruction, so the next time round it fires
 * again. */
static void test_rf_lasts_one_instruction(void **state)
{
	struct cpu c;

	(void)state;
	cpu_open(&c, LONG, 0);
	c.r.dr[0] = CODE + 2;
	c.r.dr[7] = DR7_EXEC0;
	cpu_set(&c, REGS_DEBUG);
	/* inc ecx; or qword [rsp+16], 0x10000; iretq */
	CODE_AT(&c, HANDLERS + 16, "\xff\xc1\x81\x4c\x24\x10\x00\x00\x01\x00" IRETQ);
	c.r.gpr[RAX] = 3;
	cpu_set(&c, REGS_GPR);
	/* nop; nop; again: dec eax; jnz again */
	assert_int_equal(RUN(&c, "\x90\x90\xff\xc8\x75\xfc"), STOP_HLT);
	assert_int_equal(c.r.rip, CODE + 7);
	assert_int_equal(c.r.gpr[RCX], 3);
	assert_int_equal(c.r.rflags & RFLAGS_RF, 0);
	cpu_close(&c);
}

/* Stepping by the debugger is no reason to pass over what the guest's own debug registers do. */
static void test_stepping_onto_a_guests_breakpoint(void **state)
{
	struct cpu c;

	(void)state;
	cpu_open(&c, LONG, 0);
	c.r.dr[0] = CODE + 1;
	c.r.dr[7] = DR7_EXEC0;
	cpu_set(&c, REGS_DEBUG);
	CODE_AT(&c, CODE, "\x90\x90\x90");
	cpu_run(&c, RUN_STEP, 1);
	assert_int_equal(c.r.rip, CODE + 1);
	cpu_run(&c, RUN_STEP, 1);
	assert_int_equal(c.r.rip, HANDLERS + 16);
	cpu_close(&c);
}

/* A step and a data breakpoint of one instruction are one #DB. */
static void test_step_and_data_in_one(void **state)
{
	struct cpu c;

	(void)state;
	cpu_open(&c, LONG, 0);
	c.r.dr[1] = 0x5000;
	c.r.dr[7] = 0x400 | 4 | 1u << 20; /* write of a byte */
	c.r.rflags |= RFLAGS_TF;
	cpu_set(&c, REGS_DEBUG | REGS_GPR);
	assert_int_equal(RUN(&c, "\x88\x04\x25\x00\x50\x00\x00\x90"), STOP_HLT); /* mov [0x5000], al */
	assert_int_equal(cpu_handler(&c), 1);
	assert_int_equal(cpu_peek(&c, c.r.gpr[RSP], 8), CODE + 7);
	assert_int_equal(c.r.gpr[RSP], KSTACK - 40);
	assert_int_equal(c.r.dr[6] & 0x400f, 0x4002);
	cpu_close(&c);
}

static void test_port_breakpoint(void **state)
{
	struct cpu c;

	(void)state;
	cpu_open(&c, LONG, 0);
	c.r.dr[2] = 0x81;
	c.r.dr[7] = 0x400 | 1u << 4 | 2u << 24; /* a port, one byte */
	c.r.cr4 |= CR4_DE;
	cpu_set(&c, REGS_DEBUG | REGS_SYS);
	assert_int_equal(RUN(&c, "\xe4\x82\xe6\x81\x90"), STOP_HLT); /* in al, 0x82; out 0x81, al */
	assert_int_equal(cpu_handler(&c), 1);
	assert_int_equal(cpu_peek(&c, c.r.gpr[RSP], 8), CODE + 4);
	assert_int_equal(c.r.dr[6] & 15, 4);
	cpu_close(&c);
}

/* A handler of #DB may use the debug registers whatever brought it there. */
static void test_general_detect(void **state)
{
	struct cpu c;

	(void)state;
	cpu_open(&c, LONG, 0);
	c.r.dr[7] = 0x400 | 1u << 13;
	c.r.rflags |= RFLAGS_TF;
	cpu_set(&c, REGS_DEBUG | REGS_GPR);
	CODE_AT(&c, HANDLERS + 16, "\x0f\x21\xf8\xf4"); /* mov rax, dr7 */
	assert_int_equal(RUN(&c, "\x90\x90"), STOP_HLT);
	assert_int_equal(c.r.rip, HANDLERS + 16 + 4);
	assert_int_equal(c.r.gpr[RAX], 0x400);
	assert_int_equal(c.r.gpr[RSP], KSTACK - 40);
	cpu_close(&c);
	cpu_open(&c, LONG, 0);
	c.r.dr[7] = 0x400 | 1u << 13;
	cpu_set(&c, REGS_DEBUG);
	assert_int_equal(RUN(&c, "\x90\x0f\x21\xf8"), STOP_HLT);
	assert_int_equal(cpu_handler(&c), 1);
	assert_int_equal(cpu_peek(&c, c.r.gpr[RSP], 8), CODE + 1);
	assert_true(c.r.dr[6] >> 13 & 1);
	assert_int_equal(c.r.dr[7], 0x400);
	cpu_close(&c);
}

/* ---- the trap flag */

static void trap_after(const char *code, size_t n, uint64_t rip)
{
	struct cpu c;

	cpu_open(&c, LONG, 0);
	c.r.rflags |= RFLAGS_TF;
	c.r.gpr[RAX] = 0x10;
	c.r.gpr[RSI] = 0x6000;
	cpu_set(&c, REGS_GPR);
	cpu_poke64(&c, 0x6000, 0x1000000000ull | KSTACK);
	cpu_poke(&c, CODE, code, n);
	cpu_run(&c, RUN_CONTINUE, 1);
	assert_int_equal(cpu_handler(&c), 1);
	assert_int_equal(cpu_peek(&c, KSTACK - 40, 8), rip);
	cpu_close(&c);
}
#define TRAP_AFTER(BYTES, RIP) trap_after(BYTES, sizeof(BYTES) - 1, RIP)

static void test_what_holds_a_trap_back(void **state)
{
	(void)state;
	TRAP_AFTER("\xfb\x90\x90\xf4", CODE + 1);	  /* sti does not */
	TRAP_AFTER("\x8e\xd0\x90\x90\xf4", CODE + 3);	  /* mov ss does */
	TRAP_AFTER("\x0f\xb2\x26\x90\x90\xf4", CODE + 3); /* lss does not: it loads the pointer too */
}

/* A trap behind HLT ends the halt. */
static void test_trap_behind_hlt(void **state)
{
	struct cpu c;

	(void)state;
	cpu_open(&c, LONG, 0);
	c.r.rflags |= RFLAGS_TF;
	cpu_set(&c, REGS_GPR);
	CODE_AT(&c, HANDLERS + 16, "\xb0\x77\xf4"); /* mov al, 0x77; hlt */
	CODE_AT(&c, CODE, "\xf4\x90");
	assert_int_equal(cpu_run(&c, RUN_CONTINUE, 1), STOP_HLT);
	assert_int_equal(c.r.gpr[RAX] & 0xff, 0x77);
	cpu_close(&c);
}

/* Caught before it is delivered, a trap is delivered afterwards: nothing would raise it again. */
static void test_a_caught_trap_is_delivered(void **state)
{
	struct err e = {0};
	struct cpu c;

	(void)state;
	cpu_open(&c, LONG, 0);
	c.r.rflags |= RFLAGS_TF;
	cpu_set(&c, REGS_GPR);
	cpu_ok(machine_catch(c.m, CATCH_EXCEPTION, &e), &e);
	CODE_AT(&c, CODE, "\x90\x90\xf4");
	assert_int_equal(cpu_run(&c, RUN_CONTINUE, 1), STOP_EXCEPTION);
	assert_int_equal(c.stop.vector, 1);
	assert_int_equal(c.r.rip, CODE + 1);
	assert_int_equal(cpu_run(&c, RUN_CONTINUE, 1), STOP_HLT);
	assert_int_equal(cpu_handler(&c), 1);
	assert_int_equal(cpu_peek(&c, c.r.gpr[RSP], 8), CODE + 1);
	cpu_close(&c);
}

/* SYSCALL looks at TF when it is done: a mask over it lets the kernel start in peace. */
static void test_syscall_masks_the_trap(void **state)
{
	struct cpu c;

	(void)state;
	cpu_open(&c, LONG, 3);
	c.r.msr.star = 0x0010000800000000ull;
	c.r.msr.lstar = HANDLERS + 0x500;
	c.r.msr.sfmask = RFLAGS_TF;
	c.r.rflags |= RFLAGS_TF;
	cpu_set(&c, REGS_MSR | REGS_GPR);
	CODE_AT(&c, HANDLERS + 0x500, "\xb0\x55\xf4");
	CODE_AT(&c, CODE, "\x0f\x05");
	assert_int_equal(cpu_run(&c, RUN_CONTINUE, 1), STOP_HLT);
	assert_int_equal(c.r.rip, HANDLERS + 0x503);
	cpu_close(&c);
}

/* A trap behind the write that asks for an SMI does not lose the SMI. */
static void test_trap_and_smi(void **state)
{
	struct cpu c;

	(void)state;
	cpu_open(&c, LONG, 0);
	c.r.rflags |= RFLAGS_TF;
	cpu_set(&c, REGS_GPR);
	CODE_AT(&c, 0x38000, "\xc6\x06\x00\x60\x5a\x0f\xaa"); /* mov byte [0x6000], 0x5a; rsm */
	assert_int_equal(RUN(&c, "\xe6\xb2\x90\x90"), STOP_HLT);
	assert_int_equal(cpu_handler(&c), 1);
	assert_int_equal(cpu_peek(&c, 0x6000, 1), 0x5a);
	cpu_close(&c);
}

/* ---- INT1, escalation, short tables */

static void test_int1(void **state)
{
	struct cpu c;

	(void)state;
	cpu_open(&c, LONG, 3); /* the gate's DPL is 0, which INT n minds and INT1 does not */
	CODE_AT(&c, CODE, "\xf1\x90");
	cpu_run(&c, RUN_CONTINUE, 1);
	assert_int_equal(cpu_handler(&c), 1);
	assert_int_equal(cpu_peek(&c, c.r.gpr[RSP], 8), CODE + 1);
	cpu_close(&c);
}

/* INT 13 is no #GP: what fails in its delivery comes by itself. */
static void test_a_software_interrupt_does_not_double(void **state)
{
	struct cpu c;

	(void)state;
	cpu_open(&c, LONG, 0);
	cpu_poke64(&c, IDT + 12 * 16, 0); /* INT 12 meets no gate: #GP(12 * 8 + 2) */
	CODE_AT(&c, CODE, "\xcd\x0c");
	cpu_run(&c, RUN_CONTINUE, 1);
	assert_int_equal(cpu_handler(&c), 13);
	assert_int_equal(cpu_peek(&c, c.r.gpr[RSP], 4), 12 * 8 + 2);
	cpu_close(&c);
}

/* Vectors beyond the IDT's limit: #GP, where that has a handler; the debugger's stop, where nothing has. */
static void test_short_idt(void **state)
{
	struct cpu c;

	(void)state;
	cpu_open(&c, LONG, 0);
	c.r.idt.limit = 14 * 16 - 1;
	cpu_set(&c, REGS_SYS);
	CODE_AT(&c, CODE, "\xcd\x40");
	cpu_run(&c, RUN_CONTINUE, 1);
	assert_int_equal(cpu_handler(&c), 13);
	assert_int_equal(cpu_peek(&c, c.r.gpr[RSP], 4), 0x40 * 8 + 2);
	cpu_close(&c);
	/* #PF beyond the limit is #GP in the delivery of a #PF: a double fault. */
	cpu_open(&c, LONG, 0);
	c.r.idt.limit = 14 * 16 - 1;
	cpu_set(&c, REGS_SYS);
	CODE_AT(&c, CODE, "\xa1\x00\x00\x20\x00\x00\x00\x00\x00");
	cpu_run(&c, RUN_CONTINUE, 1);
	assert_int_equal(cpu_handler(&c), 8);
	assert_int_equal(c.r.cr2, 0x200000);
	cpu_close(&c);
	cpu_open(&c, LONG, 0);
	c.r.idt.limit = 4 * 16 - 1;
	cpu_set(&c, REGS_SYS);
	CODE_AT(&c, CODE, "\xcd\x40");
	assert_int_equal(cpu_run(&c, RUN_CONTINUE, 1), STOP_EXCEPTION);
	assert_int_equal(c.stop.vector, 0x40);
	assert_int_equal(c.r.rip, CODE);
	cpu_close(&c);
}

/* A handler may begin at the very instruction that faults: each delivery is a step all the same. */
static void test_a_handler_that_is_the_fault(void **state)
{
	struct cpu c;

	(void)state;
	cpu_open(&c, LONG, 0);
	cpu_poke64(&c, IDT + 6 * 16, CODE | 8 << 16 | 0x8eull << 40);
	CODE_AT(&c, CODE, "\x0f\x0b");
	assert_int_equal(cpu_run(&c, RUN_STEP, 3), STOP_STEP);
	assert_int_equal(c.r.rip, CODE);
	assert_int_equal(c.r.gpr[RSP], KSTACK - 40 - 48 - 48) /* each begins on 16 bytes */;
	cpu_close(&c);
}

/* A gate into nowhere is refused before anything is pushed. */
static void test_gate_not_canonical(void **state)
{
	struct cpu c;

	(void)state;
	cpu_open(&c, LONG, 0);
	cpu_poke64(&c, IDT + 0x40 * 16 + 8, 0x8000);
	CODE_AT(&c, CODE, "\xcd\x40");
	cpu_run(&c, RUN_CONTINUE, 1);
	assert_int_equal(cpu_handler(&c), 13);
	assert_int_equal(cpu_peek(&c, c.r.gpr[RSP] + 8, 8), CODE);
	cpu_close(&c);
}

/* CR2 is that of the last page fault, also where a double fault comes of it. */
static void test_cr2_of_a_double_fault(void **state)
{
	struct cpu c;

	(void)state;
	cpu_open(&c, LONG, 3);
	cpu_poke64(&c, TSS + 4, 0x300000); /* rsp0: nothing is there */
	cpu_poke64(&c, TSS + 36, KSTACK);  /* ist1, for #DF */
	cpu_poke64(&c, IDT + 8 * 16, (HANDLERS + 8 * 16) | 8 << 16 | 0x8e01ull << 32);
	CODE_AT(&c, CODE, "\xa1\x00\x00\x20\x00\x00\x00\x00\x00");
	cpu_run(&c, RUN_CONTINUE, 1);
	assert_int_equal(cpu_handler(&c), 8);
	assert_int_equal(c.r.cr2, 0x300000 - 8);
	cpu_close(&c);
}

/* ---- bytes that are no instruction */

static void vector_at(enum mode mode, unsigned cpl, const char *code, size_t n, int vector)
{
	struct cpu c;

	cpu_open(&c, mode, cpl);
	cpu_poke(&c, CODE, code, n);
	cpu_run(&c, RUN_CONTINUE, 1);
	if (cpu_handler(&c) != vector)
		fail_msg("mode %d %02x %02x %02x: handler %d, not %d (%s, %s, at %#llx)", mode, (uint8_t)code[0],
			 (uint8_t)code[1], (uint8_t)code[2], cpu_handler(&c), vector, stop_reason_name(c.stop.reason),
			 c.stop.error, (unsigned long long)c.r.rip);
	cpu_close(&c);
}
#define VECTOR(MODE, CPL, BYTES, V) vector_at(MODE, CPL, BYTES, sizeof(BYTES) - 1, V)

static void lacks(const char *code, size_t n, const char *name)
{
	struct cpu c;

	cpu_open(&c, LONG, 0);
	cpu_poke(&c, CODE, code, n);
	assert_int_equal(cpu_run(&c, RUN_CONTINUE, 1), STOP_ERROR);
	if (!strstr(c.stop.error, name))
		fail_msg("%s, not %s", c.stop.error, name);
	cpu_close(&c);
}
#define LACKS(BYTES, NAME) lacks(BYTES, sizeof(BYTES) - 1, NAME)

/* Opcodes of AVX share their last byte with jumps and string instructions. */
static void test_avx_is_lacking(void **state)
{
	(void)state;
	LACKS("\x62\xf1\xfd\x48\x6f\xc1", "vmovdqa64");
	LACKS("\x8f\xe8\x78\xa2\xc1\x20", "vpcmov");
	LACKS("\xc4\xe2\x79\x78\xc0", "vpbroadcastb");
	LACKS("\xc4\xe3\x79\x0f\xc1\x04", "vpalignr");
	LACKS("\xc4\xe2\xf1\xac\xc2", "vfnmadd213pd");
	LACKS("\x0f\x7f\x07", "movq");
	LACKS("\x0f\x6f\x07", "movq");
	LACKS("\xc5\xf8\x77\xf4", "vzeroupper");
	LACKS("\xc5\xf9\x74\xc1\xf4", "vpcmpeqb");
	LACKS("\xc5\xf9\x6f\xc1\xf4", "vmovdqa");
	LACKS("\xc5\xf9\x6e\xc0\xf4", "vmovd");
	LACKS("\xc5\xf9\x6c\xc0\xf4", "vpunpcklqdq");
	LACKS("\xc5\xfd\x7f\x07\xf4", "vmovdqa");
}

static void test_no_instruction(void **state)
{
	(void)state;
	VECTOR(LONG, 0, "\xf0\xf3\x0f\xb8\xc1\xf4", 6); /* lock popcnt */
	VECTOR(LONG, 0, "\xf0\x8b\x07\xf4", 6);		/* lock mov */
	VECTOR(LONG, 0, "\xf0\x01\xc8\xf4", 6);		/* lock add of registers */
	VECTOR(LONG, 0, "\xf0\x39\x07\xf4", 6);		/* lock cmp */
	VECTOR(LONG, 0, "\xf0\xa4\xf4", 6);		/* lock movsb */
	VECTOR(LONG, 0, "\xf0\xf3\xa4\xf4", 6);		/* lock rep movsb */
	VECTOR(LONG, 0, "\x8e\xc8\xf4", 6);		/* mov cs, ax */
	VECTOR(LONG, 0, "\x0f\x20\xc8\xf4", 6);		/* mov rax, cr1 */
	VECTOR(LONG, 0, "\x06\xf4", 6);			/* push es */
	VECTOR(LONG, 0, "\x62\x01\xf4", 6);		/* bound is EVEX here */
	VECTOR(LONG, 0, "\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\xc7\x84\x08\x78\x56\x34\x12\x01\x00\x00\x00\xf4",
	       13); /* 20 bytes */
	VECTOR(LONG, 0, "\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x48\xb8\x00\x00\x00\x00\x00\x00\x00\x00\xf4", 13);
	VECTOR(PROT, 0, "\x66\x2e\x66\x2e\x66\x2e\x66\x2e\x66\x2e\x66\x2e\x66\x2e\x66\x2e\x90\xf4", 13);
}

/* ---- what control registers and MSRs refuse */

static void test_refused_values(void **state)
{
	(void)state;
	/* mov cr4, rax of reserved bits; VME and PVI are none of this CPU's */
	VECTOR(LONG, 0, "\x0f\x20\xe0\x48\x0f\xba\xe8\x1f\x0f\x22\xe0\xf4", 13);
	VECTOR(LONG, 0, "\x0f\x20\xe0\x83\xc8\x01\x0f\x22\xe0\xf4", 13);
	/* wrmsr of a PAT with type 2 */
	VECTOR(LONG, 0, "\xb9\x77\x02\x00\x00\x31\xd2\xb8\x00\x02\x00\x00\x0f\x30\xf4", 13);
	/* lstar not canonical */
	VECTOR(LONG, 0, "\xb9\x82\x00\x00\xc0\xba\x00\x00\x00\x80\x31\xc0\x0f\x30\xf4", 13);
	/* an MSR that is none */
	VECTOR(LONG, 0, "\xb9\xff\x0f\x00\x00\x0f\x32\xf4", 13);
	/* cr0: NW without CD; PG off in 64-bit code */
	VECTOR(LONG, 0, "\x0f\x20\xc0\x48\x0f\xba\xe8\x1d\x0f\x22\xc0\xf4", 13);
	VECTOR(LONG, 0, "\x0f\x20\xc0\x48\x0f\xba\xf0\x1f\x0f\x22\xc0\xf4", 13);
	/* stac at CPL 3 and without SMAP in CR4 is fine at CPL 0 */
	VECTOR(LONG, 3, "\x0f\x01\xcb\xf4", 6);
	/* sysexit to 64 bit with a target that is not canonical */
	VECTOR(LONG, 0,
	       "\xb9\x74\x01\x00\x00\x31\xd2\xb8\x08\x00\x00\x00\x0f\x30\x48\xb9\x00\x00\x00\x00\x00\x00\x00\x80\x48\x0f\x35"
	       "\xf4",
	       13);
	/* cmpxchg16b, movaps, fxsave on addresses that are not aligned */
	VECTOR(LONG, 0, "\xbf\x08\x60\x00\x00\x48\x0f\xc7\x0f\xf4", 13);
	VECTOR(LONG, 0, "\xbf\x08\x60\x00\x00\x0f\x28\x07\xf4", 13);
	VECTOR(LONG, 0, "\xbf\x08\x60\x00\x00\x0f\xae\x07\xf4", 13);
	/* clflush of nothing is a read of nothing */
	VECTOR(LONG, 0, "\xbf\x00\x00\x30\x00\x0f\xae\x3f\xf4", 14);
}

/* CR3, CR4 and CR0 loads read PAE's four pointers and refuse reserved bits in those that are present. */
static void test_pae_pointers(void **state)
{
	struct cpu c;

	(void)state;
	cpu_open(&c, PROT, 0);
	cpu_poke64(&c, 0x20000, 0x21001);
	cpu_poke64(&c, 0x20008, 0x22001 | 2); /* bit 1 is reserved */
	cpu_poke64(&c, 0x20010, 0);
	cpu_poke64(&c, 0x20018, 0);
	cpu_poke64(&c, 0x21000, 0x83);
	/* mov eax, 0x20000; mov cr3, eax; mov eax, cr4; or al, 0x20; mov cr4, eax; mov eax, cr0; bts eax, 31; mov cr0, eax
	 */
	assert_int_equal(RUN(&c,
			     "\xb8\x00\x00\x02\x00\x0f\x22\xd8\x0f\x20\xe0\x0c\x20\x0f\x22\xe0\x0f\x20\xc0\x0f\xba\xe8\x1f"
			     "\x0f\x22\xc0"),
			 STOP_HLT);
	assert_int_equal(cpu_handler(&c), 13);
	assert_int_equal(cpu_peek(&c, c.r.gpr[RSP] + 4, 4), CODE + 23);
	assert_int_equal(c.r.cr0 & CR0_PG, 0);
	cpu_close(&c);
}

/* AC is the guest's to set and clear where the supervisor must not touch user pages. */
static void test_stac(void **state)
{
	struct cpu c;

	(void)state;
	cpu_open(&c, LONG, 0);
	cpu_poke64(&c, 0x30000, 0x77);
	for (uint64_t i = 0; i < MiB >> 12; i++)
		if (i != 0x30)
			cpu_poke64(&c, CR3 + 0x3000 + i * 8, i << 12 | 3);
	c.r.cr4 |= CR4_SMAP;
	cpu_set(&c, REGS_SYS);
	c.r.gpr[RSI] = 0x30000;
	cpu_set(&c, REGS_GPR);
	/* stac; mov rax, [rsi]; clac; mov rbx, [rsi] */
	assert_int_equal(RUN(&c, "\x0f\x01\xcb\x48\x8b\x06\x0f\x01\xca\x48\x8b\x1e"), STOP_HLT);
	assert_int_equal(cpu_handler(&c), 14);
	assert_int_equal(c.r.gpr[RAX], 0x77);
	assert_int_equal(cpu_peek(&c, c.r.gpr[RSP] + 8, 8), CODE + 9);
	cpu_close(&c);
}

/* ---- SMM: a halted processor halts again behind RSM, an interrupt shadow and the NMI mask come back */

static void test_smi_while_halted(void **state)
{
	struct cpu c;
	struct err e = {0};

	(void)state;
	cpu_open(&c, LONG, 0);
	CODE_AT(&c, 0x38000, "\x0f\xaa");
	CODE_AT(&c, CODE, "\xf4\xb0\x11\xf4");
	assert_int_equal(cpu_run(&c, RUN_CONTINUE, 1), STOP_HLT);
	cpu_ok(machine_smi(c.m, 0, &e), &e);
	cpu_get(&c);
	assert_int_equal(cpu_peek(&c, 0x3fec9, 1), 1);
	assert_true(c.r.nmi_masked);
	assert_int_equal(cpu_run(&c, RUN_CONTINUE, 1), STOP_HLT);
	assert_int_equal(c.r.rip, CODE + 1);
	assert_true(c.r.halted);
	assert_false(c.r.nmi_masked);
	cpu_close(&c);
}

/* ---- alignment checks */

static void test_alignment_check(void **state)
{
	struct cpu c;

	(void)state;
	cpu_open(&c, LONG, 3);
	c.r.cr0 |= CR0_AM;
	c.r.rflags |= RFLAGS_AC;
	c.r.gpr[RSI] = 0x30001;
	cpu_set(&c, REGS_SYS | REGS_GPR);
	/* mov al, [rsi]; mov eax, [rsi + 3]; mov eax, [rsi] */
	assert_int_equal(RUN(&c, "\x8a\x06\x8b\x46\x03\x8b\x06"), STOP_HLT);
	assert_int_equal(cpu_handler(&c), 17);
	assert_int_equal(cpu_peek(&c, c.r.gpr[RSP], 8), 0);
	assert_int_equal(cpu_peek(&c, c.r.gpr[RSP] + 8, 8), CODE + 5);
	cpu_close(&c);
}

/* ---- the end of 16-bit code */

/* IP is not cut to 16 bits behind an instruction: what follows offset 0xffff lies beyond CS's limit. Jumps are cut. */
static void test_ip_ends_with_its_segment(void **state)
{
	static const struct {
		const char *what, *code;
		unsigned len;
		uint16_t at, pushed; /* IP in #GP's frame */
		int vector;
	} rows[] = {
	    {"ends at 0xffff", "\x90", 1, 0xffff, 0, 13},
	    {"two that end there", "\x90\x90", 2, 0xfffe, 0, 13},
	    {"reaches over the limit", "\xb8\x01\x00", 3, 0xfffe, 0xfffe, 13},
	    {"a jump to offset 0x100", "\xe9\x00\x01", 3, 0xfffd, 0, -1},
	    {"a call to offset 0x100", "\xe8\x00\x01", 3, 0xfffd, 0, -1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct cpu c;

		cpu_open(&c, REAL, 0);
		c.r.seg[SEG_CS].selector = 0x1000;
		c.r.seg[SEG_CS].base = 0x10000;
		c.r.rip = rows[i].at;
		cpu_set(&c, REGS_GPR | REGS_SYS);
		cpu_poke(&c, 0x10000 + rows[i].at, rows[i].code, rows[i].len);
		CODE_AT(&c, 0x10100, "\xf4");
		uint64_t sp = c.r.gpr[RSP];
		assert_int_equal(cpu_run(&c, RUN_CONTINUE, 1), STOP_HLT);
		assert_int_equal(cpu_handler(&c), rows[i].vector);
		if (rows[i].vector == 13) {
			assert_int_equal(cpu_peek(&c, sp - 6, 2), rows[i].pushed);
			assert_int_equal(cpu_peek(&c, sp - 4, 2), 0x1000);
		} else {
			assert_int_equal(c.r.rip, 0x101);
		}
		cpu_close(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rf_lasts_one_instruction),
	    cmocka_unit_test(test_stepping_onto_a_guests_breakpoint),
	    cmocka_unit_test(test_step_and_data_in_one),
	    cmocka_unit_test(test_port_breakpoint),
	    cmocka_unit_test(test_general_detect),
	    cmocka_unit_test(test_what_holds_a_trap_back),
	    cmocka_unit_test(test_trap_behind_hlt),
	    cmocka_unit_test(test_a_caught_trap_is_delivered),
	    cmocka_unit_test(test_syscall_masks_the_trap),
	    cmocka_unit_test(test_trap_and_smi),
	    cmocka_unit_test(test_int1),
	    cmocka_unit_test(test_a_software_interrupt_does_not_double),
	    cmocka_unit_test(test_short_idt),
	    cmocka_unit_test(test_a_handler_that_is_the_fault),
	    cmocka_unit_test(test_gate_not_canonical),
	    cmocka_unit_test(test_cr2_of_a_double_fault),
	    cmocka_unit_test(test_avx_is_lacking),
	    cmocka_unit_test(test_no_instruction),
	    cmocka_unit_test(test_refused_values),
	    cmocka_unit_test(test_pae_pointers),
	    cmocka_unit_test(test_stac),
	    cmocka_unit_test(test_smi_while_halted),
	    cmocka_unit_test(test_alignment_check),
	    cmocka_unit_test(test_ip_ends_with_its_segment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
