/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Where an address leads: SDM vol. 3A chapter 4, without rights, large pages and five levels, which these guests have not.
 */
#include "tests/agree/stops/stops.h"

static bool entry(struct machine *m, uint64_t at, unsigned size, uint64_t *out)
{
	*out = 0;
	return !machine_read(m, at, false, out, size, NULL) && *out & 1;
}

bool s_walk(struct machine *m, const struct regs *r, uint64_t gva, uint64_t *gpa)
{
	bool pae = r->cr4 & CR4_PAE;
	unsigned size = pae ? 8 : 4, bits = pae ? 9 : 10, levels = !pae ? 2 : r->efer & EFER_LMA ? 4 : 3;
	uint64_t table = r->cr3 & (levels == 3 ? 0xffffffe0 : 0xfffff000), e;

	if (!(r->cr0 & CR0_PG)) {
		*gpa = gva;
		return true;
	}
	for (unsigned level = levels; level; level--) {
		unsigned index = (unsigned)(gva >> (12 + bits * (level - 1)) & ((1u << bits) - 1));

		if (!entry(m, table + (uint64_t)index * size, size, &e))
			return false;
		table = e & 0xffffff000ull;
	}
	*gpa = table | (gva & 0xfff);
	return true;
}
