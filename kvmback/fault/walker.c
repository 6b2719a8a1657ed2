/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The state machine of a walk.
 */
#include "kvmback/fault/walker.h"

#include "core/mem/paging.h"

/* Of the error code that KVM hands its walk. */
#define PFERR_USER (1u << 2)
#define PFERR_ACCESS 0x16u /* write, user, fetch: what it says of the access, not of the tables */

enum walk_event { TABLES_CHANGE, BEGINS, READS_TABLE, READS_LAST, ENDS, EVENTS };

static const uint8_t next_place[WALK_PLACES][EVENTS] = {
    /*                 other tables  begins        on to a table  on to the page  ended */
    [WALK_NONE] = {WALK_NONE, WALK_AT_ROOT, WALK_NONE, WALK_NONE, WALK_NONE},
    [WALK_AT_ROOT] = {WALK_NONE, WALK_AT_ROOT, WALK_AT_TABLE, WALK_AT_PAGE, WALK_ENDED},
    [WALK_AT_TABLE] = {WALK_NONE, WALK_AT_ROOT, WALK_AT_TABLE, WALK_AT_PAGE, WALK_ENDED},
    [WALK_AT_PAGE] = {WALK_NONE, WALK_AT_ROOT, WALK_AT_TABLE, WALK_AT_PAGE, WALK_ENDED},
    [WALK_ENDED] = {WALK_NONE, WALK_AT_ROOT, WALK_ENDED, WALK_ENDED, WALK_ENDED},
};

static void go_on(struct walker *w, enum walk_event e)
{
	w->place = (enum walk_place)next_place[w->place][e];
}

void walker_tables(struct walker *w, uint64_t root, unsigned levels)
{
	w->levels = levels;
	w->root = root;
	go_on(w, TABLES_CHANGE);
}

/* Should a walk of the emulator's have been a fault's after all, that fault has begun again. */
static enum walk_by begun_by(const struct walker *w, const struct trace_event *t, bool same)
{
	bool fault = t->error & PFERR_USER || w->fault_seen || (same && w->by == WALK_BY_EMULATOR_REARMED);

	return fault ? WALK_BY_FAULT : WALK_BY_EMULATOR;
}

static void begin(struct walker *w, uint64_t gva, uint64_t error, bool same)
{
	w->report = w->report != WALK_UNREPORTED && w->place != WALK_ENDED && same ? WALK_REPEATED : WALK_UNREPORTED;
	w->gva = gva;
	w->error = error & PFERR_ACCESS;
	w->level = w->levels;
	w->rights = ~0ull;
	w->nx = 0;
	go_on(w, BEGINS);
}

static bool is_same(const struct walker *w, uint64_t gva, uint64_t error)
{
	return walker_known(w) && w->gva == gva && w->error == (error & PFERR_ACCESS);
}

void walker_faults(struct walker *w, const struct trace_event *t, bool in_filter)
{
	begin(w, t->address, t->error, is_same(w, t->address, t->error));
	w->by = WALK_BY_FAULT;
	w->asked = in_filter ? WALK_ASKED : WALK_UNASKED;
	w->fault_seen = true;
}

void walker_begins(struct walker *w, const struct trace_event *t, bool in_filter)
{
	bool same = is_same(w, t->gva, t->error);
	/* The emulator's fetch is part of the fault that it emulates. */
	bool part = walker_known(w) && w->asked != WALK_UNASKED && t->fetch;

	begin(w, t->gva, t->error, same);
	w->by = begun_by(w, t, same);
	w->asked = in_filter ? WALK_ASKED : part ? WALK_PART : WALK_UNASKED;
	w->fault_seen = false;
}

void walker_reads(struct walker *w, const struct trace_event *t)
{
	bool last = t->level == 1 || (t->level <= 3 && t->pte & PTE_PS) || !(t->pte & PTE_P);

	w->level = last ? 0 : t->level - 1;
	w->rights &= t->pte;
	w->nx |= t->pte;
	go_on(w, last ? READS_LAST : READS_TABLE);
}

void walker_ends(struct walker *w)
{
	if (w->report == WALK_REPEATED)
		w->report = WALK_REPORTED;
	go_on(w, ENDS);
}

void walker_stage(struct walker *w)
{
	w->report = walker_known(w) ? WALK_REPORTED : WALK_UNREPORTED;
}
