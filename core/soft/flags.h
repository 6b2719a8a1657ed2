/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Lazy arithmetic flags: an operation leaves its operands and result; CF, PF, AF, ZF, SF and OF are worked out when somebody
 * reads them. Definitions: Intel SDM vol. 1, 3.4.3.1, and the instructions' own pages in vol. 2.
 */
#ifndef KVMSCOPE_CORE_SOFT_FLAGS_H
#define KVMSCOPE_CORE_SOFT_FLAGS_H

#include "core/soft/cpu.h"

#define FLAGS_ARITH (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

enum flags_op {
	FLAGS_READY, /* eflags has them */
	FLAGS_ADD,   /* a + b (+ carry_in) = result */
	FLAGS_SUB,   /* a - b (- carry_in) = result */
	FLAGS_LOGIC, /* CF and OF clear, AF clear */
	FLAGS_INC,   /* CF kept in carry_in */
	FLAGS_DEC,
};

static inline int64_t sign_extend(uint64_t v, unsigned size)
{
	unsigned shift = 64 - 8 * size;

	return (int64_t)(v << shift) >> shift;
}

static inline bool sign_of(uint64_t v, unsigned size)
{
	return v >> (8 * size - 1) & 1;
}

static inline void flags_set(struct soft_cpu *c, enum flags_op op, unsigned size, uint64_t a, uint64_t b, uint64_t result,
			     bool carry_in)
{
	c->lazy = (struct lazy_flags){
	    .result = result, .a = a, .b = b, .op = (uint8_t)op, .size = (uint8_t)size, .carry_in = carry_in};
}

static inline bool flag_cf(const struct soft_cpu *c)
{
	const struct lazy_flags *l = &c->lazy;
	uint64_t mask = size_mask(l->size), r = l->result & mask, a = l->a & mask;

	switch (l->op) {
	case FLAGS_ADD:
		return l->carry_in ? r <= a : r < a;
	case FLAGS_SUB:
		return l->carry_in ? a <= (l->b & mask) : a < (l->b & mask);
	case FLAGS_LOGIC:
		return false;
	case FLAGS_INC:
	case FLAGS_DEC:
		return l->carry_in;
	default:
		return c->eflags & RFLAGS_CF;
	}
}

static inline bool flag_zf(const struct soft_cpu *c)
{
	return c->lazy.op == FLAGS_READY ? c->eflags & RFLAGS_ZF : !(c->lazy.result & size_mask(c->lazy.size));
}

static inline bool flag_sf(const struct soft_cpu *c)
{
	return c->lazy.op == FLAGS_READY ? c->eflags & RFLAGS_SF : sign_of(c->lazy.result, c->lazy.size);
}

static inline bool flag_pf(const struct soft_cpu *c)
{
	return c->lazy.op == FLAGS_READY ? c->eflags & RFLAGS_PF : !(__builtin_popcount(c->lazy.result & 0xff) & 1);
}

static inline bool flag_of(const struct soft_cpu *c)
{
	const struct lazy_flags *l = &c->lazy;

	switch (l->op) {
	case FLAGS_ADD:
		return sign_of(~(l->a ^ l->b) & (l->a ^ l->result), l->size);
	case FLAGS_SUB:
		return sign_of((l->a ^ l->b) & (l->a ^ l->result), l->size);
	case FLAGS_INC:
		return (l->result & size_mask(l->size)) == 1ull << (8 * l->size - 1);
	case FLAGS_DEC:
		return (l->result & size_mask(l->size)) == size_mask(l->size) >> 1;
	case FLAGS_LOGIC:
		return false;
	default:
		return c->eflags & RFLAGS_OF;
	}
}

static inline bool flag_af(const struct soft_cpu *c)
{
	const struct lazy_flags *l = &c->lazy;

	switch (l->op) {
	case FLAGS_ADD:
	case FLAGS_SUB:
		return (l->a ^ l->b ^ l->result) & 0x10;
	case FLAGS_INC:
		return !(l->result & 0xf);
	case FLAGS_DEC:
		return (l->result & 0xf) == 0xf;
	case FLAGS_LOGIC:
		return false;
	default:
		return c->eflags & RFLAGS_AF;
	}
}

/* Bring eflags up to date. */
static inline void flags_settle(struct soft_cpu *c)
{
	if (c->lazy.op == FLAGS_READY)
		return;
	uint64_t f = (flag_cf(c) ? RFLAGS_CF : 0) | (flag_pf(c) ? RFLAGS_PF : 0) | (flag_af(c) ? RFLAGS_AF : 0) |
		     (flag_zf(c) ? RFLAGS_ZF : 0) | (flag_sf(c) ? RFLAGS_SF : 0) | (flag_of(c) ? RFLAGS_OF : 0);
	c->eflags = (c->eflags & ~FLAGS_ARITH) | f;
	c->lazy.op = FLAGS_READY;
}

/* Settle, then replace the flags in mask by those of value. */
static inline void flags_write(struct soft_cpu *c, uint64_t mask, uint64_t value)
{
	flags_settle(c);
	c->eflags = (c->eflags & ~mask) | (value & mask);
}

/* Condition codes as Jcc encodes them. */
static inline bool flags_cond(const struct soft_cpu *c, unsigned cond)
{
	bool v;

	switch (cond >> 1) {
	case 0:
		v = flag_of(c);
		break;
	case 1:
		v = flag_cf(c);
		break;
	case 2:
		v = flag_zf(c);
		break;
	case 3:
		v = flag_cf(c) || flag_zf(c);
		break;
	case 4:
		v = flag_sf(c);
		break;
	case 5:
		v = flag_pf(c);
		break;
	case 6:
		v = flag_sf(c) != flag_of(c);
		break;
	default:
		v = flag_zf(c) || flag_sf(c) != flag_of(c);
		break;
	}
	return v != (cond & 1);
}

/* CF, OF, and ZF, SF and PF of a result; AF stays. */
static inline void flags_result(struct soft_cpu *c, unsigned size, uint64_t r, bool cf, bool of)
{
	r &= size_mask(size);
	flags_write(c, FLAGS_ARITH & ~RFLAGS_AF,
		    (cf ? RFLAGS_CF : 0) | (of ? RFLAGS_OF : 0) | (r ? 0 : RFLAGS_ZF) | (sign_of(r, size) ? RFLAGS_SF : 0) |
			(__builtin_popcount(r & 0xff) & 1 ? 0 : RFLAGS_PF));
}

#endif
