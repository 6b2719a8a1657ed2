/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A vCPU's roots: the shadow page that CR3 and the mode ask for, taken, put among the previous ones, given up.
 */
#include "core/soft/mmu/shadow_impl.h"

#include <string.h>

unsigned root_level(const struct paging *pg)
{
	return pg->mode == PAGING_5LEVEL ? 5 : pg->mode == PAGING_4LEVEL ? 4 : 3;
}

static void root_put(struct shadow *s, struct mmu_page *sp)
{
	if (!sp || --sp->roots || !sp->invalid)
		return;
	struct mmu_page **at = &s->zapped_roots;
	while (*at && *at != sp)
		at = &(*at)->hash_next;
	if (*at)
		*at = sp->hash_next;
	arena_block_free(&s->mark, sp);
}

void shadow_vcpu_init(struct shadow_vcpu *v)
{
	memset(v, 0, sizeof(*v));
}

void shadow_vcpu_deinit(struct shadow *s, struct shadow_vcpu *v)
{
	root_put(s, v->root);
	for (unsigned i = 0; i < ARRAY_LEN(v->prev_root); i++)
		root_put(s, v->prev_root[i]);
	shadow_vcpu_init(v);
}

static struct shadow_role base_role(const struct paging *pg, bool smm)
{
	struct shadow_role r = {.level = (uint8_t)root_level(pg),
				.direct = pg->mode == PAGING_NONE,
				.gpte4 = pg->mode == PAGING_32BIT,
				.access = ACC_ALL,
				.nx = pg->efer & EFER_NXE,
				.wp = pg->cr0 & CR0_WP,
				.smm = smm};

	r.smep_not_wp = !r.wp && (pg->cr4 & CR4_SMEP);
	r.smap_not_wp = !r.wp && (pg->cr4 & CR4_SMAP);
	return r;
}

/* Keep within max_pages: zap the oldest eighth of what is no root. A fault that is building a path starts over then, because
 * pages above may have gone; so this runs only before a fault begins. */
static void recycle(struct shadow *s)
{
	size_t want = s->cfg.max_pages - s->cfg.max_pages / 8;

	for (struct mmu_page *sp = s->oldest, *next; sp && s->n_pages > want; sp = next) {
		next = sp->newer;
		if (!sp->roots)
			mmu_page_zap(s, sp);
	}
	shadow_flush(s, ~0ull);
}

/* The root for what CR3 and the mode are now, taken into v. An old root that is still good waits among the previous ones. */
static struct mmu_page *load_root(struct shadow *s, struct shadow_vcpu *v, const struct paging *pg, bool smm, bool *made,
				  struct err *e)
{
	struct shadow_role role = base_role(pg, smm);
	bool pae_root = role.level == 3 && !role.direct;
	uint64_t gfn = role.direct ? 0 : (pg->cr3 & SPTE_PFN_MASK) >> PAGE_SHIFT;
	struct mmu_page *sp = mmu_page_get(s, gfn, &role, pae_root, made, e), *old = v->root;

	if (!sp)
		return NULL;
	if (sp == old)
		return sp;
	sp->roots++;
	v->root = sp;
	for (unsigned i = 0; i < ARRAY_LEN(v->prev_root); i++)
		if (v->prev_root[i] == sp) {
			root_put(s, sp);
			v->prev_root[i] = NULL;
		}
	if (old && !old->invalid) {
		root_put(s, v->prev_root[2]);
		memmove(v->prev_root + 1, v->prev_root, 2 * sizeof(v->prev_root[0]));
		v->prev_root[0] = old;
	} else {
		root_put(s, old);
	}
	return sp;
}

/* A root that was there before: what is unsync below it is brought up to date. The four entries of a PAE root come from
 * registers that this load has read anew, so its links are made anew too. */
static void refresh_root(struct shadow *s, struct mmu_page *sp, const struct paging *pg, const struct paging_mem *mem)
{
	if (!sp->pae_root) {
		shadow_sync_below(s, sp, pg, mem);
		return;
	}
	for (unsigned i = 0; i < 4; i++)
		spte_drop(s, sp, i);
}

struct mmu_page *shadow_root(struct shadow *s, struct shadow_vcpu *v, const struct paging *pg, bool smm,
			     const struct paging_mem *mem, struct err *e)
{
	struct mmu_page *sp = v->root;
	bool made;

	if (sp && !sp->invalid)
		return sp;
	if (s->n_pages >= s->cfg.max_pages)
		recycle(s);
	sp = load_root(s, v, pg, smm, &made, e);
	if (sp && !made)
		refresh_root(s, sp, pg, mem);
	return sp;
}

void shadow_load_cr3(struct shadow *s, struct shadow_vcpu *v, const struct paging *pg, const struct paging_mem *mem,
		     bool smm)
{
	bool made;
	struct mmu_page *sp;

	mmio_cache_clear(&v->mmio);
	if (s->n_pages >= s->cfg.max_pages)
		recycle(s);
	sp = load_root(s, v, pg, smm, &made, NULL);
	if (sp && !made)
		refresh_root(s, sp, pg, mem);
}
