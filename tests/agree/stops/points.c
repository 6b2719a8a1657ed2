/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a guest is stopped at.
 */
#include "tests/agree/stops/stops.h"

static uint64_t code_address(struct s_guest *g)
{
	struct rng *r = &g->rng;
	bool in_sub = rng_percent(r, 35);
	bool hot = g->n_hot && rng_percent(r, 60);
	uint64_t off = hot ? g->hot[rng_below(r, g->n_hot)] : g->insn[rng_below(r, g->n_insns)];
	unsigned k = rng_below(r, 10), last = g->n_subs - 1;

	/* behind a prefix, or amid an instruction */
	if (rng_percent(r, 10))
		off++;
	if (!in_sub)
		return rng_percent(r, 4) ? S_HANDLERS + 16 * rng_below(r, 16) : S_CODE + off;
	off %= g->sub[last].at + g->sub[last].len;
	for (unsigned i = 0; i < g->n_insns && g->insn[i] <= off; i++)
		if (g->insn[i] + 16 > off && rng_percent(r, 80))
			off = g->insn[i];
	if (g->mode->bits == 16 || !s_paged(g))
		return (k < 5 ? S_CODE : S_COPY) + off;
	return (k < 2 ? S_CODE : k < 5 ? S_COPY : k < 7 ? S_ALIAS_CODE : k < 9 ? S_LATE_CODE : S_SWITCH_CODE) + off;
}

static void add_break(struct s_guest *g, struct s_point *p)
{
	p->kind = rng_percent(&g->rng, 25) ? POINT_HBREAK : POINT_BREAK;
	p->temporary = rng_percent(&g->rng, 10);
	p->addr = code_address(g);
	p->len = 1;
}

static void add_watch(struct s_guest *g, struct s_point *p)
{
	static const uint8_t len[] = {1, 2, 4, 8, 8, 3, 16, 64};
	static const uint8_t kind[] = {POINT_WATCH, POINT_WATCH, POINT_RWATCH, POINT_AWATCH};
	struct rng *r = &g->rng;
	unsigned k = rng_below(r, 20);

	p->kind = (enum point_kind)kind[rng_below(r, 4)];
	p->len = len[rng_below(r, 8)];
	p->phys = rng_percent(r, 30);
	p->addr = S_DATA + 0x1fc0 + rng_below(r, 0x80);
	if (k < 3)
		p->addr = S_DATA + rng_below(r, S_DATA_PAGES * 0x1000 - 64);
	else if (k < 5 && !g->one_round) /* kvm tells no frames of exceptions, which go here at CPL 0 */
		p->addr = S_STACK - 0x20 + rng_below(r, 0x20);
	else if (k < 6)
		p->addr = S_CODE + rng_below(r, (unsigned)g->len);
	else if (k < 7)
		p->addr = S_LOOPS + rng_below(r, 4);
	else if (k < 10 && s_paged(g) && g->mode->bits != 16)
		p->addr = p->phys ? S_SWITCH_FRAMES + 0x2000 * rng_below(r, 2) + rng_below(r, 0xf00)
				  : (rng_percent(r, 40)	  ? S_ALIAS_DATA + 0x1fc0
				     : rng_percent(r, 50) ? S_LATE + 0xfe0
							  : S_SWITCH) +
					rng_below(r, 0x80);
	if (rng_percent(r, 50) && !(p->len & (p->len - 1)))
		p->addr &= ~(p->len - 1);
}

static void add_catch(struct s_guest *g, struct s_point *p)
{
	static const uint32_t event[] = {CATCH_MMIO, CATCH_PIO, CATCH_EXCEPTION, CATCH_MODE};
	static const uint8_t vector[] = {0, 1, 3, 6, 13, 14};
	struct rng *r = &g->rng;

	p->kind = POINT_CATCH;
	p->event = event[rng_below(r, 4)];
	if (S_WAITS_KVM_MODE && g->for_kvm && p->event == CATCH_MODE)
		p->event = CATCH_PIO;
	p->has_arg = rng_percent(r, 50);
	if (p->event == CATCH_MMIO) {
		p->first = S_MMIO + rng_below(r, 0x30);
		p->last = p->first + rng_below(r, 16);
	} else if (p->event == CATCH_PIO) {
		p->first = p->last = rng_percent(r, 50) ? 0x80 : 0x71;
	} else if (p->event == CATCH_EXCEPTION) {
		p->first = p->last = vector[rng_below(r, 6)];
	} else {
		p->has_arg = false;
	}
}

/* Ids stay: a point that is left out watches for nothing. */
void s_leave_out(struct s_guest *g, const struct s_less *less)
{
	static const uint32_t copies[] = {S_CODE, S_LATE_FRAMES + 0x2000, S_SWITCH_FRAMES + 0x1000,
					  S_SWITCH_FRAMES + 0x3000};

	for (unsigned i = 0; i < g->n_points; i++)
		if (less->points >> i & 1)
			g->point[i] = (struct s_point){.kind = POINT_BREAK, .addr = 0xfff0};
	for (unsigned i = 0; i + 1 < g->n_insns; i++)
		for (uint32_t at = g->insn[i]; less->insn[i] && at < g->insn[i + 1]; at++)
			for (unsigned k = 0; k < ARRAY_LEN(copies); k++)
				if (!k || at < g->sub[g->n_subs - 1].at + g->sub[g->n_subs - 1].len)
					g->ram[copies[k] + at] = 0x90;
}

#define SHADOW_KINDS (MMU_ALL & ~MMU_TDP) /* alone the others are refused where tables are shadowed */

/* Last of all: what a seed has been before it stays. */
static void add_beside(struct s_guest *g)
{
	struct rng *r = &g->rng;

	g->beside.faults = rng_percent(r, 20);
	g->beside.fault.all = rng_percent(r, 30);
	g->beside.fault.first = rng_below(r, S_RAM >> 12);
	g->beside.fault.last = g->beside.fault.first + rng_below(r, 16);
	g->beside.fault.gva = rng_percent(r, 50);
	if (g->beside.fault.gva) {
		g->beside.fault.first <<= 12;
		g->beside.fault.last = g->beside.fault.last << 12 | 0xfff;
	}
	g->beside.mmu = rng_percent(r, 20);
	g->beside.events = (struct mmu_filter){.kinds = SHADOW_KINDS & (uint32_t)rng_next(r), .last = ~0ull};
	if (!g->beside.events.kinds)
		g->beside.events.kinds = SHADOW_KINDS;
}

void s_points_make(struct s_guest *g)
{
	struct rng *r = &g->rng;
	unsigned n = 1 + rng_below(r, rng_percent(r, 60) ? 6 : S_POINTS_MAX);

	for (g->n_points = 0; g->n_points < n; g->n_points++) {
		struct s_point *p = &g->point[g->n_points];
		unsigned k = rng_below(r, 10);

		*p = (struct s_point){.kind = POINT_BREAK};
		if (k < 4)
			add_break(g, p);
		else if (k < 8)
			add_watch(g, p);
		else
			add_catch(g, p);
		if (rng_percent(r, 15))
			p->ignore = 1 + rng_below(r, 3);
		if (rng_percent(r, 20)) {
			p->modulus = 2 + rng_below(r, 3);
			p->rest = rng_below(r, p->modulus);
		}
	}
	add_beside(g);
}
