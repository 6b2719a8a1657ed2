/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A machine's whole state at one moment, to go back to: slots with their memory and dirty logs, registers and events of
 * every vCPU, the board's devices, and on the soft backend everything else too (shadow tables, MMIO caches, turns). What the
 * user asked for (breakpoints, displays) is no part of it.
 */
#ifndef KVMSCOPE_CORE_DEBUG_CHECKPOINT_H
#define KVMSCOPE_CORE_DEBUG_CHECKPOINT_H

#include "core/debug/pages.h"
#include "core/machine/machine.h"

struct checkpoint;
/* base: an earlier checkpoint of the same machine and store, with which it shares what is the same; NULL for none. Nothing
 * that it looks at changes. -EBUSY: a vCPU stands inside a fault. */
int checkpoint_take(struct page_store *store, struct machine *m, const struct checkpoint *base, struct checkpoint **out,
		    struct err *e) MUST_USE;
void checkpoint_drop(struct checkpoint *c);
/* The debugger's own slots, breakpoints and watches stay as they are. A slot that was deleted since is made anew, with other
 * host memory; then shadow tables begin empty. An error after the first step says that the VM is half restored. */
int checkpoint_restore(struct machine *m, const struct checkpoint *c, struct err *e) MUST_USE;
uint64_t checkpoint_position(const struct checkpoint *c); /* machine_position() then */
uint64_t checkpoint_rip(const struct checkpoint *c, unsigned vcpu);
size_t checkpoint_pages(const struct checkpoint *c); /* pages of guest memory that were not all zeroes */

#endif
