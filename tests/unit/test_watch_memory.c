/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Watchpoints and the memory behind them, on both backends: what may be watched at all, guest tables that take a watched
 * address elsewhere, slots that are moved, flipped and made anew, memory of files and huge pages, READONLY memory.
 */
#include "tests/support/guest.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/soft/soft.h"
#include "kvmback/host/uffd.h"
#include "kvmback/kvm.h"

#define PTE(gva) (GUEST_CR3 + 0x3000 + ((gva) >> 12) * 8)
#define CODE(g, s) guest_code(g, s, sizeof(s) - 1)
#define EACH_CPL(cpl) for (unsigned cpl = 0; cpl <= 3; cpl += 3)

static bool soft;
static struct slot_steps steps;

static bool possible(void)
{
	const char *why = soft ? NULL : guest_possible() ? uffd_why() : "";

	if (why && *why)
		printf("skip: %s\n", why);
	return !why;
}

#define OPEN(g, cpl)                                                                                                        \
	struct guest g;                                                                                                     \
	if (!possible())                                                                                                    \
		skip();                                                                                                     \
	guest_open(&g, GUEST_LONG, cpl, false, 1)

/* Where each walk of the processor's counts as a write none is armed: `why` of such a watch says so. */
static bool tables_armed(void)
{
	return soft || guest_needs(!guest_host()->walks_write, "guest tables that can be armed for writes");
}

static struct plant plant(int id, enum plant_kind kind, uint64_t addr, uint64_t len, bool phys)
{
	return (struct plant){.id = id, .kind = kind, .addr = addr, .len = len, .phys = phys};
}

/* how: on kvm. */
static void watch(struct guest *g, int id, enum plant_kind kind, uint64_t addr, uint64_t len, bool phys, const char *how)
{
	struct plant p = plant(id, kind, addr, len, phys);

	if (machine_check_watch(g->m, 0, &p, &g->e) || machine_plant(g->m, &p, &g->e))
		fail_msg("%s: %s", g->e.what, g->e.why);
	assert_string_equal(p.how, soft ? "soft" : how);
	bool unfollowed = !soft && !phys && guest_host()->walks_write && !strcmp(p.how, "page");
	assert_int_equal(p.why != NULL, unfollowed || !strcmp(p.how, "step"));
}

static void hit(struct guest *g, int id, uint64_t by, uint64_t gva, uint64_t gpa, bool write)
{
	assert_int_equal(guest_continue(g), STOP_WATCHPOINT);
	assert_int_equal(g->stop.breakpoint, id);
	assert_true(g->stop.has_by);
	assert_int_equal(g->stop.by, by);
	assert_int_equal(g->stop.gva, gva);
	assert_int_equal(g->stop.gpa, gpa);
	assert_int_equal(g->stop.write, write);
}

static void ended(struct guest *g, unsigned cpl)
{
	assert_int_equal(guest_continue(g), cpl ? STOP_EXCEPTION : STOP_HLT);
}

static void slot_make(struct guest *g, uint32_t id, uint64_t gpa, uint64_t size, const char *file, bool huge)
{
	const struct slot_spec s = {.id = id, .gpa = gpa, .size = size, .vis = SLOT_VIS_BOTH, .file = file, .huge = huge};

	if (machine_slot_add(g->m, &s, &steps, &g->e))
		fail_msg("%s: %s", g->e.what, g->e.why);
}

static void map(struct guest *g, uint64_t gva, uint64_t gpa)
{
	uint64_t pte = gpa | 7;

	guest_poke(g, PTE(gva), &pte, sizeof(pte));
}

/* ---- what may be watched */

static void refused(struct guest *g, struct plant p, int rc, const char *why, const char *next)
{
	assert_int_equal(machine_check_watch(g->m, 0, &p, &g->e), rc);
	assert_non_null(strstr(g->e.why, why));
	assert_non_null(strstr(g->e.next, next));
}

static void refusals(void **state)
{
	OPEN(g, 3);

	(void)state;
	refused(&g, plant(1, PLANT_WRITE, 0xd0000000, 4, true), -EINVAL, "no slot has gpa 0xd0000000",
		"catch mmio 0xd0000000");
	refused(&g, plant(1, PLANT_READ, GUEST_DEVICE + 8, 4, false), -EINVAL, "0xd0000008", "catch mmio");
	refused(&g, plant(1, PLANT_WRITE, 0xffff8, 16, true), -EINVAL, "no slot has gpa 0x100000", "catch mmio");
	refused(&g, plant(1, PLANT_WRITE, 0x1cfff8, 16, false), -EINVAL, "no slot has gpa 0xd0000000", "catch mmio");
	refused(&g, plant(1, PLANT_WRITE, GUEST_ROM, 4, false), -EINVAL, "slot 7 is READONLY", "rwatch");
	refused(&g, plant(1, PLANT_WRITE, GUEST_ROM_GPA + 8, 4, true), -EINVAL, "leaves as MMIO", "slot flags 7 -readonly");
	refused(&g, plant(1, PLANT_WRITE, 0x5000, 0, true), -EINVAL, "no range", "length");
	refused(&g, plant(1, PLANT_WRITE, ~0ull - 3, 8, true), -EINVAL, "no range", "length");
	guest_close(&g);
}

/* ---- a virtual address goes where the tables take it */

static void follows_tables(void **state)
{
	OPEN(g, 0);

	(void)state;
	if (!tables_armed()) {
		guest_close(&g);
		skip();
	}
	/* mov dword [0x30010], 1; mov qword [its PTE], 0x31007; invlpg [0x30000]; mov dword [0x30010], 7 */
	CODE(&g, "\xc7\x04\x25\x10\x00\x03\x00\x01\x00\x00\x00\x48\xc7\x04\x25\x80\x31\x01\x00\x07\x10\x03\x00"
		 "\x0f\x01\x3c\x25\x00\x00\x03\x00\xc7\x04\x25\x10\x00\x03\x00\x07\x00\x00\x00");
	watch(&g, 1, PLANT_WRITE, 0x30010, 4, false, "page");
	hit(&g, 1, GUEST_CODE, 0x30010, 0x30010, true);
	hit(&g, 1, GUEST_CODE + 31, 0x30010, 0x31010, true);
	assert_memory_equal(g.stop.old_data, "\0\0\0\0", 4);
	assert_memory_equal(g.stop.data, "\7\0\0\0", 4);
	ended(&g, 0);
	guest_close(&g);
}

/* Mapped by the guest only after the watchpoint was set: no steps until then. */
static void mapped_later(void **state)
{
	(void)state;
	EACH_CPL(cpl)
	for (unsigned kind = PLANT_WRITE; kind <= PLANT_ACCESS; kind += PLANT_ACCESS - PLANT_WRITE) {
		OPEN(g, cpl);
		if (!tables_armed()) {
			guest_close(&g);
			skip();
		}
		/* mov qword [its PTE], 0x32007; mov dword [0x180008], 5; mov eax, [0x180008] */
		CODE(&g, "\x48\xc7\x04\x25\x00\x3c\x01\x00\x07\x20\x03\x00\xc7\x04\x25\x08\x00\x18\x00\x05\x00\x00\x00"
			 "\x8b\x04\x25\x08\x00\x18\x00");
		watch(&g, 1, (enum plant_kind)kind, 0x180008, 4, false, "page");
		hit(&g, 1, GUEST_CODE + 12, 0x180008, 0x32008, true);
		if (kind == PLANT_ACCESS)
			hit(&g, 1, GUEST_CODE + 23, 0x180008, 0x32008, false);
		ended(&g, cpl);
		guest_close(&g);
	}
}

/* The debugger maps it. */
static void mapped_by_debugger(void **state)
{
	OPEN(g, 3);

	(void)state;
	CODE(&g, "\xc7\x04\x25\x08\x00\x18\x00\x05\x00\x00\x00");
	watch(&g, 1, PLANT_WRITE, 0x180008, 4, false, "page");
	assert_int_equal(guest_continue(&g), STOP_EXCEPTION);
	map(&g, 0x180000, 0x33000);
	hit(&g, 1, GUEST_CODE, 0x180008, 0x33008, true);
	guest_close(&g);
}

/* A watched table: its A and D bits are set by walks, which are nobody's access; an instruction's store is a hit. */
static void watched_table(void **state)
{
	uint64_t pte;

	(void)state;
	EACH_CPL(cpl)
	for (unsigned kind = PLANT_WRITE; kind <= PLANT_ACCESS; kind += PLANT_ACCESS - PLANT_WRITE) {
		OPEN(g, cpl);
		/* mov dword [0x5000], 1; mov dword [its PTE + 4], 0 */
		CODE(&g, "\xc7\x04\x25\x00\x50\x00\x00\x01\x00\x00\x00\xc7\x04\x25\x2c\x30\x01\x00\x00\x00\x00\x00");
		watch(&g, 1, (enum plant_kind)kind, PTE(0x5000), 8, true, "page");
		hit(&g, 1, GUEST_CODE + 11, PTE(0x5000) + 4, PTE(0x5000) + 4, true);
		guest_peek(&g, PTE(0x5000), &pte, 8);
		assert_int_equal(pte, 0x5067);
		ended(&g, cpl);
		guest_close(&g);
	}
}

/* ---- slots */

static void readonly_memory(void **state)
{
	(void)state;
	EACH_CPL(cpl)
	for (int phys = 0; phys <= 1; phys++) {
		OPEN(g, cpl);
		/* mov dword [GUEST_ROM], 9; mov eax, [GUEST_ROM] */
		CODE(&g, "\xc7\x04\x25\x00\x00\x1e\x00\x09\x00\x00\x00\x8b\x04\x25\x00\x00\x1e\x00");
		watch(&g, 1, PLANT_ACCESS, phys ? GUEST_ROM_GPA : GUEST_ROM, 4, phys, "page");
		hit(&g, 1, GUEST_CODE + 11, GUEST_ROM, GUEST_ROM_GPA, false);
		ended(&g, cpl);
		assert_int_equal(machine_slot_flags(g.m, GUEST_ROM_SLOT, 0, SLOT_READONLY, 0, &steps, &g.e), 0);
		guest_set_rip(&g, 0, GUEST_CODE);
		hit(&g, 1, GUEST_CODE, GUEST_ROM, GUEST_ROM_GPA, true);
		assert_int_equal(machine_slot_flags(g.m, GUEST_ROM_SLOT, SLOT_READONLY, 0, 0, &steps, &g.e), 0);
		guest_set_rip(&g, 0, GUEST_CODE);
		/* and by steps */
		assert_int_equal(guest_step(&g), STOP_STEP);
		assert_int_equal(guest_step(&g), STOP_WATCHPOINT);
		assert_int_equal(g.stop.by, GUEST_CODE + 11);
		guest_close(&g);
	}
}

static void slot_comes_and_goes(void **state)
{
	OPEN(g, 3);
	struct plant p = plant(1, PLANT_WRITE, 0x50000000, 4, true);

	(void)state;
	CODE(&g, "\xc7\x04\x25\x00\x00\x18\x00\x01\x00\x00\x00\xeb\xf3");
	map(&g, 0x180000, 0x50000000);
	slot_make(&g, 9, 0x40000000, 0x2000, NULL, false);
	assert_int_equal(machine_plant(g.m, &p, &g.e), 0); /* no memory yet: nothing to hit, nothing to step for */
	assert_string_equal(p.how, soft ? "soft" : "page");
	assert_int_equal(machine_slot_move(g.m, 9, 0x50000000, &steps, &g.e), 0);
	hit(&g, 1, GUEST_CODE, 0x180000, 0x50000000, true);
	assert_int_equal(g.stop.slot, 9);
	assert_int_equal(machine_slot_delete(g.m, 9, &steps, &g.e), 0);
	assert_int_equal(machine_catch(g.m, CATCH_MMIO, &g.e), 0);
	assert_int_equal(guest_continue(&g), STOP_MMIO);
	assert_int_equal(guest_step(&g), STOP_STEP); /* the access is a device's */
	slot_make(&g, 10, 0x50000000, 0x1000, NULL, false);
	hit(&g, 1, GUEST_CODE, 0x180000, 0x50000000, true);
	assert_int_equal(g.stop.slot, 10);
	assert_int_equal(machine_unplant(g.m, 1, &g.e), 0);
	assert_int_equal(machine_slot_delete(g.m, 10, &steps, &g.e), 0);
	assert_int_equal(guest_continue(&g), STOP_MMIO);
	guest_close(&g);
}

/* Dirty bits are those of the guest's writes, watched or not. */
static void dirty_log(void **state)
{
	uint64_t *bits;
	size_t n;

	(void)state;
	EACH_CPL(cpl)
	{
		OPEN(g, cpl);
		/* mov dword [0x180000], 1; mov dword [0x182000], 1 */
		CODE(&g, "\xc7\x04\x25\x00\x00\x18\x00\x01\x00\x00\x00\xc7\x04\x25\x00\x20\x18\x00\x01\x00\x00\x00");
		slot_make(&g, 9, 0x40000000, 0x4000, NULL, false);
		for (unsigned i = 0; i < 4; i++)
			map(&g, 0x180000 + 0x1000 * i, 0x40000000 + 0x1000 * i);
		watch(&g, 1, PLANT_ACCESS, 0x40000000, 4, true, "page");
		watch(&g, 2, PLANT_WRITE, 0x40001000, 4, true, "page");
		assert_int_equal(machine_slot_flags(g.m, 9, SLOT_LOG_DIRTY, 0, 0, &steps, &g.e), 0);
		hit(&g, 1, GUEST_CODE, 0x180000, 0x40000000, true);
		ended(&g, cpl);
		assert_int_equal(machine_slot_dirty(g.m, 9, true, &bits, &n, &g.e), 0);
		assert_int_equal(bits[0], 5);
		free(bits);
		guest_set_rip(&g, 0, GUEST_CODE);
		hit(&g, 1, GUEST_CODE, 0x180000, 0x40000000, true);
		assert_int_equal(machine_slot_dirty(g.m, 9, true, &bits, &n, &g.e), 0);
		assert_int_equal(bits[0], 1);
		free(bits);
		guest_close(&g);
	}
}

static void file_memory(void **state)
{
	char path[] = "/tmp/kvmscope-watch-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 0x2000), 0);
	EACH_CPL(cpl)
	{
		OPEN(g, cpl);
		/* mov ecx, 9; dec ecx; jnz back; mov eax, [0x181004] */
		CODE(&g, "\xb9\x09\x00\x00\x00\xff\xc9\x75\xfc\x8b\x04\x25\x04\x10\x18\x00");
		slot_make(&g, 9, 0x40000000, 0x2000, path, false);
		map(&g, 0x181000, 0x40001000);
		watch(&g, 1, PLANT_READ, 0x181004, 1, false, "step");
		hit(&g, 1, GUEST_CODE + 9, 0x181004, 0x40001004, false);
		ended(&g, cpl);
		guest_close(&g);
	}
	close(fd);
	unlink(path);
}

static void huge_memory(void **state)
{
	(void)state;
	EACH_CPL(cpl)
	{
		OPEN(g, cpl);
		/* mov dword [0x180ffc], 1; mov dword [0x181000], 2; mov eax, [0x182000]; mov dword [0x181008], 3 */
		CODE(&g, "\xc7\x04\x25\xfc\x0f\x18\x00\x01\x00\x00\x00\xc7\x04\x25\x00\x10\x18\x00\x02\x00\x00\x00"
			 "\x8b\x04\x25\x00\x20\x18\x00\xc7\x04\x25\x08\x10\x18\x00\x03\x00\x00\x00");
		slot_make(&g, 9, 0x40000000, 0x400000, NULL, true);
		for (unsigned i = 0; i < 3; i++)
			map(&g, 0x180000 + 0x1000 * i, 0x401ff000 + 0x1000 * i);
		watch(&g, 1, PLANT_WRITE, 0x40200000, 4, true, "page");
		watch(&g, 2, PLANT_READ, 0x182000, 4, false, "page");
		hit(&g, 1, GUEST_CODE + 11, 0x181000, 0x40200000, true);
		hit(&g, 2, GUEST_CODE + 22, 0x182000, 0x40201000, false);
		ended(&g, cpl);
		uint32_t now[3];
		guest_peek(&g, 0x40200000, now, sizeof(now));
		assert_int_equal(now[0], 2);
		assert_int_equal(now[2], 3);
		guest_close(&g);
	}
}

/* What the debugger writes into a page that is missing from the guest's view is there when the guest looks. */
static void own_writes(void **state)
{
	(void)state;
	EACH_CPL(cpl)
	{
		OPEN(g, cpl);
		/* mov eax, [0x5000]; jmp back */
		CODE(&g, "\x8b\x04\x25\x00\x50\x00\x00\xeb\xf7");
		watch(&g, 1, PLANT_READ, 0x5000, 4, true, "page");
		for (uint32_t i = 1; i < 20; i++) {
			guest_poke(&g, 0x5000, &i, sizeof(i));
			hit(&g, 1, GUEST_CODE, 0x5000, 0x5000, false);
			assert_int_equal(guest_reg(&g, 0, RAX), i);
			assert_int_equal(g.stop.data[0], i);
		}
		guest_close(&g);
	}
}

static void atomics(void **state)
{
	(void)state;
	EACH_CPL(cpl)
	{
		OPEN(g, cpl);
		/* lock xadd [0x5000], ecx; lock cmpxchg [0x5000], edx (equal); the same (not equal: writes what is there);
		 * xchg [0x5000], ecx; lock or dword [0x5004], 1 */
		CODE(&g, "\xf0\x0f\xc1\x0c\x25\x00\x50\x00\x00\xf0\x0f\xb1\x14\x25\x00\x50\x00\x00"
			 "\xf0\x0f\xb1\x14\x25\x00\x50\x00\x00\x87\x0c\x25\x00\x50\x00\x00"
			 "\xf0\x83\x0c\x25\x04\x50\x00\x00\x01");
		guest_set(&g, 0, RCX, 3);
		guest_set(&g, 0, RAX, 3);
		guest_set(&g, 0, RDX, 7);
		watch(&g, 1, PLANT_WRITE, 0x5000, 4, false, "page");
		hit(&g, 1, GUEST_CODE, 0x5000, 0x5000, true);
		assert_memory_equal(g.stop.data, "\3\0\0\0", 4);
		hit(&g, 1, GUEST_CODE + 9, 0x5000, 0x5000, true);
		assert_memory_equal(g.stop.old_data, "\3\0\0\0", 4);
		assert_memory_equal(g.stop.data, "\7\0\0\0", 4);
		hit(&g, 1, GUEST_CODE + 18, 0x5000, 0x5000, true);
		assert_memory_equal(g.stop.data, "\7\0\0\0", 4);
		hit(&g, 1, GUEST_CODE + 27, 0x5000, 0x5000, true);
		assert_memory_equal(g.stop.data, "\0\0\0\0", 4);
		ended(&g, cpl);
		guest_close(&g);
	}
}

/* Two in one page, and one of them on two of the same bytes: the first that was set is named. */
static void two_in_a_page(void **state)
{
	(void)state;
	EACH_CPL(cpl)
	{
		OPEN(g, cpl);
		/* mov dword [0x5000], 1; mov dword [0x5800], 2; mov dword [0x5400], 3; mov byte [0x5801], 4 */
		CODE(&g, "\xc7\x04\x25\x00\x50\x00\x00\x01\x00\x00\x00\xc7\x04\x25\x00\x58\x00\x00\x02\x00\x00\x00"
			 "\xc7\x04\x25\x00\x54\x00\x00\x03\x00\x00\x00\xc6\x04\x25\x01\x58\x00\x00\x04");
		watch(&g, 1, PLANT_WRITE, 0x5000, 4, true, "page");
		watch(&g, 2, PLANT_ACCESS, 0x5801, 1, false, "page");
		hit(&g, 1, GUEST_CODE, 0x5000, 0x5000, true);
		hit(&g, 2, GUEST_CODE + 11, 0x5800, 0x5800, true);
		hit(&g, 2, GUEST_CODE + 33, 0x5801, 0x5801, true);
		assert_memory_equal(g.stop.data, "\4", 1);
		assert_int_equal(g.stop.len, 1);
		ended(&g, cpl);
		guest_close(&g);
	}
}

static int on_kvm(void **state)
{
	(void)state;
	soft = false;
	guest_backend = NULL;
	return 0;
}

static int on_soft(void **state)
{
	(void)state;
	soft = true;
	guest_backend = &soft_backend;
	return 0;
}

#define BOTH(test)                                                                                                          \
	{#test " kvm", test, on_kvm, NULL, NULL},                                                                           \
	{                                                                                                                   \
#test " soft", test, on_soft, NULL, NULL                                                                    \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    BOTH(refusals),	 BOTH(follows_tables),	BOTH(mapped_later),	   BOTH(mapped_by_debugger),
	    BOTH(watched_table), BOTH(readonly_memory), BOTH(slot_comes_and_goes), BOTH(dirty_log),
	    BOTH(file_memory),	 BOTH(huge_memory),	BOTH(own_writes),	   BOTH(atomics),
	    BOTH(two_in_a_page),
	};

	setenv("KVMSCOPE_WATCH_PAGES", "1", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
