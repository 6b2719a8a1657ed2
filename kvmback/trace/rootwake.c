/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The tracepoint of root look-ups, a ring for each vCPU's thread. The records are of no interest, only that they come.
 */
#include "kvmback/trace/rootwake.h"

#include <stdlib.h>
#include <string.h>

#include "kvmback/trace/trace.h"

struct rootwake {
	unsigned wanted; /* ROOTWAKE_* */
	struct trace *trace;
	struct recorded *ring[KVM_MAX_VCPUS_HERE];
	pid_t tid[KVM_MAX_VCPUS_HERE]; /* whose that ring is */
};

static int wake_open(struct rootwake *r, struct err *e)
{
	static const enum stage stage[] = {STAGE_SHADOW_PAGE};

	memset(r->tid, 0, sizeof(r->tid));
	/* Of the role the low bits are the level: 4 and 5 are roots, and few others. */
	int rc = trace_open_some(&r->trace, stage, ARRAY_LEN(stage), "role & 4", true, e);
	if (rc)
		return rc;
	rc = trace_may_record(r->trace, e);
	if (rc)
		trace_close(r->trace);
	return rc;
}

static void wake_close(struct rootwake *r)
{
	trace_close(r->trace);
	r->trace = NULL;
}

int rootwake_set(struct kvm_vm *vm, unsigned what, bool on, struct err *e)
{
	struct rootwake *r = vm->rootwake;
	int rc = 0;

	if (!r && !on)
		return 0;
	if (!r)
		r = vm->rootwake = calloc(1, sizeof(*r));
	if (!r)
		return err_nomem(e, "the tracepoint of root look-ups");
	if (on && !r->trace)
		rc = wake_open(r, e);
	if (rc) {
		r->trace = NULL;
		return rc;
	}
	r->wanted = on ? r->wanted | what : r->wanted & ~what;
	if (!r->wanted)
		wake_close(r);
	return 0;
}

void rootwake_enter(struct kvcpu *v)
{
	struct rootwake *r = v->vm->rootwake;
	pid_t tid = v->control->tid;

	if (!r || !r->trace)
		return;
	if (r->tid[v->index] != tid)
		r->ring[v->index] = trace_ring(r->trace, tid, NULL);
	r->tid[v->index] = tid;
	if (r->ring[v->index] && trace_news(r->ring[v->index]))
		trace_read_ring(r->trace, r->ring[v->index], NULL, NULL);
}

void rootwake_destroy(struct kvm_vm *vm)
{
	if (!vm->rootwake)
		return;
	wake_close(vm->rootwake);
	free(vm->rootwake);
	vm->rootwake = NULL;
}
