/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the files of the screens share.
 */
#ifndef KVMSCOPE_CLI_TUI_IMPL_H
#define KVMSCOPE_CLI_TUI_IMPL_H

#include "cli/prompt/lines.h"
#include "cli/tui/collect.h"
#include "cli/tui/divert.h"
#include "cli/tui/keytable.h"
#include "cli/tui/tui.h"
#include "views/tui/layout.h"
#include "views/tui/scrollback.h"
#include "views/tui/terminal.h"

/* What the typed line is for. */
enum edit_for { EDIT_COMMAND, EDIT_SEARCH, EDIT_SEARCH_BACK };

struct tui {
	struct console *console;
	struct client *client;
	const struct client_ops *prompt_ops; /* while the screens are open the client has others */
	struct terminal term;
	struct grid grid;
	struct divert divert;
	struct collector looks;
	struct scrollback text[TEXT_COUNT];
	struct lines lines;
	struct pane *pane[LAYOUT_NODES]; /* one of each kind, by its number in pane_list */
	struct layout preset[PRESETS];
	int now;	   /* the preset on the screen */
	bool editing;	   /* the keys go to the command line */
	bool stay_editing; /* also after a line is entered */
	enum edit_for edit_for;
	bool prefix; /* C-x was pressed */
	bool help;   /* the keys are shown over the panes */
	size_t help_top;
	bool dirty;	   /* to be drawn */
	bool carrying_out; /* a line: what comes meanwhile is drawn by the way */
	uint64_t drawn_at;
	bool leave;	       /* back to the prompt */
	uint64_t console_seen; /* lines of the guest's console, when its pane was last on the screen */
	char progress[64];     /* of what takes long; "" for nothing */
	char note[120];	       /* one line for the user, until the next key */
};

/* ops.c: what a client is shown. */
extern const struct client_ops tui_ops;
struct tui *tui_of(struct client *c);
void tui_add_output(struct tui *t, const char *text, size_t n, bool styled);

/* draw.c */
void tui_place(struct tui *t); /* divide the screen among the panes of the preset */
void tui_draw(struct tui *t);
uint32_t tui_needs(const struct tui *t); /* of the panes on the screen */
void tui_refresh(struct tui *t);	 /* look, draw, put: as far as there is something to do */
struct pane *tui_pane_of(struct tui *t, const struct pane_ops *ops);
struct pane *tui_focused(struct tui *t);

/* keys.c: what keys do. */
void tui_key(struct tui *t, int key, const struct mouse *m);

/* edit.c: the command line, by readline. */
void edit_prepare(void); /* before the terminal is opened */
void edit_open(struct tui *t);
void edit_close(struct tui *t);
void edit_begin(struct tui *t, enum edit_for what, const char *text); /* the keys go there now; text: to go on with */
void edit_key(struct tui *t, int key);
void edit_leave(struct tui *t);	  /* the keys go to the panes again; what was typed stays */
void edit_abandon(struct tui *t); /* Ctrl-C */
const char *edit_prompt(const struct tui *t);
unsigned edit_column(const struct tui *t); /* of the cursor, behind the prompt */
const char *edit_text(const struct tui *t);

/* loop.c */
void tui_run_line(struct tui *t, const char *line); /* as if typed */
void tui_wait(struct client *c, int fd);	    /* client_ops.wait */
void tui_stopped(struct client *c);		    /* client_ops.stopped */

/* state.c: layouts are kept in the state folder. */
int state_presets(struct tui *t, struct err *e) MUST_USE;
void state_save(const struct tui *t);

#endif
