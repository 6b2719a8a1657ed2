/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Address expressions: precedence climbing over the text itself. Unsigned 64-bit arithmetic wraps, as in C; a shift by 64 or
 * more gives 0.
 */
#include "core/debug/expr.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/debug/segment.h"
#include "core/load/symbols.h"

#define DEPTH_MAX 200
#define NAME_MAX_LEN 256

struct parser {
	const struct expr_env *env;
	const char *text, *at;
	unsigned depth;
	struct err *e;
};

static int binary(struct parser *p, int min, uint64_t *out) MUST_USE;
static int offset(struct parser *p, uint64_t *out) MUST_USE;

static void skip_space(struct parser *p)
{
	while (isspace((unsigned char)*p->at))
		p->at++;
}

/* What stands at the parser's place, for an error message. */
static int unexpected(struct parser *p, const char *wanted)
{
	if (!*p->at)
		return err_set(p->e, -EINVAL, "expression '%.80s'" WHY "it ends where %s should be" TRY "help expressions",
			       p->text, wanted);
	return err_set(p->e, -EINVAL,
		       "expression '%.80s'" WHY "'%.20s' stands at column %d where %s should be" TRY "$rip + 0x10", p->text,
		       p->at, (int)(p->at - p->text) + 1, wanted);
}

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (isxdigit((unsigned char)c))
		return tolower((unsigned char)c) - 'a' + 10;
	return 99;
}

static unsigned number_base(const char *s)
{
	if (s[0] != '0')
		return 10;
	switch (s[1]) {
	case 'x':
	case 'X':
		return 16;
	case 'o':
	case 'O':
		return 8;
	case 'b':
	case 'B':
		return 2;
	default:
		return 10;
	}
}

static bool name_char(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '.' || c == '@' || c == '?';
}

static int number(struct parser *p, uint64_t *out)
{
	const char *start = p->at;
	unsigned base = number_base(p->at);
	uint64_t v = 0;

	if (base != 10)
		p->at += 2;
	if (digit_of(*p->at) >= (int)base)
		return unexpected(p, "a digit");
	for (; digit_of(*p->at) < (int)base; p->at++) {
		if (__builtin_mul_overflow(v, (uint64_t)base, &v) ||
		    __builtin_add_overflow(v, (uint64_t)digit_of(*p->at), &v))
			return err_set(p->e, -ERANGE,
				       "expression '%.80s'" WHY "%.40s is beyond 64 bits" TRY "0xffffffffffffffff at most",
				       p->text, start);
	}
	if (name_char(*p->at))
		return unexpected(p, base == 10 ? "an operator (hexadecimal numbers begin with 0x)" : "an operator");
	*out = v;
	return 0;
}

/* seg:off is one word: `a ? b : c` is not. */
static bool offset_follows(const struct parser *p)
{
	unsigned char c = p->at[0] == ':' ? (unsigned char)p->at[1] : 0;

	return isalnum(c) || (c && strchr("$(_.", c));
}

/* A selector that is behind, the offset after ':'. */
static int selector_and_offset(struct parser *p, uint64_t *v)
{
	uint64_t selector = *v, off;
	int rc;

	p->at++;
	rc = offset(p, &off);
	if (!rc)
		rc = segment_linear(p->env->m, p->env->vcpu, selector, off, v, p->e);
	return rc;
}

/* Copy the name at the parser's place and go past it. */
static int name(struct parser *p, char buf[NAME_MAX_LEN])
{
	size_t n = 0;

	while (name_char(p->at[n]) || (n && p->at[n] == '$'))
		n++;
	if (n >= NAME_MAX_LEN)
		return err_set(p->e, -EINVAL, "expression '%.80s'" WHY "a name has %zu characters" TRY "a shorter one",
			       p->text, n);
	memcpy(buf, p->at, n);
	buf[n] = '\0';
	p->at += n;
	return 0;
}

static int register_name(struct parser *p, const struct reg_name **reg)
{
	char buf[NAME_MAX_LEN];
	int rc;

	p->at++;
	rc = name(p, buf);
	if (rc)
		return rc;
	if (!buf[0])
		return unexpected(p, "a register's name");
	*reg = reg_find(buf);
	if (!*reg)
		return err_set(p->e, -EINVAL, "expression '%.80s'" WHY "there is no register $%s" TRY "info registers -a",
			       p->text, buf);
	if (!p->env->m)
		return err_set(p->e, -EINVAL,
			       "expression '%.80s'" WHY "there is no machine to read $%s from" TRY "load IMAGE", p->text,
			       buf);
	return 0;
}

static int get_registers(struct parser *p, const struct reg_name *reg, struct regs *r)
{
	return machine_get_regs(p->env->m, p->env->vcpu, reg->part, r, p->e);
}

/* $cs:off is by what CS has loaded; any other register is a selector. */
static int register_value(struct parser *p, uint64_t *out)
{
	const struct reg_name *reg;
	struct regs r;
	int seg, rc = register_name(p, &reg);

	if (rc)
		return rc;
	seg = segment_by_name(reg->name);
	if (seg >= 0 && offset_follows(p)) {
		uint64_t off;
		p->at++;
		rc = offset(p, &off);
		return rc ? rc : segment_reg_linear(p->env->m, p->env->vcpu, (unsigned)seg, off, out, p->e);
	}
	rc = get_registers(p, reg, &r);
	if (rc)
		return rc;
	*out = reg_get(&r, reg);
	return 0;
}

/* Behind a segment $pc, $sp and $fp are the registers. */
static int register_offset(struct parser *p, uint64_t *out)
{
	const struct reg_name *reg;
	struct regs r;
	int rc = register_name(p, &reg);

	if (!rc)
		rc = get_registers(p, reg, &r);
	if (!rc)
		*out = reg_as_offset(&r, reg);
	return rc;
}

static int unknown_symbol(struct parser *p, const char *buf)
{
	if (reg_find(buf))
		return err_set(p->e, -EINVAL, "expression '%.80s'" WHY "there is no symbol '%s'" TRY "$%s for the register",
			       p->text, buf, buf);
	unsigned of_name = p->env->syms ? symbols_numbered(p->env->syms, buf) : 0;
	if (of_name)
		return err_set(p->e, -EINVAL,
			       "expression '%.80s'" WHY "there %s %u of that name, so '%s' is none of them" TRY
			       "1 to %u behind '@'",
			       p->text, of_name == 1 ? "is" : "are", of_name, buf, of_name);
	if (p->at[0] == ':')
		return err_set(p->e, -EINVAL,
			       "expression '%.80s'" WHY "'%s' is no file that has symbols, and no number before ':'" TRY
			       "0x7c0:0x10 for a segment and an offset",
			       p->text, buf);
	return err_set(p->e, -EINVAL,
		       "expression '%.80s'" WHY "there is no symbol '%s'" TRY
		       "0x before a hexadecimal number, $ before a register",
		       p->text, buf);
}

static void keep_first(void *arg, const struct symbol *sym, const char *text)
{
	char *first = arg;

	(void)sym;
	if (!first[0])
		snprintf(first, NAME_MAX_LEN, "%s", text);
}

static int several_symbols(struct parser *p, const char *buf)
{
	char list[360], first[NAME_MAX_LEN] = "";

	symbols_choices(p->env->syms, buf, keep_first, first);
	return err_set(p->e, -ENOTUNIQ,
		       "expression '%.80s'" WHY "'%.80s' is several symbols: %s" TRY "one of them, as in %s", p->text, buf,
		       symbols_choices_text(p->env->syms, buf, list, sizeof(list)), first);
}

/* "helper", "file.c:helper", "helper@2" */
static int symbol_value(struct parser *p, uint64_t *out)
{
	const struct symbols *syms = p->env->syms;
	char buf[2 * NAME_MAX_LEN];
	const struct symbol *sym = NULL;
	size_t file = syms ? symbols_file_len(syms, p->at) : 0;
	int rc;

	if (file >= NAME_MAX_LEN)
		file = 0;
	memcpy(buf, p->at, file);
	p->at += file;
	rc = name(p, buf + file);
	if (rc)
		return rc;
	rc = syms ? symbols_lookup(syms, buf, &sym) : -ENOENT;
	if (!rc)
		*out = sym->addr;
	return rc == -ENOTUNIQ ? several_symbols(p, buf) : rc ? unknown_symbol(p, buf) : 0;
}

static int parenthesis(struct parser *p, uint64_t *out)
{
	int rc;

	p->at++;
	rc = binary(p, 0, out);
	if (rc)
		return rc;
	skip_space(p);
	if (*p->at != ')')
		return unexpected(p, "an operator or )");
	p->at++;
	return 0;
}

static bool begins_symbol(const struct parser *p)
{
	unsigned char c = (unsigned char)*p->at;

	return isalpha(c) || (c && strchr("_.?", c)) ||
	       (p->env->syms && (c == '/' || isdigit(c)) && symbols_file_len(p->env->syms, p->at));
}

static int primary(struct parser *p, uint64_t *out)
{
	unsigned char c;
	int rc;

	skip_space(p);
	c = (unsigned char)*p->at;
	if (begins_symbol(p))
		return symbol_value(p, out);
	if (c == '(')
		return parenthesis(p, out);
	if (isdigit(c))
		rc = number(p, out);
	else if (c == '$')
		rc = register_value(p, out);
	else
		return unexpected(p, "a number, $register, symbol or (");
	return !rc && offset_follows(p) ? selector_and_offset(p, out) : rc;
}

/* What may stand behind a segment's ':'. */
static int offset(struct parser *p, uint64_t *out)
{
	if (*p->at == '$')
		return register_offset(p, out);
	if (*p->at == '(')
		return parenthesis(p, out);
	return isdigit((unsigned char)*p->at) ? number(p, out) : symbol_value(p, out);
}

static int unary(struct parser *p, uint64_t *out)
{
	char op;
	int rc;

	skip_space(p);
	op = *p->at;
	if (op != '-' && op != '~' && op != '+')
		return primary(p, out);
	if (++p->depth > DEPTH_MAX)
		return err_set(p->e, -EINVAL, "expression" WHY "it is nested more than %d deep" TRY "a simpler one",
			       DEPTH_MAX);
	p->at++;
	rc = unary(p, out);
	p->depth--;
	if (rc)
		return rc;
	*out = op == '-' ? -*out : op == '~' ? ~*out : *out;
	return 0;
}

struct op {
	const char *text;
	int prec;
	char code;
};

/* C's order: | weakest. */
static const struct op ops[] = {{"|", 1, '|'}, {"^", 2, '^'}, {"&", 3, '&'}, {"<<", 4, 'l'}, {">>", 4, 'r'},
				{"+", 5, '+'}, {"-", 5, '-'}, {"*", 6, '*'}, {"/", 6, '/'},  {"%", 6, '%'}};

static const struct op *operator_at(struct parser *p)
{
	skip_space(p);
	for (size_t i = 0; i < ARRAY_LEN(ops); i++)
		if (strncmp(p->at, ops[i].text, strlen(ops[i].text)) == 0)
			return &ops[i];
	return NULL;
}

static int apply(struct parser *p, char code, uint64_t a, uint64_t b, uint64_t *out)
{
	switch (code) {
	case '|':
		*out = a | b;
		return 0;
	case '^':
		*out = a ^ b;
		return 0;
	case '&':
		*out = a & b;
		return 0;
	case 'l':
		*out = b < 64 ? a << b : 0;
		return 0;
	case 'r':
		*out = b < 64 ? a >> b : 0;
		return 0;
	case '+':
		*out = a + b;
		return 0;
	case '-':
		*out = a - b;
		return 0;
	case '*':
		*out = a * b;
		return 0;
	}
	if (!b)
		return err_set(p->e, -EDOM, "expression '%.80s'" WHY "it divides by zero" TRY "another divisor", p->text);
	*out = code == '/' ? a / b : a % b;
	return 0;
}

static int binary(struct parser *p, int min, uint64_t *out)
{
	const struct op *op;
	uint64_t a, b;
	int rc;

	if (++p->depth > DEPTH_MAX)
		return err_set(p->e, -EINVAL, "expression" WHY "it is nested more than %d deep" TRY "a simpler one",
			       DEPTH_MAX);
	rc = unary(p, &a);
	while (!rc && (op = operator_at(p)) && op->prec >= min) {
		p->at += strlen(op->text);
		rc = binary(p, op->prec + 1, &b);
		if (!rc)
			rc = apply(p, op->code, a, b, &a);
	}
	p->depth--;
	if (!rc)
		*out = a;
	return rc;
}

int expr_eval(const struct expr_env *env, const char *text, uint64_t *out, struct err *e)
{
	struct parser p = {.env = env, .text = text, .at = text, .e = e};
	uint64_t v = 0;
	int rc;

	skip_space(&p);
	if (*p.at == '*')
		p.at++;
	rc = binary(&p, 0, &v);
	if (rc)
		return rc;
	skip_space(&p);
	if (*p.at)
		return unexpected(&p, "an operator");
	*out = v;
	return 0;
}
