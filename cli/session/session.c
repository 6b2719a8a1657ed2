/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A session's life: choosing a backend, making a machine with an image in it, replacing one by another.
 */
#include "cli/session/session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/session/command.h"
#include "cli/tcl/tcl.h"
#include "cli/session/output.h"
#include "core/soft/soft.h"
#include "kvmback/kvmback.h"
#include "views/record.h"

/* ---- backends */

static int soft_available(struct err *e)
{
	(void)e;
	return 0; /* needs nothing of the host */
}

static const struct backend backends[] = {
    {"kvm", BACKEND_KVM, &kvm_backend, kvmback_available},
    {"soft", BACKEND_SOFT, &soft_backend, soft_available},
};

const struct backend *session_backends(size_t *n)
{
	*n = ARRAY_LEN(backends);
	return backends;
}

static const struct backend *named_backend(enum backend_choice choice)
{
	for (size_t i = 0; i < ARRAY_LEN(backends); i++)
		if (backends[i].choice == choice)
			return &backends[i];
	return &backends[0];
}

/* The first that works; where none does, the first one's reason is the one to act on. */
static const struct backend *choose_backend(struct session *s, struct err *e)
{
	static char why[720];
	struct err first, other;

	if (s->opt.backend != BACKEND_AUTO) {
		const struct backend *b = named_backend(s->opt.backend);
		s->backend_why = "asked for";
		return b->available(e) ? NULL : b;
	}
	if (!backends[0].available(&first)) {
		s->backend_why = "/dev/kvm opens";
		return &backends[0];
	}
	for (size_t i = 1; i < ARRAY_LEN(backends); i++)
		if (!backends[i].available(&other)) {
			snprintf(why, sizeof(why), "%s: %s", first.what, first.why);
			s->backend_why = why;
			return &backends[i];
		}
	if (e)
		*e = first;
	return NULL;
}

/* ---- life */

static void on_console(void *ctx, const char *bytes, size_t n)
{
	struct session *s = ctx;
	FILE *to = s->opt.json ? stderr : stdout;

	tcl_flush();
	(void)output_put(to, bytes, n); /* where it is gone, the next command says so */
}

int session_init(struct session *s, const struct options *opt, struct err *e)
{
	int ret;

	memset(s, 0, sizeof(*s));
	s->opt = *opt;
	s->next_display = 1;
	ret = debugger_init(&s->d, e);
	if (ret)
		return ret;
	s->d.judge.condition = tcl_condition;
	s->d.judge.condition_ctx = s;
	s->d.interrupted = session_interrupted;
	ret = tcl_init(s, e);
	if (ret)
		session_deinit(s);
	return ret;
}

static void free_snaps_and_displays(struct session *s)
{
	for (size_t i = 0; i < s->n_snaps; i++)
		snap_destroy(s->snaps[i].snap);
	snap_destroy(s->stage[0]);
	snap_destroy(s->stage[1]);
	for (size_t i = 0; i < s->n_displays; i++)
		free(s->displays[i].expr);
	free(s->snaps);
	free(s->displays);
	free(s->repeat);
}

void session_deinit(struct session *s)
{
	scripts_clear(&s->pending);
	struct machine *m = s->d.m;

	s->d.m = NULL;
	tcl_deinit(s);
	free_snaps_and_displays(s);
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
	const struct backend *b;
	struct machine_config cfg = {.emulated_kernel = s->opt.emulated_kernel, .mmio_sptes = s->opt.mmio_sptes};
	int ret = image_open(opt, &l->image, e);

	if (ret)
		return ret;
	b = choose_backend(s, e);
	if (!b)
		return e && e->code ? e->code : -ENODEV;
	cfg.vcpus = image_vcpus(l->image);
	ret = machine_create(b->ops, &cfg, &l->m, e);
	if (ret)
		return ret;
	machine_console(l->m, on_console, s);
	return fill_machine(l->image, l->m, &l->syms, e);
}

static void swap_loaded(struct session *s, struct loaded *l)
{
	struct loaded old = {.m = s->d.m, .image = s->image, .syms = s->d.syms};

	s->d.m = l->m;
	if (l->m)
		machine_ask_interrupted(l->m, session_interrupted);
	s->image = l->image;
	s->d.syms = l->syms;
	*l = old;
}

/* Where a breakpoint was before a load, so that a load that fails changes nothing. */
struct kept {
	uint64_t addr;
	bool enabled;
};

/* Breakpoints at symbols go where the new image has those; one whose symbol it has not is disabled, because its old address
 * may now be the middle of an instruction. Addresses that are numbers stay. */
static void resolve_breakpoints(struct session *s)
{
	struct expr_env numbers = {.m = NULL, .syms = NULL}, now = {.m = NULL, .syms = &s->d.syms};

	for (size_t i = 0; i < s->d.points.n; i++) {
		struct stop_point *b = s->d.points.v[i];
		const char *text = b->at + strspn(b->at, "* ");
		uint64_t addr;

		if (b->kind == POINT_CATCH && !b->event && b->enabled && point_fault_place(s->d.m, &b->fault, NULL)) {
			b->enabled = false;
			fprintf(stderr, "catch %d disabled: the new image has no memory there (%s)\n", b->id, b->at);
		}
		if (b->kind == POINT_CATCH || strchr(text, '$') || !expr_eval(&numbers, text, &addr, NULL))
			continue;
		if (!expr_eval(&now, text, &addr, NULL)) {
			b->addr = addr;
		} else if (b->enabled) {
			b->enabled = false;
			fprintf(stderr, "%s %d disabled: the new image has no %s\n", point_kind_name(b->kind), b->id, text);
		}
	}
}

static struct kept *keep_breakpoints(const struct point_table *t)
{
	struct kept *k = calloc(t->n + 1, sizeof(*k));

	for (size_t i = 0; k && i < t->n; i++)
		k[i] = (struct kept){.addr = t->v[i]->addr, .enabled = t->v[i]->enabled};
	return k;
}

static int move_breakpoints(struct session *s, struct err *e)
{
	_cleanup_free_ struct kept *kept = keep_breakpoints(&s->d.points);
	int ret;

	if (!kept)
		return err_nomem(e, "load");
	resolve_breakpoints(s);
	ret = points_arm(&s->d.points, s->d.m, e);
	for (size_t i = 0; ret && i < s->d.points.n; i++) {
		s->d.points.v[i]->addr = kept[i].addr;
		s->d.points.v[i]->enabled = kept[i].enabled;
	}
	return ret;
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
		ret = move_breakpoints(s, e);
		if (ret)
			swap_loaded(s, &l);
	}
	if (!ret) {
		s->opt.image = *opt;
		s->opt.image.name = image_name(s->image);
		tcl_symbols_changed();
		s->vcpu = 0;
		s->x_next = 0;
		s->d.has_run = false;
		history_clear(&s->d.history);
		memset(&s->d.stop, 0, sizeof(s->d.stop));
		s->last_was_error = false; /* it was about a machine that is gone */
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

static void add_commands(struct session *s, int id)
{
	char *script = id > 0 ? judge_commands(&s->d.judge, id) : NULL;

	if (script && s->pending.n < ARRAY_LEN(s->pending.v))
		s->pending.v[s->pending.n++] = script;
	else
		free(script);
}

static void note_commands(struct session *s, const struct stop *st)
{
	scripts_clear(&s->pending);
	if (!st->n_causes)
		add_commands(s, st->breakpoint);
	for (unsigned i = 0; i < st->n_causes; i++)
		add_commands(s, st->cause[i].id);
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
	note_commands(s, st);
	if (s->stopped)
		s->stopped(s);
}
