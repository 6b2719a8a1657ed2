/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * `report`: everything about this moment as one HTML page, and the log of stops that goes into it. Here the parts are put
 * together, most of them by asking the commands that have them; views/html draws.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/cmd/args.h"
#include "cli/cmd/map.h"
#include "cli/cmd/mmu.h"
#include "cli/cmd/report.h"
#include "cli/cmd/run.h"
#include "cli/cmd/sink.h"
#include "cli/cmd/table.h"
#include "cli/session/interrupt.h"
#include "cli/session/session.h"
#include "views/html/html.h"
#include "views/record.h"

/* ---- the parts */

/* The value of a command without words, or why there is none. */
static struct value ask(struct call *c, const char *first, const char *second)
{
	const char *const words[] = {first, second}, *format;
	struct err e = {0};
	int used;
	const struct command *cmd = command_find(c->s->commands, second ? 2 : 1, words, true, &used, &format, &e);
	struct call sub = {.s = c->s, .client = c->client, .cmd = cmd, .argv = words + used, .pool = c->pool};

	if (!cmd || cmd->run(&sub, &e))
		return v_na(c->pool, err_reason(&e));
	return sub.result;
}

static struct value stop_now(struct call *c)
{
	const struct stop *st = &c->s->d.stop;
	char why[2048];

	debug_why(&c->s->d, st, why, sizeof(why));
	return record_stop(c->pool, st, why);
}

static struct value regions_now(struct call *c)
{
	struct value v;
	struct err e = {0};

	return map_regions(c, false, &v, &e) ? v_na(c->pool, err_reason(&e)) : v;
}

static struct value date_now(struct call *c)
{
	time_t now = time(NULL);
	struct tm tm;
	char text[64];

	if (!localtime_r(&now, &tm) || !strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %z", &tm))
		return v_lit("");
	return v_str(c->pool, text);
}

static struct value trace_now(struct call *c)
{
	const struct stop_log *l = c->s->stops;
	struct value d = v_dict(c->pool, 2), rows = v_list(c->pool, l->n);

	for (size_t i = 0; i < l->n; i++)
		v_push(c->pool, &rows, record_trace_stop(c->pool, &l->v[i]));
	v_put(c->pool, &d, "rows", rows);
	v_put(c->pool, &d, "left_out", v_int((int64_t)l->lost));
	return d;
}

static void put(struct call *c, struct value *page, const char *key, struct value v)
{
	v_put(c->pool, page, key, v);
}

/* A section of its own where the host has such tables. */
static void put_tdp(struct call *c, struct value *page)
{
	struct value v = ask(c, "info", "tdp");
	const struct value *mmu = v.type == VALUE_DICT ? v_get(&v, "mmu") : NULL;

	if (mmu && strcmp(mmu->str, tdp_kind_name(TDP_NONE)))
		put(c, page, "tdp", v);
}

static int collect(struct call *c, struct value *page, struct err *e)
{
	const char *why = mmu_without_rmaps(c);

	put(c, page, "title",
	    v_strf(c->pool, "%s on %s", c->s->opt.image.name ? c->s->opt.image.name : "a VM", machine_backend(c->s->d.m)));
	put(c, page, "version", v_lit(KVMSCOPE_VERSION));
	put(c, page, "date", date_now(c));
	put(c, page, "stop", stop_now(c));
	put(c, page, "map", regions_now(c));
	put(c, page, "slots", ask(c, "info", "slots"));
	put(c, page, "guest", report_guest(c));
	put_tdp(c, page);
	put(c, page, "sptes", report_sptes(c));
	put(c, page, "pages", report_pages(c));
	put(c, page, "chains", why ? v_na(c->pool, why) : report_chains(c));
	put(c, page, "rmaps", why ? v_na(c->pool, why) : ask(c, "info", "rmaps"));
	put(c, page, "mmio", ask(c, "info", "mmio"));
	put(c, page, "fault", ask(c, "fault", "show"));
	put(c, page, "registers", ask(c, "info", "registers"));
	put(c, page, "vcpus", ask(c, "info", "vcpus"));
	put(c, page, "breakpoints", ask(c, "info", "breakpoints"));
	put(c, page, "vm", ask(c, "vm", NULL));
	put(c, page, "facts", ask(c, "info", "kvm"));
	if (c->s->stops)
		put(c, page, "trace", trace_now(c));
	if (interrupt_asked())
		return err_set(e, -EINTR, "report" WHY "interrupted" TRY "again, and wait");
	return pool_failed(c->pool) ? err_nomem(e, "report") : 0;
}

/* The machine stands still for as long as it is looked at, and what has been read of it once is good until the end. */
static int collect_at_once(struct call *c, struct value *page, struct err *e)
{
	_cleanup_hold_ struct machine_hold hold = {NULL};
	struct machine *m = c->s->d.m;
	bool share = !machine_running(m);

	if (machine_look_begin(m, &hold, NULL))
		hold.m = NULL;
	if (share)
		machine_share_reads(m, true);
	int ret = collect(c, page, e);
	if (share)
		machine_share_reads(m, false);
	return ret;
}

static int write_page(const char *path, const struct out *o, struct err *e)
{
	struct sink k;
	int ret;

	if (o->failed)
		return err_nomem(e, "report");
	ret = sink_open(&k, "report", path, e);
	return ret ? ret : sink_close(&k, sink_write(&k, o->text, o->len, e), e);
}

static int write_report(struct call *c, const char *path, struct err *e)
{
	struct value page = v_dict(c->pool, 24);
	struct out o;
	int ret = collect_at_once(c, &page, e);

	if (ret)
		return ret;
	out_init(&o, false, 0);
	html_report(&o, &page);
	ret = write_page(path, &o, e);
	if (!ret) {
		v_put(c->pool, &c->result, "file", v_str(c->pool, path));
		v_put(c->pool, &c->result, "len", v_int((int64_t)o.len));
	}
	out_deinit(&o);
	return ret;
}

/* ---- the log of stops */

void report_note_stop(struct session *s)
{
	char why[2048];

	if (!s->stops || !s->d.m)
		return;
	debug_why(&s->d, &s->d.stop, why, sizeof(why));
	(void)!stop_log_add(s->stops, s->d.m, &s->d.stop, why, NULL); /* what is lost is counted there */
}

static int trace_on(struct session *s, struct err *e)
{
	if (s->stops)
		return 0;
	s->stops = calloc(1, sizeof(*s->stops));
	if (!s->stops)
		return err_nomem(e, "report -trace");
	report_note_stop(s);
	return 0;
}

static void trace_off(struct session *s)
{
	if (s->stops)
		stop_log_clear(s->stops);
	free(s->stops);
	s->stops = NULL;
}

static int report_words(struct call *c, const char **path, bool *trace, bool *off, struct err *e)
{
	struct args a;
	int ret = args_init(&a, c, e);

	if (ret)
		return ret;
	*trace = args_flag(&a, "-trace");
	*off = args_flag(&a, "-notrace");
	if (args_more(&a) || !(*trace || *off))
		ret = args_word(&a, "FILE", path, e);
	if (!ret)
		ret = args_end(&a, e);
	if (!ret && *path && **path == '-')
		ret = err_set(e, -EINVAL, "report" WHY "it has no option %.40s" TRY "report FILE.html, or ./%.40s", *path,
			      *path);
	if (!ret && *trace && *off)
		ret = err_set(e, -EINVAL, "report" WHY "-trace and -notrace contradict each other" TRY "one of them");
	return ret;
}

static int run_report(struct call *c, struct err *e)
{
	const char *path = NULL;
	bool trace = false, off = false;
	int ret = report_words(c, &path, &trace, &off, e);

	if (!ret && trace)
		ret = trace_on(c->s, e);
	c->result = v_dict(c->pool, 4);
	if (!ret && path)
		ret = write_report(c, path, e);
	if (ret) {
		c->result = v_null();
		return ret;
	}
	if (off)
		trace_off(c->s);
	v_put(c->pool, &c->result, "trace", v_bool(c->s->stops));
	if (c->s->stops)
		v_put(c->pool, &c->result, "stops", v_int((int64_t)(c->s->stops->n + c->s->stops->lost)));
	return 0;
}

const struct command commands_report[] = {
    {.name = "report",
     .group = "session",
     .usage = "[FILE.html] [-trace | -notrace]",
     .summary = "this moment as one HTML page: maps, tables, chains, registers, why it stopped",
     .help =
	 "FILE is written as one page that needs nothing else, for a browser or for paper: the stop, a picture of the "
	 "guest physical space, slots, the guest's own tables and the shadow tables to unfold, rmap chains longer than "
	 "one, MMIO caches, the last fault's stages, registers, breakpoints, the host. What cannot be read says why; what "
	 "is too much is counted.\n\n-trace: from now on each stop is put down, too: shadow pages, sptes, rmaps, the "
	 "longest chain, what changed. A report has these then, as charts and a table. This costs a snapshot at each stop; "
	 "1000 stops are kept. -notrace forgets them.\n\nGives file, len, trace, stops.\n\n    report -trace; run; report "
	 "tour.html",
     .flags = CMD_NEEDS_VM,
     .complete = COMPLETE_FILE,
     .words = "-trace -notrace",
     .run = run_report},
    {0},
};
