/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Breakpoints after a load: each goes where the new image has its symbol.
 */
#include "cli/session/reload.h"

#include <errno.h>
#include <string.h>

/* Where a breakpoint was before a load, so that a load that fails changes nothing. */
struct point_state {
	uint64_t addr;
	bool enabled;
};

/* Breakpoints at symbols go where the new image has those; one whose symbol it has not is disabled, because its old address
 * may now be the middle of an instruction. Addresses that are numbers stay, and what registers and variables made of it. */
static void resolve_breakpoints(struct session *s)
{
	struct expr_env numbers = {.m = NULL, .syms = NULL}, now = {.m = s->d.m, .syms = &s->d.syms};
	struct err why;

	for (size_t i = 0; i < s->d.points.n; i++) {
		struct stop_point *b = s->d.points.v[i];
		const char *text = b->at + strspn(b->at, "* ");
		uint64_t addr;

		if (b->kind == POINT_CATCH && !b->event && b->enabled && point_fault_place(s->d.m, &b->fault, NULL)) {
			b->enabled = false;
			session_notice(s, "catch %d disabled: the new image has no memory there (%s)", b->id, b->at);
		}
		if (b->kind == POINT_CATCH || strpbrk(text, "$[") || !expr_eval(&numbers, text, &addr, NULL))
			continue;
		err_clear(&why);
		if (!expr_eval(&now, text, &addr, &why)) {
			b->addr = addr;
		} else if (b->enabled) {
			b->enabled = false;
			session_notice(s, "%s %d disabled: the new image has %s %s", point_kind_name(b->kind), b->id,
				       why.code == -ENOTUNIQ ? "several" : "no", text);
		}
	}
}

static struct point_state *save_states(const struct point_table *t)
{
	struct point_state *v = calloc(t->n + 1, sizeof(*v));

	for (size_t i = 0; v && i < t->n; i++)
		v[i] = (struct point_state){.addr = t->v[i]->addr, .enabled = t->v[i]->enabled};
	return v;
}

int reload_breakpoints(struct session *s, struct err *e)
{
	_cleanup_free_ struct point_state *saved = save_states(&s->d.points);
	int ret;

	if (!saved)
		return err_nomem(e, "load");
	resolve_breakpoints(s);
	ret = points_arm(&s->d.points, s->d.m, e);
	for (size_t i = 0; ret && i < s->d.points.n; i++) {
		s->d.points.v[i]->addr = saved[i].addr;
		s->d.points.v[i]->enabled = saved[i].enabled;
	}
	return ret;
}
