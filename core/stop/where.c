/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A vCPU's position out of its registers.
 */
#include "core/stop/where.h"

uint64_t where_linear(const struct where *w, const struct seg *seg, uint64_t offset)
{
	return w->bits == 64 ? offset : (uint32_t)(seg->base + offset);
}

int where_get(struct machine *m, unsigned vcpu, struct where *out, struct err *e)
{
	int rc = machine_get_regs(m, vcpu, REGS_GPR | REGS_SYS, &out->r, e);

	if (rc)
		return rc;
	out->bits = regs_code_bits(&out->r);
	out->word = out->bits / 8;
	out->pc = regs_pc(&out->r);
	out->sp = regs_sp(&out->r);
	return 0;
}

size_t where_code(struct machine *m, unsigned vcpu, uint64_t addr, uint8_t *buf, size_t n)
{
	size_t first = PAGE_SIZE_4K - (addr & PAGE_OFFSET_MASK);

	if (!machine_read_gva(m, vcpu, addr, buf, n, NULL))
		return n;
	if (first >= n || machine_read_gva(m, vcpu, addr, buf, first, NULL))
		return 0;
	return first;
}
