/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The machine's wrapper for checkpoints and going back: putting memory and dirty logs back, hidden state, positions.
 */
#include "core/machine/check.h"

#include <errno.h>
#include <string.h>

/* Pages this close are told to the backend as one stretch. */
#define STRETCH_GAP 64

uint64_t machine_changes(const struct machine *m)
{
	return m->changes;
}

uint64_t machine_resets(const struct machine *m)
{
	return m->resets;
}

uint64_t machine_runs(const struct machine *m)
{
	return m->runs;
}

static int slot_for(struct machine *m, uint32_t id, struct slot **out, struct err *e)
{
	*out = slot_by_id(&m->slots, id);
	if (*out)
		return 0;
	return err_set(e, -ENOENT, "restore slot %u" WHY "it is not there" TRY "info slots", id);
}

static void put_page(struct slot *s, const struct machine_page *p)
{
	uint8_t *to = slot_in_place(s, s->gpa + p->index * PAGE_SIZE_4K);

	if (p->bytes)
		memcpy(to, p->bytes, PAGE_SIZE_4K);
	else
		memset(to, 0, PAGE_SIZE_4K);
}

int machine_write_pages(struct machine *m, uint32_t slot, const struct machine_page *v, size_t n, struct err *e)
{
	struct slot *s;
	int rc = machine_check(m, CALL_write_pages, NULL, e);

	if (!rc)
		rc = slot_for(m, slot, &s, e);
	if (!rc && !slot_in_place(s, s->gpa))
		rc = err_set(e, -EROFS, "restore memory of slot %u" WHY "%s" TRY "slot del %u", slot,
			     s->file_backed ? "it maps a file, which is not written" : "its memory can only be read", slot);
	if (rc)
		return rc;
	m->changes++;
	for (size_t i = 0, first = 0; !rc && i < n; i++) {
		put_page(s, &v[i]);
		if (i + 1 < n && v[i + 1].index - v[i].index <= STRETCH_GAP)
			continue;
		rc = m->ops->wrote(m, s, s->gpa + v[first].index * PAGE_SIZE_4K,
				   (v[i].index - v[first].index + 1) * PAGE_SIZE_4K, e);
		first = i + 1;
	}
	return rc;
}

int machine_slot_dirty_set(struct machine *m, uint32_t id, uint64_t *const bits[2], struct err *e)
{
	struct slot *s;
	size_t words;
	int rc = machine_check(m, CALL_slot_dirty_set, NULL, e);

	if (!rc)
		rc = slot_for(m, id, &s, e);
	/* What the backend has of its own is fetched, so that it does not come up later. */
	if (!rc && (s->dirty[0] || s->dirty[1]))
		rc = m->ops->slot_dirty(m, s, true, e);
	if (rc)
		return rc;
	words = (size_t)((s->size / PAGE_SIZE_4K + 63) / 64);
	for (int smm = 0; smm < 2; smm++)
		if (s->dirty[smm] && bits[smm])
			memcpy(s->dirty[smm], bits[smm], words * sizeof(uint64_t));
	/* Of another past. */
	machine_rings_drop(m, s);
	return 0;
}

int machine_set_smbase(struct machine *m, unsigned vcpu, uint32_t smbase, struct err *e)
{
	int rc = machine_check_vcpu(m, vcpu, "set SMBASE", e);

	if (!rc)
		rc = machine_check(m, CALL_set_smbase, NULL, e);
	return rc ? rc : m->ops->set_smbase(m, vcpu, smbase, e);
}

int machine_nested_take(struct machine *m, unsigned vcpu, void **state, size_t *len, struct err *e)
{
	_cleanup_hold_ struct machine_hold hold = {NULL};
	int rc = machine_check_vcpu(m, vcpu, "checkpoint", e);

	if (!rc)
		rc = machine_begin(m, CALL_nested_take, &hold, e);
	if (rc)
		return rc;
	*state = NULL;
	*len = 0;
	return m->ops->nested_take ? m->ops->nested_take(m, vcpu, state, len, e) : 0;
}

int machine_nested_leave(struct machine *m, unsigned vcpu, struct err *e)
{
	int rc = machine_check_vcpu(m, vcpu, "restore a nested guest", e);

	if (!rc)
		rc = machine_check(m, CALL_nested_leave, NULL, e);
	if (rc || !m->ops->nested_leave)
		return rc;
	m->changes++;
	return m->ops->nested_leave(m, vcpu, e);
}

int machine_nested_put(struct machine *m, unsigned vcpu, const void *state, size_t len, struct err *e)
{
	int rc = machine_check_vcpu(m, vcpu, "restore a nested guest", e);

	if (!rc)
		rc = machine_check(m, CALL_nested_put, NULL, e);
	if (rc || !m->ops->nested_put || !len)
		return rc;
	m->changes++;
	return m->ops->nested_put(m, vcpu, state, len, e);
}

int machine_hidden(struct machine *m, int (*fn)(void *ctx, void *at, size_t len, bool maps), void *ctx)
{
	return m->ops->hidden ? m->ops->hidden(m, fn, ctx) : 0;
}

bool machine_has_hidden(const struct machine *m)
{
	return m->ops->hidden_restored;
}

void machine_hidden_drop(struct machine *m)
{
	if (m->ops->hidden_drop)
		m->ops->hidden_drop(m);
}

void machine_hidden_restored(struct machine *m, bool maps)
{
	m->changes++;
	if (m->ops->hidden_restored)
		m->ops->hidden_restored(m, maps);
}

/* ---- positions */

uint64_t machine_position(const struct machine *m)
{
	return m->ops->position ? m->ops->position(m) : 0;
}

bool machine_position_before(const struct machine *m, unsigned vcpu, uint64_t *position)
{
	return m->ops->position_before && m->ops->position_before(m, vcpu, position);
}

void machine_log_cut(struct machine *m, uint64_t first, uint64_t last)
{
	if (m->ops->log_cut)
		m->ops->log_cut(m, first, last);
}

void machine_mark(struct machine *m, uint64_t position, void (*fn)(void *ctx), void *ctx)
{
	if (m->ops->mark)
		m->ops->mark(m, position, fn, ctx);
}
