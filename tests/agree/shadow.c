/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Shadow tables and reverse maps of both sides, as sets. A shadow page is known by (gfn, level, direct, access of its role),
 * a leaf by its page and index; the leaves are those of the reverse maps, so a leaf that is in no chain, or in that of
 * another gfn, is missed there. Then what the vCPU reaches from its root, leaf by leaf.
 *
 * Each page and leaf of soft must be in the kernel, but where a tracepoint named the page when it was zapped. Each page of
 * the kernel must be one of soft's. A leaf of the kernel's alone must be one that it fetched ahead (a tracepoint said so,
 * its A bit was clear then) and that soft would install for a value that the guest's entry has, or had while its table is
 * unsync.
 */
#include "tests/agree/agree.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem/paging_bits.h"

#define ULL(x) ((unsigned long long)(x))
#define ACC_EXEC 1u
#define ACC_WRITE 2u
#define ACC_USER 4u

struct leaf {
	struct shadow_page in; /* its page, without arrays */
	struct spte_info spte;
	uint64_t gfn; /* whose chain it is in */
	bool alone;   /* the other side has it not, and that is all right */
};

struct half {
	struct machine *m;
	const char *name;
	struct shadow_page_list pages;
	struct leaf *leaf;
	size_t n;
};

struct both {
	struct half kvm, soft;
	struct diff *d;
	struct shadow_counts *counts;
	uint64_t cleaner; /* gfn of a large page of which soft has one page more; 0: none */
};

static bool own_gfn(struct machine *m, uint64_t gfn)
{
	struct slot *s = slot_lookup(machine_slots(m), gfn << 12, false, NULL);

	return s && s->own;
}

/* ---- taking */

static int page_order(const struct shadow_page *x, const struct shadow_page *y)
{
#define ORDER(F)                                                                                                            \
	if (x->F != y->F)                                                                                                   \
	return x->F < y->F ? -1 : 1
	ORDER(gfn);
	ORDER(level);
	ORDER(direct);
	ORDER(access);
	return 0;
}

static int by_page(const void *a, const void *b)
{
	return page_order(a, b);
}

static int leaf_order(const struct leaf *x, const struct leaf *y)
{
	int order = page_order(&x->in, &y->in);

	if (order)
		return order;
	ORDER(spte.index);
	ORDER(gfn);
	return 0;
}

static int by_leaf(const void *a, const void *b)
{
	return leaf_order(a, b);
}

static const struct shadow_page *page_of(const struct half *h, uint64_t sptep)
{
	for (size_t i = 0; i < h->pages.n; i++)
		if (h->pages.v[i].spt == (sptep & ~0xfffull))
			return &h->pages.v[i];
	return NULL;
}

static void take_leaf(struct half *h, struct diff *d, const struct rmap_info *r, const struct spte_info *x)
{
	const struct shadow_page *in = page_of(h, x->sptep);

	if (!in || !x->present || !x->leaf || x->gfn != r->gfn || (r->corrupt[0] && !r->torn)) {
		diff_add(d, "  rmap of gfn %#llx: %s has spte %#llx at %#llx, which is %s\n", ULL(r->gfn), h->name,
			 ULL(x->spte), ULL(x->sptep), !in ? "in no shadow page" : "no leaf of that gfn");
		return;
	}
	h->leaf[h->n++] = (struct leaf){.in = *in, .spte = *x, .gfn = r->gfn};
}

static int half_take(struct half *h, struct diff *d, struct err *e)
{
	struct rmap_list l = {0};
	size_t n = 0;
	int rc = machine_shadow_pages(h->m, 0, &h->pages, e) ?: machine_rmap_all(h->m, &l, e);

	if (rc)
		return rc;
	for (size_t i = 0; i < l.n; i++)
		n += l.v[i].n_sptes;
	h->leaf = calloc(n + 1, sizeof(*h->leaf));
	if (!h->leaf)
		return -1;
	for (size_t i = 0; i < l.n; i++)
		for (size_t j = 0; j < l.v[i].n_sptes && !own_gfn(h->m, l.v[i].gfn); j++)
			take_leaf(h, d, &l.v[i], &l.v[i].sptes[j]);
	rmap_list_free(&l);
	qsort(h->leaf, h->n, sizeof(*h->leaf), by_leaf);
	qsort(h->pages.v, h->pages.n, sizeof(*h->pages.v), by_page);
	return 0;
}

static void half_free(struct half *h)
{
	shadow_page_list_free(&h->pages);
	free(h->leaf);
}

/* ---- pages */

static void describe_page(struct diff *d, const char *who, const struct shadow_page *p)
{
	diff_add(d, "  shadow page, %s: gfn %#llx level %u%s access %u%s sptes %u\n", who, ULL(p->gfn), p->level,
		 p->direct ? " direct" : "", p->access, p->unsync ? " unsync" : "", p->sptes);
}

/* A root of before paging was on has nothing below: its code is at CPL 0. The kernel frees it, soft keeps it for later. */
/* A large page that was clean is dirty since an emulated write. KVM goes on with the leaves that it fetched ahead while it
 * was clean, soft makes a page with more rights at its next fault. */
static bool cleaner_one(const struct both *b, const struct shadow_page *s)
{
	for (size_t i = 0; s->direct && s->access & ACC_WRITE && i < b->kvm.pages.n; i++) {
		const struct shadow_page *k = &b->kvm.pages.v[i];
		if (k->gfn == s->gfn && k->level == s->level && k->direct && k->access == (s->access & ~ACC_WRITE))
			return true;
	}
	return false;
}

static bool ahead_in_cleaner_one(const struct both *b, const struct leaf *s)
{
	for (size_t i = 0; i < b->kvm.n; i++) {
		const struct leaf *k = &b->kvm.leaf[i];
		if (k->gfn == s->gfn && k->in.direct && k->in.gfn == s->in.gfn && k->spte.index == s->spte.index &&
		    k->in.access == (s->in.access & ~ACC_WRITE) && events_fetched_ahead(k->gfn, k->spte.index))
			return true;
	}
	return false;
}

static bool skip_page(const struct half *h, const struct shadow_page *p)
{
	return p->invalid || own_gfn(h->m, p->gfn) || (p->direct && p->level > 1 && p->roots && !p->sptes);
}

static void compare_page(struct both *b, const struct shadow_page *k, const struct shadow_page *s)
{
	b->counts->pages++;
	b->counts->unsync += k->unsync;
	if (k->unsync == s->unsync)
		return;
	describe_page(b->d, "kvm", k);
	describe_page(b->d, "soft", s);
}

static void compare_pages(struct both *b)
{
	const struct shadow_page_list *k = &b->kvm.pages, *s = &b->soft.pages;

	for (size_t i = 0, j = 0; i < k->n || j < s->n;) {
		int order = i == k->n ? 1 : j == s->n ? -1 : page_order(&k->v[i], &s->v[j]);
		if (i < k->n && skip_page(&b->kvm, &k->v[i])) {
			i++;
			continue;
		}
		if (j < s->n && skip_page(&b->soft, &s->v[j])) {
			j++;
			continue;
		}
		if (!order)
			compare_page(b, &k->v[i], &s->v[j]);
		else if (order < 0)
			describe_page(b->d, "kvm alone", &k->v[i]);
		else if (cleaner_one(b, &s->v[j])) /* its leaves are judged one by one */
			b->cleaner = s->v[j].gfn, b->counts->cleaner++;
		else if (events_zapped(s->v[j].gfn, s->v[j].level))
			b->counts->zapped_pages++;
		else
			describe_page(b->d, "soft alone", &s->v[j]);
		i += order <= 0;
		j += order >= 0;
	}
}

/* ---- leaves */

static void describe(struct diff *d, const char *who, const struct leaf *l)
{
	const struct spte_info *x = &l->spte;

	diff_add(d, "  leaf, %s: gfn %#llx in table %#llx%s access %u%s index %u: %c%c%c%s%s spte %#llx\n", who, ULL(l->gfn),
		 ULL(l->in.gfn), l->in.direct ? " direct" : "", l->in.access, l->in.unsync ? " unsync" : "", x->index,
		 x->writable ? 'w' : '-', x->user ? 'u' : '-', x->exec ? 'x' : '-', x->accessed ? " A" : "",
		 x->dirty ? " D" : "", ULL(x->spte));
}

static bool is_table(const struct half *h, uint64_t gfn)
{
	for (size_t i = 0; i < h->pages.n; i++)
		if (h->pages.v[i].gfn == gfn && !h->pages.v[i].direct)
			return true;
	return false;
}

/* Rights as soft would give them on behalf of a fault that only reads. */
static bool rights_fit(const struct both *b, const struct leaf *k, unsigned access)
{
	const struct slot *s = slot_lookup(machine_slots(b->soft.m), k->gfn << PAGE_SHIFT, false, NULL);
	bool write = s && access & ACC_WRITE && !(s->flags & SLOT_READONLY);

	if (!s || k->spte.exec != !!(access & ACC_EXEC) || k->spte.user != !!(access & ACC_USER))
		return false;
	/* A table that is shadowed is not mapped writable ahead. */
	return k->spte.writable == write || (write && (is_table(&b->kvm, k->gfn) || events_zapped(k->gfn, 1)));
}

static bool entry_fits(const struct both *b, const struct leaf *k, uint64_t entry)
{
	unsigned acc = (entry & PTE_W && entry & PTE_D ? ACC_WRITE : 0) | (entry & PTE_U ? ACC_USER : 0) |
		       (entry & PTE_NX ? 0 : ACC_EXEC);

	return entry & PTE_P && entry & PTE_A && (entry & PTE_ADDRESS) >> PAGE_SHIFT == k->gfn &&
	       rights_fit(b, k, acc & k->in.access);
}

/* A leaf of the kernel's alone. */
static bool would_install(const struct both *b, const struct leaf *k)
{
	uint64_t gpa = (k->in.gfn << PAGE_SHIFT) + 8ull * k->spte.index, entry, old;
	struct err e;

	/* Of bytes that are no instruction a processor fetches more than soft. */
	bool fetched = k->in.gfn == GPA_PT_CODE >> PAGE_SHIFT && events_accessed_by_fetch(gpa);
	if (k->in.level != 1 || !(fetched || events_fetched_ahead(k->gfn, k->spte.index)))
		return false;
	if (k->in.direct)
		return k->gfn == k->in.gfn + k->spte.index && rights_fit(b, k, k->in.access);
	if (machine_read(b->kvm.m, gpa, false, &entry, sizeof(entry), &e))
		return false;
	/* That a walk has set A or D since is no write that the kernel would drop the leaf for. */
	bool fits = entry_fits(b, k, entry), now = fits;
	for (size_t i = 0; !fits && history_value(gpa, i, &old); i++)
		fits = (k->in.unsync || !((old ^ entry) & ~(PTE_A | PTE_D))) && entry_fits(b, k, old);
	b->counts->stale_used += fits && !now && k->spte.accessed;
	return fits;
}

static bool same_leaf(const struct leaf *k, const struct leaf *s)
{
	const struct spte_info *x = &k->spte, *y = &s->spte;

	return x->writable == y->writable && x->user == y->user && x->exec == y->exec && x->dirty == y->dirty &&
	       x->host_writable == y->host_writable && x->mmu_writable == y->mmu_writable && x->level == y->level;
}

static void compare_leaf(struct both *b, const struct leaf *k, const struct leaf *s)
{
	b->counts->leaves++;
	/* A bits are not compared: the host clears the kernel's when it looks for idle pages, and what was fetched ahead and
	 * used by nobody but an emulator since never had it. */
	if (same_leaf(k, s))
		return;
	describe(b->d, "kvm", k);
	describe(b->d, "soft", s);
}

static void compare_leaves(struct both *b)
{
	struct half *k = &b->kvm, *s = &b->soft;

	for (size_t i = 0, j = 0; i < k->n || j < s->n;) {
		int order = i == k->n ? 1 : j == s->n ? -1 : leaf_order(&k->leaf[i], &s->leaf[j]);
		if (!order) {
			compare_leaf(b, &k->leaf[i], &s->leaf[j]);
		} else if (order < 0) {
			k->leaf[i].alone = would_install(b, &k->leaf[i]);
			b->counts->ahead += k->leaf[i].alone;
			if (!k->leaf[i].alone)
				describe(b->d, "kvm alone", &k->leaf[i]);
		} else {
			s->leaf[j].alone = events_zapped(s->leaf[j].in.gfn, s->leaf[j].in.level);
			b->counts->zapped_leaves += s->leaf[j].alone;
			s->leaf[j].alone |= ahead_in_cleaner_one(b, &s->leaf[j]);
			if (!s->leaf[j].alone)
				describe(b->d, "soft alone", &s->leaf[j]);
		}
		i += order <= 0;
		j += order >= 0;
	}
}

/* ---- what the vCPU reaches */

static const struct leaf *leaf_at(const struct half *h, uint64_t sptep)
{
	for (size_t i = 0; i < h->n; i++)
		if (h->leaf[i].spte.sptep == sptep)
			return &h->leaf[i];
	return NULL;
}

static const struct spte_info *reached(const struct spte_list *l, const struct spte_info *x)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].leaf && l->v[i].present && l->v[i].gva == x->gva && l->v[i].level == x->level)
			return &l->v[i];
	return NULL;
}

static void compare_path(struct both *b, const struct half *h, const struct spte_list *l, const struct spte_list *other)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct spte_info *x = &l->v[i], *y;
		if (x->host_own && (x->present || x->leaf))
			diff_add(b->d, "  the host's own entry %#llx is taken for a leaf\n", ULL(x->spte));
		if (!x->leaf || !x->present || x->host_own || own_gfn(h->m, x->gfn))
			continue;
		const struct leaf *at = leaf_at(h, x->sptep);
		if (!at)
			diff_add(b->d, "  gva %#llx: %s's leaf of gfn %#llx is in no reverse map\n", ULL(x->gva), h->name,
				 ULL(x->gfn));
		y = reached(other, x);
		if (!at || at->alone || (b->cleaner && x->page_gfn == b->cleaner) ||
		    (y && y->gfn == x->gfn && y->page_gfn == x->page_gfn && y->index == x->index))
			continue;
		diff_add(b->d, "  gva %#llx: %s maps gfn %#llx by table %#llx, the other one %s\n", ULL(x->gva), h->name,
			 ULL(x->gfn), ULL(x->page_gfn), y ? "another" : "nothing");
	}
}

static int compare_paths(struct both *b, struct err *e)
{
	struct spte_list k = {0}, s = {0};
	int rc = machine_sptes(b->kvm.m, 0, 0, ~0ull, &k, e) ?: machine_sptes(b->soft.m, 0, 0, ~0ull, &s, e);

	if (!rc) {
		compare_path(b, &b->kvm, &k, &s);
		compare_path(b, &b->soft, &s, &k);
	}
	spte_list_free(&k);
	spte_list_free(&s);
	return rc;
}

int compare_shadow(struct diff *d, struct machine *kvm, struct machine *soft, struct shadow_counts *counts, struct err *e)
{
	struct both b = {.kvm = {.m = kvm, .name = "kvm"}, .soft = {.m = soft, .name = "soft"}, .d = d, .counts = counts};
	int rc = half_take(&b.kvm, d, e) ?: half_take(&b.soft, d, e);

	if (!rc) {
		compare_pages(&b);
		compare_leaves(&b);
		rc = compare_paths(&b, e);
	}
	half_free(&b.kvm);
	half_free(&b.soft);
	return rc;
}
