/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The lines that were typed. Each goes to the history file when it is entered: a session that is killed keeps it.
 */
#include "cli/prompt/history.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <readline/history.h>

#include "cli/session/privilege.h"

#define HISTORY_LINES 10000
#define HISTORY_BYTES (64ll << 20)

static char file[512]; /* "" if there is no place for it */
static bool is_open;

static void make_folders(char *path)
{
	for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		mkdir(path, 0700);
		*p = '/';
	}
}

bool state_folder(char *path, size_t size)
{
	const char *state = privilege_getenv("XDG_STATE_HOME"), *home = privilege_home();

	if (state && state[0] == '/')
		snprintf(path, size, "%.400s/kvmscope/", state);
	else if (home && home[0] == '/')
		snprintf(path, size, "%.400s/.local/state/kvmscope/", home);
	else
		return false;
	make_folders(path);
	path[strlen(path) - 1] = '\0';
	return true;
}

/* readline waits for a pipe's other end, writes to a device, and reads a file whole. A null device is how somebody says that
 * he wants no history. */
static bool is_ours(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return errno == ENOENT;
	if (S_ISREG(st.st_mode) && st.st_size <= HISTORY_BYTES)
		return true;
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))
		fprintf(stderr, "%s is not used: %s\n", path,
			S_ISREG(st.st_mode) ? "a history of more than 64 MiB is none" : "it is no regular file");
	return false;
}

void history_open(void)
{
	char folder[500];

	if (is_open)
		return;
	is_open = true;
	file[0] = '\0';
	using_history();
	stifle_history(HISTORY_LINES);
	if (!state_folder(folder, sizeof(folder)))
		return;
	snprintf(file, sizeof(file), "%.490s/history", folder);
	if (!is_ours(file)) {
		file[0] = '\0';
		return;
	}
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
	if (!is_open)
		return;
	is_open = false;
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
