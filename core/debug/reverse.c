/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The plans that go back: restore the last point before, replay, and leave a few more points close to where that ended,
 * since who goes one step back often goes another.
 *
 *	reverse-stepi:     TO the position
 *	reverse-continue:  SCAN what is behind the last point, behind the one before it, ... until one of them has met a stop
 *	                   TO a little before that stop, as stops cost time;  FIND it
 */
#include "core/debug/plan.h"

#include <errno.h>
#include <stdio.h>

#include "core/debug/control.h"

#define NEAR 1024u
#define SLICE 250000u /* positions between two reports of progress */

/* ---- begin and end */

static int check_record(struct debugger *d, const char *what, struct err *e)
{
	const struct history *h = &d->history;
	const char *why = NULL;

	if (!machine_can(d->m, MACHINE_CAP_REVERSE, &why))
		return err_set(e, -ENOTSUP,
			       "%s" WHY "this backend (%s) cannot run backwards: %s" TRY
			       "checkpoint and restart, or -b soft",
			       what, machine_backend(d->m), why);
	if (h->off)
		return err_set(e, -ENODATA, "%s" WHY "the record is off%s%s" TRY "record on, then run", what,
			       h->record.off_why[0] ? ": " : "", h->record.off_why);
	/* A change since the last run: the state of now is behind it, and the point before is reached all the same. */
	if (!h->record.n || h->m != d->m || h->record.resets != machine_resets(d->m))
		return err_set(e, -ENODATA, "%s" WHY "nothing has run since the record began" TRY "c, or si", what);
	return machine_check_idle(d->m, what, e);
}

static int begin(struct debugger *d, struct plan *p, const char *what, struct err *e)
{
	struct history *h = &d->history;
	int rc = check_record(d, what, e);

	if (rc)
		return rc;
	judge_moved(&d->judge, d->m);
	p->back = (struct reversal){.position = machine_position(d->m),
				    .passed = d->judge.passed,
				    .unchanged = h->record.changes == machine_changes(d->m)};
	return checkpoint_take(h->store, d->m, h->record.v[h->record.n - 1].c, &h->before, e);
}

/* The points that were left on the way stay: they are of the same run. */
static int put_back(struct debugger *d, const struct reversal *r, int rc, struct err *e)
{
	struct history *h = &d->history;
	struct err again = {0};
	int back = checkpoint_restore(d->m, h->before, &again);

	control_restored(d, h->before, r->passed);
	if (r->unchanged)
		h->record.changes = machine_changes(d->m);
	if (rc < 0)
		return rc;
	if (back && e)
		*e = again;
	if (!back)
		d->stop = (struct stop){.reason = STOP_INTERRUPTED,
					.vcpu = d->stop.vcpu,
					.rip = checkpoint_rip(h->before, d->stop.vcpu),
					.slot = -1,
					.note = "going back was given up; the VM is where it was"};
	return back ? back : rc;
}

static int reverse_over(struct debugger *d, struct plan *p, int rc, struct err *e)
{
	struct history *h = &d->history;

	if (!h->before)
		return rc;
	if (rc < 0 || !p->back.arrived) {
		rc = put_back(d, &p->back, rc, e);
	} else {
		judge_begin(&d->judge, d->stop.vcpu, d->stop.rip);
		record_cut(h, d->m);
	}
	checkpoint_drop(h->before);
	h->before = NULL;
	return rc;
}

static int arrive(struct debugger *d, struct plan *p, struct err *e)
{
	struct regs r;
	int rc = machine_get_regs(d->m, p->vcpu, REGS_GPR, &r, e);

	if (rc)
		return rc;
	d->stop = (struct stop){.reason = STOP_STEP, .vcpu = p->vcpu, .rip = r.rip, .slot = -1};
	if (p->back.begins_here)
		snprintf(d->stop.note, sizeof(d->stop.note), "the record begins here; there is nothing before it");
	p->back.arrived = true;
	return 0;
}

/* ---- stretches: each begins one and gives 1, or 0 where the plan has arrived */

static int restore_point(struct debugger *d, struct reversal *r, int i, struct err *e)
{
	int rc;

	if (i < 0)
		return err_set(e, -ENODATA, "going back" WHY "the record begins later" TRY "record limit");
	rc = checkpoint_restore(d->m, d->history.record.v[i].c, e);
	r->at = machine_position(d->m);
	return rc;
}

static const uint64_t leap_to[] = {1 << 20, 1 << 15, 1 << 10, 0};

/* The end of the next leap. False: the machine is there. */
static bool leap(struct reversal *r)
{
	for (; r->leap < ARRAY_LEN(leap_to); r->leap++) {
		r->end = r->to - leap_to[r->leap];
		if (r->at < r->to && r->to - r->at > leap_to[r->leap])
			return true;
	}
	return false;
}

static int begin_find(struct debugger *d, struct reversal *r)
{
	r->stretch = REVERSE_FIND;
	r->end = r->wanted.position + 1;
	r->stops = true;
	r->met.n = 0;
	d->judge.passed = 0;
	return 1;
}

static int at_position(struct debugger *d, struct plan *p, struct err *e)
{
	return p->back.wanted.n ? begin_find(d, &p->back) : arrive(d, p, e);
}

static int begin_to(struct debugger *d, struct plan *p, uint64_t to, struct err *e)
{
	struct reversal *r = &p->back;
	int rc = restore_point(d, r, record_point_at(&d->history, to), e);

	if (rc)
		return rc;
	r->stretch = REVERSE_TO;
	r->stops = false;
	r->to = to;
	r->leap = 0;
	if (!r->total)
		r->total = to - r->at;
	return leap(r) ? 1 : at_position(d, p, e);
}

static int leap_over(struct debugger *d, struct plan *p, struct err *e)
{
	struct reversal *r = &p->back;

	if (leap_to[r->leap])
		record_keep_point(&d->history, d->m);
	r->leap++;
	return leap(r) ? 1 : at_position(d, p, e);
}

/* What is behind the last point before end, up to end. */
static int begin_scan(struct debugger *d, struct plan *p, uint64_t end, struct err *e)
{
	struct reversal *r = &p->back;
	int i = end ? record_point_at(&d->history, end - 1) : -1, rc;

	r->begins_here = i < 0;
	rc = restore_point(d, r, i < 0 ? 0 : i, e);
	if (rc)
		return rc;
	if (r->begins_here)
		return arrive(d, p, e);
	r->stretch = REVERSE_SCAN;
	r->from = r->at;
	r->end = end;
	r->stops = true;
	r->met.n = 0;
	d->judge.passed = 0;
	return 1;
}

static int scan_over(struct debugger *d, struct plan *p, struct err *e)
{
	struct reversal *r = &p->back;

	if (!r->met.n)
		return begin_scan(d, p, r->from, e);
	r->wanted = r->met;
	return begin_to(d, p, r->wanted.position - r->from > NEAR ? r->wanted.position - NEAR : r->from, e);
}

static int find_over(struct reversal *r, struct err *e)
{
	r->arrived = r->found;
	if (r->found)
		return 0;
	return err_set(e, -EUCLEAN,
		       "reverse-continue" WHY "the stop at position %llu was met once and not again" TRY
		       "record off, record on, run",
		       (unsigned long long)r->wanted.position);
}

static int stretch_over(struct debugger *d, struct plan *p, struct err *e)
{
	switch (p->back.stretch) {
	case REVERSE_TO:
		return leap_over(d, p, e);
	case REVERSE_SCAN:
		return scan_over(d, p, e);
	case REVERSE_FIND:
		break;
	}
	return find_over(&p->back, e);
}

/* ---- within a stretch */

/* Stops at the position where it began are not before it. One whose condition was interrupted may be any. */
static bool reverse_met(struct debugger *d, struct plan *p, const struct stop *s)
{
	struct reversal *r = &p->back;
	uint64_t at = machine_position(d->m);
	struct stop told = *s;

	if (at >= r->position || !control_would_tell(d, &told))
		return true;
	if (d->judge.interrupted)
		return false;
	r->met.n = r->met.n && r->met.position == at ? r->met.n + 1 : 1;
	r->met.position = at;
	r->found = r->stretch == REVERSE_FIND && at == r->wanted.position && r->met.n == r->wanted.n;
	if (r->found)
		d->stop = told;
	return true;
}

static void tell_progress(const struct history *h, struct reversal *r, uint64_t now)
{
	if (now == r->at)
		return;
	r->done += now - r->at;
	r->at = now;
	if (h->progress)
		h->progress(h->progress_ctx, r->done, r->total);
}

/* The next replay, of this stretch or of another one. */
static int next_replay(struct debugger *d, struct plan *p, struct err *e)
{
	struct reversal *r = &p->back;

	while (r->at >= r->end || r->found) {
		int rc = stretch_over(d, p, e);
		if (rc <= 0)
			return rc;
	}
	p->move = MOVE_REPLAY;
	r->until = r->end - r->at > SLICE ? r->at + SLICE : r->end;
	return 1;
}

static int next_of_reversal(struct debugger *d, struct plan *p, struct err *e)
{
	tell_progress(&d->history, &p->back, machine_position(d->m));
	return next_replay(d, p, e);
}

/* ---- the plans */

static int begin_steps(struct debugger *d, struct plan *p, struct err *e)
{
	int rc = begin(d, p, "reverse-stepi", e);
	uint64_t to = p->back.position, start = record_start(&d->history);

	if (rc)
		return rc;
	for (uint64_t n = p->n; n && !p->back.begins_here; n--) {
		uint64_t before = to;
		p->back.begins_here = !machine_position_before(d->m, p->vcpu, &before) || before < start;
		to = p->back.begins_here ? start : before;
	}
	return begin_to(d, p, to, e);
}

static int next_of_reverse_step(struct debugger *d, struct plan *p, struct err *e)
{
	int rc = p->made ? 1 : begin_steps(d, p, e);

	return rc > 0 ? next_of_reversal(d, p, e) : rc;
}

struct plan plan_reverse_step(unsigned vcpu, uint64_t n)
{
	static const struct plan_ops ops = {.next = next_of_reverse_step, .met = reverse_met, .over = reverse_over};

	return (struct plan){.ops = &ops, .vcpu = vcpu, .n = n};
}

static int begin_continue(struct debugger *d, struct plan *p, struct err *e)
{
	int rc = begin(d, p, "reverse-continue", e);

	if (rc)
		return rc;
	p->vcpu = d->stop.vcpu;
	p->back.total = p->back.position - record_start(&d->history);
	return begin_scan(d, p, p->back.position, e);
}

static int next_of_reverse_continue(struct debugger *d, struct plan *p, struct err *e)
{
	int rc = p->made ? 1 : begin_continue(d, p, e);

	return rc > 0 ? next_of_reversal(d, p, e) : rc;
}

struct plan plan_reverse_continue(void)
{
	static const struct plan_ops ops = {.next = next_of_reverse_continue, .met = reverse_met, .over = reverse_over};

	return (struct plan){.ops = &ops};
}
