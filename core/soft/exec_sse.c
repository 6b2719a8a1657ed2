/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * SSE and SSE2 as compilers use them for memory and integers: moves, logic, packed integer arithmetic, comparisons,
 * shuffles. One handler reads both operands, computes, writes; which operation stands in uop.cond. Floating-point arithmetic
 * is none of this CPU's.
 */
#include "core/soft/exec.h"
#include "core/soft/sse.h"

/* What the destination gets from destination d and source s (16 bytes each), imm is the immediate. */
typedef void sse_fn(uint8_t *d, const uint8_t *s, unsigned imm);

#define LANES(NAME, T, EXPR)                                                                                                \
	static void NAME(uint8_t *d, const uint8_t *s, unsigned imm)                                                        \
	{                                                                                                                   \
		(void)imm;                                                                                                  \
		for (unsigned i = 0; i < 16 / sizeof(T); i++) {                                                             \
			T a, b;                                                                                             \
			memcpy(&a, d + i * sizeof(T), sizeof(T));                                                           \
			memcpy(&b, s + i * sizeof(T), sizeof(T));                                                           \
			a = (T)(EXPR);                                                                                      \
			memcpy(d + i * sizeof(T), &a, sizeof(T));                                                           \
		}                                                                                                           \
	}

LANES(f_and, uint64_t, a &b)
LANES(f_andn, uint64_t, ~a &b)
LANES(f_or, uint64_t, a | b)
LANES(f_xor, uint64_t, a ^ b)
LANES(f_addb, uint8_t, a + b)
LANES(f_addw, uint16_t, a + b)
LANES(f_addd, uint32_t, a + b)
LANES(f_addq, uint64_t, a + b)
LANES(f_subb, uint8_t, a - b)
LANES(f_subw, uint16_t, a - b)
LANES(f_subd, uint32_t, a - b)
LANES(f_subq, uint64_t, a - b)
LANES(f_eqb, uint8_t, a == b ? 0xff : 0)
LANES(f_eqw, uint16_t, a == b ? 0xffff : 0)
LANES(f_eqd, uint32_t, a == b ? ~0u : 0)
LANES(f_gtb, int8_t, a > b ? -1 : 0)
LANES(f_gtw, int16_t, a > b ? -1 : 0)
LANES(f_gtd, int32_t, a > b ? -1 : 0)
LANES(f_minub, uint8_t, a < b ? a : b)
LANES(f_maxub, uint8_t, a > b ? a : b)
LANES(f_minsw, int16_t, a < b ? a : b)
LANES(f_maxsw, int16_t, a > b ? a : b)
LANES(f_mullw, int16_t, (uint32_t)a *(uint32_t)b)
LANES(f_avgb, uint8_t, (a + b + 1) >> 1)

/* Shifts by a count that is the source's low quadword or the immediate (then s is 16 bytes with the count). */
static uint64_t count_of(const uint8_t *s)
{
	uint64_t n;

	memcpy(&n, s, 8);
	return n;
}
#define SHIFT(NAME, T, EXPR)                                                                                                \
	static void NAME(uint8_t *d, const uint8_t *s, unsigned imm)                                                        \
	{                                                                                                                   \
		uint64_t n = count_of(s);                                                                                   \
		(void)imm;                                                                                                  \
		for (unsigned i = 0; i < 16 / sizeof(T); i++) {                                                             \
			T a;                                                                                                \
			memcpy(&a, d + i * sizeof(T), sizeof(T));                                                           \
			a = (T)(EXPR);                                                                                      \
			memcpy(d + i * sizeof(T), &a, sizeof(T));                                                           \
		}                                                                                                           \
	}
SHIFT(f_sllw, uint16_t, n > 15 ? 0 : a << n)
SHIFT(f_slld, uint32_t, n > 31 ? 0 : a << n)
SHIFT(f_sllq, uint64_t, n > 63 ? 0 : a << n)
SHIFT(f_srlw, uint16_t, n > 15 ? 0 : a >> n)
SHIFT(f_srld, uint32_t, n > 31 ? 0 : a >> n)
SHIFT(f_srlq, uint64_t, n > 63 ? 0 : a >> n)
SHIFT(f_sraw, int16_t, a >> (n > 15 ? 15 : n))
SHIFT(f_srad, int32_t, a >> (n > 31 ? 31 : n))

static void f_slldq(uint8_t *d, const uint8_t *s, unsigned imm)
{
	uint64_t n = count_of(s) > 15 ? 16 : count_of(s);

	(void)imm;
	memmove(d + n, d, 16 - n);
	memset(d, 0, n);
}

static void f_srldq(uint8_t *d, const uint8_t *s, unsigned imm)
{
	uint64_t n = count_of(s) > 15 ? 16 : count_of(s);

	(void)imm;
	memmove(d, d + n, 16 - n);
	memset(d + 16 - n, 0, n);
}

/* Interleave lanes of `size` bytes from the low or the high halves. */
static void unpack(uint8_t *d, const uint8_t *s, unsigned size, unsigned from)
{
	uint8_t r[16];

	for (unsigned i = 0; i < 8 / size; i++) {
		memcpy(r + 2 * i * size, d + from + i * size, size);
		memcpy(r + (2 * i + 1) * size, s + from + i * size, size);
	}
	memcpy(d, r, 16);
}
#define UNPACK(NAME, SIZE, FROM)                                                                                            \
	static void NAME(uint8_t *d, const uint8_t *s, unsigned imm)                                                        \
	{                                                                                                                   \
		(void)imm;                                                                                                  \
		unpack(d, s, SIZE, FROM);                                                                                   \
	}
UNPACK(f_unpcklbw, 1, 0)
UNPACK(f_unpcklwd, 2, 0)
UNPACK(f_unpckldq, 4, 0)
UNPACK(f_unpcklqdq, 8, 0)
UNPACK(f_unpckhbw, 1, 8)
UNPACK(f_unpckhwd, 2, 8)
UNPACK(f_unpckhdq, 4, 8)
UNPACK(f_unpckhqdq, 8, 8)

static void f_packuswb(uint8_t *d, const uint8_t *s, unsigned imm)
{
	uint8_t r[16];

	(void)imm;
	for (unsigned i = 0; i < 16; i++) {
		int16_t v;
		memcpy(&v, i < 8 ? d + 2 * i : s + 2 * (i - 8), 2);
		r[i] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
	}
	memcpy(d, r, 16);
}

static void f_shufd(uint8_t *d, const uint8_t *s, unsigned imm)
{
	uint8_t r[16];

	for (unsigned i = 0; i < 4; i++)
		memcpy(r + 4 * i, s + 4 * (imm >> 2 * i & 3), 4);
	memcpy(d, r, 16);
}

static void shuffle_words(uint8_t *d, const uint8_t *s, unsigned imm, unsigned at)
{
	uint8_t r[16];

	memcpy(r, s, 16);
	for (unsigned i = 0; i < 4; i++)
		memcpy(r + at + 2 * i, s + at + 2 * (imm >> 2 * i & 3), 2);
	memcpy(d, r, 16);
}

static void f_shuflw(uint8_t *d, const uint8_t *s, unsigned imm)
{
	shuffle_words(d, s, imm, 0);
}

static void f_shufhw(uint8_t *d, const uint8_t *s, unsigned imm)
{
	shuffle_words(d, s, imm, 8);
}

static void f_shufps(uint8_t *d, const uint8_t *s, unsigned imm)
{
	uint8_t r[16];

	for (unsigned i = 0; i < 4; i++)
		memcpy(r + 4 * i, (i < 2 ? d : s) + 4 * (imm >> 2 * i & 3), 4);
	memcpy(d, r, 16);
}

static void f_shufpd(uint8_t *d, const uint8_t *s, unsigned imm)
{
	uint8_t r[16];

	memcpy(r, d + 8 * (imm & 1), 8);
	memcpy(r + 8, s + 8 * (imm >> 1 & 1), 8);
	memcpy(d, r, 16);
}

static void f_muludq(uint8_t *d, const uint8_t *s, unsigned imm)
{
	(void)imm;
	for (unsigned i = 0; i < 2; i++) {
		uint32_t a, b;
		memcpy(&a, d + 8 * i, 4);
		memcpy(&b, s + 8 * i, 4);
		uint64_t p = (uint64_t)a * b;
		memcpy(d + 8 * i, &p, 8);
	}
}

static sse_fn *const packed[] = {
#define X(insn, name) f_##name,
    SSE_PACKED(X)
#undef X
};

/* ---- running them */

/* An address that is not canonical has a fault of its own, which comes first. */
static int check_alignment_16(struct soft_cpu *c, uint64_t lin, bool must)
{
	if (!must || !(lin & 15) || (c->code_bits == 64 && !paging_canonical(&c->pg, lin)))
		return 0;
	soft_raise_error(c, 13, 0);
	return -1;
}

/* Packed operation: cond names it, dst and src are xmm numbers, rep tells that the count is the immediate. */
const struct uop *op_sse(struct soft_cpu *c, const struct uop *u)
{
	uint8_t s[16] = {0};
	uint64_t lin;

	if (!soft_sse_usable(c))
		return NULL;
	if (u->mem_src) {
		if (exec_lea(c, u, 16, false, &lin) || check_alignment_16(c, lin, true) || soft_read(c, lin, 16, s))
			return NULL;
	} else if (u->rep) {
		s[0] = (uint8_t)u->imm;
	} else {
		memcpy(s, c->r.fpu.xmm[u->src], 16);
	}
	packed[u->cond](c->r.fpu.xmm[u->dst], s, (unsigned)u->imm);
	return u + 1;
}

/* Moves between xmm and memory or xmm: opsize bytes, cond is enum sse_move, lock tells that memory must be aligned. */
const struct uop *op_sse_load(struct soft_cpu *c, const struct uop *u)
{
	uint8_t s[16] = {0}, *d = c->r.fpu.xmm[u->dst];
	unsigned size = u->opsize;
	uint64_t lin;

	if (!soft_sse_usable(c))
		return NULL;
	if (u->mem_src) {
		if (exec_lea(c, u, size, false, &lin) || check_alignment_16(c, lin, u->lock) || soft_read(c, lin, size, s))
			return NULL;
	} else {
		memcpy(s, c->r.fpu.xmm[u->src], 16);
	}
	if (u->cond == MOVE_HIGH_TO_LOW)
		memcpy(s, s + 8, 8);
	if (u->cond == MOVE_HIGH) {
		memcpy(d + 8, s, 8);
		return u + 1;
	}
	if (u->cond == MOVE_LOW_ZERO)
		memset(d, 0, 16);
	memcpy(d, s, u->cond == MOVE_ALL ? 16 : size);
	return u + 1;
}

const struct uop *op_sse_store(struct soft_cpu *c, const struct uop *u)
{
	const uint8_t *s = c->r.fpu.xmm[u->src] + (u->cond == MOVE_HIGH ? 8 : 0);
	uint64_t lin;

	if (!soft_sse_usable(c) || exec_lea(c, u, u->opsize, true, &lin) || check_alignment_16(c, lin, u->lock) ||
	    soft_write(c, lin, u->opsize, s))
		return NULL;
	return u + 1;
}

/* MOVD and MOVQ between xmm and general registers or memory; rep: towards the general side. */
const struct uop *op_sse_gpr(struct soft_cpu *c, const struct uop *u)
{
	uint64_t v = 0;

	if (!soft_sse_usable(c))
		return NULL;
	if (u->rep) {
		memcpy(&v, c->r.fpu.xmm[u->src], u->opsize);
		return dst_write(c, u, u->opsize, false, v) ? NULL : u + 1;
	}
	if (src_read(c, u, u->opsize, &v))
		return NULL;
	memset(c->r.fpu.xmm[u->dst], 0, 16);
	memcpy(c->r.fpu.xmm[u->dst], &v, 8);
	return u + 1;
}

const struct uop *op_movmsk(struct soft_cpu *c, const struct uop *u)
{
	const uint8_t *s = c->r.fpu.xmm[u->src];
	uint64_t mask = 0;

	if (!soft_sse_usable(c))
		return NULL;
	for (unsigned i = 0; i < 16; i += u->cond)
		mask |= (uint64_t)(s[i + u->cond - 1] >> 7) << i / u->cond;
	reg_write(c, u->dst, 4, mask);
	return u + 1;
}

const struct uop *op_movnti(struct soft_cpu *c, const struct uop *u)
{
	return exec_store(c, u, u->opsize, reg_read(c, u->src, u->opsize)) ? NULL : u + 1;
}
