/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Does a run get anywhere? Some guests run for ever where they stand: a jump to itself, a device access that never ends, an
 * exception that its handler does not take away. Nothing stops there, so the run says it once, and goes on.
 *
 * Whoever executes a vCPU counts its device accesses and exceptions here, each against the one before, and looks at its
 * registers a few times a second. There is no progress if looks of a whole second agree in that all accesses were the same
 * one with the same registers; else that all exceptions were; else that there were none, and no general register has
 * changed. Where the instruction pointer is meanwhile is told and not judged: who waits in a loop that changes nothing waits
 * as well. What counts is in the registers: a loop that counts in one, a copy, a wait with a timeout is never told; one that
 * counts in memory alone is, and the words claim no more than was looked at.
 *
 * This knows neither machines nor clocks: the moment of a look is given.
 */
#ifndef KVMSCOPE_CORE_RUN_PROGRESS_H
#define KVMSCOPE_CORE_RUN_PROGRESS_H

#include "core/base/util.h"

#define PROGRESS_LOOK_NS 250000000ull /* between two looks */
#define PROGRESS_STALL_NS 1000000000ull
#define PROGRESS_LOOKS 4 /* that agree, besides: the host may have slept */

enum stall_kind { STALL_NONE, STALL_SPIN, STALL_ACCESS, STALL_EXCEPTION };

/* What repeats. Addresses of instructions are linear. */
struct stall {
	enum stall_kind kind;
	unsigned vcpu;
	uint64_t ns;	      /* for so long */
	uint64_t first, last; /* SPIN: the lowest and the highest place seen; else the place of what repeats in both */
	uint64_t count;	      /* ACCESS, EXCEPTION: how often */
	bool port, write;     /* ACCESS */
	uint64_t address;     /* ACCESS: gpa, or port; EXCEPTION 14: CR2 */
	unsigned len;	      /* ACCESS: bytes */
	uint8_t vector;	      /* EXCEPTION */
	/* The instruction at first, as far as it could be read. */
	uint8_t code_bits, n_insn, insn[15];
};

/* One thing that happens again and again. */
struct repeated {
	uint64_t rip, address, state;
	uint32_t what;	    /* the rest of it */
	uint64_t same, n;   /* in a row; in all */
	uint64_t n_at_look; /* … when it was looked at last */
};

/* Of one vCPU; belongs to the thread that executes it. Zeroes before the first run. */
struct progress {
	struct repeated access, exception;
	unsigned len; /* of the access */
	/* The looks that agree. */
	enum stall_kind kind;
	uint64_t state, since, first, last;
	unsigned looks;
	bool told;
	uint64_t now;
};

/* A number for what general registers have; the stack pointer does not count, as a handler may be under way. */
static inline uint64_t progress_state(const uint64_t gpr[16])
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < 16; i++)
		if (i != 4)
			sum = (sum ^ gpr[i]) * 0x9e3779b97f4a7c15ull;
	return sum;
}

/* Addresses that differ in no more bits than near are the same. */
static inline void progress_count(struct repeated *r, uint64_t rip, uint64_t address, uint64_t near, uint32_t what,
				  uint64_t state)
{
	bool same = r->n && r->rip == rip && !((r->address ^ address) & ~near) && r->what == what && r->state == state;

	r->n++;
	r->same++;
	if (same)
		return;
	r->same = 1;
	r->rip = rip;
	r->address = address;
	r->what = what;
	r->state = state;
}

/* A device was accessed by the instruction at rip. A wide access comes in parts. */
static inline void progress_access(struct progress *p, uint64_t rip, bool port, uint64_t address, unsigned len, bool write,
				   uint64_t state)
{
	progress_count(&p->access, rip, address, port ? 0 : 63, (uint32_t)port << 1 | write, state);
	if (p->access.same == 1)
		p->len = len;
}

/* An exception goes to its handler. */
static inline void progress_exception(struct progress *p, uint64_t rip, uint8_t vector, uint64_t cr2, uint64_t state)
{
	progress_count(&p->exception, rip, vector == 14 ? cr2 : 0, 0, vector, state);
}

/* A run begins. */
void progress_forget(struct progress *p);
/* A look: now in nanoseconds of a clock that does not go back. True: there has been no progress for a second. */
bool progress_look(struct progress *p, uint64_t now, uint64_t rip, uint64_t state);
/* After such a look: what is to be told of it, without vCPU and instruction. False: it has been told, until there is
 * progress again. */
bool progress_tell(struct progress *p, struct stall *out);

#endif
