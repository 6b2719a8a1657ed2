/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Looking stop points up. What is done with them is in point.c.
 */
#include "core/stop/point_impl.h"

const char *point_kind_name(enum point_kind k)
{
	static const char *const names[] = {"breakpoint", "hw-breakpoint", "watch", "rwatch", "awatch", "catch"};

	return names[k];
}

void point_table_init(struct point_table *t)
{
	*t = (struct point_table){.next_id = 1};
}

void point_free(struct stop_point *b)
{
	if (!b)
		return;
	free(b->condition);
	free(b->commands);
	free(b);
}

void point_table_deinit(struct point_table *t)
{
	for (size_t i = 0; i < t->n; i++)
		point_free(t->v[i]);
	free(t->v);
	point_table_init(t);
}

size_t point_index(const struct point_table *t, int id)
{
	size_t i = 0;

	while (i < t->n && t->v[i]->id != id)
		i++;
	return i;
}

struct stop_point *point_find(const struct point_table *t, int id)
{
	size_t i = point_index(t, id);

	return i < t->n ? t->v[i] : NULL;
}

bool points_any_enabled(const struct point_table *t)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->v[i]->enabled)
			return true;
	return false;
}

bool points_any_exec(const struct point_table *t)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->v[i]->enabled && t->v[i]->kind <= POINT_HBREAK)
			return true;
	return t->internal.enabled;
}
