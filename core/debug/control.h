/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What run control's files share, internal to core/debug: resuming with a temporary stop, and callers on the stack.
 */
#ifndef KVMSCOPE_CORE_DEBUG_CONTROL_H
#define KVMSCOPE_CORE_DEBUG_CONTROL_H

#include "core/debug/debugger.h"
#include "core/stop/where.h"

/* Between the steps of a loop: has the user asked for an end (Ctrl-C while no guest ran)? */
bool control_asked(const struct debugger *d);
/* The same; then d->stop tells so. */
bool control_interrupted(struct debugger *d);
/* The machine stands where c was taken, and so does the judge, whose passed was this. */
void control_restored(struct debugger *d, const struct checkpoint *c, uint64_t passed);

/* A frame that spans more than this is no frame. */
#define CONTROL_FRAME_MAX (1u << 20)
/* Where a return address may stand, and what it is: linear addresses. */
struct ret_guess {
	uint64_t slot, addr;
};
/* stepping.c: the innermost return address. False: none that stands behind a call. */
bool control_return(struct debugger *d, unsigned vcpu, const struct where *w, struct ret_guess *g);
/* Is addr right behind a call? *target is a direct one's, else 0. */
bool control_behind_call(struct debugger *d, unsigned vcpu, const struct where *w, uint64_t addr, uint64_t *target);
/* A word of the stack (w->word bytes). False: it cannot be read. */
bool control_read_word(struct debugger *d, unsigned vcpu, const struct where *w, uint64_t addr, uint64_t *out);
/* The linear address that a frame pointer stands for. */
uint64_t control_frame(const struct where *w, uint64_t bp);
/* Would the user be told of this stop by one of their breakpoints? Counts no hit; s gets the breakpoint's number. */
bool control_would_tell(struct debugger *d, struct stop *s);

#endif
