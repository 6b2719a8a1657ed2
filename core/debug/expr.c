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

static int register_value(struct parser *p, uint64_t *out)
{
	char buf[NAME_MAX_LEN];
	const struct reg_name *reg;
	struct regs r;
	int rc;

	p->at++;
	rc = name(p, buf);
	if (rc)
		return rc;
	if (!buf[0])
		return unexpected(p, "a register's name");
	reg = reg_find(buf);
	if (!reg)
		return err_set(p->e, -EINVAL, "expression '%.80s'" WHY "there is no register $%s" TRY "info registers -a",
			       p->text, buf);
	if (!p->env->m)
		return err_set(p->e, -EINVAL,
			       "expression '%.80s'" WHY "there is no machine to read $%s from" TRY "load IMAGE", p->text,
			       buf);
	rc = machine_get_regs(p->env->m, p->env->vcpu, reg->part, &r, p->e);
	if (rc)
		return rc;
	*out = reg_get(&r, reg);
	return 0;
}

static int symbol_value(struct parser *p, uint64_t *out)
{
	char buf[NAME_MAX_LEN];
	const struct symbol *sym;
	int rc = name(p, buf);

	if (rc)
		return rc;
	sym = p->env->syms ? symbols_by_name(p->env->syms, buf) : NULL;
	if (sym) {
		*out = sym->addr;
		return 0;
	}
	if (reg_find(buf))
		return err_set(p->e, -EINVAL, "expression '%.80s'" WHY "there is no symbol '%s'" TRY "$%s for the register",
			       p->text, buf, buf);
	return err_set(p->e, -EINVAL,
		       "expression '%.80s'" WHY "there is no symbol '%s'" TRY
		       "0x before a hexadecimal number, $ before a register",
		       p->text, buf);
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

static int primary(struct parser *p, uint64_t *out)
{
	unsigned char c;

	skip_space(p);
	c = (unsigned char)*p->at;
	if (isdigit(c))
		return number(p, out);
	if (c == '$')
		return register_value(p, out);
	if (c == '(')
		return parenthesis(p, out);
	if (isalpha(c) || c == '_' || c == '.' || c == '?')
		return symbol_value(p, out);
	return unexpected(p, "a number, $register, symbol or (");
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
