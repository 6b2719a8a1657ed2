/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Shadow tables and reverse maps of both sides. A leaf is known by (level, gfn of its table, index, access of its table's
 * role): every one of the kernel's must be one that soft has or would install, with the same rights; every one that soft
 * has must be in the kernel. What KVM fetched ahead (its A bit clear until a processor uses it, which it may do ahead of the
 * instruction) may be on its side alone.
 */
#include "tests/agree/agree.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem/shadow.h"
#include "core/mem/xlate.h"

#define ULL(x) ((unsigned long long)(x))

static bool own_gfn(struct machine *m, uint64_t gfn)
{
	struct slot *s = slot_lookup(machine_slots(m), gfn << 12, false, NULL);

	return s && s->own;
}

static const struct spte_info *find_leaf(const struct spte_list *l, const struct spte_info *x)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct spte_info *y = &l->v[i];
		if (y->leaf && y->present && y->gva == x->gva && y->level == x->level)
			return y;
	}
	return NULL;
}

static void describe(struct diff *d, const char *who, const struct spte_info *x)
{
	diff_add(d, "  leaf %s: gva %#llx level %u gfn %#llx table %#llx index %u %c%c%c%s spte %#llx\n", who, ULL(x->gva),
		 x->level, ULL(x->gfn), ULL(x->page_gfn), x->index, x->writable ? 'w' : '-', x->user ? 'u' : '-',
		 x->exec ? 'x' : '-', x->accessed ? " A" : "", ULL(x->spte));
}

static void compare_rights(struct diff *d, const struct spte_info *k, const struct spte_info *s)
{
	if (k->gfn == s->gfn && k->writable == s->writable && k->user == s->user && k->exec == s->exec &&
	    k->page_gfn == s->page_gfn && k->index == s->index)
		return;
	describe(d, "kvm ", k);
	describe(d, "soft", s);
}

/* A leaf of the kernel's alone, fetched ahead or used by a processor that ran ahead: what would soft install there? */
static bool would_install(struct machine *soft, const struct spte_info *k)
{
	struct xlate_env env;
	struct err e = {0};
	struct walk w;

	if (machine_env(soft, 0, &env, &e))
		return false;
	env.side_effects = false;
	paging_walk(&env.pg, &env.mem, k->gva, ACCESS_READ | (k->user ? ACCESS_USER : 0), false, &w);
	struct slot *s = w.fault.present ? NULL : slot_lookup(machine_slots(soft), w.gpa, false, NULL);
	if (!s || w.gpa >> PAGE_SHIFT != k->gfn || k->exec != !!(w.rights & ACCESS_FETCH) ||
	    k->user != !!(w.rights & ACCESS_USER))
		return false;
	return !k->writable || (w.rights & ACCESS_WRITE && w.leaf & PTE_D && !(s->flags & SLOT_READONLY));
}

static int compare_leaves(struct diff *d, struct machine *kvm, struct machine *soft, struct err *e)
{
	struct spte_list k = {0}, s = {0};
	int rc = machine_sptes(kvm, 0, 0, ~0ull, &k, e);

	if (!rc)
		rc = machine_sptes(soft, 0, 0, ~0ull, &s, e);
	for (size_t i = 0; !rc && i < k.n; i++) {
		const struct spte_info *x = &k.v[i], *y;
		if (!x->leaf || !x->present || x->host_own || x->mmio || own_gfn(kvm, x->gfn))
			continue;
		y = find_leaf(&s, x);
		if (y)
			compare_rights(d, x, y);
		else if (!would_install(soft, x))
			describe(d, "kvm alone", x);
	}
	for (size_t i = 0; !rc && i < s.n; i++)
		if (s.v[i].leaf && s.v[i].present && !s.v[i].mmio && !find_leaf(&k, &s.v[i]))
			describe(d, "soft alone", &s.v[i]);
	spte_list_free(&k);
	spte_list_free(&s);
	return rc;
}

/* ---- reverse maps: per gfn, sets of (level, table gfn, index) */

struct mapping {
	uint64_t gfn, table;
	unsigned level, index;
	bool accessed;
};
struct mappings {
	struct mapping *v;
	size_t n;
};

static int by_place(const void *a, const void *b)
{
	const struct mapping *x = a, *y = b;

#define ORDER(F)                                                                                                            \
	if (x->F != y->F)                                                                                                   \
	return x->F < y->F ? -1 : 1
	ORDER(gfn);
	ORDER(level);
	ORDER(table);
	ORDER(index);
	return (int)y->accessed - (int)x->accessed;
}

static int mappings_of(struct machine *m, struct mappings *out, struct err *e)
{
	struct rmap_list l = {0};
	size_t n = 0;
	int rc = machine_rmap_all(m, &l, e);

	if (rc)
		return rc;
	for (size_t i = 0; i < l.n; i++)
		n += l.v[i].n_sptes;
	out->v = calloc(n + 1, sizeof(*out->v));
	out->n = 0;
	for (size_t i = 0; out->v && i < l.n; i++)
		for (size_t j = 0; j < l.v[i].n_sptes; j++) {
			const struct spte_info *x = &l.v[i].sptes[j];
			if (!own_gfn(m, l.v[i].gfn) && x->present)
				out->v[out->n++] =
				    (struct mapping){l.v[i].gfn, x->page_gfn, l.v[i].level, x->index, x->accessed};
		}
	rmap_list_free(&l);
	if (!out->v)
		return -1;
	qsort(out->v, out->n, sizeof(*out->v), by_place);
	return 0;
}

static void lonely(struct diff *d, const char *who, const struct mapping *m)
{
	diff_add(d, "  rmap of gfn %#llx: %s alone has level %u table %#llx index %u\n", ULL(m->gfn), who, m->level,
		 ULL(m->table), m->index);
}

static int place_order(const struct mapping *a, const struct mapping *b)
{
	struct mapping x = *a, y = *b;

	x.accessed = y.accessed = false;
	return by_place(&x, &y);
}

static int compare_rmaps(struct diff *d, struct machine *kvm, struct machine *soft, struct err *e)
{
	struct mappings k = {0}, s = {0};
	int rc = mappings_of(kvm, &k, e);
	size_t i = 0, j = 0;

	if (!rc)
		rc = mappings_of(soft, &s, e);
	while (!rc && (i < k.n || j < s.n)) {
		int order = i == k.n ? 1 : j == s.n ? -1 : place_order(&k.v[i], &s.v[j]);
		/* Those of kvm alone are leaves of kvm alone, which compare_leaves() has judged. */
		if (order > 0)
			lonely(d, "soft", &s.v[j]);
		i += order <= 0;
		j += order >= 0;
	}
	free(k.v);
	free(s.v);
	return rc;
}

int compare_shadow(struct diff *d, struct machine *kvm, struct machine *soft, struct err *e)
{
	return compare_leaves(d, kvm, soft, e) ?: compare_rmaps(d, kvm, soft, e);
}
