/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A snapshot at each stop: counted, compared with the one before, which it replaces.
 */
#include "core/debug/stoplog.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void row_deinit(struct stop_row *r)
{
	free(r->why);
	diff_list_free(&r->changes);
}

void stop_log_clear(struct stop_log *l)
{
	for (size_t i = 0; i < l->n; i++)
		row_deinit(&l->v[i]);
	free(l->v);
	snap_destroy(l->last);
	*l = (struct stop_log){.v = NULL};
}

static void count_snap(struct stop_row *r, const struct snap *s)
{
	const char *why = snap_missing(s, DIFF_SHADOW);

	why = why ? why : snap_missing(s, DIFF_SPTE);
	why = why ? why : snap_missing(s, DIFF_RMAP);
	if (why) {
		snprintf(r->missing, sizeof(r->missing), "%s", why);
		return;
	}
	r->counts_known = true;
	r->shadow_pages = snap_count(s, DIFF_SHADOW);
	r->sptes = snap_count(s, DIFF_SPTE);
	r->rmaps = snap_count(s, DIFF_RMAP);
}

/* -ENOMEM; what the machine cannot show is not known. */
static int count_chains(struct stop_row *r, struct machine *m, struct err *e)
{
	_cleanup_(rmap_histogram_list_free) struct rmap_histogram_list list = {0};
	int ret = machine_rmap_histogram(m, &list, e);

	if (ret)
		return ret == -ENOMEM ? ret : 0;
	r->chains_known = true;
	for (size_t i = 0; i < list.n; i++) {
		const struct rmap_histogram *h = &list.v[i];
		for (unsigned k = 0; k < RMAP_BUCKETS && h->level == 1; k++)
			r->chains[k] += h->counts[k];
		if (h->longest <= r->longest)
			continue;
		r->longest = h->longest;
		r->longest_gfn = h->longest_gfn;
	}
	return 0;
}

/* Only the first are kept. */
static int compare(struct stop_row *r, const struct snap *before, const struct snap *now, struct err *e)
{
	int ret = before ? snap_diff(before, now, &r->changes, e) : 0;

	r->n_changes = r->changes.n;
	if (r->changes.n <= STOP_CHANGES_MAX)
		return ret;
	struct diff_row *v = realloc(r->changes.v, STOP_CHANGES_MAX * sizeof(*v));
	r->changes.v = v ? v : r->changes.v;
	r->changes.n = STOP_CHANGES_MAX;
	return ret;
}

static int fill_row(struct stop_row *r, struct stop_log *l, struct machine *m, struct snap **now, struct err *e)
{
	int ret = snap_take(m, false, now, e);

	if (ret)
		return ret;
	count_snap(r, *now);
	ret = count_chains(r, m, e);
	return ret ? ret : compare(r, l->last, *now, e);
}

static int keep_row(struct stop_log *l, const struct stop_row *r, struct err *e)
{
	struct stop_row *v = realloc(l->v, (l->n + 1) * sizeof(*v));

	if (!v)
		return err_nomem(e, "log of stops");
	l->v = v;
	l->v[l->n++] = *r;
	return 0;
}

static int add_row(struct stop_log *l, struct stop_row *r, struct machine *m, struct err *e)
{
	struct snap *now = NULL;
	int ret = r->why ? fill_row(r, l, m, &now, e) : err_nomem(e, "log of stops");

	if (!ret)
		ret = keep_row(l, r, e);
	if (ret) {
		row_deinit(r);
		snap_destroy(now);
		return ret;
	}
	snap_destroy(l->last);
	l->last = now;
	return 0;
}

int stop_log_add(struct stop_log *l, struct machine *m, const struct stop *s, const char *why, struct err *e)
{
	int ret = 0;

	if (l->n < STOP_LOG_MAX) {
		struct stop_row r = {.reason = s->reason, .vcpu = s->vcpu, .rip = s->rip, .why = strdup(why)};
		ret = add_row(l, &r, m, e);
		if (!ret)
			return 0;
	}
	l->lost++;
	return ret;
}
