/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Shifts and rotates, multiplication and division, bits. Intel SDM vol. 2 for each; flags that the manual leaves undefined
 * are left as the operation finds them, except if hardware is known to agree on something.
 */
#include "core/soft/exec.h"
#include "core/soft/soft_impl.h"

/* ---- shifts and rotates; cond is the ModRM /r: 0 rol 1 ror 2 rcl 3 rcr 4 shl 5 shr 7 sar */

static void carry_overflow(struct soft_cpu *c, bool cf, bool of)
{
	flags_write(c, RFLAGS_CF | RFLAGS_OF, (cf ? RFLAGS_CF : 0) | (of ? RFLAGS_OF : 0));
}

static uint64_t rotate(struct soft_cpu *c, unsigned how, unsigned size, uint64_t a, unsigned n)
{
	unsigned bits = 8 * size, by = n % bits;
	uint64_t r = a;

	if (by)
		r = how == 0 ? a << by | a >> (bits - by) : a >> by | a << (bits - by);
	r &= size_mask(size);
	if (how == 0)
		carry_overflow(c, r & 1, sign_of(r, size) ^ (r & 1));
	else
		carry_overflow(c, sign_of(r, size), (r >> (bits - 1) ^ r >> (bits - 2)) & 1);
	return r;
}

static uint64_t rotate_carry(struct soft_cpu *c, unsigned how, unsigned size, uint64_t a, unsigned n)
{
	unsigned bits = 8 * size;
	bool cf = flag_cf(c);

	for (n %= bits + 1; n; n--) {
		bool out = how == 2 ? sign_of(a, size) : a & 1;
		a = how == 2 ? a << 1 | cf : a >> 1 | (uint64_t)cf << (bits - 1);
		a &= size_mask(size);
		cf = out;
	}
	carry_overflow(c, cf, how == 2 ? sign_of(a, size) ^ cf : (a >> (bits - 1) ^ a >> (bits - 2)) & 1);
	return a;
}

static uint64_t shift(struct soft_cpu *c, unsigned how, unsigned size, uint64_t a, unsigned n)
{
	unsigned bits = 8 * size;
	uint64_t r;
	bool cf;

	if (how == 4 || how == 6) {
		r = n < bits ? a << n : 0;
		cf = n <= bits && (a >> (bits - n) & 1);
		flags_result(c, size, r, cf, sign_of(r, size) ^ cf);
	} else if (how == 5) {
		r = n < bits ? a >> n : 0;
		cf = n <= bits && (a >> (n - 1) & 1);
		flags_result(c, size, r, cf, sign_of(a, size));
	} else {
		int64_t s = sign_extend(a, size);
		r = (uint64_t)(s >> (n < bits ? n : bits - 1)) & size_mask(size);
		cf = s >> (n <= bits ? n - 1 : bits - 1) & 1;
		flags_result(c, size, r, cf, false);
	}
	return r & size_mask(size);
}

const struct uop *op_shift(struct soft_cpu *c, const struct uop *u)
{
	unsigned n = (unsigned)(u->src == UOP_NO_REG ? u->imm : c->gpr[RCX]) & (u->opsize == 8 ? 63 : 31);
	uint64_t a, r, flags;

	if (dst_read(c, u, u->opsize, true, &a))
		return NULL;
	flags_settle(c);
	flags = c->eflags;
	r = a;
	if (n)
		r = u->cond < 2	  ? rotate(c, u->cond, u->opsize, a, n)
		    : u->cond < 4 ? rotate_carry(c, u->cond, u->opsize, a, n)
				  : shift(c, u->cond, u->opsize, a, n);
	if (dst_write(c, u, u->opsize, true, r)) {
		c->eflags = flags;
		return NULL;
	}
	return u + 1;
}

/* SHLD (cond 0) and SHRD (1). rep 1: the count is CL, else the immediate. A 16-bit count above 16 is undefined: what comes
 * in behind the source is the destination once more, or by the machine's habit the source. */
const struct uop *op_shiftd(struct soft_cpu *c, const struct uop *u)
{
	unsigned size = u->opsize, bits = 8 * size;
	unsigned n = (unsigned)(u->rep ? c->gpr[RCX] : u->imm) & (size == 8 ? 63 : 31);
	uint64_t a, b = reg_read(c, u->src, size), r;
	bool cf;

	if (dst_read(c, u, size, true, &a))
		return NULL;
	if (!n) /* memory is written all the same */
		return dst_write(c, u, size, true, a) ? NULL : u + 1;
	if (size == 2 && n > 16) {
		uint64_t behind = c->m->habits.shiftd_source ? b : a;
		r = u->cond ? (behind << 16 | b) >> (n - 16) : (b << 16 | behind) << (n - 16) >> 16;
		cf = u->cond ? b >> (n - 17) & 1 : b >> (32 - n) & 1;
	} else if (u->cond) {
		r = a >> n | b << (bits - n);
		cf = a >> (n - 1) & 1;
	} else {
		r = a << n | b >> (bits - n);
		cf = a >> (bits - n) & 1;
	}
	r &= size_mask(size);
	if (dst_write(c, u, size, true, r))
		return NULL;
	flags_result(c, size, r, cf, sign_of(a, size) != sign_of(r, size));
	return u + 1;
}

/* ---- multiplication and division */

typedef unsigned __int128 u128;
typedef __int128 s128;

static void store_pair(struct soft_cpu *c, unsigned size, uint64_t lo, uint64_t hi)
{
	if (size == 1) {
		reg_write(c, 8 * RAX, 2, (lo & 0xff) | hi << 8);
		return;
	}
	reg_write(c, 8 * RAX, size, lo);
	reg_write(c, 8 * RDX, size, hi);
}

const struct uop *op_mul(struct soft_cpu *c, const struct uop *u)
{
	uint64_t b;

	if (src_read(c, u, u->opsize, &b))
		return NULL;
	u128 p = (u128)reg_read(c, 8 * RAX, u->opsize) * b;
	uint64_t hi = (uint64_t)(p >> 8 * u->opsize) & size_mask(u->opsize);
	store_pair(c, u->opsize, (uint64_t)p, hi);
	flags_result(c, u->opsize, (uint64_t)p, hi, hi);
	return u + 1;
}

const struct uop *op_imul1(struct soft_cpu *c, const struct uop *u)
{
	uint64_t b;

	if (src_read(c, u, u->opsize, &b))
		return NULL;
	s128 p = (s128)sign_extend(reg_read(c, 8 * RAX, u->opsize), u->opsize) * sign_extend(b, u->opsize);
	bool over = p != sign_extend((uint64_t)p & size_mask(u->opsize), u->opsize);
	store_pair(c, u->opsize, (uint64_t)p, (uint64_t)(p >> 8 * u->opsize) & size_mask(u->opsize));
	flags_result(c, u->opsize, (uint64_t)p, over, over);
	return u + 1;
}

/* Two and three operands: cond 1 if the immediate is the second factor. */
const struct uop *op_imul2(struct soft_cpu *c, const struct uop *u)
{
	uint64_t a = u->cond ? u->imm : reg_read(c, u->dst, u->opsize), b;

	if (src_read(c, u, u->opsize, &b))
		return NULL;
	s128 p = (s128)sign_extend(a, u->opsize) * sign_extend(b, u->opsize);
	bool over = p != sign_extend((uint64_t)p & size_mask(u->opsize), u->opsize);
	reg_write(c, u->dst, u->opsize, (uint64_t)p);
	flags_result(c, u->opsize, (uint64_t)p, over, over);
	return u + 1;
}

static u128 dividend(const struct soft_cpu *c, unsigned size)
{
	if (size == 1)
		return reg_read(c, 8 * RAX, 2);
	return (u128)reg_read(c, 8 * RDX, size) << 8 * size | reg_read(c, 8 * RAX, size);
}

const struct uop *op_div(struct soft_cpu *c, const struct uop *u)
{
	u128 n = dividend(c, u->opsize);
	uint64_t d;

	if (src_read(c, u, u->opsize, &d))
		return NULL;
	if (!d || n / d > size_mask(u->opsize))
		return soft_raise(c, 0);
	store_pair(c, u->opsize, (uint64_t)(n / d), (uint64_t)(n % d));
	return u + 1;
}

const struct uop *op_idiv(struct soft_cpu *c, const struct uop *u)
{
	unsigned bits = 16 * u->opsize;
	s128 n = (s128)(dividend(c, u->opsize) << (128 - bits)) >> (128 - bits), q;
	int64_t d;
	uint64_t raw;

	if (src_read(c, u, u->opsize, &raw))
		return NULL;
	d = sign_extend(raw, u->opsize);
	if (!d || (d == -1 && n == (s128)((u128)1 << 127)))
		return soft_raise(c, 0);
	q = n / d;
	if (q != sign_extend((uint64_t)q & size_mask(u->opsize), u->opsize))
		return soft_raise(c, 0);
	store_pair(c, u->opsize, (uint64_t)q, (uint64_t)(n % d) & size_mask(u->opsize));
	return u + 1;
}

/* ---- bits; cond: 0 bt 1 bts 2 btr 3 btc. A register bit index on memory reaches beyond the operand. */

static uint64_t with_bit(uint64_t v, unsigned how, unsigned bit)
{
	uint64_t m = 1ull << bit;

	return how == 1 ? v | m : how == 2 ? v & ~m : how == 3 ? v ^ m : v;
}

const struct uop *op_bit(struct soft_cpu *c, const struct uop *u)
{
	unsigned size = u->opsize, bits = 8 * size;
	uint64_t v;
	int64_t index = u->src == UOP_NO_REG ? (int64_t)(u->imm & (bits - 1)) : sign_extend(reg_read(c, u->src, size), size);
	struct uop at = *u;

	if (u->mem_dst && u->src != UOP_NO_REG)
		at.disp += (index >> (size == 8 ? 6 : size == 4 ? 5 : 4)) * (int64_t)size;
	unsigned bit = (unsigned)index & (bits - 1);
	if (dst_read(c, &at, size, u->cond, &v) || (u->cond && dst_write(c, &at, size, true, with_bit(v, u->cond, bit))))
		return NULL;
	flags_write(c, RFLAGS_CF, v >> bit & 1 ? RFLAGS_CF : 0);
	return u + 1;
}

/* A zero source leaves the destination as it is, as processors do. */
const struct uop *op_bsf(struct soft_cpu *c, const struct uop *u)
{
	uint64_t v;

	if (src_read(c, u, u->opsize, &v))
		return NULL;
	if (v)
		reg_write(c, u->dst, u->opsize, (uint64_t)__builtin_ctzll(v));
	flags_write(c, RFLAGS_ZF, v ? 0 : RFLAGS_ZF);
	return u + 1;
}

const struct uop *op_bsr(struct soft_cpu *c, const struct uop *u)
{
	uint64_t v;

	if (src_read(c, u, u->opsize, &v))
		return NULL;
	if (v)
		reg_write(c, u->dst, u->opsize, 63u - (uint64_t)__builtin_clzll(v));
	flags_write(c, RFLAGS_ZF, v ? 0 : RFLAGS_ZF);
	return u + 1;
}

const struct uop *op_popcnt(struct soft_cpu *c, const struct uop *u)
{
	uint64_t v;

	if (src_read(c, u, u->opsize, &v))
		return NULL;
	reg_write(c, u->dst, u->opsize, (uint64_t)__builtin_popcountll(v));
	flags_write(c, FLAGS_ARITH, v ? 0 : RFLAGS_ZF);
	return u + 1;
}

static const struct uop *count_zeros(struct soft_cpu *c, const struct uop *u, bool leading)
{
	unsigned bits = 8u * u->opsize;
	uint64_t v, n;

	if (src_read(c, u, u->opsize, &v))
		return NULL;
	n = !v ? bits : leading ? (uint64_t)__builtin_clzll(v) - (64 - bits) : (uint64_t)__builtin_ctzll(v);
	reg_write(c, u->dst, u->opsize, n);
	flags_write(c, RFLAGS_CF | RFLAGS_ZF, (n == bits ? RFLAGS_CF : 0) | (n ? 0 : RFLAGS_ZF));
	return u + 1;
}

const struct uop *op_tzcnt(struct soft_cpu *c, const struct uop *u)
{
	return count_zeros(c, u, false);
}

const struct uop *op_lzcnt(struct soft_cpu *c, const struct uop *u)
{
	return count_zeros(c, u, true);
}
