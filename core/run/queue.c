/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What happens while a run is executed, on its way to the client's thread, in order.
 */
#include "core/run/queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/base/lock.h"

int queue_init(struct run_queue *q, struct err *e)
{
	q->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (q->fd < 0)
		return err_errno(e, errno, "create a VM" WHY "eventfd" TRY "a higher ulimit -n");
	q->bytes = malloc(RUN_CONSOLE_MAX);
	if (!q->bytes) {
		util_closep(&q->fd);
		return err_nomem(e, "create a VM");
	}
	lock_init(&q->lock, LOCK_RUN_QUEUE);
	pthread_cond_init(&q->room, NULL);
	return 0;
}

void queue_deinit(struct run_queue *q)
{
	pthread_cond_destroy(&q->room);
	lock_destroy(&q->lock);
	free(q->bytes);
	util_closep(&q->fd);
}

void queue_tell(struct run_queue *q)
{
	uint64_t one = 1;

	/* In this order: who finds news reads the descriptor, and must not leave it readable with no news. */
	(void)!write(q->fd, &one, sizeof(one)); /* takes eight bytes as long as it is open */
	atomic_store(&q->news, true);
}

void queue_close(struct run_queue *q)
{
	LOCK_SCOPE(&q->lock);
	q->closed = true;
	pthread_cond_broadcast(&q->room);
}

void queue_end(struct run_queue *q)
{
	LOCK_SCOPE(&q->lock);
	q->ended = true;
	queue_tell(q);
}

bool queue_take_end(struct run_queue *q)
{
	LOCK_SCOPE(&q->lock);
	bool ended = q->ended;

	q->ended = false;
	return ended;
}

/* ---- on the client's thread */

static bool on_client(const struct run *r)
{
	return !atomic_load(&((struct run *)(uintptr_t)r)->has_client) || pthread_equal(r->client, pthread_self());
}

static size_t take_bytes(struct run_queue *q, char *buf, size_t size)
{
	LOCK_SCOPE(&q->lock);
	size_t n = q->n_bytes < size ? q->n_bytes : size;

	memcpy(buf, q->bytes, n);
	memmove(q->bytes, q->bytes + n, q->n_bytes - n);
	q->n_bytes -= n;
	if (n)
		pthread_cond_broadcast(&q->room);
	return n;
}

static void deliver_bytes(struct run *r)
{
	char part[1024];
	size_t n;

	while ((n = take_bytes(&r->queue, part, sizeof(part))))
		if (r->console)
			r->console(r->console_ctx, part, n);
}

static bool take_stall(struct run_queue *q, struct stall *out)
{
	LOCK_SCOPE(&q->lock);
	if (!q->n_stalls)
		return false;
	*out = q->stall[0];
	q->n_stalls--;
	memmove(q->stall, q->stall + 1, q->n_stalls * sizeof(q->stall[0]));
	return true;
}

static void deliver_stalls(struct run *r)
{
	struct stall s;

	while (take_stall(&r->queue, &s))
		if (r->stalled)
			r->stalled(r->stalled_ctx, &s);
}

static struct run_queue_call waiting_call(struct run_queue *q)
{
	LOCK_SCOPE(&q->lock);
	return q->call;
}

static void end_call(struct run_queue *q)
{
	LOCK_SCOPE(&q->lock);
	q->call.fn = NULL;
	pthread_cond_broadcast(&q->room);
}

static void deliver_call(struct run_queue *q)
{
	struct run_queue_call call = waiting_call(q);

	if (!call.fn)
		return;
	call.fn(call.ctx);
	end_call(q);
}

void run_serve(struct run *r)
{
	uint64_t n;

	if (!atomic_exchange(&r->queue.news, false))
		return;
	(void)!read(r->queue.fd, &n, sizeof(n));
	deliver_bytes(r);
	deliver_stalls(r);
	deliver_call(&r->queue);
}

/* ---- from any thread */

bool run_on_client(const struct run *r)
{
	return on_client(r);
}

void run_call(struct run *r, void (*fn)(void *ctx), void *ctx)
{
	struct run_queue *q = &r->queue;

	if (on_client(r)) {
		fn(ctx);
		return;
	}
	LOCK_SCOPE(&q->lock);
	if (q->closed)
		return;
	q->call = (struct run_queue_call){fn, ctx};
	queue_tell(q);
	while (q->call.fn && !q->closed)
		lock_wait(&q->room, &q->lock);
	q->call.fn = NULL;
}

static size_t append(struct run_queue *q, const char *bytes, size_t n)
{
	size_t room = RUN_CONSOLE_MAX - q->n_bytes, part = n < room ? n : room;

	memcpy(q->bytes + q->n_bytes, bytes, part);
	q->n_bytes += part;
	return part;
}

void run_console(struct run *r, const char *bytes, size_t n)
{
	struct run_queue *q = &r->queue;

	if (on_client(r)) {
		run_serve(r);
		if (r->console)
			r->console(r->console_ctx, bytes, n);
		return;
	}
	LOCK_SCOPE(&q->lock);
	while (n && !q->closed) {
		size_t part = append(q, bytes, n);
		bytes += part;
		n -= part;
		queue_tell(q);
		if (r->ops->nudge)
			r->ops->nudge(r->ctx);
		if (n)
			lock_wait(&q->room, &q->lock);
	}
}

void run_stalled(struct run *r, const struct stall *s)
{
	struct run_queue *q = &r->queue;

	if (on_client(r)) {
		if (r->stalled)
			r->stalled(r->stalled_ctx, s);
		return;
	}
	LOCK_SCOPE(&q->lock);
	if (q->closed || q->n_stalls == RUN_STALLS_MAX)
		return;
	q->stall[q->n_stalls++] = *s;
	queue_tell(q);
	if (r->ops->nudge)
		r->ops->nudge(r->ctx);
}
