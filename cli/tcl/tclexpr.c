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

/* Length of the symbol that stands here ("helper", "file.c:helper", "helper@2"), 0 for none. code: 0, or -ENOTUNIQ. */
static size_t symbol_len(const struct session *s, const char *text, const struct symbol **sym, char name[256], int *code)
{
	size_t n = symbols_file_len(&s->d.syms, text);

	if (!n && isdigit((unsigned char)text[0]))
		return 0;
	n += name_len(text + n);
	if (text[n] == '@' && isdigit((unsigned char)text[n + 1]))
		n += 1 + name_len(text + n + 1);
	if (n >= 256 || text[n] == '(' || word_of_tcl(text, n))
		return 0;
	memcpy(name, text, n);
	name[n] = '\0';
	*code = symbols_lookup(&s->d.syms, name, sym);
	return *code == -ENOENT ? 0 : n;
}

/* Its address; of a name that several have, an error that Tcl raises when it gets there. */
static size_t append_symbol(const struct session *s, const char *text, Tcl_Obj *out)
{
	const struct symbol *sym;
	char name[256], list[360];
	int code = 0;
	size_t n = symbol_len(s, text, &sym, name, &code);

	if (n && !code)
		Tcl_AppendPrintfToObj(out, "0x%llx", (unsigned long long)sym->addr);
	else if (n)
		Tcl_AppendPrintfToObj(out, "[error {'%s' is several symbols: %s}]", name,
				      symbols_choices_text(&s->d.syms, name, list, sizeof(list)));
	return n;
}

static size_t operand_len(const char *s)
{
	return *s == '$' ? 1 + name_len(s + 1) : name_len(s);
}

/* Length of the seg:off that stands here, 0 for none: a number or register on each side of a ':', without blanks. Behind a
 * '?' the ':' is Tcl's. */
static size_t segmented_len(const char *from, const char *s)
{
	size_t n = operand_len(s), more;

	if (!n || s[n] != ':' || (*s != '$' && !isdigit((unsigned char)*s)) || memchr(from, '?', (size_t)(s - from)))
		return 0;
	more = operand_len(s + n + 1);
	return more > (s[n + 1] == '$') ? n + 1 + more : 0;
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

/* Length of the register's name here, 0 for none. */
static size_t register_len(const char *s)
{
	char name[32];
	size_t n = name_len(s);

	if (n >= sizeof(name))
		return 0;
	memcpy(name, s, n);
	name[n] = '\0';
	return n && reg_find(name) ? n : 0;
}

/* How much of the text at s Tcl reads as one piece. */
static size_t piece_len(const char *s)
{
	if (*s == '$')
		return s[1] == '{' ? 1 + nested_len(s + 1) : 1 + name_len(s + 1);
	if (strchr("\"{[", *s))
		return nested_len(s);
	return name_len(s) ? name_len(s) : 1;
}

/* A condition for Tcl: dotted registers in braces, addresses for the names of symbols, and seg:off as what prints it. */
static Tcl_Obj *prepare_condition(const struct session *s, const char *text)
{
	Tcl_Obj *out = Tcl_NewObj();
	size_t n;

	for (const char *at = text; *at; at += n) {
		if ((n = segmented_len(text, at))) {
			Tcl_AppendPrintfToObj(out, "[dbg::print {%.*s}]", (int)n, at);
			continue;
		}
		n = *at == '$' ? dotted_register(at + 1) : 0;
		if (n) {
			Tcl_AppendPrintfToObj(out, "${%.*s}", (int)n, at + 1);
			n++;
			continue;
		}
		n = name_len(at) ? append_symbol(s, at, out) : 0;
		if (n)
			continue;
		n = piece_len(at);
		Tcl_AppendToObj(out, at, (int)n);
	}
	return out;
}

/* An address for Tcl, which puts variables and [commands] in: registers stay, the evaluator knows what they mean where they
 * stand. */
static Tcl_Obj *prepare_address(const char *text)
{
	Tcl_Obj *out = Tcl_NewObj();

	while (*text) {
		size_t n = piece_len(text);

		if (*text == '$' && register_len(text + 1))
			Tcl_AppendToObj(out, "\\", 1);
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
	known->v[i].obj = prepare_condition(c->s, text);
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
	Tcl_Obj *prepared = prepare_address(text);
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
