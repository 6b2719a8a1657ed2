/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Walks over the shadow tables: down from a vCPU's root by position, which gives every spte's gva, and up from a page by its
 * parents. 32-bit guests are shadowed under a PAE root of four entries that is no shadow page; which quarter a page is in
 * then follows from its role's quadrant, or from the entry that names it.
 */
#include "kvmback/kernel/kview_impl.h"

#include <errno.h>
#include <string.h>

#define INVALID_HPA (~0ull)
#define UP_PATHS_MAX 64

/* ---- roots */

static int read_mmu(struct kview *k, uint64_t at, bool current, bool guest_mode, struct kroots *out, struct err *e)
{
	const struct klayout *l = k->l;
	char raw[4096];
	struct kroot r = {.current = current, .guest_mode = guest_mode};
	unsigned prev = l->mmu_prev.off >= 0 && l->root_hpa.off >= 0 ? l->mmu_prev.count : 0;
	int rc = kmem_read(k->mem, at, raw, l->mmu_size, e);

	if (rc)
		return rc;
	memcpy(&r.role, raw + l->mmu_role.off, sizeof(r.role));
	r.level = (unsigned)klayout_num(&l->role_level, &r.role);
	r.hpa = klayout_num(&l->mmu_root_hpa, raw);
	r.pgd = klayout_num(&l->mmu_root_pgd, raw);
	r.pae_root = klayout_num(&l->mmu_pae_root, raw);
	if (r.hpa != INVALID_HPA && r.hpa && out->n < ARRAY_LEN(out->v))
		out->v[out->n++] = r;
	r.current = false;
	r.previous = true;
	for (unsigned i = 0; i < prev && out->n < ARRAY_LEN(out->v); i++) {
		const char *info = raw + l->mmu_prev.off + i * l->root_info_size;

		r.hpa = klayout_num(&l->root_hpa, info);
		r.pgd = klayout_num(&l->root_pgd, info);
		if (r.hpa != INVALID_HPA && r.hpa)
			out->v[out->n++] = r;
	}
	return 0;
}

int kroots_get(struct kview *k, unsigned vcpu, struct kroots *out, struct err *e)
{
	const struct klayout *l = k->l;
	uint64_t at = k->vcpu[vcpu], mmu, root_mmu = 0, guest_mmu = 0;
	int rc = kmem_u64(k->mem, at + (uint64_t)l->vcpu_mmu.off, &mmu, e);

	out->n = 0;
	if (rc)
		return rc;
	if (!kmem_pointer(mmu))
		return err_set_at(e, -EFAULT, ERR_SPACE_KERNEL, mmu,
				  "read vCPU %u's MMU" WHY "its pointer is %#llx" TRY "again", vcpu,
				  (unsigned long long)mmu);
	if (l->vcpu_root_mmu.off >= 0)
		root_mmu = at + (uint64_t)l->vcpu_root_mmu.off;
	if (l->vcpu_guest_mmu.off >= 0)
		guest_mmu = at + (uint64_t)l->vcpu_guest_mmu.off;
	rc = read_mmu(k, mmu, true, mmu == guest_mmu, out, e);
	if (!rc && root_mmu && root_mmu != mmu)
		rc = read_mmu(k, root_mmu, false, false, out, e);
	if (!rc && guest_mmu && guest_mmu != mmu)
		rc = read_mmu(k, guest_mmu, false, true, out, e);
	return rc;
}

static void root_row(const struct kpages *p, const struct kroot *r, unsigned vcpu, struct root_info *out)
{
	const struct kpage *page = kpages_by_hpa(p, r->hpa);

	*out = (struct root_info){.vcpu = vcpu,
				  .hpa = r->hpa,
				  .cr3 = r->pgd,
				  .page = page ? page->at : 0,
				  .current = r->current,
				  .previous = r->previous,
				  .guest_mode = r->guest_mode,
				  .level = page ? page->level : r->level};
}

int kview_roots(struct kview *k, struct root_list *out, struct err *e)
{
	struct kpages p = {0};
	struct kroots r;
	struct root_info *v;
	size_t n = 0;
	int rc = kpages_get(k, 0, &p, e);

	if (rc)
		return rc;
	v = calloc((size_t)k->vcpus * ARRAY_LEN(r.v) + 1, sizeof(*v));
	if (!v)
		rc = err_nomem(e, "roots");
	for (unsigned vcpu = 0; !rc && vcpu < k->vcpus; vcpu++) {
		rc = kroots_get(k, vcpu, &r, e);
		for (size_t i = 0; !rc && i < r.n; i++)
			root_row(&p, &r.v[i], vcpu, &v[n++]);
	}
	kpages_free(&p);
	if (rc) {
		free(v);
		return rc;
	}
	*out = (struct root_list){v, n};
	return 0;
}

/* ---- gfn of a leaf */

bool kwalk_leaf_gfn(const struct kpage *page, unsigned index, uint64_t *gfn)
{
	if (page->direct || page->tdp) {
		*gfn = page->gfn + ((uint64_t)index << 9 * (page->level - 1));
		return true;
	}
	if (page->passthrough) {
		*gfn = page->gfn;
		return true;
	}
	return false;
}

/* ---- up: which gvas an entry maps */

static uint64_t span_of(unsigned level)
{
	return 1ull << (PAGE_SHIFT + 9 * (level - 1));
}

static uint64_t canonical(uint64_t gva, unsigned root_level)
{
	unsigned top = PAGE_SHIFT + 9 * root_level - 1;

	return root_level >= 4 && gva >> top & 1 ? gva | ~0ull << top : gva;
}

struct up {
	struct kview *k;
	struct kpages *p;
	unsigned paths;
	struct kgva *out;
};

static void found(struct up *u, uint64_t gva, unsigned root_level)
{
	gva = canonical(gva, root_level);
	if (!u->out->n) {
		u->out->gva = gva;
		u->out->n = 1;
	} else if (u->out->gva != gva) {
		u->out->n = 2;
	}
}

/* A page that no shadow page points to: a root, or one of the four below a PAE root. */
static int at_top(struct up *u, const struct kpage *page, uint64_t gva, struct err *e)
{
	struct kroots r;
	uint64_t four[4];

	if (page->level >= 4 || (page->level == 3 && page->roots))
		return found(u, gva, page->level), 0;
	if (page->level == 2 && page->small_gpte)
		return found(u, gva + ((uint64_t)page->quadrant << 30), 3), 0;
	if (page->level == 2 && page->direct)
		return found(u, gva + ((page->gfn & ~0x3ffffull) << PAGE_SHIFT), 3), 0;
	for (unsigned vcpu = 0; page->level == 2 && vcpu < u->k->vcpus; vcpu++) {
		int rc = kroots_get(u->k, vcpu, &r, e);

		if (rc)
			return rc;
		for (size_t i = 0; i < r.n; i++) {
			if (!kmem_pointer(r.v[i].pae_root) ||
			    kmem_read(u->k->mem, r.v[i].pae_root, four, sizeof(four), NULL) < 0)
				continue;
			for (unsigned q = 0; q < 4; q++)
				if ((four[q] & 1) && kpages_child(u->p, four[q]) == page)
					found(u, gva + ((uint64_t)q << 30), 3);
		}
	}
	return 0;
}

static int go_up(struct up *u, const struct kpage *page, uint64_t gva, unsigned depth, struct err *e)
{
	struct kchain c = {.head = page->parents};
	int rc = 0;

	if (page->tdp) { /* one parent, untagged; its gva is the gpa */
		found(u, (page->gfn << PAGE_SHIFT) + gva, 0);
		return 0;
	}
	if (page->roots || !page->parents)
		rc = at_top(u, page, gva, e);
	if (!rc && page->parents)
		rc = kchain_read(u->k, &c, 1, e);
	for (size_t i = 0; !rc && i < c.n && u->out->n < 2 && depth < 5; i++) {
		uint64_t sptep = kchain_spte(&c, i);
		const struct kpage *up = kpages_by_spt(u->p, sptep & ~PAGE_OFFSET_MASK);

		if (!up || up->level <= page->level || ++u->paths > UP_PATHS_MAX)
			continue;
		rc = go_up(u, up, gva + (sptep >> 3 & 511) * span_of(up->level), depth + 1, e);
	}
	kchain_free(&c);
	return rc;
}

int kwalk_gva(struct kview *k, struct kpages *p, const struct kpage *page, unsigned index, struct kgva *out, struct err *e)
{
	struct up u = {k, p, 0, out};

	*out = (struct kgva){0, 0};
	return go_up(&u, page, index * span_of(page->level), 0, e);
}

/* ---- down: every spte of a range under a root */

struct down {
	struct kview *k;
	struct kpages *p;
	uint64_t first, last;
	unsigned root_level;
	struct knested nested; /* of the root */
	struct spte_list *out;
	size_t cap;
};

/* 1: the list is full. */
static int emit(struct down *d, const struct spte_info *s, struct err *e)
{
	if (d->out->n == SPTES_MAX)
		return 1;
	if (d->out->n == d->cap) {
		size_t cap = d->cap ? d->cap * 2 : 64;
		struct spte_info *v = realloc(d->out->v, cap * sizeof(*v));

		if (!v)
			return err_nomem(e, "sptes");
		d->out->v = v;
		d->cap = cap;
	}
	d->out->v[d->out->n++] = *s;
	return 0;
}

/* What a page's leaves map by shadowed_translation: all of it is read with the first that is asked for. */
struct translations {
	bool read, failed;
	uint64_t word[512];
};

static bool leaf_gfn(struct kview *k, const struct kpage *page, unsigned index, struct translations *t, uint64_t *gfn)
{
	if (page->direct || page->tdp || page->passthrough || !kmem_pointer(page->translation))
		return kwalk_leaf_gfn(page, index, gfn);
	if (!t->read)
		t->failed = kmem_read(k->mem, page->translation, t->word, sizeof(t->word), NULL) < 0;
	t->read = true;
	*gfn = k->l->gfn == KGFN_TRANSLATION ? t->word[index] >> PAGE_SHIFT : t->word[index];
	return !t->failed;
}

int kwalk_leaves(struct kview *k, const struct kpages *p, const struct kpage *page, struct shadow_page *row, struct err *e)
{
	size_t room = (size_t)row->sptes + row->mmio_sptes;
	struct translations translations;

	row->leaves = calloc(room + 1, sizeof(*row->leaves));
	if (!row->leaves)
		return err_nomem(e, "sptes");
	translations.read = translations.failed = false;
	for (unsigned i = 0; page->entries && row->n_leaves < room && i < 512; i++) {
		enum kspte_class class = kspte_classify(&k->bits, page->entries[i], page->level);
		struct spte_info *s = &row->leaves[row->n_leaves];

		if (class != KSPTE_MMIO && (class != KSPTE_PRESENT || !kspte_leaf(page->entries[i], page->level)))
			continue;
		*s = (struct spte_info){.sptep = page->spt + i * 8u,
					.page_gfn = page->gfn,
					.index = i,
					.source = SOURCE_KERNEL,
					.torn = p->torn};
		kspte_decode(&k->bits, page->entries[i], page->level, s);
		if (class == KSPTE_PRESENT)
			s->gfn_known = leaf_gfn(k, page, i, &translations, &s->gfn);
		else if (page->direct || page->tdp)
			s->gfn_known = kwalk_leaf_gfn(page, i, &s->gfn);
		row->n_leaves++;
	}
	return 0;
}

static int go_down(struct down *d, struct kpage *page, uint64_t base, struct err *e);

/* A position in the tables as the address that they are for. */
static uint64_t position(const struct down *d, uint64_t linear)
{
	return d->k->host.tdp ? linear : canonical(linear, d->root_level);
}

static int one_entry(struct down *d, struct kpage *page, unsigned i, uint64_t gva, struct translations *t, struct err *e)
{
	uint64_t spte = page->entries[i];
	enum kspte_class class = kspte_classify(&d->k->bits, spte, page->level);
	struct kpage *child = NULL;
	struct spte_info s = {.gva = position(d, gva),
			      .gva_known = !d->k->host.tdp,
			      .by_gpa = d->k->host.tdp,
			      .nested = d->nested.is,
			      .l1_root = d->nested.l1_root,
			      .sptep = page->spt + i * 8u,
			      .page_gfn = page->gfn,
			      .index = i,
			      .source = SOURCE_KERNEL,
			      .torn = d->p->torn};
	int rc;

	if (class == KSPTE_EMPTY || class == KSPTE_FROZEN)
		return 0;
	kspte_decode(&d->k->bits, spte, page->level, &s);
	if (class == KSPTE_PRESENT && s.leaf)
		s.gfn_known = leaf_gfn(d->k, page, i, t, &s.gfn);
	if (class == KSPTE_PRESENT && !s.leaf) {
		child = kpages_child(d->p, spte);
		s.gfn_known = child != NULL;
		s.gfn = child ? child->gfn : 0;
		s.torn |= !child;
	}
	if (class == KSPTE_MMIO && (page->direct || page->tdp))
		s.gfn_known = kwalk_leaf_gfn(page, i, &s.gfn);
	rc = emit(d, &s, e);
	if (!rc && child && child->level < page->level)
		rc = go_down(d, child, gva, e);
	return rc;
}

/* base: the gva, not yet sign-extended, of the page's entry 0. */
static int go_down(struct down *d, struct kpage *page, uint64_t base, struct err *e)
{
	uint64_t span = span_of(page->level);
	int rc = kpages_entries(d->k, d->p, page, e);
	struct translations translations;

	if (rc == -EFAULT) {
		d->p->torn = true;
		return 0;
	}
	translations.read = translations.failed = false;
	for (unsigned i = 0; !rc && i < 512; i++) {
		uint64_t gva = base + i * span, shown = position(d, gva);

		if (page->entries[i] && shown <= d->last && shown + (span - 1) >= d->first)
			rc = one_entry(d, page, i, gva, &translations, e);
	}
	return rc;
}

static int under_pae_root(struct down *d, uint64_t pae_root, struct err *e)
{
	uint64_t four[4];
	int rc = kmem_read(d->k->mem, pae_root, four, sizeof(four), e);

	for (unsigned q = 0; !rc && q < 4; q++) {
		struct kpage *page = four[q] & 1 ? kpages_child(d->p, four[q]) : NULL;

		if (page && page->level == 2)
			rc = go_down(d, page, (uint64_t)q << 30, e);
	}
	return rc;
}

static int under_root(struct down *d, const struct kroot *r, struct err *e)
{
	struct kpage *page = kpages_by_hpa(d->p, r->hpa);

	d->root_level = page ? page->level : r->level;
	d->nested = page ? knested_of(d->k, d->p, page) : (struct knested){0};
	if (page)
		return go_down(d, page, 0, e);
	if (r->level == 3 && kmem_pointer(r->pae_root) && d->p->base &&
	    r->pae_root - d->p->base == (r->hpa & ~PAGE_OFFSET_MASK))
		return under_pae_root(d, r->pae_root, e);
	return 0;
}

int kview_sptes(struct kview *k, unsigned vcpu, uint64_t first, uint64_t last, struct spte_list *out, struct err *e)
{
	struct spte_list list = {.by_gpa = k->host.tdp, .ept = k->host.ept};
	struct kpages p = {0};
	struct kroots r;
	struct down d = {.k = k, .p = &p, .first = first, .last = last, .out = &list};
	int rc;

	if (vcpu >= k->vcpus || first > last)
		return err_set(e, -EINVAL, "list sptes" WHY "vCPU %u of %u, range %#llx to %#llx" TRY "info sptes", vcpu,
			       k->vcpus, (unsigned long long)first, (unsigned long long)last);
	rc = kpages_get(k, 0, &p, e);
	if (!rc)
		rc = kroots_get(k, vcpu, &r, e);
	for (size_t i = 0; !rc && i < r.n; i++)
		if (r.v[i].current) {
			rc = under_root(&d, &r.v[i], e);
			list.levels = d.root_level;
		}
	if (rc > 0)
		rc = 0;
	for (size_t i = 0; i < list.n; i++)
		list.v[i].torn |= p.torn;
	kpages_free(&p);
	if (rc) {
		spte_list_free(&list);
		return rc;
	}
	*out = list;
	return 0;
}
