/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * All-stop around a vCPU that stands in a fault: the others are fetched out of the guest, but for those that are stopped by
 * a fault of their own. One that was kicked must not be left waiting for a page: it would ask for it again and again.
 */
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#include "kvmback/fault_impl.h"

static bool keep(struct kvm_faults *f, const struct uffd_fault *at)
{
	unsigned who = faults_vcpu_of(f, at->tid);

	if (f->waits[who])
		return true;
	if (f->n_kept == ARRAY_LEN(f->kept))
		return false;
	f->kept[f->n_kept++] = *at;
	return f->waits[who] = true;
}

/* Those that were stopped on the way by faults of their own, before they were kicked, simply stay there. */
static void keep_waiting(struct kvm_faults *f)
{
	struct uffd_fault at;

	while (pages_next(f->vm, &at))
		if (faults_vcpu_of(f, at.tid) != f->who && !keep(f, &at))
			faults_continue(f, at.hva);
}

/* One that faults while it is on its way out would ask for its page for ever: it gets that, and the page is armed again
 * when it is out. Where it is the page that the parked one waits for, it has to wait as well. */
static void give_leavers(struct kvm_faults *f, struct uffd_fault *given, unsigned *n, unsigned max)
{
	struct uffd_fault at;

	while (pages_next(f->vm, &at)) {
		bool known = faults_vcpu_of(f, at.tid) == f->who;

		for (unsigned i = 0; i < *n; i++)
			known |= given[i].hva == at.hva;
		if (at.hva == f->page && faults_vcpu_of(f, at.tid) != f->who) {
			f->waits[faults_vcpu_of(f, at.tid)] = f->leaving[faults_vcpu_of(f, at.tid)] = true;
			continue;
		}
		if (!known && *n < max)
			given[(*n)++] = at;
		if (at.hva != f->page)
			faults_continue(f, at.hva);
	}
}

static bool all_out(const struct kvm_faults *f)
{
	for (unsigned i = 0; i < f->vm->m.vcpus; i++)
		if (i != f->who && vcpu_busy(&f->vm->vcpu[i]) && !f->waits[i])
			return false;
	return true;
}

/* All-stop: the others come out, or stand in a fault themselves. */
void faults_others_out(struct kvm_faults *f)
{
	struct pollfd p = {.fd = pages_uffd(f->vm->pages)->fd, .events = POLLIN};
	struct uffd_fault given[KVM_MAX_VCPUS_HERE];
	unsigned n = 0;

	while (atomic_load(&f->vm->rs->letting))
		sched_yield();
	keep_waiting(f);
	for (unsigned i = 0; i < f->vm->m.vcpus; i++)
		if (i != f->who && vcpu_busy(&f->vm->vcpu[i]) && !f->waits[i])
			vcpu_kick(&f->vm->vcpu[i]);
	while (!all_out(f)) {
		struct timespec t = {.tv_nsec = 100000};

		(void)ppoll(&p, 1, &t, NULL);
		give_leavers(f, given, &n, ARRAY_LEN(given));
	}
	/* With a range its own list does that. */
	for (unsigned i = 0; !f->range && i < n; i++)
		(void)!madvise((void *)(uintptr_t)given[i].hva, PAGE_SIZE_4K, MADV_DONTNEED);
}

/* The next message: first those that were kept, but for whoever has been given the page since, or has left. */
bool faults_next(struct kvm_faults *f, struct uffd_fault *out)
{
	while (f->n_kept) {
		*out = f->kept[0];
		unsigned who = faults_vcpu_of(f, out->tid);
		memmove(f->kept, f->kept + 1, --f->n_kept * sizeof(*f->kept));
		f->waits[who] = false;
		if (vcpu_busy(&f->vm->vcpu[who]) && out->hva != f->page)
			return true;
	}
	while (pages_next(f->vm, out)) {
		if (!f->leaving[faults_vcpu_of(f, out->tid)])
			return true;
		faults_continue(f, out->hva);
	}
	return false;
}

bool faults_leavers(struct kvm_faults *f, bool run)
{
	bool any = false;

	for (unsigned i = 0; i < f->vm->m.vcpus; i++) {
		struct kvcpu *v = &f->vm->vcpu[i];

		if (!f->leaving[i])
			continue;
		f->waits[i] = false;
		f->leaving[i] = vcpu_busy(v);
		any |= f->leaving[i];
		if (!f->leaving[i] && run && f->kind == RUN_CONTINUE && v->thread->out == OUT_KICKED && !v->halted)
			vcpu_give(v, JOB_RUN, 0);
	}
	return any;
}
