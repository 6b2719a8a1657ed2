/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Which memory an instruction is about to read and write: linear addresses, from its bytes and the registers before it. By
 * capstone's operands, with the stack accesses that are no operands added; in the order and in the parts in which a
 * processor makes them (PUSHA is eight stores, FXSAVE one of 16 bytes after the other). What follows from neither
 * (descriptor and page tables, the frame of an exception, gathers, what a mask leaves out) is not told. Operations: Intel
 * SDM vol. 2.
 */
#ifndef KVMSCOPE_CORE_DEBUG_ACCESS_H
#define KVMSCOPE_CORE_DEBUG_ACCESS_H

#include "core/base/err.h"
#include "core/cpu/regs.h"

struct access_decoder;
int access_decoder_create(struct access_decoder **out, struct err *e) MUST_USE;
void access_decoder_destroy(struct access_decoder *d); /* NULL is fine */

/* Registers before the instruction. base: of each segment, 0 if 64-bit code ignores it. */
struct access_regs {
	unsigned bits; /* of code: 16, 32, 64 */
	bool stack32;  /* SS.B; of no account in 64-bit code */
	uint64_t gpr[16], rip;
	uint64_t base[SEG_COUNT];
};

#define ACCESSES_MAX 64 /* ENTER with 31 levels: 32 pushes, 30 reads */
struct insn_access {
	uint64_t linear;
	unsigned len;
	bool read, write; /* both: the same bytes are read, changed and written, also if nothing changes (CMPXCHG) */
};

/* How many accesses the instruction makes (a string instruction: one iteration; REP with a count of 0: none), filled into
 * out; -1 if the bytes are no instruction, or one whose accesses do not follow from them. */
int access_decode(struct access_decoder *d, const struct access_regs *r, const uint8_t *code, size_t n,
		  struct insn_access out[ACCESSES_MAX]);

/* Is it one that reads, changes and writes its operand in memory? */
bool access_modifies(struct access_decoder *d, unsigned bits, const uint8_t *code, size_t n);

/* A string instruction under REP. */
struct access_rep {
	unsigned size; /* of an element */
	bool source, dest, dest_write;
	uint64_t mask;	    /* of rsi, rdi and rcx, by the address size */
	enum seg_index seg; /* of the source */
};
bool access_rep_decode(struct access_decoder *d, const struct access_regs *r, const uint8_t *code, size_t n,
		       struct access_rep *out);
/* How many iterations lie between the registers before and after. */
uint64_t access_rep_count(const struct access_rep *s, const struct access_regs *before, const struct access_regs *after);
/* The accesses of iteration i, counted from the registers before. after: for the direction. */
int access_rep_at(const struct access_rep *s, const struct access_regs *before, const struct access_regs *after, uint64_t i,
		  struct insn_access out[2]);

/* Registers before an instruction out of those behind it, as far as it moves them by what it is: RSI and RDI by an element,
 * RCX by one under REP, RSP by words. down: DF is set. What it loads stays as it is. */
void access_undo(struct access_decoder *d, const struct access_regs *behind, bool down, const uint8_t *code, size_t n,
		 struct access_regs *before);

/* The instruction that ends where n bytes of code end, by where instructions begin that lead there from further up: its
 * length, 0 if that is not beyond doubt. */
unsigned access_length_before(struct access_decoder *d, unsigned bits, const uint8_t *code, size_t n);
/* The same where an instruction is known to begin at the first byte, and what leads to the end to have been executed: 0 if
 * something on the way jumps. */
unsigned access_length_from(struct access_decoder *d, unsigned bits, const uint8_t *code, size_t n);

#endif
