/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The soft machine's rings of dirty pages: what KVM does where a VM logs by them (core/mem/dirtyring.h has the ring), both
 * the producer's half and the consumer's.
 */
#ifndef KVMSCOPE_CORE_SOFT_RINGS_H
#define KVMSCOPE_CORE_SOFT_RINGS_H

#include "core/soft/soft_impl.h"

/* A ring of so many entries for each vCPU. */
int soft_rings_create(struct soft_machine *m, unsigned vcpus, unsigned entries, struct err *e) MUST_USE;
void soft_rings_destroy(struct soft_machine *m);
void soft_rings_log(struct soft_machine *m, struct slot *s); /* a new slot's dirty pages go to the rings */
/* Whose instructions run from here on: its ring is pushed to. NULL: nobody's, as when the debugger writes; the bitmap alone
 * has it then. */
void soft_rings_run(struct soft_machine *m, struct soft_cpu *c);
/* What is marked from here on is not: a store through an spte. */
void soft_rings_by_spte(struct soft_machine *m, bool on);
/* Between two instructions: a vCPU whose ring is full enough comes out, and all is read and given back. */
void soft_rings_full(struct soft_machine *m);
void soft_rings_read(struct soft_machine *m); /* of all rings; changes nothing for the guest */
/* All that was read is given back, and its pages write-protected anew. */
void soft_rings_give_back(struct soft_machine *m);

#endif
