/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One vCPU's walk of the guest's tables, as its tracepoints tell of it. Knows nothing of filters, pages and arming.
 */
#ifndef KVMSCOPE_KVMBACK_WALKER_H
#define KVMSCOPE_KVMBACK_WALKER_H

#include "kvmback/trace/trace.h"

/* How far it is. Records may be lost, so each event is good for something at each place (walker.c has the table).
 *
 *              begins              an entry: on to a table         an entry: on to the page, or nothing
 *     NONE ------------> AT_ROOT -------------------------> AT_TABLE ---------------------------> AT_PAGE
 *      ^                  ^   \                              |    ^ \_ an entry: the next table     |
 *      | other tables     |    \_____________________________|______________________________________|
 *      | in CR3           |                                  | what came of the fault
 *    (any)                +------------ begins --------- ENDED
 */
enum walk_place { WALK_NONE, WALK_AT_ROOT, WALK_AT_TABLE, WALK_AT_PAGE, WALK_ENDED, WALK_PLACES };

enum walk_by {
	WALK_BY_FAULT,
	WALK_BY_EMULATOR,	  /* no fault: no shadow page is looked at behind it */
	WALK_BY_EMULATOR_REARMED, /* and the root has been armed again inside this walk */
};

/* Is its fault one that the filter asks for? */
enum walk_asked {
	WALK_UNASKED,
	WALK_PART, /* no, but it is part of one: the emulator's fetch of the instruction */
	WALK_ASKED,
};

/* Should a fault begin again before it has ended, it is the same one. */
enum walk_report {
	WALK_UNREPORTED,
	WALK_REPORTED, /* one of its stages was live */
	WALK_REPEATED, /* and it has begun again */
};

struct walker {
	uint64_t root;	 /* gpa of the table that CR3 names */
	unsigned levels; /* 0: no tables that are followed */
	enum walk_place place;
	enum walk_by by;
	enum walk_asked asked;
	enum walk_report report;
	bool fault_seen; /* KVM has told of a page fault, whose walk comes next */
	uint64_t gva;
	unsigned level;	     /* of the table that is read next; 0: none */
	uint64_t error;	     /* the access, by the bits of a page fault's error code */
	uint64_t rights, nx; /* of the entries so far: all of them, any of them */
	uint64_t continued;  /* the page that was continued last */
	bool last_armed;     /* nothing that is armed follows the stage at hand */
};

/* CR3, or the mode, is another; levels 0: tables that are not followed. */
void walker_tables(struct walker *w, uint64_t root, unsigned levels);
/* KVM has told of a page fault: its walk comes next, as far as it needs one. in_filter: the filter asks for the address. */
void walker_faults(struct walker *w, const struct trace_event *t, bool in_filter);
/* Its tracepoint of a walk's beginning, and of an entry that the walk has read. */
void walker_begins(struct walker *w, const struct trace_event *t, bool in_filter);
void walker_reads(struct walker *w, const struct trace_event *t);
/* KVM has told what came of the fault. */
void walker_ends(struct walker *w);
/* A stage of it is live. */
void walker_stage(struct walker *w);

static inline bool walker_known(const struct walker *w)
{
	return w->place != WALK_NONE;
}
/* Does it wait for a table, and not for the page at its end? */
static inline bool walker_in_tables(const struct walker *w)
{
	return w->place == WALK_AT_ROOT || w->place == WALK_AT_TABLE;
}

#endif
