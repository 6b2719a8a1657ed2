/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Expressions that Tcl has a say in: conditions (Tcl expressions over registers, variables and the guest's symbols), and
 * address expressions with Tcl variables and [commands] in them, worked out when they are needed.
 */
#include "cli/tcl/tclcmd.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <tcl.h>

#include "cli/tcl/tcl.h"

static size_t name_len(const char *s)
{
	size_t n = 0;

	while (isalnum((unsigned char)s[n]) || s[n] == '_' || s[n] == '.')
		n++;
	return n;
}

/* `$cs.base` is one register, where Tcl would read `$cs` and text: its name's length, 0 where there is none with a dot. */
static size_t dotted_register(const char *s)
{
	char name[32];
	size_t n = name_len(s);

	if (n >= sizeof(name) || !memchr(s, '.', n))
		return 0;
	memcpy(name, s, n);
	name[n] = '\0';
	return reg_find(name) ? n : 0;
}

static bool word_of_tcl(const char *s, size_t n)
{
	static const char words[] = " eq ne in ni lt le gt ge true false yes no on off ";
	char word[12];

	if (n > 5)
		return false;
	snprintf(word, sizeof(word), " %.*s ", (int)n, s);
	return strstr(words, word) != NULL;
}

static const struct symbol *symbol_at(const struct session *s, const char *text, size_t n)
{
	char name[256];

	if (n >= sizeof(name) || isdigit((unsigned char)text[0]) || text[n] == '(' || word_of_tcl(text, n))
		return NULL;
	memcpy(name, text, n);
	name[n] = '\0';
	return symbols_by_name(&s->d.syms, name);
}

/* Where a quoted, braced or bracketed part that begins here ends; Tcl reads it itself. */
static size_t nested_len(const char *s)
{
	char open = *s, close = open == '{' ? '}' : open == '[' ? ']' : '"';
	size_t n = 1;

	for (int depth = 1; s[n] && depth; n++) {
		if (s[n] == '\\' && s[n + 1])
			n++;
		else if (s[n] == close)
			depth--;
		else if (s[n] == open)
			depth++;
	}
	return n;
}

/* text for Tcl: dotted registers in braces and, with symbols, their addresses for their names. */
static Tcl_Obj *prepare(const struct session *s, const char *text, bool with_symbols)
{
	Tcl_Obj *out = Tcl_NewObj();

	while (*text) {
		size_t n = 1, dotted = *text == '$' ? dotted_register(text + 1) : 0;
		const struct symbol *sym;

		if (dotted) {
			Tcl_AppendPrintfToObj(out, "${%.*s}", (int)dotted, text + 1);
			text += 1 + dotted;
			continue;
		}
		if (*text == '$')
			n = text[1] == '{' ? 1 + nested_len(text + 1) : 1 + name_len(text + 1);
		else if (strchr("\"{[", *text))
			n = nested_len(text);
		else if (name_len(text))
			n = name_len(text);
		sym = with_symbols && name_len(text) ? symbol_at(s, text, n) : NULL;
		if (sym)
			Tcl_AppendPrintfToObj(out, "0x%llx", (unsigned long long)sym->addr);
		else
			Tcl_AppendToObj(out, text, (int)n);
		text += n;
	}
	return out;
}

/* The last few conditions with their compiled forms. */
#define CONDITIONS 16
static struct {
	char *text;
	Tcl_Obj *obj;
} kept[CONDITIONS];

static void forget(size_t i)
{
	if (!kept[i].obj)
		return;
	free(kept[i].text);
	Tcl_DecrRefCount(kept[i].obj);
	kept[i].obj = NULL;
}

Tcl_Obj *tclexpr_condition(struct session *s, const char *text)
{
	static size_t next;
	size_t i = 0;

	while (i < CONDITIONS && !(kept[i].obj && kept[i].text && !strcmp(kept[i].text, text)))
		i++;
	if (i < CONDITIONS)
		return kept[i].obj;
	i = next++ % CONDITIONS;
	forget(i);
	kept[i].obj = prepare(s, text, true);
	Tcl_IncrRefCount(kept[i].obj);
	kept[i].text = strdup(text);
	return kept[i].obj;
}

void tclexpr_forget(void)
{
	for (size_t i = 0; i < CONDITIONS; i++)
		forget(i);
}

/* own: what the evaluator said of the text. Where Tcl cannot make anything of it either, that is the better answer, unless a
 * command of ours has one. */
static int eval_plain(struct session *s, const char *text, Tcl_Obj *plain, int own, uint64_t *out, struct err *e)
{
	struct expr_env env = session_expr(s);

	if (tcl_end(s))
		return err_set(e, -EINTR, "%.60s" WHY "interrupted" TRY "the command again", text);
	if (plain)
		return expr_eval(&env, Tcl_GetString(plain), out, e);
	return tcl_our_error(s, e) && e ? e->code : own;
}

int session_eval(struct session *s, const char *text, uint64_t *out, struct err *e)
{
	struct expr_env env = session_expr(s);
	int ret = expr_eval(&env, text, out, e);

	if (!ret || !s->interp || !strpbrk(text, "$["))
		return ret;
	Tcl_InterpState saved = Tcl_SaveInterpState(s->interp, TCL_OK);
	Tcl_Obj *prepared = prepare(s, text, false);
	Tcl_IncrRefCount(prepared);
	tcl_begin_after_stop(s);
	Tcl_Obj *plain = Tcl_SubstObj(s->interp, prepared, TCL_SUBST_ALL);
	if (plain)
		Tcl_IncrRefCount(plain);
	ret = eval_plain(s, text, plain, ret, out, e);
	if (plain)
		Tcl_DecrRefCount(plain);
	Tcl_DecrRefCount(prepared);
	Tcl_RestoreInterpState(s->interp, saved);
	return ret;
}
