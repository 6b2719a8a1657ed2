/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Who called what runs now: return addresses along the chain of frame pointers. The stack is the guest's and may hold
 * anything: a return address counts only where the bytes before it are a call, frames only where they ascend.
 */
#ifndef KVMSCOPE_CORE_DEBUG_BACKTRACE_H
#define KVMSCOPE_CORE_DEBUG_BACKTRACE_H

#include "core/debug/debugger.h"

#define BACKTRACE_MAX 4096

struct frame {
	uint64_t pc;	/* linear: where it stands, or will go on */
	uint64_t frame; /* linear address of the frame's saved frame pointer; has_frame */
	bool has_frame; /* false: the function has set up none (yet) */
};

struct backtrace {
	struct frame *v; /* at least the innermost */
	size_t n;
	char end[200]; /* why there are no more, "" where max were asked for and are there */
};

/* At most max (1 to BACKTRACE_MAX) frames of the vCPU as it stands. */
int debug_backtrace(struct debugger *d, unsigned vcpu, size_t max, struct backtrace *out, struct err *e) MUST_USE;
void backtrace_free(struct backtrace *b);

#endif
