/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The pager. It shares our terminal and our Ctrl-C: less leaves a long search by it, and our handler only takes a note.
 */
#include "cli/prompt/pager.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "cli/prompt/output.h"

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

/* The pager for a text; NULL: none. */
static const char *pager_for(const char *text, size_t len)
{
	const char *pager = getenv("PAGER");

	if (!isatty(STDOUT_FILENO) || fits_screen(text, len))
		return NULL;
	if (!pager)
		return "less -FRX";
	return *pager && strcmp(pager, "cat") != 0 ? pager : NULL;
}

bool pager_show(const char *text, size_t len)
{
	const char *pager = pager_for(text, len);
	FILE *f;

	if (!pager)
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

/* Asked before, as rows that a shell has taken in vain are gone. */
static bool is_found(const char *pager)
{
	size_t n = strcspn(pager, " ");
	char line[300];

	if (n > 200 || strcspn(pager, "=\"'\\$`;|&<>()") < n)
		return true; /* more than a name: let the shell see */
	snprintf(line, sizeof(line), "command -v '%.*s' >/dev/null", (int)n, pager);
	return !system(line);
}

FILE *pager_open(const char *text, size_t len)
{
	const char *pager = pager_for(text, len);
	FILE *f;

	if (!pager || !is_found(pager))
		return NULL;
	fflush(stdout);
	f = popen(pager, "w");
	if (!f || !output_put(f, text, len))
		return f;
	pclose(f);
	return NULL;
}

void pager_close(FILE *pager)
{
	pclose(pager);
}
