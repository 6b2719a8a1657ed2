/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What differs between two snapshots: one merge of sorted arrays a part, and a row for each entry that is on one side only
 * or not the same on both.
 */
#include "core/debug/snap.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/debug/snap_impl.h"

const char *diff_part_name(enum diff_part p)
{
	static const char *const names[] = {"slot", "shadow-page", "spte", "rmap", "mmio", "register", "memory"};

	return names[p];
}

const char *diff_kind_name(enum diff_kind k)
{
	static const char *const names[] = {"added", "removed", "changed"};

	return names[k];
}

void diff_list_free(struct diff_list *l)
{
	free(l->v);
	*l = (struct diff_list){0};
}

struct diff {
	const struct snap *a, *b;
	struct diff_list *out;
	size_t cap;
	bool failed;
};

/* A new row; a scratch one where memory is out (the diff then fails at its end). */
static struct diff_row *new_row(struct diff *d, enum diff_part p, enum diff_kind k)
{
	static struct diff_row scratch;

	if (d->out->n == d->cap) {
		size_t cap = d->cap ? d->cap * 2 : 16;
		struct diff_row *grown = d->failed ? NULL : realloc(d->out->v, cap * sizeof(*grown));
		if (!grown) {
			d->failed = true;
			return &scratch;
		}
		d->out->v = grown;
		d->cap = cap;
	}
	struct diff_row *r = &d->out->v[d->out->n++];
	*r = (struct diff_row){.part = p, .kind = k};
	return r;
}

/* One changed number of a thing that is on both sides. */
static void field(struct diff *d, enum diff_part p, const char *what, const char *name, uint64_t before, uint64_t after)
{
	if (before == after)
		return;
	struct diff_row *r = new_row(d, p, DIFF_CHANGED);
	snprintf(r->what, sizeof(r->what), "%.50s %s", what, name);
	snprintf(r->before, sizeof(r->before), "0x%llx", (unsigned long long)before);
	snprintf(r->after, sizeof(r->after), "0x%llx", (unsigned long long)after);
}

/* Walk two sorted arrays at once. each(d, i, j) gets equal entries, or one side only with the other SIZE_MAX. */
#define NONE SIZE_MAX
static void merge(struct diff *d, size_t na, size_t nb, int (*cmp)(const struct diff *d, size_t i, size_t j),
		  void (*each)(struct diff *d, size_t i, size_t j))
{
	size_t i = 0, j = 0;

	while (i < na || j < nb) {
		int c = i == na ? 1 : j == nb ? -1 : cmp(d, i, j);
		each(d, c <= 0 ? i : NONE, c >= 0 ? j : NONE);
		i += c <= 0;
		j += c >= 0;
	}
}

static enum diff_kind kind_of(size_t i, size_t j)
{
	return i == NONE ? DIFF_ADDED : j == NONE ? DIFF_REMOVED : DIFF_CHANGED;
}

static int order(uint64_t x, uint64_t y)
{
	return x < y ? -1 : x > y;
}

/* ---- slots */

static int slot_order(const struct diff *d, size_t i, size_t j)
{
	const struct slot_info *a = &d->a->slots[i], *b = &d->b->slots[j];

	return a->as != b->as ? order(a->as, b->as) : order(a->id, b->id);
}

static void slot_text(char *buf, size_t size, const struct slot_info *s)
{
	snprintf(buf, size, "gpa 0x%llx size 0x%llx flags 0x%x, visible %s", (unsigned long long)s->gpa,
		 (unsigned long long)s->size, s->flags, slot_vis_name(s->vis));
}

static void slot_each(struct diff *d, size_t i, size_t j)
{
	const struct slot_info *a = i == NONE ? NULL : &d->a->slots[i], *b = j == NONE ? NULL : &d->b->slots[j];
	const struct slot_info *s = a ? a : b;
	char what[40];

	snprintf(what, sizeof(what), s->as ? "slot %u of address space %u" : "slot %u", s->id, s->as);
	if (a && b) {
		field(d, DIFF_SLOT, what, "gpa", a->gpa, b->gpa);
		field(d, DIFF_SLOT, what, "size", a->size, b->size);
		field(d, DIFF_SLOT, what, "hva", a->hva, b->hva);
		field(d, DIFF_SLOT, what, "flags", a->flags, b->flags);
		field(d, DIFF_SLOT, what, "visibility", a->vis, b->vis);
		return;
	}
	struct diff_row *r = new_row(d, DIFF_SLOT, kind_of(i, j));
	snprintf(r->what, sizeof(r->what), "%s", what);
	slot_text(a ? r->before : r->after, sizeof(r->before), s);
}

/* ---- shadow pages */

static int page_order(const struct snap_page *a, const struct snap_page *b)
{
	int c = order(b->level, a->level);

	if (!c)
		c = order(a->gfn, b->gfn);
	return c ? c : order(a->address, b->address);
}

static int shadow_order(const struct diff *d, size_t i, size_t j)
{
	return page_order(&d->a->pages[i], &d->b->pages[j]);
}

static void page_name(char *buf, size_t size, const struct snap_page *p)
{
	snprintf(buf, size, "gfn 0x%llx level %u%s%s", (unsigned long long)p->gfn, p->level,
		 p->tdp	     ? " tdp"
		 : p->direct ? " direct"
			     : "",
		 p->smm ? " smm" : "");
}

/* Behind a row's name: whose the gfn is, where it is not the guest's. */
static void add_owner(struct diff_row *r, const struct snap *s, uint64_t gfn)
{
	const struct slot_info_list own = {s->own, s->n_own};
	const char *owner = slot_info_owner(&own, gfn);
	size_t len = strlen(r->what);

	if (owner)
		snprintf(r->what + len, sizeof(r->what) - len, ", %s", owner);
}

static void page_text(char *buf, size_t size, const struct snap_page *p)
{
	snprintf(buf, size, "%u spte%s, %u mmio, access %s%s%s, %s %u%s%s", p->sptes, p->sptes == 1 ? "" : "s",
		 p->mmio_sptes, p->access & 4 ? "u" : "-", p->access & 2 ? "w" : "-", p->access & 1 ? "x" : "-",
		 p->tdp ? "references" : "roots", p->roots, p->unsync ? ", unsync" : "", p->invalid ? ", invalid" : "");
}

static void shadow_each(struct diff *d, size_t i, size_t j)
{
	const struct snap_page *a = i == NONE ? NULL : &d->a->pages[i], *b = j == NONE ? NULL : &d->b->pages[j];
	char before[120] = "", after[120] = "";

	if (a)
		page_text(before, sizeof(before), a);
	if (b)
		page_text(after, sizeof(after), b);
	if (a && b && strcmp(before, after) == 0)
		return;
	struct diff_row *r = new_row(d, DIFF_SHADOW, kind_of(i, j));
	page_name(r->what, sizeof(r->what), a ? a : b);
	memcpy(r->before, before, sizeof(before));
	memcpy(r->after, after, sizeof(after));
	if (!(a ? a : b)->direct)
		add_owner(r, a ? d->a : d->b, (a ? a : b)->gfn);
}

/* ---- sptes */

static int spte_order(const struct diff *d, size_t i, size_t j)
{
	const struct snap_spte *a = &d->a->sptes[i], *b = &d->b->sptes[j];
	int c = page_order(&d->a->pages[a->page], &d->b->pages[b->page]);

	return c ? c : order(a->index, b->index);
}

static void spte_text(char *buf, size_t size, const struct snap_spte *s)
{
	if (s->mmio)
		snprintf(buf, size, "0x%llx (MMIO)", (unsigned long long)s->spte);
	else
		snprintf(buf, size, "0x%llx (pfn 0x%llx)", (unsigned long long)s->spte,
			 (unsigned long long)((s->spte & 0x000ffffffffff000ull) >> PAGE_SHIFT));
}

/* Of a leaf under tables by gpa, or of one in a table that is not the guest's own. */
static void add_spte_owner(struct diff_row *r, const struct snap *s, const struct snap_spte *spte)
{
	const struct snap_page *p = &s->pages[spte->page];

	if (!p->direct)
		add_owner(r, s, p->gfn);
	else if (p->level == 1 && !spte->mmio)
		add_owner(r, s, p->gfn + spte->index);
}

static void spte_each(struct diff *d, size_t i, size_t j)
{
	const struct snap_spte *a = i == NONE ? NULL : &d->a->sptes[i], *b = j == NONE ? NULL : &d->b->sptes[j];
	char page[48];

	if (a && b && a->spte == b->spte)
		return;
	struct diff_row *r = new_row(d, DIFF_SPTE, kind_of(i, j));
	page_name(page, sizeof(page), a ? &d->a->pages[a->page] : &d->b->pages[b->page]);
	snprintf(r->what, sizeof(r->what), "%s index %u", page, (a ? a : b)->index);
	if (a)
		spte_text(r->before, sizeof(r->before), a);
	if (b)
		spte_text(r->after, sizeof(r->after), b);
	add_spte_owner(r, a ? d->a : d->b, a ? a : b);
}

/* ---- reverse maps */

static int rmap_order(const struct diff *d, size_t i, size_t j)
{
	const struct snap_rmap *a = &d->a->rmaps[i], *b = &d->b->rmaps[j];
	int c = order(a->as, b->as);

	if (!c)
		c = order(a->slot, b->slot);
	if (!c)
		c = order(a->level, b->level);
	return c ? c : order(a->gfn, b->gfn);
}

static bool same_chain(const struct diff *d, const struct snap_rmap *a, const struct snap_rmap *b)
{
	return a->n == b->n && memcmp(d->a->sptep + a->first, d->b->sptep + b->first, a->n * sizeof(uint64_t)) == 0;
}

static void rmap_text(char *buf, size_t size, const struct snap *s, const struct snap_rmap *r)
{
	size_t len = (size_t)snprintf(buf, size, "%u spte%s", r->n, r->n == 1 ? "" : "s");

	for (uint32_t i = 0; i < r->n && i < 3; i++)
		len += (size_t)snprintf(buf + len, size - len, "%s0x%llx", i ? " " : ": ",
					(unsigned long long)s->sptep[r->first + i]);
	if (r->n > 3)
		snprintf(buf + len, size - len, " …");
}

static void rmap_each(struct diff *d, size_t i, size_t j)
{
	const struct snap_rmap *a = i == NONE ? NULL : &d->a->rmaps[i], *b = j == NONE ? NULL : &d->b->rmaps[j];
	const struct snap_rmap *r = a ? a : b;

	if (a && b && same_chain(d, a, b))
		return;
	struct diff_row *row = new_row(d, DIFF_RMAP, kind_of(i, j));
	snprintf(row->what, sizeof(row->what),
		 r->as ? "gfn 0x%llx level %u slot %u of address space %u" : "gfn 0x%llx level %u slot %u",
		 (unsigned long long)r->gfn, r->level, r->slot, r->as);
	if (a)
		rmap_text(row->before, sizeof(row->before), d->a, a);
	if (b)
		rmap_text(row->after, sizeof(row->after), d->b, b);
	add_owner(row, a ? d->a : d->b, r->gfn);
}

/* ---- MMIO caches */

static void diff_mmio(struct diff *d)
{
	for (size_t i = 0; i < d->a->n_mmio && i < d->b->n_mmio; i++) {
		const struct mmio_info *a = &d->a->mmio[i], *b = &d->b->mmio[i];
		char what[24];
		snprintf(what, sizeof(what), "vcpu %u", a->vcpu);
		field(d, DIFF_MMIO, what, "gva", a->gva, b->gva);
		field(d, DIFF_MMIO, what, "gfn", a->gfn, b->gfn);
		field(d, DIFF_MMIO, what, "access", a->access, b->access);
		field(d, DIFF_MMIO, what, "generation", a->generation, b->generation);
		field(d, DIFF_MMIO, what, "current_generation", a->current_generation, b->current_generation);
		field(d, DIFF_MMIO, what, "valid", a->valid, b->valid);
		field(d, DIFF_MMIO, what, "stale", a->stale, b->stale);
	}
}

/* ---- registers */

static void wide_text(char *buf, size_t size, const uint8_t *bytes, size_t n)
{
	size_t len = (size_t)snprintf(buf, size, "0x");

	while (n--)
		len += (size_t)snprintf(buf + len, size - len, "%02x", bytes[n]);
}

/* One register of the table; partial ones (eax, al) follow from the whole and are left out, and so is the clock. */
static void diff_reg(struct diff *d, const char *vcpu, const struct reg_name *reg, const struct regs *a,
		     const struct regs *b)
{
	size_t n = 0;
	const uint8_t *x = reg_bytes(a, reg, &n), *y = reg_bytes(b, reg, &n);

	if (strcmp(reg->name, "tsc") == 0 || !(a->valid & b->valid & reg->part))
		return;
	if (!x) {
		field(d, DIFF_REG, vcpu, reg->name, reg_get(a, reg), reg_get(b, reg));
		return;
	}
	if (memcmp(x, y, n) == 0)
		return;
	struct diff_row *r = new_row(d, DIFF_REG, DIFF_CHANGED);
	snprintf(r->what, sizeof(r->what), "%s %s", vcpu, reg->name);
	wide_text(r->before, sizeof(r->before), x, n);
	wide_text(r->after, sizeof(r->after), y, n);
}

/* What has no name of its own. */
static void diff_events(struct diff *d, const char *vcpu, const struct regs *a, const struct regs *b)
{
	if (a->valid & b->valid & REGS_SYS) {
		field(d, DIFF_REG, vcpu, "smm", a->smm, b->smm);
		field(d, DIFF_REG, vcpu, "nested", a->nested.in, b->nested.in);
	}
	if (!(a->valid & b->valid & REGS_EVENTS))
		return;
	field(d, DIFF_REG, vcpu, "halted", a->halted, b->halted);
	field(d, DIFF_REG, vcpu, "sti_shadow", a->sti_shadow, b->sti_shadow);
	field(d, DIFF_REG, vcpu, "mov_ss_shadow", a->mov_ss_shadow, b->mov_ss_shadow);
	field(d, DIFF_REG, vcpu, "nmi_masked", a->nmi_masked, b->nmi_masked);
	field(d, DIFF_REG, vcpu, "exception_pending", a->exception_pending, b->exception_pending);
	if (!a->exception_pending || !b->exception_pending)
		return;
	field(d, DIFF_REG, vcpu, "exception_vector", a->exception_vector, b->exception_vector);
	field(d, DIFF_REG, vcpu, "exception_error", a->exception_error, b->exception_error);
}

static bool is_partial(const struct reg_name *reg)
{
	return strcmp(reg->group, "part") == 0;
}

static void diff_regs(struct diff *d)
{
	size_t n;
	const struct reg_name *names = reg_names(&n);

	for (size_t i = 0; i < d->a->n_regs && i < d->b->n_regs; i++) {
		char vcpu[24];
		snprintf(vcpu, sizeof(vcpu), "vcpu %u", (unsigned)i);
		for (size_t k = 0; k < n; k++)
			if (!is_partial(&names[k]))
				diff_reg(d, vcpu, &names[k], &d->a->regs[i], &d->b->regs[i]);
		diff_events(d, vcpu, &d->a->regs[i], &d->b->regs[i]);
	}
}

/* ---- memory */

static int mem_order(const struct diff *d, size_t i, size_t j)
{
	const struct snap_mem *a = &d->a->mem[i], *b = &d->b->mem[j];

	return a->smm != b->smm ? order(a->smm, b->smm) : order(a->gfn, b->gfn);
}

static void mem_each(struct diff *d, size_t i, size_t j)
{
	const struct snap_mem *a = i == NONE ? NULL : &d->a->mem[i], *b = j == NONE ? NULL : &d->b->mem[j];

	if (a && b && a->hash == b->hash)
		return;
	struct diff_row *r = new_row(d, DIFF_MEMORY, kind_of(i, j));
	snprintf(r->what, sizeof(r->what), "gfn 0x%llx%s", (unsigned long long)(a ? a : b)->gfn,
		 (a ? a : b)->smm ? " in SMRAM" : "");
	if (a)
		snprintf(r->before, sizeof(r->before), "hash %016llx", (unsigned long long)a->hash);
	if (b)
		snprintf(r->after, sizeof(r->after), "hash %016llx", (unsigned long long)b->hash);
}

static bool both_have(const struct snap *a, const struct snap *b, enum diff_part p)
{
	return !snap_missing(a, p) && !snap_missing(b, p);
}

int snap_diff(const struct snap *a, const struct snap *b, struct diff_list *out, struct err *e)
{
	struct diff_list list = {0};
	struct diff d = {.a = a, .b = b, .out = &list};

	merge(&d, a->n_slots, b->n_slots, slot_order, slot_each);
	if (both_have(a, b, DIFF_SHADOW)) {
		merge(&d, a->n_pages, b->n_pages, shadow_order, shadow_each);
		merge(&d, a->n_sptes, b->n_sptes, spte_order, spte_each);
	}
	if (both_have(a, b, DIFF_RMAP))
		merge(&d, a->n_rmaps, b->n_rmaps, rmap_order, rmap_each);
	if (both_have(a, b, DIFF_MMIO))
		diff_mmio(&d);
	if (both_have(a, b, DIFF_REG))
		diff_regs(&d);
	if (both_have(a, b, DIFF_MEMORY))
		merge(&d, a->n_mem, b->n_mem, mem_order, mem_each);
	if (d.failed) {
		diff_list_free(&list);
		return err_nomem(e, "diff");
	}
	*out = list;
	return 0;
}
