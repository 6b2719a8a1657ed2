/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Commands about the debugger itself: help, apropos, info, info kvm, version.
 */
#include "cli/session/command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cmd/args.h"
#include "cli/cmd/mmu.h"
#include "cli/session/privilege.h"
#include "cli/session/session.h"
#include "cli/cmd/table.h"

/* ---- help */

static struct value command_row(struct pool *p, const struct command *c)
{
	struct value v = v_dict(p, 2);

	v_put(p, &v, "command", v_strf(p, "%s%s%s", c->name, c->usage && *c->usage ? " " : "", c->usage ? c->usage : ""));
	v_put(p, &v, "what", v_lit(c->summary));
	return v;
}

static bool group_listed(const struct command_table *all, const char *name)
{
	for (size_t i = 0; i < all->n_groups; i++)
		if (!strcmp(all->groups[i].name, name))
			return true;
	return false;
}

/* One group's rows; name NULL: the commands of groups that are not listed above. */
static struct value group_rows(struct pool *p, const struct command_table *all, const char *name)
{
	struct value rows = v_list(p, 16);

	for (size_t i = 0; i < all->n; i++)
		if (name ? !strcmp(all->list[i]->group, name) : !group_listed(all, all->list[i]->group))
			v_push(p, &rows, command_row(p, all->list[i]));
	return rows;
}

static void help_overview(struct call *c)
{
	const struct command_table *all = c->s->commands;
	struct value v = v_dict(c->pool, all->n_groups + 1);

	for (size_t i = 0; i < all->n_groups; i++) {
		struct value rows = group_rows(c->pool, all, all->groups[i].name);
		if (rows.n)
			v_put(c->pool, &v, all->groups[i].title, rows);
	}
	struct value rest = group_rows(c->pool, all, NULL);
	if (rest.n)
		v_put(c->pool, &v, "Others", rest);
	c->result = v;
	c->view = "help";
}

static void help_command(struct call *c, const struct command *cmd)
{
	struct value v = v_dict(c->pool, 6);

	v_put(c->pool, &v, "command", v_lit(cmd->name));
	v_put(c->pool, &v, "usage",
	      v_strf(c->pool, "%s%s%s", cmd->name, cmd->usage && *cmd->usage ? " " : "", cmd->usage ? cmd->usage : ""));
	if (cmd->aliases)
		v_put(c->pool, &v, "aliases", v_lit(cmd->aliases));
	v_put(c->pool, &v, "summary", v_lit(cmd->summary));
	v_put(c->pool, &v, "help", v_lit(cmd->help));
	c->result = v;
	c->view = "help-command";
}

static const char tcl_help[] = "A line whose first word is no command of the debugger's is Tcl: `set n 3`, `foreach s [info "
			       "slots] {puts [dict get $s id]}`,\n"
			       "`expr {$rax + 1}`. Registers are variables. Inside [ ] and scripts a command gives data: "
			       "one thing is a dict, a table a list\n"
			       "of dicts, an address a number. Every command is there as dbg::NAME, and as NAME where Tcl "
			       "has no command of that name.\n"
			       "Words with [, $, \" or { in them need a \\ or braces to be taken as they are.";

static const char expressions_help[] =
    "Where an address or a number is wanted: numbers (decimal, 0x, 0o, 0b), $registers, symbols, C's + - * / % << >> & | ^ "
    "~\n"
    "and parentheses, on unsigned 64 bits: `x/8gx $rsp+0x10`, `b *main+4`. A leading * as in gdb changes nothing.\n"
    "$pc, $sp and $fp are linear addresses in every mode: CS's or SS's base is in them, and what the mode leaves out of "
    "rsp\n"
    "and rbp is not. $rip, $rsp and $rbp ($eip $esp, $ip $sp16 $bp) are the registers. `set $pc = A` sets rip so that A is "
    "next.\n"
    "seg:off, without blanks, is an address too: `b 0x7c0:0x10`, `x/i $cs:$ip`, `x/4hx $ss:$sp`, 8:(start+4). A segment "
    "register\n"
    "stands for the base that it has loaded. Any other number is a selector: in real and vm86 mode seg*16+off, elsewhere by "
    "the\n"
    "descriptor in the guest's GDT or LDT. Behind a : $pc, $sp and $fp are the registers. Tcl puts their values in before "
    "it\n"
    "gives the words of a script's proc to a command; braces keep them: x/4hx {$ss:$sp}.\n"
    "Of symbols of one name (static functions of two files) say which: file.c:helper, or helper@2, the second by address.\n"
    "No space stands inside one where another word may follow: `x $rsp + 8` is one, `walk $rsp r` two words.\n"
    "Conditions (b A if COND) are Tcl's expressions instead, with == && || and $variables too: help tcl.";

/* What there is to read beside commands. */
static const struct {
	const char *name, *text;
} topics[] = {{"tcl", tcl_help}, {"expressions", expressions_help}};

static bool help_topic(struct call *c)
{
	for (size_t i = 0; c->argc == 1 && i < ARRAY_LEN(topics); i++) {
		if (strcmp(c->argv[0], topics[i].name) != 0)
			continue;
		struct value v = v_dict(c->pool, 2);
		v_put(c->pool, &v, "command", v_lit(topics[i].name));
		v_put(c->pool, &v, "help", v_lit(topics[i].text));
		c->result = v;
		c->view = "help-command";
		return true;
	}
	return false;
}

static int run_help(struct call *c, struct err *e)
{
	const struct command_table *all = c->s->commands;
	const char *format;
	int used;

	if (!c->argc) {
		help_overview(c);
		return 0;
	}
	if (help_topic(c))
		return 0;
	for (size_t i = 0; i < all->n_groups && c->argc == 1; i++)
		if (!strcmp(c->argv[0], all->groups[i].name)) {
			c->result = group_rows(c->pool, all, all->groups[i].name);
			c->view = "commands";
			return 0;
		}
	const struct command *cmd = command_find(c->s->commands, c->argc, c->argv, false, &used, &format, e);
	if (!cmd) {
		err_prefix(e, "help ");
		return e ? e->code : -ENOENT;
	}
	help_command(c, cmd);
	return 0;
}

static int run_apropos(struct call *c, struct err *e)
{
	const char *word;
	const struct command_table *all = c->s->commands;
	struct args a;
	int ret = args_init(&a, c, e);

	if (!ret)
		ret = args_rest(&a, "WORD", &word, e);
	if (ret)
		return ret;
	c->result = v_list(c->pool, 8);
	for (size_t i = 0; i < all->n; i++)
		if (strcasestr(all->list[i]->name, word) || strcasestr(all->list[i]->summary, word) ||
		    strcasestr(all->list[i]->help, word) ||
		    (all->list[i]->aliases && strcasestr(all->list[i]->aliases, word)))
			v_push(c->pool, &c->result, command_row(c->pool, all->list[i]));
	return 0;
}

/* ---- info */

static int run_info(struct call *c, struct err *e)
{
	const struct command_table *all = c->s->commands;

	if (c->argc)
		return err_set(e, -ENOENT, "info %.60s" WHY "there is no such subcommand" TRY "info", c->argv[0]);
	c->result = v_list(c->pool, 32);
	for (size_t i = 0; i < all->n; i++)
		if (!strncmp(all->list[i]->name, "info ", 5))
			v_push(c->pool, &c->result, command_row(c->pool, all->list[i]));
	return 0;
}

static int put_fact(void *arg, const char *what, const char *value, const char *why)
{
	struct call *c = arg;
	struct value row = v_dict(c->pool, 3);

	v_put(c->pool, &row, "what", v_str(c->pool, what));
	v_put(c->pool, &row, "value", v_str(c->pool, value));
	v_put(c->pool, &row, "why", v_str(c->pool, why ? why : ""));
	v_push(c->pool, &c->result, row);
	return 0;
}

/* Why not, and what would give it. */
static const char *cap_words(struct call *c, enum machine_cap cap, const char *why)
{
	const char *next = machine_cap_next(c->s->d.m, cap);

	return next ? v_strf(c->pool, "%s; try %s", why, next).str : why;
}

static int run_info_kvm(struct call *c, struct err *e)
{
	int ret = args_none(c, e);

	if (ret)
		return ret;
	c->result = v_list(c->pool, 32);
	if (privilege_elevated())
		put_fact(c, "file capabilities", "given up",
			 "the kernel reader was opened before; what else takes capabilities takes sudo");
	put_fact(c, "backend", machine_backend(c->s->d.m), c->s->backend_why);
	for (int cap = 0; cap < MACHINE_CAP_COUNT; cap++) {
		const char *why = "";
		bool can = machine_can(c->s->d.m, (enum machine_cap)cap, &why);
		const char *none = can && cap == MACHINE_CAP_RMAP ? mmu_without_rmaps(c) : NULL;
		put_fact(c, machine_cap_name((enum machine_cap)cap),
			 none  ? "none"
			 : can ? "yes"
			       : "no",
			 none  ? none
			 : can ? ""
			       : cap_words(c, (enum machine_cap)cap, why));
	}
	return machine_facts(c->s->d.m, put_fact, c, e);
}

static int run_version(struct call *c, struct err *e)
{
	int ret = args_none(c, e);

	if (!ret)
		c->result = v_lit("kvmscope " KVMSCOPE_VERSION);
	return ret;
}

const struct command commands_support[] = {
    {
	.name = "apropos",
	.group = "support",
	.usage = "WORD",
	.summary = "commands that say this word",
	.help = "Looks through names, aliases, summaries and help texts, upper and lower case alike. Gives `command` and "
		"`what`.",
	.view = "commands",
	.run = run_apropos,
    },
    {
	.name = "help",
	.aliases = "h ?",
	.group = "support",
	.usage = "[COMMAND | GROUP | tcl | expressions]",
	.summary = "all commands, or one in full",
	.help = "Without a word: every command by group. With a command's name: its usage, what it gives, an example.\n"
		"Example: help walk",
	.complete = COMPLETE_COMMAND,
	.words = "tcl expressions",
	.run = run_help,
    },
    {
	.name = "info",
	.aliases = "i",
	.group = "support",
	.usage = "SUBCOMMAND",
	.summary = "what can be asked about",
	.help =
	    "Without a word: the list of subcommands. Tcl's own subcommands of info (exists, commands, …) work here too.",
	.flags = CMD_SHADOWS_TCL,
	.view = "commands",
	.run = run_info,
    },
    {
	.name = "info kvm",
	.aliases = "i_host",
	.group = "support",
	.usage = "",
	.summary = "what this host can do, and which mechanism was chosen for what",
	.help = "A list of `what`, `value` and `why`: what can be done here, as it is now and for who runs the program, and "
		"else why "
		"not and what to do. A row says what the command then does. What the host's debug facilities can do is "
		"found out "
		"once, the first time that it matters.",
	.flags = CMD_NEEDS_VM,
	.view = "facts",
	.run = run_info_kvm,
    },
    {
	.name = "version",
	.group = "support",
	.usage = "",
	.summary = "which kvmscope this is",
	.help = "One line of text.",
	.run = run_version,
    },
    {.name = NULL},
};
