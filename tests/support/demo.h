/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Demo guests on the soft machine. What fails here fails the test.
 */
#ifndef KVMSCOPE_TESTS_SUPPORT_DEMO_H
#define KVMSCOPE_TESTS_SUPPORT_DEMO_H

#include "core/machine/machine.h"

/* "demo:tour", …: loaded, at its entry, with as many vCPUs as it wants. The caller destroys it. */
struct machine *demo_open(const char *name);
/* The same, run on to its first stop: for demo:tour, its end. */
struct machine *demo_run(const char *name);

#endif
