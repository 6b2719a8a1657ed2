/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Registers of a vCPU that stands inside a fault of the real kernel, where it cannot be asked, against what it says itself
 * once the fault is given up: whatever is not named as of the last stop is the same. The guests change what they can since
 * the last stop, at CPL 3 natively and at CPL 0.
 */
#include <errno.h>
#include <linux/capability.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "kvmback/host/uffd.h"
#include "tests/support/guest.h"

#define PAGE 0x40 /* the gfn that they touch last */
#define BIT(n) (1ull << (n))

static bool possible(void)
{
	const char *why = guest_possible() ? uffd_why() : "";

	if (why && *why)
		printf("skip: %s\n", why);
	return !why;
}

static void catch_page(struct guest *g, bool on)
{
	const struct fault_filter f = {.first = PAGE, .last = PAGE};

	if (machine_fault_catch(g->m, &f, on, &g->e))
		fail_msg("%s: %s", g->e.what, g->e.why);
}

static struct regs all_regs(struct guest *g)
{
	struct regs r;

	if (machine_get_regs(g->m, 0, REGS_ALL, &r, &g->e))
		fail_msg("%s: %s", g->e.what, g->e.why);
	return r;
}

/* The registers inside the fault, and behind it. */
static void park(struct guest *g, enum run_kind kind, struct regs *inside, struct regs *behind)
{
	catch_page(g, true);
	assert_int_equal(guest_run(g, kind, 0, 1), STOP_FAULT_STAGE);
	*inside = all_regs(g);
	catch_page(g, false);
	*behind = all_regs(g);
	assert_int_equal(behind->old, 0);
}

/* emulated: giving the fault up has finished the instruction. */
static void assert_true_or_named(const struct regs *inside, const struct regs *behind, bool emulated)
{
	size_t n;
	const struct reg_name *names = reg_names(&n);

	for (size_t i = 0; i < n; i++) {
		uint64_t a = reg_get(inside, &names[i]), b = reg_get(behind, &names[i]);

		if (reg_is_old(inside, &names[i]) || !strcmp(names[i].group, "part") ||
		    (emulated && !strcmp(names[i].name, "rip")))
			continue;
		if (a != b)
			fail_msg("%s is %#llx inside the fault, %#llx behind it, and not named", names[i].name,
				 (unsigned long long)a, (unsigned long long)b);
	}
}

/* Of a host that has all in memory, and where memory can be read: PVM. */
static bool only_msrs_and_fpu(const struct regs *r)
{
	return r->old == (BIT(REGS_OLD_MSR) | BIT(REGS_OLD_FPU));
}

/* mov eax, 0x5000; wrfsbase rax; inc rax; wrgsbase rax; cvtsi2ss xmm0, eax; fld1; stc; mov [0x40000], eax */
static const uint8_t user_code[] = {0xb8, 0x00, 0x50, 0x00, 0x00, 0xf3, 0x48, 0x0f, 0xae, 0xd0, 0x48,
				    0xff, 0xc0, 0xf3, 0x48, 0x0f, 0xae, 0xd8, 0xf3, 0x0f, 0x2a, 0xc0,
				    0xd9, 0xe8, 0xf9, 0x89, 0x04, 0x25, 0x00, 0x00, 0x04, 0x00};

static void at_cpl3(void **state)
{
	struct regs r, inside, behind;
	struct guest g;

	(void)state;
	if (!possible())
		skip();
	guest_open(&g, GUEST_LONG, 3, false, 1);
	r = guest_regs(&g, 0);
	r.cr4 |= CR4_OSFXSR | CR4_FSGSBASE;
	if (machine_set_regs(g.m, 0, REGS_SYS, &r, &g.e)) {
		printf("skip: CR4.FSGSBASE: %s\n", g.e.why);
		guest_close(&g);
		skip();
	}
	guest_code(&g, user_code, sizeof(user_code));
	park(&g, RUN_CONTINUE, &inside, &behind);
	assert_true_or_named(&inside, &behind, false);
	assert_int_equal(behind.seg[SEG_FS].base, 0x5000);
	assert_int_not_equal(behind.fpu.xmm[0][3], 0);
	/* That these are named is right: they are of the last stop. */
	assert_true(inside.old >> REGS_OLD_FPU & 1);
	assert_int_equal(inside.fpu.xmm[0][3], 0);
	if (only_msrs_and_fpu(&inside)) {
		assert_int_equal(inside.seg[SEG_FS].base, 0x5000);
		assert_int_equal(inside.seg[SEG_GS].base, 0x5001);
		assert_int_equal(inside.rip, GUEST_CODE + sizeof(user_code) - 7);
		assert_int_equal(inside.rflags & RFLAGS_CF, RFLAGS_CF);
	}
	guest_close(&g);
}

/* mov rax, cr0; btr rax, 16; mov cr0, rax; mov rax, cr3; or rax, 8; mov cr3, rax; mov rax, cr4; or rax, 8; mov cr4, rax;
 * mov eax, 5; mov cr8, rax; lgdt [0xe000]; lidt [0xe010]; mov eax, 0x123; mov dr0, rax; mov eax, 0x5678; xor edx, edx;
 * mov ecx, 0xc0000082; wrmsr (lstar); mov ecx, 0xc0000101; wrmsr (gs.base); xor eax, eax; mov es, ax; lldt ax;
 * mov ecx, 0xc0000080; rdmsr; and al, 0xfe; wrmsr (efer.sce); stc; mov [0x40000], eax */
static const uint8_t kernel_code[] = {
    0x0f, 0x20, 0xc0, 0x48, 0x0f, 0xba, 0xf0, 0x10, 0x0f, 0x22, 0xc0, 0x0f, 0x20, 0xd8, 0x48, 0x83, 0xc8, 0x08, 0x0f,
    0x22, 0xd8, 0x0f, 0x20, 0xe0, 0x48, 0x83, 0xc8, 0x08, 0x0f, 0x22, 0xe0, 0xb8, 0x05, 0x00, 0x00, 0x00, 0x44, 0x0f,
    0x22, 0xc0, 0x0f, 0x01, 0x14, 0x25, 0x00, 0xe0, 0x00, 0x00, 0x0f, 0x01, 0x1c, 0x25, 0x10, 0xe0, 0x00, 0x00, 0xb8,
    0x23, 0x01, 0x00, 0x00, 0x0f, 0x23, 0xc0, 0xb8, 0x78, 0x56, 0x00, 0x00, 0x31, 0xd2, 0xb9, 0x82, 0x00, 0x00, 0xc0,
    0x0f, 0x30, 0xb9, 0x01, 0x01, 0x00, 0xc0, 0x0f, 0x30, 0x31, 0xc0, 0x8e, 0xc0, 0x0f, 0x00, 0xd0, 0xb9, 0x80, 0x00,
    0x00, 0xc0, 0x0f, 0x32, 0x24, 0xfe, 0x0f, 0x30, 0xf9, 0x89, 0x04, 0x25, 0x00, 0x00, 0x04, 0x00};

static void open_kernel(struct guest *g)
{
	guest_open(g, GUEST_LONG, 0, false, 1);
	guest_code(g, kernel_code, sizeof(kernel_code));
	guest_poke(g, 0xe000, "\x3f\x00\x00\x05\x00\x00\x00\x00\x00\x00", 10);
	guest_poke(g, 0xe010, "\x23\x01\x00\x41\x00\x00\x00\x00\x00\x00", 10);
}

static void at_cpl0(void **state)
{
	struct regs inside, behind;
	struct guest g;

	(void)state;
	if (!possible())
		skip();
	open_kernel(&g);
	park(&g, RUN_CONTINUE, &inside, &behind);
	assert_true_or_named(&inside, &behind, true);
	assert_int_equal(behind.cr0 & CR0_WP, 0);
	assert_int_equal(behind.msr.lstar, 0x5678);
	assert_true(inside.old >> REGS_OLD_MSR & 1);
	assert_int_equal(inside.msr.lstar, 0);
	if (only_msrs_and_fpu(&inside)) {
		assert_int_equal(inside.cr0 & CR0_WP, 0);
		assert_int_equal(inside.cr3, GUEST_CR3 | 8);
		assert_true(inside.cr4 & CR4_DE);
		assert_int_equal(inside.cr8, 5);
		assert_false(inside.efer & EFER_SCE);
		assert_int_equal(inside.dr[0], 0x123);
		assert_int_equal(inside.gdt.limit, 0x3f);
		assert_int_equal(inside.idt.base, 0x4100);
		assert_int_equal(inside.idt.limit, 0x123);
		assert_int_equal(inside.seg[SEG_ES].selector, 0);
		assert_int_equal(inside.seg[SEG_GS].base, 0x5678);
		assert_int_equal(inside.ldt.limit, behind.ldt.limit);
	}
	guest_close(&g);
}

/* mov [0x40000], eax */
static const uint8_t store[] = {0x89, 0x04, 0x25, 0x00, 0x00, 0x04, 0x00};

/* A step's own trap flag, empty IDT and count of one are nobody's registers. */
static void inside_a_step(void **state)
{
	static const uint8_t stosb[] = {0xf3, 0xaa}; /* rep stosb */
	struct regs inside, behind;

	(void)state;
	if (!possible())
		skip();
	for (unsigned i = 0; i < 8; i++) {
		unsigned cpl = i & 1 ? 3 : 0;
		bool idt = i & 2, rep = i & 4;
		struct guest g;

		guest_open(&g, GUEST_LONG, cpl, idt, 1);
		guest_set(&g, 0, RCX, 3);
		guest_set(&g, 0, RDI, PAGE << PAGE_SHIFT);
		guest_code(&g, rep ? stosb : store, rep ? sizeof(stosb) : sizeof(store));
		park(&g, RUN_STEP, &inside, &behind);
		if (cpl)
			assert_true_or_named(&inside, &behind, false);
		assert_int_equal(inside.rflags & RFLAGS_TF, 0);
		assert_int_equal(inside.idt.limit, idt ? 0x1ff : 0);
		assert_int_equal(inside.gpr[RCX], 3);
		guest_close(&g);
	}
}

/* Keeps what userfaultfd wants and drops what reading the kernel wants. */
static bool drop_bpf(void)
{
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct d[2] = {{0}};

	d[0].effective = d[0].permitted = 1u << CAP_SYS_PTRACE;
	return syscall(SYS_capset, &h, d) == 0;
}

static int named_in_a_child(void)
{
	struct guest g;
	struct regs r;

	if (!drop_bpf())
		return 2;
	open_kernel(&g);
	catch_page(&g, true);
	if (guest_continue(&g) != STOP_FAULT_STAGE)
		return 3;
	r = all_regs(&g);
	/* SMM alone is known where it is by hand. */
	if ((r.old | BIT(REGS_OLD_SMM)) != REGS_OLD_ALL || r.cr8 || r.rip != GUEST_CODE || r.valid != REGS_ALL)
		return 4;
	if (!g.stop.rip_old || g.stop.rip != GUEST_CODE)
		return 5;
	guest_close(&g);
	return 0;
}

/* A rip that is old does not pass for an instruction that has been done: the step is still to be made. */
static int step_in_a_child(void)
{
	struct guest g;
	uint64_t v = 0;

	if (!drop_bpf())
		return 2;
	guest_open(&g, GUEST_LONG, 3, false, 1);
	guest_set(&g, 0, RAX, 0x77);
	guest_poke(&g, GUEST_CODE, "\x90", 1);
	guest_poke(&g, GUEST_CODE + 1, store, sizeof(store));
	catch_page(&g, true);
	if (guest_continue(&g) != STOP_FAULT_STAGE || g.stop.rip != GUEST_CODE)
		return 3;
	if (guest_step(&g) != STOP_STEP || g.stop.rip != GUEST_CODE + 1 + sizeof(store) || g.stop.rip_old)
		return 4;
	guest_peek(&g, PAGE << PAGE_SHIFT, &v, 4);
	guest_close(&g);
	return v == 0x77 ? 0 : 5;
}

/* Nothing can be read: everything is of the last stop, and said to be. */
static void without_rights_all_are_named(void **state)
{
	int (*const in[])(void) = {named_in_a_child, step_in_a_child};
	int status;

	(void)state;
	if (!possible())
		skip();
	for (size_t i = 0; i < ARRAY_LEN(in); i++) {
		pid_t child = fork();

		assert_true(child >= 0);
		if (!child)
			_exit(in[i]());
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
}

/* The step of a fault that is given up is made all the same, once. */
static void a_step_out_of_it(void **state)
{
	struct guest g;
	uint64_t v = 0;

	(void)state;
	if (!possible())
		skip();
	guest_open(&g, GUEST_LONG, 3, false, 1);
	guest_set(&g, 0, RAX, 0x77);
	guest_code(&g, store, sizeof(store));
	catch_page(&g, true);
	assert_int_equal(guest_continue(&g), STOP_FAULT_STAGE);
	assert_int_equal(guest_step(&g), STOP_STEP);
	assert_int_equal(g.stop.rip, GUEST_CODE + sizeof(store));
	guest_peek(&g, PAGE << PAGE_SHIFT, &v, 4);
	assert_int_equal(v, 0x77);
	guest_close(&g);
}

/* Memory as the guest has it while a vCPU stands inside a fault, however it is read; then the breakpoint hits. */
static void int3_is_not_read(void **state)
{
	/* mov [0x40000], eax; nop; nop */
	static const uint8_t code[] = {0x89, 0x04, 0x25, 0x00, 0x00, 0x04, 0x00, 0x90, 0x90};
	struct guest g;
	uint8_t now[sizeof(code)];

	(void)state;
	if (!possible())
		skip();
	guest_open(&g, GUEST_LONG, 3, false, 1);
	guest_code(&g, code, sizeof(code));
	for (int i = 0; i < 5; i++) /* more than there are debug registers */
		guest_break(&g, i + 1, 0x7000 + (uint64_t)i);
	guest_break(&g, 9, GUEST_CODE + 8);
	catch_page(&g, true);
	assert_int_equal(guest_continue(&g), STOP_FAULT_STAGE);
	guest_peek(&g, GUEST_CODE, now, sizeof(now));
	assert_memory_equal(now, code, sizeof(code));
	size_t len;
	const uint8_t *raw = machine_peek(g.m, GUEST_CODE, false, &len);
	assert_memory_equal(raw, code, sizeof(code));
	catch_page(&g, false);
	assert_int_equal(guest_continue(&g), STOP_BREAKPOINT);
	assert_int_equal(g.stop.breakpoint, 9);
	guest_close(&g);
}

/* What stands for a breakpoint is decided at once, without asking the vCPU: its ioctls would wait for the fault's end. */
static void a_breakpoint_set_in_it(void **state)
{
	/* mov [0x40000], eax; nop; nop */
	static const uint8_t code[] = {0x89, 0x04, 0x25, 0x00, 0x00, 0x04, 0x00, 0x90, 0x90};
	struct guest g;

	(void)state;
	if (!possible())
		skip();
	guest_open(&g, GUEST_LONG, 3, false, 1);
	guest_code(&g, code, sizeof(code));
	catch_page(&g, true);
	assert_int_equal(guest_continue(&g), STOP_FAULT_STAGE);
	guest_break(&g, 9, GUEST_CODE + 8);
	catch_page(&g, false);
	assert_int_equal(guest_continue(&g), STOP_BREAKPOINT);
	assert_int_equal(g.stop.breakpoint, 9);
	guest_close(&g);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(int3_is_not_read),
	    cmocka_unit_test(at_cpl3),
	    cmocka_unit_test(at_cpl0),
	    cmocka_unit_test(inside_a_step),
	    cmocka_unit_test(without_rights_all_are_named),
	    cmocka_unit_test(a_step_out_of_it),
	    cmocka_unit_test(a_breakpoint_set_in_it),
	};

	(void)argc;
	return guest_once_more(argv, cmocka_run_group_tests(tests, NULL, NULL));
}
