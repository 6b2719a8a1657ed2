/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Where a vCPU stands, in linear addresses: what breakpoints, sentences and stepping all need.
 */
#ifndef KVMSCOPE_CORE_STOP_WHERE_H
#define KVMSCOPE_CORE_STOP_WHERE_H

#include "core/machine/machine.h"

/* A vCPU's position: linear addresses, wrapped to 32 bits outside 64-bit code. */
struct where {
	struct regs r; /* REGS_GPR and REGS_SYS */
	uint64_t pc, sp;
	unsigned bits; /* of code: 16, 32, 64 */
	unsigned word; /* bytes of a near return address */
};
int where_get(struct machine *m, unsigned vcpu, struct where *out, struct err *e) MUST_USE;
/* seg's base + offset, wrapped as w's mode does. */
uint64_t where_linear(const struct where *w, const struct seg *seg, uint64_t offset);
/* Up to n bytes of code at a linear address, as many as can be read; 0 if none can. */
size_t where_code(struct machine *m, unsigned vcpu, uint64_t addr, uint8_t *buf, size_t n);

#endif
