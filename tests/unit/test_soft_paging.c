/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The soft CPU through guest page tables of the 32-bit modes: what SMAP keeps from the supervisor where something is
 * remembered of the page (an MMIO cache, a shadow entry made with CR0.WP clear), and when PAE's top-level registers load.
 * Runs anywhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "core/machine/machine.h"
#include "core/mem/paging.h"
#include "core/soft/soft.h"

enum {
	CODE = 0x8000,
	TOP = 0x10000,
	SECOND = 0x11000,
	LEAVES = 0x12000,
	OTHER_TOP = 0x14000,
	DATA = 0x20000,
	SIZE = 0x40000
};
#define GVA 0x30000u

struct guest {
	struct machine *m;
	struct regs r;
	struct stop stop;
};

static void ok(int rc, const struct err *e)
{
	if (rc)
		fail_msg("%s: %s", e->what, e->why);
}

static void poke(struct guest *g, uint64_t gpa, uint64_t v, unsigned size)
{
	struct err e = {0};

	ok(machine_write(g->m, gpa, false, &v, size, &e), &e);
}

static uint64_t peek(struct guest *g, uint64_t gpa, unsigned size)
{
	struct err e = {0};
	uint64_t v = 0;

	ok(machine_read(g->m, gpa, false, &v, size, &e), &e);
	return v;
}

static void set(struct guest *g)
{
	struct err e = {0};

	ok(machine_set_regs(g->m, 0, REGS_GPR | REGS_SYS, &g->r, &e), &e);
}

static struct seg flat(uint8_t type)
{
	return (struct seg){.limit = ~0u, .selector = 8, .type = type, .s = true, .present = true, .db = true, .g = true};
}

/* Flat 32-bit code at CPL 0, an empty IDT, so that every exception stops. */
static void open_guest(struct guest *g, uint64_t cr0, uint64_t cr4, const struct machine_config *cfg)
{
	struct slot_spec ram = {.size = SIZE};
	struct err e = {0};

	memset(g, 0, sizeof(*g));
	ok(machine_create(&soft_backend, cfg, &g->m, &e), &e);
	ok(machine_slot_add(g->m, &ram, NULL, &e), &e);
	regs_reset(&g->r, true);
	for (unsigned i = 0; i < SEG_COUNT; i++)
		g->r.seg[i] = flat(i == SEG_CS ? 11 : 3);
	g->r.idt = (struct desc_table){0};
	g->r.cr0 = CR0_PE | CR0_ET | cr0;
	g->r.cr3 = TOP;
	g->r.cr4 = cr4;
	g->r.rip = CODE;
	g->r.gpr[RBX] = GVA;
}

/* One instruction from CODE on. */
static void step(struct guest *g, const char *bytes, size_t n)
{
	struct err e = {0};

	ok(machine_write(g->m, CODE, false, bytes, n, &e), &e);
	g->r.rip = CODE;
	set(g);
	ok(machine_run(g->m, RUN_STEP, 0, 1, &g->stop, &e), &e);
	ok(machine_get_regs(g->m, 0, REGS_ALL, &g->r, &e), &e);
}
#define STEP(G, BYTES) step(G, BYTES, sizeof(BYTES) - 1)

static void expect_fault(struct guest *g, unsigned vector, uint32_t error)
{
	assert_int_equal(g->stop.reason, STOP_EXCEPTION);
	assert_int_equal(g->stop.vector, vector);
	assert_int_equal(g->stop.error_code, error);
	assert_int_equal(g->r.rip, CODE);
}

/* 32-bit tables: everything for the supervisor, GVA a user's page of gpa with these rights. */
static void tables_32(struct guest *g, uint32_t gpa, unsigned rights)
{
	poke(g, TOP, LEAVES | 7, 4);
	for (unsigned i = 0; i < SIZE >> 12; i++)
		poke(g, LEAVES + 4 * i, i << 12 | 0x63, 4);
	poke(g, LEAVES + 4 * (GVA >> 12), gpa | rights, 4);
}

/* A user's page that is a device: an access with AC fills cache and spte, one without must not be answered from there. */
static void test_smap_and_mmio(void **state)
{
	(void)state;
	for (unsigned how = 0; how < 4; how++) {
		struct machine_config cfg = {.vcpus = 1, .mmio_sptes = how & 1, .emulated_kernel = how & 2};
		struct guest g;
		open_guest(&g, CR0_PG | CR0_WP, CR4_SMAP, &cfg);
		tables_32(&g, 0xd0000000, 7);
		g.r.rflags |= RFLAGS_AC;
		g.r.gpr[RAX] = 0x1234;
		STEP(&g, "\x89\x03"); /* mov [ebx], eax */
		assert_int_equal(g.stop.reason, STOP_STEP);
		STEP(&g, "\x8b\x0b"); /* mov ecx, [ebx] */
		assert_int_equal(g.stop.reason, STOP_STEP);
		assert_int_equal(g.r.gpr[RCX], 0x1234);
		g.r.rflags &= ~RFLAGS_AC;
		STEP(&g, "\x8b\x0b");
		expect_fault(&g, 14, PFERR_PRESENT);
		assert_int_equal(g.r.cr2, GVA);
		STEP(&g, "\x89\x03");
		expect_fault(&g, 14, PFERR_PRESENT | PFERR_WRITE);
		g.r.rflags |= RFLAGS_AC;
		STEP(&g, "\x8b\x0b");
		assert_int_equal(g.stop.reason, STOP_STEP);
		machine_destroy(g.m);
	}
}

/* With CR0.WP clear the supervisor writes to a user's page that is not writable. It stays a user's page. */
static void test_smap_without_wp(void **state)
{
	struct machine_config cfg = {.vcpus = 1, .mmio_sptes = true};
	struct guest g;

	(void)state;
	open_guest(&g, CR0_PG, CR4_SMAP, &cfg);
	tables_32(&g, DATA, 5);
	for (unsigned i = 0; i < 3; i++) {
		g.r.rflags |= RFLAGS_AC;
		g.r.gpr[RAX] = 0x5000 + i;
		STEP(&g, "\x89\x03");
		assert_int_equal(g.stop.reason, STOP_STEP);
		assert_int_equal(peek(&g, DATA, 4), 0x5000 + i);
		assert_int_equal(peek(&g, LEAVES + 4 * (GVA >> 12), 4), DATA | 0x65);
		g.r.rflags &= ~RFLAGS_AC;
		STEP(&g, "\x8b\x0b");
		expect_fault(&g, 14, PFERR_PRESENT);
		STEP(&g, "\x89\x03");
		expect_fault(&g, 14, PFERR_PRESENT | PFERR_WRITE);
	}
	machine_destroy(g.m);
}

static void tables_pae(struct guest *g, uint64_t top)
{
	poke(g, top, SECOND | 1, 8);
	for (unsigned i = 1; i < 4; i++)
		poke(g, top + 8 * i, 0, 8);
	poke(g, SECOND, LEAVES | 7, 8);
	for (unsigned i = 0; i < SIZE >> 12; i++)
		poke(g, LEAVES + 8 * i, i << 12 | 0x63, 8);
	poke(g, LEAVES + 8 * (GVA >> 12), DATA | 0x63, 8);
}

/* SDM vol. 3A 4.4.1: a load of CR3 with a reserved bit in a present entry is #GP(0), and nothing has changed. */
static void test_pae_load_refused(void **state)
{
	static const uint64_t bad[] = {2, 4, 0x20, 0x100, 1ull << 40, 1ull << 52, PTE_NX};
	struct machine_config cfg = {.vcpus = 1};
	struct guest g;

	(void)state;
	open_guest(&g, CR0_PG, CR4_PAE, &cfg);
	tables_pae(&g, TOP);
	poke(&g, DATA, 0xabcd, 4);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		tables_pae(&g, OTHER_TOP);
		poke(&g, OTHER_TOP + 24, SECOND | 1 | bad[i], 8);
		g.r.gpr[RAX] = OTHER_TOP;
		STEP(&g, "\x0f\x22\xd8"); /* mov cr3, eax */
		expect_fault(&g, 13, 0);
		assert_int_equal(g.r.cr3, TOP);
		poke(&g, OTHER_TOP + 24, SECOND | bad[i], 8); /* not present: nothing is reserved */
		STEP(&g, "\x0f\x22\xd8");
		assert_int_equal(g.stop.reason, STOP_STEP);
		assert_int_equal(g.r.cr3, OTHER_TOP);
		STEP(&g, "\x8b\x0b");
		assert_int_equal(g.r.gpr[RCX], 0xabcd);
		g.r.cr3 = TOP;
	}
	machine_destroy(g.m);
}

/* The four entries are registers: what is written over them counts from the next load on. */
static void test_pae_registers(void **state)
{
	struct machine_config cfg = {.vcpus = 1};
	struct guest g;

	(void)state;
	open_guest(&g, CR0_PG, CR4_PAE, &cfg);
	tables_pae(&g, TOP);
	poke(&g, TOP + 8, SECOND | 1, 8);
	g.r.gpr[RBX] = 0x40000000 + GVA;
	STEP(&g, "\x8b\x0b");
	assert_int_equal(g.stop.reason, STOP_STEP);
	g.r.gpr[RBX] = TOP + 8;
	g.r.gpr[RAX] = 0;
	STEP(&g, "\x89\x03");
	g.r.gpr[RBX] = 0x40000000 + GVA;
	STEP(&g, "\x8b\x0b");
	assert_int_equal(g.stop.reason, STOP_STEP);
	g.r.gpr[RAX] = g.r.cr0 | CR0_WP; /* not one of the bits that load */
	STEP(&g, "\x0f\x22\xc0");
	STEP(&g, "\x8b\x0b");
	assert_int_equal(g.stop.reason, STOP_STEP);
	g.r.gpr[RAX] = g.r.cr4 | CR4_PGE; /* one of them */
	STEP(&g, "\x0f\x22\xe0");
	assert_int_equal(g.stop.reason, STOP_STEP);
	STEP(&g, "\x8b\x0b");
	expect_fault(&g, 14, 0);
	machine_destroy(g.m);
}

static uint64_t walked_to(struct guest *g, uint64_t gva)
{
	struct xlate_env env;
	struct err e = {0};
	struct walk w;

	ok(machine_env(g->m, 0, &env, &e), &e);
	paging_walk(&env.pg, &env.mem, gva, ACCESS_READ, false, &w);
	return w.fault.present ? ~0ull : w.gpa;
}

/* What the debugger walks is what the processor does, also behind a store of registers and one of CR3 by name. */
static void test_pae_registers_are_walked(void **state)
{
	struct machine_config cfg = {.vcpus = 1};
	struct err e = {0};
	struct guest g;
	struct regs before;

	(void)state;
	open_guest(&g, CR0_PG, CR4_PAE, &cfg);
	tables_pae(&g, TOP);
	poke(&g, TOP + 8, SECOND | 1, 8);
	STEP(&g, "\x90");
	assert_true(g.r.pdpte_valid);
	assert_int_equal(g.r.pdpte[1], SECOND | 1);
	before = g.r;
	poke(&g, TOP + 8, 0, 8);
	assert_int_equal(walked_to(&g, 0x40000000 + GVA), DATA);

	/* A register that has nothing to do with it, and what a checkpoint does. */
	g.r.seg[SEG_DS].selector = 0x10;
	set(&g);
	assert_int_equal(walked_to(&g, 0x40000000 + GVA), DATA);
	ok(reg_set(&g.r, reg_find("cr3"), OTHER_TOP, &e), &e);
	tables_pae(&g, OTHER_TOP);
	set(&g);
	assert_int_equal(walked_to(&g, 0x40000000 + GVA), ~0ull);
	g.r = before;
	set(&g);
	assert_int_equal(walked_to(&g, 0x40000000 + GVA), DATA);
	STEP(&g, "\x8b\x83\x00\x00\x00\x40"); /* mov eax, [ebx + 0x40000000] */
	assert_int_equal(g.stop.reason, STOP_STEP);

	ok(reg_set(&g.r, reg_find("cr3"), TOP, &e), &e);
	set(&g);
	assert_int_equal(walked_to(&g, 0x40000000 + GVA), ~0ull);
	machine_destroy(g.m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_smap_and_mmio),
	    cmocka_unit_test(test_smap_without_wp),
	    cmocka_unit_test(test_pae_load_refused),
	    cmocka_unit_test(test_pae_registers),
	    cmocka_unit_test(test_pae_registers_are_walked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
