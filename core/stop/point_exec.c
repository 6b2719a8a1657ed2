/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Execution breakpoints: the vCPU stands before the instruction at their address.
 */
#include "core/stop/point_impl.h"
#include "core/stop/why_impl.h"

static int arm(struct point_table *t, struct machine *m, struct stop_point *p, struct err *e)
{
	(void)t;
	return point_plant(m, p, p->kind == POINT_HBREAK ? PLANT_EXEC_HW : PLANT_EXEC, e);
}

static struct match match(const struct stop_point *p, const struct scene *sc)
{
	bool here = sc->place_asked && sc->place == p->addr;

	if (here && p->internal)
		here = sc->s->vcpu == p->vcpu && sc->sp >= p->min_sp;
	return (struct match){.reason = here ? STOP_BREAKPOINT : STOP_NONE};
}

const struct point_ops point_exec = {
    .name = "Breakpoint", .arm = arm, .disarm = point_unplant, .match = match, .tell = why_point, .rank = 3};
