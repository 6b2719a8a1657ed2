/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The guest's mappings: one by one (info tlb), folded by rights (info mem), and as a map of its memory (vmmap).
 */
#include "cli/cmd/mmu.h"
#include "cli/session/interrupt.h"
#include "core/board/board.h"
#include "core/stop/where.h"
#include "views/record.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* What answers at a gpa: a slot, a device, or neither. */
struct piece {
	const struct slot *slot;
	const struct board_window *device;
};

/* What the enumeration of the guest's mappings collects. */
struct mappings {
	struct rows rows;
	uint64_t limit;
	struct mapping_flags known;
	/* `info mem`: the range that grows. */
	bool open;
	uint64_t first, last;
	uint8_t rights;
	/* `vmmap`: where it lies, and what is looked for in it. */
	struct call *c;
	struct xlate_env *env;
	struct where w;
	uint64_t gpa;
	struct piece at;
	bool one; /* only the range of wanted */
	uint64_t wanted;
};

/* How an enumeration ended, as a command's error. */
static int enumeration_error(const struct mappings *g, int ret, struct err *e)
{
	const char *name = g->c->cmd->name;
	unsigned long long n = g->rows.n;

	if (ret == -EINTR)
		return err_set(e, ret, "%s" WHY "interrupted after %llu row%s" TRY "a smaller range", name, n,
			       n == 1 ? "" : "s");
	if (ret == -ENODATA)
		return err_set(e, ret,
			       "%s" WHY "a table of the guest cannot be read now, after %llu row%s" TRY
			       "a smaller range, or walk GVA",
			       name, n, n == 1 ? "" : "s");
	return ret == -EPIPE ? ret : err_nomem(e, name);
}

/* What is listed is given to l's page, and spans to its span; then end, unless NULL, adds what is left. */
static int list_tables(struct mappings *g, const struct xlate_env *env, struct paging_listing l,
		       int (*end)(struct mappings *g), struct err *e)
{
	l.arg = g;
	l.poll = interrupt_poll;
	rows_begin(&g->rows, g->c, g->limit);
	int rc = paging_list(&env->pg, &env->mem, &l);
	if (!rc && end)
		rc = end(g);
	if (rc < 0)
		rc = enumeration_error(g, rc, e);
	return rows_end(&g->rows, rc, e);
}

static int list_range(struct mappings *g, struct paging_listing l, int (*end)(struct mappings *g), struct err *e)
{
	struct call *c = g->c;
	struct xlate_env env;
	struct args a;
	_cleanup_hold_ struct machine_hold hold = {NULL};
	int ret = args_init(&a, c, e);

	if (ret || (ret = mmu_limit(&a, &g->limit, e)) || (ret = mmu_range(&a, &l.first, &l.last, e)) ||
	    (ret = machine_look_begin(c->s->d.m, &hold, e)) || (ret = machine_env(c->s->d.m, c->s->vcpu, &env, e)))
		return ret;
	return list_tables(g, &env, l, end, e);
}

static int add_mapping(void *arg, const struct guest_mapping *m)
{
	struct mappings *g = arg;
	int rc = rows_next(&g->rows, m->gva);

	if (!rc)
		rows_add(&g->rows, record_mapping(g->rows.p, m, &g->known));
	return rc;
}

static int add_span(void *arg, const struct guest_span *s)
{
	struct mappings *g = arg;
	int rc = rows_next(&g->rows, s->gva);

	if (!rc)
		rows_add(&g->rows, record_span(g->rows.p, s));
	return rc;
}

int mmu_info_tlb(struct call *c, struct err *e)
{
	struct mappings g = {.c = c};

	return list_range(&g, (struct paging_listing){.page = add_mapping, .span = add_span}, NULL, e);
}

/* Not 0: there is no room for it. */
static int end_range(struct mappings *g)
{
	int rc = g->open ? rows_next(&g->rows, g->first) : 0;

	if (g->open && !rc)
		rows_add(&g->rows, record_range(g->rows.p, g->first, g->last, g->rights));
	g->open = false;
	return rc;
}

/* Neighbours with the same rights are one range. */
static int fold(struct mappings *g, uint64_t first, uint64_t last, uint8_t rights)
{
	const uint8_t mask = ACCESS_WRITE | ACCESS_FETCH | ACCESS_USER;

	if (!g->open || first != g->last + 1 || (rights & mask) != g->rights) {
		int rc = end_range(g);
		if (rc)
			return rc;
		g->open = true;
		g->first = first;
		g->rights = rights & mask;
	}
	g->last = last;
	return 0;
}

static int fold_mapping(void *arg, const struct guest_mapping *m)
{
	return fold(arg, m->gva, m->gva + (m->page_size - 1), m->rights);
}

static int fold_span(void *arg, const struct guest_span *s)
{
	struct mappings *g = arg;

	if (s->kind == SPAN_FOLDED)
		return fold(g, s->gva, s->last, s->rights);
	int rc = end_range(g);
	return rc ? rc : add_span(g, s);
}

int mmu_info_mem(struct call *c, struct err *e)
{
	struct mappings g = {.c = c};

	return list_range(&g, (struct paging_listing){.page = fold_mapping, .span = fold_span, .fold = true}, end_range, e);
}

/* ---- vmmap */

#define SYMBOLS_SHOWN 4

/* The first slot that begins above gpa; its base, or the end of the address space. */
static uint64_t next_slot(const struct slot_view *v, uint64_t gpa)
{
	size_t from = 0, to = v->n; /* base[] descends: those before `from` are above gpa */

	while (from < to) {
		size_t mid = from + (to - from) / 2;
		if (v->base[mid] > gpa)
			from = mid + 1;
		else
			to = mid;
	}
	return from ? v->base[from - 1] : UINT64_MAX;
}

/* Where no slot is: the device at gpa, and where it, or what is nobody's, ends. */
static uint64_t device_end(const struct mappings *g, uint64_t gpa, const struct board_window **device)
{
	const struct board *b = machine_board(g->c->s->d.m);
	uint64_t end = UINT64_MAX;

	*device = NULL;
	for (unsigned i = 0; i < b->n_windows; i++) {
		const struct board_window *w = &b->window[i];
		if (gpa - w->gpa < w->size) {
			*device = w;
			return w->gpa + w->size;
		}
		if (w->gpa > gpa && w->gpa < end)
			end = w->gpa;
	}
	return end;
}

/* What answers at gpa, and for how many of size bytes. */
static uint64_t find_piece(const struct mappings *g, uint64_t gpa, uint64_t size, struct piece *p)
{
	struct slot_table *t = g->env->slots;
	uint64_t left;

	*p = (struct piece){.slot = slot_lookup(t, gpa, g->env->smm, NULL)};
	if (p->slot) {
		left = p->slot->gpa + p->slot->size - gpa;
	} else {
		uint64_t end = device_end(g, gpa, &p->device), slot = next_slot(&t->view[g->env->smm], gpa);
		left = (end < slot ? end : slot) - gpa;
	}
	return left < size ? left : size;
}

static bool meets(const struct mappings *g, uint64_t gva)
{
	return gva - g->first <= g->last - g->first;
}

static struct value what_lies_in(struct mappings *g)
{
	const struct regs *r = &g->w.r;
	uint64_t cr3 = g->env->pg.cr3 & 0x000ffffffffff000, size = g->last - g->first;
	const struct {
		bool yes;
		const char *word;
	} of[] = {{meets(g, g->w.pc), "code"},
		  {meets(g, g->w.sp), "stack"},
		  {r->gdt.limit && meets(g, r->gdt.base), "gdt"},
		  {r->idt.limit && meets(g, r->idt.base), "idt"},
		  {g->env->pg.mode != PAGING_NONE && g->at.slot && cr3 - g->gpa <= size, "tables"}};
	struct value list = v_list(g->rows.p, 4);

	for (size_t i = 0; i < ARRAY_LEN(of); i++)
		if (of[i].yes)
			v_push(g->rows.p, &list, v_lit(of[i].word));
	return list;
}

/* The names of the first few symbols in it; *n of all. */
static struct value symbols_in(struct mappings *g, int64_t *n)
{
	const struct symbols *t = &g->c->s->d.syms;
	struct value list = v_list(g->rows.p, SYMBOLS_SHOWN);
	size_t from = 0, to = t->n;

	while (from < to) {
		size_t mid = from + (to - from) / 2;
		if (t->v[mid].addr < g->first)
			from = mid + 1;
		else
			to = mid;
	}
	for (*n = 0; from < t->n && meets(g, t->v[from].addr); from++, ++*n)
		if (*n < SYMBOLS_SHOWN)
			v_push(g->rows.p, &list, v_str(g->rows.p, t->v[from].name));
	return list;
}

static void push_map_range(struct mappings *g)
{
	struct value d = v_dict(g->rows.p, 10);
	int64_t n;

	v_put(g->rows.p, &d, "start", v_hex(g->first));
	v_put(g->rows.p, &d, "end", v_hex(g->last + 1));
	v_put(g->rows.p, &d, "size", v_int((int64_t)(g->last - g->first + 1)));
	v_put(g->rows.p, &d, "rights", record_rights(g->rows.p, g->rights));
	v_put(g->rows.p, &d, "gpa", v_hex(g->gpa));
	v_put(g->rows.p, &d, "slot", g->at.slot ? v_int(g->at.slot->id) : v_null());
	if (g->at.slot)
		v_put(g->rows.p, &d, "slot_flags", record_flags(g->rows.p, g->at.slot->flags));
	if (g->at.device)
		v_put(g->rows.p, &d, "device", v_str(g->rows.p, g->at.device->name));
	v_put(g->rows.p, &d, "what", what_lies_in(g));
	v_put(g->rows.p, &d, "symbols", symbols_in(g, &n));
	v_put(g->rows.p, &d, "n_symbols", v_int(n));
	rows_add(&g->rows, d);
}

/* 1: it was the one that was asked for, or there is no room for it. */
static int end_map_range(struct mappings *g)
{
	bool somebody = g->env->pg.mode != PAGING_NONE || g->at.slot || g->at.device;
	bool wanted = g->open && (g->one ? meets(g, g->wanted) : somebody);

	g->open = false;
	int rc = wanted ? rows_next(&g->rows, g->first) : 0;
	if (wanted && !rc)
		push_map_range(g);
	return rc ? rc : wanted && g->one;
}

static int add_piece(struct mappings *g, uint64_t gva, uint64_t gpa, uint64_t size, uint8_t rights, const struct piece *at)
{
	bool goes_on = g->open && gva == g->last + 1 && gva && rights == g->rights && at->slot == g->at.slot &&
		       at->device == g->at.device && gpa == g->gpa + (gva - g->first);
	int rc = goes_on ? 0 : end_map_range(g);

	if (rc)
		return rc;
	if (!goes_on) {
		g->open = true;
		g->first = gva;
		g->gpa = gpa;
		g->rights = rights;
		g->at = *at;
	}
	g->last = gva + (size - 1);
	return 0;
}

/* A large page may lie over several slots. */
static int map_mapping(void *arg, const struct guest_mapping *m)
{
	struct mappings *g = arg;
	int rc = 0;

	for (uint64_t at = 0; at < m->page_size && !rc;) {
		struct piece p;
		uint64_t size = find_piece(g, m->gpa + at, m->page_size - at, &p);
		rc = add_piece(g, m->gva + at, m->gpa + at, size, m->rights & (ACCESS_WRITE | ACCESS_FETCH | ACCESS_USER),
			       &p);
		at += size;
	}
	return rc;
}

/* Without paging a linear address is a physical one: what nobody answers is no row then. */
static int map_unpaged(struct mappings *g)
{
	const struct guest_mapping all = {.page_size = 1ull << 32, .rights = ACCESS_WRITE | ACCESS_FETCH | ACCESS_USER};

	return map_mapping(g, &all);
}

/* The page that a gva lies in. */
static bool page_at(const struct mappings *g, uint64_t gva, struct guest_mapping *m)
{
	struct paging pg = xlate_debug_paging(g->env);
	struct walk w;

	paging_walk(&pg, &g->env->mem, gva, ACCESS_READ, false, &w);
	if (w.fault.present)
		return false;
	*m = (struct guest_mapping){.gva = gva & ~(w.page_size - 1),
				    .gpa = w.gpa & ~(w.page_size - 1),
				    .page_size = w.page_size,
				    .rights = w.rights & (ACCESS_WRITE | ACCESS_FETCH | ACCESS_USER)};
	return true;
}

static bool lies_before(const struct guest_mapping *a, const struct guest_mapping *b)
{
	return a->gpa + a->page_size == b->gpa && a->rights == b->rights;
}

/* The range of one address, page by page to both sides: pages that lie one behind the other in guest physical memory are no
 * more than its tables have entries, whatever the tables are. */
static int map_one(struct mappings *g)
{
	struct guest_mapping m, before;
	int rc = 0;

	if (!page_at(g, g->wanted, &m))
		return 0;
	while (!rc && m.gva && page_at(g, m.gva - 1, &before) && lies_before(&before, &m)) {
		m = before;
		rc = interrupt_poll(NULL);
	}
	while (!rc) {
		rc = map_mapping(g, &m);
		if (!rc)
			rc = interrupt_poll(NULL);
		if (!(m.gva + m.page_size) || !page_at(g, m.gva + m.page_size, &m))
			break;
	}
	return rc;
}

/* Tables that were gone through before, or have no end. */
static int map_span(void *arg, const struct guest_span *s)
{
	struct mappings *g = arg;
	int rc = end_map_range(g);
	struct value d;

	rc = rc ? rc : rows_next(&g->rows, s->gva);
	if (rc)
		return rc;
	d = v_dict(g->rows.p, 12);
	v_put(g->rows.p, &d, "start", v_hex(s->gva));
	v_put(g->rows.p, &d, "end", v_hex(s->last + 1));
	v_put(g->rows.p, &d, "size", v_int((int64_t)(s->last - s->gva + 1)));
	v_put(g->rows.p, &d, "rights", record_rights(g->rows.p, s->rights));
	v_put(g->rows.p, &d, "gpa", v_null());
	v_put(g->rows.p, &d, "slot", v_null());
	v_put(g->rows.p, &d, "what", v_list(g->rows.p, 0));
	v_put(g->rows.p, &d, "symbols", v_list(g->rows.p, 0));
	v_put(g->rows.p, &d, "n_symbols", v_int(0));
	record_span_table(g->rows.p, &d, s);
	rows_add(&g->rows, d);
	return 0;
}

static int map_all(struct mappings *g)
{
	const struct paging_listing l = {
	    .last = UINT64_MAX, .page = map_mapping, .span = map_span, .arg = g, .poll = interrupt_poll};

	if (g->env->pg.mode == PAGING_NONE)
		return map_unpaged(g);
	return g->one ? map_one(g) : paging_list(&g->env->pg, &g->env->mem, &l);
}

static int vmmap(struct mappings *g, struct err *e)
{
	int rc;

	rows_begin(&g->rows, g->c, g->limit);
	rc = map_all(g);
	if (!rc)
		rc = end_map_range(g);
	if (rc < 0)
		rc = enumeration_error(g, rc, e);
	else if (g->one && !g->rows.n)
		rc = err_set_at(e, -EFAULT, ERR_SPACE_GVA, g->wanted,
				"vmmap 0x%llx" WHY "the guest's tables map nothing there" TRY "walk 0x%llx",
				(unsigned long long)g->wanted, (unsigned long long)g->wanted);
	return rows_end(&g->rows, rc, e);
}

int mmu_vmmap(struct call *c, struct err *e)
{
	_cleanup_hold_ struct machine_hold hold = {NULL};
	struct mappings g = {.c = c};
	struct xlate_env env;
	struct args a;
	int rc = args_init(&a, c, e);

	g.env = &env;
	if (!rc)
		rc = mmu_limit(&a, &g.limit, e);
	g.one = !rc && args_more(&a);
	if (g.one)
		rc = args_addr(&a, "A", &g.wanted, e);
	if (!rc)
		rc = args_end(&a, e);
	if (!rc)
		rc = machine_look_begin(c->s->d.m, &hold, e);
	if (!rc)
		rc = where_get(c->s->d.m, c->s->vcpu, &g.w, e);
	if (!rc)
		rc = machine_env(c->s->d.m, c->s->vcpu, &env, e);
	if (!rc)
		rc = vmmap(&g, e);
	return rc;
}
