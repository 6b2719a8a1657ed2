/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Carrying out lines.
 *
 * At the prompt every command's value is drawn as soon as it is there; with -j a line prints the last one's, once it is
 * known that the whole line succeeded.
 */
#include "cli/session/exec.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "cli/tcl/line.h"
#include "cli/prompt/pager.h"
#include "cli/prompt/signals.h"
#include "cli/tcl/tcl.h"
#include "cli/session/output.h"
#include "views/json.h"

/* A line under way. */
struct line_run {
	struct session *s;
	struct pool *pool;
	struct value value; /* the last command's */
	bool silent;	    /* a breakpoint's commands with -j */
};

unsigned exec_width(const struct session *s)
{
	struct winsize w;

	if (!s->color && !s->interactive)
		return 0;
	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) || !w.ws_col ? 0 : w.ws_col;
}

bool exec_show(struct session *s, const char *text, size_t len)
{
	if (s->out_gone || !len)
		return !s->out_gone;
	tcl_flush();
	if (s->interactive && !s->opt.batch && pager_show(text, len))
		return true;
	int rc = output_put(stdout, text, len);
	if (!rc)
		return true;
	if (rc != -EPIPE)
		fprintf(stderr, "error: standard output: %s; try another place for the output\n", strerror(-rc));
	s->out_gone = true;
	s->quit = true;
	s->exit_status = 1;
	return false;
}

static void show_value(struct session *s, const char *view, const struct value *v)
{
	struct out o;

	out_init(&o, s->color, exec_width(s));
	o.ascii = !out_locale_is_utf8();
	view_draw(&o, view, v);
	if (o.len && o.text[o.len - 1] != '\n')
		out_text(&o, "\n");
	exec_show(s, o.text, o.len);
	out_deinit(&o);
}

static void show_json(struct session *s, const struct value *v)
{
	struct out o;

	out_init(&o, false, 0);
	json_write(&o, v);
	out_text(&o, "\n");
	exec_show(s, o.text, o.len);
	out_deinit(&o);
}

void exec_report(struct session *s, const struct err *e)
{
	char text[1100];

	session_error(s, e);
	tcl_flush();
	err_format(e, text, sizeof(text) - 1);
	for (char *p = text; *p; p++)
		if (*p == '\n' || *p == '\r')
			*p = ' ';
	strcat(text, "\n");
	(void)output_put(stderr, text, strlen(text));
}

int exec_command(struct call *c, struct err *e)
{
	int ret = command_run(c, e);

	if (ret && !e->code)
		e->code = ret;
	if (!ret)
		return 0;
	session_error(c->s, e);
	return ret;
}

/* ---- what line.c calls */

/* "x/8gx 0x1000" goes on behind what it showed, so it is repeated without its address. */
static void remember(struct session *s, const struct command *cmd, const char *format, int argc, const char *const *argv)
{
	bool goes_on = cmd->flags & CMD_FORMAT;
	size_t size = strlen(cmd->name) + (format ? strlen(format) : 0) + 3;

	free(s->repeat);
	s->repeat = NULL;
	if (!(cmd->flags & CMD_REPEATS))
		return;
	for (int i = 0; i < argc && !goes_on; i++)
		size += strlen(argv[i]) + 1;
	s->repeat = malloc(size);
	if (!s->repeat)
		return;
	int at = snprintf(s->repeat, size, "%s%s%s", cmd->name, format ? "/" : "", format ? format : "");
	for (int i = 0; i < argc && !goes_on; i++)
		at += snprintf(s->repeat + at, size - (size_t)at, " %s", argv[i]);
}

static int line_command(void *ctx, const struct command *cmd, const char *format, int argc, const char *const *argv,
			struct err *e)
{
	struct line_run *r = ctx;
	struct call c = {
	    .s = r->s, .cmd = cmd, .format = format, .argc = argc, .argv = argv, .pool = r->pool, .shown = !r->s->opt.json};
	int ret = session_interrupted() ? err_set(e, -EINTR, "%s" WHY "interrupted" TRY "the line again", cmd->name)
					: exec_command(&c, e);

	if (ret)
		return ret;
	r->value = c.result;
	remember(r->s, cmd, format, argc, argv);
	if (!r->s->opt.json && c.result.type != VALUE_NULL)
		show_value(r->s, c.view, &c.result);
	return 0;
}

static int line_script(void *ctx, const char *text, int len, struct err *e)
{
	struct line_run *r = ctx;
	int ret = tcl_eval(r->s, text, len, e);

	free(r->s->repeat);
	r->s->repeat = NULL;
	if (ret)
		return ret;
	r->value = tcl_result(r->s, r->pool);
	if (!r->s->opt.json && r->value.type != VALUE_NULL)
		show_value(r->s, NULL, &r->value);
	return 0;
}

static int line_script_error(void *ctx, const char *text, int len, struct err *e)
{
	return tcl_error(((struct line_run *)ctx)->s, text, len, e);
}

static void line_begin(void *ctx)
{
	tcl_begin(((struct line_run *)ctx)->s);
}

static void line_end(void *ctx)
{
	tcl_end(((struct line_run *)ctx)->s);
}

static bool line_is_register(void *ctx, const char *name)
{
	(void)ctx;
	return reg_find(name) != NULL;
}

static bool line_is_tcl(void *ctx, const char *name)
{
	return tcl_has(((struct line_run *)ctx)->s, name);
}

/* ---- lines */

static int run_text(struct line_run *r, const char *text)
{
	struct line_ops ops = {
	    .interp = r->s->interp,
	    .ctx = r,
	    .is_register = line_is_register,
	    .is_tcl = line_is_tcl,
	    .begin = line_begin,
	    .end = line_end,
	    .command = line_command,
	    .script = line_script,
	    .script_error = line_script_error,
	};
	struct err e;
	int ret;

	err_clear(&e);
	ret = line_run(&ops, text, &e);
	if (ret) {
		if (!e.code)
			e.code = ret;
		exec_report(r->s, &e);
	}
	return ret;
}

/* Of each point that the stop was told of, in order; false: no further ones. */
static bool run_scripts(struct session *s, struct scripts *q)
{
	bool on = true;

	for (size_t i = 0; i < q->n && on; i++) {
		_cleanup_pool_ struct pool *pool = pool_create();
		struct line_run r = {.s = s, .pool = pool};

		on = pool && !run_text(&r, q->v[i]) && !s->quit && !session_interrupted();
	}
	scripts_clear(q);
	return on;
}

/* Commands of a breakpoint may continue into the next one: a loop, not a recursion. */
static void run_pending(struct session *s)
{
	bool on = !s->quit && !session_interrupted();

	while (s->pending.n && on) {
		struct scripts now = s->pending;

		s->pending.n = 0;
		on = run_scripts(s, &now);
	}
	scripts_clear(&s->pending);
}

static bool running_pending;

void exec_pending(struct session *s)
{
	if (running_pending || !s->pending.n)
		return;
	running_pending = true;
	run_pending(s);
	running_pending = false;
}

int exec_line(struct session *s, const char *text)
{
	_cleanup_pool_ struct pool *pool = pool_create();
	struct line_run r = {.s = s, .pool = pool};
	struct err e;
	int ret;

	if (!pool) {
		exec_report(s, (err_nomem(&e, "line"), &e));
		return -ENOMEM;
	}
	signals_begin();
	ret = run_text(&r, text);
	if (!ret && s->opt.json)
		show_json(s, &r.value);
	if (!ret)
		exec_pending(s);
	signals_end();
	return ret;
}

int exec_file(struct session *s, const char *path)
{
	struct err e;
	int ret;

	err_clear(&e);
	signals_begin();
	ret = tcl_file(s, path, &e);
	signals_end();
	if (ret)
		exec_report(s, &e);
	return ret;
}

const char *exec_repeat(const struct session *s)
{
	return s->repeat;
}
