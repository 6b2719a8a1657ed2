/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The manual: a template in man(7) with the chapters that follow from the program's tables put in.
 */
#include "completions/gen.h"

#include <errno.h>
#include <string.h>

#include "cli/tui/keytable.h"
#include "views/tui/pane.h"
#include "cli/cmd/table.h"
#include "cli/cmd/options.h"

/* Text for roff: no request at a line's start, backslashes and hyphens as they are. n characters. */
static void roff(FILE *to, const char *s, size_t n)
{
	if (n && (*s == '.' || *s == '\''))
		fputs("\\&", to);
	for (size_t i = 0; i < n; i++)
		if (s[i] == '\\')
			fputs("\\e", to);
		else if (s[i] == '-')
			fputs("\\-", to);
		else
			fputc(s[i], to);
}

static void roff_text(FILE *to, const char *s)
{
	roff(to, s, strlen(s));
}

/* A help text: blank lines part paragraphs, lines that begin with blanks are examples. */
static void paragraphs(FILE *to, const char *s)
{
	bool example = false, first = true;

	while (*s) {
		size_t n = strcspn(s, "\n");
		bool now = n && s[0] == ' ';

		if (now != example && n) {
			fputs(now ? ".PP\n.EX\n" : ".EE\n.PP\n", to);
			example = now;
		} else if (!n && !example && !first && s[1] && s[1] != ' ') {
			fputs(".PP\n", to);
		} else if (n && !first && !example && s[-1] == '\n' && s[-2] != '\n') {
			fputs(".br\n", to);
		}
		if (n) {
			roff(to, s, n);
			fputc('\n', to);
		}
		first = false;
		s += n;
		s += *s == '\n';
	}
	if (example)
		fputs(".EE\n", to);
}

static void put_options(FILE *to)
{
	struct option_doc d;

	for (size_t i = 0; options_doc(i, &d); i++) {
		fputs(".TP\n.B ", to);
		if (d.letter) {
			roff_text(to, d.letter);
			fputs(", ", to);
		}
		roff_text(to, d.name);
		if (d.arg)
			fprintf(to, " \\fI%s\\fR", d.arg);
		fputc('\n', to);
		roff_text(to, d.help);
		fputs(".\n", to);
		for (const char *w = d.words; w && *w; w += strcspn(w, " "), w += *w == ' ') {
			size_t n = strcspn(w, " ");
			fprintf(to, "%s\\fB%.*s\\fR%s", w == d.words ? "One of " : "", (int)n, w, w[n] ? ",\n" : ".\n");
		}
	}
}

static void put_guests(FILE *to)
{
	for (const struct demo_info *d = demo_list(); d->name; d++) {
		fprintf(to, ".TP\n.B demo:%s\n", d->name);
		roff_text(to, d->help);
		fputs(".\n", to);
	}
}

static void put_aliases(FILE *to, const struct command *c)
{
	struct command_words w = {.at = c->aliases ? c->aliases : ""};
	const char *gap = strchr(c->name, ' ');

	for (command_word_next(&w); w.text; command_word_next(&w)) {
		const char *under = memchr(w.text, '_', w.len);

		fputs(w.text == c->aliases ? ".br\nAlso: " : ", ", to);
		if (gap && under)
			fprintf(to, "\\fB%.*s %.*s\\fR", (int)(gap - c->name), c->name,
				(int)(w.len - (size_t)(under + 1 - w.text)), under + 1);
		else
			fprintf(to, "\\fB%.*s\\fR", (int)w.len, w.text);
	}
	if (c->aliases && *c->aliases)
		fputs(".\n", to);
}

static void put_command(FILE *to, const struct command *c)
{
	fprintf(to, ".TP\n\\fB%s\\fR ", c->name);
	roff_text(to, c->usage ? c->usage : "");
	fprintf(to, "\n%c", c->summary[0] >= 'a' && c->summary[0] <= 'z' ? c->summary[0] - 'a' + 'A' : c->summary[0]);
	roff_text(to, c->summary + 1);
	fputs(".\n", to);
	put_aliases(to, c);
	fputs(".RS\n.PP\n", to);
	paragraphs(to, c->help);
	fputs(".RE\n", to);
}

static void put_commands(FILE *to)
{
	const struct command_table *all = command_table();

	for (size_t g = 0; g < all->n_groups; g++) {
		bool titled = false;
		for (size_t i = 0; i < all->n; i++) {
			if (strcmp(all->list[i]->group, all->groups[g].name))
				continue;
			if (!titled)
				fprintf(to, ".SS %s\n", all->groups[g].title);
			titled = true;
			put_command(to, all->list[i]);
		}
	}
}

static void put_keys(FILE *to, const struct key_row *keys)
{
	char name[16];

	for (; keys && keys->key; keys++) {
		fputs(".TP\n.B \"", to);
		roff_text(to, key_text(keys->key, name, sizeof(name)));
		if (keys->other) {
			fputs(", ", to);
			roff_text(to, key_text(keys->other, name, sizeof(name)));
		}
		fputs("\"\n", to);
		roff_text(to, keys->what);
		fputs("\n", to);
	}
}

static void put_screens(FILE *to)
{
	char name[16];

	for (int i = 0; i < PRESETS; i++) {
		fprintf(to, ".TP\n.B %s\n", key_text(TUI_KEY_F1 + 1 + i, name, sizeof(name)));
		roff_text(to, tui_presets[i].title);
		fputs(".\n", to);
	}
	fputs(".SS Keys\n", to);
	put_keys(to, tui_keys);
	fputs(".SS Keys of panes of lines\n", to);
	put_keys(to, pane_line_keys);
	for (const struct pane_ops *const *o = pane_list; *o; o++) {
		fprintf(to, ".SS %s (%s)\n", (*o)->title, (*o)->name);
		roff_text(to, (*o)->about);
		fputs("\n", to);
		put_keys(to, (*o)->keys);
	}
}

int gen_manual(FILE *to, const char *template)
{
	FILE *f = fopen(template, "r");
	char line[1024];

	if (!f) {
		fprintf(stderr, "gen: %s: %s\n", template, strerror(errno));
		return -1;
	}
	while (fgets(line, sizeof(line), f))
		if (!strcmp(line, "@OPTIONS@\n"))
			put_options(to);
		else if (!strcmp(line, "@GUESTS@\n"))
			put_guests(to);
		else if (!strcmp(line, "@COMMANDS@\n"))
			put_commands(to);
		else if (!strcmp(line, "@SCREENS@\n"))
			put_screens(to);
		else
			fputs(line, to);
	fclose(f);
	return 0;
}
