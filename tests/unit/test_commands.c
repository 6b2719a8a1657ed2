/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The real command table: complete entries, unique names, what abbreviations find, and what flags refuse.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cmd/table.h"
#include "cli/session/session.h"
#include "tests/support/fake.h"

static void entries_are_complete(void **state)
{
	static const char groups[] = " running breakpoints data memory-map slots faults screens session support ";
	const struct command *const *all = command_table()->list;
	size_t n = command_table()->n;
	char group[40];

	(void)state;
	assert_true(n > 50);
	for (size_t i = 0; i < n; i++) {
		const struct command *c = all[i];
		if (!c->summary || !c->summary[0] || !c->help || !c->help[0] || !c->run || !c->group)
			fail_msg("%s: summary, help, group or function is missing", c->name);
		snprintf(group, sizeof(group), " %.30s ", c->group);
		if (!strstr(groups, group))
			fail_msg("%s: no group '%s'", c->name, c->group);
		if (strlen(c->summary) > 90 || strchr(c->summary, '\n') || c->summary[strlen(c->summary) - 1] == '.')
			fail_msg("%s: the summary is one short line without a full stop", c->name);
		if (c->complete == COMPLETE_WORDS && !c->words)
			fail_msg("%s: completes words and has none", c->name);
	}
}

/* Every name and alias, with '_' for the blank, as one list. */
static size_t spellings(char (*out)[64], size_t max)
{
	const struct command *const *all = command_table()->list;
	size_t n = command_table()->n, k = 0;

	for (size_t i = 0; i < n; i++) {
		struct command_words w = {.at = all[i]->aliases ? all[i]->aliases : ""};
		assert_true(k < max);
		snprintf(out[k++], 64, "%s", all[i]->name);
		for (command_word_next(&w); w.text; command_word_next(&w)) {
			assert_true(k < max);
			snprintf(out[k], 64, "%.*s", (int)w.len, w.text);
			for (char *p = out[k]; *p; p++)
				*p = *p == '_' ? ' ' : *p;
			k++;
		}
	}
	return k;
}

static void names_are_unique(void **state)
{
	static char names[512][64];
	size_t n = spellings(names, 512);

	(void)state;
	for (size_t i = 0; i < n; i++)
		for (size_t j = i + 1; j < n; j++)
			if (!strcmp(names[i], names[j]))
				fail_msg("'%s' is there twice", names[i]);
}

static int split(const char *text, char (*word)[64], const char **argv)
{
	int n = 0;

	while (*text && n < 4) {
		size_t len = strcspn(text, " ");
		snprintf(word[n], 64, "%.*s", (int)len, text);
		argv[n] = word[n];
		n++;
		text += len + (text[len] == ' ');
	}
	return n;
}

static const struct command *find(const char *text, bool exact, int *used, const char **format, struct err *e)
{
	static char word[4][64];
	const char *argv[4];
	int n = split(text, word, argv);

	err_clear(e);
	return command_find(command_table(), n, argv, exact, used, format, e);
}

static void every_spelling_finds_its_command(void **state)
{
	const struct command *const *all = command_table()->list;
	size_t n = command_table()->n;
	const char *format;
	struct err e;
	int used;

	(void)state;
	for (size_t i = 0; i < n; i++) {
		const struct command *c = find(all[i]->name, true, &used, &format, &e);
		if (c != all[i] || used != (strchr(all[i]->name, ' ') ? 2 : 1))
			fail_msg("%s finds %s, %d words", all[i]->name, c ? c->name : "nothing", used);
		struct command_words w = {.at = all[i]->aliases ? all[i]->aliases : ""};
		for (command_word_next(&w); w.text; command_word_next(&w)) {
			char alias[64];
			snprintf(alias, sizeof(alias), "%.*s", (int)w.len, w.text);
			char *gap = strchr(alias, '_');
			if (gap)
				*gap = ' ';
			c = find(alias, true, &used, &format, &e);
			if (c != all[i])
				fail_msg("%s, an alias of %s, finds %s", alias, all[i]->name, c ? c->name : "nothing");
		}
	}
}

struct find_case {
	const char *typed, *wanted, *format;
	int used;
};

static void abbreviations(void **state)
{
	static const struct find_case cases[] = {
	    {"i slots", "info slots", NULL, 2},
	    {"i r", "info registers", NULL, 2},
	    {"i b", "info breakpoints", NULL, 2},
	    {"info rmap 5", "info rmap", NULL, 2},
	    {"info shad", "info shadow", NULL, 2},
	    {"wal 1", "walk", NULL, 1},
	    {"x/8gx 1", "x", "8gx", 1},
	    {"x /8gx 1", "x", "8gx", 2},
	    {"x 1", "x", NULL, 1},
	    {"p/x 1", "print", "x", 1},
	    {"slo a 1", "slot add", NULL, 2},
	    {"c", "continue", NULL, 1},
	    {"continue", "continue", NULL, 1},
	    {"break", "break", NULL, 1},
	    {"v2p 1", "gva2gpa", NULL, 1},
	    {"mem r", "mem read", NULL, 2},
	    {"help", "help", NULL, 1},
	    {"i", "info", NULL, 1},
	};
	const char *format;
	struct err e;
	int used;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct command *c = find(cases[i].typed, false, &used, &format, &e);
		if (!c || strcmp(c->name, cases[i].wanted) || used != cases[i].used)
			fail_msg("%s finds %s (%s), wanted %s", cases[i].typed, c ? c->name : "nothing", e.why,
				 cases[i].wanted);
		if (!!format != !!cases[i].format || (format && strcmp(format, cases[i].format)))
			fail_msg("%s: format %s", cases[i].typed, format ? format : "none");
	}
}

static void refusals(void **state)
{
	static const struct {
		const char *typed, *why;
		int code;
	} cases[] = {
	    {"frobnicate", "no such command", -ENOENT},	  {"w 1", "walk, watch, why", -EINVAL},
	    {"slot frob", "no such subcommand", -ENOENT}, {"slot", "needs a subcommand", -ENOENT},
	    {"walk/x 1", "takes no /FORMAT", -EINVAL},	  {"/x", "no such command", -ENOENT},
	    {"info rma", "rmap, rmaps", -EINVAL},	  {"slot d 1", "del, dirty", -EINVAL},
	};
	const char *format;
	struct err e;
	int used;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct command *c = find(cases[i].typed, false, &used, &format, &e);
		if (c || e.code != cases[i].code || !strstr(e.why, cases[i].why) || !e.next[0])
			fail_msg("%s: %s, %d '%s'", cases[i].typed, c ? c->name : "nothing", e.code, e.why);
	}
	assert_null(find("wal", true, &used, &format, &e)); /* exact: no abbreviations */
}

/* Names that Tcl has too must say so, or scripts and the prompt would disagree silently. */
static void names_of_tcl_are_marked(void **state)
{
	static const char *const tcl[] = {"break", "continue", "catch", "set", "source", "load", "info", "exit"};
	const char *format;
	struct err e;
	int used;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(tcl); i++) {
		const struct command *c = find(tcl[i], true, &used, &format, &e);
		if (!c || !(c->flags & CMD_SHADOWS_TCL))
			fail_msg("%s is not marked CMD_SHADOWS_TCL", tcl[i]);
	}
}

/* In the words of the machine's own calls, before a handler has done anything. */
static void look_only_is_refused(struct call *c)
{
	static const char *const lines[] = {"run",	 "stepi",	"finish",  "slot del",
					    "mem write", "memop write", "restart", "smi"};
	const char *format;
	struct err e = {0};
	int used;

	fake_of(c->s->d.m)->look_only = true;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		char words[32], *second;
		const char *argv[2] = {words, NULL};

		snprintf(words, sizeof(words), "%s", lines[i]);
		second = strchr(words, ' ');
		if (second)
			*second++ = '\0';
		argv[1] = second;
		c->cmd = command_find(command_table(), second ? 2 : 1, argv, true, &used, &format, &e);
		assert_non_null(c->cmd);
		assert_int_equal(command_run(c, &e), -ENOTSUP);
		assert_string_equal(e.what, lines[i]);
		assert_non_null(strstr(e.why, "because it may only be looked at"));
		assert_true(e.next[0]);
	}
}

static void flags_are_enforced(void **state)
{
	static struct session s;
	const char *format;
	struct err e;
	int used;
	_cleanup_pool_ struct pool *pool = pool_create();
	struct call c = {.s = &s, .pool = pool};

	(void)state;
	c.cmd = find("vm", true, &used, &format, &e);
	assert_int_equal(command_run(&c, &e), -ENODEV);
	assert_non_null(strstr(e.why, "no VM"));
	s.d.m = fake_create(1);
	fake_park(s.d.m, 0);
	c.cmd = find("run", true, &used, &format, &e);
	assert_true(c.cmd->flags & CMD_NEEDS_STOPPED);
	assert_int_equal(command_run(&c, &e), -EBUSY);
	assert_non_null(strstr(e.why, "stands inside a fault"));
	fake_unpark(s.d.m);
	look_only_is_refused(&c);
	machine_destroy(s.d.m);
	s.d.m = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(entries_are_complete),
	    cmocka_unit_test(names_are_unique),
	    cmocka_unit_test(every_spelling_finds_its_command),
	    cmocka_unit_test(abbreviations),
	    cmocka_unit_test(refusals),
	    cmocka_unit_test(names_of_tcl_are_marked),
	    cmocka_unit_test(flags_are_enforced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
