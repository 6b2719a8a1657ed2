/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The identity-mapped guest on the fake machine.
 */
#include "tests/support/longguest.h"

#include <stdlib.h>

void longguest_poke(struct machine *m, uint64_t gpa, const void *bytes, size_t n)
{
	if (machine_write(m, gpa, false, bytes, n, NULL))
		abort();
}

void longguest_poke_word(struct machine *m, uint64_t gpa, uint64_t word)
{
	longguest_poke(m, gpa, &word, sizeof(word));
}

void longguest_set_pte(struct machine *m, uint64_t gva, uint64_t entry)
{
	longguest_poke_word(m, LONG_PT + (gva >> PAGE_SHIFT & 511) * 8, entry);
}

struct machine *longguest_create(unsigned vcpus, unsigned cpl)
{
	struct machine *m = fake_create(vcpus);

	fake_add_slot(m, 0, 0, 2u << 20, 0);
	for (unsigned table = 0x1000; table < LONG_PT; table += 0x1000)
		longguest_poke_word(m, table, (table + 0x1000) | PTE_P | PTE_W | PTE_U);
	for (uint64_t gva = 0; gva < 2u << 20; gva += PAGE_SIZE_4K)
		longguest_set_pte(m, gva, gva | PTE_P | PTE_W | PTE_U);
	for (unsigned i = 0; i < vcpus; i++)
		fake_enter_long(m, i, cpl, 0x1000, 0x10000);
	fake_of(m)->wrotes = 0;
	return m;
}
