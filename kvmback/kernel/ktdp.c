/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The tables by gpa as a whole: their roots with what the role says, who runs on them, and counts of what is below, one for
 * each level. The TDP MMU's roots are in a list of their own, also those that no vCPU runs on; where that MMU is off, the
 * roots are direct shadow pages among the others.
 *
 * Tables whose root is gone wait for their readers in no list that could be read: what is seen of a removal is an invalid
 * root and frozen entries.
 */
#include "kvmback/kernel/kview_impl.h"

#include <stdio.h>
#include <string.h>

enum tdp_kind ktdp_kind(struct kview *k)
{
	const struct kfield *f = &k->l->kvm_tdp_enabled;
	uint8_t enabled;

	if (!k->host.tdp)
		return TDP_NONE;
	if (f->off >= 0 && !kmem_read(k->mem, k->kvm + (uint64_t)f->off, &enabled, 1, NULL))
		return enabled ? TDP_MMU : TDP_SHADOW_PAGES;
	return k->host.tdp_mmu && k->l->kvm_tdp_roots.off >= 0 ? TDP_MMU : TDP_SHADOW_PAGES;
}

/* ---- what is below a root */

struct count {
	struct kview *k;
	struct kpages *p;
	struct tdp_root *root;
	size_t tables; /* gone through so far: shared tables must not make this endless */
};

static void count_leaf(struct kview *k, uint64_t spte, unsigned level, struct tdp_level *l)
{
	struct spte_info s = {0};

	kspte_decode(&k->bits, spte, level, &s);
	l->leaves++;
	l->writable += s.writable;
	l->accessed += s.accessed;
	l->dirty += s.dirty;
	l->host_writable += s.host_writable;
	l->mmu_writable += s.mmu_writable;
}

static void count_table(struct count *c, const struct kpage *page);

static void count_entry(struct count *c, const struct kpage *page, uint64_t spte)
{
	struct tdp_level *l = &c->root->below[page->level - 1];
	const struct kpage *child;

	switch (kspte_classify(&c->k->bits, spte, page->level)) {
	case KSPTE_FROZEN:
		l->frozen++;
		return;
	case KSPTE_MMIO:
		l->mmio++;
		return;
	case KSPTE_PRESENT:
		break;
	default:
		return;
	}
	if (kspte_leaf(spte, page->level)) {
		count_leaf(c->k, spte, page->level, l);
		return;
	}
	child = kpages_child(c->p, spte);
	if (child && child->level < page->level)
		count_table(c, child);
	else
		c->root->torn = true;
}

static void count_table(struct count *c, const struct kpage *page)
{
	struct tdp_level *l = &c->root->below[page->level - 1];

	if (!page->entries || ++c->tables > KVIEW_PAGES_MAX) {
		c->root->torn = true;
		return;
	}
	l->tables++;
	l->nx_splits += page->nx_split;
	for (unsigned i = 0; i < 512 && c->tables <= KVIEW_PAGES_MAX; i++)
		if (page->entries[i])
			count_entry(c, page, page->entries[i]);
}

/* ---- roots */

static bool is_top(enum tdp_kind kind, const struct kpage *page)
{
	return kind == TDP_MMU ? page->tdp_root : !page->tdp && page->direct && page->roots && page->level >= 3;
}

static void root_row_of(struct kview *k, struct kpages *p, const struct kpage *page, struct tdp_root *out)
{
	struct count c = {k, p, out, 0};

	*out = (struct tdp_root){.hpa = page->spt - p->base,
				 .hpa_known = p->base != 0,
				 .address = page->at,
				 .spt = page->spt,
				 .level = page->level,
				 .as = page->smm,
				 .access = page->access,
				 .nx = page->nx,
				 .wp = page->wp,
				 .no_ad = page->no_ad,
				 .guest_mode = page->guest_mode,
				 .mirror = page->mirror,
				 .invalid = page->invalid || page->obsolete,
				 .references = page->roots,
				 .role = page->role,
				 .walked = p->base != 0 && page->entries,
				 .source = SOURCE_KERNEL,
				 .torn = p->torn};
	if (out->walked)
		count_table(&c, page);
}

/* Who runs on which, and keeps which for later. */
static int add_users(struct kview *k, struct tdp_root_list *list, struct err *e)
{
	struct kroots r;

	for (unsigned vcpu = 0; vcpu < k->vcpus; vcpu++) {
		int rc = kroots_get(k, vcpu, &r, e);

		if (rc)
			return rc;
		for (size_t i = 0; i < r.n; i++)
			for (size_t j = 0; j < list->n; j++) {
				struct tdp_root *root = &list->v[j];

				if (!root->hpa_known || (r.v[i].hpa & KSPTE_PFN_MASK) != root->hpa)
					continue;
				*(r.v[i].current ? &root->vcpus : &root->previous) |= 1ull << vcpu;
			}
	}
	return 0;
}

/* ---- the VM as a whole */

static void say_kind(struct kview *k, struct tdp_root_list *out)
{
	bool amd = k->host.vendor == KVENDOR_SVM;

	if (out->kind == TDP_NONE && k->host.vendor == KVENDOR_PVM)
		snprintf(out->why, sizeof(out->why), "kvm_pvm shadows the guest's own tables: there is neither EPT nor NPT");
	else if (out->kind == TDP_NONE)
		snprintf(out->why, sizeof(out->why), "%s is off, so KVM shadows the guest's own tables",
			 amd ? "NPT (kvm_amd.npt)" : "EPT (kvm_intel.ept)");
	else if (out->kind == TDP_MMU)
		snprintf(out->why, sizeof(out->why), "the processor walks the guest's tables and, for each gpa, these: %s",
			 amd ? "NPT" : "EPT");
	else
		snprintf(out->why, sizeof(out->why), "the TDP MMU is off (kvm.tdp_mmu=0): %s is made of direct shadow pages",
			 amd ? "NPT" : "EPT");
	if (out->kind != TDP_MMU)
		snprintf(out->next, sizeof(out->next), "info shadow");
	else
		snprintf(
		    out->rmaps, sizeof(out->rmaps),
		    "%s's tables are found by gpa, so the TDP MMU keeps none; they come with shadow pages: %s loaded with "
		    "%s=0, or a guest that runs a guest",
		    amd ? "NPT" : "EPT", amd ? "kvm_amd" : "kvm_intel", amd ? "npt" : "ept");
}

static void vm_facts(struct kview *k, const struct kpages *p, struct tdp_root_list *out)
{
	const struct klayout *l = k->l;
	uint8_t off = 0;

	out->kind = ktdp_kind(k);
	say_kind(k, out);
	if (out->kind == TDP_NONE)
		return;
	out->ept = k->host.ept;
	out->ad = k->host.ad;
	out->pml = k->host.pml;
	memcpy(out->nx_huge_pages, k->host.nx_huge_pages, sizeof(out->nx_huge_pages));
	if (l->kvm_nx_off.off >= 0 && !kmem_read(k->mem, k->kvm + (uint64_t)l->kvm_nx_off.off, &off, 1, NULL))
		out->nx_off = off & 1;
	out->nx_splits = p->nx_possible;
	out->nx_splits_known = l->kvm_nx_pages.off >= 0 && l->sp_nx_link.off >= 0;
	if (out->kind == TDP_MMU && l->kvm_tdp_pages.off >= 0 && !l->tdp_list)
		out->tables_known =
		    !kmem_read(k->mem, k->kvm + (uint64_t)l->kvm_tdp_pages.off, &out->tables, sizeof(out->tables), NULL);
	out->torn = p->torn;
}

int kview_tdp_roots(struct kview *k, struct tdp_root_list *out, struct err *e)
{
	struct tdp_root_list list = {.v = NULL};
	struct kpages p = {0};
	int rc = kpages_get(k, KPAGES_ENTRIES, &p, e);

	if (rc)
		return rc;
	vm_facts(k, &p, &list);
	list.v = calloc(p.n + 1, sizeof(*list.v));
	if (!list.v)
		rc = err_nomem(e, "TDP's roots");
	for (size_t i = 0; !rc && list.kind != TDP_NONE && i < p.n; i++)
		if (is_top(list.kind, &p.v[i]))
			root_row_of(k, &p, &p.v[i], &list.v[list.n++]);
	if (!rc)
		rc = add_users(k, &list, e);
	kpages_free(&p);
	if (rc) {
		tdp_root_list_free(&list);
		return rc;
	}
	*out = list;
	return 0;
}
