/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Breakpoints, watchpoints, catchpoints, and what is attached to them.
 *
 * The setting commands take their words as typed, so that `b main if $rax == 5` keeps its condition; an address may still
 * hold Tcl's variables and brackets, which are substituted here.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cmd/breaks.h"
#include "views/record.h"

int break_split_if(struct args *a, const char **condition, struct err *e)
{
	int n = a->n, at = a->next;

	*condition = NULL;
	while (at < n && !(a->word[at] && strcmp(a->word[at], "if") == 0))
		at++;
	if (at == n)
		return 0;
	a->next = at + 1;
	int rc = args_rest(a, "COND", condition, e);
	a->next = 0;
	a->n = at;
	return rc;
}

void break_text(const struct args *a, int from, int to, char *buf, size_t size)
{
	size_t len = 0;

	const char *const *words = a->call->typed ? a->call->typed : a->call->argv;

	buf[0] = 0;
	for (int i = from; i < to; i++)
		if (a->word[i] && len < size)
			len += (size_t)snprintf(buf + len, size - len, "%s%s", len ? " " : "", words[i]);
}

static void pc_text(struct call *c, uint64_t pc, char *buf, size_t size)
{
	char sym[80];

	symbols_format(&c->s->d.syms, pc, sym, sizeof(sym));
	snprintf(buf, size, *sym ? "*0x%llx (%s)" : "*0x%llx", (unsigned long long)pc, sym);
}

/* ---- break, watch */

static int add(struct call *c, const struct stop_point *spec, struct err *e)
{
	struct stop_point *b;
	int rc = point_add(&c->s->d.points, c->s->d.m, spec, &b, e);

	if (rc)
		return rc;
	c->result = record_stop_point(c->pool, b);
	break_note(c, b, &c->result);
	return 0;
}

static int set_break(struct call *c, enum point_kind kind, bool temporary, struct err *e)
{
	struct stop_point spec = {.kind = kind, .temporary = temporary, .len = 1};
	const char *condition;
	struct args a;
	unsigned bits;
	int rc = args_init(&a, c, e);

	if (!rc)
		rc = break_split_if(&a, &condition, e);
	if (rc)
		return rc;
	if (args_more(&a)) {
		break_text(&a, 0, a.n, spec.at, sizeof(spec.at));
		rc = args_addr(&a, "A", &spec.addr, e);
	} else {
		rc = current_pc(c->s, &spec.addr, &bits, e);
		if (!rc)
			pc_text(c, spec.addr, spec.at, sizeof(spec.at));
	}
	if (!rc)
		rc = args_end(&a, e);
	spec.condition = (char *)(uintptr_t)condition;
	return rc ? rc : add(c, &spec, e);
}

int cmd_break(struct call *c, struct err *e)
{
	return set_break(c, POINT_BREAK, false, e);
}

int cmd_tbreak(struct call *c, struct err *e)
{
	return set_break(c, POINT_BREAK, true, e);
}

int cmd_hbreak(struct call *c, struct err *e)
{
	return set_break(c, POINT_HBREAK, false, e);
}

static int check_watched(struct call *c, const struct stop_point *b, struct err *e)
{
	const struct plant p = {.kind = b->kind == POINT_WATCH	  ? PLANT_WRITE
					: b->kind == POINT_RWATCH ? PLANT_READ
								  : PLANT_ACCESS,
				.addr = b->addr,
				.len = b->len,
				.phys = b->phys};

	return c->s->d.m ? machine_check_watch(c->s->d.m, c->s->vcpu, &p, e) : 0;
}

/* The bytes of the symbol that was named, in any way that names one; else of a word of the code that runs. */
static uint64_t watched_length(struct call *c, const char *at)
{
	const struct symbol *sym;
	unsigned bits = 64;
	uint64_t pc;

	at += strspn(at, "* \t");
	if (!symbols_lookup(&c->s->d.syms, at, &sym) && sym->size)
		return sym->size;
	if (current_pc(c->s, &pc, &bits, NULL))
		bits = 64;
	return bits / 8;
}

static int set_watch(struct call *c, enum point_kind kind, struct err *e)
{
	struct stop_point spec = {.kind = kind};
	const char *condition;
	struct args a;
	int rc = args_init(&a, c, e);

	if (rc)
		return rc;
	spec.phys = args_flag(&a, "-phys");
	rc = break_split_if(&a, &condition, e);
	if (!rc)
		rc = args_addr(&a, "A", &spec.addr, e);
	if (rc)
		return rc;
	break_text(&a, 0, a.next, spec.at, sizeof(spec.at));
	spec.len = watched_length(c, spec.at);
	if (args_more(&a))
		rc = args_number(&a, "LEN", 1, 1u << 30, &spec.len, e);
	if (!rc)
		rc = args_end(&a, e);
	if (!rc && range_wraps(spec.addr, spec.len))
		rc = err_set(e, -EINVAL, "watch" WHY "0x%llx and %llu bytes wrap past the last address" TRY "a shorter LEN",
			     (unsigned long long)spec.addr, (unsigned long long)spec.len);
	if (!rc)
		rc = check_watched(c, &spec, e);
	spec.condition = (char *)(uintptr_t)condition;
	return rc ? rc : add(c, &spec, e);
}

int cmd_watch(struct call *c, struct err *e)
{
	return set_watch(c, POINT_WATCH, e);
}

int cmd_rwatch(struct call *c, struct err *e)
{
	return set_watch(c, POINT_RWATCH, e);
}

int cmd_awatch(struct call *c, struct err *e)
{
	return set_watch(c, POINT_AWATCH, e);
}

/* ---- by number */

/* fn for each number among the words; for every breakpoint if there is none. Ids that do not exist are refused first. */
static int for_each(struct call *c, int (*fn)(struct debugger *d, int id, struct err *e), struct err *e)
{
	struct debugger *d = &c->s->d;
	int ids[ARGS_MAX], n = 0, rc;
	struct args a;
	uint64_t id;

	rc = args_init(&a, c, e);
	while (!rc && args_more(&a)) {
		rc = args_number(&a, "N", 1, INT32_MAX, &id, e);
		if (!rc && !point_find(&d->points, (int)id))
			rc = err_set(e, -ENOENT, "%s %llu" WHY "no breakpoint has that number" TRY "info breakpoints",
				     c->cmd->name, (unsigned long long)id);
		if (!rc)
			ids[n++] = (int)id;
	}
	for (int i = 0; i < n && !rc; i++)
		rc = fn(d, ids[i], e);
	if (!rc && !n)
		for (size_t i = d->points.n; i-- && !rc;)
			rc = fn(d, d->points.v[i]->id, e);
	return rc;
}

static int delete_one(struct debugger *d, int id, struct err *e)
{
	/* The same number twice is gone the second time, and that is what was asked for. */
	return point_find(&d->points, id) ? point_delete(&d->points, d->m, id, e) : 0;
}

static int enable_one(struct debugger *d, int id, struct err *e)
{
	return point_enable(&d->points, d->m, id, true, e);
}

static int disable_one(struct debugger *d, int id, struct err *e)
{
	return point_enable(&d->points, d->m, id, false, e);
}

int cmd_delete(struct call *c, struct err *e)
{
	return for_each(c, delete_one, e);
}

int cmd_enable(struct call *c, struct err *e)
{
	return for_each(c, enable_one, e);
}

int cmd_disable(struct call *c, struct err *e)
{
	return for_each(c, disable_one, e);
}

/* The breakpoint that the first word names. */
static int named_bp(struct args *a, struct stop_point **b, struct err *e)
{
	struct point_table *t = &a->call->s->d.points;
	uint64_t id;
	int rc = args_number(a, "N", 1, INT32_MAX, &id, e);

	if (rc)
		return rc;
	*b = point_find(t, (int)id);
	return *b ? 0
		  : err_set(e, -ENOENT, "%s %llu" WHY "no breakpoint has that number" TRY "info breakpoints",
			    a->call->cmd->name, (unsigned long long)id);
}

int cmd_condition(struct call *c, struct err *e)
{
	const char *text = NULL;
	struct args a;
	struct stop_point *b;
	int rc = args_init(&a, c, e);

	if (!rc)
		rc = named_bp(&a, &b, e);
	if (!rc && args_more(&a))
		rc = args_rest(&a, "EXPR", &text, e);
	if (!rc)
		rc = point_set_condition(b, text, e);
	if (!rc)
		c->result = record_stop_point(c->pool, b);
	return rc;
}

int cmd_ignore(struct call *c, struct err *e)
{
	struct args a;
	struct stop_point *b;
	uint64_t n;
	int rc = args_init(&a, c, e);

	if (!rc)
		rc = named_bp(&a, &b, e);
	if (!rc)
		rc = args_number(&a, "COUNT", 0, INT64_MAX, &n, e);
	if (!rc)
		rc = args_end(&a, e);
	if (rc)
		return rc;
	b->ignore = n;
	c->result = record_stop_point(c->pool, b);
	return 0;
}

/* commands N {SCRIPT}; with one word, the script of the newest breakpoint, as gdb has it. */
int cmd_commands(struct call *c, struct err *e)
{
	struct point_table *t = &c->s->d.points;
	const char *script;
	struct args a;
	struct stop_point *b;
	int rc = args_init(&a, c, e);

	if (rc)
		return rc;
	if (c->argc == 1 && t->n && c->argv[0][strspn(c->argv[0], "0123456789")])
		b = t->v[t->n - 1];
	else
		rc = named_bp(&a, &b, e);
	if (!rc)
		rc = args_word(&a, "{SCRIPT}", &script, e);
	if (!rc)
		rc = args_end(&a, e);
	if (!rc)
		rc = point_set_commands(b, script, e);
	if (!rc)
		c->result = record_stop_point(c->pool, b);
	return rc;
}

int cmd_info_breakpoints(struct call *c, struct err *e)
{
	struct point_table *t = &c->s->d.points;
	int rc = args_none(c, e);

	if (rc)
		return rc;
	points_look(t, c->s->d.m);
	c->result = v_list(c->pool, t->n);
	for (size_t i = 0; i < t->n; i++) {
		struct value row = record_stop_point(c->pool, t->v[i]);

		break_note(c, t->v[i], &row);
		v_push(c->pool, &c->result, row);
	}
	return 0;
}
