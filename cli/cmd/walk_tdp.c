/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The second dimension of `walk`: with EPT and NPT the guest's tables stand at guest physical addresses, and each of them,
 * like the page at the end, is reached through the host's tables. Four levels of each are 24 entries read: four times the
 * host's four and the guest's one, then four more for the page. (Intel SDM volume 3, chapter on EPT; AMD APM volume 2,
 * nested paging.)
 */
#include "cli/cmd/walk_impl.h"
#include "views/record.h"

#include <stdio.h>
#include <string.h>

struct value walk_spte(struct pool *p, const struct spte_info *s)
{
	const struct {
		bool on;
		const char *word;
	} f[] = {{s->present, "present"},
		 {s->mmio, "mmio"},
		 {s->writable, "writable"},
		 {s->user, "user"},
		 {s->exec, "exec"},
		 {s->accessed, "accessed"},
		 {s->dirty, "dirty"},
		 {s->leaf && s->level > 1, "large"},
		 {s->host_writable, "host-writable"},
		 {s->mmu_writable, "mmu-writable"},
		 {s->host_own, "host-own"}};
	struct value d = v_dict(p, 8), flags = v_list(p, 8);

	for (size_t i = 0; i < ARRAY_LEN(f); i++)
		if (f[i].on)
			v_push(p, &flags, v_lit(f[i].word));
	v_put(p, &d, "level", v_int(s->level));
	v_put(p, &d, "spte", v_hex(s->spte));
	v_put(p, &d, "flags", flags);
	v_put(p, &d, "page", v_hex(s->page_gfn));
	v_put(p, &d, "sptep", v_hex(s->sptep));
	v_put(p, &d, "pfn", s->present ? v_hex(s->pfn) : v_null());
	v_put(p, &d, "source", v_lit(source_name(s->source, s->torn)));
	return d;
}

static int higher_level_first(const void *a, const void *b)
{
	const struct spte_info *x = a, *y = b;

	return (x->level < y->level) - (x->level > y->level);
}

int walk_sptes(struct walker *k, uint64_t addr, struct spte_list *out, struct err *e)
{
	uint64_t page = addr & ~PAGE_OFFSET_MASK;
	int rc = machine_sptes(k->m, k->vcpu, page, page | PAGE_OFFSET_MASK, out, e);

	if (!rc && out->n)
		qsort(out->v, out->n, sizeof(*out->v), higher_level_first);
	return rc;
}

void walk_tdp_begin(struct walker *k)
{
	struct spte_list l = {0};

	if (walk_sptes(k, k->w.n ? k->w.step[0].gpa : k->gva, &l, NULL))
		return;
	k->tdp = (struct walk_tdp){.on = l.by_gpa, .name = l.ept ? "EPT" : "NPT", .levels = l.levels};
	spte_list_free(&l);
}

static uint64_t size_of(const struct spte_info *s)
{
	return 1ull << (PAGE_SHIFT + 9 * (s->level - 1));
}

static const struct spte_info *leaf_of(const struct spte_list *l)
{
	const struct spte_info *s = l->n ? &l->v[l->n - 1] : NULL;

	return s && s->present && s->leaf ? s : NULL;
}

/* The processor reads the guest's tables as the guest's own accesses, with NPT as writes, with EPT as writes where it sets A
 * and D bits. */
static void put_table_why(struct walker *k, struct value *step, const struct spte_info *leaf)
{
	if (!leaf)
		v_put(k->p, step, "why", v_lit("a walk that reads this table faults into KVM, which maps it"));
	else if (!leaf->writable)
		v_put(k->p, step, "why",
		      v_lit(strcmp(k->tdp.name, "EPT")
				? "not writable: NPT counts a walk's read as a write, which faults into KVM"
				: "not writable: a walk that sets A or D bits here faults into KVM"));
}

static void put_way(struct walker *k, struct value *step, uint64_t gpa, const struct spte_list *l)
{
	const struct spte_info *leaf = leaf_of(l);
	struct value way = v_list(k->p, l->n);

	for (size_t i = 0; i < l->n; i++)
		v_push(k->p, &way, walk_spte(k->p, &l->v[i]));
	v_put(k->p, step, "tdp", way);
	if (leaf) {
		v_put(k->p, step, "hpa", v_hex((leaf->pfn << PAGE_SHIFT) + (gpa & (size_of(leaf) - 1))));
		v_put(k->p, step, "page_size", v_int((int64_t)size_of(leaf)));
	} else {
		v_put(k->p, step, "hpa", v_na(k->p, "no entry maps it now"));
	}
	put_table_why(k, step, leaf);
	k->tdp.reads += (unsigned)l->n + 1;
}

void walk_tdp_tables(struct walker *k, struct value *steps)
{
	for (unsigned i = 0; k->tdp.on && i < k->w.n && i < steps->n; i++) {
		struct spte_list l = {0};
		struct err e = {0};

		if (k->w.step[i].is_register)
			continue;
		if (walk_sptes(k, k->w.step[i].gpa, &l, &e))
			v_put(k->p, &steps->items[i], "tdp", v_na(k->p, err_reason(&e)));
		else
			put_way(k, &steps->items[i], k->w.step[i].gpa, &l);
		spte_list_free(&l);
	}
}

void walk_tdp_page(struct walker *k, const struct spte_list *sptes)
{
	k->tdp.reads += (unsigned)sptes->n;
}

/* ---- rights */

static void write_refusal(const struct walker *k, char *why, size_t size)
{
	const struct spte_info *s = &k->leaf;

	if (k->slot->flags & SLOT_READONLY)
		snprintf(why, size, "slot %u is READONLY", k->slot->id);
	else if (k->slot->flags & SLOT_LOG_DIRTY)
		snprintf(why, size, "write-protected for the dirty log of slot %u, which the first write enters",
			 k->slot->id);
	else if (s->host_writable && !s->mmu_writable)
		snprintf(why, size, "write-protected: KVM shadows a table on this page or tracks its writes");
	else if (s->host_writable)
		snprintf(why, size, "write-protected: KVM wants to see the first write");
	else
		snprintf(why, size, "the host maps the page for reading so far; the first write faults into KVM");
}

void walk_tdp_refusal(const struct walker *k, unsigned access, char *why, size_t size)
{
	const struct spte_info *s = &k->leaf;

	why[0] = '\0';
	if (!k->slot)
		snprintf(why, size, "no slot is there: each access leaves as MMIO");
	else if (!k->has_leaf)
		snprintf(why, size, "no entry maps it now; the first access faults into KVM, which makes one");
	else if (access & ACCESS_WRITE && !s->writable)
		write_refusal(k, why, size);
	else if (access & ACCESS_FETCH && !s->exec)
		snprintf(why, size, "%s",
			 s->level > 1
			     ? "a huge page that may not be executed (nx_huge_pages): KVM splits it at the first fetch"
			     : "the entry may not be executed");
	else if (access & ACCESS_USER && !s->user)
		snprintf(why, size, "the entry is not a user's, and each access of a guest counts as one");
}

static struct value one_access(struct walker *k, unsigned access, const char *name)
{
	struct value d = v_dict(k->p, 4);
	char refusal[160];
	struct walk w;

	paging_walk(&k->env.pg, &k->env.mem, k->gva, access | (k->access & ACCESS_USER), false, &w);
	v_put(k->p, &d, "access", v_lit(name));
	v_put(k->p, &d, "guest", v_bool(!w.fault.present));
	if (k->w.fault.present) { /* no gpa, so nothing to ask the host's tables for */
		v_put(k->p, &d, "tdp", v_null());
		v_put(k->p, &d, "why", w.fault.present ? v_str(k->p, w.why) : v_null());
		return d;
	}
	walk_tdp_refusal(k, access, refusal, sizeof(refusal));
	v_put(k->p, &d, "tdp", v_bool(!refusal[0]));
	v_put(k->p, &d, "why", w.fault.present ? v_str(k->p, w.why) : refusal[0] ? v_str(k->p, refusal) : v_null());
	return d;
}

void walk_tdp_put(struct walker *k, struct value *d)
{
	struct value tdp = v_dict(k->p, 3), rows = v_list(k->p, 3);

	if (!k->tdp.on)
		return;
	v_put(k->p, &tdp, "format", v_lit(k->tdp.name));
	v_put(k->p, &tdp, "levels", v_int(k->tdp.levels));
	v_put(k->p, &tdp, "reads", v_int(k->tdp.reads));
	v_put(k->p, d, "tdp", tdp);
	v_push(k->p, &rows, one_access(k, ACCESS_READ, "read"));
	v_push(k->p, &rows, one_access(k, ACCESS_WRITE, "write"));
	v_push(k->p, &rows, one_access(k, ACCESS_FETCH, "fetch"));
	v_put(k->p, d, "dimensions", rows);
}
