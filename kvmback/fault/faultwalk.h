/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Whose fault it is that parks at a page, and whether the filter asks for it: told by the fault's walk of the guest's
 * tables. The root of each vCPU's tables is armed, so every fault parks where its walk begins. The tracepoint of the walk
 * tells its address; that is looked up through the debugger's alias. A fault that is asked for is told there, and what each
 * entry shows is armed before the walk goes on to it: a live stage a table, then one for the page, if nothing maps it
 * yet. Any other is let through by that one message, and a signal brings the vCPU out of KVM_RUN behind it, where the root
 * is armed again before the guest goes on. (A walk of KVM's emulator comes by a second message, at the next table: the root
 * is armed again there, so that each walk of an instruction is seen.) Nothing of a fault's walk is ever armed under it, so
 * each fault gets through; and one vCPU at a time is in the guest (run.c), so none slips by while another's is let through.
 *
 * A root that the guest loads is armed before the guest executes anything under it: the kernel's look-up of its shadow page
 * sends a signal (trace.h, wake), and roots that KVM keeps for coming back to are armed from the beginning.
 *
 * A filter by gfns costs other faults nothing until one of its pages has been given: before, the page itself is what parks.
 *
 * Only for long mode's tables, and where the tracepoints can be read; fault.c asks fault_walk_why().
 */
#ifndef KVMSCOPE_KVMBACK_FAULTWALK_H
#define KVMSCOPE_KVMBACK_FAULTWALK_H

#include "kvmback/vcpu/vcpu.h"
#include "kvmback/trace/trace.h"

struct fault_walk;

/* NULL if this host tells faults by their walks; else why not. t: the tracepoints, NULL if they cannot be read. */
const char *fault_walk_why(struct kvm_vm *vm, const struct trace *t);
/* NULL if these registers have tables that are followed; else why not. */
const char *fault_walk_mode_why(const struct regs *r);
int fault_walk_create(struct kvm_vm *vm, const struct fault_filter *v, size_t n, struct fault_walk **out,
		      struct err *e) MUST_USE;
void fault_walk_destroy(struct fault_walk *g); /* NULL is fine */
/* Before a run, all vCPUs out of the guest: arm the roots that these registers name, and those that KVM keeps. */
int fault_walk_roots(struct fault_walk *g, const struct regs *regs, struct err *e) MUST_USE;

/* An event of a vCPU's thread. True if it is of a fault that is asked for, and is to be told. */
bool fault_walk_event(struct fault_walk *g, unsigned vcpu, const struct trace_event *t);
/* Does a message of this vCPU's ask for a page that it has been given? */
bool fault_walk_stale(struct fault_walk *g, unsigned vcpu, uint64_t hva);
/* Does the vCPU, whose events have all been handed over, stand in a fault that is asked for and was not told yet? */
bool fault_walk_wants(struct fault_walk *g, unsigned vcpu, uint64_t hva);
/* Does it wait for a table that its walk reads, and not for the page itself? */
bool fault_walk_reads(struct fault_walk *g, unsigned vcpu);
/* It is not asked for: let it through. */
void fault_walk_pass(struct fault_walk *g, unsigned vcpu, uint64_t hva);
/* It is told as a live stage: arm what the entry shows. Gives the table's level, 0 for the page itself, and the address. */
unsigned fault_walk_stage(struct fault_walk *g, unsigned vcpu, uint64_t hva, uint64_t *gva);
/* The stage is about to be continued. */
void fault_walk_end_stage(struct fault_walk *g, unsigned vcpu, uint64_t hva);
/* Continue a page, for whoever waits. */
void fault_walk_continue(struct fault_walk *g, uint64_t hva);
/* Before KVM_RUN, in the vCPU's thread: arm its root, and those that are open. */
void fault_walk_rearm(struct fault_walk *g, struct kvcpu *v);

#endif
