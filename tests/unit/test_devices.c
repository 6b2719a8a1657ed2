/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Each access of an instruction to a device is shown before the device sees it, on the soft and on the kvm backend: kind,
 * address, length, direction and instruction, however the guest is run and whatever else is set.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/soft/soft.h"
#include "kvmback/kvmback.h"
#include "tests/support/guest.h"

#define SCRATCH 0xd0000000u
#define PORT 0x80u
#define IOPL3 0x3000u
#define PTE(GVA) (GUEST_CR3 + 0x3000 + ((GVA) >> PAGE_SHIFT) * 8)

static const struct machine_ops *backend;

struct device_access {
	bool port, write;
	unsigned at, len; /* at: offset in the device; of a port nothing */
};
#define R(AT, LEN)                                                                                                          \
	{                                                                                                                   \
		false, false, AT, LEN                                                                                       \
	}
#define W(AT, LEN)                                                                                                          \
	{                                                                                                                   \
		false, true, AT, LEN                                                                                        \
	}
#define IN(LEN)                                                                                                             \
	{                                                                                                                   \
		true, false, 0, LEN                                                                                         \
	}
#define OUT(LEN)                                                                                                            \
	{                                                                                                                   \
		true, true, 0, LEN                                                                                          \
	}

/* rsi is the device, rdi 16 bytes further, rcx 2, rdx PORT, rax 1. The device is one page, memory on both sides of it. */
struct program {
	const char *what, *code;
	unsigned n_code, n;
	struct device_access v[8];
	bool soft_only;	 /* KVM's emulator does it in another way, or not at all */
	unsigned rounds; /* of a REP */
};
#define CODE(BYTES) .code = (BYTES), .n_code = sizeof(BYTES) - 1

static const struct program programs[] = {
    {"read", CODE("\x8b\x06"), 1, {R(0, 4)}},
    {"write", CODE("\x89\x06"), 1, {W(0, 4)}},
    {"add", CODE("\x01\x06"), 2, {R(0, 4), W(0, 4)}},
    {"xchg", CODE("\x87\x06"), 2, {R(0, 4), W(0, 4)}},
    {"movsd", CODE("\xa5"), 2, {R(0, 4), W(16, 4)}},
    {"cmpsd", CODE("\xa7"), 2, {R(0, 4), R(16, 4)}},
    {"rep movsd", CODE("\xf3\xa5"), 4, {R(0, 4), W(16, 4), R(4, 4), W(20, 4)}, .rounds = 2},
    {"repe cmpsb", CODE("\xf3\xa6"), 4, {R(0, 1), R(16, 1), R(1, 1), R(17, 1)}, .rounds = 2},
    {"rep stosb", CODE("\xf3\xaa"), 2, {W(16, 1), W(17, 1)}, .rounds = 2},
    {"outsb", CODE("\x6e"), 2, {R(0, 1), OUT(1)}},
    {"insb", CODE("\x6c"), 2, {IN(1), W(16, 1)}},
    {"in, out", CODE("\xec\xef"), 2, {IN(1), OUT(4)}},
    {"into memory", CODE("\x89\x86\xfd\x0f\x00\x00"), 1, {W(0xffd, 3)}},
    {"out of memory", CODE("\x8b\x46\xfe"), 1, {R(0, 2)}},
    {"from memory", CODE("\x89\x46\xfe"), 1, {W(0, 2)}},
    {"add from memory", CODE("\x01\x46\xfe"), 2, {R(0, 2), W(0, 2)}},
    {"quad", CODE("\x48\x89\x06"), 1, {W(0, 8)}},
    {"movups to", CODE("\x0f\x11\x06"), 2, {W(0, 8), W(8, 8)}},
    {"movups from", CODE("\x0f\x10\x06"), 2, {R(0, 8), R(8, 8)}},
    {"push", CODE("\x57\x5f\x48\x89\xfc\x50"), 1, {W(8, 8)}},
    {"pop", CODE("\x48\x89\xf4\x58"), 1, {R(0, 8)}},
};

struct variant {
	unsigned cpl;
	bool steps, watch, narrow;
};

/* All of memory's own pages around the device are mapped; a watch on another page. */
static void open_program(struct guest *g, const struct program *p, const struct variant *x)
{
	uint64_t ram = 0x6007, behind = 0x7007;

	guest_open(g, GUEST_LONG, x->cpl, false, 1);
	guest_code(g, p->code, p->n_code);
	guest_poke(g, PTE(GUEST_DEVICE - 0x1000), &ram, 8);
	guest_poke(g, PTE(GUEST_DEVICE + 0x1000), &behind, 8);
	struct regs r = guest_regs(g, 0);
	r.rflags |= IOPL3;
	r.gpr[RSI] = GUEST_DEVICE;
	r.gpr[RDI] = GUEST_DEVICE + 16;
	r.gpr[RCX] = 2;
	r.gpr[RDX] = PORT;
	r.gpr[RAX] = 1;
	r.cr4 |= CR4_OSFXSR;
	assert_int_equal(machine_set_regs(g->m, 0, REGS_GPR | REGS_SYS, &r, &g->e), 0);
	if (x->watch) {
		struct plant w = {.id = 9, .kind = PLANT_WRITE, .addr = 0x5000, .len = 8};
		assert_int_equal(machine_plant(g->m, &w, &g->e), 0);
	}
	assert_int_equal(machine_catch(g->m, CATCH_MMIO | CATCH_PIO, &g->e), 0);
}

static bool matches(const struct device_access *a, const struct stop *s)
{
	if (s->reason != (a->port ? STOP_PIO : STOP_MMIO) || s->write != a->write || s->len != a->len)
		return false;
	return a->port ? s->port == PORT : s->gpa == SCRATCH + a->at;
}

static uint8_t *scratch(struct guest *g)
{
	return machine_board(g->m)->scratch;
}

/* The next stop that is not the end of a step. */
static enum stop_reason next_stop(struct guest *g, const struct variant *x)
{
	enum stop_reason r;

	for (unsigned i = 0; i < 40; i++) {
		r = guest_run(g, x->steps ? RUN_STEP : RUN_CONTINUE, 0, 1);
		if (r != STOP_STEP)
			return r;
	}
	return r;
}

static void run_program(const struct program *p, const struct variant *x)
{
	struct guest g;
	uint8_t before[32];
	char name[100];

	snprintf(name, sizeof(name), "%s at CPL %u%s%s", p->what, x->cpl, x->steps ? ", by steps" : "",
		 x->watch ? ", with a watch" : "");
	open_program(&g, p, x);
	for (unsigned i = 0; i < sizeof(before); i++)
		scratch(&g)[i] = before[i] = p->rounds ? 7 : (uint8_t)i;
	for (unsigned i = 0; i < p->n; i++) {
		enum stop_reason r = next_stop(&g, x);
		const struct stop *s = &g.stop;

		if (!matches(&p->v[i], s))
			fail_msg("%s: access %u is %s, gpa %#llx, %u bytes, write %d", name, i, stop_reason_name(r),
				 (unsigned long long)s->gpa, s->len, s->write);
		if (!s->has_by || s->by < GUEST_CODE || s->by >= GUEST_CODE + p->n_code || s->rip < s->by)
			fail_msg("%s: access %u is by %#llx", name, i, (unsigned long long)s->by);
		if (!i)
			assert_memory_equal(scratch(&g), before, sizeof(before));
	}
	assert_int_equal(next_stop(&g, x), x->cpl ? STOP_EXCEPTION : STOP_HLT); /* HLT is privileged */
	guest_close(&g);
}

static void each_access(void **state)
{
	(void)state;
	if (backend == &kvm_backend && !guest_possible())
		skip();
	guest_backend = backend;
	for (unsigned bits = 0; bits < 8; bits++) {
		const struct variant x = {.cpl = bits & 1 ? 3 : 0, .steps = bits >> 1 & 1, .watch = bits >> 2 & 1};

		for (size_t i = 0; i < ARRAY_LEN(programs); i++)
			if (backend == &soft_backend || !programs[i].soft_only)
				run_program(&programs[i], &x);
	}
}

/* Between them a device has had the first and not the second; nothing is done twice. */
static void one_after_the_other(void **state)
{
	static const struct program add = {.what = "add", CODE("\x01\x06\x01\x46\xfe")};
	const struct variant x = {.cpl = 3};
	struct guest g;
	uint32_t word = 0x00020001;

	(void)state;
	if (backend == &kvm_backend && !guest_possible())
		skip();
	guest_backend = backend;
	open_program(&g, &add, &x);
	scratch(&g)[0] = 5;
	assert_int_equal(guest_continue(&g), STOP_MMIO);
	assert_int_equal(guest_continue(&g), STOP_MMIO);
	assert_int_equal(g.stop.data[0], 6);
	assert_int_equal(scratch(&g)[0], 5);
	assert_int_equal(g.stop.by, GUEST_CODE);
	/* add [rsi - 2], eax, half in memory: carried over once */
	guest_poke(&g, 0x6ffe, &word, 2);
	assert_int_equal(guest_continue(&g), STOP_MMIO);
	assert_int_equal(scratch(&g)[0], 6);
	assert_int_equal(guest_continue(&g), STOP_MMIO);
	assert_int_equal(g.stop.by, GUEST_CODE + 2);
	assert_int_equal(guest_continue(&g), STOP_EXCEPTION);
	assert_int_equal(scratch(&g)[0], 6);
	guest_peek(&g, 0x6ffe, &word, 2);
	assert_int_equal(word & 0xffff, 2);
	guest_close(&g);
}

/* What is caught no more in the middle of an instruction is not done twice either. */
static void given_up(void **state)
{
	static const struct program add = {.what = "add", CODE("\x01\x06")};
	struct guest g;

	(void)state;
	if (backend == &kvm_backend && !guest_possible())
		skip();
	guest_backend = backend;
	for (unsigned steps = 0; steps < 2; steps++) {
		const struct variant x = {.cpl = 0, .steps = steps};
		open_program(&g, &add, &x);
		scratch(&g)[0] = 5;
		assert_int_equal(guest_continue(&g), STOP_MMIO);
		assert_int_equal(next_stop(&g, &x), STOP_MMIO);
		assert_int_equal(machine_catch(g.m, 0, &g.e), 0);
		assert_int_equal(next_stop(&g, &x), STOP_HLT);
		assert_int_equal(scratch(&g)[0], 6);
		guest_close(&g);
		/* Other registers: another instruction, whose accesses are its own. */
		open_program(&g, &add, &x);
		scratch(&g)[0] = 5;
		assert_int_equal(guest_continue(&g), STOP_MMIO);
		assert_int_equal(next_stop(&g, &x), STOP_MMIO);
		assert_true(g.stop.write);
		guest_set_rip(&g, 0, GUEST_CODE);
		assert_int_equal(next_stop(&g, &x), STOP_MMIO);
		assert_false(g.stop.write);
		guest_close(&g);
	}
}

static int run_over(const struct machine_ops *b, const char *name)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_access),
	    cmocka_unit_test(one_after_the_other),
	    cmocka_unit_test(given_up),
	};

	backend = b;
	return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
	return run_over(&soft_backend, "soft") + run_over(&kvm_backend, "kvm");
}
