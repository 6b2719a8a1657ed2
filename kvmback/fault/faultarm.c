/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What `catch fault` arms: the pages of a range of gfns, or those that a range of virtual addresses comes to, and the tables
 * that lead there. The debugger's own slots and memory of a file are left out. And whether each fault can be caught at all.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "kvmback/step/live.h"
#include "kvmback/fault/fault_impl.h"

/* The pages must exist, or the fault would be one of a missing page: the alias is read once a page, which makes a hole a
 * page of zeroes and changes nothing that the guest sees. */
int kvm_faults_arm(struct kvm_vm *vm, struct slot *s, uint64_t first, uint64_t last, struct err *e)
{
	uint64_t off = first - s->gpa, len = last - first + 1;
	volatile uint8_t sum = 0;

	for (uint64_t at = off; at < off + len; at += PAGE_SIZE_4K)
		sum = (uint8_t)(sum + s->alias[at]);
	unsigned protect = armed_any(vm->armed) ? UFFD_PROTECT : 0;
	int rc = uffd_register(armed_uffd(vm->armed), s->hva + off, len, UFFD_MINOR | protect);
	if (rc)
		return err_errno(e, -rc, "catch fault" WHY "userfaultfd does not take slot %u" TRY "a slot of plain memory",
				 s->id);
	if (madvise((void *)(uintptr_t)(s->hva + off), len, MADV_DONTNEED))
		return err_errno(e, errno,
				 "catch fault" WHY "the guest's view of slot %u cannot be dropped" TRY "info slots", s->id);
	return 0;
}

/* What a range of virtual addresses comes to now: the frames of those of its pages that translate. */
struct gva_arm {
	struct kvm_faults *f;
	const struct fault_filter *filter;
	struct err *e;
	unsigned armed;
};

/* Where no walk is followed a fault is known by its gpa alone. */
static int remember_gfn(struct kvm_faults *f, uint64_t gfn, struct err *e)
{
	if (f->walk)
		return 0;
	if (f->n_armed == f->cap_armed) {
		size_t cap = f->cap_armed ? 2 * f->cap_armed : 64;
		uint64_t *v = realloc(f->armed_gfns, cap * sizeof(*v));
		if (!v)
			return err_nomem(e, "catch fault");
		f->armed_gfns = v;
		f->cap_armed = cap;
	}
	f->armed_gfns[f->n_armed++] = gfn;
	return 0;
}

static int arm_gpa(struct kvm_faults *f, uint64_t gpa, struct err *e)
{
	struct slot *s = slot_lookup(&f->vm->m.slots, gpa, false, NULL);
	int rc = remember_gfn(f, gpa >> PAGE_SHIFT, e);

	if (rc)
		return rc;

	gpa &= ~PAGE_OFFSET_MASK;
	return s && !s->file_backed ? kvm_faults_arm(f->vm, s, gpa, gpa + PAGE_OFFSET_MASK, e) : 0;
}

static int arm_mapping(void *arg, const struct guest_mapping *m)
{
	struct gva_arm *a = arg;
	uint64_t first = m->gva > a->filter->first ? m->gva : a->filter->first & ~PAGE_OFFSET_MASK;
	uint64_t last = m->gva + m->page_size - 1 < a->filter->last ? m->gva + m->page_size - 1 : a->filter->last;

	for (uint64_t at = first; at <= last && at >= first; at += PAGE_SIZE_4K) {
		int rc = arm_gpa(a->f, m->gpa + (at - m->gva), a->e);
		if (rc)
			return rc;
		a->armed++;
	}
	return 0;
}

/* Its pages are armed already. */
static int pass_span(void *arg, const struct guest_span *s)
{
	(void)arg;
	(void)s;
	return 0;
}

/* Is the range to be followed through the guest's tables? Else only what is mapped now can be armed. */
static int arm_gvas(struct kvm_faults *f, const struct fault_filter *filter, struct err *e)
{
	const char *why = f->walk ? fault_walk_mode_why(live_remembered(f->vm, 0)) : fault_walk_why(f->vm, f->trace);
	struct gva_arm a = {f, filter, e, 0};
	const struct paging_listing l = {
	    .first = filter->first, .last = filter->last, .page = arm_mapping, .span = pass_span, .arg = &a, .follow = true};
	struct xlate_env env;

	if (!why)
		return 0;
	int rc = machine_env(&f->vm->m, 0, &env, e);

	if (!rc)
		rc = paging_list(&env.pg, &env.mem, &l);
	if (!rc && !a.armed)
		return err_set(e, -EFAULT,
			       "catch fault %#llx %#llx" WHY "none of these addresses is mapped now, and %s" TRY
			       "catch fault, or a gfn",
			       (unsigned long long)filter->first, (unsigned long long)filter->last, why);
	return rc;
}

static int arm_gfns(struct kvm_faults *f, const struct fault_filter *filter, struct err *e)
{
	uint64_t first = filter->all ? 0 : filter->first << PAGE_SHIFT;
	uint64_t last = filter->all ? ~0ull : (filter->last << PAGE_SHIFT) | PAGE_OFFSET_MASK;
	unsigned armed = 0, own = 0;
	int rc = 0;

	for (size_t i = 0; !rc && i < f->vm->m.slots.n; i++) {
		struct slot *s = f->vm->m.slots.by_gfn[i];
		uint64_t a = s->gpa > first ? s->gpa : first, end = s->gpa + s->size - 1, b = end < last ? end : last;
		if (a > b)
			continue;
		own += s->own;
		if (s->own || s->file_backed || !s->alias)
			continue;
		rc = kvm_faults_arm(f->vm, s, a, b, e);
		armed++;
	}
	if (!rc && !armed)
		return err_set(e, own ? -EPERM : -EFAULT, "catch fault %#llx" WHY "%s" TRY "info slots",
			       (unsigned long long)filter->first,
			       own ? "the debugger itself built that page" : "no slot of plain memory is there");
	return rc;
}

int faults_arm(struct kvm_faults *f, struct err *e)
{
	int rc = live_remember(f->vm, e);

	f->format = !kvm_view_tdp(f->vm, kvm_host_tdp()) ? FAULT_SHADOW : kvm_view_ept(f->vm) ? FAULT_EPT : FAULT_NPT;
	f->asked = false;
	for (size_t i = 0; i < f->n_filters; i++)
		f->asked |= f->filter[i].all;
	if (!rc && !fault_walk_why(f->vm, f->trace))
		rc = fault_walk_create(f->vm, f->filter, f->n_filters, &f->walk, e);
	for (size_t i = 0; !rc && i < f->n_filters; i++)
		rc = f->filter[i].gva ? arm_gvas(f, &f->filter[i], e) : arm_gfns(f, &f->filter[i], e);
	return rc || !f->walk ? rc : fault_walk_roots(f->walk, live_remembered(f->vm, 0), e);
}

/* ---- the tracepoints, by which each fault is told */

static int fault_trace_open(struct trace **out, struct err *e)
{
	struct trace *t;
	int rc = trace_open(&t, e);

	if (rc)
		return rc;
	rc = trace_may_record(t, e);
	if (rc)
		trace_close(t);
	else
		*out = t;
	return rc;
}

void faults_open_stages(struct kvm_faults *f)
{
	if (fault_trace_open(&f->trace, &f->trace_err))
		f->trace = NULL;
}

bool kvm_fault_limit(struct machine *m, struct err *why)
{
	struct kvm_vm *vm = kvm_of(m);
	struct kvm_faults *f = vm->faults;
	struct trace *t = f ? f->trace : NULL;
	bool own = !f && !fault_trace_open(&t, why);

	if (f)
		*why = f->trace_err;
	const char *limit = fault_walk_why(vm, t);
	if (own)
		trace_close(t);
	/* A vCPU that runs is not asked: its mode is of the last stop. */
	struct regs r = {0};
	if (!limit && !machine_running(m) && !machine_get_regs(m, 0, REGS_SYS, &r, NULL))
		limit = fault_walk_mode_why(&r);
	if (!limit)
		return false;
	if (!t)
		return (void)err_prefix(why, "tracepoints of faults: "), true;
	(void)err_set(why, -ENOTSUP, "faults" WHY "%s" TRY "-b soft, where each fault is caught", limit);
	return true;
}
