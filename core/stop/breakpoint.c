/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The table of what the user asked to stop at. Breakpoints and watchpoints are planted in the machine one by one;
 * catchpoints are not (their union is told to the machine by debug_apply_catches).
 */
#include "core/stop/breakpoint.h"

#include <errno.h>
#include <string.h>

const char *bp_kind_name(enum bp_kind k)
{
	static const char *const names[] = {"breakpoint", "hw-breakpoint", "watch", "rwatch", "awatch", "catch"};

	return names[k];
}

void bp_table_init(struct bp_table *t)
{
	*t = (struct bp_table){.next_id = 1};
}

static void bp_free(struct bp *b)
{
	if (!b)
		return;
	free(b->condition);
	free(b->commands);
	free(b);
}

void bp_table_deinit(struct bp_table *t)
{
	for (size_t i = 0; i < t->n; i++)
		bp_free(t->v[i]);
	free(t->v);
	bp_table_init(t);
}

static size_t bp_index(const struct bp_table *t, int id)
{
	size_t i = 0;

	while (i < t->n && t->v[i]->id != id)
		i++;
	return i;
}

struct bp *bp_find(const struct bp_table *t, int id)
{
	size_t i = bp_index(t, id);

	return i < t->n ? t->v[i] : NULL;
}

static int no_such_bp(struct err *e, const struct bp_table *t, int id)
{
	if (!t->n)
		return err_set(e, -ENOENT, "breakpoint %d" WHY "there are no breakpoints" TRY "b ADDRESS to set one", id);
	return err_set(e, -ENOENT, "breakpoint %d" WHY "no breakpoint has that number" TRY "info breakpoints", id);
}

static enum plant_kind plant_kind(enum bp_kind k)
{
	static const enum plant_kind kinds[] = {PLANT_EXEC, PLANT_EXEC_HW, PLANT_WRITE, PLANT_READ, PLANT_ACCESS};

	return kinds[k];
}

static int plant(struct machine *m, struct bp *b, struct err *e)
{
	if (!m || b->kind == BP_CATCH)
		return 0;
	struct plant p = {.id = b->id, .kind = plant_kind(b->kind), .addr = b->addr, .len = b->len, .phys = b->phys};
	int rc = machine_plant(m, &p, e);
	if (!rc) {
		b->how = p.how;
		b->why = p.why;
	}
	return rc;
}

static int unplant(struct machine *m, const struct bp *b, struct err *e)
{
	return m && b->kind != BP_CATCH && b->enabled ? machine_unplant(m, b->id, e) : 0;
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

static int bp_copy(const struct bp *spec, int id, struct bp **out, struct err *e)
{
	struct bp *b = malloc(sizeof(*b));

	if (!b)
		return err_nomem(e, "breakpoint");
	*b = *spec;
	b->id = id;
	b->enabled = true;
	b->condition = b->commands = NULL;
	int rc = copy_text(&b->condition, spec->condition, e);
	if (!rc)
		rc = copy_text(&b->commands, spec->commands, e);
	if (rc) {
		bp_free(b);
		return rc;
	}
	*out = b;
	return 0;
}

int bp_add(struct bp_table *t, struct machine *m, const struct bp *spec, struct bp **out, struct err *e)
{
	struct bp *b = NULL, **grown = realloc(t->v, (t->n + 1) * sizeof(*grown));

	if (!grown)
		return err_nomem(e, "breakpoint");
	t->v = grown;
	int rc = bp_copy(spec, t->next_id, &b, e);
	if (rc)
		return rc;
	rc = plant(m, b, e);
	if (rc) {
		bp_free(b);
		return rc;
	}
	t->next_id++;
	t->v[t->n++] = b; /* ids only grow, so the table stays sorted */
	if (out)
		*out = b;
	return 0;
}

int bp_delete(struct bp_table *t, struct machine *m, int id, struct err *e)
{
	size_t i = bp_index(t, id);

	if (i == t->n)
		return no_such_bp(e, t, id);
	int rc = unplant(m, t->v[i], e);
	if (rc)
		return rc;
	bp_free(t->v[i]);
	t->n--;
	memmove(&t->v[i], &t->v[i + 1], (t->n - i) * sizeof(t->v[0]));
	return 0;
}

int bp_enable(struct bp_table *t, struct machine *m, int id, bool on, struct err *e)
{
	struct bp *b = bp_find(t, id);

	if (!b)
		return no_such_bp(e, t, id);
	if (b->enabled == on)
		return 0;
	int rc = on ? plant(m, b, e) : unplant(m, b, e);
	if (!rc)
		b->enabled = on;
	return rc;
}

int bp_replant(struct bp_table *t, struct machine *m, struct err *e)
{
	for (size_t i = 0; i < t->n; i++) {
		if (!t->v[i]->enabled)
			continue;
		int rc = plant(m, t->v[i], e);
		if (rc) {
			err_prefix(e, "breakpoint %d: ", t->v[i]->id);
			return rc;
		}
	}
	return 0;
}

int bp_set_condition(struct bp *b, const char *text, struct err *e)
{
	return copy_text(&b->condition, text, e);
}

int bp_set_commands(struct bp *b, const char *script, struct err *e)
{
	return copy_text(&b->commands, script, e);
}
