/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The fake machine's inspection: copies of scripted lists, so that callers may free what they get. Running out of memory
 * here ends the test.
 */
#include "tests/support/fake_inspect.h"

#include <errno.h>
#include <string.h>

static void *copy(const void *v, size_t n, size_t size)
{
	void *p;

	if (!n || !v)
		return NULL;
	p = malloc(n * size);
	if (!p)
		abort();
	return memcpy(p, v, n * size);
}

static int refused(struct machine *m, enum machine_cap cap, const char *op, struct err *e)
{
	if (fake_of(m)->no_cap[cap])
		return err_set(e, -ENOTSUP, "%s" WHY "the fake machine was told not to" TRY "another machine", op);
	return fake_failing(m, op, e);
}

int fake_shadow_pages(struct machine *m, unsigned flags, struct shadow_page_list *out, struct err *e)
{
	const struct shadow_page_list *in = &fake_of(m)->shadow_pages;
	int rc = refused(m, MACHINE_CAP_SHADOW, "shadow_pages", e);

	if (rc)
		return rc;
	*out = (struct shadow_page_list){copy(in->v, in->n, sizeof(*in->v)), in->n, in->torn};
	for (size_t i = 0; i < out->n; i++) {
		struct shadow_page *p = &out->v[i];

		p->parents = flags & SHADOW_WITH_PARENTS ? copy(p->parents, p->n_parents, sizeof(*p->parents)) : NULL;
		p->n_parents = p->parents ? p->n_parents : 0;
		p->entries = flags & SHADOW_WITH_ENTRIES && p->entries ? copy(p->entries, 512, sizeof(*p->entries)) : NULL;
	}
	return 0;
}

int fake_roots(struct machine *m, struct root_list *out, struct err *e)
{
	const struct root_list *in = &fake_of(m)->roots;
	int rc = refused(m, MACHINE_CAP_SHADOW, "roots", e);

	if (!rc)
		*out = (struct root_list){copy(in->v, in->n, sizeof(*in->v)), in->n};
	return rc;
}

static uint64_t spte_last(const struct spte_info *s)
{
	return s->gva + (1ull << (PAGE_SHIFT + 9 * ((s->level ? s->level : 1) - 1))) - 1;
}

int fake_sptes(struct machine *m, unsigned vcpu, uint64_t first, uint64_t last, struct spte_list *out, struct err *e)
{
	const struct spte_list *in = &fake_of(m)->sptes;
	int rc = refused(m, MACHINE_CAP_SHADOW, "sptes", e);
	size_t n = 0;

	(void)vcpu;
	if (rc)
		return rc;
	*out = (struct spte_list){copy(in->v, in->n, sizeof(*in->v)), 0};
	for (size_t i = 0; i < in->n; i++)
		if (in->v[i].gva <= last && spte_last(&in->v[i]) >= first)
			out->v[n++] = in->v[i];
	out->n = n;
	return 0;
}

static struct rmap_info copy_rmap(const struct rmap_info *r)
{
	struct rmap_info c = *r;

	c.desc = copy(r->desc, r->n_desc, sizeof(*r->desc));
	c.sptes = copy(r->sptes, r->n_sptes, sizeof(*r->sptes));
	return c;
}

static void append_rmap(struct rmap_list *l, struct rmap_info r)
{
	l->v = realloc(l->v, (l->n + 1) * sizeof(*l->v));
	if (!l->v)
		abort();
	l->v[l->n++] = r;
}

int fake_rmap(struct machine *m, uint64_t gfn, struct rmap_list *out, struct err *e)
{
	const struct rmap_list *in = &fake_of(m)->rmaps;
	int rc = refused(m, MACHINE_CAP_RMAP, "rmap", e);
	struct slot *s;

	if (rc)
		return rc;
	*out = (struct rmap_list){0};
	for (size_t i = 0; i < in->n; i++)
		if (in->v[i].gfn == gfn)
			append_rmap(out, copy_rmap(&in->v[i]));
	s = slot_lookup(&m->slots, gfn << PAGE_SHIFT, false, NULL);
	if (!out->n && s)
		append_rmap(out, (struct rmap_info){.gfn = gfn, .slot = s->id, .level = 1, .source = SOURCE_SOFT});
	return 0;
}

int fake_rmap_all(struct machine *m, struct rmap_list *out, struct err *e)
{
	const struct rmap_list *in = &fake_of(m)->rmaps;
	int rc = refused(m, MACHINE_CAP_RMAP, "rmap_all", e);

	if (rc)
		return rc;
	*out = (struct rmap_list){0};
	for (size_t i = 0; i < in->n; i++)
		if (in->v[i].kind != RMAP_EMPTY)
			append_rmap(out, copy_rmap(&in->v[i]));
	return 0;
}

int fake_rmap_histogram(struct machine *m, struct rmap_histogram_list *out, struct err *e)
{
	const struct rmap_histogram_list *in = &fake_of(m)->histogram;
	int rc = refused(m, MACHINE_CAP_RMAP, "rmap_histogram", e);

	if (!rc)
		*out = (struct rmap_histogram_list){copy(in->v, in->n, sizeof(*in->v)), in->n};
	return rc;
}

int fake_mmio(struct machine *m, struct mmio_info_list *out, struct err *e)
{
	const struct mmio_info_list *in = &fake_of(m)->mmio;
	int rc = refused(m, MACHINE_CAP_MMIO_CACHE, "mmio", e);

	if (rc)
		return rc;
	*out = (struct mmio_info_list){copy(in->v, in->n, sizeof(*in->v)), in->n};
	for (size_t i = 0; i < out->n; i++)
		out->v[i].sptes = copy(out->v[i].sptes, out->v[i].n_sptes, sizeof(*out->v[i].sptes));
	return 0;
}

int fake_fault_stages(struct machine *m, struct fault_stage_list *out, struct err *e)
{
	const struct fault_stage_list *in = &fake_of(m)->stages;
	int rc = refused(m, MACHINE_CAP_FAULT_STEP, "fault_stages", e);

	if (!rc)
		*out = (struct fault_stage_list){copy(in->v, in->n, sizeof(*in->v)), in->n};
	return rc;
}
