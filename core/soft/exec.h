/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What instruction handlers share: registers by byte offset, operands, the stack.
 */
#ifndef KVMSCOPE_CORE_SOFT_EXEC_H
#define KVMSCOPE_CORE_SOFT_EXEC_H

#include <string.h>

#include "core/soft/flags.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define always_inline inline __attribute__((always_inline))

static always_inline uint64_t reg_read(const struct soft_cpu *c, unsigned off, unsigned size)
{
	const char *at = (const char *)c->gpr + off;

	switch (size) {
	case 1:
		return *(const uint8_t *)at;
	case 2:
		return *(const uint16_t *)(const void *)at;
	case 4:
		return *(const uint32_t *)(const void *)at;
	default:
		return *(const uint64_t *)(const void *)at;
	}
}

/* Bytes and words keep the rest of the register, doublewords clear the upper half. */
static always_inline void reg_write(struct soft_cpu *c, unsigned off, unsigned size, uint64_t v)
{
	char *at = (char *)c->gpr + off;

	switch (size) {
	case 1:
		*(uint8_t *)at = (uint8_t)v;
		break;
	case 2:
		*(uint16_t *)(void *)at = (uint16_t)v;
		break;
	case 4:
		*(uint64_t *)(void *)at = (uint32_t)v;
		break;
	default:
		*(uint64_t *)(void *)at = v;
	}
}

/* Offset part of a memory operand, cut to the address size. */
static always_inline uint64_t exec_offset(const struct soft_cpu *c, const struct uop *u)
{
	uint64_t ea = (uint64_t)u->disp;

	if (u->base != UOP_NO_REG)
		ea += u->base == UOP_RIP ? uop_rip(c, u) + u->len
					 : *(const uint64_t *)(const void *)((const char *)c->gpr + u->base);
	if (u->index != UOP_NO_REG)
		ea += *(const uint64_t *)(const void *)((const char *)c->gpr + u->index) << u->scale;
	if (u->addrsize == 8)
		return ea;
	return u->addrsize == 4 ? (uint32_t)ea : (uint16_t)ea;
}

static always_inline int exec_linear(struct soft_cpu *c, unsigned seg, uint64_t offset, unsigned size, bool write,
				     uint64_t *lin)
{
	if (likely((write ? c->flat_write : c->flat_read) >> seg & 1)) {
		uint64_t at = c->seg_base[seg] + offset;
		*lin = c->code_bits == 64 ? at : (uint32_t)at;
		return 0;
	}
	return soft_seg_linear(c, (enum seg_index)seg, offset, size, write, lin);
}

/* For handlers with two operands in memory: exec_first() before the first access, exec_second() between, exec_done() after
 * the second, whether or not it went well. */
static always_inline void exec_first(struct soft_cpu *c)
{
	c->emulated = false;
}
static always_inline void exec_second(struct soft_cpu *c)
{
	c->in_emulator = c->emulated;
}
static always_inline int exec_done(struct soft_cpu *c, int rc)
{
	c->in_emulator = false;
	return rc;
}

static always_inline int exec_lea(struct soft_cpu *c, const struct uop *u, unsigned size, bool write, uint64_t *lin)
{
	return exec_linear(c, u->seg, exec_offset(c, u), size, write, lin);
}

static always_inline int exec_load(struct soft_cpu *c, const struct uop *u, unsigned size, uint64_t *v)
{
	uint64_t lin;

	*v = 0;
	return exec_lea(c, u, size, false, &lin) || soft_read(c, lin, size, v) ? -1 : 0;
}

static always_inline int exec_store(struct soft_cpu *c, const struct uop *u, unsigned size, uint64_t v)
{
	uint64_t lin;

	return exec_lea(c, u, size, true, &lin) || soft_write(c, lin, size, &v) ? -1 : 0;
}

/* Read a memory operand that will be written: write permission is asked for first, as the hardware does. */
static always_inline int exec_rmw_read(struct soft_cpu *c, const struct uop *u, unsigned size, uint64_t *v)
{
	uint64_t lin;

	*v = 0;
	if (exec_lea(c, u, size, true, &lin))
		return -1;
	const struct soft_tlb_entry *t = &c->tlb[lin >> PAGE_SHIFT & (SOFT_TLB_SIZE - 1)];
	c->rmw_lin = lin;
	if (likely(soft_tlb_hit(c, lin, size, t->write)))
		return soft_read(c, lin, size, v);
	if (soft_probe_rmw(c, lin, size))
		return -1;
	exec_second(c);
	int rc = exec_done(c, soft_read(c, lin, size, v));
	c->rmw_emulated = false;
	return rc;
}

static always_inline int exec_rmw_write(struct soft_cpu *c, unsigned size, uint64_t v)
{
	return soft_write(c, c->rmw_lin, size, &v);
}

/* Operands of any kind, for handlers that are not worth a form each. dst_read with rmw if dst_write follows. */
static inline int src_read(struct soft_cpu *c, const struct uop *u, unsigned size, uint64_t *v)
{
	if (u->mem_src)
		return exec_load(c, u, size, v);
	*v = u->src == UOP_NO_REG ? u->imm & size_mask(size) : reg_read(c, u->src, size);
	return 0;
}

static inline int dst_read(struct soft_cpu *c, const struct uop *u, unsigned size, bool rmw, uint64_t *v)
{
	if (u->mem_dst)
		return rmw ? exec_rmw_read(c, u, size, v) : exec_load(c, u, size, v);
	*v = reg_read(c, u->dst, size);
	return 0;
}

static inline int dst_write(struct soft_cpu *c, const struct uop *u, unsigned size, bool rmw, uint64_t v)
{
	if (u->mem_dst)
		return rmw ? exec_rmw_write(c, size, v) : exec_store(c, u, size, v);
	reg_write(c, u->dst, size, v);
	return 0;
}

/* A jump was taken: end of the block. 32-bit and 16-bit code wraps as its operand size says. */
static inline const struct uop *exec_jump(struct soft_cpu *c, uint64_t rip)
{
	c->rip = rip;
	return NULL;
}

static inline uint64_t exec_next_rip(const struct soft_cpu *c, const struct uop *u)
{
	uint64_t rip = uop_rip(c, u) + u->len;

	return c->code_bits == 64 ? rip : (uint32_t)rip;
}

/* Behind the instruction, and the block ends. */
static inline const struct uop *exec_jump_next(struct soft_cpu *c, const struct uop *u)
{
	return exec_jump(c, exec_next_rip(c, u));
}

static inline const struct uop *exec_gp0(struct soft_cpu *c)
{
	return soft_raise_error(c, 13, 0);
}

/* CPL 0; else #GP(0) is raised. */
static inline bool exec_privileged(struct soft_cpu *c)
{
	if (!c->cpl)
		return true;
	exec_gp0(c);
	return false;
}

/* exec_stack.c: push and pop of size bytes through SS. pop_at reads without moving SP: commit with stack_add(). */
int exec_push(struct soft_cpu *c, unsigned size, uint64_t v);
int exec_probe_push(struct soft_cpu *c, unsigned size); /* could it be pushed? Raises what keeps it from that. */
int exec_pop_at(struct soft_cpu *c, unsigned size, uint64_t skip, uint64_t *v);
void exec_stack_add(struct soft_cpu *c, int64_t by);
/* Push n values of size bytes in order, all or nothing. */
int exec_push_n(struct soft_cpu *c, unsigned size, const uint64_t *v, unsigned n);

extern uop_fn *const exec_alu[ALU_COUNT][OP_SIZES][FORM_COUNT];
extern uop_fn *const exec_unary[UNARY_COUNT][OP_SIZES][2]; /* [1]: of memory */
extern uop_fn *const exec_jcc[16];
#define X(name) uop_fn op_##name;
SOFT_OPS(X)
#undef X

#endif
