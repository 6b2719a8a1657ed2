/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What depends on who runs the program, as it is now: userfaultfd, tracepoints, and the commands that stand on them. Each
 * row is the answer of the very function that the command asks.
 */
#include <stdio.h>
#include <unistd.h>

#include "kvmback/fault/fault.h"
#include "kvmback/host/uffd.h"
#include "kvmback/kvm.h"
#include "kvmback/trace/mmucatch.h"
#include "kvmback/trace/nestwake.h"
#include "kvmback/trace/trace.h"
#include "kvmback/vcpu/nested.h"

typedef int fact_fn(void *arg, const char *what, const char *value, const char *why);

/* "why; try next" */
static const char *words(char *buf, size_t size, const char *why, const char *next)
{
	snprintf(buf, size, "%s%s%s", why, next && *next ? "; try " : "", next ? next : "");
	return buf;
}

static int uffd_row(fact_fn *fn, void *arg)
{
	char text[sizeof(((struct err *)NULL)->why) * 2];
	const char *why = uffd_why();

	return fn(arg, "userfaultfd", why ? "no" : "yes",
		  why ? words(text, sizeof(text), why, uffd_next_step()) : "for faults in the kernel, on shared memory");
}

static int tracepoints_row(fact_fn *fn, void *arg)
{
	char text[sizeof(struct err)];
	struct err e = {0};
	struct trace *t = NULL;
	int rc = trace_open(&t, &e);

	if (!rc)
		rc = trace_may_record(t, &e);
	trace_close(t);
	return fn(arg, "tracepoints", rc ? "no" : "yes",
		  rc ? words(text, sizeof(text), e.why, e.next) : "tracefs and perf_event_open");
}

static int fault_row(struct kvm_vm *vm, fact_fn *fn, void *arg)
{
	char text[sizeof(struct err)];
	struct err e = {0};

	if (uffd_why())
		return fn(arg, "catch fault", "no", "it stands on userfaultfd");
	if (!kvm_fault_limit(&vm->m, &e))
		return fn(arg, "catch fault", "each fault", "told by their walks");
	return fn(arg, "catch fault", "once a page", words(text, sizeof(text), e.why, e.next));
}

static int mmu_row(struct kvm_vm *vm, fact_fn *fn, void *arg)
{
	char text[sizeof(struct err)];
	struct err e = {0};

	if (kvm_mmu_catch_check(vm, &e))
		return fn(arg, "catch mmu", "no", words(text, sizeof(text), e.why, e.next));
	if (kvm_mmu_kinds(vm) & MMU_SYNC)
		return fn(arg, "catch mmu", "zap, unsync, sync, spte", "by tracepoints; there is no TDP MMU");
	return fn(arg, "catch mmu", kvm_mmu_kinds(vm) & MMU_TDP ? "spte, tdp" : "zap, spte",
		  "by tracepoints; with EPT or NPT no guest table is shadowed");
}

/* What tracepoints are needed for in a guest that runs guests. */
static int nested_row(struct kvm_vm *vm, fact_fn *fn, void *arg)
{
	char text[sizeof(struct err)];
	struct err e = {0};

	if (!nested_possible(vm->host))
		return fn(arg, "nested guests", "no", "KVM offers its guests neither SVM nor VMX");
	if (nestwake_check(&e))
		return fn(arg, "nested guests", "yes",
			  words(text, sizeof(text),
				"no breakpoint is met in them and no step leaves them, as there are no tracepoints",
				e.next));
	return fn(arg, "nested guests", "yes", "breakpoints and steps in them by tracepoints of VM entry and exit");
}

int kvm_privilege_facts(struct kvm_vm *vm, fact_fn *fn, void *arg)
{
	int rc = uffd_row(fn, arg);

	if (!rc)
		rc = tracepoints_row(fn, arg);
	if (!rc)
		rc = fault_row(vm, fn, arg);
	if (!rc)
		rc = mmu_row(vm, fn, arg);
	return rc ? rc : nested_row(vm, fn, arg);
}
