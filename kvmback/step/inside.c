/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A breakpoint in the middle of an instruction, as far as the instructions from rip on tell: an int3 behind prefixes comes
 * out with rip at or behind the int3 by host, and only who knows where the instruction began can tell it from a hit.
 */
#include "core/cpu/around.h"
#include "kvmback/step/insn.h"

static size_t read_code(void *ctx, uint64_t linear, uint8_t *code, size_t n)
{
	return gmem_read(ctx, linear, code, n);
}

uint64_t insn_begin_of(struct kvcpu *v, uint64_t linear)
{
	struct around a = {.bits = vcpu_bits(v), .read = read_code, .ctx = v};
	uint64_t found;

	if (disas_create(&a.disas, NULL))
		return 0;
	found = insn_around(&a, vcpu_linear_rip(v), linear);
	disas_destroy(a.disas);
	return found;
}
