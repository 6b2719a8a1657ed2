/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Embedding Tcl: an interpreter's life, as the language of a client.
 */
#include "cli/tcl/tcl.h"

#include <string.h>

#include "cli/session/privilege.h"
#include "cli/tcl/exec.h"
#include "cli/tcl/interp.h"
#include "cli/tcl/tclvalue.h"
#include "cli/tcl/tclwait.h"

static int on_mark(ClientData data, Tcl_Interp *interp, int code)
{
	(void)interp;
	/* A script may have ended before its mark was seen; the next one is not meant. */
	if (interrupt_asked())
		interp_unwind(data);
	return code;
}

/* In a signal's handler. */
static void interrupt_scripts(struct interruptible *i)
{
	Tcl_AsyncMark(CONTAINER_OF(i, struct tcl, scripts)->mark);
}

static int read_file(struct client *c, const char *path, struct err *e)
{
	return interp_file(c->tcl, path, e);
}

static struct value last_result(struct client *c, struct pool *p)
{
	return value_from_tcl(p, Tcl_GetObjResult(c->tcl->interp));
}

static const struct client_script script = {
    .eval = tclexpr_eval,
    .truth = tclexpr_truth,
    .run = exec_lines,
    .file = read_file,
    .result = last_result,
    .new_symbols = tclexpr_forget,
};

/* Once for the process. */
static void begin_tcl(void)
{
	static bool begun;
	char self[4096];
	ssize_t n;

	if (begun)
		return;
	begun = true;
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	self[n > 0 ? n : 0] = '\0';
	tclwait_before_interp();
	Tcl_FindExecutable(self);
}

/* ---- with more than the user has: no code of his choosing in this process */

static int refuse_load(ClientData data, Tcl_Interp *interp, int objc, Tcl_Obj *const objv[])
{
	(void)data, (void)objc;
	Tcl_SetObjResult(interp,
			 Tcl_ObjPrintf("%s: the program's file has capabilities, and what it has opened by them is not "
				       "for a library of yours; try a copy of the program without them, or sudo",
				       Tcl_GetString(objv[0])));
	return TCL_ERROR;
}

/* A new interpreter would have a `load` of its own. What there is otherwise of `interp` is needed by Tcl's library. */
static int guard_interp(ClientData data, Tcl_Interp *interp, int objc, Tcl_Obj *const objv[])
{
	const Tcl_CmdInfo *own = data;
	const char *word = objc > 1 ? Tcl_GetString(objv[1]) : "";

	if (word[0] == 'c' && word[1] == 'r' && !strncmp("create", word, strlen(word)))
		return refuse_load(NULL, interp, objc, objv);
	return own->objProc(own->objClientData, interp, objc, objv);
}

static void keep_libraries_out(Tcl_Interp *interp)
{
	static Tcl_CmdInfo own; /* the same in all of them */

	Tcl_CreateObjCommand(interp, "::load", refuse_load, NULL, NULL);
	if (Tcl_GetCommandInfo(interp, "::interp", &own))
		Tcl_CreateObjCommand(interp, "::interp", guard_interp, &own, NULL);
}

int tcl_open(struct client *c, struct err *e)
{
	struct tcl *t = calloc(1, sizeof(*t));
	int ret;

	if (!t)
		return err_nomem(e, "Tcl interpreter");
	begin_tcl();
	t->client = c;
	t->scripts.interrupt = interrupt_scripts;
	t->interp = Tcl_CreateInterp();
	if (privilege_elevated())
		keep_libraries_out(t->interp);
	t->mark = Tcl_AsyncCreate(on_mark, t);
	c->tcl = t;
	c->script = &script;
	tclwait_init(t->interp);
	ret = tclcmd_init(t, e);
	if (!ret)
		ret = tclreg_init(t, e);
	if (!ret)
		ret = tclset_init(t, e);
	if (ret)
		tcl_close(c);
	return ret;
}

void tcl_close(struct client *c)
{
	struct tcl *t = c->tcl;

	if (!t)
		return;
	tcl_flush();
	Tcl_AsyncDelete(t->mark);
	tclexpr_forget(c);
	tclcmd_forget_result(t);
	Tcl_DeleteInterp(t->interp);
	tclvalue_forget_keys();
	pool_destroy(t->spare);
	free(t->registers);
	free(t);
	c->tcl = NULL;
	c->script = NULL;
}
