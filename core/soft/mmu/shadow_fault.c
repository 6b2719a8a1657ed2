/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One access through the shadow MMU, in the order in which things happen:
 *
 *   1 shadow tables: an spte that allows it answers at once; a current MMIO spte too
 *   2 the MMIO cache, for an access that begins in the emulator
 *   3 the guest's tables: each entry read, accessed and dirty bits set, or the guest's own fault
 *   4 the slot: none is MMIO (remembered, perhaps as an MMIO spte), a write to READONLY memory is MMIO and never remembered
 *   5 the host page, the shadow pages down to it, the spte, the reverse map
 *
 * The vCPU's stage hook is called with each of these before it takes effect: there fault stepping stands still.
 */
#include "core/soft/mmu/shadow_impl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* One access. */
struct mmu_access {
	struct shadow *s;
	struct shadow_vcpu *v;
	const struct paging *pg;
	const struct paging_mem *mem;
	uint64_t gva;
	unsigned access;
	bool smm;
	struct walk walk;
	unsigned next_level; /* of the table entry that the walk reads next, for the stage hook */
	int stopped;	     /* what the hook returned inside the walk */
	struct slot *slot;
	struct shadow_result *out;
};

static int PRINTF_LIKE(5, 6)
    report_stage(struct mmu_access *a, enum stage stage, uint64_t gfn, unsigned level, const char *fmt, ...)
{
	struct shadow_stage st = {.stage = stage,
				  .gfn = gfn,
				  .gfn_known = true,
				  .level = level,
				  .gva = a->gva,
				  .access = a->access,
				  .fault = a->v->faults};
	va_list ap;

	if (!a->v->stage)
		return 0;
	va_start(ap, fmt);
	vsnprintf(st.detail, sizeof(st.detail), fmt, ap);
	va_end(ap);
	return a->v->stage(a->v->stage_ctx, &st) ? -EINTR : 0;
}

/* ---- 1: what the tables say already */

static bool spte_allows(const struct paging *pg, uint64_t spte, unsigned access)
{
	bool user = access & ACCESS_USER, upage = spte & SPTE_U;

	if (!(spte & SPTE_P) || ((access & ACCESS_WRITE) && !(spte & SPTE_W)) || (user && !upage))
		return false;
	if ((access & ACCESS_FETCH) && (spte & SPTE_NX))
		return false;
	if (user || !upage)
		return true;
	if (access & ACCESS_FETCH)
		return !(pg->cr4 & CR4_SMEP);
	return !(pg->cr4 & CR4_SMAP) || (pg->ac && !(access & ACCESS_IMPLICIT));
}

static uint64_t *leaf_of(struct mmu_page *sp, uint64_t gva)
{
	while (sp->role.level > 1) {
		uint64_t spte = sp->spt[spt_index(gva, sp->role.level)];
		if (!spte_present(spte))
			return mmio_spte_is(spte) ? &sp->spt[spt_index(gva, sp->role.level)] : NULL;
		sp = mmu_page_child(spte);
	}
	return &sp->spt[spt_index(gva, 1)];
}

static void result_mapped(struct mmu_access *a, const struct mmu_page *sp, uint64_t spte, unsigned index)
{
	struct shadow_result *out = a->out;

	out->kind = SHADOW_MAPPED;
	out->spte = spte;
	out->host = (uint8_t *)(uintptr_t)(spte & SPTE_PFN_MASK);
	out->gpa = (sp->shadowed[index] & ~PAGE_OFFSET_MASK) | (a->gva & PAGE_OFFSET_MASK);
	out->rights = (uint8_t)((spte & SPTE_W ? ACCESS_WRITE : 0) | (spte & SPTE_NX ? 0 : ACCESS_FETCH) |
				(spte & SPTE_U ? ACCESS_USER : 0));
}

static int result_mmio(struct mmu_access *a, uint64_t gpa, bool from_cache)
{
	a->out->kind = SHADOW_MMIO;
	a->out->gpa = gpa;
	a->out->from_cache = from_cache;
	return 0;
}

bool shadow_mmio_match(const struct mmio_cache *c, const struct paging *pg, uint64_t gva, unsigned access,
		       uint64_t generation)
{
	bool user = access & ACCESS_USER;

	if (!mmio_cache_match_gva(c, gva, user, access & ACCESS_WRITE, generation))
		return false;
	return user || !(c->access & ACC_USER) || !(pg->cr4 & CR4_SMAP) || (pg->ac && !(access & ACCESS_IMPLICIT));
}

/* An MMIO spte answers while its generation is current; it fills the vCPU's cache, and the emulator checks its access. */
static bool mmio_from_spte(struct mmu_access *a, uint64_t *sptep)
{
	uint64_t spte = *sptep, gen = a->s->cfg.slots->generation;
	uint8_t acc = mmio_spte_access(spte);

	if (!mmio_spte_current(spte, gen)) {
		*sptep = SPTE_EMPTY;
		return false;
	}
	mmio_cache_fill(&a->v->mmio, a->gva, mmio_spte_gfn(spte), acc, gen);
	return shadow_mmio_match(&a->v->mmio, a->pg, a->gva, a->access, gen) && !(a->access & ACCESS_FETCH);
}

/* 1 if the shadow tables answer, 0 if the fault has to be taken, or -EINTR. */
static int from_tables(struct mmu_access *a, struct mmu_page *root)
{
	uint64_t *sptep = leaf_of(root, a->gva);

	if (!sptep)
		return 0;
	if (mmio_spte_is(*sptep) && mmio_from_spte(a, sptep)) {
		uint64_t gfn = mmio_spte_gfn(*sptep);
		if (report_stage(a, STAGE_MMIO_MATCH, gfn, 1, "MMIO spte %#llx", (unsigned long long)*sptep))
			return -EINTR;
		result_mmio(a, gfn << PAGE_SHIFT | (a->gva & PAGE_OFFSET_MASK), true);
		return 1;
	}
	if (!spte_present(*sptep) || !spte_allows(a->pg, *sptep, a->access))
		return 0;
	struct mmu_page *sp = mmu_page_of(sptep);
	result_mapped(a, sp, *sptep, (unsigned)(sptep - sp->spt));
	return 1;
}

/* ---- 3: the guest's tables, with the hook called entry by entry */

static int staged_read(void *ctx, uint64_t gpa, unsigned size, uint64_t *entry)
{
	struct mmu_access *a = ctx;

	if (!a->stopped)
		a->stopped = report_stage(a, STAGE_WALK, gpa >> PAGE_SHIFT, a->next_level, "entry at gpa %#llx",
					  (unsigned long long)gpa);
	if (a->next_level)
		a->next_level--;
	return a->stopped ? -EFAULT : a->mem->read(a->mem->ctx, gpa, size, entry);
}

static int staged_update(void *ctx, uint64_t gpa, unsigned size, uint64_t old, uint64_t new_entry)
{
	static const struct {
		uint64_t bit;
		enum stage stage;
	} bits[] = {{PTE_A, STAGE_ACCESSED}, {PTE_D, STAGE_DIRTY}};
	struct mmu_access *a = ctx;

	for (unsigned i = 0; i < ARRAY_LEN(bits) && !a->stopped; i++) {
		uint64_t next = old | (new_entry & bits[i].bit);
		if (next == old)
			continue;
		a->stopped = report_stage(a, bits[i].stage, gpa >> PAGE_SHIFT, 0, "entry at gpa %#llx: %#llx to %#llx",
					  (unsigned long long)gpa, (unsigned long long)old, (unsigned long long)next);
		int rc = a->stopped || !a->mem->update ? 0 : a->mem->update(a->mem->ctx, gpa, size, old, next);
		if (rc || a->stopped)
			return rc;
		old = next;
	}
	return 0;
}

static int walk_guest(struct mmu_access *a)
{
	if (a->v->stage) {
		struct paging_mem staged = {.ctx = a, .read = staged_read, .update = staged_update};
		a->next_level = a->pg->mode == PAGING_32BIT ? 2 : root_level(a->pg);
		paging_walk(a->pg, &staged, a->gva, a->access, true, &a->walk);
		if (a->stopped)
			return a->stopped;
	} else {
		paging_walk(a->pg, a->mem, a->gva, a->access, true, &a->walk);
	}
	if (!a->walk.fault.present)
		return 0;
	a->out->kind = SHADOW_GUEST_FAULT;
	a->out->fault = a->walk.fault;
	return report_stage(a, STAGE_GUEST_FAULT, a->gva >> PAGE_SHIFT, 0, "vector %u error code %#x: %s",
			    a->walk.fault.vector, a->walk.fault.error_code, a->walk.why)
		   ?: 1;
}

/* Rights of the guest's tables for this access. A clean page is not mapped writable, so that the first write is seen. With
 * CR0.WP clear a supervisor's write to a page without W is allowed: then the page is mapped writable for the supervisor
 * only. Not so a user's page under SMAP, which the supervisor's accesses without AC must go on to miss: it stays as it is,
 * and each such write is done by itself. */
static unsigned guest_rights(const struct mmu_access *a)
{
	const struct walk *k = &a->walk;
	unsigned acc = (k->rights & ACCESS_WRITE ? ACC_WRITE : 0) | (k->rights & ACCESS_FETCH ? ACC_EXEC : 0) |
		       (k->rights & ACCESS_USER ? ACC_USER : 0);

	if (a->pg->mode == PAGING_NONE)
		return ACC_ALL;
	if ((a->access & ACCESS_WRITE) && !(acc & ACC_WRITE)) {
		if ((acc & ACC_USER) && (a->pg->cr4 & CR4_SMAP))
			return acc;
		acc = (acc | ACC_WRITE) & ~ACC_USER;
		if (a->pg->cr4 & CR4_SMEP)
			acc &= ~ACC_EXEC;
	} else if (!(k->leaf & PTE_D) && !(a->access & ACCESS_WRITE)) {
		acc &= ~ACC_WRITE;
	}
	return acc;
}

/* ---- 5: shadow pages and the spte */

static unsigned leaf_level(const struct walk *k)
{
	return k->n ? k->step[k->n - 1].level : 0;
}

/* Rights that the entries above `level` allow together. */
static unsigned rights_above(const struct mmu_access *a, unsigned level)
{
	unsigned acc = ACC_ALL;

	for (unsigned i = 0; i < a->walk.n; i++) {
		const struct walk_step *st = &a->walk.step[i];
		bool pdpte = a->pg->mode == PAGING_PAE && st->level == 3;
		if (st->level > level && !pdpte)
			acc &= gpte_access(a->pg, st->entry, st->size == 4);
	}
	return acc;
}

static const struct walk_step *step_at(const struct walk *k, unsigned level)
{
	for (unsigned i = 0; i < k->n; i++)
		if (k->step[i].level == level)
			return &k->step[i];
	return NULL;
}

static void child_role(const struct mmu_access *a, const struct mmu_page *up, unsigned level, struct shadow_role *role,
		       uint64_t *gfn)
{
	const struct walk_step *st = step_at(&a->walk, level);

	*role = up->role;
	role->level = (uint8_t)level;
	role->direct = !st;
	role->quadrant = 0;
	if (!st) {
		role->gpte4 = false;
		role->access = (uint8_t)(a->pg->mode == PAGING_NONE ? ACC_ALL : guest_rights(a));
		*gfn = a->walk.gpa >> PAGE_SHIFT & ~((1ull << 9 * level) - 1);
		return;
	}
	role->access = (uint8_t)rights_above(a, level);
	*gfn = st->gpa >> PAGE_SHIFT;
	if (role->gpte4)
		role->quadrant = level == 1 ? a->gva >> 21 & 1 : a->gva >> 30 & 3;
}

static int step_down(struct mmu_access *a, struct mmu_page *sp, struct mmu_page **down, struct err *e)
{
	unsigned level = sp->role.level - 1u, index = spt_index(a->gva, sp->role.level);
	struct shadow_role role;
	uint64_t gfn;
	bool made;

	child_role(a, sp, level, &role, &gfn);
	if (spte_present(sp->spt[index])) {
		*down = mmu_page_child(sp->spt[index]);
		if ((*down)->gfn == gfn && role_equal(&(*down)->role, &role))
			return 0;
	}
	int rc = report_stage(a, STAGE_SHADOW_PAGE, gfn, level, "%s, rights %s%s%s",
			      role.direct ? "direct" : "of a guest table", role.access & ACC_WRITE ? "w" : "-",
			      role.access & ACC_USER ? "u" : "-", role.access & ACC_EXEC ? "x" : "-");
	if (rc)
		return rc;
	if (sp->spt[index] != SPTE_EMPTY) {
		spte_drop(a->s, sp, index);
		shadow_flush(a->s, ~0ull);
	}
	*down = mmu_page_get(a->s, gfn, &role, false, &made, e);
	if (!*down)
		return -ENOMEM;
	if (!made)
		shadow_refresh(a->s, *down, a->pg, a->mem);
	return spte_link(a->s, sp, index, *down, e);
}

/* A frame that has been mapped more than RMAP_RECYCLE_THRESHOLD times already: KVM zaps the whole chain, the new spte with
 * it, so that a chain that costs much to go over does not grow on; the guest faults once more and begins a new one. Here
 * that second fault is part of the first. */
static int recycle_chain(struct mmu_access *a, struct mmu_page *sp, const uint64_t *head, uint64_t spte, struct err *e)
{
	uint64_t gfn = a->walk.gpa >> PAGE_SHIFT;

	if (!head || rmap_count(*head) <= RMAP_RECYCLE_THRESHOLD + 1)
		return 0;
	rmap_zap(a->s, head);
	shadow_flush(a->s, ~0ull);
	return spte_set(a->s, sp, spt_index(a->gva, 1), spte, gfn, guest_rights(a), e);
}

static int set_leaf(struct mmu_access *a, struct mmu_page *sp, struct err *e)
{
	uint64_t gfn = a->walk.gpa >> PAGE_SHIFT;
	unsigned index = spt_index(a->gva, 1), acc = guest_rights(a);
	bool protected;
	uint64_t spte = spte_make(a->s, a->slot, gfn, acc, true, &protected);
	uint64_t *head = rmap_head(a->s, gfn, a->smm, spte & SPTE_PFN_MASK, true);
	uint64_t old = sp->spt[index];
	int rc = report_stage(a, STAGE_SPTE, gfn, 1, "%#llx%s", (unsigned long long)spte,
			      protected ? ", write-protected: a guest table" : "");

	if (rc)
		return rc;
	rc = spte_set(a->s, sp, index, spte, gfn, acc, e);
	if (!rc)
		rc = recycle_chain(a, sp, head, spte, e);
	if (rc)
		return rc;
	if ((spte & SPTE_W) && (a->slot->flags & SLOT_LOG_DIRTY))
		slot_mark_dirty(a->slot, gfn << PAGE_SHIFT, PAGE_SIZE_4K, a->smm);
	if (old != SPTE_EMPTY && old != spte)
		shadow_flush(a->s, a->gva & ~PAGE_OFFSET_MASK);
	result_mapped(a, sp, spte, index);
	a->out->slot = a->slot;
	if ((protected || !(acc & ACC_WRITE)) && (a->access & ACCESS_WRITE))
		a->out->kind = SHADOW_EMULATE;
	uint64_t n = head ? rmap_count(*head) : 0;
	return report_stage(a, STAGE_RMAP, gfn, 1, "%llu spte%s in the chain", (unsigned long long)n, n == 1 ? "" : "s");
}

static int map_page(struct mmu_access *a, struct mmu_page *root, struct err *e)
{
	struct mmu_page *sp = root;

	while (sp->role.level > 1) {
		sp->writes = 0;
		int rc = step_down(a, sp, &sp, e);
		if (rc)
			return rc;
	}
	return set_leaf(a, sp, e);
}

/* ---- 4: the slot */

static int map_mmio(struct mmu_access *a, struct mmu_page *root, struct err *e)
{
	uint64_t gfn = a->walk.gpa >> PAGE_SHIFT, gen = a->s->cfg.slots->generation;
	unsigned acc = guest_rights(a);
	struct mmu_page *sp = root;
	int rc = report_stage(a, STAGE_MMIO_CACHE, gfn, 0, "gva %#llx, generation %llu",
			      (unsigned long long)(a->gva & ~PAGE_OFFSET_MASK), (unsigned long long)gen);

	if (rc)
		return rc;
	mmio_cache_fill(&a->v->mmio, a->gva, gfn, (uint8_t)acc, gen);
	result_mmio(a, a->walk.gpa, false);
	if (!a->s->cfg.mmio_sptes || gen >> 63)
		return 0;
	while (sp->role.level > 1) {
		rc = step_down(a, sp, &sp, e);
		if (rc)
			return rc;
	}
	uint64_t spte = mmio_spte_make(gfn, (uint8_t)acc, gen);
	rc = report_stage(a, STAGE_SPTE, gfn, 1, "MMIO spte %#llx", (unsigned long long)spte);
	if (rc)
		return rc;
	spte_drop(a->s, sp, spt_index(a->gva, 1));
	sp->spt[spt_index(a->gva, 1)] = spte;
	sp->shadowed[spt_index(a->gva, 1)] = gfn << PAGE_SHIFT | acc;
	return 0;
}

static int take_fault(struct mmu_access *a, struct mmu_page *root, struct err *e)
{
	/* What is remembered of this page is learned anew. */
	mmio_cache_invlpg(&a->v->mmio, a->gva);
	int rc = walk_guest(a);

	if (rc)
		return rc < 0 ? rc : 0;
	uint64_t gfn = a->walk.gpa >> PAGE_SHIFT;
	a->slot = slot_lookup(a->s->cfg.slots, a->walk.gpa, a->smm, NULL);
	rc = a->slot ? report_stage(a, STAGE_SLOT, gfn, 0, "slot %u", a->slot->id)
		     : report_stage(a, STAGE_SLOT, gfn, 0, "none: MMIO");
	if (rc)
		return rc;
	if (!a->slot || !a->slot->alias)
		return map_mmio(a, root, e);
	if ((a->access & ACCESS_WRITE) && (a->slot->flags & SLOT_READONLY)) {
		a->out->readonly = true;
		a->out->slot = a->slot;
		result_mmio(a, a->walk.gpa, false);
		return report_stage(a, STAGE_EMULATE, gfn, 0, "a write to READONLY slot %u", a->slot->id);
	}
	if ((a->access & ACCESS_WRITE) && a->slot->file_backed)
		return err_set_at(e, -EFAULT, ERR_SPACE_GPA, a->walk.gpa,
				  "write gpa %#llx" WHY "slot %u is a file mapped PROT_READ, yet not readonly" TRY
				  "slot flags %u +readonly",
				  (unsigned long long)a->walk.gpa, a->slot->id, a->slot->id);
	rc = report_stage(a, STAGE_PAGE, gfn, leaf_level(&a->walk), "host page %p",
			  (void *)(a->slot->alias + ((gfn << PAGE_SHIFT) - a->slot->gpa)));
	return rc ? rc : map_page(a, root, e);
}

int shadow_access(struct shadow *s, struct shadow_vcpu *v, const struct paging *pg, const struct paging_mem *mem,
		  uint64_t gva, unsigned access, bool smm, bool emulator, struct shadow_result *out, struct err *e)
{
	struct mmu_access a = {.s = s, .v = v, .pg = pg, .mem = mem, .gva = gva, .access = access, .smm = smm, .out = out};
	struct mmu_page *root;
	int rc;

	memset(out, 0, sizeof(*out));
	v->faults++;
	if (!paging_canonical(pg, gva)) {
		rc = walk_guest(&a);
		return rc < 0 ? rc : 0;
	}
	root = shadow_root(s, v, pg, smm, mem, e);
	if (!root)
		return -ENOMEM;
	rc = from_tables(&a, root);
	if (rc)
		return rc < 0 ? rc : 0;
	if (emulator && shadow_mmio_match(&v->mmio, pg, gva, access, s->cfg.slots->generation)) {
		rc = report_stage(&a, STAGE_MMIO_MATCH, v->mmio.gfn, 0, "cached for gva %#llx",
				  (unsigned long long)v->mmio.gva);
		return rc ? rc : result_mmio(&a, v->mmio.gfn << PAGE_SHIFT | (gva & PAGE_OFFSET_MASK), true);
	}
	return take_fault(&a, root, e);
}
