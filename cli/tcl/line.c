/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The rules of a line. Tcl's own parser takes it apart, so that quoting and substitution are Tcl's; then the first words
 * decide whose command it is:
 *
 *   - `$reg …` is the debugger's: an assignment where '=' follows, else an expression to print;
 *   - an exact name of the debugger's is its command, unless Tcl has that name too and the words after it are Tcl's;
 *   - an exact Tcl name is Tcl's;
 *   - an abbreviation is the debugger's; what is left is Tcl's, whose `unknown` says so if it is nothing.
 */
#include "cli/tcl/line.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <tcl.h>

#include "cli/session/settings.h"

#define WORDS_MAX 256

/* A command under way: its words as strings, the objects that keep them alive, and its parse. */
struct parsed {
	const struct line_ops *ops;
	Tcl_Parse parse;
	const Tcl_Token *word[WORDS_MAX];
	int n;
	const char *argv[WORDS_MAX + 3], *typed[WORDS_MAX + 3];
	Tcl_Obj *obj[WORDS_MAX + 3], *typed_obj[WORDS_MAX + 3];
	int argc;
	bool last;	 /* no other is behind it */
	bool background; /* `&` stood right behind the command's name */
};

static void release(struct parsed *p)
{
	for (int i = 0; i < p->argc; i++) {
		Tcl_DecrRefCount(p->obj[i]);
		if (p->typed_obj[i])
			Tcl_DecrRefCount(p->typed_obj[i]);
	}
	p->argc = 0;
	p->background = false;
	Tcl_FreeParse(&p->parse);
}

static int parse_error(const struct line_ops *ops, const char *text, struct err *e)
{
	char what[60];
	size_t n = strcspn(text, "\n");

	snprintf(what, sizeof(what), "%.*s", (int)(n < 50 ? n : 50), text);
	return err_set(e, -EINVAL, "%s" WHY "%s" TRY "a line that closes what it opens, or \\ before the character", what,
		       Tcl_GetStringResult(ops->interp));
}

static int add(struct parsed *p, Tcl_Obj *o, struct err *e)
{
	if (p->argc >= WORDS_MAX) {
		Tcl_IncrRefCount(o);
		Tcl_DecrRefCount(o);
		return err_set(e, -E2BIG, "line" WHY "it has more than %d words" TRY "fewer words, or braces", WORDS_MAX);
	}
	Tcl_IncrRefCount(o);
	p->obj[p->argc] = o;
	p->typed_obj[p->argc] = NULL;
	p->typed[p->argc] = Tcl_GetString(o);
	p->argv[p->argc++] = Tcl_GetString(o);
	return 0;
}

/* What the word that was added last looked like before it was substituted: without its braces or quotes. */
static void set_typed(struct parsed *p, const Tcl_Token *t)
{
	bool closed = t->size >= 2 && (t->start[0] == '"' || t->start[0] == '{');
	Tcl_Obj *o = Tcl_NewStringObj(t->start + closed, t->size - 2 * closed);

	Tcl_IncrRefCount(o);
	p->typed_obj[p->argc - 1] = o;
	p->typed[p->argc - 1] = Tcl_GetString(o);
}

/* The word at index i as typed, and whether it is bare: no quotes, braces or substitutions. */
static const char *raw(const struct parsed *p, int i, int *len)
{
	*len = p->word[i]->size;
	return p->word[i]->start;
}

static bool bare(const struct parsed *p, int i)
{
	return p->word[i]->type == TCL_TOKEN_SIMPLE_WORD && p->word[i]->start[0] != '{' && p->word[i]->start[0] != '"';
}

static void copy(char *buf, size_t size, const char *text, int len)
{
	snprintf(buf, size, "%.*s", len, text);
}

/* ---- registers at the front: $rip, $cs.base */

static int ident_len(const char *s, int len)
{
	int n = 0;

	while (n < len && (isalnum((unsigned char)s[n]) || s[n] == '_' || s[n] == '.'))
		n++;
	return n;
}

/* Length of a register's name at s ("cs.base" rather than "cs"), 0 for none. */
static int register_len(const struct line_ops *ops, const char *s, int len)
{
	char name[32];
	int n = ident_len(s, len);

	while (n > 0) {
		copy(name, sizeof(name), s, n < (int)sizeof(name) ? n : 0);
		if (name[0] && ops->is_register(ops->ctx, name))
			return n;
		do
			n--;
		while (n > 0 && s[n] != '.');
	}
	return 0;
}

static int register_word(const struct parsed *p, int i)
{
	int len;
	const char *s = raw(p, i, &len);

	return s[0] == '$' ? register_len(p->ops, s + 1, len - 1) : 0;
}

/* ---- substitution */

/* A register's value in a debugger's word is hexadecimal, so that what is shown of the word later can be read. NULL for one
 * that is wider than 64 bits: it stays a name. */
static Tcl_Obj *in_hex(Tcl_Obj *o)
{
	char text[24], *end;
	unsigned long long v;

	errno = 0;
	v = strtoull(Tcl_GetString(o), &end, 10);
	if (errno || *end || end == Tcl_GetString(o))
		return NULL;
	snprintf(text, sizeof(text), "0x%llx", v);
	return Tcl_NewStringObj(text, -1);
}

static Tcl_Obj *eval_tokens(const struct line_ops *ops, const Tcl_Token *t, int n)
{
	int code;

	ops->begin(ops->ctx);
	code = Tcl_EvalTokensStandard(ops->interp, (Tcl_Token *)t, n);
	ops->end(ops->ctx);
	return code == TCL_OK ? Tcl_GetObjResult(ops->interp) : NULL;
}

/* `$cs.base`: a variable followed by text that belongs to a register's name. Its length past the '$', else 0. */
static int dotted_register(const struct parsed *p, const Tcl_Token *t, const Tcl_Token *next)
{
	if (t->numComponents != 1 || !next || next->type != TCL_TOKEN_TEXT || next->start[0] != '.' || t->start[1] == '{')
		return 0;
	int n = register_len(p->ops, t->start + 1, t->size - 1 + next->size);

	return n > t->size - 1 ? n : 0;
}

static bool plain_register(const struct parsed *p, const Tcl_Token *t)
{
	char name[32];

	if (t->numComponents != 1 || t[1].size >= (int)sizeof(name))
		return false;
	copy(name, sizeof(name), t[1].start, t[1].size);
	return p->ops->is_register(p->ops->ctx, name);
}

/* `$cs:$ip`: which segment it is decides what the offset means, and $sp is another number behind a segment. So registers on
 * both sides of a ':' stay, for the expression. */
static bool is_segment_of(const struct parsed *p, const Tcl_Token *t, const Tcl_Token *next)
{
	static const char names[] = " cs ds es fs gs ss ";
	char name[32];

	if (t->numComponents != 1 || t[1].size != 2 || !next || next->type != TCL_TOKEN_TEXT || next->start[0] != ':' ||
	    !plain_register(p, t))
		return false;
	snprintf(name, sizeof(name), " %.2s ", t[1].start);
	return strcasestr(names, name) != NULL;
}

static bool is_offset(const struct parsed *p, const Tcl_Token *t, Tcl_Obj *before)
{
	int n;
	const char *text = Tcl_GetStringFromObj(before, &n);

	if (n < 2 || text[n - 1] != ':' || !plain_register(p, t))
		return false;
	for (n--; n && (isalnum((unsigned char)text[n - 1]) || text[n - 1] == '$');)
		n--;
	return text[n] == '$' || isdigit((unsigned char)text[n]);
}

/* One variable token and what follows it onto out. *skip is how many bytes of the next text it took. */
static bool append_variable(struct parsed *p, const Tcl_Token *t, const Tcl_Token *next, Tcl_Obj *out, int *skip)
{
	int dotted = dotted_register(p, t, next);

	if (dotted) {
		Tcl_AppendToObj(out, t->start, dotted + 1);
		*skip = dotted + 1 - t->size;
		return true;
	}
	if (is_segment_of(p, t, next) || is_offset(p, t, out)) {
		Tcl_AppendToObj(out, t->start, t->size);
		return true;
	}
	Tcl_Obj *v = eval_tokens(p->ops, t, t->numComponents + 1);
	if (!v)
		return false;
	if (plain_register(p, t))
		v = in_hex(v);
	if (!v) {
		Tcl_AppendToObj(out, t->start, t->size);
		return true;
	}
	Tcl_IncrRefCount(v);
	Tcl_AppendObjToObj(out, v);
	Tcl_DecrRefCount(v);
	return true;
}

/* A word with substitutions. NULL if one failed; the interpreter has the message. */
static Tcl_Obj *substitute(struct parsed *p, const Tcl_Token *word)
{
	const Tcl_Token *t = word + 1, *end = word + 1 + word->numComponents;
	Tcl_Obj *out = Tcl_NewObj();
	int skip = 0;

	Tcl_IncrRefCount(out);
	while (t < end) {
		const Tcl_Token *next = t + 1 + t->numComponents;
		bool ok = true;

		if (t->type == TCL_TOKEN_VARIABLE) {
			ok = append_variable(p, t, next < end ? next : NULL, out, &skip);
		} else if (t->type == TCL_TOKEN_TEXT) {
			Tcl_AppendToObj(out, t->start + skip, t->size - skip);
			skip = 0;
		} else {
			Tcl_Obj *v = eval_tokens(p->ops, t, t->numComponents + 1);
			ok = v != NULL;
			if (ok)
				Tcl_AppendObjToObj(out, v);
		}
		if (!ok) {
			Tcl_DecrRefCount(out);
			return NULL;
		}
		t = next;
	}
	return out;
}

static int add_expanded(struct parsed *p, Tcl_Obj *o, struct err *e)
{
	Tcl_Obj **items;
	int n, ret = 0;

	if (Tcl_ListObjGetElements(p->ops->interp, o, &n, &items) != TCL_OK)
		return parse_error(p->ops, "{*}", e);
	for (int i = 0; i < n && !ret; i++)
		ret = add(p, items[i], e);
	return ret;
}

static int add_substituted(struct parsed *p, int i, struct err *e)
{
	const Tcl_Token *t = p->word[i];
	Tcl_Obj *o = substitute(p, t);
	int ret;

	if (!o)
		return p->ops->script_error(p->ops->ctx, t->start, t->size, e);
	bool list = t->type == TCL_TOKEN_EXPAND_WORD;
	ret = list ? add_expanded(p, o, e) : add(p, o, e);
	if (!ret && !list && t->type != TCL_TOKEN_SIMPLE_WORD)
		set_typed(p, t);
	Tcl_DecrRefCount(o);
	return ret;
}

/* As typed; one layer of braces or quotes goes. */
static int add_raw(struct parsed *p, int i, struct err *e)
{
	const Tcl_Token *t = p->word[i];

	if (t->type == TCL_TOKEN_SIMPLE_WORD)
		t++;
	return add(p, Tcl_NewStringObj(t->start, t->size), e);
}

/* ---- running */

static int run_command(struct parsed *p, const struct command *cmd, const char *format, int from, struct err *e)
{
	bool as_typed = cmd->flags & CMD_RAW;
	int ret = 0;

	for (int i = from; i < p->n && !ret; i++) {
		ret = as_typed ? add_raw(p, i, e) : add_substituted(p, i, e);
		as_typed |=
		    (cmd->flags & CMD_RAW_IF) && bare(p, i) && p->word[i]->size == 2 && !memcmp(p->word[i]->start, "if", 2);
	}
	if (!ret && p->background)
		ret = add(p, Tcl_NewStringObj("&", 1), e);
	return ret ? ret : p->ops->command(p->ops->ctx, cmd, format, p->argc, p->argv, p->typed, p->last, e);
}

static int run_script(struct parsed *p, struct err *e)
{
	int len = p->parse.commandSize;

	if (p->parse.term == p->parse.commandStart + len - 1)
		len--; /* the separator */
	return p->ops->script(p->ops->ctx, p->parse.commandStart, len, e);
}

static const struct command *find_exact(const struct parsed *p, const char *name)
{
	const char *argv[] = {name}, *format;
	struct err ignored;
	int used;

	return command_find(p->ops->commands, 1, argv, true, &used, &format, &ignored);
}

/* True where '=' (and not '==') follows the register in word i. */
static bool assigns(const struct parsed *p, int i, int reg_len)
{
	const char *s = p->word[i]->start + 1 + reg_len;
	const char *end = p->parse.commandStart + p->parse.commandSize;

	while (s < end && (*s == ' ' || *s == '\t'))
		s++;
	return s < end && *s == '=' && (s + 1 == end || s[1] != '=');
}

/* `$reg = V` and `$reg=V` become the words "$reg", "=", V…; the rest is substituted. */
static int run_assignment(struct parsed *p, int i, int reg_len, struct err *e)
{
	const struct command *set = find_exact(p, "set");
	const char *s = p->word[i]->start;
	int len = p->word[i]->size, rest = 1 + reg_len;
	int ret = add(p, Tcl_NewStringObj(s, 1 + reg_len), e);

	if (!set)
		return err_set(e, -ENOENT, "set" WHY "registers cannot be written in this build" TRY "reg NAME VALUE");
	if (!ret && rest < len && s[rest] == '=') {
		ret = add(p, Tcl_NewStringObj("=", 1), e);
		if (!ret && ++rest < len)
			ret = add(p, Tcl_NewStringObj(s + rest, len - rest), e);
	} else if (!ret && i + 1 < p->n && p->word[i + 1]->start[0] == '=' && p->word[i + 1]->size > 1) {
		i++;
		ret = add(p, Tcl_NewStringObj("=", 1), e);
		if (!ret)
			ret = add(p, Tcl_NewStringObj(p->word[i]->start + 1, p->word[i]->size - 1), e);
	}
	return ret ? ret : run_command(p, set, NULL, i + 1, e);
}

static int run_register(struct parsed *p, int reg_len, struct err *e)
{
	const struct command *print = find_exact(p, "p");

	if (assigns(p, 0, reg_len))
		return run_assignment(p, 0, reg_len, e);
	if (!print)
		return run_script(p, e);
	int ret = add(p, Tcl_NewStringObj(p->word[0]->start, p->word[0]->size), e);
	return ret ? ret : run_command(p, print, NULL, 1, e);
}

/* ---- whose command it is */

/* Tcl's own subcommands of info; the debugger's win where both have one. */
static bool tcl_info(const char *sub)
{
	static const char names[] =
	    " args body class cmdcount commands complete coroutine default errorstack exists frame functions "
	    "globals hostname level library loaded locals nameofexecutable object patchlevel procs script "
	    "sharedlibextension tclversion vars ";
	char word[40];

	snprintf(word, sizeof(word), " %.36s ", sub);
	return strstr(names, word) != NULL;
}

static bool listed(const char *words, const char *text)
{
	struct command_words w = {.at = words ? words : ""};

	for (command_word_next(&w); w.text; command_word_next(&w))
		if (strlen(text) == w.len && !memcmp(w.text, text, w.len))
			return true;
	return false;
}

/* `set context on`: a setting's name and one of its values, and nothing else. */
static bool changes_setting(const struct parsed *p, const char *second)
{
	const struct setting *st = p->n == 3 && bare(p, 1) && bare(p, 2) ? setting_find(second) : NULL;
	char value[40];
	int len;

	if (!st)
		return false;
	const char *s = raw(p, 2, &len);
	copy(value, sizeof(value), s, len);
	return setting_takes(st, value);
}

/* Tcl has this name too: do the words after it make it Tcl's? */
static bool words_say_tcl(const struct parsed *p, const struct command *cmd, const char *second)
{
	if (!strcmp(cmd->name, "catch"))
		return p->n > 1 && (!bare(p, 1) || (!listed(cmd->words, second) && p->ops->is_tcl(p->ops->ctx, second)));
	if (!strcmp(cmd->name, "set"))
		return p->n < 2 || (!register_word(p, 1) && !changes_setting(p, second));
	if (!strcmp(cmd->name, "info"))
		return p->n > 1 && tcl_info(second);
	return false;
}

/* `c&`: the name of a command that takes `&`, which goes from it. */
static void cut_ampersand(struct parsed *p, char *first)
{
	size_t n = strlen(first);
	const char *argv[] = {first}, *format;
	int used;

	if (n < 2 || first[n - 1] != '&')
		return;
	first[n - 1] = '\0';
	const struct command *cmd = command_find(p->ops->commands, 1, argv, false, &used, &format, NULL);
	p->background = cmd && cmd->flags & CMD_RUNS;
	if (!p->background)
		first[n - 1] = '&';
}

static int run_classified(struct parsed *p, struct err *e)
{
	char first[80], second[80] = "";
	const char *argv[2] = {first, second}, *format = NULL;
	int used = 1, len, argc = p->n > 1 && bare(p, 1) ? 2 : 1;
	const char *s = raw(p, 0, &len);

	copy(first, sizeof(first), s, len);
	if (p->n == 1)
		cut_ampersand(p, first);
	if (argc == 2) {
		s = raw(p, 1, &len);
		copy(second, sizeof(second), s, len);
	}
	const struct command *cmd = command_find(p->ops->commands, argc, argv, true, &used, &format, NULL);
	if (cmd && p->ops->is_tcl(p->ops->ctx, first) && words_say_tcl(p, cmd, second))
		return run_script(p, e);
	if (cmd && !strcmp(cmd->name, "set") && p->n > 1 && register_word(p, 1))
		return run_assignment(p, 1, register_word(p, 1), e);
	if (cmd && (used == 2 || argc == 1))
		return run_command(p, cmd, format, used, e);
	if (!cmd && p->ops->is_tcl(p->ops->ctx, first))
		return run_script(p, e);
	/* An abbreviation, perhaps of the second word only. */
	struct err why;
	err_clear(&why);
	cmd = command_find(p->ops->commands, argc, argv, false, &used, &format, &why);
	if (cmd)
		return run_command(p, cmd, format, used, e);
	if (why.code == -EINVAL) {
		*e = why;
		return why.code;
	}
	return run_script(p, e);
}

static int run_parsed(struct parsed *p, struct err *e)
{
	int reg = register_word(p, 0);

	if (reg)
		return run_register(p, reg, e);
	if (!bare(p, 0))
		return run_script(p, e);
	return run_classified(p, e);
}

static bool index_words(struct parsed *p)
{
	const Tcl_Token *t = p->parse.tokenPtr;

	if (p->parse.numWords > WORDS_MAX)
		return false;
	for (p->n = 0; p->n < p->parse.numWords; p->n++) {
		p->word[p->n] = t;
		t += 1 + t->numComponents;
	}
	return true;
}

int line_run(const struct line_ops *ops, const char *text, struct err *e)
{
	const char *at = text, *end = text + strlen(text);
	struct parsed p = {.ops = ops};
	int ret = 0;

	while (at < end && !ret) {
		if (Tcl_ParseCommand(ops->interp, at, (int)(end - at), 0, &p.parse) != TCL_OK)
			return parse_error(ops, at, e);
		at = p.parse.commandStart + p.parse.commandSize;
		p.last = !at[strspn(at, " \t\r\n;")];
		if (p.parse.numWords)
			ret = index_words(&p) ? run_parsed(&p, e) : run_script(&p, e);
		release(&p);
	}
	return ret;
}

bool line_complete(const char *text)
{
	return Tcl_CommandComplete(text);
}
