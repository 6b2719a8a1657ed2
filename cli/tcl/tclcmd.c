/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Every command of the debugger as a Tcl command: dbg::NAME always, NAME where Tcl has none of that name. A first word with
 * subcommands is one Tcl command that looks its second word up. `info` keeps being Tcl's ensemble and learns the debugger's
 * subcommands; `unknown` knows formats (x/8gx) and abbreviations, and loads Tcl's library when something of it is asked for.
 */
#include "cli/tcl/interp.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/tcl/tclvalue.h"

#define WORDS_ON_STACK 32
#define AUTO_PATH_TRACE (TCL_GLOBAL_ONLY | TCL_TRACE_READS | TCL_TRACE_WRITES)

struct sub {
	char name[32];
	const struct command *cmd;
};

/* What a Tcl command of ours runs. */
struct entry {
	struct tcl *t;
	char first[32];		   /* "info", "slot", "walk", "x/8gx" */
	const struct command *cmd; /* without a second word; NULL: it needs one */
	const char *format;
	struct sub *subs;
	size_t n_subs;
	bool group_alias; /* an alias of a first word that has subcommands: "i" */
};

/* ---- calls */

static int raise_error(struct tcl *t, const struct err *e)
{
	char number[16];
	Tcl_Interp *interp = t->interp;

	session_error(t->client->s, e); /* a script may catch it and ask why */
	snprintf(number, sizeof(number), "%d", e->code ? e->code : -EINVAL);
	Tcl_SetErrorCode(interp, "KVMSCOPE", number, e->what, e->why, e->next, NULL);
	Tcl_SetObjResult(interp, Tcl_ObjPrintf("%s: %s; try %s", e->what, e->why, e->next));
	return TCL_ERROR;
}

static struct pool *take_pool(struct tcl *t)
{
	struct pool *p = t->spare;

	t->spare = NULL;
	return p ? p : pool_create();
}

static void give_pool(struct tcl *t, struct pool *p)
{
	if (t->spare) {
		pool_destroy(p);
		return;
	}
	pool_reset(p);
	t->spare = p;
}

void tclcmd_forget_result(struct tcl *t)
{
	if (t->last_dict)
		Tcl_DecrRefCount(t->last_dict);
	t->last_dict = NULL;
}

/* A loop of `si` leaves each stop behind: the next one goes into the same dict. */
static Tcl_Obj *result_object(struct tcl *t, const struct value *v)
{
	if (t->last_dict && tcl_refill_dict(t->last_dict, v))
		return t->last_dict;
	Tcl_Obj *result = tcl_from_value(v);
	if (v->type == VALUE_DICT) {
		tclcmd_forget_result(t);
		t->last_dict = result;
		Tcl_IncrRefCount(result);
	}
	return result;
}

static int run_in_pool(struct tcl *t, struct call *c)
{
	struct err e;

	err_clear(&e);
	if (command_run(c, &e))
		return raise_error(t, &e);
	if (t->client->quit) {
		interp_unwind(t);
		return TCL_ERROR;
	}
	client_run_pending(t->client); /* leaves results of its own behind */
	Tcl_SetObjResult(t->interp, result_object(t, &c->result));
	return TCL_OK;
}

static int run(struct tcl *t, const struct command *cmd, const char *format, int argc, const char *const *argv)
{
	struct pool *pool = take_pool(t);
	struct call c = {.s = t->client->s,
			 .client = t->client,
			 .cmd = cmd,
			 .format = format,
			 .argc = argc,
			 .argv = argv,
			 .pool = pool,
			 .script = true};
	struct err e;

	if (!pool)
		return raise_error(t, (err_nomem(&e, cmd->name), &e));
	int code = run_in_pool(t, &c);
	give_pool(t, pool);
	return code;
}

static const struct command *find_sub(const struct entry *w, const char *name)
{
	for (size_t i = 0; i < w->n_subs; i++)
		if (!strcmp(w->subs[i].name, name))
			return w->subs[i].cmd;
	return NULL;
}

/* Not by an exact name: an abbreviation of the second word, Tcl's own info, or an error. */
static int run_found(const struct entry *w, int argc, const char *const *argv, Tcl_Obj *const objv[])
{
	const struct command *cmd;
	const char *format = NULL;
	struct err e;
	int used;

	if (argc > 1 && !strcmp(w->first, "info")) {
		Tcl_Obj *call[WORDS_ON_STACK];
		call[0] = Tcl_NewStringObj("::info", -1);
		for (int i = 1; i < argc && i < WORDS_ON_STACK; i++)
			call[i] = objv[i];
		Tcl_IncrRefCount(call[0]);
		int code = Tcl_EvalObjv(w->t->interp, argc < WORDS_ON_STACK ? argc : WORDS_ON_STACK, call, 0);
		Tcl_DecrRefCount(call[0]);
		return code;
	}
	err_clear(&e);
	cmd = command_find(w->t->client->s->commands, argc, argv, false, &used, &format, &e);
	if (!cmd)
		return raise_error(w->t, &e);
	return run(w->t, cmd, format, argc - used, argv + used);
}

static int dispatch(const struct entry *w, int argc, const char **argv, Tcl_Obj *const objv[])
{
	const struct command *cmd = w->n_subs && argc > 1 ? find_sub(w, argv[1]) : NULL;

	if (cmd)
		return run(w->t, cmd, NULL, argc - 2, argv + 2);
	argv[0] = w->first;
	if (!w->cmd || ((w->n_subs || w->group_alias) && argc > 1))
		return run_found(w, argc, argv, objv);
	if (!w->format && argc > 1 && argv[1][0] == '/' && w->cmd->flags & CMD_FORMAT)
		return run(w->t, w->cmd, argv[1] + 1, argc - 2, argv + 2);
	return run(w->t, w->cmd, w->format, argc - 1, argv + 1);
}

static int on_command(ClientData data, Tcl_Interp *interp, int objc, Tcl_Obj *const objv[])
{
	const char *small[WORDS_ON_STACK], **argv = small;
	_cleanup_free_ void *big = NULL;

	(void)interp;
	if (objc > WORDS_ON_STACK) {
		big = argv = malloc((size_t)objc * sizeof(*argv));
		if (!argv)
			return TCL_ERROR;
	}
	for (int i = 0; i < objc; i++)
		argv[i] = Tcl_GetString(objv[i]);
	return dispatch(data, objc, argv, objv);
}

bool tclcmd_is_tcl(Tcl_Interp *interp, const char *name)
{
	Tcl_CmdInfo info;

	return Tcl_GetCommandInfo(interp, name, &info) && info.objProc != on_command;
}

/* ---- registration */

static void free_entry(ClientData data)
{
	struct entry *w = data;

	free((void *)(uintptr_t)w->format);
	free(w->subs);
	free(w);
}

static void no_free(ClientData data)
{
	(void)data;
}

static struct entry *make_entry(struct tcl *t, const char *first, size_t len)
{
	char name[64], plain[40];
	struct entry *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->t = t;
	snprintf(w->first, sizeof(w->first), "%.*s", (int)len, first);
	snprintf(name, sizeof(name), "::dbg::%s", w->first);
	snprintf(plain, sizeof(plain), "::%s", w->first);
	Tcl_CreateObjCommand(t->interp, name, on_command, w, free_entry);
	if (!Tcl_FindCommand(t->interp, plain, NULL, 0))
		Tcl_CreateObjCommand(t->interp, plain, on_command, w, no_free);
	return w;
}

static struct entry *entry_of(struct tcl *t, const char *first, size_t len)
{
	char name[64];
	Tcl_CmdInfo info;

	snprintf(name, sizeof(name), "::dbg::%.*s", (int)len, first);
	if (Tcl_GetCommandInfo(t->interp, name, &info))
		return info.objClientData;
	return make_entry(t, first, len);
}

static bool add_sub(struct entry *w, const char *name, size_t len, const struct command *cmd)
{
	struct sub *more = realloc(w->subs, (w->n_subs + 1) * sizeof(*more));

	if (!more)
		return false;
	w->subs = more;
	snprintf(more[w->n_subs].name, sizeof(more->name), "%.*s", (int)len, name);
	more[w->n_subs++].cmd = cmd;
	return true;
}

/* One spelling of a command: "walk", "info slots", alias "i_s", which is a second word of info's too. */
static bool add_spelling(struct tcl *t, const struct command *c, const char *text, size_t len, char sep)
{
	const char *gap = memchr(text, sep, len);
	struct entry *w = gap ? entry_of(t, c->name, strcspn(c->name, " ")) : entry_of(t, text, len);

	if (!w)
		return false;
	if (gap)
		return add_sub(w, gap + 1, len - (size_t)(gap + 1 - text), c);
	w->cmd = c;
	return true;
}

/* After all of them: an alias of one word for a command that has subcommands looks for these too. */
static void mark_group_aliases(struct tcl *t, const struct command *c)
{
	struct command_words w = {.at = c->aliases ? c->aliases : ""};

	if (!entry_of(t, c->name, strcspn(c->name, " "))->n_subs || strchr(c->name, ' '))
		return;
	for (command_word_next(&w); w.text; command_word_next(&w))
		entry_of(t, w.text, w.len)->group_alias = true;
}

static bool add_command(struct tcl *t, const struct command *c)
{
	struct command_words w = {.at = c->aliases ? c->aliases : ""};
	bool ok = add_spelling(t, c, c->name, strlen(c->name), ' ');

	for (command_word_next(&w); w.text && ok; command_word_next(&w))
		ok = add_spelling(t, c, w.text, w.len, '_');
	return ok;
}

/* Tcl's `info` learns our subcommands; if it has one of that name, Tcl's stays. */
static void extend_info(struct tcl *t)
{
	Tcl_CmdInfo found;
	Tcl_Obj *name = Tcl_NewStringObj("::info", -1), *map = NULL, *there;

	Tcl_IncrRefCount(name);
	Tcl_Command ensemble = Tcl_FindEnsemble(t->interp, name, 0);
	Tcl_DecrRefCount(name);
	if (!ensemble || !Tcl_GetCommandInfo(t->interp, "::dbg::info", &found) ||
	    Tcl_GetEnsembleMappingDict(t->interp, ensemble, &map) != TCL_OK || !map)
		return;
	const struct entry *w = found.objClientData;
	map = Tcl_DuplicateObj(map);
	for (size_t i = 0; i < w->n_subs; i++) {
		Tcl_Obj *sub = Tcl_NewStringObj(w->subs[i].name, -1);
		Tcl_Obj *target[2] = {Tcl_NewStringObj("::dbg::info", -1), sub};
		Tcl_Obj *words = Tcl_NewListObj(2, target);

		if (Tcl_DictObjGet(NULL, map, sub, &there) == TCL_OK && !there)
			Tcl_DictObjPut(NULL, map, sub, words);
		else
			Tcl_DecrRefCount((Tcl_IncrRefCount(words), words));
	}
	Tcl_SetEnsembleMappingDict(t->interp, ensemble, map);
}

/* ---- unknown */

/* [x/8gx …]: from now on a command of its own, so that a loop pays for the search once. */
static struct entry *make_formatted(struct tcl *t, const char *typed, const struct command *cmd, const char *format)
{
	struct entry *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->t = t;
	w->cmd = cmd;
	w->format = strdup(format);
	snprintf(w->first, sizeof(w->first), "%.31s", typed);
	if (!w->format || strlen(typed) >= sizeof(w->first)) {
		free_entry(w);
		return NULL;
	}
	Tcl_CreateObjCommand(t->interp, typed, on_command, w, free_entry);
	return w;
}

static int run_unknown(struct tcl *t, int objc, Tcl_Obj *const objv[])
{
	const char *argv[2], *format = NULL;
	struct entry *w = NULL;
	struct err e;
	int used, argc = objc < 2 ? objc : 2;

	for (int i = 0; i < argc; i++)
		argv[i] = Tcl_GetString(objv[i]);
	err_clear(&e);
	const struct command *cmd = command_find(t->client->s->commands, argc, argv, false, &used, &format, &e);
	if (!cmd)
		return raise_error(t, &e);
	if (format && strchr(argv[0], '/'))
		w = make_formatted(t, argv[0], cmd, format);
	if (w)
		return on_command(w, t->interp, objc, objv);
	const char **words = malloc((size_t)objc * sizeof(*words));
	if (!words)
		return raise_error(t, (err_nomem(&e, cmd->name), &e));
	for (int i = used; i < objc; i++)
		words[i] = Tcl_GetString(objv[i]);
	int code = run(t, cmd, format, objc - used, words + used);
	free(words);
	return code;
}

static int on_unknown(ClientData data, Tcl_Interp *interp, int objc, Tcl_Obj *const objv[]);

static int on_load_library(ClientData data, Tcl_Interp *interp, int objc, Tcl_Obj *const objv[])
{
	(void)data, (void)objc, (void)objv;
	return Tcl_Init(interp);
}

/* Tcl's own library is read when the first thing is asked for that only it has. It must be read as if by a line of the
 * prompt: Tcl_Init() runs where it is called, which may be inside some namespace. */
static bool load_library(struct tcl *t)
{
	if (t->library_asked)
		return t->library_there;
	t->library_asked = true;
	t->library_there = Tcl_EvalEx(t->interp, "::dbg::load_library", -1, TCL_EVAL_GLOBAL) == TCL_OK;
	Tcl_CreateObjCommand(t->interp, "::unknown", on_unknown, t, NULL);
	return t->library_there;
}

/* Parts of the ensemble `clock` that the library brings. They cannot wait for `unknown`: for an ensemble's part Tcl calls it
 * with the global frame standing in the ensemble's namespace, where the library does not load. */
static int on_clock(ClientData data, Tcl_Interp *interp, int objc, Tcl_Obj *const objv[])
{
	return load_library(data) ? Tcl_EvalObjv(interp, objc, objv, 0) : TCL_ERROR;
}

/* The library's list of folders is its first sign of life. */
static char *on_auto_path(ClientData data, Tcl_Interp *interp, const char *name, const char *index, int flags)
{
	(void)index;
	if (flags & TCL_INTERP_DESTROYED)
		return NULL;
	Tcl_UntraceVar2(interp, name, NULL, AUTO_PATH_TRACE, on_auto_path, data);
	load_library(data);
	return NULL;
}

static bool auto_load(Tcl_Interp *interp, Tcl_Obj *name)
{
	Tcl_Obj *call[2] = {Tcl_NewStringObj("::auto_load", -1), name};
	int loaded = 0;

	Tcl_IncrRefCount(call[0]);
	if (Tcl_FindCommand(interp, "::auto_load", NULL, 0) && Tcl_EvalObjv(interp, 2, call, TCL_EVAL_GLOBAL) == TCL_OK)
		Tcl_GetBooleanFromObj(NULL, Tcl_GetObjResult(interp), &loaded);
	Tcl_DecrRefCount(call[0]);
	Tcl_ResetResult(interp);
	return loaded;
}

static int on_unknown(ClientData data, Tcl_Interp *interp, int objc, Tcl_Obj *const objv[])
{
	struct tcl *t = data;

	if (objc < 2)
		return TCL_ERROR;
	const char *name = Tcl_GetString(objv[1]);
	if (!strchr(name, '/')) {
		load_library(t);
		if (Tcl_FindCommand(interp, name, NULL, TCL_GLOBAL_ONLY) || auto_load(interp, objv[1]))
			return Tcl_EvalObjv(interp, objc - 1, objv + 1, 0);
	}
	return run_unknown(t, objc - 1, objv + 1);
}

/* `package require` before the library is there. */
static int on_package_unknown(ClientData data, Tcl_Interp *interp, int objc, Tcl_Obj *const objv[])
{
	load_library(data);
	if (Tcl_EvalEx(interp, "package unknown", -1, TCL_EVAL_GLOBAL) != TCL_OK)
		return TCL_ERROR;
	Tcl_Obj *call = Tcl_DuplicateObj(Tcl_GetObjResult(interp));
	Tcl_IncrRefCount(call);
	for (int i = 1; i < objc; i++)
		Tcl_ListObjAppendElement(interp, call, objv[i]);
	int code = Tcl_EvalObjEx(interp, call, TCL_EVAL_GLOBAL);
	Tcl_DecrRefCount(call);
	return code;
}

int tclcmd_init(struct tcl *t, struct err *e)
{
	const struct command_table *all = t->client->s->commands;

	Tcl_CreateNamespace(t->interp, "::dbg", NULL, NULL);
	Tcl_DeleteCommand(t->interp, "::exit"); /* ours ends the session in order */
	for (size_t i = 0; i < all->n; i++)
		if (!add_command(t, all->list[i]))
			return err_nomem(e, "commands");
	for (size_t i = 0; i < all->n; i++)
		mark_group_aliases(t, all->list[i]);
	extend_info(t);
	Tcl_CreateObjCommand(t->interp, "::unknown", on_unknown, t, NULL);
	Tcl_TraceVar2(t->interp, "auto_path", NULL, AUTO_PATH_TRACE, on_auto_path, t);
	Tcl_CreateObjCommand(t->interp, "::tcl::clock::format", on_clock, t, NULL);
	Tcl_CreateObjCommand(t->interp, "::tcl::clock::scan", on_clock, t, NULL);
	Tcl_CreateObjCommand(t->interp, "::tcl::clock::add", on_clock, t, NULL);
	Tcl_CreateObjCommand(t->interp, "::dbg::load_library", on_load_library, t, NULL);
	Tcl_CreateObjCommand(t->interp, "::dbg::package_unknown", on_package_unknown, t, NULL);
	if (Tcl_EvalEx(t->interp, "package unknown ::dbg::package_unknown", -1, TCL_EVAL_GLOBAL) != TCL_OK)
		return err_set(e, -EINVAL, "Tcl" WHY "%s" TRY "a Tcl 8.6 library", Tcl_GetStringResult(t->interp));
	Tcl_ResetResult(t->interp);
	return 0;
}
