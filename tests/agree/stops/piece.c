/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The code of a guest, piece by piece.
 */
#include <string.h>

#include "core/mem/paging_bits.h"
#include "tests/agree/stops/stops.h"

static unsigned below(struct s_guest *g, unsigned n)
{
	return rng_below(&g->rng, n);
}

static bool percent(struct s_guest *g, unsigned n)
{
	return rng_percent(&g->rng, n);
}

static unsigned word(const struct s_guest *g)
{
	return g->mode->bits / 8;
}

static unsigned any_size(struct s_guest *g)
{
	static const uint8_t size[] = {1, 2, 4, 8};

	return size[below(g, g->mode->bits == 64 ? 4 : 3)];
}

/* A register that no address stands in, mostly. */
static unsigned any_reg(struct s_guest *g)
{
	static const uint8_t reg[] = {RCX, RDX, RAX, RBX, R10, R11};

	return reg[below(g, g->mode->bits == 64 ? 6 : 4)];
}

/* ---- instructions with an operand in memory */

enum { FORM_BYTE = 1, FORM_WIDE = 2, FORM_LOCK = 4, FORM_IMM8 = 8, FORM_IMM = 16, FORM_ANY_DIGIT = 32, FORM_NO8 = 64 };
static const struct form {
	uint32_t op;
	int8_t digit; /* -1: a register */
	uint8_t flags, variants;
} forms[] = {
    {0x00, -1, FORM_LOCK, 7},
    {0x02, -1, 0, 8},
    {0x38, -1, 0, 1},
    {0x80, 0, FORM_BYTE | FORM_IMM8 | FORM_ANY_DIGIT, 1},
    {0x81, 0, FORM_WIDE | FORM_IMM | FORM_ANY_DIGIT, 1},
    {0x83, 0, FORM_WIDE | FORM_IMM8 | FORM_ANY_DIGIT, 1},
    {0x84, -1, 0, 1},
    {0x86, -1, FORM_LOCK, 1},
    {0x88, -1, 0, 1},
    {0x8a, -1, 0, 1},
    {0xc6, 0, FORM_IMM, 1},
    {0xd0, 0, FORM_ANY_DIGIT, 1},
    {0xd2, 0, FORM_ANY_DIGIT, 1},
    {0xc0, 0, FORM_IMM8 | FORM_ANY_DIGIT, 1},
    {0xf6, 0, FORM_IMM, 1},
    {0xf6, 2, FORM_LOCK, 1},
    {0xf6, 3, FORM_LOCK, 1},
    {0xfe, 0, FORM_LOCK, 1},
    {0xfe, 1, FORM_LOCK, 1},
    {0x0fc0, -1, FORM_LOCK, 1},
    {0x0fb0, -1, FORM_LOCK, 1},
    {0x0fb6, -1, FORM_WIDE, 1},
    {0x0fbe, -1, FORM_WIDE, 1},
    {0x0f90, 0, FORM_BYTE, 1},
    {0x0f44, -1, FORM_WIDE, 1},
    {0x0faf, -1, FORM_WIDE, 1},
    {0x0fa5, -1, FORM_WIDE, 1},
    {0x0fac, -1, FORM_WIDE | FORM_IMM8, 1},
    {0x0f1f, 0, FORM_WIDE, 1},
    {0x0fc7, 1, FORM_WIDE | FORM_LOCK, 1},
    {0x0fc3, -1, FORM_WIDE | FORM_NO8, 1},
    {0x8d, -1, FORM_WIDE, 1},
    {0x69, -1, FORM_WIDE | FORM_IMM, 1},
    {0x0fba, 4, FORM_WIDE | FORM_IMM8, 1},
    {0x0fba, 5, FORM_WIDE | FORM_LOCK | FORM_IMM8, 1},
    {0x0fba, 7, FORM_WIDE | FORM_LOCK | FORM_IMM8, 1},
    {0x0fbc, -1, FORM_WIDE, 1},
};

static unsigned imm_of(struct s_guest *g, const struct form *f, unsigned size)
{
	(void)g;
	return f->flags & FORM_IMM8 ? 1 : !(f->flags & FORM_IMM) ? 0 : size > 4 ? 4 : size;
}

static void memory(struct s_guest *g)
{
	const struct form *f = &forms[below(g, ARRAY_LEN(forms))];
	struct s_insn_spec i = {.size = any_size(g)};
	struct s_operand m;

	if (f->flags & FORM_BYTE)
		i.size = 1;
	if ((f->flags & FORM_WIDE && i.size == 1) || (i.size == 2 && (f->op == 0x0fc3 || f->op == 0x0fc7)))
		i.size = 4;
	if (f->op == 0x0fc7 && i.size == 8 && g->classes & S_DEVICE)
		i.size = 4;
	unsigned len = f->op == 0x0fc7 ? i.size * 2 : i.size;
	uint64_t at = s_any_data(g, len);
	if (f->op == 0x0fc7)
		at &= ~15ull;
	if (!s_operand_make(g, at, len, &m))
		return;
	i.op = f->op + 8 * below(g, f->variants);
	if (!(f->flags & (FORM_BYTE | FORM_WIDE)) && i.size > 1)
		i.op++;
	i.reg = f->flags & FORM_ANY_DIGIT ? below(g, f->op >= 0xc0 ? 6 : 8)
		: f->digit >= 0		  ? (unsigned)f->digit
					  : any_reg(g);
	i.prefix = f->flags & FORM_LOCK && percent(g, 20) ? 0xf0 : 0;
	i.imm_len = imm_of(g, f, i.size);
	i.imm = i.imm_len == 1 && f->op >= 0xc0 ? below(g, 32) : rng_value(&g->rng);
	s_emit_mem(g, &i, &m);
}

static void sse(struct s_guest *g)
{
	static const struct {
		uint32_t op;
		uint8_t prefix, aligned;
	} v[] = {{0x0f10, 0, 0},    {0x0f11, 0, 0},    {0x0f28, 0, 1},	  {0x0f29, 0, 1},
		 {0x0f6f, 0xf3, 0}, {0x0f7f, 0xf3, 0}, {0x0f7e, 0xf3, 0}, {0x0fd6, 0x66, 0},
		 {0x0f6e, 0x66, 0}, {0x0f7e, 0x66, 0}, {0x0f10, 0xf3, 0}, {0x0f11, 0xf3, 0},
		 {0x0f10, 0xf2, 0}, {0x0f11, 0xf2, 0}, {0x0fe7, 0x66, 1}, {0x0fae, 0, 2}};
	unsigned k = below(g, ARRAY_LEN(v));
	uint64_t at = s_any_data(g, v[k].aligned == 2 ? 512 : 16);
	struct s_insn_spec i = {.size = 1, .op = v[k].op, .prefix = v[k].prefix, .reg = v[k].aligned == 2 ? 0 : below(g, 8)};
	struct s_operand m;

	if (v[k].aligned)
		at &= ~15ull;
	if (v[k].aligned == 2 && (at >= S_MMIO || (at & 0xfff) > 0xe00))
		return;
	if (s_operand_make(g, at, 16, &m))
		s_emit_mem(g, &i, &m);
}

static void bits(struct s_guest *g)
{
	static const uint32_t op[] = {0x0fa3, 0x0fab, 0x0fb3, 0x0fbb};
	struct s_insn_spec i = {.size = any_size(g), .op = op[below(g, 4)], .reg = RDX};
	struct s_operand m;
	uint64_t at = s_any_data(g, 8);

	if (i.size == 1)
		i.size = 4;
	if (at < S_DATA + 0x1000 || at >= S_ALIAS_CODE)
		at = S_DATA + 0x1fe0 + below(g, 0x40);
	if (!s_operand_make(g, at, 8, &m))
		return;
	int64_t off = (int64_t)below(g, 0x800) - 0x400;
	s_mov_imm(g, RDX, g->mode->bits == 64 ? (uint64_t)off : (uint32_t)off);
	s_emit_mem(g, &i, &m);
}

/* ---- strings */

/* The offset of a linear address in a segment; false: out of its reach. */
static bool offset_in(const struct s_guest *g, unsigned seg, uint64_t linear, uint64_t *off)
{
	uint64_t base = g->mode->bits == 64 && seg != SEG_FS && seg != SEG_GS ? 0 : g->r.seg[seg].base;

	*off = linear - base;
	return linear >= base && (g->mode->bits != 16 || *off < 0xff00);
}

static void string(struct s_guest *g)
{
	static const uint8_t op[] = {0xa4, 0xa6, 0xaa, 0xac, 0xae}, rep[] = {0, 0xf3, 0xf3, 0xf2};
	unsigned size = any_size(g), k = op[below(g, 5)];
	uint64_t src, dst, from = s_any_data(g, 64), to = percent(g, 20) ? from : s_any_data(g, 64);
	unsigned seg = offset_in(g, SEG_DS, from, &src) ? 0 : 0x64;

	if (seg && !offset_in(g, SEG_FS, from, &src))
		return;
	if (!offset_in(g, SEG_ES, to, &dst))
		return;
	s_mov_imm(g, RSI, src);
	s_mov_imm(g, RDI, dst);
	s_mov_imm(g, RCX, below(g, 7));
	bool down = percent(g, 20);
	s_begin(g);
	s_byte(g, down ? 0xfd : 0xfc);
	s_hot(g);
	s_begin(g);
	if (seg)
		s_byte(g, seg);
	if (size > 1)
		s_opsize(g, size);
	unsigned r = rep[below(g, 4)];
	if (r && !g->one_round)
		s_byte(g, r);
	if (size == 8)
		s_byte(g, 0x48);
	s_byte(g, k + (size > 1));
	s_hot(g);
	s_begin(g);
	s_byte(g, 0xfc);
}

static void ports(struct s_guest *g)
{
	static const uint16_t port[] = {0x80, 0x71, 0x1f0};
	unsigned size = any_size(g), kind = below(g, 6);
	uint64_t off, at = s_any_data(g, 32);

	s_mov_imm(g, RDX, port[below(g, 3)]);
	if (size == 8)
		size = 4;
	if (kind >= 4 && !offset_in(g, kind == 4 ? SEG_ES : SEG_DS, at, &off))
		kind = 0;
	if (kind >= 4) {
		s_mov_imm(g, kind == 4 ? RDI : RSI, off);
		s_mov_imm(g, RCX, below(g, 5));
	}
	s_hot(g);
	s_begin(g);
	if (size > 1)
		s_opsize(g, size);
	if (kind < 2) {
		s_byte(g, (kind ? 0xe6u : 0xe4u) + (size > 1));
		s_byte(g, 0x80);
	} else if (kind < 4) {
		s_byte(g, (kind == 3 ? 0xeeu : 0xecu) + (size > 1));
	} else {
		if (percent(g, 60) && !g->one_round)
			s_byte(g, 0xf3);
		s_byte(g, (kind == 5 ? 0x6eu : 0x6cu) + (size > 1));
	}
}

/* ---- stack */

static void stack(struct s_guest *g)
{
	struct s_operand m;
	struct s_insn_spec i = {.size = g->mode->bits == 64 ? 1 : word(g)};
	unsigned k = below(g, 6);

	if (k == 0 && g->mode->bits != 64) {
		s_begin(g), s_byte(g, 0x60);
		s_begin(g), s_byte(g, 0x61);
	} else if (k == 1) {
		s_begin(g), s_bytes(g, "\xc8\x10\x00\x00", 4);
		s_begin(g), s_byte(g, 0xc9);
	} else if (k == 2) {
		s_begin(g), s_byte(g, 0x9c);
		s_begin(g), s_byte(g, 0x9d);
	} else if (k == 3 && s_operand_make(g, s_any_data(g, 8), 8, &m)) {
		i.op = 0xff;
		i.reg = 6;
		s_emit_mem(g, &i, &m);
		s_begin(g), s_byte(g, 0x58 | any_reg(g) % 4);
	} else if (k == 4 && s_operand_make(g, s_any_data(g, 8), 8, &m)) {
		s_begin(g), s_byte(g, 0x50 | below(g, 4));
		i.op = 0x8f;
		i.reg = 0;
		s_emit_mem(g, &i, &m);
	} else {
		s_begin(g), s_byte(g, 0x6a), s_byte(g, below(g, 256));
		s_begin(g), s_byte(g, 0x5a);
	}
}

/* ---- calls */

static void call_at(struct s_guest *g, uint64_t linear)
{
	if (g->mode->bits == 16) {
		s_begin(g);
		s_byte(g, 0xe8);
		s_le(g, linear - (S_CODE + g->len + 2), 2);
		return;
	}
	s_mov_imm(g, RAX, linear);
	s_begin(g);
	s_bytes(g, "\xff\xd0", 2);
}

/* REP MOVSB of a subroutine to its copy, or of the copy back over it. */
static void copy(struct s_guest *g, unsigned sub, bool back)
{
	uint64_t home = S_CODE + g->sub[sub].at, away = S_COPY + g->sub[sub].at;

	if (g->mode->bits == 16)
		s_begin(g), s_byte(g, 0x16), s_begin(g), s_byte(g, 0x07); /* push ss; pop es */
	s_mov_imm(g, RSI, back ? away : home);
	s_mov_imm(g, RDI, back ? home : away);
	s_mov_imm(g, RCX, g->sub[sub].len);
	s_begin(g);
	if (g->mode->bits == 16)
		s_byte(g, 0x36);
	s_bytes(g, "\xf3\xa4", 2);
	s_hot(g);
	if (g->mode->bits == 16)
		s_begin(g), s_byte(g, 0x1e), s_begin(g), s_byte(g, 0x07); /* push ds; pop es */
}

static void calls(struct s_guest *g)
{
	unsigned k = below(g, s_paged(g) && g->mode->bits != 16 ? 6 : 3), sub = below(g, g->n_subs);
	uint64_t at = g->sub[sub].at;

	if (k == 0) {
		call_at(g, S_CODE + at);
	} else if (k <= 2) {
		copy(g, sub, false);
		call_at(g, S_COPY + at);
		if (k == 2)
			copy(g, sub, true);
	} else {
		call_at(g, (k == 3 ? S_ALIAS_CODE : k == 4 ? S_LATE_CODE : S_SWITCH_CODE) + at);
	}
}

/* ---- services */

static void service(struct s_guest *g, unsigned n)
{
	s_begin(g);
	s_bytes(g, "\x0f\x0b", 2);
	s_byte(g, n);
	s_hot(g);
}

static void tables(struct s_guest *g)
{
	unsigned k = below(g, 4);

	if (!s_paged(g))
		return;
	if (k < 2) {
		s_mov_imm(g, RDI, s_root(g, k));
		if (g->mode->cpl || percent(g, 50)) {
			service(g, SERVICE_CR3);
		} else {
			s_begin(g);
			s_bytes(g, "\x0f\x22\xdf", 3);
		}
		return;
	}
	bool late = k == 3;
	unsigned page = below(g, late ? 4 : 2), which = below(g, 2);
	uint64_t gva = (late ? S_LATE : S_SWITCH) + page * 0x1000,
		 frame = late ? S_LATE_FRAMES + page * 0x1000 : S_SWITCH_FRAMES + 0x2000 * below(g, 2) + page * 0x1000;
	s_mov_imm(g, RDI, (which ? S_PT2 : S_PT1) + (gva >> 12) * s_entry_size(g));
	s_mov_imm(g, RSI, frame | (late ? 0 : PTE_P | PTE_W | PTE_U));
	s_mov_imm(g, RDX, gva);
	service(g, SERVICE_ENTRY);
}

static void debug_registers(struct s_guest *g)
{
	unsigned n = below(g, 2), kind = below(g, 4), len = below(g, g->mode->bits == 64 ? 4 : 3);
	static const uint8_t code[] = {0, 1, 3, 2}, bytes[] = {1, 2, 4, 8};
	uint64_t dr7 = 0x400, at = S_DATA + 0x1fc0 + below(g, 0x80);

	if (kind == 2)
		kind = 1;
	if (!kind && (g->mode->real || percent(g, 50)))
		kind = 3;
	if (!kind) {
		len = 0;
		at = S_CODE + g->len + below(g, 40);
	}
	if (percent(g, 75))
		dr7 |= 1ull << 2 * n | (kind | (uint64_t)code[len] << 2) << (16 + 4 * n);
	s_mov_imm(g, RDI, at & ~(uint64_t)(bytes[len] - 1));
	s_mov_imm(g, RSI, dr7);
	service(g, n ? SERVICE_DR1 : SERVICE_DR0);
}

/* ---- exceptions */

/* All that faults here is two bytes long. */
static void faults(struct s_guest *g)
{
	unsigned k = below(g, 4);

	if (k == 0 && g->mode->bits != 64) {
		s_begin(g), s_bytes(g, "\xd4\x00", 2); /* aam 0 */
	} else if (k == 1 && g->mode->cpl) {
		s_begin(g), s_bytes(g, "\xf4\x90", 2); /* hlt */
	} else if (k == 2 && !g->mode->real) {
		s_mov_imm(g, RCX, 0x1f8);
		s_begin(g), s_bytes(g, "\x8e\xd9", 2); /* mov ds, cx */
	} else {
		s_begin(g), s_bytes(g, "\xb1\x00", 2);
		s_begin(g), s_bytes(g, "\xf6\xf1", 2); /* div cl */
	}
}

static void traps(struct s_guest *g)
{
	static const char v[][3] = {"\xcc", "\xf1", "\xcd\x03", "\xcd\x02", "\xcd\x01", "\xce"};
	unsigned k = below(g, g->mode->bits == 64 ? 5 : 6);

	s_hot(g);
	s_begin(g);
	s_bytes(g, v[k], k >= 2 && k <= 4 ? 2 : 1);
	s_hot(g);
}

static void flag_tf(struct s_guest *g, bool on)
{
	s_begin(g), s_byte(g, 0x9c);
	s_begin(g), s_byte(g, g->mode->bits == 16 ? 0x67 : 0x66);
	s_bytes(g, on ? "\x81\x0c\x24\x00\x01" : "\x81\x24\x24\xff\xfe", 5);
	s_begin(g), s_byte(g, 0x9d);
}

/* ---- code that changes, and odd places to execute at */

/* A counter in memory; n rounds of what stands between the two. */
static unsigned loop_begin(struct s_guest *g, unsigned n, size_t *back)
{
	struct s_operand m;
	struct s_insn_spec i = {.size = 1, .op = 0xc6, .imm_len = 1, .imm = n};
	unsigned id = g->n_loops++;

	if (!s_operand_make(g, S_LOOPS + id, 1, &m))
		return id;
	s_emit_mem(g, &i, &m);
	*back = g->len;
	return id;
}

static void loop_end(struct s_guest *g, unsigned id, size_t back)
{
	struct s_operand m;
	struct s_insn_spec i = {.size = 1, .op = 0xfe, .reg = 1};
	unsigned n = g->mode->bits == 16 ? 2 : 4;

	if (!s_operand_make(g, S_LOOPS + id, 1, &m))
		return;
	s_emit_mem(g, &i, &m);
	s_begin(g);
	s_bytes(g, "\x0f\x85", 2);
	s_le(g, back - (g->len + n), n);
}

/* An instruction that is written to in a loop: its immediate, or a NOP that becomes INT3 and back. */
static void selfmod(struct s_guest *g)
{
	struct s_operand m;
	bool flips = percent(g, 50);
	struct s_insn_spec i = {.size = 1,
				.op = flips ? 0x80u : 0xc6u,
				.reg = flips ? 6 : 0,
				.imm_len = 1,
				.imm = flips ? 0x90 ^ 0xcc : below(g, 256)};
	size_t back = g->len, at;
	unsigned id = loop_begin(g, 1 + below(g, 3), &back);

	at = g->len;
	s_begin(g);
	s_bytes(g, flips ? "\x90" : "\xb2\x11", flips ? 1 : 2);
	if (!s_operand_make(g, S_CODE + at + !flips, 1, &m))
		return;
	s_emit_mem(g, &i, &m);
	loop_end(g, id, back);
}

static void middle(struct s_guest *g)
{
	unsigned k = below(g, 3);

	if (k == 0) { /* loop to itself */
		s_mov_imm(g, RCX, 1 + below(g, 4));
		s_hot(g);
		s_begin(g), s_bytes(g, "\xe2\xfe", 2);
		return;
	}
	s_begin(g), s_bytes(g, "\xeb\x01", 2);
	s_begin(g), s_byte(g, k == 1 ? 0xf3 : 0x66);
	s_begin(g), s_bytes(g, "\x90", 1);
}

/* ---- all of it */

static void count_up(struct s_guest *g)
{
	s_begin(g);
	if (g->mode->bits == 64)
		s_bytes(g, "\x48\xff\xc5", 3);
	else
		s_byte(g, 0x45);
}

/* What may stand in a subroutine or a loop. */
static void simple(struct s_guest *g)
{
	unsigned k = below(g, 12);

	if (k == 0 && g->classes & S_SSE)
		sse(g);
	else if (k <= 2 && g->classes & S_STRING)
		string(g);
	else if (k == 3 && g->classes & S_BITS)
		bits(g);
	else if (k == 4 && g->classes & S_STACKS)
		stack(g);
	else if (k == 5)
		count_up(g);
	else
		memory(g);
}

static void piece(struct s_guest *g)
{
	static void (*const of[S_CLASSES])(struct s_guest *) = {
	    [0] = memory,   [1] = string, [2] = stack,	[3] = bits,  [4] = sse,
	    [5] = tables,   [6] = calls,  [7] = faults, [8] = traps, [10] = debug_registers,
	    [11] = selfmod, [12] = ports, [14] = middle};
	unsigned k = below(g, S_CLASSES + 4);
	size_t back = g->len;

	if (k >= S_CLASSES + 2) {
		simple(g);
	} else if (k >= S_CLASSES) {
		unsigned id = loop_begin(g, 2 + below(g, 3), &back);
		simple(g);
		count_up(g);
		loop_end(g, id, back);
	} else if (k == 9 && g->classes & S_TF) {
		flag_tf(g, true);
		for (unsigned i = 1 + below(g, 3); i; i--)
			simple(g);
		flag_tf(g, false);
	} else if (g->classes & 1u << k && of[k]) {
		of[k](g);
	} else {
		simple(g);
	}
}

static void subroutines(struct s_guest *g)
{
	size_t jump = g->len + 1;

	s_begin(g);
	s_byte(g, 0xe9);
	s_le(g, 0, g->mode->bits == 16 ? 2 : 4);
	g->moves = true;
	for (g->n_subs = 0; g->n_subs < 3; g->n_subs++) {
		uint32_t at = (uint32_t)g->len;

		for (unsigned i = 1 + below(g, 3); i; i--)
			simple(g);
		count_up(g);
		s_begin(g);
		s_byte(g, 0xc3);
		g->sub[g->n_subs].at = at;
		g->sub[g->n_subs].len = (uint32_t)g->len - at;
	}
	g->moves = false;
	uint64_t over = g->len - (jump + (g->mode->bits == 16 ? 2 : 4));
	memcpy(g->ram + S_CODE + jump, &over, g->mode->bits == 16 ? 2 : 4);
	static const uint32_t also[] = {S_LATE_FRAMES + 0x2000, S_SWITCH_FRAMES + 0x1000, S_SWITCH_FRAMES + 0x3000};
	for (unsigned i = 0; i < ARRAY_LEN(also); i++)
		memcpy(g->ram + also[i], g->ram + S_CODE, g->len);
}

void s_code_make(struct s_guest *g)
{
	unsigned pieces = 6 + below(g, 24);

	subroutines(g);
	for (unsigned i = 0; i < pieces && g->len < S_CODE_MAX - 300; i++) {
		piece(g);
		if (percent(g, 30))
			count_up(g);
	}
	service(g, SERVICE_END);
}
