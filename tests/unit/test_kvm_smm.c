/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * SMM by hand on the kvm backend: an SMI taken out of long mode at CPL3, a handler in memory that only SMM sees, RSM, SMBASE
 * relocation, blocked and latched SMIs, and what fails without changing anything. A test plays run control: it stops where
 * RSM stands, since KVM itself answers #UD.
 */
#include "core/cpu/smm.h"
#include "tests/support/kvmtest.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct machine *m;

static int setup(void **state)
{
	(void)state;
	m = kvmtest_create(2);
	if (!m)
		return 0;
	if (kvm_of(m)->host->x86_smm) {
		printf("skip: this host's KVM does SMM itself\n");
		machine_destroy(m);
		m = NULL;
		return 0;
	}
	kvmtest_slot(m, 0, 0, 0x30000, 0, 0);
	kvmtest_slot(m, 1, 0x30000, 0x10000, 0, SLOT_VIS_NONSMM);
	kvmtest_slot(m, 2, 0x30000, 0x10000, SLOT_SMRAM, SLOT_VIS_SMM);
	kvmtest_slot(m, 3, 0x40000, 0x40000, 0, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	machine_destroy(m);
	m = NULL;
	return 0;
}

#define NEED_KVM()                                                                                                          \
	do {                                                                                                                \
		(void)state;                                                                                                \
		if (!m)                                                                                                     \
			skip();                                                                                             \
	} while (0)

/* The handler: mov byte [0x500], 0x5a; mov al, [0x30000]; mov [0x501], al; hlt where RSM would stand. */
static const uint8_t handler[] = {0xc6, 0x06, 0x00, 0x05, 0x5a, 0xa0, 0x00, 0x00, 0xa2, 0x01, 0x05, 0xf4};
/* mov eax, [0x240000]; ud2 */
static const uint8_t user_code[] = {0x8b, 0x04, 0x25, 0x00, 0x00, 0x24, 0x00, 0x0f, 0x0b};

static void in_long_mode(void)
{
	kvmtest_long_user(m, user_code, sizeof(user_code));
	kvmtest_map(m, 0x240000, 0x30007);
	kvmtest_mem(m, 0x30000, false)[0] = 0x11;
	memcpy(kvmtest_mem(m, 0x38000, true), handler, sizeof(handler));
}

static uint64_t saved(uint64_t smbase, unsigned offset, size_t len)
{
	uint64_t x = 0;

	memcpy(&x, kvmtest_mem(m, smbase + SMM_SAVE_OFFSET + offset, true), len);
	return x;
}

static void test_there_and_back(void **state)
{
	struct regs before, r;
	struct err e = {0};

	NEED_KVM();
	in_long_mode();
	before = kvmtest_regs(m, 0, REGS_ALL);
	before.gpr[R15] = 0x1122334455667788;
	before.gpr[RSP] = 0x7fff00000000;
	kvmtest_set_regs(m, 0, REGS_GPR, &before);
	assert_int_equal(machine_smi(m, 0, &e), 0);

	r = kvmtest_regs(m, 0, REGS_GPR | REGS_SYS);
	assert_true(r.smm);
	assert_int_equal(r.rip, 0x8000);
	assert_int_equal(r.seg[SEG_CS].base, 0x30000);
	assert_int_equal(r.cr0 & (CR0_PE | CR0_PG), 0);
	assert_true(saved(0x30000, 0x178, 8) == 0x200000);
	assert_true(saved(0x30000, 0x180, 8) == 0x1122334455667788);
	assert_int_equal(saved(0x30000, 0x0fc, 4), SMM_REVISION);
	assert_int_equal(kvmtest_mem(m, 0x3fff8, false)[0], 0); /* the memory outside SMM was not written */

	assert_int_equal(kvmtest_run(m, 0), KVM_EXIT_HLT);
	assert_int_equal(kvmtest_mem(m, 0x500, false)[0], 0x5a);
	assert_int_equal(kvmtest_mem(m, 0x501, false)[0], 0); /* DS is flat from 0: [0] of slot 0 */

	assert_int_equal(kvm_smm_leave(kvm_of(m), 0, &e), 0);
	r = kvmtest_regs(m, 0, REGS_ALL);
	assert_false(r.smm);
	assert_memory_equal(r.gpr, before.gpr, sizeof(r.gpr));
	assert_true(r.rip == before.rip && r.rflags == before.rflags);
	assert_true(r.cr0 == before.cr0 && r.cr3 == before.cr3 && r.cr4 == before.cr4 && r.efer == before.efer);
	assert_int_equal(r.seg[SEG_CS].selector, 0x23);
	assert_true(r.seg[SEG_CS].l);
	assert_int_equal(r.seg[SEG_SS].dpl, 3);
	assert_int_equal(r.idt.limit, before.idt.limit);
	assert_false(r.nmi_masked);
	/* And the guest goes on, with its own memory at 0x30000 again. */
	assert_int_equal(kvmtest_run(m, 0), KVM_EXIT_SHUTDOWN);
	assert_int_equal(kvmtest_regs(m, 0, REGS_GPR).gpr[RAX], 0x11);
}

/* What the guest sees at 0x30000 is SMRAM inside, its own memory outside. */
static void test_memory_follows(void **state)
{
	/* push 0x3000; pop ds; mov al, [0]; mov byte [1], 0x77; hlt */
	static const uint8_t code[] = {0x68, 0x00, 0x30, 0x1f, 0xa0, 0x00, 0x00, 0xc6, 0x06, 0x01, 0x00, 0x77, 0xf4};
	struct regs r;
	struct err e = {0};

	NEED_KVM();
	in_long_mode();
	memcpy(kvmtest_mem(m, 0x38000, true), code, sizeof(code));
	kvmtest_mem(m, 0x30000, true)[0] = 0x99;
	assert_int_equal(machine_smi(m, 0, &e), 0);
	r = kvmtest_regs(m, 0, REGS_GPR);
	r.gpr[RSP] = 0x7000;
	kvmtest_set_regs(m, 0, REGS_GPR, &r);
	assert_int_equal(kvmtest_run(m, 0), KVM_EXIT_HLT);
	assert_int_equal(kvmtest_regs(m, 0, REGS_GPR).gpr[RAX] & 0xff, 0x99);
	assert_int_equal(kvmtest_mem(m, 0x30001, true)[0], 0x77);
	assert_int_equal(kvmtest_mem(m, 0x30001, false)[0], 0);
	assert_int_equal(kvm_smm_leave(kvm_of(m), 0, &e), 0);
}

static void test_relocation(void **state)
{
	const uint32_t moved = 0x50000;
	struct err e = {0};
	uint32_t smbase;

	NEED_KVM();
	in_long_mode();
	assert_int_equal(machine_smbase(m, 0, &smbase, &e), 0);
	assert_int_equal(smbase, 0x30000);
	assert_int_equal(machine_smi(m, 0, &e), 0);
	memcpy(kvmtest_mem(m, 0x30000 + SMM_SAVE_OFFSET + 0x100, true), &moved, 4);
	assert_int_equal(kvm_smm_leave(kvm_of(m), 0, &e), 0);
	assert_int_equal(machine_smbase(m, 0, &smbase, &e), 0);
	assert_int_equal(smbase, moved);
	assert_int_equal(machine_smbase(m, 1, &smbase, &e), 0);
	assert_int_equal(smbase, 0x30000);
	assert_int_equal(machine_smi(m, 0, &e), 0);
	assert_int_equal(kvmtest_regs(m, 0, REGS_SYS).seg[SEG_CS].base, moved);
	assert_true(saved(moved, 0x178, 8) == 0x200000);
	assert_int_equal(kvm_smm_leave(kvm_of(m), 0, &e), 0);
	/* Reset takes it back. */
	assert_int_equal(machine_reset(m, &e), 0);
	assert_int_equal(machine_smbase(m, 0, &smbase, &e), 0);
	assert_int_equal(smbase, 0x30000);
}

static void test_nested(void **state)
{
	struct kvm_vm *vm;
	struct err e = {0};

	NEED_KVM();
	vm = kvm_of(m);
	in_long_mode();
	assert_int_equal(kvm_smm_leave(vm, 0, &e), -EINVAL);
	assert_non_null(strstr(e.why, "not in SMM"));
	assert_int_equal(machine_smi(m, 0, &e), 0);
	assert_int_equal(machine_smi(m, 0, &e), -EBUSY); /* a person's: refused */
	assert_non_null(strstr(e.why, "in SMM already"));
	assert_int_equal(kvm_smm_enter(vm, 0, &e), 0); /* the board's: one is kept */
	assert_int_equal(kvm_smm_enter(vm, 0, &e), 0);
	assert_int_equal(kvmtest_regs(m, 0, REGS_GPR).rip, 0x8000);
	assert_true(saved(0x30000, 0x178, 8) == 0x200000);
	assert_int_equal(kvm_smm_leave(vm, 0, &e), 0); /* out, and in again at once */
	assert_true(vm->vcpu[0].in_smm);
	assert_int_equal(kvmtest_regs(m, 0, REGS_GPR).rip, 0x8000);
	assert_true(saved(0x30000, 0x178, 8) == 0x200000);
	assert_int_equal(kvm_smm_leave(vm, 0, &e), 0);
	assert_false(vm->vcpu[0].in_smm);
	assert_int_equal(kvmtest_regs(m, 0, REGS_GPR).rip, 0x200000);
}

static void test_bad_saved_state(void **state)
{
	const uint64_t cr0 = CR0_PG;
	struct err e = {0};
	struct regs r;

	NEED_KVM();
	in_long_mode();
	assert_int_equal(machine_smi(m, 0, &e), 0);
	memcpy(kvmtest_mem(m, 0x30000 + SMM_SAVE_OFFSET + 0x158, true), &cr0, 8);
	assert_int_equal(kvm_smm_leave(kvm_of(m), 0, &e), -EINVAL);
	assert_non_null(strstr(e.why, "shutdown"));
	r = kvmtest_regs(m, 0, REGS_GPR | REGS_SYS);
	assert_true(r.smm);
	assert_int_equal(r.rip, 0x8000);
}

static void test_no_smram(void **state)
{
	struct err e = {0};
	struct regs r;

	NEED_KVM();
	in_long_mode();
	assert_int_equal(machine_slot_delete(m, 2, NULL, &e), 0);
	assert_int_equal(machine_smi(m, 0, &e), -EFAULT);
	assert_non_null(strstr(e.what, "SMI to vCPU 0"));
	r = kvmtest_regs(m, 0, REGS_GPR | REGS_SYS);
	assert_false(r.smm);
	assert_int_equal(r.rip, 0x200000);
	assert_false(kvm_of(m)->view_smm);
}

/* Two vCPUs inside: the memory is SMM's until the last one leaves. */
static void test_two_vcpus(void **state)
{
	const uint32_t other = 0x50000;
	struct kvm_vm *vm;
	struct err e = {0};

	NEED_KVM();
	vm = kvm_of(m);
	in_long_mode();
	vm->vcpu[1].smbase = other;
	assert_int_equal(machine_smi(m, 0, &e), 0);
	assert_int_equal(machine_smi(m, 1, &e), 0);
	assert_true(saved(other, 0x178, 8) == 0xfff0);
	assert_int_equal(kvm_smm_leave(vm, 0, &e), 0);
	assert_true(vm->view_smm);
	assert_int_equal(kvm_smm_leave(vm, 1, &e), 0);
	assert_false(vm->view_smm);
	assert_int_equal(kvmtest_regs(m, 1, REGS_GPR).rip, 0xfff0);
}

static void test_waiting_exception(void **state)
{
	const struct guest_fault ud = {.present = true, .vector = 6};
	struct err e = {0};

	NEED_KVM();
	in_long_mode();
	assert_int_equal(machine_inject(m, 0, &ud, &e), 0);
	assert_int_equal(machine_smi(m, 0, &e), -EBUSY);
	assert_non_null(strstr(e.why, "exception 6"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_there_and_back),  T(test_memory_follows), T(test_relocation), T(test_nested),
	    T(test_bad_saved_state), T(test_no_smram),	     T(test_two_vcpus),	 T(test_waiting_exception),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
