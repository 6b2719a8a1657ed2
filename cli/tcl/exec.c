/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Carrying out lines.
 *
 * For people every command's value is shown as soon as it is there; with -j a line shows the last one's, once it is known
 * that the whole line succeeded.
 */
#include "cli/tcl/exec.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/session/go.h"
#include "cli/tcl/interp.h"
#include "cli/tcl/line.h"

/* A line under way. */
struct line_run {
	struct client *c;
	struct pool *pool;
	struct value value; /* the last command's */
	bool shows_value;   /* with -j: it is what the line prints */
	bool streamed;	    /* it has been printed, row by row */
};

/* ---- what line.c calls */

/* "x/8gx 0x1000" goes on behind what it showed, so it is repeated without its address. */
static void remember(struct client *c, const struct call *call, int argc, const char *const *argv)
{
	const struct command *cmd = call->cmd;
	const char *format = call->format;
	bool goes_on = cmd->flags & CMD_FORMAT;
	size_t size = strlen(cmd->name) + (format ? strlen(format) : 0) + 3;

	free(c->repeat);
	c->repeat = call->again ? strdup(call->again) : NULL;
	if (!(cmd->flags & CMD_REPEATS) || call->again)
		return;
	for (int i = 0; i < argc && !goes_on; i++)
		size += strlen(argv[i]) + 1;
	c->repeat = malloc(size);
	if (!c->repeat)
		return;
	int at = snprintf(c->repeat, size, "%s%s%s", cmd->name, format ? "/" : "", format ? format : "");
	for (int i = 0; i < argc && !goes_on; i++)
		at += snprintf(c->repeat + at, size - (size_t)at, " %s", argv[i]);
}

static int line_command(void *ctx, const struct command *cmd, const char *format, int argc, const char *const *argv,
			const char *const *typed, bool last, struct err *e)
{
	struct line_run *r = ctx;
	struct call c = {.s = r->c->s,
			 .client = r->c,
			 .cmd = cmd,
			 .format = format,
			 .argc = argc,
			 .argv = argv,
			 .typed = typed,
			 .pool = r->pool,
			 .background = r->c->background,
			 .shown = !r->c->json,
			 .streams = !r->c->json || (last && r->shows_value)};
	int ret = interrupt_asked() ? err_set(e, -EINTR, "%s" WHY "interrupted" TRY "the line again", cmd->name)
				    : command_run(&c, e);

	if (ret)
		return ret;
	r->value = c.result;
	r->streamed = c.streamed;
	remember(r->c, &c, argc, argv);
	if (!r->c->json && c.result.type != VALUE_NULL)
		client_show(r->c, c.view, &c.result);
	return 0;
}

static int line_script(void *ctx, const char *text, int len, struct err *e)
{
	struct line_run *r = ctx;
	int ret = interp_eval(r->c->tcl, text, len, e);

	free(r->c->repeat);
	r->c->repeat = NULL;
	if (ret)
		return ret;
	r->value = r->c->script->result(r->c, r->pool);
	if (!r->c->json && r->value.type != VALUE_NULL)
		client_show(r->c, NULL, &r->value);
	return 0;
}

static int line_script_error(void *ctx, const char *text, int len, struct err *e)
{
	return interp_error(((struct line_run *)ctx)->c->tcl, text, len, e);
}

static void line_begin(void *ctx)
{
	interp_begin(((struct line_run *)ctx)->c->tcl);
}

static void line_end(void *ctx)
{
	interp_end(((struct line_run *)ctx)->c->tcl);
}

static bool line_is_register(void *ctx, const char *name)
{
	(void)ctx;
	return reg_find(name) != NULL;
}

static bool line_is_tcl(void *ctx, const char *name)
{
	return tclcmd_is_tcl(((struct line_run *)ctx)->c->tcl->interp, name);
}

/* ---- lines */

static int run_text(struct line_run *r, const char *text, struct err *e)
{
	struct line_ops ops = {
	    .interp = r->c->tcl->interp,
	    .ctx = r,
	    .commands = r->c->s->commands,
	    .is_register = line_is_register,
	    .is_tcl = line_is_tcl,
	    .begin = line_begin,
	    .end = line_end,
	    .command = line_command,
	    .script = line_script,
	    .script_error = line_script_error,
	};
	int ret = line_run(&ops, text, e);

	if (ret && !e->code)
		e->code = ret;
	return ret;
}

int exec_lines(struct client *c, const char *text, struct err *e)
{
	_cleanup_pool_ struct pool *pool = pool_create();
	struct line_run r = {.c = c, .pool = pool};

	return pool ? run_text(&r, text, e) : err_nomem(e, "line");
}

static int run_and_show(struct client *c, const char *text, struct err *e)
{
	_cleanup_pool_ struct pool *pool = pool_create();
	struct line_run r = {.c = c, .pool = pool, .shows_value = true};
	int ret = pool ? run_text(&r, text, e) : err_nomem(e, "line");

	if (!ret && c->json && !r.streamed)
		client_show(c, NULL, &r.value);
	return ret;
}

int exec_line(struct client *c, const char *text)
{
	struct err e;
	int ret;

	err_clear(&e);
	interrupt_line_begin();
	ret = run_and_show(c, text, &e);
	if (ret)
		client_report(c, &e);
	else
		client_run_pending(c);
	/* A Ctrl-C was for this line, and must not end a condition that is asked behind it. */
	if (!interrupt_asked())
		go_poll(c->s);
	interrupt_line_end();
	return ret;
}

int exec_file(struct client *c, const char *path)
{
	struct err e;
	int ret;

	err_clear(&e);
	interrupt_line_begin();
	ret = interp_file(c->tcl, path, &e);
	interrupt_line_end();
	if (ret)
		client_report(c, &e);
	return ret;
}
