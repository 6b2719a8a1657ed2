/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The state of x87 and SSE: FXSAVE and FXRSTOR, control words, MXCSR. Floating-point arithmetic is none of this CPU's.
 */
#include "core/soft/segment.h"

static bool fpu_usable(struct soft_cpu *c, bool sse)
{
	if ((c->r.cr0 & CR0_EM) && sse)
		soft_raise(c, VEC_UD);
	else if (sse && !(c->r.cr4 & CR4_OSFXSR))
		soft_raise(c, VEC_UD);
	else if (c->r.cr0 & (CR0_TS | (sse ? 0 : CR0_EM)))
		soft_raise(c, VEC_NM);
	else
		return true;
	return false;
}

bool soft_sse_usable(struct soft_cpu *c)
{
	return fpu_usable(c, true);
}

static void image_out(const struct soft_cpu *c, bool wide, uint8_t image[512])
{
	const struct fpu_regs *f = &c->r.fpu;
	unsigned xmms = c->code_bits == 64 ? 16 : 8;

	memset(image, 0, 512);
	memcpy(image, &f->fcw, 2);
	memcpy(image + 2, &f->fsw, 2);
	image[4] = f->ftw;
	memcpy(image + 6, &f->fop, 2);
	memcpy(image + 8, &f->fip, wide ? 8 : 4);
	memcpy(image + 16, &f->fdp, wide ? 8 : 4);
	memcpy(image + 24, &f->mxcsr, 4);
	memcpy(image + 28, "\xff\xff\0\0", 4);
	for (unsigned i = 0; i < 8; i++)
		memcpy(image + 32 + 16 * i, f->st[i], 10);
	memcpy(image + 160, f->xmm, 16 * xmms);
}

static void image_in(struct soft_cpu *c, bool wide, const uint8_t image[512])
{
	struct fpu_regs *f = &c->r.fpu;
	unsigned xmms = c->code_bits == 64 ? 16 : 8;

	memcpy(&f->fcw, image, 2);
	memcpy(&f->fsw, image + 2, 2);
	f->ftw = image[4];
	memcpy(&f->fop, image + 6, 2);
	f->fip = f->fdp = 0;
	memcpy(&f->fip, image + 8, wide ? 8 : 4);
	memcpy(&f->fdp, image + 16, wide ? 8 : 4);
	memcpy(&f->mxcsr, image + 24, 4);
	for (unsigned i = 0; i < 8; i++)
		memcpy(f->st[i], image + 32 + 16 * i, 10);
	memcpy(f->xmm, image + 160, 16 * xmms);
}

static int image_linear(struct soft_cpu *c, const struct uop *u, bool write, uint64_t *lin)
{
	if (c->r.cr0 & (CR0_TS | CR0_EM))
		return soft_raise(c, VEC_NM), -1;
	if (exec_lea(c, u, 512, write, lin))
		return -1;
	return *lin & 15 ? (soft_raise_error(c, VEC_GP, 0), -1) : 0;
}

/* Everything but the last 48 bytes, which belong to software. */
#define FX_BYTES 464u

const struct uop *op_fxsave(struct soft_cpu *c, const struct uop *u)
{
	uint8_t image[512];
	uint64_t lin;

	if (image_linear(c, u, true, &lin) || soft_probe_write(c, lin + sizeof(image) - 1, 1) ||
	    soft_probe_write(c, lin, 16))
		return NULL;
	image_out(c, u->cond, image);
	for (unsigned i = 0; i < FX_BYTES; i += 16)
		if (soft_write(c, lin + i, 16, image + i))
			return NULL;
	return u + 1;
}

const struct uop *op_fxrstor(struct soft_cpu *c, const struct uop *u)
{
	uint8_t image[512];
	uint64_t lin;
	uint32_t mxcsr;

	if (image_linear(c, u, false, &lin) || soft_probe_read(c, lin + sizeof(image) - 1, 1))
		return NULL;
	for (unsigned i = 0; i < 512; i += 16)
		if (soft_read(c, lin + i, 16, image + i))
			return NULL;
	memcpy(&mxcsr, image + 24, 4);
	if (mxcsr >> 16)
		return soft_raise_error(c, VEC_GP, 0);
	image_in(c, u->cond, image);
	return u + 1;
}

const struct uop *op_ldmxcsr(struct soft_cpu *c, const struct uop *u)
{
	uint64_t v;

	if (!fpu_usable(c, true) || src_read(c, u, 4, &v))
		return NULL;
	if (v >> 16)
		return soft_raise_error(c, VEC_GP, 0);
	c->r.fpu.mxcsr = (uint32_t)v;
	return u + 1;
}

const struct uop *op_stmxcsr(struct soft_cpu *c, const struct uop *u)
{
	return !fpu_usable(c, true) || dst_write(c, u, 4, false, c->r.fpu.mxcsr) ? NULL : u + 1;
}

const struct uop *op_fninit(struct soft_cpu *c, const struct uop *u)
{
	if (!fpu_usable(c, false))
		return NULL;
	c->r.fpu.fcw = 0x37f;
	c->r.fpu.fsw = c->r.fpu.fop = 0;
	c->r.fpu.ftw = 0;
	c->r.fpu.fip = c->r.fpu.fdp = 0;
	return u + 1;
}

const struct uop *op_fnstcw(struct soft_cpu *c, const struct uop *u)
{
	return !fpu_usable(c, false) || dst_write(c, u, 2, false, c->r.fpu.fcw) ? NULL : u + 1;
}

const struct uop *op_fldcw(struct soft_cpu *c, const struct uop *u)
{
	uint64_t v;

	if (!fpu_usable(c, false) || src_read(c, u, 2, &v))
		return NULL;
	c->r.fpu.fcw = (uint16_t)v;
	return u + 1;
}

const struct uop *op_fnstsw(struct soft_cpu *c, const struct uop *u)
{
	return !fpu_usable(c, false) || dst_write(c, u, 2, false, c->r.fpu.fsw) ? NULL : u + 1;
}

const struct uop *op_fwait(struct soft_cpu *c, const struct uop *u)
{
	if ((c->r.cr0 & (CR0_TS | CR0_MP)) == (CR0_TS | CR0_MP))
		return soft_raise(c, VEC_NM);
	return u + 1;
}
