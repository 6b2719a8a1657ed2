/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Watchpoints on the real kernel by pages of the guest's view: what is a hit and what is not, at CPL0 (where KVM may
 * emulate) and at CPL3, with breakpoints, fault stepping and other vCPUs beside them.
 */
#include "tests/support/guest.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <cmocka.h>

#include "kvmback/watch/armed_impl.h"
#include "kvmback/vcpu/vcpu.h"
#include "kvmback/host/uffd.h"

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

#define OPEN(g, mode, cpl, vcpus)                                                                                           \
	struct guest g;                                                                                                     \
	if (!possible())                                                                                                    \
		skip();                                                                                                     \
	guest_open(&g, mode, cpl, false, vcpus)
#define CODE(g, s) guest_code(g, s, sizeof(s) - 1)
#define EACH_CPL(cpl) for (unsigned cpl = 0; cpl <= 3; cpl += 3)

static struct plant watch(struct guest *g, int id, enum plant_kind kind, uint64_t addr, uint64_t len, bool phys)
{
	struct plant p = {.id = id, .kind = kind, .addr = addr, .len = len, .phys = phys};

	if (machine_plant(g->m, &p, &g->e))
		fail_msg("%s: %s", g->e.what, g->e.why);
	return p;
}

static void hit(struct guest *g, int id, uint64_t rip, uint64_t gva, unsigned len, bool write)
{
	assert_int_equal(guest_continue(g), STOP_WATCHPOINT);
	assert_int_equal(g->stop.breakpoint, id);
	assert_int_equal(g->stop.rip, rip);
	assert_int_equal(guest_regs(g, g->stop.vcpu).rip, rip);
	assert_int_equal(g->stop.gva, gva);
	assert_int_equal(g->stop.gpa, gva);
	assert_int_equal(g->stop.len, len);
	assert_int_equal(g->stop.write, write);
	assert_true(g->stop.has_old && g->stop.has_by);
	assert_int_equal(g->stop.slot, 0);
}

/* The guest's end is a hlt, which CPL3 may not execute. */
static void ended(struct guest *g, unsigned cpl)
{
	assert_int_equal(guest_continue(g), cpl ? STOP_EXCEPTION : STOP_HLT);
	assert_int_equal(g->stop.vector, cpl ? 13 : 0);
}

/* mov dword [0x5000], 1; mov eax, [0x5004]; inc dword [0x5004]; mov dword [0x5008], 2 */
#define FOUR                                                                                                                \
	"\xc7\x04\x25\x00\x50\x00\x00\x01\x00\x00\x00\x8b\x04\x25\x04\x50\x00\x00\xff\x04\x25\x04\x50\x00\x00"              \
	"\xc7\x04\x25\x08\x50\x00\x00\x02\x00\x00\x00"

struct in_armed {
	uint64_t gpa;
	bool found;
};

static void look_for(void *arg, uint64_t gpa, uint64_t len)
{
	struct in_armed *a = arg;

	a->found |= a->gpa - gpa < len;
}

static bool is_armed(struct guest *g, uint64_t gpa)
{
	struct in_armed a = {.gpa = gpa};

	machine_armed(g->m, look_for, &a);
	return a.found;
}

static void writes_reads_accesses(void **state)
{
	(void)state;
	EACH_CPL(cpl)
	for (int phys = 0; phys <= 1; phys++) {
		OPEN(g, GUEST_LONG, cpl, 1);
		CODE(&g, FOUR);
		assert_string_equal(watch(&g, 1, PLANT_WRITE, 0x5004, 4, phys).how, "page");
		hit(&g, 1, GUEST_CODE + 25, 0x5004, 4, true);
		assert_true(is_armed(&g, 0x5004) && !is_armed(&g, 0x7004));
		assert_int_equal(g.stop.by, GUEST_CODE + 18);
		assert_memory_equal(g.stop.old_data, "\0\0\0\0", 4);
		assert_memory_equal(g.stop.data, "\1\0\0\0", 4);
		ended(&g, cpl);

		assert_int_equal(machine_unplant(g.m, 1, &g.e), 0);
		assert_string_equal(watch(&g, 2, PLANT_READ, 0x5004, 4, phys).how, "page");
		guest_set_rip(&g, 0, GUEST_CODE);
		hit(&g, 2, GUEST_CODE + 18, 0x5004, 4, false);
		assert_memory_equal(g.stop.data, "\1\0\0\0", 4);
		hit(&g, 2, GUEST_CODE + 25, 0x5004, 4, true); /* it reads what it increments */
		assert_true(g.stop.read);
		assert_memory_equal(g.stop.old_data, "\1\0\0\0", 4);
		assert_memory_equal(g.stop.data, "\2\0\0\0", 4);
		ended(&g, cpl);

		assert_int_equal(machine_unplant(g.m, 2, &g.e), 0);
		watch(&g, 3, PLANT_ACCESS, 0x5004, 8, phys);
		guest_set_rip(&g, 0, GUEST_CODE);
		hit(&g, 3, GUEST_CODE + 18, 0x5004, 4, false);
		hit(&g, 3, GUEST_CODE + 25, 0x5004, 4, true);
		hit(&g, 3, GUEST_CODE + 36, 0x5008, 4, true);
		ended(&g, cpl);
		guest_close(&g);
	}
}

/* Beside the watched bytes, in the same page: none of these stops, and all of them happen. */
static void sub_page(void **state)
{
	uint32_t now[3];

	(void)state;
	EACH_CPL(cpl)
	{
		OPEN(g, GUEST_LONG, cpl, 1);
		CODE(&g, FOUR);
		watch(&g, 1, PLANT_ACCESS, 0x500c, 4, true);
		watch(&g, 2, PLANT_ACCESS, 0x4ffc, 4, false);
		ended(&g, cpl);
		guest_peek(&g, 0x5000, now, sizeof(now));
		assert_int_equal(now[0], 1);
		assert_int_equal(now[1], 1);
		assert_int_equal(now[2], 2);
		guest_close(&g);
	}
}

/* The same value again is a write like any other. */
static void value_unchanged(void **state)
{
	(void)state;
	EACH_CPL(cpl)
	{
		OPEN(g, GUEST_LONG, cpl, 1);
		CODE(&g, "\xc7\x04\x25\x00\x50\x00\x00\x00\x00\x00\x00\x90");
		watch(&g, 1, PLANT_WRITE, 0x5000, 1, false);
		hit(&g, 1, GUEST_CODE + 11, 0x5000, 4, true);
		assert_memory_equal(g.stop.data, g.stop.old_data, 4);
		ended(&g, cpl);
		guest_close(&g);
	}
}

/* One in each of a hundred pages, and a loop that stores to every page in turn. */
static void hundred(void **state)
{
	(void)state;
	EACH_CPL(cpl)
	{
		OPEN(g, GUEST_LONG, cpl, 1);
		/* mov [rbx], eax; add rbx, 0x1000; jmp back */
		CODE(&g, "\x89\x03\x48\x81\xc3\x00\x10\x00\x00\xeb\xf5");
		guest_set(&g, 0, RBX, 0x20000);
		for (int i = 0; i < 100; i++)
			watch(&g, i + 1, PLANT_WRITE, 0x20000 + 0x1000 * (uint64_t)i, 8, i & 1);
		for (int i = 0; i < 100; i++)
			hit(&g, i + 1, GUEST_CODE + 2, 0x20000 + 0x1000 * (uint64_t)i, 4, true);
		for (int i = 0; i < 100; i++)
			assert_int_equal(machine_unplant(g.m, i + 1, &g.e), 0);
		guest_close(&g);
	}
}

/* A store across a page's end is a hit of a watch on either page. */
static void page_crossing(void **state)
{
	(void)state;
	EACH_CPL(cpl)
	for (int second = 0; second <= 1; second++) {
		OPEN(g, GUEST_LONG, cpl, 1);
		/* mov dword [0x5ffe], 0x04030201 */
		CODE(&g, "\xc7\x04\x25\xfe\x5f\x00\x00\x01\x02\x03\x04\x90");
		watch(&g, 1, PLANT_WRITE, second ? 0x6001 : 0x5fff, 1, second);
		assert_int_equal(guest_continue(&g), STOP_WATCHPOINT);
		assert_int_equal(g.stop.rip, GUEST_CODE + 11);
		/* Done by KVM's emulator: what was in the page before, which is not watched, nobody knows. */
		unsigned len = g.stop.len, cut = second && len == 2 ? 2 : 0;
		assert_true(len == 4 || (len == 2 && cpl == 0));
		assert_int_equal(g.stop.gva, 0x5ffe + cut);
		assert_int_equal(g.stop.gpa, 0x5ffe + cut);
		assert_memory_equal(g.stop.data, &"\1\2\3\4"[cut], len);
		assert_memory_equal(g.stop.old_data, "\0\0\0\0", len);
		guest_close(&g);
	}
}

/* movsq between two watched pages: both are armed, one step opens both. */
static void two_pages(void **state)
{
	(void)state;
	EACH_CPL(cpl)
	{
		OPEN(g, GUEST_LONG, cpl, 1);
		CODE(&g, "\x48\xa5\x48\xa5\x90");
		guest_poke(&g, 0x5000, "abcdefghijklmnop", 16);
		guest_set(&g, 0, RSI, 0x5000);
		guest_set(&g, 0, RDI, 0x6000);
		watch(&g, 1, PLANT_READ, 0x5008, 8, false);
		watch(&g, 2, PLANT_WRITE, 0x6000, 8, true);
		hit(&g, 2, GUEST_CODE + 2, 0x6000, 8, true);
		assert_memory_equal(g.stop.data, "abcdefgh", 8);
		hit(&g, 1, GUEST_CODE + 4, 0x5008, 8, false);
		assert_memory_equal(g.stop.data, "ijklmnop", 8);
		guest_close(&g);
	}
}

/* A range of several pages. */
static void long_range(void **state)
{
	(void)state;
	EACH_CPL(cpl)
	{
		OPEN(g, GUEST_LONG, cpl, 1);
		CODE(&g, "\x89\x03\x90");
		watch(&g, 1, PLANT_WRITE, 0x20010, 0x2fff0, cpl == 3);
		guest_set(&g, 0, RBX, 0x2000c);
		ended(&g, cpl);
		guest_set_rip(&g, 0, GUEST_CODE);
		guest_set(&g, 0, RBX, 0x4fffc);
		hit(&g, 1, GUEST_CODE + 2, 0x4fffc, 4, true);
		guest_close(&g);
	}
}

/* Every iteration that is stepped stops; without stepping KVM's emulator may do several before it looks up. */
static void rep_stos(void **state)
{
	uint8_t now[0x1100];

	(void)state;
	EACH_CPL(cpl)
	{
		OPEN(g, GUEST_LONG, cpl, 1);
		CODE(&g, "\xf3\xaa\x90");
		guest_set(&g, 0, RAX, 0x5a);
		guest_set(&g, 0, RDI, 0x20f80);
		guest_set(&g, 0, RCX, 0x100);
		watch(&g, 1, PLANT_WRITE, 0x21010, 1, true);
		assert_int_equal(guest_continue(&g), STOP_WATCHPOINT);
		assert_int_equal(g.stop.breakpoint, 1);
		if (cpl == 3) {
			assert_int_equal(g.stop.gva, 0x21010);
			assert_int_equal(guest_reg(&g, 0, RDI), 0x21011);
			assert_int_equal(guest_reg(&g, 0, RCX), 0x6f);
			assert_int_equal(g.stop.rip, GUEST_CODE);
		}
		guest_peek(&g, 0x21010, now, 1);
		assert_int_equal(now[0], 0x5a);
		ended(&g, cpl);
		guest_peek(&g, 0x20f80, now, 0x100);
		for (unsigned i = 0; i < 0x100; i++)
			assert_int_equal(now[i], 0x5a);
		guest_close(&g);
	}
}

static void with_breakpoints(void **state)
{
	(void)state;
	EACH_CPL(cpl)
	{
		OPEN(g, GUEST_LONG, cpl, 1);
		CODE(&g, FOUR);
		guest_break(&g, 1, GUEST_CODE);
		guest_break(&g, 2, GUEST_CODE + 18);
		guest_break(&g, 3, GUEST_CODE + 25);
		guest_break(&g, 4, GUEST_CODE + 36);
		watch(&g, 5, PLANT_WRITE, 0x5004, 4, false);
		watch(&g, 6, PLANT_WRITE, 0x5800, 4, false);
		assert_int_equal(guest_continue(&g), STOP_BREAKPOINT);
		assert_int_equal(g.stop.breakpoint, 2);
		/* the step off the breakpoint is the store */
		hit(&g, 5, GUEST_CODE + 25, 0x5004, 4, true);
		/* a store next to the watched bytes, and a breakpoint behind it */
		assert_int_equal(guest_continue(&g), STOP_BREAKPOINT);
		assert_int_equal(g.stop.breakpoint, 4);
		ended(&g, cpl);
		guest_close(&g);
	}
}

static void single_steps(void **state)
{
	(void)state;
	EACH_CPL(cpl)
	{
		OPEN(g, GUEST_LONG, cpl, 1);
		CODE(&g, FOUR);
		watch(&g, 1, PLANT_ACCESS, 0x5004, 4, false);
		assert_int_equal(guest_step(&g), STOP_STEP);
		assert_int_equal(guest_step(&g), STOP_WATCHPOINT);
		assert_int_equal(g.stop.rip, GUEST_CODE + 18);
		assert_int_equal(guest_run(&g, RUN_STEP, 0, 10), STOP_WATCHPOINT);
		assert_int_equal(g.stop.rip, GUEST_CODE + 25);
		guest_close(&g);
	}
}

/* The debugger's own writes are no hits, and are what is there before. */
static void own_writes(void **state)
{
	OPEN(g, GUEST_LONG, 3, 1);

	(void)state;
	CODE(&g, FOUR);
	watch(&g, 1, PLANT_WRITE, 0x5004, 4, false);
	assert_int_equal(guest_step(&g), STOP_STEP);
	guest_poke(&g, 0x5004, "\x10\x20\x30\x40", 4);
	hit(&g, 1, GUEST_CODE + 25, 0x5004, 4, true);
	assert_memory_equal(g.stop.old_data, "\x10\x20\x30\x40", 4);
	assert_memory_equal(g.stop.data, "\x11\x20\x30\x40", 4);
	guest_close(&g);
}

static void other_modes(void **state)
{
	(void)state;
	{
		OPEN(g, GUEST_REAL, 0, 1);
		/* mov word [0x5000], 0x1234 */
		CODE(&g, "\xc7\x06\x00\x50\x34\x12\x90");
		watch(&g, 1, PLANT_WRITE, 0x5000, 2, false);
		hit(&g, 1, GUEST_CODE + 6, 0x5000, 2, true);
		guest_close(&g);
	}
	EACH_CPL(cpl)
	{
		OPEN(g, GUEST_PROT, cpl, 1);
		/* mov dword [0x5000], 0x1234; push eax */
		CODE(&g, "\xc7\x05\x00\x50\x00\x00\x34\x12\x00\x00\x50\x90");
		watch(&g, 1, PLANT_WRITE, 0x5000, 4, true);
		uint64_t pushed = guest_reg(&g, 0, RSP) - 4;
		watch(&g, 2, PLANT_WRITE, pushed, 4, false);
		hit(&g, 1, GUEST_CODE + 10, 0x5000, 4, true);
		hit(&g, 2, GUEST_CODE + 11, pushed, 4, true);
		guest_close(&g);
	}
}

/* Reads are watched in one page amid a range whose writes are: only that page is missing, the code beside it runs freely. */
static void reads_amid_writes(void **state)
{
	OPEN(g, GUEST_LONG, 3, 1);

	(void)state;
	/* mov rcx, 200000; next: dec rcx; jnz next; mov al, [0x5000]; mov [0x6000], al; mov al, [0x6000] */
	CODE(&g, "\x48\xc7\xc1\x40\x0d\x03\x00\x48\xff\xc9\x75\xfb\x8a\x04\x25\x00\x50\x00\x00\x88\x04\x25\x00\x60\x00\x00"
		 "\x8a\x04\x25\x00\x60\x00\x00");
	watch(&g, 1, PLANT_WRITE, 0x1000, 0x9000, true);
	watch(&g, 2, PLANT_ACCESS, 0x5000, 8, true);
	hit(&g, 2, GUEST_CODE + 19, 0x5000, 1, false);
	hit(&g, 1, GUEST_CODE + 26, 0x6000, 1, true);
	/* That a page of code was in the way would have made thousands of entries of it. */
	assert_in_range(vcpu_entry(&CONTAINER_OF(g.m, struct kvm_vm, m)->vcpu[0]), 1, 100);
	ended(&g, 3);
	guest_close(&g);
}

/* ---- other tables */

#define ROOT_B 0x20000u

/* A second root, over tables of its own where they differ: linear 0x7000 is 0x9000 under it. */
static void second_root(struct guest *g)
{
	uint64_t entry, leaf = 0x9007;
	uint8_t table[PAGE_SIZE_4K];

	for (unsigned level = 0; level < 4; level++) {
		guest_peek(g, GUEST_CR3 + level * 0x1000, table, sizeof(table));
		guest_poke(g, ROOT_B + level * 0x1000, table, sizeof(table));
		entry = (ROOT_B + (level + 1) * 0x1000) | 7;
		if (level < 3)
			guest_poke(g, ROOT_B + level * 0x1000, &entry, sizeof(entry));
	}
	guest_poke(g, ROOT_B + 0x3000 + 7 * 8, &leaf, sizeof(leaf));
}

static void hit_at(struct guest *g, unsigned n, uint64_t gpa)
{
	assert_int_equal(guest_continue(g), STOP_WATCHPOINT);
	assert_int_equal(g->stop.gva, 0x7000);
	assert_int_equal(g->stop.gpa, gpa);
	assert_int_equal(g->stop.data[0], n);
}

/* A virtual address is watched under each root that is loaded, the first time without an exit, then without a look-up; the
 * other page of that number is nobody's. */
static void other_roots(void **state)
{
	OPEN(g, GUEST_LONG, 0, 1);

	(void)state;
	if (!guest_needs(!guest_host()->walks_write, "guest tables that can be armed for writes")) {
		guest_close(&g);
		skip();
	}
	second_root(&g);
	/* mov byte [0x7000], 1; mov cr3, rbx; mov byte [0x7000], 2; mov cr3, rcx; mov byte [0x7000], 3; mov byte [0x9000],
	 * 9; mov cr3, rbx; mov byte [0x7000], 4 */
	CODE(&g, "\xc6\x04\x25\x00\x70\x00\x00\x01\x0f\x22\xdb\xc6\x04\x25\x00\x70\x00\x00\x02\x0f\x22\xd9"
		 "\xc6\x04\x25\x00\x70\x00\x00\x03\xc6\x04\x25\x00\x90\x00\x00\x09\x0f\x22\xdb"
		 "\xc6\x04\x25\x00\x70\x00\x00\x04");
	guest_set(&g, 0, RBX, ROOT_B);
	guest_set(&g, 0, RCX, GUEST_CR3);
	watch(&g, 1, PLANT_WRITE, 0x7000, 1, false);
	hit_at(&g, 1, 0x7000);
	hit_at(&g, 2, 0x9000);
	hit_at(&g, 3, 0x7000);
	hit_at(&g, 4, 0x9000);
	ended(&g, 0);
	guest_close(&g);
}

/* ---- together with fault stepping */

static void while_catching_faults(void **state)
{
	const struct fault_filter here = {.first = 6, .last = 6};
	OPEN(g, GUEST_LONG, 3, 1);

	(void)state;
	/* mov dword [0x5000], 1; mov dword [0x6000], 2; mov dword [0x5000], 3 */
	CODE(&g, "\xc7\x04\x25\x00\x50\x00\x00\x01\x00\x00\x00\xc7\x04\x25\x00\x60\x00\x00\x02\x00\x00\x00"
		 "\xc7\x04\x25\x00\x50\x00\x00\x03\x00\x00\x00");
	watch(&g, 1, PLANT_WRITE, 0x5000, 4, true);
	watch(&g, 2, PLANT_WRITE, 0x6000, 4, true);
	assert_int_equal(machine_fault_catch(g.m, &here, 1, &g.e), 0);
	hit(&g, 1, GUEST_CODE + 11, 0x5000, 4, true);
	assert_int_equal(guest_continue(&g), STOP_FAULT_STAGE);
	assert_int_equal(g.stop.gpa, 0x6000);
	assert_true(machine_parked(g.m, NULL));
	hit(&g, 2, GUEST_CODE + 22, 0x6000, 4, true);
	assert_false(machine_parked(g.m, NULL));
	assert_int_equal(machine_fault_catch(g.m, NULL, 0, &g.e), 0);
	hit(&g, 1, GUEST_CODE + 33, 0x5000, 4, true);
	assert_memory_equal(g.stop.old_data, "\1\0\0\0", 4);
	ended(&g, 3);
	guest_close(&g);
}

/* ---- a watched guest table: KVM's walks and its writes of A and D are no accesses of an instruction */

static void watched_table(void **state)
{
	uint64_t pte;

	(void)state;
	EACH_CPL(cpl)
	{
		OPEN(g, GUEST_LONG, cpl, 1);
		CODE(&g, FOUR);
		watch(&g, 1, PLANT_ACCESS, GUEST_CR3 + 0x3000, 0x1000, true);
		ended(&g, cpl);
		guest_peek(&g, GUEST_CR3 + 0x3000 + 5 * 8, &pte, 8);
		assert_int_equal(pte, 0x5067);
		guest_close(&g);
	}
}

/* ---- interrupts, and leaving in the middle */

static void *interrupter(void *arg)
{
	struct guest *g = arg;

	while (!machine_running(g->m))
		;
	machine_interrupt(g->m);
	return NULL;
}

/* A loop that touches the armed page all the time, next to what is watched. */
static void interrupt(void **state)
{
	uint64_t before, now;

	(void)state;
	EACH_CPL(cpl)
	{
		OPEN(g, GUEST_LONG, cpl, 1);
		/* inc qword [0x5000]; jmp back */
		CODE(&g, "\x48\xff\x04\x25\x00\x50\x00\x00\xeb\xf6");
		watch(&g, 1, PLANT_WRITE, 0x5100, 8, true);
		for (int i = 0; i < 20; i++) {
			pthread_t t;

			guest_peek(&g, 0x5000, &before, 8);
			pthread_create(&t, NULL, interrupter, &g);
			assert_int_equal(guest_continue(&g), STOP_INTERRUPTED);
			pthread_join(t, NULL);
			assert_true(g.stop.rip == GUEST_CODE || g.stop.rip == GUEST_CODE + 8);
			guest_peek(&g, 0x5000, &now, 8);
			assert_true(now >= before);
		}
		/* no turn is lost or made twice by what interrupts it */
		guest_peek(&g, 0x5000, &before, 8);
		assert_int_equal(guest_run(&g, RUN_STEP, 0, 10), STOP_STEP);
		guest_peek(&g, 0x5000, &now, 8);
		assert_int_equal(now - before, 5);
		guest_close(&g);
	}
}

static void *interrupt_it(void *arg)
{
	struct machine *m = arg;

	while (!machine_running(m))
		sched_yield();
	machine_interrupt(m);
	return NULL;
}

/* However many signals the user has pending: a kick is none that has to be queued. */
static void kick_without_a_queue(void **state)
{
	struct rlimit old, none;
	pthread_t t;
	OPEN(g, GUEST_LONG, 3, 1);

	(void)state;
	CODE(&g, "\xeb\xfe");
	assert_int_equal(getrlimit(RLIMIT_SIGPENDING, &old), 0);
	none = (struct rlimit){0, old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_SIGPENDING, &none), 0);
	assert_int_equal(pthread_create(&t, NULL, interrupt_it, g.m), 0);
	assert_int_equal(guest_continue(&g), STOP_INTERRUPTED);
	pthread_join(t, NULL);
	assert_int_equal(setrlimit(RLIMIT_SIGPENDING, &old), 0);
	guest_close(&g);
}

struct pest {
	pthread_t victim;
	atomic_bool stop;
};

static void *pester(void *arg)
{
	struct pest *p = arg;

	/* As often as an entry into the guest takes: with more of them there would never be one. */
	while (!atomic_load(&p->stop)) {
		struct timespec t = {.tv_nsec = 20000};

		pthread_kill(p->victim, KICK_SIGNAL);
		nanosleep(&t, NULL);
	}
	return NULL;
}

/* Signals that mean nothing bring the vCPU out of the fault at any time: no hit is lost, none is told twice. */
static void stray_signals(void **state)
{
	(void)state;
	EACH_CPL(cpl)
	{
		struct pest p = {.victim = pthread_self()};
		uint32_t now = 0;
		pthread_t t;
		OPEN(g, GUEST_LONG, cpl, 1);

		/* inc dword [0x5000]; jmp back */
		CODE(&g, "\xff\x04\x25\x00\x50\x00\x00\xeb\xf7");
		watch(&g, 1, PLANT_WRITE, 0x5000, 4, true);
		hit(&g, 1, GUEST_CODE + 7, 0x5000, 4, true);
		assert_int_equal(pthread_create(&t, NULL, pester, &p), 0);
		for (uint32_t i = 2; i <= 200; i++) {
			hit(&g, 1, GUEST_CODE + 7, 0x5000, 4, true);
			memcpy(&now, g.stop.data, sizeof(now));
			assert_int_equal(now, i);
		}
		atomic_store(&p.stop, true);
		pthread_join(t, NULL);
		guest_close(&g);
	}
}

/* ---- answers that are late, as on a busy host */

/* Where the pages' thread is late, and which messages come twice. */
static struct {
	enum answer_at point;
	bool on, echo;
	struct message first, last;
	unsigned n;
} late;

static bool same_message(const struct message *a, const struct message *b)
{
	return a->f.hva == b->f.hva && a->f.tid == b->f.tid && a->entry == b->entry;
}

/* The kernel itself sends a message twice where a thread waits with a signal pending. The first of all is older still. */
static void echo(struct armed *p, const struct message *m)
{
	if (same_message(m, &late.last) || same_message(m, &late.first))
		return;
	if (!late.first.f.hva)
		late.first = *m;
	late.last = *m;
	armed_defer_message(p, m);
	armed_defer_message(p, &late.first);
}

static void be_late(struct armed *p, const struct message *m, int at)
{
	const struct timespec t = {.tv_nsec = 200000};

	if (at == (int)late.point)
		nanosleep(&t, NULL);
	if (late.echo && at == ANSWER_OPENED)
		echo(p, m);
	late.n++;
}

static void begin_late(enum answer_at point, bool echoes)
{
	memset(&late, 0, sizeof(late));
	late.point = point;
	late.echo = echoes;
	late.on = true;
}

static void lag(struct guest *g)
{
	if (late.on)
		CONTAINER_OF(g->m, struct kvm_vm, m)->answering = be_late;
}

/* ---- several vCPUs: nobody runs past a page that is open for another */

static void hits_of_two(unsigned n)
{
	unsigned hits[2] = {0};
	OPEN(g, GUEST_LONG, 3, 2);
	lag(&g);

	/* inc dword [0x5000 + rbx * 4]; jmp back */
	CODE(&g, "\xff\x04\x9d\x00\x50\x00\x00\xeb\xf7");
	guest_set(&g, 1, RBX, 1);
	watch(&g, 1, PLANT_WRITE, 0x5000, 4, true);
	watch(&g, 2, PLANT_WRITE, 0x5004, 4, true);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(guest_run(&g, RUN_CONTINUE, i & 1, 1), STOP_WATCHPOINT);
		unsigned who = g.stop.vcpu;
		assert_int_equal(g.stop.breakpoint, who + 1);
		assert_int_equal(g.stop.rip, GUEST_CODE + 7);
		uint32_t now;
		hits[who]++;
		memcpy(&now, g.stop.data, 4);
		assert_int_equal(now, hits[who]);
	}
	uint32_t turns[2];
	guest_peek(&g, 0x5000, turns, sizeof(turns));
	for (int i = 0; i < 2; i++)
		assert_in_range(turns[i], hits[i], hits[i] + 1);
	assert_int_equal(hits[0] + hits[1], n);
	guest_close(&g);
}

static void two_vcpus(void **state)
{
	(void)state;
	hits_of_two(100);
}

#define LATE_PAGES 16
static void late_hits(unsigned cpl)
{
	OPEN(g, GUEST_LONG, cpl, 1);
	lag(&g);
	/* mov [rbx], eax; add rbx, 0x1000; jmp back */
	CODE(&g, "\x89\x03\x48\x81\xc3\x00\x10\x00\x00\xeb\xf5");
	guest_set(&g, 0, RBX, 0x20000);
	for (int i = 0; i < LATE_PAGES; i++)
		watch(&g, i + 1, PLANT_WRITE, 0x20000 + 0x1000 * (uint64_t)i, 8, i & 1);
	for (int i = 0; i < LATE_PAGES; i++) {
		/* Onto the store by steps, or by a free run from the last one. */
		if (i % 3 == 2)
			assert_int_equal(guest_run(&g, RUN_STEP, 0, 2), STOP_STEP);
		hit(&g, i + 1, GUEST_CODE + 2, 0x20000 + 0x1000 * (uint64_t)i, 4, true);
	}
	guest_close(&g);
}

/* The step that is the store, then the end: whoever has answered may not look at the VM any more. */
static void late_end(unsigned cpl)
{
	OPEN(g, GUEST_LONG, cpl, 1);
	lag(&g);
	CODE(&g, FOUR);
	watch(&g, 1, PLANT_WRITE, 0x5000, 4, true);
	assert_int_equal(guest_step(&g), STOP_WATCHPOINT);
	guest_close(&g);
}

static void late_answers(void **state)
{
	(void)state;
	EACH_CPL(cpl)
	for (enum answer_at point = ANSWER_READ; point <= ANSWER_DONE; point++)
		for (int echoes = 0; echoes <= 1; echoes++) {
			begin_late(point, echoes);
			late_hits(cpl);
			late_end(cpl);
			hits_of_two(10);
			late.on = false;
			assert_true(late.n);
		}
}

/* The pages of a watch that is gone are armed until the next run that is none by steps. */
static void steps_behind_a_watch(void **state)
{
	uint32_t now;

	(void)state;
	EACH_CPL(cpl)
	{
		OPEN(g, GUEST_LONG, cpl, 1);
		CODE(&g, FOUR);
		watch(&g, 1, PLANT_ACCESS, 0x5000, 4, true);
		hit(&g, 1, GUEST_CODE + 11, 0x5000, 4, true);
		assert_int_equal(machine_unplant(g.m, 1, &g.e), 0);
		assert_int_equal(guest_run(&g, RUN_STEP, 0, 3), STOP_STEP);
		guest_peek(&g, 0x5008, &now, sizeof(now));
		assert_int_equal(now, 2);
		guest_close(&g);
	}
}

/* ---- where the pages' thread is */

/* It waits where the vCPU runs, of the CPUs that were allowed when it began; nobody else is bound to one. */
static void on_the_vcpus_cpu(void **state)
{
	cpu_set_t before, one, now, its;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	CPU_ZERO(&one);
	CPU_SET((unsigned)sched_getcpu(), &one);
	for (int bound = 0; bound <= 1; bound++) {
		const cpu_set_t *allowed = bound ? &one : &before;
		OPEN(g, GUEST_LONG, 3, 1);

		/* inc dword [0x5000]; jmp back */
		CODE(&g, "\xff\x04\x25\x00\x50\x00\x00\xeb\xf7");
		assert_int_equal(sched_setaffinity(0, sizeof(*allowed), allowed), 0);
		watch(&g, 1, PLANT_WRITE, 0x5000, 4, true);
		assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
		/* The vCPU goes where it is let; the thread, which began bound, does not. */
		for (int i = 0; i < 20; i++)
			hit(&g, 1, GUEST_CODE + 7, 0x5000, 4, true);
		assert_int_equal(pthread_getaffinity_np(kvm_of(g.m)->armed->thread, sizeof(its), &its), 0);
		assert_int_equal(CPU_COUNT(&its), 1);
		CPU_AND(&now, &its, allowed);
		assert_true(CPU_EQUAL(&now, &its));
		assert_int_equal(sched_getaffinity(0, sizeof(now), &now), 0);
		assert_true(CPU_EQUAL(&now, &before));
		guest_close(&g);
	}
}

/* ---- slots that change under a watch */

static void slot_flip(void **state)
{
	OPEN(g, GUEST_LONG, 3, 1);
	struct slot_steps steps;

	(void)state;
	/* mov eax, [GUEST_ROM]; jmp back */
	CODE(&g, "\x8b\x04\x25\x00\x00\x1e\x00\xeb\xf7");
	watch(&g, 1, PLANT_READ, GUEST_ROM_GPA, 4, true);
	assert_int_equal(guest_continue(&g), STOP_WATCHPOINT);
	assert_int_equal(machine_slot_flags(g.m, GUEST_ROM_SLOT, 0, SLOT_READONLY, 0, &steps, &g.e), 0);
	assert_int_equal(guest_continue(&g), STOP_WATCHPOINT);
	assert_int_equal(g.stop.slot, GUEST_ROM_SLOT);
	assert_int_equal(machine_slot_delete(g.m, GUEST_ROM_SLOT, &steps, &g.e), 0);
	const struct slot_spec spec = {.id = GUEST_ROM_SLOT, .gpa = GUEST_ROM_GPA, .size = 0x1000, .vis = SLOT_VIS_BOTH};
	assert_int_equal(machine_slot_add(g.m, &spec, &steps, &g.e), 0);
	assert_int_equal(guest_continue(&g), STOP_WATCHPOINT);
	assert_int_equal(g.stop.rip, GUEST_CODE + 7);
	guest_close(&g);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(writes_reads_accesses),
	    cmocka_unit_test(sub_page),
	    cmocka_unit_test(value_unchanged),
	    cmocka_unit_test(hundred),
	    cmocka_unit_test(page_crossing),
	    cmocka_unit_test(two_pages),
	    cmocka_unit_test(long_range),
	    cmocka_unit_test(rep_stos),
	    cmocka_unit_test(with_breakpoints),
	    cmocka_unit_test(single_steps),
	    cmocka_unit_test(own_writes),
	    cmocka_unit_test(other_modes),
	    cmocka_unit_test(reads_amid_writes),
	    cmocka_unit_test(kick_without_a_queue),
	    cmocka_unit_test(other_roots),
	    cmocka_unit_test(while_catching_faults),
	    cmocka_unit_test(watched_table),
	    cmocka_unit_test(interrupt),
	    cmocka_unit_test(stray_signals),
	    cmocka_unit_test(two_vcpus),
	    cmocka_unit_test(late_answers),
	    cmocka_unit_test(steps_behind_a_watch),
	    cmocka_unit_test(on_the_vcpus_cpu),
	    cmocka_unit_test(slot_flip),
	};

	setenv("KVMSCOPE_WATCH_PAGES", "1", 1);
	(void)argc;
	return guest_once_more(argv, cmocka_run_group_tests(tests, NULL, NULL));
}
