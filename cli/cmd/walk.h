/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Everything on one guest virtual address, from the guest's tables down to host physical memory and the shadow entries,
 * and what an access would do.
 */
#ifndef KVMSCOPE_CLI_WALK_H
#define KVMSCOPE_CLI_WALK_H

#include "core/base/value.h"
#include "core/machine/machine.h"

/* In access: as the debugger reads, whom neither SMAP nor protection keys stop. */
#define WALK_DEBUGGER (1u << 16)

/* access: ACCESS_READ, WRITE or FETCH, and USER. The record's keys: gva, access, user, mode, cr3, guest, fault, gpa,
 * page_size, rights (what the guest's tables allow: writable, user, exec), slot, slot_flags, hva, hpa, sptes, mmio, verdict
 * (ok, exception, mmio, readonly, nested), why, source; in L2 under nested tables nested (what L1's make of the address that
 * the guest's give). With TDP also tdp (format, levels, reads) and dimensions (for read, write and
 * fetch: access, guest, tdp, why), and each row of guest has tdp, hpa, page_size, why (walk_impl.h). A layer that cannot be
 * seen is n/a with its reason and does not fail the rest. Changes nothing. */
int walk_address(struct machine *m, unsigned vcpu, uint64_t gva, unsigned access, struct pool *p, struct value *out,
		 struct err *e) MUST_USE;

#endif
