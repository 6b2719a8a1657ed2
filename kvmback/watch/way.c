/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The way to a virtual address: the roots under which it is looked up, those that the vCPU had in CR3 lately, and the
 * entries of the guest's tables by which it is reached, which are armed for writes as far as they are present.
 */
#include "kvmback/watch/armed_impl.h"

#include <string.h>

#include "kvmback/kernel/kview.h"

#define ROOT_FRAME 0x000fffffffffffe0ull /* of CR3, subtract PCID and PCD, PWT; PAE's table is on 32 bytes */

static void lengthen(struct armed *p, size_t part, uint64_t len)
{
	LOCK_SCOPE(&p->lock);
	p->part[part].len += len;
}

const char *armed_want_way(struct kvcpu *v, const struct walk *w, struct armed_way *way)
{
	const char *why = NULL;

	for (unsigned i = 0; i < w->n && !why; i++) {
		const struct walk_step *step = &w->step[i];
		const struct slot *s = gmem_slot(v, step->gpa);
		struct armed_entry *last = &way->seen[step->level % ARMED_LEVELS];
		struct watched_part c = {.len = step->size, .table = true};

		if (!s || last->gpa == step->gpa)
			continue;
		bool next = last->gpa && last->gpa + step->size == step->gpa && step->gpa & PAGE_OFFSET_MASK;
		if (next)
			lengthen(v->vm->armed, last->part, step->size);
		else
			why = armed_add_part(v, s, step->gpa, &c);
		*last = (struct armed_entry){step->gpa, next ? last->part : v->vm->armed->n_parts - 1};
	}
	return why;
}

static void note_root(struct vcpu_control *t, uint64_t cr3)
{
	unsigned at = 0;

	while (at < t->n_roots && t->root[at] != cr3)
		at++;
	if (at == ROOTS_KEPT)
		at--;
	t->n_roots += at == t->n_roots;
	memmove(t->root + 1, t->root, at * sizeof(*t->root));
	t->root[0] = cr3;
}

/* CR3 may go back to one of those that KVM keeps, and nobody is told. */
static void note_cached_roots(struct kvcpu *v)
{
	struct root_list l = {0};

	if (kvm_view_roots(v->vm, &l, NULL))
		return;
	for (size_t i = 0; i < l.n; i++)
		if (l.v[i].vcpu == v->index && l.v[i].page)
			note_root(v->control, l.v[i].cr3 & ROOT_FRAME);
	root_list_free(&l);
}

unsigned armed_roots(struct kvcpu *v, const uint64_t **root)
{
	struct vcpu_control *t = v->control;

	*root = t->root;
	/* Without paging it makes no difference, and is none that is kept. */
	if (!(vcpu_sregs(v)->cr0 & CR0_PG)) {
		if (!t->n_roots)
			t->root[0] = 0;
		return 1;
	}
	if (!t->n_roots)
		note_cached_roots(v);
	note_root(t, vcpu_sregs(v)->cr3 & ROOT_FRAME);
	return t->n_roots;
}
