/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The machine's wrapper for running: jobs, interrupting, standing inside faults. Who runs is core/run's business; here is
 * what a machine adds to it: checks, and changes of slots that are told before the guest runs on.
 */
#include "core/machine/check.h"

#include <errno.h>

/* ---- running */

static int check_job(const struct machine *m, const struct run_job *job, struct err *e)
{
	static const char *const what[] = {
	    [RUN_CONTINUE] = "continue", [RUN_STEP] = "step", [RUN_STAGE] = "fault step", [RUN_REPLAY] = "going back"};
	int rc = machine_check_vcpu(m, job->vcpu, what[job->kind], e);

	if (!rc)
		rc = machine_check(m, job->kind == RUN_REPLAY ? CALL_start_replay : CALL_start, what[job->kind], e);
	if (!rc && job->kind == RUN_STEP && !job->count)
		rc = err_set(e, -EINVAL, "step" WHY "0 instructions were asked for" TRY "1 or more");
	return rc;
}

/* A slot changed while the guest stood: told before it runs on. */
static bool stops_for_slot(struct machine *m, unsigned vcpu, struct stop *out)
{
	struct regs r;

	if (!m->n_news || machine_parked(m, NULL) || m->ops->get_regs(m, vcpu, REGS_GPR, &r, NULL) ||
	    !machine_slot_stop(m, vcpu, r.rip, out))
		return false;
	out->before = true;
	return true;
}

int machine_start(struct machine *m, const struct run_job *job, enum run_where where, struct err *e)
{
	int rc = check_job(m, job, e);

	if (rc)
		return rc;
	m->has_slot_stop = job->kind != RUN_REPLAY && stops_for_slot(m, job->vcpu, &m->slot_stop);
	if (m->has_slot_stop) {
		m->passed = job->passed;
		return 0;
	}
	m->runs++;
	return run_start(&m->run, job, where, e);
}

/* 1: there is a stop that came before anything ran. */
static int take_slot_stop(struct machine *m, struct stop *out)
{
	if (!m->has_slot_stop)
		return 0;
	m->has_slot_stop = false;
	*out = m->slot_stop;
	return 1;
}

/* The job is the runner's until it has stopped. */
static void take_passed(struct machine *m)
{
	m->passed = run_last_job(&m->run)->passed;
}

int machine_poll(struct machine *m, struct stop *out, struct err *e)
{
	if (take_slot_stop(m, out))
		return 1;
	int rc = run_poll(&m->run, out, e);
	if (rc > 0)
		take_passed(m);
	return rc;
}

int machine_wait(struct machine *m, struct stop *out, struct err *e)
{
	if (take_slot_stop(m, out))
		return 0;
	int rc = run_wait(&m->run, out, e);
	if (!rc)
		take_passed(m);
	return rc;
}

int machine_run_fd(struct machine *m)
{
	return run_fd(&m->run);
}

uint64_t machine_passed(const struct machine *m)
{
	return m->passed;
}

int machine_run_job(struct machine *m, struct run_job *job, struct stop *out, struct err *e)
{
	struct stop stop;
	int rc = machine_start(m, job, RUN_LENT, e);

	if (!rc)
		rc = machine_wait(m, &stop, e);
	if (rc)
		return rc;
	job->passed = m->passed;
	*out = stop;
	return 0;
}

int machine_run(struct machine *m, enum run_kind kind, unsigned vcpu, uint64_t count, struct stop *out, struct err *e)
{
	struct run_job job = {.kind = kind, .vcpu = vcpu, .count = count, .passed = RUN_PASSED_ALL};

	return machine_run_job(m, &job, out, e);
}

void machine_interrupt(struct machine *m)
{
	run_interrupt(&m->run);
}

void machine_ask_interrupted(struct machine *m, bool (*interrupted)(void))
{
	run_ask_interrupted(&m->run, interrupted);
}

enum run_phase machine_phase(const struct machine *m)
{
	return run_phase(&m->run);
}

bool machine_running(const struct machine *m)
{
	return run_is_going(&m->run);
}

void machine_console(struct machine *m, void (*fn)(void *ctx, const char *bytes, size_t n), void *ctx)
{
	m->run.console = fn;
	m->run.console_ctx = ctx;
}

void machine_tell_stalls(struct machine *m, void (*fn)(void *ctx, const struct stall *s), void *ctx)
{
	m->run.stalled = fn;
	m->run.stalled_ctx = ctx;
}

/* ---- fault stepping */

bool machine_parked(const struct machine *m, unsigned *vcpu)
{
	if (run_phase(&m->run) != RUN_PARKED)
		return false;
	if (vcpu)
		*vcpu = m->run.parked_vcpu;
	return true;
}

int machine_fault_catch(struct machine *m, const struct fault_filter *v, size_t n, struct err *e)
{
	int rc = machine_check(m, CALL_fault_catch, NULL, e);

	if (!rc && n > FAULT_FILTERS_MAX)
		rc = err_set(e, -ENOSPC, "catch fault" WHY "at most %u filters" TRY "a wider range", FAULT_FILTERS_MAX);
	for (size_t i = 0; !rc && i < n; i++)
		if (!v[i].all)
			rc = machine_check_range(v[i].first, v[i].last, "catch fault", e);
	if (rc)
		return rc;
	m->changes += n > 0;
	run_abandon(&m->run);
	rc = m->ops->fault_catch(m, v, n, e);
	if (rc)
		return rc;
	m->n_fault_filters = n;
	for (size_t i = 0; i < n; i++)
		m->fault_filters[i] = v[i];
	return 0;
}

bool machine_fault_limit(struct machine *m, struct err *why)
{
	err_clear(why);
	return m->ops->fault_limit && m->ops->fault_limit(m, why);
}

const struct fault_filter *machine_fault_caught(const struct machine *m, size_t *n)
{
	*n = m->n_fault_filters;
	return m->fault_filters;
}

/* What is caught by gvas has no pages before it happens. */
void machine_armed(struct machine *m, armed_fn *fn, void *arg)
{
	const uint64_t most = UINT64_MAX >> PAGE_SHIFT;

	for (size_t i = 0; i < m->n_fault_filters; i++) {
		const struct fault_filter *f = &m->fault_filters[i];

		if (!f->all && !f->gva && f->first <= most)
			fn(arg, f->first << PAGE_SHIFT, (MIN(f->last, most) - f->first + 1) << PAGE_SHIFT);
	}
	if (m->ops->armed)
		m->ops->armed(m, fn, arg);
}

int machine_fault_check(struct machine *m, struct err *e)
{
	int rc = machine_check(m, CALL_fault_check, NULL, e);

	if (!rc && !m->n_fault_filters && !machine_parked(m, NULL))
		rc = err_set(e, -EINVAL, "fault step" WHY "no faults are caught" TRY "catch fault");
	return rc;
}

int machine_fault_step(struct machine *m, struct stop *out, struct err *e)
{
	struct run_job job = {.kind = RUN_STAGE, .count = 1, .passed = RUN_PASSED_ALL};
	int rc = machine_fault_check(m, e);

	if (!rc)
		(void)machine_parked(m, &job.vcpu);
	return rc ? rc : machine_run_job(m, &job, out, e);
}

int machine_fault_stages(struct machine *m, struct fault_stage_list *out, struct err *e)
{
	int rc = machine_check(m, CALL_fault_stages, NULL, e);

	return rc ? rc : m->ops->fault_stages(m, out, e);
}
