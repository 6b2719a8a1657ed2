/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The checker goes over all pages three times: what each is, what the maps name (marking each spte once), what was not
 * marked and should have been.
 */
#include "tests/support/shadow_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/soft/mmu/shadow_impl.h"
#include "core/soft/soft_impl.h"

struct check {
	struct shadow *s;
	struct mmu_page **page; /* by address */
	uint64_t (*seen)[SPT_ENTRIES / 64];
	size_t n;
	const struct slot *slot; /* whose map is gone over */
	uint64_t gfn;
	const struct mmu_page *child; /* whose parents are */
	const char *wrong;
};

static int by_address(const void *a, const void *b)
{
	uintptr_t x = (uintptr_t) * (struct mmu_page *const *)a, y = (uintptr_t) * (struct mmu_page *const *)b;

	return x < y ? -1 : x > y;
}

static long index_of(const struct check *c, const struct mmu_page *sp)
{
	struct mmu_page *const *at = bsearch(&sp, c->page, c->n, sizeof(*c->page), by_address);

	return at ? at - c->page : -1;
}

#define WRONG(C, TEXT) ((C)->wrong = (C)->wrong ? (C)->wrong : (TEXT))

/* ---- pages and leaves */

static bool listed(const struct mmu_page *sp, const struct mmu_page *list, bool unsync)
{
	for (; list; list = unsync ? list->unsync_next : list->hash_next)
		if (list == sp)
			return true;
	return false;
}

static void check_page(struct check *c, const struct mmu_page *sp)
{
	if (!listed(sp, c->s->hash[mmu_page_hash(sp->gfn)], false))
		WRONG(c, "a page is not in the hash");
	if (sp->invalid)
		WRONG(c, "a listed page is invalid");
	if (sp->unsync && (sp->role.level != 1 || sp->role.direct))
		WRONG(c, "an unsync page is no leaf table");
	if (sp->unsync != listed(sp, c->s->unsync, true))
		WRONG(c, "the list of unsync pages is another");
	for (const struct mmu_page *o = sp->hash_next; o; o = o->hash_next)
		if (o->gfn == sp->gfn && o->pae_root == sp->pae_root && role_equal(&o->role, &sp->role))
			WRONG(c, "two pages of one gfn and role");
}

/* A table whose writes must be seen: all but unsync leaf tables. */
static bool protected_table(const struct shadow *s, uint64_t gfn)
{
	for (const struct mmu_page *sp = s->hash[mmu_page_hash(gfn)]; sp; sp = sp->hash_next)
		if (sp->gfn == gfn && !sp->role.direct && !sp->pae_root && !sp->unsync)
			return true;
	return false;
}

static void check_leaf(struct check *c, const struct mmu_page *sp, unsigned i)
{
	uint64_t spte = sp->spt[i], gfn = sp->shadowed[i] >> PAGE_SHIFT;
	const struct slot *slot = slot_lookup(c->s->cfg.slots, gfn << PAGE_SHIFT, sp->role.smm, NULL);

	if (!slot || !slot->alias)
		WRONG(c, "a leaf of a gfn without memory");
	else if ((spte & SPTE_PFN_MASK) != (uintptr_t)slot->alias + ((gfn << PAGE_SHIFT) - slot->gpa))
		WRONG(c, "a leaf points elsewhere than its gfn's memory");
	else if ((spte & SPTE_W) && ((slot->flags & SLOT_READONLY) || slot->file_backed))
		WRONG(c, "a writable leaf of readonly memory");
	else if ((spte & SPTE_W) && protected_table(c->s, gfn))
		WRONG(c, "a writable leaf of a shadowed table");
	else if ((spte & SPTE_W) && !(sp->shadowed[i] & ACC_WRITE))
		WRONG(c, "a leaf with more rights than the guest's tables gave");
}

/* What shadows a table that cannot be written unseen says what the table says now. */
static void check_against_guest(struct check *c, const struct mmu_page *sp, unsigned i)
{
	uint64_t at = mmu_page_gpte_gpa(sp, i), gpte = 0, spte = sp->spt[i], frame;
	const struct slot *slot = slot_lookup(c->s->cfg.slots, at, sp->role.smm, NULL);
	bool link = sp->role.level > 1, mmio = !link && mmio_spte_is(spte);

	if (sp->role.direct || sp->unsync || sp->pae_root || (!spte_present(spte) && !mmio))
		return;
	if (!slot || !slot->alias) {
		WRONG(c, "an entry of a table that is no memory");
		return;
	}
	memcpy(&gpte, slot->alias + (at - slot->gpa), sp->role.gpte4 ? 4 : 8);
	frame = (gpte & (sp->role.gpte4 ? 0xfffff000ull : SPTE_PFN_MASK)) >> PAGE_SHIFT;
	if (!(gpte & PTE_P))
		WRONG(c, "an spte of a guest entry that is not present");
	else if (link && !(gpte & PTE_PS) && (mmu_page_child(spte)->role.direct || mmu_page_child(spte)->gfn != frame))
		WRONG(c, "a link to the shadow of another table than the guest's entry names");
	else if (!link && frame != (mmio ? mmio_spte_gfn(spte) : sp->shadowed[i] >> PAGE_SHIFT))
		WRONG(c, "an spte of another frame than the guest's entry names");
	else if (!link && !mmio && (spte & SPTE_U) && !(gpte & PTE_U))
		WRONG(c, "an spte for users where the guest's entry has none");
	else if (!link && !mmio && (spte & SPTE_W) && sp->role.wp && !(gpte & PTE_W))
		WRONG(c, "a writable spte where the guest's entry is not");
}

static void check_entry(struct check *c, const struct mmu_page *sp, unsigned i)
{
	uint64_t spte = sp->spt[i];

	check_against_guest(c, sp, i);

	if (sp->role.level == 1 && spte_present(spte))
		check_leaf(c, sp, i);
	else if (spte_present(spte) && index_of(c, mmu_page_child(spte)) < 0)
		WRONG(c, "a link to a page that is gone");
	else if (spte_present(spte) && mmu_page_child(spte)->role.level != sp->role.level - 1)
		WRONG(c, "a link to a page of another level");
	else if (!spte_present(spte) && spte != SPTE_EMPTY && (sp->role.level > 1 || !mmio_spte_is(spte)))
		WRONG(c, "an spte that is nothing");
}

/* ---- what the maps name */

static int mark(void *arg, uint64_t *sptep)
{
	struct check *c = arg;
	struct mmu_page *sp = mmu_page_of(sptep);
	long at = index_of(c, sp);
	unsigned i = (unsigned)(sptep - sp->spt);

	if (at < 0 || i >= SPT_ENTRIES) {
		WRONG(c, "a map names an spte of a page that is gone");
		return 1;
	}
	if (c->seen[at][i / 64] >> i % 64 & 1)
		WRONG(c, "an spte stands in maps twice");
	c->seen[at][i / 64] |= 1ull << i % 64;
	if (!spte_present(*sptep))
		WRONG(c, "a map names an spte that is not present");
	else if (c->child && (sp->role.level != c->child->role.level + 1 || mmu_page_child(*sptep) != c->child))
		WRONG(c, "a parent that does not point here");
	else if (!c->child && (sp->role.level != 1 || sp->shadowed[i] >> PAGE_SHIFT != c->gfn ||
			       slot_lookup(c->s->cfg.slots, c->gfn << PAGE_SHIFT, sp->role.smm, NULL) != c->slot))
		WRONG(c, "an spte in the map of another gfn");
	return 0;
}

static void mark_all(struct check *c)
{
	const struct slot_table *t = c->s->cfg.slots;

	for (size_t i = 0; i < t->n; i++) {
		const struct slot_mmu *mmu = t->by_gfn[i]->mmu;
		c->slot = t->by_gfn[i];
		for (uint64_t p = 0; mmu && p < mmu->pages; p++) {
			c->gfn = (c->slot->gpa >> PAGE_SHIFT) + p;
			if (mmu->rmap[p] && rmap_each(mmu->rmap[p], c->n * SPT_ENTRIES, mark, c) < 0)
				WRONG(c, "a reverse map's chain is broken");
		}
	}
	for (size_t i = 0; i < c->n; i++) {
		c->child = c->page[i];
		if (rmap_each(c->child->parents, c->n * SPT_ENTRIES, mark, c) < 0)
			WRONG(c, "a chain of parents is broken");
	}
}

static void check_marked(struct check *c)
{
	for (size_t k = 0; k < c->n; k++)
		for (unsigned i = 0; i < SPT_ENTRIES; i++) {
			const struct mmu_page *sp = c->page[k];
			bool quiet = c->s->cfg.rmap_writable_only && sp->role.level == 1 && !(sp->spt[i] & SPTE_W);
			if (spte_present(sp->spt[i]) && !quiet && !(c->seen[k][i / 64] >> i % 64 & 1))
				WRONG(c, "a present spte stands in no map");
		}
}

const char *shadow_check(struct shadow *s)
{
	struct check c = {.s = s};

	c.page = calloc(s->n_pages + 1, sizeof(struct mmu_page *));
	c.seen = calloc(s->n_pages + 1, sizeof(*c.seen));
	if (!c.page || !c.seen)
		abort();
	for (struct mmu_page *sp = s->oldest; sp; sp = sp->newer) {
		if (c.n == s->n_pages)
			abort();
		c.page[c.n++] = sp;
	}
	if (c.n != s->n_pages)
		WRONG(&c, "the count of pages is another");
	qsort(c.page, c.n, sizeof(struct mmu_page *), by_address);
	for (size_t k = 0; k < c.n; k++) {
		check_page(&c, c.page[k]);
		for (unsigned i = 0; i < SPT_ENTRIES; i++)
			check_entry(&c, c.page[k], i);
	}
	for (const struct mmu_page *u = s->unsync; u; u = u->unsync_next)
		if (index_of(&c, u) < 0 || !u->unsync)
			WRONG(&c, "the list of unsync pages holds another");
	mark_all(&c);
	check_marked(&c);
	free(c.page);
	free(c.seen);
	return c.wrong;
}

/* ---- TLBs */

static const char *check_tlb(struct soft_cpu *c, const struct soft_tlb_entry *t)
{
	const struct slot *s;

	if (t->read == ~0ull && t->write == ~0ull && t->fetch == ~0ull)
		return NULL;
	s = slot_lookup(&c->m->m.slots, t->gpa, c->r.smm, NULL);
	if (!s || !s->alias || t->host != s->alias + (t->gpa - s->gpa))
		return "a TLB entry reaches beside the slots";
	if (t->write != ~0ull && ((s->flags & SLOT_READONLY) || s->file_backed))
		return "a TLB entry lets readonly memory be written";
	if (t->write != ~0ull && block_page_has_code(c->blocks, t->host))
		return "a TLB entry lets decoded code be written unseen";
	if (t->write != ~0ull && protected_table(c->m->shadow, t->gpa >> PAGE_SHIFT))
		return "a TLB entry lets a shadowed table be written unseen";
	return NULL;
}

const char *soft_check(struct machine *base)
{
	struct soft_machine *m = soft_of(base);
	const char *wrong = shadow_check(m->shadow);

	for (unsigned i = 0; !wrong && i < base->vcpus; i++)
		for (unsigned k = 0; !wrong && k < 2 * SOFT_TLB_SIZE; k++)
			wrong = check_tlb(m->cpu[i], &m->cpu[i]->tlb_of[k / SOFT_TLB_SIZE][k % SOFT_TLB_SIZE]);
	return wrong;
}
