/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A plan of the debugger's (core/debug/plan.h) from begin to end, by one call that blocks. Errors are those of debug_start()
 * and debug_wait().
 */
#ifndef KVMSCOPE_TESTS_SUPPORT_BLOCKING_H
#define KVMSCOPE_TESTS_SUPPORT_BLOCKING_H

#include "core/debug/debugger.h"

int debug_continue(struct debugger *d, unsigned vcpu, struct err *e) MUST_USE;
int debug_step(struct debugger *d, unsigned vcpu, uint64_t n, struct err *e) MUST_USE;
int debug_next(struct debugger *d, unsigned vcpu, uint64_t n, struct err *e) MUST_USE;
int debug_until(struct debugger *d, unsigned vcpu, uint64_t addr, struct err *e) MUST_USE;
int debug_finish(struct debugger *d, unsigned vcpu, struct err *e) MUST_USE;
int debug_reverse_step(struct debugger *d, unsigned vcpu, uint64_t n, struct err *e) MUST_USE;
int debug_reverse_continue(struct debugger *d, struct err *e) MUST_USE;

#endif
