/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Which memory an instruction accesses, by its bytes and the registers before it: SDM vol. 2, for what the guests of
 * build/agree_stops are made of. A string instruction: one iteration of it.
 */
#include <string.h>

#include "tests/agree/stops/stops.h"

struct dec {
	const struct regs *r;
	const uint8_t *code;
	struct s_insn *out;
	unsigned at, bits, size, addr, rex;
	int seg; /* -1: no override */
	bool f2, f3, p66, bad;
	/* ModRM */
	unsigned mod, reg, rm;
	uint64_t ea;
	bool has_ea, stack_seg, rip_relative;
};

unsigned s_code_bits(const struct regs *r)
{
	if (!(r->cr0 & CR0_PE))
		return 16;
	return r->efer & EFER_LMA && r->seg[SEG_CS].l ? 64 : r->seg[SEG_CS].db ? 32 : 16;
}

uint64_t s_linear_pc(const struct regs *r)
{
	return s_code_bits(r) == 64 ? r->rip : (uint32_t)(r->seg[SEG_CS].base + r->rip);
}

static uint8_t next(struct dec *d)
{
	if (d->at >= 15) {
		d->bad = true;
		return 0;
	}
	return d->code[d->at++];
}

static int64_t next_signed(struct dec *d, unsigned n)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < n; i++)
		v |= (uint64_t)next(d) << 8 * i;
	return n == 8 ? (int64_t)v : (int64_t)(v << (64 - 8 * n)) >> (64 - 8 * n);
}

static uint64_t masked(uint64_t v, unsigned bytes)
{
	return bytes == 8 ? v : v & ((1ull << 8 * bytes) - 1);
}

static void touch(struct dec *d, unsigned seg, uint64_t ea, unsigned len, bool read, bool write)
{
	uint64_t base = d->bits == 64 && seg != SEG_FS && seg != SEG_GS ? 0 : d->r->seg[seg].base, at = base + ea;

	if (d->out->n < S_ACCESSES_MAX)
		d->out->access[d->out->n++] = (struct s_access){d->bits == 64 ? at : (uint32_t)at, len, read, write};
}

/* ---- operands */

static void ea16(struct dec *d)
{
	static const int8_t pair[8][2] = {{RBX, RSI}, {RBX, RDI}, {RBP, RSI}, {RBP, RDI},
					  {RSI, -1},  {RDI, -1},  {RBP, -1},  {RBX, -1}};
	const uint64_t *g = d->r->gpr;

	if (d->mod == 0 && d->rm == 6) {
		d->ea = (uint16_t)next_signed(d, 2);
		return;
	}
	d->ea = g[pair[d->rm][0]] + (pair[d->rm][1] >= 0 ? g[pair[d->rm][1]] : 0);
	d->stack_seg = pair[d->rm][0] == RBP;
	if (d->mod)
		d->ea += (uint64_t)next_signed(d, d->mod);
	d->ea = (uint16_t)d->ea;
}

static void ea32(struct dec *d)
{
	const uint64_t *g = d->r->gpr;
	unsigned base = d->rm;
	uint64_t at = 0;

	if (d->rm == 4) {
		unsigned sib = next(d), index = (sib >> 3 & 7) | (d->rex & 2) << 2;
		base = sib & 7;
		if (index != 4)
			at = g[index] << (sib >> 6);
	}
	if (d->mod == 0 && base == 5) {
		at += (uint64_t)next_signed(d, 4);
		d->rip_relative = d->bits == 64 && d->rm == 5;
	} else {
		at += g[base | (d->rex & 1) << 3];
		d->stack_seg = base == 4 || (base == 5 && !(d->rex & 1));
	}
	if (d->mod)
		at += (uint64_t)next_signed(d, d->mod == 1 ? 1 : 4);
	d->ea = at;
}

static void modrm(struct dec *d)
{
	unsigned b = next(d);

	d->mod = b >> 6;
	d->reg = (b >> 3 & 7) | (d->rex & 4) << 1;
	d->rm = b & 7;
	d->has_ea = d->mod != 3;
	if (d->has_ea && d->addr == 2)
		ea16(d);
	else if (d->has_ea)
		ea32(d);
}

/* The operand in memory, imm bytes before the end of the instruction. */
static void operand(struct dec *d, unsigned len, bool read, bool write, unsigned imm)
{
	if (!d->has_ea)
		return;
	uint64_t ea = d->rip_relative ? d->ea + d->r->rip + d->at + imm : d->ea;
	touch(d, d->seg >= 0 ? (unsigned)d->seg : d->stack_seg ? SEG_SS : SEG_DS, masked(ea, d->addr), len, read, write);
}

/* n bytes of the stack, from off bytes above its pointer. */
static void stack(struct dec *d, int off, unsigned n, bool write)
{
	unsigned width = d->bits == 64 ? 8 : d->r->seg[SEG_SS].db ? 4 : 2;

	touch(d, SEG_SS, masked(d->r->gpr[RSP] + (uint64_t)(int64_t)off, width), n, !write, write);
}

static unsigned stack_size(const struct dec *d)
{
	return d->bits == 64 ? (d->p66 ? 2 : 8) : d->size;
}

static void push(struct dec *d)
{
	stack(d, -(int)stack_size(d), stack_size(d), true);
}

static void pop(struct dec *d)
{
	stack(d, 0, stack_size(d), false);
}

/* ---- string instructions */

static void string(struct dec *d, unsigned op)
{
	unsigned n = op & 1 ? d->size : 1, kind = op & 0xfe;
	const uint64_t *g = d->r->gpr;
	uint64_t si = masked(g[RSI], d->addr), di = masked(g[RDI], d->addr);
	unsigned src = d->seg >= 0 ? (unsigned)d->seg : SEG_DS;

	d->out->string = true;
	if (d->f2 || d->f3) {
		if (!masked(g[RCX], d->addr))
			return;
		d->out->rep = true;
	}
	if ((kind == 0x6c || kind == 0x6e) && n == 8)
		n = 4;
	if (kind == 0x6e || kind == 0xa4 || kind == 0xa6 || kind == 0xac)
		touch(d, src, si, n, true, false);
	if (kind == 0xa6 || kind == 0xae)
		touch(d, SEG_ES, di, n, true, false);
	if (kind == 0x6c || kind == 0xa4 || kind == 0xaa)
		touch(d, SEG_ES, di, n, false, true);
	if (kind == 0x6c || kind == 0x6e) {
		d->out->port = true;
		d->out->port_write = kind == 0x6e;
		d->out->port_at = (uint16_t)g[RDX];
		d->out->port_len = n;
	}
}

static void port(struct dec *d, unsigned op)
{
	d->out->port = true;
	d->out->port_write = op & 2;
	d->out->port_at = op & 8 ? (uint16_t)d->r->gpr[RDX] : next(d);
	d->out->port_len = !(op & 1) ? 1 : d->size == 2 ? 2 : 4;
}

/* ---- two-byte opcodes */

/* BT and its kin with the bit's number in a register: it may lie far off. */
static void bit_test(struct dec *d, bool write)
{
	unsigned shift = d->size == 8 ? 6 : d->size == 4 ? 5 : 4;
	uint64_t v = d->r->gpr[d->reg];
	int64_t off = d->size == 8 ? (int64_t)v : d->size == 4 ? (int32_t)v : (int16_t)v;

	d->ea += (uint64_t)((off >> shift) * (int64_t)d->size);
	operand(d, d->size, true, write, 0);
}

static void sse_move(struct dec *d, unsigned op)
{
	bool write = op == 0x11 || op == 0x29 || op == 0x7f || op == 0xe7 || op == 0xd6 || (op == 0x7e && !d->f3);
	unsigned n = 16;

	if (op == 0xd6 || (op == 0x7e && d->f3) || (op < 0x12 && d->f2))
		n = 8;
	else if (op < 0x12 && d->f3)
		n = 4;
	else if (op == 0x6e || op == 0x7e)
		n = d->rex & 8 ? 8 : 4;
	operand(d, n, !write, write, 0);
}

static void fenced(struct dec *d)
{
	if (d->has_ea && (d->reg & 7) <= 1)
		operand(d, 512, d->reg & 1, !(d->reg & 1), 0);
	else
		d->bad = d->has_ea;
}

static bool two_bytes_plain(struct dec *d, unsigned op)
{
	if ((op & 0xf0) == 0x80) {
		next_signed(d, d->size == 2 ? 2 : 4);
		return true;
	}
	return op == 0x0b || op == 0xa2 || (op & 0xf8) == 0xc8;
}

static void two_bytes(struct dec *d)
{
	unsigned op = next(d), n = d->size;

	if (two_bytes_plain(d, op))
		return;
	modrm(d);
	if (op == 0x01) /* INVLPG alone accesses nothing */
		d->bad = (d->reg & 7) != 7;
	else if ((op & 0xf0) == 0x40)
		operand(d, n, true, false, 0);
	else if ((op & 0xf0) == 0x90)
		operand(d, 1, false, true, 0);
	else if (op == 0xa3 || op == 0xab || op == 0xb3 || op == 0xbb)
		bit_test(d, op != 0xa3);
	else if (op == 0xba)
		operand(d, n, true, (d->reg & 7) != 4, 1), next(d);
	else if (op == 0xa4 || op == 0xac)
		operand(d, n, true, true, 1), next(d);
	else if (op == 0xa5 || op == 0xad || op == 0xb1 || op == 0xc1)
		operand(d, n, true, true, 0);
	else if (op == 0xb0 || op == 0xc0)
		operand(d, 1, true, true, 0);
	else if (op == 0xc7)
		operand(d, n == 8 ? 16 : 8, true, true, 0);
	else if (op == 0xb6 || op == 0xbe)
		operand(d, 1, true, false, 0);
	else if (op == 0xb7 || op == 0xbf)
		operand(d, 2, true, false, 0);
	else if (op == 0xaf || op == 0xbc || op == 0xbd)
		operand(d, n, true, false, 0);
	else if (op == 0xc3)
		operand(d, n, false, true, 0);
	else if (op == 0xae)
		fenced(d);
	else if (op == 0x10 || op == 0x11 || op == 0x28 || op == 0x29 || op == 0x6f || op == 0x7f || op == 0xe7 ||
		 op == 0xd6 || op == 0x6e || op == 0x7e)
		sse_move(d, op);
	else
		d->bad = op != 0x1f && op != 0x18 && (op & 0xfc) != 0x20;
}

/* ---- one-byte opcodes */

static void group5(struct dec *d, unsigned op)
{
	unsigned n = op & 1 ? d->size : 1, digit = d->reg & 7;

	if (digit < 2) {
		operand(d, n, true, true, 0);
		return;
	}
	if (digit != 6)
		n = d->bits == 64 ? 8 : n;
	else
		n = stack_size(d);
	operand(d, n, true, false, 0);
	if (digit == 2 || digit == 6)
		push(d);
	d->bad |= digit != 2 && digit != 4 && digit != 6;
}

static void with_modrm(struct dec *d, unsigned op)
{
	unsigned n = op & 1 ? d->size : 1, imm = d->size == 2 ? 2 : 4;

	modrm(d);
	if (op < 0x40) {
		bool to_memory = !(op & 2);
		operand(d, n, true, to_memory && op < 0x38, 0);
	} else if (op == 0x80 || op == 0x81 || op == 0x83) {
		imm = op == 0x81 ? imm : 1;
		operand(d, n, true, (d->reg & 7) != 7, imm);
		next_signed(d, imm);
	} else if (op == 0x69 || op == 0x6b) {
		imm = op == 0x69 ? imm : 1;
		operand(d, d->size, true, false, imm);
		next_signed(d, imm);
	} else if (op == 0xc6 || op == 0xc7) {
		imm = op & 1 ? imm : 1;
		operand(d, n, false, true, imm);
		next_signed(d, imm);
	} else if (op == 0xc0 || op == 0xc1) {
		operand(d, n, true, true, 1);
		next(d);
	} else if ((op & 0xfc) == 0xd0 || op == 0x86 || op == 0x87) {
		operand(d, n, true, true, 0);
	} else if (op == 0x84 || op == 0x85 || op == 0x8a || op == 0x8b) {
		operand(d, n, true, false, 0);
	} else if (op == 0x88 || op == 0x89) {
		operand(d, n, false, true, 0);
	} else if (op == 0xf6 || op == 0xf7) {
		imm = (d->reg & 7) > 1 ? 0 : op & 1 ? imm : 1;
		operand(d, n, true, (d->reg & 6) == 2, imm);
		if (imm)
			next_signed(d, imm);
	} else if (op == 0x8c || op == 0x8e) {
		operand(d, 2, op == 0x8e, op == 0x8c, 0);
	} else if (op == 0x8f) {
		pop(d);
		operand(d, stack_size(d), false, true, 0);
	} else if (op >= 0xfe) {
		group5(d, op);
	}
}

static bool has_modrm(unsigned op)
{
	return (op < 0x40 && (op & 7) < 4) || op == 0x69 || op == 0x6b || (op >= 0x80 && op <= 0x8f) || op == 0xc0 ||
	       op == 0xc1 || op == 0xc6 || op == 0xc7 || (op & 0xfc) == 0xd0 || op == 0xf6 || op == 0xf7 || op >= 0xfe;
}

static void moffs(struct dec *d, unsigned op)
{
	uint64_t ea = masked((uint64_t)next_signed(d, d->addr), d->addr);

	touch(d, d->seg >= 0 ? (unsigned)d->seg : SEG_DS, ea, op & 1 ? d->size : 1, !(op & 2), op & 2);
}

static void interrupts(struct dec *d, unsigned op, bool outer)
{
	unsigned n = d->bits == 64 || outer ? 5 : 3;

	if (op == 0xcf) {
		d->out->several = true;
		stack(d, 0, n * (d->bits == 64 && !(d->rex & 8) ? 4 : d->size), false);
		return;
	}
	d->out->trap = op != 0xce || d->r->rflags & RFLAGS_OF;
	d->out->int_n = op == 0xcd;
	if (op == 0xcd)
		next(d);
}

static void frames(struct dec *d, unsigned op)
{
	unsigned width = d->bits == 64 ? 8 : d->r->seg[SEG_SS].db ? 4 : 2;

	if (op == 0xc8) {
		next_signed(d, 3);
		push(d);
	} else {
		touch(d, SEG_SS, masked(d->r->gpr[RBP], width), stack_size(d), true, false);
	}
}

static void one_byte(struct dec *d, unsigned op, bool outer)
{
	unsigned imm = d->size == 2 ? 2 : 4, kind = op & 0xfe;

	if (has_modrm(op))
		with_modrm(d, op);
	else if (kind == 0x6c || kind == 0x6e || kind == 0xa4 || kind == 0xa6 || (op >= 0xaa && op <= 0xaf))
		string(d, op);
	else if (op < 0x40 && (op & 7) < 6)
		next_signed(d, op & 1 ? imm : 1);
	else if ((op & 0xf8) == 0x50 || op == 0x06 || op == 0x0e || op == 0x16 || op == 0x1e)
		push(d);
	else if ((op & 0xf8) == 0x58 || op == 0x9d || op == 0x07 || op == 0x1f)
		pop(d);
	else if (op == 0x60 || op == 0x61)
		stack(d, op == 0x60 ? -8 * (int)d->size : 0, 8 * d->size, op == 0x60);
	else if (op == 0x68 || op == 0x6a)
		next_signed(d, op == 0x68 ? imm : 1), push(d);
	else if (op == 0x9c)
		push(d);
	else if ((op & 0xfc) == 0xa0)
		moffs(d, op);
	else if (op == 0xa8 || op == 0xa9)
		next_signed(d, op & 1 ? imm : 1);
	else if ((op & 0xf0) == 0xb0)
		next_signed(d, !(op & 8) ? 1 : d->size);
	else if (op == 0xc3)
		pop(d);
	else if (op == 0xc8 || op == 0xc9)
		frames(d, op);
	else if (op == 0xcc || op == 0xcd || op == 0xce || op == 0xcf || op == 0xf1)
		interrupts(d, op, outer);
	else if (op == 0xd7)
		touch(d, d->seg >= 0 ? (unsigned)d->seg : SEG_DS, masked(d->r->gpr[RBX] + (d->r->gpr[RAX] & 0xff), d->addr),
		      1, true, false);
	else if ((op & 0xf4) == 0xe4 && op != 0xe8)
		port(d, op);
	else if (op == 0xe8)
		next_signed(d, d->size == 2 ? 2 : 4), push(d);
	else if (op == 0xe9)
		next_signed(d, d->size == 2 ? 2 : 4);
	else if ((op & 0xf0) == 0x70 || (op & 0xfc) == 0xe0 || op == 0xeb || op == 0xd4)
		next(d);
	else
		d->bad |= !((op & 0xf0) == 0x40 || (op & 0xf8) == 0x90 || op == 0x98 || op == 0x99 || op == 0xf4 ||
			    op == 0xf5 || (op >= 0xf8 && op <= 0xfd));
}

static bool prefix(struct dec *d, unsigned b)
{
	switch (b) {
	case 0x26:
		d->seg = SEG_ES;
		return true;
	case 0x2e:
		d->seg = SEG_CS;
		return true;
	case 0x36:
		d->seg = SEG_SS;
		return true;
	case 0x3e:
		d->seg = SEG_DS;
		return true;
	case 0x64:
		d->seg = SEG_FS;
		return true;
	case 0x65:
		d->seg = SEG_GS;
		return true;
	case 0x66:
		d->p66 = true;
		return true;
	case 0x67:
		d->addr = d->bits == 64 ? 4 : d->bits == 32 ? 2 : 4;
		return true;
	case 0xf2:
		d->f2 = true;
		return true;
	case 0xf3:
		d->f3 = true;
		return true;
	default:
		return b == 0xf0;
	}
}

bool s_decode(const struct regs *r, const uint8_t code[16], bool outer, struct s_insn *out)
{
	struct dec d = {.r = r, .code = code, .out = out, .bits = s_code_bits(r), .seg = -1};
	unsigned b;

	memset(out, 0, sizeof(*out));
	d.addr = d.bits / 8;
	while (prefix(&d, b = next(&d)))
		;
	if (d.bits == 64 && (b & 0xf0) == 0x40) {
		d.rex = b & 15;
		b = next(&d);
	}
	d.size = d.rex & 8 ? 8 : d.bits == 16 ? (d.p66 ? 4 : 2) : d.p66 ? 2 : 4;
	if (b == 0x0f)
		two_bytes(&d);
	else
		one_byte(&d, b, outer);
	out->len = d.at;
	return !d.bad;
}
