/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Instructions on segment registers: MOV, PUSH and POP of them, LDS and its kin.
 */
#include "core/soft/segment.h"

const struct uop *op_mov_from_seg(struct soft_cpu *c, const struct uop *u)
{
	return dst_write(c, u, u->opsize, false, c->r.seg[u->cond].selector) ? NULL : u + 1;
}

static const struct uop *seg_loaded(struct soft_cpu *c, const struct uop *u, enum seg_index seg)
{
	uint64_t next = exec_next_rip(c, u);

	if (seg ==
	    SEG_SS) { /* no interrupt and no trap before the next instruction, which is expected to load the stack pointer */
		c->inhibit = c->inhibit_ss = true;
		c->inhibit_rip = next;
	}
	return exec_jump(c, next);
}

const struct uop *op_mov_to_seg(struct soft_cpu *c, const struct uop *u)
{
	uint64_t v;

	if (u->cond == SEG_CS)
		return soft_raise(c, VEC_UD);
	if (src_read(c, u, 2, &v) || soft_load_seg(c, (enum seg_index)u->cond, (uint16_t)v))
		return NULL;
	return seg_loaded(c, u, (enum seg_index)u->cond);
}

const struct uop *op_push_seg(struct soft_cpu *c, const struct uop *u)
{
	return exec_push(c, u->opsize, c->r.seg[u->cond].selector) ? NULL : u + 1;
}

const struct uop *op_pop_seg(struct soft_cpu *c, const struct uop *u)
{
	uint64_t v;
	unsigned size = u->opsize;

	if (exec_pop_at(c, size, 0, &v))
		return NULL;
	bool was32 = c->stack32;
	if (soft_load_seg(c, (enum seg_index)u->cond, (uint16_t)v))
		return NULL;
	bool now32 = c->stack32;
	c->stack32 = was32; /* the pointer moves in the old stack's width */
	exec_stack_add(c, size);
	c->stack32 = now32;
	return seg_loaded(c, u, (enum seg_index)u->cond);
}

/* LDS, LES, LSS, LFS, LGS: offset, then selector. */
const struct uop *op_load_far(struct soft_cpu *c, const struct uop *u)
{
	uint64_t lin, offset = 0, selector = 0;

	if (exec_lea(c, u, u->opsize + 2u, false, &lin) || soft_read(c, lin, u->opsize, &offset) ||
	    soft_read(c, lin + u->opsize, 2, &selector) || soft_load_seg(c, (enum seg_index)u->cond, (uint16_t)selector))
		return NULL;
	reg_write(c, u->dst, u->opsize, offset);
	return exec_jump(c, exec_next_rip(c, u)); /* LSS loads the pointer too, so it holds nothing back */
}
