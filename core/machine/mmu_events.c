/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The list of caught MMU events that both backends fill.
 */
#include "core/machine/mmu_events.h"

#include <string.h>

void mmu_events_add(struct mmu_events *l, const struct mmu_event *ev)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 16;
		struct mmu_event *v = cap <= MMU_EVENTS_MAX ? realloc(l->v, cap * sizeof(*v)) : NULL;
		if (!v) {
			l->lost++;
			return;
		}
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n++] = *ev;
}

bool mmu_events_pending(const struct mmu_events *l)
{
	return l->n && !l->reported;
}

void mmu_events_report(struct mmu_events *l)
{
	l->reported = true;
}

void mmu_events_clear(struct mmu_events *l)
{
	l->n = 0;
	l->lost = 0;
	l->reported = false;
}

void mmu_events_resume(struct mmu_events *l)
{
	if (l->reported)
		mmu_events_clear(l);
}

int mmu_events_list(const struct mmu_events *l, struct mmu_event_list *out, struct err *e)
{
	size_t n = l->reported ? l->n : 0;
	struct mmu_event *v = n ? malloc(n * sizeof(*v)) : NULL;

	if (n && !v)
		return err_nomem(e, "catch mmu");
	if (n)
		memcpy(v, l->v, n * sizeof(*v));
	*out = (struct mmu_event_list){.v = v, .n = n, .lost = n ? l->lost : 0};
	return 0;
}

void mmu_events_deinit(struct mmu_events *l)
{
	free(l->v);
	*l = (struct mmu_events){.v = NULL};
}
