/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The tracepoints of nested entries and exits, a ring for each vCPU's thread. The records are of no interest, only that they
 * come.
 */
#include "kvmback/trace/nestwake.h"

#include <stdlib.h>
#include <string.h>

#include "kvmback/trace/trace.h"
#include "kvmback/vcpu/nested.h"

struct nestwake {
	struct trace *trace; /* NULL: off */
	struct err why;
	bool failed;
	struct recorded *ring[KVM_MAX_VCPUS_HERE];
	pid_t tid[KVM_MAX_VCPUS_HERE]; /* whose that ring is */
};

static int trace_nested(struct trace **out, struct err *e)
{
	static const enum stage nested[] = {STAGE_NONE};
	struct trace *t = NULL;
	int rc = trace_open_some(&t, nested, ARRAY_LEN(nested), NULL, true, e);

	if (!rc)
		rc = trace_may_record(t, e);
	if (rc)
		trace_close(t);
	else
		*out = t;
	return rc;
}

int nestwake_check(struct err *e)
{
	struct trace *t = NULL;
	int rc = trace_nested(&t, e);

	trace_close(t);
	return rc;
}

static void wake_open(struct nestwake *w)
{
	memset(w->tid, 0, sizeof(w->tid));
	w->failed = trace_nested(&w->trace, &w->why) < 0;
}

static void wake_close(struct nestwake *w)
{
	trace_close(w->trace);
	w->trace = NULL;
}

/* Does anybody make use of it? */
static bool any_switched_on(struct kvm_vm *vm)
{
	for (unsigned i = 0; i < vm->m.vcpus; i++) {
		const struct kvm_sregs *s = vcpu_sregs(&vm->vcpu[i]);

		if (s->efer & EFER_SVME || s->cr4 & CR4_VMXE)
			return true;
	}
	return false;
}

/* What is on stays on while nothing makes use of it: opening takes longer than what never comes. */
void nestwake_set(struct kvm_vm *vm, bool step)
{
	/* Pages may be armed still for what is planted no more: who touches one is stepped. */
	bool wanted = vm->rs->n_plants || vm->armed || vm->rs->catch & (CATCH_SMI | CATCH_MODE | CATCH_EXCEPTION);

	if (!nested_possible(vm->host))
		return;
	wanted |= step && any_switched_on(vm);
	if (!vm->nestwake && wanted)
		vm->nestwake = calloc(1, sizeof(*vm->nestwake));
	if (!vm->nestwake)
		return;
	if (wanted && !vm->nestwake->trace && !vm->nestwake->failed)
		wake_open(vm->nestwake);
	else if (!wanted && vm->nestwake->trace && any_switched_on(vm))
		wake_close(vm->nestwake);
}

void nestwake_stepped(struct kvcpu *v)
{
	const struct kvm_sregs *s = vcpu_sregs(v);

	if ((s->efer & EFER_SVME || s->cr4 & CR4_VMXE) && !nestwake_on(v->vm))
		nestwake_set(v->vm, true);
}

bool nestwake_on(const struct kvm_vm *vm)
{
	return vm->nestwake && vm->nestwake->trace;
}

const char *nestwake_why(const struct kvm_vm *vm)
{
	return vm->nestwake && vm->nestwake->failed ? vm->nestwake->why.why : "they are not on";
}

void nestwake_enter(struct kvcpu *v)
{
	struct nestwake *w = v->vm->nestwake;
	pid_t tid = v->control->tid;

	if (!w || !w->trace)
		return;
	if (w->tid[v->index] != tid)
		w->ring[v->index] = trace_ring(w->trace, tid, NULL);
	w->tid[v->index] = tid;
	if (w->ring[v->index] && trace_news(w->ring[v->index]))
		trace_read_ring(w->trace, w->ring[v->index], NULL, NULL);
}

void nestwake_destroy(struct kvm_vm *vm)
{
	if (!vm->nestwake)
		return;
	wake_close(vm->nestwake);
	free(vm->nestwake);
	vm->nestwake = NULL;
}
