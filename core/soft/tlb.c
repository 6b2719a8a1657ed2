/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The soft CPU's TLB: emptied, one page forgotten, direct writes to a page forgotten. mem.c fills it, cpu.h asks it in line.
 */
#include "core/soft/soft_impl.h"

static const struct soft_tlb_entry no_entry = {.read = ~0ull, .write = ~0ull, .fetch = ~0ull};

void soft_tlb_init(struct soft_cpu *c)
{
	for (unsigned k = 0; k < 2; k++)
		for (unsigned i = 0; i < SOFT_TLB_SIZE; i++)
			c->tlb_of[k][i] = no_entry;
	c->tlb_n_used = 0;
}

/* A guest that loads CR3 often has few entries each time. */
void soft_tlb_flush(struct soft_cpu *c)
{
	c->flushes++;
	c->flushes_of_all++;
	if (c->tlb_n_used > SOFT_TLB_FEW)
		soft_tlb_init(c);
	while (c->tlb_n_used)
		*c->tlb_used[--c->tlb_n_used] = no_entry;
}

void soft_tlb_flush_page(struct soft_cpu *c, uint64_t gva_page)
{
	unsigned i = gva_page >> PAGE_SHIFT & (SOFT_TLB_SIZE - 1);

	c->flushes++;
	for (unsigned k = 0; k < 2; k++)
		c->tlb_of[k][i] = no_entry;
}

static void forget_writes(struct soft_cpu *c, const uint8_t *page)
{
	for (unsigned k = 0; k < 2; k++)
		for (unsigned i = 0; i < SOFT_TLB_SIZE; i++)
			if (c->tlb_of[k][i].host == page)
				c->tlb_of[k][i].write = ~0ull;
}

void soft_tlb_forget_writes(struct soft_machine *m, const uint8_t *page)
{
	for (unsigned i = 0; i < ARRAY_LEN(m->cpu) && m->cpu[i]; i++)
		forget_writes(m->cpu[i], page);
}
