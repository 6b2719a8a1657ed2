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

/* The slots that are not the guest's: few, so that each row can ask all of them. */
static int own_slots(struct call *c, struct slot_info_list *l, struct err *e)
{
	int ret = machine_slot_list(c->s->d.m, l, e);
	size_t n = 0;

	for (size_t i = 0; !ret && i < l->n; i++)
		if (l->v[i].own)
			l->v[n++] = l->v[i];
	l->n = ret ? l->n : n;
	return ret;
}

/* What is beside the pages: whose gfns are not the guest's, with the sptes that map them where tables are by gpa, and the
 * roots that vCPUs are on. */
struct beside {
	struct slot_info_list slots;
	struct spte_list own;
	struct root_list roots;
};

static void beside_free(struct beside *b)
{
	slot_info_list_free(&b->slots);
	spte_list_free(&b->own);
	root_list_free(&b->roots);
}

/* Those of one slot behind those that are there. */
static int add_own_sptes(struct call *c, const struct slot_info *s, struct spte_list *to, struct err *e)
{
	_cleanup_(spte_list_free) struct spte_list l = {0};
	int ret = machine_sptes(c->s->d.m, c->s->vcpu, s->gpa, s->gpa + s->size - 1, &l, e);
	struct spte_info *v = ret || !l.n ? NULL : realloc(to->v, (to->n + l.n) * sizeof(*v));

	if (ret || !l.n)
		return ret;
	if (!v)
		return err_nomem(e, "info shadow");
	to->v = v;
	for (size_t i = 0; i < l.n; i++)
		if (l.v[i].by_gpa && l.v[i].leaf)
			v[to->n++] = l.v[i];
	return 0;
}

static int beside_look(struct call *c, struct beside *b, struct err *e)
{
	int ret = own_slots(c, &b->slots, e);

	for (size_t i = 0; !ret && i < b->slots.n; i++)
		if (!b->slots.v[i].as && b->slots.v[i].size)
			ret = add_own_sptes(c, &b->slots.v[i], &b->own, e);
	return ret ? ret : machine_roots(c->s->d.m, &b->roots, e);
}

/* Whose the guest's table is that a page shadows, or whose pages some of its leaves map. */
static void put_owner(struct pool *p, struct value *d, const struct shadow_page *s, const struct beside *b)
{
	const char *owner = s->direct ? NULL : slot_info_owner(&b->slots, s->gfn);
	unsigned n = 0;

	for (size_t i = 0; s->direct && i < b->own.n; i++) {
		if ((b->own.v[i].sptep & ~PAGE_OFFSET_MASK) != s->spt)
			continue;
		owner = slot_info_owner(&b->slots, b->own.v[i].gfn);
		n++;
	}
	if (owner)
		v_put(p, d, "owner", v_lit(owner));
	if (n)
		v_put(p, d, "own_sptes", v_int(n));
}

/* The TDP MMU keeps a root that no vCPU is on any more. */
static void put_vcpus(struct pool *p, struct value *d, const struct shadow_page *s, const struct beside *b)
{
	struct value vcpus = v_list(p, 2);

	if (!s->tdp || !s->roots)
		return;
	for (size_t i = 0; i < b->roots.n; i++)
		if (b->roots.v[i].current && b->roots.v[i].page == s->address)
			v_push(p, &vcpus, v_int(b->roots.v[i].vcpu));
	v_put(p, d, "vcpus", vcpus);
}

/* Both of one moment. */
static int look_at_pages(struct call *c, struct shadow_page_list *list, struct beside *b, struct err *e)
{
	_cleanup_hold_ struct machine_hold hold = {NULL};
	int ret = machine_look_begin(c->s->d.m, &hold, e);

	ret = ret ? ret : machine_shadow_pages(c->s->d.m, SHADOW_WITH_PARENTS, list, e);
	return ret ? ret : beside_look(c, b, e);
}

int mmu_info_shadow(struct call *c, struct err *e)
{
	_cleanup_(shadow_page_list_free) struct shadow_page_list list = {0};
	_cleanup_(beside_free) struct beside beside = {.slots = {0}};
	struct rows rows;
	uint64_t gfn = 0;
	struct args a;
	int ret = args_init(&a, c, e);
	bool all = !ret && !args_more(&a);

	if (ret || (!all && (ret = args_addr(&a, "gfn", &gfn, e))) || (ret = args_end(&a, e)) ||
	    (ret = look_at_pages(c, &list, &beside, e)))
		return ret;
	mmu_sort_pages(&list);
	rows_begin(&rows, c, UINT64_MAX);
	for (size_t i = 0; i < list.n && !ret; i++) {
		if (!all && list.v[i].gfn != gfn)
			continue;
		ret = list_interrupted(&rows, e);
		ret = ret ? ret : rows_next(&rows, list.v[i].gfn << PAGE_SHIFT);
		if (ret)
			break;
		struct value d = record_shadow_page(rows.p, &list.v[i]);
		put_owner(rows.p, &d, &list.v[i], &beside);
		put_vcpus(rows.p, &d, &list.v[i], &beside);
		rows_add(&rows, d);
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

static struct value spte_row(struct pool *p, const struct spte_info *s, const struct slot_info_list *slots)
{
	const char *owner = s->leaf && s->gfn_known ? slot_info_owner(slots, s->gfn) : NULL;
	struct value d = record_spte(p, s);

	if (owner)
		v_put(p, &d, "owner", v_lit(owner));
	return d;
}

/* In parts unless they are drawn as a tree, whose branches depend on what follows. */
static int list_sptes(struct call *c, unsigned vcpu, uint64_t first, uint64_t last, uint64_t limit, struct err *e)
{
	_cleanup_(spte_list_free) struct spte_list list = {0};
	_cleanup_(slot_info_list_free) struct slot_info_list slots = {0};
	struct rows rows;
	int ret = machine_sptes(c->s->d.m, vcpu, first, last, &list, e);

	if (ret || (ret = own_slots(c, &slots, e)))
		return ret;
	mmu_sort_tree(&list);
	rows_begin(&rows, c, limit);
	for (size_t i = 0; i < list.n && !ret; i++) {
		ret = list_interrupted(&rows, e);
		ret = ret ? ret : rows_next(&rows, list.v[i].gva);
		if (!ret)
			rows_add(&rows, spte_row(rows.p, &list.v[i], &slots));
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
	bool found = false, known = false, nested = false;
	int ret = machine_roots(c->s->d.m, &roots, e);

	if (ret)
		return ret;
	for (size_t i = 0; i < roots.n && !found; i++) {
		known |= is_root(&roots.v[i], root);
		nested |= is_root(&roots.v[i], root) && roots.v[i].guest_mode;
		found = roots.v[i].current && is_root(&roots.v[i], root);
		if (found)
			*vcpu = roots.v[i].vcpu;
	}
	root_list_free(&roots);
	if (found)
		return 0;
	if (nested)
		return err_set(e, -ENOENT,
			       "shadow tree 0x%llx" WHY "that is the root of a nested guest, and no vCPU is in one now" TRY
			       "tb at an address of its, c, then again",
			       (unsigned long long)root);
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

/* Why an empty one says nothing, and whose the slot is. */
static struct value rmap_row(struct call *c, const struct rmap_info *r, const char *why, const struct slot_info_list *slots)
{
	const char *owner = slot_info_owner(slots, r->gfn);
	struct value d = record_rmap(c->pool, r);

	if (r->kind == RMAP_EMPTY && why)
		v_put(c->pool, &d, "why", v_lit(why));
	if (owner)
		v_put(c->pool, &d, "owner", v_lit(owner));
	return d;
}

int mmu_info_rmap(struct call *c, struct err *e)
{
	_cleanup_(slot_info_list_free) struct slot_info_list slots = {0};
	_cleanup_(rmap_list_free) struct rmap_list list = {0};
	uint64_t gfn;
	struct args a;
	int ret = args_init(&a, c, e);
	bool dot = !ret && args_flag(&a, "-dot");

	if (ret || (ret = args_addr(&a, "gfn", &gfn, e)) || (ret = args_end(&a, e)) ||
	    (ret = machine_rmap(c->s->d.m, gfn, &list, e)) || (ret = own_slots(c, &slots, e)))
		return ret;
	if (!list.n)
		return err_set_at(e, -ENOENT, ERR_SPACE_GPA, gfn << PAGE_SHIFT,
				  "info rmap 0x%llx" WHY "no slot covers gfn 0x%llx, so it has no rmap" TRY "info slots",
				  (unsigned long long)gfn, (unsigned long long)gfn);
	const char *why = mmu_without_rmaps(c);
	qsort(list.v, list.n, sizeof(*list.v), compare_rmaps);
	c->result = v_list(c->pool, list.n);
	for (size_t i = 0; i < list.n; i++)
		v_push(c->pool, &c->result, rmap_row(c, &list.v[i], why, &slots));
	return dot ? draw_dot(c, dot_rmap, &c->result, e) : 0;
}

static int compare_histograms(const void *a, const void *b)
{
	const struct rmap_histogram *x = a, *y = b;

	if (x->slot != y->slot)
		return compare(x->slot, y->slot);
	return x->as != y->as ? compare(x->as, y->as) : compare(x->level, y->level);
}

/* Whose a slot is by its number: KVM's own may have no bytes. */
static const char *owner_of_slot(const struct slot_info_list *l, uint32_t id)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].id == id)
			return l->v[i].owner ? l->v[i].owner : "the debugger's own";
	return NULL;
}

static struct value histogram_row(struct call *c, const struct rmap_histogram *h, const char *why,
				  const struct slot_info_list *slots)
{
	const char *owner = owner_of_slot(slots, h->slot);
	struct value d = record_rmap_histogram(c->pool, h);

	if (!h->longest && why)
		v_put(c->pool, &d, "why", v_lit(why));
	if (owner)
		v_put(c->pool, &d, "owner", v_lit(owner));
	return d;
}

int mmu_info_rmaps(struct call *c, struct err *e)
{
	_cleanup_(rmap_histogram_list_free) struct rmap_histogram_list list = {0};
	_cleanup_(slot_info_list_free) struct slot_info_list slots = {0};
	int ret = args_none(c, e);

	if (ret || (ret = machine_rmap_histogram(c->s->d.m, &list, e)) || (ret = own_slots(c, &slots, e)))
		return ret;
	const char *why = mmu_without_rmaps(c);
	if (list.n)
		qsort(list.v, list.n, sizeof(*list.v), compare_histograms);
	c->result = v_list(c->pool, list.n);
	for (size_t i = 0; i < list.n; i++)
		v_push(c->pool, &c->result, histogram_row(c, &list.v[i], why, &slots));
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
