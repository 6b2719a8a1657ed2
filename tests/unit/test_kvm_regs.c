/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Registers of the kvm backend: reset state, every part stored and read back, the sync area kept coherent, what KVM refuses,
 * and exceptions that are injected.
 */
#include "core/cpu/smm.h"
#include "tests/support/kvmtest.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include <cmocka.h>

static struct machine *m;

static int setup(void **state)
{
	(void)state;
	m = kvmtest_create(2);
	if (m)
		kvmtest_slot(m, 0, 0, 0x80000, 0, 0);
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

static void assert_reset(const struct regs *r)
{
	assert_int_equal(r->rip, 0xfff0);
	assert_int_equal(r->rflags, 2);
	assert_int_equal(r->gpr[RDX], 0x600);
	assert_int_equal(r->gpr[RAX], 0);
	assert_int_equal(r->seg[SEG_CS].selector, 0xf000);
	assert_int_equal(r->seg[SEG_CS].base, 0xffff0000);
	assert_int_equal(r->seg[SEG_DS].limit, 0xffff);
	assert_int_equal(r->idt.limit, 0xffff);
	assert_int_equal(r->cr0, 0x60000010);
	assert_int_equal(r->cr4, 0);
	assert_int_equal(r->efer, 0);
	assert_int_equal(r->dr[6], 0xffff0ff0);
	assert_int_equal(r->dr[7], 0x400);
	assert_true(r->msr.pat == 0x0007040600070406);
	assert_int_equal(r->msr.lstar, 0);
	assert_int_equal(r->fpu.mxcsr, 0x1f80);
	assert_int_equal(r->fpu.fcw, 0x40);
	assert_int_equal(r->xcr0, 1);
	assert_false(r->smm || r->halted || r->exception_pending);
}

static void test_fresh_state(void **state)
{
	struct regs r;

	NEED_KVM();
	r = kvmtest_regs(m, 0, REGS_ALL);
	assert_reset(&r);
	assert_int_equal(r.msr.apic_base, 0xfee00900);
	r = kvmtest_regs(m, 1, REGS_ALL);
	assert_reset(&r);
	assert_int_equal(r.msr.apic_base, 0xfee00800);
}

static void test_general(void **state)
{
	struct regs r, got;

	NEED_KVM();
	r = kvmtest_regs(m, 0, REGS_GPR);
	for (unsigned i = 0; i < 16; i++)
		r.gpr[i] = 0x0101010101010101ull * (i + 1);
	r.rip = 0x1234;
	r.rflags = RFLAGS_FIXED | RFLAGS_CF | RFLAGS_ZF | RFLAGS_OF;
	kvmtest_set_regs(m, 0, REGS_GPR, &r);
	got = kvmtest_regs(m, 0, REGS_GPR);
	assert_memory_equal(got.gpr, r.gpr, sizeof(r.gpr));
	assert_int_equal(got.rip, 0x1234);
	assert_int_equal(got.rflags, r.rflags);
	got = kvmtest_regs(m, 1, REGS_GPR);
	assert_int_equal(got.gpr[RBX], 0);
}

static void test_system(void **state)
{
	static const uint8_t code[] = {0xf4};
	struct regs r, got;

	NEED_KVM();
	kvmtest_long_user(m, code, sizeof(code));
	r = kvmtest_regs(m, 0, REGS_SYS);
	r.gdt = (struct desc_table){0xffff800000001000, 0x3f};
	r.idt = (struct desc_table){0xffff800000002000, 0xfff};
	r.cr2 = 0xdeadbeef;
	r.cr8 = 5;
	r.seg[SEG_FS].base = 0x7f0000001000;
	r.seg[SEG_GS].base = 0xffff888000000000;
	r.tr = (struct seg){.base = 0x5000, .limit = 0x67, .selector = 0x28, .type = 11, .present = true};
	kvmtest_set_regs(m, 0, REGS_SYS, &r);
	got = kvmtest_regs(m, 0, REGS_SYS);
	assert_true(got.gdt.base == r.gdt.base && got.gdt.limit == 0x3f);
	assert_true(got.idt.base == r.idt.base && got.idt.limit == 0xfff);
	assert_true(got.cr0 == r.cr0 && got.cr3 == r.cr3 && got.cr4 == r.cr4 && got.efer == r.efer);
	assert_int_equal(got.cr2, 0xdeadbeef);
	assert_int_equal(got.cr8, 5);
	assert_true(got.seg[SEG_FS].base == 0x7f0000001000 && got.seg[SEG_GS].base == 0xffff888000000000);
	assert_int_equal(got.seg[SEG_CS].selector, 0x23);
	assert_int_equal(got.seg[SEG_CS].dpl, 3);
	assert_true(got.seg[SEG_CS].l);
	assert_int_equal(got.seg[SEG_DS].limit, 0xffffffff);
	assert_int_equal(got.tr.selector, 0x28);
	assert_int_equal(got.tr.limit, 0x67);
}

static void test_debug(void **state)
{
	struct regs r, got;

	NEED_KVM();
	if (!kvm_of(m)->host->debugregs) {
		printf("skip: no KVM_CAP_DEBUGREGS\n");
		skip();
	}
	r = kvmtest_regs(m, 0, REGS_DEBUG);
	for (unsigned i = 0; i < 4; i++)
		r.dr[i] = 0x1000 * (i + 1);
	r.dr[7] = 0x405;
	kvmtest_set_regs(m, 0, REGS_DEBUG, &r);
	got = kvmtest_regs(m, 0, REGS_DEBUG);
	assert_memory_equal(got.dr, r.dr, sizeof(r.dr));
}

static void test_msrs(void **state)
{
	struct regs r, got;

	NEED_KVM();
	r = kvmtest_regs(m, 0, REGS_MSR);
	r.msr.star = 0x0023001000000000;
	r.msr.lstar = 0xffffffff81000000;
	r.msr.cstar = 0xffffffff81001000;
	r.msr.sfmask = 0x47700;
	r.msr.kernel_gs_base = 0xffff888000001000;
	r.msr.sysenter_cs = 0x10;
	r.msr.sysenter_esp = 0xffffc90000001000;
	r.msr.sysenter_eip = 0xffffffff81002000;
	r.msr.pat = 0x0407050600070106;
	r.msr.apic_base = 0xfee00900;
	kvmtest_set_regs(m, 0, REGS_MSR, &r);
	got = kvmtest_regs(m, 0, REGS_MSR);
	assert_true(got.msr.star == r.msr.star && got.msr.lstar == r.msr.lstar && got.msr.cstar == r.msr.cstar);
	assert_true(got.msr.sfmask == r.msr.sfmask && got.msr.kernel_gs_base == r.msr.kernel_gs_base);
	assert_true(got.msr.sysenter_cs == 0x10 && got.msr.pat == r.msr.pat);
	/* A processor that has no SYSENTER in long mode keeps 32 bits of these two. */
	assert_int_equal((uint32_t)got.msr.sysenter_esp, (uint32_t)r.msr.sysenter_esp);
	assert_int_equal((uint32_t)got.msr.sysenter_eip, (uint32_t)r.msr.sysenter_eip);
	assert_true(got.msr.sysenter_esp >> 32 == 0 || got.msr.sysenter_esp == r.msr.sysenter_esp);
	assert_true(got.msr.sysenter_eip >> 32 == 0 || got.msr.sysenter_eip == r.msr.sysenter_eip);
	/* The TSC that was read is not an order to turn it back. */
	assert_true(got.msr.tsc > r.msr.tsc);
}

/* One MSR that cannot be stored does not keep the others from it, and the error names it. */
static void test_msr_refused(void **state)
{
	struct regs r, got;
	struct err e = {0};

	NEED_KVM();
	r = kvmtest_regs(m, 0, REGS_MSR);
	r.msr.lstar = 0x8000000000000000;
	r.msr.sfmask = 0x200;
	assert_int_equal(machine_set_regs(m, 0, REGS_MSR, &r, &e), -EINVAL);
	assert_non_null(strstr(e.what, "lstar"));
	got = kvmtest_regs(m, 0, REGS_MSR);
	assert_int_equal(got.msr.sfmask, 0x200);
	assert_int_equal(got.msr.lstar, 0);
}

static void test_fpu(void **state)
{
	struct regs r, got;

	NEED_KVM();
	r = kvmtest_regs(m, 0, REGS_FPU);
	r.fpu.fcw = 0x27f;
	r.fpu.fsw = 0x3800;
	r.fpu.ftw = 0x80;
	r.fpu.fop = 0x123;
	r.fpu.fip = 0x1122;
	r.fpu.fdp = 0x3344;
	r.fpu.mxcsr = 0x1fa0;
	for (unsigned i = 0; i < 8; i++)
		memset(r.fpu.st[i], 0x10 + (int)i, 10);
	for (unsigned i = 0; i < 16; i++)
		memset(r.fpu.xmm[i], 0x20 + (int)i, 16);
	kvmtest_set_regs(m, 0, REGS_FPU, &r);
	got = kvmtest_regs(m, 0, REGS_FPU);
	assert_memory_equal(got.fpu.st, r.fpu.st, sizeof(r.fpu.st));
	assert_memory_equal(got.fpu.xmm, r.fpu.xmm, sizeof(r.fpu.xmm));
	assert_int_equal(got.fpu.fcw, 0x27f);
	assert_int_equal(got.fpu.fsw, 0x3800);
	assert_int_equal(got.fpu.ftw, 0x80);
	assert_int_equal(got.fpu.mxcsr, 0x1fa0);
}

static void test_fpu_refused(void **state)
{
	struct regs r, got;
	struct err e = {0};

	NEED_KVM();
	r = kvmtest_regs(m, 0, REGS_FPU);
	r.fpu.mxcsr = 0xffffffff;
	assert_int_equal(machine_set_regs(m, 0, REGS_FPU, &r, &e), -EINVAL);
	assert_non_null(strstr(e.why, "MXCSR 0xffffffff"));
	got = kvmtest_regs(m, 0, REGS_FPU);
	assert_int_equal(got.fpu.mxcsr, 0x1f80);
}

/* xmm as the guest reads it: XSTATE_BV must say that the legacy region counts. */
static void test_fpu_reaches_guest(void **state)
{
	/* movq [0x240000], xmm3; ud2 */
	static const uint8_t code[] = {0x66, 0x0f, 0xd6, 0x1c, 0x25, 0x00, 0x00, 0x24, 0x00, 0x0f, 0x0b};
	struct regs r;

	NEED_KVM();
	kvmtest_long_user(m, code, sizeof(code));
	kvmtest_map(m, 0x240000, 0x40007);
	r = kvmtest_regs(m, 0, REGS_SYS | REGS_FPU);
	r.cr4 |= CR4_OSFXSR;
	memset(r.fpu.xmm[3], 0x5a, 16);
	kvmtest_set_regs(m, 0, REGS_SYS | REGS_FPU, &r);
	assert_int_equal(kvmtest_run(m, 0), KVM_EXIT_SHUTDOWN);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(kvmtest_mem(m, 0x40000, false)[i], 0x5a);
}

static void test_refused_system(void **state)
{
	struct regs r, before, got;
	struct err e = {0};

	NEED_KVM();
	before = r = kvmtest_regs(m, 0, REGS_GPR | REGS_SYS);
	r.cr0 = CR0_PG; /* without PE */
	r.gpr[RAX] = 0x77;
	assert_int_equal(machine_set_regs(m, 0, REGS_GPR | REGS_SYS, &r, &e), -EINVAL);
	assert_non_null(strstr(e.why, "CR0 0x80000000"));
	got = kvmtest_regs(m, 0, REGS_GPR | REGS_SYS);
	assert_int_equal(got.cr0, before.cr0);
	assert_int_equal(got.gpr[RAX], before.gpr[RAX]);
}

/* After an exit the run area holds the registers; stores keep it true. */
static void test_sync_area(void **state)
{
	struct kvm_vm *vm;
	struct regs r;

	NEED_KVM();
	vm = kvm_of(m);
	if (!(vm->host->sync_regs & KVM_SYNC_X86_REGS)) {
		printf("skip: no KVM_CAP_SYNC_REGS\n");
		skip();
	}
	vm->vcpu[0].run->kvm_valid_regs = vm->host->sync_regs;
	memcpy(kvmtest_mem(m, 0x1000, false), "\xb8\x34\x12\xf4", 4); /* mov ax, 0x1234; hlt */
	kvmtest_real(m, 0, 0x1000);
	assert_int_equal(kvmtest_run(m, 0), KVM_EXIT_HLT);
	assert_int_equal(vm->vcpu[0].sync_fresh, vm->host->sync_regs);
	r = kvmtest_regs(m, 0, REGS_GPR | REGS_SYS | REGS_EVENTS);
	assert_int_equal(r.gpr[RAX], 0x1234);
	assert_int_equal(r.rip, 0x1004);
	r.gpr[RBX] = 0xabcd;
	r.seg[SEG_DS].selector = 0x40;
	r.seg[SEG_DS].base = 0x400;
	kvmtest_set_regs(m, 0, REGS_GPR | REGS_SYS, &r);
	r = kvmtest_regs(m, 0, REGS_GPR | REGS_SYS);
	assert_int_equal(r.gpr[RBX], 0xabcd);
	assert_int_equal(r.seg[SEG_DS].base, 0x400);
	vm->vcpu[0].sync_fresh = 0; /* and by ioctl the same */
	r = kvmtest_regs(m, 0, REGS_GPR | REGS_SYS);
	assert_int_equal(r.gpr[RBX], 0xabcd);
	assert_int_equal(r.seg[SEG_DS].base, 0x400);
}

/* Is a shadow of MOV SS alone told as one of STI as well? */
static bool shadows_are_one(void)
{
	struct regs r = kvmtest_regs(m, 0, REGS_EVENTS), ss = r, got;

	ss.sti_shadow = false;
	ss.mov_ss_shadow = true;
	kvmtest_set_regs(m, 0, REGS_EVENTS, &ss);
	got = kvmtest_regs(m, 0, REGS_EVENTS);
	assert_true(got.mov_ss_shadow);
	kvmtest_set_regs(m, 0, REGS_EVENTS, &r);
	return got.sti_shadow;
}

static void test_events(void **state)
{
	struct regs r, got;

	NEED_KVM();
	r = kvmtest_regs(m, 0, REGS_ALL);
	r.sti_shadow = true;
	r.nmi_masked = true;
	r.exception_pending = true;
	r.exception_vector = 13;
	r.exception_has_error = true;
	r.exception_error = 0x18;
	r.halted = true;
	kvmtest_set_regs(m, 0, REGS_EVENTS, &r);
	/* Storing general registers must not lose it. */
	kvmtest_set_regs(m, 0, REGS_GPR, &r);
	got = kvmtest_regs(m, 0, REGS_EVENTS);
	assert_true(got.sti_shadow && got.nmi_masked && got.halted);
	/* The other's: told too where the processor has one shadow for both. */
	assert_int_equal(got.mov_ss_shadow, shadows_are_one());
	assert_true(got.exception_pending && got.exception_has_error);
	assert_int_equal(got.exception_vector, 13);
	assert_int_equal(got.exception_error, 0x18);
	r.exception_pending = r.sti_shadow = r.nmi_masked = r.halted = false;
	kvmtest_set_regs(m, 0, REGS_EVENTS, &r);
	got = kvmtest_regs(m, 0, REGS_EVENTS);
	assert_false(got.exception_pending || got.sti_shadow || got.nmi_masked || got.halted);
}

/* KVM_SET_REGS drops an exception that KVM itself has pending; it cannot be made so from outside, hence the made-up exit. */
static void test_waiting_exception_is_kept(void **state)
{
	struct kvcpu *v;
	struct regs r;

	NEED_KVM();
	v = &kvm_of(m)->vcpu[0];
	r = kvmtest_regs(m, 0, REGS_GPR);
	memset(&v->run->s.regs.events, 0, sizeof(v->run->s.regs.events));
	v->run->s.regs.events.exception.injected = 1;
	v->run->s.regs.events.exception.nr = 6;
	v->sync_fresh |= KVM_SYNC_X86_EVENTS;
	kvmtest_set_regs(m, 0, REGS_GPR, &r);
	v->sync_fresh = 0;
	r = kvmtest_regs(m, 0, REGS_EVENTS);
	assert_true(r.exception_pending);
	assert_int_equal(r.exception_vector, 6);
}

/* Into a real-mode handler: vector 6 at 0x2000. */
static void test_inject(void **state)
{
	const struct guest_fault ud = {.present = true, .vector = 6};
	struct err e = {0};
	struct regs r;

	NEED_KVM();
	memcpy(kvmtest_mem(m, 0x1000, false), "\x90\xf4", 2);
	memcpy(kvmtest_mem(m, 0x2000, false), "\xb8\x06\x00\xf4", 4); /* mov ax, 6; hlt */
	memcpy(kvmtest_mem(m, 6 * 4, false), "\x00\x20\x00\x00", 4);
	kvmtest_real(m, 0, 0x1000);
	r = kvmtest_regs(m, 0, REGS_GPR);
	r.gpr[RSP] = 0x7000;
	kvmtest_set_regs(m, 0, REGS_GPR, &r);
	assert_int_equal(machine_inject(m, 0, &ud, &e), 0);
	assert_int_equal(machine_inject(m, 0, &ud, &e), -EBUSY);
	assert_int_equal(kvmtest_run(m, 0), KVM_EXIT_HLT);
	r = kvmtest_regs(m, 0, REGS_GPR);
	assert_int_equal(r.gpr[RAX], 6);
	assert_int_equal(r.rip, 0x2004);
	assert_memory_equal(kvmtest_mem(m, 0x6ffa, false), "\x00\x10", 2); /* the ip that it came from */
}

static void test_inject_page_fault(void **state)
{
	const struct guest_fault pf = {
	    .present = true, .vector = 14, .has_error = true, .error_code = 6, .address = 0xcafe000};
	struct err e = {0};
	struct regs r;

	NEED_KVM();
	assert_int_equal(machine_inject(m, 0, &pf, &e), 0);
	r = kvmtest_regs(m, 0, REGS_SYS | REGS_EVENTS);
	assert_int_equal(r.cr2, 0xcafe000);
	assert_int_equal(r.exception_vector, 14);
	assert_int_equal(r.exception_error, 6);
}

static void test_reset(void **state)
{
	struct regs r;
	struct err e = {0};

	NEED_KVM();
	r = kvmtest_regs(m, 0, REGS_ALL);
	r.gpr[RAX] = 1;
	r.rip = 2;
	r.cr2 = 3;
	r.msr.lstar = 4;
	r.fpu.fcw = 5;
	r.dr[0] = 6;
	r.dr[7] = 0x401;
	r.exception_pending = true;
	r.exception_vector = 6;
	r.nmi_masked = true;
	kvmtest_set_regs(m, 0, REGS_ALL, &r);
	assert_int_equal(machine_reset(m, &e), 0);
	r = kvmtest_regs(m, 0, REGS_ALL);
	assert_reset(&r);
	assert_int_equal(r.cr2, 0);
	assert_int_equal(r.dr[0], 0);
	assert_false(r.nmi_masked);
}

static void set_pae(struct regs *r)
{
	for (unsigned i = 0; i < SEG_COUNT; i++)
		r->seg[i] = (struct seg){.limit = ~0u,
					 .selector = i == SEG_CS ? 8 : 16,
					 .type = i == SEG_CS ? 11 : 3,
					 .s = true,
					 .present = true,
					 .db = true,
					 .g = true};
	r->cr0 = CR0_PE | CR0_ET | CR0_PG;
	r->cr3 = 0x3000;
	r->cr4 = CR4_PAE;
	r->efer = 0;
}

/* The four entries of PAE's top table are registers: what memory says counts from the next load of CR3 on. */
static void test_pae_registers(void **state)
{
	const uint64_t top[] = {0x4001, 0x5001, 0, 0};
	struct err e = {0};
	struct regs r;

	NEED_KVM();
	memcpy(kvmtest_mem(m, 0x3000, false), top, sizeof(top));
	r = kvmtest_regs(m, 0, REGS_SYS);
	set_pae(&r);
	kvmtest_set_regs(m, 0, REGS_SYS, &r);
	r = kvmtest_regs(m, 0, REGS_SYS);
	if (!r.pdpte_valid) {
		printf("skip: PAE's top entries are no registers here, or KVM does not tell them\n");
		skip();
	}
	assert_int_equal(r.pdpte[1], 0x5001);
	*(uint64_t *)(void *)kvmtest_mem(m, 0x3008, false) = 0x6001;
	r.seg[SEG_DS].selector = 24;
	kvmtest_set_regs(m, 0, REGS_SYS, &r);
	r = kvmtest_regs(m, 0, REGS_SYS);
	assert_int_equal(r.seg[SEG_DS].selector, 24);
	assert_int_equal(r.pdpte[1], 0x5001);
	assert_int_equal(reg_set(&r, reg_find("cr3"), 0x3000, &e), 0);
	kvmtest_set_regs(m, 0, REGS_SYS, &r);
	r = kvmtest_regs(m, 0, REGS_SYS);
	assert_true(r.pdpte_valid);
	assert_int_equal(r.pdpte[1], 0x6001);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_fresh_state),
	    T(test_general),
	    T(test_system),
	    T(test_pae_registers),
	    T(test_debug),
	    T(test_msrs),
	    T(test_msr_refused),
	    T(test_fpu),
	    T(test_fpu_refused),
	    T(test_fpu_reaches_guest),
	    T(test_refused_system),
	    T(test_sync_area),
	    T(test_events),
	    T(test_inject),
	    T(test_inject_page_fault),
	    T(test_reset),
	    T(test_waiting_exception_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
