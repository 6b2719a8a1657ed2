/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The guest of the soft CPU's tests: tables, gates and registers of each mode.
 */
#include "tests/support/softguest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

void cpu_ok(int rc, const struct err *e)
{
	if (rc)
		fail_msg("%s: %s", e->what, e->why);
}

void cpu_poke(struct cpu *c, uint64_t gpa, const void *bytes, size_t n)
{
	struct err e = {0};

	cpu_ok(machine_write(c->m, gpa, false, bytes, n, &e), &e);
}

void cpu_poke64(struct cpu *c, uint64_t gpa, uint64_t v)
{
	cpu_poke(c, gpa, &v, 8);
}

uint64_t cpu_peek(struct cpu *c, uint64_t gpa, unsigned n)
{
	struct err e = {0};
	uint64_t v = 0;

	cpu_ok(machine_read(c->m, gpa, false, &v, n, &e), &e);
	return v;
}

void cpu_get(struct cpu *c)
{
	struct err e = {0};

	cpu_ok(machine_get_regs(c->m, 0, REGS_ALL, &c->r, &e), &e);
}

void cpu_set(struct cpu *c, uint32_t parts)
{
	struct err e = {0};

	cpu_ok(machine_set_regs(c->m, 0, parts, &c->r, &e), &e);
}

enum stop_reason cpu_run(struct cpu *c, enum run_kind kind, uint64_t n)
{
	struct err e = {0};

	cpu_ok(machine_run(c->m, kind, 0, n, &c->stop, &e), &e);
	cpu_get(c);
	return c->stop.reason;
}

struct seg cpu_segment(uint16_t selector, uint8_t type, uint8_t dpl, bool l)
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

/* 8, 0x10: 64-bit code, data; 0x1b, 0x23: user data, code; 0x28 TSS; 0x38, 0x43: 32-bit code; 0x48: not present data;
 * 0x50: data of 4 KiB. */
static void tables(struct cpu *c)
{
	static const uint64_t gdt[] = {0,
				       0x00209a0000000000,
				       0x00cf92000000ffff,
				       0x00cff2000000ffff,
				       0x0020fa0000000000,
				       0x67 | (uint64_t)TSS << 16 | 0x8bull << 40,
				       0,
				       0x00cf9a000000ffff,
				       0x00cffa000000ffff,
				       0x00cf12000000ffff,
				       0x0040920000000fff};
	uint16_t ss0 = 0x10;

	cpu_poke(c, GDT, gdt, sizeof(gdt));
	cpu_poke64(c, TSS + 4, KSTACK);
	if (c->mode == PROT)
		cpu_poke(c, TSS + 8, &ss0, 2);
	cpu_poke64(c, CR3, (CR3 + 0x1000) | 7);
	cpu_poke64(c, CR3 + 0x1000, (CR3 + 0x2000) | 7);
	cpu_poke64(c, CR3 + 0x2000, (CR3 + 0x3000) | 7);
	for (uint64_t i = 0; i < MiB >> 12; i++)
		cpu_poke64(c, CR3 + 0x3000 + i * 8, i << 12 | 7);
}

static void gate(struct cpu *c, unsigned v, uint64_t at)
{
	uint64_t access = v == 3 || v == 0x40 ? 0xee : 0x8e;

	cpu_poke(c, at, "\xf4", 1);
	if (c->mode == REAL) {
		uint16_t entry[2] = {(uint16_t)at, 0};
		cpu_poke(c, v * 4, entry, 4);
	} else {
		uint64_t sel = c->mode == LONG ? 8 : 0x38;
		cpu_poke64(c, IDT + v * (c->mode == LONG ? 16 : 8),
			   (at & 0xffff) | sel << 16 | access << 40 | (at >> 16) << 48);
	}
}

static void enter(struct cpu *c, unsigned cpl)
{
	cpu_get(c);
	c->r.rip = CODE;
	c->r.rflags = RFLAGS_FIXED;
	c->r.gpr[RSP] = cpl ? STACK : KSTACK;
	c->r.idt = c->mode == REAL ? (struct desc_table){0, 0x3ff} : (struct desc_table){IDT, 0x7ff};
	if (c->mode == REAL) {
		c->r.seg[SEG_CS].base = c->r.seg[SEG_CS].selector = 0;
	} else {
		bool l = c->mode == LONG;
		c->r.seg[SEG_CS] = cpu_segment(l ? (cpl ? 0x23 : 8) : (cpl ? 0x43 : 0x38), 11, (uint8_t)cpl, l);
		c->r.seg[SEG_SS] = cpu_segment(cpl ? 0x1b : 0x10, 3, (uint8_t)cpl, false);
		c->r.seg[SEG_DS] = c->r.seg[SEG_ES] = c->r.seg[SEG_FS] = c->r.seg[SEG_GS] = c->r.seg[SEG_SS];
		c->r.tr = (struct seg){.base = TSS, .limit = 0x67, .selector = 0x28, .type = 11, .present = true};
		c->r.gdt = (struct desc_table){GDT, 0x57};
		c->r.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | (l ? CR0_PG : 0);
		c->r.cr3 = l ? CR3 : 0;
		c->r.cr4 = CR4_OSFXSR | (l ? CR4_PAE : 0);
		c->r.efer = l ? EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE : 0;
	}
	cpu_set(c, REGS_GPR | REGS_SYS);
}

void cpu_open_as(struct cpu *c, enum mode mode, unsigned cpl, const struct machine_config *cfg)
{
	const struct slot_spec ram = {.size = MiB};
	struct err e = {0};

	memset(c, 0, sizeof(*c));
	c->mode = mode;
	cpu_ok(machine_create(&soft_backend, cfg, &c->m, &e), &e);
	cpu_ok(machine_slot_add(c->m, &ram, NULL, &e), &e);
	tables(c);
	for (unsigned v = 0; v < 32; v++)
		gate(c, v, HANDLERS + v * 16);
	gate(c, 0x40, HANDLERS + 0x400);
	enter(c, cpl);
}

void cpu_open(struct cpu *c, enum mode mode, unsigned cpl)
{
	cpu_open_as(c, mode, cpl, &(const struct machine_config){.vcpus = 1});
}

void cpu_close(struct cpu *c)
{
	machine_destroy(c->m);
}

int cpu_handler(const struct cpu *c)
{
	uint64_t at = c->r.rip - 1;

	if (c->stop.reason != STOP_HLT || at < HANDLERS || at >= HANDLERS + 0x200)
		return -1;
	return (int)((at - HANDLERS) / 16);
}
