/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Is an address in the middle of an instruction? Told by decoding from an address where one begins.
 */
#ifndef KVMSCOPE_CORE_CPU_AROUND_H
#define KVMSCOPE_CORE_CPU_AROUND_H

#include <stddef.h>

#include "core/cpu/disas.h"

/* Code at a linear address: how many bytes there are. */
typedef size_t around_read(void *ctx, uint64_t linear, uint8_t *code, size_t n);
struct around {
	struct disas *disas;
	unsigned bits;
	bool through; /* what is behind a jump or a return is code too: all of it is one function */
	around_read *read;
	void *ctx;
};

/* Where the instruction begins in whose middle `to` is, if one begins at from; 0: in none, or nobody knows (too far, no
 * instruction on the way, or what may be data). */
uint64_t insn_around(const struct around *a, uint64_t from, uint64_t to);

#endif
