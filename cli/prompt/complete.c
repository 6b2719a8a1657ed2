/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Completion, derived from the command table.
 */
#include "cli/prompt/complete.h"

#include <stdio.h>
#include <string.h>

#include <readline/readline.h>

#include "cli/session/command.h"
#include "cli/session/settings.h"

/* Where candidates go: those that begin with what was typed. */
struct sink {
	const char *typed;
	size_t len;
	void (*fn)(void *arg, const char *text);
	void *arg;
};

static void offer(struct sink *k, const char *text)
{
	if (!strncmp(text, k->typed, k->len))
		k->fn(k->arg, text);
}

static void offer_words(struct sink *k, const char *words)
{
	struct command_words w = {.at = words ? words : ""};
	char word[64];

	for (command_word_next(&w); w.text; command_word_next(&w)) {
		snprintf(word, sizeof(word), "%.*s", (int)w.len, w.text);
		offer(k, word);
	}
}

/* First words of names; group non-NULL: second words of that group. */
static void offer_commands(struct session *s, struct sink *k, const char *group)
{
	const struct command *const *all = s->commands->list;
	char word[64], last[64] = "";

	for (size_t i = 0; i < s->commands->n; i++) {
		size_t first = strcspn(all[i]->name, " ");
		if (group && (strlen(group) != first || strncmp(all[i]->name, group, first) || !all[i]->name[first]))
			continue;
		if (group)
			snprintf(word, sizeof(word), "%s", all[i]->name + first + 1);
		else
			snprintf(word, sizeof(word), "%.*s", (int)first, all[i]->name);
		if (strcmp(word, last))
			offer(k, word);
		memcpy(last, word, sizeof(last));
	}
}

/* Names with what stands before them: "$" in expressions, nothing in `reg NAME`. */
static void offer_registers(struct sink *k, const char *before)
{
	size_t n;
	const struct reg_name *all = reg_names(&n);
	char word[40];

	for (size_t i = 0; i < n; i++) {
		snprintf(word, sizeof(word), "%s%s", before, all[i].name);
		offer(k, word);
	}
}

static void offer_slots(struct session *s, struct sink *k)
{
	char word[16];

	if (!s->d.m)
		return;
	const struct slot_table *t = machine_slots(s->d.m);
	for (size_t i = 0; i < t->n; i++) {
		if (t->by_gfn[i]->own)
			continue;
		snprintf(word, sizeof(word), "%u", t->by_gfn[i]->id);
		offer(k, word);
	}
}

static void offer_breakpoints(struct session *s, struct sink *k)
{
	char word[16];

	for (size_t i = 0; i < s->d.points.n; i++) {
		snprintf(word, sizeof(word), "%d", s->d.points.v[i]->id);
		offer(k, word);
	}
}

static void offer_vcpus(struct session *s, struct sink *k)
{
	char word[16];

	for (unsigned i = 0; s->d.m && i < machine_vcpus(s->d.m); i++) {
		snprintf(word, sizeof(word), "%u", i);
		offer(k, word);
	}
}

/* Names of settings, or the values of the one that stands before. */
static void offer_settings(struct sink *k, const char *before)
{
	const struct setting *named = before ? setting_find(before) : NULL;

	if (named)
		offer_words(k, named->values);
	for (const struct setting *st = settings_table; !before && st->name; st++)
		offer(k, st->name);
}

static void offer_symbol(void *arg, const char *name)
{
	struct sink *k = arg;

	k->fn(k->arg, name);
}

/* Expressions: what follows the last operator is a register or a symbol; readline replaces the whole word, so the front is
 * put before each. */
struct prefixed {
	struct sink *k;
	const char *front;
	size_t front_len;
};

static void offer_prefixed(void *arg, const char *text)
{
	struct prefixed *p = arg;
	char word[300];

	snprintf(word, sizeof(word), "%.*s%s", (int)p->front_len, p->front, text);
	p->k->fn(p->k->arg, word);
}

static void offer_addresses(struct session *s, struct sink *k)
{
	size_t front = k->len;

	while (front && !strchr("+-*/(%&|^~,", k->typed[front - 1]) &&
	       !(k->typed[front - 1] == ':' && k->typed[front] == '$'))
		front--;
	struct prefixed p = {.k = k, .front = k->typed, .front_len = front};
	struct sink inner = {.typed = k->typed + front, .len = k->len - front, .fn = offer_prefixed, .arg = &p};

	if (inner.typed[0] == '$')
		offer_registers(&inner, "$");
	else
		symbols_complete(&s->d.syms, inner.typed, offer_symbol, &inner);
}

/* before: the first word behind the command's name; NULL if there is none yet. */
static bool offer_kind(struct session *s, const struct command *c, const char *before, struct sink *k)
{
	switch (c->complete) {
	case COMPLETE_FILE:
		return false;
	case COMPLETE_SLOT:
		offer_slots(s, k);
		break;
	case COMPLETE_BREAKPOINT:
		offer_breakpoints(s, k);
		break;
	case COMPLETE_REGISTER:
		offer_registers(k, "");
		break;
	case COMPLETE_COMMAND:
		offer_commands(s, k, NULL);
		break;
	case COMPLETE_SNAP:
		for (size_t i = 0; i < s->n_snaps; i++)
			offer(k, s->snaps[i].name);
		break;
	case COMPLETE_VCPU:
		offer_vcpus(s, k);
		break;
	case COMPLETE_SETTING:
		offer_settings(k, before);
		break;
	case COMPLETE_ADDRESS:
		offer_addresses(s, k);
		break;
	case COMPLETE_NONE:
	case COMPLETE_WORDS:
		break;
	}
	return true;
}

/* The words before the one that is completed: at most two matter. */
static int words_before(const char *line, size_t start, char word[2][64])
{
	int n = 0;

	for (size_t at = 0; at < start && n < 3;) {
		at += strspn(line + at, " \t");
		size_t len = strcspn(line + at, " \t");
		if (!len || at >= start)
			break;
		if (n < 2)
			snprintf(word[n], 64, "%.*s", (int)len, line + at);
		n++;
		at += len;
	}
	return n;
}

/* A command may begin inside a line: after '[', '{' or ';'. */
static size_t command_start(const char *line, size_t start)
{
	while (start && !strchr("[{;", line[start - 1]))
		start--;
	return start;
}

/* Call fn for everything that the word from `start` to the end of `line` may become. False if file names are wanted
 * (readline knows how). */
static bool complete_word(struct session *s, const char *line, size_t start, void (*fn)(void *arg, const char *text),
			  void *arg)
{
	size_t from = command_start(line, start);
	struct sink k = {.typed = line + start, .len = strlen(line + start), .fn = fn, .arg = arg};
	char word[2][64] = {"", ""};
	const char *argv[2] = {word[0], word[1]}, *format;
	int used, n = words_before(line + from, start - from, word);

	if (k.typed[0] == '$' && !strpbrk(k.typed, "+-*/(%&|^~,:")) {
		offer_registers(&k, "$");
		return true;
	}
	if (!n) {
		offer_commands(s, &k, NULL);
		return true;
	}
	const struct command *c = command_find(s->commands, n > 2 ? 2 : n, argv, false, &used, &format, NULL);
	if (n == 1)
		offer_commands(s, &k, c ? (strchr(c->name, ' ') ? NULL : c->name) : word[0]);
	if (!c)
		return n == 1;
	offer_words(&k, c->words);
	return offer_kind(s, c, n == 2 ? word[1] : n > 2 ? "" : NULL, &k);
}

/* ---- readline */

/* readline's callbacks have no argument: whose line it is, while complete_for() runs. */
static struct session *completing;
static char **found;
static size_t n_found, next_found;

static void add_candidate(void *arg, const char *text)
{
	char **more = realloc(found, (n_found + 1) * sizeof(*more));

	(void)arg;
	if (!more)
		return;
	found = more;
	found[n_found] = strdup(text);
	if (found[n_found])
		n_found++;
}

static char *next_candidate(const char *text, int state)
{
	(void)text;
	if (!state)
		next_found = 0;
	return next_found < n_found ? strdup(found[next_found++]) : NULL;
}

static char **on_complete(const char *text, int start, int end)
{
	_cleanup_free_ char *line = strndup(rl_line_buffer, (size_t)end);
	char **matches = NULL;

	if (!line || !completing)
		return NULL;
	rl_attempted_completion_over = complete_word(completing, line, (size_t)start, add_candidate, NULL);
	if (n_found)
		matches = rl_completion_matches(text, next_candidate);
	for (size_t i = 0; i < n_found; i++)
		free(found[i]);
	free(found);
	found = NULL;
	n_found = 0;
	return matches;
}

void complete_init(void)
{
	rl_attempted_completion_function = on_complete;
	rl_basic_word_break_characters = " \t\n[{;\"";
	rl_completer_word_break_characters = rl_basic_word_break_characters;
	rl_special_prefixes = "$";
}

void complete_for(struct session *s, void (*read)(void))
{
	completing = s;
	read();
	completing = NULL;
}
