/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Near control flow. A taken jump ends the block; its target was masked by the decoder to the operand size, and is checked
 * here against CS's limit or for being canonical, because that fault belongs to the jump.
 */
#include "core/soft/exec.h"
#include "core/soft/soft_impl.h"

/* Sign-extended from bit 47 is canonical in every mode. */
static always_inline bool near_target_ok(const struct soft_cpu *c, uint64_t rip)
{
	if (likely(c->code_bits == 64 && (uint64_t)((int64_t)(rip << 16) >> 16) == rip))
		return true;
	return c->code_bits == 64 ? paging_canonical(&c->pg, rip) : rip <= c->r.seg[SEG_CS].limit;
}

static const struct uop *jump_near(struct soft_cpu *c, uint64_t rip)
{
	if (unlikely(!near_target_ok(c, rip)))
		return soft_raise_error(c, 13, 0);
	return exec_jump(c, rip);
}

#define JCC(N)                                                                                                              \
	static const struct uop *jcc_##N(struct soft_cpu *c, const struct uop *u)                                           \
	{                                                                                                                   \
		return flags_cond(c, N) ? jump_near(c, u->imm) : exec_jump(c, exec_next_rip(c, u));                         \
	}
JCC(0)
JCC(1)
JCC(2)
JCC(3)
JCC(4)
JCC(5)
JCC(6)
JCC(7)
JCC(8)
JCC(9)
JCC(10)
JCC(11)
JCC(12)
JCC(13)
JCC(14)
JCC(15)

uop_fn *const exec_jcc[16] = {jcc_0, jcc_1, jcc_2,  jcc_3,  jcc_4,  jcc_5,  jcc_6,  jcc_7,
			      jcc_8, jcc_9, jcc_10, jcc_11, jcc_12, jcc_13, jcc_14, jcc_15};

const struct uop *op_jmp(struct soft_cpu *c, const struct uop *u)
{
	return jump_near(c, u->imm);
}

const struct uop *op_jmp_indirect(struct soft_cpu *c, const struct uop *u)
{
	uint64_t to;

	return src_read(c, u, u->opsize, &to) ? NULL : jump_near(c, to);
}

/* Where the return address cannot be pushed either, that is the fault (APM vol. 3, CALL; SDM vol. 2 has it the other way
 * round, as KVM's emulator does). */
static const struct uop *call_refused(struct soft_cpu *c, const struct uop *u)
{
	if (!c->emulated && !c->m->habits.call_target_first && exec_probe_push(c, u->opsize))
		return NULL;
	return soft_raise_error(c, 13, 0);
}

static const struct uop *call_near(struct soft_cpu *c, const struct uop *u, uint64_t to)
{
	if (!near_target_ok(c, to))
		return call_refused(c, u);
	exec_second(c);
	return exec_done(c, exec_push(c, u->opsize, exec_next_rip(c, u))) ? NULL : exec_jump(c, to);
}

const struct uop *op_call(struct soft_cpu *c, const struct uop *u)
{
	exec_first(c);
	return call_near(c, u, u->imm);
}

const struct uop *op_call_indirect(struct soft_cpu *c, const struct uop *u)
{
	uint64_t to;

	exec_first(c);
	return src_read(c, u, u->opsize, &to) ? NULL : call_near(c, u, to);
}

/* imm: bytes of arguments to drop. */
const struct uop *op_ret(struct soft_cpu *c, const struct uop *u)
{
	uint64_t to;

	if (exec_pop_at(c, u->opsize, 0, &to))
		return NULL;
	if (!near_target_ok(c, to))
		return soft_raise_error(c, 13, 0);
	exec_stack_add(c, (int64_t)(u->opsize + (u->imm & 0xffff)));
	return exec_jump(c, to);
}

/* cond: 0 LOOPNE 1 LOOPE 2 LOOP. The counter's width is the address size. */
const struct uop *op_loop(struct soft_cpu *c, const struct uop *u)
{
	uint64_t n = (reg_read(c, 8 * RCX, u->addrsize) - 1) & size_mask(u->addrsize);
	bool go = n && (u->cond == 2 || flag_zf(c) == (u->cond == 1));

	if (go && !near_target_ok(c, u->imm))
		return soft_raise_error(c, 13, 0);
	reg_write(c, 8 * RCX, u->addrsize, n);
	return exec_jump(c, go ? u->imm : exec_next_rip(c, u));
}

const struct uop *op_jcxz(struct soft_cpu *c, const struct uop *u)
{
	return reg_read(c, 8 * RCX, u->addrsize) ? exec_jump(c, exec_next_rip(c, u)) : jump_near(c, u->imm);
}
