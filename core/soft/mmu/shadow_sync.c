/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What keeps shadow pages true to guest tables that change: write-protection, leaf tables gone unsync and their sync, writes
 * that come by something else than an spte, INVLPG.
 */
#include "core/mem/paging_bits.h"
#include "core/soft/mmu/shadow_impl.h"

#include <string.h>

unsigned gpte_access(const struct paging *pg, uint64_t gpte, bool gpte4)
{
	unsigned acc = (gpte & PTE_W ? ACC_WRITE : 0) | (gpte & PTE_U ? ACC_USER : 0);
	bool nx = !gpte4 && (pg->efer & EFER_NXE) && (gpte & PTE_NX);

	return acc | (nx ? 0 : ACC_EXEC);
}

/* Where the guest's entry stands that entry `index` of a shadow page stands for. A 4-byte guest table has 1024 entries, so a
 * quadrant of it: halves of the leaf tables, quarters of the directory in which two sptes share one entry. */
uint64_t mmu_page_gpte_gpa(const struct mmu_page *sp, unsigned index)
{
	uint64_t base = sp->gfn << PAGE_SHIFT;

	if (!sp->role.gpte4)
		return base + 8ull * index;
	if (sp->role.level == 1)
		return base + 4ull * (sp->role.quadrant * SPT_ENTRIES + index);
	return base + 4ull * (sp->role.quadrant * (SPT_ENTRIES / 2) + index / 2);
}

/* ---- write protection */

struct protect {
	struct shadow *s;
	unsigned changed;
};

static int protect_one(void *arg, uint64_t *sptep)
{
	struct protect *p = arg;

	if (*sptep & (SPTE_W | SPTE_MMU_WRITABLE)) {
		*sptep &= ~(SPTE_W | SPTE_MMU_WRITABLE);
		p->changed++;
	}
	return 0;
}

/* If only writable sptes are in the map, a protected one leaves it, so its chain is taken apart from the front. */
static int take_first(void *arg, uint64_t *sptep)
{
	*(uint64_t **)arg = sptep;
	return 1;
}

static unsigned protect_and_drop(struct shadow *s, uint64_t *head)
{
	unsigned changed = 0;
	uint64_t *sptep = NULL;

	while (*head && rmap_each(*head, ~0ull, take_first, &sptep) == 1) {
		struct mmu_page *sp = mmu_page_of(sptep);
		unsigned i = (unsigned)(sptep - sp->spt);
		uint64_t spte = *sptep & ~(SPTE_W | SPTE_MMU_WRITABLE);
		if (spte_set(s, sp, i, spte, sp->shadowed[i] >> PAGE_SHIFT, sp->shadowed[i] & ACC_ALL, NULL))
			break;
		changed++;
	}
	return changed;
}

unsigned shadow_write_protect_gfn(struct shadow *s, struct slot *slot, uint64_t gfn)
{
	struct protect p = {.s = s};
	uint64_t host = (uintptr_t)slot->alias + ((gfn << PAGE_SHIFT) - slot->gpa);
	bool smm = !(slot->vis & SLOT_VIS_NONSMM);
	uint64_t *head = rmap_head(s, gfn, smm, host & SPTE_PFN_MASK, false);

	if (!head)
		return 0;
	if (s->cfg.rmap_writable_only)
		return protect_and_drop(s, head);
	rmap_each(*head, ~0ull, protect_one, &p);
	return p.changed;
}

void shadow_write_protect_slot(struct shadow *s, struct slot *slot)
{
	uint64_t first = slot->gpa >> PAGE_SHIFT, n = slot->size >> PAGE_SHIFT;
	unsigned changed = 0;

	for (uint64_t i = 0; i < n; i++)
		changed += shadow_write_protect_gfn(s, slot, first + i);
	if (changed)
		shadow_flush(s, ~0ull);
}

uint64_t rmap_zap(struct shadow *s, const uint64_t *head)
{
	uint64_t n = 0, *sptep = NULL;

	for (; *head && rmap_each(*head, ~0ull, take_first, &sptep) == 1; n++)
		spte_drop(s, mmu_page_of(sptep), (unsigned)(sptep - mmu_page_of(sptep)->spt));
	return n;
}

uint64_t shadow_zap_gfn(struct shadow *s, struct slot *slot, uint64_t gfn)
{
	uint64_t host = (uintptr_t)slot->alias + ((gfn << PAGE_SHIFT) - slot->gpa);
	uint64_t *head = rmap_head(s, gfn, !(slot->vis & SLOT_VIS_NONSMM), host & SPTE_PFN_MASK, false);
	uint64_t n = head ? rmap_zap(s, head) : 0;

	for (struct mmu_page *sp = s->hash[mmu_page_hash(gfn)], *next; sp; sp = next) {
		next = sp->hash_next;
		if (sp->gfn == gfn && !sp->role.direct)
			mmu_page_zap(s, sp);
	}
	shadow_flush(s, ~0ull);
	return n;
}

/* ---- unsync leaf tables */

/* True if gfn may be mapped writable: no table, or, with may_unsync, only leaf tables, which become unsync. */
static bool shadow_try_unsync(struct shadow *s, uint64_t gfn, bool may_unsync)
{
	struct mmu_page *sp;

	for (sp = s->hash[mmu_page_hash(gfn)]; sp; sp = sp->hash_next)
		if (sp->gfn == gfn && !sp->role.direct && !sp->pae_root && (sp->role.level > 1 || !may_unsync))
			return false;
	for (sp = s->hash[mmu_page_hash(gfn)]; sp; sp = sp->hash_next)
		if (sp->gfn == gfn && !sp->role.direct && !sp->pae_root && !sp->unsync) {
			sp->unsync = true;
			sp->unsync_next = s->unsync;
			s->unsync = sp;
			mmu_page_event(s, sp, MMU_UNSYNC);
		}
	return true;
}

uint64_t spte_make(struct shadow *s, const struct slot *slot, uint64_t gfn, unsigned access, bool may_unsync,
		   bool *protected)
{
	uint64_t host = (uintptr_t)slot->alias + ((gfn << PAGE_SHIFT) - slot->gpa);
	uint64_t spte = SPTE_P | SPTE_A | SPTE_MMU_PRESENT | (host & SPTE_PFN_MASK);

	*protected = false;
	if (access & ACC_USER)
		spte |= SPTE_U;
	if (!(access & ACC_EXEC))
		spte |= SPTE_NX;
	if ((slot->flags & SLOT_READONLY) || slot->file_backed)
		return spte;
	spte |= SPTE_HOST_WRITABLE;
	if (!(access & ACC_WRITE))
		return spte;
	if (!shadow_try_unsync(s, gfn, may_unsync)) {
		*protected = true;
		return spte;
	}
	return spte | SPTE_W | SPTE_D | SPTE_MMU_WRITABLE;
}

void mmu_page_unsync_remove(struct shadow *s, struct mmu_page *sp)
{
	struct mmu_page **at = &s->unsync;

	while (*at && *at != sp)
		at = &(*at)->unsync_next;
	if (*at)
		*at = sp->unsync_next;
	sp->unsync_next = NULL;
	sp->unsync = false;
	mmu_page_event(s, sp, MMU_SYNC);
}

/* An MMIO spte stays while the guest's entry still names its gfn and rights. */
static void sync_mmio(struct shadow *s, struct mmu_page *sp, unsigned i, uint64_t gfn, unsigned acc)
{
	if (mmio_spte_gfn(sp->spt[i]) != gfn || mmio_spte_access(sp->spt[i]) != acc)
		spte_drop(s, sp, i);
}

/* One entry of an unsync page against the guest's entry now. What is no longer there, not accessed, or another frame goes;
 * other rights are taken over. True if a TLB may hold more than is allowed now. */
static bool sync_entry(struct shadow *s, struct mmu_page *sp, unsigned i, const struct paging *pg,
		       const struct paging_mem *mem)
{
	uint64_t old = sp->spt[i], gpte = 0, gfn;
	bool protected;

	if (old == SPTE_EMPTY)
		return false;
	if (mem->read(mem->ctx, mmu_page_gpte_gpa(sp, i), sp->role.gpte4 ? 4 : 8, &gpte) || !(gpte & PTE_P) ||
	    !(gpte & PTE_A) || gpte & paging_reserved(pg, 1, true)) {
		spte_drop(s, sp, i);
		return true;
	}
	gfn = (gpte & (sp->role.gpte4 ? 0xfffff000ull : SPTE_PFN_MASK)) >> PAGE_SHIFT;
	unsigned acc =
	    sp->role.access & gpte_access(pg, gpte, sp->role.gpte4) & (gpte & PTE_D ? ACC_ALL : ACC_ALL & ~ACC_WRITE);
	if (mmio_spte_is(old)) {
		sync_mmio(s, sp, i, gfn, acc);
		return sp->spt[i] != old;
	}
	struct slot *slot = slot_lookup(s->cfg.slots, gfn << PAGE_SHIFT, sp->role.smm, NULL);
	if (sp->shadowed[i] >> PAGE_SHIFT != gfn || !slot || !slot->alias) {
		spte_drop(s, sp, i);
		return true;
	}
	if ((sp->shadowed[i] & ACC_ALL) == acc)
		return false;
	/* What was writable has made its table unsync, if it maps one, and may stay so. */
	if (spte_set(s, sp, i, spte_make(s, slot, gfn, acc, old & SPTE_W, &protected), gfn, acc, NULL))
		return true;
	return true;
}

static bool is_below(const struct mmu_page *sp, const struct mmu_page *top, unsigned depth);

struct climb {
	const struct mmu_page *top;
	unsigned depth;
};

static int climb_parent(void *arg, uint64_t *sptep)
{
	struct climb *c = arg;

	return is_below(mmu_page_of(sptep), c->top, c->depth);
}

static bool is_below(const struct mmu_page *sp, const struct mmu_page *top, unsigned depth)
{
	struct climb c = {top, depth - 1};

	if (sp == top)
		return true;
	return depth && rmap_each(sp->parents, ~0ull, climb_parent, &c) == 1;
}

static bool sync_entries(struct shadow *s, struct mmu_page *sp, const struct paging *pg, const struct paging_mem *mem)
{
	bool changed = false;

	for (unsigned i = 0; i < SPT_ENTRIES; i++)
		changed |= sync_entry(s, sp, i, pg, mem);
	return changed;
}

static void sync_page(struct shadow *s, struct mmu_page *sp, const struct paging *pg, const struct paging_mem *mem)
{
	struct slot *slot = slot_lookup(s->cfg.slots, sp->gfn << PAGE_SHIFT, sp->role.smm, NULL);

	if (slot)
		shadow_write_protect_gfn(s, slot, sp->gfn);
	mmu_page_unsync_remove(s, sp);
	sync_entries(s, sp, pg, mem);
}

void shadow_refresh(struct shadow *s, struct mmu_page *sp, const struct paging *pg, const struct paging_mem *mem)
{
	if (!sp->unsync)
		shadow_sync_below(s, sp, pg, mem);
	else if (sync_entries(s, sp, pg, mem))
		shadow_flush(s, ~0ull);
}

void shadow_sync_below(struct shadow *s, struct mmu_page *sp, const struct paging *pg, const struct paging_mem *mem)
{
	bool any = false;

	for (struct mmu_page *u = s->unsync, *next; u; u = next) {
		next = u->unsync_next;
		if (is_below(u, sp, 5)) {
			sync_page(s, u, pg, mem);
			any = true;
			next = s->unsync; /* the list may have changed */
		}
	}
	if (any)
		shadow_flush(s, ~0ull);
}

/* ---- writes that come by something else than an spte */

static void page_written(struct shadow *s, struct mmu_page *sp, uint64_t gpa, uint64_t len)
{
	uint64_t base = sp->gfn << PAGE_SHIFT, from = gpa > base ? gpa - base : 0, end = gpa + len - base;
	unsigned first = 0, past = SPT_ENTRIES;

	/* Of 8-byte entries it is plain which; small ones are shared out over several pages, and asked for one by one. */
	if (!sp->role.gpte4) {
		first = (unsigned)(from / 8);
		past = end / 8 < SPT_ENTRIES ? (unsigned)((end + 7) / 8) : SPT_ENTRIES;
	}
	for (unsigned i = first; i < past; i++) {
		uint64_t at = mmu_page_gpte_gpa(sp, i), size = sp->role.gpte4 ? 4 : 8;
		if (sp->spt[i] != SPTE_EMPTY && ranges_overlap(at, size, gpa, len))
			spte_drop(s, sp, i);
	}
}

void shadow_wrote(struct shadow *s, uint64_t gpa, uint64_t len, bool smm)
{
	bool any = false;

	(void)smm;
	if (!len || !s->n_pages)
		return;
	uint64_t first = gpa >> PAGE_SHIFT, n = ((gpa + len - 1) >> PAGE_SHIFT) - first + 1;
	if (n > s->n_pages) { /* a large range: look at the pages instead of the frames */
		for (struct mmu_page *sp = s->oldest; sp; sp = sp->newer)
			if (!sp->role.direct && sp->gfn - first < n)
				page_written(s, sp, gpa, len), any = true;
	} else {
		for (uint64_t gfn = first; gfn < first + n; gfn++)
			for (struct mmu_page *sp = s->hash[mmu_page_hash(gfn)]; sp; sp = sp->hash_next)
				if (sp->gfn == gfn && !sp->role.direct)
					page_written(s, sp, gpa, len), any = true;
	}
	if (any)
		shadow_flush(s, ~0ull);
}

/* Writes to a table above the leaves, with no fault that used it between, after which it is taken for data. */
#define FLOOD_WRITES 3

/* Does this write say that the page is data now? Guests clear and set bits of an entry by a write of its first byte alone.
 */
static bool written_as_data(struct mmu_page *sp, uint64_t gpa, uint64_t len)
{
	uint64_t size = sp->role.gpte4 ? 4 : 8, offset = gpa & PAGE_OFFSET_MASK;

	if (sp->role.level > 1 && ++sp->writes >= FLOOD_WRITES)
		return true;
	if (len == 1 && !(offset & (size - 1)))
		return false;
	return len < 4 || ((offset ^ (offset + len - 1)) & ~(size - 1));
}

void shadow_emulated_write(struct shadow *s, uint64_t gpa, uint64_t len)
{
	uint64_t gfn = gpa >> PAGE_SHIFT;
	bool any = false;

	for (struct mmu_page *sp = s->hash[mmu_page_hash(gfn)], *next; sp; sp = next) {
		next = sp->hash_next;
		if (sp->gfn != gfn || sp->role.direct || sp->pae_root)
			continue;
		if (written_as_data(sp, gpa, len))
			mmu_page_zap(s, sp);
		else
			page_written(s, sp, gpa, len);
		any = true;
	}
	if (any)
		shadow_flush(s, ~0ull);
}

/* ---- INVLPG */

static void invlpg_root(struct shadow *s, struct mmu_page *sp, const struct paging *pg, const struct paging_mem *mem,
			uint64_t gva)
{
	while (sp && sp->role.level > 1) {
		uint64_t spte = sp->spt[spt_index(gva, sp->role.level)];
		sp = spte_present(spte) ? mmu_page_child(spte) : NULL;
	}
	if (sp && (sp->unsync || mmio_spte_is(sp->spt[spt_index(gva, 1)])))
		sync_entry(s, sp, spt_index(gva, 1), pg, mem);
}

void shadow_invlpg(struct shadow *s, struct shadow_vcpu *v, const struct paging *pg, const struct paging_mem *mem,
		   uint64_t gva)
{
	struct mmu_page *root = v->root;

	mmio_cache_invlpg(&v->mmio, gva);
	if (root && !root->invalid)
		invlpg_root(s, root, pg, mem, gva);
	for (unsigned i = 0; i < ARRAY_LEN(v->prev_root); i++) {
		root = v->prev_root[i];
		if (root && !root->invalid)
			invlpg_root(s, root, pg, mem, gva);
	}
	shadow_flush(s, gva & ~PAGE_OFFSET_MASK);
}
