/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Phases, the runner's thread, and vCPUs that stand still inside faults. The queue is in queue.c.
 *
 * Who may do what: `phase` is changed by the client's thread alone, but for GOING to STOPPING, which run_interrupt() makes
 * from anywhere, a signal handler included. `job`, `stop`, `rc` and `err` belong to whoever executes the run, and to the
 * client before it is handed over and after it has ended; the queue's lock orders the two.
 */
#include "core/run/run.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "core/base/lock.h"
#include "core/run/queue.h"

static void set_phase(struct run *r, enum run_phase to)
{
	enum run_phase from = atomic_load(&r->phase);

	do
		assert(run_phase_may_follow(from, to));
	while (!atomic_compare_exchange_weak(&r->phase, &from, to));
}

void run_interrupt(struct run *r)
{
	enum run_phase going = RUN_GOING;

	atomic_store(&r->asked, true);
	(void)atomic_compare_exchange_strong(&r->phase, &going, RUN_STOPPING);
	if (run_is_going(r))
		r->ops->kick(r->ctx);
}

void run_ask_interrupted(struct run *r, bool (*interrupted)(void))
{
	r->interrupted = interrupted;
}

const struct run_job *run_last_job(const struct run *r)
{
	return &r->job;
}

/* ---- the runner */

static void execute(struct run *r)
{
	r->rc = r->ops->enter(r->ctx, &r->job, &r->stop, &r->err);
}

static bool await_go(struct run *r)
{
	LOCK_SCOPE(&r->queue.lock);
	while (!r->go && !r->quit)
		lock_wait(&r->wake, &r->queue.lock);
	r->go = false;
	return !r->quit;
}

static void *runner(void *arg)
{
	struct run *r = arg;

	if (r->ops->thread_begin)
		r->ops->thread_begin(r->ctx);
	while (await_go(r)) {
		execute(r);
		queue_end(&r->queue);
	}
	return NULL;
}

static int runner_start(struct run *r, struct err *e)
{
	sigset_t all, old;

	if (r->has_thread)
		return 0;
	/* Ctrl-C and the rest belong to the client's thread. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	int rc = pthread_create(&r->thread, NULL, runner, r);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc)
		return err_errno(e, rc, "run" WHY "no thread to run the guest" TRY "fewer processes");
	r->has_thread = true;
	r->cpu = -1;
	return 0;
}

/* If vCPUs stand still inside faults, the client's thread and the runner take turns at every stage. Waking a CPU that
 * sleeps takes longer than all the rest of one, so the runner is kept where the client is. */
static void keep_near(struct run *r)
{
	int cpu = sched_getcpu();
	cpu_set_t set;

	if (!r->parks || !r->ops->near || !r->ops->near(r->ctx) || cpu == r->cpu || cpu < 0 || cpu >= CPU_SETSIZE)
		return;
	CPU_ZERO(&set);
	CPU_SET((unsigned)cpu, &set);
	if (!pthread_setaffinity_np(r->thread, sizeof(set), &set))
		r->cpu = cpu;
}

static void wake_runner(struct run *r, bool *what)
{
	LOCK_SCOPE(&r->queue.lock);
	*what = true;
	pthread_cond_signal(&r->wake);
}

/* ---- beginning */

static void sync_epoll(struct run *r)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int fd = r->ops->park_fd ? r->ops->park_fd(r->ctx) : -1;

	/* A descriptor that was closed has left the set by itself; one that is in it is refused. */
	if (r->epoll >= 0 && fd >= 0)
		(void)epoll_ctl(r->epoll, EPOLL_CTL_ADD, fd, &ev);
}

static int begin(struct run *r, const struct run_job *job, struct err *e)
{
	int rc = 0;

	r->job = *job;
	r->released = RUN_RELEASE_NONE;
	r->stop = (struct stop){.slot = -1};
	r->rc = 0;
	err_clear(&r->err);
	r->parks = r->ops->may_park && r->ops->may_park(r->ctx, &r->job);
	r->on_runner = r->parks || r->where == RUN_RUNNER;
	if (r->on_runner)
		rc = runner_start(r, e);
	if (rc)
		return rc;
	set_phase(r, RUN_GOING);
	if (r->interrupted && r->interrupted())
		atomic_store(&r->asked, true);
	if (r->on_runner && r->ops->runner_begin)
		rc = r->ops->runner_begin(r->ctx, &r->job, r->parks, e);
	if (rc) {
		r->parks = false;
		set_phase(r, RUN_STOPPED);
		return rc;
	}
	sync_epoll(r);
	if (!r->on_runner) {
		r->lent = true;
		return 0;
	}
	keep_near(r);
	wake_runner(r, &r->go);
	return 0;
}

static void release(struct run *r, enum run_release how)
{
	r->released = how;
	set_phase(r, RUN_GOING);
	if (how == RUN_RELEASE_ABANDON)
		atomic_store(&r->asked, true);
	keep_near(r);
	if (r->ops->release) {
		r->ops->release(r->ctx, how);
		return;
	}
	LOCK_SCOPE(&r->queue.lock);
	r->park = PARK_NONE;
	r->park_release = how;
	pthread_cond_broadcast(&r->queue.room);
}

static int check_start(const struct run *r, enum run_kind kind, struct err *e)
{
	static const char *const what[] = {
	    [RUN_CONTINUE] = "continue", [RUN_STEP] = "step", [RUN_STAGE] = "continue", [RUN_REPLAY] = "going back"};
	enum run_ask ask = kind == RUN_REPLAY ? RUN_ASK_IDLE : RUN_ASK_STOPPED;

	return run_phase_check(run_phase(r), ask, false, r->parked_vcpu, what[kind], e);
}

int run_start(struct run *r, const struct run_job *job, enum run_where where, struct err *e)
{
	static const enum run_release how[] = {
	    [RUN_CONTINUE] = RUN_RELEASE_FAULT, [RUN_STEP] = RUN_RELEASE_ABANDON, [RUN_STAGE] = RUN_RELEASE_STAGE};
	int rc = check_start(r, job->kind, e);

	if (rc)
		return rc;
	r->client = pthread_self();
	atomic_store(&r->has_client, true);
	r->where = where;
	r->has_next = false;
	if (run_phase(r) != RUN_PARKED)
		return begin(r, job, e);
	r->next = *job;
	r->has_next = job->kind != RUN_STAGE;
	release(r, how[job->kind]);
	return 0;
}

/* ---- what has come of it */

/* A vCPU was let out of a fault for the sake of another job: is that one still to be run? */
static bool next_is_due(struct run *r)
{
	if (!r->has_next || r->rc)
		return false;
	r->has_next = false;
	if (r->released == RUN_RELEASE_FAULT)
		return r->stop.reason == STOP_STEP;
	return r->stop.reason == STOP_INTERRUPTED &&
	       !(r->ops->abandoned_late && r->ops->abandoned_late(r->ctx, &r->next, &r->stop));
}

static int finish(struct run *r, struct stop *out, struct err *e)
{
	if (r->on_runner && r->ops->runner_end)
		r->ops->runner_end(r->ctx, &r->stop, r->parks);
	r->parks = false;
	bool more = next_is_due(r);
	r->has_next = false;
	set_phase(r, RUN_STOPPED);
	atomic_store(&r->asked, false);
	if (more) {
		r->next.quiet = r->released == RUN_RELEASE_ABANDON;
		return begin(r, &r->next, e);
	}
	if (r->rc) {
		if (e)
			*e = r->err;
		return r->rc;
	}
	*out = r->stop;
	return 1;
}

static bool take_posted(struct run *r, struct stop *out)
{
	LOCK_SCOPE(&r->queue.lock);
	if (r->park != PARK_POSTED)
		return false;
	r->park = PARK_TAKEN;
	*out = r->park_stop;
	return true;
}

/* Does a vCPU stand still inside a fault now? */
static bool look_for_parked(struct run *r, struct stop *out)
{
	bool parked = r->ops->park_look ? r->parks && r->ops->park_look(r->ctx, out) : take_posted(r, out);

	if (!parked)
		return false;
	r->parked_vcpu = out->vcpu;
	set_phase(r, RUN_PARKED);
	atomic_store(&r->asked, false);
	return true;
}

int run_poll(struct run *r, struct stop *out, struct err *e)
{
	run_serve(r);
	if (!run_is_going(r) || r->lent)
		return 0;
	bool parked = r->on_runner && look_for_parked(r, out);
	if (!parked && !queue_take_end(&r->queue))
		return 0;
	/* What came between the first look and the stop comes before the stop. */
	run_serve(r);
	return parked ? 1 : finish(r, out, e);
}

/* ---- waiting */

static int wait_for_news(const struct run *r)
{
	struct pollfd p[2] = {{.fd = r->queue.fd, .events = POLLIN},
			      {.fd = r->parks && r->ops->park_fd ? r->ops->park_fd(r->ctx) : -1, .events = POLLIN}};

	return poll(p, 2, -1);
}

/* Nobody tells any more when something happens: fetch the guest out and look again and again. What it stops for by itself is
 * a stop as any. */
static int give_up_waiting(struct run *r, int why, struct stop *out, struct err *e)
{
	struct timespec pause = {.tv_nsec = 1000000};
	struct stop stop = {.reason = STOP_INTERRUPTED};
	bool asked = run_asked(r) && r->released != RUN_RELEASE_ABANDON;
	int rc = 0;

	r->has_next = false;
	while (!rc) {
		run_interrupt(r);
		nanosleep(&pause, NULL);
		rc = run_poll(r, &stop, e);
		if (run_phase(r) == RUN_PARKED) {
			release(r, RUN_RELEASE_ABANDON);
			rc = 0;
		}
	}
	if (rc < 0)
		return rc;
	if (stop.reason != STOP_INTERRUPTED || asked) {
		*out = stop;
		return 0;
	}
	return err_errno(e, why, "run" WHY "poll, for the guest, which was therefore stopped" TRY "c, to go on");
}

int run_wait(struct run *r, struct stop *out, struct err *e)
{
	for (;;) {
		if (r->lent) {
			r->lent = false;
			execute(r);
			run_serve(r);
			int rc = finish(r, out, e);
			if (rc)
				return rc < 0 ? rc : 0;
			continue;
		}
		int rc = run_poll(r, out, e);
		if (rc)
			return rc < 0 ? rc : 0;
		if (r->lent)
			continue;
		assert(run_is_going(r));
		if (wait_for_news(r) < 0 && errno != EINTR)
			return give_up_waiting(r, errno, out, e);
	}
}

int run_fd(struct run *r)
{
	struct epoll_event ev = {.events = EPOLLIN};

	if (r->epoll >= 0)
		return r->epoll;
	r->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (r->epoll >= 0 && epoll_ctl(r->epoll, EPOLL_CTL_ADD, r->queue.fd, &ev) < 0)
		util_closep(&r->epoll);
	sync_epoll(r);
	return r->epoll;
}

/* ---- standing still */

enum run_release run_park(struct run *r, const struct stop *stop)
{
	struct run_queue *q = &r->queue;

	LOCK_SCOPE(&q->lock);
	r->park_stop = *stop;
	r->park = PARK_POSTED;
	queue_tell(q);
	while (r->park != PARK_NONE)
		lock_wait(&q->room, &q->lock);
	return r->park_release;
}

void run_abandon(struct run *r)
{
	struct stop ignored;
	struct err e;

	if (run_phase(r) != RUN_PARKED)
		return;
	r->has_next = false;
	release(r, RUN_RELEASE_ABANDON);
	if (run_wait(r, &ignored, &e) < 0)
		return;
	/* Kicked on its way out it may have come to the next armed page. */
	run_abandon(r);
}

/* ---- life */

int run_init(struct run *r, const struct run_ops *ops, void *ctx, struct err *e)
{
	int rc = queue_init(&r->queue, e);

	if (rc)
		return rc;
	r->ops = ops;
	r->ctx = ctx;
	r->epoll = -1;
	pthread_cond_init(&r->wake, NULL);
	atomic_init(&r->phase, RUN_STOPPED);
	return 0;
}

/* A run of the runner's that nobody waits for any more. */
static void fetch_out(struct run *r)
{
	struct stop ignored;
	struct err e;

	if (r->lent) {
		r->lent = false;
		set_phase(r, RUN_STOPPED);
	}
	r->has_next = false;
	while (run_is_going(r)) {
		run_interrupt(r);
		(void)!run_wait(r, &ignored, &e);
		run_abandon(r);
	}
}

void run_close(struct run *r)
{
	r->console = NULL;
	run_abandon(r);
	fetch_out(r);
	queue_close(&r->queue);
	if (r->has_thread) {
		wake_runner(r, &r->quit);
		pthread_join(r->thread, NULL);
		r->has_thread = false;
	}
	set_phase(r, RUN_GONE);
}

void run_deinit(struct run *r)
{
	util_closep(&r->epoll);
	pthread_cond_destroy(&r->wake);
	queue_deinit(&r->queue);
}
