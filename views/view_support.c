/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Views of the debugger's own texts: the list of commands, and the help of one.
 */
#include "views/draw.h"

#include <string.h>

#define NAME_COLUMNS 38 /* a usage that is longer has its sentence on the next line */

static void draw_command_row(struct out *o, const struct value *row)
{
	const char *usage = get_str(row, "command"), *what = get_str(row, "what");
	size_t n = strlen(usage), width = text_width(usage, n);

	out_text(o, "  ");
	out_styled(o, STYLE_BOLD, "%s", usage);
	if (width > NAME_COLUMNS) {
		out_text(o, "\n");
		out_fill(o, ' ', NAME_COLUMNS + 4);
	} else {
		out_fill(o, ' ', NAME_COLUMNS + 2 - width);
	}
	out_wrapped(o, what, NAME_COLUMNS + 4);
}

/* A list of command and what. */
void view_commands(struct out *o, const struct value *v)
{
	if (!v->n)
		out_nothing(o, "no commands");
	for (uint32_t i = 0; i < v->n; i++)
		if (v->items[i].type == VALUE_DICT)
			draw_command_row(o, &v->items[i]);
}

/* A dict of group titles, each a list of command and what. */
void view_help(struct out *o, const struct value *v)
{
	for (uint32_t i = 0; i < v->n; i++) {
		if (i)
			out_text(o, "\n");
		out_styled(o, STYLE_HEAD, "%s", v->fields[i].key);
		out_text(o, "\n");
		if (v->fields[i].value.type == VALUE_LIST)
			view_commands(o, &v->fields[i].value);
	}
}

/* Paragraphs: a line that begins with blanks is an example and stays as it is. */
static void draw_paragraphs(struct out *o, const char *text)
{
	while (*text) {
		size_t n = strcspn(text, "\n");
		char line[2048];

		if (n >= sizeof(line))
			n = sizeof(line) - 1;
		memcpy(line, text, n);
		line[n] = '\0';
		if (line[0] && line[0] != ' ')
			out_wrapped(o, line, 0);
		else
			out_textf(o, "%s\n", line);
		text += n + (text[n] == '\n');
	}
}

/* command, usage, aliases, summary, help; all but the first may be missing. */
void view_help_command(struct out *o, const struct value *v)
{
	const char *usage = get_str(v, "usage"), *summary = get_str(v, "summary"), *aliases = get_str(v, "aliases");

	out_styled(o, STYLE_BOLD, "%s", *usage ? usage : get_str(v, "command"));
	out_text(o, "\n");
	if (*summary) {
		out_text(o, "  ");
		out_wrapped(o, summary, 2);
	}
	if (*aliases) {
		out_text(o, "  also: ");
		for (const char *p = aliases; *p; p++) {
			char c[2] = {*p == '_' ? ' ' : *p, '\0'};
			out_text(o, *p == ' ' ? ", " : c);
		}
		out_text(o, "\n");
	}
	out_text(o, "\n");
	draw_paragraphs(o, get_str(v, "help"));
}
