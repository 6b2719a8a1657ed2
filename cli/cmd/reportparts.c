/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The tables and chains of a report.
 */
#include <errno.h>
#include <string.h>

#include "cli/cmd/mmu.h"
#include "cli/cmd/report.h"
#include "cli/session/interrupt.h"
#include "views/record.h"

#define LEAVES_MAX 32768
#define PAGES_MAX 1000
#define CHAINS_MAX 24

static struct value bounded(struct call *c, struct value rows, size_t total)
{
	struct value d = v_dict(c->pool, 2);

	v_put(c->pool, &d, "left_out", v_int((int64_t)(total - rows.n)));
	v_put(c->pool, &d, "rows", rows);
	return d;
}

/* ---- the guest's tables: walks to all leaves, each entry once */

struct entries {
	struct pool *p;
	struct xlate_env env;
	struct walk before;
	struct value rows;
	size_t leaves;
};

/* Those of w that the walk before had not, down to n of them. */
static int add_walk(struct entries *g, const struct walk *w, unsigned n, const struct guest_mapping *m, struct value *why)
{
	unsigned same = 0;

	while (same < n && same < g->before.n && w->step[same].gpa == g->before.step[same].gpa)
		same++;
	for (unsigned i = same; i < n; i++) {
		struct value row = record_guest_entry(g->p, w, i, m, g->env.pg.mode);
		if (why && i + 1 == n)
			v_put(g->p, &row, "why", *why);
		v_push(g->p, &g->rows, row);
	}
	g->before = *w;
	g->before.n = n;
	if (pool_failed(g->p))
		return -ENOMEM;
	return ++g->leaves >= LEAVES_MAX;
}

static int add_entries(void *arg, const struct guest_mapping *m)
{
	struct entries *g = arg;
	struct walk w;

	paging_walk(&g->env.pg, &g->env.mem, m->gva, ACCESS_READ, false, &w);
	return add_walk(g, &w, w.n, m, NULL);
}

/* The first of its entries, with the words for all of them. */
static int add_span_entry(void *arg, const struct guest_span *s)
{
	struct entries *g = arg;
	struct guest_mapping m = {.gva = s->gva};
	struct value row = v_dict(g->p, 8);
	struct walk w;
	unsigned n = 0;

	record_span_table(g->p, &row, s);
	paging_walk(&g->env.pg, &g->env.mem, s->gva, ACCESS_READ, false, &w);
	while (n < w.n && w.step[n].level >= s->level)
		n++;
	if (n == w.n) /* the walk ends here by now */
		return 0;
	struct value why = *v_get(&row, "why");
	return add_walk(g, &w, n, &m, &why);
}

struct value report_guest(struct call *c)
{
	struct entries g = {.p = c->pool, .rows = v_list(c->pool, 64)};
	struct value d = v_dict(c->pool, 2);
	struct err e = {0};

	if (machine_env(c->s->d.m, c->s->vcpu, &g.env, &e))
		return v_na(c->pool, err_reason(&e));
	if (g.env.pg.mode == PAGING_NONE)
		return v_na(c->pool, "paging is off: linear addresses are physical ones");
	const struct paging_listing l = {
	    .last = UINT64_MAX, .page = add_entries, .span = add_span_entry, .arg = &g, .poll = interrupt_poll};
	int ret = paging_list(&g.env.pg, &g.env.mem, &l);
	if (ret == -ENODATA)
		return v_na(c->pool, "a table cannot be read now");
	v_put(c->pool, &d, "rows", g.rows);
	v_put(c->pool, &d, "more", v_bool(ret != 0));
	return d;
}

/* ---- the shadow MMU */

struct value report_sptes(struct call *c)
{
	_cleanup_(spte_list_free) struct spte_list list = {0};
	struct value rows = v_list(c->pool, 64);
	struct err e = {0};

	if (machine_sptes(c->s->d.m, c->s->vcpu, 0, UINT64_MAX, &list, &e))
		return v_na(c->pool, err_reason(&e));
	mmu_sort_tree(&list);
	for (size_t i = 0; i < list.n && i < LEAVES_MAX; i++)
		v_push(c->pool, &rows, record_spte(c->pool, &list.v[i]));
	return bounded(c, rows, list.n);
}

struct value report_pages(struct call *c)
{
	_cleanup_(shadow_page_list_free) struct shadow_page_list list = {0};
	struct value rows = v_list(c->pool, 64);
	struct err e = {0};

	if (machine_shadow_pages(c->s->d.m, 0, &list, &e))
		return v_na(c->pool, err_reason(&e));
	mmu_sort_pages(&list);
	for (size_t i = 0; i < list.n && i < PAGES_MAX; i++)
		v_push(c->pool, &rows, record_shadow_page(c->pool, &list.v[i]));
	return bounded(c, rows, list.n);
}

/* ---- chains: the longest ones, in order of length */

struct chain {
	uint64_t gfn, sptes;
	uint32_t slot;
	unsigned as, level;
};
struct longest {
	struct chain v[CHAINS_MAX];
	size_t n, total;
};

static bool comes_before(const struct chain *a, const struct chain *b)
{
	return a->sptes != b->sptes ? a->sptes > b->sptes : a->gfn < b->gfn;
}

static int note_chain(void *arg, const struct rmap_info *r)
{
	const struct chain x = {.gfn = r->gfn, .sptes = r->n_sptes, .slot = r->slot, .as = r->as, .level = r->level};
	struct longest *l = arg;
	size_t i = l->n;

	if (x.sptes < 2)
		return 0;
	l->total++;
	while (i && comes_before(&x, &l->v[i - 1]))
		i--;
	if (i == CHAINS_MAX)
		return 0;
	l->n += l->n < CHAINS_MAX;
	memmove(&l->v[i + 1], &l->v[i], (l->n - i - 1) * sizeof(x));
	l->v[i] = x;
	return 0;
}

/* With its gvas, which the list of all has not. */
static void push_chain(struct call *c, struct value *rows, const struct chain *x)
{
	_cleanup_(rmap_list_free) struct rmap_list list = {0};

	if (machine_rmap(c->s->d.m, x->gfn, &list, NULL))
		return;
	for (size_t i = 0; i < list.n; i++)
		if (list.v[i].slot == x->slot && list.v[i].as == x->as && list.v[i].level == x->level)
			v_push(c->pool, rows, record_rmap(c->pool, &list.v[i]));
}

struct value report_chains(struct call *c)
{
	struct longest l = {.n = 0};
	struct value rows = v_list(c->pool, CHAINS_MAX);
	struct err e = {0};

	if (machine_rmap_each(c->s->d.m, note_chain, &l, &e))
		return v_na(c->pool, err_reason(&e));
	for (size_t i = 0; i < l.n; i++)
		push_chain(c, &rows, &l.v[i]);
	return bounded(c, rows, l.total > rows.n ? l.total : rows.n);
}
