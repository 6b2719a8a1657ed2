/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Instructions that raise something by themselves: INT n, INT3, INT1, INTO, BOUND, UD, and what this CPU does not execute.
 */
#include "core/soft/segment.h"

#include <stdio.h>

#include "core/soft/decode.h"

static const struct uop *raise_software(struct soft_cpu *c, const struct uop *u, uint8_t vector)
{
	soft_raise(c, vector);
	c->soft_int_len = u->len;
	return NULL;
}

const struct uop *op_int_n(struct soft_cpu *c, const struct uop *u)
{
	if ((c->eflags & RFLAGS_VM) && (c->eflags & RFLAGS_IOPL) != RFLAGS_IOPL)
		return soft_raise_error(c, VEC_GP, 0);
	raise_software(c, u, (uint8_t)u->imm);
	c->int_n = true;
	return NULL;
}

const struct uop *op_int3(struct soft_cpu *c, const struct uop *u)
{
	return raise_software(c, u, VEC_BP);
}

const struct uop *op_int1(struct soft_cpu *c, const struct uop *u)
{
	raise_software(c, u, VEC_DB);
	c->int1 = true;
	return NULL;
}

const struct uop *op_into(struct soft_cpu *c, const struct uop *u)
{
	return flag_of(c) ? raise_software(c, u, VEC_OF) : exec_jump(c, exec_next_rip(c, u));
}

const struct uop *op_ud(struct soft_cpu *c, const struct uop *u)
{
	return u->cond ? soft_raise_error(c, VEC_GP, 0) : soft_raise(c, VEC_UD);
}

const struct uop *op_bound(struct soft_cpu *c, const struct uop *u)
{
	uint64_t lin, low = 0, high = 0;
	unsigned size = u->opsize, shift = 64 - 8 * size;
	int64_t v = (int64_t)(reg_read(c, u->dst, size) << shift) >> shift;

	if (exec_lea(c, u, 2 * size, false, &lin) || soft_read(c, lin, size, &low) || soft_read(c, lin + size, size, &high))
		return NULL;
	if (v < (int64_t)(low << shift) >> shift || v > (int64_t)(high << shift) >> shift)
		return soft_raise(c, VEC_BR);
	return u + 1;
}

const struct uop *op_unsupported(struct soft_cpu *c, const struct uop *u)
{
	c->event = EVENT_STOP;
	c->stop = (struct stop){.reason = STOP_ERROR, .vcpu = c->index, .slot = -1, .suberror = 1};
	snprintf(c->stop.error, sizeof(c->stop.error), "the soft CPU does not execute `%s`",
		 decoder_name(c->decoder, u->insn));
	soft_stop_bytes(c, uop_rip(c, u), u->len);
	return NULL;
}
