/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One debugging session: the machine, what is loaded in it, where it stops, what the user chose. There is no Tcl, no
 * terminal and no standard output in here: clients have those (cli/session/client.h). A process may have several sessions.
 */
#ifndef KVMSCOPE_CLI_SESSION_H
#define KVMSCOPE_CLI_SESSION_H

#include "cli/session/backends.h"
#include "cli/session/command.h"
#include "core/debug/debugger.h"
#include "core/debug/expr.h"
#include "core/debug/selection.h"
#include "core/debug/snap.h"
#include "core/debug/stoplog.h"
#include "core/load/image.h"

struct session_options {
	enum backend_choice backend;
	bool emulated_kernel, mmio_sptes; /* struct machine_config's, for soft */
	struct image_options image;
};

struct named_snap {
	char name[32];
	struct snap *snap;
};

struct display {
	int id;
	char format[16]; /* "" or "8gx" or "i" */
	char *expr;
};

struct session {
	struct session_options opt;
	const struct command_table *commands;
	struct client *clients;	       /* those that are open on it */
	struct client *active;	       /* whose command is being carried out; NULL for none */
	struct background *background; /* a run that nobody waits for (cli/session/go.h); NULL for none */
	struct debugger d;	       /* d.m is NULL if there is no VM */
	unsigned loads;		       /* counts machines that d.m has been: another number is another one */
	struct image *image;
	unsigned vcpu;	       /* the current one */
	struct err last_error; /* for `why` */
	bool last_was_error;
	struct named_snap *snaps;
	size_t n_snaps;
	struct snap *stage[2];	/* at the fault stage before, and at the one where a vCPU stands; NULL for none */
	bool stage_slow;	/* they take too long here to be kept */
	struct stop_log *stops; /* a row for each stop, for `report`; NULL: none is kept */
	struct display *displays;
	size_t n_displays;
	int next_display;
	struct selection sel;	 /* the address that all screens show */
	bool sel_chosen;	 /* by the user; else each stop chooses */
	struct changed *changed; /* registers of the last two stops (cli/session/changed.h) */
	const char *looking;   /* "a display", "a condition": it is being worked out, which may run scripts; NULL for none */
	char backend_why[720]; /* why this backend was chosen */
};

/* commands must live as long. No VM yet. */
int session_init(struct session *s, const struct session_options *opt, const struct command_table *commands,
		 struct err *e) MUST_USE;
void session_deinit(struct session *s); /* its clients are gone by then */
/* A new machine with this image in place of the old one; on failure the old one stays. Breakpoints are planted anew. */
int session_load(struct session *s, const struct image_options *opt, struct err *e) MUST_USE;
/* The machine, or -ENODEV "no VM". */
int session_machine(struct session *s, struct machine **out, struct err *e) MUST_USE;
struct expr_env session_expr(struct session *s);
/* One line for everybody who is open on it: something changed that nobody asked for. */
void session_notice(struct session *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* What `why` explains from now on, until the next stop. */
void session_error(struct session *s, const struct err *e);
/* While who ("a condition") is being worked out, at every stop again, it may only look: its commands are refused to run the
 * guest, to change it or its stop points, to load another. NULL: it no longer is. Gives who was before. */
const char *session_only_look(struct session *s, const char *who);
/* 0, or -EBUSY if something may only look. what: the command. */
int session_check_not_looking(const struct session *s, const char *what, struct err *e) MUST_USE;
/* The current stop as a record into c->result, the way every running command ends. */
void session_result_stop(struct call *c);

#endif
