/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Standing inside a guest fault: its stages one by one. `catch fault` is in catch.c.
 */
#include <errno.h>

#include "cli/cmd/args.h"
#include "cli/cmd/breaks.h"
#include "cli/cmd/run.h"
#include "cli/cmd/table.h"
#include "cli/session/go.h"
#include "cli/session/session.h"
#include "views/record.h"

static int run_step(struct call *c, struct err *e)
{
	struct machine *m;
	int rc = args_none(c, e);

	if (!rc)
		rc = session_machine(c->s, &m, e);
	return rc ? rc : go_wait(c, plan_stage(), cmd_stopped);
}

static int run_continue(struct call *c, struct err *e)
{
	struct machine *m;
	unsigned vcpu;
	int rc = args_none(c, e);

	if (!rc)
		rc = session_machine(c->s, &m, e);
	if (!rc && !machine_parked(m, &vcpu))
		rc = err_set(e, -EINVAL, "fault continue" WHY "no vCPU stands inside a fault" TRY "catch fault, then c");
	return rc ? rc : go_wait(c, plan_continue(vcpu), cmd_stopped);
}

/* Stages of fault number n, or of all with n 0. */
static int list_stages(struct call *c, uint64_t n, struct err *e)
{
	_cleanup_(fault_stage_list_free) struct fault_stage_list l = {0};
	struct machine *m;
	int rc = session_machine(c->s, &m, e);

	if (!rc)
		rc = machine_fault_stages(m, &l, e);
	if (rc)
		return rc;
	struct value list = v_list(c->pool, l.n);
	for (size_t i = 0; i < l.n; i++)
		if (!n || l.v[i].fault == n)
			v_push(c->pool, &list, record_fault_stage(c->pool, &l.v[i]));
	if (n && !list.n)
		return err_set(e, -ENOENT,
			       "fault show %llu" WHY "no stage of a fault with that number was seen" TRY "fault list",
			       (unsigned long long)n);
	c->result = list;
	return 0;
}

void fault_tell_limit(struct call *c)
{
	struct err why;

	if (!c->look && c->s->d.m && machine_fault_limit(c->s->d.m, &why))
		session_notice(c->s, "not each fault is caught here, but a page once after it was armed: %s; try %s",
			       why.why, why.next[0] ? why.next : "info kvm");
}

static int run_list(struct call *c, struct err *e)
{
	int rc = args_none(c, e);

	if (!rc)
		rc = list_stages(c, 0, e);
	if (!rc)
		fault_tell_limit(c);
	return rc;
}

/* The number of the last fault that a stage was seen of; 0 for none. */
static int last_fault(struct call *c, uint64_t *n, struct err *e)
{
	_cleanup_(fault_stage_list_free) struct fault_stage_list l = {0};
	struct machine *m;
	int rc = session_machine(c->s, &m, e);

	if (!rc)
		rc = machine_fault_stages(m, &l, e);
	*n = 0;
	for (size_t i = 0; !rc && i < l.n; i++)
		*n = l.v[i].fault > *n ? l.v[i].fault : *n;
	return rc;
}

static int run_show(struct call *c, struct err *e)
{
	struct args a;
	uint64_t n;
	int rc = args_init(&a, c, e);

	if (!rc)
		rc = args_more(&a) ? args_number(&a, "N", 1, UINT32_MAX, &n, e) : last_fault(c, &n, e);
	if (!rc)
		rc = args_end(&a, e);
	if (!rc && !n)
		rc = err_set(e, -ENOENT, "fault show" WHY "no fault was caught yet" TRY "catch fault, then c");
	return rc ? rc : list_stages(c, n, e);
}

const struct command commands_fault[] = {
    {.name = "fault step",
     .group = "faults",
     .usage = "[&]",
     .summary = "go on to the next stage of the fault, or to the next fault",
     .help = "Lets the vCPU that stands inside a fault take the stage at hand and stops before the next one. After the last "
	     "stage of a "
	     "fault it goes on to the next fault that `catch fault` is about.\n"
	     "\nGives a stop: reason fault-stage with stage, fault, gva, gpa; or whatever stopped the guest.",
     .flags = CMD_NEEDS_VM | CMD_RUNS | CMD_REPEATS,
     .needs = NEEDS(RUN) | NEEDS(FAULT_STEP),
     .view = "stop",
     .run = run_step},
    {.name = "fault continue",
     .group = "faults",
     .usage = "[&]",
     .summary = "finish this fault, then go on as c",
     .help = "Lets the fault take all its remaining stages without a stop and continues the guest.\n"
	     "\nGives a stop, as c does.",
     .flags = CMD_NEEDS_VM | CMD_RUNS,
     .needs = NEEDS(RUN),
     .view = "stop",
     .run = run_continue},
    {.name = "fault list",
     .group = "faults",
     .usage = "",
     .summary = "the stages of the faults caught so far",
     .help =
	 "Gives a list of stages, in order: n, fault, stage, gfn, level, detail, live (true: the vCPU stood still "
	 "there; false: "
	 "recorded), vcpu. Where the host does not let each fault be caught (no tracepoints, or two-dimensional paging) a "
	 "note says so, and what to do; `info kvm` has it in its row catch fault.",
     .flags = CMD_NEEDS_VM,
     .view = "stages",
     .run = run_list},
    {.name = "fault show",
     .group = "faults",
     .usage = "[N]",
     .summary = "the stages of one fault, the last one by default",
     .help = "Gives the stages of fault number N as `fault list` does.",
     .flags = CMD_NEEDS_VM,
     .view = "stages",
     .run = run_show},
    {.name = NULL},
};
