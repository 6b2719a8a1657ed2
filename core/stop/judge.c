/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The judgement of a stop.
 */
#include "core/stop/judge.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/stop/point_impl.h"
#include "core/stop/where.h"

void judge_init(struct judge *j, struct point_table *points)
{
	*j = (struct judge){.points = points};
}

static void forget_retired(struct judge *j)
{
	for (size_t i = 0; i < j->n_retired; i++)
		free(j->retired[i].commands);
	free(j->retired);
	j->retired = NULL;
	j->n_retired = 0;
}

void judge_deinit(struct judge *j)
{
	forget_retired(j);
}

static uint64_t bit_of(unsigned vcpu)
{
	return 1ull << (vcpu & 63);
}

void judge_begin(struct judge *j, unsigned vcpu, uint64_t rip)
{
	j->passed = bit_of(vcpu);
	j->rip[vcpu % 64] = rip;
}

char *judge_commands(const struct judge *j, int id)
{
	const struct stop_point *p = point_find(j->points, id);
	const char *text = p ? p->commands : NULL;

	for (size_t i = 0; !p && i < j->n_retired; i++)
		if (j->retired[i].id == id)
			text = j->retired[i].commands;
	return text ? strdup(text) : NULL;
}

void judge_moved(struct judge *j, struct machine *m)
{
	struct regs r;

	if (machine_parked(m, NULL))
		return;
	for (unsigned i = 0; i < machine_vcpus(m) && i < 64; i++)
		if (j->passed & bit_of(i) && !machine_get_regs(m, i, REGS_GPR, &r, NULL) && r.rip != j->rip[i])
			j->passed &= ~bit_of(i);
}

/* ---- what the machine told */

/* A vector of the guest's own IDT is the guest's affair, unless a catchpoint asks for it. */
static bool guest_handles(struct machine *m, const struct stop *s)
{
	struct regs r;

	if (s->handler != HANDLER_OWN || machine_get_regs(m, s->vcpu, REGS_GPR | REGS_SYS, &r, NULL))
		return false;
	unsigned size = !(r.cr0 & CR0_PE) ? 4 : r.efer & EFER_LMA ? 16 : 8;
	return r.idt.limit >= s->vector * size + size - 1;
}

/* #DB, #BP and #OF come behind their instruction, and with no handler for it the next one is what goes on. */
static bool is_behind(struct machine *m, const struct stop *s)
{
	return (s->vector == 1 || s->vector == 3 || s->vector == 4) && !stop_is_interrupt(s) && !guest_handles(m, s);
}

/* Does the vCPU stand before an instruction that has not begun? */
static bool stands_before(const struct scene *sc)
{
	if (scene_has(sc, STOP_EXCEPTION))
		return is_behind(sc->m, sc->s);
	return !(sc->reasons & (1u << STOP_NONE | 1u << STOP_MMIO | 1u << STOP_PIO | 1u << STOP_FAULT_STAGE |
				1u << STOP_SHUTDOWN | 1u << STOP_ERROR));
}

static void scene_set(struct scene *sc, struct judge *j, struct machine *m, const struct stop *s)
{
	struct where w;

	*sc = (struct scene){.m = m, .points = j->points, .s = s, .reasons = 1u << s->reason};
	for (unsigned i = 0; i < s->n_causes; i++)
		sc->reasons |= 1u << s->cause[i].reason;
	if (scene_has(sc, STOP_MMU) && machine_mmu_events(m, &sc->events, NULL))
		sc->events = (struct mmu_event_list){.v = NULL};
	if (!(j->passed & bit_of(s->vcpu)) && points_any_exec(j->points) && stands_before(sc) &&
	    !where_get(m, s->vcpu, &w, NULL)) {
		sc->place_asked = true;
		sc->place = w.pc;
		sc->sp = w.sp;
	}
}

/* ---- asking a point */

/* Of a point that matches: is its condition true, and is it ignored no more? Counts the hit, unless this is a rehearsal. A
 * condition that cannot be worked out stops, with the reason in note. */
static bool lets_stop(struct judge *j, struct stop_point *p, struct stop *s, char note[sizeof(s->note)])
{
	struct err why = {0};
	int yes = p->condition && j->condition ? j->condition(j->condition_ctx, p, s, &why) : 1;

	if (yes < 0) {
		s->bad_condition = true;
		j->interrupted |= yes == -EINTR;
		snprintf(note, sizeof(s->note), "the condition of breakpoint %d could not be evaluated: %.90s", p->id,
			 err_reason(&why));
	}
	if (!yes || j->rehearsal)
		return yes;
	p->hits++;
	if (yes > 0 && p->ignore) {
		p->ignore--;
		return false;
	}
	return true;
}

/* Its hit stands and its commands are kept for who runs them; a failure leaves it planted, which costs a stop too many later
 * on, not a lost one now. */
static void retire(struct judge *j, struct machine *m, struct stop_point *p)
{
	struct retired_point *grown = realloc(j->retired, (j->n_retired + 1) * sizeof(*grown));
	struct retired_point retired = {.id = p->id, .commands = p->commands};

	if (!grown)
		return;
	j->retired = grown;
	p->commands = NULL;
	if (point_delete(j->points, m, p->id, NULL))
		p->commands = retired.commands;
	else
		j->retired[j->n_retired++] = retired;
}

/* ---- the verdict */

struct verdict {
	struct stop_cause cause[STOP_CAUSES_MAX];
	unsigned rank[STOP_CAUSES_MAX], n;
	const struct mmu_event *mmu;
	char note[sizeof(((struct stop *)0)->note)];
};

/* Kept in order; what comes later goes behind its equals, and ids come ascending. */
static void verdict_add(struct verdict *v, unsigned rank, enum stop_reason reason, int id)
{
	unsigned at = v->n;

	if (v->n == STOP_CAUSES_MAX)
		return;
	for (; at && v->rank[at - 1] > rank; at--) {
		v->cause[at] = v->cause[at - 1];
		v->rank[at] = v->rank[at - 1];
	}
	v->cause[at] = (struct stop_cause){reason, id};
	v->rank[at] = rank;
	v->n++;
}

#define RANK_OWN 0
#define RANK_EVENT 2

static bool asked_for(const struct point_table *t, uint32_t event)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->v[i]->kind == POINT_CATCH && t->v[i]->enabled && t->v[i]->event == event)
			return true;
	return false;
}

/* Does this reason stop though no point lets it through? */
static bool stops_by_itself(const struct scene *sc, enum stop_reason r)
{
	uint32_t event;

	if (r == STOP_BREAKPOINT || r == STOP_WATCHPOINT) /* the guest's own, or a plant that is no point's */
		return sc->s->reason == r && sc->s->breakpoint != POINT_INTERNAL &&
		       !point_find(sc->points, sc->s->breakpoint);
	if (r == STOP_MMU)
		return false;
	if (!event_of(r, &event))
		return r != STOP_STEP;
	return !asked_for(sc->points, event) || (r == STOP_EXCEPTION && !guest_handles(sc->m, sc->s));
}

static void add_own(struct verdict *v, const struct scene *sc)
{
	uint32_t event;

	for (enum stop_reason r = STOP_NONE; r <= STOP_ERROR; r++) {
		bool named = false;

		for (unsigned i = 0; i < v->n; i++)
			named |= v->cause[i].reason == r;
		if (scene_has(sc, r) && !named && stops_by_itself(sc, r))
			verdict_add(v, event_of(r, &event) ? RANK_EVENT : RANK_OWN, r,
				    r == sc->s->reason ? sc->s->breakpoint : 0);
	}
}

static void ask_all(struct judge *j, const struct scene *sc, struct stop *s, struct verdict *v)
{
	for (size_t i = 0; i < j->points->n; i++) {
		struct stop_point *p = j->points->v[i];
		struct match match = {STOP_NONE, NULL};

		if (p->enabled)
			match = p->ops->match(p, sc);
		if (match.mmu && !v->mmu)
			s->mmu = *match.mmu; /* what a condition may ask about */
		if (match.reason == STOP_NONE || !lets_stop(j, p, s, v->note))
			continue;
		v->mmu = v->mmu ? v->mmu : match.mmu;
		verdict_add(v, p->ops->rank, match.reason, p->id);
	}
	const struct stop_point *internal = &j->points->internal;
	j->arrived = internal->enabled && point_exec.match(internal, sc).reason != STOP_NONE;
}

static void retire_temporary(struct judge *j, struct machine *m, const struct verdict *v)
{
	for (unsigned i = 0; i < v->n && !j->rehearsal; i++) {
		struct stop_point *p = point_find(j->points, v->cause[i].id);

		if (p && p->temporary)
			retire(j, m, p);
	}
}

/* Into the stop, which keeps what the machine said of the reasons that are told. */
static bool pronounce(const struct verdict *v, uint32_t machine_reasons, struct stop *s)
{
	bool machines = false;

	for (unsigned i = 0; i < v->n; i++)
		machines |= machine_reasons >> v->cause[i].reason & 1;
	if (!machines)
		s->note[0] = '\0';
	if (v->note[0])
		memcpy(s->note, v->note, sizeof(s->note));
	s->reason = v->cause[0].reason;
	s->breakpoint = v->cause[0].id;
	s->n_causes = v->n > 1 ? v->n : 0;
	memcpy(s->cause, v->cause, s->n_causes * sizeof(s->cause[0]));
	return true;
}

/* Nothing in the verdict: true if the stop is told all the same, as the end of a step. A stop at the place that a plan waits
 * for is made one of a step; the plan looks at `arrived` whether it is told or not. */
static bool ends_step(struct judge *j, const struct scene *sc, struct stop *s)
{
	bool step = scene_has(sc, STOP_STEP);

	s->n_causes = 0;
	if (j->arrived) {
		s->reason = STOP_STEP;
		s->note[0] = '\0';
	}
	if (j->arrived || step)
		s->breakpoint = 0;
	return step;
}

/* The end of a step where there is no point to ask. */
static bool is_plain_step(const struct judge *j, const struct stop *s)
{
	return s->reason == STOP_STEP && !s->n_causes && !points_any_enabled(j->points) && !j->points->internal.enabled;
}

bool judge_stop(struct judge *j, struct machine *m, struct stop *s)
{
	struct verdict v = {.n = 0};
	struct stop machines;
	struct scene sc;
	bool told;

	j->rip[s->vcpu % 64] = s->rip;
	j->arrived = j->interrupted = false;
	if (is_plain_step(j, s)) {
		j->passed |= bit_of(s->vcpu);
		return true;
	}
	machines = *s;
	scene_set(&sc, j, m, &machines);
	s->bad_condition = false;
	ask_all(j, &sc, s, &v);
	add_own(&v, &sc);
	if (v.mmu)
		s->mmu = *v.mmu;
	told = v.n ? pronounce(&v, sc.reasons, s) : ends_step(j, &sc, s);
	if (told && !j->rehearsal) {
		forget_retired(j);
		retire_temporary(j, m, &v);
	}
	mmu_event_list_free(&sc.events);
	j->passed |= bit_of(s->vcpu);
	return told;
}
