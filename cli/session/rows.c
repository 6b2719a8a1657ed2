/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Rows of listings. The last row made is never shown before it is known whether it is the last one, as it tells then what
 * there is beyond.
 */
#include "cli/session/rows.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/session/client.h"
#include "cli/session/go.h"

#define PATIENCE_NS 1000000000 /* rows that come slowly are not held back for longer */

void rows_begin(struct rows *r, struct call *c, uint64_t most)
{
	*r = (struct rows){.c = c, .p = c->pool, .most = most, .since = clock_now_ns(), .list = v_list(c->pool, 64)};
	r->streams = c->streams && c->client->ops && c->client->ops->rows && !go_is_under_way(c->s);
}

/* The first part is in the call's pool, as its value may be all there is. */
static int empty_pool(struct rows *r)
{
	if (r->p != r->c->pool)
		pool_reset(r->p);
	else
		r->p = pool_create();
	if (!r->p)
		return -ENOMEM;
	r->list = v_list(r->p, 64);
	return 0;
}

static int show_part(struct rows *r, bool last)
{
	struct client *client = r->c->client;

	if (pool_failed(r->p))
		return -ENOMEM;
	r->begun = true;
	if (!client->ops->rows(client, r->c->view, &r->list, last))
		return -EPIPE;
	r->since = clock_now_ns();
	return last ? 0 : empty_pool(r);
}

int rows_next(struct rows *r, uint64_t addr)
{
	r->cut = r->cut || r->n >= r->most;
	r->at = addr;
	if (r->cut)
		return 1;
	if (pool_failed(r->p))
		return -ENOMEM;
	if (!r->streams || !r->list.n)
		return 0;
	if (r->list.n < (r->begun ? ROWS_PART : ROWS_FIRST) && clock_now_ns() - r->since < PATIENCE_NS)
		return 0;
	return show_part(r, false);
}

static void note_truncated(struct rows *r, struct value d)
{
	if (r->list.n)
		v_put(r->p, &r->list.items[r->list.n - 1], "truncated", d);
}

/* "the first 2 rows; there is more from 0x250000 on: info tlb -limit N, or START END" */
static void note_limit(struct rows *r)
{
	const struct command *cmd = r->c->cmd;
	const char *how = cmd->usage && strstr(cmd->usage, "START") ? "-limit N, or START END" : "-limit N";
	struct value d = v_dict(r->p, 3);
	char first[32] = "the first row";

	if (r->n != 1)
		snprintf(first, sizeof(first), "the first %llu rows", (unsigned long long)r->n);
	v_put(r->p, &d, "limit", v_int((int64_t)r->most));
	v_put(r->p, &d, "next", v_hex(r->at));
	v_put(r->p, &d, "why",
	      v_strf(r->p, "%s; there is more from 0x%llx on: %s %s", first, (unsigned long long)r->at, cmd->name, how));
	note_truncated(r, d);
}

static void note_end(struct rows *r, struct err *e)
{
	struct value d = v_dict(r->p, 1);

	v_put(r->p, &d, "why",
	      v_strf(r->p, "%s; the last row begins at 0x%llx, and there may be more", e && e->why[0] ? e->why : "it failed",
		     (unsigned long long)r->at));
	note_truncated(r, d);
}

/* Shown to its end: there is no value any more. */
static int end_shown(struct rows *r, int rc, struct err *e)
{
	const struct value none = {.type = VALUE_LIST};

	if (rc != -EPIPE && r->p) {
		if (rc < 0)
			note_end(r, e);
		rc = show_part(r, true);
	}
	r->c->streamed = true;
	if (rc == -ENOMEM) {
		(void)r->c->client->ops->rows(r->c->client, r->c->view, &none, true);
		return err_nomem(e, r->c->cmd->name);
	}
	if (e)
		err_clear(e);
	return 0;
}

int rows_end(struct rows *r, int rc, struct err *e)
{
	if (r->cut)
		note_limit(r);
	if (r->begun)
		rc = end_shown(r, rc, e);
	else if (rc >= 0)
		r->c->result = r->list;
	else if (rc == -ENOMEM)
		rc = err_nomem(e, r->c->cmd->name);
	if (r->p != r->c->pool)
		pool_destroy(r->p);
	r->p = NULL;
	return rc > 0 ? 0 : rc;
}
