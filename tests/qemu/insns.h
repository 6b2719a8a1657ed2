/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Inside of the lists of random instructions (insns*.c): one instruction that is being made, and its parts.
 */
#ifndef KVMSCOPE_TESTS_QEMU_INSNS_H
#define KVMSCOPE_TESTS_QEMU_INSNS_H

#include "tests/qemu/qemu.h"

#define TAKEN 26 /* of INT 0x81 within the code */
#define FLAGS_ALL (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

enum kind { PM32, PM16, VM86, REAL };

struct maker {
	struct rng rng;
	enum kind kind;
	struct insn_note *n;
	unsigned at;   /* bytes so far */
	unsigned op;   /* operand size: 2 or 4 */
	unsigned addr; /* address size */
	int seg;       /* override, -1 for none: index into es cs ss ds fs gs */
	bool lock;
};

static inline unsigned below(struct maker *m, unsigned n)
{
	return rng_below(&m->rng, n);
}
static inline bool percent(struct maker *m, unsigned n)
{
	return rng_percent(&m->rng, n);
}
static inline void byte(struct maker *m, unsigned b)
{
	m->n->code[m->at++] = (uint8_t)b;
}
static inline void le(struct maker *m, uint32_t v, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		byte(m, v >> 8 * i & 0xff);
}
static inline bool real_like(const struct maker *m)
{
	return m->kind == VM86 || m->kind == REAL;
}

/* An offset for up to 16 bytes, within every segment and away from the stacks: QEMU's TCG checks no limits. */
uint32_t insn_target(struct maker *m);
/* ModRM and what follows: reg, and memory or (where allowed) a register. */
enum { ANY = 0, MEMORY = 1, REGISTER = -1 };
void insn_modrm(struct maker *m, unsigned reg, int memory);
/* What the maker's sizes, segment and lock ask for; the opcode comes next. */
void insn_prefixes(struct maker *m);
void insn_imm(struct maker *m, unsigned size);

/* One of a kind: arithmetic and moves; strings, the stack, branches, segments and what is refused. */
void insn_make_data(struct maker *m);
void insn_make_control(struct maker *m);

#endif
