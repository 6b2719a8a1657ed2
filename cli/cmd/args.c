/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Taking a command's words apart: options anywhere, then positional words, expressions over several words, hex bytes.
 */
#include "cli/cmd/args.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/session/client.h"

static const char *command_name(const struct args *a)
{
	return a->call->cmd->name;
}

static const char *command_usage(const struct args *a)
{
	return a->call->cmd->usage ? a->call->cmd->usage : "";
}

/* The reason comes in three pieces, joined. */
static int usage_error(const struct args *a, struct err *e, const char *x, const char *y, const char *z)
{
	const char *usage = command_usage(a);

	return err_set(e, -EINVAL, "%s" WHY "%s%.100s%s" TRY "%s%s%s", command_name(a), x, y, z, command_name(a),
		       *usage ? " " : "", usage);
}

int args_init(struct args *a, struct call *c, struct err *e)
{
	if (c->argc > ARGS_MAX)
		return err_set(e, -E2BIG, "%s" WHY "%d words, and %d is the most" TRY "fewer words, or braces around them",
			       c->cmd->name, c->argc, ARGS_MAX);
	*a = (struct args){.call = c, .n = c->argc};
	for (int i = 0; i < c->argc; i++)
		a->word[i] = c->argv[i];
	return 0;
}

static void skip_taken(struct args *a)
{
	while (a->next < a->n && !a->word[a->next])
		a->next++;
}

bool args_flag(struct args *a, const char *name)
{
	for (int i = a->next; i < a->n; i++)
		if (a->word[i] && !strcmp(a->word[i], name)) {
			a->word[i] = NULL;
			return true;
		}
	return false;
}

int args_option(struct args *a, const char *name, const char **value, struct err *e)
{
	for (int i = a->next; i < a->n; i++) {
		if (!a->word[i] || strcmp(a->word[i], name))
			continue;
		if (i + 1 >= a->n || !a->word[i + 1])
			return usage_error(a, e, name, " needs a value", "");
		*value = a->word[i + 1];
		a->word[i] = a->word[i + 1] = NULL;
		return 1;
	}
	return 0;
}

const char *args_peek(const struct args *a)
{
	for (int i = a->next; i < a->n; i++)
		if (a->word[i])
			return a->word[i];
	return NULL;
}

bool args_more(const struct args *a)
{
	return args_peek(a) != NULL;
}

int args_word(struct args *a, const char *what, const char **out, struct err *e)
{
	skip_taken(a);
	if (a->next >= a->n)
		return usage_error(a, e, what, " is missing", "");
	*out = a->word[a->next++];
	return 0;
}

/* Joins words i..j-1 with blanks. */
static int join(struct args *a, int i, int j, const char **out, struct err *e)
{
	size_t len = 0, at = 0;

	for (int k = i; k < j; k++)
		len += a->word[k] ? strlen(a->word[k]) + 1 : 0;
	char *text = pool_alloc(a->call->pool, len + 1);
	if (!text)
		return err_nomem(e, command_name(a));
	for (int k = i; k < j; k++) {
		if (!a->word[k])
			continue;
		size_t n = strlen(a->word[k]);
		if (at)
			text[at++] = ' ';
		memcpy(text + at, a->word[k], n);
		at += n;
	}
	text[at] = '\0';
	*out = text;
	return 0;
}

int args_rest(struct args *a, const char *what, const char **out, struct err *e)
{
	skip_taken(a);
	if (a->next >= a->n)
		return usage_error(a, e, what, " is missing", "");
	int from = a->next;
	a->next = a->n;
	return join(a, from, a->n, out, e);
}

static bool is_operator(const char *w)
{
	return (strchr("+-*/%&|^", w[0]) && w[0] && !w[1]) || !strcmp(w, "<<") || !strcmp(w, ">>");
}

/* True where an expression that ends in this text is not finished: an open parenthesis or a trailing operator. */
static bool goes_on(int depth, const char *w)
{
	size_t n = strlen(w);

	return depth > 0 || (n && strchr("+-*/%&|^~<>(", w[n - 1]));
}

static int depth_of(const char *w)
{
	int depth = 0;

	for (; *w; w++)
		depth += *w == '(' ? 1 : *w == ')' ? -1 : 0;
	return depth;
}

/* Where the expression that begins at word i ends. */
static int expression_end(const struct args *a, int i)
{
	int depth = depth_of(a->word[i]), j = i + 1;

	while (j < a->n && a->word[j]) {
		if (!goes_on(depth, a->word[j - 1]) && !is_operator(a->word[j]))
			break;
		depth += depth_of(a->word[j]);
		j++;
	}
	return j;
}

/* Plain numbers are most of what scripts pass; the evaluator is for the rest. */
static bool plain_number(const char *w, uint64_t *out)
{
	bool hex = w[0] == '0' && (w[1] == 'x' || w[1] == 'X');
	const char *p = hex ? w + 2 : w;
	uint64_t v = 0;
	int digits = 0;

	if (!hex && w[0] == '0' && w[1])
		return false;
	for (; *p; p++, digits++) {
		if (hex ? !isxdigit((unsigned char)*p) : !isdigit((unsigned char)*p))
			return false;
		unsigned d = *p <= '9' ? (unsigned)*p - '0' : ((unsigned)*p | 0x20) - 'a' + 10;
		v = v * (hex ? 16 : 10) + d;
	}
	if (!digits || digits > (hex ? 16 : 19))
		return false;
	*out = v;
	return true;
}

int args_addr(struct args *a, const char *what, uint64_t *out, struct err *e)
{
	const char *text;
	int ret;

	skip_taken(a);
	if (a->next >= a->n)
		return usage_error(a, e, what, " is missing", "");
	int from = a->next, to = expression_end(a, from);
	a->next = to;
	text = a->word[from];
	if (to == from + 1 && plain_number(text, out))
		return 0;
	if (to > from + 1) {
		ret = join(a, from, to, &text, e);
		if (ret)
			return ret;
	}
	ret = client_eval(a->call->client, text, out, e);
	if (ret)
		err_prefix(e, "%s: ", command_name(a));
	return ret;
}

int args_number(struct args *a, const char *what, uint64_t min, uint64_t max, uint64_t *out, struct err *e)
{
	uint64_t v;
	int ret = args_addr(a, what, &v, e);

	if (ret)
		return ret;
	if ((v < min || v > max) && min < INT64_MAX && v > INT64_MAX && a->word[a->next - 1][0] == '-')
		return err_set(e, -ERANGE, "%s" WHY "%s is %lld, outside %llu..%llu" TRY "a number in that range",
			       command_name(a), what, (long long)v, (unsigned long long)min, (unsigned long long)max);
	if (v < min || v > max)
		return err_set(e, -ERANGE, "%s" WHY "%s is %llu, outside %llu..%llu" TRY "a number in that range",
			       command_name(a), what, (unsigned long long)v, (unsigned long long)min,
			       (unsigned long long)max);
	*out = v;
	return 0;
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int parse_hex(const struct args *a, const char *w, uint8_t *bytes, size_t *len, struct err *e)
{
	size_t n = 0;
	char bad[2] = "";

	if (w[0] == '0' && (w[1] | 0x20) == 'x')
		w += 2;
	for (; *w; w++) {
		if (isspace((unsigned char)*w))
			continue;
		int v = nibble(*w);
		if (v < 0) {
			bad[0] = isprint((unsigned char)*w) ? *w : '?';
			return usage_error(a, e, "'", bad, "' is no hex digit");
		}
		bytes[n / 2] = (uint8_t)(n % 2 ? bytes[n / 2] | v : v << 4);
		n++;
	}
	if (!n || n % 2)
		return usage_error(a, e, n ? "an odd number of hex digits" : "no hex digits", "", "");
	*len = n / 2;
	return 0;
}

int args_hex(struct args *a, const char *what, uint8_t **out, size_t *len, struct err *e)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	const char *w;
	int ret = args_word(a, what, &w, e);

	if (ret)
		return ret;
	bytes = malloc(strlen(w) / 2 + 1);
	if (!bytes)
		return err_nomem(e, command_name(a));
	ret = parse_hex(a, w, bytes, len, e);
	if (ret)
		return ret;
	*out = bytes;
	bytes = NULL;
	return 0;
}

int args_end(struct args *a, struct err *e)
{
	const char *w = args_peek(a);

	if (!w)
		return 0;
	if (w[0] == '-' && isalpha((unsigned char)w[1]))
		return usage_error(a, e, "it has no option ", w, "");
	return usage_error(a, e, "'", w, "' is one word too many");
}

int args_none(struct call *c, struct err *e)
{
	struct args a;
	int rc = args_init(&a, c, e);

	return rc ? rc : args_end(&a, e);
}

int parse_size(const char *text, uint64_t *out, struct err *e)
{
	static const char units[] = "KMGT";
	char *end;

	errno = 0;
	unsigned long long v = strtoull(text, &end, 0);
	const char *unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
	unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;

	if (end == text || !isdigit((unsigned char)text[0]) || (*end && (!unit || end[1])))
		return err_set(e, -EINVAL, "size %.60s" WHY "not a number with K, M, G or T" TRY "64M", text);
	if (errno || v > (UINT64_MAX >> shift))
		return err_set(e, -ERANGE, "size %.60s" WHY "it does not fit 64 bits" TRY "64M", text);
	*out = (uint64_t)v << shift;
	return 0;
}
