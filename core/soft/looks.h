/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The soft backend's looks (core/machine/looks.h), for its table of operations.
 */
#ifndef KVMSCOPE_CORE_SOFT_LOOKS_H
#define KVMSCOPE_CORE_SOFT_LOOKS_H

#include "core/machine/calls.h"

extern const struct machine_looks soft_looks;

#endif
