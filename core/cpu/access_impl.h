/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What access.c (where an instruction's accesses are) and access_kind.c (what they are) share. Nobody else includes this.
 */
#ifndef KVMSCOPE_CORE_CPU_ACCESS_IMPL_H
#define KVMSCOPE_CORE_CPU_ACCESS_IMPL_H

#include <capstone/capstone.h>

#include "core/cpu/access.h"

bool access_is_string(const cs_insn *in); /* MOVS and its like, by the opcode */
bool access_touches_nothing(unsigned id); /* its operand is an address and nothing more */
/* Fills in read and write of an access to operand number index. */
void access_direction(const cs_insn *in, unsigned index, struct insn_access *a);
unsigned access_width(const struct access_regs *r, const cs_insn *in); /* 2 or 4, by the mode and the prefix */

unsigned access_far_width(const struct access_regs *r, const cs_insn *in); /* of the offset in a far pointer; 8 by REX.W */

/* The parts in which an operand of size bytes is touched, ascending: how many, 0 if nobody knows. */
#define ACCESS_PARTS_MAX 32
unsigned access_parts(const struct access_regs *r, const cs_insn *in, unsigned size, uint8_t part[ACCESS_PARTS_MAX]);

#endif
