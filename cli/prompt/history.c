/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The lines that were typed. Each goes to the history file when it is entered: a session that is killed keeps it.
 */
#include "cli/prompt/history.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <readline/history.h>

#define HISTORY_LINES 10000

static char file[512]; /* "" if there is no place for it */

static void make_folders(char *path)
{
	for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		mkdir(path, 0700);
		*p = '/';
	}
}

void history_open(void)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

	file[0] = '\0';
	if (state && state[0] == '/')
		snprintf(file, sizeof(file), "%.400s/kvmscope/history", state);
	else if (home && home[0] == '/')
		snprintf(file, sizeof(file), "%.400s/.local/state/kvmscope/history", home);
	using_history();
	stifle_history(HISTORY_LINES);
	if (!file[0])
		return;
	make_folders(file);
	if (read_history(file) == ENOENT)
		write_history(file);
}

void history_add(const char *line)
{
	HIST_ENTRY *last = history_length ? history_get(history_base + history_length - 1) : NULL;

	if (!line[0] || line[0] == ' ' || (last && !strcmp(last->line, line)))
		return;
	add_history(line);
	if (file[0])
		append_history(1, file);
}

void history_close(void)
{
	if (file[0])
		history_truncate_file(file, HISTORY_LINES);
	clear_history();
}

void history_each(void (*fn)(void *arg, int n, const char *line), void *arg)
{
	for (int i = 0; i < history_length; i++) {
		HIST_ENTRY *h = history_get(history_base + i);
		if (h)
			fn(arg, i + 1, h->line);
	}
}
