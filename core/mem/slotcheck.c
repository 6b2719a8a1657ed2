/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * May this slot be made, changed, deleted? The rules are those of KVM_SET_USER_MEMORY_REGION, asked in the order in which
 * the kernel asks them, so that a request that breaks two gets the errno that the kernel would give. docs/SLOTS.md has
 * them in words. Names of flags and visibilities are here too.
 */
#include "core/mem/memslot.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

typedef unsigned long long ull;

#define IDS_SHOWN 8 /* in an error, of the slots there are */

/* ---- what would do instead, for the last part of an error */

static void free_id(const struct slot_table *t, char *buf, size_t size)
{
	uint32_t id = 0;

	while (id < t->n && t->by_id[id]->id == id)
		id++;
	if (id < t->limits.max_slots)
		snprintf(buf, size, "id %u, which is free", id);
	else
		snprintf(buf, size, "slot del of one that is not needed: all %u are taken", id);
}

/* Where a slot of this size may end at the latest, or how large one may be at all. */
static void fitting_size(const struct slot_limits *l, uint64_t bytes, char *buf, size_t size)
{
	uint64_t most = l->max_pages << PAGE_SHIFT < l->gpa_limit ? l->max_pages << PAGE_SHIFT : l->gpa_limit;

	if (bytes > most)
		snprintf(buf, size, "size %#llx or less", (ull)most);
	else
		snprintf(buf, size, "gpa 0x%llx or lower", (ull)(l->gpa_limit - bytes));
}

/* ---- the rules */

static int bad_flags(const struct slot_spec *to, struct err *e)
{
	uint32_t unknown = to->flags & ~(uint32_t)SLOT_FLAGS_ALL;

	if (unknown)
		return err_set(e, -EINVAL,
			       "slot %u" WHY "flags %#x: %#x is no flag" TRY
			       "readonly (%#x), log-dirty (%#x) or smram (%#x)",
			       to->id, to->flags, unknown, SLOT_READONLY, SLOT_LOG_DIRTY, SLOT_SMRAM);
	if (to->vis > SLOT_VIS_BOTH)
		return err_set(e, -EINVAL, "slot %u" WHY "visibility %d is none" TRY "smm, non-smm or both", to->id,
			       to->vis);
	if ((to->flags & SLOT_SMRAM) && to->vis == SLOT_VIS_NONSMM)
		return err_set(e, -EINVAL,
			       "slot %u" WHY
			       "smram says visible inside SMM only, yet visible outside SMM only is asked for" TRY
			       "one of smram and visible non-smm",
			       to->id);
	if (to->guest_memfd && to->flags & (SLOT_READONLY | SLOT_LOG_DIRTY))
		return err_set(e, -EINVAL,
			       "slot %u" WHY "KVM makes no slot of a guest_memfd %s" TRY
			       "-guest-memfd without it, or ordinary memory",
			       to->id, to->flags & SLOT_READONLY ? "readonly" : "that logs dirty pages");
	return 0;
}

static int unaligned_error(uint32_t id, const char *name, uint64_t value, struct err *e)
{
	uint64_t down = value & ~PAGE_OFFSET_MASK, up = down + PAGE_SIZE_4K;
	char next[64];

	if (!up)
		snprintf(next, sizeof(next), "%s %#llx", name, (ull)down);
	else if (!down && !strcmp(name, "size"))
		snprintf(next, sizeof(next), "%s %#llx", name, (ull)up);
	else
		snprintf(next, sizeof(next), "%s 0x%llx or %#llx", name, (ull)down, (ull)up);
	return err_set(e, -EINVAL, "slot %u" WHY "%s %#llx is not a multiple of 4 KiB (0x1000)" TRY "%s", id, name,
		       (ull)value, next);
}

static int bad_alignment(const struct slot_spec *to, struct err *e)
{
	const struct {
		const char *name;
		uint64_t value;
	} part[] = {{"size", to->size}, {"gpa", to->gpa}, {"hva", to->hva}};

	for (size_t i = 0; i < ARRAY_LEN(part); i++)
		if (part[i].value & PAGE_OFFSET_MASK)
			return unaligned_error(to->id, part[i].name, part[i].value, e);
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
static int bad_id(const struct slot_table *t, const struct slot_spec *to, struct err *e)
{
	const struct slot_limits *l = &t->limits;
	unsigned as = to->id >> 16, id = to->id & 0xffff;
	char next[80];

	if (as >= l->address_spaces)
		return err_set(
		    e, -EINVAL,
		    "slot %u" WHY
		    "address space %u is not there: number %#x names it in bits 31:16, and the last on this host is "
		    "%u" TRY "id %u, with -visible smm if only SMM is to see it",
		    to->id, as, to->id, l->address_spaces - 1, id);
	if (as)
		return err_set(e, -EINVAL,
			       "slot %u" WHY
			       "number %#x names address space %u in bits 31:16, and address spaces are chosen by "
			       "visibility here" TRY "id %u with -visible smm",
			       to->id, to->id, as, id);
	if (to->id < l->max_slots)
		return 0;
	free_id(t, next, sizeof(next));
	return err_set(e, -EINVAL, "slot %u" WHY "ids end at %u on this host" TRY "%s", to->id, l->max_slots - 1, next);
}

static int bad_range(const struct slot_limits *l, const struct slot_spec *to, struct err *e)
{
	char next[64];

	fitting_size(l, to->size, next, sizeof(next));
	if (to->gpa + to->size < to->gpa)
		return err_set_at(e, -EINVAL, ERR_SPACE_GPA, to->gpa,
				  "slot %u" WHY "gpa %#llx and size %#llx run past 2^64" TRY "%s", to->id, (ull)to->gpa,
				  (ull)to->size, next);
	if (to->size >> PAGE_SHIFT > l->max_pages)
		return err_set(e, -EINVAL,
			       "slot %u" WHY
			       "size %#llx is %#llx pages, which are too many for one slot: it has at most %#llx" TRY
			       "%s, or several slots",
			       to->id, (ull)to->size, (ull)(to->size >> PAGE_SHIFT), (ull)l->max_pages, next);
	return 0;
}

bool slot_flip_needed(const struct slot *old, uint32_t new_flags)
{
	return ((old->flags ^ new_flags) & SLOT_READONLY) != 0;
}

/* A slot keeps the host memory that it was made with: another hva, a file, or pages of 2 MiB would be other memory. */
static int check_same_memory(const struct slot *old, const struct slot_spec *to, struct err *e)
{
	if (to->hva && to->hva != old->hva)
		return err_set_at(e, -EINVAL, ERR_SPACE_HVA, to->hva,
				  "slot %u" WHY "it is at hva %#llx and cannot be given another, %#llx" TRY
				  "slot del %u, then slot add (its bytes are gone then)",
				  to->id, (ull)old->hva, (ull)to->hva, to->id);
	if (to->file || (to->huge && !old->huge))
		return err_set_at(
		    e, -EINVAL, ERR_SPACE_HVA, old->hva,
		    "slot %u" WHY "it is there with memory at hva %#llx, which %s%.300s cannot take the place of" TRY
		    "slot del %u, then slot add (its bytes are gone then)",
		    to->id, (ull)old->hva, to->file ? "file " : "memory of 2 MiB pages", to->file ? to->file : "", to->id);
	return 0;
}

/* KVM deletes such a slot, and changes nothing of it. */
static int check_guest_memfd(const struct slot *old, const struct slot_spec *to, struct err *e)
{
	if (!old->guest_memfd && !to->guest_memfd)
		return 0;
	if (old->guest_memfd != to->guest_memfd)
		return err_set(e, -EINVAL,
			       "slot %u" WHY "it is there with %s, and its memory cannot become other memory" TRY
			       "slot del %u, then slot add (its bytes are gone then)",
			       to->id, old->guest_memfd ? "a guest_memfd" : "ordinary memory", to->id);
	if (to->gpa == old->gpa && to->flags == old->flags && to->vis == old->vis)
		return 0;
	return err_set(e, -EINVAL,
		       "slot %u" WHY
		       "KVM changes nothing of a slot of a guest_memfd, neither place nor flags nor who sees it" TRY
		       "slot del %u, then slot add (its bytes are gone then)",
		       to->id, to->id);
}

/* What changes on a slot that is there; it may not change size, host memory or READONLY. */
static int classify_existing(const struct slot_table *t, struct slot_change *c, struct err *e)
{
	const struct slot_spec *to = &c->to;
	const struct slot *old = c->old;
	char free_ids[80];
	int rc = check_same_memory(old, to, e);

	if (!rc)
		rc = check_guest_memfd(old, to, e);
	if (rc)
		return rc;
	free_id(t, free_ids, sizeof(free_ids));
	if (to->size != old->size)
		return err_set(e, -EINVAL,
			       "slot %u" WHY "it is there with size %#llx at gpa 0x%llx and cannot become %#llx" TRY
			       "slot del %u, then slot add (its bytes are gone then), or %s",
			       to->id, (ull)old->size, (ull)old->gpa, (ull)to->size, to->id, free_ids);
	if (slot_flip_needed(old, to->flags))
		return err_set(e, -EINVAL,
			       "slot %u" WHY
			       "readonly cannot be %s on a slot that is there (gpa 0x%llx to %#llx, flags %#x)" TRY
			       "slot flags %u %creadonly, which deletes and creates it",
			       to->id, to->flags & SLOT_READONLY ? "set" : "cleared", (ull)old->gpa,
			       (ull)(old->gpa + old->size - 1), old->flags, to->id, to->flags & SLOT_READONLY ? '+' : '-');
	if (to->gpa != old->gpa)
		c->kind = SLOT_MOVE;
	else
		c->kind = to->flags != old->flags || to->vis != old->vis ? SLOT_FLAGS : SLOT_NOTHING;
	return 0;
}

/* The slot that takes part of [gpa, gpa+size) in one view, other than id; the highest one. */
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
	/* Slots of one view do not overlap, so only this one and, if this one is the slot itself, the next can meet it.
	 */
	for (size_t i = lo; i < v->n && i < lo + 2; i++) {
		const struct slot *s = v->by_gfn[i];

		if (s->id != to->id && ranges_overlap(s->gpa, s->size, to->gpa, to->size))
			return s;
	}
	return NULL;
}

static const struct slot *overlapping_slot(const struct slot_table *t, const struct slot_spec *to)
{
	const struct slot *s = NULL;

	if (to->vis & SLOT_VIS_NONSMM)
		s = overlap_in(&t->view[0], to);
	if (!s && (to->vis & SLOT_VIS_SMM))
		s = overlap_in(&t->view[1], to);
	return s;
}

static bool within_limits(const struct slot_limits *l, uint64_t gpa, uint64_t size)
{
	return size <= l->gpa_limit && gpa <= l->gpa_limit - size;
}

/* The first place from `from` on where the request meets no slot. Each round leaves a slot behind. */
static bool free_from(const struct slot_table *t, const struct slot_spec *to, uint64_t from, uint64_t *gpa)
{
	struct slot_spec at = *to;
	const struct slot *s;

	for (at.gpa = from; within_limits(&t->limits, at.gpa, at.size); at.gpa = s->gpa + s->size) {
		s = overlapping_slot(t, &at);
		if (!s) {
			*gpa = at.gpa;
			return true;
		}
	}
	return false;
}

static size_t n_overlaps(const struct slot_table *t, const struct slot_spec *to)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n; i++) {
		const struct slot *s = t->by_id[i];

		n += s->id != to->id && (s->vis & to->vis) && ranges_overlap(s->gpa, s->size, to->gpa, to->size);
	}
	return n;
}

/* What somebody can do whose request meets s, and n slots in all: a place of its own, above or else below, or them away. */
static void suggest_place(const struct slot_table *t, const struct slot_change *c, const struct slot *s, size_t n, char *buf,
			  size_t size)
{
	uint64_t gpa;
	int len = 0;

	if (!free_from(t, &c->to, s->gpa + s->size, &gpa) && !free_from(t, &c->to, 0, &gpa))
		*buf = '\0';
	else if (c->kind == SLOT_FLAGS)
		len = snprintf(buf, size, "slot move %u 0x%llx first", c->to.id, (ull)gpa);
	else
		len = snprintf(buf, size, "gpa 0x%llx, which is free", (ull)gpa);
	if (!s->own && within_limits(&t->limits, c->to.gpa, c->to.size))
		snprintf(buf + len, size - (size_t)len, n > 1 ? "%sslot del %u and the others" : "%sslot del %u",
			 len ? ", or " : "", s->id);
	else if (!len)
		snprintf(buf, size, "a smaller slot");
}

static int bad_overlap(const struct slot_table *t, const struct slot_change *c, struct err *e)
{
	const struct slot_spec *to = &c->to;
	const struct slot *s = overlapping_slot(t, to);
	char next[160], more[32] = "";
	size_t n;

	if (!s)
		return 0;
	n = n_overlaps(t, to);
	suggest_place(t, c, s, n, next, sizeof(next));
	if (n > 1)
		snprintf(more, sizeof(more), " and %zu more", n - 1);
	return err_set_at(
	    e, -EEXIST, ERR_SPACE_GPA, s->gpa > to->gpa ? s->gpa : to->gpa,
	    "slot %u" WHY "gpa 0x%llx to %#llx overlaps slot %u (gpa 0x%llx to %#llx, visible %s%s)%s" TRY "%s", to->id,
	    (ull)to->gpa, (ull)(to->gpa + to->size - 1), s->id, (ull)s->gpa, (ull)(s->gpa + s->size - 1),
	    slot_vis_name(s->vis), s->own ? ", the debugger's own" : "", more, next);
}

/* Fill in what the request leaves open: visibility, and the flag that says the same. */
static void fill_defaults(struct slot_spec *to, const struct slot *old)
{
	if (to->flags & SLOT_SMRAM)
		to->vis = SLOT_VIS_SMM;
	else if (!to->vis)
		to->vis = old ? old->vis : SLOT_VIS_BOTH;
	if (to->vis == SLOT_VIS_SMM)
		to->flags |= SLOT_SMRAM;
}

/* "0, 1 and 5 more": the first ids, without those that the debugger keeps for itself. "" for none. */
static void list_ids(const struct slot_table *t, char *buf, size_t size)
{
	size_t shown = 0, more = 0;
	int n = 0;

	*buf = '\0';
	for (size_t i = 0; i < t->n; i++) {
		if (t->by_id[i]->own)
			continue;
		if (shown == IDS_SHOWN)
			more++;
		else
			n += snprintf(buf + n, size - (size_t)n, "%s%u", shown++ ? ", " : "", t->by_id[i]->id);
	}
	if (more)
		snprintf(buf + n, size - (size_t)n, " and %zu more", more);
}

int slot_missing(const struct slot_table *t, int code, const char *what, uint32_t id, struct err *e)
{
	char ids[128];

	list_ids(t, ids, sizeof(ids));
	if (!*ids)
		return err_set(e, code, "%s %u" WHY "there is no slot %u, nor any other" TRY "slot add", what, id, id);
	return err_set(e, code, "%s %u" WHY "there is no slot %u, only %s" TRY "one of these, or info slots", what, id, id,
		       ids);
}

static int check_gpa_limit(const struct slot_limits *l, const struct slot_spec *to, struct err *e)
{
	char next[64];

	if (within_limits(l, to->gpa, to->size))
		return 0;
	fitting_size(l, to->size, next, sizeof(next));
	return err_set_at(e, -EINVAL, ERR_SPACE_GPA, to->gpa,
			  "slot %u" WHY "gpa 0x%llx to %#llx runs past the end of physical addresses, the last is %#llx" TRY
			  "%s",
			  to->id, (ull)to->gpa, (ull)(to->gpa + to->size - 1), (ull)(l->gpa_limit - 1), next);
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
		rc = bad_id(t, to, e);
	if (!rc)
		rc = bad_range(&t->limits, to, e);
	if (rc)
		return rc;
	c.old = slot_by_id(t, to->id);
	fill_defaults(&c.to, c.old);
	if (!to->size && !c.old)
		rc = slot_missing(t, -EINVAL, "delete slot", to->id, e);
	else if (!to->size)
		c.kind = SLOT_DELETE;
	else if (c.old)
		rc = classify_existing(t, &c, e);
	/* A wider visibility is a create in the other address space. */
	if (!rc && to->size && c.kind != SLOT_NOTHING)
		rc = bad_overlap(t, &c, e);
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
