/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Inside core/stop: what each kind of stop point provides, and what it is asked about.
 */
#ifndef KVMSCOPE_CORE_STOP_POINT_IMPL_H
#define KVMSCOPE_CORE_STOP_POINT_IMPL_H

#include "core/stop/point.h"

struct why;

/* A stop of the machine's as the points see it. */
struct scene {
	struct machine *m;
	const struct point_table *points;
	const struct stop *s;
	uint32_t reasons;	      /* all that the machine told, a bit (1 << enum stop_reason) each */
	bool place_asked;	      /* the vCPU stands before an instruction whose breakpoints are to be asked */
	uint64_t place, sp;	      /* then: its linear address, and the stack pointer */
	struct mmu_event_list events; /* of a STOP_MMU */
};

/* What the judge does with its word. */
struct match {
	enum stop_reason reason;     /* STOP_NONE: it is not about this stop */
	const struct mmu_event *mmu; /* STOP_MMU: the event that it asked for */
};

struct point_ops {
	const char *name; /* as sentences call it: "Breakpoint" */
	/* In the machine, or out of it. p is in t already, or still; enabled says what is wanted. */
	int (*arm)(struct point_table *t, struct machine *m, struct stop_point *p, struct err *e);
	int (*disarm)(struct point_table *t, struct machine *m, struct stop_point *p, struct err *e);
	struct match (*match)(const struct stop_point *p, const struct scene *sc);
	void (*tell)(struct why *w, const struct stop_point *p); /* which point it is, and what its counts are */
	unsigned rank; /* several at one stop are told by ascending rank, then by id */
};

extern const struct point_ops point_exec, point_watch, point_event, point_mmu, point_fault;

/* Did the machine name this point's plant? */
static inline bool scene_names(const struct scene *sc, enum stop_reason reason, int id)
{
	for (unsigned i = 0; i < sc->s->n_causes; i++)
		if (sc->s->cause[i].reason == reason && sc->s->cause[i].id == id)
			return true;
	return sc->s->reason == reason && sc->s->breakpoint == id;
}
static inline bool scene_has(const struct scene *sc, enum stop_reason reason)
{
	return sc->reasons >> reason & 1;
}
/* point_table.c, for point.c: where id stands, n if nowhere. */
size_t point_index(const struct point_table *t, int id);
void point_free(struct stop_point *p); /* NULL is fine */
/* point_arm.c: plant and take out, for the kinds that are planted one by one. */
int point_plant(struct machine *m, struct stop_point *p, enum plant_kind kind, struct err *e) MUST_USE;
int point_unplant(struct point_table *t, struct machine *m, struct stop_point *p, struct err *e) MUST_USE;
/* arm and disarm of catchpoints. */
int point_catch(struct point_table *t, struct machine *m, struct stop_point *p, struct err *e) MUST_USE;

/* point_event.c: the catch event that a reason belongs to; 0 for faults. False: none that catchpoints are about. */
bool event_of(enum stop_reason r, uint32_t *event);
uint32_t events_wanted(const struct point_table *t);
int mmu_apply(const struct point_table *t, struct machine *m, struct err *e) MUST_USE;
int fault_apply(const struct point_table *t, struct machine *m, struct err *e) MUST_USE;

#endif
