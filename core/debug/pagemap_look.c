/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a map is made of, asked of the machine, all of one moment if the backend's guest can be held still. Each part may
 * fail by itself.
 */
#include "core/debug/pagemap_impl.h"

#include <errno.h>
#include <stdio.h>

/* Keep why a part is not known. Running out of memory is nobody's reason. */
static int lacks(struct map_seen *s, enum map_part part, int rc, const struct err *why, struct err *e)
{
	if (rc == -ENOMEM)
		return err_nomem(e, "map of memory");
	if (rc)
		snprintf(s->why[part], sizeof(s->why[part]), "%.*s", (int)sizeof(s->why[part]) - 1,
			 why->why[0] ? why->why : "the machine does not tell");
	return 0;
}

static int see_slots(struct map_seen *s, struct machine *m, struct err *e)
{
	struct err why = {0};

	return lacks(s, MAP_PART_SLOTS, machine_slot_list(m, &s->slots, &why), &why, e);
}

static int see_pages(struct map_seen *s, struct machine *m, struct err *e)
{
	struct err why = {0};

	return lacks(s, MAP_PART_SPTES, machine_shadow_pages(m, SHADOW_WITH_LEAVES, &s->pages, &why), &why, e);
}

static int see_mmio(struct map_seen *s, struct machine *m, struct err *e)
{
	struct err why = {0};

	return lacks(s, MAP_PART_MMIO, machine_mmio(m, &s->mmio, &why), &why, e);
}

static int see_logs(struct map_seen *s, struct machine *m, struct err *e)
{
	int rc = 0;

	s->log = calloc(s->slots.n + 1, sizeof(*s->log));
	if (!s->log)
		return err_nomem(e, "map of memory");
	for (size_t i = 0; !rc && i < s->slots.n; i++) {
		struct map_log_seen *l = &s->log[s->n_log];
		struct err why = {0};

		if (!(s->slots.v[i].flags & SLOT_LOG_DIRTY) || s->slots.v[i].own)
			continue;
		l->slot = s->slots.v[i].id;
		rc = machine_slot_dirty(m, l->slot, false, &l->bits, &l->n_words, &why);
		s->n_log += !rc;
		rc = lacks(s, MAP_PART_LOG, rc, &why, e);
	}
	return rc;
}

struct armed_seen {
	struct map_range *v;
	size_t n, cap;
	bool failed;
};

static void add_armed(void *arg, uint64_t gpa, uint64_t len)
{
	struct armed_seen *a = arg;

	if (a->n == a->cap) {
		size_t cap = a->cap ? a->cap * 2 : 16;
		struct map_range *v = realloc(a->v, cap * sizeof(*v));

		a->failed |= !v;
		if (!v)
			return;
		a->v = v;
		a->cap = cap;
	}
	a->v[a->n++] = (struct map_range){gpa, len};
}

static int see_armed(struct map_seen *s, struct machine *m, struct err *e)
{
	struct armed_seen a = {.n = 0};

	machine_armed(m, add_armed, &a);
	s->armed = a.v;
	s->n_armed = a.n;
	return a.failed ? err_nomem(e, "map of memory") : 0;
}

static int see(struct map_seen *s, struct machine *m, struct err *e)
{
	int (*const part[])(struct map_seen *, struct machine *, struct err *) = {see_slots, see_pages, see_mmio, see_logs,
										  see_armed};
	_cleanup_hold_ struct machine_hold hold = {NULL};
	int rc = 0;

	s->live = machine_running(m);
	if (machine_look_begin(m, &hold, NULL)) /* then each of its looks says so itself */
		hold.m = NULL;
	s->board = machine_board(m);
	s->limit = machine_slots(m)->limits.gpa_limit;
	for (size_t i = 0; !rc && i < ARRAY_LEN(part); i++)
		rc = part[i](s, m, e);
	return rc;
}

static void seen_free(struct map_seen *s)
{
	slot_info_list_free(&s->slots);
	shadow_page_list_free(&s->pages);
	mmio_info_list_free(&s->mmio);
	for (size_t i = 0; i < s->n_log; i++)
		free(s->log[i].bits);
	free(s->log);
	free(s->armed);
}

int pagemap_look(struct pagemap **map, struct machine *m, struct err *e)
{
	struct map_seen seen = {.limit = 0};
	int rc = see(&seen, m, e);

	if (!rc)
		rc = pagemap_make(map, &seen, e);
	seen_free(&seen);
	return rc;
}
