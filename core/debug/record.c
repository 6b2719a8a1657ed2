/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The record: taking points while the guest runs, and keeping them within the limits.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/debug/history.h"

#define POINTS_MAX 64
#define INTERVAL_MIN 4000000u
#define INTERVAL_MAX 1000000000u
#define COST_SHARE 50 /* a point may cost this part of the time since the last one */

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t position_of(const struct record *r, size_t i)
{
	return checkpoint_position(r->v[i].c);
}

static void remove_point(struct record *r, size_t i)
{
	/* What could not be reached across the one that goes can still not be. */
	if (r->v[i].segment && i + 1 < r->n)
		r->v[i + 1].segment = true;
	checkpoint_drop(r->v[i].c);
	r->n--;
	memmove(&r->v[i], &r->v[i + 1], (r->n - i) * sizeof(*r->v));
}

void record_clear(struct history *h)
{
	while (h->record.n)
		remove_point(&h->record, h->record.n - 1);
	if (h->m)
		machine_mark(h->m, 0, NULL, NULL);
}

uint64_t record_start(const struct history *h)
{
	return h->record.n ? position_of(&h->record, 0) : UINT64_MAX;
}

int record_point_at(const struct history *h, uint64_t position)
{
	int at = -1;

	for (size_t i = 0; i < h->record.n && position_of(&h->record, i) <= position; i++)
		at = (int)i;
	return at;
}

/* ---- limits */

/* The point whose loss lengthens replays least for its age: neither the first nor the last, nor one behind a change. */
static size_t least_wanted(const struct record *r, uint64_t now)
{
	double best = 0;
	size_t at = 0;

	for (size_t i = 1; i + 1 < r->n; i++) {
		double gap = (double)(position_of(r, i + 1) - position_of(r, i - 1)) + 1;
		double age = (double)(now - position_of(r, i)) + 1;
		if (!r->v[i].segment && (!at || gap / age < best)) {
			best = gap / age;
			at = i;
		}
	}
	return at;
}

static void drop_oldest(struct history *h)
{
	remove_point(&h->record, 0);
	machine_log_cut(h->m, position_of(&h->record, 0), UINT64_MAX);
}

static void keep_within(struct history *h, uint64_t now)
{
	struct record *r = &h->record;
	uint64_t memory = h->max_memory ? h->max_memory : RECORD_MEMORY;

	while (h->limit && r->n > 1 && now - position_of(r, 1) >= h->limit)
		drop_oldest(h);
	while (r->n > POINTS_MAX || (r->n > 1 && page_store_bytes(h->store) > memory)) {
		size_t i = least_wanted(r, now);
		if (i)
			remove_point(r, i);
		else
			drop_oldest(h);
	}
}

/* ---- points */

static int insert(struct record *r, struct checkpoint *c, bool segment)
{
	size_t at = r->n;

	if (r->n == r->cap) {
		size_t cap = r->cap ? r->cap * 2 : 16;
		struct record_point *grown = realloc(r->v, cap * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		r->v = grown;
		r->cap = cap;
	}
	while (at && position_of(r, at - 1) > checkpoint_position(c))
		at--;
	memmove(&r->v[at + 1], &r->v[at], (r->n - at) * sizeof(*r->v));
	r->v[at] = (struct record_point){.c = c, .segment = segment};
	r->n++;
	return 0;
}

static int add_point(struct history *h, struct machine *m, bool segment, struct err *e)
{
	struct record *r = &h->record;
	int before = record_point_at(h, machine_position(m));
	struct checkpoint *c;
	int rc;

	rc = h->store ? 0 : page_store_create(&h->store, e);
	if (!rc)
		rc = checkpoint_take(h->store, m, before >= 0 ? r->v[before].c : NULL, &c, e);
	if (rc)
		return rc;
	/* A second one at the same position is behind a change: the first is of no use any more. */
	if (before >= 0 && position_of(r, (size_t)before) == checkpoint_position(c)) {
		segment |= r->v[before].segment;
		checkpoint_drop(r->v[before].c);
		r->v[before] = (struct record_point){.c = c, .segment = segment};
		return 0;
	}
	rc = insert(r, c, segment);
	if (rc)
		checkpoint_drop(c);
	return rc ? err_nomem(e, "record") : 0;
}

void record_keep_point(struct history *h, struct machine *m)
{
	/* Without it the next step back takes longer, nothing else. */
	if (add_point(h, m, false, NULL) == 0)
		keep_within(h, machine_position(m));
}

static void give_up(struct history *h, const struct err *e)
{
	record_clear(h);
	h->off = true;
	snprintf(h->record.off_why, sizeof(h->record.off_why), "%.50s: %.60s", e->what, e->why);
}

/* The next one when the cost of this one is a small part of the time. */
static void set_interval(struct history *h, uint64_t began)
{
	struct record *r = &h->record;
	uint64_t now = cpu_ns(), cost = now - began, since = began - r->last_cpu_ns;
	double per_ns = since ? (double)r->interval / (double)since : 0, next = per_ns * (double)cost * COST_SHARE;

	if (!h->spacing)
		r->interval = next < INTERVAL_MIN ? INTERVAL_MIN : next > INTERVAL_MAX ? INTERVAL_MAX : (uint64_t)next;
	r->last_cpu_ns = now;
}

static void on_mark(void *ctx)
{
	struct history *h = ctx;
	uint64_t began = cpu_ns(), now = machine_position(h->m);
	struct err e = {0};

	if (add_point(h, h->m, false, &e)) {
		give_up(h, &e);
		return;
	}
	set_interval(h, began);
	keep_within(h, now);
	machine_mark(h->m, now + h->record.interval, on_mark, h);
}

static void set_mark(struct history *h)
{
	h->record.last_cpu_ns = cpu_ns();
	machine_mark(h->m, machine_position(h->m) + h->record.interval, on_mark, h);
}

void record_before_run(struct history *h, struct machine *m)
{
	struct record *r = &h->record;
	struct err e;

	if (h->off || !machine_can(m, MACHINE_CAP_REVERSE, NULL))
		return;
	h->m = m;
	if (r->resets != machine_resets(m))
		record_clear(h);
	if (r->n && r->changes == machine_changes(m))
		return;
	if (machine_parked(m, NULL))
		return;
	if (!r->n) {
		r->interval = h->spacing ? h->spacing : INTERVAL_MIN;
		machine_log_cut(m, machine_position(m), machine_position(m));
	}
	r->resets = machine_resets(m);
	r->changes = machine_changes(m);
	if (add_point(h, m, r->n > 0, &e)) {
		give_up(h, &e);
		return;
	}
	keep_within(h, machine_position(m));
	set_mark(h);
}

void record_cut(struct history *h, struct machine *m)
{
	struct record *r = &h->record;
	uint64_t now = machine_position(m);

	while (r->n && position_of(r, r->n - 1) > now)
		remove_point(r, r->n - 1);
	machine_log_cut(m, record_start(h), now);
	r->changes = machine_changes(m);
	set_mark(h);
}

void record_settings(struct history *h)
{
	h->record.off_why[0] = '\0';
	if (h->off)
		record_clear(h);
	else if (h->record.n)
		keep_within(h, machine_position(h->m));
}
