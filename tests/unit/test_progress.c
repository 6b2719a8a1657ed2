/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Runs that get nowhere: what looks a quarter of a second apart make of them, on a clock that the test has; the words; and
 * both backends, which tell the client and go on.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/run/progress.h"
#include "core/soft/soft.h"
#include "core/soft/soft_impl.h"
#include "core/stop/why.h"
#include "tests/support/guest.h"

static uint64_t now;

/* The next look, a quarter of a second later. */
static bool look(struct progress *p, uint64_t rip, uint64_t state)
{
	now += PROGRESS_LOOK_NS;
	return progress_look(p, now, rip, state);
}

static void test_spin(void **state)
{
	struct progress p = {.told = false};
	struct stall s;

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		assert_false(look(&p, 0x1000 + 2 * (i & 1), 7));
	assert_true(look(&p, 0x1000, 7));
	assert_true(progress_tell(&p, &s));
	assert_int_equal(s.kind, STALL_SPIN);
	assert_int_equal(s.first, 0x1000);
	assert_int_equal(s.last, 0x1002);
	assert_int_equal(s.ns, PROGRESS_STALL_NS);
	/* Once a stretch. */
	assert_true(look(&p, 0x1002, 7));
	assert_false(progress_tell(&p, &s));
	assert_false(look(&p, 0x1000, 8));
	for (unsigned i = 0; i < 3; i++)
		assert_false(look(&p, 0x3000, 8));
	assert_true(look(&p, 0x3000, 8));
	assert_true(progress_tell(&p, &s));
	assert_int_equal(s.first, 0x1000); /* where the register changed */
	progress_forget(&p);
	assert_false(look(&p, 0x3000, 8));
}

/* Registers that change are progress, wherever rip is. So is a single other access among the same ones. */
static void test_progress_is_not_told(void **state)
{
	struct progress p = {.told = false};

	(void)state;
	for (unsigned i = 0; i < 20; i++)
		assert_false(look(&p, 0x1000, i));
	for (unsigned i = 0; i < 20; i++) {
		for (unsigned k = 0; k < 10; k++)
			progress_access(&p, 0x1000, true, 0x64, 1, false, 7);
		progress_access(&p, 0x1004, true, 0x60, 1, false, 7);
		assert_false(look(&p, 0x1000, 7));
	}
	for (unsigned i = 0; i < 200; i++) { /* a REP OUTSB of a long text */
		progress_access(&p, 0x1000, true, 0xe9, 1, true, i);
		assert_false(i % 10 == 9 && look(&p, 0x1000, i));
	}
	/* The host slept: two looks are not five. */
	progress_forget(&p);
	assert_false(look(&p, 0x1000, 7));
	now += 100 * PROGRESS_STALL_NS;
	assert_false(look(&p, 0x1000, 7));
}

static void test_same_access(void **state)
{
	struct progress p = {.told = false};
	struct stall s;

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		/* One of 10 bytes comes in two parts. */
		for (unsigned k = 0; k < 100; k++) {
			progress_access(&p, 0x100004, false, 0x4000000, 8, false, 7);
			progress_access(&p, 0x100004, false, 0x4000008, 2, false, 7);
		}
		assert_int_equal(look(&p, 0x100004, i), i >= 4);
	}
	assert_true(progress_tell(&p, &s));
	assert_int_equal(s.kind, STALL_ACCESS);
	assert_int_equal(s.first, 0x100004);
	assert_int_equal(s.address, 0x4000000);
	assert_int_equal(s.len, 8);
	assert_int_equal(s.count, 1200);
	assert_false(s.port || s.write);
}

static void test_same_exception(void **state)
{
	struct progress p = {.told = false};
	struct stall s;

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		for (unsigned k = 0; k < 100; k++)
			progress_exception(&p, 0x2000, 14, 0x5000, 7);
		assert_int_equal(look(&p, 0x3000 + i, i), i >= 4);
	}
	assert_true(progress_tell(&p, &s));
	assert_int_equal(s.kind, STALL_EXCEPTION);
	assert_int_equal(s.vector, 14);
	assert_int_equal(s.address, 0x5000);
	assert_int_equal(s.first, 0x2000);
	assert_int_equal(s.count, 600);
}

static void check_words(struct stall s, const char *want)
{
	struct symbols syms;
	struct disas *d;
	char buf[600];

	symbols_init(&syms);
	assert_int_equal(disas_create(&d, NULL), 0);
	s.ns = PROGRESS_STALL_NS + 1;
	why_stall(&(struct why_env){.disas = d, .syms = &syms}, &s, buf, sizeof(buf));
	assert_string_equal(buf, want);
	disas_destroy(d);
	symbols_deinit(&syms);
}

static void test_words(void **state)
{
	(void)state;
	check_words(
	    (struct stall){
		.kind = STALL_SPIN, .first = 0x1000, .last = 0x1000, .code_bits = 64, .n_insn = 2, .insn = {0xeb, 0xfe}},
	    "vCPU 0 spins at 0x1000, `jmp 0x1000`, for 1 s: a jump to itself. It goes on.");
	check_words(
	    (struct stall){.kind = STALL_SPIN, .vcpu = 1, .first = 0x1000, .last = 0x1002},
	    "vCPU 1 spins between 0x1000 and 0x1002 for 1 s: no general register changes, no device is asked. It goes on.");
	check_words(
	    (struct stall){
		.kind = STALL_SPIN, .first = 0x1000, .last = 0x1000, .code_bits = 64, .n_insn = 1, .insn = {0x90}},
	    "vCPU 0 was seen nowhere but at 0x1000, `nop`, for 1 s: no general register changes, no device is asked; it "
	    "spins "
	    "there, "
	    "or the instruction never ends. It goes on.");
	check_words(
	    (struct stall){.kind = STALL_ACCESS,
			   .first = 0x100004,
			   .address = 0x4000000,
			   .count = 200000,
			   .code_bits = 32,
			   .n_insn = 7,
			   .insn = {0x0f, 0x01, 0x15, 0, 0, 0, 4}},
	    "vCPU 0 has been at 0x100004, `lgdt [0x4000000]`, for 1 s: the same MMIO read of 0x4000000, 200000 times. It "
	    "goes on.");
	check_words(
	    (struct stall){.kind = STALL_ACCESS, .first = 0x1000, .address = 0x64, .port = true, .write = true, .count = 9},
	    "vCPU 0 has been at 0x1000 for 1 s: the same PIO write of port 0x64, 9 times. It goes on.");
	check_words((struct stall){.kind = STALL_EXCEPTION, .first = 0x1000, .vector = 14, .address = 0x5000, .count = 9},
		    "vCPU 0 has come back to 0x1000 for 1 s: the same #PF, page fault (vector 14) at 0x5000, 9 times: its "
		    "handler does "
		    "not take it away. It goes on.");
}

/* ---- machines */

struct told {
	struct guest *g;
	struct stall s;
	unsigned n;
};

static void stalled(void *ctx, const struct stall *s)
{
	struct told *t = ctx;

	t->s = *s;
	t->n++;
	machine_interrupt(t->g->m);
}

static uint64_t quick_clock(void)
{
	return now += PROGRESS_LOOK_NS;
}

static struct guest *interrupt_after;
static unsigned clock_calls;
static uint64_t ending_clock(void)
{
	if (++clock_calls == 40)
		machine_interrupt(interrupt_after->m);
	return now += PROGRESS_LOOK_NS;
}

static bool open_on(struct guest *g, bool kvm)
{
	guest_backend = kvm ? NULL : &soft_backend;
	memset(g, 0, sizeof(*g));
	if (kvm && !guest_possible())
		return false;
	guest_open(g, GUEST_LONG, 0, false, 1);
	if (!kvm)
		soft_of(g->m)->stall.clock = quick_clock;
	return true;
}

/* Where code at GUEST_CODE stalls; it goes on until the test, told of it, stops it. */
static void stall_of(bool kvm, const char *code, size_t n, struct stall *out)
{
	static struct guest g;
	struct told t = {.g = &g};

	if (!open_on(&g, kvm))
		skip();
	guest_code(&g, code, n);
	machine_tell_stalls(g.m, stalled, &t);
	assert_int_equal(guest_continue(&g), STOP_INTERRUPTED);
	assert_int_equal(t.n, 1);
	*out = t.s;
	guest_close(&g);
	guest_backend = NULL;
}
#define STALL_OF(KVM, CODE, OUT) stall_of(KVM, CODE, sizeof(CODE) - 1, OUT)

static void check_jump(bool kvm)
{
	struct stall s;

	STALL_OF(kvm, "\xeb\xfe", &s);
	assert_int_equal(s.kind, STALL_SPIN);
	assert_int_equal(s.first, GUEST_CODE);
	assert_int_equal(s.last, GUEST_CODE);
	assert_int_equal(s.code_bits, 64);
	assert_true(s.n_insn >= 2);
	assert_memory_equal(s.insn, "\xeb\xfe", 2);
}

static void check_port(bool kvm)
{
	struct stall s;

	STALL_OF(kvm, "\x90\xe4\x64\xeb\xfc", &s); /* nop; in al, 0x64; jmp to it */
	assert_int_equal(s.kind, STALL_ACCESS);
	assert_int_equal(s.first, GUEST_CODE + 1);
	assert_true(s.port && !s.write);
	assert_int_equal(s.address, 0x64);
	assert_int_equal(s.len, 1);
	assert_true(s.count > 4);
	assert_memory_equal(s.insn, "\xe4\x64", 2);
}

static void test_soft_jump(void **state)
{
	(void)state;
	check_jump(false);
}

static void test_soft_port(void **state)
{
	(void)state;
	check_port(false);
}

static void test_soft_counts(void **state)
{
	static struct guest g;
	struct told t = {.g = &g};

	(void)state;
	assert_true(open_on(&g, false));
	guest_code(&g, "\x48\xff\xc0\xeb\xfb", 5); /* inc rax; jmp */
	machine_tell_stalls(g.m, stalled, &t);
	interrupt_after = &g;
	soft_of(g.m)->stall.clock = ending_clock;
	assert_int_equal(guest_continue(&g), STOP_INTERRUPTED);
	assert_int_equal(t.n, 0);
	assert_int_equal(clock_calls, 40);
	guest_close(&g);
	guest_backend = NULL;
}

static void test_kvm_jump(void **state)
{
	(void)state;
	check_jump(true);
}

static void test_kvm_port(void **state)
{
	(void)state;
	check_port(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_spin),	cmocka_unit_test(test_progress_is_not_told),
	    cmocka_unit_test(test_same_access), cmocka_unit_test(test_same_exception),
	    cmocka_unit_test(test_words),	cmocka_unit_test(test_soft_jump),
	    cmocka_unit_test(test_soft_port),	cmocka_unit_test(test_soft_counts),
	    cmocka_unit_test(test_kvm_jump),	cmocka_unit_test(test_kvm_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
