/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Driving plans: a move becomes a job of the machine's, its stop is judged, and the plan is asked what comes next.
 */
#include "core/debug/plan.h"

#include "core/debug/control.h"

static void before_job(struct debugger *d, unsigned vcpu)
{
	struct regs r = {0};

	record_before_run(&d->history, d->m);
	if (!d->has_run && !machine_get_regs(d->m, vcpu, REGS_GPR, &r, NULL))
		judge_begin(&d->judge, vcpu, r.rip);
	else if (machine_changes(d->m) != d->changes)
		judge_moved(&d->judge, d->m);
}

/* Nothing can be planted while a vCPU stands inside a fault: out of it first. */
static int prepare_resume(struct debugger *d, struct plan *p, struct err *e)
{
	p->leaving = p->has_temp && machine_parked(d->m, NULL);
	if (!p->has_temp || p->leaving || d->points.internal.enabled)
		return 0;
	return point_set_internal(&d->points, d->m, p->temp.addr, p->vcpu, p->temp.min_sp, e);
}

static int start_replay(struct debugger *d, const struct plan *p, struct err *e)
{
	struct run_job job = {.kind = RUN_REPLAY,
			      .vcpu = p->vcpu,
			      .position = p->back.until,
			      .stops = p->back.stops,
			      .passed = d->judge.passed};

	return machine_start(d->m, &job, d->where, e);
}

static int start_job(struct debugger *d, struct plan *p, struct err *e)
{
	struct run_job job = {.kind = RUN_STEP, .vcpu = p->vcpu, .count = p->move == MOVE_STEP ? p->count : 1};
	int rc = p->move == MOVE_RESUME ? prepare_resume(d, p, e) : 0;

	if (p->move == MOVE_REPLAY)
		return start_replay(d, p, e);
	if (rc)
		return rc;
	if (p->move == MOVE_RESUME && !p->leaving)
		job.kind = RUN_CONTINUE;
	if (p->move == MOVE_STAGE) {
		job.kind = RUN_STAGE;
		job.vcpu = d->stop.vcpu;
	}
	before_job(d, job.vcpu);
	job.passed = d->judge.passed;
	return machine_start(d->m, &job, d->where, e);
}

/* ---- a stop of the move under way */

/* Nobody wants this stop: has the instruction run all the same, so that the step is over? Else it is still to come (a device
 * access before the device sees it, an exception before its delivery, a fault's stage; what was there before the step: a
 * breakpoint where it begins, a slot that the debugger has changed, what another vCPU's stop came before). */
static bool step_is_over(const struct stop *s)
{
	enum stop_reason r = s->reason;

	return !s->before && r != STOP_MMIO && r != STOP_PIO && r != STOP_EXCEPTION && r != STOP_FAULT_STAGE;
}

static bool stepped_to_temp(struct debugger *d, const struct plan *p)
{
	struct where w;

	return !where_get(d->m, p->vcpu, &w, NULL) && w.pc == p->temp.addr && w.sp >= p->temp.min_sp;
}

static bool ended_in_step(const struct debugger *d)
{
	return d->stop.reason == STOP_STEP && !d->stop.no_progress;
}

static bool step_ended(struct debugger *d, struct plan *p, struct stop *s, bool told)
{
	if (!told && !step_is_over(s))
		return false;
	if (!told) {
		s->reason = STOP_STEP;
		s->breakpoint = 0;
	}
	d->stop = *s;
	/* Out of the fault, and it was not the step that got there: now the temporary stop. */
	if (!p->leaving || !ended_in_step(d))
		return true;
	p->leaving = false;
	return stepped_to_temp(d, p);
}

static bool move_ended(struct debugger *d, struct plan *p, struct stop *s)
{
	bool told = judge_stop(&d->judge, d->m, s);

	if (p->move == MOVE_STEP || p->leaving)
		return step_ended(d, p, s, told);
	if (p->move == MOVE_STAGE && !told)
		return false;
	d->stop = *s;
	return told || d->judge.arrived || control_interrupted(d);
}

/* ---- from move to move */

static int next_move(struct debugger *d, struct plan *p, struct err *e)
{
	p->has_temp = p->leaving = false;
	int rc = p->ops->next(d, p, e);

	p->made++;
	return rc;
}

/* 1: the plan is over. 0: another move has begun. */
static int go_on(struct debugger *d, struct plan *p, struct err *e)
{
	point_end_internal(&d->points, d->m);
	if (!ended_in_step(d))
		return 1;
	int rc = next_move(d, p, e);
	if (rc < 0)
		return rc;
	if (!rc && p->ops->arrived)
		p->ops->arrived(d, p);
	if (!rc || control_interrupted(d))
		return 1;
	return start_job(d, p, e);
}

/* The same behind a replay. */
static int replay_ended(struct debugger *d, struct plan *p, const struct stop *s, struct err *e)
{
	if (s->reason == STOP_INTERRUPTED)
		return 1;
	if (s->reason != STOP_NONE && !p->ops->met(d, p, s))
		return 1;
	int rc = next_move(d, p, e);
	if (rc <= 0)
		return rc ? rc : 1;
	return control_asked(d) ? 1 : start_job(d, p, e);
}

static int over(struct debugger *d, int rc, struct err *e)
{
	struct plan *p = &d->plan;

	point_end_internal(&d->points, d->m);
	return p->ops->over ? p->ops->over(d, p, rc, e) : rc;
}

static int stopped(struct debugger *d, struct stop *s, struct err *e)
{
	struct plan *p = &d->plan;

	d->has_run = true;
	d->changes = machine_changes(d->m);
	d->judge.passed = machine_passed(d->m);
	int rc = p->move == MOVE_REPLAY ? replay_ended(d, p, s, e)
		 : move_ended(d, p, s)	? go_on(d, p, e)
					: start_job(d, p, e);
	return rc ? over(d, rc, e) : 0;
}

int debug_start(struct debugger *d, const struct plan *p, enum run_where where, struct err *e)
{
	int rc;

	d->plan = *p;
	d->where = where;
	point_end_internal(&d->points, d->m);
	rc = next_move(d, &d->plan, e);
	if (rc <= 0)
		return over(d, rc, e);
	rc = start_job(d, &d->plan, e);
	return rc ? over(d, rc, e) : 1;
}

int debug_poll(struct debugger *d, struct err *e)
{
	struct stop s;
	int rc = machine_poll(d->m, &s, e);

	if (rc < 0)
		return over(d, rc, e);
	return rc ? stopped(d, &s, e) : 0;
}

int debug_wait(struct debugger *d, struct err *e)
{
	for (;;) {
		struct stop s;
		int rc = machine_wait(d->m, &s, e);

		if (rc)
			return over(d, rc, e);
		rc = stopped(d, &s, e);
		if (rc)
			return rc < 0 ? rc : 0;
	}
}
