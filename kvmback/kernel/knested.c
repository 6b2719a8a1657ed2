/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Shadow pages of a nested guest. Where KVM has EPT or NPT for its guest (L1), what it shadows are the tables that L1 has
 * for a guest of its own (L2): such a page's gfn is one of L1's tables, its sptes are by L2's physical addresses, and the
 * page at the top is of the gfn that L1's nested CR3 or EPT pointer names. Where KVM has neither, the pages with guest_mode
 * are of L2's own tables, by L2's virtual addresses, as those of any guest.
 */
#include "kvmback/kernel/kview_impl.h"

#include <string.h>

#define DEPTH_MAX 5

bool knested_may_be(const struct kview *k, const struct kpage *page)
{
	return k->host.tdp && page->guest_mode && !page->tdp;
}

/* The one at the top of a page, by the first of its parents each. NULL: it is not found. */
static const struct kpage *top_of(struct kview *k, const struct kpages *p, const struct kpage *page)
{
	for (unsigned depth = 0; page && page->parents && !page->roots && depth < DEPTH_MAX; depth++) {
		struct kchain c = {.head = page->parents};
		const struct kpage *up = NULL;

		if (!kchain_read(k, &c, 1, NULL) && c.n)
			up = kpages_by_spt(p, kchain_spte(&c, 0) & ~PAGE_OFFSET_MASK);
		kchain_free(&c);
		page = up && up->level > page->level ? up : NULL;
	}
	return page;
}

struct knested knested_of(struct kview *k, const struct kpages *p, const struct kpage *page)
{
	const struct kpage *top = knested_may_be(k, page) ? top_of(k, p, page) : NULL;

	/* Pages under a direct root are of an L2 without nested tables: its physical addresses are L1's. */
	if (!top || !top->guest_mode || top->direct)
		return (struct knested){false, 0};
	return (struct knested){true, top->gfn << PAGE_SHIFT};
}

/* The same by parents that have been read. */
static const struct kpage *top_by_rows(const struct kpages *p, const struct shadow_page *rows, const struct kpage *page)
{
	for (unsigned depth = 0; page && depth < DEPTH_MAX; depth++) {
		const struct shadow_page *row = &rows[page - p->v];

		if (row->roots || !row->n_parents)
			return page;
		const struct kpage *up = kpages_by_spt(p, row->parents[0] & ~PAGE_OFFSET_MASK);
		page = up && up->level > page->level ? up : NULL;
	}
	return page;
}

void knested_rows(const struct kview *k, const struct kpages *p, struct shadow_page *rows)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct kpage *page = &p->v[i];
		const struct kpage *top = knested_may_be(k, page) ? top_by_rows(p, rows, page) : NULL;

		rows[i].nested = top && top->guest_mode && !top->direct;
		rows[i].l1_root = rows[i].nested ? top->gfn << PAGE_SHIFT : 0;
	}
}

/* ---- registers of a vCPU that cannot be asked */

static void enter_l2(const struct kview *k, const struct kroot *root, const struct regs *was, struct nested_guest *g)
{
	*g = (struct nested_guest){.in = true,
				   .kind = k->host.vendor == KVENDOR_SVM ? NESTED_SVM : NESTED_VMX,
				   .control_old = true,
				   .l1_cr0 = was->cr0,
				   .l1_cr3 = was->cr3,
				   .l1_cr4 = was->cr4,
				   .l1_efer = was->efer};
	g->levels = root->level;
}

void knested_regs(struct kview *k, unsigned vcpu, const struct regs *was, struct regs *r)
{
	struct kroots roots;
	const struct kroot *now = NULL;

	if (kroots_get(k, vcpu, &roots, NULL))
		return;
	for (size_t i = 0; i < roots.n && !now; i++)
		now = roots.v[i].current ? &roots.v[i] : NULL;
	if (!now)
		return;
	if (!klayout_num(&k->l->role_guest_mode, &now->role)) {
		r->nested = (struct nested_guest){0};
		return;
	}
	if (!was->nested.in)
		enter_l2(k, now, was, &r->nested);
	r->nested.paging = now->guest_mode;
	r->nested.root = now->guest_mode ? now->pgd & ~(uint64_t)PAGE_OFFSET_MASK : 0;
}
