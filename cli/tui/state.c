/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The presets, and how the user has changed them: kept in $XDG_STATE_HOME/kvmscope/layouts, a line "NAME LAYOUT" each.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cmd/sink.h"
#include "cli/prompt/history.h"
#include "cli/tui/tui_impl.h"
#include "views/draw.h"

static bool state_path(char *path, size_t size)
{
	char folder[500];

	return state_folder(folder, sizeof(folder)) && snprintf(path, size, "%s/layouts", folder) < (int)size;
}

static void take_line(struct tui *t, char *line)
{
	char *layout = line + strcspn(line, " ");
	struct err e = {0};

	if (!*layout)
		return;
	*layout++ = '\0';
	layout[strcspn(layout, "\n")] = '\0';
	for (int i = 0; i < PRESETS; i++)
		if (!strcmp(tui_presets[i].name, line))
			(void)!layout_parse(&t->preset[i], layout, pane_list, &e); /* one that is no layout is passed over */
}

static void read_saved(struct tui *t)
{
	char path[520], line[1024];
	/* Whatever lies there in place of a file is not waited for. */
	int fd = state_path(path, sizeof(path)) ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
	struct stat st;
	bool plain = fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode);
	FILE *f = plain ? fdopen(fd, "r") : NULL;

	if (!f && fd >= 0)
		close(fd);
	if (!f)
		return;
	while (fgets(line, sizeof(line), f))
		take_line(t, line);
	fclose(f);
}

int state_presets(struct tui *t, struct err *e)
{
	for (int i = 0; i < PRESETS; i++) {
		int ret = layout_parse(&t->preset[i], tui_presets[i].layout, pane_list, e);
		if (ret)
			return ret;
	}
	read_saved(t);
	return 0;
}

/* As the preset is without the user's changes. */
static bool is_unchanged(int i, const char *text)
{
	struct layout l;
	struct out o;

	out_init(&o, false, 0);
	if (!layout_parse(&l, tui_presets[i].layout, pane_list, NULL))
		layout_format(&l, &o);
	bool same = !strcmp(o.text, text);
	out_deinit(&o);
	return same;
}

/* Those that the user has changed: the others are what the program says, a later one too. */
static void write_presets(const struct tui *t, struct out *to)
{
	for (int i = 0; i < PRESETS; i++) {
		struct out o;
		out_init(&o, false, 0);
		layout_format(&t->preset[i], &o);
		if (!is_unchanged(i, o.text))
			out_textf(to, "%s %s\n", tui_presets[i].name, o.text);
		to->failed |= o.failed;
		out_deinit(&o);
	}
}

/* Beside it first: a full disk leaves the old one. */
void state_save(const struct tui *t)
{
	char path[520];
	struct sink k;
	struct out o;
	struct stat st;

	/* What is no file in the place of the old one stays. */
	if (!state_path(path, sizeof(path)) || (!stat(path, &st) && !S_ISREG(st.st_mode)))
		return;
	out_init(&o, false, 0);
	write_presets(t, &o);
	if (!o.failed && !sink_open(&k, "screens", path, NULL))
		(void)!sink_close(&k, sink_write(&k, o.text, o.len, NULL), NULL);
	out_deinit(&o);
}
