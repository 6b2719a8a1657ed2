/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Embedding Tcl: the interpreter's life, scripts and their errors, Ctrl-C, conditions. The debugger's commands in it are in
 * tclcmd.c, registers in tclreg.c.
 */
#include "cli/tcl/tcl.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <tcl.h>

#include "cli/tcl/tclcmd.h"
#include "cli/tcl/tclvalue.h"
#include "cli/prompt/signals.h"
#include "cli/tcl/tclwait.h"

static Tcl_AsyncHandler break_in;
static volatile sig_atomic_t depth; /* scripts under way */
static bool unwinding;

static int on_break(ClientData data, Tcl_Interp *interp, int code)
{
	(void)interp;
	/* A script may have ended before its mark was seen; the next one is not meant. */
	if (session_interrupted())
		tcl_unwind(data);
	return code;
}

/* A command limit that is exceeded already: unlike an error, no `catch` holds it. Taken back when the script has ended. */
void tcl_unwind(struct session *s)
{
	Tcl_LimitSetCommands(s->interp, 0);
	Tcl_LimitSetGranularity(s->interp, TCL_LIMIT_COMMANDS, 1);
	Tcl_LimitTypeSet(s->interp, TCL_LIMIT_COMMANDS);
	(void)Tcl_LimitCheck(s->interp); /* vwait asks whether it was exceeded, not whether it is */
	unwinding = true;
}

void tcl_interrupt(void)
{
	if (depth && break_in)
		Tcl_AsyncMark(break_in);
}

void tcl_flush(void)
{
	Tcl_Channel out = Tcl_GetStdChannel(TCL_STDOUT);

	if (out)
		Tcl_Flush(out);
}

/* With -j standard output carries JSON only: what scripts put goes to standard error. */
static void redirect_puts(struct session *s)
{
	Tcl_Channel err = Tcl_GetStdChannel(TCL_STDERR);

	if (s->opt.json && err)
		Tcl_SetStdChannel(err, TCL_STDOUT);
}

int tcl_init(struct session *s, struct err *e)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	self[n > 0 ? n : 0] = '\0';
	tclwait_before_interp();
	Tcl_FindExecutable(self);
	s->interp = Tcl_CreateInterp();
	if (!s->interp)
		return err_nomem(e, "Tcl interpreter");
	tclwait_init(s->interp);
	break_in = Tcl_AsyncCreate(on_break, s);
	redirect_puts(s);
	return tclcmd_init(s, e);
}

void tcl_deinit(struct session *s)
{
	if (!s->interp)
		return;
	tcl_flush();
	Tcl_AsyncDelete(break_in);
	break_in = NULL;
	tclcmd_deinit();
	tclexpr_forget();
	Tcl_DeleteInterp(s->interp);
	s->interp = NULL;
	tclvalue_forget_keys();
}

bool tcl_has(struct session *s, const char *name)
{
	return tclcmd_is_tcl(s->interp, name);
}

struct value tcl_result(struct session *s, struct pool *p)
{
	return value_from_tcl(p, Tcl_GetObjResult(s->interp));
}

/* ---- errors */

static void copy_word(char *buf, size_t size, const char *text, int len)
{
	int n = 0;

	while (n < len && !isspace((unsigned char)text[n]) && text[n] != ';')
		n++;
	snprintf(buf, size, "%.*s", n, text);
}

/* One line of Tcl's message. */
static void copy_line(char *buf, size_t size, const char *text)
{
	snprintf(buf, size, "%.*s", (int)strcspn(text, "\n"), text);
}

/* An errorCode of ours carries the parts: KVMSCOPE code what why next. */
bool tcl_our_error(struct session *s, struct err *e)
{
	Tcl_Obj *code = Tcl_GetVar2Ex(s->interp, "errorCode", NULL, TCL_GLOBAL_ONLY), **part;
	int n, number;

	if (!code || Tcl_ListObjGetElements(NULL, code, &n, &part) != TCL_OK || n != 5 ||
	    strcmp(Tcl_GetString(part[0]), "KVMSCOPE") || Tcl_GetIntFromObj(NULL, part[1], &number) != TCL_OK || number >= 0)
		return false;
	err_set(e, number, "%s" WHY "%s" TRY "%s", Tcl_GetString(part[2]), Tcl_GetString(part[3]), Tcl_GetString(part[4]));
	return true;
}

static bool unknown_command(const char *message, struct err *e)
{
	char name[80];

	if (sscanf(message, "invalid command name \"%79[^\"]\"", name) != 1)
		return false;
	err_set(e, -ENOENT, "%s" WHY "no such command" TRY "help, or apropos WORD", name);
	return true;
}

/* "WHAT: WHY; try NEXT", from a register's trace or an `error $message`; Tcl's own `can't read "rip": ` before it goes. */
static bool in_our_words(char *text, struct err *e)
{
	char *next = strstr(text, "; try "), *what = text, *why;

	if (!next)
		return false;
	if (!strncmp(what, "can't ", 6) && strstr(what, "\": "))
		what = strstr(what, "\": ") + 3;
	why = strstr(what, ": ");
	if (!why || why > next)
		return false;
	*why = *next = '\0';
	err_set(e, -EINVAL, "%s" WHY "%s" TRY "%s", what, why + 2, next + 6);
	return true;
}

int tcl_error(struct session *s, const char *text, int len, struct err *e)
{
	const char *message = Tcl_GetString(Tcl_GetObjResult(s->interp));
	char what[60], why[700];

	if (session_interrupted())
		return err_set(e, -EINTR, "script" WHY "interrupted" TRY "the command again");
	if (tcl_our_error(s, e) || unknown_command(message, e))
		return e ? e->code : -EINVAL;
	copy_word(what, sizeof(what), text, len);
	copy_line(why, sizeof(why), message);
	if (!strncmp(why, "wrong # args: should be ", 24))
		return err_set(e, -EINVAL, "%s" WHY "wrong number of words" TRY "%s", what, why + 24);
	if (strstr(why, "missing close-"))
		return err_set(e, -EINVAL, "%s" WHY "%s" TRY "closing what the line opens", what, why);
	if (in_our_words(why, e))
		return -EINVAL;
	return err_set(e, -EINVAL, "%s" WHY "%s" TRY "help tcl", what[0] ? what : "script", why);
}

/* ---- running scripts */

/* From here on Ctrl-C breaks in; one that came just before, between two commands of a line, must not be lost. */
void tcl_begin(struct session *s)
{
	depth++;
	if (session_interrupted())
		tcl_unwind(s);
}

void tcl_begin_after_stop(struct session *s)
{
	depth++;
	if (signals_end_asked())
		tcl_unwind(s);
}

bool tcl_end(struct session *s)
{
	bool was = unwinding;

	if (--depth || !unwinding)
		return was;
	unwinding = false;
	Tcl_LimitSetCommands(s->interp, INT_MAX);
	Tcl_LimitTypeReset(s->interp, TCL_LIMIT_COMMANDS);
	return was;
}

static int finish(struct session *s, int code, const char *text, int len, struct err *e)
{
	tcl_end(s);
	tcl_flush();
	if (code == TCL_OK || code == TCL_RETURN || s->quit)
		return 0;
	if (code == TCL_BREAK || code == TCL_CONTINUE)
		return err_set(e, -EINVAL, "%s" WHY "it stands outside of a loop" TRY "it inside a loop",
			       code == TCL_BREAK ? "break" : "continue");
	return tcl_error(s, text, len, e);
}

int tcl_eval(struct session *s, const char *text, int len, struct err *e)
{
	tcl_begin(s);
	return finish(s, Tcl_EvalEx(s->interp, text, len, TCL_EVAL_GLOBAL), text, len, e);
}

int tcl_file(struct session *s, const char *path, struct err *e)
{
	int line, code, ret;

	if (access(path, R_OK))
		return err_errno(e, errno, "%s" WHY "the script cannot be read" TRY "a file that exists", path);
	tcl_begin(s);
	code = Tcl_EvalFile(s->interp, path);
	line = code == TCL_ERROR ? Tcl_GetErrorLine(s->interp) : 0;
	ret = finish(s, code, path, (int)strlen(path), e);
	if (ret && line && ret != -EINTR)
		err_prefix(e, "%.60s line %d: ", path, line);
	return ret;
}

/* ---- conditions */

void tcl_symbols_changed(void)
{
	tclexpr_forget();
}

int tcl_condition(void *session, const struct stop_point *b, const struct stop *st, struct err *e)
{
	struct session *s = session;
	unsigned vcpu = s->vcpu;
	int truth = 1, ret;

	if (!b->condition || !b->condition[0])
		return 1;
	if (session_interrupted())
		return err_set(e, -EINTR, "condition of breakpoint %d" WHY "interrupted" TRY "c", b->id);
	s->vcpu = st->vcpu;
	tcl_begin(s);
	Tcl_InterpState saved = Tcl_SaveInterpState(s->interp, TCL_OK);
	ret = Tcl_ExprBooleanObj(s->interp, tclexpr_condition(s, b->condition), &truth) == TCL_OK ? truth : -EINVAL;
	if (ret < 0) {
		tcl_error(s, b->condition, (int)strlen(b->condition), e);
		err_prefix(e, "condition of breakpoint %d: ", b->id);
	}
	Tcl_RestoreInterpState(s->interp, saved);
	tcl_end(s);
	s->vcpu = vcpu;
	return ret;
}
