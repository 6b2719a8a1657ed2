/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * seg:off as a linear address. In real and virtual-8086 mode a selector is a sixteenth of its base; elsewhere it names a
 * descriptor in the guest's GDT or LDT, which is read (Intel SDM vol. 3A, sections 3.4.2 to 3.5.1 and 20.1.1). A segment
 * register has its base with it, which need not be what the descriptor says by now.
 */
#ifndef KVMSCOPE_CORE_DEBUG_SEGMENT_H
#define KVMSCOPE_CORE_DEBUG_SEGMENT_H

#include "core/machine/machine.h"

/* -EINVAL with words: a selector of more than 16 bits, the null selector, beyond its table, no code or data, not present;
 * -ERANGE: an offset of more than 32 bits outside 64-bit code, of more than 16 in real mode; what reading the table gives. m
 * NULL: as in real mode. */
int segment_linear(struct machine *m, unsigned vcpu, uint64_t selector, uint64_t offset, uint64_t *out,
		   struct err *e) MUST_USE;
/* By what the register has loaded, whose limit may allow more than 16 bits in real mode; seg is an enum seg_index. */
int segment_reg_linear(struct machine *m, unsigned vcpu, unsigned seg, uint64_t offset, uint64_t *out,
		       struct err *e) MUST_USE;
/* The segment register of that name, -1 for any other. */
int segment_by_name(const char *name);

#endif
