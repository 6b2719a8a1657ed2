/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * How kinds of stop points are told to the machine: breakpoints and watchpoints one by one, catchpoints all at once.
 */
#include "core/stop/point_impl.h"

#include <stdlib.h>

static bool is_mapped(struct machine *m, uint64_t addr)
{
	struct xlate_env env;
	struct walk w = {0};

	if (machine_env(m, 0, &env, NULL))
		return true;
	paging_walk(&env.pg, &env.mem, addr, ACCESS_READ | ACCESS_IMPLICIT, false, &w);
	return !w.fault.present;
}

static const char unmapped[] = "not mapped now";

static void note_how(struct machine *m, struct stop_point *p, const struct plant *plant)
{
	p->how = plant->how;
	p->why = plant->why;
	if (!p->why && p->kind <= POINT_HBREAK && !is_mapped(m, p->addr))
		p->why = unmapped;
}

void points_look(struct point_table *t, struct machine *m)
{
	struct plant *now = m && !machine_running(m) ? calloc(t->n + 1, sizeof(*now)) : NULL;

	for (size_t i = 0; now && i < t->n; i++)
		now[i] = (struct plant){
		    .id = t->v[i]->id, .how = t->v[i]->how, .why = t->v[i]->why == unmapped ? NULL : t->v[i]->why};
	/* A backend without it does all in one way. */
	if (now)
		(void)!machine_plants_now(m, now, t->n, NULL);
	for (size_t i = 0; now && i < t->n; i++)
		if (t->v[i]->enabled && t->v[i]->kind != POINT_CATCH)
			note_how(m, t->v[i], &now[i]);
	free(now);
}

int point_plant(struct machine *m, struct stop_point *p, enum plant_kind kind, struct err *e)
{
	struct plant plant = {.id = p->id, .kind = kind, .addr = p->addr, .len = p->len, .phys = p->phys};
	int rc = machine_plant(m, &plant, e);

	if (!rc)
		note_how(m, p, &plant);
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
