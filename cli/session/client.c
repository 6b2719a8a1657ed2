/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Clients of a session.
 */
#include "cli/session/client.h"

#include <string.h>

#include "cli/session/go.h"
#include "cli/session/interrupt.h"

void client_init(struct client *c, struct session *s, const struct client_ops *ops)
{
	struct client **last = &s->clients;

	*c = (struct client){.s = s, .ops = ops};
	while (*last)
		last = &(*last)->next;
	*last = c;
}

void client_deinit(struct client *c)
{
	struct client **at = &c->s->clients;

	go_client_gone(c);
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	free(c->repeat);
	scripts_clear(&c->pending);
	memset(c, 0, sizeof(*c));
}

int client_eval(struct client *c, const char *text, uint64_t *out, struct err *e)
{
	struct expr_env env = session_expr(c->s);
	int ret = expr_eval(&env, text, out, e);

	return ret && c->script && strpbrk(text, "$[") ? c->script->eval(c, text, out, e) : ret;
}

void client_report(struct client *c, const struct err *e)
{
	session_error(c->s, e);
	if (c->ops->error)
		c->ops->error(c, e);
}

void client_show(struct client *c, const char *view, const struct value *v)
{
	if (c->ops->value)
		c->ops->value(c, view, v);
}

void client_flush(struct client *c)
{
	if (c->ops->flush)
		c->ops->flush(c);
}

unsigned client_width(struct client *c)
{
	return c->ops->width ? c->ops->width(c) : 0;
}

/* False: no further ones. */
static bool run_scripts(struct client *c, const struct scripts *q)
{
	bool on = true;
	struct err e;

	for (size_t i = 0; i < q->n && on; i++) {
		err_clear(&e);
		if (c->script->run(c, q->v[i], &e)) {
			client_report(c, &e);
			return false;
		}
		on = !c->quit && !interrupt_asked();
	}
	return on;
}

/* Commands of a breakpoint may continue into the next one: a loop, not a recursion. */
static void run_all_pending(struct client *c)
{
	bool on = c->script && !c->quit && !interrupt_asked();

	while (c->pending.n && on) {
		struct scripts now = c->pending;

		c->pending.n = 0;
		on = run_scripts(c, &now);
		scripts_clear(&now);
	}
	scripts_clear(&c->pending);
}

void client_run_pending(struct client *c)
{
	if (c->running_pending || !c->pending.n)
		return;
	c->running_pending = true;
	run_all_pending(c);
	c->running_pending = false;
}
