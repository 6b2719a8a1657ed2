/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Catchpoints: which of them an event belongs to, and what the machine is told to watch out for on behalf of all of them.
 */
#include <errno.h>

#include "core/debug/control.h"

/* The catch event behind a reason; 0 for faults. False where the reason is none that catchpoints are about. */
static bool event_of(enum stop_reason r, uint32_t *event)
{
	switch (r) {
	case STOP_FAULT_STAGE:
		*event = 0;
		return true;
	case STOP_EXCEPTION:
		*event = CATCH_EXCEPTION;
		return true;
	case STOP_MMIO:
		*event = CATCH_MMIO;
		return true;
	case STOP_PIO:
		*event = CATCH_PIO;
		return true;
	case STOP_SMI:
	case STOP_RSM:
		*event = CATCH_SMI;
		return true;
	case STOP_MODE:
		*event = CATCH_MODE;
		return true;
	case STOP_SLOT:
		*event = CATCH_SLOT;
		return true;
	case STOP_MMU:
		*event = CATCH_MMU;
		return true;
	default:
		return false;
	}
}

static bool in_arg(const struct bp *b, uint64_t first, uint64_t last)
{
	return !b->has_arg || (first <= b->arg_last && last >= b->arg_first);
}

static bool mode_matches(struct debugger *d, const struct bp *b, const struct stop *s)
{
	struct regs r;

	if (b->has_arg && (b->arg_first == CATCH_MODE_CPL) != s->cpl_only)
		return false;
	if (!b->has_arg || s->cpl_only || machine_get_regs(d->m, s->vcpu, REGS_GPR | REGS_SYS, &r, NULL))
		return true;
	return in_arg(b, regs_mode(&r), regs_mode(&r));
}

/* Does the walk of the fault's address read a table that was asked for, or come to a page that was? A walk begins long
 * before its stages are those. Rights are not asked: what reads as a user is not refused by SMAP. */
static bool walk_meets(struct debugger *d, const struct fault_filter *f, const struct stop *s)
{
	static const unsigned access[] = {ACCESS_READ | ACCESS_USER, ACCESS_READ};
	struct xlate_env env;
	struct walk w;

	if (!s->gva || machine_env(d->m, s->vcpu, &env, NULL))
		return false;
	for (unsigned k = 0; k < ARRAY_LEN(access); k++) {
		paging_walk(&env.pg, &env.mem, s->gva, access[k], false, &w);
		for (unsigned i = 0; i < w.n; i++)
			if (w.step[i].gpa >> PAGE_SHIFT >= f->first && w.step[i].gpa >> PAGE_SHIFT <= f->last)
				return true;
		if (!w.fault.present)
			return w.gpa >> PAGE_SHIFT >= f->first && w.gpa >> PAGE_SHIFT <= f->last;
	}
	return false;
}

static bool fault_matches(struct debugger *d, const struct bp *b, const struct stop *s)
{
	uint64_t page = (b->fault.gva ? s->gva : s->gpa) >> PAGE_SHIFT;

	if (b->fault.all)
		return true;
	if (b->fault.gva)
		return page >= b->fault.first >> PAGE_SHIFT && page <= b->fault.last >> PAGE_SHIFT;
	return (page >= b->fault.first && page <= b->fault.last) ||
	       (s->has_fault_gfn && s->fault_gfn >= b->fault.first && s->fault_gfn <= b->fault.last) ||
	       walk_meets(d, &b->fault, s);
}

static bool catch_matches(struct debugger *d, const struct bp *b, const struct stop *s)
{
	switch (s->reason) {
	case STOP_FAULT_STAGE:
		return fault_matches(d, b, s);
	case STOP_EXCEPTION:
		return in_arg(b, s->vector, s->vector);
	case STOP_MMIO:
		return in_arg(b, s->gpa, s->gpa + (s->len ? s->len - 1 : 0));
	case STOP_PIO:
		return in_arg(b, s->port, s->port);
	case STOP_MODE:
		return mode_matches(d, b, s);
	case STOP_SLOT:
		return in_arg(b, (uint64_t)s->slot, (uint64_t)s->slot);
	default:
		return true;
	}
}

/* An exception whose vector the guest's own IDT has an entry for: without a catchpoint it is the guest's affair. */
static bool guest_handles(struct debugger *d, const struct stop *s)
{
	struct regs r;

	if (s->reason != STOP_EXCEPTION || machine_get_regs(d->m, s->vcpu, REGS_GPR | REGS_SYS, &r, NULL))
		return false;
	unsigned size = !(r.cr0 & CR0_PE) ? 4 : r.efer & EFER_LMA ? 16 : 8;
	return r.idt.limit >= s->vector * size + size - 1;
}

/* An event stops where one of its catchpoints lets it through, or where there is none that asked for the event at all: then
 * the machine stopped by itself. With a filter that only one of several catch faults has, the machine was told their hull.
 */
static bool event_hit(struct debugger *d, uint32_t event, struct stop *s)
{
	size_t asked = 0;

	for (size_t i = 0; i < d->bps.n; i++)
		asked += d->bps.v[i]->kind == BP_CATCH && d->bps.v[i]->enabled && d->bps.v[i]->event == event;
	bool lone = event == 0 && asked == 1;
	for (size_t i = 0; i < d->bps.n; i++) {
		struct bp *b = d->bps.v[i];
		if (b->kind != BP_CATCH || !b->enabled || b->event != event || !(lone || catch_matches(d, b, s)))
			continue;
		if (!control_passes(d, b, s))
			continue;
		s->breakpoint = b->id;
		return true;
	}
	return !asked || (event == CATCH_EXCEPTION && !guest_handles(d, s));
}

/* ---- what the MMU did */

static bool mmu_wants(const struct bp *b, const struct mmu_event *ev)
{
	return b->kind == BP_CATCH && b->enabled && b->event == CATCH_MMU && mmu_filter_matches(&b->mmu, 1, ev);
}

/* Several things may have happened before the vCPU came out: the first that a catchpoint lets through names the stop, and a
 * catchpoint is asked once. */
static bool mmu_hit(struct debugger *d, struct stop *s)
{
	_cleanup_(mmu_event_list_free) struct mmu_event_list l = {.v = NULL};
	const struct mmu_event only = s->mmu;
	size_t n = 1;

	if (!machine_mmu_events(d->m, &l, NULL) && l.n)
		n = l.n;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < d->bps.n; k++) {
			struct bp *b = d->bps.v[k];
			const struct mmu_event *v = l.n ? l.v : &only;
			size_t first = 0;
			while (first < n && !mmu_wants(b, &v[first]))
				first++;
			if (first != i)
				continue;
			s->mmu = v[i];
			if (control_passes(d, b, s)) {
				s->breakpoint = b->id;
				return true;
			}
		}
	return false;
}

bool control_catch(struct debugger *d, struct stop *s)
{
	uint32_t event;

	if (s->reason == STOP_MMU)
		return mmu_hit(d, s);
	return event_of(s->reason, &event) ? event_hit(d, event, s) : true;
}

/* ---- telling the machine */

static void widen(struct fault_filter *sum, const struct fault_filter *f, bool first)
{
	if (first) {
		*sum = *f;
	} else if (sum->all || f->all || sum->gva != f->gva) {
		*sum = (struct fault_filter){.all = true};
	} else {
		sum->first = f->first < sum->first ? f->first : sum->first;
		sum->last = f->last > sum->last ? f->last : sum->last;
	}
}

/* Arming zaps: what is armed as it should be is left alone when some other catchpoint or breakpoint changes. */
static int apply_faults(struct debugger *d, const struct fault_filter *f, struct err *e)
{
	const struct fault_filter *now = machine_fault_caught(d->m);

	if (f ? now && now->all == f->all && now->gva == f->gva && now->first == f->first && now->last == f->last : !now)
		return 0;
	return machine_fault_catch(d->m, f, e);
}

static int apply_mmu(struct debugger *d, struct err *e)
{
	struct mmu_filter v[MMU_FILTERS_MAX];
	size_t n = 0;

	for (size_t i = 0; i < d->bps.n; i++) {
		const struct bp *b = d->bps.v[i];
		if (b->kind != BP_CATCH || !b->enabled || b->event != CATCH_MMU)
			continue;
		if (n == MMU_FILTERS_MAX)
			return err_set(e, -ENOSPC, "catch mmu" WHY "at most %u can be enabled" TRY "a wider range of gfns",
				       MMU_FILTERS_MAX);
		v[n++] = b->mmu;
	}
	return machine_mmu_catch(d->m, v, n, e);
}

int debug_fault_place(const struct debugger *d, const struct fault_filter *f, struct err *e)
{
	const struct slot_table *t = machine_slots(d->m);
	bool own = false;

	if (f->all || f->gva)
		return 0;
	for (size_t i = 0; i < t->n; i++) {
		const struct slot *s = t->by_gfn[i];
		uint64_t first = s->gpa >> PAGE_SHIFT, last = first + (s->size >> PAGE_SHIFT) - 1;

		if (first > f->last || last < f->first)
			continue;
		if (!s->own)
			return 0;
		own = true;
	}
	if (own)
		return err_set(e, -EPERM, "catch fault %#llx" WHY "the debugger itself built that page" TRY "info slots",
			       (unsigned long long)f->first);
	return err_set(e, -EFAULT,
		       "catch fault %#llx" WHY "no slot has that gfn" TRY "info slots (a gfn is an address >> 12)",
		       (unsigned long long)f->first);
}

int debug_apply_catches(struct debugger *d, struct err *e)
{
	struct fault_filter sum = {0};
	uint32_t events = 0;
	size_t faults = 0;

	for (size_t i = 0; i < d->bps.n; i++) {
		const struct bp *b = d->bps.v[i];
		if (b->kind != BP_CATCH || !b->enabled)
			continue;
		events |= b->event & ~(uint32_t)CATCH_MMU;
		/* Its slot may have gone since. */
		if (!b->event && !debug_fault_place(d, &b->fault, NULL))
			widen(&sum, &b->fault, faults++ == 0);
	}
	int rc = machine_catch(d->m, events, e);
	if (!rc)
		rc = apply_mmu(d, e);
	if (rc)
		return rc;
	return apply_faults(d, faults ? &sum : NULL, e);
}
