/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The machine's slots: a request is checked by the rules, carried out by the backend, and then recorded in the table;
 * a backend that fails leaves the record as it was. READONLY cannot change on a slot that is there, so its flip is a
 * delete and a create over the same memory.
 */
#include "core/machine/check.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct slot_table *machine_slots(struct machine *m)
{
	return &m->slots;
}

void slot_step_add(struct slot_steps *steps, const char *fmt, ...)
{
	va_list ap;

	if (!steps || steps->n == SLOT_STEPS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(steps->step[steps->n++], sizeof(steps->step[0]), fmt, ap);
	va_end(ap);
}

static struct slot_spec spec_of(const struct slot *s)
{
	return (struct slot_spec){.id = s->id,
				  .vis = s->vis,
				  .gpa = s->gpa,
				  .size = s->size,
				  .flags = s->flags,
				  .huge = s->huge,
				  .guest_memfd = s->guest_memfd,
				  .own = s->own};
}

/* Ask the backend, with the table marked as being updated. */
static int change_by_backend(struct machine *m, struct slot *s, const struct slot_change *c, struct slot_steps *steps,
			     struct err *e)
{
	static const unsigned bumps[] = {
	    [SLOT_CREATE] = 1, [SLOT_DELETE] = 2, [SLOT_MOVE] = 2, [SLOT_FLAGS] = 1, [SLOT_NOTHING] = 0};
	int rc;

	m->changes++;
	slot_table_begin(&m->slots);
	s->invalid = c->kind == SLOT_DELETE || c->kind == SLOT_MOVE;
	rc = m->ops->slot_change(m, s, c, steps, e);
	s->invalid = false;
	slot_table_end(&m->slots, rc ? 0 : bumps[c->kind]);
	return rc;
}

static int create_slot(struct machine *m, const struct slot_change *c, struct slot_steps *steps, struct err *e)
{
	struct slot *s = slot_new(&c->to);
	int rc = s ? 0 : err_nomem(e, "slot");

	if (!rc && (s->flags & SLOT_LOG_DIRTY))
		rc = slot_log_start(s, e);
	if (!rc)
		rc = slot_table_insert(&m->slots, s, e);
	if (rc) {
		slot_free(s);
		return rc;
	}
	rc = change_by_backend(m, s, c, steps, e);
	if (rc)
		slot_free(slot_table_remove(&m->slots, s));
	return rc;
}

/* Bitmaps as flags and visibility say: allocate before the change, drop after it. */
static int log_before(struct slot *s, const struct slot_spec *to, struct err *e)
{
	enum slot_vis was = s->vis;
	int rc;

	if (!(to->flags & SLOT_LOG_DIRTY))
		return 0;
	s->vis = was | to->vis;
	rc = slot_log_start(s, e);
	s->vis = was;
	return rc;
}

static void log_after(struct machine *m, struct slot *s)
{
	if (!(s->flags & SLOT_LOG_DIRTY))
		machine_rings_drop(m, s);
	for (int smm = 0; smm < 2; smm++)
		if (!(s->flags & SLOT_LOG_DIRTY) || !slot_visible(s, smm)) {
			free(s->dirty[smm]);
			s->dirty[smm] = NULL;
		}
}

/* What of a slot's flags and visibility is different from before. */
static void note_flags(struct machine *m, const struct slot *s, const struct slot_spec *was)
{
	static const char *const vis[] = {"nobody", "code outside SMM", "SMM only", "both"};

	if (s->own)
		return;
	if ((was->flags ^ s->flags) & SLOT_READONLY)
		machine_slot_note(m, s->id, "became %s", s->flags & SLOT_READONLY ? "READONLY" : "writable");
	if ((was->flags ^ s->flags) & SLOT_LOG_DIRTY)
		machine_slot_note(m, s->id, "%s its dirty log", s->flags & SLOT_LOG_DIRTY ? "began" : "ended");
	if (was->vis != s->vis)
		machine_slot_note(m, s->id, "became visible to %s, before to %s", vis[s->vis & 3], vis[was->vis & 3]);
}

static int update_slot(struct machine *m, const struct slot_change *c, struct slot_steps *steps, struct err *e)
{
	struct slot *s = c->old;
	int rc = log_before(s, &c->to, e);

	if (!rc)
		rc = change_by_backend(m, s, c, steps, e);
	if (!rc) {
		s->gpa = c->to.gpa;
		s->flags = c->to.flags;
		s->vis = c->to.vis;
		slot_table_resort(&m->slots);
	}
	log_after(m, s);
	return rc;
}

static int update_and_note(struct machine *m, const struct slot_change *c, struct slot_steps *steps, struct err *e)
{
	const struct slot_spec was = spec_of(c->old);
	int rc = update_slot(m, c, steps, e);

	if (!rc && !c->old->own && was.gpa != c->old->gpa)
		machine_slot_note(m, c->old->id, "was moved from gpa 0x%llx to 0x%llx", (unsigned long long)was.gpa,
				  (unsigned long long)c->old->gpa);
	if (!rc)
		note_flags(m, c->old, &was);
	return rc;
}

static int create_and_note(struct machine *m, const struct slot_change *c, struct slot_steps *steps, struct err *e)
{
	int rc = create_slot(m, c, steps, e);

	if (!rc && !c->to.own)
		machine_slot_note(m, c->to.id, "was added at gpa 0x%llx, 0x%llx bytes", (unsigned long long)c->to.gpa,
				  (unsigned long long)c->to.size);
	return rc;
}

static int apply_change(struct machine *m, const struct slot_change *c, struct slot_steps *steps, struct err *e)
{
	switch (c->kind) {
	case SLOT_CREATE:
		return create_and_note(m, c, steps, e);
	case SLOT_MOVE:
	case SLOT_FLAGS:
		return update_and_note(m, c, steps, e);
	case SLOT_DELETE:
	case SLOT_NOTHING:
		break;
	}
	return 0;
}

/* Somewhere to write steps if the caller wants none; steps start empty. */
static struct slot_steps *steps_or(struct slot_steps *steps, struct slot_steps *own)
{
	struct slot_steps *s = steps ? steps : own;

	memset(s, 0, sizeof(*s));
	return s;
}

/* Rules and backends say "slot 5"; people typed "slot add 5". Returns rc. */
static int name_command(int rc, const char *verb, uint32_t id, struct err *e)
{
	if (rc && e && !strncmp(e->what, "slot", 4))
		snprintf(e->what, sizeof(e->what), "slot %s %u", verb, id);
	return rc;
}

/* KVM takes size 0 for a deletion; whoever types it does not mean that. */
static int check_add(const struct machine *m, const struct slot_spec *spec, struct slot_change *c, struct err *e)
{
	if (!spec->size && slot_by_id(&m->slots, spec->id))
		return err_set(e, -EINVAL, "slot %u" WHY "size 0 is how KVM deletes a slot" TRY "slot del %u", spec->id,
			       spec->id);
	if (!spec->size)
		return err_set(e, -EINVAL,
			       "slot %u" WHY "its size is 0, and the smallest slot is one page of 4 KiB" TRY "size 0x1000",
			       spec->id);
	if (spec->huge && spec->file)
		return err_set(e, -EINVAL,
			       "slot %u" WHY "-huge is for fresh memory, and file %.300s has pages as they are" TRY
			       "one of -huge and -file",
			       spec->id, spec->file);
	if (spec->guest_memfd && (spec->huge || spec->file))
		return err_set(e, -EINVAL,
			       "slot %u" WHY "-guest-memfd is memory of KVM's own, in pages of 4 KiB: no %s goes with it" TRY
			       "one of -guest-memfd and %s",
			       spec->id, spec->huge ? "-huge" : "file", spec->huge ? "-huge" : "-file");
	return slot_check(&m->slots, spec, c, e);
}

int machine_slot_add(struct machine *m, const struct slot_spec *spec, struct slot_steps *steps, struct err *e)
{
	struct slot_steps own;
	struct slot_change c;
	int rc = machine_check(m, CALL_slot_add, NULL, e);

	if (!rc)
		rc = check_add(m, spec, &c, e);
	if (!rc)
		rc = apply_change(m, &c, steps_or(steps, &own), e);
	return name_command(rc, "add", spec->id, e);
}

static int find_slot(struct machine *m, uint32_t id, const char *what, int code, struct slot **out, struct err *e)
{
	*out = slot_by_id(&m->slots, id);
	return *out ? 0 : slot_missing(&m->slots, code, what, id, e);
}

int machine_slot_delete(struct machine *m, uint32_t id, struct slot_steps *steps, struct err *e)
{
	struct slot_change c = {.kind = SLOT_DELETE};
	struct slot_steps own;
	int rc = machine_check(m, CALL_slot_delete, NULL, e);

	if (!rc)
		rc = find_slot(m, id, "slot del", -EINVAL, &c.old, e);
	if (rc)
		return rc;
	c.to = spec_of(c.old);
	c.to.size = 0;
	rc = change_by_backend(m, c.old, &c, steps_or(steps, &own), e);
	if (rc)
		return name_command(rc, "del", id, e);
	if (!c.old->own)
		machine_slot_note(m, id, "was deleted (gpa 0x%llx, 0x%llx bytes)", (unsigned long long)c.old->gpa,
				  (unsigned long long)c.old->size);
	slot_table_remove(&m->slots, c.old);
	machine_rings_drop(m, c.old);
	m->ops->slot_release(m, c.old);
	slot_free(c.old);
	return 0;
}

int machine_slot_move(struct machine *m, uint32_t id, uint64_t gpa, struct slot_steps *steps, struct err *e)
{
	struct slot_steps own;
	struct slot_change c;
	struct slot_spec to;
	struct slot *s;
	int rc = machine_check(m, CALL_slot_move, NULL, e);

	if (!rc)
		rc = find_slot(m, id, "slot move", -EINVAL, &s, e);
	if (rc)
		return rc;
	to = spec_of(s);
	to.gpa = gpa;
	rc = slot_check(&m->slots, &to, &c, e);
	if (!rc)
		rc = apply_change(m, &c, steps_or(steps, &own), e);
	return name_command(rc, "move", id, e);
}

/* The second half of a flip failed: the slot comes back as it was, or is gone and the error says so. */
static void recreate_flipped(struct machine *m, struct slot *s, struct slot_steps *steps, struct err *e)
{
	struct slot_change as_it_was = {.kind = SLOT_CREATE, .to = spec_of(s)};
	struct err refused = {0};
	int rc = change_by_backend(m, s, &as_it_was, steps, &refused);
	size_t n = e ? strlen(e->why) : 0;

	if (e && !rc)
		snprintf(e->why + n, sizeof(e->why) - n, ", and slot %u was made again as it was", s->id);
	if (!rc)
		return;
	if (e) {
		snprintf(e->why + n, sizeof(e->why) - n,
			 ", nor can slot %u be created as it was (%.150s), so that it is deleted now and its memory gone",
			 s->id, refused.why);
		snprintf(e->next, sizeof(e->next), "slot add %u 0x%llx %#llx%s%s%s -visible %s", s->id,
			 (unsigned long long)s->gpa, (unsigned long long)s->size,
			 s->flags & SLOT_READONLY ? " -readonly" : "", s->flags & SLOT_LOG_DIRTY ? " -log" : "",
			 s->file_backed ? " -file FILE" : "", slot_vis_name(s->vis));
	}
	slot_table_remove(&m->slots, s);
	m->ops->slot_release(m, s);
	slot_free(s);
}

/* Delete and create over the same memory; to may change visibility and logging as well. */
static int flip_readonly(struct machine *m, struct slot *s, const struct slot_spec *to, struct slot_steps *steps,
			 struct err *e)
{
	struct slot_change del = {.kind = SLOT_DELETE, .old = s, .to = spec_of(s)};
	struct slot_change add = {.kind = SLOT_CREATE, .to = *to};
	struct slot_spec was = spec_of(s);
	int rc = log_before(s, to, e);

	/* The deletion takes the backend's own dirty log with it. */
	if (!rc && (s->flags & to->flags & SLOT_LOG_DIRTY))
		rc = m->ops->slot_dirty(m, s, false, e);
	del.to.size = 0;
	if (!rc)
		rc = change_by_backend(m, s, &del, steps, e);
	if (rc) {
		log_after(m, s);
		return rc;
	}
	s->flags = to->flags;
	s->vis = to->vis;
	rc = change_by_backend(m, s, &add, steps, e);
	if (rc) {
		s->flags = was.flags;
		s->vis = was.vis;
		log_after(m, s);
		recreate_flipped(m, s, steps, e);
		return rc;
	}
	slot_table_resort(&m->slots);
	log_after(m, s);
	note_flags(m, s, &was);
	return 0;
}

static struct slot_spec spec_with_flags(const struct slot *s, uint32_t set, uint32_t clear, enum slot_vis vis)
{
	struct slot_spec to = spec_of(s);

	to.flags = (s->flags & ~clear) | set;
	if (vis)
		to.vis = vis;
	else if (set & SLOT_SMRAM)
		to.vis = SLOT_VIS_SMM;
	else if (clear & s->flags & SLOT_SMRAM)
		to.vis = SLOT_VIS_BOTH;
	if (vis && vis != SLOT_VIS_SMM && !(set & SLOT_SMRAM))
		to.flags &= ~(uint32_t)SLOT_SMRAM;
	return to;
}

int machine_slot_flags(struct machine *m, uint32_t id, uint32_t set, uint32_t clear, enum slot_vis vis,
		       struct slot_steps *steps, struct err *e)
{
	struct slot_steps own;
	struct slot_change c;
	struct slot_spec to, same;
	struct slot *s;
	int rc = machine_check(m, CALL_slot_flags, NULL, e);

	if (!rc)
		rc = find_slot(m, id, "slot flags", -EINVAL, &s, e);
	if (!rc && (set & clear))
		rc = err_set(e, -EINVAL, "slot flags %u" WHY "%#x is both set and cleared" TRY "one of the two", id,
			     set & clear);
	if (rc)
		return rc;
	to = spec_with_flags(s, set, clear, vis);
	/* Everything but the flip by the ordinary rules; they also fill in what to leaves open. */
	same = to;
	same.flags = (to.flags & ~(uint32_t)SLOT_READONLY) | (s->flags & SLOT_READONLY);
	/* Of a guest_memfd nothing changes, a deletion and a creation with other flags neither. */
	rc = slot_check(&m->slots, s->guest_memfd ? &to : &same, &c, e);
	if (rc)
		return name_command(rc, "flags", id, e);
	if (!slot_flip_needed(s, to.flags))
		return name_command(apply_change(m, &c, steps_or(steps, &own), e), "flags", id, e);
	c.to.flags ^= SLOT_READONLY;
	return name_command(flip_readonly(m, s, &c.to, steps_or(steps, &own), e), "flags", id, e);
}

static int copy_views(const struct slot *s, size_t n, uint64_t *copy[2], struct err *e)
{
	for (int smm = 0; smm < 2; smm++) {
		if (!s->dirty[smm])
			continue;
		copy[smm] = calloc(n, sizeof(uint64_t));
		if (!copy[smm])
			return err_set(e, -ENOMEM,
				       "slot dirty %u" WHY "no memory for a copy of its bitmap, %zu bytes" TRY
				       "it again, with memory free on this host",
				       s->id, n * sizeof(uint64_t));
	}
	return 0;
}

static int find_logged(struct machine *m, uint32_t id, struct slot **out, struct err *e)
{
	int rc = find_slot(m, id, "slot dirty", -ENOENT, out, e);

	if (rc || (*out)->dirty[0] || (*out)->dirty[1])
		return rc;
	return err_set(e, -ENOENT,
		       "slot dirty %u" WHY "it has no dirty log, as log-dirty is not among its flags (%#x)" TRY
		       "slot flags %u +log-dirty",
		       id, (*out)->flags, id);
}

int machine_slot_dirty_ring(struct machine *m, uint32_t id, struct dirty_entry_list *out, struct err *e)
{
	struct slot *s;
	int rc = machine_check(m, CALL_slot_dirty_ring, NULL, e);

	if (!rc)
		rc = find_logged(m, id, &s, e);
	if (!rc && !m->rings.entries)
		rc = err_set(e, -ENOTSUP,
			     "slot dirty %u -ring" WHY
			     "this VM logs in bitmaps, and has no rings: those are made with a VM's vCPUs" TRY
			     "load IMAGE --dirty-ring 4096, which makes a VM with them, or slot dirty %u",
			     id, id);
	if (!rc)
		rc = m->ops->slot_dirty(m, s, false, e);
	return rc ? rc : machine_ring_list(m, s, out, e);
}

int machine_slot_dirty_views(struct machine *m, uint32_t id, bool clear, uint64_t *bits[2], size_t *n_words, struct err *e)
{
	uint64_t *copy[2] = {NULL, NULL};
	struct slot *s;
	size_t n = 0;
	int rc = machine_check(m, clear ? CALL_slot_dirty_clear : CALL_slot_dirty_views, NULL, e);

	if (!rc)
		rc = find_logged(m, id, &s, e);
	if (rc)
		return rc;
	n = (size_t)((s->size / PAGE_SIZE_4K + 63) / 64);
	rc = copy_views(s, n, copy, e);
	if (!rc)
		rc = m->ops->slot_dirty(m, s, clear, e);
	if (rc) {
		free(copy[0]);
		free(copy[1]);
		return rc;
	}
	for (int smm = 0; smm < 2; smm++) {
		bits[smm] = copy[smm];
		if (!copy[smm])
			continue;
		memcpy(copy[smm], s->dirty[smm], n * sizeof(uint64_t));
		if (clear)
			memset(s->dirty[smm], 0, n * sizeof(uint64_t));
	}
	if (clear)
		machine_rings_drop(m, s);
	*n_words = n;
	return 0;
}

int machine_slot_dirty(struct machine *m, uint32_t id, bool clear, uint64_t **bits, size_t *n_words, struct err *e)
{
	uint64_t *view[2];
	size_t n;
	int rc = machine_slot_dirty_views(m, id, clear, view, &n, e);

	if (rc)
		return rc;
	for (size_t i = 0; view[0] && view[1] && i < n; i++)
		view[0][i] |= view[1][i];
	*bits = view[0] ? view[0] : view[1];
	*n_words = n;
	if (view[0])
		free(view[1]);
	return 0;
}

/* Whole pages of the slot. */
static int check_prefault(const struct slot *s, uint64_t gpa, uint64_t size, struct err *e)
{
	uint64_t end = s->gpa + s->size;

	if ((gpa | size) & PAGE_OFFSET_MASK || !size)
		return err_set(e, -EINVAL,
			       "slot prefault %u" WHY "gpa 0x%llx, size %#llx are no whole pages of 4 KiB" TRY
			       "0x%llx %#llx",
			       s->id, (unsigned long long)gpa, (unsigned long long)size, (unsigned long long)s->gpa,
			       (unsigned long long)end - 1);
	if (gpa >= s->gpa && gpa < end && size <= end - gpa)
		return 0;
	return err_set_at(e, -EINVAL, ERR_SPACE_GPA, gpa,
			  "slot prefault %u" WHY "gpa 0x%llx to %#llx is not all in it: it has 0x%llx to %#llx" TRY
			  "slot prefault %u",
			  s->id, (unsigned long long)gpa, (unsigned long long)(gpa + size - 1), (unsigned long long)s->gpa,
			  (unsigned long long)end - 1, s->id);
}

int machine_slot_prefault(struct machine *m, unsigned vcpu, uint32_t id, uint64_t gpa, uint64_t size,
			  int (*poll)(void *unused), struct prefault *out, struct err *e)
{
	struct prefault done = {0};
	struct slot *s;
	int rc = machine_check_vcpu(m, vcpu, "slot prefault", e);

	if (!rc)
		rc = machine_check(m, CALL_slot_prefault, NULL, e);
	if (!rc)
		rc = find_slot(m, id, "slot prefault", -ENOENT, &s, e);
	if (!rc)
		rc = check_prefault(s, gpa, size, e);
	if (!rc)
		rc = m->ops->slot_prefault(m, vcpu, s, gpa, size, poll, &done, e);
	if (!rc)
		*out = done;
	return rc;
}

int machine_slot_info(struct machine *m, uint32_t id, struct slot_info *out, struct err *e)
{
	_cleanup_hold_ struct machine_hold hold = {NULL};
	struct slot *s;
	int rc = machine_begin(m, CALL_slot_info, &hold, e);

	if (!rc)
		rc = find_slot(m, id, "slot", -ENOENT, &s, e);
	if (rc)
		return rc;
	*out = slot_info_of(s, m->slots.generation, m->ops->slot_source);
	if (m->ops->slot_generation)
		m->ops->slot_generation(m, s, &out->generation, &out->as);
	return 0;
}

int machine_slot_list(struct machine *m, struct slot_info_list *out, struct err *e)
{
	_cleanup_hold_ struct machine_hold hold = {NULL};
	const struct slot_table *t = &m->slots;
	struct slot_info *v;
	int rc = machine_begin(m, CALL_slot_list, &hold, e);

	if (rc)
		return rc;
	if (m->ops->slot_list)
		return m->ops->slot_list(m, out, e);
	v = calloc(t->n ? t->n : 1, sizeof(*v));
	if (!v)
		return err_nomem(e, "list slots");
	for (size_t i = 0; i < t->n; i++)
		v[i] = slot_info_of(t->by_id[i], t->generation, m->ops->slot_source);
	out->v = v;
	out->n = t->n;
	return 0;
}
