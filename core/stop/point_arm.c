/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * How kinds of stop points are told to the machine: breakpoints and watchpoints one by one, catchpoints all at once.
 */
#include "core/stop/point_impl.h"

int point_plant(struct machine *m, struct stop_point *p, enum plant_kind kind, struct err *e)
{
	struct plant plant = {.id = p->id, .kind = kind, .addr = p->addr, .len = p->len, .phys = p->phys};
	int rc = machine_plant(m, &plant, e);

	if (!rc) {
		p->how = plant.how;
		p->why = plant.why;
	}
	return rc;
}

int point_unplant(struct point_table *t, struct machine *m, struct stop_point *p, struct err *e)
{
	(void)t;
	return machine_unplant(m, p->id, e);
}

int points_catch(struct point_table *t, struct machine *m, struct err *e)
{
	int rc = machine_catch(m, events_wanted(t), e);

	if (!rc)
		rc = mmu_apply(t, m, e);
	return rc ? rc : fault_apply(t, m, e);
}

int point_catch(struct point_table *t, struct machine *m, struct stop_point *p, struct err *e)
{
	(void)p;
	return points_catch(t, m, e);
}
