/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The tracepoints of a vCPU's thread as stages of faults: which events are told, and which of them are one fault.
 */
#include "kvmback/fault/fault_impl.h"

#include <stdio.h>

#include "kvmback/trace/trace.h"
#include "kvmback/vcpu/vcpu.h"

struct fault_stage *fault_note(struct kvm_faults *f, enum stage stage, uint64_t gfn, bool known, unsigned level, bool live)
{
	struct fault_stage *s = fault_log_add(&f->log, f->vcpu, stage, live);

	s->gfn = gfn;
	s->gfn_known = known;
	s->level = level;
	return s;
}

void fault_begin(struct kvm_faults *f)
{
	fault_log_next(&f->log);
	f->in_fault = true;
}

unsigned fault_vcpu_of(const struct kvm_faults *f, pid_t tid)
{
	for (unsigned i = 0; i < f->vm->m.vcpus; i++)
		if (f->vm->vcpu[i].control && f->vm->vcpu[i].control->tid == tid)
			return i;
	return f->job.vcpu;
}

/* Zaps and syncs come with CR3 loads and the debugger's own doing as well: outside of a fault they are told with fault 0.
 * What else comes late (a prefetched spte, a device's answer) belongs to the fault before. */
static bool of_no_fault(const struct trace_event *t)
{
	return t->stage == STAGE_ZAP || t->stage == STAGE_SYNC || t->stage == STAGE_UNSYNC;
}

/* KVM's own word of a fault, where it gives one, comes before the walk, and once more if the fault begins again. The
 * emulator's fetch of the instruction is part of the fault that it emulates, and so is its own walk to the address. With EPT
 * and NPT nobody else walks. */
static bool of_same_fault(const struct kvm_faults *f, const struct trace_event *t)
{
	if (!f->in_fault || t->stage == STAGE_FAULT)
		return f->in_fault && !f->over && f->error && t->address == f->gva && t->error == f->error;
	if (f->format != FAULT_SHADOW || (f->error && t->gva == f->gva))
		return true;
	return f->log.stages <= 1 || (f->emulating ? !t->fetch && t->gva == f->gva : t->fetch);
}

bool fault_asks_for_gpa(const struct kvm_faults *f, uint64_t gpa)
{
	uint64_t gfn = gpa >> PAGE_SHIFT;

	for (size_t i = 0; i < f->n_filters; i++) {
		const struct fault_filter *v = &f->filter[i];
		if (v->all || (!v->gva && gfn >= v->first && gfn <= v->last))
			return true;
	}
	for (size_t i = 0; i < f->n_armed; i++)
		if (f->armed_gfns[i] == gfn)
			return true;
	return false;
}

/* Is this event to be told, as far as that follows from whose fault it is? */
static bool is_told(struct kvm_faults *f, const struct trace_event *t)
{
	if (f->walk)
		return fault_walk_event(f->walk, fault_vcpu_of(f, t->tid), t);
	if (f->format == FAULT_SHADOW)
		return true;
	if (t->stage == STAGE_FAULT)
		f->asked = fault_asks_for_gpa(f, t->address);
	f->in_fault &= f->asked;
	/* A walk outside of a fault is the emulator's, of an instruction that nobody asked for. */
	return f->asked && (f->in_fault || t->stage != STAGE_WALK);
}

static void begin_by_trace(struct kvm_faults *f, const struct trace_event *t)
{
	fault_begin(f);
	f->gva = t->stage == STAGE_FAULT ? t->address : t->gva;
	f->error = t->stage == STAGE_FAULT ? t->error : 0;
	f->over = false;
	f->fresh = true;
}

static void describe(const struct kvm_faults *f, const struct trace_event *t, struct fault_stage *s)
{
	char words[96];

	snprintf(s->detail, sizeof(s->detail), "%s", t->detail);
	if (t->stage != STAGE_FAULT)
		return;
	fault_code_words(f->format, t->error, words, sizeof(words));
	snprintf(s->detail, sizeof(s->detail), "%.88s (%.68s)", t->detail, words);
	s->gfn = t->address >> PAGE_SHIFT;
	s->gfn_known = f->format != FAULT_SHADOW;
}

/* One event of the vCPU's thread between two live stages. */
static void on_trace(void *arg, const struct trace_event *t)
{
	struct kvm_faults *f = arg;
	unsigned fault = f->log.fault;

	if (!is_told(f, t))
		return;
	if (t->begins && !of_same_fault(f, t)) {
		begin_by_trace(f, t);
		fault = f->log.fault;
	} else if (!f->in_fault && of_no_fault(t)) {
		fault = 0;
	}
	struct fault_stage *s = fault_note(f, t->stage, t->gfn, t->gfn_known, t->level, false);
	s->fault = fault;
	describe(f, t, s);
	f->emulating = t->stage == STAGE_EMULATE || (f->emulating && !t->ends);
	f->over |= t->stage == STAGE_GUEST_FAULT;
	if (t->ends)
		f->in_fault = false;
}

void fault_take_trace(struct kvm_faults *f)
{
	if (f->trace)
		trace_read(f->trace, on_trace, f);
}
