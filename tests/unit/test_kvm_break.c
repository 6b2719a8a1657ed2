/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Breakpoints on the real kernel: more than there are debug registers, in each mode and at each CPL, with and without an IDT
 * of the guest's, in READONLY and file-backed memory, and never twice at one place; guest memory unchanged at every stop.
 */
#include "tests/support/guest.h"
#include "kvmback/kvm.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define OPEN(g, mode, cpl, idt, vcpus)                                                                                      \
	struct guest g;                                                                                                     \
	if (!guest_possible())                                                                                              \
		skip();                                                                                                     \
	guest_open(&g, mode, cpl, idt, vcpus)
#define CODE(g, s) guest_code(g, s, sizeof(s) - 1)

static const struct {
	enum guest_mode mode;
	unsigned cpl;
	bool idt;
} all_modes[] = {{GUEST_REAL, 0, true},	 {GUEST_PROT, 0, false}, {GUEST_PROT, 0, true},
		 {GUEST_PROT, 3, false}, {GUEST_PROT, 3, true},	 {GUEST_LONG, 0, false},
		 {GUEST_LONG, 0, true},	 {GUEST_LONG, 3, false}, {GUEST_LONG, 3, true}};

static void hit(struct guest *g, int id, uint64_t rip)
{
	assert_int_equal(guest_continue(g), STOP_BREAKPOINT);
	assert_int_equal(g->stop.breakpoint, id);
	assert_int_equal(g->stop.rip, rip);
	assert_int_equal(guest_regs(g, 0).rip, rip);
}

/* Eight in a loop of eight nops: each hit in turn, round and round, memory as it was in between. */
static void eight(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(all_modes) / sizeof(all_modes[0]); i++) {
		uint8_t now[10];
		OPEN(g, all_modes[i].mode, all_modes[i].cpl, all_modes[i].idt, 1);
		CODE(&g, "\x90\x90\x90\x90\x90\x90\x90\x90\xeb\xf6");
		uint64_t sp = guest_reg(&g, 0, RSP);
		for (int b = 0; b < 8; b++)
			assert_non_null(guest_break(&g, b + 1, GUEST_CODE + (uint64_t)b));
		for (int n = 1; n < 24; n++) {
			hit(&g, n % 8 + 1, GUEST_CODE + (uint64_t)(n % 8));
			guest_peek(&g, GUEST_CODE, now, sizeof(now));
			assert_memory_equal(now, "\x90\x90\x90\x90\x90\x90\x90\x90\xeb\xf6", 10);
			assert_int_equal(guest_reg(&g, 0, RSP), sp);
			assert_int_equal(guest_regs(&g, 0).rflags, RFLAGS_FIXED);
			struct regs r = guest_regs(&g, 0);
			assert_int_equal(regs_cpl(&r), all_modes[i].cpl);
		}
		/* a step in between arrives as a step */
		assert_int_equal(guest_step(&g), STOP_STEP);
		assert_int_equal(g.stop.rip, GUEST_CODE + 8);
		hit(&g, 1, GUEST_CODE);
		guest_close(&g);
	}
}

static void one_at_the_start_and_in_a_loop(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(all_modes) / sizeof(all_modes[0]); i++) {
		OPEN(g, all_modes[i].mode, all_modes[i].cpl, all_modes[i].idt, 1);
		CODE(&g, "\x90\xeb\xfd");
		guest_break(&g, 1, GUEST_CODE);
		for (int n = 0; n < 5; n++)
			hit(&g, 1, GUEST_CODE);
		assert_int_equal(machine_unplant(g.m, 1, &g.e), 0);
		guest_break(&g, 2, GUEST_CODE + 1);
		hit(&g, 2, GUEST_CODE + 1);
		hit(&g, 2, GUEST_CODE + 1);
		guest_close(&g);
	}
}

/* An instruction that jumps to itself is hit at each turn. */
static void self_jump(void **state)
{
	(void)state;
	for (unsigned cpl = 0; cpl <= 3; cpl += 3) {
		OPEN(g, GUEST_LONG, cpl, false, 1);
		CODE(&g, "\x90\xeb\xfe");
		guest_break(&g, 1, GUEST_CODE + 1);
		hit(&g, 1, GUEST_CODE + 1);
		hit(&g, 1, GUEST_CODE + 1);
		guest_close(&g);
	}
}

static void how_is_told(void **state)
{
	OPEN(g, GUEST_LONG, 3, false, 1);

	(void)state;
	CODE(&g, "\x90");
	const char *how = guest_break(&g, 1, GUEST_CODE);
	assert_true(!strcmp(how, "int3") || !strcmp(how, "hw"));
	struct plant p = {.id = 1, .kind = PLANT_EXEC, .addr = GUEST_CODE, .len = 1};
	assert_int_equal(machine_plant(g.m, &p, &g.e), -EEXIST);
	assert_int_equal(machine_unplant(g.m, 5, &g.e), -ENOENT);
	guest_close(&g);
}

/* Four at most in debug registers, and only where they hit. */
static void hardware_only(void **state)
{
	(void)state;
	OPEN(g, GUEST_LONG, 0, false, 1);
	if (!guest_needs(guest_host()->hw[RUN_LONG][0], "debug registers that hit at CPL 0")) {
		guest_close(&g);
		skip();
	}
	CODE(&g, "\x90\x90\x90\x90\x90\x90");
	for (int i = 0; i < 5; i++) {
		struct plant p = {.id = i + 1, .kind = PLANT_EXEC_HW, .addr = GUEST_CODE + 1 + (uint64_t)i, .len = 1};
		assert_int_equal(machine_plant(g.m, &p, &g.e), i < 4 ? 0 : -ENOSPC);
		if (i < 4)
			assert_string_equal(p.how, "hw");
	}
	for (int i = 0; i < 4; i++)
		hit(&g, i + 1, GUEST_CODE + 1 + (uint64_t)i);
	assert_int_equal(guest_continue(&g), STOP_HLT);
	guest_close(&g);
}

/* The guest's own int3 is the guest's. */
static void foreign_int3(void **state)
{
	(void)state;
	for (unsigned cpl = 0; cpl <= 3; cpl += 3)
		for (int idt = 0; idt <= 1; idt++) {
			OPEN(g, GUEST_LONG, cpl, idt, 1);
			CODE(&g, "\x90\xcc\x90\x90");
			for (int i = 0; i < 6; i++) /* all debug registers taken */
				guest_break(&g, i + 1, 0x7000 + (uint64_t)i);
			guest_break(&g, 7, GUEST_CODE + 3);
			if (!idt) {
				assert_int_equal(guest_continue(&g), STOP_EXCEPTION);
				assert_int_equal(g.stop.vector, 3);
				assert_int_equal(g.stop.rip, GUEST_CODE + 2);
				hit(&g, 7, GUEST_CODE + 3);
			} else {
				assert_int_equal(guest_continue(&g), STOP_HLT);
				assert_int_equal(g.stop.rip, GUEST_HANDLERS + 3 * 16 + 6);
				assert_int_equal(machine_board(g.m)->post, 3);
			}
			guest_close(&g);
		}
}

/* A breakpoint on the very handler that ours come out at. */
static void on_the_handler(void **state)
{
	OPEN(g, GUEST_LONG, 3, true, 1);

	(void)state;
	CODE(&g, "\x90\x90\xcc\x90");
	guest_break(&g, 1, GUEST_CODE + 1);
	guest_break(&g, 2, GUEST_HANDLERS + 3 * 16);
	hit(&g, 1, GUEST_CODE + 1);
	hit(&g, 2, GUEST_HANDLERS + 3 * 16);
	assert_int_equal(guest_continue(&g), STOP_HLT);
	guest_close(&g);
}

/* In a slot that the guest may not write; in a file, which nobody may. */
static void readonly_memory(void **state)
{
	(void)state;
	for (unsigned cpl = 0; cpl <= 3; cpl += 3) {
		uint8_t now[3];
		OPEN(g, GUEST_LONG, cpl, false, 1);
		guest_poke(&g, GUEST_ROM_GPA, "\x90\x90\x90\xeb\xfb", 5);
		guest_set_rip(&g, 0, GUEST_ROM);
		guest_break(&g, 1, GUEST_ROM + 2);
		hit(&g, 1, GUEST_ROM + 2);
		hit(&g, 1, GUEST_ROM + 2);
		guest_peek(&g, GUEST_ROM_GPA, now, 3);
		assert_memory_equal(now, "\x90\x90\x90", 3);
		guest_close(&g);
	}
}

static void file_memory(void **state)
{
	char path[] = "/tmp/kvmscope-test-XXXXXX";
	uint8_t page[4096];
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	memset(page, 0x90, sizeof(page));
	memcpy(page + 3, "\xeb\xfb", 2);
	assert_int_equal(write(fd, page, sizeof(page)), sizeof(page));
	close(fd);
	for (unsigned cpl = 0; cpl <= 3; cpl += 3) {
		struct slot_spec spec = {.id = 9, .gpa = 0x300000, .size = 4096, .flags = SLOT_READONLY, .file = path};
		struct slot_steps steps = {0};
		uint64_t pte = 0x300007;
		OPEN(g, GUEST_LONG, cpl, false, 1);
		assert_int_equal(machine_slot_add(g.m, &spec, &steps, &g.e), 0);
		guest_poke(&g, GUEST_CR3 + 0x3000 + (0x1f0000 >> PAGE_SHIFT) * 8, &pte, 8);
		guest_set_rip(&g, 0, 0x1f0000);
		const char *how = guest_break(&g, 1, 0x1f0002);
		assert_true(!strcmp(how, "step") || !strcmp(how, "hw"));
		hit(&g, 1, 0x1f0002);
		hit(&g, 1, 0x1f0002);
		guest_close(&g);
	}
	unlink(path);
}

/* Not mapped when it is planted; mapped by the guest, which then shows itself by a port access, and goes there. */
static void mapped_later(void **state)
{
	OPEN(g, GUEST_LONG, 0, false, 1);

	(void)state;
	/* mov qword [pte of 0x1f0000], 0x5007; out 0x80, al; mov eax, 0x1f0000; jmp rax */
	CODE(&g, "\x48\xc7\x04\x25\x80\x3f\x01\x00\x07\x50\x00\x00\xe6\x80\xb8\x00\x00\x1f\x00\xff\xe0");
	guest_poke(&g, 0x5000, "\x90\x90\xf4", 3);
	for (int i = 0; i < 6; i++)
		guest_break(&g, i + 1, 0x7000 + (uint64_t)i);
	guest_break(&g, 9, 0x1f0001);
	hit(&g, 9, 0x1f0001);
	guest_close(&g);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Ten million turns at CPL3 with breakpoints elsewhere: single steps would need minutes. */
static void full_speed(void **state)
{
	(void)state;
	for (int idt = 0; idt <= 1; idt++) {
		OPEN(g, GUEST_LONG, 3, idt, 1);
		/* mov ecx, 10000000; dec ecx; jnz -2; nop */
		CODE(&g, "\xb9\x80\x96\x98\x00\xff\xc9\x75\xfc\x90");
		for (int i = 0; i < 6; i++)
			guest_break(&g, i + 1, 0x7000 + (uint64_t)i);
		guest_break(&g, 7, GUEST_CODE + 9);
		double begin = seconds();
		hit(&g, 7, GUEST_CODE + 9);
		assert_true(seconds() - begin < 5);
		assert_int_equal(guest_reg(&g, 0, RCX), 0);
		guest_close(&g);
	}
}

/* The guest moves from CPL0 to CPL3 and back by an exception; breakpoints on both sides hit. */
static void across_privileges(void **state)
{
	OPEN(g, GUEST_LONG, 0, true, 1);
	uint64_t frame[5] = {GUEST_CODE + 0x20, 0x23, RFLAGS_FIXED, GUEST_STACK, 0x1b};

	(void)state;
	guest_poke(&g, GUEST_KSTACK - 40, frame, sizeof(frame));
	guest_poke(&g, GUEST_CODE + 0x20, "\x90\x90\x0f\x0b", 4);
	CODE(&g, "\x90\x48\xcf");
	guest_set(&g, 0, RSP, GUEST_KSTACK - 40);
	guest_break(&g, 1, GUEST_CODE + 1);
	guest_break(&g, 2, GUEST_CODE + 0x20);
	guest_break(&g, 3, GUEST_CODE + 0x21);
	guest_break(&g, 4, GUEST_HANDLERS + 6 * 16 + 1);
	guest_break(&g, 5, GUEST_HANDLERS + 6 * 16 + 3);
	hit(&g, 1, GUEST_CODE + 1);
	hit(&g, 2, GUEST_CODE + 0x20);
	hit(&g, 3, GUEST_CODE + 0x21);
	hit(&g, 4, GUEST_HANDLERS + 6 * 16 + 1);
	hit(&g, 5, GUEST_HANDLERS + 6 * 16 + 3);
	guest_close(&g);
}

/* Planted in protected mode before there are any tables, reached at CPL3 in long mode with no exit on the way. */
static void from_no_paging_to_user(void **state)
{
	/* mov eax, cr4; or eax, 0x20; mov cr4, eax; mov eax, 0x10000; mov cr3, eax; mov ecx, 0xc0000080; rdmsr;
	 * or eax, 0x100; wrmsr; mov eax, cr0; or eax, 0x80000000; mov cr0, eax; jmp 8:next; next: iretq; user: nop; nop; ud2
	 */
	static const char code[] = "\x0f\x20\xe0\x83\xc8\x20\x0f\x22\xe0\xb8\x00\x00\x01\x00\x0f\x22\xd8"
				   "\xb9\x80\x00\x00\xc0\x0f\x32\x0d\x00\x01\x00\x00\x0f\x30\x0f\x20\xc0"
				   "\x0d\x00\x00\x00\x80\x0f\x22\xc0\xea\x31\x80\x00\x00\x08\x00"
				   "\x48\xcf\x90\x90\x0f\x0b";
	uint64_t user = GUEST_CODE + 0x33, frame[5] = {user, 0x23, RFLAGS_FIXED, GUEST_STACK, 0x1b};

	(void)state;
	assert_int_equal(sizeof(code) - 1, 0x37);
	/* The page that stands in for an IDT is in the tables that the guest had when it was let go. */
	if (!guest_possible() || !guest_needs(guest_host()->shutdown_keeps_state, "the vCPU's state behind a shutdown"))
		skip();
	for (int hw = 0; hw <= 1; hw++) {
		OPEN(g, GUEST_PROT, 0, false, 1);
		CODE(&g, code);
		guest_poke(&g, GUEST_KSTACK - 40, frame, sizeof(frame));
		guest_set(&g, 0, RSP, GUEST_KSTACK - 40);
		if (hw) /* and back: planted at CPL3 */
			guest_break(&g, 2, user);
		guest_break(&g, 1, user + 1);
		if (hw)
			hit(&g, 2, user);
		hit(&g, 1, user + 1);
		assert_int_equal(guest_regs(&g, 0).seg[SEG_CS].selector, 0x23);
		assert_int_equal(guest_continue(&g), STOP_EXCEPTION);
		guest_close(&g);
	}
}

/* Planted at CPL3, reached at CPL0, by the handler of a ud2. */
static void from_user_to_kernel(void **state)
{
	OPEN(g, GUEST_LONG, 3, true, 1);

	(void)state;
	CODE(&g, "\x90\x0f\x0b");
	guest_break(&g, 1, GUEST_HANDLERS + 6 * 16 + 1);
	hit(&g, 1, GUEST_HANDLERS + 6 * 16 + 1);
	struct regs r = guest_regs(&g, 0);
	assert_int_equal(regs_cpl(&r), 0);
	guest_close(&g);
}

/* An IDT with no gate for int3: nothing of it is seen by the guest, whichever handlers it has, and no single steps. */
static void idt_without_gate_3(void **state)
{
	static const struct {
		uint16_t limit;
		int kept; /* the only gate besides that of ud2 */
	} idt[] = {{0x1ff, 6}, {0x1ff, 11}, {0x1ff, 13}, {0x1ff, 8}, {0x2f, 6}, {0x1ff, 3}};
	static const uint8_t none[16];

	(void)state;
	for (size_t i = 0; i < sizeof(idt) / sizeof(idt[0]); i++)
		for (int early = 0; early <= 1; early++) {
			uint64_t frame[5] = {GUEST_CODE + 0x20, 0x23, RFLAGS_FIXED, GUEST_STACK, 0x1b};
			OPEN(g, GUEST_LONG, 0, true, 1);
			for (int n = 0; n < 32; n++)
				if (n != 6 && n != idt[i].kept)
					guest_poke(&g, GUEST_IDT + (uint64_t)n * 16, none, sizeof(none));
			uint8_t dpl0 = 0x8e;
			if (idt[i].kept == 3)
				guest_poke(&g, GUEST_IDT + 3 * 16 + 5, &dpl0, 1);
			struct regs r = guest_regs(&g, 0);
			r.idt.limit = idt[i].limit;
			assert_int_equal(machine_set_regs(g.m, 0, REGS_SYS, &r, &g.e), 0);
			guest_poke(&g, GUEST_KSTACK - 40, frame, sizeof(frame));
			guest_poke(&g, GUEST_CODE + 0x20, "\x90\x90\x90\x90\xeb\xfa", 6);
			CODE(&g, "\x90\x48\xcf");
			guest_set(&g, 0, RSP, GUEST_KSTACK - 40);
			if (!early)
				assert_int_equal(guest_run(&g, RUN_STEP, 0, 2), STOP_STEP);
			const char *how = guest_break(&g, 1, GUEST_CODE + 0x21);
			/* Where a shutdown tells nothing there is nothing else. */
			if (guest_host()->shutdown_keeps_state)
				assert_string_not_equal(how, "step");
			guest_break(&g, 2, GUEST_CODE + 0x22);
			for (int n = 0; n < 3; n++) {
				hit(&g, 1, GUEST_CODE + 0x21);
				assert_int_equal(guest_reg(&g, 0, RSP), GUEST_STACK);
				hit(&g, 2, GUEST_CODE + 0x22);
				assert_int_equal(guest_regs(&g, 0).seg[SEG_CS].selector, 0x23);
			}
			guest_close(&g);
		}
}

static void watch_writes(void **state)
{
	(void)state;
	for (unsigned cpl = 0; cpl <= 3; cpl += 3) {
		struct plant p = {.id = 3, .kind = PLANT_WRITE, .addr = 0x5004, .len = 4};
		OPEN(g, GUEST_LONG, cpl, false, 1);
		/* nop; mov dword [0x5000], 1; mov dword [0x5004], 0x1234; nop */
		CODE(&g, "\x90\xc7\x04\x25\x00\x50\x00\x00\x01\x00\x00\x00\xc7\x04\x25\x04\x50\x00\x00\x34\x12\x00\x00\x90");
		assert_int_equal(machine_plant(g.m, &p, &g.e), 0);
		assert_int_equal(guest_continue(&g), STOP_WATCHPOINT);
		assert_int_equal(g.stop.breakpoint, 3);
		assert_int_equal(g.stop.rip, GUEST_CODE + 23);
		if (!strcmp(p.how, "step")) {
			assert_memory_equal(g.stop.data, "\x34\x12\0\0", 4);
			assert_memory_equal(g.stop.old_data, "\0\0\0\0", 4);
		}
		guest_close(&g);
	}
}

static void two_vcpus(void **state)
{
	OPEN(g, GUEST_LONG, 3, false, 2);

	(void)state;
	/* vCPU 0 spins at GUEST_CODE; vCPU 1 counts to a breakpoint. */
	CODE(&g, "\xeb\xfe");
	guest_poke(&g, 0x8100, "\x90\x90\x90\xeb\xfb", 5);
	guest_set_rip(&g, 1, 0x8100);
	guest_break(&g, 1, 0x8102);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(guest_continue(&g), STOP_BREAKPOINT);
		assert_int_equal(g.stop.vcpu, 1);
		assert_int_equal(g.stop.rip, 0x8102);
		assert_int_equal(guest_regs(&g, 0).rip, GUEST_CODE);
	}
	/* stepping one leaves the other where it is */
	assert_int_equal(guest_run(&g, RUN_STEP, 1, 2), STOP_STEP);
	assert_int_equal(guest_regs(&g, 1).rip, 0x8100);
	assert_int_equal(guest_regs(&g, 0).rip, GUEST_CODE);
	guest_close(&g);
}

/* Both arrive at one breakpoint again and again: each arrival is told once. */
static void two_vcpus_one_breakpoint(void **state)
{
	struct run_job job = {.kind = RUN_CONTINUE};
	unsigned hits[2] = {0};
	OPEN(g, GUEST_LONG, 3, false, 2);

	(void)state;
	/* lock inc dword [0x5000 + rbx * 4]; nop; jmp to the start */
	CODE(&g, "\xf0\xff\x04\x9d\x00\x50\x00\x00\x90\xeb\xf5");
	guest_set(&g, 1, RBX, 1);
	guest_break(&g, 1, GUEST_CODE + 8);
	for (unsigned i = 0; i < 200; i++) {
		job.vcpu = i & 1;
		assert_int_equal(machine_run_job(g.m, &job, &g.stop, &g.e), 0);
		assert_int_equal(g.stop.reason, STOP_BREAKPOINT);
		assert_int_equal(g.stop.rip, GUEST_CODE + 8);
		assert_false(job.passed >> g.stop.vcpu & 1);
		job.passed |= 1u << g.stop.vcpu;
		assert_int_equal(guest_regs(&g, g.stop.vcpu).rip, GUEST_CODE + 8);
		hits[g.stop.vcpu]++;
	}
	uint32_t turns[2];
	guest_peek(&g, 0x5000, turns, sizeof(turns));
	/* A turn more may be under way, or be stopped at the breakpoint and not told yet. */
	for (int i = 0; i < 2; i++)
		assert_in_range(turns[i], hits[i], hits[i] + 1);
	assert_int_equal(hits[0] + hits[1], 200);
	guest_close(&g);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(eight),
	    cmocka_unit_test(one_at_the_start_and_in_a_loop),
	    cmocka_unit_test(self_jump),
	    cmocka_unit_test(how_is_told),
	    cmocka_unit_test(hardware_only),
	    cmocka_unit_test(foreign_int3),
	    cmocka_unit_test(on_the_handler),
	    cmocka_unit_test(readonly_memory),
	    cmocka_unit_test(file_memory),
	    cmocka_unit_test(mapped_later),
	    cmocka_unit_test(full_speed),
	    cmocka_unit_test(across_privileges),
	    cmocka_unit_test(from_no_paging_to_user),
	    cmocka_unit_test(from_user_to_kernel),
	    cmocka_unit_test(idt_without_gate_3),
	    cmocka_unit_test(watch_writes),
	    cmocka_unit_test(two_vcpus),
	    cmocka_unit_test(two_vcpus_one_breakpoint),
	};

	(void)argc;
	return guest_once_more(argv, cmocka_run_group_tests(tests, NULL, NULL));
}
