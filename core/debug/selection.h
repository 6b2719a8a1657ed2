/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The address that a user looks at, as far as it is known on each side of the guest's tables, and those looked at before.
 */
#ifndef KVMSCOPE_CORE_DEBUG_SELECTION_H
#define KVMSCOPE_CORE_DEBUG_SELECTION_H

#include "core/machine/machine.h"

struct place {
	bool has_gva, has_gpa;
	uint64_t gva, gpa;
};

#define SELECTIONS_KEPT 64
struct selection {
	struct place at;
	unsigned generation; /* counts choices: another one is another address, or the same under other tables */
	struct place past[SELECTIONS_KEPT];
	unsigned n_past, now; /* past[now] is at, if n_past */
};

/* Look at this. What of it is not told is found, if it can be: a gva's gpa by the vCPU's tables as a supervisor's read, a
 * gpa's gva by the first spte of its rmap that says it. m NULL: nothing is found. */
void selection_choose(struct selection *s, struct machine *m, unsigned vcpu, const struct place *at);
/* The one before (by -1), the one after; found anew. False: there is none. */
bool selection_step(struct selection *s, struct machine *m, unsigned vcpu, int by);
/* The machine has run, or is another one: find the other side of the present one again. */
void selection_refresh(struct selection *s, struct machine *m, unsigned vcpu);

#endif
