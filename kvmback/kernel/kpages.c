/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * All shadow pages of a VM: the list of active ones, the TDP MMU's roots, and what is found below those. A list of KVM's can
 * change while it is followed: each node must name its predecessor, the list must end where it began, and a stamp over
 * heads and counters must be the same before and after; else it is read again, and torn in the end.
 *
 * Children are found by address: the kernel maps all memory at a constant distance (the direct map), which follows from
 * any page and the spte that points to it.
 */
#include "kvmback/kernel/kview_impl.h"

#include <errno.h>
#include <string.h>

#define GIB_MASK 0x3fffffffull
#define BASE_PROBES 16

struct kblock {
	struct kblock *next;
	uint64_t data[];
};

struct stamp {
	uint64_t active[2], tdp_roots[2], tdp_pages[2], n_used, seq, valid_gen;
};

void kpages_free(struct kpages *p)
{
	struct kblock *b, *next;

	if (p->borrowed) {
		memset(p, 0, sizeof(*p));
		return;
	}
	for (b = p->blocks; b; b = next) {
		next = b->next;
		free(b);
	}
	free(p->v);
	free(p->index);
	memset(p, 0, sizeof(*p));
}

static uint64_t *new_block(struct kpages *p, size_t pages, struct err *e)
{
	struct kblock *b = malloc(sizeof(*b) + pages * PAGE_SIZE_4K);

	if (!b) {
		err_nomem(e, "shadow pages");
		return NULL;
	}
	b->next = p->blocks;
	p->blocks = b;
	return b->data;
}

static int read_field(struct kview *k, const struct kfield *f, void *out, size_t len, struct err *e)
{
	if (f->off < 0)
		return 0;
	return kmem_read(k->mem, k->kvm + (uint64_t)f->off, out, len, e);
}

static int read_stamp(struct kview *k, struct stamp *s, struct err *e)
{
	const struct klayout *l = k->l;
	int rc;

	memset(s, 0, sizeof(*s));
	rc = read_field(k, &l->kvm_active, s->active, sizeof(s->active), e);
	if (!rc)
		rc = read_field(k, &l->kvm_tdp_roots, s->tdp_roots, sizeof(s->tdp_roots), e);
	if (!rc && l->tdp_list)
		rc = read_field(k, &l->kvm_tdp_pages, s->tdp_pages, sizeof(s->tdp_pages), e);
	if (!rc)
		rc = read_field(k, &l->kvm_n_used, &s->n_used, l->kvm_n_used.elem < 8 ? l->kvm_n_used.elem : 8, e);
	if (!rc)
		rc = read_field(k, &l->kvm_seq, &s->seq, sizeof(s->seq), e);
	if (!rc)
		rc = read_field(k, &l->kvm_valid_gen, &s->valid_gen, l->kvm_valid_gen.elem < 8 ? l->kvm_valid_gen.elem : 8,
				e);
	return rc;
}

static void decode(const struct klayout *l, const struct stamp *s, const char *raw, uint64_t at, struct kpage *p)
{
	const char *role = raw + l->sp_role.off;

	memset(p, 0, sizeof(*p));
	p->at = at;
	p->spt = klayout_num(&l->sp_spt, raw);
	p->gfn = klayout_num(&l->sp_gfn, raw);
	p->translation = klayout_num(l->gfn == KGFN_TRANSLATION ? &l->sp_translation : &l->sp_gfns, raw);
	p->tdp = klayout_num(&l->sp_tdp, raw) & 1;
	p->unsync = klayout_num(&l->sp_unsync, raw) & 1;
	memcpy(&p->parents, raw + l->sp_parents.off, sizeof(p->parents));
	memcpy(&p->role, role, sizeof(p->role));
	p->roots =
	    (uint32_t)klayout_num(p->tdp && l->sp_tdp_root_count.off >= 0 ? &l->sp_tdp_root_count : &l->sp_root_count, raw);
	p->level = (uint8_t)klayout_num(&l->role_level, role);
	p->access = (uint8_t)klayout_num(&l->role_access, role);
	p->quadrant = (uint8_t)klayout_num(&l->role_quadrant, role);
	p->direct = klayout_num(&l->role_direct, role);
	p->invalid = klayout_num(&l->role_invalid, role);
	p->smm = klayout_num(&l->role_smm, role);
	p->guest_mode = klayout_num(&l->role_guest_mode, role);
	p->passthrough = klayout_num(&l->role_passthrough, role);
	p->nx = klayout_num(&l->role_nx, role);
	p->wp = klayout_num(&l->role_wp, role);
	p->no_ad = klayout_num(&l->role_no_ad, role);
	p->mirror = klayout_num(&l->role_mirror, role);
	p->nx_split = klayout_num(&l->sp_nx_split, raw) & 1;
	p->small_gpte = l->role_small.off >= 0 ? klayout_num(&l->role_small, role)
					       : l->role_wide.off >= 0 && !p->direct && !klayout_num(&l->role_wide, role);
	p->obsolete = !p->tdp && l->sp_valid_gen.off >= 0 && l->kvm_valid_gen.off >= 0 &&
		      klayout_num(&l->sp_valid_gen, raw) != s->valid_gen;
}

static bool plausible(const struct kpage *p)
{
	return kmem_pointer(p->spt) && !(p->spt & PAGE_OFFSET_MASK) && p->level >= 1 && p->level <= 5;
}

static int add_pages(struct kpages *p, size_t more, struct err *e)
{
	struct kpage *v;

	if (p->n + more > KVIEW_PAGES_MAX)
		return err_set(e, -E2BIG, "read shadow pages" WHY "more than %u of them" TRY "fewer vCPUs or less memory",
			       KVIEW_PAGES_MAX);
	v = realloc(p->v, (p->n + more) * sizeof(*v));
	if (!v)
		return err_nomem(e, "shadow pages");
	p->v = v;
	return 0;
}

/* A list of pages: by which member, its head's address, and the first node. */
struct page_list {
	const struct kfield *by;
	uint64_t head, first;
};

/* Nodes of one batch into pages. Stops at the first that does not belong to the list. */
static bool take_items(struct kview *k, const struct stamp *s, const struct page_list *by, struct kpages *p, const char *raw,
		       size_t n, uint64_t *node, uint64_t *before)
{
	const struct klayout *l = k->l;

	for (size_t i = 0; i < n; i++, raw += l->sp_size) {
		uint64_t link[2];

		memcpy(link, raw + by->by->off, sizeof(link));
		decode(l, s, raw, *node - (uint64_t)by->by->off, &p->v[p->n]);
		if (link[1] != *before || !plausible(&p->v[p->n]))
			return false;
		p->n++;
		*before = *node;
		*node = link[0];
	}
	return true;
}

static int read_list(struct kview *k, const struct stamp *s, const struct page_list *by, struct kpages *p, struct err *e)
{
	const struct klayout *l = k->l;
	struct kmem_list list = {.first = by->first,
				 .stop = by->head,
				 .size = l->sp_size,
				 .node = (uint32_t)by->by->off,
				 .next = (uint32_t)by->by->off};
	_cleanup_free_ char *raw = NULL;
	uint64_t before = by->head, node = by->first;
	size_t n, batch = 4 * KMEM_GATHER;
	int rc = 0;

	if (by->first == by->head || !by->first)
		return 0;
	raw = malloc(batch * l->sp_size);
	if (!raw)
		return err_nomem(e, "shadow pages");
	while (list.first != by->head) {
		rc = add_pages(p, batch, e);
		if (!rc)
			rc = kmem_chase(k->mem, &list, batch, raw, &n, &list.first, e);
		if (rc)
			return rc;
		if (!take_items(k, s, by, p, raw, n, &node, &before) || (n < batch && list.first != by->head)) {
			p->torn = true;
			return 0;
		}
	}
	return 0;
}

static size_t hash_of(uint64_t spt)
{
	return (size_t)((spt >> PAGE_SHIFT) * 0x9e3779b97f4a7c15ull >> 40);
}

static int build_index(struct kpages *p, struct err *e)
{
	size_t size = 16;

	while (size < p->n * 2)
		size *= 2;
	free(p->index);
	p->index = calloc(size, sizeof(*p->index));
	if (!p->index)
		return err_nomem(e, "shadow pages");
	p->mask = size - 1;
	for (size_t i = 0; i < p->n; i++) {
		size_t at = hash_of(p->v[i].spt) & p->mask;

		while (p->index[at])
			at = (at + 1) & p->mask;
		p->index[at] = (uint32_t)i + 1;
	}
	return 0;
}

struct kpage *kpages_by_spt(const struct kpages *p, uint64_t spt)
{
	size_t at = hash_of(spt) & p->mask;

	if (!p->index)
		return NULL;
	for (; p->index[at]; at = (at + 1) & p->mask)
		if (p->v[p->index[at] - 1].spt == spt)
			return &p->v[p->index[at] - 1];
	return NULL;
}

struct kpage *kpages_by_hpa(const struct kpages *p, uint64_t hpa)
{
	return p->base ? kpages_by_spt(p, p->base + (hpa & KSPTE_PFN_MASK)) : NULL;
}

struct kpage *kpages_child(const struct kpages *p, uint64_t spte)
{
	return kpages_by_hpa(p, spte);
}

/* ---- the direct map's base */

static bool base_ok(uint64_t base)
{
	return kmem_pointer(base) && !(base & GIB_MASK);
}

/* From a page with one parent: spt - what that spte says. */
static void base_by_parent(struct kview *k, const struct kpages *p, uint64_t *base)
{
	unsigned probes = 0;

	for (size_t i = 0; i < p->n && probes < BASE_PROBES; i++) {
		uint64_t spte, at = p->v[i].parents;

		if ((!p->v[i].tdp && (at & 3)) || !kmem_pointer(at))
			continue;
		probes++;
		if (kmem_u64(k->mem, at, &spte, NULL) < 0)
			continue;
		if (kspte_classify(&k->bits, spte, p->v[i].level + 1u) == KSPTE_PRESENT &&
		    base_ok(p->v[i].spt - (spte & KSPTE_PFN_MASK))) {
			*base = p->v[i].spt - (spte & KSPTE_PFN_MASK);
			return;
		}
	}
}

/* From a lone root: some vCPU runs on it, and the base is a multiple of 1 GiB. */
static int base_by_root(struct kview *k, const struct kpages *p, uint64_t *base, struct err *e)
{
	struct kroots r;

	for (unsigned vcpu = 0; vcpu < k->vcpus; vcpu++) {
		int rc = kroots_get(k, vcpu, &r, e);

		if (rc)
			return rc;
		for (size_t j = 0; j < r.n; j++)
			for (size_t i = 0; i < p->n; i++)
				if ((p->v[i].roots || p->v[i].tdp) && base_ok(p->v[i].spt - (r.v[j].hpa & KSPTE_PFN_MASK))) {
					*base = p->v[i].spt - (r.v[j].hpa & KSPTE_PFN_MASK);
					return 0;
				}
	}
	return 0;
}

/* A root that no vCPU runs on, as a shutdown of SVM leaves it, says nothing; KVM knows the VMCB by both addresses. */
static void base_by_vmcb(struct kview *k, const struct kpages *p, uint64_t *base)
{
	uint64_t at;

	if (p->n && ksegs_vmcb_base(k, 0, &at) && base_ok(at))
		*base = at;
}

static int find_base(struct kview *k, struct kpages *p, struct err *e)
{
	int rc = 0;

	if (!k->base)
		base_by_parent(k, p, &k->base);
	if (!rc && !k->base)
		rc = base_by_root(k, p, &k->base, e);
	if (!rc && !k->base)
		base_by_vmcb(k, p, &k->base);
	p->base = k->base;
	return rc;
}

/* ---- entries */

/* Entries of all pages from `from` on that have none yet. */
static int read_entries(struct kview *k, struct kpages *p, size_t from, struct err *e)
{
	size_t n = 0;
	_cleanup_free_ uint64_t *addr = malloc((p->n - from + 1) * sizeof(*addr));
	_cleanup_free_ bool *ok = malloc(p->n - from + 1);
	uint64_t *block;
	int rc;

	if (!addr || !ok)
		return err_nomem(e, "shadow pages");
	for (size_t i = from; i < p->n; i++)
		if (!p->v[i].entries)
			addr[n++] = p->v[i].spt;
	if (!n)
		return 0;
	block = new_block(p, n, e);
	if (!block)
		return -ENOMEM;
	rc = kmem_gather(k->mem, addr, n, PAGE_SIZE_4K, block, ok, e);
	for (size_t i = from, j = 0; !rc && i < p->n; i++) {
		if (p->v[i].entries)
			continue;
		p->torn |= !ok[j];
		p->v[i].entries = ok[j] ? block + j * 512 : NULL;
		j++;
	}
	return rc;
}

int kpages_entries(struct kview *k, struct kpages *p, struct kpage *page, struct err *e)
{
	uint64_t *block;
	int rc;

	if (page->entries)
		return 0;
	if (p->borrowed)
		return err_set_at(e, -EFAULT, ERR_SPACE_KERNEL, page->spt,
				  "read shadow page" WHY "it went away while it was read" TRY "again");
	block = new_block(p, 1, e);
	if (!block)
		return -ENOMEM;
	rc = kmem_read(k->mem, page->spt, block, PAGE_SIZE_4K, e);
	if (!rc)
		page->entries = block;
	return rc;
}

/* ---- TDP MMU pages that no list names: down from their roots */

static int add_children(struct kview *k, struct kpages *p, size_t of, struct err *e)
{
	struct kpage parent = p->v[of];
	int rc = 0;

	if (!parent.entries || parent.level <= 1)
		return 0;
	rc = add_pages(p, 512, e);
	for (unsigned i = 0; !rc && i < 512; i++) {
		uint64_t spte = parent.entries[i];
		struct kpage *c = &p->v[p->n];

		if (kspte_classify(&k->bits, spte, parent.level) != KSPTE_PRESENT || kspte_leaf(spte, parent.level))
			continue;
		*c = parent;
		c->at = 0;
		c->level--;
		c->role = parent.role - 1u; /* level is the role's lowest field */
		c->spt = p->base + (spte & KSPTE_PFN_MASK);
		c->gfn = parent.gfn + ((uint64_t)i << 9 * (parent.level - 1));
		c->parents = parent.spt + i * 8u;
		c->roots = 0;
		c->tdp_root = c->nx_split = false;
		c->entries = NULL;
		if (plausible(c))
			p->n++;
		else
			p->torn = true;
	}
	return rc;
}

static int walk_down(struct kview *k, struct kpages *p, size_t roots, struct err *e)
{
	size_t from = roots, to;
	int rc = 0;

	if (k->l->tdp_list || roots == p->n || !p->base)
		return 0;
	for (unsigned depth = 0; !rc && depth < 5 && from < p->n; depth++) {
		to = p->n;
		rc = read_entries(k, p, from, e);
		for (; !rc && from < to; from++)
			rc = add_children(k, p, from, e);
	}
	return rc;
}

/* ---- the sptes' era, once there is one to look at */

static void learn_bits(struct kview *k, const struct kpages *p)
{
	for (size_t i = 0; i < p->n && !k->bits_sure; i++) {
		uint64_t spte, at = p->v[i].parents;
		struct kspte_bits b;

		if ((!p->v[i].tdp && (at & 3)) || !kmem_pointer(at) || kmem_u64(k->mem, at, &spte, NULL) < 0 || !(spte & 7))
			continue;
		k->bits_sure = true;
		if (!(spte & 1ull << 11))
			return;
		kspte_bits_init(&b, KSPTE_PRESENT_BIT, k->host.ept);
		b.mmio = k->bits.mmio == KMMIO_SPECIAL ? KMMIO_SHAPE : k->bits.mmio;
		b.mmio_value = k->bits.mmio_value;
		b.maxphyaddr = k->bits.maxphyaddr;
		b.l1tf = k->bits.l1tf;
		k->bits = b;
	}
}

/* ---- pages that stand in place of huge ones: the kernel's only list of the TDP MMU's that are no roots */

static void mark_splits(struct kpages *p, const struct kpages *splits)
{
	for (size_t i = 0; i < splits->n; i++) {
		struct kpage *page = kpages_by_spt(p, splits->v[i].spt);

		if (page && page->level == splits->v[i].level) {
			page->nx_split = true;
			page->at = splits->v[i].at;
		}
	}
	p->nx_possible += splits->n;
	p->torn |= splits->torn;
}

/* One list, or one for each kind of MMU in an array of structures that begin with it. */
static int read_splits(struct kview *k, const struct stamp *s, struct kpages *p, struct err *e)
{
	const struct kfield *f = &k->l->kvm_nx_pages;
	struct page_list by = {.by = &k->l->sp_nx_link};
	int rc = 0;

	for (uint32_t i = 0; !rc && f->off >= 0 && by.by->off >= 0 && i < f->count && i < 4; i++) {
		struct kpages splits = {0};

		by.head = k->kvm + (uint64_t)f->off + (uint64_t)i * f->elem;
		rc = kmem_u64(k->mem, by.head, &by.first, e);
		if (!rc)
			rc = read_list(k, s, &by, &splits, e);
		if (!rc)
			mark_splits(p, &splits);
		kpages_free(&splits);
	}
	return rc;
}

static int read_lists(struct kview *k, const struct stamp *s, struct kpages *p, size_t *roots, struct err *e)
{
	const struct klayout *l = k->l;
	struct page_list active = {&l->sp_link, k->kvm + (uint64_t)l->kvm_active.off, s->active[0]};
	struct page_list tdp = {&l->sp_link, k->kvm + (uint64_t)l->kvm_tdp_pages.off, s->tdp_pages[0]};
	struct page_list tops = {&l->sp_link, k->kvm + (uint64_t)l->kvm_tdp_roots.off, s->tdp_roots[0]};
	int rc = read_list(k, s, &active, p, e);

	if (!rc && l->tdp_list)
		rc = read_list(k, s, &tdp, p, e);
	*roots = p->n;
	if (!rc && l->kvm_tdp_roots.off >= 0)
		rc = read_list(k, s, &tops, p, e);
	for (size_t i = *roots; i < p->n; i++)
		p->v[i].tdp_root = true;
	return rc;
}

static int read_once(struct kview *k, unsigned flags, struct kpages *p, struct err *e)
{
	struct stamp before, after;
	size_t roots = 0;
	int rc = read_stamp(k, &before, e);

	if (!rc)
		rc = read_lists(k, &before, p, &roots, e);
	if (!rc)
		learn_bits(k, p);
	if (!rc)
		rc = find_base(k, p, e);
	if (!rc)
		rc = walk_down(k, p, roots, e);
	if (!rc && (flags & KPAGES_ENTRIES))
		rc = read_entries(k, p, 0, e);
	if (!rc)
		rc = build_index(p, e);
	if (!rc)
		rc = read_splits(k, &before, p, e);
	if (!rc)
		rc = read_stamp(k, &after, e);
	if (!rc)
		p->torn |= memcmp(&before, &after, sizeof(before)) != 0;
	return rc;
}

static int read_pages(struct kview *k, unsigned flags, struct kpages *out, struct err *e)
{
	struct kpages p = {0};
	int rc = 0;

	for (int try = 0; try < KVIEW_TRIES; try++) {
		kpages_free(&p);
		rc = read_once(k, flags, &p, e);
		if (!rc && !p.torn)
			break;
		if (rc && rc != -EFAULT)
			break;
	}
	if (rc) {
		kpages_free(&p);
		return rc;
	}
	*out = p;
	return 0;
}

int kpages_get(struct kview *k, unsigned flags, struct kpages *out, struct err *e)
{
	int rc;

	if (!k->hold)
		return read_pages(k, flags, out, e);
	if (!k->has_held) {
		rc = read_pages(k, KPAGES_ENTRIES, &k->held, e);
		if (rc)
			return rc;
		k->has_held = true;
	}
	*out = k->held;
	out->borrowed = true;
	return 0;
}

void kview_hold(struct kview *k, bool on)
{
	if (k->has_held)
		kpages_free(&k->held);
	k->has_held = false;
	k->hold = on;
}
