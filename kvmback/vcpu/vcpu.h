/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One vCPU: its state, the jobs that it is given, its KVM_RUN, and how it is fetched out of the guest. What a job does is
 * above this (kvmback/job.c, kvmback/step), and so is the run of all of them (kvmback/run.c).
 *
 * Each of several vCPUs has a thread, and its KVM_RUN is called there only. The debugger's thread hands it a job and waits;
 * both sides spin a little before they sleep, because a step is shorter than a wake-up. While a job runs, everything of the
 * vCPU belongs to its thread; while none does, to the debugger's. A lone vCPU's jobs are done by the debugger's thread
 * itself, with no handing over at all; watchdog.c looks after its steps meanwhile. Registers live in the run area
 * (KVM_CAP_SYNC_REGS): what is changed there is marked in kvm_dirty_regs and reaches the vCPU with the next KVM_RUN.
 */
#ifndef KVMSCOPE_KVMBACK_VCPU_H
#define KVMSCOPE_KVMBACK_VCPU_H

#include "core/base/lock.h"
#include "core/mem/paging.h"
#include "core/run/begun.h"
#include "kvmback/host/gate.h"
#include "kvmback/host/kick.h"
#include "kvmback/kvm.h"

/* What a vCPU does; JOB_NONE: nothing, it is the debugger's. */
enum job { JOB_NONE, JOB_RUN, JOB_STEP, JOB_TOUCH, JOB_FORGET, JOB_QUIT };

/* Why a job is over. */
enum outcome {
	OUT_KICKED, /* asked to: nothing to tell */
	OUT_STOP,   /* t->stop says */
	OUT_SMI,    /* the board raised an SMI; the access is complete */
	OUT_RSM,    /* in emulated SMM, an RSM stands at rip */
	OUT_TOUCH,  /* an armed page was touched: step_touched() with all other vCPUs out */
	OUT_HALT,   /* HLT with interrupts on: other vCPUs may go on */
};

/* Where a vCPU is (phase.c has the table). Its own thread takes it in and out; the thread that answers faults on armed pages
 * holds it for that long, so that it neither leaves KVM_RUN nor enters it.
 *
 *             go in               hold              note, release
 *     OUT  -----------> IN_GUEST ------> HELD_IN ----------------> AT_PAGE
 *          <-----------          <------         <----------------
 *             go out             release               hold
 *
 *                   go out               looked at
 *     AT_PAGE ---------------> TOUCHED -------------> OUT
 *             <---------------
 *              go in, not yet looked at
 *
 *     OUT, TOUCHED <--- hold, release ---> HELD_OUT
 *     OUT ---> TOUCHED: a step has read memory for a device that is shown what comes to it
 */
enum vcpu_phase {
	VCPU_OUT,      /* between two KVM_RUNs, or without a job */
	VCPU_IN_GUEST, /* in KVM_RUN */
	VCPU_AT_PAGE,  /* in KVM_RUN, with an access to an armed page that is not looked at yet: a signal brings it out */
	VCPU_TOUCHED,  /* out, and the same */
	VCPU_HELD_IN,
	VCPU_HELD_OUT,
	VCPU_PHASES,
};

/* Who fetches a vCPU out of KVM_RUN, and what for. KVM's tracepoints do so as well, by SIGIO (rootwake.c, mmucatch.c). */
enum kick_reason {
	/* its job is to end */
	KICK_INTERRUPT,	    /* the run is to stop */
	KICK_OTHER_STOPPED, /* another vCPU has something to tell */
	KICK_OTHER_TOUCHED, /* another vCPU touched an armed page: nobody may run past it while it is open */
	KICK_TURN_OVER,	    /* another vCPU's turn */
	KICK_STUCK,	    /* a step that does not come back */
	KICK_GIVE_UP,	    /* out of the fault that it is parked in */
	/* out of this KVM_RUN; the job goes on */
	KICK_ARMED_PAGE, /* its own access to one */
	KICK_ROOT_OPEN,	 /* its root was opened for a walk, and is to be armed again */
	KICK_LOOK,	 /* where is it? stall.c */
	KICK_REASONS,
};

/* An access to a device. */
enum io_state {
	IO_NONE,
	IO_CAUGHT,    /* shown to the user; the device has not seen it */
	IO_CAUGHT_TF, /* the same, and the step in which it came began with TF set by us */
	IO_DONE,      /* the device has answered; KVM does not know yet */
};

/* TF, during a step: whose it is in the flags. */
enum tf_owner {
	TF_CLEAR,
	TF_GUEST,	   /* the guest's own */
	TF_OURS,	   /* set for the step */
	TF_OURS_AND_GUEST, /* and the guest has it set as well */
};

/* A REP iteration under way, with rcx 1. */
enum rep_state {
	REP_NONE,
	REP_COUNT,    /* ends with the count */
	REP_WHILE_ZF, /* CMPS, SCAS: or when ZF is clear */
	REP_UNTIL_ZF, /* or when it is set */
};

/* What the vCPU's step under way has put in place of the guest's own: all of it is taken back when it is over. */
struct step_own {
	enum tf_owner tf;
	bool idt_empty;
	struct kvm_dtable idt; /* the guest's, while an empty one stands in */
	enum rep_state rep;
	uint64_t rep_count, rep_mask, rep_rip, rep_next;
};

/* The trap page in place of an IDT that the guest does not have (trappage.c). */
enum trap_state {
	TRAP_OUT,
	TRAP_IN,    /* it stands in, for one KVM_RUN */
	TRAP_TAKEN, /* the last exit was an exception that came out at it, made to look like a shutdown */
};
struct trap_own {
	enum trap_state state;
	uint64_t *link; /* the entry of the guest's top table that maps it */
	struct kvm_sregs saved;
};

/* An exception that was shown by `catch exception`, and is delivered when it comes again. */
struct exc_shown {
	bool shown;
	uint8_t vector;
	uint64_t rip;
};

/* An INT n that leads nowhere was told at rip: it is passed over the next time. `over`: the one that was passed over last.
 */
struct int_told {
	bool on;
	uint64_t rip, over;
};

/* The guest's own debug registers, as long as nothing can have changed them. */
struct guest_drs {
	bool known;
	uint64_t db[4], dr7;
};

/* An access to an armed page (VCPU_AT_PAGE, VCPU_TOUCHED): the registers when it came, if they are known, and what
 * vcpu_entry() is behind the KVM_RUN in which it came, or behind the last one that completed its instruction. Written by
 * whoever holds the vCPU. */
struct armed_access {
	unsigned entry;
	bool regs_known;
	uint64_t gpr[16], rip;
};

/* How the vCPU is to run freely, made by plant_lay(). */
#define DR_COUNT 4
enum dr_use { DR_FREE, DR_PLANT, DR_WATCH, DR_HANDLER, DR_NO_HANDLER, DR_SMI, DR_GUEST };
struct run_plan {
	struct kvm_guest_debug dbg;
	enum dr_use dr[DR_COUNT];
	int dr_id[DR_COUNT];				   /* plant's id, or the vector of a handler */
	uint8_t dr_old[DR_COUNT][8], dr_old_len[DR_COUNT]; /* DR_WATCH: what is there */
	const char *slow_why;				   /* not NULL: by single steps only, and why */
	uint64_t cr0, cr3, cr4, efer;
	bool nested;   /* of L2 */
	uint8_t width; /* vcpu_code_width() */
	unsigned cpl;  /* of one that was remembered, not planned */
	struct kvm_dtable idt;
	bool unresolved; /* some address did not translate */
	bool at_exits;	 /* where some address leads is looked up at each exit, as its tables are not armed */
	bool stale;	 /* a watched address may be somewhere else now: plant_relay() */
};

struct trap_page;

/* At least as many as KVM goes back to without a look-up: the current one and three more. */
#define ROOTS_KEPT 8

struct vcpu_control {
	/* the job: given by the debugger's thread, done by the vCPU's */
	_Atomic pthread_t thread; /* whoever does its jobs: a kicker may be late, when the next job is given */
	_Atomic pid_t tid;	  /* of whoever does the job under way */
	bool started;
	struct gate go;
	atomic_int job;	   /* enum job */
	atomic_uint kicks; /* those that end it: a bit for each enum kick_reason */
	uint64_t count;
	atomic_ulong steps; /* instructions stepped in this job */
	enum outcome out;
	struct stop stop;
	/* in and out of the guest */
	atomic_uint where;    /* phase and number of the entry: phase.c */
	atomic_int cpu;	      /* where KVM_RUN was called last */
	atomic_bool stepping; /* an instruction is being stepped, and looked at anyway. Changes while out of KVM_RUN only */
	uint64_t from;	      /* with stepping: rip of that instruction */
	uint64_t entered;     /* rip when KVM_RUN was called last */
	bool over_byte;	      /* with OUT_TOUCH: it is to step over a byte of ours, with all other vCPUs out */
	bool completing;      /* this KVM_RUN completes a device access and nothing else: the run area has its registers */
	struct armed_access access;
	/* what has been told of it */
	bool pending; /* out and stop have not been told yet: another vCPU's stop came first */
	bool passed;  /* plants at rip have been asked already: struct run_job's bit */
	struct begun begun;
	struct exc_shown exc;
	struct int_told int_told;
	uint64_t
	    ss_shadow;	 /* linear: a load of SS was stepped, and no breakpoint of the guest's own hits here. ~0: nowhere */
	uint64_t db_due; /* bits of DR6 for a #DB of the guest's own that comes before its next instruction; 0: none */
	/* what is in place of the guest's own */
	struct run_plan plan;
	struct kvm_guest_debug dbg; /* as KVM has it, */
	bool dbg_nested;	    /* put into the guest's guest: KVM keeps what it was asked for in each */
	enum io_state io;
	bool by_known;	/* of the access in the run area: */
	uint64_t by;	/* rip of its instruction */
	uint8_t effect; /* enum board_effect: what an access has asked of the board, until its instruction is done */
	struct step_own own;
	struct trap_own trap;
	struct guest_drs drs;
	/* watching */
	struct access_decoder *accesses;
	struct disas *disas;
	/* whether it gets anywhere: stall.c */
	struct progress progress;
	atomic_bool look_due, stalled;
	uint64_t root[ROOTS_KEPT]; /* tables under which virtual addresses are watched, the newest first: armed.c */
	unsigned n_roots;
};

#define INT3 0xcc
/* A byte of guest memory that is int3 while the guest runs (bytes.c). */
struct int3_byte {
	uint8_t *at;
	uint8_t under;	/* the guest's own, while ours is laid */
	uint8_t lifted; /* what the guest's own is there for: enum lift_for */
};

#define WATCH_OLD 64
struct plant_rec {
	struct plant p;
	uint8_t old[WATCH_OLD]; /* the beginning of a watched range, before an instruction whose accesses are not known */
	size_t n_old;
	/* what is told of it */
	uint8_t told;  /* TOLD_*, by the last plan */
	uint64_t insn; /* the instruction in whose middle it is; 0: none is known */
};
#define TOLD_BYTE 1u	      /* an int3 byte stands for it, */
#define TOLD_SEEN 2u	      /* which reads of its page see */
#define TOLD_UNARMED 4u	      /* and writes as well: run_state.unarmed_why */
#define TOLD_UNMAPPED 8u      /* its address leads nowhere now */
#define TOLD_UNFOLLOWED 16u   /* the tables on the way to it are not armed */
#define TOLD_HW_SOMETIMES 32u /* a debug register alone, which does not hit everywhere */
#define TOLD_HW_NOT_RF 64u    /* the same: nor where IRET loads RF */

/* A text about a plant. */
struct said {
	struct said *next;
	char text[];
};

/* Who looks after steps that the debugger's thread does itself (watchdog.c). */
struct watchdog {
	pthread_t thread;
	bool started;
	struct gate go;
	atomic_uint jobs; /* step jobs begun so far */
	atomic_bool awake, quit;
	void (*on_look)(struct kvm_vm *vm); /* for tests, NULL else: before it asks what holds the step up */
};

/* What stands above a vCPU and is asked by it: given when the VM is made. All in the thread that does the vCPU's job. */
struct vcpu_ops {
	void (*begin)(struct kvcpu *v); /* its own thread begins */
	void (*job)(struct kvcpu *v, enum job job);
	bool (*may_enter)(
	    struct kvcpu *v);		/* on the way into KVM_RUN, counted as in it already; false: not now, look around */
	void (*enter)(struct kvcpu *v); /* right before KVM_RUN */
	int (*leave)(struct kvcpu *v, int rc); /* right behind it; gives rc, or 0 if it made an exit of it */
};

struct run_state {
	const struct vcpu_ops *ops;
	const struct strategy *st;
	struct watchdog watchdog;
	struct plant_rec *plant; /* execution plants first by address, then watches */
	size_t n_plants, n_exec, cap_plants;
	struct int3_byte *int3; /* under byte_lock: bytes.c */
	size_t n_int3, cap_int3;
	const char *unarmed_why; /* why a page with an int3 byte could not be armed */
	bool wakes;		 /* a vCPU that loads another root comes out: rootwake.c, for breakpoints */
	struct said *said;
	uint32_t catch;
	atomic_bool giving; /* vCPUs are being given their jobs: one that is not busy may be in a moment */
	bool turns;	    /* faults are caught: one vCPU at a time is in the guest. Set between runs only */
	struct gate done;   /* raised by a vCPU's thread whenever it has come back */
	struct lock board_lock, plant_lock, byte_lock;
	struct trap_page *trap; /* NULL if shutdown exits keep the state */
};

/* One MSR of a vCPU that is out of the guest, by KVM_GET_MSRS and KVM_SET_MSRS; false if KVM does not have it or refuses the
 * value, with nothing changed. */
bool vcpu_read_msr(const struct kvcpu *v, uint32_t index, uint64_t *value);
bool vcpu_write_msr(const struct kvcpu *v, uint32_t index, uint64_t value);

static inline struct kvm_regs *vcpu_regs(struct kvcpu *v)
{
	return &v->run->s.regs.regs;
}
static inline struct kvm_sregs *vcpu_sregs(struct kvcpu *v)
{
	return &v->run->s.regs.sregs;
}
/* In SMM that KVM does itself; v->in_smm is the one by hand. */
static inline bool vcpu_native_smm(const struct kvcpu *v)
{
	return v->vm->host->x86_smm && v->run->flags & KVM_RUN_X86_SMM;
}
static inline void vcpu_immediate_exit(struct kvcpu *v, bool on)
{
	__atomic_store_n(&v->run->immediate_exit, on, __ATOMIC_SEQ_CST);
}
static inline void vcpu_dirty(struct kvcpu *v, uint32_t parts)
{
	v->run->kvm_dirty_regs |= parts;
}

/* thread.c: from the debugger's thread, but for vcpu_busy() and vcpu_kick(), which any may call */
/* Its thread, once; for one that runs here the watchdog over its steps. */
int vcpu_start(struct kvcpu *v, struct err *e) MUST_USE;
void vcpu_join(struct kvcpu *v);
/* A lone vCPU stands while the debugger's thread does anything else, so it needs no thread of its own: its jobs are done
 * when vcpu_give() returns. */
static inline bool vcpu_runs_here(const struct kvcpu *v)
{
	return v->vm->m.vcpus == 1;
}
void vcpu_give(struct kvcpu *v, enum job job, uint64_t count);
bool vcpu_busy(const struct kvcpu *v);
/* Out of KVM_RUN; async-signal-safe. One that is not in it comes back at once from its next, if its job is to end. */
void vcpu_kick(struct kvcpu *v, enum kick_reason reason);
bool vcpu_kicked(const struct kvcpu *v); /* is its job to end? */
bool vcpu_kicked_for(const struct kvcpu *v, enum kick_reason reason);
void vcpu_kick_busy(struct kvm_vm *vm, enum kick_reason reason);
void vcpu_wait_all(struct kvm_vm *vm);
/* On the client's thread, waiting for other vCPUs' threads: what they queued for it. */
static inline void vcpu_serve_client(struct kvm_vm *vm)
{
	if (run_on_client(&vm->m.run))
		run_serve(&vm->m.run);
}
/* Neither halted nor outside while another is in emulated SMM. */
bool vcpu_may_run(const struct kvcpu *v);
bool vcpu_any_in_smm(const struct kvm_vm *vm);
/* In a run by turns, from another thread than the run's: the vCPU that has its turn comes out, if another could run. */
void vcpu_end_turn(struct kvm_vm *vm);

/* phase.c */
enum vcpu_phase vcpu_phase(const struct kvcpu *v);
/* From its own thread: waits while it is held. */
void vcpu_go_in(struct kvcpu *v);
void vcpu_go_out(struct kvcpu *v);
bool vcpu_touched(const struct kvcpu *v); /* VCPU_TOUCHED */
void vcpu_looked_at(struct kvcpu *v);	  /* TOUCHED to OUT */
void vcpu_touch(struct kvcpu *v);	  /* OUT to TOUCHED, with v->control->access set: an access that is half done */
/* Calls of KVM_RUN and returns from it, counted: odd while in it. Any thread may ask. Who holds a vCPU keeps it on its side
 * of that border for a moment. False if the count is another by now; *was: what it was before, for the release. */
unsigned vcpu_entry(const struct kvcpu *v);
unsigned vcpu_entry_behind(unsigned entry); /* what it is once that KVM_RUN is left */
bool vcpu_hold(struct kvcpu *v, unsigned entry, enum vcpu_phase *was) MUST_USE;
/* to: what it was, or (held in KVM_RUN) VCPU_AT_PAGE. */
void vcpu_release(struct kvcpu *v, enum vcpu_phase to);

/* A page is about to be continued: what this thread has done comes before what its waiter does outside of KVM_RUN. The
 * kernel sees to that; ThreadSanitizer has to be told. */
void vcpu_continued(struct kvm_vm *vm);

/* vcpu.c: from the vCPU's own thread */
int vcpu_enter(struct kvcpu *v);				    /* one KVM_RUN: 0, or a negative errno */
int vcpu_load(struct kvcpu *v, struct err *e) MUST_USE;		    /* registers and system registers into the run area */
void vcpu_fetch_pdptes(struct kvcpu *v, const struct kvm_sregs *s); /* v->pdpte, s being what the vCPU has; also by regs.c */
void vcpu_gprs(struct kvcpu *v, uint64_t gpr[16], uint64_t *rip);   /* RAX … R15 and rip as the run area has them */
bool vcpu_debug(
    struct kvcpu *v,
    const struct kvm_guest_debug *d); /* KVM_SET_GUEST_DEBUG, if it differs, or a step has to be asked for anew */
/* Fill t->stop and t->out; always false, so that callers can `return vcpu_stop(…)`. */
bool vcpu_stop(struct kvcpu *v, enum stop_reason reason);
bool vcpu_out(struct kvcpu *v, enum outcome out);
bool vcpu_error(struct kvcpu *v, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* KVM_RUN's own failure, or an exit that nothing handles, in words. */
bool vcpu_failed(struct kvcpu *v, int rc);

/* watchdog.c: kicks a lone vCPU whose step makes no progress for STUCK_NS. begin: before each job of steps, costs next to
 * nothing. */
#define STUCK_NS 1000000000ull
int watchdog_start(struct kvm_vm *vm, struct err *e) MUST_USE;
void watchdog_begin(struct kvm_vm *vm);
void watchdog_end(struct kvm_vm *vm); /* ends the thread */

/* stall.c: whether a run makes progress (core/run/progress.h). begin: before a run up to a stop. due: a few times a second
 * while it goes, from whoever waits for it: each vCPU is fetched out of KVM_RUN for a look. look: in its own thread,
 * whenever it is out; costs next to nothing while none is due. */
void stall_begin(struct kvm_vm *vm);
void stall_due(struct kvm_vm *vm);
void stall_look(struct kvcpu *v);
void stall_access(struct kvcpu *v); /* the one in the run area is about to be answered */

/* io.c. True if the vCPU may go on; else t->out is set. */
bool exit_io(struct kvcpu *v);	 /* the access in the run area: catch it, or have the board do it and complete it */
bool io_resume(struct kvcpu *v); /* an access that was caught: do it now */
bool io_finish(struct kvcpu *v); /* let KVM complete what the board has answered, and nothing else */
void io_forget(struct kvcpu *v); /* complete it without a trace in the registers */
static inline bool io_caught(const struct kvcpu *v)
{
	return v->control->io == IO_CAUGHT || v->control->io == IO_CAUGHT_TF;
}

/* accessor.c: the registers of now that an instruction's operands are worked out by */
struct access_regs;
void vcpu_access_regs(struct kvcpu *v, struct access_regs *r);
/* rip of the instruction whose access is in the run area, as its exit has left the registers: not a read from
 * MMIO, at whose exit rip stands on it. False: it is not known. */
bool accessor_find(struct kvcpu *v, uint64_t *rip);

/* events.c */
/* After a shutdown exit: is the vCPU what it was before the exception, and vcpu_events() the exception? */
static inline bool vcpu_exception_known(const struct kvcpu *v)
{
	return v->vm->rs->st->shutdown_keeps_state || v->control->trap.state == TRAP_TAKEN;
}
void vcpu_events(struct kvcpu *v, struct kvm_vcpu_events *ev);
/* An exception that waits for delivery: a #DB by a TF of ours, a #BP by an int3 of ours. */
bool vcpu_waiting(struct kvcpu *v, unsigned vector);
void vcpu_drop(struct kvcpu *v, unsigned vector);

/* mode.c */
uint8_t vcpu_code_width(struct kvcpu *v);
bool vcpu_mode_changed(struct kvcpu *v, const struct run_plan *before); /* paging or width, by what is in it */
void vcpu_remember_mode(struct kvcpu *v, struct run_plan *p);		/* with the privilege level */
/* catch mode: false if mode or privilege are others than before; t->stop then says so. */
bool vcpu_look_at_mode(struct kvcpu *v, const struct run_plan *before);
/* A mode that changed, if there is a stop already: one reason more. */
void vcpu_also_mode(struct kvcpu *v, const struct run_plan *before);

/* gmem.c: from any thread, while slots stand still. */
enum run_mode vcpu_mode(struct kvcpu *v);
unsigned vcpu_cpl(struct kvcpu *v);
unsigned vcpu_bits(struct kvcpu *v);
uint64_t vcpu_linear(struct kvcpu *v, const struct kvm_segment *seg, uint64_t offset);
uint64_t vcpu_linear_rip(struct kvcpu *v);
/* The same under another root, of the mode that the vCPU is in. */
bool gmem_walk_under(struct kvcpu *v, uint64_t cr3, uint64_t linear, struct walk *out);
bool gmem_translate(struct kvcpu *v, uint64_t linear, uint64_t *gpa, uint8_t *rights);
struct slot *gmem_slot(struct kvcpu *v, uint64_t gpa);
/* The debugger's view of one byte; NULL if there is no memory, or if write and it is a file's. */
uint8_t *gmem_byte(struct kvcpu *v, uint64_t gpa, bool write);
size_t gmem_read(struct kvcpu *v, uint64_t linear, void *buf, size_t n); /* how many bytes could be read */
bool gmem_write(struct kvcpu *v, uint64_t linear, const void *buf, size_t n);

#endif
