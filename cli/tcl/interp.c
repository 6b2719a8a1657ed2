/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Scripts, their errors, and Ctrl-C.
 */
#include "cli/tcl/interp.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/tcl/tcl.h"

/* A command limit that is exceeded already: unlike an error, no `catch` holds it. Taken back when the script has ended. */
void interp_unwind(struct tcl *t)
{
	Tcl_LimitSetCommands(t->interp, 0);
	Tcl_LimitSetGranularity(t->interp, TCL_LIMIT_COMMANDS, 1);
	Tcl_LimitTypeSet(t->interp, TCL_LIMIT_COMMANDS);
	(void)Tcl_LimitCheck(t->interp); /* vwait asks whether it was exceeded, not whether it is */
	t->unwinding = true;
}

void tcl_flush(void)
{
	Tcl_Channel out = Tcl_GetStdChannel(TCL_STDOUT);

	if (out)
		Tcl_Flush(out);
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
bool interp_our_error(struct tcl *t, struct err *e)
{
	Tcl_Obj *code = Tcl_GetVar2Ex(t->interp, "errorCode", NULL, TCL_GLOBAL_ONLY), **part;
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

int interp_error(struct tcl *t, const char *text, int len, struct err *e)
{
	const char *message = Tcl_GetString(Tcl_GetObjResult(t->interp));
	char what[60], why[700];

	if (interrupt_asked())
		return err_set(e, -EINTR, "script" WHY "interrupted" TRY "the command again");
	if (interp_our_error(t, e) || unknown_command(message, e))
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

/* `close stdout` takes them from the scripts, not from the program: its own output goes there, and the next file would get
 * the free descriptor. */
static void hold_channels(void)
{
	static const int std[] = {TCL_STDIN, TCL_STDOUT, TCL_STDERR};

	for (size_t i = 0; i < ARRAY_LEN(std); i++) {
		Tcl_Channel c = Tcl_GetStdChannel(std[i]);
		if (c)
			Tcl_RegisterChannel(NULL, c);
	}
}

/* Tcl has one standard output for all interpreters. With -j it carries JSON only: what scripts put goes to standard error.
 */
static void direct_puts(struct tcl *t)
{
	static Tcl_Channel out;

	if (!out) {
		hold_channels();
		out = Tcl_GetStdChannel(TCL_STDOUT);
	}
	Tcl_Channel wanted = t->client->json ? Tcl_GetStdChannel(TCL_STDERR) : out;
	if (wanted && Tcl_GetStdChannel(TCL_STDOUT) != wanted)
		Tcl_SetStdChannel(wanted, TCL_STDOUT);
}

static void enter(struct tcl *t)
{
	if (t->depth++)
		return;
	direct_puts(t);
	interrupt_enter(&t->scripts);
}

/* A Ctrl-C that came just before, between two commands of a line, must not be lost. */
void interp_begin(struct tcl *t)
{
	enter(t);
	if (interrupt_asked())
		interp_unwind(t);
}

void interp_begin_after_stop(struct tcl *t)
{
	enter(t);
	if (interrupt_end_asked())
		interp_unwind(t);
}

bool interp_end(struct tcl *t)
{
	bool was = t->unwinding;

	if (--t->depth)
		return was;
	interrupt_leave(&t->scripts);
	if (!was)
		return false;
	t->unwinding = false;
	Tcl_LimitSetCommands(t->interp, INT_MAX);
	Tcl_LimitTypeReset(t->interp, TCL_LIMIT_COMMANDS);
	return true;
}

static int finish(struct tcl *t, int code, const char *text, int len, struct err *e)
{
	interp_end(t);
	tcl_flush();
	if (code == TCL_OK || code == TCL_RETURN || t->client->quit)
		return 0;
	if (code == TCL_BREAK || code == TCL_CONTINUE)
		return err_set(e, -EINVAL, "%s" WHY "it stands outside of a loop" TRY "it inside a loop",
			       code == TCL_BREAK ? "break" : "continue");
	return interp_error(t, text, len, e);
}

/* As an object, which Tcl compiles as a whole: Tcl_EvalEx() would call `for` as a command, and its condition, its body and
 * what comes behind each round as scripts of their own. */
int interp_eval(struct tcl *t, const char *text, int len, struct err *e)
{
	Tcl_Obj *script = Tcl_NewStringObj(text, len);

	Tcl_IncrRefCount(script);
	interp_begin(t);
	int ret = finish(t, Tcl_EvalObjEx(t->interp, script, TCL_EVAL_GLOBAL), text, len, e);
	Tcl_DecrRefCount(script);
	return ret;
}

/* ---- files */

#define SCRIPT_MAX (64u << 20)

static int no_script(const char *path, const char *why, struct err *e)
{
	return err_set(e, -EINVAL, "%.100s" WHY "%s" TRY "a file or a pipe with a script of at most %u MiB", path, why,
		       SCRIPT_MAX >> 20);
}

/* What is there, without waiting for a pipe's other end: *fd, and whether it is a file like any other. */
static int script_open(const char *path, int *fd, bool *plain, struct err *e)
{
	struct stat st;
	int got = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	const char *why = NULL;

	if (got < 0 || fstat(got, &st)) {
		int errnum = errno;
		util_closep(&got);
		return err_errno(e, errnum, "%s" WHY "the script cannot be read" TRY "a file that exists", path);
	}
	*plain = S_ISREG(st.st_mode);
	if (S_ISDIR(st.st_mode))
		why = "it is a folder";
	else if (*plain && st.st_size > SCRIPT_MAX)
		why = "it is too large for a script";
	else if (!*plain && !S_ISFIFO(st.st_mode) && !S_ISCHR(st.st_mode))
		why = "it is neither a file nor a pipe";
	if (!why) {
		*fd = got;
		return 0;
	}
	close(got);
	return no_script(path, why, e);
}

/* To its end, waiting as long as it takes; Ctrl-C ends that. */
static int read_pipe(const char *path, int fd, Tcl_DString *text, struct err *e)
{
	char buf[4096];

	for (;;) {
		/* Not before the first writer is there: reading would find an end. */
		if (!interrupt_wait_readable(fd) && interrupt_asked())
			return err_set(e, -EINTR, "%.100s" WHY "interrupted before its end" TRY "it again", path);
		ssize_t n = read(fd, buf, sizeof(buf));
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return err_errno(e, errno, "%.100s" WHY "the script cannot be read" TRY "another file", path);
		if (!n)
			return 0;
		if ((unsigned)Tcl_DStringLength(text) + (unsigned)n > SCRIPT_MAX)
			return no_script(path, "it is too large for a script", e);
		Tcl_DStringAppend(text, buf, (int)n);
	}
}

/* As Tcl_EvalFile() does it, for what can be read only once. */
static int eval_pipe(struct tcl *t, Tcl_DString *text)
{
	Tcl_DString utf;

	Tcl_ExternalToUtfDString(NULL, Tcl_DStringValue(text), Tcl_DStringLength(text), &utf);
	int code = Tcl_EvalEx(t->interp, Tcl_DStringValue(&utf), Tcl_DStringLength(&utf), 0);
	Tcl_DStringFree(&utf);
	return code == TCL_RETURN ? TCL_OK : code;
}

int interp_file(struct tcl *t, const char *path, struct err *e)
{
	_cleanup_close_ int fd = -1;
	int line, code, ret;
	Tcl_DString text;
	bool plain = true;

	ret = script_open(path, &fd, &plain, e);
	if (ret)
		return ret;
	Tcl_DStringInit(&text);
	if (!plain)
		ret = read_pipe(path, fd, &text, e);
	if (ret) {
		Tcl_DStringFree(&text);
		return ret;
	}
	interp_begin(t);
	code = plain ? Tcl_EvalFile(t->interp, path) : eval_pipe(t, &text);
	Tcl_DStringFree(&text);
	line = code == TCL_ERROR ? Tcl_GetErrorLine(t->interp) : 0;
	ret = finish(t, code, path, (int)strlen(path), e);
	if (ret && line && ret != -EINTR)
		err_prefix(e, "%.60s line %d: ", path, line);
	return ret;
}
