/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Random instructions of 16- and 32-bit code, each with its own registers, so that operands in memory are aimed by choosing
 * registers and displacement. Behind each stands INT 0x80; branches that are taken go to an INT 0x81. All run in segments
 * that end where the lists' data ends.
 *
 * Encodings and undefined flags: Intel SDM vol. 2.
 */
#include "tests/qemu/qemu.h"

#include <string.h>

#define CODE_OFFSET 160
#define TAKEN 26 /* of INT 0x81 within the code */
#define FLAGS_ALL (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

enum kind { PM32, PM16, VM86, REAL };

struct maker {
	struct rng rng;
	enum kind kind;
	struct insn_note *n;
	unsigned at;   /* bytes so far */
	unsigned op;   /* operand size: 2 or 4 */
	unsigned addr; /* address size */
	int seg;       /* override, -1 for none: index into es cs ss ds fs gs */
	bool lock;
};

static unsigned below(struct maker *m, unsigned n)
{
	return rng_below(&m->rng, n);
}
static bool percent(struct maker *m, unsigned n)
{
	return rng_percent(&m->rng, n);
}
static void byte(struct maker *m, unsigned b)
{
	m->n->code[m->at++] = (uint8_t)b;
}
static void le(struct maker *m, uint32_t v, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		byte(m, v >> 8 * i & 0xff);
}
static bool real_like(const struct maker *m)
{
	return m->kind == VM86 || m->kind == REAL;
}

/* ---- operands in memory */

/* An offset for up to 16 bytes, within every segment and away from the stacks: QEMU's TCG checks no limits. */
static uint32_t target(struct maker *m)
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

/* ModRM and what follows: reg, and memory or (where allowed) a register. */
static void modrm(struct maker *m, unsigned reg, int memory)
{
	bool mem = memory > 0 || (memory == 0 && percent(m, 55));

	if (!mem) {
		byte(m, 0xc0 | reg << 3 | below(m, 8));
		return;
	}
	if (m->addr == 2)
		modrm16(m, reg, target(m));
	else
		modrm32(m, reg, target(m));
}
enum { ANY = 0, MEMORY = 1, REGISTER = -1 };

/* ---- prefixes and the byte after which the opcode comes */

static void prefixes(struct maker *m)
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

static void imm(struct maker *m, unsigned size)
{
	le(m, (uint32_t)rng_value(&m->rng), size);
}

/* ---- groups of instructions */

static void alu(struct maker *m)
{
	unsigned op = below(m, 8), form = below(m, 9);
	bool wide = form & 1;

	/* QEMU 7.2 takes LOCK where it is #UD. */
	m->lock = op != 7 && (form < 2 || form > 5) && percent(m, 10);
	if (op == 1 || op == 4 || op == 6)
		m->n->undefined = RFLAGS_AF;
	prefixes(m);
	if (form < 4) {
		byte(m, op << 3 | form);
		modrm(m, below(m, 8), m->lock ? MEMORY : ANY);
	} else if (form < 6) {
		byte(m, op << 3 | form);
		imm(m, wide ? m->op : 1);
	} else {
		unsigned code = 0x80 + (form == 6 ? 0 : form == 7 ? 1 : 3);
		byte(m, code);
		modrm(m, op, m->lock ? MEMORY : ANY);
		imm(m, code == 0x81 ? m->op : 1);
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
			prefixes(m);
			byte(m, 0x40 + op * 8 + below(m, 8));
			return;
		}
		prefixes(m);
		byte(m, 0xfe + wide);
		modrm(m, op, m->lock ? MEMORY : ANY);
		return;
	}
	op -= 2;
	if (op == 1) /* TEST once more, undocumented; QEMU makes #UD of it */
		op = 0;
	prefixes(m);
	byte(m, 0xf6 + wide);
	modrm(m, op, m->lock ? MEMORY : ANY);
	if (op < 2) {
		imm(m, wide ? m->op : 1);
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

	prefixes(m);
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
		prefixes(m);
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
			modrm(m, below(m, 8), ANY);
		} while (cl && (m->n->gpr[RCX] & 31) > 8 * size);
		if (!cl)
			byte(m, fixed);
		count = (cl ? m->n->gpr[RCX] : fixed) & 31;
		m->n->undefined = count ? RFLAGS_AF | (count > 1 ? RFLAGS_OF : 0) : 0;
		return;
	}
	static const uint8_t code[] = {0xc0, 0xc1, 0xd0, 0xd1, 0xd2, 0xd3};
	prefixes(m);
	byte(m, code[form]);
	size = form & 1 ? m->op : 1;
	modrm(m, op, ANY);
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
	prefixes(m);
	byte(m, 0x0f);
	if (k < 4) {
		byte(m, 0xa3 + 8 * op);
		/* The bit's number reaches beyond the operand: near it, so that it stays within the segment. */
		if (m->op == 4 || percent(m, 80))
			m->n->gpr[reg] = below(m, 8192) - 4096;
		uint32_t bit = m->n->gpr[reg];
		unsigned at = m->at;
		do { /* until the address does not need that register for itself */
			m->at = at;
			m->n->gpr[reg] = bit;
			/* QEMU 7.2 aborts over LOCK with a register. */
			modrm(m, reg, m->lock ? MEMORY : ANY);
		} while (m->n->gpr[reg] != bit);
	} else if (k < 7) {
		byte(m, 0xba);
		modrm(m, 4 + op, m->lock ? MEMORY : ANY);
		imm(m, 1);
	} else {
		byte(m, 0xbc + (op & 1));
		modrm(m, reg, ANY);
		m->n->undefined = FLAGS_ALL & ~RFLAGS_ZF;
	}
}

static void move(struct maker *m)
{
	unsigned k = below(m, 16), reg = below(m, 8);
	bool wide = percent(m, 70);
	unsigned size = wide ? m->op : 1;

	m->lock = (k == 6 || k == 7 || k == 8) && percent(m, 20);
	if (k == 9)
		m->op = 4;
	prefixes(m);
	switch (k) {
	case 0:
	case 1:
		byte(m, 0x88 + 2 * k + wide);
		modrm(m, reg, ANY);
		break;
	case 2:
		byte(m, 0xa0 + below(m, 2) * 2 + wide);
		le(m, target(m), m->addr);
		break;
	case 3:
		byte(m, wide ? 0xb8 + reg : 0xb0 + reg);
		imm(m, size);
		break;
	case 4:
		byte(m, 0xc6 + wide);
		modrm(m, 0, ANY);
		imm(m, size);
		break;
	case 5: /* movzx, movsx */
		byte(m, 0x0f);
		byte(m, 0xb6 + wide + 8 * below(m, 2));
		modrm(m, reg, ANY);
		break;
	case 6: /* xchg */
		byte(m, 0x86 + wide);
		modrm(m, reg, m->lock ? MEMORY : ANY);
		break;
	case 7: /* xadd */
		byte(m, 0x0f);
		byte(m, 0xc0 + wide);
		modrm(m, reg, m->lock ? MEMORY : ANY);
		break;
	case 8: /* cmpxchg */
		byte(m, 0x0f);
		byte(m, 0xb0 + wide);
		modrm(m, reg, m->lock ? MEMORY : ANY);
		break;
	case 9: /* bswap */
		byte(m, 0x0f);
		byte(m, 0xc8 + reg);
		break;
	case 10:
		byte(m, 0x8d);
		modrm(m, reg, percent(m, 95) ? MEMORY : REGISTER);
		break;
	case 11:
		byte(m, 0x90 + reg);
		break;
	case 12: /* cmovcc, setcc */
		byte(m, 0x0f);
		byte(m, (wide ? 0x40 : 0x90) + below(m, 16));
		modrm(m, reg, ANY);
		break;
	case 13:
		byte(m, percent(m, 50) ? 0x98 : 0x99);
		break;
	case 14: /* xlat */
		m->n->gpr[RBX] = target(m) - (m->n->gpr[RAX] & 0xff);
		byte(m, 0xd7);
		break;
	default: /* imul */
		m->n->undefined = RFLAGS_SF | RFLAGS_ZF | RFLAGS_AF | RFLAGS_PF;
		if (wide) {
			byte(m, 0x0f);
			byte(m, 0xaf);
			modrm(m, reg, ANY);
		} else {
			bool small = percent(m, 50);
			byte(m, small ? 0x6b : 0x69);
			modrm(m, reg, ANY);
			imm(m, small ? 1 : m->op);
		}
	}
}

static void cmpxchg8b(struct maker *m)
{
	m->lock = percent(m, 50);
	prefixes(m);
	byte(m, 0x0f);
	byte(m, 0xc7);
	modrm(m, 1, MEMORY);
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

	prefixes(m);
	byte(m, one[k].op);
	m->n->undefined = one[k].undefined;
	if (one[k].op == 0xd4 || one[k].op == 0xd5)
		byte(m, percent(m, 60) ? 10 : below(m, 256));
}

/* ---- strings */

static void string(struct maker *m)
{
	static const uint8_t op[] = {0xa4, 0xa6, 0xaa, 0xac, 0xae};
	uint32_t *g = m->n->gpr;
	bool wide = percent(m, 60);
	unsigned k = below(m, 5), rep = below(m, 4);

	g[RSI] = 0x4400 + below(m, 0x3800);
	g[RDI] = 0x400 + below(m, 0x7800);
	if (percent(m, 30) && m->addr == 2) /* the upper halves are of no account */
		g[RSI] |= 0x55550000, g[RDI] |= 0x77770000;
	g[RCX] = m->addr == 2 && percent(m, 30) ? 0x10000 + below(m, 9) : below(m, 12);
	if (rep < 2)
		byte(m, 0xf2 + rep);
	prefixes(m);
	byte(m, op[k] + wide);
}

/* ---- the stack */

static void stack(struct maker *m)
{
	static const uint16_t seg[] = {0x06, 0x0e, 0x16, 0x1e, 0x0fa0, 0x0fa8, 0x07, 0x17, 0x1f, 0x0fa1, 0x0fa9};
	unsigned k = below(m, 11), reg = below(m, 8);
	bool real = m->kind == REAL;

	if (real && (k == 1 || k == 8 || k == 9)) /* that would leave the handler without a stack */
		k = 0;
	prefixes(m);
	switch (k) {
	case 0:
		byte(m, 0x50 + reg);
		break;
	case 1:
		byte(m, 0x58 + reg);
		break;
	case 2:
		byte(m, 0x68);
		imm(m, m->op);
		break;
	case 3:
		byte(m, 0x6a);
		imm(m, 1);
		break;
	case 4:
		byte(m, 0xff);
		modrm(m, 6, ANY);
		break;
	case 5:
		byte(m, 0x8f);
		modrm(m, 0, MEMORY);
		break;
	case 6:
		byte(m, 0x60);
		break;
	case 7:
		byte(m, 0x9c);
		break;
	case 8:
		byte(m, 0xc8);
		le(m, below(m, 64), 2);
		byte(m, percent(m, 60) ? 0 : below(m, 40));
		m->n->gpr[RBP] = 0x4000 + below(m, 0x400) * 4;
		break;
	case 9: /* leave */
		m->n->gpr[RBP] = 0x4000 + below(m, 0x1000);
		byte(m, 0xc9);
		break;
	default:
		reg = below(m, real_like(m) && !real ? ARRAY_LEN(seg) : 6);
		if (seg[reg] >> 8)
			byte(m, 0x0f);
		byte(m, seg[reg] & 0xff);
	}
}

/* Two instructions: push and pop what the first has put there. */
static void push_pop(struct maker *m)
{
	static const uint16_t selector[] = {0,	  3,	0x10, 0x63, 0x6b, 0x73, 0x7b, 0x83, 0x8b,  0x93,  0x9b, 0xa0,
					    0xbb, 0xb8, 0xc3, 0xcb, 0xd3, 0xd0, 0x38, 0x61, 0x104, 0x1f8, 0x67};
	static const uint16_t seg[] = {0x07, 0x17, 0x1f, 0x0fa1, 0x0fa9};
	unsigned k = below(m, 3), i = below(m, 5);

	m->seg = -1;
	if (k == 0) { /* popf; never with the trap flag, nor with one that asks for a task to return to */
		uint32_t f = (uint32_t)rng_next(&m->rng) &
			     (FLAGS_ALL | RFLAGS_DF | RFLAGS_IOPL | RFLAGS_AC | RFLAGS_ID | RFLAGS_VM | RFLAGS_RF);
		prefixes(m);
		byte(m, 0x68);
		le(m, f, m->op);
		prefixes(m);
		byte(m, 0x9d);
		return;
	}
	if (m->kind == REAL && i == 1)
		i = 0;
	prefixes(m);
	byte(m, 0x68);
	if (real_like(m))
		imm(m, m->op);
	else
		le(m, selector[below(m, ARRAY_LEN(selector))], m->op);
	prefixes(m);
	if (seg[i] >> 8)
		byte(m, 0x0f);
	byte(m, seg[i] & 0xff);
}

/* ---- branches */

static uint32_t taken_ip(const struct maker *m)
{
	return m->n->ip + TAKEN;
}

static void jump_rel(struct maker *m, unsigned size)
{
	le(m, taken_ip(m) - (m->n->ip + m->at + size), size);
}

static void flow(struct maker *m)
{
	unsigned k = below(m, 9), reg = 0;

	m->seg = -1;
	if (m->kind == PM32) /* 2 would cut EIP to 16 bits */
		m->op = 4;
	prefixes(m);
	switch (k) {
	case 0:
		byte(m, 0x70 + below(m, 16));
		jump_rel(m, 1);
		break;
	case 1:
		byte(m, 0xe0 + below(m, 4));
		m->n->gpr[RCX] = percent(m, 50) ? below(m, 3) : percent(m, 50) ? 0x10000 : m->n->gpr[RCX];
		jump_rel(m, 1);
		break;
	case 2:
		byte(m, 0x0f);
		byte(m, 0x80 + below(m, 16));
		jump_rel(m, m->op);
		break;
	case 3:
		byte(m, 0xe8 + below(m, 2));
		jump_rel(m, m->op);
		break;
	case 4:
		byte(m, 0xeb);
		jump_rel(m, 1);
		break;
	case 5: /* through a register */
		reg = below(m, 4);
		m->n->gpr[reg] = taken_ip(m);
		byte(m, 0xff);
		byte(m, 0xd0 + 0x10 * below(m, 2) + reg);
		break;
	case 6: /* push; ret */
		byte(m, 0x68);
		le(m, taken_ip(m), m->op);
		prefixes(m);
		byte(m, percent(m, 50) ? 0xc3 : 0xc2);
		if (m->n->code[m->at - 1] == 0xc2)
			le(m, below(m, 64), 2);
		break;
	case 7: /* push cs; push; retf */
		byte(m, 0x0e);
		prefixes(m);
		byte(m, 0x68);
		le(m, taken_ip(m), m->op);
		prefixes(m);
		byte(m, percent(m, 50) ? 0xcb : 0xca);
		if (m->n->code[m->at - 1] == 0xca)
			le(m, below(m, 64), 2);
		break;
	default: /* pushf; push cs; push; iret */
		byte(m, 0x9c);
		prefixes(m);
		byte(m, 0x0e);
		prefixes(m);
		byte(m, 0x68);
		le(m, taken_ip(m), m->op);
		prefixes(m);
		byte(m, 0xcf);
	}
}

/* Far, to the code's own selector or to one that refuses; never to a gate or a TSS. */
static void far(struct maker *m)
{
	static const uint16_t selector[] = {0, 0x08, 0x0b, 0x63, 0xbb, 0xcb, 0xc3, 0xdb, 0xd8, 0x104, 0x9b, 0x23};
	uint16_t to = (uint16_t)(real_like(m) || percent(m, 40) ? m->n->cs : selector[below(m, ARRAY_LEN(selector))]);

	m->seg = -1;
	/* Another segment's code is elsewhere: what is found there must be an end as well. */
	if (!real_like(m) && to != m->n->cs &&
	    (to == 0xcb || to == 0xc3 || to == 0x9b || to == 0x23 || to == 0xdb || to == 0xd8))
		to = (uint16_t)m->n->cs;
	if (m->kind == PM32)
		m->op = 4;
	prefixes(m);
	byte(m, percent(m, 50) ? 0xea : 0x9a);
	le(m, taken_ip(m), m->op);
	le(m, to, 2);
}

/* ---- segments and what is privileged */

static void segment(struct maker *m)
{
	static const uint16_t selector[] = {0,	  3,	0x10, 0x13, 0x63,  0x6b,  0x73, 0x7b, 0x83, 0x8b,
					    0x93, 0x9b, 0xa0, 0xbb, 0xb8,  0xc3,  0xcb, 0xd3, 0xd0, 0xd8,
					    0x38, 0x40, 0x61, 0x62, 0x104, 0x1f8, 0x67, 8,    0x18};
	unsigned k = below(m, 9), reg = below(m, 8), s = below(m, 6);
	uint32_t v = real_like(m) ? (uint32_t)rng_next(&m->rng)
				  : selector[below(m, ARRAY_LEN(selector))] | (uint32_t)rng_next(&m->rng) << 16;
	bool real = m->kind == REAL;

	if (real && (s == SEG_SS || s == SEG_CS))
		s = SEG_ES;
	if (reg != RSP)
		m->n->gpr[reg] = v;
	prefixes(m);
	switch (k) {
	case 0:
	case 1:
	case 2:
		byte(m, 0x8e);
		byte(m, 0xc0 | s << 3 | reg);
		break;
	case 3:
		byte(m, 0x8c);
		modrm(m, s, ANY);
		break;
	case 4: /* verr, verw, sldt, str */
		byte(m, 0x0f);
		byte(m, 0x00);
		byte(m, 0xc0 | (percent(m, 80) ? 4 + below(m, 2) : below(m, 2)) << 3 | reg);
		break;
	case 5: /* lar, lsl */
		byte(m, 0x0f);
		byte(m, 2 + below(m, 2));
		byte(m, 0xc0 | below(m, 8) << 3 | reg);
		break;
	case 6: /* arpl; in 16-bit real-like modes #UD */
		byte(m, 0x63);
		byte(m, 0xc0 | below(m, 8) << 3 | reg);
		break;
	case 7: { /* lds and its kin: what the memory holds is hardly a selector */
		static const uint16_t op[] = {0xc5, 0xc4, 0x0fb4, 0x0fb5, 0x0fb2};
		unsigned i = below(m, real ? 4 : 5);
		if (op[i] >> 8)
			byte(m, 0x0f);
		byte(m, op[i] & 0xff);
		modrm(m, below(m, 8), MEMORY);
		break;
	}
	default: /* bound */
		byte(m, 0x62);
		modrm(m, below(m, 8), MEMORY);
	}
}

static void refused(struct maker *m)
{
	static const char *const some[] = {"\x0f\x20\xc0", "\x0f\x22\xd8", "\x0f\x32",	   "\x0f\x30", "\x0f\x06",
					   "\x0f\x08",	   "\x0f\x01\x10", "\x0f\x01\x38", "\xf4",     "\x0f\x23\xf8",
					   "\x0f\x0b",	   "\xe4\x40",	   "\xef",	   "\xfa",     "\xfb",
					   "\x0f\xff\xc0", "\x6c",	   "\x6e"};
	unsigned i = below(m, ARRAY_LEN(some));

	if (m->kind == REAL)
		i = 10;
	prefixes(m);
	for (const char *p = some[i]; *p; p++)
		byte(m, (uint8_t)*p);
}

static void interrupt(struct maker *m)
{
	static const uint8_t op[] = {0xcc, 0xce, 0xcd};
	unsigned i = below(m, 3);

	prefixes(m);
	byte(m, op[i]);
	if (i == 2)
		byte(m, percent(m, 50) ? 0x81 : below(m, 32));
}

/* ---- one of them */

static void (*const group[])(struct maker *m) = {alu,  alu,  unary,	divide,	 shift,	  shift,    bits,     move,
						 move, move, cmpxchg8b, single,	 string,  stack,    push_pop, flow,
						 flow, far,  segment,	segment, refused, interrupt};

static void machine_state(struct maker *m, unsigned index)
{
	struct insn_note *n = m->n;
	uint32_t linear = INSN_AT + index * sizeof(*n) + CODE_OFFSET;

	for (unsigned i = 0; i < 8; i++)
		n->gpr[i] = (uint32_t)rng_value(&m->rng);
	n->gpr[RSP] = 0x1000 + below(m, 0x1000) * 2;
	n->flags = ((uint32_t)rng_next(&m->rng) & (FLAGS_ALL | RFLAGS_DF)) | RFLAGS_FIXED;
	n->bits = m->kind == PM32 ? 32 : 16;
	switch (m->kind) {
	case PM32:
		n->cs = 0x23;
		n->ip = linear;
		break;
	case PM16:
		n->cs = 0x9b + (linear >> 16) * 8 - 24;
		n->ip = linear & 0xffff;
		break;
	default:
		n->cs = linear >> 4;
		n->ip = 0;
	}
	if (real_like(m)) {
		n->ss = 0x8000, n->ds = 0x7000, n->es = 0x7800, n->fs = 0x7400, n->gs = 0x7c00;
		n->flags |= m->kind == VM86 ? RFLAGS_VM | (percent(m, 70) ? RFLAGS_IOPL : 0) : 0;
		return;
	}
	static const uint8_t ss[] = {0x83, 0x83, 0x8b, 0x93, 0x63};
	n->ss = ss[below(m, 5)];
	if (n->ss == 0x93)
		n->gpr[RSP] += 0x4000;
	n->ds = 0x63;
	n->es = 0x6b, n->fs = 0x73, n->gs = 0x8b;
}

static void make_one(struct maker *m, unsigned index)
{
	struct insn_note *n = m->n;
	unsigned own = m->kind == PM32 ? 4 : 2;

	machine_state(m, index);
	m->at = 0;
	m->lock = false;
	m->op = percent(m, 70) ? own : 6 - own;
	m->addr = percent(m, 75) ? own : 6 - own;
	m->seg = percent(m, 25) ? (int)below(m, 6) : -1;
	if (m->seg == SEG_CS) /* that segment holds the list, and QEMU writes to it */
		m->seg = -1;
	memset(n->code, 0x90, sizeof(n->code));
	group[below(m, ARRAY_LEN(group))](m);
	/* In real mode the handler's frame is in memory that is compared: no undefined flags into it. */
	if (m->kind == REAL && n->undefined) {
		byte(m, 0x38);
		byte(m, 0xc0);
		n->undefined = 0;
	}
	n->length = m->at;
	/* … and a stack for it. */
	if (m->kind == REAL) {
		byte(m, 0xbc);
		le(m, 0x2000, 2);
	}
	memcpy(n->code + m->at, "\xcd\x80", 2);
	memcpy(n->code + TAKEN, "\xcd\x81", 2);
	n->code[TAKEN + 2] = 0xf1;
}

void insns_make(uint8_t *image, uint64_t seed, bool real)
{
	struct maker m = {.rng.s = seed * 0x9fb21c651e98df25ull + real};
	struct insn_note *notes = (void *)image;

	memset(image, 0, INSN_BYTES);
	for (unsigned i = INSN_DATA - INSN_AT; i < INSN_BYTES; i += 8) {
		uint64_t v = rng_next(&m.rng);
		memcpy(image + i, &v, 8);
	}
	for (unsigned i = 0; i < INSNS; i++) {
		m.n = &notes[i];
		m.kind = real ? REAL : below(&m, 3);
		make_one(&m, i);
	}
}
