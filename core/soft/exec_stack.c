/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The stack: PUSH, POP and their kin. The stack pointer's width follows from the mode and SS.B, the operand's from the
 * instruction. SP moves last, so that a fault leaves it.
 */
#include "core/soft/segment.h"

static unsigned sp_size(const struct soft_cpu *c)
{
	return c->code_bits == 64 ? 8 : c->stack32 ? 4 : 2;
}

static uint64_t sp_plus(const struct soft_cpu *c, int64_t by)
{
	return (c->gpr[RSP] + (uint64_t)by) & size_mask(sp_size(c));
}

void exec_stack_add(struct soft_cpu *c, int64_t by)
{
	reg_write(c, 8 * RSP, sp_size(c), c->gpr[RSP] + (uint64_t)by);
}

static int stack_fault(struct soft_cpu *c)
{
	if (c->not_canonical)
		c->vector = VEC_SS;
	return -1;
}

int exec_push(struct soft_cpu *c, unsigned size, uint64_t v)
{
	uint64_t lin;

	if (exec_linear(c, SEG_SS, sp_plus(c, -(int64_t)size), size, true, &lin) || soft_write(c, lin, size, &v))
		return stack_fault(c);
	exec_stack_add(c, -(int64_t)size);
	return 0;
}

int exec_probe_push(struct soft_cpu *c, unsigned size)
{
	uint64_t lin;

	return exec_linear(c, SEG_SS, sp_plus(c, -(int64_t)size), size, true, &lin) || soft_probe_frame(c, lin, size)
		   ? stack_fault(c)
		   : 0;
}

int exec_pop_at(struct soft_cpu *c, unsigned size, uint64_t skip, uint64_t *v)
{
	uint64_t lin;

	*v = 0;
	return exec_linear(c, SEG_SS, sp_plus(c, (int64_t)skip), size, false, &lin) || soft_read(c, lin, size, v)
		   ? stack_fault(c)
		   : 0;
}

int exec_push_n(struct soft_cpu *c, unsigned size, const uint64_t *v, unsigned n)
{
	uint64_t lin;

	for (unsigned i = 0; i < n; i++)
		if (exec_linear(c, SEG_SS, sp_plus(c, -(int64_t)(size * (i + 1))), size, true, &lin) ||
		    soft_probe_frame(c, lin, size))
			return stack_fault(c);
	for (unsigned i = 0; i < n; i++)
		if (exec_push(c, size, v[i]))
			return -1;
	return 0;
}

const struct uop *op_push(struct soft_cpu *c, const struct uop *u)
{
	uint64_t v;

	exec_first(c);
	if (src_read(c, u, u->opsize, &v))
		return NULL;
	exec_second(c);
	return exec_done(c, exec_push(c, u->opsize, v)) ? NULL : u + 1;
}

/* POP to memory: the address is computed with SP as it is after the pop. */
static const struct uop *pop_mem(struct soft_cpu *c, const struct uop *u, uint64_t v)
{
	uint64_t sp = c->gpr[RSP];

	exec_stack_add(c, u->opsize);
	exec_second(c);
	if (exec_done(c, exec_store(c, u, u->opsize, v))) {
		c->gpr[RSP] = sp;
		return NULL;
	}
	return u + 1;
}

const struct uop *op_pop(struct soft_cpu *c, const struct uop *u)
{
	uint64_t v;

	exec_first(c);
	if (exec_pop_at(c, u->opsize, 0, &v))
		return NULL;
	if (u->mem_dst)
		return pop_mem(c, u, v);
	exec_stack_add(c, u->opsize);
	reg_write(c, u->dst, u->opsize, v);
	return u + 1;
}

const struct uop *op_pusha(struct soft_cpu *c, const struct uop *u)
{
	uint64_t v[8];

	for (unsigned i = 0; i < 8; i++)
		v[i] = c->gpr[i];
	return exec_push_n(c, u->opsize, v, 8) ? NULL : u + 1;
}

const struct uop *op_popa(struct soft_cpu *c, const struct uop *u)
{
	uint64_t v[8];

	for (unsigned i = 0; i < 8; i++)
		if (exec_pop_at(c, u->opsize, (uint64_t)i * u->opsize, &v[i]))
			return NULL;
	exec_stack_add(c, 8 * u->opsize);
	for (unsigned i = 0; i < 8; i++)
		if (7 - i != RSP)
			reg_write(c, 8 * (7 - i), u->opsize, v[i]);
	return u + 1;
}

/* ---- flags on the stack */

static bool vm86_below_3(const struct soft_cpu *c)
{
	return (c->eflags & RFLAGS_VM) && (c->eflags & RFLAGS_IOPL) != RFLAGS_IOPL;
}

const struct uop *op_pushf(struct soft_cpu *c, const struct uop *u)
{
	if (vm86_below_3(c))
		return soft_raise_error(c, 13, 0);
	flags_settle(c);
	return exec_push(c, u->opsize, c->eflags & ~(RFLAGS_VM | RFLAGS_RF)) ? NULL : u + 1;
}

/* What POPF may change depends on privilege: IOPL at CPL 0 only, IF if CPL <= IOPL; VM, RF, VIF and VIP never. */
const struct uop *op_popf(struct soft_cpu *c, const struct uop *u)
{
	uint64_t v, mask = FLAGS_ARITH | RFLAGS_TF | RFLAGS_DF | RFLAGS_NT;
	unsigned iopl = (c->eflags & RFLAGS_IOPL) >> 12;

	if (vm86_below_3(c))
		return soft_raise_error(c, 13, 0);
	if (exec_pop_at(c, u->opsize, 0, &v))
		return NULL;
	exec_stack_add(c, u->opsize);
	if (u->opsize > 2)
		mask |= RFLAGS_AC | RFLAGS_ID;
	if (!c->cpl)
		mask |= RFLAGS_IOPL;
	if (c->cpl <= iopl)
		mask |= RFLAGS_IF;
	flags_write(c, mask, v);
	if (u->opsize > 2)
		c->eflags &= ~RFLAGS_RF;
	soft_ac_changed(c);
	return exec_jump(c, exec_next_rip(c, u)); /* TF, IF or AC may have changed */
}

/* ---- frames */

const struct uop *op_enter(struct soft_cpu *c, const struct uop *u)
{
	unsigned size = u->opsize, level = u->cond & 31;
	uint64_t sp = c->gpr[RSP], bp = reg_read(c, 8 * RBP, sp_size(c)), frame, lin, v;

	if (exec_push(c, size, c->gpr[RBP]))
		return NULL;
	frame = c->gpr[RSP];
	for (unsigned i = 1; i < level; i++) {
		bp = (bp - size) & size_mask(sp_size(c));
		v = 0;
		if (exec_linear(c, SEG_SS, bp, size, false, &lin) || soft_read(c, lin, size, &v) || exec_push(c, size, v))
			goto undo;
	}
	if (level && exec_push(c, size, frame))
		goto undo;
	/* The frame's last word is touched, as the manual asks. */
	if (exec_linear(c, SEG_SS, sp_plus(c, -(int64_t)u->imm), size, true, &lin) || soft_probe_frame(c, lin, size))
		goto undo;
	exec_stack_add(c, -(int64_t)u->imm);
	reg_write(c, 8 * RBP, size == 2 ? 2 : sp_size(c), frame);
	return u + 1;
undo:
	c->gpr[RSP] = sp;
	return NULL;
}

const struct uop *op_leave(struct soft_cpu *c, const struct uop *u)
{
	uint64_t sp = c->gpr[RSP], v;

	reg_write(c, 8 * RSP, sp_size(c), c->gpr[RBP]);
	if (exec_pop_at(c, u->opsize, 0, &v)) {
		c->gpr[RSP] = sp;
		return NULL;
	}
	exec_stack_add(c, u->opsize);
	reg_write(c, 8 * RBP, u->opsize, v);
	return u + 1;
}
