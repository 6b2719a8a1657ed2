/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The log of switches: which vCPU ran from which position on. replay.c follows it.
 */
#include "core/soft/replay.h"

#include <string.h>

#include "core/soft/soft_impl.h"

void soft_log_switch(struct soft_machine *m, unsigned vcpu, bool wake)
{
	struct soft_log *l = &m->log;
	struct soft_switch *last = l->n ? &l->v[l->n - 1] : NULL;

	if (last && last->vcpu == vcpu && !wake)
		return;
	if (last && last->position == m->sched.position) {
		last->vcpu = vcpu;
		last->wake |= wake;
		return;
	}
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		struct soft_switch *grown = realloc(l->v, cap * sizeof(*grown));
		if (!grown) {
			l->failed = true;
			return;
		}
		l->v = grown;
		l->cap = cap;
	}
	l->v[l->n++] = (struct soft_switch){.position = m->sched.position, .vcpu = vcpu, .wake = wake};
}

/* The entry in force at a position: the last one at or before it. The log's first entry if there is none. */
size_t soft_log_at(const struct soft_log *l, uint64_t position)
{
	size_t low = 0, high = l->n;

	while (high - low > 1) {
		size_t mid = low + (high - low) / 2;
		if (l->v[mid].position <= position)
			low = mid;
		else
			high = mid;
	}
	return low;
}

uint64_t soft_log_end(const struct soft_log *l, size_t i)
{
	return i + 1 < l->n ? l->v[i + 1].position : UINT64_MAX;
}

uint64_t soft_position(const struct machine *m)
{
	return soft_of(m)->sched.position;
}

bool soft_position_before(const struct machine *base, unsigned vcpu, uint64_t *position)
{
	const struct soft_log *l = &soft_of(base)->log;

	for (size_t i = l->n; i--;) {
		uint64_t end = soft_log_end(l, i);
		end = end < *position ? end : *position;
		if (l->v[i].vcpu != vcpu || l->v[i].position >= end)
			continue;
		*position = end - 1;
		return true;
	}
	return false;
}

void soft_log_cut(struct machine *base, uint64_t first, uint64_t last)
{
	struct soft_log *l = &soft_of(base)->log;
	size_t from = soft_log_at(l, first);

	while (l->n && l->v[l->n - 1].position > last)
		l->n--;
	if (from >= l->n) {
		l->n = 0;
		return;
	}
	memmove(l->v, l->v + from, (l->n - from) * sizeof(*l->v));
	l->n -= from;
}

void soft_mark(struct machine *base, uint64_t position, void (*fn)(void *ctx), void *ctx)
{
	struct soft_log *l = &soft_of(base)->log;

	l->mark = position;
	l->fn = fn;
	l->ctx = ctx;
}

void soft_log_free(struct soft_machine *m)
{
	free(m->log.v);
}
