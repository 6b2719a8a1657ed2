/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Continue and step: run, ask the judge (core/stop/judge.h), and go on if nobody is to be told.
 */
#include "core/debug/debugger.h"

#include <errno.h>
#include <string.h>

#include "core/debug/control.h"

int debugger_init(struct debugger *d, struct err *e)
{
	memset(d, 0, sizeof(*d));
	point_table_init(&d->points);
	judge_init(&d->judge, &d->points);
	symbols_init(&d->syms);
	return disas_create(&d->disas, e);
}

void debugger_deinit(struct debugger *d)
{
	history_deinit(&d->history);
	point_table_deinit(&d->points);
	symbols_deinit(&d->syms);
	judge_deinit(&d->judge);
	disas_destroy(d->disas);
	d->disas = NULL;
}

bool control_would_tell(struct debugger *d, struct stop *s)
{
	d->judge.rehearsal = true;
	bool told = judge_stop(&d->judge, d->m, s);
	d->judge.rehearsal = false;
	return told && s->breakpoint > 0;
}

/* ---- running */

int control_settle(struct debugger *d, struct err *e)
{
	point_end_internal(&d->points, d->m);
	return machine_parked(d->m, NULL)
		   ? err_set(e, -EBUSY, "going back" WHY "a vCPU stands inside a fault" TRY "fault continue, or si, first")
		   : 0;
}

static void before_run(struct debugger *d, unsigned vcpu)
{
	struct regs r = {0};

	record_before_run(&d->history, d->m);
	if (!d->has_run && !machine_get_regs(d->m, vcpu, REGS_GPR, &r, NULL))
		judge_begin(&d->judge, vcpu, r.rip);
	else if (machine_changes(d->m) != d->changes)
		judge_moved(&d->judge, d->m);
}

static int run(struct debugger *d, enum run_kind kind, unsigned vcpu, uint64_t count, struct stop *s, struct err *e)
{
	before_run(d, vcpu);
	struct run_job job = {.kind = kind, .vcpu = vcpu, .count = count, .passed = d->judge.passed};
	int rc = machine_run_job(d->m, &job, s, e);

	if (rc)
		return rc;
	d->has_run = true;
	d->changes = machine_changes(d->m);
	d->judge.passed = job.passed;
	return 0;
}

static int resume_loop(struct debugger *d, unsigned vcpu, bool *arrived, struct err *e)
{
	for (;;) {
		struct stop s = {.slot = -1};
		int rc = run(d, RUN_CONTINUE, vcpu, 1, &s, e);
		if (rc)
			return rc;
		bool told = judge_stop(&d->judge, d->m, &s);
		d->stop = s;
		*arrived = d->judge.arrived;
		if (told || *arrived || control_interrupted(d))
			return 0;
	}
}

/* Has the step that was just made ended where t waits? */
static int stepped_to(struct debugger *d, const struct temp_stop *t, bool *yes, struct err *e)
{
	struct where w;
	int rc = where_get(d->m, t->vcpu, &w, e);

	*yes = !rc && w.pc == t->addr && w.sp >= t->min_sp;
	return rc;
}

/* Out of a fault first: nothing can be planted while a vCPU stands inside one. *done: the step ended it all. */
static int leave_fault(struct debugger *d, const struct temp_stop *t, bool *arrived, bool *done, struct err *e)
{
	int rc = control_step(d, t->vcpu, e);

	*done = true;
	if (rc || d->stop.reason != STOP_STEP || d->stop.no_progress)
		return rc;
	rc = stepped_to(d, t, arrived, e);
	*done = *arrived;
	return rc;
}

int control_resume(struct debugger *d, unsigned vcpu, const struct temp_stop *t, bool *arrived, struct err *e)
{
	bool done = false;
	int rc = 0;

	*arrived = false;
	point_end_internal(&d->points, d->m);
	if (t && machine_parked(d->m, NULL))
		rc = leave_fault(d, t, arrived, &done, e);
	if (rc || done)
		return rc;
	if (t)
		rc = point_set_internal(&d->points, d->m, t->addr, t->vcpu, t->min_sp, e);
	if (!rc)
		rc = resume_loop(d, vcpu, arrived, e);
	point_end_internal(&d->points, d->m);
	return rc;
}

int debug_continue(struct debugger *d, unsigned vcpu, struct err *e)
{
	bool arrived;

	return control_resume(d, vcpu, NULL, &arrived, e);
}

int debug_fault_step(struct debugger *d, struct err *e)
{
	struct stop s;
	int rc = machine_fault_check(d->m, e);

	do {
		s = (struct stop){.slot = -1};
		if (!rc)
			rc = run(d, RUN_STAGE, d->stop.vcpu, 1, &s, e);
		if (rc)
			return rc;
	} while (!judge_stop(&d->judge, d->m, &s));
	d->stop = s;
	return 0;
}

/* Nobody wants this stop: has the instruction run all the same, so that the step is over? Else it is still to come (a device
 * access before the device sees it, an exception before its delivery, a fault's stage, a slot changed before it ran). */
static bool step_is_over(enum stop_reason r)
{
	return r != STOP_MMIO && r != STOP_PIO && r != STOP_EXCEPTION && r != STOP_FAULT_STAGE && r != STOP_SLOT;
}

/* n steps in one call of the machine, judged at the end. */
static int step_some(struct debugger *d, unsigned vcpu, uint64_t n, struct err *e)
{
	struct stop s;
	bool told;

	do {
		s = (struct stop){.slot = -1};
		int rc = run(d, RUN_STEP, vcpu, n, &s, e);
		if (rc)
			return rc;
		told = judge_stop(&d->judge, d->m, &s);
	} while (!told && !step_is_over(s.reason));
	if (!told) {
		s.reason = STOP_STEP;
		s.breakpoint = 0;
	}
	d->stop = s;
	return 0;
}

int control_step(struct debugger *d, unsigned vcpu, struct err *e)
{
	point_end_internal(&d->points, d->m);
	return step_some(d, vcpu, 1, e);
}

bool control_interrupted(struct debugger *d)
{
	if (!d->interrupted || !d->interrupted())
		return false;
	d->stop.reason = STOP_INTERRUPTED;
	d->stop.breakpoint = 0;
	d->stop.n_causes = 0;
	return true;
}

int debug_step(struct debugger *d, unsigned vcpu, uint64_t n, struct err *e)
{
	point_end_internal(&d->points, d->m);
	if (!points_any_enabled(&d->points))
		return n ? step_some(d, vcpu, n, e) : 0;
	while (n--) {
		int rc = step_some(d, vcpu, 1, e);
		if (rc || d->stop.reason != STOP_STEP || d->stop.no_progress)
			return rc;
		if (n && control_interrupted(d))
			return 0;
	}
	return 0;
}

void debug_why(struct debugger *d, const struct stop *s, char *buf, size_t size)
{
	const struct why_env env = {.m = d->m, .points = &d->points, .syms = &d->syms, .disas = d->disas};

	why_stop(&env, s, buf, size);
}
