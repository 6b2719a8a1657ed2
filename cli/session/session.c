/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A session's life: making a machine with an image in it, replacing one by another, telling its clients.
 */
#include "cli/session/session.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/session/changed.h"
#include "cli/session/client.h"
#include "cli/session/go.h"
#include "cli/session/interrupt.h"
#include "cli/session/reload.h"
#include "core/base/memory.h"
#include "views/record.h"

/* ---- what it tells its clients */

static void on_console(void *ctx, const char *bytes, size_t n)
{
	struct session *s = ctx;

	for (struct client *c = s->clients; c; c = c->next)
		if (c->ops->console)
			c->ops->console(c, bytes, n);
}

/* The guest runs on meanwhile: nothing is asked of it here. */
static void on_stall(void *ctx, const struct stall *stall)
{
	_cleanup_pool_ struct pool *pool = pool_create();
	struct session *s = ctx;
	char why[600];

	debug_why_stall(&s->d, stall, why, sizeof(why));
	struct value v = pool ? record_stall(pool, stall, why) : v_null();
	for (struct client *c = s->clients; c && pool; c = c->next)
		if (c->ops->event)
			c->ops->event(c, "no-progress", "no-progress", &v);
}

void session_notice(struct session *s, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (struct client *c = s->clients; c; c = c->next)
		if (c->ops->notice)
			c->ops->notice(c, text);
}

/* ---- looking only */

const char *session_only_look(struct session *s, const char *who)
{
	const char *before = s->looking;

	s->looking = who;
	s->d.points.only_look = who;
	if (s->d.m)
		machine_only_look(s->d.m, who);
	return before;
}

int session_check_not_looking(const struct session *s, const char *what, struct err *e)
{
	if (!s->looking)
		return 0;
	return err_set(e, -EBUSY,
		       "%s" WHY "%s is being worked out, at every stop again; it may only look" TRY
		       "commands N, for what a breakpoint is to do",
		       what, s->looking);
}

/* ---- conditions */

/* The current vCPU is the one that stopped while its condition is worked out. */
static int is_condition_true(void *ctx, const struct stop_point *b, const struct stop *st, struct err *e)
{
	struct session *s = ctx;
	struct client *c = s->active;
	unsigned vcpu = s->vcpu;
	int truth;

	if (!b->condition || !b->condition[0])
		return 1;
	if (interrupt_asked())
		return err_set(e, -EINTR, "condition of breakpoint %d" WHY "interrupted" TRY "c", b->id);
	if (!c || !c->script)
		return err_set(e, -ENOTSUP,
			       "condition of breakpoint %d" WHY "this client has no language to work it out in" TRY
			       "the prompt",
			       b->id);
	const char *before = session_only_look(s, "a condition");
	s->vcpu = st->vcpu;
	truth = c->script->truth(c, b->condition, e);
	s->vcpu = vcpu;
	session_only_look(s, before);
	if (truth < 0)
		err_prefix(e, "condition of breakpoint %d: ", b->id);
	return truth;
}

/* ---- life */

int session_init(struct session *s, const struct session_options *opt, const struct command_table *commands, struct err *e)
{
	memset(s, 0, sizeof(*s));
	s->opt = *opt;
	s->commands = commands;
	s->next_display = 1;
	int ret = debugger_init(&s->d, e);
	if (ret)
		return ret;
	s->d.judge.condition = is_condition_true;
	s->d.judge.condition_ctx = s;
	s->d.interrupted = interrupt_asked;
	return 0;
}

static void free_snaps_and_displays(struct session *s)
{
	for (size_t i = 0; i < s->n_snaps; i++)
		snap_destroy(s->snaps[i].snap);
	snap_destroy(s->stage[0]);
	snap_destroy(s->stage[1]);
	if (s->stops)
		stop_log_clear(s->stops);
	free(s->stops);
	for (size_t i = 0; i < s->n_displays; i++)
		free(s->displays[i].expr);
	free(s->snaps);
	free(s->displays);
}

void session_deinit(struct session *s)
{
	struct machine *m = s->d.m;

	(void)!go_give_up(s, NULL);
	s->d.m = NULL;
	free_snaps_and_displays(s);
	changed_free(s);
	debugger_deinit(&s->d);
	if (m)
		machine_destroy(m);
	image_close(s->image);
	memset(s, 0, sizeof(*s));
}

/* ---- loading */

static int fill_machine(struct image *img, struct machine *m, struct symbols *syms, struct err *e)
{
	int ret = image_make_slots(img, m, e);

	if (!ret)
		ret = image_load(img, m, e);
	if (!ret)
		ret = image_symbols(img, syms, e);
	return ret ? ret : symbols_sort(syms, e);
}

/* Everything a session has of one VM; swapped as a whole. */
struct loaded {
	struct machine *m;
	struct image *image;
	struct symbols syms;
};

static void loaded_deinit(struct loaded *l)
{
	if (l->m)
		machine_destroy(l->m);
	image_close(l->image);
	symbols_deinit(&l->syms);
}

static int make_loaded(struct session *s, const struct image_options *opt, struct loaded *l, struct err *e)
{
	const struct machine_ops *ops;
	struct machine_config cfg = {
	    .emulated_kernel = s->opt.emulated_kernel, .mmio_sptes = s->opt.mmio_sptes, .dirty_ring = opt->dirty_ring};
	int ret = image_open(opt, &l->image, e);

	if (ret)
		return ret;
	ops = backend_choose(s->opt.backend, s->backend_why, sizeof(s->backend_why), e);
	if (!ops)
		return e && e->code ? e->code : -ENODEV;
	cfg.vcpus = image_vcpus(l->image);
	ret = machine_create(ops, &cfg, &l->m, e);
	if (ret)
		return ret;
	machine_console(l->m, on_console, s);
	machine_tell_stalls(l->m, on_stall, s);
	return fill_machine(l->image, l->m, &l->syms, e);
}

static void swap_loaded(struct session *s, struct loaded *l)
{
	struct loaded old = {.m = s->d.m, .image = s->image, .syms = s->d.syms};

	s->d.m = l->m;
	if (l->m)
		machine_ask_interrupted(l->m, interrupt_asked);
	s->image = l->image;
	s->d.syms = l->syms;
	*l = old;
}

static void forget_old_machine(struct session *s)
{
	s->loads++;
	s->vcpu = 0;
	s->d.has_run = false;
	history_clear(&s->d.history);
	if (s->stops)
		stop_log_clear(s->stops);
	memset(&s->d.stop, 0, sizeof(s->d.stop));
	s->last_was_error = false;
	changed_begin(s);
	for (struct client *c = s->clients; c; c = c->next) {
		c->x_next = 0;
		if (c->script)
			c->script->new_symbols(c);
	}
}

/* RAM is taken from the host as the guest touches it, so more than there is may be asked for; a guest that uses all of it
 * then takes it from everybody. */
static void tell_memory(struct session *s, const struct image_options *opt)
{
	uint64_t have = memory_available();
	char pools[100];

	if (opt->memory > have)
		session_notice(
		    s,
		    "%llu MiB of guest RAM, %llu MiB is available on this host%s: pages are taken as the guest touches them",
		    (unsigned long long)opt->memory >> 20, (unsigned long long)have >> 20,
		    memory_pools_words(pools, sizeof(pools)));
}

int session_load(struct session *s, const struct image_options *opt, struct err *e)
{
	struct loaded l = {.m = NULL};
	int ret;

	symbols_init(&l.syms);
	if (e)
		e->code = 0;
	ret = make_loaded(s, opt, &l, e);
	if (!ret) {
		swap_loaded(s, &l);
		ret = reload_breakpoints(s, e);
		if (ret)
			swap_loaded(s, &l);
	}
	if (!ret) {
		s->opt.image = *opt;
		s->opt.image.name = image_name(s->image);
		forget_old_machine(s);
		tell_memory(s, opt);
	}
	loaded_deinit(&l);
	return ret;
}

int session_machine(struct session *s, struct machine **out, struct err *e)
{
	if (!s->d.m)
		return err_set(e, -ENODEV, "VM" WHY "there is none" TRY "load IMAGE");
	*out = s->d.m;
	return 0;
}

struct expr_env session_expr(struct session *s)
{
	return (struct expr_env){.m = s->d.m, .vcpu = s->vcpu, .syms = &s->d.syms};
}

static void put_mmu_events(struct call *c)
{
	_cleanup_(mmu_event_list_free) struct mmu_event_list l = {.v = NULL};

	if (machine_mmu_events(c->s->d.m, &l, NULL))
		return;
	v_put(c->pool, &c->result, "events", record_mmu_events(c->pool, &l));
	if (l.lost)
		v_put(c->pool, &c->result, "lost", v_int((int64_t)l.lost));
}

void session_error(struct session *s, const struct err *e)
{
	s->last_error = *e;
	s->last_was_error = true;
}

void scripts_clear(struct scripts *q)
{
	for (size_t i = 0; i < q->n; i++)
		free(q->v[i]);
	q->n = 0;
}

static void add_commands(struct session *s, struct scripts *pending, int id)
{
	char *script = id > 0 ? judge_commands(&s->d.judge, id) : NULL;

	if (script && pending->n < ARRAY_LEN(pending->v))
		pending->v[pending->n++] = script;
	else
		free(script);
}

/* Of each stop point that the stop is of, in order. */
static void note_commands(struct session *s, struct scripts *pending)
{
	const struct stop *st = &s->d.stop;

	scripts_clear(pending);
	if (!st->n_causes)
		add_commands(s, pending, st->breakpoint);
	for (unsigned i = 0; i < st->n_causes; i++)
		add_commands(s, pending, st->cause[i].id);
}

void session_result_stop(struct call *c)
{
	struct session *s = c->s;
	const struct stop *st = &s->d.stop;
	char why[2048];

	debug_why(&s->d, st, why, sizeof(why));
	c->result = record_stop(c->pool, st, why);
	if (st->reason == STOP_MMU)
		put_mmu_events(c);
	if (s->d.m && st->vcpu < machine_vcpus(s->d.m))
		s->vcpu = st->vcpu;
	s->last_was_error = false;
	note_commands(s, &c->client->pending);
}
