/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Page tables and sptes by hand.
 */
#include "tests/support/tableguest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

struct spte_info *tableguest_spte(struct machine *m, unsigned level, uint64_t gva, uint64_t gfn, unsigned bits)
{
	struct spte_list *l = &fake_of(m)->sptes;
	struct spte_info *s;

	if (!(l->n & (l->n - 1))) /* full, at each power of two */
		l->v = realloc(l->v, (l->n ? l->n * 2 : 1) * sizeof(*l->v));
	assert_non_null(l->v);
	s = &l->v[l->n++];
	*s = (struct spte_info){.gva = gva,
				.gva_known = true,
				.gfn = gfn,
				.gfn_known = true,
				.level = level,
				.page_gfn = 5 - level,
				.present = true,
				.pfn = 0x1000 + gfn,
				.leaf = level == 1,
				.writable = bits & H_W,
				.user = bits & H_U,
				.exec = bits & H_X,
				.accessed = bits & H_A,
				.dirty = bits & H_D,
				.source = SOURCE_SOFT};
	return s;
}

struct machine *tableguest_create(const uint64_t *pte, size_t n)
{
	struct machine *m = longguest_create(1, 0);

	for (uint64_t gva = 0; gva < 2u << 20; gva += PAGE_SIZE_4K)
		longguest_set_pte(m, gva, 0);
	for (size_t i = 0; i < n; i++)
		longguest_set_pte(m, 0x10000 + (i << PAGE_SHIFT), pte[i]);
	for (unsigned level = 4; level > 1; level--)
		tableguest_spte(m, level, 0, 6 - level, H_RWX | H_A);
	return m;
}

struct machine *tableguest_large(bool host)
{
	const uint64_t pte[] = {0x20000 | PTE_ALL};
	struct machine *m = tableguest_create(pte, 1);

	longguest_poke_word(m, 0x2000 + 8, 0x6000 | PTE_ALL);
	for (unsigned i = 0; i < TABLEGUEST_MANY; i++) {
		uint64_t table = 0x100000 + i * PAGE_SIZE_4K, words[512];
		longguest_poke_word(m, 0x6000 + 8 * i, table | PTE_ALL);
		for (unsigned k = 0; k < 512; k++)
			words[k] = 0x20000 | PTE_ALL;
		longguest_poke(m, table, words, sizeof(words));
	}
	if (!host)
		return m;
	tableguest_spte(m, 3, 0x40000000, 6, H_RWX | H_A);
	for (unsigned i = 0; i < TABLEGUEST_MANY; i++) {
		uint64_t at = 0x40000000 + (uint64_t)i * 0x200000;
		tableguest_spte(m, 2, at, 0x100 + i, H_RWX | H_A);
		for (unsigned k = 0; k < 512; k++)
			tableguest_spte(m, 1, at + k * PAGE_SIZE_4K, 0x20, i == 150 && k == 7 ? H_RWX | H_A : H_ALL);
	}
	return m;
}

void tableguest_destroy(struct machine *m)
{
	spte_list_free(&fake_of(m)->sptes);
	shadow_page_list_free(&fake_of(m)->shadow_pages);
	machine_destroy(m);
}

int tableguest_slots_with_own(struct machine *m, struct slot_info_list *out, struct err *e)
{
	(void)m;
	out->v = calloc(2, sizeof(*out->v));
	if (!out->v)
		return err_nomem(e, "list slots");
	out->v[0] = (struct slot_info){.id = 0, .size = 2 << 20};
	out->v[1] = (struct slot_info){.id = 32763, .gpa = 0xfef00000, .size = 0x8000, .own = true};
	out->n = 2;
	return 0;
}
