/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A breakpoint is a matter between the debugger and an address: the guest runs as if it were not there, whatever stands for
 * it, and it hits wherever its address leads when that is executed. On soft and kvm; on kvm also with all debug registers
 * taken, so that it is a byte in memory.
 */
#include "tests/support/guest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/soft/soft.h"

#define ID 9
#define ALIAS 0x1f0000ull
#define PTE(LINEAR) (GUEST_CR3 + 0x3000 + ((LINEAR) >> PAGE_SHIFT) * 8)
#define CODE(g, s) guest_code(g, s, sizeof(s) - 1)
#define CASES 5

static const struct {
	bool soft;
	unsigned cpl;
	bool crowded; /* four older breakpoints have the debug registers */
} cases[CASES] = {{true, 3, false}, {false, 0, false}, {false, 3, false}, {false, 0, true}, {false, 3, true}};

/* False: not on this host. */
static bool open_case(struct guest *g, unsigned i, bool idt, unsigned vcpus)
{
	guest_backend = cases[i].soft ? &soft_backend : NULL;
	if (!cases[i].soft && !guest_possible())
		return false;
	guest_open(g, GUEST_LONG, cases[i].cpl, idt, vcpus);
	for (int n = 0; cases[i].crowded && n < 4; n++)
		guest_break(g, n + 1, 0xe000 + (uint64_t)n);
	return true;
}

static void close_case(struct guest *g)
{
	guest_close(g);
	guest_backend = NULL;
}

static void map(struct guest *g, uint64_t linear, uint64_t gpa)
{
	uint64_t pte = gpa | 7;

	guest_poke(g, PTE(linear), &pte, sizeof(pte));
}

static void hit(struct guest *g, uint64_t rip)
{
	assert_int_equal(guest_continue(g), STOP_BREAKPOINT);
	assert_int_equal(g->stop.breakpoint, ID);
	assert_int_equal(g->stop.rip, rip);
}

/* HLT, which CPL3 may not. */
static void ends(struct guest *g, unsigned i, uint64_t hlt)
{
	enum stop_reason r = guest_continue(g);

	assert_int_equal(r, cases[i].cpl ? STOP_EXCEPTION : STOP_HLT);
	assert_int_equal(g->stop.rip, hlt + !cases[i].cpl);
}

static void byte_is(struct guest *g, uint64_t gpa, uint8_t want)
{
	uint8_t now;

	guest_peek(g, gpa, &now, 1);
	assert_int_equal(now, want);
}

/* The frame is executed at another address than the breakpoint's. */
static void alias(void **state)
{
	(void)state;
	for (unsigned i = 0; i < CASES; i++) {
		struct guest g;

		if (!open_case(&g, i, false, 1))
			continue;
		/* mov ecx, 5; l: mov eax, 0x11223344; dec ecx; jnz l; hlt */
		CODE(&g, "\xb9\x05\x00\x00\x00\xb8\x44\x33\x22\x11\xff\xc9\x75\xf7");
		map(&g, ALIAS, GUEST_CODE);
		guest_break(&g, ID, ALIAS + 5);
		ends(&g, i, GUEST_CODE + 14);
		assert_int_equal(guest_reg(&g, 0, RAX), 0x11223344);
		assert_int_equal(guest_reg(&g, 0, RCX), 0);
		guest_set_rip(&g, 0, ALIAS);
		hit(&g, ALIAS + 5);
		byte_is(&g, GUEST_CODE + 5, 0xb8);
		close_case(&g);
	}
}

/* Where none hits at CPL0, a step over INT3 with an IDT runs on: the handler cannot be stopped at. */
static bool debug_registers_hit(void)
{
	struct guest g;

	if (!guest_possible())
		return false;
	guest_open(&g, GUEST_LONG, 0, false, 1);
	bool hit = !strcmp(guest_break(&g, 1, GUEST_CODE), "hw");
	guest_close(&g);
	return hit;
}

/* The same with an IDT, and an int3 of the guest's own under the breakpoint at the other address. */
static void own_int3_under_it(void **state)
{
	(void)state;
	bool stops_at_handlers = debug_registers_hit();
	for (unsigned i = 0; i < CASES; i++)
		for (int idt = 0; idt <= (cases[i].soft || stops_at_handlers); idt++) {
			struct guest g;

			if (!open_case(&g, i, idt, 1))
				continue;
			CODE(&g, "\x90\x90\xcc\x90");
			map(&g, ALIAS, GUEST_CODE);
			guest_break(&g, ID, ALIAS + 2);
			guest_break(&g, ID + 1, ALIAS + 1);
			enum stop_reason r = guest_continue(&g);
			if (r == STOP_ERROR)
				fail_msg("case %u: %s", i, g.stop.error);
			assert_int_equal(r, idt ? STOP_HLT : STOP_EXCEPTION);
			if (idt)
				assert_int_equal(machine_board(g.m)->post, 3);
			else
				assert_int_equal(g.stop.vector, 3);
			byte_is(&g, GUEST_CODE + 1, 0x90);
			byte_is(&g, GUEST_CODE + 2, 0xcc);
			close_case(&g);
		}
}

/* A loader's copy over the breakpoint, three times. */
static void guest_writes_over_it(void **state)
{
	/* mov ecx, 3; l: mov eax, [0x8040]; mov [0x8020], eax; xor edx, edx; jmp 0x8020 */
	static const char loader[] = "\xb9\x03\x00\x00\x00\x8b\x04\x25\x40\x80\x00\x00\x89\x04\x25\x20\x80\x00\x00"
				     "\x31\xd2\xeb\x09";
	/* ud2; nop; nop; dec ecx; jnz l; hlt */
	static const char there[] = "\x0f\x0b\x90\x90\xff\xc9\x75\xdd\xf4";

	(void)state;
	for (unsigned i = 0; i < CASES; i++) {
		struct guest g;
		uint8_t now[4];

		if (!open_case(&g, i, false, 1))
			continue;
		CODE(&g, loader);
		guest_poke(&g, GUEST_CODE + 0x20, there, sizeof(there) - 1);
		guest_poke(&g, GUEST_CODE + 0x40, "\xff\xc2\x90\x90", 4); /* inc edx */
		guest_break(&g, ID, GUEST_CODE + 0x20);
		for (int n = 0; n < 3; n++)
			hit(&g, GUEST_CODE + 0x20);
		ends(&g, i, GUEST_CODE + 0x28);
		assert_int_equal(guest_reg(&g, 0, RDX), 1);
		guest_peek(&g, GUEST_CODE + 0x20, now, sizeof(now));
		assert_memory_equal(now, "\xff\xc2\x90\x90", 4);
		close_case(&g);
	}
}

/* What the guest writes there is an int3 of its own: it is there when ours is gone. */
static void guest_writes_int3(void **state)
{
	(void)state;
	for (unsigned i = 0; i < CASES; i++) {
		struct guest g;

		if (!open_case(&g, i, false, 1))
			continue;
		/* mov byte [0x8010], 0xcc; jmp 0x8010 */
		CODE(&g, "\xc6\x04\x25\x10\x80\x00\x00\xcc\xeb\x06");
		guest_poke(&g, GUEST_CODE + 0x10, "\x90\x90\xf4", 3);
		guest_break(&g, ID, GUEST_CODE + 0x10);
		hit(&g, GUEST_CODE + 0x10);
		byte_is(&g, GUEST_CODE + 0x10, 0xcc);
		assert_int_equal(machine_unplant(g.m, ID, &g.e), 0);
		assert_int_equal(guest_continue(&g), STOP_EXCEPTION);
		assert_int_equal(g.stop.vector, 3);
		close_case(&g);
	}
}

/* A page that has not been executed yet is copied, read and changed; then it is executed. */
static void guest_reads_its_code(void **state)
{
	/* mov esi, 0x5000; mov edi, 0x6000; mov ecx, 0x20; rep movsb; inc byte [0x5010]; movzx ebx, byte [0x5010];
	 * mov eax, 0x5010; jmp rax */
	static const char code[] = "\xbe\x00\x50\x00\x00\xbf\x00\x60\x00\x00\xb9\x20\x00\x00\x00\xf3\xa4"
				   "\xfe\x04\x25\x10\x50\x00\x00\x0f\xb6\x1c\x25\x10\x50\x00\x00"
				   "\xb8\x10\x50\x00\x00\xff\xe0";

	(void)state;
	for (unsigned i = 0; i < CASES; i++) {
		struct guest g;

		if (!open_case(&g, i, false, 1))
			continue;
		CODE(&g, code);
		guest_poke(&g, 0x5010, "\x8f\xf4", 2);
		guest_break(&g, ID, 0x5010);
		hit(&g, 0x5010);
		assert_int_equal(guest_reg(&g, 0, RBX), 0x90);
		byte_is(&g, 0x6010, 0x8f);
		byte_is(&g, 0x5010, 0x90);
		ends(&g, i, 0x5011);
		close_case(&g);
	}
}

/* In the middle of an instruction, behind a prefix: no byte of ours is executed in place of the guest's. */
static void behind_a_prefix(void **state)
{
	(void)state;
	for (unsigned i = 0; i < CASES; i++) {
		struct guest g;

		if (!open_case(&g, i, false, 1))
			continue;
		CODE(&g, "\x66\xb8\x34\x12"); /* mov ax, 0x1234 */
		guest_set(&g, 0, RAX, 0);
		guest_break(&g, ID, GUEST_CODE + 1);
		ends(&g, i, GUEST_CODE + 4);
		assert_int_equal(guest_reg(&g, 0, RAX), 0x1234);
		close_case(&g);
	}
}

/* Can this host follow an address at all? With EPT or NPT a byte cannot be, and says so. */
static bool follows(struct guest *g, uint64_t addr)
{
	struct plant p = {.id = ID, .kind = PLANT_EXEC, .addr = addr, .len = 1};

	assert_int_equal(machine_plant(g->m, &p, &g->e), 0);
	return !p.why || !strstr(p.why, "exits only");
}

/* Mapped by the guest, with no exit between that and the first instruction there. */
static void mapped_later(void **state)
{
	(void)state;
	for (unsigned i = 0; i < CASES; i++) {
		struct guest g;

		if (!open_case(&g, i, false, 1))
			continue;
		/* mov qword [pte of ALIAS], 0x5007; mov eax, ALIAS; jmp rax */
		CODE(&g, "\x48\xc7\x04\x25\x80\x3f\x01\x00\x07\x50\x00\x00\xb8\x00\x00\x1f\x00\xff\xe0");
		guest_poke(&g, 0x5000, "\x90\x90\xf4", 3);
		guest_break(&g, ID, ALIAS + 1);
		hit(&g, ALIAS + 1);
		ends(&g, i, ALIAS + 2);
		close_case(&g);
	}
}

/* To another frame, as after a fork whose side has written. */
static void moved_to_another_frame(void **state)
{
	/* l: mov eax, ALIAS; call rax; xor qword [pte of ALIAS], 0x3000; invlpg is not needed: mov rbx, cr3 is CPL0's; the
	 * old translation goes by reloading it where that may be, else the entry was not accessed yet. */
	static const char code[] = "\x48\x81\x34\x25\x80\x3f\x01\x00\x00\x30\x00\x00\xb8\x00\x00\x1f\x00\xff\xe0";

	(void)state;
	for (unsigned i = 0; i < CASES; i++) {
		struct guest g;

		if (!open_case(&g, i, false, 1))
			continue;
		CODE(&g, code); /* xor: 0x5007 becomes 0x6007 */
		map(&g, ALIAS, 0x5000);
		guest_poke(&g, 0x5000, "\xf4", 1);
		guest_poke(&g, 0x6000, "\x90\x90\xf4", 3);
		if (follows(&g, ALIAS + 1)) {
			hit(&g, ALIAS + 1);
			byte_is(&g, 0x5001, 0);
			byte_is(&g, 0x6001, 0x90);
			ends(&g, i, ALIAS + 2);
		}
		close_case(&g);
	}
}

/* Another CR3, under which the address is another frame. */
static void another_root(void **state)
{
	/* mov eax, 0x30000; mov cr3, rax; mov eax, ALIAS; jmp rax */
	static const char code[] = "\xb8\x00\x00\x03\x00\x0f\x22\xd8\xb8\x00\x00\x1f\x00\xff\xe0";
	uint8_t tables[0x4000];

	(void)state;
	for (unsigned i = 0; i < CASES; i++) {
		struct guest g;

		if (cases[i].cpl || !open_case(&g, i, false, 1))
			continue;
		CODE(&g, code);
		map(&g, ALIAS, 0x5000);
		guest_peek(&g, GUEST_CR3, tables, sizeof(tables));
		for (unsigned t = 0; t < 3; t++) {
			uint64_t entry = (0x31000 + t * 0x1000) | 7;

			memcpy(tables + t * 0x1000, &entry, 8);
		}
		guest_poke(&g, 0x30000, tables, sizeof(tables));
		uint64_t pte = 0x6007;
		guest_poke(&g, 0x33000 + (ALIAS >> PAGE_SHIFT) * 8, &pte, 8);
		guest_poke(&g, 0x6000, "\x90\x90\xf4", 3);
		if (follows(&g, ALIAS + 1)) {
			hit(&g, ALIAS + 1);
			ends(&g, i, ALIAS + 2);
		}
		close_case(&g);
	}
}

/* Both vCPUs run the frame, one at the breakpoint's address and one beside it. */
static void two_vcpus(void **state)
{
	(void)state;
	for (unsigned i = 0; i < CASES; i++) {
		struct guest g;
		uint32_t turns[2];

		if (!open_case(&g, i, false, 2))
			continue;
		/* l: lock inc dword [0x5000 + rbx * 4]; jmp l */
		CODE(&g, "\xf0\xff\x04\x9d\x00\x50\x00\x00\xeb\xf6");
		map(&g, ALIAS, GUEST_CODE);
		guest_set(&g, 1, RBX, 1);
		guest_set_rip(&g, 1, ALIAS);
		guest_break(&g, ID, ALIAS + 8);
		for (int n = 0; n < 20; n++) {
			assert_int_equal(guest_continue(&g), STOP_BREAKPOINT);
			assert_int_equal(g.stop.vcpu, 1);
			assert_int_equal(g.stop.rip, ALIAS + 8);
		}
		guest_peek(&g, 0x5000, turns, sizeof(turns));
		assert_int_equal(turns[1], 20);
		assert_true(turns[0] > 0);
		byte_is(&g, GUEST_CODE + 8, 0xeb);
		close_case(&g);
	}
}

/* One runs, the other changes the code under it. */
static void written_by_another_vcpu(void **state)
{
	(void)state;
	for (unsigned i = 0; i < CASES; i++) {
		struct guest g;

		if (!open_case(&g, i, false, 2))
			continue;
		/* vCPU 0: mov byte [0x5001], 0x90; l: jmp l. vCPU 1 at 0x5000: jmp to itself until then, nop behind it */
		CODE(&g, "\xc6\x04\x25\x01\x50\x00\x00\x00\xeb\xfe");
		guest_poke(&g, 0x5000, "\xeb\xfe\x90\x90\xeb\xfc", 6); /* jmp $; nop; l: nop; jmp l */
		guest_set_rip(&g, 1, 0x5000);
		guest_break(&g, ID, 0x5003);
		hit(&g, 0x5003);
		assert_int_equal(g.stop.vcpu, 1);
		byte_is(&g, 0x5001, 0);
		close_case(&g);
	}
}

/* What is told of it is how it is now. */
static void how_is_of_now(void **state)
{
	struct guest g;
	struct plant p = {.id = ID, .kind = PLANT_EXEC, .addr = ALIAS + 1, .len = 1};

	(void)state;
	if (!guest_possible())
		skip();
	guest_open(&g, GUEST_LONG, 3, false, 1);
	assert_int_equal(machine_plant(g.m, &p, &g.e), 0);
	bool bytes = p.why && strstr(p.why, "not mapped now");
	map(&g, ALIAS, 0x5000);
	assert_int_equal(machine_plants_now(g.m, &p, 1, &g.e), 0);
	assert_true(!p.why || !strstr(p.why, "not mapped"));
	/* Where a debug register hits there is nothing else. */
	assert_true(bytes ? strstr(p.how, "int3") != NULL : !strcmp(p.how, "hw"));
	if (bytes)
		assert_true(!p.why || !strstr(p.why, "see the int3"));
	guest_set_rip(&g, 0, ALIAS);
	assert_int_equal(machine_plants_now(g.m, &p, 1, &g.e), 0);
	if (bytes)
		assert_non_null(strstr(p.why, "see the int3"));
	guest_close(&g);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(alias),
	    cmocka_unit_test(own_int3_under_it),
	    cmocka_unit_test(guest_writes_over_it),
	    cmocka_unit_test(guest_writes_int3),
	    cmocka_unit_test(guest_reads_its_code),
	    cmocka_unit_test(behind_a_prefix),
	    cmocka_unit_test(mapped_later),
	    cmocka_unit_test(moved_to_another_frame),
	    cmocka_unit_test(another_root),
	    cmocka_unit_test(two_vcpus),
	    cmocka_unit_test(written_by_another_vcpu),
	    cmocka_unit_test(how_is_of_now),
	};

	(void)argc;
	return guest_once_more(argv, cmocka_run_group_tests(tests, NULL, NULL));
}
