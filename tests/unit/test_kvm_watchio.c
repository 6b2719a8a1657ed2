/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Watchpoints and devices on the real kernel: what KVM's emulator writes to an armed page when it completes a device access,
 * and what it reads there for a device. Each access is a hit once, whatever brings the vCPU out meanwhile.
 */
#include "tests/support/guest.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/lock.h"
#include "kvmback/host/uffd.h"
#include "kvmback/kernel/kview.h"
#include "kvmback/run.h"

#define DATA 0x5000u
#define LOOP 0x8800u
#define IOPL3 0x3000u

/* Where instructions of the program stand. */
enum place { AT_FROM = 4, AT_INS = 13, AT_TO = 18, AT_OUTS = 22 };
static const char program[] = "\x89\xdf\x89\xce\x48\xa5"	 /* mov edi, ebx; mov esi, ecx; movsq */
			      "\x89\xdf\xba\x80\x00\x00\x00\x6c" /* mov edi, ebx; mov edx, 0x80; insb */
			      "\x89\xde\x89\xcf\x48\xa5"	 /* mov esi, ebx; mov edi, ecx; movsq */
			      "\x89\xde\x6e";			 /* mov esi, ebx; outsb */

static struct {
	bool interrupt; /* whenever a device has answered, on the way into the KVM_RUN that completes the access */
	unsigned n;
} way;

static bool may_enter(struct kvcpu *v)
{
	if (way.interrupt && v->index == 0 && v->control->io == IO_DONE) {
		way.n++;
		machine_interrupt(&v->vm->m);
	}
	return kvm_vcpu_ops.may_enter(v);
}
static struct vcpu_ops ops;

static bool possible(void)
{
	const char *why;

	if (!guest_possible())
		return false;
	why = uffd_why();
	if (why)
		printf("skip: %s\n", why);
	return !why;
}

static void set_regs(struct guest *g, unsigned vcpu, uint64_t rip)
{
	struct regs r = guest_regs(g, vcpu);

	r.rip = rip;
	r.rflags |= IOPL3;
	r.gpr[RBX] = DATA;
	r.gpr[RCX] = GUEST_DEVICE;
	assert_int_equal(machine_set_regs(g->m, vcpu, REGS_GPR, &r, &g->e), 0);
}

/* vCPU 0 runs the program, others a loop. */
static void open_guest(struct guest *g, unsigned cpl, unsigned vcpus, bool interrupt)
{
	guest_open(g, GUEST_LONG, cpl, false, vcpus);
	guest_code(g, program, sizeof(program) - 1);
	guest_poke(g, LOOP, "\xeb\xfe", 2);
	for (unsigned i = 0; i < vcpus; i++)
		set_regs(g, i, i ? LOOP : GUEST_CODE);
	ops = kvm_vcpu_ops;
	ops.may_enter = may_enter;
	kvm_of(g->m)->rs->ops = &ops;
	way.interrupt = interrupt;
	way.n = 0;
}

/* ---- what is told of a whole run */

/* How the program is run. */
struct variant {
	unsigned cpl, vcpus;
	bool interrupt, blind, shown, stops, steps;
};

static void name_variant(const struct variant *x, char *buf, size_t size)
{
	snprintf(buf, size, "CPL %u, %u vCPUs%s%s%s%s%s", x->cpl, x->vcpus, x->interrupt ? ", interrupted" : "",
		 x->blind ? ", registers unknown" : "", x->shown ? ", accesses shown" : "", x->stops ? ", breakpoints" : "",
		 x->steps ? ", by steps" : "");
}

/* Without the kernel's memory nobody knows the registers of a vCPU that is in KVM_RUN. */
static void close_view(struct guest *g)
{
	struct kvm_vm *vm = kvm_of(g->m);

	LOCK_SCOPE(&vm->kview_lock);
	kview_close(vm->kview);
	vm->kview = NULL;
	vm->kview_err.code = -ENODEV;
}

static void watch(struct guest *g, enum plant_kind kind)
{
	struct plant p = {.id = 1, .kind = kind, .addr = DATA, .len = 8, .phys = true};

	assert_int_equal(machine_plant(g->m, &p, &g->e), 0);
	assert_string_equal(p.how, "page");
}

/* Before each access and behind it. */
static const unsigned stops_at[] = {AT_FROM, AT_FROM + 2, AT_INS, AT_INS + 1, AT_TO, AT_TO + 2, AT_OUTS};

static void ready(struct guest *g, const struct variant *x, enum plant_kind kind)
{
	open_guest(g, x->cpl, x->vcpus, x->interrupt);
	watch(g, kind);
	if (x->blind)
		close_view(g);
	if (x->shown)
		assert_int_equal(machine_catch(g->m, CATCH_MMIO | CATCH_PIO, &g->e), 0);
	for (unsigned i = 0; x->stops && i < ARRAY_LEN(stops_at); i++)
		guest_break(g, 2 + (int)i, GUEST_CODE + stops_at[i]);
}

/* A hit of the run, and how many stops of other kinds came on the way. */
struct told {
	unsigned n, at[16], len[16], breakpoints, shown;
	bool write[16];
};

static void take_hit(struct guest *g, struct told *t)
{
	assert_true(t->n < ARRAY_LEN(t->at));
	t->at[t->n] = (unsigned)(g->stop.by - GUEST_CODE);
	t->len[t->n] = g->stop.len;
	t->write[t->n++] = g->stop.write;
	assert_int_equal(g->stop.gpa, DATA);
	assert_int_equal(g->stop.rip, guest_regs(g, 0).rip);
}

/* To the program's end. */
static void run(struct guest *g, const struct variant *x, struct told *t)
{
	memset(t, 0, sizeof(*t));
	for (unsigned i = 0; i < 200; i++) {
		enum stop_reason r = guest_run(g, x->steps ? RUN_STEP : RUN_CONTINUE, 0, 1);

		if (r == STOP_HLT || r == STOP_EXCEPTION)
			return;
		assert_true(r == STOP_INTERRUPTED || r == STOP_STEP || r == STOP_WATCHPOINT || r == STOP_BREAKPOINT ||
			    r == STOP_MMIO || r == STOP_PIO);
		t->breakpoints += r == STOP_BREAKPOINT;
		t->shown += r == STOP_MMIO || r == STOP_PIO;
		if (r == STOP_WATCHPOINT)
			take_hit(g, t);
	}
	fail_msg("no end");
}

static void check(const struct variant *x, const struct told *t, const struct told *want)
{
	char name[200];
	bool same = t->n == want->n;

	name_variant(x, name, sizeof(name));
	for (unsigned i = 0; same && i < t->n; i++)
		same = t->at[i] == want->at[i] && t->len[i] == want->len[i] && t->write[i] == want->write[i];
	same &= t->shown == (x->shown ? 4 : 0);
	/* A breakpoint where another stop has been told counts as asked there. */
	if (x->stops && !x->steps && !x->shown && !x->interrupt)
		same &= t->breakpoints == want->breakpoints;
	if (!same)
		fail_msg("%s: %u hits (%u %u %u %u), %u accesses shown, %u breakpoints", name, t->n, t->at[0], t->at[1],
			 t->at[2], t->at[3], t->shown, t->breakpoints);
}

static void each(enum plant_kind kind, bool blind, const struct told *want)
{
	for (unsigned bits = 0; bits < 64; bits++) {
		struct variant x = {.cpl = bits & 1 ? 3 : 0, .vcpus = 1 + (bits >> 1 & 1), .blind = blind};
		struct told t;
		struct guest g;

		x.interrupt = bits >> 2 & 1;
		x.shown = bits >> 3 & 1;
		x.stops = bits >> 4 & 1;
		x.steps = bits >> 5 & 1;
		ready(&g, &x, kind);
		run(&g, &x, &t);
		check(&x, &t, want);
		/* An interrupt ends a step before it begins, too. */
		assert_true(!x.interrupt || way.n >= 4);
		guest_close(&g);
	}
}

/* Written by the KVM_RUN that completes an access of a device: also if that was to come back at once. */
static void written_for_a_device(void **state)
{
	const struct told want = {.n = 2, .at = {AT_FROM, AT_INS}, .len = {8, 1}, .write = {true, true}, .breakpoints = 5};

	(void)state;
	if (!possible())
		skip();
	each(PLANT_WRITE, false, &want);
}

static void written_unseen(void **state)
{
	const struct told want = {.n = 2, .at = {AT_FROM, AT_INS}, .len = {8, 1}, .write = {true, true}, .breakpoints = 5};

	(void)state;
	if (!possible())
		skip();
	each(PLANT_WRITE, true, &want);
}

/* Read before the device has its turn, so looked at when that is over. */
static void read_for_a_device(void **state)
{
	const struct told want = {.n = 2, .at = {AT_TO, AT_OUTS}, .len = {8, 1}, .write = {false, false}, .breakpoints = 6};

	(void)state;
	if (!possible())
		skip();
	each(PLANT_READ, false, &want);
}

static void old_bytes(void **state)
{
	static const uint8_t before[8] = {1, 2, 3, 4, 5, 6, 7, 8};

	(void)state;
	if (!possible())
		skip();
	for (unsigned bits = 0; bits < 8; bits++) {
		const struct variant x = {.cpl = bits & 1 ? 3 : 0, .vcpus = 1 + (bits >> 1 & 1), .interrupt = bits >> 2 & 1};
		struct guest g;

		ready(&g, &x, PLANT_WRITE);
		guest_poke(&g, DATA, before, sizeof(before));
		while (guest_continue(&g) == STOP_INTERRUPTED)
			;
		assert_int_equal(g.stop.reason, STOP_WATCHPOINT);
		assert_memory_equal(g.stop.old_data, before, sizeof(before));
		guest_close(&g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(written_for_a_device),
	    cmocka_unit_test(written_unseen),
	    cmocka_unit_test(read_for_a_device),
	    cmocka_unit_test(old_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
