/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Integer instructions beside plain arithmetic: moves with extension, exchanges, conditionals, flags, decimal adjustment.
 * Intel SDM vol. 2 for each; flags that the manual leaves undefined are left as the operation finds them, except if
 * hardware is known to agree on something.
 */
#include "core/soft/exec.h"

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

/* The destination is written in any case: with what it had if it differs from the accumulator. */
const struct uop *op_cmpxchg(struct soft_cpu *c, const struct uop *u)
{
	uint64_t old, acc = reg_read(c, 8 * RAX, u->opsize);
	bool equal;

	if (dst_read(c, u, u->opsize, true, &old))
		return NULL;
	equal = old == acc;
	if (u->mem_dst && dst_write(c, u, u->opsize, true, equal ? reg_read(c, u->src, u->opsize) : old))
		return NULL;
	if (!u->mem_dst && equal)
		reg_write(c, u->dst, u->opsize, reg_read(c, u->src, u->opsize));
	if (!equal)
		reg_write(c, 8 * RAX, u->opsize, old);
	flags_set(c, FLAGS_SUB, u->opsize, acc, old, acc - old, false);
	return u + 1;
}

/* cmpxchg8b and cmpxchg16b: opsize is that of each of the two registers, 4 or 8. */
const struct uop *op_cmpxchg8b(struct soft_cpu *c, const struct uop *u)
{
	unsigned size = u->opsize;
	uint8_t have[16], want[16];
	uint64_t lin;

	if (exec_lea(c, u, 2 * size, true, &lin))
		return NULL;
	if (size == 8 && (lin & 15))
		return soft_raise_error(c, 13, 0);
	if (soft_probe_rmw(c, lin, 2 * size))
		return NULL;
	exec_second(c);
	int rc = exec_done(c, soft_read(c, lin, 2 * size, have));
	c->rmw_emulated = false;
	if (rc)
		return NULL;
	memcpy(want, &c->gpr[RAX], size);
	memcpy(want + size, &c->gpr[RDX], size);
	bool equal = !memcmp(have, want, 2 * size);
	if (equal) {
		memcpy(want, &c->gpr[RBX], size);
		memcpy(want + size, &c->gpr[RCX], size);
	}
	if (soft_write(c, lin, 2 * size, equal ? want : have))
		return NULL;
	if (!equal) {
		uint64_t lo = 0, hi = 0;
		memcpy(&lo, have, size);
		memcpy(&hi, have + size, size);
		reg_write(c, 8 * RAX, size, lo);
		reg_write(c, 8 * RDX, size, hi);
	}
	flags_write(c, RFLAGS_ZF, equal ? RFLAGS_ZF : 0);
	return u + 1;
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
	flags_result(c, 1, al, carry, false);
	flags_write(c, RFLAGS_AF, af ? RFLAGS_AF : 0);
}

static void adjust_ascii(struct soft_cpu *c, bool subtract)
{
	uint64_t ax = reg_read(c, 8 * RAX, 2);
	bool adjust = (ax & 15) > 9 || flag_af(c);

	if (adjust)
		ax = subtract ? ax - 0x106 : ax + 0x106;
	reg_write(c, 8 * RAX, 2, ax & 0xff0f);
	flags_result(c, 1, ax & 0xf, adjust, false);
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
	flags_result(c, 1, c->gpr[RAX], false, false);
	return u + 1;
}
