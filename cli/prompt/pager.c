/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The pager. It shares our terminal and our Ctrl-C: less leaves a long search by it, and our handler only takes a note.
 */
#include "cli/prompt/pager.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

static bool fits_screen(const char *text, size_t len)
{
	struct winsize w;
	unsigned lines = 0, column = 0;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) || !w.ws_row)
		return true;
	for (size_t i = 0; i < len; i++) {
		bool wraps = w.ws_col && column == w.ws_col && text[i] != '\n';
		if (text[i] == '\n' || wraps)
			lines++;
		column = text[i] == '\n' ? 0 : wraps ? 1 : column + 1;
	}
	return lines < w.ws_row;
}

bool pager_show(const char *text, size_t len)
{
	const char *pager = getenv("PAGER");
	FILE *f;

	if (!isatty(STDOUT_FILENO) || fits_screen(text, len))
		return false;
	if (!pager)
		pager = "less -FRX";
	if (!*pager || !strcmp(pager, "cat"))
		return false;
	fflush(stdout);
	f = popen(pager, "w");
	if (!f)
		return false;
	fwrite(text, 1, len, f);
	/* 127: the shell did not find it. */
	int status = pclose(f);
	return !(status != -1 && status >> 8 == 127);
}
