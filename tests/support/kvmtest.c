/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * VMs for the tests of the kvm backend.
 */
#include "tests/support/kvmtest.h"
#include "kvmback/kvmback.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include <cmocka.h>

static void check(int rc, const struct err *e)
{
	char text[1024];

	if (!rc)
		return;
	err_format(e, text, sizeof(text));
	fail_msg("%s", text);
}

struct machine *kvmtest_create(unsigned vcpus)
{
	const struct machine_config cfg = {.vcpus = vcpus};
	struct machine *m = NULL;
	struct err e = {0};

	if (kvmback_available(&e)) {
		printf("skip: %s\n", e.why);
		return NULL;
	}
	check(machine_create(&kvm_backend, &cfg, &m, &e), &e);
	return m;
}

void kvmtest_slot(struct machine *m, uint32_t id, uint64_t gpa, uint64_t size, uint32_t flags, enum slot_vis vis)
{
	const struct slot_spec spec = {.id = id, .gpa = gpa, .size = size, .flags = flags, .vis = vis};
	struct err e = {0};

	check(machine_slot_add(m, &spec, NULL, &e), &e);
}

uint8_t *kvmtest_mem(struct machine *m, uint64_t gpa, bool smm)
{
	struct slot *s = slot_lookup(machine_slots(m), gpa, smm, NULL);

	assert_non_null(s);
	return s->alias + (gpa - s->gpa);
}

struct regs kvmtest_regs(struct machine *m, unsigned vcpu, uint32_t parts)
{
	struct regs r = {0};
	struct err e = {0};

	check(machine_get_regs(m, vcpu, parts, &r, &e), &e);
	assert_int_equal(r.valid & parts, parts);
	return r;
}

void kvmtest_set_regs(struct machine *m, unsigned vcpu, uint32_t parts, const struct regs *r)
{
	struct err e = {0};

	check(machine_set_regs(m, vcpu, parts, r, &e), &e);
}

void kvmtest_map(struct machine *m, uint64_t gva, uint64_t pte)
{
	memcpy(kvmtest_mem(m, 0x13000 + (gva - 0x200000) / 0x1000 * 8, false), &pte, sizeof(pte));
}

static void put64(struct machine *m, uint64_t gpa, uint64_t x)
{
	memcpy(kvmtest_mem(m, gpa, false), &x, sizeof(x));
}

void kvmtest_long_user(struct machine *m, const void *code, size_t len)
{
	const struct seg cs = {
	    .limit = ~0u, .selector = 0x23, .type = 11, .present = true, .dpl = 3, .s = true, .l = true, .g = true};
	const struct seg ds = {
	    .limit = ~0u, .selector = 0x1b, .type = 3, .present = true, .dpl = 3, .s = true, .db = true, .g = true};
	struct regs r = kvmtest_regs(m, 0, REGS_GPR | REGS_SYS);

	memcpy(kvmtest_mem(m, 0x1000, false), code, len);
	put64(m, 0x10000, 0x11007);
	put64(m, 0x11000, 0x12007);
	put64(m, 0x12008, 0x13007);
	kvmtest_map(m, 0x200000, 0x1007);
	for (unsigned i = 0; i < SEG_COUNT; i++)
		r.seg[i] = i == SEG_CS ? cs : ds;
	r.cr3 = 0x10000;
	r.cr4 = CR4_PAE;
	r.cr0 = CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_MP | CR0_PE;
	r.efer = EFER_NXE | EFER_LMA | EFER_LME | EFER_SCE;
	r.idt.limit = 0;
	r.rip = 0x200000;
	r.rflags = RFLAGS_FIXED;
	kvmtest_set_regs(m, 0, REGS_GPR | REGS_SYS, &r);
}

void kvmtest_real(struct machine *m, unsigned vcpu, uint64_t rip)
{
	struct regs r = kvmtest_regs(m, vcpu, REGS_GPR | REGS_SYS);

	r.seg[SEG_CS].selector = 0;
	r.seg[SEG_CS].base = 0;
	r.rip = rip;
	r.rflags = RFLAGS_FIXED;
	kvmtest_set_regs(m, vcpu, REGS_GPR | REGS_SYS, &r);
}

static void on_alarm(int sig)
{
	(void)sig;
}

int kvmtest_run(struct machine *m, unsigned vcpu)
{
	struct kvm_vm *vm = kvm_of(m);
	struct kvcpu *v = &vm->vcpu[vcpu];
	struct sigaction sa = {.sa_handler = on_alarm};
	int rc;

	sigaction(SIGALRM, &sa, NULL);
	v->run->kvm_dirty_regs = 0;
	v->sync_fresh = 0;
	atomic_store(&vm->ran, true);
	alarm(5);
	rc = ioctl(v->fd, KVM_RUN, 0);
	rc = rc < 0 ? -errno : (int)v->run->exit_reason;
	alarm(0);
	v->sync_fresh = (uint32_t)v->run->kvm_valid_regs;
	return rc;
}

void kvmtest_complete(struct machine *m, unsigned vcpu)
{
	struct kvm_run *run = kvm_of(m)->vcpu[vcpu].run;

	run->immediate_exit = 1;
	assert_int_equal(kvmtest_run(m, vcpu), -EINTR);
	run->immediate_exit = 0;
}

bool kvmtest_tdp(struct machine *m)
{
	struct spte_list l = {0};
	struct err e = {0};

	check(machine_sptes(m, 0, 0, PAGE_OFFSET_MASK, &l, &e), &e);
	bool tdp = l.by_gpa;
	spte_list_free(&l);
	return tdp;
}
