/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Making, changing and removing stop points, in the table and in the machine.
 */
#include "core/stop/point_impl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int no_such_point(struct err *e, const struct point_table *t, int id)
{
	if (!t->n)
		return err_set(e, -ENOENT, "breakpoint %d" WHY "there are no breakpoints" TRY "b ADDRESS to set one", id);
	return err_set(e, -ENOENT, "breakpoint %d" WHY "no breakpoint has that number" TRY "info breakpoints", id);
}

/* The table must stand while it is gone through. */
static int check_may_change(const struct point_table *t, int id, struct err *e)
{
	char what[32] = "breakpoint";

	if (!t->only_look)
		return 0;
	if (id)
		snprintf(what, sizeof(what), "breakpoint %d", id);
	return err_set(e, -EBUSY,
		       "%s" WHY "%s is being worked out; it may only look" TRY "commands N, for what a breakpoint is to do",
		       what, t->only_look);
}

static const struct point_ops *ops_of(const struct stop_point *p)
{
	if (p->kind != POINT_CATCH)
		return p->kind >= POINT_WATCH ? &point_watch : &point_exec;
	return !p->event ? &point_fault : p->event == CATCH_MMU ? &point_mmu : &point_event;
}

/* On or off, in the machine too; where that fails it is as before, there as well as here. */
static int point_switch(struct point_table *t, struct machine *m, struct stop_point *p, bool on, struct err *e)
{
	const struct point_ops *ops = p->ops;
	int rc;

	p->enabled = on;
	rc = !m ? 0 : on ? ops->arm(t, m, p, e) : ops->disarm(t, m, p, e);
	if (!rc)
		return 0;
	p->enabled = !on;
	if (p->kind == POINT_CATCH)
		(void)!points_catch(t, m, NULL);
	return rc;
}

static int copy_text(char **dst, const char *text, struct err *e)
{
	char *copy = NULL;

	if (text && *text) {
		copy = strdup(text);
		if (!copy)
			return err_nomem(e, "breakpoint");
	}
	free(*dst);
	*dst = copy;
	return 0;
}

static int point_copy(const struct stop_point *spec, int id, struct stop_point **out, struct err *e)
{
	struct stop_point *b = malloc(sizeof(*b));

	if (!b)
		return err_nomem(e, "breakpoint");
	*b = *spec;
	b->id = id;
	b->ops = ops_of(b);
	b->enabled = true;
	b->condition = b->commands = NULL;
	int rc = copy_text(&b->condition, spec->condition, e);
	if (!rc)
		rc = copy_text(&b->commands, spec->commands, e);
	if (rc) {
		point_free(b);
		return rc;
	}
	*out = b;
	return 0;
}

int point_add(struct point_table *t, struct machine *m, const struct stop_point *spec, struct stop_point **out,
	      struct err *e)
{
	struct stop_point *b = NULL, **grown;
	int rc = check_may_change(t, 0, e);

	if (rc)
		return rc;
	grown = realloc(t->v, (t->n + 1) * sizeof(*grown));
	if (!grown)
		return err_nomem(e, "breakpoint");
	t->v = grown;
	rc = point_copy(spec, t->next_id, &b, e);
	if (rc)
		return rc;
	t->v[t->n++] = b; /* ids only grow, so the table stays sorted */
	rc = point_switch(t, m, b, true, e);
	if (rc) {
		t->n--;
		point_free(b);
		return rc;
	}
	t->next_id++;
	if (out)
		*out = b;
	return 0;
}

int point_delete(struct point_table *t, struct machine *m, int id, struct err *e)
{
	size_t i = point_index(t, id);

	if (i == t->n)
		return no_such_point(e, t, id);
	int rc = check_may_change(t, id, e);
	if (!rc && t->v[i]->enabled)
		rc = point_switch(t, m, t->v[i], false, e);
	if (rc)
		return rc;
	point_free(t->v[i]);
	t->n--;
	memmove(&t->v[i], &t->v[i + 1], (t->n - i) * sizeof(t->v[0]));
	return 0;
}

int point_enable(struct point_table *t, struct machine *m, int id, bool on, struct err *e)
{
	struct stop_point *b = point_find(t, id);

	if (!b)
		return no_such_point(e, t, id);
	int rc = check_may_change(t, id, e);
	return rc || b->enabled == on ? rc : point_switch(t, m, b, on, e);
}

int points_arm(struct point_table *t, struct machine *m, struct err *e)
{
	for (size_t i = 0; i < t->n; i++) {
		struct stop_point *p = t->v[i];
		int rc = p->enabled && p->kind != POINT_CATCH ? p->ops->arm(t, m, p, e) : 0;

		if (rc) {
			err_prefix(e, "breakpoint %d: ", p->id);
			return rc;
		}
	}
	return points_catch(t, m, e);
}

/* ---- the internal one */

void point_end_internal(struct point_table *t, struct machine *m)
{
	t->internal.enabled = false;
	if (t->internal_left && machine_unplant(m, POINT_INTERNAL, NULL) != -EBUSY)
		t->internal_left = false;
}

int point_set_internal(struct point_table *t, struct machine *m, uint64_t addr, unsigned vcpu, uint64_t min_sp,
		       struct err *e)
{
	struct stop_point p = {.id = POINT_INTERNAL,
			       .kind = POINT_BREAK,
			       .ops = &point_exec,
			       .addr = addr,
			       .len = 1,
			       .internal = true,
			       .vcpu = vcpu,
			       .min_sp = min_sp};
	int rc = point_exec.arm(t, m, &p, e);

	if (rc)
		return rc;
	t->internal = p;
	t->internal.enabled = t->internal_left = true;
	return 0;
}

int point_set_condition(struct stop_point *b, const char *text, struct err *e)
{
	return copy_text(&b->condition, text, e);
}

int point_set_commands(struct stop_point *b, const char *script, struct err *e)
{
	return copy_text(&b->commands, script, e);
}
