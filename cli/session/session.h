/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One debugging session: the machine, what is loaded in it, what the user chose. Handlers get it in struct call.
 */
#ifndef KVMSCOPE_CLI_SESSION_H
#define KVMSCOPE_CLI_SESSION_H

#include "cli/session/xformat.h"
#include "core/debug/debugger.h"
#include "core/debug/expr.h"
#include "core/debug/snap.h"
#include "core/load/image.h"

struct Tcl_Interp;

enum backend_choice { BACKEND_AUTO, BACKEND_KVM, BACKEND_SOFT };

struct options {
	enum backend_choice backend;
	bool emulated_kernel, mmio_sptes; /* struct machine_config's, for soft */
	struct image_options image;
	bool batch, json, quiet, no_init;
	struct action {
		bool is_file; /* -x, else -c */
		const char *text;
	} * actions;
	size_t n_actions;
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

struct scripts {
	char *v[STOP_CAUSES_MAX]; /* owned */
	size_t n;
};
void scripts_clear(struct scripts *q);

struct session {
	struct options opt;
	struct debugger d; /* d.m is NULL where there is no VM */
	struct image *image;
	unsigned vcpu; /* the current one */
	struct Tcl_Interp *interp;
	struct err last_error; /* for `why` */
	bool last_was_error;
	struct named_snap *snaps;
	size_t n_snaps;
	struct snap *stage[2]; /* at the fault stage before, and at the one where a vCPU stands; NULL for none */
	bool stage_slow;       /* they take too long here to be kept */
	struct display *displays;
	size_t n_displays;
	int next_display;
	bool displaying;	 /* one is being worked out, which may run Tcl */
	const char *backend_why; /* why this backend was chosen */
	bool interactive;	 /* standard input is a terminal */
	bool color;		 /* standard output is one, and NO_COLOR is not set */
	bool out_gone;		 /* standard output cannot be written any more */
	struct scripts pending;	 /* commands of stop points, to be run after the command under way */
	char *repeat;		 /* what an empty line does again; NULL for nothing */
	bool quit;
	int exit_status;
	uint64_t x_next;		    /* where a repeated `x` goes on */
	struct xsticky x_sticky;	    /* what x left out the last time it was said */
	void (*stopped)(struct session *s); /* hooks of the screens; NULL for none */
};

int session_init(struct session *s, const struct options *opt, struct err *e) MUST_USE;
void session_deinit(struct session *s);
/* A new machine with this image in place of the old one; on failure the old one stays. Breakpoints are planted anew. */
int session_load(struct session *s, const struct image_options *opt, struct err *e) MUST_USE;
/* What this backend is called, whether it can be used and why it was chosen: rows for `info kvm` and help. */
struct backend {
	const char *name;
	enum backend_choice choice;
	const struct machine_ops *ops; /* NULL: not in this build */
	int (*available)(struct err *e);
};
const struct backend *session_backends(size_t *n);
/* The machine, or -ENODEV "no VM". */
int session_machine(struct session *s, struct machine **out, struct err *e) MUST_USE;
struct expr_env session_expr(struct session *s);
/* An address expression in which Tcl variables and [commands] may stand too: expr_eval() after Tcl's substitution, done now.
 */
int session_eval(struct session *s, const char *text, uint64_t *out, struct err *e) MUST_USE;
/* What `why` explains from now on, until the next stop. */
void session_error(struct session *s, const struct err *e);
/* The current stop as a record into c->result, the way every running command ends. */
struct call;
void session_result_stop(struct call *c);
/* True where Ctrl-C was pressed since the command began; long loops ask it and end with -EINTR. */
bool session_interrupted(void);

#endif
