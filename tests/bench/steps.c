/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One instruction, and a breakpoint hit, against a loop of KVM_RUN that uses the same mechanism at the same CPL: GUESTDBG at
 * CPL 0; TF and the empty IDT's shutdown exit at CPL 3, registers by KVM_CAP_SYNC_REGS both times.
 */
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "tests/bench/bench.h"

#define STEPS 1000
#define HITS 500
#define LOOP "{set i 0} {$i < %d} {incr i}"

/* inc rax; jmp back */
static const uint8_t code[] = {0x48, 0xff, 0xc0, 0xeb, 0xfb};

struct stepping {
	struct session *s;
	struct bare b;
	unsigned cpl;
	char one[100], many[40], hit[100];
};

static double ours_one(void *arg)
{
	struct stepping *t = arg;

	return bench_time(t->s, t->one);
}

static double ours_many(void *arg)
{
	struct stepping *t = arg;

	return bench_time(t->s, t->many);
}

static double ours_hit(void *arg)
{
	struct stepping *t = arg;

	return bench_time(t->s, t->hit);
}

static bool set_debug(struct bare *b, unsigned control, uint64_t at)
{
	struct kvm_guest_debug d = {.control = control};

	if (at) {
		d.arch.debugreg[0] = at;
		d.arch.debugreg[7] = 0x602;
	}
	return !ioctl(b->vcpu, KVM_SET_GUEST_DEBUG, &d);
}

static bool run_to(struct bare *b, unsigned reason)
{
	return !ioctl(b->vcpu, KVM_RUN, 0) && b->run->exit_reason == reason;
}

static bool bare_step(struct bare *b, unsigned cpl)
{
	if (!cpl)
		return run_to(b, KVM_EXIT_DEBUG);
	b->run->s.regs.regs.rflags |= 0x100;
	b->run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	return run_to(b, KVM_EXIT_SHUTDOWN);
}

/* kvm_dirty_regs stores what s.regs has: it must be the vCPU's own first. */
static bool bare_begin(struct stepping *t)
{
	t->b.run->kvm_valid_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | (t->cpl ? KVM_SYNC_X86_EVENTS : 0);
	if (!set_debug(&t->b, t->cpl ? 0 : KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP, 0) ||
	    ioctl(t->b.vcpu, KVM_GET_REGS, &t->b.run->s.regs.regs) < 0)
		return false;
	t->b.run->s.regs.regs.rip = BARE_CODE;
	t->b.run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	return true;
}

static double floor_step(void *arg)
{
	struct stepping *t = arg;

	if (!bare_begin(t))
		return bench_fail("bare step: no debug control");
	double begin = bench_now();
	for (int i = 0; i < STEPS; i++)
		if (!bare_step(&t->b, t->cpl))
			return bench_fail("bare step at CPL %u: exit %u", t->cpl, t->b.run->exit_reason);
	return bench_now() - begin;
}

/* CPL 0: a debug register, and RF to get off it. */
static double floor_hit0(struct stepping *t)
{
	struct kvm_run *r = t->b.run;

	if (!bare_begin(t) || !set_debug(&t->b, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP, BARE_CODE))
		return bench_fail("bare hit: no debug control");
	double begin = bench_now();
	for (int i = 0; i < HITS; i++) {
		r->s.regs.regs.rflags |= 0x10000;
		r->kvm_dirty_regs = KVM_SYNC_X86_REGS;
		if (!run_to(&t->b, KVM_EXIT_DEBUG))
			return bench_fail("bare hit: exit %u", r->exit_reason);
	}
	return bench_now() - begin;
}

/* CPL 3: an int3 in memory, and a step without it to get off it. */
static double floor_hit3(struct stepping *t)
{
	volatile uint8_t *at = t->b.mem + 0x1000;
	struct kvm_run *r = t->b.run;

	if (!bare_begin(t))
		return bench_fail("bare hit: no debug control");
	double begin = bench_now();
	for (int i = 0; i < HITS; i++) {
		*at = code[0];
		if (!bare_step(&t->b, 3))
			return bench_fail("bare hit: step: exit %u", r->exit_reason);
		*at = 0xcc;
		r->s.regs.regs.rflags &= ~0x100ull;
		r->kvm_dirty_regs = KVM_SYNC_X86_REGS;
		if (!run_to(&t->b, KVM_EXIT_SHUTDOWN))
			return bench_fail("bare hit: exit %u", r->exit_reason);
		r->s.regs.regs.rip = BARE_CODE;
	}
	*at = code[0];
	return bench_now() - begin;
}

static double floor_hit(void *arg)
{
	struct stepping *t = arg;

	return t->cpl ? floor_hit3(t) : floor_hit0(t);
}

static void figures(struct stepping *t)
{
	char name[4][60];
	double aim = 1.3;

	snprintf(name[0], 60, "si, one at a time from Tcl, CPL %u", t->cpl);
	snprintf(name[1], 60, "si %d, CPL %u", STEPS, t->cpl);
	snprintf(name[2], 60, "breakpoint hit and c from Tcl, CPL %u", t->cpl);
	struct figure f = {name[0], ours_one, floor_step, t, t, 21, STEPS, "us", aim, 0};
	bench_figure(&f);
	f.name = name[1];
	f.ours = ours_many;
	bench_figure(&f);
	f = (struct figure){name[2], ours_hit, floor_hit, t, t, 15, HITS, "us", 0, 0};
	if (!bench_eval(t->s, "b $rip; c; si"))
		bench_skip(name[2], bench_why);
	else
		bench_figure(&f);
}

static void at_cpl(unsigned cpl)
{
	struct stepping t = {.cpl = cpl};
	const char *name = cpl ? "steps at CPL 3" : "steps at CPL 0", *image = bench_image(code, sizeof(code));
	const char *const argv[] = {"--mode", cpl ? "user" : "long", image};

	snprintf(t.one, sizeof(t.one), "for " LOOP " {si}", STEPS);
	snprintf(t.many, sizeof(t.many), "si %d", STEPS);
	snprintf(t.hit, sizeof(t.hit), "for " LOOP " {c}", HITS);
	t.s = bench_open(3, argv);
	if (!t.s) {
		bench_skip(name, bench_why);
		return;
	}
	if (!bare_open(&t.b, cpl, code, sizeof(code)) || !bench_eval(t.s, "si 2"))
		bench_skip(name, bench_why);
	else
		figures(&t);
	bare_close(&t.b);
	bench_close(t.s);
}

void bench_steps(void)
{
	at_cpl(0);
	at_cpl(3);
}
