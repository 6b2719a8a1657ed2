/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Choosing an address, and finding its other side.
 */
#include "core/debug/selection.h"

#include <string.h>

static void find_gpa(struct place *at, struct machine *m, unsigned vcpu)
{
	_cleanup_hold_ struct machine_hold hold = {NULL};
	struct xlate_env env;
	struct walk w;

	if (machine_look_begin(m, &hold, NULL) || machine_env(m, vcpu, &env, NULL))
		return;
	paging_walk(&env.pg, &env.mem, at->gva, ACCESS_READ, false, &w);
	at->has_gpa = !w.fault.present;
	at->gpa = w.gpa;
}

static void find_gva(struct place *at, struct machine *m)
{
	struct rmap_list list = {0};

	if (machine_rmap(m, at->gpa >> PAGE_SHIFT, &list, NULL))
		return;
	for (size_t i = 0; i < list.n && !at->has_gva; i++)
		for (size_t j = 0; j < list.v[i].n_sptes && !at->has_gva; j++) {
			const struct spte_info *spte = &list.v[i].sptes[j];
			if (!spte->gva_known || list.v[i].level != 1)
				continue;
			at->has_gva = true;
			at->gva = spte->gva | (at->gpa & PAGE_OFFSET_MASK);
		}
	rmap_list_free(&list);
}

/* told: what the user said. */
static struct place complete(struct place told, struct machine *m, unsigned vcpu)
{
	struct place at = told;

	if (m && at.has_gva && !at.has_gpa)
		find_gpa(&at, m, vcpu);
	else if (m && at.has_gpa && !at.has_gva)
		find_gva(&at, m);
	return at;
}

static void look_at(struct selection *s, struct machine *m, unsigned vcpu)
{
	s->at = complete(s->past[s->now], m, vcpu);
	s->generation++;
}

static bool same_place(const struct place *a, const struct place *b)
{
	return a->has_gva == b->has_gva && a->has_gpa == b->has_gpa && (!a->has_gva || a->gva == b->gva) &&
	       (!a->has_gpa || a->gpa == b->gpa);
}

void selection_choose(struct selection *s, struct machine *m, unsigned vcpu, const struct place *at)
{
	if (!s->n_past || !same_place(&s->past[s->now], at)) {
		s->now = s->n_past ? s->now + 1 : 0;
		if (s->now == SELECTIONS_KEPT) {
			memmove(s->past, s->past + 1, sizeof(s->past) - sizeof(s->past[0]));
			s->now--;
		}
		s->past[s->now] = *at;
		s->n_past = s->now + 1;
	}
	look_at(s, m, vcpu);
}

bool selection_step(struct selection *s, struct machine *m, unsigned vcpu, int by)
{
	if (!s->n_past || (by < 0 ? !s->now : s->now + 1 == s->n_past))
		return false;
	s->now = by < 0 ? s->now - 1 : s->now + 1;
	look_at(s, m, vcpu);
	return true;
}

void selection_refresh(struct selection *s, struct machine *m, unsigned vcpu)
{
	if (s->n_past)
		look_at(s, m, vcpu);
}
