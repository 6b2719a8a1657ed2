/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Long ranges of guest virtual memory for the debugger's own accesses: one enumeration of the tables, pages that follow
 * each other in guest physical memory joined, so that a big copy is a few memcpy()s.
 */
#include "core/mem/xlate.h"

#include <errno.h>

typedef unsigned long long ull;

struct collector {
	struct xlate_runs *out;
	uint64_t next, last; /* the address that the next mapping has to cover; the end, inclusive */
	bool nomem;
};

struct paging xlate_debug_paging(const struct xlate_env *env)
{
	struct paging pg = env->pg;

	pg.cr4 &= ~(CR4_SMAP | CR4_PKE);
	return pg;
}

static bool add_run(struct xlate_runs *r, uint64_t gva, uint64_t gpa, size_t len)
{
	struct xlate_run *last = r->n ? &r->v[r->n - 1] : NULL;

	if (last && last->gpa + last->len == gpa) {
		last->len += len;
		return true;
	}
	if (r->n == r->cap) {
		size_t cap = r->cap ? r->cap * 2 : 4;
		struct xlate_run *v = realloc(r->v, cap * sizeof(*v));

		if (!v)
			return false;
		r->v = v;
		r->cap = cap;
	}
	r->v[r->n++] = (struct xlate_run){.gva = gva, .gpa = gpa, .len = len};
	return true;
}

/* One mapping; non-zero ends the enumeration: a hole, or the end. */
static int add_mapping(void *arg, const struct guest_mapping *m)
{
	struct collector *c = arg;
	uint64_t offset = c->next - m->gva, room = m->page_size - offset, left = c->last - c->next + 1;

	if (m->gva > c->next)
		return 1;
	if (room > left)
		room = left;
	if (!add_run(c->out, c->next, m->gpa + offset, (size_t)room)) {
		c->nomem = true;
		return 1;
	}
	c->next += room;
	return room == left;
}

static int no_translation(const struct xlate_env *env, const struct paging *pg, uint64_t gva, bool write, struct err *e)
{
	struct walk w;

	paging_walk(pg, &env->mem, gva, ACCESS_READ, false, &w);
	if (w.unreadable)
		return err_set_at(e, -ENODATA, ERR_SPACE_GPA, w.nested || !w.n ? w.l2_gpa : w.step[w.n - 1].gpa,
				  "%s gva %#llx" WHY "%s" TRY "walk %#llx", write ? "write" : "read", (ull)gva, w.why,
				  (ull)gva);
	return err_set_at(e, -EFAULT, ERR_SPACE_GVA, gva, "%s gva %#llx" WHY "%s" TRY "walk %#llx", write ? "write" : "read",
			  (ull)gva, w.why[0] ? w.why : "the tables changed meanwhile", (ull)gva);
}

/* Two translations, whose pages may be of two sizes: one page after the other. */
static bool nested_runs(const struct xlate_env *env, const struct paging *pg, struct collector *c)
{
	for (;;) {
		uint64_t room = PAGE_SIZE_4K - (c->next & PAGE_OFFSET_MASK), left = c->last - c->next + 1;
		struct walk w;

		paging_walk(pg, &env->mem, c->next, ACCESS_READ | ACCESS_IMPLICIT, false, &w);
		if (w.fault.present)
			return false;
		c->nomem = !add_run(c->out, c->next, w.gpa, (size_t)MIN(room, left));
		if (c->nomem || room >= left)
			return !c->nomem;
		c->next += room;
	}
}

int xlate_runs(const struct xlate_env *env, uint64_t gva, size_t len, bool write, struct xlate_runs *out, struct err *e)
{
	struct paging pg = xlate_debug_paging(env);
	struct xlate_runs runs = {0};
	struct collector c = {.out = &runs, .next = gva, .last = gva + (len - 1)};
	bool whole;

	if (!len)
		return 0;
	if (range_wraps(gva, len))
		return err_set_at(e, -EINVAL, ERR_SPACE_GVA, gva,
				  "%s %#zx bytes at gva %#llx" WHY "the range runs past 2^64" TRY "a shorter length",
				  write ? "write" : "read", len, (ull)gva);
	if (env->mem.nested) {
		whole = nested_runs(env, &pg, &c);
	} else if (pg.mode == PAGING_NONE) {
		uint64_t end = paging_canonical(&pg, c.last) ? c.last + 1 : paging_canonical(&pg, gva) ? 1ull << 32 : gva;

		whole = end == c.last + 1;
		c.nomem = whole && !add_run(&runs, gva, gva, len);
		c.next = end;
	} else {
		int done = paging_enumerate_unbroken(&pg, &env->mem, gva, c.last, add_mapping, &c);

		whole = done > 0 && !c.nomem && (c.next == c.last + 1);
	}
	if (whole && !c.nomem) {
		*out = runs;
		return 0;
	}
	xlate_runs_free(&runs);
	return c.nomem ? err_nomem(e, "translate a range") : no_translation(env, &pg, c.next, write, e);
}

void xlate_runs_free(struct xlate_runs *r)
{
	free(r->v);
	*r = (struct xlate_runs){0};
}
