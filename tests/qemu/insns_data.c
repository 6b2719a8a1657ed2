/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Random instructions that compute and move: ALU, multiplication and division, shifts, bits, moves and exchanges.
 * Encodings and undefined flags: Intel SDM vol. 2.
 */
#include "tests/qemu/insns.h"

/* ---- groups of instructions */

static void alu(struct maker *m)
{
	unsigned op = below(m, 8), form = below(m, 9);
	bool wide = form & 1;

	/* QEMU 7.2 takes LOCK where it is #UD. */
	m->lock = op != 7 && (form < 2 || form > 5) && percent(m, 10);
	if (op == 1 || op == 4 || op == 6)
		m->n->undefined = RFLAGS_AF;
	insn_prefixes(m);
	if (form < 4) {
		byte(m, op << 3 | form);
		insn_modrm(m, below(m, 8), m->lock ? MEMORY : ANY);
	} else if (form < 6) {
		byte(m, op << 3 | form);
		insn_imm(m, wide ? m->op : 1);
	} else {
		unsigned code = 0x80 + (form == 6 ? 0 : form == 7 ? 1 : 3);
		byte(m, code);
		insn_modrm(m, op, m->lock ? MEMORY : ANY);
		insn_imm(m, code == 0x81 ? m->op : 1);
	}
}

static void unary(struct maker *m)
{
	unsigned op = below(m, 10);
	bool wide = percent(m, 70);

	m->lock = (op < 2 || op == 4 || op == 5) && percent(m, 10);
	if (op < 2) { /* inc, dec */
		if (percent(m, 40)) {
			m->lock = false;
			insn_prefixes(m);
			byte(m, 0x40 + op * 8 + below(m, 8));
			return;
		}
		insn_prefixes(m);
		byte(m, 0xfe + wide);
		insn_modrm(m, op, m->lock ? MEMORY : ANY);
		return;
	}
	op -= 2;
	if (op == 1) /* TEST once more, undocumented; QEMU makes #UD of it */
		op = 0;
	insn_prefixes(m);
	byte(m, 0xf6 + wide);
	insn_modrm(m, op, m->lock ? MEMORY : ANY);
	if (op < 2) {
		insn_imm(m, wide ? m->op : 1);
		m->n->undefined = RFLAGS_AF;
	} else if (op == 4 || op == 5) {
		m->n->undefined = RFLAGS_SF | RFLAGS_ZF | RFLAGS_AF | RFLAGS_PF;
	} else if (op > 5) {
		m->n->undefined = FLAGS_ALL;
	}
}

/* Quotients that fit, often. */
static void divide(struct maker *m)
{
	unsigned reg = 3 + 4 * below(m, 2) - 2 * below(m, 2); /* ebx, edi, ecx or ebp */
	bool wide = percent(m, 70);

	insn_prefixes(m);
	m->n->gpr[RDX] = percent(m, 50) ? 0 : percent(m, 50) ? ~0u : below(m, 256);
	if (!wide)
		m->n->gpr[RAX] = below(m, 0x4000);
	byte(m, 0xf6 + wide);
	byte(m, 0xf0 + 8 * below(m, 2) + (reg & 7));
	m->n->undefined = FLAGS_ALL;
}

static void shift(struct maker *m)
{
	unsigned op = below(m, 8), form = below(m, 6), size, count;
	bool twice = percent(m, 25);
	uint8_t fixed = (uint8_t)(percent(m, 70) ? below(m, 34) : below(m, 256));

	if (twice) {
		bool cl = percent(m, 50);
		insn_prefixes(m);
		byte(m, 0x0f);
		byte(m, (percent(m, 50) ? 0xa4 : 0xac) + cl);
		size = m->op;
		if (cl)
			m->n->gpr[RCX] = (m->n->gpr[RCX] & ~31u) | below(m, 8 * size + 1);
		else
			fixed = (uint8_t)((fixed & ~31u) | below(m, 8 * size));
		unsigned at = m->at;
		do { /* a count beyond the operand leaves the result undefined; ECX may be in the address */
			m->at = at;
			insn_modrm(m, below(m, 8), ANY);
		} while (cl && (m->n->gpr[RCX] & 31) > 8 * size);
		if (!cl)
			byte(m, fixed);
		count = (cl ? m->n->gpr[RCX] : fixed) & 31;
		m->n->undefined = count ? RFLAGS_AF | (count > 1 ? RFLAGS_OF : 0) : 0;
		return;
	}
	static const uint8_t code[] = {0xc0, 0xc1, 0xd0, 0xd1, 0xd2, 0xd3};
	insn_prefixes(m);
	byte(m, code[form]);
	size = form & 1 ? m->op : 1;
	insn_modrm(m, op, ANY);
	if (form < 2)
		byte(m, fixed);
	count = (form < 2 ? fixed : form < 4 ? 1 : m->n->gpr[RCX]) & 31;
	if (op < 4)
		m->n->undefined = count > 1 ? RFLAGS_OF : 0;
	else if (count)
		m->n->undefined = RFLAGS_AF | (count > 1 ? RFLAGS_OF : 0) | (count >= 8 * size ? RFLAGS_CF : 0);
}

static void bits(struct maker *m)
{
	unsigned k = below(m, 10), op = below(m, 4), reg = below(m, 8);

	m->n->undefined = RFLAGS_OF | RFLAGS_SF | RFLAGS_AF | RFLAGS_PF;
	m->lock = k < 7 && op && percent(m, 10);
	insn_prefixes(m);
	byte(m, 0x0f);
	if (k < 4) {
		byte(m, 0xa3 + 8 * op);
		/* The bit's number reaches beyond the operand: near it, so that it stays within the segment. The stack
		 * pointer is small as it is; made negative, a return to a 16-bit stack would cut it. */
		if (reg != RSP && (m->op == 4 || percent(m, 80)))
			m->n->gpr[reg] = below(m, 8192) - 4096;
		uint32_t bit = m->n->gpr[reg];
		unsigned at = m->at;
		do { /* until the address does not need that register for itself */
			m->at = at;
			m->n->gpr[reg] = bit;
			/* QEMU 7.2 aborts over LOCK with a register. */
			insn_modrm(m, reg, m->lock ? MEMORY : ANY);
		} while (m->n->gpr[reg] != bit);
	} else if (k < 7) {
		byte(m, 0xba);
		insn_modrm(m, 4 + op, m->lock ? MEMORY : ANY);
		insn_imm(m, 1);
	} else {
		byte(m, 0xbc + (op & 1));
		insn_modrm(m, reg, ANY);
		m->n->undefined = FLAGS_ALL & ~RFLAGS_ZF;
	}
}

/* With two operands, or three. */
static void imul(struct maker *m, unsigned reg, bool two)
{
	m->n->undefined = RFLAGS_SF | RFLAGS_ZF | RFLAGS_AF | RFLAGS_PF;
	if (two) {
		byte(m, 0x0f);
		byte(m, 0xaf);
		insn_modrm(m, reg, ANY);
		return;
	}
	bool small = percent(m, 50);
	byte(m, small ? 0x6b : 0x69);
	insn_modrm(m, reg, ANY);
	insn_imm(m, small ? 1 : m->op);
}

/* The forms of mov: from and to a register, accumulator and address, a number to a register and to either. */
static void mov(struct maker *m, unsigned form, unsigned reg, bool wide)
{
	unsigned size = wide ? m->op : 1;

	switch (form) {
	case 0:
	case 1:
		byte(m, 0x88 + 2 * form + wide);
		insn_modrm(m, reg, ANY);
		break;
	case 2:
		byte(m, 0xa0 + below(m, 2) * 2 + wide);
		le(m, insn_target(m), m->addr);
		break;
	case 3:
		byte(m, wide ? 0xb8 + reg : 0xb0 + reg);
		insn_imm(m, size);
		break;
	default:
		byte(m, 0xc6 + wide);
		insn_modrm(m, 0, ANY);
		insn_imm(m, size);
	}
}

static void move(struct maker *m)
{
	unsigned k = below(m, 16), reg = below(m, 8);
	bool wide = percent(m, 70);

	m->lock = (k == 6 || k == 7 || k == 8) && percent(m, 20);
	if (k == 9)
		m->op = 4;
	insn_prefixes(m);
	switch (k) {
	case 0:
	case 1:
	case 2:
	case 3:
	case 4:
		mov(m, k, reg, wide);
		break;
	case 5: /* movzx, movsx */
		byte(m, 0x0f);
		byte(m, 0xb6 + wide + 8 * below(m, 2));
		insn_modrm(m, reg, ANY);
		break;
	case 6: /* xchg */
		byte(m, 0x86 + wide);
		insn_modrm(m, reg, m->lock ? MEMORY : ANY);
		break;
	case 7: /* xadd, cmpxchg */
	case 8:
		byte(m, 0x0f);
		byte(m, (k == 7 ? 0xc0 : 0xb0) + wide);
		insn_modrm(m, reg, m->lock ? MEMORY : ANY);
		break;
	case 9: /* bswap */
		byte(m, 0x0f);
		byte(m, 0xc8 + reg);
		break;
	case 10:
		byte(m, 0x8d);
		insn_modrm(m, reg, percent(m, 95) ? MEMORY : REGISTER);
		break;
	case 11:
		byte(m, 0x90 + reg);
		break;
	case 12: /* cmovcc, setcc */
		byte(m, 0x0f);
		byte(m, (wide ? 0x40 : 0x90) + below(m, 16));
		insn_modrm(m, reg, ANY);
		break;
	case 13:
		byte(m, percent(m, 50) ? 0x98 : 0x99);
		break;
	case 14: /* xlat */
		m->n->gpr[RBX] = insn_target(m) - (m->n->gpr[RAX] & 0xff);
		byte(m, 0xd7);
		break;
	default:
		imul(m, reg, wide);
	}
}

static void cmpxchg8b(struct maker *m)
{
	m->lock = percent(m, 50);
	insn_prefixes(m);
	byte(m, 0x0f);
	byte(m, 0xc7);
	insn_modrm(m, 1, MEMORY);
}

/* Decimal arithmetic, flags. */
static void single(struct maker *m)
{
	static const struct {
		uint8_t op;
		uint16_t undefined;
	} one[] = {
	    {0x27, RFLAGS_OF},
	    {0x2f, RFLAGS_OF},
	    {0x37, RFLAGS_OF | RFLAGS_SF | RFLAGS_ZF | RFLAGS_PF},
	    {0x3f, RFLAGS_OF | RFLAGS_SF | RFLAGS_ZF | RFLAGS_PF},
	    {0xd4, RFLAGS_OF | RFLAGS_AF | RFLAGS_CF},
	    {0xd5, RFLAGS_OF | RFLAGS_AF | RFLAGS_CF},
	    {0x9e, 0},
	    {0x9f, 0},
	    {0xf5, 0},
	    {0xf8, 0},
	    {0xf9, 0},
	    {0xfc, 0},
	    {0xfd, 0},
	    {0xd6, 0},
	    {0x90, 0},
	};
	unsigned k = below(m, ARRAY_LEN(one));

	insn_prefixes(m);
	byte(m, one[k].op);
	m->n->undefined = one[k].undefined;
	if (one[k].op == 0xd4 || one[k].op == 0xd5)
		byte(m, percent(m, 60) ? 10 : below(m, 256));
}

void insn_make_data(struct maker *m)
{
	static void (*const group[])(struct maker * m) = {alu,	alu,  unary, divide, shift,	shift,
							  bits, move, move,  move,   cmpxchg8b, single};

	group[below(m, ARRAY_LEN(group))](m);
}
