/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A KVM_RUN that the run loop cannot go on from, in words. Functions of the run area alone, so that tests can put any bytes
 * into one.
 */
#ifndef KVMSCOPE_KVMBACK_EXITWORDS_H
#define KVMSCOPE_KVMBACK_EXITWORDS_H

#include "kvmback/kvm.h"

/* The exit in r: s->kvm_exit, suberror, error (what happened, with the exit's name and numbers) and next (what to do). Of an
 * emulation failure also insn and n_insn, 0 if KVM gave no bytes. Counts in r are bounded here. */
void exit_words(const struct kvm_run *r, struct stop *s);

/* KVM_EXIT_MEMORY_FAULT's part of r; told false if the exit is another one, as on kernels without it. */
struct memory_fault {
	bool told;
	uint64_t flags, gpa, size;
};
struct memory_fault exit_memory_fault(const struct kvm_run *r);

/* A slot that the host may refuse the guest: a file that may be written, or one that has been cut short. */
bool exit_slot_to_blame(const struct slot *slot);

/* KVM_RUN failed with errno errnum for memory that the host does not give: s->error, s->next, s->gpa and s->slot. slot: the
 * one that has f.gpa, or (f.told false) one that may be to blame; NULL for none. */
void exit_memory_words(const struct memory_fault *f, const struct slot *slot, int errnum, struct stop *s);

#endif
