/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * From lines to commands.
 */
#include "cli/prompt/lines.h"

#include <string.h>

#include "cli/tcl/exec.h"
#include "cli/tcl/line.h"

static bool blank(const char *line)
{
	return !line[strspn(line, " \t\r\n")];
}

/* Append a line to the command that is not complete yet; false if memory is out. */
static bool append(struct lines *l, const char *line)
{
	size_t old = l->pending ? strlen(l->pending) + 1 : 0;
	char *more = realloc(l->pending, old + strlen(line) + 1);

	if (!more)
		return false;
	if (old)
		more[old - 1] = '\n';
	strcpy(more + old, line);
	l->pending = more;
	return true;
}

void lines_drop(struct lines *l)
{
	free(l->pending);
	l->pending = NULL;
}

static void run_line(struct client *c, const char *text)
{
	_cleanup_free_ char *repeat = NULL;

	if (blank(text)) {
		if (!c->repeat)
			return;
		repeat = strdup(c->repeat);
		text = repeat ? repeat : "";
	}
	exec_line(c, text);
}

void lines_take(struct lines *l, const char *line)
{
	if (!append(l, line) || !line_complete(l->pending))
		return;
	char *text = l->pending;
	l->pending = NULL;
	run_line(l->c, text);
	free(text);
}
