/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What capstone's numbers stand for, for all who read its instructions. Plain numbers here, so that nobody includes capstone
 * for this.
 */
#ifndef KVMSCOPE_CORE_CPU_INSN_IDS_H
#define KVMSCOPE_CORE_CPU_INSN_IDS_H

#include <stdbool.h>

/* An x86_reg as enum seg_index; -1: it is no segment register. */
int insn_segment(unsigned reg);
/* An x86_insn that takes LOCK if its destination is memory: it reads, changes and writes it. */
bool insn_lockable(unsigned id);

#endif
