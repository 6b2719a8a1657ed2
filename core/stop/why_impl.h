/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Inside core/stop: the text that a sentence is built in, and the parts about exceptions and instructions.
 */
#ifndef KVMSCOPE_CORE_STOP_WHY_IMPL_H
#define KVMSCOPE_CORE_STOP_WHY_IMPL_H

#include "core/cpu/smm.h"
#include "core/stop/why.h"

struct why {
	const struct why_env *env;
	const struct stop *s;
	int id; /* of the stop point that the sentence is about; 0: none */
	char *buf;
	size_t len, size;
	uint64_t rip, linear; /* looked up last */
};

/* "Breakpoint 1 (main), hit 2 times": the words of most kinds for point_ops.tell. */
void why_point(struct why *w, const struct stop_point *p);
/* Append; what does not fit is cut. */
void why_add(struct why *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* "0x200000 (main+0x4)": an offset in CS, as rip is; "0x10 (linear 0x7c10, main)" where that is another number */
void why_rip(struct why *w, uint64_t rip);
/* ", `mov eax, 1` (bytes b8 01 …)" of n bytes, or (n 0) of what stands at rip. Returns the instruction's length, 0 where
 * there is none. */
unsigned why_insn(struct why *w, uint64_t rip, const uint8_t *code, size_t n);
void why_exception(struct why *w);
void why_mmu(struct why *w);
/* "page fault" (#PF), …; "reserved" beyond those that the architecture names. */
const char *exception_name(uint8_t vector);
const char *exception_mnemonic(uint8_t vector); /* "#PF"; "" for none */

#endif
