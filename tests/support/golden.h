/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Text compared, byte for byte, with tests/golden/NAME.txt; KVMSCOPE_GOLDEN=write writes the files anew.
 */
#ifndef KVMSCOPE_TESTS_SUPPORT_GOLDEN_H
#define KVMSCOPE_TESTS_SUPPORT_GOLDEN_H

#include "views/view.h"

void compare_golden(const char *name, const struct out *o);

#endif
