/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A client: who gives a session its commands, and is told what comes of them. The prompt, a pipe with or without -j, a
 * script's interpreter are clients; several may be open on one session at once, all on the thread that the session belongs
 * to.
 *
 * A client shows things by its ops and has a language of its own (Tcl: cli/tcl) for whatever scripts, conditions and
 * expressions hold beyond numbers, registers and symbols. What belongs to one client and not to the session is here: what an
 * empty line repeats, where `x` goes on, commands of breakpoints that wait to be carried out.
 */
#ifndef KVMSCOPE_CLI_CLIENT_H
#define KVMSCOPE_CLI_CLIENT_H

#include "cli/session/session.h"
#include "cli/session/settings.h"
#include "cli/session/xformat.h"

struct tcl;

/* How it shows things. Each may be NULL: then it does not. */
struct client_ops {
	void (*value)(struct client *c, const char *view, const struct value *v); /* of a command; view NULL: by shape */
	/* A part of a listing's rows, a list in their order; last: it is the end, and may have no rows. False: no more of
	 * them are wanted, nor an end. NULL: it is given listings whole. */
	bool (*rows)(struct client *c, const char *view, const struct value *part, bool last);
	void (*error)(struct client *c, const struct err *e);
	void (*event)(struct client *c, const char *event, const char *view, const struct value *v); /* came on its own */
	void (*notice)(struct client *c, const char *text); /* one line about something that changed */
	/* What the guest prints. n 0: what was held back for the sake of a line that is typed may come now. */
	void (*console)(struct client *c, const char *bytes, size_t n);
	void (*progress)(struct client *c, uint64_t done, uint64_t total); /* of what takes long; total 0: it is over */
	void (*flush)(struct client *c);				   /* before somebody else writes there */
	unsigned (*width)(struct client *c);				   /* columns to stay within, 0: no limit */
	void (*lines)(struct client *c, void (*fn)(void *arg, int n, const char *line), void *arg); /* its history */
	int (*screens)(struct client *c, struct err *e); /* go to the screens once the line is done */
	/* While a command waits for the guest: wait for fd (of go_fd()) as well as for whatever else is of interest. NULL:
	 * it lends its thread. */
	void (*wait)(struct client *c, int fd);
	/* Its terminal is given away to a program that somebody talks to, or taken back. NULL: it has none to itself, the
	 * program may use what there is. */
	void (*lend_terminal)(struct client *c, bool away);
	void (*stopped)(struct client *c); /* the guest has run and stopped, perhaps in the middle of a script */
};

/* Its language. */
struct client_script {
	/* An expression that the plain evaluator refused with e: variables and [commands] may stand in it. */
	int (*eval)(struct client *c, const char *text, uint64_t *out, struct err *e);
	int (*truth)(struct client *c, const char *text, struct err *e); /* of a condition: 0, 1 or negative */
	int (*run)(struct client *c, const char *lines, struct err *e);	 /* as lines are at the prompt */
	int (*file)(struct client *c, const char *path, struct err *e);
	struct value (*result)(struct client *c, struct pool *p); /* of the last script */
	void (*new_symbols)(struct client *c);			  /* another image is loaded */
};

/* Commands of stop points, to be carried out after the command under way. */
struct scripts {
	char *v[STOP_CAUSES_MAX]; /* owned */
	size_t n;
};
void scripts_clear(struct scripts *q);

struct client {
	struct session *s;
	struct client *next; /* of the session's */
	const struct client_ops *ops;
	const struct client_script *script; /* NULL: none */
	struct tcl *tcl;		    /* script's own */
	bool json;			    /* its lines' values are JSON */
	bool color;			    /* what is drawn for it may have colours */
	bool background;		    /* commands on its lines that run the guest do not wait for it */
	bool quit;			    /* it wants no more lines */
	int exit_status;
	struct settings settings;
	char *repeat; /* what an empty line does again; NULL for nothing */
	uint64_t x_next;
	struct xsticky x_sticky; /* what x left out the last time it was said */
	struct scripts pending;
	bool running_pending;
};

/* Opens it on s, which must outlive it. ops must live as long. */
void client_init(struct client *c, struct session *s, const struct client_ops *ops);
void client_deinit(struct client *c);
/* An address expression, with whatever the client's language makes of it; now. */
int client_eval(struct client *c, const char *text, uint64_t *out, struct err *e) MUST_USE;
/* Say this error, and keep it for `why`. */
void client_report(struct client *c, const struct err *e);
void client_show(struct client *c, const char *view, const struct value *v);
void client_flush(struct client *c);
unsigned client_width(struct client *c);
/* Carry out the commands of the breakpoint that the last stop was at, unless they are being carried out already. */
void client_run_pending(struct client *c);

#endif
