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
	struct pool *p;
	struct value list;
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
static int enumerated(struct call *c, const struct mappings *g, int ret, struct err *e)
{
	if (ret == -EINTR)
		return err_set(e, ret, "%s" WHY "interrupted after %u rows" TRY "a smaller range", c->cmd->name, g->list.n);
	if (ret == -ENODATA)
		return err_set(e, ret,
			       "%s" WHY "a table of the guest cannot be read now, after %u rows" TRY
			       "a smaller range, or walk GVA",
			       c->cmd->name, g->list.n);
	if (ret == -E2BIG)
		return err_set(
		    e, ret, "%s" WHY "the guest's tables make more than %u ranges" TRY "%s A, for the range of one address",
		    c->cmd->name, g->list.n, c->cmd->name);
	return ret < 0 ? err_nomem(e, c->cmd->name) : 0;
}

static int enumerate(struct call *c, struct mappings *g, int (*fn)(void *, const struct guest_mapping *), struct err *e)
{
	struct xlate_env env;
	uint64_t first, last;
	struct args a;
	_cleanup_hold_ struct machine_hold hold = {NULL};
	int ret = args_init(&a, c, e);

	if (ret || (ret = mmu_range(&a, &first, &last, e)) || (ret = machine_look_begin(c->s->d.m, &hold, e)) ||
	    (ret = machine_env(c->s->d.m, c->s->vcpu, &env, e)))
		return ret;
	return enumerated(c, g, paging_enumerate(&env.pg, &env.mem, first, last, fn, g, interrupt_poll), e);
}

static int add_mapping(void *arg, const struct guest_mapping *m)
{
	struct mappings *g = arg;

	v_push(g->p, &g->list, record_mapping(g->p, m, &g->known));
	return pool_failed(g->p) ? -ENOMEM : 0;
}

int mmu_info_tlb(struct call *c, struct err *e)
{
	struct mappings g = {.p = c->pool, .list = v_list(c->pool, 64)};
	int ret = enumerate(c, &g, add_mapping, e);

	if (!ret)
		c->result = g.list;
	return ret;
}

static void end_range(struct mappings *g)
{
	if (g->open)
		v_push(g->p, &g->list, record_range(g->p, g->first, g->last, g->rights));
	g->open = false;
}

/* Neighbours with the same rights are one range. */
static int fold_mapping(void *arg, const struct guest_mapping *m)
{
	const uint8_t mask = ACCESS_WRITE | ACCESS_FETCH | ACCESS_USER;
	struct mappings *g = arg;

	if (!g->open || m->gva != g->last + 1 || (m->rights & mask) != g->rights) {
		end_range(g);
		g->open = true;
		g->first = m->gva;
		g->rights = m->rights & mask;
	}
	g->last = m->gva + (m->page_size - 1);
	return pool_failed(g->p) ? -ENOMEM : 0;
}

int mmu_info_mem(struct call *c, struct err *e)
{
	struct mappings g = {.p = c->pool, .list = v_list(c->pool, 16)};
	int ret = enumerate(c, &g, fold_mapping, e);

	if (ret)
		return ret;
	end_range(&g);
	c->result = g.list;
	return 0;
}

/* ---- vmmap */

#define RANGES_MAX 65536
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
	struct value list = v_list(g->p, 4);

	for (size_t i = 0; i < ARRAY_LEN(of); i++)
		if (of[i].yes)
			v_push(g->p, &list, v_lit(of[i].word));
	return list;
}

/* The names of the first few symbols in it; *n of all. */
static struct value symbols_in(struct mappings *g, int64_t *n)
{
	const struct symbols *t = &g->c->s->d.syms;
	struct value list = v_list(g->p, SYMBOLS_SHOWN);
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
			v_push(g->p, &list, v_str(g->p, t->v[from].name));
	return list;
}

static void push_map_range(struct mappings *g)
{
	struct value d = v_dict(g->p, 10);
	int64_t n;

	v_put(g->p, &d, "start", v_hex(g->first));
	v_put(g->p, &d, "end", v_hex(g->last + 1));
	v_put(g->p, &d, "size", v_int((int64_t)(g->last - g->first + 1)));
	v_put(g->p, &d, "rights", record_rights(g->p, g->rights));
	v_put(g->p, &d, "gpa", v_hex(g->gpa));
	v_put(g->p, &d, "slot", g->at.slot ? v_int(g->at.slot->id) : v_null());
	if (g->at.slot)
		v_put(g->p, &d, "slot_flags", record_flags(g->p, g->at.slot->flags));
	if (g->at.device)
		v_put(g->p, &d, "device", v_str(g->p, g->at.device->name));
	v_put(g->p, &d, "what", what_lies_in(g));
	v_put(g->p, &d, "symbols", symbols_in(g, &n));
	v_put(g->p, &d, "n_symbols", v_int(n));
	v_push(g->p, &g->list, d);
}

/* 1: it was the one that was asked for. */
static int end_map_range(struct mappings *g)
{
	bool somebody = g->env->pg.mode != PAGING_NONE || g->at.slot || g->at.device;
	bool wanted = g->open && (g->one ? meets(g, g->wanted) : somebody);

	g->open = false;
	if (wanted && g->list.n >= RANGES_MAX)
		return -E2BIG;
	if (wanted)
		push_map_range(g);
	return wanted && g->one;
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
	return pool_failed(g->p) ? -ENOMEM : 0;
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

static int map_all(struct mappings *g)
{
	const struct paging *pg = &g->env->pg;

	if (pg->mode == PAGING_NONE)
		return map_unpaged(g);
	return g->one ? map_one(g) : paging_enumerate(pg, &g->env->mem, 0, UINT64_MAX, map_mapping, g, interrupt_poll);
}

static int vmmap(struct mappings *g, struct err *e)
{
	int rc = map_all(g);

	if (!rc)
		rc = end_map_range(g);
	rc = enumerated(g->c, g, rc, e);
	if (!rc && g->one && !g->list.n)
		return err_set_at(e, -EFAULT, ERR_SPACE_GVA, g->wanted,
				  "vmmap 0x%llx" WHY "the guest's tables map nothing there" TRY "walk 0x%llx",
				  (unsigned long long)g->wanted, (unsigned long long)g->wanted);
	return rc;
}

int mmu_vmmap(struct call *c, struct err *e)
{
	_cleanup_hold_ struct machine_hold hold = {NULL};
	struct mappings g = {.p = c->pool, .list = v_list(c->pool, 16), .c = c};
	struct xlate_env env;
	struct args a;
	int rc = args_init(&a, c, e);

	g.env = &env;
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
	if (!rc)
		c->result = g.list;
	return rc;
}
