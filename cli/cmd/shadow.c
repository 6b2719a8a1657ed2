/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The host's side of the memory map: shadow pages, sptes, rmaps, MMIO caches, and graphs of them. Entries stand in
 * cli/cmd/mmu.c.
 */
#include "cli/cmd/mmu.h"
#include "cli/session/interrupt.h"
#include "views/dot.h"
#include "views/record.h"

#include <errno.h>

static int compare(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

/* Roots first, then by gfn. */
static int compare_pages(const void *a, const void *b)
{
	const struct shadow_page *x = a, *y = b;

	if (x->level != y->level)
		return compare(y->level, x->level);
	return x->gfn != y->gfn ? compare(x->gfn, y->gfn) : compare(x->address, y->address);
}

void mmu_sort_pages(struct shadow_page_list *l)
{
	if (l->n)
		qsort(l->v, l->n, sizeof(*l->v), compare_pages);
}

/* Rows that have been shown end at a Ctrl-C; before that it comes too late to be of use. */
static int list_interrupted(const struct rows *r, struct err *e)
{
	unsigned long long n = r->n;

	if (!r->begun || !interrupt_asked())
		return 0;
	return err_set(e, -EINTR, "%s" WHY "interrupted after %llu rows" TRY "a smaller range", r->c->cmd->name, n);
}

int mmu_info_shadow(struct call *c, struct err *e)
{
	_cleanup_(shadow_page_list_free) struct shadow_page_list list = {0};
	struct rows rows;
	uint64_t gfn = 0;
	struct args a;
	int ret = args_init(&a, c, e);
	bool all = !ret && !args_more(&a);

	if (ret || (!all && (ret = args_addr(&a, "gfn", &gfn, e))) || (ret = args_end(&a, e)) ||
	    (ret = machine_shadow_pages(c->s->d.m, SHADOW_WITH_PARENTS, &list, e)))
		return ret;
	mmu_sort_pages(&list);
	rows_begin(&rows, c, UINT64_MAX);
	for (size_t i = 0; i < list.n && !ret; i++) {
		if (!all && list.v[i].gfn != gfn)
			continue;
		ret = list_interrupted(&rows, e);
		ret = ret ? ret : rows_next(&rows, list.v[i].gfn << PAGE_SHIFT);
		if (!ret)
			rows_add(&rows, record_shadow_page(rows.p, &list.v[i]));
	}
	return rows_end(&rows, ret, e);
}

/* A table's entry before the entries of what it points to, and those by address; what has no
 * address (the hypervisor's own) last. */
static int tree_order(const void *a, const void *b)
{
	const struct spte_info *x = a, *y = b;

	uint64_t gx = x->gva_known || x->by_gpa ? x->gva : UINT64_MAX;
	uint64_t gy = y->gva_known || y->by_gpa ? y->gva : UINT64_MAX;

	if (gx != gy)
		return compare(gx, gy);
	return x->level != y->level ? compare(y->level, x->level) : compare(x->sptep, y->sptep);
}

/* The kernel's tables are walked in this order already, but for what stands twice or has no gva. */
void mmu_sort_tree(struct spte_list *l)
{
	size_t i = 1;

	while (i < l->n && tree_order(&l->v[i - 1], &l->v[i]) <= 0)
		i++;
	if (i < l->n)
		qsort(l->v, l->n, sizeof(*l->v), tree_order);
}

/* In parts unless they are drawn as a tree, whose branches depend on what follows. */
static int list_sptes(struct call *c, unsigned vcpu, uint64_t first, uint64_t last, uint64_t limit, struct err *e)
{
	_cleanup_(spte_list_free) struct spte_list list = {0};
	struct rows rows;
	int ret = machine_sptes(c->s->d.m, vcpu, first, last, &list, e);

	if (ret)
		return ret;
	mmu_sort_tree(&list);
	rows_begin(&rows, c, limit);
	for (size_t i = 0; i < list.n && !ret; i++) {
		ret = list_interrupted(&rows, e);
		ret = ret ? ret : rows_next(&rows, list.v[i].gva);
		if (!ret)
			rows_add(&rows, record_spte(rows.p, &list.v[i]));
	}
	if (list.n == SPTES_MAX && !ret) {
		rows.most = rows.n;
		ret = rows_next(&rows, list.v[list.n - 1].gva);
	}
	return rows_end(&rows, ret, e);
}

int mmu_info_sptes(struct call *c, struct err *e)
{
	uint64_t limit;
	uint64_t first, last;
	struct args a;
	int ret = args_init(&a, c, e);

	if (ret || (ret = mmu_limit(&a, &limit, e)) || (ret = mmu_range(&a, &first, &last, e)))
		return ret;
	return list_sptes(c, c->s->vcpu, first, last, limit, e);
}

static bool is_root(const struct root_info *r, uint64_t x)
{
	return r->cr3 == x || r->cr3 >> PAGE_SHIFT == x || r->hpa == x || (r->page && r->page == x);
}

/* The vCPU that runs on this root now. */
static int vcpu_of_root(struct call *c, uint64_t root, unsigned *vcpu, struct err *e)
{
	struct root_list roots = {0};
	bool found = false, known = false;
	int ret = machine_roots(c->s->d.m, &roots, e);

	if (ret)
		return ret;
	for (size_t i = 0; i < roots.n && !found; i++) {
		known |= is_root(&roots.v[i], root);
		found = roots.v[i].current && is_root(&roots.v[i], root);
		if (found)
			*vcpu = roots.v[i].vcpu;
	}
	root_list_free(&roots);
	if (found)
		return 0;
	return err_set(e, -ENOENT, "shadow tree 0x%llx" WHY "%s" TRY "info shadow, which lists all pages",
		       (unsigned long long)root,
		       known ? "that root is cached, but no vCPU runs on it now" : "no vCPU has such a root");
}

/* The value becomes Graphviz's text of it. */
static int draw_dot(struct call *c, void (*draw)(struct out *o, const struct value *v), const struct value *v, struct err *e)
{
	struct out o;

	out_init(&o, false, 0);
	draw(&o, v);
	c->result = v_str(c->pool, o.text);
	c->view = NULL;
	bool failed = o.failed;
	out_deinit(&o);
	return failed ? err_nomem(e, c->cmd->name) : 0;
}

/* The tree's sptes, which are the value, with all shadow pages. */
static int draw_tree(struct call *c, unsigned vcpu, struct err *e)
{
	_cleanup_(shadow_page_list_free) struct shadow_page_list list = {0};
	struct value graph = v_dict(c->pool, 3), pages = v_list(c->pool, 64);
	int ret = machine_shadow_pages(c->s->d.m, SHADOW_WITH_PARENTS, &list, e);

	if (ret)
		return ret;
	for (size_t i = 0; i < list.n; i++)
		v_push(c->pool, &pages, record_shadow_page(c->pool, &list.v[i]));
	v_put(c->pool, &graph, "vcpu", v_int(vcpu));
	v_put(c->pool, &graph, "pages", pages);
	v_put(c->pool, &graph, "sptes", c->result);
	return draw_dot(c, dot_shadow_tree, &graph, e);
}

int mmu_shadow_tree(struct call *c, struct err *e)
{
	_cleanup_hold_ struct machine_hold hold = {NULL};
	unsigned vcpu = c->s->vcpu;
	uint64_t limit;
	uint64_t root;
	struct args a;
	int ret = args_init(&a, c, e);

	if (ret || (ret = mmu_limit(&a, &limit, e)))
		return ret;
	bool dot = args_flag(&a, "-dot");
	if (args_more(&a) && ((ret = args_addr(&a, "root", &root, e)) || (ret = vcpu_of_root(c, root, &vcpu, e))))
		return ret;
	c->streams = false;
	if ((ret = args_end(&a, e)) || (dot && (ret = machine_look_begin(c->s->d.m, &hold, e))) ||
	    (ret = list_sptes(c, vcpu, 0, UINT64_MAX, limit, e)))
		return ret;
	return dot ? draw_tree(c, vcpu, e) : 0;
}

static int compare_rmaps(const void *a, const void *b)
{
	const struct rmap_info *x = a, *y = b;

	if (x->level != y->level)
		return compare(x->level, y->level);
	return x->as != y->as ? compare(x->as, y->as) : compare(x->slot, y->slot);
}

bool mmu_is_without_rmaps(struct machine *m, unsigned vcpu, uint64_t gfn)
{
	uint64_t gpa = gfn << PAGE_SHIFT;
	struct spte_list sptes = {0};
	bool by_gpa;

	if (machine_sptes(m, vcpu, gpa, gpa | PAGE_OFFSET_MASK, &sptes, NULL))
		return false;
	by_gpa = sptes.n && sptes.v[0].by_gpa;
	spte_list_free(&sptes);
	return by_gpa;
}

static struct value rmap_row(struct call *c, const struct rmap_info *r)
{
	struct value d = record_rmap(c->pool, r);

	if (r->kind == RMAP_EMPTY && mmu_is_without_rmaps(c->s->d.m, c->s->vcpu, r->gfn))
		v_put(c->pool, &d, "why", v_lit("TDP keeps none"));
	return d;
}

int mmu_info_rmap(struct call *c, struct err *e)
{
	struct rmap_list list = {0};
	uint64_t gfn;
	struct args a;
	int ret = args_init(&a, c, e);
	bool dot = !ret && args_flag(&a, "-dot");

	if (ret || (ret = args_addr(&a, "gfn", &gfn, e)) || (ret = args_end(&a, e)) ||
	    (ret = machine_rmap(c->s->d.m, gfn, &list, e)))
		return ret;
	if (!list.n) {
		rmap_list_free(&list); /* room for none is memory too */
		return err_set_at(e, -ENOENT, ERR_SPACE_GPA, gfn << PAGE_SHIFT,
				  "info rmap 0x%llx" WHY "no slot covers gfn 0x%llx, so it has no rmap" TRY "info slots",
				  (unsigned long long)gfn, (unsigned long long)gfn);
	}
	qsort(list.v, list.n, sizeof(*list.v), compare_rmaps);
	c->result = v_list(c->pool, list.n);
	for (size_t i = 0; i < list.n; i++)
		v_push(c->pool, &c->result, rmap_row(c, &list.v[i]));
	rmap_list_free(&list);
	return dot ? draw_dot(c, dot_rmap, &c->result, e) : 0;
}

static int compare_histograms(const void *a, const void *b)
{
	const struct rmap_histogram *x = a, *y = b;

	if (x->slot != y->slot)
		return compare(x->slot, y->slot);
	return x->as != y->as ? compare(x->as, y->as) : compare(x->level, y->level);
}

int mmu_info_rmaps(struct call *c, struct err *e)
{
	struct rmap_histogram_list list = {0};
	int ret = args_none(c, e);

	if (ret || (ret = machine_rmap_histogram(c->s->d.m, &list, e)))
		return ret;
	if (list.n)
		qsort(list.v, list.n, sizeof(*list.v), compare_histograms);
	c->result = v_list(c->pool, list.n);
	for (size_t i = 0; i < list.n; i++)
		v_push(c->pool, &c->result, record_rmap_histogram(c->pool, &list.v[i]));
	rmap_histogram_list_free(&list);
	return 0;
}

static int compare_mmio(const void *a, const void *b)
{
	const struct mmio_info *x = a, *y = b;

	return compare(x->vcpu, y->vcpu);
}

int mmu_info_mmio(struct call *c, struct err *e)
{
	struct mmio_info_list list = {0};
	int ret = args_none(c, e);

	if (ret || (ret = machine_mmio(c->s->d.m, &list, e)))
		return ret;
	if (list.n)
		qsort(list.v, list.n, sizeof(*list.v), compare_mmio);
	c->result = v_list(c->pool, list.n);
	for (size_t i = 0; i < list.n; i++)
		v_push(c->pool, &c->result, record_mmio(c->pool, &list.v[i]));
	mmio_info_list_free(&list);
	return 0;
}
