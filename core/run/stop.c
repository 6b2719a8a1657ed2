/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Names of stop reasons, as scripts see them, and several reasons in one stop.
 */
#include "core/run/stop.h"

#include <string.h>

const char *stop_reason_name(enum stop_reason r)
{
	static const char *const name[] = {
	    [STOP_NONE] = "none",
	    [STOP_STEP] = "step",
	    [STOP_BREAKPOINT] = "breakpoint",
	    [STOP_WATCHPOINT] = "watchpoint",
	    [STOP_FAULT_STAGE] = "fault-stage",
	    [STOP_EXCEPTION] = "exception",
	    [STOP_MMIO] = "mmio",
	    [STOP_PIO] = "pio",
	    [STOP_HLT] = "hlt",
	    [STOP_SHUTDOWN] = "shutdown",
	    [STOP_SMI] = "smi",
	    [STOP_RSM] = "rsm",
	    [STOP_MODE] = "mode",
	    [STOP_SLOT] = "slot",
	    [STOP_MMU] = "mmu",
	    [STOP_INTERRUPTED] = "interrupted",
	    [STOP_EXIT] = "exit",
	    [STOP_ERROR] = "error",
	};

	return (size_t)r < ARRAY_LEN(name) && name[r] ? name[r] : "error";
}

void stop_add_cause(struct stop *s, enum stop_reason reason, int id)
{
	if (!s->n_causes)
		s->cause[s->n_causes++] = (struct stop_cause){s->reason, s->breakpoint};
	if (s->n_causes < STOP_CAUSES_MAX)
		s->cause[s->n_causes++] = (struct stop_cause){reason, id};
}

void stop_put_first(struct stop *s, const struct stop *hit)
{
	const struct stop was = *s;

	s->reason = hit->reason;
	s->breakpoint = hit->breakpoint;
	s->gva = hit->gva;
	s->gpa = hit->gpa;
	s->slot = hit->slot;
	s->len = hit->len;
	s->write = hit->write;
	s->read = hit->read;
	s->then = hit->then;
	memcpy(s->data, hit->data, sizeof(s->data));
	memcpy(s->old_data, hit->old_data, sizeof(s->old_data));
	s->has_old = hit->has_old;
	s->by = hit->by;
	s->has_by = hit->has_by;
	s->by_elsewhere = hit->by_elsewhere;
	s->by_linear = hit->by_linear;
	memcpy(s->cause, hit->cause, sizeof(s->cause));
	s->n_causes = hit->n_causes;
	if (!was.n_causes)
		stop_add_cause(s, was.reason, was.breakpoint);
	for (unsigned i = 0; i < was.n_causes; i++)
		stop_add_cause(s, was.cause[i].reason, was.cause[i].id);
}

const char *mmu_kind_name(enum mmu_kind k)
{
	return k == MMU_ZAP ? "zap" : k == MMU_UNSYNC ? "unsync" : k == MMU_SYNC ? "sync" : k == MMU_TDP ? "tdp" : "spte";
}
