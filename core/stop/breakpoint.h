/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the user asked to stop at: breakpoints, watchpoints and catchpoints with their conditions and counts. What is planted
 * in the machine for it is the backend's business (machine_plant).
 */
#ifndef KVMSCOPE_CORE_DEBUG_BREAKPOINT_H
#define KVMSCOPE_CORE_DEBUG_BREAKPOINT_H

#include "core/machine/machine.h"

#define CATCH_MODE_CPL 256 /* catch mode cpl: in place of an enum cpu_mode */
enum bp_kind { BP_BREAK, BP_HBREAK, BP_WATCH, BP_RWATCH, BP_AWATCH, BP_CATCH };
const char *bp_kind_name(enum bp_kind k); /* "breakpoint", "hw-breakpoint", "watch", "rwatch", "awatch", "catch" */

struct bp {
	int id;
	enum bp_kind kind;
	uint64_t addr, len;
	bool phys;
	char at[96];		      /* as the user said it: "*0x200033", "main+4", "mmio" */
	uint32_t event;		      /* BP_CATCH: one enum catch_event bit, or 0 for fault */
	uint64_t arg_first, arg_last; /* BP_CATCH: a filter (port, gpa, vector range); has_arg */
	bool has_arg;
	struct fault_filter fault; /* BP_CATCH of faults */
	struct mmu_filter mmu;	   /* BP_CATCH of what the MMU does */
	bool enabled, temporary;
	uint64_t hits, ignore;
	char *condition; /* text, evaluated by the caller's hook; NULL for none */
	char *commands;	 /* script to run on a stop; NULL for none */
	const char *how; /* mechanism chosen by the machine */
	const char *why; /* where that is step: what keeps it from anything faster; NULL otherwise */
};

struct bp_table {
	struct bp **v; /* ascending id */
	size_t n;
	int next_id; /* ids start at 1 and are never reused within a session */
};

void bp_table_init(struct bp_table *t);
void bp_table_deinit(struct bp_table *t);
struct bp *bp_find(const struct bp_table *t, int id);
/* Add (enabled, planted) or remove; on failure nothing changed. spec's strings are copied. m may be NULL: planted later by
 * bp_replant(). */
int bp_add(struct bp_table *t, struct machine *m, const struct bp *spec, struct bp **out, struct err *e) MUST_USE;
int bp_delete(struct bp_table *t, struct machine *m, int id, struct err *e) MUST_USE;
int bp_enable(struct bp_table *t, struct machine *m, int id, bool on, struct err *e) MUST_USE;
/* Plant every enabled one in a machine that is new. */
int bp_replant(struct bp_table *t, struct machine *m, struct err *e) MUST_USE;
int bp_set_condition(struct bp *b, const char *text, struct err *e) MUST_USE; /* NULL or "" clears */
int bp_set_commands(struct bp *b, const char *script, struct err *e) MUST_USE;

#endif
