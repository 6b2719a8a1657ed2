/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The view's rows of shadow pages, of MMIO caches and MMIO sptes, and the question whether a gfn is shadowed as a guest
 * table.
 */
#include "kvmback/kernel/kview_impl.h"

#include <errno.h>
#include <string.h>

/* ---- shadow pages */

static void count_entries(struct kview *k, const struct kpage *p, struct shadow_page *out)
{
	for (unsigned i = 0; p->entries && i < 512; i++) {
		enum kspte_class class = kspte_classify(&k->bits, p->entries[i], p->level);

		out->sptes += class == KSPTE_PRESENT;
		out->mmio_sptes += class == KSPTE_MMIO;
	}
}

static int page_row(struct kview *k, unsigned flags, const struct kpages *p, const struct kpage *page,
		    struct shadow_page *out, struct err *e)
{
	*out = (struct shadow_page){.gfn = page->gfn,
				    .level = page->level,
				    .direct = page->direct,
				    .smm = page->smm,
				    .unsync = page->unsync,
				    .invalid = page->invalid || page->obsolete,
				    .guest_mode = page->guest_mode,
				    .tdp = page->tdp,
				    .access = page->access,
				    .roots = page->roots,
				    .address = page->at,
				    .spt = page->spt,
				    .role = page->role,
				    .nx_split = page->nx_split,
				    .source = SOURCE_KERNEL,
				    .torn = p->torn || !page->entries};
	count_entries(k, page, out);
	if (flags & SHADOW_WITH_LEAVES && kwalk_leaves(k, p, page, out, e))
		return -ENOMEM;
	if (!(flags & SHADOW_WITH_ENTRIES) || !page->entries)
		return 0;
	out->entries = malloc(PAGE_SIZE_4K);
	if (!out->entries)
		return err_nomem(e, "shadow pages");
	memcpy(out->entries, page->entries, PAGE_SIZE_4K);
	return 0;
}

static int add_parents(struct kview *k, const struct kpages *p, struct shadow_page *v, struct err *e)
{
	struct kchain *c = calloc(p->n + 1, sizeof(*c));
	int rc;

	if (!c)
		return err_nomem(e, "shadow pages");
	for (size_t i = 0; i < p->n; i++)
		c[i].head = p->v[i].parents;
	rc = kchain_read(k, c, p->n, e);
	for (size_t i = 0; !rc && i < p->n; i++) {
		v[i].torn |= c[i].corrupt[0] != '\0';
		if (!c[i].n)
			continue;
		v[i].parents = malloc(c[i].n * sizeof(uint64_t));
		if (!v[i].parents) {
			rc = err_nomem(e, "shadow pages");
			break;
		}
		for (v[i].n_parents = 0; v[i].n_parents < c[i].n; v[i].n_parents++)
			v[i].parents[v[i].n_parents] = kchain_spte(&c[i], v[i].n_parents);
	}
	for (size_t i = 0; i < p->n; i++)
		kchain_free(&c[i]);
	free(c);
	return rc;
}

int kview_shadow_pages(struct kview *k, unsigned flags, struct shadow_page_list *out, struct err *e)
{
	struct shadow_page_list list = {0};
	struct kpages p = {0};
	int rc = kpages_get(k, KPAGES_ENTRIES, &p, e);

	if (rc)
		return rc;
	list.torn = p.torn;
	list.v = calloc(p.n + 1, sizeof(*list.v));
	if (!list.v)
		rc = err_nomem(e, "shadow pages");
	for (; !rc && list.n < p.n; list.n++)
		rc = page_row(k, flags, &p, &p.v[list.n], &list.v[list.n], e);
	if (!rc && (flags & SHADOW_WITH_PARENTS))
		rc = add_parents(k, &p, list.v, e);
	if (!rc && (flags & SHADOW_WITH_PARENTS))
		knested_rows(k, &p, list.v);
	kpages_free(&p);
	if (rc) {
		shadow_page_list_free(&list);
		return rc;
	}
	*out = list;
	return 0;
}

/* ---- MMIO */

static int add_mmio_spte(struct mmio_info *m, const struct spte_info *s, struct err *e)
{
	struct spte_info *v = m->sptes;

	if (!(m->n_sptes & (m->n_sptes - 1)) || !v) {
		v = realloc(v, (m->n_sptes ? m->n_sptes * 2 : 1) * sizeof(*v));
		if (!v)
			return err_nomem(e, "MMIO sptes");
		m->sptes = v;
	}
	v[m->n_sptes++] = *s;
	return 0;
}

static int mmio_of_page(struct kview *k, struct kpages *p, const struct kpage *page, struct mmio_info *m, struct err *e)
{
	struct kgva base = {0, 0};
	bool asked = false, by_gpa = k->host.tdp;
	int rc = 0;

	for (unsigned i = 0; !rc && i < 512; i++) {
		struct spte_info s = {.sptep = page->spt + i * 8u,
				      .page_gfn = page->gfn,
				      .index = i,
				      .source = SOURCE_KERNEL,
				      .torn = p->torn};

		if (kspte_classify(&k->bits, page->entries[i], page->level) != KSPTE_MMIO)
			continue;
		kspte_decode(&k->bits, page->entries[i], page->level, &s);
		if (page->direct || page->tdp)
			s.gfn_known = kwalk_leaf_gfn(page, i, &s.gfn);
		if (!asked && !by_gpa)
			rc = kwalk_gva(k, p, page, 0, &base, e);
		asked = true;
		if (rc == -EFAULT)
			rc = 0;
		s.gva = base.n ? base.gva + ((uint64_t)i << (PAGE_SHIFT + 9 * (page->level - 1))) : 0;
		s.gva_known = base.n == 1;
		s.by_gpa = by_gpa && s.gfn_known;
		if (s.by_gpa)
			s.gva = s.gfn << PAGE_SHIFT;
		if (!rc)
			rc = add_mmio_spte(m, &s, e);
	}
	return rc;
}

static int mmio_sptes(struct kview *k, struct mmio_info *m, struct err *e)
{
	struct kpages p = {0};
	int rc;

	m->sptes_off = k->bits.mmio == KMMIO_OFF;
	if (m->sptes_off)
		return 0;
	rc = kpages_get(k, KPAGES_ENTRIES, &p, e);
	for (size_t i = 0; !rc && i < p.n; i++)
		if (p.v[i].entries)
			rc = mmio_of_page(k, &p, &p.v[i], m, e);
	m->torn |= !rc && p.torn;
	kpages_free(&p);
	return rc;
}

/* The cache of a vCPU is a handful of words that only the vCPU itself writes: read twice until they agree. */
struct cache {
	uint64_t gva, gfn, gen, mmu;
	uint32_t access, role;
};

static int read_cache(struct kview *k, unsigned vcpu, struct cache *c, struct err *e)
{
	const struct klayout *l = k->l;
	uint64_t at = k->vcpu[vcpu];
	int rc;

	memset(c, 0, sizeof(*c));
	rc = kmem_u64(k->mem, at + (uint64_t)l->vcpu_mmio_gva.off, &c->gva, e);
	if (!rc)
		rc = kmem_u64(k->mem, at + (uint64_t)l->vcpu_mmio_gfn.off, &c->gfn, e);
	if (!rc)
		rc = kmem_u64(k->mem, at + (uint64_t)l->vcpu_mmio_gen.off, &c->gen, e);
	if (!rc)
		rc = kmem_read(k->mem, at + (uint64_t)l->vcpu_mmio_access.off, &c->access, sizeof(c->access), e);
	if (!rc)
		rc = kmem_u64(k->mem, at + (uint64_t)l->vcpu_mmu.off, &c->mmu, e);
	if (!rc && kmem_pointer(c->mmu))
		rc = kmem_read(k->mem, c->mmu + (uint64_t)l->mmu_role.off, &c->role, sizeof(c->role), e);
	return rc;
}

static int mmio_row(struct kview *k, unsigned vcpu, struct mmio_info *m, struct err *e)
{
	struct cache c, again;
	int rc = read_cache(k, vcpu, &c, e);

	for (int try = 0; !rc && try < KVIEW_TRIES; try++) {
		rc = read_cache(k, vcpu, &again, e);
		m->torn = memcmp(&c, &again, sizeof(c)) != 0;
		c = again;
		if (!m->torn)
			break;
	}
	/* Filled and compared with the generation of the first address space, in SMM too. */
	if (!rc)
		rc = kview_generation(k, 0, &m->current_generation, e);
	if (rc)
		return rc;
	m->vcpu = vcpu;
	m->gva = c.gva;
	m->gfn = c.gfn;
	m->access = (uint8_t)c.access;
	m->generation = c.gen;
	m->by_gfn = klayout_num(&k->l->role_direct, &c.role);
	m->valid = (m->by_gfn ? c.gfn : c.gva) && c.gen == m->current_generation;
	m->source = SOURCE_KERNEL;
	return 0;
}

int kview_mmio(struct kview *k, struct mmio_info_list *out, struct err *e)
{
	struct mmio_info_list list = {calloc(k->vcpus + 1, sizeof(struct mmio_info)), 0};
	int rc = list.v ? 0 : err_nomem(e, "MMIO caches");

	for (; !rc && list.n < k->vcpus; list.n++)
		rc = mmio_row(k, (unsigned)list.n, &list.v[list.n], e);
	if (!rc && list.n)
		rc = mmio_sptes(k, &list.v[0], e);
	if (rc) {
		mmio_info_list_free(&list);
		return rc;
	}
	*out = list;
	return 0;
}

/* ---- is a gfn shadowed as a guest table? */

static bool is_table(const struct kpages *p, uint64_t gfn)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->v[i].gfn == gfn && !p->v[i].direct && !p->v[i].tdp && !p->v[i].invalid && !p->v[i].obsolete)
			return true;
	return false;
}

int kview_is_table(struct kview *k, uint64_t gfn, bool *out, struct err *e)
{
	struct kpages p = {0};
	int rc = kpages_get(k, 0, &p, e);

	if (!rc)
		*out = is_table(&p, gfn);
	kpages_free(&p);
	return rc;
}
