/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Disassembly by capstone in 16, 32 and 64 bit, and the questions that run control asks of an instruction.
 */
#ifndef KVMSCOPE_CORE_DEBUG_DISAS_H
#define KVMSCOPE_CORE_DEBUG_DISAS_H

#include "core/base/err.h"

struct disas;
int disas_create(struct disas **out, struct err *e) MUST_USE;
void disas_destroy(struct disas *d);

enum insn_kind {
	INSN_PLAIN,
	INSN_CALL,
	INSN_RET,
	INSN_INT,  /* int n, int3, int1, into */
	INSN_IRET, /* iret, sysret, sysexit */
	INSN_JUMP,
	INSN_HLT,
	INSN_RSM,
	INSN_PUSHF,
	INSN_POPF,
	INSN_SYSCALL, /* syscall, sysenter */
	INSN_REP,     /* a string instruction with REP */
	INSN_MOV_SS,  /* mov ss, pop ss: holds interrupts and traps for one instruction */
};

struct insn {
	uint64_t addr;
	unsigned len; /* 0: not an instruction; then 1 byte is shown as .byte */
	uint8_t bytes[16];
	char mnemonic[32], operands[160];
	enum insn_kind kind;
	uint64_t target; /* of a direct call or jump; 0 for none */
};

/* Decode one instruction of n bytes at code (n may be less than 15: what could be read). bits is 16, 32 or 64. False if
 * the bytes are no instruction; out->len is then 0 and bytes[0] filled. */
bool disas_one(struct disas *d, unsigned bits, uint64_t addr, const uint8_t *code, size_t n, struct insn *out);

/* The kind alone, from the opcode bytes and without capstone: a few nanoseconds. INSN_PLAIN also if the bytes end too
 * soon or are no instruction. */
enum insn_kind disas_kind(unsigned bits, const uint8_t *code, size_t n);

/* Will the conditional jump at code (n bytes of it) be taken with these registers? 1, 0; -1: it is no conditional jump. */
int disas_taken(unsigned bits, const uint8_t *code, size_t n, uint64_t rflags, uint64_t rcx);

/* For who asks capstone, which in 16-bit code takes 66, F2 and F3 for an operand size and a repetition also where they are
 * part of an SSE opcode, and so gives another instruction, or none: the same one as 32-bit code, and how many bytes that
 * are. n is 15 at the most. What the length differs by, the instruction's does too. 0: code is none of these. */
unsigned disas_sse_as_32bit(const uint8_t *code, unsigned n, uint8_t out[16]);

#endif
