/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * 64-bit instructions as bytes: a table of encodings, operands chosen at random. RBX, RBP, RSP, R12, R13 and R14 are kept as
 * pointers and index, so that operands in memory can be aimed; everything else may be written.
 *
 * Encodings: Intel SDM vol. 2, appendix A.
 */
#include "tests/agree/agree.h"

#include <string.h>

enum {
	T_BYTE = 1 << 0,    /* the opcode below is the byte form */
	T_MEM = 1 << 1,	    /* r/m is memory only */
	T_REG = 1 << 2,	    /* r/m is a register only */
	T_WRITE = 1 << 3,   /* r/m is written */
	T_DREG = 1 << 4,    /* the register operand is written */
	T_LOCK = 1 << 5,    /* may have LOCK */
	T_XREG = 1 << 6,    /* the register operand is xmm */
	T_XRM = 1 << 7,	    /* an r/m that is a register is xmm */
	T_ALIGN = 1 << 8,   /* memory on 16 bytes */
	T_FIXED = 1 << 9,   /* no operand size: access of .size bytes */
	T_NOWORD = 1 << 10, /* 32 and 64 bit only */
	T_RM8 = 1 << 11,    /* r/m is a byte whatever the operand size */
	T_RM16 = 1 << 12,
	T_STEP = 1 << 13, /* KVM's emulator does another thing: a rule sees it only when stepping */
};
enum { IMM_NONE, IMM_8, IMM_SIZE };

struct form {
	const char *name;
	uint16_t op; /* 0x0fxx, 0x38xx: two- and three-byte maps */
	int8_t digit;
	uint8_t prefix, imm, size;
	uint16_t flags;
	uint32_t class;
};

#define ALU(N, D)                                                                                                           \
	{#N, D * 8, -1, 0, IMM_NONE, 0, T_BYTE | T_WRITE | T_LOCK, CLASS_ALU},                                              \
	    {#N, D * 8 + 1, -1, 0, IMM_NONE, 0, T_WRITE | T_LOCK, CLASS_ALU},                                               \
	    {#N, D * 8 + 2, -1, 0, IMM_NONE, 0, T_BYTE | T_DREG, CLASS_ALU},                                                \
	    {#N, D * 8 + 3, -1, 0, IMM_NONE, 0, T_DREG, CLASS_ALU},                                                         \
	    {#N, 0x80, D, 0, IMM_8, 0, T_BYTE | T_WRITE | T_LOCK, CLASS_ALU},                                               \
	    {#N, 0x81, D, 0, IMM_SIZE, 0, T_WRITE | T_LOCK, CLASS_ALU},                                                     \
	{                                                                                                                   \
#N, 0x83, D, 0, IMM_8, 0, T_WRITE | T_LOCK, CLASS_ALU                                                       \
	}
#define SHIFT(N, D)                                                                                                         \
	{#N, 0xc0, D, 0, IMM_8, 0, T_BYTE | T_WRITE, CLASS_SHIFT}, {#N, 0xc1, D, 0, IMM_8, 0, T_WRITE, CLASS_SHIFT},        \
	    {#N, 0xd0, D, 0, IMM_NONE, 0, T_BYTE | T_WRITE, CLASS_SHIFT},                                                   \
	    {#N, 0xd1, D, 0, IMM_NONE, 0, T_WRITE, CLASS_SHIFT},                                                            \
	    {#N, 0xd2, D, 0, IMM_NONE, 0, T_BYTE | T_WRITE, CLASS_SHIFT},                                                   \
	{                                                                                                                   \
#N, 0xd3, D, 0, IMM_NONE, 0, T_WRITE, CLASS_SHIFT                                                           \
	}
#define SSE(N, OP)                                                                                                          \
	{                                                                                                                   \
#N, 0x0f00 + OP, -1, 0x66, IMM_NONE, 16, T_XREG | T_XRM | T_ALIGN | T_FIXED, CLASS_SSE                      \
	}
#define SSEI(N, OP, P)                                                                                                      \
	{                                                                                                                   \
#N, 0x0f00 + OP, -1, P, IMM_8, 16, T_XREG | T_XRM | T_ALIGN | T_FIXED, CLASS_SSE                            \
	}
#define SSESH(N, OP, D)                                                                                                     \
	{                                                                                                                   \
#N, 0x0f00 + OP, D, 0x66, IMM_8, 16, T_XRM | T_REG | T_FIXED, CLASS_SSE                                     \
	}
#define SSEM(N, OP, P, SZ, FL)                                                                                              \
	{                                                                                                                   \
#N, 0x0f00 + OP, -1, P, IMM_NONE, SZ, T_XREG | T_XRM | T_FIXED | FL, CLASS_SSE                              \
	}

static const struct form forms[] = {
    ALU(add, 0),
    ALU(or, 1),
    ALU(adc, 2),
    ALU(sbb, 3),
    ALU(and, 4),
    ALU(sub, 5),
    ALU(xor, 6),
    {"cmp", 0x38, -1, 0, IMM_NONE, 0, T_BYTE, CLASS_ALU},
    {"cmp", 0x39, -1, 0, IMM_NONE, 0, 0, CLASS_ALU},
    {"cmp", 0x3a, -1, 0, IMM_NONE, 0, T_BYTE, CLASS_ALU},
    {"cmp", 0x3b, -1, 0, IMM_NONE, 0, 0, CLASS_ALU},
    {"cmp", 0x80, 7, 0, IMM_8, 0, T_BYTE, CLASS_ALU},
    {"cmp", 0x81, 7, 0, IMM_SIZE, 0, 0, CLASS_ALU},
    {"cmp", 0x83, 7, 0, IMM_8, 0, 0, CLASS_ALU},
    {"test", 0x84, -1, 0, IMM_NONE, 0, T_BYTE, CLASS_ALU},
    {"test", 0x85, -1, 0, IMM_NONE, 0, 0, CLASS_ALU},
    {"test", 0xf6, 0, 0, IMM_8, 0, T_BYTE, CLASS_ALU},
    {"test", 0xf7, 0, 0, IMM_SIZE, 0, 0, CLASS_ALU},
    {"not", 0xf6, 2, 0, IMM_NONE, 0, T_BYTE | T_WRITE | T_LOCK, CLASS_ALU},
    {"not", 0xf7, 2, 0, IMM_NONE, 0, T_WRITE | T_LOCK, CLASS_ALU},
    {"neg", 0xf6, 3, 0, IMM_NONE, 0, T_BYTE | T_WRITE | T_LOCK, CLASS_ALU},
    {"neg", 0xf7, 3, 0, IMM_NONE, 0, T_WRITE | T_LOCK, CLASS_ALU},
    {"inc", 0xfe, 0, 0, IMM_NONE, 0, T_BYTE | T_WRITE | T_LOCK, CLASS_ALU},
    {"inc", 0xff, 0, 0, IMM_NONE, 0, T_WRITE | T_LOCK, CLASS_ALU},
    {"dec", 0xfe, 1, 0, IMM_NONE, 0, T_BYTE | T_WRITE | T_LOCK, CLASS_ALU},
    {"dec", 0xff, 1, 0, IMM_NONE, 0, T_WRITE | T_LOCK, CLASS_ALU},
    SHIFT(rol, 0),
    SHIFT(ror, 1),
    SHIFT(rcl, 2),
    SHIFT(rcr, 3),
    SHIFT(shl, 4),
    SHIFT(shr, 5),
    SHIFT(sal, 6),
    SHIFT(sar, 7),
    {"shld", 0x0fa4, -1, 0, IMM_8, 0, T_WRITE, CLASS_SHIFT},
    {"shld", 0x0fa5, -1, 0, IMM_NONE, 0, T_WRITE, CLASS_SHIFT},
    {"shrd", 0x0fac, -1, 0, IMM_8, 0, T_WRITE, CLASS_SHIFT},
    {"shrd", 0x0fad, -1, 0, IMM_NONE, 0, T_WRITE, CLASS_SHIFT},
    {"mul", 0xf6, 4, 0, IMM_NONE, 0, T_BYTE, CLASS_MULDIV},
    {"mul", 0xf7, 4, 0, IMM_NONE, 0, 0, CLASS_MULDIV},
    {"imul", 0xf6, 5, 0, IMM_NONE, 0, T_BYTE, CLASS_MULDIV},
    {"imul", 0xf7, 5, 0, IMM_NONE, 0, 0, CLASS_MULDIV},
    {"imul", 0x0faf, -1, 0, IMM_NONE, 0, T_DREG, CLASS_MULDIV},
    {"imul", 0x69, -1, 0, IMM_SIZE, 0, T_DREG, CLASS_MULDIV},
    {"imul", 0x6b, -1, 0, IMM_8, 0, T_DREG, CLASS_MULDIV},
    {"bt", 0x0fba, 4, 0, IMM_8, 0, 0, CLASS_BIT},
    {"bts", 0x0fba, 5, 0, IMM_8, 0, T_WRITE | T_LOCK, CLASS_BIT},
    {"btr", 0x0fba, 6, 0, IMM_8, 0, T_WRITE | T_LOCK, CLASS_BIT},
    {"btc", 0x0fba, 7, 0, IMM_8, 0, T_WRITE | T_LOCK, CLASS_BIT},
    {"bt", 0x0fa3, -1, 0, IMM_NONE, 0, T_REG, CLASS_BIT},
    {"bts", 0x0fab, -1, 0, IMM_NONE, 0, T_WRITE | T_REG, CLASS_BIT},
    {"btr", 0x0fb3, -1, 0, IMM_NONE, 0, T_WRITE | T_REG, CLASS_BIT},
    {"btc", 0x0fbb, -1, 0, IMM_NONE, 0, T_WRITE | T_REG, CLASS_BIT},
    {"bsf", 0x0fbc, -1, 0, IMM_NONE, 0, T_DREG, CLASS_BIT},
    {"bsr", 0x0fbd, -1, 0, IMM_NONE, 0, T_DREG, CLASS_BIT},
    {"tzcnt", 0x0fbc, -1, 0xf3, IMM_NONE, 0, T_STEP | T_DREG, CLASS_BIT},
    {"lzcnt", 0x0fbd, -1, 0xf3, IMM_NONE, 0, T_STEP | T_DREG, CLASS_BIT},
    {"popcnt", 0x0fb8, -1, 0xf3, IMM_NONE, 0, T_DREG, CLASS_BIT},
    {"mov", 0x88, -1, 0, IMM_NONE, 0, T_BYTE | T_WRITE, CLASS_MOVE},
    {"mov", 0x89, -1, 0, IMM_NONE, 0, T_WRITE, CLASS_MOVE},
    {"mov", 0x8a, -1, 0, IMM_NONE, 0, T_BYTE | T_DREG, CLASS_MOVE},
    {"mov", 0x8b, -1, 0, IMM_NONE, 0, T_DREG, CLASS_MOVE},
    {"mov", 0xc6, 0, 0, IMM_8, 0, T_BYTE | T_WRITE, CLASS_MOVE},
    {"mov", 0xc7, 0, 0, IMM_SIZE, 0, T_WRITE, CLASS_MOVE},
    {"movzx", 0x0fb6, -1, 0, IMM_NONE, 0, T_DREG | T_RM8, CLASS_MOVE},
    {"movzx", 0x0fb7, -1, 0, IMM_NONE, 0, T_DREG | T_RM16 | T_NOWORD, CLASS_MOVE},
    {"movsx", 0x0fbe, -1, 0, IMM_NONE, 0, T_DREG | T_RM8, CLASS_MOVE},
    {"movsx", 0x0fbf, -1, 0, IMM_NONE, 0, T_DREG | T_RM16 | T_NOWORD, CLASS_MOVE},
    {"movsxd", 0x63, -1, 0, IMM_NONE, 0, T_DREG | T_NOWORD, CLASS_MOVE},
    {"lea", 0x8d, -1, 0, IMM_NONE, 0, T_DREG | T_MEM, CLASS_MOVE},
    {"movbe", 0x38f0, -1, 0, IMM_NONE, 0, T_STEP | T_DREG | T_MEM, CLASS_MOVE},
    {"movbe", 0x38f1, -1, 0, IMM_NONE, 0, T_STEP | T_MEM | T_WRITE, CLASS_MOVE},
    {"movnti", 0x0fc3, -1, 0, IMM_NONE, 0, T_MEM | T_WRITE | T_NOWORD, CLASS_MOVE},
    {"nop", 0x0f1f, 0, 0, IMM_NONE, 0, 0, CLASS_MOVE},
    {"xchg", 0x86, -1, 0, IMM_NONE, 0, T_BYTE | T_WRITE | T_DREG | T_LOCK, CLASS_ATOMIC},
    {"xchg", 0x87, -1, 0, IMM_NONE, 0, T_WRITE | T_DREG | T_LOCK, CLASS_ATOMIC},
    {"xadd", 0x0fc0, -1, 0, IMM_NONE, 0, T_BYTE | T_WRITE | T_DREG | T_LOCK, CLASS_ATOMIC},
    {"xadd", 0x0fc1, -1, 0, IMM_NONE, 0, T_WRITE | T_DREG | T_LOCK, CLASS_ATOMIC},
    {"cmpxchg", 0x0fb0, -1, 0, IMM_NONE, 0, T_BYTE | T_WRITE | T_LOCK, CLASS_ATOMIC},
    {"cmpxchg", 0x0fb1, -1, 0, IMM_NONE, 0, T_WRITE | T_LOCK, CLASS_ATOMIC},
    {"cmpxchg8b", 0x0fc7, 1, 0, IMM_NONE, 16, T_MEM | T_WRITE | T_LOCK | T_ALIGN | T_NOWORD, CLASS_ATOMIC},
    SSE(pand, 0xdb),
    SSE(pandn, 0xdf),
    SSE(por, 0xeb),
    SSE(pxor, 0xef),
    SSE(paddb, 0xfc),
    SSE(paddw, 0xfd),
    SSE(paddd, 0xfe),
    SSE(paddq, 0xd4),
    SSE(psubb, 0xf8),
    SSE(psubw, 0xf9),
    SSE(psubd, 0xfa),
    SSE(psubq, 0xfb),
    SSE(pcmpeqb, 0x74),
    SSE(pcmpeqw, 0x75),
    SSE(pcmpeqd, 0x76),
    SSE(pcmpgtb, 0x64),
    SSE(pcmpgtw, 0x65),
    SSE(pcmpgtd, 0x66),
    SSE(pminub, 0xda),
    SSE(pmaxub, 0xde),
    SSE(pminsw, 0xea),
    SSE(pmaxsw, 0xee),
    SSE(pmullw, 0xd5),
    SSE(pavgb, 0xe0),
    SSE(psllw, 0xf1),
    SSE(pslld, 0xf2),
    SSE(psllq, 0xf3),
    SSE(psrlw, 0xd1),
    SSE(psrld, 0xd2),
    SSE(psrlq, 0xd3),
    SSE(psraw, 0xe1),
    SSE(psrad, 0xe2),
    SSESH(psllw, 0x71, 6),
    SSESH(psrlw, 0x71, 2),
    SSESH(psraw, 0x71, 4),
    SSESH(pslld, 0x72, 6),
    SSESH(psrld, 0x72, 2),
    SSESH(psrad, 0x72, 4),
    SSESH(psllq, 0x73, 6),
    SSESH(psrlq, 0x73, 2),
    SSESH(pslldq, 0x73, 7),
    SSESH(psrldq, 0x73, 3),
    SSE(punpcklbw, 0x60),
    SSE(punpcklwd, 0x61),
    SSE(punpckldq, 0x62),
    SSE(punpcklqdq, 0x6c),
    SSE(punpckhbw, 0x68),
    SSE(punpckhwd, 0x69),
    SSE(punpckhdq, 0x6a),
    SSE(punpckhqdq, 0x6d),
    SSE(packuswb, 0x67),
    SSE(pmuludq, 0xf4),
    SSE(unpcklpd, 0x14),
    SSE(unpckhpd, 0x15),
    SSEI(pshufd, 0x70, 0x66),
    SSEI(pshuflw, 0x70, 0xf2),
    SSEI(pshufhw, 0x70, 0xf3),
    SSEI(shufps, 0xc6, 0),
    SSEI(shufpd, 0xc6, 0x66),
    SSEM(movaps, 0x28, 0, 16, T_ALIGN),
    SSEM(movaps, 0x29, 0, 16, T_ALIGN | T_WRITE),
    SSEM(movups, 0x10, 0, 16, 0),
    SSEM(movups, 0x11, 0, 16, T_WRITE),
    SSEM(movdqa, 0x6f, 0x66, 16, T_ALIGN),
    SSEM(movdqa, 0x7f, 0x66, 16, T_ALIGN | T_WRITE),
    SSEM(movdqu, 0x6f, 0xf3, 16, 0),
    SSEM(movdqu, 0x7f, 0xf3, 16, T_WRITE),
    SSEM(movntdq, 0xe7, 0x66, 16, T_ALIGN | T_WRITE | T_MEM),
    SSEM(movntps, 0x2b, 0, 16, T_ALIGN | T_WRITE | T_MEM),
    SSEM(lddqu, 0xf0, 0xf2, 16, T_MEM),
    SSEM(movss, 0x10, 0xf3, 4, 0),
    SSEM(movss, 0x11, 0xf3, 4, T_WRITE),
    SSEM(movsd, 0x10, 0xf2, 8, 0),
    SSEM(movsd, 0x11, 0xf2, 8, T_WRITE),
    SSEM(movq, 0x7e, 0xf3, 8, 0),
    SSEM(movq, 0xd6, 0x66, 8, T_WRITE),
    SSEM(movlps, 0x12, 0, 8, 0), /* between registers: movhlps */
    SSEM(movlps, 0x13, 0, 8, T_WRITE | T_MEM),
    SSEM(movhps, 0x16, 0, 8, 0), /* movlhps */
    SSEM(movhps, 0x17, 0, 8, T_WRITE | T_MEM),
    SSEM(movlpd, 0x12, 0x66, 8, T_MEM),
    SSEM(movhpd, 0x16, 0x66, 8, T_MEM),
    {"movd", 0x0f6e, -1, 0x66, IMM_NONE, 0, T_XREG | T_NOWORD, CLASS_SSE},
    {"movd", 0x0f7e, -1, 0x66, IMM_NONE, 0, T_XREG | T_NOWORD | T_WRITE, CLASS_SSE},
    {"pmovmskb", 0x0fd7, -1, 0x66, IMM_NONE, 0, T_XRM | T_REG | T_DREG | T_NOWORD, CLASS_SSE},
    {"movmskps", 0x0f50, -1, 0, IMM_NONE, 0, T_XRM | T_REG | T_DREG | T_NOWORD, CLASS_SSE},
    {"lfence", 0x0fae, 5, 0, IMM_NONE, 0, T_REG | T_FIXED, CLASS_SSE}, /* with any rm */
    {"mfence", 0x0fae, 6, 0, IMM_NONE, 0, T_REG | T_FIXED, CLASS_SSE},
    {"sfence", 0x0fae, 7, 0, IMM_NONE, 0, T_REG | T_FIXED, CLASS_SSE},
    {"movmskpd", 0x0f50, -1, 0x66, IMM_NONE, 0, T_XRM | T_REG | T_DREG | T_NOWORD, CLASS_SSE},
};

void emit_byte(struct plan *p, uint8_t b)
{
	if (p->len < sizeof(p->code))
		p->code[p->len++] = b;
}

void emit_bytes(struct plan *p, const void *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		emit_byte(p, ((const uint8_t *)b)[i]);
}

void emit_le(struct plan *p, uint64_t v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		emit_byte(p, (uint8_t)(v >> 8 * i));
}

void emit_mov_imm(struct plan *p, unsigned reg, uint64_t v)
{
	emit_byte(p, reg >= 8 ? 0x49 : 0x48);
	if (v == (uint64_t)(int64_t)(int32_t)v) {
		emit_byte(p, 0xc7);
		emit_byte(p, (uint8_t)(0xc0 | (reg & 7)));
		emit_le(p, v, 4);
	} else {
		emit_byte(p, (uint8_t)(0xb8 | (reg & 7)));
		emit_le(p, v, 8);
	}
}

unsigned pick_free(struct plan *p)
{
	static const uint8_t reg[] = {RAX, RCX, RDX, RSI, RDI, R8, R9, R10, R11, R15};

	return reg[rng_below(&p->rng, sizeof(reg))];
}

/* ---- one instruction under construction */

struct making {
	const struct form *f;
	unsigned size;	  /* operand size */
	unsigned reg, rm; /* numbers; byte registers 4 to 7 without REX are AH to BH */
	bool mem, high, force_rex, lock, addr32;
	int fs;
	uint64_t target;
	unsigned how, base, index, scale;
	int64_t disp;
};

static unsigned any_reg(struct plan *p, bool written)
{
	return written ? pick_free(p) : rng_below(&p->rng, 16);
}

/* A byte register: high ones where no REX will be needed. */
static unsigned byte_reg(struct plan *p, bool written, bool high)
{
	if (!high)
		return any_reg(p, written);
	static const uint8_t may[] = {RAX, RCX, RDX, 4, 5, 6};
	return written ? may[rng_below(&p->rng, 6)] : rng_below(&p->rng, 8);
}

static const struct {
	uint8_t base;
	bool addr32;
} bases[] = {{RBX, false}, {R12, false}, {R13, false}, {RBP, false}, {R12, true}, {RBX, true}};

static void aim(struct plan *p, struct making *k)
{
	unsigned b = rng_below(&p->rng, 6);

	k->how = rng_below(&p->rng, 10);
	k->base = bases[b].base;
	k->addr32 = bases[b].addr32;
	k->index = R14;
	k->scale = rng_below(&p->rng, 4);
	k->fs = (p->classes & CLASS_SEGMENT) && rng_percent(&p->rng, 5);
	uint64_t to = k->target - (k->fs ? p->fs_base : 0);
	k->disp = (int64_t)(to - p->r.gpr[k->base]);
	if (k->how >= 4 && k->how < 8)
		k->disp -= (int64_t)(p->r.gpr[R14] << k->scale);
	if (k->how == 8)
		k->disp = (int64_t)to; /* absolute */
	if (k->how >= 8)
		k->addr32 = false;
	if (k->disp != (int32_t)k->disp)
		k->how = 0;
}

/* The ModRM byte, SIB and displacement; imm_len bytes follow, which rip-relative operands must know. */
static void put_modrm(struct plan *p, const struct making *k, unsigned imm_len)
{
	unsigned reg = (k->reg & 7) << 3;

	if (!k->mem) {
		emit_byte(p, (uint8_t)(0xc0 | reg | (k->rm & 7)));
		return;
	}
	if (k->how == 9) {
		emit_byte(p, (uint8_t)(5 | reg));
		uint64_t next = p->start + p->len + 4 + imm_len;
		emit_le(p, k->target - (k->fs ? p->fs_base : 0) - next, 4);
		return;
	}
	if (k->how == 8) {
		emit_byte(p, (uint8_t)(4 | reg));
		emit_byte(p, 0x25);
		emit_le(p, (uint64_t)k->disp, 4);
		return;
	}
	unsigned mod = k->disp == (int8_t)k->disp && k->how & 1 ? 1 : 2;
	bool sib = k->how >= 4 || (k->base & 7) == 4;
	emit_byte(p, (uint8_t)(mod << 6 | reg | (sib ? 4 : (k->base & 7))));
	if (sib)
		emit_byte(p, (uint8_t)(k->scale << 6 | (k->how >= 4 ? k->index & 7 : 4) << 3 | (k->base & 7)));
	emit_le(p, (uint64_t)k->disp, mod == 1 ? 1 : 4);
}

static void put(struct plan *p, const struct making *k)
{
	const struct form *f = k->f;
	bool indexed = k->mem && k->how >= 4 && k->how < 8, based = k->mem && k->how < 8;
	unsigned rex = (k->size == 8 && !(f->flags & T_FIXED) ? 8 : 0) | (k->reg >= 8 ? 4 : 0) |
		       (indexed && k->index >= 8 ? 2 : 0) | ((k->mem ? based && k->base >= 8 : k->rm >= 8) ? 1 : 0);
	unsigned imm = f->imm == IMM_8 ? 1 : f->imm == IMM_SIZE ? (k->size == 2 ? 2 : 4) : 0;

	if (k->lock)
		emit_byte(p, 0xf0);
	if (k->mem && k->fs)
		emit_byte(p, 0x64);
	if (k->mem && k->addr32)
		emit_byte(p, 0x67);
	if (k->size == 2 && !(f->flags & T_FIXED) && f->prefix != 0x66)
		emit_byte(p, 0x66);
	if (f->prefix)
		emit_byte(p, f->prefix);
	if (rex || k->force_rex)
		emit_byte(p, (uint8_t)(0x40 | rex));
	if (f->op >> 8)
		emit_byte(p, 0x0f);
	if (f->op >> 8 == 0x38)
		emit_byte(p, 0x38);
	emit_byte(p, (uint8_t)f->op);
	put_modrm(p, k, imm);
	uint64_t v = rng_value(&p->rng);
	emit_le(p, imm == 1 && rng_percent(&p->rng, 70) ? v & 63 : v, imm);
}

static bool fits(const struct plan *p, const struct form *f, uint32_t classes)
{
	return f->class & classes && (p->stepping || !(f->flags & T_STEP));
}

static void choose_size(struct plan *p, struct making *k)
{
	static const uint8_t size[] = {2, 4, 4, 8, 8};

	k->size = k->f->flags & T_BYTE ? 1 : size[rng_below(&p->rng, 5)];
	if (k->f->flags & T_NOWORD && k->size == 2)
		k->size = 4;
}

static void choose_regs(struct plan *p, struct making *k)
{
	unsigned fl = k->f->flags;
	bool bytes = fl & (T_BYTE | T_RM8);

	k->high = bytes && !k->mem && k->size < 8 && rng_percent(&p->rng, 30);
	if (fl & T_BYTE && k->mem)
		k->high = k->how < 8 && k->base < 8 && k->how < 4 && rng_percent(&p->rng, 30);
	k->force_rex = bytes && !k->high;
	k->reg = fl & T_XREG		  ? rng_below(&p->rng, 16)
		 : k->high && fl & T_BYTE ? byte_reg(p, fl & T_DREG, true)
					  : any_reg(p, fl & T_DREG);
	if (k->high && !(fl & T_BYTE))
		k->reg &= 7, k->reg = fl & T_DREG && (k->reg == RBX || k->reg == RSP || k->reg == RBP) ? RAX : k->reg;
	k->rm = fl & T_XRM ? rng_below(&p->rng, 16) : k->high ? byte_reg(p, fl & T_WRITE, true) : any_reg(p, fl & T_WRITE);
	if (k->f->digit >= 0)
		k->reg = (unsigned)k->f->digit;
}

void emit_table(struct plan *p, uint32_t classes)
{
	struct making k = {0};
	unsigned n = sizeof(forms) / sizeof(*forms), at = rng_below(&p->rng, n);

	while (!fits(p, &forms[at], classes))
		at = rng_below(&p->rng, n);
	k.f = &forms[at];
	choose_size(p, &k);
	unsigned access = k.f->size ? k.f->size : k.f->flags & T_RM8 ? 1 : k.f->flags & T_RM16 ? 2 : k.size;
	k.mem = k.f->flags & T_MEM || (!(k.f->flags & T_REG) && rng_percent(&p->rng, 45));
	if (k.mem) {
		k.target = plan_target(p, access, k.f->flags & T_WRITE, k.f->flags & T_ALIGN);
		aim(p, &k);
		k.lock = k.f->flags & T_LOCK && rng_percent(&p->rng, 20);
	}
	choose_regs(p, &k);
	put(p, &k);
}
