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
/* INT n, INT3, INTO, INT1 of len bytes stands at rip, and nobody of the guest's takes its vector. Those that are traps are
 * over, and rip is behind them; any other is passed over when it comes again. Always false. */
bool exit_software(struct kvcpu *v, unsigned vector, unsigned len, enum exception_handler handler);
/* A triple fault: a stop, and false. Some hosts reset the vCPU then, which the stop says. */
bool exit_shutdown(struct kvcpu *v, const char *note);
/* catch exception: a stop before the exception at rip is delivered, and false; true if nobody asked, or if that was it. */
bool exit_caught(struct kvcpu *v, unsigned vector, bool has_error, uint32_t error, bool software);
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
/* The same for INT n and its like, of len bytes, which stands at rip. */
bool trap_software(struct kvcpu *v, unsigned vector, unsigned len);
/* What KVM does not do of such an instruction: it is done, at the handler's first instruction, or told where there is none.
 */
bool trap_complete(struct kvcpu *v, unsigned vector, unsigned len);
/* What single-steps and stops at the handlers of likely exceptions; and whether the vCPU stands at one of those. */
struct step;
void trap_guard(struct kvcpu *v, const struct step *st, struct kvm_guest_debug *d);
bool trap_at_guard(struct kvcpu *v);
/* Real mode, in a step from `from` with the stack pointer sp: has it ended at a handler, because the instruction there
 * faulted? The vector, or -1. */
int trap_real_fault(struct kvcpu *v, uint64_t from, uint64_t sp);
/* Real mode: TF in the flags of the frame on the stack. */
void trap_frame_tf(struct kvcpu *v, bool tf);
/* Real mode: the delivery that pushed the frame on the stack is undone. */
bool trap_undo(struct kvcpu *v);
/* Real mode: the vector of the fault that the instruction with this opcode, at rip, surely raises; -1: none is sure. */
int trap_certain(struct kvcpu *v, const uint8_t *code);
/* Real mode, at linear address 0: an exception whose vector is empty is undone and told, and false. True: none came there.
 */
bool trap_no_handler(struct kvcpu *v);
/* The vCPU stands at the first instruction of a handler: was it an int3 of ours that brought it here? Undo the delivery,
 * then.
 */
bool trap_unwind(struct kvcpu *v, unsigned vector, int *id);
/* Segment register contents for a selector, out of the guest's tables. */
bool trap_segment(struct kvcpu *v, uint16_t selector, struct kvm_segment *out);

/* realtrap.c: real mode, without KVM */
bool real_empty(struct kvcpu *v, unsigned vector); /* its entry is 0000:0000 */
bool real_any_empty(struct kvcpu *v);
bool real_deliver(struct kvcpu *v, unsigned vector, uint64_t ip); /* ip is pushed. False: t->out says why not */
/* Where no debug register shows that a fault has led to its handler: the vector of the one that the instruction with this
 * opcode, at rip, is sure to raise, which is then done for it; or -1. */
int real_fault_due(struct kvcpu *v, const uint8_t *code);
bool real_raise(struct kvcpu *v, unsigned vector); /* told, or delivered and true */

/* guestdbg.c: the guest's own TF and debug registers */
#define DR6_BS (1ull << 14)
#define DR6_BD (1ull << 13)
uint64_t guestdbg_before(struct kvcpu *v, bool moves_dr); /* bits of DR6 for a #DB before the instruction at rip; 0: none */
uint64_t guestdbg_exit(struct kvcpu *v, uint64_t dr6); /* what is the guest's of a KVM_EXIT_DEBUG's DR6, outside of steps */
uint64_t guestdbg_data(struct kvcpu *v, uint64_t dr6); /* the same of a step: its data and port breakpoints */
bool guestdbg_raise(struct kvcpu *v, uint64_t bits);   /* #DB for it, to its handler's first instruction, or told */
bool guestdbg_due(struct kvcpu *v);		       /* the one that was told: delivered now */
void guestdbg_plan(struct kvcpu *v);		       /* its enabled ones into the vCPU's plan */
void guestdbg_keep_data(struct kvcpu *v, struct kvm_guest_debug *d);
static inline void guestdbg_forget(struct kvcpu *v)
{
	v->control->drs.known = false;
}

/* smi.c, for a KVM that does SMM itself. raise: an SMI, of which any exit that raised it is completed. The vCPU stands at
 * the handler's first instruction then, if vcpu_native_smm() says so; else the SMI waits (smi_latched): in SMM until RSM,
 * behind an access or an exception, and while pages are armed, where KVM takes it in the next run. take: one that waits;
 * true: the vCPU is at the handler now. -EFAULT, -EROFS: no memory to save to. */
int smi_raise(struct kvcpu *v, struct err *e) MUST_USE;
bool smi_take(struct kvcpu *v);
bool smi_waits(const struct kvcpu *v);
/* In SMM, and RSM leads to where no IDT is. */
bool smi_returns_without_idt(const struct kvcpu *v);

/* trappage.c */
int trap_page_make(struct kvm_vm *vm, struct err *e) MUST_USE;
void trap_page_free(struct run_state *rs);
/* Can it stand in for an IDT in the vCPU's mode? */
bool trap_page_covers(struct kvcpu *v);
/* Around KVM_RUN, for a vCPU without an IDT: in stands in if it can (TRAP_IN), out is called if it does. */
void trap_page_in(struct kvcpu *v);
int trap_page_out(struct kvcpu *v, int rc);		    /* rc, or 0 if it made an exit of it */
void trap_page_hide(const struct kvcpu *v, struct regs *r); /* as step_hide() */

/* plan.c */
int plant_lay(struct kvm_vm *vm, struct err *e) MUST_USE; /* plans and int3 bytes for all vCPUs */
void plant_relay(struct kvcpu *v);			  /* from the vCPU's thread: after tables changed */
void plant_plan_now(struct kvm_vm *vm);		    /* vCPU 0's plan, for what is told of it; nothing stays in memory */
bool plan_has_dr(const struct run_plan *p, int id); /* a debug register stands for that plant */
/* plant.c */
void plant_lift(struct kvm_vm *vm);
int plant_exec_at(const struct run_state *rs, uint64_t linear); /* id, or 0 */
bool plant_int3_at(struct kvcpu *v, uint64_t linear);		/* an int3 of ours is there */
/* Whose is an int3 that was executed at this address? */
enum int3_of {
	INT3_GUESTS,	/* ours is not there, or over one of the guest's */
	INT3_POINT,	/* a breakpoint of this address */
	INT3_ELSEWHERE, /* a byte of ours, met at another address of its frame: the guest's own is to be executed */
};
struct int3_met {
	int id;		   /* the breakpoint's; 0 else */
	unsigned prefixes; /* INT3_ELSEWHERE: bytes of its instruction before it */
};
enum int3_of plant_int3_of(struct kvcpu *v, uint64_t linear, struct int3_met *out);
bool plant_watching(const struct run_state *rs);
void plant_free(struct run_state *rs);

#endif
