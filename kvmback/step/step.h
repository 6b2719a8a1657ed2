/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a vCPU's thread does between two KVM_RUNs: judging an exit (exits.c), one instruction (step.c), exceptions through
 * the guest's IDT (trap.c, trappage.c), and what to stop at (plant.c).
 */
#ifndef KVMSCOPE_KVMBACK_STEP_H
#define KVMSCOPE_KVMBACK_STEP_H

#include "kvmback/vcpu/vcpu.h"

/* exits.c. Each returns true if the vCPU may go on; else t->out is set. */
bool exit_free(struct kvcpu *v, int rc);   /* after vcpu_enter() in a free run */
bool exit_failed(struct kvcpu *v, int rc); /* KVM_RUN's own failure, or an exit that nothing handles */
bool exit_exception(struct kvcpu *v, const struct kvm_vcpu_events *ev);
/* A fault is to be delivered, whose handler may return here; the vCPU stands on plants that were asked: core/run/begun.h. */
void exit_begun(struct kvcpu *v);
bool exit_returned(struct kvcpu *v);
/* A plant at rip that was not asked yet: that is a stop, and false. */
bool exit_arrived(struct kvcpu *v);
/* HLT: with interrupts off the vCPU is at its end, and that is a stop; else it waits while others run. */
bool exit_halt(struct kvcpu *v);

/* step.c. True: exactly one instruction was executed, and the vCPU stands before the next. */
bool step_one(struct kvcpu *v);
/* The same, and nothing stops behind it but perhaps a breakpoint. was: the mode before, filled. */
bool step_checked(struct kvcpu *v, struct run_plan *was);
/* What stands at rip: watches, breakpoints, modes after a step. True: nothing that stops. */
void step_run(struct kvcpu *v, uint64_t count); /* JOB_STEP */
bool step_slow(struct kvcpu *v);		/* one round of a free run by steps */
bool step_touched(
    struct kvcpu *v); /* an armed page was touched in a free run: step the instruction, unless KVM has done it */
/* Registers that were read out of the kernel while the vCPU is in KVM_RUN: what a step has put in place of the guest's own
 * becomes the guest's again. What is of the last stop is not touched. */
void step_hide(const struct kvcpu *v, struct regs *r);

/* trap.c */
bool idt_own(const struct kvcpu *v);
bool idt_handler(struct kvcpu *v, unsigned vector, uint64_t *linear, unsigned *dpl);
/* Deliver through the guest's IDT and stop at the handler's first instruction. */
bool trap_deliver(struct kvcpu *v, unsigned vector, bool has_error, uint32_t error);
bool trap_software(struct kvcpu *v, unsigned vector); /* the same for INT n and its like, which stands at rip */
/* What single-steps and stops at the handlers of likely exceptions; and whether the vCPU stands at one of those. */
void trap_guard(struct kvcpu *v, struct kvm_guest_debug *d);
bool trap_at_guard(struct kvcpu *v);
/* Real mode, at linear address 0: an exception whose vector is empty. Undo it and stop; always false. */
/* Not in real mode: RF into the flags of the frame on the stack, as a processor pushes it for a fault of the instruction at
 * `from`: what is injected has been delivered without. */
void trap_frame_with_rf(struct kvcpu *v, unsigned vector, uint64_t from);
/* Real mode: TF out of the flags of the frame on the stack, if that is of an exception or interrupt at `from`. */
void trap_frame_without_tf(struct kvcpu *v, uint64_t from);
bool trap_no_handler(struct kvcpu *v);
/* The vCPU stands at the first instruction of a handler: was it an int3 of ours that brought it here? Undo the delivery,
 * then.
 */
bool trap_unwind(struct kvcpu *v, unsigned vector, int *id);
/* Segment register contents for a selector, out of the guest's tables. */
bool trap_segment(struct kvcpu *v, uint16_t selector, struct kvm_segment *out);

/* trappage.c */
int trap_page_make(struct kvm_vm *vm, struct err *e) MUST_USE;
void trap_page_free(struct run_state *rs);
/* Around KVM_RUN, for a vCPU without an IDT: in stands in if it can (TRAP_IN), out is called if it does. */
void trap_page_in(struct kvcpu *v);
int trap_page_out(struct kvcpu *v, int rc);		    /* rc, or 0 if it made an exit of it */
void trap_page_hide(const struct kvcpu *v, struct regs *r); /* as step_hide() */

/* plant.c */
int plant_lay(struct kvm_vm *vm, struct err *e) MUST_USE; /* plans and int3 bytes for all vCPUs */
void plant_relay(struct kvcpu *v);			  /* from the vCPU's thread: after tables changed */
void plant_lift(struct kvm_vm *vm);
int plant_exec_at(const struct run_state *rs, uint64_t linear); /* id, or 0 */
bool plant_int3_at(struct kvcpu *v, uint64_t linear);		/* an int3 of ours is there now */
bool plant_watching(const struct run_state *rs);
void plant_free(struct run_state *rs);

#endif
