/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Guests for the tests of run control; see guest.h.
 */
#include "tests/support/guest.h"

#include "core/mem/paging.h"
#include "kvmback/kvm.h"
#include "kvmback/kvmback.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

const struct machine_ops *guest_backend;
unsigned guest_dirty_ring;

#define MiB 0x100000ull

bool guest_possible(void)
{
	struct err e = {0};

	if (!kvmback_available(&e))
		return true;
	printf("skip: %s\n", e.why[0] ? e.why : e.what);
	return false;
}

const struct strategy *guest_host(void)
{
	const struct strategy *st = NULL;
	struct err e = {0};

	if (kvm_strategy_get(&st, &e))
		fail_msg("%s: %s", e.what, e.why);
	return st;
}

bool guest_needs(bool has, const char *need)
{
	if (!has)
		printf("skip: it needs %s\n", need);
	return has;
}

static void ok(struct guest *g, int rc)
{
	char text[1200];

	if (!rc)
		return;
	err_format(&g->e, text, sizeof(text));
	fail_msg("%s", text);
}

void guest_poke(struct guest *g, uint64_t gpa, const void *bytes, size_t n)
{
	ok(g, machine_write(g->m, gpa, false, bytes, n, &g->e));
}

void guest_peek(struct guest *g, uint64_t gpa, void *bytes, size_t n)
{
	ok(g, machine_read(g->m, gpa, false, bytes, n, &g->e));
}

static void poke64(struct guest *g, uint64_t gpa, uint64_t value)
{
	guest_poke(g, gpa, &value, sizeof(value));
}

/* ---- tables */

static void page_tables(struct guest *g)
{
	poke64(g, GUEST_CR3, (GUEST_CR3 + 0x1000) | 7);
	poke64(g, GUEST_CR3 + 0x1000, (GUEST_CR3 + 0x2000) | 7);
	poke64(g, GUEST_CR3 + 0x2000, (GUEST_CR3 + 0x3000) | 7);
	for (uint64_t i = 0; i < MiB >> PAGE_SHIFT; i++)
		poke64(g, GUEST_CR3 + 0x3000 + i * 8, i << PAGE_SHIFT | 7);
	poke64(g, GUEST_CR3 + 0x3000 + (GUEST_DEVICE >> PAGE_SHIFT) * 8, 0xd0000007);
	poke64(g, GUEST_CR3 + 0x3000 + (GUEST_ROM >> PAGE_SHIFT) * 8, GUEST_ROM_GPA | 7);
}

/* 8, 0x10: kernel code (64-bit) and data; 0x1b, 0x23: user data and code (64-bit); 0x28: TSS; 0x38, 0x43: 32-bit code. */
static void descriptors(struct guest *g)
{
	static const uint64_t gdt[] = {0,
				       0x00209a0000000000,
				       0x00cf92000000ffff,
				       0x00cff2000000ffff,
				       0x0020fa0000000000,
				       0x67 | (uint64_t)GUEST_TSS << 16 | 0x8bull << 40,
				       0,
				       0x00cf9a000000ffff,
				       0x00cffa000000ffff};
	uint16_t ss0 = 0x10;

	guest_poke(g, GUEST_GDT, gdt, sizeof(gdt));
	poke64(g, GUEST_TSS + 4, GUEST_KSTACK);
	if (g->mode == GUEST_PROT)
		guest_poke(g, GUEST_TSS + 8, &ss0, 2);
}

static void gate(struct guest *g, unsigned vector, uint64_t at)
{
	uint64_t access = vector == 3 ? 0xee : 0x8e;

	if (g->mode == GUEST_LONG) {
		poke64(g, GUEST_IDT + vector * 16, (at & 0xffff) | 8ull << 16 | access << 40 | (at >> 16 & 0xffff) << 48);
		poke64(g, GUEST_IDT + vector * 16 + 8, at >> 32);
	} else if (g->mode == GUEST_PROT) {
		poke64(g, GUEST_IDT + vector * 8, (at & 0xffff) | 0x38ull << 16 | access << 40 | (at >> 16 & 0xffff) << 48);
	} else {
		uint16_t entry[2] = {(uint16_t)at, 0};

		guest_poke(g, vector * 4, entry, sizeof(entry));
	}
}

static void handlers(struct guest *g)
{
	for (unsigned v = 0; v < 32; v++) {
		uint8_t code[] = {0x90, 0xb0, (uint8_t)v, 0xe6, 0x80, 0xf4};

		guest_poke(g, GUEST_HANDLERS + v * 16, code, sizeof(code));
		gate(g, v, GUEST_HANDLERS + v * 16);
	}
}

/* ---- registers */

static struct seg segment(uint16_t selector, uint8_t type, uint8_t dpl, bool l)
{
	return (struct seg){.limit = 0xffffffff,
			    .selector = selector,
			    .type = type,
			    .s = true,
			    .present = true,
			    .l = l,
			    .db = !l,
			    .g = true,
			    .dpl = dpl};
}

static void set_mode(struct regs *r, enum guest_mode mode, unsigned cpl)
{
	uint16_t code = mode == GUEST_LONG ? (cpl ? 0x23 : 8) : (cpl ? 0x43 : 0x38);

	if (mode == GUEST_REAL) {
		r->seg[SEG_CS].base = 0;
		r->seg[SEG_CS].selector = 0;
		return;
	}
	r->seg[SEG_CS] = segment(code, 11, (uint8_t)cpl, mode == GUEST_LONG);
	r->seg[SEG_SS] = segment(cpl ? 0x1b : 0x10, 3, (uint8_t)cpl, false);
	r->seg[SEG_DS] = r->seg[SEG_ES] = r->seg[SEG_FS] = r->seg[SEG_GS] = r->seg[SEG_SS];
	r->tr = (struct seg){.base = GUEST_TSS, .limit = 0x67, .selector = 0x28, .type = 11, .present = true};
	r->gdt = (struct desc_table){GUEST_GDT, 0x47};
	r->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | (mode == GUEST_LONG ? CR0_PG : 0);
	if (mode != GUEST_LONG)
		return;
	r->cr3 = GUEST_CR3;
	r->cr4 = CR4_PAE;
	r->efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
}

static void set_vcpu(struct guest *g, unsigned vcpu, unsigned cpl, bool idt)
{
	struct regs r = {0};

	ok(g, machine_get_regs(g->m, vcpu, REGS_GPR | REGS_SYS, &r, &g->e));
	set_mode(&r, g->mode, cpl);
	r.idt = g->mode == GUEST_REAL ? (struct desc_table){0, 0x3ff}
				      : (struct desc_table){GUEST_IDT, (uint16_t)(idt ? 0x1ff : 0)};
	r.rip = GUEST_CODE;
	r.rflags = RFLAGS_FIXED;
	r.gpr[RSP] = (cpl ? GUEST_STACK : GUEST_KSTACK) - vcpu * 0x400;
	ok(g, machine_set_regs(g->m, vcpu, REGS_GPR | REGS_SYS, &r, &g->e));
}

/* ---- life */

void guest_open(struct guest *g, enum guest_mode mode, unsigned cpl, bool idt, unsigned vcpus)
{
	struct machine_config cfg = {.vcpus = vcpus, .dirty_ring = guest_dirty_ring};
	struct slot_spec ram = {.size = MiB},
			 rom = {.id = GUEST_ROM_SLOT, .gpa = GUEST_ROM_GPA, .size = PAGE_SIZE_4K, .flags = SLOT_READONLY};
	struct slot_steps steps = {0};

	*g = (struct guest){.mode = mode};
	ok(g, machine_create(guest_backend ? guest_backend : &kvm_backend, &cfg, &g->m, &g->e));
	ok(g, machine_slot_add(g->m, &ram, &steps, &g->e));
	ok(g, machine_slot_add(g->m, &rom, &steps, &g->e));
	page_tables(g);
	descriptors(g);
	if (idt)
		handlers(g);
	for (unsigned i = 0; i < vcpus; i++)
		set_vcpu(g, i, cpl, idt);
}

void guest_close(struct guest *g)
{
	machine_destroy(g->m);
	g->m = NULL;
}

void guest_code(struct guest *g, const void *code, size_t n)
{
	guest_poke(g, GUEST_CODE, code, n);
	guest_poke(g, GUEST_CODE + n, "\xf4", 1);
}

struct regs guest_regs(struct guest *g, unsigned vcpu)
{
	struct regs r = {0};

	ok(g, machine_get_regs(g->m, vcpu, REGS_GPR | REGS_SYS | REGS_EVENTS, &r, &g->e));
	return r;
}

uint64_t guest_reg(struct guest *g, unsigned vcpu, unsigned index)
{
	return guest_regs(g, vcpu).gpr[index];
}

void guest_set(struct guest *g, unsigned vcpu, unsigned index, uint64_t value)
{
	struct regs r = guest_regs(g, vcpu);

	r.gpr[index] = value;
	ok(g, machine_set_regs(g->m, vcpu, REGS_GPR, &r, &g->e));
}

void guest_set_rip(struct guest *g, unsigned vcpu, uint64_t rip)
{
	struct regs r = guest_regs(g, vcpu);

	r.rip = rip;
	ok(g, machine_set_regs(g->m, vcpu, REGS_GPR, &r, &g->e));
}

enum stop_reason guest_run(struct guest *g, enum run_kind kind, unsigned vcpu, uint64_t count)
{
	g->stop = (struct stop){.slot = -1};
	ok(g, machine_run(g->m, kind, vcpu, count, &g->stop, &g->e));
	return g->stop.reason;
}

const char *guest_break(struct guest *g, int id, uint64_t addr)
{
	struct plant p = {.id = id, .kind = PLANT_EXEC, .addr = addr, .len = 1};

	ok(g, machine_plant(g->m, &p, &g->e));
	return p.how;
}

int guest_once_more(char **argv, int failed)
{
	if (failed || getenv("KVMSCOPE_TRAP_PAGE"))
		return failed;
	setenv("KVMSCOPE_TRAP_PAGE", "1", 1);
	fflush(NULL);
	execv("/proc/self/exe", argv);
	execv(argv[0], argv); /* no /proc */
	return 1;
}
