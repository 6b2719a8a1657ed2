/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The decoder: capstone's three widths, opened once a machine. It knows nothing of CPUs and of memory.
 */
#ifndef KVMSCOPE_CORE_SOFT_DECODE_H
#define KVMSCOPE_CORE_SOFT_DECODE_H

#include "core/base/err.h"
#include "core/soft/uop.h"

struct decoder;
int decoder_create(struct decoder **out, struct err *e) MUST_USE;
void decoder_destroy(struct decoder *d);
const char *decoder_name(struct decoder *d, unsigned insn); /* the mnemonic of a struct uop's insn */

/* One instruction of up to 15 bytes (n are there) at rip, in code of 16, 32 or 64 bits: all of *u but fn and off.
 * OP_unsupported for what is an instruction that the CPU lacks. False: it is none, #UD is to be raised. */
bool decoder_decode(struct decoder *d, unsigned bits, uint64_t rip, const uint8_t *code, unsigned n, struct uop *u);

#endif
