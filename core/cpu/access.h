/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Which memory an instruction is about to read and write: linear addresses, from its bytes and the registers before it. By
 * capstone's operands, with the stack accesses that are no operands added. What follows from neither (descriptor and page
 * tables, the frame of an exception, gathers) is not told.
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

#define ACCESSES_MAX 4
struct insn_access {
	uint64_t linear;
	unsigned len;
	bool read, write;
};

/* How many accesses the instruction makes (a string instruction: one iteration), filled into out, reads before writes; -1
 * if the bytes are no instruction, or one whose accesses do not follow from them. */
int access_decode(struct access_decoder *d, const struct access_regs *r, const uint8_t *code, size_t n,
		  struct insn_access out[ACCESSES_MAX]);

#endif
