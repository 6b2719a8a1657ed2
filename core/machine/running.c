/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The machine's wrapper for running: jobs, interrupting, standing inside faults.
 */
#include "core/machine/check.h"

#include <errno.h>

/* ---- running */

/* A slot changed while the guest stood: told before it runs on. */
static bool slot_told(struct machine *m, unsigned vcpu, struct stop *out)
{
	struct regs r = {0};

	return m->n_news && !machine_parked(m, NULL) && !m->ops->get_regs(m, vcpu, REGS_GPR, &r, NULL) &&
	       machine_slot_stop(m, vcpu, r.rip, out);
}

int machine_run_job(struct machine *m, struct run_job *job, struct stop *out, struct err *e)
{
	const char *what = job->kind == RUN_STEP ? "step" : "continue";
	struct stop stop = {.reason = STOP_NONE, .slot = -1};
	int rc = machine_check_vcpu(m, job->vcpu, what, e);

	if (rc)
		return rc;
	if (job->kind == RUN_STEP && !job->count)
		return err_set(e, -EINVAL, "step" WHY "0 instructions were asked for" TRY "1 or more");
	if (m->running)
		return err_set(e, -EBUSY, "%s" WHY "the guest is running" TRY "interrupt first", what);
	if (slot_told(m, job->vcpu, out))
		return 0;
	m->running = true;
	if (m->interrupted && m->interrupted())
		m->ops->interrupt(m);
	rc = m->ops->run(m, job, &stop, e);
	m->running = false;
	if (!rc)
		*out = stop;
	return rc;
}

int machine_run(struct machine *m, enum run_kind kind, unsigned vcpu, uint64_t count, struct stop *out, struct err *e)
{
	struct run_job job = {.kind = kind, .vcpu = vcpu, .count = count, .passed = RUN_PASSED_ALL};

	return machine_run_job(m, &job, out, e);
}

void machine_interrupt(struct machine *m)
{
	m->ops->interrupt(m);
}

void machine_ask_interrupted(struct machine *m, bool (*interrupted)(void))
{
	m->interrupted = interrupted;
}

bool machine_running(const struct machine *m)
{
	return m->running;
}

/* ---- fault stepping */

bool machine_parked(const struct machine *m, unsigned *vcpu)
{
	unsigned ignored;

	return m->ops->parked && m->ops->parked(m, vcpu ? vcpu : &ignored);
}

int machine_fault_catch(struct machine *m, const struct fault_filter *f, struct err *e)
{
	int rc = machine_check_cap(m, MACHINE_CAP_FAULT_STEP, m->ops->fault_catch, "catch fault", e);

	if (!rc && f && !f->all)
		rc = machine_check_range(f->first, f->last, "catch fault", e);
	if (!rc && m->running)
		rc = err_set(e, -EBUSY, "catch fault" WHY "the guest is running" TRY "interrupt first");
	m->changes += f != NULL;
	if (!rc)
		rc = m->ops->fault_catch(m, f, e);
	if (rc)
		return rc;
	m->catches_faults = f != NULL;
	if (f)
		m->fault_filter = *f;
	return 0;
}

const struct fault_filter *machine_fault_caught(const struct machine *m)
{
	return m->catches_faults ? &m->fault_filter : NULL;
}

int machine_fault_step(struct machine *m, struct stop *out, struct err *e)
{
	struct stop stop = {.reason = STOP_NONE, .slot = -1};
	int rc = machine_check_cap(m, MACHINE_CAP_FAULT_STEP, m->ops->fault_step, "fault step", e);

	if (!rc && m->running)
		rc = err_set(e, -EBUSY, "fault step" WHY "the guest is running" TRY "interrupt first");
	if (rc)
		return rc;
	m->running = true;
	rc = m->ops->fault_step(m, &stop, e);
	m->running = false;
	if (!rc)
		*out = stop;
	return rc;
}

int machine_fault_stages(struct machine *m, struct fault_stage_list *out, struct err *e)
{
	int rc = machine_check_cap(m, MACHINE_CAP_FAULT_STEP, m->ops->fault_stages, "list fault stages", e);

	return rc ? rc : m->ops->fault_stages(m, out, e);
}
