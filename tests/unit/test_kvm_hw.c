/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What depends on the processor where it runs the guest itself: debug registers that hit (RF over their breakpoints, what a
 * watch's hit was), and its own walks of the guest's tables beside watched pages.
 */
#include "tests/support/guest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kvmback/host/uffd.h"
#include "kvmback/watch/armed_impl.h"

#define OPEN(g, mode, cpl, idt)                                                                                             \
	struct guest g;                                                                                                     \
	if (!guest_possible())                                                                                              \
		skip();                                                                                                     \
	guest_open(&g, mode, cpl, idt, 1)
#define CODE(g, s) guest_code(g, s, sizeof(s) - 1)
#define EACH_CPL(cpl) for (unsigned cpl = 0; cpl <= 3; cpl += 3)

static struct plant plant(struct guest *g, int id, enum plant_kind kind, uint64_t addr, uint64_t len)
{
	struct plant p = {.id = id, .kind = kind, .addr = addr, .len = len};

	if (machine_plant(g->m, &p, &g->e))
		fail_msg("%s: %s", g->e.what, g->e.why);
	return p;
}

/* ---- RF */

/* nop; iretq to target, where two nops and a hlt are, with RF in the flags of the frame. */
static void iret_with_rf(struct guest *g, unsigned cpl)
{
	uint64_t frame[5] = {GUEST_CODE + 0x20, cpl ? 0x23 : 8, RFLAGS_FIXED | RFLAGS_RF, GUEST_STACK, cpl ? 0x1b : 0x10};

	CODE(g, "\x90\x48\xcf");
	guest_poke(g, GUEST_CODE + 0x20, "\x90\x90\xf4", 3);
	guest_poke(g, GUEST_KSTACK - sizeof(frame), frame, sizeof(frame));
	guest_set(g, 0, RSP, GUEST_KSTACK - sizeof(frame));
}

/* A handler that returns elsewhere than to what has faulted does so with RF. */
static void behind_iret_with_rf(void **state)
{
	(void)state;
	EACH_CPL(cpl)
	for (int others = 0; others <= 5; others += 5) {
		OPEN(g, GUEST_LONG, 0, true);
		iret_with_rf(&g, cpl);
		for (int i = 0; i < others; i++) /* older ones: they have the debug registers */
			guest_break(&g, i + 1, 0x7000 + (uint64_t)i);
		guest_break(&g, 9, GUEST_CODE + 0x20);
		assert_int_equal(guest_continue(&g), STOP_BREAKPOINT);
		assert_int_equal(g.stop.breakpoint, 9);
		assert_int_equal(g.stop.rip, GUEST_CODE + 0x20);
		assert_int_equal(guest_reg(&g, 0, RSP), GUEST_STACK);
		struct regs r = guest_regs(&g, 0);
		assert_int_equal(regs_cpl(&r), cpl);
		assert_int_equal(guest_step(&g), STOP_STEP);
		assert_int_equal(g.stop.rip, GUEST_CODE + 0x21);
		guest_close(&g);
	}
}

/* One that is to be a debug register alone says when it is not hit; without an IDT there is no such frame. */
static void hardware_says_rf(void **state)
{
	struct plant p;

	(void)state;
	for (int idt = 0; idt <= 1; idt++) {
		OPEN(g, GUEST_LONG, 0, idt);
		if (!guest_needs(guest_host()->hw[RUN_LONG][0], "debug registers that hit at CPL 0")) {
			guest_close(&g);
			skip();
		}
		iret_with_rf(&g, 0);
		p = plant(&g, 1, PLANT_EXEC_HW, GUEST_CODE + 0x21, 1);
		assert_string_equal(p.how, "hw");
		bool everywhere = guest_host()->hw[RUN_LONG][1] && guest_host()->hw[RUN_PROT][1];
		if (everywhere)
			assert_int_equal(p.why && strstr(p.why, "RF"), idt && guest_host()->rf_hides);
		/* The next instruction is behind what RF is for. */
		assert_int_equal(guest_continue(&g), STOP_BREAKPOINT);
		assert_int_equal(g.stop.rip, GUEST_CODE + 0x21);
		guest_close(&g);
	}
}

/* ---- what a watch's hit was */

/* mov dword [0x5000], 1; mov eax, [0x5004]; inc dword [0x5004]; mov dword [0x5008], 0 */
#define FOUR                                                                                                                \
	"\xc7\x04\x25\x00\x50\x00\x00\x01\x00\x00\x00\x8b\x04\x25\x04\x50\x00\x00\xff\x04\x25\x04\x50\x00\x00"              \
	"\xc7\x04\x25\x08\x50\x00\x00\x00\x00\x00\x00"

struct want {
	unsigned by, behind;
	uint64_t gva;
	unsigned len;
	bool read, write;
	uint8_t old, now;
};

static void hit(struct guest *g, const struct want *w)
{
	assert_int_equal(guest_continue(g), STOP_WATCHPOINT);
	assert_int_equal(g->stop.rip, GUEST_CODE + w->behind);
	assert_true(g->stop.has_by);
	assert_int_equal(g->stop.by, GUEST_CODE + w->by);
	assert_int_equal(g->stop.gva, w->gva);
	assert_int_equal(g->stop.len, w->len);
	assert_int_equal(g->stop.read, w->read);
	assert_int_equal(g->stop.write, w->write);
	assert_int_equal(g->stop.old_data[0], w->old);
	assert_int_equal(g->stop.data[0], w->now);
}

static bool watches_hit(unsigned cpl)
{
	return guest_needs(guest_host()->watch[RUN_LONG][cpl == 3],
			   cpl ? "debug registers that hit on data at CPL 3" : "debug registers that hit on data at CPL 0");
}

/* A read is a read although the bytes have changed since the watch was set, a write of what is there already is a write, and
 * both are by the instruction before rip with the length that it touched of the watched bytes. */
static void kinds_of_hits(void **state)
{
	static const struct want access[] = {{11, 18, 0x5004, 4, true, false, 0, 0},
					     {18, 25, 0x5004, 4, true, true, 0, 1},
					     {25, 36, 0x5008, 4, false, true, 0, 0}};
	unsigned tried = 0;

	(void)state;
	EACH_CPL(cpl)
	{
		OPEN(g, GUEST_LONG, cpl, false);
		if (watches_hit(cpl)) {
			CODE(&g, FOUR);
			assert_string_equal(plant(&g, 1, PLANT_ACCESS, 0x5004, 4).how, "hw");
			assert_string_equal(plant(&g, 2, PLANT_WRITE, 0x5008, 8).how, "hw");
			for (size_t i = 0; i < ARRAY_LEN(access); i++)
				hit(&g, &access[i]);
			tried++;
		}
		guest_close(&g);
	}
	if (!tried)
		skip();
}

static void changed_meanwhile(void **state)
{
	static const struct want read = {0, 7, 0x5000, 4, true, false, 7, 7};
	unsigned tried = 0;

	(void)state;
	EACH_CPL(cpl)
	{
		OPEN(g, GUEST_LONG, cpl, false);
		if (watches_hit(cpl)) {
			CODE(&g, "\x8b\x04\x25\x00\x50\x00\x00\x90"); /* mov eax, [0x5000] */
			assert_string_equal(plant(&g, 1, PLANT_ACCESS, 0x5000, 4).how, "hw");
			guest_poke(&g, 0x5000, "\7", 1);
			hit(&g, &read);
			tried++;
		}
		guest_close(&g);
	}
	if (!tried)
		skip();
}

/* ---- walks */

static unsigned answers; /* to messages about the guest's tables */

static void count_answer(struct armed *p, const struct message *m, int at)
{
	const struct slot *s = slot_by_hva(&p->vm->m.slots, m->f.hva);

	answers += at == ANSWER_READ && s && s->gpa + (m->f.hva - s->hva) - GUEST_CR3 < 0x4000;
}

/* Stores all over a megabyte beside a page that is watched by its virtual address: they do not come out, once the A and D
 * bits on their ways are set. */
static void walks_are_no_accesses(void **state)
{
	(void)state;
	EACH_CPL(cpl)
	for (int kind = PLANT_WRITE; kind <= PLANT_READ; kind++) {
		OPEN(g, GUEST_LONG, cpl, false);
		if (uffd_why()) {
			printf("skip: %s\n", uffd_why());
			guest_close(&g);
			skip();
		}
		/* l: mov [rbx], eax; add ebx, 0x1000; cmp ebx, 0x100000; jb l; nop; mov ebx, 0x40000; jmp l */
		CODE(&g, "\x89\x03\x81\xc3\x00\x10\x00\x00\x81\xfb\x00\x00\x10\x00\x72\xf0\x90\xbb\x00\x00\x04\x00\xeb\xe8");
		guest_set(&g, 0, RBX, 0x40000);
		CONTAINER_OF(g.m, struct kvm_vm, m)->answering = count_answer;
		assert_string_equal(plant(&g, 1, (enum plant_kind)kind, 0x5008, 64).how, "page");
		guest_break(&g, 2, GUEST_CODE + 0x10);
		assert_int_equal(guest_continue(&g), STOP_BREAKPOINT);
		answers = 0;
		assert_int_equal(guest_continue(&g), STOP_BREAKPOINT);
		/* Of 192 stores: a bit that is set for the first time is no walk's habit. */
		assert_in_range(answers, 0, 4);
		/* And it is watched. */
		guest_set(&g, 0, RBX, 0x5010);
		guest_set_rip(&g, 0, GUEST_CODE);
		guest_poke(&g, GUEST_CODE, kind == PLANT_READ ? "\x8b\x03" : "\x89\x03", 2);
		assert_int_equal(guest_continue(&g), STOP_WATCHPOINT);
		assert_int_equal(g.stop.gva, 0x5010);
		guest_close(&g);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(behind_iret_with_rf), cmocka_unit_test(hardware_says_rf),	    cmocka_unit_test(kinds_of_hits),
	    cmocka_unit_test(changed_meanwhile),   cmocka_unit_test(walks_are_no_accesses),
	};

	(void)argc;
	return guest_once_more(argv, cmocka_run_group_tests(tests, NULL, NULL));
}
