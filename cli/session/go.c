/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Letting the guest run, in the foreground or in the background: the same plan (core/debug/plan.h), waited for or polled.
 * All of it is on the client's thread: conditions, their scripts and the judging of stops run where they always do.
 */
#include "cli/session/go.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include "cli/session/client.h"
#include "cli/session/interrupt.h"

struct background {
	struct session *s;
	struct client *client; /* who began it, whose conditions and commands are run; NULL: nobody is told any more */
	const struct command *cmd;
	int (*finish)(struct call *c, struct err *e);
	struct join *join; /* a command that waits for it and takes the stop */
	bool polling;
	bool ended; /* there was nothing to do: told by the next poll, as any other */
	bool stop;  /* somebody wants it to stop: a breakpoint's commands do not let it go on */
	int rc;	    /* of the run */
	struct err err;
};

struct join {
	bool done;
	int rc;
	struct err err;
	int (*finish)(struct call *c, struct err *e);
};

int go_wait(struct call *c, struct plan plan, int (*finish)(struct call *c, struct err *e))
{
	c->plan = plan;
	c->finish = finish;
	return CMD_WAIT;
}

/* ---- somebody waits */

static void tell_progress(void *ctx, uint64_t done, uint64_t total)
{
	struct client *c = ctx;

	c->ops->progress(c, done, total);
}

static void progress_begin(const struct call *c)
{
	struct history *h = &c->s->d.history;

	h->progress = c->client->ops->progress ? tell_progress : NULL;
	h->progress_ctx = c->client;
}

static void progress_end(const struct call *c)
{
	if (c->client->ops->progress)
		c->client->ops->progress(c->client, 0, 0);
	c->s->d.history.progress = NULL;
}

/* A client that has something else to wait for does so while the runner's thread executes the guest. */
static int wait_with_client(struct call *c, struct err *e)
{
	struct debugger *d = &c->s->d;
	int ret = debug_start(d, &c->plan, RUN_RUNNER, e);

	if (ret <= 0)
		return ret;
	while (!(ret = debug_poll(d, e)))
		if (machine_running(d->m))
			c->client->ops->wait(c->client, machine_run_fd(d->m));
	return ret < 0 ? ret : 0;
}

static int lend_thread(struct call *c, struct err *e)
{
	int ret = debug_start(&c->s->d, &c->plan, RUN_LENT, e);

	return ret > 0 ? debug_wait(&c->s->d, e) : ret;
}

int go_here(struct call *c, struct err *e)
{
	const struct client_ops *ops = c->client->ops;

	progress_begin(c);
	int ret = ops->wait && !plan_is_short(&c->plan) ? wait_with_client(c, e) : lend_thread(c, e);
	progress_end(c);
	if (!ret && ops->stopped)
		ops->stopped(c->client);
	return ret ? ret : c->finish(c, e);
}

/* ---- in the background */

/* Ctrl-C is for what is in the foreground. */
static void set_interruptible(struct session *s, bool on)
{
	s->d.interrupted = on ? interrupt_asked : NULL;
	machine_ask_interrupted(s->d.m, on ? interrupt_asked : NULL);
}

/* Bring it on: 1, it is over; 0, it goes on; negative, it failed. */
static int turn(struct background *b)
{
	struct client *outer = b->s->active;
	int rc;

	b->s->active = b->client;
	b->polling = true;
	rc = debug_poll(&b->s->d, &b->err);
	b->polling = false;
	b->s->active = outer;
	return rc;
}

static void leave_background(struct session *s)
{
	s->background = NULL;
	set_interruptible(s, true);
}

int go_background(struct call *c, struct err *e)
{
	struct session *s = c->s;
	struct background *b = calloc(1, sizeof(*b));

	if (!b)
		return err_nomem(e, c->cmd->name);
	*b = (struct background){.s = s, .client = c->client, .cmd = c->cmd, .finish = c->finish};
	s->background = b;
	set_interruptible(s, false);
	int rc = debug_start(&s->d, &c->plan, RUN_RUNNER, e);
	b->ended = !rc;
	if (rc >= 0)
		return 0;
	leave_background(s);
	free(b);
	return rc;
}

bool go_is_under_way(const struct session *s)
{
	return s->background != NULL;
}

bool go_is_waited_for(const struct session *s)
{
	return s->background && s->background->join;
}

int go_fd(const struct session *s)
{
	return s->background ? machine_run_fd(s->d.m) : -1;
}

bool go_is_due(const struct session *s)
{
	return s->background && (s->background->ended || !machine_running(s->d.m));
}

/* ---- its end */

/* A stop, or why there is none. */
static void tell_clients(const struct call *c, const struct err *e, const struct client *but)
{
	for (struct client *to = c->s->clients; to; to = to->next) {
		if (to == but)
			continue;
		if (e && to->ops->error)
			to->ops->error(to, e);
		else if (!e && to->ops->event)
			to->ops->event(to, "stop", c->view, &c->result);
	}
}

static bool any_draws(const struct session *s)
{
	for (const struct client *c = s->clients; c; c = c->next)
		if (!c->json)
			return true;
	return false;
}

static void tell(struct background *b)
{
	_cleanup_pool_ struct pool *pool = pool_create();
	struct client *client = b->client;
	struct call c = {
	    .s = b->s, .client = client, .cmd = b->cmd, .pool = pool, .view = b->cmd->view, .shown = any_draws(b->s)};
	int rc = b->rc;

	if (!rc)
		rc = pool ? b->finish(&c, &b->err) : err_nomem(&b->err, b->cmd->name);
	if (rc)
		session_error(b->s, &b->err);
	tell_clients(&c, rc ? &b->err : NULL, NULL);
	if (b->stop)
		scripts_clear(&client->pending);
	client_run_pending(client);
}

static void tell_end(struct background *b)
{
	struct client *outer = b->s->active;

	b->stop |= b->client->background && interrupt_asked(); /* Ctrl-C, just now */
	b->s->active = b->client;
	interrupt_line_begin();
	tell(b);
	interrupt_line_end();
	b->s->active = outer;
}

static void end(struct background *b)
{
	leave_background(b->s);
	if (b->join)
		*b->join = (struct join){.done = true, .rc = b->rc, .err = b->err, .finish = b->finish};
	else if (b->client)
		tell_end(b);
	free(b);
}

void go_poll(struct session *s)
{
	struct background *b = s->background;

	if (!b || b->polling)
		return;
	int rc = b->ended ? 1 : turn(b);
	b->rc = rc < 0 ? rc : 0;
	if (rc)
		end(b);
}

static int check_not_inside(const struct session *s, const char *what, struct err *e)
{
	return s->background->polling
		   ? err_set(e, -EBUSY, "%s" WHY "the run in the background is asking for it" TRY "it at the prompt", what)
		   : 0;
}

static int64_t now_ms(void)
{
	return (int64_t)(clock_now_ns() / 1000000);
}

/* Until something happens. 1, or 0 when the time is over; -EINTR. */
static int wait_for_news(struct session *s, int64_t end)
{
	struct pollfd p = {.fd = go_fd(s), .events = POLLIN};
	int64_t left = end < 0 ? 0 : end - now_ms();
	struct timespec most = {.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};

	if (left < 0)
		return 0;
	if (go_is_due(s))
		return 1;
	return interrupt_wait(&p, 1, end < 0 ? NULL : &most) < 0 ? -EINTR : 1;
}

static int join_background(struct session *s, struct join *j, int64_t ms)
{
	int64_t end = ms < 0 ? -1 : now_ms() + ms;

	s->background->join = j;
	for (struct client *c = s->clients; c; c = c->next)
		if (c->ops->console)
			c->ops->console(c, "", 0);
	for (;;) {
		go_poll(s);
		if (j->done)
			return 1;
		int rc = wait_for_news(s, end);
		if (rc <= 0) {
			s->background->join = NULL;
			return rc;
		}
	}
}

int go_join(struct call *c, int64_t ms, struct err *e)
{
	struct join j = {.done = false};
	int rc = check_not_inside(c->s, c->cmd->name, e);

	if (rc)
		return rc;
	progress_begin(c);
	rc = join_background(c->s, &j, ms);
	progress_end(c);
	if (rc < 0)
		return err_set(e, -EINTR, "%s" WHY "interrupted; the guest runs on" TRY "interrupt, to stop it",
			       c->cmd->name);
	if (!rc)
		return err_set(e, -ETIMEDOUT, "%s" WHY "the guest still runs" TRY "interrupt, to stop it", c->cmd->name);
	if (j.rc)
		*e = j.err;
	rc = j.rc ? j.rc : j.finish(c, e);
	tell_clients(c, rc ? e : NULL, c->client);
	return rc;
}

static bool always(void)
{
	return true;
}

void go_interrupt(struct session *s)
{
	/* The machine may have stopped already, for something that is passed over: then it is not to go on. */
	if (s->background) {
		s->background->stop = true;
		s->d.interrupted = always;
	}
	if (machine_running(s->d.m))
		machine_interrupt(s->d.m);
}

int go_give_up(struct session *s, struct err *e)
{
	int rc = s->background ? check_not_inside(s, "run", e) : 0;

	if (rc || !s->background)
		return rc;
	s->background->client = NULL;
	while (s->background) {
		struct pollfd p = {.fd = go_fd(s), .events = POLLIN};
		go_interrupt(s);
		go_poll(s);
		if (s->background && !go_is_due(s))
			poll(&p, 1, -1);
	}
	return 0;
}

void go_client_gone(struct client *c)
{
	if (c->s->background && c->s->background->client == c)
		(void)!go_give_up(c->s, NULL);
}
