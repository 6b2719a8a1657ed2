/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Commands about the session: load, vm, source, shell, quit, info history.
 */
#include "cli/session/command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "cli/cmd/args.h"
#include "cli/cmd/options.h"
#include "cli/session/client.h"
#include "cli/cmd/table.h"
#include "views/view.h"

/* What is there now: the record of `vm` and `load`. */
static struct value vm_record(struct session *s, struct pool *p)
{
	struct value v = v_dict(p, 8);
	uint64_t memory = 0;
	unsigned slots = 0;
	const struct slot_table *t = machine_slots(s->d.m);

	for (size_t i = 0; i < t->n; i++) {
		if (t->by_gfn[i]->own)
			continue;
		memory += t->by_gfn[i]->size;
		slots++;
	}
	v_put(p, &v, "backend", v_lit(machine_backend(s->d.m)));
	v_put(p, &v, "backend_why", v_str(p, s->backend_why));
	v_put(p, &v, "image", v_str(p, image_name(s->image)));
	v_put(p, &v, "what", v_str(p, image_describe(s->image)));
	v_put(p, &v, "vcpus", v_int(machine_vcpus(s->d.m)));
	v_put(p, &v, "slots", v_int(slots));
	v_put(p, &v, "memory", v_hex(memory));
	v_put(p, &v, "has_run", v_bool(s->d.has_run));
	return v;
}

static int run_load(struct call *c, struct err *e)
{
	struct image_options opt;
	int ret = options_parse_image(&opt, c->argc, c->argv, e);

	if (!ret)
		ret = session_load(c->s, &opt, e);
	if (!ret)
		c->result = vm_record(c->s, c->pool);
	return ret;
}

static int run_vm(struct call *c, struct err *e)
{
	int ret = args_none(c, e);

	if (!ret)
		c->result = vm_record(c->s, c->pool);
	return ret;
}

static int run_source(struct call *c, struct err *e)
{
	const char *file;
	struct args a;
	int ret = args_init(&a, c, e);

	if (!ret)
		ret = args_word(&a, "FILE", &file, e);
	if (!ret)
		ret = args_end(&a, e);
	if (!ret && !c->client->script)
		ret = err_set(e, -ENOTSUP, "source" WHY "this client has no language to read it in" TRY "the prompt");
	if (!ret)
		ret = c->client->script->file(c->client, file, e);
	if (!ret)
		c->result = c->client->script->result(c->client, c->pool);
	return ret;
}

static int run_quit(struct call *c, struct err *e)
{
	uint64_t status = 0;
	struct args a;
	int ret = args_init(&a, c, e);

	if (!ret && args_more(&a))
		ret = args_number(&a, "STATUS", 0, 255, &status, e);
	if (!ret)
		ret = args_end(&a, e);
	if (ret)
		return ret;
	c->client->quit = true;
	c->client->exit_status = (int)status;
	return 0;
}

/* With -j standard output is for JSON; where the terminal is somebody's own a command has nobody to talk to. */
static const char *shell_begins_with(const struct client *c, bool alone)
{
	if (c->json)
		return "exec >&2; ";
	return c->ops->lend_terminal && !alone ? "exec </dev/null; " : "";
}

/* lend: the user is to talk to it. */
static int run_outside(struct client *c, const char *line, bool lend)
{
	if (lend && c->ops->lend_terminal)
		c->ops->lend_terminal(c, true);
	int status = system(line);
	if (lend && c->ops->lend_terminal)
		c->ops->lend_terminal(c, false);
	return status;
}

static int run_shell(struct call *c, struct err *e)
{
	const char *text = "exec ${SHELL:-/bin/sh}";
	struct args a;
	int status, ret = args_init(&a, c, e);

	bool alone = !ret && !args_more(&a);
	if (!ret && !alone)
		ret = args_rest(&a, "COMMAND", &text, e);
	if (ret)
		return ret;
	client_flush(c->client);
	_cleanup_free_ char *line = NULL;
	if (asprintf(&line, "%s%s", shell_begins_with(c->client, alone), text) < 0)
		return err_nomem(e, "shell");
	status = run_outside(c->client, line, alone);
	if (status == -1)
		return err_errno(e, errno, "shell" WHY "no shell could be started" TRY "the command in another terminal");
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return err_set(e, -ECHILD, "shell" WHY "%.100s ended with %s %d" TRY "the command in another terminal", text,
			       WIFEXITED(status) ? "status" : "signal",
			       WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	return 0;
}

/* A command's value as people see it, for scripts that explain: `puts [draw info rmap 0x40]`. */
static int run_draw(struct call *c, struct err *e)
{
	bool color = c->argc && !strcmp(c->argv[0], "-color");
	int used, n = c->argc - color;
	const char *const *words = c->argv + color;
	struct call inner = {.s = c->s, .client = c->client, .pool = c->pool, .shown = true};
	struct out o;

	if (!n)
		return err_set(e, -EINVAL, "draw" WHY "no command is named" TRY "draw info slots");
	inner.cmd = command_find(c->s->commands, n, words, false, &used, &inner.format, e);
	if (!inner.cmd) {
		err_prefix(e, "draw ");
		return e ? e->code : -ENOENT;
	}
	inner.argc = n - used;
	inner.argv = words + used;
	int ret = command_run(&inner, e);
	if (ret)
		return ret;
	out_init(&o, color && c->client->color, client_width(c->client));
	o.ascii = !out_locale_is_utf8();
	view_draw(&o, inner.view, &inner.result);
	while (o.len && o.text[o.len - 1] == '\n')
		o.text[--o.len] = '\0';
	c->result = v_str(c->pool, o.text);
	out_deinit(&o);
	return 0;
}

static void put_history_line(void *arg, int n, const char *line)
{
	struct call *c = arg;
	struct value row = v_dict(c->pool, 2);

	v_put(c->pool, &row, "n", v_int(n));
	v_put(c->pool, &row, "line", v_str(c->pool, line));
	v_push(c->pool, &c->result, row);
}

static int run_info_history(struct call *c, struct err *e)
{
	int ret = args_none(c, e);

	if (ret)
		return ret;
	c->result = v_list(c->pool, 0);
	if (c->client->ops->lines)
		c->client->ops->lines(c->client, put_history_line, c);
	return 0;
}

const struct command commands_session[] = {
    {
	.name = "draw",
	.group = "session",
	.usage = "[-color] COMMAND [WORD...]",
	.summary = "what a command would show, as text for a script",
	.help =
	    "Inside [ ] a command gives data; draw gives the text that it shows at the prompt. -color keeps the colours, "
	    "where standard output is a terminal.\n\n    puts [draw info rmap 0x40]",
	.complete = COMPLETE_COMMAND,
	.words = "-color",
	.run = run_draw,
    },
    {
	.name = "info history",
	.group = "session",
	.usage = "",
	.summary = "the lines typed so far, this session's and earlier ones'",
	.help = "A list of `n` and `line`, oldest first. They are kept in $XDG_STATE_HOME/kvmscope/history.",
	.run = run_info_history,
    },
    {
	.name = "load",
	.group = "session",
	.usage = "IMAGE [-m SIZE] [-n VCPUS] [--mode real|prot|long|user] [--at GPA] [--entry GVA] [--format F]",
	.summary = "a new VM with this image in place of the present one",
	.help = "IMAGE is a file or demo:NAME; the options are those of the command line. Breakpoints stay: those at "
		"symbols go where the new image has them, and are disabled if it has not. If the image is no good the "
		"present VM stays as it is. A run in the background is given up first. Gives what `vm` gives.\n"
		"Example: load kernel.elf -m 128M",
	.flags = CMD_CHANGES_GUEST | CMD_ENDS_RUN | CMD_SHADOWS_TCL,
	.complete = COMPLETE_FILE,
	.words =
	    "demo:tour demo:rmap demo:remap demo:smm demo:real demo:threads demo:nested --mode --at --entry --format -m -n",
	.run = run_load,
    },
    {
	.name = "quit",
	.aliases = "q exit",
	.group = "session",
	.usage = "[STATUS]",
	.summary = "end the session and its VM",
	.help = "Ends with STATUS, 0 if none is given; a run in the background ends too. Ctrl-D at an empty prompt does the "
		"same.",
	.flags = CMD_SHADOWS_TCL,
	.run = run_quit,
    },
    {
	.name = "shell",
	.aliases = "!",
	.group = "session",
	.usage = "[COMMAND]",
	.summary = "run a command of the shell, or a shell",
	.help = "The words are handed to $SHELL or /bin/sh. An exit status other than 0 is an error.\nExample: shell ls -l",
	.complete = COMPLETE_FILE,
	.run = run_shell,
    },
    {
	.name = "source",
	.group = "session",
	.usage = "FILE",
	.summary = "run a file of Tcl",
	.help =
	    "Gives the value of its last command. Inside the file Tcl's names are Tcl's, and every command of the debugger "
	    "is there as dbg::NAME, and as NAME where Tcl has no such name.",
	.flags = CMD_SHADOWS_TCL,
	.complete = COMPLETE_FILE,
	.run = run_source,
    },
    {
	.name = "vm",
	.group = "session",
	.usage = "",
	.summary = "the VM: backend, image, vCPUs, memory",
	.help = "`backend` and `backend_why`, `image`, `what` (how it is entered), `vcpus`, `slots`, `memory` in bytes, "
		"`has_run`.",
	.flags = CMD_NEEDS_VM,
	.run = run_vm,
    },
    {.name = NULL},
};
