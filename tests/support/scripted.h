/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A debugger over the fake machine, for tests of run control: what the machine stops for is pushed beforehand.
 */
#ifndef KVMSCOPE_TESTS_SUPPORT_SCRIPTED_H
#define KVMSCOPE_TESTS_SUPPORT_SCRIPTED_H

#include "core/debug/debugger.h"
#include "tests/support/longguest.h"

extern struct debugger d;
extern int condition_says; /* what every condition gives: 1, 0, or an error; 1 at first */
extern unsigned condition_asked;

int scripted_setup(void **state); /* two vCPUs */
int scripted_teardown(void **state);

/* Added; the test fails where that does not work. */
struct stop_point *breakpoint(uint64_t addr, const char *cond);
struct stop_point *catchpoint(uint32_t event, bool has_arg, uint64_t arg);
void push_bp(int id, uint64_t rip); /* the machine's next stop */
/* That was the last stop, and the machine has no more of them. */
void expect_stop(enum stop_reason reason, int id, uint64_t rip);
struct regs *regs(unsigned vcpu);

#endif
