/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * All-stop run control on the real kernel: interrupting at any time, two vCPUs, halts, shutdown, what KVM cannot emulate,
 * the guest's exit, SMIs by hand, memory that the host refuses, and taking a machine down while its threads are there.
 */
#include "tests/support/guest.h"

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define OPEN(g, mode, cpl, idt, vcpus)                                                                                      \
	struct guest g;                                                                                                     \
	if (!guest_possible())                                                                                              \
		skip();                                                                                                     \
	guest_open(&g, mode, cpl, idt, vcpus)
#define CODE(g, s) guest_code(g, s, sizeof(s) - 1)

struct interrupter {
	struct guest *g;
	pthread_t thread;
	sem_t begin, done; /* a round: one interrupt */
	atomic_bool quit;
};

/* Interrupts once in each round that the test starts, at whatever moment that is. */
static void *interrupt_thread(void *arg)
{
	struct interrupter *in = arg;
	unsigned spin = 0;

	for (;;) {
		sem_wait(&in->begin);
		if (atomic_load(&in->quit))
			return NULL;
		for (unsigned i = 0; i < spin % 4096; i++)
			__builtin_ia32_pause();
		spin = spin * 1103515245 + 12345;
		machine_interrupt(in->g->m);
		sem_post(&in->done);
	}
}

static void cycles(struct guest *g, enum run_kind kind, uint64_t count, int n)
{
	struct interrupter in = {.g = g};

	assert_int_equal(sem_init(&in.begin, 0, 0) | sem_init(&in.done, 0, 0), 0);
	assert_int_equal(pthread_create(&in.thread, NULL, interrupt_thread, &in), 0);
	for (int i = 0; i < n; i++) {
		sem_post(&in.begin);
		assert_int_equal(guest_run(g, kind, 0, count), STOP_INTERRUPTED);
		/* The next begins after this one's interrupt has been made, so that each is answered by one stop. */
		sem_wait(&in.done);
	}
	atomic_store(&in.quit, true);
	sem_post(&in.begin);
	pthread_join(in.thread, NULL);
	sem_destroy(&in.begin);
	sem_destroy(&in.done);
}

static void interrupt_endless_loop(void **state)
{
	(void)state;
	for (unsigned cpl = 0; cpl <= 3; cpl += 3) {
		OPEN(g, GUEST_LONG, cpl, false, 1);
		CODE(&g, "\x90\xeb\xfd");
		cycles(&g, RUN_CONTINUE, 1, 500);
		assert_in_range(g.stop.rip, GUEST_CODE, GUEST_CODE + 1);
		cycles(&g, RUN_STEP, 1ull << 40, 100);
		assert_in_range(g.stop.rip, GUEST_CODE, GUEST_CODE + 1);
		/* still whole */
		guest_set_rip(&g, 0, GUEST_CODE);
		assert_int_equal(guest_step(&g), STOP_STEP);
		assert_int_equal(g.stop.rip, GUEST_CODE + 1);
		guest_close(&g);
	}
}

/* No instruction is executed twice or skipped by an interrupt in the middle of a step. */
static void interrupted_steps_are_whole(void **state)
{
	(void)state;
	for (unsigned cpl = 0; cpl <= 3; cpl += 3)
		for (int idt = 0; idt <= 1; idt++) {
			OPEN(g, GUEST_LONG, cpl, idt, 1);
			CODE(&g, "\xff\xc0\xff\xc3\xeb\xfa"); /* inc eax; inc ebx; jmp to the start */
			for (int i = 0; i < 300; i++) {
				cycles(&g, RUN_STEP, 1ull << 40, 1);
				struct regs r = guest_regs(&g, 0);
				assert_int_equal(r.gpr[RAX], r.gpr[RBX] + (r.rip == GUEST_CODE + 2));
			}
			guest_close(&g);
		}
}

static void interrupt_two_vcpus(void **state)
{
	OPEN(g, GUEST_LONG, 3, false, 2);

	(void)state;
	CODE(&g, "\x90\xeb\xfd");
	cycles(&g, RUN_CONTINUE, 1, 1000);
	guest_close(&g);
}

/* A loop of device accesses: each is whole at every stop. */
static void interrupt_device_loop(void **state)
{
	(void)state;
	for (unsigned cpl = 0; cpl <= 3; cpl += 3) {
		uint32_t seen;
		OPEN(g, GUEST_LONG, cpl, false, 1);
		/* inc eax; mov [dev], eax; mov ebx, [dev]; jmp to the start */
		CODE(&g, "\xff\xc0\x89\x04\x25\x00\x00\x1d\x00\x8b\x1c\x25\x00\x00\x1d\x00\xeb\xee");
		for (int i = 0; i < 50; i++) {
			cycles(&g, RUN_CONTINUE, 1, 1);
			struct regs r = guest_regs(&g, 0);
			memcpy(&seen, machine_board(g.m)->scratch, 4);
			uint32_t eax = (uint32_t)r.gpr[RAX], ebx = (uint32_t)r.gpr[RBX];
			assert_int_equal(seen, r.rip == GUEST_CODE + 2 ? eax - 1 : eax);
			assert_int_equal(ebx, r.rip == GUEST_CODE + 16 || r.rip == GUEST_CODE ? eax : eax - 1);
		}
		guest_close(&g);
	}
}

static void interrupt_before_start(void **state)
{
	OPEN(g, GUEST_LONG, 3, false, 1);

	(void)state;
	CODE(&g, "\x90\xeb\xfd");
	machine_interrupt(g.m);
	assert_int_equal(guest_continue(&g), STOP_INTERRUPTED);
	assert_int_equal(g.stop.rip, GUEST_CODE);
	assert_int_equal(guest_step(&g), STOP_STEP);
	machine_interrupt(g.m);
	assert_int_equal(guest_step(&g), STOP_INTERRUPTED);
	assert_int_equal(g.stop.rip, GUEST_CODE + 1);
	guest_close(&g);
}

static void halts(void **state)
{
	(void)state;
	for (int mode = GUEST_REAL; mode <= GUEST_LONG; mode++) {
		OPEN(g, (enum guest_mode)mode, 0, mode == GUEST_REAL, 1);
		CODE(&g, "\x90\xf4\x90\xf4");
		assert_int_equal(guest_continue(&g), STOP_HLT);
		assert_int_equal(g.stop.rip, GUEST_CODE + 2);
		assert_true(guest_regs(&g, 0).halted);
		assert_int_equal(guest_continue(&g), STOP_HLT);
		assert_int_equal(g.stop.rip, GUEST_CODE + 4);
		guest_close(&g);
	}
}

/* One waits in hlt with interrupts on while the other runs; both waiting is the end. */
static void halt_of_one(void **state)
{
	OPEN(g, GUEST_LONG, 0, false, 2);

	(void)state;
	CODE(&g, "\xfb\xf4"); /* vCPU 0: sti; hlt */
	/* vCPU 1: mov ecx, 1000; dec ecx; jnz; sti; hlt */
	guest_poke(&g, 0x8100, "\xb9\xe8\x03\x00\x00\xff\xc9\x75\xfc\xfb\xf4\x90", 12);
	guest_set_rip(&g, 1, 0x8100);
	guest_break(&g, 1, 0x8109);
	assert_int_equal(guest_continue(&g), STOP_BREAKPOINT);
	assert_int_equal(g.stop.vcpu, 1);
	assert_int_equal(guest_regs(&g, 1).gpr[RCX], 0);
	assert_int_equal(guest_run(&g, RUN_CONTINUE, 1, 1), STOP_HLT);
	assert_int_equal(guest_regs(&g, 0).rip, GUEST_CODE + 2);
	assert_int_equal(guest_regs(&g, 1).rip, 0x810b);
	assert_true(guest_regs(&g, 0).halted && guest_regs(&g, 1).halted);
	guest_close(&g);
}

/* With interrupts off nothing wakes it: that is told though the other runs. */
static void halt_for_good(void **state)
{
	OPEN(g, GUEST_LONG, 0, false, 2);

	(void)state;
	CODE(&g, "\xeb\xfe");
	guest_poke(&g, 0x8100, "\x90\xf4", 2);
	guest_set_rip(&g, 1, 0x8100);
	assert_int_equal(guest_continue(&g), STOP_HLT);
	assert_int_equal(g.stop.vcpu, 1);
	assert_int_equal(g.stop.rip, 0x8102);
	guest_close(&g);
}

static void triple_fault(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 4; bits++) {
		bool steps = bits & 2;
		OPEN(g, GUEST_LONG, bits & 1 ? 3 : 0, true, 1);
		/* Gates of #UD, #DF, #GP, #PF, #NP whose handlers are not mapped. */
		for (unsigned v = 6; v <= 14; v++) {
			uint64_t gate = 8ull << 16 | 0x8eull << 40 | 0x1full << 48;
			guest_poke(&g, GUEST_IDT + v * 16, &gate, 8);
		}
		guest_poke(&g, 0x4000 - 8, "\0", 1);
		CODE(&g, "\x90\x0f\x0b");
		assert_int_equal(guest_run(&g, steps ? RUN_STEP : RUN_CONTINUE, 0, 5), STOP_SHUTDOWN);
		/* A host that resets the vCPU says so, and no other. */
		assert_int_equal(g.stop.state_lost, g.stop.rip == 0xfff0);
		assert_int_equal(guest_regs(&g, 0).rip, g.stop.rip);
		assert_int_equal(g.stop.has_by, g.stop.state_lost && steps);
		assert_int_equal(g.stop.by, g.stop.has_by ? 0x1f0000 : 0);
		guest_close(&g);
	}
}

static void exit_by_port(void **state)
{
	(void)state;
	for (int run = RUN_CONTINUE; run <= RUN_STEP; run++) {
		OPEN(g, GUEST_LONG, 0, false, 1);
		/* mov dx, 0x501; mov al, 3; out dx, al; nop */
		CODE(&g, "\x66\xba\x01\x05\xb0\x03\xee\x90");
		assert_int_equal(guest_run(&g, (enum run_kind)run, 0, 10), STOP_EXIT);
		assert_int_equal(g.stop.exit_code, 7);
		assert_int_equal(g.stop.rip, GUEST_CODE + 7);
		assert_int_equal(guest_step(&g), STOP_STEP);
		assert_int_equal(g.stop.rip, GUEST_CODE + 8);
		guest_close(&g);
	}
}

static void not_emulated(void **state)
{
	OPEN(g, GUEST_LONG, 0, false, 1);

	(void)state;
	CODE(&g, "\x90\x9b\x90\xf4"); /* nop; fwait; nop; hlt */
	enum stop_reason r = guest_continue(&g);
	/* Hardware runs it; an emulator without x87 cannot, and says what it was. */
	if (r == STOP_ERROR) {
		assert_int_equal(g.stop.kvm_exit, 17);
		assert_int_equal(g.stop.suberror, 1);
		assert_int_equal(g.stop.rip, GUEST_CODE + 1);
		assert_true(g.stop.n_insn >= 1);
		assert_int_equal(g.stop.insn[0], 0x9b);
		guest_set_rip(&g, 0, GUEST_CODE + 2);
		r = guest_continue(&g);
	}
	assert_int_equal(r, STOP_HLT);
	assert_int_equal(g.stop.rip, GUEST_CODE + 4);
	guest_close(&g);
}

/* A writable slot over memory that the host has mapped PROT_READ. */
static void memory_that_the_host_refuses(void **state)
{
	char path[] = "/tmp/kvmscope-test-XXXXXX";
	int fd = mkstemp(path);
	struct slot_spec spec = {.id = 9, .gpa = 0x300000, .size = 4096, .file = path};
	struct slot_steps steps = {0};
	uint64_t pte = 0x300007;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 4096), 0);
	close(fd);
	OPEN(g, GUEST_LONG, 3, false, 1);
	assert_int_equal(machine_slot_add(g.m, &spec, &steps, &g.e), 0);
	guest_poke(&g, GUEST_CR3 + 0x3000 + (0x1f0000 >> PAGE_SHIFT) * 8, &pte, 8);
	CODE(&g, "\x90\x89\x04\x25\x00\x00\x1f\x00\x90"); /* nop; mov [0x1f0000], eax */
	assert_int_equal(guest_continue(&g), STOP_ERROR);
	assert_int_equal(g.stop.rip, GUEST_CODE + 1);
	assert_int_equal(g.stop.slot, 9);
	assert_non_null(strstr(g.stop.error, "slot 9"));
	guest_close(&g);
	unlink(path);
}

static void smi_by_port(void **state)
{
	(void)state;
	for (int caught = 0; caught <= 1; caught++) {
		uint8_t mark = 0;
		OPEN(g, GUEST_LONG, 0, false, 1);
		/* out 0xb2, al; nop; hlt */
		CODE(&g, "\xe6\xb2\x90\xf4");
		/* 16-bit: mov byte [cs:0x9000], 0x5a; rsm */
		guest_poke(&g, 0x38000, "\x2e\xc6\x06\x00\x90\x5a\x0f\xaa", 8);
		assert_int_equal(machine_catch(g.m, caught ? CATCH_SMI : 0, &g.e), 0);
		if (caught) {
			assert_int_equal(guest_continue(&g), STOP_SMI);
			assert_int_equal(g.stop.rip, 0x8000);
			assert_int_equal(guest_regs(&g, 0).seg[SEG_CS].base, 0x30000);
			assert_int_equal(guest_step(&g), STOP_STEP);
			assert_int_equal(g.stop.rip, 0x8006);
			assert_int_equal(guest_continue(&g), STOP_RSM);
			assert_int_equal(g.stop.rip, GUEST_CODE + 2);
		}
		assert_int_equal(guest_continue(&g), STOP_HLT);
		assert_int_equal(g.stop.rip, GUEST_CODE + 4);
		guest_peek(&g, 0x39000, &mark, 1);
		assert_int_equal(mark, 0x5a);
		guest_close(&g);
	}
}

/* Stepping goes into the handler and out of it, an instruction at a time. */
static void smi_by_steps(void **state)
{
	OPEN(g, GUEST_LONG, 0, false, 1);

	(void)state;
	CODE(&g, "\xe6\xb2\x90\xf4");
	guest_poke(&g, 0x38000, "\x90\x0f\xaa", 3);
	static const uint64_t rips[] = {0x8000, 0x8001, GUEST_CODE + 2, GUEST_CODE + 3};
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(guest_step(&g), STOP_STEP);
		assert_int_equal(g.stop.rip, rips[i]);
		assert_int_equal(guest_regs(&g, 0).smm, i < 2);
	}
	guest_set_rip(&g, 0, GUEST_CODE);
	assert_int_equal(guest_run(&g, RUN_STEP, 0, 4), STOP_STEP);
	assert_int_equal(g.stop.rip, GUEST_CODE + 3);
	guest_close(&g);
}

/* Real mode to protected mode and on, told at each change. */
static void mode_changes(void **state)
{
	OPEN(g, GUEST_PROT, 0, false, 1);

	(void)state;
	/* mov eax, cr0; and al, 0xfe; mov cr0, eax; nop; hlt */
	CODE(&g, "\x0f\x20\xc0\x24\xfe\x0f\x22\xc0\x90\xf4");
	assert_int_equal(machine_catch(g.m, CATCH_MODE, &g.e), 0);
	assert_int_equal(guest_continue(&g), STOP_MODE);
	assert_int_equal(g.stop.rip, GUEST_CODE + 8);
	assert_int_equal(guest_regs(&g, 0).cr0 & CR0_PE, 0);
	assert_int_equal(guest_continue(&g), STOP_HLT);
	guest_close(&g);
}

/* An empty entry of the vector table is no handler. */
static void real_mode_without_handler(void **state)
{
	(void)state;
	for (int run = RUN_CONTINUE; run <= RUN_STEP; run++) {
		OPEN(g, GUEST_REAL, 0, false, 1);
		CODE(&g, "\x90\x0f\x0b");
		assert_int_equal(guest_run(&g, (enum run_kind)run, 0, 2), STOP_EXCEPTION);
		assert_int_equal(g.stop.vector, 6);
		assert_int_equal(g.stop.rip, GUEST_CODE + 1);
		assert_int_equal(guest_reg(&g, 0, RSP), GUEST_KSTACK);
		guest_close(&g);
	}
}

/* vmcall at CPL0 may never come back: it is fetched out, and rip can be set past it. */
static void never_comes_back(void **state)
{
	OPEN(g, GUEST_LONG, 0, false, 1);

	(void)state;
	CODE(&g, "\x90\x0f\x01\xc1\x90\xf4");
	assert_int_equal(guest_run(&g, RUN_STEP, 0, 1), STOP_STEP);
	enum stop_reason r = guest_step(&g);
	if (r == STOP_STEP && g.stop.no_progress) {
		assert_int_equal(g.stop.rip, GUEST_CODE + 1);
		assert_int_not_equal(g.stop.note[0], 0);
		cycles(&g, RUN_CONTINUE, 1, 3);
		guest_set_rip(&g, 0, GUEST_CODE + 4);
	}
	assert_int_equal(guest_continue(&g), STOP_HLT);
	assert_int_equal(g.stop.rip, GUEST_CODE + 6);
	guest_close(&g);
}

static void many_machines(void **state)
{
	(void)state;
	for (int i = 0; i < 30; i++) {
		OPEN(g, GUEST_LONG, i & 1 ? 3 : 0, i & 2, 1 + (unsigned)i % 3);
		CODE(&g, "\x90\xeb\xfd");
		if (i % 5)
			assert_int_equal(guest_run(&g, RUN_STEP, 0, (uint64_t)i + 1), STOP_STEP);
		if (i % 3)
			cycles(&g, RUN_CONTINUE, 1, 2);
		guest_close(&g);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(interrupt_endless_loop),
	    cmocka_unit_test(interrupted_steps_are_whole),
	    cmocka_unit_test(interrupt_two_vcpus),
	    cmocka_unit_test(interrupt_device_loop),
	    cmocka_unit_test(interrupt_before_start),
	    cmocka_unit_test(halts),
	    cmocka_unit_test(halt_of_one),
	    cmocka_unit_test(halt_for_good),
	    cmocka_unit_test(triple_fault),
	    cmocka_unit_test(exit_by_port),
	    cmocka_unit_test(not_emulated),
	    cmocka_unit_test(memory_that_the_host_refuses),
	    cmocka_unit_test(smi_by_port),
	    cmocka_unit_test(smi_by_steps),
	    cmocka_unit_test(mode_changes),
	    cmocka_unit_test(real_mode_without_handler),
	    cmocka_unit_test(never_comes_back),
	    cmocka_unit_test(many_machines),
	};

	(void)argc;
	return guest_once_more(argv, cmocka_run_group_tests(tests, NULL, NULL));
}
