/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Faults on a range of guest virtual addresses, mapped or not. The tables that a walk for the range reads are armed, and the
 * page that an entry shows once a walk stands at it; whose fault it is that parks there is told by the tracepoint of the
 * walk. A fault on another address is let through by one message: all that it still has to come to is opened, and a signal
 * brings the vCPU out of KVM_RUN behind it, where the tables are armed again before it goes on. Nothing is ever armed under
 * a fault that is under way, so each fault gets through. With several vCPUs one may slip by: a fault on the range finds the
 * tables open while another vCPU's is let through.
 *
 * Only for long mode's tables, and where the tracepoints can be read; fault.c asks gva_range_why().
 */
#ifndef KVMSCOPE_KVMBACK_GVARANGE_H
#define KVMSCOPE_KVMBACK_GVARANGE_H

#include "kvmback/run.h"
#include "kvmback/trace.h"

struct gva_range;

/* NULL where faults can be told by address with these registers; else why not. */
const char *gva_range_why(struct kvm_vm *vm, const struct trace *t, const struct regs *r);
int gva_range_create(struct kvm_vm *vm, uint64_t first, uint64_t last, struct gva_range **out, struct err *e) MUST_USE;
void gva_range_destroy(struct gva_range *g); /* NULL is fine */
/* Arm the tables under this root that cover the range, as far as they exist. All vCPUs are out of the guest. */
int gva_range_arm(struct gva_range *g, const struct regs *r, struct err *e) MUST_USE;

/* An event of a vCPU's thread. True where it is of a fault on the range, and is to be told. */
bool gva_range_event(struct gva_range *g, unsigned vcpu, const struct trace_event *t);
/* Does a message of this vCPU's ask for a page that it has been given? */
bool gva_range_stale(struct gva_range *g, unsigned vcpu, uint64_t hva);
/* Does the vCPU, whose events have all been handed over, stand in a fault on the range that was not told yet? */
bool gva_range_wants(struct gva_range *g, unsigned vcpu);
/* It does not: let it through. */
void gva_range_pass(struct gva_range *g, unsigned vcpu, uint64_t hva);
/* It is told as a live stage: arm what the entry shows. Gives the table's level, 0 for the page itself, and the address. */
unsigned gva_range_stage(struct gva_range *g, unsigned vcpu, uint64_t hva, uint64_t *gva);
/* The stage is about to be continued: where nothing armed follows, the vCPU is to come out behind the fault. */
void gva_range_end_stage(struct gva_range *g, unsigned vcpu, uint64_t hva);
/* Continue a page: it is armed no more until a vCPU has come out. */
void gva_range_open(struct gva_range *g, uint64_t hva);
/* Before KVM_RUN, in the vCPU's thread: arm again what was opened. */
void gva_range_again(struct gva_range *g, struct kvcpu *v);

#endif
