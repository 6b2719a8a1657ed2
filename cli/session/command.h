/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One const entry per command; one list of them. Dispatch, abbreviation, help, apropos, usage errors, completion, the Tcl
 * commands, the shell completions, the manual's command chapter and the smoke test all derive from it.
 *
 * The entries stand in cli/cmd; a session is given their table when it is made (cli/session/session.h), so that nothing here
 * needs one of them. A handler parses its words (cli/cmd/args.h), calls core, and leaves a value; it draws nothing.
 */
#ifndef KVMSCOPE_CLI_COMMAND_H
#define KVMSCOPE_CLI_COMMAND_H

#include "core/base/err.h"
#include "core/base/value.h"
#include "core/debug/plan.h"
#include "core/machine/machine.h"

struct session;
struct client;
struct command;

/* One invocation. */
struct call {
	struct session *s;
	struct client *client; /* whose; its session is s */
	const struct command *cmd;
	const char *format; /* what stood after '/' in x/8gx: "8gx"; NULL for none */
	int argc;
	const char *const *argv;  /* words after the command's name */
	const char *const *typed; /* the same before variables and [commands] were put in; NULL: nobody typed them */
	struct pool *pool;	  /* the result lives here */
	struct value result;	  /* null at first */
	const char *view;	  /* the command's; a handler may choose another */
	bool shown;		  /* the value will be drawn for a person; else it goes to a script, or to -j */
	bool streams;		  /* rows of a listing may be shown while they are made (cli/session/rows.h) */
	bool streamed;		  /* they were, so there is no value to show */
	const char *again;	  /* of a command that repeats: what an empty line does; NULL: the same */
	bool script;		  /* a script runs it, and nobody else sees what it gives */
	bool look;		  /* by command_look(): what it says beside its value is heard by nobody */
	bool background;	  /* `&` stood behind the words: nobody waits */
	/* Of a handler that answers CMD_WAIT. */
	struct plan plan;
	int (*finish)(struct call *c, struct err *e);
};

enum command_flag {
	CMD_NEEDS_VM = 1 << 0,
	CMD_NEEDS_STOPPED = 1 << 1, /* nor while a vCPU is parked inside a fault: machine_check_idle() */
	CMD_REPEATS = 1 << 2,	    /* an empty line repeats it */
	CMD_FORMAT = 1 << 3,	    /* accepts /FMT */
	CMD_RAW = 1 << 4,    /* words arrive as typed, not substituted: kept and evaluated later (condition, display) */
	CMD_RAW_IF = 1 << 5, /* the same for what follows the word `if` (break A if COND) */
	CMD_CHANGES_GUEST = 1 << 7, /* may, though needs says nothing: its words decide (set), or another VM comes (load) */
	CMD_RUNS = 1 << 8,	    /* answers CMD_WAIT, and takes `&` */
	CMD_ENDS_RUN = 1 << 9,	    /* a run in the background is given up for it */
	CMD_SHADOWS_TCL = 1 << 6,   /* also a Tcl command's name: the words decide (cli/tcl/line.c) */
};

/* A handler's answer: the guest is to run by call.plan, and call.finish makes the value of its stop. */
#define CMD_WAIT 1

/* What completion offers for the words after the name. */
enum complete_kind {
	COMPLETE_NONE,
	COMPLETE_ADDRESS, /* symbols and $registers */
	COMPLETE_FILE,
	COMPLETE_SLOT,
	COMPLETE_BREAKPOINT,
	COMPLETE_REGISTER,
	COMPLETE_COMMAND,
	COMPLETE_SNAP,
	COMPLETE_VCPU,
	COMPLETE_SETTING, /* a setting's name, then its values */
	COMPLETE_WORDS,	  /* one of .words */
};

struct command {
	const char *name;    /* "walk", "info slots", "slot add" */
	const char *aliases; /* separated by spaces; an alias of two words has a '_' for the space; NULL for none */
	const char *group;   /* running, breakpoints, data, memory-map, slots, faults, session, support */
	const char *usage;   /* the words after the name: "GVA [r|w|x] [-user]" */
	const char *summary; /* one line */
	const char *help;    /* paragraphs: what it gives (keys), units, an example */
	unsigned flags;
	uint32_t needs; /* NEEDS(WRITE) | …: capabilities of the machine without which it is refused, as its calls are */
	enum complete_kind complete;
	const char *words;			   /* COMPLETE_WORDS, and options everywhere: "r w x -user" */
	const char *view;			   /* how its value is drawn (views/view.h), NULL: by shape */
	int (*run)(struct call *c, struct err *e); /* 0, CMD_WAIT or negative */
};

struct command_group {
	const char *name, *title;
};

/* What a session has commands from. */
struct command_table {
	const struct command *const *list; /* sorted by name */
	size_t n;
	const struct command_group *groups; /* in the order in which help and the manual have them */
	size_t n_groups;
};

/* Exact name or alias; else the only command that the words abbreviate. argv[0] may be followed by a subcommand. *used is
 * how many words the name took (1 or 2), *format what stood after '/'. NULL with e filled: -ENOENT unknown, -EINVAL
 * ambiguous (lists the candidates). exact: no abbreviations. */
const struct command *command_find(const struct command_table *t, int argc, const char *const *argv, bool exact, int *used,
				   const char **format, struct err *e);
/* Check flags against the session and run it. On failure e begins with the command's name, and is what `why` explains. */
int command_run(struct call *c, struct err *e);
/* The same for somebody who only looks, on his own account (a screen): the command must be one that changes nothing, and an
 * error is not what `why` explains. */
int command_look(struct call *c, struct err *e) MUST_USE;

/* Goes through words separated by blanks (aliases, .words): .text is NULL after the last. */
struct command_words {
	const char *at, *text;
	size_t len;
};
void command_word_next(struct command_words *w);

#endif
