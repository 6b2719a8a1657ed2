/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Random instructions that go elsewhere: strings, the stack, branches near and far, segment registers, and what is refused
 * to code without privilege. Encodings: Intel SDM vol. 2.
 */
#include "tests/qemu/insns.h"

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
	insn_prefixes(m);
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
	insn_prefixes(m);
	switch (k) {
	case 0:
		byte(m, 0x50 + reg);
		break;
	case 1:
		byte(m, 0x58 + reg);
		break;
	case 2:
		byte(m, 0x68);
		insn_imm(m, m->op);
		break;
	case 3:
		byte(m, 0x6a);
		insn_imm(m, 1);
		break;
	case 4:
		byte(m, 0xff);
		insn_modrm(m, 6, ANY);
		break;
	case 5:
		byte(m, 0x8f);
		insn_modrm(m, 0, MEMORY);
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
		/* All 31 pointers below it are above the end of the segment that expands down, too. */
		m->n->gpr[RBP] = 0x4080 + below(m, 0x3e0) * 4;
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
		insn_prefixes(m);
		byte(m, 0x68);
		le(m, f, m->op);
		insn_prefixes(m);
		byte(m, 0x9d);
		return;
	}
	if (m->kind == REAL && i == 1)
		i = 0;
	insn_prefixes(m);
	byte(m, 0x68);
	if (real_like(m))
		insn_imm(m, m->op);
	else
		le(m, selector[below(m, ARRAY_LEN(selector))], m->op);
	insn_prefixes(m);
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

/* To where the stack says: ret, retf behind CS, or iret behind CS and flags. */
static void flow_by_stack(struct maker *m, bool flags, bool cs)
{
	if (flags) {
		byte(m, 0x9c);
		insn_prefixes(m);
	}
	if (cs) {
		byte(m, 0x0e);
		insn_prefixes(m);
	}
	byte(m, 0x68);
	le(m, taken_ip(m), m->op);
	insn_prefixes(m);
	if (flags) {
		byte(m, 0xcf);
		return;
	}
	bool drops = !percent(m, 50);
	byte(m, (cs ? 0xcb : 0xc3) - drops);
	if (drops)
		le(m, below(m, 64), 2);
}

static void flow(struct maker *m)
{
	unsigned k = below(m, 9), reg = 0;

	m->seg = -1;
	if (m->kind == PM32) /* 2 would cut EIP to 16 bits */
		m->op = 4;
	insn_prefixes(m);
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
	default:
		flow_by_stack(m, k == 8, k > 6);
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
	insn_prefixes(m);
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
	insn_prefixes(m);
	switch (k) {
	case 0:
	case 1:
	case 2:
		byte(m, 0x8e);
		byte(m, 0xc0 | s << 3 | reg);
		break;
	case 3:
		byte(m, 0x8c);
		insn_modrm(m, s, ANY);
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
		insn_modrm(m, below(m, 8), MEMORY);
		break;
	}
	default: /* bound */
		byte(m, 0x62);
		insn_modrm(m, below(m, 8), MEMORY);
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
	insn_prefixes(m);
	for (const char *p = some[i]; *p; p++)
		byte(m, (uint8_t)*p);
}

static void interrupt(struct maker *m)
{
	static const uint8_t op[] = {0xcc, 0xce, 0xcd};
	unsigned i = below(m, 3);

	insn_prefixes(m);
	byte(m, op[i]);
	if (i == 2)
		byte(m, percent(m, 50) ? 0x81 : below(m, 32));
}

void insn_make_control(struct maker *m)
{
	static void (*const group[])(struct maker * m) = {string, stack,   push_pop, flow,    flow,
							  far,	  segment, segment,  refused, interrupt};

	group[below(m, ARRAY_LEN(group))](m);
}
