/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Completions of kvmscope's command line for bash, zsh and fish: options, the values that an option can have, files, the
 * built-in guests, and the first words of commands after -c.
 */
#include "completions/gen.h"

#include <string.h>

#include "cli/cmd/table.h"
#include "cli/cmd/options.h"

#define HEAD "# %s completion for kvmscope. Written by `make completions` out of the program's tables: do not edit.\n"

static void put_guests(FILE *to)
{
	for (const struct demo_info *d = demo_list(); d->name; d++)
		fprintf(to, "%sdemo:%s", d == demo_list() ? "" : " ", d->name);
}

/* Commands' first words, each once: the list is sorted. */
static void put_commands(FILE *to)
{
	char word[64], last[64] = "";
	const struct command_table *all = command_table();

	for (size_t i = 0; i < all->n; i++) {
		snprintf(word, sizeof(word), "%.*s", (int)strcspn(all->list[i]->name, " "), all->list[i]->name);
		if (strcmp(word, last))
			fprintf(to, "%s%s", last[0] ? " " : "", word);
		memcpy(last, word, sizeof(last));
	}
}

static bool takes_command(const struct option_doc *d)
{
	return d->arg && !strcmp(d->arg, "COMMAND");
}

/* ---- bash */

static void bash_case(FILE *to, const struct option_doc *d)
{
	if (!d->arg)
		return;
	fprintf(to, "\t%s%s%s)\n", d->name, d->letter ? "|" : "", d->letter ? d->letter : "");
	if (d->file) {
		fprintf(to, "\t\tcompopt -o filenames\n\t\tCOMPREPLY=($(compgen -f -- \"$cur\"))\n");
	} else if (d->words || takes_command(d)) {
		fprintf(to, "\t\tCOMPREPLY=($(compgen -W '");
		if (d->words)
			fputs(d->words, to);
		else
			put_commands(to);
		fprintf(to, "' -- \"$cur\"))\n");
	}
	fprintf(to, "\t\treturn\n\t\t;;\n");
}

void gen_bash(FILE *to)
{
	struct option_doc d;

	fprintf(to, HEAD, "bash");
	fprintf(to, "# shellcheck shell=bash disable=SC2207\n\n"
		    "_kvmscope()\n{\n"
		    "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
		    "\t# \"demo:tour\" and \"--mode=long\" arrive in parts, cut at the ':' and the '='.\n"
		    "\tif [[ $prev == = ]]; then\n\t\tprev=${COMP_WORDS[COMP_CWORD - 2]}\n"
		    "\telif [[ $cur == = ]]; then\n\t\tcur=\n\tfi\n"
		    "\tif [[ $prev == demo && $cur == : ]]; then\n\t\tcur=demo:\n"
		    "\telif [[ $prev == : && $COMP_CWORD -ge 3 && ${COMP_WORDS[COMP_CWORD - 2]} == demo ]]; then\n"
		    "\t\tcur=demo:$cur\n\tfi\n"
		    "\tcase $prev in\n");
	for (size_t i = 0; options_doc(i, &d); i++)
		bash_case(to, &d);
	fprintf(to, "\tesac\n\tif [[ $cur == -* ]]; then\n\t\tCOMPREPLY=($(compgen -W '");
	for (size_t i = 0; options_doc(i, &d); i++)
		fprintf(to, "%s%s%s%s", i ? " " : "", d.letter ? d.letter : "", d.letter ? " " : "", d.name);
	fprintf(to, "' -- \"$cur\"))\n\t\treturn\n\tfi\n"
		    "\tcompopt -o filenames\n\tCOMPREPLY=($(compgen -f -- \"$cur\") $(compgen -W '");
	put_guests(to);
	fprintf(to, "' -- \"$cur\"))\n"
		    "\t# What stands before the last ':' is on the line already.\n"
		    "\tif [[ $cur == *:* && $COMP_WORDBREAKS == *:* ]]; then\n"
		    "\t\tCOMPREPLY=(\"${COMPREPLY[@]#\"${cur%%\"${cur##*:}\"}\"}\")\n\tfi\n"
		    "}\n\ncomplete -F _kvmscope kvmscope\n");
}

/* ---- zsh */

/* Inside single quotes, inside [ ]. */
static void zsh_text(FILE *to, const char *s)
{
	for (; *s; s++)
		if (*s == '\'')
			fputs("'\\''", to);
		else if (strchr("[]:\\", *s))
			fprintf(to, "\\%c", *s);
		else
			fputc(*s, to);
}

/* One spelling of an option. */
static void zsh_option(FILE *to, const struct option_doc *d, const char *name)
{
	bool many = strstr(d->help, "may repeat") || d->letter == NULL ? strstr(d->help, "may repeat") != NULL : false;

	fprintf(to, "\t'%s%s%s[", many ? "*" : "", name, !d->arg ? "" : name[1] == '-' ? "=" : name[2] ? "" : "+");
	zsh_text(to, d->help);
	fputc(']', to);
	if (d->arg) {
		fprintf(to, ":%s:", d->arg);
		if (d->file)
			fprintf(to, "_files");
		if (d->words)
			fprintf(to, "(%s)", d->words);
		else if (takes_command(d)) {
			fputc('(', to);
			put_commands(to);
			fputc(')', to);
		}
	}
	fprintf(to, "' \\\n");
}

void gen_zsh(FILE *to)
{
	struct option_doc d;

	fprintf(to, "#compdef kvmscope\n" HEAD, "zsh");
	fprintf(to, "\n_kvmscope_image() {\n\tlocal -a guests\n\tguests=(");
	for (const struct demo_info *g = demo_list(); g->name; g++) {
		fprintf(to, "\n\t\t'demo\\:%s:", g->name);
		zsh_text(to, g->help);
		fputc('\'', to);
	}
	fprintf(to, "\n\t)\n\t_describe 'built-in guest' guests\n\t_files\n}\n\n_arguments -S \\\n");
	for (size_t i = 0; options_doc(i, &d); i++) {
		if (d.letter)
			zsh_option(to, &d, d.letter);
		zsh_option(to, &d, d.name);
	}
	fprintf(to, "\t'1:image:_kvmscope_image'\n");
}

/* ---- fish */

static void fish_text(FILE *to, const char *s)
{
	fputc('\'', to);
	for (; *s; s++) {
		if (*s == '\'' || *s == '\\')
			fputc('\\', to);
		fputc(*s, to);
	}
	fputc('\'', to);
}

void gen_fish(FILE *to)
{
	struct option_doc d;

	fprintf(to, HEAD, "fish");
	for (const struct demo_info *g = demo_list(); g->name; g++) {
		fprintf(to, "complete -c kvmscope -a demo:%s -d ", g->name);
		fish_text(to, g->help);
		fputc('\n', to);
	}
	for (size_t i = 0; options_doc(i, &d); i++) {
		fprintf(to, "complete -c kvmscope -l %s", d.name + 2);
		if (d.letter)
			fprintf(to, " -%c %s", d.letter[2] ? 'o' : 's', d.letter + 1);
		if (d.arg)
			fputs(d.file ? " -r -F" : " -x", to);
		if (d.words) {
			fputs(" -a ", to);
			fish_text(to, d.words);
		} else if (takes_command(&d)) {
			fputs(" -a '", to);
			put_commands(to);
			fputc('\'', to);
		}
		fputs(" -d ", to);
		fish_text(to, d.help);
		fputc('\n', to);
	}
}
