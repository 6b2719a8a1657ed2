/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The shadow MMU's pages: making, linking, finding and zapping them, roots, and the one place where an spte changes so that
 * the reverse map always agrees with it.
 */
#include "core/soft/mmu/shadow_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

_Static_assert(sizeof(struct mmu_page) <= ARENA_BLOCK, "a shadow page is one block");
_Static_assert(sizeof(struct rmap_node) <= ARENA_NODE, "a descriptor is one node");

static struct rmap_node **owner_of(void *ctx, uint64_t *sptep)
{
	struct mmu_page *sp = mmu_page_of(sptep);

	(void)ctx;
	return &sp->desc_of[sptep - sp->spt];
}

static struct rmap_node *node_alloc(void *ctx)
{
	struct shadow *s = ctx;

	return arena_node(s->arena, &s->mark);
}

static void node_release(void *ctx, struct rmap_node *n)
{
	struct shadow *s = ctx;

	arena_node_free(&s->mark, n);
}

int shadow_create(const struct shadow_config *cfg, struct shadow **out, struct err *e)
{
	struct shadow *s = calloc(1, sizeof(*s));

	if (s)
		s->arena = calloc(1, sizeof(*s->arena));
	if (!s || !s->arena) {
		free(s);
		return err_nomem(e, "shadow MMU");
	}
	s->cfg = *cfg;
	if (!s->cfg.max_pages)
		s->cfg.max_pages = SHADOW_MAX_PAGES;
	s->env = (struct rmap_env){.owner = owner_of, .ctx = s, .alloc = node_alloc, .release = node_release};
	*out = s;
	return 0;
}

static void free_zapped_roots(struct shadow *s)
{
	for (struct mmu_page *sp = s->zapped_roots, *next; sp; sp = next) {
		next = sp->hash_next;
		arena_block_free(&s->mark, sp);
	}
	s->zapped_roots = NULL;
}

void shadow_destroy(struct shadow *s)
{
	if (!s)
		return;
	shadow_zap_all(s);
	free_zapped_roots(s);
	for (size_t i = 0; i < s->cfg.slots->n; i++)
		shadow_slot_gone(s, s->cfg.slots->by_gfn[i]);
	for (unsigned i = 0; i < SHADOW_HASH_SIZE; i++)
		for (struct host_head *h = s->host_hash[i], *next; h; h = next) {
			next = h->next;
			free(h);
		}
	arena_deinit(s->arena);
	free(s->arena);
	free(s);
}

bool role_equal(const struct shadow_role *a, const struct shadow_role *b)
{
	return a->level == b->level && a->direct == b->direct && a->gpte4 == b->gpte4 && a->quadrant == b->quadrant &&
	       a->access == b->access && a->nx == b->nx && a->wp == b->wp && a->smep_not_wp == b->smep_not_wp &&
	       a->smap_not_wp == b->smap_not_wp && a->smm == b->smm;
}

void shadow_flush(struct shadow *s, uint64_t gva_page)
{
	if (s->cfg.flush)
		s->cfg.flush(s->cfg.flush_ctx, gva_page);
}

/* ---- reverse map heads */

static size_t rmap_bytes(const struct slot_mmu *mmu)
{
	return (size_t)mmu->pages * sizeof(*mmu->rmap);
}

int shadow_slot_created(struct shadow *s, struct slot *slot, struct err *e)
{
	struct slot_mmu *mmu = calloc(1, sizeof(*mmu));

	if (mmu) {
		mmu->pages = slot->size >> PAGE_SHIFT;
		mmu->rmap =
		    mmap(NULL, rmap_bytes(mmu), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	}
	if (!mmu || mmu->rmap == MAP_FAILED) {
		free(mmu);
		return err_set(e, -ENOMEM, "slot %u" WHY "no memory for its reverse map: %#llx pages" TRY "a smaller slot",
			       slot->id, (unsigned long long)(slot->size >> PAGE_SHIFT));
	}
	slot->mmu = mmu;
	if (!(s->cfg.slots->generation & ((1ull << MMIO_GEN_BITS) - 1)))
		shadow_zap_all(s); /* the MMIO sptes' generation field wrapped */
	return 0;
}

void shadow_slot_gone(struct shadow *s, struct slot *slot)
{
	struct slot_mmu *mmu = slot->mmu;

	(void)s;
	if (!mmu)
		return;
	munmap(mmu->rmap, rmap_bytes(mmu));
	free(mmu);
	slot->mmu = NULL;
}

static uint64_t *host_head(struct shadow *s, uint64_t host_page, bool create)
{
	struct host_head **bucket = &s->host_hash[mmu_page_hash(host_page)];

	for (struct host_head *h = *bucket; h; h = h->next)
		if (h->host_page == host_page)
			return &h->head;
	struct host_head *h = create ? calloc(1, sizeof(*h)) : NULL;
	if (!h)
		return NULL;
	h->host_page = host_page;
	h->next = *bucket;
	*bucket = h;
	return &h->head;
}

uint64_t *rmap_head(struct shadow *s, uint64_t gfn, bool smm, uint64_t host_page, bool create)
{
	struct slot *slot;
	struct slot_mmu *mmu;

	if (s->cfg.rmap_host_page)
		return host_head(s, host_page, create);
	slot = slot_lookup(s->cfg.slots, gfn << PAGE_SHIFT, smm, NULL);
	mmu = slot ? slot->mmu : NULL;
	return mmu ? &mmu->rmap[gfn - (slot->gpa >> PAGE_SHIFT)] : NULL;
}

/* ---- sptes */

static bool in_rmap(const struct shadow *s, uint64_t spte)
{
	return spte_present(spte) && (!s->cfg.rmap_writable_only || (spte & SPTE_W));
}

int spte_set(struct shadow *s, struct mmu_page *sp, unsigned index, uint64_t new_spte, uint64_t gfn, unsigned access,
	     struct err *e)
{
	uint64_t *sptep = &sp->spt[index], old = *sptep;
	bool was = in_rmap(s, old), is = in_rmap(s, new_spte);
	bool moved = was && is && (old ^ new_spte) & SPTE_PFN_MASK;
	int rc = 0;

	if (was && (!is || moved)) {
		uint64_t *head = rmap_head(s, sp->shadowed[index] >> PAGE_SHIFT, sp->role.smm, old & SPTE_PFN_MASK, false);
		if (head)
			rc = rmap_remove(&s->env, head, sptep, e);
	}
	if (!rc && is && (!was || moved)) {
		uint64_t *head = rmap_head(s, gfn, sp->role.smm, new_spte & SPTE_PFN_MASK, true);
		rc = head ? rmap_add(&s->env, head, sptep, e) : err_nomem(e, "reverse map");
	}
	if (rc) {
		*sptep = SPTE_EMPTY;
		return rc;
	}
	*sptep = new_spte;
	sp->shadowed[index] = gfn << PAGE_SHIFT | (access & ACC_ALL);
	spte_event(s, sp, sptep, gfn);
	return 0;
}

int spte_link(struct shadow *s, struct mmu_page *sp, unsigned index, struct mmu_page *child, struct err *e)
{
	int rc = rmap_add(&s->env, &child->parents, &sp->spt[index], e);

	if (rc)
		return rc;
	sp->spt[index] = (uintptr_t)child | SPTE_P | SPTE_W | SPTE_U | SPTE_A | SPTE_MMU_PRESENT;
	return 0;
}

void spte_drop(struct shadow *s, struct mmu_page *sp, unsigned index)
{
	uint64_t spte = sp->spt[index];

	if (spte_present(spte) && sp->role.level > 1) {
		/* The chain was built by spte_link(); a failure would be corruption that the next inspection reports. */
		if (rmap_remove(&s->env, &mmu_page_child(spte)->parents, &sp->spt[index], NULL))
			mmu_page_child(spte)->invalid = true;
		sp->spt[index] = SPTE_EMPTY;
	} else if (spte_present(spte)) {
		if (spte_set(s, sp, index, SPTE_EMPTY, 0, 0, NULL))
			sp->invalid = true;
	} else {
		sp->spt[index] = SPTE_EMPTY;
	}
}

/* ---- pages */

static struct mmu_page *mmu_page_find(struct shadow *s, uint64_t gfn, const struct shadow_role *role, bool pae_root)
{
	for (struct mmu_page *sp = s->hash[mmu_page_hash(gfn)]; sp; sp = sp->hash_next)
		if (sp->gfn == gfn && sp->pae_root == pae_root && role_equal(&sp->role, role))
			return sp;
	return NULL;
}

/* A page of a table above the leaves: those of its gfn as a leaf table that are unsync go, for the gfn may not be written
 * unseen any more. */
static void zap_unsync_of(struct shadow *s, uint64_t gfn)
{
	for (struct mmu_page *sp = s->hash[mmu_page_hash(gfn)], *next; sp; sp = next) {
		next = sp->hash_next;
		if (sp->gfn == gfn && sp->unsync)
			mmu_page_zap(s, sp);
	}
}

static void list_append(struct shadow *s, struct mmu_page *sp)
{
	sp->older = s->newest;
	if (s->newest)
		s->newest->newer = sp;
	else
		s->oldest = sp;
	s->newest = sp;
	s->n_pages++;
}

static void list_remove(struct shadow *s, struct mmu_page *sp)
{
	*(sp->older ? &sp->older->newer : &s->oldest) = sp->newer;
	*(sp->newer ? &sp->newer->older : &s->newest) = sp->older;
	sp->older = sp->newer = NULL;
	s->n_pages--;
}

static void hash_remove(struct shadow *s, struct mmu_page *sp)
{
	struct mmu_page **at = &s->hash[mmu_page_hash(sp->gfn)];

	while (*at && *at != sp)
		at = &(*at)->hash_next;
	if (*at)
		*at = sp->hash_next;
	sp->hash_next = NULL;
}

struct mmu_page *mmu_page_get(struct shadow *s, uint64_t gfn, const struct shadow_role *role, bool pae_root, bool *made,
			      struct err *e)
{
	struct mmu_page *sp = mmu_page_find(s, gfn, role, pae_root);

	*made = !sp;
	if (sp)
		return sp;
	if (role->level > 1 && !role->direct && !pae_root)
		zap_unsync_of(s, gfn);
	sp = arena_block(s->arena, &s->mark);
	if (!sp) {
		err_nomem(e, "shadow page");
		return NULL;
	}
	for (unsigned i = 0; i < SPT_ENTRIES; i++)
		sp->spt[i] = SPTE_EMPTY;
	sp->gfn = gfn;
	sp->role = *role;
	sp->pae_root = pae_root;
	sp->hash_next = s->hash[mmu_page_hash(gfn)];
	s->hash[mmu_page_hash(gfn)] = sp;
	list_append(s, sp);
	if (!role->direct && !pae_root) {
		struct slot *slot = slot_lookup(s->cfg.slots, gfn << PAGE_SHIFT, role->smm, NULL);
		if (slot && shadow_write_protect_gfn(s, slot, gfn))
			shadow_flush(s, ~0ull);
	}
	return sp;
}

struct parents {
	uint64_t *sptep[64];
	unsigned n;
};

static int collect(void *arg, uint64_t *sptep)
{
	struct parents *p = arg;

	if (p->n == ARRAY_LEN(p->sptep))
		return 1;
	p->sptep[p->n++] = sptep;
	return 0;
}

static void drop_parents(struct shadow *s, struct mmu_page *sp)
{
	while (sp->parents) {
		struct parents p = {.n = 0};
		if (rmap_each(sp->parents, s->n_pages * SPT_ENTRIES, collect, &p) < 0 || !p.n)
			break;
		for (unsigned i = 0; i < p.n; i++) {
			struct mmu_page *up = mmu_page_of(p.sptep[i]);
			spte_drop(s, up, (unsigned)(p.sptep[i] - up->spt));
		}
	}
}

void mmu_page_zap(struct shadow *s, struct mmu_page *sp)
{
	mmu_page_event(s, sp, MMU_ZAP);
	for (unsigned i = 0; i < SPT_ENTRIES; i++)
		if (sp->spt[i] != SPTE_EMPTY)
			spte_drop(s, sp, i);
	drop_parents(s, sp);
	if (sp->unsync)
		mmu_page_unsync_remove(s, sp);
	hash_remove(s, sp);
	list_remove(s, sp);
	if (!sp->roots) {
		arena_block_free(&s->mark, sp);
		return;
	}
	sp->invalid = true;
	sp->hash_next = s->zapped_roots;
	s->zapped_roots = sp;
}

void shadow_zap_all(struct shadow *s)
{
	while (s->oldest)
		mmu_page_zap(s, s->oldest);
	shadow_flush(s, ~0ull);
}

void shadow_zap_slot(struct shadow *s, struct slot *slot)
{
	/* As today's kernel does for a deleted or moved slot: every shadow page goes, not only those that map it. */
	(void)slot;
	shadow_zap_all(s);
}

int shadow_each_range(struct shadow *s, int (*fn)(void *ctx, void *at, size_t len), void *ctx)
{
	int rc = fn(ctx, s, sizeof(*s));

	if (!rc)
		rc = arena_each(s->arena, &s->mark, fn, ctx);
	for (size_t i = 0; !rc && i < s->cfg.slots->n; i++) {
		const struct slot_mmu *mmu = s->cfg.slots->by_gfn[i]->mmu;
		rc = mmu ? fn(ctx, mmu->rmap, rmap_bytes(mmu)) : 0;
	}
	return rc;
}
