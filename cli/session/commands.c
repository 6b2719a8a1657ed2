/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The list of all commands, finding one by what was typed, and running it with its flags enforced.
 *
 * Names have one or two words. The first word is settled first (exact name or alias, else the only one that it abbreviates),
 * then, where that word has subcommands, the second one in the same way. Aliases of two words ("i_r") follow their first
 * word.
 */
#include "cli/session/command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/session/session.h"

#define WORD_MAX 64

static const struct command *const tables[] = {
    commands_run,   commands_break, commands_data,    commands_slots,	commands_mmu,
    commands_memop, commands_fault, commands_session, commands_support, commands_history,
};

const struct command_group command_groups[COMMAND_GROUPS] = {
    {"running", "Running"},
    {"breakpoints", "Stopping"},
    {"data", "Registers, memory, code"},
    {"memory-map", "How memory is mapped"},
    {"slots", "Memory slots"},
    {"faults", "Inside a fault"},
    {"session", "The session"},
    {"support", "Help"},
};

static const struct command **list;
static size_t list_n;

static int by_name(const void *a, const void *b)
{
	return strcmp((*(const struct command *const *)a)->name, (*(const struct command *const *)b)->name);
}

const struct command *const *command_list(size_t *n)
{
	if (!list) {
		for (size_t t = 0; t < ARRAY_LEN(tables); t++)
			for (const struct command *c = tables[t]; c->name; c++)
				list_n++;
		list = calloc(list_n + 1, sizeof(*list));
		if (!list)
			list_n = 0;
		size_t i = 0;
		for (size_t t = 0; list && t < ARRAY_LEN(tables); t++)
			for (const struct command *c = tables[t]; c->name; c++)
				list[i++] = c;
		if (list)
			qsort(list, list_n, sizeof(*list), by_name);
	}
	*n = list_n;
	return list;
}

void command_word_next(struct command_words *w)
{
	const char *p = w->at;

	while (*p == ' ')
		p++;
	size_t n = strcspn(p, " ");
	w->text = n ? p : NULL;
	w->len = n;
	w->at = p + n;
}

/* One name of a command, taken apart: "info slots" or alias "i_s". */
struct spelling {
	const char *first, *second; /* second NULL for one word */
	size_t first_len, second_len;
};

static struct spelling split_name(const char *text, size_t len, char sep)
{
	const char *gap = memchr(text, sep, len);
	struct spelling s = {.first = text, .first_len = gap ? (size_t)(gap - text) : len};

	if (gap) {
		s.second = gap + 1;
		s.second_len = len - s.first_len - 1;
	}
	return s;
}

/* What one typed word matched. Spellings that lead to the same key count once: for a first word the key is the command's
 * first word, or its whole name where a one-word alias leads to a command of two words. */
struct match {
	const char *typed;
	size_t len;
	bool exact;
	char key[WORD_MAX];
	const struct command *hit;
	unsigned n;	  /* different keys */
	char others[200]; /* their names */
};

static void note_hit(struct match *m, const struct command *c, const char *key, size_t len)
{
	char name[WORD_MAX];

	snprintf(name, sizeof(name), "%.*s", (int)len, key);
	if (m->hit && !strcmp(m->key, name))
		return;
	m->n++;
	m->hit = c;
	memcpy(m->key, name, sizeof(name));
	size_t at = strlen(m->others);
	snprintf(m->others + at, sizeof(m->others) - at, "%s%s", at ? ", " : "", name);
}

static bool same(const struct match *m, const char *text, size_t len)
{
	return (m->exact ? len == m->len : len >= m->len) && !memcmp(text, m->typed, m->len);
}

static void match_first(struct match *m, const struct command *c)
{
	struct spelling s = split_name(c->name, strlen(c->name), ' ');
	struct command_words w = {.at = c->aliases ? c->aliases : ""};

	if (same(m, s.first, s.first_len))
		note_hit(m, c, s.first, s.first_len);
	for (command_word_next(&w); w.text; command_word_next(&w))
		if (!memchr(w.text, '_', w.len) && same(m, w.text, w.len))
			note_hit(m, c, c->name, strlen(c->name));
}

static void match_second(struct match *m, const struct command *c, const char *group)
{
	struct spelling s = split_name(c->name, strlen(c->name), ' ');
	struct command_words w = {.at = c->aliases ? c->aliases : ""};

	if (!s.second || strncmp(s.first, group, s.first_len) || group[s.first_len])
		return;
	if (same(m, s.second, s.second_len))
		note_hit(m, c, s.second, s.second_len);
	for (command_word_next(&w); w.text; command_word_next(&w)) {
		struct spelling alias = split_name(w.text, w.len, '_');
		if (alias.second && same(m, alias.second, alias.second_len))
			note_hit(m, c, s.second, s.second_len);
	}
}

/* Exact spellings first, then abbreviations. group NULL: first words. False where nothing or too much matched. */
static bool match_word(struct match *m, const char *typed, size_t len, const char *group, bool exact_only)
{
	size_t n;
	const struct command *const *all = command_list(&n);

	for (int exact = 1; exact >= (exact_only ? 1 : 0); exact--) {
		*m = (struct match){.typed = typed, .len = len, .exact = exact};
		for (size_t i = 0; i < n; i++)
			if (group)
				match_second(m, all[i], group);
			else
				match_first(m, all[i]);
		if (m->n)
			break;
	}
	return m->n == 1;
}

static const struct command *find_named(const char *name)
{
	size_t n;
	const struct command *const *all = command_list(&n);

	for (size_t i = 0; i < n; i++)
		if (!strcmp(all[i]->name, name))
			return all[i];
	return NULL;
}

static const struct command *ambiguous(const struct match *m, const char *what, struct err *e)
{
	err_set(e, -EINVAL, "%.80s" WHY "it is short for several: %.180s" TRY "more letters", what, m->others);
	return NULL;
}

static void subcommands_of(const char *group, char *buf, size_t size)
{
	struct match m;

	match_word(&m, "", 0, group, false);
	snprintf(buf, size, "%s", m.others);
}

static const struct command *no_subcommand(const char *group, const char *typed, struct err *e)
{
	char subs[200], what[100];

	subcommands_of(group, subs, sizeof(subs));
	snprintf(what, sizeof(what), "%.40s%s%.50s", group, typed ? " " : "", typed ? typed : "");
	err_set(e, -ENOENT, "%s" WHY "%s" TRY "%s with one of: %s", what,
		typed ? "there is no such subcommand" : "it needs a subcommand", group, subs);
	return NULL;
}

/* The second word of a group, or the group's own command where it has one. */
static const struct command *find_in_group(const struct match *first, int argc, const char *const *argv, bool exact,
					   int *used, struct err *e)
{
	const struct command *own = find_named(first->key);
	struct match m = {.n = 0};
	char what[100];

	if (argc > 1 && argv[1][0] && match_word(&m, argv[1], strlen(argv[1]), first->key, exact)) {
		*used = 2;
		return m.hit;
	}
	if (argc > 1 && m.n > 1) {
		snprintf(what, sizeof(what), "%.40s %.50s", first->key, argv[1]);
		return ambiguous(&m, what, e);
	}
	*used = 1;
	return own ? own : no_subcommand(first->key, argc > 1 ? argv[1] : NULL, e);
}

/* x/8gx and x /8gx. */
static const struct command *take_format(const struct command *c, const char *slash, int argc, const char *const *argv,
					 int *used, const char **format, struct err *e)
{
	*format = *slash ? slash + 1 : NULL;
	if (!c || !(c->flags & CMD_FORMAT)) {
		if (c && *slash) {
			err_set(e, -EINVAL, "%.80s" WHY "%s takes no /FORMAT" TRY "%s %s", argv[0], c->name, c->name,
				c->usage ? c->usage : "");
			return NULL;
		}
		return c;
	}
	if (!*format && argc > *used && argv[*used][0] == '/' && argv[*used][1]) {
		*format = argv[*used] + 1;
		(*used)++;
	}
	return c;
}

const struct command *command_find(int argc, const char *const *argv, bool exact, int *used, const char **format,
				   struct err *e)
{
	size_t len = argc ? strcspn(argv[0], "/") : 0;
	const struct command *c;
	struct match m;

	if (!len) {
		err_set(e, -ENOENT, "%.80s" WHY "no such command" TRY "help", argc ? argv[0] : "command");
		return NULL;
	}
	if (!match_word(&m, argv[0], len, NULL, exact)) {
		if (m.n > 1)
			return ambiguous(&m, argv[0], e);
		err_set(e, -ENOENT, "%.80s" WHY "no such command" TRY "help, or apropos WORD", argv[0]);
		return NULL;
	}
	*used = 1;
	c = m.hit;
	if (!strchr(m.key, ' '))
		c = find_in_group(&m, argc, argv, exact, used, e);
	return take_format(c, argv[0] + len, argc, argv, used, format, e);
}

static int check_state(struct session *s, const struct command *cmd, struct err *e)
{
	unsigned vcpu;

	if (s->displaying && cmd->flags & CMD_CHANGES_GUEST)
		return err_set(e, -EBUSY,
			       "%s" WHY "a display is being worked out, at every stop again; it may only look" TRY
			       "commands N, for what a breakpoint is to do",
			       cmd->name);
	if (!(cmd->flags & (CMD_NEEDS_VM | CMD_NEEDS_STOPPED)))
		return 0;
	if (!s->d.m)
		return err_set(e, -ENODEV, "%s" WHY "there is no VM" TRY "load IMAGE", cmd->name);
	if ((cmd->flags & CMD_NEEDS_STOPPED) && machine_parked(s->d.m, &vcpu))
		return err_set(e, -EBUSY,
			       "%s" WHY "vCPU %u stands inside a fault" TRY
			       "fault continue, or si to leave the fault and take its instruction once more",
			       cmd->name, vcpu);
	return 0;
}

/* Every error of a command begins with its name. */
static void name_error(struct err *e, const struct command *cmd)
{
	size_t n = strlen(cmd->name);

	if (strncmp(e->what, cmd->name, n) && !strstr(e->what, cmd->name))
		err_prefix(e, "%s: ", cmd->name);
}

int command_run(struct call *c, struct err *e)
{
	int ret = check_state(c->s, c->cmd, e);

	if (ret)
		return ret;
	c->view = c->cmd->view;
	c->result = v_null();
	ret = c->cmd->run(c, e);
	if (!ret && pool_failed(c->pool))
		ret = err_nomem(e, c->cmd->name);
	if (ret && !e->what[0])
		name_error(e, c->cmd);
	return ret;
}
