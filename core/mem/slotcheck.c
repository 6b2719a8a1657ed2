/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * May this slot be made, changed, deleted? The rules are those of KVM_SET_USER_MEMORY_REGION, asked in the order in which
 * the kernel asks them, so that a request that breaks two gets the errno that the kernel would give. docs/SLOTS.md has
 * them in words. Names of flags and visibilities are here too.
 */
#include "core/mem/memslot.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

typedef unsigned long long ull;

static int bad_flags(const struct slot_spec *to, struct err *e)
{
	uint32_t unknown = to->flags & ~(uint32_t)SLOT_FLAGS_ALL;

	if (unknown)
		return err_set(e, -EINVAL, "slot %u" WHY "flags %#x: %#x is no flag" TRY "readonly, log-dirty or smram",
			       to->id, to->flags, unknown);
	if (to->vis > SLOT_VIS_BOTH)
		return err_set(e, -EINVAL, "slot %u" WHY "visibility %d is none" TRY "smm, non-smm or both", to->id,
			       to->vis);
	if ((to->flags & SLOT_SMRAM) && to->vis == SLOT_VIS_NONSMM)
		return err_set(e, -EINVAL,
			       "slot %u" WHY
			       "smram says visible inside SMM only, yet visible outside SMM only is asked for" TRY
			       "one of the two",
			       to->id);
	return 0;
}

static int bad_alignment(const struct slot_spec *to, struct err *e)
{
	const struct {
		const char *name;
		uint64_t value;
	} part[] = {{"size", to->size}, {"gpa", to->gpa}, {"hva", to->hva}};

	for (size_t i = 0; i < ARRAY_LEN(part); i++)
		if (part[i].value & PAGE_OFFSET_MASK)
			return err_set(e, -EINVAL, "slot %u" WHY "%s %#llx is not a multiple of 4 KiB" TRY "%#llx", to->id,
				       part[i].name, (ull)part[i].value, (ull)((part[i].value + 0xfff) & ~PAGE_OFFSET_MASK));
	return 0;
}

static int bad_hva(const struct slot_limits *l, const struct slot_spec *to, struct err *e)
{
	if (!to->hva || (to->hva < l->hva_limit && to->size <= l->hva_limit - to->hva))
		return 0;
	return err_set_at(e, -EINVAL, ERR_SPACE_HVA, to->hva,
			  "slot %u" WHY "hva %#llx with size %#llx is not user memory, which ends at %#llx" TRY
			  "no hva: the debugger picks one",
			  to->id, (ull)to->hva, (ull)to->size, (ull)l->hva_limit);
}

/* KVM's slot number is the address space (bits 31:16) and the id (15:0). */
static int bad_id(const struct slot_limits *l, const struct slot_spec *to, struct err *e)
{
	unsigned as = to->id >> 16;

	if (as >= l->address_spaces)
		return err_set(e, -EINVAL,
			       "slot %#x" WHY "address space %u is not there, this host has %u" TRY "slot %u, -visible smm",
			       to->id, as, l->address_spaces, to->id & 0xffff);
	if (as)
		return err_set(e, -EINVAL,
			       "slot %#x" WHY "address spaces are chosen by visibility here" TRY "slot %u, -visible smm",
			       to->id, to->id & 0xffff);
	if (to->id >= l->max_slots)
		return err_set(e, -EINVAL, "slot %u" WHY "ids end at %u on this host" TRY "a smaller id", to->id,
			       l->max_slots - 1);
	return 0;
}

static int bad_range(const struct slot_limits *l, const struct slot_spec *to, struct err *e)
{
	if (to->gpa + to->size < to->gpa)
		return err_set_at(e, -EINVAL, ERR_SPACE_GPA, to->gpa,
				  "slot %u" WHY "gpa %#llx and size %#llx run past 2^64" TRY "a lower gpa", to->id,
				  (ull)to->gpa, (ull)to->size);
	if (to->size >> PAGE_SHIFT > l->max_pages)
		return err_set(e, -EINVAL,
			       "slot %u" WHY "%#llx pages are too many for one slot, which has at most %#llx" TRY
			       "several slots",
			       to->id, (ull)(to->size >> PAGE_SHIFT), (ull)l->max_pages);
	return 0;
}

bool slot_flip_needed(const struct slot *old, uint32_t new_flags)
{
	return ((old->flags ^ new_flags) & SLOT_READONLY) != 0;
}

/* What changes on a slot that is there; it may not change size, host memory or READONLY. */
static int classify_existing(const struct slot *old, struct slot_change *c, struct err *e)
{
	const struct slot_spec *to = &c->to;

	if (to->hva && to->hva != old->hva)
		return err_set_at(e, -EINVAL, ERR_SPACE_HVA, to->hva,
				  "slot %u" WHY "it is at hva %#llx and cannot be given another, %#llx" TRY
				  "slot del %u, then slot add",
				  to->id, (ull)old->hva, (ull)to->hva, to->id);
	if (to->size != old->size)
		return err_set(e, -EINVAL,
			       "slot %u" WHY "it is there with size %#llx and cannot become %#llx" TRY
			       "slot del %u, then slot add, or another id",
			       to->id, (ull)old->size, (ull)to->size, to->id);
	if (slot_flip_needed(old, to->flags))
		return err_set(e, -EINVAL,
			       "slot %u" WHY "readonly cannot be %s on a slot that is there" TRY
			       "slot flags %u %creadonly, which deletes and creates it",
			       to->id, to->flags & SLOT_READONLY ? "set" : "cleared", to->id,
			       to->flags & SLOT_READONLY ? '+' : '-');
	if (to->gpa != old->gpa)
		c->kind = SLOT_MOVE;
	else
		c->kind = to->flags != old->flags || to->vis != old->vis ? SLOT_FLAGS : SLOT_NOTHING;
	return 0;
}

/* The slot that takes part of [gpa, gpa+size) in one view, other than id; the lowest one. */
static const struct slot *overlap_in(const struct slot_view *v, const struct slot_spec *to)
{
	size_t lo = 0, hi = v->n;

	while (lo < hi) { /* the first whose base is not past the end */
		size_t mid = lo + (hi - lo) / 2;

		if (v->by_gfn[mid]->gpa <= to->gpa + (to->size - 1))
			hi = mid;
		else
			lo = mid + 1;
	}
	/* Slots of one view do not overlap, so only this one and, where this one is the slot itself, the next can meet it.
	 */
	for (size_t i = lo; i < v->n && i < lo + 2; i++) {
		const struct slot *s = v->by_gfn[i];

		if (s->id != to->id && ranges_overlap(s->gpa, s->size, to->gpa, to->size))
			return s;
	}
	return NULL;
}

static int bad_overlap(const struct slot_table *t, const struct slot_spec *to, struct err *e)
{
	const struct slot *s = NULL;

	if (to->vis & SLOT_VIS_NONSMM)
		s = overlap_in(&t->view[0], to);
	if (!s && (to->vis & SLOT_VIS_SMM))
		s = overlap_in(&t->view[1], to);
	if (!s)
		return 0;
	return err_set_at(e, -EEXIST, ERR_SPACE_GPA, s->gpa > to->gpa ? s->gpa : to->gpa,
			  "slot %u" WHY "%#llx-%#llx overlaps slot %u, %#llx-%#llx, visible %s" TRY
			  "a gpa that is free, or slot del %u",
			  to->id, (ull)to->gpa, (ull)(to->gpa + to->size - 1), s->id, (ull)s->gpa,
			  (ull)(s->gpa + s->size - 1), slot_vis_name(s->vis), s->id);
}

/* Fill in what the request leaves open: visibility, and the flag that says the same. */
static void normalise(struct slot_spec *to, const struct slot *old)
{
	if (to->flags & SLOT_SMRAM)
		to->vis = SLOT_VIS_SMM;
	else if (!to->vis)
		to->vis = old ? old->vis : SLOT_VIS_BOTH;
	if (to->vis == SLOT_VIS_SMM)
		to->flags |= SLOT_SMRAM;
}

static int check_delete(const struct slot *old, const struct slot_spec *to, struct slot_change *c, struct err *e)
{
	if (!old)
		return err_set(e, -EINVAL, "delete slot %u" WHY "there is no slot %u" TRY "info slots", to->id, to->id);
	c->kind = SLOT_DELETE;
	return 0;
}

static int check_gpa_limit(const struct slot_limits *l, const struct slot_spec *to, struct err *e)
{
	if (to->gpa + (to->size - 1) < l->gpa_limit)
		return 0;
	return err_set_at(e, -EINVAL, ERR_SPACE_GPA, to->gpa,
			  "slot %u" WHY "%#llx-%#llx lies past the end of physical addresses, %#llx" TRY "a lower gpa",
			  to->id, (ull)to->gpa, (ull)(to->gpa + to->size - 1), (ull)l->gpa_limit);
}

int slot_check(const struct slot_table *t, const struct slot_spec *to, struct slot_change *out, struct err *e)
{
	struct slot_change c = {.kind = SLOT_CREATE, .to = *to};
	int rc = bad_flags(to, e);

	if (!rc)
		rc = bad_alignment(to, e);
	if (!rc)
		rc = bad_hva(&t->limits, to, e);
	if (!rc)
		rc = bad_id(&t->limits, to, e);
	if (!rc)
		rc = bad_range(&t->limits, to, e);
	if (rc)
		return rc;
	c.old = slot_by_id(t, to->id);
	normalise(&c.to, c.old);
	if (!to->size)
		rc = check_delete(c.old, to, &c, e);
	else if (c.old)
		rc = classify_existing(c.old, &c, e);
	/* A wider visibility is a create in the other address space. */
	if (!rc && to->size && c.kind != SLOT_NOTHING)
		rc = bad_overlap(t, &c.to, e);
	if (!rc && (c.kind == SLOT_CREATE || c.kind == SLOT_MOVE))
		rc = check_gpa_limit(&t->limits, to, e);
	if (!rc)
		*out = c;
	return rc;
}

const char *slot_vis_name(enum slot_vis v)
{
	switch (v) {
	case SLOT_VIS_BOTH:
		return "both";
	case SLOT_VIS_NONSMM:
		return "non-smm";
	case SLOT_VIS_SMM:
		return "smm";
	}
	return "none";
}

int slot_vis_parse(const char *s, enum slot_vis *out, struct err *e)
{
	static const enum slot_vis all[] = {SLOT_VIS_BOTH, SLOT_VIS_NONSMM, SLOT_VIS_SMM};

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (!strcasecmp(s, slot_vis_name(all[i]))) {
			*out = all[i];
			return 0;
		}
	return err_set(e, -EINVAL, "visibility '%.32s'" WHY "there is none of that name" TRY "smm, non-smm or both", s);
}

int slot_flag_parse(const char *s, uint32_t *out, struct err *e)
{
	static const struct {
		const char *name;
		uint32_t flag;
	} all[] = {
	    {"readonly", SLOT_READONLY}, {"log-dirty", SLOT_LOG_DIRTY}, {"log", SLOT_LOG_DIRTY}, {"smram", SLOT_SMRAM}};

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (!strcasecmp(s, all[i].name)) {
			*out = all[i].flag;
			return 0;
		}
	return err_set(e, -EINVAL, "slot flag '%.32s'" WHY "there is none of that name" TRY "readonly, log-dirty or smram",
		       s);
}
