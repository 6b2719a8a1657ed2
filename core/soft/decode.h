/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The decoder: capstone's three widths, opened once a machine.
 */
#ifndef KVMSCOPE_CORE_SOFT_DECODE_H
#define KVMSCOPE_CORE_SOFT_DECODE_H

#include "core/base/err.h"

struct decoder;
int decoder_create(struct decoder **out, struct err *e) MUST_USE;
void decoder_destroy(struct decoder *d);
const char *decoder_name(struct decoder *d, unsigned insn); /* the mnemonic of a struct uop's insn */

#endif
