/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Instructions as bytes, for code of 16, 32 and 64 bits.
 */
#include "tests/agree/stops/stops.h"

void s_byte(struct s_guest *g, unsigned b)
{
	if (g->len < S_CODE_MAX)
		g->ram[S_CODE + g->len++] = (uint8_t)b;
}

void s_bytes(struct s_guest *g, const char *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		s_byte(g, (uint8_t)b[i]);
}

void s_le(struct s_guest *g, uint64_t v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		s_byte(g, (uint8_t)(v >> 8 * i));
}

void s_begin(struct s_guest *g)
{
	if (g->n_insns < S_INSNS_MAX)
		g->insn[g->n_insns++] = (uint32_t)g->len;
}

void s_opsize(struct s_guest *g, unsigned size)
{
	if (size == (g->mode->bits == 16 ? 4 : 2))
		s_byte(g, 0x66);
}

void s_mov_imm(struct s_guest *g, unsigned reg, uint64_t v)
{
	s_begin(g);
	if (g->mode->bits == 16)
		s_byte(g, 0x66);
	if (g->mode->bits == 64 && (reg >= 8 || v >> 32))
		s_byte(g, (v >> 32 ? 0x48u : 0x40u) | reg >> 3);
	s_byte(g, 0xb8 | (reg & 7));
	s_le(g, v, g->mode->bits == 64 && v >> 32 ? 8 : 4);
}

void s_hot(struct s_guest *g)
{
	if (g->n_hot < S_INSNS_MAX)
		g->hot[g->n_hot++] = (uint32_t)g->len;
}

uint64_t s_any_data(struct s_guest *g, unsigned len)
{
	struct rng *r = &g->rng;
	unsigned k = rng_below(r, 100);
	uint64_t page = S_DATA + 0x1000ull * rng_below(r, S_DATA_PAGES), off = rng_below(r, 0x1000);

	/* Most accesses go to few places, where watches are likely. */
	if (k < 60) {
		page = S_DATA + 0x1000;
		off = 0xfc0 + rng_below(r, 0x80);
	} else if (k < 68 && s_paged(g) && g->mode->bits != 16) {
		page = S_ALIAS_DATA + 0x1000;
		off = 0xfc0 + rng_below(r, 0x80);
	} else if (k < 74 && s_paged(g) && g->mode->bits != 16) {
		page = rng_percent(r, 50) ? S_SWITCH : S_ALIAS_DATA + 0x1000ull * rng_below(r, S_DATA_PAGES);
	} else if (k < 80 && g->classes & S_FAULTS && s_paged(g) && g->mode->bits != 16) {
		page = S_LATE + 0x1000ull * rng_below(r, 2);
		off = rng_percent(r, 30) ? 0x1000 - rng_below(r, len + 1) : off;
	} else if (k < 90 && g->classes & S_DEVICE) {
		page = S_MMIO;
		off = rng_below(r, 0x40);
	}
	if (page == S_SWITCH && off + len > 0x1000)
		off = 0x1000 - len;
	if (page + off + len > S_DATA + S_DATA_PAGES * 0x1000 && page < S_ALIAS_CODE)
		off = 0;
	return page + off;
}

/* ---- operands in memory */

static uint64_t base_of(const struct s_guest *g, unsigned seg)
{
	return g->mode->bits == 64 && seg != SEG_FS && seg != SEG_GS ? 0 : g->r.seg[seg].base;
}

static bool choose_segment(struct s_guest *g, uint64_t linear, unsigned len, struct s_operand *o)
{
	static const uint8_t order[] = {SEG_DS, SEG_ES, SEG_SS, SEG_FS, SEG_GS};
	static const uint8_t prefix[SEG_COUNT] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};
	unsigned first = rng_percent(&g->rng, 60) ? 0 : rng_below(&g->rng, 5);

	for (unsigned i = 0; i < 5; i++) {
		unsigned seg = order[(first + i) % 5];
		uint64_t off = linear - base_of(g, seg);
		if (linear < base_of(g, seg) || (g->mode->bits == 16 && off + len > 0x10000))
			continue;
		o->seg = seg;
		o->prefix = seg == SEG_DS ? 0 : prefix[seg];
		o->target = off;
		return true;
	}
	return false;
}

static void put_disp(struct s_operand *o, uint64_t v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		o->modrm[o->n++] = (uint8_t)(v >> 8 * i);
}

static void operand16(struct s_guest *g, struct s_operand *o)
{
	static const struct {
		uint8_t rm, a, b;
	} how[] = {{7, RBX, RBX}, {4, RSI, RSI}, {5, RDI, RDI}, {0, RBX, RSI}, {1, RBX, RDI}};
	unsigned k = rng_below(&g->rng, 6), mod = rng_below(&g->rng, 3);
	uint64_t disp = mod == 1 ? (uint64_t)(int64_t)(int8_t)rng_next(&g->rng) : mod == 2 ? (uint16_t)rng_next(&g->rng) : 0;

	if (k == 5) {
		o->modrm[o->n++] = 6;
		put_disp(o, o->target, 2);
		return;
	}
	uint64_t other = how[k].a != how[k].b ? rng_below(&g->rng, 0x100) : 0;
	if (how[k].a != how[k].b)
		s_mov_imm(g, how[k].b, other);
	/* The upper half does not count. */
	s_mov_imm(g, how[k].a, ((o->target - other - disp) & 0xffff) | (rng_percent(&g->rng, 30) ? 0x5a0000 : 0));
	o->modrm[o->n++] = (uint8_t)(mod << 6 | how[k].rm);
	put_disp(o, disp, mod);
}

static unsigned address_register(struct s_guest *g)
{
	static const uint8_t reg[] = {RBX, RSI, RDI, RAX, R8, R9, R12, R13, R15};

	return reg[rng_below(&g->rng, g->mode->bits == 64 ? 9 : 4)];
}

static void operand32(struct s_guest *g, struct s_operand *o)
{
	unsigned mod = rng_below(&g->rng, 3), base = address_register(g), index = address_register(g),
		 scale = rng_below(&g->rng, 4);
	bool sib = rng_percent(&g->rng, 40) || (base & 7) == 4;
	uint64_t disp = mod == 1   ? (uint64_t)(int64_t)(int8_t)rng_next(&g->rng)
			: mod == 2 ? rng_below(&g->rng, 0x8000)
				   : 0,
		 other = 0;

	if (!g->moves && rng_percent(&g->rng, 15)) { /* in 64-bit code relative to rip */
		o->rip = g->mode->bits == 64 && !o->addr_prefix;
		o->modrm[o->n++] = o->rip || g->mode->bits != 64 ? 5 : 4;
		if (!o->rip && g->mode->bits == 64)
			o->modrm[o->n++] = 0x25;
		put_disp(o, o->target, 4);
		return;
	}
	if ((base & 7) == 5 && !mod)
		base = RBX;
	sib |= (base & 7) == 4;
	if (sib && index != base) {
		other = rng_below(&g->rng, 0x200);
		s_mov_imm(g, index, other);
	} else {
		index = 4;
	}
	s_mov_imm(g, base,
		  g->mode->bits == 64 && !o->addr_prefix ? o->target - (other << scale) - disp
							 : (uint32_t)(o->target - (other << scale) - disp));
	o->rex_b = base >= 8;
	o->rex_x = sib && index >= 8;
	o->modrm[o->n++] = (uint8_t)(mod << 6 | (sib ? 4 : (base & 7)));
	if (sib)
		o->modrm[o->n++] = (uint8_t)(scale << 6 | (index & 7) << 3 | (base & 7));
	put_disp(o, disp, mod == 2 ? 4 : mod);
}

bool s_operand_make(struct s_guest *g, uint64_t linear, unsigned len, struct s_operand *out)
{
	*out = (struct s_operand){.n = 0};
	if (!choose_segment(g, linear, len, out))
		return false;
	if (g->mode->bits != 32)
		out->addr_prefix = rng_percent(&g->rng, 15);
	if (g->mode->bits == 16 && !out->addr_prefix)
		operand16(g, out);
	else
		operand32(g, out);
	return true;
}

void s_emit_mem(struct s_guest *g, const struct s_insn_spec *i, const struct s_operand *m)
{
	bool wide = i->size == 8;

	s_hot(g);
	s_begin(g);
	if (m->prefix)
		s_byte(g, m->prefix);
	if (m->addr_prefix)
		s_byte(g, 0x67);
	if (!wide && i->size > 1)
		s_opsize(g, i->size);
	if (i->prefix)
		s_byte(g, i->prefix);
	if (g->mode->bits == 64 && (wide || i->reg >= 8 || m->rex_x || m->rex_b))
		s_byte(g, 0x40u | wide << 3 | (i->reg >> 3) << 2 | (unsigned)m->rex_x << 1 | m->rex_b);
	for (int shift = 16; shift >= 0; shift -= 8)
		if (i->op >> shift || !shift)
			s_byte(g, i->op >> shift & 0xff);
	s_byte(g, m->modrm[0] | (i->reg & 7) << 3);
	if (m->rip) {
		uint64_t end = S_CODE + g->len + 4 + i->imm_len;
		s_le(g, m->target - end, 4);
	} else {
		s_bytes(g, (const char *)m->modrm + 1, m->n - 1);
	}
	s_le(g, i->imm, i->imm_len);
	s_hot(g);
}
