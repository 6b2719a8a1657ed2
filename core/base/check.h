/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Checks of what the program itself must hold: transitions of state machines, locks (lock.h). Builds for tests have them
 * (make CHECKS=1, and any SANITIZE); others do not.
 */
#ifndef KVMSCOPE_CORE_CHECK_H
#define KVMSCOPE_CORE_CHECK_H

#ifdef KVMSCOPE_CHECKS
#include <stdio.h>
#include <stdlib.h>
#define CHECK(holds)                                                                                                        \
	do {                                                                                                                \
		if (!(holds)) {                                                                                             \
			fprintf(stderr, "%s:%d: %s: it does not hold that %s\n", __FILE__, __LINE__, __func__, #holds);     \
			abort();                                                                                            \
		}                                                                                                           \
	} while (0)
#else
#define CHECK(holds) ((void)sizeof(!(holds)))
#endif

#endif
