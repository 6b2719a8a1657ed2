/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The shadow MMU looked at: pages, sptes, roots, reverse maps, as the plain records of core/machine/inspect.h. Changes
 * nothing.
 */
#include "core/soft/mmu/shadow_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Room for one more element of a growing array: the array, perhaps moved, or NULL. */
static void *room_for(void *v, size_t n, size_t size)
{
	if (n & (n - 1) || (n && n < 8))
		return v;
	return realloc(v, (n < 8 ? 8 : n * 2) * size);
}

static bool gva_of_page(const struct mmu_page *sp, unsigned depth, uint64_t *gva);

struct one_parent {
	uint64_t *sptep;
	unsigned n;
};

static int count_parent(void *arg, uint64_t *sptep)
{
	struct one_parent *p = arg;

	p->sptep = sptep;
	return ++p->n > 1;
}

/* The first gva that a page covers, if one path only leads down to it. */
static bool gva_of_page(const struct mmu_page *sp, unsigned depth, uint64_t *gva)
{
	struct one_parent p = {.n = 0};

	if (!sp->parents) {
		*gva = 0;
		return sp->roots > 0;
	}
	if (!depth || rmap_each(sp->parents, ~0ull, count_parent, &p) < 0 || p.n != 1)
		return false;
	const struct mmu_page *up = mmu_page_of(p.sptep);
	if (!gva_of_page(up, depth - 1, gva))
		return false;
	*gva |= (uint64_t)(p.sptep - up->spt) << (PAGE_SHIFT + 9 * (up->role.level - 1));
	return true;
}

static uint64_t sign_extend(uint64_t gva, unsigned levels)
{
	unsigned bits = PAGE_SHIFT + 9 * levels;

	return levels >= 4 && gva >> (bits - 1) & 1 ? gva | ~0ull << bits : gva;
}

static void describe_spte(const struct mmu_page *sp, unsigned i, struct spte_info *out)
{
	uint64_t spte = sp->spt[i];

	*out = (struct spte_info){.level = sp->role.level,
				  .spte = spte,
				  .sptep = (uintptr_t)&sp->spt[i],
				  .page_gfn = sp->gfn,
				  .index = i,
				  .source = SOURCE_SOFT,
				  .mmio = mmio_spte_is(spte),
				  .present = spte_present(spte)};
	if (out->mmio) {
		out->gfn = mmio_spte_gfn(spte);
		out->gfn_known = true;
		out->mmio_gen = mmio_spte_generation(spte);
		return;
	}
	if (!out->present)
		return;
	out->pfn = (spte & SPTE_PFN_MASK) >> PAGE_SHIFT;
	out->leaf = sp->role.level == 1;
	out->gfn_known = true;
	out->gfn = out->leaf ? sp->shadowed[i] >> PAGE_SHIFT : mmu_page_child(spte)->gfn;
	out->writable = spte & SPTE_W;
	out->user = spte & SPTE_U;
	out->exec = !(spte & SPTE_NX);
	out->accessed = spte & SPTE_A;
	out->dirty = spte & SPTE_D;
	out->host_writable = out->leaf && (spte & SPTE_HOST_WRITABLE);
	out->mmu_writable = out->leaf && (spte & SPTE_MMU_WRITABLE);
}

/* ---- pages */

static int parents_push(void *arg, uint64_t *sptep)
{
	struct shadow_page *p = arg;

	p->parents[p->n_parents++] = (uintptr_t)sptep;
	return 0;
}

static int describe_leaves(const struct mmu_page *sp, struct shadow_page *out)
{
	out->leaves = sp->role.level == 1 ? calloc(out->sptes + out->mmio_sptes + 1, sizeof(*out->leaves)) : NULL;
	if (sp->role.level == 1 && !out->leaves)
		return -ENOMEM;
	for (unsigned i = 0; out->leaves && i < SPT_ENTRIES; i++)
		if (spte_present(sp->spt[i]) || mmio_spte_is(sp->spt[i]))
			describe_spte(sp, i, &out->leaves[out->n_leaves++]);
	return 0;
}

static int describe_page(const struct mmu_page *sp, unsigned flags, struct shadow_page *out)
{
	*out = (struct shadow_page){.gfn = sp->gfn,
				    .level = sp->role.level,
				    .direct = sp->role.direct,
				    .smm = sp->role.smm,
				    .unsync = sp->unsync,
				    .invalid = sp->invalid,
				    .access = sp->role.access,
				    .roots = sp->roots,
				    .address = (uintptr_t)sp,
				    .spt = (uintptr_t)sp->spt,
				    .source = SOURCE_SOFT};
	for (unsigned i = 0; i < SPT_ENTRIES; i++) {
		out->sptes += spte_present(sp->spt[i]);
		out->mmio_sptes += mmio_spte_is(sp->spt[i]);
	}
	if ((flags & SHADOW_WITH_PARENTS) && sp->parents) {
		out->parents = calloc(rmap_count(sp->parents), sizeof(*out->parents));
		if (!out->parents)
			return -ENOMEM;
		rmap_each(sp->parents, ~0ull, parents_push, out);
	}
	if (flags & SHADOW_WITH_ENTRIES) {
		out->entries = malloc(sizeof(sp->spt));
		if (!out->entries)
			return -ENOMEM;
		memcpy(out->entries, sp->spt, sizeof(sp->spt));
	}
	return flags & SHADOW_WITH_LEAVES ? describe_leaves(sp, out) : 0;
}

int shadow_pages_list(struct shadow *s, unsigned flags, struct shadow_page_list *out, struct err *e)
{
	struct shadow_page_list l = {.v = calloc(s->n_pages + 1, sizeof(*l.v))};
	int rc = l.v ? 0 : -ENOMEM;

	for (const struct mmu_page *sp = s->newest; sp && !rc; sp = sp->older)
		rc = describe_page(sp, flags, &l.v[l.n++]);
	if (rc) {
		shadow_page_list_free(&l);
		return err_nomem(e, "list of shadow pages");
	}
	*out = l;
	return 0;
}

int shadow_roots(struct shadow *s, const struct shadow_vcpu *const *v, unsigned n, struct root_list *out, struct err *e)
{
	struct root_list l = {.v = calloc(4ull * n + 1, sizeof(*l.v))};

	(void)s;
	if (!l.v)
		return err_nomem(e, "list of roots");
	for (unsigned i = 0; i < n; i++)
		for (unsigned k = 0; k < 4; k++) {
			const struct mmu_page *sp = k ? v[i]->prev_root[k - 1] : v[i]->root;
			if (sp)
				l.v[l.n++] = (struct root_info){.vcpu = i,
								.hpa = (uintptr_t)sp,
								.cr3 = sp->gfn << PAGE_SHIFT,
								.page = (uintptr_t)sp,
								.current = !k,
								.previous = k,
								.level = sp->role.level};
		}
	*out = l;
	return 0;
}

/* ---- sptes under a root */

struct collect {
	struct spte_info *v; /* NULL: they are only counted */
	size_t n;
	uint64_t first, last;
	unsigned levels;
};

static void collect_page(struct collect *c, const struct mmu_page *sp, uint64_t base)
{
	unsigned shift = PAGE_SHIFT + 9 * (sp->role.level - 1u);

	for (unsigned i = 0; i < SPT_ENTRIES && c->n < SPTES_MAX; i++) {
		uint64_t gva = sign_extend(base | (uint64_t)i << shift, c->levels), span = (1ull << shift) - 1;
		if (sp->spt[i] == SPTE_EMPTY || gva > c->last || gva + span < c->first)
			continue;
		if (c->v) {
			describe_spte(sp, i, &c->v[c->n]);
			c->v[c->n].gva = gva;
			c->v[c->n].gva_known = true;
		}
		c->n++;
		if (spte_present(sp->spt[i]) && sp->role.level > 1)
			collect_page(c, mmu_page_child(sp->spt[i]), base | (uint64_t)i << shift);
	}
}

int shadow_sptes_list(struct shadow *s, const struct shadow_vcpu *v, uint64_t first, uint64_t last, struct spte_list *out,
		      struct err *e)
{
	const struct mmu_page *root = v->root;
	struct collect c = {.first = first, .last = last};

	(void)s;
	if (root && !root->invalid) {
		c.levels = root->role.level;
		collect_page(&c, root, 0);
		c.v = malloc((c.n + 1) * sizeof(*c.v));
		if (!c.v)
			return err_nomem(e, "list of sptes");
		c.n = 0;
		collect_page(&c, root, 0);
	}
	*out = (struct spte_list){.v = c.v, .n = c.n};
	return 0;
}

int shadow_mmio_sptes(struct shadow *s, struct spte_info **out, size_t *n, struct err *e)
{
	struct spte_info *v = NULL;
	size_t k = 0;

	for (const struct mmu_page *sp = s->oldest; sp; sp = sp->newer)
		for (unsigned i = 0; sp->role.level == 1 && i < SPT_ENTRIES; i++) {
			uint64_t base;
			if (!mmio_spte_is(sp->spt[i]))
				continue;
			struct spte_info *more = room_for(v, k, sizeof(*v));
			if (!more) {
				free(v);
				return err_nomem(e, "list of MMIO sptes");
			}
			v = more;
			describe_spte(sp, i, &v[k]);
			v[k].gva_known = gva_of_page(sp, 4, &base);
			v[k].gva = v[k].gva_known ? base + ((uint64_t)i << PAGE_SHIFT) : 0;
			k++;
		}
	*out = v;
	*n = k;
	return 0;
}

/* ---- reverse maps */

struct chain {
	struct rmap_info *r;
	bool gvas;
};

static int chain_push(void *arg, uint64_t *sptep)
{
	struct chain *c = arg;
	const struct mmu_page *sp = mmu_page_of(sptep);
	unsigned i = (unsigned)(sptep - sp->spt);
	struct spte_info *at = &c->r->sptes[c->r->n_sptes++];
	uint64_t base;

	describe_spte(sp, i, at);
	if (c->gvas && gva_of_page(sp, 5, &base)) {
		at->gva_known = true;
		at->gva = sign_extend(base | (uint64_t)i << PAGE_SHIFT, 4);
	}
	return 0;
}

static int describe_head(uint64_t head, const struct slot *slot, uint64_t gfn, bool gvas, struct rmap_info *out,
			 struct err *e)
{
	struct chain c = {out, gvas};
	uint64_t n = rmap_count(head);
	int rc;

	*out = (struct rmap_info){.gfn = gfn, .slot = slot->id, .level = 1, .source = SOURCE_SOFT};
	rc = rmap_describe(head, out, e);
	if (rc)
		return rc;
	out->sptes = calloc(n + 1, sizeof(*out->sptes));
	if (!out->sptes)
		return err_nomem(e, "reverse map");
	if (rmap_each(head, n, chain_push, &c) < 0)
		strcpy(out->corrupt, "the chain breaks its invariants");
	return 0;
}

static uint64_t head_of(struct shadow *s, const struct slot *slot, uint64_t gfn)
{
	uint64_t host = (uintptr_t)slot->alias + ((gfn << PAGE_SHIFT) - slot->gpa);
	uint64_t *head = rmap_head(s, gfn, !(slot->vis & SLOT_VIS_NONSMM), host & SPTE_PFN_MASK, false);

	return head ? *head : 0;
}

int shadow_rmap(struct shadow *s, uint64_t gfn, struct rmap_list *out, struct err *e)
{
	struct rmap_list l = {.v = calloc(s->cfg.slots->n + 1, sizeof(*l.v))};

	if (!l.v)
		return err_nomem(e, "reverse map");
	for (size_t i = 0; i < s->cfg.slots->n; i++) {
		const struct slot *slot = s->cfg.slots->by_gfn[i];
		if (!slot_contains(slot, gfn << PAGE_SHIFT))
			continue;
		int rc = describe_head(head_of(s, slot, gfn), slot, gfn, true, &l.v[l.n++], e);
		if (rc) {
			rmap_list_free(&l);
			return rc;
		}
	}
	*out = l;
	return 0;
}

int shadow_rmap_all(struct shadow *s, struct rmap_list *out, struct err *e)
{
	struct rmap_list l = {0};

	for (size_t i = 0; i < s->cfg.slots->n; i++) {
		const struct slot *slot = s->cfg.slots->by_gfn[i];
		for (uint64_t k = 0; k < slot->size >> PAGE_SHIFT; k++) {
			uint64_t head = head_of(s, slot, (slot->gpa >> PAGE_SHIFT) + k);
			if (!head)
				continue;
			struct rmap_info *v = room_for(l.v, l.n, sizeof(*v));
			if (v)
				l.v = v;
			if (!v || describe_head(head, slot, (slot->gpa >> PAGE_SHIFT) + k, false, &v[l.n++], e)) {
				rmap_list_free(&l);
				return err_nomem(e, "reverse maps");
			}
		}
	}
	*out = l;
	return 0;
}

int shadow_rmap_histogram(struct shadow *s, struct rmap_histogram_list *out, struct err *e)
{
	struct rmap_histogram_list l = {.v = calloc(s->cfg.slots->n + 1, sizeof(*l.v))};

	if (!l.v)
		return err_nomem(e, "histogram of reverse maps");
	for (size_t i = 0; i < s->cfg.slots->n; i++) {
		const struct slot *slot = s->cfg.slots->by_gfn[i];
		struct rmap_histogram *h = &l.v[l.n++];
		*h = (struct rmap_histogram){.slot = slot->id, .level = 1, .source = SOURCE_SOFT};
		for (uint64_t k = 0; k < slot->size >> PAGE_SHIFT; k++) {
			uint64_t gfn = (slot->gpa >> PAGE_SHIFT) + k, n = rmap_count(head_of(s, slot, gfn));
			h->counts[rmap_bucket(n)]++;
			if (n > h->longest) {
				h->longest = n;
				h->longest_gfn = gfn;
			}
		}
	}
	*out = l;
	return 0;
}
