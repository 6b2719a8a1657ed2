/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The instructions that make up most of any program: two-operand arithmetic and MOV in every form and size, INC, DEC, NEG,
 * NOT. Each form is a function of its own, so that its sizes and operands are constants when it is compiled.
 */
#include "core/soft/exec.h"

static always_inline uint64_t alu(struct soft_cpu *c, enum alu_op op, unsigned size, uint64_t a, uint64_t b)
{
	uint64_t r;
	bool carry;

	switch (op) {
	case ALU_ADD:
		flags_set(c, FLAGS_ADD, size, a, b, r = a + b, false);
		return r;
	case ALU_ADC:
		carry = flag_cf(c);
		flags_set(c, FLAGS_ADD, size, a, b, r = a + b + carry, carry);
		return r;
	case ALU_SBB:
		carry = flag_cf(c);
		flags_set(c, FLAGS_SUB, size, a, b, r = a - b - carry, carry);
		return r;
	case ALU_SUB:
	case ALU_CMP:
		flags_set(c, FLAGS_SUB, size, a, b, r = a - b, false);
		return r;
	case ALU_AND:
	case ALU_TEST:
		flags_set(c, FLAGS_LOGIC, size, 0, 0, r = a & b, false);
		return r;
	case ALU_OR:
		flags_set(c, FLAGS_LOGIC, size, 0, 0, r = a | b, false);
		return r;
	case ALU_XOR:
		flags_set(c, FLAGS_LOGIC, size, 0, 0, r = a ^ b, false);
		return r;
	default:
		return b;
	}
}

static always_inline bool writes(enum alu_op op)
{
	return op != ALU_CMP && op != ALU_TEST;
}

static always_inline const struct uop *to_reg(struct soft_cpu *c, const struct uop *u, enum alu_op op, unsigned size,
					      uint64_t b)
{
	uint64_t r = alu(c, op, size, op == ALU_MOV ? 0 : reg_read(c, u->dst, size), b);

	if (writes(op))
		reg_write(c, u->dst, size, r);
	return u + 1;
}

/* Memory is written before flags are stored: a store that faults must leave them. */
static always_inline const struct uop *to_mem(struct soft_cpu *c, const struct uop *u, enum alu_op op, unsigned size,
					      uint64_t b)
{
	struct lazy_flags before = c->lazy;
	uint64_t a = 0, r;

	if (op == ALU_MOV)
		return exec_store(c, u, size, b) ? NULL : u + 1;
	if (writes(op) ? exec_rmw_read(c, u, size, &a) : exec_load(c, u, size, &a))
		return NULL;
	r = alu(c, op, size, a, b);
	if (writes(op) && exec_rmw_write(c, size, r)) {
		c->lazy = before;
		return NULL;
	}
	return u + 1;
}

static always_inline const struct uop *from_mem(struct soft_cpu *c, const struct uop *u, enum alu_op op, unsigned size)
{
	uint64_t b;

	if (exec_load(c, u, size, &b))
		return NULL;
	return to_reg(c, u, op, size, b);
}

#define FORMS(NAME, OP, SIZE)                                                                                               \
	static const struct uop *NAME##_##SIZE##_rr(struct soft_cpu *c, const struct uop *u)                                \
	{                                                                                                                   \
		return to_reg(c, u, OP, SIZE, reg_read(c, u->src, SIZE));                                                   \
	}                                                                                                                   \
	static const struct uop *NAME##_##SIZE##_ri(struct soft_cpu *c, const struct uop *u)                                \
	{                                                                                                                   \
		return to_reg(c, u, OP, SIZE, u->imm & size_mask(SIZE));                                                    \
	}                                                                                                                   \
	static const struct uop *NAME##_##SIZE##_rm(struct soft_cpu *c, const struct uop *u)                                \
	{                                                                                                                   \
		return from_mem(c, u, OP, SIZE);                                                                            \
	}                                                                                                                   \
	static const struct uop *NAME##_##SIZE##_mr(struct soft_cpu *c, const struct uop *u)                                \
	{                                                                                                                   \
		return to_mem(c, u, OP, SIZE, reg_read(c, u->src, SIZE));                                                   \
	}                                                                                                                   \
	static const struct uop *NAME##_##SIZE##_mi(struct soft_cpu *c, const struct uop *u)                                \
	{                                                                                                                   \
		return to_mem(c, u, OP, SIZE, u->imm & size_mask(SIZE));                                                    \
	}
#define SIZES(NAME, OP) FORMS(NAME, OP, 1) FORMS(NAME, OP, 2) FORMS(NAME, OP, 4) FORMS(NAME, OP, 8)
#define ENTRY(NAME, SIZE)                                                                                                   \
	{                                                                                                                   \
		NAME##_##SIZE##_rr, NAME##_##SIZE##_ri, NAME##_##SIZE##_rm, NAME##_##SIZE##_mr, NAME##_##SIZE##_mi          \
	}
#define ROW(NAME)                                                                                                           \
	{                                                                                                                   \
		ENTRY(NAME, 1), ENTRY(NAME, 2), ENTRY(NAME, 4), ENTRY(NAME, 8)                                              \
	}

SIZES(add, ALU_ADD)
SIZES(or, ALU_OR)
SIZES(adc, ALU_ADC)
SIZES(sbb, ALU_SBB)
SIZES(and, ALU_AND)
SIZES(sub, ALU_SUB)
SIZES(xor, ALU_XOR)
SIZES(cmp, ALU_CMP)
SIZES(test, ALU_TEST)
SIZES(mov, ALU_MOV)

uop_fn *const exec_alu[ALU_COUNT][4][FORM_COUNT] = {
    [ALU_ADD] = ROW(add), [ALU_OR] = ROW(or),	[ALU_ADC] = ROW(adc), [ALU_SBB] = ROW(sbb),   [ALU_AND] = ROW(and),
    [ALU_SUB] = ROW(sub), [ALU_XOR] = ROW(xor), [ALU_CMP] = ROW(cmp), [ALU_TEST] = ROW(test), [ALU_MOV] = ROW(mov),
};

static always_inline uint64_t unary(struct soft_cpu *c, enum unary_op op, unsigned size, uint64_t a)
{
	bool carry;

	switch (op) {
	case UNARY_INC:
		carry = flag_cf(c);
		flags_set(c, FLAGS_INC, size, a, 1, a + 1, carry);
		return a + 1;
	case UNARY_DEC:
		carry = flag_cf(c);
		flags_set(c, FLAGS_DEC, size, a, 1, a - 1, carry);
		return a - 1;
	case UNARY_NEG:
		flags_set(c, FLAGS_SUB, size, 0, a, -a, false);
		return -a;
	default:
		return ~a;
	}
}

static always_inline const struct uop *unary_mem(struct soft_cpu *c, const struct uop *u, enum unary_op op, unsigned size)
{
	struct lazy_flags before = c->lazy;
	uint64_t a;

	if (exec_rmw_read(c, u, size, &a))
		return NULL;
	if (exec_rmw_write(c, size, unary(c, op, size, a))) {
		c->lazy = before;
		return NULL;
	}
	return u + 1;
}

#define UNARY(NAME, OP, SIZE)                                                                                               \
	static const struct uop *NAME##_##SIZE##_r(struct soft_cpu *c, const struct uop *u)                                 \
	{                                                                                                                   \
		reg_write(c, u->dst, SIZE, unary(c, OP, SIZE, reg_read(c, u->dst, SIZE)));                                  \
		return u + 1;                                                                                               \
	}                                                                                                                   \
	static const struct uop *NAME##_##SIZE##_m(struct soft_cpu *c, const struct uop *u)                                 \
	{                                                                                                                   \
		return unary_mem(c, u, OP, SIZE);                                                                           \
	}
#define UNARY_SIZES(NAME, OP) UNARY(NAME, OP, 1) UNARY(NAME, OP, 2) UNARY(NAME, OP, 4) UNARY(NAME, OP, 8)
#define UNARY_ROW(NAME)                                                                                                     \
	{                                                                                                                   \
		{NAME##_1_r, NAME##_1_m}, {NAME##_2_r, NAME##_2_m}, {NAME##_4_r, NAME##_4_m},                               \
		{                                                                                                           \
			NAME##_8_r, NAME##_8_m                                                                              \
		}                                                                                                           \
	}

UNARY_SIZES(inc, UNARY_INC)
UNARY_SIZES(dec, UNARY_DEC)
UNARY_SIZES(neg, UNARY_NEG)
UNARY_SIZES(not, UNARY_NOT)

uop_fn *const exec_unary[UNARY_COUNT][4][2] = {
    [UNARY_INC] = UNARY_ROW(inc),
    [UNARY_DEC] = UNARY_ROW(dec),
    [UNARY_NEG] = UNARY_ROW(neg),
    [UNARY_NOT] = UNARY_ROW(not ),
};
