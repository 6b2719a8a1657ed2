/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The host memory behind a slot: one memfd or file, mapped once for the guest (slot->hva, what KVM is told) and once for the
 * debugger (slot->alias).
 */
#ifndef KVMSCOPE_KVMBACK_BACKING_H
#define KVMSCOPE_KVMBACK_BACKING_H

#include "kvmback/kvm.h"

#define HUGE_SIZE (2ull << 20)

/* Fill s->backing, hva, alias, and for a file fd, fd_offset, file_backed. Errors in words: no such file, too short, no
 * address space, no memory for KVM's own tables, no guest_memfd here. s is untouched on failure. */
int backing_make(const struct kvm_vm *vm, struct slot *s, const struct slot_spec *spec, struct slot_steps *steps,
		 struct err *e) MUST_USE;
void backing_free(struct slot *s); /* nothing if there is none */

#endif
