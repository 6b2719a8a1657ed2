/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Finding a command by what was typed, and running it with its flags enforced.
 *
 * Names have one or two words. The first word is settled first (exact name or alias, else the only one that it abbreviates),
 * then, if that word has subcommands, the second one in the same way. Aliases of two words ("i_r") follow their first
 * word.
 */
#include "cli/session/command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/session/client.h"
#include "cli/session/go.h"
#include "cli/session/interrupt.h"

#define WORD_MAX 64

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
 * first word, or its whole name if a one-word alias leads to a command of two words. */
struct match {
	const char *typed;
	size_t len;
	bool exact;
	char key[WORD_MAX];
	const struct command *hit;
	unsigned n;	 /* different keys */
	char names[200]; /* of all that matched */
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
	size_t at = strlen(m->names);
	snprintf(m->names + at, sizeof(m->names) - at, "%s%s", at ? ", " : "", name);
}

static bool word_matches(const struct match *m, const char *text, size_t len)
{
	return (m->exact ? len == m->len : len >= m->len) && !memcmp(text, m->typed, m->len);
}

static void match_first(struct match *m, const struct command *c)
{
	struct spelling s = split_name(c->name, strlen(c->name), ' ');
	struct command_words w = {.at = c->aliases ? c->aliases : ""};

	if (word_matches(m, s.first, s.first_len))
		note_hit(m, c, s.first, s.first_len);
	for (command_word_next(&w); w.text; command_word_next(&w))
		if (!memchr(w.text, '_', w.len) && word_matches(m, w.text, w.len))
			note_hit(m, c, c->name, strlen(c->name));
}

static void match_second(struct match *m, const struct command *c, const char *group)
{
	struct spelling s = split_name(c->name, strlen(c->name), ' ');
	struct command_words w = {.at = c->aliases ? c->aliases : ""};

	if (!s.second || strncmp(s.first, group, s.first_len) || group[s.first_len])
		return;
	if (word_matches(m, s.second, s.second_len))
		note_hit(m, c, s.second, s.second_len);
	for (command_word_next(&w); w.text; command_word_next(&w)) {
		struct spelling alias = split_name(w.text, w.len, '_');
		if (alias.second && word_matches(m, alias.second, alias.second_len))
			note_hit(m, c, s.second, s.second_len);
	}
}

/* Exact spellings first, then abbreviations. group NULL: first words. False if nothing or too much matched. */
static bool match_word(const struct command_table *t, struct match *m, const char *typed, size_t len, const char *group,
		       bool exact_only)
{
	for (int exact = 1; exact >= (exact_only ? 1 : 0); exact--) {
		*m = (struct match){.typed = typed, .len = len, .exact = exact};
		for (size_t i = 0; i < t->n; i++)
			if (group)
				match_second(m, t->list[i], group);
			else
				match_first(m, t->list[i]);
		if (m->n)
			break;
	}
	return m->n == 1;
}

static const struct command *find_named(const struct command_table *t, const char *name)
{
	for (size_t i = 0; i < t->n; i++)
		if (!strcmp(t->list[i]->name, name))
			return t->list[i];
	return NULL;
}

static const struct command *ambiguous(const struct match *m, const char *what, struct err *e)
{
	err_set(e, -EINVAL, "%.80s" WHY "it is short for several: %.180s" TRY "more letters", what, m->names);
	return NULL;
}

static void subcommands_of(const struct command_table *t, const char *group, char *buf, size_t size)
{
	struct match m;

	match_word(t, &m, "", 0, group, false);
	snprintf(buf, size, "%s", m.names);
}

static const struct command *no_subcommand(const struct command_table *t, const char *group, const char *typed,
					   struct err *e)
{
	char subs[200], what[100];

	subcommands_of(t, group, subs, sizeof(subs));
	snprintf(what, sizeof(what), "%.40s%s%.50s", group, typed ? " " : "", typed ? typed : "");
	err_set(e, -ENOENT, "%s" WHY "%s" TRY "%s with one of: %s", what,
		typed ? "there is no such subcommand" : "it needs a subcommand", group, subs);
	return NULL;
}

/* The second word of a group, or the group's own command if it has one. */
static const struct command *find_in_group(const struct command_table *t, const struct match *first, int argc,
					   const char *const *argv, bool exact, int *used, struct err *e)
{
	const struct command *own = find_named(t, first->key);
	struct match m = {.n = 0};
	char what[100];

	if (argc > 1 && argv[1][0] && match_word(t, &m, argv[1], strlen(argv[1]), first->key, exact)) {
		*used = 2;
		return m.hit;
	}
	if (argc > 1 && m.n > 1) {
		snprintf(what, sizeof(what), "%.40s %.50s", first->key, argv[1]);
		return ambiguous(&m, what, e);
	}
	*used = 1;
	return own ? own : no_subcommand(t, first->key, argc > 1 ? argv[1] : NULL, e);
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

const struct command *command_find(const struct command_table *t, int argc, const char *const *argv, bool exact, int *used,
				   const char **format, struct err *e)
{
	size_t len = argc ? strcspn(argv[0], "/") : 0;
	const struct command *c;
	struct match m;

	if (!len) {
		err_set(e, -ENOENT, "%.80s" WHY "no such command" TRY "help", argc ? argv[0] : "command");
		return NULL;
	}
	if (!match_word(t, &m, argv[0], len, NULL, exact)) {
		if (m.n > 1)
			return ambiguous(&m, argv[0], e);
		err_set(e, -ENOENT, "%.80s" WHY "no such command" TRY "help, or apropos WORD", argv[0]);
		return NULL;
	}
	*used = 1;
	c = m.hit;
	if (!strchr(m.key, ' '))
		c = find_in_group(t, &m, argc, argv, exact, used, e);
	return take_format(c, argv[0] + len, argc, argv, used, format, e);
}

static bool may_change_guest(const struct command *cmd)
{
	return cmd->flags & CMD_CHANGES_GUEST || cmd->needs & (NEEDS(RUN) | NEEDS(WRITE) | NEEDS(SLOTS) | NEEDS(CONTROL));
}

/* `&` as the last word, or behind it. */
static int take_ampersand(struct call *c, struct err *e)
{
	const char *last = c->argc ? c->argv[c->argc - 1] : "";
	size_t n = strlen(last);

	if (!n || last[n - 1] != '&')
		return 0;
	c->background = true;
	if (n == 1) {
		c->argc--;
		return 0;
	}
	const char **words = pool_alloc(c->pool, (size_t)c->argc * sizeof(*words));
	char *word = pool_alloc(c->pool, n);
	if (!words || !word)
		return err_nomem(e, c->cmd->name);
	memcpy(words, c->argv, (size_t)c->argc * sizeof(*words));
	memcpy(word, last, n - 1);
	word[n - 1] = '\0';
	words[c->argc - 1] = word;
	c->argv = words;
	return 0;
}

/* What stands against it while a run is in the background. */
static int check_background(struct session *s, const struct command *cmd, struct err *e)
{
	if (!go_is_under_way(s))
		return 0;
	if (cmd->flags & CMD_ENDS_RUN)
		return go_give_up(s, e);
	return cmd->flags & CMD_RUNS ? run_phase_check(RUN_GOING, RUN_ASK_STOPPED, false, 0, cmd->name, e) : 0;
}

static int check_state(struct session *s, const struct command *cmd, struct err *e)
{
	int rc = may_change_guest(cmd) ? session_check_not_looking(s, cmd->name, e) : 0;

	if (!rc)
		rc = check_background(s, cmd, e);
	if (rc || !(cmd->flags & (CMD_NEEDS_VM | CMD_NEEDS_STOPPED)))
		return rc;
	if (!s->d.m)
		return err_set(e, -ENODEV, "%s" WHY "there is no VM" TRY "load IMAGE", cmd->name);
	rc = machine_check_caps(s->d.m, cmd->needs, cmd->name, e);
	if (!rc && (cmd->flags & CMD_NEEDS_STOPPED))
		rc = machine_check_idle(s->d.m, cmd->name, e);
	return rc;
}

/* Every error of a command begins with its name. */
static void name_error(struct err *e, const struct command *cmd)
{
	size_t n = strlen(cmd->name);

	if (strncmp(e->what, cmd->name, n) && !strstr(e->what, cmd->name))
		err_prefix(e, "%s: ", cmd->name);
}

/* What a signal stops while a command waits for the guest. */
struct running_command {
	struct interruptible head;
	struct session *s;
};

static void interrupt_machine(struct interruptible *i)
{
	const struct session *s = CONTAINER_OF(i, struct running_command, head)->s;
	struct machine *m = s->d.m;

	if (m && !s->background && machine_running(m))
		machine_interrupt(m);
}

/* Handed over while the guest ran: true of some moment, perhaps not of this one. */
static void mark_live(struct pool *p, struct value *v)
{
	if (v->type == VALUE_DICT && !v_get(v, "live"))
		v_put(p, v, "live", v_bool(true));
	for (uint32_t i = 0; v->type == VALUE_LIST && i < v->n; i++)
		mark_live(p, &v->items[i]);
}

static int run_waiting(struct call *c, struct err *e)
{
	int ret = c->cmd->run(c, e);

	return ret == CMD_WAIT ? c->background ? go_background(c, e) : go_here(c, e) : ret;
}

static int run_checked(struct call *c, struct err *e)
{
	struct running_command r = {.head.interrupt = interrupt_machine, .s = c->s};
	struct client *outer = c->s->active;
	bool live = go_is_under_way(c->s) && c->cmd->flags & CMD_NEEDS_VM;
	int ret;

	c->view = c->cmd->view;
	c->result = v_null();
	c->s->active = c->client;
	interrupt_enter(&r.head);
	ret = run_waiting(c, e);
	interrupt_leave(&r.head);
	c->s->active = outer;
	if (!ret && live && go_is_under_way(c->s))
		mark_live(c->pool, &c->result);
	return !ret && pool_failed(c->pool) ? err_nomem(e, c->cmd->name) : ret;
}

int command_run(struct call *c, struct err *e)
{
	int ret = c->cmd->flags & CMD_RUNS ? take_ampersand(c, e) : 0;

	if (!ret)
		ret = check_state(c->s, c->cmd, e);
	if (!ret)
		ret = run_checked(c, e);
	if (!ret)
		return 0;
	if (!e->what[0])
		name_error(e, c->cmd);
	if (!e->code)
		e->code = ret;
	session_error(c->s, e);
	return ret;
}

int command_look(struct call *c, struct err *e)
{
	c->look = true;
	int ret = may_change_guest(c->cmd) || c->cmd->flags & (CMD_RUNS | CMD_ENDS_RUN)
		      ? err_set(e, -EINVAL, "%s" WHY "it does more than look" TRY "it as a command", c->cmd->name)
		      : check_state(c->s, c->cmd, e);

	return ret ? ret : run_checked(c, e);
}
