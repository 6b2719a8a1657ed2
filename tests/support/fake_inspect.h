/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The fake machine's looks (tests/support only): deep copies of what the test scripted.
 */
#ifndef KVMSCOPE_TESTS_SUPPORT_FAKE_INSPECT_H
#define KVMSCOPE_TESTS_SUPPORT_FAKE_INSPECT_H

#include "tests/support/fake.h"

/* Non-zero, with *e filled, if the test wants operation op to fail now. */
int fake_failing(struct machine *m, const char *op, struct err *e);

extern const struct machine_looks fake_looks;
int fake_fault_stages(struct machine *m, struct fault_stage_list *out, struct err *e);

#endif
