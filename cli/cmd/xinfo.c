/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * xinfo: what is known of one address. The layers are walk's (cli/cmd/walk.h); here stands what walk does not ask: what the
 * address is called, who else maps its page, whether it is logged as dirty, what of the vCPU's lies there.
 */
#include <errno.h>

#include "cli/cmd/look.h"
#include "cli/cmd/mmu.h"
#include "cli/cmd/walk.h"
#include "core/board/board.h"
#include "core/stop/where.h"
#include "views/record.h"

struct xinfo {
	struct call *c;
	struct machine *m;
	uint64_t gva, gpa;
	bool has_gpa;
	const struct slot *slot; /* NULL for none */
	struct value *d;
};

static void put(struct xinfo *x, const char *key, struct value v)
{
	v_put(x->c->pool, x->d, key, v);
}

static void put_name(struct xinfo *x)
{
	char sym[128];

	if (*symbols_format(&x->c->s->d.syms, x->gva, sym, sizeof(sym)))
		put(x, "symbol", v_str(x->c->pool, sym));
}

static bool within(uint64_t gva, const struct desc_table *t)
{
	return t->limit && gva - t->base <= t->limit;
}

static void put_part_of(struct xinfo *x)
{
	struct value list = v_list(x->c->pool, 4);
	struct where w;

	if (where_get(x->m, x->c->s->vcpu, &w, NULL))
		return;
	const struct {
		bool yes;
		const char *word;
	} of[] = {{(x->gva ^ w.pc) >> PAGE_SHIFT == 0, "code"},
		  {(x->gva ^ w.sp) >> PAGE_SHIFT == 0, "stack"},
		  {within(x->gva, &w.r.gdt), "gdt"},
		  {within(x->gva, &w.r.idt), "idt"}};
	for (size_t i = 0; i < ARRAY_LEN(of); i++)
		if (of[i].yes)
			v_push(x->c->pool, &list, v_lit(of[i].word));
	put(x, "part_of", list);
}

static void put_device(struct xinfo *x)
{
	struct board_window *dev = x->has_gpa && !x->slot ? board_window_at(machine_board(x->m), x->gpa) : NULL;

	if (dev)
		put(x, "device", v_str(x->c->pool, dev->name));
}

/* The gva at which an spte maps this page, if that follows from the tables and is another one. */
static bool alias_of(const struct xinfo *x, const struct spte_info *s, uint64_t *gva)
{
	if (!s->gva_known)
		return false;
	*gva = s->gva + (s->gfn_known ? (x->gpa & ~PAGE_OFFSET_MASK) - (s->gfn << PAGE_SHIFT) : 0);
	return *gva != (x->gva & ~PAGE_OFFSET_MASK);
}

static void put_rmap(struct xinfo *x)
{
	struct pool *p = x->c->pool;
	struct rmap_list rmaps = {0};
	struct value aliases = v_list(p, 4), rmap = v_dict(p, 2);
	struct err e = {0};
	int64_t n = 0;

	if (machine_rmap(x->m, x->gpa >> PAGE_SHIFT, &rmaps, &e)) {
		put(x, "rmap", v_na(x->c->pool, err_reason(&e)));
		return;
	}
	for (size_t i = 0; i < rmaps.n; i++)
		for (size_t j = 0; j < rmaps.v[i].n_sptes; j++, n++) {
			uint64_t gva;
			if (alias_of(x, &rmaps.v[i].sptes[j], &gva))
				v_push(p, &aliases, v_hex(gva));
		}
	rmap_list_free(&rmaps);
	if (!n && mmu_without_rmaps(x->c)) {
		put(x, "rmap", v_na(p, "TDP keeps none"));
		return;
	}
	v_put(p, &rmap, "gfn", v_hex(x->gpa >> PAGE_SHIFT));
	v_put(p, &rmap, "sptes", v_int(n));
	put(x, "rmap", rmap);
	put(x, "aliases", aliases);
}

static void put_dirty(struct xinfo *x)
{
	uint64_t page = (x->gpa - x->slot->gpa) >> PAGE_SHIFT, *bits;
	struct err e = {0};
	size_t n;

	if (!(x->slot->flags & SLOT_LOG_DIRTY))
		return;
	if (machine_slot_dirty(x->m, x->slot->id, false, &bits, &n, &e)) {
		put(x, "dirty", v_na(x->c->pool, err_reason(&e)));
		return;
	}
	put(x, "dirty", v_bool(page / 64 < n && bits[page / 64] >> page % 64 & 1));
	free(bits);
}

static void find_slot(struct xinfo *x)
{
	const struct value *gpa = v_get(x->d, "gpa"), *slot = v_get(x->d, "slot");

	x->has_gpa = gpa && gpa->type == VALUE_HEX;
	x->gpa = x->has_gpa ? gpa->hex : 0;
	x->slot = slot && slot->type == VALUE_INT ? slot_by_id(machine_slots(x->m), (uint32_t)slot->num) : NULL;
}

int cmd_xinfo(struct call *c, struct err *e)
{
	_cleanup_hold_ struct machine_hold hold = {NULL};
	struct xinfo x = {.c = c, .m = c->s->d.m, .d = &c->result};
	struct args a;
	int rc = args_init(&a, c, e);

	if (!rc)
		rc = args_addr(&a, "A", &x.gva, e);
	if (!rc)
		rc = args_end(&a, e);
	if (!rc)
		rc = machine_look_begin(x.m, &hold, e);
	if (!rc)
		rc = walk_address(x.m, c->s->vcpu, x.gva, ACCESS_READ | WALK_DEBUGGER, c->pool, &c->result, e);
	if (rc)
		return rc;
	find_slot(&x);
	put_name(&x);
	put_part_of(&x);
	put_device(&x);
	if (x.slot) {
		put_rmap(&x);
		put_dirty(&x);
	}
	return 0;
}
