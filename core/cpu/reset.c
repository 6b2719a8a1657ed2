/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The state of a vCPU after RESET, as both backends start it.
 */
#include "core/cpu/regs.h"

#include <string.h>

/* Family 6: what software that looks at EDX after reset expects at least. */
#define RESET_EDX 0x600
#define APIC_BASE_RESET 0xfee00800ull
#define APIC_BASE_BSP 0x100ull

void regs_reset(struct regs *r, bool bsp)
{
	const struct seg data = {.limit = 0xffff, .type = 3, .s = true, .present = true};

	memset(r, 0, sizeof(*r));
	r->valid = REGS_ALL;
	r->gpr[RDX] = RESET_EDX;
	r->rip = 0xfff0;
	r->rflags = RFLAGS_FIXED;
	for (unsigned i = 0; i < SEG_COUNT; i++)
		r->seg[i] = data;
	r->seg[SEG_CS].selector = 0xf000;
	r->seg[SEG_CS].base = 0xffff0000;
	r->seg[SEG_CS].type = 11;
	r->tr = (struct seg){.limit = 0xffff, .type = 11, .present = true};
	r->ldt = (struct seg){.limit = 0xffff, .type = 2, .present = true};
	r->gdt.limit = r->idt.limit = 0xffff;
	r->cr0 = CR0_CD | CR0_NW | CR0_ET;
	r->xcr0 = 1;
	r->dr[6] = 0xffff0ff0;
	r->dr[7] = 0x400;
	r->msr.pat = 0x0007040600070406;
	r->msr.apic_base = APIC_BASE_RESET | (bsp ? APIC_BASE_BSP : 0);
	r->fpu.fcw = 0x40;
	r->fpu.mxcsr = 0x1f80;
}
