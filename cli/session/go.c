/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Letting the guest run, in the foreground or in the background.
 *
 * core/debug's functions (continue, step, next, …) are loops around a blocking call. In the background such a loop has a
 * stack of its own, which it leaves whenever it would wait (machine_wait_by()) and is brought back to by go_poll(). All of
 * it is on the client's thread: conditions, their scripts and the judging of stops run where they always do.
 */
#include "cli/session/go.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>

#include "cli/session/client.h"
#include "cli/session/interrupt.h"

#define STACK_SIZE (8u << 20) /* taken as it is used; conditions run scripts on it */

struct background {
	struct session *s;
	struct client *client; /* who began it and is told; NULL: nobody any more */
	const struct command *cmd;
	struct go go;
	int (*finish)(struct call *c, struct err *e);
	struct join *join; /* a command that waits for it and takes the stop */
	ucontext_t poller, runner;
	void *stack;
	bool polling, ended;
	int rc; /* of the run */
	struct err err;
};

struct join {
	bool done;
	int rc;
	struct err err;
	int (*finish)(struct call *c, struct err *e);
};

int go_wait(struct call *c, enum go_kind kind, uint64_t n, int (*finish)(struct call *c, struct err *e))
{
	c->go = (struct go){.kind = kind, .vcpu = c->s->vcpu, .n = n};
	c->finish = finish;
	return CMD_WAIT;
}

static int carry_out(struct debugger *d, const struct go *go, struct err *e)
{
	switch (go->kind) {
	case GO_CONTINUE:
		return debug_continue(d, go->vcpu, e);
	case GO_STEP:
		return debug_step(d, go->vcpu, go->n, e);
	case GO_NEXT:
		return debug_next(d, go->vcpu, go->n, e);
	case GO_UNTIL:
		return debug_until(d, go->vcpu, go->n, e);
	case GO_FINISH:
		return debug_finish(d, go->vcpu, e);
	case GO_STAGE:
		return debug_fault_step(d, e);
	}
	return err_set(e, -EINVAL, "run" WHY "there is no such run");
}

int go_here(struct call *c, struct err *e)
{
	int ret = carry_out(&c->s->d, &c->go, e);

	return ret ? ret : c->finish(c, e);
}

/* ---- in the background */

/* Ctrl-C is for what is in the foreground. */
static void set_interruptible(struct session *s, bool on)
{
	s->d.interrupted = on ? interrupt_asked : NULL;
	machine_ask_interrupted(s->d.m, on ? interrupt_asked : NULL);
}

/* In place of a wait that blocks: back to who polls, until the machine has stopped. */
static int wait_outside(void *ctx, struct stop *out, struct err *e)
{
	struct background *b = ctx;
	int rc;

	while ((rc = machine_poll(b->s->d.m, out, e)) == 0)
		swapcontext(&b->runner, &b->poller);
	return rc < 0 ? rc : 0;
}

/* makecontext() hands over ints. */
static void run_inside(unsigned low, unsigned high)
{
	struct background *b = (void *)((uintptr_t)high << 32 | low);

	b->rc = carry_out(&b->s->d, &b->go, &b->err);
	b->ended = true;
}

static void background_free(struct background *b)
{
	if (b->stack != MAP_FAILED)
		munmap(b->stack, STACK_SIZE);
	free(b);
}

/* A function of its own: the compiler takes it for one that returns twice. */
static bool take_context(ucontext_t *u)
{
	return !getcontext(u);
}

static struct background *background_create(struct call *c)
{
	struct background *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->s = c->s;
	b->client = c->client;
	b->cmd = c->cmd;
	b->go = c->go;
	b->finish = c->finish;
	b->stack =
	    mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (b->stack == MAP_FAILED || !take_context(&b->runner)) {
		background_free(b);
		return NULL;
	}
	b->runner.uc_stack.ss_sp = b->stack;
	b->runner.uc_stack.ss_size = STACK_SIZE;
	b->runner.uc_link = &b->poller;
	makecontext(&b->runner, (void (*)(void))run_inside, 2, (unsigned)(uintptr_t)b, (unsigned)((uintptr_t)b >> 32));
	return b;
}

/* Bring it on until it would wait again, or has ended. */
static void turn(struct background *b)
{
	struct client *outer = b->s->active;

	b->s->active = b->client;
	b->polling = true;
	swapcontext(&b->poller, &b->runner);
	b->polling = false;
	b->s->active = outer;
}

static void leave_background(struct session *s)
{
	s->background = NULL;
	machine_wait_by(s->d.m, NULL, NULL);
	set_interruptible(s, true);
}

int go_background(struct call *c, struct err *e)
{
	struct session *s = c->s;
	struct background *b = background_create(c);

	if (!b)
		return err_nomem(e, c->cmd->name);
	s->background = b;
	set_interruptible(s, false);
	machine_wait_by(s->d.m, wait_outside, b);
	turn(b);
	/* It could not begin: that is the command's error. */
	if (!b->ended || !b->rc)
		return 0;
	int rc = b->rc;
	*e = b->err;
	leave_background(s);
	background_free(b);
	return rc;
}

bool go_is_under_way(const struct session *s)
{
	return s->background != NULL;
}

int go_fd(const struct session *s)
{
	return s->background ? machine_run_fd(s->d.m) : -1;
}

bool go_is_due(const struct session *s)
{
	return s->background && s->background->ended;
}

/* ---- its end */

static void tell(struct background *b)
{
	_cleanup_pool_ struct pool *pool = pool_create();
	struct client *client = b->client;
	struct call c = {
	    .s = b->s, .client = client, .cmd = b->cmd, .pool = pool, .view = b->cmd->view, .shown = !client->json};
	int rc = b->rc;

	if (!rc)
		rc = pool ? b->finish(&c, &b->err) : err_nomem(&b->err, b->cmd->name);
	if (rc)
		client_report(client, &b->err);
	else if (client->ops->event)
		client->ops->event(client, "stop", c.view, &c.result);
	client_run_pending(client);
}

static void tell_client(struct background *b)
{
	struct client *outer = b->s->active;

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
		tell_client(b);
	background_free(b);
}

void go_poll(struct session *s)
{
	struct background *b = s->background;

	if (!b || b->polling)
		return;
	if (!b->ended)
		turn(b);
	if (b->ended)
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
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ll + t.tv_nsec / 1000000;
}

/* Until something happens. 1, or 0 when the time is over; -EINTR. */
static int wait_for_news(struct session *s, int64_t end)
{
	struct pollfd p = {.fd = go_fd(s), .events = POLLIN};
	int64_t left = end < 0 ? 0 : end - now_ms();
	struct timespec most = {.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};

	if (left < 0)
		return 0;
	return interrupt_wait(&p, 1, end < 0 ? NULL : &most) < 0 ? -EINTR : 1;
}

static int join_background(struct session *s, struct join *j, int64_t ms)
{
	int64_t end = ms < 0 ? -1 : now_ms() + ms;

	s->background->join = j;
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
	rc = join_background(c->s, &j, ms);
	if (rc < 0)
		return err_set(e, -EINTR, "%s" WHY "interrupted; the guest runs on" TRY "interrupt, to stop it",
			       c->cmd->name);
	if (!rc)
		return err_set(e, -ETIMEDOUT, "%s" WHY "the guest still runs" TRY "interrupt, to stop it", c->cmd->name);
	if (j.rc)
		*e = j.err;
	return j.rc ? j.rc : j.finish(c, e);
}

static bool always(void)
{
	return true;
}

void go_interrupt(struct session *s)
{
	/* The machine may have stopped already, for something that is passed over: then it is not to go on. */
	if (s->background)
		s->d.interrupted = always;
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
		if (s->background)
			poll(&p, 1, -1);
	}
	return 0;
}

void go_client_gone(struct client *c)
{
	if (c->s->background && c->s->background->client == c)
		(void)!go_give_up(c->s, NULL);
}
