/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Prefixes, ModRM, SIB, displacements and immediates of random instructions: registers and displacement are chosen so that
 * the operand is where it is wanted.
 */
#include "tests/qemu/insns.h"

/* ---- operands in memory */

uint32_t insn_target(struct maker *m)
{
	return 0x5000 + below(m, 0x1f00);
}

static void modrm16(struct maker *m, unsigned reg, uint32_t to)
{
	static const int8_t pair[8][2] = {{3, 6}, {3, 7}, {5, 6}, {5, 7}, {6, -1}, {7, -1}, {5, -1}, {3, -1}};
	unsigned rm = below(m, 8), mod = below(m, 3);
	uint32_t *g = m->n->gpr, other = pair[rm][1] >= 0 ? g[pair[rm][1]] : 0, base = g[pair[rm][0]];

	byte(m, mod << 6 | reg << 3 | rm);
	if (mod == 0 && rm == 6) {
		le(m, to, 2);
	} else if (mod == 2) {
		le(m, to - base - other, 2);
	} else {
		int8_t disp = mod ? (int8_t)rng_next(&m->rng) : 0;
		g[pair[rm][0]] = (base & 0xffff0000) | ((to - other - (uint32_t)disp) & 0xffff);
		if (mod)
			byte(m, (uint8_t)disp);
	}
}

static void modrm32(struct maker *m, unsigned reg, uint32_t to)
{
	unsigned rm = below(m, 8), mod = below(m, 3), index = below(m, 8), scale = below(m, 4),
		 base = rm == 4 ? below(m, 8) : rm;
	uint32_t *g = m->n->gpr, other = 0;

	/* The stack pointer stays as it is, and one register cannot be aimed as base and index. */
	if (base == 4 || (rm == 4 && index == base && base != 5))
		mod = 2;
	else if (rm == 4 && index == base && mod == 1)
		mod = 2;
	byte(m, mod << 6 | reg << 3 | rm);
	if (rm == 4) {
		byte(m, scale << 6 | index << 3 | base);
		other = index == 4 ? 0 : g[index] << scale;
	}
	if (mod == 0 && base == 5) {
		le(m, to - other, 4);
	} else if (mod == 2) {
		le(m, to - other - g[base], 4);
	} else {
		int8_t disp = mod ? (int8_t)rng_next(&m->rng) : 0;
		g[base] = to - other - (uint32_t)disp;
		if (mod)
			byte(m, (uint8_t)disp);
	}
}

void insn_modrm(struct maker *m, unsigned reg, int memory)
{
	bool mem = memory > 0 || (memory == 0 && percent(m, 55));

	if (!mem) {
		byte(m, 0xc0 | reg << 3 | below(m, 8));
		return;
	}
	if (m->addr == 2)
		modrm16(m, reg, insn_target(m));
	else
		modrm32(m, reg, insn_target(m));
}

/* ---- prefixes and the byte after which the opcode comes */

void insn_prefixes(struct maker *m)
{
	static const uint8_t over[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};
	unsigned own = m->kind == PM32 ? 4 : 2;

	if (m->lock)
		byte(m, 0xf0);
	if (m->addr != own)
		byte(m, 0x67);
	if (m->op != own)
		byte(m, 0x66);
	if (m->seg >= 0)
		byte(m, over[m->seg]);
}

void insn_imm(struct maker *m, unsigned size)
{
	le(m, (uint32_t)rng_value(&m->rng), size);
}
