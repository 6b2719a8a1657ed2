/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The rules of a line, with a small table of commands and a dispatcher that writes down what it was asked to do:
 * "NAME/FORMAT|word|word" for a command of the debugger's, "tcl|text" for Tcl.
 */
#include <setjmp.h>
#include <stddef.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <tcl.h>

#include "cli/tcl/line.h"

static int never(struct call *c, struct err *e)
{
	(void)c;
	return err_set(e, -ENOSYS, "never" WHY "the dispatcher is a stub");
}

#define COMMAND(n, ...)                                                                                                     \
	{                                                                                                                   \
		.name = n, .group = "data", .usage = "", .summary = "s", .help = "h", .run = never, __VA_ARGS__             \
	}

static const struct command entries[] = {
    COMMAND("continue", .aliases = "c", .flags = CMD_SHADOWS_TCL),
    COMMAND("si", .aliases = "stepi"),
    COMMAND("until"),
    COMMAND("b", .aliases = "break", .flags = CMD_SHADOWS_TCL | CMD_RAW_IF),
    COMMAND("catch", .words = "fault mmio pio exception smi mode", .flags = CMD_SHADOWS_TCL),
    COMMAND("condition", .flags = CMD_RAW),
    COMMAND("commands"),
    COMMAND("p", .aliases = "print", .flags = CMD_FORMAT),
    COMMAND("x", .flags = CMD_FORMAT),
    COMMAND("set", .flags = CMD_SHADOWS_TCL),
    COMMAND("display", .flags = CMD_RAW | CMD_FORMAT),
    COMMAND("mem read"),
    COMMAND("mem write"),
    COMMAND("info registers", .aliases = "i_r"),
    COMMAND("bt"),
    COMMAND("info slots"),
    COMMAND("slot add"),
    COMMAND("slot del"),
    COMMAND("info rmap"),
    COMMAND("info rmaps"),
    COMMAND("walk"),
    COMMAND("watch"),
    COMMAND("memop"),
    COMMAND("load", .flags = CMD_SHADOWS_TCL),
    COMMAND("source", .flags = CMD_SHADOWS_TCL),
    COMMAND("info", .aliases = "i", .flags = CMD_SHADOWS_TCL),
};
static const struct command *list[ARRAY_LEN(entries)];
static const struct command_table table = {.list = list, .n = ARRAY_LEN(entries)};

static Tcl_Interp *interp;
static char log_text[4096];
static bool show_typed; /* of each word: as it was typed, too */

static void note(const char *text)
{
	size_t at = strlen(log_text);

	snprintf(log_text + at, sizeof(log_text) - at, "%s", text);
}

static int note_command(void *ctx, const struct command *cmd, const char *format, int argc, const char *const *argv,
			const char *const *typed, bool last, struct err *e)
{
	(void)ctx, (void)e;
	note(log_text[0] ? " ; " : "");
	note(cmd->name);
	note(format ? "/" : "");
	note(format ? format : "");
	for (int i = 0; i < argc; i++) {
		note("|");
		note(argv[i]);
		if (show_typed) {
			note("<");
			note(typed[i]);
		}
	}
	if (argc && !strcmp(argv[0], "says-last"))
		note(last ? "=yes" : "=no");
	if (argc && !strcmp(argv[0], "fail"))
		return err_set(e, -EIO, "%s" WHY "asked to", cmd->name);
	return 0;
}

static int note_script(void *ctx, const char *text, int len, struct err *e)
{
	char buf[512];

	(void)ctx, (void)e;
	snprintf(buf, sizeof(buf), "%stcl|%.*s", log_text[0] ? " ; " : "", len, text);
	note(buf);
	return 0;
}

static int note_error(void *ctx, const char *text, int len, struct err *e)
{
	(void)ctx;
	return err_set(e, -EINVAL, "%.*s" WHY "%s", len, text, Tcl_GetStringResult(interp));
}

static bool is_register(void *ctx, const char *name)
{
	static const char *const names[] = {"rip", "rax", "rsp", "cs", "cs.base", "xmm0", "b", NULL};

	(void)ctx;
	for (int i = 0; names[i]; i++)
		if (!strcmp(names[i], name))
			return true;
	return false;
}

static bool is_tcl(void *ctx, const char *name)
{
	Tcl_CmdInfo info;

	(void)ctx;
	return Tcl_GetCommandInfo(interp, name, &info);
}

static void no_matter(void *ctx)
{
	(void)ctx;
}

static const struct line_ops ops_template = {
    .commands = &table,
    .is_register = is_register,
    .is_tcl = is_tcl,
    .begin = no_matter,
    .end = no_matter,
    .command = note_command,
    .script = note_script,
    .script_error = note_error,
};

static int setup(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(entries); i++)
		list[i] = &entries[i];
	interp = Tcl_CreateInterp();
	return Tcl_Eval(interp,
			"set rip 2097192; set rax 18446744073709551615; set rsp 4096; set cs 51; set v 7; set xmm0 0x1;"
			"set words {1 2 3}; set b 1; proc helper {} {return 9}") != TCL_OK;
}

static int teardown(void **state)
{
	(void)state;
	Tcl_DeleteInterp(interp);
	return 0;
}

struct line_case {
	const char *line, *wanted;
};

static void check_cases(const struct line_case *c)
{
	struct line_ops ops = ops_template;

	ops.interp = interp;
	for (; c->line; c++) {
		struct err e;
		err_clear(&e);
		log_text[0] = '\0';
		if (line_run(&ops, c->line, &e))
			fail_msg("%s: %s: %s", c->line, e.what, e.why);
		if (strcmp(log_text, c->wanted))
			fail_msg("%s\n  gave   %s\n  wanted %s", c->line, log_text, c->wanted);
	}
}

static void whose_command_it_is(void **state)
{
	static const struct line_case cases[] = {
	    {"si", "si"},
	    {"si 3", "si|3"},
	    {"stepi 3", "si|3"},
	    {"info slots", "info slots"},
	    {"i slots", "info slots"},
	    {"inf sl", "info slots"},
	    {"i r", "info registers"},
	    {"info r", "info registers"},
	    {"info rmap 0x40", "info rmap|0x40"},
	    {"info rmaps", "info rmaps"},
	    {"info", "info"},
	    {"info exists v", "tcl|info exists v"},
	    {"info commands s*", "tcl|info commands s*"},
	    {"info level", "tcl|info level"},
	    {"unt 5", "until|5"},
	    {"mem read 0x40 8", "mem read|0x40|8"},
	    {"memop read 0x40 8", "memop|read|0x40|8"},
	    {"mem re 0x40 8", "mem read|0x40|8"},
	    {"bt", "bt"},
	    {"expr {$rax + 1}", "tcl|expr {$rax + 1}"},
	    {"foreach s [info slots] {puts $s}", "tcl|foreach s [info slots] {puts $s}"},
	    {"frobnicate 1", "tcl|frobnicate 1"},
	    {"helper", "tcl|helper"},
	    {"{si}", "tcl|{si}"},
	    {"\"si\"", "tcl|\"si\""},
	    {"$words", "tcl|$words"},
	    {"[helper]", "tcl|[helper]"},
	    {NULL, NULL},
	};

	(void)state;
	check_cases(cases);
}

static void names_that_tcl_has_too(void **state)
{
	static const struct line_case cases[] = {
	    {"break *0x200033", "b|*0x200033"},
	    {"break", "b"},
	    {"continue", "continue"},
	    {"continue 3", "continue|3"},
	    {"catch fault", "catch|fault"},
	    {"catch fault 0x40", "catch|fault|0x40"},
	    {"catch mmio", "catch|mmio"},
	    {"catch", "catch"},
	    {"catch nothing", "catch|nothing"},
	    {"catch {slot add 0 0 0x1000}", "tcl|catch {slot add 0 0 0x1000}"},
	    {"catch {fault} m", "tcl|catch {fault} m"},
	    {"catch [helper]", "tcl|catch [helper]"},
	    {"catch helper m", "tcl|catch helper m"},
	    {"catch \"fault\"", "tcl|catch \"fault\""},
	    {"set rax 5", "tcl|set rax 5"},
	    {"set name value", "tcl|set name value"},
	    {"set x", "tcl|set x"},
	    {"set $v 5", "tcl|set $v 5"},
	    {"set context on", "set|context|on"},
	    {"set context off", "set|context|off"},
	    {"set context 5", "tcl|set context 5"},
	    {"set context", "tcl|set context"},
	    {"set context {on}", "tcl|set context {on}"},
	    {"set context on off", "tcl|set context on off"},
	    {"set contex on", "tcl|set contex on"},
	    {"set contexts on", "tcl|set contexts on"},
	    {"set $rax = 5", "set|$rax|=|5"},
	    {"set $rax=5", "set|$rax|=|5"},
	    {"set $rax =5", "set|$rax|=|5"},
	    {"set $rax = $rsp + 8", "set|$rax|=|0x1000|+|8"},
	    {"set $cs.base = 0", "set|$cs.base|=|0"},
	    {"set $rax = [helper]", "set|$rax|=|9"},
	    {"source file.tcl", "source|file.tcl"},
	    {"load demo:rmap", "load|demo:rmap"},
	    {NULL, NULL},
	};

	(void)state;
	check_cases(cases);
}

static void exact_names_win(void **state)
{
	static const struct line_case cases[] = {
	    {"b 1", "b|1"},
	    {"c", "continue"},
	    {"x 1", "x|1"},
	    {"info rmap", "info rmap"},
	    /* An exact Tcl name wins over an abbreviation: "con" is condition or continue, "concat" Tcl's. */
	    {"concat a b", "tcl|concat a b"},
	    {"lo demo:tour", "load|demo:tour"},
	    {"load x", "load|x"},
	    {NULL, NULL},
	};

	(void)state;
	check_cases(cases);
}

static void words_are_substituted(void **state)
{
	static const struct line_case cases[] = {
	    {"x/8gx $rsp", "x/8gx|0x1000"},
	    {"x /8gx $rsp", "x/8gx|0x1000"},
	    {"x/8gx $rsp+8", "x/8gx|0x1000+8"},
	    {"x/2i $cs.base+4", "x/2i|$cs.base+4"},
	    {"p $rip+4", "p|0x200028+4"},
	    {"p $rax", "p|0xffffffffffffffff"},
	    {"p/x $rip", "p/x|0x200028"},
	    {"b *0x200033", "b|*0x200033"},
	    {"b *$rip", "b|*0x200028"},
	    {"b main+4", "b|main+4"},
	    {"walk [helper]", "walk|9"},
	    {"walk 0x$v", "walk|0x7"},
	    {"walk \"a b\" {c $v}", "walk|a b|c $v"},
	    {"walk {*}$words", "walk|1|2|3"},
	    {"walk {*}{} 4", "walk|4"},
	    {"walk a\\ b \\$rip", "walk|a b|$rip"},
	    {"walk ${rip}x", "walk|0x200028x"},
	    {"walk $v$v-$v", "walk|77-7"},
	    {"p *0x1000", "p|*0x1000"},
	    {"p $xmm0", "p|$xmm0"},
	    {"p (1 + 2) * 3", "p|(1|+|2)|*|3"},
	    {NULL, NULL},
	};

	(void)state;
	check_cases(cases);
}

/* Registers around a ':' are left to the expression: which segment it is matters, and $sp is another number there. */
static void segments_stay(void **state)
{
	static const struct line_case cases[] = {
	    {"x/2i $cs:$rip", "x/2i|$cs:$rip"},	      {"x/2i *$cs:$rip+$v", "x/2i|*$cs:$rip+7"},
	    {"x/2i $cs:0x10", "x/2i|$cs:0x10"},	      {"x/2i $cs:$v", "x/2i|$cs:7"},
	    {"x/2i 0x7c0:$rsp", "x/2i|0x7c0:$rsp"},   {"x/2i $rsp:$rip", "x/2i|0x1000:$rip"},
	    {"walk a:$rip", "walk|a:0x200028"},	      {"walk $cs", "walk|0x33"},
	    {"walk {$cs:$rip} r", "walk|$cs:$rip|r"}, {NULL, NULL},
	};

	(void)state;
	check_cases(cases);
}

/* What stands behind '<' is the word before anything was put in. */
static void words_are_known_as_typed(void **state)
{
	static const struct line_case cases[] = {
	    {"b $cs.base+0x10+3", "b|$cs.base+0x10+3<$cs.base+0x10+3"},
	    {"b *$rip+$v", "b|*0x200028+7<*$rip+$v"},
	    {"b {$rip + 1}", "b|$rip + 1<$rip + 1"},
	    {"b \"$rip + $v\"", "b|0x200028 + 7<$rip + $v"},
	    {"b [helper]", "b|9<[helper]"},
	    {"walk {*}$words", "walk|1<1|2<2|3<3"},
	    {"b main if $rax == 5", "b|main<main|if<if|$rax<$rax|==<==|5<5"},
	    {NULL, NULL},
	};

	(void)state;
	show_typed = true;
	check_cases(cases);
	show_typed = false;
}

static void registers_at_the_front(void **state)
{
	static const struct line_case cases[] = {
	    {"$rip", "p|$rip"},		  {"$cs.base", "p|$cs.base"},	{"$rip+4", "p|$rip+4"},
	    {"$rip + $v", "p|$rip|+|7"},  {"$rax = 5", "set|$rax|=|5"}, {"$rax=$rsp", "set|$rax|=|$rsp"},
	    {"$rax == 5", "p|$rax|==|5"}, {"$ripx", "tcl|$ripx"},	{NULL, NULL},
	};

	(void)state;
	check_cases(cases);
}

static void kept_expressions_stay_as_typed(void **state)
{
	static const struct line_case cases[] = {
	    {"condition 1 $rax == 5", "condition|1|$rax|==|5"},
	    {"condition 1 {$rax == 5}", "condition|1|$rax == 5"},
	    {"condition 1 {[helper] > $nothere}", "condition|1|[helper] > $nothere"},
	    {"display/x $rip", "display/x|$rip"},
	    {"b *$rip if $rax == $v", "b|*0x200028|if|$rax|==|$v"},
	    {"b $v if {[helper] == $v}", "b|7|if|[helper] == $v"},
	    {"display {$rip + 4}", "display|$rip + 4"},
	    {NULL, NULL},
	};

	(void)state;
	check_cases(cases);
}

static void several_commands(void **state)
{
	static const struct line_case cases[] = {
	    {"", ""},
	    {"   ", ""},
	    {"# si", ""},
	    {"si; si 2", "si ; si|2"},
	    {"si\nwalk 1\n", "si ; walk|1"},
	    {"set y 3; walk 1 ;# end", "tcl|set y 3 ; walk|1"},
	    {"si 1 \\\n 2", "si|1|2"},
	    {"si says-last; walk says-last; ", "si|says-last=no ; walk|says-last=yes"},
	    {"si says-last; # end", "si|says-last=no"},
	    {"commands 1 {\n  p $rax\n  c\n}", "commands|1|\n  p $rax\n  c\n"},
	    {NULL, NULL},
	};

	(void)state;
	check_cases(cases);
}

static void expect_error(const char *line, int code, const char *why)
{
	struct line_ops ops = ops_template;
	struct err e;
	int ret;

	ops.interp = interp;
	err_clear(&e);
	log_text[0] = '\0';
	ret = line_run(&ops, line, &e);
	if (ret != code || !strstr(e.why, why))
		fail_msg("%s: %d, '%s'; wanted %d, '%s'", line, ret, e.why, code, why);
}

static void errors(void **state)
{
	(void)state;
	expect_error("foreach {", -EINVAL, "missing close-brace");
	expect_error("si \"", -EINVAL, "missing \"");
	expect_error("walk [", -EINVAL, "missing close-bracket");
	expect_error("walk $nothere", -EINVAL, "no such variable");
	expect_error("walk [error oops]", -EINVAL, "oops");
	expect_error("wa 1", -EINVAL, "walk, watch");
	expect_error("info rma", -EINVAL, "rmap, rmaps");
	expect_error("walk/x 1", -EINVAL, "takes no /FORMAT");
	expect_error("si fail; si 2", -EIO, "asked to");
	assert_string_equal(log_text, "si|fail"); /* what follows a failure does not run */
}

static void too_many_words(void **state)
{
	char line[3000] = "walk";

	(void)state;
	for (int i = 0; i < 300; i++)
		strcat(line, " 1");
	log_text[0] = '\0';
	struct line_ops ops = ops_template;
	struct err e;
	ops.interp = interp;
	err_clear(&e);
	assert_int_equal(line_run(&ops, line, &e), 0);
	assert_true(!strncmp(log_text, "tcl|walk 1", 10)); /* Tcl's dispatch has room, and says what is too much */
	assert_int_equal(line_run(&ops, "walk {*}[lrepeat 300 1]", &e), -E2BIG);
}

static void completeness(void **state)
{
	(void)state;
	assert_true(line_complete("si"));
	assert_true(line_complete("commands 1 {p $rax}"));
	assert_false(line_complete("commands 1 {"));
	assert_false(line_complete("foreach s [info slots"));
	assert_false(line_complete("puts \"a"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(whose_command_it_is),    cmocka_unit_test(names_that_tcl_has_too),
	    cmocka_unit_test(exact_names_win),	      cmocka_unit_test(words_are_substituted),
	    cmocka_unit_test(segments_stay),	      cmocka_unit_test(words_are_known_as_typed),
	    cmocka_unit_test(registers_at_the_front), cmocka_unit_test(kept_expressions_stay_as_typed),
	    cmocka_unit_test(several_commands),	      cmocka_unit_test(errors),
	    cmocka_unit_test(too_many_words),	      cmocka_unit_test(completeness),
	};

	Tcl_FindExecutable("test_line");
	return cmocka_run_group_tests(tests, setup, teardown);
}
