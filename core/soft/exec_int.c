/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Integer instructions beside plain arithmetic: moves with extension, exchanges, shifts, multiplication and division, bits,
 * conditionals. Intel SDM vol. 2 for each; flags that the manual leaves undefined are left as the operation finds them,
 * except where hardware is known to agree on something.
 */
#include "core/soft/exec.h"
#include "core/soft/soft_impl.h"

const struct uop *op_nop(struct soft_cpu *c, const struct uop *u)
{
	(void)c;
	return u + 1;
}

const struct uop *op_prefetch(struct soft_cpu *c, const struct uop *u)
{
	return op_nop(c, u);
}

/* Flushes nothing here, but asks for its byte as a load does. */
const struct uop *op_clflush(struct soft_cpu *c, const struct uop *u)
{
	uint64_t lin;

	return exec_lea(c, u, 1, false, &lin) || soft_probe_read(c, lin, 1) ? NULL : u + 1;
}

const struct uop *op_load_address(struct soft_cpu *c, const struct uop *u)
{
	reg_write(c, u->dst, u->opsize, exec_offset(c, u));
	return u + 1;
}

/* cond is the source's size. */
const struct uop *op_movzx(struct soft_cpu *c, const struct uop *u)
{
	uint64_t v;

	if (src_read(c, u, u->cond, &v))
		return NULL;
	reg_write(c, u->dst, u->opsize, v);
	return u + 1;
}

static int64_t sign_extend(uint64_t v, unsigned size)
{
	unsigned shift = 64 - 8 * size;

	return (int64_t)(v << shift) >> shift;
}

const struct uop *op_movsx(struct soft_cpu *c, const struct uop *u)
{
	uint64_t v;

	if (src_read(c, u, u->cond, &v))
		return NULL;
	reg_write(c, u->dst, u->opsize, (uint64_t)sign_extend(v, u->cond));
	return u + 1;
}

const struct uop *op_xchg(struct soft_cpu *c, const struct uop *u)
{
	uint64_t a, b = reg_read(c, u->src, u->opsize);

	if (dst_read(c, u, u->opsize, true, &a) || dst_write(c, u, u->opsize, true, b))
		return NULL;
	reg_write(c, u->src, u->opsize, a);
	return u + 1;
}

const struct uop *op_xadd(struct soft_cpu *c, const struct uop *u)
{
	uint64_t a, b = reg_read(c, u->src, u->opsize);

	if (dst_read(c, u, u->opsize, true, &a))
		return NULL;
	if (u->mem_dst) {
		if (dst_write(c, u, u->opsize, true, a + b))
			return NULL;
		reg_write(c, u->src, u->opsize, a);
	} else {
		reg_write(c, u->src, u->opsize, a);
		reg_write(c, u->dst, u->opsize, a + b);
	}
	flags_set(c, FLAGS_ADD, u->opsize, a, b, a + b, false);
	return u + 1;
}

/* The destination is written in any case: with what it had where it differs from the accumulator. */
const struct uop *op_cmpxchg(struct soft_cpu *c, const struct uop *u)
{
	uint64_t old, acc = reg_read(c, 8 * RAX, u->opsize);
	bool same;

	if (dst_read(c, u, u->opsize, true, &old))
		return NULL;
	same = old == acc;
	if (u->mem_dst && dst_write(c, u, u->opsize, true, same ? reg_read(c, u->src, u->opsize) : old))
		return NULL;
	if (!u->mem_dst && same)
		reg_write(c, u->dst, u->opsize, reg_read(c, u->src, u->opsize));
	if (!same)
		reg_write(c, 8 * RAX, u->opsize, old);
	flags_set(c, FLAGS_SUB, u->opsize, acc, old, acc - old, false);
	return u + 1;
}

/* opsize is that of one half: 4 or 8. */
const struct uop *op_cmpxchg8b(struct soft_cpu *c, const struct uop *u)
{
	unsigned half = u->opsize;
	uint8_t have[16], want[16];
	uint64_t lin;

	if (exec_lea(c, u, 2 * half, true, &lin))
		return NULL;
	if (half == 8 && (lin & 15))
		return soft_raise_error(c, 13, 0);
	if (soft_probe_rmw(c, lin, 2 * half))
		return NULL;
	exec_second(c);
	int rc = exec_done(c, soft_read(c, lin, 2 * half, have));
	c->rmw_emulated = false;
	if (rc)
		return NULL;
	memcpy(want, &c->gpr[RAX], half);
	memcpy(want + half, &c->gpr[RDX], half);
	bool same = !memcmp(have, want, 2 * half);
	if (same) {
		memcpy(want, &c->gpr[RBX], half);
		memcpy(want + half, &c->gpr[RCX], half);
	}
	if (soft_write(c, lin, 2 * half, same ? want : have))
		return NULL;
	if (!same) {
		uint64_t lo = 0, hi = 0;
		memcpy(&lo, have, half);
		memcpy(&hi, have + half, half);
		reg_write(c, 8 * RAX, half, lo);
		reg_write(c, 8 * RDX, half, hi);
	}
	flags_write(c, RFLAGS_ZF, same ? RFLAGS_ZF : 0);
	return u + 1;
}

/* ---- shifts and rotates; cond is the ModRM /r: 0 rol 1 ror 2 rcl 3 rcr 4 shl 5 shr 7 sar */

static void result_flags(struct soft_cpu *c, unsigned size, uint64_t r, bool cf, bool of)
{
	r &= size_mask(size);
	flags_write(c, FLAGS_ARITH & ~RFLAGS_AF,
		    (cf ? RFLAGS_CF : 0) | (of ? RFLAGS_OF : 0) | (r ? 0 : RFLAGS_ZF) | (sign_of(r, size) ? RFLAGS_SF : 0) |
			(__builtin_popcount(r & 0xff) & 1 ? 0 : RFLAGS_PF));
}

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
		result_flags(c, size, r, cf, sign_of(r, size) ^ cf);
	} else if (how == 5) {
		r = n < bits ? a >> n : 0;
		cf = n <= bits && (a >> (n - 1) & 1);
		result_flags(c, size, r, cf, sign_of(a, size));
	} else {
		int64_t s = sign_extend(a, size);
		r = (uint64_t)(s >> (n < bits ? n : bits - 1)) & size_mask(size);
		cf = s >> (n <= bits ? n - 1 : bits - 1) & 1;
		result_flags(c, size, r, cf, false);
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
	result_flags(c, size, r, cf, sign_of(a, size) != sign_of(r, size));
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
	result_flags(c, u->opsize, (uint64_t)p, hi, hi);
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
	result_flags(c, u->opsize, (uint64_t)p, over, over);
	return u + 1;
}

/* Two and three operands: cond 1 where the immediate is the second factor. */
const struct uop *op_imul2(struct soft_cpu *c, const struct uop *u)
{
	uint64_t a = u->cond ? u->imm : reg_read(c, u->dst, u->opsize), b;

	if (src_read(c, u, u->opsize, &b))
		return NULL;
	s128 p = (s128)sign_extend(a, u->opsize) * sign_extend(b, u->opsize);
	bool over = p != sign_extend((uint64_t)p & size_mask(u->opsize), u->opsize);
	reg_write(c, u->dst, u->opsize, (uint64_t)p);
	result_flags(c, u->opsize, (uint64_t)p, over, over);
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

/* ---- conditionals and the rest */

/* The source is read, and may fault, whatever the condition; a 32-bit destination is zero-extended in any case. */
const struct uop *op_cmov(struct soft_cpu *c, const struct uop *u)
{
	uint64_t v;

	if (src_read(c, u, u->opsize, &v))
		return NULL;
	if (!flags_cond(c, u->cond))
		v = reg_read(c, u->dst, u->opsize);
	reg_write(c, u->dst, u->opsize, v);
	return u + 1;
}

const struct uop *op_setcc(struct soft_cpu *c, const struct uop *u)
{
	return dst_write(c, u, 1, false, flags_cond(c, u->cond)) ? NULL : u + 1;
}

/* A 16-bit BSWAP is undefined; processors give zero. */
const struct uop *op_bswap(struct soft_cpu *c, const struct uop *u)
{
	uint64_t v = reg_read(c, u->dst, u->opsize);

	v = u->opsize == 8 ? __builtin_bswap64(v) : u->opsize == 4 ? __builtin_bswap32((uint32_t)v) : 0;
	reg_write(c, u->dst, u->opsize, v);
	return u + 1;
}

static uint64_t swap_bytes(uint64_t v, unsigned size)
{
	return size == 8   ? __builtin_bswap64(v)
	       : size == 4 ? __builtin_bswap32((uint32_t)v)
			   : __builtin_bswap16((uint16_t)v);
}

const struct uop *op_movbe(struct soft_cpu *c, const struct uop *u)
{
	uint64_t v;

	if (src_read(c, u, u->opsize, &v) || dst_write(c, u, u->opsize, false, swap_bytes(v, u->opsize)))
		return NULL;
	return u + 1;
}

/* CWD, CDQ, CQO: the accumulator's sign into the data register. */
const struct uop *op_cwd(struct soft_cpu *c, const struct uop *u)
{
	reg_write(c, 8 * RDX, u->opsize, sign_of(c->gpr[RAX], u->opsize) ? ~0ull : 0);
	return u + 1;
}

/* CBW, CWDE, CDQE: opsize is the result's. */
const struct uop *op_cbw(struct soft_cpu *c, const struct uop *u)
{
	reg_write(c, 8 * RAX, u->opsize, (uint64_t)sign_extend(reg_read(c, 8 * RAX, u->opsize / 2u), u->opsize / 2u));
	return u + 1;
}

#define LAHF_FLAGS (RFLAGS_SF | RFLAGS_ZF | RFLAGS_AF | RFLAGS_PF | RFLAGS_CF)

const struct uop *op_lahf(struct soft_cpu *c, const struct uop *u)
{
	flags_settle(c);
	reg_write(c, 8 * RAX + 1, 1, (c->eflags & LAHF_FLAGS) | RFLAGS_FIXED);
	return u + 1;
}

const struct uop *op_sahf(struct soft_cpu *c, const struct uop *u)
{
	flags_write(c, LAHF_FLAGS, reg_read(c, 8 * RAX + 1, 1));
	return u + 1;
}

/* cond: 0 clc 1 stc 2 cmc 3 cld 4 std */
const struct uop *op_flagop(struct soft_cpu *c, const struct uop *u)
{
	switch (u->cond) {
	case 0:
		flags_write(c, RFLAGS_CF, 0);
		break;
	case 1:
		flags_write(c, RFLAGS_CF, RFLAGS_CF);
		break;
	case 2:
		flags_settle(c);
		c->eflags ^= RFLAGS_CF;
		break;
	case 3:
		c->eflags &= ~RFLAGS_DF;
		break;
	default:
		c->eflags |= RFLAGS_DF;
	}
	return u + 1;
}

const struct uop *op_salc(struct soft_cpu *c, const struct uop *u)
{
	reg_write(c, 8 * RAX, 1, flag_cf(c) ? 0xff : 0);
	return u + 1;
}

const struct uop *op_xlat(struct soft_cpu *c, const struct uop *u)
{
	struct uop at = *u;
	uint64_t v;

	at.base = 8 * RBX;
	at.index = UOP_NO_REG;
	at.disp = (int64_t)reg_read(c, 8 * RAX, 1);
	if (exec_load(c, &at, 1, &v))
		return NULL;
	reg_write(c, 8 * RAX, 1, v);
	return u + 1;
}

/* ---- decimal adjustment; cond: 0 daa 1 das 2 aaa 3 aas 4 aam 5 aad */

static void adjust_packed(struct soft_cpu *c, bool subtract)
{
	uint8_t al = (uint8_t)c->gpr[RAX], old = al;
	bool cf = flag_cf(c), af = flag_af(c), carry = false;

	if ((al & 15) > 9 || af) {
		carry = cf || (subtract ? al < 6 : al > 0xf9);
		al = (uint8_t)(subtract ? al - 6 : al + 6);
		af = true;
	}
	if (old > 0x99 || cf) {
		al = (uint8_t)(subtract ? al - 0x60 : al + 0x60);
		carry = true;
	}
	reg_write(c, 8 * RAX, 1, al);
	result_flags(c, 1, al, carry, false);
	flags_write(c, RFLAGS_AF, af ? RFLAGS_AF : 0);
}

static void adjust_ascii(struct soft_cpu *c, bool subtract)
{
	uint64_t ax = reg_read(c, 8 * RAX, 2);
	bool adjust = (ax & 15) > 9 || flag_af(c);

	if (adjust)
		ax = subtract ? ax - 0x106 : ax + 0x106;
	reg_write(c, 8 * RAX, 2, ax & 0xff0f);
	result_flags(c, 1, ax & 0xf, adjust, false);
	flags_write(c, RFLAGS_AF, adjust ? RFLAGS_AF : 0);
}

const struct uop *op_bcd(struct soft_cpu *c, const struct uop *u)
{
	uint64_t al = reg_read(c, 8 * RAX, 1), ah = reg_read(c, 8 * RAX + 1, 1), base = u->imm & 0xff;

	if (u->cond < 4) {
		(u->cond < 2 ? adjust_packed : adjust_ascii)(c, u->cond & 1);
		return u + 1;
	}
	if (u->cond == 4 && !base)
		return soft_raise(c, 0);
	reg_write(c, 8 * RAX, 2, u->cond == 4 ? al / base << 8 | al % base : (al + ah * base) & 0xff);
	result_flags(c, 1, c->gpr[RAX], false, false);
	return u + 1;
}
