/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a number points to, and what that points to: the chain behind a register or a word of the stack, as far as it can be
 * followed in the guest's memory. Whether a number is an address cannot be known; it is taken for one if memory can be read
 * there through the vCPU's tables, and if it is no small number (below 4096: flags, counts, errors). A device is not read.
 *
 * What an address points to is code where it may be executed and not written, or in the page of the next instruction and
 * neither text nor zeroes (rip's is always, the stack's never); else a pointer where the word there is an address again;
 * else a string where four characters or more stand; else a number.
 *
 * In 16-bit code an address is an offset, and nothing says of which segment: a register is followed through its own, a word
 * of memory only if it is the offset in CS of a symbol, or lies in or close behind one (a return address).
 */
#ifndef KVMSCOPE_CORE_DEBUG_DEREF_H
#define KVMSCOPE_CORE_DEBUG_DEREF_H

#include "core/cpu/disas.h"
#include "core/load/symbols.h"
#include "core/stop/where.h"

#define DEREF_LINKS 6
#define DEREF_STRING_MAX 64

/* What the last value of a chain is. */
enum deref_end {
	DEREF_NUMBER,
	DEREF_CODE,   /* the address of insn */
	DEREF_STRING, /* the address of string */
	DEREF_LOOP,   /* an address that the chain has had already */
	DEREF_MORE,   /* the chain goes on, and was not followed further */
};

struct deref_chain {
	unsigned n; /* 1 or more */
	uint64_t
	    value[DEREF_LINKS]; /* the first is where it began; each further one stands where the one before points to */
	uint64_t linear[DEREF_LINKS]; /* of each that is_address says: memory can be read there */
	bool is_address[DEREF_LINKS];
	enum deref_end end;
	char string[DEREF_STRING_MAX + 1]; /* characters, and newlines and tabs */
	bool string_cut;		   /* it goes on */
	struct insn insn;
};

/* A vCPU's memory while it stands as it does now. Points to itself: not to be copied. */
struct deref {
	struct machine *m;
	unsigned vcpu;
	const struct symbols *syms;
	struct disas *disas;
	struct where w;
	struct xlate_env env;
	struct paging pg;
};

/* syms and disas must live as long. Who looks at a guest that may run holds it (machine_look_begin()). */
int deref_init(struct deref *d, struct machine *m, unsigned vcpu, const struct symbols *syms, struct disas *disas,
	       struct err *e) MUST_USE;
/* Of a word of memory. */
void deref_word(struct deref *d, uint64_t value, struct deref_chain *out);
/* Of a general register (0 to 15), or of rip (16). In 16-bit code only of those that address memory. */
#define DEREF_RIP 16
void deref_register(struct deref *d, unsigned reg, struct deref_chain *out);
/* Does the register address memory here? Then its linear address. */
bool deref_register_address(const struct deref *d, unsigned reg, uint64_t *linear);
/* Is its value taken for an address at all? */
bool deref_register_points(const struct deref *d, unsigned reg);

#endif
