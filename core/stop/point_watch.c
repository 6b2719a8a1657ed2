/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Watchpoints: an instruction that has been executed touched their bytes.
 */
#include "core/stop/point_impl.h"
#include "core/stop/why_impl.h"

static int arm(struct point_table *t, struct machine *m, struct stop_point *p, struct err *e)
{
	(void)t;
	return point_plant(m, p,
			   p->kind == POINT_WATCH    ? PLANT_WRITE
			   : p->kind == POINT_RWATCH ? PLANT_READ
						     : PLANT_ACCESS,
			   e);
}

/* Those that the machine names; and as it may name one of several on the same bytes, those that its access covers. */
static struct match match(const struct stop_point *p, const struct scene *sc)
{
	const struct stop *s = sc->s;
	bool asked = p->kind == POINT_AWATCH || (p->kind == POINT_WATCH ? s->write : s->read);
	bool hit =
	    scene_names(sc, STOP_WATCHPOINT, p->id) || (s->reason == STOP_WATCHPOINT && s->len && asked &&
							ranges_overlap(p->addr, p->len, p->phys ? s->gpa : s->gva, s->len));

	return (struct match){.reason = hit ? STOP_WATCHPOINT : STOP_NONE};
}

const struct point_ops point_watch = {
    .name = "Watchpoint", .arm = arm, .disarm = point_unplant, .match = match, .tell = why_point, .rank = 1};
