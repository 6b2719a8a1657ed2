/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Reporting what the shadow MMU does to its tables as it happens, in the words of a kernel's tracepoints.
 */
#include "core/soft/mmu/shadow_impl.h"

/* As the kernel packs it: level 0-3, 4-byte entries 4, quadrant 5-6, direct 7, access 8-10, invalid 11. */
static uint32_t role_word(const struct mmu_page *sp)
{
	const struct shadow_role *r = &sp->role;

	return r->level | (uint32_t)r->gpte4 << 4 | (uint32_t)r->quadrant << 5 | (uint32_t)r->direct << 7 |
	       (uint32_t)r->access << 8 | (uint32_t)sp->invalid << 11;
}

void mmu_page_event(const struct shadow *s, const struct mmu_page *sp, enum mmu_kind kind)
{
	struct mmu_event ev = {.kind = kind, .gfn = sp->gfn, .level = sp->role.level, .role = role_word(sp)};

	if (s->cfg.event && !sp->pae_root)
		s->cfg.event(s->cfg.event_ctx, &ev);
}

void spte_event(const struct shadow *s, const struct mmu_page *sp, const uint64_t *sptep, uint64_t gfn)
{
	struct mmu_event ev = {
	    .kind = MMU_SPTE, .gfn = gfn, .level = sp->role.level, .spte = *sptep, .sptep = (uintptr_t)sptep};

	if (s->cfg.event && spte_present(*sptep))
		s->cfg.event(s->cfg.event_ctx, &ev);
}
