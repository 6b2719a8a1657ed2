/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Catchpoints of events: accesses to devices, exceptions, SMM, modes, slots.
 */
#include "core/stop/point_impl.h"
#include "core/stop/why_impl.h"

/* The catch event behind a reason; 0 for faults. False where the reason is none that catchpoints are about. */
bool event_of(enum stop_reason r, uint32_t *event)
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

static bool in_arg(const struct stop_point *b, uint64_t first, uint64_t last)
{
	return !b->has_arg || (first <= b->arg_last && last >= b->arg_first);
}

static bool mode_matches(struct machine *m, const struct stop_point *b, const struct stop *s)
{
	struct regs r;

	if (b->has_arg && (b->arg_first == CATCH_MODE_CPL) != s->cpl_only)
		return false;
	if (!b->has_arg || s->cpl_only || machine_get_regs(m, s->vcpu, REGS_GPR | REGS_SYS, &r, NULL))
		return true;
	return in_arg(b, regs_mode(&r), regs_mode(&r));
}

static bool filter_matches(const struct stop_point *p, const struct scene *sc, enum stop_reason reason)
{
	const struct stop *s = sc->s;

	switch (reason) {
	case STOP_EXCEPTION:
		return !stop_is_interrupt(s) && in_arg(p, s->vector, s->vector);
	case STOP_MMIO:
		return in_arg(p, s->gpa, s->gpa + (s->len ? s->len - 1 : 0));
	case STOP_PIO:
		return in_arg(p, s->port, s->port + (s->len ? s->len - 1u : 0));
	case STOP_MODE:
		return mode_matches(sc->m, p, s);
	case STOP_SLOT:
		return in_arg(p, (uint64_t)s->slot, (uint64_t)s->slot);
	default:
		return true;
	}
}

static struct match match(const struct stop_point *p, const struct scene *sc)
{
	uint32_t event;

	for (enum stop_reason r = STOP_NONE; r <= STOP_ERROR; r++)
		if (scene_has(sc, r) && event_of(r, &event) && event == p->event && filter_matches(p, sc, r))
			return (struct match){.reason = r};
	return (struct match){.reason = STOP_NONE};
}

uint32_t events_wanted(const struct point_table *t)
{
	uint32_t events = 0;

	for (size_t i = 0; i < t->n; i++)
		if (t->v[i]->kind == POINT_CATCH && t->v[i]->enabled)
			events |= t->v[i]->event & ~(uint32_t)CATCH_MMU;
	return events;
}

const struct point_ops point_event = {
    .name = "Catchpoint", .arm = point_catch, .disarm = point_catch, .match = match, .tell = why_point, .rank = 2};
