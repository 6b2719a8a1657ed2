/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Handlers behind the table in cli/cmd/look.c: what shows several things of one place at once; and what they share.
 */
#ifndef KVMSCOPE_CLI_LOOK_H
#define KVMSCOPE_CLI_LOOK_H

#include "cli/cmd/args.h"
#include "cli/session/session.h"
#include "core/debug/deref.h"

/* What the current vCPU's numbers point to; the caller holds the machine. */
int look_deref(struct call *c, struct deref *d, struct err *e) MUST_USE;
/* "rax" to "r15" by their number, "rip" (DEREF_RIP). */
const char *look_register_name(unsigned reg);
/* n words of the guest's size from a linear address on: dicts of address, offset, value (n/a with the reason where nothing
 * can be read), chain (of record_chain, the value first), registers (the names of those that point there). */
struct value telescope(struct call *c, struct deref *d, uint64_t addr, uint64_t n);

/* Sections of the context. */
enum context_part { CONTEXT_REGS = 1, CONTEXT_CODE = 2, CONTEXT_STACK = 4, CONTEXT_STOP = 8, CONTEXT_ALL = 15 };
/* The current vCPU's: vcpu, mode, cpl, and by section registers, changed, chains; code; stack; stop. What cannot be known is
 * n/a and does not fail the rest. */
int context(struct call *c, unsigned parts, struct value *out, struct err *e) MUST_USE;

int cmd_context(struct call *c, struct err *e);
int cmd_telescope(struct call *c, struct err *e);
int cmd_hexdump(struct call *c, struct err *e);
int cmd_xinfo(struct call *c, struct err *e);
int cmd_show(struct call *c, struct err *e);

#endif
