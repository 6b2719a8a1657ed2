/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Stepping and continuing backwards: restore the last point before, replay, and leave a few more points close to where that
 * ended, since who goes one step back often goes another.
 */
#include "core/debug/reverse.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/debug/control.h"

#define NEAR 1024u
#define SLICE 250000u /* positions between two reports of progress */

/* A command that goes back: what has to be put back if it is given up, and how far it has come. */
struct reversal {
	struct debugger *d;
	struct history *h;
	struct checkpoint *now;
	uint64_t position; /* of now */
	uint64_t passed;   /* the judge's, of now */
	uint64_t done, total;
	bool interrupted;
};

static int reverse_begin(struct reversal *w, struct debugger *d, const char *what, struct err *e)
{
	int rc = 0;

	*w = (struct reversal){.d = d, .h = &d->history, .position = machine_position(d->m), .passed = d->judge.passed};
	const char *why = NULL;
	if (!machine_can(d->m, MACHINE_CAP_REVERSE, &why))
		return err_set(e, -ENOTSUP,
			       "%s" WHY "this backend (%s) cannot run backwards: %s" TRY
			       "checkpoint and restart, or -b soft",
			       what, machine_backend(d->m), why);
	if (w->h->off)
		return err_set(e, -ENODATA, "%s" WHY "the record is off%s%s" TRY "record on, then run", what,
			       w->h->record.off_why[0] ? ": " : "", w->h->record.off_why);
	/* A change since the last run: the state of now is behind it, and the point before is reached all the same. */
	if (!w->h->record.n || w->h->m != d->m || w->h->record.resets != machine_resets(d->m))
		return err_set(e, -ENODATA, "%s" WHY "nothing has run since the record began" TRY "c, or si", what);
	rc = control_settle(d, e);
	if (!rc)
		rc = checkpoint_take(w->h->store, d->m, w->h->record.v[w->h->record.n - 1].c, &w->now, e);
	return rc;
}

static int reverse_end(struct reversal *w, int rc, struct err *e)
{
	if (w->now && (rc || w->interrupted)) {
		struct err again;
		int back = checkpoint_restore(w->d->m, w->now, &again);
		if (back && !rc && e)
			*e = again;
		rc = rc ? rc : back;
		w->d->judge.passed = w->passed;
		w->h->record.changes = machine_changes(w->d->m);
		/* Points that the replay left stay: they are of the same run. */
		if (!rc)
			w->d->stop = (struct stop){.reason = STOP_INTERRUPTED,
						   .vcpu = w->d->stop.vcpu,
						   .rip = checkpoint_rip(w->now, w->d->stop.vcpu),
						   .slot = -1,
						   .note = "going back was given up; the VM is where it was"};
	} else if (!rc) {
		judge_begin(&w->d->judge, w->d->stop.vcpu, w->d->stop.rip);
		record_cut(w->h, w->d->m);
	}
	checkpoint_drop(w->now);
	return rc;
}

/* Towards target, with progress told. *stop as RUN_REPLAY gives it. */
static int go(struct reversal *w, uint64_t target, bool stops, struct stop *stop, struct err *e)
{
	uint64_t at = machine_position(w->d->m);

	do {
		uint64_t end = target - at > SLICE ? at + SLICE : target;
		struct run_job job = {
		    .kind = RUN_REPLAY, .position = end, .stops = stops, .passed = w->d->judge.passed};
		int rc = machine_run_job(w->d->m, &job, stop, e);
		uint64_t now = machine_position(w->d->m);
		if (rc)
			return rc;
		w->d->judge.passed = job.passed;
		w->done += now - at;
		at = now;
		if (w->h->progress)
			w->h->progress(w->h->progress_ctx, w->done, w->total);
		w->interrupted = stop->reason == STOP_INTERRUPTED;
	} while (stop->reason == STOP_NONE && at < target);
	return 0;
}

static int restore_point(struct reversal *w, int i, struct err *e)
{
	return checkpoint_restore(w->d->m, w->h->record.v[i].c, e);
}

/* ---- to a position */

static int go_to(struct reversal *w, uint64_t target, struct err *e)
{
	static const uint64_t before[] = {1 << 20, 1 << 15, 1 << 10, 0};
	int i = record_point_at(w->h, target), rc;
	struct stop stop = {.slot = -1};

	if (i < 0)
		return err_set(e, -ENODATA, "going back" WHY "the record begins later" TRY "record limit");
	rc = restore_point(w, i, e);
	if (!w->total)
		w->total = target - machine_position(w->d->m);
	for (size_t k = 0; !rc && !w->interrupted && k < ARRAY_LEN(before); k++) {
		uint64_t at = machine_position(w->d->m);
		if (at >= target || target - at <= before[k])
			continue;
		rc = go(w, target - before[k], false, &stop, e);
		if (!rc && !w->interrupted && before[k])
			record_keep_point(w->h, w->d->m);
	}
	return rc;
}

static int stopped_here(struct debugger *d, unsigned vcpu, const char *note, struct err *e)
{
	struct regs r;
	int rc = machine_get_regs(d->m, vcpu, REGS_GPR, &r, e);

	if (rc)
		return rc;
	d->stop = (struct stop){.reason = STOP_STEP, .vcpu = vcpu, .rip = r.rip, .slot = -1};
	snprintf(d->stop.note, sizeof(d->stop.note), "%s", note);
	d->has_run = true;
	return 0;
}

static const char start_note[] = "the record begins here; there is nothing before it";

int debug_reverse_step(struct debugger *d, unsigned vcpu, uint64_t n, struct err *e)
{
	struct reversal w;
	int rc = reverse_begin(&w, d, "reverse-stepi", e);

	if (rc)
		return rc;
	uint64_t target = w.position, start = record_start(w.h);
	bool all = true;
	while (n-- && all) {
		uint64_t next = target;
		all = machine_position_before(d->m, vcpu, &next) && next >= start;
		target = all ? next : start;
	}
	rc = go_to(&w, target, e);
	if (!rc && !w.interrupted)
		rc = stopped_here(d, vcpu, all ? "" : start_note, e);
	return reverse_end(&w, rc, e);
}

/* ---- to a stop */

/* The last stop that a scan met: where, and how many of that position it had told before it ended. */
struct met {
	struct stop stop;
	uint64_t position;
	unsigned n; /* 0: none */
};

static void meet(struct met *last, const struct stop *s, uint64_t position)
{
	last->n = last->n && last->position == position ? last->n + 1 : 1;
	last->position = position;
	last->stop = *s;
}

/* Replay from where the machine stands to end, noting the stops that the user would have been told before now. until: end at
 * this one (NULL: the last one is wanted). */
static int scan(struct reversal *w, uint64_t end, const struct met *until, struct met *last, struct err *e)
{
	struct stop stop = {.slot = -1};

	last->n = 0;
	w->d->judge.passed = 0;
	for (;;) {
		int rc = go(w, end, true, &stop, e);
		uint64_t at = machine_position(w->d->m);
		if (rc || w->interrupted || stop.reason == STOP_NONE || at >= w->position)
			return rc;
		struct stop told = stop;
		if (!control_would_tell(w->d, &told))
			continue;
		meet(last, &told, at);
		if (until && at == until->position && last->n == until->n)
			return 0;
	}
}

/* To a stop that a scan has met. Silently up to a little before it: stops cost time. */
static int go_to_stop(struct reversal *w, const struct met *wanted, uint64_t first, struct err *e)
{
	uint64_t near = wanted->position - first > NEAR ? wanted->position - NEAR : first;
	struct met last = {.n = 0};
	int rc = go_to(w, near, e);

	if (!rc && !w->interrupted)
		rc = scan(w, wanted->position + 1, wanted, &last, e);
	if (rc || w->interrupted)
		return rc;
	if (last.n != wanted->n || last.position != wanted->position)
		return err_set(e, -EUCLEAN,
			       "reverse-continue" WHY "the stop at position %llu was met once and not again" TRY
			       "record off, record on, run",
			       (unsigned long long)wanted->position);
	w->d->stop = last.stop;
	w->d->has_run = true;
	return 0;
}

/* The last stop between point i and end, if any. */
static int last_stop(struct reversal *w, int i, uint64_t end, bool *found, struct err *e)
{
	uint64_t first = checkpoint_position(w->h->record.v[i].c);
	struct met last = {.n = 0};
	int rc = restore_point(w, i, e);

	if (!rc)
		rc = scan(w, end, NULL, &last, e);
	*found = !rc && !w->interrupted && last.n;
	return *found ? go_to_stop(w, &last, first, e) : rc;
}

int debug_reverse_continue(struct debugger *d, struct err *e)
{
	bool found = false;
	struct reversal w;
	unsigned vcpu = d->stop.vcpu;
	int rc = reverse_begin(&w, d, "reverse-continue", e);

	if (rc)
		return rc;
	int i = record_point_at(w.h, w.position);
	uint64_t end = w.position;
	w.total = w.position - record_start(w.h);
	for (; !rc && !found && !w.interrupted && i >= 0; i--) {
		uint64_t from = checkpoint_position(w.h->record.v[i].c);
		if (from == w.position)
			continue;
		rc = last_stop(&w, i, end, &found, e);
		end = from;
	}
	if (!rc && !w.interrupted && !found) {
		rc = restore_point(&w, 0, e);
		if (!rc)
			rc = stopped_here(d, vcpu, start_note, e);
	}
	return reverse_end(&w, rc, e);
}
