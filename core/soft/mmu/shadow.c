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

_Static_assert(sizeof(struct spage) <= ARENA_BLOCK, "a shadow page is one block");
_Static_assert(sizeof(struct rmap_node) <= ARENA_NODE, "a descriptor is one node");

static struct rmap_node **owner_of(void *ctx, uint64_t *sptep)
{
	struct spage *sp = spage_of(sptep);

	(void)ctx;
	return &sp->where[sptep - sp->spt];
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

static void free_doomed(struct shadow *s)
{
	for (struct spage *sp = s->doomed, *next; sp; sp = next) {
		next = sp->hash_next;
		arena_block_free(&s->mark, sp);
	}
	s->doomed = NULL;
}

void shadow_destroy(struct shadow *s)
{
	if (!s)
		return;
	shadow_zap_all(s);
	free_doomed(s);
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
	struct host_head **bucket = &s->host_hash[spage_hash(host_page)];

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

int spte_set(struct shadow *s, struct spage *sp, unsigned index, uint64_t new_spte, uint64_t gfn, unsigned access,
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

int spte_link(struct shadow *s, struct spage *sp, unsigned index, struct spage *child, struct err *e)
{
	int rc = rmap_add(&s->env, &child->parents, &sp->spt[index], e);

	if (rc)
		return rc;
	sp->spt[index] = (uintptr_t)child | SPTE_P | SPTE_W | SPTE_U | SPTE_A | SPTE_MMU_PRESENT;
	return 0;
}

void spte_drop(struct shadow *s, struct spage *sp, unsigned index)
{
	uint64_t spte = sp->spt[index];

	if (spte_present(spte) && sp->role.level > 1) {
		/* The chain was built by spte_link(); a failure would be corruption that the next inspection reports. */
		if (rmap_remove(&s->env, &spage_child(spte)->parents, &sp->spt[index], NULL))
			spage_child(spte)->invalid = true;
		sp->spt[index] = SPTE_EMPTY;
	} else if (spte_present(spte)) {
		if (spte_set(s, sp, index, SPTE_EMPTY, 0, 0, NULL))
			sp->invalid = true;
	} else {
		sp->spt[index] = SPTE_EMPTY;
	}
}

/* ---- pages */

static struct spage *spage_find(struct shadow *s, uint64_t gfn, const struct shadow_role *role, bool pae_root)
{
	for (struct spage *sp = s->hash[spage_hash(gfn)]; sp; sp = sp->hash_next)
		if (sp->gfn == gfn && sp->pae_root == pae_root && role_equal(&sp->role, role))
			return sp;
	return NULL;
}

/* A page of a table above the leaves: those of its gfn as a leaf table that are unsync go, for the gfn may not be written
 * unseen any more. */
static void zap_unsync_of(struct shadow *s, uint64_t gfn)
{
	for (struct spage *sp = s->hash[spage_hash(gfn)], *next; sp; sp = next) {
		next = sp->hash_next;
		if (sp->gfn == gfn && sp->unsync)
			spage_zap(s, sp);
	}
}

static void list_append(struct shadow *s, struct spage *sp)
{
	sp->older = s->newest;
	if (s->newest)
		s->newest->newer = sp;
	else
		s->oldest = sp;
	s->newest = sp;
	s->n_pages++;
}

static void list_remove(struct shadow *s, struct spage *sp)
{
	*(sp->older ? &sp->older->newer : &s->oldest) = sp->newer;
	*(sp->newer ? &sp->newer->older : &s->newest) = sp->older;
	sp->older = sp->newer = NULL;
	s->n_pages--;
}

static void hash_remove(struct shadow *s, struct spage *sp)
{
	struct spage **at = &s->hash[spage_hash(sp->gfn)];

	while (*at && *at != sp)
		at = &(*at)->hash_next;
	if (*at)
		*at = sp->hash_next;
	sp->hash_next = NULL;
}

/* Keep within max_pages: zap the oldest eighth of what is no root. A fault that is building a path starts over then, because
 * pages above may have gone; so this runs only before a fault begins. */
static void recycle(struct shadow *s)
{
	size_t want = s->cfg.max_pages - s->cfg.max_pages / 8;

	for (struct spage *sp = s->oldest, *next; sp && s->n_pages > want; sp = next) {
		next = sp->newer;
		if (!sp->roots)
			spage_zap(s, sp);
	}
	shadow_flush(s, ~0ull);
}

struct spage *spage_get(struct shadow *s, uint64_t gfn, const struct shadow_role *role, bool pae_root, bool *made,
			struct err *e)
{
	struct spage *sp = spage_find(s, gfn, role, pae_root);

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
	sp->hash_next = s->hash[spage_hash(gfn)];
	s->hash[spage_hash(gfn)] = sp;
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

static void drop_parents(struct shadow *s, struct spage *sp)
{
	while (sp->parents) {
		struct parents p = {.n = 0};
		if (rmap_each(sp->parents, s->n_pages * SPT_ENTRIES, collect, &p) < 0 || !p.n)
			break;
		for (unsigned i = 0; i < p.n; i++) {
			struct spage *up = spage_of(p.sptep[i]);
			spte_drop(s, up, (unsigned)(p.sptep[i] - up->spt));
		}
	}
}

void spage_zap(struct shadow *s, struct spage *sp)
{
	spage_event(s, sp, MMU_ZAP);
	for (unsigned i = 0; i < SPT_ENTRIES; i++)
		if (sp->spt[i] != SPTE_EMPTY)
			spte_drop(s, sp, i);
	drop_parents(s, sp);
	if (sp->unsync)
		spage_unsync_remove(s, sp);
	hash_remove(s, sp);
	list_remove(s, sp);
	if (!sp->roots) {
		arena_block_free(&s->mark, sp);
		return;
	}
	sp->invalid = true;
	sp->hash_next = s->doomed;
	s->doomed = sp;
}

void shadow_zap_all(struct shadow *s)
{
	while (s->oldest)
		spage_zap(s, s->oldest);
	shadow_flush(s, ~0ull);
}

void shadow_zap_slot(struct shadow *s, struct slot *slot)
{
	/* As today's kernel does for a deleted or moved slot: every shadow page goes, not only those that map it. */
	(void)slot;
	shadow_zap_all(s);
}

bool shadow_is_table(struct shadow *s, uint64_t gfn)
{
	for (struct spage *sp = s->hash[spage_hash(gfn)]; sp; sp = sp->hash_next)
		if (sp->gfn == gfn && !sp->role.direct)
			return true;
	return false;
}

/* ---- roots */

unsigned root_level(const struct paging *pg)
{
	return pg->mode == PAGING_5LEVEL ? 5 : pg->mode == PAGING_4LEVEL ? 4 : 3;
}

static void root_put(struct shadow *s, struct spage *sp)
{
	if (!sp || --sp->roots || !sp->invalid)
		return;
	struct spage **at = &s->doomed;
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

/* The root for what CR3 and the mode are now, taken into v. An old root that is still good waits among the previous ones. */
static struct spage *load_root(struct shadow *s, struct shadow_vcpu *v, const struct paging *pg, bool smm, bool *made,
			       struct err *e)
{
	struct shadow_role role = base_role(pg, smm);
	bool pae_root = role.level == 3 && !role.direct;
	uint64_t gfn = role.direct ? 0 : (pg->cr3 & SPTE_PFN_MASK) >> PAGE_SHIFT;
	struct spage *sp = spage_get(s, gfn, &role, pae_root, made, e), *old = v->root;

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
static void refresh_root(struct shadow *s, struct spage *sp, const struct paging *pg, const struct paging_mem *mem)
{
	if (!sp->pae_root) {
		shadow_sync_below(s, sp, pg, mem);
		return;
	}
	for (unsigned i = 0; i < 4; i++)
		spte_drop(s, sp, i);
}

struct spage *shadow_root(struct shadow *s, struct shadow_vcpu *v, const struct paging *pg, bool smm,
			  const struct paging_mem *mem, struct err *e)
{
	struct spage *sp = v->root;
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

void shadow_load_cr3(struct shadow *s, struct shadow_vcpu *v, const struct paging *pg, const struct paging_mem *mem,
		     bool smm)
{
	bool made;
	struct spage *sp;

	mmio_cache_clear(&v->mmio);
	if (s->n_pages >= s->cfg.max_pages)
		recycle(s);
	sp = load_root(s, v, pg, smm, &made, NULL);
	if (sp && !made)
		refresh_root(s, sp, pg, mem);
}
