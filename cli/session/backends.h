/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The backends of this build, and which one a session uses.
 */
#ifndef KVMSCOPE_CLI_BACKENDS_H
#define KVMSCOPE_CLI_BACKENDS_H

#include "core/base/err.h"

struct machine_ops;

enum backend_choice { BACKEND_AUTO, BACKEND_KVM, BACKEND_SOFT };

/* The ops of the one that was asked for, or, with auto, of the first that works here; why: the reason in words. NULL with e
 * filled if it cannot be used; if none can, the first one's reason is the one to act on. */
const struct machine_ops *backend_choose(enum backend_choice choice, char *why, size_t size, struct err *e);

/* Open what takes capabilities, before they are given up; can it still be used as they are now? */
void backends_prepare(void);
bool backends_still_read(void);

#endif
