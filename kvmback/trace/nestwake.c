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

static void wake_open(struct nestwake *w)
{
	static const enum stage nested[] = {STAGE_NONE};

	memset(w->tid, 0, sizeof(w->tid));
	w->failed = trace_open_some(&w->trace, nested, ARRAY_LEN(nested), NULL, true, &w->why) < 0;
	if (!w->failed && trace_may_record(w->trace, &w->why) < 0) {
		trace_close(w->trace);
		w->failed = true;
	}
	if (w->failed)
		w->trace = NULL;
}

static void wake_close(struct nestwake *w)
{
	trace_close(w->trace);
	w->trace = NULL;
}

/* May its guest go in or out by the next instruction? */
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
	bool wanted, used;

	if (!nested_possible(vm->host))
		return;
	used = any_switched_on(vm);
	wanted = vm->rs->n_plants || (used && step);
	if (!vm->nestwake && wanted)
		vm->nestwake = calloc(1, sizeof(*vm->nestwake));
	if (!vm->nestwake)
		return;
	if (wanted && !vm->nestwake->trace && !vm->nestwake->failed)
		wake_open(vm->nestwake);
	else if (!wanted && used && vm->nestwake->trace)
		wake_close(vm->nestwake);
}

bool nestwake_on(const struct kvm_vm *vm)
{
	return vm->nestwake && vm->nestwake->trace;
}

const char *nestwake_why(const struct kvm_vm *vm)
{
	return vm->nestwake && vm->nestwake->failed ? vm->nestwake->why.why : "out of memory";
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
