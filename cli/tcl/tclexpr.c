/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Expressions that Tcl has a say in: conditions (Tcl expressions over registers, variables and the guest's symbols), and
 * address expressions with Tcl variables and [commands] in them, worked out when they are needed.
 */
#include "cli/tcl/interp.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static size_t name_len(const char *s)
{
	size_t n = 0;

	while (isalnum((unsigned char)s[n]) || s[n] == '_' || s[n] == '.')
		n++;
	return n;
}

/* `$cs.base` is one register, where Tcl would read `$cs` and text: its name's length, 0 if there is none with a dot. */
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

static void forget(struct conditions *known, size_t i)
{
	if (!known->v[i].obj)
		return;
	free(known->v[i].text);
	Tcl_DecrRefCount(known->v[i].obj);
	known->v[i].obj = NULL;
}

/* As an object that keeps its compiled form from one evaluation to the next. */
static Tcl_Obj *condition_object(struct client *c, const char *text)
{
	struct conditions *known = &c->tcl->conditions;
	size_t i = 0;

	while (i < CONDITIONS && !(known->v[i].obj && known->v[i].text && !strcmp(known->v[i].text, text)))
		i++;
	if (i < CONDITIONS)
		return known->v[i].obj;
	i = known->next++ % CONDITIONS;
	forget(known, i);
	known->v[i].obj = prepare(c->s, text, true);
	Tcl_IncrRefCount(known->v[i].obj);
	known->v[i].text = strdup(text);
	return known->v[i].obj;
}

void tclexpr_forget(struct client *c)
{
	for (size_t i = 0; i < CONDITIONS; i++)
		forget(&c->tcl->conditions, i);
}

int tclexpr_truth(struct client *c, const char *text, struct err *e)
{
	struct tcl *t = c->tcl;
	int truth = 1, ret;

	interp_begin(t);
	Tcl_InterpState saved = Tcl_SaveInterpState(t->interp, TCL_OK);
	ret = Tcl_ExprBooleanObj(t->interp, condition_object(c, text), &truth) == TCL_OK ? truth : -EINVAL;
	if (ret < 0)
		ret = interp_error(t, text, (int)strlen(text), e);
	Tcl_RestoreInterpState(t->interp, saved);
	interp_end(t);
	return ret;
}

/* own: what the evaluator said of the text. If Tcl cannot make anything of it either, that is the better answer, unless a
 * command of ours has one. */
static int eval_plain(struct client *c, const char *text, Tcl_Obj *plain, int own, uint64_t *out, struct err *e)
{
	struct expr_env env = session_expr(c->s);

	if (interp_end(c->tcl))
		return err_set(e, -EINTR, "%.60s" WHY "interrupted" TRY "the command again", text);
	if (plain)
		return expr_eval(&env, Tcl_GetString(plain), out, e);
	return interp_our_error(c->tcl, e) && e ? e->code : own;
}

int tclexpr_eval(struct client *c, const char *text, uint64_t *out, struct err *e)
{
	Tcl_Interp *interp = c->tcl->interp;
	Tcl_InterpState saved = Tcl_SaveInterpState(interp, TCL_OK);
	Tcl_Obj *prepared = prepare(c->s, text, false);
	int ret = e && e->code ? e->code : -EINVAL;

	Tcl_IncrRefCount(prepared);
	interp_begin_after_stop(c->tcl);
	Tcl_Obj *plain = Tcl_SubstObj(interp, prepared, TCL_SUBST_ALL);
	if (plain)
		Tcl_IncrRefCount(plain);
	ret = eval_plain(c, text, plain, ret, out, e);
	if (plain)
		Tcl_DecrRefCount(plain);
	Tcl_DecrRefCount(prepared);
	Tcl_RestoreInterpState(interp, saved);
	return ret;
}
