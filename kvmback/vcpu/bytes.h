/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * int3 bytes of ours in guest memory. Any thread may call these; nobody runs in the guest past a byte that is lifted, which
 * is the caller's business.
 */
#ifndef KVMSCOPE_KVMBACK_BYTES_H
#define KVMSCOPE_KVMBACK_BYTES_H

#include "kvmback/vcpu/vcpu.h"

/* at: where the debugger's view has the byte. False: no memory left for it. One that is there already stays as it is. */
bool bytes_lay(struct run_state *rs, uint8_t *at);
/* Is a byte of ours at this place? *under: what the guest has there. */
bool bytes_known(struct run_state *rs, const uint8_t *at, uint8_t *under);
bool bytes_any(struct run_state *rs);
/* The guest's own bytes for a moment, of one page (for an instruction) or all; then ours over what is there now, where
 * nothing else keeps them lifted. */
void bytes_lift_page(struct run_state *rs, const uint8_t *page);
enum lift_for {
	LIFT_FOR_INSN = 1, /* an instruction that is stepped, or that a page is open for */
	LIFT_FOR_PARK = 2, /* a vCPU stands inside a fault: memory is read as the guest has it */
};
void bytes_lift(struct run_state *rs, enum lift_for what_for);
void bytes_lay_again(struct run_state *rs, enum lift_for what_for);
/* All of them away for good. */
void bytes_remove(struct run_state *rs);
/* Those that are laid at this moment. */
typedef void bytes_fn(void *arg, const uint8_t *at, uint8_t under);
void bytes_each(struct run_state *rs, bytes_fn *fn, void *arg);
void bytes_free(struct run_state *rs);

#endif
