/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The way of one access through the shadow MMU, in the order in which it happens:
 *
 *   1 shadow tables: an spte that allows it answers at once; a current MMIO spte too
 *   2 the MMIO cache, for an access that begins in the emulator
 *   3 the guest's tables: each entry read, accessed and dirty bits set, or the guest's own fault
 *   4 the slot: none is MMIO (remembered, perhaps as an MMIO spte), a write to READONLY memory is MMIO and never remembered
 *   5 the host page, the shadow pages down to it, the spte, the reverse map
 *
 * Each of these is told to the vCPU's stage hook before it takes effect, which is where fault stepping stands still.
 */
#include "core/soft/mmu/shadow_impl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* One access on its way. */
struct way {
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

static int PRINTF_LIKE(5, 6) stage(struct way *w, enum stage kind, uint64_t gfn, unsigned level, const char *fmt, ...)
{
	struct shadow_stage st = {.stage = kind,
				  .gfn = gfn,
				  .gfn_known = true,
				  .level = level,
				  .gva = w->gva,
				  .access = w->access,
				  .fault = w->v->faults};
	va_list ap;

	if (!w->v->stage)
		return 0;
	va_start(ap, fmt);
	vsnprintf(st.detail, sizeof(st.detail), fmt, ap);
	va_end(ap);
	return w->v->stage(w->v->stage_ctx, &st) ? -EINTR : 0;
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

static uint64_t *leaf_of(struct spage *sp, uint64_t gva)
{
	while (sp->role.level > 1) {
		uint64_t spte = sp->spt[spt_index(gva, sp->role.level)];
		if (!spte_present(spte))
			return mmio_spte_is(spte) ? &sp->spt[spt_index(gva, sp->role.level)] : NULL;
		sp = spage_child(spte);
	}
	return &sp->spt[spt_index(gva, 1)];
}

static void mapped(struct way *w, const struct spage *sp, uint64_t spte, unsigned index)
{
	struct shadow_result *out = w->out;

	out->kind = SHADOW_MAPPED;
	out->spte = spte;
	out->host = (uint8_t *)(uintptr_t)(spte & SPTE_PFN_MASK);
	out->gpa = (sp->shadowed[index] & ~PAGE_OFFSET_MASK) | (w->gva & PAGE_OFFSET_MASK);
	out->rights = (uint8_t)((spte & SPTE_W ? ACCESS_WRITE : 0) | (spte & SPTE_NX ? 0 : ACCESS_FETCH) |
				(spte & SPTE_U ? ACCESS_USER : 0));
}

static int mmio(struct way *w, uint64_t gpa, bool from_cache)
{
	w->out->kind = SHADOW_MMIO;
	w->out->gpa = gpa;
	w->out->from_cache = from_cache;
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
static bool mmio_from_spte(struct way *w, uint64_t *sptep)
{
	uint64_t spte = *sptep, gen = w->s->cfg.slots->generation;
	uint8_t acc = mmio_spte_access(spte);

	if (!mmio_spte_current(spte, gen)) {
		*sptep = SPTE_EMPTY;
		return false;
	}
	mmio_cache_fill(&w->v->mmio, w->gva, mmio_spte_gfn(spte), acc, gen);
	return shadow_mmio_match(&w->v->mmio, w->pg, w->gva, w->access, gen) && !(w->access & ACCESS_FETCH);
}

/* 1 where the shadow tables answer, 0 where the fault has to be taken, or -EINTR. */
static int from_tables(struct way *w, struct spage *root)
{
	uint64_t *sptep = leaf_of(root, w->gva);

	if (!sptep)
		return 0;
	if (mmio_spte_is(*sptep) && mmio_from_spte(w, sptep)) {
		uint64_t gfn = mmio_spte_gfn(*sptep);
		if (stage(w, STAGE_MMIO_MATCH, gfn, 1, "MMIO spte %#llx", (unsigned long long)*sptep))
			return -EINTR;
		mmio(w, gfn << PAGE_SHIFT | (w->gva & PAGE_OFFSET_MASK), true);
		return 1;
	}
	if (!spte_present(*sptep) || !spte_allows(w->pg, *sptep, w->access))
		return 0;
	struct spage *sp = spage_of(sptep);
	mapped(w, sp, *sptep, (unsigned)(sptep - sp->spt));
	return 1;
}

/* ---- 3: the guest's tables, told to the hook entry by entry */

static int staged_read(void *ctx, uint64_t gpa, unsigned size, uint64_t *entry)
{
	struct way *w = ctx;

	if (!w->stopped)
		w->stopped =
		    stage(w, STAGE_WALK, gpa >> PAGE_SHIFT, w->next_level, "entry at gpa %#llx", (unsigned long long)gpa);
	if (w->next_level)
		w->next_level--;
	return w->stopped ? -EFAULT : w->mem->read(w->mem->ctx, gpa, size, entry);
}

static int staged_update(void *ctx, uint64_t gpa, unsigned size, uint64_t old, uint64_t new_entry)
{
	static const struct {
		uint64_t bit;
		enum stage stage;
	} told[] = {{PTE_A, STAGE_ACCESSED}, {PTE_D, STAGE_DIRTY}};
	struct way *w = ctx;

	for (unsigned i = 0; i < ARRAY_LEN(told) && !w->stopped; i++) {
		uint64_t next = old | (new_entry & told[i].bit);
		if (next == old)
			continue;
		w->stopped = stage(w, told[i].stage, gpa >> PAGE_SHIFT, 0, "entry at gpa %#llx: %#llx to %#llx",
				   (unsigned long long)gpa, (unsigned long long)old, (unsigned long long)next);
		int rc = w->stopped || !w->mem->update ? 0 : w->mem->update(w->mem->ctx, gpa, size, old, next);
		if (rc || w->stopped)
			return rc;
		old = next;
	}
	return 0;
}

static int walk_guest(struct way *w)
{
	if (w->v->stage) {
		struct paging_mem staged = {.ctx = w, .read = staged_read, .update = staged_update};
		w->next_level = w->pg->mode == PAGING_32BIT ? 2 : root_level(w->pg);
		paging_walk(w->pg, &staged, w->gva, w->access, true, &w->walk);
		if (w->stopped)
			return w->stopped;
	} else {
		paging_walk(w->pg, w->mem, w->gva, w->access, true, &w->walk);
	}
	if (!w->walk.fault.present)
		return 0;
	w->out->kind = SHADOW_GUEST_FAULT;
	w->out->fault = w->walk.fault;
	return stage(w, STAGE_GUEST_FAULT, w->gva >> PAGE_SHIFT, 0, "vector %u error code %#x: %s", w->walk.fault.vector,
		     w->walk.fault.error_code, w->walk.why)
		   ?: 1;
}

/* Rights of the guest's tables for this access. A clean page is not mapped writable, so that the first write is seen. With
 * CR0.WP clear a supervisor's write to a page without W is allowed: then the page is mapped writable for the supervisor
 * only. Not so a user's page under SMAP, which the supervisor's accesses without AC must go on to miss: it stays as it is,
 * and each such write is done by itself. */
static unsigned guest_rights(const struct way *w)
{
	const struct walk *k = &w->walk;
	unsigned acc = (k->rights & ACCESS_WRITE ? ACC_WRITE : 0) | (k->rights & ACCESS_FETCH ? ACC_EXEC : 0) |
		       (k->rights & ACCESS_USER ? ACC_USER : 0);

	if (w->pg->mode == PAGING_NONE)
		return ACC_ALL;
	if ((w->access & ACCESS_WRITE) && !(acc & ACC_WRITE)) {
		if ((acc & ACC_USER) && (w->pg->cr4 & CR4_SMAP))
			return acc;
		acc = (acc | ACC_WRITE) & ~ACC_USER;
		if (w->pg->cr4 & CR4_SMEP)
			acc &= ~ACC_EXEC;
	} else if (!(k->leaf & PTE_D) && !(w->access & ACCESS_WRITE)) {
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
static unsigned rights_above(const struct way *w, unsigned level)
{
	unsigned acc = ACC_ALL;

	for (unsigned i = 0; i < w->walk.n; i++) {
		const struct walk_step *st = &w->walk.step[i];
		bool pdpte = w->pg->mode == PAGING_PAE && st->level == 3;
		if (st->level > level && !pdpte)
			acc &= gpte_access(w->pg, st->entry, st->size == 4);
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

static void child_role(const struct way *w, const struct spage *up, unsigned level, struct shadow_role *role, uint64_t *gfn)
{
	const struct walk_step *st = step_at(&w->walk, level);

	*role = up->role;
	role->level = (uint8_t)level;
	role->direct = !st;
	role->quadrant = 0;
	if (!st) {
		role->gpte4 = false;
		role->access = (uint8_t)(w->pg->mode == PAGING_NONE ? ACC_ALL : guest_rights(w));
		*gfn = w->walk.gpa >> PAGE_SHIFT & ~((1ull << 9 * level) - 1);
		return;
	}
	role->access = (uint8_t)rights_above(w, level);
	*gfn = st->gpa >> PAGE_SHIFT;
	if (role->gpte4)
		role->quadrant = level == 1 ? w->gva >> 21 & 1 : w->gva >> 30 & 3;
}

static int step_down(struct way *w, struct spage *sp, struct spage **down, struct err *e)
{
	unsigned level = sp->role.level - 1u, index = spt_index(w->gva, sp->role.level);
	struct shadow_role role;
	uint64_t gfn;
	bool made;

	child_role(w, sp, level, &role, &gfn);
	if (spte_present(sp->spt[index])) {
		*down = spage_child(sp->spt[index]);
		if ((*down)->gfn == gfn && role_equal(&(*down)->role, &role))
			return 0;
	}
	int rc = stage(w, STAGE_SHADOW_PAGE, gfn, level, "%s, rights %s%s%s", role.direct ? "direct" : "of a guest table",
		       role.access & ACC_WRITE ? "w" : "-", role.access & ACC_USER ? "u" : "-",
		       role.access & ACC_EXEC ? "x" : "-");
	if (rc)
		return rc;
	if (sp->spt[index] != SPTE_EMPTY) {
		spte_drop(w->s, sp, index);
		shadow_flush(w->s, ~0ull);
	}
	*down = spage_get(w->s, gfn, &role, false, &made, e);
	if (!*down)
		return -ENOMEM;
	if (!made)
		shadow_refresh(w->s, *down, w->pg, w->mem);
	return spte_link(w->s, sp, index, *down, e);
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

static int install(struct way *w, struct spage *sp, struct err *e)
{
	uint64_t gfn = w->walk.gpa >> PAGE_SHIFT;
	unsigned index = spt_index(w->gva, 1), acc = guest_rights(w);
	bool protected;
	uint64_t spte = spte_make(w->s, w->slot, gfn, acc, true, &protected);
	uint64_t *head = rmap_head(w->s, gfn, w->smm, spte & SPTE_PFN_MASK, true);
	uint64_t old = sp->spt[index];
	int rc = stage(w, STAGE_SPTE, gfn, 1, "%#llx%s", (unsigned long long)spte,
		       protected ? ", write-protected: a guest table" : "");

	if (rc)
		return rc;
	rc = spte_set(w->s, sp, index, spte, gfn, acc, e);
	if (rc)
		return rc;
	if ((spte & SPTE_W) && (w->slot->flags & SLOT_LOG_DIRTY))
		slot_mark_dirty(w->slot, gfn << PAGE_SHIFT, PAGE_SIZE_4K, w->smm);
	if (old != SPTE_EMPTY && old != spte)
		shadow_flush(w->s, w->gva & ~PAGE_OFFSET_MASK);
	mapped(w, sp, spte, index);
	w->out->slot = w->slot;
	if ((protected || !(acc & ACC_WRITE)) && (w->access & ACCESS_WRITE))
		w->out->kind = SHADOW_EMULATE;
	uint64_t n = head ? rmap_count(*head) : 0;
	return stage(w, STAGE_RMAP, gfn, 1, "%llu spte%s in the chain", (unsigned long long)n, n == 1 ? "" : "s");
}

static int build(struct way *w, struct spage *root, struct err *e)
{
	struct spage *sp = root;

	while (sp->role.level > 1) {
		sp->writes = 0;
		int rc = step_down(w, sp, &sp, e);
		if (rc)
			return rc;
	}
	return install(w, sp, e);
}

/* ---- 4: the slot */

static int no_slot(struct way *w, struct spage *root, struct err *e)
{
	uint64_t gfn = w->walk.gpa >> PAGE_SHIFT, gen = w->s->cfg.slots->generation;
	unsigned acc = guest_rights(w);
	struct spage *sp = root;
	int rc = stage(w, STAGE_MMIO_CACHE, gfn, 0, "gva %#llx, generation %llu",
		       (unsigned long long)(w->gva & ~PAGE_OFFSET_MASK), (unsigned long long)gen);

	if (rc)
		return rc;
	mmio_cache_fill(&w->v->mmio, w->gva, gfn, (uint8_t)acc, gen);
	mmio(w, w->walk.gpa, false);
	if (!w->s->cfg.mmio_sptes || gen >> 63)
		return 0;
	while (sp->role.level > 1) {
		rc = step_down(w, sp, &sp, e);
		if (rc)
			return rc;
	}
	uint64_t spte = mmio_spte_make(gfn, (uint8_t)acc, gen);
	rc = stage(w, STAGE_SPTE, gfn, 1, "MMIO spte %#llx", (unsigned long long)spte);
	if (rc)
		return rc;
	spte_drop(w->s, sp, spt_index(w->gva, 1));
	sp->spt[spt_index(w->gva, 1)] = spte;
	sp->shadowed[spt_index(w->gva, 1)] = gfn << PAGE_SHIFT | acc;
	return 0;
}

static int take_fault(struct way *w, struct spage *root, struct err *e)
{
	/* What is remembered of this page is learned anew. */
	mmio_cache_invlpg(&w->v->mmio, w->gva);
	int rc = walk_guest(w);

	if (rc)
		return rc < 0 ? rc : 0;
	uint64_t gfn = w->walk.gpa >> PAGE_SHIFT;
	w->slot = slot_lookup(w->s->cfg.slots, w->walk.gpa, w->smm, NULL);
	rc = w->slot ? stage(w, STAGE_SLOT, gfn, 0, "slot %u", w->slot->id) : stage(w, STAGE_SLOT, gfn, 0, "none: MMIO");
	if (rc)
		return rc;
	if (!w->slot || !w->slot->alias)
		return no_slot(w, root, e);
	if ((w->access & ACCESS_WRITE) && (w->slot->flags & SLOT_READONLY)) {
		w->out->readonly = true;
		w->out->slot = w->slot;
		mmio(w, w->walk.gpa, false);
		return stage(w, STAGE_EMULATE, gfn, 0, "a write to READONLY slot %u", w->slot->id);
	}
	if ((w->access & ACCESS_WRITE) && w->slot->file_backed)
		return err_set_at(e, -EFAULT, ERR_SPACE_GPA, w->walk.gpa,
				  "write gpa %#llx" WHY "slot %u is a file mapped PROT_READ, yet not readonly" TRY
				  "slot flags %u +readonly",
				  (unsigned long long)w->walk.gpa, w->slot->id, w->slot->id);
	rc = stage(w, STAGE_PAGE, gfn, leaf_level(&w->walk), "host page %p",
		   (void *)(w->slot->alias + ((gfn << PAGE_SHIFT) - w->slot->gpa)));
	return rc ? rc : build(w, root, e);
}

int shadow_access(struct shadow *s, struct shadow_vcpu *v, const struct paging *pg, const struct paging_mem *mem,
		  uint64_t gva, unsigned access, bool smm, bool emulator, struct shadow_result *out, struct err *e)
{
	struct way w = {.s = s, .v = v, .pg = pg, .mem = mem, .gva = gva, .access = access, .smm = smm, .out = out};
	struct spage *root;
	int rc;

	memset(out, 0, sizeof(*out));
	v->faults++;
	if (!paging_canonical(pg, gva)) {
		rc = walk_guest(&w);
		return rc < 0 ? rc : 0;
	}
	root = shadow_root(s, v, pg, smm, mem, e);
	if (!root)
		return -ENOMEM;
	rc = from_tables(&w, root);
	if (rc)
		return rc < 0 ? rc : 0;
	if (emulator && shadow_mmio_match(&v->mmio, pg, gva, access, s->cfg.slots->generation)) {
		rc = stage(&w, STAGE_MMIO_MATCH, v->mmio.gfn, 0, "cached for gva %#llx", (unsigned long long)v->mmio.gva);
		return rc ? rc : mmio(&w, v->mmio.gfn << PAGE_SHIFT | (gva & PAGE_OFFSET_MASK), true);
	}
	return take_fault(&w, root, e);
}
