/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The client on standard output and standard error: text for people, or with -j one line of JSON for each line.
 */
#ifndef KVMSCOPE_CLI_CONSOLE_H
#define KVMSCOPE_CLI_CONSOLE_H

#include <stdio.h>

#include "cli/session/client.h"
#include "views/view.h"

struct tui;

/* Rows that are shown in parts. All zero: none are. */
struct listing {
	bool begun;
	FILE *pager;
	struct table_parts parts;
};

struct console {
	struct client client;
	bool interactive; /* standard input and output are a terminal */
	bool pages;	  /* long output goes through a pager */
	/* While a line is being typed: make room for what is shown above it. NULL at other times. */
	void (*make_room)(struct console *c);
	char unfinished[1024]; /* the guest's last line, while it has no end and a line is being typed */
	size_t n_unfinished;
	uint64_t unfinished_since; /* clock_now_ns() */
	bool out_gone;		   /* standard output cannot be written any more */
	bool out_torn;		   /* what was written last was cut off, perhaps in the middle of a line */
	struct listing listing;
	bool screens_wanted;	 /* go to the screens (cli/tui) once the line is done */
	char *typed;		 /* what was typed when it went there or came back, to go on with; NULL for nothing */
	struct tui *tui;	 /* they are open; NULL: they are not */
	uint64_t progress_began; /* clock_now_ns(); 0: nothing that takes long is under way */
	unsigned progress;	 /* what is drawn of it, in tenths of a per cent, plus 1; 0: nothing */
};

/* Open it on s, with Tcl. close: before the session goes. */
int console_open(struct console *c, struct session *s, bool json, bool batch, struct err *e) MUST_USE;
void console_close(struct console *c);
/* Show the guest's unfinished line as it is if no more of it has come for a tenth of a second. */
void console_settle(struct console *c);

#endif
