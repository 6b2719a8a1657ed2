/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the MMU did to its tables, in words: `catch mmu`.
 */
#include "core/stop/why_impl.h"

/* Bits 8 to 10 of a role word: the rights of the levels above the page. */
static const char *role_access(uint32_t role)
{
	static const char *const names[] = {"none", "execute",	     "write",	    "write, execute",
					    "user", "user, execute", "user, write", "user, write, execute"};

	return names[role >> 8 & 7];
}

static void add_page(struct why *w, const struct mmu_event *ev)
{
	why_add(w, " level-%u shadow page of gfn 0x%llx", ev->level, (unsigned long long)ev->gfn);
}

static void add_role(struct why *w, const struct mmu_event *ev)
{
	why_add(w, " (role 0x%x: %srights %s)", ev->role, ev->role & 1u << 7 ? "direct, " : "", role_access(ev->role));
}

/* Bit 1 is W in both formats; without the bits of access nothing is mapped. */
static const char *tdp_change(uint64_t old, uint64_t new)
{
	if (!(new & 7))
		return old & 7 ? "removed" : "left without access";
	if (!(old & 7))
		return "made";
	if ((old ^ new) & 2)
		return new & 2 ? "made writable" : "write-protected";
	return "changed";
}

static void add_tdp(struct why *w, const struct mmu_event *ev)
{
	why_add(w, "the TDP MMU's level-%u entry for gfn 0x%llx%s was %s: 0x%llx to 0x%llx", ev->level,
		(unsigned long long)ev->gfn, ev->as ? " in SMM" : "", tdp_change(ev->old_spte, ev->spte),
		(unsigned long long)ev->old_spte, (unsigned long long)ev->spte);
}

static void add_event(struct why *w, const struct mmu_event *ev)
{
	switch (ev->kind) {
	case MMU_ZAP:
		why_add(w, "the");
		add_page(w, ev);
		why_add(w, " was zapped");
		add_role(w, ev);
		return;
	case MMU_UNSYNC:
		why_add(w, "the");
		add_page(w, ev);
		why_add(w, " went unsync: its guest table may now be written unseen");
		add_role(w, ev);
		return;
	case MMU_SYNC:
		why_add(w, "the");
		add_page(w, ev);
		why_add(w, " was taken off the unsync list: its guest table counts again as read");
		add_role(w, ev);
		return;
	case MMU_TDP:
		add_tdp(w, ev);
		return;
	case MMU_SPTE:
		break;
	}
	why_add(w, "a level-%u spte for gfn 0x%llx was set to 0x%llx, at 0x%llx", ev->level, (unsigned long long)ev->gfn,
		(unsigned long long)ev->spte, (unsigned long long)ev->sptep);
}

void why_mmu(struct why *w)
{
	_cleanup_(mmu_event_list_free) struct mmu_event_list l = {.v = NULL};
	const struct stop *s = w->s;

	if (w->id > 0)
		why_add(w, "Catchpoint %d: ", w->id);
	add_event(w, &s->mmu);
	why_add(w, ", on vCPU %u", s->mmu.vcpu);
	if (w->env->m && !machine_mmu_events(w->env->m, &l, NULL) && l.n > 1)
		why_add(w, "; %zu such events came before it stood", l.n);
	if (l.lost)
		why_add(w, " (%llu more were lost)", (unsigned long long)l.lost);
	why_add(w, ". vCPU %u stands at ", s->vcpu);
	why_rip(w, s->rip);
	why_add(w, ".");
}
